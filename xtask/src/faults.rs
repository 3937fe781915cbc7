//! `cargo xtask faults`: the fault matrix, built apart from everything else because only there guards can be taken out.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    command::{command, execute},
    lab,
};

/// How many schedules the long form runs with all guards, and without each.
const LONG: (u64, u64) = (100_000, 4_000);
/// How many come in every test run, with all guards.
const SHORT: u64 = 300;
/// At most so many without each guard; it stops at the first that is violated.
const SHORT_WITHOUT: u64 = 600;

#[derive(Args)]
pub struct Options {
    /// How many schedules to run
    #[arg(long)]
    schedules: Option<u64>,
    /// Run only this one and tell its story
    #[arg(long)]
    seed: Option<u64>,
    /// Take one guard out: intent-first, deadline, settle, scan or count
    #[arg(long)]
    without: Option<String>,
    /// 100,000 schedules, and 4,000 without each guard, counted to the end
    #[arg(long)]
    long: bool,
}

pub fn run(workspace: &Path, options: &Options) -> anyhow::Result<()> {
    // Compiling with optimizations takes longer than a few thousand schedules.
    let profile = if options.long { "faults" } else { "dev" };
    let program = build(workspace, profile)?;
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    if let Some(seed) = options.seed {
        add("--seed", seed.to_string());
    }
    if let Some(guard) = &options.without {
        add("--without", guard.clone());
    }
    let (schedules, without) = if options.long { LONG } else { (2_000, 2_000) };
    let schedules = options.schedules.unwrap_or(schedules);
    add("--schedules", schedules.to_string());
    add("--schedules-without", without.min(schedules).to_string());
    let report = lab::target(workspace).join("faults");
    std::fs::create_dir_all(&report)?;
    add("--json", report.join("report.json").to_string_lossy().into_owned());
    if options.long {
        arguments.push("--count".to_owned());
    }
    let mut process = command(&program.to_string_lossy(), [] as [&str; 0]);
    execute(process.args(arguments))?;
    if options.seed.is_none() {
        println!("{}", report.join("report.json").display());
    }
    Ok(())
}

/// The short form: nothing may be violated with all guards, and something must be without each.
pub fn in_short(workspace: &Path) -> anyhow::Result<()> {
    let program = build(workspace, "dev")?;
    let (schedules, without) = (SHORT.to_string(), SHORT_WITHOUT.to_string());
    let arguments = ["--schedules", schedules.as_str(), "--schedules-without", without.as_str()];
    execute(&mut command(&program.to_string_lossy(), arguments))
}

/// In a build of the whole workspace the program is left out.
pub fn lint() -> anyhow::Result<()> {
    let arguments =
        ["clippy", "--quiet", "-p", "latchkey-faults", "--features", "guards", "--all-targets", "--", "-D", "warnings"];
    execute(&mut command("cargo", arguments))
}

fn build(workspace: &Path, profile: &str) -> anyhow::Result<PathBuf> {
    let arguments = ["build", "--quiet", "--profile", profile, "-p", "latchkey-faults", "--features", "guards"];
    execute(&mut command("cargo", arguments))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(lab::target(workspace).join(folder).join("latchkey-faults"))
}
