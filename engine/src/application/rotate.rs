//! A new certificate in the place of what proved that the application is itself until now.
//!
//! The order is the safety: the new one is made and kept, written down, added at Microsoft, proved by a token that it
//! fetched, taken into use, and only then the old one is removed. Whatever happens between two steps, the tenant's
//! entry of the key store holds something that works; running it again goes on where it stopped.
//!
//! Facts: Microsoft Graph, application addKey and removeKey (a proof signed by a key of the application's own takes the
//! place of a permission) and update application.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    ApplicationKey, Certificate, CertificateKey, DAY,
    credential::{self, Adopted, keep, make_next},
    registration::{self, Registration},
};
use crate::{
    AuditEvent, Caller, Engine, EngineError, Failure,
    clock::milliseconds,
    engine::Shared,
    graph::{self, KeySource, Session},
    store::{
        self, TenantRow,
        applications::{self, RetiredKey},
    },
};

/// How a rotation stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Rotation {
    /// The new certificate is in use.
    Done {
        /// Its public half.
        certificate: Certificate,
        /// What a person should still do by hand about what it replaced; `None` when nothing is left of it.
        left: Option<String>,
    },
    /// A person must upload the certificate; then the rotation is run again.
    ToUpload {
        /// What to upload.
        certificate: Certificate,
        /// Why the application cannot do it itself.
        why: String,
    },
}

/// How the application may add a certificate to itself.
enum Way {
    /// With a proof signed by the certificate that is in use.
    Proof(CertificateKey, Uuid),
    /// By a permission.
    Permission(Registration),
    /// Not at all, and why.
    None(String),
}

impl Engine {
    /// Replaces what proves that a tenant's application is itself by a new certificate, or goes on with a replacement
    /// that was interrupted or waits for a person.
    ///
    /// # Errors
    /// Key store, database, network, and what Microsoft answers. The tenant keeps a credential that works.
    pub async fn rotate_credential(
        &self,
        tenant_id: Uuid,
        days: u32,
        caller: &Caller,
    ) -> Result<Rotation, EngineError> {
        let shared = self.shared();
        let tenant = shared.store.tenant(tenant_id).await?;
        rotate(shared, &tenant, days, caller).await.map_err(|error| error.in_tenant(&tenant.name))
    }

    /// Remembers the object id of the registration of a tenant's application: with it, a certificate of the
    /// application's own can vouch for the next one without any permission.
    ///
    /// # Errors
    /// `TenantUnknown`, or when the database cannot be written.
    pub async fn remember_registration(&self, tenant_id: Uuid, object_id: Uuid) -> Result<(), EngineError> {
        let shared = self.shared();
        let tenant = shared.store.tenant(tenant_id).await?;
        remember_registration(shared, shared.key_entry(tenant_id, tenant.client_id), object_id).await
    }
}

async fn rotate(shared: &Shared, tenant: &TenantRow, days: u32, caller: &Caller) -> Result<Rotation, EngineError> {
    let entry = shared.key_entry(tenant.tenant_id, tenant.client_id);
    let row = shared.store.application_key(entry).await?;
    // Only what it replaced is left to be removed.
    if let (Some(_), None, Some(certificate)) = (&row.retired, &row.next, &row.certificate) {
        let certificate = certificate.clone();
        let left = remove_retired(shared, tenant, entry, caller).await?;
        return Ok(Rotation::Done { certificate, left });
    }
    if row.next.as_ref().is_some_and(|next| next.expires_at < shared.now() + DAY) {
        credential::discard_next(shared, entry).await?;
    }
    let certificate = make_next(shared, entry, days).await?;
    let Some(ApplicationKey::Certificate(next)) = graph::stored_key(&shared.secrets, certificate.entry()).await? else {
        return Err(Failure::CertificateMissing.into());
    };
    let with_next = session_with(shared, tenant, ApplicationKey::Certificate(next.clone()));
    let mut accepted = is_accepted(&with_next).await?;
    if !accepted {
        // A request to add it that was not answered may have been heard all the same.
        let sent = shared.store.application_key(entry).await?.next_sent;
        accepted = sent && wait_until_accepted(shared, &with_next).await?;
        if !accepted {
            match way(shared, tenant, entry).await? {
                Way::None(why) => return Ok(Rotation::ToUpload { certificate, why }),
                way => {
                    let detail = json!({ "thumbprint": certificate.thumbprint, "expires_at": certificate.expires_at });
                    let event = AuditEvent::CredentialRotating;
                    shared.audit(tenant.tenant_id, event, caller, None, None, detail).await?;
                    if let Some(why) = install(shared, tenant, entry, &certificate, way).await? {
                        return Ok(Rotation::ToUpload { certificate, why });
                    }
                }
            }
        }
        accepted = accepted || wait_until_accepted(shared, &with_next).await?;
    }
    if !accepted {
        // Should it have been taken away again meanwhile, the next run adds it anew.
        note_sent(shared, entry, false, None).await?;
        return Err(Failure::CertificateRefused(700_027).into());
    }
    take_into_use(shared, tenant, entry, next, &certificate, caller).await?;
    let left = remove_retired(shared, tenant, entry, caller).await?;
    Ok(Rotation::Done { certificate, left })
}

fn session_with(shared: &Shared, tenant: &TenantRow, key: ApplicationKey) -> Session {
    let http = Arc::clone(&shared.http);
    Session::new(http, tenant.tenant_id, tenant.client_id, tenant.cloud, KeySource::Given(key))
}

/// Whether Microsoft issues a token for the key; a key that it does not know (yet) is no error.
pub(super) async fn is_accepted(session: &Session) -> Result<bool, EngineError> {
    match session.capabilities().await {
        Ok(_) => Ok(true),
        Err(trouble) if matches!(trouble.before.as_deref(), Some(Failure::CertificateRefused(_))) => Ok(false),
        Err(trouble) => Err(trouble.to_error("issue a token")),
    }
}

/// A key that was just added is not known everywhere at once.
pub(super) async fn wait_until_accepted(shared: &Shared, session: &Session) -> Result<bool, EngineError> {
    let until = shared.clock.elapsed() + milliseconds(shared.settings.patience.replication);
    let mut pause = Duration::from_secs(1);
    loop {
        if is_accepted(session).await? {
            return Ok(true);
        }
        if shared.clock.elapsed() >= until {
            return Ok(false);
        }
        shared.clock.sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(10));
    }
}

/// How the application may add a certificate to itself.
async fn way(shared: &Shared, tenant: &TenantRow, entry: Uuid) -> Result<Way, EngineError> {
    if entry != tenant.tenant_id {
        let why = "the application serves several tenants and is registered in your own: only there its certificates \
                   can be changed";
        return Ok(Way::None(why.to_owned()));
    }
    let session = shared.session(tenant);
    if let Err(trouble) = session.capabilities().await {
        return match trouble.before.as_deref() {
            Some(Failure::CertificateRefused(_) | Failure::ClientSecretExpired | Failure::ClientSecretWrong) => {
                Ok(Way::None("what is in use is not accepted any more and cannot vouch for it".to_owned()))
            }
            _ => Err(trouble.to_error("issue a token")),
        };
    }
    let current = graph::stored_key(&shared.secrets, entry).await?;
    let known = shared.store.application_key(entry).await?.application_object_id;
    let registration = registration::own(&session, tenant.client_id).await?;
    if let Some(registration) = &registration
        && known != Some(registration.id)
    {
        remember_registration(shared, entry, registration.id).await?;
    }
    let object_id = registration.as_ref().map(|registration| registration.id).or(known);
    let capabilities = session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
    Ok(match (current, object_id, registration) {
        (Some(ApplicationKey::Certificate(current)), Some(object_id), _) => Way::Proof(current, object_id),
        (_, _, Some(registration)) if registration::may_write(&capabilities) => Way::Permission(registration),
        (Some(ApplicationKey::Certificate(_)), None, _) => Way::None(
            "the object id of the application's registration is not known (say it once with --application-object-id)"
                .to_owned(),
        ),
        _ => Way::None(
            "a client secret cannot vouch for a certificate, and the application may not change its own registration \
             (Application.ReadWrite.OwnedBy)"
                .to_owned(),
        ),
    })
}

/// Remembers the object id of the application's registration.
pub(crate) async fn remember_registration(shared: &Shared, entry: Uuid, object_id: Uuid) -> Result<(), EngineError> {
    let mut write = shared.store.write().await?;
    let mut row = applications::find(&mut *write, entry).await?;
    row.application_object_id = Some(object_id);
    applications::save(&mut write, &row).await?;
    store::commit(write).await
}

/// Adds the certificate at Microsoft. A sentence: it may not, and why.
async fn install(
    shared: &Shared,
    tenant: &TenantRow,
    entry: Uuid,
    certificate: &Certificate,
    way: Way,
) -> Result<Option<String>, EngineError> {
    const ACTION: &str = "add the certificate to the application";
    let session = shared.session(tenant);
    let request = match &way {
        Way::Proof(current, object_id) => {
            registration::add_key(*object_id, certificate, &current.proof(*object_id, shared.now())?)
        }
        Way::Permission(registration) => {
            if registration.key_id_of(&certificate.thumbprint).is_some() {
                return Ok(None);
            }
            let mut keys = registration.key_credentials.clone();
            keys.push(registration::key_credential(certificate));
            registration::set_keys(registration.id, &keys)
        }
        Way::None(why) => return Ok(Some(why.clone())),
    };
    let answer = session.send(&request, graph::Priority::High).await.map_err(|trouble| trouble.to_error(ACTION))?;
    match answer.status {
        200..300 => {
            let key_id = answer.body["keyId"].as_str().and_then(|id| id.parse().ok());
            note_sent(shared, entry, true, key_id).await?;
            Ok(None)
        }
        // It is there already: an earlier try got further than its answer.
        400 | 409 if matches!(way, Way::Proof(..)) && !is_about_proof(&answer) => Ok(None),
        401 | 403 | 404 => {
            note_sent(shared, entry, false, None).await?;
            Ok(Some(format!("Microsoft refused it (HTTP {})", answer.status)))
        }
        _ => Err(graph::Trouble::of_answer(&answer).to_error(ACTION)),
    }
}

/// Notes whether the certificate that is not in use yet may have been added at Microsoft, and Microsoft's id of it.
async fn note_sent(shared: &Shared, entry: Uuid, sent: bool, key_id: Option<Uuid>) -> Result<(), EngineError> {
    let mut write = shared.store.write().await?;
    let mut row = applications::find(&mut *write, entry).await?;
    row.next_sent = sent;
    row.next_key_id = key_id;
    applications::save(&mut write, &row).await?;
    store::commit(write).await
}

/// Whether the proof itself was refused.
fn is_about_proof(answer: &graph::Answer) -> bool {
    answer.body["error"]["code"].as_str().is_some_and(|code| code.contains("Authentication"))
}

/// From here on the tenant's calls are signed with the new certificate.
async fn take_into_use(
    shared: &Shared,
    tenant: &TenantRow,
    entry: Uuid,
    next: CertificateKey,
    certificate: &Certificate,
    caller: &Caller,
) -> Result<(), EngineError> {
    let old = graph::stored_key(&shared.secrets, entry).await?;
    let row = shared.store.application_key(entry).await?;
    let retired = match &old {
        None => None,
        Some(ApplicationKey::Certificate(old)) if old.thumbprint() == certificate.thumbprint => row.retired.clone(),
        Some(ApplicationKey::Certificate(old)) => {
            Some(RetiredKey { thumbprint: Some(old.thumbprint()), key_id: row.key_id })
        }
        Some(ApplicationKey::Secret(value)) => {
            Some(RetiredKey { thumbprint: None, key_id: secret_id(shared, tenant, value).await? })
        }
    };
    // What is to be removed is written down first: once the entry is replaced, nobody can tell any more.
    let mut write = shared.store.write().await?;
    let mut row = applications::find(&mut *write, entry).await?;
    row.retired = retired;
    applications::save(&mut write, &row).await?;
    store::commit(write).await?;
    let adopted = Adopted { key: ApplicationKey::Certificate(next), expires_at: Some(certificate.expires_at) };
    keep(shared, entry, &adopted.key).await?;
    let mut write = shared.store.write().await?;
    let waited = credential::note_in_use(&mut write, entry, &adopted).await?;
    let detail = json!({ "thumbprint": certificate.thumbprint, "expires_at": certificate.expires_at });
    let event = shared.entry(tenant.tenant_id, AuditEvent::CredentialRotated, caller, None, None, detail);
    store::append(&mut write, &event).await?;
    store::commit(write).await?;
    shared.forget_session(tenant.tenant_id);
    if let Some(waited) = waited {
        credential::forget(shared, waited).await?;
    }
    Ok(())
}

async fn secret_id(shared: &Shared, tenant: &TenantRow, value: &SecretString) -> Result<Option<Uuid>, EngineError> {
    let registration = registration::own(&shared.session(tenant), tenant.client_id).await?;
    Ok(registration.and_then(|registration| registration.secret_of(value).and_then(|secret| secret.key_id)))
}

/// Removes at Microsoft what was replaced. A sentence: what a person should do about it.
async fn remove_retired(
    shared: &Shared,
    tenant: &TenantRow,
    entry: Uuid,
    caller: &Caller,
) -> Result<Option<String>, EngineError> {
    const ACTION: &str = "remove the old credential from the application";
    let row = shared.store.application_key(entry).await?;
    let Some(retired) = row.retired else { return Ok(None) };
    let session = shared.session(tenant);
    let what = retired.thumbprint.as_ref().map_or_else(
        || "the old client secret".to_owned(),
        |thumbprint| format!("the old certificate (SHA-256 {thumbprint})"),
    );
    let by_hand = format!("Remove {what} by hand, under Certificates & secrets in the app registration.");
    let Some(ApplicationKey::Certificate(current)) = graph::stored_key(&shared.secrets, entry).await? else {
        return Ok(Some(by_hand));
    };
    let capabilities = session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
    let key_id = match (&retired.thumbprint, retired.key_id) {
        (Some(thumbprint), None) => registration::own(&session, tenant.client_id)
            .await?
            .and_then(|registration| registration.key_id_of(thumbprint)),
        (_, known) => known,
    };
    let request = match (row.application_object_id, key_id, &retired.thumbprint) {
        (Some(object_id), Some(key_id), Some(_)) => {
            Some(registration::remove_key(object_id, key_id, &current.proof(object_id, shared.now())?))
        }
        (Some(object_id), Some(key_id), None) if registration::may_write(&capabilities) => {
            Some(registration::remove_password(object_id, key_id))
        }
        _ => None,
    };
    let mut left = Some(by_hand);
    if let Some(request) = request {
        let detail = json!({ "thumbprint": retired.thumbprint, "key_id": key_id });
        let event = AuditEvent::CredentialRemoving;
        shared.audit(tenant.tenant_id, event, caller, None, None, detail).await?;
        let answer = session.send(&request, graph::Priority::High).await.map_err(|trouble| trouble.to_error(ACTION))?;
        match answer.status {
            200..300 | 404 => left = None,
            // No such key: it was removed before.
            400 if !is_about_proof(&answer) => left = None,
            401 | 403 => {}
            _ => return Err(graph::Trouble::of_answer(&answer).to_error(ACTION)),
        }
    }
    let mut write = shared.store.write().await?;
    let mut row = applications::find(&mut *write, entry).await?;
    row.retired = None;
    applications::save(&mut write, &row).await?;
    store::commit(write).await?;
    Ok(left)
}
