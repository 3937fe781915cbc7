//! What a run is made of: a scenario, the state of the world, and the faults.
//!
//! A schedule is a number. The same number gives the same run: numbers below the count of [`Matrix::singles`] are every
//! single fault at every call, the next are pairs, and all others are drawn.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_engine::Guard;

use crate::{
    random::Random,
    regressions::Regression,
    world::{Event, ProcessId},
};

/// The technician's host, which holds credentials.
pub(crate) const HOST: ProcessId = 0;
/// What the system's schedule runs.
pub(crate) const SCHEDULE: ProcessId = 1;
/// A command line beside it.
pub(crate) const COMMAND_LINE: ProcessId = 2;
pub(crate) const PROCESSES: usize = 3;

/// How often the system's schedule runs a sweep, in milliseconds.
pub(crate) const SWEEP_EVERY: i64 = 60_000;
/// Drawn faults happen only before this.
const FAULTS_END: i64 = 600_000;
/// Any other fault happens only before this: what it brings about must have come to its end before the run does.
const LAST_FAULT: i64 = 2_000_000;
/// No event later than this is handled.
pub(crate) const HORIZON: i64 = 2_400_000;

/// What a process is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Connect the tenant, which makes the account.
    Connect,
    /// Start a lease of a minute, or renew the credential of the one that is open.
    Start,
    /// Start a lease of the other profile, on the same account.
    StartOther,
    /// Start a lease for the second technician.
    StartForKim,
    /// Let what is open last a minute longer.
    Extend,
    /// End every lease, one after the other.
    End,
    /// End the lease of the first profile.
    EndFirst,
    /// End the leases of the one who works here, and nobody else's.
    EndMine,
    /// End everything, everywhere, at once.
    EndAll,
    /// Grant nothing until it is lifted, and end everything.
    LockDown,
    /// Lift the lockdown.
    Lift,
    /// Make the dormant accounts of all technicians.
    PrepareAll,
    /// Replace what proves that the tenant's application is itself by a new certificate.
    RotateCredential,
    /// Make the tenant's break-glass account.
    MakeBreakGlass,
    /// Replace its password now.
    RotateBreakGlass,
    /// Show its password to a technician.
    Reveal,
    /// One sweep.
    Sweep,
}

/// What goes wrong with one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies before the send.
    DieBefore,
    /// The process dies after the send; the request arrives so much later.
    DieAfterSend { takes: i64 },
    /// The process dies after the effect, before it hears of it.
    DieAfter,
    /// The process dies when it reads the clock for the n-th time in its life.
    DieAtTick { tick: u64 },
    /// The process is paused between its last check and the send.
    Pause { milliseconds: i64 },
    /// Nothing happens, and nothing is heard until the process gives up.
    NoEffect { after: i64 },
    /// The server is not reached.
    Unreached,
    /// It takes effect so much later, and nothing is heard until the process gives up.
    Silence { takes: i64, after: i64 },
    /// Effect and answer come late, but they come.
    Slow { takes: i64 },
    /// Answered with a status.
    Status { status: u16, retry_after: Option<u64>, after_effect: bool },
    /// The batch is done only up to this item.
    HalfBatch { from_item: usize },
}

impl Fault {
    pub(crate) const fn pauses(self) -> bool {
        matches!(self, Self::Pause { .. })
    }
}

/// Every fault that is tried at every call.
pub(crate) const KINDS: &[Fault] = &[
    Fault::DieBefore,
    Fault::DieAfterSend { takes: 30 },
    Fault::DieAfterSend { takes: 9_900 },
    Fault::DieAfter,
    Fault::NoEffect { after: 10_000 },
    Fault::Unreached,
    Fault::Silence { takes: 30, after: 10_000 },
    Fault::Silence { takes: 9_990, after: 10_000 },
    Fault::Silence { takes: 9_900, after: 500 },
    Fault::Silence { takes: 30, after: 100 },
    Fault::Slow { takes: 9_800 },
    Fault::Pause { milliseconds: 1_500 },
    Fault::Pause { milliseconds: 25_000 },
    Fault::Pause { milliseconds: 70_000 },
    Fault::Pause { milliseconds: 120_000 },
    Fault::Status { status: 401, retry_after: None, after_effect: false },
    Fault::Status { status: 429, retry_after: Some(7), after_effect: false },
    Fault::Status { status: 429, retry_after: None, after_effect: false },
    Fault::Status { status: 500, retry_after: None, after_effect: false },
    Fault::Status { status: 503, retry_after: Some(20), after_effect: false },
    Fault::Status { status: 503, retry_after: None, after_effect: true },
    Fault::HalfBatch { from_item: 2 },
    Fault::HalfBatch { from_item: 4 },
];

/// In whose tenant it happens, and how far Latchkey has got with it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Customer {
    /// A Temporary Access Pass signs the account in.
    Passes,
    /// A password does.
    Passwords,
    /// All technicians share one account.
    SharedAccount,
    /// Roles end by themselves (Privileged Identity Management).
    TimedRoles,
    /// The application proves itself by a certificate, and the next one has been made already.
    Certificate,
    /// The application may rotate the passwords of administrators.
    BreakGlass,
}

impl Customer {
    /// How long a lease lasts, in minutes. Roles that end by themselves are not assigned for less than five.
    pub(crate) const fn minutes(self) -> u32 {
        match self {
            Self::TimedRoles => 6,
            _ => 1,
        }
    }
}

/// What a scenario begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// A tenant that Latchkey has never seen.
    Untouched,
    /// The tenant is connected, and its account prepared.
    Connected,
    /// The same, and its break-glass account made or its certificate in use.
    Complete,
}

/// What the processes are told, and what happens to them from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// A lease that is ended by hand.
    EndedByHand,
    /// A lease that is ended as soon as it has begun.
    EndedAtOnce,
    /// A lease that runs out.
    RunsOut,
    /// A lease whose credential another process renews shortly before its end.
    RenewedLate,
    /// Two leases, one soon after the other.
    TwoInARow,
    /// Two leases on one account, of which the first is ended while the other goes on.
    TwoProfiles,
    /// A lease that is extended.
    Extended,
    /// Everything is ended at once while somebody starts.
    EverythingEnded,
    /// Two processes start, end and sweep at the same time.
    Racing,
    /// A tenant is connected, and nothing else.
    Preparing,
    /// A tenant is connected, then a lease starts at once.
    Connecting,
    /// Somebody else makes the dormant account active.
    Drift,
    /// The database is put back to before the lease.
    Restored,
    /// Two processes renew the credential in turns, more often than the limit of passes allows, shortly before the end.
    TakingTurns,
    /// Two technicians on one account, of whom the first ends while the other goes on.
    SharedByTwo,
    /// Two technicians begin and end on one account at the same time.
    SharedRace,
    /// Everything is locked down while somebody starts; later that is lifted.
    LockedDown,
    /// Two processes make the dormant accounts of two technicians while one of them starts.
    PreparedAhead,
    /// The machine is switched off during a lease and comes back long after its end.
    MachineGone,
    /// The application's certificate is replaced during a lease.
    CredentialRotated,
    /// Two processes replace it at once.
    CredentialRace,
    /// A break-glass account is made, and its password shown.
    BreakGlassMade,
    /// Two processes rotate a break-glass password at once, while another one shows it.
    BreakGlassRotated,
    /// A break-glass password is shown, and again when the schedule replaces it because of that.
    BreakGlassRevealed,
    /// The tenant's break-glass account is made, or its certificate taken into use, and nothing else.
    Completing,
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::EndedByHand,
    Scenario::EndedAtOnce,
    Scenario::RunsOut,
    Scenario::RenewedLate,
    Scenario::TwoInARow,
    Scenario::TwoProfiles,
    Scenario::Extended,
    Scenario::EverythingEnded,
    Scenario::Racing,
    Scenario::Connecting,
    Scenario::Drift,
    Scenario::Restored,
    Scenario::TakingTurns,
    Scenario::SharedByTwo,
    Scenario::SharedRace,
    Scenario::LockedDown,
    Scenario::PreparedAhead,
    Scenario::MachineGone,
    Scenario::CredentialRotated,
    Scenario::CredentialRace,
    Scenario::BreakGlassMade,
    Scenario::BreakGlassRotated,
    Scenario::BreakGlassRevealed,
];

/// So long a machine that is switched off stays off, in milliseconds: until after the end of every lease and fence.
pub(crate) const BACK_AGAIN: i64 = 1_500_000;
/// When the roles of a lease of six minutes are gone by themselves, in milliseconds: whole minutes, a head start, and
/// the time that starting may take.
const FENCE_DUE: i64 = 6 * 60_000 + 240_000;

impl Scenario {
    /// What happens when, by itself. `shift` moves what has no fixed time.
    pub(crate) fn events(self, customer: Customer, shift: i64) -> Vec<(i64, Event)> {
        use Act::{
            Connect, End, EndAll, EndFirst, EndMine, Extend, Lift, LockDown, MakeBreakGlass, PrepareAll, Reveal,
            RotateBreakGlass, RotateCredential, Start, StartForKim, StartOther, Sweep,
        };
        let lease = i64::from(customer.minutes()) * 60_000;
        let tell = |at, process, act| (at, Event::Tell(process, act));
        let mut events = vec![(1_000 + shift % SWEEP_EVERY, Event::Sweep(SCHEDULE))];
        events.extend(match self {
            Self::EndedByHand => vec![tell(0, HOST, Start), tell(20_000, HOST, End)],
            Self::EndedAtOnce => vec![tell(0, HOST, Start), tell(300, HOST, End)],
            // A host that is alive ends the lease at its second, beside the schedule.
            Self::RunsOut => vec![tell(0, HOST, Start), tell(lease + 100, HOST, Sweep)],
            Self::RenewedLate => {
                vec![tell(0, HOST, Start), tell(lease - 16_000 + shift % 14_000, COMMAND_LINE, Start)]
            }
            Self::TwoInARow => vec![
                tell(0, HOST, Start),
                tell(12_000, HOST, End),
                tell(13_000, COMMAND_LINE, Start),
                tell(40_000, COMMAND_LINE, End),
            ],
            Self::TwoProfiles => {
                vec![tell(0, HOST, Start), tell(4_000, HOST, StartOther), tell(20_000, COMMAND_LINE, EndFirst)]
            }
            Self::Extended => vec![tell(0, HOST, Start), tell(30_000 + shift % 25_000, COMMAND_LINE, Extend)],
            Self::EverythingEnded => vec![
                tell(0, HOST, Start),
                tell(10_000, COMMAND_LINE, EndAll),
                tell(10_000 + shift % 300, HOST, StartOther),
            ],
            Self::Racing => vec![
                tell(0, HOST, Start),
                tell(shift % 400, COMMAND_LINE, Start),
                tell(30_000, HOST, End),
                tell(30_000 + shift % 300, COMMAND_LINE, End),
                tell(30_000 + shift % 200, SCHEDULE, Sweep),
            ],
            Self::Preparing => vec![tell(0, HOST, Connect)],
            Self::Connecting => vec![tell(0, HOST, Connect), tell(8_000, HOST, Start), tell(40_000, HOST, End)],
            Self::Drift => vec![(100_000 + shift, Event::Drift)],
            Self::Restored => {
                vec![(0, Event::BackUp), tell(1_000, HOST, Start), (5_000 + shift % 60_000, Event::Restore)]
            }
            Self::TakingTurns => {
                let turn = |turn: i64| {
                    let process = if turn % 2 == 0 { COMMAND_LINE } else { HOST };
                    tell(44_000 + shift % 900 + 500 * turn, process, Start)
                };
                std::iter::once(tell(0, HOST, Start)).chain((0..12).map(turn)).collect()
            }
            Self::SharedByTwo => vec![
                tell(0, HOST, Start),
                tell(4_000, COMMAND_LINE, StartForKim),
                tell(20_000 + shift % 20_000, HOST, EndMine),
            ],
            Self::SharedRace => vec![
                tell(0, HOST, Start),
                tell(shift % 400, COMMAND_LINE, StartForKim),
                tell(30_000, HOST, EndMine),
                tell(30_000 + shift % 300, COMMAND_LINE, End),
                tell(30_000 + shift % 200, SCHEDULE, Sweep),
            ],
            Self::LockedDown => vec![
                tell(0, HOST, Start),
                tell(10_000, COMMAND_LINE, LockDown),
                tell(10_000 + shift % 300, HOST, StartOther),
                tell(12_000, HOST, Start),
                tell(50_000, COMMAND_LINE, Lift),
                tell(51_000, HOST, Start),
            ],
            Self::PreparedAhead => vec![
                tell(0, HOST, PrepareAll),
                tell(shift % 400, COMMAND_LINE, PrepareAll),
                tell(2_000 + shift % 3_000, HOST, Start),
                tell(30_000, COMMAND_LINE, PrepareAll),
            ],
            Self::MachineGone => {
                vec![tell(0, HOST, Start), (500 + shift % 60_000, Event::Gone), (FENCE_DUE, Event::FenceDue)]
            }
            Self::CredentialRotated => vec![
                tell(0, HOST, Start),
                tell(5_000, COMMAND_LINE, RotateCredential),
                tell(50_000, COMMAND_LINE, RotateCredential),
            ],
            Self::CredentialRace => vec![
                tell(0, HOST, RotateCredential),
                tell(shift % 600, COMMAND_LINE, RotateCredential),
                tell(20_000, HOST, Start),
            ],
            Self::BreakGlassMade => vec![
                tell(0, HOST, MakeBreakGlass),
                tell(5_000 + shift % 20_000, COMMAND_LINE, Reveal),
                tell(60_000, HOST, MakeBreakGlass),
            ],
            Self::BreakGlassRotated => vec![
                tell(0, HOST, RotateBreakGlass),
                tell(shift % 500, COMMAND_LINE, RotateBreakGlass),
                tell(shift % 900, COMMAND_LINE, Reveal),
                tell(40_000, HOST, Reveal),
            ],
            Self::BreakGlassRevealed => {
                vec![tell(0, HOST, Reveal), tell(60_000 + shift % 65_000, COMMAND_LINE, Reveal)]
            }
            Self::Completing if customer == Customer::BreakGlass => vec![tell(0, HOST, MakeBreakGlass)],
            Self::Completing => vec![tell(0, HOST, RotateCredential), tell(60_000, COMMAND_LINE, RotateCredential)],
        });
        events
    }

    /// In whose tenants it is tried.
    pub(crate) const fn customers(self) -> &'static [Customer] {
        use Customer::{BreakGlass, Certificate, Passes, Passwords, SharedAccount, TimedRoles};
        match self {
            Self::EndedByHand | Self::RunsOut | Self::RenewedLate | Self::Extended => &[Passes, Passwords, TimedRoles],
            Self::TakingTurns => &[Passes],
            Self::SharedByTwo | Self::SharedRace => &[SharedAccount],
            Self::MachineGone => &[TimedRoles],
            Self::CredentialRotated | Self::CredentialRace => &[Certificate],
            Self::BreakGlassMade | Self::BreakGlassRotated | Self::BreakGlassRevealed => &[BreakGlass],
            Self::Preparing => &[Passes, Passwords, SharedAccount, TimedRoles, Certificate, BreakGlass],
            Self::Completing => &[Certificate, BreakGlass],
            _ => &[Passes, Passwords],
        }
    }

    /// Whether the configuration has profiles.
    pub(crate) const fn has_profiles(self) -> bool {
        matches!(self, Self::TwoProfiles | Self::EverythingEnded | Self::LockedDown)
    }

    /// Whether it is about a break-glass account and not about leases.
    pub(crate) const fn is_break_glass(self) -> bool {
        matches!(self, Self::BreakGlassMade | Self::BreakGlassRotated | Self::BreakGlassRevealed)
    }

    /// What it begins with.
    pub(crate) const fn ground(self) -> Ground {
        match self {
            Self::Connecting | Self::Preparing => Ground::Untouched,
            Self::CredentialRotated | Self::CredentialRace | Self::BreakGlassRotated | Self::BreakGlassRevealed => {
                Ground::Complete
            }
            _ => Ground::Connected,
        }
    }
}

/// Every scenario with every customer that it is tried with.
pub(crate) fn cases() -> impl Iterator<Item = (Scenario, Customer)> {
    SCENARIOS.iter().flat_map(|scenario| scenario.customers().iter().map(|customer| (*scenario, *customer)))
}

/// How the world is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    /// This machine's clock minus the true time, in milliseconds.
    pub(crate) offset: i64,
    /// How long a new object is missing, in milliseconds.
    pub(crate) create_lag: u64,
    /// How old reads are, in milliseconds.
    pub(crate) read_lag: u64,
    /// How long a sensitive action is refused after a role was removed, in milliseconds.
    pub(crate) role_removal_lag: u64,
}

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) number: u64,
    pub(crate) scenario: Scenario,
    pub(crate) customer: Customer,
    pub(crate) weather: Weather,
    pub(crate) shift: i64,
    /// Faults at calls: process and number of the exchange in its life, from 1.
    pub(crate) faults: BTreeMap<(ProcessId, u64), Fault>,
    /// Faults that are drawn at each call: how many of a thousand.
    pub(crate) drawn: Option<u64>,
    /// Where drawn faults come from.
    seed: u64,
    /// Every exchange is to be in the story.
    pub(crate) in_detail: bool,
}

/// Chooses the faults of one run as it goes.
pub(crate) struct Plan {
    faults: BTreeMap<(ProcessId, u64), Fault>,
    drawn: Option<u64>,
    random: Random,
    /// What went wrong, for whoever reads about the run.
    pub(crate) happened: Vec<(i64, ProcessId, u64, Fault)>,
    /// Every exchange, if that is asked for.
    pub(crate) exchanges: Option<Vec<(i64, String)>>,
}

impl Schedule {
    pub(crate) fn plan(&self) -> Plan {
        Plan {
            faults: self.faults.clone(),
            drawn: self.drawn,
            random: Random::new(self.seed ^ 0x5DEE_CE66),
            happened: Vec::new(),
            exchanges: self.in_detail.then(Vec::new),
        }
    }

    pub(crate) fn plain(scenario: Scenario, customer: Customer) -> Self {
        Self {
            number: 0,
            scenario,
            customer,
            weather: Weather::default(),
            shift: 24_000,
            faults: BTreeMap::new(),
            drawn: None,
            seed: 0,
            in_detail: false,
        }
    }

    /// One that is kept because something went wrong with it once.
    pub(crate) fn of(regression: &Regression) -> Self {
        Self {
            shift: regression.shift,
            weather: regression.weather,
            faults: regression.faults.iter().copied().collect(),
            ..Self::plain(regression.scenario, regression.customer)
        }
    }
}

impl Plan {
    /// What goes wrong with an exchange.
    pub(crate) fn at_call(&mut self, now: i64, process: ProcessId, call: u64) -> Option<Fault> {
        let mut fault = self.faults.get(&(process, call)).copied().filter(|_| now < LAST_FAULT);
        if let Some(per_mille) = self.drawn.filter(|_| now < FAULTS_END)
            && self.random.chance(per_mille)
        {
            fault = self.draw();
        }
        if let Some(fault) = fault {
            self.happened.push((now, process, call, fault));
        }
        fault
    }

    /// At which tick a process dies that begins an operation, if it does.
    pub(crate) fn at_beginning(&mut self, now: i64, process: ProcessId, ticks: u64) -> Option<u64> {
        let drawn = self.drawn.filter(|_| now < FAULTS_END);
        let tick = if drawn.is_some_and(|per_mille| self.random.chance(4 * per_mille)) {
            Some(ticks + self.random.next() % 40 + 1)
        } else {
            self.faults.iter().find_map(|((of, _), fault)| match fault {
                Fault::DieAtTick { tick } if *of == process && *tick > ticks && now < LAST_FAULT => Some(*tick),
                _ => None,
            })
        };
        if let Some(tick) = tick {
            self.happened.push((now, process, 0, Fault::DieAtTick { tick }));
        }
        tick
    }

    /// How long a process that died stays down.
    pub(crate) fn down(&mut self) -> i64 {
        self.random.between(500, 20_000)
    }

    fn draw(&mut self) -> Option<Fault> {
        let random = &mut self.random;
        Some(match random.one_of(KINDS)? {
            Fault::DieAfterSend { .. } => Fault::DieAfterSend { takes: random.between(30, 9_990) },
            Fault::Pause { .. } => Fault::Pause { milliseconds: random.between(1_000, 120_000) },
            Fault::Silence { .. } => {
                Fault::Silence { takes: random.between(30, 9_990), after: random.between(100, 10_000) }
            }
            Fault::Slow { .. } => Fault::Slow { takes: random.between(1_000, 9_900) },
            other => other,
        })
    }
}

/// How many calls and ticks each process has in a scenario when nothing goes wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extent {
    pub(crate) calls: [u64; PROCESSES],
    pub(crate) ticks: [u64; PROCESSES],
}

/// All schedules.
pub(crate) struct Matrix {
    /// Places for a fault: scenario, customer, process, call, fault.
    places: Vec<(Scenario, Customer, ProcessId, u64, Fault)>,
}

/// How many schedules have two faults; all after them are drawn.
const PAIRS: u64 = 50_000;

/// Later calls than these come up only after a first fault.
const CALLS_BEYOND: u64 = 6;

impl Matrix {
    /// Every fault at every call and a death at every tick, of every scenario whose extent was measured.
    pub(crate) fn new(extents: &[(Scenario, Customer, Extent)]) -> Self {
        let mut places = Vec::new();
        for (scenario, customer, extent) in extents {
            for process in 0..PROCESSES {
                for call in 1..=extent.calls[process] {
                    places.extend(KINDS.iter().map(|fault| (*scenario, *customer, process, call, *fault)));
                }
                places.extend((1..=extent.ticks[process]).map(|tick| {
                    // The number of the call is not used; it keeps two deaths apart.
                    (*scenario, *customer, process, 1_000_000 + tick, Fault::DieAtTick { tick })
                }));
            }
        }
        Self { places }
    }

    /// How many schedules have one fault.
    pub(crate) fn singles(&self) -> u64 {
        u64::try_from(self.places.len()).unwrap_or(0)
    }

    /// Which schedules to run when there is time for so many: every single fault and two pairs for three drawn ones;
    /// when there is not time for that, some of each.
    pub(crate) fn numbers(&self, count: u64) -> Vec<u64> {
        let singles = self.singles();
        let some = if count < 2 * singles { count / 3 } else { singles };
        // Steps through them that do not fall in with how they are ordered.
        let mut numbers: Vec<_> =
            (0..some).map(|index| if some == singles { index } else { index * 7_919 % singles }).collect();
        let pairs = ((count - some) * 2 / 5).min(PAIRS);
        numbers.extend((0..pairs).map(|index| singles + index));
        numbers.extend((0..count - some - pairs).map(|index| singles + PAIRS + index));
        // Mixed, so that whoever stops early has seen some of each.
        let mut random = Random::new(count);
        for last in (1..numbers.len()).rev() {
            let other = usize::try_from(random.next()).unwrap_or(0) % (last + 1);
            numbers.swap(last, other);
        }
        numbers
    }

    /// Every single fault of the scenarios in which the loss shows that a guard is for; after them what
    /// [`Self::numbers`] says.
    pub(crate) fn numbers_without(&self, guard: Guard, count: u64) -> Vec<u64> {
        let telling: &[Scenario] = match guard {
            Guard::IntentFirst => &[Scenario::RunsOut],
            Guard::DeadlineBeforeTheSend => &[Scenario::RenewedLate],
            Guard::Settle => &[Scenario::EndedAtOnce],
            Guard::ReconcileScan => &[Scenario::Drift, Scenario::Restored],
            Guard::CountNotFlag => &[Scenario::TwoProfiles],
            Guard::DeadlineAfterTheWait => &[Scenario::RenewedLate],
        };
        let mut numbers: Vec<u64> = (0..)
            .zip(&self.places)
            .filter(|(_, (scenario, customer, ..))| {
                telling.contains(scenario) && matches!(customer, Customer::Passes | Customer::Passwords)
            })
            .map(|(number, _)| number)
            .collect();
        let known: BTreeSet<u64> = numbers.iter().copied().collect();
        numbers.extend(self.numbers(count).into_iter().filter(|number| !known.contains(number)));
        numbers.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        numbers
    }

    /// The schedule of a number.
    pub(crate) fn schedule(&self, number: u64) -> Schedule {
        let mut random = Random::new(number.wrapping_mul(0xD134_2543_DE82_EF95));
        let mut schedule = if number < self.singles() + PAIRS {
            self.with_places(number, &mut random)
        } else {
            let scenario = random.one_of(SCENARIOS).unwrap_or(Scenario::RunsOut);
            let customer = random.one_of(scenario.customers()).unwrap_or(Customer::Passes);
            let mut schedule = Schedule::plain(scenario, customer);
            schedule.drawn = random.one_of(&[5, 30, 100]);
            schedule.weather = weather(&mut random);
            schedule.shift = random.between(0, 600_000);
            schedule
        };
        schedule.number = number;
        schedule.seed = random.next();
        schedule
    }

    fn with_places(&self, number: u64, random: &mut Random) -> Schedule {
        let single = number < self.singles();
        let index = if single { number } else { random.next() % self.singles().max(1) };
        let Some((scenario, customer, process, call, fault)) =
            usize::try_from(index).ok().and_then(|index| self.places.get(index)).copied()
        else {
            return Schedule::plain(Scenario::RunsOut, Customer::Passes);
        };
        let mut schedule = Schedule::plain(scenario, customer);
        schedule.faults.insert((process, call), fault);
        if !single {
            // The second fault comes at any call of any process, also at those that only the first one brings about.
            let other = usize::try_from(random.between(0, 2)).unwrap_or(0);
            let second = u64::try_from(random.between(1, 12)).unwrap_or(1) + call.min(CALLS_BEYOND);
            let call = if other == process { second } else { second - call.min(CALLS_BEYOND) };
            schedule.faults.insert((other, call), random.one_of(KINDS).unwrap_or(Fault::DieAfter));
            schedule.shift = random.between(0, 600_000);
            schedule.weather = weather(random);
        }
        schedule
    }
}

fn weather(random: &mut Random) -> Weather {
    Weather {
        offset: random.one_of(&[0, 0, 0, -1_900, 1_900, -15_000, 15_000, 90_000]).unwrap_or(0),
        create_lag: random.one_of(&[0, 0, 4_000, 30_000]).unwrap_or(0),
        read_lag: random.one_of(&[0, 0, 0, 800, 5_000]).unwrap_or(0),
        role_removal_lag: random.one_of(&[0, 0, 5_000, 30_000]).unwrap_or(0),
    }
}
