//! App registrations, service principals, and what is granted to them.
//!
//! A registration and its service principal in the same tenant are one [`Application`]; a multi-tenant application of
//! another tenant is a service principal only. A secret is shown once. Facts: Microsoft Graph, application,
//! servicePrincipal and appRoleAssignment; the permissions an operation wants are checked before anything here runs.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::query::{Query, Rules, Shape, collection, entity};
use super::{Context, GraphError, Handled, Reply, permissions, properties};
use crate::assertion::{When, check_proof, read_certificate};
use crate::clock::graph_time;
use crate::directory::seed::{assignment_id, random_secret};
use crate::directory::{Application, ApplicationKey, ApplicationSecret, Tenant, new_id};

const APPLICATIONS: Shape = Shape {
    context: "applications",
    known: properties::APPLICATION,
    directory_object: true,
    rules: Rules {
        resource: "Application",
        unfilterable: &["keyCredentials", "passwordCredentials", "requiredResourceAccess"],
        sortable_advanced: &["createdDateTime", "deletedDateTime", "displayName"],
        ..Rules::NONE
    },
    ..Shape::PLAIN
};
const PRINCIPALS: Shape = Shape { context: "servicePrincipals", known: properties::SERVICE_PRINCIPAL, ..APPLICATIONS };
const GRANTS: Shape = Shape { context: "appRoleAssignments", known: properties::APP_ROLE_ASSIGNMENT, ..Shape::PLAIN };
/// How long a secret lives when nobody says.
const USUAL_SECRET: Duration = Duration::from_secs(2 * 365 * 24 * 3600);

pub(super) fn list(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let known =
        tenant.applications.iter().filter(|known| known.registered && arrived(context, known.registered_moment));
    collection(context.call, APPLICATIONS, known.map(|known| application_json(known, false)).collect())
}

pub(super) fn create(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let body = context.call.object()?;
    context.call.required("displayName")?;
    let mut made = Application {
        client_id: new_id(),
        object_id: new_id(),
        enabled: true,
        registered: true,
        created: context.now,
        registered_moment: Some(context.moment),
        owners: std::iter::once(context.caller.oid.clone()).collect(),
        ..Application::default()
    };
    change(&mut made, body, context)?;
    let shown = application_json(&made, false);
    tenant.applications.push(made);
    created(context, APPLICATIONS, shown)
}

pub(super) fn get(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    // The certificates themselves are shown only when they are asked for by name.
    let with_keys =
        context.call.query.iter().any(|(name, value)| name == "$select" && value.contains("keyCredentials"));
    let shown = application_json(registration(tenant, context, key)?, with_keys);
    entity(context.call, APPLICATIONS, shown)
}

pub(super) fn update(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let body = context.call.object()?;
    let application = registration_mut(tenant, context, key)?;
    let mut changed = application.clone();
    change(&mut changed, body, context)?;
    *application = changed;
    Ok(Reply::nothing())
}

pub(super) fn delete(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let application = registration_mut(tenant, context, key)?;
    let (client_id, principal) = (application.client_id.clone(), application.service_principal_id.clone());
    tenant.applications.retain(|known| known.client_id != client_id);
    tenant.assignments.retain(|assignment| assignment.principal != principal);
    Ok(Reply::nothing())
}

pub(super) fn add_password(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let body = context.call.object()?;
    let asked = body.get("passwordCredential").cloned().unwrap_or(Value::Null);
    let start = time(&asked, "startDateTime")?.unwrap_or(context.now);
    let usual_end = start.checked_add(USUAL_SECRET).unwrap_or(Timestamp::MAX);
    let secret = ApplicationSecret {
        id: new_id(),
        value: random_secret(),
        display_name: asked.get("displayName").and_then(Value::as_str).map(str::to_owned),
        start,
        expires: time(&asked, "endDateTime")?.unwrap_or(usual_end),
        added: Some(context.moment),
    };
    let mut shown = secret_json(&secret);
    shown["secretText"] = json!(secret.value);
    registration_mut(tenant, context, key)?.secrets.push(secret);
    Ok(Reply::ok(with_context(context, "microsoft.graph.passwordCredential", shown)))
}

pub(super) fn remove_password(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let id = context.call.required("keyId")?;
    let application = registration_mut(tenant, context, key)?;
    let before = application.secrets.len();
    application.secrets.retain(|secret| !secret.id.eq_ignore_ascii_case(id));
    if application.secrets.len() == before { Err(no_credential(id)) } else { Ok(Reply::nothing()) }
}

pub(super) fn add_key(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let body = context.call.object()?;
    let application = registration_mut(tenant, context, key)?;
    check_possession(application, context)?;
    let made = key_of(body.get("keyCredential").unwrap_or(&Value::Null), context)?;
    let shown = key_json(&made, true);
    application.keys.push(made);
    Ok(Reply::ok(with_context(context, "microsoft.graph.keyCredential", shown)))
}

pub(super) fn remove_key(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let id = context.call.required("keyId")?;
    let application = registration_mut(tenant, context, key)?;
    check_possession(application, context)?;
    let before = application.keys.len();
    application.keys.retain(|known| !known.id.eq_ignore_ascii_case(id));
    if application.keys.len() == before { Err(no_credential(id)) } else { Ok(Reply::nothing()) }
}

/// Whether the caller is this application itself, which may roll its own keys without a permission.
pub(super) fn is_own(tenant: &Tenant, context: &Context<'_>, key: &str) -> bool {
    !context.caller.is_delegated()
        && tenant
            .application(&context.caller.appid)
            .is_some_and(|own| own.registered && own.object_id.eq_ignore_ascii_case(key))
}

pub(super) fn principals(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let home = tenant.id.clone();
    let own = tenant.applications.iter().filter(|known| known.principal && arrived(context, known.principal_moment));
    let mut shown: Vec<Value> = own.map(|known| principal_json(known, &home)).collect();
    shown.push(permissions::principal_json(tenant));
    collection(context.call, PRINCIPALS, shown)
}

pub(super) fn create_principal(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let client_id = context.call.required("appId")?.to_owned();
    if client_id.eq_ignore_ascii_case(permissions::GRAPH_APP)
        || tenant.application(&client_id).is_some_and(|known| known.principal)
    {
        return Err(GraphError::new(
            409,
            "Request_MultipleObjectsWithSameKeyValue",
            "The service principal cannot be created, updated, or restored because the service principal name is \
             already in use.",
        ));
    }
    if tenant.application(&client_id).is_none() {
        let published = context.published.ok_or_else(|| {
            GraphError::new(
                400,
                "NoBackingApplicationObject",
                format!(
                    "The appId '{client_id}' of the service principal does not reference a valid application object."
                ),
            )
        })?;
        tenant.applications.push(Application {
            client_id: published.client_id.clone(),
            display_name: published.display_name.clone(),
            audience: published.audience,
            public_client: published.public_client,
            created: context.now,
            ..Application::default()
        });
    }
    let home = tenant.id.clone();
    let known = tenant.applications.iter_mut().find(|known| known.client_id.eq_ignore_ascii_case(&client_id));
    let application = known.ok_or_else(|| GraphError::not_found(&client_id))?;
    if application.registered && !arrived(context, application.registered_moment) {
        return Err(GraphError::new(
            400,
            "NoBackingApplicationObject",
            format!("The appId '{client_id}' of the service principal does not reference a valid application object."),
        ));
    }
    install(application, context.moment);
    application.principal_attributes = context
        .call
        .object()?
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "tags" | "notes" | "description" | "appRoleAssignmentRequired"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let shown = principal_json(application, &home);
    created(context, PRINCIPALS, shown)
}

/// Gives an application its service principal.
pub fn install(application: &mut Application, moment: crate::clock::Moment) {
    application.service_principal_id = new_id();
    application.principal = true;
    application.principal_moment = Some(moment);
    application.enabled = true;
}

pub(super) fn principal(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let home = tenant.id.clone();
    let shown = if is_graph(tenant, key) {
        permissions::principal_json(tenant)
    } else {
        principal_json(principal_of(tenant, context, key)?, &home)
    };
    entity(context.call, PRINCIPALS, shown)
}

pub(super) fn update_principal(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let body = context.call.object()?;
    let id = principal_of(tenant, context, key)?.client_id.clone();
    let Some(application) = tenant.applications.iter_mut().find(|known| known.client_id == id) else {
        return Err(GraphError::not_found(key));
    };
    for (name, value) in body {
        match name.as_str() {
            "accountEnabled" => application.enabled = value.as_bool().unwrap_or(application.enabled),
            "tags" | "notes" | "description" | "appRoleAssignmentRequired" => {
                application.principal_attributes.insert(name.clone(), value.clone());
            }
            other => return Err(GraphError::bad_request(format!("Property '{other}' cannot be set here."))),
        }
    }
    Ok(Reply::nothing())
}

pub(super) fn delete_principal(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let id = principal_of(tenant, context, key)?.client_id.clone();
    let mut removed = None;
    for application in tenant.applications.iter_mut().filter(|known| known.client_id == id) {
        removed = Some(std::mem::take(&mut application.service_principal_id));
        application.principal = false;
        application.permissions.clear();
        application.delegated.clear();
        application.delegated_by.clear();
    }
    tenant.applications.retain(|known| known.client_id != id || known.registered);
    tenant.assignments.retain(|assignment| Some(&assignment.principal) != removed.as_ref());
    Ok(Reply::nothing())
}

/// Grants that a service principal has (`appRoleAssignments`), or that it gave (`appRoleAssignedTo`).
pub(super) fn grants(tenant: &mut Tenant, context: &Context<'_>, key: &str, given: bool) -> Handled {
    let shown = if given {
        if is_graph(tenant, key) {
            tenant.applications.iter().flat_map(|known| grants_of(tenant, known)).collect()
        } else {
            principal_of(tenant, context, key)?;
            Vec::new()
        }
    } else if is_graph(tenant, key) {
        Vec::new()
    } else {
        grants_of(tenant, principal_of(tenant, context, key)?)
    };
    collection(context.call, GRANTS, shown)
}

pub(super) fn grant(tenant: &mut Tenant, context: &Context<'_>, key: &str, given: bool) -> Handled {
    let call = context.call;
    let (principal, resource) = (call.required("principalId")?, call.required("resourceId")?);
    let role = call.required("appRoleId")?;
    let named = if given { resource } else { principal };
    if !named.eq_ignore_ascii_case(key) {
        return Err(GraphError::bad_request("The identifier in the address and the one in the body do not agree."));
    }
    if !is_graph(tenant, resource) {
        return Err(GraphError::not_found(resource));
    }
    let client_id = principal_of(tenant, context, principal)?.client_id.clone();
    let name = permissions::name_of(role).ok_or_else(|| {
        GraphError::bad_request("Permission being assigned was not found on application 'Microsoft Graph'.")
    })?;
    let application = tenant.applications.iter_mut().find(|known| known.client_id == client_id);
    if !application.is_some_and(|application| application.permissions.insert(name.to_owned())) {
        return Err(GraphError::new(400, "InvalidUpdate", "Permission being assigned already exists on the object."));
    }
    let granted = tenant.application(&client_id).map(|known| grant_json(tenant, known, name));
    created(context, GRANTS, granted.unwrap_or_default())
}

pub(super) fn revoke(tenant: &mut Tenant, context: &Context<'_>, key: &str, id: &str) -> Handled {
    if !is_graph(tenant, key) {
        principal_of(tenant, context, key)?;
    }
    let found = tenant.applications.iter().find_map(|known| {
        let name = known.permissions.iter().find(|name| grant_id(tenant, known, name) == id)?;
        Some((known.client_id.clone(), name.clone()))
    });
    let (client_id, name) = found.ok_or_else(|| GraphError::not_found(id))?;
    for application in tenant.applications.iter_mut().filter(|known| known.client_id == client_id) {
        application.permissions.remove(&name);
    }
    Ok(Reply::nothing())
}

/// Delegated permissions that were granted, for everybody and person by person.
pub(super) fn delegated_grants(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let resource = permissions::principal_id(tenant);
    let shape = Shape { context: "oauth2PermissionGrants", known: properties::DELEGATED_GRANT, ..GRANTS };
    let mut shown = Vec::new();
    for application in tenant.applications.iter().filter(|known| known.principal) {
        let client = &application.service_principal_id;
        let words = |scopes: &std::collections::BTreeSet<String>| scopes.iter().cloned().collect::<Vec<_>>().join(" ");
        if !application.delegated.is_empty() {
            shown.push(json!({
                "id": assignment_id(client, &resource, "all"), "clientId": client, "consentType": "AllPrincipals",
                "principalId": null, "resourceId": resource, "scope": words(&application.delegated),
            }));
        }
        for (person, scopes) in &application.delegated_by {
            shown.push(json!({
                "id": assignment_id(client, &resource, person), "clientId": client, "consentType": "Principal",
                "principalId": person, "resourceId": resource, "scope": words(scopes),
            }));
        }
    }
    collection(context.call, shape, shown)
}

fn arrived(context: &Context<'_>, made: Option<crate::clock::Moment>) -> bool {
    made.is_none_or(|made| context.arrived(made))
}

fn is_graph(tenant: &Tenant, key: &str) -> bool {
    let by_client = key.strip_prefix("appId=");
    by_client.is_some_and(|id| id.eq_ignore_ascii_case(permissions::GRAPH_APP))
        || permissions::principal_id(tenant).eq_ignore_ascii_case(key)
}

fn position(tenant: &Tenant, context: &Context<'_>, key: &str) -> Result<usize, GraphError> {
    let by_client = key.strip_prefix("appId=");
    let owned_only = context.knobs.permissions
        && !context.caller.is_delegated()
        && context.caller.granted.contains("Application.ReadWrite.OwnedBy")
        && !context.caller.granted.contains("Application.ReadWrite.All")
        && context.call.method != "GET";
    let position = tenant
        .applications
        .iter()
        .position(|known| {
            known.registered
                && arrived(context, known.registered_moment)
                && match by_client {
                    Some(client_id) => known.client_id.eq_ignore_ascii_case(client_id),
                    None => known.object_id.eq_ignore_ascii_case(key),
                }
        })
        .ok_or_else(|| GraphError::not_found(key))?;
    let application = &tenant.applications[position];
    let owner = application.owners.contains(&context.caller.oid) || application.client_id == context.caller.appid;
    if owned_only && !owner { Err(GraphError::denied()) } else { Ok(position) }
}

fn registration<'t>(tenant: &'t Tenant, context: &Context<'_>, key: &str) -> Result<&'t Application, GraphError> {
    let position = position(tenant, context, key)?;
    Ok(&tenant.applications[position])
}

fn registration_mut<'t>(
    tenant: &'t mut Tenant,
    context: &Context<'_>,
    key: &str,
) -> Result<&'t mut Application, GraphError> {
    let position = position(tenant, context, key)?;
    Ok(&mut tenant.applications[position])
}

fn principal_of<'t>(tenant: &'t Tenant, context: &Context<'_>, key: &str) -> Result<&'t Application, GraphError> {
    let by_client = key.strip_prefix("appId=");
    tenant
        .applications
        .iter()
        .filter(|known| known.principal && arrived(context, known.principal_moment))
        .find(|known| match by_client {
            Some(client_id) => known.client_id.eq_ignore_ascii_case(client_id),
            None => known.service_principal_id.eq_ignore_ascii_case(key),
        })
        .ok_or_else(|| GraphError::not_found(key))
}

/// Applies a POST or PATCH body to a registration.
fn change(application: &mut Application, body: &Map<String, Value>, context: &Context<'_>) -> Result<(), GraphError> {
    let invalid = |name: &str| {
        GraphError::bad_request(format!("Invalid value specified for property '{name}' of resource 'Application'."))
    };
    for (name, value) in body {
        match name.as_str() {
            "@odata.type" => {}
            "displayName" => {
                application.display_name =
                    value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| invalid(name))?.to_owned();
            }
            "signInAudience" => {
                application.audience = serde_json::from_value(value.clone()).map_err(|_| invalid(name))?;
            }
            "isFallbackPublicClient" => application.public_client = value.as_bool().unwrap_or(false),
            "publicClient" => application.public_redirects = redirects(value),
            "web" => application.web_redirects = redirects(value),
            "requiredResourceAccess" => {
                application.required_access = value.as_array().ok_or_else(|| invalid(name))?.clone();
            }
            "keyCredentials" => {
                // The list replaces the one before; what is in it without its certificate is kept by its id.
                let wanted = value.as_array().ok_or_else(|| invalid(name))?;
                let mut keys = Vec::new();
                for entry in wanted {
                    let id = entry.get("keyId").and_then(Value::as_str).unwrap_or_default();
                    let known = application.keys.iter().find(|known| known.id.eq_ignore_ascii_case(id));
                    match (entry.get("key").filter(|key| !key.is_null()), known) {
                        (None, Some(known)) => keys.push(known.clone()),
                        (Some(_), Some(known)) => {
                            let mut again = key_of(entry, context)?;
                            again.id.clone_from(&known.id);
                            again.added = known.added.filter(|_| again.sha256 == known.sha256);
                            keys.push(again);
                        }
                        (_, None) => keys.push(key_of(entry, context)?),
                    }
                }
                application.keys = keys;
            }
            "passwordCredentials" if value.as_array().is_some_and(Vec::is_empty) => application.secrets.clear(),
            "passwordCredentials" => return Err(invalid(name)),
            "id" | "appId" | "createdDateTime" | "deletedDateTime" | "publisherDomain" => {
                return Err(GraphError::bad_request(format!("Property '{name}' is read-only and cannot be set.")));
            }
            _ => {
                application.attributes.insert(name.clone(), value.clone());
            }
        }
    }
    application.public_client |= !application.public_redirects.is_empty();
    Ok(())
}

fn redirects(value: &Value) -> Vec<String> {
    let listed = value.get("redirectUris").and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A certificate as a `keyCredential` gives it.
fn key_of(given: &Value, context: &Context<'_>) -> Result<ApplicationKey, GraphError> {
    let text = |name: &str| given.get(name).and_then(Value::as_str);
    if text("type") != Some("AsymmetricX509Cert") || text("usage") != Some("Verify") {
        return Err(GraphError::bad_request(
            "A certificate needs the type 'AsymmetricX509Cert' and the usage 'Verify'.",
        ));
    }
    let key = text("key").unwrap_or_default();
    let der = STANDARD.decode(key).or_else(|_| URL_SAFE_NO_PAD.decode(key.trim_end_matches('=')));
    let mut made = der.ok().and_then(|der| read_certificate(&der, Some(context.moment)).ok()).ok_or_else(|| {
        GraphError::new(400, "KeyCredentialsInvalidValue", "Key credential must have a valid certificate value.")
    })?;
    if let Some(name) = text("displayName") {
        made.display_name = Some(name.to_owned());
    }
    let end = time(given, "endDateTime")?.unwrap_or(made.expires);
    if end > made.expires || end <= context.now {
        return Err(GraphError::new(400, "KeyCredentialsInvalidEndDate", "Key credential end date is invalid."));
    }
    made.expires = end;
    made.start = time(given, "startDateTime")?.unwrap_or(made.start).max(made.start);
    Ok(made)
}

fn check_possession(application: &Application, context: &Context<'_>) -> Result<(), GraphError> {
    let proof = context.call.required("proof")?;
    let when =
        When { now: context.now, moment: context.moment, lag: Duration::from_millis(context.knobs.create_lag_ms) };
    check_proof(proof, application, when).map_err(|error| {
        GraphError::new(
            400,
            "Authentication_MissingOrMalformed",
            format!("The proof of possession is not valid: {}", error.message()),
        )
    })
}

fn no_credential(id: &str) -> GraphError {
    GraphError::bad_request(format!("No credentials found to be removed with keyId '{id}'."))
}

fn time(given: &Value, name: &str) -> Result<Option<Timestamp>, GraphError> {
    match given.get(name).and_then(Value::as_str) {
        None => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|_| GraphError::bad_request(format!("Invalid value for '{name}'.")))
        }
    }
}

fn created(context: &Context<'_>, shape: Shape, object: Value) -> Handled {
    let reply = Query::default().entity(context.call, shape, object);
    Ok(Reply { status: 201, ..reply })
}

fn with_context(context: &Context<'_>, kind: &str, mut object: Value) -> Value {
    object["@odata.context"] = json!(format!("{}/$metadata#{kind}", context.call.base));
    object
}

fn application_json(application: &Application, with_keys: bool) -> Value {
    let mut shown = json!({
        "id": application.object_id,
        "appId": application.client_id,
        "displayName": application.display_name,
        "createdDateTime": graph_time(application.created),
        "signInAudience": application.audience,
        "isFallbackPublicClient": application.public_client,
        "publicClient": {"redirectUris": application.public_redirects},
        "web": {"redirectUris": application.web_redirects},
        "requiredResourceAccess": application.required_access,
        "passwordCredentials": application.secrets.iter().map(secret_json).collect::<Vec<_>>(),
        "keyCredentials": application.keys.iter().map(|key| key_json(key, with_keys)).collect::<Vec<_>>(),
    });
    if let Some(members) = shown.as_object_mut() {
        members.extend(application.attributes.clone());
    }
    shown
}

fn secret_json(secret: &ApplicationSecret) -> Value {
    json!({
        "keyId": secret.id,
        "displayName": secret.display_name,
        "startDateTime": graph_time(secret.start),
        "endDateTime": graph_time(secret.expires),
        "hint": secret.value.chars().take(3).collect::<String>(),
        "secretText": null,
    })
}

fn key_json(key: &ApplicationKey, with_certificate: bool) -> Value {
    let thumbprint: String = key.sha1.iter().map(|byte| format!("{byte:02X}")).collect();
    json!({
        "keyId": key.id,
        "customKeyIdentifier": STANDARD.encode(thumbprint).replace('+', "-").replace('/', "_"),
        "displayName": key.display_name,
        "startDateTime": graph_time(key.start),
        "endDateTime": graph_time(key.expires),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
        "key": with_certificate.then(|| STANDARD.encode(&key.certificate).replace('+', "-").replace('/', "_")),
    })
}

fn principal_json(application: &Application, home: &str) -> Value {
    let mut shown = json!({
        "id": application.service_principal_id,
        "appId": application.client_id,
        "displayName": application.display_name,
        "appDisplayName": application.display_name,
        "servicePrincipalType": "Application",
        "accountEnabled": application.enabled,
        "appOwnerOrganizationId": application.registered.then_some(home),
        "servicePrincipalNames": [application.client_id],
        "signInAudience": application.audience,
    });
    if let Some(members) = shown.as_object_mut() {
        members.extend(application.principal_attributes.clone());
    }
    shown
}

fn grants_of(tenant: &Tenant, application: &Application) -> Vec<Value> {
    if !application.principal {
        return Vec::new();
    }
    application.permissions.iter().map(|name| grant_json(tenant, application, name)).collect()
}

fn grant_id(tenant: &Tenant, application: &Application, name: &str) -> String {
    let role = permissions::id_of(name).unwrap_or_default();
    assignment_id(role, &application.service_principal_id, &permissions::principal_id(tenant))
}

fn grant_json(tenant: &Tenant, application: &Application, name: &str) -> Value {
    json!({
        "id": grant_id(tenant, application, name),
        "appRoleId": permissions::id_of(name),
        "createdDateTime": graph_time(application.created),
        "principalDisplayName": application.display_name,
        "principalId": application.service_principal_id,
        "principalType": "ServicePrincipal",
        "resourceDisplayName": "Microsoft Graph",
        "resourceId": permissions::principal_id(tenant),
    })
}
