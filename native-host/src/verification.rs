//! Finding out who is at this machine: what the operating system and the terminal have to do with it.
//!
//! Whether it is remembered, and for how long, is the engine's to decide; here the operating system is asked to verify
//! the person where it can (polkit on Linux), and the engine is told to forget whenever the screen is locked. Where
//! neither is there, the PIN is.

#[cfg(target_os = "linux")]
mod polkit;
#[cfg(target_os = "linux")]
mod screen;

use latchkey_engine::{Caller, Engine};
use latchkey_protocol::{ErrorBody, PersonState, Pin};
use secrecy::SecretString;

use crate::failure;
use crate::output::{Mark, Output};

/// Has the operating system verify the person; `false` also where it cannot.
#[cfg(target_os = "linux")]
async fn ask_system() -> bool {
    polkit::verify().await
}

#[cfg(not(target_os = "linux"))]
#[allow(clippy::unused_async, reason = "asking takes time where it can be done")]
async fn ask_system() -> bool {
    false
}

/// Tells the engine to forget the person whenever the screen is locked, for as long as the process lives.
pub(crate) fn watch_screen(engine: &Engine) {
    #[cfg(target_os = "linux")]
    screen::watch(engine);
    let _ = engine;
}

/// Verifies the person: by the PIN when one was typed, else by the operating system. Who was verified already is not
/// asked again.
pub(crate) async fn verify(engine: &Engine, pin: Option<Pin>, caller: &Caller) -> Result<PersonState, ErrorBody> {
    if let Some(Pin(pin)) = pin {
        return Ok(engine.verify_pin(&SecretString::from(pin), caller).await?);
    }
    let known = engine.person().await?;
    if known.verified {
        return Ok(known);
    }
    if ask_system().await {
        engine.person_was_verified("polkit", caller).await?;
        return Ok(engine.person().await?);
    }
    Ok(known)
}

/// The same on a terminal: whoever cannot be asked is not verified.
pub(crate) async fn on_terminal(engine: &Engine, caller: &Caller, output: Output) -> Result<bool, ErrorBody> {
    let mut person = verify(engine, None, caller).await?;
    while !person.verified && person.pin_set && output.can_ask() {
        if person.wait_until.is_some() {
            return Ok(false);
        }
        let pin = ask(output, "PIN (not shown)")?;
        person = engine.verify_pin(&pin, caller).await?;
        if person.wrong {
            output.marked(Mark::Bad, "This is not the PIN.");
        }
    }
    Ok(person.verified)
}

/// Asks for a PIN without echo.
pub(crate) fn ask(output: Output, question: &str) -> Result<SecretString, ErrorBody> {
    let typed = output
        .ask_hidden(question)
        .map_err(|error| failure::usage(format!("No answer: {error}."), "Run this in a terminal."))?;
    Ok(SecretString::from(typed.as_str()))
}
