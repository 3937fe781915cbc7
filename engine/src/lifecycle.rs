//! How a lease begins and ends around the one loop: the intent, the loan, the drive, the record.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use latchkey_protocol::{CredentialKind, CredentialPlan, LeaseState, LeaseSummary, Step, StepState};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::{
    AuditEvent, Caller, EngineError, Failure, OnProgress, StartLease, Technician,
    clock::milliseconds,
    credential::{self, Held},
    drive::{Activation, Drive, Goal, Issued, ending_problem, expect_grant},
    engine::Shared,
    entitlement::{self, Choice, Share},
    fence,
    graph::{Capabilities, Priority, read_organization},
    guards::{Guard, holds},
    oath::{OathObstacle, OathPolicy},
    passkey::{self, Obstacle, PasskeyPolicy},
    plan::{self, Action, Issue, Purpose},
    preflight,
    store::{self, AccountRow, Claim, LeaseRow, NewLease, TenantRow, leases},
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
    let ask = match prepare_to_start(shared, &tenant, start, on_progress).await {
        Ok(ask) => ask,
        Err(error) => {
            let body = error.to_body();
            let detail = json!({
                "code": body.code.number(), "request_id": body.graph_request_id, "technician": start.technician,
                "profile": start.profile,
            });
            shared.audit(tenant.tenant_id, AuditEvent::LeaseFailed, &start.caller, None, None, detail).await?;
            return Err(named(error));
        }
    };
    let owner = shared.owner_for(&tenant, &ask.technician);
    let account_id = shared.ensure_account(&tenant, &owner, true).await.map_err(named)?;
    let claim = claim_patiently(shared, account_id, None)
        .await
        .map_err(named)?
        .ok_or_else(|| named(Failure::Busy("the account".to_owned()).into()))?;
    let outcome = start_claimed(shared, &tenant, claim, &ask, on_progress).await;
    shared.store.release(&claim).await?;
    if outcome.is_err() {
        // A role or a group may have been deleted and made again: the next start asks what the names mean now.
        shared.store.forget_names(tenant.tenant_id).await?;
    }
    outcome.map_err(named)
}

/// What a lease is asked for, decided: who, with which profile, what it grants, for how long.
struct Ask<'a> {
    start: &'a StartLease,
    technician: Technician,
    choice: Choice,
    share: Share,
    minutes: u32,
}

impl Ask<'_> {
    /// Whether it is this lease that is asked for again.
    fn is(&self, lease: &LeaseRow) -> bool {
        self.technician.is(&lease.technician) && lease.profile.eq_ignore_ascii_case(&self.choice.profile)
    }
}

/// Everything that can fail before anything is written down or granted: whether the technician may, the token, the
/// clock, what the profile grants.
async fn prepare_to_start<'a>(
    shared: &Shared,
    tenant: &TenantRow,
    start: &'a StartLease,
    on_progress: OnProgress<'_>,
) -> Result<Ask<'a>, EngineError> {
    shared.store.refuse_in_lockdown().await?;
    let policy = shared.policy();
    let technician = shared.technician(policy, start.technician.as_deref())?;
    let choice = entitlement::choose(policy, tenant, &technician, start.profile.as_deref())?;
    let now = shared.now();
    let live: Vec<_> = shared
        .store
        .open_leases()
        .await?
        .into_iter()
        .filter(|lease| lease.is_live() && lease.until > now && technician.is(&lease.technician))
        .collect();
    let again = live
        .iter()
        .any(|lease| lease.tenant_id == tenant.tenant_id && lease.profile.eq_ignore_ascii_case(&choice.profile));
    let minutes = if again {
        choice.decide_again(start)?
    } else {
        choice.decide(start, u32::try_from(live.len()).unwrap_or(u32::MAX))?
    };
    check_the_clock(shared, tenant, on_progress).await?;
    let share = choice.share(shared, tenant).await?;
    preflight::before_first_use(shared, tenant, &share).await?;
    Ok(Ask { start, technician, choice, share, minutes })
}

/// The token, what it allows, and whether the clock can be trusted.
async fn check_the_clock(shared: &Shared, tenant: &TenantRow, on_progress: OnProgress<'_>) -> Result<(), EngineError> {
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
    ask: &Ask<'_>,
    on_progress: OnProgress<'_>,
) -> Result<LeaseSummary, EngineError> {
    let caller = &ask.start.caller;
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
        let mut drive = drive(shared, tenant, claim, caller, Priority::High, on_progress).await?;
        // What is in the way of the ending is on the lease; here it only means that nothing can begin yet.
        if let Err(error) = settle(&mut drive).await {
            tracing::warn!(%error, "an earlier lease is still ending");
        }
        claim = drive.claim;
    };

    let mut drive = drive(shared, tenant, claim, caller, Priority::High, on_progress).await?;
    let generation = drive.account.credential_generation;
    let own = open.iter().find(|lease| ask.is(lease));
    let capabilities = drive.session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
    let (choice, with_codes) = choose(shared, &mut drive, &capabilities, ask.start).await?;
    if let Some(lease) = own
        && lease.credential == Some(CredentialKind::Passkey)
        && choice.kind == CredentialKind::Passkey
        && lease.state != LeaseState::Activating
    {
        return summary(shared, lease).await;
    }
    if let Some(lease) = own
        && ask.start.refused.is_none()
        && lease.credential != Some(CredentialKind::Passkey)
        && drive.account.credential_until.is_none_or(|end| end >= shared.now())
        && shared.held.get(lease.lease_id, generation).is_some_and(|held| held.lasts(shared.now()))
        && lease.state != LeaseState::Activating
    {
        return summary(shared, lease).await;
    }
    let from = shared.clock.now();
    let (lease_id, until) = match own {
        Some(lease) => (lease.lease_id, lease.until),
        None => (Uuid::now_v7(), from + i64::from(ask.minutes) * 60_000),
    };
    // Another lease of the account has a credential: issuing one more would sign its technician out. If this process
    // holds it and it lasts, it is good for this lease too.
    let kept = open
        .iter()
        .filter(|lease| own.is_none() && lease.state != LeaseState::Activating)
        .filter_map(|lease| shared.held.get(lease.lease_id, generation))
        .find(|held| {
            held.kind != CredentialKind::Passkey && held.lasts(until) && !held.once && drive.account.known.enabled
        });
    // What signs in by a passkey needs nothing issued, whatever other leases of the account were given.
    let kept = match choice.kind {
        CredentialKind::Passkey => {
            let (kind, user_name) = (CredentialKind::Passkey, drive.account.user_name.clone());
            Some(Held::new(kind, SecretString::default(), user_name, generation))
        }
        _ => kept.filter(|_| ask.start.refused.is_none()),
    };
    // One credential serves every lease of the account: it lasts as long as the last of them.
    let last = open.iter().map(|lease| lease.until).fold(until, i64::max);
    let lasts = u32::try_from((last - from) / 60_000).unwrap_or(ask.minutes).max(1);
    let otherwise = credential::issue(choice.otherwise.unwrap_or(choice.kind), drive.tenant.passwords_allowed);
    let mut activation = Activation {
        lease_id,
        until,
        issue: if kept.is_some() { Issue::Keep } else { otherwise },
        otherwise,
        share: plan::Share {
            roles: ask.share.roles.iter().map(|role| role.id).collect(),
            groups: ask.share.groups.iter().copied().collect(),
        },
        lifetime: credential::lifetime(lasts, drive.tenant.pass_policy.as_ref()),
        because: choice.because,
        with_codes,
        fences: fence::wanted(shared, &drive.tenant, lasts).then(BTreeMap::new),
        issued: None,
    };
    let intent_first = holds(Guard::IntentFirst);
    if intent_first {
        write_intent(shared, &mut drive, ask, own, &activation, from).await?;
    }
    shared.held.forget(lease_id);

    let mut goal = Goal::Activate(activation);
    drive.intent_written |= !intent_first;
    let driven = drive.drive(&mut goal).await;
    let Goal::Activate(done) = goal else { return Err(Failure::Internal("the goal changed".to_owned()).into()) };
    activation = done;
    if !intent_first {
        write_intent(shared, &mut drive, ask, own, &activation, from).await?;
    }
    shared.remember_clock().await?;
    let granted = match driven {
        Ok(()) => record_granted(shared, &mut drive, &mut activation, kept, ask, from).await,
        Err(error) => Err(error),
    };
    if let Err(error) = granted {
        give_up(shared, &mut drive, lease_id, &error, caller).await?;
        return Err(error);
    }
    summary(shared, &shared.store.lease(lease_id).await?).await
}

/// What this start issues, and whether a password, should it come to that, comes with a one-time code.
async fn choose(
    shared: &Shared,
    drive: &mut Drive<'_>,
    capabilities: &Capabilities,
    start: &StartLease,
) -> Result<(CredentialPlan, bool), EngineError> {
    let pinned = shared.policy().rules(drive.tenant.identity()).credential;
    let is_enough = pinned.is_some_and(|pinned| pinned != CredentialKind::Passkey);
    // What is in the way of reading the key store is in the way of the passkey and of the code, and of nothing else.
    let passkey = match start.passkey && start.refused.is_none() && !is_enough {
        true => passkey::for_lease(drive, capabilities).await.unwrap_or(Some(Obstacle::NotMade)),
        false => Some(Obstacle::NotMade),
    };
    let (tenant, now) = (&drive.tenant, shared.clock.now());
    let oath = shared.oath_obstacle(tenant, capabilities, &drive.account).await.unwrap_or(Some(OathObstacle::NotMade));
    let outlook = credential::Outlook { passkey, oath, pinned };
    let plan = match start.refused {
        Some(refused) => {
            credential::after(refused, tenant, capabilities, &outlook, now).ok_or(Failure::NoOtherCredential)?
        }
        None => credential::best(tenant, capabilities, &outlook, now),
    };
    Ok((plan, outlook.with_codes(start.refused)))
}

/// Issues the next credential in line for a lease whose credential the page refused. Once: what is refused after that
/// is another one.
pub(crate) async fn replace(
    shared: &Shared,
    lease_id: Uuid,
    refused: CredentialKind,
    caller: &Caller,
    on_progress: OnProgress<'_>,
) -> Result<LeaseSummary, EngineError> {
    let lease = shared.store.lease(lease_id).await?;
    if !lease.is_live() || lease.until <= shared.now() {
        return Err(Failure::LeaseOver.into());
    }
    if lease.credential != Some(refused) {
        return summary(shared, &lease).await;
    }
    let (tenant_id, now) = (lease.tenant_id, shared.clock.now());
    let mut write = shared.store.write().await?;
    let detail = json!({ "refused": refused });
    let entry = shared.entry(tenant_id, AuditEvent::CredentialReplacing, caller, Some(lease_id), None, detail);
    store::append(&mut write, &entry.by(&lease.technician_name)).await?;
    store::commit(write).await?;
    match refused {
        CredentialKind::Passkey => {
            shared.store.remember_refusal::<PasskeyPolicy>(tenant_id, Some(shared.now())).await?;
            shared.store.doubt_passkeys(lease.account_id, Some(now)).await?;
        }
        CredentialKind::TemporaryAccessPass => shared.store.remember_pass_refusal(tenant_id, Some(now)).await?,
        CredentialKind::PasswordTotp => {
            shared.store.remember_refusal::<OathPolicy>(tenant_id, Some(shared.now())).await?
        }
        CredentialKind::Password => {}
    }
    let again = StartLease {
        reason: Some("the page refused the credential before".to_owned()),
        technician: Some(lease.technician.clone()),
        profile: Some(lease.profile.clone()),
        ticket: lease.ticket.clone(),
        refused: Some(refused),
        ..StartLease::new(tenant_id, caller.clone())
    };
    start(shared, &again, on_progress).await
}

/// The intent: committed before the first call that grants goes out.
async fn write_intent(
    shared: &Shared,
    drive: &mut Drive<'_>,
    ask: &Ask<'_>,
    open: Option<&LeaseRow>,
    activation: &Activation,
    now: i64,
) -> Result<(), EngineError> {
    let tenant = &drive.tenant;
    let start = ask.start;
    let mut write = shared.store.write().await?;
    store::refuse_in_lockdown(&mut write).await?;
    if activation.issue != Issue::Keep {
        drive.account.credential_generation += 1;
    }
    drive.account.settle_from = None;
    let mut intent = drive.account.clone();
    let granting: &[Action] = match activation.issue {
        Issue::Password => &[Action::Enable, Action::SetPassword(Purpose::Credential)],
        Issue::NewAccount => &[Action::Enable, Action::Create(Purpose::Credential)],
        Issue::Pass => &[Action::Enable, Action::IssuePass],
        Issue::Keep => &[Action::Enable],
    };
    expect_grant(&mut intent, granting);
    if !store::save_known(&mut write, &drive.claim, &intent).await? {
        return Err(Failure::Busy(drive.account.user_name.clone()).into());
    }
    let event = match open {
        Some(lease) => {
            leases::reactivate(&mut write, lease.lease_id, drive.claim.until).await?;
            AuditEvent::LeaseRenewed
        }
        None => {
            // Counted where nobody can begin another one meanwhile.
            if let Some(limit) = ask.choice.limits.leases_at_once
                && leases::live_of(&mut write, &ask.technician, shared.now()).await? >= limit
            {
                return Err(Failure::TooManyLeases { limit }.into());
            }
            let lease = NewLease {
                lease_id: activation.lease_id,
                tenant_id: tenant.tenant_id,
                account_id: drive.account.account_id,
                roles: &ask.share.roles,
                groups: &ask.share.groups,
                reason: start.reason.as_deref(),
                technician: &ask.technician,
                profile: &ask.choice.profile,
                ticket: start.ticket.as_deref().map(str::trim).filter(|ticket| !ticket.is_empty()),
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
        "roles": ask.share.roles.iter().map(|role| &role.name).collect::<Vec<_>>(),
        "groups": ask.share.groups,
        "until": activation.until,
        "reason": start.reason,
        "profile": ask.choice.profile,
        "ticket": start.ticket,
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
    store::append(&mut write, &entry.by(&ask.technician.name)).await?;
    store::commit(write).await?;
    drive.intent_written = true;
    Ok(())
}

/// Writes down that the lease is active, and only then keeps the credential for whoever asks.
async fn record_granted(
    shared: &Shared,
    drive: &mut Drive<'_>,
    activation: &mut Activation,
    kept: Option<Held>,
    ask: &Ask<'_>,
    from: i64,
) -> Result<(), EngineError> {
    let generation = drive.account.credential_generation;
    let (held, issued) = match (activation.issued.take(), kept) {
        (Some(Issued { kind, value, minutes, once }), _) => {
            let lasts_until = minutes.map(|minutes| from + i64::from(minutes) * 60_000);
            // Where the roles end by themselves too, the credential is worth nothing after that.
            drive.account.credential_until = lasts_until.into_iter().chain(last_fence(activation)).min();
            let user_name = drive.account.user_name.clone();
            // An account that had to be made anew has no token.
            let with_code =
                kind == CredentialKind::Password && activation.with_codes && shared.has_token(&drive.account).await?;
            let kind = if with_code { CredentialKind::PasswordTotp } else { kind };
            (Held::new(kind, value, user_name, generation).ending(lasts_until, once), true)
        }
        (None, Some(kept)) => {
            // Where roles could not be made to last longer, what is on record of their end stays true.
            if activation.fences.is_some() || drive.account.known.ends.is_empty() {
                drive.account.credential_until = kept.lasts_until.into_iter().chain(last_fence(activation)).min();
            }
            (kept.for_another(), false)
        }
        (None, None) => return Err(Failure::Internal("nothing was issued".to_owned()).into()),
    };
    let mut write = shared.store.write().await?;
    drive.account.looked_at = Some(shared.clock.now());
    if !store::save_known(&mut write, &drive.claim, &drive.account).await? {
        return Err(Failure::Busy(drive.account.user_name.clone()).into());
    }
    if !leases::activated(&mut write, activation.lease_id, held.kind).await? {
        return Err(Failure::LeaseOver.into());
    }
    let detail = json!({
        "credential": held.kind, "because": activation.because, "issued": issued,
        "roles_end_by_themselves": activation.fences.is_some(),
    });
    let entry = shared.entry(
        drive.tenant.tenant_id,
        AuditEvent::LeaseGranted,
        &ask.start.caller,
        Some(activation.lease_id),
        Some(&drive.account.user_name),
        detail,
    );
    store::append(&mut write, &entry.by(&ask.technician.name)).await?;
    store::release_in(&mut write, &drive.claim).await?;
    store::commit(write).await?;
    if issued {
        // Other leases of the account that this process holds the old one for get on with the new one.
        for lease in shared.store.open_leases_of(drive.account.account_id).await? {
            if lease.is_live() && shared.held.get(lease.lease_id, generation - 1).is_some() {
                shared.held.keep(lease.lease_id, held.for_another());
            }
        }
    }
    shared.held.keep(activation.lease_id, held);
    Ok(())
}

/// Lets a lease last longer.
pub(crate) async fn extend(
    shared: &Shared,
    lease_id: Uuid,
    minutes: u32,
    reason: Option<&str>,
    caller: &Caller,
) -> Result<LeaseSummary, EngineError> {
    let lease = shared.store.lease(lease_id).await?;
    let tenant = shared.store.tenant(lease.tenant_id).await?;
    let named = |error: EngineError| error.in_tenant(&tenant.name);
    let outcome = extend_live(shared, &tenant, &lease, minutes, reason, caller).await;
    if let Err(error) = &outcome {
        let detail = json!({ "code": error.code().number(), "minutes": minutes, "reason": reason });
        let mut write = shared.store.write().await?;
        let event = AuditEvent::LeaseFailed;
        let entry = shared.entry(tenant.tenant_id, event, caller, Some(lease_id), None, detail);
        store::append(&mut write, &entry.by(&lease.technician_name)).await?;
        store::commit(write).await?;
    }
    outcome.map_err(named)?;
    let lease = shared.store.lease(lease_id).await?;
    if let Err(error) = extend_roles(shared, &tenant, &lease, caller).await {
        // The lease lasts longer all the same. When its credential and its roles end is in the summary, and asking for
        // the lease again then issues what lasts until its end.
        tracing::warn!(%error, "roles that end by themselves could not be made to last longer");
    }
    summary(shared, &shared.store.lease(lease_id).await?).await
}

/// Has roles that end by themselves last as long as the lease does now. Nothing is sent where there are none.
async fn extend_roles(
    shared: &Shared,
    tenant: &TenantRow,
    lease: &LeaseRow,
    caller: &Caller,
) -> Result<(), EngineError> {
    if shared.store.account(lease.account_id).await?.known.ends.is_empty() {
        return Ok(());
    }
    let Some(claim) = claim_patiently(shared, lease.account_id, Some(lease.lease_id)).await? else {
        return Err(Failure::Busy("the account".to_owned()).into());
    };
    let quiet = |_| {};
    let mut drive = drive(shared, tenant, claim, caller, Priority::High, &quiet).await?;
    let outcome = drive.drive(&mut Goal::Extend { lease_id: lease.lease_id, until: lease.until }).await;
    if outcome.is_ok() && drive.account.credential_until.is_some() {
        let held = shared.held.get(lease.lease_id, drive.account.credential_generation);
        let by_itself = match held {
            Some(held) => Some(held.lasts_until),
            // Another process holds it. Only a pass ends by itself; when it does is what is on record.
            None if lease.credential == Some(CredentialKind::TemporaryAccessPass) => None,
            None => Some(None),
        };
        if let Some(by_itself) = by_itself {
            let leases = shared.store.open_leases_of(lease.account_id).await?;
            let last = leases.iter().filter(|lease| lease.is_live()).map(|lease| lease.until).max();
            drive.account.credential_until = by_itself.into_iter().chain(last).min();
        }
    }
    shared.store.save_known(&drive.claim, &drive.account).await?;
    shared.store.release(&claim).await?;
    shared.remember_clock().await?;
    outcome
}

/// When the last of the roles ends by itself, if they do.
fn last_fence(activation: &Activation) -> Option<i64> {
    activation.fences.as_ref()?.values().copied().max()
}

async fn extend_live(
    shared: &Shared,
    tenant: &TenantRow,
    lease: &LeaseRow,
    minutes: u32,
    reason: Option<&str>,
    caller: &Caller,
) -> Result<(), EngineError> {
    if !lease.is_live() || lease.until <= shared.now() {
        return Err(Failure::LeaseOver.into());
    }
    let policy = shared.policy();
    let technician = shared.technician(policy, Some(&lease.technician))?;
    let choice = entitlement::choose(policy, tenant, &technician, Some(&lease.profile))?;
    let lasting = u32::try_from((lease.until - lease.from + 59_999) / 60_000).unwrap_or(u32::MAX);
    entitlement::answer(choice.limits.decide_extension(lasting, minutes, reason))?;
    let until = lease.until + i64::from(minutes) * 60_000;
    let account = shared.store.account(lease.account_id).await?;
    let mut write = shared.store.write().await?;
    store::refuse_in_lockdown(&mut write).await?;
    if !leases::extend(&mut write, lease.lease_id, lease.until, until).await? {
        return Err(Failure::Busy("the lease".to_owned()).into());
    }
    let detail = json!({ "minutes": minutes, "until": until, "reason": reason, "profile": lease.profile });
    let (event, user_name) = (AuditEvent::LeaseExtended, Some(account.user_name.as_str()));
    let entry = shared.entry(tenant.tenant_id, event, caller, Some(lease.lease_id), user_name, detail);
    store::append(&mut write, &entry.by(&technician.name)).await?;
    store::commit(write).await
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
        let detail = json!({ "why": why, "until": lease.until, "lease_of": lease.technician_name });
        let entry = shared.entry(lease.tenant_id, AuditEvent::EndRequested, caller, Some(lease.lease_id), None, detail);
        store::append(&mut write, &entry.by(whose_doing(caller, lease))).await?;
    }
    store::commit(write).await
}

/// Whom an ending is put down to: the one who asks for it; nobody asks when its time is up, and then it is put down to
/// whoever had the lease. Empty: the one who works here.
fn whose_doing<'a>(caller: &Caller, lease: &'a LeaseRow) -> &'a str {
    if *caller == Caller::Sweep { &lease.technician_name } else { "" }
}

/// Drives the account to what the live leases need, reads it back, and closes the leases that were ending. When that
/// does not work it is written on the leases and tried again.
pub(crate) async fn settle(drive: &mut Drive<'_>) -> Result<(), EngineError> {
    let shared = drive.shared;
    let ending: Vec<_> =
        shared.store.open_leases_of(drive.account.account_id).await?.into_iter().filter(LeaseRow::is_ending).collect();
    match drive.drive(&mut Goal::Settle).await {
        Ok(()) => {
            record_settled(drive, &ending).await?;
            passkey::clear_after_lease(drive).await;
            Ok(())
        }
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
            store::append(&mut write, &entry.by(whose_doing(&drive.caller, lease))).await?;
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
    // Read after the loan was given: what was true before may not be any more.
    let account = shared.store.account(claim.account_id).await?;
    Ok(Drive {
        shared,
        session: shared.session(tenant),
        tenant: shared.store.tenant(tenant.tenant_id).await?,
        ended_at: account.settle_from,
        account,
        claim,
        priority,
        patience: shared.settings.patience.fault,
        replication_patience: shared.settings.patience.replication,
        caller: caller.clone(),
        on_progress,
        password_refused: false,
        has_to_go: false,
        not_ours: false,
        intent_written: false,
        listed_passkeys: None,
        deleted_passkeys: BTreeSet::new(),
        listed_tokens: None,
        deleted_tokens: BTreeSet::new(),
        waiting_token: None,
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
    Ok(summary_on(shared, lease, &account, tenant_name))
}

/// The same, with everything read already.
pub(crate) fn summary_on(shared: &Shared, lease: &LeaseRow, account: &AccountRow, tenant_name: String) -> LeaseSummary {
    LeaseSummary {
        lease_id: lease.lease_id,
        tenant_id: lease.tenant_id,
        tenant_name,
        user_name: account.user_name.clone(),
        roles: lease.roles.iter().map(|role| role.name.clone()).collect(),
        state: lease.state,
        credential: lease.credential,
        credential_held: lease.credential == Some(CredentialKind::Passkey) && lease.is_live()
            || shared.held.get(lease.lease_id, account.credential_generation).is_some_and(|held| {
                held.lasts_until.into_iter().chain(account.credential_until).all(|end| end > shared.now())
            }),
        from: lease.from,
        until: lease.until,
        problem: lease.problem.clone(),
        profile: Some(lease.profile.clone()),
        technician: Some(lease.technician_name.clone()).filter(|name| !name.is_empty()),
        ticket: lease.ticket.clone(),
        credential_until: account.credential_until.filter(|end| lease.is_live() && *end < lease.until),
    }
}
