//! What proves that a tenant's application is itself: made, taken into use, and watched until it ends.
//!
//! The key store's entry of a tenant holds what is in use; a certificate that was made and is not in use yet has an
//! entry of its own, so that the one in use works until the new one has proved to.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{ApplicationKey, Certificate, CertificateKey, DAY, certificate::entry_of};
use crate::{
    AuditEvent, Caller, Engine, EngineError, Failure, NewCredential, NewTenant,
    engine::Shared,
    graph,
    store::{
        self, Write,
        applications::{self, KeyKind, KeyRow},
    },
};

/// A warning comes so long before the end.
pub(crate) const WARNING: i64 = 30 * DAY;

/// What is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ApplicationCredential {
    /// A client secret.
    ClientSecret,
    /// A certificate whose key was made on this machine.
    Certificate {
        /// Its public half; `None` when the database was lost and only the key was left.
        certificate: Option<Certificate>,
    },
}

/// What proves that a tenant's application is itself, without anything secret.
#[derive(Clone, Debug, Serialize)]
pub struct CredentialKept {
    /// Directory (tenant) id.
    pub tenant_id: Uuid,
    /// What is in use; `None` for a client secret that was entered before this was kept.
    pub credential: Option<ApplicationCredential>,
    /// When it ends, Unix time in milliseconds, if that is known.
    pub expires_at: Option<i64>,
    /// A certificate that was made and waits to be uploaded or proved.
    pub next: Option<Certificate>,
    /// Whether something that was replaced still stands at the application's registration.
    pub to_be_removed: bool,
}

impl CredentialKept {
    pub(crate) fn of(tenant_id: Uuid, row: KeyRow) -> Self {
        let credential = row.kind.map(|kind| match kind {
            KeyKind::Certificate => ApplicationCredential::Certificate { certificate: row.certificate },
            KeyKind::ClientSecret => ApplicationCredential::ClientSecret,
        });
        Self { tenant_id, credential, expires_at: row.expires_at, next: row.next, to_be_removed: row.retired.is_some() }
    }
}

/// A key that a tenant is about to be connected with.
pub(crate) struct Adopted {
    pub(crate) key: ApplicationKey,
    pub(super) expires_at: Option<i64>,
}

impl Engine {
    /// Makes a certificate for a tenant that is connected with it later, or answers the one that was made before and
    /// waits. The private key goes to the key store; what comes back is the public half, to be uploaded.
    ///
    /// # Errors
    /// `KeyStoreLocked`, `KeyStoreUnavailable`, or when the database cannot be written.
    pub async fn make_certificate(
        &self,
        tenant_id: Uuid,
        client_id: Uuid,
        days: u32,
    ) -> Result<Certificate, EngineError> {
        make_next(self.shared(), self.shared().key_entry(tenant_id, client_id), days).await
    }

    /// What proves that a tenant's application is itself. Asks neither Microsoft nor the key store.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn application_credential(&self, tenant_id: Uuid) -> Result<CredentialKept, EngineError> {
        let shared = self.shared();
        let tenant = shared.store.tenant(tenant_id).await?;
        let row = shared.store.application_key(shared.key_entry(tenant_id, tenant.client_id)).await?;
        Ok(CredentialKept::of(tenant_id, row))
    }
}

/// The certificate that waits, made now if there is none.
pub(crate) async fn make_next(shared: &Shared, entry: Uuid, days: u32) -> Result<Certificate, EngineError> {
    let row = shared.store.application_key(entry).await?;
    if let Some(next) = row.next {
        // Without its key it is of no use to anybody.
        if graph::stored_key(&shared.secrets, next.entry()).await?.is_some() {
            return Ok(next);
        }
    }
    let now = shared.clock.now();
    let subject = format!("Latchkey {}", shared.settings.technician.name);
    let made = tokio::task::spawn_blocking(move || CertificateKey::generate(&subject, now, days)).await;
    let (key, certificate) =
        made.map_err(|_| Failure::Internal("making a certificate was interrupted".to_owned()))??;
    // The key first: a row without a key would be a certificate that nobody can use.
    keep(shared, certificate.entry(), &ApplicationKey::Certificate(key)).await?;
    let mut write = shared.store.write().await?;
    let mut row = applications::find(&mut *write, entry).await?;
    if let Some(other) = row.next.take() {
        // Another process made one meanwhile, or the key of the one before is lost.
        if graph::stored_key(&shared.secrets, other.entry()).await?.is_some() {
            drop(write);
            forget(shared, certificate.entry()).await?;
            return Ok(other);
        }
    }
    row.next = Some(certificate.clone());
    row.next_key_id = None;
    row.next_sent = false;
    applications::save(&mut write, &row).await?;
    store::commit(write).await?;
    Ok(certificate)
}

/// Forgets the certificate that waits, and its key.
pub(super) async fn discard_next(shared: &Shared, entry: Uuid) -> Result<(), EngineError> {
    let mut write = shared.store.write().await?;
    let mut row = applications::find(&mut *write, entry).await?;
    let discarded = row.next.take();
    row.next_key_id = None;
    row.next_sent = false;
    applications::save(&mut write, &row).await?;
    store::commit(write).await?;
    match discarded {
        Some(next) => forget(shared, next.entry()).await,
        None => Ok(()),
    }
}

/// The key that a tenant is to be connected with.
pub(crate) async fn key_for(shared: &Shared, new: &NewTenant) -> Result<Adopted, EngineError> {
    let entry = shared.key_entry(new.tenant_id, new.client_id);
    let stored = async |entry: Uuid| graph::stored_key(&shared.secrets, entry).await;
    match &new.credential {
        NewCredential::ClientSecret { value, expires_at } => {
            Ok(Adopted { key: ApplicationKey::Secret(value.clone()), expires_at: *expires_at })
        }
        NewCredential::Certificate => {
            let row = shared.store.application_key(entry).await?;
            if let Some(next) = row.next
                && let Some(key) = stored(next.entry()).await?
            {
                return Ok(Adopted { key, expires_at: Some(next.expires_at) });
            }
            match stored(entry).await? {
                Some(key @ ApplicationKey::Certificate(_)) => Ok(Adopted { key, expires_at: row.expires_at }),
                _ => Err(Failure::CertificateMissing.into()),
            }
        }
        NewCredential::Kept => {
            let key = stored(entry).await?.ok_or(Failure::SecretMissing)?;
            Ok(Adopted { key, expires_at: shared.store.application_key(entry).await?.expires_at })
        }
    }
}

/// Writes the key that has just proved to work to the tenant's entry of the key store.
pub(crate) async fn keep(shared: &Shared, entry: Uuid, key: &ApplicationKey) -> Result<(), EngineError> {
    let (store, stored) = (Arc::clone(&shared.secrets), key.to_stored());
    Ok(graph::blocking(move || store.set(entry, &stored)).await?)
}

/// Forgets an entry of the key store.
pub(crate) async fn forget(shared: &Shared, entry: Uuid) -> Result<(), EngineError> {
    let store = Arc::clone(&shared.secrets);
    Ok(graph::blocking(move || store.delete(entry)).await?)
}

/// Forgets everything about a tenant's own key, also one that waits. The application that serves every tenant keeps
/// its own.
pub(crate) async fn forget_tenant(shared: &Shared, tenant_id: Uuid) -> Result<(), EngineError> {
    let row = shared.store.application_key(tenant_id).await?;
    if let Some(next) = row.next {
        forget(shared, next.entry()).await?;
    }
    forget(shared, tenant_id).await?;
    let mut write = shared.store.write().await?;
    applications::forget(&mut write, tenant_id).await?;
    store::commit(write).await
}

/// Notes that a key is in use now. Answers the entry of the key store that it had while it was not, to be forgotten
/// once this is committed.
pub(crate) async fn note_in_use(
    write: &mut Write,
    entry: Uuid,
    adopted: &Adopted,
) -> Result<Option<Uuid>, EngineError> {
    let mut row = applications::find(&mut **write, entry).await?;
    let mut waiting = None;
    match &adopted.key {
        ApplicationKey::Secret(_) => {
            row.kind = Some(KeyKind::ClientSecret);
            row.certificate = None;
            row.key_id = None;
            row.expires_at = adopted.expires_at;
        }
        ApplicationKey::Certificate(key) => {
            let thumbprint = key.thumbprint();
            if row.next.as_ref().is_some_and(|next| next.thumbprint == thumbprint) {
                row.certificate = row.next.take();
                row.key_id = row.next_key_id.take();
                row.next_sent = false;
                waiting = Some(entry_of(&thumbprint));
            }
            row.kind = Some(KeyKind::Certificate);
            row.expires_at = row.certificate.as_ref().map_or(adopted.expires_at, |known| Some(known.expires_at));
        }
    }
    if row.warned_for != row.expires_at {
        row.warned_for = None;
    }
    applications::save(write, &row).await?;
    Ok(waiting)
}

/// Writes down, once for each, that a secret or certificate is about to end.
pub(crate) async fn warn_of_ends(shared: &Shared) -> Result<(), EngineError> {
    let now = shared.now();
    let ending = shared.store.keys_to_warn_of(now + WARNING).await?;
    if ending.is_empty() {
        return Ok(());
    }
    let tenants = shared.store.tenants().await?;
    for key in ending {
        let concerned: Vec<_> =
            tenants.iter().filter(|tenant| shared.key_entry(tenant.tenant_id, tenant.client_id) == key.entry).collect();
        let mut write = shared.store.write().await?;
        // Another process may have written it down meanwhile.
        let mut row = applications::find(&mut *write, key.entry).await?;
        if row.warned_for == row.expires_at {
            continue;
        }
        for tenant in concerned {
            let detail = json!({ "expires_at": row.expires_at, "days_left": days_left(row.expires_at, now) });
            let caller = Caller::Sweep;
            let entry = shared.entry(tenant.tenant_id, AuditEvent::CredentialExpiring, &caller, None, None, detail);
            store::append(&mut write, &entry).await?;
        }
        row.warned_for = row.expires_at;
        applications::save(&mut write, &row).await?;
        store::commit(write).await?;
    }
    Ok(())
}

/// Whole days until then; 0 when it is over.
pub(crate) fn days_left(expires_at: Option<i64>, now: i64) -> Option<i64> {
    expires_at.map(|end| ((end - now).max(0)) / DAY)
}

/// What somebody should know about the end of what is in use: a problem when it is over, a remark from 30 days ahead.
pub(crate) fn end_of(row: &KeyRow, now: i64) -> Option<Result<String, Failure>> {
    let expires_at = row.expires_at?;
    let certificate = row.kind == Some(KeyKind::Certificate);
    if expires_at <= now {
        return Some(Err(if certificate { Failure::CertificateExpired } else { Failure::ClientSecretExpired }));
    }
    (expires_at - now <= WARNING).then(|| {
        let what = if certificate { "certificate" } else { "client secret" };
        let days = match days_left(Some(expires_at), now) {
            Some(0) => "in less than a day".to_owned(),
            Some(1) => "in 1 day".to_owned(),
            days => format!("in {} days", days.unwrap_or_default()),
        };
        Ok(format!("The application's {what} ends {days}: replace it with `latchkey tenant credential rotate`."))
    })
}
