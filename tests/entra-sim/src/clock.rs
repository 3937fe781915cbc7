//! The one clock of the simulation.
//!
//! Two times, kept apart on purpose. *Simulated time* ([`Clock::now`]) is the wall clock plus an offset that a
//! test may move: passes, tokens and `Date` headers follow it. A [`Moment`] is time really elapsed since the start:
//! replication lag follows it, so that moving the wall clock by an hour does not heal or freeze the directory.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Time really elapsed since the simulation started.
pub type Moment = Duration;

/// Wall clock with an offset, and a stopwatch.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    offset_milliseconds: AtomicI64,
    by_hand: Option<ByHand>,
}

/// A time that passes only when it is told to.
#[derive(Debug)]
struct ByHand {
    start: Timestamp,
    milliseconds: AtomicI64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that shows the real time until it is moved.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now(), offset_milliseconds: AtomicI64::new(0), by_hand: None }
    }

    /// A clock that stands at `start` until [`Self::set_elapsed`].
    #[must_use]
    pub fn standing_at(start: Timestamp) -> Self {
        Self { by_hand: Some(ByHand { start, milliseconds: AtomicI64::new(0) }), ..Self::new() }
    }

    /// How much time has passed since the start, on a clock that stands; no other is changed.
    pub fn set_elapsed(&self, milliseconds: i64) {
        if let Some(by_hand) = &self.by_hand {
            by_hand.milliseconds.store(milliseconds, Ordering::Relaxed);
        }
    }

    /// Simulated time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let offset = self.offset_milliseconds.load(Ordering::Relaxed);
        let real = match &self.by_hand {
            Some(ByHand { start, milliseconds }) => {
                let passed = SignedDuration::from_millis(milliseconds.load(Ordering::Relaxed));
                start.checked_add(passed).unwrap_or(*start)
            }
            None => Timestamp::now(),
        };
        real.checked_add(SignedDuration::from_millis(offset)).unwrap_or(real)
    }

    /// Time really elapsed since the start.
    #[must_use]
    pub fn elapsed(&self) -> Moment {
        match &self.by_hand {
            Some(ByHand { milliseconds, .. }) => {
                Duration::from_millis(u64::try_from(milliseconds.load(Ordering::Relaxed)).unwrap_or(0))
            }
            None => self.started.elapsed(),
        }
    }

    /// Sets how far simulated time is ahead of (or, negative, behind) the real one.
    pub fn set_offset_seconds(&self, seconds: i64) {
        self.offset_milliseconds.store(seconds.saturating_mul(1000), Ordering::Relaxed);
    }

    /// How far simulated time is ahead of the real one.
    #[must_use]
    pub fn offset_seconds(&self) -> i64 {
        self.offset_milliseconds.load(Ordering::Relaxed) / 1000
    }

    /// Moves simulated time forward (or, negative, back) from where it is.
    pub fn advance_seconds(&self, seconds: i64) {
        self.offset_milliseconds.fetch_add(seconds.saturating_mul(1000), Ordering::Relaxed);
    }
}

/// `2026-11-22T10:17:06Z`, the form Graph uses in bodies.
#[must_use]
pub fn graph_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-11-22T10:17:06`, the form inside `innerError.date`: UTC, without an offset.
#[must_use]
pub fn error_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// `Sun, 22 Nov 2026 10:17:06 GMT`, the form of the `Date` header.
#[must_use]
pub fn http_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn moving_the_wall_clock_leaves_the_stopwatch_alone() {
        let clock = Clock::new();
        let before = clock.now();
        clock.advance_seconds(3600);
        assert!(clock.now().as_second() - before.as_second() >= 3600);
        assert!(clock.elapsed() < Duration::from_secs(3600));
        clock.set_offset_seconds(0);
        assert_eq!(clock.offset_seconds(), 0);
    }

    #[test]
    fn the_three_written_forms() {
        let at: Timestamp = "2025-02-13T10:17:06Z".parse().unwrap();
        assert_eq!(graph_time(at), "2025-02-13T10:17:06Z");
        assert_eq!(error_time(at), "2025-02-13T10:17:06");
        assert_eq!(http_time(at), "Thu, 13 Feb 2025 10:17:06 GMT");
    }
}
