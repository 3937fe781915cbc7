//! Which application permissions a tenant's application needs, feature by feature.
//!
//! Facts: Microsoft Graph permissions reference; the 12 permissions that customers are told to grant by hand.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Need, PERMISSIONS};

/// What an application is to be able to do. Leases with roles are always part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// Leases sign in with a Temporary Access Pass.
    Passes,
    /// Leases sign in with a passkey that the technician's machine keeps.
    Passkeys,
    /// Beta: leases sign in with a password and a one-time code.
    OneTimeCodesBeta,
    /// Leases make accounts members of groups.
    Groups,
    /// Roles that end by themselves where the tenant has Entra ID P2.
    Pim,
    /// Break-glass accounts.
    BreakGlass,
    /// Security defaults and Conditional Access are looked at by `validate`.
    Policies,
}

impl Feature {
    /// What it needs beyond leases.
    const fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::Passes => &["UserAuthMethod-TAP.ReadWrite.All", "Policy.Read.AuthenticationMethod"],
            Self::Passkeys => &["UserAuthMethod-Passkey.ReadWrite.All", "Policy.Read.AuthenticationMethod"],
            // Reads the policy on tokens, too.
            Self::OneTimeCodesBeta => {
                &["Policy.ReadWrite.AuthenticationMethod", "UserAuthMethod-HardwareOATH.ReadWrite.All"]
            }
            Self::Groups => &["GroupMember.ReadWrite.All"],
            // RoleManagement.ReadWrite.Directory, which leases need, covers timed roles; a break-glass account needs a
            // directory role for the application and no further permission.
            Self::Pim | Self::BreakGlass => &[],
            Self::Policies => &["Policy.Read.All"],
        }
    }
}

/// What leases need, and no more.
const LEASES: &[&str] = &[
    "User.ReadWrite.All",
    "User.EnableDisableAccount.All",
    "User-PasswordProfile.ReadWrite.All",
    "User.RevokeSessions.All",
    "RoleManagement.ReadWrite.Directory",
    // Reads an account's memberships (Group.Read.All does not), domains, the organization and groups.
    "Directory.Read.All",
];

/// The least set for some features.
#[must_use]
pub fn least_permissions(features: &BTreeSet<Feature>) -> BTreeSet<String> {
    let more = features.iter().flat_map(|feature| feature.permissions());
    LEASES.iter().chain(more).map(|name| (*name).to_owned()).collect()
}

/// The 12 documented ones.
#[must_use]
pub fn documented_permissions() -> BTreeSet<String> {
    let documented = PERMISSIONS.iter().filter(|permission| permission.need != Need::Optional);
    documented.map(|permission| permission.name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_set_covers_everything_that_is_required() {
        let granted = least_permissions(&BTreeSet::from([Feature::Groups]));
        let lacking: Vec<_> = PERMISSIONS
            .iter()
            .filter(|permission| permission.need == Need::Required)
            .filter(|permission| {
                !granted.contains(permission.name)
                    && !permission.covered_by.iter().any(|other| granted.contains(*other))
            })
            .collect();
        assert!(lacking.is_empty(), "{lacking:?}");
    }

    #[test]
    fn nothing_is_asked_for_that_no_feature_uses() {
        let least = least_permissions(&BTreeSet::new());
        assert_eq!(least.len(), 6);
        for unused in ["Directory.ReadWrite.All", "User.Invite.All", "Domain.ReadWrite.All", "Policy.Read.All"] {
            assert!(!least.contains(unused), "{unused}");
        }
        assert_eq!(documented_permissions().len(), 12);
    }
}
