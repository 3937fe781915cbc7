//! Hardware OATH tokens: added to the tenant, assigned to a user, activated by a code, taken away. Beta only.
//!
//! Facts: Microsoft Graph (beta), `hardwareOathDevices`, `hardwareOathMethods`.

use serde_json::{Map, Value, json};

use super::query::{Shape, collection, entity};
use super::{Context, GraphError, Handled, Reply};
use crate::clock::graph_time;
use crate::directory::oath::{HashFunction, MOST_TOKENS, OathPolicy, OathToken};
use crate::directory::{Cloud, Licence, Tenant, new_id};

const DEVICES: Shape = Shape { context: "directory/authenticationMethodDevices/hardwareOathDevices", ..Shape::PLAIN };
const METHODS: Shape = Shape { context: "users/authentication/hardwareOathMethods", ..DEVICES };

/// Longest secret, in Base32 characters.
const LONGEST_SECRET: usize = 128;

const POLICY: &str = "Policy.ReadWrite.AuthenticationMethod";
const ASSIGN: &str = "UserAuthenticationMethod.ReadWrite.All";
const TOKENS: &str = "UserAuthMethod-HardwareOATH.ReadWrite.All";

/// Everything below `directory/authenticationMethodDevices/hardwareOathDevices`.
pub(super) fn devices(tenant: &mut Tenant, context: &Context<'_>, rest: &[&str]) -> Handled {
    need_beta(tenant, context, "hardwareOathDevices")?;
    match (context.call.method.as_str(), rest) {
        ("GET", []) => {
            context.need(&[POLICY, "Policy.Read.AuthenticationMethod"])?;
            let values = tenant.oath_tokens.iter().map(|token| device(tenant, token)).collect();
            collection(context.call, DEVICES, values)
        }
        ("POST", []) => create(tenant, context),
        ("GET", [id]) => {
            context.need(&[POLICY, "Policy.Read.AuthenticationMethod"])?;
            entity(context.call, DEVICES, device(tenant, find(tenant, id)?))
        }
        ("DELETE", [id]) => {
            context.need(&[POLICY])?;
            if find(tenant, id)?.assigned_to.is_some() {
                return Err(refused("The device is assigned to a user."));
            }
            tenant.oath_tokens.retain(|token| token.id != *id);
            Ok(Reply::nothing())
        }
        _ => Err(GraphError::no_such_segment("hardwareOathDevices")),
    }
}

/// Everything below `users/{id}/authentication/hardwareOathMethods`.
pub(super) fn methods(tenant: &mut Tenant, context: &Context<'_>, key: &str, rest: &[&str]) -> Handled {
    need_beta(tenant, context, "hardwareOathMethods")?;
    context.need(&[TOKENS, ASSIGN])?;
    let user = context.user(tenant, key)?.id.clone();
    let own = |token: &OathToken| token.assigned_to.as_deref() == Some(user.as_str());
    match (context.call.method.as_str(), rest) {
        ("GET", []) => {
            let values = tenant.oath_tokens.iter().filter(|token| own(token)).map(|token| method(tenant, token));
            collection(context.call, METHODS, values.collect())
        }
        ("POST", []) => {
            let id = named_device(context.call.object()?)?;
            assign(tenant, &id, &user)?;
            Ok(Reply::created(method(tenant, find(tenant, &id)?)))
        }
        ("POST", ["assignAndActivate"]) => {
            let body = context.call.object()?;
            let id = named_device(body)?;
            assign(tenant, &id, &user)?;
            let result = activate(tenant, context, &id);
            if result.is_err() {
                release(tenant, &id);
            }
            result
        }
        ("GET", [id]) => entity(context.call, METHODS, method(tenant, owned(tenant, id, &user)?)),
        ("POST", [id, "activate"]) => {
            owned(tenant, id, &user)?;
            activate(tenant, context, id)
        }
        ("POST", [id, "deactivate"]) => {
            owned(tenant, id, &user)?;
            if let Some(token) = tenant.oath_tokens.iter_mut().find(|token| token.id == *id) {
                token.activated = false;
            }
            Ok(Reply::nothing())
        }
        ("DELETE", [id]) => {
            owned(tenant, id, &user)?;
            release(tenant, id);
            Ok(Reply::nothing())
        }
        _ => Err(GraphError::no_such_segment("hardwareOathMethods")),
    }
}

/// The policy as Graph shows it; beta only.
pub(super) fn configuration(tenant: &Tenant) -> Value {
    let mut shown = serde_json::to_value(&tenant.oath_policy).unwrap_or_default();
    shown["@odata.type"] = json!("#microsoft.graph.hardwareOathAuthenticationMethodConfiguration");
    shown["id"] = json!("HardwareOath");
    shown
}

/// The policy with the members of `change` in place of its own.
///
/// # Errors
/// A member that does not exist, or a value that it cannot have.
pub fn changed_policy(policy: &OathPolicy, change: &Map<String, Value>) -> Result<OathPolicy, GraphError> {
    let impossible = |error: serde_json::Error| refused(&format!("The policy cannot be changed so: {error}."));
    let mut whole = serde_json::to_value(policy).map_err(impossible)?;
    for (name, value) in change.iter().filter(|(name, _)| *name != "id" && !name.contains('@')) {
        whole[name.as_str()] = super::passkeys::without_annotations(value);
    }
    serde_json::from_value(whole).map_err(impossible)
}

fn create(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    context.need(&[POLICY])?;
    if tenant.licence < Licence::P1 {
        let message = "Tenant does not have a premium license that hardware OATH tokens need.";
        return Err(GraphError::new(403, "accessDenied", message));
    }
    let body = context.call.object()?;
    let text = |name: &str| context.call.required(name).map(str::to_owned);
    let secret = text("secretKey")?;
    let base32 = |character: u8| character.is_ascii_uppercase() || (b'2'..=b'7').contains(&character);
    if secret.is_empty() || secret.len() > LONGEST_SECRET || !secret.bytes().all(base32) {
        return Err(refused("secretKey must be Base32, 128 characters at most."));
    }
    let interval =
        body.get("timeIntervalInSeconds").and_then(Value::as_u64).filter(|seconds| matches!(seconds, 30 | 60));
    let interval = interval.ok_or_else(|| refused("timeIntervalInSeconds must be 30 or 60."))?;
    let hash = match body.get("hashFunction") {
        None | Some(Value::Null) => HashFunction::default(),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| refused("hashFunction must be hmacsha1 or hmacsha256."))?,
    };
    let serial_number = text("serialNumber")?;
    let (manufacturer, model) = (text("manufacturer")?, text("model")?);
    if tenant.oath_tokens.iter().any(|token| token.serial_number == serial_number && token.manufacturer == manufacturer)
    {
        return Err(refused("A device with this serial number exists already."));
    }
    let user = match body.get("assignTo").filter(|value| !value.is_null()) {
        None => None,
        Some(user) => {
            context.need(&[ASSIGN])?;
            let id = user.get("id").and_then(Value::as_str).ok_or_else(|| refused("assignTo names no user."))?;
            Some(context.user(tenant, id)?.id.clone())
        }
    };
    let id = new_id();
    tenant.oath_tokens.push(OathToken {
        id: id.clone(),
        serial_number,
        manufacturer,
        model,
        display_name: body.get("displayName").and_then(Value::as_str).map(str::to_owned),
        secret,
        interval,
        hash,
        assigned_to: None,
        activated: false,
        last_step: None,
        last_used: None,
        created: context.now,
    });
    if let Some(user) = user
        && let Err(error) = assign(tenant, &id, &user)
    {
        tenant.oath_tokens.retain(|token| token.id != id);
        return Err(error);
    }
    Ok(Reply::created(device(tenant, find(tenant, &id)?)))
}

fn assign(tenant: &mut Tenant, id: &str, user: &str) -> Result<(), GraphError> {
    if !tenant.tokens_allowed(user) {
        return Err(refused(
            "Converged UserCredentialPolicy does not allow creating or updating this authentication method. \
             AuthMethodType [HardwareOath].",
        ));
    }
    if find(tenant, id)?.assigned_to.is_some() {
        return Err(refused("The device is assigned to a user."));
    }
    let held = tenant.oath_tokens.iter().filter(|token| token.assigned_to.as_deref() == Some(user)).count();
    if held >= MOST_TOKENS {
        return Err(refused("A user can have 5 OATH tokens."));
    }
    if let Some(token) = tenant.oath_tokens.iter_mut().find(|token| token.id == id) {
        token.assigned_to = Some(user.to_owned());
    }
    Ok(())
}

fn activate(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let code = context.call.required("verificationCode")?;
    let skew = context.knobs.oath_skew_steps;
    let token = tenant.oath_tokens.iter_mut().find(|token| token.id == id);
    if token.is_some_and(|token| {
        token.activated = token.take(code, context.now, skew);
        token.activated
    }) {
        Ok(Reply::nothing())
    } else {
        Err(refused("The verification code is wrong."))
    }
}

fn release(tenant: &mut Tenant, id: &str) {
    if let Some(token) = tenant.oath_tokens.iter_mut().find(|token| token.id == id) {
        token.assigned_to = None;
        token.activated = false;
    }
}

fn named_device(body: &Map<String, Value>) -> Result<String, GraphError> {
    let id = body.get("device").and_then(|device| device.get("id")).and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| refused("A value is required for property 'device'."))
}

fn find<'t>(tenant: &'t Tenant, id: &str) -> Result<&'t OathToken, GraphError> {
    tenant.oath_tokens.iter().find(|token| token.id == id).ok_or_else(|| GraphError::not_found(id))
}

fn owned<'t>(tenant: &'t Tenant, id: &str, user: &str) -> Result<&'t OathToken, GraphError> {
    find(tenant, id)
        .ok()
        .filter(|token| token.assigned_to.as_deref() == Some(user))
        .ok_or_else(|| GraphError::not_found(id))
}

fn device(tenant: &Tenant, token: &OathToken) -> Value {
    let user = token.assigned_to.as_ref().and_then(|id| tenant.users.get(id));
    json!({
        "id": token.id,
        "displayName": token.display_name,
        "serialNumber": token.serial_number,
        "manufacturer": token.manufacturer,
        "model": token.model,
        "secretKey": Value::Null,
        "timeIntervalInSeconds": token.interval,
        "hashFunction": token.hash,
        "status": match (&token.assigned_to, token.activated) {
            (None, _) => "available",
            (Some(_), false) => "assigned",
            (Some(_), true) => "activated",
        },
        "lastUsedDateTime": token.last_used.map(graph_time),
        "assignedTo": user.map(|user| json!({"id": user.id, "displayName": user.display_name})),
    })
}

fn method(tenant: &Tenant, token: &OathToken) -> Value {
    json!({"id": token.id, "createdDateTime": graph_time(token.created), "device": device(tenant, token)})
}

fn need_beta(tenant: &Tenant, context: &Context<'_>, segment: &str) -> Result<(), GraphError> {
    if context.call.beta && tenant.cloud == Cloud::Global { Ok(()) } else { Err(GraphError::no_such_segment(segment)) }
}

fn refused(message: &str) -> GraphError {
    GraphError::new(400, "badRequest", message)
}
