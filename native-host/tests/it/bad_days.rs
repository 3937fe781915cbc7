//! Days on which something is broken: each ends in a clear error, loses nothing and leaves nobody active.

use std::process::{Command, Stdio};

use entra_sim::faults::{Fault, Kind, Match};
use serde_json::json;

use crate::lab::{Lab, Machine};

#[test]
fn a_locked_key_store_is_said_and_nothing_is_granted() {
    let mut lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    lab.machine.lock_key_store();

    let doctor = lab.latchkey(&["--json", "doctor", "--offline"]).run().document;
    let found = doctor["findings"].as_array().unwrap().iter().find(|one| one["link"] == "key_store").unwrap();
    assert_eq!(found["state"], "broken", "{found}");

    let ran = lab.latchkey(&["--json", "start", "Contoso"]).run();
    assert_eq!(ran.error["name"], "key_store_locked", "{}", ran.err);
    assert_eq!(ran.status.code(), Some(20));
    assert!(ran.error["next_step"].as_str().unwrap().contains("nlock"), "{}", ran.err);

    let mut host = lab.host();
    host.hello();
    let answer = host.ask(&json!({"verb": "start_lease", "tenant_id": contoso.id}));
    assert_eq!(answer["error"]["name"], "key_store_locked", "{answer}");
    // The tenants are still there to be shown.
    let tenants = host.ask(&json!({"verb": "list_tenants"}));
    assert_eq!(tenants["reply"]["tenants"][0]["name"], "Contoso", "{tenants}");
    assert!(host.close().success());
    assert!(lab.account(&contoso).is_dormant());
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn a_damaged_database_is_said_and_kept() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let database = lab.machine.database();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", database.display()));
    }
    let mut bytes = std::fs::read(&database).unwrap();
    bytes[..100].fill(b'#');
    std::fs::write(&database, &bytes).unwrap();

    let ran = lab.latchkey(&["--json", "list"]).run();
    assert_eq!(ran.error["name"], "store_damaged", "{}", ran.err);
    let mut host = lab.host();
    host.hello();
    for _ in 0..2 {
        let answer = host.ask(&json!({"verb": "start_lease", "tenant_id": contoso.id}));
        assert_eq!(answer["error"]["name"], "store_damaged", "{answer}");
    }
    assert!(host.close().success());
    let doctor = lab.latchkey(&["--json", "doctor", "--offline"]).run();
    assert!(doctor.out.contains("damaged"), "{}", doctor.out);
    assert_eq!(std::fs::read(&database).unwrap(), bytes, "the damaged file is evidence and stays as it is");
    assert!(lab.account(&contoso).is_dormant());
}

/// Runs the binary in a mount namespace in which the data folder lies on a file system that is full.
fn on_a_full_disk(machine: &Machine, arguments: &[&str]) -> Option<Command> {
    let room = machine.home().join("room");
    std::fs::create_dir(&room).unwrap();
    // Some systems give a name space and let nobody mount anything in it.
    let mut probe = Command::new("unshare");
    probe.args(["-rm", "mount", "-t", "tmpfs", "none"]).arg(&room).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        return None;
    }
    const SCRIPT: &str = r#"
        set -e
        data=$HOME/.local/share/latchkey
        mount -t tmpfs -o size=1m none "$HOME/room"
        cp -a "$data/." "$HOME/room/"
        mount --bind "$HOME/room" "$data"
        dd if=/dev/zero of="$data/filler" bs=4096 2>/dev/null || true
        exec "$0" "$@""#;
    let mut command = machine.command("unshare");
    command.args(["-rm", "bash", "-c", SCRIPT, env!("CARGO_BIN_EXE_latchkey")]).args(arguments);
    Some(command)
}

#[test]
fn a_full_disk_is_said_and_nothing_is_granted() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let Some(mut command) = on_a_full_disk(&lab.machine, &["--json", "start", "Contoso"]) else {
        // Without name spaces there is no way to a full disk of one's own here.
        return;
    };
    lab.reach(&mut command);
    let output = command.output().unwrap();
    let error: serde_json::Value =
        serde_json::from_slice(output.stderr.split(|byte| *byte == b'\n').next().unwrap()).unwrap_or_default();
    assert_eq!(error["name"], "disk_full", "{}", String::from_utf8_lossy(&output.stderr));
    assert!(lab.account(&contoso).is_dormant());
    // With room again everything is as before.
    lab.latchkey(&["start", "Contoso"]).succeeds();
    lab.latchkey(&["end", "Contoso"]).succeeds();
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn two_browsers_that_ask_at_once_get_the_same_lease() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    lab.entra.sim.turn(&json!({"round_trip_ms": 100})).unwrap();
    let mut hosts = [lab.host(), lab.host()];
    let ids: Vec<u32> = hosts
        .iter_mut()
        .map(|host| {
            host.hello();
            host.send(&json!({"verb": "start_lease", "tenant_id": contoso.id}))
        })
        .collect();
    let mut leases = Vec::new();
    for (host, id) in hosts.iter_mut().zip(ids) {
        let answer = host.until_answer(id).pop().unwrap();
        // One may be told to wait; what it must not get is a second lease of the account.
        match answer["error"]["name"].as_str() {
            None => leases.push(answer["reply"]["lease"]["lease_id"].clone()),
            Some(name) => assert_eq!(name, "busy", "{answer}"),
        }
    }
    leases.dedup();
    assert_eq!(leases.len(), 1, "{leases:?}");
    let list = lab.leases();
    assert_eq!(list.len(), 1, "{list:?}");
    assert!(lab.account(&contoso).is_active_as("User Administrator"));
    for host in hosts {
        assert!(host.close().success());
    }
    lab.latchkey(&["end", "--all"]).succeeds();
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn a_machine_without_a_network_says_so() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let nowhere = |arguments: &[&str]| {
        let mut start = lab.latchkey(arguments);
        start.command.env("HTTPS_PROXY", "http://127.0.0.1:9");
        start.run()
    };
    let ran = nowhere(&["--json", "doctor"]);
    let findings = ran.document["findings"].as_array().unwrap();
    let network = findings.iter().find(|one| one["link"] == "network" && one["state"] == "broken").unwrap();
    assert!(network["next_step"].as_str().unwrap().contains("proxy"), "{network}");

    // A certificate that nobody vouches for is told apart from a network that is not there.
    let mut start = lab.latchkey(&["--json", "doctor"]);
    start.command.env_remove("SSL_CERT_FILE");
    let ran = start.run();
    let findings = ran.document["findings"].as_array().unwrap();
    let network = findings.iter().find(|one| one["link"] == "network" && one["state"] == "broken").unwrap();
    assert!(network["next_step"].as_str().unwrap().contains("extra_root_certificate"), "{network}");

    // The same two things as settings, without any variable of the environment.
    let configuration = lab.machine.home().join(".config/latchkey/config.toml");
    let text = std::fs::read_to_string(&configuration).unwrap();
    let certificate = lab.machine.home().join("ca.pem");
    let port = lab.entra.proxy_port;
    let network = format!(
        "{text}\n[network]\nproxy = \"http://127.0.0.1:{port}\"\nextra_root_certificate = \"{}\"\n",
        certificate.display()
    );
    std::fs::write(&configuration, network).unwrap();
    lab.machine.latchkey(&["start", "Contoso"]).succeeds();
    lab.machine.latchkey(&["end", "Contoso"]).succeeds();
    assert!(lab.account(&contoso).is_dormant());
}

#[test]
fn a_clock_that_is_wrong_by_an_hour_is_said_and_nobody_stays_active() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    for offset in [3600, -3600] {
        lab.entra.sim.turn(&json!({"clock_offset_seconds": offset})).unwrap();
        lab.entra.sim.clock.set_offset_seconds(offset);
        let doctor = lab.latchkey(&["--json", "doctor"]).run();
        let findings = doctor.document["findings"].as_array().unwrap();
        let clock = findings.iter().find(|one| one["link"] == "clock").unwrap();
        assert_eq!(clock["state"], "broken", "{clock}");
        // Whether a lease can be had or not, afterwards nobody is active.
        lab.latchkey(&["start", "Contoso", "--minutes", "10"]).run();
        lab.latchkey(&["end", "--all"]).run();
        lab.latchkey(&["sweep"]).run();
        assert!(lab.account(&contoso).is_dormant(), "{:?}", lab.account(&contoso));
    }
    lab.entra.sim.clock.set_offset_seconds(0);
    lab.assert_nobody_is_active_without_a_lease();
}

/// One bad answer in the middle of starting, and one in the middle of ending.
#[test]
fn whatever_graph_answers_nobody_stays_active() {
    let lab = Lab::new();
    let status = |status, after_effect| Kind::Status { status, retry_after: Some(1), after_effect };
    let kinds = [
        ("429", status(429, false)),
        ("500", status(500, false)),
        ("500 after the effect", status(500, true)),
        ("503", status(503, false)),
        ("no answer, no effect", Kind::DropBefore {}),
        ("no answer after the effect", Kind::DropAfter {}),
        ("half a batch from 2", Kind::HalfBatch { from_item: 2 }),
        ("half a batch from 3", Kind::HalfBatch { from_item: 3 }),
    ];
    for (name, kind) in kinds {
        let tenant = lab.new_tenant(name);
        lab.add(&tenant, &[]).succeeds();
        for command in ["start", "end"] {
            let matches = Match { path_contains: Some("$batch".to_owned()), in_batch: Some(false), ..Match::default() };
            lab.entra.sim.faults.replace(vec![Fault { matches, kind: kind.clone(), times: Some(1) }]);
            let ran = lab.latchkey(&["--json", command, &tenant.id]).run();
            if !ran.status.success() {
                assert!(!ran.error["next_step"].as_str().unwrap().is_empty(), "{name} {command}: {}", ran.err);
            }
        }
        lab.entra.sim.faults.replace(Vec::new());
        assert!(lab.account(&tenant).is_dormant(), "{name}: {:?}\n{}", lab.account(&tenant), lab.machine.log());
    }
    lab.assert_dormant_without_a_lease();
    lab.latchkey(&["audit", "--verify"]).succeeds();
}
