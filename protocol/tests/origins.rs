//! Only the exact origins of Entra's sign-in pages are sign-in origins.
#![allow(clippy::unwrap_used)]

use latchkey_protocol::cloud::{Cloud, SignInOrigin};
use proptest::prelude::*;

#[test]
fn the_real_ones_are_known() {
    for (address, cloud) in [
        ("https://login.microsoftonline.com", Cloud::Global),
        ("https://login.microsoftonline.com/common/oauth2/v2.0/authorize?client_id=x", Cloud::Global),
        ("https://login.microsoft.com/", Cloud::Global),
        ("https://login.microsoftonline.us/x", Cloud::UsGovernment),
        ("https://login.partner.microsoftonline.cn/", Cloud::China),
    ] {
        let origin = SignInOrigin::of_address(address).unwrap_or_else(|| panic!("{address}"));
        assert!(cloud.signs_in_at(&origin), "{address}");
    }
}

#[test]
fn look_alikes_are_not() {
    for address in [
        "https://login.microsoftonline.com.evil.test/",
        "https://login-microsoftonline.com/",
        "https://loginmicrosoftonline.com/",
        "https://login.microsoftonline.co/",
        "https://x.login.microsoftonline.com/",
        "https://login.microsoftonline.com:8443/",
        "http://login.microsoftonline.com/",
        "https://login.microsoftonline.com./",
        "https://login.microsoftonline.com@evil.test/",
        "https://user@login.microsoftonline.com/",
        "https://:secret@login.microsoftonline.com/",
        "https://evil.test/https://login.microsoftonline.com/",
        "https://evil.test#@login.microsoftonline.com/",
        "https://login.microsoftonline.com.mcas.ms/",
        "https://xn--lgin-microsoftonline-com.test/",
        "https://login.micrοsoftonline.com/",
        "https://contoso.ciamlogin.com/",
        "https://contoso.b2clogin.com/",
        "https://login.live.com/",
        "https://account.live.com/",
        "https://adfs.contoso.example/adfs/ls/",
        "https://mysignins.microsoft.com/",
        "https://sts.windows.net/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "blob:https://login.microsoftonline.com/0b6dd2b3-5a3c-4c7e-9f43-1f6b9f3f0a11",
        "filesystem:https://login.microsoftonline.com/x",
        "view-source:https://login.microsoftonline.com/",
        "HTTPS://login.microsoftonline.com/",
        "https://LOGIN.microsoftonline.com/",
        "https://login.microsoftonline.com:443/",
        "https://login.microsoftonline.com:/",
        "https://login.microsoftonline.com\\@evil.test/",
        "https://login.microsoftonline.com%2eevil.test/",
        "https:/login.microsoftonline.com/",
        "https:login.microsoftonline.com/",
        " https://login.microsoftonline.com/",
        "https://login.microsoftonline.com\t/",
        "https:///login.microsoftonline.com/",
        "https://?https://login.microsoftonline.com/",
        "about:srcdoc",
        "about:blank",
        "data:text/html,login.microsoftonline.com",
        "javascript:1",
        "null",
        "",
    ] {
        assert_eq!(SignInOrigin::of_address(address), None, "{address}");
    }
}

#[test]
fn clouds_do_not_share_more_than_they_should() {
    let origin = SignInOrigin::of_address("https://login.microsoftonline.us/").unwrap();
    assert!(!Cloud::Global.signs_in_at(&origin));
    assert!(!Cloud::China.signs_in_at(&origin));
}

proptest! {
    #[test]
    fn whatever_is_put_before_or_after_the_host_is_refused(
        before in "[a-z0-9.-]{1,12}",
        after in "[a-z0-9.:-]{1,12}",
        host in prop::sample::select(SignInOrigin::all_hosts()),
    ) {
        let longer = format!("{before}{host}");
        prop_assume!(!SignInOrigin::all_hosts().contains(&longer.as_str()));
        prop_assert_eq!(SignInOrigin::of_address(&format!("https://{longer}/")), None);
        let longer = format!("{host}{after}");
        prop_assume!(!SignInOrigin::all_hosts().contains(&longer.as_str()));
        prop_assert_eq!(SignInOrigin::of_address(&format!("https://{longer}/")), None);
    }
}
