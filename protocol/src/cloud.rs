//! The one table of Microsoft clouds: authority, Graph and sign-in origins. (The portals: [`crate::portal`].)
//!
//! Everything that names a Microsoft host takes it from here: the engine's addresses, the list of origins that the
//! brain fills, the extension's match patterns. Hosts are compared as whole origins, never by prefix or suffix.
//! Source: Microsoft Graph "National cloud deployments" (2025-01) and Entra's instance-discovery aliases.

use serde::{Deserialize, Serialize};

/// A Microsoft cloud. Tokens, applications and accounts live in exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// The global cloud, including Microsoft 365 GCC.
    #[default]
    Global,
    /// US Government L4 (GCC High).
    UsGovernment,
    /// US Government L5 (DoD).
    UsGovernmentDod,
    /// China, operated by 21Vianet.
    China,
}

/// The addresses of one cloud.
#[derive(Debug)]
#[non_exhaustive]
pub struct CloudHosts {
    /// Scheme and host of the token endpoint, without a trailing slash.
    pub authority: &'static str,
    /// Scheme and host of Microsoft Graph, without a trailing slash.
    pub graph: &'static str,
    /// Hosts whose sign-in pages may be filled; https on the default port only.
    pub sign_in_hosts: &'static [&'static str],
    /// Whether Temporary Access Passes exist in this cloud.
    pub has_temporary_access_pass: bool,
    /// Whether an application can register passkeys on behalf of accounts in this cloud.
    pub has_passkey_registration: bool,
}

impl Cloud {
    /// Every cloud.
    pub const ALL: [Self; 4] = [Self::Global, Self::UsGovernment, Self::UsGovernmentDod, Self::China];

    /// The addresses of this cloud.
    #[must_use]
    pub const fn hosts(self) -> &'static CloudHosts {
        match self {
            Self::Global => &CloudHosts {
                authority: "https://login.microsoftonline.com",
                graph: "https://graph.microsoft.com",
                sign_in_hosts: &["login.microsoftonline.com", "login.microsoft.com"],
                has_temporary_access_pass: true,
                has_passkey_registration: true,
            },
            Self::UsGovernment => &CloudHosts {
                authority: "https://login.microsoftonline.us",
                graph: "https://graph.microsoft.us",
                sign_in_hosts: &["login.microsoftonline.us"],
                has_temporary_access_pass: true,
                has_passkey_registration: false,
            },
            Self::UsGovernmentDod => &CloudHosts {
                authority: "https://login.microsoftonline.us",
                graph: "https://dod-graph.microsoft.us",
                sign_in_hosts: &["login.microsoftonline.us"],
                has_temporary_access_pass: true,
                has_passkey_registration: false,
            },
            Self::China => &CloudHosts {
                authority: "https://login.chinacloudapi.cn",
                graph: "https://microsoftgraph.chinacloudapi.cn",
                sign_in_hosts: &["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
                has_temporary_access_pass: false,
                has_passkey_registration: false,
            },
        }
    }

    /// Whether `origin` is a sign-in origin of this cloud.
    #[must_use]
    pub fn signs_in_at(self, origin: &SignInOrigin) -> bool {
        self.hosts().sign_in_hosts.contains(&origin.0)
    }
}

/// The origin of a genuine Entra sign-in page. Can only be made from an address that is on the compiled-in list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignInOrigin(&'static str);

impl SignInOrigin {
    /// Reads the origin of an address that the browser vouches for. Nothing but https on the default port, a host
    /// that is on the list to the letter, and no user name in the address.
    ///
    /// Browsers report addresses in the URL standard's normal form, so a strict comparison is enough: `https://`, a
    /// listed host, and then the end or the beginning of a path, query or fragment. Whatever is spelt otherwise is refused.
    #[must_use]
    pub fn of_address(address: &str) -> Option<Self> {
        let after_scheme = address.strip_prefix("https://")?;
        let authority = after_scheme.split(['/', '?', '#']).next()?;
        Cloud::ALL
            .iter()
            .flat_map(|cloud| cloud.hosts().sign_in_hosts)
            .find(|host| **host == authority)
            .map(|host| Self(host))
    }

    /// The host name.
    #[must_use]
    pub const fn host(self) -> &'static str {
        self.0
    }

    /// Every host whose sign-in pages may be filled, each once.
    #[must_use]
    pub fn all_hosts() -> Vec<&'static str> {
        let mut hosts: Vec<_> = Cloud::ALL.iter().flat_map(|cloud| cloud.hosts().sign_in_hosts).copied().collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }
}

impl std::fmt::Display for SignInOrigin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "https://{}", self.0)
    }
}
