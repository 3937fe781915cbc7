//! The app-only token: client credentials, the AADSTS errors, and what the token says the application may do.
//!
//! Facts: Microsoft identity platform, OAuth 2.0 client credentials flow and the AADSTS error reference.

use std::collections::BTreeSet;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{EngineError, Failure};

/// A token that has not run out.
pub(crate) struct Token {
    pub(crate) value: SecretString,
    /// When a new one is fetched, by [`crate::Clock::elapsed`]; some minutes before it runs out.
    pub(crate) renew_at: i64,
    pub(crate) capabilities: Capabilities,
}

/// What the application may do in the tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Capabilities {
    /// Object id of the application's service principal.
    pub(crate) object_id: Option<Uuid>,
    /// Granted application permissions.
    pub(crate) permissions: BTreeSet<String>,
}

impl Capabilities {
    pub(crate) fn has(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }

    /// Whether passes can be issued, listed and deleted.
    pub(crate) fn passes(&self) -> bool {
        self.has("UserAuthMethod-TAP.ReadWrite.All") || self.has("UserAuthenticationMethod.ReadWrite.All")
    }

    /// Whether passkeys can be registered, listed and deleted.
    pub(crate) fn passkeys(&self) -> bool {
        self.has("UserAuthMethod-Passkey.ReadWrite.All") || self.has("UserAuthenticationMethod.ReadWrite.All")
    }

    /// Whether an account's passkeys can be listed. What may write one may read it by its id, and not list them.
    pub(crate) fn list_passkeys(&self) -> bool {
        [
            "UserAuthMethod-Passkey.Read.All",
            "UserAuthenticationMethod.Read.All",
            "UserAuthenticationMethod.ReadWrite.All",
        ]
        .iter()
        .any(|permission| self.has(permission))
    }

    /// Whether the tenant's policy on passes can be read.
    pub(crate) fn pass_policy(&self) -> bool {
        self.has("Policy.Read.AuthenticationMethod") || self.has("Policy.Read.All")
    }
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    roles: BTreeSet<String>,
    #[serde(default)]
    oid: Option<Uuid>,
    #[serde(default)]
    tid: Option<Uuid>,
}

/// Reads the claims of our own token. Nothing is verified, and nothing needs to be: the token comes straight from the
/// authority over TLS, it is meant for Graph, which does verify it, and what is read here only chooses what to ask for.
pub(crate) fn capabilities(token: &str, tenant_id: Uuid) -> Result<Capabilities, EngineError> {
    let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token)
        .map_err(|_| Failure::TokenRefused("the token cannot be read".to_owned()))?;
    if claims.tid.is_some_and(|tid| tid != tenant_id) {
        return Err(Failure::TokenRefused("the token is for another tenant".to_owned()).into());
    }
    Ok(Capabilities { object_id: claims.oid, permissions: claims.roles })
}

#[derive(Deserialize)]
pub(crate) struct Granted {
    pub(crate) access_token: SecretString,
    pub(crate) expires_in: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Denied {
    error: String,
    error_description: String,
    error_codes: Vec<u32>,
    trace_id: Option<String>,
}

/// What a refusal of the token endpoint means.
pub(crate) fn refusal(status: u16, body: &[u8]) -> EngineError {
    let denied: Denied = serde_json::from_slice(body).unwrap_or_default();
    let number = denied.error_codes.first().copied().or_else(|| aadsts_number(&denied.error_description));
    let failure = match number {
        Some(7_000_215) => Failure::ClientSecretWrong,
        Some(7_000_222) => Failure::ClientSecretExpired,
        Some(number @ (700_027 | 50_012 | 50_013 | 500_133)) => Failure::CertificateRefused(number),
        Some(700_024) => Failure::AssertionTime,
        Some(number @ (700_016 | 500_011)) => Failure::ApplicationNotFound(number),
        Some(number @ (90_002 | 90_038 | 900_382 | 900_432)) => Failure::TenantNotFound(number),
        Some(number @ (7_000_112 | 53_003 | 530_032 | 1_000_031)) => Failure::ApplicationBlocked(number),
        Some(90_006 | 90_033 | 90_090 | 50_000) => Failure::GraphUnavailable(status),
        Some(90_055) => Failure::Throttled(5),
        _ if status == 429 => Failure::Throttled(5),
        _ if status >= 500 || denied.error == "temporarily_unavailable" => Failure::GraphUnavailable(status),
        Some(number) => Failure::TokenRefused(format!("AADSTS{number}, {}", denied.error)),
        None => Failure::TokenRefused(format!("HTTP {status}, {}", denied.error)),
    };
    EngineError::from(failure).with_request_id(denied.trace_id)
}

/// Whether the endpoint refused an assertion because of its times.
pub(crate) fn is_about_time(body: &[u8]) -> bool {
    *refusal(400, body).failure() == Failure::AssertionTime
}

/// The number in `AADSTS7000215: …`.
fn aadsts_number(description: &str) -> Option<u32> {
    let digits = description.split_once("AADSTS")?.1;
    let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use latchkey_protocol::ErrorCode;

    use super::*;

    fn code(status: u16, body: &str) -> ErrorCode {
        refusal(status, body.as_bytes()).code()
    }

    #[test]
    fn each_aadsts_number_has_its_meaning() {
        for (number, expected) in [
            (7_000_215, ErrorCode::ClientSecretWrong),
            (7_000_222, ErrorCode::ClientSecretExpired),
            (700_027, ErrorCode::CertificateRefused),
            (50_012, ErrorCode::CertificateRefused),
            (50_013, ErrorCode::CertificateRefused),
            (500_133, ErrorCode::CertificateRefused),
            (700_024, ErrorCode::ClockWrong),
            (700_016, ErrorCode::ApplicationNotFound),
            (90_002, ErrorCode::TenantNotFound),
            (900_382, ErrorCode::TenantNotFound),
            (7_000_112, ErrorCode::ApplicationBlocked),
            (53_003, ErrorCode::ApplicationBlocked),
            (90_033, ErrorCode::GraphUnavailable),
            (70_011, ErrorCode::TokenRefused),
        ] {
            assert_eq!(code(400, &format!(r#"{{"error":"e","error_codes":[{number}]}}"#)), expected, "{number}");
            let described = format!(r#"{{"error":"e","error_description":"AADSTS{number}: words. Trace ID: 1"}}"#);
            assert_eq!(code(401, &described), expected, "{number} in the description");
        }
    }

    #[test]
    fn an_answer_that_is_no_json_is_still_an_error() {
        assert_eq!(code(502, "<html>"), ErrorCode::GraphUnavailable);
        assert_eq!(code(400, "nonsense"), ErrorCode::TokenRefused);
    }
}
