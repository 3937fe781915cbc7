//! `latchkey drift` and `latchkey recover`, with real processes and a database that is really gone.

use entra_sim::directory::{RoleAssignment, roles, seed};

use crate::lab::{Lab, Tenant};

/// Somebody enables the account by hand, or gives it a role.
fn somebody_else(lab: &Lab, tenant: &Tenant, enables: bool, role: &str) {
    let mut directory = lab.entra.sim.directory();
    let tenant = directory.tenant_mut(&tenant.id).unwrap();
    let user = tenant.user_mut("jit-alex@contoso.onmicrosoft.com").unwrap();
    user.account_enabled |= enables;
    let (principal, scope) = (user.id.clone(), "/".to_owned());
    let role = roles::by_name(role).unwrap().id.to_owned();
    let id = seed::assignment_id(&role, &principal, &scope);
    tenant.assignments.push(RoleAssignment { id, role, principal, scope, schedule: None });
}

#[test]
fn drift_says_what_differs_and_leaves_what_is_not_ours_to_repair() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let clean = lab.latchkey(&["drift"]).succeeds();
    assert!(clean.out.contains("1 accounts in 1 tenants: 0 differed"), "{}", clean.out);
    somebody_else(&lab, &contoso, true, "Global Reader");
    let ran = lab.latchkey(&["drift", "Contoso"]).succeeds();
    assert!(ran.out.contains("no lease says so") && ran.out.contains("repaired"), "{}", ran.out);
    assert!(lab.account(&contoso).is_dormant());

    // During a lease it is said, and stays until the lease ends: something is left.
    lab.latchkey(&["start", "Contoso"]).succeeds();
    somebody_else(&lab, &contoso, false, "Global Reader");
    let ran = lab.latchkey(&["--json", "drift"]).run();
    assert_eq!(ran.status.code(), Some(1), "{}", ran.err);
    assert_eq!(ran.document["found"][0]["kind"], "changed_during_lease", "{}", ran.out);
    lab.latchkey(&["end", "--all"]).succeeds();
    lab.latchkey(&["drift"]).succeeds();
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn a_lost_database_is_rebuilt_from_the_list_of_tenants_the_key_store_and_the_tenants() {
    let lab = Lab::new();
    let (contoso, fabrikam) = (lab.tenant("Contoso"), lab.tenant("Fabrikam"));
    for tenant in [&contoso, &fabrikam] {
        lab.add(tenant, &[]).succeeds();
    }
    lab.latchkey(&["start", "Contoso"]).succeeds();
    assert!(lab.account(&contoso).is_active_as("User Administrator"));
    std::fs::remove_dir_all(lab.machine.database().parent().unwrap()).unwrap();

    assert!(lab.latchkey(&["tenant", "list"]).succeeds().out.contains("tenant add"));
    // Neither that nor a sweep empties the list.
    lab.latchkey(&["sweep"]).succeeds();
    let ran = lab.latchkey(&["recover"]).succeeds();
    for words in ["Contoso: connected again", "Fabrikam: connected again", "0 left to be done"] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    assert!(lab.account(&contoso).is_dormant());
    for tenant in [&contoso, &fabrikam] {
        assert!(!ran.out.contains(&tenant.client_secret));
    }
    lab.latchkey(&["start", "Contoso"]).succeeds();
    lab.latchkey(&["end", "Contoso"]).succeeds();
    lab.latchkey(&["tenant", "remove", "Fabrikam", "--yes"]).succeeds();
    lab.latchkey(&["recover"]).succeeds();
    let list = lab.latchkey(&["tenant", "list"]).succeeds();
    assert!(list.out.contains("Contoso") && !list.out.contains("Fabrikam"), "{}", list.out);
    lab.assert_nobody_is_active_without_a_lease();
    lab.latchkey(&["audit", "--verify"]).succeeds();
}
