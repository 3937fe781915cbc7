//! Which step of the sign-in a page shows, read from a snapshot.
//!
//! Nothing here grants trust: the page has passed the origin check before, and a wrong answer can at most make
//! Latchkey wait or speak. No text, colour or picture is used. A page that fits nothing is [`View::Unknown`]. Facts:
//! the public descriptions of Entra's sign-in page (`PageID`, `data-viewid`, element ids).

use super::snapshot::{Ready, Snapshot};
use crate::elements::ElementKey as Key;

/// What a page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// The form has not been built yet, or the page moves on by itself.
    Loading,
    /// The cover is up: the page works.
    Busy,
    /// Two views at once: one slides out, the next one in.
    Sliding,
    /// The box for the user name.
    UserName,
    /// The box for the password.
    Password,
    /// The box for a Temporary Access Pass.
    AccessPass,
    /// 'Pick an account'.
    Picker,
    /// 'Work or school' or 'personal'.
    WorkOrPersonal,
    /// The list of credentials.
    Credentials,
    /// 'Stay signed in?'.
    StaySignedIn,
    /// A code of a second factor.
    Code,
    /// The list of second factors.
    Methods,
    /// 'Approve the request', with or without a number.
    Approval,
    /// The approval was denied or ran out.
    ApprovalOver,
    /// 'More information required'.
    ProofUp,
    /// 'Update your password'.
    ChangePassword,
    /// Consent to an application.
    Consent,
    /// A policy stops the sign-in.
    ConditionalAccess,
    /// An error page.
    Error,
    /// The code of another device.
    DeviceCode,
    /// 'Are you trying to sign in to …?'.
    ConfirmApplication,
    /// On the way to another organization's sign-in.
    Federated,
    /// 'Are you a person?'.
    Captcha,
    /// A passkey is asked for.
    Passkey,
    /// Signing out.
    SignOut,
    /// None of these.
    Unknown,
}

impl View {
    /// Whether this is a step in which Latchkey can do something.
    #[must_use]
    pub const fn is_step(self) -> bool {
        matches!(
            self,
            Self::UserName
                | Self::Password
                | Self::AccessPass
                | Self::Picker
                | Self::WorkOrPersonal
                | Self::Credentials
                | Self::StaySignedIn
        )
    }

    /// Whether the page is expected to become something else without anybody doing anything.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Loading | Self::Busy | Self::Sliding)
    }

    /// What the page of an address shows.
    #[must_use]
    pub fn of(snapshot: &Snapshot, path: &str) -> Self {
        let sees = |key| snapshot.visible(key).is_some();
        let shows_view = |id: &str| snapshot.views.iter().any(|view| view == id);
        let settled = snapshot.ready == Ready::Complete;

        // What must never be filled comes first, whatever else the page shows.
        if sees(Key::ChangePassword) {
            return Self::ChangePassword;
        }
        if sees(Key::DeviceCode) || path.ends_with("/deviceauth") {
            return Self::DeviceCode;
        }
        if sees(Key::Accept) {
            return Self::Consent;
        }
        if path.ends_with("/logout") || path.ends_with("/uxlogout") || path.ends_with("/logout.srf") {
            return Self::SignOut;
        }
        match snapshot.page_id.as_deref() {
            Some("ConvergedChangePassword") => return Self::ChangePassword,
            Some("ConvergedConsent") => return Self::Consent,
            Some("ConvergedProofUpRedirect") => return Self::ProofUp,
            Some("ConvergedConditionalAccess") => return Self::ConditionalAccess,
            Some("ConvergedError") => return Self::Error,
            Some("ConvergedRemoteConnect") => return Self::DeviceCode,
            Some("CmsiInterrupt") => return Self::ConfirmApplication,
            Some("BssoInterrupt") => return Self::Loading,
            _ => {}
        }
        if sees(Key::Busy) {
            return Self::Busy;
        }
        let boxes = [Key::UserName, Key::Password, Key::AccessPass, Key::Code].iter().filter(|key| sees(**key)).count();
        if snapshot.views.len() > 1 || boxes > 1 {
            return Self::Sliding;
        }
        match snapshot.page_id.as_deref() {
            Some("KmsiInterrupt") => {
                if (sees(Key::StaySignedInText) || sees(Key::StaySignedInBox)) && boxes == 0 {
                    Self::StaySignedIn
                } else if settled {
                    Self::Unknown
                } else {
                    Self::Loading
                }
            }
            Some("ConvergedTFA") => Self::of_second_factor(&sees, settled),
            Some("ConvergedSignIn") => Self::of_sign_in(&sees, &shows_view, settled),
            Some(_) => Self::Unknown,
            // The id proves nothing, so a page without one is read by what it shows.
            None if sees(Key::ServiceError) => Self::Error,
            None if snapshot.has(Key::SelfSubmitting) => Self::Loading,
            None if sees(Key::ProofUp) => Self::ProofUp,
            None if sees(Key::StaySignedInText) && sees(Key::StaySignedInBox) && boxes == 0 => Self::StaySignedIn,
            None if sees(Key::Code) || sees(Key::Methods) || sees(Key::ApprovalOver) => {
                Self::of_second_factor(&sees, settled)
            }
            None => Self::of_sign_in(&sees, &shows_view, settled),
        }
    }

    fn of_second_factor(sees: &dyn Fn(Key) -> bool, settled: bool) -> Self {
        if sees(Key::AccessPass) {
            Self::AccessPass
        } else if sees(Key::Code) {
            Self::Code
        } else if sees(Key::Methods) {
            Self::Methods
        } else if sees(Key::ApprovalOver) {
            Self::ApprovalOver
        } else if sees(Key::Approval) || sees(Key::Number) {
            Self::Approval
        } else if settled {
            Self::Unknown
        } else {
            Self::Loading
        }
    }

    fn of_sign_in(sees: &dyn Fn(Key) -> bool, shows_view: &dyn Fn(&str) -> bool, settled: bool) -> Self {
        if shows_view("48") {
            Self::Captcha
        } else if sees(Key::AccessPass) {
            Self::AccessPass
        } else if sees(Key::Password) {
            Self::Password
        } else if sees(Key::UserName) {
            Self::UserName
        } else if sees(Key::WorkTile) || sees(Key::PersonalTile) {
            Self::WorkOrPersonal
        } else if sees(Key::Tiles) {
            Self::Picker
        } else if sees(Key::Credentials) {
            Self::Credentials
        } else if sees(Key::Approval) || sees(Key::Number) {
            Self::Approval
        } else if sees(Key::ToOrganization) || shows_view("8") || shows_view("41") {
            Self::Federated
        } else if shows_view("23") {
            Self::Passkey
        } else if shows_view("18") || shows_view("55") || !settled {
            Self::Loading
        } else {
            Self::Unknown
        }
    }
}
