//! Deleted users: kept for 30 days, restorable.

use std::time::Duration;

use serde_json::{Value, json};

use super::query::{Shape, collection, entity};
use super::users::{check_user_name, json_of};
use super::{Context, GraphError, Handled, Reply};
use crate::directory::{Tenant, User};

const SHAPE: Shape = Shape {
    context: "directory/deletedItems/microsoft.graph.user",
    usual: &[
        "id",
        "displayName",
        "userPrincipalName",
        "deletedDateTime",
        "givenName",
        "surname",
        "mail",
        "businessPhones",
    ],
    ..super::users::SHAPE
};
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) fn list(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let values = tenant.deleted_users.values().filter(|user| kept(user, context)).map(shown).collect();
    collection(context.call, SHAPE, values)
}

pub(super) fn get(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let user = find(tenant, context, id)?;
    let mut object = shown(user);
    object["@odata.type"] = json!("#microsoft.graph.user");
    entity(context.call, SHAPE, object)
}

pub(super) fn purge(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let user = find(tenant, context, id)?;
    context.may_act_sensitively_on(tenant, user)?;
    let id = user.id.clone();
    tenant.deleted_users.remove(&id);
    tenant.assignments.retain(|assignment| assignment.principal != id);
    for group in tenant.groups.values_mut() {
        group.members.remove(&id);
    }
    Ok(Reply::nothing())
}

pub(super) fn restore(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let user = find(tenant, context, id)?;
    context.may_act_sensitively_on(tenant, user)?;
    let id = user.id.clone();
    if context.call.body.is_some() {
        context.call.only(&["newUserPrincipalName", "autoReconcileProxyConflict"])?;
    }
    let name = context
        .call
        .body
        .as_ref()
        .and_then(|body| body.get("newUserPrincipalName"))
        .and_then(Value::as_str)
        .unwrap_or(&user.user_principal_name)
        .to_owned();
    check_user_name(tenant, &name, None)?;
    let mut user = tenant.deleted_users.remove(&id).ok_or_else(|| GraphError::not_found(&id))?;
    user.deleted = None;
    user.user_principal_name = name;
    user.created_moment = context.moment;
    user.changed();
    let body = json!({
        "@odata.context": format!("{}/$metadata#directoryObjects/$entity", context.call.base),
        "@odata.type": "#microsoft.graph.user",
        "id": user.id,
        "displayName": user.display_name,
        "userPrincipalName": user.user_principal_name,
    });
    tenant.users.insert(id, user);
    Ok(Reply::ok(body))
}

/// A deleted user, whose name is free for somebody else: her id stands before it.
fn shown(user: &User) -> Value {
    let mut object = json_of(user);
    object["userPrincipalName"] = json!(format!("{}{}", user.id.replace('-', ""), user.user_principal_name));
    object
}

fn find<'t>(tenant: &'t Tenant, context: &Context<'_>, id: &str) -> Result<&'t User, GraphError> {
    tenant
        .deleted_users
        .get(&id.to_ascii_lowercase())
        .filter(|user| kept(user, context))
        .ok_or_else(|| GraphError::not_found(id))
}

fn kept(user: &User, context: &Context<'_>) -> bool {
    user.deleted.is_some_and(|deleted| context.now.duration_since(deleted).unsigned_abs() < KEPT)
}
