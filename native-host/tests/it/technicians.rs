//! Technicians from the MSP's own Entra tenant: signing in, what it lets them do, and what ends when it says no.

use std::io::{BufRead as _, BufReader};

use entra_sim::control::sign_in::{Visit, visit};
use entra_sim::directory::seed::{MSP, MSP_PUBLIC_CLIENT};
use entra_sim::exchanges::{Endpoint, Exchange};
use serde_json::{Value, json};

use crate::lab::{Lab, Ran};

/// A machine with Contoso connected, whose technicians come from the MSP's tenant.
fn lab() -> Lab {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let file = lab.machine.home().join(".config/latchkey/config.toml");
    let mut text = std::fs::read_to_string(&file).unwrap_or_default();
    text.push_str(&format!(
        "\n[directory]\ntenant_id = \"{MSP}\"\nclient_id = \"{MSP_PUBLIC_CLIENT}\"\nrequired_group = \"Technicians\"\n"
    ));
    std::fs::write(file, text).unwrap();
    lab
}

/// Signs in as `user`, who goes where the command line sends the browser.
fn sign_in(lab: &Lab, user: &str, more: &[&str]) -> (Value, Ran) {
    let mut arguments = vec!["sign-in"];
    arguments.extend(more);
    let mut child = lab.latchkey(&arguments).spawn();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    let (mut authorize_url, mut user_code) = (None, None);
    while authorize_url.is_none() && user_code.is_none() {
        let Some(line) = lines.next().map(Result::unwrap) else { break };
        let word = line.trim().to_owned();
        if word.starts_with("https://") {
            authorize_url = Some(word);
        } else if said.last().is_some_and(|last: &String| last.ends_with("enter this code:")) {
            user_code = Some(word);
        }
        said.push(line);
    }
    let visit_of = Visit { authorize_url, user_code, user: user.to_owned(), decline: false, stay: false };
    let seen = lab.runtime.block_on(visit(&lab.entra.sim, visit_of)).unwrap_or_else(|why| panic!("{why}: {said:?}"));
    let err = lines.map_while(Result::ok).collect::<Vec<_>>().join("\n");
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    (seen, Ran { status: output.status, document: Value::Null, error: Value::Null, out, err })
}

fn turn(lab: &Lab, change: Value) {
    lab.entra.sim.turn(&change).unwrap();
}

#[test]
fn the_directory_says_who_works_here_and_a_no_ends_everything_at_the_next_sweep() {
    let lab = lab();
    let contoso = lab.tenant("Contoso");
    let ran = lab.latchkey(&["--json", "start", "Contoso"]).run();
    assert_eq!((ran.status.code(), ran.error["name"].as_str()), (Some(30), Some("sign_in_required")), "{}", ran.err);

    let (seen, ran) = sign_in(&lab, "alex@msp.example", &["--no-browser"]);
    assert!(ran.status.success(), "{}\n{}", ran.out, ran.err);
    assert!(seen["called"]["body"].as_str().unwrap().contains("You can close this window."), "{seen}");
    let who = lab.latchkey(&["--json", "whoami"]).succeeds().document;
    assert_eq!((who["technician"].as_str(), who["standing"].as_str()), (Some("alex@msp.example"), Some("welcome")));
    assert_eq!(who["groups"], json!(["Level 1", "Technicians"]));
    lab.latchkey(&["start", "Contoso"]).succeeds();
    assert!(lab.account(&contoso).is_active_as("User Administrator"));
    lab.latchkey(&["sweep"]).succeeds();
    assert!(lab.account(&contoso).is_active_as("User Administrator"), "a sweep ends nothing while she is welcome");

    // She leaves the company.
    let set_enabled = |enabled| {
        let mut directory = lab.entra.sim.directory();
        directory.tenant_mut(MSP).unwrap().user_mut("alex@msp.example").unwrap().account_enabled = enabled;
    };
    set_enabled(false);
    let swept = lab.latchkey(&["sweep"]).succeeds();
    assert!(swept.out.contains("does not let you work with Latchkey"), "{}", swept.out);
    assert!(lab.account(&contoso).is_dormant());
    let ran = lab.latchkey(&["--json", "start", "Contoso"]).run();
    assert_eq!((ran.status.code(), ran.error["name"].as_str()), (Some(30), Some("technician_refused")), "{}", ran.err);

    // She comes back, and changes to another team.
    set_enabled(true);
    assert!(sign_in(&lab, "alex@msp.example", &["--no-browser"]).1.status.success());
    lab.latchkey(&["start", "Contoso"]).succeeds();
    {
        let mut directory = lab.entra.sim.directory();
        for group in
            directory.tenant_mut(MSP).unwrap().groups.values_mut().filter(|group| group.display_name == "Level 1")
        {
            group.members.clear();
        }
    }
    lab.latchkey(&["sweep"]).succeeds();
    assert!(lab.account(&contoso).is_dormant());
    let ran = lab.latchkey(&["--json", "start", "Contoso"]).run();
    assert!(ran.error["message"].as_str().unwrap().contains("not in the group Technicians"), "{}", ran.err);
    let (_, ran) = sign_in(&lab, "alex@msp.example", &["--no-browser"]);
    assert!(!ran.status.success() && ran.err.contains("technician_refused"), "{}", ran.err);
    lab.assert_nobody_is_active_without_a_lease();
}

/// So many times Entra was asked for tokens for people of the MSP.
fn tokens_asked_for(lab: &Lab) -> usize {
    let exchanges = lab.entra.sim.exchanges.entries();
    exchanges.iter().filter(|one| one.endpoint == Endpoint::Token && one.tenant.as_deref() == Some(MSP)).count()
}

#[test]
fn a_sweep_every_minute_asks_graph_every_time_and_entra_for_a_token_only_when_one_is_needed() {
    let lab = lab();
    let contoso = lab.tenant("Contoso");
    assert!(sign_in(&lab, "alex@msp.example", &["--no-browser"]).1.status.success());
    lab.latchkey(&["start", "Contoso"]).succeeds();
    let asked_graph = || {
        let exchanges = lab.entra.sim.exchanges.entries();
        let hers = |one: &&Exchange| one.endpoint == Endpoint::Graph && one.tenant.as_deref() == Some(MSP);
        exchanges.iter().filter(hers).filter(|one| one.path.contains("accountEnabled")).count()
    };
    let (tokens, looks) = (tokens_asked_for(&lab), asked_graph());
    for _ in 0..3 {
        lab.latchkey(&["sweep"]).succeeds();
    }
    assert_eq!((tokens_asked_for(&lab), asked_graph()), (tokens, looks + 3));

    // A token that Graph does not take any more is renewed, once.
    lab.entra.sim.clock.set_offset_seconds(7_200);
    for _ in 0..2 {
        lab.latchkey(&["sweep"]).succeeds();
        assert_eq!(tokens_asked_for(&lab), tokens + 1);
    }
    lab.entra.sim.clock.set_offset_seconds(0);
    assert!(lab.account(&contoso).is_active_as("User Administrator"));

    // Her sessions are reset: the token is still good for Graph, and Entra is asked at the next sweep all the same.
    {
        let now = lab.entra.sim.clock.now();
        let mut directory = lab.entra.sim.directory();
        directory.tenant_mut(MSP).unwrap().user_mut("alex@msp.example").unwrap().sessions_valid_from = now;
    }
    let swept = lab.latchkey(&["sweep"]).succeeds();
    assert!(swept.out.contains("does not let you work with Latchkey"), "{}", swept.out);
    assert!(lab.account(&contoso).is_dormant());

    // She is deleted.
    assert!(sign_in(&lab, "alex@msp.example", &["--no-browser"]).1.status.success());
    lab.latchkey(&["start", "Contoso"]).succeeds();
    {
        let mut directory = lab.entra.sim.directory();
        let users = &mut directory.tenant_mut(MSP).unwrap().users;
        users.retain(|_, user| user.user_principal_name != "alex@msp.example");
    }
    lab.latchkey(&["sweep"]).succeeds();
    assert!(lab.account(&contoso).is_dormant());
    lab.latchkey(&["sign-out"]).succeeds();
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn while_the_directory_cannot_be_reached_its_last_answer_holds_for_a_while_and_nothing_ends() {
    let lab = lab();
    let contoso = lab.tenant("Contoso");
    turn(&lab, json!({"device_code_interval_seconds": 1}));
    let (_, ran) = sign_in(&lab, "blake@msp.example", &["--device-code"]);
    assert!(ran.status.success(), "{}\n{}", ran.out, ran.err);
    lab.latchkey(&["start", "Contoso"]).succeeds();

    // Neither Entra nor Graph.
    let unwell = json!([
        {"match": {"path_contains": MSP}, "kind": "status", "status": 503},
        {"match": {"path_contains": "signInSessionsValidFromDateTime"}, "kind": "status", "status": 503},
    ]);
    lab.entra.sim.faults.replace(serde_json::from_value(unwell).unwrap());
    let who = lab.latchkey(&["--json", "whoami"]).succeeds().document;
    assert_eq!((who["technician"].as_str(), who["standing"].as_str()), (Some("blake@msp.example"), Some("held")));

    let file = lab.machine.home().join(".local/share/latchkey/technician.json");
    let mut kept: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert!(!kept.to_string().contains("1.R"), "the refresh token is in the key store alone");
    kept["asked_at"] = json!(kept["asked_at"].as_i64().unwrap() - 9 * 3_600_000);
    std::fs::write(&file, kept.to_string()).unwrap();
    let ran = lab.latchkey(&["--json", "start", "Contoso"]).run();
    assert!(ran.error["message"].as_str().unwrap().contains("could not be asked for too long"), "{}", ran.err);
    lab.latchkey(&["sweep"]).succeeds();
    let state = lab.runtime.block_on(entra_sim::control::state_of(&lab.entra.sim));
    assert!(state.to_string().contains("jit-blake@"));
    assert_eq!(lab.leases().len(), 1, "nothing ends by itself");
    lab.latchkey(&["end", "--all"]).succeeds();

    lab.entra.sim.faults.replace(Vec::new());
    lab.latchkey(&["start", "Contoso"]).succeeds();
    lab.latchkey(&["sign-out"]).succeeds();
    assert!(lab.leases().is_empty());
    let ran = lab.latchkey(&["--json", "start", &contoso.id]).run();
    assert_eq!(ran.error["name"], "sign_in_required", "{}", ran.err);
}
