//! Why the native host cannot be reached, as a sentence and what to do.

use crate::words::Word;

/// What the browser's words for a lost host mean. Chromium and Firefox, from measurements; anything else counts as a
/// host that stopped.
#[must_use]
pub fn why_gone(reason: Option<&str>) -> (Word, Word) {
    let reason = reason.unwrap_or_default().as_bytes();
    // Searching bytes: the standard library's search in text is many times larger as WASM.
    let says = |words: &str| reason.windows(words.len()).any(|part| part.eq_ignore_ascii_case(words.as_bytes()));
    if says("host not found") || says("no such native application") {
        (Word::HostMissing, Word::HostMissingAdvice)
    } else if says("forbidden") {
        (Word::HostForbidden, Word::HostForbiddenAdvice)
    } else if says("disabled by the system administrator") {
        (Word::HostBlocked, Word::HostBlockedAdvice)
    } else if says("error when communicating") || says("exceeds the limit") {
        (Word::HostGarbled, Word::HostGarbledAdvice)
    } else {
        (Word::HostExited, Word::HostExitedAdvice)
    }
}
