//! Rows of what a receiver is still to be told, and of how the receiver is.

use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{Store, Write, fault, get, get_id};
use crate::{EngineError, WebhookStatus};

/// Whoever has taken a message has so long to record how it went, in milliseconds; then it is somebody else's.
const TAKEN_FOR: i64 = 60_000;
/// A time that lies further ahead was written under another clock.
const IMPLAUSIBLE: i64 = 2 * 86_400_000;
/// How long a message that was given up on can still be sent after all.
const KEPT_FOR: i64 = 30 * 86_400_000;

/// A message that is to be sent now.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) event_id: String,
    pub(crate) tenant_id: Uuid,
    pub(crate) sequence: i64,
    /// Attempts before this one.
    pub(crate) attempts: i64,
}

/// How an attempt went.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Delivered {
        at: i64,
    },
    /// Nobody wants it.
    Dropped,
    Failed {
        next_at: i64,
        problem: String,
        /// Nothing is to be sent for a while: so long as the receiver asks, or ever longer.
        rest: Option<Option<i64>>,
        now: i64,
    },
}

impl Message {
    fn of(row: &SqliteRow) -> Result<Self, EngineError> {
        Ok(Self {
            event_id: get(row, "event_id")?,
            tenant_id: get_id(row, "tenant_id")?,
            sequence: get(row, "sequence")?,
            attempts: get::<i64>(row, "attempts")? - 1,
        })
    }
}

/// Has the receiver told of an entry.
pub(super) async fn announce(write: &mut Write, tenant_id: &str, sequence: i64, at: i64) -> Result<(), EngineError> {
    sqlx::query("insert into webhook_outbox (event_id, tenant_id, sequence, at, next_at) values (?1, ?2, ?3, ?4, ?4)")
        .bind(Uuid::now_v7().to_string())
        .bind(tenant_id)
        .bind(sequence)
        .bind(at)
        .execute(&mut **write)
        .await
        .map_err(fault)?;
    Ok(())
}

impl Store {
    /// Whether something is to be sent and the receiver does not rest.
    pub(crate) async fn webhook_due(&self, now: i64) -> Result<bool, EngineError> {
        let row = sqlx::query(
            "select exists (
                 select 1 from webhook_outbox where gave_up_at is null and (next_at <= ?1 or next_at > ?2)
             ) and not exists (
                 select 1 from webhook_receiver where resting_until > ?1 and resting_until <= ?2
             ) as due",
        )
        .bind(now)
        .bind(now + IMPLAUSIBLE)
        .fetch_one(&self.pool)
        .await
        .map_err(fault)?;
        get(&row, "due")
    }

    /// Takes up to `most` messages that are due, oldest first; none while the receiver rests. What was written before
    /// `given_up_before` and has failed is given up on.
    pub(crate) async fn take_messages(
        &self,
        now: i64,
        most: i64,
        given_up_before: i64,
    ) -> Result<Vec<Message>, EngineError> {
        if !self.webhook_due(now).await? {
            return Ok(Vec::new());
        }
        let mut write = self.write().await?;
        sqlx::query("update webhook_outbox set gave_up_at = ?1 where gave_up_at is null and attempts > 0 and at < ?2")
            .bind(now)
            .bind(given_up_before)
            .execute(&mut *write)
            .await
            .map_err(fault)?;
        sqlx::query("delete from webhook_outbox where gave_up_at < ?1")
            .bind(now - KEPT_FOR)
            .execute(&mut *write)
            .await
            .map_err(fault)?;
        let rows = sqlx::query(
            "update webhook_outbox set next_at = ?1, attempts = attempts + 1
             where event_id in (
                 select event_id from webhook_outbox where gave_up_at is null and (next_at <= ?2 or next_at > ?3)
                 order by event_id limit ?4
             )
             returning *",
        )
        .bind(now + TAKEN_FOR)
        .bind(now)
        .bind(now + IMPLAUSIBLE)
        .bind(most)
        .fetch_all(&mut *write)
        .await
        .map_err(fault)?;
        super::commit(write).await?;
        rows.iter().map(Message::of).collect()
    }

    /// Writes down how an attempt went. `wait` says how long a receiver rests after so many failures in a row.
    pub(crate) async fn record_attempt(
        &self,
        event_id: &str,
        outcome: &Outcome,
        wait: impl Fn(i64) -> i64,
    ) -> Result<(), EngineError> {
        let mut write = self.write().await?;
        match outcome {
            Outcome::Delivered { .. } | Outcome::Dropped => {
                sqlx::query("delete from webhook_outbox where event_id = ?1")
                    .bind(event_id)
                    .execute(&mut *write)
                    .await
                    .map_err(fault)?;
            }
            Outcome::Failed { next_at, problem, .. } => {
                sqlx::query("update webhook_outbox set next_at = ?2, problem = ?3 where event_id = ?1")
                    .bind(event_id)
                    .bind(next_at)
                    .bind(problem)
                    .execute(&mut *write)
                    .await
                    .map_err(fault)?;
            }
        }
        match outcome {
            Outcome::Delivered { at } => {
                sqlx::query(
                    "insert into webhook_receiver (only_row, delivered, delivered_at) values (1, 1, ?1)
                     on conflict (only_row) do update set resting_until = null, failures = 0, problem = null,
                         delivered = delivered + 1, delivered_at = excluded.delivered_at",
                )
                .bind(at)
                .execute(&mut *write)
                .await
                .map_err(fault)?;
            }
            Outcome::Failed { problem, rest, now, .. } => {
                let row = sqlx::query(
                    "insert into webhook_receiver (only_row, failures, problem) values (1, 1, ?1)
                     on conflict (only_row) do update set failures = failures + 1, problem = excluded.problem
                     returning failures",
                )
                .bind(problem)
                .fetch_one(&mut *write)
                .await
                .map_err(fault)?;
                if let Some(asked) = rest {
                    let failures: i64 = get(&row, "failures")?;
                    sqlx::query("update webhook_receiver set resting_until = ?1")
                        .bind(now + asked.unwrap_or_else(|| wait(failures - 1)))
                        .execute(&mut *write)
                        .await
                        .map_err(fault)?;
                }
            }
            Outcome::Dropped => {}
        }
        super::commit(write).await
    }

    /// Has what was given up on tried again, now.
    pub(crate) async fn webhook_retry(&self, now: i64) -> Result<u64, EngineError> {
        let mut write = self.write().await?;
        // As if it had been written now: it is tried for as long again.
        let updated = sqlx::query(
            "update webhook_outbox set gave_up_at = null, at = ?1, next_at = ?1 where gave_up_at is not null",
        )
        .bind(now)
        .execute(&mut *write)
        .await
        .map_err(fault)?;
        sqlx::query("update webhook_outbox set next_at = ?1 where next_at > ?1")
            .bind(now)
            .execute(&mut *write)
            .await
            .map_err(fault)?;
        sqlx::query("update webhook_receiver set resting_until = null").execute(&mut *write).await.map_err(fault)?;
        super::commit(write).await?;
        Ok(updated.rows_affected())
    }

    /// How the receiver is and what waits for it.
    pub(crate) async fn webhook_status(&self) -> Result<WebhookStatus, EngineError> {
        let row = sqlx::query(
            "select count(*) filter (where gave_up_at is null) as waiting, count(gave_up_at) as gave_up,
                 min(at) filter (where gave_up_at is null) as oldest
             from webhook_outbox",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(fault)?;
        let number = |row: &SqliteRow, column: &str| -> Result<u64, EngineError> {
            Ok(u64::try_from(get::<i64>(row, column)?).unwrap_or_default())
        };
        let mut status = WebhookStatus {
            waiting: number(&row, "waiting")?,
            gave_up: number(&row, "gave_up")?,
            oldest: get(&row, "oldest")?,
            ..WebhookStatus::default()
        };
        let row = sqlx::query("select * from webhook_receiver").fetch_optional(&self.pool).await.map_err(fault)?;
        if let Some(row) = row {
            status.delivered = number(&row, "delivered")?;
            status.delivered_at = get(&row, "delivered_at")?;
            status.failures = number(&row, "failures")?;
            status.resting_until = get(&row, "resting_until")?;
            status.problem = get(&row, "problem")?;
        }
        Ok(status)
    }
}
