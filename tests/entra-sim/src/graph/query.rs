//! OData query options over collections and single objects: `$filter`, `$search`, `$orderby`, `$top`, `$skiptoken`,
//! `$select`, `$expand`, `$count`, and Graph's rule which of them need `ConsistencyLevel: eventual`.
//!
//! Facts: Microsoft Graph, advanced query capabilities on directory objects. What Graph is said to pass over in silence
//! (`$count` without the header) is refused here, because a client cannot mean it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::error::GraphError;
use super::{Call, Context, Handled, Reply};

/// Page size when none is asked for.
const DEFAULT_PAGE: usize = 100;
/// Largest page.
const LARGEST_PAGE: usize = 999;

/// What a collection allows and shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// Name in `@odata.context`.
    pub context: &'static str,
    /// Members shown without `$select`; empty means all that are not null.
    pub usual: &'static [&'static str],
    /// All members; empty means unknown names are let through.
    pub known: &'static [&'static str],
    /// A directory object: some queries need `ConsistencyLevel: eventual`.
    pub directory_object: bool,
    /// The service ignores `$filter`, `$search` and `$top` here.
    pub deaf: bool,
    /// A relationship of a directory object: whatever narrows or sorts it is an advanced query.
    pub reference: bool,
    /// Navigation properties that can be expanded.
    pub expandable: &'static [&'static str],
    /// What can be done with which property.
    pub rules: Rules,
}

/// What can be done with which property of a directory object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Name of the resource in refusals.
    pub resource: &'static str,
    /// Cannot be filtered by at all.
    pub unfilterable: &'static [&'static str],
    /// Can be filtered by in advanced queries only.
    pub advanced: &'static [&'static str],
    /// Can be compared, but not searched by `startsWith`.
    pub compared_only: &'static [&'static str],
    /// Can be sorted by.
    pub sortable: &'static [&'static str],
    /// Can be sorted by in advanced queries only.
    pub sortable_advanced: &'static [&'static str],
}

impl Rules {
    /// No restrictions.
    pub const NONE: Self = Self {
        resource: "",
        unfilterable: &[],
        advanced: &[],
        compared_only: &[],
        sortable: &[],
        sortable_advanced: &[],
    };
}

impl Shape {
    /// No directory object, and everything is let through.
    pub const PLAIN: Self = Self {
        context: "",
        usual: &[],
        known: &[],
        directory_object: false,
        deaf: false,
        reference: false,
        expandable: &[],
        rules: Rules::NONE,
    };
}

/// The only properties that can be searched by `endsWith`.
const ENDING: &[&str] = &["mail", "otherMails", "userPrincipalName", "proxyAddresses"];

/// Properties that are true or false.
const BOOLEANS: &[&str] = &[
    "accountEnabled",
    "isAssignableToRole",
    "isBuiltIn",
    "isEnabled",
    "mailEnabled",
    "onPremisesSyncEnabled",
    "securityEnabled",
    "showInAddressList",
];

/// The parsed options of one request.
#[derive(Clone, Debug, Default)]
pub struct Query {
    select: Option<Vec<String>>,
    filter: Option<Expression>,
    search: Vec<Clause>,
    order: Option<(String, bool)>,
    top: Option<usize>,
    skip: usize,
    count: bool,
    /// Navigation properties to expand.
    pub expand: Vec<String>,
}

/// One `"property:words"` of a `$search`.
#[derive(Clone, Debug, PartialEq)]
struct Clause {
    /// Instead of the ones before it, not besides.
    or: bool,
    property: String,
    words: String,
}

impl Query {
    /// Parses and checks the options of `call`.
    ///
    /// # Errors
    /// An option that does not exist, cannot be parsed, or is not allowed here.
    pub fn parse(call: &Call, shape: Shape) -> Result<Self, GraphError> {
        let mut query = Self::default();
        let eventual = call.eventual();
        let mut advanced = None;
        for (name, value) in &call.query {
            match name.as_str() {
                "$select" => {
                    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
                    for name in &names {
                        check_known(shape, name.split('/').next().unwrap_or(name))?;
                    }
                    query.select = Some(names);
                }
                "$expand" => {
                    query.expand = value
                        .split(',')
                        .map(|name| name.split('(').next().unwrap_or_default().trim().to_owned())
                        .collect();
                    if let Some(unknown) = query.expand.iter().find(|name| !shape.expandable.contains(&name.as_str())) {
                        return Err(no_such_property(unknown));
                    }
                }
                "$filter" | "$search" | "$top" if shape.deaf => {}
                "$filter" => {
                    let expression = Expression::parse(value)?;
                    expression.check(shape)?;
                    if shape.reference || expression.is_advanced(shape.rules) {
                        advanced = Some("$filter");
                    }
                    query.filter = Some(expression);
                }
                "$search" => {
                    advanced = Some("$search");
                    query.search = clauses(value)?;
                    for clause in &query.search {
                        check_known(shape, &clause.property)?;
                    }
                }
                "$orderby" => {
                    let (property, direction) = value.trim().split_once(' ').unwrap_or_else(|| (value.trim(), "asc"));
                    let descending = match direction.trim() {
                        "asc" => false,
                        "desc" => true,
                        _ => return Err(GraphError::bad_request("Invalid value for the query option '$orderby'.")),
                    };
                    check_known(shape, property)?;
                    let rules = shape.rules;
                    if shape.reference || rules.sortable_advanced.contains(&property) {
                        advanced = Some("$orderby");
                    } else if shape.directory_object && !rules.sortable.contains(&property) {
                        return Err(GraphError::unsupported_query(format!(
                            "Sorting by property '{property}' is not supported for resource '{}'.",
                            rules.resource
                        )));
                    }
                    query.order = Some((property.to_owned(), descending));
                }
                "$top" => {
                    let top: usize = value
                        .parse()
                        .map_err(|_| GraphError::bad_request("Invalid value for the query option '$top'."))?;
                    if !(1..=LARGEST_PAGE).contains(&top) {
                        return Err(GraphError::bad_request(format!(
                            "Invalid page size specified: '{top}'. Must be between 1 and {LARGEST_PAGE} inclusive."
                        )));
                    }
                    query.top = Some(top);
                }
                "$skiptoken" => query.skip = unseal(value)?,
                "$count" => {
                    query.count = match value.as_str() {
                        "true" => true,
                        "false" => false,
                        _ => return Err(GraphError::bad_request("Invalid value for the query option '$count'.")),
                    }
                }
                "$format" => {}
                other if other.starts_with('$') => {
                    return Err(GraphError::unsupported_query(format!("The query option '{other}' is not supported.")));
                }
                _ => {}
            }
        }
        if !shape.directory_object && !shape.reference {
            return Ok(query);
        }
        if query.filter.is_some() && query.order.is_some() {
            advanced = advanced.or(Some("$orderby with $filter"));
        }
        match advanced.or_else(|| query.count.then_some("$count")) {
            None => Ok(query),
            Some("$search") if !eventual => Err(GraphError::unsupported_query(
                "Request with $search query parameter only works through MSGraph with a special request header: \
                 'ConsistencyLevel: eventual'",
            )),
            Some("$search") if query.filter.is_some() && shape.reference => {
                Err(GraphError::unsupported_query("$search and $filter cannot be used together here."))
            }
            Some(option) if !eventual || (option != "$search" && !query.count) => {
                Err(GraphError::unsupported_query(format!(
                    "{option} is not supported because the required parameters might be missing. Try adding \
                     $count=true query parameter and ConsistencyLevel:eventual header. Refer to \
                     https://aka.ms/graph-docs/advanced-queries for more information"
                )))
            }
            Some(_) if !query.expand.is_empty() => {
                Err(GraphError::unsupported_query("$expand is not supported with advanced queries."))
            }
            Some(_) => Ok(query),
        }
    }

    /// Whether the filter holds for an object.
    #[must_use]
    pub fn wants(&self, object: &Value) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.holds(object))
    }

    /// Those of `objects` that are asked for.
    fn found(&self, objects: Vec<Value>) -> Vec<Value> {
        objects
            .into_iter()
            .filter(|object| self.wants(object))
            .filter(|object| {
                self.search.is_empty()
                    || self.search.iter().fold(true, |so_far, clause| match clause.or {
                        true => so_far || clause.holds(object),
                        false => so_far && clause.holds(object),
                    })
            })
            .collect()
    }

    /// One page of `objects`.
    #[must_use]
    pub fn page(&self, call: &Call, shape: Shape, objects: Vec<Value>) -> Reply {
        let mut found = self.found(objects);
        if let Some((property, descending)) = &self.order {
            found.sort_by_key(|object| object.get(property).map(|value| value.to_string().to_lowercase()));
            if *descending {
                found.reverse();
            }
        }
        let total = found.len();
        let size = self.top.unwrap_or(DEFAULT_PAGE);
        let page: Vec<Value> =
            found.into_iter().skip(self.skip).take(size).map(|object| self.shaped(shape, object)).collect();
        let mut body = Map::new();
        body.insert("@odata.context".to_owned(), json!(format!("{}/$metadata#{}", call.base, shape.context)));
        if self.count {
            body.insert("@odata.count".to_owned(), json!(total));
        }
        if self.skip + page.len() < total {
            let link = next_link(call, self.skip + page.len());
            body.insert("@odata.nextLink".to_owned(), json!(link));
        }
        body.insert("value".to_owned(), Value::Array(page));
        Reply::ok(Value::Object(body))
    }

    /// One object with its context.
    #[must_use]
    pub fn entity(&self, call: &Call, shape: Shape, object: Value) -> Reply {
        let mut shaped = self.shaped(shape, object);
        if let Some(members) = shaped.as_object_mut() {
            let context = format!("{}/$metadata#{}/$entity", call.base, shape.context);
            members.insert("@odata.context".to_owned(), json!(context));
        }
        Reply::ok(shaped)
    }

    /// The members of one object that are asked for.
    #[must_use]
    pub fn shaped(&self, shape: Shape, object: Value) -> Value {
        let Value::Object(members) = object else {
            return object;
        };
        let chosen = |name: &str| match &self.select {
            Some(names) => names.iter().any(|wanted| wanted.split('/').next() == Some(name)),
            None => shape.usual.is_empty() || shape.usual.contains(&name),
        };
        let kept = members.into_iter().filter(|(name, value)| {
            chosen(name) && (self.select.is_some() || !shape.usual.is_empty() || !value.is_null())
                || name.starts_with("@odata")
                || self.expand.contains(name)
        });
        Value::Object(kept.collect())
    }
}

/// The collection of `objects` that `call` asks for.
///
/// # Errors
/// The query options are not possible here.
pub fn collection(call: &Call, shape: Shape, objects: Vec<Value>) -> Handled {
    Ok(Query::parse(call, shape)?.page(call, shape, objects))
}

/// How many of `objects` `call` asks for: a number as plain text.
///
/// # Errors
/// The query options are not possible here, or the index was not asked.
pub fn counted(context: &Context<'_>, shape: Shape, objects: Vec<Value>) -> Handled {
    if !context.call.eventual() {
        return Err(GraphError::bad_request("$count is not currently supported."));
    }
    let mut call = context.call.clone();
    call.query.push(("$count".to_owned(), "true".to_owned()));
    let number = Query::parse(&call, shape)?.found(objects).len();
    let mut reply = Reply::ok(json!(number));
    reply.headers.push(("Content-Type", "text/plain".to_owned()));
    Ok(reply)
}

/// The one object that `call` asks for.
///
/// # Errors
/// The query options are not possible here.
pub fn entity(call: &Call, shape: Shape, object: Value) -> Handled {
    Ok(Query::parse(call, shape)?.entity(call, shape, object))
}

impl Clause {
    fn holds(&self, object: &Value) -> bool {
        let text = object.get(&self.property).and_then(Value::as_str).unwrap_or_default().to_lowercase();
        self.words
            .to_lowercase()
            .split_whitespace()
            .all(|word| text.split(|c: char| !c.is_alphanumeric()).any(|token| token.starts_with(word)))
    }
}

/// `"displayName:tech" OR "mail:tech"`: the quotation marks belong to it.
fn clauses(text: &str) -> Result<Vec<Clause>, GraphError> {
    let wrong = || {
        GraphError::new(
            400,
            "BadRequest",
            "Syntax error: $search needs clauses of the form \"property:value\", joined by AND or OR.",
        )
    };
    let mut found = Vec::new();
    let mut rest = text.trim();
    let mut or = false;
    loop {
        let (clause, tail) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')).ok_or_else(wrong)?;
        let (property, words) = clause.split_once(':').filter(|(_, words)| !words.is_empty()).ok_or_else(wrong)?;
        found.push(Clause { or, property: property.to_owned(), words: words.to_owned() });
        rest = tail.trim_start();
        if rest.is_empty() {
            return Ok(found);
        }
        let (joint, tail) = rest.split_once(' ').ok_or_else(wrong)?;
        or = match joint {
            "AND" => false,
            "OR" => true,
            _ => return Err(wrong()),
        };
        rest = tail.trim_start();
    }
}

fn check_known(shape: Shape, name: &str) -> Result<(), GraphError> {
    let known = shape.known.is_empty() || shape.known.contains(&name) || name.starts_with("extension_");
    if known { Ok(()) } else { Err(no_such_property(name)) }
}

fn no_such_property(name: &str) -> GraphError {
    GraphError::bad_request(format!("Could not find a property named '{name}' on this type."))
}

fn next_link(call: &Call, skip: usize) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in call.query.iter().filter(|(name, _)| name != "$skiptoken") {
        query.append_pair(name, value);
    }
    query.append_pair("$skiptoken", &URL_SAFE_NO_PAD.encode(format!("skip={skip}")));
    // `$` may stand in a query, and clients look for it unescaped.
    format!("{}/{}?{}", call.base, call.segments.join("/"), query.finish().replace("%24", "$"))
}

fn unseal(token: &str) -> Result<usize, GraphError> {
    URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix("skip=")?.parse().ok())
        .ok_or_else(|| {
            GraphError::new(400, "Directory_ExpiredPageToken", "The specified page token value is not valid.")
        })
}

/// A `$filter` expression.
#[derive(Clone, Debug, PartialEq)]
enum Expression {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Compare(String, String, Value),
    In(String, Vec<Value>),
    Text(String, String, String),
    Any(String, Option<(String, Value)>),
}

impl Expression {
    fn parse(text: &str) -> Result<Self, GraphError> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens, at: 0 };
        let expression = parser.or()?;
        if parser.at == parser.tokens.len() { Ok(expression) } else { Err(invalid_filter()) }
    }

    fn holds(&self, object: &Value) -> bool {
        match self {
            Self::And(left, right) => left.holds(object) && right.holds(object),
            Self::Or(left, right) => left.holds(object) || right.holds(object),
            Self::Not(inner) => !inner.holds(object),
            Self::Compare(path, operator, literal) => compare(at(object, path), operator, literal),
            Self::In(path, literals) => literals.iter().any(|literal| compare(at(object, path), "eq", literal)),
            Self::Text(function, path, part) => {
                let value = at(object, path).as_str().unwrap_or_default().to_lowercase();
                let part = part.to_lowercase();
                match function.as_str() {
                    "startswith" => value.starts_with(&part),
                    "endswith" => value.ends_with(&part),
                    _ => value.contains(&part),
                }
            }
            Self::Any(path, condition) => at(object, path).as_array().is_some_and(|items| match condition {
                None => !items.is_empty(),
                Some((operator, literal)) => items.iter().any(|item| compare(item, operator, literal)),
            }),
        }
    }

    /// Refuses what no query can do with a property.
    fn check(&self, shape: Shape) -> Result<(), GraphError> {
        let mut paths = Vec::new();
        self.paths(&mut paths);
        for path in paths {
            let (name, part) = path.split_once('/').map_or((path, None), |(name, part)| (name, Some(part)));
            check_known(shape, name)?;
            let wrong_part = part.is_some_and(|part| match name {
                "onPremisesExtensionAttributes" => !is_extension_attribute(part),
                _ => part.contains('$'),
            });
            if shape.rules.unfilterable.contains(&name) || wrong_part {
                return Err(GraphError::unsupported_query(format!(
                    "Unsupported or invalid query filter clause specified for property '{path}' of resource '{}'.",
                    shape.rules.resource
                )));
            }
        }
        self.check_operators(shape)
    }

    fn check_operators(&self, shape: Shape) -> Result<(), GraphError> {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.check_operators(shape)?;
                right.check_operators(shape)
            }
            Self::Not(inner) => inner.check_operators(shape),
            Self::Compare(path, _, literal) => {
                let name = path.split('/').next().unwrap_or(path);
                if BOOLEANS.contains(&name) && !literal.is_boolean() && !literal.is_null() {
                    return Err(GraphError::new(
                        400,
                        "BadRequest",
                        "A binary operator with incompatible types was detected: 'Edm.Boolean' and 'Edm.String'.",
                    ));
                }
                Ok(())
            }
            Self::Text(function, path, _) if shape.directory_object || shape.reference => {
                let name = path.split('/').next().unwrap_or(path);
                let possible = match function.as_str() {
                    "startswith" => !shape.rules.compared_only.contains(&name) && !BOOLEANS.contains(&name),
                    "endswith" => ENDING.contains(&name),
                    // Not on directory objects at all.
                    _ => false,
                };
                if possible {
                    return Ok(());
                }
                Err(GraphError::unsupported_query(format!(
                    "Unsupported or invalid query filter clause specified for property '{path}' of resource '{}'.",
                    shape.rules.resource
                )))
            }
            Self::In(..) | Self::Text(..) | Self::Any(..) => Ok(()),
        }
    }

    /// Whether it is served from the index only.
    fn is_advanced(&self, rules: Rules) -> bool {
        let by_property = |path: &str| rules.advanced.contains(&path.split('/').next().unwrap_or(path));
        match self {
            Self::And(left, right) | Self::Or(left, right) => left.is_advanced(rules) || right.is_advanced(rules),
            Self::Not(_) => true,
            Self::Compare(path, operator, literal) => operator == "ne" || literal.is_null() || by_property(path),
            Self::In(path, _) | Self::Any(path, _) => by_property(path),
            Self::Text(function, path, _) => function != "startswith" || by_property(path),
        }
    }

    fn paths<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.paths(found);
                right.paths(found);
            }
            Self::Not(inner) => inner.paths(found),
            Self::Compare(path, ..) | Self::In(path, _) | Self::Text(_, path, _) | Self::Any(path, _) => {
                found.push(path)
            }
        }
    }
}

/// `extensionAttribute1` to `extensionAttribute15`.
pub fn is_extension_attribute(name: &str) -> bool {
    let number = name.strip_prefix("extensionAttribute").and_then(|number| number.parse::<u8>().ok());
    number.is_some_and(|number| (1..=15).contains(&number))
}

fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('/').fold(object, |value, name| value.get(name).unwrap_or(&Value::Null))
}

fn compare(value: &Value, operator: &str, literal: &Value) -> bool {
    let order = match (value, literal) {
        (Value::String(value), Value::String(literal)) => Some(value.to_lowercase().cmp(&literal.to_lowercase())),
        (Value::Number(value), Value::Number(literal)) => value.as_f64().partial_cmp(&literal.as_f64()),
        (Value::Bool(value), Value::Bool(literal)) => Some(value.cmp(literal)),
        (Value::Null, Value::Null) => Some(std::cmp::Ordering::Equal),
        _ => None,
    };
    match (operator, order) {
        ("eq", Some(order)) => order.is_eq(),
        ("ne", order) => order.is_none_or(std::cmp::Ordering::is_ne),
        ("ge", Some(order)) => order.is_ge(),
        ("gt", Some(order)) => order.is_gt(),
        ("le", Some(order)) => order.is_le(),
        ("lt", Some(order)) => order.is_lt(),
        _ => false,
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Text(String),
    Word(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, GraphError> {
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(&next) = rest.peek() {
        match next {
            ' ' => {
                rest.next();
            }
            '(' | ')' | ',' => {
                rest.next();
                found.push(match next {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Comma,
                });
            }
            '\'' => {
                rest.next();
                let mut literal = String::new();
                loop {
                    match rest.next() {
                        Some('\'') if rest.peek() == Some(&'\'') => {
                            rest.next();
                            literal.push('\'');
                        }
                        Some('\'') => break,
                        Some(other) => literal.push(other),
                        None => return Err(invalid_filter()),
                    }
                }
                found.push(Token::Text(literal));
            }
            _ => {
                let mut word = String::new();
                while let Some(&other) = rest.peek() {
                    if matches!(other, ' ' | '(' | ')' | ',' | '\'') {
                        break;
                    }
                    word.push(other);
                    rest.next();
                }
                found.push(Token::Word(word));
            }
        }
    }
    Ok(found)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Expression, GraphError> {
        let mut left = self.and()?;
        while self.take_word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, GraphError> {
        let mut left = self.one()?;
        while self.take_word("and") {
            left = Expression::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Expression, GraphError> {
        if self.take(&Token::Open) {
            let inner = self.or()?;
            self.need(&Token::Close)?;
            return Ok(inner);
        }
        if self.take_word("not") {
            return Ok(Expression::Not(Box::new(self.one()?)));
        }
        let word = self.word()?;
        let function = word.to_lowercase();
        if matches!(function.as_str(), "startswith" | "endswith" | "contains") {
            self.need(&Token::Open)?;
            let path = self.word()?;
            self.need(&Token::Comma)?;
            let Value::String(part) = self.literal()? else {
                return Err(invalid_filter());
            };
            self.need(&Token::Close)?;
            return Ok(Expression::Text(function, path, part));
        }
        if let Some(path) = word.strip_suffix("/any") {
            self.need(&Token::Open)?;
            if self.take(&Token::Close) {
                return Ok(Expression::Any(path.to_owned(), None));
            }
            self.word()?;
            let operator = self.word()?;
            let literal = self.literal()?;
            self.need(&Token::Close)?;
            return Ok(Expression::Any(path.to_owned(), Some((operator, literal))));
        }
        let operator = self.word()?;
        if operator == "in" {
            self.need(&Token::Open)?;
            let mut literals = vec![self.literal()?];
            while self.take(&Token::Comma) {
                literals.push(self.literal()?);
            }
            self.need(&Token::Close)?;
            return Ok(Expression::In(word, literals));
        }
        if !matches!(operator.as_str(), "eq" | "ne" | "ge" | "gt" | "le" | "lt") {
            return Err(invalid_filter());
        }
        Ok(Expression::Compare(word, operator, self.literal()?))
    }

    fn literal(&mut self) -> Result<Value, GraphError> {
        let token = self.tokens.get(self.at).cloned().ok_or_else(invalid_filter)?;
        self.at += 1;
        match token {
            Token::Text(text) => Ok(Value::String(text)),
            Token::Word(word) => Ok(match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                other if is_bare_literal(other) => {
                    other.parse::<i64>().map_or_else(|_| Value::String(other.to_owned()), Value::from)
                }
                _ => return Err(invalid_filter()),
            }),
            Token::Open | Token::Close | Token::Comma => Err(invalid_filter()),
        }
    }

    fn word(&mut self) -> Result<String, GraphError> {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word.clone())
            }
            _ => Err(invalid_filter()),
        }
    }

    /// A keyword, in small or capital letters.
    fn take_word(&mut self, wanted: &str) -> bool {
        let there = matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        if there {
            self.at += 1;
        }
        there
    }

    fn take(&mut self, wanted: &Token) -> bool {
        let there = self.tokens.get(self.at) == Some(wanted);
        if there {
            self.at += 1;
        }
        there
    }

    fn need(&mut self, wanted: &Token) -> Result<(), GraphError> {
        if self.take(wanted) { Ok(()) } else { Err(invalid_filter()) }
    }
}

/// What may stand without quotation marks: a number, a moment, a day, an id.
fn is_bare_literal(text: &str) -> bool {
    text.parse::<i64>().is_ok()
        || text.parse::<jiff::Timestamp>().is_ok()
        || text.parse::<jiff::civil::Date>().is_ok()
        || uuid::Uuid::parse_str(text).is_ok()
}

fn invalid_filter() -> GraphError {
    GraphError::new(400, "BadRequest", "Invalid filter clause.")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn holds(filter: &str, object: &Value) -> bool {
        Expression::parse(filter).unwrap().holds(object)
    }

    #[test]
    fn filters_a_client_would_use() {
        let user = json!({
            "userPrincipalName": "jit-o'neil@contoso.com", "accountEnabled": true, "groupTypes": ["Unified"],
            "onPremisesExtensionAttributes": {"extensionAttribute10": "x"}, "createdDateTime": "2026-11-22T10:00:00Z",
        });
        for filter in [
            "userPrincipalName eq 'JIT-O''Neil@contoso.com'",
            "startswith(userPrincipalName,'jit-') and accountEnabled eq true",
            "endsWith(userPrincipalName, '@contoso.com') or accountEnabled eq false",
            "onPremisesExtensionAttributes/extensionAttribute10 eq 'x'",
            "groupTypes/any(c:c eq 'Unified')",
            "not (accountEnabled eq false)",
            "userPrincipalName in ('a','jit-o''neil@contoso.com')",
            "createdDateTime ge 2026-11-22T00:00:00Z",
            "missing eq null",
            "accountEnabled ne false",
        ] {
            assert!(holds(filter, &user), "{filter}");
        }
        assert!(!holds("userPrincipalName eq 'other'", &user));
    }

    #[test]
    fn what_is_searched_for_stands_in_quotation_marks() {
        let user = json!({"displayName": "Alex Tech", "mail": "alex@contoso.com"});
        let found = |text: &str| {
            clauses(text).map(|clauses| {
                clauses.iter().fold(true, |so_far, clause| {
                    if clause.or { so_far || clause.holds(&user) } else { so_far && clause.holds(&user) }
                })
            })
        };
        assert_eq!(found("\"displayName:te\"").ok(), Some(true));
        assert_eq!(found("\"displayName:nobody\" OR \"mail:alex\"").ok(), Some(true));
        assert_eq!(found("\"displayName:nobody\" AND \"mail:alex\"").ok(), Some(false));
        for wrong in ["displayName:te", "\"te\"", "\"displayName:te", "\"displayName:\"", "\"a:b\" \"c:d\"", ""] {
            assert!(found(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn filters_that_are_not_filters() {
        for filter in ["", "a eq", "a like 'b'", "a eq 'b", "(a eq 'b'", "a eq 'b' c", "a eq b"] {
            assert!(Expression::parse(filter).is_err(), "{filter}");
        }
    }
}
