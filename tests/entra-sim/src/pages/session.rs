//! What the pages remember between requests: transactions with their single-use flow tokens, codes on the way to a
//! portal, and the cookies of sign-in hosts and portals. Who is still signed in is the directory's to say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::journal::Journal;
use super::knobs::Interrupt;
use crate::directory::SignedIn;
use crate::directory::strong::PasskeyQuestion;
use crate::people::AuthorizationRequest;

/// Cookie of a sign-in host.
pub(super) const SIGN_IN_COOKIE: &str = "ESTSAUTH";
/// Cookie of a portal.
pub(super) const PORTAL_COOKIE: &str = "portal_session";

/// Everything remembered.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Knobs set through the pages' own control route.
    pub(super) knobs: Map<String, Value>,
    /// What tests read.
    pub(super) journal: Journal,
    /// Sign-ins under way by their `ctx`.
    pub(super) transactions: BTreeMap<String, Transaction>,
    /// Codes on their way to a portal: code → session id of the directory. Single use.
    pub(super) codes: BTreeMap<String, String>,
    /// `state` of a portal → where it wants to go afterwards. Single use.
    pub(super) returns: BTreeMap<String, String>,
    /// Cookie of a sign-in host → session ids of the directory.
    pub(super) browsers: BTreeMap<String, Vec<String>>,
    /// Cookie of a portal → session id of the directory.
    pub(super) portals: BTreeMap<String, String>,
}

/// One sign-in from the portal's request to the portal's answer.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    /// `ctx`.
    pub(super) id: String,
    /// First segment of the path: tenant id, domain, `common` or `organizations`.
    pub(super) tenant: String,
    /// The request that began it, to begin again.
    pub(super) began_at: String,
    /// `client_id`.
    pub(super) client_id: String,
    /// Where the answer goes.
    pub(super) redirect_uri: String,
    /// How it goes there.
    pub(super) response_mode: ResponseMode,
    /// `state`, given back as it came.
    pub(super) state: String,
    /// Language of the pages.
    pub(super) language: String,
    /// The only flow token that the next request may carry.
    pub(super) flow_token: String,
    /// Against forged posts.
    pub(super) canary: String,
    /// The same for XHR.
    pub(super) api_canary: String,
    /// `hpgrequestid`.
    pub(super) request_id: String,
    /// What an application asked for, when it is one that the directory knows.
    pub(super) asked: Option<AuthorizationRequest>,
    /// Set by a right credential.
    pub(super) signed_in: Option<SignedIn>,
    /// Steps after the credential that are behind.
    pub(super) passed: BTreeSet<Step>,
    /// "Stay signed in" was answered yes: the cookie outlives the browser.
    pub(super) stay: bool,
    /// Shown number of a notification.
    pub(super) number: u8,
    /// The sign-in host on which it began.
    pub(super) host: String,
    /// What a passkey is asked to sign. Single use.
    pub(super) passkey: Option<PasskeyQuestion>,
    /// Against forged posts from the passkey's host.
    pub(super) cross_domain_canary: String,
}

/// A step between the credential and the portal.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Step {
    /// A forced interrupt.
    Interrupt,
    /// Consent to what an application asks for.
    Consent,
    /// More information required.
    ProofUp,
    /// Stay signed in?
    StaySignedIn,
}

/// How the answer goes to the portal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ResponseMode {
    /// A form that submits itself.
    FormPost,
    /// Behind `#`.
    Fragment,
    /// Behind `?`.
    Query,
}

impl Transaction {
    /// A transaction that no portal asked for.
    #[must_use]
    pub(super) fn bare(tenant: &str, began_at: &str, language: &str) -> Self {
        Self {
            id: format!("rQQIARAA{}", random()),
            tenant: tenant.to_owned(),
            began_at: began_at.to_owned(),
            client_id: String::new(),
            redirect_uri: String::new(),
            response_mode: ResponseMode::Fragment,
            state: String::new(),
            language: language.to_owned(),
            flow_token: String::new(),
            canary: format!("{}:0", random()),
            api_canary: random(),
            request_id: Uuid::new_v4().to_string(),
            asked: None,
            signed_in: None,
            passed: BTreeSet::new(),
            stay: false,
            host: "login.microsoftonline.com".to_owned(),
            passkey: None,
            cross_domain_canary: String::new(),
            number: u8::try_from(Uuid::new_v4().as_u128() % 90).unwrap_or(0) + 10,
        }
    }

    /// A new flow token; the one before is void.
    pub(super) fn renew_flow_token(&mut self) -> String {
        self.flow_token = format!("AQABIQEAAA{}", random());
        self.flow_token.clone()
    }

    /// Whether this flow token may be used; it cannot be used again.
    pub(super) fn take_flow_token(&mut self, posted: &str) -> bool {
        let right = !self.flow_token.is_empty() && posted == self.flow_token;
        if right {
            self.flow_token.clear();
        }
        right
    }
}

impl Memory {
    /// Session ids of the browser with this cookie.
    #[must_use]
    pub(super) fn sessions_of(&self, cookie: Option<&str>) -> Vec<String> {
        cookie.and_then(|cookie| self.browsers.get(cookie)).cloned().unwrap_or_default()
    }
}

/// The template of an interrupt.
#[must_use]
pub(super) fn template_of(interrupt: Interrupt) -> &'static str {
    match interrupt {
        Interrupt::TfaCode => "tfa-code",
        Interrupt::TfaMethods => "tfa-methods",
        Interrupt::TfaPush => "tfa-push",
        Interrupt::ProofUp => "proof-up",
        Interrupt::ChangePassword => "change-password",
        Interrupt::Consent => "consent",
        Interrupt::ConditionalAccess => "conditional-access",
        Interrupt::Error => "error",
        Interrupt::Cmsi => "cmsi",
    }
}

/// A random word for tokens and ids.
#[must_use]
pub(super) fn random() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}
