//! After the loss of the database, or with one that was restored from a backup: connecting the tenants again and ending
//! whatever cannot be explained.
//!
//! The database holds nothing that Microsoft and the key store do not: accounts are found by their mark, the secret is
//! in the key store. Which tenants there are is in a small file beside the configuration ([`TenantList`]), without
//! secrets, so that it can be kept wherever the configuration is kept. What a backup has forgotten (a lease that began
//! since) shows as an account that is active without a lease; passwords that the backup believes forgotten are replaced.

use std::collections::BTreeMap;

use latchkey_protocol::{ErrorBody, cloud::Cloud};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Caller, DriftOptions, DriftReport, Engine, EngineError, NewCredential, NewTenant, OnEnded, Role, store::TenantRow,
};

/// Everything that is needed to connect a tenant again, but its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedTenant {
    /// Directory (tenant) id.
    pub tenant_id: Uuid,
    /// The customer's name.
    pub name: String,
    /// Its cloud.
    pub cloud: Cloud,
    /// The application that acts there.
    pub client_id: Uuid,
    /// The domain of the accounts.
    pub domain: String,
    /// The roles that were named when it was connected.
    pub roles: Vec<Role>,
    /// The groups that were named when it was connected.
    pub groups: Vec<Uuid>,
    /// How long a lease lasts unless asked otherwise, in minutes.
    pub minutes: u32,
    /// The longest a lease may last, in minutes.
    pub maximum_minutes: u32,
}

impl ListedTenant {
    /// A connected tenant.
    pub(crate) fn of(tenant: TenantRow) -> Self {
        Self {
            tenant_id: tenant.tenant_id,
            name: tenant.name,
            cloud: tenant.cloud,
            client_id: tenant.client_id,
            domain: tenant.domain,
            roles: tenant.roles,
            groups: tenant.groups,
            minutes: tenant.minutes,
            maximum_minutes: tenant.maximum_minutes,
        }
    }

    /// What a person would say to connect it again as it is, with what the key store holds for it.
    pub(crate) fn wish(&self) -> NewTenant {
        NewTenant {
            tenant_id: self.tenant_id,
            client_id: self.client_id,
            credential: NewCredential::Kept,
            cloud: self.cloud,
            name: Some(self.name.clone()),
            domain: Some(self.domain.clone()),
            roles: self.roles.iter().map(|role| role.id.to_string()).collect(),
            groups: self.groups.clone(),
            minutes: self.minutes,
            maximum_minutes: self.maximum_minutes,
        }
    }
}

/// The tenants, by directory id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantList(pub BTreeMap<Uuid, ListedTenant>);

/// What [`Engine::recover`] did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RecoverReport {
    /// Names of the tenants that were connected again.
    pub connected: Vec<String>,
    /// Tenants of the list that could not be connected.
    pub unconnected: Vec<ErrorBody>,
    /// What was found in all tenants, and what became of it.
    pub drift: DriftReport,
}

impl RecoverReport {
    /// Whether nothing is left for a person to do.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unconnected.is_empty() && self.drift.is_clean()
    }
}

impl Engine {
    /// Brings a list of tenants up to date: what is connected is in it, what was disconnected is not. Of tenants that
    /// the database has never heard of it knows more than the database, so that they stay.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn update_tenant_list(&self, list: &TenantList) -> Result<TenantList, EngineError> {
        let store = &self.shared().store;
        let mut updated = list.clone();
        for removed in store.removed_tenants().await? {
            updated.0.remove(&removed);
        }
        for tenant in store.tenants().await? {
            updated.0.insert(tenant.tenant_id, ListedTenant::of(tenant));
        }
        Ok(updated)
    }

    /// Connects every listed tenant that is not connected, with what the key store holds for it; then compares every
    /// account with the store and believes the store nothing: accounts of the acting technician that no open lease
    /// explains are made dormant, their passwords replaced, and read back.
    ///
    /// # Errors
    /// When the database cannot be used; what could not be recovered is in the report.
    pub async fn recover(
        &self,
        list: &TenantList,
        caller: &Caller,
        on_done: OnEnded<'_>,
    ) -> Result<RecoverReport, EngineError> {
        let store = &self.shared().store;
        let known: Vec<Uuid> = store.tenants().await?.iter().map(|tenant| tenant.tenant_id).collect();
        let removed = store.removed_tenants().await?;
        let mut report = RecoverReport::default();
        for listed in list.0.values().filter(|listed| !known.contains(&listed.tenant_id)) {
            if removed.contains(&listed.tenant_id) {
                continue;
            }
            match self.add_tenant(listed.wish(), caller, &|_| {}).await {
                Ok(_) => report.connected.push(listed.name.clone()),
                Err(error) => report.unconnected.push(error.in_tenant(&listed.name).to_body()),
            }
        }
        let options = DriftOptions { repair_others: false, doubt_the_store: true };
        report.drift = self.drift(None, options, caller, on_done).await?;
        Ok(report)
    }
}
