//! Users: create, read, search, change, delete, sessions, memberships.
//!
//! Sensitive properties (`accountEnabled`, `passwordProfile`, phones, other mails, immutable id, UPN) follow the
//! sensitive-action rule; `passwordProfile` and `identities` need permissions of their own.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::query::{Query, Rules, Shape, collection, counted, is_extension_attribute};
use super::{Context, GraphError, Handled, Reply, properties};
use crate::clock::graph_time;
use crate::directory::{DomainKind, Tenant, User, roles};

/// Shown without `$select`.
const USUAL: &[&str] = &[
    "id",
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
];

/// Everything `$select` and `$filter` may name.
const KNOWN: &[&str] = &[
    "id",
    "accountEnabled",
    "ageGroup",
    "assignedLicenses",
    "assignedPlans",
    "businessPhones",
    "city",
    "companyName",
    "country",
    "createdDateTime",
    "creationType",
    "deletedDateTime",
    "department",
    "displayName",
    "employeeId",
    "employeeType",
    "extensions",
    "faxNumber",
    "givenName",
    "identities",
    "imAddresses",
    "jobTitle",
    "lastPasswordChangeDateTime",
    "mail",
    "mailNickname",
    "memberOf",
    "mobilePhone",
    "officeLocation",
    "onPremisesExtensionAttributes",
    "onPremisesImmutableId",
    "onPremisesSyncEnabled",
    "otherMails",
    "passwordPolicies",
    "passwordProfile",
    "postalCode",
    "preferredLanguage",
    "proxyAddresses",
    "securityIdentifier",
    "showInAddressList",
    "signInSessionsValidFromDateTime",
    "state",
    "streetAddress",
    "surname",
    "usageLocation",
    "userPrincipalName",
    "userType",
];

/// Properties under the sensitive-action rule.
const SENSITIVE: &[&str] = &[
    "accountEnabled",
    "passwordProfile",
    "businessPhones",
    "mobilePhone",
    "otherMails",
    "onPremisesImmutableId",
    "userPrincipalName",
];

pub(super) const SHAPE: Shape = Shape {
    context: "users",
    usual: USUAL,
    known: properties::USER,
    directory_object: true,
    expandable: &["extensions", "memberOf"],
    rules: Rules {
        resource: "User",
        unfilterable: &[
            "extensions",
            "lastPasswordChangeDateTime",
            "memberOf",
            "passwordProfile",
            "signInSessionsValidFromDateTime",
        ],
        advanced: &[
            "companyName",
            "employeeHireDate",
            "employeeType",
            "mobilePhone",
            "officeLocation",
            "onPremisesExtensionAttributes",
            "onPremisesImmutableId",
            "onPremisesLastSyncDateTime",
            "onPremisesSamAccountName",
            "passwordPolicies",
            "postalCode",
            "preferredLanguage",
            "showInAddressList",
            "streetAddress",
        ],
        compared_only: &[
            "createdDateTime",
            "id",
            "onPremisesExtensionAttributes",
            "onPremisesImmutableId",
            "passwordPolicies",
            "userType",
        ],
        sortable: &["displayName", "userPrincipalName"],
        sortable_advanced: &["createdDateTime", "deletedDateTime"],
    },
    ..Shape::PLAIN
};

/// Words that Microsoft's global list and every careful tenant ban, whatever digits are around them.
const BANNED: &[&str] = &["password", "passw0rd", "p@ssw0rd", "qwerty", "letmein", "welcome", "abc123"];

pub(super) fn list(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let (query, shape) = asked(context)?;
    let users = seen(tenant, context).map(|user| expanded(tenant, user, &query)).collect();
    Ok(query.page(context.call, shape, users))
}

pub(super) fn count(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let users = seen(tenant, context).map(json_of).collect();
    counted(context, shape_for(context), users)
}

fn seen<'t>(tenant: &'t Tenant, context: &'t Context<'_>) -> impl Iterator<Item = &'t User> {
    tenant.users.values().filter(|user| context.arrived(user.created_moment))
}

pub(super) fn get(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let (query, shape) = asked(context)?;
    let user = context.user(tenant, key)?;
    let object = expanded(tenant, user, &query);
    Ok(query.entity(context.call, shape, object))
}

/// What is asked for, and what of it the caller may see: 403 for a property that is not for it.
fn asked(context: &Context<'_>) -> Result<(Query, Shape), GraphError> {
    let query = Query::parse(context.call, SHAPE)?;
    let shape = shape_for(context);
    match Query::parse(context.call, shape) {
        Ok(_) => Ok((query, shape)),
        Err(_) => Err(GraphError::denied()),
    }
}

/// What an application may see: with `User.ReadBasic.All` alone little more than names.
fn shape_for(context: &Context<'_>) -> Shape {
    const BASIC: &[&str] = &["id", "displayName", "givenName", "mail", "surname", "userPrincipalName"];
    let more = context.permitted(READS_USERS);
    if !context.caller.is_delegated() && context.permitted(&["User.ReadBasic.All"]) && !more {
        Shape { usual: BASIC, known: BASIC, expandable: &[], ..SHAPE }
    } else {
        SHAPE
    }
}

/// Permissions of which one shows more of a user than its names.
const READS_USERS: &[&str] = &["User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];

pub(super) fn create(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let call = context.call;
    let body = call.object()?;
    let name = call.required("userPrincipalName")?.to_owned();
    let display_name = call.required("displayName")?.to_owned();
    let nickname = call.required("mailNickname")?;
    let enabled = body
        .get("accountEnabled")
        .and_then(Value::as_bool)
        .ok_or_else(|| GraphError::bad_request("A value is required for property 'accountEnabled'."))?;
    if !fits("mailNickname", &json!(nickname)) {
        return Err(GraphError::invalid_value("mailNickname"));
    }
    if body.contains_key("identities") {
        context.need(&["User.ManageIdentities.All"])?;
    }
    check_user_name(tenant, &name, None)?;
    let profile = body
        .get("passwordProfile")
        .and_then(Value::as_object)
        .ok_or_else(|| GraphError::bad_request("A password must be specified to create a new user."))?;
    if federated(tenant, &name) {
        return Err(GraphError::invalid_value("passwordProfile"));
    }
    let mut user = User::new(&name, &display_name, context.now, context.moment);
    user.account_enabled = enabled;
    let policies = body.get("passwordPolicies").and_then(Value::as_str).unwrap_or_default().to_owned();
    let password = profile
        .get("password")
        .and_then(Value::as_str)
        .ok_or_else(|| GraphError::bad_request("A password must be specified to create a new user."))?;
    check_password(tenant, &name, password, &policies)?;
    check_profile(profile)?;
    set_password(&mut user, profile, context);
    user.attributes.insert("userType".to_owned(), json!("Member"));
    apply(&mut user, body)?;
    let id = user.id.clone();
    let mut object = json_of(&user);
    tenant.users.insert(id.clone(), user);
    if let Some(members) = object.as_object_mut() {
        members.retain(|name, _| USUAL.contains(&name.as_str()));
        members.insert("@odata.context".to_owned(), json!(format!("{}/$metadata#users/$entity", call.base)));
    }
    let mut reply = Reply::created(object);
    reply.headers.push(("Location", format!("{}/users/{id}", call.base)));
    Ok(reply)
}

pub(super) fn update(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let body = context.call.object()?;
    for property in body.keys() {
        let enough: &[&str] = match property.as_str() {
            "passwordProfile" => &["User-PasswordProfile.ReadWrite.All"],
            "identities" => &["User.ManageIdentities.All"],
            "accountEnabled" if context.permitted(&["User.Read.All"]) => {
                &["User.EnableDisableAccount.All", "User.ReadWrite.All"]
            }
            "accountEnabled" => &["User.ReadWrite.All"],
            "mobilePhone" | "businessPhones" => &["User-Phone.ReadWrite.All", "User.ReadWrite.All"],
            "otherMails" => &["User-Mail.ReadWrite.All", "User.ReadWrite.All"],
            _ => &["User.ReadWrite.All", "Directory.ReadWrite.All"],
        };
        context.need(enough)?;
    }
    let user = context.user(tenant, key)?;
    let sensitive = body.keys().any(|property| SENSITIVE.contains(&property.as_str()));
    if sensitive {
        context.may_act_sensitively_on(tenant, user)?;
    }
    let profile = body.get("passwordProfile").filter(|value| !value.is_null());
    if profile.is_some() && context.knobs.strict_password_rule {
        let caller = tenant.roles_of(&context.caller.oid, context.now);
        let enough =
            [roles::USER_ADMINISTRATOR, roles::PRIVILEGED_AUTHENTICATION_ADMINISTRATOR, roles::GLOBAL_ADMINISTRATOR];
        if !caller.iter().any(|held| enough.contains(&held.as_str())) {
            return Err(GraphError::denied());
        }
    }
    if user.is_synchronised() {
        return Err(GraphError::bad_request(
            "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects \
             currently undergoing migration.",
        ));
    }
    if let Some(name) = body.get("userPrincipalName") {
        let name = name.as_str().ok_or_else(|| GraphError::invalid_value("userPrincipalName"))?;
        check_user_name(tenant, name, Some(&user.id))?;
    }
    if let Some(profile) = profile {
        let profile = profile.as_object().ok_or_else(|| GraphError::invalid_value("passwordProfile"))?;
        check_profile(profile)?;
        if federated(tenant, &user.user_principal_name) {
            return Err(GraphError::invalid_value("passwordProfile"));
        }
        if let Some(password) = profile.get("password").and_then(Value::as_str) {
            let policies = user.attributes.get("passwordPolicies").and_then(Value::as_str).unwrap_or_default();
            check_password(tenant, &user.user_principal_name, password, policies)?;
        }
    }
    let mut changed = user.clone();
    if let Some(profile) = profile.and_then(Value::as_object) {
        set_password(&mut changed, profile, context);
    }
    if let Some(enabled) = body.get("accountEnabled") {
        let enabled = enabled.as_bool().ok_or_else(|| GraphError::invalid_value("accountEnabled"))?;
        if enabled && !changed.account_enabled {
            changed.enabled_moment = context.moment;
        }
        changed.account_enabled = enabled;
    }
    if let Some(name) = body.get("userPrincipalName").and_then(Value::as_str) {
        name.clone_into(&mut changed.user_principal_name);
    }
    if let Some(name) = body.get("displayName").and_then(Value::as_str) {
        name.clone_into(&mut changed.display_name);
    }
    apply(&mut changed, body)?;
    changed.changed();
    tenant.users.insert(changed.id.clone(), changed);
    Ok(Reply::nothing())
}

pub(super) fn delete(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    context.need(&["User.DeleteRestore.All", "User.ReadWrite.All"])?;
    let user = context.user(tenant, key)?;
    context.may_act_sensitively_on(tenant, user)?;
    let id = user.id.clone();
    if let Some(mut user) = tenant.users.remove(&id) {
        user.deleted = Some(context.now);
        user.changed();
        tenant.deleted_users.insert(id, user);
    }
    Ok(Reply::nothing())
}

pub(super) fn revoke_sessions(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    let (now, moment) = (context.now, context.moment);
    let user = context.user_mut(tenant, key)?;
    user.sessions_valid_from = now;
    user.sessions_revoked_moment = Some(moment);
    user.changed();
    Ok(Reply::ok(json!({
        "@odata.context": format!("{}/$metadata#Edm.Boolean", context.call.base),
        "value": true,
    })))
}

pub(super) fn member_objects(tenant: &mut Tenant, context: &Context<'_>, key: &str, with_roles: bool) -> Handled {
    context.call.only(&["securityEnabledOnly"])?;
    let security_only = context
        .call
        .object()?
        .get("securityEnabledOnly")
        .and_then(Value::as_bool)
        .ok_or_else(|| GraphError::bad_request("A value is required for property 'securityEnabledOnly'."))?;
    let id = context.user(tenant, key)?.id.clone();
    let mut ids: BTreeSet<String> = tenant
        .groups_of(&id)
        .into_iter()
        .filter(|group| !security_only || group.security_enabled)
        .map(|group| group.id.clone())
        .collect();
    if with_roles && !security_only {
        for role in tenant.roles_of(&id, context.now) {
            ids.insert(super::legacy_roles::object_id(tenant, &role));
        }
    }
    Ok(Reply::ok(json!({
        "@odata.context": format!("{}/$metadata#Collection(Edm.String)", context.call.base),
        "value": ids,
    })))
}

/// Which of the ids named are groups (and, for `ids`, directory roles) that the user belongs to.
pub(super) fn check_members(tenant: &mut Tenant, context: &Context<'_>, key: &str, member: &str) -> Handled {
    context.call.only(&[member])?;
    let wanted: Vec<String> = context
        .call
        .object()?
        .get(member)
        .and_then(|ids| serde_json::from_value(ids.clone()).ok())
        .ok_or_else(|| GraphError::bad_request(format!("A value is required for property '{member}'.")))?;
    if wanted.len() > 20 {
        return Err(GraphError::bad_request("At most 20 ids can be checked in one request."));
    }
    let id = context.user(tenant, key)?.id.clone();
    let mut held: BTreeSet<String> = tenant.groups_of(&id).into_iter().map(|group| group.id.clone()).collect();
    if member == "ids" {
        let roles = tenant.roles_of(&id, context.now);
        held.extend(roles.iter().map(|role| super::legacy_roles::object_id(tenant, role)));
    }
    let found: Vec<String> = wanted.into_iter().filter(|id| held.contains(&id.to_ascii_lowercase())).collect();
    Ok(Reply::ok(json!({
        "@odata.context": format!("{}/$metadata#Collection(Edm.String)", context.call.base),
        "value": found,
    })))
}

/// Permissions of which one shows more of a group than its id.
const READS_GROUPS: &[&str] = &[
    "GroupMember.Read.All",
    "GroupMember.ReadWrite.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
    "Directory.AccessAsUser.All",
];

pub(super) fn member_of(
    tenant: &mut Tenant,
    context: &Context<'_>,
    key: &str,
    kind: Option<&str>,
    transitive: bool,
) -> Handled {
    if let Some(kind) = kind.filter(|kind| !matches!(*kind, "microsoft.graph.group" | "microsoft.graph.directoryRole"))
    {
        return Err(GraphError::no_such_segment(kind));
    }
    if transitive && kind == Some("microsoft.graph.group") {
        only_from_the_index(context)?;
    }
    let id = context.user(tenant, key)?.id.clone();
    let mut objects = Vec::new();
    if kind.is_none_or(|kind| kind == "microsoft.graph.group") {
        for group in tenant.groups_of(&id) {
            if transitive || group.members.contains(&id) {
                let mut object = super::groups::json_of(group);
                if !context.permitted(READS_GROUPS) {
                    // Without a permission for groups only their ids are shown.
                    object = json!({"id": group.id});
                }
                object["@odata.type"] = json!("#microsoft.graph.group");
                objects.push(object);
            }
        }
    }
    if kind.is_none_or(|kind| kind == "microsoft.graph.directoryRole") {
        let roles = if transitive {
            tenant.roles_of(&id, context.now)
        } else {
            let direct: BTreeSet<String> = tenant
                .assignments
                .iter()
                .filter(|assignment| assignment.principal == id && assignment.active(context.now))
                .map(|assignment| assignment.role.clone())
                .collect();
            direct.into_iter().collect()
        };
        for role in roles {
            let mut object = super::legacy_roles::json_of(tenant, &role);
            object["@odata.type"] = json!("#microsoft.graph.directoryRole");
            objects.push(object);
        }
    }
    let shape = Shape { context: "directoryObjects", known: properties::MEMBERSHIP, reference: true, ..Shape::PLAIN };
    collection(context.call, shape, objects)
}

/// Graph answers a cast to groups over more than one level from the index only.
pub(super) fn only_from_the_index(context: &Context<'_>) -> Result<(), GraphError> {
    let counted = context.call.query.iter().any(|(name, value)| name == "$count" && value == "true");
    if context.call.eventual() && counted {
        Ok(())
    } else {
        Err(GraphError::unsupported_query(
            "The OData cast needs the $count=true query parameter and the ConsistencyLevel:eventual header.",
        ))
    }
}

/// A user with all properties Graph has for it here.
pub(super) fn json_of(user: &User) -> Value {
    let mut object = Map::new();
    for name in KNOWN {
        let value = match *name {
            "extensions" | "memberOf" => continue,
            "id" => json!(user.id),
            "accountEnabled" => json!(user.account_enabled),
            "displayName" => json!(user.display_name),
            "userPrincipalName" => json!(user.user_principal_name),
            "createdDateTime" => json!(graph_time(user.created)),
            "deletedDateTime" => json!(user.deleted.map(graph_time)),
            "lastPasswordChangeDateTime" => json!(graph_time(user.password_set)),
            "signInSessionsValidFromDateTime" => json!(graph_time(user.sessions_valid_from)),
            "passwordProfile" => Value::Null,
            "onPremisesExtensionAttributes" => {
                let mut all: Map<String, Value> =
                    (1..=15).map(|n| (format!("extensionAttribute{n}"), Value::Null)).collect();
                if let Some(Value::Object(set)) = user.attributes.get(*name) {
                    all.extend(set.clone());
                }
                Value::Object(all)
            }
            "assignedLicenses" | "assignedPlans" | "businessPhones" | "identities" | "imAddresses" | "otherMails"
            | "proxyAddresses" => user.attributes.get(*name).cloned().unwrap_or_else(|| json!([])),
            other => user.attributes.get(other).cloned().unwrap_or(Value::Null),
        };
        object.insert((*name).to_owned(), value);
    }
    for (name, value) in user.attributes.iter().filter(|(name, _)| name.starts_with("extension_")) {
        object.insert(name.clone(), value.clone());
    }
    Value::Object(object)
}

fn expanded(tenant: &Tenant, user: &User, query: &Query) -> Value {
    let mut object = json_of(user);
    if query.expand.iter().any(|name| name == "extensions") {
        object["extensions"] =
            user.extensions.iter().map(|(name, members)| super::extensions::json_of(name, members)).collect();
    }
    if query.expand.iter().any(|name| name == "memberOf") {
        object["memberOf"] = tenant.groups_of(&user.id).into_iter().map(super::groups::json_of).collect();
    }
    object
}

/// The members that a password profile has, with values of their types.
fn check_profile(profile: &Map<String, Value>) -> Result<(), GraphError> {
    for (name, value) in profile {
        let fits = match name.as_str() {
            "password" => value.is_string() || value.is_null(),
            "forceChangePasswordNextSignIn" | "forceChangePasswordNextSignInWithMfa" => {
                value.is_boolean() || value.is_null()
            }
            "@odata.type" => true,
            _ => false,
        };
        if !fits {
            return Err(GraphError::invalid_value("passwordProfile"));
        }
    }
    Ok(())
}

fn set_password(user: &mut User, profile: &Map<String, Value>, context: &Context<'_>) {
    let flag = |name: &str| profile.get(name).and_then(Value::as_bool);
    if let Some(password) = profile.get("password").and_then(Value::as_str) {
        user.password = Some(password.to_owned());
        user.password_set = context.now;
        user.password_moment = context.moment;
        user.wrong_passwords = 0;
        user.locked_until = None;
        // Unless told otherwise Entra wants a new password at the next sign-in.
        user.must_change_password = true;
    }
    if let Some(must) = flag("forceChangePasswordNextSignIn") {
        user.must_change_password = must || flag("forceChangePasswordNextSignInWithMfa") == Some(true);
    }
}

/// Copies the properties that have no meaning of their own here; refuses what cannot be set.
fn apply(user: &mut User, body: &Map<String, Value>) -> Result<(), GraphError> {
    for (name, value) in body {
        match name.as_str() {
            "accountEnabled" | "userPrincipalName" | "passwordProfile" | "@odata.type" => {}
            "displayName" => {
                if value.as_str().is_none_or(|text| text.is_empty() || text.chars().count() > 256) {
                    return Err(GraphError::invalid_value(name));
                }
            }
            "id"
            | "createdDateTime"
            | "creationType"
            | "deletedDateTime"
            | "extensions"
            | "lastPasswordChangeDateTime"
            | "memberOf"
            | "onPremisesSyncEnabled"
            | "signInSessionsValidFromDateTime"
            | "assignedLicenses"
            | "assignedPlans"
            | "securityIdentifier"
            | "proxyAddresses"
            | "imAddresses" => {
                return Err(GraphError::bad_request(format!("Property '{name}' is read-only and cannot be set.")));
            }
            "onPremisesExtensionAttributes" => {
                let set = value.as_object().ok_or_else(|| GraphError::invalid_value(name))?;
                let stored = user.attributes.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
                for (attribute, text) in set.iter().filter(|(attribute, _)| *attribute != "@odata.type") {
                    let fits = text.is_null() || text.as_str().is_some_and(|text| text.chars().count() <= 1024);
                    if !is_extension_attribute(attribute) || !fits {
                        return Err(GraphError::invalid_value(attribute));
                    }
                    stored[attribute] = text.clone();
                }
            }
            other if is_extension(other) => {
                user.attributes.insert(name.clone(), value.clone());
            }
            other if KNOWN.contains(&other) => {
                if !fits(other, value) {
                    return Err(GraphError::invalid_value(name));
                }
                user.attributes.insert(name.clone(), value.clone());
            }
            other => {
                return Err(GraphError::bad_request(format!(
                    "One or more property values specified are invalid: the property '{other}' does not exist on type \
                     'microsoft.graph.user'."
                )));
            }
        }
    }
    Ok(())
}

/// Whether a property can have this value.
fn fits(property: &str, value: &Value) -> bool {
    let text = |longest: usize| value.is_null() || value.as_str().is_some_and(|text| text.chars().count() <= longest);
    match property {
        "mailNickname" => value.as_str().is_some_and(|text| {
            (1..=64).contains(&text.len())
                && text.is_ascii()
                && !text.contains(|c: char| r#"@()\[]";:<>, "#.contains(c))
        }),
        "employeeId" => text(16),
        "givenName" | "surname" | "department" | "companyName" => text(64),
        "usageLocation" => {
            value.is_null()
                || value.as_str().is_some_and(|text| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()))
        }
        "userType" => value.is_null() || matches!(value.as_str(), Some("Member" | "Guest")),
        "passwordPolicies" => {
            let known =
                |word: &str| matches!(word.trim(), "None" | "DisablePasswordExpiration" | "DisableStrongPassword");
            value.is_null() || value.as_str().is_some_and(|text| text.split(',').all(known))
        }
        "showInAddressList" => value.is_boolean() || value.is_null(),
        "businessPhones" | "otherMails" => value
            .as_array()
            .is_some_and(|all| all.iter().all(Value::is_string) && (property == "otherMails" || all.len() <= 1)),
        "identities" => value.as_array().is_some_and(|all| all.iter().all(Value::is_object)),
        _ => text(256),
    }
}

fn is_extension(name: &str) -> bool {
    name.starts_with("extension_") || (name.starts_with("ext") && name.contains('_'))
}

fn federated(tenant: &Tenant, name: &str) -> bool {
    tenant.domain_of(name).is_some_and(|domain| domain.kind != DomainKind::Managed)
}

pub(super) fn check_user_name(tenant: &Tenant, name: &str, own_id: Option<&str>) -> Result<(), GraphError> {
    let local = name.rsplit_once('@').map(|(local, _)| local).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "'.-_!#^~".contains(c);
    let well_formed = !local.is_empty() && local.len() <= 64 && local.chars().all(allowed) && !local.ends_with('.');
    if !well_formed {
        return Err(GraphError::invalid_value("userPrincipalName"));
    }
    if !tenant.domain_of(name).is_some_and(|domain| domain.verified) {
        return Err(GraphError::bad_request(
            "The domain portion of the userPrincipalName property is invalid. You must use one of the verified domain \
             names in your organization.",
        ));
    }
    let taken = tenant
        .users
        .values()
        .any(|user| user.user_principal_name.eq_ignore_ascii_case(name) && Some(user.id.as_str()) != own_id);
    if taken { Err(GraphError::taken("userPrincipalName")) } else { Ok(()) }
}

fn check_password(tenant: &Tenant, name: &str, password: &str, policies: &str) -> Result<(), GraphError> {
    let refused = || {
        GraphError::bad_request(
            "The specified password does not comply with password complexity requirements. Please provide a different \
             password.",
        )
    };
    let length = password.chars().count();
    let classes = [
        password.chars().any(|c| c.is_ascii_lowercase()),
        password.chars().any(|c| c.is_ascii_uppercase()),
        password.chars().any(|c| c.is_ascii_digit()),
        password.chars().any(|c| !c.is_alphanumeric()),
    ];
    let strong = classes.iter().filter(|there| **there).count() >= 3;
    if !(8..=256).contains(&length) || (!strong && !policies.contains("DisableStrongPassword")) {
        return Err(refused());
    }
    let lower = password.to_lowercase();
    let local = name.split('@').next().unwrap_or_default().to_lowercase();
    let company = tenant.display_name.to_lowercase();
    let banned = BANNED.iter().any(|word| lower.contains(word))
        || (local.len() > 3 && lower.contains(&local))
        || (company.len() > 3 && lower.contains(&company));
    if banned {
        return Err(GraphError::bad_request(
            "The specified password contains words or patterns that are banned by your organization. Please provide a \
             different password.",
        ));
    }
    Ok(())
}
