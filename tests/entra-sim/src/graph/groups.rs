//! Groups and their members, with what Graph refuses to change.

use serde_json::{Map, Value, json};

use super::legacy_roles::{id_in, referenced};
use super::query::{Rules, Shape, collection, counted, entity};
use super::{Context, GraphError, Handled, Reply, properties};
use crate::clock::graph_time;
use crate::directory::{Group, Licence, Tenant, User, new_id};

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

pub(super) const SHAPE: Shape = Shape {
    context: "groups",
    usual: KNOWN.split_at(KNOWN.len() - 1).0,
    known: properties::GROUP,
    directory_object: true,
    rules: Rules {
        resource: "Group",
        unfilterable: &["createdDateTime", "visibility"],
        advanced: &["description", "membershipRule"],
        sortable: &["displayName"],
        sortable_advanced: &["deletedDateTime"],
        ..Rules::NONE
    },
    ..Shape::PLAIN
};

/// A tenant has no more groups that roles can be assigned to.
const MOST_ROLE_ASSIGNABLE: usize = 500;

pub(super) fn list(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let values = tenant.groups.values().filter(|group| context.arrived(group.created_moment)).map(json_of).collect();
    collection(context.call, SHAPE, values)
}

pub(super) fn get(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let object = json_of(context.group(tenant, id)?);
    entity(context.call, SHAPE, object)
}

pub(super) fn count(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let groups = tenant.groups.values().filter(|group| context.arrived(group.created_moment)).map(json_of).collect();
    counted(context, SHAPE, groups)
}

pub(super) fn delete(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let group = context.group(tenant, id)?;
    if group.synchronised {
        return Err(GraphError::bad_request(
            "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects \
             currently undergoing migration.",
        ));
    }
    let (id, role_assignable) = (group.id.clone(), group.role_assignable);
    if role_assignable {
        context.need(&["RoleManagement.ReadWrite.Directory"])?;
        super::roles::note_end(tenant, &id, context);
    }
    tenant.groups.remove(&id);
    tenant.assignments.retain(|assignment| assignment.principal != id);
    for group in tenant.groups.values_mut() {
        group.members.remove(&id);
    }
    Ok(Reply::nothing())
}

pub(super) fn owners(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let owners = context.group(tenant, id)?.owners.clone();
    people(context, tenant.users.values().filter(|user| owners.contains(&user.id)))
}

pub(super) fn create(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let call = context.call;
    let body = call.object()?;
    call.only(&[
        "description",
        "displayName",
        "groupTypes",
        "isAssignableToRole",
        "mailEnabled",
        "mailNickname",
        "membershipRule",
        "membershipRuleProcessingState",
        "members@odata.bind",
        "owners@odata.bind",
        "securityEnabled",
        "visibility",
    ])?;
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
    let types: Vec<String> = match body.get("groupTypes") {
        None => Vec::new(),
        Some(types) => serde_json::from_value(types.clone()).map_err(|_| invalid("groupTypes"))?,
    };
    if let Some(unknown) = types.iter().find(|kind| !matches!(kind.as_str(), "Unified" | "DynamicMembership")) {
        return Err(invalid(unknown));
    }
    let unified = types.iter().any(|kind| kind == "Unified");
    // Neither distribution lists nor mail-enabled security groups are made through Graph.
    if mail_enabled != unified || (!unified && !security_enabled) {
        return Err(GraphError::bad_request(
            "The service does not currently support writes of mail-enabled groups. Please ensure that the \
             mail-enablement property is unset and the security-enablement property is set.",
        ));
    }
    if role_assignable {
        if !security_enabled || types.iter().any(|kind| kind == "DynamicMembership") {
            return Err(GraphError::bad_request(
                "A group that roles can be assigned to must be a security group with assigned membership.",
            ));
        }
        if tenant.groups.values().filter(|group| group.role_assignable).count() >= MOST_ROLE_ASSIGNABLE {
            return Err(GraphError::new(
                400,
                "Directory_QuotaExceeded",
                "The tenant has the most groups that roles can be assigned to.",
            ));
        }
    }
    if nickname.is_empty() || nickname.len() > 64 || display_name.is_empty() || display_name.chars().count() > 256 {
        return Err(invalid("mailNickname"));
    }
    let members = bound(context, body, "members@odata.bind")?;
    let owners = bound(context, body, "owners@odata.bind")?;
    for member in &members {
        check_member(tenant, context, member, role_assignable)?;
    }
    let group = Group {
        id: new_id(),
        display_name,
        members: members.into_iter().collect(),
        owners: owners.into_iter().collect(),
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
    context.call.only(&[
        "description",
        "displayName",
        "mailNickname",
        "membershipRule",
        "membershipRuleProcessingState",
        "members@odata.bind",
        "visibility",
    ])?;
    let members = bound(context, body, "members@odata.bind")?;
    if members.len() > 20 {
        return Err(GraphError::bad_request("At most 20 members can be added in one request."));
    }
    let role_assignable = tenant.groups.get(&id).is_some_and(|group| group.role_assignable);
    for member in &members {
        check_member(tenant, context, member, role_assignable)?;
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
    let belongs = |user: &&User| {
        group.members.contains(&user.id)
            || (transitive && tenant.groups_of(&user.id).iter().any(|known| known.id == group.id))
    };
    people(context, tenant.users.values().filter(belongs))
}

fn people<'t>(context: &Context<'_>, users: impl Iterator<Item = &'t User>) -> Handled {
    // Who may not read users learns their ids.
    let shown = context.permitted(&[
        "User.Read.All",
        "User.ReadWrite.All",
        "User.ReadBasic.All",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
        "Directory.AccessAsUser.All",
    ]);
    let values = users
        .map(|user| {
            let mut object = if shown { super::users::json_of(user) } else { json!({"id": user.id}) };
            object["@odata.type"] = json!("#microsoft.graph.user");
            object
        })
        .collect();
    let shape = Shape {
        context: "directoryObjects",
        known: properties::USER,
        reference: true,
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
        ..Shape::PLAIN
    };
    collection(context.call, shape, values)
}

pub(super) fn add_member(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    let member = referenced(context)?;
    let id = check_changeable(tenant, context, id)?;
    let role_assignable = tenant.groups.get(&id).is_some_and(|group| group.role_assignable);
    if member == id {
        return Err(GraphError::bad_request("A group cannot be a member of itself."));
    }
    check_member(tenant, context, &member, role_assignable)?;
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

/// The ids that `members@odata.bind` and its like name.
fn bound(context: &Context<'_>, body: &Map<String, Value>, name: &str) -> Result<Vec<String>, GraphError> {
    let Some(references) = body.get(name) else { return Ok(Vec::new()) };
    let references: Vec<String> = serde_json::from_value(references.clone()).map_err(|_| invalid(name))?;
    references.iter().map(|reference| id_in(context, reference)).collect()
}

fn invalid(property: &str) -> GraphError {
    GraphError::bad_request(format!("Invalid value specified for property '{property}' of resource 'Group'."))
}

fn check_member(tenant: &Tenant, context: &Context<'_>, member: &str, role_assignable: bool) -> Result<(), GraphError> {
    match (tenant.users.get(member), tenant.groups.contains_key(member)) {
        (Some(user), _) if context.arrived(user.created_moment) => Ok(()),
        (Some(_), _) => Err(GraphError::reference_missing()),
        (None, true) if role_assignable => {
            Err(GraphError::bad_request("A group cannot be a member of a group that roles can be assigned to."))
        }
        (None, true) => Ok(()),
        (None, false) => Err(GraphError::not_found(member)),
    }
}

fn already_member() -> GraphError {
    GraphError::bad_request(
        "One or more added object references already exist for the following modified properties: 'members'.",
    )
}
