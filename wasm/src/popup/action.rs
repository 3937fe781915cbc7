//! What the technician can do in the popup, as it travels from the popup to the brain.

use latchkey_protocol::Pin;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    json::{Parse, fields, member, member_or_default, names, parsed},
    words::Word,
};

/// What the technician did in the popup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Took a tenant from the list; the popup now asks to confirm.
    Choose {
        /// The tenant.
        tenant_id: Uuid,
    },
    /// Back to the list of tenants.
    List {},
    /// The click: activate the account, and sign in on the popup's tab if that shows a sign-in page.
    Start {
        /// The tenant.
        tenant_id: Uuid,
        /// How.
        #[serde(default)]
        wish: Wish,
    },
    /// The click, for a lease that is open: sign in with it on the popup's tab.
    SignIn {
        /// The tenant.
        tenant_id: Uuid,
    },
    /// The click, from anywhere: open a portal, activate the account unless it is active, and sign in in the tab that
    /// was opened, for a short time.
    OpenPortal {
        /// The tenant.
        tenant_id: Uuid,
        /// An address from the table of portals ([`latchkey_protocol::portal`]): the popup carries it, so that the
        /// worker need not.
        url: String,
        /// Where.
        place: Place,
        /// How, unless the account is active already.
        #[serde(default)]
        wish: Wish,
    },
    /// Let the lease last longer.
    Extend {
        /// The lease.
        lease_id: Uuid,
        /// Why, where the tenant asks for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// End the lease now.
    EndNow {
        /// The lease.
        lease_id: Uuid,
    },
    /// End every open lease now.
    EndAll {},
    /// Show the credential. Answered with `Effect::ShowSecret`.
    Reveal {
        /// The lease.
        lease_id: Uuid,
    },
    /// Stop the sign-in on this tab; the lease stays as it is.
    StopSignIn {},
    /// Typed the PIN, to show who is there.
    VerifyPerson {
        /// The PIN.
        pin: Pin,
    },
    /// Try again what failed: the host, the activation, or the sign-in.
    Retry {},
}

/// What the technician wants of a lease; the host decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// How long; the profile's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
    /// Which profile; the least powerful one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The number of the ticket it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// Where a portal opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the tab under the popup.
    ThisTab,
    /// In a tab of its own.
    #[default]
    NewTab,
    /// In a private window: its sessions mix with no other customer's in an ordinary one.
    PrivateWindow,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 3] = [Self::NewTab, Self::ThisTab, Self::PrivateWindow];

    /// The name on the wire, in the preferences and in the popup's page.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::ThisTab => "this_tab",
            Self::NewTab => "new_tab",
            Self::PrivateWindow => "private_window",
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn word(self) -> Word {
        match self {
            Self::NewTab => Word::PlaceNewTab,
            Self::ThisTab => Word::PlaceThisTab,
            Self::PrivateWindow => Word::PlacePrivateWindow,
        }
    }

    /// The place of a key.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.key() == key)
    }
}

names!(Place { "this_tab" = ThisTab, "new_tab" = NewTab, "private_window" = PrivateWindow });
fields!(Wish { minutes, profile, reason, ticket });

parsed!(Action, Self::Retry {});

impl Parse for Action {
    fn parse(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let tenant_id = || member(object, "tenant_id");
        let lease_id = || member(object, "lease_id");
        Some(match object.get("action")?.as_str()? {
            "choose" => Self::Choose { tenant_id: tenant_id()? },
            "list" => Self::List {},
            "start" => Self::Start { tenant_id: tenant_id()?, wish: member_or_default(object, "wish")? },
            "sign_in" => Self::SignIn { tenant_id: tenant_id()? },
            "open_portal" => Self::OpenPortal {
                tenant_id: tenant_id()?,
                url: member(object, "url")?,
                place: member(object, "place")?,
                wish: member_or_default(object, "wish")?,
            },
            "extend" => Self::Extend { lease_id: lease_id()?, reason: member(object, "reason")? },
            "end_now" => Self::EndNow { lease_id: lease_id()? },
            "end_all" => Self::EndAll {},
            "reveal" => Self::Reveal { lease_id: lease_id()? },
            "stop_sign_in" => Self::StopSignIn {},
            "verify_person" => Self::VerifyPerson { pin: Pin(member(object, "pin")?) },
            "retry" => Self::Retry {},
            _ => return None,
        })
    }
}
