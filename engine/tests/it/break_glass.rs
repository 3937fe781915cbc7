//! Break-glass accounts. After everything that is done to one here, its password in the directory is among those that a
//! reveal shows: nobody is ever locked out.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use latchkey_engine::{
    AuditEvent, AuditQuery, Belief, BreakGlassName, BreakGlassSettings, BreakGlassSummary, Engine, EngineSettings,
    Leave, Likelihood, TenantName,
};
use latchkey_protocol::ErrorCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::lab::{Account, CONTOSO, FABRIKAM, Lab, PERSON, QUIET};

const NAME: &str = "breakglass-1";
const HOUR: i64 = 3_600;

fn wanted(name: &str) -> BreakGlassSettings {
    let mut settings = BreakGlassSettings::new(BreakGlassName::parse(name).unwrap());
    settings.reveal = vec!["Level 3".to_owned()];
    settings
}

/// Alex is in Level 3.
fn settings(lab: &Lab, accounts: Vec<BreakGlassSettings>) -> EngineSettings {
    let mut settings = lab.settings();
    settings.technician.groups = vec!["Level 3".to_owned()];
    settings.break_glass = accounts;
    settings
}

async fn engine(lab: &Lab, accounts: Vec<BreakGlassSettings>) -> Engine {
    let engine = lab.try_engine(settings(lab, accounts)).await.unwrap();
    engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    engine
}

/// An account that is ready, and an application that may replace its password.
async fn ready(lab: &Lab) -> Engine {
    let engine = engine(lab, vec![wanted(NAME)]).await;
    engine.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap();
    assert!(engine.grant_app_role(CONTOSO, &PERSON).await.unwrap());
    engine
}

fn account(lab: &Lab) -> Account {
    lab.find_account(CONTOSO, NAME).expect("the account is there")
}

async fn summary(engine: &Engine) -> BreakGlassSummary {
    engine.break_glass_accounts().await.unwrap().into_iter().find(|account| account.name == NAME).unwrap()
}

/// What a reveal shows; the account's password must be among it.
async fn shown(lab: &Lab, engine: &Engine) -> Vec<(String, Likelihood)> {
    let revealed = engine.reveal_break_glass(CONTOSO, NAME, "drill", &PERSON).await.unwrap();
    let all: Vec<_> =
        revealed.passwords.iter().map(|one| (one.value.expose_secret().to_owned(), one.likelihood)).collect();
    let actual = account(lab).password;
    assert!(all.iter().any(|(value, _)| *value == actual), "somebody is locked out");
    assert_eq!(revealed.warning.is_none(), all.len() == 1 && all[0].1 == Likelihood::Proven, "{:?}", revealed.warning);
    all
}

/// All is well: the one password that is shown is the account's.
async fn assert_well(lab: &Lab, engine: &Engine) {
    let all = shown(lab, engine).await;
    assert_eq!(all, [(account(lab).password, Likelihood::Proven)]);
}

async fn events(engine: &Engine) -> Vec<AuditEvent> {
    engine.audit(&AuditQuery::default()).await.unwrap().into_iter().map(|entry| entry.event).collect()
}

fn count(events: &[AuditEvent], event: AuditEvent) -> usize {
    events.iter().filter(|one| **one == event).count()
}

fn fault(lab: &Lab, fault: Value) {
    lab.sim().faults.add(serde_json::from_value(fault).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_with_its_password_first_and_its_roles_last() {
    let lab = Lab::new().await;
    let engine = engine(&lab, vec![wanted(NAME)]).await;
    let listed = summary(&engine).await;
    assert!(!listed.ready && listed.password == Belief::None && listed.next_rotation.is_none());
    lab.forget_exchanges();
    let prepared = engine.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap();
    let writes: Vec<_> = lab.round_trips().into_iter().filter(|one| one.starts_with("POST")).collect();
    assert_eq!(writes, ["POST /v1.0/users", "POST /v1.0/roleManagement/directory/roleAssignments"]);
    assert!(prepared[0].created && !prepared[0].taken_over);
    // It says at once what will not work.
    assert_eq!(prepared[0].problems[0].code, ErrorCode::PermissionMissing);
    assert!(prepared[0].problems[0].next_step.contains("grant-app-role Contoso"), "{:?}", prepared[0].problems);

    let made = account(&lab);
    assert!(made.enabled && made.roles.len() == 1);
    {
        let directory = lab.sim().directory();
        let user = &directory.tenant(&CONTOSO.to_string()).unwrap().users[&made.id];
        let attributes = &user.attributes["onPremisesExtensionAttributes"];
        assert_eq!(attributes["extensionAttribute15"], "latchkey:break-glass:breakglass-1");
        assert_eq!(user.attributes["passwordPolicies"], "DisablePasswordExpiration");
    }
    assert_well(&lab, &engine).await;
    let before = account(&lab);
    // Preparing it again changes nothing.
    let again = engine.prepare_break_glass(CONTOSO, Some("BreakGlass-1"), false, &PERSON, QUIET).await.unwrap();
    assert!(!again[0].created);
    assert_eq!(account(&lab).password, before.password);
    // What makes JIT accounts dormant does not know it.
    assert!(engine.accounts().await.unwrap().iter().all(|one| !one.user_name.starts_with(NAME)));
    lab.advance(900);
    let report = engine.sweep().await.unwrap();
    assert!(report.repaired.is_empty());
    assert!(account(&lab).enabled && account(&lab).roles.len() == 1);
    let events = events(&engine).await;
    assert_eq!(count(&events, AuditEvent::BreakGlassCreating), 1);
    assert_eq!(count(&events, AuditEvent::BreakGlassCreated), 1);
    assert!(engine.verify_audit().await.unwrap().is_whole());
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_that_is_slow_to_arrive_is_waited_for() {
    let lab = Lab::new().await;
    let engine = engine(&lab, vec![wanted(NAME)]).await;
    lab.sim().turn(&json!({ "create_lag_ms": 1500, "create_lag_intermittent": true })).unwrap();
    engine.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap();
    assert_eq!(account(&lab).roles.len(), 1);
    assert_well(&lab, &engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_not_ours_is_taken_over_only_on_the_word() {
    let lab = Lab::new().await;
    let user_name = lab
        .sim()
        .directory()
        .tenant(&CONTOSO.to_string())
        .unwrap()
        .users
        .values()
        .find(|user| user.account_enabled && user.user_principal_name.ends_with("@contoso.onmicrosoft.com"))
        .map(|user| user.user_principal_name.clone())
        .unwrap();
    let name = user_name.split('@').next().unwrap().to_lowercase();
    let engine = engine(&lab, vec![wanted(&name)]).await;
    let before = lab.find_account(CONTOSO, &name).unwrap();
    let refused = engine.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::AccountNotOurs);
    assert!(refused.to_body().next_step.contains("--take-over"), "{refused}");
    assert_eq!(lab.find_account(CONTOSO, &name).unwrap().password, before.password);
    assert!(!engine.break_glass_accounts().await.unwrap()[0].ready);
    assert!(lab.keys.sealed.names().is_empty());

    engine.grant_app_role(CONTOSO, &PERSON).await.unwrap();
    let taken = engine.prepare_break_glass(CONTOSO, None, true, &PERSON, QUIET).await.unwrap();
    assert!(taken[0].taken_over && !taken[0].created && taken[0].problems.is_empty(), "{taken:?}");
    let after = lab.find_account(CONTOSO, &name).unwrap();
    assert_ne!(after.password, before.password);
    let revealed = engine.reveal_break_glass(CONTOSO, &name, "drill", &PERSON).await.unwrap();
    assert_eq!(revealed.passwords[0].value.expose_secret(), after.password);
    assert_eq!(count(&events(&engine).await, AuditEvent::BreakGlassTakingOver), 1);
    // Whoever disconnects the tenant must say what becomes of it.
    let managed = engine.remove_tenant(CONTOSO, true, &PERSON, QUIET).await.unwrap_err();
    assert!(managed.to_body().message.contains("break-glass remove"), "{managed}");
    engine.release_break_glass(CONTOSO, &name, Leave::AsItIs, &PERSON, QUIET).await.unwrap();
    engine.remove_tenant(CONTOSO, true, &PERSON, QUIET).await.unwrap();
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_that_is_taken_over_keeps_its_password_until_the_application_may_replace_it() {
    let lab = Lab::new().await;
    let first = engine(&lab, vec![wanted(NAME)]).await;
    first.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap();
    let before = account(&lab);
    first.close().await;
    // Another machine, which knows nothing of this one.
    std::fs::remove_dir_all(lab.database().parent().unwrap()).unwrap();
    let engine = engine(&lab, vec![BreakGlassSettings { take_over: true, ..wanted(NAME) }]).await;
    let taken = engine.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap();
    assert!(taken[0].taken_over);
    assert!(taken[0].problems.iter().any(|problem| problem.next_step.contains("grant-app-role")), "{taken:?}");
    assert_eq!(account(&lab).password, before.password, "nobody is locked out");
    let none = engine.reveal_break_glass(CONTOSO, NAME, "drill", &PERSON).await.unwrap_err();
    assert_eq!(none.code(), ErrorCode::CredentialGone);
    engine.grant_app_role(CONTOSO, &PERSON).await.unwrap();
    assert_eq!(engine.sweep().await.unwrap().rotations.rotated.len(), 1);
    assert_ne!(account(&lab).password, before.password);
    assert_well(&lab, &engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jit_account_and_a_third_account_are_refused() {
    let lab = Lab::new().await;
    let first = engine(&lab, vec![wanted("one"), wanted("two")]).await;
    let jit = lab.try_engine(settings(&lab, vec![wanted("jit-alex")])).await.unwrap();
    let refused = jit.prepare_break_glass(CONTOSO, None, true, &PERSON, QUIET).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ConfigurationInvalid);
    assert!(!lab.account(CONTOSO).enabled);

    assert_eq!(first.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap().len(), 2);
    let third = vec![wanted("one"), wanted("two"), wanted("three")];
    let three = lab.try_engine(settings(&lab, third)).await.unwrap();
    for refused in [
        three.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap_err(),
        three.break_glass_accounts().await.unwrap_err(),
    ] {
        assert!(refused.to_body().message.contains("two at most"), "{refused}");
    }
    // Nor one by one.
    let other = lab.try_engine(settings(&lab, vec![wanted("three")])).await.unwrap();
    let refused = other.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap_err();
    assert!(refused.to_body().message.contains("two at most"), "{refused}");
    assert!(lab.find_account(CONTOSO, "three@").is_none());
    // One for a single tenant is nobody else's.
    let mut special = wanted("three");
    special.tenant = Some(TenantName("Fabrikam".to_owned()));
    let special = lab.try_engine(settings(&lab, vec![wanted("one"), wanted("two"), special])).await.unwrap();
    assert_eq!(special.break_glass_accounts().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_replaced_every_day_by_the_sweep() {
    let lab = Lab::new().await;
    let engine = ready(&lab).await;
    let before = account(&lab);
    let due = summary(&engine).await.next_rotation.unwrap();
    let now = lab.clock_now();
    assert!(due > now && due <= now + 24 * HOUR * 1000);
    assert!(engine.next_due().await.unwrap().unwrap() <= due, "the schedule wakes for it");
    lab.advance((due - now) / 1000 - 5);
    assert!(engine.sweep().await.unwrap().rotations.rotated.is_empty());
    assert_eq!(account(&lab).password, before.password);
    lab.advance(6);
    let report = engine.sweep().await.unwrap();
    assert_eq!(report.rotations.rotated, ["breakglass-1@contoso.onmicrosoft.com"], "{:?}", report.rotations);
    assert_ne!(account(&lab).password, before.password);
    assert_well(&lab, &engine).await;
    assert_eq!(lab.keys.sealed.names().len(), 1, "the old one is forgotten");
    // Then one interval later, to the second.
    engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await.unwrap();
    assert_eq!(summary(&engine).await.next_rotation, Some(due + 24 * HOUR * 1000));
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_role_the_application_is_refused_and_the_old_password_stays() {
    let lab = Lab::new().await;
    let engine = engine(&lab, vec![wanted(NAME)]).await;
    engine.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap();
    let before = account(&lab);
    lab.advance(25 * HOUR);
    let report = engine.sweep().await.unwrap();
    let problem = report.rotations.problems.first().unwrap();
    assert!(problem.message.contains("Privileged Authentication Administrator"), "{problem:?}");
    assert!(problem.next_step.contains("latchkey break-glass grant-app-role Contoso"), "{problem:?}");
    assert_eq!(summary(&engine).await.problem.as_ref(), Some(problem), "it stays on the list");
    assert_eq!(account(&lab).password, before.password);
    assert_well(&lab, &engine).await;
    assert_eq!(lab.keys.sealed.names().len(), 1, "what was refused is forgotten");
    // It is not tried every second.
    assert!(engine.next_due().await.unwrap().unwrap() >= lab.clock_now() + 30_000);
    lab.forget_exchanges();
    engine.sweep().await.unwrap();
    assert!(!lab.round_trips().iter().any(|one| one.starts_with("PATCH")));

    assert!(engine.grant_app_role(CONTOSO, &PERSON).await.unwrap());
    assert!(!engine.grant_app_role(CONTOSO, &PERSON).await.unwrap(), "it has it already");
    assert_eq!(engine.sweep().await.unwrap().rotations.rotated.len(), 1, "it is tried again at once");
    assert_ne!(account(&lab).password, before.password);
    assert_eq!(summary(&engine).await.problem, None);
    assert!(engine.revoke_app_role(CONTOSO, &PERSON).await.unwrap());
    assert!(!engine.revoke_app_role(CONTOSO, &PERSON).await.unwrap());
    assert!(engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await.is_err());
    assert_well(&lab, &engine).await;
    let events = events(&engine).await;
    assert_eq!(count(&events, AuditEvent::AppRoleGranting), 1);
    assert_eq!(count(&events, AuditEvent::AppRoleRevoking), 1);
    assert_eq!(count(&events, AuditEvent::BreakGlassRotationFailed), 2);
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_without_an_answer_keeps_both_passwords_until_the_next_one() {
    for (kind, new_is_likely) in [("drop_before", false), ("drop_after", true)] {
        let lab = Lab::new().await;
        let engine = ready(&lab).await;
        // Two changes within a second look like one to whoever reads.
        lab.advance(60);
        fault(&lab, json!({ "match": { "method": "PATCH", "path_contains": "/users/" }, "kind": kind, "times": 1 }));
        let before = account(&lab).password;
        let error = engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::PasswordUncertain, "{error}");
        assert_eq!(account(&lab).password != before, new_is_likely, "{kind}");
        assert_eq!(summary(&engine).await.password, Belief::Uncertain);
        let both = shown(&lab, &engine).await;
        assert_eq!(both.len(), 2);
        assert_eq!(both[0], (account(&lab).password, Likelihood::Likely), "{kind}: the evidence is right");
        assert_eq!(both[1].1, Likelihood::Possible);

        lab.advance(61);
        let report = engine.sweep().await.unwrap();
        assert_eq!(report.rotations.rotated.len(), 1, "{:?}", report.rotations);
        // What was not answered may still come; it is kept until it cannot.
        assert_eq!(shown(&lab, &engine).await[0], (account(&lab).password, Likelihood::Likely));
        lab.advance(600);
        engine.sweep().await.unwrap();
        assert_well(&lab, &engine).await;
        assert_eq!(lab.keys.sealed.names().len(), 1);
        lab.assert_conformant().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_effect_after_it_was_given_up_on_is_found_and_replaced() {
    let lab = Lab::new().await;
    let engine = ready(&lab).await;
    lab.advance(60);
    fault(
        &lab,
        json!({ "match": { "method": "PATCH", "path_contains": "/users/" }, "kind": "hold_before",
                "survives_client": true, "times": 1 }),
    );
    // The process dies while its request is on the way.
    let doomed = lab.try_engine(settings(&lab, vec![wanted(NAME)])).await.unwrap();
    let task = tokio::spawn(async move { doomed.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await.map(|_| ()) });
    lab.sim().faults.wait_for_held().await;
    task.abort();
    let _ = task.await;
    // Another one replaces the password.
    lab.advance(60);
    engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await.unwrap();
    let replaced = account(&lab).password;
    // And then the first request arrives.
    lab.advance(10);
    lab.sim().faults.release();
    lab.wait_until(|| account(&lab).password != replaced).await;
    shown(&lab, &engine).await;
    lab.advance(36);
    engine.sweep().await.unwrap();
    shown(&lab, &engine).await;
    assert_ne!(account(&lab).password, replaced);
    lab.advance(601);
    engine.sweep().await.unwrap();
    lab.advance(601);
    engine.sweep().await.unwrap();
    assert_well(&lab, &engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_passes_is_waited_for() {
    for fault_kind in [
        json!({ "kind": "status", "status": 503, "retry_after": 1, "times": 1 }),
        json!({ "kind": "status", "status": 429, "retry_after": 1, "times": 1 }),
    ] {
        for method in ["GET", "PATCH"] {
            let lab = Lab::new().await;
            let engine = ready(&lab).await;
            lab.advance(60);
            let mut wrong = json!({ "match": { "method": method, "path_contains": "/users/" } });
            wrong.as_object_mut().unwrap().extend(fault_kind.as_object().unwrap().clone());
            fault(&lab, wrong);
            // A fault says nothing about the effect: it is asked again only when it can have none any more.
            let outcome = engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await;
            if method == "GET" || fault_kind["status"] == 429 {
                outcome.unwrap();
                assert_well(&lab, &engine).await;
            } else {
                outcome.unwrap_err();
                shown(&lab, &engine).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_behind_proves_nothing() {
    let lab = Lab::new().await;
    let engine = ready(&lab).await;
    lab.advance(60);
    lab.sim().turn(&json!({ "read_lag_ms": 1500 })).unwrap();
    engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await.unwrap();
    assert_well(&lab, &engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_named_groups_see_a_password_for_a_reason_and_it_is_replaced_afterwards() {
    let lab = Lab::new().await;
    let engine = ready(&lab).await;
    let before = account(&lab).password;
    let no_reason = engine.reveal_break_glass(CONTOSO, NAME, "  ", &PERSON).await.unwrap_err();
    assert_eq!(no_reason.code(), ErrorCode::ConfigurationInvalid);
    let mut others = settings(&lab, vec![wanted(NAME)]);
    others.technician.groups = vec!["Level 1".to_owned()];
    let others = lab.try_engine(others).await.unwrap();
    let refused = others.reveal_break_glass(CONTOSO, NAME, "curious", &PERSON).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::RevealNotAllowed);
    assert!(!summary(&others).await.may_reveal);
    let nobody = vec![BreakGlassSettings { reveal: Vec::new(), ..wanted(NAME) }];
    let nobody = lab.try_engine(settings(&lab, nobody)).await.unwrap();
    nobody.reveal_break_glass(CONTOSO, NAME, "curious", &PERSON).await.unwrap_err();
    assert_eq!(count(&events(&engine).await, AuditEvent::BreakGlassRevealed), 0);

    let now = lab.clock_now();
    let revealed = engine.reveal_break_glass(CONTOSO, NAME, "INC-1: MFA outage", &PERSON).await.unwrap();
    assert_eq!(revealed.passwords[0].value.expose_secret(), before);
    assert!((now + HOUR * 1000..now + HOUR * 1000 + 60_000).contains(&revealed.rotated_by));
    let entries = engine.audit(&AuditQuery::default()).await.unwrap();
    let refused = entries.iter().filter(|entry| entry.event == AuditEvent::BreakGlassRevealRefused).count();
    assert_eq!(refused, 2);
    let entry = entries.iter().find(|entry| entry.event == AuditEvent::BreakGlassRevealed).unwrap();
    assert_eq!((entry.technician.as_str(), &entry.detail["reason"]), ("Alex", &json!("INC-1: MFA outage")));

    lab.advance(30 * 60);
    assert!(summary(&engine).await.next_rotation.unwrap() <= revealed.rotated_by);
    lab.advance(31 * 60);
    assert_eq!(engine.sweep().await.unwrap().rotations.rotated.len(), 1);
    assert_ne!(account(&lab).password, before);
    // Once: the next one is the regular one.
    lab.advance(61);
    assert!(engine.sweep().await.unwrap().rotations.rotated.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reveal_needs_nobody_but_the_key_store() {
    let lab = Lab::new().await;
    let engine = ready(&lab).await;
    fault(&lab, json!({ "kind": "drop_before" }));
    let offline = lab.try_engine(settings(&lab, vec![wanted(NAME)])).await.unwrap();
    assert_well(&lab, &offline).await;
    lab.keys.sealed.lock_after(0);
    let locked = engine.reveal_break_glass(CONTOSO, NAME, "drill", &PERSON).await.unwrap_err();
    assert_eq!(locked.code(), ErrorCode::KeyStoreLocked);
    lab.keys.sealed.unlock();
    // A key store that was emptied is said to be empty, and a rotation helps.
    lab.keys.sealed.forget_everything();
    let lost = engine.reveal_break_glass(CONTOSO, NAME, "drill", &PERSON).await.unwrap_err();
    assert_eq!(lost.code(), ErrorCode::CredentialGone);
    lab.sim().faults.replace(Vec::new());
    engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await.unwrap();
    assert_well(&lab, &engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_store_that_locks_at_any_point_locks_nobody_out() {
    let lab = Lab::new().await;
    let engine = ready(&lab).await;
    let mut failures = 0;
    for calls in 0.. {
        lab.advance(700);
        lab.keys.sealed.lock_after(calls);
        let outcome = engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await;
        let untouched = lab.keys.sealed.calls_left.load(Ordering::SeqCst) > 0;
        lab.keys.sealed.unlock();
        shown(&lab, &engine).await;
        failures += usize::from(outcome.is_err());
        if outcome.is_ok() && untouched {
            break;
        }
    }
    assert!(failures >= 2, "writing and reading back can fail");
    assert_well(&lab, &engine).await;
    assert_eq!(lab.keys.sealed.names().len(), 1, "nothing is left behind");

    // The same for making one.
    for calls in 0.. {
        let lab = Lab::new().await;
        let engine = self::engine(&lab, vec![wanted(NAME)]).await;
        lab.keys.sealed.lock_after(calls);
        let outcome = engine.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await;
        lab.keys.sealed.unlock();
        if outcome.is_ok() {
            break;
        }
        engine.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap();
        assert_well(&lab, &engine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_rotate_at_once_do_no_harm() {
    let lab = Lab::new().await;
    let one = ready(&lab).await;
    let other = lab.try_engine(settings(&lab, vec![wanted(NAME)])).await.unwrap();
    for _ in 0..5 {
        lab.advance(25 * HOUR);
        let before = count(&events(&one).await, AuditEvent::BreakGlassRotated);
        let (first, second) = tokio::join!(one.sweep(), other.sweep());
        let rotated = first.unwrap().rotations.rotated.len() + second.unwrap().rotations.rotated.len();
        assert_eq!(rotated, 1, "one of them");
        assert_eq!(count(&events(&one).await, AuditEvent::BreakGlassRotated), before + 1);
        assert_well(&lab, &one).await;
    }
    // Two people wait for each other.
    let (first, second) = tokio::join!(
        one.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET),
        other.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET)
    );
    first.unwrap();
    second.unwrap();
    assert_well(&lab, &one).await;
    assert_eq!(lab.keys.sealed.names().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reveal_during_a_rotation_shows_what_will_do() {
    let lab = Lab::new().await;
    let engine = ready(&lab).await;
    lab.advance(60);
    for kind in ["hold_before", "hold_after"] {
        fault(&lab, json!({ "match": { "method": "PATCH", "path_contains": "/users/" }, "kind": kind, "times": 1 }));
        let rotating = engine.clone();
        let task = tokio::spawn(async move { rotating.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await });
        lab.sim().faults.wait_for_held().await;
        assert_eq!(shown(&lab, &engine).await.len(), 2, "{kind}");
        lab.sim().faults.release();
        task.await.unwrap().unwrap();
        // That reveal has seen the new one, too: it is replaced again an hour later.
        let due = summary(&engine).await.next_rotation.unwrap();
        assert!(due <= lab.clock_now() + HOUR * 1000, "{kind}");
        lab.advance(60);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_somebody_else_changed_is_reported() {
    let lab = Lab::new().await;
    let engine = ready(&lab).await;
    lab.advance(7200);
    {
        let id = account(&lab).id;
        let now = lab.sim().clock.now();
        lab.change_tenant(CONTOSO, |tenant| {
            let user = tenant.users.get_mut(&id).unwrap();
            user.password = Some("Somebody-Elses-1".to_owned());
            user.password_set = now;
        });
    }
    fault(&lab, json!({ "match": { "method": "PATCH" }, "kind": "status", "status": 403 }));
    engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await.unwrap_err();
    let listed = summary(&engine).await;
    assert_eq!(listed.password, Belief::ChangedElsewhere);
    let revealed = engine.reveal_break_glass(CONTOSO, NAME, "drill", &PERSON).await.unwrap();
    assert!(revealed.warning.unwrap().contains("none of ours"));
    assert!(count(&events(&engine).await, AuditEvent::ExternallyModified) >= 1);
    lab.sim().faults.replace(Vec::new());
    engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await.unwrap();
    assert_well(&lab, &engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_deleted_is_reported_and_made_again_when_asked() {
    let lab = Lab::new().await;
    let engine = ready(&lab).await;
    lab.advance(600);
    let id = account(&lab).id;
    lab.change_tenant(CONTOSO, |tenant| {
        tenant.users.remove(&id);
        tenant.assignments.retain(|assignment| assignment.principal != id);
    });
    let gone = engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await.unwrap_err();
    assert!(gone.to_body().message.contains("not in the directory any more"), "{gone}");
    assert!(summary(&engine).await.problem.is_some());
    let prepared = engine.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap();
    assert!(prepared[0].created);
    assert_eq!(account(&lab).roles.len(), 1);
    assert_well(&lab, &engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_left_is_left_as_was_said() {
    let lab = Lab::new().await;
    for leave in [Leave::AsItIs, Leave::Disabled, Leave::Deleted] {
        let engine = engine(&lab, vec![BreakGlassSettings { take_over: true, ..wanted(NAME) }]).await;
        engine.prepare_break_glass(CONTOSO, None, false, &PERSON, QUIET).await.unwrap();
        engine.release_break_glass(CONTOSO, NAME, leave, &PERSON, QUIET).await.unwrap();
        let left = lab.find_account(CONTOSO, NAME);
        match leave {
            Leave::AsItIs => assert!(left.as_ref().is_some_and(|left| left.enabled && left.roles.len() == 1)),
            Leave::Disabled => assert!(left.as_ref().is_some_and(|left| !left.enabled && left.roles.is_empty())),
            Leave::Deleted => assert!(left.is_none()),
        }
        assert!(lab.keys.sealed.names().is_empty(), "{leave:?}");
        assert!(!summary(&engine).await.ready);
        let unknown = engine.reveal_break_glass(CONTOSO, NAME, "drill", &PERSON).await.unwrap_err();
        assert_eq!(unknown.code(), ErrorCode::ConfigurationInvalid);
        if let Some(left) = left {
            // The next round begins with nothing.
            lab.change_tenant(CONTOSO, |tenant| {
                tenant.users.remove(&left.id);
                tenant.assignments.retain(|assignment| assignment.principal != left.id);
            });
        }
    }
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_is_ever_written_down() {
    let lab = Lab::new().await;
    let engine = ready(&lab).await;
    let mut secrets = BTreeSet::from([account(&lab).password]);
    for kind in ["drop_before", "drop_after"] {
        lab.advance(700);
        fault(&lab, json!({ "match": { "method": "PATCH", "path_contains": "/users/" }, "kind": kind, "times": 1 }));
        engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await.unwrap_err();
        secrets.extend(shown(&lab, &engine).await.into_iter().map(|(value, _)| value));
    }
    lab.advance(700);
    engine.rotate_break_glass(CONTOSO, NAME, &PERSON, QUIET).await.unwrap();
    secrets.insert(account(&lab).password);
    assert!(secrets.len() >= 4);
    assert_eq!(lab.database_contains(&secrets), Vec::<String>::new());
    let audit = serde_json::to_string(&engine.audit(&AuditQuery::default()).await.unwrap()).unwrap();
    let listed = serde_json::to_string(&engine.break_glass_accounts().await.unwrap()).unwrap();
    let revealed = format!("{:?}", engine.reveal_break_glass(CONTOSO, NAME, "drill", &PERSON).await.unwrap());
    for secret in &secrets {
        assert!(!audit.contains(secret) && !listed.contains(secret) && !revealed.contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_in_trouble_does_not_hold_up_the_others() {
    let lab = Lab::new().await;
    let engine = ready(&lab).await;
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    engine.prepare_break_glass(FABRIKAM, None, false, &PERSON, QUIET).await.unwrap();
    engine.grant_app_role(FABRIKAM, &PERSON).await.unwrap();
    lab.advance(25 * HOUR);
    fault(
        &lab,
        json!({ "match": { "tenant": CONTOSO.to_string(), "path_contains": "/users/" }, "kind": "status", "status": 403 }),
    );
    let report = engine.rotate_due().await.unwrap();
    assert_eq!(report.rotated, ["breakglass-1@fabrikam.onmicrosoft.com"]);
    assert_eq!(report.problems.len(), 1);
    assert_eq!(report.problems[0].tenant.as_deref(), Some("Contoso"));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_lockdown_nobody_sees_a_password_and_it_is_replaced_all_the_same() {
    let lab = Lab::new().await;
    let engine = ready(&lab).await;
    engine.lock_down("INC-7: laptop stolen", &PERSON).await.unwrap();
    let refused = engine.reveal_break_glass(CONTOSO, NAME, "drill", &PERSON).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::LockedDown);
    let before = account(&lab).password;
    lab.advance(25 * HOUR);
    assert_eq!(engine.sweep().await.unwrap().rotations.rotated.len(), 1);
    assert_ne!(account(&lab).password, before);
    engine.lift_lockdown("INC-7 closed", &PERSON).await.unwrap();
    assert_well(&lab, &engine).await;
}
