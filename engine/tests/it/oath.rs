//! Passwords with one-time codes from the preparing of an account to the sign-in, with the lab's sign-in as the judge of
//! every code.

use entra_sim::directory::{Licence, oath::OathToken, passkey::MethodState};
use latchkey_engine::{AuditEvent, AuditQuery, Engine, EngineSettings, Failure, SealedStore};
use latchkey_protocol::{CredentialKind, Document, ErrorCode, FillField, LeaseSummary};
use serde_json::json;
use uuid::Uuid;

use crate::{
    certificates::tenant_with,
    lab::{Lab, PERSON, QUIET, start},
};

/// No passes: whoever may not issue them signs in with a password at best.
const PERMISSIONS: &[&str] = &["Policy.ReadWrite.AuthenticationMethod", "UserAuthMethod-HardwareOATH.ReadWrite.All"];

/// A tenant whose accounts may have tokens.
fn tenant(lab: &Lab, permissions: &[&str]) -> Uuid {
    let tenant_id = tenant_with(lab, "Tailspin", permissions);
    lab.change_tenant(tenant_id, |tenant| {
        tenant.oath_policy.state = MethodState::Enabled;
        tenant.licence = Licence::P1;
    });
    tenant_id
}

fn switched_on(lab: &Lab) -> EngineSettings {
    let mut settings = lab.settings();
    settings.policy.everywhere.one_time_codes_beta = Some(true);
    settings
}

/// An engine with codes switched on, the tenant connected and a token that every page knows.
async fn ready(lab: &Lab, tenant_id: Uuid) -> Engine {
    let engine = lab.try_engine(switched_on(lab)).await.unwrap();
    let (_, prepared) = engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    assert_eq!(prepared.problems, []);
    lab.advance(31);
    engine
}

/// The tenant's tokens at Microsoft.
fn tokens(lab: &Lab, tenant_id: Uuid) -> Vec<OathToken> {
    lab.sim().directory().tenant(&tenant_id.to_string()).unwrap().oath_tokens.clone()
}

/// The key store's entries that hold a token's secret.
fn secrets(lab: &Lab) -> Vec<String> {
    lab.keys.sealed.names().into_iter().filter(|name| name.starts_with("oath:")).collect()
}

async fn fill(engine: &Engine, lease: &LeaseSummary, field: FillField, page: &str) -> Result<String, ErrorCode> {
    let document =
        Document { tab_id: 1, document_id: page.to_owned(), origin: "https://login.microsoftonline.com".to_owned() };
    let filled = engine.fill_credential(lease.lease_id, field, &document, &PERSON).await;
    filled.map(|secret| secret.value).map_err(|error| error.code())
}

/// Signs in as a page does: the password first, then the code.
fn sign_in(lab: &Lab, user_name: &str, password: &str, code: &str) -> bool {
    let sim = lab.sim();
    let knobs = sim.knobs();
    let mut directory = sim.directory();
    let signed_in = directory.sign_in_with_password(None, user_name, password, &sim.clock, &knobs).unwrap();
    directory.add_code(&signed_in, code, &sim.clock, &knobs).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_from_the_preparing_to_the_page() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab, PERMISSIONS);
    let engine = ready(&lab, tenant_id).await;
    let [made] = &tokens(&lab, tenant_id)[..] else { panic!("one token") };
    assert_eq!((made.activated, made.assigned_to.clone()), (true, Some(lab.account(tenant_id).id)));
    assert_eq!(secrets(&lab).len(), 1);
    assert_eq!(engine.tenants().await.unwrap().remove(0).credential.kind, CredentialKind::PasswordTotp);

    engine.warm(tenant_id).await.unwrap();
    lab.forget_exchanges();
    let lease = lab.start(&engine, tenant_id).await.unwrap();
    assert_eq!(lab.round_trips(), ["POST /v1.0/$batch"], "no more than with a password");
    assert_eq!(lease.credential, Some(CredentialKind::PasswordTotp));
    let during = lab.account(tenant_id);
    lab.forget_exchanges();
    let password = fill(&engine, &lease, FillField::Password, "one").await.unwrap();
    assert_eq!(password, during.password);
    let code = fill(&engine, &lease, FillField::OneTimeCode, "one").await.unwrap();
    assert_eq!(lab.round_trips(), [""; 0], "a code is computed here");
    assert!(code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()));
    assert!(sign_in(&lab, &lease.user_name, &password, &code));
    assert!(!sign_in(&lab, &lease.user_name, &password, &code), "the judge takes a code once");
    assert_eq!(fill(&engine, &lease, FillField::OneTimeCode, "one").await, Err(ErrorCode::AlreadyFilled));
    assert_eq!(fill(&engine, &lease, FillField::AccessPass, "two").await, Err(ErrorCode::LeaseNotUsable));

    // The next one, which is another one, and what the technician would see.
    lab.advance(30);
    let next = fill(&engine, &lease, FillField::OneTimeCode, "two").await.unwrap();
    assert!(sign_in(&lab, &lease.user_name, &password, &next));
    assert_eq!(engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap().value, password);

    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_dormant(tenant_id, &during);
    assert_eq!(tokens(&lab, tenant_id).len(), 1, "it is kept");
    assert_eq!(fill(&engine, &lease, FillField::OneTimeCode, "three").await, Err(ErrorCode::LeaseOver));
    let filled = AuditQuery { event: Some(AuditEvent::CredentialFilled), ..AuditQuery::default() };
    assert_eq!(engine.audit(&filled).await.unwrap().len(), 3);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_unless_it_is_switched_on() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab, PERMISSIONS);
    let engine = lab.connected(tenant_id).await;
    engine.sweep().await.unwrap();
    let lease = lab.start(&engine, tenant_id).await.unwrap();
    assert_eq!(lease.credential, Some(CredentialKind::Password));
    assert_eq!(fill(&engine, &lease, FillField::OneTimeCode, "one").await, Err(ErrorCode::LeaseNotUsable));
    let plan = engine.tenants().await.unwrap().remove(0).credential;
    assert!(plan.unavailable.iter().all(|one| one.kind != CredentialKind::PasswordTotp), "nobody hears of it");
    let asked = lab.sim().exchanges.entries();
    assert!(!asked.iter().any(|exchange| exchange.path.contains("/beta/")), "the beta is not touched");
    assert!(tokens(&lab, tenant_id).is_empty() && secrets(&lab).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_that_counts_is_microsofts() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab, PERMISSIONS);
    // Two minutes late: four codes.
    lab.clock.shift(-120_000);
    let engine = ready(&lab, tenant_id).await;
    let lease = lab.start(&engine, tenant_id).await.unwrap();
    let password = fill(&engine, &lease, FillField::Password, "one").await.unwrap();
    let code = fill(&engine, &lease, FillField::OneTimeCode, "one").await.unwrap();
    assert!(sign_in(&lab, &lease.user_name, &password, &code));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_credential_has_its_place_in_the_line() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab, &[PERMISSIONS, &["UserAuthMethod-TAP.ReadWrite.All"]].concat());
    let engine = ready(&lab, tenant_id).await;
    let lease = lab.start(&engine, tenant_id).await.unwrap();
    assert_eq!(lease.credential, Some(CredentialKind::TemporaryAccessPass), "a pass comes before a code");
    let replace = |refused| engine.replace_credential(lease.lease_id, refused, &PERSON, QUIET);
    let by_code = replace(CredentialKind::TemporaryAccessPass).await.unwrap();
    assert_eq!((by_code.lease_id, by_code.credential), (lease.lease_id, Some(CredentialKind::PasswordTotp)));
    let password = fill(&engine, &lease, FillField::Password, "one").await.unwrap();
    let code = fill(&engine, &lease, FillField::OneTimeCode, "one").await.unwrap();
    assert!(sign_in(&lab, &lease.user_name, &password, &code));
    let by_password = replace(CredentialKind::PasswordTotp).await.unwrap();
    assert_eq!(by_password.credential, Some(CredentialKind::Password));
    let nothing = replace(CredentialKind::Password).await.unwrap_err();
    assert_eq!(*nothing.failure(), Failure::NoOtherCredential);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();

    // For an hour neither is tried again.
    let plan = engine.tenants().await.unwrap().remove(0).credential;
    assert_eq!(plan.kind, CredentialKind::Password);
    let code = plan.unavailable.iter().find(|one| one.kind == CredentialKind::PasswordTotp).unwrap();
    assert!(code.because.contains("refused the one-time code"), "{}", code.because);
    lab.advance(3_601);
    for (pinned, expected) in [
        (None, CredentialKind::TemporaryAccessPass),
        (Some(CredentialKind::PasswordTotp), CredentialKind::PasswordTotp),
        (Some(CredentialKind::Password), CredentialKind::Password),
    ] {
        let mut settings = switched_on(&lab);
        settings.policy.everywhere.credential = pinned;
        let engine = lab.try_engine(settings).await.unwrap();
        assert_eq!(engine.tenants().await.unwrap().remove(0).credential.kind, expected);
        let lease = engine.start_lease(start(tenant_id), QUIET).await.unwrap();
        assert_eq!(lease.credential, Some(expected));
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    }
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_the_tenant_refuses_leaves_password_and_code() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab, &[PERMISSIONS, &["UserAuthMethod-TAP.ReadWrite.All"]].concat());
    let engine = ready(&lab, tenant_id).await;
    lab.change_tenant(tenant_id, |tenant| tenant.pass_policy.enabled = false);
    let lease = lab.start(&engine, tenant_id).await.unwrap();
    assert_eq!(lease.credential, Some(CredentialKind::PasswordTotp));
    let password = fill(&engine, &lease, FillField::Password, "one").await.unwrap();
    let code = fill(&engine, &lease, FillField::OneTimeCode, "one").await.unwrap();
    assert!(sign_in(&lab, &lease.user_name, &password, &code));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_missing_is_named() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab, PERMISSIONS);
    let engine = lab.try_engine(switched_on(&lab)).await.unwrap();
    let unavailable = async || {
        let plan = engine.inspect_tenant(&lab.wish(tenant_id)).await.unwrap().credential;
        assert_eq!(plan.kind, CredentialKind::Password);
        let code = plan.unavailable.into_iter().find(|one| one.kind == CredentialKind::PasswordTotp).unwrap();
        (code.because, code.remedy)
    };
    let (because, remedy) = unavailable().await;
    assert!(because.contains("holds no OATH token") && remedy.contains("latchkey prepare"), "{because} {remedy}");
    lab.change_tenant(tenant_id, |tenant| tenant.oath_policy.state = MethodState::Disabled);
    let (because, remedy) = unavailable().await;
    assert!(because.contains("switched off") && remedy.contains("Hardware OATH tokens"), "{because} {remedy}");
    for permission in PERMISSIONS {
        lab.change_tenant(tenant_id, |tenant| {
            let granted = &mut tenant.applications[0].permissions;
            granted.extend(PERMISSIONS.iter().map(|name| (*name).to_owned()));
            granted.remove(*permission);
        });
        let engine = lab.try_engine(switched_on(&lab)).await.unwrap();
        let plan = engine.inspect_tenant(&lab.wish(tenant_id)).await.unwrap().credential;
        let code = plan.unavailable.into_iter().find(|one| one.kind == CredentialKind::PasswordTotp).unwrap();
        assert!(code.because.contains(permission) && code.remedy.contains(permission), "{}", code.because);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_the_licence_refuses_and_is_left_alone() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab, PERMISSIONS);
    lab.change_tenant(tenant_id, |tenant| tenant.licence = Licence::Free);
    let engine = lab.try_engine(switched_on(&lab)).await.unwrap();
    let (summary, prepared) = engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    assert_eq!(prepared.problems.len(), 1, "{:?}", prepared.problems);
    assert_eq!(summary.credential.kind, CredentialKind::Password);
    assert!(tokens(&lab, tenant_id).is_empty() && secrets(&lab).is_empty());
    lab.forget_exchanges();
    engine.prepare_account(tenant_id, &PERSON, QUIET).await.unwrap();
    let asked = lab.sim().exchanges.entries();
    assert!(!asked.iter().any(|exchange| exchange.path.contains("hardwareOath")), "not for an hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_is_found_or_made_anew() {
    for (path, fault) in [
        ("hardwareOathDevices", "drop_after"),
        ("hardwareOathDevices", "drop_before"),
        ("assignAndActivate", "drop_after"),
        ("assignAndActivate", "drop_before"),
    ] {
        let lab = Lab::new().await;
        let tenant_id = tenant(&lab, PERMISSIONS);
        lab.sim().faults.add(
            serde_json::from_value(json!({
                "match": { "method": "POST", "path_contains": path }, "kind": fault, "times": 1,
            }))
            .unwrap(),
        );
        let engine = ready(&lab, tenant_id).await;
        let lease = lab.start(&engine, tenant_id).await.unwrap();
        let password = fill(&engine, &lease, FillField::Password, "one").await.unwrap();
        let code = fill(&engine, &lease, FillField::OneTimeCode, "one").await.unwrap();
        assert!(sign_in(&lab, &lease.user_name, &password, &code), "{path} {fault}");
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
        // What did not happen is forgotten when it cannot happen any more.
        lab.advance(700);
        engine.prepare_account(tenant_id, &PERSON, QUIET).await.unwrap();
        assert_eq!((tokens(&lab, tenant_id).len(), secrets(&lab).len()), (1, 1), "{path} {fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_lost_is_made_again() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab, PERMISSIONS);
    let engine = ready(&lab, tenant_id).await;
    let first = tokens(&lab, tenant_id).remove(0).id;
    // Here: the key store was reset while a lease was open.
    let lease = lab.start(&engine, tenant_id).await.unwrap();
    let [entry] = &secrets(&lab)[..] else { panic!("one secret") };
    SealedStore::discard(&lab.keys.sealed, entry).unwrap();
    assert_eq!(fill(&engine, &lease, FillField::OneTimeCode, "one").await, Err(ErrorCode::OneTimeCodeGone));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.advance(1_000);
    engine.sweep().await.unwrap();
    let [second] = &tokens(&lab, tenant_id)[..] else { panic!("the dead one is gone") };
    assert_ne!(second.id, first);

    // At Microsoft: somebody deleted it.
    lab.change_tenant(tenant_id, |tenant| tenant.oath_tokens.clear());
    lab.advance(200);
    engine.prepare_account(tenant_id, &PERSON, QUIET).await.unwrap();
    assert_eq!((tokens(&lab, tenant_id).len(), secrets(&lab).len()), (1, 1));
    lab.advance(31);
    let lease = lab.start(&engine, tenant_id).await.unwrap();
    let password = fill(&engine, &lease, FillField::Password, "one").await.unwrap();
    let code = fill(&engine, &lease, FillField::OneTimeCode, "one").await.unwrap();
    assert!(sign_in(&lab, &lease.user_name, &password, &code));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_with_its_account_and_its_tenant_and_its_secret_stands_in_no_file() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab, PERMISSIONS);
    let engine = ready(&lab, tenant_id).await;
    let secret = tokens(&lab, tenant_id).remove(0).secret;
    assert!(lab.database_contains(&[secret].into()).is_empty());
    engine.remove_tenant(tenant_id, false, &PERSON, QUIET).await.unwrap();
    assert!(tokens(&lab, tenant_id).is_empty() && secrets(&lab).is_empty(), "the account stays, the token does not");

    engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    assert_eq!((tokens(&lab, tenant_id).len(), secrets(&lab).len()), (1, 1));
    engine.remove_technician(&engine.acting_technician(), &PERSON, &|_| {}).await.unwrap();
    assert!(tokens(&lab, tenant_id).is_empty() && secrets(&lab).is_empty());
    lab.assert_conformant().await;
}
