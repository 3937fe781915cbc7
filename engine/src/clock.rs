//! Time as the engine sees it: always through a [`Clock`], so that leases can be tried at any hour.

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock of this machine.
pub trait Clock: Send + Sync {
    /// Unix time in milliseconds.
    fn now(&self) -> i64;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        // A clock before 1970 is so wrong that any lease would be refused; zero makes it so.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }
}
