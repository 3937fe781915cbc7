//! What an answer means: by HTTP status, `error.code`, `details[].code` and the age of the object, never by a message
//! alone.
//!
//! Facts: Microsoft Graph error responses; the role and user reference pages for what is a success already.

use std::time::Duration;

use super::Answer;
use crate::{EngineError, Failure, plan::Action};

/// Privileged Identity Management keeps what it assigned for five minutes.
const ROLE_TOO_YOUNG: &str = "ActiveDurationTooShort";

/// An answer that is not a success, or the lack of one.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// HTTP status; 0 when there was no answer.
    pub(crate) status: u16,
    /// `error.code`.
    pub(crate) code: Box<str>,
    /// `details[].code`.
    pub(crate) details: Vec<String>,
    /// Microsoft's words, for the log and for telling three kinds of `Request_BadRequest` apart.
    pub(crate) message: String,
    pub(crate) request_id: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    /// Whether the request may have taken effect, now or later.
    pub(crate) may_have_happened: bool,
    /// What stood in the way before Graph was asked: key store, token, limits.
    pub(crate) before: Option<Box<Failure>>,
    /// Nothing is wrong: others went out just now, and Graph's limits want turns taken.
    pub(crate) queued: bool,
}

impl Trouble {
    pub(crate) fn of_answer(answer: &Answer) -> Self {
        let error = &answer.body["error"];
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            status: answer.status,
            code: text(&error["code"]).into(),
            details: error["details"]
                .as_array()
                .map(|details| details.iter().map(|detail| text(&detail["code"])).collect())
                .unwrap_or_default(),
            message: text(&error["message"]),
            request_id: answer
                .request_id
                .clone()
                .or_else(|| error["innerError"]["request-id"].as_str().map(ToOwned::to_owned)),
            retry_after: answer.retry_after,
            may_have_happened: answer.status >= 500,
            before: None,
            queued: false,
        }
    }

    /// No answer. `sent` says whether anything may have reached Graph.
    pub(crate) fn silence(message: String, sent: bool) -> Self {
        Self {
            status: 0,
            code: Box::default(),
            details: Vec::new(),
            message,
            request_id: None,
            retry_after: None,
            may_have_happened: sent,
            before: None,
            queued: false,
        }
    }

    pub(crate) fn before_sending(failure: Failure, request_id: Option<String>) -> Self {
        Self { before: Some(Box::new(failure)), request_id, ..Self::silence(String::new(), false) }
    }

    /// Whether trying again later may help without anybody doing anything.
    pub(crate) fn passes(&self) -> bool {
        match self.before.as_deref() {
            Some(failure) => {
                matches!(failure, Failure::Throttled(_) | Failure::GraphUnavailable(_) | Failure::NetworkUnreachable(_))
            }
            None => matches!(self.status, 0 | 408 | 409 | 412 | 423 | 424 | 429 | 500..),
        }
    }

    /// As an error of the engine: what was to be done and why it was not.
    pub(crate) fn to_error(&self, action: &'static str) -> EngineError {
        let failure = match (&self.before, self.status) {
            (Some(failure), _) => failure.as_ref().clone(),
            (None, 0) => Failure::NetworkUnreachable(self.message.clone()),
            (None, 429) => Failure::Throttled(self.retry_after.map_or(1, |wait| wait.as_secs())),
            (None, 500..) => Failure::GraphUnavailable(self.status),
            (None, 400) if &*self.code == ROLE_TOO_YOUNG => Failure::RoleTooYoung,
            (None, status) => Failure::GraphRefused { action, status, code: self.code.to_string() },
        };
        EngineError::from(failure).with_request_id(self.request_id.clone())
    }
}

/// What an answer to a step means.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Done, or it was so already.
    Done,
    /// Something is as wanted or not, and only reading tells.
    Unclear(Trouble),
    /// It was not tried, because an earlier step of the batch failed.
    Skipped,
    /// It may work later: fault, throttling, no answer.
    Later(Trouble),
    /// The object is not there, or not there yet.
    NotFound(Trouble),
    /// The directory does not take the password.
    PasswordRejected(Trouble),
    /// The service that ends roles by itself will not give this one up (now): there is another way to ask.
    OtherWay(Trouble),
    /// The token is not accepted any more.
    TokenRejected(Trouble),
    /// No.
    Refused(Trouble),
}

/// What `answer` means for `action`.
pub(crate) fn judge(action: &Action, answer: &Answer) -> Verdict {
    if answer.is_success() {
        return Verdict::Done;
    }
    let trouble = Trouble::of_answer(answer);
    match answer.status {
        400 | 403 | 404 if matches!(action, Action::AssignRole { ends: Some(_), .. }) => {
            judge_timed_assignment(trouble)
        }
        400 | 403 | 404 if matches!(action, Action::ExtendRole { .. }) => judge_extension(trouble),
        400 | 403 if matches!(action, Action::RemoveRole { timed: true, .. }) => judge_timed_removal(trouble),
        424 => Verdict::Skipped,
        401 => Verdict::TokenRejected(trouble),
        404 => match action {
            // What is to be removed is gone: that is what was wanted.
            Action::RemoveRole { .. }
            | Action::RemoveGroup(_)
            | Action::DeletePass(_)
            | Action::DeletePasskey(_)
            | Action::DeleteOathToken(_)
            | Action::Delete => Verdict::Done,
            _ => Verdict::NotFound(trouble),
        },
        400 if &*trouble.code == ROLE_TOO_YOUNG => Verdict::Later(trouble),
        400 => match action {
            // A duplicate assignment, a member already, or an object that has not arrived: Graph gives all three the
            // same code, so the directory is read instead of the sentence.
            Action::AssignRole { .. } | Action::AddGroup(_) => Verdict::Unclear(trouble),
            Action::RemoveRole { .. } | Action::RemoveGroup(_) => Verdict::Unclear(trouble),
            Action::SetPassword(_) | Action::Create(_) => Verdict::PasswordRejected(trouble),
            _ => Verdict::Refused(trouble),
        },
        _ if trouble.passes() => Verdict::Later(trouble),
        _ => Verdict::Refused(trouble),
    }
}

/// What Privileged Identity Management says about an assignment that is to end by itself.
fn judge_timed_assignment(trouble: Trouble) -> Verdict {
    match &*trouble.code {
        // Perhaps ours, perhaps what is left of an earlier one: reading tells.
        "RoleAssignmentExists" => Verdict::Unclear(trouble),
        "PendingRoleAssignmentRequest" => Verdict::Later(trouble),
        "SubjectNotFound" => Verdict::NotFound(trouble),
        _ if trouble.status == 404 => Verdict::NotFound(trouble),
        // No licence, or the tenant's rules for the role: then the role is assigned the plain way.
        _ => Verdict::Refused(trouble),
    }
}

/// The same about letting one last longer.
fn judge_extension(trouble: Trouble) -> Verdict {
    match &*trouble.code {
        "PendingRoleAssignmentRequest" => Verdict::Later(trouble),
        // It is over, or somebody took it away: reading tells.
        "RoleAssignmentDoesNotExist" | "SubjectNotFound" => Verdict::Unclear(trouble),
        _ if trouble.status == 404 => Verdict::Unclear(trouble),
        // The tenant's rules for the role: it ends when it was to end at first.
        _ => Verdict::Refused(trouble),
    }
}

/// The same about taking one back.
fn judge_timed_removal(trouble: Trouble) -> Verdict {
    match &*trouble.code {
        "RoleAssignmentDoesNotExist" => Verdict::Done,
        "PendingRoleAssignmentRequest" => Verdict::Later(trouble),
        // In its first five minutes it gives nothing up (ActiveDurationTooShort); without a licence any more, neither.
        _ => Verdict::OtherWay(trouble),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::plan::Purpose;

    fn answer(status: u16, code: &str) -> Answer {
        Answer {
            status,
            body: json!({ "error": { "code": code, "message": "m", "innerError": { "request-id": "r" } } }),
            request_id: None,
            retry_after: None,
        }
    }

    #[test]
    fn what_is_gone_is_removed() {
        let gone = answer(404, "Request_ResourceNotFound");
        let removal = Action::RemoveRole { assignment: "a".to_owned(), role: Uuid::nil(), timed: false };
        assert!(matches!(judge(&removal, &gone), Verdict::Done));
        assert!(matches!(judge(&Action::DeletePass("p".to_owned()), &gone), Verdict::Done));
        assert!(matches!(judge(&Action::Disable, &gone), Verdict::NotFound(_)));
    }

    #[test]
    fn a_fault_may_have_happened_and_a_refusal_has_not() {
        let Verdict::Later(fault) = judge(&Action::Enable, &answer(503, "serviceNotAvailable")) else {
            unreachable!("a fault is tried again");
        };
        assert!(fault.may_have_happened);
        let Verdict::Later(throttled) = judge(&Action::Enable, &answer(429, "TooManyRequests")) else {
            unreachable!("throttling is tried again");
        };
        assert!(!throttled.may_have_happened);
        assert!(matches!(judge(&Action::Enable, &answer(403, "Authorization_RequestDenied")), Verdict::Refused(_)));
    }

    #[test]
    fn a_refused_password_is_not_a_refused_account() {
        let verdict = judge(&Action::SetPassword(Purpose::Forget), &answer(400, "Request_BadRequest"));
        assert!(matches!(verdict, Verdict::PasswordRejected(_)));
    }

    #[test]
    fn what_ends_roles_by_itself_is_asked_and_never_relied_upon() {
        let assign = Action::AssignRole { role: Uuid::nil(), ends: Some(0) };
        let remove = Action::RemoveRole { assignment: "a".to_owned(), role: Uuid::nil(), timed: true };
        let refused = |action: &Action, code: &str| judge(action, &answer(400, code));
        assert!(matches!(refused(&assign, "RoleAssignmentExists"), Verdict::Unclear(_)));
        assert!(matches!(refused(&assign, "AadPremiumLicenseRequired"), Verdict::Refused(_)));
        assert!(matches!(refused(&assign, "RoleAssignmentRequestPolicyValidationFailed"), Verdict::Refused(_)));
        assert!(matches!(refused(&assign, "PendingRoleAssignmentRequest"), Verdict::Later(_)));
        assert!(matches!(refused(&remove, "RoleAssignmentDoesNotExist"), Verdict::Done));
        assert!(matches!(refused(&remove, "ActiveDurationTooShort"), Verdict::OtherWay(_)));
        assert!(matches!(refused(&remove, "AadPremiumLicenseRequired"), Verdict::OtherWay(_)));
        let extend = Action::ExtendRole { assignment: "a".to_owned(), role: Uuid::nil(), ends: 0 };
        assert!(matches!(refused(&extend, "RoleAssignmentDoesNotExist"), Verdict::Unclear(_)));
        assert!(matches!(refused(&extend, "RoleAssignmentRequestPolicyValidationFailed"), Verdict::Refused(_)));
        assert!(matches!(judge(&remove, &answer(503, "serviceNotAvailable")), Verdict::Later(_)));
    }

    #[test]
    fn the_request_id_is_kept() {
        assert_eq!(Trouble::of_answer(&answer(500, "UnknownError")).request_id.as_deref(), Some("r"));
    }
}
