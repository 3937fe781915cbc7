//! What ends access when this machine cannot: passes and roles that Microsoft ends by itself, and how they are taken
//! back before that.

use entra_sim::directory::{Group, Licence, RoleAssignment, roles, seed};
use latchkey_engine::{ALL_ADMINS, AuditQuery, Engine, Entitlement, Rules};
use latchkey_protocol::{ErrorCode, LeaseState};
use serde_json::json;
use uuid::Uuid;

use crate::lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET, start};

/// An engine with a tenant that has the licence, connected.
async fn with_licence(lab: &Lab, tenant: Uuid) -> Engine {
    lab.change_tenant(tenant, |tenant| tenant.licence = Licence::P2);
    lab.connected(tenant).await
}

/// The JIT account's role assignments that are not over, as the directory keeps them.
fn assignments(lab: &Lab, tenant: Uuid) -> Vec<RoleAssignment> {
    let id = lab.account(tenant).id;
    let now = lab.sim().clock.now();
    let directory = lab.sim().directory();
    let tenant = directory.tenant(&tenant.to_string()).unwrap();
    tenant.assignments.iter().filter(|one| one.principal == id && one.active(now)).cloned().collect()
}

/// When its only role ends by itself, Unix milliseconds.
fn ends_by_itself(lab: &Lab, tenant: Uuid) -> Option<i64> {
    let assignments = assignments(lab, tenant);
    assert_eq!(assignments.len(), 1);
    Some(assignments[0].schedule.as_ref()?.end?.as_millisecond())
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_end_with_the_lease_and_cost_no_round_trip_more() {
    for tenant in [CONTOSO, FABRIKAM] {
        let lab = Lab::new().await;
        let engine = with_licence(&lab, tenant).await;
        engine.warm(tenant).await.unwrap();
        lab.forget_exchanges();
        let lease = lab.start(&engine, tenant).await.unwrap();
        assert_eq!(lab.round_trips(), ["POST /v1.0/$batch"]);
        let end = ends_by_itself(&lab, tenant).expect("the role ends by itself");
        assert!((0..=65_000).contains(&(end - lease.until)), "never before the lease: {}", end - lease.until);

        lab.advance(360);
        lab.forget_exchanges();
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
        assert_eq!(lab.round_trips(), ["POST /v1.0/$batch", "POST /v1.0/$batch"]);
        assert!(assignments(&lab, tenant).is_empty());
        lab.assert_nothing_is_left(&engine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn access_ends_although_the_machine_is_gone() {
    let lab = Lab::new().await;
    let engine = with_licence(&lab, CONTOSO).await;
    lab.start(&engine, CONTOSO).await.unwrap();
    let during = lab.account(CONTOSO);
    drop(engine);
    lab.advance(3_662);
    // Nobody has done anything: the role and the pass are over all the same.
    {
        let directory = lab.sim().directory();
        let tenant = directory.tenant(&CONTOSO.to_string()).unwrap();
        assert!(tenant.roles_of(&during.id, lab.sim().clock.now()).is_empty());
    }
    let user_name = "jit-alex@contoso.onmicrosoft.com";
    lab.sim().sign_in_with_access_pass(None, user_name, &during.pass.clone().unwrap()).unwrap_err();
    // The machine comes back a week later: what is gone already is no trouble.
    lab.advance(7 * 86_400);
    let engine = lab.engine().await;
    let report = engine.sweep().await.unwrap();
    assert_eq!((report.ended.len(), report.failing.len()), (1, 0));
    assert!(!lab.account(CONTOSO).enabled);
    assert_eq!(engine.leases(true).await.unwrap()[0].state, LeaseState::Ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_first_five_minutes_the_role_is_removed_the_plain_way() {
    let lab = Lab::new().await;
    let engine = with_licence(&lab, CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert!(ends_by_itself(&lab, CONTOSO).is_some());
    let during = lab.account(CONTOSO);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_dormant(CONTOSO, &during);

    // Another process wants the credential anew at once: roles go and come back.
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let other = lab.engine().await;
    let again = lab.start(&other, CONTOSO).await.unwrap();
    assert_eq!(again.lease_id, lease.lease_id);
    assert!(ends_by_itself(&lab, CONTOSO).is_some());
    other.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn should_microsoft_keep_the_role_for_five_minutes_everything_else_ends_and_it_is_said_until_it_is_gone() {
    let lab = Lab::new().await;
    lab.sim().turn(&json!({ "pim_strict_removal": true })).unwrap();
    let engine = with_licence(&lab, CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let during = lab.account(CONTOSO);
    let error = engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::EndingUnverified);
    // An application without a role of its own may not disable an administrator: what it may do has happened.
    let now = lab.account(CONTOSO);
    assert!(now.enabled && now.roles.len() == 1);
    assert!(now.sessions_revoked && now.pass.is_none());
    lab.sim()
        .sign_in_with_access_pass(None, "jit-alex@contoso.onmicrosoft.com", &during.pass.clone().unwrap())
        .unwrap_err();
    let shown = engine.leases(false).await.unwrap().remove(0);
    assert!(shown.problem.unwrap().message.contains("five minutes"));

    lab.advance(301);
    let report = engine.sweep().await.unwrap();
    assert_eq!((report.ended.len(), report.failing.len()), (1, 0));
    lab.assert_dormant(CONTOSO, &during);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_may_touch_administrators_disables_the_account_at_once() {
    let lab = Lab::new().await;
    lab.sim().turn(&json!({ "pim_strict_removal": true })).unwrap();
    let engine = with_licence(&lab, CONTOSO).await;
    lab.change_tenant(CONTOSO, |tenant| {
        let application = tenant.applications[0].service_principal_id.clone();
        let role = roles::by_name("Privileged Authentication Administrator").unwrap().id.to_owned();
        let id = seed::assignment_id(&role, &application, "/");
        let scope = "/".to_owned();
        tenant.assignments.push(RoleAssignment { id, role, principal: application, scope, schedule: None });
    });
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let during = lab.account(CONTOSO);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap_err();
    let now = lab.account(CONTOSO);
    assert!(!now.enabled && now.pass.is_none() && now.sessions_revoked);
    assert_ne!(now.password, during.password);
    assert_eq!(now.roles.len(), 1, "only the role is left");
    assert_eq!(engine.leases(false).await.unwrap().len(), 1, "and it is said");
    lab.advance(301);
    lab.sweep_until_quiet(&engine).await;
    lab.assert_dormant(CONTOSO, &during);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_of_a_lease_that_is_extended_last_as_long() {
    for tenant in [CONTOSO, FABRIKAM] {
        let lab = Lab::new().await;
        let engine = with_licence(&lab, tenant).await;
        let lease = lab.start(&engine, tenant).await.unwrap();
        let before = lab.account(tenant);
        lab.forget_exchanges();
        let extended = engine.extend_lease(lease.lease_id, 30, Some("not done"), &PERSON).await.unwrap();
        assert_eq!(extended.until, lease.until + 30 * 60_000);
        assert_eq!(lab.round_trips(), ["POST /v1.0/$batch"]);
        let end = ends_by_itself(&lab, tenant).unwrap();
        assert!((0..=65_000).contains(&(end - extended.until)), "never before the lease: {}", end - extended.until);
        let after = lab.account(tenant);
        assert_eq!((after.password, after.pass), (before.password, before.pass.clone()), "nobody is signed out");

        // A pass ends with the first end, and that is said; a password goes on.
        lab.advance(3_700);
        assert_eq!(extended.credential_until.is_some(), before.pass.is_some());
        assert_eq!(engine.reveal_credential(lease.lease_id, &PERSON).await.is_ok(), before.pass.is_none());
        assert!(engine.sweep().await.unwrap().changed.is_empty(), "the role is there");
        let again = lab.start(&engine, tenant).await.unwrap();
        assert_eq!((again.lease_id, again.credential_held), (lease.lease_id, true));

        lab.advance(1_801);
        assert_eq!(engine.sweep().await.unwrap().ended.len(), 1);
        lab.assert_nothing_is_left(&engine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_of_roles_that_is_refused_or_interrupted_leaves_the_lease_usable() {
    let faults = [
        json!({ "kind": "status", "status": 400 }),
        json!({ "kind": "status", "status": 503, "times": 1 }),
        json!({ "kind": "status", "status": 500, "after_effect": true, "times": 1 }),
    ];
    for (number, kind) in faults.into_iter().enumerate() {
        let lab = Lab::new().await;
        let engine = with_licence(&lab, FABRIKAM).await;
        let lease = lab.start(&engine, FABRIKAM).await.unwrap();
        let mut fault = json!({ "match": { "method": "POST", "path_contains": "roleAssignmentScheduleRequests", "in_batch": true } });
        fault.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        lab.sim().faults.add(serde_json::from_value(fault).unwrap());
        // From another process than the one that holds the credential.
        let other = lab.engine().await;
        let extended = other.extend_lease(lease.lease_id, 30, Some("not done"), &PERSON).await.unwrap();
        lab.sim().faults.replace(Vec::new());
        let refused = number == 0;
        assert_eq!(extended.credential_until.is_some(), refused);
        let end = ends_by_itself(&lab, FABRIKAM).unwrap();
        assert_eq!(end >= extended.until, !refused);
        // What was refused comes with the next credential.
        lab.advance(3_660);
        assert_eq!(engine.reveal_credential(lease.lease_id, &PERSON).await.is_err(), refused);
        let again = lab.start(&engine, FABRIKAM).await.unwrap();
        assert_eq!((again.lease_id, again.until), (lease.lease_id, extended.until));
        assert!(ends_by_itself(&lab, FABRIKAM).unwrap() >= extended.until);
        engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap();
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
        lab.assert_nothing_is_left(&engine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_two_leases_need_ends_with_the_later_one() {
    let lab = Lab::new().await;
    drop(with_licence(&lab, FABRIKAM).await);
    let profile = |name: &str| Entitlement {
        group: ALL_ADMINS.to_owned(),
        tenants: Vec::new(),
        profile: name.to_owned(),
        roles: vec!["User Administrator".to_owned()],
        groups: Vec::new(),
        maximum_minutes: None,
    };
    let mut settings = lab.settings();
    settings.policy.entitlements = vec![profile("Helpdesk"), profile("Migration")];
    let engine = lab.try_engine(settings).await.unwrap();
    let wish = |profile: &str, minutes| {
        let mut wish = start(FABRIKAM);
        (wish.profile, wish.minutes) = (Some(profile.to_owned()), Some(minutes));
        wish
    };
    engine.start_lease(wish("Helpdesk", 60), QUIET).await.unwrap();
    let password = lab.account(FABRIKAM).password;
    let long = engine.start_lease(wish("Migration", 120), QUIET).await.unwrap();
    assert_eq!(lab.account(FABRIKAM).password, password, "one credential serves both");
    assert!(ends_by_itself(&lab, FABRIKAM).unwrap() >= long.until);
    lab.advance(3_700);
    assert_eq!(engine.sweep().await.unwrap().ended.len(), 1);
    assert_eq!(lab.account(FABRIKAM).roles.len(), 1);
    engine.reveal_credential(long.lease_id, &PERSON).await.unwrap();
    engine.end_lease(long.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_licence_or_against_the_rules_roles_are_assigned_the_plain_way_and_that_is_remembered() {
    let lab = Lab::new().await;
    // Contoso has P1; its licence is asked for when it is connected.
    let engine = lab.connected(CONTOSO).await;
    let plain = async |engine: &Engine, round_trips: usize| {
        engine.warm(CONTOSO).await.unwrap();
        lab.forget_exchanges();
        let lease = lab.start(engine, CONTOSO).await.unwrap();
        assert_eq!(lab.round_trips().len(), round_trips);
        assert_eq!(ends_by_itself(&lab, CONTOSO), None);
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
        lab.assert_nothing_is_left(engine).await;
    };
    plain(&engine, 1).await;

    // The licence comes: found out within a day. It goes: the first lease pays for it, the next one does not.
    lab.change_tenant(CONTOSO, |tenant| tenant.licence = Licence::P2);
    lab.advance(86_500);
    engine.warm(CONTOSO).await.unwrap();
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert!(ends_by_itself(&lab, CONTOSO).is_some());
    lab.change_tenant(CONTOSO, |tenant| tenant.licence = Licence::P1);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
    plain(&engine, 2).await;
    plain(&engine, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_the_tenant_that_the_lease_does_not_meet_is_no_obstacle() {
    let lab = Lab::new().await;
    let engine = with_licence(&lab, CONTOSO).await;
    let fault = json!({ "match": { "method": "POST", "path_contains": "roleAssignmentScheduleRequests", "in_batch": true },
        "kind": "status", "status": 400 });
    lab.sim().faults.add(serde_json::from_value(fault).unwrap());
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(lease.state, LeaseState::Active);
    assert_eq!(ends_by_itself(&lab, CONTOSO), None);
    let query = AuditQuery { lease_id: Some(lease.lease_id), ..AuditQuery::default() };
    let log = engine.audit(&query).await.unwrap();
    assert_eq!(log.last().unwrap().detail["roles_end_by_themselves"], false);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_under_five_minutes_and_a_tenant_that_does_not_want_it_get_plain_roles() {
    let lab = Lab::new().await;
    let engine = with_licence(&lab, CONTOSO).await;
    let mut short = start(CONTOSO);
    short.minutes = Some(4);
    let lease = engine.start_lease(short, QUIET).await.unwrap();
    assert_eq!(ends_by_itself(&lab, CONTOSO), None);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();

    let mut settings = lab.settings();
    settings.policy.everywhere = Rules { timed_roles: Some(false), ..Rules::default() };
    let engine = lab.try_engine(settings).await.unwrap();
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!(ends_by_itself(&lab, CONTOSO), None);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_somebody_else_gave_does_not_outlive_the_lease() {
    let lab = Lab::new().await;
    let engine = with_licence(&lab, CONTOSO).await;
    // The very role of the lease, without an end, on the dormant account.
    let id = lab.account(CONTOSO).id;
    lab.assign_role(CONTOSO, &id, "User Administrator");
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert!(ends_by_itself(&lab, CONTOSO).is_some(), "it was taken away and assigned with an end");
    lab.advance(360);
    lab.assign_role(CONTOSO, &id, "Global Administrator");
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert!(assignments(&lab, CONTOSO).is_empty());
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_lives_as_long_as_the_lease_as_far_as_the_policy_allows() {
    // The policy's least is 60 minutes, its most 480; the last tenant's policy has been made wider.
    for (asked, least, lives) in [(240, 60, 240), (15, 60, 60), (15, 10, 15), (3, 10, 10)] {
        let lab = Lab::new().await;
        lab.change_tenant(CONTOSO, |tenant| tenant.pass_policy.minimum_minutes = least);
        let engine = lab.connected(CONTOSO).await;
        let mut wish = start(CONTOSO);
        wish.minutes = Some(asked);
        let lease = engine.start_lease(wish, QUIET).await.unwrap();
        let id = lab.account(CONTOSO).id;
        let minutes = {
            let directory = lab.sim().directory();
            let user = &directory.tenant(&CONTOSO.to_string()).unwrap().users[&id];
            user.access_pass.as_ref().unwrap().lifetime_minutes
        };
        assert_eq!(minutes, lives, "a lease of {asked} minutes where {least} is the least");
        // Where it outlives the lease, the end of the lease deletes it.
        lab.advance(i64::from(asked) * 60 + 1);
        assert_eq!(engine.sweep().await.unwrap().ended.len(), 1);
        assert_eq!(lab.account(CONTOSO).pass, None);
        assert!(engine.leases(true).await.unwrap().iter().any(|known| known.lease_id == lease.lease_id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_on_the_second_page_is_found_and_taken_back() {
    let lab = Lab::new().await;
    let mut wish = lab.wish(CONTOSO);
    let ours = Uuid::from_u128(0xffff_ffff_0000_4000_8000_0000_0000_0000);
    let pattern = {
        let directory = lab.sim().directory();
        let ordinary = |group: &&Group| {
            group.security_enabled
                && !group.mail_enabled
                && !group.role_assignable
                && !group.synchronised
                && group.types.is_empty()
        };
        directory.tenant(&CONTOSO.to_string()).unwrap().groups.values().find(ordinary).unwrap().clone()
    };
    wish.groups = vec![ours];
    lab.change_tenant(CONTOSO, |tenant| {
        let id = ours.to_string();
        let group = Group { id: id.clone(), members: std::collections::BTreeSet::new(), ..pattern.clone() };
        tenant.groups.insert(id, group);
    });
    let engine = lab.engine().await;
    engine.add_tenant(wish, &PERSON, QUIET).await.unwrap();
    let account = lab.account(CONTOSO).id;
    // The customer has put it into so many groups that ours is behind the first page.
    lab.change_tenant(CONTOSO, |tenant| {
        for number in 0..130_u128 {
            let id = Uuid::from_u128(0xaaaa_0000_0000_4000_8000_0000_0000_0000 + number).to_string();
            let members = std::collections::BTreeSet::from([account.clone()]);
            tenant.groups.insert(id.clone(), Group { id, members, ..pattern.clone() });
        }
    });
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    drop(engine);
    // A process that knows nothing but what it reads.
    lab.change_tenant(CONTOSO, |tenant| tenant.users.get_mut(&account).unwrap().account_enabled = true);
    let engine = lab.engine().await;
    let fault = json!({ "match": { "method": "DELETE", "path_contains": "/members/", "in_batch": true },
        "kind": "status", "status": 500, "times": 1 });
    lab.sim().faults.add(serde_json::from_value(fault).unwrap());
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    let directory = lab.sim().directory();
    let groups = &directory.tenant(&CONTOSO.to_string()).unwrap().groups;
    assert!(!groups[&ours.to_string()].members.contains(&account));
    assert_eq!(groups.values().filter(|group| group.members.contains(&account)).count(), 130, "theirs are left alone");
}
