//! Microsoft Graph and the token endpoint, over HTTPS.
//!
//! [`Session`] is one tenant's connection: token, limits, batches. It never decides what to do about an answer; it
//! says as precisely as it can what the answer was. Tokens and secrets stay in memory and are never logged.

mod break_glass;
mod client;
mod error;
mod licences;
mod marked;
mod oath;
mod operations;
mod passkeys;
mod schedules;
mod throttle;
mod token;

pub(crate) use break_glass::{
    FoundBreakGlass, assign_role, create_break_glass, mark_break_glass, read_break_glass, remove_role_assignment,
    set_enabled, set_password,
};
pub(crate) use client::{Deadline, Http, KeySource, Session, blocking, days_since_1970, stored_key};
pub(crate) use error::{Trouble, Verdict, judge};
pub(crate) use licences::{LICENCES, Licence, licence, read_licences};
pub(crate) use marked::{
    accounts_by_mark, accounts_by_prefix, every_role_assignment, found_account, found_accounts, principals_of,
    set_mark, set_user_name,
};
pub(crate) use oath::{
    FoundToken, add as add_oath_token, assign_and_activate as assign_oath_token, delete as delete_oath_token,
    found as found_oath_tokens, of_account as oath_tokens_of_account, of_tenant as oath_tokens_of_tenant,
    policy as oath_policy, unassign as unassign_oath_token,
};
pub(crate) use operations::{
    FoundAccount, FoundGroup, Page, PassLifetime, PassPolicy, RoleDefinition, action_request, assignments,
    create_account, delete_account, domains, find_account, find_groups, find_groups_beginning, members_of_account,
    memberships, pass_policy, passes, read_account, read_domains, read_group, read_memberships, read_organization,
    read_role_assignments, read_role_definitions,
};
pub(crate) use passkeys::{
    FoundPasskey, creation_options, found as found_passkeys, found_one as found_passkey, list as list_passkeys,
    policy as passkey_policy, read as read_passkey, register as register_passkey,
};
pub(crate) use schedules::{allowed as schedules_allowed, read as read_schedules, timed};
pub(crate) use token::Capabilities;

use secrecy::{ExposeSecret, SecretString};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

/// How urgent a call is to Microsoft's throttling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// A scan.
    Low,
    /// An ending that is due.
    Normal,
    /// A person is waiting.
    High,
}

impl Priority {
    const fn as_header(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// The version of Graph.
const VERSION: &str = "v1.0";

/// One request, alone or in a batch.
pub(crate) struct Request {
    pub(crate) method: &'static str,
    /// Below the version, with a leading slash, already encoded.
    pub(crate) path: String,
    /// To the beta of Graph, which Microsoft may change at any time; never in a batch.
    pub(crate) beta: bool,
    pub(crate) body: Option<Body>,
    /// Counts against the small budget of the authentication-method calls.
    pub(crate) authentication_method: bool,
}

impl Request {
    pub(crate) const fn get(path: String) -> Self {
        Self { method: "GET", path, beta: false, body: None, authentication_method: false }
    }

    pub(crate) const fn with(method: &'static str, path: String, body: Option<Body>) -> Self {
        Self { method, path, beta: false, body, authentication_method: false }
    }

    pub(crate) const fn of_authentication_methods(mut self) -> Self {
        self.authentication_method = true;
        self
    }

    pub(crate) const fn in_beta(mut self) -> Self {
        self.beta = true;
        self
    }

    const fn version(&self) -> &'static str {
        if self.beta { "beta" } else { VERSION }
    }

    fn is_advanced_query(&self) -> bool {
        is_advanced_query(&self.path)
    }

    fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// Whether the path asks for what only the index can answer; such a path says so by asking for a count, on every page.
fn is_advanced_query(path: &str) -> bool {
    path.contains("$count=true")
}

/// A JSON object, with a password in it if there is one, or an OATH token's secret. They are only copied into the bytes
/// that are sent.
pub(crate) struct Body {
    pub(crate) members: Map<String, Value>,
    pub(crate) password: Option<SecretString>,
    oath_secret: Option<SecretString>,
}

impl Body {
    /// A body without a secret. Anything but an object is an empty object.
    pub(crate) fn plain(value: Value) -> Self {
        let members = match value {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        Self { members, password: None, oath_secret: None }
    }

    /// The body of a request that sets a password, and nothing else.
    pub(crate) fn of_password(password: Option<SecretString>) -> Self {
        Self { members: Map::new(), password, oath_secret: None }
    }

    fn with_oath_secret(mut self, secret: SecretString) -> Self {
        self.oath_secret = Some(secret);
        self
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        struct PasswordProfile<'a> {
            password: &'a str,
            force_change_password_next_sign_in: bool,
        }
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        if let Some(password) = &self.password {
            // Forcing a change at the next sign-in would make the technician type; the password is replaced when the
            // lease ends instead.
            let profile =
                PasswordProfile { password: password.expose_secret(), force_change_password_next_sign_in: false };
            map.serialize_entry("passwordProfile", &profile)?;
        }
        if let Some(secret) = &self.oath_secret {
            map.serialize_entry("secretKey", secret.expose_secret())?;
        }
        map.end()
    }
}

/// What was answered. Not `Debug`: the answer to an issued pass holds the pass.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) request_id: Option<String>,
    pub(crate) retry_after: Option<std::time::Duration>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
