//! Rows of the audit log, one chain per tenant.
//!
//! `audit_heads` holds the newest hash of each chain, so that cutting the end off shows too; `audit_anchors` where a chain
//! begins once its oldest entries have been removed. Columns beside the body are there to find entries by; verifying
//! compares them with the body, because a column that was changed would hide an entry without touching its hash.

use std::collections::BTreeMap;

use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Store, Write, fault, get, get_id, get_json, json, parse};
use crate::{
    AuditChain, AuditEntry, AuditEvent, AuditFault, AuditQuery, AuditReport, Caller, EngineError, Role,
    audit::chain::{Check, Link, chained, hexadecimal},
};
use serde::{Deserialize, Serialize};

/// How many entries are read at once.
const PAGE: i64 = 2_000;

/// What is written down.
#[derive(Clone, Debug)]
pub(crate) struct NewEntry<'a> {
    pub(crate) tenant_id: Uuid,
    pub(crate) at: i64,
    pub(crate) event: AuditEvent,
    pub(crate) technician: &'a str,
    pub(crate) caller: &'a Caller,
    pub(crate) lease_id: Option<Uuid>,
    pub(crate) user_name: Option<&'a str>,
    pub(crate) detail: serde_json::Value,
    /// Whether a receiver is to be told.
    pub(crate) announce: bool,
}

impl<'a> NewEntry<'a> {
    /// The same, done by (or to the lease of) somebody else than the one who works here.
    pub(crate) const fn by(mut self, technician: &'a str) -> Self {
        if !technician.is_empty() {
            self.technician = technician;
        }
        self
    }
}

/// The part of an entry that is hashed, in the words in which it was written.
#[derive(Serialize, Deserialize)]
struct Body {
    at: i64,
    event: AuditEvent,
    technician: String,
    caller: Caller,
    lease_id: Option<Uuid>,
    user_name: Option<String>,
    detail: serde_json::Value,
}

/// An entry as it stands in the database.
pub(crate) struct WrittenEntry {
    pub(crate) tenant_id: Uuid,
    pub(crate) sequence: i64,
    pub(crate) body: String,
    pub(crate) hash: Vec<u8>,
}

/// Where a chain begins and ends.
#[derive(Clone, Debug)]
pub(crate) struct ChainEnds {
    pub(crate) tenant_id: Uuid,
    /// The newest entry that was removed.
    pub(crate) anchor: Link,
    pub(crate) head: Link,
}

/// What a lease gives to the entries about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaseFacts {
    pub(crate) roles: Vec<Role>,
    pub(crate) groups: Vec<Uuid>,
    pub(crate) reason: Option<String>,
    pub(crate) ticket: Option<String>,
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) user_name: String,
    pub(crate) object_id: Option<Uuid>,
}

/// Appends an entry to its tenant's chain.
pub(crate) async fn append(write: &mut Write, entry: &NewEntry<'_>) -> Result<(), EngineError> {
    let tenant = entry.tenant_id.to_string();
    let head = sqlx::query("select sequence, hash from audit_heads where tenant_id = ?1")
        .bind(&tenant)
        .fetch_optional(&mut **write)
        .await
        .map_err(fault)?;
    let (sequence, previous) = match &head {
        Some(row) => (get::<i64>(row, "sequence")? + 1, get::<Vec<u8>>(row, "hash")?),
        None => (1, Vec::new()),
    };
    let body = json(&Body {
        at: entry.at,
        event: entry.event,
        technician: entry.technician.to_owned(),
        caller: entry.caller.clone(),
        lease_id: entry.lease_id,
        user_name: entry.user_name.map(ToOwned::to_owned),
        detail: entry.detail.clone(),
    })?;
    let hash = chained(&previous, sequence, &body);
    sqlx::query(
        "insert into audit (tenant_id, sequence, at, lease_id, event, technician, body, hash)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .bind(&tenant)
    .bind(sequence)
    .bind(entry.at)
    .bind(entry.lease_id.map(|id| id.to_string()))
    .bind(entry.event.name())
    .bind(entry.technician)
    .bind(&body)
    .bind(&hash[..])
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    sqlx::query(
        "insert into audit_heads (tenant_id, sequence, hash) values (?1, ?2, ?3)
         on conflict (tenant_id) do update set sequence = excluded.sequence, hash = excluded.hash",
    )
    .bind(&tenant)
    .bind(sequence)
    .bind(&hash[..])
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    if entry.announce {
        super::outbox::announce(write, &tenant, sequence, entry.at).await?;
    }
    Ok(())
}

impl Store {
    /// Reads entries, oldest first; with a limit, the newest of them.
    pub(crate) async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, EngineError> {
        let mut statement = QueryBuilder::new("select * from (select * from audit where true");
        filter(&mut statement, query);
        statement.push(" order by at desc, sequence desc limit ");
        statement.push_bind(query.limit.map_or(-1, i64::from));
        statement.push(") order by at, sequence");
        let rows = statement.build().fetch_all(&self.pool).await.map_err(fault)?;
        rows.iter().map(entry_of).collect()
    }

    /// The ends of every chain (or of one), and the entries in the order of the chains, page by page, all as of one
    /// moment. A `limit` is not looked at.
    pub(crate) async fn read_chains(&self, query: &AuditQuery) -> Result<ChainReader, EngineError> {
        let mut read = self.pool.begin().await.map_err(fault)?;
        let mut statement = QueryBuilder::new(
            "select audit_heads.*, audit_anchors.sequence as gone, audit_anchors.hash as gone_hash
             from audit_heads left join audit_anchors using (tenant_id) where true",
        );
        if let Some(tenant_id) = query.tenant_id {
            statement.push(" and tenant_id = ").push_bind(tenant_id.to_string());
        }
        statement.push(" order by tenant_id");
        let rows = statement.build().fetch_all(&mut *read).await.map_err(fault)?;
        let ends = rows.iter().map(ends_of).collect::<Result<_, _>>()?;
        Ok(ChainReader { read, query: query.clone(), after: (String::new(), 0), ends })
    }

    /// Recomputes every chain.
    pub(crate) async fn verify_audit(&self) -> Result<AuditReport, EngineError> {
        let mut reader = self.read_chains(&AuditQuery::default()).await?;
        let mut heads: BTreeMap<Uuid, ChainEnds> = reader.ends.drain(..).map(|ends| (ends.tenant_id, ends)).collect();
        let mut report = AuditReport::default();
        let mut current: Option<(Uuid, Check)> = None;
        loop {
            let rows = reader.next_rows().await?;
            for row in &rows {
                let entry = written(row)?;
                if current.as_ref().is_none_or(|(tenant_id, _)| *tenant_id != entry.tenant_id) {
                    finish(current.take(), &mut heads, &mut report);
                    let anchor = heads.get(&entry.tenant_id).map(|ends| ends.anchor.clone()).unwrap_or_default();
                    current = Some((entry.tenant_id, Check::new(anchor)));
                }
                let Some((tenant_id, check)) = &mut current else { continue };
                report.entries += 1;
                let sequence = entry.sequence;
                let verdict = check.take(sequence, &entry.body, entry.hash);
                let verdict =
                    verdict.and_then(|()| if columns_agree(row, &entry.body) { Ok(()) } else { Err(MISFILED) });
                if let Err(what) = verdict {
                    let what = what.to_owned();
                    report.faults.push(AuditFault {
                        tenant_id: Some(*tenant_id),
                        sequence: Some(sequence),
                        line: None,
                        what,
                    });
                }
            }
            if rows.is_empty() {
                break;
            }
        }
        finish(current, &mut heads, &mut report);
        // A head without any entry.
        for (tenant_id, ends) in std::mem::take(&mut heads) {
            let mut left = BTreeMap::from([(tenant_id, ends.clone())]);
            finish(Some((tenant_id, Check::new(ends.anchor))), &mut left, &mut report);
        }
        Ok(report)
    }

    /// What a lease gives to the entries about it.
    pub(crate) async fn lease_facts(&self, lease_id: Uuid) -> Result<Option<LeaseFacts>, EngineError> {
        let row = sqlx::query(
            "select leases.*, accounts.user_name, accounts.object_id
             from leases join accounts using (account_id) where lease_id = ?1",
        )
        .bind(lease_id.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(fault)?;
        row.map(|row| {
            Ok(LeaseFacts {
                roles: get_json(&row, "roles")?,
                groups: get_json(&row, "groups")?,
                reason: get(&row, "reason")?,
                ticket: get(&row, "ticket")?,
                from: get(&row, "from_at")?,
                until: get(&row, "until_at")?,
                user_name: get(&row, "user_name")?,
                object_id: get::<Option<&str>>(&row, "object_id")?.and_then(|id| id.parse().ok()),
            })
        })
        .transpose()
    }

    /// The entry at a place.
    pub(crate) async fn audit_entry(&self, tenant_id: Uuid, sequence: i64) -> Result<Option<AuditEntry>, EngineError> {
        let row = sqlx::query("select * from audit where tenant_id = ?1 and sequence = ?2")
            .bind(tenant_id.to_string())
            .bind(sequence)
            .fetch_optional(&self.pool)
            .await
            .map_err(fault)?;
        row.as_ref().map(entry_of).transpose()
    }

    /// The hash of the entry at a place, or of the removed one that the chain begins behind.
    pub(crate) async fn audit_hash(&self, tenant_id: Uuid, sequence: i64) -> Result<Option<Vec<u8>>, EngineError> {
        let row = sqlx::query(
            "select hash from audit where tenant_id = ?1 and sequence = ?2
             union all select hash from audit_anchors where tenant_id = ?1 and sequence = ?2",
        )
        .bind(tenant_id.to_string())
        .bind(sequence)
        .fetch_optional(&self.pool)
        .await
        .map_err(fault)?;
        row.map(|row| get(&row, "hash")).transpose()
    }

    /// Tenants whose oldest entry is from before `at`.
    pub(crate) async fn chains_older_than(&self, at: i64) -> Result<Vec<Uuid>, EngineError> {
        let oldest = sqlx::query("select min(at) as at from audit").fetch_one(&self.pool).await.map_err(fault)?;
        if get::<Option<i64>>(&oldest, "at")?.is_none_or(|oldest| oldest >= at) {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(
            "select tenant_id from audit_heads where (
                 select at from audit where audit.tenant_id = audit_heads.tenant_id order by sequence limit 1
             ) < ?1",
        )
        .bind(at)
        .fetch_all(&self.pool)
        .await
        .map_err(fault)?;
        rows.iter().map(|row| get_id(row, "tenant_id")).collect()
    }
}

const MISFILED: &str = "the columns that it is found by were changed";

/// Entries in the order of their chains.
pub(crate) struct ChainReader {
    read: sqlx::Transaction<'static, Sqlite>,
    query: AuditQuery,
    after: (String, i64),
    /// The ends of the chains.
    pub(crate) ends: Vec<ChainEnds>,
}

impl ChainReader {
    /// The next entries; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Vec<WrittenEntry>, EngineError> {
        self.next_rows().await?.iter().map(written).collect()
    }

    async fn next_rows(&mut self) -> Result<Vec<SqliteRow>, EngineError> {
        let mut statement = QueryBuilder::new("select * from audit where (tenant_id, sequence) > (");
        statement.push_bind(self.after.0.clone()).push(", ").push_bind(self.after.1).push(")");
        filter(&mut statement, &self.query);
        statement.push(" order by tenant_id, sequence limit ").push_bind(PAGE);
        let rows = statement.build().fetch_all(&mut *self.read).await.map_err(fault)?;
        if let Some(last) = rows.last() {
            self.after = (get(last, "tenant_id")?, get(last, "sequence")?);
        }
        Ok(rows)
    }
}

/// The oldest entries of a chain that may go: all before `cutoff`, up to the first that is newer or belongs to a lease
/// that is still open. Never the newest of the chain.
pub(crate) async fn prunable(
    write: &mut Write,
    tenant_id: Uuid,
    cutoff: i64,
) -> Result<Option<(Link, i64)>, EngineError> {
    let kept = sqlx::query(
        "select min(sequence) as first from audit where tenant_id = ?1 and (at >= ?2
             or lease_id in (select lease_id from leases where state not in ('ended', 'failed'))
             or sequence = (select sequence from audit_heads where tenant_id = ?1))",
    )
    .bind(tenant_id.to_string())
    .bind(cutoff)
    .fetch_one(&mut **write)
    .await
    .map_err(fault)?;
    let Some(first_kept) = get::<Option<i64>>(&kept, "first")? else { return Ok(None) };
    let newest = sqlx::query(
        "select sequence, hash, (select count(*) from audit where tenant_id = ?1 and sequence < ?2) as gone
         from audit where tenant_id = ?1 and sequence < ?2 order by sequence desc limit 1",
    )
    .bind(tenant_id.to_string())
    .bind(first_kept)
    .fetch_optional(&mut **write)
    .await
    .map_err(fault)?;
    newest
        .map(|row| Ok((Link { sequence: get(&row, "sequence")?, hash: get(&row, "hash")? }, get(&row, "gone")?)))
        .transpose()
}

/// Removes the oldest entries of a chain and notes where it begins now.
pub(crate) async fn remove_up_to(write: &mut Write, tenant_id: Uuid, link: &Link) -> Result<(), EngineError> {
    sqlx::query(
        "insert into audit_anchors (tenant_id, sequence, hash) values (?1, ?2, ?3)
         on conflict (tenant_id) do update set sequence = excluded.sequence, hash = excluded.hash",
    )
    .bind(tenant_id.to_string())
    .bind(link.sequence)
    .bind(&link.hash[..])
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    sqlx::query("delete from audit where tenant_id = ?1 and sequence <= ?2")
        .bind(tenant_id.to_string())
        .bind(link.sequence)
        .execute(&mut **write)
        .await
        .map_err(fault)?;
    Ok(())
}

/// Only the conditions that are there, so that each finds its index.
fn filter(statement: &mut QueryBuilder<Sqlite>, query: &AuditQuery) {
    if let Some(tenant_id) = query.tenant_id {
        statement.push(" and tenant_id = ").push_bind(tenant_id.to_string());
    }
    if let Some(lease_id) = query.lease_id {
        statement.push(" and lease_id = ").push_bind(lease_id.to_string());
    }
    if let Some(technician) = &query.technician {
        statement.push(" and technician = ").push_bind(technician.clone()).push(" collate nocase");
    }
    if let Some(event) = query.event {
        statement.push(" and event = ").push_bind(event.name());
    }
    if let Some(since) = query.since {
        statement.push(" and at >= ").push_bind(since);
    }
    if let Some(until) = query.until {
        statement.push(" and at < ").push_bind(until);
    }
}

/// Closes the books on one chain.
fn finish(current: Option<(Uuid, Check)>, heads: &mut BTreeMap<Uuid, ChainEnds>, report: &mut AuditReport) {
    let Some((tenant_id, check)) = current else { return };
    let ends = heads.remove(&tenant_id);
    if let Some(what) = check.finish(ends.as_ref().map(|ends| &ends.head)) {
        let sequence = Some(check.newest().sequence);
        report.faults.push(AuditFault { tenant_id: Some(tenant_id), sequence, line: None, what });
    }
    report.chains.push(AuditChain {
        tenant_id,
        from: ends.map_or(0, |ends| ends.anchor.sequence) + 1,
        to: check.newest().sequence,
        hash: hexadecimal(&check.newest().hash),
    });
}

/// Whether an entry is found by what it says.
fn columns_agree(row: &SqliteRow, body: &str) -> bool {
    let Ok(body) = serde_json::from_str::<Body>(body) else { return false };
    let text = |column: &str| get::<Option<&str>>(row, column).ok().flatten();
    get::<i64>(row, "at").is_ok_and(|at| at == body.at)
        && text("event").is_some_and(|event| event == body.event.name())
        && text("technician") == Some(body.technician.as_str())
        && text("lease_id") == body.lease_id.map(|id| id.to_string()).as_deref()
}

fn ends_of(row: &SqliteRow) -> Result<ChainEnds, EngineError> {
    let anchor = match get::<Option<i64>>(row, "gone")? {
        Some(sequence) => Link { sequence, hash: get(row, "gone_hash")? },
        None => Link::default(),
    };
    let head = Link { sequence: get(row, "sequence")?, hash: get(row, "hash")? };
    Ok(ChainEnds { tenant_id: get_id(row, "tenant_id")?, anchor, head })
}

fn written(row: &SqliteRow) -> Result<WrittenEntry, EngineError> {
    Ok(WrittenEntry {
        tenant_id: get_id(row, "tenant_id")?,
        sequence: get(row, "sequence")?,
        body: get(row, "body")?,
        hash: get(row, "hash")?,
    })
}

fn entry_of(row: &SqliteRow) -> Result<AuditEntry, EngineError> {
    let tenant_id = get_id(row, "tenant_id")?;
    let hash: Vec<u8> = get(row, "hash")?;
    entry(tenant_id, get(row, "sequence")?, row.try_get("body").map_err(fault)?, &hash)
}

/// An entry from what was written.
pub(crate) fn entry(tenant_id: Uuid, sequence: i64, body: &str, hash: &[u8]) -> Result<AuditEntry, EngineError> {
    let body: Body = parse("body", body)?;
    Ok(AuditEntry {
        tenant_id,
        sequence,
        at: body.at,
        event: body.event,
        technician: body.technician,
        caller: body.caller,
        lease_id: body.lease_id,
        user_name: body.user_name,
        detail: body.detail,
        hash: hexadecimal(hash),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub(super) async fn chain(entries: usize) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("latchkey.db")).await.unwrap();
        for number in 0..entries {
            for tenant in [1, 2] {
                let mut write = store.write().await.unwrap();
                let entry = NewEntry {
                    tenant_id: Uuid::from_u128(tenant),
                    at: i64::try_from(number).unwrap(),
                    event: AuditEvent::LeaseRequested,
                    technician: "Alex",
                    caller: &Caller::CommandLine,
                    lease_id: None,
                    user_name: None,
                    detail: serde_json::json!({ "number": number }),
                    announce: false,
                };
                append(&mut write, &entry).await.unwrap();
                crate::store::commit(write).await.unwrap();
            }
        }
        (folder, store)
    }

    #[tokio::test]
    async fn a_whole_chain_is_whole() {
        let (_folder, store) = chain(5).await;
        let report = store.verify_audit().await.unwrap();
        assert_eq!(report.entries, 10);
        assert!(report.is_whole(), "{report:?}");
        assert_eq!(report.chains.iter().map(|chain| (chain.from, chain.to)).collect::<Vec<_>>(), [(1, 5), (1, 5)]);
        let query = AuditQuery { tenant_id: Some(Uuid::from_u128(1)), limit: Some(2), ..AuditQuery::default() };
        let newest: Vec<_> = store.audit(&query).await.unwrap().iter().map(|entry| entry.sequence).collect();
        assert_eq!(newest, [4, 5]);
    }

    #[tokio::test]
    async fn every_way_to_forge_it_shows() {
        for forgery in [
            "update audit set body = replace(body, '\"number\":2', '\"number\":7') where sequence = 3",
            "delete from audit where sequence = 3",
            "delete from audit where sequence = 5",
            "delete from audit where sequence = 1",
            "delete from audit",
            "update audit set sequence = case sequence when 2 then 30 when 3 then 2 else sequence end
                 where sequence in (2, 3); update audit set sequence = 3 where sequence = 30",
            "delete from audit_heads",
            // Cut off at the beginning, as if it had been kept for long enough.
            "insert into audit_anchors select tenant_id, sequence, hash from audit where sequence = 2;
                 delete from audit where sequence <= 2",
            // The entry stays, but nobody finds it any more.
            "update audit set at = 0 where sequence = 3",
            "update audit set technician = 'Kim' where sequence = 3",
            "update audit set event = 'tenant_added' where sequence = 3",
            "update audit set lease_id = 'x' where sequence = 3",
        ] {
            let (_folder, store) = chain(5).await;
            sqlx::raw_sql(forgery).execute(&store.pool).await.unwrap();
            assert!(!store.verify_audit().await.unwrap().is_whole(), "{forgery}");
        }
    }

    #[tokio::test]
    async fn every_question_finds_its_index() {
        let (_folder, store) = chain(1).await;
        let lease_id = Some(Uuid::from_u128(9));
        for (query, index) in [
            (
                AuditQuery { tenant_id: Some(Uuid::from_u128(1)), since: Some(0), ..AuditQuery::default() },
                "audit_of_tenant",
            ),
            (AuditQuery { technician: Some("alex".to_owned()), ..AuditQuery::default() }, "audit_of_technician"),
            (AuditQuery { lease_id, ..AuditQuery::default() }, "audit_of_lease"),
            (AuditQuery { since: Some(5), ..AuditQuery::default() }, "audit_at"),
        ] {
            let mut statement = QueryBuilder::new("explain query plan select * from audit where true");
            filter(&mut statement, &query);
            statement.push(" order by at desc, sequence desc limit 100");
            let rows = statement.build().fetch_all(&store.pool).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.try_get("detail").unwrap()).collect();
            assert!(plan.iter().any(|step| step.contains(index)), "{query:?}: {plan:?}");
        }
    }
}
