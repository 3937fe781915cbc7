//! Signing in with a code on another device (OAuth 2.0 device authorization grant), for machines without a browser.
//!
//! Whoever gets a person to enter such a code is signed in as that person, so it is used only on request, and the
//! person is told to enter only a code that she asked for.

use std::time::Duration;

use latchkey_engine::SystemTransport;
use latchkey_protocol::{ErrorBody, ErrorCode};
use secrecy::SecretString;
use serde::Deserialize;

use super::{SignInRequest, SignedIn, address_of, scope, token};
use crate::output::Output;

/// How often is asked when nothing is said.
const USUAL_INTERVAL: u64 = 5;

#[derive(Deserialize)]
struct Device {
    device_code: SecretString,
    user_code: String,
    verification_uri: String,
    expires_in: u64,
    interval: Option<u64>,
}

/// Shows a code and waits until it was entered.
pub(super) async fn sign_in(
    transport: &SystemTransport,
    request: &SignInRequest<'_>,
    output: Output,
) -> Result<SignedIn, ErrorBody> {
    let address = address_of(request.cloud, request.tenant_id, "oauth2/v2.0/devicecode")?;
    let fields = [("client_id", request.client_id.to_string()), ("scope", scope(request))];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = token::post(transport, address.as_str(), &fields).await?;
    if answer.status != 200 {
        return Err(token::denied(&answer).for_a_person());
    }
    let device: Device = serde_json::from_slice(&answer.body).map_err(crate::failure::internal)?;
    output.note(format_args!("Open {} on any device and enter this code:", device.verification_uri));
    output.note(format_args!("  {}", device.user_code));
    output.note("Enter it only if you started this yourself.");
    let interval = Duration::from_secs(device.interval.unwrap_or(USUAL_INTERVAL));
    let waiting = async {
        loop {
            tokio::time::sleep(interval).await;
            if let Some(signed_in) = token::redeem_device(transport, request, &device.device_code).await? {
                return Ok(signed_in);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(device.expires_in), waiting).await.unwrap_or_else(|_| {
        Err(ErrorBody::new(
            ErrorCode::SignInAbandoned,
            "Nobody entered the code in time.",
            "Run the command again for a new code.",
        ))
    })
}
