//! The fault matrix: the real engine under virtual time against the simulated Entra, with something going wrong at
//! every call of every operation. See `docs/faults.md`.

// This is a program whose purpose is to talk to the person at the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod random;
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
    report::{Report, Tally},
    run::Laboratory,
    schedule::{CREDENTIALS, Matrix, SCENARIOS, Schedule},
};

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
    }
}

fn guard_of(name: &str) -> Result<Guard, String> {
    Guard::ALL.into_iter().find(|guard| name_of(*guard) == name).ok_or_else(|| {
        let names: Vec<_> = Guard::ALL.into_iter().map(name_of).collect();
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
    println!("{} single faults; {:.0} s", report.singles, report.seconds);
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
    for scenario in SCENARIOS {
        for credential in CREDENTIALS {
            let outcome = laboratory.run(&Schedule::plain(*scenario, *credential), true).await?;
            anyhow::ensure!(
                outcome.finding.violations.is_empty(),
                "{scenario:?} goes wrong when nothing does: {:?}\n{}",
                outcome.finding,
                outcome.story.join("\n")
            );
            extents.push((*scenario, *credential, outcome.extent));
        }
    }
    let matrix = Matrix::new(&extents);
    if let Some(seed) = arguments.seed {
        Guard::only_without(arguments.without);
        let schedule = matrix.schedule(seed);
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
    if arguments.without.is_none() {
        report.all_guards = many(&mut laboratory, &matrix, &share(matrix.numbers(arguments.schedules)), None).await?;
    }
    for guard in Guard::ALL {
        if arguments.without.is_some_and(|chosen| chosen != guard) || arguments.schedules_without == 0 {
            continue;
        }
        Guard::only_without(Some(guard));
        let enough = (!arguments.count).then_some(ENOUGH);
        // To show that it is missed takes the schedules it is for; to count what it keeps from happening takes all.
        let numbers = if arguments.count {
            matrix.numbers(arguments.schedules_without)
        } else {
            matrix.numbers_without(guard, arguments.schedules_without)
        };
        let numbers = share(numbers);
        let tally = many(&mut laboratory, &matrix, &numbers, enough).await?;
        report.without.insert(name_of(guard).to_owned(), tally);
    }
    Guard::only_without(None);
    Ok(Some(report))
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
        if index % 2_000 == 1_999 {
            eprintln!("{} of {} schedules, {} violations", index + 1, numbers.len(), tally.violated);
        }
        if enough.is_some_and(|enough| tally.violated >= enough) {
            break;
        }
    }
    tally.seconds = began.elapsed().as_secs_f64();
    Ok(tally)
}
