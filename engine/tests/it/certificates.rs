//! Applications that sign in with a certificate, and what happens around its end.

use latchkey_engine::{ApplicationCredential, CERTIFICATE_DAYS, NewCredential};
use latchkey_protocol::ErrorCode;

use crate::lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET};

const DAY: i64 = 86_400;

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_connected_with_a_certificate_once_it_is_uploaded() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let mut wish = lab.wish(FABRIKAM);
    wish.credential = NewCredential::Certificate;
    // Nothing was made yet.
    assert_eq!(engine.inspect_tenant(&wish).await.unwrap_err().code(), ErrorCode::SecretMissing);
    let certificate = engine.make_certificate(FABRIKAM, wish.client_id, CERTIFICATE_DAYS).await.unwrap();
    // Made, and not uploaded.
    assert_eq!(engine.inspect_tenant(&wish).await.unwrap_err().code(), ErrorCode::CertificateRefused);
    // The same again, also in another process.
    assert_eq!(lab.engine().await.make_certificate(FABRIKAM, wish.client_id, 30).await.unwrap(), certificate);
    lab.upload(FABRIKAM, &certificate.pem);
    engine.add_tenant(wish, &PERSON, QUIET).await.unwrap();
    let kept = engine.application_credential(FABRIKAM).await.unwrap();
    assert_eq!(kept.credential, Some(ApplicationCredential::Certificate { certificate: Some(certificate.clone()) }));
    assert_eq!(kept.expires_at, Some(certificate.expires_at));
    assert_eq!(kept.next, None);
    assert_eq!(engine.tenants().await.unwrap()[0].credential_expires, Some(certificate.expires_at));
    // A cold process starts a lease with it in two round trips, as with a secret.
    let cold = lab.engine().await;
    lab.forget_exchanges();
    let lease = lab.start(&cold, FABRIKAM).await.unwrap();
    assert_eq!(lab.round_trips(), ["token", "POST /v1.0/$batch"]);
    cold.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_was_taken_away_or_whose_time_is_over_is_refused_with_what_to_do() {
    let lab = Lab::new().await;
    let engine = lab.certified(CONTOSO).await;
    lab.change_tenant(CONTOSO, |tenant| tenant.applications[0].keys.clear());
    let error = lab.start(&lab.engine().await, CONTOSO).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CertificateRefused);
    assert!(error.to_body().next_step.contains("credential show"), "{:?}", error.to_body());
    drop(engine);

    let lab = Lab::new().await;
    let engine = lab.certified(CONTOSO).await;
    lab.advance(366 * DAY);
    let error = lab.start(&engine, CONTOSO).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CertificateRefused);
    let health = engine.check_tenant(CONTOSO).await.unwrap();
    assert!(health.problems.iter().any(|problem| problem.message.contains("has expired")), "{:?}", health.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_made_up_for_once_microsofts_time_is_known() {
    let lab = Lab::new().await;
    drop(lab.certified(CONTOSO).await);
    for hours in [-3, 3] {
        lab.clock.shift(hours * 3_600_000);
        let cold = lab.try_engine(lab.settings()).await.unwrap();
        cold.warm(CONTOSO).await.unwrap();
        lab.clock.shift(-hours * 3_600_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_warned_of_once_and_thirty_days_ahead() {
    let lab = Lab::new().await;
    let engine = lab.certified(CONTOSO).await;
    let warnings = async || {
        let log = engine.audit(&latchkey_engine::AuditQuery::default()).await.unwrap();
        log.iter().filter(|entry| entry.event == latchkey_engine::AuditEvent::CredentialExpiring).count()
    };
    lab.advance(300 * DAY);
    engine.sweep().await.unwrap();
    assert_eq!(warnings().await, 0);
    assert!(engine.check_tenant(CONTOSO).await.unwrap().remarks.iter().all(|remark| !remark.contains("ends in")));
    lab.advance(40 * DAY);
    for _ in 0..3 {
        engine.sweep().await.unwrap();
    }
    assert_eq!(warnings().await, 1);
    let health = engine.check_tenant(CONTOSO).await.unwrap();
    assert!(health.remarks.iter().any(|remark| remark.contains("ends in 2")), "{:?}", health.remarks);
    assert!(engine.verify_audit().await.unwrap().is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_nowhere_but_in_the_key_store() {
    let lab = Lab::new().await;
    let engine = lab.certified(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    let kept = lab.keys.all();
    assert_eq!(kept.len(), 1, "what waited is gone from its own entry");
    let secrets =
        kept.iter().flat_map(|stored| stored.split(':').map(ToOwned::to_owned)).filter(|part| part.len() > 60);
    let secrets: std::collections::BTreeSet<String> = secrets.collect();
    assert_eq!(secrets.len(), 1);
    assert_eq!(lab.database_contains(&secrets), Vec::<String>::new());
    engine.remove_tenant(CONTOSO, true, &PERSON, QUIET).await.unwrap();
    assert!(lab.keys.all().is_empty());
}
