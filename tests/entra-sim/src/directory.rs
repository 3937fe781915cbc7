//! The object store: tenants with their users, roles, groups, passes, policies and applications, and what happened
//! at sign-in.
//!
//! It holds state and keeps it consistent; it knows nothing of HTTP, permissions or lag. Graph (`crate::graph`) and
//! the sign-in functions ([`sign_in`]) are its two users. Facts come from the Microsoft Graph reference.

pub mod access;
pub mod oath;
pub mod passkey;
pub mod roles;
pub mod seed;
pub mod sign_in;
pub mod strong;
pub mod tenant;
pub mod user;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

pub use passkey::{Passkey, PasskeyPolicy};
pub use sign_in::{CredentialKind, CredentialType, Preferred, Session, SignInError, SignInRecord, SignedIn};
pub use tenant::{
    Application, ApplicationKey, ApplicationSecret, Audience, Branding, Cloud, Domain, DomainKind, Group, Licence,
    PassPolicy, RoleAssignment, Schedule, Tenant,
};
pub use user::{AccessPass, User};

/// Everything that is stored.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// The tenants, in the order they were added.
    pub tenants: Vec<Tenant>,
    /// Sign-in sessions by their id, ended ones included.
    pub sessions: BTreeMap<String, Session>,
    /// Every attempt to sign in, oldest first.
    pub sign_ins: Vec<SignInRecord>,
    places: Places,
}

/// Where tenants were found last, by the name they were asked for: a hint, looked at again before it is believed.
#[derive(Debug, Default)]
struct Places(Mutex<HashMap<String, usize>>);

impl Clone for Places {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Directory {
    /// The tenant with this id, domain or display name; GUIDs and domains compare without case.
    #[must_use]
    pub fn tenant(&self, id_or_domain: &str) -> Option<&Tenant> {
        self.tenants.get(self.position(id_or_domain)?)
    }

    /// Where among [`Self::tenants`] the tenant with this id, domain or display name is. Quick the second time, however
    /// many there are.
    #[must_use]
    pub fn position(&self, id_or_domain: &str) -> Option<usize> {
        let mut places = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let believed = places.get(id_or_domain).copied();
        let answers =
            |position: &usize| self.tenants.get(*position).is_some_and(|known| known.answers_to(id_or_domain));
        if let Some(position) = believed.filter(answers) {
            return Some(position);
        }
        let position = self.tenants.iter().position(|tenant| tenant.answers_to(id_or_domain))?;
        places.insert(id_or_domain.to_owned(), position);
        Some(position)
    }

    /// As [`Self::tenant`], to change it.
    pub fn tenant_mut(&mut self, id_or_domain: &str) -> Option<&mut Tenant> {
        let position = self.position(id_or_domain)?;
        self.tenants.get_mut(position)
    }

    /// The tenant that has verified the domain of this user name.
    #[must_use]
    pub fn tenant_of_user_name(&self, user_name: &str) -> Option<&Tenant> {
        let (_, domain) = user_name.trim().rsplit_once('@')?;
        self.tenants
            .iter()
            .find(|tenant| tenant.domains.iter().any(|known| known.verified && known.name.eq_ignore_ascii_case(domain)))
    }

    /// The registration behind an application of `tenant`: in the tenant itself, or in the one that owns a
    /// multi-tenant application. Secrets, certificates and redirect addresses are there.
    #[must_use]
    pub fn registration<'a>(&'a self, tenant: &'a Tenant, application: &'a Application) -> &'a Application {
        if application.registered {
            return application;
        }
        self.tenants
            .iter()
            .filter(|other| other.id != tenant.id)
            .filter_map(|other| other.application(&application.client_id))
            .find(|known| known.registered && known.audience == Audience::AnyTenant)
            .unwrap_or(application)
    }

    /// The registration of a multi-tenant application, whoever owns it: a tenant here, or Microsoft.
    #[must_use]
    pub fn published(&self, client_id: &str) -> Option<Application> {
        let owned = self
            .tenants
            .iter()
            .filter_map(|tenant| tenant.application(client_id))
            .find(|known| known.registered && known.audience == Audience::AnyTenant);
        owned.cloned().or_else(|| client_id.eq_ignore_ascii_case(COMMAND_LINE_TOOLS).then(command_line_tools))
    }

    /// A user anywhere, by user principal name.
    #[must_use]
    pub fn user_by_name(&self, user_name: &str) -> Option<(&Tenant, &User)> {
        let user_name = user_name.trim();
        self.tenants.iter().find_map(|tenant| Some((tenant, tenant.user(user_name)?)))
    }
}

/// `appId` of Microsoft Graph Command Line Tools, Microsoft's own public client, which may be used in every tenant.
pub const COMMAND_LINE_TOOLS: &str = "14d82eec-204b-4c2f-b7e8-296a70dab67e";

fn command_line_tools() -> Application {
    Application {
        client_id: COMMAND_LINE_TOOLS.to_owned(),
        display_name: "Microsoft Graph Command Line Tools".to_owned(),
        audience: Audience::AnyTenant,
        public_client: true,
        public_redirects: vec!["http://localhost".to_owned()],
        enabled: true,
        ..Application::default()
    }
}

/// A new object id.
#[must_use]
pub fn new_id() -> String {
    Uuid::new_v4().to_string()
}
