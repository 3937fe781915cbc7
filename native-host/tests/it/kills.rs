//! `kill -9` at every call to Microsoft, before and after its effect, of connecting a tenant and of starting and ending
//! a lease. Afterwards only the sweep is run, as the schedule would.

use std::time::{Duration, Instant};

use entra_sim::faults::{Fault, Kind, Match};

use crate::lab::{FOR_EVER, Lab, Tenant};

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Operation {
    /// Connecting a tenant, which makes the account.
    Add,
    Start,
    End,
}

/// When in the call.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Before its effect, which never comes.
    Before,
    /// Before its effect, which comes after the process is dead.
    BeforeAndYet,
    /// After its effect.
    After,
}

/// The length of the leases that are killed: the shortest there is, because the sweep waits for its end.
const MINUTES: &str = "1";

/// Kills `latchkey` at call number `call` of an operation on a fresh tenant. `None` when it has fewer calls.
fn kill_at(lab: &Lab, operation: Operation, moment: Moment, call: u64) -> Option<Tenant> {
    let tenant = lab.new_tenant(&format!("{operation:?} {moment:?} {call}"));
    let start = ["start", &tenant.id, "--minutes", MINUTES];
    let command = match operation {
        Operation::Add => lab.add(&tenant, &["--minutes", "5"]),
        Operation::Start => {
            lab.add(&tenant, &["--minutes", "5"]).succeeds();
            lab.latchkey(&start)
        }
        Operation::End => {
            lab.add(&tenant, &["--minutes", "5"]).succeeds();
            lab.latchkey(&start).succeeds();
            lab.latchkey(&["end", &tenant.id])
        }
    };
    let kind = match moment {
        Moment::Before => Kind::HoldBefore { survives_client: false },
        Moment::BeforeAndYet => Kind::HoldBefore { survives_client: true },
        Moment::After => Kind::HoldAfter {},
    };
    let matches = Match { tenant: Some(tenant.id.clone()), nth: Some(call), in_batch: Some(false), ..Match::default() };
    lab.entra.sim.faults.replace(vec![Fault { matches, kind, times: Some(1) }]);
    let mut process = command.spawn();
    let began = Instant::now();
    let held = loop {
        if lab.entra.sim.faults.held() > 0 {
            break true;
        }
        if process.try_wait().unwrap().is_some() {
            break false;
        }
        assert!(began.elapsed() < FOR_EVER, "neither held nor over: {operation:?} {moment:?} {call}");
        std::thread::sleep(Duration::from_millis(5));
    };
    // SIGKILL: nothing of the process runs after this.
    let _ = process.kill();
    process.wait().unwrap();
    lab.entra.sim.faults.release();
    lab.entra.sim.faults.replace(Vec::new());
    held.then_some(tenant)
}

#[test]
fn the_sweep_repairs_what_a_kill_leaves_at_any_call() {
    let lab = Lab::new();
    let mut killed = Vec::new();
    for operation in [Operation::Add, Operation::Start, Operation::End] {
        for moment in [Moment::Before, Moment::BeforeAndYet, Moment::After] {
            let before = killed.len();
            for call in 1.. {
                match kill_at(&lab, operation, moment, call) {
                    Some(tenant) => killed.push(tenant),
                    None => break,
                }
            }
            // A token and at least one call of Graph.
            assert!(killed.len() >= before + 2, "{operation:?} {moment:?}: {} calls were held", killed.len() - before);
        }
    }
    // Every lease is over a minute after the last one began; then the schedule's next runs find them.
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
