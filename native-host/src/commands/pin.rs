//! `latchkey pin`: what shows that it is you where the operating system cannot tell.

use latchkey_engine::Engine;
use latchkey_protocol::ErrorBody;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{CALLER, moment};
use crate::cli::PinCommand;
use crate::failure;
use crate::output::{Mark, Output};
use crate::verification;

pub(super) async fn run(engine: &Engine, command: &PinCommand, output: Output) -> Result<(), ErrorBody> {
    let before = engine.person().await?;
    match command {
        PinCommand::Show => {
            output.document(&before);
            match (before.pin_set, before.wait_until) {
                (false, _) => output.line("No PIN is set. Set one with: latchkey pin set"),
                (true, None) => output.line("A PIN is set."),
                (true, Some(until)) => {
                    output.line(format_args!(
                        "A PIN is set, and was wrong too often: none is looked at before {}.",
                        moment(until)
                    ));
                }
            }
            return Ok(());
        }
        PinCommand::Set if before.pin_set => {
            return Err(failure::usage("A PIN is set already.", "Replace it with 'latchkey pin change'."));
        }
        PinCommand::Set => engine.set_pin(None, &new_pin(output)?, &CALLER).await?,
        PinCommand::Change => {
            let old = verification::ask(output, "PIN until now (not shown)")?;
            engine.set_pin(Some(&old), &new_pin(output)?, &CALLER).await?;
        }
        PinCommand::Remove => {
            let old = verification::ask(output, "PIN until now (not shown)")?;
            engine.remove_pin(&old, &CALLER).await?;
        }
    }
    let is_set = !matches!(command, PinCommand::Remove);
    output.document(&json!({ "pin_set": is_set }));
    let told = if is_set { "The PIN is set." } else { "The PIN is removed." };
    output.marked(Mark::Good, told);
    if is_set {
        output.line("    Passkeys are made for your accounts by: latchkey prepare");
    }
    Ok(())
}

/// Asked twice, because nobody sees what is typed.
fn new_pin(output: Output) -> Result<SecretString, ErrorBody> {
    let (least, most) = (latchkey_engine::PIN_CHARACTERS.start(), latchkey_engine::PIN_CHARACTERS.end());
    let first = verification::ask(output, &format!("New PIN, {least} to {most} characters (not shown)"))?;
    let second = verification::ask(output, "The same again")?;
    if first.expose_secret() != second.expose_secret() {
        return Err(failure::usage("The two are not the same.", "Try again; nothing was changed."));
    }
    Ok(first)
}
