//! Turns failures of this machine into errors that say what to do next.

use std::io::ErrorKind;

use latchkey_protocol::{ErrorBody, ErrorCode};

/// The exit code of the process: one per family of error codes, so that scripts can tell them apart.
///
/// 1 something is broken (`doctor`), 2 the command line is wrong, 10 protocol and host, 20 this machine, 30 the app
/// credential, 40 Microsoft Graph, 50 the lease.
pub(crate) fn exit_code(error: &ErrorBody) -> u8 {
    u8::try_from(error.code.number() / 100 * 10).unwrap_or(1)
}

/// A failure to read or write a file, with what could not be done.
pub(crate) fn disk(error: &std::io::Error, what: &str) -> ErrorBody {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => ErrorBody::new(
            ErrorCode::DiskFull,
            format!("{what}: the disk is full."),
            "Free some space and try again; nothing was lost.",
        ),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => ErrorBody::new(
            ErrorCode::ConfigurationInvalid,
            format!("{what}: {error}."),
            "Check the owner and the mode of the folder.",
        ),
        _ => ErrorBody::new(
            ErrorCode::ConfigurationInvalid,
            format!("{what}: {error}."),
            "Run 'latchkey doctor' for what is wrong with this machine.",
        ),
    }
}

/// A fault of ours.
pub(crate) fn internal(what: impl std::fmt::Display) -> ErrorBody {
    ErrorBody::new(
        ErrorCode::Internal,
        format!("Latchkey failed: {what}."),
        "Look into the log that 'latchkey doctor' names, and report this.",
    )
}

/// The command line says something that cannot be done.
pub(crate) fn usage(message: impl Into<String>, next_step: impl Into<String>) -> ErrorBody {
    ErrorBody::new(ErrorCode::ConfigurationInvalid, message, next_step)
}

/// The text as a sentence: a capital letter at the beginning unless that is a name, a full stop at the end.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim();
    let first_word = text.split_whitespace().next().unwrap_or_default();
    let mut sentence = match text.chars().next() {
        Some(first) if first.is_ascii_lowercase() && first_word.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            first.to_ascii_uppercase().to_string() + &text[1..]
        }
        _ => text.to_owned(),
    };
    if !sentence.is_empty() && !sentence.ends_with(['.', '?', '!']) {
        sentence.push('.');
    }
    sentence
}

/// An error as a person reads it: both its texts are sentences.
pub(crate) fn in_sentences(mut error: ErrorBody) -> ErrorBody {
    error.message = sentence(&error.message);
    error.next_step = sentence(&error.next_step);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_sentences_and_names_stay() {
        assert_eq!(sentence("the disk is full"), "The disk is full.");
        assert_eq!(sentence("Did you mean A?"), "Did you mean A?");
        assert_eq!(sentence("jit-alex@contoso.com is not ours"), "jit-alex@contoso.com is not ours.");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn every_family_of_errors_has_its_exit_code() {
        let mut codes: Vec<u8> = ErrorCode::ALL.iter().map(|code| exit_code(&ErrorBody::new(*code, "", ""))).collect();
        codes.dedup();
        assert_eq!(codes, [10, 20, 30, 40, 50]);
    }
}
