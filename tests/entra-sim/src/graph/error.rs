//! Graph's refusals: status, `error.code`, message and details. Wording follows the Graph error reference, because
//! clients in the field look at it; ours should not.

use serde_json::{Value, json};

/// A refusal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GraphError {
    /// HTTP status.
    pub status: u16,
    /// `error.code`.
    pub code: &'static str,
    /// `error.message`.
    pub message: String,
    /// `error.details`.
    pub details: Vec<Detail>,
    /// Headers of the answer, `Retry-After` for instance.
    pub headers: Vec<(&'static str, String)>,
}

/// One entry of `error.details`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Detail {
    /// For instance `ObjectConflict`.
    pub code: &'static str,
    /// The property meant.
    pub target: &'static str,
    /// A sentence.
    pub message: String,
}

impl GraphError {
    /// A refusal without details.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: Vec::new(), headers: Vec::new() }
    }

    /// 400 `Request_BadRequest`.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "Request_BadRequest", message)
    }

    /// 400 for a query that Graph does not do, or not without `ConsistencyLevel: eventual` and `$count=true`.
    pub fn unsupported_query(message: impl Into<String>) -> Self {
        Self::new(400, "Request_UnsupportedQuery", message)
    }

    /// 403 `Authorization_RequestDenied`.
    #[must_use]
    pub fn denied() -> Self {
        Self::new(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    }

    /// 404 `Request_ResourceNotFound`.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(
            404,
            "Request_ResourceNotFound",
            format!(
                "Resource '{what}' does not exist or one of its queried reference-property objects are not present."
            ),
        )
    }

    /// 404 for a path that is no resource at all.
    #[must_use]
    pub fn no_such_segment(segment: &str) -> Self {
        Self::new(404, "ResourceNotFound", format!("Resource not found for the segment '{segment}'."))
    }

    /// 400: another object has this value already.
    #[must_use]
    pub fn taken(property: &'static str) -> Self {
        let message = format!("Another object with the same value for property {property} already exists.");
        Self {
            details: vec![Detail { code: "ObjectConflict", target: property, message: message.clone() }],
            ..Self::bad_request(message)
        }
    }

    /// 400: an object that is referenced is not there (or not there yet).
    #[must_use]
    pub fn reference_missing() -> Self {
        Self::bad_request("The source resource object or one of the objects being referenced don't exist.")
    }

    /// 400: a property does not exist or has an impossible value.
    pub fn invalid_value(property: &str) -> Self {
        Self::bad_request(format!("Invalid value specified for property '{property}' of resource 'User'."))
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The `error` body.
    #[must_use]
    pub fn body(&self, date: &str, request_id: &str, client_request_id: &str) -> Value {
        let mut error = json!({
            "code": self.code,
            "message": self.message,
            "innerError": {"date": date, "request-id": request_id, "client-request-id": client_request_id},
        });
        if !self.details.is_empty() {
            error["details"] = self
                .details
                .iter()
                .map(|detail| json!({"code": detail.code, "target": detail.target, "message": detail.message}))
                .collect();
        }
        json!({ "error": error })
    }
}
