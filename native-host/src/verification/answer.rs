//! What an operating system answers when it is asked who is there, and what that means: one table for all of them.
//!
//! Pure. Only one answer of each system says that somebody was verified; whatever is unknown, doubtful or in
//! contradiction with itself is not that one. Who cannot be asked by the system types the PIN; who was asked and said no
//! is refused, and the sign-in goes on with the next credential in line.
//!
//! Facts: Apple, LocalAuthentication, `LAError`; Microsoft, `Windows.Security.Credentials.UI`,
//! `UserConsentVerifierAvailability` and `UserConsentVerificationResult`; polkit reference, `CheckAuthorization`.

use std::fmt;

use latchkey_protocol::{ErrorBody, ErrorCode};

/// What became of the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The system has just verified the person.
    Verified,
    /// The person was asked, and was not verified.
    Refused(Refusal),
    /// Nobody was asked: the PIN is used.
    Unavailable(Lack),
}

/// Why somebody who was asked was not verified.
#[cfg_attr(not(test), allow(dead_code, reason = "each system knows some of them"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The person closed the question.
    Cancelled,
    /// The finger, face, PIN or password was wrong, as often as the system lets it be.
    Failed,
    /// The system closed the question: the screen was locked, or something else needed it.
    Interrupted,
    /// Nobody answered in time.
    TimedOut,
}

/// Why a system asks nobody.
#[cfg_attr(not(test), allow(dead_code, reason = "each system knows some of them"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// It has nothing to ask with.
    NoDevice,
    /// It could, but the person has set nothing up.
    NotSetUp,
    /// Whoever manages the machine forbids it.
    Forbidden,
    /// It is busy with another question.
    Busy,
    /// There is no screen or window on which it could ask.
    NoScreen,
    /// It says yes or no without asking: nobody would be verified.
    AsksNobody,
    /// Something else, as the system calls it.
    Other(String),
}

impl Refusal {
    /// As it is told to whoever wanted to know who is there.
    pub(crate) fn to_error(self) -> ErrorBody {
        let what = match self {
            Self::Cancelled => "You closed the window that asks who you are.",
            Self::Failed => "The operating system did not recognise you.",
            Self::Interrupted => "The operating system closed the window that asks who you are.",
            Self::TimedOut => "Nobody answered the window that asks who you are.",
        };
        ErrorBody::new(ErrorCode::VerificationNeeded, what, "Try again, and show the operating system that it is you.")
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice => formatter.write_str("this machine has nothing to recognise you by"),
            Self::NotSetUp => formatter.write_str("you have not set it up"),
            Self::Forbidden => formatter.write_str("a policy of this machine forbids it"),
            Self::Busy => formatter.write_str("it is busy with another question"),
            Self::NoScreen => formatter.write_str("there is no screen to ask on"),
            Self::AsksNobody => formatter.write_str("it would ask nobody"),
            Self::Other(said) => formatter.write_str(said),
        }
    }
}

/// polkit, asked with the person's leave to be bothered.
#[cfg(any(test, target_os = "linux"))]
pub(super) const fn of_polkit(authorized: bool, would_ask: bool, dismissed: bool) -> Answer {
    match (authorized, would_ask, dismissed) {
        (true, false, false) => Answer::Verified,
        // Nobody's agent was there to ask through.
        (_, true, _) => Answer::Unavailable(Lack::NoScreen),
        (_, false, true) => Answer::Refused(Refusal::Cancelled),
        (false, false, false) => Answer::Refused(Refusal::Failed),
    }
}

/// polkit, asked not to bother anybody: what is in the way of asking.
#[cfg(any(test, target_os = "linux"))]
pub(super) const fn lack_of_polkit(authorized: bool, would_ask: bool) -> Option<Lack> {
    if would_ask && !authorized { None } else { Some(Lack::AsksNobody) }
}

/// macOS: what the completion block was given. The number is that of the error, if there was one.
#[cfg(any(test, target_os = "macos"))]
pub(super) fn of_local_authentication(verified: bool, error: Option<isize>) -> Answer {
    match (verified, error) {
        (true, None) => Answer::Verified,
        (_, Some(-1)) => Answer::Refused(Refusal::Failed),
        // Cancel, or a button of the system's own that is none here.
        (_, Some(-2 | -3)) => Answer::Refused(Refusal::Cancelled),
        (_, Some(-4)) => Answer::Refused(Refusal::Interrupted),
        // We closed it ourselves: our time was up.
        (_, Some(-9)) => Answer::Refused(Refusal::TimedOut),
        (_, Some(-5 | -7)) => Answer::Unavailable(Lack::NotSetUp),
        // None, none in reach, none paired, none plugged in.
        (_, Some(-6 | -11 | -12 | -13)) => Answer::Unavailable(Lack::NoDevice),
        // Locked after too many fingers, and the password is not asked for either.
        (_, Some(-8)) => Answer::Unavailable(Lack::Busy),
        (_, Some(-1004)) => Answer::Unavailable(Lack::NoScreen),
        (_, Some(number)) => Answer::Unavailable(Lack::Other(format!("macOS answered with error {number}"))),
        (false, None) => Answer::Unavailable(Lack::Other("macOS answered nothing".to_owned())),
    }
}

/// Windows: what is in the way of asking.
#[cfg(any(test, windows))]
pub(super) fn lack_of_windows_hello(availability: i32) -> Option<Lack> {
    Some(match availability {
        0 => return None,
        1 => Lack::NoDevice,
        2 => Lack::NotSetUp,
        3 => Lack::Forbidden,
        4 => Lack::Busy,
        number => Lack::Other(format!("Windows answered with {number}, which is not known")),
    })
}

/// Windows: what came of asking.
#[cfg(any(test, windows))]
pub(super) fn of_windows_hello(result: i32) -> Answer {
    match result {
        0 => Answer::Verified,
        5 => Answer::Refused(Refusal::Failed),
        6 => Answer::Refused(Refusal::Cancelled),
        // The first four say what the look before should have said.
        number => Answer::Unavailable(lack_of_windows_hello(number).unwrap_or(Lack::Busy)),
    }
}

/// Windows: what the number of an error says that came instead of a result.
#[cfg(any(test, windows))]
pub(super) fn of_windows_error(number: i32) -> Answer {
    match number.cast_unsigned() {
        // E_ABORT, and ERROR_CANCELLED as a result.
        0x8000_4004 | 0x8007_04c7 => Answer::Refused(Refusal::Cancelled),
        // REGDB_E_CLASSNOTREG: no such thing in this Windows.
        0x8004_0154 => Answer::Unavailable(Lack::NoDevice),
        number => Answer::Unavailable(Lack::Other(format!("Windows answered with error {number:#010x}"))),
    }
}

/// What the person is verified for, as the system's own window shows it: the end of a sentence that begins with whoever
/// asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// A sign-in with a passkey.
    SignIn {
        /// The tenant's name. Its own administrators choose it.
        tenant: String,
        /// The account's user name.
        user_name: String,
    },
    /// Passkeys are made for accounts.
    Prepare,
    /// The browser did not say.
    Unsaid,
}

impl fmt::Display for Occasion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignIn { tenant, user_name } => {
                write!(formatter, "sign in to {} as {}", in_a_window(tenant), in_a_window(user_name))
            }
            Self::Prepare => formatter.write_str("make passkeys for your accounts"),
            Self::Unsaid => formatter.write_str("sign in with a passkey"),
        }
    }
}

/// A name in a window that people trust: one line, not endless, and nothing that turns the direction of the rest around.
fn in_a_window(name: &str) -> String {
    const MOST: usize = 80;
    let is_shown = |letter: &char| {
        !letter.is_control()
            && !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    name.chars().filter(is_shown).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polkit_verifies_only_whom_it_asked() {
        assert_eq!(lack_of_polkit(false, true), None);
        for (authorized, would_ask) in [(true, false), (false, false), (true, true)] {
            assert_eq!(lack_of_polkit(authorized, would_ask), Some(Lack::AsksNobody), "{authorized} {would_ask}");
        }
        assert_eq!(of_polkit(true, false, false), Answer::Verified);
        assert_eq!(of_polkit(false, false, true), Answer::Refused(Refusal::Cancelled));
        assert_eq!(of_polkit(false, false, false), Answer::Refused(Refusal::Failed));
        assert_eq!(of_polkit(false, true, false), Answer::Unavailable(Lack::NoScreen));
        assert_eq!(of_polkit(true, false, true), Answer::Refused(Refusal::Cancelled), "it cannot be both");
        assert_eq!(of_polkit(true, true, false), Answer::Unavailable(Lack::NoScreen), "nor this");
    }

    #[test]
    fn a_mac_verifies_by_a_yes_without_an_error_and_by_nothing_else() {
        assert_eq!(of_local_authentication(true, None), Answer::Verified);
        for error in -2_000..2_000 {
            for verified in [true, false] {
                assert_ne!(of_local_authentication(verified, Some(error)), Answer::Verified, "{error}");
            }
        }
        assert_ne!(of_local_authentication(false, None), Answer::Verified);
    }

    #[test]
    fn a_mac_that_asked_refuses_and_one_that_could_not_leaves_it_to_the_pin() {
        let of = |error| of_local_authentication(false, Some(error));
        assert_eq!(of(-1), Answer::Refused(Refusal::Failed));
        assert_eq!(of(-2), Answer::Refused(Refusal::Cancelled));
        assert_eq!(of(-4), Answer::Refused(Refusal::Interrupted));
        assert_eq!(of(-9), Answer::Refused(Refusal::TimedOut));
        assert_eq!(of(-5), Answer::Unavailable(Lack::NotSetUp));
        assert_eq!(of(-6), Answer::Unavailable(Lack::NoDevice));
        assert_eq!(of(-1004), Answer::Unavailable(Lack::NoScreen));
        assert!(matches!(of(-10), Answer::Unavailable(Lack::Other(_))));
        assert!(matches!(of(4_711), Answer::Unavailable(Lack::Other(_))));
    }

    #[test]
    fn each_answer_of_windows_has_its_own_meaning() {
        assert_eq!(lack_of_windows_hello(0), None);
        let lacks = [Lack::NoDevice, Lack::NotSetUp, Lack::Forbidden, Lack::Busy];
        for (number, lack) in (1..).zip(lacks) {
            assert_eq!(lack_of_windows_hello(number), Some(lack.clone()));
            assert_eq!(of_windows_hello(number), Answer::Unavailable(lack));
        }
        assert_eq!(of_windows_hello(5), Answer::Refused(Refusal::Failed));
        assert_eq!(of_windows_hello(6), Answer::Refused(Refusal::Cancelled));
        let verifies: Vec<_> = (-2_000..2_000).filter(|number| of_windows_hello(*number) == Answer::Verified).collect();
        assert_eq!(verifies, [0]);
        assert!(matches!(of_windows_hello(7), Answer::Unavailable(Lack::Other(_))));
        assert!((-2_000..2_000).filter(|number| *number != 0).all(|number| lack_of_windows_hello(number).is_some()));
    }

    #[test]
    fn an_error_of_windows_verifies_nobody() {
        let of = |number: u32| of_windows_error(number.cast_signed());
        assert_eq!(of(0x8004_0154), Answer::Unavailable(Lack::NoDevice));
        assert_eq!(of(0x8007_04c7), Answer::Refused(Refusal::Cancelled));
        assert_eq!(
            of(0x8000_ffff),
            Answer::Unavailable(Lack::Other("Windows answered with error 0x8000ffff".to_owned()))
        );
        assert_ne!(of(0), Answer::Verified, "an error that says that all is well");
    }

    #[test]
    fn a_window_says_for_which_tenant_and_account() {
        let of = |tenant: &str| {
            Occasion::SignIn { tenant: tenant.to_owned(), user_name: "jit-alex@tailspin.com".to_owned() }.to_string()
        };
        assert_eq!(of("Tailspin"), "sign in to Tailspin as jit-alex@tailspin.com");
        assert_eq!(of("Tail\nspin\u{202e}"), "sign in to Tailspin as jit-alex@tailspin.com");
        assert_eq!(of("Žižkov Müller 商店"), "sign in to Žižkov Müller 商店 as jit-alex@tailspin.com");
        assert!(of(&"x".repeat(10_000)).len() < 150);
        for occasion in [Occasion::Prepare, Occasion::Unsaid] {
            assert!(occasion.to_string().contains("passkey"));
        }
    }

    #[test]
    fn a_refusal_says_what_happened_and_is_no_verification() {
        let all = [Refusal::Cancelled, Refusal::Failed, Refusal::Interrupted, Refusal::TimedOut];
        let said: std::collections::BTreeSet<_> = all.iter().map(|one| one.to_error().message).collect();
        assert_eq!(said.len(), all.len());
        assert!(all.iter().all(|one| one.to_error().code == ErrorCode::VerificationNeeded));
    }
}
