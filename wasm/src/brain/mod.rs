//! The sign-in brain: events go in, effects come out, and nothing in between touches a browser.
//!
//! It decides everything about sign-in pages. It has no clock (events carry the time), no randomness and no input or output.
//! It never keeps a secret: one that the host sends leaves in the same call, inside one effect.

pub mod effect;
pub mod event;
pub mod snapshot;

pub use effect::{Effect, Icon, Tone};
pub use event::{Action, Event, EventFrame, Outcome, PageSeen};
pub use snapshot::{Element, Ready, Snapshot};

mod boundary;
mod unprinted;

pub use boundary::BrainHandle;
pub use unprinted::Unprinted;
