//! App registrations and service principals, read only.

use serde_json::{Value, json};

use super::query::{Shape, collection, entity};
use super::{Context, GraphError, Handled};
use crate::clock::graph_time;
use crate::directory::{Application, Tenant};

const SHAPE: Shape = Shape { context: "applications", usual: &[], known: &[], directory_object: true, deaf: false };

pub(super) fn list(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    collection(context.call, SHAPE, tenant.applications.iter().map(application_json).collect())
}

pub(super) fn get(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let found = find(tenant, key, |application| &application.object_id)?;
    entity(context.call, SHAPE, application_json(found))
}

pub(super) fn service_principals(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let shape = Shape { context: "servicePrincipals", ..SHAPE };
    collection(context.call, shape, tenant.applications.iter().map(principal_json).collect())
}

pub(super) fn service_principal(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let shape = Shape { context: "servicePrincipals", ..SHAPE };
    let found = find(tenant, key, |application| &application.service_principal_id)?;
    entity(context.call, shape, principal_json(found))
}

fn find<'t>(
    tenant: &'t Tenant,
    key: &str,
    id: impl Fn(&Application) -> &String,
) -> Result<&'t Application, GraphError> {
    let by_client = key.strip_prefix("appId=");
    tenant
        .applications
        .iter()
        .find(|application| match by_client {
            Some(client_id) => application.client_id.eq_ignore_ascii_case(client_id),
            None => id(application).eq_ignore_ascii_case(key),
        })
        .ok_or_else(|| GraphError::not_found(key))
}

fn application_json(application: &Application) -> Value {
    let secrets: Vec<Value> = application
        .secrets
        .iter()
        .map(|secret| {
            json!({
                "keyId": secret.id, "endDateTime": graph_time(secret.expires),
                "hint": secret.value.chars().take(3).collect::<String>(), "secretText": null,
            })
        })
        .collect();
    json!({
        "id": application.object_id,
        "appId": application.client_id,
        "displayName": application.display_name,
        "signInAudience": "AzureADMyOrg",
        "passwordCredentials": secrets,
    })
}

fn principal_json(application: &Application) -> Value {
    json!({
        "id": application.service_principal_id,
        "appId": application.client_id,
        "displayName": application.display_name,
        "servicePrincipalType": "Application",
        "accountEnabled": application.enabled,
    })
}
