//! The table of the sign-in page, line by line: each line is shown to count for the page it is for, and
//! `docs/pages.md` says what the table says.
//!
//! After a change: `LATCHKEY_WRITE_DOCS=1 cargo test -p latchkey-wasm --features brain --test table`.
#![cfg(feature = "brain")]
#![allow(clippy::unwrap_used)]

mod support;

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use latchkey_protocol::{
    CredentialKind::{self, Passkey, Password, PasswordTotp, TemporaryAccessPass},
    FillField,
    cloud::SignInOrigin,
};
use latchkey_wasm::{
    brain::{
        Element, Snapshot, address,
        decide::{self, Decision, Grant, Page},
        flow::{self, Act, Acting, Asking, Flow, MAXIMUM_WAIT_MS, Pressed, Purpose, Reason},
        page::View,
        table::{After, NO_REFUSAL, NUMBERS, Named, ROWS, Row, SIGNS, Sign, Then},
    },
    elements::ElementKey as Key,
    words::{Text, Word},
};
use support::*;

/// A sign-in with its account active, and one look at one page.
struct Scene {
    flow: Flow,
    grant: Grant,
    page: Page,
    now: i64,
}

fn at(url: &str, credential: CredentialKind, snapshot: Snapshot) -> Scene {
    let page = Page {
        document_id: "d1".to_owned(),
        origin: SignInOrigin::of_address(url).unwrap(),
        view: View::of(&snapshot, address::path(url)),
        snapshot,
        url: url.to_owned(),
        since: START,
    };
    let mut flow = Flow::new(TAB, &tenant(credential));
    flow.document_mut("d1").page_id = page.snapshot.page_id.clone().unwrap_or_default();
    Scene { flow, grant: Grant::Held { lease_id: LEASE, credential, created: false }, page, now: START }
}

fn on(credential: CredentialKind, snapshot: Snapshot) -> Scene {
    at(LOGIN, credential, snapshot)
}

impl Scene {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn later(self, seconds: i64) -> Self {
        self.with(|scene| scene.now += seconds * 1000)
    }

    fn pressed(self, purpose: Purpose) -> Self {
        self.with(|scene| {
            let view = scene.page.view;
            scene.flow.pressed = Some(Pressed { document_id: "d1".to_owned(), view, purpose });
        })
    }

    fn written(self, field: FillField) -> Self {
        self.with(|scene| scene.flow.document_mut("d1").secret_filled = Some(field))
    }

    /// The browser's door for passkeys is open.
    fn ready(self) -> Self {
        self.stands(flow::Passkey::Ready)
    }

    fn stands(self, passkey: flow::Passkey) -> Self {
        self.with(|scene| scene.flow.passkey = passkey)
    }

    fn pending(self) -> Self {
        self.with(|scene| scene.grant = Grant::Pending)
    }

    fn waited(self, reason: Reason, times: u32) -> Self {
        self.with(|scene| {
            scene.flow.wait_again(reason, format!("d1#{times}"), START);
            scene.now += 60_000;
        })
    }
}

fn without(mut snapshot: Snapshot, key: Key) -> Snapshot {
    snapshot.elements.retain(|element| element.key != key);
    snapshot
}

fn changed(mut snapshot: Snapshot, key: Key, change: impl Fn(&mut Element)) -> Snapshot {
    snapshot.elements.iter_mut().filter(|element| element.key == key).for_each(change);
    snapshot
}

fn named(page_id: &str, elements: Vec<Element>) -> Snapshot {
    with_identity(page(page_id, &[], elements), UPN)
}

fn picker(tiles: &[&str]) -> Snapshot {
    let mut snapshot = page("ConvergedSignIn", &["12"], vec![seen(Key::Tiles), seen(Key::OtherTile)]);
    snapshot.tiles = tiles.iter().map(|tile| (*tile).to_owned()).collect();
    snapshot
}

fn credentials(keys: &[Key]) -> Snapshot {
    let mut elements = vec![seen(Key::Credentials)];
    elements.extend(keys.iter().map(|key| seen(*key)));
    page("ConvergedSignIn", &["24"], elements)
}

fn second_factor(keys: &[Key]) -> Snapshot {
    named("ConvergedTFA", keys.iter().map(|key| seen(*key)).collect())
}

/// The page that asks for the code of the account's own token.
fn code() -> Snapshot {
    let input_type = Some("tel".to_owned());
    let elements = vec![
        Element { input_type, ..seen(Key::Code) },
        Element { visible: 0, clear: false, ..seen(Key::OwnCode) },
        seen(Key::Primary),
        seen(Key::AnotherWay),
        seen(Key::Identity),
    ];
    with_identity(page("ConvergedTFA", &["2"], elements), UPN)
}

fn passkey() -> Snapshot {
    let elements = vec![seen(Key::Back), seen(Key::Identity), seen(Key::ToCredentials)];
    with_identity(page("ConvergedSignIn", &["23"], elements), UPN)
}

fn replace(word: Word) -> Decision {
    Decision::Replace(Text::of(word))
}

fn wait(word: Word) -> Decision {
    Decision::Wait(Text::of(word))
}

fn tell(word: Word) -> Decision {
    Decision::Tell(Text::of(word), false)
}

fn click(key: Key, purpose: Purpose) -> Decision {
    Decision::Press(key, None, purpose)
}

fn again(reason: Reason, times: u32, word: Word) -> Decision {
    Decision::Again(reason, format!("d1#{times}"), Text::of(word))
}

/// A scene for every line, and what comes of it.
#[allow(clippy::too_many_lines)]
fn scenes() -> Vec<(&'static str, Scene, Decision)> {
    let kim = "kim@contoso.com";
    let other = |snapshot| with_identity(snapshot, kim);
    let ours = || user_name(UPN);
    let refused_name = || add(user_name(UPN), seen(Key::UserNameError));
    let nobody = || Snapshot { identity: None, ..password() };
    let two_views = || Snapshot { views: vec!["1".to_owned(), "2".to_owned()], ..password() };
    let tiles = || page("ConvergedSignIn", &["7"], vec![seen(Key::WorkTile), seen(Key::PersonalTile)]);
    let new_account = |scene: &mut Scene| {
        scene.grant = Grant::Held { lease_id: LEASE, credential: Password, created: true };
        scene.flow.document_mut("d1").nexts = 1;
    };
    let government = "https://login.microsoftonline.us/common/login";
    let device = "https://login.microsoftonline.com/common/oauth2/deviceauth";
    let leave = "https://login.microsoftonline.com/common/oauth2/v2.0/logout?x";
    vec![
        (
            "another-cloud",
            at(government, Password, password()),
            Decision::Tell(Text::with(Word::PageWrongCloud, "Contoso"), false),
        ),
        (
            "acting",
            on(Password, password()).with(|scene| {
                let what = Act::FillUserName;
                scene.flow.acting = Some(Acting { act: 1, document_id: "d1".to_owned(), what });
            }),
            wait(Word::StatusFilling),
        ),
        (
            "looping",
            on(Password, password()).with(|scene| scene.flow.document_mut("d1").attempts = 7),
            tell(Word::PageLoop),
        ),
        (
            "replacing",
            on(Passkey, passkey()).ready().pending().with(|scene| scene.flow.replaced = Some(Passkey)),
            wait(Word::StatusReplacing),
        ),
        ("passkey-unusable", on(Passkey, user_name("")), replace(Word::PageNoPasskey)),
        ("passkey-door", on(Passkey, ours()).stands(flow::Passkey::Shut), wait(Word::StatusPage)),
        ("unknown", on(Password, page("ConvergedSignIn", &[], vec![])).later(8), tell(Word::PageUnknown)),
        ("answer-loading", on(Password, raw()).pressed(Purpose::Next), wait(Word::StatusSubmitted)),
        ("loading", on(Password, raw()), wait(Word::StatusPage)),
        ("moving-for-long", on(Password, busy(password())).later(20), tell(Word::PageChanging)),
        ("answer-moving", on(Password, busy(password())).pressed(Purpose::Next), wait(Word::StatusSubmitted)),
        ("moving", on(Password, two_views()), wait(Word::StatusPage)),
        (
            "user-name-twice",
            on(Password, changed(user_name(""), Key::UserName, |field| field.visible = 2)),
            tell(Word::PageManyFields),
        ),
        (
            "user-name-fixed",
            on(Password, changed(user_name(""), Key::UserName, |field| field.read_only = true)),
            wait(Word::StatusPage),
        ),
        (
            "user-name-astray",
            on(Password, Snapshot { form_origin: Some("https://evil.test".to_owned()), ..user_name("") }),
            tell(Word::PageForeignForm),
        ),
        (
            "user-name-taken-away",
            on(Password, user_name(kim)).with(|scene| scene.flow.document_mut("d1").user_name_filled = true),
            tell(Word::PageRefusesValue),
        ),
        ("user-name", on(Password, user_name(kim)), Decision::FillUserName),
        (
            "user-name-unknown-while-activating",
            on(Password, refused_name()).with(|scene| scene.grant = Grant::Pending),
            wait(Word::StatusActivating),
        ),
        (
            "user-name-unknown",
            on(Password, refused_name()).pressed(Purpose::Next).with(|scene| scene.flow.document_mut("d1").nexts = 1),
            Decision::Tell(Text::of(Word::RefusedUnknownUser), true),
        ),
        (
            "user-name-unknown-yet",
            on(Password, refused_name()).pressed(Purpose::Next).with(new_account),
            again(Reason::UnknownUser, 1, Word::RefusedUnknownUser),
        ),
        (
            "user-name-refused-before",
            on(Password, refused_name()).pressed(Purpose::Next).with(new_account).waited(Reason::UnknownUser, 1),
            click(Key::Primary, Purpose::Next),
        ),
        ("user-name-refused-before", on(Password, refused_name()), click(Key::Primary, Purpose::Next)),
        (
            "user-name-unanswered-for-long",
            on(Password, ours()).pressed(Purpose::Next).later(20),
            tell(Word::PageChanging),
        ),
        ("user-name-unanswered", on(Password, ours()).pressed(Purpose::Next), wait(Word::StatusSubmitted)),
        ("user-name-ours", on(Password, ours()), click(Key::Primary, Purpose::Next)),
        (
            "user-name-button-off",
            on(Password, changed(ours(), Key::Primary, |button| button.enabled = false)),
            wait(Word::StatusPage),
        ),
        ("user-name-no-button", on(Password, without(ours(), Key::Primary)), tell(Word::PageUnknown)),
        ("unanswered-for-long", on(Password, tiles()).pressed(Purpose::WorkTile).later(20), tell(Word::PageChanging)),
        ("unanswered", on(Password, tiles()).pressed(Purpose::WorkTile), wait(Word::StatusSubmitted)),
        ("secret-of-nobody-for-long", on(Password, nobody()).later(8), tell(Word::PageUnknown)),
        ("secret-of-nobody", on(Password, nobody()), wait(Word::StatusPage)),
        ("secret-of-other-account", on(Password, other(password())), click(Key::Back, Purpose::BackForAccount)),
        (
            "secret-of-other-account-no-way-back",
            on(TemporaryAccessPass, without(other(access_pass()), Key::Back)),
            Decision::Tell(Text::with(Word::PageOtherAccount, kim), false),
        ),
        (
            "passkey-in-vain",
            on(Passkey, password()).with(|scene| scene.flow.passkey_answered = true),
            replace(Word::PageAsksAgain),
        ),
        (
            "secret-with-passkey-link",
            on(Passkey, add(access_pass(), seen(Key::ToPasskey))).ready(),
            click(Key::ToPasskey, Purpose::ToPasskey),
        ),
        (
            "secret-with-options",
            on(Passkey, add(password(), seen(Key::ToCredentials))).ready(),
            click(Key::ToCredentials, Purpose::ToCredentials),
        ),
        ("secret-no-passkey", on(Passkey, password()).ready(), replace(Word::PageNoPasskey)),
        (
            "password-with-pass-link",
            on(TemporaryAccessPass, add(password(), seen(Key::ToAccessPass))),
            click(Key::ToAccessPass, Purpose::ToAccessPass),
        ),
        (
            "password-with-pass-tile",
            on(TemporaryAccessPass, add(password(), seen(Key::AccessPassTile))),
            click(Key::AccessPassTile, Purpose::AccessPassTile),
        ),
        (
            "password-pass-not-yet",
            on(TemporaryAccessPass, password()).with(|scene| scene.grant = Grant::Pending),
            wait(Word::StatusActivating),
        ),
        (
            "password-with-options",
            on(TemporaryAccessPass, add(password(), seen(Key::ToCredentials))),
            click(Key::ToCredentials, Purpose::ToCredentials),
        ),
        ("password-no-pass", on(TemporaryAccessPass, password()), click(Key::Back, Purpose::BackForPass)),
        (
            "password-no-pass-yet",
            on(TemporaryAccessPass, password()).with(|scene| scene.flow.document_mut("d1").backs = 1),
            again(Reason::PassNotOffered, 1, Word::PageNoPass),
        ),
        (
            "password-no-pass-again",
            on(TemporaryAccessPass, password())
                .with(|scene| scene.flow.document_mut("d1").backs = 1)
                .waited(Reason::PassNotOffered, 1),
            click(Key::Back, Purpose::BackForPass),
        ),
        (
            "password-no-pass-no-way-back",
            on(TemporaryAccessPass, without(password(), Key::Back)),
            tell(Word::PageNoPass),
        ),
        ("pass-with-password-link", on(Password, access_pass()), click(Key::ToPassword, Purpose::ToPassword)),
        ("pass-no-password", on(Password, without(access_pass(), Key::ToPassword)), tell(Word::PageNoPassword)),
        (
            "secret-sent",
            on(Password, filled(password(), Key::Password))
                .written(FillField::Password)
                .with(|scene| scene.flow.document_mut("d1").submitted = true),
            wait(Word::StatusSubmitted),
        ),
        (
            "secret-refused-here",
            on(Password, add(filled(password(), Key::Password), seen(Key::PasswordError)))
                .written(FillField::Password)
                .with(|scene| scene.flow.document_mut("d1").submitted = true),
            tell(Word::RefusedNoNumber),
        ),
        (
            "secret-button-off",
            on(Password, changed(filled(password(), Key::Password), Key::Primary, |button| button.enabled = false))
                .written(FillField::Password),
            wait(Word::StatusPage),
        ),
        ("secret-taken-away", on(Password, password()).written(FillField::Password), tell(Word::PageRefusesValue)),
        (
            "secret-written",
            on(Password, filled(password(), Key::Password)).written(FillField::Password),
            click(Key::Primary, Purpose::Submit),
        ),
        (
            "secret-no-button",
            on(Password, without(filled(password(), Key::Password), Key::Primary)).written(FillField::Password),
            tell(Word::PageUnknown),
        ),
        (
            "secret-refused",
            on(Password, with_error(password(), "50053")),
            Decision::Tell(Text::with(Word::RefusedLocked, "50053"), false),
        ),
        (
            "secret-asked-again",
            on(Password, password()).with(|scene| {
                let before = scene.flow.document_mut("d0");
                before.page_id = "ConvergedSignIn".to_owned();
                before.secret_filled = Some(FillField::Password);
                before.submitted = true;
            }),
            Decision::Tell(Text::of(Word::PageAsksAgain), true),
        ),
        (
            "secret-not-yet",
            on(Password, password()).with(|scene| scene.grant = Grant::Pending),
            wait(Word::StatusActivating),
        ),
        (
            "secret-coming",
            on(Password, password()).with(|scene| {
                let field = FillField::Password;
                scene.flow.document_mut("d1").secret_asked = Some(field);
                scene.flow.asking = Some(Asking { request: 1, document_id: "d1".to_owned(), field });
            }),
            wait(Word::StatusFilling),
        ),
        (
            "secret-came-too-late",
            on(Password, password())
                .with(|scene| scene.flow.document_mut("d1").secret_asked = Some(FillField::Password)),
            tell(Word::PageChanging),
        ),
        ("secret", on(Password, password()), Decision::AskSecret(LEASE, FillField::Password)),
        ("secret", on(TemporaryAccessPass, access_pass()), Decision::AskSecret(LEASE, FillField::AccessPass)),
        (
            "secret",
            on(TemporaryAccessPass, Snapshot { page_id: Some("ConvergedTFA".to_owned()), ..access_pass() }),
            Decision::AskSecret(LEASE, FillField::AccessPass),
        ),
        (
            "picker",
            on(Password, picker(&[kim, UPN])),
            Decision::Press(Key::Tiles, Some(UPN.to_owned()), Purpose::AccountTile),
        ),
        ("picker-twice", on(Password, picker(&[UPN, UPN])), tell(Word::PageNoTile)),
        ("picker-other-accounts", on(Password, picker(&[kim])), click(Key::OtherTile, Purpose::OtherTile)),
        ("picker-no-way", on(Password, without(picker(&[kim]), Key::OtherTile)), tell(Word::PageNoTile)),
        ("work-or-personal", on(Password, tiles()), click(Key::WorkTile, Purpose::WorkTile)),
        ("personal-only", on(Password, without(tiles(), Key::WorkTile)), tell(Word::PageWorkOrPersonal)),
        (
            "credentials-with-passkey",
            on(Passkey, credentials(&[Key::PasskeyTile])).ready(),
            click(Key::PasskeyTile, Purpose::ToPasskey),
        ),
        ("credentials-no-passkey", on(Passkey, credentials(&[])).ready(), replace(Word::PageNoPasskey)),
        (
            "credentials-with-pass",
            on(TemporaryAccessPass, credentials(&[Key::AccessPassTile])),
            click(Key::AccessPassTile, Purpose::AccessPassTile),
        ),
        (
            "credentials-not-yet",
            on(TemporaryAccessPass, credentials(&[Key::Back])).with(|scene| scene.grant = Grant::Pending),
            wait(Word::StatusActivating),
        ),
        (
            "credentials-no-pass",
            on(TemporaryAccessPass, credentials(&[Key::Back])),
            click(Key::Back, Purpose::BackForPass),
        ),
        ("credentials-no-pass-no-way-back", on(TemporaryAccessPass, credentials(&[])), tell(Word::PageNoPass)),
        (
            "credentials-with-password",
            on(Password, credentials(&[Key::ToPassword])),
            click(Key::ToPassword, Purpose::ToPassword),
        ),
        ("credentials-no-password", on(Password, credentials(&[Key::AccessPassTile])), tell(Word::PageNoPassword)),
        (
            "stay-of-other-account",
            on(Password, other(stay_signed_in())),
            Decision::Tell(Text::with(Word::PageOtherAccount, kim), false),
        ),
        ("stay", on(Password, stay_signed_in()), click(Key::Back, Purpose::DoNotStay)),
        ("stay-no-way", on(Password, without(stay_signed_in(), Key::Back)), tell(Word::PageUnknown)),
        (
            "methods-with-pass",
            on(TemporaryAccessPass, second_factor(&[Key::Methods, Key::AccessPassTile])),
            click(Key::AccessPassTile, Purpose::AccessPassTile),
        ),
        (
            "methods-with-passkey",
            on(Passkey, second_factor(&[Key::Methods, Key::PasskeyTile])).ready(),
            click(Key::PasskeyTile, Purpose::ToPasskey),
        ),
        (
            "factor-with-other-ways",
            on(Passkey, second_factor(&[Key::Code, Key::AnotherWay])).ready(),
            click(Key::AnotherWay, Purpose::ToCredentials),
        ),
        (
            "passkey-refused",
            on(Passkey, with_error(passkey(), "135010")).ready().with(|scene| scene.flow.passkey_answered = true),
            Decision::Replace(Text::with(Word::RefusedPasskey, "135010")),
        ),
        (
            "passkey-refused",
            on(Passkey, with_error(passkey(), "50057")).ready(),
            Decision::Again(Reason::Disabled, "d1#0".to_owned(), Text::with(Word::RefusedDisabled, "50057")),
        ),
        (
            "passkey-again",
            on(Passkey, with_error(passkey(), "50057")).ready().waited(Reason::Disabled, 0),
            click(Key::ToCredentials, Purpose::ToCredentials),
        ),
        (
            "passkey-of-other-credential",
            on(TemporaryAccessPass, passkey()),
            click(Key::ToCredentials, Purpose::ToCredentials),
        ),
        ("passkey-not-yet", on(Passkey, passkey()).ready().pending(), wait(Word::StatusActivating)),
        ("passkey-person", on(Passkey, passkey()).stands(flow::Passkey::Person), tell(Word::PagePerson)),
        ("passkey-asked", on(Passkey, passkey()).stands(flow::Passkey::Asked), wait(Word::StatusFilling)),
        (
            "passkey-answered",
            on(Passkey, passkey()).with(|scene| scene.flow.passkey_answered = true),
            replace(Word::PageAsksAgain),
        ),
        ("passkey-silent", on(Passkey, passkey()).ready().later(8), click(Key::ToCredentials, Purpose::ToCredentials)),
        (
            "passkey-silent-for-long",
            on(Passkey, passkey()).ready().later(8).with(|scene| scene.flow.detours = 6),
            replace(Word::PageNoPasskey),
        ),
        ("passkey-waited-for", on(Passkey, passkey()).ready(), wait(Word::StatusPage)),
        (
            "code-ours",
            on(PasswordTotp, with_error(code(), "50074")),
            Decision::AskSecret(LEASE, FillField::OneTimeCode),
        ),
        (
            "code-refused",
            on(PasswordTotp, with_error(code(), "500121")),
            Decision::Tell(Text::of(Word::PageCodeRefused), true),
        ),
        (
            "code-refused",
            on(PasswordTotp, add(code(), seen(Key::PasswordError))),
            Decision::Tell(Text::of(Word::PageCodeRefused), true),
        ),
        (
            "code-refused-here",
            on(PasswordTotp, add(filled(code(), Key::Code), seen(Key::PasswordError)))
                .written(FillField::OneTimeCode)
                .with(|scene| scene.flow.document_mut("d1").submitted = true),
            tell(Word::PageCodeRefused),
        ),
        (
            "secret-written",
            on(PasswordTotp, filled(code(), Key::Code)).written(FillField::OneTimeCode),
            click(Key::Primary, Purpose::Submit),
        ),
        ("secret-of-nobody", on(PasswordTotp, Snapshot { identity: None, ..code() }), wait(Word::StatusPage)),
        (
            "methods-with-code",
            on(PasswordTotp, second_factor(&[Key::Methods, Key::OwnCode])),
            click(Key::OwnCode, Purpose::ToCode),
        ),
        (
            "factor-with-other-code",
            on(PasswordTotp, without(code(), Key::OwnCode)),
            click(Key::AnotherWay, Purpose::ToCredentials),
        ),
        ("code", on(PasswordTotp, without(without(code(), Key::OwnCode), Key::AnotherWay)), tell(Word::PageCode)),
        ("code", on(Password, code()), tell(Word::PageCode)),
        ("methods", on(Password, second_factor(&[Key::Methods, Key::AccessPassTile])), tell(Word::PageMethods)),
        ("code", on(TemporaryAccessPass, second_factor(&[Key::Code, Key::Primary])), tell(Word::PageCode)),
        ("approval", on(Password, second_factor(&[Key::Number])), tell(Word::PageApproval)),
        ("approval-over", on(Password, second_factor(&[Key::ApprovalOver])), tell(Word::PageApprovalOver)),
        (
            "more-information",
            on(Password, named("ConvergedProofUpRedirect", vec![seen(Key::ProofUp)])),
            tell(Word::PageProofUp),
        ),
        ("change-password", on(Password, add(password(), masked(Key::ChangePassword))), tell(Word::PageChangePassword)),
        ("consent", on(Password, named("ConvergedConsent", vec![seen(Key::Primary)])), tell(Word::PageConsent)),
        (
            "conditional-access",
            on(Password, with_error(named("ConvergedConditionalAccess", vec![]), "53003")),
            Decision::Tell(Text::with(Word::PageConditionalAccess, "53003"), false),
        ),
        (
            "error",
            on(Password, with_error(named("ConvergedError", vec![]), "700016")),
            Decision::Tell(Text::with(Word::PageError, "700016"), false),
        ),
        ("device-code", at(device, TemporaryAccessPass, access_pass()), tell(Word::PageDeviceCode)),
        (
            "confirm-application",
            on(Password, named("CmsiInterrupt", vec![seen(Key::Primary)])),
            tell(Word::PageConfirmApplication),
        ),
        (
            "federated",
            on(Password, page("ConvergedSignIn", &["41"], vec![seen(Key::ToOrganization)])),
            tell(Word::PageFederated),
        ),
        ("captcha", on(Password, Snapshot { views: vec!["48".to_owned()], ..password() }), tell(Word::PageCaptcha)),
        ("passkey", on(Password, page("ConvergedSignIn", &["23"], vec![])), tell(Word::PagePasskey)),
        ("sign-out", at(leave, Password, picker(&[UPN])), tell(Word::PageSignOut)),
    ]
}

#[test]
fn every_line_counts_for_its_page() {
    let mut shown = BTreeSet::new();
    for (name, Scene { flow, grant, page, now }, expected) in scenes() {
        let (row, decision) = decide::line(&flow, grant, &page, now).unwrap();
        assert_eq!((row.name, &decision), (name, &expected));
        assert_eq!(decide::decide(&flow, grant, &page, now), expected);
        shown.insert(name);
    }
    let all: BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
    assert_eq!(all.len(), ROWS.len(), "a name stands twice");
    assert_eq!(shown, all);
}

#[test]
fn every_view_has_a_line_that_always_counts() {
    for recognition in SIGNS {
        for credential in [Passkey, Password, PasswordTotp, TemporaryAccessPass] {
            let mut scene = on(credential, page("ConvergedSignIn", &[], vec![]));
            scene.page.view = recognition.view;
            assert!(decide::line(&scene.flow, scene.grant, &scene.page, START).is_some(), "{:?}", recognition.view);
        }
    }
}

/// On the page of a password and of a pass: what each number does.
#[test]
fn every_number_does_what_the_table_says() {
    for meaning in NUMBERS {
        for (credential, snapshot) in [(Password, password()), (TemporaryAccessPass, access_pass())] {
            let scene = on(credential, with_error(snapshot, &meaning.number.to_string()));
            let decision = decide::decide(&scene.flow, scene.grant, &scene.page, START);
            let said = Text::with(meaning.word, meaning.number.to_string());
            let field = if credential == Password { FillField::Password } else { FillField::AccessPass };
            let expected = match meaning.after {
                After::Stop => Decision::Tell(said, false),
                After::Once => Decision::Tell(said, true),
                After::Again(reason) => Decision::Again(reason, "d1#0".to_owned(), said),
                After::Next => Decision::Replace(said),
                After::GoOn => Decision::AskSecret(LEASE, field),
            };
            assert_eq!(decision, expected, "{}", meaning.number);
        }
        let text = meaning.word.english();
        assert!(
            text.contains("$1") || text.contains(&meaning.number.to_string()),
            "{text} does not name {}",
            meaning.number
        );
    }
}

#[test]
fn numbers_that_refuse_nothing_go_on() {
    for number in NO_REFUSAL {
        let scene = on(Password, with_error(password(), &number.to_string()));
        let decision = decide::decide(&scene.flow, scene.grant, &scene.page, START);
        assert_eq!(decision, Decision::AskSecret(LEASE, FillField::Password), "{number}");
    }
}

#[test]
fn the_names_of_a_second_factor_are_numbers_too() {
    for (name, number) in [
        ("AccessPassBlockedByPolicy", 130_502),
        ("InvalidAccessPass", 130_503),
        ("AccessPassExpired", 130_504),
        ("AccessPassAlreadyUsed", 130_505),
    ] {
        let decision = |text: &str| {
            let scene = on(TemporaryAccessPass, with_error(access_pass(), text));
            decide::decide(&scene.flow, scene.grant, &scene.page, START)
        };
        assert_eq!(decision(name), decision(&number.to_string()), "{name}");
    }
}

#[test]
fn a_path_is_read_as_microsoft_reads_it() {
    for url in ["/common/oauth2/deviceauth", "/common/OAuth2/DeviceAuth", "/common/oauth2/deviceauth/"] {
        let scene = at(&format!("https://login.microsoftonline.com{url}"), Password, user_name(""));
        assert_eq!(scene.page.view, View::DeviceCode, "{url}");
    }
    assert_eq!(at("https://login.microsoftonline.com/é/login", Password, user_name("")).page.view, View::UserName);
}

#[test]
fn a_pass_that_names_nobody_is_for_whom_the_server_was_told() {
    for (name, is_ours) in [(UPN, true), ("kim@contoso.com", false)] {
        let mut page = access_pass();
        page.identity = None;
        page.posted_name = Some(name.to_owned());
        let scene = on(TemporaryAccessPass, page.clone());
        let decision = decide::decide(&scene.flow, scene.grant, &scene.page, START);
        assert_eq!(decision == Decision::AskSecret(LEASE, FillField::AccessPass), is_ours, "{name}");
        // A password never goes to a page that names nobody.
        let page = Snapshot { identity: None, ..password() };
        let scene = on(Password, Snapshot { posted_name: Some(name.to_owned()), ..page });
        assert_eq!(decide::decide(&scene.flow, scene.grant, &scene.page, START), wait(Word::StatusPage));
    }
}

/// No selector looks at a text, a language, a colour or a picture.
#[test]
fn nothing_is_recognised_by_how_it_looks_or_reads() {
    for (_, key, selector) in Key::table() {
        // What a hidden input posts is neither.
        let selector = selector.replace("[value=PhoneAppOTP]", "");
        let attributes = ["[placeholder", "[aria-", "[title", "[value", "[alt", "[lang", "[style", "[src", "[href"];
        for looks in attributes.iter().chain(&[":has", ":contains", "logo", "Text"]) {
            assert!(!selector.contains(looks), "{key}: {selector}");
        }
    }
}

// ---- docs/pages.md ----

const HEAD: &str = "\
# The sign-in pages

What Latchkey does on every page of Microsoft's sign-in. This page is written from the brain's own table
(`wasm/src/brain/table.rs`), and `cargo test` fails when the two differ; after a change of the table:

    LATCHKEY_WRITE_DOCS=1 cargo test -p latchkey-wasm --features brain --test table

Nothing of it happens before a click in the popup, in a frame, or on a host that is not on the compiled-in list, whatever
the page shows. No line looks at a text, a colour or a picture: the same lines hold in every language, with every
branding, from right to left, zoomed, dark and without animations.

How each line is shown to hold, in `cargo xtask test`:

- `browser`: `tests/browser/suite/pages.spec.mjs` opens the page in Chromium with the built extension and the real host,
  and compares what was filled, what was clicked and what the popup says. It has a test for every such line and number.
- `brain`: what went before decides, so `wasm/tests/table.rs` shows it (as it does all others) without a browser.

";

fn words_of(view: View) -> String {
    let mut words = String::new();
    for letter in format!("{view:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

fn selector(key: Key) -> String {
    let (_, _, selector) = Key::table().iter().find(|(known, ..)| *known == key).unwrap();
    selector.split(',').map(|one| format!("`{one}`")).collect::<Vec<_>>().join(" or ")
}

fn quoted(word: Word) -> String {
    format!("“{}”", word.english().replace("$1", "…"))
}

fn sign_in_words(sign: Sign) -> String {
    match sign {
        Sign::Sees(key) => format!("{} can be seen", selector(key)),
        Sign::Asks(key) => format!("{} can be seen, and no box", selector(key)),
        Sign::AsksBoth(first, second) => {
            format!("{} and {} can be seen, and no box", selector(first), selector(second))
        }
        Sign::Has(key) => format!("{} is there", selector(key)),
        Sign::Path(end) => format!("the path ends in `{end}`"),
        Sign::PageId(id) => format!("`PageID` is `{id}`"),
        Sign::ViewId(id) => format!("`data-viewid={id}` can be seen"),
        Sign::Twice => "two views, or two boxes of different kinds, at once".to_owned(),
    }
}

fn names_in_words(on: u8) -> String {
    let all = [
        (Named::SignIn, "`ConvergedSignIn`"),
        (Named::SecondFactor, "`ConvergedTFA`"),
        (Named::StaySignedIn, "`KmsiInterrupt`"),
        (Named::Nothing, "none"),
        (Named::Otherwise, ""),
    ];
    let named: Vec<_> = all.iter().filter(|(name, _)| on & *name as u8 != 0).map(|(_, text)| *text).collect();
    if named.len() == all.len() { "any".to_owned() } else { named.join(", ") }
}

fn waiting(reason: Reason) -> String {
    let (tries, seconds) = (reason.maximum_tries(), MAXIMUM_WAIT_MS / 1000);
    let times = if tries == 1 { "once".to_owned() } else { format!("at most {tries} times") };
    format!("waits and tries again by itself, {times} within {seconds} s, with the seconds in the popup")
}

fn then_in_words(row: &Row) -> String {
    match row.then {
        Then::Wait(word) => format!("waits: {}", quoted(word)),
        Then::Tell(word) | Then::TellTenant(word) | Then::TellName(word) | Then::TellNumber(word) => {
            format!("tells: {}", quoted(word))
        }
        Then::Offer(word) => format!("tells, and offers ‘Try again’ once: {}", quoted(word)),
        Then::Again(reason, word) => format!("{}; then tells: {}", waiting(reason), quoted(word)),
        Then::ByNumber(word) => format!("as the number says (below); for another one tells: {}", quoted(word)),
        Then::Replace(word) => {
            format!("has the next credential in line issued, once; then tells: {}", quoted(word))
        }
        Then::FillUserName => format!("fills our user name into {}", selector(Key::UserName)),
        Then::FillSecret => {
            "asks the host and fills the one visible box, if nothing covers it, no other box hides what \
             is typed and its form leads home"
                .to_owned()
        }
        Then::Click(key, _) => format!("clicks {}", selector(key)),
        Then::ClickOwnTile => "clicks the tile whose `data-test-id` is our user name".to_owned(),
    }
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("## How a page is recognised\n\nThe first line that fits counts. A page that fits none is loading until it is complete, and unknown then.\n\n");
    text.push_str("| `PageID` | sign | page |\n|---|---|---|\n");
    for line in SIGNS {
        let on = if matches!(line.sign, Sign::PageId(_)) { "any".to_owned() } else { names_in_words(line.on) };
        writeln!(text, "| {on} | {} | {} |", sign_in_words(line.sign), words_of(line.view)).unwrap();
    }
    text.push_str("\n## What is done there\n\nThe first line that fits counts. A line that would click what is not there counts as one that does not fit.\n\n");
    text.push_str("| line | page | when | what | shown by |\n|---|---|---|---|---|\n");
    for row in ROWS {
        let pages: Vec<_> = row.on.iter().map(|view| words_of(*view)).collect();
        let on = if pages.is_empty() { "any".to_owned() } else { pages.join(", ") };
        let by = if row.by_page { "browser" } else { "brain" };
        writeln!(text, "| `{}` | {on} | {} | {} | {by} |", row.name, row.when.words(), then_in_words(row)).unwrap();
    }
    text.push_str("\n## Microsoft's numbers\n\nBy AADSTS number, on the page of a password, a Temporary Access Pass or a passkey and on error pages, where all of them stop the\nsign-in. A number that is not here stops it as well. ");
    let none: Vec<_> = NO_REFUSAL.iter().map(u32::to_string).collect();
    writeln!(text, "{} refuse nothing.\n", none.join(", ")).unwrap();
    text.push_str("| number | what | the popup says | shown by |\n|---|---|---|---|\n");
    for meaning in NUMBERS {
        let what = match meaning.after {
            After::Stop => "stops".to_owned(),
            After::Once => "never refills by itself; ‘Try again’ is offered once".to_owned(),
            After::Again(reason) => waiting(reason),
            After::Next => "has the next credential in line issued, once, and goes on with it".to_owned(),
            After::GoOn => "goes on: the account has been found since; at the user name see above".to_owned(),
        };
        writeln!(text, "| {} | {what} | {} | browser |", meaning.number, quoted(meaning.word)).unwrap();
    }
    text.push_str("\n## A page that nobody knows\n\nNothing is filled or clicked. The popup says so, and offers to show and copy the credential. The host counts such pages,\nonce each, without anything of the page; `latchkey doctor` says how many and when the last one was:\n\n      ! sign in page: unknown pages met so far: 3, the last one on 2026-11-22 17:40; nothing was filled there\n          Update Latchkey and the extension. Until then use 'Show credential' in the popup.\n");
    text
}

#[test]
fn the_document_says_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pages.md");
    let written = document();
    if std::env::var_os("LATCHKEY_WRITE_DOCS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let on_file = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == on_file, "docs/pages.md is stale; LATCHKEY_WRITE_DOCS=1 writes it anew");
}
