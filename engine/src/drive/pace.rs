//! What the loop remembers from round to round: how long it has waited, and which ways are closed.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

use crate::graph::Trouble;

/// How an account's last steps went: what the loop must remember between rounds.
///
/// Times are those of [`crate::Clock::elapsed`], in milliseconds.
pub(super) struct Pace {
    pub(super) started: i64,
    delays: backon::ExponentialBackoff,
    /// In a chain each step waits for the one before. After a failure what takes back goes out independently, so that
    /// one step that is refused does not keep the others from happening.
    pub(super) chain: bool,
    pub(super) passwords_refused: u32,
    pub(super) denied: u32,
    pub(super) unclear: u32,
    pub(super) tokens_rejected: u32,
    /// What ends roles by itself did not give one up: they are removed like any other.
    pub(super) plain_removals: bool,
    /// Passes may wait for their turn while other steps go first: until one of those does not succeed.
    pub(super) puts_passes_off: bool,
    pub(super) administrator_until: Option<i64>,
}

impl Pace {
    /// `jitter` sets the waits of this drive apart from those of others.
    pub(super) fn new(started: i64, jitter: u64) -> Self {
        Self {
            started,
            delays: ExponentialBuilder::new()
                .with_min_delay(Duration::from_millis(400))
                .with_max_delay(Duration::from_secs(30))
                .with_factor(2.0)
                .with_jitter()
                .with_jitter_seed(jitter)
                .without_max_times()
                .build(),
            chain: true,
            passwords_refused: 0,
            denied: 0,
            unclear: 0,
            tokens_rejected: 0,
            plain_removals: false,
            puts_passes_off: true,
            administrator_until: None,
        }
    }

    pub(super) fn next(&mut self) -> Duration {
        self.delays.next().unwrap_or(Duration::from_secs(60)).min(Duration::from_secs(60))
    }

    /// Whether roles were removed so lately that the directory may not have noticed everywhere.
    pub(super) fn was_administrator(&self, now: i64) -> bool {
        self.administrator_until.is_some_and(|until| now < until)
    }
}

/// Why a round did not finish.
pub(crate) struct Setback {
    pub(crate) trouble: Trouble,
    pub(crate) action: &'static str,
    /// The account is new and has not arrived everywhere.
    pub(crate) replication: bool,
}

/// Of two setbacks the one that asks for the longer wait; a fault of Graph over a refusal.
pub(super) fn worse(one: Option<Setback>, other: Option<Setback>) -> Option<Setback> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let longer = other.trouble.retry_after > one.trouble.retry_after;
            Some(if longer { other } else { one })
        }
        (one, other) => one.or(other),
    }
}
