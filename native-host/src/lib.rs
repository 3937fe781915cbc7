//! `latchkey`: the native messaging host that a browser starts, and the command line that a person uses.
//!
//! Which of the two it is follows from the arguments alone. The host's way to its first reply is kept short: nothing
//! of the command line runs before it.
//!
//! A library, because Safari starts no program: its extension links the same core and hands it one message at a time
//! ([`one_message`]).

// Errors here end a command or answer a request; none is on a path where 128 bytes matter.
#![allow(clippy::result_large_err)]

mod caller;
mod cli;
mod commands;
mod configuration;
mod connection;
mod directory;
mod failure;
mod frame;
#[cfg(test)]
mod guides;
mod host;
mod install;
mod key_store;
mod long_list;
mod machine;
pub mod one_message;
mod output;
mod request;
mod session;
mod settings;
mod sign_in;
mod tenant_list;
mod unknown_pages;
mod verification;
mod webhook;
mod when;

use std::ffi::OsString;
use std::process::ExitCode;

/// What the program does: serves a browser, or a person. First thing in the process.
#[must_use]
pub fn run() -> ExitCode {
    machine::protect_memory();
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match caller::started_by(&arguments) {
        caller::StartedBy::Browser(claim) => host::serve(&claim),
        caller::StartedBy::Person => commands::run(),
    }
}
