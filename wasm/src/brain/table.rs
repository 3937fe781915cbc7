//! The table of the sign-in page: how each page is recognised, what is done on it, and what Microsoft's numbers mean.
//!
//! It is data, so that a reader can hold it against the facts; [`super::page`] and [`super::decide`] only look things
//! up in it, and `docs/pages.md` is written from it. In every list the first line that fits counts. A line may wait,
//! speak, fill or click; none can reach a page whose origin and frame have not passed ([`super::machine`]) or before
//! the technician's click. No line uses a text, a colour or a picture. Facts: the public descriptions of Entra's
//! sign-in page (`PageID`, `data-viewid`, element ids, AADSTS numbers).

use latchkey_protocol::FillField;

use super::{
    flow::{Purpose, Reason},
    page::View::{
        self, AccessPass, Approval, ApprovalOver, Busy, Captcha, ChangePassword, Code, ConditionalAccess,
        ConfirmApplication, Consent, Credentials, DeviceCode, Error, Federated, Loading, Methods, Passkey, Password,
        Picker, ProofUp, SignOut, Sliding, StaySignedIn, Unknown, UserName, WorkOrPersonal,
    },
};
use crate::{elements::ElementKey as Key, words::Word};

/// What a page calls itself: its `PageID`, as far as that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Named {
    /// `ConvergedSignIn`.
    SignIn = 1,
    /// `ConvergedTFA`.
    SecondFactor = 2,
    /// `KmsiInterrupt`.
    StaySignedIn = 4,
    /// It has none. The name proves nothing, so such a page is read by what it shows.
    Nothing = 8,
    /// Anything else.
    Otherwise = 16,
}

/// By what a page is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A person can see this element.
    Sees(Key),
    /// A person can see this element, and no box to type into.
    Asks(Key),
    /// A person can see both elements, and no box to type into.
    AsksBoth(Key, Key),
    /// It has this element, seen or not.
    Has(Key),
    /// The path of its address ends so.
    Path(&'static str),
    /// Its `PageID`.
    PageId(&'static str),
    /// The `data-viewid` of a view that a person can see.
    ViewId(&'static str),
    /// Two views, or two boxes of different kinds, at once.
    Twice,
}

/// One line of [`SIGNS`].
#[derive(Clone, Copy, Debug)]
pub struct Recognition {
    /// On pages of these names; a sum of [`Named`].
    pub on: u8,
    /// Its sign.
    pub sign: Sign,
    /// What it is.
    pub view: View,
}

const ANY: u8 = 31;
const SIGN_IN: u8 = Named::SignIn as u8 | Named::Nothing as u8;
const FACTOR: u8 = Named::SecondFactor as u8 | Named::Nothing as u8;
const EITHER: u8 = SIGN_IN | FACTOR;
const STAY: u8 = Named::StaySignedIn as u8;
const NO_NAME: u8 = Named::Nothing as u8;

const fn on(on: u8, sign: Sign, view: View) -> Recognition {
    Recognition { on, sign, view }
}

/// How a page is recognised. What fits none is [`Unknown`], or [`Loading`] until the document is complete.
pub const SIGNS: &[Recognition] = &[
    // What must never be filled comes first, whatever else the page shows.
    on(ANY, Sign::Sees(Key::ChangePassword), ChangePassword),
    on(ANY, Sign::Sees(Key::DeviceCode), DeviceCode),
    on(ANY, Sign::Path("/deviceauth"), DeviceCode),
    on(ANY, Sign::Sees(Key::Accept), Consent),
    on(ANY, Sign::Path("/logout"), SignOut),
    on(ANY, Sign::Path("/uxlogout"), SignOut),
    on(ANY, Sign::Path("/logout.srf"), SignOut),
    on(ANY, Sign::PageId("ConvergedChangePassword"), ChangePassword),
    on(ANY, Sign::PageId("ConvergedConsent"), Consent),
    on(ANY, Sign::PageId("ConvergedProofUpRedirect"), ProofUp),
    on(ANY, Sign::PageId("ConvergedConditionalAccess"), ConditionalAccess),
    on(ANY, Sign::PageId("ConvergedError"), Error),
    on(ANY, Sign::PageId("ConvergedRemoteConnect"), DeviceCode),
    on(ANY, Sign::PageId("CmsiInterrupt"), ConfirmApplication),
    on(ANY, Sign::PageId("BssoInterrupt"), Loading),
    on(ANY, Sign::Sees(Key::Busy), Busy),
    on(ANY, Sign::Twice, Sliding),
    on(STAY, Sign::Asks(Key::StaySignedInText), StaySignedIn),
    on(STAY, Sign::Asks(Key::StaySignedInBox), StaySignedIn),
    on(NO_NAME, Sign::Sees(Key::ServiceError), Error),
    on(NO_NAME, Sign::Has(Key::SelfSubmitting), Loading),
    on(NO_NAME, Sign::Sees(Key::ProofUp), ProofUp),
    on(SIGN_IN, Sign::AsksBoth(Key::StaySignedInText, Key::StaySignedInBox), StaySignedIn),
    on(SIGN_IN, Sign::ViewId("14"), DeviceCode),
    on(SIGN_IN, Sign::ViewId("22"), ChangePassword),
    on(SIGN_IN, Sign::ViewId("25"), Consent),
    on(SIGN_IN, Sign::ViewId("26"), Error),
    on(SIGN_IN, Sign::ViewId("32"), ProofUp),
    on(SIGN_IN, Sign::ViewId("34"), ConditionalAccess),
    on(SIGN_IN, Sign::ViewId("35"), ConditionalAccess),
    on(SIGN_IN, Sign::ViewId("36"), ConditionalAccess),
    on(SIGN_IN, Sign::ViewId("43"), ConfirmApplication),
    on(SIGN_IN, Sign::ViewId("48"), Captcha),
    on(SIGN_IN, Sign::ViewId("59"), ProofUp),
    on(EITHER, Sign::Sees(Key::AccessPass), AccessPass),
    on(FACTOR, Sign::Sees(Key::Code), Code),
    on(FACTOR, Sign::Sees(Key::Methods), Methods),
    on(FACTOR, Sign::Sees(Key::ApprovalOver), ApprovalOver),
    on(SIGN_IN, Sign::Sees(Key::Password), Password),
    on(SIGN_IN, Sign::Sees(Key::UserName), UserName),
    on(SIGN_IN, Sign::Sees(Key::WorkTile), WorkOrPersonal),
    on(SIGN_IN, Sign::Sees(Key::PersonalTile), WorkOrPersonal),
    on(SIGN_IN, Sign::Sees(Key::Tiles), Picker),
    on(SIGN_IN, Sign::Sees(Key::Credentials), Credentials),
    on(EITHER, Sign::Sees(Key::Approval), Approval),
    on(EITHER, Sign::Sees(Key::Number), Approval),
    on(SIGN_IN, Sign::Sees(Key::ToOrganization), Federated),
    on(SIGN_IN, Sign::ViewId("8"), Federated),
    on(SIGN_IN, Sign::ViewId("41"), Federated),
    on(SIGN_IN, Sign::ViewId("23"), Passkey),
    on(SIGN_IN, Sign::ViewId("18"), Loading),
    on(SIGN_IN, Sign::ViewId("55"), Loading),
];

macro_rules! conditions {
    ($($variant:ident = $words:literal;)+) => {
        /// When a line of [`ROWS`] counts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum When {
            $(#[doc = $words] $variant,)+
        }

        impl When {
            /// In words.
            #[cfg(not(target_family = "wasm"))]
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)+ }
            }
        }
    };
}

conditions! {
    Always = "always";
    OtherCloud = "it is of another cloud than the tenant";
    Acting = "a fill or a click is under way";
    Looping = "it came back more than ten times, or does not take what is done to it";
    EmptyForLong = "it has shown nothing known for 8 s";
    StalledForLong = "it has been so for 20 s";
    AfterClick = "after a click of ours";
    SeveralBoxes = "more than one such box can be seen";
    NotWritable = "the box is disabled or read-only";
    ForeignForm = "its form leads to another site";
    NameTakenAway = "our name was written and is not there any more";
    OtherName = "the box is empty, or holds another name than ours";
    UnknownWhileActivating = "our name is refused, and the account is still being activated";
    UnknownForGood = "our name is refused, and the account is not a new one";
    UnknownYet = "our name is refused, and the account is a new one";
    UnknownOnce = "our name was refused before it was ours, or the wait is over";
    UnansweredForLong = "our click has had no answer for 20 s";
    Unanswered = "our click has had no answer yet";
    NobodyForLong = "it has named nobody for 8 s";
    Nobody = "it names nobody";
    OtherAccount = "it is about another account, for the first time";
    OtherAccountAgain = "it is about another account";
    WantsPass = "we hold a pass";
    WantsPassNotYet = "we hold a pass, but the account is still being activated";
    WantsPassListed = "we hold a pass, and have not looked at the list yet";
    WantsPassFirst = "we hold a pass, and it was not offered for the first time";
    WantsPassLater = "we hold a pass, and it was not offered again";
    WantsPassInList = "we hold a pass, and it is not in the list";
    WantsPassword = "we hold a password";
    WantsCode = "we hold a password with a one-time code";
    WantsCodeHere = "we hold a password with a one-time code, and the page asks for that code";
    WantsCodeListed = "we hold a password with a one-time code, and have not looked at the list yet";
    CodeRefused = "Microsoft refused our code";
    CodeRefusedHere = "Microsoft refused our code, and the page has not been loaded since";
    Submitted = "the credential was sent";
    Emptied = "the credential was written and is not there any more";
    Written = "the credential is written";
    RefusedHere = "the credential was sent, and the page says that it is wrong without being loaded again";
    ButtonOff = "its button is disabled";
    Refused = "Microsoft refused";
    AsksAgain = "the credential was sent before, and the page says nothing";
    NotYet = "the account is still being activated";
    Asking = "the host has been asked for the credential";
    Asked = "the host was asked, and the page has changed since";
    OwnTile = "our account has one tile";
    OwnTiles = "our account has several tiles";
    StayOfOther = "it is about another account";
    Replacing = "the next credential in line is being issued";
    Unusable = "we hold a passkey, and it cannot be used here";
    DoorShut = "the account has a passkey, and the browser does not hand requests for it over yet";
    WantsPasskey = "we hold a passkey, and the page has not been answered with it";
    WantsPasskeyListed = "we hold a passkey, and have not looked at the list yet";
    WantsOther = "we hold another credential";
    PersonMissing = "a person has to show who is there";
    PasskeyAsked = "the host has been asked for the answer";
    PasskeyAnswered = "it was answered with the passkey before";
    PasskeySilent = "it has not asked for 8 s";
    PasskeySilentForLong = "it has not asked for 8 s, again and again";
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing: something else will happen.
    Wait(Word),
    /// Nothing: the person must do something.
    Tell(Word),
    /// The same, with the tenant's name.
    TellTenant(Word),
    /// The same, with the name that the page shows.
    TellName(Word),
    /// The same, with Microsoft's number.
    TellNumber(Word),
    /// The same, and 'Try again' is offered, once.
    Offer(Word),
    /// Wait before trying again, and go on to the next line then. The word is for when there was enough of it.
    Again(Reason, Word),
    /// Have the next credential in line issued, once; the word is for when that has been done.
    Replace(Word),
    /// What [`NUMBERS`] says about Microsoft's number.
    ByNumber(Word),
    /// Write the user name into its box.
    FillUserName,
    /// Ask the host for the secret, for exactly this box, if nothing speaks against it.
    FillSecret,
    /// Click this, if a person can see exactly one; else go on to the next line.
    Click(Key, Purpose),
    /// Click our account's own tile.
    ClickOwnTile,
}

/// One line of [`ROWS`].
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// On which pages; on every page when empty.
    pub on: &'static [View],
    /// When.
    pub when: When,
    /// What.
    pub then: Then,
    /// Its name in documents and tests.
    #[cfg(not(target_family = "wasm"))]
    pub name: &'static str,
    /// Whether a page alone shows it; the others need a sign-in that has gone some way.
    #[cfg(not(target_family = "wasm"))]
    pub by_page: bool,
}

macro_rules! rows {
    ($($kind:ident $name:literal: $on:expr, $when:ident => $then:expr;)+) => {
        /// What is done on a page. The first line that fits counts.
        pub const ROWS: &[Row] = &[$(Row {
            on: $on,
            when: When::$when,
            then: $then,
            #[cfg(not(target_family = "wasm"))]
            name: $name,
            #[cfg(not(target_family = "wasm"))]
            by_page: rows!(@ $kind),
        },)+];
    };
    (@ page) => { true };
    (@ later) => { false };
}

const EVERY: &[View] = &[];
const EMPTY: &[View] = &[Loading, Unknown];
const MOVING: &[View] = &[Busy, Sliding];
const SECRET: &[View] = &[Password, AccessPass];
const TYPED: &[View] = &[Password, AccessPass, Code];
const OTHER_FACTOR: &[View] = &[Code, Approval, ApprovalOver];
const NAMED: &[View] = &[Password, AccessPass, Passkey];

// `page`: the page alone shows it, and a browser test holds it. `later`: it needs what happened before.
rows! {
    page "another-cloud": EVERY, OtherCloud => Then::TellTenant(Word::PageWrongCloud);
    later "acting": EVERY, Acting => Then::Wait(Word::StatusFilling);
    later "looping": EVERY, Looping => Then::Tell(Word::PageLoop);

    later "replacing": EVERY, Replacing => Then::Wait(Word::StatusReplacing);
    later "passkey-unusable": EVERY, Unusable => Then::Replace(Word::PageNoPasskey);
    later "passkey-door": EVERY, DoorShut => Then::Wait(Word::StatusPage);

    page "unknown": EMPTY, EmptyForLong => Then::Tell(Word::PageUnknown);
    later "answer-loading": EMPTY, AfterClick => Then::Wait(Word::StatusSubmitted);
    page "loading": EMPTY, Always => Then::Wait(Word::StatusPage);
    later "moving-for-long": MOVING, StalledForLong => Then::Tell(Word::PageChanging);
    later "answer-moving": MOVING, AfterClick => Then::Wait(Word::StatusSubmitted);
    page "moving": MOVING, Always => Then::Wait(Word::StatusPage);

    page "user-name-twice": &[UserName], SeveralBoxes => Then::Tell(Word::PageManyFields);
    page "user-name-fixed": &[UserName], NotWritable => Then::Wait(Word::StatusPage);
    page "user-name-astray": &[UserName], ForeignForm => Then::Tell(Word::PageForeignForm);
    later "user-name-taken-away": &[UserName], NameTakenAway => Then::Tell(Word::PageRefusesValue);
    page "user-name": &[UserName], OtherName => Then::FillUserName;
    later "user-name-unknown-while-activating": &[UserName], UnknownWhileActivating => Then::Wait(Word::StatusActivating);
    later "user-name-unknown": &[UserName], UnknownForGood => Then::Offer(Word::RefusedUnknownUser);
    later "user-name-unknown-yet": &[UserName], UnknownYet => Then::Again(Reason::UnknownUser, Word::RefusedUnknownUser);
    page "user-name-refused-before": &[UserName], UnknownOnce => Then::Click(Key::Primary, Purpose::Next);
    later "user-name-unanswered-for-long": &[UserName], UnansweredForLong => Then::Tell(Word::PageChanging);
    later "user-name-unanswered": &[UserName], Unanswered => Then::Wait(Word::StatusSubmitted);
    page "user-name-ours": &[UserName], Always => Then::Click(Key::Primary, Purpose::Next);
    later "user-name-button-off": &[UserName], ButtonOff => Then::Wait(Word::StatusPage);
    page "user-name-no-button": &[UserName], Always => Then::Tell(Word::PageUnknown);

    later "unanswered-for-long": EVERY, UnansweredForLong => Then::Tell(Word::PageChanging);
    later "unanswered": EVERY, Unanswered => Then::Wait(Word::StatusSubmitted);

    page "secret-of-nobody-for-long": TYPED, NobodyForLong => Then::Tell(Word::PageUnknown);
    page "secret-of-nobody": TYPED, Nobody => Then::Wait(Word::StatusPage);
    page "secret-of-other-account": NAMED, OtherAccount => Then::Click(Key::Back, Purpose::BackForAccount);
    page "secret-of-other-account-no-way-back": NAMED, OtherAccountAgain => Then::TellName(Word::PageOtherAccount);
    later "passkey-in-vain": &[Password, AccessPass, Credentials, Methods], PasskeyAnswered => Then::Replace(Word::PageAsksAgain);
    later "secret-with-passkey-link": SECRET, WantsPasskey => Then::Click(Key::ToPasskey, Purpose::ToPasskey);
    later "secret-with-options": SECRET, WantsPasskeyListed => Then::Click(Key::ToCredentials, Purpose::ToCredentials);
    later "secret-no-passkey": SECRET, WantsPasskey => Then::Replace(Word::PageNoPasskey);
    page "password-with-pass-link": &[Password], WantsPass => Then::Click(Key::ToAccessPass, Purpose::ToAccessPass);
    page "password-with-pass-tile": &[Password], WantsPass => Then::Click(Key::AccessPassTile, Purpose::AccessPassTile);
    later "password-pass-not-yet": &[Password], WantsPassNotYet => Then::Wait(Word::StatusActivating);
    page "password-with-options": &[Password], WantsPassListed => Then::Click(Key::ToCredentials, Purpose::ToCredentials);
    page "password-no-pass": &[Password], WantsPassFirst => Then::Click(Key::Back, Purpose::BackForPass);
    later "password-no-pass-yet": &[Password], WantsPassLater => Then::Again(Reason::PassNotOffered, Word::PageNoPass);
    later "password-no-pass-again": &[Password], WantsPassLater => Then::Click(Key::Back, Purpose::BackForPass);
    page "password-no-pass-no-way-back": &[Password], WantsPass => Then::Tell(Word::PageNoPass);
    page "pass-with-password-link": &[AccessPass], WantsPassword => Then::Click(Key::ToPassword, Purpose::ToPassword);
    page "pass-no-password": &[AccessPass], WantsPassword => Then::Tell(Word::PageNoPassword);
    later "code-refused-here": &[Code], CodeRefusedHere => Then::Tell(Word::PageCodeRefused);
    page "code-refused": &[Code], CodeRefused => Then::Offer(Word::PageCodeRefused);
    later "secret-refused-here": SECRET, RefusedHere => Then::Tell(Word::RefusedNoNumber);
    later "secret-sent": TYPED, Submitted => Then::Wait(Word::StatusSubmitted);
    later "secret-taken-away": TYPED, Emptied => Then::Tell(Word::PageRefusesValue);
    later "secret-written": TYPED, Written => Then::Click(Key::Primary, Purpose::Submit);
    later "secret-button-off": TYPED, ButtonOff => Then::Wait(Word::StatusPage);
    later "secret-no-button": TYPED, Written => Then::Tell(Word::PageUnknown);
    page "secret-refused": SECRET, Refused => Then::ByNumber(Word::RefusedOther);
    later "secret-asked-again": TYPED, AsksAgain => Then::Offer(Word::PageAsksAgain);
    later "secret-not-yet": SECRET, NotYet => Then::Wait(Word::StatusActivating);
    later "secret-coming": TYPED, Asking => Then::Wait(Word::StatusFilling);
    later "secret-came-too-late": TYPED, Asked => Then::Tell(Word::PageChanging);
    page "secret": SECRET, Always => Then::FillSecret;
    page "code-ours": &[Code], WantsCodeHere => Then::FillSecret;

    page "picker": &[Picker], OwnTile => Then::ClickOwnTile;
    page "picker-twice": &[Picker], OwnTiles => Then::Tell(Word::PageNoTile);
    page "picker-other-accounts": &[Picker], Always => Then::Click(Key::OtherTile, Purpose::OtherTile);
    page "picker-no-way": &[Picker], Always => Then::Tell(Word::PageNoTile);
    page "work-or-personal": &[WorkOrPersonal], Always => Then::Click(Key::WorkTile, Purpose::WorkTile);
    page "personal-only": &[WorkOrPersonal], Always => Then::Tell(Word::PageWorkOrPersonal);
    later "credentials-with-passkey": &[Credentials], WantsPasskey => Then::Click(Key::PasskeyTile, Purpose::ToPasskey);
    later "credentials-no-passkey": &[Credentials], WantsPasskey => Then::Replace(Word::PageNoPasskey);
    page "credentials-with-pass": &[Credentials], WantsPass => Then::Click(Key::AccessPassTile, Purpose::AccessPassTile);
    later "credentials-not-yet": &[Credentials], WantsPassNotYet => Then::Wait(Word::StatusActivating);
    page "credentials-no-pass": &[Credentials], WantsPassInList => Then::Click(Key::Back, Purpose::BackForPass);
    page "credentials-no-pass-no-way-back": &[Credentials], WantsPass => Then::Tell(Word::PageNoPass);
    page "credentials-with-password": &[Credentials], WantsPassword => Then::Click(Key::ToPassword, Purpose::ToPassword);
    page "credentials-no-password": &[Credentials], WantsPassword => Then::Tell(Word::PageNoPassword);
    page "stay-of-other-account": &[StaySignedIn], StayOfOther => Then::TellName(Word::PageOtherAccount);
    page "stay": &[StaySignedIn], Always => Then::Click(Key::Back, Purpose::DoNotStay);
    page "stay-no-way": &[StaySignedIn], Always => Then::Tell(Word::PageUnknown);
    page "methods-with-pass": &[Methods], WantsPass => Then::Click(Key::AccessPassTile, Purpose::AccessPassTile);

    later "methods-with-passkey": &[Methods], WantsPasskey => Then::Click(Key::PasskeyTile, Purpose::ToPasskey);
    page "methods-with-code": &[Methods], WantsCode => Then::Click(Key::OwnCode, Purpose::ToCode);
    page "factor-with-other-code": OTHER_FACTOR, WantsCodeListed => Then::Click(Key::AnotherWay, Purpose::ToCredentials);
    later "factor-with-other-ways": OTHER_FACTOR, WantsPasskeyListed => Then::Click(Key::AnotherWay, Purpose::ToCredentials);
    page "passkey-of-other-credential": &[Passkey], WantsOther => Then::Click(Key::ToCredentials, Purpose::ToCredentials);
    later "passkey-refused": &[Passkey], Refused => Then::ByNumber(Word::RefusedOther);
    later "passkey-again": &[Passkey], Refused => Then::Click(Key::ToCredentials, Purpose::ToCredentials);
    later "passkey-not-yet": &[Passkey], NotYet => Then::Wait(Word::StatusActivating);
    later "passkey-person": &[Passkey], PersonMissing => Then::Tell(Word::PagePerson);
    later "passkey-asked": &[Passkey], PasskeyAsked => Then::Wait(Word::StatusFilling);
    later "passkey-answered": &[Passkey], PasskeyAnswered => Then::Replace(Word::PageAsksAgain);
    later "passkey-silent": &[Passkey], PasskeySilent => Then::Click(Key::ToCredentials, Purpose::ToCredentials);
    later "passkey-silent-for-long": &[Passkey], PasskeySilentForLong => Then::Replace(Word::PageNoPasskey);
    later "passkey-waited-for": &[Passkey], WantsPasskey => Then::Wait(Word::StatusPage);

    page "methods": &[Methods], Always => Then::Tell(Word::PageMethods);
    page "code": &[Code], Always => Then::Tell(Word::PageCode);
    page "approval": &[Approval], Always => Then::Tell(Word::PageApproval);
    page "approval-over": &[ApprovalOver], Always => Then::Tell(Word::PageApprovalOver);
    page "more-information": &[ProofUp], Always => Then::Tell(Word::PageProofUp);
    page "change-password": &[ChangePassword], Always => Then::Tell(Word::PageChangePassword);
    page "consent": &[Consent], Always => Then::Tell(Word::PageConsent);
    page "conditional-access": &[ConditionalAccess], Always => Then::TellNumber(Word::PageConditionalAccess);
    page "error": &[Error], Always => Then::ByNumber(Word::PageError);
    page "device-code": &[DeviceCode], Always => Then::Tell(Word::PageDeviceCode);
    page "confirm-application": &[ConfirmApplication], Always => Then::Tell(Word::PageConfirmApplication);
    page "federated": &[Federated], Always => Then::Tell(Word::PageFederated);
    page "captcha": &[Captcha], Always => Then::Tell(Word::PageCaptcha);
    page "passkey": &[Passkey], Always => Then::Tell(Word::PagePasskey);
    page "sign-out": &[SignOut], Always => Then::Tell(Word::PageSignOut);
}

/// What is done about a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing more is filled.
    Stop,
    /// Nothing more by itself; the technician may let it be tried once more.
    Once,
    /// It is waited for and tried again, at most as often and as long as [`Reason`] allows.
    Again(Reason),
    /// Nothing more with this credential: the next one in line is issued, once.
    Next,
    /// The address had the error; the account has been found since.
    GoOn,
}

/// One line of [`NUMBERS`].
#[derive(Clone, Copy, Debug)]
pub struct Meaning {
    /// AADSTS.
    pub number: u32,
    /// What it says to the person. Words with a place get the number.
    pub word: Word,
    /// What is done.
    pub after: After,
}

const fn means(number: u32, word: Word, after: After) -> Meaning {
    Meaning { number, word, after }
}

/// What Microsoft's numbers mean. A number that is not here stops the sign-in as well.
pub const NUMBERS: &[Meaning] = &[
    means(50034, Word::RefusedUnknownUser, After::GoOn),
    means(50053, Word::RefusedLocked, After::Stop),
    means(50055, Word::RefusedExpired, After::Stop),
    means(50056, Word::RefusedInvalidPassword, After::Stop),
    means(50057, Word::RefusedDisabled, After::Again(Reason::Disabled)),
    means(50072, Word::RefusedFactor, After::Stop),
    means(50074, Word::RefusedFactor, After::Stop),
    means(50076, Word::RefusedFactor, After::Stop),
    means(50079, Word::RefusedFactor, After::Stop),
    means(50089, Word::RefusedFlow, After::Stop),
    means(50126, Word::RefusedCredential, After::Once),
    means(50128, Word::RefusedTenant, After::Stop),
    means(53000, Word::RefusedPolicy, After::Stop),
    means(53001, Word::RefusedPolicy, After::Stop),
    means(53003, Word::RefusedPolicy, After::Stop),
    means(53004, Word::RefusedPolicy, After::Stop),
    means(70044, Word::RefusedAgain, After::Stop),
    means(70046, Word::RefusedAgain, After::Stop),
    means(90002, Word::RefusedTenant, After::Stop),
    means(90094, Word::RefusedConsent, After::Stop),
    means(130_500, Word::RefusedMethod, After::Stop),
    means(130_502, Word::RefusedPassPolicy, After::Next),
    means(130_503, Word::RefusedPassInvalid, After::Again(Reason::PassUnknown)),
    means(130_504, Word::RefusedPassExpired, After::Stop),
    means(130_505, Word::RefusedPassUsed, After::Stop),
    means(130_506, Word::RefusedPassElsewhere, After::Stop),
    means(135_010, Word::RefusedPasskey, After::Next),
    means(135_016, Word::RefusedMethod, After::Next),
    means(500_121, Word::RefusedPasskey, After::Next),
];

/// Numbers that a page carries and that refuse nothing: 'not signed in' is how every sign-in begins, the others are
/// questions.
pub const NO_REFUSAL: [u32; 4] = [0, 50058, 50140, 50199];

/// The view that takes a credential.
#[must_use]
pub const fn view_of(field: FillField) -> View {
    match field {
        FillField::Password => Password,
        FillField::AccessPass => AccessPass,
        FillField::OneTimeCode => Code,
    }
}
