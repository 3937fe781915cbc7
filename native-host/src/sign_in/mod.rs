//! Signs a person in to a Microsoft tenant from the command line, and sends an administrator to consent.
//!
//! For whoever needs it: make a [`SignIn`] with the network settings, then
//! - [`SignIn::sign_in`]: authorization code with PKCE, answered on this machine, in the default browser (or the
//!   address is printed, or a device code is used when a person asks for one); gives a [`SignedIn`] with an access
//!   token for Microsoft Graph and, when the request [`stays`](SignInRequest::stays), a refresh token;
//! - [`SignIn::refresh`]: a new access token by such a refresh token, or why there is none any more;
//! - [`SignIn::admin_consent`]: the admin-consent page of a multi-tenant application, answered on this machine.
//!
//! No token is logged, printed or kept here; keeping a refresh token is the key store's. Only an answer with this
//! request's `state` is taken, once. Facts: Microsoft identity platform, authorization code flow with PKCE, device
//! authorization grant, admin consent; OAuth 2.0 for native apps (RFC 8252).

mod device;
mod loopback;
mod token;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_engine::{NetworkSettings, SystemTransport};
use latchkey_protocol::cloud::Cloud;
use latchkey_protocol::{ErrorBody, ErrorCode};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use url::Url;
use uuid::Uuid;

use crate::output::Output;
use loopback::Loopback;
pub(crate) use token::{RefreshRefused, silence};

/// How the person gets to the sign-in page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In the default browser of this machine; the address is printed too.
    Browser,
    /// The address is printed, and a browser on this machine has to be opened by hand.
    Address,
    /// With a code, on any device. Phishers love it, so only when the person asks for it.
    DeviceCode,
}

/// Who is to sign in, to what.
#[derive(Clone, Debug)]
pub(crate) struct SignInRequest<'a> {
    /// The cloud that the tenant lives in.
    pub(crate) cloud: Cloud,
    /// The tenant that the person must belong to; any organisation's when absent.
    pub(crate) tenant_id: Option<Uuid>,
    /// A public client application with the redirect address `http://localhost`.
    pub(crate) client_id: Uuid,
    /// Delegated permissions of Microsoft Graph, e.g. `User.Read`.
    pub(crate) scopes: &'a [&'a str],
    /// Whether a refresh token is wanted.
    pub(crate) stays: bool,
    /// The user name to begin with, if it is known.
    pub(crate) login_hint: Option<&'a str>,
    /// How the person gets to the page.
    pub(crate) way: Way,
}

/// A person who signed in. Not to be printed: `Debug` shows no token.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    /// The tenant that the tokens are for.
    pub(crate) tenant_id: Uuid,
    /// Object id of the person in that tenant.
    pub(crate) user_id: Uuid,
    /// User principal name.
    pub(crate) user_name: String,
    /// Name shown to people.
    pub(crate) display_name: String,
    /// For Microsoft Graph.
    pub(crate) access_token: SecretString,
    /// How long the access token is good for, from now: about an hour.
    pub(crate) access_for: Duration,
    /// For [`SignIn::refresh`].
    pub(crate) refresh_token: Option<SecretString>,
}

/// What came back from the admin-consent page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consented {
    /// The tenant that the redirect *says* consented. Proves nothing: ask that tenant for a token.
    pub(crate) claimed_tenant_id: Uuid,
}

/// Signs people in over this machine's network.
pub(crate) struct SignIn {
    transport: SystemTransport,
}

impl SignIn {
    /// Nothing is opened yet.
    pub(crate) fn new(network: NetworkSettings) -> Self {
        Self { transport: SystemTransport::new(network) }
    }

    /// Signs a person in, and waits for her for a few minutes.
    ///
    /// # Errors
    /// Microsoft refuses, she belongs to another tenant, nobody finishes in time, or the network does not work.
    pub(crate) async fn sign_in(&self, request: &SignInRequest<'_>, output: Output) -> Result<SignedIn, ErrorBody> {
        if request.way == Way::DeviceCode {
            return device::sign_in(&self.transport, request, output).await;
        }
        let loopback = Loopback::open().await?;
        let secrets = OneTime::new()?;
        let address = authorize_address(request, &loopback.redirect_uri(), &secrets)?;
        show(&address, request.way, output);
        let answer = loopback.answer(&secrets.state, "You are signed in.").await?;
        let code = answer.need("code")?;
        token::redeem_code(&self.transport, request, code, &loopback.redirect_uri(), &secrets).await
    }

    /// A new access token by a refresh token that was kept.
    ///
    /// # Errors
    /// The person is no longer welcome ([`RefreshRefused::Refused`]), or Microsoft could not be asked.
    pub(crate) async fn refresh(
        &self,
        request: &SignInRequest<'_>,
        refresh_token: &SecretString,
    ) -> Result<SignedIn, RefreshRefused> {
        token::refresh(&self.transport, request, refresh_token).await
    }

    /// Sends an administrator to the consent page of a multi-tenant application (`tenant_id` when it is known whose),
    /// and waits for the answer. The application needs the redirect address `http://localhost`.
    ///
    /// # Errors
    /// The administrator declined or may not consent, or nobody finishes in time.
    pub(crate) async fn admin_consent(
        cloud: Cloud,
        tenant_id: Option<Uuid>,
        client_id: Uuid,
        way: Way,
        output: Output,
    ) -> Result<Consented, ErrorBody> {
        let loopback = Loopback::open().await?;
        let secrets = OneTime::new()?;
        let mut address = address_of(cloud, tenant_id, "v2.0/adminconsent")?;
        address
            .query_pairs_mut()
            .append_pair("client_id", &client_id.to_string())
            .append_pair("scope", &format!("{}/.default", cloud.hosts().graph))
            .append_pair("redirect_uri", &loopback.redirect_uri())
            .append_pair("state", &secrets.state);
        show(&address, way, output);
        let answer = loopback.answer(&secrets.state, "The consent was given.").await?;
        let claimed = answer.need("tenant")?;
        let claimed_tenant_id = claimed.parse().map_err(|_| refused("The answer names no tenant.".to_owned(), ""))?;
        if !answer.need("admin_consent")?.eq_ignore_ascii_case("true") {
            return Err(refused("The consent was not given.".to_owned(), ""));
        }
        Ok(Consented { claimed_tenant_id })
    }
}

/// What only this request knows, so that an answer can be told from an invented one.
struct OneTime {
    state: String,
    nonce: String,
    verifier: SecretString,
    challenge: String,
}

impl OneTime {
    fn new() -> Result<Self, ErrorBody> {
        let verifier = random()?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        Ok(Self { state: random()?, nonce: random()?, verifier: verifier.into(), challenge })
    }
}

/// 256 random bits as text.
fn random() -> Result<String, ErrorBody> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(crate::failure::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// `https://login.microsoftonline.com/{tenant}/{path}`.
fn address_of(cloud: Cloud, tenant_id: Option<Uuid>, path: &str) -> Result<Url, ErrorBody> {
    let tenant = tenant_id.map_or_else(|| "organizations".to_owned(), |id| id.to_string());
    Url::parse(&format!("{}/{tenant}/{path}", cloud.hosts().authority)).map_err(crate::failure::internal)
}

fn authorize_address(request: &SignInRequest<'_>, redirect_uri: &str, secrets: &OneTime) -> Result<Url, ErrorBody> {
    let mut address = address_of(request.cloud, request.tenant_id, "oauth2/v2.0/authorize")?;
    address
        .query_pairs_mut()
        .append_pair("client_id", &request.client_id.to_string())
        .append_pair("response_type", "code")
        .append_pair("response_mode", "query")
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("scope", &scope(request))
        .append_pair("state", &secrets.state)
        .append_pair("nonce", &secrets.nonce)
        .append_pair("code_challenge", &secrets.challenge)
        .append_pair("code_challenge_method", "S256")
        // Whoever is signed in to the browser is not always who should be.
        .append_pair("prompt", "select_account");
    if let Some(hint) = request.login_hint {
        address.query_pairs_mut().append_pair("login_hint", hint);
    }
    Ok(address)
}

/// Everything that is asked for, in one line.
fn scope(request: &SignInRequest<'_>) -> String {
    let graph = request.cloud.hosts().graph;
    let mut scopes = vec!["openid".to_owned(), "profile".to_owned()];
    if request.stays {
        scopes.push("offline_access".to_owned());
    }
    scopes.extend(request.scopes.iter().map(|scope| format!("{graph}/{scope}")));
    scopes.join(" ")
}

fn show(address: &Url, way: Way, output: Output) {
    if way == Way::Browser {
        output.note("Your browser opens to sign you in. If it does not, open this address:");
        if let Err(error) = open::that_detached(address.as_str()) {
            tracing::warn!("the default browser cannot be opened: {error}");
        }
    } else {
        output.note("Open this address in a browser on this machine to sign in:");
    }
    output.note(format_args!("  {address}"));
}

/// Microsoft said no.
fn refused(message: String, next_step: &str) -> ErrorBody {
    let next_step = if next_step.is_empty() { "Try again, with an account that may do this." } else { next_step };
    ErrorBody::new(ErrorCode::SignInRefused, message, next_step)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn request<'a>(scopes: &'a [&'a str]) -> SignInRequest<'a> {
        SignInRequest {
            cloud: Cloud::Global,
            tenant_id: None,
            client_id: Uuid::nil(),
            scopes,
            stays: true,
            login_hint: Some("alex@msp.example"),
            way: Way::Address,
        }
    }

    #[test]
    fn the_address_asks_for_a_code_with_a_proof_and_never_carries_the_verifier() {
        let secrets = OneTime::new().unwrap();
        let address = authorize_address(&request(&["User.Read"]), "http://localhost:1", &secrets).unwrap();
        let value = |name: &str| address.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
        assert!(address.as_str().starts_with("https://login.microsoftonline.com/organizations/oauth2/v2.0/authorize?"));
        assert_eq!(value("scope"), "openid profile offline_access https://graph.microsoft.com/User.Read");
        assert_eq!((value("code_challenge_method").as_str(), value("code_challenge").len()), ("S256", 43));
        assert_eq!(value("state"), secrets.state);
        let verifier = secrecy::ExposeSecret::expose_secret(&secrets.verifier);
        assert!(!address.as_str().contains(verifier));
        assert_ne!(OneTime::new().unwrap().state, secrets.state);
    }
}
