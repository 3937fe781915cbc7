//! A list of tenants that is longer than a browser takes in one message, from the real binary with its real store.

use std::str::FromStr as _;

use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};

use crate::lab::{Lab, Machine};

const COUNT: usize = 3_000;
/// What Chrome takes from a host in one message.
const MOST_BYTES: usize = 1024 * 1024;

#[test]
fn three_thousand_tenants_are_listed_in_messages_that_a_browser_takes() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    multiply(&lab.machine);

    let mut host = lab.host();
    host.hello();
    // What a browser shows twice at once must not be mixed up.
    let hint = json!({"tenant": "contoso.onmicrosoft.com"});
    let ids = [
        host.send(&json!({"verb": "list_tenants", "hint": hint})),
        host.send(&json!({"verb": "list_tenants", "hint": {"tenant": "customer2500.example"}})),
    ];
    let mut frames = host.until_answer(ids[0]);
    if !frames.iter().any(|frame| is_answer(frame, ids[1])) {
        frames.extend(host.until_answer(ids[1]));
    }
    for id in ids {
        let own: Vec<&Value> = frames.iter().filter(|frame| frame["id"] == id).collect();
        assert!(own.len() > 1, "they fit into one message and show nothing");
        let mut listed = Vec::new();
        for frame in &own {
            assert!(frame.to_string().len() <= MOST_BYTES);
            let tenants = if is_answer(frame, id) { &frame["reply"]["tenants"] } else { &frame["tenants"] };
            listed.extend(tenants.as_array().unwrap().iter().map(|tenant| tenant["tenant_id"].as_str().unwrap()));
        }
        let count = listed.len();
        listed.sort_unstable();
        listed.dedup();
        assert_eq!((count, listed.len()), (COUNT, COUNT));
        let recognized = own.last().unwrap()["reply"]["recognized"].as_str();
        let wanted = if id == ids[0] { contoso.id.as_str() } else { "00000000-0000-4000-8000-000000002500" };
        assert_eq!(recognized, Some(wanted));
    }
    let leases = host.ask(&json!({"verb": "list_leases"}));
    assert_eq!(leases["reply"]["leases"], json!([]), "the connection goes on: {leases}");
    assert!(host.close().success());
}

fn is_answer(frame: &Value, id: u32) -> bool {
    frame["id"] == id && frame["kind"] == "reply"
}

/// Makes the one tenant that is connected `COUNT` tenants.
fn multiply(machine: &Machine) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let path = format!("sqlite://{}", machine.database().display());
        let mut database = SqliteConnectOptions::from_str(&path).unwrap().connect().await.unwrap();
        let made = sqlx::query(
            "with recursive numbers (number) as (select 1 union all select number + 1 from numbers where number + 1 < ?1)
             insert into tenants (tenant_id, name, cloud, client_id, domain, domains, roles, groups, minutes,
                 maximum_minutes, capabilities, pass_policy)
             select printf('00000000-0000-4000-8000-%012d', number), 'Customer with a long name ' || number, cloud,
                 client_id, 'customer' || number || '.onmicrosoft.com',
                 json_array('customer' || number || '.onmicrosoft.com', 'customer' || number || '.example'),
                 roles, groups, minutes, maximum_minutes, capabilities, pass_policy
             from tenants, numbers where name = 'Contoso'",
        )
        .bind(i64::try_from(COUNT).unwrap())
        .execute(&mut database)
        .await
        .unwrap();
        assert_eq!(made.rows_affected(), COUNT as u64 - 1);
    });
}
