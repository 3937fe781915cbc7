//! Signing people in to applications: what an authorize address asks for, consent, authorization codes, refresh tokens,
//! device codes, and an administrator's consent for a whole tenant.
//!
//! It decides and remembers; pages show it ([`crate::pages`]) and the token endpoint hands it out ([`crate::token`]).
//! A token never carries more than was consented to. Facts: Microsoft identity platform, authorization code flow, device
//! authorization grant, admin consent; Entra error codes. PKCE is demanded of every public client, which is stricter
//! than Microsoft.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::clock::Clock;
use crate::directory::{Application, Audience, Directory, SignedIn, Tenant, User, new_id, roles};
use crate::graph::{applications, permissions};
use crate::knobs::Knobs;

/// How long an authorization code may be redeemed.
const CODE_LIFETIME: Duration = Duration::from_secs(600);
/// How long a refresh token lives unused.
const REFRESH_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long a device code may be used.
const DEVICE_LIFETIME: Duration = Duration::from_secs(900);
/// Scopes that are about the sign-in itself and need no consent here.
const OPEN_ID: &[&str] = &["openid", "profile", "email", "offline_access"];

/// What an address asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// `/authorize`: sign a person in to an application.
    SignIn,
    /// `/adminconsent`: let an administrator admit an application to the tenant.
    AdminConsent,
}

/// How the answer goes back to the application.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AnswerMode {
    /// Behind `?`.
    Query,
    /// Behind `#`.
    Fragment,
    /// A form that submits itself.
    Form,
}

/// An authorize or admin-consent address that was found in order.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// Sign-in or admin consent.
    pub purpose: Purpose,
    /// First segment of the path.
    pub tenant: String,
    /// `client_id`.
    pub client_id: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// Given back as it came.
    pub state: String,
    /// How the answer goes there.
    pub mode: AnswerMode,
    nonce: Option<String>,
    challenge: Option<String>,
    scopes: BTreeSet<String>,
    consents_again: bool,
    silent: bool,
}

/// Why there is no answer with a code or a consent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// Shown to the person: the application cannot be trusted with an answer.
    Page {
        /// AADSTS number.
        number: u32,
        /// What is wrong, without the number.
        message: String,
    },
    /// Told to the application.
    Application {
        /// OAuth error.
        error: &'static str,
        /// AADSTS number.
        number: u32,
        /// What is wrong, without the number.
        message: String,
    },
}

impl Refusal {
    fn page(number: u32, message: impl Into<String>) -> Self {
        Self::Page { number, message: message.into() }
    }

    fn told(error: &'static str, number: u32, message: impl Into<String>) -> Self {
        Self::Application { error, number, message: message.into() }
    }

    /// The AADSTS number.
    #[must_use]
    pub fn number(&self) -> u32 {
        match self {
            Self::Page { number, .. } | Self::Application { number, .. } => *number,
        }
    }
}

/// What an application gets back: the members to add to its redirect address.
pub type Answer = Vec<(&'static str, String)>;

/// A person who signed in to an application, as tokens are made for.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Directory id.
    pub tenant_id: String,
    /// Object id of the person.
    pub user_id: String,
    /// The application.
    pub client_id: String,
    /// Granted scopes.
    pub scopes: BTreeSet<String>,
    /// `nonce` for the id token.
    pub nonce: Option<String>,
    /// How the person proved who she is.
    pub methods: Vec<&'static str>,
    /// When.
    pub at: Timestamp,
}

#[derive(Clone, Debug)]
struct Code {
    grant: Grant,
    redirect_uri: String,
    challenge: Option<String>,
    redeemed: bool,
}

#[derive(Clone, Debug)]
struct Refresh {
    grant: Grant,
    used: Timestamp,
}

#[derive(Clone, Debug)]
struct Device {
    user_code: String,
    tenant: String,
    client_id: String,
    scopes: BTreeSet<String>,
    made: Timestamp,
    outcome: DeviceOutcome,
}

#[derive(Clone, Debug)]
enum DeviceOutcome {
    Pending,
    Declined,
    Granted(Box<Grant>),
}

/// Codes and refresh tokens on their way.
#[derive(Debug, Default)]
pub struct People {
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    codes: HashMap<String, Code>,
    refresh: HashMap<String, Refresh>,
    devices: HashMap<String, Device>,
}

/// A refusal of the token endpoint: OAuth error, AADSTS number, message.
pub type Refused = (&'static str, u32, String);

impl AuthorizationRequest {
    /// Reads an address. Nothing when it is a portal's, which the pages answer without asking who it is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(
        purpose: Purpose,
        tenant: &str,
        parameters: &dyn Fn(&str) -> Option<String>,
        directory: &Directory,
    ) -> Result<Option<Self>, Refusal> {
        let asked = |name: &str| parameters(name).filter(|value| !value.is_empty());
        let client_id = asked("client_id").unwrap_or_default();
        let redirect_uri = asked("redirect_uri").unwrap_or_default();
        let known = find_client(directory, tenant, &client_id);
        if purpose == Purpose::SignIn && known.is_none() && loopback(&redirect_uri).is_none() {
            return Ok(None);
        }
        if client_id.is_empty() {
            return Err(Refusal::page(900_144, "The request must contain the following parameter: 'client_id'."));
        }
        if !common(tenant) && directory.tenant(tenant).is_none() {
            return Err(Refusal::page(90_002, format!("Tenant '{tenant}' not found.")));
        }
        let Some(client) = known else {
            return Err(Refusal::page(
                700_016,
                format!("Application with identifier '{client_id}' was not found in the directory '{tenant}'."),
            ));
        };
        if common(tenant) && client.audience == Audience::OneTenant {
            return Err(Refusal::page(
                50_194,
                format!("Application '{client_id}' is not configured as a multi-tenant application."),
            ));
        }
        let redirects = || client.public_redirects.iter().chain(&client.web_redirects);
        if !redirects().any(|registered| same_redirect(registered, &redirect_uri)) {
            return Err(Refusal::page(
                50_011,
                format!(
                    "The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs \
                     configured for the application '{client_id}'."
                ),
            ));
        }
        let mode = match asked("response_mode").as_deref() {
            Some("fragment") => AnswerMode::Fragment,
            Some("form_post") => AnswerMode::Form,
            _ => AnswerMode::Query,
        };
        let request = Self {
            purpose,
            tenant: tenant.to_owned(),
            client_id,
            redirect_uri,
            state: asked("state").unwrap_or_default(),
            mode,
            nonce: asked("nonce"),
            challenge: asked("code_challenge"),
            scopes: scopes_of(&asked("scope").unwrap_or_default()),
            consents_again: asked("prompt").as_deref() == Some("consent"),
            silent: asked("prompt").as_deref() == Some("none"),
        };
        if purpose == Purpose::AdminConsent {
            return Ok(Some(request));
        }
        if asked("response_type").as_deref() != Some("code") {
            return Err(Refusal::told("unsupported_response_type", 700_054, "response_type must be 'code' here."));
        }
        let proof = request.challenge.as_deref().is_some_and(|challenge| challenge.len() == 43)
            && asked("code_challenge_method").as_deref() == Some("S256");
        if client.public_client && !proof {
            return Err(Refusal::told(
                "invalid_request",
                9_002_325,
                "Proof Key for Code Exchange is required for authorization code redemption.",
            ));
        }
        check_scopes(&request.scopes, &request.client_id)
            .map_err(|(error, number, message)| Refusal::told(error, number, message))?;
        Ok(Some(request))
    }

    /// The address that carries an answer or a refusal back.
    #[must_use]
    pub fn back(&self, answer: &Answer) -> String {
        let mut fields = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in answer {
            fields.append_pair(name, value);
        }
        let separator = match (self.mode, self.redirect_uri.contains('?')) {
            (AnswerMode::Fragment, _) => '#',
            (_, true) => '&',
            (_, false) => '?',
        };
        format!("{}{separator}{}", self.redirect_uri, fields.finish())
    }

    /// The members that tell the application of a refusal.
    #[must_use]
    pub fn refusal(&self, error: &str, number: u32, message: &str) -> Answer {
        vec![
            ("error", error.to_owned()),
            ("error_description", format!("AADSTS{number}: {message}")),
            ("state", self.state.clone()),
        ]
    }

    /// Whether this person has to be asked before the answer may be given.
    #[must_use]
    pub fn asks_for_consent(&self, directory: &Directory, signed_in: &SignedIn) -> bool {
        let Some(tenant) = directory.tenant(&signed_in.tenant_id) else {
            return false;
        };
        self.purpose == Purpose::AdminConsent
            || self.consents_again
            || missing(tenant, &self.client_id, &signed_in.user_id, &self.scopes).is_none_or(|more| !more.is_empty())
    }
}

impl People {
    /// Gives the answer to a request for a person who is signed in and, where she was asked, said yes.
    ///
    /// # Errors
    /// She may not, or Entra does not.
    pub fn answer(
        &self,
        request: &AuthorizationRequest,
        directory: &mut Directory,
        signed_in: &SignedIn,
        clock: &Clock,
    ) -> Result<Answer, Refusal> {
        if !common(&request.tenant)
            && directory.tenant(&request.tenant).is_none_or(|tenant| tenant.id != signed_in.tenant_id)
        {
            return Err(Refusal::page(
                50_020,
                format!(
                    "User account '{}' does not exist in tenant '{}' and cannot access the application.",
                    signed_in.user_name, request.tenant
                ),
            ));
        }
        match request.purpose {
            Purpose::SignIn => {
                let scopes = consent(directory, &request.client_id, signed_in, &request.scopes, request.silent, clock)?;
                let code = format!("1.A{}", URL_SAFE_NO_PAD.encode(Sha256::digest(new_id())));
                let grant = Grant {
                    tenant_id: signed_in.tenant_id.clone(),
                    user_id: signed_in.user_id.clone(),
                    client_id: request.client_id.clone(),
                    scopes,
                    nonce: request.nonce.clone(),
                    methods: signed_in.methods.clone(),
                    at: clock.now(),
                };
                let (redirect_uri, challenge) = (request.redirect_uri.clone(), request.challenge.clone());
                self.memory().codes.insert(code.clone(), Code { grant, redirect_uri, challenge, redeemed: false });
                Ok(vec![("code", code), ("state", request.state.clone()), ("session_state", new_id())])
            }
            Purpose::AdminConsent => {
                admit(directory, &request.client_id, signed_in, clock)?;
                let mut answer = vec![
                    ("admin_consent", "True".to_owned()),
                    ("tenant", signed_in.tenant_id.clone()),
                    ("state", request.state.clone()),
                ];
                if !request.scopes.is_empty() {
                    answer.push(("scope", "https://graph.microsoft.com/.default".to_owned()));
                }
                Ok(answer)
            }
        }
    }

    /// Begins a device code sign-in: the body that the device gets.
    ///
    /// # Errors
    /// The client cannot do that, or asks for something that does not exist.
    pub fn begin_device(
        &self,
        tenant: &str,
        client_id: &str,
        scope: &str,
        directory: &Directory,
        clock: &Clock,
        interval: u64,
    ) -> Result<Value, Refused> {
        let client = find_client(directory, tenant, client_id).ok_or_else(|| not_found(client_id, tenant))?;
        if !client.public_client {
            return Err((
                "invalid_client",
                7_000_218,
                "The request body must contain 'client_assertion' or 'client_secret'.".to_owned(),
            ));
        }
        let scopes = scopes_of(scope);
        check_scopes(&scopes, client_id)?;
        let device_code = format!("{}{}", new_id(), new_id());
        let user_code: String = new_id().replace('-', "").to_ascii_uppercase().chars().take(9).collect();
        let device = Device {
            user_code: user_code.clone(),
            tenant: tenant.to_owned(),
            client_id: client.client_id,
            scopes,
            made: clock.now(),
            outcome: DeviceOutcome::Pending,
        };
        self.memory().devices.insert(device_code.clone(), device);
        Ok(json!({
            "user_code": user_code,
            "device_code": device_code,
            "verification_uri": "https://microsoft.com/devicelogin",
            "expires_in": DEVICE_LIFETIME.as_secs(),
            "interval": interval,
            "message": format!(
                "To sign in, use a web browser to open the page https://microsoft.com/devicelogin and enter the code \
                 {user_code} to authenticate."
            ),
        }))
    }

    /// A person enters a device's code and says yes, or no.
    ///
    /// # Errors
    /// There is no such code, or she may not.
    pub fn answer_device(
        &self,
        user_code: &str,
        directory: &mut Directory,
        signed_in: &SignedIn,
        declined: bool,
        clock: &Clock,
    ) -> Result<(), Refusal> {
        let mut memory = self.memory();
        let device = memory
            .devices
            .values_mut()
            .find(|device| device.user_code.eq_ignore_ascii_case(user_code.trim()))
            .filter(|device| matches!(device.outcome, DeviceOutcome::Pending))
            .ok_or_else(|| Refusal::page(70_018, "The code you entered is not valid."))?;
        if declined {
            device.outcome = DeviceOutcome::Declined;
            return Ok(());
        }
        if !common(&device.tenant)
            && directory.tenant(&device.tenant).is_none_or(|tenant| tenant.id != signed_in.tenant_id)
        {
            return Err(Refusal::page(50_020, "User account does not exist in this tenant."));
        }
        let scopes = consent(directory, &device.client_id, signed_in, &device.scopes, false, clock)?;
        device.outcome = DeviceOutcome::Granted(Box::new(Grant {
            tenant_id: signed_in.tenant_id.clone(),
            user_id: signed_in.user_id.clone(),
            client_id: device.client_id.clone(),
            scopes,
            nonce: None,
            methods: signed_in.methods.clone(),
            at: clock.now(),
        }));
        Ok(())
    }

    /// Redeems an authorization code, once.
    ///
    /// # Errors
    /// The code is not one, is used up or too old, or is somebody else's.
    pub fn redeem_code(
        &self,
        code: &str,
        client_id: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
        now: Timestamp,
    ) -> Result<Grant, Refused> {
        let mut memory = self.memory();
        let known = memory
            .codes
            .get_mut(code)
            .ok_or_else(|| invalid(70_000, "The provided authorization code is not valid."))?;
        if known.redeemed {
            return Err(invalid(
                54_005,
                "OAuth2 Authorization code was already redeemed, please retry with a new valid code.",
            ));
        }
        if older(known.grant.at, CODE_LIFETIME, now) {
            return Err(invalid(70_008, "The provided authorization code has expired."));
        }
        if !known.grant.client_id.eq_ignore_ascii_case(client_id) {
            return Err(invalid(70_000, "The provided authorization code is for another application."));
        }
        if known.redirect_uri != redirect_uri {
            return Err(invalid(
                500_112,
                "The reply address does not match the one given when the code was asked for.",
            ));
        }
        if let Some(challenge) = &known.challenge {
            let digest = verifier.map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
            if digest.as_ref() != Some(challenge) {
                return Err(invalid(
                    50_148,
                    "The code_verifier doesn't match the code_challenge of the authorization request.",
                ));
            }
        }
        known.redeemed = true;
        Ok(known.grant.clone())
    }

    /// Asks whether a device's code was answered.
    ///
    /// # Errors
    /// Not yet, no, or too late.
    pub fn redeem_device(&self, device_code: &str, client_id: &str, now: Timestamp) -> Result<Grant, Refused> {
        let mut memory = self.memory();
        let device = memory
            .devices
            .get(device_code)
            .filter(|device| device.client_id.eq_ignore_ascii_case(client_id))
            .ok_or_else(|| ("bad_verification_code", 70_020, "The provided device code is not valid.".to_owned()))?;
        match &device.outcome {
            DeviceOutcome::Granted(grant) => {
                let grant = (**grant).clone();
                memory.devices.remove(device_code);
                Ok(grant)
            }
            DeviceOutcome::Declined => {
                Err(("authorization_declined", 70_017, "The user declined the request.".to_owned()))
            }
            DeviceOutcome::Pending if older(device.made, DEVICE_LIFETIME, now) => {
                Err(("expired_token", 70_019, "The device code has expired.".to_owned()))
            }
            DeviceOutcome::Pending => {
                Err(("authorization_pending", 70_016, "The user has not yet completed the sign-in.".to_owned()))
            }
        }
    }

    /// The grant behind a refresh token; `scopes` narrows it.
    ///
    /// # Errors
    /// The token is not one or has not been used for too long.
    pub fn refresh(
        &self,
        token: &str,
        client_id: &str,
        scopes: Option<&str>,
        now: Timestamp,
    ) -> Result<Grant, Refused> {
        let mut memory = self.memory();
        let known = memory
            .refresh
            .get_mut(token)
            .filter(|known| known.grant.client_id.eq_ignore_ascii_case(client_id))
            .ok_or_else(|| invalid(70_000, "The provided refresh token is not valid."))?;
        if older(known.used, REFRESH_LIFETIME, now) {
            return Err(invalid(700_082, "The refresh token has expired due to inactivity."));
        }
        known.used = now;
        let mut grant = known.grant.clone();
        grant.nonce = None;
        if let Some(scopes) = scopes {
            let wanted = scopes_of(scopes);
            if !wanted.contains(".default") {
                grant.scopes.retain(|scope| wanted.contains(scope) || OPEN_ID.contains(&scope.as_str()));
            }
        }
        Ok(grant)
    }

    /// A new refresh token for a grant.
    pub fn issue_refresh(&self, grant: &Grant, now: Timestamp) -> String {
        let token = format!("1.R{}{}", URL_SAFE_NO_PAD.encode(Sha256::digest(new_id())), new_id().replace('-', ""));
        self.memory().refresh.insert(token.clone(), Refresh { grant: grant.clone(), used: now });
        token
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.memory() = Memory::default();
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a person may still have tokens from an earlier sign-in.
///
/// # Errors
/// The account is gone or disabled, its sessions were revoked, or its password was replaced.
pub fn still_welcome<'t>(tenant: &'t Tenant, grant: &Grant, clock: &Clock, knobs: &Knobs) -> Result<&'t User, Refused> {
    let user = tenant
        .users
        .get(&grant.user_id)
        .ok_or_else(|| invalid(50_034, "The user account does not exist in the directory."))?;
    if !user.account_enabled {
        return Err(invalid(50_057, "The user account is disabled."));
    }
    let arrived = user.sessions_revoked_moment.is_none_or(|revoked| {
        clock.elapsed() >= revoked.saturating_add(Duration::from_millis(knobs.revocation_lag_ms))
    });
    if (grant.at < user.sessions_valid_from && arrived) || grant.at < user.password_set {
        return Err(invalid(
            50_173,
            "The provided grant has expired due to it being revoked, a fresh auth token is needed.",
        ));
    }
    Ok(user)
}

/// The client behind an id, for sign-ins to this tenant (or to any): its registration.
#[must_use]
pub fn find_client(directory: &Directory, tenant: &str, client_id: &str) -> Option<Application> {
    if client_id.is_empty() {
        return None;
    }
    let here = directory.tenant(tenant).and_then(|tenant| {
        let application = tenant.application(client_id)?;
        Some(directory.registration(tenant, application)).filter(|known| known.registered).cloned()
    });
    let anywhere = || {
        common(tenant).then(|| {
            directory
                .tenants
                .iter()
                .filter_map(|tenant| tenant.application(client_id))
                .find(|known| known.registered)
                .cloned()
        })?
    };
    here.or_else(|| directory.published(client_id)).or_else(anywhere)
}

/// Scopes of a tenant's application that this person still has to grant; nothing when the application is not in the
/// tenant at all.
fn missing(tenant: &Tenant, client_id: &str, user_id: &str, scopes: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    let application = tenant.application(client_id).filter(|known| known.principal)?;
    let own = application.delegated_by.get(user_id);
    Some(
        scopes
            .iter()
            .filter(|scope| !OPEN_ID.contains(&scope.as_str()) && *scope != ".default")
            .filter(|scope| !application.delegated.contains(*scope))
            .filter(|scope| !own.is_some_and(|own| own.contains(*scope)))
            .cloned()
            .collect(),
    )
}

/// Records a person's consent where it is needed and possible; the scopes that a token may carry.
fn consent(
    directory: &mut Directory,
    client_id: &str,
    signed_in: &SignedIn,
    scopes: &BTreeSet<String>,
    silent: bool,
    clock: &Clock,
) -> Result<BTreeSet<String>, Refusal> {
    let client = find_client(directory, &signed_in.tenant_id, client_id)
        .ok_or_else(|| Refusal::page(700_016, format!("Application with identifier '{client_id}' was not found.")))?;
    let published = directory.tenant(&signed_in.tenant_id).is_none_or(|tenant| tenant.application(client_id).is_none());
    let now = clock.now();
    let tenant =
        directory.tenant_mut(&signed_in.tenant_id).ok_or_else(|| Refusal::page(90_002, "The tenant is gone."))?;
    let more = missing(tenant, client_id, &signed_in.user_id, scopes);
    let asked = more.clone().unwrap_or_else(|| {
        scopes.iter().filter(|scope| !OPEN_ID.contains(&scope.as_str()) && *scope != ".default").cloned().collect()
    });
    if (more.is_none() || !asked.is_empty()) && silent {
        return Err(Refusal::told(
            "consent_required",
            65_001,
            format!("The user or administrator has not consented to use the application with ID '{client_id}'."),
        ));
    }
    let held = tenant.roles_of(&signed_in.user_id, now);
    if asked.iter().any(|scope| permissions::needs_administrator(scope)) && !is_one_of(&held, CONSENTING) {
        return Err(Refusal::told(
            "access_denied",
            90_094,
            "The grant requires administrator permission. Ask an administrator to grant permission to this app.",
        ));
    }
    if published {
        tenant.applications.push(service_principal_only(&client, now));
    }
    let Some(application) =
        tenant.applications.iter_mut().find(|known| known.client_id.eq_ignore_ascii_case(client_id))
    else {
        return Err(Refusal::page(700_016, "The application is gone."));
    };
    if !application.principal {
        applications::install(application, clock.elapsed());
        application.principal_moment = None;
    }
    if !application.enabled {
        return Err(Refusal::page(7_000_112, format!("Application '{client_id}' is disabled.")));
    }
    if !asked.is_empty() {
        application.delegated_by.entry(signed_in.user_id.clone()).or_default().extend(asked);
    }
    let mut granted = scopes.clone();
    if granted.remove(".default") {
        granted.extend(application.delegated.clone());
        granted.extend(application.delegated_by.get(&signed_in.user_id).into_iter().flatten().cloned());
    }
    Ok(granted)
}

/// Admits an application to the tenant of an administrator, with everything its registration asks for.
fn admit(directory: &mut Directory, client_id: &str, signed_in: &SignedIn, clock: &Clock) -> Result<(), Refusal> {
    let client = find_client(directory, &signed_in.tenant_id, client_id).ok_or_else(|| {
        Refusal::page(700_016, format!("Application with identifier '{client_id}' was not found in the directory."))
    })?;
    let access = || {
        let of_graph = client
            .required_access
            .iter()
            .filter(|wanted| wanted.get("resourceAppId").and_then(Value::as_str) == Some(permissions::GRAPH_APP));
        of_graph.filter_map(|wanted| wanted.get("resourceAccess")?.as_array()).flatten().filter_map(|access| {
            Some((access.get("type")?.as_str()?.to_owned(), access.get("id")?.as_str()?.to_owned()))
        })
    };
    let application_permissions: Vec<&str> =
        access().filter(|(kind, _)| kind == "Role").filter_map(|(_, id)| permissions::name_of(&id)).collect();
    let scopes: Vec<&str> =
        access().filter(|(kind, _)| kind == "Scope").filter_map(|(_, id)| permissions::scope_of(&id)).collect();
    let now = clock.now();
    let tenant =
        directory.tenant_mut(&signed_in.tenant_id).ok_or_else(|| Refusal::page(90_002, "The tenant is gone."))?;
    let held = tenant.roles_of(&signed_in.user_id, now);
    let enough = if application_permissions.is_empty() { CONSENTING } else { CONSENTING_TO_PERMISSIONS };
    if !is_one_of(&held, enough) {
        return Err(Refusal::told(
            "access_denied",
            90_094,
            "The grant requires administrator permission. Sign in as an administrator who may consent.",
        ));
    }
    if tenant.application(client_id).is_none() {
        tenant.applications.push(service_principal_only(&client, now));
    }
    let moment = clock.elapsed();
    for application in tenant.applications.iter_mut().filter(|known| known.client_id.eq_ignore_ascii_case(client_id)) {
        if !application.principal {
            applications::install(application, moment);
        }
        application.permissions.extend(application_permissions.iter().map(|name| (*name).to_owned()));
        application.delegated.extend(scopes.iter().map(|name| (*name).to_owned()));
    }
    Ok(())
}

/// Roles that may consent to delegated permissions for others.
const CONSENTING: &[&str] =
    &["Privileged Role Administrator", "Application Administrator", "Cloud Application Administrator"];
/// Roles that may consent to Graph's application permissions.
const CONSENTING_TO_PERMISSIONS: &[&str] = &["Privileged Role Administrator"];

fn is_one_of(held: &[String], enough: &[&str]) -> bool {
    held.iter().any(|held| {
        held == roles::GLOBAL_ADMINISTRATOR
            || enough.iter().filter_map(|name| roles::by_name(name)).any(|role| role.id == held)
    })
}

fn service_principal_only(client: &Application, now: Timestamp) -> Application {
    Application {
        client_id: client.client_id.clone(),
        display_name: client.display_name.clone(),
        audience: client.audience,
        public_client: client.public_client,
        created: now,
        enabled: true,
        ..Application::default()
    }
}

fn common(tenant: &str) -> bool {
    matches!(tenant, "common" | "organizations")
}

fn not_found(client_id: &str, tenant: &str) -> Refused {
    let message = format!("Application with identifier '{client_id}' was not found in the directory '{tenant}'.");
    ("unauthorized_client", 700_016, message)
}

fn invalid(number: u32, message: &str) -> Refused {
    ("invalid_grant", number, message.to_owned())
}

fn older(than: Timestamp, lifetime: Duration, now: Timestamp) -> bool {
    than.checked_add(lifetime).is_ok_and(|end| now >= end)
}

/// Scopes as they stand in a request; Graph's own address in front of one is left away.
fn scopes_of(text: &str) -> BTreeSet<String> {
    text.split_whitespace()
        .map(|scope| {
            let own = scope.strip_prefix("https://graph.microsoft.").and_then(|rest| rest.split_once('/'));
            own.map_or_else(|| scope.to_owned(), |(_, name)| name.to_owned())
        })
        .collect()
}

fn check_scopes(scopes: &BTreeSet<String>, client_id: &str) -> Result<(), Refused> {
    if scopes.is_empty() {
        return Err((
            "invalid_request",
            900_144,
            "The request must contain the following parameter: 'scope'.".to_owned(),
        ));
    }
    match scopes.iter().find(|scope| *scope != ".default" && !permissions::is_delegated(scope)) {
        None => Ok(()),
        Some(unknown) => Err((
            "invalid_scope",
            650_053,
            format!("The application '{client_id}' asked for scope '{unknown}' that doesn't exist on the resource."),
        )),
    }
}

/// A redirect address on the local machine, without its port.
fn loopback(address: &str) -> Option<(String, String)> {
    let url = Url::parse(address).ok().filter(|url| url.scheme() == "http")?;
    let host = url.host_str().filter(|host| matches!(*host, "localhost" | "127.0.0.1" | "[::1]"))?;
    Some((host.to_owned(), url.path().to_owned()))
}

/// The port of a redirect address on the local machine does not count.
fn same_redirect(registered: &str, asked: &str) -> bool {
    match (loopback(registered), loopback(asked)) {
        (Some(registered), Some(asked)) => registered == asked,
        _ => registered == asked && !asked.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_this_machine_does_not_count_and_everything_else_does() {
        assert!(same_redirect("http://localhost", "http://localhost:40123/"));
        assert!(same_redirect("http://127.0.0.1", "http://127.0.0.1:40123"));
        assert!(!same_redirect("http://localhost", "http://127.0.0.1:40123"));
        assert!(!same_redirect("http://localhost", "http://localhost:40123/elsewhere"));
        assert!(!same_redirect("http://localhost", "https://localhost:40123"));
        assert!(!same_redirect("http://localhost", "http://localhost.evil.test"));
        assert!(!same_redirect("https://msp.example/back", "https://msp.example:8443/back"));
    }

    #[test]
    fn graphs_address_before_a_scope_is_left_away() {
        let scopes = scopes_of("openid https://graph.microsoft.com/User.Read https://graph.microsoft.com/.default");
        assert_eq!(scopes.into_iter().collect::<Vec<_>>(), [".default", "User.Read", "openid"]);
    }
}
