//! The unified role API: definitions and plain assignments.

use serde_json::{Value, json};

use super::query::{Query, Shape, collection, entity};
use super::{Context, GraphError, Handled, Reply, properties};
use crate::directory::roles::{self, BuiltInRole};
use crate::directory::seed::assignment_id;
use crate::directory::tenant::CustomRole;
use crate::directory::{RoleAssignment, Tenant};

const DEFINITIONS: Shape =
    Shape { context: "roleManagement/directory/roleDefinitions", known: properties::ROLE_DEFINITION, ..Shape::PLAIN };

const ASSIGNMENTS: Shape = Shape {
    context: "roleManagement/directory/roleAssignments",
    known: properties::ROLE_ASSIGNMENT,
    expandable: &["principal", "roleDefinition"],
    ..Shape::PLAIN
};

pub(super) fn definitions(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let built_in = roles::BUILT_IN.iter().map(definition_json);
    let all = built_in.chain(tenant.custom_roles.iter().map(custom_definition_json)).collect();
    collection(context.call, DEFINITIONS, all)
}

fn custom_definition_json(role: &CustomRole) -> Value {
    json!({
        "id": role.id, "displayName": role.display_name, "description": "", "isBuiltIn": false, "isEnabled": true,
        "templateId": role.id,
    })
}

pub(super) fn definition(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let own = || tenant.custom_roles.iter().find(|role| role.id.eq_ignore_ascii_case(id)).map(custom_definition_json);
    let found = roles::by_id(id).map(definition_json).or_else(own).ok_or_else(|| GraphError::not_found(id))?;
    entity(context.call, DEFINITIONS, found)
}

pub(super) fn assignments(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let query = Query::parse(context.call, ASSIGNMENTS)?;
    let narrowed = context.call.query.iter().any(|(name, _)| name == "$filter");
    if !narrowed && context.call.query.iter().any(|(name, value)| name == "$expand" && value.contains("principal")) {
        return Err(GraphError::bad_request("$expand=principal needs a $filter here."));
    }
    let values = tenant
        .assignments
        .iter()
        .filter(|assignment| assignment.active(context.now) && exists(tenant, &assignment.principal))
        .map(|assignment| {
            let mut object = json_of(assignment, &tenant.id);
            if query.expand.iter().any(|name| name == "roleDefinition") {
                object["roleDefinition"] = roles::by_id(&assignment.role).map_or(Value::Null, definition_json);
            }
            if query.expand.iter().any(|name| name == "principal") {
                object["principal"] = principal_json(tenant, &assignment.principal);
            }
            object
        })
        .collect();
    Ok(query.page(context.call, ASSIGNMENTS, values))
}

pub(super) fn assignment(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let found = tenant
        .assignments
        .iter()
        .find(|assignment| assignment.id == id && assignment.active(context.now))
        .ok_or_else(|| GraphError::not_found(id))?;
    entity(context.call, ASSIGNMENTS, json_of(found, &tenant.id))
}

pub(super) fn assign(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let call = context.call;
    let role = call.required("roleDefinitionId")?.to_ascii_lowercase();
    let principal = call.required("principalId")?.to_ascii_lowercase();
    let body = call.object()?;
    call.only(&["appScopeId", "condition", "directoryScopeId", "principalId", "roleDefinitionId"])?;
    let scope = match body.get("directoryScopeId").and_then(Value::as_str) {
        Some("/") => "/".to_owned(),
        // No tenant has an administrative unit.
        Some(scope) if scope.starts_with("/administrativeUnits/") => return Err(GraphError::not_found(scope)),
        Some(_) => return Err(GraphError::bad_request("The directoryScopeId is not valid.")),
        None => return Err(GraphError::bad_request("A value is required for property 'directoryScopeId'.")),
    };
    if roles::by_id(&role).is_none() && !tenant.custom_roles.iter().any(|own| own.id == role) {
        return Err(GraphError::not_found(&role));
    }
    check_principal(tenant, context, &principal)?;
    let id = assignment_id(&role, &principal, &scope);
    let doubled = tenant.assignments.iter().any(|known| {
        known.role == role && known.principal == principal && known.scope == scope && known.active(context.now)
    });
    if doubled {
        return Err(GraphError::bad_request(
            "A conflicting object with one or more of the specified property values is present in the directory.",
        ));
    }
    let made = RoleAssignment { id, role, principal, scope, schedule: None };
    let mut object = json_of(&made, &tenant.id);
    tenant.assignments.push(made);
    object["@odata.context"] = json!(format!("{}/$metadata#{}/$entity", call.base, ASSIGNMENTS.context));
    Ok(Reply::created(object))
}

pub(super) fn remove(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let position = tenant
        .assignments
        .iter()
        .position(|assignment| assignment.id == id && assignment.active(context.now))
        .ok_or_else(|| GraphError::not_found(id))?;
    if context.knobs.pim_strict_removal {
        super::schedules::may_be_removed(&tenant.assignments[position], context)?;
    }
    let removed = tenant.assignments.remove(position);
    note_end(tenant, &removed.principal, context);
    Ok(Reply::nothing())
}

/// The principal of an assignment must exist, have arrived, and, when it is a group, be role-assignable.
pub(super) fn check_principal(tenant: &Tenant, context: &Context<'_>, principal: &str) -> Result<(), GraphError> {
    if tenant.groups.contains_key(principal) {
        let group = context.group(tenant, principal)?;
        return if group.role_assignable {
            Ok(())
        } else {
            Err(GraphError::bad_request(
                "The group must have the isAssignableToRole property set to true to be assigned a role.",
            ))
        };
    }
    let application = tenant.applications.iter().any(|known| known.service_principal_id == principal);
    if application {
        return Ok(());
    }
    // By object id only: a user principal name is not a principal id.
    if !tenant.users.contains_key(principal) {
        return Err(GraphError::not_found(principal));
    }
    context.user(tenant, principal).map(|_| ())
}

/// Remembers that `principal` (a user, or every member of a group) lost something privileged just now.
pub(super) fn note_end(tenant: &mut Tenant, principal: &str, context: &Context<'_>) {
    let affected: Vec<String> = match tenant.groups.get(principal) {
        Some(group) => group.members.iter().cloned().collect(),
        None => vec![principal.to_owned()],
    };
    for id in affected {
        if let Some(user) = tenant.users.get_mut(&id) {
            user.privileges_ended.push(context.moment);
            user.changed();
        }
    }
}

fn principal_json(tenant: &Tenant, id: &str) -> Value {
    if let Some(user) = tenant.users.get(id) {
        return json!({
            "@odata.type": "#microsoft.graph.user", "id": id, "displayName": user.display_name,
            "userPrincipalName": user.user_principal_name,
        });
    }
    match tenant.groups.get(id) {
        Some(group) => json!({"@odata.type": "#microsoft.graph.group", "id": id, "displayName": group.display_name}),
        None => json!({"@odata.type": "#microsoft.graph.servicePrincipal", "id": id}),
    }
}

fn exists(tenant: &Tenant, principal: &str) -> bool {
    tenant.users.contains_key(principal)
        || tenant.groups.contains_key(principal)
        || tenant.applications.iter().any(|known| known.service_principal_id == principal)
}

fn json_of(assignment: &RoleAssignment, tenant_id: &str) -> Value {
    json!({
        "id": assignment.id,
        "principalId": assignment.principal,
        "principalOrganizationId": tenant_id,
        "directoryScopeId": assignment.scope,
        "roleDefinitionId": assignment.role,
    })
}

fn definition_json(role: &BuiltInRole) -> Value {
    json!({
        "id": role.id,
        "description": format!("The built-in role {}.", role.name),
        "displayName": role.name,
        "isBuiltIn": true,
        "isEnabled": true,
        "resourceScopes": ["/"],
        "templateId": role.id,
        "version": "1",
    })
}
