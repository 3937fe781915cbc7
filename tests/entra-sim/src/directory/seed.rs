//! The three customers and the MSP that every simulation starts with, and the recipe for more.
//!
//! Ids are fixed so that tests and people can name them; secrets and passwords are random at every start.
//!
//! | tenant | id | what is special |
//! |---|---|---|
//! | Contoso | `11111111-1111-4111-8111-111111111111` | the 12 documented permissions and those for passes; P1; domains `contoso.onmicrosoft.com` (managed, initial, default), `contoso.com` (managed), `fed.contoso.com` (federated), `unverified.contoso.com` |
//! | Fabrikam | `22222222-2222-4222-8222-222222222222` | exactly the 12; passes switched off |
//! | Latchkey MSP | `77777777-7777-4777-8777-777777777777` | the MSP itself: domains `latchkeymsp.onmicrosoft.com` and `msp.example`; technicians `alex@`, `blake@`, `casey@msp.example`; groups `Level 1` (Alex, Casey), `Level 2` (Blake), `Technicians` (both levels), `Alumni` (Casey); a public client and a multi-tenant application |
//! | Northwind | `33333333-3333-4333-8333-333333333333` | lacks `User-PasswordProfile.ReadWrite.All`, `User.EnableDisableAccount.All` and `Domain.ReadWrite.All` |
//!
//! Each tenant has users `admin@` (a permanent Global Administrator), `alice@`, `bob@` (ordinary), `helpdesk@` (Helpdesk
//! Administrator), `jit-taken@` (ordinary, bears a name a just-in-time account might want) and, in Contoso,
//! `synced@contoso.com` (from an on-premises directory) and `carol@fed.contoso.com`; and groups `Project Alpha`
//! (security), `Tier-0 Operators` (role-assignable, holds Security Reader), `All Staff` (dynamic), `Synced Group`,
//! `Newsletter` (mail-enabled).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::oath::OathPolicy;
use super::passkey::PasskeyPolicy;
use super::tenant::{
    Application, ApplicationSecret, Audience, Branding, Cloud, Domain, DomainKind, Group, Licence, PassPolicy,
    RoleAssignment, Tenant,
};
use super::user::User;
use super::{Directory, new_id, roles};
use crate::assertion::read_certificate_text;
use crate::clock::Clock;
use crate::graph::permissions;

/// The 12 application permissions that the product's documentation asks a customer to grant.
pub const DOCUMENTED_PERMISSIONS: [&str; 12] = [
    "Organization.Read.All",
    "User.Read.All",
    "User.ReadWrite.All",
    "User.Invite.All",
    "Group.Read.All",
    "RoleManagement.Read.All",
    "RoleManagement.ReadWrite.Directory",
    "User.EnableDisableAccount.All",
    "User.ManageIdentities.All",
    "Domain.ReadWrite.All",
    "Directory.ReadWrite.All",
    "User-PasswordProfile.ReadWrite.All",
];

/// Contoso's directory id.
pub const CONTOSO: &str = "11111111-1111-4111-8111-111111111111";
/// Fabrikam's directory id.
pub const FABRIKAM: &str = "22222222-2222-4222-8222-222222222222";
/// Northwind's directory id.
pub const NORTHWIND: &str = "33333333-3333-4333-8333-333333333333";

/// The MSP's own directory id.
pub const MSP: &str = "77777777-7777-4777-8777-777777777777";
/// The MSP's public client, by which its technicians (and its customers' administrators) sign in at the command line.
pub const MSP_PUBLIC_CLIENT: &str = "77777777-bbbb-4bbb-8bbb-777777777777";
/// The MSP's multi-tenant application, which its customers' administrators admit.
pub const MSP_APPLICATION: &str = "77777777-aaaa-4aaa-8aaa-777777777777";

/// A tenant to be made: `POST /sim/tenants` takes the same members.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantRecipe {
    /// Directory id; random when empty.
    pub id: String,
    /// Name; also decides the initial domain unless `domains` is given.
    pub name: String,
    /// Which cloud.
    pub cloud: Cloud,
    /// Domains; the first is the initial and default one.
    pub domains: Vec<DomainRecipe>,
    /// Client id of the application; random when empty.
    pub client_id: String,
    /// Client secret; random when empty.
    pub client_secret: String,
    /// Seconds from now until the secret expires; two years when absent, negative for one that has expired.
    pub secret_expires_in_seconds: Option<i64>,
    /// Certificates of the application (PEM, or Base64 of DER); unreadable ones are left out.
    pub certificates: Vec<String>,
    /// Granted permissions; the documented 12 when absent.
    pub permissions: Option<Vec<String>>,
    /// Permissions granted besides.
    pub additional_permissions: Vec<String>,
    /// Directory roles of the service principal, by name or template id.
    pub app_roles: Vec<String>,
    /// Temporary Access Pass policy.
    pub pass_policy: PassPolicyRecipe,
    /// Security defaults.
    pub security_defaults: bool,
    /// Entra ID plan.
    pub licence: Licence,
}

/// A domain of a [`TenantRecipe`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DomainRecipe {
    /// Its name.
    pub name: String,
    /// Federated with another identity provider.
    pub federated: bool,
    /// Not proved to be the tenant's.
    pub unverified: bool,
}

/// The policy of a [`TenantRecipe`]; absent members are Microsoft's defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PassPolicyRecipe {
    /// No passes at all.
    pub disabled: bool,
    /// Single use only.
    pub once: bool,
    /// Smallest lifetime in minutes.
    pub minimum_minutes: Option<u32>,
    /// Largest lifetime in minutes.
    pub maximum_minutes: Option<u32>,
    /// Lifetime when none is asked for.
    pub default_minutes: Option<u32>,
}

/// The directory every simulation starts with.
#[must_use]
pub fn directory(clock: &Clock) -> Directory {
    let domain = |name: &str| DomainRecipe { name: name.to_owned(), ..DomainRecipe::default() };
    let recipes = [
        TenantRecipe {
            id: CONTOSO.to_owned(),
            name: "Contoso".to_owned(),
            domains: vec![
                domain("contoso.onmicrosoft.com"),
                domain("contoso.com"),
                DomainRecipe { federated: true, ..domain("fed.contoso.com") },
                DomainRecipe { unverified: true, ..domain("unverified.contoso.com") },
            ],
            client_id: "11111111-aaaa-4aaa-8aaa-111111111111".to_owned(),
            additional_permissions: [
                "UserAuthMethod-TAP.ReadWrite.All",
                "Policy.Read.AuthenticationMethod",
                "Policy.Read.All",
                "User.RevokeSessions.All",
                "GroupMember.ReadWrite.All",
                "AuditLog.Read.All",
            ]
            .map(str::to_owned)
            .to_vec(),
            licence: Licence::P1,
            ..TenantRecipe::default()
        },
        TenantRecipe {
            id: FABRIKAM.to_owned(),
            name: "Fabrikam".to_owned(),
            client_id: "22222222-aaaa-4aaa-8aaa-222222222222".to_owned(),
            pass_policy: PassPolicyRecipe { disabled: true, ..PassPolicyRecipe::default() },
            security_defaults: true,
            ..TenantRecipe::default()
        },
        TenantRecipe {
            id: NORTHWIND.to_owned(),
            name: "Northwind".to_owned(),
            client_id: "33333333-aaaa-4aaa-8aaa-333333333333".to_owned(),
            permissions: Some(
                DOCUMENTED_PERMISSIONS
                    .iter()
                    .filter(|name| {
                        !matches!(
                            **name,
                            "User-PasswordProfile.ReadWrite.All"
                                | "User.EnableDisableAccount.All"
                                | "Domain.ReadWrite.All"
                        )
                    })
                    .map(|name| (*name).to_owned())
                    .collect(),
            ),
            licence: Licence::P2,
            ..TenantRecipe::default()
        },
    ];
    let mut directory = Directory::default();
    for recipe in recipes {
        directory.tenants.push(tenant(recipe, clock));
    }
    if let Some(contoso) = directory.tenant_mut(CONTOSO) {
        contoso.branding = Branding {
            boilerplate: Some("Contoso service desk: never give anybody your password. Phone 555-0100.".to_owned()),
            user_name_hint: Some("someone@contoso.com".to_owned()),
            background: Some("#0b3d5c".to_owned()),
            keep_me_signed_in_disabled: false,
        };
        let synced = person(contoso, "synced@contoso.com", "Synced Sam", clock);
        if let Some(user) = contoso.user_mut(&synced) {
            user.attributes.insert("onPremisesSyncEnabled".to_owned(), json!(true));
        }
        person(contoso, "carol@fed.contoso.com", "Carol Federated", clock);
    }
    directory.tenants.push(msp(clock));
    directory
}

/// The MSP: technicians in groups, the public client they sign in by, and the application its customers admit.
fn msp(clock: &Clock) -> Tenant {
    let domain = |name: &str| DomainRecipe { name: name.to_owned(), ..DomainRecipe::default() };
    let recipe = TenantRecipe {
        id: MSP.to_owned(),
        name: "Latchkey MSP".to_owned(),
        domains: vec![domain("latchkeymsp.onmicrosoft.com"), domain("msp.example")],
        client_id: MSP_APPLICATION.to_owned(),
        licence: Licence::P1,
        ..TenantRecipe::default()
    };
    let mut msp = tenant(recipe, clock);
    let role = |name: &str| json!({"id": permissions::id_of(name), "type": "Role"});
    let wanted = DOCUMENTED_PERMISSIONS.into_iter().chain(["UserAuthMethod-TAP.ReadWrite.All"]).map(role);
    if let Some(application) = msp.applications.first_mut() {
        application.display_name = "Latchkey at Latchkey MSP".to_owned();
        application.audience = Audience::AnyTenant;
        application.web_redirects = vec!["http://localhost".to_owned(), "http://127.0.0.1".to_owned()];
        application.required_access =
            vec![json!({"resourceAppId": permissions::GRAPH_APP, "resourceAccess": wanted.collect::<Vec<_>>()})];
    }
    msp.applications.push(Application {
        client_id: MSP_PUBLIC_CLIENT.to_owned(),
        object_id: derived_id(MSP, "public client"),
        service_principal_id: derived_id(MSP, "public client's service principal"),
        display_name: "Latchkey command line".to_owned(),
        enabled: true,
        registered: true,
        principal: true,
        audience: Audience::AnyTenant,
        public_client: true,
        public_redirects: vec!["http://localhost".to_owned(), "http://127.0.0.1".to_owned()],
        delegated: ["User.Read", "GroupMember.Read.All"].map(str::to_owned).into(),
        created: clock.now(),
        ..Application::default()
    });
    let alex = person(&mut msp, "alex@msp.example", "Alex Ander", clock);
    let blake = person(&mut msp, "blake@msp.example", "Blake Lane", clock);
    let casey = person(&mut msp, "casey@msp.example", "Casey Stone", clock);
    let first = group(&mut msp, "Level 1", clock, |group| group.members.extend([alex, casey.clone()]));
    let second = group(&mut msp, "Level 2", clock, |group| group.members.extend([blake]));
    group(&mut msp, "Technicians", clock, |group| group.members.extend([first, second]));
    group(&mut msp, "Alumni", clock, |group| group.members.extend([casey]));
    msp
}

/// Makes a tenant with its application, the usual people and groups.
#[must_use]
pub fn tenant(recipe: TenantRecipe, clock: &Clock) -> Tenant {
    let or_new = |given: &str| if given.is_empty() { new_id() } else { given.to_ascii_lowercase() };
    let name = if recipe.name.is_empty() { "Customer".to_owned() } else { recipe.name.clone() };
    let mut domains = recipe.domains.clone();
    if domains.is_empty() {
        let stem: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        domains.push(DomainRecipe { name: format!("{stem}.onmicrosoft.com"), ..DomainRecipe::default() });
    }
    let id = or_new(&recipe.id);
    let service_principal_id = derived_id(&id, "service principal");
    let now = clock.now();
    let mut made = Tenant {
        custom_roles: Vec::new(),
        domains: domains
            .iter()
            .enumerate()
            .map(|(position, domain)| Domain {
                name: domain.name.to_ascii_lowercase(),
                kind: if domain.federated {
                    DomainKind::Federated { sign_in_url: format!("https://adfs.{}/adfs/ls/", domain.name) }
                } else {
                    DomainKind::Managed
                },
                initial: position == 0,
                default: position == 0,
                verified: !domain.unverified,
            })
            .collect(),
        display_name: name.clone(),
        cloud: recipe.cloud,
        branding: Branding::default(),
        pass_policy: pass_policy(&recipe.pass_policy),
        passkey_policy: PasskeyPolicy::default(),
        oath_policy: OathPolicy::default(),
        oath_tokens: Vec::new(),
        security_defaults: recipe.security_defaults,
        conditional_access: Vec::new(),
        licence: recipe.licence,
        applications: vec![Application {
            client_id: or_new(&recipe.client_id),
            object_id: derived_id(&id, "application"),
            service_principal_id: service_principal_id.clone(),
            display_name: "Just-in-time access".to_owned(),
            secrets: vec![ApplicationSecret {
                id: derived_id(&id, "secret"),
                value: if recipe.client_secret.is_empty() { random_secret() } else { recipe.client_secret.clone() },
                start: now,
                expires: shifted(now, recipe.secret_expires_in_seconds.unwrap_or(2 * 365 * 24 * 3600)),
                ..ApplicationSecret::default()
            }],
            keys: recipe.certificates.iter().filter_map(|text| read_certificate_text(text, None).ok()).collect(),
            permissions: recipe
                .permissions
                .clone()
                .unwrap_or_else(|| DOCUMENTED_PERMISSIONS.iter().map(|name| (*name).to_owned()).collect())
                .into_iter()
                .chain(recipe.additional_permissions.iter().cloned())
                .collect(),
            enabled: true,
            registered: true,
            principal: true,
            created: now,
            ..Application::default()
        }],
        users: BTreeMap::new(),
        deleted_users: BTreeMap::new(),
        groups: BTreeMap::new(),
        assignments: recipe
            .app_roles
            .iter()
            .filter_map(|role| roles::by_id(role).or_else(|| roles::by_name(role)))
            .map(|role| assignment(role.id, &service_principal_id))
            .collect(),
        schedule_requests: Vec::new(),
        activated_roles: BTreeMap::from([(
            roles::GLOBAL_ADMINISTRATOR.to_owned(),
            derived_id(&id, "Global Administrator"),
        )]),
        id,
    };
    let initial = made.domains.first().map(|domain| domain.name.clone()).unwrap_or_default();
    let admin = person(&mut made, &format!("admin@{initial}"), "Permanent Administrator", clock);
    made.assignments.push(assignment(roles::GLOBAL_ADMINISTRATOR, &admin));
    let alice = person(&mut made, &format!("alice@{initial}"), "Alice Adams", clock);
    person(&mut made, &format!("bob@{initial}"), "Bob Brown", clock);
    let helpdesk = person(&mut made, &format!("helpdesk@{initial}"), "Helpdesk Hanna", clock);
    if let Some(role) = roles::by_name("Helpdesk Administrator") {
        made.assignments.push(assignment(role.id, &helpdesk));
    }
    person(&mut made, &format!("jit-taken@{initial}"), "Jitendra Taken", clock);
    group(&mut made, "Project Alpha", clock, |group| {
        group.members.insert(alice);
    });
    let tier = group(&mut made, "Tier-0 Operators", clock, |group| group.role_assignable = true);
    if let Some(role) = roles::by_name("Security Reader") {
        made.assignments.push(assignment(role.id, &tier));
    }
    group(&mut made, "All Staff", clock, |group| group.types.push("DynamicMembership".to_owned()));
    group(&mut made, "Synced Group", clock, |group| group.synchronised = true);
    group(&mut made, "Newsletter", clock, |group| {
        group.mail_enabled = true;
        group.security_enabled = false;
    });
    made
}

fn pass_policy(recipe: &PassPolicyRecipe) -> PassPolicy {
    let usual = PassPolicy::default();
    PassPolicy {
        enabled: !recipe.disabled,
        once: recipe.once,
        minimum_minutes: recipe.minimum_minutes.unwrap_or(usual.minimum_minutes),
        maximum_minutes: recipe.maximum_minutes.unwrap_or(usual.maximum_minutes),
        default_minutes: recipe.default_minutes.unwrap_or(usual.default_minutes),
        ..usual
    }
}

/// Adds an enabled member with a random password and returns its object id.
fn person(tenant: &mut Tenant, user_name: &str, display_name: &str, clock: &Clock) -> String {
    let mut user = User::new(user_name, display_name, clock.now(), clock.elapsed());
    user.id = derived_id(&tenant.id, user_name);
    user.password = Some(random_secret());
    user.attributes = Map::from_iter([
        ("mailNickname".to_owned(), json!(user_name.split('@').next().unwrap_or_default())),
        ("userType".to_owned(), json!("Member")),
        ("usageLocation".to_owned(), json!("US")),
        ("givenName".to_owned(), json!(display_name.split(' ').next())),
        ("surname".to_owned(), json!(display_name.split(' ').next_back())),
    ]);
    let id = user.id.clone();
    tenant.users.insert(id.clone(), user);
    id
}

fn group(tenant: &mut Tenant, name: &str, clock: &Clock, change: impl FnOnce(&mut Group)) -> String {
    let mut made = Group {
        id: derived_id(&tenant.id, name),
        display_name: name.to_owned(),
        members: BTreeSet::new(),
        owners: BTreeSet::new(),
        role_assignable: false,
        security_enabled: true,
        mail_enabled: false,
        types: Vec::new(),
        synchronised: false,
        created: clock.now(),
        created_moment: Duration::ZERO,
        attributes: Map::from_iter([(
            "mailNickname".to_owned(),
            Value::from(name.replace(' ', "-").to_ascii_lowercase()),
        )]),
    };
    change(&mut made);
    let id = made.id.clone();
    tenant.groups.insert(id.clone(), made);
    id
}

fn assignment(role: &str, principal: &str) -> RoleAssignment {
    RoleAssignment {
        id: assignment_id(role, principal, "/"),
        role: role.to_owned(),
        principal: principal.to_owned(),
        scope: "/".to_owned(),
        schedule: None,
    }
}

/// Role assignment ids are opaque, not GUIDs; the same triple has the same id.
#[must_use]
pub fn assignment_id(role: &str, principal: &str, scope: &str) -> String {
    use base64::Engine as _;
    let digest = Sha256::digest(format!("{role}\n{principal}\n{scope}"));
    let opaque = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
    format!("{}-1", &opaque[..opaque.len().min(35)])
}

/// The same GUID for the same words at every start.
#[must_use]
pub fn derived_id(tenant: &str, what: &str) -> String {
    let digest = Sha256::digest(format!("{tenant}\n{what}"));
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// A random text that meets the password rules and looks like a client secret.
#[must_use]
pub fn random_secret() -> String {
    format!("Sm1~{}", uuid::Uuid::new_v4().simple())
}

fn shifted(from: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(from.as_second().saturating_add(seconds)).unwrap_or(from)
}
