//! `latchkey audit` with the real binary: asked, exported, verified with and without the database.

use serde_json::Value;

use crate::lab::{Lab, Machine};

#[test]
fn the_log_is_asked_exported_and_verified() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let started = lab.latchkey(&["--json", "start", "Contoso", "--reason", "INC-7", "--show-credential"]).succeeds();
    let value = started.document["credential"]["value"].as_str().unwrap().to_owned();
    lab.latchkey(&["end"]).succeeds();

    let asked = |arguments: &[&str]| {
        let ran = lab.latchkey(&[&["--json", "audit"], arguments].concat()).succeeds();
        ran.document.as_array().unwrap().len()
    };
    assert_eq!(asked(&["--event", "credential-revealed", "--since", "1h"]), 1);
    assert_eq!(asked(&["--technician", "ALEX@msp.example", "--event", "lease_granted"]), 1);
    assert_eq!(asked(&["--technician", "kim@msp.example"]), 0);
    assert_eq!(asked(&["--until", "1h"]), 0);
    assert_eq!(asked(&["--tenant", &contoso.id, "--limit", "2"]), 2);
    assert_eq!(lab.latchkey(&["audit", "--since", "yesterday"]).run().status.code(), Some(2));
    assert_eq!(lab.latchkey(&["audit", "--event", "nonsense"]).run().status.code(), Some(2));

    let file = lab.machine.home().join("export.jsonl");
    let path = file.to_str().unwrap();
    lab.latchkey(&["audit", "export", "--out", path]).succeeds();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("lease_granted") && text.contains("INC-7") && !text.contains(&value));
    let verified = lab.latchkey(&["audit", "verify", "--continues", path]).succeeds();
    assert!(verified.out.contains("none changed, removed or reordered"), "{}", verified.out);

    // Another machine, on which there is nothing but the file.
    let elsewhere = Machine::bare();
    let verified = elsewhere.latchkey(&["--json", "audit", "verify", "--file", path]).succeeds();
    assert_eq!(verified.document["faults"], Value::Array(Vec::new()));
    assert!(!elsewhere.database().exists());
    std::fs::write(&file, text.replace("INC-7", "INC-8")).unwrap();
    let forged = elsewhere.latchkey(&["audit", "verify", "--file", path]).run();
    assert_eq!(forged.status.code(), Some(1));
    assert!(forged.out.contains("changed"), "{}", forged.out);
    let forged = lab.latchkey(&["audit", "verify", "--continues", path]).run();
    assert!(!forged.status.success());

    let ocsf = lab.latchkey(&["audit", "export", "--format", "ocsf", "--tenant", "Contoso"]).succeeds();
    let classes: Vec<u64> = ocsf
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["class_uid"].as_u64().unwrap())
        .collect();
    assert!([3001, 3004, 3005].iter().all(|class| classes.contains(class)), "{classes:?}");
    assert!(!ocsf.out.contains(&value));
}
