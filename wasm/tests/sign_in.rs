//! Whole sign-ins, event by event.
#![cfg(feature = "brain")]
#![allow(clippy::unwrap_used)]

mod support;

use latchkey_protocol::{CredentialKind, FillField, Request};
use latchkey_wasm::{
    brain::{Effect, Event, Icon},
    elements::ElementKey,
    popup::view::{PopupView, StepProgress},
};
use support::*;

#[test]
fn with_a_password_from_click_to_portal() {
    let mut world = World::new();
    world.see("d1", raw());
    assert!(deeds(&world.see("d1", user_name(""))).is_empty(), "before the click nothing is touched");
    world.open_popup(&[tenant(CredentialKind::Password)]);
    assert!(matches!(world.view(), PopupView::Confirm(_)), "{:?}", world.view());

    // The user name is filled while the activation runs.
    assert_eq!(deeds(&world.click()), ["fill user_name"]);
    assert_eq!(deeds(&world.done(user_name(UPN))), ["click primary"]);
    world.done(busy(user_name(UPN)));
    assert!(deeds(&world.see("d1", password())).is_empty(), "no credential before the account is active");
    assert_eq!(world.status(), "status_activating");

    assert_eq!(deeds(&world.grant(CredentialKind::Password)), ["ask password"]);
    let Request::FillCredential { field, document, .. } =
        world.request(|request| matches!(request, Request::FillCredential { .. })).request
    else {
        panic!()
    };
    assert_eq!(field, FillField::Password);
    assert_eq!((document.tab_id, document.document_id.as_str()), (TAB, "d1"));
    assert_eq!(document.origin, "https://login.microsoftonline.com");

    let effects = world.hand_out(CredentialKind::Password);
    assert_eq!(deeds(&effects), ["fill password"]);
    let Some(Effect::Fill { value, document_id, origin, .. }) =
        effects.iter().find(|effect| matches!(effect, Effect::Fill { .. }))
    else {
        panic!()
    };
    assert_eq!(
        (value.0.as_str(), document_id.as_str(), origin.as_str()),
        (SECRET, "d1", "https://login.microsoftonline.com")
    );

    assert_eq!(deeds(&world.done(filled(password(), ElementKey::Password))), ["click primary"]);
    world.acted(latchkey_wasm::brain::Outcome::DocumentGone, None);
    world.url = LOGIN.to_owned();
    assert_eq!(deeds(&world.see("d2", stay_signed_in())), ["click back"]);
    world.done(stay_signed_in());

    let effects = world.send(Event::TabNavigated { tab_id: TAB, url: Some("https://portal.azure.com/".to_owned()) });
    assert!(
        asked(&effects)
            .iter()
            .any(|frame| matches!(frame.request, Request::ConfirmSignIn { lease_id } if lease_id == LEASE))
    );
    let PopupView::Active(active) = world.view() else { panic!("{:?}", world.view()) };
    assert_eq!(active.page.unwrap().key, "signed_in");
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::SetIcon { tab_id: None, icon: Icon::Active })));
}

#[test]
fn with_a_pass_that_the_page_offers_first() {
    let mut world = World::new();
    world.see("d1", user_name(""));
    world.open_popup(&[tenant(CredentialKind::TemporaryAccessPass)]);
    world.click();
    world.done(user_name(UPN));
    world.done(busy(user_name(UPN)));
    world.grant(CredentialKind::TemporaryAccessPass);
    assert_eq!(deeds(&world.see("d1", access_pass())), ["ask access_pass"]);
    assert_eq!(deeds(&world.hand_out(CredentialKind::TemporaryAccessPass)), ["fill access_pass"]);
    assert_eq!(deeds(&world.done(filled(access_pass(), ElementKey::AccessPass))), ["click primary"]);
    let PopupView::Progress(progress) = world.view() else { panic!() };
    assert_eq!(progress.steps[0].state, StepProgress::Done);
    assert_eq!(progress.steps[1].state, StepProgress::Done);
}

#[test]
fn a_pass_that_was_made_after_next_is_asked_for_again() {
    let mut world = World::new();
    world.see("d1", user_name(""));
    world.open_popup(&[tenant(CredentialKind::TemporaryAccessPass)]);
    world.click();
    world.done(user_name(UPN));
    world.done(busy(user_name(UPN)));
    assert!(deeds(&world.see("d1", password())).is_empty());
    assert_eq!(deeds(&world.grant(CredentialKind::TemporaryAccessPass)), ["click back"]);
    world.done(busy(password()));
    assert_eq!(deeds(&world.see("d1", user_name(UPN))), ["click primary"], "no second fill: it still stands there");
    world.done(busy(user_name(UPN)));
    assert_eq!(deeds(&world.see("d1", access_pass())), ["ask access_pass"]);
}

#[test]
fn a_link_to_the_pass_is_taken() {
    let with_link = add(password(), seen(ElementKey::ToAccessPass));
    let (_, effects) = World::granted(CredentialKind::TemporaryAccessPass, "d1", with_link);
    assert_eq!(deeds(&effects), ["click to_access_pass"]);
}

#[test]
fn a_pass_view_that_names_nobody_is_ours_only_after_our_user_name() {
    let nameless = || {
        let mut page = access_pass();
        page.identity = None;
        page.fingerprint = fingerprint(&page);
        page
    };
    let mut world = World::new();
    world.see("d1", user_name(""));
    world.open_popup(&[tenant(CredentialKind::TemporaryAccessPass)]);
    world.click();
    world.done(user_name(UPN));
    world.done(busy(user_name(UPN)));
    world.grant(CredentialKind::TemporaryAccessPass);
    assert_eq!(deeds(&world.see("d1", nameless())), ["ask access_pass"]);

    // Another document, and an address that names nobody either.
    let mut world = World::new();
    world.see("d1", nameless());
    world.open_popup(&[tenant(CredentialKind::TemporaryAccessPass)]);
    world.click();
    assert!(deeds(&world.grant(CredentialKind::TemporaryAccessPass)).is_empty());
    world.url = format!("{AUTHORIZE}&login_hint=jit-alex%40contoso.onmicrosoft.com");
    assert_eq!(deeds(&world.see("d2", nameless())), ["ask access_pass"]);
}

#[test]
fn a_page_without_an_id_is_read_by_what_it_shows() {
    let mut world = World::new();
    let nameless = |mut page: latchkey_wasm::brain::Snapshot| {
        page.page_id = None;
        page.fingerprint = fingerprint(&page);
        page
    };
    world.see("d1", nameless(user_name("")));
    world.open_popup(&[tenant(CredentialKind::Password)]);
    assert_eq!(deeds(&world.click()), ["fill user_name"]);
    assert_eq!(deeds(&world.done(nameless(user_name(UPN)))), ["click primary"]);
    world.done(busy(nameless(user_name(UPN))));
    world.see("d1", nameless(password()));
    assert_eq!(deeds(&world.grant(CredentialKind::Password)), ["ask password"]);
}

#[test]
fn the_browser_offers_to_save_nothing_while_a_sign_in_runs() {
    let offers = |effects: &[Effect]| {
        effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::SavePasswords { allowed } => Some(*allowed),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let mut world = World::new();
    assert_eq!(offers(&world.send(Event::WorkerStarted {})), [true], "what a crash left behind is taken back");
    world.see("d1", user_name(""));
    world.open_popup(&[tenant(CredentialKind::Password)]);
    assert_eq!(offers(&world.click()), [false]);
    let effects = world.send(Event::PopupAction { action: latchkey_wasm::brain::Action::StopSignIn {} });
    assert!(offers(&effects).is_empty(), "the browser asks a moment later");
    let timer = effects.iter().find_map(|effect| match effect {
        Effect::SetTimer { name, .. } if name == "offer" => Some(name.clone()),
        _ => None,
    });
    assert_eq!(offers(&world.send(Event::TimerRang { name: timer.unwrap() })), [true]);
}
