//! How HTTPS requests leave this process: always through a [`Transport`], as time always comes from a
//! [`crate::Clock`].
//!
//! A transport carries bytes and knows nothing of tenants, tokens or leases. It follows no redirect (a body with a
//! password must not follow one) and gives up after [`EXCHANGE_TIMEOUT`].

use std::{error::Error as _, pin::Pin, time::Duration};

use reqwest::header::HeaderMap;
use tokio::sync::OnceCell;

use crate::{Failure, NetworkSettings};

/// How long an exchange may take. A request takes effect no later than that after its send, as far as we can know:
/// deadlines before the send, loans on rows and the first look after an ending follow from it.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a transport answers, later.
pub type Carried<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request as it leaves. Not `Debug`: its headers hold a token and its body may hold a password.
pub struct HttpRequest {
    /// Upper case.
    pub method: &'static str,
    /// Absolute, `https`.
    pub url: String,
    /// All but those that the transport itself adds (length, host, agent).
    pub headers: HeaderMap,
    /// Empty when there is none.
    pub body: Vec<u8>,
}

/// An answer that was read to its end. Not `Debug`: it may hold a token or a pass.
pub struct HttpAnswer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub enum Silence {
    /// The transport cannot be set up at all.
    Unusable(Failure),
    /// The server was not reached: nothing happened.
    Unreached(String),
    /// It may have been reached: what was asked for may happen, now or up to [`EXCHANGE_TIMEOUT`] after the send.
    Unanswered(String),
}

/// Carries HTTPS requests.
pub trait Transport: Send + Sync {
    /// Does ahead what takes long the first time, so that it can be done beside other work.
    fn prepare(&self) -> Carried<'_, Result<(), Silence>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Sends a request and reads the answer, within [`EXCHANGE_TIMEOUT`].
    fn exchange(&self, request: HttpRequest) -> Carried<'_, Result<HttpAnswer, Silence>>;
}

/// HTTPS over this machine's network.
pub struct SystemTransport {
    network: NetworkSettings,
    /// To this machine alone: without a proxy, and HTTP will do.
    to_this_machine: bool,
    client: OnceCell<reqwest::Client>,
}

impl SystemTransport {
    /// A transport that opens nothing yet.
    #[must_use]
    pub fn new(network: NetworkSettings) -> Self {
        Self { network, to_this_machine: false, client: OnceCell::new() }
    }

    /// The same for addresses of this machine: no proxy is asked, and they need no HTTPS.
    #[must_use]
    pub(crate) fn to_this_machine(network: NetworkSettings) -> Self {
        Self { to_this_machine: true, ..Self::new(network) }
    }

    /// The client is made on first use: reading the system's certificates takes longer than a host may take to start.
    async fn client(&self) -> Result<&reqwest::Client, Silence> {
        self.client.get_or_try_init(|| async { self.build().await }).await.map_err(Silence::Unusable)
    }

    async fn build(&self) -> Result<reqwest::Client, Failure> {
        // Whoever was first in this process has installed the same provider; that is no error.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .https_only(!self.to_this_machine)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(EXCHANGE_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(300))
            // Graph never redirects a call of ours; a body with a password must not follow one.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("latchkey/", env!("CARGO_PKG_VERSION")));
        if self.to_this_machine {
            builder = builder.no_proxy();
        } else if let Some(proxy) = &self.network.proxy {
            let proxy = reqwest::Proxy::all(proxy.clone())
                .map_err(|_| Failure::ConfigurationInvalid("the proxy's address cannot be used".to_owned()))?;
            builder = builder.proxy(proxy);
        }
        if let Some(path) = &self.network.extra_root_certificates {
            let unusable = |what: &dyn std::fmt::Display| {
                Failure::ConfigurationInvalid(format!(
                    "the root certificates in {} cannot be read: {what}",
                    path.display()
                ))
            };
            let pem = tokio::fs::read(path).await.map_err(|error| unusable(&error))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&error))?;
            builder = builder.tls_certs_merge(certificates);
        }
        builder
            .build()
            .map_err(|error| Failure::ConfigurationInvalid(format!("HTTPS cannot be set up: {}", causes(&error))))
    }
}

impl Transport for SystemTransport {
    fn prepare(&self) -> Carried<'_, Result<(), Silence>> {
        Box::pin(async { self.client().await.map(|_| ()) })
    }

    fn exchange(&self, request: HttpRequest) -> Carried<'_, Result<HttpAnswer, Silence>> {
        Box::pin(async move {
            let HttpRequest { method, url, headers, body } = request;
            let method = reqwest::Method::from_bytes(method.as_bytes())
                .map_err(|_| Silence::Unusable(Failure::Internal("no such method".to_owned())))?;
            let mut request = self.client().await?.request(method, url).headers(headers);
            if !body.is_empty() {
                request = request.body(body);
            }
            let response = request.send().await.map_err(|error| silence(&error))?;
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            let body = response.bytes().await.map_err(|error| silence(&error))?.to_vec();
            Ok(HttpAnswer { status, headers, body })
        })
    }
}

fn silence(error: &reqwest::Error) -> Silence {
    if error.is_connect() || error.is_builder() {
        Silence::Unreached(causes(error))
    } else {
        Silence::Unanswered(causes(error))
    }
}

/// The chain of causes, without addresses: they hold ids and would be repeated at every level.
fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(next) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&next.to_string());
        cause = next.source();
    }
    if text.is_empty() { "the request failed".to_owned() } else { text }
}
