//! `latchkey sign-in`, `sign-out` and `whoami`: the technician at her own company.

use std::process::ExitCode;

use latchkey_protocol::ErrorBody;
use serde_json::json;

use super::{lease, moment};
use crate::cli::SignIn;
use crate::directory::{self, Standing};
use crate::key_store::Prompting;
use crate::machine;
use crate::output::{Mark, Output};
use crate::sign_in::Way;

pub(super) async fn sign_in(said: &SignIn, output: Output) -> Result<(), ErrorBody> {
    let way = match (said.device_code, said.no_browser) {
        (true, _) => Way::DeviceCode,
        (false, true) => Way::Address,
        (false, false) => Way::Browser,
    };
    let answer = directory::sign_in(&machine::settings()?, way, output).await?;
    output.document(&answer);
    output.marked(Mark::Good, format_args!("{} ({}) is signed in", answer.display_name, answer.user_name));
    output.line(format_args!("    Groups: {}", listed(&answer.groups)));
    Ok(())
}

/// Ends every lease first: without a technician nobody would notice that she may not have them any more.
pub(super) async fn sign_out(output: Output) -> Result<ExitCode, ErrorBody> {
    let engine = super::engine_to_end(output).await?;
    let ended = super::and_tell(&engine, lease::end_all(&engine, output)).await?;
    directory::sign_out().await?;
    output.marked(Mark::Good, "Nobody is signed in.");
    Ok(ended)
}

pub(super) async fn whoami(output: Output) -> Result<(), ErrorBody> {
    let settings = machine::settings()?;
    let technician = machine::acting(&settings)?;
    let standing = directory::standing(&settings, Prompting::Allowed, false).await;
    let (state, problem) = match &standing {
        None => ("configured", None),
        Some(Standing::Welcome(_)) => ("welcome", None),
        Some(Standing::Held(_, error)) => ("held", Some(error)),
        Some(Standing::Unknown(error)) => ("unknown", Some(error)),
        Some(Standing::Refused(error)) => ("refused", Some(error)),
    };
    let (name, groups, asked_at) = match &standing {
        Some(Standing::Welcome(answer) | Standing::Held(answer, _)) => {
            (&answer.user_name, &answer.groups, Some(answer.asked_at))
        }
        _ => (&technician.name, &technician.groups, None),
    };
    output.document(&json!({
        "technician": name, "groups": groups, "asked_at": asked_at, "standing": state, "problem": problem,
    }));
    match &standing {
        Some(Standing::Refused(error) | Standing::Unknown(error)) => output.problem(Mark::Bad, error),
        Some(Standing::Held(_, error)) => {
            output.marked(Mark::Good, name);
            output.problem(Mark::Warning, error);
        }
        _ => output.marked(Mark::Good, name),
    }
    output.line(format_args!("    Groups: {}", listed(groups)));
    match asked_at {
        Some(at) => output.line(format_args!("    As your company's directory said at {}", moment(at))),
        None if standing.is_none() => output.line("    As the configuration says"),
        None => {}
    }
    Ok(())
}

fn listed(groups: &[String]) -> String {
    if groups.is_empty() { "none".to_owned() } else { groups.join(", ") }
}
