//! `POST /sim/sign-in`: plays a person with a browser, so that a test needs neither.
//!
//! It goes where an application would send a browser (an authorize or admin-consent address, or the page for a device
//! code), is the person who is named, says yes (or no) to consent, and follows the redirect: an address on this machine
//! is really called. It knows no credential; an account that could not sign in is refused as at the sign-in page.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::people::{AnswerMode, AuthorizationRequest, Purpose, Refusal};
use crate::serve::AUTHORITY_HOSTS;
use crate::simulation::Simulation;

/// Longest a redirect address may take to answer.
const LONGEST: Duration = Duration::from_secs(60);

/// Who signs in where.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    /// The address that a browser was sent to.
    pub authorize_url: Option<String>,
    /// Or the code that a device shows.
    pub user_code: Option<String>,
    /// User principal name.
    pub user: String,
    /// She says no when she is asked for consent.
    #[serde(default)]
    pub decline: bool,
    /// Do not call the redirect address; only say what it is.
    #[serde(default)]
    pub stay: bool,
}

/// Carries a visit out: `{"redirect"?, "called"? {"status", "body"}, "error"? {"number", "message"}}`.
///
/// # Errors
/// The request makes no sense; the sentence says why.
pub async fn visit(sim: &Simulation, visit: Visit) -> Result<Value, String> {
    let knobs = sim.knobs();
    let sign_in = || sim.directory().sign_in_as(&visit.user, &sim.clock, &knobs);
    let at_the_page = |number: u32, message: &str| json!({"error": {"number": number, "message": message}});
    if let Some(user_code) = &visit.user_code {
        let signed_in = match sign_in() {
            Ok(signed_in) => signed_in,
            Err(error) => return Ok(at_the_page(error.number(), error.message())),
        };
        let people = &sim.tokens.people;
        let answered = people.answer_device(user_code, &mut sim.directory(), &signed_in, visit.decline, &sim.clock);
        return Ok(match answered {
            Ok(()) => json!({"signed_in": signed_in.user_name}),
            Err(Refusal::Page { number, message } | Refusal::Application { number, message, .. }) => {
                at_the_page(number, &message)
            }
        });
    }
    let address = visit.authorize_url.as_deref().ok_or("name authorize_url or user_code")?;
    let url = Url::parse(address).map_err(|error| format!("authorize_url is not an address: {error}"))?;
    let host = url.host_str().unwrap_or_default();
    if !AUTHORITY_HOSTS.contains(&host) && !matches!(host, "localhost" | "127.0.0.1") {
        return Err(format!("{host} is not a sign-in host"));
    }
    let segments: Vec<&str> = url.path().trim_matches('/').split('/').collect();
    let (tenant, purpose) = match segments.as_slice() {
        [tenant, "oauth2", "v2.0", "authorize"] => (*tenant, Purpose::SignIn),
        [tenant, "v2.0", "adminconsent"] | [tenant, "adminconsent"] => (*tenant, Purpose::AdminConsent),
        _ => return Err(format!("nobody signs in at {}", url.path())),
    };
    let parameter =
        |name: &str| url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    let read = AuthorizationRequest::read(purpose, tenant, &parameter, &sim.directory());
    let redirect_uri = parameter("redirect_uri").unwrap_or_default();
    let back = |refusal: Refusal| match refusal {
        Refusal::Page { number, message } => Err(at_the_page(number, &message)),
        Refusal::Application { error, number, message } => {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("error", error)
                .append_pair("error_description", &format!("AADSTS{number}: {message}"))
                .append_pair("state", &parameter("state").unwrap_or_default())
                .finish();
            Ok(format!("{redirect_uri}?{query}"))
        }
    };
    let redirect = match read {
        Ok(None) => return Err("this address is a portal's; use the pages".to_owned()),
        Err(refusal) => back(refusal),
        Ok(Some(asked)) if asked.mode != AnswerMode::Query => {
            return Err("only response_mode=query can be followed without a browser".to_owned());
        }
        Ok(Some(asked)) => match sign_in() {
            Err(error) => Err(at_the_page(error.number(), error.message())),
            Ok(signed_in) if visit.decline && asked.asks_for_consent(&sim.directory(), &signed_in) => {
                let refusal = asked.refusal("access_denied", 65_004, "User declined to consent to access the app.");
                Ok(asked.back(&refusal))
            }
            Ok(signed_in) => match sim.answer(&asked, &signed_in) {
                Ok(answer) => Ok(asked.back(&answer)),
                Err(refusal) => back(refusal),
            },
        },
    };
    match redirect {
        Err(shown) => Ok(shown),
        Ok(redirect) if visit.stay => Ok(json!({"redirect": redirect})),
        Ok(redirect) => {
            let called = tokio::time::timeout(LONGEST, call(&redirect)).await;
            let called = called.map_err(|_| "the redirect address did not answer in time".to_owned())??;
            Ok(json!({"redirect": redirect, "called": called}))
        }
    }
}

/// Gets an address on this machine as a browser would.
async fn call(address: &str) -> Result<Value, String> {
    let url = Url::parse(address).map_err(|error| error.to_string())?;
    let host = url.host_str().unwrap_or_default();
    if url.scheme() != "http" || !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        return Ok(Value::Null);
    }
    let port = url.port_or_known_default().unwrap_or(80);
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .await
        .map_err(|error| format!("nobody listens at {host}:{port}: {error}"))?;
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    // What was read before the other side closed the connection is the answer, however it closed it.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    let status: u16 = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    Ok(json!({"status": status, "body": body}))
}
