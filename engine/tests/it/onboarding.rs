//! Connecting tenants, and what keeps one from being connected.

use entra_sim::directory::seed::TenantRecipe;
use latchkey_engine::{AccountFound, AuditEvent, AuditQuery};
use latchkey_protocol::ErrorCode;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::lab::{CONTOSO, FABRIKAM, Lab, NORTHWIND, PERSON, QUIET};

#[tokio::test(flavor = "multi_thread")]
async fn an_inspection_changes_nothing_and_says_what_is_there() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let inspection = engine.inspect_tenant(&lab.wish(CONTOSO)).await.unwrap();
    assert!(inspection.is_ready(), "{:?}", inspection.problems);
    assert_eq!(inspection.name, "Contoso");
    assert_eq!(inspection.user_name, "jit-alex@contoso.onmicrosoft.com");
    assert_eq!(inspection.account, AccountFound::Absent);
    assert_eq!(inspection.roles[0].name, "User Administrator");
    assert_eq!(inspection.domains.len(), 4);
    let lacking = inspection.permissions.iter().filter(|check| !check.granted).map(|check| check.permission.name);
    assert_eq!(lacking.collect::<Vec<_>>(), ["UserAuthMethod-Passkey.ReadWrite.All"]);
    assert!(engine.tenants().await.unwrap().is_empty());
    assert!(lab.find_account(CONTOSO, "jit-alex@").is_none());
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connected_tenant_has_a_dormant_account_of_ours() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let (summary, prepared) = engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    assert_eq!(summary.user_name, "jit-alex@fabrikam.onmicrosoft.com");
    assert!(prepared.created);
    assert!(prepared.problems.is_empty());
    let account = lab.account(FABRIKAM);
    assert_eq!(account.id, prepared.object_id.to_string());
    assert!(!account.enabled && account.roles.is_empty());
    // Again is no harm, and finds it.
    let (_, prepared) = engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    assert!(!prepared.created);
    let health = engine.check_tenant(FABRIKAM).await.unwrap();
    assert!(health.account_as_expected && health.problems.is_empty(), "{health:?}");
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_is_recognised_after_the_database_is_lost() {
    let lab = Lab::new().await;
    lab.connected(CONTOSO).await.close().await;
    let id = lab.account(CONTOSO).id;
    lab.change_user(CONTOSO, |user| user.account_enabled = true);
    std::fs::remove_dir_all(lab.database().parent().unwrap()).unwrap();
    let engine = lab.engine().await;
    let (_, prepared) = engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    assert!(!prepared.created);
    assert_eq!(prepared.object_id.to_string(), id);
    assert!(!lab.account(CONTOSO).enabled, "and made dormant");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_account_is_never_taken_over() {
    let lab = Lab::new().await;
    let engine = lab.try_engine(lab.settings_of("taken")).await.unwrap();
    let before = lab.find_account(CONTOSO, "jit-taken@").unwrap();
    let inspection = engine.inspect_tenant(&lab.wish(CONTOSO)).await.unwrap();
    assert_eq!(inspection.account, AccountFound::NotOurs);
    let error = engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AccountNotOurs);
    let after = lab.find_account(CONTOSO, "jit-taken@").unwrap();
    assert_eq!((before.enabled, before.password), (after.enabled, after.password));
    assert!(engine.tenants().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_taken_meanwhile_is_not_taken_over_either() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let ours = lab.account(CONTOSO).id;
    lab.change_tenant(CONTOSO, |tenant| {
        let mut stranger = tenant.users.remove(&ours).unwrap();
        stranger.id = Uuid::new_v4().to_string();
        stranger.attributes.remove("onPremisesExtensionAttributes");
        tenant.users.insert(stranger.id.clone(), stranger);
    });
    lab.advance(3600);
    let error = lab.start(&engine, CONTOSO).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AccountNotOurs);
    assert!(!lab.account(CONTOSO).enabled);
    lab.sweep_until_quiet(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_permissions_are_named_with_what_they_are_for() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let inspection = engine.inspect_tenant(&lab.wish(NORTHWIND)).await.unwrap();
    assert!(!inspection.is_ready());
    let problem = &inspection.problems[0];
    assert_eq!(problem.code, ErrorCode::PermissionMissing);
    assert!(problem.message.contains("User-PasswordProfile.ReadWrite.All"));
    let missing: Vec<_> = inspection
        .permissions
        .iter()
        .filter(|check| !check.granted && !check.permission.purpose.is_empty())
        .map(|check| check.permission.name)
        .collect();
    for name in ["User-PasswordProfile.ReadWrite.All", "User.EnableDisableAccount.All", "Domain.ReadWrite.All"] {
        assert!(missing.contains(&name), "{name}");
    }
    let error = engine.add_tenant(lab.wish(NORTHWIND), &PERSON, QUIET).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PermissionMissing);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_domain_with_passwords_of_entras_own_will_do() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    for (domain, code) in [
        ("fed.contoso.com", ErrorCode::DomainFederated),
        ("unverified.contoso.com", ErrorCode::DomainNotVerified),
        ("elsewhere.example", ErrorCode::DomainNotVerified),
    ] {
        let mut wish = lab.wish(CONTOSO);
        wish.domain = Some(domain.to_owned());
        assert_eq!(engine.add_tenant(wish, &PERSON, QUIET).await.unwrap_err().code(), code, "{domain}");
    }
    let mut wish = lab.wish(CONTOSO);
    wish.domain = Some("Contoso.com".to_owned());
    let (summary, _) = engine.add_tenant(wish, &PERSON, QUIET).await.unwrap();
    assert_eq!(summary.user_name, "jit-alex@contoso.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_role_is_named_with_the_nearest() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let mut wish = lab.wish(CONTOSO);
    wish.roles = vec!["user admin".to_owned()];
    let error = engine.add_tenant(wish, &PERSON, QUIET).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::RoleUnknown);
    assert!(error.to_body().next_step.contains("User Administrator"), "{:?}", error.to_body());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_the_token_endpoint_has_its_own_error() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let code = async |wish| engine.inspect_tenant(&wish).await.unwrap_err();

    let mut wrong = lab.wish(CONTOSO);
    wrong.credential = SecretString::from("not it").into();
    let error = code(wrong).await;
    assert_eq!(error.code(), ErrorCode::ClientSecretWrong);
    assert!(error.to_body().next_step.contains("not its id"));

    let expired = lab.sim().add_tenant(TenantRecipe {
        name: "Expired".to_owned(),
        secret_expires_in_seconds: Some(-60),
        ..TenantRecipe::default()
    });
    assert_eq!(code(lab.wish(expired.id.parse().unwrap())).await.code(), ErrorCode::ClientSecretExpired);

    let mut elsewhere = lab.wish(CONTOSO);
    elsewhere.client_id = Uuid::new_v4();
    assert_eq!(code(elsewhere).await.code(), ErrorCode::ApplicationNotFound);

    let mut nowhere = lab.wish(CONTOSO);
    nowhere.tenant_id = Uuid::new_v4();
    assert_eq!(code(nowhere).await.code(), ErrorCode::TenantNotFound);

    lab.change_tenant(CONTOSO, |tenant| tenant.applications[0].enabled = false);
    assert_eq!(code(lab.wish(CONTOSO)).await.code(), ErrorCode::ApplicationBlocked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_expires_shows_on_the_lease_and_in_the_log() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    lab.change_tenant(CONTOSO, |tenant| tenant.applications[0].secrets[0].value = "another".to_owned());
    let fresh = lab.engine().await;
    let error = lab.start(&fresh, CONTOSO).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ClientSecretWrong);
    assert!(fresh.leases(true).await.unwrap().is_empty());
    let log = engine.audit(&AuditQuery::default()).await.unwrap();
    assert_eq!(log.last().map(|entry| entry.event), Some(AuditEvent::LeaseFailed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_tenant_has_no_lease_no_secret_and_no_account() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    lab.start(&engine, CONTOSO).await.unwrap();
    engine.remove_tenant(CONTOSO, true, &PERSON, QUIET).await.unwrap();
    assert!(lab.find_account(CONTOSO, "jit-alex@").is_none());
    assert!(engine.tenants().await.unwrap().is_empty());
    assert_eq!(lab.start(&engine, CONTOSO).await.unwrap_err().code(), ErrorCode::TenantUnknown);
    // What happened stays on record; and it can come back.
    assert_eq!(engine.leases(true).await.unwrap().len(), 1);
    assert!(engine.verify_audit().await.unwrap().is_whole());
    engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    lab.start(&engine, CONTOSO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_joined_and_left() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let (project, tier) = {
        let directory = lab.sim().directory();
        let tenant = directory.tenant(&CONTOSO.to_string()).unwrap();
        let id = |name: &str| -> Uuid {
            tenant.groups.values().find(|group| group.display_name == name).unwrap().id.parse().unwrap()
        };
        (id("Project Alpha"), id("Tier-0 Operators"))
    };
    let mut wish = lab.wish(CONTOSO);
    wish.groups = vec![project, tier];
    engine.add_tenant(wish, &PERSON, QUIET).await.unwrap();
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(lab.account(CONTOSO).groups, ["Project Alpha", "Tier-0 Operators"]);
    let during = lab.account(CONTOSO);
    // Another process renews: that takes a detour, because a member of Tier-0 is an administrator.
    let other = lab.engine().await;
    lab.start(&other, CONTOSO).await.unwrap();
    assert_eq!(lab.account(CONTOSO).groups.len(), 2);
    other.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_dormant(CONTOSO, &during);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_respected() {
    let lab = Lab::new().await;
    lab.sim().turn(&json!({ "throttling": true })).unwrap();
    let engine = lab.connected(CONTOSO).await;
    for _ in 0..2 {
        let lease = lab.start(&engine, CONTOSO).await.unwrap();
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    }
    // Only what takes a pass back does not wait for its turn.
    let throttled: Vec<_> =
        lab.sim().exchanges.entries().into_iter().filter(|exchange| exchange.status == 429).collect();
    assert!(throttled.iter().all(|exchange| exchange.method == "DELETE"), "{throttled:?}");
    assert!(!lab.account(CONTOSO).enabled && lab.account(CONTOSO).pass.is_none());
}
