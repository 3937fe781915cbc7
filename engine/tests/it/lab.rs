//! One engine (or several) and one lab Entra for it.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use entra_sim::{
    Entra, Running, Settings,
    exchanges::{Endpoint, Exchange},
};
use latchkey_engine::{
    Caller, Clock, Engine, EngineError, EngineSettings, Entitlement, NetworkSettings, NewTenant, Patience, SealedStore,
    SecretStore, SecretStoreError, StartLease, SystemClock, Technician,
};
use latchkey_protocol::{LeaseState, LeaseSummary, Progress, cloud::Cloud};
use secrecy::SecretString;
use uuid::Uuid;

pub(crate) const CONTOSO: Uuid = Uuid::from_u128(0x11111111_1111_4111_8111_111111111111);
pub(crate) const FABRIKAM: Uuid = Uuid::from_u128(0x22222222_2222_4222_8222_222222222222);
pub(crate) const NORTHWIND: Uuid = Uuid::from_u128(0x33333333_3333_4333_8333_333333333333);

pub(crate) const USER_ADMINISTRATOR: &str = "User Administrator";

/// The real time, shifted.
#[derive(Default)]
pub(crate) struct TestClock {
    passed: AtomicI64,
    set: AtomicI64,
}

impl TestClock {
    /// Time passes.
    pub(crate) fn pass(&self, milliseconds: i64) {
        self.passed.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Somebody sets the clock.
    pub(crate) fn shift(&self, milliseconds: i64) {
        self.set.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> i64 {
        SystemClock.now() + self.passed.load(Ordering::SeqCst) + self.set.load(Ordering::SeqCst)
    }

    fn elapsed(&self) -> i64 {
        SystemClock.elapsed() + self.passed.load(Ordering::SeqCst)
    }
}

/// A key store in memory.
#[derive(Default)]
pub(crate) struct Keys {
    secrets: Mutex<HashMap<Uuid, SecretString>>,
    pub(crate) locked: AtomicBool,
    /// Passwords of accounts.
    pub(crate) sealed: Sealed,
}

impl Keys {
    fn open(&self) -> Result<std::sync::MutexGuard<'_, HashMap<Uuid, SecretString>>, SecretStoreError> {
        if self.locked.load(Ordering::SeqCst) {
            Err(SecretStoreError::Locked)
        } else {
            Ok(self.secrets.lock().unwrap())
        }
    }
}

impl Keys {
    /// Everything that is kept, as it is kept.
    pub(crate) fn all(&self) -> Vec<String> {
        use secrecy::ExposeSecret as _;
        self.secrets.lock().unwrap().values().map(|secret| secret.expose_secret().to_owned()).collect()
    }
}

/// The part of the key store that holds passwords of accounts.
#[derive(Default)]
pub(crate) struct Sealed {
    entries: Mutex<HashMap<String, SecretString>>,
    /// It locks itself after so many calls; never when negative.
    pub(crate) calls_left: AtomicI64,
    pub(crate) locks_itself: AtomicBool,
}

impl Sealed {
    fn open(&self) -> Result<std::sync::MutexGuard<'_, HashMap<String, SecretString>>, SecretStoreError> {
        if self.locks_itself.load(Ordering::SeqCst) && self.calls_left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Err(SecretStoreError::Locked);
        }
        Ok(self.entries.lock().unwrap())
    }

    /// Locks itself after so many more calls.
    pub(crate) fn lock_after(&self, calls: i64) {
        self.calls_left.store(calls, Ordering::SeqCst);
        self.locks_itself.store(true, Ordering::SeqCst);
    }

    pub(crate) fn unlock(&self) {
        self.locks_itself.store(false, Ordering::SeqCst);
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.entries.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn forget_everything(&self) {
        self.entries.lock().unwrap().clear();
    }
}

impl SealedStore for Sealed {
    fn unseal(&self, entry: &str) -> Result<Option<SecretString>, SecretStoreError> {
        Ok(self.open()?.get(entry).cloned())
    }

    fn seal(&self, entry: &str, secret: &SecretString) -> Result<(), SecretStoreError> {
        self.open()?.insert(entry.to_owned(), secret.clone());
        Ok(())
    }

    fn discard(&self, entry: &str) -> Result<(), SecretStoreError> {
        self.open()?.remove(entry);
        Ok(())
    }
}

impl SecretStore for Keys {
    fn sealed(&self) -> Option<&dyn SealedStore> {
        Some(&self.sealed)
    }

    fn get(&self, tenant_id: Uuid) -> Result<Option<SecretString>, SecretStoreError> {
        Ok(self.open()?.get(&tenant_id).cloned())
    }

    fn set(&self, tenant_id: Uuid, secret: &SecretString) -> Result<(), SecretStoreError> {
        self.open()?.insert(tenant_id, secret.clone());
        Ok(())
    }

    fn delete(&self, tenant_id: Uuid) -> Result<(), SecretStoreError> {
        self.open()?.remove(&tenant_id);
        Ok(())
    }
}

pub(crate) struct Lab {
    pub(crate) running: Running,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) folder: tempfile::TempDir,
    certificate: PathBuf,
}

pub(crate) const QUIET: &(dyn Fn(Progress) + Send + Sync) = &|_| {};
pub(crate) const PERSON: Caller = Caller::CommandLine;

impl Lab {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let running = Entra::start(settings).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let certificate = folder.path().join("ca.pem");
        std::fs::write(&certificate, running.sim.authority.pem()).unwrap();
        Self { running, clock: Arc::default(), keys: Arc::default(), folder, certificate }
    }

    pub(crate) fn sim(&self) -> &Entra {
        &self.running.sim
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("store/latchkey.db")
    }

    pub(crate) fn settings(&self) -> EngineSettings {
        let technician = Technician { name: "Alex".to_owned(), local_part: "alex".to_owned(), groups: Vec::new() };
        let mut settings = EngineSettings::new(self.database(), technician);
        settings.network = NetworkSettings {
            proxy: Some(format!("http://127.0.0.1:{}", self.running.proxy_port).parse().unwrap()),
            extra_root_certificates: Some(self.certificate.clone()),
        };
        settings.patience = Patience { fault: Duration::from_secs(5), replication: Duration::from_secs(20) };
        settings
    }

    pub(crate) fn settings_of(&self, local_part: &str) -> EngineSettings {
        let mut settings = self.settings();
        settings.technician.local_part = local_part.to_owned();
        settings
    }

    /// A process: nothing of it is shared with another but the database, the key store and the clock.
    pub(crate) async fn engine(&self) -> Engine {
        self.try_engine(self.settings()).await.unwrap()
    }

    pub(crate) async fn try_engine(&self, settings: EngineSettings) -> Result<Engine, EngineError> {
        Engine::open(
            settings,
            Arc::clone(&self.keys) as Arc<dyn SecretStore>,
            Arc::clone(&self.clock) as Arc<dyn Clock>,
        )
        .await
    }

    /// What a person types to connect a tenant.
    pub(crate) fn wish(&self, tenant_id: Uuid) -> NewTenant {
        let directory = self.sim().directory();
        let tenant = directory.tenant(&tenant_id.to_string()).unwrap();
        let application = tenant.applications.first().unwrap();
        NewTenant {
            tenant_id,
            client_id: application.client_id.parse().unwrap(),
            credential: SecretString::from(application.secrets.last().unwrap().value.clone()).into(),
            cloud: Cloud::Global,
            name: None,
            domain: None,
            roles: vec![USER_ADMINISTRATOR.to_owned()],
            groups: Vec::new(),
            minutes: 240,
            maximum_minutes: 480,
        }
    }

    /// An engine with a tenant connected and its account prepared.
    pub(crate) async fn connected(&self, tenant_id: Uuid) -> Engine {
        let engine = self.engine().await;
        engine.add_tenant(self.wish(tenant_id), &PERSON, QUIET).await.unwrap();
        engine
    }

    /// The same, signing in with a certificate.
    pub(crate) async fn certified(&self, tenant_id: Uuid) -> Engine {
        let engine = self.engine().await;
        let mut wish = self.wish(tenant_id);
        let certificate =
            engine.make_certificate(tenant_id, wish.client_id, latchkey_engine::CERTIFICATE_DAYS).await.unwrap();
        self.upload(tenant_id, &certificate.pem);
        wish.credential = latchkey_engine::NewCredential::Certificate;
        engine.add_tenant(wish, &PERSON, QUIET).await.unwrap();
        engine
    }

    /// Somebody uploads a certificate in the portal.
    pub(crate) fn upload(&self, tenant_id: Uuid, pem: &str) {
        let key = entra_sim::assertion::read_certificate_text(pem, None).unwrap();
        self.change_tenant(tenant_id, |tenant| tenant.applications[0].keys.push(key));
    }

    pub(crate) async fn start(&self, engine: &Engine, tenant_id: Uuid) -> Result<LeaseSummary, EngineError> {
        engine.start_lease(start(tenant_id), QUIET).await
    }

    /// Moves the time here and at Microsoft.
    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.pass(seconds * 1000);
        self.sim().clock.advance_seconds(seconds);
    }

    /// How the JIT account is, in the directory itself.
    pub(crate) fn account(&self, tenant_id: Uuid) -> Account {
        self.find_account(tenant_id, "jit-alex@").expect("the account is there")
    }

    pub(crate) fn find_account(&self, tenant_id: Uuid, beginning: &str) -> Option<Account> {
        let directory = self.sim().directory();
        let tenant = directory.tenant(&tenant_id.to_string()).unwrap();
        let user = tenant.users.values().find(|user| user.user_principal_name.starts_with(beginning))?;
        Some(Account {
            id: user.id.clone(),
            enabled: user.account_enabled,
            password: user.password.clone().unwrap_or_default(),
            pass: user.access_pass.as_ref().map(|pass| pass.code.clone()),
            roles: tenant
                .assignments
                .iter()
                .filter(|assignment| assignment.principal == user.id)
                .map(|assignment| assignment.role.clone())
                .collect(),
            groups: tenant.groups_of(&user.id).iter().map(|group| group.display_name.clone()).collect(),
            sessions_revoked: user.sessions_revoked_moment.is_some(),
        })
    }

    pub(crate) fn change_user(&self, tenant_id: Uuid, change: impl FnOnce(&mut entra_sim::directory::user::User)) {
        let id = self.account(tenant_id).id;
        let mut directory = self.sim().directory();
        let tenant = directory.tenant_mut(&tenant_id.to_string()).unwrap();
        change(tenant.users.get_mut(&id).unwrap());
    }

    pub(crate) fn change_tenant(
        &self,
        tenant_id: Uuid,
        change: impl FnOnce(&mut entra_sim::directory::tenant::Tenant),
    ) {
        change(self.sim().directory().tenant_mut(&tenant_id.to_string()).unwrap());
    }

    pub(crate) fn assert_dormant(&self, tenant_id: Uuid, before: &Account) {
        let now = self.account(tenant_id);
        assert!(!now.enabled, "it is disabled");
        assert!(now.roles.is_empty(), "it holds no role");
        assert!(now.groups.is_empty(), "it is in no group");
        assert_eq!(now.pass, None, "it has no pass");
        assert_ne!(now.password, before.password, "its password was replaced");
        assert!(now.sessions_revoked, "its sessions were revoked");
    }

    /// I1: no account of ours is enabled without a live lease, whatever happened.
    pub(crate) async fn assert_nothing_is_left(&self, engine: &Engine) {
        let live = !engine.leases(false).await.unwrap().is_empty();
        let now = self.sim().clock.now();
        for tenant in &self.sim().directory().tenants {
            for user in tenant.users.values().filter(|user| user.user_principal_name.starts_with("jit-alex")) {
                assert!(live || !user.account_enabled, "{} is enabled without a lease", user.user_principal_name);
                assert!(
                    live || tenant
                        .assignments
                        .iter()
                        .all(|assignment| assignment.principal != user.id || !assignment.active(now)),
                    "{} holds a role without a lease",
                    user.user_principal_name
                );
            }
        }
        assert!(engine.verify_audit().await.unwrap().is_whole());
        engine.check_store().await.unwrap();
        self.assert_conformant().await;
    }

    /// Every exchange so far is one that Microsoft's own schema allows.
    pub(crate) async fn assert_conformant(&self) {
        let conformance = self.sim().schema.settled().await;
        let violations: Vec<_> = conformance
            .violations
            .iter()
            .map(|violation| {
                format!("{} {} {}: {}", violation.operation, violation.status, violation.part, violation.problem)
            })
            .collect();
        assert_eq!(violations, Vec::<String>::new());
    }

    /// Forgets the exchanges so far.
    pub(crate) fn forget_exchanges(&self) {
        self.sim().exchanges.clear();
    }

    /// HTTP exchanges since then: round trips.
    pub(crate) fn round_trips(&self) -> Vec<String> {
        let outer = |exchange: &Exchange| !exchange.in_batch;
        let describe = |exchange: Exchange| match exchange.endpoint {
            Endpoint::Token => "token".to_owned(),
            Endpoint::Graph => format!("{} {}", exchange.method, exchange.path),
        };
        self.sim().exchanges.entries().into_iter().filter(outer).map(describe).collect()
    }

    /// Sweeps until nothing is due or failing, moving the time to when something is.
    pub(crate) async fn sweep_until_quiet(&self, engine: &Engine) {
        for _ in 0..40 {
            let report = engine.sweep().await.unwrap();
            if engine.leases(false).await.unwrap().is_empty() {
                return;
            }
            let now = self.clock.now();
            let due = report.next_due.unwrap_or(now);
            self.advance(((due - now) / 1000 + 1).clamp(1, 900));
        }
        panic!("leases do not end: {:?}", engine.leases(false).await.unwrap());
    }

    /// Whether any of the texts stands anywhere in the database's files.
    pub(crate) fn database_contains(&self, secrets: &BTreeSet<String>) -> Vec<String> {
        let mut found = Vec::new();
        for file in std::fs::read_dir(self.database().parent().unwrap()).unwrap() {
            // An engine that was dropped closes in the background, and its journal goes with it.
            let Ok(bytes) = std::fs::read(file.unwrap().path()) else { continue };
            for secret in secrets {
                if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                    found.push(secret.clone());
                }
            }
        }
        found
    }

    pub(crate) fn clock_now(&self) -> i64 {
        self.clock.now()
    }

    /// Somebody assigns a role by hand.
    pub(crate) fn assign_role(&self, tenant_id: Uuid, principal: &str, role: &str) {
        let role = entra_sim::directory::roles::by_name(role).unwrap().id.to_owned();
        let assignment = entra_sim::directory::tenant::RoleAssignment {
            id: entra_sim::directory::seed::assignment_id(&role, principal, "/"),
            role,
            principal: principal.to_owned(),
            scope: "/".to_owned(),
            schedule: None,
        };
        self.change_tenant(tenant_id, |tenant| tenant.assignments.push(assignment));
    }

    /// Waits for something that happens in another task.
    pub(crate) async fn wait_until(&self, condition: impl Fn() -> bool) {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn wait_for_state(&self, engine: &Engine, lease_id: Uuid, state: LeaseState) {
        loop {
            let leases = engine.leases(true).await.unwrap();
            if leases.iter().any(|lease| lease.lease_id == lease_id && lease.state == state) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn client_secret(&self, tenant_id: Uuid) -> String {
        let directory = self.sim().directory();
        let tenant = directory.tenant(&tenant_id.to_string()).unwrap();
        tenant.applications.first().unwrap().secrets.last().unwrap().value.clone()
    }
}

/// The state of an account in the directory.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) enabled: bool,
    pub(crate) password: String,
    pub(crate) pass: Option<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) sessions_revoked: bool,
}

pub(crate) fn start(tenant_id: Uuid) -> StartLease {
    StartLease { minutes: Some(60), reason: Some("ticket 4711".to_owned()), ..StartLease::new(tenant_id, PERSON) }
}

/// An entitlement in every tenant.
pub(crate) fn entitlement(group: &str, profile: &str, roles: &[&str], groups: &[&str]) -> Entitlement {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Entitlement {
        group: group.to_owned(),
        tenants: Vec::new(),
        profile: profile.to_owned(),
        roles: owned(roles),
        groups: owned(groups),
        maximum_minutes: None,
    }
}
