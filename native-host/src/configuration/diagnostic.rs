//! What is wrong with a configuration file: a sentence, what to do, and the line and column.
//!
//! What looks like a secret is never shown, not even in the line that it makes wrong.

use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::sentence;

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What stands in it.
    pub(crate) text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and somebody should look.
    Warning,
}

/// A place in one of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which of the files that were read.
    pub(crate) file: usize,
    /// Where in it, in bytes.
    pub(crate) span: Range<usize>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do; may be empty.
    pub(crate) next_step: String,
    /// Where.
    pub(crate) place: Place,
    /// Another place that has to do with it, and what it has to do with it.
    pub(crate) beside: Option<(Place, String)>,
}

impl Diagnostic {
    /// Something that makes the file unusable.
    pub(crate) fn error(place: Place, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        let (message, next_step) = (sentence(&message.into()), sentence(&next_step.into()));
        Self { severity: Severity::Error, message, next_step, place, beside: None }
    }

    /// Something that somebody should look at.
    pub(crate) fn warning(place: Place, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message, next_step) }
    }

    /// The same, with a second place.
    pub(crate) fn beside(mut self, place: Place, what: impl Into<String>) -> Self {
        self.beside = Some((place, what.into()));
        self
    }

    /// `file:line:column`.
    pub(crate) fn at(&self, sources: &[Source]) -> String {
        let Some(source) = sources.get(self.place.file) else { return String::new() };
        let (line, column) = position(&source.text, self.place.span.start);
        format!("{}:{line}:{column}", source.path.display())
    }

    /// For programs.
    pub(crate) fn document(&self, sources: &[Source]) -> Value {
        let place = |place: &Place| {
            let source = sources.get(place.file)?;
            let ((line, column), (end_line, end_column)) =
                (position(&source.text, place.span.start), position(&source.text, place.span.end));
            Some((&source.path, line, column, end_line, end_column))
        };
        let mut document = json!({
            "severity": self.severity,
            "message": self.message,
            "next_step": self.next_step,
        });
        if let Some((path, line, column, end_line, end_column)) = place(&self.place) {
            document["file"] = json!(path);
            document["line"] = json!(line);
            document["column"] = json!(column);
            document["end_line"] = json!(end_line);
            document["end_column"] = json!(end_column);
        }
        document
    }

    /// For people: the sentence, the line with the place marked, and what to do.
    pub(crate) fn picture(&self, sources: &[Source], color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let Some(source) = sources.get(self.place.file) else {
            return format!("{} {}", self.message, self.next_step);
        };
        let shown = without_secrets(&source.text);
        let path = source.path.display().to_string();
        let mut snippet = Snippet::source(&shown)
            .path(&path)
            .annotation(AnnotationKind::Primary.span(within(&shown, &self.place.span)));
        let elsewhere = match &self.beside {
            Some((place, label)) if place.file == self.place.file => {
                snippet = snippet.annotation(AnnotationKind::Context.span(within(&shown, &place.span)).label(label));
                None
            }
            Some((place, label)) => sources.get(place.file).map(|source| (source, place, label)),
            None => None,
        };
        let mut group = level.primary_title(&self.message).element(snippet);
        let (other_text, other_path);
        if let Some((source, place, label)) = elsewhere {
            (other_text, other_path) = (without_secrets(&source.text), source.path.display().to_string());
            let annotation = AnnotationKind::Context.span(within(&other_text, &place.span)).label(label);
            group = group.element(Snippet::source(&other_text).path(&other_path).annotation(annotation));
        }
        if !self.next_step.is_empty() {
            group = group.element(Level::HELP.message(&self.next_step));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// Line and column of a byte, both from 1; columns count characters.
pub(crate) fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(byte)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// The span as far as it is in the text and between characters.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    start..text.ceil_char_boundary(span.end).max(start)
}

/// Whether a key is one under which people keep secrets.
pub(crate) fn is_named_like_a_secret(key: &str) -> bool {
    let key: String = key.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    ["secret", "password", "passwd", "passphrase", "passcode", "token", "privatekey", "apikey", "credential"]
        .iter()
        .any(|word| key.contains(word))
}

/// The text with stars in place of what may be a secret; every byte keeps its place.
///
/// Works on lines and not on what was parsed: a line that cannot be parsed may hold a secret all the same.
fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let hidden_from = line.find('=').filter(|equals| {
            let key = line[..*equals].rsplit('.').next().unwrap_or_default().trim();
            is_named_like_a_secret(&line[..*equals]) && key != "password_length"
        });
        let credentials =
            line.find("://").and_then(|start| Some((start + 3, start + 3 + line[start + 3..].find('@')?)));
        for (place, letter) in line.char_indices() {
            let hidden = hidden_from.is_some_and(|from| place > from)
                || credentials.is_some_and(|(from, to)| (from..to).contains(&place));
            match hidden && !letter.is_whitespace() {
                true => shown.extend(std::iter::repeat_n('*', letter.len_utf8())),
                false => shown.push(letter),
            }
        }
    }
    shown
}

/// The path as it is said to people.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn places_are_counted_as_editors_do() {
        let text = "a = 1\nü = \"x\"\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 6), (2, 1));
        assert_eq!(position(text, 7), (2, 1)); // inside the ü
        assert_eq!(position(text, 8), (2, 2));
        assert_eq!(position(text, 999), (3, 1));
    }

    #[test]
    fn secrets_are_covered_and_every_byte_keeps_its_place() {
        let text = "client_secret = \"hünter2\"\npassword_length = 40\n[network]\nproxy = \"http://u:hunter2@p:1\"\n\
                    \"api-key\" = hunter2\n{ webhook_token = \"hunter2\" }\n";
        let shown = without_secrets(text);
        assert_eq!(shown.len(), text.len());
        assert!(!shown.contains("nter2"), "{shown}");
        assert!(shown.contains("password_length = 40") && shown.contains("@p:1"), "{shown}");
    }

    #[test]
    fn a_picture_marks_the_place() {
        let sources = [Source { path: "config.toml".into(), text: "a = 1\nminutes = 0 # none\n".to_owned() }];
        let wrong = Diagnostic::error(Place { file: 0, span: 16..17 }, "minutes are a number", "say more");
        let picture = wrong.picture(&sources, false);
        assert_eq!(
            picture,
            "error: Minutes are a number.\n --> config.toml:2:11\n  |\n2 | minutes = 0 # none\n  |           ^\n  |\n  \
             = help: Say more."
        );
        assert_eq!(wrong.at(&sources), "config.toml:2:11");
        // A place that is not there (the file changed meanwhile) is no reason to fail.
        Diagnostic::error(Place { file: 0, span: 900..901 }, "x", "").picture(&sources, true);
        Diagnostic::error(Place { file: 7, span: 0..1 }, "x", "").picture(&sources, true);
    }
}
