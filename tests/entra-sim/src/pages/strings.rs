//! The words of the pages in twelve languages and more. A word that a language lacks is English, as in a half-translated
//! product; ids and names never change with the language.

use std::sync::OnceLock;

use serde_json::{Map, Value};

/// The words of one language, by key.
#[derive(Clone, Debug)]
pub(super) struct Strings(Map<String, Value>);

impl Strings {
    /// The words of `language` (`de`, `ja`, `ar-SA` …); English when it is not known.
    #[must_use]
    pub(super) fn of(language: &str) -> Self {
        let all = all();
        let primary = language.split(['-', '_', ' ']).next().unwrap_or_default().to_ascii_lowercase();
        let mut words = all.get("en").and_then(Value::as_object).cloned().unwrap_or_default();
        if let Some(Value::Object(own)) = all.get(&primary) {
            words.extend(own.clone());
            words.insert("language".to_owned(), Value::from(primary));
        } else {
            words.insert("language".to_owned(), Value::from("en"));
        }
        Self(words)
    }

    /// One word; its key when it is not there.
    #[must_use]
    pub(super) fn word(&self, key: &str) -> String {
        self.0.get(key).and_then(Value::as_str).unwrap_or(key).to_owned()
    }

    /// One word with `{0}` filled in.
    #[must_use]
    pub(super) fn word_with(&self, key: &str, value: &str) -> String {
        self.word(key).replace("{0}", value)
    }

    /// The sentence for an AADSTS number.
    #[must_use]
    pub(super) fn error(&self, number: u32) -> String {
        let key = format!("e{number}");
        match self.0.get(&key).and_then(Value::as_str) {
            Some(sentence) => sentence.to_owned(),
            None => format!("{} AADSTS{number}", self.word("trouble")),
        }
    }

    /// All of them.
    #[must_use]
    pub(super) fn as_value(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

/// The languages there are.
#[must_use]
pub(super) fn languages() -> Vec<String> {
    all().keys().cloned().collect()
}

fn all() -> &'static Map<String, Value> {
    static ALL: OnceLock<Map<String, Value>> = OnceLock::new();
    // The file is part of the program; a test reads it.
    ALL.get_or_init(|| serde_json::from_str(include_str!("../../assets/strings.json")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_languages_and_more_have_the_words_of_the_main_path() {
        assert!(languages().len() >= 12);
        let english = Strings::of("en");
        for language in languages().iter().filter(|language| *language != "en") {
            let own = Strings::of(language);
            for key in ["title", "next", "enterAccessPass", "kmsiTitle", "yes"] {
                assert_ne!(own.word(key), english.word(key), "{language} {key}");
            }
        }
    }

    #[test]
    fn a_missing_word_is_english_and_an_unknown_language_too() {
        assert_eq!(Strings::of("ja").word("skipForNow"), Strings::of("en").word("skipForNow"));
        assert_eq!(Strings::of("tlh").word("next"), "Next");
        assert_eq!(Strings::of("ar-SA").word("dir"), "rtl");
    }
}
