//! What a connected tenant can do, one line each.

use entra_sim::directory::Licence;
use latchkey_engine::{BreakGlassName, BreakGlassSettings, Check, CheckState, Engine, Entitlement, Validation};
use latchkey_protocol::{CredentialKind, ErrorCode};
use serde_json::{Value, json};

use crate::lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET, entitlement};

fn of<'a>(validation: &'a Validation, subject: &str) -> &'a Check {
    validation.checks.iter().find(|check| check.subject == subject).unwrap_or_else(|| panic!("{subject} is missing"))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_exactly_the_documented_permissions_everything_is_looked_at_or_said_to_be_unseen() {
    let lab = Lab::new().await;
    let engine = lab.connected(FABRIKAM).await;
    lab.forget_exchanges();
    let validation = engine.validate_tenant(FABRIKAM).await.unwrap();
    assert!(validation.is_sound(), "{validation:?}");
    for subject in ["permissions", "domain", "role", "application_roles", "licences"] {
        assert_eq!(of(&validation, subject).state, CheckState::Good, "{subject}");
    }
    // Not in the 12, and said so with what would show it.
    for subject in ["security_defaults", "conditional_access"] {
        let check = of(&validation, subject);
        assert_eq!(check.state, CheckState::Unseen);
        assert!(check.next_step.as_ref().unwrap().contains("Policy.Read.All"));
    }
    let passes = of(&validation, "passes");
    assert_eq!(passes.state, CheckState::Warning);
    assert!(passes.next_step.as_ref().unwrap().contains("UserAuthMethod-TAP.ReadWrite.All"));
    assert!(validation.checks.iter().all(|check| check.state == CheckState::Good || check.next_step.is_some()));
    // It only reads.
    let writes = lab.sim().exchanges.entries().into_iter().filter(|exchange| {
        exchange.endpoint == entra_sim::exchanges::Endpoint::Graph
            && exchange.method != "GET"
            && !exchange.path.ends_with("$batch")
    });
    assert_eq!(writes.count(), 0);
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_read_is_read() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    lab.change_tenant(CONTOSO, |tenant| {
        let permissions = &mut tenant.applications[0].permissions;
        permissions.insert("Policy.Read.All".to_owned());
        permissions.insert("Application.Read.All".to_owned());
        tenant.security_defaults = true;
    });
    engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    let validation = engine.validate_tenant(CONTOSO).await.unwrap();
    assert!(of(&validation, "security_defaults").found.contains("are on"), "{validation:?}");
    assert_eq!(of(&validation, "conditional_access").state, CheckState::Good);
    // The secret's end was read from the registration, and is kept.
    let known = engine.tenants().await.unwrap()[0].credential_expires;
    assert!(known.is_some_and(|end| end > lab.clock_now()), "{known:?}");
    assert_eq!(of(&engine.validate_tenant(CONTOSO).await.unwrap(), "credential").state, CheckState::Good);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_afterwards_shows_with_the_one_thing_to_do() {
    let lab = Lab::new().await;
    let mut wish = lab.wish(CONTOSO);
    let group = {
        let directory = lab.sim().directory();
        let tenant = directory.tenant(&CONTOSO.to_string()).unwrap();
        tenant.groups.values().find(|group| group.display_name == "Project Alpha").unwrap().id.clone()
    };
    wish.groups = vec![group.parse().unwrap()];
    let engine = lab.engine().await;
    engine.add_tenant(wish, &PERSON, QUIET).await.unwrap();
    assert_eq!(of(&engine.validate_tenant(CONTOSO).await.unwrap(), "group").state, CheckState::Good);
    lab.sim().turn(&json!({ "create_lag_ms": 0 })).unwrap();
    lab.change_tenant(CONTOSO, |tenant| {
        tenant.groups.remove(&group);
        tenant.applications[0].permissions.remove("User-PasswordProfile.ReadWrite.All");
        tenant.pass_policy.enabled = false;
    });
    let validation = lab.engine().await.validate_tenant(CONTOSO).await.unwrap();
    assert!(!validation.is_sound());
    for (subject, state) in
        [("permissions", CheckState::Broken), ("group", CheckState::Broken), ("passes", CheckState::Warning)]
    {
        let check = of(&validation, subject);
        assert_eq!(check.state, state, "{check:?}");
        assert!(check.next_step.is_some());
    }
    assert!(of(&validation, "permissions").found.contains("User-PasswordProfile.ReadWrite.All"));
}

/// An engine whose configuration entitles somebody to something.
async fn entitled(lab: &Lab, entitlements: Vec<Entitlement>) -> Engine {
    let mut settings = lab.settings();
    settings.policy.entitlements = entitlements;
    lab.try_engine(settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_profile_that_anybody_may_get_is_looked_at() {
    let lab = Lab::new().await;
    drop(lab.connected(CONTOSO).await);
    // Whoever works here is entitled to the first alone.
    let sound = entitlement("All admins", "Helpdesk", &["Helpdesk Administrator"], &["Project Alpha"]);
    let mut entitlements = vec![sound, entitlement("Level 3", "Exchange", &["Exchange Administrator"], &[])];
    let validation = entitled(&lab, entitlements.clone()).await.validate_tenant(CONTOSO).await.unwrap();
    assert!(validation.is_sound(), "{validation:?}");
    let of_profiles = |validation: &Validation| -> Vec<Check> {
        validation.checks.iter().filter(|check| check.subject == "profile").cloned().collect()
    };
    let found: Vec<_> = of_profiles(&validation).into_iter().map(|check| check.found).collect();
    assert_eq!(
        found,
        [
            "Helpdesk for All admins: Helpdesk Administrator, group Project Alpha",
            "Exchange for Level 3: Exchange Administrator"
        ]
    );
    assert!(validation.checks.iter().all(|check| check.subject != "role"), "what nobody gets is not looked at");

    // What breaks for others is said as well, with the reason and what to do.
    entitlements[1].roles[0] = "Exchange Administratr".to_owned();
    entitlements[1].groups = vec!["Synced from AD".to_owned()];
    lab.change_tenant(CONTOSO, |tenant| {
        let group = tenant.groups.values_mut().find(|group| group.display_name == "Project Alpha").unwrap();
        group.types = vec!["DynamicMembership".to_owned()];
        let mut synchronised = group.clone();
        synchronised.id = uuid::Uuid::from_u128(7).to_string();
        (synchronised.display_name, synchronised.types) = ("Synced from AD".to_owned(), Vec::new());
        synchronised.synchronised = true;
        tenant.groups.insert(synchronised.id.clone(), synchronised);
        let permissions = &mut tenant.applications[0].permissions;
        permissions.retain(|name| !name.starts_with("GroupMember.ReadWrite") && name != "Directory.ReadWrite.All");
    });
    let validation = entitled(&lab, entitlements).await.validate_tenant(CONTOSO).await.unwrap();
    assert!(!validation.is_sound());
    let broken = of_profiles(&validation);
    assert!(broken.iter().all(|check| check.state == CheckState::Broken && check.next_step.is_some()), "{broken:?}");
    let said: Vec<_> = broken.iter().map(|check| check.found.as_str()).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with("Helpdesk for All admins: ") && said[0].contains("Project Alpha"), "{said:?}");
    assert!(said[1].starts_with("Exchange for Level 3: ") && said[1].contains("Exchange Administratr"), "{said:?}");
    assert!(said[2].contains("Synced from AD"), "{said:?}");
    // Said once.
    assert!(validation.health.problems.iter().all(|problem| !problem.message.contains("Administratr")));
    // The groups of the configuration need a permission that the tenant's own leases do not.
    assert!(of(&validation, "permissions").found.contains("Directory.ReadWrite.All"));
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn break_glass_accounts_have_a_line_each() {
    let lab = Lab::new().await;
    let mut settings = lab.settings();
    settings.break_glass = vec![BreakGlassSettings::new(BreakGlassName::parse("breakglass-1").unwrap())];
    let engine = lab.connected(CONTOSO).await;
    assert_eq!(of(&engine.validate_tenant(CONTOSO).await.unwrap(), "break_glass").state, CheckState::Good);

    let engine = lab.try_engine(settings).await.unwrap();
    let check = of(&engine.validate_tenant(CONTOSO).await.unwrap(), "break_glass").clone();
    assert_eq!(check.state, CheckState::Broken);
    assert!(check.next_step.unwrap().contains("break-glass prepare"));

    engine.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap();
    let check = of(&engine.validate_tenant(CONTOSO).await.unwrap(), "break_glass").clone();
    assert_eq!(check.state, CheckState::Broken, "{check:?}");
    assert!(check.next_step.unwrap().contains("grant-app-role"));

    assert!(engine.grant_app_role(CONTOSO, &PERSON).await.unwrap());
    engine.rotate_break_glass(CONTOSO, "breakglass-1", &PERSON, QUIET).await.unwrap();
    let validation = engine.validate_tenant(CONTOSO).await.unwrap();
    let check = of(&validation, "break_glass");
    assert_eq!(check.state, CheckState::Good, "{check:?}");
    assert!(check.found.contains("proven"), "{check:?}");
    assert_eq!(of(&validation, "application_roles").state, CheckState::Good);

    // Nobody has swept for two days.
    lab.advance(2 * 86_400);
    let check = of(&engine.validate_tenant(CONTOSO).await.unwrap(), "break_glass").clone();
    assert_eq!(check.state, CheckState::Warning, "{check:?}");
    assert!(check.next_step.unwrap().contains("break-glass rotate"));
}

/// Turns policies of Contoso through the lab's control port, as somebody with the portal open would.
async fn turn_policies(lab: &Lab, mut change: Value) {
    change["tenant"] = json!(CONTOSO);
    let address = format!("http://127.0.0.1:{}/sim/policies", lab.running.control_port);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(address).header("content-type", "application/json").body(change.to_string());
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

fn access_policy(name: &str, users: Value, controls: Value) -> Value {
    json!({
        "id": uuid::Uuid::from_u128(9), "displayName": name, "state": "enabled",
        "conditions": { "users": users }, "grantControls": controls,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_conditional_access_asks_for_is_said_before_anybody_clicks() {
    let lab = Lab::new().await;
    lab.change_tenant(CONTOSO, |tenant| {
        tenant.applications[0].permissions.insert("Policy.Read.All".to_owned());
    });
    let engine = lab.connected(CONTOSO).await;
    let all = json!({ "includeUsers": ["All"], "excludeUsers": [] });
    let said =
        async |engine: &Engine| of(&engine.validate_tenant(CONTOSO).await.unwrap(), "conditional_access").clone();
    assert_eq!(said(&engine).await.state, CheckState::Good);

    let controls = |controls: &[&str]| json!({ "operator": "OR", "builtInControls": controls });
    let device = access_policy("Own devices only", all.clone(), controls(&["compliantDevice"]));
    turn_policies(&lab, json!({ "conditional_access": [device] })).await;
    let check = said(&engine).await;
    assert_eq!(check.state, CheckState::Warning);
    assert!(check.found.contains("Own devices only") && check.found.contains("compliantDevice"), "{check:?}");

    // A pass counts as MFA; once the tenant does without passes a lease has a password, and that does not.
    let mfa = access_policy("MFA for all", all.clone(), controls(&["mfa"]));
    turn_policies(&lab, json!({ "conditional_access": [mfa] })).await;
    assert_eq!(said(&engine).await.state, CheckState::Good);
    turn_policies(&lab, json!({ "pass_enabled": false })).await;
    let check = said(&engine).await;
    assert!(check.found.contains("'MFA for all' asks for MFA"), "{check:?}");
    assert_eq!(engine.tenants().await.unwrap()[0].credential.kind, CredentialKind::Password, "and it is remembered");
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(lease.credential, Some(CredentialKind::Password));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    turn_policies(&lab, json!({ "pass_enabled": true })).await;

    // A strength that withstands phishing takes no pass, for whoever holds the role that it is about.
    let role = entra_sim::directory::roles::by_name("Exchange Administrator").unwrap().id;
    let strength = json!({
        "operator": "OR", "builtInControls": [],
        "authenticationStrength": {
            "id": uuid::Uuid::from_u128(4), "displayName": "Phishing-resistant MFA",
            "allowedCombinations": ["fido2", "windowsHelloForBusiness"],
        },
    });
    let resistant = access_policy("Admins", json!({ "includeRoles": [role] }), strength);
    turn_policies(&lab, json!({ "conditional_access": [resistant] })).await;
    assert_eq!(said(&engine).await.state, CheckState::Good);
    let entitlements = vec![
        entitlement("All admins", "Helpdesk", &["Helpdesk Administrator"], &[]),
        entitlement("All admins", "Exchange", &["Exchange Administrator"], &[]),
    ];
    let check = said(&entitled(&lab, entitlements).await).await;
    assert_eq!(check.state, CheckState::Warning);
    assert!(check.found.contains("Phishing-resistant MFA") && check.found.ends_with("(profile Exchange)"), "{check:?}");
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_lease_of_a_tenant_waits_for_a_preflight_and_no_other_does() {
    let lab = Lab::new().await;
    let engine = lab.connected(FABRIKAM).await;
    // Connected yesterday, and broken since.
    lab.advance(90_000);
    lab.change_tenant(FABRIKAM, |tenant| {
        tenant.applications[0].permissions.remove("User-PasswordProfile.ReadWrite.All");
    });
    lab.forget_exchanges();
    let error = lab.start(&engine, FABRIKAM).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PermissionMissing);
    assert!(error.to_string().contains("User-PasswordProfile.ReadWrite.All"), "{error}");
    let writes = lab.sim().exchanges.entries().into_iter().filter(|exchange| {
        exchange.endpoint == entra_sim::exchanges::Endpoint::Graph
            && exchange.method != "GET"
            && !exchange.path.ends_with("$batch")
    });
    assert_eq!(writes.count(), 0, "nothing was sent that changes anything");
    assert!(engine.leases(true).await.unwrap().is_empty());

    // It is granted again: the first lease looks, the next one does not.
    lab.change_tenant(FABRIKAM, |tenant| {
        tenant.applications[0].permissions.insert("User-PasswordProfile.ReadWrite.All".to_owned());
    });
    lab.forget_exchanges();
    let lease = lab.start(&engine, FABRIKAM).await.unwrap();
    assert!(lab.round_trips().len() > 2, "{:?}", lab.round_trips());
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.advance(90_000);
    engine.warm(FABRIKAM).await.unwrap();
    lab.forget_exchanges();
    let lease = lab.start(&engine, FABRIKAM).await.unwrap();
    assert_eq!(lab.round_trips(), ["POST /v1.0/$batch"]);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validation_of_the_same_day_is_a_preflight() {
    let lab = Lab::new().await;
    let engine = lab.connected(FABRIKAM).await;
    lab.advance(90_000);
    assert!(engine.validate_tenant(FABRIKAM).await.unwrap().is_sound());
    lab.advance(3_000);
    engine.warm(FABRIKAM).await.unwrap();
    lab.forget_exchanges();
    let lease = lab.start(&engine, FABRIKAM).await.unwrap();
    assert_eq!(lab.round_trips(), ["POST /v1.0/$batch"]);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_licence_that_one_time_codes_need_is_looked_at_and_never_guessed() {
    let lab = Lab::new().await;
    // Where nobody asks for codes it is not looked at before the tenant is added.
    lab.forget_exchanges();
    lab.engine().await.inspect_tenant(&lab.wish(FABRIKAM)).await.unwrap();
    assert!(!lab.round_trips().iter().any(|call| call.contains("subscribedSkus")), "{:?}", lab.round_trips());
    let mut settings = lab.settings();
    settings.policy.everywhere.one_time_codes_beta = Some(true);
    let engine = lab.try_engine(settings).await.unwrap();
    // Said before the tenant is added, and once more when it is looked at.
    let remark = async || {
        let inspection = engine.inspect_tenant(&lab.wish(FABRIKAM)).await.unwrap();
        assert!(inspection.is_ready(), "it is no reason not to add the tenant: {:?}", inspection.problems);
        inspection.remarks.into_iter().find(|remark| remark.contains("Entra ID P1"))
    };
    assert!(remark().await.unwrap().contains("neither P1 nor P2"));
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    let found = of(&engine.validate_tenant(FABRIKAM).await.unwrap(), "licences").clone();
    assert!(found.state == CheckState::Warning && found.found.contains("one-time codes need"), "{found:?}");

    lab.change_tenant(FABRIKAM, |tenant| tenant.licence = Licence::P1);
    assert_eq!(remark().await, None);
    let found = of(&engine.validate_tenant(FABRIKAM).await.unwrap(), "licences").clone();
    assert_eq!((found.state, found.found.as_str()), (CheckState::Good, "Entra ID P1"));

    lab.sim().faults.add(
        serde_json::from_value(
            json!({ "match": { "path_contains": "subscribedSkus" }, "kind": "status", "status": 403 }),
        )
        .unwrap(),
    );
    let found = of(&engine.validate_tenant(FABRIKAM).await.unwrap(), "licences").clone();
    assert!(found.state == CheckState::Unseen && found.found.contains("unknown"), "{found:?}");
    assert_eq!(found.next_step.as_deref(), Some("Grant LicenseAssignment.Read.All."));
    assert!(remark().await.unwrap().contains("LicenseAssignment.Read.All"));
}
