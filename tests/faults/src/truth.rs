//! What really happened: the directory's own state after every effect, held against what the store promised.
//!
//! The directory is asked directly and never through the engine. The store is read by an onlooker with an engine of its
//! own, which does nothing else.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use entra_sim::Simulation;
use latchkey_engine::{AuditEvent, AuditQuery, Engine};
use latchkey_protocol::{LeaseState, LeaseSummary};
use uuid::Uuid;

use crate::{emergency::Emergency, world::World};

/// How far two clocks may be apart without anybody noticing, in milliseconds.
pub(crate) const CLOCK_NOISE: i64 = 3_000;

/// The account as it is in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) exists: bool,
    /// Object id: another one once it was deleted and made again.
    id: String,
    pub(crate) enabled: bool,
    pub(crate) roles: BTreeSet<String>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) pass: Option<String>,
    pub(crate) password: Option<String>,
    password_set: Duration,
    enabled_at: Duration,
    sessions_revoked: Option<Duration>,
}

impl Account {
    /// Whether anybody could do anything with it.
    pub(crate) fn is_dormant(&self) -> bool {
        !self.enabled && self.roles.is_empty() && self.groups.is_empty() && self.pass.is_none()
    }

    /// What it has that `before` had not.
    fn has_more_than(&self, before: &Self) -> bool {
        (self.enabled && !before.enabled)
            || !self.roles.is_subset(&before.roles)
            || !self.groups.is_subset(&before.groups)
            || (self.pass.is_some() && self.pass != before.pass)
    }
}

/// A change of the account.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) at: i64,
    pub(crate) account: Account,
}

/// What is known of a request that takes effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effect {
    /// It makes the account active, or gives it something.
    pub(crate) grants: bool,
    /// Whether the store had a lease that called for it when the process decided to send it.
    pub(crate) called_for: bool,
    /// Until when that lease lasted, in true time.
    pub(crate) until: i64,
    /// It disables the account although the store had a lease that needed it.
    pub(crate) takes_needed: bool,
    /// The process was paused between its last check and the send.
    pub(crate) paused: bool,
}

#[derive(Default)]
struct Seen {
    samples: Vec<Sample>,
    violations: Vec<String>,
    secrets: BTreeSet<String>,
}

/// The onlooker.
pub(crate) struct Truth {
    lab: Arc<Simulation>,
    onlooker: Mutex<Engine>,
    tenant: Uuid,
    /// What the name of the account begins with.
    whose: &'static str,
    pub(crate) emergency: Emergency,
    seen: Mutex<Seen>,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finding {
    pub(crate) violations: Vec<String>,
    /// How long the account was active without a lease at most, in milliseconds.
    pub(crate) lateness: i64,
}

impl Truth {
    pub(crate) fn new(
        lab: Arc<Simulation>,
        onlooker: Engine,
        tenant: Uuid,
        whose: &'static str,
        emergency: Emergency,
    ) -> Arc<Self> {
        let truth = Self { lab, onlooker: Mutex::new(onlooker), tenant, whose, emergency, seen: Mutex::default() };
        truth.look(0);
        Arc::new(truth)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn onlooker(&self) -> Engine {
        self.onlooker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The database is another file now.
    pub(crate) fn look_through(&self, onlooker: Engine) {
        *self.onlooker.lock().unwrap_or_else(PoisonError::into_inner) = onlooker;
    }

    pub(crate) fn account(&self) -> Account {
        let now = self.lab.clock.now();
        let directory = self.lab.directory();
        let Some(tenant) = directory.tenant(&self.tenant.to_string()) else { return Account::default() };
        let Some(user) = tenant.users.values().find(|user| user.user_principal_name.starts_with(self.whose)) else {
            return Account::default();
        };
        Account {
            exists: true,
            id: user.id.clone(),
            enabled: user.account_enabled,
            roles: tenant
                .assignments
                .iter()
                .filter(|assignment| assignment.principal == user.id && assignment.active(now))
                .map(|assignment| assignment.role.clone())
                .collect(),
            groups: tenant.groups_of(&user.id).iter().map(|group| group.id.clone()).collect(),
            pass: user.access_pass.as_ref().map(|pass| pass.code.clone()),
            password: user.password.clone(),
            password_set: user.password_moment,
            enabled_at: user.enabled_moment,
            sessions_revoked: user.sessions_revoked_moment,
        }
    }

    /// Whether an account that nobody has a lease on can be signed in to.
    fn another_is_active(&self) -> bool {
        let directory = self.lab.directory();
        let Some(tenant) = directory.tenant(&self.tenant.to_string()) else { return false };
        tenant.users.values().any(|user| {
            let name = &user.user_principal_name;
            let prepared = name.starts_with("jit-") && !name.starts_with("jit-taken@") && !name.starts_with(self.whose);
            prepared && (user.account_enabled || user.access_pass.is_some())
        })
    }

    /// Whether the store has a lease that calls for an active account, and until when (in true time).
    pub(crate) async fn lease_now(&self, world: &World) -> (bool, i64) {
        if self.onlooker().lockdown().await.is_ok_and(|lockdown| lockdown.is_some()) {
            return (false, 0);
        }
        let leases = self.onlooker().leases(false).await.unwrap_or_default();
        let live = leases
            .iter()
            .filter(|lease| !lease.state.is_closed() && !matches!(lease.state, LeaseState::Ending | LeaseState::Stuck));
        live.map(|lease| world.true_time(lease.until)).max().map_or((false, 0), |until| (true, until))
    }

    /// Notes how the account is now. Returns whether it has more than before.
    pub(crate) fn look(&self, now: i64) -> bool {
        let account = self.account();
        let mut seen = self.seen();
        seen.secrets.extend(account.password.iter().chain(&account.pass).cloned());
        let before = seen.samples.last().map(|sample| sample.account.clone()).unwrap_or_default();
        if before == account && !seen.samples.is_empty() {
            return false;
        }
        let more = account.has_more_than(&before);
        seen.samples.push(Sample { at: now, account });
        more
    }

    /// Notes an effect of the engine.
    pub(crate) fn effect(&self, now: i64, arrival: &Effect) {
        let was_enabled = self.seen().samples.last().is_some_and(|sample| sample.account.enabled);
        let more = self.look(now);
        if let Some(violation) = self.emergency.look(now) {
            self.violated(violation);
        }
        if self.another_is_active() {
            self.violated(format!("I1: at {now} an account that nobody has a lease on can be signed in to"));
        }
        if arrival.takes_needed && was_enabled && !self.account().enabled {
            self.violated(format!("I2: at {now} the end of a lease took what another one that is active needs"));
        }
        let Effect { grants, called_for, until, paused, .. } = *arrival;
        if !grants || !more {
            return;
        }
        if !called_for {
            self.violated(format!("I1, I5: at {now} something was granted that no lease in the store called for"));
        } else if now > until + CLOCK_NOISE && !paused {
            self.violated(format!(
                "I1: at {now} something was granted to a lease that had ended at {until}, though nothing was paused \
                 between check and send"
            ));
        }
    }

    pub(crate) fn violated(&self, violation: String) {
        self.seen().violations.push(violation);
    }

    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.seen().samples.clone()
    }

    /// Whether nothing is left to happen by itself: no lease is open and the account is dormant.
    pub(crate) async fn is_quiet(&self) -> bool {
        self.account().is_dormant() && self.onlooker().leases(false).await.is_ok_and(|leases| leases.is_empty())
    }

    /// What was to end by itself, the machine being off, is over.
    pub(crate) async fn fence_is_due(&self, now: i64) {
        self.look(now);
        let audit = self.onlooker().audit(&AuditQuery::default()).await.unwrap_or_default();
        let fenced = audit
            .iter()
            .any(|entry| entry.event == AuditEvent::LeaseGranted && entry.detail["roles_end_by_themselves"] == true);
        if fenced && !self.account().roles.is_empty() {
            self.violated(format!("second fence: at {now} roles that were to end by themselves have not ended"));
        }
    }

    /// Holds what happened against the invariants. `allowed` is how long an account may be active without a lease.
    pub(crate) async fn judge(&self, world: &World, allowed: i64, thorough: Option<&std::path::Path>) -> Finding {
        let onlooker = self.onlooker();
        let now = world.now();
        let account = self.account();
        let leases = onlooker.leases(true).await.unwrap_or_default();
        let audit = onlooker.audit(&AuditQuery::default()).await.unwrap_or_default();
        let ended = |lease: &LeaseSummary| {
            let asked = audit.iter().filter(|entry| {
                entry.lease_id == Some(lease.lease_id)
                    && matches!(entry.event, AuditEvent::EndRequested | AuditEvent::LeaseFailed)
            });
            asked.map(|entry| entry.at).chain([lease.until]).min().map_or(0, |at| world.true_time(at))
        };
        let open: Vec<(i64, i64)> = leases.iter().map(|lease| (world.true_time(lease.from), ended(lease))).collect();
        let mut finding = Finding { lateness: lateness(&self.samples(), &open, now), ..Finding::default() };
        let mut violated = |violation: String| finding.violations.push(violation);

        if !account.is_dormant() {
            violated(format!(
                "I1, I3: at the end of the run the account is still active (enabled: {}, roles: {}, groups: {}, pass: {})",
                account.enabled,
                account.roles.len(),
                account.groups.len(),
                account.pass.is_some()
            ));
        }
        for lease in leases.iter().filter(|lease| !lease.state.is_closed()) {
            violated(format!("I2: a lease is still {:?} at the end of the run", lease.state));
        }
        // One that was made anew and never enabled has neither sessions nor a password that anybody was told.
        let enabled = |sample: &Sample| sample.account.enabled && sample.account.id == account.id;
        if account.exists && self.samples().iter().any(enabled) {
            if account.password_set < account.enabled_at {
                violated("I2: the password was not replaced after the account was last enabled".to_owned());
            }
            if account.sessions_revoked.is_none_or(|revoked| revoked < account.enabled_at) {
                violated("I2: sessions were not revoked after the account was last enabled".to_owned());
            }
        }
        if finding.lateness > allowed {
            let late = finding.lateness;
            finding.violations.push(format!(
                "I3: the account was active without a lease for {late} ms; {allowed} ms are allowed for what went wrong"
            ));
        }
        let mut violated = |violation: String| finding.violations.push(violation);
        match onlooker.verify_audit().await {
            Ok(report) if report.is_whole() => {}
            Ok(report) => violated(format!("I5: the audit chain is broken in {} places", report.faults.len())),
            Err(error) => violated(format!("I5: the audit log cannot be read: {error}")),
        }
        for lease in &leases {
            let has = |event| audit.iter().any(|entry| entry.lease_id == Some(lease.lease_id) && entry.event == event);
            if !has(AuditEvent::LeaseRequested) {
                violated("I5: a lease is not in the audit log".to_owned());
            }
            if lease.state.is_closed() && !has(AuditEvent::EndVerified) {
                violated("I5: the end of a lease is not in the audit log".to_owned());
            }
        }
        if let Some(database) = thorough {
            let seen = self.seen();
            if let Some(file) = holds_secret(database, &seen.secrets) {
                finding.violations.push(format!("I4: {file} holds a password or a pass"));
            }
        }
        finding.violations.extend(self.seen().violations.iter().cloned());
        finding
    }
}

/// The longest time for which the account was active while no lease was open.
fn lateness(samples: &[Sample], open: &[(i64, i64)], end: i64) -> i64 {
    let mut longest = 0;
    let mut since: Option<i64> = None;
    let ends = samples.iter().skip(1).map(|sample| sample.at).chain([end]);
    for (sample, until) in samples.iter().zip(ends) {
        if sample.account.is_dormant() {
            since = None;
            continue;
        }
        // Within one state, what is not covered by a lease.
        let mut at = sample.at;
        while at < until {
            match open.iter().filter(|(from, to)| *from <= at && at < *to).map(|(_, to)| *to).max() {
                Some(covered) => {
                    since = None;
                    at = covered;
                }
                None => {
                    let from = *since.get_or_insert(at);
                    let next = open.iter().map(|(from, _)| *from).filter(|from| *from > at).min().unwrap_or(until);
                    let next = next.min(until);
                    longest = longest.max(next - from);
                    at = next;
                }
            }
        }
    }
    longest
}

fn holds_secret(database: &std::path::Path, secrets: &BTreeSet<String>) -> Option<String> {
    let folder = database.parent()?;
    for file in std::fs::read_dir(folder).ok()?.flatten() {
        let Ok(bytes) = std::fs::read(file.path()) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        if secrets.iter().any(|secret| text.contains(secret.as_str())) {
            return Some(file.file_name().to_string_lossy().into_owned());
        }
    }
    None
}
