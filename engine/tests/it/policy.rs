//! Who may get what: accounts of several technicians, profiles, limits, shared accounts, leaving.

use std::collections::BTreeSet;

use latchkey_engine::{
    AccountKind, AccountSummary, AuditEvent, AuditQuery, Caller, Engine, EngineSettings, Entitlement, Failure,
    LoginMode, PasswordLength, Policy, Rules, StartLease, Technician, TenantName, TenantRules, TicketPattern,
    Unmanageable,
};
use latchkey_protocol::{CredentialKind, ErrorCode, LeaseState, LeaseSummary};
use serde_json::json;
use uuid::Uuid;

use crate::lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET, entitlement};

fn technician(local_part: &str, groups: &[&str]) -> Technician {
    Technician {
        name: format!("{local_part}@msp.example"),
        local_part: local_part.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

/// The settings of another technician's machine, with a store of its own.
fn machine_of(lab: &Lab, local_part: &str) -> EngineSettings {
    let mut settings = lab.settings_of(local_part);
    settings.database_path = lab.folder.path().join(local_part).join("latchkey.db");
    settings
}

async fn account_of(engine: &Engine, tenant_id: Uuid, local_part: &str) -> AccountSummary {
    let accounts = engine.accounts().await.unwrap();
    let found = accounts.into_iter().find(|account| {
        account.tenant_id == tenant_id && account.owner.local_part == local_part && account.object_id.is_some()
    });
    found.expect("the store knows the account")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_prepared_for_somebody_else_is_theirs_to_decide_about() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let kim = technician("kim", &[]);
    let prepared = engine.prepare_account_for(CONTOSO, &kim, &PERSON, QUIET).await.unwrap();
    assert!(prepared.created);
    assert_eq!(prepared.user_name, "jit-kim@contoso.onmicrosoft.com");
    assert!(!lab.find_account(CONTOSO, "jit-kim@").unwrap().enabled);
    assert!(!account_of(&engine, CONTOSO, "kim").await.here);
    assert!(account_of(&engine, CONTOSO, "alex").await.here);

    // On Kim's machine the account is found by its mark.
    let hers = lab.try_engine(machine_of(&lab, "kim")).await.unwrap();
    let (_, found) = hers.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    assert_eq!((found.created, found.object_id), (false, prepared.object_id));
    let lease = lab.start(&hers, CONTOSO).await.unwrap();
    assert_eq!(lease.user_name, prepared.user_name);

    // Neither a scan here nor preparing again takes from Kim what she works with.
    lab.advance(1_000);
    assert!(engine.sweep().await.unwrap().repaired.is_empty());
    let again = engine.prepare_account_for(CONTOSO, &kim, &PERSON, QUIET).await.unwrap();
    assert_eq!((again.created, again.object_id), (false, prepared.object_id));
    assert!(lab.find_account(CONTOSO, "jit-kim@").unwrap().enabled);
    hers.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_has_no_account_left_even_in_the_middle_of_a_lease_elsewhere() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let kim = technician("kim", &[]);
    engine.prepare_account_for(CONTOSO, &kim, &PERSON, QUIET).await.unwrap();
    let hers = lab.try_engine(machine_of(&lab, "kim")).await.unwrap();
    hers.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    lab.start(&hers, CONTOSO).await.unwrap();

    let account = account_of(&engine, CONTOSO, "kim").await;
    engine.remove_account(account.account_id, &PERSON, QUIET).await.unwrap();
    assert!(lab.find_account(CONTOSO, "jit-kim@").is_none());
    assert!(engine.accounts().await.unwrap().iter().all(|account| account.owner.local_part == "alex"));
    lab.assert_conformant().await;

    // Removed is not forbidden: whoever comes back gets a new one.
    let prepared = engine.prepare_account_for(CONTOSO, &kim, &PERSON, QUIET).await.unwrap();
    assert!(prepared.created);
    let account = account_of(&engine, CONTOSO, "kim").await;
    assert_eq!((account.owner.kind, account.open_leases), (AccountKind::Individual, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_domain_leaves_nothing_of_the_old_account_behind() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let mut wish = lab.wish(CONTOSO);
    wish.domain = Some("contoso.com".to_owned());
    let (summary, _) = engine.add_tenant(wish, &PERSON, QUIET).await.unwrap();
    assert_eq!(summary.user_name, "jit-alex@contoso.com");
    let old = || lab.find_account(CONTOSO, "jit-alex@contoso.onmicrosoft.com").unwrap();
    assert!(old().enabled, "its lease goes on");

    // The old lease ends at its time, and the old account is still watched.
    lab.advance(3_700);
    assert_eq!(engine.sweep().await.unwrap().ended[0].lease_id, lease.lease_id);
    assert!(!old().enabled && old().roles.is_empty());
    lab.advance(10_000);
    let id = old().id;
    lab.change_tenant(CONTOSO, |tenant| tenant.users.get_mut(&id).unwrap().account_enabled = true);
    assert_eq!(engine.sweep().await.unwrap().repaired, ["jit-alex@contoso.onmicrosoft.com"]);

    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!((lease.state, lease.user_name.as_str()), (LeaseState::Active, "jit-alex@contoso.com"));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    engine.remove_tenant(CONTOSO, true, &PERSON, QUIET).await.unwrap();
    assert!(lab.find_account(CONTOSO, "jit-alex@").is_none());
    lab.assert_nothing_is_left(&engine).await;
}

/// Helpdesk and Exchange for everybody, everything for Level 2.
fn entitlements() -> Vec<Entitlement> {
    vec![
        entitlement("Level 2", "Everything", &["Global Administrator"], &[]),
        entitlement("All admins", "Helpdesk", &["helpdesk administrator"], &[]),
        entitlement(
            "all ADMINS",
            "Exchange",
            &["Exchange Administrator", "Helpdesk Administrator"],
            &["project alpha"],
        ),
    ]
}

async fn with_policy(lab: &Lab, policy: Policy) -> Engine {
    let mut settings = lab.settings();
    settings.policy = policy;
    lab.try_engine(settings).await.unwrap()
}

/// An engine with this policy and the tenant connected.
async fn connected(lab: &Lab, tenant_id: Uuid, policy: Policy) -> Engine {
    let engine = with_policy(lab, policy).await;
    engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    engine
}

fn with_profile(profile: &str) -> StartLease {
    StartLease { profile: Some(profile.to_owned()), ..StartLease::new(CONTOSO, PERSON) }
}

async fn started(engine: &Engine, start: StartLease) -> LeaseSummary {
    engine.start_lease(start, QUIET).await.unwrap()
}

async fn refused(engine: &Engine, start: StartLease) -> Failure {
    engine.start_lease(start, QUIET).await.unwrap_err().failure().clone()
}

/// Display names of the roles that the account holds in the directory.
fn roles_of(lab: &Lab, beginning: &str) -> BTreeSet<String> {
    let held = lab.find_account(CONTOSO, beginning).unwrap().roles;
    held.iter().map(|id| entra_sim::directory::roles::by_id(id).unwrap().name.to_owned()).collect()
}

fn names(roles: &[&str]) -> BTreeSet<String> {
    roles.iter().map(|role| (*role).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_powerful_profile_is_taken_unless_another_is_asked_for() {
    let lab = Lab::new().await;
    let engine = connected(&lab, CONTOSO, Policy { entitlements: entitlements(), ..Policy::default() }).await;
    let summary = engine.tenants().await.unwrap().remove(0);
    let profiles: Vec<_> = summary.profiles.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(profiles, ["Helpdesk", "Exchange"]);

    let lease = started(&engine, StartLease::new(CONTOSO, PERSON)).await;
    assert_eq!(lease.profile.as_deref(), Some("Helpdesk"));
    assert_eq!(lease.roles, ["Helpdesk Administrator"]);
    assert_eq!(roles_of(&lab, "jit-alex@"), names(&["Helpdesk Administrator"]));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();

    let lease = started(&engine, with_profile("EXCHANGE")).await;
    assert_eq!(lab.account(CONTOSO).groups, ["Project Alpha"]);
    assert_eq!(lease.profile.as_deref(), Some("Exchange"));
    assert_eq!(roles_of(&lab, "jit-alex@"), names(&["Exchange Administrator", "Helpdesk Administrator"]));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();

    let error = engine.start_lease(with_profile("Everything"), QUIET).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ProfileUnknown);
    assert_eq!(error.to_body().next_step, "Choose Helpdesk, or Exchange.");
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_start_with_a_profile_is_one_round_trip() {
    let lab = Lab::new().await;
    let engine = connected(&lab, CONTOSO, Policy { entitlements: entitlements(), ..Policy::default() }).await;
    engine.warm(CONTOSO).await.unwrap();
    lab.forget_exchanges();
    let lease = started(&engine, with_profile("Exchange")).await;
    assert_eq!(lab.round_trips(), ["POST /v1.0/$batch"]);
    lab.forget_exchanges();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert_eq!(lab.round_trips(), ["POST /v1.0/$batch", "POST /v1.0/$batch"]);

    // Names that are old are asked for while the page is warmed, and not when somebody waits.
    lab.advance(100_000);
    lab.forget_exchanges();
    engine.warm(CONTOSO).await.unwrap();
    assert!(lab.round_trips().iter().any(|call| call.contains("roleDefinitions")), "{:?}", lab.round_trips());
    lab.forget_exchanges();
    engine.warm(CONTOSO).await.unwrap();
    assert_eq!(lab.round_trips(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_nothing_entitles_starts_nothing_through_anything() {
    let lab = Lab::new().await;
    let only_others = vec![entitlement("Level 2", "Everything", &["Global Administrator"], &[])];
    let engine = connected(&lab, CONTOSO, Policy { entitlements: only_others, ..Policy::default() }).await;
    lab.forget_exchanges();
    for caller in [PERSON, Caller::Extension("an extension".to_owned())] {
        let error = engine.start_lease(StartLease::new(CONTOSO, caller), QUIET).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotEntitled);
    }
    assert_eq!(lab.round_trips(), Vec::<String>::new());
    assert!(engine.leases(true).await.unwrap().is_empty());
    assert!(engine.tenants().await.unwrap()[0].profiles.is_empty());
    let log = engine.audit(&AuditQuery::default()).await.unwrap();
    assert_eq!(log.last().map(|entry| entry.event), Some(AuditEvent::LeaseFailed));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_is_the_engines_and_not_a_forms() {
    let lab = Lab::new().await;
    let policy = Policy {
        everywhere: Rules {
            minutes: Some(60),
            maximum_minutes: Some(120),
            leases_at_once: Some(1),
            reason_required: Some(true),
            ticket: Some(TicketPattern::parse("INC-[0-9]+").unwrap()),
            ..Rules::default()
        },
        tenants: vec![TenantRules {
            tenant: TenantName("fabrikam".to_owned()),
            rules: Rules { maximum_minutes: Some(30), ..Rules::default() },
        }],
        ..Policy::default()
    };
    let engine = connected(&lab, CONTOSO, policy).await;
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    let good = |tenant_id| StartLease {
        reason: Some("mailbox rights".to_owned()),
        ticket: Some("INC-1042".to_owned()),
        ..StartLease::new(tenant_id, Caller::Extension("an extension".to_owned()))
    };
    assert_eq!(refused(&engine, StartLease { reason: None, ..good(CONTOSO) }).await, Failure::ReasonMissing);
    let pattern = "INC-[0-9]+".to_owned();
    assert_eq!(
        refused(&engine, StartLease { ticket: None, ..good(CONTOSO) }).await,
        Failure::TicketMissing { pattern: pattern.clone() }
    );
    let unfit = StartLease { ticket: Some("1042".to_owned()), ..good(CONTOSO) };
    let error = engine.start_lease(unfit, QUIET).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::TicketNotFitting);
    assert_eq!(error.to_body().next_step, "Give a ticket number that fits INC-[0-9]+.");
    assert_eq!(
        refused(&engine, StartLease { minutes: Some(31), ..good(FABRIKAM) }).await,
        Failure::DurationNotAllowed { asked: 31, maximum: 30 }
    );
    let summaries = engine.tenants().await.unwrap();
    let fabrikam = summaries.iter().find(|tenant| tenant.tenant_id == FABRIKAM).unwrap();
    assert_eq!((fabrikam.minutes, fabrikam.maximum_minutes, fabrikam.reason_required), (30, 30, true));
    assert_eq!(fabrikam.ticket_pattern.as_deref(), Some(pattern.as_str()));

    let lease = started(&engine, good(CONTOSO)).await;
    assert_eq!(lease.until - lease.from, 60 * 60_000);
    assert_eq!(lease.ticket.as_deref(), Some("INC-1042"));
    assert_eq!(refused(&engine, good(FABRIKAM)).await, Failure::TooManyLeases { limit: 1 });
    // The same lease again is not one more, and its reason is known.
    let again = started(&engine, StartLease::new(CONTOSO, PERSON)).await;
    assert_eq!(again.lease_id, lease.lease_id);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    let lease = started(&engine, good(FABRIKAM)).await;
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_leases_than_allowed_begin_at_once() {
    let lab = Lab::new().await;
    let policy = Policy { everywhere: Rules { leases_at_once: Some(1), ..Rules::default() }, ..Policy::default() };
    let engine = connected(&lab, CONTOSO, policy.clone()).await;
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    let other = with_policy(&lab, policy).await;
    let (one, two) = tokio::join!(
        engine.start_lease(StartLease::new(CONTOSO, PERSON), QUIET),
        other.start_lease(StartLease::new(FABRIKAM, PERSON), QUIET),
    );
    let refusals: Vec<_> = [&one, &two].into_iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(refusals.len(), 1, "{one:?} {two:?}");
    assert_eq!(refusals[0].code(), ErrorCode::TooManyLeases);
    for lease in [one, two].into_iter().flatten() {
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    }
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_profiles_on_one_account_are_counted_and_signed_in_once() {
    let lab = Lab::new().await;
    let engine = connected(&lab, CONTOSO, Policy { entitlements: entitlements(), ..Policy::default() }).await;
    let helpdesk = started(&engine, with_profile("Helpdesk")).await;
    let pass = lab.account(CONTOSO).pass;
    lab.forget_exchanges();
    let shorter = StartLease { minutes: Some(30), ..with_profile("Exchange") };
    let exchange = started(&engine, shorter).await;
    // One round trip, and the pass that the technician has signed in with is still the one.
    assert_eq!(lab.round_trips(), ["POST /v1.0/$batch"]);
    assert_eq!(lab.account(CONTOSO).pass, pass);
    assert_ne!(exchange.lease_id, helpdesk.lease_id);
    let held = engine.reveal_credential(exchange.lease_id, &PERSON).await.unwrap();
    assert_eq!(Some(held.value), pass);
    assert_eq!(roles_of(&lab, "jit-alex@"), names(&["Exchange Administrator", "Helpdesk Administrator"]));

    // The first to end takes only what no other needs.
    lab.advance(31 * 60);
    assert_eq!(engine.sweep().await.unwrap().ended[0].lease_id, exchange.lease_id);
    assert_eq!(roles_of(&lab, "jit-alex@"), names(&["Helpdesk Administrator"]));
    assert!(lab.account(CONTOSO).groups.is_empty());
    assert!(lab.account(CONTOSO).enabled);
    let during = lab.account(CONTOSO);
    engine.end_lease(helpdesk.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_dormant(CONTOSO, &during);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_would_end_too_early_is_replaced_for_both() {
    let lab = Lab::new().await;
    let engine = connected(&lab, CONTOSO, Policy { entitlements: entitlements(), ..Policy::default() }).await;
    let short = started(&engine, StartLease { minutes: Some(60), ..with_profile("Helpdesk") }).await;
    let first = lab.account(CONTOSO).pass;
    let long = started(&engine, StartLease { minutes: Some(240), ..with_profile("Exchange") }).await;
    let second = lab.account(CONTOSO).pass;
    assert_ne!(second, first);
    for lease in [&short, &long] {
        let held = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap();
        assert_eq!(Some(held.value), second);
    }
    assert_eq!(roles_of(&lab, "jit-alex@"), names(&["Exchange Administrator", "Helpdesk Administrator"]));
    for lease in [&short, &long] {
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    }
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_goes_on_within_the_maximum_from_its_beginning() {
    let lab = Lab::new().await;
    let policy = Policy {
        everywhere: Rules {
            minutes: Some(60),
            maximum_minutes: Some(120),
            reason_required: Some(true),
            ..Rules::default()
        },
        ..Policy::default()
    };
    let engine = connected(&lab, CONTOSO, policy).await;
    let start = StartLease { reason: Some("why".to_owned()), ..StartLease::new(CONTOSO, PERSON) };
    let lease = started(&engine, start.clone()).await;
    assert_eq!(lease.credential, Some(CredentialKind::TemporaryAccessPass));
    let extend =
        async |minutes, reason: Option<&str>| engine.extend_lease(lease.lease_id, minutes, reason, &PERSON).await;
    assert_eq!(extend(30, None).await.unwrap_err().code(), ErrorCode::ReasonMissing);
    let error = extend(61, Some("not done")).await.unwrap_err();
    assert_eq!(*error.failure(), Failure::ExtensionNotAllowed { asked: 61, left: 60, maximum: 120 });
    lab.advance(50 * 60);
    lab.forget_exchanges();
    let extended = extend(30, Some("not done")).await.unwrap();
    assert_eq!(extended.until, lease.until + 30 * 60_000);
    assert_eq!(lab.round_trips(), Vec::<String>::new());
    // The pass is as short as it was, and that is said.
    let pass_ends = extended.credential_until.expect("the pass ends before the lease");
    assert!(pass_ends <= lease.until + 60_000 && pass_ends < extended.until);
    assert_eq!(extend(31, Some("not done")).await.unwrap_err().code(), ErrorCode::DurationNotAllowed);

    // Past the first end the lease goes on, its pass does not; whoever asks again gets a new one.
    lab.advance(15 * 60);
    assert!(engine.sweep().await.unwrap().ended.is_empty());
    assert!(lab.account(CONTOSO).enabled);
    let old = lab.account(CONTOSO).pass;
    assert_eq!(engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap_err().code(), ErrorCode::CredentialGone);
    let renewed = started(&engine, start).await;
    assert_eq!((renewed.lease_id, renewed.until), (lease.lease_id, extended.until));
    assert_ne!(lab.account(CONTOSO).pass, old);
    assert!(engine.reveal_credential(lease.lease_id, &PERSON).await.is_ok());

    lab.advance(30 * 60);
    assert_eq!(engine.sweep().await.unwrap().ended[0].lease_id, lease.lease_id);
    assert_eq!(extend(1, Some("not done")).await.unwrap_err().code(), ErrorCode::LeaseOver);
    let log = engine.audit(&AuditQuery { lease_id: Some(lease.lease_id), ..AuditQuery::default() }).await.unwrap();
    let extensions: Vec<_> = log.iter().filter(|entry| entry.event == AuditEvent::LeaseExtended).collect();
    assert_eq!(extensions.len(), 1);
    assert_eq!(extensions[0].detail["reason"], json!("not done"));
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_account_stays_until_the_last_lease_and_each_use_has_its_person() {
    let lab = Lab::new().await;
    let policy = Policy {
        everywhere: Rules { login: Some(LoginMode::Shared { local_part: "helpdesk".to_owned() }), ..Rules::default() },
        technicians: vec![technician("alex", &[]), technician("kim", &[])],
        ..Policy::default()
    };
    let engine = connected(&lab, CONTOSO, policy).await;
    assert!(lab.find_account(CONTOSO, "jit-alex@").is_none());
    let wanted = engine.accounts_wanted().await.unwrap();
    assert_eq!(wanted.len(), 1, "one for everybody: {wanted:?}");
    assert_eq!(wanted[0].owner.kind, AccountKind::Shared);

    let by = |who: &str| StartLease { technician: Some(who.to_owned()), ..StartLease::new(CONTOSO, PERSON) };
    let alex = started(&engine, by("alex@msp.example")).await;
    assert_eq!(alex.user_name, "jit-helpdesk@contoso.onmicrosoft.com");
    let kim = started(&engine, by("kim")).await;
    assert_ne!(alex.lease_id, kim.lease_id);
    assert_eq!(kim.technician.as_deref(), Some("kim@msp.example"));
    engine.reveal_credential(kim.lease_id, &PERSON).await.unwrap();
    let error = engine.start_lease(by("nobody"), QUIET).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotEntitled);

    let account = || lab.find_account(CONTOSO, "jit-helpdesk@").unwrap();
    engine.end_lease(alex.lease_id, &PERSON, QUIET).await.unwrap();
    assert!(account().enabled && account().roles.len() == 1, "Kim works on");
    assert!(engine.reveal_credential(kim.lease_id, &PERSON).await.is_ok());
    lab.advance(5 * 3600);
    assert_eq!(engine.sweep().await.unwrap().ended[0].lease_id, kim.lease_id);
    assert!(!account().enabled && account().roles.is_empty());

    let log = engine.audit(&AuditQuery { lease_id: Some(kim.lease_id), ..AuditQuery::default() }).await.unwrap();
    let events: BTreeSet<_> = log.iter().map(|entry| format!("{:?}", entry.event)).collect();
    for event in ["LeaseRequested", "LeaseGranted", "CredentialRevealed", "EndRequested", "EndVerified"] {
        assert!(events.contains(event), "{event}");
    }
    assert!(log.iter().all(|entry| entry.technician == "kim@msp.example"), "{log:?}");
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_loses_every_lease_at_the_next_sweep_and_starts_none() {
    let lab = Lab::new().await;
    let mut policy = Policy {
        entitlements: entitlements(),
        technicians: vec![technician("alex", &["Level 2"]), technician("kim", &[])],
        ..Policy::default()
    };
    let engine = connected(&lab, CONTOSO, policy.clone()).await;
    let everything = started(&engine, with_profile("Everything")).await;
    let helpdesk = started(&engine, with_profile("Helpdesk")).await;
    let kims =
        started(&engine, StartLease { technician: Some("kim".to_owned()), ..StartLease::new(CONTOSO, PERSON) }).await;
    assert!(engine.sweep().await.unwrap().ended.is_empty());

    // Out of the group: that profile goes, the other stays.
    policy.technicians[0].groups.clear();
    let engine = engine.with_policy(policy.clone(), Vec::new());
    assert_eq!(engine.sweep().await.unwrap().ended[0].lease_id, everything.lease_id);
    assert_eq!(roles_of(&lab, "jit-alex@"), names(&["Helpdesk Administrator"]));
    assert_eq!(refused(&engine, with_profile("Everything")).await.code(), ErrorCode::ProfileUnknown);

    // Off the list: everything goes, and Kim works on.
    policy.technicians.remove(0);
    let engine = engine.with_policy(policy, Vec::new());
    let ended = engine.sweep().await.unwrap().ended;
    assert_eq!(ended.iter().map(|lease| lease.lease_id).collect::<Vec<_>>(), [helpdesk.lease_id]);
    assert!(!lab.account(CONTOSO).enabled && lab.account(CONTOSO).roles.is_empty());
    assert_eq!(refused(&engine, with_profile("Helpdesk")).await.code(), ErrorCode::NotEntitled);
    assert_eq!(
        engine.extend_lease(helpdesk.lease_id, 10, None, &PERSON).await.unwrap_err().code(),
        ErrorCode::LeaseOver
    );
    assert!(lab.find_account(CONTOSO, "jit-kim@").unwrap().enabled);

    // A list on which nobody is left is still a list.
    let nobody = Policy { entitlements: entitlements(), only_listed: true, ..Policy::default() };
    let engine = engine.with_policy(nobody, Vec::new());
    assert_eq!(engine.sweep().await.unwrap().ended[0].lease_id, kims.lease_id);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_mean_nothing_are_refused_with_the_nearest() {
    let lab = Lab::new().await;
    let policy = Policy {
        entitlements: vec![
            entitlement("All admins", "Typo", &["Helpdesk Admin"], &[]),
            entitlement("All admins", "Group", &["Reports Reader"], &["Project Alfa"]),
            entitlement("All admins", "Fine", &["User Administrator"], &[]),
        ],
        ..Policy::default()
    };
    let engine = connected(&lab, CONTOSO, policy).await;
    let error = engine.start_lease(with_profile("Typo"), QUIET).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::RoleUnknown);
    assert!(error.to_body().next_step.contains("Helpdesk Administrator"), "{:?}", error.to_body());
    let error = engine.start_lease(with_profile("Group"), QUIET).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::GroupUnknown);
    assert!(error.to_body().next_step.contains("Project Alpha"), "{:?}", error.to_body());
    // What is wrong with one profile does not keep another from working.
    let lease = started(&engine, with_profile("Fine")).await;
    let health = engine.check_tenant(CONTOSO).await.unwrap();
    let codes: BTreeSet<_> = health.problems.iter().map(|problem| problem.code.name()).collect();
    assert_eq!(codes, BTreeSet::from(["role_unknown", "group_unknown"]));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_nobody_can_change_are_refused_with_the_reason() {
    let lab = Lab::new().await;
    type Change = fn(&mut entra_sim::directory::Group);
    let changes: [(&str, Change, Unmanageable); 4] = [
        ("A", |group| group.types.push("DynamicMembership".to_owned()), Unmanageable::Dynamic),
        ("B", |group| group.synchronised = true, Unmanageable::Synchronised),
        ("C", |group| group.mail_enabled = true, Unmanageable::MailEnabled),
        (
            "D",
            |group| {
                group.mail_enabled = true;
                group.security_enabled = false;
            },
            Unmanageable::Distribution,
        ),
    ];
    lab.change_tenant(CONTOSO, |tenant| {
        let pattern = tenant.groups.values().find(|group| group.display_name == "Project Alpha").unwrap().clone();
        for (name, change, _) in changes {
            let mut group = pattern.clone();
            group.id = Uuid::new_v4().to_string();
            group.display_name = format!("Group {name}");
            change(&mut group);
            tenant.groups.insert(group.id.clone(), group);
        }
    });
    let entitlements = changes
        .iter()
        .map(|(name, ..)| entitlement("All admins", name, &["Reports Reader"], &[&format!("group {name}")]))
        .collect();
    let engine = connected(&lab, CONTOSO, Policy { entitlements, ..Policy::default() }).await;
    lab.forget_exchanges();
    for (name, _, why) in changes {
        let failure = refused(&engine, with_profile(name)).await;
        assert_eq!(failure, Failure::GroupNotManageable { name: format!("Group {name}"), why });
    }
    assert!(engine.leases(true).await.unwrap().is_empty());
    // What is said when a tenant is connected is looked at in the same way.
    let mut wish = lab.wish(CONTOSO);
    let dynamic = {
        let directory = lab.sim().directory();
        let tenant = directory.tenant(&CONTOSO.to_string()).unwrap();
        tenant.groups.values().find(|group| group.display_name == "Group A").unwrap().id.parse().unwrap()
    };
    wish.groups = vec![dynamic];
    assert_eq!(engine.add_tenant(wish, &PERSON, QUIET).await.unwrap_err().code(), ErrorCode::GroupNotManageable);
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_made_again_is_asked_for_after_the_refusal() {
    let lab = Lab::new().await;
    let engine = connected(&lab, CONTOSO, Policy { entitlements: entitlements(), ..Policy::default() }).await;
    let lease = started(&engine, with_profile("Exchange")).await;
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    let replaced = Uuid::new_v4().to_string();
    lab.change_tenant(CONTOSO, |tenant| {
        let old = tenant.groups.values().find(|group| group.display_name == "Project Alpha").unwrap().id.clone();
        let mut group = tenant.groups.remove(&old).unwrap();
        group.id.clone_from(&replaced);
        group.members.clear();
        tenant.groups.insert(replaced.clone(), group);
    });
    lab.advance(1_000);
    engine.start_lease(with_profile("Exchange"), QUIET).await.unwrap_err();
    lab.sweep_until_quiet(&engine).await;
    let lease = started(&engine, with_profile("Exchange")).await;
    assert_eq!(lab.account(CONTOSO).groups, ["Project Alpha"]);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_as_long_as_the_tenants_rules_say() {
    let lab = Lab::new().await;
    let policy = Policy {
        tenants: vec![TenantRules {
            tenant: TenantName("Fabrikam".to_owned()),
            rules: Rules { password_length: PasswordLength::new(97), ..Rules::default() },
        }],
        ..Policy::default()
    };
    let engine = connected(&lab, FABRIKAM, policy).await;
    assert_eq!(lab.account(FABRIKAM).password.len(), 97);
    let lease = started(&engine, StartLease::new(FABRIKAM, PERSON)).await;
    assert_eq!(engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap().value.len(), 97);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_wanted_for_those_whom_something_entitles() {
    let lab = Lab::new().await;
    let mut only_level_2 = entitlement("Level 2", "Everything", &["Global Administrator"], &[]);
    only_level_2.tenants = vec![TenantName("Fabrikam".to_owned())];
    let policy = Policy {
        entitlements: vec![only_level_2],
        technicians: vec![technician("alex", &["Level 2"]), technician("kim", &[])],
        ..Policy::default()
    };
    let engine = connected(&lab, CONTOSO, policy).await;
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    let wanted: BTreeSet<_> =
        engine.accounts_wanted().await.unwrap().into_iter().map(|account| account.user_name).collect();
    assert_eq!(
        wanted,
        names(&[
            "jit-alex@contoso.onmicrosoft.com",
            "jit-alex@fabrikam.onmicrosoft.com",
            "jit-kim@contoso.onmicrosoft.com",
        ])
    );
}

/// A generator that is the same everywhere, so that a sequence that fails can be run again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Whatever begins, ends and runs out in whatever order: the account holds exactly what its open leases need together.
#[tokio::test(flavor = "multi_thread")]
async fn roles_are_at_every_moment_the_union_of_the_open_leases() {
    let catalogue = [
        ("A", vec!["Helpdesk Administrator"]),
        ("B", vec!["Exchange Administrator", "Helpdesk Administrator"]),
        ("C", vec!["Reports Reader", "User Administrator"]),
    ];
    let policy = Policy {
        everywhere: Rules { login: Some(LoginMode::Shared { local_part: "helpdesk".to_owned() }), ..Rules::default() },
        technicians: vec![technician("alex", &[]), technician("kim", &[])],
        entitlements: catalogue.iter().map(|(profile, roles)| entitlement("All admins", profile, roles, &[])).collect(),
        ..Policy::default()
    };
    for seed in [1, 7, 42] {
        let lab = Lab::new().await;
        let engine = connected(&lab, FABRIKAM, policy.clone()).await;
        let mut chance = Chance(seed);
        for step in 0..14 {
            let open = engine.leases(false).await.unwrap();
            match chance.below(4) {
                0 if !open.is_empty() => {
                    let lease = &open[usize::try_from(chance.below(open.len() as u64)).unwrap()];
                    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
                }
                1 => {
                    lab.advance(1_200);
                    engine.sweep().await.unwrap();
                }
                _ => {
                    let (profile, _) = &catalogue[usize::try_from(chance.below(3)).unwrap()];
                    let who = ["alex", "kim"][usize::try_from(chance.below(2)).unwrap()];
                    started(
                        &engine,
                        StartLease {
                            minutes: Some(10 + u32::try_from(chance.below(60)).unwrap()),
                            technician: Some(who.to_owned()),
                            profile: Some((*profile).to_owned()),
                            ..StartLease::new(FABRIKAM, PERSON)
                        },
                    )
                    .await;
                }
            }
            let open = engine.leases(false).await.unwrap();
            let wanted: BTreeSet<String> = open.iter().flat_map(|lease| lease.roles.clone()).collect();
            let account = lab.find_account(FABRIKAM, "jit-helpdesk@").unwrap();
            let held: BTreeSet<String> = account
                .roles
                .iter()
                .map(|id| entra_sim::directory::roles::by_id(id).unwrap().name.to_owned())
                .collect();
            assert_eq!(held, wanted, "seed {seed}, step {step}");
            assert_eq!(account.enabled, !open.is_empty(), "seed {seed}, step {step}");
        }
        for lease in engine.leases(false).await.unwrap() {
            engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
        }
        let account = lab.find_account(FABRIKAM, "jit-helpdesk@").unwrap();
        assert!(!account.enabled && account.roles.is_empty(), "seed {seed}");
        assert!(engine.verify_audit().await.unwrap().is_whole());
        lab.assert_conformant().await;
    }
}

/// The directory says no more than "bad request" to a password that it does not like: another one is tried.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_the_directory_does_not_like_is_replaced_by_another() {
    let lab = Lab::new().await;
    let engine = connected(&lab, FABRIKAM, Policy::default()).await;
    let refuse = |nth: u64| {
        // The first step of a start with a password is the password.
        lab.sim().faults.add(
            serde_json::from_value(json!({
                "match": { "method": "PATCH", "path_contains": "/users/", "in_batch": true, "nth": nth },
                "kind": "status", "status": 400, "times": 1,
            }))
            .unwrap(),
        );
    };
    refuse(1);
    refuse(2);
    let lease = started(&engine, StartLease::new(FABRIKAM, PERSON)).await;
    assert_eq!(lease.credential, Some(CredentialKind::Password));
    let refusals = lab.sim().exchanges.entries().into_iter().filter(|exchange| exchange.status == 400).count();
    assert_eq!(refusals, 2, "both were refused before the third was taken");
    let secret = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap();
    assert_eq!(secret.value, lab.account(FABRIKAM).password);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_the_customers_own_is_found_by_its_name() {
    let lab = Lab::new().await;
    let own = entra_sim::directory::tenant::CustomRole {
        id: Uuid::new_v4().to_string(),
        display_name: "Mailbox Helper of Contoso".to_owned(),
    };
    lab.change_tenant(CONTOSO, |tenant| tenant.custom_roles.push(own.clone()));
    let policy = Policy {
        entitlements: vec![entitlement("All admins", "Mailboxes", &["mailbox helper of CONTOSO"], &[])],
        ..Policy::default()
    };
    let engine = connected(&lab, CONTOSO, policy).await;
    let lease = started(&engine, StartLease::new(CONTOSO, PERSON)).await;
    assert_eq!(lease.roles, ["Mailbox Helper of Contoso"]);
    assert_eq!(lab.account(CONTOSO).roles, [own.id]);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}
