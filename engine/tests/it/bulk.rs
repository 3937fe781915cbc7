//! Many accounts at once: made, found again for nothing, taken back.

use entra_sim::directory::seed::TenantRecipe;
use latchkey_engine::{ALL_ADMINS, BulkStep, Engine, Entitlement, Policy, PrepareAll, Technician, TenantName};
use serde_json::json;

use crate::lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET, USER_ADMINISTRATOR};

fn technician(local_part: &str, groups: &[&str]) -> Technician {
    Technician {
        name: format!("{local_part}@msp.example"),
        local_part: local_part.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

fn entitlement(group: &str, tenant: &str) -> Entitlement {
    Entitlement {
        group: group.to_owned(),
        tenants: vec![TenantName(tenant.to_owned())],
        profile: group.to_owned(),
        roles: vec![USER_ADMINISTRATOR.to_owned()],
        groups: Vec::new(),
        maximum_minutes: None,
    }
}

/// Alex, Kim and Sam; in Fabrikam only Level 2 (Kim) may get something.
async fn engine(lab: &Lab) -> Engine {
    let mut settings = lab.settings();
    settings.policy = Policy {
        technicians: vec![technician("alex", &[]), technician("kim", &["Level 2"]), technician("sam", &[])],
        entitlements: vec![entitlement("level 2", "Fabrikam"), entitlement(ALL_ADMINS, "Contoso")],
        ..Policy::default()
    };
    let engine = lab.try_engine(settings).await.unwrap();
    for tenant in [CONTOSO, FABRIKAM] {
        engine.add_tenant(lab.wish(tenant), &PERSON, QUIET).await.unwrap();
    }
    engine
}

const SILENT: &(dyn Fn(BulkStep) + Send + Sync) = &|_| {};

fn everybody(engine: &Engine) -> PrepareAll {
    PrepareAll { technicians: engine.technicians(), ..PrepareAll::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_an_account_where_something_may_be_had_and_a_second_run_costs_nothing() {
    let lab = Lab::new().await;
    let engine = engine(&lab).await;
    let steps = std::sync::Mutex::new(Vec::new());
    let note = |step: BulkStep| steps.lock().unwrap().push((step.done, step.total));
    let report = engine.prepare_all(&everybody(&engine), &PERSON, &note).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    let mut made: Vec<_> = report.prepared.iter().map(|account| account.user_name.as_str()).collect();
    made.sort_unstable();
    let expected =
        ["jit-kim@contoso.onmicrosoft.com", "jit-kim@fabrikam.onmicrosoft.com", "jit-sam@contoso.onmicrosoft.com"];
    // (Alex's in Contoso was made when the tenant was connected.)
    assert_eq!(made, expected);
    assert_eq!(report.skipped, 1);
    assert_eq!(*steps.lock().unwrap(), [(1, 3), (2, 3), (3, 3)]);
    for (tenant, name) in [(CONTOSO, "jit-kim@"), (FABRIKAM, "jit-kim@"), (CONTOSO, "jit-sam@")] {
        let account = lab.find_account(tenant, name).unwrap();
        assert!(!account.enabled && account.roles.is_empty());
    }
    assert!(lab.find_account(FABRIKAM, "jit-sam@").is_none());

    lab.forget_exchanges();
    let again = engine.prepare_all(&everybody(&engine), &PERSON, SILENT).await.unwrap();
    assert_eq!((again.prepared.len(), again.skipped), (0, 4));
    assert_eq!(lab.round_trips(), Vec::<String>::new());
    // Interrupted: one is missing, and only that one is made.
    let kim = engine.accounts().await.unwrap().into_iter().find(|one| one.user_name.starts_with("jit-kim@contoso"));
    engine.remove_account(kim.unwrap().account_id, &PERSON, QUIET).await.unwrap();
    let rest = engine.prepare_all(&everybody(&engine), &PERSON, SILENT).await.unwrap();
    assert_eq!((rest.prepared.len(), rest.skipped), (1, 3));
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_interrupted_goes_on_where_it_was() {
    let lab = Lab::new().await;
    let engine = engine(&lab).await;
    // Contoso's accounts are made; Fabrikam's is, too, but nobody hears of it before it is interrupted.
    let fault = json!({ "match": { "method": "POST", "path_contains": "/users", "tenant": FABRIKAM.to_string() },
                        "kind": "hold_after" });
    lab.sim().faults.add(serde_json::from_value(fault).unwrap());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let wish = everybody(&engine);
    let note = |step: BulkStep| tell.send(step.done).unwrap();
    tokio::select! {
        report = engine.prepare_all(&wish, &PERSON, &note) => unreachable!("it came to its end: {report:?}"),
        () = async {
            while told.recv().await != Some(2) {}
            lab.sim().faults.wait_for_held().await;
        } => {}
    }
    lab.sim().faults.replace(Vec::new());
    lab.sim().faults.release();
    // (Whoever had the loan on the account is dead: it lapses.)
    lab.advance(30);
    let again = engine.prepare_all(&wish, &PERSON, SILENT).await.unwrap();
    assert!(again.failed.is_empty(), "{again:?}");
    let prepared: Vec<_> = again.prepared.iter().map(|account| account.user_name.as_str()).collect();
    assert_eq!((prepared.as_slice(), again.skipped), (["jit-kim@fabrikam.onmicrosoft.com"].as_slice(), 3));
    let account = lab.find_account(FABRIKAM, "jit-kim@").unwrap();
    assert!(!account.enabled && account.roles.is_empty());
    let third = engine.prepare_all(&wish, &PERSON, SILENT).await.unwrap();
    assert_eq!((third.prepared.len(), third.skipped), (0, 4));
    assert!(engine.verify_audit().await.unwrap().is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_cannot_be_worked_in_is_said_once_and_holds_nothing_up() {
    let lab = Lab::new().await;
    let engine = engine(&lab).await;
    engine.close().await;
    lab.change_tenant(FABRIKAM, |tenant| tenant.applications.clear());
    // Another process, without a token.
    let mut settings = lab.settings();
    settings.policy.technicians = ["alex", "kim", "sam"].map(|name| technician(name, &[])).into();
    let engine = lab.try_engine(settings).await.unwrap();
    let report = engine.prepare_all(&everybody(&engine), &PERSON, SILENT).await.unwrap();
    assert_eq!((report.failed.len(), report.not_tried), (1, 1), "{report:?}");
    assert_eq!(report.failed[0].tenant.as_deref(), Some("Fabrikam"));
    assert_eq!((report.prepared.len(), report.skipped), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_has_nothing_left_anywhere() {
    let lab = Lab::new().await;
    let engine = engine(&lab).await;
    engine.prepare_all(&everybody(&engine), &PERSON, SILENT).await.unwrap();
    let recipe = TenantRecipe { name: "Tailspin".to_owned(), ..TenantRecipe::default() };
    let tailspin = lab.sim().add_tenant(recipe).id.parse().unwrap();
    // Kim's own machine: another store, a lease that this one does not know, and an account that it did not make.
    let mut settings = lab.settings_of("kim");
    settings.database_path = lab.database().with_file_name("of-kim.db");
    let hers = lab.try_engine(settings).await.unwrap();
    hers.add_tenant(lab.wish(tailspin), &PERSON, QUIET).await.unwrap();
    hers.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    lab.start(&hers, CONTOSO).await.unwrap();
    assert!(lab.find_account(CONTOSO, "jit-kim@").unwrap().enabled);
    engine.add_tenant(lab.wish(tailspin), &PERSON, QUIET).await.unwrap();
    let mine = lab.start(&engine, CONTOSO).await.unwrap();

    let kim = technician("kim", &[]);
    let report = engine.remove_technician(&kim, &PERSON, SILENT).await.unwrap();
    assert!(report.left.is_empty(), "{report:?}");
    assert_eq!(report.removed.len(), 3, "{report:?}");
    for tenant in [CONTOSO, FABRIKAM, tailspin] {
        assert!(lab.find_account(tenant, "jit-kim@").is_none(), "{tenant}");
    }
    // Nobody else was touched.
    assert!(lab.find_account(CONTOSO, "jit-sam@").is_some());
    assert!(lab.find_account(CONTOSO, "jit-alex@").unwrap().enabled);
    assert!(engine.leases(false).await.unwrap().iter().any(|lease| lease.lease_id == mine.lease_id));

    let again = engine.remove_technician(&kim, &PERSON, SILENT).await.unwrap();
    assert!(again.removed.is_empty() && again.left.is_empty(), "{again:?}");
    // One's own leases end with one's account.
    let me = technician("alex", &[]);
    let report = engine.remove_technician(&me, &PERSON, SILENT).await.unwrap();
    assert!(report.left.is_empty(), "{report:?}");
    assert!(engine.leases(false).await.unwrap().is_empty());
    assert!(lab.find_account(CONTOSO, "jit-alex@").is_none());
    assert!(engine.verify_audit().await.unwrap().is_whole());
}
