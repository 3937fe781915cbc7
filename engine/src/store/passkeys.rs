//! Rows of passkeys, and of PINs that were tried. No row holds a secret.

use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{Store, Write, fault, get, get_id};
use crate::{EngineError, person::rules::Tries};

/// A passkey of a JIT account, made on this machine.
#[derive(Clone, Debug)]
pub(crate) struct PasskeyRow {
    pub(crate) passkey_id: Uuid,
    pub(crate) account_id: Uuid,
    /// The account's object id when it was made.
    pub(crate) object_id: Uuid,
    /// Base64url; none until the key is in the key store.
    pub(crate) credential_id: Option<String>,
    pub(crate) rp_id: Option<String>,
    /// Microsoft's id; none until the directory has answered.
    pub(crate) method_id: Option<String>,
    pub(crate) made_at: i64,
    pub(crate) registered_at: Option<i64>,
    /// When a page refused it.
    pub(crate) doubted_at: Option<i64>,
}

impl PasskeyRow {
    fn of(row: &SqliteRow) -> Result<Self, EngineError> {
        Ok(Self {
            passkey_id: get_id(row, "passkey_id")?,
            account_id: get_id(row, "account_id")?,
            object_id: get_id(row, "object_id")?,
            credential_id: get(row, "credential_id")?,
            rp_id: get(row, "rp_id")?,
            method_id: get(row, "method_id")?,
            made_at: get(row, "made_at")?,
            registered_at: get(row, "registered_at")?,
            doubted_at: get(row, "doubted_at")?,
        })
    }

    /// What Microsoft shows: how a passkey is found whose registration was not answered.
    pub(crate) fn display_name(&self) -> String {
        let id = self.passkey_id.simple().to_string();
        format!("Latchkey {}", &id[id.len() - 12..])
    }

    /// The key store's entry.
    pub(crate) fn entry(&self) -> String {
        format!("passkey:{}", self.passkey_id)
    }
}

impl Store {
    /// Passkeys of one account, the newest first.
    pub(crate) async fn passkeys_of(&self, account_id: Uuid) -> Result<Vec<PasskeyRow>, EngineError> {
        let rows = sqlx::query("select * from passkeys where account_id = ?1 order by made_at desc, passkey_id desc")
            .bind(account_id.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        rows.iter().map(PasskeyRow::of).collect()
    }

    /// Every passkey, the newest first.
    pub(crate) async fn passkeys(&self) -> Result<Vec<PasskeyRow>, EngineError> {
        let rows = sqlx::query("select * from passkeys order by made_at desc, passkey_id desc")
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        rows.iter().map(PasskeyRow::of).collect()
    }

    /// Notes Microsoft's id of a passkey: it is registered.
    pub(crate) async fn passkey_registered(
        &self,
        passkey_id: Uuid,
        method_id: &str,
        now: i64,
    ) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update passkeys set method_id = ?2, registered_at = ?3 where passkey_id = ?1")
                .bind(passkey_id.to_string())
                .bind(method_id)
                .bind(now),
        )
        .await
    }

    /// Notes that the key is in the key store.
    pub(crate) async fn passkey_kept(&self, passkey_id: Uuid, credential_id: &str) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update passkeys set credential_id = ?2 where passkey_id = ?1")
                .bind(passkey_id.to_string())
                .bind(credential_id),
        )
        .await
    }

    /// Notes that a page refused the account's passkeys, or (with `None`) that they have been looked up since.
    pub(crate) async fn doubt_passkeys(&self, account_id: Uuid, at: Option<i64>) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update passkeys set doubted_at = ?2 where account_id = ?1")
                .bind(account_id.to_string())
                .bind(at),
        )
        .await
    }

    pub(crate) async fn forget_passkey(&self, passkey_id: Uuid) -> Result<(), EngineError> {
        self.carry_out(sqlx::query("delete from passkeys where passkey_id = ?1").bind(passkey_id.to_string())).await
    }

    /// PINs that were wrong, in a row.
    pub(crate) async fn pin_tries(&self) -> Result<Tries, EngineError> {
        let row = sqlx::query(TRIES).fetch_optional(&self.pool).await.map_err(fault)?;
        row.as_ref().map_or_else(|| Ok(Tries::default()), of_tries)
    }
}

const TRIES: &str = "select wrong, last_at from pin_tries";

fn of_tries(row: &SqliteRow) -> Result<Tries, EngineError> {
    let wrong: i64 = get(row, "wrong")?;
    Ok(Tries { wrong: u32::try_from(wrong).unwrap_or(u32::MAX), last_at: get(row, "last_at")? })
}

/// The same where nobody can count another one meanwhile.
pub(crate) async fn pin_tries(write: &mut Write) -> Result<Tries, EngineError> {
    let row = sqlx::query(TRIES).fetch_optional(&mut **write).await.map_err(fault)?;
    row.as_ref().map_or_else(|| Ok(Tries::default()), of_tries)
}

pub(crate) async fn save_pin_tries(write: &mut Write, tries: Tries) -> Result<(), EngineError> {
    sqlx::query(
        "insert into pin_tries (only_row, wrong, last_at) values (1, ?1, ?2)
         on conflict (only_row) do update set wrong = excluded.wrong, last_at = excluded.last_at",
    )
    .bind(i64::from(tries.wrong))
    .bind(tries.last_at)
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    Ok(())
}

/// Writes down that a passkey is about to be made.
pub(crate) async fn insert_passkey(write: &mut Write, row: &PasskeyRow) -> Result<(), EngineError> {
    sqlx::query("insert into passkeys (passkey_id, account_id, object_id, rp_id, made_at) values (?1, ?2, ?3, ?4, ?5)")
        .bind(row.passkey_id.to_string())
        .bind(row.account_id.to_string())
        .bind(row.object_id.to_string())
        .bind(&row.rp_id)
        .bind(row.made_at)
        .execute(&mut **write)
        .await
        .map_err(fault)?;
    Ok(())
}
