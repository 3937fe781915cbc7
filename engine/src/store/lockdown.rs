//! The flag that stops every grant, and the accounts that could not be made dormant.

use latchkey_protocol::ErrorBody;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{Store, Write, fault, get, get_json, json};
use crate::{EngineError, Failure, Lockdown};

const READ: &str = "select since, technician, reason from lockdown";

fn of(row: &SqliteRow) -> Result<Lockdown, EngineError> {
    Ok(Lockdown { since: get(row, "since")?, technician: get(row, "technician")?, reason: get(row, "reason")? })
}

fn refusal(lockdown: Option<Lockdown>) -> Result<(), EngineError> {
    match lockdown {
        None => Ok(()),
        Some(Lockdown { technician, reason, .. }) => Err(Failure::LockedDown { technician, reason }.into()),
    }
}

impl Store {
    /// The lockdown that is in force.
    pub(crate) async fn lockdown(&self) -> Result<Option<Lockdown>, EngineError> {
        let row = sqlx::query(READ).fetch_optional(&self.pool).await.map_err(fault)?;
        row.as_ref().map(of).transpose()
    }

    /// An early, clear answer. What must not race with a lockdown asks again in its own transaction.
    pub(crate) async fn refuse_in_lockdown(&self) -> Result<(), EngineError> {
        refusal(self.lockdown().await?)
    }

    /// Writes down why an account without a lease could not be made dormant, or (with `None`) that it is.
    pub(crate) async fn note_account_problem(
        &self,
        account_id: Uuid,
        problem: Option<&ErrorBody>,
    ) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query(
                "update accounts set problem = ?2 where account_id = ?1 and (problem is not null or ?2 is not null)",
            )
            .bind(account_id.to_string())
            .bind(problem.map(json).transpose()?),
        )
        .await
    }

    /// Everything that could not be made dormant.
    pub(crate) async fn account_problems(&self) -> Result<Vec<ErrorBody>, EngineError> {
        let rows = sqlx::query(
            "select accounts.problem from accounts join tenants using (tenant_id)
             where accounts.problem is not null and tenants.removed_at is null order by accounts.user_name",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(fault)?;
        rows.iter().map(|row| get_json(row, "problem")).collect()
    }
}

/// Refuses while a lockdown is in force. In the transaction that allows something to be granted: nothing comes between.
pub(crate) async fn refuse_in_lockdown(write: &mut Write) -> Result<(), EngineError> {
    let row = sqlx::query(READ).fetch_optional(&mut **write).await.map_err(fault)?;
    refusal(row.as_ref().map(of).transpose()?)
}

/// Puts the flag up. One that is up already stays as it is.
pub(crate) async fn lock_down(write: &mut Write, lockdown: &Lockdown) -> Result<Lockdown, EngineError> {
    let row = sqlx::query(
        "insert into lockdown (only_row, since, technician, reason) values (1, ?1, ?2, ?3)
         on conflict (only_row) do update set only_row = 1 returning since, technician, reason",
    )
    .bind(lockdown.since)
    .bind(&lockdown.technician)
    .bind(&lockdown.reason)
    .fetch_one(&mut **write)
    .await
    .map_err(fault)?;
    of(&row)
}

/// Has the next sweep look at every account.
pub(crate) async fn look_at_everything(write: &mut Write) -> Result<(), EngineError> {
    sqlx::query("update accounts set looked_at = null").execute(&mut **write).await.map_err(fault)?;
    Ok(())
}

/// Takes the flag down. `false`: it was not up.
pub(crate) async fn lift(write: &mut Write) -> Result<bool, EngineError> {
    let lifted = sqlx::query("delete from lockdown").execute(&mut **write).await.map_err(fault)?;
    Ok(lifted.rows_affected() == 1)
}
