//! Leases on bad days. After every one of them no account is enabled without a live lease.

use std::time::Duration;

use latchkey_engine::{AuditEvent, AuditQuery, Engine};
use latchkey_protocol::{CredentialKind, ErrorCode, LeaseState};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET, start};

fn fault(lab: &Lab, fault: Value) {
    lab.sim().faults.add(serde_json::from_value(fault).unwrap());
}

/// A fault on one kind of step inside batches.
fn step(method: &str, path: &str, kind: Value) -> Value {
    let mut fault = json!({ "match": { "method": method, "path_contains": path, "in_batch": true } });
    fault.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
    fault
}

async fn granted_and_taken_back(lab: &Lab, engine: &Engine) {
    let lease = lab.start(engine, CONTOSO).await.unwrap();
    assert_eq!(lease.state, LeaseState::Active);
    let during = lab.account(CONTOSO);
    assert!(during.enabled);
    assert_eq!(during.roles.len(), 1, "the role is there once");
    let secret = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap();
    assert_eq!(Some(secret.value), during.pass);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_dormant(CONTOSO, &during);
    lab.assert_nothing_is_left(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_did_not_do_is_repaired() {
    let lab = Lab::new().await;
    // A new process each time: each has its own budget of authentication-method calls.
    drop(lab.connected(CONTOSO).await);
    for kind in [
        json!({ "kind": "status", "status": 500, "times": 1 }),
        json!({ "kind": "status", "status": 503, "retry_after": 1, "times": 1 }),
        json!({ "kind": "status", "status": 429, "retry_after": 1, "times": 1 }),
        json!({ "kind": "status", "status": 500, "after_effect": true, "times": 1 }),
    ] {
        for (method, path) in [("PATCH", "/users/"), ("POST", "temporaryAccessPass"), ("POST", "roleAssignments")] {
            lab.sim().faults.replace(Vec::new());
            fault(&lab, step(method, path, kind.clone()));
            granted_and_taken_back(&lab, &lab.engine().await).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_batch_is_finished() {
    let lab = Lab::new().await;
    // A new process each time: each has its own budget of authentication-method calls.
    drop(lab.connected(CONTOSO).await);
    for from_item in 1..=3 {
        fault(
            &lab,
            json!({ "match": { "path_contains": "$batch" }, "kind": "half_batch", "from_item": from_item, "times": 1 }),
        );
        granted_and_taken_back(&lab, &lab.engine().await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_came_may_have_had_its_effect() {
    let lab = Lab::new().await;
    // A new process each time: each has its own budget of authentication-method calls.
    drop(lab.connected(CONTOSO).await);
    for kind in ["drop_before", "drop_after"] {
        // The activation's batch, then the ending's writes, then its reads.
        for nth in 1..=3 {
            lab.sim().faults.replace(Vec::new());
            fault(&lab, json!({ "match": { "path_contains": "$batch", "nth": nth }, "kind": kind }));
            granted_and_taken_back(&lab, &lab.engine().await).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_fails_for_good_is_taken_back() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    for (status, code) in
        [(403, ErrorCode::GraphRefused), (500, ErrorCode::GraphUnavailable), (429, ErrorCode::Throttled)]
    {
        lab.sim().faults.replace(Vec::new());
        fault(&lab, step("POST", "roleAssignments", json!({ "kind": "status", "status": status, "retry_after": 30 })));
        let error = lab.start(&engine, CONTOSO).await.unwrap_err();
        assert_eq!(error.code(), code);
        let body = error.to_body();
        assert_eq!(body.tenant.as_deref(), Some("Contoso"));
        assert!(body.graph_request_id.is_some(), "the request id is kept");
        lab.sim().faults.replace(Vec::new());
        lab.sweep_until_quiet(&engine).await;
        assert!(!lab.account(CONTOSO).enabled);
        assert_eq!(engine.leases(true).await.unwrap().first().unwrap().state, LeaseState::Failed);
        lab.assert_nothing_is_left(&engine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ending_is_tried_until_it_is_verified() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let during = lab.account(CONTOSO);
    fault(&lab, json!({ "match": { "path_contains": "/v1.0/" }, "kind": "status", "status": 503 }));
    let error = engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::EndingUnverified);
    let shown = engine.leases(false).await.unwrap().remove(0);
    assert_eq!(shown.state, LeaseState::Ending);
    assert!(!shown.credential_held);
    assert_eq!(shown.problem.unwrap().code, ErrorCode::EndingUnverified);

    // Nothing can begin on it meanwhile.
    assert_eq!(lab.start(&engine, CONTOSO).await.unwrap_err().code(), ErrorCode::AccountEnding);

    lab.advance(240);
    let report = engine.sweep().await.unwrap();
    assert_eq!(report.failing.len(), 1);
    assert_eq!(report.failing[0].state, LeaseState::Stuck, "a person must look");
    assert!(report.next_due.unwrap() <= lab.clock_now() + 60_000, "it is tried again within a minute");

    lab.sim().faults.replace(Vec::new());
    lab.advance(61);
    assert_eq!(engine.sweep().await.unwrap().ended.len(), 1);
    lab.assert_dormant(CONTOSO, &during);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_cannot_be_removed_does_not_keep_the_rest_from_ending() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    fault(&lab, step("DELETE", "roleAssignments", json!({ "kind": "status", "status": 403 })));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap_err();
    // Disabling an administrator is refused by the directory, too; what is not sensitive has happened.
    assert!(lab.account(CONTOSO).sessions_revoked);
    assert!(engine.leases(false).await.unwrap()[0].problem.is_some());
    lab.sim().faults.replace(Vec::new());
    lab.sweep_until_quiet(&engine).await;
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_already_does_not_block_the_ending() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let during = lab.account(CONTOSO);
    lab.change_tenant(CONTOSO, |tenant| tenant.assignments.retain(|assignment| assignment.principal != during.id));
    lab.change_user(CONTOSO, |user| user.access_pass = None);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_dormant(CONTOSO, &during);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_somebody_made_an_administrator_ends_all_the_same() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let during = lab.account(CONTOSO);
    lab.assign_role(CONTOSO, &during.id, "Global Administrator");
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_dormant(CONTOSO, &during);

    // And the next one begins all the same, although the dormant account holds a role.
    lab.assign_role(CONTOSO, &during.id, "Global Administrator");
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(lab.account(CONTOSO).roles.len(), 1);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replication_lag_is_waited_for() {
    let lab = Lab::new().await;
    lab.sim()
        .turn(&json!({ "create_lag_ms": 1500, "create_lag_intermittent": true, "role_removal_lag_ms": 800, "read_lag_ms": 300, "tap_lag_ms": 2000 }))
        .unwrap();
    let engine = lab.connected(CONTOSO).await;
    granted_and_taken_back(&lab, &engine).await;
}

/// Dropping the future is what the end of the process does, as far as Microsoft and the database can tell.
async fn drop_an_activation(tenant: Uuid, kind: &str) {
    // The token, the batch, and each of its three steps.
    for exchange in 1..=5 {
        let lab = Lab::new().await;
        drop(lab.connected(tenant).await);
        fault(&lab, json!({ "match": { "nth": exchange }, "kind": kind }));
        let engine = lab.engine().await;
        let starting = tokio::spawn(async move { engine.start_lease(start(tenant), QUIET).await });
        lab.sim().faults.wait_for_held().await;
        starting.abort();
        let _ = starting.await;
        lab.sim().faults.release();
        lab.sim().faults.replace(Vec::new());

        let engine = lab.engine().await;
        lab.advance(25);
        lab.sweep_until_quiet(&engine).await;
        lab.assert_nothing_is_left(&engine).await;
        assert!(!lab.account(tenant).enabled);
        // The account is as good as before.
        let lease = lab.start(&engine, tenant).await.unwrap();
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
        lab.assert_nothing_is_left(&engine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_with_a_pass_dropped_before_any_effect_is_taken_back() {
    drop_an_activation(CONTOSO, "hold_before").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_with_a_pass_dropped_after_any_effect_is_taken_back() {
    drop_an_activation(CONTOSO, "hold_after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_with_a_password_dropped_before_any_effect_is_taken_back() {
    drop_an_activation(FABRIKAM, "hold_before").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_with_a_password_dropped_after_any_effect_is_taken_back() {
    drop_an_activation(FABRIKAM, "hold_after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ending_dropped_at_any_exchange_is_finished_by_the_next_sweep() {
    for exchange in 1..=2 {
        for kind in ["hold_before", "hold_after"] {
            let lab = Lab::new().await;
            let engine = lab.connected(CONTOSO).await;
            let lease = lab.start(&engine, CONTOSO).await.unwrap();
            let during = lab.account(CONTOSO);
            fault(&lab, json!({ "match": { "nth": exchange, "in_batch": false }, "kind": kind }));
            let ending = tokio::spawn({
                let engine = engine.clone();
                async move { engine.end_lease(lease.lease_id, &PERSON, QUIET).await }
            });
            lab.sim().faults.wait_for_held().await;
            ending.abort();
            let _ = ending.await;
            lab.sim().faults.release();
            lab.sim().faults.replace(Vec::new());
            lab.advance(25);
            lab.sweep_until_quiet(&lab.engine().await).await;
            lab.assert_dormant(CONTOSO, &during);
            lab.assert_nothing_is_left(&engine).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_comes_after_the_end_is_found_and_undone() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    fault(
        &lab,
        json!({ "match": { "path_contains": "$batch", "nth": 1, "in_batch": false }, "kind": "hold_before", "survives_client": true }),
    );
    let starting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.start_lease(start(CONTOSO), QUIET).await }
    });
    lab.sim().faults.wait_for_held().await;
    starting.abort();
    let _ = starting.await;
    lab.sim().faults.replace(Vec::new());
    lab.advance(25);
    lab.sweep_until_quiet(&engine).await;
    assert!(!lab.account(CONTOSO).enabled);

    // Only now what was sent long ago takes effect.
    lab.sim().faults.release();
    lab.wait_until(|| lab.account(CONTOSO).enabled).await;
    lab.advance(36);
    let report = engine.sweep().await.unwrap();
    assert_eq!(report.repaired, ["jit-alex@contoso.onmicrosoft.com"]);
    let after = lab.account(CONTOSO);
    assert!(!after.enabled && after.roles.is_empty() && after.pass.is_none());
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_rule_foresaw_is_found_by_the_scan() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    lab.change_user(CONTOSO, |user| user.account_enabled = true);
    let id = lab.account(CONTOSO).id;
    lab.assign_role(CONTOSO, &id, "Global Administrator");
    assert!(engine.sweep().await.unwrap().repaired.is_empty(), "it is not time yet");
    lab.advance(901);
    assert_eq!(engine.sweep().await.unwrap().repaired.len(), 1);
    let after = lab.account(CONTOSO);
    assert!(!after.enabled && after.roles.is_empty());
    let log = engine.audit(&AuditQuery::default()).await.unwrap();
    assert!(log.iter().any(|entry| entry.event == AuditEvent::DriftFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_shows_what_somebody_else_changed() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let mut wish = start(CONTOSO);
    wish.minutes = Some(240);
    let lease = engine.start_lease(wish, QUIET).await.unwrap();
    lab.change_user(CONTOSO, |user| user.account_enabled = false);
    lab.advance(901);
    let report = engine.sweep().await.unwrap();
    assert_eq!(report.changed.len(), 1);
    assert_eq!(report.changed[0].state, LeaseState::ExternallyModified);
    assert!(report.changed[0].problem.as_ref().unwrap().message.contains("disabled"));
    assert!(!lab.account(CONTOSO).enabled, "it is not enabled again behind the admin's back");
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_start_at_once_get_one_lease() {
    let lab = Lab::new().await;
    let one = lab.connected(CONTOSO).await;
    let other = lab.engine().await;
    let (first, second) = tokio::join!(lab.start(&one, CONTOSO), lab.start(&other, CONTOSO));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.lease_id, second.lease_id);
    assert_eq!(one.leases(true).await.unwrap().len(), 1);
    assert_eq!(lab.account(CONTOSO).roles.len(), 1);
    let held =
        [one.reveal_credential(first.lease_id, &PERSON).await, other.reveal_credential(first.lease_id, &PERSON).await];
    let mut valid = held.into_iter().flatten().map(|secret| secret.value);
    assert_eq!(valid.next(), lab.account(CONTOSO).pass, "exactly one of them holds the credential that works");
    assert_eq!(valid.next(), None);
    let (first, second) =
        tokio::join!(one.end_lease(first.lease_id, &PERSON, QUIET), other.end_lease(first.lease_id, &PERSON, QUIET));
    assert_eq!((first.unwrap().state, second.unwrap().state), (LeaseState::Ended, LeaseState::Ended));
    lab.assert_nothing_is_left(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_and_an_end_at_once_do_no_harm() {
    let lab = Lab::new().await;
    let one = lab.connected(CONTOSO).await;
    let other = lab.engine().await;
    lab.start(&one, CONTOSO).await.unwrap();
    let during = lab.account(CONTOSO);
    lab.advance(3601);
    let lease = one.leases(false).await.unwrap().remove(0).lease_id;
    let (first, second, third) = tokio::join!(one.sweep(), other.sweep(), other.end_lease(lease, &PERSON, QUIET));
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    lab.sweep_until_quiet(&one).await;
    lab.assert_dormant(CONTOSO, &during);
    let verified = one.audit(&AuditQuery { lease_id: Some(lease), ..AuditQuery::default() }).await.unwrap();
    assert_eq!(verified.iter().filter(|entry| entry.event == AuditEvent::EndVerified).count(), 1);
    lab.assert_nothing_is_left(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_while_it_starts_leaves_nothing() {
    let lab = Lab::new().await;
    let one = lab.connected(CONTOSO).await;
    let other = lab.engine().await;
    fault(&lab, json!({ "match": { "path_contains": "$batch", "nth": 1, "in_batch": false }, "kind": "hold_before" }));
    let starting = tokio::spawn({
        let one = one.clone();
        async move { one.start_lease(start(CONTOSO), QUIET).await }
    });
    lab.sim().faults.wait_for_held().await;
    let lease = other.leases(false).await.unwrap().remove(0).lease_id;
    let ending = tokio::spawn({
        let other = other.clone();
        async move { other.end_lease(lease, &PERSON, QUIET).await }
    });
    lab.wait_for_state(&one, lease, LeaseState::Ending).await;
    lab.sim().faults.release();
    assert_eq!(starting.await.unwrap().unwrap_err().code(), ErrorCode::LeaseOver);
    ending.await.unwrap().unwrap();
    lab.assert_nothing_is_left(&one).await;
    assert!(!lab.account(CONTOSO).enabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lease_starts_on_a_wrong_clock() {
    for hours in [-1, 1] {
        let lab = Lab::new().await;
        let engine = lab.connected(CONTOSO).await;
        engine.warm(CONTOSO).await.unwrap();
        lab.clock.shift(hours * 3_600_000);
        assert_eq!(lab.start(&engine, CONTOSO).await.unwrap_err().code(), ErrorCode::ClockWrong);
        assert!(engine.leases(true).await.unwrap().is_empty());
        assert!(!lab.account(CONTOSO).enabled);
        // Once it has been set right nothing is in the way.
        lab.clock.shift(-hours * 3_600_000);
        lab.start(&engine, CONTOSO).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_keeps_nothing_enabled_for_longer() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let mut wish = start(CONTOSO);
    wish.minutes = Some(120);
    engine.start_lease(wish, QUIET).await.unwrap();
    // An hour and a half later the clock is set back by an hour: the lease has half an hour left.
    lab.advance(5400);
    engine.warm(CONTOSO).await.unwrap();
    engine.sweep().await.unwrap();
    lab.clock.shift(-3_600_000);
    lab.advance(1790);
    assert!(engine.sweep().await.unwrap().ended.is_empty());
    lab.advance(60);
    engine.sweep().await.unwrap();
    lab.sweep_until_quiet(&engine).await;
    assert!(!lab.account(CONTOSO).enabled);

    // A lease that begins in the future by this clock is ended at once.
    lab.clock.shift(3_600_000);
    engine.warm(CONTOSO).await.unwrap();
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    lab.start(&engine, CONTOSO).await.unwrap();
    lab.clock.shift(-7_200_000);
    assert_eq!(engine.sweep().await.unwrap().ended.len(), 1);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_the_tenant_refuses_becomes_a_password() {
    let lab = Lab::new().await;
    // The policy cannot be read, and passes are off.
    lab.change_tenant(CONTOSO, |tenant| {
        tenant.applications[0].permissions.retain(|permission| !permission.starts_with("Policy."));
        tenant.pass_policy.enabled = false;
    });
    let engine = lab.connected(CONTOSO).await;
    assert_eq!(engine.tenants().await.unwrap()[0].credential.kind, CredentialKind::TemporaryAccessPass);
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(lease.credential, Some(CredentialKind::Password));
    let during = lab.account(CONTOSO);
    assert_eq!(during.roles.len(), 1);
    let secret = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap();
    assert_eq!(secret.value, during.password);
    // The next one knows, and says why.
    let plan = engine.tenants().await.unwrap().remove(0).credential;
    assert_eq!(plan.kind, CredentialKind::Password);
    assert!(plan.because.is_some());
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_dormant(CONTOSO, &during);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_read_and_wants_something_else_is_followed() {
    let lab = Lab::new().await;
    lab.change_tenant(CONTOSO, |tenant| {
        tenant.applications[0].permissions.retain(|permission| !permission.starts_with("Policy."));
        tenant.pass_policy.minimum_minutes = 600;
        tenant.pass_policy.default_minutes = 600;
        tenant.pass_policy.maximum_minutes = 1200;
    });
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(lease.credential, Some(CredentialKind::TemporaryAccessPass));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_password_rule_gets_a_clear_remedy() {
    let lab = Lab::new().await;
    lab.sim().turn(&json!({ "strict_password_rule": true })).unwrap();
    let engine = lab.engine().await;
    let (_, prepared) = engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    assert_eq!(prepared.problems[0].code, ErrorCode::PermissionMissing);
    assert!(prepared.problems[0].next_step.contains("User Administrator"));
    assert!(prepared.problems[0].next_step.contains("anew each time"));

    // Making an account takes no directory role: what may not be set afterwards is set then, and goes with the account.
    for _ in 0..2 {
        let before = lab.find_account(FABRIKAM, "jit-alex@").map(|account| account.id);
        engine.warm(FABRIKAM).await.unwrap();
        lab.forget_exchanges();
        let lease = lab.start(&engine, FABRIKAM).await.unwrap();
        let changes = lab.round_trips();
        assert!(changes.ends_with(&["POST /v1.0/users".to_owned(), "POST /v1.0/$batch".to_owned()]), "{changes:?}");
        assert!(changes.len() <= 3, "{changes:?}");
        let during = lab.account(FABRIKAM);
        assert!(before.is_none_or(|before| before != during.id));
        assert!(during.enabled && during.roles.len() == 1);
        let secret = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap();
        lab.sim().sign_in_with_password(None, &secret.user_name, &secret.value).unwrap();
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
        assert!(lab.find_account(FABRIKAM, "jit-alex@").is_none());
        lab.sim().sign_in_with_password(None, &secret.user_name, &secret.value).unwrap_err();
        lab.assert_nothing_is_left(&engine).await;
    }

    // The role is given: from the next preparation on the account stays.
    lab.sim().turn(&json!({ "strict_password_rule": false })).unwrap();
    assert!(engine.prepare_account(FABRIKAM, &PERSON, QUIET).await.unwrap().problems.is_empty());
    let id = lab.account(FABRIKAM).id;
    let lease = lab.start(&engine, FABRIKAM).await.unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert_eq!(lab.account(FABRIKAM).id, id);

    // With passes no password is needed, neither to begin nor to end.
    let lab = Lab::new().await;
    lab.sim().turn(&json!({ "strict_password_rule": true })).unwrap();
    let engine = lab.engine().await;
    engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert!(!lab.account(CONTOSO).enabled);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_password_may_not_be_replaced_any_more_goes_and_is_made_anew() {
    let lab = Lab::new().await;
    let engine = lab.connected(FABRIKAM).await;
    let lease = lab.start(&engine, FABRIKAM).await.unwrap();
    let during = lab.account(FABRIKAM);
    let secret = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap();
    // In the middle of the lease the application loses the right.
    lab.sim().turn(&json!({ "strict_password_rule": true })).unwrap();
    // Deleting fails at first, too: it is tried again.
    fault(&lab, step("DELETE", "/users/", json!({ "kind": "status", "status": 503, "times": 1 })));
    let error = engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::EndingUnverified);
    // It may be that the directory has not noticed yet that the account is no administrator any more.
    assert!(!lab.account(FABRIKAM).enabled);
    lab.advance(61);
    lab.sweep_until_quiet(&engine).await;
    assert_eq!(engine.leases(true).await.unwrap()[0].state, LeaseState::Ended);
    assert!(lab.find_account(FABRIKAM, "jit-alex@").is_none());
    lab.sim().sign_in_with_password(None, &secret.user_name, &secret.value).unwrap_err();
    let kept = lab.sim().directory().tenant(&FABRIKAM.to_string()).unwrap().deleted_users[&during.id].clone();
    assert!(!kept.account_enabled, "should somebody restore it, it is disabled");
    let log = engine.audit(&AuditQuery::default()).await.unwrap();
    let place = |event| log.iter().position(|entry| entry.event == event).unwrap();
    assert!(place(AuditEvent::AccountDeleting) < place(AuditEvent::EndVerified));

    // Somebody restores it: the scan finds it, and it goes again.
    lab.change_tenant(FABRIKAM, |tenant| {
        let restored = tenant.deleted_users.remove(&during.id).unwrap();
        tenant.users.insert(during.id.clone(), restored);
    });
    lab.advance(1_000);
    assert_eq!(engine.sweep().await.unwrap().repaired.len(), 1);
    assert!(lab.find_account(FABRIKAM, "jit-alex@").is_none());

    let lease = lab.start(&engine, FABRIKAM).await.unwrap();
    assert_ne!(lab.account(FABRIKAM).id, during.id);
    // A role that somebody gives it forbids us to delete it: it goes first.
    lab.assign_role(FABRIKAM, &lab.account(FABRIKAM).id, "Global Administrator");
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert!(lab.find_account(FABRIKAM, "jit-alex@").is_none());
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_key_store_is_said_to_be_locked_and_the_ending_waits_for_it() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    lab.start(&engine, CONTOSO).await.unwrap();
    lab.keys.locked.store(true, std::sync::atomic::Ordering::SeqCst);
    lab.advance(3601);
    let fresh = lab.engine().await;
    let report = fresh.sweep().await.unwrap();
    let problem = report.failing[0].problem.clone().unwrap();
    assert!(problem.message.contains("key store is locked"));
    assert!(problem.next_step.contains("Unlock"));
    assert_eq!(lab.engine().await.warm(CONTOSO).await.unwrap_err().code(), ErrorCode::KeyStoreLocked);
    lab.keys.locked.store(false, std::sync::atomic::Ordering::SeqCst);
    lab.sweep_until_quiet(&fresh).await;
    lab.assert_nothing_is_left(&fresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_is_fetched_again() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    engine.warm(CONTOSO).await.unwrap();
    fault(
        &lab,
        json!({ "match": { "path_contains": "$batch", "in_batch": false, "nth": 1 }, "kind": "status", "status": 401 }),
    );
    lab.forget_exchanges();
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(lab.round_trips(), ["POST /v1.0/$batch", "token", "POST /v1.0/$batch"]);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn microsoft_out_of_reach_is_said_so() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    drop(engine);
    let mut settings = lab.settings();
    // A port on which nobody listens.
    settings.network.proxy = Some("http://127.0.0.1:9".parse().unwrap());
    let engine = lab.try_engine(settings).await.unwrap();
    assert_eq!(lab.start(&engine, CONTOSO).await.unwrap_err().code(), ErrorCode::NetworkUnreachable);
    assert!(engine.leases(true).await.unwrap().is_empty(), "nothing was promised");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_grants_is_sent_when_the_lease_would_be_over() {
    let lab = Lab::new().await;
    let mut settings = lab.settings();
    // It is not patience that ends here.
    settings.patience.fault = Duration::from_secs(120);
    let engine = lab.try_engine(settings).await.unwrap();
    engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    engine.warm(CONTOSO).await.unwrap();
    fault(&lab, json!({ "match": { "path_contains": "$batch", "nth": 1 }, "kind": "hold_before" }));
    fault(&lab, step("PATCH", "/users/", json!({ "kind": "status", "status": 503, "times": 1 })));
    let mut wish = start(CONTOSO);
    wish.minutes = Some(1);
    let starting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.start_lease(wish, QUIET).await }
    });
    lab.sim().faults.wait_for_held().await;
    lab.forget_exchanges();
    // The activation slept for most of its lease. What it wanted to send next could not arrive in time.
    lab.advance(55);
    lab.sim().faults.release();
    assert_eq!(starting.await.unwrap().unwrap_err().code(), ErrorCode::LeaseOver);
    lab.sweep_until_quiet(&engine).await;
    let granted = lab
        .sim()
        .exchanges
        .entries()
        .into_iter()
        .filter(|exchange| {
            exchange.method == "POST" && exchange.path.contains("roleAssignments") && exchange.status == 201
        })
        .count();
    assert_eq!(granted, 0);
    assert_eq!(engine.leases(true).await.unwrap()[0].state, LeaseState::Failed);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_slept_through_its_loan_changes_nothing_any_more() {
    let lab = Lab::new().await;
    let sleeper = lab.connected(CONTOSO).await;
    let other = lab.engine().await;
    sleeper.warm(CONTOSO).await.unwrap();
    fault(&lab, json!({ "match": { "path_contains": "$batch", "nth": 1 }, "kind": "hold_before" }));
    let starting = tokio::spawn({
        let sleeper = sleeper.clone();
        async move { sleeper.start_lease(start(CONTOSO), QUIET).await }
    });
    lab.sim().faults.wait_for_held().await;
    lab.advance(25);
    let report = other.sweep().await.unwrap();
    assert_eq!(report.ended.len(), 1);
    assert_eq!(report.ended[0].state, LeaseState::Failed);

    // The sleeper's batch arrives only now. Its owner learns that the account is not its own any more.
    lab.sim().faults.release();
    assert_eq!(starting.await.unwrap().unwrap_err().code(), ErrorCode::Busy);
    assert!(other.leases(false).await.unwrap().is_empty());
    // It says so, so that the next sweep looks without waiting for its time.
    let report = other.sweep().await.unwrap();
    assert_eq!(report.repaired.len(), 1);
    assert!(!lab.account(CONTOSO).enabled);
    lab.assert_nothing_is_left(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_said_to_be_damaged() {
    let lab = Lab::new().await;
    // Nothing may have the file open: it is mapped into memory, and shortening it under a reader is fatal to both.
    lab.connected(CONTOSO).await.close().await;
    std::fs::write(lab.database(), vec![0x5a; 16_384]).unwrap();
    let Err(error) = lab.try_engine(lab.settings()).await else { panic!("it is no database any more") };
    assert_eq!(error.code(), ErrorCode::StoreDamaged);
    assert!(!lab.account(CONTOSO).enabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_at_all_is_given_up_on_and_repaired() {
    let lab = Lab::new().await;
    drop(lab.connected(CONTOSO).await);
    let mut settings = lab.settings();
    settings.patience.fault = std::time::Duration::from_secs(30);
    let engine = lab.try_engine(settings).await.unwrap();
    fault(&lab, json!({ "match": { "path_contains": "$batch", "nth": 1 }, "kind": "hang_after" }));
    granted_and_taken_back(&lab, &engine).await;
}
