//! The token endpoint for people: codes and refresh tokens become access tokens.
//!
//! What an id token says is taken only from an answer that came straight from the authority over TLS (OpenID Connect
//! Core, 3.1.3.7), and only when it is for this application, this request and the tenant that was asked for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_engine::{HttpAnswer, HttpRequest, Silence, SystemTransport, Transport as _};
use latchkey_protocol::{ErrorBody, ErrorCode};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::form_urlencoded;
use uuid::Uuid;

use super::{OneTime, SignInRequest, SignedIn, address_of, loopback, refused, scope};

/// Why a refresh token gave no access token.
#[derive(Clone, Debug)]
pub(crate) enum RefreshRefused {
    /// Microsoft refuses this person or this sign-in: the account is disabled, deleted, its password or sessions were
    /// reset, or too much time has passed.
    Refused(ErrorBody),
    /// Nobody knows: Microsoft was not reached, or is not well.
    Unknown(ErrorBody),
}

/// What the token endpoint says no with.
pub(super) struct Denied {
    pub(super) status: u16,
    pub(super) error: String,
    pub(super) description: String,
}

#[derive(Deserialize)]
struct DeniedBody {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    /// Seconds.
    expires_in: u64,
    refresh_token: Option<SecretString>,
    id_token: Option<SecretString>,
}

#[derive(Deserialize)]
struct IdClaims {
    aud: Uuid,
    tid: Uuid,
    oid: Uuid,
    nonce: Option<String>,
    #[serde(default)]
    preferred_username: String,
    #[serde(default)]
    name: String,
}

/// Redeems an authorization code.
pub(super) async fn redeem_code(
    transport: &SystemTransport,
    request: &SignInRequest<'_>,
    code: &str,
    redirect_uri: &str,
    secrets: &OneTime,
) -> Result<SignedIn, ErrorBody> {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", &request.client_id.to_string()),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", secrets.verifier.expose_secret()),
        ("scope", &scope(request)),
    ];
    let granted = ask(transport, request, &fields).await?.map_err(|denied| denied.for_a_person())?;
    signed_in(&granted, request, Some(&secrets.nonce))
}

/// Redeems a refresh token.
pub(super) async fn refresh(
    transport: &SystemTransport,
    request: &SignInRequest<'_>,
    refresh_token: &SecretString,
) -> Result<SignedIn, RefreshRefused> {
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", &request.client_id.to_string()),
        ("refresh_token", refresh_token.expose_secret()),
        ("scope", &scope(request)),
    ];
    let granted = ask(transport, request, &fields).await.map_err(RefreshRefused::Unknown)?;
    let granted = granted.map_err(|denied| {
        // Only a plain refusal of this grant is an answer about the person.
        let certain = matches!(denied.error.as_str(), "invalid_grant" | "interaction_required" | "consent_required");
        let error = denied.for_a_person();
        if certain { RefreshRefused::Refused(error) } else { RefreshRefused::Unknown(error) }
    })?;
    signed_in(&granted, request, None).map_err(RefreshRefused::Refused)
}

/// Asks whether a device code was answered. Nothing while it was not.
pub(super) async fn redeem_device(
    transport: &SystemTransport,
    request: &SignInRequest<'_>,
    device_code: &SecretString,
) -> Result<Option<SignedIn>, ErrorBody> {
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", &request.client_id.to_string()),
        ("device_code", device_code.expose_secret()),
    ];
    match ask(transport, request, &fields).await? {
        Ok(granted) => signed_in(&granted, request, None).map(Some),
        Err(denied) if matches!(denied.error.as_str(), "authorization_pending" | "slow_down") => Ok(None),
        Err(denied) => Err(denied.for_a_person()),
    }
}

impl Denied {
    /// In words, with Microsoft's number.
    pub(super) fn for_a_person(&self) -> ErrorBody {
        if self.status >= 500 || self.error == "temporarily_unavailable" {
            return ErrorBody::new(
                ErrorCode::GraphUnavailable,
                format!("Microsoft's sign-in service is not well (HTTP {}).", self.status),
                "Try again in a few minutes.",
            );
        }
        loopback::refusal(&self.error, &self.description)
    }
}

async fn ask(
    transport: &SystemTransport,
    request: &SignInRequest<'_>,
    fields: &[(&str, &str)],
) -> Result<Result<Granted, Denied>, ErrorBody> {
    let address = address_of(request.cloud, request.tenant_id, "oauth2/v2.0/token")?;
    let answer = post(transport, address.as_str(), fields).await?;
    if answer.status != 200 {
        return Ok(Err(denied(&answer)));
    }
    let granted = serde_json::from_slice(&answer.body)
        .map_err(|_| refused("Microsoft's answer cannot be read.".to_owned(), ""))?;
    Ok(Ok(granted))
}

/// Posts a form to the authority.
pub(super) async fn post(
    transport: &SystemTransport,
    address: &str,
    fields: &[(&str, &str)],
) -> Result<HttpAnswer, ErrorBody> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes();
    let request = HttpRequest { method: "POST", url: address.to_owned(), headers, body };
    transport.exchange(request).await.map_err(silence)
}

/// What no answer means.
pub(crate) fn silence(silence: Silence) -> ErrorBody {
    match silence {
        Silence::Unusable(failure) => latchkey_engine::EngineError::from(failure).to_body(),
        Silence::Unreached(reason) | Silence::Unanswered(reason) => ErrorBody::new(
            ErrorCode::NetworkUnreachable,
            format!("Microsoft cannot be reached: {reason}."),
            "Check this machine's network, then try again; 'latchkey doctor' looks at every link.",
        ),
    }
}

/// A refusal as the endpoint wrote it.
pub(super) fn denied(answer: &HttpAnswer) -> Denied {
    let body = serde_json::from_slice(&answer.body)
        .unwrap_or_else(|_| DeniedBody { error: format!("HTTP {}", answer.status), error_description: String::new() });
    Denied { status: answer.status, error: body.error, description: body.error_description }
}

fn signed_in(granted: &Granted, request: &SignInRequest<'_>, nonce: Option<&str>) -> Result<SignedIn, ErrorBody> {
    let claims = granted
        .id_token
        .as_ref()
        .and_then(claims)
        .ok_or_else(|| refused("Microsoft's answer does not say who signed in.".to_owned(), ""))?;
    if claims.aud != request.client_id || nonce.is_some_and(|nonce| claims.nonce.as_deref() != Some(nonce)) {
        return Err(refused("Microsoft's answer is for another sign-in.".to_owned(), ""));
    }
    if request.tenant_id.is_some_and(|wanted| wanted != claims.tid) {
        return Err(refused(
            format!("{} belongs to another tenant.", claims.preferred_username),
            "Sign in with an account of the tenant that was asked for.",
        ));
    }
    Ok(SignedIn {
        tenant_id: claims.tid,
        user_id: claims.oid,
        user_name: claims.preferred_username,
        display_name: claims.name,
        access_token: granted.access_token.clone(),
        access_for: Duration::from_secs(granted.expires_in),
        refresh_token: granted.refresh_token.clone(),
    })
}

fn claims(id_token: &SecretString) -> Option<IdClaims> {
    let payload = id_token.expose_secret().split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use latchkey_protocol::cloud::Cloud;
    use serde_json::json;

    use super::*;
    use crate::sign_in::Way;

    fn granted(claims: &serde_json::Value) -> Granted {
        let token = format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()));
        serde_json::from_value(json!({"access_token": "a", "expires_in": 3599, "id_token": token})).unwrap()
    }

    #[test]
    fn an_id_token_counts_for_this_request_only() {
        let (client, tenant, user) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let request = SignInRequest {
            cloud: Cloud::Global,
            tenant_id: Some(tenant),
            client_id: client,
            scopes: &["User.Read"],
            stays: false,
            login_hint: None,
            way: Way::Address,
        };
        let good = json!({"aud": client, "tid": tenant, "oid": user, "nonce": "n", "preferred_username": "alex@x", "name": "Alex"});
        let found = signed_in(&granted(&good), &request, Some("n")).unwrap();
        assert_eq!((found.user_id, found.user_name.as_str()), (user, "alex@x"));
        for (name, value) in [("aud", json!(user)), ("tid", json!(user)), ("nonce", json!("m"))] {
            let mut other = good.clone();
            other[name] = value;
            assert_eq!(signed_in(&granted(&other), &request, Some("n")).unwrap_err().code, ErrorCode::SignInRefused);
        }
    }
}
