//! Runs other programs, saying which, and fails with their name when they do.

use std::{ffi::OsStr, process::Command};

use anyhow::{Context, bail};

/// A command that has not been started.
pub fn command<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Prints the command, runs it with this terminal, and fails unless it succeeds.
pub fn execute(command: &mut Command) -> anyhow::Result<()> {
    eprintln!("$ {}", words(command));
    let status = command.status().with_context(|| format!("{} could not be started", words(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", words(command));
    }
    Ok(())
}

/// Runs a command quietly and returns its standard output.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{} could not be started", words(command)))?;
    if !output.status.success() {
        bail!("{} failed ({}): {}", words(command), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program is there and answers.
pub fn answers(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

fn words(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| {
            // Of a script its first line says enough.
            let word = word.to_string_lossy();
            word.split_once('\n').map_or_else(|| word.to_string(), |(first, _)| format!("{first} …"))
        })
        .collect::<Vec<_>>()
        .join(" ")
}
