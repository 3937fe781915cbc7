//! `latchkey lockdown` and `latchkey end --all`, with real processes.

use std::time::Instant;

use serde_json::json;

use crate::lab::{FOR_EVER, Lab};

#[test]
fn a_lockdown_ends_everything_and_refuses_in_every_process_until_it_is_lifted() {
    let lab = Lab::new();
    let (contoso, fabrikam) = (lab.tenant("Contoso"), lab.tenant("Fabrikam"));
    for tenant in [&contoso, &fabrikam] {
        lab.add(tenant, &[]).succeeds();
        lab.latchkey(&["start", &tenant.id]).succeeds();
    }
    // A browser's host that has been running since before.
    let mut host = lab.host();
    host.hello();
    host.ask(&json!({"verb": "list_leases"}));

    let ran = lab.latchkey(&["--json", "lockdown", "--reason", "INC-7: laptop stolen"]).succeeds();
    assert_eq!(ran.document["ended"].as_array().unwrap().len(), 2, "{}", ran.out);
    assert!(lab.account(&contoso).is_dormant() && lab.account(&fabrikam).is_dormant());

    let refused = host.ask(&json!({"verb": "start_lease", "tenant_id": contoso.id}));
    assert_eq!(refused["error"]["name"], "locked_down", "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("INC-7: laptop stolen"), "{refused}");
    host.close();
    let ran = lab.latchkey(&["--json", "start", "Contoso"]).run();
    assert_eq!((ran.status.code(), ran.error["name"].as_str()), (Some(50), Some("locked_down")), "{}", ran.err);
    let list = lab.latchkey(&["list"]).succeeds();
    assert!(list.out.contains("LOCKED DOWN") && list.out.contains("INC-7"), "{}", list.out);
    let doctor = lab.latchkey(&["--json", "doctor", "--offline"]).run();
    let findings = doctor.document["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["link"] == "lockdown"), "{}", doctor.out);

    // Nobody lifts it by the way.
    assert_eq!(lab.latchkey(&["lockdown", "--lift"]).run().status.code(), Some(2));
    lab.latchkey(&["lockdown", "--lift", "--reason", "INC-7 closed"]).succeeds();
    assert!(!lab.latchkey(&["list"]).succeeds().out.contains("LOCKED DOWN"));
    lab.latchkey(&["start", "Contoso"]).succeeds();
    lab.latchkey(&["end", "--all"]).succeeds();
    lab.latchkey(&["audit", "--verify"]).succeeds();
    let audit = lab.latchkey(&["audit"]).succeeds();
    assert!(audit.out.contains("lockdown_begun") && audit.out.contains("lockdown_lifted"), "{}", audit.out);
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn ending_everything_says_loudly_what_is_not_verified() {
    let lab = Lab::new();
    let (contoso, fabrikam) = (lab.tenant("Contoso"), lab.tenant("Fabrikam"));
    for tenant in [&contoso, &fabrikam] {
        lab.add(tenant, &[]).succeeds();
        lab.latchkey(&["start", &tenant.id]).succeeds();
    }
    let fault = json!({
        "match": { "tenant": fabrikam.id, "method": "DELETE", "path_contains": "roleAssignments", "in_batch": true },
        "kind": "status", "status": 403,
    });
    lab.entra.sim.faults.add(serde_json::from_value(fault).unwrap());
    let ran = lab.latchkey(&["end", "--all"]).run();
    assert_eq!(ran.status.code(), Some(50), "{}", ran.err);
    assert!(ran.err.contains("1 of 2 could not be verified"), "{}", ran.err);
    assert!(lab.account(&contoso).is_dormant());
    // It stays on the list and in the doctor's findings, and a browser hears of it, until it has been read back.
    let list = lab.latchkey(&["list"]).succeeds();
    assert!(list.out.contains("Fabrikam") && list.out.contains("not been verified"), "{}", list.out);
    assert_eq!(lab.leases()[0]["problem"]["name"], "ending_unverified", "it stands first");
    let doctor = lab.latchkey(&["--json", "doctor", "--offline"]).run();
    assert!(doctor.out.contains("not been verified"), "{}", doctor.out);
    let mut host = lab.host();
    host.hello();
    let tenants = host.ask(&json!({"verb": "list_tenants"}));
    let shown = tenants["reply"]["tenants"].as_array().unwrap().iter().find(|tenant| tenant["name"] == "Fabrikam");
    assert_eq!(shown.unwrap()["lease"]["problem"]["name"], "ending_unverified", "{tenants}");
    host.close();

    lab.entra.sim.faults.replace(Vec::new());
    // The schedule runs the sweep on two machines, or twice on one: together they end it once.
    let began = Instant::now();
    while !lab.latchkey(&["list"]).succeeds().out.contains("No lease is open.") {
        assert!(began.elapsed() < FOR_EVER, "still open\n{}", lab.machine.log());
        let sweeps = [lab.latchkey(&["sweep", "--quiet"]).spawn(), lab.latchkey(&["sweep", "--quiet"]).spawn()];
        for mut sweep in sweeps {
            // The one that comes second may find that it is not verified yet, and says so.
            sweep.wait().unwrap();
        }
    }
    lab.assert_nobody_is_active_without_a_lease();
    let audit = lab.latchkey(&["--json", "audit", "--tenant", "Fabrikam"]).succeeds().document;
    let ends = audit.as_array().unwrap().iter().filter(|entry| entry["event"] == "end_verified").count();
    assert_eq!(ends, 1, "{audit:#}");
    lab.latchkey(&["audit", "--verify"]).succeeds();
}
