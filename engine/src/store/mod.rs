//! Leases, accounts, tenants and the audit chain in one SQLite file that several processes share.
//!
//! Nothing here is secret, and nothing here sends anything. Every change that allows something to be sent is committed
//! with full synchronisation before it is sent: what a power cut forgets must not have happened. The statements are
//! plain `update … where … returning`, so that they serve PostgreSQL as they are.

mod accounts;
pub(crate) mod applications;
mod audit;
pub(crate) mod break_glass;
mod credentials;
pub(crate) mod leases;
mod loan;
mod lockdown;
mod names;
mod oath;
mod outbox;
mod passkeys;
mod tenants;

pub(crate) use accounts::{AccountRow, ByAccount, Claim, Looks, ensure, forget, release_in, save_known};
pub(crate) use audit::{LeaseFacts, NewEntry, WrittenEntry, append, entry as audit_entry, prunable, remove_up_to};
pub(crate) use break_glass::{BreakGlassRow, Loan};
pub(crate) use credentials::Known;
pub(crate) use leases::{LeaseRow, NewLease};
pub(crate) use loan::LOAN;
pub(crate) use lockdown::{lift, lock_down, look_at_everything, refuse_in_lockdown};
pub(crate) use names::{NameKind, NameRow};
pub(crate) use oath::{OathRow, insert_oath_token};
pub(crate) use outbox::{Message, Outcome};
pub(crate) use passkeys::{PasskeyRow, insert_passkey, pin_tries, save_pin_tries};
pub(crate) use tenants::{TenantRow, mark_used, remove as remove_tenant, save as save_tenant};

use std::{path::Path, str::FromStr, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    Row, Sqlite, SqlitePool, Transaction,
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};
use uuid::Uuid;

use crate::{EngineError, Failure};

/// How long a statement waits for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// SQLite's result codes that have a meaning of their own here; all but the shared file's are primary ones.
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_IOERR_SHMSIZE: i32 = 4874;
const SQLITE_NOTADB: i32 = 26;

/// The database.
#[derive(Clone)]
pub(crate) struct Store {
    pool: SqlitePool,
}

/// A transaction that has the write lock from its beginning.
pub(crate) type Write = Transaction<'static, Sqlite>;

impl Store {
    /// Opens the file, making it and its folder for this user only, and brings it up to date.
    pub(crate) async fn open(path: &Path) -> Result<Self, EngineError> {
        make_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        // A connection to a file does not go away while it waits to be used again: asking it first is a statement more.
        let pool = SqlitePoolOptions::new().max_connections(4).test_before_acquire(false);
        let pool = pool.connect_with(options).await.map_err(fault)?;
        sqlx::migrate!().run(&pool).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
                fault(error)
            }
            sqlx::migrate::MigrateError::VersionMissing(_) | sqlx::migrate::MigrateError::VersionMismatch(_) => {
                Failure::StoreUnavailable("it was written by a newer version of Latchkey".to_owned()).into()
            }
            other => Failure::StoreUnavailable(other.to_string()).into(),
        })?;
        Ok(Self { pool })
    }

    /// Waits for what is running and closes every connection.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// Begins a transaction that has the write lock at once, so that what it reads stays true until it commits.
    pub(crate) async fn write(&self) -> Result<Write, EngineError> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(fault)
    }

    /// Carries out a statement that answers nothing.
    async fn carry_out(&self, statement: Query<'_, Sqlite, SqliteArguments>) -> Result<(), EngineError> {
        statement.execute(&self.pool).await.map_err(fault)?;
        Ok(())
    }

    /// Has SQLite check the file.
    pub(crate) async fn check(&self) -> Result<(), EngineError> {
        let rows = sqlx::query("pragma quick_check(5)").fetch_all(&self.pool).await.map_err(fault)?;
        let mut findings = Vec::new();
        for row in &rows {
            let finding: String = row.try_get(0).map_err(fault)?;
            if finding != "ok" {
                findings.push(finding);
            }
        }
        let orphans = sqlx::query("pragma foreign_key_check").fetch_all(&self.pool).await.map_err(fault)?;
        if !orphans.is_empty() {
            findings.push(format!("{} rows refer to rows that are not there", orphans.len()));
        }
        if findings.is_empty() { Ok(()) } else { Err(Failure::StoreDamaged(findings.join("; ")).into()) }
    }

    /// Microsoft's time minus this machine's as last seen, if that was at most `age` ago.
    pub(crate) async fn clock_offset(&self, now: i64, age: i64) -> Result<Option<i64>, EngineError> {
        let row = sqlx::query("select offset_ms, measured_at from clock_offset").fetch_optional(&self.pool).await;
        let Some(row) = row.map_err(fault)? else { return Ok(None) };
        let measured: i64 = get(&row, "measured_at")?;
        let offset = get(&row, "offset_ms")?;
        Ok(((now - measured).abs() <= age).then_some(offset))
    }

    pub(crate) async fn remember_clock_offset(&self, offset: i64, now: i64) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query(
                "insert into clock_offset (only_row, offset_ms, measured_at) values (1, ?1, ?2)
             on conflict (only_row) do update set offset_ms = excluded.offset_ms, measured_at = excluded.measured_at",
            )
            .bind(offset)
            .bind(now),
        )
        .await
    }
}

/// Commits.
pub(crate) async fn commit(write: Write) -> Result<(), EngineError> {
    write.commit().await.map_err(fault)
}

/// The folder for this user only, the file likewise; SQLite gives its journal the file's mode.
fn make_private(path: &Path) -> Result<(), EngineError> {
    let unusable = |error: std::io::Error| -> EngineError {
        if error.kind() == std::io::ErrorKind::StorageFull {
            Failure::DiskFull.into()
        } else {
            Failure::StoreUnavailable(format!("{}: {error}", path.display())).into()
        }
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(unusable)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(unusable)?;
    Ok(())
}

/// What an extended result code of SQLite says about the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Damaged,
    Full,
    Other,
}

impl Fault {
    /// Facts: SQLite, "Result and Error Codes".
    const fn of(code: i32) -> Self {
        // The low byte of an extended result code is the primary one.
        match (code & 0xff, code) {
            (SQLITE_CORRUPT | SQLITE_NOTADB, _) => Self::Damaged,
            // A full disk shows first where the file that connections share cannot grow.
            (SQLITE_FULL, _) | (_, SQLITE_IOERR_SHMSIZE) => Self::Full,
            _ => Self::Other,
        }
    }
}

/// What a fault of the database means.
#[allow(clippy::needless_pass_by_value, reason = "used as a function in `map_err`")]
pub(crate) fn fault(error: sqlx::Error) -> EngineError {
    if let sqlx::Error::Database(database) = &error {
        match database.code().and_then(|code| i32::from_str(&code).ok()).map(Fault::of) {
            Some(Fault::Damaged) => return Failure::StoreDamaged(database.message().to_owned()).into(),
            Some(Fault::Full) => return Failure::DiskFull.into(),
            Some(Fault::Other) | None => {}
        }
    }
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Failure::StoreDamaged(error.to_string()).into(),
        other => Failure::StoreUnavailable(other.to_string()).into(),
    }
}

fn get<'r, T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>>(
    row: &'r SqliteRow,
    column: &str,
) -> Result<T, EngineError> {
    row.try_get(column).map_err(fault)
}

fn get_id(row: &SqliteRow, column: &str) -> Result<Uuid, EngineError> {
    let text: &str = get(row, column)?;
    Uuid::from_str(text).map_err(|_| Failure::StoreDamaged(format!("{column} is not an id")).into())
}

fn get_json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, EngineError> {
    parse(column, get(row, column)?)
}

fn get_optional_json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<Option<T>, EngineError> {
    let text: Option<&str> = get(row, column)?;
    text.map(|text| parse(column, text)).transpose()
}

fn parse<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, EngineError> {
    serde_json::from_str(text)
        .map_err(|error| Failure::StoreDamaged(format!("{column} cannot be read: {error}")).into())
}

fn json(value: &impl Serialize) -> Result<String, EngineError> {
    serde_json::to_string(value).map_err(|error| Failure::Internal(format!("cannot be written: {error}")).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use latchkey_protocol::ErrorCode;

    use super::*;

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("deep/latchkey.db")).await.unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latchkey.db");
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        let Err(error) = Store::open(&path).await else { unreachable!("it is not a database") };
        assert_eq!(error.code(), ErrorCode::StoreDamaged);
        assert!(error.to_body().next_step.contains("Move the database file aside"));
    }

    #[tokio::test]
    async fn a_full_disk_is_said_to_be_full() {
        let (_folder, store) = store().await;
        let mut connection = store.pool.acquire().await.unwrap();
        // SQLite's own limit on the file's size fails exactly as a full disk does.
        sqlx::query("pragma max_page_count = 1").execute(&mut *connection).await.unwrap();
        let written = sqlx::query("insert into audit (tenant_id, sequence, at, body, hash) values ('t', 1, 1, hex(randomblob(500000)), x'00')")
            .execute(&mut *connection)
            .await;
        assert_eq!(fault(written.unwrap_err()).code(), ErrorCode::DiskFull);
    }

    #[test]
    fn a_disk_without_room_for_the_shared_file_is_full_too() {
        assert_eq!(Fault::of(SQLITE_FULL), Fault::Full);
        assert_eq!(Fault::of(SQLITE_IOERR_SHMSIZE), Fault::Full);
        assert_eq!(Fault::of(778), Fault::Other, "a write that failed for another reason");
        assert_eq!(Fault::of(267), Fault::Damaged, "SQLITE_CORRUPT_VTAB");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_this_user_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, _store) = store().await;
        let mode = |path: &str| std::fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("deep"), 0o700);
        assert_eq!(mode("deep/latchkey.db"), 0o600);
        assert_eq!(mode("deep/latchkey.db-wal"), 0o600);
    }

    #[tokio::test]
    async fn a_page_overwritten_shows_in_the_check() {
        let (folder, store) = store().await;
        store.check().await.unwrap();
        sqlx::query("pragma wal_checkpoint(truncate)").execute(&store.pool).await.unwrap();
        store.close().await;
        let path = folder.path().join("deep/latchkey.db");
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        let code = match Store::open(&path).await {
            Ok(store) => store.check().await.unwrap_err().code(),
            Err(error) => error.code(),
        };
        assert_eq!(code, ErrorCode::StoreDamaged);
    }
}
