//! Whether an account can sign in with a password and a one-time code. Pure.
//!
//! Facts: Microsoft Graph (beta), hardwareOathAuthenticationMethodConfiguration: off until somebody switches it on;
//! tokens need Entra ID P1 and exist in the global cloud only.

use serde::{Deserialize, Serialize};

/// The tenant's policy on hardware OATH tokens, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OathPolicy {
    state: String,
}

impl OathPolicy {
    pub(super) fn is_on(&self) -> bool {
        self.state == "enabled"
    }
}

/// The permission to add tokens to a tenant.
pub(super) const TOKENS_OF_TENANT: &str = "Policy.ReadWrite.AuthenticationMethod";
/// The permission to give them to accounts.
pub(super) const TOKENS_OF_ACCOUNTS: &str = "UserAuthMethod-HardwareOATH.ReadWrite.All";

/// What is in the way of a one-time code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OathObstacle {
    /// It is not switched on in the configuration: then nobody hears of it.
    NotChosen,
    Cloud,
    Permission(&'static str),
    SwitchedOff,
    Passwords,
    RefusedLately,
    NotMade,
    NotArrived,
}

impl OathObstacle {
    /// Why there is no code, as one sentence.
    pub(crate) fn because(self) -> String {
        match self {
            Self::NotChosen => "One-time codes are not switched on in the configuration.".to_owned(),
            Self::Cloud => "This cloud has no OATH tokens that an application can add.".to_owned(),
            Self::Permission(missing) => format!("The application lacks the permission {missing}."),
            Self::SwitchedOff => {
                "Hardware OATH tokens are switched off in the tenant's authentication methods.".to_owned()
            }
            Self::Passwords => "The application may not replace the account's password.".to_owned(),
            Self::RefusedLately => "Microsoft refused the one-time code a short while ago.".to_owned(),
            Self::NotMade => "This machine holds no OATH token for the account.".to_owned(),
            Self::NotArrived => "The OATH token was made just now and has not arrived everywhere.".to_owned(),
        }
    }

    /// What would have to be done, as one sentence.
    pub(crate) fn remedy(self) -> String {
        match self {
            Self::NotChosen => "Set `one_time_codes_beta = true` there.".to_owned(),
            Self::Cloud => "Nothing can be done about it.".to_owned(),
            Self::Permission(missing) => {
                format!("Grant the application {missing} (an administrator's consent is needed).")
            }
            Self::SwitchedOff => {
                "In the Entra admin center, under Authentication methods, Hardware OATH tokens, switch \
                the method on for all users."
                    .to_owned()
            }
            Self::Passwords => "Grant the application User-PasswordProfile.ReadWrite.All.".to_owned(),
            Self::RefusedLately => {
                "It is tried again after an hour; if it stays so, look whether the tenant has Entra ID P1.".to_owned()
            }
            Self::NotMade => "Run `latchkey prepare`.".to_owned(),
            Self::NotArrived => "Wait half a minute.".to_owned(),
        }
    }
}
