//! What the technician prefers: who presses the buttons, what 'Stay signed in?' is answered with, and for how long an
//! access is asked for. No preference widens what the engine allows, and none adds a fill.
#![cfg(feature = "brain")]
#![allow(clippy::unwrap_used)]

mod support;

use latchkey_protocol::{CredentialKind::Password, Request};
use latchkey_wasm::{
    brain::{Effect, Event},
    elements::ElementKey,
    json::Read,
    popup::view::PopupView,
    preferences::{Preferences, StaySignedIn, minutes_within},
    words::Word,
};
use serde_json::json;
use support::*;

fn prefer(world: &mut World, preferences: Preferences) -> Vec<Effect> {
    world.send(Event::PreferencesRead { preferences })
}

#[test]
fn what_cannot_be_read_counts_as_not_set() {
    assert_eq!(Preferences::read(&json!({})), Some(Preferences::default()));
    let odd = json!({"auto_submit": "no", "stay_signed_in": 7, "minutes": -3, "theme": "dark"});
    assert_eq!(Preferences::read(&odd), Some(Preferences::default()));
    for preferences in [Preferences::default(), Preferences { auto_submit: false, stay_signed_in: StaySignedIn::Ask }] {
        let json = serde_json::to_value(&preferences).unwrap();
        assert_eq!(Preferences::read(&json), Some(preferences.clone()), "{json}");
        assert_eq!(serde_json::from_value::<Preferences>(json).unwrap(), preferences);
    }
}

#[test]
fn a_duration_stays_within_the_limit_and_what_was_said_wins() {
    for (said, preferred, asked) in [
        (None, None, None),
        (None, Some(30), Some(30)),
        (None, Some(100_000), Some(480)),
        (None, Some(0), Some(1)),
        (Some(60), Some(30), Some(60)),
        (Some(600), None, Some(480)),
    ] {
        assert_eq!(minutes_within(said, preferred, 480), asked, "{said:?}, {preferred:?}");
    }
    assert_eq!(minutes_within(Some(5), None, 0), Some(1));
}

#[test]
fn without_auto_submit_the_person_presses_every_button() {
    let mut world = World::new();
    prefer(&mut world, Preferences { auto_submit: false, ..Preferences::default() });
    world.see("d1", user_name(""));
    world.open_popup(&[tenant(Password)]);
    assert_eq!(deeds(&world.click()), ["fill user_name"]);
    assert!(deeds(&world.done(user_name(UPN))).is_empty(), "Next is the person's");
    assert_eq!(world.status(), Word::PressYourself.key());
    let PopupView::Progress(progress) = world.view() else { panic!() };
    assert!(progress.needs_person);

    world.see("d1", busy(user_name(UPN)));
    world.grant(Password);
    assert_eq!(deeds(&world.see("d1", password())), ["ask password"]);
    assert_eq!(deeds(&world.hand_out(Password)), ["fill password"]);
    assert!(deeds(&world.done(filled(password(), ElementKey::Password))).is_empty(), "and so is Sign in");
    assert_eq!(world.status(), Word::PressYourself.key());

    // The person pressed it, and the page came back without a word: no second fill.
    assert!(deeds(&world.see("d2", password())).is_empty());
    assert_eq!(world.status(), Word::PageAsksAgain.key());

    // Or it went on: the answer to the question is not a button of the form that was filled.
    assert_eq!(deeds(&world.see("d3", stay_signed_in())), ["click back"]);
    let effects = world.send(Event::TabNavigated { tab_id: TAB, url: Some("https://portal.azure.com/".to_owned()) });
    assert!(asked(&effects).iter().any(|frame| matches!(frame.request, Request::ConfirmSignIn { .. })));
    assert!(matches!(world.view(), PopupView::Active(_)), "{:?}", world.view());
}

#[test]
fn a_page_that_refused_is_not_filled_again_for_whoever_presses_the_button() {
    let (mut world, _) = World::granted(Password, "d1", password());
    prefer(&mut world, Preferences { auto_submit: false, ..Preferences::default() });
    world.hand_out(Password);
    world.done(filled(password(), ElementKey::Password));
    assert!(deeds(&world.see("d2", with_error(password(), "50126"))).is_empty());
    assert_eq!(world.status(), Word::RefusedCredential.key());
}

#[test]
fn stay_signed_in_is_answered_as_preferred() {
    for (answer, deed, status) in [
        (StaySignedIn::No, Some("click back"), Word::StatusSubmitted),
        (StaySignedIn::Yes, Some("click primary"), Word::StatusSubmitted),
        (StaySignedIn::Ask, None, Word::StayYourself),
    ] {
        let (mut world, _) = World::granted(Password, "d1", password());
        prefer(&mut world, Preferences { stay_signed_in: answer, ..Preferences::default() });
        world.hand_out(Password);
        world.done(filled(password(), ElementKey::Password));
        world.acted(latchkey_wasm::brain::Outcome::DocumentGone, None);
        assert_eq!(deeds(&world.see("d2", stay_signed_in())), deed.into_iter().collect::<Vec<_>>(), "{answer:?}");
        assert_eq!(world.status(), status.key(), "{answer:?}");
        // Whoever answered: somebody else's question never is.
        world.pass(1_000);
        assert!(deeds(&world.see("d3", with_identity(stay_signed_in(), "somebody@else.example"))).is_empty());
    }
}
