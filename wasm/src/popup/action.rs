//! What the technician can do in the popup, as it travels from the popup to the brain.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::json::{Read, member};

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
        /// How long; the tenant's default when absent.
        #[serde(default)]
        minutes: Option<u32>,
    },
    /// The click, for a lease that is open: sign in with it on the popup's tab.
    SignIn {
        /// The tenant.
        tenant_id: Uuid,
    },
    /// End the lease now.
    EndNow {
        /// The lease.
        lease_id: Uuid,
    },
    /// Show the credential. Answered with `Effect::ShowSecret`.
    Reveal {
        /// The lease.
        lease_id: Uuid,
    },
    /// Stop the sign-in on this tab; the lease stays as it is.
    StopSignIn {},
    /// Open a portal of the tenant's cloud in a new tab, for the lease's account.
    OpenPortal {
        /// The tenant.
        tenant_id: Uuid,
        /// Place in the list that the view showed.
        portal: u32,
    },
    /// Try again what failed: the host, the activation, or the sign-in.
    Retry {},
}

impl Read for Action {
    fn read(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        Some(match object.get("action")?.as_str()? {
            "choose" => Self::Choose { tenant_id: member(object, "tenant_id")? },
            "list" => Self::List {},
            "start" => Self::Start { tenant_id: member(object, "tenant_id")?, minutes: member(object, "minutes")? },
            "sign_in" => Self::SignIn { tenant_id: member(object, "tenant_id")? },
            "end_now" => Self::EndNow { lease_id: member(object, "lease_id")? },
            "reveal" => Self::Reveal { lease_id: member(object, "lease_id")? },
            "stop_sign_in" => Self::StopSignIn {},
            "open_portal" => {
                Self::OpenPortal { tenant_id: member(object, "tenant_id")?, portal: member(object, "portal")? }
            }
            "retry" => Self::Retry {},
            _ => return None,
        })
    }
}
