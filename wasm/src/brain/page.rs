//! Which step of the sign-in a page shows, read from a snapshot.
//!
//! Nothing here grants trust: the page has passed the origin check before, and a wrong answer can at most make
//! Latchkey wait or speak. The signs stand in [`super::table`]; a page that bears none is [`View::Unknown`].

use super::{
    snapshot::{Ready, Snapshot},
    table::{Named, SIGNS, Sign},
};
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
                | Self::Passkey
        )
    }

    /// Whether the page is expected to become something else without anybody doing anything.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Loading | Self::Busy | Self::Sliding)
    }

    /// What the page of an address shows: the first of [`SIGNS`] that it bears.
    #[must_use]
    pub fn of(snapshot: &Snapshot, path: &str) -> Self {
        let sees = |key| snapshot.visible(key).is_some();
        let boxes = [Key::UserName, Key::Password, Key::AccessPass, Key::Code].iter().filter(|key| sees(**key)).count();
        let page_id = snapshot.page_id.as_deref();
        let named = match page_id {
            Some("ConvergedSignIn") => Named::SignIn,
            Some("ConvergedTFA") => Named::SecondFactor,
            Some("KmsiInterrupt") => Named::StaySignedIn,
            None => Named::Nothing,
            Some(_) => Named::Otherwise,
        };
        let bears = |sign| match sign {
            Sign::Sees(key) => sees(key),
            Sign::Asks(key) => sees(key) && boxes == 0,
            Sign::AsksBoth(first, second) => sees(first) && sees(second) && boxes == 0,
            Sign::Has(key) => snapshot.has(key),
            // Microsoft does not tell capital letters from small ones there.
            Sign::Path(end) => {
                let path = path.strip_suffix('/').unwrap_or(path);
                let start = path.len().saturating_sub(end.len());
                path.get(start..).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
            }
            Sign::PageId(id) => page_id == Some(id),
            Sign::ViewId(id) => snapshot.views.iter().any(|view| view == id),
            Sign::Twice => snapshot.views.len() > 1 || boxes > 1,
        };
        let known = SIGNS.iter().find(|known| known.on & named as u8 != 0 && bears(known.sign));
        match known {
            Some(known) => known.view,
            None if snapshot.ready == Ready::Complete || named == Named::Otherwise => Self::Unknown,
            None => Self::Loading,
        }
    }
}
