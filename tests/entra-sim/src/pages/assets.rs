//! What the content delivery network serves: the engine with its first templates, the templates that are fetched when
//! a view is first needed, and the style sheet.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::template::{is_lazy, main_script_views, view};
use super::visit::Visit;
use super::{Pages, Refusal, headers};

const ENGINE: &str = include_str!("../../assets/engine.js");
const FUTURE: &str = include_str!("../../assets/future.js");
/// Counts events on fields; also part of the gallery's pages.
pub(super) const OBSERVE: &str = include_str!("../../assets/observe.js");
const STYLE: &str = include_str!("../../assets/sign-in.css");

/// Answers by the file's name; the hash in it is not looked at.
pub(super) async fn serve(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let file = visit.segments().last().map_or("", |last| *last).to_owned();
    let mut response = if let Some(name) = lazy_view(&file) {
        tokio::time::sleep(Duration::from_millis(pages.knobs("common")?.chunk_ms)).await;
        let template = view(name).unwrap_or_default();
        let call = format!("window.__view({}, {});\n", Value::from(name), Value::from(template));
        script(call)
    } else if file.starts_with("ConvergedLogin_PCore") {
        script(format!("{OBSERVE}\nwindow.__views = {};\n{ENGINE}", main_script_views()))
    } else if file.starts_with("FluentSignIn") {
        script(format!("{OBSERVE}\n{FUTURE}"))
    } else if file.starts_with("observe") {
        script(OBSERVE.to_owned())
    } else if file.starts_with("converged.v2.login.min") {
        ([("content-type", "text/css; charset=utf-8")], STYLE).into_response()
    } else {
        StatusCode::NOT_FOUND.into_response()
    };
    headers::set(&mut response, "access-control-allow-origin", "*");
    headers::set(&mut response, "cache-control", "no-store");
    headers::set(&mut response, "x-content-type-options", "nosniff");
    Ok(response)
}

/// `convergedlogin_p<view>_<hash>.js`.
fn lazy_view(file: &str) -> Option<&str> {
    let (name, _) = file.strip_prefix("convergedlogin_p")?.rsplit_once('_')?;
    is_lazy(name).then_some(name)
}

fn script(text: String) -> Response {
    ([("content-type", "text/javascript; charset=utf-8")], text).into_response()
}
