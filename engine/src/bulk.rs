//! The accounts of many technicians in many tenants at once: made ahead, or taken back when somebody leaves.
//!
//! Tenants go side by side and the accounts of one tenant one after the other; what Graph puts off
//! is waited for. What is done already is known from the store and costs nothing, so
//! that either can be interrupted and run again.

use std::collections::{BTreeSet, HashMap, VecDeque};

use latchkey_protocol::{ErrorBody, ErrorCode};
use serde::Serialize;
use tokio::{sync::mpsc, task::JoinSet};
use uuid::Uuid;

use crate::{
    AccountKind, AccountOwner, Caller, Engine, EngineError, Failure, PreparedAccount, Technician,
    accounts::Hurry,
    engine::Shared,
    entitlement,
    plan::{Desired, plan},
    store::{AccountRow, TenantRow},
};

/// How many tenants are worked in at once. With 100 ms a round trip that is more than the limits of one application allow.
const AT_ONCE: usize = 48;

/// An account that was seen so lately, in milliseconds, is taken to be there.
const LOOKED_AT_LATELY: i64 = 86_400_000;

/// Which accounts are to be prepared.
#[derive(Clone, Debug, Default)]
pub struct PrepareAll {
    /// Whose.
    pub technicians: Vec<Technician>,
    /// In which tenants; in all when empty.
    pub tenants: Vec<Uuid>,
    /// Those too that the store knows to be there and dormant.
    pub again: bool,
}

/// One account more, of so many.
#[derive(Clone, Debug)]
pub struct BulkStep {
    /// How many are done, this one included.
    pub done: usize,
    /// How many there are.
    pub total: usize,
    /// The tenant's name.
    pub tenant_name: String,
    /// What came of it, if it went well.
    pub account: Option<PreparedAccount>,
}

/// What came of preparing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PreparedAll {
    /// Accounts that were looked after, made or found.
    pub prepared: Vec<PreparedAccount>,
    /// Accounts that were known to be there and dormant.
    pub skipped: usize,
    /// What did not work: one for each account, or one for the whole tenant when it cannot be worked in.
    pub failed: Vec<ErrorBody>,
    /// Accounts that were not tried because their tenant cannot be worked in.
    pub not_tried: usize,
}

/// What came of removing a technician.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RemovedTechnician {
    /// User names of accounts that are gone.
    pub removed: Vec<String>,
    /// What is left, and why; run it again.
    pub left: Vec<ErrorBody>,
}

/// One account on the list.
struct Wanted {
    technician: Technician,
    owner: AccountOwner,
}

/// What a tenant's task tells.
struct Told {
    tenant_name: String,
    result: Result<PreparedAccount, EngineError>,
    /// How many it does not try because of that.
    not_tried: usize,
}

impl Engine {
    /// Makes the dormant accounts of many technicians in the tenants in which each may get something.
    ///
    /// # Errors
    /// When the database cannot be used. Everything else is in the answer.
    pub async fn prepare_all(
        &self,
        wish: &PrepareAll,
        caller: &Caller,
        on_step: &(dyn Fn(BulkStep) + Send + Sync),
    ) -> Result<PreparedAll, EngineError> {
        let shared = self.shared();
        let mut report = PreparedAll::default();
        let mut ready: BTreeSet<(Uuid, String)> = BTreeSet::new();
        if !wish.again {
            let known = shared.store.accounts().await?;
            let now = shared.clock.now();
            let mut lacking = shared.accounts_without_token().await?;
            if shared.is_verified() {
                lacking.extend(shared.accounts_without_passkey().await?);
            }
            let ready_now =
                known.into_iter().filter(|account| is_ready(account, now) && !lacking.contains(&account.account_id));
            ready.extend(ready_now.map(|account| (account.tenant_id, account.user_name)));
        }
        let mut waiting = VecDeque::new();
        let mut total = 0;
        for tenant in shared.store.tenants().await? {
            if !wish.tenants.is_empty() && !wish.tenants.contains(&tenant.tenant_id) {
                continue;
            }
            let mut wanted: Vec<Wanted> = Vec::new();
            for technician in
                wish.technicians.iter().filter(|one| !entitlement::choices(shared.policy(), &tenant, one).is_empty())
            {
                let owner = shared.owner_for(&tenant, technician);
                let name = shared.account_name(&tenant, &owner)?.user_name;
                if wanted.iter().any(|other| other.owner == owner) {
                    continue;
                }
                if ready.contains(&(tenant.tenant_id, name)) {
                    report.skipped += 1;
                    continue;
                }
                wanted.push(Wanted { technician: technician.clone(), owner });
            }
            total += wanted.len();
            if !wanted.is_empty() {
                waiting.push_back((tenant, wanted));
            }
        }

        let (tell, mut told) = mpsc::channel(AT_ONCE);
        let mut working = JoinSet::new();
        let mut done = 0;
        loop {
            while working.len() < AT_ONCE
                && let Some((tenant, wanted)) = waiting.pop_front()
            {
                let (engine, caller, tell) = (self.clone(), caller.clone(), tell.clone());
                working.spawn(async move { engine.prepare_in(&tenant, wanted, &caller, &tell).await });
            }
            if working.is_empty() && told.is_empty() {
                break;
            }
            tokio::select! {
                Some(Told { tenant_name, result, not_tried }) = told.recv() => {
                    done += 1 + not_tried;
                    report.not_tried += not_tried;
                    let account = match result {
                        Ok(account) => {
                            report.prepared.push(account.clone());
                            Some(account)
                        }
                        Err(error) => {
                            report.failed.push(error.to_body());
                            None
                        }
                    };
                    on_step(BulkStep { done, total, tenant_name, account });
                }
                Some(finished) = working.join_next() => {
                    if finished.is_err() {
                        report.failed.push(broken_off().to_body());
                    }
                }
            }
        }
        Ok(report)
    }

    async fn prepare_in(&self, tenant: &TenantRow, wanted: Vec<Wanted>, caller: &Caller, tell: &mpsc::Sender<Told>) {
        let mut left = wanted.len();
        for one in wanted {
            left -= 1;
            let quiet = |_| {};
            let result =
                self.prepare_account_hurrying(tenant.tenant_id, &one.technician, caller, &quiet, Hurry::Bulk).await;
            // What is wrong with the tenant is wrong for everybody.
            let hopeless = result.as_ref().is_err_and(|error| is_about_the_tenant(error.code()));
            let not_tried = if hopeless { left } else { 0 };
            let _ = tell.send(Told { tenant_name: tenant.name.clone(), result, not_tried }).await;
            if hopeless {
                return;
            }
        }
    }

    /// Takes a technician's own accounts back in every tenant, those that other machines made too: ends their leases,
    /// deletes them and forgets them. What could not be done is in the answer, and done by running it again.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn remove_technician(
        &self,
        technician: &Technician,
        caller: &Caller,
        on_step: &(dyn Fn(BulkStep) + Send + Sync),
    ) -> Result<RemovedTechnician, EngineError> {
        let shared = self.shared();
        let owner = AccountOwner { kind: AccountKind::Individual, local_part: technician.local_part.to_lowercase() };
        let known: HashMap<Uuid, Vec<AccountRow>> =
            shared.store.accounts().await?.into_iter().filter(|account| account.owner == owner).fold(
                HashMap::new(),
                |mut all, account| {
                    all.entry(account.tenant_id).or_insert_with(Vec::new).push(account);
                    all
                },
            );
        let mut waiting: VecDeque<TenantRow> = shared.store.tenants().await?.into();
        let total = waiting.len();
        let (mut done, mut report, mut working) = (0, RemovedTechnician::default(), JoinSet::new());
        loop {
            while working.len() < AT_ONCE
                && let Some(tenant) = waiting.pop_front()
            {
                let (engine, caller, owner) = (self.clone(), caller.clone(), owner.clone());
                let accounts = known.get(&tenant.tenant_id).cloned().unwrap_or_default();
                working.spawn(async move {
                    let removed = engine.remove_in(&tenant, &owner, accounts, &caller).await;
                    (tenant.name, removed)
                });
            }
            let Some(finished) = working.join_next().await else { break };
            done += 1;
            let Ok((tenant_name, removed)) = finished else {
                report.left.push(broken_off().to_body());
                continue;
            };
            match removed {
                Ok(names) => report.removed.extend(names),
                Err(error) => report.left.push(error.in_tenant(&tenant_name).to_body()),
            }
            on_step(BulkStep { done, total, tenant_name, account: None });
        }
        report.removed.sort();
        Ok(report)
    }

    async fn remove_in(
        &self,
        tenant: &TenantRow,
        owner: &AccountOwner,
        mut accounts: Vec<AccountRow>,
        caller: &Caller,
    ) -> Result<Vec<String>, EngineError> {
        let shared = self.shared();
        if accounts.is_empty() {
            // Another machine may have made one: it is found by its name, and is ours only if it is marked so.
            let account_id = shared.ensure_account(tenant, owner, false).await?;
            accounts.push(shared.store.account(account_id).await?);
        }
        let quiet = |_| {};
        let mut names = Vec::new();
        for account in accounts {
            let was_known = account.object_id.is_some();
            let existed = self.remove_account_if_there(account.account_id, caller, &quiet).await?;
            if was_known || existed {
                names.push(account.user_name);
            }
        }
        Ok(names)
    }
}

/// Whether the store knows the account to be there and nothing to be left to do.
fn is_ready(account: &AccountRow, now: i64) -> bool {
    account.object_id.is_some()
        && account.looked_at.is_some_and(|at| (now - at).abs() < LOOKED_AT_LATELY)
        && account.certain
        && account.known.exists
        && (!account.here || plan(&Desired::Dormant, &account.known).is_empty())
}

/// A task that did not come to its end must not pass for one that did.
fn broken_off() -> EngineError {
    Failure::Internal("the work in a tenant broke off".to_owned()).into()
}

/// Whether an error would meet every account of the tenant.
fn is_about_the_tenant(code: ErrorCode) -> bool {
    (200..400).contains(&code.number()) || code == ErrorCode::NetworkUnreachable
}

impl Shared {
    /// Everybody that the configuration knows, the one who works here among them.
    pub(crate) fn technicians(&self) -> Vec<Technician> {
        let acting = &self.settings.technician;
        let mut all = self.policy().technicians.clone();
        if !all.iter().any(|one| one.local_part.eq_ignore_ascii_case(&acting.local_part)) {
            all.insert(0, acting.clone());
        }
        all
    }
}

impl Engine {
    /// Who works at this machine.
    #[must_use]
    pub fn acting_technician(&self) -> Technician {
        self.shared().settings.technician.clone()
    }

    /// Everybody that the configuration knows, the one who works here among them.
    #[must_use]
    pub fn technicians(&self) -> Vec<Technician> {
        self.shared().technicians()
    }
}
