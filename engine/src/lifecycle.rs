//! How a lease begins and ends around the one loop: the intent, the loan, the drive, the record.

use std::{collections::BTreeMap, time::Duration};

use latchkey_protocol::{LeaseState, LeaseSummary, Step, StepState};
use serde_json::json;
use uuid::Uuid;

use crate::{
    AuditEvent, Caller, EngineError, Failure, OnProgress, StartLease,
    clock::milliseconds,
    credential::{self, Held},
    drive::{Activation, Drive, Goal, ending_problem, expect_grant},
    engine::Shared,
    fence,
    graph::{Priority, read_organization},
    guards::{Guard, holds},
    plan::{Action, Issue, Purpose},
    store::{self, Claim, LeaseRow, NewLease, TenantRow, leases},
};

/// A lease is not started on a clock that is wrong by more.
const CLOCK_TOLERANCE: i64 = 300_000;
/// After so long an ending that fails is an alarm.
const STUCK_AFTER: i64 = 180_000;
/// Ending is tried again at least so often.
const LONGEST_INTERVAL: i64 = 60_000;
/// How often a loan that somebody else has is asked for.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Activates the technician's account in a tenant.
pub(crate) async fn start(
    shared: &Shared,
    start: &StartLease,
    on_progress: OnProgress<'_>,
) -> Result<LeaseSummary, EngineError> {
    let tenant = shared.store.tenant(start.tenant_id).await?;
    let named = |error: EngineError| error.in_tenant(&tenant.name);
    let minutes = start.minutes.unwrap_or(tenant.minutes);
    if minutes == 0 || minutes > tenant.maximum_minutes {
        return Err(named(Failure::DurationNotAllowed { asked: minutes, maximum: tenant.maximum_minutes }.into()));
    }
    if let Err(error) = prepare_to_start(shared, &tenant, on_progress).await {
        let detail = json!({ "code": error.code().number(), "request_id": error.to_body().graph_request_id });
        shared.audit(tenant.tenant_id, AuditEvent::LeaseFailed, &start.caller, None, None, detail).await?;
        return Err(named(error));
    }
    let owner = shared.owner_for(&tenant, &shared.settings.technician);
    let account_id = shared.ensure_account(&tenant, &owner, true).await.map_err(named)?;
    let claim = claim_patiently(shared, account_id, None)
        .await
        .map_err(named)?
        .ok_or_else(|| named(Failure::Busy("the account".to_owned()).into()))?;
    let outcome = start_claimed(shared, &tenant, claim, start, minutes, on_progress).await;
    shared.store.release(&claim).await?;
    outcome.map_err(named)
}

/// The token, what it allows, and whether the clock can be trusted: everything that can fail before anything is
/// written down or granted.
async fn prepare_to_start(shared: &Shared, tenant: &TenantRow, on_progress: OnProgress<'_>) -> Result<(), EngineError> {
    shared.store.refuse_in_lockdown().await?;
    let session = shared.session(tenant);
    let token = |state| on_progress(latchkey_protocol::Progress { step: Step::Token, state });
    token(StepState::Started);
    let capabilities = session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
    token(StepState::Done);
    if capabilities != tenant.capabilities {
        shared.store.remember_capabilities(tenant.tenant_id, &capabilities).await?;
    }
    let wrong = |offset: Option<i64>| offset.filter(|offset| offset.abs() > CLOCK_TOLERANCE);
    if !shared.http.has_measured() || wrong(shared.http.offset()).is_some() {
        // What was measured may be old: the clock may have been set right meanwhile.
        session
            .send(&read_organization(), Priority::High)
            .await
            .map_err(|trouble| trouble.to_error("compare the clocks"))?;
    }
    shared.remember_clock().await?;
    match wrong(shared.http.offset()) {
        Some(offset) => Err(Failure::ClockWrong(offset / 1000).into()),
        None => Ok(()),
    }
}

async fn start_claimed(
    shared: &Shared,
    tenant: &TenantRow,
    mut claim: Claim,
    start: &StartLease,
    minutes: u32,
    on_progress: OnProgress<'_>,
) -> Result<LeaseSummary, EngineError> {
    let mut settled = false;
    let open = loop {
        let open = shared.store.open_leases_of(claim.account_id).await?;
        let now = shared.now();
        let over: Vec<_> =
            open.iter().filter(|lease| lease.is_ending() || !lease.is_live() || lease.until <= now).collect();
        if over.is_empty() {
            break open;
        }
        if settled {
            let account = shared.store.account(claim.account_id).await?;
            return Err(Failure::AccountEnding(account.user_name).into());
        }
        settled = true;
        for lease in &over {
            begin_ending(shared, lease, &Caller::Sweep, "its time was up").await?;
        }
        let mut drive = drive(shared, tenant, claim, &start.caller, Priority::High, on_progress).await?;
        // What is in the way of the ending is on the lease; here it only means that nothing can begin yet.
        if let Err(error) = settle(&mut drive).await {
            tracing::warn!(%error, "an earlier lease is still ending");
        }
        claim = drive.claim;
    };

    let mut drive = drive(shared, tenant, claim, &start.caller, Priority::High, on_progress).await?;
    if let Some(lease) = open.first()
        && shared.held.get(lease.lease_id, drive.account.credential_generation).is_some()
        && lease.state != LeaseState::Activating
    {
        return summary(shared, lease).await;
    }
    let capabilities = drive.session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
    let choice = credential::choose(&drive.tenant, &capabilities, shared.clock.now());
    let from = shared.clock.now();
    let (lease_id, until) = match open.first() {
        Some(lease) => (lease.lease_id, lease.until),
        None => (Uuid::now_v7(), from + i64::from(minutes) * 60_000),
    };
    let lasts = u32::try_from((until - from) / 60_000).unwrap_or(minutes).max(1);
    let mut activation = Activation {
        lease_id,
        until,
        issue: credential::issue(choice.kind),
        lifetime: credential::lifetime(lasts, drive.tenant.pass_policy.as_ref()),
        because: choice.because,
        fences: fence::wanted(shared, &drive.tenant, lasts).then(BTreeMap::new),
        issued: None,
    };
    let intent_first = holds(Guard::IntentFirst);
    if intent_first {
        write_intent(shared, &mut drive, start, open.first(), &activation, from).await?;
    }
    shared.held.forget(lease_id);

    let mut goal = Goal::Activate(activation);
    drive.intent_written |= !intent_first;
    let driven = drive.drive(&mut goal).await;
    let Goal::Activate(done) = goal else { return Err(Failure::Internal("the goal changed".to_owned()).into()) };
    activation = done;
    if !intent_first {
        write_intent(shared, &mut drive, start, open.first(), &activation, from).await?;
    }
    shared.remember_clock().await?;
    let granted = match driven {
        Ok(()) => record_granted(shared, &mut drive, &mut activation, &start.caller).await,
        Err(error) => Err(error),
    };
    if let Err(error) = granted {
        give_up(shared, &mut drive, lease_id, &error, &start.caller).await?;
        return Err(error);
    }
    summary(shared, &shared.store.lease(lease_id).await?).await
}

/// The intent: committed before the first call that grants goes out.
async fn write_intent(
    shared: &Shared,
    drive: &mut Drive<'_>,
    start: &StartLease,
    open: Option<&LeaseRow>,
    activation: &Activation,
    now: i64,
) -> Result<(), EngineError> {
    let tenant = &drive.tenant;
    let mut write = shared.store.write().await?;
    store::refuse_in_lockdown(&mut write).await?;
    drive.account.credential_generation += 1;
    drive.account.settle_from = None;
    let mut intent = drive.account.clone();
    let credential = match activation.issue {
        Issue::Password => Action::SetPassword(Purpose::Credential),
        Issue::Pass => Action::IssuePass,
    };
    expect_grant(&mut intent, &[Action::Enable, credential]);
    if !store::save_known(&mut write, &drive.claim, &intent).await? {
        return Err(Failure::Busy(drive.account.user_name.clone()).into());
    }
    let event = match open {
        Some(lease) => {
            leases::reactivate(&mut write, lease.lease_id, drive.claim.until).await?;
            AuditEvent::LeaseRenewed
        }
        None => {
            let lease = NewLease {
                lease_id: activation.lease_id,
                tenant_id: tenant.tenant_id,
                account_id: drive.account.account_id,
                roles: &tenant.roles,
                groups: &tenant.groups,
                reason: start.reason.as_deref(),
                caller: &start.caller,
                from: now,
                until: activation.until,
                next_at: drive.claim.until,
            };
            leases::insert(&mut write, &lease).await?;
            if !store::mark_used(&mut write, tenant.tenant_id, now).await? {
                return Err(Failure::TenantUnknown(tenant.tenant_id).into());
            }
            AuditEvent::LeaseRequested
        }
    };
    let detail = json!({
        "roles": tenant.roles.iter().map(|role| &role.name).collect::<Vec<_>>(),
        "groups": tenant.groups,
        "until": activation.until,
        "reason": start.reason,
        "because": activation.because,
    });
    let entry = shared.entry(
        tenant.tenant_id,
        event,
        &start.caller,
        Some(activation.lease_id),
        Some(&drive.account.user_name),
        detail,
    );
    store::append(&mut write, &entry).await?;
    store::commit(write).await?;
    drive.intent_written = true;
    Ok(())
}

/// Writes down that the lease is active, and only then keeps the credential for whoever asks.
async fn record_granted(
    shared: &Shared,
    drive: &mut Drive<'_>,
    activation: &mut Activation,
    caller: &Caller,
) -> Result<(), EngineError> {
    let Some((kind, value)) = activation.issued.take() else {
        return Err(Failure::Internal("nothing was issued".to_owned()).into());
    };
    let mut write = shared.store.write().await?;
    drive.account.looked_at = Some(shared.clock.now());
    if !store::save_known(&mut write, &drive.claim, &drive.account).await? {
        return Err(Failure::Busy(drive.account.user_name.clone()).into());
    }
    if !leases::activated(&mut write, activation.lease_id, kind).await? {
        return Err(Failure::LeaseOver.into());
    }
    let detail = json!({
        "credential": kind, "because": activation.because, "roles_end_by_themselves": activation.fences.is_some(),
    });
    let entry = shared.entry(
        drive.tenant.tenant_id,
        AuditEvent::LeaseGranted,
        caller,
        Some(activation.lease_id),
        Some(&drive.account.user_name),
        detail,
    );
    store::append(&mut write, &entry).await?;
    store::release_in(&mut write, &drive.claim).await?;
    store::commit(write).await?;
    let user_name = drive.account.user_name.clone();
    shared.held.keep(activation.lease_id, Held::new(kind, value, user_name, drive.account.credential_generation));
    Ok(())
}

/// An activation failed: whatever it granted is taken back by the same loop, now if possible, later in any case.
async fn give_up(
    shared: &Shared,
    drive: &mut Drive<'_>,
    lease_id: Uuid,
    error: &EngineError,
    caller: &Caller,
) -> Result<(), EngineError> {
    let body = error.to_body();
    let mut write = shared.store.write().await?;
    if leases::begin_ending(&mut write, lease_id, shared.clock.now()).await? {
        let detail =
            json!({ "code": body.code.number(), "message": body.message, "request_id": body.graph_request_id });
        let entry = shared.entry(
            drive.tenant.tenant_id,
            AuditEvent::LeaseFailed,
            caller,
            Some(lease_id),
            Some(&drive.account.user_name),
            detail,
        );
        store::append(&mut write, &entry).await?;
    }
    store::commit(write).await?;
    if drive.hold().await.is_err() {
        // Somebody else has the account now and finds the lease ending, or has ended it before what was sent here
        // arrived: then the next sweep is to look again, and not only when it would anyway.
        return shared.store.look_soon(drive.account.account_id).await;
    }
    drive.patience = drive.patience.min(Duration::from_secs(5));
    drive.replication_patience = drive.patience;
    if let Err(error) = settle(drive).await {
        tracing::warn!(%error, "what was granted could not be taken back yet");
    }
    Ok(())
}

/// Ends a lease now.
pub(crate) async fn end(
    shared: &Shared,
    lease_id: Uuid,
    caller: &Caller,
    on_progress: OnProgress<'_>,
) -> Result<LeaseSummary, EngineError> {
    let lease = shared.store.lease(lease_id).await?;
    if lease.state.is_closed() {
        return summary(shared, &lease).await;
    }
    let tenant = shared.store.tenant(lease.tenant_id).await?;
    let named = |error: EngineError| error.in_tenant(&tenant.name);
    begin_ending(shared, &lease, caller, "asked for").await?;
    let Some(claim) = claim_patiently(shared, lease.account_id, Some(lease_id)).await? else {
        let lease = shared.store.lease(lease_id).await?;
        if lease.state.is_closed() {
            return summary(shared, &lease).await;
        }
        return Err(named(Failure::EndingUnverified("another process is at it".to_owned()).into()));
    };
    let mut outcome = Ok(());
    // It may have been closed by whoever had the loan before.
    if !shared.store.lease(lease_id).await?.state.is_closed() {
        let mut drive = drive(shared, &tenant, claim, caller, Priority::High, on_progress).await?;
        outcome = settle(&mut drive).await;
    }
    shared.store.release(&claim).await?;
    shared.remember_clock().await?;
    match outcome {
        Ok(()) => summary(shared, &shared.store.lease(lease_id).await?).await,
        Err(error) => {
            let problem = ending_problem(&error, &tenant.name);
            Err(EngineError::from(Failure::EndingUnverified(error.to_body().message))
                .with_request_id(problem.graph_request_id)
                .in_tenant(&tenant.name))
        }
    }
}

/// Writes down that a lease is to be taken back. Its credential is forgotten at once.
pub(crate) async fn begin_ending(
    shared: &Shared,
    lease: &LeaseRow,
    caller: &Caller,
    why: &str,
) -> Result<(), EngineError> {
    shared.held.forget(lease.lease_id);
    let mut write = shared.store.write().await?;
    if leases::begin_ending(&mut write, lease.lease_id, shared.clock.now()).await? {
        let detail = json!({ "why": why, "until": lease.until });
        let entry = shared.entry(lease.tenant_id, AuditEvent::EndRequested, caller, Some(lease.lease_id), None, detail);
        store::append(&mut write, &entry).await?;
    }
    store::commit(write).await
}

/// Drives the account to what the live leases need, reads it back, and closes the leases that were ending. When that
/// does not work it is written on the leases and tried again.
pub(crate) async fn settle(drive: &mut Drive<'_>) -> Result<(), EngineError> {
    let shared = drive.shared;
    let ending: Vec<_> =
        shared.store.open_leases_of(drive.account.account_id).await?.into_iter().filter(LeaseRow::is_ending).collect();
    match drive.drive(&mut Goal::Settle).await {
        Ok(()) => record_settled(drive, &ending).await,
        Err(error) => {
            record_unsettled(drive, &ending, &error).await?;
            Err(error)
        }
    }
}

async fn record_settled(drive: &mut Drive<'_>, ending: &[LeaseRow]) -> Result<(), EngineError> {
    let shared = drive.shared;
    let now = shared.clock.now();
    let mut write = shared.store.write().await?;
    drive.account.looked_at = Some(now);
    if !ending.is_empty() && holds(Guard::Settle) {
        drive.account.settle_from = Some(now);
        drive.account.settle_stage = 0;
    }
    if !store::save_known(&mut write, &drive.claim, &drive.account).await? {
        return Err(Failure::Busy(drive.account.user_name.clone()).into());
    }
    for lease in ending {
        if leases::close(&mut write, lease.lease_id).await? {
            let entry = shared.entry(
                lease.tenant_id,
                AuditEvent::EndVerified,
                &drive.caller,
                Some(lease.lease_id),
                Some(&drive.account.user_name),
                json!({ "closed_as": lease.closes_as, "late_by_ms": (now - lease.until).max(0) }),
            );
            store::append(&mut write, &entry).await?;
        }
    }
    store::commit(write).await
}

async fn record_unsettled(drive: &Drive<'_>, ending: &[LeaseRow], error: &EngineError) -> Result<(), EngineError> {
    let shared = drive.shared;
    let now = shared.clock.now();
    // What this drive has learned helps the next one, if the loan still holds.
    shared.store.save_known(&drive.claim, &drive.account).await?;
    let Some(first) = ending.first() else { return Ok(()) };
    let asked = match error.failure() {
        Failure::Throttled(seconds) => i64::try_from(*seconds).ok().map(|seconds| seconds.saturating_mul(1000)),
        _ => None,
    };
    let wait = asked.unwrap_or_else(|| (1_000_i64 << first.attempts.min(6)).min(LONGEST_INTERVAL));
    let problem = ending_problem(error, &drive.tenant.name);
    shared.store.note_failed_ending(drive.account.account_id, &problem, now + wait, now - STUCK_AFTER).await?;
    // The first failure is on record, and then every tenfold: a week of retries must not bury the log.
    if matches!(first.attempts, 0 | 9 | 99 | 999 | 9_999) {
        for lease in ending {
            let detail = json!({
                "code": problem.code.number(), "message": problem.message,
                "request_id": problem.graph_request_id, "attempts": lease.attempts + 1,
            });
            let user_name = Some(drive.account.user_name.as_str());
            shared
                .audit(lease.tenant_id, AuditEvent::EndFailed, &drive.caller, Some(lease.lease_id), user_name, detail)
                .await?;
        }
    }
    Ok(())
}

/// Borrows the account, waiting for whoever has it as long as a person would. `None`: not in that time, or `lease` was
/// closed by whoever had it.
pub(crate) async fn claim_patiently(
    shared: &Shared,
    account_id: Uuid,
    lease: Option<Uuid>,
) -> Result<Option<Claim>, EngineError> {
    let began = shared.clock.elapsed();
    loop {
        if let Some(claim) = shared.store.claim(account_id, shared.clock.now()).await? {
            return Ok(Some(claim));
        }
        if let Some(lease_id) = lease
            && shared.store.lease(lease_id).await?.state.is_closed()
        {
            return Ok(None);
        }
        if shared.clock.elapsed() - began >= milliseconds(shared.settings.patience.fault) {
            return Ok(None);
        }
        shared.clock.sleep(ASK_AGAIN).await;
    }
}

/// A drive of an account that is on loan.
pub(crate) async fn drive<'a>(
    shared: &'a Shared,
    tenant: &TenantRow,
    claim: Claim,
    caller: &Caller,
    priority: Priority,
    on_progress: OnProgress<'a>,
) -> Result<Drive<'a>, EngineError> {
    Ok(Drive {
        shared,
        session: shared.session(tenant),
        // Read after the loan was given: what was true before may not be any more.
        tenant: shared.store.tenant(tenant.tenant_id).await?,
        account: shared.store.account(claim.account_id).await?,
        claim,
        priority,
        patience: shared.settings.patience.fault,
        replication_patience: shared.settings.patience.replication,
        caller: caller.clone(),
        on_progress,
        password_refused: false,
        not_ours: false,
        intent_written: false,
    })
}

/// A lease as it crosses a process boundary.
pub(crate) async fn summary(shared: &Shared, lease: &LeaseRow) -> Result<LeaseSummary, EngineError> {
    let mut names = BTreeMap::new();
    summarize(shared, lease, &mut names).await
}

/// The same, with the tenants' names read once.
pub(crate) async fn summarize(
    shared: &Shared,
    lease: &LeaseRow,
    names: &mut BTreeMap<Uuid, String>,
) -> Result<LeaseSummary, EngineError> {
    let account = shared.store.account(lease.account_id).await?;
    let tenant_name = match names.get(&lease.tenant_id) {
        Some(name) => name.clone(),
        None => {
            let name = shared.store.tenant_name(lease.tenant_id).await?;
            names.insert(lease.tenant_id, name.clone());
            name
        }
    };
    Ok(LeaseSummary {
        lease_id: lease.lease_id,
        tenant_id: lease.tenant_id,
        tenant_name,
        user_name: account.user_name,
        roles: lease.roles.iter().map(|role| role.name.clone()).collect(),
        state: lease.state,
        credential: lease.credential,
        credential_held: shared.held.get(lease.lease_id, account.credential_generation).is_some(),
        from: lease.from,
        until: lease.until,
        problem: lease.problem.clone(),
    })
}
