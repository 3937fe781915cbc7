//! How the store's queries grow with the leases that it has seen.

use std::time::Instant;

use anyhow::Context;
use latchkey_engine::{AuditQuery, StartLease};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use crate::{Bench, CALLER, technician, tenant_id, wish};

/// How often each query is timed; the median counts.
const TIMES: usize = 21;

/// Median milliseconds of what is asked all the time, with ever more closed leases and their audit entries; nine leases
/// are open.
pub(crate) async fn queries(most: u32) -> anyhow::Result<Value> {
    let bench = Bench::new(1, 1)?;
    let technicians: Vec<_> = (1..=10).map(technician).collect();
    let engine = bench.engine(&technicians).await?;
    engine.add_tenant(wish(1)?, &CALLER, &|_| {}).await?;
    let start = |number: usize| StartLease {
        technician: Some(technicians[number].name.clone()),
        ..StartLease::new(tenant_id(1), CALLER)
    };
    for number in 1..10 {
        engine.start_lease(start(number), &|_| {}).await?;
    }
    let lease_id = engine.start_lease(start(0), &|_| {}).await?.lease_id;
    engine.end_lease(lease_id, &CALLER, &|_| {}).await?;

    let path = bench.folder.path().join("latchkey.db");
    let mut report = Vec::new();
    let (mut there, mut leases) = (0, 100);
    while leases <= most {
        fill(&path, there, leases).await?;
        there = leases;
        report.push(json!({
            "leases": leases,
            "when is something due (leases, accounts, rotations)": median(async || {
                engine.next_due().await?;
                Ok(())
            }).await?,
            "a sweep with nothing to do": median(async || {
                engine.sweep().await?;
                Ok(())
            }).await?,
            "list of open leases": median(async || {
                engine.leases(false).await?;
                Ok(())
            }).await?,
            "list with the newest 500 closed ones": median(async || {
                engine.leases(true).await?;
                Ok(())
            }).await?,
            "tenants with their leases": median(async || {
                engine.tenants().await?;
                Ok(())
            }).await?,
            "a lease from start to end, without the network: open leases, claim, audit": median(async || {
                let lease = engine.start_lease(start(0), &|_| {}).await?;
                engine.end_lease(lease.lease_id, &CALLER, &|_| {}).await?;
                // So that no limit is met.
                bench.world.until(bench.world.passed() + 11_000).await;
                Ok(())
            }).await?,
            "newest 100 audit entries": median(async || {
                engine.audit(&AuditQuery { limit: Some(100), ..AuditQuery::default() }).await?;
                Ok(())
            }).await?,
        }));
        eprintln!("{}", report.last().context("nothing")?);
        leases *= 10;
    }
    bench.world.stop();
    engine.close().await;
    Ok(report.into())
}

async fn median(work: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let began = Instant::now();
        work().await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let middle = times.get(TIMES / 2).context("nothing was timed")?;
    Ok((middle * 1000.0).round() / 1000.0)
}

/// Closed leases of the ten accounts, with two audit entries each.
async fn fill(path: &std::path::Path, from: u32, to: u32) -> anyhow::Result<()> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut database = SqliteConnection::connect_with(&options).await?;
    let numbers = format!("with recursive n(i) as (select {from} union all select i + 1 from n where i + 1 < {to})");
    let statements = [
        format!(
            "insert into leases (lease_id, tenant_id, account_id, state, roles, groups, caller, from_at, until_at,
                 next_at, technician, technician_name)
             {numbers} select printf('00000000-0000-4000-9000-%012d', i), tenant_id, account_id, 'ended', '[]', '[]',
                 '\"sweep\"', 1000000000000 + i * 1000, 1000003600000 + i * 1000, 1000003600000 + i * 1000, owner, owner
             from n join accounts on accounts.rowid = 1 + i % (select count(*) from accounts)"
        ),
        // Of another tenant, whose chain nobody goes on with.
        format!(
            "insert into audit (tenant_id, sequence, at, lease_id, event, technician, body, hash)
             {numbers} select '00000000-0000-4000-8000-000000000000', i * 2 + k, 1000000000000 + i * 1000 + k,
                 printf('00000000-0000-4000-9000-%012d', i), 'lease_granted', 'technician-' || (i % 10),
                 '{{\"at\":1,\"event\":\"lease_granted\",\"technician\":\"technician-1\",\"caller\":\"sweep\",
                    \"lease_id\":null,\"user_name\":null,\"detail\":{{}}}}', x'00'
             from n, (select 1 as k union all select 2)"
        ),
    ];
    for statement in statements {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut database).await?;
    }
    database.close().await?;
    Ok(())
}
