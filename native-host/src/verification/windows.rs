//! Windows Hello, which asks for the face, the finger or the PIN of the person's own account.
//!
//! The host has no window, so the question belongs to the window in front: the browser's, whose popup was just clicked,
//! or the terminal's. Without one (the screen is locked, the process serves nobody's desktop) nobody is asked. What an
//! answer means is in `answer`.
//!
//! Facts: Microsoft, `Windows.Security.Credentials.UI.UserConsentVerifier`, and
//! `IUserConsentVerifierInterop::RequestVerificationForWindowAsync` for programs of the desktop.

#![allow(unsafe_code, reason = "two calls into the system; each says why it holds")]
#![deny(clippy::undocumented_unsafe_blocks)]

use std::{sync::mpsc, time::Duration};

use windows::{
    Security::Credentials::UI::{UserConsentVerificationResult, UserConsentVerifier},
    Win32::{System::WinRT::IUserConsentVerifierInterop, UI::WindowsAndMessaging::GetForegroundWindow},
    core::{Error, HSTRING, RuntimeType, factory},
};
use windows_future::IAsyncOperation;

use super::answer::{self, Answer, Lack, Occasion, Refusal};

/// What the audit log says of it.
pub(super) const NAME: &str = "windows_hello";

/// To say whether it can ask takes Windows no person, and no longer than this.
const LOOK_TAKES: Duration = Duration::from_secs(10);

/// By what the person would be verified.
pub(super) async fn available() -> Result<&'static str, Lack> {
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(())) => Ok("Windows Hello"),
        Ok(Err(Answer::Unavailable(lack))) => Err(lack),
        Ok(Err(Answer::Verified | Answer::Refused(_))) => Err(Lack::Busy),
        Err(lost) => Err(Lack::Other(lost.to_string())),
    }
}

/// Has the person verified, if she or he answers before the deadline.
pub(super) async fn ask(occasion: &Occasion, deadline: Duration) -> Answer {
    let message = HSTRING::from(format!("Latchkey has to know that it is you, to {occasion}."));
    let asked = tokio::task::spawn_blocking(move || look().and_then(|()| request(&message, deadline)));
    match asked.await {
        Ok(Ok(answer) | Err(answer)) => answer,
        Err(lost) => Answer::Unavailable(Lack::Other(lost.to_string())),
    }
}

/// Whether Windows could ask; the answer that there is without asking, if it could not.
fn look() -> Result<(), Answer> {
    let operation = UserConsentVerifier::CheckAvailabilityAsync().map_err(answer_of)?;
    let availability = wait(&operation, LOOK_TAKES)?.ok_or(Answer::Unavailable(Lack::Busy))?;
    answer::lack_of_windows_hello(availability.0).map_or(Ok(()), |lack| Err(Answer::Unavailable(lack)))
}

fn request(message: &HSTRING, deadline: Duration) -> Result<Answer, Answer> {
    let verifier = factory::<UserConsentVerifier, IUserConsentVerifierInterop>().map_err(answer_of)?;
    // SAFETY: takes nothing, and answers with a handle that is only passed on, or none.
    let window = unsafe { GetForegroundWindow() };
    if window.is_invalid() {
        return Err(Answer::Unavailable(Lack::NoScreen));
    }
    // SAFETY: a handle that the system refuses if its window is gone by now, and a text that lives as long as the call.
    let operation: IAsyncOperation<UserConsentVerificationResult> =
        unsafe { verifier.RequestVerificationForWindowAsync(window, message) }.map_err(answer_of)?;
    let result = wait(&operation, deadline)?.ok_or(Answer::Refused(Refusal::TimedOut))?;
    Ok(answer::of_windows_hello(result.0))
}

/// What an operation came to; none when it took too long and was given up.
fn wait<T: RuntimeType + Send + 'static>(
    operation: &IAsyncOperation<T>,
    deadline: Duration,
) -> Result<Option<T>, Answer> {
    let (tell, told) = mpsc::channel();
    operation
        .when(move |result| {
            // Whoever waited may have gone.
            let _ = tell.send(result);
        })
        .map_err(answer_of)?;
    if let Ok(result) = told.recv_timeout(deadline) {
        return result.map(Some).map_err(answer_of);
    }
    let _ = operation.Cancel();
    Ok(None)
}

#[allow(clippy::needless_pass_by_value, reason = "what an error is turned into")]
fn answer_of(error: Error) -> Answer {
    answer::of_windows_error(error.code().0)
}
