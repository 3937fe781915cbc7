//! The audit log from outside: asked, exported, verified without a database, kept for as long as configured.

use std::ops::ControlFlow;

use latchkey_engine::{AuditEvent, AuditFormat, AuditQuery, AuditReport, Caller, Engine, OCSF_VERSION, verify_export};
use latchkey_protocol::FillField;
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET};

async fn export(engine: &Engine, query: &AuditQuery, format: AuditFormat) -> Vec<String> {
    let mut lines = Vec::new();
    let mut keep = |line: &str| {
        lines.push(line.to_owned());
        ControlFlow::Continue(())
    };
    engine.export_audit(query, format, &mut keep).await.unwrap();
    lines
}

fn verify(lines: &[String]) -> AuditReport {
    verify_export(lines.join("\n").as_bytes()).unwrap()
}

/// Two tenants, a lease from asking to its verified end in one of them.
async fn busy(lab: &Lab) -> Engine {
    let engine = lab.connected(CONTOSO).await;
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    engine
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_found_by_who_where_what_and_when() {
    let lab = Lab::new().await;
    let before = lab.clock_now();
    let engine = busy(&lab).await;
    let everything = engine.audit(&AuditQuery::default()).await.unwrap();
    let count = async |query: AuditQuery| engine.audit(&query).await.unwrap().len();
    let all = everything.len();
    assert!(all > 8);
    let technician = |name: &str| AuditQuery { technician: Some(name.to_owned()), ..AuditQuery::default() };
    assert_eq!(count(technician("ALEX")).await, all);
    assert_eq!(count(technician("kim")).await, 0);
    assert_eq!(count(AuditQuery { since: Some(before), until: Some(i64::MAX), ..AuditQuery::default() }).await, all);
    assert_eq!(count(AuditQuery { until: Some(before), ..AuditQuery::default() }).await, 0);
    let of = |event| AuditQuery { event: Some(event), ..AuditQuery::default() };
    assert_eq!(count(of(AuditEvent::TenantAdded)).await, 2);
    assert_eq!(count(AuditQuery { tenant_id: Some(FABRIKAM), ..of(AuditEvent::TenantAdded) }).await, 1);
    let revealed = engine.audit(&of(AuditEvent::CredentialRevealed)).await.unwrap();
    assert_eq!(
        (revealed.len(), &revealed[0].caller, revealed[0].technician.as_str()),
        (1, &Caller::CommandLine, "Alex")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_verified_without_the_database() {
    let lab = Lab::new().await;
    let engine = busy(&lab).await;
    let lines = export(&engine, &AuditQuery::default(), AuditFormat::JsonLines).await;
    let report = verify(&lines);
    assert!(report.is_whole() && !report.extract, "{report:?}");
    assert_eq!(report.entries as usize, engine.audit(&AuditQuery::default()).await.unwrap().len());
    assert_eq!(report.chains, engine.verify_audit().await.unwrap().chains);
    let query = AuditQuery { tenant_id: Some(FABRIKAM), ..AuditQuery::default() };
    let one = verify(&export(&engine, &query, AuditFormat::JsonLines).await);
    assert!(one.is_whole() && !one.extract && one.chains.len() == 1, "{one:?}");

    let entry = lines.iter().position(|line| line.contains("lease_requested")).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        verify(&lines)
    };
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Vec<String>));
    let forgeries: [Change<'_>; 8] = [
        ("a changed reason", &|lines| lines[entry] = lines[entry].replace("4711", "4712")),
        ("a removed entry", &|lines| drop(lines.remove(entry))),
        ("two entries in another order", &|lines| lines.swap(entry, entry + 1)),
        ("the end cut off", &|lines| drop(lines.pop())),
        ("the last entries cut off", &|lines| drop(lines.remove(lines.len() - 2))),
        ("a chain cut off, its head too", &|lines| lines.truncate(3)),
        ("a repeated entry", &|lines| lines.insert(entry, lines[entry].clone())),
        ("something else", &|lines| lines.insert(1, "{}".to_owned())),
    ];
    for (what, change) in forgeries {
        assert!(!changed(change).is_whole(), "{what}");
    }
    assert!(!verify(&[]).is_whole());

    // An extract: each entry is checked, what lies between cannot be.
    let query = AuditQuery { event: Some(AuditEvent::EndVerified), ..AuditQuery::default() };
    let extract = export(&engine, &query, AuditFormat::JsonLines).await;
    let report = verify(&extract);
    assert!(report.is_whole() && report.extract && report.entries == 1, "{report:?}");
    let forged: Vec<_> = extract.iter().map(|line| line.replace("late_by_ms", "early_by_ms")).collect();
    assert!(!verify(&forged).is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_rewritten_as_a_whole_does_not_continue_an_earlier_export() {
    let lab = Lab::new().await;
    let engine = busy(&lab).await;
    let earlier = verify(&export(&engine, &AuditQuery::default(), AuditFormat::JsonLines).await);
    lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(engine.audit_continues(&earlier.chains).await.unwrap(), []);

    // Somebody who can write to the database takes the newest entries away and moves the head: the chain is sound.
    let mut database = database(&lab).await;
    let forgery = "delete from audit where sequence > 1;
        update audit_heads set sequence = 1, hash = (select hash from audit
            where audit.tenant_id = audit_heads.tenant_id and audit.sequence = 1)";
    sqlx::raw_sql(forgery).execute(&mut database).await.unwrap();
    assert!(engine.verify_audit().await.unwrap().is_whole());
    assert_eq!(engine.audit_continues(&earlier.chains).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_export_holds_a_credential_and_ocsf_holds_what_it_must() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let secret = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap();
    let document = latchkey_protocol::Document {
        tab_id: 1,
        document_id: "d".to_owned(),
        origin: "https://login.microsoftonline.com".to_owned(),
    };
    engine.fill_credential(lease.lease_id, FillField::AccessPass, &document, &PERSON).await.unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    let secrets = [secret.value, lab.client_secret(CONTOSO)];
    for format in [AuditFormat::JsonLines, AuditFormat::Ocsf] {
        let text = export(&engine, &AuditQuery::default(), format).await.join("\n");
        assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "{format:?}");
    }

    let events: Vec<Value> = export(&engine, &AuditQuery::default(), AuditFormat::Ocsf)
        .await
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for event in &events {
        for member in ["activity_id", "category_uid", "class_uid", "severity_id", "time", "type_uid"] {
            assert!(event[member].is_number(), "{member}: {event:#}");
        }
        assert_eq!(event["metadata"]["version"], OCSF_VERSION);
        assert_eq!(event["metadata"]["tenant_uid"], CONTOSO.to_string());
    }
    let of = |type_uid: u64| events.iter().find(|event| event["type_uid"] == type_uid).unwrap();
    assert_eq!(of(300_102)["user"]["name"], "jit-alex@contoso.onmicrosoft.com");
    assert_eq!(of(300_501)["privileges"][0], "User Administrator");
    assert_eq!(of(300_502)["metadata"]["correlation_uid"], lease.lease_id.to_string());
    assert_eq!(of(300_105)["status"], "Success");
    assert_eq!(of(300_102)["unmapped"]["lease"]["reason"], "ticket 4711");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_kept_for_as_long_as_configured_and_the_rest_is_still_whole() {
    const DAY: i64 = 86_400;
    let lab = Lab::new().await;
    let mut settings = lab.settings();
    settings.audit_keep_days = Some(30);
    let engine = lab.try_engine(settings).await.unwrap();
    engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    let old = engine.audit(&AuditQuery::default()).await.unwrap();
    let earlier = verify(&export(&engine, &AuditQuery::default(), AuditFormat::JsonLines).await);

    lab.advance(20 * DAY);
    engine.sweep().await.unwrap();
    assert_eq!(engine.audit(&AuditQuery::default()).await.unwrap()[..old.len()], old);

    lab.advance(20 * DAY);
    let recent = lab.start(&engine, CONTOSO).await.unwrap();
    engine.sweep().await.unwrap();
    let kept = engine.audit(&AuditQuery::default()).await.unwrap();
    assert!(kept.iter().all(|entry| !old.contains(entry)), "{kept:?}");
    let removal = kept.iter().find(|entry| entry.event == AuditEvent::AuditPruned).unwrap();
    assert_eq!(removal.detail["entries"], old.len());
    let report = engine.verify_audit().await.unwrap();
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(report.chains[0].from, i64::try_from(old.len()).unwrap() + 1);
    assert!(verify(&export(&engine, &AuditQuery::default(), AuditFormat::JsonLines).await).is_whole());
    assert_eq!(engine.audit_continues(&earlier.chains).await.unwrap(), []);

    // Somebody who cuts more off, the same way, is not believed.
    let mut database = database(&lab).await;
    let forgery = "update audit_anchors set (sequence, hash) = (select min(sequence), hash from audit);
        delete from audit where sequence = (select min(sequence) from audit)";
    sqlx::raw_sql(forgery).execute(&mut database).await.unwrap();
    assert!(!engine.verify_audit().await.unwrap().is_whole());
    engine.end_lease(recent.lease_id, &PERSON, QUIET).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_open_lease_is_removed_and_nothing_under_a_wrong_clock() {
    const DAY: i64 = 86_400;
    let lab = Lab::new().await;
    let mut settings = lab.settings();
    settings.audit_keep_days = Some(1);
    let engine = lab.try_engine(settings).await.unwrap();
    engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let requested =
        AuditQuery { lease_id: Some(lease.lease_id), event: Some(AuditEvent::LeaseRequested), ..AuditQuery::default() };
    // Graph refuses every ending: the lease stays open for days.
    lab.change_tenant(CONTOSO, |tenant| {
        for application in &mut tenant.applications {
            application.permissions.clear();
        }
    });
    for _ in 0..2 {
        lab.advance(3 * DAY);
        engine.sweep().await.unwrap();
    }
    assert_eq!(engine.leases(false).await.unwrap().len(), 1);
    assert_eq!(engine.audit(&requested).await.unwrap().len(), 1);
    assert!(engine.verify_audit().await.unwrap().is_whole());

    // Only this machine's clock goes astray.
    let lab = Lab::new().await;
    let mut settings = lab.settings();
    settings.audit_keep_days = Some(1);
    let engine = lab.try_engine(settings).await.unwrap();
    engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    let before = engine.audit(&AuditQuery::default()).await.unwrap();
    lab.clock.pass(1_000 * DAY * 1_000);
    engine.sweep().await.unwrap();
    assert_eq!(engine.audit(&AuditQuery::default()).await.unwrap()[..before.len()], before);
}

pub(crate) async fn database(lab: &Lab) -> sqlx::SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(lab.database());
    let options = options.disable_statement_logging();
    sqlx::SqliteConnection::connect_with(&options).await.unwrap()
}
