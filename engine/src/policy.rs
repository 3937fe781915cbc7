//! Who may get what, for how long, and on what conditions.
//!
//! Pure: no clock, no randomness, no input or output. What a person writes in the configuration is parsed elsewhere into
//! these types; what a tenant calls its roles is resolved elsewhere, live. Nothing here is a form's business: the engine
//! asks this module before every lease, whoever asked for the lease and through what.

mod limits;
mod power;
mod profiles;

pub use limits::{Decision, Limits, Refusal, Wish};
pub use profiles::{Entitled, Profile, STANDING_PROFILE, TenantIdentity};

use latchkey_protocol::CredentialKind;

use crate::{PasswordLength, Technician};

/// The group that everybody is in.
pub const ALL_ADMINS: &str = "All admins";

/// Everything that the configuration says about access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What holds in every tenant.
    pub everywhere: Rules,
    /// What holds in single tenants; what is set there takes the place of what is set for every tenant.
    pub tenants: Vec<TenantRules>,
    /// Which group may get what.
    pub entitlements: Vec<Entitlement>,
    /// Everybody who is known, the one who works here among them.
    pub technicians: Vec<Technician>,
    /// Whether nobody else may get anything even when the list is empty: it was read from somewhere, and nobody is
    /// left on it.
    pub only_listed: bool,
    /// For how many minutes it is remembered that the person at this machine was verified; 8 hours unless set.
    pub verification_minutes: Option<u32>,
}

/// A rule: technicians in a group may get these roles and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// The technicians' group; [`ALL_ADMINS`] is everybody. Compared without regard to case.
    pub group: String,
    /// In which tenants: names, domains or directory ids; in all of them when empty.
    pub tenants: Vec<TenantName>,
    /// What the technician chooses by, e.g. `Helpdesk`. Entitlements of one technician in one tenant that have the same
    /// profile are one: their roles and groups together.
    pub profile: String,
    /// Display names or ids of directory roles, built-in or custom.
    pub roles: Vec<String>,
    /// Display names or ids of groups of the customer's tenant.
    pub groups: Vec<String>,
    /// The longest a lease with this profile may last, in minutes, if shorter than the tenant's maximum.
    pub maximum_minutes: Option<u32>,
}

/// How a person names a tenant: by its name, one of its domains, or its directory id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantName(pub String);

/// What holds in one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRules {
    /// Which tenant.
    pub tenant: TenantName,
    /// What is set for it.
    pub rules: Rules,
}

/// Conditions and limits, each of which may be left unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How long a lease lasts unless asked otherwise, in minutes.
    pub minutes: Option<u32>,
    /// The longest a lease may last, extensions included, in minutes.
    pub maximum_minutes: Option<u32>,
    /// How many leases one technician may have open at once, in all tenants together.
    pub leases_at_once: Option<u32>,
    /// Whether a reason must be given.
    pub reason_required: Option<bool>,
    /// What a ticket number must look like; a ticket must be given when this is set.
    pub ticket: Option<TicketPattern>,
    /// Whose account a lease activates.
    pub login: Option<LoginMode>,
    /// How long passwords are.
    pub password_length: Option<PasswordLength>,
    /// Whether roles are assigned so that Microsoft ends them by itself, where the tenant has the licence for that;
    /// yes unless set.
    pub timed_roles: Option<bool>,
    /// What leases are to sign in with at best; the best that there is unless set.
    pub credential: Option<CredentialKind>,
    /// How long passkeys live; they are kept unless set.
    pub passkeys: Option<PasskeyLife>,
    /// Whether accounts are given hardware OATH tokens through the beta of Microsoft Graph; no unless set.
    pub one_time_codes_beta: Option<bool>,
}

/// How long passkeys live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasskeyLife {
    /// On the dormant account, from one lease to the next.
    #[default]
    Kept,
    /// Made for one lease and deleted at its end.
    PerLease,
}

/// Whose account a lease activates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LoginMode {
    /// The technician's own.
    #[default]
    Individual,
    /// One for everybody, which stays active until the last of its leases ends.
    Shared {
        /// What stands in its name after the prefix, e.g. `helpdesk`.
        local_part: String,
    },
}

impl Policy {
    /// What holds in the tenant. Where several rules name it, the last one counts.
    #[must_use]
    pub fn rules(&self, tenant: TenantIdentity<'_>) -> Rules {
        let TenantIdentity { tenant_id, name, domains } = tenant;
        let of_tenant = self.tenants.iter().filter(|rules| rules.tenant.names(tenant_id, name, domains));
        of_tenant.fold(self.everywhere.clone(), |wider, narrower| narrower.rules.within(&wider))
    }
}

impl TenantName {
    /// Whether the tenant with this id, name and domains is meant.
    #[must_use]
    pub fn names(&self, tenant_id: uuid::Uuid, name: &str, domains: &[String]) -> bool {
        let said = self.0.trim();
        said.eq_ignore_ascii_case(name)
            || said.parse::<uuid::Uuid>().is_ok_and(|id| id == tenant_id)
            || domains.iter().any(|domain| said.eq_ignore_ascii_case(domain))
    }
}

impl Rules {
    /// These rules, with what they leave unset taken from `wider` ones.
    #[must_use]
    pub fn within(&self, wider: &Self) -> Self {
        Self {
            minutes: self.minutes.or(wider.minutes),
            maximum_minutes: self.maximum_minutes.or(wider.maximum_minutes),
            leases_at_once: self.leases_at_once.or(wider.leases_at_once),
            reason_required: self.reason_required.or(wider.reason_required),
            ticket: self.ticket.clone().or_else(|| wider.ticket.clone()),
            login: self.login.clone().or_else(|| wider.login.clone()),
            password_length: self.password_length.or(wider.password_length),
            timed_roles: self.timed_roles.or(wider.timed_roles),
            passkeys: self.passkeys.or(wider.passkeys),
            one_time_codes_beta: self.one_time_codes_beta.or(wider.one_time_codes_beta),
            credential: self.credential.or(wider.credential),
        }
    }
}

/// What a ticket number must look like: a regular expression that must match the whole of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketPattern(String);

impl TicketPattern {
    /// Parses a regular expression.
    ///
    /// # Errors
    /// Why it is none, in the words of the parser.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        regex_lite::Regex::new(pattern).map(|_| Self(pattern.to_owned())).map_err(|error| error.to_string())
    }

    /// The regular expression, to be shown to people.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether all of `ticket` fits.
    #[must_use]
    pub fn fits(&self, ticket: &str) -> bool {
        // Anchored here and not by the person: a pattern that fits somewhere inside would let anything through.
        regex_lite::Regex::new(&format!("^(?:{})$", self.0)).is_ok_and(|pattern| pattern.is_match(ticket))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_ticket_must_fit_as_a_whole() {
        let pattern = TicketPattern::parse("INC-[0-9]{4}|T[0-9]+").unwrap();
        assert!(pattern.fits("INC-1042") && pattern.fits("T7"));
        for ticket in ["", "INC-10421", "see INC-1042", "INC-1042\nT", "t7"] {
            assert!(!pattern.fits(ticket), "{ticket}");
        }
        assert!(TicketPattern::parse("(").is_err());
    }

    #[test]
    fn what_a_tenant_sets_takes_the_place_of_what_holds_everywhere() {
        let everywhere = Rules { minutes: Some(240), reason_required: Some(true), ..Rules::default() };
        let tenant = Rules { minutes: Some(60), ..Rules::default() };
        let rules = tenant.within(&everywhere);
        assert_eq!((rules.minutes, rules.reason_required, rules.maximum_minutes), (Some(60), Some(true), None));
    }
}
