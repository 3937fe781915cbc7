//! The WASM boundary: JSON in and out, nothing secret where it must not be, and the tables that other files repeat.
#![cfg(feature = "brain")]
#![allow(clippy::unwrap_used)]

mod support;

use std::{collections::BTreeMap, fs, path::Path};

use latchkey_protocol::{CredentialKind::Password, HostFrame, Reply, Request};
use latchkey_wasm::{
    brain::{BrainHandle, Effect, Event, EventFrame, Outcome, element_table_json},
    elements::ElementKey,
    json::{Read, read_text},
    popup::view::PopupView,
    words::{Text, Word},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use support::*;

fn workspace(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// What serde writes is read the same by serde and by the small reader.
fn reads_alike<T: Read + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let json = serde_json::to_value(value).unwrap();
    assert_eq!(T::read(&json).as_ref(), Some(value), "{json}");
    assert_eq!(&serde_json::from_value::<T>(json).unwrap(), value);
}

#[test]
fn every_message_of_the_protocol_is_read_as_serde_reads_it() {
    let mut count = 0;
    for entry in fs::read_dir(workspace("protocol/fixtures")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let Ok(frame) = serde_json::from_str::<HostFrame>(&text) else {
            assert_eq!(read_text::<HostFrame>(&text), None, "{text}");
            continue;
        };
        assert_eq!(read_text::<HostFrame>(&text), Some(frame), "{text}");
        count += 1;
    }
    assert!(count >= 8, "{count} messages from the host are on file");
}

#[test]
fn events_effects_and_views_are_read_as_serde_reads_them() {
    let mut world = World::new();
    let mut events = vec![
        json!({"type": "worker_started"}),
        json!({"type": "tab_navigated", "tab_id": 7, "url": "https://x/"}),
        json!({"type": "tab_navigated", "tab_id": 7}),
        json!({"type": "tab_closed", "tab_id": -1}),
        json!({"type": "popup_opened", "tab_id": 7, "url": null}),
        json!({"type": "popup_opened"}),
        json!({"type": "popup_closed"}),
        json!({"type": "host_message", "frame": {"kind": "nonsense"}}),
        json!({"type": "host_gone", "reason": "x"}),
        json!({"type": "host_gone"}),
        json!({"type": "timer_rang", "name": "x"}),
        json!({"type": "tab_opened", "act": 1, "tab_id": 8}),
        json!({"type": "tab_opened", "act": 2}),
        json!({"type": "notification_pressed", "lease_id": LEASE}),
    ];
    for action in [
        json!({"action": "choose", "tenant_id": TENANT}),
        json!({"action": "list"}),
        json!({"action": "start", "tenant_id": TENANT, "wish": {"minutes": 5, "profile": "a", "reason": "b", "ticket": "c"}}),
        json!({"action": "start", "tenant_id": TENANT}),
        json!({"action": "sign_in", "tenant_id": TENANT}),
        json!({"action": "end_now", "lease_id": LEASE}),
        json!({"action": "reveal", "lease_id": LEASE}),
        json!({"action": "stop_sign_in"}),
        json!({"action": "open_portal", "tenant_id": TENANT, "url": "https://x/", "place": "private_window"}),
        json!({"action": "open_portal", "tenant_id": TENANT, "url": "https://x/", "place": "new_tab", "wish": {}}),
        json!({"action": "open_portal", "tenant_id": TENANT, "url": "https://x/", "place": "this_tab"}),
        json!({"action": "extend", "lease_id": LEASE}),
        json!({"action": "extend", "lease_id": LEASE, "reason": "more"}),
        json!({"action": "end_all"}),
        json!({"action": "retry"}),
    ] {
        events.push(json!({"type": "popup_action", "action": action}));
    }
    for event in events {
        let read = Event::read(&event).unwrap_or_else(|| panic!("{event}"));
        if event["type"] != "host_message" {
            assert_eq!(serde_json::from_value::<Event>(event).unwrap(), read);
        }
        world.send(read);
    }
    for outcome in [
        Outcome::Done,
        Outcome::DocumentGone,
        Outcome::PageChanged,
        Outcome::NotThere,
        Outcome::Covered,
        Outcome::ValueLost,
    ] {
        let snapshot = Some(password());
        reads_alike(&EventFrame {
            now: 5,
            event: Event::Acted { tab_id: 1, document_id: "d".to_owned(), act: 3, outcome, snapshot },
        });
    }
    reads_alike(&user_name("x"));
    reads_alike(&raw());
    // Views of every kind, as the brain makes them.
    let (mut world, _) = World::granted(Password, "d1", user_name(""));
    reads_alike(&world.view());
    world.send(Event::PopupAction { action: latchkey_wasm::brain::Action::StopSignIn {} });
    reads_alike(&world.view());
    world.send(Event::PopupAction { action: latchkey_wasm::brain::Action::List {} });
    reads_alike(&world.view());
    world.send(Event::HostGone { reason: None });
    reads_alike(&world.view());
    let error = latchkey_protocol::ErrorBody::new(latchkey_protocol::ErrorCode::Busy, "m", "n");
    reads_alike(&PopupView::Problem { problem: error });
    reads_alike(&PopupView::Connecting {});
    reads_alike(&PopupView::Ending { lease_id: LEASE });
    reads_alike(&PopupView::ChooseTenant { on_sign_in_page: true });
    let mut world = World::new();
    world.open_popup(&[tenant(Password)]);
    reads_alike(&world.view());
}

#[test]
fn the_state_survives_being_written_and_read() {
    let (world, _) = World::granted(Password, "d1", password());
    let state = world.brain.state();
    let again = latchkey_wasm::brain::Brain::new(Some(&state), "0.1.0");
    let mut expected: Value = serde_json::from_str(&state).unwrap();
    // What a host held, it holds no more; what was asked for and not filled was not asked for.
    expected["leases"][0]["credential_held"] = json!(false);
    expected["flows"][0]["documents"][0]["secret_asked"] = Value::Null;
    assert_eq!(serde_json::from_str::<Value>(&again.state()).unwrap(), expected);
}

#[test]
fn bad_events_are_answered_with_a_line_that_repeats_nothing() {
    let mut handle = BrainHandle::new(None, None, "0.1.0".to_owned());
    let before = handle.state();
    for event in [
        String::new(),
        "null".to_owned(),
        "{".to_owned(),
        "[]".to_owned(),
        SECRET.to_owned(),
        json!(SECRET).to_string(),
        json!({"now": SECRET, "event": SECRET}).to_string(),
        json!({"now": 1, "event": {"type": SECRET}}).to_string(),
        json!({"now": 1, "event": {"type": "page_seen", "tab_id": SECRET}}).to_string(),
        json!({"now": 1.5, "event": {"type": "popup_closed"}}).to_string(),
        json!({"now": 1, "event": {"type": "tab_closed", "tab_id": 4_294_967_296_i64}}).to_string(),
        json!({"event": {"type": "popup_closed"}}).to_string(),
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
    ] {
        let effects = handle.on_event(&event);
        assert!(!effects.contains(SECRET));
        let effects: Vec<Effect> = serde_json::from_str(&effects).unwrap();
        assert!(matches!(effects.as_slice(), [Effect::Log { .. }]), "{effects:?}");
    }
    assert_eq!(handle.state(), before);
}

/// The whole way once through the JSON boundary, as the shell walks it.
#[test]
fn a_secret_is_in_the_one_effect_and_nowhere_else() {
    let (mut world, _) = World::granted(Password, "d1", password());
    let id = world.request(|request| matches!(request, Request::FillCredential { .. })).id;
    let effects = world.reply(id.0, Reply::Secret(secret(Password)));
    let with_secret: Vec<_> =
        effects.iter().filter(|effect| serde_json::to_string(effect).unwrap().contains(SECRET)).collect();
    assert!(matches!(with_secret.as_slice(), [Effect::Fill { key: ElementKey::Password, .. }]));
    assert!(!format!("{effects:?}").contains(SECRET), "not even when printed");
    assert!(!world.brain.state().contains(SECRET));
    let event = EventFrame {
        now: 0,
        event: Event::HostMessage { frame: Some(HostFrame::Reply { id, reply: Reply::Secret(secret(Password)) }) },
    };
    assert!(!format!("{event:?}").contains(SECRET));
}

#[test]
fn the_content_script_has_the_same_table_of_elements() {
    let script = fs::read_to_string(workspace("extension/content.js")).unwrap();
    let (_, after) = script.split_once("const SELECTORS = {\n").expect("content.js has a table SELECTORS");
    let (table, _) = after.split_once("\n};").unwrap();
    let theirs: Vec<(String, String)> = table
        .lines()
        .map(|line| {
            let (key, selector) = line.trim().trim_end_matches(',').split_once(": ").unwrap();
            (key.trim_matches('\'').to_owned(), selector.trim_matches(['\'', '"']).to_owned())
        })
        .collect();
    let ours: Vec<(String, String)> =
        ElementKey::table().iter().map(|(_, key, selector)| ((*key).to_owned(), (*selector).to_owned())).collect();
    assert_eq!(theirs, ours);
    let exported: BTreeMap<String, String> = serde_json::from_str(&element_table_json()).unwrap();
    assert_eq!(exported, ours.into_iter().collect());
}

#[test]
fn every_word_has_its_english_on_file_and_its_places_are_numbered() {
    let text = fs::read_to_string(workspace("extension/_locales/en/messages.json")).unwrap();
    let messages: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    let mut missing: Vec<_> =
        Word::ALL.iter().map(|word| word.key().to_owned()).filter(|key| !messages.contains_key(key)).collect();
    missing.extend(
        latchkey_protocol::ErrorCode::ALL
            .iter()
            .map(|code| Text::error_key(*code))
            .filter(|key| !messages.contains_key(key)),
    );
    assert!(missing.is_empty(), "without English words: {missing:?}");
    let mut keys: Vec<_> = Word::ALL.iter().map(|word| word.key()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), Word::ALL.len(), "each key once");
}

#[test]
fn clocks_and_leases_out_of_all_bounds_overflow_nothing() {
    for now in [i64::MIN, -1, 0, i64::MAX] {
        for until in [i64::MIN, -1, 0, i64::MAX] {
            let mut world = World::new();
            world.now = now;
            world.see("d1", user_name(""));
            let lease = latchkey_protocol::LeaseSummary { until, ..lease(Password) };
            world.open_popup(&[latchkey_protocol::TenantSummary { lease: Some(lease.clone()), ..tenant(Password) }]);
            world.click();
            world.frame(HostFrame::LeaseChanged { lease });
            world.see("d1", with_error(password(), "50057"));
            world.send(Event::TimerRang { name: "badge".to_owned() });
        }
    }
}

#[test]
fn what_a_page_says_of_itself_is_shown_short_and_plain() {
    let long = "a\u{7}\n".repeat(1000);
    let mut other = with_identity(password(), &long);
    other.elements.retain(|element| element.key != ElementKey::Back);
    let (world, _) = World::granted(Password, "d1", other);
    let PopupView::Progress(progress) = world.view() else { panic!() };
    assert_eq!(progress.status.key, "page_other_account");
    assert_eq!(progress.status.args[0], "a".repeat(113));
}
