//! The admin portals, per cloud: one table of addresses that lead straight to one tenant.
//!
//! A portal is told the tenant where it takes one (in the path or as `tid`; SharePoint has a host of its own per
//! tenant), and the account always (`login_hint`), with `prompt=login` so that a session of somebody else in the same
//! browser is not taken silently. A portal that ignores the hints sends people to the ordinary sign-in page all the same.
//! A portal that does not exist in a cloud, or whose address there is not published, is not in the table.
//!
//! Sources: Microsoft's documentation of the portals, of the national clouds' endpoints for Microsoft 365 (DoD as of March
//! 2026), Entra, Intune, Teams, Power Platform and Defender. The addresses of Exchange, Defender and Purview in China are
//! from administrators' lists alone (msportals.io, 2026), which agree with one another.

use uuid::Uuid;

use crate::cloud::Cloud;

macro_rules! portals {
    ($($(#[$more:meta])? $variant:ident = $key:literal, $name:literal;)+) => {
        /// A place where a technician administers a tenant.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum Portal {
            $(#[doc = $name] $(#[$more])? $variant,)+
        }

        impl Portal {
            /// Every portal, in the order in which they are offered.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// A short name that stays the same: for preferences.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)+ }
            }

            /// Microsoft's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

portals! {
    #[default]
    Azure = "azure", "Azure";
    Entra = "entra", "Entra";
    Microsoft365 = "microsoft_365", "Microsoft 365 admin";
    Intune = "intune", "Intune";
    Exchange = "exchange", "Exchange";
    Defender = "defender", "Defender";
    Purview = "purview", "Purview";
    Teams = "teams", "Teams";
    SharePoint = "share_point", "SharePoint";
    PowerPlatform = "power_platform", "Power Platform";
    PartnerCenter = "partner_center", "Partner Center";
    Lighthouse = "lighthouse", "Lighthouse";
}

/// Where a portal is to open: the tenant and the account.
#[derive(Clone, Copy, Debug)]
pub struct PortalTarget<'a> {
    /// The tenant's cloud.
    pub cloud: Cloud,
    /// The tenant.
    pub tenant_id: Uuid,
    /// Its verified domains.
    pub domains: &'a [String],
    /// The account that signs in.
    pub user_name: &'a str,
}

impl Portal {
    /// The portal of a key.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|portal| portal.key() == key)
    }

    /// The address that opens the portal in one tenant for one account; nothing where there is none.
    #[must_use]
    pub fn address(self, target: &PortalTarget<'_>) -> Option<String> {
        let template = self.template(target.cloud)?;
        let mut address = template.replace("{tenant}", &target.tenant_id.to_string());
        if address.contains("{name}") {
            address = address.replace("{name}", initial_name(target.domains)?);
        }
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str("login_hint=");
        encode(&mut address, target.user_name);
        address.push_str("&prompt=login");
        Some(address)
    }

    /// `{tenant}` is the directory id, `{name}` the first label of the initial domain (`contoso` of
    /// `contoso.onmicrosoft.com`).
    const fn template(self, cloud: Cloud) -> Option<&'static str> {
        use Cloud::{China, Global, UsGovernment, UsGovernmentDod};
        Some(match (self, cloud) {
            (Self::Azure, Global) => "https://portal.azure.com/{tenant}",
            (Self::Azure, UsGovernment | UsGovernmentDod) => "https://portal.azure.us/{tenant}",
            (Self::Azure, China) => "https://portal.azure.cn/{tenant}",
            (Self::Entra, Global) => "https://entra.microsoft.com/{tenant}",
            (Self::Entra, UsGovernment | UsGovernmentDod) => "https://entra.microsoft.us/{tenant}",
            (Self::Entra, China) => "https://entra.microsoftonline.cn/{tenant}",
            (Self::Microsoft365, Global) => "https://admin.microsoft.com/",
            (Self::Microsoft365, UsGovernment) => "https://portal.office365.us/adminportal/home",
            (Self::Microsoft365, UsGovernmentDod) => "https://portal.apps.mil/adminportal/home",
            (Self::Microsoft365, China) => "https://portal.partner.microsoftonline.cn/adminportal/home",
            (Self::Intune, Global) => "https://intune.microsoft.com/{tenant}",
            (Self::Intune, UsGovernment | UsGovernmentDod) => "https://intune.microsoft.us/{tenant}",
            (Self::Intune, China) => "https://intune.microsoftonline.cn/{tenant}",
            (Self::Exchange, Global) => "https://admin.exchange.microsoft.com/",
            (Self::Exchange, UsGovernment) => "https://admin.exchange.office365.us/",
            (Self::Exchange, China) => "https://admin.exchange.microsoftonline.cn/",
            (Self::Defender, Global) => "https://security.microsoft.com/?tid={tenant}",
            (Self::Defender, UsGovernment) => "https://security.microsoft.us/?tid={tenant}",
            (Self::Defender, UsGovernmentDod) => "https://security.apps.mil/?tid={tenant}",
            (Self::Defender, China) => "https://security.microsoftonline.cn/?tid={tenant}",
            (Self::Purview, Global) => "https://purview.microsoft.com/?tid={tenant}",
            (Self::Purview, UsGovernment) => "https://purview.microsoft.us/?tid={tenant}",
            (Self::Purview, UsGovernmentDod) => "https://purview.apps.mil/?tid={tenant}",
            (Self::Purview, China) => "https://purview.microsoftonline.cn/?tid={tenant}",
            (Self::Teams, Global) => "https://admin.teams.microsoft.com/",
            (Self::Teams, UsGovernment) => "https://admin.gov.teams.microsoft.us/",
            (Self::Teams, UsGovernmentDod) => "https://admin.dod.teams.microsoft.us/",
            (Self::SharePoint, Global) => "https://{name}-admin.sharepoint.com/",
            (Self::SharePoint, UsGovernment) => "https://{name}-admin.sharepoint.us/",
            (Self::SharePoint, UsGovernmentDod) => "https://{name}-admin.sharepoint-mil.us/",
            (Self::SharePoint, China) => "https://{name}-admin.sharepoint.cn/",
            (Self::PowerPlatform, Global) => "https://admin.powerplatform.microsoft.com/account/login/{tenant}",
            (Self::PowerPlatform, UsGovernment) => "https://high.admin.powerplatform.microsoft.us/",
            (Self::PowerPlatform, UsGovernmentDod) => "https://admin.appsplatform.us/",
            (Self::PowerPlatform, China) => "https://admin.powerplatform.partner.microsoftonline.cn/",
            (Self::PartnerCenter, Global) => "https://partner.microsoft.com/dashboard/home",
            (Self::Lighthouse, Global) => "https://lighthouse.microsoft.com/",
            _ => return None,
        })
    }
}

/// `contoso` of `contoso.onmicrosoft.com` and its sovereign sisters. Nothing that is not a plain label gets into a host name.
fn initial_name(domains: &[String]) -> Option<&str> {
    domains.iter().find_map(|domain| {
        let (name, rest) = domain.split_once('.')?;
        let is_initial = ["onmicrosoft.com", "onmicrosoft.us", "partner.onmschina.cn"].contains(&rest);
        let is_label = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (is_initial && is_label).then_some(name)
    })
}

fn encode(address: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            address.push(char::from(byte));
        } else {
            address.push('%');
            address.push(char::from(DIGITS[usize::from(byte >> 4)]));
            address.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TENANT: Uuid = Uuid::from_u128(0x0b6d_d2b3_5a3c_4c7e_9f43_1f6b_9f3f_0a11);

    fn addresses(cloud: Cloud, domains: &[&str]) -> Vec<String> {
        let domains: Vec<_> = domains.iter().map(|domain| (*domain).to_owned()).collect();
        let target = PortalTarget { cloud, tenant_id: TENANT, domains: &domains, user_name: "jit-alex+x@contoso.com" };
        Portal::ALL.iter().filter_map(|portal| portal.address(&target)).collect()
    }

    #[test]
    fn every_address_names_the_account_and_has_a_plain_host() {
        for cloud in Cloud::ALL {
            let addresses = addresses(cloud, &["contoso.com", "contoso.onmicrosoft.com"]);
            assert!(addresses.len() >= 4, "{cloud:?}: {addresses:?}");
            for address in addresses {
                assert_eq!(
                    address.matches("login_hint=jit-alex%2Bx%40contoso.com&prompt=login").count(),
                    1,
                    "{address}"
                );
                assert_eq!(address.matches('?').count(), 1, "{address}");
                assert!(!address.contains(['{', '}', ' ', '#']), "{address}");
                let host = address.strip_prefix("https://").unwrap().split(['/', '?']).next().unwrap();
                assert!(host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)), "{host}");
            }
        }
        assert_eq!(addresses(Cloud::Global, &["contoso.onmicrosoft.com"]).len(), Portal::ALL.len());
    }

    #[test]
    fn the_tenant_is_named_where_the_portal_takes_it() {
        let all = addresses(Cloud::Global, &["contoso.com", "contoso.onmicrosoft.com"]);
        let with_tenant = all.iter().filter(|address| address.contains(&TENANT.to_string())).count();
        assert_eq!(with_tenant, 6, "{all:?}");
        assert!(all.iter().any(|address| address.starts_with("https://contoso-admin.sharepoint.com/?login_hint=")));
    }

    #[test]
    fn a_tenant_without_an_initial_domain_has_no_sharepoint_and_no_made_up_host() {
        for domains in [&["contoso.com"][..], &["x.example/.onmicrosoft.com"], &["a b.onmicrosoft.com"], &[]] {
            let all = addresses(Cloud::Global, domains);
            assert_eq!(all.len(), Portal::ALL.len() - 1);
            assert!(!all.iter().any(|address| address.contains("sharepoint")), "{all:?}");
        }
    }

    #[test]
    fn keys_lead_back_to_their_portals() {
        for portal in Portal::ALL {
            assert_eq!(Portal::from_key(portal.key()), Some(*portal));
        }
        assert_eq!(Portal::from_key("nothing"), None);
    }
}
