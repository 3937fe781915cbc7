//! The five guards of the design by name, so that each can be shown to be needed.
//!
//! In the product all of them hold, always: [`holds`] is a constant and what stands behind a guard that does not hold
//! is not compiled in. Only with the feature `switchable-guards` can one be switched off, for the whole process; no
//! build that anybody is given has that feature.

/// A rule that keeps one kind of loss from happening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(unreachable_pub, reason = "public only where guards can be switched")]
pub enum Guard {
    /// The lease is committed before the first call that grants goes out.
    IntentFirst,
    /// Nothing that grants is sent when the lease would be over, or the loan lost, by the time it could arrive.
    DeadlineBeforeTheSend,
    /// An account that was read back is looked at again, because what was given up on may still take effect.
    Settle,
    /// What the directory says is compared with what the store says, whatever the reason for a difference.
    ReconcileScan,
    /// Leases on one account are counted: the first to end takes only what no other needs.
    CountNotFlag,
    /// The deadline's second half, by itself: it is looked at again when limits and token have been waited for.
    DeadlineAfterTheWait,
}

/// Whether a guard holds.
#[cfg(not(feature = "switchable-guards"))]
pub(crate) const fn holds(_guard: Guard) -> bool {
    true
}

#[cfg(feature = "switchable-guards")]
mod switch {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Guard;

    static OFF: AtomicU8 = AtomicU8::new(0);

    impl Guard {
        /// The five of them.
        pub const ALL: [Self; 5] =
            [Self::IntentFirst, Self::DeadlineBeforeTheSend, Self::Settle, Self::ReconcileScan, Self::CountNotFlag];

        const fn bit(self) -> u8 {
            1 << self as u8
        }

        /// Lets all guards hold but one, from now on, in this process.
        pub fn only_without(guard: Option<Self>) {
            OFF.store(guard.map_or(0, Self::bit), Ordering::SeqCst);
        }
    }

    /// Whether a guard holds.
    pub(crate) fn holds(guard: Guard) -> bool {
        OFF.load(Ordering::SeqCst) & guard.bit() == 0
    }
}

#[cfg(feature = "switchable-guards")]
pub(crate) use switch::holds;
