//! Policies and logs: authentication methods, security defaults, Conditional Access, sign-ins.

use serde_json::{Value, json};

use super::query::{Shape, collection, entity};
use super::{Context, GraphError, Handled, Reply, oath, passkeys, properties};
use crate::clock::graph_time;
use crate::directory::{Cloud, Licence, PassPolicy, Tenant};

const PLAIN: Shape = Shape { context: "policies/authenticationMethodsPolicy", ..Shape::PLAIN };

pub(super) fn methods_policy(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let configurations = all(tenant);
    let policy = json!({
        "id": "authenticationMethodsPolicy",
        "displayName": "Authentication Methods Policy",
        "description": "The tenant-wide policy that controls which authentication methods are allowed.",
        "lastModifiedDateTime": graph_time(context.now),
        "policyVersion": "1.5",
        "authenticationMethodConfigurations": configurations,
    });
    entity(context.call, Shape { known: properties::METHODS_POLICY, ..PLAIN }, policy)
}

fn all(tenant: &Tenant) -> Vec<Value> {
    match tenant.cloud {
        Cloud::China => Vec::new(),
        _ => vec![pass_configuration(tenant), passkeys::configuration(tenant)],
    }
}

pub(super) fn configurations(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    // The schema knows the configurations one by one.
    context.need(&["Policy.Read.All", "Policy.Read.AuthenticationMethod", "Policy.ReadWrite.AuthenticationMethod"])?;
    collection(context.call, Shape { context: "authenticationMethodConfigurations", ..PLAIN }, all(tenant))
}

pub(super) fn configuration(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let value = match id.to_ascii_lowercase().as_str() {
        _ if tenant.cloud == Cloud::China => return Err(GraphError::not_found(id)),
        "temporaryaccesspass" => pass_configuration(tenant),
        "fido2" => passkeys::configuration(tenant),
        "hardwareoath" if context.call.beta => oath::configuration(tenant),
        _ => return Err(GraphError::not_found(id)),
    };
    let shape = Shape { context: "authenticationMethodConfigurations", ..PLAIN };
    entity(context.call, shape, value)
}

pub(super) fn update_configuration(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let body = context.call.object()?;
    let id = id.to_ascii_lowercase();
    let kind = match id.as_str() {
        "temporaryaccesspass" => "#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration",
        "fido2" => "#microsoft.graph.fido2AuthenticationMethodConfiguration",
        "hardwareoath" => "#microsoft.graph.hardwareOathAuthenticationMethodConfiguration",
        _ => return Err(GraphError::not_found(&id)),
    };
    // Which of the kinds of configuration is meant does not follow from the address.
    if body.get("@odata.type").and_then(Value::as_str) != Some(kind) {
        return Err(refused(&format!("The @odata.type property with the value {kind} must be in the request body.")));
    }
    match id.as_str() {
        "temporaryaccesspass" => tenant.pass_policy = changed_pass_policy(tenant, context)?,
        "fido2" => tenant.passkey_policy = passkeys::changed_policy(&tenant.passkey_policy, body)?,
        "hardwareoath" if context.call.beta => tenant.oath_policy = oath::changed_policy(&tenant.oath_policy, body)?,
        _ => return Err(GraphError::not_found(&id)),
    }
    Ok(Reply::nothing())
}

fn changed_pass_policy(tenant: &Tenant, context: &Context<'_>) -> Result<PassPolicy, GraphError> {
    let body = context.call.object()?;
    context.call.only(&[
        "defaultLength",
        "defaultLifetimeInMinutes",
        "excludeTargets",
        "id",
        "includeTargets",
        "isUsableOnce",
        "maximumLifetimeInMinutes",
        "minimumLifetimeInMinutes",
        "state",
    ])?;
    let mut policy = tenant.pass_policy.clone();
    let number = |name: &str, now: u32| match body.get(name) {
        None => Ok(now),
        Some(value) => value
            .as_u64()
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(|| refused(&format!("Invalid value for {name}."))),
    };
    policy.enabled = match body.get("state").map(Value::as_str) {
        None => policy.enabled,
        Some(Some("enabled")) => true,
        Some(Some("disabled")) => false,
        Some(_) => return Err(refused("Invalid value for state.")),
    };
    policy.once = body.get("isUsableOnce").and_then(Value::as_bool).unwrap_or(policy.once);
    policy.minimum_minutes = number("minimumLifetimeInMinutes", policy.minimum_minutes)?;
    policy.maximum_minutes = number("maximumLifetimeInMinutes", policy.maximum_minutes)?;
    policy.default_minutes = number("defaultLifetimeInMinutes", policy.default_minutes)?;
    policy.length = number("defaultLength", policy.length)?;
    let lifetimes = policy.minimum_minutes..=policy.maximum_minutes;
    let possible = policy.minimum_minutes >= 10
        && policy.maximum_minutes <= 43_200
        && lifetimes.contains(&policy.default_minutes)
        && (8..=48).contains(&policy.length);
    if possible { Ok(policy) } else { Err(refused("A lifetime or the length is out of range.")) }
}

fn refused(message: &str) -> GraphError {
    GraphError::new(400, "badRequest", message)
}

pub(super) fn security_defaults(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let shape = Shape {
        context: "policies/identitySecurityDefaultsEnforcementPolicy",
        known: properties::SECURITY_DEFAULTS,
        ..PLAIN
    };
    let value = json!({
        "id": "00000000-0000-0000-0000-000000000005",
        "displayName": "Security Defaults",
        "description": "Security defaults are a set of basic identity security mechanisms recommended by Microsoft.",
        "isEnabled": tenant.security_defaults,
    });
    entity(context.call, shape, value)
}

pub(super) fn conditional_access(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let shape =
        Shape { context: "identity/conditionalAccess/policies", known: properties::CONDITIONAL_ACCESS, ..PLAIN };
    collection(context.call, shape, tenant.conditional_access.clone())
}

pub(super) fn sign_ins(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    if tenant.licence < Licence::P1 {
        return Err(GraphError::new(
            403,
            "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
            "Neither tenant is B2C or tenant doesn't have premium license",
        ));
    }
    let shape = Shape { context: "auditLogs/signIns", known: properties::SIGN_IN, ..PLAIN };
    let own = context.sign_ins.iter().filter(|record| record.tenant_id.as_deref() == Some(tenant.id.as_str()));
    let values = own
        .map(|record| {
            let user = tenant.user(&record.user_name);
            json!({
                "id": record.id,
                "createdDateTime": record.time,
                "userPrincipalName": record.user_name,
                "userId": user.map(|user| &user.id),
                "userDisplayName": user.map(|user| &user.display_name),
                "isInteractive": true,
                "status": {"errorCode": record.error, "failureReason": if record.error == 0 { "Other." } else { record.reason }},
            })
        })
        .collect();
    collection(context.call, shape, values)
}

fn pass_configuration(tenant: &Tenant) -> Value {
    let policy = &tenant.pass_policy;
    let target = |id: &String| json!({"targetType": "group", "id": id, "isRegistrationRequired": false});
    let include: Vec<Value> = if policy.include_groups.is_empty() {
        vec![json!({"targetType": "group", "id": "all_users", "isRegistrationRequired": false})]
    } else {
        policy.include_groups.iter().map(target).collect()
    };
    let exclude: Vec<Value> = policy.exclude_groups.iter().map(|id| json!({"targetType": "group", "id": id})).collect();
    json!({
        "@odata.type": "#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration",
        "id": "TemporaryAccessPass",
        "state": if policy.enabled { "enabled" } else { "disabled" },
        "defaultLifetimeInMinutes": policy.default_minutes,
        "defaultLength": policy.length,
        "minimumLifetimeInMinutes": policy.minimum_minutes,
        "maximumLifetimeInMinutes": policy.maximum_minutes,
        "isUsableOnce": policy.once,
        "includeTargets": include,
        "excludeTargets": exclude,
    })
}
