//! The sign-in pages, the portals and the look-alikes: every host that is neither Graph nor a token endpoint.
//!
//! The pages are dumb on purpose. Who exists, what opens a session and how long it lives is the directory's to say
//! ([`crate::directory`]); here is only what a browser sees. No secret is kept or noted. Facts about the pages come
//! from published captures of Microsoft's sign-in page and from the behaviour that open-source clients rely on.

mod assets;
mod authorize;
mod control;
mod credential_type;
mod device_code;
mod finish;
mod gallery;
mod headers;
mod hosts;
mod interrupts;
mod journal;
mod kmsi;
pub mod knobs;
mod login;
mod passkey;
mod portal;
mod reports;
mod session;
mod shell;
mod sign_out;
mod strings;
mod template;
mod visit;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use self::hosts::Host;
use self::journal::{Journal, PageShown};
pub use self::knobs::PageKnobs;
use self::session::Memory;
use self::shell::ShownTenant;
use self::visit::Visit;
use crate::people::Purpose;
use crate::simulation::Simulation;

/// Serves what a browser asks for. The requested host is in the request extension [`crate::serve::RequestedHost`], or
/// else in the `Host` header; nothing else decides which page is meant. `/sim/pages` is there on every host.
pub fn router(sim: Arc<Simulation>) -> Router {
    let pages = Pages::new(sim);
    pages.control_router().merge(pages.router())
}

/// The pages of one simulation and what they remember.
#[derive(Debug)]
pub struct Pages {
    simulation: Arc<Simulation>,
    memory: Mutex<Memory>,
}

impl Pages {
    /// Pages over this simulation's directory.
    #[must_use]
    pub fn new(simulation: Arc<Simulation>) -> Arc<Self> {
        Arc::new(Self { simulation, memory: Mutex::new(Memory::default()) })
    }

    /// What browsers see.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(answer).with_state(Arc::clone(self))
    }

    /// `/sim/pages`: knobs and journal, for tests.
    pub fn control_router(self: &Arc<Self>) -> Router {
        control::router(Arc::clone(self))
    }

    /// Knobs and journal as JSON.
    ///
    /// # Errors
    /// The knobs among the simulation's own cannot be read.
    pub fn state(&self) -> Result<Value, Refusal> {
        let knobs = self.all_knobs()?;
        let journal = self.memory().journal.clone();
        Ok(json!({"knobs": knobs, "journal": journal, "languages": strings::languages(), "gallery": gallery::names()}))
    }

    /// Forgets everything: knobs, journal, sign-ins under way, cookies.
    pub fn reset(&self) {
        *self.memory() = Memory::default();
    }

    fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// Never held across an `await`.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, write: impl FnOnce(&mut Journal, u64)) {
        let at_ms = u64::try_from(self.simulation.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        write(&mut self.memory().journal, at_ms);
    }

    fn note_page(&self, visit: &Visit, page: &str, error: Option<u32>) {
        self.note(|journal, at_ms| {
            journal.pages.push(PageShown {
                at_ms,
                host: visit.host.clone(),
                path: visit.path.clone(),
                page: page.to_owned(),
                error,
            });
        });
    }

    fn all_knobs(&self) -> Result<PageKnobs, Refusal> {
        let mut set = self.simulation.knobs().pages;
        set.extend(self.memory().knobs.clone());
        PageKnobs::read(&set).map_err(Refusal::Knobs)
    }

    /// The knobs as they are for one tenant, named as in a URL.
    fn knobs(&self, tenant: &str) -> Result<PageKnobs, Refusal> {
        let knobs = self.all_knobs()?;
        let directory = self.simulation.directory();
        let known = directory.tenant(tenant);
        knobs
            .for_tenant(|name| name.eq_ignore_ascii_case(tenant) || known.is_some_and(|known| known.answers_to(name)))
            .map_err(Refusal::Knobs)
    }

    fn tenant(&self, name: &str) -> ShownTenant {
        ShownTenant::of(self.simulation.directory().tenant(name))
    }

    async fn respond(&self, visit: &Visit) -> Result<Response, Refusal> {
        if let Some(response) = gallery::visit(self, visit)? {
            return Ok(response);
        }
        match visit.kind {
            Host::SignIn | Host::LookAlike => self.sign_in_host(visit).await,
            Host::ContentDelivery => assets::serve(self, visit).await,
            Host::Reports => Ok(reports::take(self, visit)),
            Host::Portal => portal::visit(self, visit),
            Host::SecurityInfo => Ok(portal::security_info(visit)),
            Host::Consumer | Host::Federation | Host::GitHub | Host::Hostile | Host::Okta => {
                gallery::other_site(self, visit)
            }
        }
    }

    async fn sign_in_host(&self, visit: &Visit) -> Result<Response, Refusal> {
        let post = visit.method == Method::POST;
        match visit.segments().as_slice() {
            [tenant, "oauth2", "v2.0", "authorize"] | [tenant, "oauth2", "authorize"] | [tenant, "saml2" | "wsfed"] => {
                authorize::begin(self, visit, tenant, Purpose::SignIn)
            }
            [tenant, "v2.0", "adminconsent"] | [tenant, "adminconsent"] => {
                authorize::begin(self, visit, tenant, Purpose::AdminConsent)
            }
            ["common", "GetCredentialType"] if post => credential_type::ask(self, visit).await,
            [_, "login"] if post && !visit.posted("assertion").is_empty() => passkey::answer(self, visit),
            [_, "login"] if post => login::post(self, visit),
            [_, "fido", "get"] if post => passkey::ask(self, visit),
            [_, "login"] => {
                let message = "The request body must contain the following parameter: 'client_id'.";
                finish::refuse(self, visit, 900_144, message)
            }
            ["kmsi"] if post => kmsi::answer(self, visit),
            ["appverify"] | ["common", "Consent", "Set"] if post => interrupts::go_on(self, visit),
            ["common", "SAS", "BeginAuth"] if post => interrupts::notification(self, visit, false),
            ["common", "SAS", "EndAuth"] if post => interrupts::notification(self, visit, true),
            ["common", "SAS", "ProcessAuth"] if post => interrupts::process_auth(self, visit),
            ["common", "SSPR", "changepassword"] if post => interrupts::post_new_password(self, visit),
            [_, "resume"] => authorize::resume(self, visit),
            [_, "reprocess"] => interrupts::reprocess(self, visit),
            [_, "oauth2", "v2.0", "logout"] | [_, "oauth2", "logout"] | [_, "uxlogout"] => sign_out::visit(self, visit),
            ["common", "oauth2", "deviceauth"] => device_code::visit(self, visit),
            ["forgetuser"] | ["common", "instrumentation", ..] | ["favicon.ico"] => {
                Ok(StatusCode::NO_CONTENT.into_response())
            }
            ["jsdisabled"] => Ok("JavaScript is required to sign in.\n".into_response()),
            [] => Ok(interrupts::redirect("https://www.office.com/")),
            _ => {
                // A form that asks for a credential and posts it anywhere else on a look-alike.
                if post {
                    login::note(self, visit, visit.posted("loginfmt"), 50_089);
                }
                Err(Refusal::NoSuchPage)
            }
        }
    }
}

async fn answer(State(pages): State<Arc<Pages>>, request: Request) -> Response {
    let visit = Visit::read(request).await;
    pages.respond(&visit).await.unwrap_or_else(IntoResponse::into_response)
}

/// Why there is no page to show; told to whoever writes the test.
#[derive(Debug)]
pub enum Refusal {
    /// The pages' knobs cannot be read.
    Knobs(serde_json::Error),
    /// Nothing is served under this path.
    NoSuchPage,
    /// A portal got a code or a state that it does not know, or got it twice.
    UnknownCode,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Knobs(error) => {
                write!(formatter, "the knobs of the pages cannot be read: {error}; compare with GET /sim/pages")
            }
            Self::NoSuchPage => formatter.write_str("nothing is served under this path; GET /gallery/ lists the pages"),
            Self::UnknownCode => {
                formatter.write_str("the code or the state is unknown or was used before; start again at the portal")
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Knobs(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoSuchPage => StatusCode::NOT_FOUND,
            Self::UnknownCode => StatusCode::BAD_REQUEST,
        };
        (status, format!("{self}\n")).into_response()
    }
}
