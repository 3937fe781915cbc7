//! `latchkey install` and `latchkey uninstall` on a real file system, and what `doctor` says in between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::lab::{Machine, extension_id};

/// Every file below a folder with its bytes, without what any run writes.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if !path.starts_with(root.join(".local/state")) && path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path, bytes);
            }
        }
    }
    found
}

#[test]
fn what_install_writes_uninstall_removes_and_nothing_else() {
    let machine = Machine::bare();
    let chromium = machine.home().join(".config/chromium");
    std::fs::create_dir_all(&chromium).unwrap();
    std::fs::write(chromium.join("Local State"), "{}").unwrap();
    let before = files(machine.home());

    let profile = machine.home().join("lab profile");
    let ran = machine
        .latchkey(&["--json", "install", "--browser", "chromium", "--browser", "edge", "--user-data-dir"])
        .command_with(profile.to_str().unwrap())
        .succeeds();
    let browsers: Vec<_> =
        ran.document["browsers"].as_array().unwrap().iter().map(|one| one["browser"].clone()).collect();
    assert_eq!(browsers, ["chromium", "edge"], "{}", ran.out);
    for folder in [chromium.clone(), machine.home().join(".config/microsoft-edge"), profile] {
        let text = std::fs::read(folder.join("NativeMessagingHosts/com.latchkey.host.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(manifest["allowed_origins"][0], format!("chrome-extension://{}/", extension_id()));
        let path = Path::new(manifest["path"].as_str().unwrap());
        assert!(path.is_absolute() && path.is_file(), "{}", path.display());
    }
    let timer = machine.home().join(".config/systemd/user/latchkey-sweep.timer");
    assert!(std::fs::read_to_string(&timer).unwrap().contains("OnCalendar"));
    assert!(ran.document["schedule_runs"].is_boolean());

    // Twice is as good as once.
    machine.latchkey(&["install", "--browser", "chromium"]).succeeds();
    machine.latchkey(&["uninstall"]).succeeds();
    assert_eq!(files(machine.home()), before);
    assert!(!timer.parent().unwrap().exists());
    assert!(machine.latchkey(&["uninstall"]).succeeds().out.contains("Nothing was installed"));
}

#[test]
fn an_id_of_ones_own_is_let_in_by_manifest_and_host() {
    let machine = Machine::bare();
    let own = "abcdefghijklmnopabcdefghijklmnop";
    let refused = machine.latchkey(&["--json", "install", "--browser", "chrome", "--extension-id", "*"]).run();
    assert_eq!(refused.error["name"], "configuration_invalid");
    machine.latchkey(&["install", "--browser", "chrome", "--extension-id", own, "--no-schedule"]).succeeds();
    let file = machine.home().join(".config/google-chrome/NativeMessagingHosts/com.latchkey.host.json");
    assert!(std::fs::read_to_string(file).unwrap().contains(own));
    let mut command = machine.command(env!("CARGO_BIN_EXE_latchkey"));
    command.arg(format!("chrome-extension://{own}/"));
    let mut host = crate::lab::Host::spawn(command);
    host.hello();
    assert!(host.close().success());
}

#[test]
fn doctor_says_what_is_broken_and_what_to_do() {
    let machine = Machine::with_key_store();
    std::fs::create_dir_all(machine.home().join(".config/google-chrome")).unwrap();
    let look = || {
        let ran = machine.latchkey(&["--json", "doctor", "--offline"]).run();
        assert_eq!(ran.status.success(), ran.document["healthy"] == true, "{}", ran.out);
        ran.document["findings"].as_array().unwrap().clone()
    };
    let broken = |findings: &[Value], link: &str, word: &str| {
        findings.iter().any(|one| {
            one["link"] == link
                && one["state"] == "broken"
                && one["found"].as_str().unwrap().contains(word)
                && !one["next_step"].as_str().unwrap().is_empty()
        })
    };
    let findings = look();
    assert!(broken(&findings, "browser", "Google Chrome does not know Latchkey"), "{findings:#?}");
    assert!(broken(&findings, "schedule", "Nothing ends leases"), "{findings:#?}");

    machine.latchkey(&["install", "--browser", "chrome"]).succeeds();
    machine.latchkey(&["sweep"]).succeeds();
    let findings = look();
    assert!(!findings.iter().any(|one| one["state"] == "broken" && one["link"] != "browser"), "{findings:#?}");
    assert!(
        findings
            .iter()
            .any(|one| one["found"].as_str().unwrap().starts_with("Google Chrome, ") && one["state"] == "good"),
        "{findings:#?}"
    );

    std::fs::write(machine.home().join(".config/google-chrome/NativeMessagingHosts/com.latchkey.host.json"), "{")
        .unwrap();
    assert!(broken(&look(), "browser", "is not a manifest"));
    std::fs::create_dir_all(machine.home().join(".config/latchkey")).unwrap();
    std::fs::write(machine.home().join(".config/latchkey/config.toml"), "technicain = 1").unwrap();
    assert!(broken(&look(), "configuration", "config.toml:1:1"));
}
