//! Microsoft's own schema of this surface, as an OpenAPI file: which permissions an operation accepts, and whether an
//! exchange has the shape it must have.
//!
//! The file is not part of the project. Where it is absent a table of the operations keeps permissions enforced, and
//! shapes go unchecked, which is said. Checking happens on a thread of its own, so that it costs no exchange any time.

mod operations;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jsonschema::{Draft, Registry, Validator};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use operations::BUILT_IN;

/// Where the file is looked for when nobody says.
const USUAL_PLACE: &str = "../shared/reference/graph-openapi/graph-openapi-subset.strict.yaml";
/// The environment variable that says.
pub const PLACE_VARIABLE: &str = "LATCHKEY_GRAPH_OPENAPI";
/// Name under which the document's parts refer to each other.
const DOCUMENT: &str = "urn:graph";

/// One Graph exchange, as it is checked.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Number of the HTTP exchange.
    pub number: u64,
    /// HTTP method.
    pub method: String,
    /// Segments after the version.
    pub segments: Vec<String>,
    /// Query parameters.
    pub query: Vec<(String, String)>,
    /// `ConsistencyLevel` header.
    pub consistency_level: Option<String>,
    /// Request body.
    pub request: Option<Value>,
    /// Status answered.
    pub status: u16,
    /// Response body.
    pub response: Option<Value>,
}

/// Something in an exchange that the schema does not allow.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Violation {
    /// Number of the HTTP exchange.
    pub number: u64,
    /// For instance `PATCH /users/…`.
    pub operation: String,
    /// Status answered.
    pub status: u16,
    /// `request`, `query` or `response`.
    pub part: &'static str,
    /// What is wrong. Says where, never repeats a value.
    pub problem: String,
}

/// The result so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Conformance {
    /// The file that exchanges are checked against; none means nothing is checked.
    pub schema: Option<PathBuf>,
    /// Exchanges checked (requests in a batch one by one).
    pub checked: u64,
    /// What was wrong.
    pub violations: Vec<Violation>,
}

enum Work {
    Check(Box<Sample>),
    Settle(oneshot::Sender<()>),
}

/// The schema, read in the background.
#[derive(Debug)]
pub struct Schema {
    document: Arc<OnceLock<Document>>,
    result: Arc<Mutex<Conformance>>,
    work: Mutex<Sender<Work>>,
}

/// What of the document is used.
#[derive(Debug)]
struct Document {
    /// By how many segments their paths have.
    operations: Vec<Vec<Operation>>,
}

#[derive(Clone, Debug)]
struct Operation {
    method: String,
    template: Vec<String>,
    pointer: String,
    permissions: BTreeSet<String>,
}

impl Schema {
    /// Looks for the file (`given`, then the environment, then beside the workspace) and starts to read it.
    #[must_use]
    pub fn start(given: Option<&Path>) -> Self {
        let place = find(given);
        let document = Arc::new(OnceLock::new());
        let result = Arc::new(Mutex::new(Conformance { schema: place.clone(), ..Conformance::default() }));
        let (work, queue) = channel();
        let (shared, results) = (Arc::clone(&document), Arc::clone(&result));
        std::thread::spawn(move || {
            let root = place.as_deref().and_then(|place| read(place, &results));
            let operations = root.as_ref().map_or_else(built_in_operations, operations_of);
            let _ = shared.set(Document::of(operations));
            check_all(root, &shared, &results, &queue);
        });
        Self { document, result, work: Mutex::new(work) }
    }

    /// The permissions of which one is enough for an operation; nothing when the operation is not known.
    #[must_use]
    pub fn permissions(&self, method: &str, segments: &[String]) -> Option<&BTreeSet<String>> {
        self.document.wait().find(method, segments).map(|operation| &operation.permissions)
    }

    /// Checks an exchange, later.
    pub fn check(&self, sample: Sample) {
        // The thread ends only with the process.
        let _ = self.work.lock().unwrap_or_else(PoisonError::into_inner).send(Work::Check(Box::new(sample)));
    }

    /// The result, when everything handed in before has been checked.
    pub async fn settled(&self) -> Conformance {
        let (done, waiting) = oneshot::channel();
        let _ = self.work.lock().unwrap_or_else(PoisonError::into_inner).send(Work::Settle(done));
        let _ = waiting.await;
        self.result.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the result so far.
    pub fn clear(&self) {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        result.checked = 0;
        result.violations.clear();
    }

    /// The file that is used.
    #[must_use]
    pub fn place(&self) -> Option<PathBuf> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).schema.clone()
    }
}

impl Document {
    fn of(operations: Vec<Operation>) -> Self {
        let longest = operations.iter().map(|operation| operation.template.len()).max().unwrap_or(0);
        let mut by_length = vec![Vec::new(); longest + 1];
        for operation in operations {
            by_length[operation.template.len()].push(operation);
        }
        Self { operations: by_length }
    }

    fn find(&self, method: &str, segments: &[String]) -> Option<&Operation> {
        self.operations
            .get(segments.len())?
            .iter()
            .filter(|operation| operation.method == method)
            .filter_map(|operation| Some((literals(&operation.template, segments)?, operation)))
            .max_by_key(|(literals, _)| *literals)
            .map(|(_, operation)| operation)
    }
}

/// How many segments match literally; nothing when the template does not fit.
fn literals(template: &[String], segments: &[String]) -> Option<usize> {
    if template.len() != segments.len() {
        return None;
    }
    let mut count = 0;
    for (wanted, is) in template.iter().zip(segments) {
        if wanted == is {
            count += 1;
        } else if let Some(key) = wanted.strip_suffix("={}") {
            // `directoryRoles(roleTemplateId='…')`, split by the caller as by us.
            is.strip_prefix(key)?.strip_prefix('=')?;
            count += 1;
        } else if wanted != "{}" || is.starts_with('$') {
            return None;
        }
    }
    Some(count)
}

/// `/users/{user-id}` → `users`, `{}`; `/x(k='{k}')` → `x`, `k={}`.
fn template_of(path: &str) -> Vec<String> {
    let mut segments = Vec::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        match segment.strip_suffix("')").and_then(|rest| rest.split_once('(')) {
            Some((name, key)) => {
                segments.push(name.to_owned());
                segments.push(format!("{}={{}}", key.split('=').next().unwrap_or_default()));
            }
            None if segment.starts_with('{') => segments.push("{}".to_owned()),
            None => segments.push(segment.to_owned()),
        }
    }
    segments
}

fn find(given: Option<&Path>) -> Option<PathBuf> {
    if let Some(given) = given {
        return Some(given.to_owned());
    }
    if let Some(named) = std::env::var_os(PLACE_VARIABLE).filter(|named| !named.is_empty()) {
        return Some(PathBuf::from(named));
    }
    // From the workspace root, wherever below it we were started.
    let start = std::env::current_dir().ok()?;
    start
        .ancestors()
        .filter(|folder| folder.join("Cargo.toml").is_file())
        .map(|folder| folder.join(USUAL_PLACE))
        .find(|place| place.is_file())
        .and_then(|place| place.canonicalize().ok())
}

fn read(place: &Path, results: &Mutex<Conformance>) -> Option<Value> {
    let text = std::fs::read_to_string(place).map_err(|error| error.to_string());
    match text.and_then(|text| serde_norway::from_str::<Value>(&text).map_err(|error| error.to_string())) {
        Ok(root) => Some(root),
        Err(error) => {
            // A file that was named and cannot be read must not look like a clean result.
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.violations.push(Violation {
                number: 0,
                operation: place.display().to_string(),
                status: 0,
                part: "schema",
                problem: format!("cannot be read: {error}"),
            });
            None
        }
    }
}

fn operations_of(root: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    let paths = root.get("paths").and_then(Value::as_object).into_iter().flatten();
    for (path, item) in paths {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if method == "parameters" {
                continue;
            }
            let permissions = operation
                .pointer("/x-ms-graph-application-permissions/all")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect();
            operations.push(Operation {
                method: method.to_ascii_uppercase(),
                template: template_of(path),
                pointer: format!("/paths/{}/{method}", path.replace('~', "~0").replace('/', "~1")),
                permissions,
            });
        }
    }
    operations
}

fn check_all(root: Option<Value>, document: &OnceLock<Document>, results: &Mutex<Conformance>, queue: &Receiver<Work>) {
    let mut checker = root.as_ref().and_then(|root| Checker::new(root, document.wait()));
    while let Ok(work) = queue.recv() {
        match work {
            Work::Settle(done) => {
                let _ = done.send(());
            }
            Work::Check(sample) => {
                if let Some(checker) = &mut checker {
                    let found = checker.check(&sample);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.checked += 1;
                    results.violations.extend(found);
                }
            }
        }
    }
}

struct Checker<'a> {
    root: &'a Value,
    document: &'a Document,
    registry: Registry<'a>,
    validators: HashMap<String, Option<Validator>>,
}

impl<'a> Checker<'a> {
    fn new(root: &'a Value, document: &'a Document) -> Option<Self> {
        let registry = Registry::new().draft(Draft::Draft202012).add(DOCUMENT, root.clone()).ok()?.prepare().ok()?;
        Some(Self { root, document, registry, validators: HashMap::new() })
    }

    fn check(&mut self, sample: &Sample) -> Vec<Violation> {
        let name = format!("{} /{}", sample.method, sample.segments.join("/"));
        let violation = |part: &'static str, problem: String| Violation {
            number: sample.number,
            operation: name.clone(),
            status: sample.status,
            part,
            problem,
        };
        let Some(operation) = self.document.find(&sample.method, &sample.segments) else {
            return vec![violation("request", "no such operation in the schema".to_owned())];
        };
        let pointer = operation.pointer.clone();
        let mut found = Vec::new();
        for problem in self.query_problems(&pointer, sample) {
            found.push(violation("query", problem));
        }
        let body = format!("{pointer}/requestBody/content/application~1json/schema");
        match &sample.request {
            Some(request) if self.root.pointer(&body).is_some() => {
                found.extend(self.problems(&body, request).into_iter().map(|problem| violation("request", problem)));
            }
            Some(Value::Object(members)) if members.is_empty() => {}
            Some(_) => found.push(violation("request", "a body where none belongs".to_owned())),
            None if self.root.pointer(&format!("{pointer}/requestBody/required")) == Some(&json!(true)) => {
                found.push(violation("request", "no body where one is required".to_owned()));
            }
            None => {}
        }
        let responses = format!("{pointer}/responses");
        let response = [sample.status.to_string(), "default".to_owned()]
            .into_iter()
            .map(|status| format!("{responses}/{status}"))
            .find(|pointer| self.root.pointer(pointer).is_some());
        let Some(response) = response else {
            found.push(violation("response", "this status is not foreseen".to_owned()));
            return found;
        };
        if sample.status < 400 && response.ends_with("/default") {
            found.push(violation("response", "this status is not foreseen".to_owned()));
        }
        let response = self
            .root
            .pointer(&format!("{response}/$ref"))
            .and_then(Value::as_str)
            .map_or_else(|| response.clone(), |reference| reference.trim_start_matches('#').to_owned());
        // A count is plain text.
        let schema = ["application~1json", "text~1plain"]
            .into_iter()
            .map(|kind| format!("{response}/content/{kind}/schema"))
            .find(|schema| self.root.pointer(schema).is_some())
            .unwrap_or_default();
        match (&sample.response, !schema.is_empty()) {
            (Some(body), true) => {
                found.extend(self.problems(&schema, body).into_iter().map(|problem| violation("response", problem)));
            }
            (None, true) => found.push(violation("response", "no body where one is required".to_owned())),
            (Some(_), false) => found.push(violation("response", "a body where none belongs".to_owned())),
            (None, false) => {}
        }
        found
    }

    fn problems(&mut self, pointer: &str, instance: &Value) -> Vec<String> {
        if !self.validators.contains_key(pointer) {
            let schema = self.root.pointer(pointer).cloned().map(absolute);
            let validator = schema.and_then(|schema| {
                jsonschema::options().with_draft(Draft::Draft202012).with_registry(&self.registry).build(&schema).ok()
            });
            self.validators.insert(pointer.to_owned(), validator);
        }
        match self.validators.get(pointer) {
            Some(Some(validator)) => validator
                .iter_errors(instance)
                .map(|error| format!("{} at {} (by {})", error.masked(), error.instance_path(), error.schema_path()))
                .collect(),
            _ => vec![format!("the schema at {pointer} cannot be used")],
        }
    }

    fn query_problems(&self, pointer: &str, sample: &Sample) -> Vec<String> {
        let mut known = HashMap::new();
        let parameters = self.root.pointer(&format!("{pointer}/parameters")).and_then(Value::as_array);
        for parameter in parameters.into_iter().flatten() {
            let parameter = parameter
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| self.root.pointer(reference.trim_start_matches('#')))
                .unwrap_or(parameter);
            let place = parameter.get("in").and_then(Value::as_str).unwrap_or_default();
            let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
            known.insert((place, name), parameter);
        }
        let mut problems = Vec::new();
        for (name, value) in &sample.query {
            match known.get(&("query", name.as_str())) {
                // Stands in the links that a delta query answers with.
                None if name == "$deltatoken" && sample.segments.last().is_some_and(|last| last == "delta") => {}
                None => problems.push(format!("the parameter '{name}' does not exist here")),
                Some(parameter) if !fits(parameter.get("schema"), value) => {
                    problems.push(format!("the parameter '{name}' has an impossible value"));
                }
                Some(_) => {}
            }
        }
        for ((place, name), parameter) in &known {
            let required = parameter.get("required") == Some(&json!(true));
            let present = match *place {
                "query" => sample.query.iter().any(|(known, _)| known == name),
                "header" if *name == "ConsistencyLevel" => sample.consistency_level.is_some(),
                _ => true,
            };
            if required && !present {
                problems.push(format!("the {place} parameter '{name}' is missing"));
            }
        }
        problems
    }
}

fn fits(schema: Option<&Value>, value: &str) -> bool {
    let text = |name: &str| schema.and_then(|schema| schema.get(name));
    match text("type").and_then(Value::as_str) {
        Some("integer") => value.parse::<i64>().is_ok_and(|number| {
            text("minimum").and_then(Value::as_i64).is_none_or(|least| number >= least)
                && text("maximum").and_then(Value::as_i64).is_none_or(|most| number <= most)
        }),
        Some("boolean") => matches!(value, "true" | "false"),
        _ => true,
    }
}

/// Makes references inside the document absolute, so that a part of it can stand alone.
fn absolute(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                *value = match value.take() {
                    Value::String(target) if name == "$ref" && target.starts_with('#') => {
                        json!(format!("{DOCUMENT}{target}"))
                    }
                    other => absolute(other),
                };
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = absolute(item.take());
            }
        }
        _ => {}
    }
    schema
}

fn built_in_operations() -> Vec<Operation> {
    BUILT_IN
        .iter()
        .map(|(method, path, permissions)| Operation {
            method: (*method).to_owned(),
            template: template_of(path),
            pointer: String::new(),
            permissions: permissions.split_whitespace().map(str::to_owned).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn segments(path: &str) -> Vec<String> {
        path.split('/').map(str::to_owned).collect()
    }

    #[test]
    fn the_most_literal_template_wins() {
        let document = Document::of(built_in_operations());
        let found = document.find("GET", &segments("directory/deletedItems/microsoft.graph.user")).unwrap();
        assert_eq!(found.template[2], "microsoft.graph.user");
        assert!(document.find("GET", &segments("users/$value")).is_none());
        assert!(document.find("PUT", &segments("users/1")).is_none());
    }

    #[test]
    fn keys_in_parentheses_are_split() {
        assert_eq!(
            template_of("/directoryRoles(roleTemplateId='{roleTemplateId}')"),
            ["directoryRoles", "roleTemplateId={}"]
        );
        let template = template_of("/servicePrincipals(appId='{appId}')");
        assert_eq!(literals(&template, &segments("servicePrincipals/appId=1")), Some(2));
        assert_eq!(literals(&template, &segments("servicePrincipals/1")), None);
    }
}
