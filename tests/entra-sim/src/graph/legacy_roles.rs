//! The legacy role API over the same assignments: only roles activated in the tenant are there.

use serde_json::{Value, json};

use super::query::{Shape, collection, entity};
use super::{Context, GraphError, Handled, Reply, properties};
use crate::directory::seed::assignment_id;
use crate::directory::{RoleAssignment, Tenant, new_id, roles};

const SHAPE: Shape = Shape { context: "directoryRoles", known: properties::DIRECTORY_ROLE, ..Shape::PLAIN };

pub(super) fn templates(context: &Context<'_>) -> Handled {
    let shape = Shape { context: "directoryRoleTemplates", known: properties::DIRECTORY_ROLE_TEMPLATE, ..SHAPE };
    let values = roles::BUILT_IN
        .iter()
        .map(|role| json!({"id": role.id, "displayName": role.name, "description": format!("The built-in role {}.", role.name)}))
        .collect();
    collection(context.call, shape, values)
}

pub(super) fn list(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let values = tenant.activated_roles.keys().map(|template| json_of(tenant, template)).collect();
    collection(context.call, SHAPE, values)
}

pub(super) fn get(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let template = template_of(tenant, key)?;
    entity(context.call, SHAPE, json_of(tenant, &template))
}

pub(super) fn activate(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    context.call.only(&["roleTemplateId"])?;
    let template = context.call.required("roleTemplateId")?.to_ascii_lowercase();
    if roles::by_id(&template).is_none() {
        return Err(GraphError::not_found(&template));
    }
    if tenant.activated_roles.contains_key(&template) {
        return Err(GraphError::bad_request(
            "A conflicting object with one or more of the specified property values is present in the directory.",
        ));
    }
    tenant.activated_roles.insert(template.clone(), new_id());
    Ok(Reply::created(json_of(tenant, &template)))
}

pub(super) fn members(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let template = template_of(tenant, key)?;
    let values = tenant
        .assignments
        .iter()
        .filter(|assignment| assignment.role == template && assignment.active(context.now))
        .filter_map(|assignment| tenant.users.get(&assignment.principal))
        .map(|user| {
            let mut object = super::users::json_of(user);
            object["@odata.type"] = json!("#microsoft.graph.user");
            object
        })
        .collect();
    let shape = Shape { context: "directoryObjects", known: properties::USER, ..Shape::PLAIN };
    collection(context.call, shape, values)
}

pub(super) fn add_member(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let template = template_of(tenant, key)?;
    let principal = referenced(context)?;
    super::roles::check_principal(tenant, context, &principal)?;
    let held = tenant
        .assignments
        .iter()
        .any(|known| known.role == template && known.principal == principal && known.scope == "/");
    if held {
        return Err(GraphError::bad_request(
            "One or more added object references already exist for the following modified properties: 'members'.",
        ));
    }
    tenant.assignments.push(RoleAssignment {
        id: assignment_id(&template, &principal, "/"),
        role: template,
        principal,
        scope: "/".to_owned(),
        schedule: None,
    });
    Ok(Reply::nothing())
}

pub(super) fn remove_member(tenant: &mut Tenant, context: &Context<'_>, key: &str, member: &str) -> Handled {
    let template = template_of(tenant, key)?;
    let member = member.to_ascii_lowercase();
    let position = tenant
        .assignments
        .iter()
        .position(|known| known.role == template && known.principal == member && known.scope == "/")
        .ok_or_else(|| GraphError::not_found(&member))?;
    tenant.assignments.remove(position);
    super::roles::note_end(tenant, &member, context);
    Ok(Reply::nothing())
}

/// The object id that stands in `@odata.id`.
pub(super) fn referenced(context: &Context<'_>) -> Result<String, GraphError> {
    context.call.only(&["@odata.id"])?;
    id_in(context, context.call.required("@odata.id")?)
}

/// The object id in an address below this Graph.
pub(super) fn id_in(context: &Context<'_>, reference: &str) -> Result<String, GraphError> {
    let wrong = || GraphError::bad_request("Invalid URL format specified in @odata.id.");
    let host = |address: &str| url::Url::parse(address).ok()?.host_str().map(str::to_owned);
    // A client that was pointed at this machine still writes the address that Microsoft documents.
    let local = matches!(host(&context.call.base).as_deref(), Some("localhost" | "127.0.0.1"));
    if !local && host(reference) != host(&context.call.base) {
        return Err(wrong());
    }
    let path = url::Url::parse(reference).map_err(|_| wrong())?.path().to_owned();
    let mut segments = path.rsplit('/').filter(|segment| !segment.is_empty());
    let id = segments.next().unwrap_or_default();
    match segments.next() {
        Some("directoryObjects" | "users" | "groups" | "servicePrincipals") => Ok(id.to_ascii_lowercase()),
        _ => Err(wrong()),
    }
}

/// The object id of an activated role; the template id serves where it is not activated.
pub(super) fn object_id(tenant: &Tenant, template: &str) -> String {
    tenant.activated_roles.get(template).cloned().unwrap_or_else(|| template.to_owned())
}

pub(super) fn json_of(tenant: &Tenant, template: &str) -> Value {
    let name = roles::by_id(template).map_or(template, |role| role.name);
    json!({
        "id": object_id(tenant, template),
        "roleTemplateId": template,
        "displayName": name,
        "description": format!("The built-in role {name}."),
    })
}

fn template_of(tenant: &Tenant, key: &str) -> Result<String, GraphError> {
    let wanted = key.strip_prefix("roleTemplateId=").unwrap_or(key).to_ascii_lowercase();
    tenant
        .activated_roles
        .iter()
        .find(|(template, id)| **template == wanted || **id == wanted)
        .map(|(template, _)| template.clone())
        .ok_or_else(|| GraphError::not_found(&wanted))
}
