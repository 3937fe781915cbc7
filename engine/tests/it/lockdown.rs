//! The kill switch: nothing slips past it, in whichever process it was begun.

use latchkey_engine::{AuditEvent, AuditQuery, Engine};
use latchkey_protocol::{Document, ErrorCode, FillField, LeaseState};
use serde_json::json;

use crate::lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET, start};

async fn two_tenants(lab: &Lab) -> Engine {
    let engine = lab.connected(CONTOSO).await;
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    engine
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_ends_everywhere_and_nothing_begins_in_any_process_until_it_is_lifted() {
    let lab = Lab::new().await;
    let engine = two_tenants(&lab).await;
    let other = lab.engine().await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    lab.start(&engine, FABRIKAM).await.unwrap();
    let (contoso, fabrikam) = (lab.account(CONTOSO), lab.account(FABRIKAM));

    let lockdown = other.lock_down(" laptop stolen ", &PERSON).await.unwrap();
    assert_eq!((lockdown.technician.as_str(), lockdown.reason.as_str()), ("Alex", "laptop stolen"));
    // At once, before anything was sent: the process that holds the credential does not give it any more.
    let page =
        Document { tab_id: 1, document_id: "d".to_owned(), origin: "https://login.microsoftonline.com".to_owned() };
    let filled = engine.fill_credential(lease.lease_id, FillField::AccessPass, &page, &PERSON).await;
    let shown = engine.reveal_credential(lease.lease_id, &PERSON).await;
    let begun = lab.start(&engine, CONTOSO).await;
    for code in [filled.err().unwrap().code(), shown.err().unwrap().code(), begun.err().unwrap().code()] {
        assert_eq!(code, ErrorCode::LockedDown);
    }
    let error = lab.start(&engine, FABRIKAM).await.unwrap_err().to_body();
    assert!(error.message.contains("laptop stolen") && error.next_step.contains("--lift"), "{error:?}");
    assert!(engine.leases(false).await.unwrap().iter().all(|lease| lease.state == LeaseState::Ending));

    let told = std::sync::Mutex::new(Vec::new());
    let report = other.end_all(&PERSON, &|done, all| told.lock().unwrap().push((done, all))).await.unwrap();
    assert_eq!((report.ended.len(), report.failed.len()), (2, 0));
    assert_eq!(*told.lock().unwrap(), [(1, 2), (2, 2)]);
    lab.assert_dormant(CONTOSO, &contoso);
    lab.assert_dormant(FABRIKAM, &fabrikam);

    // Whoever locks down again changes nothing; nobody lifts it without a reason.
    assert_eq!(engine.lock_down("again", &PERSON).await.unwrap(), lockdown);
    assert!(engine.lift_lockdown("  ", &PERSON).await.is_err());
    assert!(engine.lift_lockdown("found it", &PERSON).await.unwrap());
    assert!(!other.lift_lockdown("found it", &PERSON).await.unwrap());
    lab.start(&other, CONTOSO).await.unwrap();
    other.end_all(&PERSON, &|_, _| {}).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
    let events: Vec<_> =
        engine.audit(&AuditQuery::default()).await.unwrap().into_iter().map(|entry| entry.event).collect();
    let count = |event| events.iter().filter(|known| **known == event).count();
    assert_eq!((count(AuditEvent::LockdownBegun), count(AuditEvent::LockdownLifted)), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_under_way_is_taken_back() {
    // Its batch is held before its effect, after it, and after the client has gone.
    for kind in ["hold_before", "hold_after"] {
        let lab = Lab::new().await;
        let engine = lab.connected(CONTOSO).await;
        engine.warm(CONTOSO).await.unwrap();
        let fault = json!({ "match": { "path_contains": "$batch" }, "kind": kind, "times": 1 });
        lab.sim().faults.add(serde_json::from_value(fault).unwrap());
        let other = lab.engine().await;
        let starting = tokio::spawn(async move { (engine.start_lease(start(CONTOSO), QUIET).await, engine) });
        lab.sim().faults.wait_for_held().await;
        other.lock_down("", &PERSON).await.unwrap();
        lab.sim().faults.release();
        let (outcome, engine) = starting.await.unwrap();
        assert_eq!(outcome.unwrap_err().code(), ErrorCode::LeaseOver, "{kind}");
        other.end_all(&PERSON, &|_, _| {}).await.unwrap();
        lab.sweep_until_quiet(&engine).await;
        assert!(!lab.account(CONTOSO).enabled);
        lab.assert_nothing_is_left(&engine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_intent_is_written_after_the_flag() {
    // Many starts and one lockdown, in different orders each time: what the log says decides, not the clock.
    let lab = Lab::new().await;
    drop(two_tenants(&lab).await);
    for round in 0..6_u32 {
        let mut starting = Vec::new();
        for tenant in [CONTOSO, FABRIKAM] {
            let engine = lab.engine().await;
            starting.push(tokio::spawn(async move {
                for _ in 0..round * 40 {
                    tokio::task::yield_now().await;
                }
                engine.start_lease(start(tenant), QUIET).await
            }));
        }
        let other = lab.engine().await;
        for _ in 0..(5 - round) * 40 {
            tokio::task::yield_now().await;
        }
        other.lock_down("drill", &PERSON).await.unwrap();
        for starting in starting {
            if let Err(error) = starting.await.unwrap() {
                assert!(matches!(error.code(), ErrorCode::LockedDown | ErrorCode::LeaseOver), "{error}");
            }
        }
        other.end_all(&PERSON, &|_, _| {}).await.unwrap();
        lab.sweep_until_quiet(&other).await;
        lab.assert_nothing_is_left(&other).await;
        other.lift_lockdown("over", &PERSON).await.unwrap();
    }
    let engine = lab.engine().await;
    // Entries of several tenants share the order in which they were committed only through their times, so that each
    // lease is asked for by itself: requested before the lockdown, or not at all.
    let log = engine.audit(&AuditQuery::default()).await.unwrap();
    let mut locked: Vec<(i64, i64)> = Vec::new();
    for entry in &log {
        match entry.event {
            AuditEvent::LockdownBegun => locked.push((entry.at, i64::MAX)),
            AuditEvent::LockdownLifted => locked.last_mut().unwrap().1 = entry.at,
            _ => {}
        }
    }
    assert_eq!(locked.len(), 6);
    for lease in engine.leases(true).await.unwrap() {
        assert!(lease.state.is_closed());
        let within = locked.iter().find(|(from, until)| lease.from > *from && lease.from < *until);
        assert_eq!(within, None, "{} began in a lockdown", lease.lease_id);
    }
}
