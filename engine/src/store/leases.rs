//! Rows of leases. The row is the level: whatever it says is driven towards until it is so.

use latchkey_protocol::{CredentialKind, ErrorBody, LeaseState};
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{Store, Write, fault, get, get_id, get_json, get_optional_json, json};
use crate::{Caller, EngineError, Failure, Role, Technician};

/// A lease.
#[derive(Clone, Debug)]
pub(crate) struct LeaseRow {
    pub(crate) lease_id: Uuid,
    pub(crate) tenant_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) state: LeaseState,
    pub(crate) closes_as: LeaseState,
    pub(crate) roles: Vec<Role>,
    pub(crate) groups: Vec<Uuid>,
    pub(crate) credential: Option<CredentialKind>,
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) attempts: u32,
    /// Since when it is to be taken back.
    pub(crate) ending_since: Option<i64>,
    pub(crate) problem: Option<ErrorBody>,
    /// Local part of whose it is.
    pub(crate) technician: String,
    /// The same as people read it; empty for leases from before there were several technicians.
    pub(crate) technician_name: String,
    pub(crate) profile: String,
    pub(crate) ticket: Option<String>,
}

impl LeaseRow {
    fn of(row: &SqliteRow) -> Result<Self, EngineError> {
        Ok(Self {
            lease_id: get_id(row, "lease_id")?,
            tenant_id: get_id(row, "tenant_id")?,
            account_id: get_id(row, "account_id")?,
            state: from_text(get(row, "state")?)?,
            closes_as: from_text(get(row, "closes_as")?)?,
            roles: get_json(row, "roles")?,
            groups: get_json(row, "groups")?,
            credential: get::<Option<&str>>(row, "credential")?.map(from_text).transpose()?,
            from: get(row, "from_at")?,
            until: get(row, "until_at")?,
            attempts: get(row, "attempts")?,
            ending_since: get(row, "ending_since")?,
            problem: get_optional_json(row, "problem")?,
            technician: get(row, "technician")?,
            technician_name: get(row, "technician_name")?,
            profile: get(row, "profile")?,
            ticket: get(row, "ticket")?,
        })
    }

    /// Whether the account may be active because of it.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(
            self.state,
            LeaseState::Activating | LeaseState::Active | LeaseState::Usable | LeaseState::ExternallyModified
        )
    }

    /// Whether it is being taken back.
    pub(crate) const fn is_ending(&self) -> bool {
        matches!(self.state, LeaseState::Ending | LeaseState::Stuck)
    }
}

/// A lease that is about to begin.
#[derive(Debug)]
pub(crate) struct NewLease<'a> {
    pub(crate) lease_id: Uuid,
    pub(crate) tenant_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) roles: &'a [Role],
    pub(crate) groups: &'a [Uuid],
    pub(crate) reason: Option<&'a str>,
    pub(crate) technician: &'a Technician,
    pub(crate) profile: &'a str,
    pub(crate) ticket: Option<&'a str>,
    pub(crate) caller: &'a Caller,
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// When the sweep takes it up if it is not active by then.
    pub(crate) next_at: i64,
}

impl Store {
    pub(crate) async fn lease(&self, lease_id: Uuid) -> Result<LeaseRow, EngineError> {
        let row = sqlx::query("select * from leases where lease_id = ?1")
            .bind(lease_id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(fault)?;
        row.as_ref().map_or_else(|| Err(Failure::LeaseUnknown(lease_id).into()), LeaseRow::of)
    }

    /// Leases that are not closed, ending soonest first.
    pub(crate) async fn open_leases(&self) -> Result<Vec<LeaseRow>, EngineError> {
        let rows = sqlx::query("select * from leases where state not in ('ended', 'failed') order by until_at")
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        rows.iter().map(LeaseRow::of).collect()
    }

    /// Leases that are closed, newest first.
    pub(crate) async fn closed_leases(&self) -> Result<Vec<LeaseRow>, EngineError> {
        let rows =
            sqlx::query("select * from leases where state in ('ended', 'failed') order by from_at desc limit 500")
                .fetch_all(&self.pool)
                .await
                .map_err(fault)?;
        rows.iter().map(LeaseRow::of).collect()
    }

    /// Leases of an account that are not closed.
    pub(crate) async fn open_leases_of(&self, account_id: Uuid) -> Result<Vec<LeaseRow>, EngineError> {
        let rows = sqlx::query(
            "select * from leases where account_id = ?1 and state not in ('ended', 'failed') order by until_at",
        )
        .bind(account_id.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(fault)?;
        rows.iter().map(LeaseRow::of).collect()
    }

    /// Every group that any lease of the account has ever granted: memberships that are ours to take away.
    pub(crate) async fn groups_ever_granted(&self, account_id: Uuid) -> Result<Vec<Uuid>, EngineError> {
        let rows = sqlx::query("select distinct groups from leases where account_id = ?1 and groups <> '[]'")
            .bind(account_id.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        let mut groups = Vec::new();
        for row in &rows {
            groups.extend(get_json::<Vec<Uuid>>(row, "groups")?);
        }
        Ok(groups)
    }

    /// Leases that somebody must do something about at `now`: their time is up, their activation was left, their
    /// ending is to be tried again, or they begin in the future (the clock was set back).
    pub(crate) async fn due_leases(&self, now: i64, latest_from: i64) -> Result<Vec<LeaseRow>, EngineError> {
        let rows = sqlx::query(
            // One question for each reason, so that each has an index to ask.
            "select * from leases where lease_id in (
                 select lease_id from leases where state not in ('ended', 'failed') and next_at <= ?1
                 union select lease_id from leases
                     where state not in ('ended', 'failed') and until_at <= ?1 and state not in ('ending', 'stuck')
                 union select lease_id from leases where state not in ('ended', 'failed') and from_at > ?2
             )
             order by next_at",
        )
        .bind(now)
        .bind(latest_from)
        .fetch_all(&self.pool)
        .await
        .map_err(fault)?;
        rows.iter().map(LeaseRow::of).collect()
    }

    /// When the first open lease is due.
    pub(crate) async fn first_due(&self) -> Result<Option<i64>, EngineError> {
        let row = sqlx::query("select min(next_at) as due from leases where state not in ('ended', 'failed')")
            .fetch_one(&self.pool)
            .await
            .map_err(fault)?;
        get(&row, "due")
    }

    /// Writes down why an ending has not been verified and when it is tried again.
    pub(crate) async fn note_failed_ending(
        &self,
        account_id: Uuid,
        problem: &ErrorBody,
        next_at: i64,
        stuck_if_since: i64,
    ) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query(
                "update leases set problem = ?2, next_at = ?3, attempts = attempts + 1,
                 state = case when ending_since <= ?4 then 'stuck' else state end
             where account_id = ?1 and state in ('ending', 'stuck')",
            )
            .bind(account_id.to_string())
            .bind(json(problem)?)
            .bind(next_at)
            .bind(stuck_if_since),
        )
        .await
    }

    /// Marks an open lease's account as changed by somebody else (with a problem), or as it should be again.
    /// Returns whether that is news.
    pub(crate) async fn mark_modified(&self, lease_id: Uuid, problem: Option<&ErrorBody>) -> Result<bool, EngineError> {
        let changed = match problem {
            Some(problem) => sqlx::query(
                "update leases set state = 'externally_modified', problem = ?2
                 where lease_id = ?1 and state in ('active', 'usable')",
            )
            .bind(lease_id.to_string())
            .bind(json(problem)?),
            None => sqlx::query(
                "update leases set state = 'active', problem = null
                 where lease_id = ?1 and state = 'externally_modified'",
            )
            .bind(lease_id.to_string()),
        }
        .execute(&self.pool)
        .await
        .map_err(fault)?;
        Ok(changed.rows_affected() == 1)
    }
}

/// Leases that are not closed, as they are until the transaction ends.
pub(crate) async fn open(write: &mut Write) -> Result<Vec<LeaseRow>, EngineError> {
    let rows = sqlx::query("select * from leases where state not in ('ended', 'failed') order by until_at")
        .fetch_all(&mut **write)
        .await
        .map_err(fault)?;
    rows.iter().map(LeaseRow::of).collect()
}

/// Writes the intent down.
pub(crate) async fn insert(write: &mut Write, lease: &NewLease<'_>) -> Result<(), EngineError> {
    sqlx::query(
        "insert into leases (lease_id, tenant_id, account_id, state, closes_as, roles, groups, reason, caller,
             from_at, until_at, next_at, technician, technician_name, profile, ticket)
         values (?1, ?2, ?3, 'activating', 'failed', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )
    .bind(lease.lease_id.to_string())
    .bind(lease.tenant_id.to_string())
    .bind(lease.account_id.to_string())
    .bind(json(&lease.roles)?)
    .bind(json(&lease.groups)?)
    .bind(lease.reason)
    .bind(json(lease.caller)?)
    .bind(lease.from)
    .bind(lease.until)
    .bind(lease.next_at)
    .bind(lease.technician.local_part.trim().to_lowercase())
    .bind(lease.technician.name.trim())
    .bind(lease.profile)
    .bind(lease.ticket)
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    Ok(())
}

/// How many leases of the technician are open and not being taken back.
pub(crate) async fn live_of(write: &mut Write, technician: &Technician, now: i64) -> Result<u32, EngineError> {
    let row = sqlx::query(
        "select count(*) as live from leases
         where technician = ?1 and state not in ('ended', 'failed') and state not in ('ending', 'stuck')
             and until_at > ?2",
    )
    .bind(technician.local_part.trim().to_lowercase())
    .bind(now)
    .fetch_one(&mut **write)
    .await
    .map_err(fault)?;
    get(&row, "live")
}

/// The lease ends later. `false`: it is not live any more.
pub(crate) async fn extend(write: &mut Write, lease_id: Uuid, old: i64, until: i64) -> Result<bool, EngineError> {
    let updated = sqlx::query(
        "update leases set until_at = ?3, next_at = case when state = 'activating' then next_at else ?3 end
         where lease_id = ?1 and until_at = ?2
             and state in ('activating', 'active', 'usable', 'externally_modified')",
    )
    .bind(lease_id.to_string())
    .bind(old)
    .bind(until)
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    Ok(updated.rows_affected() == 1)
}

/// Goes back to activating: the credential is about to be replaced.
pub(crate) async fn reactivate(write: &mut Write, lease_id: Uuid, next_at: i64) -> Result<(), EngineError> {
    sqlx::query("update leases set state = 'activating', next_at = ?2 where lease_id = ?1")
        .bind(lease_id.to_string())
        .bind(next_at)
        .execute(&mut **write)
        .await
        .map_err(fault)?;
    Ok(())
}

/// The lease is active. `false`: it has been ended meanwhile.
pub(crate) async fn activated(
    write: &mut Write,
    lease_id: Uuid,
    credential: CredentialKind,
) -> Result<bool, EngineError> {
    let updated = sqlx::query(
        "update leases set state = 'active', closes_as = 'ended', credential = ?2, problem = null, next_at = until_at
         where lease_id = ?1 and state = 'activating'",
    )
    .bind(lease_id.to_string())
    .bind(to_text(&credential)?)
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    Ok(updated.rows_affected() == 1)
}

/// A sign-in succeeded.
pub(crate) async fn usable(write: &mut Write, lease_id: Uuid) -> Result<bool, EngineError> {
    let updated = sqlx::query("update leases set state = 'usable' where lease_id = ?1 and state = 'active'")
        .bind(lease_id.to_string())
        .execute(&mut **write)
        .await
        .map_err(fault)?;
    Ok(updated.rows_affected() == 1)
}

/// The lease is to be taken back from now on. `false`: it is already, or it is closed.
pub(crate) async fn begin_ending(write: &mut Write, lease_id: Uuid, now: i64) -> Result<bool, EngineError> {
    let updated = sqlx::query(
        "update leases set state = 'ending', ending_since = ?2, next_at = ?2, attempts = 0
         where lease_id = ?1 and state not in ('ending', 'stuck', 'ended', 'failed')",
    )
    .bind(lease_id.to_string())
    .bind(now)
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    Ok(updated.rows_affected() == 1)
}

/// The lease has been taken back and read back.
pub(crate) async fn close(write: &mut Write, lease_id: Uuid) -> Result<bool, EngineError> {
    let updated = sqlx::query(
        "update leases set state = closes_as, problem = null
         where lease_id = ?1 and state in ('ending', 'stuck')",
    )
    .bind(lease_id.to_string())
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    Ok(updated.rows_affected() == 1)
}

fn from_text<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, EngineError> {
    serde_json::from_value(text.into()).map_err(|_| Failure::StoreDamaged(format!("\"{text}\" is not known")).into())
}

fn to_text(value: &impl serde::Serialize) -> Result<String, EngineError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        _ => Err(Failure::Internal("cannot be written".to_owned()).into()),
    }
}
