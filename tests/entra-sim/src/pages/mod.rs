//! The sign-in pages and the portals: every host that is neither Graph nor one of the token endpoints.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;

use crate::simulation::Simulation;

/// Serves what a browser asks for. The requested host is in the request extension
/// [`crate::serve::RequestedHost`]; nothing else decides which page is meant.
pub fn router(sim: Arc<Simulation>) -> Router {
    Router::new().fallback(|| async { (StatusCode::NOT_FOUND, "no such page\n") }).with_state(sim)
}
