//! Rows of JIT accounts, and the loan under which one process at a time works on one.

use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{
    Store, Write, fault, get, get_id, get_json, json,
    loan::{self, Statements},
};
use crate::{AccountKind, AccountOwner, EngineError, Failure, plan::Observed};

const LOANS: Statements = Statements {
    borrow: "update accounts set claim_until = ?2, generation = generation + 1
         where account_id = ?1 and (claim_until is null or claim_until <= ?3 or claim_until > ?4)
         returning generation",
    renew: "update accounts set claim_until = ?3 where account_id = ?1 and generation = ?2",
    give_back: "update accounts set claim_until = null
         where account_id = ?1 and generation = ?2 and claim_until is not null",
};

/// A JIT account.
#[derive(Clone, Debug)]
pub(crate) struct AccountRow {
    pub(crate) account_id: Uuid,
    pub(crate) tenant_id: Uuid,
    pub(crate) user_name: String,
    pub(crate) owner: AccountOwner,
    /// Whether this store decides about it.
    pub(crate) here: bool,
    pub(crate) object_id: Option<Uuid>,
    pub(crate) created_at: Option<i64>,
    pub(crate) known: Observed,
    pub(crate) certain: bool,
    pub(crate) credential_generation: i64,
    pub(crate) settle_from: Option<i64>,
    pub(crate) settle_stage: i64,
    pub(crate) looked_at: Option<i64>,
    /// When the credential that was issued last ends by itself, if it does.
    pub(crate) credential_until: Option<i64>,
}

impl AccountRow {
    fn of(row: &SqliteRow) -> Result<Self, EngineError> {
        let object_id: Option<&str> = get(row, "object_id")?;
        let kind = match get(row, "kind")? {
            "individual" => AccountKind::Individual,
            "shared" => AccountKind::Shared,
            other => return Err(Failure::StoreDamaged(format!("\"{other}\" is no kind of account")).into()),
        };
        Ok(Self {
            account_id: get_id(row, "account_id")?,
            tenant_id: get_id(row, "tenant_id")?,
            user_name: get(row, "user_name")?,
            owner: AccountOwner { kind, local_part: get(row, "owner")? },
            here: get(row, "here")?,
            object_id: object_id.is_some().then(|| get_id(row, "object_id")).transpose()?,
            created_at: get(row, "created_at")?,
            known: get_json(row, "known")?,
            certain: get(row, "certain")?,
            credential_generation: get(row, "credential_generation")?,
            settle_from: get(row, "settle_from")?,
            settle_stage: get(row, "settle_stage")?,
            looked_at: get(row, "looked_at")?,
            credential_until: get(row, "credential_until")?,
        })
    }
}

/// A loan on an account. Whoever holds an older generation can change nothing any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) account_id: Uuid,
    pub(crate) generation: i64,
    /// Until when it lasts, by this machine's clock.
    pub(crate) until: i64,
}

/// When accounts are looked at: so long after an ending was verified, and every so often. In milliseconds. Under a clock
/// that was set back nothing waits for the future to come again.
pub(crate) struct Looks {
    pub(crate) after_ending: [i64; 3],
    pub(crate) scan_every: Option<i64>,
}

impl Looks {
    fn bind<'q>(&self, query: Query<'q>, now: i64) -> Query<'q> {
        let [first, second, third] = self.after_ending;
        query.bind(now).bind(self.scan_every.unwrap_or(i64::MAX)).bind(first).bind(second).bind(third)
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// Accounts of connected tenants that this store decides about, by their index.
const HERE: &str = "accounts.removed_at is null and accounts.here = 1
    and exists (select 1 from tenants where tenants.tenant_id = accounts.tenant_id and tenants.removed_at is null)";

/// Others that have an open lease all the same. They are found by that.
const LEASED: &str = "accounts.removed_at is null and accounts.here = 0
    and exists (select 1 from tenants where tenants.tenant_id = accounts.tenant_id and tenants.removed_at is null)
    and accounts.account_id in (select leases.account_id from leases where leases.state not in ('ended', 'failed'))";

/// How long after its ending was verified an account is looked at again: never, once it has been often enough.
const SETTLE_WAIT: &str = "case settle_stage when 0 then ?3 when 1 then ?4 when 2 then ?5 end";

/// Rows that belong to accounts, found by the account's tenant and user name.
pub(crate) struct ByAccount<Row> {
    rows: HashMap<Uuid, Vec<Row>>,
    accounts: HashMap<(Uuid, String), AccountRow>,
}

impl<Row> Default for ByAccount<Row> {
    fn default() -> Self {
        Self { rows: HashMap::new(), accounts: HashMap::new() }
    }
}

impl<Row> ByAccount<Row> {
    /// From rows in their order, each with its account's id, and those accounts.
    pub(crate) fn new(rows: impl Iterator<Item = (Uuid, Row)>, accounts: HashMap<Uuid, AccountRow>) -> Self {
        let mut by_account: HashMap<Uuid, Vec<Row>> = HashMap::new();
        for (account_id, row) in rows {
            by_account.entry(account_id).or_default().push(row);
        }
        let accounts = accounts.into_values().map(|one| ((one.tenant_id, one.user_name.clone()), one)).collect();
        Self { rows: by_account, accounts }
    }

    /// From the rows of one account.
    pub(crate) fn of_one(rows: Vec<Row>, account: AccountRow) -> Self {
        let account_id = account.account_id;
        Self::new(rows.into_iter().map(|row| (account_id, row)), HashMap::from([(account_id, account)]))
    }

    /// The account, if there are rows of it, and those.
    pub(crate) fn of(&self, tenant_id: Uuid, user_name: &str) -> (Option<&AccountRow>, &[Row]) {
        let account = self.accounts.get(&(tenant_id, user_name.to_owned()));
        let rows = account.and_then(|account| self.rows.get(&account.account_id));
        (account, rows.map_or(&[], Vec::as_slice))
    }
}

impl Store {
    pub(crate) async fn account(&self, account_id: Uuid) -> Result<AccountRow, EngineError> {
        let row = sqlx::query("select * from accounts where account_id = ?1")
            .bind(account_id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(fault)?;
        row.as_ref()
            .map_or_else(|| Err(Failure::StoreDamaged("an account's row is missing".to_owned()).into()), AccountRow::of)
    }

    /// The account of that name, if the store knows one.
    pub(crate) async fn account_named(
        &self,
        tenant_id: Uuid,
        user_name: &str,
    ) -> Result<Option<AccountRow>, EngineError> {
        let row = sqlx::query("select * from accounts where tenant_id = ?1 and user_name = ?2 and removed_at is null")
            .bind(tenant_id.to_string())
            .bind(user_name)
            .fetch_optional(&self.pool)
            .await
            .map_err(fault)?;
        row.as_ref().map(AccountRow::of).transpose()
    }

    /// Accounts of one tenant.
    pub(crate) async fn accounts_of(&self, tenant_id: Uuid) -> Result<Vec<AccountRow>, EngineError> {
        let rows = sqlx::query("select * from accounts where tenant_id = ?1 and removed_at is null order by user_name")
            .bind(tenant_id.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        rows.iter().map(AccountRow::of).collect()
    }

    /// Every account of the connected tenants.
    pub(crate) async fn accounts(&self) -> Result<Vec<AccountRow>, EngineError> {
        self.accounts_where("true").await
    }

    /// Every account that has an open lease.
    pub(crate) async fn accounts_in_use(&self) -> Result<HashMap<Uuid, AccountRow>, EngineError> {
        self.accounts_among("select account_id from leases where state not in ('ended', 'failed')").await
    }

    /// Every account of [`Store::closed_leases`].
    pub(crate) async fn accounts_used_lately(&self) -> Result<HashMap<Uuid, AccountRow>, EngineError> {
        self.accounts_among(
            "select account_id from leases where state in ('ended', 'failed') order by from_at desc limit 500",
        )
        .await
    }

    /// Every account for which a passkey is written down.
    pub(crate) async fn accounts_with_passkeys(&self) -> Result<HashMap<Uuid, AccountRow>, EngineError> {
        self.accounts_among("select account_id from passkeys").await
    }

    /// Every account for which an OATH token is written down.
    pub(crate) async fn accounts_with_oath_tokens(&self) -> Result<HashMap<Uuid, AccountRow>, EngineError> {
        self.accounts_among("select account_id from oath_tokens").await
    }

    async fn accounts_among(&self, which: &'static str) -> Result<HashMap<Uuid, AccountRow>, EngineError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("select * from accounts where account_id in ({which})")))
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        rows.iter().map(|row| AccountRow::of(row).map(|account| (account.account_id, account))).collect()
    }

    /// Accounts of connected tenants that this store decides about and that are to be looked at now.
    pub(crate) async fn accounts_due(&self, now: i64, looks: &Looks) -> Result<Vec<Uuid>, EngineError> {
        let mut reasons = vec![
            "settle_from is not null and settle_from > ?1".to_owned(),
            format!("settle_from is not null and settle_from + {SETTLE_WAIT} <= ?1"),
        ];
        if looks.scan_every.is_some() {
            reasons.extend(["looked_at is null", "looked_at > ?1", "looked_at <= ?1 - ?2"].map(ToOwned::to_owned));
        }
        // One question for each reason, so that each has an index to ask.
        let questions: Vec<_> = reasons
            .iter()
            .flat_map(|reason| {
                [HERE, LEASED].map(|which| format!("select account_id from accounts where {which} and {reason}"))
            })
            .collect();
        let statement = questions.join(" union ");
        let rows = looks.bind(sqlx::query(sqlx::AssertSqlSafe(statement)), now).fetch_all(&self.pool);
        rows.await.map_err(fault)?.iter().map(|row| get_id(row, "account_id")).collect()
    }

    /// When the first of them is to be looked at; not before `now`.
    pub(crate) async fn first_look(&self, now: i64, looks: &Looks) -> Result<Option<i64>, EngineError> {
        let mut questions = Vec::new();
        for which in [HERE, LEASED] {
            questions.push(format!(
                "select min(case when settle_from > ?1 then ?1 else settle_from + {SETTLE_WAIT} end) as at
                 from accounts where {which} and settle_from is not null"
            ));
            if looks.scan_every.is_some() {
                // Both ends of an index: never seen or seen in the future, and seen longest ago.
                questions.push(format!(
                    "select ?1 as at where exists (select 1 from accounts where {which} and looked_at is null)
                         or exists (select 1 from accounts where {which} and looked_at > ?1)"
                ));
                questions.push(format!(
                    "select * from (
                         select looked_at + ?2 as at from accounts where {which} and looked_at is not null
                         order by looked_at limit 1
                     )"
                ));
            }
        }
        let statement = format!("select min(at) as at from ({})", questions.join(" union all "));
        let row = looks.bind(sqlx::query(sqlx::AssertSqlSafe(statement)), now).fetch_one(&self.pool);
        get(&row.await.map_err(fault)?, "at")
    }

    async fn accounts_where(&self, condition: &'static str) -> Result<Vec<AccountRow>, EngineError> {
        let statement = format!(
            "select accounts.* from accounts join tenants using (tenant_id)
             where tenants.removed_at is null and accounts.removed_at is null and {condition}
             order by tenants.name collate nocase, accounts.user_name"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await.map_err(fault)?;
        rows.iter().map(AccountRow::of).collect()
    }

    /// Gives accounts from before there were several technicians their owner, from their names.
    pub(crate) async fn name_owners(&self, prefix: &str) -> Result<(), EngineError> {
        let unnamed = sqlx::query("select account_id, user_name from accounts where owner = ''");
        for row in unnamed.fetch_all(&self.pool).await.map_err(fault)? {
            let (account_id, user_name): (&str, &str) = (get(&row, "account_id")?, get(&row, "user_name")?);
            let local = user_name.split('@').next().unwrap_or_default();
            let owner = local.strip_prefix(&prefix.to_lowercase()).filter(|rest| !rest.is_empty()).unwrap_or(local);
            for statement in [
                "update leases set technician = ?2 where account_id = ?1 and technician = ''",
                "update accounts set owner = ?2 where account_id = ?1",
            ] {
                sqlx::query(statement).bind(account_id).bind(owner).execute(&self.pool).await.map_err(fault)?;
            }
        }
        Ok(())
    }

    /// Borrows the account, if nobody else has. A loan that lasts implausibly long does not count.
    pub(crate) async fn claim(&self, account_id: Uuid, now: i64) -> Result<Option<Claim>, EngineError> {
        let borrowed = loan::borrow(&self.pool, &LOANS, account_id, now).await?;
        Ok(borrowed.map(|(generation, until)| Claim { account_id, generation, until }))
    }

    /// Whether somebody is working on the account.
    pub(crate) async fn is_claimed(&self, account_id: Uuid, now: i64) -> Result<bool, EngineError> {
        let row = sqlx::query("select claim_until from accounts where account_id = ?1")
            .bind(account_id.to_string())
            .fetch_one(&self.pool)
            .await
            .map_err(fault)?;
        let until: Option<i64> = get(&row, "claim_until")?;
        Ok(until.is_some_and(|until| loan::is_running(until, now)))
    }

    /// Renews the loan. `false`: it is somebody else's now.
    pub(crate) async fn renew(&self, claim: &mut Claim, now: i64) -> Result<bool, EngineError> {
        let renewed = loan::renew(&self.pool, &LOANS, claim.account_id, claim.generation, now).await?;
        claim.until = renewed.unwrap_or(claim.until);
        Ok(renewed.is_some())
    }

    /// Has the next sweep look at the account, whoever has it: something may have been sent under a loan that lapsed.
    pub(crate) async fn look_soon(&self, account_id: Uuid) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update accounts set looked_at = null where account_id = ?1").bind(account_id.to_string()),
        )
        .await
    }

    /// Gives the account back. Giving it back twice writes nothing.
    pub(crate) async fn release(&self, claim: &Claim) -> Result<(), EngineError> {
        loan::give_back(&self.pool, &LOANS, claim.account_id, claim.generation).await
    }

    /// Writes down what is known of the account, if the loan still holds.
    pub(crate) async fn save_known(&self, claim: &Claim, account: &AccountRow) -> Result<bool, EngineError> {
        let mut write = self.write().await?;
        let saved = save_known(&mut write, claim, account).await?;
        super::commit(write).await?;
        Ok(saved)
    }
}

/// Gives the account back in the transaction that ends the work on it: one commit less to wait for.
pub(crate) async fn release_in(write: &mut Write, claim: &Claim) -> Result<(), EngineError> {
    loan::give_back(&mut **write, &LOANS, claim.account_id, claim.generation).await
}

/// Writes down what is known of the account, fenced by the loan.
pub(crate) async fn save_known(write: &mut Write, claim: &Claim, account: &AccountRow) -> Result<bool, EngineError> {
    let saved = sqlx::query(
        "update accounts set object_id = ?3, created_at = ?4, known = ?5, certain = ?6, credential_generation = ?7,
             settle_from = ?8, settle_stage = ?9, looked_at = ?10, credential_until = ?11
         where account_id = ?1 and generation = ?2",
    )
    .bind(claim.account_id.to_string())
    .bind(claim.generation)
    .bind(account.object_id.map(|id| id.to_string()))
    .bind(account.created_at)
    .bind(json(&account.known)?)
    .bind(account.certain)
    .bind(account.credential_generation)
    .bind(account.settle_from)
    .bind(account.settle_stage)
    .bind(account.looked_at)
    .bind(account.credential_until)
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    Ok(saved.rows_affected() == 1)
}

/// The row of the account of that name, made if there is none. A new one is known not to be there: if it is, creating
/// it says so. `here`: this store decides about it from now on (what it decided about stays so). `None`: the name is
/// another owner's.
pub(crate) async fn ensure(
    write: &mut Write,
    tenant_id: Uuid,
    owner: &AccountOwner,
    user_name: &str,
    here: bool,
) -> Result<Option<Uuid>, EngineError> {
    let row = sqlx::query(
        "insert into accounts (account_id, tenant_id, user_name, known, certain, owner, kind, here)
         values (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7)
         on conflict (tenant_id, user_name) do update set here = max(here, excluded.here), removed_at = null
             where owner = excluded.owner and kind = excluded.kind
         returning account_id",
    )
    .bind(Uuid::now_v7().to_string())
    .bind(tenant_id.to_string())
    .bind(user_name)
    .bind(json(&Observed::absent())?)
    .bind(&owner.local_part)
    .bind(owner.kind.name())
    .bind(here)
    .fetch_optional(&mut **write)
    .await
    .map_err(fault)?;
    row.as_ref().map(|row| get_id(row, "account_id")).transpose()
}

/// Notes that the account was deleted on purpose. Its leases stay on record.
pub(crate) async fn forget(write: &mut Write, account_id: Uuid, now: i64) -> Result<(), EngineError> {
    sqlx::query("update accounts set removed_at = ?2, here = 0, settle_from = null where account_id = ?1")
        .bind(account_id.to_string())
        .bind(now)
        .execute(&mut **write)
        .await
        .map_err(fault)?;
    Ok(())
}
