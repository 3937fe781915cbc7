//! The kill switch: ending everything at once, and granting nothing until somebody says so.
//!
//! The flag and the ends are committed in one transaction before anything is sent, and whatever grants asks for the flag
//! in the transaction of its own intent. So there is no moment at which a grant slips past: it is either committed
//! before the lockdown, which then ends it, or refused. The ends themselves are the usual ones, under the usual loans.

use std::sync::Arc;

use latchkey_protocol::{ErrorBody, LeaseSummary};
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    AuditEvent, Caller, Engine, EngineError, Failure,
    engine::Shared,
    lifecycle,
    store::{self, LeaseRow, leases},
};

/// How many leases are taken back at once. Tenants have limits of their own at Microsoft, so that more helps where they
/// are many; what the sockets and the memory of a technician's machine carry easily is the bound.
const AT_ONCE: usize = 32;

/// Nothing is granted until it is lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lockdown {
    /// Since when, Unix time in milliseconds.
    pub since: i64,
    /// Who locked everything down.
    pub technician: String,
    /// Why; empty when nobody said.
    pub reason: String,
}

/// What ending many leases came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EndReport {
    /// Taken back and read back.
    pub ended: Vec<LeaseSummary>,
    /// Not verified yet; each stays open and is tried again.
    pub failed: Vec<ErrorBody>,
}

/// Hears about each lease as it is done: how many are, of how many.
pub type OnEnded<'a> = &'a (dyn Fn(usize, usize) + Send + Sync);

impl Engine {
    /// The lockdown that is in force.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn lockdown(&self) -> Result<Option<Lockdown>, EngineError> {
        self.shared().store.lockdown().await
    }

    /// From the moment this returns nothing is granted, renewed, filled or shown by any process that shares the
    /// database, and every open lease is ending. Sends nothing: [`Engine::end_all`] does what is to be done now, the
    /// sweep what that does not reach. A lockdown that is in force already stays as it is.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn lock_down(&self, reason: &str, caller: &Caller) -> Result<Lockdown, EngineError> {
        let shared = self.shared();
        let technician = shared.settings.technician.name.clone();
        let wish = Lockdown { since: shared.clock.now(), technician, reason: reason.trim().to_owned() };
        let mut write = shared.store.write().await?;
        let lockdown = store::lock_down(&mut write, &wish).await?;
        let open = leases::open(&mut write).await?;
        let detail = json!({ "reason": wish.reason, "open_leases": open.len() });
        // It concerns no single tenant; the end of each lease is in its own tenant's log.
        let entry = shared.entry(Uuid::nil(), AuditEvent::LockdownBegun, caller, None, None, detail);
        store::append(&mut write, &entry).await?;
        begin_ending_in(&mut write, shared, &open, caller, "lockdown").await?;
        store::look_at_everything(&mut write).await?;
        store::commit(write).await?;
        forget_credentials(shared, &open);
        Ok(lockdown)
    }

    /// Lets leases start again. `false`: no lockdown was in force.
    ///
    /// # Errors
    /// `ConfigurationInvalid` without a reason; or the database cannot be written.
    pub async fn lift_lockdown(&self, reason: &str, caller: &Caller) -> Result<bool, EngineError> {
        if reason.trim().is_empty() {
            return Err(Failure::ConfigurationInvalid("a lockdown is lifted with a reason only".to_owned()).into());
        }
        let shared = self.shared();
        let mut write = shared.store.write().await?;
        let lifted = store::lift(&mut write).await?;
        if lifted {
            let detail = json!({ "reason": reason.trim() });
            let entry = shared.entry(Uuid::nil(), AuditEvent::LockdownLifted, caller, None, None, detail);
            store::append(&mut write, &entry).await?;
        }
        store::commit(write).await?;
        Ok(lifted)
    }

    /// Ends every open lease, in all tenants side by side. That they are to end is committed before the first call goes
    /// out, so that whatever stops this process leaves the rest to the sweep.
    ///
    /// # Errors
    /// When the database cannot be used; what could not be verified is in the report.
    pub async fn end_all(&self, caller: &Caller, on_ended: OnEnded<'_>) -> Result<EndReport, EngineError> {
        self.end_all_because("asked for", caller, on_ended).await
    }

    /// [`Engine::end_all`] for another reason than that somebody asked for it; `why` goes to the audit log.
    ///
    /// # Errors
    /// As there.
    pub async fn end_all_because(
        &self,
        why: &str,
        caller: &Caller,
        on_ended: OnEnded<'_>,
    ) -> Result<EndReport, EngineError> {
        let shared = self.shared();
        let mut write = shared.store.write().await?;
        let open = leases::open(&mut write).await?;
        begin_ending_in(&mut write, shared, &open, caller, why).await?;
        store::commit(write).await?;
        forget_credentials(shared, &open);

        let mut report = EndReport::default();
        let total = open.len();
        let mut waiting = open.into_iter();
        let mut working = JoinSet::new();
        loop {
            while working.len() < AT_ONCE {
                let Some(lease) = waiting.next() else { break };
                let (shared, caller) = (Arc::clone(shared), caller.clone());
                working.spawn(async move { lifecycle::end(&shared, lease.lease_id, &caller, &|_| {}).await });
            }
            let Some(finished) = working.join_next().await else { break };
            let finished = finished
                .map_err(|error| Failure::Internal(format!("an ending was interrupted: {error}")).into())
                .flatten();
            match finished {
                Ok(lease) => report.ended.push(lease),
                Err(error) => report.failed.push(EngineError::to_body(&error)),
            }
            on_ended(report.ended.len() + report.failed.len(), total);
        }
        report.ended.sort_by(|one, other| one.tenant_name.cmp(&other.tenant_name));
        Ok(report)
    }

    /// Accounts without a lease that could not be made dormant: they stay on this list until they are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn account_problems(&self) -> Result<Vec<ErrorBody>, EngineError> {
        self.shared().store.account_problems().await
    }
}

async fn begin_ending_in(
    write: &mut store::Write,
    shared: &Shared,
    open: &[LeaseRow],
    caller: &Caller,
    why: &str,
) -> Result<(), EngineError> {
    for lease in open {
        if leases::begin_ending(write, lease.lease_id, shared.clock.now()).await? {
            let detail = json!({ "why": why, "until": lease.until });
            let event = AuditEvent::EndRequested;
            let entry = shared.entry(lease.tenant_id, event, caller, Some(lease.lease_id), None, detail);
            store::append(write, &entry).await?;
        }
    }
    Ok(())
}

fn forget_credentials(shared: &Shared, open: &[LeaseRow]) {
    for lease in open {
        shared.held.forget(lease.lease_id);
    }
}

impl Shared {
    /// Writes down that a credential is about to leave, unless a lockdown is in force.
    pub(crate) async fn audit_disclosure(
        &self,
        lease: &LeaseRow,
        event: AuditEvent,
        caller: &Caller,
        user_name: &str,
        detail: serde_json::Value,
    ) -> Result<(), EngineError> {
        let mut write = self.store.write().await?;
        store::refuse_in_lockdown(&mut write).await?;
        let entry = self.entry(lease.tenant_id, event, caller, Some(lease.lease_id), Some(user_name), detail);
        store::append(&mut write, &entry.by(&lease.technician_name)).await?;
        store::commit(write).await
    }
}
