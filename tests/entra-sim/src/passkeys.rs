//! The relying party: hands out challenges, judges new keys and signatures, and keeps no state of its own.
//!
//! What WebAuthn asks of a relying party is done by `webauthn-rs-core`; what it leaves to its caller (the origin letter
//! by letter, the identifier that was attested, the person a key was made for) is added here. Time-outs and whether a
//! challenge was used before are the directory's business. It must never know how the product makes its keys. Facts:
//! Web Authentication Level 2, sections 7.1 and 7.2.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::internals::AuthenticatorData;
use webauthn_rs_core::proto::{
    AttestationConveyancePreference, AuthenticationState, AuthenticatorAssertionResponseRaw,
    AuthenticatorAttestationResponseRaw, COSEAlgorithm, Credential, ParsedAttestationData, PublicKeyCredential,
    RegisterPublicKeyCredential, Registration, RegistrationState, UserVerificationPolicy,
};

/// The signature algorithms that are offered, best first: ES256 and RS256, as COSE numbers.
pub const ALGORITHMS: [i64; 2] = [-7, -257];

/// A relying party by its identifier; pages and keys of one are of no use to another.
#[derive(Clone, Debug)]
pub struct RelyingParty {
    id: String,
    judge: WebauthnCore,
}

/// A new key as an authenticator answered for it, decoded from Base64.
#[derive(Clone, Debug, Default)]
pub struct Attestation {
    /// `id` of the credential.
    pub id: Vec<u8>,
    /// `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// `attestationObject`.
    pub attestation_object: Vec<u8>,
}

/// A signature over a challenge, decoded from Base64.
#[derive(Clone, Debug, Default)]
pub struct Assertion {
    /// `id` of the credential.
    pub id: Vec<u8>,
    /// `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// `authenticatorData`.
    pub authenticator_data: Vec<u8>,
    /// `signature`.
    pub signature: Vec<u8>,
    /// `userHandle`, when the authenticator told.
    pub user_handle: Option<Vec<u8>>,
}

/// A key that was judged sound.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Public key, counter and flags.
    pub credential: Credential,
    /// Which make of authenticator it says it is; all zero when it does not say.
    pub aaguid: Uuid,
    /// Whether its maker vouches for it by a certificate. Nobody here knows the makers' roots.
    pub certified: bool,
}

impl RelyingParty {
    /// The relying party `id`, whose pages are on exactly `https://{id}`.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let origins = url::Url::parse(&format!("https://{id}")).into_iter().collect();
        let judge = WebauthnCore::new_unsafe_experts_only("Microsoft", id, origins, Duration::ZERO, None, None);
        Self { id: id.to_owned(), judge }
    }

    /// The one origin whose pages may ask.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("https://{}", self.id)
    }

    /// A challenge for a new key of somebody who has the keys `known` already, and what is needed to judge the answer.
    ///
    /// # Errors
    /// The person has no name.
    pub fn begin_registration(
        &self,
        handle: &[u8],
        user_name: &str,
        display_name: &str,
        known: &[Credential],
    ) -> Result<(Vec<u8>, RegistrationState), WebauthnError> {
        let builder = self
            .judge
            .new_challenge_register_builder(handle, user_name, display_name)?
            .attestation(AttestationConveyancePreference::Direct)
            .user_verification_policy(UserVerificationPolicy::Required)
            .credential_algorithms(vec![COSEAlgorithm::ES256, COSEAlgorithm::RS256])
            .require_resident_key(true)
            .exclude_credentials(Some(known.iter().map(|key| key.cred_id.clone()).collect()));
        let (options, state) = self.judge.generate_challenge_register(builder)?;
        Ok((options.public_key.challenge, state))
    }

    /// Judges a new key.
    ///
    /// # Errors
    /// What is wrong with it, in the judge's words.
    pub fn register(&self, state: &RegistrationState, answer: &Attestation) -> Result<Registered, String> {
        self.check_origin(&answer.client_data)?;
        let credential = RegisterPublicKeyCredential {
            id: URL_SAFE_NO_PAD.encode(&answer.id),
            raw_id: answer.id.clone(),
            response: AuthenticatorAttestationResponseRaw {
                attestation_object: answer.attestation_object.clone(),
                client_data_json: answer.client_data.clone(),
                transports: None,
            },
            type_: "public-key".to_owned(),
            extensions: webauthn_rs_core::proto::RegistrationExtensionsClientOutputs::default(),
        };
        let credential = self.judge.register_credential(&credential, state, None).map_err(|error| error.to_string())?;
        if credential.cred_id.as_slice() != answer.id {
            return Err("The id is not the one in the attestation object.".to_owned());
        }
        if answer.id.is_empty() || answer.id.len() > 1023 {
            return Err("The id must have 1 to 1023 bytes.".to_owned());
        }
        let aaguid = aaguid_of(&answer.attestation_object).ok_or("The attestation object names no authenticator.")?;
        let certified = !matches!(
            credential.attestation.data,
            ParsedAttestationData::None | ParsedAttestationData::Self_ | ParsedAttestationData::Uncertain
        );
        Ok(Registered { credential, aaguid, certified })
    }

    /// A challenge for a signature, and what is needed to judge it.
    ///
    /// # Errors
    /// The judge makes none.
    pub fn begin_assertion(&self) -> Result<(Vec<u8>, AuthenticationState), WebauthnError> {
        // Whose key may answer is the caller's to say.
        let builder =
            self.judge.new_challenge_authenticate_builder(Vec::new(), Some(UserVerificationPolicy::Required))?;
        let (options, state) = self.judge.generate_challenge_authenticate(builder)?;
        Ok((options.public_key.challenge, state))
    }

    /// Judges a signature by `key` of the person whose handle is `handle`, and returns the key's new counter.
    ///
    /// # Errors
    /// What is wrong with it, in the judge's words.
    pub fn check(
        &self,
        state: &AuthenticationState,
        key: &Credential,
        handle: &[u8],
        answer: &Assertion,
    ) -> Result<u32, String> {
        self.check_origin(&answer.client_data)?;
        if answer.user_handle.as_deref().is_some_and(|told| told != handle) {
            return Err("The key was made for somebody else.".to_owned());
        }
        let assertion = PublicKeyCredential {
            id: URL_SAFE_NO_PAD.encode(&answer.id),
            raw_id: answer.id.clone(),
            response: AuthenticatorAssertionResponseRaw {
                authenticator_data: answer.authenticator_data.clone(),
                client_data_json: answer.client_data.clone(),
                signature: answer.signature.clone(),
                user_handle: answer.user_handle.clone(),
            },
            extensions: webauthn_rs_core::proto::AuthenticationExtensionsClientOutputs::default(),
            type_: "public-key".to_owned(),
        };
        let judged =
            self.judge.authenticate_single_credential(&assertion, state, key).map_err(|error| error.to_string())?;
        Ok(judged.counter())
    }

    /// The judge compares addresses, not texts: `https://login.microsoft.com/` would do for it.
    fn check_origin(&self, client_data: &[u8]) -> Result<(), String> {
        let client: serde_json::Value =
            serde_json::from_slice(client_data).map_err(|_| "clientDataJSON is not JSON.".to_owned())?;
        if client.get("origin").and_then(serde_json::Value::as_str) == Some(self.origin().as_str()) {
            Ok(())
        } else {
            Err(format!("The origin in clientDataJSON is not {}.", self.origin()))
        }
    }
}

/// The challenge that an answer says it is for.
#[must_use]
pub fn challenge_of(client_data: &[u8]) -> Option<Vec<u8>> {
    let client: serde_json::Value = serde_json::from_slice(client_data).ok()?;
    URL_SAFE_NO_PAD.decode(client.get("challenge")?.as_str()?).ok()
}

fn aaguid_of(attestation_object: &[u8]) -> Option<Uuid> {
    let object: ciborium::Value = ciborium::from_reader(attestation_object).ok()?;
    let data = object.as_map()?.iter().find(|(name, _)| name.as_text() == Some("authData"))?.1.as_bytes()?;
    let data = AuthenticatorData::<Registration>::try_from(data.as_slice()).ok()?;
    Some(Uuid::from_bytes(data.acd?.aaguid))
}
