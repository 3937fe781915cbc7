//! What an address says: path, tenant and account. Hand-made and small, because a full URL parser would be the
//! largest part of the WASM; nothing here decides trust ([`latchkey_protocol::cloud::SignInOrigin`] does).

use latchkey_protocol::TenantHint;

/// The path of an `https` address, without query and fragment.
#[must_use]
pub fn path(address: &str) -> &str {
    let Some(rest) = address.strip_prefix("https://") else {
        return "";
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    rest.find('/').and_then(|start| rest.get(start..)).unwrap_or_default()
}

/// What the address of a sign-in page and its `urlPost` say about the tenant and the account.
#[must_use]
pub fn hint(address: &str, post_url: Option<&str>) -> TenantHint {
    let tenant = tenant_of_path(path(address)).or_else(|| {
        let post_url = post_url?;
        tenant_of_path(if post_url.starts_with('/') { post_url } else { path(post_url) })
    });
    let user_name = ["login_hint", "username", "domain_hint", "whr"]
        .iter()
        .find_map(|name| query_value(address, name))
        .filter(|value| is_name(value));
    TenantHint { tenant, user_name }
}

fn tenant_of_path(path: &str) -> Option<String> {
    let path = path.split(['?', '#']).next()?;
    let segment = path.strip_prefix('/')?.split('/').next()?;
    let is_domain = segment.contains('.') && !segment.ends_with(".srf");
    let is_guid = uuid::Uuid::try_parse(segment).is_ok() && segment.len() == 36;
    // 9188040d-… is the one tenant of all personal accounts.
    let is_personal = segment == "9188040d-6c67-4c5b-b112-36a304b66dad";
    ((is_domain || is_guid) && !is_personal && is_name(segment)).then(|| segment.to_ascii_lowercase())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 256 && !text.chars().any(|character| character.is_control() || character == ' ')
}

fn query_value(address: &str, name: &str) -> Option<String> {
    let query = address.split('#').next()?.split_once('?')?.1;
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| decode(value)).flatten()
    })
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                bytes.push(hexadecimal(*high)? << 4 | hexadecimal(*low)?);
                rest = after;
            }
            (b'%', _) => return None,
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

const fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_tenant_comes_from_the_path() {
        for (address, tenant) in [
            (
                "https://login.microsoftonline.com/0B6DD2B3-5a3c-4c7e-9f43-1f6b9f3f0a11/oauth2/authorize",
                Some("0b6dd2b3-5a3c-4c7e-9f43-1f6b9f3f0a11"),
            ),
            ("https://login.microsoftonline.com/contoso.onmicrosoft.com/login?x=1", Some("contoso.onmicrosoft.com")),
            ("https://login.microsoftonline.com/common/oauth2/authorize", None),
            ("https://login.microsoftonline.com/organizations/oauth2/v2.0/authorize", None),
            ("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/login", None),
            ("https://login.microsoftonline.com/login.srf", None),
            ("https://login.microsoftonline.com/kmsi", None),
            ("https://login.microsoftonline.com", None),
            ("https://login.microsoftonline.com/?a=/contoso.com/", None),
        ] {
            assert_eq!(hint(address, None).tenant.as_deref(), tenant, "{address}");
        }
    }

    #[test]
    fn the_post_address_helps_where_the_path_says_nothing() {
        let address = "https://login.microsoftonline.com/common/oauth2/authorize";
        for post in ["/contoso.com/login", "https://login.microsoftonline.com/contoso.com/login?a=b"] {
            assert_eq!(hint(address, Some(post)).tenant.as_deref(), Some("contoso.com"), "{post}");
        }
        assert_eq!(hint(address, Some("/common/login")).tenant, None);
        assert_eq!(hint(address, Some("")).tenant, None);
    }

    #[test]
    fn the_account_comes_from_the_query() {
        for (query, name) in [
            ("login_hint=alex%40contoso.com", Some("alex@contoso.com")),
            ("x=1&username=alex@contoso.com&whr=fabrikam.com", Some("alex@contoso.com")),
            ("whr=fabrikam.com", Some("fabrikam.com")),
            ("domain_hint=fabrikam.com#login_hint=no", Some("fabrikam.com")),
            ("login_hint=%", None),
            ("login_hint=%zz", None),
            ("login_hint=%ff", None),
            ("login_hint=", None),
            ("login_hint=a+b", None),
            ("", None),
        ] {
            let address = ["https://login.microsoftonline.com/common/login?", query].concat();
            assert_eq!(hint(&address, None).user_name.as_deref(), name, "{query}");
        }
    }
}
