//! One running simulation: the shared state, and starting and stopping the ports that serve it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::clock::{Clock, Moment};
use crate::directory::access::{Demand, Proof};
use crate::directory::strong::PasskeyQuestion;
use crate::directory::{CredentialType, Directory, SignInError, SignedIn, Tenant, seed};
use crate::exchanges::ExchangeLog;
use crate::faults::Faults;
use crate::graph::audits::Audits;
use crate::graph::delta::Deltas;
use crate::knobs::Knobs;
use crate::pages::Pages;
use crate::passkeys::Assertion;
use crate::people::{Answer, AuthorizationRequest, Refusal};
use crate::schema::Schema;
use crate::throttle::Throttle;
use crate::tls::CertificateAuthority;
use crate::token::TokenIssuer;
use crate::{control, serve};

/// How many past states of a tenant are kept for stale reads.
const REMEMBERED: usize = 200;

/// How to start a simulation.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Port for TLS (and plain HTTP) by host name; 0 means any free one.
    pub https_port: u16,
    /// Port of the CONNECT proxy; 0 means any free one.
    pub proxy_port: u16,
    /// Port of the control surface; 0 means any free one.
    pub control_port: u16,
    /// Knobs at the start and after a reset.
    pub knobs: Knobs,
    /// The OpenAPI file; looked for where it usually is when absent.
    pub openapi: Option<PathBuf>,
    /// Tenants besides the usual three.
    pub tenants: Vec<seed::TenantRecipe>,
    /// Time stands still from then until [`Clock::set_elapsed`] moves it.
    pub standing_at: Option<jiff::Timestamp>,
}

/// The shared state of a simulation. Everything that serves a request holds an `Arc` of it.
#[derive(Debug)]
pub struct Simulation {
    /// Simulated time and lag.
    pub clock: Clock,
    /// Every token and Graph exchange.
    pub exchanges: ExchangeLog,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// Microsoft's schema and what was found with it.
    pub schema: Schema,
    /// Published limits.
    pub throttle: Throttle,
    /// Every write that took effect.
    pub audits: Audits,
    /// What clients of delta queries were shown.
    pub deltas: Deltas,
    /// Issues and recognises tokens.
    pub tokens: TokenIssuer,
    /// Makes certificates.
    pub authority: Arc<CertificateAuthority>,
    directory: Mutex<Directory>,
    pristine: Directory,
    past: Mutex<Vec<(Moment, Tenant)>>,
    knobs: Mutex<Knobs>,
    knobs_at_start: Knobs,
    replica: AtomicBool,
}

impl Simulation {
    /// A simulation with the usual customers, not served anywhere yet.
    ///
    /// # Errors
    /// No randomness for keys.
    pub fn new(settings: Settings) -> anyhow::Result<Arc<Self>> {
        let clock = settings.standing_at.map_or_else(Clock::new, Clock::standing_at);
        clock.set_offset_seconds(settings.knobs.clock_offset_seconds);
        let mut directory = seed::directory(&clock);
        for recipe in settings.tenants {
            directory.tenants.push(seed::tenant(recipe, &clock));
        }
        Ok(Arc::new(Self {
            clock,
            exchanges: ExchangeLog::default(),
            faults: Faults::default(),
            schema: Schema::start(settings.openapi.as_deref()),
            throttle: Throttle::default(),
            audits: Audits::default(),
            deltas: Deltas::default(),
            tokens: TokenIssuer::new()?,
            authority: Arc::new(CertificateAuthority::new()?),
            pristine: directory.clone(),
            directory: Mutex::new(directory),
            past: Mutex::new(Vec::new()),
            knobs: Mutex::new(settings.knobs.clone()),
            knobs_at_start: settings.knobs,
            replica: AtomicBool::new(false),
        }))
    }

    /// Starts to serve on the local machine.
    ///
    /// # Errors
    /// A port is taken, or no randomness for keys.
    pub async fn start(settings: Settings) -> anyhow::Result<Running> {
        let bind = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let https = bind(settings.https_port).await?;
        let proxy = bind(settings.proxy_port).await?;
        let control = bind(settings.control_port).await?;
        let sim = Self::new(settings)?;
        let ports = [https.local_addr()?.port(), proxy.local_addr()?.port(), control.local_addr()?.port()];
        let site = Pages::new(Arc::clone(&sim));
        let pages = site.router();
        let control_router = control::router(Arc::clone(&sim)).merge(site.control_router());
        let tasks = vec![
            tokio::spawn(serve::listen(https, Arc::clone(&sim), pages.clone())),
            tokio::spawn(serve::listen(proxy, Arc::clone(&sim), pages)),
            tokio::spawn(async move {
                let _ = axum::serve(control, control_router).await;
            }),
        ];
        Ok(Running { sim, https_port: ports[0], proxy_port: ports[1], control_port: ports[2], tasks })
    }

    /// The directory. Do not hold the guard across an `await`.
    pub fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The knobs as they are now.
    #[must_use]
    pub fn knobs(&self) -> Knobs {
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Turns knobs: JSON with the ones to turn.
    ///
    /// # Errors
    /// A knob that does not exist, or a value it cannot have; then none is turned.
    pub fn turn(&self, change: &serde_json::Value) -> Result<Knobs, serde_json::Error> {
        let mut knobs = self.knobs.lock().unwrap_or_else(PoisonError::into_inner);
        let turned = knobs.turned(change)?;
        if turned.clock_offset_seconds != knobs.clock_offset_seconds {
            self.clock.set_offset_seconds(turned.clock_offset_seconds);
        }
        *knobs = turned.clone();
        Ok(turned)
    }

    /// Adds a tenant and returns its id.
    pub fn add_tenant(&self, recipe: seed::TenantRecipe) -> Tenant {
        let tenant = seed::tenant(recipe, &self.clock);
        let mut directory = self.directory();
        directory.tenants.retain(|known| known.id != tenant.id);
        directory.tenants.push(tenant.clone());
        tenant
    }

    /// Puts everything back to how it was at the start: directory (with the same secrets), knobs, clock, logs, faults.
    pub fn reset(&self) {
        self.directory().clone_from(&self.pristine);
        self.past.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.knobs.lock().unwrap_or_else(PoisonError::into_inner) = self.knobs_at_start.clone();
        self.clock.set_offset_seconds(self.knobs_at_start.clock_offset_seconds);
        self.faults.replace(Vec::new());
        self.faults.release();
        self.exchanges.clear();
        self.schema.clear();
        self.audits.clear();
        self.deltas.clear();
        self.tokens.clear();
        self.throttle.clear();
        self.replica.store(false, Ordering::Relaxed);
    }

    /// Remembers a tenant as it was until now, for reads that lag.
    pub(crate) fn remember(&self, tenant: &Tenant, until: Moment) {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() >= REMEMBERED {
            past.remove(0);
        }
        past.push((until, tenant.clone()));
    }

    /// A tenant as it was so long ago, when that differs from now.
    pub(crate) fn as_of(&self, tenant_id: &str, lag: Duration, now: Moment) -> Option<Tenant> {
        let then = now.checked_sub(lag).unwrap_or_default();
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.iter().find(|(until, tenant)| tenant.id == tenant_id && *until > then).map(|(_, tenant)| tenant.clone())
    }

    /// Which of two replicas answers next.
    pub(crate) fn next_replica(&self) -> bool {
        self.replica.fetch_xor(true, Ordering::Relaxed)
    }

    /// The permissions of which one is enough for an operation.
    pub(crate) fn permissions_for(
        &self,
        method: &str,
        segments: &[String],
    ) -> Option<&std::collections::BTreeSet<String>> {
        self.schema.permissions(method, segments)
    }

    /// What to ask this user for first.
    #[must_use]
    pub fn credential_type(&self, user_name: &str) -> CredentialType {
        let knobs = self.knobs();
        self.directory().credential_type(user_name, &self.clock, &knobs)
    }

    /// Signs in with a password; see [`Directory::sign_in_with_password`].
    ///
    /// # Errors
    /// The reason, with its AADSTS number.
    pub fn sign_in_with_password(
        &self,
        tenant_hint: Option<&str>,
        user_name: &str,
        password: &str,
    ) -> Result<SignedIn, SignInError> {
        let knobs = self.knobs();
        self.directory().sign_in_with_password(tenant_hint, user_name, password, &self.clock, &knobs)
    }

    /// Signs in with a Temporary Access Pass; see [`Directory::sign_in_with_access_pass`].
    ///
    /// # Errors
    /// The reason, with its AADSTS number.
    pub fn sign_in_with_access_pass(
        &self,
        tenant_hint: Option<&str>,
        user_name: &str,
        access_pass: &str,
    ) -> Result<SignedIn, SignInError> {
        let knobs = self.knobs();
        self.directory().sign_in_with_access_pass(tenant_hint, user_name, access_pass, &self.clock, &knobs)
    }

    /// A challenge for a passkey of this user, or of whoever is there; see [`Directory::ask_for_passkey`].
    ///
    /// # Errors
    /// No challenge can be made.
    pub fn ask_for_passkey(&self, user_name: Option<&str>) -> Result<PasskeyQuestion, SignInError> {
        let knobs = self.knobs();
        self.directory().ask_for_passkey(user_name, &self.clock, &knobs)
    }

    /// Signs in with a passkey; see [`Directory::sign_in_with_passkey`].
    ///
    /// # Errors
    /// The reason, with its AADSTS number.
    pub fn sign_in_with_passkey(
        &self,
        tenant_hint: Option<&str>,
        user_name: Option<&str>,
        question: &PasskeyQuestion,
        answer: &Assertion,
    ) -> Result<SignedIn, SignInError> {
        let knobs = self.knobs();
        self.directory().sign_in_with_passkey(tenant_hint, user_name, question, answer, &self.clock, &knobs)
    }

    /// Adds a passkey to a session; see [`Directory::add_passkey`].
    ///
    /// # Errors
    /// The reason, with its AADSTS number.
    pub fn add_passkey(
        &self,
        signed_in: &SignedIn,
        question: &PasskeyQuestion,
        answer: &Assertion,
    ) -> Result<SignedIn, SignInError> {
        let knobs = self.knobs();
        self.directory().add_passkey(signed_in, question, answer, &self.clock, &knobs)
    }

    /// Adds the code of a hardware token to a session; see [`Directory::add_code`].
    ///
    /// # Errors
    /// The reason, with its AADSTS number.
    pub fn add_code(&self, signed_in: &SignedIn, code: &str) -> Result<SignedIn, SignInError> {
        let knobs = self.knobs();
        self.directory().add_code(signed_in, code, &self.clock, &knobs)
    }

    /// What is missing for an application to open; see [`Directory::demand`].
    #[must_use]
    pub fn demand(&self, signed_in: &SignedIn, client_id: &str) -> Demand {
        let knobs = self.knobs();
        self.directory().demand(signed_in, client_id, &self.clock, &knobs)
    }

    /// What this user could prove besides a first factor.
    #[must_use]
    pub fn proofs_of(&self, user_id: &str) -> Vec<Proof> {
        let knobs = self.knobs();
        self.directory().proofs_of(user_id, &self.clock, &knobs)
    }

    /// Answers an application's request for a person who is signed in; see [`crate::people::People::answer`].
    ///
    /// # Errors
    /// She may not, or Entra does not.
    pub fn answer(&self, asked: &AuthorizationRequest, signed_in: &SignedIn) -> Result<Answer, Refusal> {
        self.tokens.people.answer(asked, &mut self.directory(), signed_in, &self.clock)
    }

    /// The session behind a cookie, while it lives.
    #[must_use]
    pub fn session(&self, session_id: &str) -> Option<SignedIn> {
        let knobs = self.knobs();
        self.directory().session(session_id, &self.clock, &knobs)
    }
}

/// A simulation that is served; dropping it stops serving.
#[derive(Debug)]
pub struct Running {
    /// The state, for tests in the same process.
    pub sim: Arc<Simulation>,
    /// TLS and plain HTTP by host name.
    pub https_port: u16,
    /// CONNECT proxy.
    pub proxy_port: u16,
    /// Control surface.
    pub control_port: u16,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// What the command prints: where things are and how to get in. The certificate authority must have been written
    /// to `ca_pem` before.
    #[must_use]
    pub fn description(&self, ca_pem: &std::path::Path) -> serde_json::Value {
        let directory = self.sim.directory();
        serde_json::json!({
            "https_port": self.https_port,
            "proxy_port": self.proxy_port,
            "control_port": self.control_port,
            "ca_pem": ca_pem,
            "ca_spki_sha256_base64": self.sim.authority.spki_sha256(),
            "leaf_spki_sha256_base64": self.sim.authority.leaf_spki_sha256(),
            "openapi": self.sim.schema.place(),
            "tenants": directory.tenants.iter().map(control::tenant_summary).collect::<Vec<_>>(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
