//! Which kind of host a request was for. The lists are the host names of Microsoft's documentation and of the other
//! sites that the pages stand in for; everything unknown is a look-alike and gets the sign-in page byte for byte, as
//! an adversary in the middle would serve it.

/// What a host is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Host {
    /// Entra's sign-in page.
    SignIn,
    /// Scripts and styles of the sign-in page.
    ContentDelivery,
    /// Takes reports of policy violations.
    Reports,
    /// A portal that people sign in to.
    Portal,
    /// Security information registration.
    SecurityInfo,
    /// Microsoft's consumer sign-in.
    Consumer,
    /// An organisation's federation server.
    Federation,
    /// Another identity provider's widget.
    Okta,
    /// A site with a login of its own.
    GitHub,
    /// A hostile page that frames the sign-in page.
    Hostile,
    /// Looks like the sign-in page and is not it.
    LookAlike,
}

const SIGN_IN: [&str; 8] = [
    "login.microsoftonline.com",
    "login.microsoft.com",
    "login.windows.net",
    "login.microsoftonline.us",
    "login.usgovcloudapi.net",
    "login.partner.microsoftonline.cn",
    "login.chinacloudapi.cn",
    "login.microsoftonline.cn",
];

const CONTENT_DELIVERY: [&str; 4] =
    ["aadcdn.msauth.net", "aadcdn.msftauth.net", "aadcdn.msauthimages.net", "aadcdn.msftauthimages.net"];

const SECURITY_INFO: [&str; 4] = [
    "mysignins.microsoft.com",
    "myaccount.microsoft.com",
    "passwordreset.microsoftonline.com",
    "account.activedirectory.windowsazure.com",
];

/// Suffixes whose hosts are portals; the last resort after the exact names above.
const PORTALS: [&str; 19] = [
    "microsoft.com",
    "cloud.microsoft",
    "azure.com",
    "azure.us",
    "azure.cn",
    "office.com",
    "office365.com",
    "office365.us",
    "microsoft.us",
    "microsoft.cn",
    "powerbi.com",
    "powerapps.com",
    "sharepoint.com",
    "sharepoint.us",
    "sharepoint-mil.us",
    "sharepoint.cn",
    "apps.mil",
    "appsplatform.us",
    "microsoftonline.cn",
];

impl Host {
    /// The kind of `name`, which is in lower case and has no port. `ordinary` says that it was reached by https on
    /// the usual port.
    #[must_use]
    pub(super) fn of(name: &str, ordinary: bool) -> Self {
        if SIGN_IN.contains(&name) {
            return if ordinary { Self::SignIn } else { Self::LookAlike };
        }
        match name {
            "csp.microsoft.com" => Self::Reports,
            "login.live.com" | "account.live.com" | "signup.live.com" => Self::Consumer,
            "github.com" => Self::GitHub,
            _ if CONTENT_DELIVERY.contains(&name) => Self::ContentDelivery,
            _ if SECURITY_INFO.contains(&name) => Self::SecurityInfo,
            _ if name.starts_with("adfs.") => Self::Federation,
            _ if name.ends_with(".okta.example") => Self::Okta,
            _ if name == "portal.evil.test" => Self::Hostile,
            _ if is_portal(name) => Self::Portal,
            _ => Self::LookAlike,
        }
    }
}

fn is_portal(name: &str) -> bool {
    PORTALS.iter().any(|suffix| name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')))
        && !name.starts_with("login")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_in_hosts_are_exact() {
        assert_eq!(Host::of("login.microsoftonline.com", true), Host::SignIn);
        for name in [
            "login.microsoftonline.com.evil.test",
            "login-microsoftonline.com",
            "login.microsoftonline.co",
            "x.login.microsoftonline.com",
            "login.microsoftonline.com.mcas.ms",
            "contoso.ciamlogin.com",
            "xn--login-microsoftonlin-8bd.com",
        ] {
            assert_eq!(Host::of(name, true), Host::LookAlike, "{name}");
        }
        assert_eq!(Host::of("login.microsoftonline.com", false), Host::LookAlike);
    }

    #[test]
    fn portals_are_known_by_their_suffix() {
        for name in [
            "portal.azure.com",
            "entra.microsoft.com",
            "admin.cloud.microsoft",
            "portal.azure.us",
            "purview.apps.mil",
            "entra.microsoftonline.cn",
        ] {
            assert_eq!(Host::of(name, true), Host::Portal, "{name}");
        }
        assert_eq!(Host::of("notmicrosoft.com", true), Host::LookAlike);
    }
}
