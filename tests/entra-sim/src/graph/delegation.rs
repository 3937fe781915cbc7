//! What a signed-in person may do through an application: never more than the application was granted, and never more
//! than the person's own directory roles allow. Applications that act by themselves are not asked here.
//!
//! Facts: Microsoft Entra built-in roles; consent and permissions overview. Where a role covers a part of an operation
//! only, the stricter reading is taken.

use super::{Context, GraphError};
use crate::directory::{Tenant, roles};

/// Roles that may read policies and logs.
const READERS: &[&str] =
    &["Global Reader", "Security Reader", "Security Administrator", "Conditional Access Administrator"];

/// Refuses what the person behind the token may not do.
///
/// # Errors
/// 403.
pub fn check(tenant: &Tenant, context: &Context<'_>) -> Result<(), GraphError> {
    if !context.caller.is_delegated() {
        return Ok(());
    }
    let segments: Vec<&str> = context.call.segments.iter().map(String::as_str).collect();
    let reads = context.call.method == "GET";
    let enough: &[&str] = match segments.as_slice() {
        ["users", _, "authentication", ..] => {
            &["Authentication Administrator", "Privileged Authentication Administrator"]
        }
        ["policies" | "identity" | "auditLogs", ..] if reads => READERS,
        _ if reads => return Ok(()),
        // By default every member may register applications; whoever does owns them.
        ["applications"] => return Ok(()),
        ["applications", key, ..] if owns(tenant, context, key) => return Ok(()),
        ["servicePrincipals", _, "appRoleAssignedTo" | "appRoleAssignments", ..] => &["Privileged Role Administrator"],
        ["applications" | "servicePrincipals", ..] => &["Application Administrator", "Cloud Application Administrator"],
        ["roleManagement" | "directoryRoles", ..] => &["Privileged Role Administrator"],
        ["users" | "directory", ..] => &["User Administrator", "Privileged Authentication Administrator"],
        ["groups", ..] => &["Groups Administrator", "User Administrator", "Privileged Role Administrator"],
        ["policies", ..] => &["Authentication Policy Administrator"],
        _ => &[],
    };
    if holds_one(tenant, context, enough) { Ok(()) } else { Err(GraphError::denied()) }
}

fn owns(tenant: &Tenant, context: &Context<'_>, key: &str) -> bool {
    tenant
        .applications
        .iter()
        .any(|known| known.object_id.eq_ignore_ascii_case(key) && known.owners.contains(&context.caller.oid))
}

fn holds_one(tenant: &Tenant, context: &Context<'_>, enough: &[&str]) -> bool {
    tenant.roles_of(&context.caller.oid, context.now).iter().any(|held| {
        held == roles::GLOBAL_ADMINISTRATOR
            || enough.iter().filter_map(|name| roles::by_name(name)).any(|role| role.id == held)
    })
}
