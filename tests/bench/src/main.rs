//! `cargo xtask bench scale`: many tenants, many technicians, Graph's published limits on, under virtual time.
//!
//! One application serves all tenants, so that its limits over all of them bind, too. Each part is timed on the virtual
//! clock and held against the time that the limits alone allow for the calls that were counted. Prints one JSON document.

// This is a program whose purpose is to talk to the person at the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![allow(missing_docs, unreachable_pub)]

mod limits;
mod store;
mod world;

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use entra_sim::{Knobs, Settings, Simulation, directory::seed::TenantRecipe};
use latchkey_engine::{
    BreakGlassName, BreakGlassSettings, Caller, Clock, DriftOptions, Engine, EngineSettings, NewCredential, NewTenant,
    Patience, Policy, PrepareAll, SealedStore, SecretStore, SecretStoreError, StartLease, Technician, Transport,
};
use latchkey_protocol::cloud::Cloud;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use limits::Figures;
use world::{VirtualClock, Wire, World};

#[derive(Parser)]
struct Options {
    /// How many tenants
    #[arg(long, default_value_t = 1_000)]
    tenants: u32,
    /// How many technicians
    #[arg(long, default_value_t = 10)]
    technicians: u32,
    /// The round trip to Graph, in milliseconds
    #[arg(long, default_value_t = 100)]
    round_trip: i64,
    /// How many leases the store's queries are timed with at most; 0 leaves that out
    #[arg(long, default_value_t = 100_000)]
    most_leases: u32,
}

/// When everything begins, Unix time in milliseconds: a Monday, 08:00 UTC.
const BEGINNING: i64 = 1_767_600_000_000;
const HOUR: i64 = 3_600_000;
/// 18:00 of that day, in milliseconds from the beginning.
const EVENING: i64 = 10 * HOUR;
const CALLER: Caller = Caller::CommandLine;
const CLIENT_ID: &str = "cccccccc-0000-4000-8000-000000000001";
const CLIENT_SECRET: &str = "the-secret-of-the-lab";
/// How many people work at once where the command line has no command for many.
const AT_ONCE: usize = 48;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(run(&options))?;
    println!("{report}");
    Ok(())
}

async fn run(options: &Options) -> anyhow::Result<Value> {
    let bench = Bench::new(options.tenants, options.round_trip)?;
    let parts = bench.parts(options).await?;
    let peak = peak_mib();
    bench.world.stop();
    let queries = if options.most_leases > 0 { store::queries(options.most_leases).await? } else { Value::Null };
    Ok(json!({
        "tenants": options.tenants,
        "technicians": options.technicians,
        "round_trip_ms": options.round_trip,
        "parts": parts,
        "peak_mib_with_the_simulation": peak,
        "store_ms": queries,
    }))
}

/// The simulated Entra, virtual time, and what engines share.
struct Bench {
    world: Arc<World>,
    lab: Arc<Simulation>,
    wire: Arc<Wire>,
    folder: tempfile::TempDir,
    secrets: Arc<Secrets>,
}

impl Bench {
    fn new(tenants: u32, round_trip: i64) -> anyhow::Result<Self> {
        let recipes = (1..=tenants).map(|number| TenantRecipe {
            id: tenant_id(number).to_string(),
            name: format!("Customer {number:04}"),
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            app_roles: vec!["Privileged Authentication Administrator".to_owned()],
            // With passes every start and every end meets the smallest of the limits.
            additional_permissions: [
                "UserAuthMethod-TAP.ReadWrite.All",
                "Policy.Read.AuthenticationMethod",
                "RoleManagement.ReadWrite.Directory",
            ]
            .map(ToOwned::to_owned)
            .to_vec(),
            ..TenantRecipe::default()
        });
        let lab = Simulation::new(Settings {
            // What is measured is neither kept nor checked: shapes are the tests' business.
            knobs: Knobs { throttling: true, journal: false, check_schema: false, ..Knobs::default() },
            openapi: Some("/nonexistent".into()),
            tenants: recipes.collect(),
            standing_at: Some(jiff::Timestamp::from_millisecond(BEGINNING)?),
            ..Settings::default()
        })?;
        let world = World::new(BEGINNING);
        let wire = Arc::new(Wire::new(Arc::clone(&world), Arc::clone(&lab), round_trip));
        Ok(Self { world, lab, wire, folder: in_memory()?, secrets: Arc::default() })
    }

    /// The one engine that everybody uses, as a broker would.
    async fn engine(&self, technicians: &[Technician]) -> anyhow::Result<Engine> {
        let acting = technicians.first().context("no technician")?.clone();
        let mut settings = EngineSettings::new(self.folder.path().join("latchkey.db"), acting);
        settings.policy = Policy { technicians: technicians.to_vec(), ..Policy::default() };
        // Nobody sits in front of it.
        let patience = Duration::from_secs(3_600);
        settings.patience = Patience { fault: patience, replication: patience };
        let name = BreakGlassName::parse("breakglass-1").map_err(anyhow::Error::msg)?;
        settings.break_glass = vec![BreakGlassSettings::new(name)];
        let clock = Arc::new(VirtualClock(Arc::clone(&self.world))) as Arc<dyn Clock>;
        let secrets = Arc::clone(&self.secrets) as Arc<dyn SecretStore>;
        Ok(Engine::open_over(Arc::clone(&self.wire) as Arc<dyn Transport>, settings, secrets, clock).await?)
    }

    /// Runs a part, and tells what it took and what it sent.
    async fn timed<T>(
        &self,
        part: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<(T, Figures)> {
        self.wire.take_calls();
        let (began, really) = (self.world.passed(), std::time::Instant::now());
        let done = work.await.with_context(|| part.to_owned())?;
        let figures = Figures::of(&self.wire.take_calls(), self.world.passed() - began);
        eprintln!("{part}: {figures:?}, {:.0} s on this machine", really.elapsed().as_secs_f64());
        Ok((done, figures))
    }

    /// Accounts of ours that may sign in, in the directory itself.
    fn enabled(&self) -> usize {
        let directory = self.lab.directory();
        let users = directory.tenants.iter().flat_map(|tenant| tenant.users.values());
        users.filter(|user| user.user_principal_name.starts_with("jit-technician-") && user.account_enabled).count()
    }

    async fn parts(&self, options: &Options) -> anyhow::Result<Map<String, Value>> {
        let technicians: Vec<_> = (1..=options.technicians).map(technician).collect();
        let engine = self.engine(&technicians).await?;
        let everybody = u64::from(options.tenants) * u64::from(options.technicians);
        let mut parts = Map::new();

        let (_, figures) = self.timed("connect", connect(&engine, options)).await?;
        parts.insert("connect".to_owned(), figures.report());

        // An hour later nothing counts any more.
        self.world.until(HOUR).await;
        let wish = PrepareAll { technicians: technicians.clone(), ..PrepareAll::default() };
        let preparing = async {
            let report = engine.prepare_all(&wish, &CALLER, &|_| {}).await?;
            if let Some(error) = report.failed.first() {
                bail!("{} failed; the first: {}", report.failed.len(), error.message);
            }
            Ok(report.prepared.len() + report.skipped)
        };
        let (prepared, figures) = self.timed("prepare", preparing).await?;
        ensure!(prepared as u64 == everybody, "{prepared} accounts are there");
        parts.insert("prepare".to_owned(), figures.report());
        let again = async { Ok(engine.prepare_all(&wish, &CALLER, &|_| {}).await?.skipped) };
        let (skipped, figures) = self.timed("prepare again", again).await?;
        ensure!(skipped as u64 == everybody && figures.calls == 0, "{skipped} skipped, {} calls", figures.calls);

        self.world.until(3 * HOUR).await;
        let (drift, figures) = self.timed("drift", self.drift(&engine)).await?;
        ensure!(drift == 0, "{drift} differences were found where there are none");
        parts.insert("drift".to_owned(), figures.report());

        self.world.until(EVENING - 4 * HOUR).await;
        let (_, figures) = self.timed("start", self.start_all(&engine, &technicians, options)).await?;
        ensure!(self.enabled() as u64 == everybody, "{} accounts are active", self.enabled());
        parts.insert("start".to_owned(), figures.report());

        self.world.until(EVENING).await;
        let ending = async {
            // As the schedule does it, until nothing is left.
            let mut failing = 0;
            while !engine.leases(false).await?.is_empty() {
                failing += engine.sweep().await?.failing.len();
            }
            Ok(failing)
        };
        let (failing, figures) = self.timed("end", ending).await?;
        ensure!(self.enabled() == 0, "{} accounts are still active", self.enabled());
        let mut part = figures.report();
        part["endings_that_had_to_be_tried_again"] = failing.into();
        parts.insert("end".to_owned(), part);

        self.world.until(EVENING + 4 * HOUR).await;
        let (_, figures) = self.timed("make break-glass accounts", break_glass(&engine, options)).await?;
        parts.insert("make break-glass accounts".to_owned(), figures.report());
        self.world.until(EVENING + 30 * HOUR).await;
        let rotating = async {
            let mut rotated = 0;
            loop {
                let report = engine.rotate_due().await?;
                if let Some(problem) = report.problems.first() {
                    bail!("{} problems; the first: {}", report.problems.len(), problem.message);
                }
                if report.rotated.is_empty() {
                    return Ok(rotated);
                }
                rotated += report.rotated.len();
            }
        };
        let (rotated, figures) = self.timed("rotate", rotating).await?;
        ensure!(rotated as u64 == u64::from(options.tenants), "{rotated} passwords were rotated");
        parts.insert("rotate".to_owned(), figures.report());

        ensure!(engine.verify_audit().await?.is_whole(), "the audit log is not whole");
        engine.close().await;
        Ok(parts)
    }

    async fn drift(&self, engine: &Engine) -> anyhow::Result<usize> {
        let report = engine.drift(None, DriftOptions::default(), &CALLER, &|_, _| {}).await?;
        if let Some(problem) = report.problems.first() {
            bail!("{} tenants could not be asked; the first: {}", report.problems.len(), problem.message);
        }
        Ok(report.found.len())
    }

    /// Starts a lease for everybody everywhere, so that all of them end within the minute before the evening.
    async fn start_all(&self, engine: &Engine, technicians: &[Technician], options: &Options) -> anyhow::Result<()> {
        let mut working: JoinSet<anyhow::Result<()>> = JoinSet::new();
        // One technician after the other goes through all tenants: each tenant has limits of its own.
        for technician in technicians {
            for number in 1..=options.tenants {
                while working.len() >= AT_ONCE {
                    working.join_next().await.context("nothing works")???;
                }
                let minutes = u32::try_from((EVENING - self.world.passed()) / 60_000)?;
                let start = StartLease {
                    minutes: Some(minutes),
                    reason: Some("INC-1".to_owned()),
                    technician: Some(technician.name.clone()),
                    ..StartLease::new(tenant_id(number), CALLER)
                };
                let engine = engine.clone();
                working.spawn(async move {
                    engine.start_lease(start, &|_| {}).await?;
                    Ok(())
                });
            }
        }
        while let Some(done) = working.join_next().await {
            done??;
        }
        Ok(())
    }
}

/// Connects every tenant, many at once.
async fn connect(engine: &Engine, options: &Options) -> anyhow::Result<()> {
    let mut working: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for number in 1..=options.tenants {
        while working.len() >= AT_ONCE {
            working.join_next().await.context("nothing works")???;
        }
        let engine = engine.clone();
        working.spawn(async move {
            engine.add_tenant(wish(number)?, &CALLER, &|_| {}).await?;
            Ok(())
        });
    }
    while let Some(done) = working.join_next().await {
        done??;
    }
    Ok(())
}

async fn break_glass(engine: &Engine, options: &Options) -> anyhow::Result<()> {
    let mut working: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for number in 1..=options.tenants {
        while working.len() >= AT_ONCE {
            working.join_next().await.context("nothing works")???;
        }
        let engine = engine.clone();
        working.spawn(async move {
            engine.prepare_break_glass(tenant_id(number), None, false, &CALLER, &|_| {}).await?;
            Ok(())
        });
    }
    while let Some(done) = working.join_next().await {
        done??;
    }
    Ok(())
}

fn tenant_id(number: u32) -> Uuid {
    Uuid::from_u128(0x7e4a_0000_0000_4000_8000_0000_0000_0000 + u128::from(number))
}

fn technician(number: u32) -> Technician {
    let local_part = format!("technician-{number:02}");
    Technician { name: format!("{local_part}@msp.example"), local_part, groups: Vec::new() }
}

fn wish(number: u32) -> anyhow::Result<NewTenant> {
    Ok(NewTenant {
        tenant_id: tenant_id(number),
        client_id: CLIENT_ID.parse()?,
        credential: NewCredential::from(SecretString::from(CLIENT_SECRET)),
        cloud: Cloud::Global,
        name: Some(format!("Customer {number:04}")),
        domain: None,
        roles: vec!["User Administrator".to_owned()],
        groups: Vec::new(),
        minutes: 240,
        maximum_minutes: 480,
    })
}

/// A folder in memory where there is such a thing: the disk is not what is measured.
fn in_memory() -> anyhow::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? })
}

/// Client secrets and passwords, in memory.
#[derive(Default)]
struct Secrets {
    secrets: Mutex<HashMap<Uuid, SecretString>>,
    sealed: Sealed,
}

#[derive(Default)]
struct Sealed(Mutex<HashMap<String, SecretString>>);

impl SecretStore for Secrets {
    fn sealed(&self) -> Option<&dyn SealedStore> {
        Some(&self.sealed)
    }

    fn get(&self, tenant_id: Uuid) -> Result<Option<SecretString>, SecretStoreError> {
        Ok(self.secrets.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant_id).cloned())
    }

    fn set(&self, tenant_id: Uuid, secret: &SecretString) -> Result<(), SecretStoreError> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant_id, secret.clone());
        Ok(())
    }

    fn delete(&self, tenant_id: Uuid) -> Result<(), SecretStoreError> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenant_id);
        Ok(())
    }
}

impl SealedStore for Sealed {
    fn unseal(&self, entry: &str) -> Result<Option<SecretString>, SecretStoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(entry).cloned())
    }

    fn seal(&self, entry: &str, secret: &SecretString) -> Result<(), SecretStoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.to_owned(), secret.clone());
        Ok(())
    }

    fn discard(&self, entry: &str) -> Result<(), SecretStoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(entry);
        Ok(())
    }
}

/// The most memory that this process has had, in MiB.
fn peak_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kibibytes| kibibytes / 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The whole day of a small MSP. What it takes is not asserted, only what must hold at any size.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_day_of_twenty_tenants_and_three_technicians_stays_within_the_limits() {
        let options = Options { tenants: 20, technicians: 3, round_trip: 100, most_leases: 0 };
        let bench = Bench::new(options.tenants, options.round_trip).unwrap();
        let parts = bench.parts(&options).await.unwrap();
        bench.world.stop();
        for (name, part) in &parts {
            assert!(part["calls"].as_u64().unwrap() > 0, "{name} asked nobody");
            assert!(part["share_429"].as_f64().unwrap() <= 0.01, "{name}: {part}");
            assert!(part["fullest_window"].as_f64().unwrap() <= 1.0, "{name}: {part}");
        }
    }
}
