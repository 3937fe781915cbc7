//! Passkeys of JIT accounts: made when an account is prepared, kept in the operating system's key store, used to answer
//! one page's request, and removed when the account, the technician or the tenant goes.
//!
//! A row says that a passkey may be there before anything is sent; the name under which Microsoft shows it is that of
//! the row, so that one whose registration was never answered is found again. A key is in the key store before its
//! public half leaves. What cannot be used here any more (no key, or not at Microsoft) is removed, and made anew the
//! next time somebody who was verified is there: the relying party asks for a verified person, and nobody else makes
//! passkeys. A request is answered only for a lease that is active, only to the host that the passkey was made for, and
//! after the audit log says so.

mod authenticator;
mod lease;
mod policy;
mod request;

pub use authenticator::PASSKEY_AAGUID;
pub(crate) use lease::{clear as clear_after_lease, for_lease};
pub(crate) use policy::{Obstacle, PasskeyPolicy};

use std::collections::{BTreeSet, HashMap};

use latchkey_protocol::{CredentialKind, PasskeyResponse, Step, StepState, cloud::SignInOrigin};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use self::{authenticator::CreationOptions, request::PageRequest};
use crate::{
    AuditEvent, Caller, Engine, EngineError, Failure, OnProgress, PasskeyLife, Rules,
    drive::{Drive, Goal, Setback},
    engine::Shared,
    graph::{self, Capabilities, Priority, Trouble},
    lifecycle, oath,
    plan::{Action, Desired},
    sealed,
    store::{self, AccountRow, ByAccount, Known, LeaseRow, PasskeyRow, Store, TenantRow},
};

/// How long a new passkey takes until every sign-in page knows it, in milliseconds.
const PROPAGATION: i64 = 30_000;
/// Lists may lag so far behind: what was registered less long ago is there whether or not it is listed.
const LISTED_WITHIN: i64 = 180_000;
/// A registration that was not answered in that time has not happened and does not happen any more.
const SILENCE_LASTS: i64 = 600_000;
/// A tenant that refused a passkey is not asked again for so long, in milliseconds.
const REFUSAL_LASTS: i64 = 3_600_000;
/// More challenges than one process answers.
const MOST_CHALLENGES: usize = 10_000;

/// A passkey or an OATH token that this machine made, for a list.
#[derive(Clone, Debug, Serialize)]
pub struct CredentialSummary {
    /// The tenant's display name.
    pub tenant_name: String,
    /// The account that it signs in.
    pub user_name: String,
    /// What it is.
    pub kind: CredentialKind,
    /// The name under which the tenant's administrators see it.
    pub display_name: String,
    /// The relying party that it is for; none of an OATH token.
    pub relying_party: Option<String>,
    /// When it was made, Unix time in milliseconds.
    pub made_at: i64,
    /// Whether Microsoft has registered it.
    pub registered: bool,
    /// Whether the key store holds its key.
    pub held: bool,
}

/// What stands between a tenant and passkeys, as far as is known without looking at an account.
pub(crate) fn obstacle_in(
    tenant: &TenantRow,
    capabilities: &Capabilities,
    known: &Known<PasskeyPolicy>,
    now: i64,
) -> Option<Obstacle> {
    if !tenant.cloud.hosts().has_passkey_registration {
        return Some(Obstacle::Cloud);
    }
    if !capabilities.passkeys() {
        return Some(Obstacle::Permission);
    }
    if let Some(obstacle) = known.policy.as_ref().and_then(PasskeyPolicy::obstacle) {
        return Some(obstacle);
    }
    let lately = known.refused_at.is_some_and(|at| (0..REFUSAL_LASTS).contains(&(now - at)));
    lately.then_some(Obstacle::RefusedLately)
}

/// What stands between an account and its passkeys, by their rows alone.
pub(crate) fn obstacle_of(rows: &[PasskeyRow], account: Option<&AccountRow>, now: i64) -> Option<Obstacle> {
    let Some(object_id) = account.and_then(|account| account.object_id) else { return Some(Obstacle::NotMade) };
    let registered = rows
        .iter()
        .filter(|row| row.object_id == object_id && row.doubted_at.is_none() && row.method_id.is_some())
        .filter_map(|row| row.registered_at);
    match registered.min() {
        None => Some(Obstacle::NotMade),
        Some(first) if (0..PROPAGATION).contains(&(now - first)) => Some(Obstacle::NotArrived),
        Some(_) => None,
    }
}

impl Shared {
    /// What is in the way of signing this account in with a passkey now; none: it can be done.
    pub(crate) async fn passkey_obstacle(
        &self,
        tenant: &TenantRow,
        capabilities: &Capabilities,
        account: &AccountRow,
    ) -> Result<Option<Obstacle>, EngineError> {
        let (known, now) = (self.store.known(tenant.tenant_id).await?, self.now());
        if let Some(obstacle) = obstacle_in(tenant, capabilities, &known, now) {
            return Ok(Some(obstacle));
        }
        let rows = self.store.passkeys_of(account.account_id).await?;
        if let Some(obstacle) = obstacle_of(&rows, Some(account), now) {
            return Ok(Some(obstacle));
        }
        for row in rows.iter().filter(|row| is_usable(row, account)) {
            if self.holds_key(row).await? {
                return Ok(None);
            }
        }
        Ok(Some(Obstacle::NotMade))
    }

    /// Accounts that this machine decides about and that are to have a passkey and have none.
    pub(crate) async fn accounts_without_passkey(&self) -> Result<BTreeSet<Uuid>, EngineError> {
        if self.secrets.sealed().is_none() {
            return Ok(BTreeSet::new());
        }
        let (known, now) = (self.store.known_everywhere().await?, self.now());
        let mut without = BTreeSet::new();
        for tenant in self.store.tenants().await? {
            let rules = self.policy().rules(tenant.identity());
            let unknown = Known::default();
            let known = known.get(&tenant.tenant_id).unwrap_or(&unknown);
            if !are_kept(&rules) || obstacle_in(&tenant, &tenant.capabilities, known, now).is_some() {
                continue;
            }
            for account in self.store.accounts_of(tenant.tenant_id).await?.into_iter().filter(|account| account.here) {
                let rows = self.store.passkeys_of(account.account_id).await?;
                if obstacle_of(&rows, Some(&account), now) == Some(Obstacle::NotMade) {
                    without.insert(account.account_id);
                }
            }
        }
        Ok(without)
    }

    async fn holds_key(&self, row: &PasskeyRow) -> Result<bool, EngineError> {
        Ok(row.credential_id.is_some() && sealed::unseal(&self.secrets, row.entry()).await?.is_some())
    }

    /// Throws a key away, and then its row: what is left when this stops half-way is a row without a key.
    async fn discard_passkey(&self, row: &PasskeyRow) -> Result<(), EngineError> {
        sealed::discard(&self.secrets, row.entry()).await?;
        self.store.forget_passkey(row.passkey_id).await
    }

    /// Throws away the keys of an account that is gone, or that nobody decides about here any more.
    pub(crate) async fn discard_passkeys_of(&self, account_id: Uuid) -> Result<(), EngineError> {
        for row in self.store.passkeys_of(account_id).await? {
            self.discard_passkey(&row).await?;
        }
        Ok(())
    }
}

/// What is known of passkeys in every tenant, from a few questions to the database.
pub(crate) struct Outlook {
    tenants: HashMap<Uuid, Known<PasskeyPolicy>>,
    rows: ByAccount<PasskeyRow>,
}

impl Outlook {
    pub(crate) async fn of_all(store: &Store) -> Result<Self, EngineError> {
        let tenants = store.known_everywhere().await?;
        let rows = store.passkeys().await?.into_iter().map(|row| (row.account_id, row));
        Ok(Self { tenants, rows: ByAccount::new(rows, store.accounts_with_passkeys().await?) })
    }

    /// The same of one account, without a look at anybody else's keys.
    pub(crate) async fn of_one(store: &Store, tenant_id: Uuid, user_name: &str) -> Result<Self, EngineError> {
        let tenants = HashMap::from([(tenant_id, store.known(tenant_id).await?)]);
        let rows = match store.account_named(tenant_id, user_name).await? {
            Some(account) => ByAccount::of_one(store.passkeys_of(account.account_id).await?, account),
            None => ByAccount::default(),
        };
        Ok(Self { tenants, rows })
    }

    /// Whether Microsoft may have a passkey of the account, usable or not.
    pub(crate) fn is_kept(&self, tenant_id: Uuid, user_name: &str) -> bool {
        let (account, rows) = self.rows.of(tenant_id, user_name);
        rows.iter().any(|row| account.is_some_and(|account| account.object_id == Some(row.object_id)))
    }

    /// What is in the way of signing the account of that name in with a passkey, as far as the database can tell.
    pub(crate) fn obstacle(&self, rules: &Rules, tenant: &TenantRow, user_name: &str, now: i64) -> Option<Obstacle> {
        let known = self.tenants.get(&tenant.tenant_id);
        let (account, rows) = self.rows.of(tenant.tenant_id, user_name);
        let unknown = Known::default();
        obstacle_in(tenant, &tenant.capabilities, known.unwrap_or(&unknown), now)
            .or_else(|| obstacle_of(rows, account, now))
            // Where each lease has its own, it is made on the click.
            .filter(|obstacle| rules.passkeys != Some(PasskeyLife::PerLease) || *obstacle != Obstacle::NotMade)
    }
}

fn is_usable(row: &PasskeyRow, account: &AccountRow) -> bool {
    Some(row.object_id) == account.object_id && row.method_id.is_some() && row.doubted_at.is_none()
}

/// Has a dormant account its passkey, if the tenant lets it. The account is on loan and has no lease.
///
/// # Errors
/// `VerificationNeeded` when one has to be made and nobody was verified; or what Microsoft answers.
pub(crate) async fn provide(drive: &mut Drive<'_>) -> Result<(), EngineError> {
    let shared = drive.shared;
    let capabilities = drive.session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
    if !is_wanted(shared, &drive.tenant, &capabilities).await? {
        return Ok(());
    }
    drive.drive(&mut Goal::Keys { wanted: true }).await
}

/// Whether dormant accounts are to have passkeys, by the configuration.
fn are_kept(rules: &Rules) -> bool {
    let pinned = rules.credential.is_some_and(|pinned| pinned != CredentialKind::Passkey);
    !pinned && rules.passkeys.unwrap_or_default() == PasskeyLife::Kept
}

/// Whether the tenant's accounts are to have passkeys.
async fn is_wanted(shared: &Shared, tenant: &TenantRow, capabilities: &Capabilities) -> Result<bool, EngineError> {
    if !are_kept(&shared.policy().rules(tenant.identity())) || shared.secrets.sealed().is_none() {
        return Ok(false);
    }
    let known = shared.store.known(tenant.tenant_id).await?;
    Ok(obstacle_in(tenant, capabilities, &known, shared.now()).is_none())
}

/// Makes what was lost, where somebody who was verified is there. A sweep does this beside its work: what is in the way
/// is said in the log and shows as the reason why a lesser credential is used.
pub(crate) async fn make_up(drive: &mut Drive<'_>) {
    let shared = drive.shared;
    if !drive.account.here {
        return;
    }
    clear_after_lease(drive).await;
    if !shared.is_verified() {
        return;
    }
    let missing = async {
        let rows = shared.store.passkeys_of(drive.account.account_id).await?;
        for row in rows.iter().filter(|row| is_usable(row, &drive.account)) {
            if shared.holds_key(row).await? {
                return Ok::<_, EngineError>(false);
            }
        }
        Ok(true)
    };
    let outcome = match missing.await {
        Ok(true) => provide(drive).await,
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        tracing::warn!(account = %drive.account.user_name, %error, "the account's passkey could not be made");
    }
}

/// Deletes the account's passkeys at Microsoft and here. The account is on loan.
pub(crate) async fn withdraw(drive: &mut Drive<'_>) -> Result<(), EngineError> {
    let shared = drive.shared;
    if shared.store.passkeys_of(drive.account.account_id).await?.is_empty() {
        return Ok(());
    }
    let outcome = drive.drive(&mut Goal::Keys { wanted: false }).await;
    // A passkey without its key opens nothing, whatever Microsoft says.
    shared.discard_passkeys_of(drive.account.account_id).await?;
    outcome
}

/// Deletes the passkeys and tokens of a tenant's accounts at Microsoft, as far as it can be reached, and here in any case.
pub(crate) async fn withdraw_all(
    shared: &Shared,
    tenant: &TenantRow,
    caller: &Caller,
    on_progress: OnProgress<'_>,
) -> Result<(), EngineError> {
    for account in shared.store.accounts_of(tenant.tenant_id).await? {
        let passkeys = shared.store.passkeys_of(account.account_id).await?;
        if passkeys.is_empty() && shared.store.oath_tokens_of(account.account_id).await?.is_empty() {
            continue;
        }
        if let Some(claim) = lifecycle::claim_patiently(shared, account.account_id, None).await? {
            let mut drive = lifecycle::drive(shared, tenant, claim, caller, Priority::High, on_progress).await?;
            let passkeys = withdraw(&mut drive).await;
            let tokens = oath::withdraw(&mut drive).await;
            shared.store.save_known(&drive.claim, &drive.account).await?;
            shared.store.release(&claim).await?;
            if let Err(error) = passkeys.and(tokens) {
                tracing::warn!(account = %account.user_name, %error, "a credential stays registered, without its key");
            }
        }
        shared.discard_passkeys_of(account.account_id).await?;
        shared.discard_tokens_of(account.account_id).await?;
    }
    Ok(())
}

/// What the account's passkeys should be like, from what the directory lists and the key store holds. What can never be
/// used again is thrown away here.
pub(crate) async fn desired(drive: &mut Drive<'_>, wanted: bool) -> Result<Desired, EngineError> {
    let shared = drive.shared;
    let now = shared.now();
    let (mut ours, mut kept) = (BTreeSet::new(), None);
    for mut row in shared.store.passkeys_of(drive.account.account_id).await? {
        if Some(row.object_id) != drive.account.object_id {
            shared.discard_passkey(&row).await?;
            continue;
        }
        if row.method_id.is_none() {
            let name = row.display_name();
            let listed = drive.listed_passkeys.as_deref().unwrap_or_default();
            row.method_id = listed
                .iter()
                .find(|listed| listed.display_name.as_deref() == Some(&name))
                .map(|listed| listed.id.clone());
            match &row.method_id {
                Some(method_id) => shared.store.passkey_registered(row.passkey_id, method_id, now).await?,
                None if row.credential_id.is_none() || !(0..SILENCE_LASTS).contains(&(now - row.made_at)) => {
                    shared.discard_passkey(&row).await?;
                }
                // It may still turn up.
                None => {}
            }
        }
        let Some(method_id) = row.method_id.clone() else { continue };
        let young = row.registered_at.is_some_and(|at| (0..LISTED_WITHIN).contains(&(now - at)));
        let deleted = drive.deleted_passkeys.contains(&method_id);
        let listed = drive.account.known.passkeys.contains(&method_id);
        if deleted || !(listed || young) {
            shared.discard_passkey(&row).await?;
            continue;
        }
        // Lists lag behind.
        drive.account.known.passkeys.insert(method_id.clone());
        if kept.is_none() && shared.holds_key(&row).await? {
            kept = Some(method_id.clone());
        }
        ours.insert(method_id);
    }
    shared.store.doubt_passkeys(drive.account.account_id, None).await?;
    Ok(Desired::Keyed { wanted, ours, kept })
}

/// Makes a passkey and registers it. `None`: it is done.
pub(crate) async fn register(drive: &mut Drive<'_>) -> Result<Option<Setback>, EngineError> {
    let shared = drive.shared;
    if !shared.is_verified() {
        return Err(Failure::VerificationNeeded.into());
    }
    let Some(object_id) = drive.account.object_id else {
        return Err(Failure::Internal("a passkey is planned for an account without an id".to_owned()).into());
    };
    drive.report(Step::RegisterPasskey, StepState::Started);
    let (action, request) = ("register a passkey", graph::creation_options(object_id));
    let setback = |trouble| Ok(Some(Setback { trouble, action, replication: false }));
    let answer = match drive.session.send(&request, drive.priority).await {
        Ok(answer) => answer,
        Err(trouble) => return setback(trouble),
    };
    if !answer.is_success() {
        return refused_or_later(drive, Trouble::of_answer(&answer), action).await;
    }
    let mut options = answer.body;
    let options: CreationOptions = serde_json::from_value(options["publicKey"].take())
        .map_err(|_| Failure::PasskeyNotMade("the options of Microsoft cannot be read".to_owned()))?;
    // Whoever answers for Graph does not choose whom we make keys for.
    let origin = SignInOrigin::of_address(&format!("https://{}", options.rp.id));
    if !origin.is_some_and(|origin| origin.host() == options.rp.id && drive.tenant.cloud.signs_in_at(&origin)) {
        return Err(Failure::RelyingPartyNotAllowed(options.rp.id.chars().take(200).collect()).into());
    }
    let made = authenticator::make(&options, true).await?;

    let row = PasskeyRow {
        passkey_id: Uuid::now_v7(),
        account_id: drive.account.account_id,
        object_id,
        credential_id: None,
        rp_id: Some(options.rp.id.clone()),
        method_id: None,
        made_at: shared.now(),
        registered_at: None,
        doubted_at: None,
    };
    let detail = json!({ "passkey": row.display_name(), "relying_party": row.rp_id });
    let mut write = shared.store.write().await?;
    store::insert_passkey(&mut write, &row).await?;
    let (event, user_name) = (AuditEvent::PasskeyRegistering, Some(drive.account.user_name.as_str()));
    store::append(&mut write, &shared.entry(drive.tenant.tenant_id, event, &drive.caller, None, user_name, detail))
        .await?;
    store::commit(write).await?;
    sealed::seal(&shared.secrets, row.entry(), made.secret).await?;
    shared.store.passkey_kept(row.passkey_id, &made.credential_id).await?;

    drive.hold().await?;
    let request = graph::register_passkey(object_id, &row.display_name(), made.registration);
    let answer = match drive.session.send(&request, drive.priority).await {
        Ok(answer) => answer,
        Err(trouble) => {
            // If it happened after all, it is found by its name.
            drive.account.certain = false;
            return setback(trouble);
        }
    };
    if !answer.is_success() {
        let trouble = Trouble::of_answer(&answer);
        drive.account.certain = false;
        if !trouble.may_have_happened {
            shared.discard_passkey(&row).await?;
        }
        return refused_or_later(drive, trouble, action).await;
    }
    let Some(method_id) = answer.body["id"].as_str() else {
        drive.account.certain = false;
        return setback(Trouble::silence("Graph registered a passkey without an id".to_owned(), true));
    };
    shared.store.passkey_registered(row.passkey_id, method_id, shared.now()).await?;
    shared.store.remember_refusal::<PasskeyPolicy>(drive.tenant.tenant_id, None).await?;
    drive.account.known.apply(&Action::RegisterPasskey, Some(method_id.to_owned()));
    drive.report(Step::RegisterPasskey, StepState::Done);
    Ok(None)
}

async fn refused_or_later(
    drive: &Drive<'_>,
    trouble: Trouble,
    action: &'static str,
) -> Result<Option<Setback>, EngineError> {
    drive.report(Step::RegisterPasskey, StepState::Retrying);
    if trouble.passes() || trouble.status == 404 {
        return Ok(Some(Setback { replication: trouble.status == 404, trouble, action }));
    }
    if trouble.status == 401 {
        drive.session.forget_token().await;
        return Ok(Some(Setback { trouble, action, replication: false }));
    }
    let now = drive.shared.now();
    drive.shared.store.remember_refusal::<PasskeyPolicy>(drive.tenant.tenant_id, Some(now)).await?;
    Err(drive.refused(&Action::RegisterPasskey, &trouble).await)
}

impl Engine {
    /// Answers a page's request for a passkey: `request` is what the browser hands over as `requestDetailsJson`, and the
    /// answer is what it takes as `responseJson`. Audited before.
    ///
    /// # Errors
    /// `LeaseOver`, `LeaseNotUsable` (also when the lease signs in with something else), `OriginNotAllowed`,
    /// `RelyingPartyNotAllowed`, `PasskeyNotAsked`, `PasskeyAnswered`, `VerificationNeeded`, `PasskeyGone`.
    pub async fn assert_passkey(
        &self,
        lease_id: Uuid,
        request: &str,
        caller: &Caller,
    ) -> Result<PasskeyResponse, EngineError> {
        let shared = self.shared();
        shared.store.refuse_in_lockdown().await?;
        let lease = self.live_lease(lease_id).await?;
        let tenant = shared.store.tenant(lease.tenant_id).await?;
        let answered = self.answer(&lease, &tenant, request, caller).await;
        if let Err(error) = &answered {
            let detail = json!({ "code": error.code().number() });
            let event = AuditEvent::PasskeyRefused;
            shared.audit(tenant.tenant_id, event, caller, Some(lease_id), None, detail).await?;
        }
        answered.map_err(|error| error.in_tenant(&tenant.name))
    }

    async fn answer(
        &self,
        lease: &LeaseRow,
        tenant: &TenantRow,
        request: &str,
        caller: &Caller,
    ) -> Result<PasskeyResponse, EngineError> {
        let shared = self.shared();
        if lease.credential != Some(CredentialKind::Passkey) {
            return Err(Failure::FieldMismatch.into());
        }
        let request = PageRequest::parse(request, tenant.cloud)?;
        let account = shared.store.account(lease.account_id).await?;
        let rows = shared.store.passkeys_of(account.account_id).await?;
        let mut rows: Vec<_> = rows.into_iter().filter(|row| is_usable(row, &account)).collect();
        if rows.is_empty() {
            return Err(Failure::PasskeyGone.into());
        }
        rows.retain(|row| row.rp_id.as_deref() == Some(&request.rp_id));
        if rows.is_empty() {
            return Err(Failure::RelyingPartyNotAllowed(request.rp_id).into());
        }
        let Some(row) = rows.iter().find(|row| row.credential_id.as_deref().is_some_and(|id| request.allows(id)))
        else {
            return Err(Failure::PasskeyNotAsked.into());
        };
        let verified = shared.is_verified();
        if request.verification && !verified {
            return Err(Failure::VerificationNeeded.into());
        }
        let secret = sealed::unseal(&shared.secrets, row.entry()).await?.ok_or(Failure::PasskeyGone)?;
        shared.held.answer_once(Sha256::digest(&request.challenge).into(), MOST_CHALLENGES)?;
        let detail = json!({
            "origin": request.origin.to_string(), "relying_party": request.rp_id, "passkey": row.display_name(),
            "verified": verified,
        });
        shared.audit_disclosure(lease, AuditEvent::PasskeyUsed, caller, &account.user_name, detail).await?;
        let response = authenticator::sign(&secret, &request, verified).await?;
        Ok(PasskeyResponse { lease_id: lease.lease_id, response })
    }

    /// Whether accounts of this machine are to have passkeys and have none: somebody has to be verified to make them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn lacks_passkeys(&self) -> Result<bool, EngineError> {
        Ok(!self.shared().accounts_without_passkey().await?.is_empty())
    }

    /// Every passkey and every OATH token that this machine made, by tenant and account.
    ///
    /// # Errors
    /// When the database or the key store cannot be read.
    pub async fn credentials(&self) -> Result<Vec<CredentialSummary>, EngineError> {
        let shared = self.shared();
        let accounts: HashMap<Uuid, AccountRow> =
            shared.store.accounts().await?.into_iter().map(|account| (account.account_id, account)).collect();
        let names = shared.store.tenant_names().await?;
        let mut credentials = Vec::new();
        for row in shared.store.passkeys().await? {
            let Some(account) = accounts.get(&row.account_id) else { continue };
            credentials.push(CredentialSummary {
                tenant_name: names.get(&account.tenant_id).cloned().unwrap_or_default(),
                user_name: account.user_name.clone(),
                kind: CredentialKind::Passkey,
                display_name: row.display_name(),
                relying_party: row.rp_id.clone(),
                made_at: row.made_at,
                registered: is_usable(&row, account),
                held: shared.holds_key(&row).await?,
            });
        }
        for row in shared.store.oath_tokens().await? {
            let Some(account) = accounts.get(&row.account_id) else { continue };
            credentials.push(CredentialSummary {
                tenant_name: names.get(&account.tenant_id).cloned().unwrap_or_default(),
                user_name: account.user_name.clone(),
                kind: CredentialKind::PasswordTotp,
                display_name: row.serial_number(),
                relying_party: None,
                made_at: row.made_at,
                registered: oath::is_usable(&row, account),
                held: sealed::unseal(&shared.secrets, row.entry()).await?.is_some(),
            });
        }
        credentials
            .sort_by(|one, other| (&one.tenant_name, &one.user_name).cmp(&(&other.tenant_name, &other.user_name)));
        Ok(credentials)
    }
}
