//! Policies and logs: authentication methods, security defaults, Conditional Access, sign-ins.

use serde_json::{Value, json};

use super::query::{Shape, collection, entity};
use super::{Context, GraphError, Handled, Reply, oath, passkeys};
use crate::clock::graph_time;
use crate::directory::{Cloud, Licence, Tenant};

const PLAIN: Shape = Shape {
    context: "policies/authenticationMethodsPolicy",
    usual: &[],
    known: &[],
    directory_object: false,
    deaf: false,
};

pub(super) fn methods_policy(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let mut configurations: Vec<Value> = Vec::new();
    if tenant.cloud != Cloud::China {
        configurations.push(pass_configuration(tenant));
        configurations.push(passkeys::configuration(tenant));
    }
    let policy = json!({
        "id": "authenticationMethodsPolicy",
        "displayName": "Authentication Methods Policy",
        "description": "The tenant-wide policy that controls which authentication methods are allowed.",
        "lastModifiedDateTime": graph_time(context.now),
        "policyVersion": "1.5",
        "authenticationMethodConfigurations": configurations,
    });
    entity(context.call, PLAIN, policy)
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
    let enabled = match body.get("state").and_then(Value::as_str) {
        Some("enabled") => Some(true),
        Some("disabled") => Some(false),
        Some(_) => return Err(GraphError::new(400, "badRequest", "Invalid value for state.")),
        None => None,
    };
    let minutes = |name: &str| body.get(name).and_then(Value::as_u64).and_then(|value| u32::try_from(value).ok());
    match id.to_ascii_lowercase().as_str() {
        "temporaryaccesspass" => {
            let policy = &mut tenant.pass_policy;
            policy.enabled = enabled.unwrap_or(policy.enabled);
            policy.once = body.get("isUsableOnce").and_then(Value::as_bool).unwrap_or(policy.once);
            policy.minimum_minutes = minutes("minimumLifetimeInMinutes").unwrap_or(policy.minimum_minutes);
            policy.maximum_minutes = minutes("maximumLifetimeInMinutes").unwrap_or(policy.maximum_minutes);
            policy.default_minutes = minutes("defaultLifetimeInMinutes").unwrap_or(policy.default_minutes);
            policy.length = minutes("defaultLength").unwrap_or(policy.length).clamp(8, 48);
        }
        "fido2" => tenant.passkey_policy = passkeys::changed_policy(&tenant.passkey_policy, body)?,
        "hardwareoath" if context.call.beta => tenant.oath_policy = oath::changed_policy(&tenant.oath_policy, body)?,
        _ => return Err(GraphError::not_found(id)),
    }
    Ok(Reply::nothing())
}

pub(super) fn security_defaults(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let shape = Shape { context: "policies/identitySecurityDefaultsEnforcementPolicy", ..PLAIN };
    let value = json!({
        "id": "00000000-0000-0000-0000-000000000005",
        "displayName": "Security Defaults",
        "description": "Security defaults are a set of basic identity security mechanisms recommended by Microsoft.",
        "isEnabled": tenant.security_defaults,
    });
    entity(context.call, shape, value)
}

pub(super) fn conditional_access(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let shape = Shape { context: "identity/conditionalAccess/policies", ..PLAIN };
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
    let shape = Shape { context: "auditLogs/signIns", ..PLAIN };
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
