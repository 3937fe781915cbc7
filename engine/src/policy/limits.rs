//! On what conditions a lease begins and goes on.

use super::{Rules, TicketPattern};

/// The longest that Microsoft lets a credential of ours live, in minutes: no lease is longer.
const LONGEST: u32 = 43_200;

/// What holds for leases of one profile in one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a lease lasts unless asked otherwise, in minutes.
    pub minutes: u32,
    /// The longest it may last, extensions included, in minutes.
    pub maximum_minutes: u32,
    /// How many leases one technician may have open at once, in all tenants together.
    pub leases_at_once: Option<u32>,
    /// Whether a reason must be given.
    pub reason_required: bool,
    /// What a ticket number must look like, if one must be given.
    pub ticket: Option<TicketPattern>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// How long, in minutes; the default when absent.
    pub minutes: Option<u32>,
    /// Why.
    pub reason: Option<&'a str>,
    /// The ticket's number.
    pub ticket: Option<&'a str>,
    /// How many leases the technician has open already.
    pub open: u32,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A lease may begin, or go on, for so long.
    Granted {
        /// In minutes; of an extension: from the lease's beginning to its new end.
        minutes: u32,
    },
    /// It may not.
    Refused(Refusal),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The length is not allowed.
    Duration {
        /// Minutes asked for.
        asked: u32,
        /// The most that is allowed.
        maximum: u32,
    },
    /// A lease that goes on would last too long.
    Extension {
        /// Minutes asked for.
        asked: u32,
        /// The most that can still be had.
        left: u32,
        /// The longest a lease may last in all.
        maximum: u32,
    },
    /// A reason must be given.
    ReasonMissing,
    /// A ticket must be given.
    TicketMissing {
        /// What it must look like.
        pattern: TicketPattern,
    },
    /// The ticket does not look as it must.
    TicketUnfit {
        /// What was given.
        ticket: String,
        /// What it must look like.
        pattern: TicketPattern,
    },
    /// Too many leases are open.
    TooMany {
        /// How many may be.
        limit: u32,
    },
}

impl Limits {
    /// What follows from the tenant's rules, from what was said when it was connected (`minutes` and
    /// `maximum_minutes`, for what the rules leave unset) and from the profile's own maximum.
    #[must_use]
    pub fn of(rules: &Rules, minutes: u32, maximum_minutes: u32, of_profile: Option<u32>) -> Self {
        let maximum = rules.maximum_minutes.unwrap_or(maximum_minutes).min(of_profile.unwrap_or(LONGEST)).min(LONGEST);
        Self {
            minutes: rules.minutes.unwrap_or(minutes).min(maximum),
            maximum_minutes: maximum,
            leases_at_once: rules.leases_at_once,
            reason_required: rules.reason_required.unwrap_or(false),
            ticket: rules.ticket.clone(),
        }
    }

    /// Whether a lease may begin, and for how long.
    #[must_use]
    pub fn decide(&self, wish: Wish<'_>) -> Decision {
        let minutes = wish.minutes.unwrap_or(self.minutes);
        if minutes == 0 || minutes > self.maximum_minutes {
            return Decision::Refused(Refusal::Duration { asked: minutes, maximum: self.maximum_minutes });
        }
        if self.reason_required && wish.reason.is_none_or(|reason| reason.trim().is_empty()) {
            return Decision::Refused(Refusal::ReasonMissing);
        }
        if let Some(pattern) = &self.ticket {
            let ticket = wish.ticket.map(str::trim).unwrap_or_default();
            if ticket.is_empty() {
                return Decision::Refused(Refusal::TicketMissing { pattern: pattern.clone() });
            }
            if !pattern.fits(ticket) {
                let ticket = ticket.chars().take(100).collect();
                return Decision::Refused(Refusal::TicketUnfit { ticket, pattern: pattern.clone() });
            }
        }
        match self.leases_at_once {
            Some(limit) if wish.open >= limit => Decision::Refused(Refusal::TooMany { limit }),
            _ => Decision::Granted { minutes },
        }
    }

    /// Whether a lease that lasts `lasting` minutes from its beginning may last `more` minutes longer.
    #[must_use]
    pub fn decide_extension(&self, lasting: u32, more: u32, reason: Option<&str>) -> Decision {
        let left = self.maximum_minutes.saturating_sub(lasting);
        if more == 0 || more > left {
            return Decision::Refused(Refusal::Extension { asked: more, left, maximum: self.maximum_minutes });
        }
        if self.reason_required && reason.is_none_or(|reason| reason.trim().is_empty()) {
            return Decision::Refused(Refusal::ReasonMissing);
        }
        Decision::Granted { minutes: lasting + more }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        let rules = Rules {
            minutes: Some(60),
            maximum_minutes: Some(120),
            leases_at_once: Some(2),
            reason_required: Some(true),
            ticket: Some(TicketPattern::parse("INC-[0-9]+").unwrap()),
            ..Rules::default()
        };
        Limits::of(&rules, 240, 480, None)
    }

    const ENOUGH: Wish<'_> = Wish { minutes: None, reason: Some("why"), ticket: Some("INC-1"), open: 0 };

    #[test]
    fn every_condition_is_asked_for() {
        let refused = |wish: Wish<'_>| match limits().decide(wish) {
            Decision::Refused(refusal) => refusal,
            Decision::Granted { .. } => unreachable!("it is refused"),
        };
        let pattern = TicketPattern::parse("INC-[0-9]+").unwrap();
        assert_eq!(limits().decide(ENOUGH), Decision::Granted { minutes: 60 });
        assert_eq!(limits().decide(Wish { minutes: Some(120), ..ENOUGH }), Decision::Granted { minutes: 120 });
        for asked in [0, 121, u32::MAX] {
            assert_eq!(refused(Wish { minutes: Some(asked), ..ENOUGH }), Refusal::Duration { asked, maximum: 120 });
        }
        for reason in [None, Some(""), Some("  ")] {
            assert_eq!(refused(Wish { reason, ..ENOUGH }), Refusal::ReasonMissing);
        }
        for ticket in [None, Some(" ")] {
            assert_eq!(refused(Wish { ticket, ..ENOUGH }), Refusal::TicketMissing { pattern: pattern.clone() });
        }
        let ticket = "see INC-1".to_owned();
        assert_eq!(refused(Wish { ticket: Some("see INC-1"), ..ENOUGH }), Refusal::TicketUnfit { ticket, pattern });
        assert_eq!(limits().decide(Wish { open: 1, ..ENOUGH }), Decision::Granted { minutes: 60 });
        assert_eq!(refused(Wish { open: 2, ..ENOUGH }), Refusal::TooMany { limit: 2 });
    }

    #[test]
    fn what_the_rules_leave_unset_was_said_when_the_tenant_was_connected() {
        let limits = Limits::of(&Rules::default(), 240, 480, None);
        assert_eq!((limits.minutes, limits.maximum_minutes), (240, 480));
        assert_eq!(limits.decide(Wish::default()), Decision::Granted { minutes: 240 });
        // A profile is never allowed more than its tenant, and the usual time shrinks with the maximum.
        let limits = Limits::of(&Rules::default(), 240, 480, Some(60));
        assert_eq!((limits.minutes, limits.maximum_minutes), (60, 60));
        assert_eq!(Limits::of(&Rules::default(), 240, 480, Some(600)).maximum_minutes, 480);
    }

    proptest! {
        #[test]
        fn no_sequence_of_extensions_goes_beyond_the_maximum(
            first in 1_u32..200,
            more in prop::collection::vec(0_u32..100, 0..12),
        ) {
            let limits = limits();
            let Decision::Granted { minutes: mut lasting } = limits.decide(Wish { minutes: Some(first), ..ENOUGH }) else {
                prop_assert!(first > 120);
                return Ok(());
            };
            for more in more {
                if let Decision::Granted { minutes } = limits.decide_extension(lasting, more, Some("why")) {
                    prop_assert_eq!(minutes, lasting + more);
                    lasting = minutes;
                }
                prop_assert!(lasting <= limits.maximum_minutes);
            }
        }
    }
}
