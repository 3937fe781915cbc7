//! Break-glass accounts with real processes and a real key store; and `kill -9` at every call to Microsoft. Whatever
//! happens, the account's password is among those that a reveal shows.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{FOR_EVER, Lab, Moment, Tenant};

const CONFIGURATION: &str = r#"technician = "alex@msp.example"

[[technicians]]
name = "alex@msp.example"
groups = ["Level 3"]

[[technicians]]
name = "kim@msp.example"
groups = ["Level 1"]

[[break_glass]]
name = "breakglass-1"
reveal = ["Level 3"]
"#;

fn lab() -> Lab {
    let lab = Lab::new();
    let folder = lab.machine.home().join(".config/latchkey");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), CONFIGURATION).unwrap();
    lab
}

/// The account's password in the directory itself.
fn password(lab: &Lab, tenant: &Tenant) -> Option<String> {
    let directory = lab.entra.sim.directory();
    let users = &directory.tenant(&tenant.id).unwrap().users;
    users.values().find(|user| user.user_principal_name.starts_with("breakglass-1@"))?.password.clone()
}

/// What a reveal shows; nobody is locked out.
fn revealed(lab: &Lab, tenant: &Tenant) -> Vec<Value> {
    let ran = lab.latchkey(&["--json", "break-glass", "reveal", &tenant.id, "--reason", "drill"]).run();
    let shown = ran.document["passwords"].as_array().cloned().unwrap_or_default();
    if let Some(actual) = password(lab, tenant) {
        assert!(shown.iter().any(|one| one["value"] == actual.as_str()), "{}: locked out\n{}", tenant.name, ran.err);
    }
    shown
}

#[test]
fn an_account_from_the_configuration_to_its_end() {
    let lab = lab();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let list = lab.latchkey(&["break-glass", "list"]).succeeds();
    assert!(list.out.contains("not made yet") && list.out.contains("break-glass prepare"), "{}", list.out);
    let prepared = lab.latchkey(&["break-glass", "prepare"]).succeeds();
    assert!(prepared.out.contains("created, enabled") && prepared.out.contains("grant-app-role"), "{}", prepared.out);
    assert!(prepared.out.contains("passkey"), "{}", prepared.out);

    // Without the role of the application nothing is changed, and everybody says so.
    let before = password(&lab, &contoso).unwrap();
    let refused = lab.latchkey(&["--json", "break-glass", "rotate", "Contoso"]).run();
    assert_eq!(refused.document["failed"][0]["name"], "permission_missing", "{}", refused.out);
    assert_eq!(password(&lab, &contoso).unwrap(), before);
    for words in [&["list"][..], &["break-glass", "list"], &["doctor", "--offline"]] {
        let ran = lab.latchkey(words).run();
        assert!(ran.out.contains("Privileged Authentication Administrator"), "{words:?}: {}", ran.out);
    }
    let unasked = lab.latchkey(&["--json", "break-glass", "grant-app-role", "Contoso"]).run();
    assert!(!unasked.status.success() && unasked.error["next_step"].as_str().unwrap().contains("--yes"));
    lab.latchkey(&["break-glass", "grant-app-role", "Contoso", "--yes"]).succeeds();
    let rotated = lab.latchkey(&["break-glass", "rotate", "Contoso"]).succeeds();
    assert!(rotated.out.contains("replaced and read back"), "{}", rotated.out);
    let after = password(&lab, &contoso).unwrap();
    assert_ne!(after, before);

    let shown = lab.latchkey(&["break-glass", "reveal", "Contoso", "--reason", "INC-1"]).succeeds();
    assert!(shown.out.contains(&after) && shown.out.contains("replaced by") && shown.out.contains("passkey"));
    assert_eq!(lab.latchkey(&["break-glass", "reveal", "Contoso"]).run().status.code(), Some(2), "no reason");

    // Kim is in another group.
    let configuration = CONFIGURATION.replacen("alex@msp.example", "kim@msp.example", 1);
    std::fs::write(lab.machine.home().join(".config/latchkey/config.toml"), &configuration).unwrap();
    let refused = lab.latchkey(&["--json", "break-glass", "reveal", "Contoso", "--reason", "curious"]).run();
    assert_eq!(refused.error["name"], "reveal_not_allowed", "{}", refused.err);
    assert!(!refused.out.contains(&after));
    std::fs::write(lab.machine.home().join(".config/latchkey/config.toml"), CONFIGURATION).unwrap();

    let audit = lab.latchkey(&["--json", "audit", "--tenant", "Contoso"]).succeeds();
    for event in [
        "break_glass_creating",
        "break_glass_created",
        "break_glass_rotation_failed",
        "app_role_granting",
        "break_glass_rotating",
        "break_glass_rotated",
        "break_glass_revealed",
        "break_glass_reveal_refused",
    ] {
        assert!(audit.out.contains(event), "{event}\n{}", audit.out);
    }
    // Nowhere but in the key store.
    for secret in [&before, &after] {
        assert!(!audit.out.contains(secret.as_str()) && !lab.machine.log().contains(secret.as_str()));
        for file in std::fs::read_dir(lab.machine.database().parent().unwrap()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }

    let unsaid = lab.latchkey(&["--json", "break-glass", "remove", "Contoso", "--yes"]).run();
    assert!(unsaid.error["next_step"].as_str().unwrap().contains("--forget-password"), "{}", unsaid.err);
    let left = lab.latchkey(&["break-glass", "remove", "Contoso", "--reason", "contract ended", "--yes"]).succeeds();
    assert!(left.out.contains(&after), "it is handed over: {}", left.out);
    assert_eq!(password(&lab, &contoso).unwrap(), after);
    lab.latchkey(&["break-glass", "revoke-app-role", "Contoso", "--yes"]).succeeds();
    // It is somebody else's now.
    let refused = lab.latchkey(&["--json", "break-glass", "prepare", "Contoso"]).run();
    assert_eq!(refused.document["failed"][0]["name"], "account_not_ours", "{}", refused.out);
    lab.latchkey(&["audit", "--verify"]).succeeds();
    lab.assert_conformance();
}

#[test]
fn without_a_lasting_key_store_nothing_is_made() {
    let lab = Lab::on(crate::lab::Machine::bare());
    let folder = lab.machine.home().join(".config/latchkey");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), CONFIGURATION).unwrap();
    // The kernel's key store is one for all processes of this person: a tenant that no other test knows.
    let contoso = lab.new_tenant("Contoso Bare");
    // Where the machine has no kernel key store either, nothing can be connected at all.
    if !lab.add(&contoso, &[]).run().status.success() {
        return;
    }
    let refused = lab.latchkey(&["--json", "break-glass", "prepare", &contoso.id]).run();
    assert_eq!(refused.document["failed"][0]["name"], "key_store_unavailable", "{}", refused.out);
    assert_eq!(password(&lab, &contoso), None);
    lab.latchkey(&["tenant", "remove", &contoso.id, "--yes"]).succeeds();
}

/// Runs the command until it succeeds: loans of the dead must lapse first.
fn eventually(lab: &Lab, words: &[&str]) {
    let began = Instant::now();
    loop {
        let ran = lab.latchkey(words).run();
        if ran.status.success() {
            return;
        }
        assert!(began.elapsed() < FOR_EVER, "{words:?}\n{}\n{}", ran.out, ran.err);
        std::thread::sleep(Duration::from_secs(2));
    }
}

#[test]
fn nobody_is_locked_out_by_a_kill_at_any_call() {
    let lab = lab();
    let mut tenants = Vec::new();
    for moment in Moment::ALL {
        let before = tenants.len();
        for call in 1.. {
            let tenant = lab.new_tenant(&format!("Prepare {moment:?} {call}"));
            lab.add(&tenant, &[]).succeeds();
            let held = lab.kill_at(&tenant, lab.latchkey(&["break-glass", "prepare", &tenant.id]), moment, call);
            revealed(&lab, &tenant);
            tenants.push(tenant);
            if !held {
                break;
            }
        }
        assert!(tenants.len() > before + 8, "{moment:?}: {} calls were held", tenants.len() - before - 1);
    }
    // Whatever was left is finished by running it again.
    eventually(&lab, &["break-glass", "prepare"]);
    for tenant in &tenants {
        assert!(!revealed(&lab, tenant).is_empty(), "{}", tenant.name);
        assert!(password(&lab, tenant).is_some());
    }

    let mut fresh = tenants.iter();
    let mut rotated = Vec::new();
    for moment in Moment::ALL {
        let before = rotated.len();
        for call in 1.. {
            let tenant = fresh.next().unwrap();
            lab.latchkey(&["break-glass", "grant-app-role", &tenant.id, "--yes"]).succeeds();
            let held = lab.kill_at(tenant, lab.latchkey(&["break-glass", "rotate", &tenant.id]), moment, call);
            let shown = revealed(&lab, tenant);
            // The old one, the new one, and what the killed making of it may have sent.
            assert!((1..=3).contains(&shown.len()), "{}: {}", tenant.name, shown.len());
            rotated.push(tenant);
            if !held {
                break;
            }
        }
        // The token, the look before, the change, the proof.
        assert!(rotated.len() > before + 4, "{moment:?}: {} calls were held", rotated.len() - before - 1);
    }
    for tenant in rotated {
        let before = password(&lab, tenant);
        eventually(&lab, &["break-glass", "rotate", &tenant.id]);
        assert_ne!(password(&lab, tenant), before);
        let shown = revealed(&lab, tenant);
        let actual = password(&lab, tenant).unwrap();
        assert_eq!(shown[0]["value"], actual.as_str(), "{}: the likeliest is the one", tenant.name);
    }
    lab.latchkey(&["audit", "--verify"]).succeeds();
    lab.assert_conformance();
}
