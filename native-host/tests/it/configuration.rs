//! The configuration file, as people write, check and change it.

use std::path::PathBuf;

use serde_json::json;

use crate::lab::{Lab, Machine};

fn file(machine: &Machine) -> PathBuf {
    machine.home().join(".config/latchkey/config.toml")
}

fn write(machine: &Machine, text: &str) {
    std::fs::create_dir_all(file(machine).parent().unwrap()).unwrap();
    std::fs::write(file(machine), text).unwrap();
}

fn read(machine: &Machine) -> String {
    std::fs::read_to_string(file(machine)).unwrap()
}

#[test]
fn every_wrong_line_is_shown_and_no_secret_is() {
    let machine = Machine::bare();
    write(&machine, "technicain = \"alex\"\n\n[access]\nminutes = 0\n[network]\nclient_secret = \"hunter2\"\n");
    let ran = machine.latchkey(&["config", "check"]).run();
    assert_eq!(ran.status.code(), Some(1));
    for part in [
        "config.toml:1:1",
        "1 | technicain = \"alex\"",
        "| ^^^^^^^^^^",
        "did you mean \"technician\"?",
        "config.toml:4:11",
        "4 | minutes = 0",
        "config.toml:6:1",
        "key store",
        "errors: 3, warnings: 0",
    ] {
        assert!(ran.out.to_lowercase().contains(part), "{part}\n{}", ran.out);
    }
    let document = machine.latchkey(&["--json", "config", "check"]).run();
    assert_eq!(document.status.code(), Some(1));
    assert_eq!(document.document["valid"], false);
    assert_eq!(document.document["findings"][1]["line"], 4);
    assert_eq!(document.document["findings"][1]["column"], 11);
    assert_eq!(document.document["findings"][1]["severity"], "error");
    let doctor = machine.latchkey(&["doctor", "--offline"]).run();
    assert!(doctor.out.contains("config.toml:4:11"), "{}", doctor.out);
    let start = machine.latchkey(&["start", "Contoso"]).run();
    assert_eq!(start.status.code(), Some(20));
    assert!(start.err.contains("config.toml:1:1") && start.err.contains("2 more"), "{}", start.err);
    for text in [ran.out, ran.err, document.out, doctor.out, start.err, machine.log()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    // Whoever can write to it decides who may get what.
    #[cfg(unix)]
    {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(file(&machine), open).unwrap();
        let doctor = machine.latchkey(&["doctor", "--offline"]).run();
        assert!(doctor.out.contains("chmod go-w"), "{}", doctor.out);
    }
    // What needs somebody is listed all the same.
    assert!(machine.latchkey(&["list"]).succeeds().err.contains("config.toml:1:1"));
    // A file that is not ours, and one that is not there.
    let other = machine.home().join("shared.toml");
    std::fs::write(&other, "[access]\nminutes = 60\n").unwrap();
    machine.latchkey(&["config", "check"]).command_with(other.to_str().unwrap()).succeeds();
    assert_eq!(machine.latchkey(&["config", "check", "/nowhere.toml"]).run().status.code(), Some(20));
}

#[test]
fn a_wrong_configuration_keeps_nobodys_access_alive() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    lab.latchkey(&["start", "Contoso"]).succeeds();
    let before = read(&lab.machine);
    write(&lab.machine, &format!("{before}minuets = 5\n"));
    assert!(!lab.latchkey(&["start", "Contoso"]).run().status.success());
    let sweep = lab.latchkey(&["sweep"]).succeeds();
    assert!(sweep.err.contains("minuets"), "{}", sweep.err);
    let ended = lab.latchkey(&["end", "Contoso"]).succeeds();
    assert!(ended.err.contains("minuets"), "{}", ended.err);
    assert!(lab.account(&contoso).is_dormant());
    write(&lab.machine, &before);
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn a_browser_that_is_open_for_days_gives_what_the_file_says_now() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let mut host = lab.host();
    host.hello();
    let start = json!({"verb": "start_lease", "tenant_id": contoso.id, "minutes": null, "reason": null});
    let lease = host.ask(&start)["reply"]["lease"]["lease_id"].clone();
    assert!(lease.is_string());
    let before = read(&lab.machine);
    let minutes = |host: &mut crate::lab::Host| {
        host.ask(&json!({"verb": "list_tenants"}))["reply"]["tenants"][0]["minutes"].clone()
    };
    assert_eq!(minutes(&mut host), 240);
    lab.latchkey(&["config", "set", "tenants.Contoso.minutes", "30"]).succeeds();
    assert_eq!(minutes(&mut host), 30);
    write(&lab.machine, &format!("{before}minuets = 5\n"));
    let refused = host.ask(&start);
    assert_eq!(refused["error"]["name"], "configuration_invalid", "{refused}");
    assert_eq!(host.ask(&json!({"verb": "list_tenants"}))["reply"]["tenants"][0]["name"], "Contoso");
    let ended = host.ask(&json!({"verb": "end_lease", "lease_id": lease}));
    assert_eq!(ended["reply"]["lease"]["state"], "ended", "{ended}");
    write(&lab.machine, &before);
    assert!(host.ask(&start)["reply"]["lease"].is_object());
    host.close();
    lab.latchkey(&["end", "--all"]).succeeds();
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn commands_change_it_and_keep_what_a_person_wrote() {
    let machine = Machine::bare();
    let run = |words: &[&str]| machine.latchkey(words).succeeds();
    run(&["config", "set", "technician", "alex@msp.example"]);
    let written = format!("# mine\n{}\n# for all\n[access]\nminutes = 240 # four hours\n", read(&machine));
    write(&machine, &written);
    run(&["config", "set", "access.minutes", "120"]);
    assert_eq!(read(&machine), written.replace("240", "120"));
    run(&["technician", "add", "alex@msp.example", "--group", "Level 1"]);
    run(&["technician", "add", "kim@msp.example"]);
    run(&["entitlement", "add", "Level 1", "--role", "Helpdesk Administrator", "--tenant", "Contoso"]);
    run(&["entitlement", "add", "All admins", "--member-of", "SG-Readers", "--profile", "Read", "--max-minutes", "30"]);
    assert!(read(&machine).starts_with(&written.replace("240", "120")), "{}", read(&machine));
    run(&["config", "check"]);

    let technicians = run(&["--json", "technician", "list"]).document;
    assert_eq!(technicians[0]["groups"][0], "Level 1");
    assert_eq!(technicians[0]["works_here"], true);
    assert_eq!(technicians[1]["account"], "jit-kim");
    let entitlements = run(&["--json", "entitlement", "list"]).document;
    assert_eq!(entitlements[1]["profile"], "Read");
    assert_eq!(entitlements[1]["maximum_minutes"], 30);
    let shown = run(&["config", "show"]).out;
    assert!(shown.contains("access.minutes") && shown.contains("config.toml:6"), "{shown}");
    assert!(shown.contains("account_prefix") && shown.contains("built in"), "{shown}");

    for (words, part) in [
        (&["technician", "add", "KIM@msp.example"][..], "already"),
        (&["technician", "add", "alex@other.example"], "same account"),
        (&["technician", "remove", "nobody"], "not among"),
        (&["entitlement", "remove", "9"], "no entitlement 9"),
        (&["config", "set", "access.minutes", "4h"], "whole number"),
        (&["config", "set", "access.secret", "hunter2"], "key store"),
        (&["config", "set", "access.maximum_minutes", "60"], "longer than the longest"),
    ] {
        let before = read(&machine);
        let ran = machine.latchkey(words).run();
        assert_eq!(ran.status.code(), Some(20), "{words:?}");
        assert!(ran.err.contains(part) && !ran.err.contains("hunter2"), "{}", ran.err);
        assert_eq!(read(&machine), before);
    }

    run(&["entitlement", "remove", "2"]);
    run(&["entitlement", "remove", "1"]);
    run(&["technician", "remove", "Kim@msp.example"]);
    run(&["technician", "remove", "alex@msp.example"]);
    run(&["config", "set", "access.minutes", "240"]);
    assert_eq!(read(&machine), written);
    run(&["config", "unset", "access"]);
    assert!(run(&["config", "unset", "access"]).out.contains("was not set"));
    assert!(!read(&machine).contains("[access]"));
}

#[test]
fn a_company_shares_one_file_in_git() {
    let machine = Machine::bare();
    let shared = machine.home().join("msp/shared.toml");
    std::fs::create_dir_all(shared.parent().unwrap()).unwrap();
    std::fs::write(&shared, "[access]\nminutes = 60\n\n[[technicians]]\nname = \"alex@msp.example\"\n").unwrap();
    write(&machine, "technician = \"alex@msp.example\"\ninclude = \"../../msp/shared.toml\"\n");
    let shown = machine.latchkey(&["config", "show"]).succeeds().out;
    assert!(shown.contains("shared.toml:2"), "{shown}");
    machine.latchkey(&["config", "check"]).succeeds();
    // What the shared file says is changed there.
    let refused = machine.latchkey(&["technician", "remove", "alex@msp.example"]).run();
    assert!(refused.err.contains("--config"), "{}", refused.err);
    let path = shared.to_str().unwrap();
    machine.latchkey(&["--config", path, "technician", "add", "kim@msp.example"]).succeeds();
    let mut list = machine.latchkey(&["--json", "technician", "list"]);
    list.command.env("LATCHKEY_CONFIG", path);
    let technicians = list.succeeds().document;
    assert!(technicians.as_array().unwrap().iter().any(|one| one["name"] == "kim@msp.example"), "{technicians}");
    // Set here and there: said, with both places.
    let conflict = machine.latchkey(&["config", "set", "access.minutes", "30"]).run();
    assert!(conflict.err.contains("is set here and in"), "{}", conflict.err);
    let gone = machine.latchkey(&["--config", "/nowhere/config.toml", "config", "show"]).run();
    assert!(gone.err.contains("/nowhere/config.toml cannot be read"), "{}", gone.err);
    let path = machine.latchkey(&["config", "path"]).succeeds().out;
    assert_eq!(path.trim(), file(&machine).to_str().unwrap());
}

#[test]
fn editors_get_the_schema_of_the_file() {
    let machine = Machine::bare();
    let schema = machine.latchkey(&["config", "schema"]).succeeds().document;
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let validator = jsonschema::validator_for(&schema).unwrap();
    // The guide's example is what people copy.
    let guide = include_str!("../../../docs/configuration.md");
    let example = guide.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let value: serde_json::Value = toml::from_str(example).unwrap();
    let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    for section in schema["properties"].as_object().unwrap().iter().filter(|(key, _)| *key != "include") {
        let (name, schema) = section;
        assert!(value.get(name).is_some(), "the guide's example does not show {name}");
        for keys in [&schema["properties"], &schema["items"]["properties"]] {
            for key in keys.as_object().into_iter().flat_map(|keys| keys.keys()) {
                let shown = match &value[name] {
                    serde_json::Value::Array(list) => list.iter().any(|one| one.get(key).is_some()),
                    one => one.get(key).is_some(),
                };
                // One tenant has the keys of every tenant, which are explained there.
                assert!(shown || name == "tenants", "the guide's example does not show {name}.{key}");
            }
        }
    }
    write(&machine, example);
    let ran = machine.latchkey(&["--json", "config", "check"]).succeeds();
    assert_eq!(ran.document["findings"], serde_json::json!([]), "{}", ran.out);
}
