//! The expected decision for every kind of page, row by row, and the refusal of every page on a wrong host.
//!
//! In each row the account is active and the technician has clicked; what is expected is what Latchkey then does by
//! itself.
#![cfg(feature = "brain")]
#![allow(clippy::unwrap_used)]

mod support;

use latchkey_protocol::CredentialKind::{self, Password, TemporaryAccessPass};
use latchkey_wasm::{
    brain::{Event, Outcome, Ready, Snapshot},
    elements::ElementKey as Key,
};
use support::*;

struct Row {
    name: &'static str,
    url: &'static str,
    credential: CredentialKind,
    snapshot: Snapshot,
    /// What is done at once.
    deeds: &'static [&'static str],
    /// What the popup says then.
    status: &'static str,
    /// What it says when nothing changes for half a minute.
    later: &'static str,
}

const TENANT_LOGIN: &str = "https://login.microsoftonline.com/contoso.onmicrosoft.com/login";
const PROCESS_AUTH: &str = "https://login.microsoftonline.com/common/SAS/ProcessAuth";

fn second_factor(elements: Vec<latchkey_wasm::brain::Element>) -> Snapshot {
    with_identity(page("ConvergedTFA", &["1"], elements), UPN)
}

fn picker(tiles: &[&str]) -> Snapshot {
    let mut snapshot = page("ConvergedSignIn", &["12"], vec![seen(Key::Tiles), seen(Key::OtherTile)]);
    snapshot.tiles = tiles.iter().map(|tile| (*tile).to_owned()).collect();
    snapshot
}

fn sliding() -> Snapshot {
    let mut name = seen(Key::UserName);
    name.value = Some(UPN.to_owned());
    name.empty = false;
    let both =
        vec![name, masked(Key::Password), latchkey_wasm::brain::Element { count: 2, visible: 2, ..seen(Key::Primary) }];
    busy(with_identity(page("ConvergedSignIn", &["1", "2"], both), UPN))
}

#[allow(clippy::too_many_lines)]
fn table() -> Vec<Row> {
    let row = |name, url, credential, snapshot, deeds, status, later| Row {
        name,
        url,
        credential,
        snapshot,
        deeds,
        status,
        later,
    };
    let work_or_personal = || page("ConvergedSignIn", &["7"], vec![seen(Key::WorkTile), seen(Key::PersonalTile)]);
    let change =
        vec![latchkey_wasm::brain::Element { count: 3, visible: 3, ..masked(Key::ChangePassword) }, seen(Key::Primary)];
    vec![
        row("raw document", AUTHORIZE, Password, raw(), &[], "status_page", "page_unknown"),
        row("raw branded document", TENANT_LOGIN, Password, raw(), &[], "status_page", "page_unknown"),
        row(
            "raw second factor",
            LOGIN,
            Password,
            Snapshot { ready: Ready::Interactive, ..page("ConvergedTFA", &[], vec![]) },
            &[],
            "status_page",
            "page_unknown",
        ),
        row(
            "raw question to stay",
            LOGIN,
            Password,
            Snapshot { ready: Ready::Interactive, ..page("KmsiInterrupt", &[], vec![]) },
            &[],
            "status_page",
            "page_unknown",
        ),
        row(
            "more information required",
            LOGIN,
            Password,
            page("ConvergedProofUpRedirect", &["32"], vec![seen(Key::ProofUp)]),
            &[],
            "page_proof_up",
            "page_proof_up",
        ),
        row("user name with the decoy", AUTHORIZE, Password, user_name(""), &["fill user_name"], "status_filling", ""),
        row(
            "user name of somebody else",
            AUTHORIZE,
            Password,
            user_name("kim@contoso.com"),
            &["fill user_name"],
            "status_filling",
            "",
        ),
        row(
            "user name, German, prefilled with ours",
            TENANT_LOGIN,
            Password,
            user_name("JIT-Alex@contoso.onmicrosoft.com"),
            &["click primary"],
            "status_submitted",
            "",
        ),
        row(
            "user name, under a cover that nobody sees",
            AUTHORIZE,
            Password,
            add(user_name(""), decoy(Key::Busy)),
            &["fill user_name"],
            "status_filling",
            "",
        ),
        row(
            "user name, sent elsewhere",
            AUTHORIZE,
            Password,
            Snapshot { form_origin: Some("null".to_owned()), ..user_name("") },
            &[],
            "page_foreign_form",
            "page_foreign_form",
        ),
        row(
            "password, beside a masked box of no known name",
            AUTHORIZE,
            Password,
            add(password(), latchkey_wasm::brain::Element { count: 2, visible: 2, ..masked(Key::Masked) }),
            &[],
            "page_many_fields",
            "page_many_fields",
        ),
        row(
            "pass in the clear, beside a masked box",
            AUTHORIZE,
            TemporaryAccessPass,
            {
                let mut snapshot = add(access_pass(), masked(Key::Masked));
                snapshot.elements[0].input_type = Some("text".to_owned());
                snapshot
            },
            &[],
            "page_many_fields",
            "page_many_fields",
        ),
        row(
            "two user name boxes",
            AUTHORIZE,
            Password,
            {
                let mut snapshot = user_name("");
                snapshot.elements[0].visible = 2;
                snapshot
            },
            &[],
            "page_many_fields",
            "page_many_fields",
        ),
        row(
            "picker with our tile",
            AUTHORIZE,
            Password,
            picker(&["kim@contoso.com", UPN]),
            &["click tiles jit-alex@contoso.onmicrosoft.com"],
            "status_switching",
            "",
        ),
        row(
            "picker without our tile",
            AUTHORIZE,
            Password,
            picker(&["jit-alex@contoso.onmicrosoft.com.evil"]),
            &["click other_tile"],
            "status_switching",
            "",
        ),
        row(
            "picker with our tile twice",
            AUTHORIZE,
            Password,
            picker(&[UPN, UPN]),
            &[],
            "page_no_tile",
            "page_no_tile",
        ),
        row(
            "picker without a way out",
            AUTHORIZE,
            Password,
            {
                let mut snapshot = picker(&["kim@contoso.com"]);
                snapshot.elements.pop();
                snapshot
            },
            &[],
            "page_no_tile",
            "page_no_tile",
        ),
        row("work or personal", AUTHORIZE, Password, work_or_personal(), &["click work_tile"], "status_switching", ""),
        row(
            "personal only",
            AUTHORIZE,
            Password,
            page("ConvergedSignIn", &["7"], vec![seen(Key::PersonalTile)]),
            &[],
            "page_work_or_personal",
            "page_work_or_personal",
        ),
        row("password", AUTHORIZE, Password, password(), &["ask password"], "status_filling", ""),
        row(
            "password, the name in other letters",
            AUTHORIZE,
            Password,
            with_identity(password(), &UPN.to_uppercase()),
            &["ask password"],
            "status_filling",
            "",
        ),
        row(
            "password of another account",
            AUTHORIZE,
            Password,
            with_identity(password(), "kim@contoso.com"),
            &["click back"],
            "status_switching",
            "",
        ),
        row(
            "password of another account, no way back",
            AUTHORIZE,
            Password,
            {
                let mut snapshot = with_identity(password(), "kim@contoso.com");
                snapshot.elements.retain(|element| element.key != Key::Back);
                snapshot
            },
            &[],
            "page_other_account",
            "page_other_account",
        ),
        row(
            "password, nobody named",
            AUTHORIZE,
            Password,
            Snapshot { identity: None, ..password() },
            &[],
            "status_page",
            "page_unknown",
        ),
        row(
            "password, sent elsewhere",
            AUTHORIZE,
            Password,
            Snapshot { form_origin: Some("https://evil.test".to_owned()), ..password() },
            &[],
            "page_foreign_form",
            "page_foreign_form",
        ),
        row(
            "password, no form",
            AUTHORIZE,
            Password,
            Snapshot { form_origin: None, ..password() },
            &[],
            "page_foreign_form",
            "page_foreign_form",
        ),
        row(
            "password in a hidden tab",
            AUTHORIZE,
            Password,
            Snapshot { on_screen: false, ..password() },
            &[],
            "status_hidden",
            "status_hidden",
        ),
        row(
            "covered password",
            AUTHORIZE,
            Password,
            {
                let mut snapshot = password();
                snapshot.elements.iter_mut().for_each(|element| element.clear = false);
                snapshot
            },
            &[],
            "page_covered",
            "page_covered",
        ),
        row(
            "two password boxes",
            AUTHORIZE,
            Password,
            {
                let mut snapshot = password();
                snapshot
                    .elements
                    .iter_mut()
                    .filter(|element| element.key == Key::Password)
                    .for_each(|element| element.visible = 2);
                snapshot
            },
            &[],
            "page_many_fields",
            "page_many_fields",
        ),
        row(
            "password box that shows its text",
            AUTHORIZE,
            Password,
            {
                let mut snapshot = password();
                snapshot.elements.iter_mut().for_each(|element| element.input_type = Some("text".to_owned()));
                snapshot
            },
            &[],
            "page_unknown",
            "page_unknown",
        ),
        row(
            "password after 50126",
            LOGIN,
            Password,
            with_error(password(), "50126"),
            &[],
            "refused_credential",
            "refused_credential",
        ),
        row(
            "password after 50053",
            LOGIN,
            Password,
            with_error(password(), "50053"),
            &[],
            "refused_locked",
            "refused_locked",
        ),
        row(
            "password after 50056",
            LOGIN,
            Password,
            with_error(password(), "50056"),
            &[],
            "refused_invalid_password",
            "refused_invalid_password",
        ),
        row(
            "password after another number",
            LOGIN,
            Password,
            with_error(password(), "99999"),
            &[],
            "refused_other",
            "refused_other",
        ),
        row(
            "password, first load",
            LOGIN,
            Password,
            with_error(password(), "50058"),
            &["ask password"],
            "status_filling",
            "",
        ),
        row(
            "password, error without a number",
            LOGIN,
            Password,
            add(password(), seen(Key::PasswordError)),
            &[],
            "refused_no_number",
            "refused_no_number",
        ),
        row("pass", AUTHORIZE, TemporaryAccessPass, access_pass(), &["ask access_pass"], "status_filling", ""),
        row(
            "pass, shown in the clear",
            AUTHORIZE,
            TemporaryAccessPass,
            {
                let mut snapshot = access_pass();
                snapshot.elements[0].input_type = Some("text".to_owned());
                snapshot
            },
            &["ask access_pass"],
            "status_filling",
            "",
        ),
        row(
            "pass where we hold a password",
            AUTHORIZE,
            Password,
            access_pass(),
            &["click to_password"],
            "status_switching",
            "",
        ),
        row(
            "pass where we hold a password, no way",
            AUTHORIZE,
            Password,
            {
                let mut snapshot = access_pass();
                snapshot.elements.retain(|element| element.key != Key::ToPassword);
                snapshot
            },
            &[],
            "page_no_password",
            "page_no_password",
        ),
        row(
            "pass refused by policy",
            LOGIN,
            TemporaryAccessPass,
            with_error(access_pass(), "130502"),
            &[],
            "status_replacing",
            "status_replacing",
        ),
        row(
            "pass expired",
            LOGIN,
            TemporaryAccessPass,
            with_error(access_pass(), "130504"),
            &[],
            "refused_pass_expired",
            "refused_pass_expired",
        ),
        row(
            "pass used",
            LOGIN,
            TemporaryAccessPass,
            with_error(access_pass(), "130505"),
            &[],
            "refused_pass_used",
            "refused_pass_used",
        ),
        row(
            "password where we hold a pass",
            AUTHORIZE,
            TemporaryAccessPass,
            add(password(), seen(Key::ToAccessPass)),
            &["click to_access_pass"],
            "status_switching",
            "",
        ),
        row(
            "password where we hold a pass, behind options",
            AUTHORIZE,
            TemporaryAccessPass,
            add(password(), seen(Key::ToCredentials)),
            &["click to_credentials"],
            "status_switching",
            "",
        ),
        row(
            "list of credentials",
            AUTHORIZE,
            TemporaryAccessPass,
            page("ConvergedSignIn", &["24"], vec![seen(Key::Credentials), seen(Key::AccessPassTile), seen(Key::Back)]),
            &["click access_pass_tile"],
            "status_switching",
            "",
        ),
        row(
            "list of credentials, password wanted",
            AUTHORIZE,
            Password,
            page("ConvergedSignIn", &["24"], vec![seen(Key::Credentials), seen(Key::AccessPassTile)]),
            &[],
            "page_no_password",
            "page_no_password",
        ),
        row(
            "code",
            PROCESS_AUTH,
            TemporaryAccessPass,
            second_factor(vec![seen(Key::Code), seen(Key::Primary)]),
            &[],
            "page_code",
            "page_code",
        ),
        row(
            "second factors",
            PROCESS_AUTH,
            Password,
            second_factor(vec![seen(Key::Methods), seen(Key::AccessPassTile)]),
            &[],
            "page_methods",
            "page_methods",
        ),
        row(
            "second factors with the pass",
            PROCESS_AUTH,
            TemporaryAccessPass,
            second_factor(vec![seen(Key::Methods), seen(Key::AccessPassTile)]),
            &["click access_pass_tile"],
            "status_switching",
            "",
        ),
        row(
            "number to type",
            PROCESS_AUTH,
            Password,
            second_factor(vec![seen(Key::Approval), seen(Key::Number)]),
            &[],
            "page_approval",
            "page_approval",
        ),
        row(
            "approval over",
            PROCESS_AUTH,
            Password,
            second_factor(vec![seen(Key::ApprovalOver)]),
            &[],
            "page_approval_over",
            "page_approval_over",
        ),
        row("stay signed in", PROCESS_AUTH, Password, stay_signed_in(), &["click back"], "status_submitted", ""),
        row(
            "stay signed in as somebody else",
            LOGIN,
            Password,
            with_identity(stay_signed_in(), "kim@contoso.com"),
            &[],
            "page_other_account",
            "page_other_account",
        ),
        row(
            "a back button on a page that only says so",
            LOGIN,
            Password,
            page("KmsiInterrupt", &[], vec![seen(Key::Back), seen(Key::Primary)]),
            &[],
            "status_page",
            "page_unknown",
        ),
        row(
            "device code",
            "https://login.microsoftonline.com/common/oauth2/deviceauth",
            Password,
            page("ConvergedSignIn", &["14"], vec![seen(Key::DeviceCode), seen(Key::Primary)]),
            &[],
            "page_device_code",
            "page_device_code",
        ),
        row(
            "consent",
            LOGIN,
            Password,
            page("ConvergedConsent", &["25"], vec![seen(Key::Primary), seen(Key::Back)]),
            &[],
            "page_consent",
            "page_consent",
        ),
        row(
            "consent by its button",
            LOGIN,
            Password,
            add(password(), seen(Key::Accept)),
            &[],
            "page_consent",
            "page_consent",
        ),
        row(
            "policy",
            LOGIN,
            Password,
            with_error(page("ConvergedConditionalAccess", &["34"], vec![]), "53003"),
            &[],
            "page_conditional_access",
            "page_conditional_access",
        ),
        row(
            "error page",
            LOGIN,
            Password,
            with_error(page("ConvergedError", &["26"], vec![seen(Key::ServiceError)]), "90002"),
            &[],
            "refused_tenant",
            "refused_tenant",
        ),
        row(
            "error page, other number",
            LOGIN,
            Password,
            with_error(page("ConvergedError", &["26"], vec![seen(Key::ServiceError)]), "700016"),
            &[],
            "page_error",
            "page_error",
        ),
        row(
            "'Working…'",
            LOGIN,
            Password,
            Snapshot { page_id: None, ..page("", &[], vec![seen(Key::SelfSubmitting)]) },
            &[],
            "status_page",
            "page_unknown",
        ),
        row(
            "reload by the browser's own sign-in",
            AUTHORIZE,
            Password,
            page("BssoInterrupt", &[], vec![]),
            &[],
            "status_page",
            "page_unknown",
        ),
        row("two views and the cover", AUTHORIZE, Password, sliding(), &[], "status_page", "page_changing"),
        row(
            "two views",
            AUTHORIZE,
            Password,
            Snapshot { views: vec!["1".to_owned(), "2".to_owned()], ..password() },
            &[],
            "status_page",
            "page_changing",
        ),
        row("the cover", AUTHORIZE, Password, busy(password()), &[], "status_page", "page_changing"),
        row(
            "change password",
            LOGIN,
            Password,
            page("ConvergedChangePassword", &["22"], change.clone()),
            &[],
            "page_change_password",
            "page_change_password",
        ),
        row(
            "change password that calls itself sign-in",
            LOGIN,
            Password,
            with_identity(
                page("ConvergedSignIn", &["2"], {
                    let mut all = change;
                    all.push(masked(Key::Password));
                    all
                }),
                UPN,
            ),
            &[],
            "page_change_password",
            "page_change_password",
        ),
        row(
            "confirm the application",
            LOGIN,
            Password,
            page("CmsiInterrupt", &["43"], vec![seen(Key::Primary), seen(Key::Back)]),
            &[],
            "page_confirm_application",
            "page_confirm_application",
        ),
        row(
            "another organization",
            LOGIN,
            Password,
            page("ConvergedSignIn", &["41"], vec![seen(Key::ToOrganization)]),
            &[],
            "page_federated",
            "page_federated",
        ),
        row(
            "captcha beside the password",
            LOGIN,
            Password,
            Snapshot { views: vec!["48".to_owned()], ..password() },
            &[],
            "page_captcha",
            "page_captcha",
        ),
        row("passkey", LOGIN, Password, page("ConvergedSignIn", &["23"], vec![]), &[], "page_passkey", "page_passkey"),
        row(
            "sign-out",
            "https://login.microsoftonline.com/common/oauth2/v2.0/logout?x",
            Password,
            picker(&[UPN]),
            &[],
            "page_sign_out",
            "page_sign_out",
        ),
        row(
            "future page",
            AUTHORIZE,
            Password,
            page("ConvergedSignIn", &[], vec![]),
            &[],
            "status_page",
            "page_unknown",
        ),
        row(
            "unheard-of page",
            AUTHORIZE,
            Password,
            Snapshot { page_id: Some("SomethingNew".to_owned()), ..password() },
            &[],
            "status_page",
            "page_unknown",
        ),
        row(
            "page of another cloud",
            "https://login.microsoftonline.us/common/login",
            Password,
            password(),
            &[],
            "page_wrong_cloud",
            "page_wrong_cloud",
        ),
    ]
}

fn granted_at(row: &Row) -> (World, Vec<latchkey_wasm::brain::Effect>) {
    let mut world = World::new();
    world.url = row.url.to_owned();
    world.open_popup(&[tenant(row.credential)]);
    let mut effects = world.click();
    effects.extend(world.grant(row.credential));
    effects.extend(world.see("d1", row.snapshot.clone()));
    (world, effects)
}

#[test]
fn each_page_has_its_decision() {
    for row in table() {
        let (mut world, effects) = granted_at(&row);
        assert_eq!(deeds(&effects), row.deeds, "{}", row.name);
        assert_eq!(world.status(), row.status, "{}", row.name);
        if !row.later.is_empty() {
            let before = world.effects.len();
            for _ in 0..3 {
                world.pass(10_000);
                world.send(Event::TimerRang { name: format!("page:{TAB}") });
            }
            assert_eq!(world.status(), row.later, "{}, later", row.name);
            assert!(deeds(&world.effects[before..]).is_empty(), "{}, later", row.name);
        }
    }
}

#[test]
fn nothing_is_done_before_the_click() {
    for row in table() {
        let mut world = World::new();
        world.url = row.url.to_owned();
        let mut effects = world.see("d1", row.snapshot.clone());
        effects.extend(world.send(Event::PopupOpened { tab_id: Some(TAB), url: Some(row.url.to_owned()) }));
        effects.extend(world.greet(&[tenant(row.credential)]));
        effects.extend(world.see("d1", row.snapshot));
        assert!(deeds(&effects).is_empty(), "{}", row.name);
    }
}

/// Byte for byte the same page, on every host on which it must be refused.
#[test]
fn nothing_is_done_on_a_wrong_host() {
    let hosts = [
        "https://login.microsoftonline.com.evil.test/common/login",
        "https://login-microsoftonline.com/common/login",
        "https://loginmicrosoftonline.com/common/login",
        "https://login.microsoftonline.co/common/login",
        "https://x.login.microsoftonline.com/common/login",
        "https://login.microsoftonline.com:8443/common/login",
        "http://login.microsoftonline.com/common/login",
        "https://login.microsoftonline.com./common/login",
        "https://user@login.microsoftonline.com/common/login",
        "https://xn--lgin-microsoftonline-com.test/common/login",
        "https://login.ai.crforum.co.uk/common/login",
        "https://login.microsoftonline.com.mcas.ms/common/login",
        "https://login.live.com/login.srf",
        "https://login.live.com/oauth20_authorize.srf",
        "https://account.live.com/",
        "https://contoso.ciamlogin.com/contoso/login",
        "https://contoso.b2clogin.com/contoso/login",
        "https://login.contoso.example/contoso/login",
        "https://adfs.contoso.example/adfs/ls/",
        "https://contoso.okta.example/",
        "https://github.com/login",
        "https://sts.windows.net/x/login",
        "https://login.windows.net/common/login",
        "https://device.login.microsoftonline.com/",
        "https://autologon.microsoftazuread-sso.com/",
        "https://mysignins.microsoft.com/security-info",
        "https://myaccount.microsoft.com/",
        "https://passwordreset.microsoftonline.com/",
        "https://account.activedirectory.windowsazure.com/",
        "blob:https://login.microsoftonline.com/0b6dd2b3-5a3c-4c7e-9f43-1f6b9f3f0a11",
        "about:srcdoc",
        "about:blank",
        "null",
        "",
    ];
    for host in hosts {
        for row in table().into_iter().filter(|row| !row.deeds.is_empty()) {
            // Even when the click was made on a genuine page of the same tab just before.
            let mut world = World::new();
            world.see("d0", user_name(""));
            world.open_popup(&[tenant(row.credential)]);
            world.click();
            world.acted(Outcome::DocumentGone, None);
            world.grant(row.credential);
            let before = world.effects.len();
            world.see_at(TAB, "d1", host, row.snapshot.clone());
            assert!(deeds(&world.effects[before..]).is_empty(), "{} at {host}", row.name);
        }
    }
}

#[test]
fn a_message_that_claims_another_origin_is_not_believed() {
    for origin in ["null", "https://evil.test", "https://login.microsoftonline.us"] {
        let mut world = World::new();
        world.open_popup(&[tenant(Password)]);
        world.click();
        world.grant(Password);
        let effects = world.send(Event::PageSeen(latchkey_wasm::brain::PageSeen {
            tab_id: TAB,
            frame_id: 0,
            document_id: "d1".to_owned(),
            url: AUTHORIZE.to_owned(),
            origin: Some(origin.to_owned()),
            snapshot: password(),
        }));
        assert!(deeds(&effects).is_empty(), "{origin}");
    }
}

#[test]
fn nothing_is_done_in_a_frame() {
    for (frame_id, top) in [(1, false), (1, true), (0, false), (-1, true)] {
        for row in table().into_iter().filter(|row| !row.deeds.is_empty()) {
            let mut world = World::new();
            world.open_popup(&[tenant(row.credential)]);
            world.click();
            world.grant(row.credential);
            let effects = world.send(Event::PageSeen(latchkey_wasm::brain::PageSeen {
                tab_id: TAB,
                frame_id,
                document_id: "d1".to_owned(),
                url: row.url.to_owned(),
                origin: None,
                snapshot: Snapshot { top, ..row.snapshot },
            }));
            assert!(deeds(&effects).is_empty(), "{} in frame {frame_id}, top {top}", row.name);
        }
    }
}

#[test]
fn a_page_in_another_tab_is_left_alone() {
    let (mut world, _) = World::granted(Password, "d1", raw());
    for row in table() {
        let effects = world.see_at(8, "e1", row.url, row.snapshot);
        assert!(deeds(&effects).is_empty(), "{}", row.name);
    }
}
