//! Applications that sign in with a certificate, and what happens around its end.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use entra_sim::directory::{Application, seed::TenantRecipe};
use latchkey_engine::{
    ApplicationCredential, CERTIFICATE_DAYS, Carried, Clock, Engine, HttpAnswer, HttpRequest, NewCredential, Rotation,
    SecretStore, SecretStoreError, Silence, SystemTransport, Transport,
};
use latchkey_protocol::ErrorCode;
use secrecy::SecretString;
use uuid::Uuid;

use crate::lab::{CONTOSO, FABRIKAM, Keys, Lab, PERSON, QUIET};

const DAY: i64 = 86_400;

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_connected_with_a_certificate_once_it_is_uploaded() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    let mut wish = lab.wish(FABRIKAM);
    wish.credential = NewCredential::Certificate;
    // Nothing was made yet.
    assert_eq!(engine.inspect_tenant(&wish).await.unwrap_err().code(), ErrorCode::SecretMissing);
    let certificate = engine.make_certificate(FABRIKAM, wish.client_id, CERTIFICATE_DAYS).await.unwrap();
    // Made, and not uploaded.
    assert_eq!(engine.inspect_tenant(&wish).await.unwrap_err().code(), ErrorCode::CertificateRefused);
    // The same again, also in another process.
    assert_eq!(lab.engine().await.make_certificate(FABRIKAM, wish.client_id, 30).await.unwrap(), certificate);
    lab.upload(FABRIKAM, &certificate.pem);
    engine.add_tenant(wish, &PERSON, QUIET).await.unwrap();
    let kept = engine.application_credential(FABRIKAM).await.unwrap();
    assert_eq!(kept.credential, Some(ApplicationCredential::Certificate { certificate: Some(certificate.clone()) }));
    assert_eq!(kept.expires_at, Some(certificate.expires_at));
    assert_eq!(kept.next, None);
    assert_eq!(engine.tenants().await.unwrap()[0].credential_expires, Some(certificate.expires_at));
    // A cold process starts a lease with it in two round trips, as with a secret.
    let cold = lab.engine().await;
    lab.forget_exchanges();
    let lease = lab.start(&cold, FABRIKAM).await.unwrap();
    assert_eq!(lab.round_trips(), ["token", "POST /v1.0/$batch"]);
    cold.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_was_taken_away_or_whose_time_is_over_is_refused_with_what_to_do() {
    let lab = Lab::new().await;
    let engine = lab.certified(CONTOSO).await;
    lab.change_tenant(CONTOSO, |tenant| tenant.applications[0].keys.clear());
    let error = lab.start(&lab.engine().await, CONTOSO).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CertificateRefused);
    assert!(error.to_body().next_step.contains("credential show"), "{:?}", error.to_body());
    drop(engine);

    let lab = Lab::new().await;
    let engine = lab.certified(CONTOSO).await;
    lab.advance(366 * DAY);
    let error = lab.start(&engine, CONTOSO).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CertificateRefused);
    let health = engine.check_tenant(CONTOSO).await.unwrap();
    assert!(health.problems.iter().any(|problem| problem.message.contains("has expired")), "{:?}", health.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_made_up_for_once_microsofts_time_is_known() {
    let lab = Lab::new().await;
    drop(lab.certified(CONTOSO).await);
    for hours in [-3, 3] {
        lab.clock.shift(hours * 3_600_000);
        let cold = lab.try_engine(lab.settings()).await.unwrap();
        cold.warm(CONTOSO).await.unwrap();
        lab.clock.shift(-hours * 3_600_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_warned_of_once_and_thirty_days_ahead() {
    let lab = Lab::new().await;
    let engine = lab.certified(CONTOSO).await;
    let warnings = async || {
        let log = engine.audit(&latchkey_engine::AuditQuery::default()).await.unwrap();
        log.iter().filter(|entry| entry.event == latchkey_engine::AuditEvent::CredentialExpiring).count()
    };
    lab.advance(300 * DAY);
    engine.sweep().await.unwrap();
    assert_eq!(warnings().await, 0);
    assert!(engine.check_tenant(CONTOSO).await.unwrap().remarks.iter().all(|remark| !remark.contains("ends in")));
    lab.advance(40 * DAY);
    for _ in 0..3 {
        engine.sweep().await.unwrap();
    }
    assert_eq!(warnings().await, 1);
    let health = engine.check_tenant(CONTOSO).await.unwrap();
    assert!(health.remarks.iter().any(|remark| remark.contains("ends in 2")), "{:?}", health.remarks);
    assert!(engine.verify_audit().await.unwrap().is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_nowhere_but_in_the_key_store() {
    let lab = Lab::new().await;
    let engine = lab.certified(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    let kept = lab.keys.all();
    assert_eq!(kept.len(), 1, "what waited is gone from its own entry");
    let secrets =
        kept.iter().flat_map(|stored| stored.split(':').map(ToOwned::to_owned)).filter(|part| part.len() > 60);
    let secrets: std::collections::BTreeSet<String> = secrets.collect();
    assert_eq!(secrets.len(), 1);
    assert_eq!(lab.database_contains(&secrets), Vec::<String>::new());
    engine.remove_tenant(CONTOSO, true, &PERSON, QUIET).await.unwrap();
    assert!(lab.keys.all().is_empty());
}

/// Where a process is interrupted: counted down by every exchange and every call of the key store, and from then on
/// nothing gets through any more.
pub(crate) struct Interruption {
    pub(crate) left: AtomicI64,
    /// The last request is heard, and its answer is not.
    answer_is_lost: bool,
    /// Only what changes something at Graph counts; the key store never fails.
    only_writes: bool,
}

impl Interruption {
    /// Whether this step still happens, and whether its answer arrives.
    fn step(&self) -> (bool, bool) {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            ..0 => (false, false),
            0 => (self.answer_is_lost, false),
            _ => (true, true),
        }
    }
}

struct BrokenTransport(SystemTransport, Arc<Interruption>);

impl Transport for BrokenTransport {
    fn exchange(&self, request: HttpRequest) -> Carried<'_, Result<HttpAnswer, Silence>> {
        Box::pin(async move {
            let changes = request.method != "GET" && request.url.starts_with("https://graph.");
            let counts = !self.1.only_writes || changes || self.1.left.load(Ordering::SeqCst) < 0;
            let (heard, answered) = if counts { self.1.step() } else { (true, true) };
            if !heard {
                return Err(Silence::Unreached("interrupted".to_owned()));
            }
            let answer = self.0.exchange(request).await?;
            if answered { Ok(answer) } else { Err(Silence::Unanswered("interrupted".to_owned())) }
        })
    }
}

struct BrokenKeys(Arc<Keys>, Arc<Interruption>);

impl BrokenKeys {
    fn step<T>(&self, work: impl FnOnce() -> Result<T, SecretStoreError>) -> Result<T, SecretStoreError> {
        if self.1.only_writes {
            return work();
        }
        let interrupted = || Err(SecretStoreError::Other("interrupted".to_owned()));
        match self.1.step() {
            (true, true) => work(),
            (true, false) => work().and_then(|_| interrupted()),
            (false, _) => interrupted(),
        }
    }
}

impl SecretStore for BrokenKeys {
    fn get(&self, entry: Uuid) -> Result<Option<SecretString>, SecretStoreError> {
        self.step(|| self.0.get(entry))
    }

    fn set(&self, entry: Uuid, secret: &SecretString) -> Result<(), SecretStoreError> {
        self.step(|| self.0.set(entry, secret))
    }

    fn delete(&self, entry: Uuid) -> Result<(), SecretStoreError> {
        self.step(|| self.0.delete(entry))
    }
}

/// An engine that is interrupted after so many steps.
async fn interrupted(lab: &Lab, steps: i64, answer_is_lost: bool) -> (Engine, Arc<Interruption>) {
    broken(lab, Interruption { left: AtomicI64::new(steps), answer_is_lost, only_writes: false }).await
}

/// The same, counting only what changes something at Graph.
pub(crate) async fn interrupted_writes(lab: &Lab, steps: i64, answer_is_lost: bool) -> (Engine, Arc<Interruption>) {
    broken(lab, Interruption { left: AtomicI64::new(steps), answer_is_lost, only_writes: true }).await
}

async fn broken(lab: &Lab, interruption: Interruption) -> (Engine, Arc<Interruption>) {
    let interruption = Arc::new(interruption);
    let settings = lab.settings();
    let transport = BrokenTransport(SystemTransport::new(settings.network.clone()), Arc::clone(&interruption));
    let mut settings = settings;
    settings.patience.fault = std::time::Duration::from_secs(1);
    let keys = BrokenKeys(Arc::clone(&lab.keys), Arc::clone(&interruption));
    let clock = Arc::clone(&lab.clock) as Arc<dyn Clock>;
    let engine = Engine::open_over(Arc::new(transport), settings, Arc::new(keys), clock).await.unwrap();
    (engine, interruption)
}

/// The tenant's application as Microsoft has it.
fn application(lab: &Lab, tenant_id: Uuid) -> Application {
    lab.sim().directory().tenant(&tenant_id.to_string()).unwrap().applications[0].clone()
}

/// A tenant whose application has further permissions.
pub(crate) fn tenant_with(lab: &Lab, name: &str, permissions: &[&str]) -> Uuid {
    let recipe = TenantRecipe {
        name: name.to_owned(),
        additional_permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        ..TenantRecipe::default()
    };
    lab.sim().add_tenant(recipe).id.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_vouches_for_the_next_one_without_any_permission() {
    let lab = Lab::new().await;
    let engine = lab.certified(FABRIKAM).await;
    let before = application(&lab, FABRIKAM);
    // The documented permissions cannot look the registration up.
    let Rotation::ToUpload { why, .. } = engine.rotate_credential(FABRIKAM, 365, &PERSON).await.unwrap() else {
        panic!("its object id is not known");
    };
    assert!(why.contains("object id"), "{why}");
    engine.remember_registration(FABRIKAM, before.object_id.parse().unwrap()).await.unwrap();
    let rotation = engine.rotate_credential(FABRIKAM, 365, &PERSON).await.unwrap();
    let Rotation::Done { certificate, left } = rotation else { panic!("{rotation:?}") };
    // Nobody told us Microsoft's id of the one that was uploaded by hand.
    assert!(left.unwrap().contains("by hand"));
    let keys = application(&lab, FABRIKAM).keys;
    assert_eq!(keys.len(), 2);
    // From now on the ids are known.
    let rotation = engine.rotate_credential(FABRIKAM, 365, &PERSON).await.unwrap();
    let Rotation::Done { certificate: next, left: None } = rotation else { panic!("{rotation:?}") };
    assert_ne!(next.thumbprint, certificate.thumbprint);
    assert_eq!(application(&lab, FABRIKAM).keys.len(), 2);
    lab.engine().await.warm(FABRIKAM).await.unwrap();
    assert!(engine.verify_audit().await.unwrap().is_whole());
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_replaced_by_hand_or_with_the_right_to_change_the_own_registration() {
    let lab = Lab::new().await;
    let engine = lab.connected(FABRIKAM).await;
    let rotation = engine.rotate_credential(FABRIKAM, 365, &PERSON).await.unwrap();
    let Rotation::ToUpload { certificate, why } = rotation else { panic!("{rotation:?}") };
    assert!(why.contains("Application.ReadWrite.OwnedBy"), "{why}");
    // The secret works until then.
    lab.engine().await.warm(FABRIKAM).await.unwrap();
    assert_eq!(engine.application_credential(FABRIKAM).await.unwrap().next, Some(certificate.clone()));
    lab.upload(FABRIKAM, &certificate.pem);
    let rotation = engine.rotate_credential(FABRIKAM, 365, &PERSON).await.unwrap();
    assert!(
        matches!(&rotation, Rotation::Done { certificate: used, left: Some(_) } if *used == certificate),
        "{rotation:?}"
    );
    lab.engine().await.warm(FABRIKAM).await.unwrap();

    let owned = tenant_with(&lab, "Owned", &["Application.ReadWrite.OwnedBy"]);
    engine.add_tenant(lab.wish(owned), &PERSON, QUIET).await.unwrap();
    let rotation = engine.rotate_credential(owned, 365, &PERSON).await.unwrap();
    assert!(matches!(rotation, Rotation::Done { left: None, .. }), "{rotation:?}");
    let application = application(&lab, owned);
    assert_eq!((application.keys.len(), application.secrets.len()), (1, 0));
    lab.assert_conformant().await;
}

/// Interrupts a rotation after every number of steps, and has it finished by another process.
async fn interrupt_everywhere(from_secret: bool, answer_is_lost: bool) {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    // Keys take their time to be made: every tenant begins with the same one.
    let pem = if from_secret {
        None
    } else {
        drop(lab.certified(CONTOSO).await);
        let kept = engine.application_credential(CONTOSO).await.unwrap();
        let Some(ApplicationCredential::Certificate { certificate: Some(certificate) }) = kept.credential else {
            panic!("{:?}", kept.credential);
        };
        Some(certificate.pem)
    };
    for steps in 0.. {
        let name = format!("T{steps}");
        let tenant = tenant_with(&lab, &name, &["Application.ReadWrite.OwnedBy"]);
        let mut wish = lab.wish(tenant);
        if let Some(pem) = &pem {
            lab.upload(tenant, pem);
            lab.keys.set(tenant, &lab.keys.get(CONTOSO).unwrap().unwrap()).unwrap();
            wish.credential = NewCredential::Certificate;
        }
        engine.add_tenant(wish, &PERSON, QUIET).await.unwrap();
        let (broken, interruption) = interrupted(&lab, steps, answer_is_lost).await;
        let outcome = broken.rotate_credential(tenant, 365, &PERSON).await;
        // Whatever it left behind: a process that starts now can work.
        lab.engine().await.warm(tenant).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        if outcome.is_err() {
            let rotation = engine.rotate_credential(tenant, 365, &PERSON).await.unwrap();
            assert!(matches!(rotation, Rotation::Done { .. }), "{name}: {rotation:?}");
            lab.engine().await.warm(tenant).await.unwrap();
        }
        let left = application(&lab, tenant);
        assert!(left.secrets.is_empty() || !from_secret, "{name}: the secret is gone");
        assert_eq!(left.keys.len(), 1, "{name}: there is one certificate");
        let kept = engine.application_credential(tenant).await.unwrap();
        assert!(kept.next.is_none() && !kept.to_be_removed, "{name}: {kept:?}");
        if interruption.left.load(Ordering::SeqCst) >= 0 {
            assert!(outcome.is_ok() && steps > 8, "{name}: {outcome:?}");
            break;
        }
    }
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_from_a_secret_that_is_interrupted_anywhere_is_finished_by_the_next() {
    interrupt_everywhere(true, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_from_a_secret_whose_last_answer_is_lost_is_finished_by_the_next() {
    interrupt_everywhere(true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_from_a_certificate_that_is_interrupted_anywhere_is_finished_by_the_next() {
    interrupt_everywhere(false, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_from_a_certificate_whose_last_answer_is_lost_is_finished_by_the_next() {
    interrupt_everywhere(false, true).await;
}
