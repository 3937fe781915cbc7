//! Proof by certificate: reading a certificate that is registered on an application, and checking a JSON Web Token that
//! was signed with its key. Used for client assertions at the token endpoint and for the proofs of `addKey` and
//! `removeKey`.
//!
//! Nothing is signed here and no private key is known here. Facts: Microsoft identity platform, certificate credentials;
//! Microsoft Graph, application addKey; Microsoft's client libraries, which leave `nbf` out, write times with fractions of a
//! second, pad thumbprints, and send an assertion again until it is nearly over.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::clock::Moment;
use crate::directory::{Application, ApplicationKey, new_id};

/// Base64 as clients write thumbprints, with and without padding.
const THUMBPRINT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How far the client's clock may be off, seconds.
const SKEW: i64 = 300;

/// A certificate that cannot be registered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CertificateError {
    /// Not an X.509 certificate.
    Malformed,
    /// Its key is not RSA of 2048 bits or more.
    NotRsa,
}

/// Reads a certificate as it comes in `keyCredentials[].key` or in a control request: DER or PEM.
///
/// # Errors
/// It is no certificate, or its key is not one that signs assertions.
pub fn read_certificate(bytes: &[u8], added: Option<Moment>) -> Result<ApplicationKey, CertificateError> {
    let der = match x509_parser::pem::parse_x509_pem(bytes) {
        Ok((_, pem)) => pem.contents,
        Err(_) => bytes.to_vec(),
    };
    let (rest, parsed) = X509Certificate::from_der(&der).map_err(|_| CertificateError::Malformed)?;
    if !rest.is_empty() {
        return Err(CertificateError::Malformed);
    }
    match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() >= 2048 => {}
        Ok(_) => return Err(CertificateError::NotRsa),
        Err(_) => return Err(CertificateError::Malformed),
    }
    let time = |seconds| Timestamp::from_second(seconds).map_err(|_| CertificateError::Malformed);
    Ok(ApplicationKey {
        id: new_id(),
        public_key: parsed.public_key().subject_public_key.data.to_vec(),
        sha1: <sha1::Sha1 as sha1::Digest>::digest(&der).into(),
        sha256: Sha256::digest(&der).into(),
        display_name: parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).map(str::to_owned),
        start: time(parsed.validity().not_before.timestamp())?,
        expires: time(parsed.validity().not_after.timestamp())?,
        added,
        certificate: der.clone(),
    })
}

/// Reads a certificate in PEM or in Base64 of its DER.
///
/// # Errors
/// As [`read_certificate`].
pub fn read_certificate_text(text: &str, added: Option<Moment>) -> Result<ApplicationKey, CertificateError> {
    if text.contains("-----BEGIN") {
        return read_certificate(text.as_bytes(), added);
    }
    let der = STANDARD.decode(text.trim()).map_err(|_| CertificateError::Malformed)?;
    read_certificate(&der, added)
}

/// Why an assertion proves nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AssertionError {
    /// Not a JSON Web Token, or a claim that must be there is not.
    Malformed,
    /// Signed by something else than RS256 or PS256, or the thumbprint is not the one for that algorithm.
    Algorithm,
    /// No key with this thumbprint on the application.
    UnknownKey,
    /// The certificate has expired or is not valid yet.
    KeyExpired,
    /// The signature is not of that key.
    Signature,
    /// Not yet valid, or no longer.
    Time,
    /// For somebody else than this token endpoint.
    Audience,
    /// `iss` or `sub` is not the client.
    Issuer,
    /// Seen before.
    Replayed,
}

impl AssertionError {
    /// The AADSTS number.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Malformed | Self::Replayed => 50_013,
            Self::Algorithm => 50_012,
            Self::UnknownKey | Self::KeyExpired | Self::Signature => 700_027,
            Self::Time => 700_024,
            Self::Audience => 700_023,
            Self::Issuer => 700_021,
        }
    }

    /// What is wrong, without the number.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Malformed => "The assertion is not valid: a token or one of its claims is malformed or missing.",
            Self::Replayed => "The assertion is not valid: a token with this identifier was used before.",
            Self::Algorithm => "Authentication failed: the assertion's algorithm is not supported.",
            Self::UnknownKey => {
                "The certificate with identifier used to sign the client assertion is not registered on application."
            }
            Self::KeyExpired => "Client assertion contains an invalid signature. [Reason - The key used is expired.]",
            Self::Signature => {
                "Client assertion contains an invalid signature. [Reason - The key was found, but use of the key to \
                 verify the signature failed.]"
            }
            Self::Time => "Client assertion is not within its valid time range.",
            Self::Audience => "Client assertion audience claim does not match Realm issuer.",
            Self::Issuer => "Client assertion application identifier doesn't match 'client_id' parameter.",
        }
    }
}

/// Assertions that were used, so that none is used twice while it is valid.
#[derive(Debug, Default)]
pub struct SeenAssertions {
    /// Identifier → end of its validity, seconds.
    seen: Mutex<BTreeMap<String, i64>>,
}

impl SeenAssertions {
    /// Notes an identifier.
    ///
    /// # Errors
    /// It was noted before.
    fn note(&self, id: &str, until: i64, now: i64) -> Result<(), AssertionError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains_key(id) {
            return Err(AssertionError::Replayed);
        }
        if seen.len() % 1024 == 1023 {
            seen.retain(|_, end| *end + SKEW > now);
        }
        seen.insert(id.to_owned(), until);
        Ok(())
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// When an assertion is checked.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// Simulated time.
    pub now: Timestamp,
    /// Time since the start.
    pub moment: Moment,
    /// A key that was added less than this ago is not known yet.
    pub lag: Duration,
}

/// Checks a client assertion of `application`; `audience` says whether an `aud` is this token endpoint. Where there is
/// something to remember assertions in, each counts once.
///
/// # Errors
/// Why it proves nothing.
pub fn check_client(
    assertion: &str,
    application: &Application,
    when: When,
    seen: Option<&SeenAssertions>,
    audience: impl Fn(&str) -> bool,
) -> Result<(), AssertionError> {
    let claims = verify(assertion, application, when)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).ok_or(AssertionError::Malformed);
    let own = |name: &str| text(name).map(|value| value.eq_ignore_ascii_case(&application.client_id));
    if !own("iss")? || !own("sub")? {
        return Err(AssertionError::Issuer);
    }
    if !audience(text("aud")?) {
        return Err(AssertionError::Audience);
    }
    let (id, end) = (text("jti")?, seconds(&claims, "exp").ok_or(AssertionError::Malformed)?);
    seen.map_or(Ok(()), |seen| seen.note(id, end, when.now.as_second()))
}

/// Checks the proof of possession that `addKey` and `removeKey` want: signed by a key of the application that is still
/// valid, for Entra's own resource, from the registration's object id, for ten minutes at most.
///
/// # Errors
/// Why it proves nothing.
pub fn check_proof(proof: &str, application: &Application, when: When) -> Result<(), AssertionError> {
    let claims = verify(proof, application, when)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).ok_or(AssertionError::Malformed);
    if !text("aud")?.eq_ignore_ascii_case("00000002-0000-0000-c000-000000000000") {
        return Err(AssertionError::Audience);
    }
    if !text("iss")?.eq_ignore_ascii_case(&application.object_id) {
        return Err(AssertionError::Issuer);
    }
    let number = |name: &str| seconds(&claims, name).ok_or(AssertionError::Malformed);
    if number("exp")? - number("nbf")? > 600 { Err(AssertionError::Time) } else { Ok(()) }
}

/// The claims of a token that a key of `application` signed and that is valid now.
fn verify(token: &str, application: &Application, when: When) -> Result<Value, AssertionError> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| AssertionError::Malformed)?;
    let thumbprint = |text: &Option<String>| text.as_ref().and_then(|text| THUMBPRINT.decode(text).ok());
    let key = match (header.alg, thumbprint(&header.x5t_s256), thumbprint(&header.x5t)) {
        (Algorithm::PS256 | Algorithm::RS256, Some(digest), _) => {
            application.keys.iter().find(|key| key.sha256[..] == digest)
        }
        (Algorithm::RS256, None, Some(digest)) => application.keys.iter().find(|key| key.sha1[..] == digest),
        (Algorithm::PS256 | Algorithm::RS256, None, None) => return Err(AssertionError::Malformed),
        _ => return Err(AssertionError::Algorithm),
    };
    let key = key
        .filter(|key| key.added.is_none_or(|added| when.moment >= added + when.lag))
        .ok_or(AssertionError::UnknownKey)?;
    if when.now < key.start || when.now >= key.expires {
        return Err(AssertionError::KeyExpired);
    }
    // Times are the simulation's, so they are compared here.
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<Value>(token, &DecodingKey::from_rsa_der(&key.public_key), &validation)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => AssertionError::Signature,
            _ => AssertionError::Malformed,
        })?
        .claims;
    let now = when.now.as_second();
    let end = seconds(&claims, "exp").ok_or(AssertionError::Malformed)?;
    if seconds(&claims, "nbf").is_some_and(|begin| begin > now + SKEW) || end + SKEW <= now {
        return Err(AssertionError::Time);
    }
    Ok(claims)
}

/// A time of the claims, whole seconds.
fn seconds(claims: &Value, name: &str) -> Option<i64> {
    let time = claims.get(name)?;
    time.as_i64().or_else(|| time.as_f64().map(|time| time as i64))
}
