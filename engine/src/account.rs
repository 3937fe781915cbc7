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
use serde::Serialize;
use uuid::Uuid;

use crate::{EngineError, EngineSettings, Failure};

/// The extension attribute that carries the mark: the last one, which customers use least.
pub(crate) const MARK_ATTRIBUTE: &str = "extensionAttribute15";

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

/// What the technician's account in a domain is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccountName {
    pub(crate) user_name: String,
    pub(crate) display_name: String,
    pub(crate) mark: String,
}

impl AccountName {
    /// The name in `domain`.
    pub(crate) fn new(settings: &EngineSettings, domain: &str) -> Result<Self, EngineError> {
        let local = format!("{}{}", settings.account_prefix, settings.technician.local_part).to_lowercase();
        let allowed = |character: char| character.is_ascii_alphanumeric() || "'.-_!#^~".contains(character);
        if local.is_empty() || local.len() > 64 || !local.chars().all(allowed) || local.ends_with('.') {
            return Err(Failure::ConfigurationInvalid(format!(
                "\"{local}\" cannot be the name of an account: letters, digits and '.-_!#^~ only, 64 characters at most"
            ))
            .into());
        }
        Ok(Self {
            user_name: format!("{local}@{}", domain.to_lowercase()),
            display_name: format!("{} (Latchkey JIT)", settings.technician.name.trim()),
            mark: format!("latchkey:jit:{}", settings.technician.local_part.to_lowercase()),
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
        let name = AccountName::new(&settings("Alex"), "Contoso.onmicrosoft.com").unwrap();
        assert_eq!(name.user_name, "jit-alex@contoso.onmicrosoft.com");
        assert_eq!(name.mail_nickname(), "jit-alex");
        assert_eq!(name.display_name, "Alex (Latchkey JIT)");
        assert_eq!(name.mark, "latchkey:jit:alex");
    }

    #[test]
    fn what_entra_does_not_take_is_refused() {
        for local_part in ["a b", "a@b", "ä", "a/b", &"x".repeat(70)] {
            assert!(AccountName::new(&settings(local_part), "contoso.com").is_err(), "{local_part}");
        }
    }
}
