//! OData query options over collections and single objects: `$filter`, `$search`, `$orderby`, `$top`, `$skiptoken`,
//! `$select`, `$expand`, `$count`, and Graph's rule which of them need `ConsistencyLevel: eventual`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::error::GraphError;
use super::{Call, Handled, Reply};

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
}

/// The parsed options of one request.
#[derive(Clone, Debug, Default)]
pub struct Query {
    select: Option<Vec<String>>,
    filter: Option<Expression>,
    search: Option<(String, String)>,
    order: Option<(String, bool)>,
    top: Option<usize>,
    skip: usize,
    count: bool,
    /// Navigation properties to expand.
    pub expand: Vec<String>,
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
                }
                "$filter" if shape.deaf => {}
                "$search" | "$top" if shape.deaf => {}
                "$filter" => {
                    let expression = Expression::parse(value)?;
                    let mut paths = Vec::new();
                    expression.paths(&mut paths);
                    for path in paths {
                        check_known(shape, path.split('/').next().unwrap_or(path))?;
                    }
                    if expression.is_advanced() {
                        advanced = Some("$filter");
                    }
                    query.filter = Some(expression);
                }
                "$search" => {
                    advanced = Some("$search");
                    let phrase = value.trim_matches('"');
                    let (property, words) = phrase
                        .split_once(':')
                        .ok_or_else(|| GraphError::unsupported_query("$search needs the form \"property:value\"."))?;
                    query.search = Some((property.to_owned(), words.to_owned()));
                }
                "$orderby" => {
                    let (property, direction) = value.trim().split_once(' ').unwrap_or_else(|| (value.trim(), "asc"));
                    if query.filter.is_some() {
                        advanced = Some("$orderby with $filter");
                    }
                    query.order = Some((property.to_owned(), direction.eq_ignore_ascii_case("desc")));
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
                "$count" => query.count = value == "true",
                "$format" => {}
                other if other.starts_with('$') => {
                    return Err(GraphError::unsupported_query(format!("The query option '{other}' is not supported.")));
                }
                _ => {}
            }
        }
        let needs_eventual = advanced.or_else(|| query.count.then_some("$count"));
        match needs_eventual {
            Some(option) if shape.directory_object && !eventual => Err(GraphError::unsupported_query(format!(
                "Unsupported Query: {option} needs the header 'ConsistencyLevel: eventual'."
            ))),
            Some("$filter" | "$orderby with $filter") if shape.directory_object && !query.count => {
                Err(GraphError::unsupported_query("Unsupported Query: this needs $count=true."))
            }
            _ => Ok(query),
        }
    }

    /// One page of `objects`.
    #[must_use]
    pub fn page(&self, call: &Call, shape: Shape, objects: Vec<Value>) -> Reply {
        let mut found: Vec<Value> = objects
            .into_iter()
            .filter(|object| self.filter.as_ref().is_none_or(|filter| filter.holds(object)))
            .filter(|object| {
                self.search.as_ref().is_none_or(|(property, words)| {
                    let text = object.get(property).and_then(Value::as_str).unwrap_or_default().to_lowercase();
                    words
                        .to_lowercase()
                        .split_whitespace()
                        .all(|word| text.split(|c: char| !c.is_alphanumeric()).any(|token| token.starts_with(word)))
                })
            })
            .collect();
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

    fn shaped(&self, shape: Shape, object: Value) -> Value {
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

/// The one object that `call` asks for.
///
/// # Errors
/// The query options are not possible here.
pub fn entity(call: &Call, shape: Shape, object: Value) -> Handled {
    Ok(Query::parse(call, shape)?.entity(call, shape, object))
}

fn check_known(shape: Shape, name: &str) -> Result<(), GraphError> {
    let known = shape.known.is_empty() || shape.known.contains(&name) || name.starts_with("extension_");
    if known {
        Ok(())
    } else {
        Err(GraphError::bad_request(format!("Could not find a property named '{name}' on this type.")))
    }
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

    /// Whether it is served from the index only.
    fn is_advanced(&self) -> bool {
        match self {
            Self::And(left, right) | Self::Or(left, right) => left.is_advanced() || right.is_advanced(),
            Self::Not(_) => true,
            Self::Compare(path, operator, literal) => {
                operator == "ne"
                    || path.starts_with("onPremisesExtensionAttributes/")
                    || (literal.is_null() && operator == "eq")
            }
            Self::In(..) | Self::Any(..) => false,
            Self::Text(function, ..) => function != "startswith",
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
                other => other.parse::<i64>().map_or_else(|_| Value::String(other.to_owned()), Value::from),
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

    fn take_word(&mut self, wanted: &str) -> bool {
        self.take(&Token::Word(wanted.to_owned()))
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
    fn filters_that_are_not_filters() {
        for filter in ["", "a eq", "a like 'b'", "a eq 'b", "(a eq 'b'", "a eq 'b' c"] {
            assert!(Expression::parse(filter).is_err(), "{filter}");
        }
    }
}
