//! A passkey authenticator for tests, which can be made to lie in every way that a relying party must notice.
#![allow(clippy::unwrap_used, dead_code)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value as Cbor;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

pub(crate) const PRESENT: u8 = 0x01;
pub(crate) const VERIFIED: u8 = 0x04;
pub(crate) const SYNCABLE: u8 = 0x08;
const ATTESTED: u8 = 0x40;

/// One key, and what its authenticator says about itself.
pub(crate) struct Authenticator {
    key: rcgen::KeyPair,
    pub(crate) id: Vec<u8>,
    pub(crate) aaguid: Uuid,
    pub(crate) origin: String,
    pub(crate) relying_party: String,
    pub(crate) flags: u8,
    pub(crate) counter: u32,
    pub(crate) user_handle: Vec<u8>,
    /// ES384, which is sound and which nobody asked for.
    pub(crate) odd_algorithm: bool,
    pub(crate) kind: [&'static str; 2],
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        Self {
            key: rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            id: [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat(),
            aaguid: Uuid::from_u128(0x1a7c_4e11_0000_4000_8000_0000_0000_0001),
            origin: "https://login.microsoft.com".to_owned(),
            relying_party: "login.microsoft.com".to_owned(),
            flags: PRESENT | VERIFIED,
            counter: 0,
            user_handle: Vec::new(),
            odd_algorithm: false,
            kind: ["webauthn.create", "webauthn.get"],
        }
    }

    /// `publicKeyCredential` for these options.
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        let options = &options["publicKey"];
        self.user_handle = URL_SAFE_NO_PAD.decode(options["user"]["id"].as_str().unwrap()).unwrap();
        let client = self.client_data(self.kind[0], options["challenge"].as_str().unwrap());
        let mut data = self.data(self.flags | ATTESTED);
        data.extend(self.aaguid.as_bytes());
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        ciborium::into_writer(&self.public_key(), &mut data).unwrap();
        let mut object = Vec::new();
        let members = [
            ("fmt", Cbor::Text("none".to_owned())),
            ("attStmt", Cbor::Map(Vec::new())),
            ("authData", Cbor::Bytes(data)),
        ];
        let members = members.map(|(name, value)| (Cbor::Text(name.to_owned()), value)).to_vec();
        ciborium::into_writer(&Cbor::Map(members), &mut object).unwrap();
        json!({
            "id": URL_SAFE_NO_PAD.encode(&self.id),
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(client),
                "attestationObject": URL_SAFE_NO_PAD.encode(object),
            },
            "clientExtensionResults": {},
        })
    }

    /// The answer to a challenge (base64url), as the page posts it.
    pub(crate) fn sign(&mut self, challenge: &str) -> Value {
        self.counter += 1;
        let client = self.client_data(self.kind[1], challenge);
        let data = self.data(self.flags);
        let signed = [data.clone(), Sha256::digest(&client).to_vec()].concat();
        json!({
            "id": URL_SAFE_NO_PAD.encode(&self.id),
            "clientDataJSON": URL_SAFE_NO_PAD.encode(client),
            "authenticatorData": URL_SAFE_NO_PAD.encode(data),
            "signature": URL_SAFE_NO_PAD.encode(self.key.sign(&signed).unwrap()),
            "userHandle": URL_SAFE_NO_PAD.encode(&self.user_handle),
        })
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false})
            .to_string()
            .into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(&self.relying_party).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn public_key(&self) -> Cbor {
        let bytes = |bytes: &[u8]| Cbor::Bytes(bytes.to_vec());
        let number = |number: i64| Cbor::Integer(number.into());
        if self.odd_algorithm {
            let key = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
            let (x, y) = key.der_bytes()[1..].split_at(48);
            let members = [(1, number(2)), (3, number(-35)), (-1, number(2)), (-2, bytes(x)), (-3, bytes(y))];
            return Cbor::Map(members.map(|(name, value)| (number(name), value)).to_vec());
        }
        let (x, y) = self.key.der_bytes()[1..].split_at(32);
        let members = [(1, number(2)), (3, number(-7)), (-1, number(1)), (-2, bytes(x)), (-3, bytes(y))];
        Cbor::Map(members.map(|(name, value)| (number(name), value)).to_vec())
    }
}
