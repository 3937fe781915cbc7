//! Reads one file into its types and finds everything that is wrong with it, not only the first.
//!
//! The types report one fault and stop. So what is faulty is taken out and the rest is read again, until it fits: the
//! faults come out one by one with their places, and what is left is what a program may still rely on when it must go
//! on in any case.

use std::ops::Range;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnostic::{Diagnostic, Place, is_named_like_a_secret};
use super::file::File;
use super::schema::Schema;

/// What a person is told who wrote a secret into the file.
pub(crate) const WHERE_SECRETS_LIVE: &str = "take the line out, and change the secret if others could read the file; secrets live in the key store of the \
     operating system alone, where 'latchkey tenant add' puts them";

/// The file that is number `number`, without what is wrong with it, and what is wrong with it.
pub(super) fn read(text: &str, number: usize) -> (File, Vec<Diagnostic>) {
    let (mut table, errors) = DeTable::parse_recoverable(text);
    let place = |span: Range<usize>| Place { file: number, span };
    let mut diagnostics: Vec<Diagnostic> = errors
        .iter()
        .map(|error| {
            let span = error.span().unwrap_or(0..0);
            Diagnostic::error(place(span), format!("this is not TOML: {}", error.message()), "")
        })
        .collect();
    let mut gaps = Vec::new();
    loop {
        let error = match File::deserialize(toml::Deserializer::from(table.clone())) {
            Ok(file) => return (file, diagnostics),
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let mut path = Vec::new();
        let whole = table.span();
        let taken = take_out(table.get_mut(), &whole, &span, &mut path);
        // After a fault in the syntax the parser fills gaps; what the types say about those is only an echo. So is what
        // they say about a section because something was taken out of it.
        let known = errors.iter().filter_map(toml::de::Error::span).any(|known| touches(&known, &span));
        if !known && !gaps.contains(&span) {
            diagnostics.push(match &taken {
                Some(Taken::Key(key)) => unknown_key(place(span), key, &path, Schema::of_the_file()),
                Some(Taken::ValueIn(_)) | None => Diagnostic::error(place(span), in_words(error.message()), ""),
            });
        }
        if let Some(Taken::ValueIn(section)) = &taken {
            gaps.push(section.clone());
        }
        if taken.is_none() {
            return (File::default(), diagnostics);
        }
    }
}

/// What was taken out because of a fault.
enum Taken {
    /// A key that is wrong itself.
    Key(String),
    /// A value, out of what stands there.
    ValueIn(Range<usize>),
}

/// Takes out the innermost thing that has exactly this span, and tells the keys that lead to it. The table itself
/// stands at `whole`.
fn take_out(
    table: &mut DeTable<'_>,
    whole: &Range<usize>,
    span: &Range<usize>,
    path: &mut Vec<String>,
) -> Option<Taken> {
    let wrong_key = table.keys().find(|key| key.span() == *span).cloned();
    if let Some(key) = wrong_key {
        table.remove(&key);
        return Some(Taken::Key(key.into_inner().into_owned()));
    }
    let mut found = None;
    for (key, value) in table.iter_mut() {
        path.push(key.get_ref().to_string());
        match take_out_of(value, span, path) {
            Some(Found::Inside(taken)) => return Some(taken),
            Some(Found::Itself) => {
                found = Some(key.clone());
                break;
            }
            None => {}
        }
        path.pop();
    }
    table.remove(&found?);
    Some(Taken::ValueIn(whole.clone()))
}

/// Where in a value the span was.
enum Found {
    /// In it, and taken out.
    Inside(Taken),
    /// It is the value's own.
    Itself,
}

fn take_out_of(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>, path: &mut Vec<String>) -> Option<Found> {
    let whole = value.span();
    match value.get_mut() {
        DeValue::Table(table) => {
            if let Some(taken) = take_out(table, &whole, span, path) {
                return Some(Found::Inside(taken));
            }
        }
        DeValue::Array(array) => {
            let mut found = None;
            for mut element in std::mem::replace(array, DeArray::new()) {
                match found.is_none().then(|| take_out_of(&mut element, span, path)).flatten() {
                    Some(Found::Itself) => {
                        found = Some(Taken::ValueIn(whole.clone()));
                        continue;
                    }
                    Some(Found::Inside(taken)) => found = Some(taken),
                    None => {}
                }
                array.push(element);
            }
            if let Some(taken) = found {
                return Some(Found::Inside(taken));
            }
        }
        _ => {}
    }
    (whole == *span).then_some(Found::Itself)
}

fn touches(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start <= other.end && other.start <= one.end
}

fn unknown_key(place: Place, key: &str, path: &[String], schema: &Schema) -> Diagnostic {
    if is_named_like_a_secret(key) {
        return Diagnostic::error(
            place,
            format!("\"{key}\" looks like a secret, and secrets are never in this file"),
            WHERE_SECRETS_LIVE,
        );
    }
    let known = schema.keys_in(path);
    let section = if path.is_empty() { "the top of the file".to_owned() } else { path.join(".") };
    let next_step = match closest(key, &known) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None if known.is_empty() => String::new(),
        None => format!("known there: {}", known.join(", ")),
    };
    Diagnostic::error(place, format!("there is no key \"{key}\" in {section}"), next_step)
}

/// The word that was probably meant.
pub(crate) fn closest<'a>(said: &str, known: &'a [impl AsRef<str>]) -> Option<&'a str> {
    known
        .iter()
        .map(|word| (strsim::jaro_winkler(said, word.as_ref()), word.as_ref()))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, word)| word)
}

/// The reader's words in ours.
fn in_words(message: &str) -> String {
    if let Some((_, expected)) = message.strip_prefix("unknown variant").and_then(|rest| rest.rsplit_once("expected "))
    {
        return format!("this must be {}", expected.replace('`', "\""));
    }
    let words = [
        ("a string", "text in quotes"),
        ("path string", "text in quotes"),
        ("a sequence", "a list in [ ]"),
        ("a boolean", "true or false"),
        ("i64", "a whole number"),
        ("newtype variant", "a choice with its value, e.g. { shared = \"helpdesk\" }"),
    ];
    let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return message.replace("missing field", "there is no").replace('`', "\"");
    };
    // What was found is said by its kind alone: the value may be anything that a person pasted.
    let found = match found.split(' ').next().unwrap_or_default() {
        "string" => "text",
        "integer" => "a number",
        "floating" => "a number with a point",
        "boolean" => "true or false",
        "sequence" => "a list",
        "map" => "a section",
        _ => "something else",
    };
    let expected = words.iter().find(|(theirs, _)| *theirs == expected).map_or(expected, |(_, ours)| ours);
    format!("this must be {expected}, and is {found}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::diagnostic::position;
    use super::*;

    /// `line:column message` of everything that is wrong, by place.
    fn faults(text: &str) -> Vec<String> {
        let (_, mut diagnostics) = read(text, 0);
        diagnostics.sort_by_key(|diagnostic| diagnostic.place.span.start);
        diagnostics
            .iter()
            .map(|diagnostic| {
                let (line, column) = position(text, diagnostic.place.span.start);
                format!("{line}:{column} {} {}", diagnostic.message, diagnostic.next_step).trim_end().to_owned()
            })
            .collect()
    }

    #[test]
    fn everything_that_is_wrong_is_found_with_its_place() {
        let text = r#"technicain = "alex@msp.example"
account_prefix = "no spaces"
extension_ids = ["latchkey@msp.example", "x"]
[network]
proxy = "nowhere"
[access]
minutes = 0
maximum_minutes = "480"
reason = 1
ticket = "("
password_length = 200
leases_at_once = 1.5
login = "everybody"
[[tenants]]
minutes = 5
[[tenants]]
tenant = ""
[[technicians]]
name = "@"
groups = "Level 1"
[[entitlements]]
group = "Level 1"
roles = ["A", 2]
rolse = []
"#;
        let faults = faults(text);
        let expected = [
            "1:1 There is no key \"technicain\" in the top of the file. Did you mean \"technician\"?",
            "2:18 A prefix is made of",
            "3:42 This is not the id of an extension",
            "5:9 A proxy is an address such as",
            "7:11 Minutes are a whole number from 1 to 1440",
            "8:19 This must be a whole number, and is text.",
            "9:10 This must be true or false, and is a number.",
            "10:10 This is no regular expression (",
            "11:19 Passwords have 12 to 128 characters.",
            "12:18 This must be a whole number, and is a number with a point.",
            "13:9 This must be \"individual\" or \"shared\".",
            "14:1 There is no \"tenant\".",
            "17:10 A name must not be empty.",
            "19:8 This cannot name an account",
            "20:10 This must be a list in [ ], and is text.",
            "23:15 This must be text in quotes, and is a number.",
            "24:1 There is no key \"rolse\" in entitlements. Did you mean \"roles\"?",
        ];
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
        for (found, expected) in faults.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\n{expected}");
        }
    }

    #[test]
    fn an_event_that_is_none_gets_the_one_that_was_meant() {
        let of = |event: &str| faults(&format!("[webhook]\nevents = [\"lease_granted\", {event}]\n"));
        let meant = "2:28 There is no such event; did you mean \"end_verified\"?";
        assert_eq!(of("\"end_verifed\""), [meant]);
        // What is like none is not repeated: anything may have been pasted there.
        assert_eq!(of("\"hunter2\""), ["2:28 There is no such event; docs/audit.md lists them."]);
        assert!(of("\"end_failed\"").is_empty());
    }

    #[test]
    fn what_is_right_is_kept() {
        let (file, diagnostics) = read("technician = \"alex@msp.example\"\n[access]\nminutes = 0\nreason = true\n", 0);
        assert_eq!(diagnostics.len(), 1);
        assert_eq!(file.technician.unwrap().value().local_part(), "alex");
        assert!(*file.access.reason.unwrap().value());
        assert!(file.access.minutes.is_none());
    }

    #[test]
    fn broken_syntax_is_found_with_its_place_and_the_rest_is_read() {
        let faults = faults("technician = alex\n[access]\nminutes = 0\nreason = \n[[tenants]\n");
        assert!(faults[0].starts_with("1:14 This is not TOML: "), "{faults:#?}");
        assert!(faults.iter().any(|fault| fault.starts_with("3:11 Minutes are")), "{faults:#?}");
        assert!(faults.iter().any(|fault| fault.starts_with("4:")), "{faults:#?}");
        assert!(faults.iter().any(|fault| fault.starts_with("5:")), "{faults:#?}");
        let twice = super::read("technician = \"a\"\ntechnician = \"b\"\n", 0).1;
        assert_eq!(position("technician = \"a\"\ntechnician = \"b\"\n", twice[0].place.span.start), (2, 1));
    }

    #[test]
    fn a_secret_is_refused_by_its_key_and_never_repeated() {
        for key in ["client_secret", "password", "api-key", "accessToken", "Passphrase", "private_key"] {
            for text in
                [format!("{key} = \"hunter2\""), format!("[access]\n{key} = 2"), format!("[[tenants]]\n{key} = [1]")]
            {
                let faults = faults(&text);
                assert!(faults.iter().any(|fault| fault.contains("key store")), "{text}: {faults:?}");
                assert!(!faults.concat().contains("hunter2"), "{faults:?}");
            }
        }
        let misplaced =
            faults("[access]\nminutes = \"hunter2\"\nlogin = \"hunter2\"\n[network]\nproxy = \"hunter2\"\n");
        assert_eq!(misplaced.len(), 3);
        assert!(!misplaced.concat().contains("hunter2"), "{misplaced:?}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_fail(text in "(\\[{1,2}(access|tenants|network)\\]{1,2}|minutes|tenant|login|=|\"|\\{|\\}|[a-z0-9. ,]|\n){0,40}") {
            let (_, diagnostics) = read(&text, 0);
            for diagnostic in diagnostics {
                position(&text, diagnostic.place.span.start);
            }
        }
    }
}
