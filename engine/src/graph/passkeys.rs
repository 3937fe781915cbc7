//! The Graph operations on an account's passkeys and on the tenant's policy about them.
//!
//! Facts: Microsoft Graph v1.0 reference of fido2AuthenticationMethod and fido2AuthenticationMethodConfiguration; the
//! creation options hold for five minutes.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Answer, Body, Request,
    operations::{Page, encoded},
};

/// A passkey as the directory lists it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundPasskey {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
}

/// The passkeys of a list.
pub(crate) fn found(answer: Answer) -> Option<Vec<FoundPasskey>> {
    Page::of(answer)
}

/// The passkey of an answer about a single one; `Some(None)`: it is not there.
pub(crate) fn found_one(answer: Answer) -> Option<Option<FoundPasskey>> {
    if answer.status == 404 {
        return Some(None);
    }
    serde_json::from_value(answer.body).ok().map(Some)
}

pub(crate) fn list(object_id: Uuid) -> Request {
    Request::get(methods(object_id)).of_authentication_methods()
}

pub(crate) fn read(object_id: Uuid, passkey: &str) -> Request {
    Request::get(format!("{}/{}", methods(object_id), encoded(passkey))).of_authentication_methods()
}

pub(crate) fn creation_options(object_id: Uuid) -> Request {
    Request::get(format!("{}/creationOptions", methods(object_id))).of_authentication_methods()
}

/// `credential`: what the authenticator made of the creation options.
pub(crate) fn register(object_id: Uuid, display_name: &str, credential: Value) -> Request {
    let body = json!({ "displayName": display_name, "publicKeyCredential": credential });
    Request::with("POST", methods(object_id), Some(Body::plain(body))).of_authentication_methods()
}

pub(super) fn delete(object_id: Uuid, passkey: &str) -> Request {
    let path = format!("{}/{}", methods(object_id), encoded(passkey));
    Request::with("DELETE", path, None).of_authentication_methods()
}

/// The tenant's policy on passkeys.
pub(crate) fn policy() -> Request {
    Request::get("/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/Fido2".to_owned())
}

fn methods(object_id: Uuid) -> String {
    format!("/users/{object_id}/authentication/fido2Methods")
}
