//! From the bytes of a message to a request, or to an error that says exactly what is wrong with them.
//!
//! Pure. An error keeps the request's id whenever it can be read, so that the asker is not left waiting.

use latchkey_protocol::{ErrorBody, ErrorCode, PROTOCOL_VERSION, RequestFrame, RequestId};
use serde_json::Value;

/// The closed set of verbs, as they stand on the wire.
const VERBS: [&str; 14] = [
    "hello",
    "list_tenants",
    "start_lease",
    "fill_credential",
    "confirm_sign_in",
    "reveal_credential",
    "replace_credential",
    "assert_passkey",
    "verify_person",
    "end_lease",
    "extend_lease",
    "list_leases",
    "note_unknown_page",
    "examine",
];

/// A message that is not a request of this protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// The request, if it can be told.
    pub(crate) id: Option<RequestId>,
    /// What is wrong.
    pub(crate) error: ErrorBody,
}

/// Reads one message.
pub(crate) fn parse(message: &[u8]) -> Result<RequestFrame, Unreadable> {
    let value: Value = serde_json::from_slice(message)
        .map_err(|error| malformed(None, format!("The message is not JSON: {}.", without_content(&error))))?;
    let id = value.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok()).map(RequestId);
    let request = value.get("request");
    if let Some(verb) = request.and_then(|request| request.get("verb")).and_then(Value::as_str) {
        if !VERBS.contains(&verb) {
            let verb: String = verb.chars().filter(|letter| letter.is_ascii_graphic()).take(40).collect();
            let error = ErrorBody::new(
                ErrorCode::UnknownVerb,
                format!("This host does not know the verb \"{verb}\"."),
                "Update Latchkey on this machine, or the extension, so that both have the same version.",
            );
            return Err(Unreadable { id, error });
        }
        // A newer hello may carry fields that this version does not know; the number comes first.
        let protocol = request.and_then(|request| request.get("protocol")).and_then(Value::as_u64);
        if verb == "hello" && protocol.is_some_and(|protocol| protocol != u64::from(PROTOCOL_VERSION)) {
            return Err(Unreadable { id, error: unsupported(protocol.unwrap_or_default()) });
        }
    }
    serde_json::from_value(value)
        .map_err(|error| malformed(id, format!("The message is not a request: {}.", without_content(&error))))
}

fn unsupported(protocol: u64) -> ErrorBody {
    let next_step = if protocol > u64::from(PROTOCOL_VERSION) {
        "Update Latchkey on this machine: the extension is newer."
    } else {
        "Update the extension: Latchkey on this machine is newer."
    };
    ErrorBody::new(
        ErrorCode::UnsupportedProtocol,
        format!("The extension speaks version {protocol} of the protocol, this host version {PROTOCOL_VERSION}."),
        next_step,
    )
}

fn malformed(id: Option<RequestId>, message: String) -> Unreadable {
    let error = ErrorBody::new(
        ErrorCode::MalformedMessage,
        message,
        "Update Latchkey and the extension to the same version; if they are, report this.",
    );
    Unreadable { id, error }
}

/// What serde says, cut short: it quotes parts of the message.
fn without_content(error: &serde_json::Error) -> String {
    let text: String = error.to_string().chars().filter(|letter| !letter.is_control()).take(160).collect();
    text.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use latchkey_protocol::Request;
    use proptest::prelude::*;

    fn refused(text: &str) -> (Option<u32>, ErrorCode) {
        let unreadable = parse(text.as_bytes()).unwrap_err();
        (unreadable.id.map(|id| id.0), unreadable.error.code)
    }

    #[test]
    fn every_request_of_the_golden_files_is_read() {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/fixtures");
        let mut seen = std::collections::BTreeSet::new();
        for file in std::fs::read_dir(fixtures).unwrap() {
            let file = file.unwrap();
            if file.file_name().to_str().unwrap().starts_with("request-") {
                let frame = parse(&std::fs::read(file.path()).unwrap()).unwrap();
                let verb = serde_json::to_value(&frame.request).unwrap()["verb"].as_str().unwrap().to_owned();
                // Exhaustive on purpose: a new verb must be added to VERBS as well.
                match frame.request {
                    Request::Hello(_)
                    | Request::ListTenants { .. }
                    | Request::StartLease { .. }
                    | Request::FillCredential { .. }
                    | Request::ConfirmSignIn { .. }
                    | Request::RevealCredential { .. }
                    | Request::EndLease { .. }
                    | Request::ExtendLease { .. }
                    | Request::ListLeases {}
                    | Request::NoteUnknownPage {}
                    | Request::ReplaceCredential { .. }
                    | Request::AssertPasskey { .. }
                    | Request::VerifyPerson { .. }
                    | Request::Examine {} => seen.insert(verb),
                };
            }
        }
        let known: std::collections::BTreeSet<String> = VERBS.iter().map(|verb| (*verb).to_owned()).collect();
        assert_eq!(seen, known);
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        assert_eq!(refused("{"), (None, ErrorCode::MalformedMessage));
        assert_eq!(refused(""), (None, ErrorCode::MalformedMessage));
        assert_eq!(refused("[]"), (None, ErrorCode::MalformedMessage));
        assert_eq!(refused(r#"{"id":-1,"request":{}}"#), (None, ErrorCode::MalformedMessage));
        assert_eq!(refused(r#"{"id":7,"request":{"verb":"format_disk"}}"#), (Some(7), ErrorCode::UnknownVerb));
        assert_eq!(
            refused(r#"{"id":7,"request":{"verb":"list_leases","also":1}}"#),
            (Some(7), ErrorCode::MalformedMessage)
        );
        assert_eq!(
            refused(r#"{"id":1,"request":{"verb":"hello","protocol":2,"extension_version":"9","new_field":true}}"#),
            (Some(1), ErrorCode::UnsupportedProtocol)
        );
        assert_eq!(
            refused(r#"{"id":1,"request":{"verb":"hello","extension_version":"9"}}"#),
            (Some(1), ErrorCode::MalformedMessage)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn errors_stay_short(text in "\\PC{0,2000}") {
            let message = serde_json::json!({"id": 3, "request": {"verb": text, "x": text}}).to_string();
            let unreadable = parse(message.as_bytes()).unwrap_err();
            prop_assert!(unreadable.error.message.len() < 1000);
        }
    }
}
