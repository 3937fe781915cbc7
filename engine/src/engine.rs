//! The door to the engine.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use latchkey_protocol::{
    CredentialKind, CredentialPlan, Document, ErrorBody, FillField, LeaseState, LeaseSummary, Progress, Secret,
    TenantHint, TenantSummary, cloud::SignInOrigin,
};
use secrecy::ExposeSecret as _;
use serde_json::json;
use uuid::Uuid;

use crate::{
    AccountFound, AccountOwner, AuditEntry, AuditEvent, AuditQuery, AuditReport, Caller, Clock, EngineError,
    EngineSettings, Failure, Inspection, ListedTenant, NewTenant, Policy, PreparedAccount, SecretStore, StartLease,
    SweepReport, SystemTransport, TenantHealth, Transport,
    account::AccountName,
    accounts,
    application::credential as application_credential,
    credential::{self, Held, HeldCredentials},
    entitlement, fence,
    graph::{self, Http, KeySource, Priority, Session},
    lifecycle,
    oath::{self, OathPolicy},
    passkey::{self, PasskeyPolicy},
    person::Person,
    plan::{Desired, plan},
    preflight::{self, Inspected},
    store::{self, AccountRow, LeaseRow, NameKind, NewEntry, Store, TenantRow, leases},
    sweep,
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

/// What all clones of an engine, and everything that works for it, share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) settings: EngineSettings,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) http: Arc<Http>,
    pub(crate) held: Arc<HeldCredentials>,
    pub(crate) secrets: Arc<dyn SecretStore>,
    /// Who was verified to be there.
    pub(crate) person: Arc<Person>,
    sessions: Arc<Mutex<HashMap<Uuid, Arc<Session>>>>,
    /// The clock offset that was written down last.
    offset_written: Arc<Mutex<Option<(i64, i64)>>>,
}

/// A clock offset that another process saw is believed for so long, in milliseconds.
const OFFSET_LASTS: i64 = 1_800_000;
/// An offset is written down again when it has moved by more, in milliseconds.
const OFFSET_MOVED: i64 = 2_000;

impl Shared {
    /// Who may get what.
    pub(crate) const fn policy(&self) -> &Policy {
        &self.settings.policy
    }

    /// The time by which leases end: this machine's, or Microsoft's if that is later. So a clock that is behind keeps
    /// nothing enabled for longer.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now() + self.http.offset().unwrap_or(0).max(0)
    }

    /// The session of a tenant, made anew when its application or cloud has changed.
    pub(crate) fn session(&self, tenant: &TenantRow) -> Arc<Session> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get(&tenant.tenant_id)
            && session.client_id() == tenant.client_id
            && session.cloud() == tenant.cloud
        {
            return Arc::clone(session);
        }
        let session = Arc::new(Session::new(
            Arc::clone(&self.http),
            tenant.tenant_id,
            tenant.client_id,
            tenant.cloud,
            KeySource::Store(Arc::clone(&self.secrets), self.key_entry(tenant.tenant_id, tenant.client_id)),
        ));
        sessions.insert(tenant.tenant_id, Arc::clone(&session));
        session
    }

    /// The key store's entry for what proves that a tenant's application is itself: the tenant's own, or the one of
    /// the application that serves every tenant.
    pub(crate) fn key_entry(&self, tenant_id: Uuid, client_id: Uuid) -> Uuid {
        if self.settings.application == Some(client_id) { client_id } else { tenant_id }
    }

    pub(crate) fn forget_session(&self, tenant_id: Uuid) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenant_id);
    }

    /// Writes down how Microsoft's clock compares with ours, for processes that do not ask Microsoft.
    pub(crate) async fn remember_clock(&self) -> Result<(), EngineError> {
        if !self.http.has_measured() {
            return Ok(());
        }
        let Some(offset) = self.http.offset() else { return Ok(()) };
        let now = self.clock.now();
        let stale = {
            let written = self.offset_written.lock().unwrap_or_else(PoisonError::into_inner);
            written.is_none_or(|(old, at)| (offset - old).abs() > OFFSET_MOVED || (now - at).abs() > OFFSET_LASTS / 2)
        };
        if stale {
            self.store.remember_clock_offset(offset, now).await?;
            *self.offset_written.lock().unwrap_or_else(PoisonError::into_inner) = Some((offset, now));
        }
        Ok(())
    }

    /// An audit entry of this moment.
    pub(crate) fn entry<'a>(
        &'a self,
        tenant_id: Uuid,
        event: AuditEvent,
        caller: &'a Caller,
        lease_id: Option<Uuid>,
        user_name: Option<&'a str>,
        detail: serde_json::Value,
    ) -> NewEntry<'a> {
        let technician = self.settings.technician.name.as_str();
        let announce = self.settings.webhook.as_ref().is_some_and(|webhook| webhook.wants(event));
        NewEntry { tenant_id, at: self.clock.now(), event, technician, caller, lease_id, user_name, detail, announce }
    }

    /// Writes an audit entry on its own.
    pub(crate) async fn audit(
        &self,
        tenant_id: Uuid,
        event: AuditEvent,
        caller: &Caller,
        lease_id: Option<Uuid>,
        user_name: Option<&str>,
        detail: serde_json::Value,
    ) -> Result<(), EngineError> {
        let mut write = self.store.write().await?;
        store::append(&mut write, &self.entry(tenant_id, event, caller, lease_id, user_name, detail)).await?;
        store::commit(write).await
    }
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
        let transport = Arc::new(SystemTransport::new(settings.network.clone()));
        Self::open_over(transport, settings, secrets, clock).await
    }

    /// The same over another way to Microsoft than this machine's network.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open_over(
        transport: Arc<dyn Transport>,
        settings: EngineSettings,
        secrets: Arc<dyn SecretStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EngineError> {
        // A name that cannot be an account's is refused before anything is opened.
        let acting = AccountOwner::individual(&settings.technician.local_part);
        AccountName::new(&settings, &settings.policy, &acting, "example.com")?;
        let store = Store::open(&settings.database_path).await?;
        store.name_owners(&settings.account_prefix).await?;
        let offset = store.clock_offset(clock.now(), OFFSET_LASTS).await?;
        let http = Arc::new(Http::new(transport, Arc::clone(&clock), offset));
        Ok(Self {
            shared: Arc::new(Shared {
                settings,
                store,
                clock,
                http,
                held: Arc::default(),
                secrets,
                person: Arc::default(),
                sessions: Arc::default(),
                offset_written: Arc::default(),
            }),
        })
    }

    /// The same engine, with its database, its connections and the credentials that it holds, under another policy and
    /// with the technician in other groups: for a process that goes on when the configuration changes.
    #[must_use]
    pub fn with_policy(&self, policy: Policy, groups: Vec<String>) -> Self {
        let mut shared = Shared::clone(&self.shared);
        shared.settings.policy = policy;
        shared.settings.technician.groups = groups;
        Self { shared: Arc::new(shared) }
    }

    /// Closes the database once everything that uses it has finished. Whatever is asked for afterwards fails.
    pub async fn close(&self) {
        self.shared.store.close().await;
    }

    /// Looks at a tenant without saving or changing anything.
    ///
    /// # Errors
    /// When no token can be had or Graph cannot be asked; what is merely missing is in the inspection.
    pub async fn inspect_tenant(&self, new: &NewTenant) -> Result<Inspection, EngineError> {
        Ok(self.inspect(new).await?.inspection)
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
        let shared = &self.shared;
        let adopted = application_credential::key_for(shared, &new).await?;
        let Inspected { inspection, failures, capabilities, pass_policy, passkey_policy, oath_policy } =
            self.inspect(&new).await?;
        if let Some(failure) = failures.into_iter().next() {
            return Err(EngineError::from(failure).in_tenant(&inspection.name));
        }
        let tenant_id = new.tenant_id;
        let key_entry = shared.key_entry(tenant_id, new.client_id);
        application_credential::keep(shared, key_entry, &adopted.key).await?;

        let mut domains = vec![inspection.domain.clone()];
        domains.extend(
            inspection
                .domains
                .iter()
                .filter(|domain| domain.verified && domain.name != inspection.domain)
                .map(|domain| domain.name.clone()),
        );
        let mut write = shared.store.write().await?;
        let tenant = TenantRow {
            tenant_id,
            name: inspection.name.clone(),
            cloud: new.cloud,
            client_id: new.client_id,
            domain: inspection.domain.clone(),
            domains,
            roles: inspection.roles.clone(),
            groups: new.groups.clone(),
            minutes: new.minutes,
            maximum_minutes: new.maximum_minutes,
            capabilities,
            pass_policy,
            pass_refused_at: None,
            timed_roles: None,
            timed_roles_at: None,
            passwords_allowed: true,
            last_used: None,
            // Whoever is connected has just been looked at.
            preflight_at: Some(shared.clock.now()),
        };
        let owner = shared.owner_for(&tenant, &shared.settings.technician);
        store::save_tenant(&mut write, &tenant).await?;
        if store::ensure(&mut write, tenant_id, &owner, &inspection.user_name, true).await?.is_none() {
            return Err(accounts::name_of_two(&inspection.user_name).in_tenant(&inspection.name));
        }
        let waited = application_credential::note_in_use(&mut write, key_entry, &adopted).await?;
        let detail = json!({
            "name": tenant.name, "client_id": tenant.client_id, "domain": tenant.domain, "minutes": tenant.minutes,
            "roles": tenant.roles.iter().map(|role| &role.name).collect::<Vec<_>>(), "groups": tenant.groups,
        });
        let user_name = Some(inspection.user_name.as_str());
        let entry = shared.entry(tenant_id, AuditEvent::TenantAdded, caller, None, user_name, detail);
        store::append(&mut write, &entry).await?;
        store::commit(write).await?;
        // The secret may be another one now.
        shared.forget_session(tenant_id);
        if let Some(waited) = waited {
            application_credential::forget(shared, waited).await?;
        }
        shared.store.remember_policy(tenant_id, passkey_policy.as_ref()).await?;
        shared.store.remember_refusal::<PasskeyPolicy>(tenant_id, None).await?;
        shared.store.remember_policy(tenant_id, oath_policy.as_ref()).await?;
        shared.store.remember_refusal::<OathPolicy>(tenant_id, None).await?;
        let saved = shared.store.tenant(tenant_id).await?;
        if fence::is_due(&saved, shared.clock.now()) {
            fence::find_out(shared, tenant_id, &shared.session(&saved), &saved.capabilities).await?;
        }
        let prepared = self.prepare_account(tenant_id, caller, on_progress).await?;
        Ok((self.tenant_summary(&shared.store.tenant(tenant_id).await?).await?, prepared))
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
        let shared = &self.shared;
        let tenant = shared.store.tenant(tenant_id).await?;
        crate::break_glass::refuse_while_managed(shared, &tenant).await?;
        for account in shared.store.accounts_of(tenant_id).await? {
            for lease in shared.store.open_leases_of(account.account_id).await? {
                lifecycle::end(shared, lease.lease_id, caller, on_progress).await?;
            }
            if delete_account && account.object_id.is_some() {
                accounts::delete_account(shared, &tenant, account.account_id, caller, on_progress)
                    .await
                    .map_err(|error| error.in_tenant(&tenant.name))?;
            }
        }
        passkey::withdraw_all(shared, &tenant, caller, on_progress).await?;
        let mut write = shared.store.write().await?;
        let detail = json!({ "name": tenant.name, "accounts_deleted": delete_account });
        let entry = shared.entry(tenant_id, AuditEvent::TenantRemoved, caller, None, None, detail);
        store::append(&mut write, &entry).await?;
        if !store::remove_tenant(&mut write, tenant_id, shared.clock.now()).await? {
            return Err(EngineError::from(Failure::Busy("the tenant".to_owned())).in_tenant(&tenant.name));
        }
        store::commit(write).await?;
        shared.forget_session(tenant_id);
        application_credential::forget_tenant(shared, tenant_id).await.map_err(|error| error.in_tenant(&tenant.name))
    }

    /// Every connected tenant, most recently used first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tenants(&self) -> Result<Vec<TenantSummary>, EngineError> {
        // Few questions for however many tenants: a browser asks at every sign-in page.
        let store = &self.shared.store;
        let mut open: HashMap<Uuid, Vec<LeaseRow>> = HashMap::new();
        for lease in store.open_leases().await? {
            open.entry(lease.tenant_id).or_default().push(lease);
        }
        let (accounts, ends) = (store.accounts_in_use().await?, store.ends_of_keys().await?);
        let keys = (passkey::Outlook::of_all(store).await?, oath::Outlook::of_all(store).await?);
        let summarize = |tenant: &TenantRow| {
            let open = open.get(&tenant.tenant_id).map(Vec::as_slice).unwrap_or_default();
            self.tenant_summary_on(tenant, open, &accounts, &ends, &keys)
        };
        store.tenants().await?.iter().map(summarize).collect()
    }

    /// Which tenant a sign-in page's address means.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn recognize(&self, hint: &TenantHint) -> Result<Option<Uuid>, EngineError> {
        let tenants = self.shared.store.tenants().await?;
        let of_domain = |domain: &str| {
            let mut found =
                tenants.iter().filter(|tenant| tenant.domains.iter().any(|known| known.eq_ignore_ascii_case(domain)));
            // A domain is one tenant's; should two claim it, neither is recognised.
            found.next().filter(|_| found.next().is_none()).map(|tenant| tenant.tenant_id)
        };
        let by_path = hint.tenant.as_deref().and_then(|segment| match Uuid::parse_str(segment) {
            Ok(id) => tenants.iter().find(|tenant| tenant.tenant_id == id).map(|tenant| tenant.tenant_id),
            Err(_) => of_domain(segment),
        });
        if by_path.is_some() || hint.tenant.is_some() {
            return Ok(by_path);
        }
        let name = hint.user_name.as_deref().unwrap_or_default();
        Ok(of_domain(name.rsplit('@').next().unwrap_or(name)))
    }

    /// Fetches the token and opens the connection, so that the next lease starts in one round trip. Does nothing
    /// that is warm already.
    ///
    /// # Errors
    /// What a lease would stumble over: key store, token, network.
    pub async fn warm(&self, tenant_id: Uuid) -> Result<(), EngineError> {
        let tenant = self.shared.store.tenant(tenant_id).await?;
        let session = self.shared.session(&tenant);
        let named = |error: EngineError| error.in_tenant(&tenant.name);
        let capabilities = session.capabilities().await.map_err(|trouble| named(trouble.to_error("issue a token")))?;
        if capabilities != tenant.capabilities {
            self.shared.store.remember_capabilities(tenant_id, &capabilities).await?;
        }
        // Names of roles and groups that are old are asked for while nobody waits; a start does with what is known.
        if let Err(error) = self.shared.refresh_names(&tenant, false).await {
            tracing::info!(%error, "names of roles and groups could not be asked for");
        }
        if !session.is_warm() {
            // The smallest thing that the documented permissions can ask for: it opens the connection to Graph.
            session
                .send(&graph::read_organization(), Priority::Normal)
                .await
                .map_err(|trouble| named(trouble.to_error("be reached")))?;
        }
        if fence::is_due(&tenant, self.shared.clock.now()) {
            fence::find_out(&self.shared, tenant_id, &session, &capabilities).await?;
        }
        self.shared.remember_clock().await
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
        lifecycle::start(&self.shared, &start, on_progress).await
    }

    /// Lets an open lease last so many minutes longer, within the maximum measured from its beginning. Audited before.
    /// Roles that end by themselves are made to last as long. A pass that was issued for the shorter time ends with it
    /// (`credential_until` says when), and asking for the lease again issues a new one then.
    ///
    /// # Errors
    /// `LeaseUnknown`, `LeaseOver`, `NotEntitled`, `DurationNotAllowed`, `ReasonMissing`.
    pub async fn extend_lease(
        &self,
        lease_id: Uuid,
        minutes: u32,
        reason: Option<&str>,
        caller: &Caller,
    ) -> Result<LeaseSummary, EngineError> {
        lifecycle::extend(&self.shared, lease_id, minutes, reason, caller).await
    }

    /// A sign-in with the lease's credential reached its end.
    ///
    /// # Errors
    /// `LeaseUnknown`, `LeaseOver`.
    pub async fn confirm_sign_in(&self, lease_id: Uuid, caller: &Caller) -> Result<LeaseSummary, EngineError> {
        let shared = &self.shared;
        let lease = self.live_lease(lease_id).await?;
        let mut write = shared.store.write().await?;
        if leases::usable(&mut write, lease_id).await? {
            let entry =
                shared.entry(lease.tenant_id, AuditEvent::SignInConfirmed, caller, Some(lease_id), None, json!({}));
            store::append(&mut write, &entry.by(&lease.technician_name)).await?;
        }
        store::commit(write).await?;
        lifecycle::summary(shared, &shared.store.lease(lease_id).await?).await
    }

    /// Hands out the credential for one field of one document, once. Audited before. A one-time code is computed here,
    /// which may take until the next one begins.
    ///
    /// # Errors
    /// `LeaseOver`, `LeaseNotUsable`, `OriginNotAllowed`, `AlreadyFilled`, `CredentialGone`, `OneTimeCodeGone`.
    pub async fn fill_credential(
        &self,
        lease_id: Uuid,
        field: FillField,
        document: &Document,
        caller: &Caller,
    ) -> Result<Secret, EngineError> {
        let shared = &self.shared;
        let (lease, held) = self.held_credential(lease_id).await?;
        let tenant = shared.store.tenant(lease.tenant_id).await?;
        let named = |failure: Failure| EngineError::from(failure).in_tenant(&tenant.name);
        let allowed =
            SignInOrigin::of_address(&document.origin).is_some_and(|origin| tenant.cloud.signs_in_at(&origin));
        if !allowed {
            return Err(named(Failure::OriginNotAllowed(shortened(&document.origin))));
        }
        if !field.takes(held.kind) {
            return Err(named(Failure::FieldMismatch));
        }
        shared.held.fill_once(lease_id, document, field).map_err(named)?;
        let code = match field {
            FillField::OneTimeCode => {
                let code = shared.one_time_code(&lease).await.map_err(|error| error.in_tenant(&tenant.name))?;
                // It may have taken a while.
                self.held_credential(lease_id).await?;
                Some(code)
            }
            FillField::Password | FillField::AccessPass => None,
        };
        let detail = json!({
            "field": field, "origin": document.origin, "tab_id": document.tab_id,
            "document_id": shortened(&document.document_id),
        });
        let event = AuditEvent::CredentialFilled;
        shared.audit_disclosure(&lease, event, caller, &held.user_name, detail).await?;
        let secret = secret_of(lease_id, &held);
        Ok(match code {
            Some(code) => Secret { value: code.expose_secret().to_owned(), ..secret },
            None => secret,
        })
    }

    /// Shows the credential to the technician. Audited before.
    ///
    /// # Errors
    /// `LeaseOver`, `LeaseNotUsable`, `CredentialGone`.
    pub async fn reveal_credential(&self, lease_id: Uuid, caller: &Caller) -> Result<Secret, EngineError> {
        let (lease, held) = self.held_credential(lease_id).await?;
        if held.kind == CredentialKind::Passkey {
            return Err(Failure::NothingToShow.into());
        }
        let event = AuditEvent::CredentialRevealed;
        self.shared.audit_disclosure(&lease, event, caller, &held.user_name, json!({})).await?;
        Ok(secret_of(lease_id, &held))
    }

    /// Shows the one-time code that goes with the lease's password to the technician, in whichever process the password
    /// is held. Audited before.
    ///
    /// # Errors
    /// `LeaseOver`, `LeaseNotUsable` (also when the lease signs in with something else), `OneTimeCodeGone`.
    pub async fn reveal_code(&self, lease_id: Uuid, caller: &Caller) -> Result<Secret, EngineError> {
        let shared = &self.shared;
        shared.store.refuse_in_lockdown().await?;
        let lease = self.live_lease(lease_id).await?;
        if lease.credential != Some(CredentialKind::PasswordTotp) {
            return Err(Failure::NoCode.into());
        }
        if !shared.http.has_measured() {
            // Codes go by Microsoft's clock, and this process has not seen it yet.
            let session = shared.session(&shared.store.tenant(lease.tenant_id).await?);
            let answer = session.send(&graph::read_organization(), Priority::High).await;
            answer.map_err(|trouble| trouble.to_error("compare the clocks"))?;
        }
        let code = shared.one_time_code(&lease).await?;
        // It may have taken a while.
        let lease = self.live_lease(lease_id).await?;
        let user_name = shared.store.account(lease.account_id).await?.user_name;
        let (event, detail) = (AuditEvent::CredentialRevealed, json!({ "one_time_code": true }));
        shared.audit_disclosure(&lease, event, caller, &user_name, detail).await?;
        let (credential, value) = (CredentialKind::PasswordTotp, code.expose_secret().to_owned());
        Ok(Secret { lease_id, credential, user_name, value })
    }

    /// Issues the next credential in line for a lease whose credential the page refused, and remembers the refusal for
    /// an hour. Answers the lease as it is when it does not sign in with that one any more.
    ///
    /// # Errors
    /// `LeaseOver`, `LeaseNotUsable` when there is no other; and what a start can answer.
    pub async fn replace_credential(
        &self,
        lease_id: Uuid,
        refused: CredentialKind,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<LeaseSummary, EngineError> {
        lifecycle::replace(&self.shared, lease_id, refused, caller, on_progress).await
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
        lifecycle::end(&self.shared, lease_id, caller, on_progress).await
    }

    /// Leases, ending soonest first; with `include_closed` also those that are over, newest first after the open ones.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn leases(&self, include_closed: bool) -> Result<Vec<LeaseSummary>, EngineError> {
        let store = &self.shared.store;
        let mut rows = store.open_leases().await?;
        let mut accounts = store.accounts_in_use().await?;
        if include_closed {
            rows.extend(store.closed_leases().await?);
            accounts.extend(store.accounts_used_lately().await?);
        }
        let mut names = store.tenant_names().await?;
        let mut summaries = Vec::with_capacity(rows.len());
        for row in &rows {
            summaries.push(match (accounts.get(&row.account_id), names.get(&row.tenant_id)) {
                (Some(account), Some(name)) => lifecycle::summary_on(&self.shared, row, account, name.clone()),
                _ => lifecycle::summarize(&self.shared, row, &mut names).await?,
            });
        }
        Ok(summaries)
    }

    /// The groups that leases make their accounts members of, by lease: their names where the directory has told them,
    /// else their ids. Leases without any are not among them; `include_closed` as for [`Engine::leases`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn groups_of_leases(&self, include_closed: bool) -> Result<HashMap<Uuid, Vec<String>>, EngineError> {
        let store = &self.shared.store;
        let mut rows = store.open_leases().await?;
        if include_closed {
            rows.extend(store.closed_leases().await?);
        }
        let mut known: HashMap<Uuid, HashMap<Uuid, String>> = HashMap::new();
        let mut groups = HashMap::new();
        for row in rows.into_iter().filter(|row| !row.groups.is_empty()) {
            let names = match known.entry(row.tenant_id) {
                Entry::Occupied(names) => names.into_mut(),
                Entry::Vacant(place) => {
                    let names = store.names(row.tenant_id).await?.into_iter();
                    let of_groups = names.filter(|name| name.kind == NameKind::Group).map(|name| (name.id, name.name));
                    place.insert(of_groups.collect())
                }
            };
            let called = |id: &Uuid| names.get(id).cloned().unwrap_or_else(|| id.to_string());
            groups.insert(row.lease_id, row.groups.iter().map(called).collect());
        }
        Ok(groups)
    }

    /// When something is due next, Unix time in milliseconds: call [`Engine::sweep`] then.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next_due(&self) -> Result<Option<i64>, EngineError> {
        sweep::next_due(&self.shared).await
    }

    /// Ends what is due, repairs what drifted, looks again at what ended lately. Without anything due it only reads
    /// the database. Two sweeps at once do no harm.
    ///
    /// # Errors
    /// When the database cannot be used. What Graph answers is in the report and on the leases.
    pub async fn sweep(&self) -> Result<SweepReport, EngineError> {
        sweep::sweep(self).await
    }

    /// Reads the audit log, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, EngineError> {
        self.shared.store.audit(query).await
    }

    /// Recomputes every chain.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn verify_audit(&self) -> Result<AuditReport, EngineError> {
        self.shared.store.verify_audit().await
    }

    /// Checks the database file.
    ///
    /// # Errors
    /// `StoreDamaged` with what is wrong.
    pub async fn check_store(&self) -> Result<(), EngineError> {
        self.shared.store.check().await
    }

    /// Checks a connected tenant: key store, token, permissions, domain, roles, account.
    ///
    /// # Errors
    /// `TenantUnknown`, or the database cannot be read; everything else is in the answer.
    pub async fn check_tenant(&self, tenant_id: Uuid) -> Result<TenantHealth, EngineError> {
        self.check_and_inspect(tenant_id).await.map(|(health, _)| health)
    }

    /// The check, and the inspection that it rests on or why there is none.
    pub(crate) async fn check_and_inspect(
        &self,
        tenant_id: Uuid,
    ) -> Result<(TenantHealth, Result<Inspection, EngineError>), EngineError> {
        let shared = &self.shared;
        let tenant = shared.store.tenant(tenant_id).await?;
        let owner = shared.owner_for(&tenant, &shared.settings.technician);
        let account = shared.store.account(shared.ensure_account(&tenant, &owner, true).await?).await?;
        let mut health = TenantHealth {
            tenant_id,
            name: tenant.name.clone(),
            user_name: account.user_name.clone(),
            account_as_expected: false,
            problems: Vec::new(),
            credential_expires: None,
            remarks: Vec::new(),
        };
        let key = shared.store.application_key(shared.key_entry(tenant_id, tenant.client_id)).await?;
        health.credential_expires = key.expires_at;
        match application_credential::end_of(&key, shared.now()) {
            Some(Ok(remark)) => health.remarks.push(remark),
            Some(Err(failure)) => health.problems.push(EngineError::from(failure).in_tenant(&tenant.name).to_body()),
            None => {}
        }
        let inspected = self.inspect(&ListedTenant::of(tenant.clone()).wish()).await;
        let examined = match &inspected {
            Ok(inspected) => self.examine(&tenant, &account, inspected, &mut health).await,
            Err(error) => Err(error.clone()),
        };
        if let Err(error) = examined {
            health.problems.push(error.in_tenant(&tenant.name).to_body());
        }
        Ok((health, inspected.map(|inspected| inspected.inspection)))
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    async fn inspect(&self, new: &NewTenant) -> Result<Inspected, EngineError> {
        let key = KeySource::Given(application_credential::key_for(&self.shared, new).await?.key);
        let session = Session::new(Arc::clone(&self.shared.http), new.tenant_id, new.client_id, new.cloud, key);
        preflight::inspect(&self.shared.settings, self.shared.policy(), &session, new, self.shared.clock.now()).await
    }

    async fn tenant_summary(&self, tenant: &TenantRow) -> Result<TenantSummary, EngineError> {
        let shared = &self.shared;
        let mut accounts = HashMap::new();
        let mut open = Vec::new();
        if let Some(account) = shared.account_of(tenant, &shared.settings.technician).await? {
            open = shared.store.open_leases_of(account.account_id).await?;
            accounts.insert(account.account_id, account);
        }
        let key = shared.store.application_key(shared.key_entry(tenant.tenant_id, tenant.client_id)).await?;
        let ends = key.expires_at.map(|end| (key.entry, end)).into_iter().collect();
        let owner = shared.owner_for(tenant, &shared.settings.technician);
        let user_name = shared.account_name(tenant, &owner)?.user_name;
        let keys = (
            passkey::Outlook::of_one(&shared.store, tenant.tenant_id, &user_name).await?,
            oath::Outlook::of_one(&shared.store, tenant.tenant_id, &user_name).await?,
        );
        self.tenant_summary_on(tenant, &open, &accounts, &ends, &keys)
    }

    /// A tenant's summary from open leases in it, the accounts that have such, and when what proves applications ends.
    fn tenant_summary_on(
        &self,
        tenant: &TenantRow,
        open: &[LeaseRow],
        accounts: &HashMap<Uuid, AccountRow>,
        ends: &HashMap<Uuid, i64>,
        (passkeys, tokens): &(passkey::Outlook, oath::Outlook),
    ) -> Result<TenantSummary, EngineError> {
        let shared = &self.shared;
        let owner = shared.owner_for(tenant, &shared.settings.technician);
        let name = shared.account_name(tenant, &owner)?;
        let acting = &shared.settings.technician;
        let policy = shared.policy();
        let rules = policy.rules(tenant.identity());
        let profiles: Vec<_> = entitlement::choices(policy, tenant, policy.listed(acting).unwrap_or(acting))
            .iter()
            .map(|choice| choice.summary(tenant))
            .collect();
        // What is asked for without naming a profile.
        let (roles, minutes, maximum_minutes) = match profiles.first() {
            Some(first) => (first.roles.clone(), first.minutes, first.maximum_minutes),
            None => (Vec::new(), 0, 0),
        };
        let lease = open.iter().find_map(|lease| {
            let account = accounts.get(&lease.account_id)?;
            let own = account.owner == owner && account.user_name == name.user_name && acting.is(&lease.technician);
            own.then(|| lifecycle::summary_on(shared, lease, account, tenant.name.clone()))
        });
        Ok(TenantSummary {
            tenant_id: tenant.tenant_id,
            name: tenant.name.clone(),
            domains: tenant.domains.clone(),
            cloud: tenant.cloud,
            user_name: name.user_name.clone(),
            roles,
            minutes,
            maximum_minutes,
            credential: CredentialPlan {
                passkey_kept: passkeys.is_kept(tenant.tenant_id, &name.user_name),
                ..credential::best(
                    tenant,
                    &tenant.capabilities,
                    &credential::Outlook {
                        passkey: passkeys.obstacle(&rules, tenant, &name.user_name, shared.now()),
                        oath: tokens.obstacle(&rules, tenant, &name.user_name, shared.now()),
                        pinned: rules.credential,
                    },
                    shared.clock.now(),
                )
            },
            credential_expires: ends.get(&shared.key_entry(tenant.tenant_id, tenant.client_id)).copied(),
            lease,
            last_used: tenant.last_used,
            profiles,
            reason_required: rules.reason_required.unwrap_or(false),
            ticket_pattern: rules.ticket.map(|pattern| pattern.as_str().to_owned()),
        })
    }

    /// A lease that is active and whose time is not up.
    pub(crate) async fn live_lease(&self, lease_id: Uuid) -> Result<LeaseRow, EngineError> {
        let lease = self.shared.store.lease(lease_id).await?;
        match lease.state {
            LeaseState::Requested | LeaseState::Activating => Err(Failure::LeaseNotUsable.into()),
            _ if !lease.is_live() || lease.until <= self.shared.now() => Err(Failure::LeaseOver.into()),
            _ => Ok(lease),
        }
    }

    /// A live lease and its credential, if this process holds the one that was issued last.
    async fn held_credential(&self, lease_id: Uuid) -> Result<(LeaseRow, Held), EngineError> {
        self.shared.store.refuse_in_lockdown().await?;
        let lease = match self.live_lease(lease_id).await {
            Ok(lease) => lease,
            Err(error) => {
                if *error.failure() == Failure::LeaseOver {
                    self.shared.held.forget(lease_id);
                }
                return Err(error);
            }
        };
        let account = self.shared.store.account(lease.account_id).await?;
        let held = self.shared.held.get(lease_id, account.credential_generation).ok_or(Failure::CredentialGone)?;
        if held.lasts_until.into_iter().chain(account.credential_until).any(|end| end <= self.shared.now()) {
            self.shared.held.forget(lease_id);
            return Err(Failure::CredentialGone.into());
        }
        Ok((lease, held))
    }

    async fn examine(
        &self,
        tenant: &TenantRow,
        account: &AccountRow,
        inspected: &Inspected,
        health: &mut TenantHealth,
    ) -> Result<(), EngineError> {
        let shared = &self.shared;
        let (tenant_id, Inspected { inspection, capabilities, .. }) = (tenant.tenant_id, inspected);
        shared.store.remember_capabilities(tenant_id, capabilities).await?;
        if let Some(policy) = &inspected.pass_policy {
            shared.store.remember_pass_policy(tenant_id, policy).await?;
        }
        shared.store.remember_policy(tenant_id, inspected.passkey_policy.as_ref()).await?;
        shared.store.remember_policy(tenant_id, inspected.oath_policy.as_ref()).await?;
        if fence::is_due(tenant, shared.clock.now()) {
            fence::find_out(shared, tenant_id, &shared.session(tenant), capabilities).await?;
        }
        health.problems.extend_from_slice(&inspection.problems);
        health.remarks.extend_from_slice(&inspection.remarks);
        health.remarks.extend(inspection.credential.because.clone());
        for failure in shared.refresh_names(tenant, true).await? {
            health.problems.push(EngineError::from(failure).in_tenant(&tenant.name).to_body());
        }
        if inspection.account == AccountFound::Absent {
            health.remarks.push(format!("The account {} is not there; the next lease makes it.", account.user_name));
        }
        let Some(claim) = shared.store.claim(account.account_id, shared.clock.now()).await? else {
            health.remarks.push("The account is being worked on just now.".to_owned());
            health.account_as_expected = true;
            return Ok(());
        };
        let quiet = |_: Progress| {};
        let mut drive = lifecycle::drive(shared, tenant, claim, &Caller::CommandLine, Priority::Normal, &quiet).await?;
        let observed = drive.observe().await;
        shared.store.release(&claim).await?;
        observed.map_err(|trouble| trouble.to_error("read the account"))?;
        let leases = shared.store.open_leases_of(account.account_id).await?;
        health.account_as_expected = if leases.is_empty() {
            plan(&Desired::Dormant, &drive.account.known).is_empty()
        } else {
            leases.iter().all(|lease| lease.problem.is_none())
        };
        let mut of_leases: Vec<ErrorBody> = leases.into_iter().filter_map(|lease| lease.problem).collect();
        health.problems.append(&mut of_leases);
        shared.remember_clock().await
    }
}

fn secret_of(lease_id: Uuid, held: &Held) -> Secret {
    Secret {
        lease_id,
        credential: held.kind,
        user_name: held.user_name.clone(),
        value: held.value.expose_secret().to_owned(),
    }
}

/// What a caller sent, short enough for a log.
fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}
