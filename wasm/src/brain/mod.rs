//! The sign-in brain: events go in, effects come out, and nothing in between touches a browser.
//!
//! It decides everything about sign-in pages. It has no clock (events carry the time), no randomness and no input or
//! output. It never keeps a secret: one that the host sends leaves in the same call, inside one effect.
//!
//! [`table`] lists every page and what is done on it; [`page`] reads which one is shown, [`decide`] which line of the
//! table counts, [`flow`] remembers what was done, [`machine`] ties them to tabs, host and technician, and `present`
//! makes icon, badge and popup of it.

pub mod address;
mod boundary;
pub mod decide;
pub mod effect;
pub mod event;
mod few;
pub mod flow;
pub mod machine;
pub mod page;
mod preferred;
mod present;
pub mod snapshot;
pub mod table;
mod unprinted;

pub use boundary::{BrainHandle, element_table_json};
pub use effect::{Effect, Icon, Tone};
pub use event::{Action, Event, EventFrame, Outcome, PageSeen};
pub use machine::Brain;
pub use snapshot::{Element, Ready, Snapshot};
pub use unprinted::Unprinted;
