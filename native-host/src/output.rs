//! The one place that writes to standard output and standard error when a person started the program.
//!
//! Results go to standard output, everything else (questions, progress, problems) to standard error, so that output
//! can be piped. With `--json` a result is one JSON document. A reader that goes away (`latchkey list | head`) is not
//! an error. While a browser is at the other end this module must not be used: there, standard output is protocol.

mod hidden;

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use latchkey_protocol::ErrorBody;
use serde::Serialize;
use zeroize::Zeroizing;

/// How the person wants results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    color: bool,
    color_errors: bool,
}

/// What a line is about; decides its mark and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// As it should be.
    Good,
    /// Works, but somebody should look.
    Warning,
    /// Broken.
    Bad,
    /// Neither.
    Plain,
}

impl Mark {
    const fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Warning => "!",
            Self::Bad => "✗",
            Self::Plain => " ",
        }
    }

    const fn paint(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Plain => "",
        }
    }
}

impl Output {
    /// Colours only for a terminal, and not when `NO_COLOR` is set (no-color.org).
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json,
            quiet,
            color: wanted && std::io::stdout().is_terminal(),
            color_errors: wanted && std::io::stderr().is_terminal(),
        }
    }

    /// Writes a line of a result for people; nothing with `--json`.
    pub(crate) fn line(self, text: impl Display) {
        if !self.json && !self.quiet {
            write_out(&format!("{text}\n"));
        }
    }

    /// Writes a line with a mark in front.
    pub(crate) fn marked(self, mark: Mark, text: impl Display) {
        if self.color && mark != Mark::Plain {
            self.line(format_args!("  {}{}\x1b[0m {text}", mark.paint(), mark.sign()));
        } else {
            self.line(format_args!("  {} {text}", mark.sign()));
        }
    }

    /// Writes a problem and what to do about it.
    pub(crate) fn problem(self, mark: Mark, problem: &ErrorBody) {
        let problem = crate::failure::in_sentences(problem.clone());
        self.marked(mark, format_args!("{} {}", problem.message, problem.next_step));
    }

    /// Whether results may have colours.
    pub(crate) const fn colors(self) -> bool {
        self.color
    }

    /// Writes the result as a JSON document; nothing without `--json`.
    pub(crate) fn document(self, value: &impl Serialize) {
        if self.json {
            match serde_json::to_string_pretty(value) {
                Ok(text) => write_out(&format!("{text}\n")),
                Err(error) => self.note(format_args!("the result cannot be written as JSON: {error}")),
            }
        }
    }

    /// Writes text as it is, with or without `--json`: completions, help.
    pub(crate) fn raw(self, text: &str) {
        write_out(text);
    }

    /// Says something beside the result.
    pub(crate) fn note(self, text: impl Display) {
        if !self.quiet {
            write_error(&format!("{text}\n"));
        }
    }

    /// Reports the error that ends the command.
    pub(crate) fn error(self, error: &ErrorBody) {
        let error = &crate::failure::in_sentences(error.clone());
        if self.json {
            let text = serde_json::to_string(error).unwrap_or_else(|_| error.message.clone());
            write_error(&format!("{text}\n"));
            return;
        }
        let (paint, plain) = if self.color_errors { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let tenant = error.tenant.as_ref().map(|tenant| format!(" ({tenant})")).unwrap_or_default();
        let mut text = format!("{paint}error{plain}{tenant}: {}\n", error.message);
        if !error.next_step.is_empty() {
            text.push_str(&format!("  {}\n", error.next_step));
        }
        text.push_str(&format!("  [{} {}", error.code.number(), error.code.name()));
        if let Some(id) = &error.graph_request_id {
            text.push_str(&format!(", request-id {id}"));
        }
        text.push_str("]\n");
        write_error(&text);
    }

    /// Asks a question on standard error and reads the answer from a terminal.
    pub(crate) fn ask(self, question: &str, default: Option<&str>) -> std::io::Result<String> {
        let shown = default.map(|default| format!(" [{default}]")).unwrap_or_default();
        write_error(&format!("{question}{shown}: "));
        let mut answer = String::new();
        if std::io::stdin().read_line(&mut answer)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let answer = answer.trim();
        Ok(if answer.is_empty() { default.unwrap_or_default() } else { answer }.to_owned())
    }

    /// Asks for a secret on the terminal; what is typed is not shown.
    pub(crate) fn ask_hidden(self, question: &str) -> std::io::Result<Zeroizing<String>> {
        hidden::ask(&format!("{question}: "))
    }

    /// Whether there is somebody to ask.
    pub(crate) fn can_ask(self) -> bool {
        !self.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// A spinner for work that may last; appears after a second, and only on a terminal.
    pub(crate) fn progress(self, text: &str) -> Spinner {
        if self.json || self.quiet || !std::io::stderr().is_terminal() {
            return Spinner { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::with_draw_target(None, indicatif::ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(text.to_owned());
        let later = bar.downgrade();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(1));
            if let Some(bar) = later.upgrade().filter(|bar| !bar.is_finished()) {
                bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
                bar.enable_steady_tick(Duration::from_millis(120));
            }
        });
        Spinner { bar }
    }
}

/// Work under way. Gone from the screen when dropped.
#[derive(Debug)]
pub(crate) struct Spinner {
    bar: ProgressBar,
}

impl Spinner {
    /// Says what is being done now.
    pub(crate) fn say(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn write_out(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader has what it wanted; anything else about standard output cannot be told on it.
        std::process::exit(if error.kind() == ErrorKind::BrokenPipe { 0 } else { 1 });
    }
}

fn write_error(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
