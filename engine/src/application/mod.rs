//! The application that acts in a customer's tenant: what proves that it is itself, and how that is replaced.
//!
//! Its secret or private key is in the key store that the caller gave and nowhere else; the database knows the public
//! half and when it ends. Nothing here touches a JIT account.

mod certificate;
pub(crate) mod credential;
mod onboard;
mod permissions;
mod registration;
mod rotate;
mod validate;

pub use certificate::{CERTIFICATE_DAYS, Certificate};
pub(crate) use certificate::{CertificateKey, DAY};
pub use credential::{ApplicationCredential, CredentialKept};
pub use onboard::{Administrator, Change, Deletable, Onboarded, Onboarding, TenantWish};
pub use permissions::{Feature, documented_permissions, least_permissions};
pub use rotate::Rotation;
pub use validate::{Check, CheckState, Validation};

use secrecy::{ExposeSecret as _, SecretString};

/// What proves to the token endpoint that the application is itself.
#[derive(Clone)]
pub(crate) enum ApplicationKey {
    /// A client secret.
    Secret(SecretString),
    /// The key of a certificate.
    Certificate(CertificateKey),
}

impl ApplicationKey {
    /// What an entry of the key store holds: a client secret as it is, or a certificate's key with a word before it.
    pub(crate) fn of_stored(stored: SecretString) -> Self {
        CertificateKey::of_stored(stored.expose_secret()).map_or(Self::Secret(stored), Self::Certificate)
    }

    /// As the key store keeps it.
    pub(crate) fn to_stored(&self) -> SecretString {
        match self {
            Self::Secret(secret) => secret.clone(),
            Self::Certificate(key) => key.to_stored(),
        }
    }
}
