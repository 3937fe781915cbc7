//! The extension's logic: the sign-in [`brain`] (service worker) and the [`popup`]'s view and rendering.
//!
//! Sans-IO: what a browser does comes in as events, what a browser shall do goes out as effects. So every rule is
//! tested with plain `cargo test`. This crate never sees the engine, never keeps a secret, and decides trust by
//! origin alone.

#[cfg(feature = "brain")]
pub mod brain;
pub mod elements;
pub mod json;
pub mod popup;
pub mod preferences;
pub mod trouble;
pub mod words;
