//! Native messaging with the real process: what a browser can send, good and bad.

use entra_sim::faults::{Fault, Kind, Match};
use serde_json::{Value, json};

use crate::lab::{Host, Lab, Machine, extension_id};

fn error_name(frame: &Value) -> &str {
    assert_eq!(frame["kind"], "error", "{frame}");
    frame["error"]["name"].as_str().unwrap()
}

#[test]
fn the_handshake_comes_first_and_mistakes_do_not_end_the_process() {
    let machine = Machine::bare();
    let mut host = machine.host();
    assert_eq!(error_name(&host.ask(&json!({"verb": "list_leases"}))), "handshake_required");
    assert_eq!(
        error_name(&host.ask(&json!({"verb": "hello", "protocol": 2, "extension_version": "9", "more": []}))),
        "unsupported_protocol"
    );
    host.send_message(b"not json");
    assert_eq!(error_name(&host.receive().unwrap()), "malformed_message");
    host.send_message(b"");
    assert_eq!(error_name(&host.receive().unwrap()), "malformed_message");
    host.hello();
    assert_eq!(error_name(&host.ask(&json!({"verb": "open_file", "path": "/etc/passwd"}))), "unknown_verb");
    host.send_message(&[0xFF; 200]);
    assert_eq!(error_name(&host.receive().unwrap()), "malformed_message");
    let leases = host.ask(&json!({"verb": "list_leases"}));
    assert_eq!(leases["reply"]["leases"], json!([]), "{leases}");
    host.hello();
    assert!(host.close().success());
}

#[test]
fn a_frame_of_two_gibibytes_is_refused_and_the_connection_closed() {
    for after_hello in [false, true] {
        let machine = Machine::bare();
        let mut host = machine.host();
        if after_hello {
            host.hello();
        }
        host.send_bytes(&2_147_483_648_u32.to_ne_bytes());
        assert_eq!(error_name(&host.receive().unwrap()), "frame_too_large");
        assert!(host.receive().is_none());
        assert_eq!(host.child.wait().unwrap().code(), Some(10));
    }
}

#[test]
fn half_a_frame_is_told_and_nothing_of_it_is_carried_out() {
    for after_hello in [false, true] {
        let machine = Machine::bare();
        let mut host = machine.host();
        if after_hello {
            host.hello();
        }
        host.send_bytes(&100_u32.to_ne_bytes());
        host.send_bytes(b"{\"id\":1,\"request\":{\"verb\":\"list_l");
        drop(host.child.stdin.take());
        assert_eq!(error_name(&host.receive().unwrap()), "truncated_frame");
        assert!(host.receive().is_none());
        assert_eq!(host.child.wait().unwrap().code(), Some(10));
    }
}

#[test]
fn a_closed_pipe_is_a_clean_end() {
    let machine = Machine::bare();
    assert!(machine.host().close().success());
    let mut host = machine.host();
    host.hello();
    assert!(host.close().success());
}

#[test]
fn an_extension_that_is_not_ours_gets_an_error_and_no_session() {
    let machine = Machine::bare();
    for arguments in [
        vec!["chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/".to_owned()],
        vec![format!("chrome-extension://{}", extension_id())],
        vec![format!("chrome-extension://{}/", extension_id()), "tenant".to_owned(), "list".to_owned()],
        vec!["/tmp/com.latchkey.host.json".to_owned(), "page@evil.example".to_owned()],
    ] {
        let mut command = machine.command(env!("CARGO_BIN_EXE_latchkey"));
        command.args(&arguments);
        let mut host = Host::spawn(command);
        let refused = host.receive().unwrap();
        assert_eq!(error_name(&refused), "caller_not_allowed", "{arguments:?}");
        assert!(host.receive().is_none());
        assert_eq!(host.child.wait().unwrap().code(), Some(10));
    }
}

#[test]
fn an_extension_named_in_the_configuration_is_served() {
    let machine = Machine::bare();
    let folder = machine.home().join(".config/latchkey");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), "extension_ids = [\"latchkey@msp.example\"]\n").unwrap();
    let mut command = machine.command(env!("CARGO_BIN_EXE_latchkey"));
    command.args(["/home/alex/.mozilla/native-messaging-hosts/com.latchkey.host.json", "latchkey@msp.example"]);
    let mut host = Host::spawn(command);
    host.hello();
    assert!(host.close().success());
}

#[test]
fn from_a_click_to_a_credential_and_back() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let mut host = lab.host();
    host.hello();

    let hint = json!({"tenant": "contoso.onmicrosoft.com"});
    let tenants = host.ask(&json!({"verb": "list_tenants", "hint": hint}));
    assert_eq!(tenants["reply"]["recognized"], contoso.id.as_str(), "{tenants}");
    assert_eq!(tenants["reply"]["tenants"][0]["name"], "Contoso");
    assert!(lab.account(&contoso).is_dormant());

    let id = host.send(&json!({"verb": "start_lease", "tenant_id": contoso.id, "reason": "INC-1"}));
    let frames = host.until_answer(id);
    let lease = frames.last().unwrap()["reply"]["lease"].clone();
    assert_eq!(lease["credential_held"], true, "{frames:?}");
    assert!(frames.iter().any(|frame| frame["kind"] == "progress" && frame["id"] == id), "{frames:?}");
    assert!(lab.account(&contoso).is_active_as("User Administrator"));

    let document = json!({"tab_id": 1, "document_id": "d1", "origin": "https://login.microsoftonline.com"});
    let field = if lease["credential"] == "temporary_access_pass" { "access_pass" } else { "password" };
    let fill = json!({"verb": "fill_credential", "lease_id": lease["lease_id"], "field": field, "document": document});
    let secret = host.ask(&fill);
    assert_eq!(secret["reply"]["reply"], "secret", "{}", secret["error"]);
    assert!(!secret["reply"]["value"].as_str().unwrap().is_empty());
    assert_eq!(error_name(&host.ask(&fill)), "already_filled");
    let evil = json!({"tab_id": 1, "document_id": "d2", "origin": "https://login.microsoftonline.com.evil.example"});
    let mut elsewhere = fill.clone();
    elsewhere["document"] = evil;
    assert_eq!(error_name(&host.ask(&elsewhere)), "origin_not_allowed");

    // Two requests at once on one connection, and a second browser beside it.
    let mut other = lab.host();
    other.hello();
    let seen = other.ask(&json!({"verb": "list_leases"}));
    assert_eq!(seen["reply"]["leases"][0]["lease_id"], lease["lease_id"]);
    assert_eq!(seen["reply"]["leases"][0]["credential_held"], false);
    let reveal = other.ask(&json!({"verb": "reveal_credential", "lease_id": lease["lease_id"]}));
    assert_eq!(error_name(&reveal), "credential_gone");

    let ended = host.ask(&json!({"verb": "end_lease", "lease_id": lease["lease_id"]}));
    assert_eq!(ended["reply"]["lease"]["state"], "ended", "{ended}");
    assert!(lab.account(&contoso).is_dormant());
    // The other browser is told without asking; it may have looked while the lease was ending, and is told that first.
    loop {
        let told = other.receive().unwrap();
        assert_eq!(told["kind"], "lease_changed", "{told}");
        if told["lease"]["state"] == "ended" {
            break;
        }
        assert_eq!(told["lease"]["state"], "ending", "{told}");
    }
    assert!(other.close().success());
    assert!(host.close().success());

    // Who asked is in the audit log: the extension, and the program that started the host.
    let audit = lab.latchkey(&["--json", "audit"]).succeeds().document;
    let filled = audit.as_array().unwrap().iter().find(|entry| entry["event"] == "credential_filled").unwrap();
    let through = filled["caller"]["extension"].as_str().unwrap();
    assert!(through.starts_with(&format!("{} in /", extension_id())), "{filled}");

    let value = secret["reply"]["value"].as_str().unwrap();
    assert_no_secret_was_left(&lab, &[value, &contoso.client_secret]);
    lab.assert_nobody_is_active_without_a_lease();
    lab.latchkey(&["audit", "--verify"]).succeeds();
}

/// Looks for secrets in every file below the home folder but the key store's own.
fn assert_no_secret_was_left(lab: &Lab, secrets: &[&str]) {
    let mut open = vec![lab.machine.home().to_owned()];
    while let Some(folder) = open.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                for secret in secrets {
                    let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                    assert!(!found, "a secret is in {}", path.display());
                }
            }
        }
    }
}

#[test]
fn a_browser_that_goes_away_in_the_middle_leaves_nothing_half_done() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    lab.entra.sim.turn(&json!({"round_trip_ms": 300})).unwrap();
    let mut host = lab.host();
    host.hello();
    host.send(&json!({"verb": "start_lease", "tenant_id": contoso.id}));
    // The pipe closes at once; the host finishes what it began.
    assert!(host.close().success());
    lab.entra.sim.turn(&json!({"round_trip_ms": 0})).unwrap();
    let leases = lab.leases();
    let state = leases.first().and_then(|lease| lease["state"].as_str()).unwrap_or("none").to_owned();
    let active = lab.account(&contoso).is_active_as("User Administrator");
    assert_eq!(state == "active", active, "{leases:?}");
    lab.latchkey(&["end", "--all"]).succeeds();
    assert!(lab.account(&contoso).is_dormant());
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn a_slow_request_does_not_hold_up_the_others() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let matches = Match { in_batch: Some(false), ..Match::default() };
    let kind = Kind::HoldBefore { survives_client: false };
    lab.entra.sim.faults.replace(vec![Fault { matches, kind, times: Some(1) }]);
    let mut host = lab.host();
    host.hello();
    let slow = host.send(&json!({"verb": "start_lease", "tenant_id": contoso.id}));
    lab.runtime.block_on(lab.entra.sim.faults.wait_for_held());
    let id = host.send(&json!({"verb": "list_tenants"}));
    let before = host.until_answer(id);
    assert!(before.iter().all(|frame| frame["id"] != slow || frame["kind"] == "progress"), "{before:?}");
    lab.entra.sim.faults.release();
    assert_eq!(host.until_answer(slow).pop().unwrap()["kind"], "reply");
    let leases = host.ask(&json!({"verb": "list_leases"}));
    let lease_id = &leases["reply"]["leases"][0]["lease_id"];
    assert_eq!(host.ask(&json!({"verb": "end_lease", "lease_id": lease_id}))["kind"], "reply");
    assert!(host.close().success());
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn unknown_sign_in_pages_are_counted_for_doctor_without_anything_of_the_page() {
    let machine = Machine::bare();
    let found = || {
        let doctor = machine.latchkey(&["--json", "doctor", "--offline"]).run().document;
        let findings = doctor["findings"].as_array().unwrap();
        findings.iter().find(|one| one["link"] == "sign_in_page").cloned()
    };
    assert_eq!(found(), None);
    let mut host = machine.host();
    host.hello();
    for _ in 0..2 {
        let noted = host.ask(&json!({"verb": "note_unknown_page"}));
        assert_eq!(noted["reply"], json!({"reply": "noted"}), "{noted}");
    }
    let page = json!({"verb": "note_unknown_page", "url": "https://login.microsoftonline.com/contoso"});
    assert_eq!(error_name(&host.ask(&page)), "malformed_message");
    assert!(host.close().success());
    let found = found().unwrap();
    assert_eq!(found["state"], "warning", "{found}");
    assert!(found["found"].as_str().unwrap().starts_with("unknown pages met so far: 2, the last one on "), "{found}");
    assert!(found["next_step"].as_str().unwrap().contains("Show credential"), "{found}");
}

#[test]
fn a_browser_may_have_every_link_looked_over_and_nothing_changes() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let account = lab.account(&contoso);
    let mut host = lab.host();
    host.hello();
    let answer = host.ask(&json!({"verb": "examine"}));
    let findings = answer["reply"]["findings"].as_array().unwrap();
    let links: Vec<_> = findings.iter().map(|finding| finding["link"].as_str().unwrap()).collect();
    for link in ["program", "schedule", "key_store", "store", "network"] {
        assert!(links.contains(&link), "{link} in {answer}");
    }
    assert!(!answer.to_string().contains("is dormant"), "every customer's tenant is the command line's: {answer}");
    for finding in findings.iter().filter(|finding| finding["state"] == "broken") {
        assert!(finding["next_step"].as_str().is_some_and(|step| !step.is_empty()), "{finding}");
    }
    assert_eq!(format!("{account:?}"), format!("{:?}", lab.account(&contoso)));

    // Also where nothing can be opened.
    let machine = Machine::bare();
    let folder = machine.home().join(".config/latchkey");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), "nonsense = [\n").unwrap();
    let mut host = machine.host();
    host.hello();
    let answer = host.ask(&json!({"verb": "examine"}));
    let broken: Vec<_> =
        answer["reply"]["findings"].as_array().unwrap().iter().filter(|one| one["state"] == "broken").collect();
    assert!(broken.iter().any(|one| one["link"] == "configuration"), "{answer}");
}
