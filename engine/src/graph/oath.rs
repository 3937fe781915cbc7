//! The Graph operations on hardware OATH tokens and on the tenant's policy about them. Beta only: Microsoft may change
//! them at any time.
//!
//! Facts: Microsoft Graph beta reference of hardwareOathTokenAuthenticationMethodDevice and
//! hardwareOathAuthenticationMethod; permissions Policy.ReadWrite.AuthenticationMethod (tokens of the tenant) and
//! UserAuthMethod-HardwareOATH.ReadWrite.All (giving them to accounts).

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    Answer, Body, Request,
    operations::{Page, encoded},
};
use crate::oath::{HASH, SECONDS};

/// A token as the directory lists it, among the tenant's or among an account's.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundToken {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) serial_number: Option<String>,
}

/// The tokens of a list.
pub(crate) fn found(answer: Answer) -> Option<Vec<FoundToken>> {
    Page::of(answer)
}

/// Tokens of the tenant, whoever added them.
pub(crate) fn of_tenant() -> Request {
    Request::get(DEVICES.to_owned()).in_beta()
}

/// Tokens of an account.
pub(crate) fn of_account(object_id: Uuid) -> Request {
    Request::get(methods(object_id)).of_authentication_methods().in_beta()
}

/// Adds a token to the tenant. The secret is Base32.
pub(crate) fn add(serial_number: &str, secret: &SecretString) -> Request {
    let body = Body::plain(json!({
        "serialNumber": serial_number, "manufacturer": "Latchkey", "model": "Key store",
        "timeIntervalInSeconds": SECONDS, "hashFunction": HASH,
    }));
    Request::with("POST", DEVICES.to_owned(), Some(body.with_oath_secret(secret.clone()))).in_beta()
}

/// Gives a token to an account, and shows that it works.
pub(crate) fn assign_and_activate(object_id: Uuid, device: &str, code: &SecretString) -> Request {
    let body = json!({ "device": { "id": device }, "verificationCode": code.expose_secret() });
    let path = format!("{}/assignAndActivate", methods(object_id));
    Request::with("POST", path, Some(Body::plain(body))).of_authentication_methods().in_beta()
}

/// Takes a token from an account.
pub(crate) fn unassign(object_id: Uuid, device: &str) -> Request {
    let path = format!("{}/{}", methods(object_id), encoded(device));
    Request::with("DELETE", path, None).of_authentication_methods().in_beta()
}

/// Takes a token that nobody has from the tenant.
pub(crate) fn delete(device: &str) -> Request {
    Request::with("DELETE", format!("{DEVICES}/{}", encoded(device)), None).in_beta()
}

/// The tenant's policy on tokens.
pub(crate) fn policy() -> Request {
    let path = "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/HardwareOath";
    Request::get(path.to_owned()).in_beta()
}

const DEVICES: &str = "/directory/authenticationMethodDevices/hardwareOathDevices";

fn methods(object_id: Uuid) -> String {
    format!("/users/{object_id}/authentication/hardwareOathMethods")
}
