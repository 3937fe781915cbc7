//! Passkeys with the real process and a real key store: the PIN at a terminal, and a page's request through the
//! browser's pipe. What the operating system says about the person comes from services of the lab on its own bus.
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::process::Command;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use entra_sim::directory::passkey::user_handle;
use entra_sim::directory::seed::TenantRecipe;
use entra_sim::passkeys::{Assertion, RelyingParty};
use serde_json::{Value, json};

use crate::command_line::converse;
use crate::lab::{Host, Lab, Tenant, extension_id};

const HOST: &str = "login.microsoft.com";
const PIN: &str = "271828";

/// A lab with a tenant whose accounts may have passkeys, connected.
fn lab() -> (Lab, Tenant) {
    let lab = Lab::new();
    let permissions = [
        "UserAuthMethod-Passkey.ReadWrite.All",
        "UserAuthMethod-TAP.ReadWrite.All",
        "Policy.Read.AuthenticationMethod",
    ];
    let recipe = TenantRecipe {
        name: "Tailspin".to_owned(),
        additional_permissions: permissions.map(str::to_owned).to_vec(),
        ..TenantRecipe::default()
    };
    lab.entra.sim.add_tenant(recipe);
    let tenant = lab.tenant("Tailspin");
    let added = lab.add(&tenant, &[]).succeeds();
    assert!(added.out.contains("latchkey pin set") && !added.out.contains("not verified"), "{}", added.out);
    (lab, tenant)
}

/// The same with a PIN and with the account's passkey, which every page knows.
fn ready() -> (Lab, Tenant) {
    let (lab, tenant) = lab();
    let shown = converse(&lab, "pin set", &[("New PIN", PIN), ("The same again", PIN)]);
    assert!(shown.contains("The PIN is set.") && !shown.contains(PIN), "{shown}");
    let shown = converse(&lab, "prepare", &[("PIN (not shown)", PIN)]);
    assert!(shown.contains("checked, dormant") && !shown.contains("[530"), "{shown}");
    lab.microsoft_is_ahead(60);
    (lab, tenant)
}

/// Asks as Chrome does for a page on the sign-in host; the answer as the host gives it, and whether the relying party
/// of the lab accepts it.
fn sign_in(lab: &Lab, tenant: &Tenant, host: &mut Host, lease_id: &str) -> (Value, Result<u32, String>) {
    let party = RelyingParty::new(HOST);
    let (known, handle) = {
        let directory = lab.entra.sim.directory();
        let tenant = directory.tenant(&tenant.id).unwrap();
        let user = tenant.users.values().find(|user| user.user_principal_name.starts_with("jit-alex@")).unwrap();
        (user.passkeys.iter().map(|key| key.credential.clone()).collect::<Vec<_>>(), user_handle(&tenant.id, &user.id))
    };
    let (challenge, state) = party.begin_assertion().unwrap();
    let request = json!({
        "challenge": BASE64_URL_SAFE_NO_PAD.encode(&challenge), "rpId": HOST, "userVerification": "required",
        "extensions": { "remoteDesktopClientOverride": {
            "origin": format!("https://{HOST}"), "sameOriginWithAncestors": true,
        } },
    });
    let answer = host.ask(&json!({ "verb": "assert_passkey", "lease_id": lease_id, "request": request.to_string() }));
    if answer["kind"] == "error" {
        return (answer, Err("refused".to_owned()));
    }
    let signed: Value = serde_json::from_str(answer["reply"]["response"].as_str().unwrap()).unwrap();
    let bytes = |value: &Value| BASE64_URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap();
    let response = &signed["response"];
    let assertion = Assertion {
        id: bytes(&signed["rawId"]),
        client_data: bytes(&response["clientDataJSON"]),
        authenticator_data: bytes(&response["authenticatorData"]),
        signature: bytes(&response["signature"]),
        user_handle: Some(bytes(&response["userHandle"])),
    };
    let key = known.iter().find(|key| key.cred_id == assertion.id.as_slice()).unwrap();
    let judged = party.check(&state, key, &handle, &assertion);
    (answer, judged)
}

fn start(host: &mut Host, tenant: &Tenant) -> Value {
    let answer = host.ask(&json!({ "verb": "start_lease", "tenant_id": tenant.id, "passkey": true }));
    assert_eq!(answer["reply"]["reply"], "lease", "{answer}");
    answer["reply"]["lease"].clone()
}

#[test]
fn from_a_click_to_a_page_signed_in_by_a_passkey() {
    let (lab, tenant) = ready();
    let listed = lab.latchkey(&["list", "--credentials"]).succeeds();
    assert!(listed.out.contains(HOST) && listed.out.contains("ready"), "{}", listed.out);
    let mut host = lab.host();
    host.hello();
    let lease = start(&mut host, &tenant);
    assert_eq!(lease["credential"], "passkey", "{lease}\n{}", lab.machine.log());
    let lease_id = lease["lease_id"].as_str().unwrap();

    let (refused, _) = sign_in(&lab, &tenant, &mut host, lease_id);
    assert_eq!(refused["error"]["name"], "verification_needed", "{refused}");
    let verify = |host: &mut Host, pin: Option<&str>| {
        let answer = host.ask(&json!({ "verb": "verify_person", "pin": pin }));
        assert_eq!(answer["reply"]["reply"], "person", "{answer}");
        answer["reply"].clone()
    };
    let nobody = verify(&mut host, None);
    assert_eq!((&nobody["verified"], &nobody["pin_set"]), (&json!(false), &json!(true)), "{nobody}");
    let wrong = verify(&mut host, Some("000000"));
    assert_eq!((&wrong["verified"], &wrong["wrong"], &wrong["tries_left"]), (&json!(false), &json!(true), &json!(2)));
    let right = verify(&mut host, Some(PIN));
    assert!(right["verified"] == true && right["until"].is_i64(), "{right}");

    let (answer, judged) = sign_in(&lab, &tenant, &mut host, lease_id);
    assert!(judged.is_ok(), "{answer} {judged:?}");
    let shown = host.ask(&json!({ "verb": "reveal_credential", "lease_id": lease_id }));
    assert_eq!(shown["kind"], "error", "a passkey is shown to nobody");

    // The page refuses it an hour later, say: the next in line, on the same lease.
    let replaced = host.ask(&json!({ "verb": "replace_credential", "lease_id": lease_id, "refused": "passkey" }));
    assert_eq!(replaced["reply"]["lease"]["credential"], "temporary_access_pass", "{replaced}");
    host.ask(&json!({ "verb": "end_lease", "lease_id": lease_id }));
    assert!(host.close().success());
    let log = lab.machine.log();
    assert!(!log.contains(PIN) && !log.contains("signature"), "{log}");
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn a_pin_is_asked_for_twice_and_changed_only_by_who_knows_it() {
    let (lab, _) = lab();
    let doctor = || {
        let doctor = lab.latchkey(&["--json", "doctor", "--offline"]).run().document;
        let findings = doctor["findings"].as_array().unwrap();
        let found = findings.iter().find(|one| one["link"] == "person").cloned().unwrap();
        (found["state"].as_str().unwrap().to_owned(), format!("{} {}", found["found"], found["next_step"]))
    };
    let (state, found) = doctor();
    assert!(state == "warning" && found.contains("latchkey pin set"), "{found}");
    let none = lab.latchkey(&["pin", "show"]).succeeds();
    assert!(none.out.contains("No PIN is set"), "{}", none.out);
    converse(&lab, "pin set", &[("New PIN", PIN), ("The same again", PIN)]);
    let (state, found) = doctor();
    assert!(state == "good" && found.contains("by Latchkey's PIN"), "{found}");
    let twice = lab.latchkey(&["pin", "set"]).run();
    assert!(!twice.status.success() && twice.err.contains("pin change"), "{}", twice.err);
    converse(
        &lab,
        "pin change",
        &[("PIN until now", PIN), ("New PIN", "correct horse"), ("The same again", "correct horse")],
    );
    converse(&lab, "pin remove", &[("PIN until now", "correct horse")]);
    let shown = lab.latchkey(&["--json", "pin", "show"]).succeeds().document;
    assert_eq!(shown["pin_set"], false, "{shown}");
}

/// polkit as the lab has it; how often it was to ask is counted.
struct Polkit {
    asked: Arc<AtomicU32>,
    does: PolkitDoes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PolkitDoes {
    /// It asks, and the person passes.
    Verify,
    /// It asks, and the person closes its window.
    Dismiss,
    /// It asks, and the password is wrong until it gives up.
    Fail,
    /// A rule of the machine says yes; nobody is asked.
    Agree,
    /// It would ask, and nobody's agent is there to ask through.
    FindNobody,
}

type Subject<'a> = (String, HashMap<String, zbus::zvariant::Value<'a>>);

#[zbus::interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Polkit {
    #[allow(clippy::needless_pass_by_value, reason = "what comes over the bus is ours")]
    fn check_authorization(
        &self,
        subject: Subject<'_>,
        action: String,
        _details: HashMap<String, String>,
        flags: u32,
        _cancellation: String,
    ) -> (bool, bool, HashMap<String, String>) {
        assert_eq!((subject.0.as_str(), action.as_str()), ("system-bus-name", "com.latchkey.verify"));
        let asking = flags & 1 == 1;
        if asking {
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        let dismissed = [("polkit.dismissed".to_owned(), "true".to_owned())];
        match self.does {
            PolkitDoes::Agree => (true, false, HashMap::new()),
            _ if !asking => (false, true, HashMap::new()),
            PolkitDoes::Verify => (true, false, HashMap::new()),
            PolkitDoes::Dismiss => (false, false, HashMap::from(dismissed)),
            PolkitDoes::Fail => (false, false, HashMap::new()),
            PolkitDoes::FindNobody => (false, true, HashMap::new()),
        }
    }
}

/// The host, with this machine's own bus as the system's.
fn host_with_system_bus(lab: &Lab) -> (Host, String) {
    let mut command: Command = lab.machine.command(env!("CARGO_BIN_EXE_latchkey"));
    command.arg(format!("chrome-extension://{}/", extension_id()));
    lab.reach(&mut command);
    let address = command
        .get_envs()
        .find(|(name, _)| *name == "DBUS_SESSION_BUS_ADDRESS")
        .and_then(|(_, value)| value?.to_str())
        .unwrap()
        .to_owned();
    command.env("DBUS_SYSTEM_BUS_ADDRESS", &address);
    (Host::spawn(command), address)
}

/// Every passkey that the directory has of the tenant's accounts.
fn registered(lab: &Lab, tenant: &Tenant) -> usize {
    let directory = lab.entra.sim.directory();
    directory.tenant(&tenant.id).unwrap().users.values().map(|user| user.passkeys.len()).sum()
}

#[test]
fn made_for_one_lease_and_deleted_at_its_end() {
    let (lab, tenant) = lab();
    converse(&lab, "pin set", &[("New PIN", PIN), ("The same again", PIN)]);
    let configuration = lab.machine.home().join(".config/latchkey/config.toml");
    std::fs::create_dir_all(configuration.parent().unwrap()).unwrap();
    std::fs::write(configuration, "[access]\npasskeys = \"per_lease\"\n").unwrap();
    let prepared = lab.latchkey(&["prepare"]).succeeds();
    assert!(!prepared.out.contains("pin set"), "no standing key is wanted: {}", prepared.out);
    assert_eq!(registered(&lab, &tenant), 0);

    let mut host = lab.host();
    host.hello();
    let right = host.ask(&json!({ "verb": "verify_person", "pin": PIN }));
    assert_eq!(right["reply"]["verified"], true, "{right}");
    let lease = start(&mut host, &tenant);
    assert_eq!(lease["credential"], "passkey", "{lease}\n{}", lab.machine.log());
    let lease_id = lease["lease_id"].as_str().unwrap();
    assert_eq!(registered(&lab, &tenant), 1);
    let (answer, judged) = sign_in(&lab, &tenant, &mut host, lease_id);
    assert!(judged.is_ok(), "{answer} {judged:?}");

    let ended = host.ask(&json!({ "verb": "end_lease", "lease_id": lease_id }));
    assert_eq!(ended["reply"]["lease"]["state"], "ended", "{ended}");
    assert!(host.close().success());
    assert_eq!(registered(&lab, &tenant), 0);
    let listed = lab.latchkey(&["--json", "list", "--credentials"]).succeeds();
    assert!(!listed.out.contains("passkey"), "{}", listed.out);
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn the_operating_system_verifies_and_a_locked_screen_ends_it() {
    let (lab, tenant) = ready();
    let (mut host, address) = host_with_system_bus(&lab);
    let asked = Arc::new(AtomicU32::new(0));
    let polkit = Polkit { asked: Arc::clone(&asked), does: PolkitDoes::Verify };
    let bus = zbus::blocking::connection::Builder::address(address.as_str())
        .unwrap()
        .name("org.freedesktop.PolicyKit1")
        .unwrap()
        .name("org.freedesktop.login1")
        .unwrap()
        .serve_at("/org/freedesktop/PolicyKit1/Authority", polkit)
        .unwrap()
        .build()
        .unwrap();
    host.hello();
    let lease = start(&mut host, &tenant);
    let lease_id = lease["lease_id"].as_str().unwrap();
    let verified = host.ask(&json!({ "verb": "verify_person" }));
    assert_eq!(verified["reply"]["verified"], true, "{verified}\n{}", lab.machine.log());
    let again = host.ask(&json!({ "verb": "verify_person" }));
    assert_eq!((&again["reply"]["verified"], asked.load(Ordering::SeqCst)), (&json!(true), 1), "asked once");
    let (answer, judged) = sign_in(&lab, &tenant, &mut host, lease_id);
    assert!(judged.is_ok(), "{answer} {judged:?}");

    // Said until it is heard: the host may not have subscribed yet when it is said first.
    loop {
        bus.emit_signal(
            None::<&str>,
            "/org/freedesktop/login1/session/_31",
            "org.freedesktop.login1.Session",
            "Lock",
            &(),
        )
        .unwrap();
        let (answer, _) = sign_in(&lab, &tenant, &mut host, lease_id);
        if answer["error"]["name"] == "verification_needed" {
            break;
        }
        assert_eq!(answer["kind"], "reply", "{answer}");
    }
    host.ask(&json!({ "verb": "end_lease", "lease_id": lease_id }));
    assert!(host.close().success());
}

/// What a browser is answered when it asks who is there, of a machine with a PIN and a polkit that does so; and how often
/// polkit was to ask.
fn asked_of(does: PolkitDoes) -> (Value, u32) {
    let (lab, tenant) = lab();
    converse(&lab, "pin set", &[("New PIN", PIN), ("The same again", PIN)]);
    let (mut host, address) = host_with_system_bus(&lab);
    let asked = Arc::new(AtomicU32::new(0));
    let _bus = zbus::blocking::connection::Builder::address(address.as_str())
        .unwrap()
        .name("org.freedesktop.PolicyKit1")
        .unwrap()
        .serve_at("/org/freedesktop/PolicyKit1/Authority", Polkit { asked: Arc::clone(&asked), does })
        .unwrap()
        .build()
        .unwrap();
    host.hello();
    let answer = host.ask(&json!({ "verb": "verify_person", "tenant_id": tenant.id }));
    // Whatever it was, the PIN is as good as ever.
    let right = host.ask(&json!({ "verb": "verify_person", "pin": PIN }));
    assert_eq!(right["reply"]["verified"], true, "{right}");
    assert!(host.close().success());
    (answer, asked.load(Ordering::SeqCst))
}

#[test]
fn a_system_that_says_yes_without_asking_has_verified_nobody() {
    let (answer, asked) = asked_of(PolkitDoes::Agree);
    assert_eq!((&answer["reply"]["verified"], &answer["reply"]["pin_set"]), (&json!(false), &json!(true)), "{answer}");
    assert_eq!(asked, 0);
}

#[test]
fn a_system_that_cannot_ask_leaves_it_to_the_pin() {
    let (answer, asked) = asked_of(PolkitDoes::FindNobody);
    assert_eq!((&answer["reply"]["verified"], &answer["reply"]["pin_set"]), (&json!(false), &json!(true)), "{answer}");
    assert_eq!(asked, 1);
}

#[test]
fn whoever_says_no_to_the_system_is_refused() {
    for (does, said) in [(PolkitDoes::Dismiss, "You closed the window"), (PolkitDoes::Fail, "did not recognise you")] {
        let (answer, asked) = asked_of(does);
        assert_eq!(answer["error"]["name"], "verification_needed", "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(said), "{answer}");
        assert_eq!(asked, 1);
    }
}
