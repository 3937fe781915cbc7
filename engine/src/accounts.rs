//! The accounts of one tenant: whose a lease activates, making them ahead, and taking one back for good.
//!
//! An account that is only prepared here belongs to the machine of whoever signs in with it: this store does not know
//! its leases, so that nothing here may make it dormant unless a person says that its owner is to go.

use std::{collections::BTreeSet, time::Duration};

use latchkey_protocol::ErrorBody;
use serde_json::json;
use uuid::Uuid;

use crate::{
    AccountOwner, AccountSummary, AuditEvent, Caller, Engine, EngineError, Failure, OnProgress, PreparedAccount,
    Technician, WantedAccount,
    account::AccountName,
    drive::Goal,
    engine::Shared,
    entitlement,
    graph::{self, Priority},
    lifecycle, oath, passkey,
    plan::{Observed, Password},
    store::{self, AccountRow, TenantRow},
};

/// As one of many, work waits for Graph's limits for as long as it takes.
const BULK_PATIENCE: Duration = Duration::from_secs(3_600);

/// Who waits for an account to be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hurry {
    /// A person.
    Person,
    /// Nobody: it is one of many.
    Bulk,
}

impl Hurry {
    const fn priority(self) -> Priority {
        match self {
            Self::Person => Priority::High,
            Self::Bulk => Priority::Low,
        }
    }
}

impl Shared {
    /// Whose account the technician's leases in the tenant activate.
    pub(crate) fn owner_for(&self, tenant: &TenantRow, technician: &Technician) -> AccountOwner {
        let rules = self.policy().rules(tenant.identity());
        AccountOwner::of(technician, &rules.login.unwrap_or_default())
    }

    /// What that account is called.
    pub(crate) fn account_name(&self, tenant: &TenantRow, owner: &AccountOwner) -> Result<AccountName, EngineError> {
        AccountName::new(&self.settings, self.policy(), owner, &tenant.domain)
    }

    /// The account that the technician's leases activate, if the store knows it.
    pub(crate) async fn account_of(
        &self,
        tenant: &TenantRow,
        technician: &Technician,
    ) -> Result<Option<AccountRow>, EngineError> {
        let owner = self.owner_for(tenant, technician);
        let name = self.account_name(tenant, &owner)?;
        let found = self.store.account_named(tenant.tenant_id, &name.user_name).await?;
        Ok(found.filter(|account| account.owner == owner))
    }

    /// The owner's account as the store has it, written down if it is not. `here`: this store decides about it.
    pub(crate) async fn ensure_account(
        &self,
        tenant: &TenantRow,
        owner: &AccountOwner,
        here: bool,
    ) -> Result<Uuid, EngineError> {
        let name = self.account_name(tenant, owner)?;
        let known = self.store.account_named(tenant.tenant_id, &name.user_name).await?;
        if let Some(account) = known.filter(|account| account.owner == *owner && (account.here || !here)) {
            return Ok(account.account_id);
        }
        let mut write = self.store.write().await?;
        let account_id = store::ensure(&mut write, tenant.tenant_id, owner, &name.user_name, here).await?;
        store::commit(write).await?;
        account_id.ok_or_else(|| name_of_two(&name.user_name).in_tenant(&tenant.name))
    }
}

/// A technician and the shared account cannot have the same local part.
pub(crate) fn name_of_two(user_name: &str) -> EngineError {
    let what = format!("{user_name} would be both a technician's own account and the shared one");
    Failure::ConfigurationInvalid(what).into()
}

impl Engine {
    /// Makes the dormant account that the acting technician's leases activate, or makes the one that is there dormant.
    ///
    /// # Errors
    /// `AccountNotOurs`, and what Graph answers.
    pub async fn prepare_account(
        &self,
        tenant_id: Uuid,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<PreparedAccount, EngineError> {
        let technician = self.shared().settings.technician.clone();
        self.prepare_account_for(tenant_id, &technician, caller, on_progress).await
    }

    /// Makes the dormant account that a technician's leases activate. One that is there already is made dormant only
    /// if this store decides about it: somebody may be working with it.
    ///
    /// # Errors
    /// `AccountNotOurs`, and what Graph answers.
    pub async fn prepare_account_for(
        &self,
        tenant_id: Uuid,
        technician: &Technician,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<PreparedAccount, EngineError> {
        self.prepare_account_hurrying(tenant_id, technician, caller, on_progress, Hurry::Person).await
    }

    /// The same, for a person who waits or as one of many.
    pub(crate) async fn prepare_account_hurrying(
        &self,
        tenant_id: Uuid,
        technician: &Technician,
        caller: &Caller,
        on_progress: OnProgress<'_>,
        hurry: Hurry,
    ) -> Result<PreparedAccount, EngineError> {
        let shared = self.shared();
        let tenant = shared.store.tenant(tenant_id).await?;
        let owner = shared.owner_for(&tenant, technician);
        let here = owner == shared.owner_for(&tenant, &shared.settings.technician);
        let prepared = async {
            let account_id = shared.ensure_account(&tenant, &owner, here).await?;
            let mut prepared = prepare(shared, &tenant, account_id, caller, on_progress, hurry).await?;
            for failure in shared.refresh_names(&tenant, false).await? {
                prepared.problems.push(EngineError::from(failure).in_tenant(&tenant.name).to_body());
            }
            Ok(prepared)
        }
        .await;
        prepared.map_err(|error: EngineError| error.in_tenant(&tenant.name))
    }

    /// Every account that somebody's leases would activate: for each connected tenant, one for each technician who is
    /// entitled to anything there (or the one that they share). What [`Engine::prepare_account_for`] is to be called
    /// for; those that have an object id are there already.
    ///
    /// # Errors
    /// When the database cannot be read, or a local part cannot be an account's name.
    pub async fn accounts_wanted(&self) -> Result<Vec<WantedAccount>, EngineError> {
        let shared = self.shared();
        let policy = shared.policy();
        let acting = &shared.settings.technician;
        let everybody: Vec<&Technician> =
            if policy.technicians.is_empty() { vec![acting] } else { policy.technicians.iter().collect() };
        let mut wanted = Vec::new();
        for tenant in shared.store.tenants().await? {
            let known = shared.store.accounts_of(tenant.tenant_id).await?;
            let mut owners = BTreeSet::new();
            for technician in &everybody {
                let owner = shared.owner_for(&tenant, technician);
                if entitlement::choices(policy, &tenant, technician).is_empty() || !owners.insert(owner.clone()) {
                    continue;
                }
                let name = shared.account_name(&tenant, &owner)?;
                wanted.push(WantedAccount {
                    tenant_id: tenant.tenant_id,
                    tenant_name: tenant.name.clone(),
                    object_id: known
                        .iter()
                        .find(|account| account.user_name == name.user_name)
                        .and_then(|account| account.object_id),
                    technician: (*technician).clone(),
                    user_name: name.user_name,
                    owner,
                });
            }
        }
        Ok(wanted)
    }

    /// Every account that the store knows in connected tenants.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn accounts(&self) -> Result<Vec<AccountSummary>, EngineError> {
        let shared = self.shared();
        let leases = shared.store.open_leases().await?;
        let mut summaries = Vec::new();
        for account in shared.store.accounts().await? {
            let tenant_name = shared.store.tenant_name(account.tenant_id).await?;
            summaries.push(AccountSummary {
                account_id: account.account_id,
                tenant_id: account.tenant_id,
                tenant_name,
                user_name: account.user_name,
                object_id: account.object_id,
                owner: account.owner,
                here: account.here,
                open_leases: leases.iter().filter(|lease| lease.account_id == account.account_id).count(),
            });
        }
        Ok(summaries)
    }

    /// Ends the account's leases, makes it dormant whoever decides about it, deletes it in the directory and forgets
    /// it. One that is gone already is only forgotten.
    ///
    /// # Errors
    /// `EndingUnverified` while a lease cannot be ended, and what Graph answers; the account stays known then.
    pub async fn remove_account(
        &self,
        account_id: Uuid,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<(), EngineError> {
        self.remove_account_if_there(account_id, caller, on_progress).await.map(|_| ())
    }

    /// The same; tells whether there was one in the directory.
    pub(crate) async fn remove_account_if_there(
        &self,
        account_id: Uuid,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<bool, EngineError> {
        let shared = self.shared();
        let account = shared.store.account(account_id).await?;
        let tenant = shared.store.tenant(account.tenant_id).await?;
        for lease in shared.store.open_leases_of(account_id).await? {
            lifecycle::end(shared, lease.lease_id, caller, on_progress).await?;
        }
        let existed = delete_account(shared, &tenant, account_id, caller, on_progress)
            .await
            .map_err(|error| error.in_tenant(&tenant.name))?;
        let mut write = shared.store.write().await?;
        store::forget(&mut write, account_id, shared.clock.now()).await?;
        store::commit(write).await?;
        Ok(existed)
    }
}

/// Drives the account to dormant, making it if it is not there, and tries whether its password may be set.
async fn prepare(
    shared: &Shared,
    tenant: &TenantRow,
    account_id: Uuid,
    caller: &Caller,
    on_progress: OnProgress<'_>,
    hurry: Hurry,
) -> Result<PreparedAccount, EngineError> {
    let Some(claim) = lifecycle::claim_patiently(shared, account_id, None).await? else {
        return Err(Failure::Busy("the account".to_owned()).into());
    };
    let mut drive = lifecycle::drive(shared, tenant, claim, caller, hurry.priority(), on_progress).await?;
    if hurry == Hurry::Bulk {
        drive.patience = BULK_PATIENCE;
    }
    let outcome = async {
        let created = drive.ensure_exists().await?;
        let mut problems: Vec<ErrorBody> = Vec::new();
        let has_leases = !shared.store.open_leases_of(account_id).await?.is_empty();
        if drive.account.here && !has_leases {
            // Nobody was told the password, so that this only replaces one unknown by another; what it shows is
            // whether the application may.
            if drive.account.known.password == Password::Forgotten {
                drive.account.known.password = Password::Suspect;
            }
            drive.drive(&mut Goal::Settle).await?;
            shared.store.remember_passwords_allowed(tenant.tenant_id, !drive.password_refused).await?;
            if drive.password_refused {
                let refusal = Failure::PasswordNotAllowed(drive.account.user_name.clone());
                problems.push(EngineError::from(refusal).in_tenant(&tenant.name).to_body());
            }
            if let Err(error) = passkey::provide(&mut drive).await {
                problems.push(error.in_tenant(&tenant.name).to_body());
            }
            if let Err(error) = oath::provide(&mut drive).await {
                problems.push(error.in_tenant(&tenant.name).to_body());
            }
        }
        let Some(object_id) = drive.account.object_id else {
            return Err(Failure::AccountNotReplicated(drive.account.user_name.clone()).into());
        };
        let user_name = drive.account.user_name.clone();
        Ok(PreparedAccount { user_name, object_id, created, problems })
    }
    .await;
    drive.account.looked_at = Some(shared.clock.now());
    shared.store.save_known(&drive.claim, &drive.account).await?;
    shared.store.release(&claim).await?;
    shared.remember_clock().await?;
    outcome
}

/// Deletes the account in the directory, under a loan. What another machine decides about is made dormant first: a
/// role that it holds would forbid us to delete it. Returns whether there was one.
pub(crate) async fn delete_account(
    shared: &Shared,
    tenant: &TenantRow,
    account_id: Uuid,
    caller: &Caller,
    on_progress: OnProgress<'_>,
) -> Result<bool, EngineError> {
    let Some(claim) = lifecycle::claim_patiently(shared, account_id, None).await? else {
        return Err(Failure::Busy("the account".to_owned()).into());
    };
    let deleted = delete_claimed(shared, tenant, claim, caller, on_progress).await;
    shared.store.release(&claim).await?;
    deleted
}

async fn delete_claimed(
    shared: &Shared,
    tenant: &TenantRow,
    claim: store::Claim,
    caller: &Caller,
    on_progress: OnProgress<'_>,
) -> Result<bool, EngineError> {
    let mut drive = lifecycle::drive(shared, tenant, claim, caller, Priority::High, on_progress).await?;
    if !drive.account.here || drive.account.object_id.is_none() {
        drive.account.certain = false;
        drive.drive(&mut Goal::Settle).await?;
    }
    let account_id = drive.account.account_id;
    let Some(object_id) = drive.account.object_id else {
        shared.discard_passkeys_of(account_id).await?;
        shared.discard_tokens_of(account_id).await?;
        return Ok(false);
    };
    // It would stay among the tenant's tokens.
    if let Err(error) = oath::withdraw(&mut drive).await {
        tracing::warn!(%error, "an OATH token stays with the tenant, without its secret");
    }
    let user_name = drive.account.user_name.clone();
    shared.audit(tenant.tenant_id, AuditEvent::AccountDeleting, caller, None, Some(&user_name), json!({})).await?;
    drive.hold().await?;
    let action = "delete the account";
    let answer = drive
        .session
        .send(&graph::delete_account(object_id), Priority::High)
        .await
        .map_err(|trouble| trouble.to_error(action))?;
    if !answer.is_success() && answer.status != 404 {
        return Err(graph::Trouble::of_answer(&answer).to_error(action));
    }
    drive.account.object_id = None;
    drive.account.created_at = None;
    drive.account.settle_from = None;
    drive.account.known = Observed::absent();
    drive.account.certain = true;
    shared.store.save_known(&drive.claim, &drive.account).await?;
    // Its passkeys went with it; what is left is keys that open nothing.
    shared.discard_passkeys_of(account_id).await?;
    Ok(answer.is_success())
}
