//! The closed set of elements that Latchkey knows on a sign-in page, each with its selector: the only place that
//! names one.
//!
//! `extension/content.js` carries the same table as data (a plain object literal from key to selector, see
//! [`ElementKey::table`]); a test compares the two. A selector only decides *which step* a page shows. Whether the
//! page may be trusted is decided by its origin, elsewhere. Facts: the public descriptions of Entra's sign-in page.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::json::Read;

macro_rules! elements {
    ($($(#[doc = $doc:literal])+ $variant:ident = $key:literal, $selector:literal;)+) => {
        /// A known element of the sign-in page.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ElementKey {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ElementKey {
            /// Every element with its key on the wire and its CSS selector, in the order of the table.
            #[must_use]
            pub const fn table() -> &'static [(Self, &'static str, &'static str)] {
                &[$((Self::$variant, $key, $selector),)+]
            }
        }
    };
}

elements! {
    /// The box for the user name. The same name is a decoy on the password view.
    UserName = "user_name", "#i0116,[name=loginfmt]";
    /// The box for the password. The same id and name is a decoy on the user-name view.
    Password = "password", "#i0118,[name=passwd]";
    /// The box for a Temporary Access Pass. Its type may flip between password and text.
    AccessPass = "access_pass", "[name=accesspass]";
    /// Every box that hides what is typed: a secret is filled only where there is no other one.
    Masked = "masked", "[type=password]";
    /// The box for a code of a second factor.
    Code = "code", "#idTxtBx_SAOTCC_OTC";
    /// The code of a token of the account's own: its place in a list of second factors, or what the page that asks for it
    /// posts. A code that Microsoft sent to a phone goes into the same box.
    OwnCode = "own_code", "[data-value=PhoneAppOTP],[value=PhoneAppOTP]";
    /// The box of the device-code page: never filled.
    DeviceCode = "device_code", "#otc";
    /// Next, Sign in, Yes, Accept: one button for many steps. Verify, below a code, has its own.
    Primary = "primary", "#idSIButton9,#idSubmit_SAOTCC_Continue";
    /// Back arrow, No, Cancel: one button for many steps.
    Back = "back", "#idBtn_Back";
    /// The account's name in the banner.
    Identity = "identity", "#displayName";
    /// The account picker.
    Tiles = "tiles", "#tilesHolder";
    /// 'Use another account' in the picker.
    OtherTile = "other_tile", "#otherTile";
    /// 'Work or school account'.
    WorkTile = "work_tile", "#aadTile";
    /// 'Personal account': never clicked.
    PersonalTile = "personal_tile", "#msaTile";
    /// The question 'Stay signed in?'.
    StaySignedInText = "stay_text", "#KmsiDescription";
    /// Its check box.
    StaySignedInBox = "stay_box", "#KmsiCheckboxField";
    /// 'Use your password instead', or the password in a list of credentials.
    ToPassword = "to_password", "#idA_PWD_SwitchToPassword,[data-value=Password]";
    /// 'Use a Temporary Access Pass'.
    ToAccessPass = "to_access_pass", "#accessPassLink";
    /// 'Use your face, fingerprint, PIN or security key instead'.
    ToPasskey = "to_passkey", "#idA_PWD_SwitchToFido";
    /// 'Sign-in options', opens the list of credentials.
    ToCredentials = "to_credentials", "#idA_PWD_SwitchToCredPicker";
    /// 'Sign in another way' on the second-factor page.
    AnotherWay = "another_way", "#signInAnotherWay";
    /// The list of credentials.
    Credentials = "credentials", "#credentialList";
    /// Temporary Access Pass in a list of credentials or of second factors.
    AccessPassTile = "access_pass_tile", "[data-value=AccessPass]";
    /// Passkey in a list of credentials or of second factors.
    PasskeyTile = "passkey_tile", "[data-value=FidoKey]";
    /// The list of second factors.
    Methods = "methods", "#idDiv_SAOTCS_Proofs";
    /// 'Approve the request' on a phone.
    Approval = "approval", "[id^=idDiv_SAOTCAS],#idDiv_RemoteNGC_PollingDescription";
    /// The number to type into the phone.
    Number = "number", "#idRichContext_DisplaySign,#idRemoteNGC_DisplaySign";
    /// An approval that was denied or ran out.
    ApprovalOver = "approval_over", "#idDiv_SAASDS_Description,#idDiv_SAASTO_Description";
    /// 'More information required'.
    ProofUp = "proof_up", "#idSubmit_ProofUp_Redirect";
    /// The boxes of 'Update your password': never filled.
    ChangePassword = "change_password", "#newPassword,#currentPassword,[name=newpasswd],[name=currentpasswd]";
    /// 'Accept' of a consent page, where it has its own id.
    Accept = "accept", "#idBtn_Accept";
    /// The text of an error page.
    ServiceError = "service_error", "#service_exception_message";
    /// An error under the user name.
    UserNameError = "user_name_error", "#usernameError";
    /// An error under the password, the pass or the code.
    PasswordError = "password_error", "#passwordError,#idSpan_SAOTCC_Error_OTC";
    /// 'Taking you to your organization's sign-in page'.
    ToOrganization = "to_organization", "#redirectToIdpLink";
    /// A form that submits itself ('Working…').
    SelfSubmitting = "self_submitting", "[name=hiddenform]";
    /// The cover that lies over a view while the page works.
    Busy = "busy", ".disable-lightbox";
}

impl ElementKey {
    /// The key on the wire.
    #[must_use]
    pub fn key(self) -> &'static str {
        Self::table().iter().find(|(element, ..)| *element == self).map_or("", |(_, key, _)| key)
    }

    fn of_key(key: &str) -> Option<Self> {
        Self::table().iter().find(|(_, known, _)| *known == key).map(|(element, ..)| *element)
    }
}

impl Serialize for ElementKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}

impl<'de> Deserialize<'de> for ElementKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        Self::of_key(&key).ok_or_else(|| serde::de::Error::custom("this is not a known element"))
    }
}

impl Read for ElementKey {
    fn blank() -> Self {
        Self::UserName
    }

    fn take(&mut self, value: &Value) -> bool {
        value.as_str().and_then(Self::of_key).map(|key| *self = key).is_some()
    }
}
