//! The PIN: who is verified, and what guessing costs.

use latchkey_engine::{AuditEvent, AuditQuery, Failure};
use latchkey_protocol::ErrorCode;
use secrecy::SecretString;

use crate::{
    lab::{Lab, PERSON},
    passkeys::pin,
};

fn wrong() -> SecretString {
    SecretString::from("000000")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_verifies_whoever_knows_it_and_is_kept_nowhere() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let before = engine.person().await.unwrap();
    assert!(!before.verified && !before.pin_set);
    assert_eq!(engine.verify_pin(&pin(), &PERSON).await.unwrap_err().code(), ErrorCode::PinNotSet);
    for unfit in ["12345", "", &"x".repeat(65)] {
        let refused = engine.set_pin(None, &SecretString::from(unfit), &PERSON).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ConfigurationInvalid, "{unfit}");
    }
    engine.set_pin(None, &pin(), &PERSON).await.unwrap();
    assert!(engine.person().await.unwrap().verified);
    let kept = latchkey_engine::SealedStore::unseal(&lab.keys.sealed, "verification:pin").unwrap().unwrap();
    let kept = secrecy::ExposeSecret::expose_secret(&kept);
    assert!(kept.starts_with("$argon2id$") && !kept.contains("271828"));

    let other = lab.engine().await;
    assert!(!other.person().await.unwrap().verified, "another process asks anew");
    assert!(other.verify_pin(&wrong(), &PERSON).await.unwrap().wrong);
    let right = other.verify_pin(&pin(), &PERSON).await.unwrap();
    assert!(right.verified && !right.wrong && right.tries_left.is_none());
    other.forget_person();
    assert!(!other.person().await.unwrap().verified);

    // Whoever changes it has to know it.
    let new = SecretString::from("correct horse");
    for old in [None, Some(&wrong())] {
        assert_eq!(*other.set_pin(old, &new, &PERSON).await.unwrap_err().failure(), Failure::PinWrong);
    }
    other.set_pin(Some(&pin()), &new, &PERSON).await.unwrap();
    assert!(other.verify_pin(&pin(), &PERSON).await.unwrap().wrong);
    assert_eq!(*other.remove_pin(&wrong(), &PERSON).await.unwrap_err().failure(), Failure::PinWrong);
    other.remove_pin(&new, &PERSON).await.unwrap();
    let after = other.person().await.unwrap();
    assert!(!after.verified && !after.pin_set);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_waits_longer_each_time_in_every_process_and_is_on_record() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    engine.set_pin(None, &pin(), &PERSON).await.unwrap();
    engine.forget_person();
    for left in [2, 1, 0] {
        assert_eq!(engine.verify_pin(&wrong(), &PERSON).await.unwrap().tries_left, Some(left));
    }
    for seconds in [30, 60, 300, 900, 3_600, 3_600] {
        // A process that is started anew waits as long, and the right PIN is not looked at either.
        let engine = lab.engine().await;
        let state = engine.verify_pin(&pin(), &PERSON).await.unwrap();
        assert!(!state.verified && state.wait_until.is_some(), "{seconds}");
        lab.clock.pass(seconds * 1_000 - 20_000);
        assert!(engine.person().await.unwrap().wait_until.is_some(), "{seconds}");
        lab.clock.pass(20_000);
        assert!(engine.verify_pin(&wrong(), &PERSON).await.unwrap().wrong);
    }
    lab.clock.pass(3_600_000);
    assert!(engine.verify_pin(&pin(), &PERSON).await.unwrap().verified);
    assert_eq!(engine.person().await.unwrap().wait_until, None, "the right one ends it");
    let log = AuditQuery { event: Some(AuditEvent::PinRefused), ..AuditQuery::default() };
    assert_eq!(engine.audit(&log).await.unwrap().len(), 9);
    assert!(engine.verify_audit().await.unwrap().is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_it_is_remembered_can_be_set() {
    let lab = Lab::new().await;
    let mut settings = lab.settings();
    settings.policy.verification_minutes = Some(10);
    let engine = lab.try_engine(settings).await.unwrap();
    engine.set_pin(None, &pin(), &PERSON).await.unwrap();
    lab.clock.pass(9 * 60_000);
    assert!(engine.person().await.unwrap().verified);
    lab.clock.pass(60_000);
    assert!(!engine.person().await.unwrap().verified);
}
