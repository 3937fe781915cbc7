//! The application's certificate: its key is made on this machine, leaves it only for the operating system's key
//! store, and signs what proves that the application is the application.
//!
//! Never: write the key anywhere else, log it, or hand it to a caller. Facts: Microsoft identity platform, application
//! authentication certificate credentials (PS256, `x5t#S256`); Microsoft Graph, application addKey (proof of possession).

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey as _, rand_core::OsRng};
use rustls::{
    SignatureScheme,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{EngineError, Failure};

/// Bits of a key: enough for as long as a certificate lives, and its PKCS #8 form fits an entry of every key store
/// (Windows takes 2,560 bytes).
const KEY_BITS: usize = 2048;
/// How long an assertion is good for, in seconds; Microsoft recommends 5 to 10 minutes.
const ASSERTION_LASTS: i64 = 540;
/// So many seconds before now an assertion begins, because clocks differ.
const ASSERTION_BEGINS_BEFORE: i64 = 60;
/// For whom a proof of possession is: Microsoft's directory service.
const PROOF_AUDIENCE: &str = "00000002-0000-0000-c000-000000000000";
/// A day, in milliseconds.
pub(crate) const DAY: i64 = 86_400_000;
/// How many days a certificate is good for unless asked otherwise: 12 months.
pub const CERTIFICATE_DAYS: u32 = 365;
/// So long before it is made a certificate begins, in milliseconds.
const BEGINS_BEFORE: i64 = 3_600_000;
/// The most days: Microsoft's portal makes nothing that lasts longer than 24 months.
const MOST_DAYS: u32 = 730;
/// What the key store's entry begins with. No client secret does: Microsoft makes those without a colon.
const STORED_AS: &str = "certificate:1:";

/// The public half: what is uploaded to Entra.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The certificate as PEM; `.cer` is the ending that the portal expects.
    pub pem: String,
    /// SHA-256 of the certificate (DER), in hexadecimal.
    pub thumbprint: String,
    /// From when it is good, Unix time in milliseconds.
    pub begins_at: i64,
    /// Until when it is good, Unix time in milliseconds.
    pub expires_at: i64,
}

impl Certificate {
    /// The DER form in base64, as Graph takes it.
    pub(crate) fn base64(&self) -> String {
        self.pem.lines().filter(|line| !line.starts_with("-----")).collect()
    }

    /// Which entry of the key store holds the key while the certificate is not the tenant's own yet.
    pub(crate) fn entry(&self) -> Uuid {
        entry_of(&self.thumbprint)
    }
}

/// The key store's entry for a certificate that is not in use yet: the first half of its thumbprint.
pub(crate) fn entry_of(thumbprint: &str) -> Uuid {
    thumbprint.get(..32).and_then(|half| Uuid::try_parse(half).ok()).unwrap_or_default()
}

/// The private half. Not `Debug`, and its bytes are wiped when it is dropped.
#[derive(Clone)]
pub(crate) struct CertificateKey {
    pkcs8: SecretSlice<u8>,
    /// SHA-256 of the certificate.
    thumbprint: [u8; 32],
}

impl CertificateKey {
    /// Makes a key and a certificate that signs itself. Takes up to a second or two: call it where that may block.
    pub(crate) fn generate(subject: &str, now: i64, days: u32) -> Result<(Self, Certificate), EngineError> {
        if days == 0 || days > MOST_DAYS {
            return Err(Failure::ConfigurationInvalid(format!(
                "a certificate for {days} days is not possible (1 to {MOST_DAYS})"
            ))
            .into());
        }
        let failed = |what: &dyn std::fmt::Display| Failure::Internal(format!("a certificate cannot be made: {what}"));
        let key = RsaPrivateKey::new(&mut OsRng, KEY_BITS).map_err(|error| failed(&error))?;
        let document = key.to_pkcs8_der().map_err(|error| failed(&error))?;
        let pkcs8 = SecretSlice::from(document.as_bytes().to_vec());

        let expires_at = now - now.rem_euclid(1000) + i64::from(days) * DAY;
        // Good at once, also where the clock is behind this machine's.
        let begins_at = now - now.rem_euclid(1000) - BEGINS_BEFORE;
        let at = |milliseconds: i64| {
            rcgen::date_time_ymd(1970, 1, 1)
                + std::time::Duration::from_secs(u64::try_from(milliseconds / 1000).unwrap_or_default())
        };
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, subject);
        parameters.not_before = at(begins_at);
        parameters.not_after = at(expires_at);
        parameters.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let signer = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
            &PrivatePkcs8KeyDer::from(pkcs8.expose_secret()),
            &rcgen::PKCS_RSA_SHA256,
        )
        .map_err(|error| failed(&error))?;
        let signed = parameters.self_signed(&signer).map_err(|error| failed(&error))?;
        let thumbprint: [u8; 32] = Sha256::digest(signed.der()).into();
        let certificate =
            Certificate { pem: signed.pem(), thumbprint: hexadecimal(&thumbprint), begins_at, expires_at };
        Ok((Self { pkcs8, thumbprint }, certificate))
    }

    /// SHA-256 of the certificate, in hexadecimal.
    pub(crate) fn thumbprint(&self) -> String {
        hexadecimal(&self.thumbprint)
    }

    /// As the key store keeps it.
    pub(crate) fn to_stored(&self) -> SecretString {
        let key = zeroize::Zeroizing::new(STANDARD.encode(self.pkcs8.expose_secret()));
        SecretString::from(format!("{STORED_AS}{}:{}", URL_SAFE_NO_PAD.encode(self.thumbprint), key.as_str()))
    }

    /// From what the key store keeps; `None`: that is no certificate's key.
    pub(crate) fn of_stored(text: &str) -> Option<Self> {
        let (thumbprint, key) = text.strip_prefix(STORED_AS)?.split_once(':')?;
        let thumbprint = URL_SAFE_NO_PAD.decode(thumbprint).ok()?.try_into().ok()?;
        Some(Self { pkcs8: SecretSlice::from(STANDARD.decode(key).ok()?), thumbprint })
    }

    /// What the token endpoint takes instead of a secret. `now` is Microsoft's time in milliseconds where it is known.
    pub(crate) fn assertion(&self, endpoint: &str, client_id: Uuid, now: i64) -> Result<SecretString, Failure> {
        let now = now / 1000;
        self.sign(&json!({
            "aud": endpoint,
            "iss": client_id,
            "sub": client_id,
            "jti": Uuid::new_v4(),
            "iat": now - ASSERTION_BEGINS_BEFORE,
            "nbf": now - ASSERTION_BEGINS_BEFORE,
            "exp": now + ASSERTION_LASTS,
        }))
    }

    /// What shows Graph that a certificate of the application's own asks for its keys to be changed.
    pub(crate) fn proof(&self, application: Uuid, now: i64) -> Result<SecretString, Failure> {
        let now = now / 1000;
        self.sign(&json!({
            "aud": PROOF_AUDIENCE,
            "iss": application,
            "nbf": now - ASSERTION_BEGINS_BEFORE,
            "exp": now + ASSERTION_LASTS,
        }))
    }

    /// A JSON Web Signature with PS256.
    fn sign(&self, claims: &Value) -> Result<SecretString, Failure> {
        let unusable = || Failure::KeyStoreUnavailable("what it holds for this certificate is no RSA key".to_owned());
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(self.thumbprint) });
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8.expose_secret()));
        // ring signs in constant time; the crate that made the key does not.
        let signer = rustls::crypto::ring::sign::any_supported_type(&key)
            .ok()
            .and_then(|key| key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]))
            .ok_or_else(unusable)?;
        let signature = signer.sign(signed.as_bytes()).map_err(|_| unusable())?;
        Ok(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use rsa::{pkcs1::EncodeRsaPublicKey as _, pkcs8::DecodePrivateKey as _};

    use super::*;

    const NOW: i64 = 1_795_345_200_500;

    fn made() -> (CertificateKey, Certificate) {
        CertificateKey::generate("Latchkey test", NOW, CERTIFICATE_DAYS).unwrap()
    }

    #[test]
    fn an_assertion_verifies_with_the_certificates_key_and_says_what_microsoft_asks() {
        let (key, certificate) = made();
        let client = Uuid::from_u128(7);
        let endpoint = "https://login.microsoftonline.com/t/oauth2/v2.0/token";
        let assertion = key.assertion(endpoint, client, NOW).unwrap();
        let public = RsaPrivateKey::from_pkcs8_der(key.pkcs8.expose_secret()).unwrap().to_public_key();
        let decoding = DecodingKey::from_rsa_der(public.to_pkcs1_der().unwrap().as_bytes());
        let mut validation = Validation::new(Algorithm::PS256);
        validation.set_audience(&[endpoint]);
        validation.validate_exp = false;
        let token = jsonwebtoken::decode::<Value>(assertion.expose_secret(), &decoding, &validation).unwrap();
        assert_eq!(token.claims["iss"], client.to_string());
        assert_eq!(token.claims["sub"], client.to_string());
        let lasts = token.claims["exp"].as_i64().unwrap() - token.claims["nbf"].as_i64().unwrap();
        assert!((300..=600).contains(&lasts), "{lasts} s");
        assert_ne!(
            token.claims["jti"],
            jsonwebtoken::decode::<Value>(
                key.assertion(endpoint, client, NOW).unwrap().expose_secret(),
                &decoding,
                &validation
            )
            .unwrap()
            .claims["jti"]
        );
        let header: Value = serde_json::from_slice(
            &URL_SAFE_NO_PAD.decode(assertion.expose_secret().split('.').next().unwrap()).unwrap(),
        )
        .unwrap();
        let der = STANDARD.decode(certificate.base64()).unwrap();
        assert_eq!(header["x5t#S256"], URL_SAFE_NO_PAD.encode(Sha256::digest(&der)));
        assert_eq!(header["alg"], "PS256");
        assert_eq!(certificate.thumbprint, hexadecimal(&Sha256::digest(&der)));
    }

    #[test]
    fn what_the_key_store_keeps_fits_it_and_is_the_same_key_again() {
        let (key, certificate) = made();
        let stored = key.to_stored();
        assert!(stored.expose_secret().len() <= 2560, "{} bytes", stored.expose_secret().len());
        let again = CertificateKey::of_stored(stored.expose_secret()).unwrap();
        assert_eq!(again.thumbprint(), certificate.thumbprint);
        again.proof(Uuid::nil(), NOW).unwrap();
        for other in ["aB3~_secret-of-Entra", "certificate:1:", "certificate:1:AA:AA", ""] {
            assert!(CertificateKey::of_stored(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_certificate_is_good_for_as_long_as_was_asked() {
        let (_, certificate) = made();
        assert!(certificate.begins_at < NOW);
        assert_eq!(certificate.expires_at, NOW - 500 + 365 * DAY);
        assert_ne!(certificate.entry(), Uuid::nil());
        for days in [0, 731] {
            assert!(CertificateKey::generate("x", NOW, days).is_err(), "{days}");
        }
    }
}
