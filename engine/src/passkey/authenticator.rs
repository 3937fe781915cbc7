//! The authenticator: makes a key pair for a relying party's options, and signs what a page asks to have signed.
//!
//! The ceremony itself is that of the `passkey` crates; here stand the browser's half of it (the client data) and the
//! form in which a key is kept. Nothing here decides whether a request may be answered, and nothing here keeps a key:
//! it comes in from the key store and is gone when the answer is made. User presence is the click that the lease began
//! with; the flag for user verification is set only when the caller says that the person was verified.
//! The signature counter is always 0, which tells a relying party that there is none: several processes use one key,
//! and a counter that two of them write would lock the account out instead of showing a copy.
//!
//! Facts: W3C Web Authentication, level 3: client data, authenticator data, the JSON forms of credentials.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use coset::{CborSerializable as _, CoseKey, iana::Algorithm};
use passkey_authenticator::{Authenticator, CredentialIdLength, UiHint, UserCheck, UserValidationMethod};
use passkey_types::{
    CredentialExtensions, Passkey,
    ctap2::{Aaguid, Ctap2Error, StatusCode, get_assertion, make_credential},
    webauthn,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::request::PageRequest;
use crate::Failure;

/// By which tenants can tell our passkeys from others, and allow or block them.
pub const PASSKEY_AAGUID: Uuid = Uuid::from_u128(0x62f9288d_6c97_434b_8224_8e86ecc91890);

/// What a relying party asks of a new passkey.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreationOptions {
    pub(crate) rp: RelyingParty,
    pub(crate) user: User,
    /// Base64url.
    pub(crate) challenge: String,
    #[serde(default)]
    pub(crate) pub_key_cred_params: Vec<Parameters>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RelyingParty {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    /// Base64url.
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Parameters {
    pub(crate) alg: i64,
}

/// A new passkey.
pub(crate) struct NewPasskey {
    /// The private key, as the key store keeps it.
    pub(crate) secret: SecretString,
    /// Base64url.
    pub(crate) credential_id: String,
    /// What registers it.
    pub(crate) registration: Value,
}

/// A passkey as the key store keeps it. Every text but `rp_id` is base64url.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Kept {
    rp_id: String,
    credential_id: String,
    user_handle: String,
    key: String,
}

impl Kept {
    fn of(passkey: Passkey) -> Result<Self, Failure> {
        let broken = || Failure::Internal("a passkey cannot be written down".to_owned());
        let mut bytes = passkey.key.to_vec().map_err(|_| broken())?;
        let key = BASE64_URL_SAFE_NO_PAD.encode(&bytes);
        bytes.zeroize();
        Ok(Self {
            rp_id: passkey.rp_id,
            credential_id: BASE64_URL_SAFE_NO_PAD.encode(&*passkey.credential_id),
            user_handle: BASE64_URL_SAFE_NO_PAD.encode(&*passkey.user_handle.ok_or_else(broken)?),
            key,
        })
    }

    fn passkey(&self) -> Option<Passkey> {
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(self.key.as_bytes()).ok()?;
        let key = CoseKey::from_slice(&bytes).ok();
        bytes.zeroize();
        Some(Passkey {
            key: key?,
            credential_id: BASE64_URL_SAFE_NO_PAD.decode(&self.credential_id).ok()?.into(),
            rp_id: self.rp_id.clone(),
            user_handle: Some(BASE64_URL_SAFE_NO_PAD.decode(&self.user_handle).ok()?.into()),
            username: None,
            user_display_name: None,
            counter: None,
            extensions: CredentialExtensions::default(),
        })
    }
}

/// The person at this machine, as the authenticator asks for her or him.
struct Person {
    verified: bool,
}

#[async_trait::async_trait]
impl UserValidationMethod for Person {
    type PasskeyItem = Passkey;

    async fn check_user<'hint>(
        &self,
        _hint: UiHint<'hint, Passkey>,
        _presence: bool,
        _verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence: true, verification: self.verified })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(self.verified)
    }
}

fn authenticator(kept: Option<Passkey>, verified: bool) -> Authenticator<Option<Passkey>, Person> {
    let mut authenticator = Authenticator::new(Aaguid(*PASSKEY_AAGUID.as_bytes()), kept, Person { verified });
    authenticator.set_make_credential_id_length(CredentialIdLength::from(32));
    authenticator
}

/// Makes a key pair (ECDSA over P-256) and what registers it. The options have been found to be a Microsoft sign-in
/// host's.
pub(crate) async fn make(options: &CreationOptions, verified: bool) -> Result<NewPasskey, Failure> {
    let refused = |why: &str| Failure::PasskeyNotMade(why.to_owned());
    if !options.pub_key_cred_params.is_empty() && !options.pub_key_cred_params.iter().any(|wanted| wanted.alg == -7) {
        return Err(refused("Microsoft asks for another kind of key"));
    }
    let user_handle = decoded(&options.user.id).ok_or_else(|| refused("the options of Microsoft name no account"))?;
    let challenge = decoded(&options.challenge).ok_or_else(|| refused("the options of Microsoft hold no challenge"))?;
    let origin = format!("https://{}", options.rp.id);
    let client_data = client_data("webauthn.create", &challenge, &origin);
    let name = options.user.name.clone().unwrap_or_default();
    let request = make_credential::Request {
        client_data_hash: Sha256::digest(&client_data).to_vec().into(),
        rp: make_credential::PublicKeyCredentialRpEntity { id: options.rp.id.clone(), name: options.rp.name.clone() },
        user: webauthn::PublicKeyCredentialUserEntity {
            id: user_handle.into(),
            display_name: options.user.display_name.clone().unwrap_or_else(|| name.clone()),
            name,
        },
        pub_key_cred_params: vec![webauthn::PublicKeyCredentialParameters {
            ty: webauthn::PublicKeyCredentialType::PublicKey,
            alg: Algorithm::ES256,
        }],
        exclude_list: None,
        extensions: None,
        options: make_credential::Options { rk: true, up: true, uv: verified },
        pin_auth: None,
        pin_protocol: None,
    };
    let mut authenticator = authenticator(None, verified);
    let made = authenticator.make_credential(request).await.map_err(|status| Failure::PasskeyNotMade(said(status)))?;
    let passkey = authenticator.store_mut().take().ok_or_else(|| refused("the authenticator kept none"))?;
    let kept = Kept::of(passkey)?;
    let registration = json!({
        "id": kept.credential_id,
        "response": {
            "clientDataJSON": BASE64_URL_SAFE_NO_PAD.encode(&client_data),
            "attestationObject": BASE64_URL_SAFE_NO_PAD.encode(&*made.as_webauthn_bytes()),
        },
        "clientExtensionResults": {},
    });
    let secret = serde_json::to_string(&kept).map_err(|error| Failure::Internal(error.to_string()))?;
    Ok(NewPasskey { credential_id: kept.credential_id.clone(), registration, secret: SecretString::from(secret) })
}

/// Signs what the page asks for with the key. What comes back is the `PublicKeyCredential` in JSON.
///
/// # Errors
/// `PasskeyNotAsked` when the request is for another credential, `RelyingPartyNotAllowed` when it is for another
/// relying party, `VerificationNeeded` when it asks for a person who was verified and nobody was.
pub(crate) async fn sign(secret: &SecretString, request: &PageRequest, verified: bool) -> Result<String, Failure> {
    let kept: Kept = serde_json::from_str(secret.expose_secret()).map_err(|_| Failure::PasskeyGone)?;
    let passkey = kept.passkey().ok_or(Failure::PasskeyGone)?;
    if kept.rp_id != request.rp_id {
        return Err(Failure::RelyingPartyNotAllowed(request.rp_id.clone()));
    }
    if !request.allows(&kept.credential_id) {
        return Err(Failure::PasskeyNotAsked);
    }
    if request.verification && !verified {
        return Err(Failure::VerificationNeeded);
    }
    let client_data = client_data("webauthn.get", &request.challenge, &request.origin.to_string());
    let ask = get_assertion::Request {
        rp_id: kept.rp_id.clone(),
        client_data_hash: Sha256::digest(&client_data).to_vec().into(),
        // It is known by now that ours is allowed.
        allow_list: None,
        extensions: None,
        options: get_assertion::Options { rk: false, up: true, uv: request.verification },
        pin_auth: None,
        pin_protocol: None,
    };
    let signed = authenticator(Some(passkey), verified)
        .get_assertion(ask)
        .await
        .map_err(|status| Failure::Internal(format!("the authenticator refused: {}", said(status))))?;
    let answer = json!({
        "id": kept.credential_id,
        "rawId": kept.credential_id,
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "response": {
            "clientDataJSON": BASE64_URL_SAFE_NO_PAD.encode(&client_data),
            "authenticatorData": BASE64_URL_SAFE_NO_PAD.encode(signed.auth_data.to_vec()),
            "signature": BASE64_URL_SAFE_NO_PAD.encode(&*signed.signature),
            "userHandle": kept.user_handle,
        },
        "clientExtensionResults": {},
    });
    Ok(answer.to_string())
}

/// What the browser would have put together, in the order that the specification gives.
fn client_data(kind: &str, challenge: &[u8], origin: &str) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ClientData<'a> {
        r#type: &'a str,
        challenge: String,
        origin: &'a str,
        cross_origin: bool,
    }
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(challenge);
    let data = ClientData { r#type: kind, challenge, origin, cross_origin: false };
    serde_json::to_vec(&data).unwrap_or_default()
}

/// Base64url with or without padding; nothing when it is empty or something else.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok().filter(|bytes| !bytes.is_empty())
}

fn said(status: StatusCode) -> String {
    format!("CTAP status 0x{:02x}", u8::from(status))
}
