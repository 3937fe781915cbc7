//! The check, before anyone clicks, that a tenant can do what its settings promise.
//!
//! Facts: Microsoft Graph permissions reference, and the 12 application permissions that customers are told to grant.

use latchkey_protocol::{CredentialPlan, ErrorBody, cloud::Cloud};
use serde::Serialize;
use uuid::Uuid;

use crate::Role;

/// Why a permission is on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// One of the 12 documented ones; a lease does not work without it (or another that covers it).
    Required,
    /// One of the 12 documented ones; nothing that is enabled uses it.
    Documented,
    /// Beyond the 12; makes something better.
    Optional,
}

/// An application permission of Microsoft Graph and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Permission {
    /// Its name in a token's `roles`.
    pub name: &'static str,
    /// Why it is asked for.
    pub need: Need,
    /// What it is for, as one sentence.
    pub purpose: &'static str,
    /// Others that do as well.
    pub covered_by: &'static [&'static str],
}

/// The 12 documented permissions, then the optional ones.
pub const PERMISSIONS: &[Permission] = &[
    Permission {
        name: "Organization.Read.All",
        need: Need::Required,
        purpose: "reads the customer's name and verified domains",
        covered_by: &["Directory.Read.All", "Directory.ReadWrite.All"],
    },
    Permission {
        name: "User.Read.All",
        need: Need::Required,
        purpose: "finds the JIT account and reads back whether it is disabled",
        covered_by: &["User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"],
    },
    Permission {
        name: "User.ReadWrite.All",
        need: Need::Required,
        purpose: "creates the JIT account, marks it as ours and revokes its sessions",
        covered_by: &[],
    },
    Permission {
        name: "User.Invite.All",
        need: Need::Documented,
        purpose: "invites guests; part of the documented set, not used",
        covered_by: &[],
    },
    Permission {
        name: "Group.Read.All",
        need: Need::Required,
        purpose: "reads the groups that the JIT account is a member of",
        covered_by: &["GroupMember.Read.All", "GroupMember.ReadWrite.All", "Group.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"],
    },
    Permission {
        name: "RoleManagement.Read.All",
        need: Need::Required,
        purpose: "reads the directory roles and who holds them",
        covered_by: &["RoleManagement.Read.Directory", "RoleManagement.ReadWrite.Directory"],
    },
    Permission {
        name: "RoleManagement.ReadWrite.Directory",
        need: Need::Required,
        purpose: "assigns the roles of a lease and removes them when it ends",
        covered_by: &[],
    },
    Permission {
        name: "User.EnableDisableAccount.All",
        need: Need::Required,
        purpose: "enables the JIT account for a lease and disables it afterwards",
        covered_by: &["User.ReadWrite.All"],
    },
    Permission {
        name: "User.ManageIdentities.All",
        need: Need::Documented,
        purpose: "changes sign-in identities; part of the documented set, not used",
        covered_by: &[],
    },
    Permission {
        name: "Domain.ReadWrite.All",
        need: Need::Required,
        purpose: "reads whether the accounts' domain is verified and managed (Domain.Read.All is enough)",
        covered_by: &["Domain.Read.All", "Directory.Read.All", "Directory.ReadWrite.All"],
    },
    Permission {
        name: "Directory.ReadWrite.All",
        need: Need::Required,
        purpose: "adds the JIT account to groups and removes it again (GroupMember.ReadWrite.All is enough)",
        covered_by: &["GroupMember.ReadWrite.All", "Group.ReadWrite.All"],
    },
    Permission {
        name: "User-PasswordProfile.ReadWrite.All",
        need: Need::Required,
        purpose: "sets a new password when a lease starts and when it ends",
        covered_by: &[],
    },
    Permission {
        name: "UserAuthMethod-TAP.ReadWrite.All",
        need: Need::Optional,
        purpose: "issues a Temporary Access Pass: one code that counts as MFA and ends with the lease",
        covered_by: &["UserAuthenticationMethod.ReadWrite.All"],
    },
    Permission {
        name: "Policy.Read.AuthenticationMethod",
        need: Need::Optional,
        purpose: "reads beforehand whether the tenant allows Temporary Access Passes and for how long",
        covered_by: &["Policy.Read.All"],
    },
];

/// Whether a permission is there.
#[derive(Clone, Debug, Serialize)]
pub struct PermissionCheck {
    /// The permission.
    pub permission: Permission,
    /// Whether the token carries it.
    pub granted: bool,
    /// Another granted permission that does as well, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covered_by: Option<String>,
}

/// A domain of the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DomainFound {
    /// Its name.
    pub name: String,
    /// Whether the tenant has proved that it is its own.
    pub verified: bool,
    /// Whether Entra itself checks the passwords (not federated).
    pub managed: bool,
    /// Whether it is the one that the tenant began with.
    pub initial: bool,
    /// Whether it is the default.
    pub default: bool,
}

/// Whether an account of the JIT account's name is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountFound {
    /// No.
    Absent,
    /// Yes, and it carries our mark.
    Ours(Uuid),
    /// Yes, and it is somebody else's.
    NotOurs,
}

/// What is true of a tenant, before anything is saved.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Directory (tenant) id.
    pub tenant_id: Uuid,
    /// Its cloud.
    pub cloud: Cloud,
    /// The name it will have.
    pub name: String,
    /// The organization's own name.
    pub organization: String,
    /// Every permission that is on the list.
    pub permissions: Vec<PermissionCheck>,
    /// Display names of directory roles that the application itself holds.
    pub application_roles: Vec<String>,
    /// The tenant's domains.
    pub domains: Vec<DomainFound>,
    /// The domain of the accounts.
    pub domain: String,
    /// The JIT account's user principal name.
    pub user_name: String,
    /// Whether it is there already.
    pub account: AccountFound,
    /// The roles of a lease, by the tenant's own names.
    pub roles: Vec<Role>,
    /// The credential that leases will use, and why not a better one.
    pub credential: CredentialPlan,
    /// What prevents leases, each with what to do about it. The tenant cannot be saved while there are any.
    pub problems: Vec<ErrorBody>,
    /// What could be better, one sentence each.
    pub remarks: Vec<String>,
}

impl Inspection {
    /// Whether the tenant can be saved.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.problems.is_empty()
    }
}
