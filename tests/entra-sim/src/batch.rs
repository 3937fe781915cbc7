//! `$batch`: up to 20 requests in one, each with its own status, throttling and place in the log.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::endpoint::{
    Trace, Vanished, after, before, injected, name_oneself, perform, record, rendered, struck_after_effect,
};
use crate::faults::Subject;
use crate::graph::{Call, GraphError, Reply};
use crate::simulation::Simulation;
use crate::throttle;
use crate::token::Claims;

/// Most requests in one batch.
const LARGEST: usize = 20;

struct Item {
    id: String,
    call: Call,
    target: String,
    depends_on: Option<String>,
}

/// Carries out a batch, in order.
///
/// # Errors
/// [`Vanished`] when a fault closes the connection; what was done by then stays done.
pub async fn run(
    sim: &Simulation,
    caller: &Claims,
    call: &Call,
    trace: &Trace,
    half_from: Option<usize>,
    client: &watch::Receiver<()>,
) -> Result<Result<Reply, GraphError>, Vanished> {
    let mut items = match parse(call) {
        Ok(items) => items,
        Err(error) => return Ok(Err(error)),
    };
    for item in &mut items {
        name_oneself(&mut item.call, caller);
    }
    let mut failed: BTreeSet<String> = BTreeSet::new();
    let mut responses = Vec::new();
    for (position, item) in items.iter().enumerate() {
        let own = trace.inside(sim, &item.call);
        let path = format!("/{}{}", if call.beta { "beta" } else { "v1.0" }, item.target);
        let kinds = sim.faults.strike(Subject {
            method: &item.call.method,
            path: &path,
            tenant: Some(&caller.tid),
            in_batch: true,
        });
        let dependency_failed = item.depends_on.as_ref().is_some_and(|id| failed.contains(id));
        let result = if dependency_failed {
            Err(GraphError::new(
                424,
                "FailedDependency",
                "Failed to execute the request because a request it depends on failed.",
            ))
        } else if half_from.is_some_and(|from| position + 1 >= from) {
            Err(injected(503, None))
        } else if let Some((status, retry_after)) = before(sim, &kinds, client).await? {
            Err(injected(status, retry_after))
        } else {
            let result = perform(sim, caller, &item.call);
            match struck_after_effect(&kinds) {
                Some((status, retry_after)) => Err(injected(status, retry_after)),
                None => result,
            }
        };
        let (Reply { status, headers, body }, error) = rendered(sim, result, &own.request_id, &own.client_request_id);
        if status >= 400 {
            failed.insert(item.id.clone());
        }
        record(sim, &own, &item.call, Some(&caller.tid), status, error, body.as_ref());
        after(sim, &kinds, client).await?;
        let mut own_headers = Map::new();
        own_headers.insert("request-id".to_owned(), json!(own.request_id));
        own_headers.insert("x-ms-resource-unit".to_owned(), json!(throttle::cost(&item.call).to_string()));
        if body.is_some() {
            own_headers.insert("Content-Type".to_owned(), json!("application/json"));
        }
        for (name, value) in headers {
            own_headers.insert(name.to_owned(), json!(value));
        }
        let mut response = json!({"id": item.id, "status": status, "headers": own_headers});
        if let Some(body) = body {
            response["body"] = body;
        }
        responses.push(response);
    }
    // Answers come in any order; only their ids say whose they are.
    if items.iter().all(|item| item.depends_on.is_none()) {
        responses.reverse();
    }
    Ok(Ok(Reply::ok(json!({ "responses": responses }))))
}

fn parse(outer: &Call) -> Result<Vec<Item>, GraphError> {
    let invalid = |message: String| GraphError::new(400, "BadRequest", message);
    let requests = outer
        .body
        .as_ref()
        .and_then(|body| body.get("requests"))
        .and_then(Value::as_array)
        .ok_or_else(|| invalid("Invalid batch payload format.".to_owned()))?;
    if requests.is_empty() {
        return Err(invalid("Invalid batch payload format.".to_owned()));
    }
    if requests.len() > LARGEST {
        return Err(GraphError::new(
            400,
            "MaximumValueExceeded",
            format!("Number of batch request steps exceeds the maximum value of {LARGEST}."),
        ));
    }
    let mut items: Vec<Item> = Vec::new();
    for request in requests {
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let (Some(id), Some(method), Some(target)) = (text("id"), text("method"), text("url")) else {
            return Err(invalid("Invalid batch payload format.".to_owned()));
        };
        if id.is_empty() || !matches!(method, "GET" | "POST" | "PATCH" | "PUT" | "DELETE") {
            return Err(invalid("Invalid batch payload format.".to_owned()));
        }
        if items.iter().any(|item| item.id == id) {
            return Err(invalid(format!("Request Id {id} has to be unique in a batch.")));
        }
        if target.starts_with("http:") || target.starts_with("https:") || target.contains("$batch") {
            return Err(invalid(format!("Invalid URL in request {id}: it must be relative to the version.")));
        }
        let headers: Vec<(String, String)> = match request.get("headers") {
            None => Vec::new(),
            Some(headers) => headers
                .as_object()
                .and_then(|headers| {
                    headers
                        .iter()
                        .map(|(name, value)| Some((name.to_ascii_lowercase(), value.as_str()?.to_owned())))
                        .collect()
                })
                .ok_or_else(|| invalid("Invalid batch payload format.".to_owned()))?,
        };
        let body = request.get("body").filter(|body| !body.is_null()).cloned();
        let declared =
            headers.iter().any(|(name, value)| name == "content-type" && value.starts_with("application/json"));
        // Of those that write only a DELETE may be without a body: `revokeSignInSessions` needs an empty one here.
        let writes = matches!(method, "POST" | "PATCH" | "PUT");
        if (writes && body.is_none()) || ((writes || body.is_some()) && !declared) {
            return Err(invalid(format!("Write request id : {id} does not contain Content-Type header or body.")));
        }
        let depends_on: Vec<&str> = match request.get("dependsOn") {
            None | Some(Value::Null) => Vec::new(),
            Some(ids) => ids
                .as_array()
                .and_then(|ids| ids.iter().map(Value::as_str).collect())
                .ok_or_else(|| invalid("Invalid batch payload format.".to_owned()))?,
        };
        if depends_on.len() > 1 {
            return Err(invalid(format!("Request {id} may depend on one other request only.")));
        }
        let target = format!("/{}", target.trim_start_matches('/'));
        let mut call = Call {
            method: method.to_owned(),
            base: outer.base.clone(),
            beta: outer.beta,
            headers,
            body,
            in_batch: true,
            ..Call::default()
        };
        call.set_target(&target);
        items.push(Item { id: id.to_owned(), call, target, depends_on: depends_on.first().map(|id| (*id).to_owned()) });
    }
    in_order(items)
}

/// Puts the requests in the order of their dependencies, and refuses patterns that Graph does not do: it takes fully
/// parallel, fully serial, and all depending on the same one.
fn in_order(items: Vec<Item>) -> Result<Vec<Item>, GraphError> {
    let refused = || {
        GraphError::new(
            400,
            "BadRequest",
            "Invalid dependsOn: use none, a chain through all requests, or the same request for all others.",
        )
    };
    let next: BTreeMap<String, Vec<String>> = items.iter().fold(BTreeMap::new(), |mut next, item| {
        if let Some(on) = &item.depends_on {
            next.entry(on.clone()).or_default().push(item.id.clone());
        }
        next
    });
    if next.is_empty() {
        return Ok(items);
    }
    let free: Vec<&Item> = items.iter().filter(|item| item.depends_on.is_none()).collect();
    let [first] = free.as_slice() else {
        return Err(refused());
    };
    let mut order = vec![first.id.clone()];
    if next.len() == 1 && next.contains_key(&first.id) {
        order.extend(next.values().flatten().cloned());
    } else {
        while let Some(followers) = order.last().and_then(|last| next.get(last)) {
            let [follower] = followers.as_slice() else {
                return Err(refused());
            };
            order.push(follower.clone());
        }
    }
    if order.len() != items.len() {
        return Err(refused());
    }
    let mut by_id: BTreeMap<String, Item> = items.into_iter().map(|item| (item.id.clone(), item)).collect();
    Ok(order.iter().filter_map(|id| by_id.remove(id)).collect())
}
