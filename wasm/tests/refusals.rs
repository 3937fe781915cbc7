//! What Microsoft refuses, by number: waiting, one more try, or stopping; and races between looking and acting.
#![cfg(feature = "brain")]
#![allow(clippy::unwrap_used)]

mod support;

use latchkey_protocol::{
    CredentialKind::{Password, TemporaryAccessPass},
    HostFrame, Progress, Reply, Request, RequestId, Secret, Step, StepState,
};
use latchkey_wasm::popup::action::Wish;
use latchkey_wasm::{
    brain::{Action, Event, Outcome, Snapshot},
    elements::ElementKey as Key,
    popup::view::PopupView,
};
use support::*;
use uuid::Uuid;

fn ring(world: &mut World) -> Vec<latchkey_wasm::brain::Effect> {
    world.send(Event::TimerRang { name: format!("page:{TAB}") })
}

/// Fills and submits on a document; the page answers with whatever comes next.
fn submit(world: &mut World, snapshot: Snapshot, field: Key) {
    let credential = if field == Key::Password { Password } else { TemporaryAccessPass };
    assert_eq!(deeds(&world.hand_out(credential)).len(), 1);
    assert_eq!(deeds(&world.done(filled(snapshot, field))), ["click primary"]);
    world.acted(Outcome::DocumentGone, None);
    world.url = LOGIN.to_owned();
}

#[test]
fn an_account_that_is_not_enabled_yet_is_waited_for_with_growing_delays() {
    let (mut world, _) = World::granted(Password, "d0", password());
    submit(&mut world, password(), Key::Password);
    let mut waits = Vec::new();
    for round in 1..20 {
        let document = format!("d{round}");
        let refused = with_error(password(), "50057");
        if !deeds(&world.see(&document, refused.clone())).is_empty() {
            panic!("refilled at once");
        }
        if world.status() == "refused_disabled" {
            break;
        }
        assert_eq!(world.status(), "status_not_yet");
        let mut waited = 0;
        while deeds(&ring(&mut world)).is_empty() {
            world.pass(1000);
            waited += 1;
            assert!(waited < 60);
        }
        waits.push(waited);
        submit(&mut world, refused, Key::Password);
    }
    assert_eq!(world.status(), "refused_disabled");
    assert_eq!(waits, [2, 3, 5, 8, 13, 13, 13]);
    let PopupView::Progress(progress) = world.view() else { panic!() };
    assert!(progress.needs_person && progress.can_retry);
}

#[test]
fn a_refused_credential_is_filled_again_only_when_the_technician_says_so_and_once() {
    let (mut world, _) = World::granted(Password, "d0", password());
    submit(&mut world, password(), Key::Password);
    let refused = with_error(password(), "50126");
    assert!(deeds(&world.see("d1", refused.clone())).is_empty());
    for _ in 0..10 {
        world.pass(60_000);
        assert!(deeds(&ring(&mut world)).is_empty());
        assert!(deeds(&world.see("d1", refused.clone())).is_empty());
    }
    assert_eq!(world.status(), "refused_credential");
    let again = world.send(Event::PopupAction { action: Action::Retry {} });
    assert_eq!(deeds(&again), ["ask password"]);
    submit(&mut world, refused.clone(), Key::Password);
    assert!(deeds(&world.see("d2", refused.clone())).is_empty());
    assert!(deeds(&world.send(Event::PopupAction { action: Action::Retry {} })).is_empty(), "once");
}

#[test]
fn a_fresh_pass_gets_one_more_try() {
    let (mut world, _) = World::granted(TemporaryAccessPass, "d0", access_pass());
    submit(&mut world, access_pass(), Key::AccessPass);
    let refused = with_error(access_pass(), "130503");
    assert!(deeds(&world.see("d1", refused.clone())).is_empty());
    world.pass(2000);
    assert_eq!(deeds(&ring(&mut world)), ["ask access_pass"]);
    submit(&mut world, refused.clone(), Key::AccessPass);
    assert!(deeds(&world.see("d2", refused.clone())).is_empty());
    world.pass(60_000);
    assert!(deeds(&ring(&mut world)).is_empty());
    assert_eq!(world.status(), "refused_pass_invalid");
}

#[test]
fn a_new_account_is_waited_for_and_an_old_one_is_not() {
    for created in [true, false] {
        let mut world = World::new();
        world.see("d1", user_name(""));
        world.open_popup(&[tenant(Password)]);
        world.click();
        let start = world.request(|request| matches!(request, Request::StartLease { .. })).id;
        if created {
            let progress = Progress { step: Step::CreateAccount, state: StepState::Started };
            world.frame(HostFrame::Progress { id: start, progress });
        }
        assert_eq!(deeds(&world.done(user_name(UPN))), ["click primary"]);
        let unknown = add(user_name(UPN), seen(Key::UserNameError));
        assert!(deeds(&world.done(unknown.clone())).is_empty());
        assert_eq!(world.status(), "status_activating", "asked before the account was there");
        assert!(deeds(&world.grant(Password)).is_empty());
        if !created {
            assert_eq!(world.status(), "refused_unknown_user");
            continue;
        }
        assert_eq!(world.status(), "status_not_yet");
        world.pass(2000);
        assert_eq!(deeds(&ring(&mut world)), ["click primary"], "the name stands there: only Next");
        world.done(busy(unknown));
        assert_eq!(deeds(&world.see("d1", password())), ["ask password"]);
    }
}

#[test]
fn a_pass_that_never_comes_ends_in_words() {
    let (mut world, effects) = World::granted(TemporaryAccessPass, "d1", password());
    let mut backs = deeds(&effects).len();
    for _ in 0..30 {
        if world.status() == "page_no_pass" {
            break;
        }
        // Back to the user name, Next, and the password again.
        world.done(busy(password()));
        world.see("d1", user_name(UPN));
        world.done(busy(user_name(UPN)));
        let mut effects = world.see("d1", password());
        for _ in 0..30 {
            world.pass(1000);
            effects.extend(ring(&mut world));
            if !deeds(&effects).is_empty() || world.status() == "page_no_pass" {
                break;
            }
        }
        backs += deeds(&effects).iter().filter(|deed| *deed == "click back").count();
    }
    assert_eq!(world.status(), "page_no_pass");
    assert_eq!(backs, 5);
    assert!(!deeds(&world.effects).iter().any(|deed| deed.starts_with("ask") || deed.starts_with("fill password")));
}

// ---- between looking and acting ----

#[test]
fn a_secret_that_comes_too_late_is_dropped() {
    type Change = fn(&mut World);
    let late: [(&str, Change); 5] = [
        ("another document", |world| drop(world.see("d2", raw()))),
        ("the tab left", |world| {
            drop(world.send(Event::TabNavigated { tab_id: TAB, url: Some("https://evil.test/".to_owned()) }))
        }),
        ("the tab was closed", |world| drop(world.send(Event::TabClosed { tab_id: TAB }))),
        ("another view", |world| drop(world.see("d1", user_name(UPN)))),
        ("stopped", |world| drop(world.send(Event::PopupAction { action: Action::StopSignIn {} }))),
    ];
    for (name, change) in late {
        let (mut world, effects) = World::granted(Password, "d1", password());
        assert_eq!(deeds(&effects), ["ask password"]);
        change(&mut world);
        assert!(!deeds(&world.hand_out(Password)).iter().any(|deed| deed == "fill password"), "{name}");
        let before = world.effects.len();
        world.see("d1", password());
        assert!(
            !deeds(&world.effects[before..]).iter().any(|deed| deed.contains("password")),
            "{name}: not asked twice"
        );
    }
}

#[test]
fn a_secret_of_another_lease_account_or_kind_is_dropped() {
    let right = secret(Password);
    for wrong in [
        Secret { lease_id: Uuid::from_u128(1), ..right.clone() },
        Secret { user_name: "kim@contoso.com".to_owned(), ..right.clone() },
        Secret { credential: TemporaryAccessPass, ..right },
    ] {
        let (mut world, _) = World::granted(Password, "d1", password());
        let id = world.request(|request| matches!(request, Request::FillCredential { .. })).id;
        assert!(deeds(&world.reply(id.0, Reply::Secret(wrong))).is_empty());
    }
}

#[test]
fn a_secret_that_nobody_asked_for_is_dropped() {
    let (mut world, _) = World::granted(Password, "d1", raw());
    for id in 0..20 {
        let effects = world.reply(id, Reply::Secret(secret(Password)));
        assert!(deeds(&effects).is_empty());
        assert!(!serde_json::to_string(&effects).unwrap().contains(SECRET));
    }
}

#[test]
fn a_document_is_filled_once_even_from_the_back_forward_cache() {
    let (mut world, _) = World::granted(Password, "d1", password());
    submit(&mut world, password(), Key::Password);
    world.see("d2", with_error(password(), "50126"));
    world.pass(60_000);
    assert!(deeds(&world.see("d1", password())).is_empty());
    assert!(deeds(&world.see("d1", filled(password(), Key::Password))).is_empty());
}

#[test]
fn a_second_click_on_a_filled_document_fills_nothing() {
    let (mut world, _) = World::granted(Password, "d1", password());
    world.hand_out(Password);
    world.send(Event::PopupAction { action: Action::StopSignIn {} });
    assert!(deeds(&world.click()).is_empty());
    assert!(deeds(&world.see("d1", password())).is_empty());
    assert_eq!(deeds(&world.see("d2", password())), ["ask password"], "a new document is another matter");
}

#[test]
fn a_page_that_comes_back_without_a_word_is_not_filled_again() {
    let (mut world, _) = World::granted(Password, "d1", password());
    world.hand_out(Password);
    assert_eq!(deeds(&world.done(filled(password(), Key::Password))), ["click primary"]);
    assert!(deeds(&world.see("d2", password())).is_empty());
    assert_eq!(world.status(), "page_asks_again");
    // Once more when the technician says so, and then not again.
    assert_eq!(deeds(&world.send(Event::PopupAction { action: Action::Retry {} })), ["ask password"]);
    world.hand_out(Password);
    assert_eq!(deeds(&world.done(filled(password(), Key::Password))), ["click primary"]);
    assert!(deeds(&world.see("d3", password())).is_empty());
    let PopupView::Progress(progress) = world.view() else { panic!() };
    assert!(progress.needs_person && !progress.can_retry);
}

#[test]
fn a_fill_that_the_page_did_not_take_is_not_repeated() {
    for outcome in
        [Outcome::ValueLost, Outcome::PageChanged, Outcome::NotThere, Outcome::Covered, Outcome::DocumentGone]
    {
        let (mut world, _) = World::granted(Password, "d1", password());
        world.hand_out(Password);
        assert!(deeds(&world.acted(outcome, Some(password()))).is_empty(), "{outcome:?}");
        assert!(deeds(&world.see("d1", password())).is_empty(), "{outcome:?}");
        let PopupView::Progress(progress) = world.view() else { panic!() };
        assert!(progress.needs_person, "{outcome:?}");
    }
}

#[test]
fn a_user_name_that_did_not_arrive_is_tried_some_times() {
    let (mut world, effects) = World::granted(Password, "d1", user_name(""));
    let mut fills = deeds(&effects).len();
    for _ in 0..30 {
        if deeds(&world.acted(Outcome::PageChanged, Some(user_name("")))).is_empty() {
            break;
        }
        fills += 1;
    }
    assert_eq!(world.status(), "page_loop");
    assert_eq!(fills, 7);
}

#[test]
fn a_user_name_that_somebody_changed_stays() {
    let (mut world, _) = World::granted(Password, "d1", user_name(""));
    assert!(deeds(&world.done(user_name("kim@contoso.com"))).is_empty());
    assert_eq!(world.status(), "page_refuses_value");
}

#[test]
fn an_answer_to_another_act_is_ignored() {
    let (mut world, _) = World::granted(Password, "d1", user_name(""));
    for (tab_id, document, act) in [(TAB, "d1", 999), (TAB, "d9", 1), (8, "d1", 1)] {
        let effects = world.send(Event::Acted {
            tab_id,
            document_id: document.to_owned(),
            act,
            outcome: Outcome::Done,
            snapshot: Some(user_name(UPN)),
        });
        assert!(deeds(&effects).is_empty());
    }
}

#[test]
fn pages_that_come_back_too_often_stop_it() {
    let (mut world, _) = World::granted(Password, "d0", raw());
    for document in 1..15 {
        world.see(&format!("d{document}"), raw());
    }
    assert_eq!(world.status(), "page_loop");
}

#[test]
fn a_tab_that_goes_elsewhere_waits_and_then_ends() {
    let (mut world, _) = World::granted(Password, "d1", user_name(""));
    world.send(Event::TabNavigated { tab_id: TAB, url: Some("https://example.com/".to_owned()) });
    assert_eq!(world.status(), "page_elsewhere");
    // It comes back: the sign-in goes on.
    world.send(Event::TabNavigated { tab_id: TAB, url: Some(AUTHORIZE.to_owned()) });
    assert_eq!(deeds(&world.see("d2", password())), ["ask password"]);
    // It leaves for good.
    world.send(Event::TabNavigated { tab_id: TAB, url: Some("https://example.com/".to_owned()) });
    world.pass(60_000);
    world.send(Event::TimerRang { name: format!("gone:{TAB}") });
    assert_eq!(world.status(), "page_elsewhere");
    let asked_before = world.open_requests().len();
    assert!(deeds(&world.see("d3", password())).is_empty(), "it is over");
    assert_eq!(
        world.open_requests()[asked_before..]
            .iter()
            .filter(|frame| matches!(frame.request, Request::FillCredential { .. }))
            .count(),
        0
    );
}

#[test]
fn a_page_that_never_answers_is_said() {
    let mut world = World::new();
    world.open_popup(&[tenant(Password)]);
    world.click();
    world.grant(Password);
    world.pass(5000);
    world.send(Event::TimerRang { name: format!("silent:{TAB}") });
    assert_eq!(world.status(), "page_silent");
    // And when it answers after all, the sign-in goes on.
    assert_eq!(deeds(&world.see("d1", password())), ["ask password"]);
}

#[test]
fn two_tabs_sign_in_to_two_tenants() {
    let mut world = World::new();
    let tenants = [tenant(Password), other_tenant()];
    world.see_at(1, "a1", AUTHORIZE, user_name(""));
    world.see_at(2, "b1", AUTHORIZE, user_name(""));
    let mut filled = Vec::new();
    for (tab_id, tenant_id) in [(1, TENANT), (2, OTHER_TENANT)] {
        world.send(Event::PopupOpened { tab_id: Some(tab_id), url: Some(AUTHORIZE.to_owned()) });
        world.greet(&tenants);
        let effects = world.send(Event::PopupAction { action: Action::Start { tenant_id, wish: Wish::default() } });
        world.send(Event::PopupClosed {});
        filled.extend(effects.into_iter().filter_map(|effect| match effect {
            latchkey_wasm::brain::Effect::Fill { tab_id, value, .. } => Some((tab_id, value.0)),
            _ => None,
        }));
    }
    assert_eq!(filled, [(1, UPN.to_owned()), (2, "jit-alex@fabrikam.com".to_owned())]);
    // The lease of one tenant gives the other tab nothing.
    let id = RequestId(
        asked(&world.effects)
            .into_iter()
            .find(|frame| matches!(frame.request, Request::StartLease { tenant_id, .. } if tenant_id == TENANT))
            .unwrap()
            .id
            .0,
    );
    world.reply(id.0, Reply::Lease { lease: lease(Password) });
    let other = with_identity(password(), "jit-alex@fabrikam.com");
    for (tab_id, snapshot, expected) in [(2, other, 0), (1, password(), 1)] {
        world.send(Event::Acted {
            tab_id,
            document_id: if tab_id == 1 { "a1" } else { "b1" }.to_owned(),
            act: u32::try_from(tab_id).unwrap(),
            outcome: Outcome::DocumentGone,
            snapshot: None,
        });
        let effects = world.see_at(tab_id, &format!("{tab_id}2"), LOGIN, snapshot);
        assert_eq!(deeds(&effects).len(), expected, "tab {tab_id}");
    }
}
