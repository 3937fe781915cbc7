//! When it is believed that the person at this machine is the one who works here, and when a PIN may be tried.
//!
//! Pure: the time is given. Facts: NIST SP 800-63B, 5.2.2 (failed attempts are limited).

/// How long a verification is remembered at most, in minutes.
pub const LONGEST_VERIFICATION_MINUTES: u32 = 1_440;
/// How long it is remembered unless told otherwise, in minutes: one working session.
pub(crate) const USUAL_MINUTES: u32 = 480;

/// So often a PIN may be wrong in a row before there is a wait.
pub(crate) const FREE_TRIES: u32 = 3;
/// What follows, in milliseconds; the last one for ever.
const WAITS: [i64; 5] = [30_000, 60_000, 300_000, 900_000, 3_600_000];

/// A verification that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verification {
    /// By the wall clock, Unix time in milliseconds.
    pub(crate) at: i64,
    /// By a clock that nobody sets, in milliseconds.
    pub(crate) elapsed: i64,
}

impl Verification {
    /// Whether it still counts. Both clocks must say so: one can be set back, the other stands still while the machine
    /// sleeps.
    pub(crate) fn is_good(self, now: i64, elapsed: i64, minutes: u32) -> bool {
        let lasting = i64::from(minutes.min(LONGEST_VERIFICATION_MINUTES)) * 60_000;
        let within = |past: i64, present: i64| (0..lasting).contains(&present.saturating_sub(past));
        within(self.at, now) && within(self.elapsed, elapsed)
    }

    /// Until when, by the wall clock, if nothing ends it before.
    pub(crate) fn until(self, minutes: u32) -> i64 {
        self.at.saturating_add(i64::from(minutes.min(LONGEST_VERIFICATION_MINUTES)) * 60_000)
    }
}

/// PINs that were wrong, in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tries {
    pub(crate) wrong: u32,
    /// When the last one was tried, Unix time in milliseconds.
    pub(crate) last_at: i64,
}

impl Tries {
    /// No PIN is looked at before then; none: one may be tried now. A clock that was set back makes nobody wait for
    /// longer than the wait itself.
    pub(crate) fn wait_until(self, now: i64) -> Option<i64> {
        let step = self.wrong.checked_sub(FREE_TRIES)?;
        let wait = WAITS[usize::try_from(step).map_or(WAITS.len() - 1, |step| step.min(WAITS.len() - 1))];
        let until = self.last_at.min(now).saturating_add(wait);
        (until > now).then_some(until)
    }

    /// How often one may still be wrong before there is a wait.
    pub(crate) const fn left(self) -> u32 {
        FREE_TRIES.saturating_sub(self.wrong)
    }

    /// One more is about to be tried. It counts as wrong until it has proved right, so that whoever stops the process
    /// meanwhile gains nothing.
    pub(crate) const fn one_more(self, now: i64) -> Self {
        Self { wrong: self.wrong.saturating_add(1), last_at: now }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_verification_lasts_for_the_time_that_is_set_and_no_longer() {
        let verified = Verification { at: 1_000 * HOUR, elapsed: 5 * HOUR };
        let good = |later: i64| verified.is_good(verified.at + later, verified.elapsed + later, USUAL_MINUTES);
        assert!(good(0) && good(8 * HOUR - 1));
        assert!(!good(8 * HOUR) && !good(100 * HOUR));
        assert!(!verified.is_good(verified.at + 1, verified.elapsed + 1, 0), "0: asked every time");
    }

    #[test]
    fn neither_a_clock_set_back_nor_a_night_asleep_keeps_it_alive() {
        let verified = Verification { at: 1_000 * HOUR, elapsed: 5 * HOUR };
        assert!(!verified.is_good(verified.at + HOUR, verified.elapsed + 9 * HOUR, USUAL_MINUTES), "set back");
        assert!(!verified.is_good(verified.at + 9 * HOUR, verified.elapsed + HOUR, USUAL_MINUTES), "asleep");
        assert!(!verified.is_good(verified.at - HOUR, verified.elapsed + HOUR, USUAL_MINUTES), "before it happened");
    }

    #[test]
    fn the_waits_grow_and_stay_at_an_hour() {
        let wait = |wrong: u32| Tries { wrong, last_at: HOUR }.wait_until(HOUR).map(|until| (until - HOUR) / 1_000);
        assert_eq!([0, 1, 2].map(wait), [None; 3]);
        assert_eq!([3, 4, 5, 6, 7, 8, 1_000].map(wait), [30, 60, 300, 900, 3_600, 3_600, 3_600].map(Some));
    }

    proptest! {
        #[test]
        fn guessing_for_a_day_tries_a_handful(pauses in proptest::collection::vec(0_i64..7_200_000, 1..400)) {
            let (mut tries, mut now, mut looked_at) = (Tries::default(), 0_i64, 0_u32);
            for pause in pauses {
                now += pause;
                if now > 24 * HOUR {
                    break;
                }
                if tries.wait_until(now).is_none() {
                    tries = tries.one_more(now);
                    looked_at += 1;
                }
            }
            // Three for nothing, one after each of the first four waits, and one an hour after that.
            prop_assert!(looked_at <= 3 + 4 + 24 + 1, "{looked_at}");
        }

        #[test]
        fn a_clock_that_is_set_makes_nobody_wait_for_ever(wrong in 0_u32..50, last_at in any::<i64>(), now in 0_i64..1 << 50) {
            if let Some(until) = (Tries { wrong, last_at }).wait_until(now) {
                prop_assert!(until - now <= HOUR);
            }
        }

        #[test]
        fn what_is_remembered_ends(at in 0_i64..1 << 50, elapsed in 0_i64..1 << 50, later in 0_i64..1 << 40, minutes in any::<u32>()) {
            let verified = Verification { at, elapsed };
            let good = verified.is_good(at + later, elapsed + later, minutes);
            prop_assert_eq!(good, later < i64::from(minutes.min(LONGEST_VERIFICATION_MINUTES)) * 60_000);
        }
    }
}
