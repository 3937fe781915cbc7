//! One request, read once: which host it was for, its path, query, cookies and form.
//!
//! A form may hold a secret. A [`Visit`] is therefore never logged and never kept.

use std::collections::BTreeMap;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use url::form_urlencoded;

use super::hosts::Host;
use crate::serve::RequestedHost;

/// Nothing a browser posts here is larger.
const LARGEST_BODY: usize = 1 << 20;

/// A request to one of the pages.
#[derive(Clone)]
pub(super) struct Visit {
    /// Host name, lower case, without a port.
    pub(super) host: String,
    /// Scheme, host and port as the browser would show them.
    pub(super) origin: String,
    /// What kind of host it is.
    pub(super) kind: Host,
    /// Method.
    pub(super) method: Method,
    /// Path, as sent.
    pub(super) path: String,
    /// Path and query, as sent.
    pub(super) path_and_query: String,
    /// Query parameters; the last of a name counts.
    pub(super) query: BTreeMap<String, String>,
    /// Fields of an urlencoded body.
    pub(super) form: BTreeMap<String, String>,
    /// The body, whatever it is.
    pub(super) body: Vec<u8>,
    headers: HeaderMap,
}

impl Visit {
    /// Reads a request; an unreadable body is an empty one.
    pub(super) async fn read(request: Request) -> Self {
        let (parts, body) = request.into_parts();
        let named = parts
            .headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str))
            .unwrap_or_default()
            .to_ascii_lowercase();
        let (host, port, secure) = match parts.extensions.get::<RequestedHost>() {
            Some(requested) => (requested.host.clone(), requested.port, requested.secure),
            None => match named.rsplit_once(':') {
                Some((host, port)) => (host.to_owned(), port.parse().ok(), true),
                None => (named, None, true),
            },
        };
        let usual = if secure { 443 } else { 80 };
        let port = port.filter(|port| *port != usual);
        let scheme = if secure { "https" } else { "http" };
        let origin = match port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        let body = to_bytes(body, LARGEST_BODY).await.map(|bytes| bytes.to_vec()).unwrap_or_default();
        let urlencoded = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        let query = parts.uri.query().unwrap_or_default();
        Self {
            kind: Host::of(&host, secure && port.is_none()),
            host,
            origin,
            method: parts.method,
            path: parts.uri.path().to_owned(),
            path_and_query: parts
                .uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), |whole| whole.as_str().to_owned()),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            form: if urlencoded { form_urlencoded::parse(&body).into_owned().collect() } else { BTreeMap::new() },
            body,
            headers: parts.headers,
        }
    }

    /// The parts of the path, decoded as far as pages need it.
    #[must_use]
    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|segment| !segment.is_empty()).collect()
    }

    /// A query parameter that is not empty.
    #[must_use]
    pub(super) fn asked(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A form field; empty when it is not there.
    #[must_use]
    pub(super) fn posted(&self, name: &str) -> &str {
        self.form.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A header as text.
    #[must_use]
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A cookie.
    #[must_use]
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Whether a POST came from a page of the same origin, as far as the browser said.
    #[must_use]
    pub(super) fn is_from_same_origin(&self) -> bool {
        let origin_fits = self.header("origin").is_none_or(|origin| origin == self.origin);
        let referrer_fits = self.header("referer").is_none_or(|referrer| {
            referrer == self.origin || referrer.strip_prefix(&self.origin).is_some_and(|rest| rest.starts_with('/'))
        });
        origin_fits && referrer_fits
    }
}
