//! One run: the processes of a schedule, one at a time, in the order of virtual time.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use entra_sim::{
    Settings, Simulation,
    directory::{
        Directory, Licence, RoleAssignment, roles,
        seed::{self, TenantRecipe},
    },
};
use jiff::Timestamp;
use latchkey_engine::{
    ALL_ADMINS, CERTIFICATE_DAYS, Caller, Engine, EngineSettings, Entitlement, LoginMode, NewTenant, Policy, Rules,
    StartLease, Technician,
};
use latchkey_protocol::{LeaseSummary, Progress, cloud::Cloud};
use secrecy::SecretString;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{
    emergency::{self, Emergency},
    keys::{Entries, Keys},
    schedule::{
        Act, BACK_AGAIN, COMMAND_LINE, Customer, Extent, Fault, Ground, HORIZON, HOST, PROCESSES, Plan, SCHEDULE,
        SWEEP_EVERY, Scenario, Schedule,
    },
    truth::{Finding, Truth},
    wire::{Arrival, LATEST, Wire},
    world::{Event, ProcessId, VirtualClock, World},
};

/// When every world begins: a Monday morning.
const BEGINNING: &str = "2026-01-05T08:00:00Z";
/// How old a prepared account is when a scenario begins, in milliseconds: it has arrived everywhere.
const SETTLED_IN: i64 = 400_000;
/// A simulation remembers every token it has issued; after so many runs a new one takes over.
const RUNS_PER_LAB: u32 = 400;
const QUIET: &(dyn Fn(Progress) + Send + Sync) = &|_| {};
const ROLE: &str = "User Administrator";
const GROUP: &str = "Project Alpha";
/// The name of the second profile.
const OTHER: &str = "Users";

/// What the shared account is called, without the prefix.
const SHARED: &str = "helpdesk";

/// A world to begin from: the directory, the database and the key store.
struct Beginning {
    customer: Customer,
    ground: Ground,
    directory: Directory,
    database: Vec<u8>,
    keys: Entries,
}

/// Where runs happen.
pub(crate) struct Laboratory {
    lab: Arc<Simulation>,
    runs: u32,
    pristine: Directory,
    prepared: Vec<Beginning>,
    folder: tempfile::TempDir,
}

/// A process of a run.
#[derive(Default)]
struct Process {
    engine: Option<Engine>,
    task: Option<JoinHandle<()>>,
    to_do: VecDeque<Act>,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) finding: Finding,
    pub(crate) crashes: u64,
    pub(crate) faults: u64,
    pub(crate) extent: Extent,
    /// What went wrong and how the account changed, line by line.
    pub(crate) story: Vec<String>,
}

fn simulation() -> anyhow::Result<Arc<Simulation>> {
    let customer = |customer: Customer, licence: Licence, permissions: &[&str], app_roles: &[&str]| TenantRecipe {
        id: tenant_of(customer).to_string(),
        name: format!("{customer:?}"),
        additional_permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        app_roles: app_roles.iter().map(|name| (*name).to_owned()).collect(),
        licence,
        ..TenantRecipe::default()
    };
    Simulation::new(Settings {
        // No file: shapes are checked elsewhere, and here they would only take time.
        openapi: Some(PathBuf::from("/nonexistent")),
        standing_at: Some(BEGINNING.parse::<Timestamp>().context("the beginning is no time")?),
        tenants: vec![
            customer(
                Customer::TimedRoles,
                Licence::P2,
                &["UserAuthMethod-TAP.ReadWrite.All", "Policy.Read.AuthenticationMethod"],
                &[],
            ),
            customer(Customer::Certificate, Licence::Free, &["Application.ReadWrite.OwnedBy"], &[]),
            customer(Customer::BreakGlass, Licence::Free, &[], &["Privileged Authentication Administrator"]),
        ],
        ..Settings::default()
    })
}

fn tenant_of(customer: Customer) -> Uuid {
    let id = match customer {
        Customer::Passes | Customer::SharedAccount => seed::CONTOSO,
        Customer::Passwords => seed::FABRIKAM,
        Customer::TimedRoles => "44444444-4444-4444-8444-444444444444",
        Customer::Certificate => "55555555-5555-4555-8555-555555555555",
        Customer::BreakGlass => "66666666-6666-4666-8666-666666666666",
    };
    id.parse().unwrap_or_default()
}

impl Laboratory {
    /// Prepares both worlds to begin from, with the engine itself.
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let lab = simulation()?;
        let pristine = lab.directory().clone();
        // In memory where there is such a place: nothing is to survive a power cut here.
        let shared_memory = Path::new("/dev/shm");
        let folder = if shared_memory.is_dir() { tempfile::tempdir_in(shared_memory)? } else { tempfile::tempdir()? };
        let mut laboratory = Self { lab, runs: 0, pristine, prepared: Vec::new(), folder };
        for customer in Scenario::Preparing.customers() {
            laboratory.prepare(&Schedule::plain(Scenario::Preparing, *customer), Ground::Connected).await?;
        }
        for customer in Scenario::Completing.customers() {
            let mut schedule = Schedule::plain(Scenario::Completing, *customer);
            if *customer == Customer::Certificate {
                // The one after the next is made and kept, and no further: making a key takes long.
                schedule.faults.insert((COMMAND_LINE, 1), Fault::DieBefore);
            }
            laboratory.prepare(&schedule, Ground::Complete).await?;
        }
        Ok(laboratory)
    }

    /// Keeps what a schedule leaves behind, to begin others from.
    async fn prepare(&mut self, schedule: &Schedule, ground: Ground) -> anyhow::Result<()> {
        let mut schedule = schedule.clone();
        schedule.shift = 0;
        let (outcome, keys) = self.carry_out(&schedule, false).await?;
        anyhow::ensure!(
            outcome.finding.violations.is_empty(),
            "preparing fails: {:?}\n{}",
            outcome.finding,
            outcome.story.join("\n")
        );
        let customer = schedule.customer;
        let mut directory = self.lab.directory().clone();
        let id = tenant_of(customer).to_string();
        directory.tenants.retain(|tenant| tenant.id == id);
        let database = std::fs::read(self.database())?;
        let keys = keys.entries().clone();
        self.prepared.push(Beginning { customer, ground, directory, database, keys });
        Ok(())
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("latchkey.db")
    }

    fn forget_database(&self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut path = self.database().into_os_string();
            path.push(suffix);
            // Absent is as good as removed.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Puts directory and database to where a schedule begins. Returns how much time has passed there, and the key
    /// store.
    fn begin(&mut self, schedule: &Schedule) -> anyhow::Result<(i64, Keys)> {
        self.runs += 1;
        if self.runs.is_multiple_of(RUNS_PER_LAB) {
            self.lab = simulation()?;
        }
        self.lab.reset();
        self.forget_database();
        let weather = schedule.weather;
        self.lab.turn(&serde_json::json!({
            "create_lag_ms": weather.create_lag,
            "create_lag_intermittent": weather.create_lag > 0,
            "read_lag_ms": weather.read_lag,
            "role_removal_lag_ms": weather.role_removal_lag,
            "throttling": true,
        }))?;
        let (customer, ground) = (schedule.customer, schedule.scenario.ground());
        let found = self.prepared.iter().find(|known| known.customer == customer && known.ground == ground);
        anyhow::ensure!(found.is_some() || ground == Ground::Untouched, "{customer:?} has no {ground:?} beginning");
        let (directory, keys) = match found {
            Some(beginning) => {
                std::fs::write(self.database(), &beginning.database)?;
                (&beginning.directory, beginning.keys.clone())
            }
            None => (&self.pristine, Entries::default()),
        };
        let elapsed = match ground {
            Ground::Untouched => 0,
            Ground::Connected => SETTLED_IN,
            Ground::Complete => 2 * SETTLED_IN,
        };
        self.lab.clock.set_elapsed(elapsed);
        self.lab.directory().clone_from(directory);
        Ok((elapsed, Keys::holding(keys)))
    }

    /// Carries out a schedule.
    pub(crate) async fn run(&mut self, schedule: &Schedule, thorough: bool) -> anyhow::Result<Outcome> {
        Ok(self.carry_out(schedule, thorough).await?.0)
    }

    async fn carry_out(&mut self, schedule: &Schedule, thorough: bool) -> anyhow::Result<(Outcome, Arc<Keys>)> {
        let (elapsed, keys) = self.begin(schedule)?;
        let keys = Arc::new(keys);
        let beginning = BEGINNING.parse::<Timestamp>()?.as_millisecond() + elapsed;
        let mut run = Run::new(self, schedule, beginning, Arc::clone(&keys)).await?;
        for (at, event) in schedule.scenario.events(schedule.customer, schedule.shift) {
            run.world.at(at, event);
        }
        let mut now = 0;
        while let Some(event) = run.world.next() {
            now = run.world.now();
            if now > HORIZON {
                break;
            }
            run.lab.clock.set_elapsed(elapsed + now);
            if run.handle(event).await? {
                break;
            }
        }
        Ok((run.close(now, thorough).await?, keys))
    }
}

struct Run<'a> {
    laboratory: &'a Laboratory,
    lab: Arc<Simulation>,
    schedule: &'a Schedule,
    world: Arc<World>,
    truth: Arc<Truth>,
    plan: Arc<Mutex<Plan>>,
    tenant: Uuid,
    processes: Vec<Process>,
    copy: Vec<u8>,
    story: Vec<String>,
    secret: SecretString,
    keys: Arc<Keys>,
    /// The machine is off until then.
    off_until: i64,
    idle: Arc<Mutex<Idle>>,
}

/// Whether anything may be due.
#[derive(Default)]
struct Idle {
    /// What the last sweep said about the next one, by the machine's clock, if nobody has done anything since.
    next_due: Option<Option<i64>>,
    /// How many things were begun.
    begun: u64,
}

impl<'a> Run<'a> {
    async fn new(
        laboratory: &'a Laboratory,
        schedule: &'a Schedule,
        beginning: i64,
        keys: Arc<Keys>,
    ) -> anyhow::Result<Self> {
        let lab = Arc::clone(&laboratory.lab);
        let world = World::new(beginning, schedule.weather.offset, PROCESSES);
        let tenant = tenant_of(schedule.customer);
        let secret = {
            let directory = lab.directory();
            let application = directory.tenant(&tenant.to_string()).and_then(|tenant| tenant.applications.first());
            // Absent where a certificate has taken its place.
            application.and_then(|application| application.secrets.last()).map(|secret| secret.value.clone())
        };
        let secret = SecretString::from(secret.unwrap_or_default());
        let plan = Arc::new(Mutex::new(schedule.plan()));
        let onlooker = open(laboratory, schedule, &world, None, &keys).await?;
        let whose = if schedule.customer == Customer::SharedAccount { "jit-helpdesk@" } else { "jit-alex@" };
        let complete = schedule.scenario.is_break_glass() && schedule.scenario.ground() == Ground::Complete;
        let emergency = Emergency::new(Arc::clone(&lab), Arc::clone(&keys), tenant, complete);
        let truth = Truth::new(Arc::clone(&lab), onlooker, tenant, whose, emergency);
        Ok(Self {
            laboratory,
            lab,
            schedule,
            world,
            truth,
            plan,
            tenant,
            processes: (0..PROCESSES).map(|_| Process::default()).collect(),
            copy: Vec::new(),
            story: Vec::new(),
            secret,
            keys,
            off_until: 0,
            idle: Arc::default(),
        })
    }

    /// Handles one event. Returns whether the run is over.
    async fn handle(&mut self, event: Event) -> anyhow::Result<bool> {
        match event {
            Event::Wake(wait) => {
                if let Some(process) = self.world.wake(wait) {
                    self.turn(process).await?;
                }
            }
            Event::Arrive(arrival) => self.arrive(*arrival).await,
            Event::Tell(process, act) => self.tell(process, act).await?,
            Event::Sweep(process) => {
                self.world.at(self.world.now() + SWEEP_EVERY, Event::Sweep(process));
                if self.processes[process].to_do.is_empty() && !self.nothing_is_due() {
                    self.tell(process, Act::Sweep).await?;
                }
            }
            Event::Restart(process) if self.world.now() < self.off_until => {
                self.world.at(self.off_until, Event::Restart(process));
            }
            Event::Restart(process) => {
                self.world.revive(process);
                // The system's schedule runs its next sweep at once, a host looks when it starts.
                if process != COMMAND_LINE {
                    self.tell(process, Act::Sweep).await?;
                }
                self.turn(process).await?;
            }
            Event::Drift => self.drift(),
            Event::BackUp => self.copy = std::fs::read(self.laboratory.database())?,
            Event::Restore => self.restore().await?,
            Event::Gone => self.switch_off().await,
            Event::FenceDue => self.truth.fence_is_due(self.world.now()).await,
        }
        Ok(self.is_over().await)
    }

    /// Every sixteenth run leaves nothing out and goes on to its horizon, to see that nothing is lost by that.
    const fn is_whole(&self) -> bool {
        self.schedule.number % 16 == 15
    }

    /// The last sweep said that nothing is due yet, and nobody has done anything since: another one would only read.
    fn nothing_is_due(&self) -> bool {
        let next = self.idle.lock().unwrap_or_else(PoisonError::into_inner).next_due;
        !self.is_whole()
            && self.processes.iter().all(|process| process.task.is_none())
            && next.is_some_and(|next| next.is_none_or(|at| self.world.true_time(at) > self.world.now()))
    }

    /// Notes that something is done; returns its number.
    fn anything_may_be_due(&self) -> u64 {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.next_due = None;
        idle.begun += 1;
        idle.begun
    }

    /// Nothing but sweeps is to come, nobody is at anything, and there is nothing to find any more.
    async fn is_over(&self) -> bool {
        !self.is_whole()
            && self.world.now() > 1_000
            && self.processes.iter().all(|process| process.task.is_none() && process.to_do.is_empty())
            && !self.world.something_is_coming()
            && self.truth.is_quiet().await
            && (!self.schedule.scenario.is_break_glass()
                || self.truth.emergency.is_quiet(&self.truth.onlooker(), &self.world).await)
    }

    async fn arrive(&mut self, arrival: Arrival) {
        let effect = arrival.effect;
        arrival.take_effect(&self.lab).await;
        self.truth.effect(self.world.now(), &effect);
    }

    async fn tell(&mut self, process: ProcessId, act: Act) -> anyhow::Result<()> {
        self.processes[process].to_do.push_back(act);
        if self.processes[process].task.is_none() && !self.world.is_dead(process) {
            self.turn(process).await?;
        }
        Ok(())
    }

    /// Lets a process run for as long as it can without time passing.
    async fn turn(&mut self, id: ProcessId) -> anyhow::Result<()> {
        while !self.world.is_dead(id) || self.processes[id].task.is_some() {
            if self.processes[id].task.is_none() {
                let Some(act) = self.processes[id].to_do.pop_front() else { return Ok(()) };
                self.start(id, act).await?;
            }
            self.world.let_run(id).await;
            if self.world.is_dead(id) {
                self.bury(id).await;
                let down = self.plan().down();
                self.world.at(self.world.now() + down, Event::Restart(id));
                return Ok(());
            }
            if !self.world.has_finished(id) {
                return Ok(());
            }
            if let Some(task) = self.processes[id].task.take()
                && task.await.is_err()
            {
                self.truth.violated(format!("an operation of process {id} panicked"));
            }
        }
        Ok(())
    }

    async fn start(&mut self, id: ProcessId, act: Act) -> anyhow::Result<()> {
        let begun = self.anything_may_be_due();
        if self.processes[id].engine.is_none() {
            let wire = Wire {
                world: Arc::clone(&self.world),
                truth: Arc::clone(&self.truth),
                plan: Arc::clone(&self.plan),
                process: id,
            };
            let engine = open(self.laboratory, self.schedule, &self.world, Some(wire), &self.keys).await?;
            self.processes[id].engine = Some(engine);
        }
        let Some(engine) = self.processes[id].engine.clone() else { return Ok(()) };
        let ticks = self.world.ticks(id);
        let tick = self.plan().at_beginning(self.world.now(), id, ticks);
        self.world.dies_at_tick(id, tick);
        self.story.push(format!("{:>9} process {id}: {act:?}", self.world.now()));
        self.world.begin(id);
        let doing = Doing {
            engine,
            tenant_id: self.tenant,
            client_id: self.client_id(),
            client_secret: self.secret.clone(),
            groups: self.groups(),
            minutes: self.schedule.customer.minutes(),
            truth: Arc::clone(&self.truth),
            now: self.world.now(),
            idle: Arc::clone(&self.idle),
            alone_since: self.processes.iter().all(|process| process.task.is_none()).then_some(begun),
        };
        let world = Arc::clone(&self.world);
        self.processes[id].task = Some(tokio::spawn(async move {
            doing.perform(act).await;
            world.finish(id);
        }));
        Ok(())
    }

    fn client_id(&self) -> Uuid {
        let directory = self.lab.directory();
        let application = directory.tenant(&self.tenant.to_string()).and_then(|tenant| tenant.applications.first());
        application.and_then(|application| application.client_id.parse().ok()).unwrap_or_default()
    }

    fn groups(&self) -> Vec<Uuid> {
        let directory = self.lab.directory();
        let tenant = directory.tenant(&self.tenant.to_string());
        let group = tenant.and_then(|tenant| tenant.groups.values().find(|group| group.display_name == GROUP));
        group.and_then(|group| group.id.parse().ok()).into_iter().collect()
    }

    /// What is left of a process that died goes: what it had in hand, and its connections to the database.
    async fn bury(&mut self, id: ProcessId) {
        self.anything_may_be_due();
        if let Some(task) = self.processes[id].task.take() {
            task.abort();
            // Cancelled, or unwound: both are what was wanted.
            let _ = task.await;
        }
        if let Some(engine) = self.processes[id].engine.take() {
            engine.close().await;
        }
        self.story.push(format!("{:>9} process {id}: dies", self.world.now()));
        // In every other run somebody needs the emergency account just then.
        if self.schedule.scenario.is_break_glass() && self.schedule.number % 2 == 1 {
            let shown = self.truth.emergency.reveal(&self.truth.onlooker(), self.world.now()).await;
            shown.into_iter().for_each(|violation| self.truth.violated(violation));
        }
    }

    /// Every process stops, and none starts again for a long time.
    async fn switch_off(&mut self) {
        self.off_until = BACK_AGAIN;
        for id in 0..PROCESSES {
            if !self.world.is_dead(id) {
                self.world.kill(id);
                self.bury(id).await;
                self.world.at(BACK_AGAIN, Event::Restart(id));
            }
        }
    }

    /// Somebody who may enables the account in a portal, and gives it a role.
    fn drift(&self) {
        let now = self.lab.clock.elapsed();
        let tenant_id = self.tenant.to_string();
        {
            let mut directory = self.lab.directory();
            let Some(tenant) = directory.tenant_mut(&tenant_id) else { return };
            let Some(user) = tenant.users.values_mut().find(|user| user.user_principal_name.starts_with("jit-alex@"))
            else {
                return;
            };
            user.account_enabled = true;
            user.enabled_moment = now;
            user.changed();
            let principal = user.id.clone();
            let Some(role) = roles::by_name(ROLE) else { return };
            tenant.assignments.push(RoleAssignment {
                id: seed::assignment_id(role.id, &principal, "/"),
                role: role.id.to_owned(),
                principal,
                scope: "/".to_owned(),
                schedule: None,
            });
        }
        self.truth.look(self.world.now());
    }

    /// The machine is put back to an earlier day: every process stops, and the database forgets.
    async fn restore(&mut self) -> anyhow::Result<()> {
        for id in 0..PROCESSES {
            if !self.world.is_dead(id) {
                self.world.kill(id);
                self.bury(id).await;
                self.world.at(self.world.now() + 2_000, Event::Restart(id));
            }
        }
        self.truth.onlooker().close().await;
        self.laboratory.forget_database();
        std::fs::write(self.laboratory.database(), &self.copy)?;
        let onlooker = open(self.laboratory, self.schedule, &self.world, None, &self.keys).await?;
        self.truth.look_through(onlooker);
        Ok(())
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn close(mut self, now: i64, thorough: bool) -> anyhow::Result<Outcome> {
        for id in 0..PROCESSES {
            if self.processes[id].task.is_some() {
                self.truth.violated(format!("an operation of process {id} has not come to its end"));
                self.world.kill(id);
                self.bury(id).await;
            }
        }
        let allowed = self.allowed();
        let database = self.laboratory.database();
        let mut finding = self.truth.judge(&self.world, allowed, thorough.then_some(database.as_path())).await;
        if self.schedule.scenario == Scenario::Preparing && !self.truth.account().exists {
            finding.violations.push("the account was not made".to_owned());
        }
        if self.schedule.scenario.is_break_glass() {
            finding.violations.extend(self.truth.emergency.judge(&self.truth.onlooker(), &self.world).await);
        }
        for process in &mut self.processes {
            if let Some(engine) = process.engine.take() {
                engine.close().await;
            }
        }
        self.truth.onlooker().close().await;
        let happened = std::mem::take(&mut self.plan().happened);
        let mut story: Vec<(i64, String)> = self
            .story
            .iter()
            .filter_map(|line| Some((line.trim_start().split(' ').next()?.parse().ok()?, line.clone())))
            .collect();
        story.extend(
            happened
                .iter()
                .map(|(at, process, call, fault)| (*at, format!("{at:>9} process {process}, call {call}: {fault:?}"))),
        );
        story.extend(self.truth.samples().iter().map(|sample| {
            let account = &sample.account;
            (
                sample.at,
                format!(
                    "{:>9} directory: enabled {}, roles {}, groups {}, pass {}",
                    sample.at,
                    account.enabled,
                    account.roles.len(),
                    account.groups.len(),
                    account.pass.is_some()
                ),
            )
        }));
        story.extend(self.plan().exchanges.take().unwrap_or_default());
        story.sort_by_key(|(at, _)| *at);
        let mut extent = Extent::default();
        let state = self.world.state();
        for id in 0..PROCESSES {
            extent.calls[id] = state.processes[id].calls;
        }
        let crashes = state.crashes;
        drop(state);
        for id in 0..PROCESSES {
            extent.ticks[id] = self.world.ticks(id);
        }
        let mut story: Vec<String> = story.into_iter().map(|(_, line)| line).collect();
        story.push(format!("{now:>9} the end"));
        Ok(Outcome { finding, crashes, faults: u64::try_from(happened.len()).unwrap_or(0), extent, story })
    }

    /// How long an account may be active without a lease after what went wrong, in milliseconds.
    ///
    /// Whatever was sent arrives within the exchange timeout and is found by the first or second look after the ending
    /// (35 s, 2 min) at the next sweep; only what was paused between check and send, changed by others or forgotten by
    /// the store is left to the later looks and to the scan (15 min).
    fn allowed(&self) -> i64 {
        const SCAN: i64 = 900_000;
        // Roles that end by themselves are not given up earlier.
        const SHORTEST_FENCE: i64 = 300_000;
        let late = i64::try_from(LATEST.as_millis()).unwrap_or(0);
        let plan = self.plan();
        let whatever_comes = matches!(self.schedule.scenario, Scenario::Drift | Scenario::Restored)
            || plan.happened.iter().any(|(_, _, _, fault)| fault.pauses());
        let faults = i64::try_from(plan.happened.len()).unwrap_or(0);
        // Each fault, and each lag of the directory, may cost a look that comes to nothing and is taken again a minute
        // later: by the sweep after the next, because the look itself takes a moment.
        let weather = self.schedule.weather;
        let lags = [weather.create_lag, weather.read_lag, weather.role_removal_lag];
        let lags = i64::try_from(lags.into_iter().filter(|lag| *lag > 0).count()).unwrap_or(0);
        let mut retries = (faults + lags) * 2 * SWEEP_EVERY + self.off_until;
        if self.schedule.customer == Customer::TimedRoles {
            retries += SHORTEST_FENCE;
        }
        if whatever_comes { SCAN + 2 * SWEEP_EVERY + late + retries } else { 3 * SWEEP_EVERY + late + retries }
    }
}

/// Opens an engine on the run's database; without a wire for the onlooker, who sends nothing.
async fn open(
    laboratory: &Laboratory,
    schedule: &Schedule,
    world: &Arc<World>,
    wire: Option<Wire>,
    keys: &Arc<Keys>,
) -> anyhow::Result<Engine> {
    let mut settings = EngineSettings::new(laboratory.database(), alex());
    settings.policy = policy(schedule);
    if schedule.customer == Customer::BreakGlass {
        settings.break_glass = emergency::settings();
    }
    let process = wire.as_ref().map(|wire| wire.process);
    let clock = Arc::new(VirtualClock { world: Arc::clone(world), process });
    let keys: Arc<Keys> = Arc::clone(keys);
    let opened = match wire {
        Some(wire) => Engine::open_over(Arc::new(wire), settings, keys, clock).await,
        None => Engine::open(settings, keys, clock).await,
    };
    opened.map_err(|error| anyhow::anyhow!("the engine does not open: {error}"))
}

/// What a process does, and with what.
struct Doing {
    engine: Engine,
    tenant_id: Uuid,
    client_id: Uuid,
    client_secret: SecretString,
    groups: Vec<Uuid>,
    minutes: u32,
    truth: Arc<Truth>,
    now: i64,
    idle: Arc<Mutex<Idle>>,
    /// The number of this act, if nobody was at anything else when it began.
    alone_since: Option<u64>,
}

impl Doing {
    /// That it fails is part of the game.
    async fn perform(self, act: Act) {
        let Self { engine, tenant_id, .. } = &self;
        let (tenant_id, caller) = (*tenant_id, Caller::CommandLine);
        match act {
            Act::Connect => {
                let new = NewTenant {
                    tenant_id,
                    client_id: self.client_id,
                    credential: self.client_secret.clone().into(),
                    cloud: Cloud::Global,
                    name: None,
                    domain: None,
                    roles: vec![ROLE.to_owned()],
                    groups: self.groups.clone(),
                    minutes: self.minutes,
                    maximum_minutes: 60,
                };
                let _ = engine.add_tenant(new, &caller, QUIET).await;
            }
            Act::Start => {
                let _ = engine.start_lease(self.wish(), QUIET).await;
            }
            Act::StartOther => {
                let wish = StartLease { profile: Some(OTHER.to_owned()), ..self.wish() };
                let _ = engine.start_lease(wish, QUIET).await;
            }
            Act::StartForKim => {
                let wish = StartLease { technician: Some(kim().local_part), ..self.wish() };
                let _ = engine.start_lease(wish, QUIET).await;
            }
            Act::Extend => {
                for lease in engine.leases(false).await.unwrap_or_default() {
                    let _ = engine.extend_lease(lease.lease_id, 1, Some("not done yet"), &caller).await;
                }
            }
            Act::End => self.end(|_| true).await,
            Act::EndFirst => self.end(|lease| lease.profile.as_deref() != Some(OTHER)).await,
            Act::EndMine => self.end(|lease| lease.technician.as_deref() != Some(kim().name.as_str())).await,
            Act::EndAll => {
                let _ = engine.end_all(&caller, &|_, _| {}).await;
            }
            Act::LockDown => {
                if engine.lock_down("drill", &caller).await.is_ok() {
                    let _ = engine.end_all_because("lockdown", &caller, &|_, _| {}).await;
                }
            }
            Act::Lift => {
                let _ = engine.lift_lockdown("drill is over", &caller).await;
            }
            Act::PrepareAll => {
                for wanted in engine.accounts_wanted().await.unwrap_or_default() {
                    let whose = &wanted.technician;
                    let _ = engine.prepare_account_for(wanted.tenant_id, whose, &caller, QUIET).await;
                }
            }
            Act::RotateCredential => {
                let _ = engine.rotate_credential(tenant_id, CERTIFICATE_DAYS, &caller).await;
            }
            Act::MakeBreakGlass => {
                let _ = engine.prepare_break_glass(tenant_id, None, false, &caller, QUIET).await;
            }
            Act::RotateBreakGlass => {
                let _ = engine.rotate_break_glass(tenant_id, emergency::NAME, &caller, QUIET).await;
            }
            Act::Reveal => {
                let shown = self.truth.emergency.reveal(engine, self.now).await;
                shown.into_iter().for_each(|violation| self.truth.violated(violation));
            }
            Act::Sweep => {
                if let Ok(report) = engine.sweep().await {
                    let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                    // Whatever began meanwhile may have made something due that this sweep has not seen.
                    idle.next_due = (self.alone_since == Some(idle.begun)).then_some(report.next_due);
                }
            }
        }
    }

    /// Ends leases, one after the other.
    async fn end(&self, which: impl Fn(&LeaseSummary) -> bool) {
        let leases = self.engine.leases(false).await.unwrap_or_default();
        for lease in leases.iter().filter(|lease| which(lease)) {
            let _ = self.engine.end_lease(lease.lease_id, &Caller::CommandLine, QUIET).await;
        }
    }

    fn wish(&self) -> StartLease {
        StartLease {
            minutes: Some(self.minutes),
            reason: Some("ticket 4711".to_owned()),
            ..StartLease::new(self.tenant_id, Caller::CommandLine)
        }
    }
}

fn alex() -> Technician {
    Technician { name: "Alex".to_owned(), local_part: "alex".to_owned(), groups: Vec::new() }
}

fn kim() -> Technician {
    Technician { name: "Kim".to_owned(), local_part: "kim".to_owned(), groups: Vec::new() }
}

/// Who may get what, and with whose account.
fn policy(schedule: &Schedule) -> Policy {
    let mut policy = if schedule.scenario.has_profiles() { profiles() } else { Policy::default() };
    if schedule.customer == Customer::SharedAccount {
        policy.everywhere =
            Rules { login: Some(LoginMode::Shared { local_part: SHARED.to_owned() }), ..Rules::default() };
    }
    if schedule.customer == Customer::SharedAccount || schedule.scenario == Scenario::PreparedAhead {
        policy.technicians = vec![alex(), kim()];
    }
    policy
}

/// Two profiles for everybody.
fn profiles() -> Policy {
    let entitlement = |profile: &str, role: &str, groups: &[&str]| Entitlement {
        group: ALL_ADMINS.to_owned(),
        tenants: Vec::new(),
        profile: profile.to_owned(),
        roles: vec![role.to_owned()],
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        maximum_minutes: None,
    };
    Policy {
        entitlements: vec![entitlement("Helpdesk", "Helpdesk Administrator", &[GROUP]), entitlement(OTHER, ROLE, &[])],
        ..Policy::default()
    }
}

/// The host and the schedule are what sweeps.
const _: () = assert!(HOST != SCHEDULE, "two sweepers");
