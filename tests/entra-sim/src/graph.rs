//! Graph v1.0 as its clients see it: one request in, one reply out, nothing asynchronous in between.
//!
//! This module knows the paths; each resource has its own file. Permissions, throttling and replication lag are
//! applied here, before a resource is asked, so that no resource can forget them. Facts come from the Microsoft Graph
//! reference.

pub mod applications;
pub mod audits;
pub mod delegation;
pub mod deleted;
pub mod delta;
pub mod error;
pub mod extensions;
pub mod groups;
pub mod legacy_roles;
pub mod oath;
pub mod passes;
pub mod passkeys;
pub mod permissions;
pub mod policies;
pub mod properties;
pub mod query;
pub mod roles;
pub mod schedules;
pub mod tenants;
pub mod users;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::clock::Moment;
use crate::directory::{Application, Group, SignInRecord, Tenant, User, roles as role_rules};
use crate::knobs::Knobs;
use crate::simulation::Simulation;
use crate::token::Claims;
pub use error::GraphError;

/// A request to Graph.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// HTTP method, upper case.
    pub method: String,
    /// `https://graph.microsoft.com/v1.0`: what absolute links start with.
    pub base: String,
    /// The `beta` endpoint was asked; it is served by the same code but not checked against the v1.0 schema.
    pub beta: bool,
    /// Path segments after the version, decoded, keys in parentheses split off.
    pub segments: Vec<String>,
    /// Query parameters, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, when there is one.
    pub body: Option<Value>,
    /// A request inside a `$batch`.
    pub in_batch: bool,
}

impl Call {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the client asked for the lagging index.
    #[must_use]
    pub fn eventual(&self) -> bool {
        self.header("consistencylevel").is_some_and(|value| value.eq_ignore_ascii_case("eventual"))
    }

    /// Sets path and query from `/users/…?…` (no version).
    pub fn set_target(&mut self, target: &str) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        self.query = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        self.segments =
            path.split('/').filter(|segment| !segment.is_empty()).flat_map(split_key).map(full_cast).collect();
    }

    fn object(&self) -> Result<&serde_json::Map<String, Value>, GraphError> {
        self.body
            .as_ref()
            .and_then(Value::as_object)
            .ok_or_else(|| GraphError::new(400, "BadRequest", "Empty Payload. JSON content expected."))
    }

    /// Refuses a member of the body that does not exist there.
    fn only(&self, known: &[&str]) -> Result<(), GraphError> {
        match self.object()?.keys().find(|name| *name != "@odata.type" && !known.contains(&name.as_str())) {
            Some(unknown) => Err(GraphError::bad_request(format!(
                "One or more property values specified are invalid: the property '{unknown}' does not exist here."
            ))),
            None => Ok(()),
        }
    }

    /// A string member of the body that must be there.
    fn required<'a>(&'a self, name: &str) -> Result<&'a str, GraphError> {
        self.object()?
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| GraphError::bad_request(format!("A value is required for property '{name}'.")))
    }
}

/// A cast may leave out the first word of the schema's name, as Microsoft's generated clients do: `graph.user` is
/// `microsoft.graph.user`.
fn full_cast(segment: String) -> String {
    if segment.starts_with("graph.") { format!("microsoft.{segment}") } else { segment }
}

/// `users('x')` is `users/x`, `delta()` is `delta`, `%40` is `@`.
fn split_key(segment: &str) -> Vec<String> {
    let decoded: String = url::form_urlencoded::parse(format!("v={}", segment.replace('+', "%2B")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    // A decoded `&` would have ended the value; segments with one are kept as they are.
    let decoded = if segment.contains("%26") || segment.contains('&') { segment.to_owned() } else { decoded };
    let Some((name, key)) = decoded.strip_suffix(')').and_then(|whole| whole.split_once('(')) else {
        return vec![decoded];
    };
    match key.split_once('=') {
        _ if key.is_empty() => vec![name.to_owned()],
        Some((key_name, value)) => vec![name.to_owned(), format!("{key_name}={}", value.trim_matches('\''))],
        None => vec![name.to_owned(), key.trim_matches('\'').to_owned()],
    }
}

/// What Graph answers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers besides the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// JSON body.
    pub body: Option<Value>,
}

impl Reply {
    /// 200 with a body.
    #[must_use]
    pub fn ok(body: Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: Some(body) }
    }

    /// 201 with a body.
    #[must_use]
    pub fn created(body: Value) -> Self {
        Self { status: 201, ..Self::ok(body) }
    }

    /// 204.
    #[must_use]
    pub fn nothing() -> Self {
        Self { status: 204, headers: Vec::new(), body: None }
    }
}

/// What a resource answers.
pub type Handled = Result<Reply, GraphError>;

/// Everything a resource may look at besides the tenant.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The simulation, for counters.
    pub sim: &'a Simulation,
    /// Who calls.
    pub caller: &'a Claims,
    /// The knobs at the start of this call.
    pub knobs: &'a Knobs,
    /// The request.
    pub call: &'a Call,
    /// Simulated time.
    pub now: Timestamp,
    /// Time since the start.
    pub moment: Moment,
    /// Whether the replica that answers this call is the quicker of two.
    pub ahead: bool,
    /// Every attempt to sign in, in all tenants.
    pub sign_ins: &'a [SignInRecord],
    /// The multi-tenant application that the body names by its `appId`, when another tenant (or Microsoft) owns it.
    pub published: Option<&'a Application>,
}

impl Context<'_> {
    /// Whether the token grants one of these application permissions.
    #[must_use]
    pub fn permitted(&self, any_of: &[&str]) -> bool {
        !self.knobs.permissions || any_of.iter().any(|name| self.caller.granted.contains(*name))
    }

    /// Refuses unless the token grants one of these.
    ///
    /// # Errors
    /// 403.
    pub fn need(&self, any_of: &[&str]) -> Result<(), GraphError> {
        if self.permitted(any_of) { Ok(()) } else { Err(GraphError::denied()) }
    }

    /// Whether an object made at `created` has arrived at the replica that answers this call.
    #[must_use]
    pub fn arrived(&self, created: Moment) -> bool {
        let lag = Duration::from_millis(self.knobs.create_lag_ms);
        let age = self.moment.saturating_sub(created);
        if lag.is_zero() || age >= lag * 2 {
            true
        } else if age < lag {
            false
        } else {
            !self.knobs.create_lag_intermittent || self.ahead
        }
    }

    /// A user by id or name, if it has arrived here.
    ///
    /// # Errors
    /// 404.
    pub fn user<'t>(&self, tenant: &'t Tenant, key: &str) -> Result<&'t User, GraphError> {
        tenant.user(key).filter(|user| self.arrived(user.created_moment)).ok_or_else(|| GraphError::not_found(key))
    }

    /// As [`Self::user`], to change it.
    ///
    /// # Errors
    /// 404.
    pub fn user_mut<'t>(&self, tenant: &'t mut Tenant, key: &str) -> Result<&'t mut User, GraphError> {
        let id = self.user(tenant, key)?.id.clone();
        tenant.users.get_mut(&id).ok_or_else(|| GraphError::not_found(key))
    }

    /// A group, if it has arrived here.
    ///
    /// # Errors
    /// 404.
    pub fn group<'t>(&self, tenant: &'t Tenant, id: &str) -> Result<&'t Group, GraphError> {
        tenant
            .groups
            .get(&id.to_ascii_lowercase())
            .filter(|group| self.arrived(group.created_moment))
            .ok_or_else(|| GraphError::not_found(id))
    }

    /// The sensitive-action rule: permissions alone do not let an app touch somebody who holds (or, until it has
    /// replicated, held) a role or belongs to a role-assignable group.
    ///
    /// # Errors
    /// 403.
    pub fn may_act_sensitively_on(&self, tenant: &Tenant, user: &User) -> Result<(), GraphError> {
        let lag = Duration::from_millis(self.knobs.role_removal_lag_ms);
        let still_privileged = user.privileges_ended.iter().any(|ended| self.moment < *ended + lag);
        let caller = tenant.roles_of(&self.caller.oid, self.now);
        let target = tenant.roles_of(&user.id, self.now);
        let grouped = still_privileged || tenant.in_role_assignable_group(&user.id);
        if role_rules::may_touch(&caller, &target, grouped) { Ok(()) } else { Err(GraphError::denied()) }
    }
}

/// Carries out one call in `tenant`: permission, then the resource.
///
/// # Errors
/// Graph's refusal.
pub fn carry_out(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let call = context.call;
    if let Some(permissions) = context.sim.permissions_for(&call.method, &call.segments) {
        let granted: &BTreeSet<String> = &context.caller.granted;
        // What no permission opens is for people only.
        let without = permissions.is_disjoint(granted) && !(permissions.is_empty() && context.caller.is_delegated());
        if context.knobs.permissions && without && !needs_none(tenant, context) {
            return Err(GraphError::denied());
        }
    }
    if context.knobs.permissions {
        delegation::check(tenant, context)?;
    }
    let mut reply = route(tenant, context)?;
    if call.method != "GET" && context.knobs.journal {
        context.sim.audits.note(tenant, context);
    }
    // What was made is shown with its context, wherever it was made.
    if reply.status == 201
        && let Some(members) = reply.body.as_mut().and_then(Value::as_object_mut)
    {
        let context = || format!("{}/$metadata#{}/$entity", call.base, call.segments.join("/"));
        members.entry("@odata.context").or_insert_with(|| Value::String(context()));
    }
    Ok(reply)
}

/// What is allowed without a permission of its own: an application's roll of its own keys, a person's look at herself.
fn needs_none(tenant: &Tenant, context: &Context<'_>) -> bool {
    let segments: Vec<&str> = context.call.segments.iter().map(String::as_str).collect();
    match (context.call.method.as_str(), segments.as_slice()) {
        ("POST", ["applications", key, "addKey" | "removeKey"]) => applications::is_own(tenant, context, key),
        ("GET", ["users", key] | ["users", key, "memberOf" | "transitiveMemberOf", ..]) => {
            context.caller.is_delegated() && *key == context.caller.oid && context.permitted(&["User.Read"])
        }
        _ => context.caller.is_delegated() && context.permitted(&["Directory.AccessAsUser.All"]),
    }
}

#[allow(clippy::too_many_lines)] // one table of paths is easier to check than several
fn route(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let segments: Vec<&str> = context.call.segments.iter().map(String::as_str).collect();
    let method = context.call.method.as_str();
    match (method, segments.as_slice()) {
        ("GET", ["organization"]) => tenants::organizations(tenant, context),
        ("GET", ["organization", id]) => tenants::organization(tenant, context, id),
        ("GET", ["domains"]) => tenants::domains(tenant, context),
        ("GET", ["domains", name]) => tenants::domain(tenant, context, name),
        ("GET", ["subscribedSkus"]) => tenants::subscribed_skus(tenant, context),

        ("GET", ["users"]) => users::list(tenant, context),
        ("POST", ["users"]) => users::create(tenant, context),
        ("GET", ["users", "$count"]) => users::count(tenant, context),
        ("GET", ["users", "delta"]) => delta::users(tenant, context),
        ("GET", ["users", key]) => users::get(tenant, context, key),
        ("PATCH", ["users", key]) => users::update(tenant, context, key),
        ("DELETE", ["users", key]) => users::delete(tenant, context, key),
        ("POST", ["users", key, "revokeSignInSessions"]) => users::revoke_sessions(tenant, context, key),
        ("POST", ["users", key, "getMemberObjects"]) => users::member_objects(tenant, context, key, true),
        ("POST", ["users", key, "getMemberGroups"]) => users::member_objects(tenant, context, key, false),
        ("POST", ["users", key, "checkMemberGroups"]) => users::check_members(tenant, context, key, "groupIds"),
        ("POST", ["users", key, "checkMemberObjects"]) => users::check_members(tenant, context, key, "ids"),
        ("GET", ["users", key, "memberOf"]) => users::member_of(tenant, context, key, None, false),
        ("GET", ["users", key, "memberOf", kind]) => users::member_of(tenant, context, key, Some(kind), false),
        ("GET", ["users", key, "transitiveMemberOf"]) => users::member_of(tenant, context, key, None, true),
        ("GET", ["users", key, "transitiveMemberOf", kind]) => users::member_of(tenant, context, key, Some(kind), true),

        ("GET", ["users", key, "extensions"]) => extensions::list(tenant, context, key),
        ("POST", ["users", key, "extensions"]) => extensions::create(tenant, context, key),
        ("GET", ["users", key, "extensions", name]) => extensions::get(tenant, context, key, name),
        ("PATCH", ["users", key, "extensions", name]) => extensions::update(tenant, context, key, name),
        ("DELETE", ["users", key, "extensions", name]) => extensions::delete(tenant, context, key, name),

        ("GET", ["users", key, "authentication", "methods"]) => passes::methods(tenant, context, key),
        ("GET", ["users", key, "authentication", "passwordMethods"]) => passes::password_methods(tenant, context, key),
        ("GET", ["users", key, "authentication", "temporaryAccessPassMethods"]) => passes::list(tenant, context, key),
        ("POST", ["users", key, "authentication", "temporaryAccessPassMethods"]) => {
            passes::create(tenant, context, key)
        }
        ("GET", ["users", key, "authentication", "temporaryAccessPassMethods", id]) => {
            passes::get(tenant, context, key, id)
        }
        ("DELETE", ["users", key, "authentication", "temporaryAccessPassMethods", id]) => {
            passes::delete(tenant, context, key, id)
        }
        ("GET", ["users", key, "authentication", "fido2Methods"]) => passkeys::list(tenant, context, key),
        ("POST", ["users", key, "authentication", "fido2Methods"]) => passkeys::register(tenant, context, key),
        ("GET", ["users", key, "authentication", "fido2Methods", "creationOptions"]) => {
            passkeys::creation_options(tenant, context, key, None)
        }
        ("GET", ["users", key, "authentication", "fido2Methods", "creationOptions", parameter]) => {
            passkeys::creation_options(tenant, context, key, Some(parameter))
        }
        ("GET", ["users", key, "authentication", "fido2Methods", id]) => passkeys::get(tenant, context, key, id),
        ("DELETE", ["users", key, "authentication", "fido2Methods", id]) => passkeys::delete(tenant, context, key, id),

        (_, ["users", key, "authentication", "hardwareOathMethods", rest @ ..]) => {
            oath::methods(tenant, context, key, rest)
        }
        (_, ["directory", "authenticationMethodDevices", "hardwareOathDevices", rest @ ..]) => {
            oath::devices(tenant, context, rest)
        }

        ("GET", ["directory", "deletedItems", "microsoft.graph.user"]) => deleted::list(tenant, context),
        ("GET", ["directory", "deletedItems", id]) => deleted::get(tenant, context, id),
        ("DELETE", ["directory", "deletedItems", id]) => deleted::purge(tenant, context, id),
        ("POST", ["directory", "deletedItems", id, "restore"]) => deleted::restore(tenant, context, id),

        ("GET", ["roleManagement", "directory", "roleDefinitions"]) => roles::definitions(tenant, context),
        ("GET", ["roleManagement", "directory", "roleDefinitions", id]) => roles::definition(tenant, context, id),
        ("GET", ["roleManagement", "directory", "roleAssignments"]) => roles::assignments(tenant, context),
        ("POST", ["roleManagement", "directory", "roleAssignments"]) => roles::assign(tenant, context),
        ("GET", ["roleManagement", "directory", "roleAssignments", id]) => roles::assignment(tenant, context, id),
        ("DELETE", ["roleManagement", "directory", "roleAssignments", id]) => roles::remove(tenant, context, id),
        ("GET", ["roleManagement", "directory", "roleAssignmentScheduleRequests"]) => {
            schedules::requests(tenant, context)
        }
        ("POST", ["roleManagement", "directory", "roleAssignmentScheduleRequests"]) => {
            schedules::request(tenant, context)
        }
        ("GET", ["roleManagement", "directory", "roleAssignmentScheduleRequests", id]) => {
            schedules::one_request(tenant, context, id)
        }
        ("GET", ["roleManagement", "directory", "roleAssignmentSchedules"]) => schedules::schedules(tenant, context),
        ("GET", ["roleManagement", "directory", "roleAssignmentScheduleInstances"]) => {
            schedules::instances(tenant, context)
        }

        ("GET", ["directoryRoleTemplates"]) => legacy_roles::templates(context),
        ("GET", ["directoryRoles"]) => legacy_roles::list(tenant, context),
        ("POST", ["directoryRoles"]) => legacy_roles::activate(tenant, context),
        ("GET", ["directoryRoles", key]) => legacy_roles::get(tenant, context, key),
        ("GET", ["directoryRoles", key, "members"]) => legacy_roles::members(tenant, context, key),
        ("POST", ["directoryRoles", key, "members", "$ref"]) => legacy_roles::add_member(tenant, context, key),
        ("DELETE", ["directoryRoles", key, "members", member, "$ref"]) => {
            legacy_roles::remove_member(tenant, context, key, member)
        }

        ("GET", ["groups"]) => groups::list(tenant, context),
        ("POST", ["groups"]) => groups::create(tenant, context),
        ("GET", ["groups", "$count"]) => groups::count(tenant, context),
        ("GET", ["groups", "delta"]) => delta::groups(tenant, context),
        ("GET", ["groups", id]) => groups::get(tenant, context, id),
        ("DELETE", ["groups", id]) => groups::delete(tenant, context, id),
        ("GET", ["groups", id, "owners"]) => groups::owners(tenant, context, id),
        ("PATCH", ["groups", id]) => groups::update(tenant, context, id),
        ("GET", ["groups", id, "members"]) => groups::members(tenant, context, id, false),
        ("GET", ["groups", id, "members", "microsoft.graph.user"]) => groups::members(tenant, context, id, false),
        ("GET", ["groups", id, "transitiveMembers"]) => groups::members(tenant, context, id, true),
        ("GET", ["groups", id, "transitiveMembers", "microsoft.graph.user"]) => {
            groups::members(tenant, context, id, true)
        }
        ("POST", ["groups", id, "members", "$ref"]) => groups::add_member(tenant, context, id),
        ("DELETE", ["groups", id, "members", member, "$ref"]) => groups::remove_member(tenant, context, id, member),
        // Without `/$ref` Graph deletes the member itself when permissions allow it.
        ("DELETE", ["groups", _, "members", member]) => users::delete(tenant, context, member),

        ("GET", ["policies", "authenticationMethodsPolicy"]) => policies::methods_policy(tenant, context),
        ("GET", ["policies", "authenticationMethodsPolicy", "authenticationMethodConfigurations"]) => {
            policies::configurations(tenant, context)
        }
        ("GET", ["policies", "authenticationMethodsPolicy", "authenticationMethodConfigurations", id]) => {
            policies::configuration(tenant, context, id)
        }
        ("PATCH", ["policies", "authenticationMethodsPolicy", "authenticationMethodConfigurations", id]) => {
            policies::update_configuration(tenant, context, id)
        }
        ("GET", ["policies", "identitySecurityDefaultsEnforcementPolicy"]) => {
            policies::security_defaults(tenant, context)
        }
        ("GET", ["identity", "conditionalAccess", "policies"]) => policies::conditional_access(tenant, context),
        ("GET", ["auditLogs", "signIns"]) => policies::sign_ins(tenant, context),
        ("GET", ["auditLogs", "directoryAudits"]) => audits::list(tenant, context),

        ("GET", ["applications"]) => applications::list(tenant, context),
        ("POST", ["applications"]) => applications::create(tenant, context),
        ("GET", ["applications", key]) => applications::get(tenant, context, key),
        ("PATCH", ["applications", key]) => applications::update(tenant, context, key),
        ("DELETE", ["applications", key]) => applications::delete(tenant, context, key),
        ("POST", ["applications", key, "addPassword"]) => applications::add_password(tenant, context, key),
        ("POST", ["applications", key, "removePassword"]) => applications::remove_password(tenant, context, key),
        ("POST", ["applications", key, "addKey"]) => applications::add_key(tenant, context, key),
        ("POST", ["applications", key, "removeKey"]) => applications::remove_key(tenant, context, key),
        ("GET", ["servicePrincipals"]) => applications::principals(tenant, context),
        ("POST", ["servicePrincipals"]) => applications::create_principal(tenant, context),
        ("GET", ["servicePrincipals", key]) => applications::principal(tenant, context, key),
        ("PATCH", ["servicePrincipals", key]) => applications::update_principal(tenant, context, key),
        ("DELETE", ["servicePrincipals", key]) => applications::delete_principal(tenant, context, key),
        ("GET", ["servicePrincipals", key, "appRoleAssignedTo"]) => applications::grants(tenant, context, key, true),
        ("POST", ["servicePrincipals", key, "appRoleAssignedTo"]) => applications::grant(tenant, context, key, true),
        ("GET", ["servicePrincipals", key, "appRoleAssignments"]) => applications::grants(tenant, context, key, false),
        ("POST", ["servicePrincipals", key, "appRoleAssignments"]) => applications::grant(tenant, context, key, false),
        ("DELETE", ["servicePrincipals", key, "appRoleAssignedTo" | "appRoleAssignments", id]) => {
            applications::revoke(tenant, context, key, id)
        }
        ("GET", ["oauth2PermissionGrants"]) => applications::delegated_grants(tenant, context),

        // Asked by other products' clients before they make an account; this tenant has none.
        ("GET", ["schemaExtensions"]) => query::collection(
            context.call,
            query::Shape { context: "schemaExtensions", ..query::Shape::PLAIN },
            Vec::new(),
        ),

        (_, [first, ..]) if is_resource(first) => Err(GraphError::new(
            405,
            "Request_BadRequest",
            format!("Specified HTTP method '{method}' is not allowed for the request target."),
        )),
        _ => Err(GraphError::no_such_segment(segments.last().copied().unwrap_or_default())),
    }
}

fn is_resource(first: &str) -> bool {
    matches!(
        first,
        "organization"
            | "domains"
            | "subscribedSkus"
            | "users"
            | "directory"
            | "roleManagement"
            | "directoryRoles"
            | "groups"
            | "policies"
            | "identity"
            | "auditLogs"
            | "applications"
            | "servicePrincipals"
            | "oauth2PermissionGrants"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_path() {
        let segments = |target: &str| {
            let mut call = Call::default();
            call.set_target(target);
            call.segments.join("|")
        };
        assert_eq!(segments("/users/jit%2Balex%40contoso.com"), "users|jit+alex@contoso.com");
        assert_eq!(segments("/users('1')/revokeSignInSessions()"), "users|1|revokeSignInSessions");
        assert_eq!(
            segments("/directoryRoles(roleTemplateId='x')/members/$ref"),
            "directoryRoles|roleTemplateId=x|members|$ref"
        );
        assert_eq!(segments("/directoryRoles/roleTemplateId=x"), "directoryRoles|roleTemplateId=x");
        assert_eq!(segments("/users/delta()?$select=id"), "users|delta");
        assert_eq!(segments("/directory/deletedItems/graph.user"), "directory|deletedItems|microsoft.graph.user");
    }
}
