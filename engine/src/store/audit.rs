//! Rows of the audit log, one chain per tenant.
//!
//! The hash of an entry is SHA-256 over the hash before it, its sequence number (8 bytes, big-endian) and its body.
//! `audit_heads` holds the newest hash of each chain, so that cutting the end off shows too.

use sha2::{Digest as _, Sha256};
use sqlx::{Row as _, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Store, Write, fault, get, get_id, json, parse};
use crate::{AuditEntry, AuditEvent, AuditFault, AuditQuery, AuditReport, Caller, EngineError};
use serde::{Deserialize, Serialize};

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
}

/// The part of an entry that is hashed; serialised with its members in this order and `detail`'s in the order of
/// their names.
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
    sqlx::query("insert into audit (tenant_id, sequence, at, lease_id, body, hash) values (?1, ?2, ?3, ?4, ?5, ?6)")
        .bind(&tenant)
        .bind(sequence)
        .bind(entry.at)
        .bind(entry.lease_id.map(|id| id.to_string()))
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
    Ok(())
}

fn chained(previous: &[u8], sequence: i64, body: &str) -> Vec<u8> {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(sequence.to_be_bytes());
    hasher.update(body.as_bytes());
    hasher.finalize().to_vec()
}

impl Store {
    /// Reads entries, oldest first; with a limit, the newest of them.
    pub(crate) async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, EngineError> {
        let rows = sqlx::query(
            "select * from (
                 select * from audit
                 where (?1 is null or tenant_id = ?1) and (?2 is null or lease_id = ?2) and (?3 is null or at >= ?3)
                 order by at desc, sequence desc limit ?4
             ) order by at, sequence",
        )
        .bind(query.tenant_id.map(|id| id.to_string()))
        .bind(query.lease_id.map(|id| id.to_string()))
        .bind(query.since)
        .bind(query.limit.map_or(-1, i64::from))
        .fetch_all(&self.pool)
        .await
        .map_err(fault)?;
        rows.iter().map(entry_of).collect()
    }

    /// Recomputes every chain.
    pub(crate) async fn verify_audit(&self) -> Result<AuditReport, EngineError> {
        let mut read = self.pool.begin().await.map_err(fault)?;
        let heads =
            sqlx::query("select * from audit_heads order by tenant_id").fetch_all(&mut *read).await.map_err(fault)?;
        let rows = sqlx::query("select * from audit order by tenant_id, sequence")
            .fetch_all(&mut *read)
            .await
            .map_err(fault)?;
        let mut report = AuditReport::default();
        let mut newest: std::collections::BTreeMap<Uuid, (i64, Vec<u8>)> = std::collections::BTreeMap::new();
        for row in &rows {
            report.entries += 1;
            let tenant_id = get_id(row, "tenant_id")?;
            let sequence: i64 = get(row, "sequence")?;
            let hash: Vec<u8> = get(row, "hash")?;
            let (before, previous) = newest.get(&tenant_id).cloned().unwrap_or_default();
            let mut fault_found = |what: &str| {
                report.faults.push(AuditFault { tenant_id, sequence, what: what.to_owned() });
            };
            if sequence != before + 1 {
                fault_found("the entry before it is missing");
            } else if chained(&previous, sequence, get(row, "body")?) != hash {
                fault_found("it or the entry before it was changed");
            }
            newest.insert(tenant_id, (sequence, hash));
        }
        for row in &heads {
            let tenant_id = get_id(row, "tenant_id")?;
            let head = (get::<i64>(row, "sequence")?, get::<Vec<u8>>(row, "hash")?);
            if newest.remove(&tenant_id) != Some(head.clone()) {
                let what = "the chain does not end where it should".to_owned();
                report.faults.push(AuditFault { tenant_id, sequence: head.0, what });
            }
        }
        for (tenant_id, (sequence, _)) in newest {
            report.faults.push(AuditFault { tenant_id, sequence, what: "the chain has no head".to_owned() });
        }
        Ok(report)
    }
}

fn entry_of(row: &SqliteRow) -> Result<AuditEntry, EngineError> {
    let body: Body = parse("body", row.try_get("body").map_err(fault)?)?;
    let hash: Vec<u8> = get(row, "hash")?;
    Ok(AuditEntry {
        tenant_id: get_id(row, "tenant_id")?,
        sequence: get(row, "sequence")?,
        at: body.at,
        event: body.event,
        technician: body.technician,
        caller: body.caller,
        lease_id: body.lease_id,
        user_name: body.user_name,
        detail: body.detail,
        hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    async fn chain(entries: usize) -> (tempfile::TempDir, Store) {
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
        assert!(report.is_whole());
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
            "update audit set sequence = case sequence when 2 then 30 when 3 then 2 else sequence end
                 where sequence in (2, 3); update audit set sequence = 3 where sequence = 30",
            "delete from audit_heads",
        ] {
            let (_folder, store) = chain(5).await;
            sqlx::raw_sql(forgery).execute(&store.pool).await.unwrap();
            assert!(!store.verify_audit().await.unwrap().is_whole(), "{forgery}");
        }
    }
}
