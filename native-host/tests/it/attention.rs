//! What needs somebody before it is too late: said wherever people and programs look.

use entra_sim::directory::seed::TenantRecipe;
use serde_json::json;

use crate::lab::Lab;

const DAY: i64 = 86_400;

#[test]
fn an_applications_credential_that_ends_within_thirty_days_is_said_everywhere() {
    let lab = Lab::new();
    for (name, days) in [("Adatum", 20), ("Contoso Pharma", 40)] {
        lab.entra.sim.add_tenant(TenantRecipe {
            name: name.to_owned(),
            secret_expires_in_seconds: Some(days * DAY),
            additional_permissions: vec!["Application.Read.All".to_owned()],
            ..TenantRecipe::default()
        });
        lab.add(&lab.tenant(name), &[]).succeeds();
        // The end is read from the registration.
        lab.latchkey(&["tenant", "validate", name]).run();
    }

    let list = lab.latchkey(&["--json", "list"]).succeeds().document;
    let credentials = list["credentials"].as_array().unwrap();
    assert_eq!(credentials.len(), 1, "{list}");
    assert_eq!((&credentials[0]["tenant"], &credentials[0]["over"]), (&json!("Adatum"), &json!(false)));
    let shown = lab.latchkey(&["list"]).succeeds().out;
    for words in ["Adatum: the application's credential ends on", "latchkey tenant credential rotate Adatum"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains("Pharma"), "{shown}");

    // With and without a network.
    for words in [&["--json", "doctor", "--offline"][..], &["--json", "doctor"]] {
        let doctor = lab.latchkey(words).run().document;
        let findings = doctor["findings"].as_array().unwrap();
        let about = |name: &str| {
            findings.iter().find(|one| {
                one["link"] == "tenant"
                    && one["state"] == "warning"
                    && one["found"].as_str().unwrap().contains(name)
                    && format!("{}{}", one["found"], one["next_step"]).contains("tenant credential rotate")
            })
        };
        assert!(about("Adatum").is_some() && about("Pharma").is_none(), "{words:?}: {doctor:#}");
    }

    // From here the popup knows it.
    let mut host = lab.host();
    host.hello();
    let answer = host.ask(&json!({"verb": "list_tenants"}));
    let tenants = answer["reply"]["tenants"].as_array().unwrap();
    let adatum = tenants.iter().find(|tenant| tenant["name"] == "Adatum").unwrap();
    assert_eq!(adatum["credential_expires"], credentials[0]["ends"]);
    assert!(host.close().success());
}
