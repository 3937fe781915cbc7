//! Which credential a lease gets, and the credentials that this process holds.
//!
//! A held credential is in memory only. It leaves for one field of one document, or for the technician's eyes.
//! Facts: Microsoft Graph temporaryAccessPassAuthenticationMethod: lifetime 10 to 43,200 minutes and within the
//! tenant's policy, whose defaults are 60 and 480.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use latchkey_protocol::{CredentialKind, CredentialPlan, CredentialUnavailable, Document, FillField};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    Failure,
    graph::{Capabilities, PassLifetime, PassPolicy},
    oath::OathObstacle,
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

/// The kinds, best first. The last one is always there.
const IN_LINE: [CredentialKind; 4] = [
    CredentialKind::Passkey,
    CredentialKind::TemporaryAccessPass,
    CredentialKind::PasswordTotp,
    CredentialKind::Password,
];

/// Why a kind cannot be used, and what would have to be done about it.
struct InTheWay {
    because: String,
    remedy: String,
    /// It was never asked for, so nobody hears of it.
    silent: bool,
}

/// What is known of an account's credentials beyond its tenant: what is in the way of a passkey and of a one-time code,
/// and what the configuration says is to be the best.
#[derive(Clone, Copy)]
pub(crate) struct Outlook {
    pub(crate) passkey: Option<Obstacle>,
    pub(crate) oath: Option<OathObstacle>,
    pub(crate) pinned: Option<CredentialKind>,
}

impl Outlook {
    /// Whether a password that is issued comes with a one-time code, whatever was to be issued.
    pub(crate) fn with_codes(&self, refused: Option<CredentialKind>) -> bool {
        let enough = |kind| matches!(kind, Some(CredentialKind::Password));
        self.oath.is_none() && !enough(self.pinned) && !enough(refused) && refused != Some(CredentialKind::PasswordTotp)
    }
}

/// What is in the way of a Temporary Access Pass, without a full stop.
fn pass_obstacle(tenant: &TenantRow, capabilities: &Capabilities, now: i64) -> Option<&'static str> {
    if !tenant.cloud.hosts().has_temporary_access_pass {
        return Some("This cloud has no Temporary Access Passes");
    }
    if !capabilities.passes() {
        return Some("The application lacks the permission UserAuthMethod-TAP.ReadWrite.All");
    }
    if tenant.pass_policy.as_ref().is_some_and(|policy| policy.state != "enabled") {
        return Some("Temporary Access Passes are switched off in the tenant's authentication methods");
    }
    let lately = tenant.pass_refused_at.is_some_and(|at| (0..REFUSAL_LASTS).contains(&(now - at)));
    lately.then_some("The tenant refused a Temporary Access Pass a short while ago")
}

fn in_the_way(
    kind: CredentialKind,
    tenant: &TenantRow,
    capabilities: &Capabilities,
    outlook: &Outlook,
    now: i64,
) -> Option<InTheWay> {
    let is_above = |pinned| place(kind) < place(pinned);
    if outlook.pinned.is_some_and(is_above) {
        return Some(InTheWay {
            because: "The configuration chooses another one.".to_owned(),
            remedy: "Change `credential` there.".to_owned(),
            silent: kind == CredentialKind::PasswordTotp && outlook.oath == Some(OathObstacle::NotChosen),
        });
    }
    match kind {
        CredentialKind::Passkey => outlook.passkey.map(|obstacle| InTheWay {
            because: obstacle.because().to_owned(),
            remedy: obstacle.remedy(),
            silent: false,
        }),
        CredentialKind::TemporaryAccessPass => pass_obstacle(tenant, capabilities, now).map(|obstacle| InTheWay {
            because: format!("{obstacle}."),
            remedy: "Allow Temporary Access Pass under Authentication methods, and grant \
                UserAuthMethod-TAP.ReadWrite.All."
                .to_owned(),
            silent: false,
        }),
        CredentialKind::PasswordTotp => outlook.oath.map(|obstacle| InTheWay {
            because: obstacle.because(),
            remedy: obstacle.remedy(),
            silent: obstacle == OathObstacle::NotChosen && outlook.pinned != Some(CredentialKind::PasswordTotp),
        }),
        CredentialKind::Password => None,
    }
}

fn place(kind: CredentialKind) -> usize {
    IN_LINE.iter().position(|one| *one == kind).unwrap_or(IN_LINE.len())
}

/// The best credential there is for an account, best first: passkey, Temporary Access Pass, password and one-time code,
/// password.
pub(crate) fn best(tenant: &TenantRow, capabilities: &Capabilities, outlook: &Outlook, now: i64) -> CredentialPlan {
    let mut unavailable = Vec::new();
    let mut found: Option<CredentialKind> = None;
    let mut otherwise = None;
    for kind in IN_LINE {
        match in_the_way(kind, tenant, capabilities, outlook, now) {
            None if found.is_none() => found = Some(kind),
            None => {
                otherwise = Some(kind);
                break;
            }
            Some(InTheWay { because, remedy, silent }) if found.is_none() && !silent => {
                unavailable.push(CredentialUnavailable { kind, because, remedy });
            }
            Some(_) => {}
        }
    }
    let kind = found.unwrap_or(CredentialKind::Password);
    let because = match kind {
        CredentialKind::Passkey | CredentialKind::TemporaryAccessPass => None,
        with if outlook.pinned == Some(with) => {
            (!is_with_code(with)).then(|| "The configuration says so: the portals will ask to register MFA.".to_owned())
        }
        with => pass_obstacle(tenant, capabilities, now).map(|obstacle| because(obstacle, is_with_code(with))),
    };
    // What is not issued on the click needs something to be issued when that turns out not to be there.
    let otherwise = otherwise.filter(|_| kind == CredentialKind::Passkey);
    CredentialPlan { kind, because, unavailable, otherwise, passkey_kept: false }
}

const fn is_with_code(kind: CredentialKind) -> bool {
    matches!(kind, CredentialKind::PasswordTotp)
}

/// Why it is a password, with or without a one-time code. `obstacle` has no full stop.
pub(crate) fn because(obstacle: &str, with_code: bool) -> String {
    if with_code {
        format!("{obstacle}, so a password with a one-time code is used.")
    } else {
        format!("{obstacle}, so a password is used: the portals will ask to register MFA.")
    }
}

/// What is issued when the page has refused `refused`; none: nothing is left.
pub(crate) fn after(
    refused: CredentialKind,
    tenant: &TenantRow,
    capabilities: &Capabilities,
    outlook: &Outlook,
    now: i64,
) -> Option<CredentialPlan> {
    let next = IN_LINE.into_iter().skip(place(refused) + 1).find(|kind| {
        // What the tenant is not to be asked for is not in line; the last one is.
        in_the_way(*kind, tenant, capabilities, outlook, now).is_none()
    })?;
    let because = match (refused, next) {
        (_, CredentialKind::Passkey | CredentialKind::TemporaryAccessPass) => None,
        (CredentialKind::Passkey, with) => {
            pass_obstacle(tenant, capabilities, now).map(|obstacle| because(obstacle, is_with_code(with)))
        }
        (CredentialKind::PasswordTotp, with) => Some(because("The page refused the code", is_with_code(with))),
        (_, with) => Some(because("The page refused the Temporary Access Pass", is_with_code(with))),
    };
    Some(CredentialPlan { kind: next, because, unavailable: Vec::new(), otherwise: None, passkey_kept: false })
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
        CredentialKind::PasswordTotp | CredentialKind::Password if !passwords_allowed => Issue::NewAccount,
        CredentialKind::PasswordTotp | CredentialKind::Password => Issue::Password,
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
    filled: HashSet<(i32, String, FillField)>,
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

    /// Notes that a field of a document is being filled. Each is filled once, whatever comes of it.
    pub(crate) fn fill_once(&self, lease_id: Uuid, document: &Document, field: FillField) -> Result<(), Failure> {
        self.with(|held| {
            let credential = held.get_mut(&lease_id).ok_or(Failure::CredentialGone)?;
            let filled = (document.tab_id, document.document_id.clone(), field);
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
    fn a_field_of_a_document_is_filled_once() {
        let held = HeldCredentials::default();
        let lease = Uuid::from_u128(1);
        held.keep(lease, Held::new(CredentialKind::Password, SecretString::from("x"), "u".to_owned(), 3));
        let document = Document { tab_id: 1, document_id: "d".to_owned(), origin: String::new() };
        assert_eq!(held.fill_once(lease, &document, FillField::Password), Ok(()));
        assert_eq!(held.fill_once(lease, &document, FillField::Password), Err(Failure::AlreadyFilled));
        assert_eq!(held.fill_once(lease, &document, FillField::OneTimeCode), Ok(()), "another box of it");
        let next = Document { document_id: "e".to_owned(), ..document };
        assert_eq!(held.fill_once(lease, &next, FillField::Password), Ok(()));
        assert!(held.get(lease, 3).is_some());
        assert!(held.get(lease, 4).is_none());
        held.forget(lease);
        assert_eq!(held.fill_once(lease, &next, FillField::Password), Err(Failure::CredentialGone));
    }
}
