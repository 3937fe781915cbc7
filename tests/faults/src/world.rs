//! Virtual time, and whose turn it is.
//!
//! Everything that happens at a later time is an event here; the scheduler (in `run`) takes them in order of time and,
//! at the same time, of arrival. After an event that concerns a process only that process runs, until it waits for
//! virtual time again or has nothing left to do. What it asks of the database meanwhile is answered in real time, while
//! virtual time stands. So a run is a function of its schedule, however busy the machine is.

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use latchkey_engine::Clock;
use tokio::sync::Notify;

use crate::{schedule::Act, wire::Arrival};

/// Which process: an index.
pub(crate) type ProcessId = usize;

/// Something that happens at a time.
pub(crate) enum Event {
    /// A wait is over.
    Wake(u64),
    /// A request takes effect. It belongs to nobody: whoever sent it may be dead by then.
    Arrive(Box<Arrival>),
    /// A process is told to do something.
    Tell(ProcessId, Act),
    /// A process that crashed is started again.
    Restart(ProcessId),
    /// The system's schedule runs a sweep.
    Sweep(ProcessId),
    /// Somebody else makes the account active, in a portal.
    Drift,
    /// The database is copied.
    BackUp,
    /// Every process stops, and the database is the copy again.
    Restore,
    /// The machine is switched off for a long time.
    Gone,
    /// What ends by itself is over.
    FenceDue,
}

#[derive(Default)]
pub(crate) struct ProcessState {
    /// How many waits for virtual time are under way in it.
    waiting: usize,
    /// It is in an operation.
    running: bool,
    /// What it was doing is over.
    finished: bool,
    /// Nothing of it runs any more.
    dead: bool,
    /// How often it has read the clock since its operation began: its crash points between two calls.
    ticks: u64,
    /// At which of those it dies.
    dies_at_tick: Option<u64>,
    /// How many exchanges it has begun.
    pub(crate) calls: u64,
}

struct Waiting {
    process: ProcessId,
    at: (i64, u64),
    over: bool,
    waker: Option<Waker>,
}

#[derive(Default)]
pub(crate) struct State {
    /// Milliseconds since the beginning.
    pub(crate) now: i64,
    sequence: u64,
    events: BTreeMap<(i64, u64), Event>,
    waits: HashMap<u64, Waiting>,
    pub(crate) processes: Vec<ProcessState>,
    pub(crate) crashes: u64,
    pub(crate) in_flight: usize,
}

/// One world: its time, its events, its processes.
pub(crate) struct World {
    state: Mutex<State>,
    /// Unix time in milliseconds at the beginning.
    beginning: i64,
    /// This machine's clock minus the true time, in milliseconds.
    offset: i64,
    changed: Notify,
}

/// What a process unwinds with when it dies between two calls.
struct Died;

impl World {
    pub(crate) fn new(beginning: i64, offset: i64, processes: usize) -> Arc<Self> {
        let state = State { processes: (0..processes).map(|_| ProcessState::default()).collect(), ..State::default() };
        Arc::new(Self { state: Mutex::new(state), beginning, offset, changed: Notify::new() })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> i64 {
        self.state().now
    }

    /// Milliseconds since the beginning of a time that this machine's clock showed.
    pub(crate) fn true_time(&self, shown: i64) -> i64 {
        shown - self.offset - self.beginning
    }

    /// By how much this machine's clock is behind the true time, in milliseconds.
    pub(crate) fn behind(&self) -> i64 {
        (-self.offset).max(0)
    }

    pub(crate) fn at(&self, time: i64, event: Event) {
        let mut state = self.state();
        state.sequence += 1;
        let key = (time.max(state.now), state.sequence);
        state.in_flight += usize::from(matches!(event, Event::Arrive(_)));
        state.events.insert(key, event);
    }

    /// The next event; time is when it happens.
    pub(crate) fn next(&self) -> Option<Event> {
        let mut state = self.state();
        let ((time, _), event) = state.events.pop_first()?;
        state.now = time;
        state.in_flight -= usize::from(matches!(event, Event::Arrive(_)));
        Some(event)
    }

    /// Whether anything but the schedule's sweeps is still to come.
    pub(crate) fn something_is_coming(&self) -> bool {
        self.state().events.values().any(|event| !matches!(event, Event::Sweep(_)))
    }

    /// Ends a wait. Returns whose it was, if it is still waited for.
    pub(crate) fn wake(&self, wait: u64) -> Option<ProcessId> {
        let mut state = self.state();
        let waiting = state.waits.get_mut(&wait)?;
        waiting.over = true;
        let process = waiting.process;
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
        state.processes[process].waiting -= 1;
        Some(process)
    }

    /// Lets a process run until it waits, is through or is dead.
    pub(crate) async fn let_run(&self, process: ProcessId) {
        loop {
            {
                let state = self.state();
                let process = &state.processes[process];
                if process.waiting > 0 || process.finished || process.dead {
                    return;
                }
            }
            self.changed.notified().await;
        }
    }

    /// A process begins an operation.
    pub(crate) fn begin(&self, process: ProcessId) {
        let process = &mut self.state().processes[process];
        process.finished = false;
        process.running = true;
    }

    /// A process has finished its operation.
    pub(crate) fn finish(&self, process: ProcessId) {
        let mut state = self.state();
        let process = &mut state.processes[process];
        (process.finished, process.running) = (true, false);
        drop(state);
        self.changed.notify_one();
    }

    pub(crate) fn is_dead(&self, process: ProcessId) -> bool {
        self.state().processes[process].dead
    }

    pub(crate) fn has_finished(&self, process: ProcessId) -> bool {
        self.state().processes[process].finished
    }

    pub(crate) fn ticks(&self, process: ProcessId) -> u64 {
        self.state().processes[process].ticks
    }

    pub(crate) fn dies_at_tick(&self, process: ProcessId, tick: Option<u64>) {
        self.state().processes[process].dies_at_tick = tick;
    }

    /// Kills a process where it stands.
    pub(crate) fn kill(&self, process: ProcessId) {
        let mut state = self.state();
        state.crashes += 1;
        let process = &mut state.processes[process];
        (process.dead, process.running) = (true, false);
        drop(state);
        self.changed.notify_one();
    }

    /// A new process in the place of one that died; it knows nothing of it.
    pub(crate) fn revive(&self, process: ProcessId) {
        let process = &mut self.state().processes[process];
        process.dead = false;
        process.finished = true;
    }

    /// Returns at a time.
    pub(crate) fn wait(self: &Arc<Self>, process: ProcessId, until: i64) -> Wait {
        Wait { world: Arc::clone(self), process, until, id: None }
    }
}

/// A wait for virtual time.
pub(crate) struct Wait {
    world: Arc<World>,
    process: ProcessId,
    until: i64,
    id: Option<u64>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let world = Arc::clone(&self.world);
        let mut state = world.state();
        match self.id {
            None => {
                state.sequence += 1;
                let id = state.sequence;
                let at = (self.until.max(state.now), id);
                state.events.insert(at, Event::Wake(id));
                state.waits.insert(
                    id,
                    Waiting { process: self.process, at, over: false, waker: Some(context.waker().clone()) },
                );
                state.processes[self.process].waiting += 1;
                drop(state);
                self.id = Some(id);
                world.changed.notify_one();
                Poll::Pending
            }
            Some(id) => match state.waits.get_mut(&id) {
                Some(waiting) if !waiting.over => {
                    waiting.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            },
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut state = self.world.state();
        if let Some(waiting) = state.waits.remove(&id)
            && !waiting.over
        {
            state.events.remove(&waiting.at);
            state.processes[waiting.process].waiting -= 1;
        }
    }
}

/// The clocks that a process sees.
pub(crate) struct VirtualClock {
    pub(crate) world: Arc<World>,
    /// `None`: an onlooker, who never dies.
    pub(crate) process: Option<ProcessId>,
}

impl Clock for VirtualClock {
    fn now(&self) -> i64 {
        let mut state = self.world.state();
        let now = self.world.beginning + state.now + self.world.offset;
        let Some(id) = self.process else { return now };
        let process = &mut state.processes[id];
        process.ticks += u64::from(process.running);
        let dies = process.running && process.dies_at_tick == Some(process.ticks);
        let dead = process.dead;
        drop(state);
        if dies {
            self.world.kill(id);
        }
        if dies || dead {
            // Unwinds without a message: everything that the process had in hand is dropped, as a kill would.
            std::panic::resume_unwind(Box::new(Died));
        }
        now
    }

    fn elapsed(&self) -> i64 {
        self.world.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4);
        match self.process {
            Some(process) => Box::pin(self.world.wait(process, self.world.now() + milliseconds.max(1))),
            None => Box::pin(std::future::ready(())),
        }
    }
}
