//! Every word that Latchkey shows in a browser, as a closed list of message keys.
//!
//! The words themselves are in `extension/_locales/<language>/messages.json`; the English in this list is their
//! meaning and the English file's text. `$1`, `$2` … stand for the arguments, in the order of [`Text::args`]. For an
//! error of the host the key is `error_<name of the code>` ([`Text::error`]); those need words as well: what
//! happened, `$1` = the tenant's name (may be empty). `cargo run -p latchkey-wasm --all-features --example words`
//! writes all of them as a `messages.json`.

use latchkey_protocol::{ErrorBody, ErrorCode};
use serde::{Deserialize, Serialize};

/// Words to be looked up: a key and what goes into its places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The message key.
    pub key: String,
    /// `$1`, `$2` …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

impl Text {
    /// Words without places.
    #[must_use]
    pub fn of(word: impl Keyed) -> Self {
        Self { key: word.key().to_owned(), args: Vec::new() }
    }

    /// Words with one place.
    #[must_use]
    pub fn with(word: impl Keyed, argument: impl Into<String>) -> Self {
        Self { key: word.key().to_owned(), args: vec![argument.into()] }
    }

    /// The words for an error of the host.
    #[must_use]
    pub fn error(error: &ErrorBody) -> Self {
        Self { key: Self::error_key(error.code), args: vec![error.tenant.clone().unwrap_or_default()] }
    }

    /// The key of an error code.
    #[must_use]
    pub fn error_key(code: ErrorCode) -> String {
        let mut key = String::from("error_");
        key.push_str(code.name());
        key
    }
}

/// Has a message key.
pub trait Keyed: Copy {
    /// The key in `messages.json`.
    fn key(self) -> &'static str;
}

macro_rules! words {
    ($(#[doc = $about:literal])+ $name:ident: $($variant:ident = $key:literal, $english:literal;)+) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = $english] $variant,)+
        }

        impl Keyed for $name {
            fn key(self) -> &'static str {
                Self::key(self)
            }
        }

        impl $name {
            /// Every key, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The key in `messages.json`.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)+ }
            }

            /// What it means, in English.
            #[must_use]
            pub const fn english(self) -> &'static str {
                match self { $(Self::$variant => $english,)+ }
            }
        }
    };
}

words! {
    /// Words of the icon, of notifications and of the popup.
    Word:

    // The icon's title.
    TitleIdle = "title_idle", "Latchkey";
    TitleKnown = "title_known", "Latchkey: sign in on this page";
    TitleBusy = "title_busy", "Latchkey: signing in";
    TitleActive = "title_active", "Latchkey: $1 is active, $2 left";
    TitleProblem = "title_problem", "Latchkey: needs your attention";

    // Connecting, and a host that does not answer.
    Connecting = "connecting", "Connecting to Latchkey on this computer…";
    HostMissing = "host_missing", "Latchkey is not installed on this computer";
    HostMissingAdvice = "host_missing_advice", "Install the latchkey program, then run “latchkey install” and open this window again.";
    HostForbidden = "host_forbidden", "This extension may not talk to Latchkey";
    HostForbiddenAdvice = "host_forbidden_advice", "Run “latchkey install” again. If that does not help, run “latchkey doctor”.";
    HostBlocked = "host_blocked", "Your organization blocks the Latchkey program";
    HostBlockedAdvice = "host_blocked_advice", "Ask your administrator to allow the native messaging host com.latchkey.host, or to run “latchkey install --system”.";
    HostExited = "host_exited", "The Latchkey program stopped";
    HostExitedAdvice = "host_exited_advice", "Try again. If it stops again, run “latchkey doctor”.";
    HostGarbled = "host_garbled", "The Latchkey program answered with something that is not a message";
    HostGarbledAdvice = "host_garbled_advice", "Update the extension and the program to the same version, then run “latchkey doctor”.";
    HostSilent = "host_silent", "The Latchkey program does not answer";
    HostSilentAdvice = "host_silent_advice", "Try again. If it stays silent, restart the browser and run “latchkey doctor”.";
    HostVersion = "host_version", "The extension and the Latchkey program do not speak the same version";
    HostVersionAdvice = "host_version_advice", "Update both to the newest version.";

    // Choosing a tenant.
    ChooseTitle = "choose_title", "Which customer?";
    ChooseSearch = "choose_search", "Search by name, domain or ticket";
    ChooseHelp = "choose_help", "Enter opens $1. Shift+Enter shows the options. Alt+P pins.";
    ChooseHelpHere = "choose_help_here", "Enter chooses the customer of this page. Alt+P pins.";
    ChooseNothing = "choose_nothing", "No customer matches";
    ChooseCount = "choose_count", "$1 customers";
    NoTenants = "no_tenants", "No customer is connected yet";
    NoTenantsAdvice = "no_tenants_advice", "Connect one with “latchkey tenant add”.";
    TenantDormant = "tenant_dormant", "dormant";
    TenantStarting = "tenant_starting", "starting";
    TenantActive = "tenant_active", "active, $1 left";
    TenantEnding = "tenant_ending", "ending";
    TenantProblem = "tenant_problem", "problem";
    TenantCredentialEnds = "tenant_credential_ends", "credential ends: $1 d";
    CredentialEnds = "credential_ends", "Days until the application's credential in $1 ends: $2. Replace it with “latchkey tenant credential rotate”.";
    CredentialEnded = "credential_ended", "The application's credential in $1 has ended. Replace it with “latchkey tenant credential rotate”.";

    PinTenant = "pin_tenant", "Pin $1";
    OptionsFor = "options_for", "Options for $1";
    EndAll = "end_all", "End all";

    // Opening a portal.
    PortalLabel = "portal_label", "Portal";
    PlaceLabel = "place_label", "Open in";
    PlaceNewTab = "place_new_tab", "a new tab";
    PlaceThisTab = "place_this_tab", "this tab";
    PlacePrivateWindow = "place_private_window", "a private window";
    PrivateNotAllowed = "private_not_allowed", "Latchkey may not work in private windows yet. Open the browser's list of extensions, choose Latchkey, and switch on “Allow in Incognito” (Edge: “Allow in InPrivate”, Firefox: “Run in Private Windows”).";
    OpenNamed = "open_named", "Open $1";
    StatusOpening = "status_opening", "Waiting for the portal to ask for the sign-in…";
    PageOtherTenant = "page_other_tenant", "The page signs in to another tenant than $1. Nothing is filled.";

    // Confirming.
    ConfirmProfile = "confirm_profile", "Profile";
    ConfirmReason = "confirm_reason", "Reason";
    ConfirmTicket = "confirm_ticket", "Ticket";
    ConfirmTicketPattern = "confirm_ticket_pattern", "It must look like this pattern: $1";
    ConfirmTitle = "confirm_title", "$1";
    ConfirmAccount = "confirm_account", "Account";
    ConfirmRoles = "confirm_roles", "Roles";
    ConfirmNoRoles = "confirm_no_roles", "none";
    ConfirmMinutes = "confirm_minutes", "Minutes";
    ConfirmMinutesRange = "confirm_minutes_range", "From 1 to $1 minutes";
    ConfirmCredential = "confirm_credential", "Signs in with";
    CredentialPass = "credential_pass", "Temporary Access Pass";
    CredentialPassword = "credential_password", "Password";
    CredentialCode = "credential_code", "Password and one-time code";
    CredentialPasskey = "credential_passkey", "Passkey";
    CredentialNotHere = "credential_not_here", "This browser cannot answer a page with a passkey, so the next credential is used.";
    CredentialWhy = "credential_why", "Why not a stronger one?";
    CredentialReplaced = "credential_replaced", "$1 did not work here. Signing in with: $2";
    PasswordNote = "password_note", "Microsoft's portals may ask this account to register a second factor.";
    Start = "start", "Sign in";
    StartWithoutPage = "start_without_page", "Activate";
    AnotherTenant = "another_tenant", "Another customer";

    // Under way.
    ProgressTitle = "progress_title", "Signing in to $1";
    StepActivate = "step_activate", "Activate the account";
    StepUserName = "step_user_name", "Fill the user name";
    StepNext = "step_next", "Go to the next step";
    StepCredential = "step_credential", "Fill the credential";
    StepStay = "step_stay", "Answer “Stay signed in?”";
    StepPortal = "step_portal", "Open the portal";
    StateWaiting = "state_waiting", "waiting";
    StateRunning = "state_running", "under way";
    StateDone = "state_done", "done";
    StateRetrying = "state_retrying", "trying again";
    StateFailed = "state_failed", "failed";
    StateSkipped = "state_skipped", "not needed";
    StopSignIn = "stop_sign_in", "Stop";
    StatusActivating = "status_activating", "Activating the account…";
    StatusFilling = "status_filling", "Filling the page…";
    StatusPage = "status_page", "Waiting for the page…";
    StatusHidden = "status_hidden", "Show the sign-in tab to go on.";
    StatusNotYet = "status_not_yet", "Microsoft does not accept the account yet. Trying again in $1 s (try $2).";
    StatusSubmitted = "status_submitted", "Waiting for Microsoft…";
    PressYourself = "press_yourself", "Filled. Look at it and press the button on the page.";
    StayYourself = "stay_yourself", "Answer “Stay signed in?” on the page.";
    PinLabel = "pin_label", "PIN";
    PinNote = "pin_note", "Latchkey has to know that it is you.";
    PinWrong = "pin_wrong", "This is not the PIN. Tries left before a wait: $1";
    PinWait = "pin_wait", "A wrong PIN was entered too often. Wait $1.";
    PinEnter = "pin_enter", "Go on";
    StatusReplacing = "status_replacing", "Getting another credential…";
    StatusSwitching = "status_switching", "Changing to the right way to sign in…";

    // Active.
    ActiveTitle = "active_title", "$1 is active";
    ActiveLeft = "active_left", "$1 left";
    ActiveUntil = "active_until", "until $1";
    SignInHere = "sign_in_here", "Sign in on this page";
    EndNow = "end_now", "End now";
    Extend = "extend", "Extend";
    ShowCredential = "show_credential", "Show credential";
    HideCredential = "hide_credential", "Hide credential";
    Copy = "copy", "Copy";
    CopyUserName = "copy_user_name", "Copy account";
    Copied = "copied", "Copied. The clipboard is cleared in 30 seconds.";
    SecretLabel = "secret_label", "Credential";
    SignedIn = "signed_in", "Signed in.";

    // Ending and over.
    EndingTitle = "ending_title", "Taking the access to $1 back";
    EndingNote = "ending_note", "This is checked until it is certain. You may close this window.";
    StuckTitle = "stuck_title", "The access to $1 could not be taken back yet";
    StuckNote = "stuck_note", "Latchkey keeps trying. Look at the account in Entra now.";
    ChangedTitle = "changed_title", "Somebody else changed the account in $1";
    ChangedNote = "changed_note", "Latchkey takes the access back. Look at the account in Entra.";
    EndedNotice = "ended_notice", "The access to $1 has ended.";
    EndsNotice = "ends_notice", "The access to $1 ends in $2.";
    ExtendedNotice = "extended_notice", "The access to $1 lasts longer: $2 left.";
    StuckNotice = "stuck_notice", "The access to $1 could not be taken back yet. Latchkey keeps trying.";

    // Problems.
    ProblemTitle = "problem_title", "This did not work";
    Retry = "retry", "Try again";
    Details = "details", "Details";
    RequestNumber = "request_number", "Microsoft's request number: $1";

    // What a page says, and what the person must do.
    PageUnknown = "page_unknown", "Latchkey does not know this page and fills nothing. You can show the credential and copy it.";
    PageSilent = "page_silent", "This page does not answer. The browser may keep extensions out of it. You can show the credential and copy it.";
    PageElsewhere = "page_elsewhere", "The tab left the sign-in page. Open a sign-in page and start again.";
    PageWrongCloud = "page_wrong_cloud", "This page belongs to another Microsoft cloud than $1.";
    PageOtherAccount = "page_other_account", "The page asks for the password of another account ($1). Go back on the page and choose “Use another account”.";
    PageManyFields = "page_many_fields", "The page shows more than one field for the credential. Nothing was filled.";
    PageForeignForm = "page_foreign_form", "The page would send the credential to another site. Nothing was filled.";
    PageCovered = "page_covered", "Something covers the field on the page. Nothing was filled.";
    PageRefusesValue = "page_refuses_value", "The page did not keep the value. Nothing more is filled.";
    PageChanging = "page_changing", "The page keeps changing. Nothing more is filled.";
    PageLoop = "page_loop", "The page came back too often. Nothing more is filled.";
    PageAsksAgain = "page_asks_again", "The page asks for the credential again. It is not filled twice without your say. You may try once more.";
    PageNoPass = "page_no_pass",
        "The page does not offer a sign-in with a Temporary Access Pass. Show the credential and copy it, or choose the way to sign in on the page.";
    PageNoPassword = "page_no_password",
        "The page does not offer a sign-in with a password. Choose the way to sign in on the page.";
    PageNoTile = "page_no_tile", "The page offers neither this account nor “Use another account”. Choose on the page.";
    PageWorkOrPersonal = "page_work_or_personal", "Choose “Work or school account” on the page.";
    PageCode = "page_code", "The page asks for a code of a second factor. Latchkey has none for this account.";
    PageCodeRefused = "page_code_refused", "Microsoft did not take the one-time code. It is not tried again by itself, so that the account is not locked. The next one is shown by “latchkey code”.";
    PageMethods = "page_methods", "The page asks for a second factor. Choose one on the page.";
    PageApproval = "page_approval", "Approve the sign-in on the phone that is registered for this account.";
    PageApprovalOver = "page_approval_over", "The approval was denied or came too late. Choose another way on the page.";
    PageProofUp = "page_proof_up", "Microsoft wants this account to register a second factor. Follow the page, or skip it there if it lets you.";
    PageChangePassword = "page_change_password", "Microsoft asks for a new password. Do not set one: end this access and start again.";
    PageConsent = "page_consent", "The page asks for consent to an application. Read it and decide yourself.";
    PageConditionalAccess = "page_conditional_access", "A Conditional Access policy of the customer stops this sign-in ($1).";
    PageDeviceCode = "page_device_code", "This page signs in another device with a code. Latchkey never fills it. If somebody sent you the code, close the page.";
    PageConfirmApplication = "page_confirm_application", "The page asks whether you meant to sign in to this application. Decide on the page.";
    PageError = "page_error", "Microsoft shows an error (AADSTS$1). Read it on the page.";
    PageFederated = "page_federated", "The page sends this account to another sign-in. Latchkey fills nothing there.";
    PageCaptcha = "page_captcha", "The page wants to know that you are a person. Answer it, then the sign-in goes on.";
    PageRegistration = "page_registration", "Microsoft wants this account to register a second factor before the portal opens. Follow the page.";
    PagePasskey = "page_passkey", "The page asks for a passkey. Cancel the browser's window about it, if there is one, and choose another way to sign in on the page.";
    PageNoPasskey = "page_no_passkey", "The passkey cannot be used here, and another credential was tried before. Choose the way to sign in on the page.";
    PagePerson = "page_person", "Enter your PIN, and the sign-in goes on.";
    PageSignOut = "page_sign_out", "This page signs an account out. Nothing is filled.";

    // What Microsoft refused, by number.
    RefusedUnknownUser = "refused_unknown_user", "Microsoft does not know the account in this tenant (AADSTS50034). Is the page the right customer's? A new account may need a minute.";
    RefusedCredential = "refused_credential", "Microsoft refused the credential (AADSTS50126). It is not tried again, so that the account is not locked. You may try once more.";
    RefusedLocked = "refused_locked", "Microsoft locked the account for a while or blocks this network (AADSTS50053). Wait before you try again.";
    RefusedExpired = "refused_expired", "The password has expired (AADSTS50055). End this access and start again.";
    RefusedInvalidPassword = "refused_invalid_password", "The password in the directory is not valid (AADSTS50056). End this access and start again.";
    RefusedDisabled = "refused_disabled", "The account is still disabled (AADSTS50057). Try again, or end this access and start again.";
    RefusedTenant = "refused_tenant", "Microsoft does not know the tenant (AADSTS$1). Open the sign-in page again.";
    RefusedFlow = "refused_flow", "The page is too old (AADSTS50089). Reload it and start again.";
    RefusedFactor = "refused_factor", "Microsoft asks for a second factor (AADSTS$1). Follow the page.";
    RefusedPolicy = "refused_policy", "A policy of the customer stops this sign-in (AADSTS$1).";
    RefusedAgain = "refused_again", "Microsoft wants a fresh sign-in (AADSTS$1). Reload the page and start again.";
    RefusedConsent = "refused_consent", "An administrator of the customer must consent to this application first (AADSTS90094).";
    RefusedMethod = "refused_method", "This way to sign in is blocked for the account (AADSTS$1). Choose another way on the page.";
    RefusedPassPolicy = "refused_pass_policy", "A policy of the customer does not allow the Temporary Access Pass (AADSTS130502).";
    RefusedPassInvalid = "refused_pass_invalid", "Microsoft did not accept the Temporary Access Pass (AADSTS130503). A new one may need a minute. You may try once more.";
    RefusedPassExpired = "refused_pass_expired", "The Temporary Access Pass has expired (AADSTS130504). End this access and start again.";
    RefusedPassUsed = "refused_pass_used", "The Temporary Access Pass was used already (AADSTS130505). End this access and start again.";
    RefusedPassElsewhere = "refused_pass_elsewhere", "The Temporary Access Pass works only in a web sign-in (AADSTS130506).";
    RefusedPasskey = "refused_passkey", "Microsoft did not accept the passkey (AADSTS$1).";
    RefusedOther = "refused_other", "Microsoft refused the sign-in (AADSTS$1). Read the page.";
    RefusedNoNumber = "refused_no_number", "Microsoft refused the sign-in. Read the page.";

    // Times.
    TimeHours = "time_hours", "$1 h $2 min";
    TimeMinutesOnly = "time_minutes_only", "$1 min";
    TimeMinutes = "time_minutes", "$1 min $2 s";

    // The name of the region that a screen reader announces.
    StatusRegion = "status_region", "Status";

    // The way to the options page.
    OptionsOpen = "options_open", "Options";
}

words! {
    /// Words of the options page alone: the worker does not carry them.
    OptionsWord:

    OptionsTitle = "options_title", "Latchkey options";
    TestTitle = "test_title", "Connection";
    TestNote = "test_note", "Looks over every link from this browser to Microsoft and changes nothing.";
    TestStart = "test_start", "Test the connection";
    TestRunning = "test_running", "Testing…";
    TestGood = "test_good", "Everything works.";
    TestFound = "test_found", "Needs attention: $1";
    TestTenants = "test_tenants", "“latchkey doctor” tests every customer's tenant as well.";
    FindingGood = "finding_good", "Good";
    FindingWarning = "finding_warning", "Look at this";
    FindingBroken = "finding_broken", "Broken";
    PreferencesTitle = "preferences_title", "Preferences";
    ByOrganization = "by_organization", "Set by your organization.";
    PreferSubmit = "prefer_submit", "Press Next and Sign in for me";
    PreferSubmitNote = "prefer_submit_note", "Otherwise Latchkey fills the page, and you press its buttons.";
    PreferStay = "prefer_stay", "Answer to “Stay signed in?”";
    PreferStayNote = "prefer_stay_note", "With No, the session ends with the browser.";
    StayNo = "stay_no", "No";
    StayYes = "stay_yes", "Yes";
    StayAsk = "stay_ask", "I answer";
    PreferMinutes = "prefer_minutes", "Minutes of access";
    PreferMinutesNote = "prefer_minutes_note", "Leave it empty to use the profile's duration. The profile's limit always holds.";
    PreferPortalNote = "prefer_portal_note", "Offered first when you open a portal.";
    PreferTheme = "prefer_theme", "Theme";
    ThemeSystem = "theme_system", "As the browser";
    ThemeLight = "theme_light", "Light";
    ThemeDark = "theme_dark", "Dark";
    PreferLanguage = "prefer_language", "Language";
    LanguageBrowser = "language_browser", "As the browser";
    Saved = "saved", "Saved.";
    ShortcutsTitle = "shortcuts_title", "Keyboard shortcut";
    ShortcutNow = "shortcut_now", "$1 opens Latchkey on any page.";
    ShortcutNone = "shortcut_none", "No key opens Latchkey yet.";
    ShortcutChange = "shortcut_change", "Change the shortcut";
    StoredTitle = "stored_title", "What is stored";
    StoredNote = "stored_note", "A credential is never stored in the browser.";
    StoredPreferences = "stored_preferences", "Your preferences and pinned customers, on this computer.";
    StoredSession = "stored_session", "Names of customers and accounts, open accesses and sign-ins under way, until the browser closes.";
    StoredClear = "stored_clear", "Clear";
    StoredCleared = "stored_cleared", "Cleared. Accesses that are open stay open.";
    AboutTitle = "about_title", "About";
    AboutExtension = "about_extension", "Extension $1";
    AboutProgram = "about_program", "Program $1";
    AboutPrivacy = "about_privacy", "The extension talks to the Latchkey program on this computer and to nobody else.";
}
