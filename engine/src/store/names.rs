//! Rows of what the roles and groups that the configuration names are in a tenant.

use uuid::Uuid;

use super::{Store, commit, fault, get, get_id};
use crate::{EngineError, Failure};

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum NameKind {
    Role,
    Group,
}

impl NameKind {
    const fn as_stored(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Group => "group",
        }
    }
}

/// A name and what it meant in the tenant when that was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameRow {
    pub(crate) kind: NameKind,
    /// As the configuration says it, in lower case.
    pub(crate) said: String,
    pub(crate) id: Uuid,
    /// As the directory says it.
    pub(crate) name: String,
    pub(crate) read_at: i64,
}

impl Store {
    pub(crate) async fn names(&self, tenant_id: Uuid) -> Result<Vec<NameRow>, EngineError> {
        let rows = sqlx::query("select * from names where tenant_id = ?1")
            .bind(tenant_id.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(fault)?;
        rows.iter()
            .map(|row| {
                let kind = match get(row, "kind")? {
                    "role" => NameKind::Role,
                    "group" => NameKind::Group,
                    other => return Err(Failure::StoreDamaged(format!("\"{other}\" is no kind of name")).into()),
                };
                Ok(NameRow {
                    kind,
                    said: get(row, "said")?,
                    id: get_id(row, "id")?,
                    name: get(row, "name")?,
                    read_at: get(row, "read_at")?,
                })
            })
            .collect()
    }

    /// Writes down what was answered, and forgets what is not there (any more).
    pub(crate) async fn remember_names(
        &self,
        tenant_id: Uuid,
        found: &[NameRow],
        gone: &[(NameKind, String)],
    ) -> Result<(), EngineError> {
        let mut write = self.write().await?;
        for row in found {
            sqlx::query(
                "insert into names (tenant_id, kind, said, id, name, read_at) values (?1, ?2, ?3, ?4, ?5, ?6)
                 on conflict (tenant_id, kind, said) do update set id = excluded.id, name = excluded.name,
                     read_at = excluded.read_at",
            )
            .bind(tenant_id.to_string())
            .bind(row.kind.as_stored())
            .bind(&row.said)
            .bind(row.id.to_string())
            .bind(&row.name)
            .bind(row.read_at)
            .execute(&mut *write)
            .await
            .map_err(fault)?;
        }
        for (kind, said) in gone {
            sqlx::query("delete from names where tenant_id = ?1 and kind = ?2 and said = ?3")
                .bind(tenant_id.to_string())
                .bind(kind.as_stored())
                .bind(said)
                .execute(&mut *write)
                .await
                .map_err(fault)?;
        }
        commit(write).await
    }

    /// Forgets every name of a tenant: something that the directory said is not so any more.
    pub(crate) async fn forget_names(&self, tenant_id: Uuid) -> Result<(), EngineError> {
        self.carry_out(sqlx::query("delete from names where tenant_id = ?1").bind(tenant_id.to_string())).await
    }
}
