//! The check, before anyone clicks, that a tenant can do what its settings promise.
//!
//! It reads and changes nothing. Works with exactly the 12 documented permissions and says what it could not see.
//! Facts: Microsoft Graph permissions reference, and the 12 application permissions that customers are told to grant.

use latchkey_protocol::{CredentialPlan, ErrorBody, cloud::Cloud};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    AccountOwner, EngineError, EngineSettings, Failure, ListedTenant, NewTenant, Policy, Role, TenantIdentity,
    account::AccountName,
    credential,
    engine::Shared,
    entitlement::Share,
    graph::{
        self, Answer, Capabilities, FoundAccount, Licence, Page, PassPolicy, Priority, RoleDefinition, Session, Trouble,
    },
    names,
    oath::{self, OathObstacle, OathPolicy},
    passkey::{self, Obstacle, PasskeyPolicy},
    store::{Known, NameKind, TenantRow},
};

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
        covered_by: &[
            "GroupMember.Read.All",
            "GroupMember.ReadWrite.All",
            "Group.ReadWrite.All",
            "Directory.Read.All",
            "Directory.ReadWrite.All",
        ],
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
        covered_by: &["Domain.Read.All", "Directory.Read.All"],
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
        name: "UserAuthMethod-Passkey.ReadWrite.All",
        need: Need::Optional,
        purpose: "makes a passkey for each JIT account: it passes where phishing-resistant sign-in is asked for",
        covered_by: &["UserAuthenticationMethod.ReadWrite.All"],
    },
    Permission {
        name: "Policy.Read.AuthenticationMethod",
        need: Need::Optional,
        purpose: "reads beforehand whether the tenant allows passkeys and Temporary Access Passes, and for how long",
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

/// An inspection and what only the engine needs of it.
pub(crate) struct Inspected {
    pub(crate) inspection: Inspection,
    pub(crate) failures: Vec<Failure>,
    pub(crate) capabilities: Capabilities,
    pub(crate) pass_policy: Option<PassPolicy>,
    pub(crate) passkey_policy: Option<PasskeyPolicy>,
    pub(crate) oath_policy: Option<OathPolicy>,
}

/// A preflight is good for the first lease of a tenant for so long, in milliseconds.
const GOOD_FOR: i64 = 86_400_000;

/// Before the very first lease of a tenant: whether what it grants can be granted and taken back. What was found out when
/// the tenant was connected or validated within a day counts; afterwards leases themselves show what is wrong.
///
/// # Errors
/// The first thing that is in the way, with the one thing to do about it, or why nothing can be looked at.
pub(crate) async fn before_first_use(shared: &Shared, tenant: &TenantRow, share: &Share) -> Result<(), EngineError> {
    let now = shared.clock.now();
    let is_good = tenant.preflight_at.is_some_and(|at| (0..GOOD_FOR).contains(&(now - at)));
    if tenant.last_used.is_some() || is_good {
        return Ok(());
    }
    let mut wish = ListedTenant::of(tenant.clone()).wish();
    // What this lease grants, whatever was said when the tenant was connected.
    wish.roles = share.roles.iter().map(|role| role.id.to_string()).collect();
    wish.groups.clone_from(&share.groups);
    let session = shared.session(tenant);
    let found = inspect(&shared.settings, shared.policy(), &session, &wish, now).await?;
    // Whose account it is shows when it is looked for; here it is that of whoever works on this machine.
    let mut failures = found.failures.into_iter().filter(|failure| !matches!(failure, Failure::AccountNotOurs(_)));
    if let Some(failure) = failures.next() {
        // What is granted now shows only in a new token.
        session.forget_token().await;
        return Err(failure.into());
    }
    if let Some(policy) = &found.pass_policy {
        shared.store.remember_pass_policy(tenant.tenant_id, policy).await?;
    }
    shared.store.remember_policy(tenant.tenant_id, found.passkey_policy.as_ref()).await?;
    shared.store.remember_policy(tenant.tenant_id, found.oath_policy.as_ref()).await?;
    shared.store.remember_preflight(tenant.tenant_id, now).await
}

/// The longest a lease may be made, in minutes: Microsoft's limit for a pass.
const LONGEST: u32 = 43_200;

/// Looks at everything a lease will need.
pub(crate) async fn inspect(
    settings: &EngineSettings,
    policy: &Policy,
    session: &Session,
    new: &NewTenant,
    now: i64,
) -> Result<Inspected, EngineError> {
    let mut failures = Vec::new();
    let mut remarks = Vec::new();
    if new.minutes == 0 || new.minutes > new.maximum_minutes || new.maximum_minutes > LONGEST {
        failures.push(Failure::ConfigurationInvalid(format!(
            "a lease of {} minutes with a maximum of {} is not possible (1 to {LONGEST})",
            new.minutes, new.maximum_minutes
        )));
    }
    let capabilities = session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
    let permissions = check_permissions(&capabilities);
    note_missing(&permissions, new, &mut failures, &mut remarks);

    let has_passes = new.cloud.hosts().has_temporary_access_pass;
    let mut requests = vec![graph::read_organization(), graph::read_domains()];
    if let Some(application) = capabilities.object_id {
        requests.push(graph::read_role_assignments(application));
    }
    if has_passes && capabilities.pass_policy() {
        requests.push(graph::pass_policy());
    }
    let asks_passkeys =
        new.cloud.hosts().has_passkey_registration && capabilities.passkeys() && capabilities.pass_policy();
    if asks_passkeys {
        requests.push(graph::passkey_policy());
    }
    let mut answers = session
        .batch(&requests, false, Priority::High)
        .await
        .map_err(|trouble| trouble.to_error("describe the tenant"))?
        .into_iter();
    let organization = answers.next().and_then(|answer| organization_name(answer, new.tenant_id, &mut failures));
    let domains = answers.next().map(|answer| or_refusal(answer, graph::domains, "list the domains"));
    let application_assignments = capabilities.object_id.and_then(|_| answers.next()).and_then(graph::assignments);
    let policy_answer = (has_passes && capabilities.pass_policy()).then(|| answers.next()).flatten();
    let passkey_policy: Option<PasskeyPolicy> = asks_passkeys
        .then(|| answers.next())
        .flatten()
        .filter(Answer::is_success)
        .and_then(|answer| serde_json::from_value(answer.body).ok());
    let pass_policy: Option<PassPolicy> =
        policy_answer.filter(Answer::is_success).and_then(|answer| serde_json::from_value(answer.body).ok());
    let domains = match domains {
        Some(Ok(domains)) => domains,
        Some(Err(failure)) => {
            failures.push(failure);
            Vec::new()
        }
        None => Vec::new(),
    };
    let domain = choose_domain(new.domain.as_deref(), &domains, &mut failures);

    let definitions = session
        .collect(graph::read_role_definitions(), Priority::High)
        .await
        .map_err(|trouble| trouble.to_error("list the directory roles"))?;
    let definitions = match or_refusal(definitions, Page::<RoleDefinition>::of, "list the directory roles") {
        Ok(definitions) => definitions,
        Err(failure) => {
            failures.push(failure);
            Vec::new()
        }
    };
    let roles =
        if definitions.is_empty() { Vec::new() } else { resolve_roles(&new.roles, &definitions, &mut failures) };
    let application_roles: Vec<String> = application_assignments
        .unwrap_or_default()
        .values()
        .map(|id| {
            definitions
                .iter()
                .find(|definition| definition.id == *id)
                .map_or_else(|| id.to_string(), |definition| definition.display_name.clone())
        })
        .collect();

    let organization = organization.unwrap_or_else(|| domain.clone());
    let called = new.name.clone().unwrap_or_else(|| organization.clone());
    let verified: Vec<String> =
        domains.iter().filter(|domain| domain.verified).map(|domain| domain.name.clone()).collect();
    let identity = TenantIdentity { tenant_id: new.tenant_id, name: &called, domains: &verified };
    let (wanted_roles, mut wanted_groups) = policy.names_for(identity);
    if new.roles.is_empty() && new.groups.is_empty() && wanted_roles.is_empty() && wanted_groups.is_empty() {
        failures.push(Failure::ConfigurationInvalid("a lease grants neither a role nor a group".to_owned()));
    }
    let named_here: Vec<String> = new.groups.iter().map(ToString::to_string).collect();
    wanted_groups.extend(named_here.iter().cloned());
    match names::ask(session, &wanted_roles, &wanted_groups, now, Priority::High).await {
        Ok(asked) => {
            for (kind, said, failure) in asked.refused {
                // What the configuration names is one profile's trouble; what was said here is every lease's.
                if kind == NameKind::Group && named_here.contains(&said) {
                    failures.push(failure);
                } else {
                    remarks.push(format!("Of the configuration: {failure}. {}", failure.next_step()));
                }
            }
        }
        // What is missing for reading roles and groups is among the permissions already.
        Err(error) => tracing::warn!(%error, "names of roles and groups could not be asked for"),
    }
    let rules = policy.rules(identity);
    let login = rules.login.clone().unwrap_or_default();
    let name = AccountName::new(settings, policy, &AccountOwner::of(&settings.technician, &login), &domain)?;
    let account = if domain.is_empty() { AccountFound::Absent } else { find(session, &name).await? };
    if account == AccountFound::NotOurs {
        failures.push(Failure::AccountNotOurs(name.user_name.clone()));
    }
    let row = TenantRow {
        tenant_id: new.tenant_id,
        name: called,
        cloud: new.cloud,
        client_id: new.client_id,
        domain: domain.clone(),
        domains: Vec::new(),
        roles: roles.clone(),
        groups: new.groups.clone(),
        minutes: new.minutes,
        maximum_minutes: new.maximum_minutes,
        capabilities: capabilities.clone(),
        pass_policy: pass_policy.clone(),
        pass_refused_at: None,
        timed_roles: None,
        timed_roles_at: None,
        passwords_allowed: true,
        last_used: None,
        preflight_at: None,
    };
    let known = Known { policy: passkey_policy.clone(), refused_at: None };
    // Whether there is a key for the account is this machine's affair, and no tenant's.
    let obstacle = passkey::obstacle_in(&row, &capabilities, &known, now).unwrap_or(Obstacle::NotMade);
    let chosen = oath::is_chosen(&rules);
    let (oath_policy, licence_remark) =
        tokio::join!(oath::read_policy(&rules, session, new.cloud, &capabilities), licence_for_codes(session, chosen));
    remarks.extend(licence_remark);
    let known = Known { policy: oath_policy.clone(), refused_at: None };
    let oath = oath::obstacle_in(chosen, &row, &capabilities, &known, now).unwrap_or(OathObstacle::NotMade);
    let outlook = credential::Outlook { passkey: Some(obstacle), oath: Some(oath), pinned: rules.credential };
    let credential = credential::best(&row, &capabilities, &outlook, now);
    if has_passes && capabilities.passes() && pass_policy.is_none() {
        remarks.push(
            "Whether the tenant allows Temporary Access Passes cannot be read (Policy.Read.AuthenticationMethod): it \
             is tried, and a password is used if it does not."
                .to_owned(),
        );
    }
    let problems =
        failures.iter().map(|failure| EngineError::from(failure.clone()).in_tenant(&row.name).to_body()).collect();
    let inspection = Inspection {
        tenant_id: new.tenant_id,
        cloud: new.cloud,
        name: row.name,
        organization,
        permissions,
        application_roles,
        domains,
        domain,
        user_name: name.user_name,
        account,
        roles,
        credential,
        problems,
        remarks,
    };
    Ok(Inspected { inspection, failures, capabilities, pass_policy, passkey_policy, oath_policy })
}

/// What is to be said of the licence that one-time codes need. Nobody is asked where they are not chosen.
async fn licence_for_codes(session: &Session, chosen: bool) -> Option<String> {
    if !chosen {
        return None;
    }
    let answer = session.collect(graph::read_licences(), Priority::High).await.ok();
    match answer.and_then(graph::licence) {
        Some(Licence::P1 | Licence::P2) => None,
        Some(Licence::Free) => Some(
            "One-time codes need Entra ID P1, and the tenant has neither P1 nor P2: buy it, or take \
             `one_time_codes_beta` out of the configuration."
                .to_owned(),
        ),
        None => Some(format!(
            "Whether the tenant has the Entra ID P1 that one-time codes need cannot be read ({}): they are tried.",
            graph::LICENCES
        )),
    }
}

/// Every permission on the list against the token.
fn check_permissions(capabilities: &Capabilities) -> Vec<PermissionCheck> {
    PERMISSIONS
        .iter()
        .map(|permission| PermissionCheck {
            permission: *permission,
            granted: capabilities.has(permission.name),
            covered_by: permission
                .covered_by
                .iter()
                .find(|other| !capabilities.has(permission.name) && capabilities.has(other))
                .map(|other| (*other).to_owned()),
        })
        .collect()
}

fn note_missing(checks: &[PermissionCheck], new: &NewTenant, failures: &mut Vec<Failure>, remarks: &mut Vec<String>) {
    let mut missing = Vec::new();
    for check in checks.iter().filter(|check| !check.granted && check.covered_by.is_none()) {
        let Permission { name, need, purpose, .. } = check.permission;
        // Only groups need this one, and this tenant's leases have none.
        let for_groups = name == "Directory.ReadWrite.All" && new.groups.is_empty();
        match need {
            Need::Required if !for_groups => missing.push(name.to_owned()),
            Need::Required | Need::Documented => {
                remarks.push(format!("The documented permission {name} is not granted ({purpose})."));
            }
            Need::Optional => remarks.push(format!("With {name} Latchkey also {purpose}.")),
        }
    }
    if !missing.is_empty() {
        failures.push(Failure::PermissionMissing(missing));
    }
}

/// The members of an answer, or why there are none.
fn or_refusal<T>(
    answer: Answer,
    read: impl FnOnce(Answer) -> Option<Vec<T>>,
    action: &'static str,
) -> Result<Vec<T>, Failure> {
    if answer.is_success() {
        return read(answer).ok_or_else(|| Failure::Internal(format!("cannot read the answer to: {action}")));
    }
    Err(Trouble::of_answer(&answer).to_error(action).failure().clone())
}

/// The organization's own name. One of another tenant is a failure: nothing that was said about a tenant is believed.
fn organization_name(answer: Answer, tenant_id: Uuid, failures: &mut Vec<Failure>) -> Option<String> {
    let organizations: Vec<serde_json::Value> = Page::of(answer)?;
    let organization = organizations.first()?;
    if organization["id"].as_str().and_then(|id| Uuid::parse_str(id).ok()).is_some_and(|id| id != tenant_id) {
        failures.push(Failure::TokenRefused("Graph answers for another tenant".to_owned()));
    }
    organization["displayName"].as_str().map(ToOwned::to_owned)
}

/// The domain that was asked for, or the one the tenant began with; verified and managed, or a failure says why not.
fn choose_domain(asked: Option<&str>, domains: &[DomainFound], failures: &mut Vec<Failure>) -> String {
    if domains.is_empty() {
        return asked.unwrap_or_default().to_lowercase();
    }
    let found = match asked {
        Some(asked) => domains.iter().find(|domain| domain.name.eq_ignore_ascii_case(asked)),
        None => domains
            .iter()
            .find(|domain| domain.initial && domain.managed)
            .or_else(|| domains.iter().find(|domain| domain.verified && domain.managed)),
    };
    let Some(found) = found else {
        let asked = asked.unwrap_or("(none)").to_lowercase();
        failures.push(Failure::DomainNotVerified(asked.clone()));
        return asked;
    };
    if !found.verified {
        failures.push(Failure::DomainNotVerified(found.name.clone()));
    } else if !found.managed {
        failures.push(Failure::DomainFederated(found.name.clone()));
    }
    found.name.clone()
}

/// Names (in any case) or ids to roles; every unknown one is a failure that names what looks like it.
pub(crate) fn resolve_roles(
    asked: &[String],
    definitions: &[RoleDefinition],
    failures: &mut Vec<Failure>,
) -> Vec<Role> {
    let mut roles: Vec<Role> = Vec::new();
    let names = || definitions.iter().map(|definition| definition.display_name.as_str());
    for wish in asked {
        let wish = wish.trim();
        let found = definitions.iter().find(|definition| {
            definition.display_name.eq_ignore_ascii_case(wish)
                || Uuid::parse_str(wish).is_ok_and(|id| id == definition.id)
        });
        match found {
            Some(found) if roles.iter().any(|role| role.id == found.id) => {}
            Some(found) => roles.push(Role { id: found.id, name: found.display_name.clone() }),
            None => failures.push(Failure::RoleUnknown { name: wish.to_owned(), similar: similar(wish, names()) }),
        }
    }
    roles
}

/// Up to three names that share most letters pairs with what was asked for.
pub(crate) fn similar<'a>(wish: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let pairs = |text: &str| -> Vec<(char, char)> {
        let letters: Vec<char> = text.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect();
        letters.windows(2).map(|pair| (pair[0], pair[1])).collect()
    };
    let wanted = pairs(wish);
    let mut scored: Vec<(usize, &str)> = names
        .map(|name| {
            let mut left = pairs(name);
            let total = wanted.len() + left.len();
            let shared = wanted
                .iter()
                .filter(|pair| {
                    let place = left.iter().position(|other| other == *pair);
                    place.map(|place| left.swap_remove(place)).is_some()
                })
                .count();
            (shared * 200 / total.max(1), name)
        })
        .filter(|(score, _)| *score >= 55)
        .collect();
    scored.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
    scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// Whether an account of the name is there, and whose it is.
async fn find(session: &Session, name: &AccountName) -> Result<AccountFound, EngineError> {
    let action = "look for the account";
    let answer = session
        .send(&graph::find_account(&name.user_name), Priority::High)
        .await
        .map_err(|trouble| trouble.to_error(action))?;
    if answer.status == 404 {
        return Ok(AccountFound::Absent);
    }
    if !answer.is_success() {
        // What is missing for reading users is among the permissions already.
        tracing::warn!(status = answer.status, "the account cannot be looked for");
        return Ok(AccountFound::Absent);
    }
    let found: FoundAccount =
        serde_json::from_value(answer.body).map_err(|_| Failure::Internal("an account without an id".to_owned()))?;
    Ok(if found.mark() == Some(name.mark.as_str()) { AccountFound::Ours(found.id) } else { AccountFound::NotOurs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definitions() -> Vec<RoleDefinition> {
        ["Global Administrator", "Global Reader", "User Administrator", "Helpdesk Administrator"]
            .iter()
            .enumerate()
            .map(|(number, name)| RoleDefinition {
                id: Uuid::from_u128(number as u128 + 1),
                display_name: (*name).to_owned(),
            })
            .collect()
    }

    #[test]
    fn roles_are_found_by_name_in_any_case_and_by_id() {
        let mut failures = Vec::new();
        let asked = ["global administrator".to_owned(), Uuid::from_u128(2).to_string(), "GLOBAL READER".to_owned()];
        let roles = resolve_roles(&asked, &definitions(), &mut failures);
        let names: Vec<_> = roles.iter().map(|role| role.name.as_str()).collect();
        assert_eq!(names, ["Global Administrator", "Global Reader"]);
        assert!(failures.is_empty());
    }

    #[test]
    fn an_unknown_role_names_what_looks_like_it() {
        let mut failures = Vec::new();
        resolve_roles(&["Global Admin".to_owned()], &definitions(), &mut failures);
        let [Failure::RoleUnknown { name, similar }] = failures.as_slice() else {
            unreachable!("one role is unknown");
        };
        assert_eq!(name, "Global Admin");
        assert_eq!(similar.first().map(String::as_str), Some("Global Administrator"));
    }

    fn domain(name: &str, verified: bool, managed: bool) -> DomainFound {
        DomainFound {
            name: name.to_owned(),
            verified,
            managed,
            initial: name.ends_with("onmicrosoft.com"),
            default: false,
        }
    }

    #[test]
    fn only_a_verified_managed_domain_will_do() {
        let domains = [
            domain("contoso.com", true, false),
            domain("new.contoso.com", false, true),
            domain("contoso.onmicrosoft.com", true, true),
        ];
        let mut failures = Vec::new();
        assert_eq!(choose_domain(None, &domains, &mut failures), "contoso.onmicrosoft.com");
        assert!(failures.is_empty());
        for (asked, expected) in [
            ("Contoso.com", Failure::DomainFederated("contoso.com".to_owned())),
            ("new.contoso.com", Failure::DomainNotVerified("new.contoso.com".to_owned())),
            ("fabrikam.com", Failure::DomainNotVerified("fabrikam.com".to_owned())),
        ] {
            let mut failures = Vec::new();
            choose_domain(Some(asked), &domains, &mut failures);
            assert_eq!(failures, [expected]);
        }
    }

    #[test]
    fn the_documented_set_is_twelve_and_enough() {
        let documented: Vec<_> = PERMISSIONS.iter().filter(|permission| permission.need != Need::Optional).collect();
        assert_eq!(documented.len(), 12);
        let capabilities = Capabilities {
            object_id: None,
            permissions: documented.iter().map(|permission| permission.name.to_owned()).collect(),
        };
        let missing = check_permissions(&capabilities)
            .into_iter()
            .filter(|check| check.permission.need == Need::Required && !check.granted && check.covered_by.is_none())
            .count();
        assert_eq!(missing, 0);
    }
}
