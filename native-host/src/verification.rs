//! Finding out who is at this machine: what the operating system and the terminal have to do with it.
//!
//! Whether it is remembered, and for how long, is the engine's to decide; here the operating system is asked to verify
//! the person where it can (polkit, Touch ID or the Mac's password, Windows Hello), and the engine is told to forget
//! whenever the screen is locked (where it is told of that: Linux). Each system's module only asks; what an answer means
//! is one table ([`answer`]), and what follows from it is here. Where the system can ask nobody, the PIN is.

mod answer;
#[cfg(target_os = "linux")]
mod screen;
#[cfg(target_os = "macos")]
#[path = "verification/macos.rs"]
mod system;
#[cfg(target_os = "linux")]
#[path = "verification/polkit.rs"]
mod system;
#[cfg(windows)]
#[path = "verification/windows.rs"]
mod system;

use std::time::Duration;

use latchkey_engine::{Caller, Engine};
use latchkey_protocol::{ErrorBody, ErrorCode, PersonState, Pin};
use secrecy::SecretString;
use uuid::Uuid;

use self::answer::Answer;
pub(crate) use self::answer::{Lack, Occasion};
use crate::failure;
use crate::output::{Mark, Output};

/// So long the operating system's window may stand open. Less than a request of the browser may take.
const PERSON_TAKES: Duration = Duration::from_secs(110);

/// Tells the engine to forget the person whenever the screen is locked, for as long as the process lives.
pub(crate) fn watch_screen(engine: &Engine) {
    #[cfg(target_os = "linux")]
    screen::watch(engine);
    let _ = engine;
}

/// By what the operating system would verify the person; nobody is asked.
///
/// # Errors
/// Why it cannot, and the PIN is needed.
pub(crate) async fn available() -> Result<&'static str, Lack> {
    system::available().await
}

/// Verifies the person: by the PIN when one was typed, else by the operating system. Who was verified already is not
/// asked again. Where the system can ask nobody the answer says whether there is a PIN to ask for.
///
/// # Errors
/// `VerificationNeeded` when the person was asked and not verified; what the engine says otherwise.
pub(crate) async fn verify(
    engine: &Engine,
    pin: Option<Pin>,
    occasion: impl AsyncFnOnce() -> Occasion,
    caller: &Caller,
) -> Result<PersonState, ErrorBody> {
    if let Some(Pin(pin)) = pin {
        return Ok(engine.verify_pin(&SecretString::from(pin), caller).await?);
    }
    // Before anything is waited for: a click that waits for the person may be on its way already.
    engine.person_is_asked();
    let known = engine.person().await.inspect_err(|_| engine.person_is_not_asked_any_more(false))?;
    if known.verified {
        engine.person_is_not_asked_any_more(false);
        return Ok(known);
    }
    match system::ask(&occasion().await, PERSON_TAKES).await {
        Answer::Verified => {
            engine.person_was_verified(system::NAME, caller).await?;
            Ok(engine.person().await?)
        }
        Answer::Refused(refusal) => {
            engine.person_is_not_asked_any_more(true);
            tracing::info!(?refusal, "the operating system has not verified the person");
            Err(refusal.to_error())
        }
        Answer::Unavailable(lack) => {
            engine.person_is_not_asked_any_more(false);
            tracing::info!(%lack, "the operating system verifies nobody here");
            Ok(known)
        }
    }
}

/// What the technician of this machine is verified for when a browser asks, which may say for which tenant.
pub(crate) async fn sign_in(engine: &Engine, tenant_id: Option<Uuid>) -> Occasion {
    let Some(tenant_id) = tenant_id else { return Occasion::Unsaid };
    let tenants = engine.tenants().await.unwrap_or_default();
    tenants
        .into_iter()
        .find(|tenant| tenant.tenant_id == tenant_id)
        .map_or(Occasion::Unsaid, |tenant| Occasion::SignIn { tenant: tenant.name, user_name: tenant.user_name })
}

/// The same on a terminal, before passkeys are made: whoever cannot be asked, or says no, is not verified.
pub(crate) async fn on_terminal(engine: &Engine, caller: &Caller, output: Output) -> Result<bool, ErrorBody> {
    let mut person = match verify(engine, None, async || Occasion::Prepare, caller).await {
        Ok(person) => person,
        Err(error) if error.code == ErrorCode::VerificationNeeded => {
            output.marked(Mark::Bad, error.message);
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
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
