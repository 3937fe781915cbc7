//! Temporary Access Pass and the other authentication methods as far as they are read.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::query::{Shape, collection, entity};
use super::{Context, GraphError, Handled, Reply, properties};
use crate::clock::graph_time;
use crate::directory::roles::{GLOBAL_ADMINISTRATOR, PRIVILEGED_AUTHENTICATION_ADMINISTRATOR};
use crate::directory::{AccessPass, Cloud, Tenant, new_id};

const SHAPE: Shape = Shape {
    context: "users/authentication/temporaryAccessPassMethods",
    known: properties::ACCESS_PASS,
    ..Shape::PLAIN
};

/// The method id that every password has.
const PASSWORD_METHOD: &str = "28c10230-6103-485e-b985-444c60001490";

pub(super) fn methods(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let user = context.user(tenant, key)?;
    let mut values = vec![json!({
        "@odata.type": "#microsoft.graph.passwordAuthenticationMethod",
        "id": PASSWORD_METHOD,
        "createdDateTime": graph_time(user.password_set),
    })];
    if let Some(pass) = &user.access_pass {
        let mut object = json_of(pass, context.now, tenant.pass_allowed(&user.id), false);
        object["@odata.type"] = json!("#microsoft.graph.temporaryAccessPassAuthenticationMethod");
        values.push(object);
    }
    for passkey in &user.passkeys {
        let mut object = super::passkeys::json_of(passkey);
        object["@odata.type"] = json!("#microsoft.graph.fido2AuthenticationMethod");
        values.push(object);
    }
    collection(context.call, Shape { context: "users/authentication/methods", ..Shape::PLAIN }, values)
}

pub(super) fn password_methods(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let user = context.user(tenant, key)?;
    let value = json!({"id": PASSWORD_METHOD, "createdDateTime": graph_time(user.password_set)});
    let shape =
        Shape { context: "users/authentication/passwordMethods", known: properties::PASSWORD_METHOD, ..Shape::PLAIN };
    collection(context.call, shape, vec![value])
}

pub(super) fn list(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    need_cloud(tenant)?;
    let user = context.user(tenant, key)?;
    let allowed = tenant.pass_allowed(&user.id);
    let values = user.access_pass.iter().map(|pass| json_of(pass, context.now, allowed, false)).collect();
    collection(context.call, SHAPE, values)
}

pub(super) fn get(tenant: &mut Tenant, context: &Context<'_>, key: &str, id: &str) -> Handled {
    need_cloud(tenant)?;
    let user = context.user(tenant, key)?;
    let pass = user.access_pass.as_ref().filter(|pass| pass.id == id).ok_or_else(|| GraphError::not_found(id))?;
    entity(context.call, SHAPE, json_of(pass, context.now, tenant.pass_allowed(&user.id), false))
}

pub(super) fn create(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    need_cloud(tenant)?;
    let user = context.user(tenant, key)?;
    let age = context.moment.saturating_sub(user.created_moment);
    if age < Duration::from_millis(context.knobs.tap_lag_ms) {
        return Err(GraphError::not_found(key));
    }
    if context.knobs.strict_pass_rule && !tenant.roles_of(&user.id, context.now).is_empty() {
        let caller = tenant.roles_of(&context.caller.oid, context.now);
        let enough = [GLOBAL_ADMINISTRATOR, PRIVILEGED_AUTHENTICATION_ADMINISTRATOR];
        if !caller.iter().any(|held| enough.contains(&held.as_str())) {
            return Err(GraphError::new(403, "accessDenied", "Request Authorization failed"));
        }
    }
    if !tenant.pass_allowed(&user.id) {
        return Err(refused(
            "Converged UserCredentialPolicy does not allow creating or updating this authentication method. \
             AuthMethodType [TemporaryAccessPass].",
        ));
    }
    let policy = tenant.pass_policy.clone();
    let empty = serde_json::Map::new();
    let body = context.call.body.as_ref().and_then(Value::as_object).unwrap_or(&empty);
    let lifetime = match body.get("lifetimeInMinutes").filter(|value| !value.is_null()) {
        None => policy.default_minutes,
        Some(value) => value
            .as_u64()
            .and_then(|minutes| u32::try_from(minutes).ok())
            .ok_or_else(|| refused("Invalid value for lifetimeInMinutes."))?,
    };
    if !(10..=43_200).contains(&lifetime) || !(policy.minimum_minutes..=policy.maximum_minutes).contains(&lifetime) {
        return Err(refused(&format!(
            "The lifetime of the Temporary Access Pass must be between {} and {} minutes.",
            policy.minimum_minutes, policy.maximum_minutes
        )));
    }
    let asked = match body.get("isUsableOnce").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => Some(value.as_bool().ok_or_else(|| refused("Invalid value for isUsableOnce."))?),
    };
    let once = match asked {
        Some(false) if policy.once => {
            return Err(refused("The Temporary Access Pass policy requires one-time use."));
        }
        Some(once) => once,
        None => policy.once,
    };
    let start = match body.get("startDateTime").filter(|value| !value.is_null()) {
        None => context.now,
        Some(value) => value
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok())
            .ok_or_else(|| refused("Invalid value for startDateTime."))?,
    };
    if let Some(unknown) = body
        .keys()
        .find(|name| !matches!(name.as_str(), "lifetimeInMinutes" | "isUsableOnce" | "startDateTime" | "@odata.type"))
    {
        return Err(refused(&format!("The property '{unknown}' cannot be set on a Temporary Access Pass.")));
    }
    let pass = AccessPass {
        id: new_id(),
        code: code(policy.length),
        start,
        lifetime_minutes: lifetime,
        once,
        used: false,
        created: context.now,
        created_moment: context.moment,
    };
    let object = json_of(&pass, context.now, true, true);
    let user = context.user_mut(tenant, key)?;
    // One pass per user: a new one takes the place of the old.
    user.access_pass = Some(pass);
    user.changed();
    Ok(Reply::created(object))
}

pub(super) fn delete(tenant: &mut Tenant, context: &Context<'_>, key: &str, id: &str) -> Handled {
    need_cloud(tenant)?;
    let user = context.user_mut(tenant, key)?;
    if user.access_pass.as_ref().is_none_or(|pass| pass.id != id) {
        return Err(GraphError::not_found(id));
    }
    user.access_pass = None;
    user.changed();
    Ok(Reply::nothing())
}

fn json_of(pass: &AccessPass, now: Timestamp, allowed: bool, with_code: bool) -> Value {
    let (usable, reason) = pass.usability(now, allowed);
    json!({
        "id": pass.id,
        "createdDateTime": graph_time(pass.created),
        "startDateTime": graph_time(pass.start),
        "lifetimeInMinutes": pass.lifetime_minutes,
        "isUsableOnce": pass.once,
        "isUsable": usable,
        "methodUsabilityReason": reason,
        "temporaryAccessPass": if with_code { json!(pass.code) } else { Value::Null },
    })
}

/// A code as people see them: letters, digits and punctuation that are hard to confuse.
fn code(length: u32) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789@#$%&*+=?";
    let mut text = String::new();
    while text.len() < length as usize {
        for byte in uuid::Uuid::new_v4().as_bytes() {
            text.push(char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        }
    }
    text.truncate(length as usize);
    text
}

fn need_cloud(tenant: &Tenant) -> Result<(), GraphError> {
    if tenant.cloud == Cloud::China { Err(GraphError::no_such_segment("temporaryAccessPassMethods")) } else { Ok(()) }
}

fn refused(message: &str) -> GraphError {
    GraphError::new(400, "badRequest", message)
}
