//! A tenant is connected by its administrator's word alone, and given back without a trace.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::Ordering,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use entra_sim::{
    control::sign_in::{Visit, visit},
    directory::{Application, seed},
    token::TokenRequest,
};
use latchkey_engine::{
    Administrator, AuditEvent, AuditQuery, Change, Deletable, Feature, Onboarding, TenantWish, documented_permissions,
    least_permissions,
};
use latchkey_protocol::{ErrorCode, cloud::Cloud};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use url::Url;
use uuid::Uuid;

use crate::{
    certificates::{interrupted_writes, tenant_with},
    lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET},
};

const SCOPES: &str = "openid User.Read Application.ReadWrite.All AppRoleAssignment.ReadWrite.All \
                      RoleManagement.ReadWrite.Directory";

/// Somebody of the tenant signs in to the MSP's command line.
async fn signed_in(lab: &Lab, tenant_id: Uuid, local_part: &str) -> Administrator {
    let user_name = {
        let directory = lab.sim().directory();
        let tenant = directory.tenant(&tenant_id.to_string()).unwrap();
        let beginning = format!("{local_part}@");
        tenant
            .users
            .values()
            .find(|user| user.user_principal_name.starts_with(&beginning))
            .unwrap()
            .user_principal_name
            .clone()
    };
    let verifier = "a-verifier-that-is-long-enough-for-proof-key-for-code-exchange";
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let redirect_uri = "http://localhost:12345";
    let address = Url::parse_with_params(
        &format!("https://login.microsoftonline.com/{tenant_id}/oauth2/v2.0/authorize"),
        [
            ("client_id", seed::MSP_PUBLIC_CLIENT),
            ("response_type", "code"),
            ("response_mode", "query"),
            ("redirect_uri", redirect_uri),
            ("scope", SCOPES),
            ("state", "s"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ],
    )
    .unwrap();
    let asked: Visit =
        serde_json::from_value(serde_json::json!({ "authorize_url": address, "user": user_name, "stay": true }))
            .unwrap();
    let answer = visit(lab.sim(), asked).await.unwrap();
    let back = Url::parse(answer["redirect"].as_str().unwrap_or_else(|| panic!("{answer}"))).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap_or_else(|| panic!("{back}")).1.into_owned();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", seed::MSP_PUBLIC_CLIENT),
        ("code", &code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
        ("scope", SCOPES),
    ];
    let request = TokenRequest {
        tenant: tenant_id.to_string(),
        host: "login.microsoftonline.com".to_owned(),
        form: form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<HashMap<_, _>>(),
        ..TokenRequest::default()
    };
    let sim = lab.sim();
    let knobs = sim.knobs();
    let granted = sim.tokens.grant(&request, &sim.directory(), &sim.clock, &knobs).1.unwrap();
    Administrator {
        tenant_id,
        cloud: Cloud::Global,
        user_name,
        access_token: SecretString::from(granted["access_token"].as_str().unwrap().to_owned()),
    }
}

fn wish(permissions: BTreeSet<String>) -> Onboarding {
    Onboarding {
        application_name: "Latchkey".to_owned(),
        permissions,
        privileged_authentication_administrator: false,
        tenant: TenantWish {
            name: None,
            domain: None,
            roles: vec!["User Administrator".to_owned()],
            groups: Vec::new(),
            minutes: 60,
            maximum_minutes: 120,
        },
    }
}

fn least() -> BTreeSet<String> {
    least_permissions(&BTreeSet::from([Feature::Passes]))
}

/// The applications of the tenant that we made.
fn made(lab: &Lab, tenant_id: Uuid) -> Vec<Application> {
    let directory = lab.sim().directory();
    let tenant = directory.tenant(&tenant_id.to_string()).unwrap();
    tenant.applications.iter().filter(|known| known.display_name == "Latchkey").cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passkeys_need_is_granted_and_no_more() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    engine.set_pin(None, &crate::passkeys::pin(), &PERSON).await.unwrap();
    let permissions = least_permissions(&BTreeSet::from([Feature::Passkeys]));
    let administrator = signed_in(&lab, FABRIKAM, "admin").await;
    let onboarded = engine.onboard_tenant(&administrator, &wish(permissions.clone()), &PERSON, QUIET).await.unwrap();
    assert_eq!(made(&lab, FABRIKAM)[0].permissions, permissions);
    assert!(!permissions.contains("UserAuthMethod-TAP.ReadWrite.All"));
    assert_eq!(onboarded.account.problems, []);
    let id = lab.account(FABRIKAM).id;
    assert_eq!(lab.sim().directory().tenant(&FABRIKAM.to_string()).unwrap().users[&id].passkeys.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_word_is_enough_and_exactly_what_was_asked_for_is_granted() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let administrator = signed_in(&lab, FABRIKAM, "admin").await;
    let onboarded = engine.onboard_tenant(&administrator, &wish(least()), &PERSON, QUIET).await.unwrap();
    let applications = made(&lab, FABRIKAM);
    assert_eq!(applications.len(), 1);
    assert_eq!(applications[0].permissions, least());
    assert_eq!(applications[0].keys.len(), 1);
    assert!(applications[0].secrets.is_empty());
    assert_eq!(applications[0].client_id, onboarded.client_id.to_string());
    assert!(onboarded.account.created);
    // No directory role without being asked.
    let roles = lab.sim().directory().tenant(&FABRIKAM.to_string()).unwrap().assignments.clone();
    assert!(roles.iter().all(|assignment| assignment.principal != applications[0].service_principal_id));
    // It works, and what was sent is in the log before it was.
    let lease = lab.start(&engine, FABRIKAM).await.unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    let log = engine.audit(&AuditQuery { tenant_id: Some(FABRIKAM), ..AuditQuery::default() }).await.unwrap();
    let changes = log.iter().filter(|entry| entry.event == AuditEvent::ApplicationChanging).count();
    assert_eq!(changes, onboarded.changes.len());
    assert!(log[0].detail["by"].as_str().unwrap().starts_with("admin@"));
    // A certificate of its own can be replaced at once.
    let rotation = engine.rotate_credential(FABRIKAM, 365, &PERSON).await.unwrap();
    assert!(matches!(rotation, latchkey_engine::Rotation::Done { left: None, .. }), "{rotation:?}");
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_sends_nothing_and_a_second_run_only_the_difference() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let administrator = signed_in(&lab, CONTOSO, "admin").await;
    lab.forget_exchanges();
    let planned = engine.plan_onboarding(&administrator, &wish(documented_permissions())).await.unwrap();
    assert_eq!(planned.len(), 3 + 12, "{planned:?}");
    assert!(lab.sim().exchanges.entries().iter().all(|exchange| exchange.method == "GET"));
    assert!(made(&lab, CONTOSO).is_empty());
    assert!(engine.audit(&AuditQuery::default()).await.unwrap().is_empty());
    assert!(lab.keys.all().is_empty());

    engine.onboard_tenant(&administrator, &wish(documented_permissions()), &PERSON, QUIET).await.unwrap();
    assert_eq!(made(&lab, CONTOSO)[0].permissions, documented_permissions());
    assert!(engine.plan_onboarding(&administrator, &wish(documented_permissions())).await.unwrap().is_empty());
    // Other features: what is missing comes, and what nothing needs goes.
    let other = wish(least());
    let planned = engine.plan_onboarding(&administrator, &other).await.unwrap();
    assert!(planned.contains(&Change::Revoke { permission: "Directory.ReadWrite.All".to_owned() }), "{planned:?}");
    assert!(planned.contains(&Change::Grant { permission: "UserAuthMethod-TAP.ReadWrite.All".to_owned() }));
    engine.onboard_tenant(&administrator, &other, &PERSON, QUIET).await.unwrap();
    let applications = made(&lab, CONTOSO);
    assert_eq!((applications.len(), applications[0].keys.len()), (1, 1));
    assert_eq!(applications[0].permissions, least());
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_role_comes_only_when_it_is_asked_for() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let administrator = signed_in(&lab, CONTOSO, "admin").await;
    let mut wish = wish(least());
    wish.privileged_authentication_administrator = true;
    let onboarded = engine.onboard_tenant(&administrator, &wish, &PERSON, QUIET).await.unwrap();
    assert_eq!(onboarded.changes.last(), Some(&Change::AssignPrivilegedAuthenticationAdministrator));
    let principal = made(&lab, CONTOSO)[0].service_principal_id.clone();
    let role = entra_sim::directory::roles::by_name("Privileged Authentication Administrator").unwrap().id;
    let assignments = lab.sim().directory().tenant(&CONTOSO.to_string()).unwrap().assignments.clone();
    assert!(assignments.iter().any(|assignment| assignment.principal == principal && assignment.role == role));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_may_not_is_refused_and_nothing_is_connected() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let unknown = wish(BTreeSet::from(["No.Such.Permission".to_owned()]));
    let administrator = signed_in(&lab, CONTOSO, "admin").await;
    let error = engine.plan_onboarding(&administrator, &unknown).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConfigurationInvalid);
    lab.change_tenant(CONTOSO, |tenant| {
        let admin =
            tenant.users.values().find(|user| user.user_principal_name.starts_with("admin@")).unwrap().id.clone();
        tenant.assignments.retain(|assignment| assignment.principal != admin);
    });
    let error = engine.onboard_tenant(&administrator, &wish(least()), &PERSON, QUIET).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::GraphRefused);
    assert!(engine.tenants().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_lags_is_waited_for() {
    let lab = Lab::new().await;
    lab.sim().turn(&serde_json::json!({ "create_lag_ms": 1500 })).unwrap();
    let engine = lab.engine().await;
    let administrator = signed_in(&lab, FABRIKAM, "admin").await;
    engine.onboard_tenant(&administrator, &wish(least()), &PERSON, QUIET).await.unwrap();
    let applications = made(&lab, FABRIKAM);
    assert_eq!((applications.len(), applications[0].keys.len()), (1, 1));
    assert_eq!(applications[0].permissions, least());
}

/// Interrupts an onboarding at every write, has it finished by another process, and gives everything back.
async fn interrupt_everywhere(answer_is_lost: bool) {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    for steps in 0.. {
        let name = format!("T{steps}");
        let tenant = tenant_with(&lab, &name, &[]);
        let administrator = signed_in(&lab, tenant, "admin").await;
        let (broken, interruption) = interrupted_writes(&lab, steps, answer_is_lost).await;
        let outcome = broken.onboard_tenant(&administrator, &wish(least()), &PERSON, QUIET).await;
        if outcome.is_err() {
            engine
                .onboard_tenant(&administrator, &wish(least()), &PERSON, QUIET)
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let applications = made(&lab, tenant);
        assert_eq!(applications.len(), 1, "{name}: there is exactly one application");
        assert_eq!(applications[0].keys.len(), 1, "{name}: with one certificate");
        assert_eq!(applications[0].permissions, least(), "{name}");
        lab.engine().await.warm(tenant).await.unwrap();
        if interruption.left.load(Ordering::SeqCst) >= 0 {
            assert!(outcome.is_ok() && steps > 8, "{name}: {outcome:?}");
            break;
        }
    }
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_onboarding_that_is_interrupted_anywhere_is_finished_by_the_next() {
    interrupt_everywhere(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_onboarding_whose_last_answer_is_lost_is_finished_by_the_next() {
    interrupt_everywhere(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_was_deleted_in_the_portal_meanwhile_is_made_again_once() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    // Interrupted after the registration, after the certificate, and in the middle of the permissions.
    for steps in [1, 3, 5] {
        let tenant = tenant_with(&lab, &format!("T{steps}"), &[]);
        let administrator = signed_in(&lab, tenant, "admin").await;
        let (broken, _) = interrupted_writes(&lab, steps, false).await;
        broken.onboard_tenant(&administrator, &wish(least()), &PERSON, QUIET).await.unwrap_err();
        let deleted = made(&lab, tenant).remove(0);
        lab.change_tenant(tenant, |tenant| {
            tenant.applications.retain(|known| known.object_id != deleted.object_id);
        });
        lab.advance(3_600);

        let administrator = signed_in(&lab, tenant, "admin").await;
        let planned = engine.plan_onboarding(&administrator, &wish(least())).await.unwrap();
        assert!(matches!(planned.first(), Some(Change::RegisterApplication { .. })), "{planned:?}");
        engine.onboard_tenant(&administrator, &wish(least()), &PERSON, QUIET).await.unwrap();
        let applications = made(&lab, tenant);
        assert_eq!(applications.len(), 1);
        assert_ne!(applications[0].object_id, deleted.object_id);
        assert_eq!((applications[0].keys.len(), applications[0].permissions.clone()), (1, least()));
        let lease = lab.start(&engine, tenant).await.unwrap();
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    }
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offboarding_leaves_nothing_wherever_it_is_interrupted() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    for answer_is_lost in [false, true] {
        for steps in 0.. {
            let name = format!("T{answer_is_lost}{steps}");
            let tenant = tenant_with(&lab, &name, &[]);
            let administrator = signed_in(&lab, tenant, "admin").await;
            let onboarded = engine.onboard_tenant(&administrator, &wish(least()), &PERSON, QUIET).await.unwrap();
            lab.start(&engine, tenant).await.unwrap();
            assert_eq!(engine.plan_offboarding(tenant, Some(&administrator), Deletable::Ours).await.unwrap().len(), 1);
            let (broken, interruption) = interrupted_writes(&lab, steps, answer_is_lost).await;
            let outcome = broken.offboard_tenant(tenant, Some(&administrator), Deletable::Ours, &PERSON, QUIET).await;
            if outcome.is_err() {
                engine
                    .offboard_tenant(tenant, Some(&administrator), Deletable::Ours, &PERSON, QUIET)
                    .await
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            assert!(made(&lab, tenant).is_empty(), "{name}: the application is gone");
            assert!(lab.find_account(tenant, "jit-alex@").is_none(), "{name}: the account is gone");
            assert!(lab.keys.all().is_empty(), "{name}: the key is forgotten");
            assert!(engine.tenants().await.unwrap().is_empty(), "{name}: it is disconnected");
            let client_id = onboarded.client_id.to_string();
            let directory = lab.sim().directory().tenant(&tenant.to_string()).unwrap().clone();
            assert!(directory.applications.iter().all(|known| known.client_id != client_id));
            if interruption.left.load(Ordering::SeqCst) >= 0 {
                assert!(outcome.is_ok(), "{name}: {outcome:?}");
                break;
            }
        }
    }
    assert!(engine.verify_audit().await.unwrap().is_whole());
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_somebody_else_made_is_deleted_only_when_that_is_said() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let administrator = signed_in(&lab, CONTOSO, "admin").await;
    let there = || lab.sim().directory().tenant(&CONTOSO.to_string()).unwrap().applications.clone();
    let before = there();
    let error = engine.plan_offboarding(CONTOSO, Some(&administrator), Deletable::Ours).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConfigurationInvalid);
    let error =
        engine.offboard_tenant(CONTOSO, Some(&administrator), Deletable::Ours, &PERSON, QUIET).await.unwrap_err();
    assert!(error.to_string().contains("was not made by"), "{error}");
    // Nothing was touched: neither the application nor the lease.
    assert_eq!(there().len(), before.len());
    assert!(lab.find_account(CONTOSO, "jit-alex@").is_some());
    assert!(engine.leases(false).await.unwrap().iter().any(|known| known.lease_id == lease.lease_id));

    engine.offboard_tenant(CONTOSO, Some(&administrator), Deletable::Any, &PERSON, QUIET).await.unwrap();
    assert_eq!(there().len(), before.len() - 1);
    assert!(engine.tenants().await.unwrap().is_empty());
    lab.assert_conformant().await;
}
