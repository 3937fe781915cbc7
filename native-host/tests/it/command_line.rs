//! What a person can do without a browser.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::lab::{Lab, Machine};

#[test]
fn help_and_completions_work_on_a_machine_where_nothing_is_set_up() {
    let machine = Machine::bare();
    let help = machine.latchkey(&["--help"]).succeeds();
    for word in ["tenant", "doctor", "Examples:", "Exit codes:"] {
        assert!(help.out.contains(word), "{word}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(machine.latchkey(&["completions", shell]).succeeds().out.contains("sweep"), "{shell}");
    }
    assert!(machine.latchkey(&["manual"]).succeeds().out.contains("lockdown"));
    let version = machine.latchkey(&["--json", "version"]).succeeds().document;
    assert_eq!(version["protocol"], 1);
    assert_eq!(machine.latchkey(&["no-such-command"]).run().status.code(), Some(2));
    // Nothing but its own folders was written for that.
    assert!(!machine.database().exists());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let machine = Machine::bare();
    let mut command = machine.command("bash");
    command.args([
        "-o",
        "pipefail",
        "-c",
        "\"$0\" completions bash | head -c 1 >/dev/null",
        env!("CARGO_BIN_EXE_latchkey"),
    ]);
    assert!(command.status().unwrap().success());
}

#[test]
fn every_list_is_one_json_document_and_errors_are_json_too() {
    let machine = Machine::bare();
    for words in [&["tenant", "list"][..], &["audit"]] {
        let ran = machine.latchkey(&[&["--json"], words].concat()).succeeds();
        assert_eq!(ran.document, Value::Array(Vec::new()), "{words:?}");
    }
    for words in [&["list"][..], &["list", "--all"]] {
        let ran = machine.latchkey(&[&["--json"], words].concat()).succeeds();
        let nothing = json!({"leases": [], "lockdown": null, "problems": [], "credentials": [], "break_glass": []});
        assert_eq!(ran.document, nothing, "{words:?}");
    }
    let ran = machine.latchkey(&["--json", "start", "Contoso"]).run();
    assert_eq!(ran.error["name"], "tenant_unknown");
    assert_eq!(ran.status.code(), Some(20));
    assert!(ran.out.is_empty());
    let ran = machine.latchkey(&["start", "Contoso"]).run();
    assert!(ran.err.contains("latchkey tenant list") && !ran.err.contains('\x1b'), "{}", ran.err);
}

#[test]
fn a_tenant_from_connecting_to_removing() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    let added = lab.add(&contoso, &["--role", "user administrator", "--hours", "2"]).succeeds();
    assert_eq!(added.document["tenant"]["name"], "Contoso", "{}", added.out);
    assert_eq!(added.document["tenant"]["roles"][0], "User Administrator");
    assert_eq!(added.document["tenant"]["minutes"], 120);
    assert_eq!(added.document["account"]["user_name"], "jit-alex@contoso.onmicrosoft.com");
    assert_eq!(added.document["account"]["created"], true);
    assert!(lab.account(&contoso).is_dormant());
    assert!(!added.out.contains(&contoso.client_secret) && !added.err.contains(&contoso.client_secret));

    let list = lab.latchkey(&["tenant", "list"]).succeeds();
    assert!(list.out.contains("Contoso") && list.out.contains("dormant") && list.out.contains("2 h"), "{}", list.out);
    lab.latchkey(&["prepare"]).succeeds();
    lab.latchkey(&["tenant", "check"]).succeeds();

    let started = lab.latchkey(&["--json", "start", "contoso", "--minutes", "30", "--show-credential"]).succeeds();
    let value = started.document["credential"]["value"].as_str().unwrap().to_owned();
    assert!(!value.is_empty());
    assert!(lab.account(&contoso).is_active_as("User Administrator"));
    let list = lab.latchkey(&["list"]).succeeds();
    assert!(list.out.contains(" min left") && list.out.contains("active"), "{}", list.out);
    let audit = lab.latchkey(&["--json", "audit", "--tenant", "Contoso"]).succeeds();
    assert!(audit.out.contains("credential_revealed") && !audit.out.contains(&value), "{}", audit.out);

    lab.latchkey(&["end"]).succeeds();
    assert!(lab.account(&contoso).is_dormant());
    assert!(lab.latchkey(&["list"]).succeeds().out.contains("No lease is open."));
    assert!(lab.latchkey(&["list", "--all"]).succeeds().out.contains("ended"));
    lab.latchkey(&["audit", "--verify"]).succeeds();

    lab.latchkey(&["tenant", "remove", "Contoso", "--yes"]).succeeds();
    assert!(lab.account(&contoso).0.is_null());
    assert_eq!(lab.latchkey(&["--json", "tenant", "list"]).succeeds().document, Value::Array(Vec::new()));
    lab.assert_conformance();
}

#[test]
fn a_sweep_ends_what_is_due_and_leaves_the_rest() {
    let lab = Lab::new();
    let (contoso, fabrikam) = (lab.tenant("Contoso"), lab.tenant("Fabrikam"));
    lab.add(&contoso, &[]).succeeds();
    lab.add(&fabrikam, &[]).succeeds();
    lab.latchkey(&["start", "Contoso"]).succeeds();
    lab.latchkey(&["start", "Fabrikam"]).succeeds();
    lab.latchkey(&["sweep"]).succeeds();
    assert!(lab.account(&contoso).is_active_as("User Administrator"));
    // What ends leases cannot be taken away while there are any.
    let ran = lab.latchkey(&["--json", "uninstall"]).run();
    assert_eq!(ran.error["name"], "busy", "{}", ran.err);
    // Somebody asks for less and gets it: the sweep has nothing to say about a lease that was ended by hand.
    lab.latchkey(&["end", "Fabrikam"]).succeeds();
    assert!(lab.account(&fabrikam).is_dormant());
    assert!(lab.account(&contoso).is_active_as("User Administrator"));
    lab.latchkey(&["end", "--all"]).succeeds();
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn what_prevents_leases_is_said_before_anything_is_saved() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    let refused = |more: &[&str], name: &str, exit: i32| {
        let ran = lab.add(&contoso, more).run();
        assert_eq!(ran.error["name"], name, "{}{}", ran.out, ran.err);
        assert_eq!(ran.status.code(), Some(exit));
        assert!(!ran.error["next_step"].as_str().unwrap().is_empty());
    };
    refused(&["--domain", "fed.contoso.com"], "domain_federated", 40);
    refused(&["--domain", "unverified.contoso.com"], "domain_not_verified", 40);
    refused(&["--role", "Emperor"], "role_unknown", 40);

    let mut wrong = contoso.clone();
    wrong.client_secret = "wrong-secret-wrong-secret".to_owned();
    let ran = lab.add(&wrong, &[]).run();
    assert_eq!(ran.error["name"], "client_secret_wrong", "{}", ran.err);
    assert_eq!(ran.status.code(), Some(30));
    assert!(!ran.err.contains(&wrong.client_secret));

    lab.entra.sim.add_tenant(entra_sim::directory::seed::TenantRecipe {
        name: "Adatum".to_owned(),
        secret_expires_in_seconds: Some(-60),
        ..Default::default()
    });
    let ran = lab.add(&lab.tenant("Adatum"), &[]).run();
    assert_eq!(ran.error["name"], "client_secret_expired", "{}", ran.err);

    let ran = lab.add(&lab.tenant("Northwind"), &[]).run();
    assert_eq!(ran.error["name"], "permission_missing", "{}", ran.err);
    assert!(ran.error["message"].as_str().unwrap().contains("User-PasswordProfile.ReadWrite.All"), "{}", ran.err);
    // Everything that was looked at is in the document, each permission with what it is for.
    let permissions = ran.document["inspection"]["permissions"].as_array().unwrap();
    assert!(permissions.len() >= 12);
    assert!(permissions.iter().all(|check| !check["permission"]["purpose"].as_str().unwrap().is_empty()));

    assert_eq!(lab.latchkey(&["--json", "tenant", "list"]).succeeds().document, Value::Array(Vec::new()));
}

#[test]
fn without_a_secret_service_the_kernel_keeps_the_secret_and_that_is_said() {
    let lab = Lab::on(Machine::bare());
    // The kernel's key store is one for all processes of this person: a tenant that no other test knows.
    let contoso = lab.new_tenant("Contoso Bare");
    let key_store = lab.latchkey(&["--json", "doctor", "--offline"]).run().document;
    let found = key_store["findings"].as_array().unwrap().iter().find(|one| one["link"] == "key_store").unwrap();
    if found["state"] == "broken" {
        // Some containers forbid the kernel's key store as well; then that is what must be said.
        let ran = lab.add(&contoso, &[]).run();
        assert_eq!(ran.error["name"], "key_store_unavailable", "{}", ran.err);
        return;
    }
    let added = lab.add(&contoso, &[]).succeeds();
    assert!(added.err.contains("gone after a reboot"), "{}", added.err);
    lab.latchkey(&["start", &contoso.id]).succeeds();
    lab.latchkey(&["end", &contoso.id]).succeeds();
    lab.latchkey(&["tenant", "remove", &contoso.id, "--yes"]).succeeds();
    lab.assert_conformance();
}

/// Answers questions on a terminal, each only when it has been asked.
pub(crate) fn converse(lab: &Lab, arguments: &str, answers: &[(&str, &str)]) -> String {
    let mut command = lab.machine.command("script");
    lab.reach(&mut command);
    command.args(["-qec", &format!("{} {arguments}", env!("CARGO_BIN_EXE_latchkey")), "/dev/null"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    let mut read_on = |shown: &mut Vec<u8>| {
        let mut chunk = [0; 1024];
        let length = stdout.read(&mut chunk).unwrap();
        shown.extend_from_slice(&chunk[..length]);
        length > 0
    };
    for (question, answer) in answers {
        while !String::from_utf8_lossy(&shown).contains(question) {
            assert!(read_on(&mut shown), "{question}: {}", String::from_utf8_lossy(&shown));
        }
        // At once: whoever pastes an answer is as fast.
        stdin.write_all(answer.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
    }
    while read_on(&mut shown) {}
    let status = child.wait().unwrap();
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(status.success(), "{shown}");
    shown
}

#[test]
fn in_a_terminal_it_asks_and_does_not_show_the_secret() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    let shown = converse(
        &lab,
        "tenant add",
        &[
            ("You, e.g.", "alex@msp.example"),
            ("Directory (tenant) id", &contoso.id),
            ("Application (client) id", &contoso.client_id),
            ("Roles that a lease grants", "User Administrator, Helpdesk Administrator"),
            ("Domain for the account", ""),
            ("Hours that it stays enabled", "2"),
            ("Client secret", &contoso.client_secret),
        ],
    );
    assert!(!shown.contains(&contoso.client_secret), "{shown}");
    // Each of the 12 permissions is there with what it is for.
    for permission in entra_sim::directory::seed::DOCUMENTED_PERMISSIONS {
        assert!(shown.contains(&format!("{permission}: ")), "{permission}\n{shown}");
    }
    assert!(shown.contains("Contoso is connected"), "{shown}");
    let tenants = lab.latchkey(&["--json", "tenant", "list"]).succeeds().document;
    assert_eq!(tenants[0]["roles"], json!(["User Administrator", "Helpdesk Administrator"]), "{tenants}");
    assert_eq!(tenants[0]["minutes"], 120);

    let shown = converse(&lab, "tenant remove contoso", &[("(yes/no)", "no")]);
    assert!(shown.contains("Nothing was changed"), "{shown}");
    assert!(lab.account(&contoso).is_dormant());
}
