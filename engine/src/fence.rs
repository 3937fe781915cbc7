//! The second fence: roles that Microsoft takes back by itself when a lease is over, whatever becomes of this machine.
//!
//! Where the tenant has the licence for Privileged Identity Management (Entra ID P2 or ID Governance), a lease's roles
//! are assigned with an end. It is a second fence and never the first: the lease is ended by us all the same, and where
//! the service refuses, the role is assigned without an end, which is remembered for a day. A lease shorter than five
//! minutes gets plain roles: the service neither assigns for less nor takes back earlier. A lease that is extended has
//! the end of its roles moved (`adminUpdate`); where that is refused they end when they were to end at first.
//!
//! Memberships of groups have no such fence. The service has one for them too, but it takes a permission of its own
//! (PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup) beyond the documented ones and each group to be brought under
//! it; no enabled feature uses either. What ends a membership when this machine is gone is the credential's own end.
//!
//! Facts: Microsoft Graph, unifiedRoleAssignmentScheduleRequest: its actions, AadPremiumLicenseRequired,
//! ActiveDurationTooShort.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    EngineError,
    engine::Shared,
    graph::{self, Capabilities, Priority, Session},
    plan::Ends,
    store::{LeaseRow, TenantRow},
};

/// In minutes.
const SHORTEST: u32 = 5;
/// A tenant that has no licence may have got one since, in milliseconds.
const ASK_AGAIN: i64 = 86_400_000;

/// Whether the roles of a lease that lasts so many minutes are to end by themselves.
pub(crate) fn wanted(shared: &Shared, tenant: &TenantRow, minutes: u32) -> bool {
    let rules = shared.policy().rules(tenant.identity());
    minutes >= SHORTEST && tenant.timed_roles == Some(true) && rules.timed_roles.unwrap_or(true)
}

/// When the last lease that needs a role is over, for each role.
pub(crate) fn ends(live: &[&LeaseRow]) -> Ends {
    let mut ends = BTreeMap::new();
    for lease in live {
        for role in &lease.roles {
            let end = ends.entry(role.id).or_insert(lease.until);
            *end = lease.until.max(*end);
        }
    }
    ends
}

/// Whether it is time to find out (again) if roles can end by themselves in the tenant.
pub(crate) fn is_due(tenant: &TenantRow, now: i64) -> bool {
    match (tenant.timed_roles, tenant.timed_roles_at) {
        (Some(true), _) => false,
        (Some(false), Some(at)) => !(0..ASK_AGAIN).contains(&(now - at)),
        _ => true,
    }
}

/// Finds out and remembers. That it cannot be found out changes nothing.
pub(crate) async fn find_out(
    shared: &Shared,
    tenant_id: Uuid,
    session: &Session,
    capabilities: &Capabilities,
) -> Result<(), EngineError> {
    let Some(application) = capabilities.object_id else { return Ok(()) };
    let answer = session.send(&graph::read_schedules(application), Priority::Low).await;
    let Some(allowed) = answer.ok().as_ref().and_then(graph::schedules_allowed) else { return Ok(()) };
    shared.store.remember_timed_roles(tenant_id, allowed, shared.clock.now()).await
}
