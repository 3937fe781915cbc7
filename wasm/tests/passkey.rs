//! Passkeys: when the browser's door stands open, whose request is answered, and who has to be there.
#![cfg(feature = "brain")]
#![allow(clippy::unwrap_used)]

mod support;

use latchkey_protocol::{
    CredentialKind::{Passkey, Password, TemporaryAccessPass},
    ErrorBody, ErrorCode, HostFrame, LeaseSummary, PasskeyResponse, PersonState, Pin, Reply, Request, RequestId,
    TenantSummary,
};
use latchkey_wasm::{
    brain::{Action, Effect, Event, Snapshot, event::Door},
    elements::ElementKey as Key,
    popup::view::PopupView,
};
use serde_json::{Value, json};
use support::*;

const FIDO: &str = "https://login.microsoft.com/contoso.onmicrosoft.com/fido/get";
const CHALLENGE: &str = "bm90LWEtcmVhbC1jaGFsbGVuZ2U";
const ANSWER: &str = "{\"answer\":\"S3cret-Zq9!never-anywhere\"}";

fn planned() -> TenantSummary {
    let mut tenant = tenant(Passkey);
    tenant.credential.otherwise = Some(TemporaryAccessPass);
    tenant
}

/// A browser with a door, on the page of the user name, clicked.
fn clicked() -> World {
    let mut world = World::new();
    let effects = world.send(Event::PasskeyDoor { door: Door::Shut });
    assert_eq!(doors(&effects), [false], "what a crash left open is shut");
    world.send(Event::PasskeyDoor { door: Door::Shut });
    world.see("d1", user_name(""));
    world.open_popup(&[planned()]);
    assert_eq!(doors(&world.effects), [false], "not before the click");
    world.click();
    assert_eq!(doors(&world.effects), [false, true]);
    world.send(Event::PasskeyDoor { door: Door::Open });
    world
}

/// The same with the lease, on the page that asks for the passkey.
fn asking() -> World {
    let mut world = clicked();
    world.grant(Passkey);
    world.verified();
    world.see_at(TAB, "d2", FIDO, passkey_page(CHALLENGE));
    world
}

fn passkey_page(challenge: &str) -> Snapshot {
    let elements = vec![seen(Key::Back), seen(Key::Identity), seen(Key::ToCredentials)];
    let mut snapshot = with_identity(page("ConvergedSignIn", &["23"], elements), UPN);
    snapshot.challenge = Some(challenge.to_owned());
    snapshot
}

fn request() -> Value {
    json!({
        "challenge": CHALLENGE,
        "rpId": "login.microsoft.com",
        "userVerification": "required",
        "allowCredentials": [],
        "extensions": { "remoteDesktopClientOverride": {
            "origin": "https://login.microsoft.com", "sameOriginWithAncestors": true,
        } },
    })
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut request = request();
    *request.pointer_mut(pointer).unwrap() = value;
    request
}

fn doors(effects: &[Effect]) -> Vec<bool> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::PasskeyDoor { open } = effect { Some(*open) } else { None })
        .collect()
}

fn answers(effects: &[Effect]) -> Vec<(i32, bool)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::AnswerPasskey { request_id, response } => Some((*request_id, response.is_some())),
            _ => None,
        })
        .collect()
}

impl World {
    fn asks(&mut self, request_id: i32, request: &Value) -> Vec<Effect> {
        self.send(Event::PasskeyAsked { request_id, details: request.to_string() })
    }

    fn person(&mut self, person: PersonState) -> Vec<Effect> {
        let id = self.request(|request| matches!(request, Request::VerifyPerson { .. })).id.0;
        self.reply(id, Reply::Person(person))
    }

    fn verified(&mut self) -> Vec<Effect> {
        let until = Some(self.now + 3_600_000);
        self.person(PersonState { verified: true, until, pin_set: true, ..PersonState::default() })
    }

    fn assertions(&self) -> usize {
        asked(&self.effects).iter().filter(|frame| matches!(frame.request, Request::AssertPasskey { .. })).count()
    }

    fn signs(&mut self) -> Vec<Effect> {
        let id = self.request(|request| matches!(request, Request::AssertPasskey { .. })).id.0;
        self.reply(id, Reply::Passkey(PasskeyResponse { lease_id: LEASE, response: ANSWER.to_owned() }))
    }

    fn refuses(&mut self, code: ErrorCode) -> Vec<Effect> {
        let id = self.request(|request| matches!(request, Request::AssertPasskey { .. })).id;
        self.frame(HostFrame::Error { id: Some(id), error: ErrorBody::new(code, "No.", "") })
    }

    fn replacements(&self) -> Vec<RequestId> {
        asked(&self.effects)
            .iter()
            .filter(|frame| matches!(frame.request, Request::ReplaceCredential { refused: Passkey, .. }))
            .map(|frame| frame.id)
            .collect()
    }
}

#[test]
fn the_page_of_the_click_is_answered_once_and_the_door_is_shut() {
    let mut world = asking();
    assert!(answers(&world.asks(1, &request())).is_empty());
    let effects = world.signs();
    assert_eq!(answers(&effects), [(1, true)]);
    assert_eq!(doors(&effects), [false], "in the same breath, after the answer");
    let order = |wanted: fn(&Effect) -> bool| effects.iter().position(wanted).unwrap();
    let answer = order(|effect| matches!(effect, Effect::AnswerPasskey { .. }));
    assert!(answer < order(|effect| matches!(effect, Effect::PasskeyDoor { .. })));
    world.send(Event::PasskeyDoor { door: Door::Shut });
    assert_eq!(world.status(), "status_submitted");
    assert!(!world.brain.state().contains("S3cret"), "an answer is kept nowhere");
    let after = world.send(Event::TabNavigated { tab_id: TAB, url: Some("https://portal.azure.com/".to_owned()) });
    assert!(asked(&after).iter().any(|frame| matches!(frame.request, Request::ConfirmSignIn { .. })));
    assert_eq!(world.assertions(), 1);
}

#[test]
fn a_lease_is_asked_for_with_a_passkey_where_there_is_a_door() {
    let world = clicked();
    let start = world.request(|request| matches!(request, Request::StartLease { .. }));
    let Request::StartLease { passkey: true, tenant_id, .. } = start.request else { panic!("{start:?}") };
    // The operating system's window is to name the tenant.
    let verify = world.request(|request| matches!(request, Request::VerifyPerson { .. }));
    assert_eq!(verify.request, Request::VerifyPerson { pin: None, tenant_id: Some(tenant_id) });
    let mut world = World::new();
    world.see("d1", user_name(""));
    world.open_popup(&[planned()]);
    let effects = world.click();
    assert!(asked(&effects).iter().any(|frame| matches!(frame.request, Request::StartLease { passkey: false, .. })));
    assert!(!asked(&effects).iter().any(|frame| matches!(frame.request, Request::VerifyPerson { .. })));
    assert!(doors(&world.effects).is_empty());
}

#[test]
fn nothing_goes_on_before_the_door_is_open() {
    let mut world = World::new();
    world.send(Event::PasskeyDoor { door: Door::Shut });
    world.send(Event::PasskeyDoor { door: Door::Shut });
    world.see("d1", user_name(UPN));
    world.open_popup(&[planned()]);
    let effects = world.click();
    assert!(deeds(&effects).is_empty(), "the page could ask before anybody listens");
    assert_eq!(deeds(&world.send(Event::PasskeyDoor { door: Door::Open })), ["click primary"]);
}

#[test]
fn what_is_no_request_of_a_sign_in_page_is_refused_at_once() {
    let origin = "/extensions/remoteDesktopClientOverride/origin";
    let requests = [
        changed(origin, json!("https://evil.test")),
        changed(origin, json!("https://login.microsoft.com.evil.test")),
        changed(origin, json!("https://login.microsoft.com/")),
        changed(origin, json!("http://login.microsoft.com")),
        changed(origin, Value::Null),
        changed("/extensions/remoteDesktopClientOverride/sameOriginWithAncestors", json!(false)),
        changed("/rpId", json!("microsoft.com")),
        changed("/rpId", json!("login.microsoftonline.com")),
        changed("/rpId", Value::Null),
        changed("/challenge", json!(7)),
        changed("/extensions", json!({})),
        Value::Null,
        json!([]),
    ];
    let mut world = asking();
    for (id, request) in (1..).zip(&requests) {
        assert_eq!(answers(&world.asks(id, request)), [(id, false)], "{request}");
    }
    let effects = world.send(Event::PasskeyAsked { request_id: 99, details: "{".to_owned() });
    assert_eq!(answers(&effects), [(99, false)]);
    assert_eq!(world.assertions(), 0);
    // The sign-in itself goes on.
    world.asks(100, &request());
    assert_eq!(answers(&world.signs()), [(100, true)]);
}

#[test]
fn a_second_tab_on_the_same_host_is_refused_and_may_try_again() {
    let mut world = asking();
    let other = changed("/challenge", json!("YW5vdGhlcg"));
    assert_eq!(answers(&world.asks(1, &other)), [(1, false)]);
    assert_eq!(answers(&world.asks(2, &other)), [(2, false)], "every time at once");
    // A tab at a host where ours is not.
    let elsewhere =
        changed("/extensions/remoteDesktopClientOverride/origin", json!("https://login.microsoftonline.com"));
    let mut elsewhere = elsewhere;
    elsewhere["rpId"] = json!("login.microsoftonline.com");
    assert_eq!(answers(&world.asks(3, &elsewhere)), [(3, false)]);
    assert_eq!(world.assertions(), 0);
}

#[test]
fn a_page_that_has_not_been_seen_is_looked_at_and_not_waited_for_long() {
    let mut world = clicked();
    world.grant(Passkey);
    world.verified();
    world.send(Event::TabNavigated { tab_id: TAB, url: Some(FIDO.to_owned()) });
    let effects = world.asks(1, &request());
    assert!(answers(&effects).is_empty() && effects.contains(&Effect::Look { tab_id: TAB }));
    world.see_at(TAB, "d2", FIDO, passkey_page(CHALLENGE));
    assert_eq!(world.assertions(), 1);

    world.send(Event::PasskeyCanceled { request_id: 1 });
    assert!(answers(&world.signs()).is_empty(), "nobody waits for it any more");

    let mut world = clicked();
    world.send(Event::TabNavigated { tab_id: TAB, url: Some(FIDO.to_owned()) });
    assert!(answers(&world.asks(1, &request())).is_empty());
    world.pass(3_000);
    assert_eq!(answers(&world.send(Event::TimerRang { name: "passkey".to_owned() })), [(1, false)]);
}

#[test]
fn a_page_of_another_account_is_refused() {
    let mut world = asking();
    world.see_at(TAB, "d3", FIDO, with_identity(passkey_page(CHALLENGE), "kim@contoso.com"));
    assert_eq!(answers(&world.asks(1, &request())), [(1, false)]);
    assert_eq!(world.assertions(), 0);
}

#[test]
fn the_request_waits_for_the_lease_and_for_the_person() {
    let mut world = clicked();
    world.see_at(TAB, "d2", FIDO, passkey_page(CHALLENGE));
    assert!(answers(&world.asks(1, &request())).is_empty());
    world.grant(Passkey);
    world.person(PersonState { pin_set: true, ..PersonState::default() });
    // The lease came first: the host was asked, and said that it does not know who is there.
    assert_eq!(world.assertions(), 1);
    world.refuses(ErrorCode::VerificationNeeded);
    world.person(PersonState { pin_set: true, ..PersonState::default() });
    let PopupView::Progress(progress) = world.view() else { panic!("no sign-in is shown") };
    assert!(progress.needs_person && progress.person.is_some_and(|person| person.pin_set), "{progress:?}");
    assert_eq!(progress.status.key, "page_person");

    let pin = Pin("271828".to_owned());
    let effects = world.send(Event::PopupAction { action: Action::VerifyPerson { pin: pin.clone() } });
    let sent: Vec<_> = asked(&effects).into_iter().map(|frame| frame.request).collect();
    assert_eq!(sent, [Request::VerifyPerson { pin: Some(pin), tenant_id: None }]);
    assert!(!world.brain.state().contains("271828") && !format!("{effects:?}").contains("271828"));
    let wrong = PersonState { pin_set: true, wrong: true, tries_left: Some(2), ..PersonState::default() };
    world.person(wrong);
    assert_eq!(world.assertions(), 1, "nobody is there yet");
    world.send(Event::PopupAction { action: Action::VerifyPerson { pin: Pin("271829".to_owned()) } });
    world.verified();
    assert_eq!(world.assertions(), 2);
    assert_eq!(answers(&world.signs()), [(1, true)]);
}

#[test]
fn a_closed_popup_is_opened_when_a_person_is_needed() {
    let mut world = clicked();
    world.grant(Passkey);
    world.send(Event::PopupClosed {});
    let effects = world.person(PersonState { pin_set: true, ..PersonState::default() });
    assert!(effects.contains(&Effect::ShowPopup { tab_id: Some(TAB) }), "over the tab whose sign-in waits");
    let effects = world.person(PersonState::default());
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::ShowPopup { .. })), "nobody can be asked");
}

#[test]
fn where_nobody_can_be_asked_the_next_credential_signs_in() {
    let mut world = clicked();
    world.grant(Passkey);
    world.see_at(TAB, "d2", FIDO, passkey_page(CHALLENGE));
    assert!(world.replacements().is_empty());
    world.person(PersonState::default());
    assert_eq!(world.replacements().len(), 1);
    assert_eq!(doors(&world.effects), [false, true, false]);
    let PopupView::Progress(progress) = world.view() else { panic!("no sign-in is shown") };
    assert_eq!((progress.status.key.as_str(), progress.replaced), ("status_replacing", Some(Passkey)));
}

#[test]
fn whoever_says_no_to_the_operating_system_gets_the_next_credential() {
    let mut world = clicked();
    world.grant(Passkey);
    world.see_at(TAB, "d2", FIDO, passkey_page(CHALLENGE));
    let id = world.request(|request| matches!(request, Request::VerifyPerson { .. })).id;
    let error = ErrorBody::new(ErrorCode::VerificationNeeded, "You closed the window.", "Try again.");
    world.frame(HostFrame::Error { id: Some(id), error });
    assert_eq!((world.replacements().len(), world.assertions()), (1, 0));
}

#[test]
fn refused_at_the_page_the_next_credential_signs_in_once() {
    let mut world = asking();
    world.asks(1, &request());
    world.signs();
    world.send(Event::PasskeyDoor { door: Door::Shut });
    world.see_at(TAB, "d3", LOGIN, with_error(passkey_page(CHALLENGE), "135016"));
    let [id] = world.replacements()[..] else { panic!("it was not replaced") };
    assert_eq!(world.status(), "status_replacing");
    let pass = LeaseSummary { credential: Some(TemporaryAccessPass), ..lease(Passkey) };
    let effects = world.reply(id.0, Reply::Lease { lease: pass });
    assert_eq!(deeds(&effects), ["click to_credentials"]);
    let PopupView::Progress(progress) = world.view() else { panic!("no sign-in is shown") };
    assert_eq!((progress.credential, progress.replaced), (TemporaryAccessPass, Some(Passkey)));
    world.done(passkey_page(CHALLENGE));
    // The pass is refused as well: only one credential is replaced by itself.
    world.see("d4", with_error(access_pass(), "130502"));
    assert_eq!(world.status(), "refused_pass_policy");
    let all = asked(&world.effects);
    assert_eq!(all.iter().filter(|one| matches!(one.request, Request::ReplaceCredential { .. })).count(), 1);
}

#[test]
fn a_pass_that_policy_refuses_is_replaced_too() {
    let (mut world, _) = World::granted(TemporaryAccessPass, "d1", access_pass());
    world.see("d2", with_error(access_pass(), "130502"));
    let replaced = world.request(|request| matches!(request, Request::ReplaceCredential { .. }));
    assert!(matches!(replaced.request, Request::ReplaceCredential { refused: TemporaryAccessPass, .. }));
    let password = LeaseSummary { credential: Some(Password), ..lease(Password) };
    assert_eq!(deeds(&world.reply(replaced.id.0, Reply::Lease { lease: password })), ["click to_password"]);
}

#[test]
fn the_host_says_no() {
    for code in [ErrorCode::PasskeyGone, ErrorCode::OriginNotAllowed, ErrorCode::PasskeyAnswered] {
        let mut world = asking();
        world.asks(1, &request());
        assert_eq!(answers(&world.refuses(code)), [(1, false)], "{code:?}");
        assert_eq!(world.replacements().len(), 1, "{code:?}");
    }
}

#[test]
fn a_door_that_another_extension_holds_is_none() {
    let mut world = World::new();
    world.send(Event::PasskeyDoor { door: Door::Shut });
    world.send(Event::PasskeyDoor { door: Door::Shut });
    world.see("d1", raw());
    world.open_popup(&[planned()]);
    world.click();
    world.send(Event::PasskeyDoor { door: Door::Missing });
    world.grant(Passkey);
    assert_eq!(world.replacements().len(), 1);
}

#[test]
fn the_door_is_shut_when_the_sign_in_ends_however_it_ends() {
    type End = fn(&mut World);
    let ends: [(&str, End); 5] = [
        ("stopped", |world| drop(world.send(Event::PopupAction { action: Action::StopSignIn {} }))),
        ("ended", |world| drop(world.send(Event::PopupAction { action: Action::EndNow { lease_id: LEASE } }))),
        ("closed", |world| drop(world.send(Event::TabClosed { tab_id: TAB }))),
        ("left", |world| {
            let url = Some("https://example.test/".to_owned());
            drop(world.send(Event::TabNavigated { tab_id: TAB, url }));
        }),
        ("late", |world| {
            world.pass(300_000);
            drop(world.send(Event::TimerRang { name: format!("door:{TAB}") }));
        }),
    ];
    for (name, end) in ends {
        let mut world = asking();
        let before = world.effects.len();
        end(&mut world);
        assert_eq!(doors(&world.effects[before..]), [false], "{name}");
        // What came in the meantime is refused as well.
        world.send(Event::PasskeyDoor { door: Door::Shut });
        assert_eq!(answers(&world.asks(1, &request())), [(1, false)], "{name}");
    }
}

#[test]
fn a_new_worker_shuts_the_door_before_it_opens_it() {
    let mut world = asking();
    let state = world.brain.state();
    world.brain = latchkey_wasm::brain::Brain::new(Some(&state), "0.1.0");
    let mut effects = world.send(Event::PasskeyDoor { door: Door::Shut });
    effects.extend(world.send(Event::WorkerStarted {}));
    assert_eq!(doors(&effects), [false]);
    world.send(Event::PasskeyDoor { door: Door::Shut });
    assert_eq!(doors(&world.see_at(TAB, "d2", FIDO, passkey_page(CHALLENGE))), [] as [bool; 0]);
    assert_eq!(doors(&world.effects).last(), Some(&true), "the sign-in goes on");
}

/// The worker is stopped and the next one starts, on the same page.
fn restarted(world: &mut World, document: &str) -> Vec<Effect> {
    let state = world.brain.state();
    world.brain = latchkey_wasm::brain::Brain::new(Some(&state), "0.1.0");
    let mut effects = world.send(Event::PasskeyDoor { door: Door::Shut });
    effects.extend(world.send(Event::WorkerStarted {}));
    effects.extend(world.send(Event::PasskeyDoor { door: Door::Shut }));
    effects.extend(world.see_at(TAB, document, FIDO, passkey_page(CHALLENGE)));
    effects
}

#[test]
fn whether_an_answer_arrived_that_a_stopped_worker_gave_shows_in_the_page() {
    let mut world = asking();
    world.asks(1, &request());
    world.signs();
    let before = world.effects.len();
    let effects = restarted(&mut world, "d2");
    world.greet(&[planned()]);
    assert_eq!(doors(&effects), [false], "it may have arrived, so nothing is to be answered");
    world.pass(8_000);
    let effects = world.send(Event::TimerRang { name: format!("page:{TAB}") });
    assert_eq!(doors(&effects), [true], "it did not: the passkey is asked for anew");
    assert!(deeds(&world.effects[before..]).is_empty());
    world.send(Event::PasskeyDoor { door: Door::Open });
    assert_eq!(deeds(&world.grant(Passkey)), ["click to_credentials"]);
    assert!(world.replacements().is_empty());
}

#[test]
fn an_answer_that_the_page_comes_back_after_is_in_doubt_for_nobody() {
    let mut world = asking();
    world.asks(1, &request());
    world.signs();
    world.send(Event::PasskeyDoor { door: Door::Shut });
    world.pass(8_000);
    let timer = Event::TimerRang { name: format!("page:{TAB}") };
    assert!(doors(&world.send(timer.clone())).is_empty(), "the worker that gave it knows");
    world.pass(12_000);
    world.send(timer);
    assert_eq!(world.status(), "page_changing");
    let effects = world.see_at(TAB, "d3", FIDO, passkey_page(CHALLENGE));
    assert!(doors(&effects).is_empty());
    assert_eq!(world.replacements().len(), 1, "another page asks again");
}

#[test]
fn a_sign_in_whose_page_says_nothing_wakes_its_worker() {
    let mut world = clicked();
    let alarms = |effects: &[Effect], of: fn(&Effect) -> bool| effects.iter().filter(|effect| of(effect)).count();
    let set = |effect: &Effect| matches!(effect, Effect::SetAlarm { .. });
    assert_eq!(alarms(&world.effects, set), 1);
    let effects = world.send(Event::PopupAction { action: Action::StopSignIn {} });
    assert_eq!(alarms(&effects, |effect| matches!(effect, Effect::ClearAlarm { .. })), 1);
}

#[test]
fn the_host_is_kept_while_it_remembers_the_person() {
    let mut world = asking();
    world.asks(1, &request());
    world.signs();
    world.send(Event::TabNavigated { tab_id: TAB, url: Some("https://portal.azure.com/".to_owned()) });
    let confirm = world.request(|request| matches!(request, Request::ConfirmSignIn { .. })).id.0;
    world.reply(confirm, Reply::Lease { lease: lease(Passkey) });
    world.send(Event::PopupClosed {});
    for minutes in [2, 40] {
        world.pass(minutes * 60_000);
        let effects = world.send(Event::TimerRang { name: "idle".to_owned() });
        assert!(!effects.contains(&Effect::DisconnectHost {}), "{minutes}");
    }
    world.pass(60 * 60_000);
    world.send(Event::TimerRang { name: "page".to_owned() });
    world.pass(10_000);
    let effects = world.send(Event::TimerRang { name: "idle".to_owned() });
    assert!(effects.contains(&Effect::DisconnectHost {}), "it has forgotten by itself");
}

/// A sign-in with a pass into an account that has a passkey as well.
fn kept() -> TenantSummary {
    let mut tenant = tenant(TemporaryAccessPass);
    tenant.credential.passkey_kept = true;
    tenant
}

#[test]
fn where_the_account_has_a_passkey_that_does_not_sign_in_the_person_is_kept_from_being_asked() {
    let mut world = World::new();
    world.send(Event::PasskeyDoor { door: Door::Shut });
    world.send(Event::PasskeyDoor { door: Door::Shut });
    world.see("d1", user_name(UPN));
    world.open_popup(&[kept()]);
    let effects = world.click();
    assert_eq!(doors(&effects), [true]);
    assert!(deeds(&effects).is_empty(), "the page could ask before anybody listens");
    assert_eq!(deeds(&world.send(Event::PasskeyDoor { door: Door::Open })), ["click primary"]);
    world.grant(TemporaryAccessPass);
    assert!(!asked(&world.effects).iter().any(|frame| matches!(frame.request, Request::VerifyPerson { .. })));
    world.done(user_name(UPN));

    // Refused at once, seen or not, and the page's other ways are taken.
    world.send(Event::TabNavigated { tab_id: TAB, url: Some(FIDO.to_owned()) });
    assert_eq!(answers(&world.asks(1, &request())), [(1, false)]);
    let effects = world.see_at(TAB, "d2", FIDO, passkey_page(CHALLENGE));
    assert_eq!(deeds(&effects), ["click to_credentials"]);
    assert_eq!(answers(&world.asks(2, &request())), [(2, false)], "each time");
    assert_eq!(world.assertions(), 0);

    let effects = world.send(Event::PopupAction { action: Action::StopSignIn {} });
    assert_eq!(doors(&effects), [false], "with the sign-in");
}

#[test]
fn where_there_is_no_door_the_other_ways_are_taken_all_the_same() {
    let mut world = World::new();
    world.see("d1", user_name(UPN));
    world.open_popup(&[kept()]);
    assert_eq!(deeds(&world.click()), ["click primary"]);
    world.grant(TemporaryAccessPass);
    world.done(user_name(UPN));
    assert_eq!(deeds(&world.see_at(TAB, "d2", FIDO, passkey_page(CHALLENGE))), ["click to_credentials"]);
    assert!(doors(&world.effects).is_empty());
}
