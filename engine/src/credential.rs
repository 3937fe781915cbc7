//! Which credential a lease gets, and the credentials that this process holds.
//!
//! A held credential is in memory only. It leaves for one field of one document, or for the technician's eyes.
//! Facts: Microsoft Graph temporaryAccessPassAuthenticationMethod: lifetime 10 to 43,200 minutes and within the
//! tenant's policy, whose defaults are 60 and 480.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use latchkey_protocol::{CredentialKind, CredentialPlan, CredentialUnavailable, Document};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    Failure,
    graph::{Capabilities, PassLifetime, PassPolicy},
    passkey::Obstacle,
    plan::Issue,
    store::TenantRow,
};

/// What Microsoft allows at all, in minutes.
const PASS_MINUTES: (u32, u32) = (10, 43_200);
/// What a policy allows that nobody has changed, in minutes.
const USUAL_POLICY: (u32, u32) = (60, 480);
/// A tenant that refused a pass is not asked again for so long, in milliseconds.
const REFUSAL_LASTS: i64 = 3_600_000;

/// What the next lease of a tenant gets, and why not something better.
pub(crate) fn choose(tenant: &TenantRow, capabilities: &Capabilities, now: i64) -> CredentialPlan {
    let password = |because: &str| CredentialPlan {
        kind: CredentialKind::Password,
        because: Some(format!("{because}, so a password is used: the portals will ask to register MFA.")),
        unavailable: Vec::new(),
        otherwise: None,
    };
    if !tenant.cloud.hosts().has_temporary_access_pass {
        return password("This cloud has no Temporary Access Passes");
    }
    if !capabilities.passes() {
        return password("The application lacks the permission UserAuthMethod-TAP.ReadWrite.All");
    }
    if tenant.pass_policy.as_ref().is_some_and(|policy| policy.state != "enabled") {
        return password("Temporary Access Passes are switched off in the tenant's authentication methods");
    }
    if tenant.pass_refused_at.is_some_and(|at| (0..REFUSAL_LASTS).contains(&(now - at))) {
        return password("The tenant refused a Temporary Access Pass a short while ago");
    }
    CredentialPlan {
        kind: CredentialKind::TemporaryAccessPass,
        because: None,
        unavailable: Vec::new(),
        otherwise: None,
    }
}

/// The best credential there is for an account, best first: passkey, Temporary Access Pass, password. `passkey` is what
/// is in the way of the first, `pinned` what the configuration says is to be the best.
pub(crate) fn best(
    tenant: &TenantRow,
    capabilities: &Capabilities,
    passkey: Option<Obstacle>,
    pinned: Option<CredentialKind>,
    now: i64,
) -> CredentialPlan {
    let mut rest = choose(tenant, capabilities, now);
    let mut unavailable = Vec::new();
    let mut without = |kind, because: String, remedy: String| {
        unavailable.push(CredentialUnavailable { kind, because, remedy });
    };
    let by_choice = || ("The configuration chooses another one.".to_owned(), "Change `credential` there.".to_owned());
    let passkey = match (passkey, pinned) {
        (_, Some(CredentialKind::TemporaryAccessPass | CredentialKind::Password)) => {
            let (because, remedy) = by_choice();
            without(CredentialKind::Passkey, because, remedy);
            false
        }
        (Some(obstacle), _) => {
            without(CredentialKind::Passkey, obstacle.because().to_owned(), obstacle.remedy());
            false
        }
        (None, _) => true,
    };
    if pinned == Some(CredentialKind::Password) {
        let (because, remedy) = by_choice();
        rest.because = Some("The configuration says so: the portals will ask to register MFA.".to_owned());
        rest.kind = CredentialKind::Password;
        without(CredentialKind::TemporaryAccessPass, because, remedy);
    } else if let (CredentialKind::Password, Some(because)) = (rest.kind, &rest.because) {
        let remedy = "Allow Temporary Access Pass under Authentication methods, and grant \
            UserAuthMethod-TAP.ReadWrite.All."
            .to_owned();
        without(CredentialKind::TemporaryAccessPass, because.clone(), remedy);
    }
    if passkey {
        return CredentialPlan {
            kind: CredentialKind::Passkey,
            because: None,
            unavailable: Vec::new(),
            otherwise: Some(rest.kind),
        };
    }
    CredentialPlan { unavailable, ..rest }
}

/// What is issued when the page has refused `refused`; none: nothing is left.
pub(crate) fn after(
    refused: CredentialKind,
    tenant: &TenantRow,
    capabilities: &Capabilities,
    pinned: Option<CredentialKind>,
    now: i64,
) -> Option<CredentialPlan> {
    let rest = best(tenant, capabilities, Some(Obstacle::RefusedLately), pinned, now);
    match refused {
        CredentialKind::Passkey => Some(rest),
        CredentialKind::TemporaryAccessPass => Some(CredentialPlan {
            kind: CredentialKind::Password,
            because: Some(
                "The page refused the Temporary Access Pass, so a password is used: the portals will ask to register \
                 MFA."
                    .to_owned(),
            ),
            unavailable: Vec::new(),
            otherwise: None,
        }),
        CredentialKind::Password => None,
    }
}

/// The credential as a step of a plan.
///
/// Where the directory has refused to let us replace a password, the account is made with one: making an account is not
/// among the actions that take a directory role.
pub(crate) const fn issue(kind: CredentialKind, passwords_allowed: bool) -> Issue {
    match kind {
        // It was issued when the account was prepared.
        CredentialKind::Passkey => Issue::Keep,
        CredentialKind::TemporaryAccessPass => Issue::Pass,
        CredentialKind::Password if !passwords_allowed => Issue::NewAccount,
        CredentialKind::Password => Issue::Password,
    }
}

/// The lifetime of a pass: that of the lease, as far as the policy allows. Where the policy cannot be read the usual
/// one is assumed; if that is wrong the tenant refuses and its own default is taken.
pub(crate) fn lifetime(minutes: u32, policy: Option<&PassPolicy>) -> PassLifetime {
    let shortest = policy.map_or(Some(USUAL_POLICY.0), |policy| policy.minimum_lifetime_in_minutes);
    let longest = policy.map_or(Some(USUAL_POLICY.1), |policy| policy.maximum_lifetime_in_minutes);
    let shortest = shortest.unwrap_or(PASS_MINUTES.0).clamp(PASS_MINUTES.0, PASS_MINUTES.1);
    let longest = longest.unwrap_or(PASS_MINUTES.1).clamp(shortest, PASS_MINUTES.1);
    PassLifetime::Minutes {
        minutes: minutes.clamp(shortest, longest),
        once: policy.and_then(|policy| policy.is_usable_once).unwrap_or(false),
    }
}

/// The credentials that this process holds, by lease.
#[derive(Default)]
pub(crate) struct HeldCredentials {
    held: Mutex<HashMap<Uuid, Held>>,
    /// Digests of challenges that were signed.
    answered: Mutex<HashSet<[u8; 32]>>,
}

/// One credential.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) kind: CredentialKind,
    pub(crate) value: SecretString,
    pub(crate) user_name: String,
    /// Which issue of the account's credential it is: a later one makes it worthless.
    pub(crate) generation: i64,
    /// When it ends by itself, if it does.
    pub(crate) lasts_until: Option<i64>,
    /// Whether it signs in only once.
    pub(crate) once: bool,
    filled: HashSet<(i32, String)>,
}

impl Held {
    pub(crate) fn new(kind: CredentialKind, value: SecretString, user_name: String, generation: i64) -> Self {
        Self { kind, value, user_name, generation, lasts_until: None, once: false, filled: HashSet::new() }
    }

    pub(crate) const fn ending(mut self, lasts_until: Option<i64>, once: bool) -> Self {
        self.lasts_until = lasts_until;
        self.once = once;
        self
    }

    /// The same for another lease of the account, which has filled nothing yet.
    pub(crate) fn for_another(&self) -> Self {
        Self { filled: HashSet::new(), ..self.clone() }
    }

    /// Whether it still signs in at that time, as far as can be told.
    pub(crate) fn lasts(&self, until: i64) -> bool {
        self.lasts_until.is_none_or(|end| end >= until) && (!self.once || self.filled.is_empty())
    }
}

impl HeldCredentials {
    pub(crate) fn keep(&self, lease_id: Uuid, credential: Held) {
        self.with(|held| {
            held.insert(lease_id, credential);
        });
    }

    pub(crate) fn forget(&self, lease_id: Uuid) {
        self.with(|held| {
            held.remove(&lease_id);
        });
    }

    /// The credential of a lease, if it is the one that was issued last.
    pub(crate) fn get(&self, lease_id: Uuid, generation: i64) -> Option<Held> {
        self.with(|held| held.get(&lease_id).filter(|credential| credential.generation == generation).cloned())
    }

    /// Notes that a document is being filled. Each is filled once, whatever comes of it.
    pub(crate) fn fill_once(&self, lease_id: Uuid, document: &Document) -> Result<(), Failure> {
        self.with(|held| {
            let credential = held.get_mut(&lease_id).ok_or(Failure::CredentialGone)?;
            let filled = (document.tab_id, document.document_id.clone());
            if credential.filled.insert(filled) { Ok(()) } else { Err(Failure::AlreadyFilled) }
        })
    }

    /// Notes that a challenge is being signed. Each is signed once, whatever comes of it; when more than `most` were,
    /// none is any more until the process starts anew.
    pub(crate) fn answer_once(&self, challenge: [u8; 32], most: usize) -> Result<(), Failure> {
        let mut answered = self.answered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if answered.len() < most && answered.insert(challenge) { Ok(()) } else { Err(Failure::PasskeyAnswered) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<Uuid, Held>) -> T) -> T {
        // A thread that panicked inside left a map that is whole.
        work(&mut self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(minimum: u32, maximum: u32, once: bool) -> PassPolicy {
        PassPolicy {
            state: "enabled".to_owned(),
            minimum_lifetime_in_minutes: Some(minimum),
            maximum_lifetime_in_minutes: Some(maximum),
            is_usable_once: Some(once),
        }
    }

    #[test]
    fn a_pass_lives_as_long_as_the_lease_within_the_policy() {
        let minutes = |asked, policy: Option<&PassPolicy>| match lifetime(asked, policy) {
            PassLifetime::Minutes { minutes, .. } => minutes,
            PassLifetime::AsThePolicySays => 0,
        };
        assert_eq!(minutes(240, Some(&policy(60, 480, false))), 240);
        assert_eq!(minutes(15, Some(&policy(60, 480, false))), 60);
        assert_eq!(minutes(900, Some(&policy(60, 480, false))), 480);
        assert_eq!(minutes(1, Some(&policy(1, 99_999, false))), 10);
        assert_eq!(minutes(240, None), 240);
        assert_eq!(lifetime(60, Some(&policy(60, 480, true))), PassLifetime::Minutes { minutes: 60, once: true });
    }

    #[test]
    fn a_document_is_filled_once() {
        let held = HeldCredentials::default();
        let lease = Uuid::from_u128(1);
        held.keep(lease, Held::new(CredentialKind::Password, SecretString::from("x"), "u".to_owned(), 3));
        let document = Document { tab_id: 1, document_id: "d".to_owned(), origin: String::new() };
        assert_eq!(held.fill_once(lease, &document), Ok(()));
        assert_eq!(held.fill_once(lease, &document), Err(Failure::AlreadyFilled));
        let next = Document { document_id: "e".to_owned(), ..document };
        assert_eq!(held.fill_once(lease, &next), Ok(()));
        assert!(held.get(lease, 3).is_some());
        assert!(held.get(lease, 4).is_none());
        held.forget(lease);
        assert_eq!(held.fill_once(lease, &next), Err(Failure::CredentialGone));
    }
}
