//! What a page asks to have signed, as the browser hands it over, and whether it may be.
//!
//! Pure. The browser names the page's origin itself, in an extension of the request that a page cannot set; nothing
//! else that a page says about itself is believed. A request that is not exactly what a Microsoft sign-in page asks for
//! is refused, each with a reason of its own.
//!
//! Facts: Chrome extensions, `webAuthenticationProxy`: `requestDetailsJson`; W3C Web Authentication, level 3:
//! `PublicKeyCredentialRequestOptionsJSON`.

use latchkey_protocol::cloud::{Cloud, SignInOrigin};
use serde::Deserialize;

use super::authenticator::decoded;
use crate::Failure;

/// More bytes than any request has.
const LONGEST: usize = 65_536;

/// A request that may be answered, as far as it alone can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageRequest {
    pub(crate) origin: SignInOrigin,
    pub(crate) rp_id: String,
    pub(crate) challenge: Vec<u8>,
    /// Whether the person must have been verified.
    pub(crate) verification: bool,
    /// Which credentials will do; any when empty.
    allowed: Vec<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    challenge: String,
    #[serde(default)]
    rp_id: Option<String>,
    #[serde(default)]
    allow_credentials: Vec<Descriptor>,
    #[serde(default)]
    user_verification: Option<String>,
    extensions: Extensions,
}

#[derive(Deserialize)]
struct Descriptor {
    id: String,
    #[serde(default)]
    r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extensions {
    remote_desktop_client_override: ClientOverride,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientOverride {
    origin: String,
    same_origin_with_ancestors: bool,
}

impl PageRequest {
    /// Reads `requestDetailsJson` for a tenant of this cloud.
    ///
    /// # Errors
    /// `PasskeyNotAsked` when it is no such thing, `OriginNotAllowed` unless it comes from a sign-in page of the cloud
    /// (and from no frame in another page), `RelyingPartyNotAllowed` unless it is for that page's own host.
    pub(crate) fn parse(json: &str, cloud: Cloud) -> Result<Self, Failure> {
        if json.len() > LONGEST {
            return Err(Failure::PasskeyNotAsked);
        }
        let details: Details = serde_json::from_str(json).map_err(|_| Failure::PasskeyNotAsked)?;
        let ClientOverride { origin: said, same_origin_with_ancestors } =
            details.extensions.remote_desktop_client_override;
        // An origin has no path: what merely begins like one is something else.
        let origin = SignInOrigin::of_address(&said)
            .filter(|origin| origin.to_string() == said && cloud.signs_in_at(origin) && same_origin_with_ancestors)
            .ok_or_else(|| Failure::OriginNotAllowed(said.chars().take(200).collect()))?;
        let rp_id = details.rp_id.unwrap_or_else(|| origin.host().to_owned());
        if rp_id != origin.host() {
            return Err(Failure::RelyingPartyNotAllowed(rp_id.chars().take(200).collect()));
        }
        let challenge = decoded(&details.challenge).ok_or(Failure::PasskeyNotAsked)?;
        let named = !details.allow_credentials.is_empty();
        let allowed: Vec<_> = details
            .allow_credentials
            .iter()
            .filter(|one| one.r#type.as_deref().is_none_or(|kind| kind == "public-key"))
            .filter_map(|one| decoded(&one.id))
            .collect();
        if named && allowed.is_empty() {
            return Err(Failure::PasskeyNotAsked);
        }
        // What is not said means "preferred": a person who was not verified signs in with less than was hoped for, and
        // that is not for us to decide.
        let verification = details.user_verification.as_deref() != Some("discouraged");
        Ok(Self { origin, rp_id, challenge, verification, allowed })
    }

    /// Whether this credential (base64url) will do.
    pub(crate) fn allows(&self, credential_id: &str) -> bool {
        self.allowed.is_empty() || decoded(credential_id).is_some_and(|id| self.allowed.contains(&id))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn request() -> Value {
        json!({
            "challenge": "AQIDBA",
            "rpId": "login.microsoft.com",
            "timeout": 60_000,
            "userVerification": "required",
            "allowCredentials": [{ "type": "public-key", "id": "BQYH", "transports": ["internal"] }],
            "extensions": { "remoteDesktopClientOverride": {
                "origin": "https://login.microsoft.com", "sameOriginWithAncestors": true,
            } },
        })
    }

    fn changed(pointer: &str, value: Value) -> Result<PageRequest, Failure> {
        let mut request = request();
        *request.pointer_mut(pointer).unwrap() = value;
        PageRequest::parse(&request.to_string(), Cloud::Global)
    }

    #[test]
    fn a_sign_in_pages_request_is_read() {
        let read = PageRequest::parse(&request().to_string(), Cloud::Global).unwrap();
        assert_eq!((read.rp_id.as_str(), read.challenge.as_slice()), ("login.microsoft.com", &[1, 2, 3, 4][..]));
        assert!(read.verification && read.allows("BQYH") && !read.allows("BQYI") && !read.allows(""));
        assert!(changed("/allowCredentials", json!([])).unwrap().allows("BQYI"), "a discoverable one is asked for");
        assert!(changed("/userVerification", json!("preferred")).unwrap().verification);
        assert!(!changed("/userVerification", json!("discouraged")).unwrap().verification);
    }

    #[test]
    fn another_origin_is_refused() {
        let place = "/extensions/remoteDesktopClientOverride/origin";
        for origin in [
            "https://login.microsoft.com.evil.example",
            "https://evil.example",
            "http://login.microsoft.com",
            "https://login.microsoft.com:8443",
            "https://login.microsoft.com/",
            "https://login.microsoft.com/common",
            "https://LOGIN.microsoft.com",
            "https://account.microsoft.com",
            "https://login.microsoftonline.us",
            "null",
            "",
        ] {
            assert!(matches!(changed(place, json!(origin)), Err(Failure::OriginNotAllowed(_))), "{origin}");
        }
        let framed = changed("/extensions/remoteDesktopClientOverride/sameOriginWithAncestors", json!(false));
        assert!(matches!(framed, Err(Failure::OriginNotAllowed(_))), "a frame in another page");
    }

    #[test]
    fn another_relying_party_is_refused() {
        for rp_id in ["microsoft.com", "login.microsoftonline.com", "evil.example", ""] {
            let refused = changed("/rpId", json!(rp_id));
            assert_eq!(refused, Err(Failure::RelyingPartyNotAllowed(rp_id.to_owned())));
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (pointer, value) in [
            ("/challenge", json!("")),
            ("/challenge", json!("!!")),
            ("/challenge", json!(7)),
            ("/allowCredentials", json!([{ "type": "public-key", "id": "!!" }])),
            ("/allowCredentials", json!([{ "type": "other", "id": "BQYH" }])),
            ("/extensions", json!({})),
            ("/extensions", Value::Null),
        ] {
            assert_eq!(changed(pointer, value.clone()), Err(Failure::PasskeyNotAsked), "{pointer} {value}");
        }
        for text in ["", "[]", "null", "{", &"x".repeat(LONGEST + 1)] {
            assert_eq!(PageRequest::parse(text, Cloud::Global), Err(Failure::PasskeyNotAsked));
        }
    }

    proptest! {
        #[test]
        fn nothing_but_a_listed_origin_is_ever_read(origin in "https://[a-z.]{1,30}(/[a-z]{0,4})?|[ -~]{0,40}") {
            let place = "/extensions/remoteDesktopClientOverride/origin";
            let listed = Cloud::Global.hosts().sign_in_hosts.iter().any(|host| format!("https://{host}") == origin);
            if let Ok(read) = changed(place, json!(origin)) {
                prop_assert!(listed && read.origin.to_string() == origin);
            }
        }
    }
}
