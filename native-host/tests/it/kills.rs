//! `kill -9` at every call to Microsoft, before and after its effect, of everything that begins or ends access: connecting
//! a tenant, starting, renewing an extended lease, ending one, ending all, and the sweep itself. Afterwards only the sweep
//! is run, as the schedule would.

use std::time::{Duration, Instant};

use crate::lab::{FOR_EVER, Lab, Moment, Start, Tenant};

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Operation {
    /// Ending everything at once.
    EndAll,
    /// A sweep for which a lease is due.
    Sweep,
    /// Connecting a tenant, which makes the account.
    Add,
    Start,
    /// Asking again for a lease that was extended: its credential is issued anew.
    Renew,
    End,
}

/// The length of the leases that are killed: the shortest there is.
const MINUTES: &str = "1";
/// So far ahead Microsoft's clock is when those leases are to be over, extended or not; in seconds.
const OVER: i64 = 150;

/// Microsoft's clock goes on until every lease is over, and a process of ours that asks Microsoft sees it. (Waiting
/// would do as well, and take minutes.)
fn let_time_pass(lab: &Lab, aside: &Tenant) {
    lab.microsoft_is_ahead(OVER);
    // What is asked for is over before it begins.
    lab.latchkey(&["start", &aside.id, "--minutes", MINUTES]).run();
}

/// Makes everything ready on a fresh tenant, and answers the command that is to be killed.
fn ready(lab: &Lab, operation: Operation, tenant: &Tenant, aside: &Tenant) -> Start {
    lab.microsoft_is_ahead(0);
    if matches!(operation, Operation::Add) {
        return lab.add(tenant, &["--minutes", "5"]);
    }
    lab.add(tenant, &["--minutes", "5"]).succeeds();
    let start = ["start", &tenant.id, "--minutes", MINUTES];
    if matches!(operation, Operation::Start) {
        return lab.latchkey(&start);
    }
    lab.latchkey(&start).succeeds();
    match operation {
        Operation::EndAll => lab.latchkey(&["end", "--all"]),
        Operation::Sweep => {
            let_time_pass(lab, aside);
            lab.latchkey(&["sweep", "--quiet"])
        }
        Operation::Renew => {
            let arrived = lab.entra.sim.exchanges.arrived();
            lab.latchkey(&["extend", &tenant.id, "--minutes", "1"]).succeeds();
            assert_eq!(lab.entra.sim.exchanges.arrived(), arrived, "an extension asks nobody");
            lab.latchkey(&start)
        }
        _ => lab.latchkey(&["end", &tenant.id]),
    }
}

#[test]
fn the_sweep_repairs_what_a_kill_leaves_at_any_call() {
    let lab = Lab::new();
    let aside = lab.new_tenant("Aside");
    lab.add(&aside, &["--minutes", "5"]).succeeds();
    let mut killed = Vec::new();
    // The first two work on whatever is open: with little left behind by others they are done sooner.
    for operation in
        [Operation::EndAll, Operation::Sweep, Operation::Add, Operation::Start, Operation::Renew, Operation::End]
    {
        let undisturbed = lab.new_tenant(&format!("{operation:?} undisturbed"));
        let command = ready(&lab, operation, &undisturbed, &aside);
        let before = lab.calls_to(&undisturbed);
        command.succeeds();
        let calls = lab.calls_to(&undisturbed) - before;
        for moment in Moment::ALL {
            let before = killed.len();
            for call in 1..=calls {
                let tenant = lab.new_tenant(&format!("{operation:?} {moment:?} {call}"));
                let command = ready(&lab, operation, &tenant, &aside);
                if !lab.kill_at(&tenant, command, moment, call) {
                    break;
                }
                killed.push(tenant);
            }
            // A token and at least one call of Graph.
            assert!(killed.len() >= before + 2, "{operation:?} {moment:?}: {} calls were held", killed.len() - before);
        }
    }
    // Every lease is over; what is still on loan to the dead is free soon. The schedule's next runs find all of it.
    let_time_pass(&lab, &aside);
    let began = Instant::now();
    loop {
        let _ = lab.latchkey(&["sweep", "--quiet"]).run();
        let open = lab.leases();
        if open.is_empty() {
            break;
        }
        assert!(began.elapsed() < 3 * FOR_EVER, "still open: {open:#?}\n{}", lab.machine.log());
        std::thread::sleep(Duration::from_secs(2));
    }
    for tenant in &killed {
        let account = lab.account(tenant);
        // Killed before it was made, it may be absent.
        assert!(account.0.is_null() || account.is_dormant(), "{}: {account:?}", tenant.name);
    }
    for tenant in killed.iter().filter(|tenant| tenant.name.starts_with("Add")) {
        lab.add(tenant, &[]).succeeds();
        assert!(lab.account(tenant).is_dormant());
    }
    lab.assert_nobody_is_active_without_a_lease();
    lab.latchkey(&["audit", "--verify"]).succeeds();
}

#[test]
fn a_host_that_is_killed_leaves_its_lease_to_the_sweep() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let mut host = lab.host();
    host.hello();
    let answer = host.ask(&serde_json::json!({"verb": "start_lease", "tenant_id": contoso.id, "minutes": 1}));
    assert_eq!(answer["kind"], "reply", "{answer}");
    host.kill();
    // A new host finds the lease without its credential, and can end it.
    let mut host = lab.host();
    host.hello();
    let leases = host.ask(&serde_json::json!({"verb": "list_leases"}));
    let lease = &leases["reply"]["leases"][0];
    assert_eq!(lease["credential_held"], false, "{leases}");
    // While a host runs it ends the lease at its second, and says so, without any sweep from outside.
    loop {
        let told = host.receive().unwrap();
        assert_eq!(told["kind"], "lease_changed", "{told}");
        if told["lease"]["state"] == "ended" {
            break;
        }
    }
    assert!(lab.account(&contoso).is_dormant());
    assert!(host.close().success());
    lab.assert_nobody_is_active_without_a_lease();
}
