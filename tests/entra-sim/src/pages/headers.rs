//! Response headers of the sign-in pages, as recorded from Microsoft's: framing, caching, transport, and the content
//! security policy whose enforcement was announced for October 2026.

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use base64::Engine as _;
use uuid::Uuid;

use super::knobs::{PageKnobs, Policy};

/// Hosts that the policy lets scripts come from.
const SCRIPT_HOSTS: &str = "https://*.msauth.net https://*.msftauth.net https://*.msftauthimages.net \
     https://*.msauthimages.net https://*.msidentity.com https://*.microsoftonline-p.com \
     https://*.microsoftazuread-sso.com https://*.azureedge.net https://*.outlook.com https://*.office.com \
     https://*.office365.com https://*.microsoft.com https://*.bing.com";

/// Where browsers report violations.
pub(super) const REPORT_PATH: &str = "/report/ESTS-UX-All";

/// A nonce for one response.
#[must_use]
pub(super) fn nonce() -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes())
}

/// Sets one header. Values are made here from checked parts; one that is not a header value is left out.
pub(super) fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

/// Adds a `Set-Cookie`.
pub(super) fn add_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(axum::http::header::SET_COOKIE, value);
    }
}

/// What every page of the sign-in host carries.
pub(super) fn secure(response: &mut Response, knobs: &PageKnobs, nonce: &str) {
    set(response, "cache-control", "no-store, no-cache");
    set(response, "pragma", "no-cache");
    set(response, "expires", "-1");
    set(response, "strict-transport-security", "max-age=31536000; includeSubDomains");
    set(response, "x-content-type-options", "nosniff");
    set(response, "x-xss-protection", "0");
    set(response, "referrer-policy", "strict-origin-when-cross-origin");
    set(response, "x-ms-request-id", &Uuid::new_v4().to_string());
    set(response, "x-ms-ests-server", "2.1.23687.3 - WEULR1 ProdSlices");
    set(response, "link", "<https://aadcdn.msauth.net>; rel=preconnect; crossorigin");
    if !knobs.xfo_off {
        set(response, "x-frame-options", "DENY");
    }
    match knobs.csp {
        Policy::Enforced => set(response, "content-security-policy", &policy(nonce, "")),
        Policy::EnforcedEval => set(response, "content-security-policy", &policy(nonce, " 'unsafe-eval'")),
        Policy::ReportOnly => {
            set(response, "content-security-policy-report-only", &policy(nonce, " 'unsafe-inline' 'unsafe-eval'"))
        }
        Policy::Off => {}
    }
}

fn policy(nonce: &str, more: &str) -> String {
    format!(
        "object-src 'none'; base-uri 'self'; script-src 'self' 'nonce-{nonce}'{more} {SCRIPT_HOSTS} 'report-sample'; \
         report-uri https://csp.microsoft.com{REPORT_PATH}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_policy_is_enforced_and_has_no_unsafe_word() {
        let mut response = Response::default();
        secure(&mut response, &PageKnobs::default(), "abc");
        let sent = response.headers().get("content-security-policy").and_then(|value| value.to_str().ok());
        assert!(sent.is_some_and(|policy| policy.contains("'nonce-abc'") && !policy.contains("unsafe")), "{sent:?}");
        assert_eq!(response.headers().get("x-frame-options").map(HeaderValue::as_bytes), Some(&b"DENY"[..]));
    }
}
