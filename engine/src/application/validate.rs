//! The long form of the preflight: everything that decides what a tenant can do, one line each, with the one thing to do
//! about what is missing, and what could not be seen and why.
//!
//! What the policy gives anybody here is looked at, and not only what whoever asks would get. It only reads, and works
//! with exactly the 12 documented permissions. Facts: Microsoft Graph v1.0 reference of
//! subscribedSku, identitySecurityDefaultsEnforcementPolicy, conditionalAccessPolicy, group and application.

mod break_glass;
mod profiles;

use std::collections::BTreeSet;

use latchkey_protocol::CredentialKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{credential, registration};
use crate::{
    Engine, EngineError, Inspection, Need, Rules, TenantHealth,
    graph::{self, Answer, Capabilities, Licence, Page, Priority, Request, Session},
    oath::{self, OathObstacle},
    passkey::Obstacle,
    store::{self, BreakGlassRow, TenantRow, applications},
};
use profiles::{Grant, Profiles};

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// As it should be.
    Good,
    /// Works, but somebody should look.
    Warning,
    /// Keeps something that is enabled from working.
    Broken,
    /// Could not be looked at.
    Unseen,
}

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, e.g. `permissions` or `conditional_access`.
    pub subject: &'static str,
    /// How it is.
    pub state: CheckState,
    /// One sentence: what was found.
    pub found: String,
    /// The one thing to do about it; `None` when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

impl Check {
    fn new(subject: &'static str, state: CheckState, found: impl Into<String>, next_step: Option<&str>) -> Self {
        Self { subject, state, found: found.into(), next_step: next_step.map(ToOwned::to_owned) }
    }

    fn good(subject: &'static str, found: impl Into<String>) -> Self {
        Self::new(subject, CheckState::Good, found, None)
    }
}

/// What is true of a connected tenant.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// The short form.
    #[serde(flatten)]
    pub health: TenantHealth,
    /// Everything that was looked at.
    pub checks: Vec<Check>,
}

impl Validation {
    /// Whether nothing that is enabled is kept from working.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.health.problems.is_empty() && self.checks.iter().all(|check| check.state != CheckState::Broken)
    }
}

impl Engine {
    /// Looks at everything that decides what a connected tenant can do. Changes nothing at Microsoft.
    ///
    /// # Errors
    /// `TenantUnknown`, or the database cannot be used; everything else is in the answer.
    pub async fn validate_tenant(&self, tenant_id: Uuid) -> Result<Validation, EngineError> {
        let shared = self.shared();
        let (mut health, inspection) = self.check_and_inspect(tenant_id).await?;
        let tenant = shared.store.tenant(tenant_id).await?;
        let mut checks = Vec::new();
        match &inspection {
            Ok(inspection) => {
                let emergency = shared.store.break_glass_of(tenant_id).await?;
                let groups = profiles::name_groups(shared, &tenant);
                checks.extend(of_inspection(inspection, &tenant, groups, !emergency.is_empty()));
                let session = shared.session(&tenant);
                match session.capabilities().await {
                    Ok(capabilities) => {
                        self.read_end(&session, &tenant).await?;
                        let Profiles { checks: found, grants, refused } =
                            profiles::look(shared, &tenant, inspection, &session, &capabilities).await;
                        checks.extend(found);
                        // Said once: with the profile that it is about.
                        health.problems.retain(|problem| !refused.contains(&problem.message));
                        let rules = shared.policy().rules(tenant.identity());
                        let seen = Seen { tenant: &tenant, rules: &rules, grants: &grants, emergency: &emergency };
                        checks.extend(of_tenant(&session, seen, inspection, &capabilities).await);
                    }
                    Err(trouble) => checks.push(unseen("token", &trouble.to_error("issue a token"))),
                }
            }
            Err(error) => {
                let body = error.to_body();
                checks.push(Check::new("token", CheckState::Broken, body.message, Some(&body.next_step)));
            }
        }
        checks.insert(0, self.check_credential(&tenant).await?);
        if let Ok(inspection) = &inspection {
            checks.extend(break_glass::look(self, &tenant, inspection).await);
        }
        let validation = Validation { health, checks };
        if validation.is_sound() {
            shared.store.remember_preflight(tenant_id, shared.clock.now()).await?;
        }
        Ok(validation)
    }

    /// Learns when a client secret ends, where the application may read its own registration.
    async fn read_end(&self, session: &Session, tenant: &TenantRow) -> Result<(), EngineError> {
        let shared = self.shared();
        let entry = shared.key_entry(tenant.tenant_id, tenant.client_id);
        // Not being able to look is no error here: what is not known is said.
        let Ok(Some(registration)) = registration::own(session, tenant.client_id).await else { return Ok(()) };
        let Some(super::ApplicationKey::Secret(value)) = crate::graph::stored_key(&shared.secrets, entry).await? else {
            return Ok(());
        };
        let Some(end) = registration.secret_of(&value).and_then(|secret| secret.end_date_time.as_deref()?.parse_end())
        else {
            return Ok(());
        };
        let mut write = shared.store.write().await?;
        let mut row = applications::find(&mut *write, entry).await?;
        row.kind = Some(applications::KeyKind::ClientSecret);
        row.expires_at = Some(end);
        applications::save(&mut write, &row).await?;
        store::commit(write).await
    }

    async fn check_credential(&self, tenant: &TenantRow) -> Result<Check, EngineError> {
        const SUBJECT: &str = "credential";
        let shared = self.shared();
        let row = shared.store.application_key(shared.key_entry(tenant.tenant_id, tenant.client_id)).await?;
        let what = match row.kind {
            Some(applications::KeyKind::Certificate) => "a certificate",
            _ => "a client secret",
        };
        Ok(match (credential::end_of(&row, shared.now()), credential::days_left(row.expires_at, shared.now())) {
            (Some(Err(failure)), _) => {
                Check::new(SUBJECT, CheckState::Broken, failure.to_string(), Some(&failure.next_step()))
            }
            (Some(Ok(_)), days) => Check::new(
                SUBJECT,
                CheckState::Warning,
                format!("the application signs in with {what} that ends in {} days", days.unwrap_or_default()),
                Some("Run `latchkey tenant credential rotate`."),
            ),
            (None, Some(days)) => {
                Check::good(SUBJECT, format!("the application signs in with {what}, good for {days} more days"))
            }
            (None, None) => Check::new(
                SUBJECT,
                CheckState::Unseen,
                format!("the application signs in with {what}; when it ends cannot be read (Application.Read.All)"),
                Some("Run `latchkey tenant credential rotate` for a certificate whose end is known."),
            ),
        })
    }
}

/// What the short preflight knows already.
fn of_inspection(inspection: &Inspection, tenant: &TenantRow, groups: bool, emergency: bool) -> Vec<Check> {
    let mut checks = Vec::new();
    let granted = inspection.permissions.iter().filter(|check| check.granted || check.covered_by.is_some()).count();
    let missing: Vec<&str> = inspection
        .permissions
        .iter()
        .filter(|check| check.permission.need == Need::Required && !check.granted && check.covered_by.is_none())
        .map(|check| check.permission.name)
        .filter(|name| *name != "Directory.ReadWrite.All" || groups)
        .collect();
    checks.push(if missing.is_empty() {
        Check::good("permissions", format!("everything that leases need is granted ({granted} on the list)"))
    } else {
        Check::new(
            "permissions",
            CheckState::Broken,
            format!("not granted: {}", missing.join(", ")),
            Some("Add them to the app registration and grant admin consent."),
        )
    });
    let domain = inspection.domains.iter().find(|domain| domain.name.eq_ignore_ascii_case(&inspection.domain));
    checks.push(match domain {
        Some(domain) if domain.verified && domain.managed => {
            Check::good("domain", format!("{} is verified and managed", domain.name))
        }
        Some(domain) => Check::new(
            "domain",
            CheckState::Broken,
            format!("{} is {}", domain.name, if domain.verified { "federated" } else { "not verified" }),
            Some("Use the tenant's .onmicrosoft.com domain: run `latchkey tenant add --domain …` again."),
        ),
        None => Check::new("domain", CheckState::Unseen, "the domains cannot be read", Some("Grant Domain.Read.All.")),
    });
    if !tenant.passwords_allowed {
        checks.push(Check::new(
            "passwords",
            CheckState::Warning,
            "Microsoft does not let the application replace passwords: leases with one make the account anew each time",
            Some("Give the application the directory role User Administrator, then run `latchkey prepare`."),
        ));
    }
    let own = &inspection.application_roles;
    checks.push(if own.is_empty() {
        Check::good("application_roles", "the application holds no directory role (it needs none for leases)")
    } else if emergency && break_glass::is_enough(own) {
        Check::good("application_roles", format!("the application holds {}, for the break-glass accounts", own[0]))
    } else {
        Check::new(
            "application_roles",
            CheckState::Warning,
            format!("the application itself holds {}", own.join(", ")),
            Some("Leases need none: take them away unless a break-glass account is kept here."),
        )
    });
    checks.push(match inspection.credential.kind {
        CredentialKind::Passkey | CredentialKind::TemporaryAccessPass => {
            Check::good("passes", "leases sign in with a Temporary Access Pass")
        }
        CredentialKind::PasswordTotp | CredentialKind::Password => {
            let because = inspection.credential.because.clone().unwrap_or_default();
            let step = if because.contains("lacks the permission") {
                "Grant UserAuthMethod-TAP.ReadWrite.All."
            } else if because.contains("switched off") {
                "Switch Temporary Access Pass on under Authentication methods > Policies."
            } else {
                "Nothing: this cloud or policy decides it."
            };
            Check::new("passes", CheckState::Warning, because, Some(step))
        }
    });
    checks.extend(of_passkeys(inspection));
    checks.extend(of_tokens(inspection));
    checks
}

/// What the tenant says to passkeys; nothing where its application is not to make any.
fn of_passkeys(inspection: &Inspection) -> Option<Check> {
    let passkey = inspection.credential.unavailable.iter().find(|one| one.kind == CredentialKind::Passkey)?;
    let is = |obstacle: Obstacle| passkey.because == obstacle.because();
    if is(Obstacle::Permission) || is(Obstacle::Cloud) {
        return None;
    }
    Some(if is(Obstacle::NotMade) {
        Check::good("passkeys", "the tenant lets the accounts have passkeys")
    } else {
        Check::new("passkeys", CheckState::Warning, passkey.because.clone(), Some(&passkey.remedy))
    })
}

/// What the tenant says to one-time codes; nothing where the configuration does not switch them on.
fn of_tokens(inspection: &Inspection) -> Option<Check> {
    let code = inspection.credential.unavailable.iter().find(|one| one.kind == CredentialKind::PasswordTotp)?;
    Some(if code.because == OathObstacle::NotMade.because() {
        Check::good("one_time_codes", "the tenant lets the accounts have OATH tokens (beta)")
    } else {
        Check::new("one_time_codes", CheckState::Warning, code.because.clone(), Some(&code.remedy))
    })
}

/// What this machine knows of a tenant.
struct Seen<'a> {
    tenant: &'a TenantRow,
    rules: &'a Rules,
    grants: &'a [Grant],
    emergency: &'a [BreakGlassRow],
}

/// What has to be asked of the tenant itself.
async fn of_tenant(
    session: &Session,
    seen: Seen<'_>,
    inspection: &Inspection,
    capabilities: &Capabilities,
) -> Vec<Check> {
    let Seen { tenant, rules, grants, emergency } = seen;
    let mut checks = Vec::new();
    if let (true, Some(policy)) = (capabilities.pass_policy(), &tenant.pass_policy)
        && policy.state == "enabled"
        && let Some(longest) = policy.maximum_lifetime_in_minutes
        && longest < tenant.maximum_minutes
    {
        checks.push(Check::new(
            "passes",
            CheckState::Warning,
            format!("a pass lives {longest} minutes at most, a lease up to {}", tenant.maximum_minutes),
            Some("Raise the maximum lifetime in the Temporary Access Pass policy, or shorten leases."),
        ));
    }
    let licence = session.collect(graph::read_licences(), Priority::High).await.ok().and_then(graph::licence);
    checks.extend(licences(licence, tenant, rules));
    if !capabilities.has("Policy.Read.All") {
        for (subject, what) in
            [("security_defaults", "security defaults"), ("conditional_access", "Conditional Access policies")]
        {
            checks.push(Check::new(
                subject,
                CheckState::Unseen,
                format!("{what} cannot be read with the permissions that are granted"),
                Some("Grant Policy.Read.All to have them looked at; leases work without it."),
            ));
        }
        return checks;
    }
    let path = "/policies/identitySecurityDefaultsEnforcementPolicy".to_owned();
    let defaults = session.send(&Request::get(path), Priority::High).await;
    let passes = inspection.credential.kind == CredentialKind::TemporaryAccessPass;
    checks.push(match defaults.ok().filter(Answer::is_success).and_then(|answer| answer.body["isEnabled"].as_bool()) {
        Some(true) if !passes => Check::new(
            "security_defaults",
            CheckState::Warning,
            "security defaults are on: a sign-in with a password is asked to register MFA",
            Some("Let leases use a Temporary Access Pass, which counts as MFA."),
        ),
        Some(true) => Check::good("security_defaults", "security defaults are on; a pass satisfies them"),
        Some(false) => Check::good("security_defaults", "security defaults are off"),
        None => Check::new("security_defaults", CheckState::Unseen, "security defaults could not be read", None),
    });
    let policies =
        session.collect(Request::get("/identity/conditionalAccess/policies".to_owned()), Priority::High).await;
    match policies.ok().and_then(Page::<AccessPolicy>::of) {
        Some(policies) => {
            let account = match &inspection.account {
                crate::AccountFound::Ours(id) => Some(*id),
                _ => None,
            };
            let mut found: Vec<Check> =
                policies.iter().filter_map(|policy| policy.stop(account, grants, passes)).collect();
            for policy in &policies {
                found.extend(emergency.iter().filter_map(|one| policy.stops_in_an_emergency(one)));
            }
            if found.is_empty() {
                let looked = format!("none of {} policies stops a JIT account", policies.len());
                checks.push(Check::good("conditional_access", looked));
            }
            checks.extend(found);
        }
        None => checks.push(Check::new(
            "conditional_access",
            CheckState::Unseen,
            "Conditional Access policies could not be read",
            None,
        )),
    }
    checks
}

fn unseen(subject: &'static str, error: &EngineError) -> Check {
    Check::new(subject, CheckState::Unseen, error.to_string(), Some(&error.to_body().next_step))
}

/// P1 and P2, and what hangs on them.
fn licences(licence: Option<Licence>, tenant: &TenantRow, rules: &Rules) -> Vec<Check> {
    let has_codes = oath::is_chosen(rules);
    let Some(licence) = licence else {
        let codes = ", so it is unknown whether there is the Entra ID P1 that one-time codes need";
        return vec![Check::new(
            "licences",
            CheckState::Unseen,
            format!("the tenant's licences could not be read{}", if has_codes { codes } else { "" }),
            Some(&format!("Grant {}.", graph::LICENCES)),
        )];
    };
    let has_p2 = licence == Licence::P2;
    vec![
        if has_codes && licence < Licence::P1 {
            Check::new(
                "licences",
                CheckState::Warning,
                "no Entra ID P1 or P2, which one-time codes need",
                Some("Buy Entra ID P1, or take `one_time_codes_beta` out of the configuration."),
            )
        } else {
            let found = match licence {
                Licence::Free => "no Entra ID P1 or P2",
                Licence::P1 => "Entra ID P1",
                Licence::P2 => "Entra ID P2",
            };
            Check::good("licences", found)
        },
        if rules.timed_roles == Some(false) {
            Check::good("timed_roles", "the configuration does without roles that end by themselves")
        } else if has_p2 && tenant.timed_roles == Some(false) {
            Check::new(
                "timed_roles",
                CheckState::Warning,
                "the tenant has Entra ID P2 and refused lately to assign a role with an end: Latchkey removes it",
                Some("See the role's settings in PIM: an assignment's longest duration must be that of a lease."),
            )
        } else if has_p2 {
            Check::good("timed_roles", "roles can end by themselves (PIM)")
        } else {
            Check::new(
                "timed_roles",
                CheckState::Warning,
                "roles cannot end by themselves (PIM needs Entra ID P2): Latchkey removes them",
                Some("Nothing: leases end as they always do; P2 only adds a second fence."),
            )
        },
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundGroup {
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    security_enabled: Option<bool>,
    #[serde(default)]
    mail_enabled: Option<bool>,
    #[serde(default)]
    group_types: Vec<String>,
    #[serde(default)]
    is_assignable_to_role: Option<bool>,
    #[serde(default)]
    on_premises_sync_enabled: Option<bool>,
}

/// Whether accounts can be put into a group and taken out again.
async fn group_check(session: &Session, group: Uuid, capabilities: &Capabilities) -> Check {
    const SUBJECT: &str = "group";
    let members = "id,displayName,securityEnabled,mailEnabled,groupTypes,isAssignableToRole,onPremisesSyncEnabled";
    let answer = session.send(&Request::get(format!("/groups/{group}?$select={members}")), Priority::High).await;
    let answer = match answer {
        Ok(answer) if answer.status == 404 => {
            let found = format!("there is no group {group}");
            return Check::new(SUBJECT, CheckState::Broken, found, Some("Choose another group for this tenant."));
        }
        Ok(answer) if answer.is_success() => answer,
        Ok(answer) => {
            let found = format!("the group {group} could not be read (HTTP {})", answer.status);
            return Check::new(SUBJECT, CheckState::Unseen, found, Some("Grant Group.Read.All."));
        }
        Err(trouble) => return unseen(SUBJECT, &trouble.to_error("read a group")),
    };
    match serde_json::from_value::<FoundGroup>(answer.body) {
        Ok(found) => found.check(capabilities.has("RoleManagement.ReadWrite.Directory")),
        Err(error) => Check::new(SUBJECT, CheckState::Unseen, format!("the group {group}: {error}"), None),
    }
}

impl FoundGroup {
    fn check(&self, may_assign_roles: bool) -> Check {
        let broken = |why: &str, step: &str| {
            Check::new("group", CheckState::Broken, format!("{}: {why}", self.display_name), Some(step))
        };
        let unified = self.group_types.iter().any(|kind| kind == "Unified");
        if self.group_types.iter().any(|kind| kind == "DynamicMembership") {
            broken("its members follow a rule", "Choose a group with assigned members.")
        } else if self.on_premises_sync_enabled == Some(true) {
            broken("it comes from an on-premises directory", "Choose a group that was made in Entra.")
        } else if self.mail_enabled == Some(true) && !unified {
            broken("it is mail-enabled: Graph cannot change its members", "Choose a security group.")
        } else if self.is_assignable_to_role == Some(true) && !may_assign_roles {
            broken("roles can be assigned to it", "Grant RoleManagement.ReadWrite.Directory.")
        } else if self.security_enabled == Some(false) && !unified {
            broken("it is no security group", "Choose a security group.")
        } else {
            Check::good("group", self.display_name.clone())
        }
    }
}

/// What a break-glass account holds unless the configuration says otherwise.
const GLOBAL_ADMINISTRATOR: Uuid = Uuid::from_u128(0x62e90394_69f5_4237_9190_012177145e10);

/// A Conditional Access policy, as far as it can stop a JIT account.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessPolicy {
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    conditions: Conditions,
    #[serde(default)]
    grant_controls: Option<GrantControls>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Conditions {
    users: Option<Users>,
    locations: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Users {
    include_users: Vec<String>,
    exclude_users: Vec<String>,
    include_groups: Vec<String>,
    exclude_groups: Vec<String>,
    include_roles: Vec<String>,
    exclude_roles: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GrantControls {
    operator: Option<String>,
    built_in_controls: Vec<String>,
    authentication_strength: Option<Strength>,
}

/// Which ways to sign in a policy takes.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Strength {
    display_name: String,
    allowed_combinations: Vec<String>,
}

impl Strength {
    /// Whether what a lease signs in with is among them.
    fn takes(&self, passes: bool) -> bool {
        let kind = if passes { "temporaryAccessPass" } else { "password" };
        self.allowed_combinations.iter().any(|combination| {
            // A password with something else is not what a lease has.
            combination.starts_with(kind) && !combination.contains(',')
        })
    }
}

/// The account of a lease, as policies see it.
struct LeaseOf<'a> {
    account: Option<Uuid>,
    roles: &'a BTreeSet<Uuid>,
    groups: &'a BTreeSet<Uuid>,
    passes: bool,
}

impl Users {
    fn apply_to(&self, lease: &LeaseOf<'_>) -> bool {
        let among = |names: &[String], ids: &BTreeSet<Uuid>| {
            names.iter().any(|name| Uuid::parse_str(name).is_ok_and(|id| ids.contains(&id)))
        };
        let names = |names: &[String]| {
            names.iter().any(|name| name == "All" || lease.account.is_some_and(|id| *name == id.to_string()))
        };
        let included = names(&self.include_users)
            || among(&self.include_roles, lease.roles)
            || among(&self.include_groups, lease.groups);
        let excluded = names(&self.exclude_users)
            || among(&self.exclude_roles, lease.roles)
            || among(&self.exclude_groups, lease.groups);
        included && !excluded
    }
}

impl AccessPolicy {
    /// What it would keep the JIT accounts of some profiles from; `None`: nothing.
    fn stop(&self, account: Option<Uuid>, grants: &[Grant], passes: bool) -> Option<Check> {
        let mut stopped = grants.iter().filter_map(|grant| {
            let lease = LeaseOf { account, roles: &grant.roles, groups: &grant.groups, passes };
            Some((self.stops(&lease)?, grant.profile.as_str()))
        });
        let (mut check, first) = stopped.next()?;
        let mut profiles: Vec<&str> = std::iter::once(first).chain(stopped.map(|(_, profile)| profile)).collect();
        if profiles.len() < grants.len() {
            profiles.dedup();
            check.found = format!("{} (profile {})", check.found, profiles.join(", "));
        }
        Some(check)
    }

    /// What it would keep a break-glass account from, which signs in with a second factor of its own.
    fn stops_in_an_emergency(&self, account: &BreakGlassRow) -> Option<Check> {
        let (roles, groups) = (BTreeSet::from([GLOBAL_ADMINISTRATOR]), BTreeSet::new());
        let lease = LeaseOf { account: account.object_id, roles: &roles, groups: &groups, passes: true };
        let mut check = self.stops(&lease)?;
        check.found = format!("{} ({}, a break-glass account)", check.found, account.user_name);
        check.next_step = Some("Exclude the break-glass account from this policy.".to_owned());
        Some(check)
    }

    /// What it would keep a JIT account from; `None`: nothing.
    fn stops(&self, lease: &LeaseOf<'_>) -> Option<Check> {
        const SUBJECT: &str = "conditional_access";
        const EXCLUDE: &str = "Exclude the JIT accounts (by a group that leases grant) from this policy, or sign in as \
                               it asks.";
        if self.state != "enabled" || !self.conditions.users.as_ref().is_some_and(|users| users.apply_to(lease)) {
            return None;
        }
        let controls = self.grant_controls.as_ref()?;
        let any = controls.operator.as_deref().is_none_or(|operator| operator == "OR");
        let met = |control: &str| match control {
            "mfa" => lease.passes,
            // A browser that is not the customer's own device never meets these.
            "block" | "compliantDevice" | "domainJoinedDevice" | "approvedApplication" | "compliantApplication" => {
                false
            }
            _ => true,
        };
        let strength = controls.authentication_strength.as_ref();
        let asked = controls.built_in_controls.len() + usize::from(strength.is_some());
        let mut controls_left: Vec<String> =
            controls.built_in_controls.iter().filter(|control| !met(control)).cloned().collect();
        controls_left.extend(
            strength
                .filter(|strength| !strength.takes(lease.passes))
                .map(|strength| format!("the authentication strength '{}'", strength.display_name)),
        );
        let blocks = controls_left.iter().any(|control| control == "block");
        if controls_left.is_empty() || (any && controls_left.len() < asked && !blocks) {
            return None;
        }
        let somewhere = if self.conditions.locations.as_ref().is_some_and(|locations| !locations.is_null()) {
            " from some locations"
        } else {
            ""
        };
        let what = if blocks {
            "blocks the sign-in".to_owned()
        } else if controls_left == ["mfa"] {
            let found = format!("'{}' asks for MFA, which a password alone does not meet", self.display_name);
            let step = "Let leases use a Temporary Access Pass, which counts as MFA.";
            return Some(Check::new(SUBJECT, CheckState::Warning, found, Some(step)));
        } else {
            format!("asks for {}", controls_left.join(" and "))
        };
        let found = format!("'{}' {what}{somewhere}", self.display_name);
        Some(Check::new(SUBJECT, CheckState::Warning, found, Some(EXCLUDE)))
    }
}

/// Times as Graph writes them.
trait ParseEnd {
    fn parse_end(&self) -> Option<i64>;
}

impl ParseEnd for str {
    /// `2027-11-22T10:17:06Z`, with or without a fraction: Unix time in milliseconds.
    fn parse_end(&self) -> Option<i64> {
        let (day, time) = self.trim_end_matches('Z').split_once('T')?;
        let mut day = day.split('-').map(|part| part.parse::<i64>());
        let (year, month, day) = (day.next()?.ok()?, day.next()?.ok()?, day.next()?.ok()?);
        let mut time = time.split('.').next()?.split(':').map(|part| part.parse::<i64>());
        let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
        let days = crate::graph::days_since_1970(year, month, day);
        Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn policy(controls: &[&str], operator: &str, users: Value) -> AccessPolicy {
        serde_json::from_value(json!({
            "displayName": "P", "state": "enabled", "conditions": { "users": users },
            "grantControls": { "operator": operator, "builtInControls": controls },
        }))
        .unwrap()
    }

    fn stops(policy: &AccessPolicy, passes: bool) -> bool {
        let (roles, groups) = (BTreeSet::from([Uuid::from_u128(1)]), BTreeSet::from([Uuid::from_u128(2)]));
        let lease = LeaseOf { account: Some(Uuid::from_u128(3)), roles: &roles, groups: &groups, passes };
        policy.stops(&lease).is_some()
    }

    #[test]
    fn a_policy_counts_only_when_it_applies_and_cannot_be_met() {
        let all = json!({ "includeUsers": ["All"] });
        assert!(stops(&policy(&["block"], "OR", all.clone()), true));
        assert!(stops(&policy(&["compliantDevice"], "OR", all.clone()), true));
        assert!(!stops(&policy(&["mfa"], "OR", all.clone()), true));
        assert!(stops(&policy(&["mfa"], "OR", all.clone()), false));
        assert!(!stops(&policy(&["mfa", "compliantDevice"], "OR", all.clone()), true));
        assert!(stops(&policy(&["mfa", "compliantDevice"], "AND", all), true));
        let role = json!({ "includeRoles": [Uuid::from_u128(1)] });
        assert!(stops(&policy(&["block"], "OR", role), true));
        let excluded = json!({ "includeUsers": ["All"], "excludeGroups": [Uuid::from_u128(2)] });
        assert!(!stops(&policy(&["block"], "OR", excluded), true));
        assert!(!stops(&policy(&["block"], "OR", json!({ "includeUsers": ["None"] })), true));
        let mut off = policy(&["block"], "OR", json!({ "includeUsers": ["All"] }));
        off.state = "enabledForReportingButNotEnforced".to_owned();
        assert!(!stops(&off, true));
    }

    #[test]
    fn a_pass_does_not_meet_a_strength_that_withstands_phishing() {
        let strength = |combinations: &[&str]| {
            serde_json::from_value::<AccessPolicy>(json!({
                "displayName": "P", "state": "enabled", "conditions": { "users": { "includeUsers": ["All"] } },
                "grantControls": { "operator": "OR", "builtInControls": [], "authenticationStrength": {
                    "displayName": "S", "allowedCombinations": combinations } },
            }))
            .unwrap()
        };
        let resistant = strength(&["windowsHelloForBusiness", "fido2", "x509CertificateMultiFactor"]);
        assert!(stops(&resistant, true) && stops(&resistant, false));
        let multi_factor =
            strength(&["fido2", "temporaryAccessPassOneTime", "temporaryAccessPassMultiUse", "password,sms"]);
        assert!(!stops(&multi_factor, true) && stops(&multi_factor, false));
    }

    #[test]
    fn groups_that_cannot_be_managed_are_said_to_be() {
        let check = |value: Value| serde_json::from_value::<FoundGroup>(value).unwrap().check(false).state;
        assert_eq!(check(json!({ "displayName": "G", "securityEnabled": true })), CheckState::Good);
        for group in [
            json!({ "groupTypes": ["DynamicMembership"], "securityEnabled": true }),
            json!({ "onPremisesSyncEnabled": true, "securityEnabled": true }),
            json!({ "mailEnabled": true, "securityEnabled": true }),
            json!({ "isAssignableToRole": true, "securityEnabled": true }),
            json!({ "securityEnabled": false }),
        ] {
            assert_eq!(check(group.clone()), CheckState::Broken, "{group}");
        }
    }

    #[test]
    fn times_of_graph_are_read() {
        assert_eq!("2026-11-22T11:00:00Z".parse_end(), Some(1_795_345_200_000));
        assert_eq!("2024-02-29T23:59:59.123Z".parse_end(), Some(1_709_251_199_000));
        assert_eq!("tomorrow".parse_end(), None);
    }
}
