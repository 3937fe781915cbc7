//! The technician's own account in a tenant: its name and its mark.
//!
//! Names are deterministic, so that whatever a crash leaves behind can be found. The truth about which account is ours
//! is the object id in the store; the mark is for finding it again when the store is lost, and for the customer's eyes.
//! It is an extension attribute, because that can be written in the request that creates the account and needs no
//! permission beyond `User.ReadWrite.All`; an open extension would be a second call and a directory extension a
//! permission outside the documented 12. It names the technician and not the machine, so that a second machine of the
//! same person, or the same one after losing its database, recognises the account.
//!
//! Facts: Microsoft Graph user resource: characters of a user principal name, mailNickname of at most 64 characters.

use latchkey_protocol::ErrorBody;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{EngineError, EngineSettings, Failure, LoginMode, Policy, Technician};

/// The extension attribute that carries the mark: the last one, which customers use least.
pub(crate) const MARK_ATTRIBUTE: &str = "extensionAttribute15";

/// What every mark of ours begins with.
pub(crate) const MARK_BEGINNING: &str = "latchkey:";

/// What [`crate::Engine::prepare_account`] leaves behind.
#[derive(Clone, Debug, Serialize)]
pub struct PreparedAccount {
    /// User principal name.
    pub user_name: String,
    /// Object id in the directory.
    pub object_id: Uuid,
    /// Whether it had to be made.
    pub created: bool,
    /// What a later lease will stumble over, e.g. that the app may not set passwords.
    pub problems: Vec<ErrorBody>,
}

/// Who signs in with an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// One technician.
    #[default]
    Individual,
    /// Everybody; each use is attributed to the person.
    Shared,
}

impl AccountKind {
    /// As it is stored.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Individual => "individual",
            Self::Shared => "shared",
        }
    }

    /// What stands in the mark between `latchkey:` and the owner.
    const fn in_mark(self) -> &'static str {
        match self {
            Self::Individual => "jit",
            Self::Shared => "shared",
        }
    }
}

/// Whose account is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountOwner {
    /// Who signs in with it.
    pub kind: AccountKind,
    /// What stands in the name after the prefix, in lower case: the technician's local part, or the shared account's.
    pub local_part: String,
}

impl AccountOwner {
    /// The owner of the account that a technician's leases activate where `login` holds.
    #[must_use]
    pub fn of(technician: &Technician, login: &LoginMode) -> Self {
        match login {
            LoginMode::Individual => Self::individual(&technician.local_part),
            LoginMode::Shared { local_part } => {
                Self { kind: AccountKind::Shared, local_part: local_part.trim().to_lowercase() }
            }
        }
    }

    /// The technician with this local part.
    #[must_use]
    pub fn individual(local_part: &str) -> Self {
        Self { kind: AccountKind::Individual, local_part: local_part.trim().to_lowercase() }
    }

    /// What is written on the account, so that it is found again when the store is lost.
    #[must_use]
    pub fn mark(&self) -> String {
        format!("latchkey:{}:{}", self.kind.in_mark(), self.local_part)
    }

    /// Whose account carries this mark; `None` for what is no mark of ours.
    #[must_use]
    pub fn of_mark(mark: &str) -> Option<Self> {
        let (kind, local_part) = mark.strip_prefix("latchkey:")?.split_once(':')?;
        let kind = [AccountKind::Individual, AccountKind::Shared].into_iter().find(|known| known.in_mark() == kind)?;
        (!local_part.is_empty()).then(|| Self { kind, local_part: local_part.to_owned() })
    }
}

/// An account that the store knows.
#[derive(Clone, Debug, Serialize)]
pub struct AccountSummary {
    /// The account's id in the store.
    pub account_id: Uuid,
    /// Its tenant (directory id).
    pub tenant_id: Uuid,
    /// The tenant's display name.
    pub tenant_name: String,
    /// User principal name.
    pub user_name: String,
    /// Object id in the directory; none while it is not there.
    pub object_id: Option<Uuid>,
    /// Whose it is.
    pub owner: AccountOwner,
    /// Whether this store decides about it. Accounts that were only prepared are for another machine to decide about.
    pub here: bool,
    /// How many leases of this store are open on it.
    pub open_leases: usize,
}

/// An account that somebody's leases would activate.
#[derive(Clone, Debug)]
pub struct WantedAccount {
    /// Its tenant (directory id).
    pub tenant_id: Uuid,
    /// The tenant's display name.
    pub tenant_name: String,
    /// For whom; the first of those who share it.
    pub technician: Technician,
    /// Whose it is.
    pub owner: AccountOwner,
    /// User principal name.
    pub user_name: String,
    /// Object id in the directory, if the store knows that it is there.
    pub object_id: Option<Uuid>,
}

/// What an account in a domain is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccountName {
    pub(crate) user_name: String,
    pub(crate) display_name: String,
    pub(crate) mark: String,
}

impl AccountName {
    /// The name of the owner's account in `domain`.
    pub(crate) fn new(
        settings: &EngineSettings,
        policy: &Policy,
        owner: &AccountOwner,
        domain: &str,
    ) -> Result<Self, EngineError> {
        let local = format!("{}{}", settings.account_prefix, owner.local_part).to_lowercase();
        let allowed = |character: char| character.is_ascii_alphanumeric() || "'.-_!#^~".contains(character);
        if owner.local_part.is_empty() || local.len() > 64 || !local.chars().all(allowed) || local.ends_with('.') {
            return Err(Failure::ConfigurationInvalid(format!(
                "\"{local}\" cannot be the name of an account: letters, digits and '.-_!#^~ only, 64 characters at most"
            ))
            .into());
        }
        let known = std::iter::once(&settings.technician)
            .chain(&policy.technicians)
            .find(|technician| technician.is(&owner.local_part));
        let whose = match owner.kind {
            AccountKind::Individual => known.map_or(owner.local_part.as_str(), |technician| technician.name.trim()),
            AccountKind::Shared => owner.local_part.as_str(),
        };
        Ok(Self {
            user_name: format!("{local}@{}", domain.to_lowercase()),
            display_name: format!("{whose} (Latchkey JIT)"),
            mark: owner.mark(),
        })
    }

    /// The part before the domain.
    pub(crate) fn mail_nickname(&self) -> &str {
        self.user_name.split('@').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Technician;

    fn settings(local_part: &str) -> EngineSettings {
        let technician = Technician { name: "Alex".to_owned(), local_part: local_part.to_owned(), groups: Vec::new() };
        EngineSettings::new("unused".into(), technician)
    }

    #[test]
    fn the_name_is_prefix_local_part_and_domain() {
        let owner = AccountOwner::individual("Alex");
        let name = AccountName::new(&settings("Alex"), &Policy::default(), &owner, "Contoso.onmicrosoft.com").unwrap();
        assert_eq!(name.user_name, "jit-alex@contoso.onmicrosoft.com");
        assert_eq!(name.mail_nickname(), "jit-alex");
        assert_eq!(name.display_name, "Alex (Latchkey JIT)");
        assert_eq!(name.mark, "latchkey:jit:alex");
    }

    #[test]
    fn a_mark_says_whose_the_account_is() {
        let shared = LoginMode::Shared { local_part: "Helpdesk".to_owned() };
        let technician = Technician { local_part: "Alex".to_owned(), ..Technician::default() };
        for owner in [AccountOwner::of(&technician, &shared), AccountOwner::of(&technician, &LoginMode::Individual)] {
            assert_eq!(AccountOwner::of_mark(&owner.mark()), Some(owner));
        }
        for other in ["", "latchkey:", "latchkey:jit:", "latchkey:other:alex", "jit:alex"] {
            assert_eq!(AccountOwner::of_mark(other), None, "{other}");
        }
    }

    #[test]
    fn what_entra_does_not_take_is_refused() {
        for local_part in ["", "a b", "a@b", "ä", "a/b", &"x".repeat(70)] {
            let owner = AccountOwner::individual(local_part);
            let name = AccountName::new(&settings(local_part), &Policy::default(), &owner, "contoso.com");
            assert!(name.is_err(), "{local_part}");
        }
    }
}
