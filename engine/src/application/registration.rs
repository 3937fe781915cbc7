//! The application's registration in Microsoft Entra, as Graph shows it: one request each, and how answers are read.
//!
//! Facts: Microsoft Graph v1.0 reference of application, servicePrincipal, appRoleAssignment, keyCredential and
//! passwordCredential.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Certificate, certificate::hexadecimal};
use crate::{
    EngineError, Failure,
    graph::{Answer, Body, Capabilities, Priority, Request, Session, Trouble},
};

/// A registration, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Registration {
    pub(crate) id: Uuid,
    pub(crate) app_id: Uuid,
    #[serde(default)]
    pub(crate) display_name: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    #[serde(default)]
    pub(crate) key_credentials: Vec<Value>,
    #[serde(default)]
    pub(crate) password_credentials: Vec<PasswordCredential>,
    #[serde(default)]
    required_resource_access: Vec<Value>,
}

/// A client secret, without its value.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PasswordCredential {
    pub(crate) key_id: Option<Uuid>,
    /// The first three letters of its value.
    #[serde(default)]
    pub(crate) hint: Option<String>,
    #[serde(default)]
    pub(crate) end_date_time: Option<String>,
}

impl Registration {
    /// Ids of the permissions that the registration asks for.
    pub(crate) fn listed(&self) -> BTreeSet<Uuid> {
        self.required_resource_access
            .iter()
            .flat_map(|resource| resource["resourceAccess"].as_array().into_iter().flatten())
            .filter_map(|access| access["id"].as_str()?.parse().ok())
            .collect()
    }

    /// Microsoft's id of a certificate among the registration's keys, by the SHA-256 of its bytes.
    pub(crate) fn key_id_of(&self, thumbprint: &str) -> Option<Uuid> {
        let found = self.key_credentials.iter().find(|known| {
            let bytes = known["key"].as_str().and_then(of_base64);
            bytes.is_some_and(|bytes| hexadecimal(&Sha256::digest(bytes)) == thumbprint)
        })?;
        found["keyId"].as_str()?.parse().ok()
    }

    /// The secret that a value is of: the one with its first letters, or the only one.
    pub(crate) fn secret_of(&self, value: &SecretString) -> Option<&PasswordCredential> {
        let hint: String = value.expose_secret().chars().take(3).collect();
        let mut fitting = self.password_credentials.iter().filter(|known| known.hint.as_deref() == Some(&hint));
        match (fitting.next(), fitting.next(), self.password_credentials.as_slice()) {
            (Some(one), None, _) | (None, None, [one]) => Some(one),
            _ => None,
        }
    }
}

/// Bytes in either alphabet of Base64, padded or not: Graph's own documents show both.
fn of_base64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=').replace('+', "-").replace('/', "_")).ok()
}

/// What a certificate of ours is called among an application's keys.
fn key_name(certificate: &Certificate) -> String {
    format!("Latchkey {}", certificate.thumbprint.get(..16).unwrap_or_default())
}

/// Whether the application may read registrations.
pub(crate) fn may_read(capabilities: &Capabilities) -> bool {
    ["Application.Read.All", "Directory.Read.All"].iter().any(|name| capabilities.has(name)) || may_write(capabilities)
}

/// Whether the application may change its own registration.
pub(crate) fn may_write(capabilities: &Capabilities) -> bool {
    ["Application.ReadWrite.OwnedBy", "Application.ReadWrite.All"].iter().any(|name| capabilities.has(name))
}

/// A certificate as an entry of `keyCredentials`.
pub(crate) fn key_credential(certificate: &Certificate) -> Value {
    json!({
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
        "key": certificate.base64(),
        "displayName": key_name(certificate),
    })
}

pub(crate) fn find(client_id: Uuid) -> Request {
    Request::get(format!("/applications?$filter=appId%20eq%20'{client_id}'&$select=id,appId,displayName,tags"))
}

/// With the public halves of its certificates, which only this form of the request shows.
pub(crate) fn read(object_id: Uuid) -> Request {
    let members = "id,appId,displayName,keyCredentials,passwordCredentials,requiredResourceAccess";
    Request::get(format!("/applications/{object_id}?$select={members}"))
}

pub(crate) fn add_key(object_id: Uuid, certificate: &Certificate, proof: &SecretString) -> Request {
    let body = json!({
        "keyCredential": key_credential(certificate),
        "passwordCredential": null,
        "proof": proof.expose_secret(),
    });
    Request::with("POST", format!("/applications/{object_id}/addKey"), Some(Body::plain(body)))
}

pub(crate) fn remove_key(object_id: Uuid, key_id: Uuid, proof: &SecretString) -> Request {
    let body = json!({ "keyId": key_id, "proof": proof.expose_secret() });
    Request::with("POST", format!("/applications/{object_id}/removeKey"), Some(Body::plain(body)))
}

/// Replaces the whole list: what is to stay must be in it.
pub(crate) fn set_keys(object_id: Uuid, keys: &[Value]) -> Request {
    let body = json!({ "keyCredentials": keys });
    Request::with("PATCH", format!("/applications/{object_id}"), Some(Body::plain(body)))
}

pub(crate) fn remove_password(object_id: Uuid, key_id: Uuid) -> Request {
    let body = json!({ "keyId": key_id });
    Request::with("POST", format!("/applications/{object_id}/removePassword"), Some(Body::plain(body)))
}

/// The application's own registration in the tenant; `None`: it may not be read, or is in another tenant.
pub(crate) async fn own(session: &Session, client_id: Uuid) -> Result<Option<Registration>, EngineError> {
    let action = "read the application's registration";
    let capabilities = session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
    if !may_read(&capabilities) {
        return Ok(None);
    }
    let found = send(session, &find(client_id), action).await?;
    let Some(found) = found.body["value"].get(0).and_then(|one| one["id"].as_str()?.parse().ok()) else {
        return Ok(None);
    };
    let answer = send(session, &read(found), action).await?;
    serde_json::from_value(answer.body)
        .map(Some)
        .map_err(|error| Failure::Internal(format!("{action}: {error}")).into())
}

/// Sends, and takes nothing but a success.
pub(crate) async fn send(session: &Session, request: &Request, action: &'static str) -> Result<Answer, EngineError> {
    let answer = session.send(request, Priority::High).await.map_err(|trouble| trouble.to_error(action))?;
    if answer.is_success() { Ok(answer) } else { Err(Trouble::of_answer(&answer).to_error(action)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn registration(value: Value) -> Registration {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_secret_is_found_by_its_first_letters_or_because_it_is_the_only_one() {
        let ids: Vec<Uuid> = (1..4).map(Uuid::from_u128).collect();
        let two = registration(json!({ "id": ids[0], "appId": ids[0], "passwordCredentials": [
            { "keyId": ids[1], "hint": "abc" }, { "keyId": ids[2], "hint": "xyz" },
        ] }));
        let of = |value: &str| two.secret_of(&SecretString::from(value)).and_then(|found| found.key_id);
        assert_eq!(of("xyz-and-more"), Some(ids[2]));
        assert_eq!(of("nothing like it"), None);
        let one = registration(json!({ "id": ids[0], "appId": ids[0], "passwordCredentials": [{ "keyId": ids[1] }] }));
        assert_eq!(one.secret_of(&SecretString::from("q")).and_then(|found| found.key_id), Some(ids[1]));
    }

    #[test]
    fn a_certificate_is_found_by_its_bytes() {
        let id = Uuid::from_u128(5);
        let found = registration(json!({ "id": id, "appId": id, "keyCredentials": [
            { "keyId": Uuid::nil(), "key": null }, { "keyId": id, "key": "_-8=" },
        ] }));
        assert_eq!(found.key_id_of(&hexadecimal(&Sha256::digest([0xff, 0xef]))), Some(id));
        assert_eq!(of_base64("/+8="), of_base64("_-8"));
        assert_eq!(found.key_id_of("00"), None);
    }
}
