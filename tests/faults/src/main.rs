//! The fault matrix: the real engine under virtual time against the simulated Entra, with something going wrong at
//! every call of every operation. See `docs/faults.md`.

// This is a program whose purpose is to talk to the person at the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod emergency;
mod keys;
mod random;
mod regressions;
mod report;
mod run;
mod schedule;
mod truth;
mod wire;
mod world;

use std::{
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::Context as _;
use clap::Parser;
use latchkey_engine::Guard;

use crate::{
    regressions::REGRESSIONS,
    report::{Report, Tally},
    run::Laboratory,
    schedule::{Matrix, Schedule, cases},
};

/// So many schedules that fail are told while others still run.
const TOLD_AT_ONCE: u64 = 20;
/// With a guard taken out, so many violations are enough.
const ENOUGH: u64 = 1;

#[derive(Parser)]
#[command(name = "latchkey-faults", about = "Run the engine with something going wrong at every call")]
struct Arguments {
    /// How many schedules to run with all guards
    #[arg(long, default_value_t = 2_000)]
    schedules: u64,
    /// How many to run at most with each guard taken out; stops at the first violation unless --count
    #[arg(long, default_value_t = 2_000)]
    schedules_without: u64,
    /// Count violations with a guard taken out to the end, instead of stopping at the first
    #[arg(long)]
    count: bool,
    /// Run only this schedule and tell its story
    #[arg(long)]
    seed: Option<u64>,
    /// Take one guard out (with --seed: of that schedule; otherwise: run only without it)
    #[arg(long, value_parser = guard_of)]
    without: Option<Guard>,
    /// Only schedules of this scenario, for instance RunsOut
    #[arg(long)]
    only: Option<String>,
    /// How many processes share the work
    #[arg(long, default_value_t = 2)]
    workers: u64,
    /// Where to write the figures
    #[arg(long)]
    json: Option<PathBuf>,
    /// Which part of the work this is; set by the process that shares it out
    #[arg(long, hide = true)]
    worker: Option<u64>,
}

const fn name_of(guard: Guard) -> &'static str {
    match guard {
        Guard::IntentFirst => "intent-first",
        Guard::DeadlineBeforeTheSend => "deadline",
        Guard::Settle => "settle",
        Guard::ReconcileScan => "scan",
        Guard::CountNotFlag => "count",
        Guard::DeadlineAfterTheWait => "deadline-after-the-wait",
    }
}

fn guard_of(name: &str) -> Result<Guard, String> {
    let all = || Guard::ALL.into_iter().chain([Guard::DeadlineAfterTheWait]);
    all().find(|guard| name_of(*guard) == name).ok_or_else(|| {
        let names: Vec<_> = all().map(name_of).collect();
        format!("one of {}", names.join(", "))
    })
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let mut report = if arguments.seed.is_some() || arguments.worker.is_some() || arguments.workers < 2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let Some(report) = runtime.block_on(work(&arguments))? else { return Ok(ExitCode::SUCCESS) };
        report
    } else {
        share_out(&arguments)?
    };
    if arguments.worker.is_some() {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(ExitCode::SUCCESS);
    }
    report.seconds = began.elapsed().as_secs_f64();
    println!("{}", report.table());
    for (guard, tally) in &report.without {
        if let Some((number, violations)) = tally.failing.first() {
            println!("without {guard}, for instance schedule {number}: {}", violations.join("; "));
        }
    }
    println!("{} single faults, {} kept schedules; {:.0} s", report.singles, report.kept, report.seconds);
    if arguments.seed.is_none() {
        report.troubles.extend(repeat_first(&report)?);
    }
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    let problems = report.problems();
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("run one again and read its story with --seed NUMBER");
    Ok(ExitCode::FAILURE)
}

/// Whoever reads of a schedule that fails must be able to run it again by its number: that is tried with the first one
/// that failed without a guard, as a person would.
fn repeat_first(report: &Report) -> anyhow::Result<Option<String>> {
    let failing = report.without.iter().find_map(|(guard, tally)| Some((guard, tally.failing.first()?)));
    let Some((guard, (number, violations))) = failing else { return Ok(None) };
    let again = Command::new(std::env::current_exe()?)
        .args(["--seed", &number.to_string(), "--without", guard])
        .stderr(Stdio::inherit())
        .output()?;
    let told = String::from_utf8_lossy(&again.stdout);
    let same = again.status.success() && violations.iter().all(|violation| told.contains(violation.as_str()));
    Ok((!same).then(|| format!("--seed {number} --without {guard} does not find the same again:\n{told}")))
}

/// Every worker does the same with every n-th schedule.
fn share_out(arguments: &Arguments) -> anyhow::Result<Report> {
    let program = std::env::current_exe()?;
    let mut workers = Vec::new();
    for worker in 0..arguments.workers {
        let process = Command::new(&program)
            .args(std::env::args_os().skip(1))
            .args(["--worker", &worker.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        workers.push(process);
    }
    let mut whole = Report::default();
    for worker in workers {
        let output = worker.wait_with_output()?;
        anyhow::ensure!(output.status.success(), "a worker failed");
        let text = String::from_utf8(output.stdout)?;
        let part: Report =
            serde_json::from_str(text.lines().last().unwrap_or_default()).context("a worker did not report")?;
        whole.singles = part.singles;
        whole.kept += part.kept;
        whole.troubles.extend(part.troubles);
        whole.all_guards.add(part.all_guards);
        for (guard, tally) in part.without {
            whole.without.entry(guard).or_default().add(tally);
        }
    }
    Ok(whole)
}

/// What one worker does. `None`: a single schedule was told.
async fn work(arguments: &Arguments) -> anyhow::Result<Option<Report>> {
    let mut laboratory = Laboratory::open().await?;
    let mut extents = Vec::new();
    for (scenario, customer) in cases() {
        let outcome = laboratory.run(&Schedule::plain(scenario, customer), true).await?;
        anyhow::ensure!(
            outcome.finding.violations.is_empty(),
            "{scenario:?} goes wrong with {customer:?} when nothing else does: {:?}\n{}",
            outcome.finding,
            outcome.story.join("\n")
        );
        extents.push((scenario, customer, outcome.extent));
    }
    let matrix = Matrix::new(&extents);
    if let Some(seed) = arguments.seed {
        Guard::only_without(arguments.without);
        let mut schedule = matrix.schedule(seed);
        schedule.in_detail = true;
        let outcome = laboratory.run(&schedule, true).await?;
        println!("{schedule:#?}\n{}\n{:#?}", outcome.story.join("\n"), outcome.finding);
        return Ok(None);
    }
    let mut report = Report { singles: matrix.singles(), ..Report::default() };
    let share = |numbers: Vec<u64>| -> Vec<u64> {
        let (worker, workers) = (arguments.worker.unwrap_or(0), arguments.workers.max(1));
        let first = usize::try_from(worker).unwrap_or(0);
        let step = if arguments.worker.is_some() { usize::try_from(workers).unwrap_or(1) } else { 1 };
        let wanted = |number: &u64| {
            let scenario = matrix.schedule(*number).scenario;
            arguments.only.as_ref().is_none_or(|only| format!("{scenario:?}").eq_ignore_ascii_case(only))
        };
        numbers.into_iter().filter(wanted).skip(first).step_by(step).collect()
    };
    if arguments.without.is_none() && arguments.only.is_none() {
        keep_watch(&mut laboratory, &share((0..).take(REGRESSIONS.len()).collect()), &mut report).await?;
    }
    if arguments.without.is_none() {
        report.all_guards = many(&mut laboratory, &matrix, &share(matrix.numbers(arguments.schedules)), None).await?;
    }
    let part = arguments.without.filter(|chosen| !Guard::ALL.contains(chosen));
    for guard in Guard::ALL.into_iter().chain(part) {
        if arguments.without.is_some_and(|chosen| chosen != guard) || arguments.schedules_without == 0 {
            continue;
        }
        Guard::only_without(Some(guard));
        let enough = (!arguments.count).then_some(ENOUGH);
        // First what the guard is for: a loss that is rare must not depend on luck to be seen.
        let numbers = share(matrix.numbers_without(guard, arguments.schedules_without));
        let tally = many(&mut laboratory, &matrix, &numbers, enough).await?;
        if let Some((number, violations)) = tally.failing.first() {
            let again = laboratory.run(&matrix.schedule(*number), true).await?;
            if again.finding.violations != *violations {
                let found = again.finding.violations;
                report.troubles.push(format!("schedule {number} found {violations:?} and then {found:?}"));
            }
        }
        report.without.insert(name_of(guard).to_owned(), tally);
    }
    Guard::only_without(None);
    Ok(Some(report))
}

/// Runs schedules that are kept: each with all guards, and without the one that holds it.
async fn keep_watch(laboratory: &mut Laboratory, which: &[u64], report: &mut Report) -> anyhow::Result<()> {
    for (number, regression) in (0..).zip(REGRESSIONS).filter(|(number, _)| which.contains(number)) {
        let schedule = Schedule::of(regression);
        for guard in std::iter::once(None).chain(regression.guard.map(Some)) {
            Guard::only_without(guard);
            let outcome = laboratory.run(&schedule, true).await?;
            let violations = &outcome.finding.violations;
            if violations.is_empty() == guard.is_some() {
                let without = guard.map_or("no guard", name_of);
                report.troubles.push(format!(
                    "kept schedule {number} ({}), with {without} taken out: {violations:?}\n{}",
                    regression.why,
                    outcome.story.join("\n")
                ));
            }
        }
        Guard::only_without(None);
        report.kept += 1;
    }
    Ok(())
}

/// Runs schedules; until there are `enough` violations, if that is said.
async fn many(
    laboratory: &mut Laboratory,
    matrix: &Matrix,
    numbers: &[u64],
    enough: Option<u64>,
) -> anyhow::Result<Tally> {
    let began = Instant::now();
    let mut tally = Tally::default();
    for (index, number) in numbers.iter().enumerate() {
        let outcome = laboratory.run(&matrix.schedule(*number), index % 50 == 0).await?;
        tally.note(*number, &outcome);
        if enough.is_none() && !outcome.finding.violations.is_empty() && tally.violated <= TOLD_AT_ONCE {
            eprintln!("schedule {number}: {}", outcome.finding.violations.join("; "));
        }
        // Whoever must stop a long run before its end knows what it came to.
        if index % 1_000 == 999 {
            let Tally { faults, crashes, violated, worst_lateness_ms, .. } = &tally;
            eprintln!(
                "{} of {} schedules: {faults} faults, {crashes} crashes, {violated} violations, active without a lease \
                 for {worst_lateness_ms} ms at most; {:.0} s",
                index + 1,
                numbers.len(),
                began.elapsed().as_secs_f64()
            );
        }
        if enough.is_some_and(|enough| tally.violated >= enough) {
            break;
        }
    }
    tally.seconds = began.elapsed().as_secs_f64();
    Ok(tally)
}
