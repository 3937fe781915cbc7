//! Passkeys registered on behalf of a user: options with a challenge, registration, list, deletion; and the policy.
//!
//! Facts: Microsoft Graph, `fido2AuthenticationMethod`. Where nothing is known (messages, whether a refused key uses its
//! challenge up) the stricter reading is taken.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::query::{Shape, collection, entity};
use super::{Context, GraphError, Handled, Reply, properties};
use crate::clock::graph_time;
use crate::directory::passkey::{MOST_PROFILES, Passkey, PasskeyChallenge, PasskeyPolicy, Unfit, user_handle};
use crate::directory::roles::{GLOBAL_ADMINISTRATOR, PRIVILEGED_AUTHENTICATION_ADMINISTRATOR};
use crate::directory::{Cloud, Tenant};
use crate::passkeys::{ALGORITHMS, Attestation, RelyingParty, challenge_of};

const SHAPE: Shape = Shape { context: "users/authentication/fido2Methods", known: properties::PASSKEY, ..Shape::PLAIN };

/// How long a challenge can be answered when nothing else was asked for; in v1.0 nothing else can be.
const USUAL_MINUTES: u32 = 5;
/// The longest that beta gives.
const MOST_MINUTES: u32 = 43_200;
/// Enough for both of making options and registering.
const WRITERS: &[&str] = &["UserAuthMethod-Passkey.ReadWrite.All", "UserAuthenticationMethod.ReadWrite.All"];

pub(super) fn list(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    need_cloud(tenant)?;
    let user = context.user(tenant, key)?;
    collection(context.call, SHAPE, user.passkeys.iter().map(json_of).collect())
}

pub(super) fn get(tenant: &mut Tenant, context: &Context<'_>, key: &str, id: &str) -> Handled {
    need_cloud(tenant)?;
    let user = context.user(tenant, key)?;
    let passkey = user.passkeys.iter().find(|passkey| passkey.id == id).ok_or_else(|| GraphError::not_found(id))?;
    entity(context.call, SHAPE, json_of(passkey))
}

pub(super) fn delete(tenant: &mut Tenant, context: &Context<'_>, key: &str, id: &str) -> Handled {
    need_cloud(tenant)?;
    let user = context.user_mut(tenant, key)?;
    let before = user.passkeys.len();
    user.passkeys.retain(|passkey| passkey.id != id);
    if user.passkeys.len() == before {
        return Err(GraphError::not_found(id));
    }
    user.changed();
    Ok(Reply::nothing())
}

pub(super) fn creation_options(
    tenant: &mut Tenant,
    context: &Context<'_>,
    key: &str,
    parameter: Option<&str>,
) -> Handled {
    need_cloud(tenant)?;
    // The schema knows the path without its parameter only.
    context.need(WRITERS)?;
    let minutes = match parameter {
        None => USUAL_MINUTES,
        Some(_) if !context.call.beta => return Err(GraphError::no_such_segment("creationOptions")),
        Some(text) => text
            .strip_prefix("challengeTimeoutInMinutes=")
            .and_then(|minutes| minutes.parse().ok())
            .filter(|minutes| (USUAL_MINUTES..=MOST_MINUTES).contains(minutes))
            .ok_or_else(|| refused("challengeTimeoutInMinutes must be between 5 and 43200."))?,
    };
    let id = context.user(tenant, key)?.id.clone();
    may_register(tenant, context, &id)?;
    let party = RelyingParty::new(&context.knobs.passkey_relying_party);
    let tenant_id = tenant.id.clone();
    let user = context.user_mut(tenant, key)?;
    let handle = user_handle(&tenant_id, &user.id);
    let known: Vec<_> = user.passkeys.iter().map(|passkey| passkey.credential.clone()).collect();
    let (challenge, state) = party
        .begin_registration(&handle, &user.user_principal_name, &user.display_name, &known)
        .map_err(|error| refused(&error.to_string()))?;
    let expires = context
        .now
        .checked_add(Duration::from_secs(u64::from(minutes) * 60))
        .map_err(|_| refused("challengeTimeoutInMinutes is out of range."))?;
    let exclude: Vec<Value> = known
        .iter()
        .map(|key| json!({"id": URL_SAFE_NO_PAD.encode(&key.cred_id), "type": "public-key", "transports": []}))
        .collect();
    let options = json!({
        "@odata.context": format!("{}/$metadata#microsoft.graph.webauthnCredentialCreationOptions", context.call.base),
        "challengeTimeoutDateTime": graph_time(expires),
        "publicKey": {
            "rp": {"id": context.knobs.passkey_relying_party, "name": "Microsoft"},
            "user": {
                "id": URL_SAFE_NO_PAD.encode(&handle),
                "name": user.user_principal_name,
                "displayName": user.display_name,
            },
            "challenge": URL_SAFE_NO_PAD.encode(&challenge),
            "pubKeyCredParams": ALGORITHMS.map(|number| json!({"type": "public-key", "alg": number})),
            // 30 days do not fit into this number; the time above is the one that counts.
            "timeout": 0,
            "excludeCredentials": exclude,
            "authenticatorSelection": {
                "authenticatorAttachment": "cross-platform",
                "requireResidentKey": true,
                "userVerification": "required",
            },
            "attestation": "direct",
            "extensions": {
                "hmacCreateSecret": true,
                "enforceCredentialProtectionPolicy": true,
                "credentialProtectionPolicy": "userVerificationOptional",
            },
        },
    });
    let now = context.now;
    user.passkey_challenges.retain(|pending| now < pending.expires);
    let relying_party = context.knobs.passkey_relying_party.clone();
    user.passkey_challenges.push(PasskeyChallenge { challenge, state, relying_party, expires });
    Ok(Reply::ok(options))
}

pub(super) fn register(tenant: &mut Tenant, context: &Context<'_>, key: &str) -> Handled {
    need_cloud(tenant)?;
    let id = context.user(tenant, key)?.id.clone();
    may_register(tenant, context, &id)?;
    let body = context.call.object()?;
    only(body, &["displayName", "publicKeyCredential", "@odata.type"])?;
    let display_name = body
        .get("displayName")
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| refused("A value is required for property 'displayName'."))?
        .to_owned();
    let answer = answer_of(body)?;
    let wanted = challenge_of(&answer.client_data).ok_or_else(|| refused("clientDataJSON has no challenge."))?;
    let user = context.user_mut(tenant, key)?;
    // Whatever becomes of the answer: a challenge counts once.
    let pending = user
        .passkey_challenges
        .iter()
        .position(|pending| pending.challenge == wanted)
        .map(|position| user.passkey_challenges.remove(position))
        .ok_or_else(|| refused("The challenge is not one of this user, or was used before."))?;
    if context.now >= pending.expires {
        return Err(refused("The challenge has expired."));
    }
    let party = RelyingParty::new(&pending.relying_party);
    let made = party.register(&pending.state, &answer).map_err(|problem| refused(&problem))?;
    let taken = tenant
        .users
        .values()
        .chain(tenant.deleted_users.values())
        .flat_map(|user| &user.passkeys)
        .any(|known| known.credential.cred_id == made.credential.cred_id);
    if taken {
        return Err(refused("A passkey with this id is registered already."));
    }
    // Nobody here knows the makers' roots, so that a certificate alone proves nothing.
    tenant.passkey_fits(&id, made.aaguid, made.credential.backup_eligible, false, true).map_err(unfit)?;
    let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(&made.credential.cred_id)[..16]);
    let passkey = Passkey {
        id: format!("{digest}2"),
        display_name,
        credential: made.credential,
        aaguid: made.aaguid,
        certified: made.certified,
        relying_party: pending.relying_party,
        created: context.now,
        created_moment: context.moment,
    };
    let object = json_of(&passkey);
    let user = context.user_mut(tenant, key)?;
    user.passkeys.push(passkey);
    user.changed();
    Ok(Reply::created(object))
}

/// The policy as Graph shows it.
pub(super) fn configuration(tenant: &Tenant) -> Value {
    let mut shown = serde_json::to_value(&tenant.passkey_policy).unwrap_or_default();
    shown["@odata.type"] = json!("#microsoft.graph.fido2AuthenticationMethodConfiguration");
    shown["id"] = json!("Fido2");
    shown
}

/// The policy with the members of `change` in place of its own.
///
/// # Errors
/// A member that does not exist, or a value that it cannot have.
pub fn changed_policy(policy: &PasskeyPolicy, change: &Map<String, Value>) -> Result<PasskeyPolicy, GraphError> {
    let impossible = |problem: &dyn std::fmt::Display| refused(&format!("The policy cannot be changed so: {problem}."));
    let mut whole = serde_json::to_value(policy).map_err(|error| impossible(&error))?;
    for (name, value) in change {
        if name != "id" && !name.contains('@') {
            whole[name.as_str()] = without_annotations(value);
        }
    }
    let changed: PasskeyPolicy = serde_json::from_value(whole).map_err(|error| impossible(&error))?;
    if changed.passkey_profiles.len() > MOST_PROFILES {
        return Err(impossible(&format!("there can be {MOST_PROFILES} passkey profiles")));
    }
    let known = |id: &uuid::Uuid| changed.passkey_profiles.iter().any(|profile| profile.id == *id);
    let named = changed.include_targets.iter().flat_map(|target| &target.allowed_passkey_profiles);
    if !named.chain(&changed.default_passkey_profile).all(known) {
        return Err(impossible(&"a passkey profile that is named does not exist"));
    }
    Ok(changed)
}

fn may_register(tenant: &Tenant, context: &Context<'_>, user_id: &str) -> Result<(), GraphError> {
    if context.knobs.strict_pass_rule && !tenant.roles_of(user_id, context.now).is_empty() {
        let caller = tenant.roles_of(&context.caller.oid, context.now);
        let enough = [GLOBAL_ADMINISTRATOR, PRIVILEGED_AUTHENTICATION_ADMINISTRATOR];
        if !caller.iter().any(|held| enough.contains(&held.as_str())) {
            return Err(GraphError::new(403, "accessDenied", "Request Authorization failed"));
        }
    }
    if !tenant.passkeys_allowed(user_id) {
        return Err(unfit(Unfit::Method));
    }
    if !tenant.passkey_policy.is_self_service_registration_allowed {
        return Err(refused("The passkey policy does not allow self-service registration."));
    }
    Ok(())
}

fn answer_of(body: &Map<String, Value>) -> Result<Attestation, GraphError> {
    let object = |value: Option<&Value>, name: &str| {
        value
            .and_then(Value::as_object)
            .cloned()
            .ok_or_else(|| refused(&format!("A value is required for property '{name}'.")))
    };
    let credential = object(body.get("publicKeyCredential"), "publicKeyCredential")?;
    only(&credential, &["id", "response", "clientExtensionResults", "@odata.type"])?;
    let response = object(credential.get("response"), "response")?;
    only(&response, &["clientDataJSON", "attestationObject", "@odata.type"])?;
    let bytes = |members: &Map<String, Value>, name: &str| {
        members
            .get(name)
            .and_then(Value::as_str)
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .ok_or_else(|| refused(&format!("Property '{name}' must be base64url without padding.")))
    };
    Ok(Attestation {
        id: bytes(&credential, "id")?,
        client_data: bytes(&response, "clientDataJSON")?,
        attestation_object: bytes(&response, "attestationObject")?,
    })
}

fn only(members: &Map<String, Value>, known: &[&str]) -> Result<(), GraphError> {
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(refused(&format!("The property '{unknown}' does not exist here."))),
        None => Ok(()),
    }
}

pub(super) fn without_annotations(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !name.contains('@'))
            .map(|(name, value)| (name.clone(), without_annotations(value)))
            .collect(),
        Value::Array(values) => values.iter().map(without_annotations).collect(),
        other => other.clone(),
    }
}

pub(super) fn json_of(passkey: &Passkey) -> Value {
    json!({
        "id": passkey.id,
        "displayName": passkey.display_name,
        "createdDateTime": graph_time(passkey.created),
        "aaGuid": passkey.aaguid.to_string(),
        "model": Value::Null,
        "attestationCertificates": [],
        "attestationLevel": "notAttested",
        "passkeyType": if passkey.synced() { "synced" } else { "deviceBound" },
    })
}

fn unfit(why: Unfit) -> GraphError {
    refused(match why {
        Unfit::Method => {
            "Converged UserCredentialPolicy does not allow creating or updating this authentication method. \
             AuthMethodType [Fido2]."
        }
        Unfit::Make => "The passkey policy does not allow an authenticator with this AAGUID.",
        Unfit::Uncertified => "The passkey policy enforces attestation, and this passkey is not attested.",
        Unfit::Kind => "The passkey policy does not allow passkeys of this type.",
    })
}

fn need_cloud(tenant: &Tenant) -> Result<(), GraphError> {
    if tenant.cloud == Cloud::Global { Ok(()) } else { Err(GraphError::no_such_segment("fido2Methods")) }
}

fn refused(message: &str) -> GraphError {
    GraphError::new(400, "badRequest", message)
}
