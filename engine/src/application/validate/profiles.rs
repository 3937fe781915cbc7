//! What the policy lets anybody have in a tenant, against what the directory has.
//!
//! Every profile is looked at, whoever it is for: whoever asks for one tomorrow must not be the first to learn that a
//! group was deleted. Only reads.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Check, CheckState, group_check, unseen};
use crate::{
    EngineError, Entitlement, Failure, Inspection, STANDING_PROFILE,
    engine::Shared,
    graph::{Capabilities, Session},
    names::Resolved,
    store::{NameKind, TenantRow},
};

/// What a lease can grant in the tenant.
pub(super) struct Grant {
    pub(super) profile: String,
    pub(super) roles: BTreeSet<Uuid>,
    pub(super) groups: BTreeSet<Uuid>,
}

/// The profiles of a tenant.
#[derive(Default)]
pub(super) struct Profiles {
    pub(super) checks: Vec<Check>,
    pub(super) grants: Vec<Grant>,
    /// What of it means nothing, or nothing that a lease can grant, in the words of the checks.
    pub(super) refused: Vec<String>,
}

/// Whether leases of the tenant add anybody to a group.
pub(super) fn name_groups(shared: &Shared, tenant: &TenantRow) -> bool {
    let mut named = shared.policy().entitlements_in(tenant.identity()).peekable();
    if named.peek().is_none() { !tenant.groups.is_empty() } else { named.any(|one| !one.groups.is_empty()) }
}

/// Looks at all of them.
pub(super) async fn look(
    shared: &Shared,
    tenant: &TenantRow,
    inspection: &Inspection,
    session: &Session,
    capabilities: &Capabilities,
) -> Profiles {
    let named: Vec<_> = shared.policy().entitlements_in(tenant.identity()).collect();
    if named.is_empty() {
        return standing(tenant, inspection, session, capabilities).await;
    }
    let (roles, groups) = shared.policy().names_for(tenant.identity());
    // What was asked a moment ago is known; what means nothing is asked for again, for the reason.
    let resolved = match shared.resolve(tenant, &roles, &groups).await {
        Ok(resolved) => resolved,
        Err(error) => return Profiles { checks: vec![unseen("profile", &error)], ..Profiles::default() },
    };
    let mut profiles = Profiles::default();
    for entitlement in named {
        profiles.take_in(entitlement, &resolved);
    }
    profiles
}

/// What everybody gets in a tenant that no entitlement names.
async fn standing(
    tenant: &TenantRow,
    inspection: &Inspection,
    session: &Session,
    capabilities: &Capabilities,
) -> Profiles {
    let mut checks = Vec::new();
    for role in &tenant.roles {
        let known = inspection.roles.iter().any(|known| known.id == role.id);
        checks.push(if known {
            Check::good("role", role.name.clone())
        } else {
            let found = format!("{} is not a role of this tenant any more", role.name);
            Check::new("role", CheckState::Broken, found, Some("Choose another role for this tenant."))
        });
    }
    for group in &tenant.groups {
        checks.push(group_check(session, *group, capabilities).await);
    }
    let grant = Grant {
        profile: STANDING_PROFILE.to_owned(),
        roles: tenant.roles.iter().map(|role| role.id).collect(),
        groups: tenant.groups.iter().copied().collect(),
    };
    Profiles { checks, grants: vec![grant], refused: Vec::new() }
}

impl Profiles {
    fn take_in(&mut self, entitlement: &Entitlement, resolved: &Resolved) {
        let what = format!("{} for {}", entitlement.profile, entitlement.group.trim());
        let mut grant = Grant { profile: entitlement.profile.clone(), roles: BTreeSet::new(), groups: BTreeSet::new() };
        let mut gives = Vec::new();
        let mut sound = true;
        for said in &entitlement.roles {
            match resolved.role(said) {
                Some(role) => {
                    grant.roles.insert(role.id);
                    gives.push(role.name);
                }
                None => sound &= self.refuse(&what, resolved.refusal(NameKind::Role, said)),
            }
        }
        for said in &entitlement.groups {
            match resolved.group(said) {
                Some(group) => {
                    grant.groups.insert(group);
                    gives.push(format!("group {}", said.trim()));
                }
                None => sound &= self.refuse(&what, resolved.refusal(NameKind::Group, said)),
            }
        }
        if sound && gives.is_empty() {
            let found = format!("{what}: it grants neither a role nor a group");
            let step = "Name a role or a group in this entitlement in config.toml.";
            self.checks.push(Check::new("profile", CheckState::Broken, found, Some(step)));
        } else if sound {
            self.checks.push(Check::good("profile", format!("{what}: {}", gives.join(", "))));
        }
        self.grants.push(grant);
    }

    /// `false`, for whoever counts.
    fn refuse(&mut self, what: &str, failure: Failure) -> bool {
        let (sentence, step) = (failure.to_string(), failure.next_step());
        let found = format!("{what}: {sentence}");
        self.checks.push(Check::new("profile", CheckState::Broken, found, Some(&step)));
        self.refused.push(EngineError::from(failure).to_body().message);
        false
    }
}
