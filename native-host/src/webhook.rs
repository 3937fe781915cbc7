//! Delivers what a receiver is to be told, beside whatever else this process does: nothing here keeps a lease waiting.
//! The secret that signs is in the key store like every other, under an id that is no tenant's.

use std::time::Duration;

use latchkey_engine::{Engine, EngineError, Failure, SecretStore as _, SecretStoreError, WebhookSecret};
use latchkey_protocol::ErrorBody;
use uuid::Uuid;

use crate::key_store::{KeyStore, Prompting};

/// Under which id the key store keeps the secret: the words `latchkey webhook`, cut to fit.
const KEY_STORE_ID: Uuid = Uuid::from_u128(u128::from_be_bytes(*b"latchkey webhook"));

/// The secret, if there is one.
pub(crate) async fn secret(prompting: Prompting) -> Result<Option<WebhookSecret>, ErrorBody> {
    let found = blocking(move || KeyStore::new(prompting).get(KEY_STORE_ID)).await?;
    Ok(found.and_then(WebhookSecret::parse))
}

/// Keeps the secret in the place of the one before.
pub(crate) async fn keep(secret: &WebhookSecret) -> Result<(), ErrorBody> {
    let stored = secret.stored().clone();
    blocking(move || KeyStore::new(Prompting::Allowed).set(KEY_STORE_ID, &stored)).await
}

/// So long a command that is done goes on for the receiver's sake; the sweep takes up the rest.
const AFTER_COMMAND: Duration = Duration::from_secs(3);

/// Sends what a command has just done, or tried to do. Its result is on the screen by then and does not depend on this.
pub(crate) async fn after(engine: &Engine) {
    // A message that is interrupted on its way is sent again by the next sweep, under the same id.
    if tokio::time::timeout(AFTER_COMMAND, deliver(engine, Prompting::Never, AFTER_COMMAND)).await.is_err() {
        tracing::info!("the webhook's receiver did not answer at once");
    }
}

/// Sends what is due, if anything is. What goes wrong is in the log and in `latchkey webhook status`.
pub(crate) async fn deliver(engine: &Engine, prompting: Prompting, patience: Duration) {
    if let Err(error) = deliver_now(engine, prompting, patience).await {
        tracing::warn!(code = error.name, "the webhook's receiver cannot be told: {}", error.message);
    }
}

async fn deliver_now(engine: &Engine, prompting: Prompting, patience: Duration) -> Result<(), ErrorBody> {
    if !engine.webhook_is_due().await? {
        return Ok(());
    }
    let Some(secret) = secret(prompting).await? else {
        tracing::warn!("the webhook has no secret yet: run 'latchkey webhook secret'");
        return Ok(());
    };
    let report = engine.deliver_webhook(&secret, patience).await?;
    if let Some(problem) = report.problem {
        tracing::warn!(delivered = report.delivered, failed = report.failed, "the webhook's receiver: {problem}");
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, SecretStoreError> + Send + 'static,
) -> Result<T, ErrorBody> {
    let answer = tokio::task::spawn_blocking(ask).await.map_err(crate::failure::internal)?;
    answer.map_err(|error| {
        let failure = match error {
            SecretStoreError::Locked => Failure::KeyStoreLocked,
            other => Failure::KeyStoreUnavailable(other.to_string()),
        };
        EngineError::from(failure).to_body()
    })
}
