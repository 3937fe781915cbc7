//! Writes every word that Latchkey shows in a browser as a `messages.json` in English, to begin a language from.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use latchkey_protocol::ErrorCode;
use latchkey_wasm::words::{Text, Word};

fn main() -> io::Result<()> {
    let mut messages = BTreeMap::new();
    for word in Word::ALL {
        messages.insert(word.key().to_owned(), word.english().to_owned());
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
