//! Break-glass accounts: permanent emergency administrators whose passwords are replaced on a schedule.
//!
//! Up to two per tenant. They are enabled and hold their roles all the time, so nothing here is part of the loop that
//! makes JIT accounts dormant, and nothing of that loop knows these rows. Passwords live in the operating system's key
//! store alone; the database knows them by number. Who may see one is decided here, before anything is shown.
//!
//! `rules` is pure: what is known about the passwords, and when something is due. `work` is done under a loan on the
//! row. The sweep replaces what is due, whether anybody works or not.

pub(crate) mod rules;
mod settings;
mod work;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use latchkey_protocol::ErrorBody;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

pub use rules::{Belief, Likelihood};
pub use settings::{
    BREAK_GLASS_MARK, BreakGlassName, BreakGlassSettings, MOST_BREAK_GLASS_ACCOUNTS, RevealInterval, RotationInterval,
};

use crate::{
    AuditEvent, Caller, Engine, EngineError, Failure, OnProgress,
    clock::milliseconds,
    engine::Shared,
    graph::{self, Page, Priority, RoleDefinition, Trouble},
    preflight, sealed,
    store::{self, BreakGlassRow, Loan, TenantRow, break_glass as rows},
};
use rules::{Due, Task, Timing};
use work::Work;

/// How many accounts are worked on at once.
const AT_ONCE: usize = 32;
/// How many a sweep takes on: leases that end meanwhile must not wait for a thousand rotations.
const PER_SWEEP: usize = 200;
/// How long one scheduled rotation may take before it is left to the next sweep.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often a loan that somebody else has is asked for.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How often a reveal begins again because the password was replaced meanwhile.
const REVEAL_TRIES: u32 = 8;

/// What must be said whenever such a password is shown.
pub const MFA_NOTE: &str = "Microsoft's portals ask this account for a second factor too. Register a passkey (FIDO2) or \
                            a certificate for it before you need it, and keep it with the emergency plan.";

/// A break-glass account, as the configuration wants it and as the store knows it.
#[derive(Clone, Debug, Serialize)]
pub struct BreakGlassSummary {
    /// Its tenant (directory id).
    pub tenant_id: Uuid,
    /// The tenant's display name.
    pub tenant_name: String,
    /// What stands before the `@`.
    pub name: String,
    /// User principal name.
    pub user_name: String,
    /// Whether the configuration (still) has it.
    pub configured: bool,
    /// Whether it has been made or taken over completely.
    pub ready: bool,
    /// Whether it was there before us.
    pub taken_over: bool,
    /// The roles that it is to hold.
    pub roles: Vec<String>,
    /// The groups whose members may see the password.
    pub reveal: Vec<String>,
    /// Whether the acting technician may.
    pub may_reveal: bool,
    /// What is known of its password.
    pub password: Belief,
    /// Since when the password is proven, Unix time in milliseconds.
    pub proven_since: Option<i64>,
    /// When it is replaced next.
    pub next_rotation: Option<i64>,
    /// When somebody was last shown it.
    pub revealed_at: Option<i64>,
    /// What is wrong, with what to do about it.
    pub problem: Option<ErrorBody>,
}

/// What [`Engine::prepare_break_glass`] leaves behind.
#[derive(Clone, Debug, Serialize)]
pub struct PreparedBreakGlass {
    /// User principal name.
    pub user_name: String,
    /// Object id in the directory.
    pub object_id: Uuid,
    /// Whether it had to be made.
    pub created: bool,
    /// Whether it was there and not ours before.
    pub taken_over: bool,
    /// What does not work yet, above all that its password cannot be replaced.
    pub problems: Vec<ErrorBody>,
    /// What should be looked at.
    pub remarks: Vec<String>,
}

/// A password that is shown.
#[derive(Clone, Debug)]
pub struct RevealedPassword {
    /// The password.
    pub value: SecretString,
    /// Whether it is the one.
    pub likelihood: Likelihood,
    /// When it was sent to the directory, or (for a proven one) read back.
    pub since: i64,
}

/// What [`Engine::reveal_break_glass`] shows, once.
#[derive(Clone, Debug)]
pub struct RevealedBreakGlass {
    /// The tenant's display name.
    pub tenant_name: String,
    /// User principal name.
    pub user_name: String,
    /// Every password that may be the one, the likeliest first; one when all is well.
    pub passwords: Vec<RevealedPassword>,
    /// What to know before using it.
    pub warning: Option<String>,
    /// When it is replaced because of this.
    pub rotated_by: i64,
}

/// What becomes of an account that is no longer managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Leave {
    /// It stays enabled, with its roles and its password.
    AsItIs,
    /// It loses its roles and is disabled.
    Disabled,
    /// It loses its roles and is deleted.
    Deleted,
}

/// What the rotations of a sweep came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RotationReport {
    /// User names of accounts whose password was replaced and proven.
    pub rotated: Vec<String>,
    /// What did not work; the last password stays valid, and it is tried again.
    pub problems: Vec<ErrorBody>,
    /// How many accounts were worked on.
    pub looked_at: usize,
}

impl Engine {
    /// Every break-glass account that the configuration names or the store manages. Asks nobody.
    ///
    /// # Errors
    /// When the database cannot be read, or the configuration gives a tenant more than two.
    pub async fn break_glass_accounts(&self) -> Result<Vec<BreakGlassSummary>, EngineError> {
        let shared = self.shared();
        let mut summaries = Vec::new();
        let all = shared.store.break_glass().await?;
        let mut tenants = shared.store.tenants().await?;
        tenants.sort_by(|one, other| one.name.cmp(&other.name));
        for tenant in tenants {
            let wanted = settings::of_tenant(&shared.settings.break_glass, &tenant)?;
            let mut managed: Vec<_> = all.iter().filter(|row| row.tenant_id == tenant.tenant_id).collect();
            for settings in wanted {
                let place = managed.iter().position(|row| row.name == settings.name.as_str());
                let row = place.map(|place| managed.swap_remove(place));
                summaries.push(summary(shared, &tenant, Some(settings), row));
            }
            summaries.extend(managed.into_iter().map(|row| summary(shared, &tenant, None, Some(row))));
        }
        Ok(summaries)
    }

    /// Makes the tenant's break-glass accounts as the configuration wants them: enabled, marked, with a password that
    /// is proven and in the key store, and with their roles. What is there already is completed. `take_over` is the
    /// explicit word for an account of that name that is not ours (the configuration can give it, too).
    ///
    /// # Errors
    /// `TakeOverNeeded`, `RoleUnknown`, `ConfigurationInvalid`, and what Graph answers.
    pub async fn prepare_break_glass(
        &self,
        tenant_id: Uuid,
        name: Option<&str>,
        take_over: bool,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<Vec<PreparedBreakGlass>, EngineError> {
        let shared = self.shared();
        let tenant = shared.store.tenant(tenant_id).await?;
        let mut prepared = Vec::new();
        let outcome = async {
            let wanted = settings::of_tenant(&shared.settings.break_glass, &tenant)?;
            let chosen: Vec<_> = wanted
                .iter()
                .filter(|settings| name.is_none_or(|name| settings.name.as_str().eq_ignore_ascii_case(name.trim())))
                .collect();
            if let (Some(name), true) = (name, chosen.is_empty()) {
                return Err(unknown(&tenant, name));
            }
            refuse_a_third(shared, &tenant, &wanted).await?;
            for settings in chosen {
                prepared.push(prepare(shared, &tenant, settings, take_over, caller, on_progress).await?);
            }
            Ok(())
        }
        .await;
        shared.remember_clock().await?;
        outcome.map_err(|error: EngineError| error.in_tenant(&tenant.name))?;
        Ok(prepared)
    }

    /// Replaces the password of one account now.
    ///
    /// # Errors
    /// `AppRoleMissing`, `PasswordUncertain` (both passwords are kept then), and what Graph answers. Whatever the error:
    /// the account's password is among those that a reveal shows.
    pub async fn rotate_break_glass(
        &self,
        tenant_id: Uuid,
        name: &str,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<BreakGlassSummary, EngineError> {
        let shared = self.shared();
        let (tenant, row) = managed(shared, tenant_id, name).await?;
        let named = |error: EngineError| error.in_tenant(&tenant.name);
        let Some(mut work) = borrow(shared, &row, caller, Priority::High, on_progress).await.map_err(named)? else {
            return Err(unknown(&tenant, name));
        };
        let outcome = work.rotate().await;
        shared.store.return_break_glass(work.loan()).await?;
        shared.remember_clock().await?;
        outcome.map_err(named)?;
        let row = shared.store.break_glass_account(row.account_id).await?.ok_or_else(|| unknown(&tenant, name))?;
        let wanted = settings::of_tenant(&shared.settings.break_glass, &tenant)?;
        let settings = wanted.into_iter().find(|settings| settings.name.as_str() == row.name);
        Ok(summary(shared, &tenant, settings, Some(&row)))
    }

    /// Replaces every password whose turn it is, and looks after what was sent without an answer. Two processes that do
    /// this at once do no harm.
    ///
    /// # Errors
    /// When the database cannot be used. What Graph answers is in the report and on the accounts.
    pub async fn rotate_due(&self) -> Result<RotationReport, EngineError> {
        rotate_due(self.shared(), usize::MAX).await
    }

    /// Shows the password to a technician of one of the groups that are named. Audited before; the password is replaced
    /// soon afterwards. Asks nobody but the key store, so that it works when nothing else does.
    ///
    /// # Errors
    /// `RevealNotAllowed`, `ConfigurationInvalid` without a reason, `BreakGlassNotReady`, `PasswordLost`, and what is
    /// wrong with the key store.
    pub async fn reveal_break_glass(
        &self,
        tenant_id: Uuid,
        name: &str,
        reason: &str,
        caller: &Caller,
    ) -> Result<RevealedBreakGlass, EngineError> {
        let shared = self.shared();
        let (tenant, row) = managed(shared, tenant_id, name).await?;
        reveal(shared, &tenant, row, reason, caller).await.map_err(|error| error.in_tenant(&tenant.name))
    }

    /// Stops managing an account. Its entries of the key store are deleted: whoever lets it be as it is must have been
    /// shown the password before.
    ///
    /// # Errors
    /// What Graph answers; the account stays managed then.
    pub async fn release_break_glass(
        &self,
        tenant_id: Uuid,
        name: &str,
        leave: Leave,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<(), EngineError> {
        let shared = self.shared();
        let (tenant, row) = managed(shared, tenant_id, name).await?;
        let named = |error: EngineError| error.in_tenant(&tenant.name);
        let Some(mut work) = borrow(shared, &row, caller, Priority::High, on_progress).await.map_err(named)? else {
            return Ok(());
        };
        let user_name = Some(row.user_name.as_str());
        let detail = json!({ "leave": leave });
        shared.audit(tenant_id, AuditEvent::BreakGlassReleasing, caller, None, user_name, detail.clone()).await?;
        let outcome = match work.leave(leave).await {
            Ok(()) => work.close(detail).await,
            Err(error) => Err(error),
        };
        shared.store.return_break_glass(work.loan()).await?;
        outcome.map_err(named)
    }

    /// Gives the application's own service principal the directory role Privileged Authentication Administrator, which
    /// it needs to replace the password of an administrator. Never done unasked. `false`: it holds it already.
    ///
    /// # Errors
    /// `PermissionMissing` without RoleManagement.ReadWrite.Directory, and what Graph answers.
    pub async fn grant_app_role(&self, tenant_id: Uuid, caller: &Caller) -> Result<bool, EngineError> {
        change_app_role(self.shared(), tenant_id, true, caller).await
    }

    /// Takes it back. `false`: it does not hold it.
    ///
    /// # Errors
    /// As [`Engine::grant_app_role`].
    pub async fn revoke_app_role(&self, tenant_id: Uuid, caller: &Caller) -> Result<bool, EngineError> {
        change_app_role(self.shared(), tenant_id, false, caller).await
    }
}

/// The account of that name that is managed in the tenant; without a name, the only one.
async fn managed(shared: &Shared, tenant_id: Uuid, name: &str) -> Result<(TenantRow, BreakGlassRow), EngineError> {
    let tenant = shared.store.tenant(tenant_id).await?;
    let all = shared.store.break_glass_of(tenant_id).await?;
    let row = all.into_iter().find(|row| row.name.eq_ignore_ascii_case(name.trim()));
    row.map_or_else(|| Err(unknown(&tenant, name)), |row| Ok((tenant.clone(), row)))
}

fn unknown(tenant: &TenantRow, name: &str) -> EngineError {
    EngineError::from(Failure::BreakGlassUnknown(name.trim().to_owned())).in_tenant(&tenant.name)
}

/// At most two: those that are managed and those that are wanted count together.
async fn refuse_a_third(
    shared: &Shared,
    tenant: &TenantRow,
    wanted: &[&BreakGlassSettings],
) -> Result<(), EngineError> {
    let managed = shared.store.break_glass_of(tenant.tenant_id).await?;
    let mut names: Vec<_> = managed.iter().map(|row| row.name.as_str()).collect();
    names.extend(wanted.iter().map(|settings| settings.name.as_str()));
    names.sort_unstable();
    names.dedup();
    if names.len() <= MOST_BREAK_GLASS_ACCOUNTS {
        return Ok(());
    }
    Err(Failure::ConfigurationInvalid(format!(
        "{} would have {} break-glass accounts ({}), and a tenant has two at most: stop managing one first with \
         `latchkey break-glass remove`",
        tenant.name,
        names.len(),
        names.join(", ")
    ))
    .into())
}

async fn prepare(
    shared: &Shared,
    tenant: &TenantRow,
    settings: &BreakGlassSettings,
    take_over: bool,
    caller: &Caller,
    on_progress: OnProgress<'_>,
) -> Result<PreparedBreakGlass, EngineError> {
    let user_name = format!("{}@{}", settings.name.as_str(), tenant.domain.to_lowercase());
    if shared.store.account_named(tenant.tenant_id, &user_name).await?.is_some() {
        let what = format!("{user_name} is a JIT account, which is dormant without a lease; choose another name");
        return Err(Failure::ConfigurationInvalid(what).into());
    }
    let roles = resolve_roles(shared, tenant, &settings.roles).await?;
    let mut write = shared.store.write().await?;
    let row = rows::ensure(&mut write, tenant.tenant_id, settings.name.as_str(), &user_name).await?;
    store::commit(write).await?;
    let Some(mut work) = borrow(shared, &row, caller, Priority::High, on_progress).await? else {
        return Err(unknown(tenant, settings.name.as_str()));
    };
    let made = work.make(settings, &roles, take_over || settings.take_over).await;
    let object_id = work.account.object_id;
    let user_name = work.account.user_name.clone();
    if made.is_err() && object_id.is_none() && work.account.creating_since.is_none() {
        // Nothing of it is anywhere: then the store does not manage it either.
        let mut write = shared.store.write().await?;
        rows::release(&mut write, work.loan(), shared.clock.now()).await?;
        store::commit(write).await?;
    }
    shared.store.return_break_glass(work.loan()).await?;
    let made = made?;
    let object_id = object_id.ok_or_else(|| Failure::AccountNotReplicated(user_name.clone()))?;
    Ok(PreparedBreakGlass {
        user_name,
        object_id,
        created: made.created,
        taken_over: made.taken_over,
        problems: made.problems,
        remarks: made.remarks,
    })
}

/// A tenant is disconnected only once its break-glass accounts are in somebody else's hands: without its application
/// nobody would rotate them, and nobody would know that.
pub(crate) async fn refuse_while_managed(shared: &Shared, tenant: &TenantRow) -> Result<(), EngineError> {
    let managed = shared.store.break_glass_of(tenant.tenant_id).await?;
    if managed.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = managed.iter().map(|row| row.user_name.as_str()).collect();
    let what = format!(
        "Latchkey still manages {}: hand it over, disable or delete it first with `latchkey break-glass remove`",
        names.join(" and ")
    );
    Err(EngineError::from(Failure::ConfigurationInvalid(what)).in_tenant(&tenant.name))
}

/// Names or ids to roles, as the tenant has them now.
async fn resolve_roles(shared: &Shared, tenant: &TenantRow, asked: &[String]) -> Result<Vec<crate::Role>, EngineError> {
    let action = "list the directory roles";
    let answer = shared
        .session(tenant)
        .collect(graph::read_role_definitions(), Priority::High)
        .await
        .map_err(|trouble| trouble.to_error(action))?;
    if !answer.is_success() {
        return Err(Trouble::of_answer(&answer).to_error(action));
    }
    let definitions: Vec<RoleDefinition> =
        Page::of(answer).ok_or_else(|| Failure::Internal("the directory roles cannot be read".to_owned()))?;
    let mut failures = Vec::new();
    let roles = preflight::resolve_roles(asked, &definitions, &mut failures);
    failures.into_iter().next().map_or(Ok(roles), |failure| Err(failure.into()))
}

/// Borrows the account for somebody who waits. `None`: it is no longer managed.
async fn borrow<'a>(
    shared: &'a Shared,
    row: &BreakGlassRow,
    caller: &Caller,
    priority: Priority,
    on_progress: OnProgress<'a>,
) -> Result<Option<Work<'a>>, EngineError> {
    let patience = shared.settings.patience;
    let began = shared.clock.elapsed();
    let loan: Loan = loop {
        if let Some(loan) = shared.store.borrow_break_glass(row.account_id, shared.clock.now()).await? {
            break loan;
        }
        if shared.clock.elapsed() - began >= milliseconds(patience.fault) {
            return Err(Failure::Busy(row.user_name.clone()).into());
        }
        shared.clock.sleep(ASK_AGAIN).await;
    };
    Work::new(shared, loan, caller, priority, (patience.fault, patience.replication), on_progress).await
}

async fn reveal(
    shared: &Shared,
    tenant: &TenantRow,
    mut row: BreakGlassRow,
    reason: &str,
    caller: &Caller,
) -> Result<RevealedBreakGlass, EngineError> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(
            Failure::ConfigurationInvalid("a break-glass password is shown only for a reason".to_owned()).into()
        );
    }
    let technician = &shared.settings.technician;
    let wanted = settings::of_tenant(&shared.settings.break_glass, tenant)?;
    let settings = wanted.into_iter().find(|settings| settings.name.as_str() == row.name);
    let Some(settings) = settings.filter(|settings| settings.may_reveal(technician)) else {
        let groups = settings.map(|settings| settings.reveal.clone()).unwrap_or_default();
        let detail = json!({ "reason": reason, "allowed_groups": groups, "groups": technician.groups });
        let event = AuditEvent::BreakGlassRevealRefused;
        shared.audit(tenant.tenant_id, event, caller, None, Some(&row.user_name), detail).await?;
        return Err(Failure::RevealNotAllowed { user_name: row.user_name, groups }.into());
    };
    for _ in 0..REVEAL_TRIES {
        let (belief, weighed) = row.passwords.weigh(row.last_change);
        if weighed.is_empty() {
            return Err(Failure::BreakGlassNotReady(row.user_name).into());
        }
        let mut passwords = Vec::new();
        for (generation, likelihood) in &weighed {
            if let Some(value) = sealed::unseal(&shared.secrets, row.entry(*generation)).await? {
                let since = since(&row, *generation);
                passwords.push(RevealedPassword { value, likelihood: *likelihood, since });
            }
        }
        // Looked up before it is on record, shown after: a key store that is locked is no reveal.
        let now = shared.clock.now();
        let rotated_by = now + milliseconds(settings.rotate_after_reveal.duration());
        let mut write = shared.store.write().await?;
        store::refuse_in_lockdown(&mut write).await?;
        if rows::revealing(&mut write, &row, now, rotated_by).await? {
            let lost = passwords.is_empty();
            if lost {
                drop(write);
                return Err(Failure::PasswordLost(row.user_name).into());
            }
            let detail = json!({ "reason": reason, "passwords": passwords.len(), "rotated_by": rotated_by });
            let event = AuditEvent::BreakGlassRevealed;
            let entry = shared.entry(tenant.tenant_id, event, caller, None, Some(&row.user_name), detail);
            store::append(&mut write, &entry).await?;
            store::commit(write).await?;
            let warning = warning(belief, &weighed, passwords.len());
            let (tenant_name, user_name) = (tenant.name.clone(), row.user_name);
            return Ok(RevealedBreakGlass { tenant_name, user_name, passwords, warning, rotated_by });
        }
        drop(write);
        // It was replaced while we looked it up.
        let Some(fresh) = shared.store.break_glass_account(row.account_id).await? else {
            return Err(unknown(tenant, &row.name));
        };
        row = fresh;
    }
    Err(Failure::Busy(row.user_name).into())
}

/// Since when a password may be the one.
fn since(row: &BreakGlassRow, generation: i64) -> i64 {
    let proven = row.passwords.proven.filter(|proven| proven.generation == generation).map(|proven| proven.since);
    let sent = row.passwords.candidates.iter().find(|one| one.generation == generation).map(|one| one.sent_at);
    proven.or(sent).unwrap_or_default()
}

fn warning(belief: Belief, weighed: &[(i64, Likelihood)], found: usize) -> Option<String> {
    if found < weighed.len() {
        return Some("The key store has lost one of the passwords that may be valid: rotate it soon.".to_owned());
    }
    match belief {
        Belief::Proven | Belief::None => None,
        Belief::ChangedElsewhere => Some(
            "The directory shows a change of the password that is none of ours: this one is probably not valid any \
             more. `latchkey break-glass rotate` sets a new one."
                .to_owned(),
        ),
        Belief::Uncertain if weighed.first().is_some_and(|(_, likelihood)| *likelihood == Likelihood::Likely) => Some(
            "A rotation was not answered, so it is not known for certain which of these is valid. Try the first one \
             first: what the directory shows speaks for it."
                .to_owned(),
        ),
        Belief::Uncertain => Some(
            "A rotation was not answered, and the directory could not be asked since: either may be valid.".to_owned(),
        ),
    }
}

fn summary(
    shared: &Shared,
    tenant: &TenantRow,
    settings: Option<&BreakGlassSettings>,
    row: Option<&BreakGlassRow>,
) -> BreakGlassSummary {
    let name = row.map(|row| row.name.clone()).or_else(|| settings.map(|one| one.name.as_str().to_owned()));
    let name = name.unwrap_or_default();
    let user_name = row.map_or_else(|| format!("{name}@{}", tenant.domain.to_lowercase()), |row| row.user_name.clone());
    let belief = row.map_or(Belief::None, |row| row.passwords.weigh(row.last_change).0);
    BreakGlassSummary {
        tenant_id: tenant.tenant_id,
        tenant_name: tenant.name.clone(),
        configured: settings.is_some(),
        ready: row.is_some_and(|row| row.ready),
        taken_over: row.is_some_and(|row| row.taken_over),
        roles: settings.map(|settings| settings.roles.clone()).unwrap_or_default(),
        reveal: settings.map(|settings| settings.reveal.clone()).unwrap_or_default(),
        may_reveal: settings.is_some_and(|settings| settings.may_reveal(&shared.settings.technician)),
        password: belief,
        proven_since: row.and_then(|row| row.passwords.proven).map(|proven| proven.since),
        next_rotation: row.filter(|row| is_scheduled(row)).map(|row| due(shared, row, settings, Task::Rotate).at),
        revealed_at: row.and_then(|row| row.revealed_at),
        problem: row.and_then(|row| row.problem.clone()).or_else(|| {
            let failure =
                (belief == Belief::ChangedElsewhere).then(|| Failure::PasswordChangedElsewhere(user_name.clone()));
            failure.map(|failure| EngineError::from(failure).in_tenant(&tenant.name).to_body())
        }),
        name,
        user_name,
    }
}

/// Whether somebody must do something about it without being asked: an account that was never made is a person's.
const fn is_scheduled(row: &BreakGlassRow) -> bool {
    row.object_id.is_some()
}

/// What is due next for an account; with `Task::Rotate`, when it is rotated, whatever else is due before.
fn due(shared: &Shared, row: &BreakGlassRow, settings: Option<&BreakGlassSettings>, what: Task) -> Due {
    // What is no longer in the configuration is still rotated, as often as usual.
    let interval = settings.map(|settings| settings.rotate_every).unwrap_or_default();
    let quiet = rules::Passwords { candidates: Vec::new(), ..row.passwords.clone() };
    let timing = Timing {
        tenant_id: row.tenant_id,
        name: &row.name,
        passwords: if what == Task::Rotate { &quiet } else { &row.passwords },
        rotate_by: row.rotate_by,
        attempts: row.attempts,
        retry_at: row.retry_at,
        looked_at: row.looked_at,
        interval: milliseconds(interval.duration()),
        ahead: shared.http.offset().unwrap_or(0),
    };
    timing.due(shared.clock.now())
}

/// Every account with what is due next for it, soonest first.
async fn schedule(shared: &Shared) -> Result<Vec<(Due, BreakGlassRow)>, EngineError> {
    let all = shared.store.break_glass().await?;
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let tenants: BTreeMap<_, _> =
        shared.store.tenants().await?.into_iter().map(|tenant| (tenant.tenant_id, tenant)).collect();
    let mut schedule = Vec::with_capacity(all.len());
    for row in all.into_iter().filter(is_scheduled) {
        let tenant = tenants.get(&row.tenant_id);
        // A configuration with too many accounts in a tenant must not keep those that are managed from being rotated.
        let wanted = tenant.and_then(|tenant| settings::of_tenant(&shared.settings.break_glass, tenant).ok());
        let settings = wanted.into_iter().flatten().find(|settings| settings.name.as_str() == row.name);
        schedule.push((due(shared, &row, settings, Task::Look), row));
    }
    schedule.sort_by_key(|(due, _)| due.at);
    Ok(schedule)
}

/// When the first account is due, Unix time in milliseconds.
pub(crate) async fn next_due(shared: &Shared) -> Result<Option<i64>, EngineError> {
    Ok(schedule(shared).await?.first().map(|(due, _)| due.at))
}

/// The part of a sweep that is about break-glass accounts.
pub(crate) async fn sweep(shared: &Arc<Shared>) -> Result<RotationReport, EngineError> {
    rotate_due(shared, PER_SWEEP).await
}

async fn rotate_due(shared: &Arc<Shared>, most: usize) -> Result<RotationReport, EngineError> {
    let now = shared.clock.now();
    let mut waiting = schedule(shared).await?.into_iter().take_while(|(due, _)| due.at <= now).take(most);
    let mut report = RotationReport::default();
    let mut working = JoinSet::new();
    loop {
        while working.len() < AT_ONCE {
            let Some((due, row)) = waiting.next() else { break };
            let shared = Arc::clone(shared);
            working.spawn(async move { attend(&shared, due, &row).await });
        }
        let Some(finished) = working.join_next().await else { break };
        let finished = finished
            .map_err(|error| Failure::Internal(format!("a rotation was interrupted: {error}")).into())
            .flatten();
        match finished {
            Ok(attended) => {
                report.looked_at += usize::from(attended.looked);
                report.rotated.extend(attended.rotated);
                report.problems.extend(attended.problem);
            }
            // What is wrong with one account must not keep the others from being looked after.
            Err(error) => {
                tracing::error!(%error, "a break-glass account cannot be looked after");
                report.problems.push(error.to_body());
            }
        }
    }
    if report.looked_at > 0 {
        shared.remember_clock().await?;
    }
    Ok(report)
}

/// What was done about one account.
#[derive(Default)]
struct Attended {
    looked: bool,
    rotated: Option<String>,
    problem: Option<ErrorBody>,
}

async fn attend(shared: &Shared, due: Due, row: &BreakGlassRow) -> Result<Attended, EngineError> {
    let Some(loan) = shared.store.borrow_break_glass(row.account_id, shared.clock.now()).await? else {
        // Somebody is at it; if that comes to nothing the next sweep finds it.
        return Ok(Attended::default());
    };
    let quiet = |_| {};
    let patience = (PATIENCE, PATIENCE);
    let Some(mut work) = Work::new(shared, loan, &Caller::Sweep, Priority::Low, patience, &quiet).await? else {
        return Ok(Attended::default());
    };
    // Another process may have rotated it between our reading the row and our getting the loan.
    let before = work.account.passwords.proven;
    if before != row.passwords.proven || work.account.attempts != row.attempts {
        shared.store.return_break_glass(work.loan()).await?;
        return Ok(Attended::default());
    }
    let outcome = match due.what {
        Task::Rotate => work.rotate().await,
        Task::Look => work.look().await,
    };
    shared.store.return_break_glass(work.loan()).await?;
    let rotated = (work.account.passwords.proven != before).then(|| work.account.user_name.clone());
    let problem = outcome.err().map(|error| {
        let mut problem = error.in_tenant(&work.tenant.name).to_body();
        problem.tenant.get_or_insert_with(|| work.tenant.name.clone());
        problem
    });
    Ok(Attended { looked: true, rotated, problem })
}

async fn change_app_role(shared: &Shared, tenant_id: Uuid, grant: bool, caller: &Caller) -> Result<bool, EngineError> {
    let tenant = shared.store.tenant(tenant_id).await?;
    let outcome = change_app_role_in(shared, &tenant, grant, caller).await;
    outcome.map_err(|error| error.in_tenant(&tenant.name))
}

async fn change_app_role_in(
    shared: &Shared,
    tenant: &TenantRow,
    grant: bool,
    caller: &Caller,
) -> Result<bool, EngineError> {
    const PERMISSION: &str = "RoleManagement.ReadWrite.Directory";
    let role = work::PRIVILEGED_AUTHENTICATION_ADMINISTRATOR;
    let session = shared.session(tenant);
    let capabilities = session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
    if !capabilities.has(PERMISSION) {
        return Err(Failure::PermissionMissing(vec![PERMISSION.to_owned()]).into());
    }
    let application = capabilities
        .object_id
        .ok_or_else(|| Failure::TokenRefused("the token does not name the application's object".to_owned()))?;
    let action = if grant { "give the application a role" } else { "take the application's role" };
    let read = async || {
        let request = graph::read_role_assignments(application);
        let answer = session.send(&request, Priority::High).await.map_err(|trouble| trouble.to_error(action))?;
        if !answer.is_success() {
            return Err(Trouble::of_answer(&answer).to_error(action));
        }
        graph::assignments(answer)
            .ok_or_else(|| EngineError::from(Failure::Internal("role assignments cannot be read".to_owned())))
    };
    let held: Vec<String> = read().await?.into_iter().filter(|(_, held)| *held == role).map(|(id, _)| id).collect();
    if held.is_empty() != grant {
        return Ok(false);
    }
    let event = if grant { AuditEvent::AppRoleGranting } else { AuditEvent::AppRoleRevoking };
    let detail = json!({ "role": "Privileged Authentication Administrator", "application": application });
    shared.audit(tenant.tenant_id, event, caller, None, None, detail).await?;
    let requests = if grant {
        vec![graph::assign_role(application, role)]
    } else {
        held.iter().map(|assignment| graph::remove_role_assignment(assignment)).collect()
    };
    for request in requests {
        let answer = session.send(&request, Priority::High).await.map_err(|trouble| trouble.to_error(action))?;
        // A duplicate, or gone already: what counts is how it is afterwards.
        let settled = answer.is_success() || matches!((grant, answer.status), (true, 400) | (false, 404));
        if !settled {
            return Err(Trouble::of_answer(&answer).to_error(action));
        }
        if answer.status == 400 && !read().await?.values().any(|held| *held == role) {
            return Err(Trouble::of_answer(&answer).to_error(action));
        }
    }
    // Tokens carry the roles that their bearer had when they were issued.
    session.forget_token().await;
    if grant {
        shared.store.retry_break_glass_soon(tenant.tenant_id, shared.clock.now()).await?;
    }
    Ok(true)
}
