//! Passkeys (FIDO2): the policy of a tenant as Graph shows it, the keys of a user, and which policy holds for whom.
//!
//! Nothing here knows HTTP or checks a signature. Facts: Microsoft Graph, `fido2AuthenticationMethodConfiguration`,
//! `passkeyProfile`; Microsoft Entra, passkey profiles.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use webauthn_rs_core::proto::{Credential, RegistrationState};

use super::Tenant;
use super::tenant::Cloud;
use crate::clock::Moment;

/// The target that means everybody.
pub const EVERYBODY: &str = "all_users";
/// How many profiles a tenant can have.
pub const MOST_PROFILES: usize = 3;

/// Whether a method may be used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MethodState {
    /// Yes, by those whom the policy names.
    #[default]
    Enabled,
    /// By nobody.
    Disabled,
}

/// `targetType` of a target: only groups can be named.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TargetType {
    /// A group, or everybody.
    #[default]
    Group,
}

/// Whom a method's policy names.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// Always a group.
    #[serde(default)]
    pub target_type: TargetType,
    /// Object id of a group, or [`EVERYBODY`].
    pub id: String,
    /// Whether the person is nudged to register.
    #[serde(default)]
    pub is_registration_required: bool,
    /// Ids of the profiles that hold for it; passkeys only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_passkey_profiles: Vec<Uuid>,
}

impl Target {
    /// Everybody, without a profile.
    #[must_use]
    pub fn everybody() -> Self {
        Self {
            target_type: TargetType::Group,
            id: EVERYBODY.to_owned(),
            is_registration_required: false,
            allowed_passkey_profiles: Vec::new(),
        }
    }
}

/// Whom a method's policy leaves out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exclusion {
    /// Always a group.
    #[serde(default)]
    pub target_type: TargetType,
    /// Object id of a group.
    pub id: String,
}

/// Which makes of authenticator may be used.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRestrictions {
    /// Whether this is looked at.
    #[serde(default)]
    pub is_enforced: bool,
    /// Whether the list says what may, or what may not be used.
    #[serde(default)]
    pub enforcement_type: Enforcement,
    /// The makes.
    #[serde(default, rename = "aaGuids")]
    pub aaguids: Vec<Uuid>,
}

/// What a list of makes means.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Enforcement {
    /// Only these.
    Allow,
    /// All but these.
    #[default]
    Block,
}

impl KeyRestrictions {
    fn allow(&self, aaguid: Uuid) -> bool {
        let listed = self.aaguids.contains(&aaguid);
        !self.is_enforced || listed == (self.enforcement_type == Enforcement::Allow)
    }
}

/// When a maker's certificate is asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AttestationEnforcement {
    /// Never.
    #[default]
    Disabled,
    /// When a key is registered.
    RegistrationOnly,
}

/// A named set of rules for some of the people.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasskeyProfile {
    /// Its id.
    pub id: Uuid,
    /// Name shown to people.
    pub name: String,
    /// `deviceBound`, `synced`, or both with a comma.
    pub passkey_types: String,
    /// Whether a maker must vouch for the key.
    #[serde(default)]
    pub attestation_enforcement: AttestationEnforcement,
    /// Which makes.
    #[serde(default)]
    pub key_restrictions: KeyRestrictions,
}

/// The policy, in the words of Graph.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasskeyPolicy {
    /// On or off.
    pub state: MethodState,
    /// People may set keys up, and so may an application on behalf of them.
    pub is_self_service_registration_allowed: bool,
    /// A maker must vouch for each key; where there are profiles, they decide.
    pub is_attestation_enforced: bool,
    /// Which makes; where there are profiles, they decide.
    pub key_restrictions: KeyRestrictions,
    /// Who may have keys.
    pub include_targets: Vec<Target>,
    /// Who may not.
    pub exclude_targets: Vec<Exclusion>,
    /// At most three.
    pub passkey_profiles: Vec<PasskeyProfile>,
    /// The one for targets that name none.
    pub default_passkey_profile: Option<Uuid>,
}

impl Default for PasskeyPolicy {
    /// On for everybody, with nothing asked of a key.
    fn default() -> Self {
        Self {
            state: MethodState::Enabled,
            is_self_service_registration_allowed: true,
            is_attestation_enforced: false,
            key_restrictions: KeyRestrictions::default(),
            include_targets: vec![Target::everybody()],
            exclude_targets: Vec::new(),
            passkey_profiles: Vec::new(),
            default_passkey_profile: None,
        }
    }
}

/// A key of a user.
#[derive(Clone, Debug)]
pub struct Passkey {
    /// Method id, opaque.
    pub id: String,
    /// Name given to it.
    pub display_name: String,
    /// Public key, counter and flags.
    pub credential: Credential,
    /// Which make of authenticator it says it is.
    pub aaguid: Uuid,
    /// Its maker vouches for it.
    pub certified: bool,
    /// The relying party it was made for.
    pub relying_party: String,
    /// Registration, simulated time.
    pub created: Timestamp,
    /// Registration, for the lag at sign-in.
    pub created_moment: Moment,
}

impl Passkey {
    /// Copies of it may be in several places.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.credential.backup_eligible
    }
}

/// A challenge for a new key that was handed out and not used yet.
#[derive(Clone, Debug)]
pub struct PasskeyChallenge {
    /// The challenge itself.
    pub challenge: Vec<u8>,
    /// What the answer is judged by.
    pub state: RegistrationState,
    /// The relying party it was made for.
    pub relying_party: String,
    /// Refused from then on.
    pub expires: Timestamp,
}

/// What identifies a user to an authenticator: opaque, the same for all keys of the user.
#[must_use]
pub fn user_handle(tenant_id: &str, user_id: &str) -> Vec<u8> {
    let digest = Sha256::digest(format!("{tenant_id}\n{user_id}"));
    [b"O:".as_slice(), &digest[..30]].concat()
}

/// Why a policy refuses a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unfit {
    /// The method is off, or not for this person.
    Method,
    /// The make of the authenticator is not allowed.
    Make,
    /// Nobody vouches for it.
    Uncertified,
    /// Synced, or bound to a device, where that is not allowed.
    Kind,
}

impl Tenant {
    /// Whether the policy covers this user at all.
    #[must_use]
    pub fn passkeys_allowed(&self, user_id: &str) -> bool {
        !self.passkey_rules_for(user_id).is_empty()
    }

    /// Whether a key may be registered (or, with `registering` false, used) by this user: it must satisfy all of at
    /// least one set of rules that holds for the user.
    ///
    /// # Errors
    /// What the last of these rules has against it.
    pub fn passkey_fits(
        &self,
        user_id: &str,
        aaguid: Uuid,
        synced: bool,
        certified: bool,
        registering: bool,
    ) -> Result<(), Unfit> {
        let mut against = Err(Unfit::Method);
        for rule in self.passkey_rules_for(user_id) {
            let kind = if synced { "synced" } else { "deviceBound" };
            against = if !rule.passkey_types.split(',').any(|known| known.trim() == kind) {
                Err(Unfit::Kind)
            } else if !rule.key_restrictions.allow(aaguid) {
                Err(Unfit::Make)
            } else if registering
                && rule.attestation_enforcement == AttestationEnforcement::RegistrationOnly
                && !certified
            {
                Err(Unfit::Uncertified)
            } else {
                return Ok(());
            };
        }
        against
    }

    /// Every set of rules that holds for this user; none when passkeys are not for this user.
    fn passkey_rules_for(&self, user_id: &str) -> Vec<PasskeyProfile> {
        let policy = &self.passkey_policy;
        let groups = self.groups_of(user_id);
        let member_of = |id: &str| groups.iter().any(|group| group.id.eq_ignore_ascii_case(id));
        if policy.state == MethodState::Disabled
            || self.cloud != Cloud::Global
            || policy.exclude_targets.iter().any(|target| member_of(&target.id))
        {
            return Vec::new();
        }
        let targets: Vec<&Target> =
            policy.include_targets.iter().filter(|target| target.id == EVERYBODY || member_of(&target.id)).collect();
        if targets.is_empty() {
            return Vec::new();
        }
        if policy.passkey_profiles.is_empty() {
            return vec![policy.as_profile()];
        }
        policy
            .passkey_profiles
            .iter()
            .filter(|profile| {
                targets.iter().any(|target| match target.allowed_passkey_profiles.as_slice() {
                    [] => policy.default_passkey_profile == Some(profile.id),
                    named => named.contains(&profile.id),
                })
            })
            .cloned()
            .collect()
    }
}

impl PasskeyPolicy {
    fn as_profile(&self) -> PasskeyProfile {
        PasskeyProfile {
            id: Uuid::nil(),
            name: String::new(),
            passkey_types: "deviceBound,synced".to_owned(),
            attestation_enforcement: if self.is_attestation_enforced {
                AttestationEnforcement::RegistrationOnly
            } else {
                AttestationEnforcement::Disabled
            },
            key_restrictions: self.key_restrictions.clone(),
        }
    }
}
