//! Groups and their members, with what Graph refuses to change.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::legacy_roles::referenced;
use super::query::{Shape, collection, entity};
use super::{Context, GraphError, Handled, Reply};
use crate::clock::graph_time;
use crate::directory::{Group, Licence, Tenant, new_id};

/// All members; the last one is shown only to whoever asks for it.
const KNOWN: [&str; 14] = [
    "id",
    "createdDateTime",
    "description",
    "displayName",
    "groupTypes",
    "isAssignableToRole",
    "mail",
    "mailEnabled",
    "mailNickname",
    "membershipRule",
    "onPremisesSyncEnabled",
    "securityEnabled",
    "visibility",
    "deletedDateTime",
];

const SHAPE: Shape = Shape {
    context: "groups",
    usual: KNOWN.split_at(KNOWN.len() - 1).0,
    known: &KNOWN,
    directory_object: true,
    deaf: false,
};

pub(super) fn list(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let values = tenant.groups.values().filter(|group| context.arrived(group.created_moment)).map(json_of).collect();
    collection(context.call, SHAPE, values)
}

pub(super) fn get(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let object = json_of(context.group(tenant, id)?);
    entity(context.call, SHAPE, object)
}

pub(super) fn create(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let call = context.call;
    let body = call.object()?;
    let flag = |name: &str| body.get(name).and_then(Value::as_bool);
    let display_name = call.required("displayName")?.to_owned();
    let nickname = call.required("mailNickname")?;
    let (Some(mail_enabled), Some(security_enabled)) = (flag("mailEnabled"), flag("securityEnabled")) else {
        return Err(GraphError::bad_request("A value is required for mailEnabled and securityEnabled."));
    };
    let role_assignable = flag("isAssignableToRole").unwrap_or(false);
    if role_assignable {
        context.need(&["RoleManagement.ReadWrite.Directory"])?;
        if tenant.licence < Licence::P1 {
            return Err(GraphError::bad_request("The tenant needs to have Microsoft Entra ID P1 license."));
        }
    }
    let types = body
        .get("groupTypes")
        .and_then(|types| serde_json::from_value::<Vec<String>>(types.clone()).ok())
        .unwrap_or_default();
    let group = Group {
        id: new_id(),
        display_name,
        members: BTreeSet::new(),
        owners: BTreeSet::new(),
        role_assignable,
        security_enabled,
        mail_enabled,
        types,
        synchronised: false,
        created: context.now,
        created_moment: context.moment,
        attributes: Map::from_iter([
            ("mailNickname".to_owned(), json!(nickname)),
            ("description".to_owned(), body.get("description").cloned().unwrap_or_default()),
        ]),
    };
    let object = json_of(&group);
    tenant.groups.insert(group.id.clone(), group);
    Ok(Reply::created(object))
}

pub(super) fn update(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let id = check_changeable(tenant, context, id)?;
    let body = context.call.object()?;
    if body.contains_key("isAssignableToRole") {
        return Err(GraphError::bad_request(
            "Property isAssignableToRole cannot be updated after the group is created.",
        ));
    }
    let references: Vec<String> = body
        .get("members@odata.bind")
        .and_then(|references| serde_json::from_value(references.clone()).ok())
        .unwrap_or_default();
    if references.len() > 20 {
        return Err(GraphError::bad_request("At most 20 members can be added in one request."));
    }
    let members: Vec<String> =
        references.iter().filter_map(|reference| reference.rsplit('/').next().map(str::to_ascii_lowercase)).collect();
    for member in &members {
        check_member(tenant, context, member)?;
    }
    let group = tenant.groups.get_mut(&id).ok_or_else(|| GraphError::not_found(&id))?;
    if members.iter().any(|member| group.members.contains(member)) {
        return Err(already_member());
    }
    group.members.extend(members);
    for (name, value) in body {
        match (name.as_str(), value.as_str()) {
            ("displayName", Some(text)) => text.clone_into(&mut group.display_name),
            ("description", _) => {
                group.attributes.insert(name.clone(), value.clone());
            }
            _ => {}
        }
    }
    Ok(Reply::nothing())
}

pub(super) fn members(tenant: &mut Tenant, context: &Context<'_>, id: &str, transitive: bool) -> Handled {
    let group = context.group(tenant, id)?;
    let values = tenant
        .users
        .values()
        .filter(|user| {
            group.members.contains(&user.id)
                || (transitive && tenant.groups_of(&user.id).iter().any(|known| known.id == group.id))
        })
        .map(|user| {
            let mut object = super::users::json_of(user);
            object["@odata.type"] = json!("#microsoft.graph.user");
            object
        })
        .collect();
    let shape = Shape {
        context: "directoryObjects",
        directory_object: true,
        usual: &[
            "id",
            "displayName",
            "userPrincipalName",
            "givenName",
            "surname",
            "mail",
            "businessPhones",
            "jobTitle",
            "mobilePhone",
        ],
        ..Shape::default()
    };
    collection(context.call, shape, values)
}

pub(super) fn add_member(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let member = referenced(context)?;
    let id = check_changeable(tenant, context, id)?;
    check_member(tenant, context, &member)?;
    let group = tenant.groups.get_mut(&id).ok_or_else(|| GraphError::not_found(&id))?;
    if group.members.insert(member.clone()) {
        if let Some(user) = tenant.users.get_mut(&member) {
            user.changed();
        }
        Ok(Reply::nothing())
    } else {
        Err(already_member())
    }
}

pub(super) fn remove_member(tenant: &mut Tenant, context: &Context<'_>, id: &str, member: &str) -> Handled {
    let id = check_changeable(tenant, context, id)?;
    let member = member.to_ascii_lowercase();
    let group = tenant.groups.get_mut(&id).ok_or_else(|| GraphError::not_found(&id))?;
    if !group.members.remove(&member) {
        return Err(GraphError::not_found(&member));
    }
    let privileged = group.role_assignable;
    if privileged {
        super::roles::note_end(tenant, &member, context);
    } else if let Some(user) = tenant.users.get_mut(&member) {
        user.changed();
    }
    Ok(Reply::nothing())
}

pub(super) fn json_of(group: &Group) -> Value {
    let attribute = |name: &str| group.attributes.get(name).cloned().unwrap_or_default();
    json!({
        "id": group.id,
        "createdDateTime": graph_time(group.created),
        "description": attribute("description"),
        "displayName": group.display_name,
        "groupTypes": group.types,
        "isAssignableToRole": if group.role_assignable { json!(true) } else { Value::Null },
        "mail": attribute("mail"),
        "mailEnabled": group.mail_enabled,
        "mailNickname": attribute("mailNickname"),
        "membershipRule": if group.is_dynamic() { json!("user.userType -eq \"Member\"") } else { Value::Null },
        "onPremisesSyncEnabled": if group.synchronised { json!(true) } else { Value::Null },
        "securityEnabled": group.security_enabled,
        "visibility": if group.role_assignable { json!("Private") } else { Value::Null },
    })
}

/// The group's id, if its members may be changed by this caller at all.
fn check_changeable(tenant: &Tenant, context: &Context<'_>, id: &str) -> Result<String, GraphError> {
    let group = match tenant.groups.get(&id.to_ascii_lowercase()) {
        Some(group) if context.arrived(group.created_moment) => group,
        Some(_) => return Err(GraphError::reference_missing()),
        None => return Err(GraphError::not_found(id)),
    };
    if group.role_assignable {
        context.need(&["RoleManagement.ReadWrite.Directory"])?;
    }
    if group.synchronised {
        return Err(GraphError::bad_request(
            "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects \
             currently undergoing migration.",
        ));
    }
    if group.is_dynamic() {
        return Err(GraphError::bad_request("Insufficient privileges to update a group with dynamic membership."));
    }
    if group.mail_enabled && !group.types.iter().any(|kind| kind == "Unified") {
        return Err(GraphError::bad_request("Cannot Update a mail-enabled security groups and or distribution list."));
    }
    Ok(group.id.clone())
}

fn check_member(tenant: &Tenant, context: &Context<'_>, member: &str) -> Result<(), GraphError> {
    match (tenant.users.get(member), tenant.groups.contains_key(member)) {
        (Some(user), _) if context.arrived(user.created_moment) => Ok(()),
        (Some(_), _) => Err(GraphError::reference_missing()),
        (None, true) => Ok(()),
        (None, false) => Err(GraphError::not_found(member)),
    }
}

fn already_member() -> GraphError {
    GraphError::bad_request(
        "One or more added object references already exist for the following modified properties: 'members'.",
    )
}
