//! Takes the reports of content security policy violations, so that a test can fail on any.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::Pages;
use super::visit::Visit;

/// Keeps one report as the browser sent it; a body that is not JSON is kept as text.
pub(super) fn take(pages: &Pages, visit: &Visit) -> Response {
    let report: Value = serde_json::from_slice(&visit.body)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&visit.body).into_owned()));
    pages.note(|journal, _| journal.violations.push(report));
    StatusCode::NO_CONTENT.into_response()
}
