//! Schedules that are kept: each was, or would have been, a loss, and is run first, in every form of the matrix.
//!
//! They are written out and not numbers, because a number means another schedule once the engine makes more or fewer
//! calls. The calls that they name may move as well; so where a guard holds one it is named, and the matrix fails when
//! the schedule shows nothing without that guard any more: then it has to be written anew.

use latchkey_engine::Guard;

use crate::{
    schedule::{COMMAND_LINE, Customer, Fault, HOST, SCHEDULE, Scenario, Weather},
    world::ProcessId,
};

/// A schedule that is kept.
pub(crate) struct Regression {
    /// What went wrong.
    pub(crate) why: &'static str,
    /// Without this guard it goes wrong again. `None`: what was mended is no guard that could be taken out.
    pub(crate) guard: Option<Guard>,
    pub(crate) scenario: Scenario,
    pub(crate) customer: Customer,
    pub(crate) shift: i64,
    pub(crate) weather: Weather,
    pub(crate) faults: &'static [((ProcessId, u64), Fault)],
}

const FAIR: Weather = Weather { offset: 0, create_lag: 0, read_lag: 0, role_removal_lag: 0 };

pub(crate) const REGRESSIONS: &[Regression] = &[
    Regression {
        why: "the token is refused shortly before the end, and the next one comes only when it is too late to send",
        guard: Some(Guard::DeadlineAfterTheWait),
        scenario: Scenario::RenewedLate,
        customer: Customer::Passes,
        shift: 3_000,
        weather: FAIR,
        faults: &[
            ((COMMAND_LINE, 2), Fault::Status { status: 401, retry_after: None, after_effect: false }),
            ((COMMAND_LINE, 3), Fault::Slow { takes: 9_000 }),
            ((COMMAND_LINE, 4), Fault::Silence { takes: 9_990, after: 10_000 }),
        ],
    },
    Regression {
        why: "Microsoft's clock seemed to go back by two seconds, so that a break-glass account made just now, which one \
          replica did not show yet, was taken for deleted and its password thrown away",
        guard: None,
        scenario: Scenario::BreakGlassMade,
        customer: Customer::BreakGlass,
        shift: 105_878,
        weather: Weather { offset: -1_900, create_lag: 4_000, ..FAIR },
        faults: &[],
    },
    Regression {
        why: "the password that a break-glass account was made with was proven by the change that a later one, which was \
          not answered, had made; ten minutes later that one was thrown away",
        guard: None,
        scenario: Scenario::BreakGlassMade,
        customer: Customer::BreakGlass,
        shift: 50_000,
        weather: FAIR,
        faults: &[((HOST, 5), Fault::DieBefore), ((SCHEDULE, 3), Fault::Silence { takes: 3_700, after: 2_000 })],
    },
];
