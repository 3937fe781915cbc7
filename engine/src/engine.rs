//! The door to the engine.

use std::sync::Arc;

use latchkey_protocol::{Document, FillField, LeaseSummary, Progress, Secret, TenantHint, TenantSummary};
use uuid::Uuid;

use crate::{
    AuditEntry, AuditQuery, AuditReport, Caller, Clock, EngineError, EngineSettings, Failure, Inspection, NewTenant,
    PreparedAccount, SecretStore, StartLease, SweepReport, TenantHealth,
};

/// Hears about each step as it happens.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Everything the engine can do. Cheap to clone; all clones are the same engine.
///
/// Several engines (in several processes) may share one database. A future that is dropped half-way loses nothing:
/// the next sweep, of any of them, takes up what was left.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    settings: EngineSettings,
}

impl Engine {
    /// Opens the database (making it if it is not there). Sends nothing.
    ///
    /// # Errors
    /// `StoreDamaged`, `StoreUnavailable`, `DiskFull`, `ConfigurationInvalid`.
    pub async fn open(
        settings: EngineSettings,
        secrets: Arc<dyn SecretStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EngineError> {
        let _ = (secrets, clock);
        Ok(Self { shared: Arc::new(Shared { settings }) })
    }

    /// Looks at a tenant without saving or changing anything.
    ///
    /// # Errors
    /// When no token can be had or Graph cannot be asked; what is merely missing is in the inspection.
    pub async fn inspect_tenant(&self, new: &NewTenant) -> Result<Inspection, EngineError> {
        let _ = new;
        self.pending()
    }

    /// Inspects, saves the secret to the key store and the tenant to the database, and makes the dormant account.
    /// A tenant that is connected already is changed.
    ///
    /// # Errors
    /// The first of the inspection's problems, or what kept the account from being made (the tenant is saved then;
    /// [`Engine::prepare_account`] tries again).
    pub async fn add_tenant(
        &self,
        new: NewTenant,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<(TenantSummary, PreparedAccount), EngineError> {
        let _ = (new, caller, on_progress);
        self.pending()
    }

    /// Ends the tenant's leases, deletes the JIT account if asked, and forgets the secret.
    ///
    /// # Errors
    /// `EndingUnverified` while a lease cannot be ended: the tenant stays connected then.
    pub async fn remove_tenant(
        &self,
        tenant_id: Uuid,
        delete_account: bool,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<(), EngineError> {
        let _ = (tenant_id, delete_account, caller, on_progress);
        self.pending()
    }

    /// Makes the dormant JIT account, or makes the one that is there dormant.
    ///
    /// # Errors
    /// `AccountNotOurs`, and what Graph answers.
    pub async fn prepare_account(
        &self,
        tenant_id: Uuid,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<PreparedAccount, EngineError> {
        let _ = (tenant_id, caller, on_progress);
        self.pending()
    }

    /// Every connected tenant, most recently used first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tenants(&self) -> Result<Vec<TenantSummary>, EngineError> {
        self.pending()
    }

    /// Which tenant a sign-in page's address means.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn recognize(&self, hint: &TenantHint) -> Result<Option<Uuid>, EngineError> {
        let _ = hint;
        self.pending()
    }

    /// Fetches the token and opens the connection, so that the next lease starts in one round trip. Does nothing
    /// that is warm already.
    ///
    /// # Errors
    /// What a lease would stumble over: key store, token, network.
    pub async fn warm(&self, tenant_id: Uuid) -> Result<(), EngineError> {
        let _ = tenant_id;
        self.pending()
    }

    /// Activates the JIT account. Returns once a credential can be filled. An own open lease is answered again; its
    /// credential is renewed if this process does not hold it.
    ///
    /// # Errors
    /// What was in the way. Whatever had been granted by then is being taken back.
    pub async fn start_lease(
        &self,
        start: StartLease,
        on_progress: OnProgress<'_>,
    ) -> Result<LeaseSummary, EngineError> {
        let _ = (start, on_progress);
        self.pending()
    }

    /// A sign-in with the lease's credential reached its end.
    ///
    /// # Errors
    /// `LeaseUnknown`, `LeaseOver`.
    pub async fn confirm_sign_in(&self, lease_id: Uuid, caller: &Caller) -> Result<LeaseSummary, EngineError> {
        let _ = (lease_id, caller);
        self.pending()
    }

    /// Hands out the credential for one field of one document, once. Audited before.
    ///
    /// # Errors
    /// `LeaseOver`, `LeaseNotUsable`, `OriginNotAllowed`, `AlreadyFilled`, `CredentialGone`.
    pub async fn fill_credential(
        &self,
        lease_id: Uuid,
        field: FillField,
        document: &Document,
        caller: &Caller,
    ) -> Result<Secret, EngineError> {
        let _ = (lease_id, field, document, caller);
        self.pending()
    }

    /// Shows the credential to the technician. Audited before.
    ///
    /// # Errors
    /// `LeaseOver`, `LeaseNotUsable`, `CredentialGone`.
    pub async fn reveal_credential(&self, lease_id: Uuid, caller: &Caller) -> Result<Secret, EngineError> {
        let _ = (lease_id, caller);
        self.pending()
    }

    /// Takes the lease back and reads it back. A lease that has ended is answered as it is.
    ///
    /// # Errors
    /// `EndingUnverified` when that is not done yet; the sweep goes on with it.
    pub async fn end_lease(
        &self,
        lease_id: Uuid,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<LeaseSummary, EngineError> {
        let _ = (lease_id, caller, on_progress);
        self.pending()
    }

    /// Leases, ending soonest first; with `include_closed` also those that are over, newest first after the open ones.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn leases(&self, include_closed: bool) -> Result<Vec<LeaseSummary>, EngineError> {
        let _ = include_closed;
        self.pending()
    }

    /// When something is due next, Unix time in milliseconds: call [`Engine::sweep`] then.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next_due(&self) -> Result<Option<i64>, EngineError> {
        self.pending()
    }

    /// Ends what is due, repairs what drifted, looks again at what ended lately. Without anything due it only reads
    /// the database. Two sweeps at once do no harm.
    ///
    /// # Errors
    /// When the database cannot be used. What Graph answers is in the report and on the leases.
    pub async fn sweep(&self) -> Result<SweepReport, EngineError> {
        self.pending()
    }

    /// Reads the audit log, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, EngineError> {
        let _ = query;
        self.pending()
    }

    /// Recomputes every chain.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn verify_audit(&self) -> Result<AuditReport, EngineError> {
        self.pending()
    }

    /// Checks the database file.
    ///
    /// # Errors
    /// `StoreDamaged` with what is wrong.
    pub async fn check_store(&self) -> Result<(), EngineError> {
        self.pending()
    }

    /// Checks a connected tenant: key store, token, permissions, domain, roles, account.
    ///
    /// # Errors
    /// `TenantUnknown`, or the database cannot be read; everything else is in the answer.
    pub async fn check_tenant(&self, tenant_id: Uuid) -> Result<TenantHealth, EngineError> {
        let _ = tenant_id;
        self.pending()
    }

    fn pending<T>(&self) -> Result<T, EngineError> {
        Err(Failure::Internal(format!("not there yet for {}", self.shared.settings.technician.name)).into())
    }
}
