//! `latchkey drift` and `latchkey recover`.

use std::process::ExitCode;

use latchkey_engine::{Drift, DriftOptions, DriftReport, Engine};
use latchkey_protocol::ErrorBody;

use super::{CALLER, table, tenant_named};
use crate::cli::DriftCommand;
use crate::output::{Mark, Output};
use crate::settings::Folders;
use crate::tenant_list;

pub(super) async fn run(engine: &Engine, command: &DriftCommand, output: Output) -> Result<ExitCode, ErrorBody> {
    let tenant_id = match &command.tenant {
        Some(said) => Some(tenant_named(engine, said).await?.tenant_id),
        None => None,
    };
    let options = DriftOptions { repair_others: command.repair, doubt_the_store: false };
    let spinner = output.progress("comparing");
    let on_done = |done: usize, all: usize| spinner.say(format!("comparing: {done} of {all} tenants"));
    let report = engine.drift(tenant_id, options, &CALLER, &on_done).await?;
    drop(spinner);
    output.document(&report);
    show(&report, output);
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) async fn recover(engine: &Engine, output: Output) -> Result<ExitCode, ErrorBody> {
    let file = tenant_list::file(&Folders::of_this_person()?);
    let list = tenant_list::read(&file)?;
    let spinner = output.progress("connecting the tenants");
    let on_done = |done: usize, all: usize| spinner.say(format!("comparing: {done} of {all} tenants"));
    let report = engine.recover(&list, &CALLER, &on_done).await?;
    drop(spinner);
    tenant_list::update(engine).await?;
    output.document(&report);
    for name in &report.connected {
        output.marked(Mark::Good, format_args!("{name}: connected again"));
    }
    for problem in &report.unconnected {
        output.problem(Mark::Bad, &named(problem));
    }
    if list.0.is_empty() {
        output.line(format_args!("{} lists no tenants: only what is connected was looked at.", file.display()));
    }
    show(&report.drift, output);
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(report: &DriftReport, output: Output) {
    let rows: Vec<Vec<String>> = report.found.iter().map(row).collect();
    for (line, drift) in table(&rows).iter().zip(&report.found) {
        output.marked(if drift.repaired { Mark::Good } else { Mark::Bad }, line);
        if let Some(problem) = &drift.problem {
            output.problem(Mark::Plain, problem);
        }
    }
    for problem in &report.problems {
        output.problem(Mark::Bad, &named(problem));
    }
    let left = report.found.iter().filter(|drift| !drift.repaired).count();
    let others = report.found.iter().any(|drift| !drift.repaired && !drift.here);
    output.line(format_args!(
        "{} accounts in {} tenants: {} differed, {left} left to be done.",
        report.accounts,
        report.tenants,
        report.found.len()
    ));
    if report.break_glass > 0 {
        output.line(format_args!("{} break-glass accounts were left alone.", report.break_glass));
    }
    if others {
        output.line("Ask whoever's account it is; 'latchkey drift --repair' makes it dormant whoever works with it.");
    }
}

fn row(drift: &Drift) -> Vec<String> {
    let state = match (drift.repaired, drift.here) {
        (true, _) => "repaired",
        (false, true) => "LEFT",
        (false, false) => "LEFT (not this machine's)",
    };
    vec![drift.tenant_name.clone(), drift.user_name.clone(), drift.found.clone(), state.to_owned()]
}

/// The problem with its tenant in the sentence.
fn named(problem: &ErrorBody) -> ErrorBody {
    let mut problem = problem.clone();
    if let Some(tenant) = &problem.tenant {
        problem.message = format!("{tenant}: {}", problem.message);
    }
    problem
}
