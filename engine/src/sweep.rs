//! The pass that ends leases that are due, looks again at what ended lately, and compares every account with the store.
//!
//! A request that was given up on may still take effect: an account that was read back is looked at again after 35 s,
//! 2 min and 10 min. And every 15 min everything is, because only that finds what no rule foresaw.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use latchkey_protocol::{ErrorBody, ErrorCode, LeaseState, LeaseSummary};
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    AuditEvent, Caller, EngineError, Failure, RotationReport, break_glass,
    drive::{Drive, ending_problem},
    engine::{Engine, Shared},
    entitlement::lost,
    graph::Priority,
    guards::{Guard, holds},
    lifecycle::{begin_ending, drive, settle, summarize},
    oath, passkey,
    plan::{Desired, Observed, plan},
    store::{LOAN, LeaseRow, Looks},
};
use std::{sync::Arc, time::Duration};

/// When an account that was read back is looked at again, after the ending was verified.
const SETTLE_CHECKS: [i64; 3] = [35_000, 120_000, 600_000];
/// How often every account is looked at.
const SCAN_EVERY: i64 = 900_000;
/// A tenant that could not be asked is asked again after so long.
const ASK_AGAIN: i64 = 60_000;
/// A lease that begins later than this from now was written under another clock.
const FUTURE: i64 = 120_000;
/// How many accounts are worked on at once.
const AT_ONCE: usize = 32;
/// How long one account may take before it is left to the next sweep.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a sweep did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SweepReport {
    /// Leases that were taken back and read back.
    pub ended: Vec<LeaseSummary>,
    /// Leases whose ending is in trouble; they stay due.
    pub failing: Vec<LeaseSummary>,
    /// Active leases whose account somebody else changed, or whose account is as it should be again.
    pub changed: Vec<LeaseSummary>,
    /// User names of accounts without a lease that were found active and are dormant again.
    pub repaired: Vec<String>,
    /// Tenants that could not be asked, and why; they are asked again at the next sweep.
    pub problems: Vec<ErrorBody>,
    /// Break-glass accounts whose password's turn it was.
    pub rotations: RotationReport,
    /// How many accounts were looked at in the directory.
    pub looked_at: usize,
    /// When something is due next, Unix time in milliseconds.
    pub next_due: Option<i64>,
}

/// What was found at one account.
#[derive(Default)]
struct Look {
    looked: bool,
    repaired: Option<String>,
    changed: Option<Uuid>,
    problem: Option<ErrorBody>,
}

/// One sweep.
pub(crate) async fn sweep(engine: &Engine) -> Result<SweepReport, EngineError> {
    let shared = engine.shared();
    let ending = begin_what_is_due(shared).await?;
    crate::application::credential::warn_of_ends(shared).await?;
    // What ends comes first: looking at what is over must not use up Graph's limits before. (Ids are random, so that
    // this goes through many tenants at once, and each has limits of its own.)
    let accounts: BTreeSet<Uuid> = ending.iter().map(|lease| lease.account_id).collect();
    let now = shared.clock.now();
    let due: BTreeSet<Uuid> = shared.store.accounts_due(now, &looks()).await?.into_iter().collect();
    let looked_at: Vec<Uuid> = due.difference(&accounts).copied().collect();

    let mut report = SweepReport::default();
    let mut changed = Vec::new();
    let mut waiting = accounts.into_iter().chain(looked_at);
    let mut working = JoinSet::new();
    loop {
        while working.len() < AT_ONCE {
            let Some(account_id) = waiting.next() else { break };
            let shared = Arc::clone(shared);
            working.spawn(async move { look_after(&shared, account_id).await });
        }
        let Some(finished) = working.join_next().await else { break };
        let finished =
            finished.map_err(|error| Failure::Internal(format!("a look was interrupted: {error}")).into()).flatten();
        // What is wrong with one account must not keep the others from being looked after.
        let look = finished.unwrap_or_else(|error: EngineError| {
            tracing::error!(%error, "an account cannot be looked after");
            Look { problem: Some(error.to_body()), ..Look::default() }
        });
        report.looked_at += usize::from(look.looked);
        report.repaired.extend(look.repaired);
        report.problems.extend(look.problem);
        changed.extend(look.changed);
    }

    let mut names = BTreeMap::new();
    for lease in ending {
        let lease = shared.store.lease(lease.lease_id).await?;
        let summary = summarize(shared, &lease, &mut names).await?;
        if lease.state.is_closed() {
            report.ended.push(summary);
        } else if lease.problem.is_some() {
            report.failing.push(summary);
        }
        // Otherwise another process is at it just now.
    }
    for lease_id in changed {
        let lease = shared.store.lease(lease_id).await?;
        report.changed.push(summarize(shared, &lease, &mut names).await?);
    }
    // After the leases: an ending never waits for a rotation.
    report.rotations = break_glass::sweep(shared).await?;
    shared.remember_clock().await?;
    crate::audit::prune(shared).await?;
    report.next_due = next_due(shared).await?;
    Ok(report)
}

/// When something is due next; never earlier than in a second, so that whoever waits for it does not spin.
pub(crate) async fn next_due(shared: &Shared) -> Result<Option<i64>, EngineError> {
    let now = shared.clock.now();
    let lease = shared.store.first_due().await?.map(|due| due - (shared.now() - now));
    let look = shared.store.first_look(now, &looks()).await?;
    let rotation = break_glass::next_due(shared).await?;
    Ok(lease.into_iter().chain(look).chain(rotation).min().map(|due| due.max(now + 1_000)))
}

/// Moves every lease whose time is up, and every activation that was left, to its ending. Returns all that are to be
/// worked on.
async fn begin_what_is_due(shared: &Shared) -> Result<Vec<LeaseRow>, EngineError> {
    begin_what_is_lost(shared).await?;
    let (local, now) = (shared.clock.now(), shared.now());
    let mut ending = Vec::new();
    for lease in shared.store.due_leases(now, local + FUTURE).await? {
        let why = if lease.is_ending() {
            None
        } else if lease.from > local + FUTURE {
            Some("it begins in the future: the clock was set back")
        } else if lease.until <= now {
            Some("its time was up")
        } else if matches!(lease.state, LeaseState::Activating | LeaseState::Requested) {
            if shared.store.is_claimed(lease.account_id, local).await? {
                continue;
            }
            Some("its activation was left half-way")
        } else {
            continue;
        };
        if let Some(why) = why {
            begin_ending(shared, &lease, &Caller::Sweep, why).await?;
        }
        ending.push(lease);
    }
    Ok(ending)
}

/// Moves every lease to its ending whose technician is not on the list or not entitled to it any more. They are due
/// at once then.
async fn begin_what_is_lost(shared: &Shared) -> Result<(), EngineError> {
    let policy = shared.policy();
    let mut tenants = BTreeMap::new();
    for lease in shared.store.open_leases().await?.iter().filter(|lease| lease.is_live()) {
        let tenant = match tenants.entry(lease.tenant_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(shared.store.tenant(lease.tenant_id).await?),
        };
        if let Some(why) = lost(policy, &shared.settings.technician, tenant, lease) {
            begin_ending(shared, lease, &Caller::Sweep, why).await?;
        }
    }
    Ok(())
}

/// When accounts are looked at.
fn looks() -> Looks {
    Looks { after_ending: SETTLE_CHECKS, scan_every: holds(Guard::ReconcileScan).then_some(SCAN_EVERY) }
}

async fn look_after(shared: &Shared, account_id: Uuid) -> Result<Look, EngineError> {
    let Some(claim) = shared.store.claim(account_id, shared.clock.now()).await? else {
        // Somebody is at it; if that comes to nothing the next sweep finds it.
        return Ok(Look::default());
    };
    let account = shared.store.account(account_id).await?;
    let tenant = shared.store.tenant(account.tenant_id).await?;
    let quiet = |_| {};
    let mut drive = drive(shared, &tenant, claim, &Caller::Sweep, Priority::Low, &quiet).await?;
    drive.patience = PATIENCE;
    drive.replication_patience = PATIENCE;
    let outcome = look(&mut drive).await;
    let look = match outcome {
        Ok(look) => look,
        Err(error) => {
            let now = shared.clock.now();
            // Not now, but not only in a quarter of an hour either.
            let mut account = shared.store.account(account_id).await?;
            account.looked_at = Some(now - SCAN_EVERY + ASK_AGAIN);
            account.settle_from = account.settle_from.map(|from| from + ASK_AGAIN);
            shared.store.save_known(&claim, &account).await?;
            let mut problem = error.in_tenant(&tenant.name).to_body();
            problem.tenant.get_or_insert_with(|| tenant.name.clone());
            Look { problem: Some(problem), ..Look::default() }
        }
    };
    shared.store.release(&claim).await?;
    Ok(look)
}

async fn look(drive: &mut Drive<'_>) -> Result<Look, EngineError> {
    let shared = drive.shared;
    let leases = shared.store.open_leases_of(drive.account.account_id).await?;
    if leases.iter().any(LeaseRow::is_ending) {
        drive.priority = Priority::Normal;
        settle(drive).await?;
        return Ok(Look { looked: true, ..Look::default() });
    }
    if leases.iter().any(|lease| lease.state == LeaseState::Activating) {
        return Ok(Look::default());
    }
    drive.observe().await.map_err(|trouble| trouble.to_error("read the account"))?;
    let mut found = Look { looked: true, ..Look::default() };
    if leases.is_empty() {
        if !plan(&Desired::Dormant, &drive.account.known).is_empty() {
            let known = &drive.account.known;
            let detail = json!({
                "enabled": known.enabled, "roles": known.roles.values().collect::<Vec<_>>(),
                "passes": known.passes.len(), "groups": known.groups.keys().collect::<Vec<_>>(),
            });
            let user_name = Some(drive.account.user_name.as_str());
            shared
                .audit(drive.tenant.tenant_id, AuditEvent::DriftFound, &Caller::Sweep, None, user_name, detail)
                .await?;
            drive.priority = Priority::Normal;
            if let Err(error) = settle(drive).await {
                // No lease shows it, so the account itself does until it is dormant.
                let problem = ending_problem(&error, &drive.tenant.name);
                shared.store.note_account_problem(drive.account.account_id, Some(&problem)).await?;
                return Err(error);
            }
            found.repaired = Some(drive.account.user_name.clone());
        }
        shared.store.note_account_problem(drive.account.account_id, None).await?;
        if drive.account.settle_from.is_some() {
            drive.account.settle_stage += 1;
            if usize::try_from(drive.account.settle_stage).is_ok_and(|stage| stage >= SETTLE_CHECKS.len()) {
                drive.account.settle_from = None;
            }
        }
        passkey::make_up(drive).await;
        oath::make_up(drive).await;
    } else {
        found.changed = compare(drive, &leases).await?;
    }
    drive.account.looked_at = Some(shared.clock.now());
    shared.store.save_known(&drive.claim, &drive.account).await?;
    Ok(found)
}

/// Compares an active account with what its leases say. Whoever changed it may have had a reason: nothing is granted
/// again, and what was added is removed when the lease ends.
async fn compare(drive: &Drive<'_>, leases: &[LeaseRow]) -> Result<Option<Uuid>, EngineError> {
    let shared = drive.shared;
    let differences = differences(&drive.account.known, leases);
    let problem = (!differences.is_empty()).then(|| {
        let mut body = ErrorBody::new(
            ErrorCode::GraphRefused,
            format!("Somebody else changed the account: {}.", differences.join(", ")),
            "End the lease and ask again if you need it; what was added is removed when it ends.",
        );
        body.tenant = Some(drive.tenant.name.clone());
        body
    });
    let mut changed = None;
    for lease in leases {
        if shared.store.mark_modified(lease.lease_id, problem.as_ref()).await? {
            changed = Some(lease.lease_id);
            if problem.is_some() {
                let user_name = Some(drive.account.user_name.as_str());
                let detail = json!({ "differences": differences });
                let event = AuditEvent::ExternallyModified;
                shared.audit(lease.tenant_id, event, &Caller::Sweep, Some(lease.lease_id), user_name, detail).await?;
            }
        }
    }
    Ok(changed)
}

pub(crate) fn differences(known: &Observed, leases: &[LeaseRow]) -> Vec<String> {
    if !known.exists {
        return vec!["it was deleted".to_owned()];
    }
    let mut differences = Vec::new();
    if !known.enabled {
        differences.push("it was disabled".to_owned());
    }
    let held: BTreeSet<_> = known.roles.values().copied().collect();
    let wanted: BTreeMap<_, _> =
        leases.iter().flat_map(|lease| &lease.roles).map(|role| (role.id, role.name.as_str())).collect();
    differences.extend(
        wanted.iter().filter(|(id, _)| !held.contains(id)).map(|(_, name)| format!("the role {name} was removed")),
    );
    differences.extend(held.iter().filter(|id| !wanted.contains_key(id)).map(|id| format!("the role {id} was added")));
    let groups: BTreeSet<_> = leases.iter().flat_map(|lease| &lease.groups).collect();
    differences.extend(
        groups
            .iter()
            .filter(|group| !known.groups.contains_key(group))
            .map(|group| format!("the group {group} was left")),
    );
    differences
}

// A loan must outlast an exchange, and the first settle check must come after whatever was sent under it.
const _: () = assert!(SETTLE_CHECKS[0] > LOAN, "a late effect of a lapsed loan must be seen");
