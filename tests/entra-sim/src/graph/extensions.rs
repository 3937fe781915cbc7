//! Open extensions on users.

use serde_json::{Map, Value, json};

use super::query::{Shape, collection, entity};
use super::{Context, GraphError, Handled, Reply};
use crate::directory::Tenant;

const SHAPE: Shape = Shape { context: "users/extensions", ..Shape::PLAIN };
const TYPE: &str = "#microsoft.graph.openTypeExtension";

pub(super) fn list(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let user = context.user(tenant, key)?;
    let values = user.extensions.iter().map(|(name, members)| json_of(name, members)).collect();
    collection(context.call, SHAPE, values)
}

pub(super) fn get(tenant: &mut Tenant, context: &Context<'_>, key: &str, name: &str) -> Handled {
    let user = context.user(tenant, key)?;
    let members = user.extensions.get(bare(name)).ok_or_else(|| missing(name))?;
    entity(context.call, SHAPE, json_of(bare(name), members))
}

pub(super) fn create(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let name = context.call.required("extensionName")?.to_owned();
    if name.is_empty() || name.len() > 30 {
        return Err(GraphError::bad_request("extensionName must have 1 to 30 characters."));
    }
    let members = members(context)?;
    let user = context.user_mut(tenant, key)?;
    if user.extensions.contains_key(&name) {
        return Err(GraphError::new(409, "NameAlreadyExists", "An extension already exists with given id."));
    }
    let object = json_of(&name, &members);
    user.extensions.insert(name, members);
    user.changed();
    Ok(Reply::created(object))
}

pub(super) fn update(tenant: &mut Tenant, context: &Context<'_>, key: &str, name: &str) -> Handled {
    let members = members(context)?;
    let user = context.user_mut(tenant, key)?;
    let stored = user.extensions.get_mut(bare(name)).ok_or_else(|| missing(name))?;
    stored.extend(members);
    user.changed();
    Ok(Reply::nothing())
}

pub(super) fn delete(tenant: &mut Tenant, context: &Context<'_>, key: &str, name: &str) -> Handled {
    let user = context.user_mut(tenant, key)?;
    user.extensions.remove(bare(name)).ok_or_else(|| missing(name))?;
    user.changed();
    Ok(Reply::nothing())
}

pub(super) fn json_of(name: &str, members: &Map<String, Value>) -> Value {
    let mut object = members.clone();
    object.insert("@odata.type".to_owned(), json!(TYPE));
    object.insert("extensionName".to_owned(), json!(name));
    object.insert("id".to_owned(), json!(name));
    Value::Object(object)
}

fn members(context: &Context<'_>) -> Result<Map<String, Value>, GraphError> {
    let mut members = context.call.object()?.clone();
    members.retain(|name, _| !matches!(name.as_str(), "@odata.type" | "extensionName" | "id"));
    Ok(members)
}

/// Clients may name an extension with its type in front.
fn bare(name: &str) -> &str {
    name.strip_prefix("microsoft.graph.openTypeExtension.").unwrap_or(name)
}

fn missing(name: &str) -> GraphError {
    GraphError::new(404, "ResourceNotFound", format!("Extension with given id '{name}' not found."))
}
