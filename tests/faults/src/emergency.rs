//! What must hold of a break-glass account, and of what the application proves itself with: nobody is ever locked out.
//!
//! The password that the directory has must be in the key store at every moment, and among those that a reveal shows
//! whenever somebody asks; the key store's entry for the application must be one that the directory knows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use entra_sim::Simulation;
use latchkey_engine::{
    AuditEvent, AuditQuery, Belief, BreakGlassName, BreakGlassSettings, Caller, Engine, Failure, RevealInterval,
};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::{keys::Keys, world::World};

/// What the break-glass account is called.
pub(crate) const NAME: &str = "breakglass-1";
/// How the key store begins what is a certificate's key; what follows is its thumbprint.
const CERTIFICATE: &str = "certificate:1:";
/// A rotation that is due so soon is waited for, in milliseconds.
const SOON: i64 = 600_000;

/// What the configuration says about it: everybody may see the password, and it is replaced a minute after.
pub(crate) fn settings() -> Vec<BreakGlassSettings> {
    let Ok(name) = BreakGlassName::parse(NAME) else { return Vec::new() };
    vec![BreakGlassSettings {
        reveal: vec![latchkey_engine::ALL_ADMINS.to_owned()],
        rotate_after_reveal: RevealInterval::minutes(1).unwrap_or_default(),
        ..BreakGlassSettings::new(name)
    }]
}

/// The account as it is in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Account {
    password: Option<String>,
    enabled: bool,
    roles: usize,
}

/// An onlooker for what must work when nothing else does.
pub(crate) struct Emergency {
    lab: Arc<Simulation>,
    keys: Arc<Keys>,
    tenant: Uuid,
    /// The account was complete when the run began, and so it is to stay.
    complete: bool,
    /// The passwords that it has had.
    passwords: Mutex<Vec<String>>,
}

impl Emergency {
    pub(crate) fn new(lab: Arc<Simulation>, keys: Arc<Keys>, tenant: Uuid, complete: bool) -> Self {
        let emergency = Self { lab, keys, tenant, complete, passwords: Mutex::default() };
        emergency.passwords().extend(emergency.account().and_then(|account| account.password));
        emergency
    }

    pub(crate) fn passwords(&self) -> MutexGuard<'_, Vec<String>> {
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(&self) -> Option<Account> {
        let now = self.lab.clock.now();
        let directory = self.lab.directory();
        let tenant = directory.tenant(&self.tenant.to_string())?;
        let user = tenant.users.values().find(|user| {
            user.user_principal_name.split_once('@').is_some_and(|(name, _)| name.eq_ignore_ascii_case(NAME))
        })?;
        let mine = |role: &&entra_sim::directory::RoleAssignment| role.principal == user.id && role.active(now);
        Some(Account {
            password: user.password.clone(),
            enabled: user.account_enabled,
            roles: tenant.assignments.iter().filter(mine).count(),
        })
    }

    /// After every effect. What is wrong, if anything is.
    pub(crate) fn look(&self, now: i64) -> Option<String> {
        let entry = self.keys.application(self.tenant);
        if entry.as_deref().is_some_and(|entry| !self.is_known(entry)) {
            return Some(format!(
                "locked out: at {now} the key store holds nothing that the application could prove itself with"
            ));
        }
        let account = self.account()?;
        if let Some(password) = &account.password {
            if self.passwords().last() != Some(password) {
                self.passwords().push(password.clone());
            }
            if !self.keys.holds(password) {
                return Some(format!("locked out: at {now} the break-glass password is not in the key store"));
            }
        }
        (self.complete && (!account.enabled || account.roles == 0))
            .then(|| format!("locked out: at {now} the break-glass account is disabled or has lost its role"))
    }

    /// Whether the directory knows what the entry proves.
    fn is_known(&self, entry: &str) -> bool {
        let directory = self.lab.directory();
        let tenant = directory.tenant(&self.tenant.to_string());
        let Some(application) = tenant.and_then(|tenant| tenant.applications.first()) else { return false };
        match entry.strip_prefix(CERTIFICATE).and_then(|rest| rest.split(':').next()) {
            Some(thumbprint) => application.keys.iter().any(|key| URL_SAFE_NO_PAD.encode(key.sha256) == thumbprint),
            None => application.secrets.iter().any(|secret| secret.value == entry),
        }
    }

    /// Has somebody shown the password. What is wrong, if anything is.
    pub(crate) async fn reveal(&self, engine: &Engine, now: i64) -> Option<String> {
        let shown = engine.reveal_break_glass(self.tenant, NAME, "drill", &Caller::CommandLine).await;
        let actual = self.account()?.password?;
        match shown {
            Ok(shown) => {
                let found = shown.passwords.iter().any(|one| one.value.expose_secret() == actual);
                (!found).then(|| format!("locked out: at {now} the break-glass password is not among those shown"))
            }
            // The password was replaced again and again while it was looked up: the next try shows it.
            Err(error) if matches!(error.failure(), Failure::Busy(_)) => None,
            Err(error) => Some(format!("locked out: at {now} the break-glass password cannot be shown: {error}")),
        }
    }

    /// Whether nothing about the account is left to be done by itself.
    pub(crate) async fn is_quiet(&self, engine: &Engine, world: &World) -> bool {
        let Ok(accounts) = engine.break_glass_accounts().await else { return false };
        accounts.iter().filter(|account| account.ready).all(|account| {
            account.password == Belief::Proven
                && account.next_rotation.is_none_or(|at| world.true_time(at) > world.now() + SOON)
        })
    }

    /// At the end of a run.
    pub(crate) async fn judge(&self, engine: &Engine, world: &World) -> Vec<String> {
        let now = world.now();
        let mut violations: Vec<String> = self.look(now).into_iter().collect();
        for account in engine.break_glass_accounts().await.unwrap_or_default().iter().filter(|one| one.ready) {
            if account.password != Belief::Proven || account.revealed_at > account.proven_since {
                violations.push(format!(
                    "I3: at the end of the run the break-glass password is {:?}, shown at {:?}, proven at {:?}",
                    account.password, account.revealed_at, account.proven_since
                ));
            }
        }
        violations.extend(self.reveal(engine, now).await);
        let audit = engine.audit(&AuditQuery::default()).await.unwrap_or_default();
        let announced = audit.iter().filter(|entry| {
            world.true_time(entry.at) >= 0
                && matches!(entry.event, AuditEvent::BreakGlassRotating | AuditEvent::BreakGlassCreating)
        });
        let changes = self.passwords().len().saturating_sub(usize::from(self.complete));
        if announced.count() < changes {
            violations.push(format!("I5: {changes} changes of the break-glass password are not all in the audit log"));
        }
        violations
    }
}
