//! Every command that a guide, a help text or a message names is one that this program takes, so that none of them rots.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use crate::cli::CommandLine;

/// A command that is named somewhere.
struct Named {
    place: String,
    words: Vec<String>,
    /// Said in passing (`latchkey tenant`, `latchkey install --browser`), so that arguments and values may be left out.
    in_passing: bool,
}

#[test]
fn every_command_in_a_guide_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut named = Vec::new();
    for file in files(&root.join("docs"), "md").into_iter().chain(files(root, "md")) {
        let text = std::fs::read_to_string(&file).unwrap();
        named.extend(in_blocks(&file.display().to_string(), &text));
        named.extend(in_code_spans(&file.display().to_string(), &text));
    }
    assert!(named.iter().filter(|command| !command.in_passing).count() > 10, "the guides were not found");
    check(&named);
}

#[test]
fn every_command_in_a_help_text_is_one() {
    let mut named = Vec::new();
    let mut open = vec![CommandLine::command()];
    while let Some(command) = open.pop() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = help.split_once("Example").map(|(_, examples)| examples.to_owned()).unwrap_or_default();
        let place = format!("the help of {}", command.get_name());
        for line in joined(&examples).iter().map(|line| line.trim()).filter(|line| line.contains("latchkey ")) {
            // What an example is for stands beside it, a few spaces away.
            let command = line.split("   ").next().unwrap_or_default();
            named.extend(commands(&place, command, false));
        }
        open.extend(command.get_subcommands().cloned());
    }
    assert!(named.len() > 10, "the examples were not found");
    check(&named);
}

#[test]
fn every_command_in_a_message_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut named = Vec::new();
    for folder in ["engine/src", "native-host/src", "wasm/src"] {
        for file in files_below(&root.join(folder), "rs") {
            let text = std::fs::read_to_string(&file).unwrap();
            let product = text.split("\n#[cfg(test)]\n").next().unwrap_or_default();
            for (open, close) in [("'latchkey ", '\''), ("“latchkey ", '”')] {
                for (start, _) in product.match_indices(open) {
                    let from = start + open.len() - "latchkey ".len();
                    let Some(length) = product[from..].find(close) else { continue };
                    // A text over several lines goes on after a backslash; what is put in later is any word.
                    let said = joined(&product[from..from + length]).join(" ");
                    let said = said.split('{').map(|part| part.rsplit('}').next().unwrap_or_default());
                    named.extend(commands(&file.display().to_string(), &said.collect::<Vec<_>>().join("x"), true));
                }
            }
        }
    }
    assert!(named.len() > 30, "the messages were not found");
    check(&named);
}

fn check(named: &[Named]) {
    let mut wrong = Vec::new();
    for command in named {
        let Err(error) = CommandLine::try_parse_from(&command.words) else { continue };
        let is_fine = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
            ErrorKind::InvalidValue
            | ErrorKind::ValueValidation
            | ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => command.in_passing,
            _ => false,
        };
        if !is_fine {
            wrong.push(format!("{}: {}\n{error}", command.place, command.words.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Commands in blocks of shell input: lines after a prompt in `console` blocks, all lines in `sh` blocks.
fn in_blocks(place: &str, text: &str) -> Vec<Named> {
    let mut named = Vec::new();
    for block in text.split("\n```").skip(1).step_by(2) {
        let (kind, body) = block.split_once('\n').unwrap_or((block, ""));
        for line in joined(body) {
            let input = match (line.strip_prefix("$ "), kind.trim()) {
                (Some(input), _) => input.to_owned(),
                (None, "sh" | "bash") => line,
                _ => continue,
            };
            named.extend(commands(place, &input, false));
        }
    }
    named
}

/// Commands in `code spans` of the prose.
fn in_code_spans(place: &str, text: &str) -> Vec<Named> {
    let mut named = Vec::new();
    for (number, prose) in text.split("\n```").enumerate() {
        if number % 2 == 0 {
            // A span may go over the end of a line.
            let prose = prose.replace('\n', " ");
            let spans = prose.split('`').skip(1).step_by(2).filter(|span| span.starts_with("latchkey "));
            named.extend(spans.flat_map(|span| commands(place, span, true)));
        }
    }
    named
}

/// The calls of this program in a line of shell input.
fn commands(place: &str, input: &str, in_passing: bool) -> Vec<Named> {
    // Three dots stand for what everybody puts in for themselves.
    let elided = input.contains('…') || input.contains("...");
    let words = shlex::split(&input.replace('…', "x")).unwrap_or_default();
    let mut named = Vec::new();
    for call in words.split(|word| matches!(word.as_str(), "|" | "&&" | "||" | ";")) {
        let until_redirection = call.iter().position(|word| word.starts_with(['>', '<']) || word == "2>");
        let call = &call[..until_redirection.unwrap_or(call.len())];
        let is_before = |word: &String| word == "sudo" || (word.contains('=') && !word.starts_with('-'));
        let call: Vec<String> = call.iter().skip_while(|word| is_before(word)).cloned().collect();
        if call.first().is_some_and(|program| program == "latchkey") && !elided {
            named.push(Named { place: place.to_owned(), words: call, in_passing });
        }
    }
    named
}

/// Lines, with those that end in a backslash joined to the next.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let (part, more) = match line.trim_end().strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => last.push_str(part.trim_start()),
            None => lines.push(part.to_owned()),
        }
        goes_on = more;
    }
    lines
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    found.filter(|path| path.is_file() && path.extension().is_some_and(|found| found == extension)).collect()
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = files(folder, extension);
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        found.extend(files_below(&path, extension));
    }
    found
}
