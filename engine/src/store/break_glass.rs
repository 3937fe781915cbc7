//! Rows of break-glass accounts, and the loan under which one process at a time works on one.

use latchkey_protocol::ErrorBody;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{
    Store, Write, fault, get, get_id, get_json, get_optional_json, json,
    loan::{self, Statements},
};
use crate::{
    EngineError, Failure,
    break_glass::rules::{LastChange, Passwords},
};

/// Of an account that is no longer managed there is no loan to be had.
const LOANS: Statements = Statements {
    borrow: "update break_glass set claim_until = ?2, generation = generation + 1
         where account_id = ?1 and removed_at is null
             and (claim_until is null or claim_until <= ?3 or claim_until > ?4)
         returning generation",
    renew: "update break_glass set claim_until = ?3 where account_id = ?1 and generation = ?2",
    give_back: "update break_glass set claim_until = null
         where account_id = ?1 and generation = ?2 and claim_until is not null",
};

/// A break-glass account.
#[derive(Clone, Debug)]
pub(crate) struct BreakGlassRow {
    pub(crate) account_id: Uuid,
    pub(crate) tenant_id: Uuid,
    pub(crate) name: String,
    pub(crate) user_name: String,
    pub(crate) object_id: Option<Uuid>,
    pub(crate) creating_since: Option<i64>,
    pub(crate) taken_over: bool,
    pub(crate) ready: bool,
    pub(crate) passwords: Passwords,
    pub(crate) last_change: Option<LastChange>,
    pub(crate) revealed_at: Option<i64>,
    pub(crate) rotate_by: Option<i64>,
    pub(crate) attempts: u32,
    pub(crate) retry_at: Option<i64>,
    pub(crate) looked_at: Option<i64>,
    pub(crate) problem: Option<ErrorBody>,
}

impl BreakGlassRow {
    fn of(row: &SqliteRow) -> Result<Self, EngineError> {
        let object_id: Option<&str> = get(row, "object_id")?;
        Ok(Self {
            account_id: get_id(row, "account_id")?,
            tenant_id: get_id(row, "tenant_id")?,
            name: get(row, "name")?,
            user_name: get(row, "user_name")?,
            object_id: object_id.is_some().then(|| get_id(row, "object_id")).transpose()?,
            creating_since: get(row, "creating_since")?,
            taken_over: get(row, "taken_over")?,
            ready: get(row, "ready")?,
            passwords: get_json(row, "passwords")?,
            last_change: get_optional_json(row, "last_change")?,
            revealed_at: get(row, "revealed_at")?,
            rotate_by: get(row, "rotate_by")?,
            attempts: get(row, "attempts")?,
            retry_at: get(row, "retry_at")?,
            looked_at: get(row, "looked_at")?,
            problem: get_optional_json(row, "problem")?,
        })
    }

    /// The key store's entry for one generation. It names the account so that a person can find it there without us;
    /// the row's id keeps it apart from what an earlier database left behind.
    pub(crate) fn entry(&self, generation: i64) -> String {
        format!("{} {} {generation}", self.user_name, self.account_id.simple())
    }
}

/// A loan on a row. Whoever holds an older generation can change nothing any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loan {
    pub(crate) account_id: Uuid,
    pub(crate) generation: i64,
    /// Until when it lasts, by this machine's clock.
    pub(crate) until: i64,
}

impl Store {
    /// Every break-glass account that is managed in connected tenants.
    pub(crate) async fn break_glass(&self) -> Result<Vec<BreakGlassRow>, EngineError> {
        let rows = sqlx::query(
            "select break_glass.* from break_glass join tenants using (tenant_id)
             where break_glass.removed_at is null and tenants.removed_at is null order by break_glass.user_name",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(fault)?;
        rows.iter().map(BreakGlassRow::of).collect()
    }

    /// Those of one tenant.
    pub(crate) async fn break_glass_of(&self, tenant_id: Uuid) -> Result<Vec<BreakGlassRow>, EngineError> {
        let rows = sqlx::query("select * from break_glass where tenant_id = ?1 and removed_at is null order by name")
            .bind(tenant_id.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        rows.iter().map(BreakGlassRow::of).collect()
    }

    /// One of them; `None` once it is no longer managed.
    pub(crate) async fn break_glass_account(&self, account_id: Uuid) -> Result<Option<BreakGlassRow>, EngineError> {
        let row = sqlx::query("select * from break_glass where account_id = ?1 and removed_at is null")
            .bind(account_id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(fault)?;
        row.as_ref().map(BreakGlassRow::of).transpose()
    }

    /// Borrows the row, if nobody else has. A loan that lasts implausibly long does not count.
    pub(crate) async fn borrow_break_glass(&self, account_id: Uuid, now: i64) -> Result<Option<Loan>, EngineError> {
        let borrowed = loan::borrow(&self.pool, &LOANS, account_id, now).await?;
        Ok(borrowed.map(|(generation, until)| Loan { account_id, generation, until }))
    }

    /// Renews the loan. `false`: it is somebody else's now.
    pub(crate) async fn renew_break_glass(&self, loan: &mut Loan, now: i64) -> Result<bool, EngineError> {
        let renewed = loan::renew(&self.pool, &LOANS, loan.account_id, loan.generation, now).await?;
        loan.until = renewed.unwrap_or(loan.until);
        Ok(renewed.is_some())
    }

    /// Gives the row back.
    pub(crate) async fn return_break_glass(&self, loan: &Loan) -> Result<(), EngineError> {
        loan::give_back(&self.pool, &LOANS, loan.account_id, loan.generation).await
    }

    /// Has rotations that failed tried again at the next sweep.
    pub(crate) async fn retry_break_glass_soon(&self, tenant_id: Uuid, now: i64) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update break_glass set retry_at = ?2 where tenant_id = ?1 and attempts > 0")
                .bind(tenant_id.to_string())
                .bind(now),
        )
        .await
    }
}

/// The row of the tenant's account of that name, made if there is none.
pub(crate) async fn ensure(
    write: &mut Write,
    tenant_id: Uuid,
    name: &str,
    user_name: &str,
) -> Result<BreakGlassRow, EngineError> {
    let row = sqlx::query(
        "insert into break_glass (account_id, tenant_id, name, user_name, passwords) values (?1, ?2, ?3, ?4, ?5)
         on conflict (tenant_id, name) where removed_at is null do update set name = excluded.name
         returning *",
    )
    .bind(Uuid::now_v7().to_string())
    .bind(tenant_id.to_string())
    .bind(name)
    .bind(user_name)
    .bind(json(&Passwords::default())?)
    .fetch_one(&mut **write)
    .await
    .map_err(fault)?;
    BreakGlassRow::of(&row)
}

/// Writes down what is known of the account, fenced by the loan. What a reveal writes is left alone.
pub(crate) async fn save(write: &mut Write, loan: &Loan, account: &BreakGlassRow) -> Result<bool, EngineError> {
    let saved = sqlx::query(
        "update break_glass set object_id = ?3, creating_since = ?4, taken_over = ?5, ready = ?6, passwords = ?7,
             last_change = ?8, attempts = ?9, retry_at = ?10, looked_at = ?11, problem = ?12
         where account_id = ?1 and generation = ?2 and removed_at is null",
    )
    .bind(loan.account_id.to_string())
    .bind(loan.generation)
    .bind(account.object_id.map(|id| id.to_string()))
    .bind(account.creating_since)
    .bind(account.taken_over)
    .bind(account.ready)
    .bind(json(&account.passwords)?)
    .bind(account.last_change.as_ref().map(json).transpose()?)
    .bind(account.attempts)
    .bind(account.retry_at)
    .bind(account.looked_at)
    .bind(account.problem.as_ref().map(json).transpose()?)
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    Ok(saved.rows_affected() == 1)
}

/// The rotation that a reveal asked for has been done, unless there was another reveal since.
pub(crate) async fn rotated(write: &mut Write, loan: &Loan, revealed_at: Option<i64>) -> Result<(), EngineError> {
    sqlx::query(
        "update break_glass set rotate_by = null where account_id = ?1 and generation = ?2 and revealed_at is ?3",
    )
    .bind(loan.account_id.to_string())
    .bind(loan.generation)
    .bind(revealed_at)
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    Ok(())
}

/// Notes that the password is about to be shown, if it still is the one that was looked up.
pub(crate) async fn revealing(
    write: &mut Write,
    account: &BreakGlassRow,
    now: i64,
    rotate_by: i64,
) -> Result<bool, EngineError> {
    let noted = sqlx::query(
        "update break_glass set revealed_at = ?2, rotate_by = min(coalesce(rotate_by, ?3), ?3)
         where account_id = ?1 and passwords = ?4 and removed_at is null",
    )
    .bind(account.account_id.to_string())
    .bind(now)
    .bind(rotate_by)
    .bind(json(&account.passwords)?)
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    Ok(noted.rows_affected() == 1)
}

/// The account is no longer managed; what happened stays on record.
pub(crate) async fn release(write: &mut Write, loan: &Loan, now: i64) -> Result<(), EngineError> {
    let released = sqlx::query(
        "update break_glass set removed_at = ?3, claim_until = null where account_id = ?1 and generation = ?2",
    )
    .bind(loan.account_id.to_string())
    .bind(loan.generation)
    .bind(now)
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    if released.rows_affected() == 1 { Ok(()) } else { Err(Failure::Busy("the account".to_owned()).into()) }
}
