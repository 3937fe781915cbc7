//! Rows of connected tenants.

use std::collections::BTreeMap;

use latchkey_protocol::cloud::Cloud;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{Store, Write, fault, get, get_id, get_json, get_optional_json, json};
use crate::{
    EngineError, Failure, Role, TenantIdentity,
    graph::{Capabilities, PassPolicy},
};

/// A connected tenant.
#[derive(Clone, Debug)]
pub(crate) struct TenantRow {
    pub(crate) tenant_id: Uuid,
    pub(crate) name: String,
    pub(crate) cloud: Cloud,
    pub(crate) client_id: Uuid,
    pub(crate) domain: String,
    pub(crate) domains: Vec<String>,
    pub(crate) roles: Vec<Role>,
    pub(crate) groups: Vec<Uuid>,
    pub(crate) minutes: u32,
    pub(crate) maximum_minutes: u32,
    pub(crate) capabilities: Capabilities,
    pub(crate) pass_policy: Option<PassPolicy>,
    pub(crate) pass_refused_at: Option<i64>,
    /// Whether roles can end by themselves there; none: nobody has found out.
    pub(crate) timed_roles: Option<bool>,
    /// When that was found out.
    pub(crate) timed_roles_at: Option<i64>,
    /// Whether the directory lets us replace passwords, as far as was tried.
    pub(crate) passwords_allowed: bool,
    pub(crate) last_used: Option<i64>,
    /// When a preflight last found nothing in the way of a lease.
    pub(crate) preflight_at: Option<i64>,
}

impl TenantRow {
    /// What rules name it by.
    pub(crate) fn identity(&self) -> TenantIdentity<'_> {
        TenantIdentity { tenant_id: self.tenant_id, name: &self.name, domains: &self.domains }
    }

    fn of(row: &SqliteRow) -> Result<Self, EngineError> {
        let cloud: &str = get(row, "cloud")?;
        Ok(Self {
            tenant_id: get_id(row, "tenant_id")?,
            name: get(row, "name")?,
            cloud: serde_json::from_value(cloud.into())
                .map_err(|_| Failure::StoreDamaged(format!("{cloud} is not a cloud")))?,
            client_id: get_id(row, "client_id")?,
            domain: get(row, "domain")?,
            domains: get_json(row, "domains")?,
            roles: get_json(row, "roles")?,
            groups: get_json(row, "groups")?,
            minutes: get(row, "minutes")?,
            maximum_minutes: get(row, "maximum_minutes")?,
            capabilities: get_json(row, "capabilities")?,
            pass_policy: get_optional_json(row, "pass_policy")?,
            pass_refused_at: get(row, "pass_refused_at")?,
            timed_roles: get(row, "timed_roles")?,
            timed_roles_at: get(row, "timed_roles_at")?,
            passwords_allowed: get(row, "passwords_allowed")?,
            last_used: get(row, "last_used")?,
            preflight_at: get(row, "preflight_at")?,
        })
    }
}

impl Store {
    /// A connected tenant.
    pub(crate) async fn tenant(&self, tenant_id: Uuid) -> Result<TenantRow, EngineError> {
        let row = sqlx::query("select * from tenants where tenant_id = ?1 and removed_at is null")
            .bind(tenant_id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(fault)?;
        row.as_ref().map_or_else(|| Err(Failure::TenantUnknown(tenant_id).into()), TenantRow::of)
    }

    /// The name of a tenant, connected or removed.
    pub(crate) async fn tenant_name(&self, tenant_id: Uuid) -> Result<String, EngineError> {
        let row = sqlx::query("select name from tenants where tenant_id = ?1")
            .bind(tenant_id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(fault)?;
        row.as_ref().map_or_else(|| Err(Failure::TenantUnknown(tenant_id).into()), |row| get(row, "name"))
    }

    /// The names of all tenants, connected or removed.
    pub(crate) async fn tenant_names(&self) -> Result<BTreeMap<Uuid, String>, EngineError> {
        let rows = sqlx::query("select tenant_id, name from tenants").fetch_all(&self.pool).await.map_err(fault)?;
        rows.iter().map(|row| Ok((get_id(row, "tenant_id")?, get(row, "name")?))).collect()
    }

    /// Tenants that were disconnected on purpose.
    pub(crate) async fn removed_tenants(&self) -> Result<Vec<Uuid>, EngineError> {
        let rows = sqlx::query("select tenant_id from tenants where removed_at is not null")
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        rows.iter().map(|row| get_id(row, "tenant_id")).collect()
    }

    /// Every connected tenant, most recently used first.
    pub(crate) async fn tenants(&self) -> Result<Vec<TenantRow>, EngineError> {
        let rows = sqlx::query(
            "select * from tenants where removed_at is null order by coalesce(last_used, 0) desc, name collate nocase",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(fault)?;
        rows.iter().map(TenantRow::of).collect()
    }

    /// Remembers what the application may do and what the policy says, as seen just now.
    pub(crate) async fn remember_capabilities(
        &self,
        tenant_id: Uuid,
        capabilities: &Capabilities,
    ) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update tenants set capabilities = ?2 where tenant_id = ?1")
                .bind(tenant_id.to_string())
                .bind(json(capabilities)?),
        )
        .await
    }

    /// Remembers what the policy on passes says, as seen just now.
    pub(crate) async fn remember_pass_policy(&self, tenant_id: Uuid, policy: &PassPolicy) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update tenants set pass_policy = ?2 where tenant_id = ?1")
                .bind(tenant_id.to_string())
                .bind(json(policy)?),
        )
        .await
    }

    /// Remembers that a preflight found nothing in the way of a lease.
    pub(crate) async fn remember_preflight(&self, tenant_id: Uuid, at: i64) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update tenants set preflight_at = ?2 where tenant_id = ?1")
                .bind(tenant_id.to_string())
                .bind(at),
        )
        .await
    }

    /// Remembers whether the directory lets us replace passwords.
    pub(crate) async fn remember_passwords_allowed(&self, tenant_id: Uuid, allowed: bool) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update tenants set passwords_allowed = ?2 where tenant_id = ?1")
                .bind(tenant_id.to_string())
                .bind(allowed),
        )
        .await
    }

    /// Remembers whether roles can end by themselves in the tenant.
    pub(crate) async fn remember_timed_roles(
        &self,
        tenant_id: Uuid,
        allowed: bool,
        now: i64,
    ) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update tenants set timed_roles = ?2, timed_roles_at = ?3 where tenant_id = ?1")
                .bind(tenant_id.to_string())
                .bind(allowed)
                .bind(now),
        )
        .await
    }

    /// Remembers that the tenant refused a pass, or (with `None`) that it does issue them.
    pub(crate) async fn remember_pass_refusal(&self, tenant_id: Uuid, at: Option<i64>) -> Result<(), EngineError> {
        self.carry_out(
            sqlx::query("update tenants set pass_refused_at = ?2 where tenant_id = ?1")
                .bind(tenant_id.to_string())
                .bind(at),
        )
        .await
    }
}

/// Saves a tenant, new or changed.
pub(crate) async fn save(write: &mut Write, tenant: &TenantRow) -> Result<(), EngineError> {
    let cloud = serde_json::to_value(tenant.cloud).ok().and_then(|cloud| cloud.as_str().map(ToOwned::to_owned));
    sqlx::query(
        "insert into tenants (tenant_id, name, cloud, client_id, domain, domains, roles, groups, minutes,
             maximum_minutes, capabilities, pass_policy, pass_refused_at, last_used, removed_at, preflight_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, null, null, null, ?13)
         on conflict (tenant_id) do update set name = excluded.name, cloud = excluded.cloud,
             client_id = excluded.client_id, domain = excluded.domain, domains = excluded.domains,
             roles = excluded.roles, groups = excluded.groups, minutes = excluded.minutes,
             maximum_minutes = excluded.maximum_minutes, capabilities = excluded.capabilities,
             pass_policy = excluded.pass_policy, pass_refused_at = null, removed_at = null,
             preflight_at = excluded.preflight_at",
    )
    .bind(tenant.tenant_id.to_string())
    .bind(&tenant.name)
    .bind(cloud.unwrap_or_default())
    .bind(tenant.client_id.to_string())
    .bind(&tenant.domain)
    .bind(json(&tenant.domains)?)
    .bind(json(&tenant.roles)?)
    .bind(json(&tenant.groups)?)
    .bind(tenant.minutes)
    .bind(tenant.maximum_minutes)
    .bind(json(&tenant.capabilities)?)
    .bind(tenant.pass_policy.as_ref().map(json).transpose()?)
    .bind(tenant.preflight_at)
    .execute(&mut **write)
    .await
    .map_err(fault)?;
    Ok(())
}

/// Disconnects a tenant; what happened there stays on record. `false`: a lease has begun there meanwhile.
pub(crate) async fn remove(write: &mut Write, tenant_id: Uuid, now: i64) -> Result<bool, EngineError> {
    let open = sqlx::query("select 1 from leases where tenant_id = ?1 and state not in ('ended', 'failed') limit 1")
        .bind(tenant_id.to_string())
        .fetch_optional(&mut **write)
        .await
        .map_err(fault)?;
    if open.is_some() {
        return Ok(false);
    }
    sqlx::query("update tenants set removed_at = ?2 where tenant_id = ?1")
        .bind(tenant_id.to_string())
        .bind(now)
        .execute(&mut **write)
        .await
        .map_err(fault)?;
    sqlx::query("update accounts set settle_from = null, looked_at = null where tenant_id = ?1")
        .bind(tenant_id.to_string())
        .execute(&mut **write)
        .await
        .map_err(fault)?;
    Ok(true)
}

/// Notes that a lease is being started. `false`: the tenant has been disconnected.
pub(crate) async fn mark_used(write: &mut Write, tenant_id: Uuid, now: i64) -> Result<bool, EngineError> {
    let marked = sqlx::query("update tenants set last_used = ?2 where tenant_id = ?1 and removed_at is null")
        .bind(tenant_id.to_string())
        .bind(now)
        .execute(&mut **write)
        .await
        .map_err(fault)?;
    Ok(marked.rows_affected() == 1)
}
