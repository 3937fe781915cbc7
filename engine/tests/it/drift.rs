//! What carries our mark in the directory against what the store says, and the way back after the store was lost.

use std::collections::BTreeSet;

use entra_sim::directory::User;
use latchkey_engine::{AuditEvent, AuditQuery, Drift, DriftKind, DriftOptions, Engine, Technician, TenantList};
use latchkey_protocol::ErrorCode;
use serde_json::json;
use uuid::Uuid;

use crate::lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET, start};

const REPAIR_OTHERS: DriftOptions = DriftOptions { repair_others: true, doubt_the_store: false };

async fn drift(engine: &Engine, options: DriftOptions) -> Vec<Drift> {
    let report = engine.drift(None, options, &PERSON, &|_, _| {}).await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.is_clean(), report.found.iter().all(|drift| drift.repaired));
    report.found
}

fn kinds(found: &[Drift]) -> Vec<(DriftKind, bool)> {
    found.iter().map(|drift| (drift.kind, drift.repaired)).collect()
}

/// Another account in the tenant, enabled, with this mark.
fn plant(lab: &Lab, tenant: Uuid, name: &str, mark: &str) -> String {
    let id = Uuid::new_v4().to_string();
    let template = lab.account(tenant).id;
    lab.change_tenant(tenant, |tenant| {
        let mut user: User = tenant.users[&template].clone();
        user.id.clone_from(&id);
        user.user_principal_name = format!("{name}@contoso.onmicrosoft.com");
        user.account_enabled = true;
        user.attributes.insert("onPremisesExtensionAttributes".to_owned(), json!({ "extensionAttribute15": mark }));
        tenant.users.insert(id.clone(), user);
    });
    id
}

async fn with_colleague(lab: &Lab) -> Engine {
    let engine = lab.connected(CONTOSO).await;
    let colleague = Technician { name: "Kim".to_owned(), local_part: "kim".to_owned(), groups: Vec::new() };
    engine.prepare_account_for(CONTOSO, &colleague, &PERSON, QUIET).await.unwrap();
    engine
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_differs_one_batch_per_tenant_tells_so() {
    let lab = Lab::new().await;
    let engine = with_colleague(&lab).await;
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    lab.start(&engine, CONTOSO).await.unwrap();
    lab.forget_exchanges();
    let report = engine.drift(None, DriftOptions::default(), &PERSON, &|_, _| {}).await.unwrap();
    assert!(report.is_clean() && report.found.is_empty(), "{:?}", report.found);
    assert_eq!((report.tenants, report.accounts), (2, 3));
    assert_eq!(lab.round_trips(), ["POST /v1.0/$batch", "POST /v1.0/$batch"]);
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_store_decides_about_is_repaired_and_read_back() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let before = lab.account(CONTOSO);
    lab.change_user(CONTOSO, |user| {
        user.account_enabled = true;
        user.user_principal_name = "somebody@contoso.onmicrosoft.com".to_owned();
        user.attributes.remove("onPremisesExtensionAttributes");
    });
    lab.assign_role(CONTOSO, &before.id, "Global Administrator");
    let found = drift(&engine, DriftOptions::default()).await;
    assert_eq!(
        kinds(&found),
        [(DriftKind::ActiveWithoutLease, true), (DriftKind::Unmarked, true), (DriftKind::Renamed, true)]
    );
    assert!(found[0].found.contains("is enabled, holds a role"), "{}", found[0].found);
    let after = lab.account(CONTOSO);
    assert_eq!(after.id, before.id, "it has its name again");
    assert!(!after.enabled && after.roles.is_empty());
    assert_eq!(drift(&engine, DriftOptions::default()).await.len(), 0, "and its mark");
    let log = engine.audit(&AuditQuery::default()).await.unwrap();
    assert_eq!(log.iter().filter(|entry| entry.event == AuditEvent::DriftFound).count(), 3);

    // Deleted: nothing can be done with it any more, and the next lease makes it anew.
    lab.change_tenant(CONTOSO, |tenant| drop(tenant.users.remove(&before.id)));
    lab.advance(3_600);
    assert_eq!(kinds(&drift(&engine, DriftOptions::default()).await), [(DriftKind::Deleted, true)]);
    assert_eq!(drift(&engine, DriftOptions::default()).await.len(), 0);
    lab.start(&engine, CONTOSO).await.unwrap();
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_during_a_lease_is_said_and_goes_with_the_lease() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let during = lab.account(CONTOSO);
    lab.assign_role(CONTOSO, &during.id, "Global Administrator");
    let found = drift(&engine, DriftOptions::default()).await;
    assert_eq!(kinds(&found), [(DriftKind::ChangedDuringLease, false)]);
    assert!(found[0].found.contains("was added"), "{}", found[0].found);
    assert!(lab.account(CONTOSO).enabled, "the lease goes on");
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert!(drift(&engine, DriftOptions::default()).await.is_empty());
    lab.assert_dormant(CONTOSO, &during);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_machine_decides_about_is_reported_and_repaired_only_when_told() {
    let lab = Lab::new().await;
    let engine = with_colleague(&lab).await;
    let kim = lab.find_account(CONTOSO, "jit-kim@").unwrap();
    lab.change_tenant(CONTOSO, |tenant| tenant.users.get_mut(&kim.id).unwrap().account_enabled = true);
    // Two of other technicians that this store has never heard of; one is dormant, as it should be.
    let lee = plant(&lab, CONTOSO, "jit-lee", "latchkey:jit:lee");
    let mia = plant(&lab, CONTOSO, "jit-mia", "latchkey:jit:mia");
    lab.change_tenant(CONTOSO, |tenant| tenant.users.get_mut(&mia).unwrap().account_enabled = false);

    let found = drift(&engine, DriftOptions::default()).await;
    assert_eq!(kinds(&found), [(DriftKind::ActiveWithoutLease, false), (DriftKind::Unknown, false)]);
    assert!(found.iter().all(|drift| !drift.here));
    assert!(lab.find_account(CONTOSO, "jit-kim@").unwrap().enabled);

    let found = drift(&engine, REPAIR_OTHERS).await;
    assert_eq!(kinds(&found), [(DriftKind::ActiveWithoutLease, true), (DriftKind::Unknown, true)]);
    for name in ["jit-kim@", "jit-lee@"] {
        let account = lab.find_account(CONTOSO, name).unwrap();
        assert!(!account.enabled && account.sessions_revoked, "{name}");
    }
    assert_eq!(lab.find_account(CONTOSO, "jit-lee@").unwrap().id, lee);
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn break_glass_accounts_and_accounts_of_others_are_left_alone() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    plant(&lab, CONTOSO, "emergency", "latchkey:break-glass:1");
    plant(&lab, CONTOSO, "jit-lookalike", "somebody else's");
    for options in [DriftOptions::default(), REPAIR_OTHERS] {
        let report = engine.drift(None, options, &PERSON, &|_, _| {}).await.unwrap();
        assert!(report.is_clean() && report.found.is_empty(), "{:?}", report.found);
        assert_eq!(report.break_glass, 1);
    }
    engine.recover(&TenantList::default(), &PERSON, &|_, _| {}).await.unwrap();
    assert!(lab.find_account(CONTOSO, "emergency@").unwrap().enabled);
    assert!(lab.find_account(CONTOSO, "jit-lookalike@").unwrap().enabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_does_not_search_by_mark_is_searched_by_name() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lee = plant(&lab, CONTOSO, "jit-lee", "latchkey:jit:lee");
    let fault = json!({ "match": { "path_contains": "extensionAttribute15" }, "kind": "status", "status": 400 });
    lab.sim().faults.add(serde_json::from_value(fault).unwrap());
    let found = drift(&engine, DriftOptions::default()).await;
    assert_eq!(kinds(&found), [(DriftKind::Unknown, false)]);
    assert_eq!(found[0].object_id, Some(lee.parse().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_lists_assignments_by_principal_only_is_asked_for_each() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let before = lab.account(CONTOSO);
    lab.assign_role(CONTOSO, &before.id, "Global Administrator");
    let lee = plant(&lab, CONTOSO, "jit-lee", "latchkey:jit:lee");
    lab.assign_role(CONTOSO, &lee, "Global Reader");
    let fault = json!({
        "match": { "path_contains": "/directory/roleAssignments" }, "kind": "status", "status": 400, "times": 1,
    });
    lab.sim().faults.add(serde_json::from_value(fault).unwrap());
    let found = drift(&engine, DriftOptions::default()).await;
    assert_eq!(kinds(&found), [(DriftKind::ActiveWithoutLease, true), (DriftKind::Unknown, false)]);
    assert!(found.iter().all(|drift| drift.found.contains("holds a role")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_repaired_or_asked_is_left_and_shown_until_it_is() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    lab.change_user(CONTOSO, |user| user.account_enabled = true);
    for fault in [
        json!({ "match": { "method": "PATCH", "in_batch": true }, "kind": "status", "status": 500 }),
        json!({ "match": { "tenant": FABRIKAM.to_string() }, "kind": "status", "status": 503 }),
    ] {
        lab.sim().faults.add(serde_json::from_value(fault).unwrap());
    }
    let report = engine.drift(None, DriftOptions::default(), &PERSON, &|_, _| {}).await.unwrap();
    assert!(!report.is_clean());
    assert_eq!(kinds(&report.found), [(DriftKind::ActiveWithoutLease, false)]);
    assert_eq!(report.problems[0].tenant.as_deref(), Some("Fabrikam"));
    let problems = engine.account_problems().await.unwrap();
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [ErrorCode::EndingUnverified]);

    lab.sim().faults.replace(Vec::new());
    assert!(engine.drift(None, DriftOptions::default(), &PERSON, &|_, _| {}).await.unwrap().is_clean());
    assert!(engine.account_problems().await.unwrap().is_empty());
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_loss_of_the_database_the_tenants_come_back_and_what_was_active_ends() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    let list = engine.update_tenant_list(&TenantList::default()).await.unwrap();
    assert_eq!(list.0.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from([CONTOSO, FABRIKAM]));
    let written = serde_json::to_string(&list).unwrap();
    assert!(!written.contains(&lab.client_secret(CONTOSO)), "no secret is in it");
    lab.start(&engine, CONTOSO).await.unwrap();
    let during = lab.account(CONTOSO);
    assert!(during.enabled);
    engine.close().await;
    drop(engine);
    std::fs::remove_dir_all(lab.database().parent().unwrap()).unwrap();

    let engine = lab.engine().await;
    // A list is never emptied by a database that knows nothing.
    let list: TenantList = serde_json::from_str(&written).unwrap();
    assert_eq!(engine.update_tenant_list(&list).await.unwrap(), list);
    let report = engine.recover(&list, &PERSON, &|_, _| {}).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.connected.len(), 2);
    lab.assert_dormant(CONTOSO, &during);
    // Everything works as before.
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
    // What is disconnected on purpose leaves the list.
    engine.remove_tenant(FABRIKAM, true, &PERSON, QUIET).await.unwrap();
    let list = engine.update_tenant_list(&list).await.unwrap();
    assert_eq!(list.0.keys().copied().collect::<Vec<_>>(), [CONTOSO]);
}

/// A copy of the database as a backup makes it, put back after a lease has begun.
async fn restored(lab: &Lab) -> Engine {
    let engine = lab.connected(CONTOSO).await;
    engine.close().await;
    drop(engine);
    let backup = std::fs::read(lab.database()).unwrap();
    // An hour of work that the backup does not know.
    let engine = lab.engine().await;
    lab.advance(3_000);
    engine.start_lease(start(CONTOSO), QUIET).await.unwrap();
    assert!(lab.account(CONTOSO).enabled);
    lab.advance(600);
    engine.close().await;
    drop(engine);
    std::fs::remove_dir_all(lab.database().parent().unwrap()).unwrap();
    std::fs::create_dir_all(lab.database().parent().unwrap()).unwrap();
    std::fs::write(lab.database(), backup).unwrap();
    lab.engine().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_backup_of_an_hour_ago_has_forgotten_is_disabled_by_the_sweep() {
    let lab = Lab::new().await;
    let engine = restored(&lab).await;
    let during = lab.account(CONTOSO);
    assert!(engine.leases(true).await.unwrap().is_empty(), "it knows of no lease");
    let report = engine.sweep().await.unwrap();
    assert_eq!(report.repaired, ["jit-alex@contoso.onmicrosoft.com"]);
    lab.assert_dormant(CONTOSO, &during);
}

#[tokio::test(flavor = "multi_thread")]
async fn recover_replaces_even_a_password_that_the_backup_believes_forgotten() {
    let lab = Lab::new().await;
    let engine = restored(&lab).await;
    let report = engine.recover(&TenantList::default(), &PERSON, &|_, _| {}).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(kinds(&report.drift.found), [(DriftKind::ActiveWithoutLease, true)]);
    // Dormant to look at, but the store may have forgotten who was told its password.
    let before = lab.account(CONTOSO);
    assert!(!before.enabled);
    let report = engine.recover(&TenantList::default(), &PERSON, &|_, _| {}).await.unwrap();
    assert_eq!(kinds(&report.drift.found), [(DriftKind::Doubted, true)]);
    lab.assert_dormant(CONTOSO, &before);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sweeps_at_once_do_no_harm() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    for round in 0..4 {
        lab.start(&engine, CONTOSO).await.unwrap();
        lab.start(&engine, FABRIKAM).await.unwrap();
        let during = lab.account(CONTOSO);
        // The machine sleeps over the end, for a night or two; then everything wakes at once.
        lab.advance(3_601 + round * 86_400);
        let (one, other, third) = (lab.engine().await, lab.engine().await, lab.engine().await);
        let (one, other, third) = tokio::join!(one.sweep(), other.sweep(), third.sweep());
        for report in [one.unwrap(), other.unwrap(), third.unwrap()] {
            assert!(report.problems.is_empty(), "{:?}", report.problems);
        }
        // One of them has done it, at once: whoever came second left it to the first.
        lab.assert_dormant(CONTOSO, &during);
        assert!(engine.leases(false).await.unwrap().is_empty());
        lab.assert_nothing_is_left(&engine).await;
    }
    let log = engine.audit(&AuditQuery::default()).await.unwrap();
    assert_eq!(log.iter().filter(|entry| entry.event == AuditEvent::EndVerified).count(), 8, "each end once");
}
