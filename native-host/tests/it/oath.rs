//! A password with a one-time code, with the real process and a real key store, and the lab's sign-in as the judge.
#![cfg(unix)]

use entra_sim::directory::{Licence, passkey::MethodState, seed::TenantRecipe};
use serde_json::{Value, json};

use crate::lab::{Lab, Tenant};

/// A lab with a tenant whose accounts may have tokens and no passes; codes are switched on unless `configuration` says
/// otherwise.
fn lab(configuration: &str) -> (Lab, Tenant) {
    let lab = Lab::new();
    let folder = lab.machine.home().join(".config/latchkey");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), configuration).unwrap();
    let permissions = ["Policy.ReadWrite.AuthenticationMethod", "UserAuthMethod-HardwareOATH.ReadWrite.All"];
    let recipe = TenantRecipe {
        name: "Tailspin".to_owned(),
        additional_permissions: permissions.map(str::to_owned).to_vec(),
        ..TenantRecipe::default()
    };
    let made = lab.entra.sim.add_tenant(recipe);
    {
        let mut directory = lab.entra.sim.directory();
        let made = directory.tenant_mut(&made.id).unwrap();
        made.licence = Licence::P1;
        made.oath_policy.state = MethodState::Enabled;
    }
    let tenant = lab.tenant("Tailspin");
    (lab, tenant)
}

fn fill(host: &mut crate::lab::Host, lease_id: &Value, field: &str) -> Value {
    let document = json!({
        "tab_id": 1, "document_id": format!("page-{field}"), "origin": "https://login.microsoftonline.com",
    });
    host.ask(&json!({ "verb": "fill_credential", "lease_id": lease_id, "field": field, "document": document }))
}

#[test]
fn from_a_click_to_a_page_signed_in_by_password_and_code() {
    let (lab, tenant) = lab("[access]\none_time_codes_beta = true\n");
    let added = lab.add(&tenant, &[]).succeeds();
    assert!(!added.err.contains("[5"), "{}", added.err);
    lab.microsoft_is_ahead(60);
    let listed = lab.latchkey(&["list", "--credentials"]).succeeds();
    assert!(listed.out.contains("OATH token") && listed.out.contains("ready"), "{}", listed.out);

    let mut host = lab.host();
    host.hello();
    let started = host.ask(&json!({ "verb": "start_lease", "tenant_id": tenant.id, "passkey": true }));
    let lease = &started["reply"]["lease"];
    assert_eq!(lease["credential"], "password_totp", "{started}\n{}", lab.machine.log());
    let password = fill(&mut host, &lease["lease_id"], "password");
    let code = fill(&mut host, &lease["lease_id"], "one_time_code");
    assert_eq!((&code["reply"]["reply"], &code["reply"]["credential"]), (&json!("secret"), &json!("password_totp")));
    let again = fill(&mut host, &lease["lease_id"], "one_time_code");
    assert_eq!(again["error"]["name"], "already_filled", "{again}");

    let sim = &lab.entra.sim;
    let text = |answer: &Value| answer["reply"]["value"].as_str().unwrap().to_owned();
    let user_name = lease["user_name"].as_str().unwrap();
    let signed_in = sim.sign_in_with_password(None, user_name, &text(&password)).unwrap();
    sim.add_code(&signed_in, &text(&code)).unwrap();
    sim.add_code(&signed_in, &text(&code)).unwrap_err();

    // The next one, for whoever types it: from a process that does not hold the password.
    lab.microsoft_is_ahead(120);
    let shown = lab.latchkey(&["--json", "code"]).succeeds().document;
    sim.add_code(&signed_in, shown["code"].as_str().unwrap()).unwrap();

    host.ask(&json!({ "verb": "end_lease", "lease_id": lease["lease_id"] }));
    assert!(host.close().success());
    let log = lab.machine.log();
    assert!(!log.contains(&text(&password)), "{log}");
    lab.assert_nobody_is_active_without_a_lease();
    lab.latchkey(&["tenant", "remove", "Tailspin", "--yes"]).succeeds();
    assert!(sim.directory().tenant(&tenant.id).unwrap().oath_tokens.is_empty(), "it goes with the tenant");
}

#[test]
fn without_the_switch_it_is_a_password() {
    let (lab, tenant) = lab("");
    lab.add(&tenant, &[]).succeeds();
    let started = lab.latchkey(&["--json", "start", "Tailspin", "--show-credential"]).succeeds().document;
    assert_eq!(started["credential"]["kind"], "password", "{started}");
    assert_eq!(started["credential"]["code"], Value::Null);
    assert!(lab.entra.sim.directory().tenant(&tenant.id).unwrap().oath_tokens.is_empty());
}
