//! Rows of OATH tokens, and of what tenants allow about them. No row holds a secret.

use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{Store, Write, fault, get, get_id, get_optional_json, json};
use crate::{EngineError, oath::OathPolicy};

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

/// What is known of OATH tokens in a tenant.
#[derive(Clone, Debug, Default)]
pub(crate) struct TenantOath {
    /// None: it cannot be read, or nobody has.
    pub(crate) policy: Option<OathPolicy>,
    pub(crate) refused_at: Option<i64>,
}

impl TenantOath {
    fn of(row: &SqliteRow) -> Result<Self, EngineError> {
        Ok(Self { policy: get_optional_json(row, "policy")?, refused_at: get(row, "refused_at")? })
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
        sqlx::query("update oath_tokens set device_id = ?2 where token_id = ?1")
            .bind(token_id.to_string())
            .bind(device_id)
            .execute(&self.pool)
            .await
            .map_err(fault)?;
        Ok(())
    }

    /// Notes that the directory has taken the token's first code.
    pub(crate) async fn oath_token_activated(&self, token_id: Uuid, now: i64) -> Result<(), EngineError> {
        sqlx::query("update oath_tokens set activated_at = ?2 where token_id = ?1")
            .bind(token_id.to_string())
            .bind(now)
            .execute(&self.pool)
            .await
            .map_err(fault)?;
        Ok(())
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
        sqlx::query("delete from oath_tokens where token_id = ?1")
            .bind(token_id.to_string())
            .execute(&self.pool)
            .await
            .map_err(fault)?;
        Ok(())
    }

    /// What is known of tokens in a tenant.
    pub(crate) async fn tenant_oath(&self, tenant_id: Uuid) -> Result<TenantOath, EngineError> {
        let row = sqlx::query("select policy, refused_at from tenant_oath where tenant_id = ?1")
            .bind(tenant_id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(fault)?;
        row.as_ref().map_or_else(|| Ok(TenantOath::default()), TenantOath::of)
    }

    /// The same of all tenants about which anything is known.
    pub(crate) async fn all_tenant_oath(&self) -> Result<HashMap<Uuid, TenantOath>, EngineError> {
        let rows = sqlx::query("select * from tenant_oath").fetch_all(&self.pool).await.map_err(fault)?;
        rows.iter().map(|row| Ok((get_id(row, "tenant_id")?, TenantOath::of(row)?))).collect()
    }

    /// Remembers what the tenant's policy says, as seen just now.
    pub(crate) async fn remember_oath_policy(&self, tenant_id: Uuid, policy: &OathPolicy) -> Result<(), EngineError> {
        sqlx::query(
            "insert into tenant_oath (tenant_id, policy) values (?1, ?2)
             on conflict (tenant_id) do update set policy = excluded.policy",
        )
        .bind(tenant_id.to_string())
        .bind(json(policy)?)
        .execute(&self.pool)
        .await
        .map_err(fault)?;
        Ok(())
    }

    /// Remembers that a token or a code was refused, or (with `None`) that one was taken.
    pub(crate) async fn remember_oath_refusal(&self, tenant_id: Uuid, at: Option<i64>) -> Result<(), EngineError> {
        sqlx::query(
            "insert into tenant_oath (tenant_id, refused_at) values (?1, ?2)
             on conflict (tenant_id) do update set refused_at = excluded.refused_at",
        )
        .bind(tenant_id.to_string())
        .bind(at)
        .execute(&self.pool)
        .await
        .map_err(fault)?;
        Ok(())
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
