//! Which profiles a technician has in a tenant.

use uuid::Uuid;

use super::{ALL_ADMINS, Entitlement, Policy, power::Strength};
use crate::Technician;

/// What everybody may get in a tenant that no entitlement of the configuration names.
pub const STANDING_PROFILE: &str = "Standard";

/// What tells a tenant from others, for rules that name it.
#[derive(Clone, Copy, Debug)]
pub struct TenantIdentity<'a> {
    /// Directory (tenant) id.
    pub tenant_id: Uuid,
    /// What people call it.
    pub name: &'a str,
    /// Its verified domains.
    pub domains: &'a [String],
}

/// One way of working in a tenant: what a lease with it grants, by the names that the configuration gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What the technician chooses by.
    pub name: String,
    /// Display names or ids of directory roles.
    pub roles: Vec<String>,
    /// Display names or ids of groups.
    pub groups: Vec<String>,
    /// The longest a lease may last, in minutes, if that is shorter than the tenant's maximum.
    pub maximum_minutes: Option<u32>,
}

/// What a technician may get in a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entitled {
    /// Nothing: the configuration lists the technicians, and this is none of them (any more).
    NotListed,
    /// No entitlement names the tenant: what was said when it was connected, as [`STANDING_PROFILE`].
    Standing,
    /// These, the least powerful first; none when no entitlement is for the technician.
    To(Vec<Profile>),
}

impl Entitled {
    /// Whether a lease with this profile may go on.
    #[must_use]
    pub fn includes(&self, profile: &str) -> bool {
        match self {
            Self::NotListed => false,
            Self::Standing => profile.eq_ignore_ascii_case(STANDING_PROFILE),
            Self::To(profiles) => profiles.iter().any(|known| known.name.eq_ignore_ascii_case(profile)),
        }
    }
}

impl Policy {
    /// The technician as the configuration knows her or him; as given when it lists nobody. `None`: on no list.
    #[must_use]
    pub fn listed<'a>(&'a self, technician: &'a Technician) -> Option<&'a Technician> {
        if self.technicians.is_empty() && !self.only_listed {
            return Some(technician);
        }
        self.technicians.iter().find(|listed| listed.is(&technician.local_part))
    }

    /// The technician whom a person means by a name or a local part.
    #[must_use]
    pub fn technician_named<'a>(&'a self, acting: &'a Technician, said: &str) -> Option<&'a Technician> {
        let said = said.trim();
        let everybody = || self.technicians.iter().chain(std::iter::once(acting));
        everybody()
            .find(|technician| technician.name.trim().eq_ignore_ascii_case(said))
            .or_else(|| everybody().find(|technician| technician.is(said)))
    }

    /// What the technician may get in the tenant.
    #[must_use]
    pub fn entitled(&self, tenant: TenantIdentity<'_>, technician: &Technician) -> Entitled {
        let Some(technician) = self.listed(technician) else { return Entitled::NotListed };
        let mut here = self.entitlements.iter().filter(|entitlement| entitlement.concerns(tenant)).peekable();
        if here.peek().is_none() {
            return Entitled::Standing;
        }
        let mut profiles: Vec<Profile> = Vec::new();
        for entitlement in here.filter(|entitlement| entitlement.is_for(technician)) {
            let same = |profile: &&mut Profile| profile.name.eq_ignore_ascii_case(&entitlement.profile);
            match profiles.iter_mut().find(same) {
                Some(profile) => profile.take_in(entitlement),
                None => {
                    let mut profile = Profile {
                        name: entitlement.profile.clone(),
                        roles: Vec::new(),
                        groups: Vec::new(),
                        maximum_minutes: None,
                    };
                    profile.take_in(entitlement);
                    profiles.push(profile);
                }
            }
        }
        profiles
            .sort_by_cached_key(|profile| (Strength::of(&profile.roles, &profile.groups), profile.name.to_lowercase()));
        Entitled::To(profiles)
    }

    /// Every entitlement that concerns a tenant, whoever it is for.
    pub fn entitlements_in<'a>(&'a self, tenant: TenantIdentity<'a>) -> impl Iterator<Item = &'a Entitlement> {
        self.entitlements.iter().filter(move |entitlement| entitlement.concerns(tenant))
    }

    /// Every role and every group that the configuration names for a tenant, whoever may get it.
    #[must_use]
    pub fn names_for(&self, tenant: TenantIdentity<'_>) -> (Vec<String>, Vec<String>) {
        let (mut roles, mut groups) = (Vec::new(), Vec::new());
        for entitlement in self.entitlements_in(tenant) {
            add(&mut roles, &entitlement.roles);
            add(&mut groups, &entitlement.groups);
        }
        (roles, groups)
    }
}

impl Profile {
    /// Roles and groups come together; of two limits the tighter one counts, because more power for longer is what
    /// neither rule said.
    fn take_in(&mut self, entitlement: &Entitlement) {
        add(&mut self.roles, &entitlement.roles);
        add(&mut self.groups, &entitlement.groups);
        self.maximum_minutes = match (self.maximum_minutes, entitlement.maximum_minutes) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

fn add(to: &mut Vec<String>, names: &[String]) {
    for name in names {
        let name = name.trim();
        if !to.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            to.push(name.to_owned());
        }
    }
}

impl Entitlement {
    fn concerns(&self, tenant: TenantIdentity<'_>) -> bool {
        self.tenants.is_empty()
            || self.tenants.iter().any(|named| named.names(tenant.tenant_id, tenant.name, tenant.domains))
    }

    fn is_for(&self, technician: &Technician) -> bool {
        let group = self.group.trim();
        group.eq_ignore_ascii_case(ALL_ADMINS)
            || technician.groups.iter().any(|member_of| member_of.trim().eq_ignore_ascii_case(group))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::{collection, prelude::*};

    use super::*;
    use crate::TenantName;

    const CONTOSO: TenantIdentity<'_> = TenantIdentity { tenant_id: Uuid::from_u128(1), name: "Contoso", domains: &[] };
    const FABRIKAM: TenantIdentity<'_> =
        TenantIdentity { tenant_id: Uuid::from_u128(2), name: "Fabrikam", domains: &[] };

    fn entitlement(group: &str, tenants: &[&str], profile: &str, roles: &[&str]) -> Entitlement {
        Entitlement {
            group: group.to_owned(),
            tenants: tenants.iter().map(|name| TenantName((*name).to_owned())).collect(),
            profile: profile.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            groups: Vec::new(),
            maximum_minutes: None,
        }
    }

    fn technician(local_part: &str, groups: &[&str]) -> Technician {
        Technician {
            name: format!("{local_part}@msp.example"),
            local_part: local_part.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    fn names(entitled: &Entitled) -> Vec<&str> {
        match entitled {
            Entitled::To(profiles) => profiles.iter().map(|profile| profile.name.as_str()).collect(),
            _ => unreachable!("entitlements decide"),
        }
    }

    #[test]
    fn without_an_entitlement_for_the_tenant_what_was_said_at_its_connecting_counts() {
        let mut policy = Policy::default();
        let alex = technician("alex", &[]);
        assert_eq!(policy.entitled(CONTOSO, &alex), Entitled::Standing);
        policy.entitlements.push(entitlement("Level 2", &["Fabrikam"], "Helpdesk", &["Helpdesk Administrator"]));
        assert_eq!(policy.entitled(CONTOSO, &alex), Entitled::Standing);
        // When any names it, the entitlements alone decide, also for those whom none is for.
        assert_eq!(policy.entitled(FABRIKAM, &alex), Entitled::To(Vec::new()));
        assert!(policy.entitled(CONTOSO, &alex).includes("standard"));
        assert!(!policy.entitled(FABRIKAM, &alex).includes("Helpdesk"));
    }

    #[test]
    fn profiles_come_with_the_least_powerful_first_and_groups_match_in_any_case() {
        let policy = Policy {
            entitlements: vec![
                entitlement("level 1", &[], "Everything", &["Global Administrator"]),
                entitlement("LEVEL 1", &["contoso"], "Helpdesk", &["Helpdesk Administrator"]),
                entitlement("all admins", &[], "Reports", &["Reports Reader"]),
                entitlement("Level 2", &[], "Exchange", &["Exchange Administrator"]),
            ],
            ..Policy::default()
        };
        let alex = technician("alex", &["Level 1"]);
        assert_eq!(names(&policy.entitled(CONTOSO, &alex)), ["Reports", "Helpdesk", "Everything"]);
        assert_eq!(names(&policy.entitled(FABRIKAM, &alex)), ["Reports", "Everything"]);
        assert_eq!(names(&policy.entitled(FABRIKAM, &technician("kim", &[]))), ["Reports"]);
    }

    #[test]
    fn entitlements_of_one_profile_are_one() {
        let mut first = entitlement("All admins", &[], "Helpdesk", &["Helpdesk Administrator"]);
        let mut second = entitlement("Level 1", &[], "HELPDESK", &["helpdesk administrator", "Exchange Administrator"]);
        (first.maximum_minutes, second.maximum_minutes) = (Some(120), Some(60));
        let policy = Policy { entitlements: vec![first, second], ..Policy::default() };
        let Entitled::To(profiles) = policy.entitled(CONTOSO, &technician("alex", &["Level 1"])) else {
            unreachable!("entitlements decide")
        };
        let [profile] = profiles.as_slice() else { unreachable!("they are one") };
        assert_eq!(profile.roles, ["Helpdesk Administrator", "Exchange Administrator"]);
        assert_eq!((profile.name.as_str(), profile.maximum_minutes), ("Helpdesk", Some(60)));
    }

    #[test]
    fn whoever_is_on_no_list_gets_nothing() {
        let mut policy = Policy { technicians: vec![technician("alex", &["Level 1"])], ..Policy::default() };
        assert_eq!(policy.entitled(CONTOSO, &technician("kim", &[])), Entitled::NotListed);
        assert_eq!(policy.entitled(CONTOSO, &technician("ALEX", &[])), Entitled::Standing);
        // The list says which groups, and not whoever asks.
        policy.entitlements.push(entitlement("Level 2", &[], "Everything", &["Global Administrator"]));
        assert_eq!(policy.entitled(CONTOSO, &technician("alex", &["Level 2"])), Entitled::To(Vec::new()));
        policy.technicians.clear();
        policy.only_listed = true;
        assert_eq!(policy.entitled(CONTOSO, &technician("alex", &["Level 2"])), Entitled::NotListed);
    }

    proptest! {
        /// One more entitlement never takes anything from anybody whom entitlements entitle already.
        #[test]
        fn entitlements_only_add(
            rules in collection::vec((0_usize..3, 0_usize..3, 0_usize..4), 1..8),
            member_of in collection::vec(0_usize..3, 0..3),
        ) {
            let groups = ["All admins", "Level 1", "Level 2"];
            let roles = ["Reports Reader", "Helpdesk Administrator", "User Administrator", "Global Administrator"];
            let made: Vec<_> = rules
                .iter()
                .map(|(group, profile, role)| {
                    entitlement(groups[*group], &[], ["A", "B", "C"][*profile], &[roles[*role]])
                })
                .collect();
            let person = technician("alex", &member_of.iter().map(|group| groups[*group]).collect::<Vec<_>>());
            let profiles = |count: usize| {
                let policy = Policy { entitlements: made[..count].to_vec(), ..Policy::default() };
                match policy.entitled(CONTOSO, &person) {
                    Entitled::To(profiles) => profiles,
                    _ => Vec::new(),
                }
            };
            let all = profiles(made.len());
            for profile in profiles(made.len() - 1) {
                let grown = all.iter().find(|other| other.name == profile.name).unwrap();
                prop_assert!(profile.roles.iter().all(|role| grown.roles.contains(role)));
            }
            prop_assert!(all.is_sorted_by_key(|profile| Strength::of(&profile.roles, &profile.groups)));
        }
    }
}
