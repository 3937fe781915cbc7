//! Reads JSON values into types by name, field by field.
//!
//! The types derive serde's `Deserialize` too, and tests hold the two against each other; but serde makes a copy of
//! its code for every type and every source, which in WASM is more than all of the brain. This is one small function
//! per type. It is strict about types and never repeats a value in an error: it has no errors, only `None`.

use latchkey_protocol::{
    CredentialKind, CredentialPlan, CredentialUnavailable, ErrorBody, ErrorCode, FillField, HostFrame, LeaseState,
    LeaseSummary, PasskeyResponse, PersonState, ProfileSummary, Progress, Reply, RequestId, Secret, Step, StepState,
    TenantSummary, Welcome, cloud::Cloud,
};
#[cfg(feature = "popup")]
use latchkey_protocol::{Finding, FindingState};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    popup::view::{ActiveView, Confirm, PopupView, ProgressView, StepProgress, StepRow},
    words::Text,
};

/// Can be read from a JSON value.
pub trait Read: Sized {
    /// The value, or nothing if it is not one.
    fn read(value: &Value) -> Option<Self>;

    /// What a missing member means; most members must be there.
    #[must_use]
    fn absent() -> Option<Self> {
        None
    }
}

/// A member of an object.
pub fn member<T: Read>(object: &Map<String, Value>, name: &str) -> Option<T> {
    match object.get(name) {
        Some(value) => T::read(value),
        None => T::absent(),
    }
}

/// A member of an object, or its default when it is missing.
pub fn member_or_default<T: Read + Default>(object: &Map<String, Value>, name: &str) -> Option<T> {
    object.get(name).map_or_else(|| Some(T::default()), T::read)
}

/// Reads text.
#[must_use]
pub fn read_text<T: Read>(json: &str) -> Option<T> {
    T::read(&serde_json::from_str(json).ok()?)
}

/// Implements [`Read`] for a struct by the names of its fields. Fields after `;` may be missing.
macro_rules! fields {
    ($type:ty { $($field:ident),* $(; $($optional:ident),*)? }) => {
        impl $crate::json::Read for $type {
            fn read(value: &serde_json::Value) -> Option<Self> {
                let object = value.as_object()?;
                Some(Self {
                    $($field: $crate::json::member(object, stringify!($field))?,)*
                    $($($optional: $crate::json::member_or_default(object, stringify!($optional))?,)*)?
                })
            }
        }
    };
}

/// Implements [`Read`] for an enum without data by the names on the wire.
macro_rules! names {
    ($type:ty { $($name:literal = $variant:ident),* $(,)? }) => {
        impl $crate::json::Read for $type {
            fn read(value: &serde_json::Value) -> Option<Self> {
                match value.as_str()? {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use {fields, names};

impl Read for String {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Read for bool {
    fn read(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Read for i64 {
    fn read(value: &Value) -> Option<Self> {
        value.as_i64()
    }
}

impl Read for i32 {
    fn read(value: &Value) -> Option<Self> {
        Self::try_from(value.as_i64()?).ok()
    }
}

impl Read for u32 {
    fn read(value: &Value) -> Option<Self> {
        Self::try_from(value.as_u64()?).ok()
    }
}

impl Read for Uuid {
    fn read(value: &Value) -> Option<Self> {
        Self::try_parse(value.as_str()?).ok()
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: &Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::read(value).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::read).collect()
    }
}

impl<T: Read, const LENGTH: usize> Read for [T; LENGTH] {
    fn read(value: &Value) -> Option<Self> {
        Vec::read(value)?.try_into().ok()
    }
}

// The protocol's messages, as far as the brain reads them.

names!(CredentialKind {
    "passkey" = Passkey, "temporary_access_pass" = TemporaryAccessPass, "password_totp" = PasswordTotp,
    "password" = Password,
});
names!(Cloud {
    "global" = Global, "us_government" = UsGovernment, "us_government_dod" = UsGovernmentDod, "china" = China,
});
names!(LeaseState {
    "requested" = Requested, "activating" = Activating, "active" = Active, "usable" = Usable, "ending" = Ending,
    "ended" = Ended, "failed" = Failed, "stuck" = Stuck, "externally_modified" = ExternallyModified,
});
names!(Step {
    "token" = Token, "create_account" = CreateAccount, "set_password" = SetPassword, "enable" = Enable,
    "issue_pass" = IssuePass, "add_groups" = AddGroups, "assign_roles" = AssignRoles, "remove_roles" = RemoveRoles,
    "remove_groups" = RemoveGroups, "disable" = Disable, "revoke_sessions" = RevokeSessions, "delete_pass" = DeletePass,
    "read_back" = ReadBack, "register_passkey" = RegisterPasskey, "delete_passkey" = DeletePasskey,
    "add_oath_token" = AddOathToken, "delete_oath_token" = DeleteOathToken,
});
names!(FillField { "password" = Password, "access_pass" = AccessPass, "one_time_code" = OneTimeCode });
names!(StepState { "started" = Started, "done" = Done, "retrying" = Retrying });

impl Read for ErrorCode {
    fn read(value: &Value) -> Option<Self> {
        Self::from_number(u16::try_from(value.as_u64()?).ok()?)
    }
}

impl Read for RequestId {
    fn read(value: &Value) -> Option<Self> {
        u32::read(value).map(Self)
    }
}

fields!(ErrorBody { code, name, message, next_step, tenant, graph_request_id });
fields!(CredentialPlan { kind, because, otherwise; unavailable });
fields!(CredentialUnavailable { kind, because, remedy });
fields!(LeaseSummary {
    lease_id, tenant_id, tenant_name, user_name, roles, state, credential, from, until, problem, profile, technician,
    ticket, credential_until; credential_held
});
fields!(TenantSummary {
    tenant_id,
    name,
    domains,
    cloud,
    user_name,
    roles,
    minutes,
    maximum_minutes,
    credential,
    credential_expires,
    lease,
    last_used,
    ticket_pattern; profiles, reason_required
});
fields!(ProfileSummary { name, roles, minutes, maximum_minutes; groups });
fields!(Progress { step, state });
fields!(Welcome { protocol, host_version });
fields!(Secret { lease_id, credential, user_name, value });
fields!(PasskeyResponse { lease_id, response });
fields!(PersonState { verified, until, tries_left, wait_until; pin_set, wrong });

#[cfg(feature = "popup")]
names!(FindingState { "good" = Good, "warning" = Warning, "broken" = Broken });
#[cfg(feature = "popup")]
fields!(Finding { link, state, found; next_step });

impl Read for Reply {
    fn read(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        Some(match object.get("reply")?.as_str()? {
            "welcome" => Self::Welcome(Read::read(value)?),
            "tenants" => {
                Self::Tenants { tenants: member(object, "tenants")?, recognized: member(object, "recognized")? }
            }
            "lease" => Self::Lease { lease: member(object, "lease")? },
            "leases" => Self::Leases { leases: member(object, "leases")? },
            // Only the options page asks for it.
            #[cfg(feature = "popup")]
            "findings" => Self::Findings { findings: member(object, "findings")? },
            "secret" => Self::Secret(Read::read(value)?),
            "passkey" => Self::Passkey(PasskeyResponse::read(value)?),
            "person" => Self::Person(PersonState::read(value)?),
            "noted" => Self::Noted {},
            _ => return None,
        })
    }
}

impl Read for HostFrame {
    fn read(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        Some(match object.get("kind")?.as_str()? {
            "reply" => Self::Reply { id: member(object, "id")?, reply: member(object, "reply")? },
            "error" => Self::Error { id: member(object, "id")?, error: member(object, "error")? },
            "progress" => Self::Progress { id: member(object, "id")?, progress: member(object, "progress")? },
            "lease_changed" => Self::LeaseChanged { lease: member(object, "lease")? },
            _ => return None,
        })
    }
}

// The popup's views.

fields!(Text { key; args });
names!(StepProgress {
    "waiting" = Waiting, "running" = Running, "done" = Done, "retrying" = Retrying, "failed" = Failed, "skipped" = Skipped,
});
fields!(StepRow { label, state });
fields!(Confirm { tenant_id, on_sign_in_page, page, problem });
fields!(ProgressView { tenant_name, user_name, steps, status, needs_person, lease_id, can_retry });
fields!(ActiveView { lease_id, on_sign_in_page, page });

impl Read for PopupView {
    fn read(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        Some(match object.get("screen")?.as_str()? {
            "connecting" => Self::Connecting {},
            "host_missing" => Self::HostMissing {
                title: member(object, "title")?,
                advice: member(object, "advice")?,
                detail: member(object, "detail")?,
            },
            "choose_tenant" => Self::ChooseTenant { on_sign_in_page: member(object, "on_sign_in_page")? },
            "confirm" => Self::Confirm(Read::read(value)?),
            "progress" => Self::Progress(Read::read(value)?),
            "active" => Self::Active(Read::read(value)?),
            "ending" => Self::Ending { lease_id: member(object, "lease_id")? },
            "problem" => Self::Problem { problem: member(object, "problem")? },
            _ => return None,
        })
    }
}
