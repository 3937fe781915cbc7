//! What the configuration says about break-glass accounts.

use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use crate::{ALL_ADMINS, EngineError, Failure, Technician, TenantName, store::TenantRow};

/// How many a tenant may have.
pub const MOST_BREAK_GLASS_ACCOUNTS: usize = 2;
/// What marks of break-glass accounts begin with. What makes JIT accounts dormant never touches an account that bears
/// such a mark.
pub const BREAK_GLASS_MARK: &str = "latchkey:break-glass:";

/// What stands before the `@` of a break-glass account's name, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct BreakGlassName(String);

impl BreakGlassName {
    /// Parses a name.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = text.trim().to_lowercase();
        let allowed = |character: char| character.is_ascii_alphanumeric() || "'.-_!#^~".contains(character);
        if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) || name.ends_with('.') {
            return Err(format!(
                "\"{text}\" cannot be the name of an account: letters, digits and '.-_!#^~ only, 64 characters at most"
            ));
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The mark that the account bears.
    #[must_use]
    pub fn mark(&self) -> String {
        format!("{BREAK_GLASS_MARK}{}", self.0)
    }
}

/// A break-glass account that tenants are to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakGlassSettings {
    /// In which tenant; in every one when absent. One for a tenant takes the place of one of the same name for all.
    pub tenant: Option<TenantName>,
    /// What stands before the `@`.
    pub name: BreakGlassName,
    /// Display names or ids of the directory roles that it always holds.
    pub roles: Vec<String>,
    /// Whether an account of that name that is there already may be taken over.
    pub take_over: bool,
    /// The technicians' groups whose members may see the password; nobody when empty.
    pub reveal: Vec<String>,
    /// How often the password is replaced.
    pub rotate_every: RotationInterval,
    /// How long after a reveal it is replaced.
    pub rotate_after_reveal: RevealInterval,
}

impl BreakGlassSettings {
    /// Settings for a Global Administrator in every tenant whose password nobody may see yet.
    #[must_use]
    pub fn new(name: BreakGlassName) -> Self {
        Self {
            tenant: None,
            name,
            roles: vec!["Global Administrator".to_owned()],
            take_over: false,
            reveal: Vec::new(),
            rotate_every: RotationInterval::default(),
            rotate_after_reveal: RevealInterval::default(),
        }
    }

    /// Whether the technician may see the password.
    #[must_use]
    pub fn may_reveal(&self, technician: &Technician) -> bool {
        self.reveal.iter().map(|group| group.trim()).any(|group| {
            group.eq_ignore_ascii_case(ALL_ADMINS)
                || technician.groups.iter().any(|mine| mine.trim().eq_ignore_ascii_case(group))
        })
    }
}

/// How often a password is replaced: every 1 to 720 hours, 24 unless set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationInterval(u32);

impl RotationInterval {
    /// So many hours, if that is allowed.
    #[must_use]
    pub fn hours(hours: u32) -> Option<Self> {
        (1..=720).contains(&hours).then_some(Self(hours))
    }

    /// As a length of time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64 * 3600)
    }
}

impl Default for RotationInterval {
    fn default() -> Self {
        Self(24)
    }
}

/// How long after a reveal a password is replaced: 1 to 1,440 minutes, 60 unless set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevealInterval(u32);

impl RevealInterval {
    /// So many minutes, if that is allowed.
    #[must_use]
    pub fn minutes(minutes: u32) -> Option<Self> {
        (1..=1440).contains(&minutes).then_some(Self(minutes))
    }

    /// As a length of time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64 * 60)
    }
}

impl Default for RevealInterval {
    fn default() -> Self {
        Self(60)
    }
}

/// Those that a tenant is to have. Two at most.
pub(crate) fn of_tenant<'a>(
    all: &'a [BreakGlassSettings],
    tenant: &TenantRow,
) -> Result<Vec<&'a BreakGlassSettings>, EngineError> {
    chosen(all, tenant.tenant_id, &tenant.name, &tenant.domains)
}

fn chosen<'a>(
    all: &'a [BreakGlassSettings],
    tenant_id: Uuid,
    tenant: &str,
    domains: &[String],
) -> Result<Vec<&'a BreakGlassSettings>, EngineError> {
    let here = |settings: &&BreakGlassSettings| {
        settings.tenant.as_ref().is_none_or(|named| named.names(tenant_id, tenant, domains))
    };
    let mut found: Vec<&BreakGlassSettings> = Vec::new();
    // First those that name the tenant: they take the place of those for all.
    let (named, everywhere): (Vec<_>, Vec<_>) = all.iter().filter(here).partition(|settings| settings.tenant.is_some());
    for settings in named.into_iter().rev().chain(everywhere.into_iter().rev()) {
        if !found.iter().any(|known| known.name == settings.name) {
            found.push(settings);
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    if found.len() > MOST_BREAK_GLASS_ACCOUNTS {
        let names: Vec<_> = found.iter().map(|settings| settings.name.as_str()).collect();
        return Err(EngineError::from(Failure::ConfigurationInvalid(format!(
            "the configuration gives {tenant} {} break-glass accounts ({}), and a tenant has two at most: each is a \
             standing administrator",
            found.len(),
            names.join(", ")
        )))
        .in_tenant(tenant));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn settings(tenant: Option<&str>, name: &str) -> BreakGlassSettings {
        BreakGlassSettings {
            tenant: tenant.map(|tenant| TenantName(tenant.to_owned())),
            ..BreakGlassSettings::new(BreakGlassName::parse(name).unwrap())
        }
    }

    #[test]
    fn names_are_what_entra_takes() {
        assert_eq!(BreakGlassName::parse(" BreakGlass-1 ").unwrap().as_str(), "breakglass-1");
        for name in ["", "a b", "a@b", "ä", "a.", &"x".repeat(65)] {
            assert!(BreakGlassName::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_tenant_has_two_at_most() {
        let all = [settings(None, "one"), settings(Some("Contoso"), "two"), settings(Some("contoso.com"), "three")];
        let names = |tenant: &str, domains: &[String]| {
            chosen(&all, Uuid::nil(), tenant, domains)
                .map(|found| found.iter().map(|one| one.name.as_str().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(names("Fabrikam", &[]).unwrap(), ["one"]);
        assert_eq!(names("Contoso", &[]).unwrap(), ["one", "two"]);
        let refused = names("Contoso", &["contoso.com".to_owned()]).unwrap_err();
        assert!(refused.to_body().message.contains("one, three, two"), "{refused}");
    }

    #[test]
    fn what_names_the_tenant_takes_the_place_of_what_is_for_all() {
        let mut special = settings(Some("Contoso"), "one");
        special.roles = vec!["Global Reader".to_owned()];
        let all = [special.clone(), settings(None, "one")];
        assert_eq!(chosen(&all, Uuid::nil(), "Contoso", &[]).unwrap(), [&special]);
        assert_eq!(chosen(&all, Uuid::nil(), "Fabrikam", &[]).unwrap(), [&all[1]]);
    }

    #[test]
    fn nobody_sees_a_password_unless_a_group_is_named() {
        let technician = |groups: &[&str]| Technician {
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..Technician::default()
        };
        let mut settings = settings(None, "one");
        assert!(!settings.may_reveal(&technician(&["Level 3"])));
        settings.reveal = vec!["level 3".to_owned()];
        assert!(settings.may_reveal(&technician(&["Level 3"])) && !settings.may_reveal(&technician(&["Level 1"])));
        settings.reveal = vec![ALL_ADMINS.to_owned()];
        assert!(settings.may_reveal(&technician(&[])));
    }
}
