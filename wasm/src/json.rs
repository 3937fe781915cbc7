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
///
/// It is read in place, from a blank one: taking apart what was half made at each member that may be wrong is most of
/// what a reader would be otherwise.
pub trait Read {
    /// What it is before it has been read. Nobody sees it.
    fn blank() -> Self
    where
        Self: Sized;

    /// Takes a value over; `false` if it is not one, and then what is here means nothing.
    fn take(&mut self, value: &Value) -> bool;

    /// Whether it may be missing; most members must be there.
    fn take_nothing(&mut self) -> bool {
        false
    }

    /// The value, or nothing if it is not one.
    fn read(value: &Value) -> Option<Self>
    where
        Self: Sized,
    {
        let mut read = Self::blank();
        read.take(value).then_some(read)
    }
}

/// Reads a member of an object into its place.
#[inline(never)]
pub fn take(object: &Map<String, Value>, name: &str, place: &mut dyn Read) -> bool {
    match object.get(name) {
        Some(value) => place.take(value),
        None => place.take_nothing(),
    }
}

/// The same for one that may be missing.
#[inline(never)]
pub fn take_if_there(object: &Map<String, Value>, name: &str, place: &mut dyn Read) -> bool {
    object.get(name).is_none_or(|value| place.take(value))
}

/// A member of an object.
pub fn member<T: Read>(object: &Map<String, Value>, name: &str) -> Option<T> {
    let mut read = T::blank();
    take(object, name, &mut read).then_some(read)
}

/// A member of an object, or its default when it is missing.
pub fn member_or_default<T: Read + Default>(object: &Map<String, Value>, name: &str) -> Option<T> {
    let mut read = T::default();
    take_if_there(object, name, &mut read).then_some(read)
}

/// Has a reader of its own, which [`parsed`] makes a [`Read`] of.
pub trait Parse: Sized {
    /// The value, or nothing if it is not one.
    fn parse(value: &Value) -> Option<Self>;
}

/// Reads text.
#[must_use]
pub fn read_text<T: Read>(json: &str) -> Option<T> {
    T::read(&serde_json::from_str(json).ok()?)
}

/// The place of a name in a list.
#[must_use]
pub fn place_of(names: &[&str], value: &Value) -> Option<usize> {
    let name = value.as_str()?;
    names.iter().position(|known| *known == name)
}

/// Implements [`Read`] for a struct by the names of its fields. Fields after `;` may be missing, those after a second
/// `;` are not read.
macro_rules! fields {
    ($type:ty { $($field:ident),* $(; $($optional:ident),* $(; $($unread:ident),*)?)? }) => {
        impl $crate::json::Read for $type {
            fn blank() -> Self {
                Self {
                    $($field: $crate::json::Read::blank(),)*
                    $($($optional: Default::default(),)* $($($unread: Default::default(),)*)?)?
                }
            }

            fn take(&mut self, value: &serde_json::Value) -> bool {
                let Some(object) = value.as_object() else {
                    return false;
                };
                true $(&& $crate::json::take(object, stringify!($field), &mut self.$field))*
                $($(&& $crate::json::take_if_there(object, stringify!($optional), &mut self.$optional))*)?
            }
        }
    };
}

/// Implements [`Read`] for an enum without data by the names on the wire.
macro_rules! names {
    ($type:ty { $($name:literal = $variant:ident),* $(,)? }) => {
        impl $crate::json::Read for $type {
            fn blank() -> Self {
                [$(Self::$variant),*][0]
            }

            fn take(&mut self, value: &serde_json::Value) -> bool {
                const VARIANTS: &[$type] = &[$(<$type>::$variant),*];
                let place = $crate::json::place_of(&[$($name),*], value);
                place.and_then(|place| VARIANTS.get(place)).map(|variant| *self = *variant).is_some()
            }
        }
    };
}

/// Implements [`Read`] for what has a function of its own, `parse`.
macro_rules! parsed {
    ($type:ty, $blank:expr) => {
        impl $crate::json::Read for $type {
            fn blank() -> Self {
                $blank
            }

            fn take(&mut self, value: &serde_json::Value) -> bool {
                <Self as $crate::json::Parse>::parse(value).map(|parsed| *self = parsed).is_some()
            }
        }
    };
}

pub(crate) use {fields, names, parsed};

impl Read for String {
    fn blank() -> Self {
        Self::new()
    }

    fn take(&mut self, value: &Value) -> bool {
        value.as_str().map(|text| text.clone_into(self)).is_some()
    }
}

impl Read for bool {
    fn blank() -> Self {
        false
    }

    fn take(&mut self, value: &Value) -> bool {
        value.as_bool().map(|read| *self = read).is_some()
    }
}

impl Read for i64 {
    fn blank() -> Self {
        0
    }

    fn take(&mut self, value: &Value) -> bool {
        value.as_i64().map(|read| *self = read).is_some()
    }
}

impl Read for i32 {
    fn blank() -> Self {
        0
    }

    fn take(&mut self, value: &Value) -> bool {
        value.as_i64().and_then(|read| Self::try_from(read).ok()).map(|read| *self = read).is_some()
    }
}

impl Read for u32 {
    fn blank() -> Self {
        0
    }

    fn take(&mut self, value: &Value) -> bool {
        value.as_u64().and_then(|read| Self::try_from(read).ok()).map(|read| *self = read).is_some()
    }
}

impl Read for Uuid {
    fn blank() -> Self {
        Self::nil()
    }

    fn take(&mut self, value: &Value) -> bool {
        value.as_str().and_then(|text| Self::try_parse(text).ok()).map(|read| *self = read).is_some()
    }
}

impl<T: Read> Read for Option<T> {
    fn blank() -> Self {
        None
    }

    fn take(&mut self, value: &Value) -> bool {
        *self = None;
        value.is_null() || self.insert(T::blank()).take(value)
    }

    fn take_nothing(&mut self) -> bool {
        true
    }
}

impl<T: Read> Read for Vec<T> {
    fn blank() -> Self {
        Self::new()
    }

    fn take(&mut self, value: &Value) -> bool {
        let Some(values) = value.as_array() else {
            return false;
        };
        self.clear();
        values.iter().all(|value| {
            self.push(T::blank());
            self.last_mut().is_some_and(|last| last.take(value))
        })
    }
}

impl<T: Read, const LENGTH: usize> Read for [T; LENGTH] {
    fn blank() -> Self {
        std::array::from_fn(|_| T::blank())
    }

    fn take(&mut self, value: &Value) -> bool {
        let values = value.as_array().map_or(&[][..], Vec::as_slice);
        values.len() == LENGTH && self.iter_mut().zip(values).all(|(place, value)| place.take(value))
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
    fn blank() -> Self {
        Self::Internal
    }

    fn take(&mut self, value: &Value) -> bool {
        let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
        number.and_then(Self::from_number).map(|code| *self = code).is_some()
    }
}

impl Read for RequestId {
    fn blank() -> Self {
        Self(0)
    }

    fn take(&mut self, value: &Value) -> bool {
        self.0.take(value)
    }
}

fields!(ErrorBody { code, name, message, next_step, tenant, graph_request_id });
fields!(CredentialPlan { kind, because, otherwise; unavailable, passkey_kept });
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

parsed!(Reply, Self::Noted {});

impl Parse for Reply {
    fn parse(value: &Value) -> Option<Self> {
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

parsed!(HostFrame, Self::Error { id: None, error: ErrorBody::blank() });

impl Parse for HostFrame {
    fn parse(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        Some(match object.get("kind")?.as_str()? {
            "reply" => Self::Reply { id: member(object, "id")?, reply: member(object, "reply")? },
            "error" => Self::Error { id: member(object, "id")?, error: member(object, "error")? },
            "tenants" => Self::Tenants { id: member(object, "id")?, tenants: member(object, "tenants")? },
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
fields!(ProgressView {
    tenant_name,
    user_name,
    steps,
    credential,
    replaced,
    person,
    status,
    needs_person,
    lease_id,
    can_retry
});
fields!(ActiveView { lease_id, on_sign_in_page, page });

parsed!(PopupView, Self::Connecting {});

impl Parse for PopupView {
    fn parse(value: &Value) -> Option<Self> {
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
