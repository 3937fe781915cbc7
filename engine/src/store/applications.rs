//! Rows of what proves that applications are themselves: the public halves, and when they end.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sqlx::{Sqlite, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Store, Write, fault, get, get_id, get_optional_json, json};
use crate::{Certificate, EngineError, Failure};

/// Which kind of proof is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    ClientSecret,
    Certificate,
}

impl KeyKind {
    const fn name(self) -> &'static str {
        match self {
            Self::ClientSecret => "client_secret",
            Self::Certificate => "certificate",
        }
    }
}

/// What was replaced and is not removed at Microsoft yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RetiredKey {
    /// SHA-256 of the certificate in hexadecimal; `None` for a client secret.
    pub(crate) thumbprint: Option<String>,
    /// Microsoft's id of it.
    pub(crate) key_id: Option<Uuid>,
}

/// What proves that one application is itself.
#[derive(Clone, Debug)]
pub(crate) struct KeyRow {
    /// The key store's entry.
    pub(crate) entry: Uuid,
    pub(crate) kind: Option<KeyKind>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) key_id: Option<Uuid>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) warned_for: Option<i64>,
    pub(crate) next: Option<Certificate>,
    pub(crate) next_key_id: Option<Uuid>,
    /// Whether it may have been added at Microsoft.
    pub(crate) next_sent: bool,
    pub(crate) retired: Option<RetiredKey>,
    pub(crate) application_object_id: Option<Uuid>,
}

impl KeyRow {
    const fn none(entry: Uuid) -> Self {
        Self {
            entry,
            kind: None,
            certificate: None,
            key_id: None,
            expires_at: None,
            warned_for: None,
            next: None,
            next_key_id: None,
            next_sent: false,
            retired: None,
            application_object_id: None,
        }
    }

    fn of(row: &SqliteRow) -> Result<Self, EngineError> {
        let kind: Option<&str> = get(row, "kind")?;
        Ok(Self {
            entry: get_id(row, "entry")?,
            kind: match kind {
                None => None,
                Some("client_secret") => Some(KeyKind::ClientSecret),
                Some("certificate") => Some(KeyKind::Certificate),
                Some(other) => return Err(Failure::StoreDamaged(format!("{other} proves nothing")).into()),
            },
            certificate: get_optional_json(row, "certificate")?,
            key_id: optional_id(row, "key_id")?,
            expires_at: get(row, "expires_at")?,
            warned_for: get(row, "warned_for")?,
            next: get_optional_json(row, "next_certificate")?,
            next_key_id: optional_id(row, "next_key_id")?,
            next_sent: get(row, "next_sent")?,
            retired: get_optional_json(row, "retired")?,
            application_object_id: optional_id(row, "application_object_id")?,
        })
    }
}

fn optional_id(row: &SqliteRow, column: &str) -> Result<Option<Uuid>, EngineError> {
    let text: Option<&str> = get(row, column)?;
    text.map(|_| get_id(row, column)).transpose()
}

impl Store {
    /// What is known of an entry; nothing when there is no row.
    pub(crate) async fn application_key(&self, entry: Uuid) -> Result<KeyRow, EngineError> {
        find(&self.pool, entry).await
    }

    /// When what is in use ends, by entry; entries for which that is not known are left out.
    pub(crate) async fn ends_of_keys(&self) -> Result<HashMap<Uuid, i64>, EngineError> {
        let rows = sqlx::query("select entry, expires_at from application_credentials where expires_at is not null")
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        rows.iter().map(|row| Ok((get_id(row, "entry")?, get(row, "expires_at")?))).collect()
    }

    /// Every entry whose end comes before `before` and that no warning has been written down for.
    pub(crate) async fn keys_to_warn_of(&self, before: i64) -> Result<Vec<KeyRow>, EngineError> {
        let rows = sqlx::query(
            "select * from application_credentials
             where kind is not null and expires_at < ?1 and warned_for is not expires_at",
        )
        .bind(before)
        .fetch_all(&self.pool)
        .await
        .map_err(fault)?;
        rows.iter().map(KeyRow::of).collect()
    }

    /// The journal of a work, if one is under way.
    pub(crate) async fn journal<T: serde::de::DeserializeOwned>(
        &self,
        work: &str,
        tenant_id: Uuid,
    ) -> Result<Option<T>, EngineError> {
        let row = sqlx::query("select journal from application_work where work = ?1 and tenant_id = ?2")
            .bind(work)
            .bind(tenant_id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(fault)?;
        row.as_ref().map(|row| super::get_json(row, "journal")).transpose()
    }

    /// Writes down how far a work is.
    pub(crate) async fn save_journal(
        &self,
        work: &str,
        tenant_id: Uuid,
        journal: &impl Serialize,
        now: i64,
    ) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query(
                "insert into application_work (work, tenant_id, journal, updated_at) values (?1, ?2, ?3, ?4)
             on conflict (work, tenant_id) do update set journal = excluded.journal, updated_at = excluded.updated_at",
            )
            .bind(work)
            .bind(tenant_id.to_string())
            .bind(json(journal)?)
            .bind(now),
        )
        .await
    }

    /// The work is done.
    pub(crate) async fn close_journal(&self, work: &str, tenant_id: Uuid) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("delete from application_work where work = ?1 and tenant_id = ?2")
                .bind(work)
                .bind(tenant_id.to_string()),
        )
        .await
    }
}

/// What is known of an entry, inside a transaction or outside of one.
pub(crate) async fn find<'c>(
    executor: impl sqlx::Executor<'c, Database = Sqlite>,
    entry: Uuid,
) -> Result<KeyRow, EngineError> {
    let row = sqlx::query("select * from application_credentials where entry = ?1")
        .bind(entry.to_string())
        .fetch_optional(executor)
        .await
        .map_err(fault)?;
    row.as_ref().map_or_else(|| Ok(KeyRow::none(entry)), KeyRow::of)
}

/// Saves what is known of an entry.
pub(crate) async fn save(write: &mut Write, key: &KeyRow) -> Result<(), EngineError> {
    let id = |id: Option<Uuid>| id.map(|id| id.to_string());
    sqlx::query(
        "insert into application_credentials (entry, kind, certificate, key_id, expires_at, warned_for,
             next_certificate, next_key_id, next_sent, retired, application_object_id)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         on conflict (entry) do update set kind = excluded.kind, certificate = excluded.certificate,
             key_id = excluded.key_id, expires_at = excluded.expires_at, warned_for = excluded.warned_for,
             next_certificate = excluded.next_certificate, next_key_id = excluded.next_key_id,
             next_sent = excluded.next_sent, retired = excluded.retired, application_object_id = excluded.application_object_id",
    )
    .bind(key.entry.to_string())
    .bind(key.kind.map(KeyKind::name))
    .bind(key.certificate.as_ref().map(json).transpose()?)
    .bind(id(key.key_id))
    .bind(key.expires_at)
    .bind(key.warned_for)
    .bind(key.next.as_ref().map(json).transpose()?)
    .bind(id(key.next_key_id))
    .bind(key.next_sent)
    .bind(key.retired.as_ref().map(json).transpose()?)
    .bind(id(key.application_object_id))
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    Ok(())
}

/// Forgets an entry.
pub(crate) async fn forget(write: &mut Write, entry: Uuid) -> Result<(), EngineError> {
    sqlx::query("delete from application_credentials where entry = ?1")
        .bind(entry.to_string())
        .execute(&mut **write)
        .await
        .map_err(fault)?;
    Ok(())
}
