//! One user object, its password, its Temporary Access Pass and its passkeys.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::passkey::{Passkey, PasskeyChallenge};
use crate::clock::Moment;

/// A user as the directory stores it. Everything Graph calls a property and that has no meaning of its own here
/// lives in `attributes` under its Graph name.
#[derive(Clone, Debug)]
pub struct User {
    /// Object id.
    pub id: String,
    /// Name used to sign in.
    pub user_principal_name: String,
    /// Name shown to people.
    pub display_name: String,
    /// Whether the account may sign in at all.
    pub account_enabled: bool,
    /// Other properties (`mailNickname`, `usageLocation`, `onPremisesExtensionAttributes` …).
    pub attributes: Map<String, Value>,
    /// Open extensions by name.
    pub extensions: BTreeMap<String, Map<String, Value>>,
    /// The password that was set last; never leaves the directory.
    pub password: Option<String>,
    /// Whether the next password sign-in must set a new one (50055).
    pub must_change_password: bool,
    /// When the password was set, simulated time.
    pub password_set: Timestamp,
    /// The one Temporary Access Pass, usable or not.
    pub access_pass: Option<AccessPass>,
    /// Passkeys, oldest first.
    pub passkeys: Vec<Passkey>,
    /// Challenges for new passkeys that were not answered yet.
    pub passkey_challenges: Vec<PasskeyChallenge>,
    /// Sessions issued before this are over.
    pub sessions_valid_from: Timestamp,
    /// When that was said; the revocation may lag behind it.
    pub sessions_revoked_moment: Option<Moment>,
    /// Creation, simulated time.
    pub created: Timestamp,
    /// Creation, for replication lag.
    pub created_moment: Moment,
    /// When the account was last enabled, for the lag at sign-in.
    pub enabled_moment: Moment,
    /// When the password was last set, for the lag at sign-in.
    pub password_moment: Moment,
    /// Roles (or role-assignable memberships) that ended, for the lag of the sensitive-action rule.
    pub privileges_ended: Vec<Moment>,
    /// Deletion, simulated time; only on deleted users.
    pub deleted: Option<Timestamp>,
    /// Rises by one with every change.
    pub revision: u64,
    /// Wrong passwords in a row.
    pub wrong_passwords: u32,
    /// Smart lockout until then.
    pub locked_until: Option<Timestamp>,
}

impl User {
    /// An enabled member with no password, made at `created`.
    #[must_use]
    pub fn new(user_principal_name: &str, display_name: &str, created: Timestamp, moment: Moment) -> Self {
        Self {
            id: super::new_id(),
            user_principal_name: user_principal_name.to_owned(),
            display_name: display_name.to_owned(),
            account_enabled: true,
            attributes: Map::new(),
            extensions: BTreeMap::new(),
            password: None,
            must_change_password: false,
            password_set: created,
            access_pass: None,
            passkeys: Vec::new(),
            passkey_challenges: Vec::new(),
            sessions_valid_from: created,
            sessions_revoked_moment: None,
            created,
            created_moment: moment,
            enabled_moment: moment,
            password_moment: moment,
            privileges_ended: Vec::new(),
            deleted: None,
            revision: 1,
            wrong_passwords: 0,
            locked_until: None,
        }
    }

    /// Notes that something changed.
    pub fn changed(&mut self) {
        self.revision += 1;
    }

    /// Whether this account comes from an on-premises directory and is read-only here.
    #[must_use]
    pub fn is_synchronised(&self) -> bool {
        self.attributes.get("onPremisesSyncEnabled").is_some_and(|value| value == &Value::Bool(true))
    }
}

/// A Temporary Access Pass.
#[derive(Clone, Debug)]
pub struct AccessPass {
    /// Method id.
    pub id: String,
    /// The code a person types; shown once, when it is made.
    pub code: String,
    /// Usable from then.
    pub start: Timestamp,
    /// Usable for so long.
    pub lifetime_minutes: u32,
    /// One sign-in only.
    pub once: bool,
    /// Whether a sign-in happened with it.
    pub used: bool,
    /// Creation, simulated time.
    pub created: Timestamp,
    /// Creation, for the lag at sign-in.
    pub created_moment: Moment,
}

impl AccessPass {
    /// The first instant at which it is no longer usable.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.start.checked_add(Duration::from_secs(u64::from(self.lifetime_minutes) * 60)).unwrap_or(Timestamp::MAX)
    }

    /// `methodUsabilityReason` and `isUsable` as Graph shows them.
    #[must_use]
    pub fn usability(&self, now: Timestamp, enabled_by_policy: bool) -> (bool, &'static str) {
        if !enabled_by_policy {
            (false, "DisabledByPolicy")
        } else if now < self.start {
            (false, "NotYetValid")
        } else if now >= self.end() {
            (false, "Expired")
        } else if self.once && self.used {
            (false, "OneTimeUsed")
        } else {
            (true, "EnabledByPolicy")
        }
    }
}
