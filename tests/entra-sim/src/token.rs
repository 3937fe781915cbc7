//! The token endpoint and its neighbours: client credentials by secret or by certificate, discovery documents, keys.
//!
//! Unknown form fields and query parameters are tolerated, as clients send many. Refusals carry the AADSTS number
//! and body of the Entra error reference. A token is signed, so that Graph can tell a real one from an invented one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::KeyPair;
use rustls::SignatureScheme;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::Signer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::assertion::{SeenAssertions, When, check_client};
use crate::clock::{Clock, graph_time};
use crate::directory::{Application, Directory, Tenant, User, new_id};
use crate::knobs::Knobs;
use crate::people::{Grant, People, Refused, find_client, still_welcome};

/// How long a token lives, seconds.
pub const LIFETIME: u64 = 3599;
/// The only kind of client assertion.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Key id of the one signing key.
const KEY_ID: &str = "entra-sim-1";

/// The claims of an access token: of an application by itself, or of a person through an application.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Claims {
    /// Which Graph the token is for.
    pub aud: String,
    /// Who issued it.
    pub iss: String,
    /// Issued at, seconds.
    pub iat: i64,
    /// Not before, seconds.
    pub nbf: i64,
    /// Expires, seconds.
    pub exp: i64,
    /// Client id.
    pub appid: String,
    /// Name of the application.
    pub app_displayname: String,
    /// How the client proved itself: 1 means by secret, 2 by certificate.
    pub appidacr: String,
    /// `app` or `user`.
    pub idtyp: String,
    /// Object id of the service principal, or of the person.
    pub oid: String,
    /// As `oid`.
    pub sub: String,
    /// Directory id.
    pub tid: String,
    /// Granted application permissions; absent when there are none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub roles: BTreeSet<String>,
    /// Delegated permissions, separated by spaces; empty in an application's own token.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scp: String,
    /// The person's user name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub upn: String,
    /// The person's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// How the person proved who she is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// Directory roles of the service principal or the person.
    #[serde(default)]
    pub wids: Vec<String>,
    /// Client capabilities that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xms_cc: Vec<String>,
    /// Token version.
    pub ver: String,
    /// Id of this token.
    pub uti: String,
    /// Every permission in it, of either kind; not a claim.
    #[serde(skip)]
    pub granted: BTreeSet<String>,
}

impl Claims {
    /// Whether a person acts through the application.
    #[must_use]
    pub fn is_delegated(&self) -> bool {
        self.idtyp == "user"
    }
}

/// A refusal of the token endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenError {
    /// HTTP status.
    pub status: u16,
    /// OAuth error.
    pub error: &'static str,
    /// AADSTS number.
    pub number: u32,
    /// What is wrong, without the number.
    pub message: String,
}

impl TokenError {
    fn new(status: u16, error: &'static str, number: u32, message: impl Into<String>) -> Self {
        Self { status, error, number, message: message.into() }
    }

    /// The body, as Entra writes it.
    #[must_use]
    pub fn body(&self, clock: &Clock, trace: &str, correlation: &str) -> Value {
        let time = graph_time(clock.now()).replace('T', " ");
        json!({
            "error": self.error,
            "error_description": format!(
                "AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {time}",
                self.number, self.message
            ),
            "error_codes": [self.number],
            "timestamp": time,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.number),
        })
    }
}

/// A request to the token endpoint, as far as it matters.
#[derive(Clone, Debug, Default)]
pub struct TokenRequest {
    /// Tenant segment of the URL.
    pub tenant: String,
    /// Host the request was for.
    pub host: String,
    /// Form fields.
    pub form: HashMap<String, String>,
    /// `Authorization` header.
    pub authorization: Option<String>,
}

/// Signs tokens and recognises its own.
pub struct TokenIssuer {
    signer: Box<dyn Signer>,
    public_point: Vec<u8>,
    /// Digests of the tokens that were issued: what is not among them is not ours, whatever its signature.
    issued: Mutex<HashMap<[u8; 32], Claims>>,
    assertions: SeenAssertions,
    /// Codes and refresh tokens of people.
    pub people: People,
}

impl std::fmt::Debug for TokenIssuer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TokenIssuer").finish_non_exhaustive()
    }
}

impl TokenIssuer {
    /// An issuer with a fresh key.
    ///
    /// # Errors
    /// The operating system gave no randomness.
    pub fn new() -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let point = key.public_key_raw().to_vec();
        anyhow::ensure!(point.len() == 65, "an uncompressed P-256 point has 65 bytes");
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signer = rustls::crypto::ring::sign::any_ecdsa_type(&der)?
            .choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])
            .context("a P-256 key signs with SHA-256")?;
        Ok(Self {
            signer,
            public_point: point,
            issued: Mutex::new(HashMap::new()),
            assertions: SeenAssertions::default(),
            people: People::default(),
        })
    }

    /// The key set that `/discovery/v2.0/keys` serves.
    #[must_use]
    pub fn keys(&self) -> Value {
        json!({"keys": [{
            "kty": "EC", "use": "sig", "crv": "P-256", "alg": "ES256", "kid": KEY_ID,
            "x": URL_SAFE_NO_PAD.encode(&self.public_point[1..33]),
            "y": URL_SAFE_NO_PAD.encode(&self.public_point[33..]),
        }]})
    }

    /// Answers a request for a token: the success body, or the refusal. The tenant is named in both cases when it
    /// was found.
    pub fn grant(
        &self,
        request: &TokenRequest,
        directory: &Directory,
        clock: &Clock,
        knobs: &Knobs,
    ) -> (Option<String>, Result<Value, TokenError>) {
        if let Some(asked) = request.delegated_grant() {
            return match self.grant_to_person(request, asked, directory, clock, knobs) {
                Ok((tenant, body)) => (Some(tenant), Ok(body)),
                Err(error) => (None, Err(error)),
            };
        }
        match self.find_tenant(request, directory) {
            Err(error) => (None, Err(error)),
            Ok(tenant) => (Some(tenant.id.clone()), self.grant_in(request, directory, tenant, clock, knobs)),
        }
    }

    /// The claims of a token this issuer issued; `None` for anything else. Says nothing about its age.
    #[must_use]
    pub fn recognise(&self, token: &str) -> Option<Claims> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned()
    }

    /// A JSON Web Token (ES256) with these claims.
    fn issue(&self, claims: Claims) -> Option<String> {
        let token = self.sign(&claims)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, claims);
        Some(token)
    }

    fn sign(&self, claims: &impl Serialize) -> Option<String> {
        let header = json!({"typ": "JWT", "alg": "ES256", "kid": KEY_ID});
        let claims_text = serde_json::to_vec(claims).ok()?;
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims_text));
        let signature = raw_signature(&self.signer.sign(signed.as_bytes()).ok()?)?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Begins a device code sign-in.
    ///
    /// # Errors
    /// The client may not begin a device code sign-in there.
    pub fn begin_device(
        &self,
        request: &TokenRequest,
        directory: &Directory,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<Value, TokenError> {
        if !matches!(request.tenant.as_str(), "common" | "organizations") {
            self.find_tenant(request, directory)?;
        }
        let client_id = request.client_id().ok_or_else(|| missing("client_id"))?;
        let scope = request.field("scope").ok_or_else(|| missing("scope"))?;
        self.people
            .begin_device(&request.tenant, &client_id, scope, directory, clock, knobs.device_code_interval_seconds)
            .map_err(|(error, number, message)| TokenError::new(400, error, number, message))
    }

    fn find_tenant<'a>(&self, request: &TokenRequest, directory: &'a Directory) -> Result<&'a Tenant, TokenError> {
        if matches!(request.tenant.as_str(), "common" | "organizations" | "consumers") {
            return Err(TokenError::new(
                400,
                "invalid_request",
                9_001_023,
                format!(
                    "The grant type is not supported over the /{} endpoint. Please use the tenant-specific endpoint.",
                    request.tenant
                ),
            ));
        }
        let known =
            directory.tenant(&request.tenant).filter(|tenant| names(tenant, &request.tenant)).filter(|tenant| {
                let chinese = request.host.ends_with(".cn");
                let governmental = request.host.ends_with(".us");
                match tenant.cloud {
                    _ if request.host == "localhost" || request.host == "127.0.0.1" => true,
                    crate::directory::Cloud::Global => !chinese && !governmental,
                    crate::directory::Cloud::China => chinese,
                    crate::directory::Cloud::UsGovernment | crate::directory::Cloud::UsGovernmentDod => governmental,
                }
            });
        known.ok_or_else(|| {
            TokenError::new(
                400,
                "invalid_request",
                90_002,
                format!(
                    "Tenant '{}' not found. Check to make sure you have the correct tenant ID and are signing into \
                     the correct cloud.",
                    request.tenant
                ),
            )
        })
    }

    fn grant_in(
        &self,
        request: &TokenRequest,
        directory: &Directory,
        tenant: &Tenant,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<Value, TokenError> {
        let field = |name: &str| request.form.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let grant = field("grant_type").ok_or_else(|| missing("grant_type"))?;
        if grant != "client_credentials" {
            return Err(TokenError::new(
                400,
                "unsupported_grant_type",
                70_003,
                format!("The app requested an unsupported grant type '{grant}'."),
            ));
        }
        let client_id = request.client_id().ok_or_else(|| missing("client_id"))?;
        let scope = field("scope").ok_or_else(|| missing("scope"))?;
        let audience = audience(scope, tenant)?;
        let application = usable_application(tenant, &client_id, clock, knobs)?;
        let registration = directory.registration(tenant, application);
        let proof = self.prove(request, registration, tenant, clock, knobs)?.ok_or_else(unproven)?;
        check_enabled(application)?;
        let now = clock.now().as_second();
        let claims = Claims {
            aud: audience,
            iss: format!("https://sts.windows.net/{}/", tenant.id),
            iat: now,
            nbf: now,
            exp: now.saturating_add_unsigned(LIFETIME),
            appid: application.client_id.clone(),
            app_displayname: application.display_name.clone(),
            appidacr: proof.to_owned(),
            idtyp: "app".to_owned(),
            scp: String::new(),
            upn: String::new(),
            name: String::new(),
            amr: Vec::new(),
            granted: application.permissions.clone(),
            oid: application.service_principal_id.clone(),
            sub: application.service_principal_id.clone(),
            tid: tenant.id.clone(),
            roles: application.permissions.clone(),
            wids: tenant.roles_of(&application.service_principal_id, clock.now()),
            xms_cc: capabilities(field("claims")),
            ver: "1.0".to_owned(),
            uti: new_id(),
        };
        let token = self
            .issue(claims)
            .ok_or_else(|| TokenError::new(500, "server_error", 50_000, "Signing the token failed."))?;
        Ok(json!({
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "ext_expires_in": LIFETIME,
            "access_token": token,
        }))
    }

    /// How the client proved itself (`appidacr`), by a secret or a certificate of its registration; nothing when it
    /// did not try to.
    fn prove(
        &self,
        request: &TokenRequest,
        registration: &Application,
        tenant: &Tenant,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<Option<&'static str>, TokenError> {
        let field = |name: &str| request.form.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let when = When {
            now: clock.now(),
            moment: clock.elapsed(),
            lag: std::time::Duration::from_millis(knobs.create_lag_ms),
        };
        let basic = request.authorization.as_deref().and_then(basic_credentials);
        let secret = field("client_secret").or_else(|| basic.as_ref().map(|(_, secret)| secret.as_str()));
        if let Some(secret) = secret {
            return check_secret(registration, secret, when).map(Some);
        }
        let Some(assertion) = field("client_assertion") else {
            return Ok(None);
        };
        if field("client_assertion_type").ok_or_else(|| missing("client_assertion_type"))? != JWT_BEARER {
            return Err(TokenError::new(
                400,
                "invalid_request",
                50_013,
                "The assertion is not valid: client_assertion_type is not supported.",
            ));
        }
        let seen = knobs.assertions_once.then_some(&self.assertions);
        check_client(assertion, registration, when, seen, |audience| is_this_endpoint(audience, &request.host, tenant))
            .map(|()| Some("2"))
            .map_err(|error| TokenError::new(401, "invalid_client", error.number(), error.message()))
    }

    /// Tokens for a person: by authorization code, refresh token or device code. The tenant is named in the answer.
    fn grant_to_person(
        &self,
        request: &TokenRequest,
        asked: DelegatedGrant,
        directory: &Directory,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<(String, Value), TokenError> {
        let field = |name: &'static str| request.field(name).ok_or_else(|| missing(name));
        let refused = |(error, number, message): Refused| TokenError::new(400, error, number, message);
        let client_id = request.client_id().ok_or_else(|| missing("client_id"))?;
        if !matches!(request.tenant.as_str(), "common" | "organizations") {
            self.find_tenant(request, directory)?;
        }
        let client = find_client(directory, &request.tenant, &client_id).ok_or_else(|| {
            TokenError::new(
                400,
                "unauthorized_client",
                700_016,
                format!(
                    "Application with identifier '{client_id}' was not found in the directory '{}'.",
                    request.tenant
                ),
            )
        })?;
        let now = clock.now();
        let proves = request.field("client_secret").is_some() || request.field("client_assertion").is_some();
        if client.public_client && proves {
            return Err(TokenError::new(
                401,
                "invalid_client",
                700_025,
                "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
            ));
        }
        if !client.public_client {
            let home = directory
                .tenants
                .iter()
                .find(|tenant| tenant.applications.iter().any(|a| a.object_id == client.object_id));
            let proof = match home {
                Some(home) => self.prove(request, &client, home, clock, knobs)?,
                None => None,
            };
            proof.ok_or_else(unproven)?;
        }
        let grant = match asked {
            DelegatedGrant::Code => self.people.redeem_code(
                field("code")?,
                &client_id,
                field("redirect_uri")?,
                request.field("code_verifier"),
                now,
            ),
            DelegatedGrant::Refresh => {
                self.people.refresh(field("refresh_token")?, &client_id, request.field("scope"), now)
            }
            DelegatedGrant::Device => self.people.redeem_device(field("device_code")?, &client_id, now),
        }
        .map_err(refused)?;
        let tenant = directory.tenant(&grant.tenant_id).ok_or_else(|| {
            TokenError::new(400, "invalid_request", 90_002, format!("Tenant '{}' not found.", grant.tenant_id))
        })?;
        if !matches!(request.tenant.as_str(), "common" | "organizations") && !names(tenant, &request.tenant) {
            return Err(TokenError::new(
                400,
                "invalid_grant",
                700_005,
                "The provided grant is intended to use against another tenant, thus rejected.",
            ));
        }
        let application = tenant.application(&client_id).filter(|known| known.principal).ok_or_else(|| {
            TokenError::new(
                400,
                "unauthorized_client",
                700_016,
                format!(
                    "Application with identifier '{client_id}' was not found in the directory '{}'.",
                    tenant.display_name
                ),
            )
        })?;
        check_enabled(application)?;
        let user = still_welcome(tenant, &grant, clock, knobs).map_err(refused)?;
        let body = self
            .tokens_for(request, &grant, tenant, application, user, clock)
            .ok_or_else(|| TokenError::new(500, "server_error", 50_000, "Signing the token failed."))?;
        Ok((tenant.id.clone(), body))
    }

    fn tokens_for(
        &self,
        request: &TokenRequest,
        grant: &Grant,
        tenant: &Tenant,
        application: &Application,
        user: &User,
        clock: &Clock,
    ) -> Option<Value> {
        let now = clock.now();
        let seconds = now.as_second();
        let has = |scope: &str| grant.scopes.contains(scope);
        let scp: BTreeSet<String> =
            grant.scopes.iter().filter(|scope| *scope != "offline_access" && *scope != ".default").cloned().collect();
        let words = scp.iter().cloned().collect::<Vec<_>>().join(" ");
        let mut wids = tenant.roles_of(&user.id, now);
        // Every member holds this one.
        wids.push("b79fbf4d-3ef9-4689-8143-76b194e85509".to_owned());
        let claims = Claims {
            aud: format!("https://{}", tenant.cloud.graph_host()),
            iss: format!("https://sts.windows.net/{}/", tenant.id),
            iat: seconds,
            nbf: seconds,
            exp: seconds.saturating_add_unsigned(LIFETIME),
            appid: application.client_id.clone(),
            app_displayname: application.display_name.clone(),
            appidacr: if application.public_client { "0" } else { "1" }.to_owned(),
            idtyp: "user".to_owned(),
            oid: user.id.clone(),
            sub: subject(user, application),
            tid: tenant.id.clone(),
            roles: BTreeSet::new(),
            scp: words.clone(),
            upn: user.user_principal_name.clone(),
            name: user.display_name.clone(),
            amr: grant.methods.iter().map(|method| (*method).to_owned()).collect(),
            wids,
            xms_cc: capabilities(request.field("claims")),
            ver: "1.0".to_owned(),
            uti: new_id(),
            granted: scp,
        };
        let access_token = self.issue(claims)?;
        let mut body = json!({
            "token_type": "Bearer",
            "scope": words,
            "expires_in": LIFETIME,
            "ext_expires_in": LIFETIME,
            "access_token": access_token,
        });
        if has("offline_access") {
            body["refresh_token"] = json!(self.people.issue_refresh(grant, now));
        }
        if has("openid") {
            let mut claims = json!({
                "aud": application.client_id,
                "iss": format!("https://{}/{}/v2.0", tenant.cloud.authority_host(), tenant.id),
                "iat": seconds, "nbf": seconds, "exp": seconds.saturating_add_unsigned(LIFETIME),
                "oid": user.id, "sub": subject(user, application), "tid": tenant.id,
                "uti": new_id(), "ver": "2.0",
            });
            if has("profile") {
                claims["name"] = json!(user.display_name);
                claims["preferred_username"] = json!(user.user_principal_name);
            }
            if let Some(nonce) = &grant.nonce {
                claims["nonce"] = json!(nonce);
            }
            body["id_token"] = json!(self.sign(&claims)?);
        }
        Some(body)
    }

    /// Forgets which assertions were used, and every code and refresh token.
    pub fn clear(&self) {
        self.assertions.clear();
        self.people.clear();
    }
}

/// A grant that a person stands behind.
#[derive(Clone, Copy, Debug)]
enum DelegatedGrant {
    Code,
    Refresh,
    Device,
}

/// The person under a name of her own for each application.
fn subject(user: &User, application: &Application) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{}\n{}", user.id, application.client_id)))
}

impl TokenRequest {
    /// A form field that is not empty.
    fn field(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn delegated_grant(&self) -> Option<DelegatedGrant> {
        match self.field("grant_type")? {
            "authorization_code" => Some(DelegatedGrant::Code),
            "refresh_token" => Some(DelegatedGrant::Refresh),
            "urn:ietf:params:oauth:grant-type:device_code" => Some(DelegatedGrant::Device),
            _ => None,
        }
    }

    /// The client id, from the form or the `Authorization` header.
    fn client_id(&self) -> Option<String> {
        let in_form = self.form.get("client_id").filter(|id| !id.is_empty()).cloned();
        in_form.or_else(|| self.authorization.as_deref().and_then(basic_credentials).map(|(id, _)| id))
    }
}

/// The application with its service principal in this tenant, when that has arrived.
fn usable_application<'t>(
    tenant: &'t Tenant,
    client_id: &str,
    clock: &Clock,
    knobs: &Knobs,
) -> Result<&'t Application, TokenError> {
    let lag = std::time::Duration::from_millis(knobs.create_lag_ms);
    tenant
        .application(client_id)
        .filter(|application| application.principal)
        .filter(|application| application.principal_moment.is_none_or(|made| clock.elapsed() >= made + lag))
        .ok_or_else(|| {
            TokenError::new(
                400,
                "unauthorized_client",
                700_016,
                format!(
                    "Application with identifier '{client_id}' was not found in the directory '{}'. This can happen \
                     if the application has not been installed by the administrator of the tenant or consented to \
                     by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
                    tenant.display_name
                ),
            )
        })
}

fn check_enabled(application: &Application) -> Result<(), TokenError> {
    if application.enabled {
        return Ok(());
    }
    Err(TokenError::new(
        400,
        "unauthorized_client",
        7_000_112,
        format!("Application '{}'({}) is disabled.", application.client_id, application.display_name),
    ))
}

/// Whether `aud` of an assertion names the token endpoint (or the issuer) of this tenant on this host.
fn is_this_endpoint(audience: &str, host: &str, tenant: &Tenant) -> bool {
    let Ok(url) = url::Url::parse(audience) else {
        return false;
    };
    let segments: Vec<&str> = url.path().trim_matches('/').split('/').collect();
    let right_path = match segments.as_slice() {
        [segment, "oauth2", "v2.0", "token"] | [segment, "oauth2", "token"] | [segment, "v2.0"] => {
            names(tenant, segment)
        }
        _ => false,
    };
    right_path && url.scheme() == "https" && url.host_str() == Some(host)
}

/// An ECDSA signature as tokens carry it (two numbers of 32 bytes) from the form TLS uses (DER).
fn raw_signature(der: &[u8]) -> Option<[u8; 64]> {
    let mut rest = der.strip_prefix(&[0x30])?.get(1..)?;
    let mut raw = [0_u8; 64];
    for half in [0, 32] {
        let (length, tail) = rest.strip_prefix(&[0x02])?.split_first()?;
        let (number, tail) = tail.split_at_checked(usize::from(*length))?;
        // A leading zero keeps the number positive; leading zeros that are missing are filled up.
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        raw.get_mut(half + 32_usize.checked_sub(number.len())?..half + 32)?.copy_from_slice(number);
        rest = tail;
    }
    rest.is_empty().then_some(raw)
}

/// `/{tenant}/v2.0/.well-known/openid-configuration`.
#[must_use]
pub fn openid_configuration(base: &str, tenant_segment: &str, tenant: &Tenant) -> Value {
    let root = format!("{base}/{tenant_segment}");
    json!({
        "token_endpoint": format!("{root}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{root}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": format!("{base}/{}/v2.0", tenant.id),
        "request_uri_parameter_supported": false,
        "authorization_endpoint": format!("{root}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{root}/oauth2/v2.0/devicecode"),
        "end_session_endpoint": format!("{root}/oauth2/v2.0/logout"),
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "tid", "ver"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": tenant.cloud.authority_host().trim_start_matches("login."),
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": tenant.cloud.graph_host(),
    })
}

/// `/common/discovery/instance`.
#[must_use]
pub fn instance_discovery(base: &str, authorization_endpoint: Option<&str>) -> Value {
    let named = authorization_endpoint
        .and_then(|endpoint| url::Url::parse(endpoint).ok())
        .and_then(|endpoint| {
            let tenant = endpoint.path_segments()?.next()?.to_owned();
            Some(format!("{}/{tenant}", endpoint.origin().ascii_serialization()))
        })
        .unwrap_or_else(|| format!("{base}/common"));
    let own = base.rsplit('/').next().unwrap_or_default().to_owned();
    let mut metadata = vec![
        json!({
            "preferred_network": "login.microsoftonline.com", "preferred_cache": "login.windows.net",
            "aliases": ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]
        }),
        json!({
            "preferred_network": "login.partner.microsoftonline.cn",
            "preferred_cache": "login.partner.microsoftonline.cn",
            "aliases": ["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"]
        }),
        json!({
            "preferred_network": "login.microsoftonline.us", "preferred_cache": "login.microsoftonline.us",
            "aliases": ["login.microsoftonline.us", "login.usgovcloudapi.net"]
        }),
    ];
    if own.starts_with("localhost") || own.starts_with("127.0.0.1") {
        metadata.push(json!({"preferred_network": own, "preferred_cache": own, "aliases": [own]}));
    }
    json!({
        "tenant_discovery_endpoint": format!("{named}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": metadata,
    })
}

fn names(tenant: &Tenant, segment: &str) -> bool {
    tenant.id.eq_ignore_ascii_case(segment)
        || tenant.domains.iter().any(|domain| domain.verified && domain.name.eq_ignore_ascii_case(segment))
}

/// The client did not even try to prove that it is the application.
fn unproven() -> TokenError {
    TokenError::new(
        401,
        "invalid_client",
        7_000_218,
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    )
}

fn missing(name: &str) -> TokenError {
    TokenError::new(
        400,
        "invalid_request",
        900_144,
        format!("The request body must contain the following parameter: '{name}'."),
    )
}

fn audience(scope: &str, tenant: &Tenant) -> Result<String, TokenError> {
    let resource = scope.strip_suffix("/.default").ok_or_else(|| {
        TokenError::new(
            400,
            "invalid_scope",
            70_011,
            format!("The provided request must include a 'scope' input parameter. The scope {scope} is not valid."),
        )
    })?;
    let host = url::Url::parse(resource).ok().and_then(|url| url.host_str().map(str::to_owned));
    let own = tenant.cloud.graph_host();
    match host.as_deref() {
        Some(host) if host == own || host == "localhost" || host == "127.0.0.1" => Ok(format!("https://{own}")),
        None if resource == "00000003-0000-0000-c000-000000000000" => Ok(format!("https://{own}")),
        _ => Err(TokenError::new(
            400,
            "invalid_resource",
            500_011,
            format!(
                "The resource principal named {resource} was not found in the tenant named {}.",
                tenant.display_name
            ),
        )),
    }
}

fn check_secret(application: &Application, secret: &str, when: When) -> Result<&'static str, TokenError> {
    let arrived = |added: Option<crate::clock::Moment>| added.is_none_or(|added| when.moment >= added + when.lag);
    let known = application.secrets.iter().find(|known| known.value == secret && arrived(known.added));
    let Some(known) = known else {
        return Err(TokenError::new(
            401,
            "invalid_client",
            7_000_215,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                 value, not the client secret ID, for a secret added to app '{}'.",
                application.client_id
            ),
        ));
    };
    if known.expires <= when.now {
        return Err(TokenError::new(
            401,
            "invalid_client",
            7_000_222,
            format!("The provided client secret keys for app '{}' are expired.", application.client_id),
        ));
    }
    Ok("1")
}

fn basic_credentials(header: &str) -> Option<(String, String)> {
    let encoded = header.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |part: &str| {
        url::form_urlencoded::parse(format!("v={part}").as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

fn capabilities(claims: Option<&str>) -> Vec<String> {
    claims
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .and_then(|claims| claims.pointer("/access_token/xms_cc/values").cloned())
        .and_then(|values| serde_json::from_value::<Vec<String>>(values).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};

    use super::*;
    use crate::directory::seed::{self, CONTOSO};

    #[test]
    fn a_token_verifies_with_the_published_key() {
        let (clock, issuer) = (Clock::new(), TokenIssuer::new().unwrap());
        let directory = seed::directory(&clock);
        let application = &directory.tenant(CONTOSO).unwrap().applications[0];
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", "https://graph.microsoft.com/.default"),
            ("client_id", &application.client_id),
            ("client_secret", &application.secrets[0].value),
        ];
        let request = TokenRequest {
            tenant: CONTOSO.to_owned(),
            host: "login.microsoftonline.com".to_owned(),
            form: form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..TokenRequest::default()
        };
        // Often enough for short numbers to come up in signatures.
        for _ in 0..20 {
            let body = issuer.grant(&request, &directory, &clock, &Knobs::default()).1.unwrap();
            let token = body["access_token"].as_str().unwrap();
            let key = &issuer.keys()["keys"][0];
            let key = DecodingKey::from_ec_components(key["x"].as_str().unwrap(), key["y"].as_str().unwrap()).unwrap();
            let mut validation = Validation::new(Algorithm::ES256);
            validation.set_audience(&["https://graph.microsoft.com"]);
            let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).unwrap().claims;
            assert_eq!(claims.oid, application.service_principal_id);
            assert!(issuer.recognise(token).is_some());
        }
    }
}
