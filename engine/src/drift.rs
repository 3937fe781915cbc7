//! Comparing every account of ours, in every tenant, with what the store says about it.
//!
//! The sweep looks at each account that this store decides about. Drift begins at the other end: at what carries our
//! mark in the directory, and so also finds what no store knows. One batch per tenant tells whether anything is wrong;
//! only what looks wrong is read again (the first answer comes from an index that lags behind). What is ours to repair
//! goes through the one loop, under a loan; what another machine decides about is reported, and changed only when a
//! person says so. Break-glass accounts are left alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use latchkey_protocol::ErrorBody;
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    AccountOwner, AuditEvent, BREAK_GLASS_MARK, Caller, Engine, EngineError, Failure, OnEnded,
    drive::ending_problem,
    engine::Shared,
    graph::{self, FoundAccount, Priority, Session, Trouble},
    lifecycle::{self, settle},
    plan::{Observed, Password},
    store::{self, AccountRow, LeaseRow, TenantRow},
    sweep::differences,
};

/// How many tenants are looked at at once.
const AT_ONCE: usize = 32;
/// How many requests a batch may hold.
const BATCH: usize = 20;

/// What is to be done about what is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriftOptions {
    /// Also make accounts dormant that another machine decides about, or that no store knows.
    pub repair_others: bool,
    /// Believe nothing that the store says about accounts without a lease: it may have been restored from a backup.
    pub doubt_the_store: bool,
}

/// How an account differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// It may sign in, or holds roles or groups, and no lease says so.
    ActiveWithoutLease,
    /// During a lease somebody gave it more, or took something away.
    ChangedDuringLease,
    /// It carries our mark, and the store does not know it.
    Unknown,
    /// It was deleted.
    Deleted,
    /// It was renamed.
    Renamed,
    /// It lost our mark.
    Unmarked,
    /// Nothing is known to be wrong; it was made dormant because the store is doubted.
    Doubted,
}

/// One difference.
#[derive(Clone, Debug, Serialize)]
pub struct Drift {
    /// Directory (tenant) id.
    pub tenant_id: Uuid,
    /// The tenant's display name.
    pub tenant_name: String,
    /// User principal name, as it is in the directory where it is there.
    pub user_name: String,
    /// Object id in the directory.
    pub object_id: Option<Uuid>,
    /// Whose account it is.
    pub owner: AccountOwner,
    /// Whether this store decides about it.
    pub here: bool,
    /// How it differs.
    pub kind: DriftKind,
    /// In words.
    pub found: String,
    /// Whether it is as it should be now, read back.
    pub repaired: bool,
    /// Why it could not be repaired, if that was tried.
    pub problem: Option<ErrorBody>,
}

/// What [`Engine::drift`] found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DriftReport {
    /// How many tenants answered.
    pub tenants: usize,
    /// How many accounts of ours were compared.
    pub accounts: usize,
    /// How many break-glass accounts were seen and left alone.
    pub break_glass: usize,
    /// What differs.
    pub found: Vec<Drift>,
    /// Tenants that could not be asked.
    pub problems: Vec<ErrorBody>,
}

impl DriftReport {
    /// Whether nothing is left for a person to do.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.found.iter().all(|drift| drift.repaired)
    }
}

/// One tenant's part.
#[derive(Default)]
struct Seen {
    accounts: usize,
    break_glass: usize,
    found: Vec<Drift>,
}

impl Engine {
    /// Compares every account of ours with the store, in one tenant or in all of them side by side, and repairs what
    /// this store decides about.
    ///
    /// # Errors
    /// `TenantUnknown`, or the database cannot be used; tenants that cannot be asked are in the report.
    pub async fn drift(
        &self,
        tenant_id: Option<Uuid>,
        options: DriftOptions,
        caller: &Caller,
        on_done: OnEnded<'_>,
    ) -> Result<DriftReport, EngineError> {
        let shared = self.shared();
        let tenants = match tenant_id {
            Some(tenant_id) => vec![shared.store.tenant(tenant_id).await?],
            None => shared.store.tenants().await?,
        };
        let total = tenants.len();
        let mut report = DriftReport::default();
        let mut waiting = tenants.into_iter();
        let mut working = JoinSet::new();
        loop {
            while working.len() < AT_ONCE {
                let Some(tenant) = waiting.next() else { break };
                let (shared, caller) = (Arc::clone(shared), caller.clone());
                working.spawn(async move {
                    compare_tenant(&shared, &tenant, options, &caller)
                        .await
                        .map_err(|error| error.in_tenant(&tenant.name))
                });
            }
            let Some(finished) = working.join_next().await else { break };
            let finished = finished
                .map_err(|error| EngineError::from(Failure::Internal(format!("a tenant was interrupted: {error}"))))
                .flatten();
            match finished {
                Ok(seen) => {
                    report.tenants += 1;
                    report.accounts += seen.accounts;
                    report.break_glass += seen.break_glass;
                    report.found.extend(seen.found);
                }
                Err(error) => report.problems.push(error.to_body()),
            }
            on_done(report.tenants + report.problems.len(), total);
        }
        report
            .found
            .sort_by(|one, other| (&one.tenant_name, &one.user_name).cmp(&(&other.tenant_name, &other.user_name)));
        shared.remember_clock().await?;
        Ok(report)
    }
}

/// What the directory says about the accounts of one tenant.
struct Directory {
    /// By object id; what was read again is from the directory itself.
    accounts: BTreeMap<Uuid, FoundAccount>,
    roles: BTreeMap<Uuid, BTreeMap<String, Uuid>>,
    groups: BTreeMap<Uuid, BTreeMap<Uuid, bool>>,
}

async fn compare_tenant(
    shared: &Shared,
    tenant: &TenantRow,
    options: DriftOptions,
    caller: &Caller,
) -> Result<Seen, EngineError> {
    let session = shared.session(tenant);
    let rows = shared.store.accounts_of(tenant.tenant_id).await?;
    let mut leases: BTreeMap<Uuid, Vec<LeaseRow>> = BTreeMap::new();
    for row in &rows {
        leases.insert(row.account_id, shared.store.open_leases_of(row.account_id).await?);
    }
    let mut directory = read(shared, tenant, &session, &rows, &leases)
        .await
        .map_err(|trouble| trouble.to_error("list the accounts"))?;

    let mut seen = Seen::default();
    directory.accounts.retain(|_, account| {
        let break_glass = account.mark().is_some_and(|mark| mark.starts_with(BREAK_GLASS_MARK));
        seen.break_glass += usize::from(break_glass);
        !break_glass
    });
    for row in &rows {
        seen.accounts += 1;
        let leases = leases.get(&row.account_id).map(Vec::as_slice).unwrap_or_default();
        for (kind, found) in differences_of(row, leases, &directory, options) {
            let account = row.object_id.and_then(|id| directory.accounts.get(&id));
            let user_name = account.and_then(|account| account.user_principal_name.clone());
            let mut drift = Drift {
                tenant_id: tenant.tenant_id,
                tenant_name: tenant.name.clone(),
                user_name: user_name.unwrap_or_else(|| row.user_name.clone()),
                object_id: row.object_id,
                owner: row.owner.clone(),
                here: row.here,
                kind,
                found,
                repaired: false,
                problem: None,
            };
            // What somebody else changed during a lease stays as it is until the lease ends, and then goes; a name can
            // be given back only to an account without roles.
            let waits = kind == DriftKind::ChangedDuringLease || kind == DriftKind::Renamed && !leases.is_empty();
            if !waits && (row.here || options.repair_others) {
                repair(shared, tenant, row, &mut drift, options, caller).await?;
            }
            seen.found.push(drift);
        }
    }
    let known: BTreeSet<Uuid> = rows.iter().filter_map(|row| row.object_id).collect();
    let acting = shared.owner_for(tenant, &shared.settings.technician);
    for (object_id, account) in directory.accounts.iter().filter(|(id, _)| !known.contains(id)) {
        let Some(owner) = account.mark().and_then(AccountOwner::of_mark) else { continue };
        seen.accounts += 1;
        let state = state_of(account, directory.roles.get(object_id), directory.groups.get(object_id));
        let ours = owner == acting;
        // A colleague's dormant account is in order: the colleague's machine has its store.
        if !ours && state.is_none() {
            continue;
        }
        let mut drift = Drift {
            tenant_id: tenant.tenant_id,
            tenant_name: tenant.name.clone(),
            user_name: account.user_principal_name.clone().unwrap_or_default(),
            object_id: Some(*object_id),
            owner,
            here: ours,
            kind: DriftKind::Unknown,
            found: match state {
                Some(state) => format!("this store does not know it, and it {state}"),
                None => "this store did not know it".to_owned(),
            },
            repaired: false,
            problem: None,
        };
        if ours || options.repair_others {
            adopt(shared, tenant, &mut drift, caller).await?;
        }
        seen.found.push(drift);
    }
    Ok(seen)
}

/// One batch for everything, and a second one for what looks wrong or is not there.
async fn read(
    shared: &Shared,
    tenant: &TenantRow,
    session: &Session,
    rows: &[AccountRow],
    leases: &BTreeMap<Uuid, Vec<LeaseRow>>,
) -> Result<Directory, Trouble> {
    let unreadable = || Trouble::silence("an answer cannot be read".to_owned(), false);
    let stored: Vec<Uuid> = rows.iter().filter_map(|row| row.object_id).collect();
    let mut requests = vec![graph::accounts_by_mark(), graph::every_role_assignment()];
    requests.extend(stored.iter().take(BATCH - requests.len()).map(|id| graph::read_memberships(*id)));
    let first = requests.len() - 2;
    let mut answers = session.batch(&requests, false, Priority::Low).await?.into_iter();
    let mut next = || answers.next().ok_or_else(unreadable);
    let (mut marked, roles) = (next()?, next()?);
    if matches!(marked.status, 400 | 403 | 501) {
        // This directory does not search by mark.
        let by_name = graph::accounts_by_prefix(&shared.settings.account_prefix);
        marked = session.send(&by_name, Priority::Low).await?;
    }
    if !marked.is_success() {
        return Err(Trouble::of_answer(&marked));
    }
    let marked = session.rest_of(marked, Priority::Low).await?;
    let found = graph::found_accounts(marked).ok_or_else(unreadable)?;
    let mut roles_of = BTreeMap::new();
    if roles.status == 400 {
        // This directory lists assignments by principal only.
        let everybody: BTreeSet<Uuid> = found.iter().map(|account| account.id).chain(stored.iter().copied()).collect();
        let requests: Vec<_> = everybody.iter().map(|id| graph::read_role_assignments(*id)).collect();
        for requests in requests.chunks(BATCH) {
            for answer in session.batch(requests, false, Priority::Low).await? {
                if !answer.is_success() {
                    return Err(Trouble::of_answer(&answer));
                }
                roles_of.extend(graph::principals_of(answer).ok_or_else(unreadable)?);
            }
        }
    } else if roles.is_success() {
        let roles = session.rest_of(roles, Priority::Low).await?;
        roles_of = graph::principals_of(roles).ok_or_else(unreadable)?;
    } else {
        return Err(Trouble::of_answer(&roles));
    }
    let mut accounts: BTreeMap<Uuid, FoundAccount> = found.into_iter().map(|account| (account.id, account)).collect();
    let mut groups = BTreeMap::new();
    for id in stored.iter().take(first) {
        let answer = next()?;
        groups.insert(*id, memberships(shared, tenant, session, rows, *id, answer).await?);
    }

    // What looks wrong is read from the directory itself; what the store does not know, with its groups.
    let mut again: Vec<Uuid> = Vec::new();
    for row in rows {
        let Some(id) = row.object_id else { continue };
        let live = leases.get(&row.account_id).is_some_and(|leases| leases.iter().any(LeaseRow::is_live));
        let in_order = accounts.get(&id).is_some_and(|account| {
            account.account_enabled == Some(live)
                && account.mark() == Some(row.owner.mark().as_str())
                && account.user_principal_name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&row.user_name))
        });
        if !in_order {
            again.push(id);
        }
    }
    let unknown: Vec<Uuid> = accounts.keys().filter(|id| !stored.contains(id)).copied().collect();
    again.extend(&unknown);
    let unread: Vec<Uuid> = stored.iter().skip(first).chain(&unknown).copied().collect();
    for ids in again.chunks(BATCH) {
        let requests: Vec<_> = ids.iter().map(|id| graph::read_account(*id)).collect();
        for (id, answer) in ids.iter().zip(session.batch(&requests, false, Priority::Low).await?) {
            match answer.status {
                404 => drop(accounts.remove(id)),
                200..300 => drop(accounts.insert(*id, graph::found_account(answer).ok_or_else(unreadable)?)),
                _ => return Err(Trouble::of_answer(&answer)),
            }
        }
    }
    for ids in unread.chunks(BATCH) {
        let requests: Vec<_> = ids.iter().map(|id| graph::read_memberships(*id)).collect();
        for (id, answer) in ids.iter().zip(session.batch(&requests, false, Priority::Low).await?) {
            groups.insert(*id, memberships(shared, tenant, session, rows, *id, answer).await?);
        }
    }
    Ok(Directory { accounts, roles: roles_of, groups })
}

/// The memberships that are ours to take away; none where the account is not there.
async fn memberships(
    shared: &Shared,
    tenant: &TenantRow,
    session: &Session,
    rows: &[AccountRow],
    object_id: Uuid,
    answer: graph::Answer,
) -> Result<BTreeMap<Uuid, bool>, Trouble> {
    if answer.status == 404 {
        return Ok(BTreeMap::new());
    }
    if !answer.is_success() {
        return Err(Trouble::of_answer(&answer));
    }
    let answer = session.rest_of(answer, Priority::Low).await?;
    let mut ours: BTreeSet<Uuid> = tenant.groups.iter().copied().collect();
    if let Some(row) = rows.iter().find(|row| row.object_id == Some(object_id)) {
        match shared.store.groups_ever_granted(row.account_id).await {
            Ok(granted) => ours.extend(granted),
            Err(error) => return Err(Trouble::before_sending(error.failure().clone(), None)),
        }
    }
    graph::memberships(answer, &ours).ok_or_else(|| Trouble::silence("an answer cannot be read".to_owned(), false))
}

/// What an account can do, in words; nothing when it is dormant as far as can be read.
fn state_of(
    account: &FoundAccount,
    roles: Option<&BTreeMap<String, Uuid>>,
    groups: Option<&BTreeMap<Uuid, bool>>,
) -> Option<String> {
    let mut parts = Vec::new();
    if account.account_enabled != Some(false) {
        parts.push("is enabled".to_owned());
    }
    match roles.map_or(0, BTreeMap::len) {
        0 => {}
        1 => parts.push("holds a role".to_owned()),
        many => parts.push(format!("holds {many} roles")),
    }
    match groups.map_or(0, BTreeMap::len) {
        0 => {}
        1 => parts.push("is in a group".to_owned()),
        many => parts.push(format!("is in {many} groups")),
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn differences_of(
    row: &AccountRow,
    leases: &[LeaseRow],
    directory: &Directory,
    options: DriftOptions,
) -> Vec<(DriftKind, String)> {
    let mut all = Vec::new();
    let account = row.object_id.and_then(|id| directory.accounts.get(&id).map(|account| (id, account)));
    let Some((id, account)) = account else {
        if row.object_id.is_some() {
            all.push((DriftKind::Deleted, "it was deleted".to_owned()));
        }
        return all;
    };
    let (roles, groups) = (directory.roles.get(&id), directory.groups.get(&id));
    if leases.is_empty() {
        match state_of(account, roles, groups) {
            Some(state) => all.push((DriftKind::ActiveWithoutLease, format!("it {state}, and no lease says so"))),
            None if options.doubt_the_store && row.here => {
                all.push((DriftKind::Doubted, "the store may have forgotten a lease".to_owned()));
            }
            None => {}
        }
    } else if leases.iter().all(LeaseRow::is_live) {
        let known = Observed {
            exists: true,
            enabled: account.account_enabled != Some(false),
            roles: roles.cloned().unwrap_or_default(),
            groups: groups.cloned().unwrap_or_default(),
            ..Observed::absent()
        };
        let differences = differences(&known, leases);
        if !differences.is_empty() {
            all.push((DriftKind::ChangedDuringLease, differences.join(", ")));
        }
    }
    if account.mark() != Some(row.owner.mark().as_str()) {
        all.push((DriftKind::Unmarked, "it lost the mark by which it is found again".to_owned()));
    }
    if account.user_principal_name.as_ref().is_some_and(|name| !name.eq_ignore_ascii_case(&row.user_name)) {
        all.push((DriftKind::Renamed, format!("it was called {}", row.user_name)));
    }
    all
}

/// Makes it as the store says, and writes into the finding whether that was done.
async fn repair(
    shared: &Shared,
    tenant: &TenantRow,
    row: &AccountRow,
    drift: &mut Drift,
    options: DriftOptions,
    caller: &Caller,
) -> Result<(), EngineError> {
    let doubted = options.doubt_the_store && drift.kind != DriftKind::Deleted;
    let outcome = work_on(shared, tenant, row.account_id, drift, doubted, caller).await;
    note(shared, tenant, row.account_id, drift, outcome).await
}

/// Takes an account into the store that it did not know, and makes it dormant.
async fn adopt(shared: &Shared, tenant: &TenantRow, drift: &mut Drift, caller: &Caller) -> Result<(), EngineError> {
    let mut write = shared.store.write().await?;
    let user_name = drift.user_name.to_lowercase();
    let adopted = store::ensure(&mut write, tenant.tenant_id, &drift.owner, &user_name, drift.here).await?;
    store::commit(write).await?;
    let Some(account_id) = adopted else {
        drift.problem = Some(crate::accounts::name_of_two(&user_name).in_tenant(&tenant.name).to_body());
        return Ok(());
    };
    let outcome = work_on(shared, tenant, account_id, drift, true, caller).await;
    note(shared, tenant, account_id, drift, outcome).await
}

async fn note(
    shared: &Shared,
    tenant: &TenantRow,
    account_id: Uuid,
    drift: &mut Drift,
    outcome: Result<(), EngineError>,
) -> Result<(), EngineError> {
    match outcome {
        Ok(()) => drift.repaired = true,
        Err(error) if matches!(error.failure(), Failure::Busy(_)) => {
            drift.problem = Some(error.in_tenant(&tenant.name).to_body());
        }
        Err(error) => {
            let problem = ending_problem(&error, &tenant.name);
            shared.store.note_account_problem(account_id, Some(&problem)).await?;
            drift.problem = Some(problem);
        }
    }
    Ok(())
}

/// The repair itself, under the loan; what it is about to do is in the log before.
async fn work_on(
    shared: &Shared,
    tenant: &TenantRow,
    account_id: Uuid,
    drift: &Drift,
    doubted: bool,
    caller: &Caller,
) -> Result<(), EngineError> {
    let Some(claim) = shared.store.claim(account_id, shared.clock.now()).await? else {
        return Err(Failure::Busy(drift.user_name.clone()).into());
    };
    let quiet = |_| {};
    let mut drive = lifecycle::drive(shared, tenant, claim, caller, Priority::Normal, &quiet).await?;
    let outcome = async {
        let detail = json!({ "kind": drift.kind, "found": drift.found, "object_id": drift.object_id });
        let user_name = Some(drift.user_name.as_str());
        shared.audit(tenant.tenant_id, AuditEvent::DriftFound, caller, None, user_name, detail).await?;
        drive.account.object_id = drift.object_id.or(drive.account.object_id);
        drive.account.certain = false;
        if doubted && shared.store.open_leases_of(account_id).await?.is_empty() {
            // Whoever forgot the lease forgot who was told the password.
            drive.account.known.password = Password::Issued;
            drive.account.known.sessions = true;
        }
        let patched = match drift.kind {
            DriftKind::Unmarked => drift.object_id.map(|id| graph::set_mark(id, &drift.owner.mark())),
            _ => None,
        };
        settle(&mut drive).await?;
        // Its name is given back only after its roles are gone: changing it is a sensitive action.
        let renamed = match drift.kind {
            DriftKind::Renamed => drive.account.object_id.map(|id| graph::set_user_name(id, &drive.account.user_name)),
            _ => None,
        };
        for request in patched.into_iter().chain(renamed) {
            drive.hold().await?;
            let action = "put the account's mark and name right";
            let answer =
                drive.session.send(&request, Priority::Normal).await.map_err(|trouble| trouble.to_error(action))?;
            if !answer.is_success() {
                return Err(Trouble::of_answer(&answer).to_error(action));
            }
        }
        shared.store.note_account_problem(account_id, None).await
    }
    .await;
    shared.store.release(&claim).await?;
    outcome
}
