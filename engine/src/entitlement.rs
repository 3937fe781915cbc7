//! From what a technician asks for to what a lease grants: which profile, on what limits, which roles and groups.
//!
//! Every lease goes through here, whoever asks and through what. What is decided is `policy`'s; here it is given what
//! the store and the directory know.

use latchkey_protocol::ProfileSummary;
use uuid::Uuid;

use crate::{
    Decision, EngineError, Entitled, Failure, Limits, Policy, Profile, Refusal, Role, Rules, STANDING_PROFILE,
    StartLease, Technician, Wish,
    engine::Shared,
    store::{LeaseRow, NameKind, TenantRow},
};

/// A profile that the technician may have in a tenant.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) profile: String,
    pub(crate) limits: Limits,
    /// What it grants by the names of the configuration; none where what was said at the connecting counts.
    named: Option<Profile>,
}

/// What a lease grants.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) roles: Vec<Role>,
    pub(crate) groups: Vec<Uuid>,
}

impl Shared {
    /// The technician whom the caller names, or the one who works here.
    pub(crate) fn technician(&self, policy: &Policy, named: Option<&str>) -> Result<Technician, Failure> {
        let acting = &self.settings.technician;
        match named {
            None => Ok(policy.listed(acting).unwrap_or(acting).clone()),
            Some(said) => policy
                .technician_named(acting, said)
                .cloned()
                .ok_or_else(|| Failure::TechnicianUnknown(said.chars().take(100).collect())),
        }
    }
}

/// Every profile that the technician may have in the tenant, the least powerful first.
pub(crate) fn choices(policy: &Policy, tenant: &TenantRow, technician: &Technician) -> Vec<Choice> {
    let rules = policy.rules(tenant.identity());
    let choice = |profile: &str, named: Option<Profile>| Choice {
        profile: profile.to_owned(),
        limits: limits(&rules, tenant, named.as_ref()),
        named,
    };
    match policy.entitled(tenant.identity(), technician) {
        Entitled::NotListed => Vec::new(),
        Entitled::Standing => vec![choice(STANDING_PROFILE, None)],
        Entitled::To(profiles) => {
            profiles.into_iter().map(|profile| choice(&profile.name.clone(), Some(profile))).collect()
        }
    }
}

fn limits(rules: &Rules, tenant: &TenantRow, profile: Option<&Profile>) -> Limits {
    let of_profile = profile.and_then(|profile| profile.maximum_minutes);
    Limits::of(rules, tenant.minutes, tenant.maximum_minutes, of_profile)
}

/// The profile that is asked for, or the least powerful one.
pub(crate) fn choose(
    policy: &Policy,
    tenant: &TenantRow,
    technician: &Technician,
    asked: Option<&str>,
) -> Result<Choice, Failure> {
    let mut choices = choices(policy, tenant, technician);
    if choices.is_empty() {
        return Err(Failure::NotEntitled { technician: technician.name.clone() });
    }
    let Some(asked) = asked.map(str::trim).filter(|asked| !asked.is_empty()) else { return Ok(choices.swap_remove(0)) };
    match choices.iter().position(|choice| choice.profile.eq_ignore_ascii_case(asked)) {
        Some(place) => Ok(choices.swap_remove(place)),
        None => Err(Failure::ProfileUnknown {
            name: asked.chars().take(100).collect(),
            known: choices.into_iter().map(|choice| choice.profile).collect(),
        }),
    }
}

impl Choice {
    /// Whether a lease may begin, and for how many minutes. `open`: how many leases the technician has.
    pub(crate) fn decide(&self, start: &StartLease, open: u32) -> Result<u32, Failure> {
        let wish =
            Wish { minutes: start.minutes, reason: start.reason.as_deref(), ticket: start.ticket.as_deref(), open };
        answer(self.limits.decide(wish))
    }

    /// Whether an open lease that is asked for again would be allowed so long. Its reason and ticket were given.
    pub(crate) fn decide_again(&self, start: &StartLease) -> Result<u32, Failure> {
        let limits = Limits { leases_at_once: None, reason_required: false, ticket: None, ..self.limits.clone() };
        answer(limits.decide(Wish { minutes: start.minutes, ..Wish::default() }))
    }

    /// What a lease with it grants. The directory is asked for names that are not known.
    pub(crate) async fn share(&self, shared: &Shared, tenant: &TenantRow) -> Result<Share, EngineError> {
        let Some(profile) = &self.named else {
            return Ok(Share { roles: tenant.roles.clone(), groups: tenant.groups.clone() });
        };
        let resolved = shared.resolve(tenant, &profile.roles, &profile.groups).await?;
        let mut share = Share { roles: Vec::new(), groups: Vec::new() };
        for said in &profile.roles {
            let role = resolved.role(said).ok_or_else(|| resolved.refusal(NameKind::Role, said))?;
            // One role may be named twice: by its name and by its id.
            if !share.roles.contains(&role) {
                share.roles.push(role);
            }
        }
        for said in &profile.groups {
            let group = resolved.group(said).ok_or_else(|| resolved.refusal(NameKind::Group, said))?;
            if !share.groups.contains(&group) {
                share.groups.push(group);
            }
        }
        Ok(share)
    }

    /// The profile as the technician sees it.
    pub(crate) fn summary(&self, tenant: &TenantRow) -> ProfileSummary {
        let (roles, groups) = match &self.named {
            Some(profile) => (profile.roles.clone(), profile.groups.clone()),
            None => (
                tenant.roles.iter().map(|role| role.name.clone()).collect(),
                tenant.groups.iter().map(ToString::to_string).collect(),
            ),
        };
        ProfileSummary {
            name: self.profile.clone(),
            roles,
            groups,
            minutes: self.limits.minutes,
            maximum_minutes: self.limits.maximum_minutes,
        }
    }
}

/// Whether the lease's technician may not have it any more, and why.
pub(crate) fn lost(policy: &Policy, acting: &Technician, tenant: &TenantRow, lease: &LeaseRow) -> Option<&'static str> {
    let listed = policy.technicians.iter().chain(std::iter::once(acting)).find(|known| known.is(&lease.technician));
    let Some(technician) = listed.and_then(|technician| policy.listed(technician)) else {
        // Without a list nothing is known about anybody but the one who works here.
        let there_is_a_list = policy.only_listed || !policy.technicians.is_empty();
        return there_is_a_list.then_some("the technician is not on the list any more");
    };
    let entitled = policy.entitled(tenant.identity(), technician);
    (!entitled.includes(&lease.profile)).then_some("the technician is not entitled to the profile any more")
}

pub(crate) fn answer(decision: Decision) -> Result<u32, Failure> {
    match decision {
        Decision::Granted { minutes } => Ok(minutes),
        Decision::Refused(refusal) => Err(refusal.into()),
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Duration { asked, maximum } => Self::DurationNotAllowed { asked, maximum },
            Refusal::Extension { asked, left, maximum } => Self::ExtensionNotAllowed { asked, left, maximum },
            Refusal::ReasonMissing => Self::ReasonMissing,
            Refusal::TicketMissing { pattern } => Self::TicketMissing { pattern: pattern.as_str().to_owned() },
            Refusal::TicketUnfit { ticket, pattern } => {
                Self::TicketUnfit { ticket, pattern: pattern.as_str().to_owned() }
            }
            Refusal::TooMany { limit } => Self::TooManyLeases { limit },
        }
    }
}
