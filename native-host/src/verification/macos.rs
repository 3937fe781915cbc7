//! macOS, which asks for the finger (Touch ID), the watch, or the password of the person's own account on the Mac.
//!
//! The policy is `deviceOwnerAuthentication` and not the one of biometrics alone: the account's password verifies the
//! person as well as a finger does, which is what polkit asks for, too, and a Mac without Touch ID, or with its lid shut,
//! still verifies. An unlock of the Mac that was just made is not reused (the context's default), so somebody is asked
//! each time. What an answer means is in `answer`.
//!
//! Facts: Apple, LocalAuthentication, `LAContext`.

#![allow(unsafe_code, reason = "messages to objects of a system framework; each says why it holds")]
#![deny(clippy::undocumented_unsafe_blocks)]

use std::{sync::mpsc, time::Duration};

use block2::RcBlock;
use objc2::{rc::Retained, runtime::Bool};
use objc2_foundation::{NSError, NSString};
use objc2_local_authentication::{LABiometryType, LAContext, LAPolicy};

use super::answer::{self, Answer, Lack, Occasion, Refusal};

/// What the audit log says of it. The system does not tell whether it was the finger or the password.
pub(super) const NAME: &str = "local_authentication";

const POLICY: LAPolicy = LAPolicy::DeviceOwnerAuthentication;

/// By what the person would be verified.
pub(super) async fn available() -> Result<&'static str, Lack> {
    blocking(|| {
        let context = ready()?;
        // SAFETY: may be read of any context after its policy was looked at.
        let kind = unsafe { context.biometryType() };
        Ok(if kind == LABiometryType::TouchID {
            "Touch ID, or the password of your account on this Mac"
        } else {
            "the password of your account on this Mac"
        })
    })
    .await?
}

/// Has the person verified, if she or he answers before the deadline.
pub(super) async fn ask(occasion: &Occasion, deadline: Duration) -> Answer {
    // The system puts the program's name before it: "… is trying to …".
    let reason = occasion.to_string();
    blocking(move || evaluate(&reason, deadline)).await.unwrap_or_else(Answer::Unavailable)
}

/// The system's objects stay on one thread, which may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lack> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Lack::Other(error.to_string()))
}

/// A context of its own for each question, if the policy can be evaluated here at all.
fn ready() -> Result<Retained<LAContext>, Lack> {
    // SAFETY: an object that nobody else has.
    let context = unsafe { LAContext::new() };
    // SAFETY: a context, and a policy that the system knows.
    match unsafe { context.canEvaluatePolicy_error(POLICY) } {
        Ok(()) => Ok(context),
        Err(error) => Err(match answer::of_local_authentication(false, Some(error.code())) {
            Answer::Unavailable(lack) => lack,
            Answer::Verified | Answer::Refused(_) => Lack::Busy,
        }),
    }
}

fn evaluate(reason: &str, deadline: Duration) -> Answer {
    let context = match ready() {
        Ok(context) => context,
        Err(lack) => return Answer::Unavailable(lack),
    };
    let (tell, told) = mpsc::channel();
    let reply = RcBlock::new(move |verified: Bool, error: *mut NSError| {
        // SAFETY: null or the error of this call, which lives as long as the call.
        let error = unsafe { error.as_ref() }.map(NSError::code);
        // Whoever waited may have gone: then nobody was verified.
        let _ = tell.send(answer::of_local_authentication(verified.as_bool(), error));
    });
    // SAFETY: a sentence that is not empty, and a block with the signature that is asked for, which owns what it uses and
    // sends it to this thread: the system calls it once, on a queue of its own.
    unsafe { context.evaluatePolicy_localizedReason_reply(POLICY, &NSString::from_str(reason), &reply) };
    told.recv_timeout(deadline).unwrap_or_else(|_| {
        // SAFETY: closes the question of this context; its block is called once more, with nobody to hear it.
        unsafe { context.invalidate() };
        Answer::Refused(Refusal::TimedOut)
    })
}
