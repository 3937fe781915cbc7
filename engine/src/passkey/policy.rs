//! Whether a tenant lets its accounts have a passkey that a program keeps.
//!
//! Pure. Where the policy cannot be read nothing is concluded: it is tried, and the next credential in line is there.
//!
//! Facts: Microsoft Graph fido2AuthenticationMethodConfiguration and passkeyProfile. A passkey that is registered on
//! behalf of an account needs self-service set-up allowed; one without attestation needs attestation not enforced.

use serde::{Deserialize, Serialize};

use super::authenticator::PASSKEY_AAGUID;

/// The policy, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PasskeyPolicy {
    state: Option<String>,
    is_self_service_registration_allowed: Option<bool>,
    is_attestation_enforced: Option<bool>,
    key_restrictions: Option<KeyRestrictions>,
    include_targets: Vec<Target>,
    passkey_profiles: Vec<Profile>,
    default_passkey_profile: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct KeyRestrictions {
    is_enforced: Option<bool>,
    enforcement_type: Option<String>,
    aa_guids: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Target {
    id: String,
    allowed_passkey_profiles: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Profile {
    id: String,
    attestation_enforcement: Option<String>,
    key_restrictions: Option<KeyRestrictions>,
    passkey_types: Option<String>,
}

/// What is in the way of a passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    Cloud,
    Permission,
    SwitchedOff,
    NoSelfService,
    Attestation,
    KeyRestrictions,
    SyncedNotAllowed,
    RefusedLately,
    NotMade,
    NotArrived,
    NobodyVerified,
}

impl Obstacle {
    /// Why there is no passkey, as one sentence.
    pub(crate) const fn because(self) -> &'static str {
        match self {
            Self::Cloud => "This cloud has no passkeys that an application can register.",
            Self::Permission => "The application lacks the permission UserAuthMethod-Passkey.ReadWrite.All.",
            Self::SwitchedOff => "Passkeys are switched off in the tenant's authentication methods.",
            Self::NoSelfService => "The tenant does not allow passkeys to be set up.",
            Self::Attestation => "The tenant demands passkeys whose maker is attested.",
            Self::KeyRestrictions => "The tenant's key restrictions do not allow Latchkey's passkeys.",
            Self::SyncedNotAllowed => "The tenant allows passkeys of hardware only.",
            Self::RefusedLately => "Microsoft refused the passkey a short while ago.",
            Self::NotMade => "This machine holds no passkey for the account.",
            Self::NotArrived => "The passkey was made just now and has not arrived everywhere.",
            Self::NobodyVerified => "Nobody was verified in time for the lease's own passkey to be made.",
        }
    }

    /// What would have to be done, as one sentence.
    pub(crate) fn remedy(self) -> String {
        const METHOD: &str = "In the Entra admin center, under Authentication methods, Passkey (FIDO2),";
        match self {
            Self::Cloud => "Nothing can be done about it.".to_owned(),
            Self::Permission => {
                "Grant the application UserAuthMethod-Passkey.ReadWrite.All (an administrator's consent is needed)."
                    .to_owned()
            }
            Self::SwitchedOff => format!("{METHOD} switch the method on for all users."),
            Self::NoSelfService => format!("{METHOD} set \"Allow self-service set up\" to Yes."),
            Self::Attestation => format!("{METHOD} set \"Enforce attestation\" to No for the JIT accounts."),
            Self::KeyRestrictions => format!("{METHOD} allow the AAGUID {PASSKEY_AAGUID}."),
            Self::SyncedNotAllowed => format!("{METHOD} allow synced passkeys in the accounts' passkey profile."),
            Self::RefusedLately => "It is tried again after an hour.".to_owned(),
            Self::NotMade => "Set a PIN with `latchkey pin set`, then run `latchkey prepare`.".to_owned(),
            Self::NotArrived => "Wait half a minute.".to_owned(),
            Self::NobodyVerified => "Enter your PIN when you are asked for it.".to_owned(),
        }
    }
}

impl PasskeyPolicy {
    /// The first thing that is in the way, if anything is.
    pub(crate) fn obstacle(&self) -> Option<Obstacle> {
        if self.state.as_deref().is_some_and(|state| state != "enabled") {
            return Some(Obstacle::SwitchedOff);
        }
        if self.is_self_service_registration_allowed == Some(false) {
            return Some(Obstacle::NoSelfService);
        }
        let profiles: Vec<_> = self
            .passkey_profiles
            .iter()
            .filter(|profile| {
                let default = self.default_passkey_profile.as_ref() == Some(&profile.id);
                self.include_targets.iter().any(|target| {
                    let named = &target.allowed_passkey_profiles;
                    named.contains(&profile.id) || (named.is_empty() && default)
                })
            })
            .collect();
        if profiles.is_empty() {
            if self.is_attestation_enforced == Some(true) {
                return Some(Obstacle::Attestation);
            }
            return self.key_restrictions.as_ref().and_then(KeyRestrictions::obstacle);
        }
        // An account may use whatever any of its profiles allows.
        let mut obstacles = profiles.iter().map(|profile| profile.obstacle());
        let first = obstacles.next().flatten();
        if obstacles.any(|obstacle| obstacle.is_none()) { None } else { first }
    }
}

impl Profile {
    fn obstacle(&self) -> Option<Obstacle> {
        if self.attestation_enforcement.as_deref().is_some_and(|enforcement| enforcement != "disabled") {
            return Some(Obstacle::Attestation);
        }
        let synced = |kinds: &str| kinds.split(',').any(|kind| kind.trim() == "synced");
        if self.passkey_types.as_deref().is_some_and(|kinds| !synced(kinds)) {
            return Some(Obstacle::SyncedNotAllowed);
        }
        self.key_restrictions.as_ref().and_then(KeyRestrictions::obstacle)
    }
}

impl KeyRestrictions {
    fn obstacle(&self) -> Option<Obstacle> {
        if self.is_enforced != Some(true) {
            return None;
        }
        let ours = PASSKEY_AAGUID.to_string();
        let listed = self.aa_guids.iter().any(|listed| listed.eq_ignore_ascii_case(&ours));
        let allowed = if self.enforcement_type.as_deref() == Some("block") { !listed } else { listed };
        (!allowed).then_some(Obstacle::KeyRestrictions)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn obstacle(policy: Value) -> Option<Obstacle> {
        serde_json::from_value::<PasskeyPolicy>(policy).unwrap().obstacle()
    }

    #[test]
    fn each_setting_that_is_in_the_way_is_named() {
        let ours = PASSKEY_AAGUID.to_string();
        for (policy, expected) in [
            (json!({ "state": "enabled", "isSelfServiceRegistrationAllowed": true }), None),
            (json!({ "state": "disabled" }), Some(Obstacle::SwitchedOff)),
            (json!({ "state": "enabled", "isSelfServiceRegistrationAllowed": false }), Some(Obstacle::NoSelfService)),
            (json!({ "state": "enabled", "isAttestationEnforced": true }), Some(Obstacle::Attestation)),
            (
                json!({ "keyRestrictions": { "isEnforced": true, "enforcementType": "allow", "aaGuids": [] } }),
                Some(Obstacle::KeyRestrictions),
            ),
            (json!({ "keyRestrictions": { "isEnforced": true, "enforcementType": "allow", "aaGuids": [ours] } }), None),
            (
                json!({ "keyRestrictions": { "isEnforced": true, "enforcementType": "block", "aaGuids": [ours] } }),
                Some(Obstacle::KeyRestrictions),
            ),
            (json!({ "keyRestrictions": { "isEnforced": true, "enforcementType": "block", "aaGuids": [] } }), None),
            (json!({ "keyRestrictions": { "isEnforced": false, "enforcementType": "allow", "aaGuids": [] } }), None),
        ] {
            assert_eq!(obstacle(policy.clone()), expected, "{policy}");
        }
    }

    #[test]
    fn one_profile_that_allows_it_is_enough() {
        let with = |profiles: Value, allowed: Value| {
            obstacle(json!({
                "state": "enabled", "isAttestationEnforced": true, "passkeyProfiles": profiles,
                "includeTargets": [{ "id": "all_users", "allowedPasskeyProfiles": allowed }],
            }))
        };
        let strict = json!({ "id": "1", "attestationEnforcement": "registrationOnly", "passkeyTypes": "deviceBound" });
        let hardware = json!({ "id": "2", "attestationEnforcement": "disabled", "passkeyTypes": "deviceBound" });
        let open = json!({ "id": "3", "attestationEnforcement": "disabled", "passkeyTypes": "deviceBound,synced" });
        assert_eq!(with(json!([strict, hardware, open]), json!(["1", "2", "3"])), None);
        assert_eq!(with(json!([strict, open]), json!(["1"])), Some(Obstacle::Attestation), "the other is not theirs");
        assert_eq!(with(json!([hardware]), json!(["2"])), Some(Obstacle::SyncedNotAllowed));
    }
}
