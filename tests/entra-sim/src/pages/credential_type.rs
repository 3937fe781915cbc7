//! GetCredentialType: what the page asks between the user name and the credential.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::journal::CredentialTypeAsked;
use super::knobs::PageKnobs;
use super::visit::Visit;
use super::{Pages, Refusal};
use crate::directory::Preferred;

/// Answers the XHR. The transaction's flow token is used up and renewed; a wrong one is answered as an error 6000.
pub(super) async fn ask(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let question: Value = serde_json::from_slice(&visit.body).unwrap_or_default();
    let text = |name: &str| question.get(name).and_then(Value::as_str).unwrap_or_default();
    let (user_name, ctx, posted_token) = (text("username").trim(), text("originalRequest"), text("flowToken"));
    let tenant = pages.memory().transactions.get(ctx).map(|transaction| transaction.tenant.clone());
    let knobs = pages.knobs(tenant.as_deref().unwrap_or("common"))?;
    tokio::time::sleep(Duration::from_millis(knobs.gct_ms)).await;

    let Some(flow_token) = renew_flow_token(pages, visit, ctx, posted_token) else {
        return Ok(Json(json!({
            "error": {"code": "6000", "message": "The flow token or the canary is not that of this page."}
        }))
        .into_response());
    };
    let mut answer = describe(pages, &knobs, user_name);
    pages.note(|journal, at_ms| {
        journal.credential_types.push(CredentialTypeAsked {
            at_ms,
            host: visit.host.clone(),
            user_name: user_name.to_owned(),
            if_exists: answer
                .get("IfExistsResult")
                .and_then(Value::as_i64)
                .and_then(|number| i32::try_from(number).ok())
                .unwrap_or_default(),
            preferred: answer
                .pointer("/Credentials/PrefCredential")
                .and_then(Value::as_u64)
                .and_then(|number| u8::try_from(number).ok())
                .unwrap_or_default(),
        });
    });
    if let Value::Object(members) = &mut answer {
        members.insert("FlowToken".to_owned(), Value::from(flow_token));
    }
    Ok(Json(answer).into_response())
}

/// Uses up the posted flow token and makes the next one; nothing when the question is not from a page just shown.
fn renew_flow_token(pages: &Pages, visit: &Visit, ctx: &str, posted: &str) -> Option<String> {
    let mut memory = pages.memory();
    let transaction = memory.transactions.get_mut(ctx)?;
    let right = visit.is_from_same_origin()
        && visit.header("canary") == Some(transaction.api_canary.as_str())
        && transaction.take_flow_token(posted);
    right.then(|| transaction.renew_flow_token())
}

/// What is known about a user name, in the shape of the answer, without a flow token.
#[must_use]
pub(super) fn describe(pages: &Pages, knobs: &PageKnobs, user_name: &str) -> Value {
    let known = pages.simulation().credential_type(user_name);
    let federation = match &known.preferred {
        Preferred::Federation(address) => Some(format!(
            "{address}?username={}&wa=wsignin1.0&wtrealm=urn%3afederation%3aMicrosoftOnline&wctx=",
            url::form_urlencoded::byte_serialize(user_name.as_bytes()).collect::<String>()
        )),
        Preferred::AccessPass | Preferred::Passkey | Preferred::Password => None,
    };
    let preferred = knobs.pref_credential.unwrap_or(match known.preferred {
        Preferred::Password => 1,
        Preferred::Federation(_) => 4,
        Preferred::Passkey => 7,
        Preferred::AccessPass => 13,
    });
    let exists = knobs.if_exists.unwrap_or(if known.exists { 0 } else { 1 });
    let passkeys = (!known.passkeys.is_empty())
        .then(|| known.passkeys.iter().map(|id| URL_SAFE_NO_PAD.encode(id)).collect::<Vec<_>>());
    let mut credentials = Map::from_iter([
        ("PrefCredential".to_owned(), json!(preferred)),
        ("HasPassword".to_owned(), json!(known.has_password || exists != 0)),
        ("HasAccessPass".to_owned(), json!(known.has_access_pass)),
        ("RemoteNgcParams".to_owned(), Value::Null),
        ("FidoParams".to_owned(), passkeys.map_or(Value::Null, |ids| json!({"AllowList": ids}))),
        ("SasParams".to_owned(), Value::Null),
        ("CertAuthParams".to_owned(), Value::Null),
        ("FederationRedirectUrl".to_owned(), json!(federation)),
    ]);
    if !known.passkeys.is_empty() {
        credentials.insert("HasFido".to_owned(), Value::Bool(true));
    }
    for more in &knobs.extra_credentials {
        credentials.insert(format!("Has{more}"), Value::Bool(true));
    }
    json!({
        "Username": user_name,
        "Display": user_name,
        "IfExistsResult": exists,
        "IsUnmanaged": false,
        "ThrottleStatus": u8::from(exists == 2),
        "Credentials": credentials,
        "EstsProperties": {"UserTenantBranding": null, "DomainType": if federation.is_some() { 4 } else { 3 }},
        "IsSignupDisallowed": true,
    })
}
