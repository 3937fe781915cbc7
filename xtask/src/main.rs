//! `cargo xtask …`: everything a developer runs. Each command does its own set-up, prints what it does, and can be
//! run again. Nothing here is part of the product.

// This is a program whose purpose is to talk to the person at the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![allow(missing_docs, unreachable_pub)]

mod bench;
mod command;
mod demo;
mod extension;
mod faults;
mod fuzz;
mod host_package;
mod house_rules;
mod lab;
mod light;
mod other_systems;
mod package;
mod safari;
mod scale;
mod setup;
mod store;
mod test;
mod wine;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use lab::Build;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, try and test Latchkey")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Show the main job: from an Entra sign-in page to signed in, with one click
    Demo(demo::Options),
    /// Run every check: format, lints, unit, property, browser, conformance
    Test(test::Options),
    /// Run the simulated Entra alone, for anybody's client; prints one JSON line
    Sim {
        /// Passed on; see `cargo xtask sim -- --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Build the host and the unpacked extension for each browser in `dist/`
    Build {
        /// Only the extension
        #[arg(long)]
        extension: bool,
    },
    /// Make everything that people are given, in `dist/packages`; see `docs/packages.md`
    Package(package::Options),
    /// Measure against the budgets; writes `target/bench/report.json`
    Bench(bench::Options),
    /// Run the engine under virtual time with something going wrong at every call; see `docs/faults.md`
    Faults(faults::Options),
    /// Build, sign and install the app that contains Safari's extension (on a Mac); see `docs/safari.md`
    Safari(safari::Options),
    /// Run the host as it is built for Windows, in Wine; see `docs/packages.md`
    Wine,
    /// Fuzz what comes from outside, for a bounded time
    Fuzz(fuzz::Options),
    /// Install what the other commands need: the WASM target, Debian packages, npm packages
    Setup,
}

fn main() -> anyhow::Result<()> {
    let workspace = workspace();
    std::env::set_current_dir(workspace)?;
    match Arguments::parse().task {
        Task::Demo(options) => demo::run(workspace, &options),
        Task::Test(options) => test::run(workspace, &options),
        Task::Sim { options } => lab::serve(workspace, &options),
        Task::Build { extension } => build(workspace, extension),
        Task::Package(options) => package::run(workspace, &options),
        Task::Bench(options) => bench::run(workspace, &options),
        Task::Faults(options) => faults::run(workspace, &options),
        Task::Safari(options) => safari::run(workspace, &options),
        Task::Wine => wine::run(workspace),
        Task::Fuzz(options) => fuzz::run(workspace, &options),
        Task::Setup => setup::everything(workspace),
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

fn build(workspace: &Path, only_extension: bool) -> anyhow::Result<()> {
    setup::wasm_target()?;
    if !only_extension {
        lab::build_programs(Build::Shipped)?;
    }
    for folder in build_extensions(workspace)? {
        println!("{}", folder.display());
    }
    Ok(())
}

fn build_extensions(workspace: &Path) -> anyhow::Result<Vec<PathBuf>> {
    extension::BROWSERS.iter().map(|browser| extension::build_extension(workspace, browser)).collect()
}
