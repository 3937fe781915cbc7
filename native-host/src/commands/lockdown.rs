//! `latchkey lockdown`: the kill switch, and what every list says while it is thrown.

use std::process::ExitCode;

use latchkey_engine::{Engine, Lockdown};
use latchkey_protocol::ErrorBody;
use serde_json::json;

use super::{CALLER, lease, moment};
use crate::cli::LockDown;
use crate::output::{Mark, Output};

pub(super) async fn run(engine: &Engine, lock_down: &LockDown, output: Output) -> Result<ExitCode, ErrorBody> {
    let reason = lock_down.reason.as_deref().unwrap_or_default();
    if lock_down.lift {
        let lifted = engine.lift_lockdown(reason, &CALLER).await?;
        output.document(&json!({"lifted": lifted}));
        output.marked(
            Mark::Good,
            if lifted { "The lockdown is lifted. Leases can be started again." } else { "No lockdown was in force." },
        );
        return Ok(ExitCode::SUCCESS);
    }
    // Committed before anything else: whatever happens to the ends below, nothing new begins.
    engine.lock_down(reason, &CALLER).await?;
    banner(engine, output).await?;
    lease::end_all(engine, output).await
}

/// Says so while everything is locked down.
async fn banner(engine: &Engine, output: Output) -> Result<(), ErrorBody> {
    if let Some(lockdown) = engine.lockdown().await? {
        show(&lockdown, output);
    }
    Ok(())
}

pub(super) fn show(lockdown: &Lockdown, output: Output) {
    let reason = if lockdown.reason.is_empty() { String::new() } else { format!(": {}", lockdown.reason) };
    output.marked(
        Mark::Bad,
        format_args!("LOCKED DOWN since {} by {}{reason}", moment(lockdown.since), lockdown.technician),
    );
    output.line("    Nobody gets access until 'latchkey lockdown --lift --reason …'.");
}
