//! Leases on good days: what is granted, what is taken back, in how many round trips.

use std::collections::BTreeSet;

use latchkey_engine::{AuditEvent, AuditQuery, Caller};
use latchkey_protocol::{CredentialKind, Document, ErrorCode, FillField, LeaseState, TenantHint};

use crate::lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET, start};

fn page(document_id: &str) -> Document {
    Document { tab_id: 7, document_id: document_id.to_owned(), origin: "https://login.microsoftonline.com".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_with_a_pass_from_click_to_dormant() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let before = lab.account(CONTOSO);
    assert!(!before.enabled && before.roles.is_empty());

    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(lease.state, LeaseState::Active);
    assert_eq!(lease.credential, Some(CredentialKind::TemporaryAccessPass));
    assert!(lease.credential_held);
    let during = lab.account(CONTOSO);
    assert!(during.enabled);
    assert_eq!(during.roles.len(), 1);

    let secret = engine.fill_credential(lease.lease_id, FillField::AccessPass, &page("one"), &PERSON).await.unwrap();
    assert_eq!(Some(&secret.value), during.pass.as_ref());
    lab.sim().sign_in_with_access_pass(None, &secret.user_name, &secret.value).unwrap();
    let usable = engine.confirm_sign_in(lease.lease_id, &PERSON).await.unwrap();
    assert_eq!(usable.state, LeaseState::Usable);

    let ended = engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert_eq!(ended.state, LeaseState::Ended);
    assert!(!ended.credential_held);
    lab.assert_dormant(CONTOSO, &during);
    lab.sim().sign_in_with_access_pass(None, &secret.user_name, &secret.value).unwrap_err();
    let gone = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::LeaseOver);
    lab.assert_nothing_is_left(&engine).await;
}

/// The extension says it again when the answer was lost: it, this process or another one was stopped in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_is_confirmed_again_is_in_the_audit_log_once() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap().lease_id;
    engine.confirm_sign_in(lease, &PERSON).await.unwrap();
    engine.extend_lease(lease, 10, None, &PERSON).await.unwrap();
    let again = lab.engine().await;
    for engine in [&engine, &again] {
        assert_eq!(engine.confirm_sign_in(lease, &PERSON).await.unwrap().state, LeaseState::Usable);
    }
    let query = AuditQuery { lease_id: Some(lease), ..AuditQuery::default() };
    let log = engine.audit(&query).await.unwrap();
    assert_eq!(log.iter().filter(|entry| entry.event == AuditEvent::SignInConfirmed).count(), 1);
    engine.end_lease(lease, &PERSON, QUIET).await.unwrap();
    assert_eq!(engine.confirm_sign_in(lease, &PERSON).await.unwrap_err().code(), ErrorCode::LeaseOver);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_with_a_password_needs_no_more_than_the_documented_permissions() {
    let lab = Lab::new().await;
    let engine = lab.connected(FABRIKAM).await;
    let plan = engine.tenants().await.unwrap().remove(0).credential;
    assert_eq!(plan.kind, CredentialKind::Password);
    assert!(plan.because.unwrap().contains("UserAuthMethod-TAP.ReadWrite.All"));

    let lease = lab.start(&engine, FABRIKAM).await.unwrap();
    assert_eq!(lease.credential, Some(CredentialKind::Password));
    let during = lab.account(FABRIKAM);
    let secret = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap();
    assert_eq!(secret.value, during.password);
    lab.sim().sign_in_with_password(None, &secret.user_name, &secret.value).unwrap();

    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_dormant(FABRIKAM, &during);
    lab.sim().sign_in_with_password(None, &secret.user_name, &secret.value).unwrap_err();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_start_is_one_round_trip_and_an_end_is_two() {
    for tenant in [CONTOSO, FABRIKAM] {
        let lab = Lab::new().await;
        let engine = lab.connected(tenant).await;
        engine.warm(tenant).await.unwrap();
        lab.forget_exchanges();
        let lease = lab.start(&engine, tenant).await.unwrap();
        assert_eq!(lab.round_trips(), ["POST /v1.0/$batch"]);
        lab.forget_exchanges();
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
        assert_eq!(lab.round_trips(), ["POST /v1.0/$batch", "POST /v1.0/$batch"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_process_needs_one_more_for_the_token() {
    let lab = Lab::new().await;
    drop(lab.connected(CONTOSO).await);
    let engine = lab.engine().await;
    lab.forget_exchanges();
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(lab.round_trips(), ["token", "POST /v1.0/$batch"]);

    // Whoever ends it needs a token too.
    let other = lab.engine().await;
    lab.forget_exchanges();
    other.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert_eq!(lab.round_trips(), ["token", "POST /v1.0/$batch", "POST /v1.0/$batch"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_deleted_is_made_again() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let deleted = lab.account(CONTOSO).id;
    lab.change_tenant(CONTOSO, |tenant| {
        tenant.users.remove(&deleted);
    });
    lab.advance(3600);
    lab.forget_exchanges();
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(lease.state, LeaseState::Active);
    let changes: Vec<_> =
        lab.round_trips().into_iter().filter(|call| call != "token" && !call.contains("/organization")).collect();
    assert_eq!(changes, ["POST /v1.0/$batch", "POST /v1.0/users", "POST /v1.0/$batch"]);
    assert_ne!(lab.account(CONTOSO).id, deleted);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_is_made_in_three_round_trips() {
    let lab = Lab::new().await;
    drop(lab.connected(CONTOSO).await);
    // The same tenant under another name: an account that nobody has prepared.
    let mut settings = lab.settings();
    settings.technician.local_part = "kim".to_owned();
    let engine = lab.try_engine(settings).await.unwrap();
    lab.sim().faults.add(serde_json::from_value(serde_json::json!({
        "match": { "method": "POST", "path_contains": "/v1.0/users" }, "kind": "status", "status": 429, "retry_after": 60
    })).unwrap());
    engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap_err();
    lab.sim().faults.replace(Vec::new());

    let engine = lab.try_engine(lab.settings_of("kim")).await.unwrap();
    lab.forget_exchanges();
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(lab.round_trips(), ["token", "POST /v1.0/users", "POST /v1.0/$batch"]);
    assert!(lab.find_account(CONTOSO, "jit-kim@").unwrap().enabled);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert!(!lab.find_account(CONTOSO, "jit-kim@").unwrap().enabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_ends_at_its_time_without_being_asked() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let during = lab.account(CONTOSO);
    assert_eq!(engine.next_due().await.unwrap().map(|due| due <= lease.until), Some(true));
    lab.advance(3590);
    assert!(engine.sweep().await.unwrap().ended.is_empty());
    assert!(lab.account(CONTOSO).enabled);
    lab.advance(15);
    // Another process may do it.
    let report = lab.engine().await.sweep().await.unwrap();
    assert_eq!(report.ended.len(), 1);
    lab.assert_dormant(CONTOSO, &during);
    let gone = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::LeaseOver);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_with_nothing_due_asks_nobody() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    lab.start(&engine, CONTOSO).await.unwrap();
    lab.forget_exchanges();
    lab.keys.locked.store(true, std::sync::atomic::Ordering::SeqCst);
    let report = lab.engine().await.sweep().await.unwrap();
    assert_eq!(report.looked_at, 0);
    assert_eq!(lab.round_trips(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_lease_is_answered_again() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let first = lab.start(&engine, CONTOSO).await.unwrap();
    lab.forget_exchanges();
    let again = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(again.lease_id, first.lease_id);
    assert_eq!(lab.round_trips(), Vec::<String>::new());

    // Another process does not hold the credential: it gets a new one, and the first one's is gone.
    let other = lab.engine().await;
    let renewed = lab.start(&other, CONTOSO).await.unwrap();
    assert_eq!((renewed.lease_id, renewed.until), (first.lease_id, first.until));
    let secret = other.reveal_credential(first.lease_id, &PERSON).await.unwrap();
    assert_eq!(Some(secret.value), lab.account(CONTOSO).pass);
    assert_eq!(lab.account(CONTOSO).roles.len(), 1);
    let gone = engine.reveal_credential(first.lease_id, &PERSON).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::CredentialGone);
    other.end_lease(first.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_goes_only_where_it_belongs_and_once() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap().lease_id;
    let fill = async |field, document: Document| {
        engine.fill_credential(lease, field, &document, &PERSON).await.map_err(|error| error.code())
    };
    for origin in [
        "https://login.microsoftonline.com.evil.example",
        "https://login.microsoftonline.us",
        "http://login.microsoftonline.com",
        "https://portal.azure.com",
        "null",
        "",
    ] {
        let document = Document { origin: origin.to_owned(), ..page("elsewhere") };
        assert_eq!(fill(FillField::AccessPass, document).await, Err(ErrorCode::OriginNotAllowed), "{origin}");
    }
    assert_eq!(fill(FillField::Password, page("one")).await, Err(ErrorCode::LeaseNotUsable));
    assert!(fill(FillField::AccessPass, page("one")).await.is_ok());
    assert_eq!(fill(FillField::AccessPass, page("one")).await, Err(ErrorCode::AlreadyFilled));
    assert!(fill(FillField::AccessPass, page("two")).await.is_ok());

    let query = AuditQuery { lease_id: Some(lease), ..AuditQuery::default() };
    let log = engine.audit(&query).await.unwrap();
    let fills = log.iter().filter(|entry| entry.event == AuditEvent::CredentialFilled).count();
    assert_eq!(fills, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_length_is_the_tenants_to_say() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    for minutes in [0, 481] {
        let mut wish = start(CONTOSO);
        wish.minutes = Some(minutes);
        let refused = engine.start_lease(wish, QUIET).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::DurationNotAllowed);
    }
    assert!(engine.leases(true).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_in_the_database_or_the_audit_log() {
    let lab = Lab::new().await;
    let mut secrets = BTreeSet::new();
    for tenant in [CONTOSO, FABRIKAM] {
        let engine = lab.connected(tenant).await;
        secrets.insert(lab.client_secret(tenant));
        secrets.insert(lab.account(tenant).password);
        let lease = lab.start(&engine, tenant).await.unwrap();
        let secret = engine.reveal_credential(lease.lease_id, &Caller::Extension("x".to_owned())).await.unwrap();
        secrets.insert(secret.value);
        secrets.insert(lab.account(tenant).password);
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
        secrets.insert(lab.account(tenant).password);
        assert!(engine.verify_audit().await.unwrap().is_whole());
    }
    assert_eq!(lab.database_contains(&secrets), Vec::<String>::new());
    // The same search does find what is there.
    assert!(!lab.database_contains(&BTreeSet::from(["ticket 4711".to_owned()])).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_grant_and_end_is_in_the_log_in_its_order() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    let events: Vec<_> =
        engine.audit(&AuditQuery::default()).await.unwrap().into_iter().map(|entry| entry.event).collect();
    assert_eq!(
        events,
        [
            AuditEvent::TenantAdded,
            AuditEvent::AccountCreating,
            AuditEvent::LeaseRequested,
            AuditEvent::LeaseGranted,
            AuditEvent::CredentialRevealed,
            AuditEvent::EndRequested,
            AuditEvent::EndVerified,
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_recognised_by_its_address() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    let recognized = async |tenant: Option<&str>, user_name: Option<&str>| {
        let hint = TenantHint { tenant: tenant.map(str::to_owned), user_name: user_name.map(str::to_owned) };
        engine.recognize(&hint).await.unwrap()
    };
    assert_eq!(recognized(Some(&CONTOSO.to_string()), None).await, Some(CONTOSO));
    assert_eq!(recognized(Some("Contoso.com"), None).await, Some(CONTOSO));
    assert_eq!(recognized(None, Some("somebody@fabrikam.onmicrosoft.com")).await, Some(FABRIKAM));
    assert_eq!(recognized(None, Some("contoso.com")).await, Some(CONTOSO));
    assert_eq!(recognized(Some("elsewhere.example"), Some("a@contoso.com")).await, None);
    assert_eq!(recognized(None, Some("a@b@elsewhere.example")).await, None);
    assert_eq!(recognized(None, None).await, None);
}
