//! Writes every word that Latchkey shows in a browser as a `messages.json` in English, to begin a language from.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use latchkey_protocol::ErrorCode;
use latchkey_wasm::words::{OptionsWord, Text, Word};

fn main() -> io::Result<()> {
    let mut messages = BTreeMap::new();
    let words = Word::ALL.iter().map(|word| (word.key(), word.english()));
    for (key, english) in words.chain(OptionsWord::ALL.iter().map(|word| (word.key(), word.english()))) {
        messages.insert(key.to_owned(), english.to_owned());
    }
    for code in ErrorCode::ALL {
        messages.insert(Text::error_key(*code), code.name().replace('_', " "));
    }
    let messages: BTreeMap<_, _> =
        messages.into_iter().map(|(key, message)| (key, serde_json::json!({ "message": message }))).collect();
    let mut output = io::stdout().lock();
    serde_json::to_writer_pretty(&mut output, &messages)?;
    writeln!(output)
}
