//! Everybody's accounts in one command, and one person gone in another, with real processes.

use serde_json::Value;

use crate::lab::Lab;

fn jit_accounts(lab: &Lab) -> Vec<String> {
    let directory = lab.entra.sim.directory();
    let users = directory.tenants.iter().flat_map(|tenant| tenant.users.values());
    let mut names: Vec<_> =
        users.map(|user| user.user_principal_name.clone()).filter(|name| name.starts_with("jit-")).collect();
    // (Accounts of somebody else that happen to be called so.)
    names.retain(|name| !name.starts_with("jit-taken@"));
    names.sort();
    names
}

#[test]
fn everybody_is_prepared_everywhere_and_whoever_leaves_is_gone_everywhere() {
    let lab = Lab::new();
    for tenant in [lab.tenant("Contoso"), lab.tenant("Fabrikam")] {
        lab.add(&tenant, &[]).succeeds();
    }
    let mine = jit_accounts(&lab);
    let added = lab.latchkey(&["technician", "add", "kim@msp.example"]).succeeds();
    assert!(
        added.err.contains("latchkey technician add alex@msp.example"),
        "whoever works here is left out: {}",
        added.err
    );
    for name in ["alex@msp.example", "sam@msp.example"] {
        let added = lab.latchkey(&["technician", "add", name]).succeeds();
        assert!(!added.err.contains("alex@msp.example"), "{}", added.err);
    }
    let ran = lab.latchkey(&["--json", "prepare", "--all-technicians"]).succeeds();
    assert_eq!(ran.document["prepared"].as_array().map(Vec::len), Some(4), "{}", ran.out);
    assert_eq!(ran.document["skipped"], 2);
    assert_eq!(jit_accounts(&lab).len(), 6);
    let again = lab.latchkey(&["prepare", "--all-technicians"]).succeeds();
    assert!(again.out.contains("6 were there already"), "{}", again.out);

    // Nobody is asked without a terminal: the word must have been said.
    let refused = lab.latchkey(&["technician", "remove", "kim@msp.example"]).run();
    assert!(refused.err.contains("--yes"), "{}", refused.err);
    assert_eq!(jit_accounts(&lab).len(), 6);
    let ran = lab.latchkey(&["--json", "technician", "remove", "kim@msp.example", "--yes"]).succeeds();
    assert_eq!(ran.document["accounts"].as_array().map(Vec::len), Some(2), "{}", ran.out);
    assert_eq!(ran.document["left"].as_array().map(Vec::len), Some(0));
    lab.latchkey(&["technician", "remove", "sam@msp.example", "-y"]).succeeds();
    assert_eq!(jit_accounts(&lab), mine);
    let left = lab.latchkey(&["--json", "technician", "list"]).succeeds().document;
    let names: Vec<_> = left.as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    assert!(!names.contains(&"kim@msp.example") && !names.contains(&"sam@msp.example"), "{names:?}");
    // It is on record, and nobody tampered with the record.
    let deleted = lab.latchkey(&["--json", "audit"]).succeeds().document;
    let deletions = deleted.as_array().into_iter().flatten().filter(|entry| entry["event"] == "account_deleting");
    assert_eq!(deletions.count(), 4, "{deleted}");
    lab.latchkey(&["audit", "verify"]).succeeds();
    assert!(matches!(left, Value::Array(_)));
}
