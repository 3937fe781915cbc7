//! Fills the page templates on the server, for the gallery; the pages' own engine fills the same files in the browser.
//!
//! The syntax is a small part of Mustache: `{{key}}` (escaped), `{{{key}}}` (as it is), `{{>partial}}`,
//! `{{#key}}…{{/key}}` for a flag, an object or a list, `{{^key}}…{{/key}}` for its absence, `{{.}}` for a plain item.

use serde_json::{Map, Value};

/// A template by its name.
#[must_use]
pub(super) fn view(name: &str) -> Option<&'static str> {
    VIEWS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Templates that come with the page's main script.
#[must_use]
pub(super) fn is_lazy(name: &str) -> bool {
    matches!(
        name,
        "access-pass"
            | "captcha"
            | "credential-picker"
            | "disambiguation"
            | "fido"
            | "idp-redirect"
            | "password"
            | "picker"
            | "remote-ngc"
    )
}

/// The templates of the main script as one object, or all of them.
#[must_use]
pub(super) fn main_script_views() -> Value {
    let views =
        VIEWS.iter().filter(|(name, _)| !is_lazy(name)).map(|(name, text)| ((*name).to_owned(), Value::from(*text)));
    Value::Object(views.collect())
}

/// Fills `template` from `context`. A key that is not there is empty; a partial that is not there is too.
#[must_use]
pub(super) fn fill(template: &str, context: &Map<String, Value>) -> String {
    let mut output = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        output.push_str(&rest[..start]);
        let tag = &rest[start + 2..];
        rest = if let Some(raw) = tag.strip_prefix('{') {
            let (key, after) = raw.split_once("}}}").unwrap_or((raw, ""));
            output.push_str(&text_of(look_up(context, key)));
            after
        } else {
            let (key, after) = tag.split_once("}}").unwrap_or((tag, ""));
            match key.split_at_checked(1) {
                Some((">", name)) => {
                    output.push_str(&fill(view(name).unwrap_or_default(), context));
                    after
                }
                Some((kind @ ("#" | "^"), name)) => {
                    let (inner, after) = after.split_once(&format!("{{{{/{name}}}}}")).unwrap_or((after, ""));
                    output.push_str(&section(kind == "#", look_up(context, name), inner, context));
                    after
                }
                _ => {
                    output.push_str(&escaped(&text_of(look_up(context, key))));
                    after
                }
            }
        };
    }
    output.push_str(rest);
    output
}

/// Text for HTML content and attributes.
#[must_use]
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn section(wanted: bool, value: Option<&Value>, inner: &str, context: &Map<String, Value>) -> String {
    let there = value.is_some_and(is_there);
    if there != wanted {
        return String::new();
    }
    match value {
        Some(Value::Array(items)) if wanted => items.iter().map(|item| fill(inner, &with(context, item))).collect(),
        Some(object @ Value::Object(_)) if wanted => fill(inner, &with(context, object)),
        _ => fill(inner, context),
    }
}

fn with(context: &Map<String, Value>, item: &Value) -> Map<String, Value> {
    let mut context = context.clone();
    match item {
        Value::Object(members) => context.extend(members.clone()),
        plain => {
            context.insert(".".to_owned(), plain.clone());
        }
    }
    context
}

fn look_up<'a>(context: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    if key == "." {
        return context.get(key);
    }
    let mut parts = key.split('.');
    let first = context.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

fn is_there(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
    }
}

fn text_of(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

macro_rules! views {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../assets/views/", $name, ".html")))),*]
    };
}

/// Every template under its file name.
const VIEWS: &[(&str, &str)] = views![
    "access-pass",
    "captcha",
    "change-password",
    "cmsi",
    "conditional-access",
    "consent",
    "credential-picker",
    "device-code",
    "disambiguation",
    "error",
    "fido",
    "identity",
    "identity-without-back",
    "idp-redirect",
    "kmsi",
    "layout",
    "message",
    "password",
    "picker",
    "proof-up",
    "remote-ngc",
    "switch",
    "tfa-code",
    "tfa-denied",
    "tfa-methods",
    "tfa-push",
    "tfa-timeout",
    "username",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn filled(template: &str, context: Value) -> String {
        fill(template, context.as_object().unwrap())
    }

    #[test]
    fn text_is_escaped_unless_it_is_asked_for_as_it_is() {
        let context = json!({"a": "<b>\"'&"});
        assert_eq!(filled("{{a}}|{{{a}}}|{{none}}", context), "&lt;b&gt;&quot;&#39;&amp;|<b>\"'&|");
    }

    #[test]
    fn sections_repeat_for_lists_and_vanish_for_absence() {
        let context =
            json!({"list": [{"n": 1}, {"n": 2}], "plain": ["x"], "flag": true, "empty": [], "t": {"word": "W"}});
        assert_eq!(
            filled(
                "{{#list}}{{n}}{{t.word}}{{/list}}{{#plain}}{{.}}{{/plain}}{{#none}}no{{/none}}{{^none}}yes{{/none}}{{^flag}}no{{/flag}}{{^empty}}!{{/empty}}",
                context
            ),
            "1W2Wxyes!"
        );
    }

    #[test]
    fn every_partial_and_section_of_every_view_is_closed() {
        for (name, text) in VIEWS {
            let mut rest = *text;
            while let Some(start) = rest.find("{{") {
                let (key, after) = rest[start + 2..].split_once("}}").unwrap();
                if let Some(partial) = key.strip_prefix('>') {
                    assert!(view(partial).is_some(), "{name}: no view {partial}");
                } else if let Some(section) = key.strip_prefix(['#', '^']) {
                    assert!(after.contains(&format!("{{{{/{section}}}}}")), "{name}: {section} stays open");
                }
                rest = after;
            }
        }
    }
}
