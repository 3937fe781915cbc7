//! The loan under which one process at a time works on a row: the same for every table that lends its rows.
//!
//! A loan is a time and a number. Whoever borrows raises the number, so that an owner whose loan has lapsed changes
//! nothing any more: every statement that writes to a lent row names the number it was borrowed under. The table says
//! how in its [`Statements`]; what a loan is called there (a claim, a loan) is a type of its own, so that one of an
//! account cannot be used for another table's row. Nothing here reads a clock.

use sqlx::{Row as _, Sqlite, SqliteExecutor, query::Query, sqlite::SqliteArguments};
use uuid::Uuid;

use super::fault;
use crate::EngineError;

/// How long a loan lasts unless it is renewed: longer than any exchange, so that no answer comes after it has lapsed.
pub(crate) const LOAN: i64 = 20_000;
/// A loan that lasts longer than this from now was made under another clock. Twice the usual: whoever asks may have
/// read the time a moment before whoever renewed.
const IMPLAUSIBLE: i64 = 2 * LOAN;

/// How one table lends its rows. `?1` is the row's id in each.
pub(super) struct Statements {
    /// `?2`: until when; `?3`: a loan that ends by then is over; `?4`: one that ends after that does not count.
    /// Returns the generation.
    pub(super) borrow: &'static str,
    /// `?2`: the generation; `?3`: until when.
    pub(super) renew: &'static str,
    /// `?2`: the generation. Changes nothing when it was given back before.
    pub(super) give_back: &'static str,
}

/// Borrows a row, if nobody else has: the generation, and until when. A loan that lasts implausibly long does not count.
pub(super) async fn borrow(
    executor: impl SqliteExecutor<'_>,
    statements: &Statements,
    id: Uuid,
    now: i64,
) -> Result<Option<(i64, i64)>, EngineError> {
    let until = now + LOAN;
    let row = of(statements.borrow, id)
        .bind(until)
        .bind(now)
        .bind(now + IMPLAUSIBLE)
        .fetch_optional(executor)
        .await
        .map_err(fault)?;
    row.map(|row| Ok((row.try_get(0).map_err(fault)?, until))).transpose()
}

/// Renews a loan: until when it lasts now. `None`: it is somebody else's.
pub(super) async fn renew(
    executor: impl SqliteExecutor<'_>,
    statements: &Statements,
    id: Uuid,
    generation: i64,
    now: i64,
) -> Result<Option<i64>, EngineError> {
    let until = now + LOAN;
    let renewed = of(statements.renew, id).bind(generation).bind(until).execute(executor).await.map_err(fault)?;
    Ok((renewed.rows_affected() == 1).then_some(until))
}

/// Gives a row back. Giving it back twice writes nothing.
pub(super) async fn give_back(
    executor: impl SqliteExecutor<'_>,
    statements: &Statements,
    id: Uuid,
    generation: i64,
) -> Result<(), EngineError> {
    of(statements.give_back, id).bind(generation).execute(executor).await.map_err(fault)?;
    Ok(())
}

/// Whether a loan that ends then keeps others off now.
pub(super) const fn is_running(until: i64, now: i64) -> bool {
    until > now && until <= now + IMPLAUSIBLE
}

fn of(statement: &'static str, id: Uuid) -> Query<'static, Sqlite, SqliteArguments> {
    sqlx::query(statement).bind(id.to_string())
}
