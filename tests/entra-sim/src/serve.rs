//! Connections and hosts: TLS by server name, plain HTTP, CONNECT for any host, and which host answers what.
//!
//! Nothing is ever forwarded: a CONNECT ends here, whatever host it names, and a host nobody knows gets what the pages
//! say to unknown hosts.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming as HyperBody;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::endpoint::{self, Incoming, Vanished};
use crate::simulation::Simulation;
use crate::token;

/// Hosts that answer for tokens.
pub const AUTHORITY_HOSTS: &[&str] = &[
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.usgovcloudapi.net",
    "login.partner.microsoftonline.cn",
    "login.chinacloudapi.cn",
    "login.microsoft.com",
    "login.windows.net",
];
/// Hosts that answer Graph.
pub const GRAPH_HOSTS: &[&str] =
    &["graph.microsoft.com", "graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn"];
/// Largest request body, bytes.
const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// First byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;

/// The host a request was really for, as a request extension.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestedHost {
    /// Lower case, without a port; a trailing dot is kept.
    pub host: String,
    /// Port as the client named it.
    pub port: Option<u16>,
    /// Whether the client spoke TLS.
    pub secure: bool,
}

/// What is known about a connection before a request comes.
#[derive(Clone, Debug)]
struct Origin {
    /// Host (and port) of the CONNECT that led here.
    connected_to: Option<String>,
    secure: bool,
}

/// Serves a port until it is dropped. TLS and plain HTTP are told apart by the first byte.
pub async fn listen(listener: TcpListener, sim: Arc<Simulation>, pages: Router) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of sockets, most likely: the next one may work.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let (sim, pages) = (Arc::clone(&sim), pages.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            if is_tls(&stream).await {
                serve_tls(stream, sim, pages, None).await;
            } else {
                let origin = Origin { connected_to: None, secure: false };
                serve_http(stream, sim, pages, origin).await;
            }
        });
    }
}

async fn is_tls(stream: &TcpStream) -> bool {
    let mut first = [0_u8; 1];
    matches!(stream.peek(&mut first).await, Ok(1) if first[0] == TLS_HANDSHAKE)
}

// Boxed: a tunnel is a connection inside a connection, and its future would contain itself.
fn serve_tls<S>(
    stream: S,
    sim: Arc<Simulation>,
    pages: Router,
    connected_to: Option<String>,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(async move {
        let fallback = connected_to.as_deref().map_or("localhost", |named| split_port(named).0).to_owned();
        let Ok(config) = sim.authority.server_config(&fallback) else {
            return;
        };
        // A client that does not trust the authority ends here, and says so on its side.
        if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
            let origin = Origin { connected_to, secure: true };
            serve_http(stream, sim, pages, origin).await;
        }
    })
}

async fn serve_http<S>(stream: S, sim: Arc<Simulation>, pages: Router, origin: Origin)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<HyperBody>| {
        let (sim, pages, origin) = (Arc::clone(&sim), pages.clone(), origin.clone());
        async move {
            if request.method() == Method::CONNECT {
                return Ok(tunnel(request, sim, pages));
            }
            // An error makes hyper close the connection without an answer, which is what was asked for.
            answer(request, sim, pages, origin).await.map_err(|Vanished| Closed)
        }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

fn tunnel(request: Request<HyperBody>, sim: Arc<Simulation>, pages: Router) -> Response<Body> {
    let Some(target) = request.uri().authority().map(ToString::to_string) else {
        return plain(StatusCode::BAD_REQUEST, "CONNECT needs host:port.\n");
    };
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            serve_tls(TokioIo::new(upgraded), sim, pages, Some(target)).await;
        }
    });
    Response::new(Body::empty())
}

async fn answer(
    request: Request<HyperBody>,
    sim: Arc<Simulation>,
    pages: Router,
    origin: Origin,
) -> Result<Response<Body>, Vanished> {
    let Some(named) = named_host(&request, &origin) else {
        return Ok(plain(StatusCode::BAD_REQUEST, "No Host.\n"));
    };
    let (host, port) = split_port(&named);
    let requested = RequestedHost {
        host: host.to_ascii_lowercase(),
        port,
        // An absolute-form request through the proxy says itself which scheme it means.
        secure: origin.secure || request.uri().scheme_str() == Some("https"),
    };
    let scheme = if requested.secure { "https" } else { "http" };
    let base = format!("{scheme}://{}", named.to_ascii_lowercase());
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let path = request.uri().path().to_owned();
    let local = requested.host == "localhost" || requested.host == "127.0.0.1";
    let authority = local || AUTHORITY_HOSTS.contains(&requested.host.as_str());
    let graph = local || GRAPH_HOSTS.contains(&requested.host.as_str());

    if authority {
        if request.method() == Method::POST
            && let Some((tenant, operation)) = token_path(&path)
        {
            let incoming = match receive(request, &requested, target, base).await {
                Ok(incoming) => incoming,
                Err(refusal) => return Ok(refusal),
            };
            return detached(incoming, move |incoming| endpoint::token(sim, incoming, tenant, operation)).await;
        }
        if let Some(found) = discovery(&sim, &base, &path, request.uri().query().unwrap_or_default()) {
            return Ok(found);
        }
    }
    if graph {
        if let Some((version, rest)) = graph_path(&target) {
            let incoming = match receive(request, &requested, target.clone(), base).await {
                Ok(incoming) => incoming,
                Err(refusal) => return Ok(refusal),
            };
            return detached(
                incoming,
                move |incoming| async move { endpoint::graph(sim, incoming, version, &rest).await },
            )
            .await;
        }
        if !local {
            return Ok(plain(StatusCode::NOT_FOUND, "Graph has v1.0 and beta.\n"));
        }
    }
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(requested);
    let in_origin_form = target.parse::<Uri>();
    if let Ok(uri) = in_origin_form {
        *request.uri_mut() = uri;
    }
    let answered: Result<Response<Body>, Infallible> = TowerToHyperService::new(pages).call(request).await;
    match answered {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// Runs an exchange in a task of its own, so that a client that goes away does not undo it; the task can tell.
async fn detached<F, Fut>(incoming: (Incoming, watch::Sender<()>), work: F) -> Result<Response<Body>, Vanished>
where
    F: FnOnce(Incoming) -> Fut,
    Fut: Future<Output = Result<Response<Body>, Vanished>> + Send + 'static,
{
    let (incoming, _while_the_client_waits) = incoming;
    tokio::spawn(work(incoming)).await.unwrap_or(Err(Vanished))
}

async fn receive(
    request: Request<HyperBody>,
    requested: &RequestedHost,
    target: String,
    origin: String,
) -> Result<(Incoming, watch::Sender<()>), Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(Body::new(body), LARGEST_BODY)
        .await
        .map_err(|_| plain(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large, or ended early.\n"))?;
    let (presence, client) = watch::channel(());
    let incoming = Incoming {
        method: parts.method.as_str().to_owned(),
        target,
        origin,
        host: requested.host.clone(),
        headers: parts.headers,
        body: body.to_vec(),
        client,
    };
    Ok((incoming, presence))
}

fn named_host(request: &Request<HyperBody>, origin: &Origin) -> Option<String> {
    let in_target = request.uri().authority().map(ToString::to_string);
    let in_header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    in_target.or(in_header).or_else(|| origin.connected_to.clone())
}

fn split_port(named: &str) -> (&str, Option<u16>) {
    match named.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) && !port.is_empty() => (host, port.parse().ok()),
        _ => (named, None),
    }
}

/// `/{tenant}/oauth2/v2.0/token` → tenant and `token`; likewise `devicecode`.
fn token_path(path: &str) -> Option<(String, &'static str)> {
    ["token", "devicecode"].into_iter().find_map(|operation| {
        let tenant = path.strip_prefix('/')?.strip_suffix(operation)?.strip_suffix("/oauth2/v2.0/")?;
        (!tenant.contains('/')).then(|| (tenant.to_owned(), operation))
    })
}

/// `/v1.0/users?…` → version and `/users?…`.
fn graph_path(target: &str) -> Option<(&'static str, String)> {
    for version in ["v1.0", "beta"] {
        let rest = target.strip_prefix('/').and_then(|rest| rest.strip_prefix(version));
        if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(['/', '?'])) {
            return Some((version, rest.to_owned()));
        }
    }
    None
}

fn discovery(sim: &Simulation, base: &str, path: &str, query: &str) -> Option<Response<Body>> {
    if path == "/common/discovery/instance" {
        let endpoint = url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "authorization_endpoint")
            .map(|(_, value)| value.into_owned());
        return Some(json(StatusCode::OK, &token::instance_discovery(base, endpoint.as_deref())));
    }
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match segments.as_slice() {
        [_, "discovery", "v2.0" | "keys", ..] => Some(json(StatusCode::OK, &sim.tokens.keys())),
        [tenant, "v2.0", ".well-known", "openid-configuration"] | [tenant, ".well-known", "openid-configuration"] => {
            let directory = sim.directory();
            Some(
                match directory.tenant(tenant).or_else(|| common(tenant).then(|| directory.tenants.first()).flatten()) {
                    Some(known) => json(StatusCode::OK, &token::openid_configuration(base, tenant, known)),
                    None => json(
                        StatusCode::BAD_REQUEST,
                        &serde_json::json!({
                            "error": "invalid_tenant",
                            "error_description": format!("AADSTS90002: Tenant '{tenant}' not found."),
                            "error_codes": [90002],
                        }),
                    ),
                },
            )
        }
        _ => None,
    }
}

fn common(segment: &str) -> bool {
    matches!(segment, "common" | "organizations")
}

fn json(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_and_hosts() {
        assert_eq!(token_path("/contoso.com/oauth2/v2.0/token").unwrap(), ("contoso.com".to_owned(), "token"));
        assert_eq!(token_path("/common/oauth2/v2.0/devicecode").unwrap().1, "devicecode");
        assert!(token_path("/a/b/oauth2/v2.0/token").is_none());
        assert_eq!(graph_path("/v1.0/users?$top=1").unwrap(), ("v1.0", "/users?$top=1".to_owned()));
        assert_eq!(graph_path("/beta/users").unwrap().0, "beta");
        assert!(graph_path("/v1.0x/users").is_none());
        assert_eq!(split_port("localhost:8443"), ("localhost", Some(8443)));
        assert_eq!(split_port("login.microsoftonline.com."), ("login.microsoftonline.com.", None));
    }
}
