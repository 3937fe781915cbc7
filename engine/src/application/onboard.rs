//! Connecting a tenant without the portal: the application is registered, gets its certificate and exactly the
//! permissions that were asked for, by the word of an administrator who has signed in; and all of it is taken back.
//!
//! What is there is compared with what is wanted, and only the difference is sent, so that an interrupted onboarding is
//! simply run again. What it makes carries a mark and its id is written down, so that nothing is made twice. The
//! administrator's token is used for this and nothing else, and kept nowhere. Each change is in the audit log first.
//!
//! Facts: Microsoft Graph v1.0 reference of application, servicePrincipal and appRoleAssignment; consent to application
//! permissions takes a Privileged Role Administrator.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use latchkey_protocol::{TenantSummary, cloud::Cloud};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    CERTIFICATE_DAYS, Certificate, credential,
    registration::{self, Registration},
    rotate,
};
use crate::{
    AuditEvent, Caller, Engine, EngineError, Failure, NewCredential, NewTenant, OnProgress, PreparedAccount,
    clock::milliseconds,
    engine::Shared,
    graph::{self, Answer, Body, KeySource, Priority, Request, Session, Trouble},
    store::{TenantRow, applications::KeyRow},
};

/// Microsoft Graph's own application, the same in every tenant.
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";
/// Privileged Authentication Administrator: what an application needs to change the password of an administrator.
const PRIVILEGED_AUTHENTICATION_ADMINISTRATOR: Uuid = Uuid::from_u128(0x7be44c8a_adaf_4e2a_84d6_ab2649e08a13);
const ONBOARD: &str = "onboard";

/// An administrator of a customer's tenant who has signed in.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// The tenant that the token is for.
    pub tenant_id: Uuid,
    /// Which Microsoft cloud it lives in.
    pub cloud: Cloud,
    /// User principal name, for the audit log.
    pub user_name: String,
    /// A delegated token for Microsoft Graph.
    pub access_token: SecretString,
}

/// What a tenant's application is to be.
#[derive(Clone, Debug)]
pub struct Onboarding {
    /// What the application is called in the tenant.
    pub application_name: String,
    /// Application permissions, by name: these and no others.
    pub permissions: BTreeSet<String>,
    /// Whether the application gets the directory role that a break-glass account needs. Never without being asked.
    pub privileged_authentication_administrator: bool,
    /// What a person says about the tenant; ids and credential come from the onboarding itself.
    pub tenant: TenantWish,
}

/// How leases are in a tenant that is onboarded.
#[derive(Clone, Debug)]
pub struct TenantWish {
    /// What to call the customer; the organization's own name when absent.
    pub name: Option<String>,
    /// The domain of the accounts; the initial one when absent.
    pub domain: Option<String>,
    /// Directory roles that a lease grants, by name or id.
    pub roles: Vec<String>,
    /// Groups that a lease grants membership of.
    pub groups: Vec<Uuid>,
    /// How long a lease lasts unless asked otherwise, in minutes.
    pub minutes: u32,
    /// The longest a lease may last, in minutes.
    pub maximum_minutes: u32,
}

/// One change in the customer's tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The application is registered.
    RegisterApplication {
        /// Its name.
        name: String,
    },
    /// The permissions that the registration asks for are listed in it.
    ListPermissions {
        /// Their names.
        permissions: BTreeSet<String>,
    },
    /// A certificate is added to the registration; its key is made on this machine and stays there.
    AddCertificate,
    /// The application becomes one of the tenant's enterprise applications.
    CreateServicePrincipal,
    /// An application permission is granted.
    Grant {
        /// Its name.
        permission: String,
    },
    /// An application permission that nothing needs is taken away.
    Revoke {
        /// Its name.
        permission: String,
    },
    /// The application gets the directory role Privileged Authentication Administrator.
    AssignPrivilegedAuthenticationAdministrator,
    /// The application's directory roles, its enterprise application and its registration are deleted.
    DeleteApplication {
        /// Its name.
        name: String,
    },
}

impl std::fmt::Display for Change {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RegisterApplication { name } => write!(formatter, "register the application \"{name}\""),
            Self::ListPermissions { permissions } => {
                write!(formatter, "list {} permissions in its registration", permissions.len())
            }
            Self::AddCertificate => formatter.write_str("add a certificate whose key is made and kept on this machine"),
            Self::CreateServicePrincipal => formatter.write_str("create its enterprise application"),
            Self::Grant { permission } => write!(formatter, "grant {permission}"),
            Self::Revoke { permission } => write!(formatter, "take {permission} away"),
            Self::AssignPrivilegedAuthenticationAdministrator => {
                formatter.write_str("give it the directory role Privileged Authentication Administrator")
            }
            Self::DeleteApplication { name } => {
                write!(formatter, "delete the application \"{name}\" and everything granted to it")
            }
        }
    }
}

/// Which applications an offboarding may delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletable {
    /// One that an onboarding of ours made. Of an application that lives in another tenant, only the consent goes.
    Ours,
    /// Whichever the tenant was connected with: somebody said so.
    Any,
}

/// What an onboarding did.
#[derive(Clone, Debug, Serialize)]
pub struct Onboarded {
    /// The tenant, connected.
    pub tenant: TenantSummary,
    /// The technician's own account there.
    pub account: PreparedAccount,
    /// The application's client id.
    pub client_id: Uuid,
    /// Every change that was sent, in order.
    pub changes: Vec<Change>,
}

/// How far an onboarding is: ids of what it made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Journal {
    /// The registration may have been sent for.
    registering: bool,
    object_id: Option<Uuid>,
    client_id: Option<Uuid>,
    principal_id: Option<Uuid>,
    /// When the last of these was made: until the directory has it everywhere, its absence means nothing.
    #[serde(default)]
    made_at: Option<i64>,
}

/// What of an application is in the tenant.
struct Observed {
    registration: Option<Registration>,
    principal_id: Option<Uuid>,
    /// Permissions by name → id of the grant.
    granted: BTreeMap<String, String>,
    /// Role definitions.
    roles: BTreeSet<Uuid>,
    /// Microsoft Graph's service principal, and its permissions by name.
    graph_id: Uuid,
    graph_roles: BTreeMap<String, Uuid>,
}

impl Engine {
    /// What [`Engine::onboard_tenant`] would change. Reads, and sends nothing that changes anything.
    ///
    /// # Errors
    /// What Microsoft answers, e.g. `GraphRefused` for somebody who may not read registrations.
    pub async fn plan_onboarding(
        &self,
        administrator: &Administrator,
        wish: &Onboarding,
    ) -> Result<Vec<Change>, EngineError> {
        let work = Work::new(self.shared(), administrator, wish).await?;
        let observed = work.observe().await?;
        let certified = work.waiting_certificate(&observed).await?;
        work.differences(&observed, certified)
    }

    /// Registers the application, certifies it, grants it exactly what was asked for, waits until it works, and
    /// connects the tenant. Run again after an interruption, it goes on where it stopped.
    ///
    /// # Errors
    /// What Microsoft answers, and what [`Engine::add_tenant`] can stumble over.
    pub async fn onboard_tenant(
        &self,
        administrator: &Administrator,
        wish: &Onboarding,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<Onboarded, EngineError> {
        let shared = self.shared();
        let mut work = Work::new(shared, administrator, wish).await?;
        let changes = work.carry_out(caller).await?;
        let observed = work.observe().await?;
        let registration = observed.registration.ok_or(Failure::ApplicationNotFound(700_016))?;
        let client_id = registration.app_id;
        rotate::remember_registration(shared, shared.key_entry(administrator.tenant_id, client_id), registration.id)
            .await?;
        let new = NewTenant {
            tenant_id: administrator.tenant_id,
            client_id,
            credential: NewCredential::Certificate,
            cloud: administrator.cloud,
            name: wish.tenant.name.clone(),
            domain: wish.tenant.domain.clone(),
            roles: wish.tenant.roles.clone(),
            groups: wish.tenant.groups.clone(),
            minutes: wish.tenant.minutes,
            maximum_minutes: wish.tenant.maximum_minutes,
        };
        work.wait_for_permissions(&new).await?;
        let (tenant, account) = self.add_tenant(new, caller, on_progress).await?;
        shared.store.close_journal(ONBOARD, administrator.tenant_id).await?;
        Ok(Onboarded { tenant, account, client_id, changes })
    }

    /// What [`Engine::offboard_tenant`] would take back at Microsoft, beside leases and accounts. Only reads.
    ///
    /// # Errors
    /// `TenantUnknown`, an application that is not ours, and what Microsoft answers.
    pub async fn plan_offboarding(
        &self,
        tenant_id: Uuid,
        administrator: Option<&Administrator>,
        which: Deletable,
    ) -> Result<Vec<Change>, EngineError> {
        let shared = self.shared();
        let tenant = shared.store.tenant(tenant_id).await?;
        let session = acting_session(shared, &tenant, administrator)?;
        let found = find_deletable(shared, &session, tenant.client_id, which).await;
        let found = found.map_err(|error| error.in_tenant(&tenant.name))?;
        Ok(found.map(|found| Change::DeleteApplication { name: found.name }).into_iter().collect())
    }

    /// Ends the tenant's leases, deletes its accounts, deletes the application with everything granted to it, forgets
    /// the key and disconnects the tenant. Run again after an interruption, it goes on where it stopped.
    ///
    /// Without an administrator the application deletes itself, where it may.
    ///
    /// # Errors
    /// An application that is not ours, before anything is changed; `EndingUnverified` while a lease cannot be ended, and what Microsoft answers; the tenant stays connected then.
    pub async fn offboard_tenant(
        &self,
        tenant_id: Uuid,
        administrator: Option<&Administrator>,
        which: Deletable,
        caller: &Caller,
        on_progress: OnProgress<'_>,
    ) -> Result<(), EngineError> {
        let shared = self.shared();
        let tenant = shared.store.tenant(tenant_id).await?;
        let session = acting_session(shared, &tenant, administrator)?;
        find_deletable(shared, &session, tenant.client_id, which)
            .await
            .map_err(|error| error.in_tenant(&tenant.name))?;
        for account in shared.store.accounts_of(tenant_id).await? {
            self.remove_account(account.account_id, caller, on_progress).await?;
        }
        delete_application(shared, &session, &tenant, which, caller)
            .await
            .map_err(|error| error.in_tenant(&tenant.name))?;
        shared.store.close_journal(ONBOARD, tenant_id).await?;
        self.remove_tenant(tenant_id, false, caller, on_progress).await
    }
}

/// A session of the tenant's administrator, or of the application itself.
fn acting_session(
    shared: &Shared,
    tenant: &TenantRow,
    administrator: Option<&Administrator>,
) -> Result<Arc<Session>, EngineError> {
    match administrator {
        Some(administrator) if administrator.tenant_id != tenant.tenant_id => {
            Err(EngineError::from(Failure::AdministratorOfAnotherTenant).in_tenant(&tenant.name))
        }
        Some(administrator) => Ok(Arc::new(administrator_session(shared, administrator))),
        None => Ok(shared.session(tenant)),
    }
}

/// A session that acts as the administrator.
fn administrator_session(shared: &Shared, administrator: &Administrator) -> Session {
    let key = KeySource::Token(administrator.access_token.clone());
    Session::new(Arc::clone(&shared.http), administrator.tenant_id, Uuid::nil(), administrator.cloud, key)
}

/// What an application of ours is tagged with. One MSP, one application: whichever of its technicians onboards.
fn mark(shared: &Shared) -> String {
    let technician = &shared.settings.technician.name;
    let company = technician.rsplit('@').next().unwrap_or(technician);
    format!("latchkey:{}", company.to_lowercase())
}

/// One onboarding under way.
struct Work<'a> {
    shared: &'a Shared,
    session: Session,
    administrator: &'a Administrator,
    wish: &'a Onboarding,
    journal: Journal,
    mark: String,
}

impl<'a> Work<'a> {
    async fn new(
        shared: &'a Shared,
        administrator: &'a Administrator,
        wish: &'a Onboarding,
    ) -> Result<Self, EngineError> {
        let journal = shared.store.journal(ONBOARD, administrator.tenant_id).await?.unwrap_or_default();
        Ok(Self {
            shared,
            session: administrator_session(shared, administrator),
            administrator,
            wish,
            journal,
            mark: mark(shared),
        })
    }

    /// Sends what is missing until nothing is, and answers what was sent.
    async fn carry_out(&mut self, caller: &Caller) -> Result<Vec<Change>, EngineError> {
        let mut done = Vec::new();
        let until = self.shared.clock.elapsed() + milliseconds(self.shared.settings.patience.replication);
        let mut pause = Duration::from_secs(1);
        loop {
            let outcome = self.pass(caller, &mut done).await;
            match outcome {
                Ok(true) => return Ok(done),
                // Something was sent: what is left shows when it is looked at again.
                Ok(false) => {}
                Err(error) if is_passing(&error) && self.shared.clock.elapsed() < until => {
                    self.shared.clock.sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(8));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One look, and everything that it shows to be missing. `true`: nothing was.
    async fn pass(&mut self, caller: &Caller, done: &mut Vec<Change>) -> Result<bool, EngineError> {
        let mut observed = self.observe().await?;
        let certified = self.waiting_certificate(&observed).await?;
        // What was just sent and does not show yet is not sent again: only its absence from the journal counts.
        let changes: Vec<Change> =
            self.differences(&observed, certified)?.into_iter().filter(|change| !done.contains(change)).collect();
        for change in &changes {
            let detail = json!({ "change": change, "by": self.administrator.user_name });
            let event = AuditEvent::ApplicationChanging;
            self.shared.audit(self.administrator.tenant_id, event, caller, None, None, detail).await?;
            self.apply(change, &mut observed).await?;
            done.push(change.clone());
        }
        Ok(changes.is_empty())
    }

    /// What is there: by the ids that were written down, or else by name and mark.
    async fn observe(&self) -> Result<Observed, EngineError> {
        const ACTION: &str = "read the tenant's applications";
        let path = format!("/servicePrincipals(appId='{GRAPH}')?$select=id,appRoles");
        let graph = registration::send(&self.session, &Request::get(path), ACTION).await?;
        let graph: GraphPrincipal = read(graph, ACTION)?;
        let written = match self.journal.object_id {
            Some(object_id) => self.arrived(&registration::read(object_id), ACTION).await?,
            None => None,
        };
        // What was written down may have been deleted in the portal since; then so was its enterprise application.
        let (registration, principal_id) = match written {
            Some(answer) => (Some(read(answer, ACTION)?), self.journal.principal_id),
            None => (self.find_marked().await?, None),
        };
        let mut observed = Observed {
            registration,
            principal_id,
            granted: BTreeMap::new(),
            roles: BTreeSet::new(),
            graph_id: graph.id,
            graph_roles: graph.app_roles.into_iter().map(|role| (role.value, role.id)).collect(),
        };
        let Some(registration) = &observed.registration else { return Ok(observed) };
        let client_id = registration.app_id;
        let assignments = |principal_id| Request::get(format!("/servicePrincipals/{principal_id}/appRoleAssignments"));
        let mut grants = None;
        if let Some(principal_id) = observed.principal_id {
            grants = self.arrived(&assignments(principal_id), ACTION).await?;
        }
        if grants.is_none() {
            observed.principal_id = find_principal(&self.session, client_id).await?;
            let Some(principal_id) = observed.principal_id else { return Ok(observed) };
            grants = self.arrived(&assignments(principal_id), ACTION).await?;
        }
        let (Some(principal_id), Some(grants)) = (observed.principal_id, grants) else { return Ok(observed) };
        for grant in graph::Page::<Grant>::of(grants).unwrap_or_default() {
            let name = observed.graph_roles.iter().find(|(_, id)| **id == grant.app_role_id);
            if let Some((name, _)) = name.filter(|_| grant.resource_id == observed.graph_id) {
                observed.granted.insert(name.clone(), grant.id);
            }
        }
        if self.wish.privileged_authentication_administrator {
            let roles = registration::send(&self.session, &graph::read_role_assignments(principal_id), ACTION).await?;
            observed.roles = graph::assignments(roles).unwrap_or_default().into_values().collect();
        }
        Ok(observed)
    }

    /// The application that carries our mark. One that may have been made a moment ago is waited for.
    async fn find_marked(&self) -> Result<Option<Registration>, EngineError> {
        const ACTION: &str = "look for the application";
        let until = self.shared.clock.elapsed() + milliseconds(self.shared.settings.patience.replication);
        let name = self.wish.application_name.replace('\'', "''");
        let filter: String = url::form_urlencoded::byte_serialize(format!("displayName eq '{name}'").as_bytes())
            .collect::<String>()
            .replace('+', "%20");
        let path = format!("/applications?$filter={filter}&$select=id,appId,displayName,tags");
        loop {
            let answer = registration::send(&self.session, &Request::get(path.clone()), ACTION).await?;
            let marked = answer.body["value"].as_array().into_iter().flatten().find(|found| {
                found["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag == self.mark.as_str()))
            });
            if let Some(object_id) = marked.and_then(|found| found["id"].as_str()?.parse().ok()) {
                let answer = registration::send(&self.session, &registration::read(object_id), ACTION).await?;
                return read(answer, ACTION).map(Some);
            }
            if !self.journal.registering || self.shared.clock.elapsed() >= until {
                return Ok(None);
            }
            self.shared.clock.sleep(Duration::from_secs(1)).await;
        }
    }

    /// Reads something that may have been made a moment ago: then its absence may only be the directory's lag. `None`:
    /// it is not there.
    async fn arrived(&self, request: &Request, action: &'static str) -> Result<Option<Answer>, EngineError> {
        let lag = milliseconds(self.shared.settings.patience.replication);
        let age = self.journal.made_at.map(|made_at| self.shared.clock.now() - made_at);
        let left = age.filter(|age| (0..lag).contains(age)).map_or(0, |age| lag - age);
        let until = self.shared.clock.elapsed() + left;
        loop {
            let answer =
                self.session.send(request, Priority::High).await.map_err(|trouble| trouble.to_error(action))?;
            if answer.is_success() {
                return Ok(Some(answer));
            }
            if answer.status != 404 {
                return Err(Trouble::of_answer(&answer).to_error(action));
            }
            if self.shared.clock.elapsed() >= until {
                return Ok(None);
            }
            self.shared.clock.sleep(Duration::from_secs(1)).await;
        }
    }

    async fn key_row(&self) -> Result<KeyRow, EngineError> {
        // An application that serves every tenant is never registered by an onboarding.
        self.shared.store.application_key(self.administrator.tenant_id).await
    }

    /// The certificate that this machine has the key of, if the registration carries it.
    async fn waiting_certificate(&self, observed: &Observed) -> Result<bool, EngineError> {
        let row = self.key_row().await?;
        let ours: Vec<&Certificate> = row.next.iter().chain(&row.certificate).collect();
        Ok(observed.registration.as_ref().is_some_and(|registration| {
            ours.iter().any(|certificate| registration.key_id_of(&certificate.thumbprint).is_some())
        }))
    }

    /// What is missing or too much. Reads nothing.
    fn differences(&self, observed: &Observed, certified: bool) -> Result<Vec<Change>, EngineError> {
        let unknown: Vec<String> =
            self.wish.permissions.iter().filter(|name| !observed.graph_roles.contains_key(*name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(Failure::ConfigurationInvalid(format!(
                "Microsoft Graph offers no application permission {}",
                unknown.join(", ")
            ))
            .into());
        }
        let mut changes = Vec::new();
        let name = self.wish.application_name.clone();
        match &observed.registration {
            // The registration is made with its list of permissions in it.
            None => changes.push(Change::RegisterApplication { name }),
            Some(registration) if registration.listed() != self.ids(observed) => {
                changes.push(Change::ListPermissions { permissions: self.wish.permissions.clone() });
            }
            Some(_) => {}
        }
        if !certified {
            changes.push(Change::AddCertificate);
        }
        if observed.principal_id.is_none() {
            changes.push(Change::CreateServicePrincipal);
        }
        for permission in self.wish.permissions.iter().filter(|name| !observed.granted.contains_key(*name)) {
            changes.push(Change::Grant { permission: permission.clone() });
        }
        for permission in observed.granted.keys().filter(|name| !self.wish.permissions.contains(*name)) {
            changes.push(Change::Revoke { permission: permission.clone() });
        }
        if self.wish.privileged_authentication_administrator
            && !observed.roles.contains(&PRIVILEGED_AUTHENTICATION_ADMINISTRATOR)
        {
            changes.push(Change::AssignPrivilegedAuthenticationAdministrator);
        }
        Ok(changes)
    }

    fn ids(&self, observed: &Observed) -> BTreeSet<Uuid> {
        self.wish.permissions.iter().filter_map(|name| observed.graph_roles.get(name).copied()).collect()
    }

    fn required_access(&self, observed: &Observed) -> Value {
        let access: Vec<Value> = self.ids(observed).iter().map(|id| json!({ "id": id, "type": "Role" })).collect();
        json!([{ "resourceAppId": GRAPH, "resourceAccess": access }])
    }

    async fn apply(&mut self, change: &Change, observed: &mut Observed) -> Result<(), EngineError> {
        match change {
            Change::RegisterApplication { name } => self.register(name, observed).await,
            Change::ListPermissions { .. } => {
                let registration = observed.registration()?;
                let body = json!({ "requiredResourceAccess": self.required_access(observed) });
                let path = format!("/applications/{}", registration.id);
                self.write(Request::with("PATCH", path, Some(Body::plain(body))), "list the permissions").await?;
                Ok(())
            }
            Change::AddCertificate => self.certify(observed).await,
            Change::CreateServicePrincipal => self.create_principal(observed).await,
            Change::Grant { permission } => {
                let principal = observed.principal()?;
                let role = observed.graph_roles.get(permission).copied().unwrap_or_default();
                let body = json!({ "principalId": principal, "resourceId": observed.graph_id, "appRoleId": role });
                let path = format!("/servicePrincipals/{}/appRoleAssignedTo", observed.graph_id);
                let answer = self.attempt(Request::with("POST", path, Some(Body::plain(body))), "grant a permission");
                match answer.await? {
                    answer if answer.is_success() => Ok(()),
                    // It is granted: the list was read before that showed.
                    answer if answer.status == 400 && says_it_exists(&answer) => Ok(()),
                    answer => Err(Trouble::of_answer(&answer).to_error("grant a permission")),
                }
            }
            Change::Revoke { permission } => {
                let principal = observed.principal()?;
                let id = observed.granted.get(permission).cloned().unwrap_or_default();
                let path = format!("/servicePrincipals/{principal}/appRoleAssignments/{id}");
                let answer = self.attempt(Request::with("DELETE", path, None), "take a permission away").await?;
                if answer.is_success() || answer.status == 404 {
                    return Ok(());
                }
                Err(Trouble::of_answer(&answer).to_error("take a permission away"))
            }
            Change::AssignPrivilegedAuthenticationAdministrator => {
                let body = json!({
                    "principalId": observed.principal()?,
                    "roleDefinitionId": PRIVILEGED_AUTHENTICATION_ADMINISTRATOR,
                    "directoryScopeId": "/",
                });
                let path = "/roleManagement/directory/roleAssignments".to_owned();
                let answer = self
                    .attempt(Request::with("POST", path, Some(Body::plain(body))), "assign a directory role")
                    .await?;
                if answer.is_success() || (answer.status == 400 && says_it_exists(&answer)) {
                    return Ok(());
                }
                Err(Trouble::of_answer(&answer).to_error("assign a directory role"))
            }
            Change::DeleteApplication { .. } => {
                Err(Failure::Internal("not a change of an onboarding".to_owned()).into())
            }
        }
    }

    /// Registers the application: the one call that must not happen twice.
    async fn register(&mut self, name: &str, observed: &mut Observed) -> Result<(), EngineError> {
        const ACTION: &str = "register the application";
        self.journal.registering = true;
        self.save().await?;
        let body = json!({
            "displayName": name,
            "signInAudience": "AzureADMyOrg",
            "tags": [self.mark],
            "notes": "Made by Latchkey: it makes just-in-time admin accounts active and dormant again. \
                      `latchkey tenant offboard` takes everything back.",
            "requiredResourceAccess": self.required_access(observed),
        });
        let request = Request::with("POST", "/applications".to_owned(), Some(Body::plain(body)));
        let answer = match self.session.send(&request, Priority::High).await {
            Ok(answer) => answer,
            Err(trouble) => {
                self.journal.registering = trouble.may_have_happened;
                self.save().await?;
                return Err(trouble.to_error(ACTION));
            }
        };
        if !answer.is_success() {
            self.journal.registering = answer.status >= 500;
            self.save().await?;
            return Err(Trouble::of_answer(&answer).to_error(ACTION));
        }
        let made: Registration = read(answer, ACTION)?;
        self.journal.object_id = Some(made.id);
        self.journal.client_id = Some(made.app_id);
        self.journal.principal_id = None;
        self.journal.made_at = Some(self.shared.clock.now());
        self.journal.registering = false;
        self.save().await?;
        observed.registration = Some(made);
        Ok(())
    }

    /// Adds the certificate that waits (made now if there is none), and leaves the others alone.
    async fn certify(&self, observed: &Observed) -> Result<(), EngineError> {
        const ACTION: &str = "add the certificate to the application";
        let registration = observed.registration()?;
        let entry = self.administrator.tenant_id;
        let certificate = credential::make_next(self.shared, entry, CERTIFICATE_DAYS).await?;
        // Ids of what is there already, without which the list would forget it.
        let answer = self.arrived(&registration::read(registration.id), ACTION).await?;
        let answer = answer.ok_or(Failure::ApplicationNotFound(700_016))?;
        let current: Registration = read(answer, ACTION)?;
        if current.key_id_of(&certificate.thumbprint).is_some() {
            return Ok(());
        }
        let mut keys = current.key_credentials;
        keys.push(registration::key_credential(&certificate));
        self.write(registration::set_keys(registration.id, &keys), ACTION).await?;
        Ok(())
    }

    async fn create_principal(&mut self, observed: &mut Observed) -> Result<(), EngineError> {
        const ACTION: &str = "create the enterprise application";
        let registration = observed.registration()?;
        let body =
            json!({ "appId": registration.app_id, "tags": ["WindowsAzureActiveDirectoryIntegratedApp", self.mark] });
        let request = Request::with("POST", "/servicePrincipals".to_owned(), Some(Body::plain(body)));
        let answer = self.attempt(request, ACTION).await?;
        let principal_id = match answer.status {
            200..300 => answer.body["id"].as_str().and_then(|id| id.parse().ok()),
            // It is there: an earlier try got further than its answer.
            409 => find_principal(&self.session, registration.app_id).await?,
            _ => return Err(Trouble::of_answer(&answer).to_error(ACTION)),
        };
        if principal_id.is_none() {
            return Err(Failure::GraphUnavailable(answer.status).into());
        }
        self.journal.principal_id = principal_id;
        self.journal.made_at = Some(self.shared.clock.now());
        self.save().await?;
        observed.principal_id = principal_id;
        Ok(())
    }

    async fn save(&self) -> Result<(), EngineError> {
        let now = self.shared.clock.now();
        self.shared.store.save_journal(ONBOARD, self.administrator.tenant_id, &self.journal, now).await
    }

    /// Sends a write to something that may have been made a moment ago: as long as it is not known everywhere, again.
    async fn attempt(&self, request: Request, action: &'static str) -> Result<Answer, EngineError> {
        let until = self.shared.clock.elapsed() + milliseconds(self.shared.settings.patience.replication);
        loop {
            let answer =
                self.session.send(&request, Priority::High).await.map_err(|trouble| trouble.to_error(action))?;
            let lags = answer.status == 404
                || answer.status == 400 && answer.body["error"]["code"] == "NoBackingApplicationObject";
            if !lags || request.method == "DELETE" || self.shared.clock.elapsed() >= until {
                return Ok(answer);
            }
            self.shared.clock.sleep(Duration::from_secs(1)).await;
        }
    }

    async fn write(&self, request: Request, action: &'static str) -> Result<Answer, EngineError> {
        let answer = self.attempt(request, action).await?;
        if answer.is_success() { Ok(answer) } else { Err(Trouble::of_answer(&answer).to_error(action)) }
    }

    /// Waits until a token of the application's own carries everything that was granted.
    async fn wait_for_permissions(&self, new: &NewTenant) -> Result<(), EngineError> {
        let key = credential::key_for(self.shared, new).await?.key;
        let http = Arc::clone(&self.shared.http);
        let session = Session::new(http, new.tenant_id, new.client_id, new.cloud, KeySource::Given(key));
        let until = self.shared.clock.elapsed() + milliseconds(self.shared.settings.patience.replication);
        loop {
            let lacking = match session.capabilities().await {
                Ok(capabilities) => {
                    let lacking: Vec<String> =
                        self.wish.permissions.iter().filter(|name| !capabilities.has(name)).cloned().collect();
                    if lacking.is_empty() {
                        return Ok(());
                    }
                    EngineError::from(Failure::PermissionMissing(lacking))
                }
                Err(trouble) => match trouble.before.as_deref() {
                    // The application or its certificate is not known everywhere yet.
                    Some(Failure::ApplicationNotFound(_) | Failure::CertificateRefused(_)) => {
                        trouble.to_error("issue a token")
                    }
                    _ if trouble.passes() => trouble.to_error("issue a token"),
                    _ => return Err(trouble.to_error("issue a token")),
                },
            };
            if self.shared.clock.elapsed() >= until {
                return Err(lacking);
            }
            self.shared.clock.sleep(Duration::from_secs(2)).await;
            session.forget_token().await;
        }
    }
}

impl Observed {
    fn registration(&self) -> Result<&Registration, EngineError> {
        self.registration.as_ref().ok_or_else(|| Failure::ApplicationNotFound(700_016).into())
    }

    fn principal(&self) -> Result<Uuid, EngineError> {
        self.principal_id.ok_or_else(|| Failure::ApplicationNotFound(700_016).into())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GraphPrincipal {
    id: Uuid,
    app_roles: Vec<GraphRole>,
}

#[derive(Deserialize)]
struct GraphRole {
    id: Uuid,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grant {
    id: String,
    app_role_id: Uuid,
    resource_id: Uuid,
}

fn read<T: serde::de::DeserializeOwned>(answer: Answer, action: &'static str) -> Result<T, EngineError> {
    serde_json::from_value(answer.body).map_err(|error| Failure::Internal(format!("{action}: {error}")).into())
}

/// Whether looking again later may help.
fn is_passing(error: &EngineError) -> bool {
    matches!(
        error.failure(),
        Failure::Throttled(_) | Failure::GraphUnavailable(_) | Failure::GraphRefused { status: 404 | 409 | 412, .. }
    )
}

/// Two refusals share a code with every other bad request: only their words tell.
fn says_it_exists(answer: &Answer) -> bool {
    let message = answer.body["error"]["message"].as_str().unwrap_or_default();
    message.contains("already exists") || message.contains("conflicting object")
}

async fn find_principal(session: &Session, client_id: Uuid) -> Result<Option<Uuid>, EngineError> {
    const ACTION: &str = "look for the enterprise application";
    let path = format!("/servicePrincipals?$filter=appId%20eq%20'{client_id}'&$select=id,appId");
    let answer = registration::send(session, &Request::get(path), ACTION).await?;
    Ok(answer.body["value"].get(0).and_then(|found| found["id"].as_str()?.parse().ok()))
}

async fn find_by_client_id(session: &Session, client_id: Uuid) -> Result<Option<Registration>, EngineError> {
    const ACTION: &str = "look for the application";
    let answer = registration::send(session, &registration::find(client_id), ACTION).await?;
    Ok(answer.body["value"].get(0).cloned().and_then(|found| serde_json::from_value(found).ok()))
}

/// What an offboarding deletes.
struct Found {
    name: String,
    principal_id: Option<Uuid>,
    object_id: Option<Uuid>,
}

/// What there is of the application, if it may be deleted; `None`: it is gone already.
async fn find_deletable(
    shared: &Shared,
    session: &Session,
    client_id: Uuid,
    which: Deletable,
) -> Result<Option<Found>, EngineError> {
    let registration = match find_by_client_id(session, client_id).await {
        Ok(registration) => registration,
        // An application that has deleted itself gets no token any more.
        Err(error) if matches!(error.failure(), Failure::ApplicationNotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let principal_id = find_principal(session, client_id).await?;
    if let Some(registration) = &registration
        && which == Deletable::Ours
        && !registration.tags.contains(&mark(shared))
    {
        return Err(Failure::ApplicationNotOurs(registration.display_name.clone()).into());
    }
    let object_id = registration.as_ref().map(|registration| registration.id);
    let name = registration.map_or_else(|| client_id.to_string(), |registration| registration.display_name);
    let there = object_id.is_some() || principal_id.is_some();
    Ok(there.then_some(Found { name, principal_id, object_id }))
}

/// Deletes the application: what it is granted, its enterprise application, its registration. One that is gone is no
/// error.
async fn delete_application(
    shared: &Shared,
    session: &Session,
    tenant: &TenantRow,
    which: Deletable,
    caller: &Caller,
) -> Result<(), EngineError> {
    const ACTION: &str = "delete the application";
    let Some(found) = find_deletable(shared, session, tenant.client_id, which).await? else { return Ok(()) };
    let detail = json!({ "change": Change::DeleteApplication { name: found.name } });
    shared.audit(tenant.tenant_id, AuditEvent::ApplicationChanging, caller, None, None, detail).await?;
    // The registration last: it is what finds the rest when this is interrupted.
    let principal = found.principal_id.map(|id| format!("/servicePrincipals/{id}"));
    let registration = found.object_id.map(|id| format!("/applications/{id}"));
    for path in principal.into_iter().chain(registration) {
        let answer = session
            .send(&Request::with("DELETE", path, None), Priority::High)
            .await
            .map_err(|trouble| trouble.to_error(ACTION))?;
        if !answer.is_success() && answer.status != 404 {
            return Err(Trouble::of_answer(&answer).to_error(ACTION));
        }
    }
    Ok(())
}
