//! Passwords with one-time codes: OATH tokens of JIT accounts, made when an account is prepared, whose secret is kept in
//! the operating system's key store and computes the code at the moment at which it is filled.
//!
//! Beta: Microsoft has hardware OATH tokens in the beta version of Graph only. So nothing here is sent unless the
//! configuration switches it on for the tenant; what was made before it was switched off is still taken away.
//! A row says that a token may be there before anything is sent; its serial number is found again when adding it was
//! not answered. A secret is in the key store before it leaves for Graph, and leaves for nowhere else. A code leaves for
//! one field of one document, each once and after the audit log says so: Microsoft takes a code once, and later ones
//! only.

mod code;
mod policy;

pub(crate) use code::{HASH, SECONDS};
pub(crate) use policy::{OathObstacle, OathPolicy};

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use latchkey_protocol::{Step, StepState, cloud::Cloud};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::{
    AuditEvent, EngineError, Failure, Rules,
    drive::{Drive, Goal, Setback},
    engine::Shared,
    graph::{self, Answer, Capabilities, FoundToken, Priority, Request, Session, Trouble},
    plan::{Action, Desired},
    sealed,
    store::{self, AccountRow, ByAccount, Known, LeaseRow, OathRow, Store, TenantRow},
};

/// How long a new token takes until every sign-in page knows it, in milliseconds.
const PROPAGATION: i64 = 30_000;
/// Lists may lag so far behind: what was given to the account less long ago is there whether or not it is listed.
const LISTED_WITHIN: i64 = 180_000;
/// What was not answered in that time has not happened and does not happen any more.
const SILENCE_LASTS: i64 = 600_000;
/// A tenant that refused a token or a code is not asked again for so long, in milliseconds.
const REFUSAL_LASTS: i64 = 3_600_000;

/// Whether the configuration switches one-time codes on.
pub(crate) fn is_chosen(rules: &Rules) -> bool {
    rules.one_time_codes_beta == Some(true)
}

/// What stands between a tenant and one-time codes, as far as is known without looking at an account.
pub(crate) fn obstacle_in(
    chosen: bool,
    tenant: &TenantRow,
    capabilities: &Capabilities,
    known: &Known<OathPolicy>,
    now: i64,
) -> Option<OathObstacle> {
    if !chosen {
        return Some(OathObstacle::NotChosen);
    }
    if tenant.cloud != Cloud::Global {
        return Some(OathObstacle::Cloud);
    }
    if let Some(missing) = missing_permission(capabilities) {
        return Some(OathObstacle::Permission(missing));
    }
    if known.policy.as_ref().is_some_and(|policy| !policy.is_on()) {
        return Some(OathObstacle::SwitchedOff);
    }
    if !tenant.passwords_allowed {
        return Some(OathObstacle::Passwords);
    }
    let lately = known.refused_at.is_some_and(|at| (0..REFUSAL_LASTS).contains(&(now - at)));
    lately.then_some(OathObstacle::RefusedLately)
}

fn missing_permission(capabilities: &Capabilities) -> Option<&'static str> {
    if !capabilities.has(policy::TOKENS_OF_TENANT) {
        return Some(policy::TOKENS_OF_TENANT);
    }
    let of_accounts =
        capabilities.has(policy::TOKENS_OF_ACCOUNTS) || capabilities.has("UserAuthenticationMethod.ReadWrite.All");
    (!of_accounts).then_some(policy::TOKENS_OF_ACCOUNTS)
}

/// What stands between an account and its codes, by their rows alone.
fn obstacle_of(rows: &[OathRow], account: Option<&AccountRow>, now: i64) -> Option<OathObstacle> {
    let Some(account) = account else { return Some(OathObstacle::NotMade) };
    match rows.iter().filter(|row| is_usable(row, account)).filter_map(|row| row.activated_at).min() {
        None => Some(OathObstacle::NotMade),
        Some(first) if (0..PROPAGATION).contains(&(now - first)) => Some(OathObstacle::NotArrived),
        Some(_) => None,
    }
}

pub(crate) fn is_usable(row: &OathRow, account: &AccountRow) -> bool {
    Some(row.object_id) == account.object_id && row.activated_at.is_some()
}

/// The tenant's policy, if the configuration asks for it and it can be read.
pub(crate) async fn read_policy(
    rules: &Rules,
    session: &Session,
    cloud: Cloud,
    capabilities: &Capabilities,
) -> Option<OathPolicy> {
    if !is_chosen(rules) || cloud != Cloud::Global || missing_permission(capabilities).is_some() {
        return None;
    }
    let answer = session.send(&graph::oath_policy(), Priority::High).await.ok().filter(Answer::is_success)?;
    serde_json::from_value(answer.body).ok()
}

impl Shared {
    /// What is in the way of signing this account in with a password and a code now; none: it can be done.
    pub(crate) async fn oath_obstacle(
        &self,
        tenant: &TenantRow,
        capabilities: &Capabilities,
        account: &AccountRow,
    ) -> Result<Option<OathObstacle>, EngineError> {
        let chosen = is_chosen(&self.policy().rules(tenant.identity()));
        let (known, now) = (self.store.known(tenant.tenant_id).await?, self.now());
        if let Some(obstacle) = obstacle_in(chosen, tenant, capabilities, &known, now) {
            return Ok(Some(obstacle));
        }
        let rows = self.store.oath_tokens_of(account.account_id).await?;
        if let Some(obstacle) = obstacle_of(&rows, Some(account), now) {
            return Ok(Some(obstacle));
        }
        Ok(if self.usable_token(account).await?.is_some() { None } else { Some(OathObstacle::NotMade) })
    }

    /// Accounts that this machine decides about and that are to have a token and have none.
    pub(crate) async fn accounts_without_token(&self) -> Result<BTreeSet<Uuid>, EngineError> {
        let mut without = BTreeSet::new();
        for tenant in self.store.tenants().await? {
            if !self.wants_token(&tenant, &tenant.capabilities).await? {
                continue;
            }
            for account in self.store.accounts_of(tenant.tenant_id).await?.into_iter().filter(|account| account.here) {
                let rows = self.store.oath_tokens_of(account.account_id).await?;
                if obstacle_of(&rows, Some(&account), self.now()) == Some(OathObstacle::NotMade) {
                    without.insert(account.account_id);
                }
            }
        }
        Ok(without)
    }

    /// Whether the tenant's accounts are to have tokens.
    async fn wants_token(&self, tenant: &TenantRow, capabilities: &Capabilities) -> Result<bool, EngineError> {
        let chosen = is_chosen(&self.policy().rules(tenant.identity()));
        if !chosen || self.secrets.sealed().is_none() {
            return Ok(false);
        }
        let known = self.store.known(tenant.tenant_id).await?;
        Ok(obstacle_in(chosen, tenant, capabilities, &known, self.now()).is_none())
    }

    /// A token that the account can be signed in with, and its secret.
    async fn usable_token(&self, account: &AccountRow) -> Result<Option<(OathRow, SecretString)>, EngineError> {
        for row in self.store.oath_tokens_of(account.account_id).await? {
            if is_usable(&row, account)
                && let Some(secret) = sealed::unseal(&self.secrets, row.entry()).await?
            {
                return Ok(Some((row, secret)));
            }
        }
        Ok(None)
    }

    /// Whether the account can be signed in with a password and a code, by its rows alone.
    pub(crate) async fn has_token(&self, account: &AccountRow) -> Result<bool, EngineError> {
        Ok(self.store.oath_tokens_of(account.account_id).await?.iter().any(|row| is_usable(row, account)))
    }

    /// Throws a secret away, and then its row: what is left when this stops half-way is a row without a secret.
    async fn discard_token(&self, row: &OathRow) -> Result<(), EngineError> {
        sealed::discard(&self.secrets, row.entry()).await?;
        self.store.forget_oath_token(row.token_id).await
    }

    /// Throws away the secrets of an account that is gone, or that nobody decides about here any more.
    pub(crate) async fn discard_tokens_of(&self, account_id: Uuid) -> Result<(), EngineError> {
        for row in self.store.oath_tokens_of(account_id).await? {
            self.discard_token(&row).await?;
        }
        Ok(())
    }

    /// The code that signs the lease's account in now, by Microsoft's clock. One that has left already is not given
    /// again: then this waits for the next one, half a minute at most.
    pub(crate) async fn one_time_code(&self, lease: &LeaseRow) -> Result<SecretString, EngineError> {
        let account = self.store.account(lease.account_id).await?;
        let (row, secret) = self.usable_token(&account).await?.ok_or(Failure::OneTimeCodeGone)?;
        for _ in 0..3 {
            let step = code::step_at(self.microsofts_now());
            if self.store.take_oath_step(row.token_id, step).await? {
                return Ok(code::code(&secret, step)?);
            }
            let wait = Duration::from_millis(code::until_step(step + 1, self.microsofts_now()));
            self.clock.sleep(wait).await;
        }
        // Somebody else takes every one of them, or the clock was set back.
        Err(Failure::Busy(account.user_name).into())
    }

    /// Unix time in milliseconds as Microsoft has it.
    fn microsofts_now(&self) -> i64 {
        self.clock.now() + self.http.offset().unwrap_or(0)
    }
}

/// What is known of one-time codes in every tenant, from a few questions to the database.
pub(crate) struct Outlook {
    tenants: HashMap<Uuid, Known<OathPolicy>>,
    rows: ByAccount<OathRow>,
}

impl Outlook {
    pub(crate) async fn of_all(store: &Store) -> Result<Self, EngineError> {
        let tenants = store.known_everywhere().await?;
        let rows = store.oath_tokens().await?.into_iter().map(|row| (row.account_id, row));
        Ok(Self { tenants, rows: ByAccount::new(rows, store.accounts_with_oath_tokens().await?) })
    }

    /// The same of one account, without a look at anybody else's tokens.
    pub(crate) async fn of_one(store: &Store, tenant_id: Uuid, user_name: &str) -> Result<Self, EngineError> {
        let tenants = HashMap::from([(tenant_id, store.known(tenant_id).await?)]);
        let rows = match store.account_named(tenant_id, user_name).await? {
            Some(account) => ByAccount::of_one(store.oath_tokens_of(account.account_id).await?, account),
            None => ByAccount::default(),
        };
        Ok(Self { tenants, rows })
    }

    /// What is in the way of signing the account of that name in with a code, as far as the database can tell.
    pub(crate) fn obstacle(
        &self,
        rules: &Rules,
        tenant: &TenantRow,
        user_name: &str,
        now: i64,
    ) -> Option<OathObstacle> {
        let unknown = Known::default();
        let known = self.tenants.get(&tenant.tenant_id).unwrap_or(&unknown);
        let (account, rows) = self.rows.of(tenant.tenant_id, user_name);
        obstacle_in(is_chosen(rules), tenant, &tenant.capabilities, known, now)
            .or_else(|| obstacle_of(rows, account, now))
    }
}

/// Has a dormant account its token, if the configuration and the tenant let it. The account is on loan and has no lease.
///
/// # Errors
/// What Microsoft answers.
pub(crate) async fn provide(drive: &mut Drive<'_>) -> Result<(), EngineError> {
    if !is_chosen(&drive.shared.policy().rules(drive.tenant.identity())) {
        return Ok(());
    }
    let capabilities = drive.session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
    if !drive.shared.wants_token(&drive.tenant, &capabilities).await? {
        return Ok(());
    }
    drive.drive(&mut Goal::Tokens { wanted: true }).await
}

/// Makes what was lost. A sweep does this beside its work: what is in the way is said in the log and shows as the reason
/// why a lesser credential is used.
pub(crate) async fn make_up(drive: &mut Drive<'_>) {
    let shared = drive.shared;
    // Where nobody asks for codes, looking at an account costs nothing more.
    if !drive.account.here || !is_chosen(&shared.policy().rules(drive.tenant.identity())) {
        return;
    }
    let outcome = match shared.usable_token(&drive.account).await {
        Ok(None) => provide(drive).await,
        Ok(Some(_)) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        tracing::warn!(account = %drive.account.user_name, %error, "the account's OATH token could not be made");
    }
}

/// Takes the account's tokens away, at Microsoft and here. The account is on loan.
pub(crate) async fn withdraw(drive: &mut Drive<'_>) -> Result<(), EngineError> {
    let shared = drive.shared;
    if shared.store.oath_tokens_of(drive.account.account_id).await?.is_empty() {
        return Ok(());
    }
    let outcome = drive.drive(&mut Goal::Tokens { wanted: false }).await;
    // A token without its secret opens nothing, whatever Microsoft says.
    shared.discard_tokens_of(drive.account.account_id).await?;
    outcome
}

/// What Microsoft has of the account's tokens, where that matters to a drive.
#[derive(Default)]
pub(crate) struct ListedTokens {
    /// Those that the account has.
    of_account: Vec<FoundToken>,
    /// Those of the tenant; asked for only when the adding of one was not answered.
    of_tenant: Vec<FoundToken>,
}

/// Reads what Microsoft has of the account's tokens.
pub(crate) async fn observe(drive: &Drive<'_>, object_id: Uuid) -> Result<ListedTokens, Trouble> {
    let rows = drive.shared.store.oath_tokens_of(drive.account.account_id).await;
    let rows = rows.map_err(|error| Trouble::before_sending(error.failure().clone(), None))?;
    let mut listed = ListedTokens::default();
    if rows.iter().any(|row| row.activated_at.is_some()) {
        listed.of_account = list(drive, graph::oath_tokens_of_account(object_id)).await?;
    }
    if rows.iter().any(|row| row.device_id.is_none()) {
        listed.of_tenant = list(drive, graph::oath_tokens_of_tenant()).await?;
    }
    Ok(listed)
}

async fn list(drive: &Drive<'_>, request: Request) -> Result<Vec<FoundToken>, Trouble> {
    let answer = drive.session.collect(request, drive.priority).await?;
    if !answer.is_success() {
        return Err(Trouble::of_answer(&answer));
    }
    graph::found_oath_tokens(answer)
        .ok_or_else(|| Trouble { status: 502, ..Trouble::silence("an answer cannot be read".to_owned(), true) })
}

/// What the account's tokens should be like, from what the directory lists and the key store holds. What can never be
/// used again is thrown away here.
pub(crate) async fn desired(drive: &mut Drive<'_>, wanted: bool) -> Result<Desired, EngineError> {
    let shared = drive.shared;
    let now = shared.now();
    let (mut ours, mut kept) = (BTreeSet::new(), None);
    drive.waiting_token = None;
    for mut row in shared.store.oath_tokens_of(drive.account.account_id).await? {
        if Some(row.object_id) != drive.account.object_id {
            shared.discard_token(&row).await?;
            continue;
        }
        let listed = drive.listed_tokens.as_ref();
        if row.device_id.is_none() {
            let serial_number = row.serial_number();
            row.device_id = listed
                .and_then(|listed| {
                    listed.of_tenant.iter().find(|token| token.serial_number.as_deref() == Some(&serial_number))
                })
                .map(|token| token.id.clone());
            match &row.device_id {
                Some(device_id) => shared.store.oath_token_added(row.token_id, device_id).await?,
                None if !(0..SILENCE_LASTS).contains(&(now - row.made_at)) => shared.discard_token(&row).await?,
                // It may still turn up.
                None => {}
            }
        }
        let Some(device_id) = row.device_id.clone() else { continue };
        if drive.deleted_tokens.contains(&device_id) {
            shared.discard_token(&row).await?;
            continue;
        }
        let held = sealed::unseal(&shared.secrets, row.entry()).await?.is_some();
        match row.activated_at {
            Some(at) => {
                let young = (0..LISTED_WITHIN).contains(&(now - at));
                let there =
                    young || listed.is_some_and(|listed| listed.of_account.iter().any(|token| token.id == device_id));
                if kept.is_none() && held && there {
                    kept = Some(device_id.clone());
                }
            }
            // It is at Microsoft, and the account has not been given it yet.
            None if wanted && held && drive.waiting_token.is_none() => {
                drive.waiting_token = Some(row);
                continue;
            }
            None => {}
        }
        drive.account.known.tokens.insert(device_id.clone());
        ours.insert(device_id);
    }
    Ok(Desired::Tokened { wanted, ours, kept })
}

/// Makes a token and gives it to the account, or goes on with one that is waiting for that. `None`: it is done.
pub(crate) async fn add(drive: &mut Drive<'_>) -> Result<Option<Setback>, EngineError> {
    const ACTION: &str = "add an OATH token";
    let shared = drive.shared;
    let Some(object_id) = drive.account.object_id else {
        return Err(Failure::Internal("a token is planned for an account without an id".to_owned()).into());
    };
    drive.report(Step::AddOathToken, StepState::Started);
    let waiting = drive.waiting_token.take().and_then(|row| Some((row.device_id.clone()?, row)));
    let (row, device_id, waited) = match waiting {
        Some((device_id, row)) => (row, device_id, true),
        None => {
            let row = begin(drive, object_id).await?;
            let secret = sealed::unseal(&shared.secrets, row.entry()).await?.ok_or(Failure::OneTimeCodeGone)?;
            let request = graph::add_oath_token(&row.serial_number(), &secret);
            let answer = match drive.session.send(&request, drive.priority).await {
                Ok(answer) => answer,
                Err(trouble) => return Ok(Some(setback(drive, trouble, ACTION))),
            };
            if !answer.is_success() {
                let trouble = Trouble::of_answer(&answer);
                if !trouble.may_have_happened {
                    shared.discard_token(&row).await?;
                }
                return refused_or_later(drive, trouble, ACTION).await;
            }
            let Some(device_id) = answer.body["id"].as_str().map(ToOwned::to_owned) else {
                let trouble = Trouble::silence("Graph added a token without an id".to_owned(), true);
                return Ok(Some(setback(drive, trouble, ACTION)));
            };
            shared.store.oath_token_added(row.token_id, &device_id).await?;
            drive.hold().await?;
            (row, device_id, false)
        }
    };
    let secret = sealed::unseal(&shared.secrets, row.entry()).await?.ok_or(Failure::OneTimeCodeGone)?;
    let step = code::step_at(shared.microsofts_now());
    // One that Microsoft has seen already is refused, and then the token is made anew.
    shared.store.take_oath_step(row.token_id, step).await?;
    let request = graph::assign_oath_token(object_id, &device_id, &code::code(&secret, step)?);
    let answer = match drive.session.send(&request, drive.priority).await {
        Ok(answer) => answer,
        Err(trouble) => return Ok(Some(setback(drive, trouble, ACTION))),
    };
    if !answer.is_success() {
        let trouble = Trouble::of_answer(&answer);
        if !trouble.passes() && !matches!(trouble.status, 401 | 404) {
            // Nobody is to find a token that nobody can use.
            if let Some(setback) = delete(drive, &device_id).await? {
                return Ok(Some(setback));
            }
            if waited && trouble.status == 400 {
                // It had been given to the account when that was not answered, or its code was used then.
                return Ok(Some(setback(drive, trouble, ACTION)));
            }
        }
        return refused_or_later(drive, trouble, ACTION).await;
    }
    shared.store.oath_token_activated(row.token_id, shared.now()).await?;
    shared.store.remember_refusal::<OathPolicy>(drive.tenant.tenant_id, None).await?;
    drive.account.known.apply(&Action::AddOathToken, Some(device_id));
    drive.report(Step::AddOathToken, StepState::Done);
    Ok(None)
}

/// Writes down that a token is about to be added, and has the key store keep its secret.
async fn begin(drive: &Drive<'_>, object_id: Uuid) -> Result<OathRow, EngineError> {
    let shared = drive.shared;
    let row = OathRow {
        token_id: Uuid::now_v7(),
        account_id: drive.account.account_id,
        object_id,
        device_id: None,
        made_at: shared.now(),
        activated_at: None,
    };
    let detail = json!({ "serial_number": row.serial_number() });
    let mut write = shared.store.write().await?;
    store::insert_oath_token(&mut write, &row).await?;
    let (event, user_name) = (AuditEvent::OathTokenAdding, Some(drive.account.user_name.as_str()));
    store::append(&mut write, &shared.entry(drive.tenant.tenant_id, event, &drive.caller, None, user_name, detail))
        .await?;
    store::commit(write).await?;
    sealed::seal(&shared.secrets, row.entry(), code::new_secret()?).await?;
    Ok(row)
}

/// Takes a token from the account and from the tenant. `None`: it is done.
pub(crate) async fn delete(drive: &mut Drive<'_>, device_id: &str) -> Result<Option<Setback>, EngineError> {
    const ACTION: &str = "delete an OATH token";
    let shared = drive.shared;
    let Some(object_id) = drive.account.object_id else {
        return Err(Failure::Internal("a token is to go from an account without an id".to_owned()).into());
    };
    let detail = json!({ "token": device_id });
    let (tenant_id, user_name) = (drive.tenant.tenant_id, Some(drive.account.user_name.as_str()));
    shared.audit(tenant_id, AuditEvent::OathTokenDeleting, &drive.caller, None, user_name, detail).await?;
    drive.report(Step::DeleteOathToken, StepState::Started);
    for request in [graph::unassign_oath_token(object_id, device_id), graph::delete_oath_token(device_id)] {
        let answer = match drive.session.send(&request, drive.priority).await {
            Ok(answer) => answer,
            Err(trouble) => return Ok(Some(setback(drive, trouble, ACTION))),
        };
        if !answer.is_success() && answer.status != 404 {
            let trouble = Trouble::of_answer(&answer);
            if trouble.passes() || trouble.status == 401 {
                return Ok(Some(setback(drive, trouble, ACTION)));
            }
            let action = Action::DeleteOathToken(device_id.to_owned());
            return Err(drive.refused(&action, &trouble).await);
        }
        drive.hold().await?;
    }
    drive.deleted_tokens.insert(device_id.to_owned());
    drive.account.known.apply(&Action::DeleteOathToken(device_id.to_owned()), None);
    drive.report(Step::DeleteOathToken, StepState::Done);
    Ok(None)
}

/// Whatever was sent may have happened: what is there is looked at before the next try.
fn setback(drive: &mut Drive<'_>, trouble: Trouble, action: &'static str) -> Setback {
    drive.account.certain = false;
    Setback { trouble, action, replication: false }
}

async fn refused_or_later(
    drive: &mut Drive<'_>,
    trouble: Trouble,
    action: &'static str,
) -> Result<Option<Setback>, EngineError> {
    drive.report(Step::AddOathToken, StepState::Retrying);
    if trouble.passes() || trouble.status == 404 {
        let replication = trouble.status == 404;
        return Ok(Some(Setback { replication, ..setback(drive, trouble, action) }));
    }
    if trouble.status == 401 {
        drive.session.forget_token().await;
        return Ok(Some(setback(drive, trouble, action)));
    }
    let now = drive.shared.now();
    drive.shared.store.remember_refusal::<OathPolicy>(drive.tenant.tenant_id, Some(now)).await?;
    Err(drive.refused(&Action::AddOathToken, &trouble).await)
}
