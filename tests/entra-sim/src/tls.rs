//! The certificate authority made at start, and a certificate for whatever host a client names.
//!
//! The authority's key never leaves the process. All leaves share one key, so that a browser can be told to accept
//! exactly this simulation by one SPKI hash. The chain sent includes the authority.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use sha2::{Digest, Sha256};

/// The certificate authority.
pub struct CertificateAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    leaf_key: KeyPair,
    leaf_signer: Arc<dyn SigningKey>,
    leaves: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CertificateAuthority").finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// A new authority with fresh keys.
    ///
    /// # Errors
    /// The operating system gave no randomness, or a key was refused.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "entra-sim test authority");
        limit(&mut params, 365)?;
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let leaf_key = KeyPair::generate()?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let leaf_signer = rustls::crypto::ring::sign::any_supported_type(&der)?;
        Ok(Self { issuer, leaf_key, leaf_signer, leaves: Mutex::new(HashMap::new()) })
    }

    /// The authority's certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// SHA-256 of the authority's public key (SPKI), base64.
    #[must_use]
    pub fn spki_sha256(&self) -> String {
        STANDARD.encode(Sha256::digest(self.issuer.key().subject_public_key_info()))
    }

    /// SHA-256 of the public key that every leaf has, base64.
    #[must_use]
    pub fn leaf_spki_sha256(&self) -> String {
        STANDARD.encode(Sha256::digest(self.leaf_key.subject_public_key_info()))
    }

    /// A server configuration for connections that turn out to be for `fallback_host` when the client names none.
    ///
    /// # Errors
    /// The TLS library refuses its own defaults.
    pub fn server_config(self: &Arc<Self>, fallback_host: &str) -> anyhow::Result<Arc<ServerConfig>> {
        let resolver = NamedHost { authority: Arc::clone(self), fallback: fallback_host.to_owned() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn leaf(&self, host: &str) -> anyhow::Result<Arc<CertifiedKey>> {
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = leaves.get(host) {
            return Ok(Arc::clone(known));
        }
        let mut names = vec![host.to_owned()];
        if host == "localhost" {
            names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
        }
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, host.chars().take(60).collect::<String>());
        // One key for all would mean one number for all, which Firefox takes for forgery. (A number is positive.)
        let mut serial = Sha256::digest(host)[..16].to_vec();
        serial[0] = serial[0] & 0x3f | 0x40;
        params.serial_number = Some(serial.into());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        limit(&mut params, 30)?;
        let certificate = params.signed_by(&self.leaf_key, &self.issuer)?;
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone(), self.issuer.der().clone()];
        let made = Arc::new(CertifiedKey::new(chain, Arc::clone(&self.leaf_signer)));
        leaves.insert(host.to_owned(), Arc::clone(&made));
        Ok(made)
    }
}

struct NamedHost {
    authority: Arc<CertificateAuthority>,
    fallback: String,
}

impl std::fmt::Debug for NamedHost {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NamedHost").field("fallback", &self.fallback).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for NamedHost {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name().unwrap_or(&self.fallback).to_ascii_lowercase();
        self.authority.leaf(&host).ok()
    }
}

/// Year, month and day (UTC), so many days from today.
fn day(from_today: i64) -> anyhow::Result<(i32, u8, u8)> {
    let date = Timestamp::now()
        .to_zoned(TimeZone::UTC)
        .date()
        .checked_add(from_today.days())
        .context("a date within a year of today")?;
    Ok((i32::from(date.year()), u8::try_from(date.month())?, u8::try_from(date.day())?))
}

/// Limits how long a certificate is valid, in days from today.
fn limit(params: &mut CertificateParams, days: i64) -> anyhow::Result<()> {
    let (year, month, day_of_month) = day(-2)?;
    params.not_before = rcgen::date_time_ymd(year, month, day_of_month);
    let (year, month, day_of_month) = day(days)?;
    params.not_after = rcgen::date_time_ymd(year, month, day_of_month);
    Ok(())
}
