//! What is known of a kind of credential in a tenant: what the policy on it says, and when one was last refused.

use std::collections::HashMap;

use serde::{Serialize, de::DeserializeOwned};
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{Store, fault, get, get_id, get_optional_json, json};
use crate::{EngineError, oath::OathPolicy, passkey::PasskeyPolicy};

/// The policy of a tenant on one kind of credential.
pub(crate) trait CredentialPolicy: Serialize + DeserializeOwned {
    /// What the rows call that kind.
    const CREDENTIAL: &'static str;
}

impl CredentialPolicy for PasskeyPolicy {
    const CREDENTIAL: &'static str = "passkey";
}

impl CredentialPolicy for OathPolicy {
    const CREDENTIAL: &'static str = "oath";
}

/// What is known of the credentials in a tenant that `P` is about.
#[derive(Clone, Debug)]
pub(crate) struct Known<P> {
    /// None: it cannot be read, or nobody has.
    pub(crate) policy: Option<P>,
    pub(crate) refused_at: Option<i64>,
}

impl<P> Default for Known<P> {
    fn default() -> Self {
        Self { policy: None, refused_at: None }
    }
}

impl<P: CredentialPolicy> Known<P> {
    fn of(row: &SqliteRow) -> Result<Self, EngineError> {
        Ok(Self { policy: get_optional_json(row, "policy")?, refused_at: get(row, "refused_at")? })
    }
}

impl Store {
    /// What is known of a kind of credential in a tenant.
    pub(crate) async fn known<P: CredentialPolicy>(&self, tenant_id: Uuid) -> Result<Known<P>, EngineError> {
        let row = sqlx::query("select * from tenant_credentials where tenant_id = ?1 and credential = ?2")
            .bind(tenant_id.to_string())
            .bind(P::CREDENTIAL)
            .fetch_optional(&self.pool)
            .await
            .map_err(fault)?;
        row.as_ref().map_or_else(|| Ok(Known::default()), Known::of)
    }

    /// The same of all tenants about which anything is known.
    pub(crate) async fn known_everywhere<P: CredentialPolicy>(&self) -> Result<HashMap<Uuid, Known<P>>, EngineError> {
        let rows = sqlx::query("select * from tenant_credentials where credential = ?1")
            .bind(P::CREDENTIAL)
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        rows.iter().map(|row| Ok((get_id(row, "tenant_id")?, Known::of(row)?))).collect()
    }

    /// Remembers what the tenant's policy says, as seen just now. One that could not be read leaves the last one.
    pub(crate) async fn remember_policy<P: CredentialPolicy>(
        &self,
        tenant_id: Uuid,
        policy: Option<&P>,
    ) -> Result<(), EngineError> {
        let Some(policy) = policy else { return Ok(()) };
        self.carry_out(
            sqlx::query(
                "insert into tenant_credentials (tenant_id, credential, policy) values (?1, ?2, ?3)
                 on conflict (tenant_id, credential) do update set policy = excluded.policy",
            )
            .bind(tenant_id.to_string())
            .bind(P::CREDENTIAL)
            .bind(json(policy)?),
        )
        .await
    }

    /// Remembers that one was refused, or (with `None`) that one was taken.
    pub(crate) async fn remember_refusal<P: CredentialPolicy>(
        &self,
        tenant_id: Uuid,
        at: Option<i64>,
    ) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query(
                "insert into tenant_credentials (tenant_id, credential, refused_at) values (?1, ?2, ?3)
                 on conflict (tenant_id, credential) do update set refused_at = excluded.refused_at",
            )
            .bind(tenant_id.to_string())
            .bind(P::CREDENTIAL)
            .bind(at),
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sqlx::SqlitePool;

    use super::*;

    #[tokio::test]
    async fn what_was_known_when_each_kind_had_a_table_of_its_own_is_known_still() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latchkey.db");
        let pool = SqlitePool::connect(&format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
        let mut earlier = sqlx::migrate!();
        earlier.migrations = earlier.migrations.iter().filter(|step| step.version < 12).cloned().collect();
        earlier.run(&pool).await.unwrap();
        let tenant_id = Uuid::from_u128(7);
        for (table, refused_at) in [("tenant_passkeys", 1), ("tenant_oath", 2)] {
            let statement =
                format!("insert into {table} values ('{tenant_id}', '{{\"state\":\"enabled\"}}', {refused_at})");
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
        }
        pool.close().await;

        let store = Store::open(&path).await.unwrap();
        let passkeys: Known<PasskeyPolicy> = store.known(tenant_id).await.unwrap();
        assert!(passkeys.policy.is_some());
        assert_eq!(passkeys.refused_at, Some(1));
        let tokens = store.known_everywhere::<OathPolicy>().await.unwrap();
        assert_eq!(tokens[&tenant_id].refused_at, Some(2));

        store.remember_refusal::<OathPolicy>(tenant_id, None).await.unwrap();
        let tokens: Known<OathPolicy> = store.known(tenant_id).await.unwrap();
        assert!(tokens.policy.is_some(), "and a refusal that is over says nothing of the policy");
        assert_eq!(tokens.refused_at, None);
        assert_eq!(store.known::<PasskeyPolicy>(tenant_id).await.unwrap().refused_at, Some(1));
    }
}
