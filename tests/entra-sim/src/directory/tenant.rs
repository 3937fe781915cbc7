//! One tenant: its domains, policies, applications and groups, and the questions asked about who holds what.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::oath::{OathPolicy, OathToken};
use super::passkey::PasskeyPolicy;
use super::roles;
use super::user::User;
use crate::clock::Moment;

/// Which Microsoft cloud a tenant lives in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// The worldwide cloud.
    #[default]
    Global,
    /// US Government L4.
    UsGovernment,
    /// US Government L5.
    UsGovernmentDod,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// The Graph host of this cloud.
    #[must_use]
    pub fn graph_host(self) -> &'static str {
        match self {
            Self::Global => "graph.microsoft.com",
            Self::UsGovernment => "graph.microsoft.us",
            Self::UsGovernmentDod => "dod-graph.microsoft.us",
            Self::China => "microsoftgraph.chinacloudapi.cn",
        }
    }

    /// The main authority host of this cloud.
    #[must_use]
    pub fn authority_host(self) -> &'static str {
        match self {
            Self::Global => "login.microsoftonline.com",
            Self::UsGovernment | Self::UsGovernmentDod => "login.microsoftonline.us",
            Self::China => "login.partner.microsoftonline.cn",
        }
    }
}

/// Who answers for the passwords of a domain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainKind {
    /// Entra itself.
    Managed,
    /// Another identity provider, at this address.
    Federated {
        /// Where a browser is sent to sign in.
        sign_in_url: String,
    },
}

/// A domain of a tenant.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Managed or federated.
    pub kind: DomainKind,
    /// The `onmicrosoft.com` domain.
    pub initial: bool,
    /// The one used when none is named.
    pub default: bool,
    /// Proved to be the tenant's.
    pub verified: bool,
}

/// What the sign-in page shows for a tenant.
#[derive(Clone, Debug, Default)]
pub struct Branding {
    /// Text under the form.
    pub boilerplate: Option<String>,
    /// Placeholder of the user name field.
    pub user_name_hint: Option<String>,
    /// Background colour, `#rrggbb`.
    pub background: Option<String>,
    /// The "stay signed in" question is switched off.
    pub keep_me_signed_in_disabled: bool,
}

/// The Temporary Access Pass policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PassPolicy {
    /// Whether passes may be made and used.
    pub enabled: bool,
    /// Passes are single use, whatever was asked for.
    pub once: bool,
    /// Smallest lifetime in minutes.
    pub minimum_minutes: u32,
    /// Largest lifetime in minutes.
    pub maximum_minutes: u32,
    /// Lifetime when none is asked for.
    pub default_minutes: u32,
    /// Length of the code.
    pub length: u32,
    /// Groups whose members may have one; empty means everybody.
    pub include_groups: Vec<String>,
    /// Groups whose members may not.
    pub exclude_groups: Vec<String>,
}

impl Default for PassPolicy {
    /// Microsoft's defaults, switched on.
    fn default() -> Self {
        Self {
            enabled: true,
            once: false,
            minimum_minutes: 60,
            maximum_minutes: 480,
            default_minutes: 60,
            length: 8,
            include_groups: Vec::new(),
            exclude_groups: Vec::new(),
        }
    }
}

/// The Entra ID plan of a tenant.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Licence {
    /// No premium plan.
    #[default]
    Free,
    /// Entra ID P1.
    P1,
    /// Entra ID P2.
    P2,
}

/// A client secret of an application.
#[derive(Clone, Debug, Default)]
pub struct ApplicationSecret {
    /// The secret *ID*, which people paste by mistake.
    pub id: String,
    /// The secret itself.
    pub value: String,
    /// Name given to it.
    pub display_name: Option<String>,
    /// Valid from then.
    pub start: Timestamp,
    /// Refused from then on (7000222).
    pub expires: Timestamp,
    /// When it was added, for replication lag; none for what was there at the start.
    pub added: Option<Moment>,
}

/// A certificate of an application, by which it signs assertions.
#[derive(Clone, Debug)]
pub struct ApplicationKey {
    /// `keyId`.
    pub id: String,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The RSA public key in it, PKCS #1 DER.
    pub public_key: Vec<u8>,
    /// SHA-1 of the certificate: `x5t`.
    pub sha1: [u8; 20],
    /// SHA-256 of the certificate: `x5t#S256`.
    pub sha256: [u8; 32],
    /// Name given to it.
    pub display_name: Option<String>,
    /// Valid from then.
    pub start: Timestamp,
    /// Refused from then on (700027).
    pub expires: Timestamp,
    /// When it was added, for replication lag; none for what was there at the start.
    pub added: Option<Moment>,
}

/// Who may sign in to an application: `signInAudience`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Audience {
    /// This tenant only.
    #[default]
    #[serde(rename = "AzureADMyOrg")]
    OneTenant,
    /// Any tenant: a service principal is made where an administrator consents.
    #[serde(rename = "AzureADMultipleOrgs")]
    AnyTenant,
}

/// What a tenant holds of an application: its registration, its service principal, or both.
#[derive(Clone, Debug, Default)]
pub struct Application {
    /// `appId`.
    pub client_id: String,
    /// Object id of the registration.
    pub object_id: String,
    /// Object id of the service principal: `oid` in tokens.
    pub service_principal_id: String,
    /// Name shown to people.
    pub display_name: String,
    /// Secrets, newest last.
    pub secrets: Vec<ApplicationSecret>,
    /// Certificates, newest last.
    pub keys: Vec<ApplicationKey>,
    /// Granted Graph application permissions by name: `roles` in tokens.
    pub permissions: BTreeSet<String>,
    /// Whether tokens are issued at all (7000112 when not).
    pub enabled: bool,
    /// The registration is in this tenant; otherwise in another, whose application may be used in any tenant.
    pub registered: bool,
    /// The service principal is here. Without it nobody gets a token (700016).
    pub principal: bool,
    /// Who may sign in.
    pub audience: Audience,
    /// Redirect addresses of the public client; one on the local machine fits with any port.
    pub public_redirects: Vec<String>,
    /// Redirect addresses of the web client.
    pub web_redirects: Vec<String>,
    /// May sign people in without proving itself (`isFallbackPublicClient`, or a public redirect address).
    pub public_client: bool,
    /// `requiredResourceAccess` as it was given.
    pub required_access: Vec<Value>,
    /// Delegated Graph permissions that an administrator granted for everybody.
    pub delegated: BTreeSet<String>,
    /// Delegated Graph permissions that one person granted for herself, by object id.
    pub delegated_by: BTreeMap<String, BTreeSet<String>>,
    /// Object ids of the owners of the registration.
    pub owners: BTreeSet<String>,
    /// Other properties of the registration under their Graph names.
    pub attributes: Map<String, Value>,
    /// Other properties of the service principal under their Graph names.
    pub principal_attributes: Map<String, Value>,
    /// Creation, simulated time.
    pub created: Timestamp,
    /// When the registration was made, for replication lag; none for what was there at the start.
    pub registered_moment: Option<Moment>,
    /// When the service principal was made, likewise.
    pub principal_moment: Option<Moment>,
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Object id.
    pub id: String,
    /// Name shown to people.
    pub display_name: String,
    /// Members' object ids (users, groups, service principals).
    pub members: BTreeSet<String>,
    /// Owners' object ids.
    pub owners: BTreeSet<String>,
    /// May hold directory roles; only at creation.
    pub role_assignable: bool,
    /// Grants access.
    pub security_enabled: bool,
    /// Has a mailbox or is a distribution list.
    pub mail_enabled: bool,
    /// `Unified`, `DynamicMembership`.
    pub types: Vec<String>,
    /// Comes from an on-premises directory.
    pub synchronised: bool,
    /// Creation, simulated time.
    pub created: Timestamp,
    /// Creation, for replication lag.
    pub created_moment: Moment,
    /// Other properties under their Graph names.
    pub attributes: Map<String, Value>,
}

impl Group {
    /// Whether its members are decided by a rule.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        self.types.iter().any(|kind| kind == "DynamicMembership")
    }
}

/// A directory role held by a principal.
#[derive(Clone, Debug)]
pub struct RoleAssignment {
    /// Id of the assignment.
    pub id: String,
    /// Role definition (template) id.
    pub role: String,
    /// User, group or service principal.
    pub principal: String,
    /// `/` or `/administrativeUnits/{id}`.
    pub scope: String,
    /// Set when PIM made it.
    pub schedule: Option<Schedule>,
}

/// The time frame of a PIM assignment.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Id of the schedule.
    pub id: String,
    /// From when.
    pub start: Timestamp,
    /// Until when; none means without end.
    pub end: Option<Timestamp>,
}

impl RoleAssignment {
    /// Whether it counts now (PIM assignments have a start and an end).
    #[must_use]
    pub fn active(&self, now: Timestamp) -> bool {
        self.schedule.as_ref().is_none_or(|schedule| schedule.start <= now && schedule.end.is_none_or(|end| now < end))
    }
}

/// A directory role that the tenant made itself.
#[derive(Clone, Debug)]
pub struct CustomRole {
    /// Role definition id.
    pub id: String,
    /// Name shown to people.
    pub display_name: String,
}

/// A tenant.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Directory roles of its own, beside the built-in ones.
    pub custom_roles: Vec<CustomRole>,
    /// Directory id.
    pub id: String,
    /// Name shown to people.
    pub display_name: String,
    /// Which cloud.
    pub cloud: Cloud,
    /// Domains, verified or not.
    pub domains: Vec<Domain>,
    /// Sign-in page texts.
    pub branding: Branding,
    /// Temporary Access Pass policy.
    pub pass_policy: PassPolicy,
    /// Passkey policy.
    pub passkey_policy: PasskeyPolicy,
    /// Policy of hardware tokens.
    pub oath_policy: OathPolicy,
    /// Hardware tokens, oldest first.
    pub oath_tokens: Vec<OathToken>,
    /// Security defaults switched on.
    pub security_defaults: bool,
    /// Conditional Access policies as Graph shows them.
    pub conditional_access: Vec<Value>,
    /// Entra ID plan.
    pub licence: Licence,
    /// App registrations.
    pub applications: Vec<Application>,
    /// Users by object id.
    pub users: BTreeMap<String, User>,
    /// Deleted users, restorable for 30 days.
    pub deleted_users: BTreeMap<String, User>,
    /// Groups by object id.
    pub groups: BTreeMap<String, Group>,
    /// Role assignments, oldest first.
    pub assignments: Vec<RoleAssignment>,
    /// PIM requests as they were answered, oldest first.
    pub schedule_requests: Vec<Value>,
    /// Roles activated for the legacy `/directoryRoles`: template id → object id.
    pub activated_roles: BTreeMap<String, String>,
}

impl Tenant {
    /// Whether `name` is its id, its display name or one of its domains.
    #[must_use]
    pub fn answers_to(&self, name: &str) -> bool {
        self.id.eq_ignore_ascii_case(name)
            || self.display_name.eq_ignore_ascii_case(name)
            || self.domains.iter().any(|domain| domain.name.eq_ignore_ascii_case(name))
    }

    /// The domain of a user name, when it is one of this tenant's.
    #[must_use]
    pub fn domain_of(&self, user_name: &str) -> Option<&Domain> {
        let (_, domain) = user_name.rsplit_once('@')?;
        self.domains.iter().find(|known| known.name.eq_ignore_ascii_case(domain))
    }

    /// A user by object id or user principal name.
    #[must_use]
    pub fn user(&self, id_or_name: &str) -> Option<&User> {
        self.users
            .get(&id_or_name.to_ascii_lowercase())
            .or_else(|| self.users.values().find(|user| user.user_principal_name.eq_ignore_ascii_case(id_or_name)))
    }

    /// As [`Self::user`], to change it.
    pub fn user_mut(&mut self, id_or_name: &str) -> Option<&mut User> {
        let id = self.user(id_or_name)?.id.clone();
        self.users.get_mut(&id)
    }

    /// The application with this client id.
    #[must_use]
    pub fn application(&self, client_id: &str) -> Option<&Application> {
        self.applications.iter().find(|application| application.client_id.eq_ignore_ascii_case(client_id))
    }

    /// Groups that hold `principal`, through other groups too.
    #[must_use]
    pub fn groups_of(&self, principal: &str) -> Vec<&Group> {
        let mut found: Vec<&Group> = Vec::new();
        let mut wanted = vec![principal.to_owned()];
        while let Some(member) = wanted.pop() {
            for group in self.groups.values() {
                if group.members.contains(&member) && !found.iter().any(|known| known.id == group.id) {
                    wanted.push(group.id.clone());
                    found.push(group);
                }
            }
        }
        found
    }

    /// Template ids of the roles `principal` holds now, directly or through a role-assignable group; no doubles.
    #[must_use]
    pub fn roles_of(&self, principal: &str, now: Timestamp) -> Vec<String> {
        let mut holders: BTreeSet<&str> = self.groups_of(principal).iter().map(|group| group.id.as_str()).collect();
        holders.insert(principal);
        let held: BTreeSet<&String> = self
            .assignments
            .iter()
            .filter(|assignment| holders.contains(assignment.principal.as_str()) && assignment.active(now))
            .map(|assignment| &assignment.role)
            .collect();
        held.into_iter().cloned().collect()
    }

    /// Display names of [`Self::roles_of`], sorted.
    #[must_use]
    pub fn role_names_of(&self, principal: &str, now: Timestamp) -> Vec<String> {
        let mut names: Vec<String> = self
            .roles_of(principal, now)
            .iter()
            .map(|id| roles::by_id(id).map_or_else(|| id.clone(), |role| role.name.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// Whether `principal` is a member or owner of a role-assignable group.
    #[must_use]
    pub fn in_role_assignable_group(&self, principal: &str) -> bool {
        self.groups_of(principal).iter().any(|group| group.role_assignable)
            || self.groups.values().any(|group| group.role_assignable && group.owners.contains(principal))
    }

    /// Whether the pass policy covers this user.
    #[must_use]
    pub fn pass_allowed(&self, user_id: &str) -> bool {
        let policy = &self.pass_policy;
        let groups = self.groups_of(user_id);
        let member_of_any = |wanted: &[String]| groups.iter().any(|group| wanted.contains(&group.id));
        // The China cloud has no Temporary Access Pass at all.
        policy.enabled
            && self.cloud != Cloud::China
            && (policy.include_groups.is_empty() || member_of_any(&policy.include_groups))
            && !member_of_any(&policy.exclude_groups)
    }
}
