//! Time as the engine sees it: always through a [`Clock`], so that leases can be tried at any hour.

use std::{
    pin::Pin,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The clocks of this machine.
pub trait Clock: Send + Sync {
    /// Unix time in milliseconds, as the wall clock has it. May jump when somebody sets the clock.
    fn now(&self) -> i64;

    /// Milliseconds since some moment of this process; never jumps.
    fn elapsed(&self) -> i64 {
        static BEGINNING: OnceLock<Instant> = OnceLock::new();
        let elapsed = BEGINNING.get_or_init(Instant::now).elapsed();
        i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
    }

    /// Returns once `duration` has passed, as [`Clock::elapsed`] counts it. Whatever the engine waits for without
    /// being told when it is there, it waits for with this.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Milliseconds as [`Clock::elapsed`] counts them.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
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
