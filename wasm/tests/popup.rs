//! From anywhere: the list of tenants, portals that are opened and followed into the sign-in, and a lease's life.
#![cfg(all(feature = "brain", feature = "popup"))]
#![allow(clippy::unwrap_used)]

mod support;

use latchkey_protocol::{
    CredentialKind::{self, Password, TemporaryAccessPass},
    ErrorBody, ErrorCode, HostFrame, LeaseState, LeaseSummary, ProfileSummary, Reply, Request, TenantSummary,
    portal::Portal,
};
use latchkey_wasm::{
    brain::{Action, Effect, Event},
    popup::{
        action::{Place, Wish},
        list::{self, Standing},
        view::PopupView,
    },
};
use proptest::prelude::*;
use support::*;
use uuid::Uuid;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
const NEW_TAB: i32 = 31;
const AZURE: &str = "https://portal.azure.com/0b6dd2b3-5a3c-4c7e-9f43-1f6b9f3f0a11?login_hint=x";

fn named(number: u128, name: &str, domain: &str, last_used: Option<i64>) -> TenantSummary {
    TenantSummary {
        tenant_id: Uuid::from_u128(number),
        name: name.to_owned(),
        domains: vec![domain.to_owned()],
        last_used,
        ..tenant(Password)
    }
}

fn names(found: &[&TenantSummary]) -> Vec<String> {
    found.iter().map(|tenant| tenant.name.clone()).collect()
}

// ---- the list ----

#[test]
fn pinned_and_recent_ones_come_first_and_the_likeliest_match_before_them() {
    let directory = directory(&[
        named(1, "Woodgrove", "woodgrove.example", None),
        named(2, "Contoso", "contoso.com", Some(5)),
        named(3, "Adatum", "adatum.example", None),
        named(4, "Fabrikam", "fabrikam.com", Some(9)),
        named(5, "Northwind Contoso", "nw.example", Some(20)),
    ]);
    let none: &[LeaseSummary] = &[];
    assert_eq!(
        names(&directory.find("", &[Uuid::from_u128(1)], none)),
        ["Woodgrove", "Northwind Contoso", "Fabrikam", "Contoso", "Adatum"]
    );
    // What begins so, then words that begin so, then the rest; case and spaces do not matter.
    assert_eq!(names(&directory.find("  CONTO ", &[Uuid::from_u128(5)], none)), ["Contoso", "Northwind Contoso"]);
    assert_eq!(names(&directory.find("contoso north", &[], none)), ["Northwind Contoso"]);
    assert_eq!(names(&directory.find("nw.exa", &[], none)), ["Northwind Contoso"]);
    assert_eq!(names(&directory.find("grove", &[], none)), ["Woodgrove"]);
    assert!(directory.find("nobody", &[], none).is_empty());
}

#[test]
fn a_tenant_is_found_by_the_ticket_of_its_open_lease() {
    let directory = directory(&[tenant(Password), other_tenant()]);
    let leases = [LeaseSummary { ticket: Some("INC-4711".to_owned()), ..lease(Password) }];
    assert_eq!(names(&directory.find("inc-4711", &[], &leases)), ["Contoso"]);
    assert_eq!(names(&directory.find("4711 conto", &[], &leases)), ["Contoso"]);
    assert!(directory.find("4711 fabrikam", &[], &leases).is_empty());
    assert!(directory.find("4711", &[], &[]).is_empty());
}

#[test]
fn each_tenant_says_where_it_stands() {
    let problem = Some(ErrorBody::new(ErrorCode::EndingUnverified, "m", "n"));
    for (state, problem, standing) in [
        (LeaseState::Requested, None, Standing::Starting),
        (LeaseState::Activating, None, Standing::Starting),
        (LeaseState::Active, None, Standing::Active(240 * MINUTE)),
        (LeaseState::Usable, problem.clone(), Standing::Active(240 * MINUTE)),
        (LeaseState::Ending, None, Standing::Ending),
        (LeaseState::Ending, problem, Standing::Problem),
        (LeaseState::Stuck, None, Standing::Problem),
        (LeaseState::ExternallyModified, None, Standing::Problem),
        (LeaseState::Ended, None, Standing::Dormant),
        (LeaseState::Failed, None, Standing::Dormant),
    ] {
        let leases = [LeaseSummary { state, problem, ..lease(Password) }];
        assert_eq!(list::standing(TENANT, &leases, START), standing, "{state:?}");
        assert_eq!(list::standing(OTHER_TENANT, &leases, START), Standing::Dormant);
    }
}

#[test]
fn an_applications_credential_that_ends_within_thirty_days_is_seen() {
    for (left, days, notice) in [
        (30 * DAY + 1, None, None),
        (30 * DAY, Some(30), Some(("credential_ends", "30"))),
        (DAY, Some(1), Some(("credential_ends", "1"))),
        (-1, Some(-1), Some(("credential_ended", ""))),
    ] {
        let expiring = TenantSummary { credential_expires: Some(START + left), ..tenant(Password) };
        assert_eq!(list::days_of_credential(&expiring, START), days);
        let directory = directory(&[expiring, other_tenant()]);
        let said = directory.notices(Some(TENANT), &[], START);
        let said = said.first().map(|text| (text.key.as_str(), text.args.get(1).map_or("", String::as_str)));
        assert_eq!(said, notice, "{left}");
        assert!(directory.notices(Some(OTHER_TENANT), &[], START).is_empty());
    }
}

#[test]
fn the_least_powerful_profile_is_taken_unless_another_is_chosen() {
    let profile = |name: &str| ProfileSummary {
        name: name.to_owned(),
        roles: vec![name.to_owned()],
        groups: Vec::new(),
        minutes: 60,
        maximum_minutes: 120,
    };
    let with = TenantSummary { profiles: vec![profile("reader"), profile("admin")], ..tenant(Password) };
    assert_eq!(list::profile(&with, None).unwrap().name, "reader");
    assert_eq!(list::profile(&with, Some("admin")).unwrap().name, "admin");
    assert_eq!(list::profile(&with, Some("nothing")).unwrap().name, "reader");
    assert!(list::profile(&tenant(Password), Some("admin")).is_none());
}

#[test]
fn the_preferred_portal_or_the_first_that_the_cloud_has() {
    let here = tenant(Password);
    assert_eq!(list::preferred(&here, Portal::Entra).unwrap().0, Portal::Entra);
    let china = TenantSummary { cloud: latchkey_protocol::cloud::Cloud::China, ..here };
    let (portal, url) = list::preferred(&china, Portal::Lighthouse).unwrap();
    assert_eq!(portal, Portal::Azure);
    assert!(url.starts_with("https://portal.azure.cn/") && url.contains("login_hint=jit-alex%40contoso"), "{url}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_exactly_what_holds_all_its_words(search in "[a-c ]{0,5}", all in prop::collection::vec("[a-c]{1,4}( [a-c]{1,3})?", 0..20)) {
        let tenants: Vec<_> = (1..).zip(&all).map(|(number, name)| named(number, name, "x.example", None)).collect();
        let directory = directory(&tenants);
        let found = names(&directory.find(&search, &[], &[]));
        for rows in 0..=found.len() + 1 {
            let (total, first) = directory.find_first(rows, &search, &[], &[]);
            prop_assert_eq!((total, names(&first)), (found.len(), found.iter().take(rows).cloned().collect()));
        }
        let mut expected: Vec<_> =
            all.iter().filter(|name| search.split_whitespace().all(|word| format!("{name} x.example").contains(word))).cloned().collect();
        let mut sorted = found.clone();
        sorted.sort();
        expected.sort();
        prop_assert_eq!(sorted, expected);
        // Nothing that begins with the search stands behind something that does not.
        let begins: Vec<_> = found.iter().map(|name| name.starts_with(search.trim())).collect();
        prop_assert!(begins.is_sorted_by_key(|begins| !begins));
    }
}

#[test]
fn a_thousand_tenants_go_to_the_popup_once() {
    let tenants: Vec<_> =
        (1..=1000).map(|number| named(number, &format!("Customer {number}"), "x.example", None)).collect();
    let mut world = World::new();
    world.url = "https://example.com/".to_owned();
    world.open_popup(&tenants);
    let lists = |effects: &[Effect]| effects.iter().filter(|effect| matches!(effect, Effect::UpdateTenants {})).count();
    assert_eq!(lists(&world.effects), 1);
    // The same list again, and other events, send nothing of it.
    world.effects.clear();
    world.send(Event::PopupAction { action: Action::Choose { tenant_id: Uuid::from_u128(7) } });
    world.send(Event::PopupAction { action: Action::List {} });
    assert_eq!(lists(&world.effects), 0);
    // The next popup has it before the host has answered, and the host's answer changes nothing.
    world.send(Event::PopupClosed {});
    world.effects.clear();
    world.send(Event::PopupOpened { tab_id: Some(TAB), url: None });
    assert_eq!(lists(&world.effects), 1);
    assert!(matches!(world.view(), PopupView::ChooseTenant { .. }));
    world.greet(&tenants);
    assert_eq!(lists(&world.effects), 1);
    // After the worker's death as well.
    world.restart();
    world.effects.clear();
    world.send(Event::PopupOpened { tab_id: Some(TAB), url: None });
    assert_eq!(lists(&world.effects), 1);
    assert_eq!(shown(&world).0.len(), 1000);
}

// ---- portals ----

fn away() -> World {
    let mut world = World::new();
    world.url = "https://example.com/".to_owned();
    world.open_popup(&[tenant(TemporaryAccessPass), other_tenant()]);
    world
}

fn open(world: &mut World, place: Place, wish: Wish) -> Vec<Effect> {
    world.send(Event::PopupAction {
        action: Action::OpenPortal { tenant_id: TENANT, url: AZURE.to_owned(), place, wish },
    })
}

fn opening(effects: &[Effect]) -> Option<u32> {
    effects.iter().find_map(|effect| match effect {
        Effect::OpenTab { act, .. } => Some(*act),
        _ => None,
    })
}

fn opened() -> World {
    let mut world = away();
    let effects = open(&mut world, Place::NewTab, Wish::default());
    let act = opening(&effects).unwrap();
    world.send(Event::PopupClosed {});
    world.send(Event::TabOpened { act, tab_id: Some(NEW_TAB) });
    world
}

fn tenant_login() -> String {
    format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/authorize?login_hint={UPN}")
}

#[test]
fn one_click_opens_the_portal_asks_for_access_and_signs_in() {
    let mut world = away();
    let effects = open(&mut world, Place::NewTab, Wish { profile: Some("admin".to_owned()), ..Wish::default() });
    let starts =
        |request: &Request| matches!(request, Request::StartLease { profile: Some(name), .. } if name == "admin");
    assert!(starts(&world.request(starts).request));
    let act = opening(&effects).expect("the portal opens while the account is activated");
    assert!(effects.iter().any(|effect| matches!(effect,
        Effect::OpenTab { url, place: Place::NewTab, tab_id: Some(TAB), .. } if url == AZURE)));
    world.send(Event::PopupClosed {});
    world.send(Event::TabOpened { act, tab_id: Some(NEW_TAB) });
    world.send(Event::TabNavigated { tab_id: NEW_TAB, url: None });
    let login = tenant_login();
    world.send(Event::TabNavigated { tab_id: NEW_TAB, url: Some(login.clone()) });
    let effects = world.see_at(NEW_TAB, "d1", &login, user_name(""));
    assert_eq!(deeds(&effects), ["fill user_name"]);
    world.grant(TemporaryAccessPass);
    world.done(user_name(UPN));
    world.done(user_name(UPN));
    world.see_at(NEW_TAB, "d1", &login, access_pass());
    assert_eq!(deeds(&world.effects).last().unwrap(), "ask access_pass");
    assert_eq!(deeds(&world.hand_out(TemporaryAccessPass)), ["fill access_pass"]);
}

#[test]
fn the_sign_in_page_may_be_there_before_the_browser_says_which_tab_it_is() {
    let mut world = away();
    let act = opening(&open(&mut world, Place::NewTab, Wish::default())).unwrap();
    let login = tenant_login();
    assert!(deeds(&world.see_at(NEW_TAB, "d1", &login, user_name(""))).is_empty());
    let effects = world.send(Event::TabOpened { act, tab_id: Some(NEW_TAB) });
    assert!(effects.contains(&Effect::Look { tab_id: NEW_TAB }));
    assert_eq!(deeds(&world.see_at(NEW_TAB, "d1", &login, user_name(""))), ["fill user_name"]);
}

#[test]
fn only_the_tab_that_was_opened_is_followed() {
    let mut world = opened();
    let login = tenant_login();
    assert!(deeds(&world.see_at(TAB, "d1", &login, user_name(""))).is_empty());
    assert!(deeds(&world.see_at(NEW_TAB + 1, "d2", &login, user_name(""))).is_empty());
    assert_eq!(deeds(&world.see_at(NEW_TAB, "d3", &login, user_name(""))), ["fill user_name"]);
    // An answer to something else opens nothing to it.
    let mut world = away();
    let act = opening(&open(&mut world, Place::NewTab, Wish::default())).unwrap();
    world.send(Event::TabOpened { act: act + 1, tab_id: Some(NEW_TAB) });
    assert!(deeds(&world.see_at(NEW_TAB, "d1", &login, user_name(""))).is_empty());
    // Nor does one that says that no tab was opened.
    world.send(Event::TabOpened { act, tab_id: None });
    world.send(Event::TabOpened { act, tab_id: Some(NEW_TAB) });
    assert!(deeds(&world.see_at(NEW_TAB, "d1", &login, user_name(""))).is_empty());
}

#[test]
fn a_portal_whose_tab_nobody_heard_of_is_opened_again_by_the_next_worker() {
    let mut world = away();
    let act = opening(&open(&mut world, Place::NewTab, Wish::default())).unwrap();
    world.effects.clear();
    world.restart();
    let opened = |effects: &[Effect]| effects.iter().filter(|one| matches!(one, Effect::OpenTab { .. })).count();
    assert_eq!(opened(&world.effects), 1);
    assert!(world.effects.contains(&Effect::OpenTab {
        act,
        url: AZURE.to_owned(),
        place: Place::NewTab,
        tab_id: Some(TAB)
    }));
    // A second click asks for no second tab.
    world.open_popup(&[tenant(TemporaryAccessPass), other_tenant()]);
    assert_eq!(opened(&open(&mut world, Place::NewTab, Wish::default())), 0);
    // The tab that the first worker opened may be any page's. Only the one that this worker was told of is signed in.
    let login = tenant_login();
    assert!(deeds(&world.see_at(NEW_TAB, "d1", &login, user_name(""))).is_empty());
    world.send(Event::TabOpened { act, tab_id: Some(NEW_TAB + 1) });
    assert!(deeds(&world.see_at(NEW_TAB, "d1", &login, user_name(""))).is_empty());
    assert_eq!(deeds(&world.see_at(NEW_TAB + 1, "d2", &login, user_name(""))), ["fill user_name"]);
    // What is known is not opened again, and neither is what was wanted a while ago.
    world.effects.clear();
    world.restart();
    assert_eq!(opened(&world.effects), 0);
    let mut world = away();
    open(&mut world, Place::NewTab, Wish::default());
    world.effects.clear();
    world.pass(60_000);
    world.restart();
    assert_eq!(opened(&world.effects), 0);
    world.open_popup(&[tenant(TemporaryAccessPass), other_tenant()]);
    assert_eq!(opened(&open(&mut world, Place::NewTab, Wish::default())), 1);
}

#[test]
fn only_the_tenant_that_was_opened_is_signed_in_to() {
    for (address, is_ours) in [
        (tenant_login(), true),
        (AUTHORIZE.to_owned(), true),
        ("https://login.microsoftonline.com/CONTOSO.com/login".to_owned(), true),
        (format!("https://login.microsoftonline.com/{OTHER_TENANT}/oauth2/authorize"), false),
        ("https://login.microsoftonline.com/fabrikam.com/login".to_owned(), false),
        ("https://login.microsoftonline.com/unknown.example/login".to_owned(), false),
    ] {
        let mut world = opened();
        let effects = world.see_at(NEW_TAB, "d1", &address, user_name(""));
        assert_eq!(!deeds(&effects).is_empty(), is_ours, "{address}");
        if !is_ours {
            world.url = address;
            world.send(Event::PopupOpened { tab_id: Some(NEW_TAB), url: None });
            assert_eq!(world.status(), "page_other_tenant");
            assert!(deeds(&world.see_at(NEW_TAB, "d2", &tenant_login(), user_name(""))).is_empty(), "it is over");
        }
    }
}

#[test]
fn the_click_is_a_consent_for_a_short_time() {
    let late = |world: &mut World| world.see_at(NEW_TAB, "d1", &tenant_login(), user_name(""));
    let mut world = opened();
    world.pass(59_000);
    assert_eq!(deeds(&late(&mut world)), ["fill user_name"]);
    // Also when the worker and its timers died meanwhile, and whatever the portal does before.
    for dies in [false, true] {
        let mut world = opened();
        for _ in 0..7 {
            world.pass(9_000);
            world.send(Event::TabNavigated { tab_id: NEW_TAB, url: None });
        }
        if dies {
            world.restart();
        }
        assert!(deeds(&late(&mut world)).is_empty());
    }
    // A portal that never asked is no failure: nothing is left of it but the lease.
    let mut world = opened();
    world.grant(TemporaryAccessPass);
    world.pass(60_000);
    world.send(Event::TimerRang { name: format!("gone:{NEW_TAB}") });
    world.send(Event::PopupOpened { tab_id: Some(NEW_TAB), url: None });
    assert!(matches!(world.view(), PopupView::Active(_)), "{:?}", world.view());
}

#[test]
fn with_a_reason_or_a_ticket_the_host_is_heard_before_a_tab_opens() {
    for code in [
        ErrorCode::TicketNotFitting,
        ErrorCode::ReasonMissing,
        ErrorCode::ProfileUnknown,
        ErrorCode::DurationNotAllowed,
    ] {
        let mut world = away();
        let wish = Wish { ticket: Some("1".to_owned()), reason: Some("x".to_owned()), ..Wish::default() };
        assert_eq!(opening(&open(&mut world, Place::NewTab, wish.clone())), None);
        let id = world.request(|request| matches!(request, Request::StartLease { .. })).id;
        let effects = world.frame(HostFrame::Error { id: Some(id), error: ErrorBody::new(code, "m", "n") });
        assert_eq!(opening(&effects), None);
        let PopupView::Confirm(confirm) = world.view() else { panic!("{:?}", world.view()) };
        assert_eq!((confirm.tenant_id, confirm.problem.unwrap().code), (TENANT, code), "it can be put right");
        // The second one fits.
        open(&mut world, Place::PrivateWindow, wish);
        let effects = world.grant(TemporaryAccessPass);
        assert!(effects.iter().any(|effect| matches!(effect, Effect::OpenTab { place: Place::PrivateWindow, .. })));
        assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::OpenTab { .. })).count(), 1);
    }
}

#[test]
fn a_wrong_ticket_on_a_sign_in_page_leads_back_to_the_form() {
    let mut world = World::new();
    world.see("d1", user_name(""));
    world.open_popup(&[tenant(Password)]);
    world.click();
    let id = world.request(|request| matches!(request, Request::StartLease { .. })).id;
    let error = ErrorBody::new(ErrorCode::TicketNotFitting, "m", "n");
    world.frame(HostFrame::Error { id: Some(id), error });
    assert!(matches!(world.view(), PopupView::Confirm(confirm) if confirm.problem.is_some()));
    world.send(Event::PopupAction { action: Action::Choose { tenant_id: TENANT } });
    assert!(matches!(world.view(), PopupView::Confirm(confirm) if confirm.problem.is_none()));
}

#[test]
fn a_portal_of_an_active_tenant_asks_for_no_second_lease() {
    let mut world = away();
    world.click();
    world.grant(TemporaryAccessPass);
    let effects = open(&mut world, Place::ThisTab, Wish::default());
    let act = opening(&effects).unwrap();
    assert!(!asked(&effects).iter().any(|frame| matches!(frame.request, Request::StartLease { .. })));
    world.send(Event::TabOpened { act, tab_id: Some(TAB) });
    assert_eq!(deeds(&world.see_at(TAB, "d1", &tenant_login(), user_name(""))), ["fill user_name"]);
}

#[test]
fn two_customers_side_by_side() {
    let mut world = away();
    let act = opening(&open(&mut world, Place::PrivateWindow, Wish::default())).unwrap();
    world.send(Event::TabOpened { act, tab_id: Some(NEW_TAB) });
    let effects = world.send(Event::PopupAction {
        action: Action::OpenPortal {
            tenant_id: OTHER_TENANT,
            url: "https://portal.azure.com/".to_owned(),
            place: Place::NewTab,
            wish: Wish::default(),
        },
    });
    world.send(Event::TabOpened { act: opening(&effects).unwrap(), tab_id: Some(NEW_TAB + 1) });
    let value = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Fill { value, .. } => Some(value.0.clone()),
            _ => None,
        })
    };
    assert_eq!(value(&world.see_at(NEW_TAB, "d1", AUTHORIZE, user_name(""))).as_deref(), Some(UPN));
    assert_eq!(
        value(&world.see_at(NEW_TAB + 1, "d2", AUTHORIZE, user_name(""))).as_deref(),
        Some("jit-alex@fabrikam.com")
    );
}

#[test]
fn an_address_that_is_not_https_is_not_opened() {
    let mut world = away();
    let effects = world.send(Event::PopupAction {
        action: Action::OpenPortal {
            tenant_id: TENANT,
            url: "javascript:alert(1)".to_owned(),
            place: Place::NewTab,
            wish: Wish::default(),
        },
    });
    assert_eq!((opening(&effects), asked(&effects).len()), (None, 0));
}

// ---- a lease's life ----

fn notices(effects: &[Effect]) -> Vec<(String, bool)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Notify { text, button, .. } => Some((text.key.clone(), button.is_some())),
            _ => None,
        })
        .collect()
}

fn active(credential: CredentialKind) -> World {
    let mut world = World::new();
    world.url = "https://example.com/".to_owned();
    world.open_popup(&[tenant(credential), other_tenant()]);
    world.click();
    world.grant(credential);
    world.send(Event::PopupClosed {});
    world.effects.clear();
    world
}

#[test]
fn some_minutes_before_the_end_it_is_said_once_with_a_way_to_extend() {
    let mut world = active(Password);
    let ring = |world: &mut World, left: i64| {
        world.now = START + 240 * MINUTE - left;
        notices(&world.send(Event::TimerRang { name: "badge".to_owned() }))
    };
    assert!(ring(&mut world, 6 * MINUTE).is_empty());
    assert_eq!(ring(&mut world, 5 * MINUTE), [("ends_notice".to_owned(), true)]);
    assert!(ring(&mut world, 4 * MINUTE).is_empty());
    world.restart();
    assert!(ring(&mut world, 3 * MINUTE).is_empty(), "not again after the worker's death");

    world.send(Event::NotificationPressed { lease_id: LEASE });
    world.greet(&[]);
    let extend = world.request(|request| matches!(request, Request::ExtendLease { .. }));
    assert!(matches!(extend.request, Request::ExtendLease { lease_id: LEASE, minutes: 60, .. }));
    let longer = LeaseSummary { until: START + 300 * MINUTE, ..lease(Password) };
    let effects = world.reply(extend.id.0, Reply::Lease { lease: longer });
    assert_eq!(notices(&effects), [("extended_notice".to_owned(), false)]);
    // The new end is announced again.
    world.now = START + 296 * MINUTE;
    let effects = world.send(Event::TimerRang { name: "badge".to_owned() });
    assert_eq!(notices(&effects), [("ends_notice".to_owned(), true)]);
}

#[test]
fn a_short_lease_is_not_announced_when_it_begins() {
    let mut world = World::new();
    world.open_popup(&[tenant(Password)]);
    world.click();
    let id = world.request(|request| matches!(request, Request::StartLease { .. })).id.0;
    let short = LeaseSummary { until: START + 4 * MINUTE, ..lease(Password) };
    assert!(notices(&world.reply(id, Reply::Lease { lease: short })).is_empty());
    world.pass(2 * MINUTE);
    let effects = world.send(Event::TimerRang { name: "badge".to_owned() });
    assert_eq!(notices(&effects), [("ends_notice".to_owned(), true)]);
}

#[test]
fn an_extension_asks_for_what_is_still_allowed_and_says_what_the_host_refuses() {
    let mut world = active(Password);
    world.frame(HostFrame::LeaseChanged { lease: LeaseSummary { until: START + 450 * MINUTE, ..lease(Password) } });
    let effects = world.send(Event::NotificationPressed { lease_id: LEASE });
    let [frame] = asked(&effects).try_into().unwrap();
    assert!(matches!(frame.request, Request::ExtendLease { minutes: 30, .. }), "eight hours at most");
    let error = ErrorBody::new(ErrorCode::DurationNotAllowed, "m", "n");
    let effects = world.frame(HostFrame::Error { id: Some(frame.id), error: error.clone() });
    assert_eq!(notices(&effects), [("error_duration_not_allowed".to_owned(), false)]);
    // With the popup open it is said there.
    world.send(Event::PopupOpened { tab_id: None, url: None });
    let effects =
        world.send(Event::PopupAction { action: Action::Extend { lease_id: LEASE, reason: Some("more".to_owned()) } });
    let [frame] = asked(&effects).try_into().unwrap();
    assert!(matches!(&frame.request, Request::ExtendLease { reason: Some(reason), .. } if reason == "more"));
    let effects = world.frame(HostFrame::Error { id: Some(frame.id), error });
    assert!(notices(&effects).is_empty());
    assert!(matches!(world.view(), PopupView::Problem { .. }));
}

#[test]
fn the_end_is_said_and_so_is_an_end_that_fails() {
    let mut world = active(Password);
    let ending = LeaseSummary { state: LeaseState::Ending, ..lease(Password) };
    assert!(notices(&world.frame(HostFrame::LeaseChanged { lease: ending.clone() })).is_empty());
    let problem = Some(ErrorBody::new(ErrorCode::EndingUnverified, "m", "n"));
    let failing = LeaseSummary { problem: problem.clone(), ..ending };
    let effects = world.frame(HostFrame::LeaseChanged { lease: failing.clone() });
    assert_eq!(notices(&effects), [("stuck_notice".to_owned(), false)]);
    assert!(notices(&world.frame(HostFrame::LeaseChanged { lease: failing })).is_empty(), "once");
    let stuck = LeaseSummary { state: LeaseState::Stuck, problem, ..lease(Password) };
    assert!(notices(&world.frame(HostFrame::LeaseChanged { lease: stuck })).is_empty(), "it is known");
    let ended = LeaseSummary { state: LeaseState::Ended, ..lease(Password) };
    let effects = world.frame(HostFrame::LeaseChanged { lease: ended });
    assert_eq!(notices(&effects), [("ended_notice".to_owned(), false)]);
}

#[test]
fn end_all_ends_every_lease() {
    let mut world = active(Password);
    let other = LeaseSummary {
        lease_id: Uuid::from_u128(99),
        tenant_id: OTHER_TENANT,
        tenant_name: "Fabrikam".to_owned(),
        ..lease(Password)
    };
    world.frame(HostFrame::LeaseChanged { lease: other });
    world.send(Event::PopupOpened { tab_id: None, url: None });
    let effects = world.send(Event::PopupAction { action: Action::EndAll {} });
    let mut ended: Vec<_> = asked(&effects)
        .into_iter()
        .filter_map(|frame| match frame.request {
            Request::EndLease { lease_id } => Some(lease_id),
            _ => None,
        })
        .collect();
    ended.sort_unstable();
    assert_eq!(ended, [Uuid::from_u128(99), LEASE]);
}
