//! The pages' own control route, for tests: `GET /sim/pages` reads the knobs and the journal, `POST` turns knobs
//! (merged name by name; `null` puts one back), `DELETE` forgets everything: journal, knobs, sign-ins under way, cookies.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::knobs::PageKnobs;
use super::{Pages, Refusal};

/// The route.
pub(super) fn router(pages: Arc<Pages>) -> Router {
    Router::new().route("/sim/pages", get(read).post(turn).delete(reset)).with_state(pages)
}

async fn read(State(pages): State<Arc<Pages>>) -> Response {
    match pages.state() {
        Ok(state) => Json(state).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn turn(State(pages): State<Arc<Pages>>, Json(change): Json<Map<String, Value>>) -> Response {
    let turned = {
        let mut memory = pages.memory();
        let mut turned = memory.knobs.clone();
        for (name, value) in change {
            if value.is_null() {
                turned.remove(&name);
            } else if let (Some(Value::Object(tenants)), Value::Object(more)) = (turned.get_mut(&name), &value) {
                tenants.extend(more.clone());
            } else {
                turned.insert(name, value);
            }
        }
        PageKnobs::read(&turned).map(|_| memory.knobs = turned)
    };
    match turned {
        Ok(()) => read(State(pages)).await,
        Err(error) => {
            (StatusCode::BAD_REQUEST, Json(json!({"error": Refusal::Knobs(error).to_string()}))).into_response()
        }
    }
}

async fn reset(State(pages): State<Arc<Pages>>) -> Response {
    pages.reset();
    read(State(pages)).await
}
