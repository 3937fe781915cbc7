//! Every message that crosses a process boundary in Latchkey, and nothing else.
//!
//! The browser extension and the native host speak JSON objects in native messaging frames. The extension
//! sends a [`RequestFrame`]; the host answers each with exactly one reply and may push events while it works,
//! both as a [`HostFrame`]. The first request on a connection is always [`Request::Hello`].
//!
//! This crate has no input or output, no clock and no randomness. It must never carry a secret in any message
//! but [`Reply::Secret`] and [`Reply::Passkey`], which answer only a request that asked for them, and [`Pin`].
//!
//! `fixtures/` holds one golden JSON file per message; the Rust tests here and the extension's JavaScript tests
//! both read them. A change to a fixture is a change of the protocol: raise [`PROTOCOL_VERSION`].

pub mod cloud;
mod error;
mod finding;
mod message;
pub mod portal;
mod tenant;

pub use error::{ErrorBody, ErrorCode};
pub use finding::{Finding, FindingState};
pub use message::{
    Document, FillField, Hello, HostFrame, PasskeyResponse, PersonState, Pin, Progress, Reply, Request, RequestFrame,
    RequestId, Secret, Step, StepState, TenantHint, Welcome,
};
pub use tenant::{
    CredentialKind, CredentialPlan, CredentialUnavailable, LeaseState, LeaseSummary, Problem, ProfileSummary,
    TenantSummary,
};

/// The version of the messages in this crate. Both sides must speak the same one.
pub const PROTOCOL_VERSION: u32 = 1;

/// The name under which browsers know the host (native messaging manifest, `connectNative`).
pub const HOST_NAME: &str = "com.latchkey.host";

/// The largest message that either side may send, in bytes. Browsers allow a host 1 MiB; ours are far smaller.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
