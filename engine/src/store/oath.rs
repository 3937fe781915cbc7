//! Rows of OATH tokens. No row holds a secret.

use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{Store, Write, fault, get, get_id};
use crate::EngineError;

/// An OATH token of a JIT account, made on this machine.
#[derive(Clone, Debug)]
pub(crate) struct OathRow {
    pub(crate) token_id: Uuid,
    pub(crate) account_id: Uuid,
    /// The account's object id when it was made.
    pub(crate) object_id: Uuid,
    /// Microsoft's id; none until the directory has answered.
    pub(crate) device_id: Option<String>,
    pub(crate) made_at: i64,
    pub(crate) activated_at: Option<i64>,
}

impl OathRow {
    fn of(row: &SqliteRow) -> Result<Self, EngineError> {
        Ok(Self {
            token_id: get_id(row, "token_id")?,
            account_id: get_id(row, "account_id")?,
            object_id: get_id(row, "object_id")?,
            device_id: get(row, "device_id")?,
            made_at: get(row, "made_at")?,
            activated_at: get(row, "activated_at")?,
        })
    }

    /// What Microsoft shows: how a token is found whose adding was not answered.
    pub(crate) fn serial_number(&self) -> String {
        let id = self.token_id.simple().to_string();
        format!("LK-{}", id[id.len() - 12..].to_uppercase())
    }

    /// The key store's entry.
    pub(crate) fn entry(&self) -> String {
        format!("oath:{}", self.token_id)
    }
}

impl Store {
    /// Tokens of one account, the newest first.
    pub(crate) async fn oath_tokens_of(&self, account_id: Uuid) -> Result<Vec<OathRow>, EngineError> {
        let rows = sqlx::query("select * from oath_tokens where account_id = ?1 order by made_at desc, token_id desc")
            .bind(account_id.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        rows.iter().map(OathRow::of).collect()
    }

    /// Every token, the newest first.
    pub(crate) async fn oath_tokens(&self) -> Result<Vec<OathRow>, EngineError> {
        let rows = sqlx::query("select * from oath_tokens order by made_at desc, token_id desc")
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        rows.iter().map(OathRow::of).collect()
    }

    /// Notes Microsoft's id of a token.
    pub(crate) async fn oath_token_added(&self, token_id: Uuid, device_id: &str) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update oath_tokens set device_id = ?2 where token_id = ?1")
                .bind(token_id.to_string())
                .bind(device_id),
        )
        .await
    }

    /// Notes that the directory has taken the token's first code.
    pub(crate) async fn oath_token_activated(&self, token_id: Uuid, now: i64) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update oath_tokens set activated_at = ?2 where token_id = ?1")
                .bind(token_id.to_string())
                .bind(now),
        )
        .await
    }

    /// Notes that the code of a step leaves. `false`: it or a later one has left already.
    pub(crate) async fn take_oath_step(&self, token_id: Uuid, step: i64) -> Result<bool, EngineError> {
        let taken = sqlx::query(
            "update oath_tokens set last_step = ?2 where token_id = ?1 and (last_step is null or last_step < ?2)",
        )
        .bind(token_id.to_string())
        .bind(step)
        .execute(&self.pool)
        .await
        .map_err(fault)?;
        Ok(taken.rows_affected() == 1)
    }

    pub(crate) async fn forget_oath_token(&self, token_id: Uuid) -> Result<(), EngineError> {
        self.carry_out(sqlx::query("delete from oath_tokens where token_id = ?1").bind(token_id.to_string())).await
    }
}

/// Writes down that a token is about to be added.
pub(crate) async fn insert_oath_token(write: &mut Write, row: &OathRow) -> Result<(), EngineError> {
    sqlx::query("insert into oath_tokens (token_id, account_id, object_id, made_at) values (?1, ?2, ?3, ?4)")
        .bind(row.token_id.to_string())
        .bind(row.account_id.to_string())
        .bind(row.object_id.to_string())
        .bind(row.made_at)
        .execute(&mut **write)
        .await
        .map_err(fault)?;
    Ok(())
}
