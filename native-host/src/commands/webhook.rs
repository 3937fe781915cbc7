//! `latchkey webhook …`: the secret that signs, a test message, and how the receiver is.

use std::process::ExitCode;

use latchkey_engine::{Engine, WebhookSecret, WebhookStatus};
use latchkey_protocol::{ErrorBody, ErrorCode};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{duration, moment};
use crate::cli::WebhookCommand;
use crate::key_store::Prompting;
use crate::output::{Mark, Output};
use crate::{machine, webhook};

pub(super) async fn run(engine: &Engine, command: &WebhookCommand, output: Output) -> Result<ExitCode, ErrorBody> {
    match command {
        WebhookCommand::Secret { replace } => secret(*replace, output).await.map(|()| ExitCode::SUCCESS),
        WebhookCommand::Test => test(engine, output).await.map(|()| ExitCode::SUCCESS),
        WebhookCommand::Status => status(engine, output).await,
        WebhookCommand::Retry => {
            let again = engine.retry_webhook().await?;
            webhook::deliver(engine, Prompting::Allowed, std::time::Duration::from_secs(20)).await;
            output.note(format_args!("{again} that had been given up on are tried again"));
            status(engine, output).await
        }
    }
}

/// Makes the secret and shows it this once.
async fn secret(replace: bool, output: Output) -> Result<(), ErrorBody> {
    let previous = webhook::secret(Prompting::Allowed).await?;
    if previous.is_some() && !replace {
        return Err(ErrorBody::new(
            ErrorCode::ConfigurationInvalid,
            "There is a secret already; it is not shown again.",
            "Make a new one with 'latchkey webhook secret --replace': both sign until you do that again.",
        ));
    }
    let secret = WebhookSecret::generate(previous.as_ref())?;
    webhook::keep(&secret).await?;
    let newest = secret.newest();
    output.document(&json!({ "secret": newest.expose_secret(), "previous_still_signs": previous.is_some() }));
    output.line(newest.expose_secret());
    output.note("Give it to the receiver now; it is kept in the key store and not shown again.");
    if previous.is_some() {
        output.note("The one before signs beside it until the next '--replace'.");
    }
    Ok(())
}

async fn test(engine: &Engine, output: Output) -> Result<(), ErrorBody> {
    let secret = webhook::secret(Prompting::Allowed).await?.ok_or_else(|| {
        ErrorBody::new(
            ErrorCode::SecretMissing,
            "The webhook has no secret yet.",
            "Make one with 'latchkey webhook secret' and give it to the receiver.",
        )
    })?;
    let spinner = output.progress("sending a test message");
    engine.test_webhook(&secret).await?;
    drop(spinner);
    output.document(&json!({ "taken": true }));
    output.marked(Mark::Good, "The receiver took the test message.");
    Ok(())
}

async fn status(engine: &Engine, output: Output) -> Result<ExitCode, ErrorBody> {
    let status = engine.webhook_status().await?;
    output.document(&json!({ "configured": engine.has_webhook(), "status": status }));
    if !engine.has_webhook() {
        output.line("No receiver is configured: add [webhook] with its url to config.toml.");
    }
    let WebhookStatus { waiting, gave_up, delivered, .. } = status;
    let last = status.delivered_at.map(|at| format!(", the last at {}", moment(at))).unwrap_or_default();
    output.marked(Mark::Good, format_args!("{delivered} delivered{last}"));
    if waiting > 0 {
        let oldest = status.oldest.map_or(0, |at| machine::now() - at);
        output.marked(Mark::Warning, format_args!("{waiting} waiting, the oldest for {}", duration(oldest)));
    }
    if gave_up > 0 {
        output.marked(
            Mark::Bad,
            format_args!("{gave_up} given up on after a week; 'latchkey webhook retry' tries again"),
        );
    }
    if let Some(problem) = &status.problem {
        let until = status.resting_until.map(|at| format!("; tried again at {}", moment(at))).unwrap_or_default();
        output.marked(Mark::Bad, format_args!("{} failures in a row: {problem}{until}", status.failures));
    }
    Ok(if gave_up > 0 || status.problem.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
