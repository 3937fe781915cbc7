//! `cargo xtask fuzz`: what comes from outside, made up by a fuzzer for a bounded time. What it finds worth trying again
//! stays in the build folder; of that, the inputs which reach code that no other reaches join the corpus in
//! `tests/fuzz/corpus`, which is kept. Not part of `cargo xtask test`: it needs a C++ compiler and has no end.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;

use crate::{
    command::{answers, command, execute},
    lab,
};

/// The targets, and what each is fed with.
const TARGETS: [&str; 4] = ["frames", "messages", "snapshots", "config"];

#[derive(Args)]
pub struct Options {
    /// How long each target runs, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only this target: frames, messages, snapshots or config
    #[arg(long)]
    only: Option<String>,
}

pub fn run(workspace: &Path, options: &Options) -> anyhow::Result<()> {
    if let Some(only) = &options.only {
        ensure!(TARGETS.contains(&only.as_str()), "there is no target '{only}'; there are {}", TARGETS.join(", "));
    }
    let program = cargo_fuzz(workspace)?;
    let folder = workspace.join("tests/fuzz");
    for target in TARGETS.iter().filter(|target| options.only.as_deref().is_none_or(|only| only == **target)) {
        println!("{target}: {} s", options.seconds);
        let build = lab::target(workspace).join("fuzz");
        let kept = folder.join("corpus").join(target);
        let found = build.join("found").join(target);
        std::fs::create_dir_all(&kept)?;
        std::fs::create_dir_all(&found)?;
        // Safe Rust alone: what a sanitizer would find is not there to be found, and stable Rust has none.
        // libFuzzer writes into the first of the folders and reads them all.
        let fuzz = |first: &Path, second: &Path, how: &[String]| {
            execute(
                command(&program, ["run", "--sanitizer", "none", "--fuzz-dir"])
                    .arg(&folder)
                    .arg("--target-dir")
                    .arg(&build)
                    .arg(target)
                    .args([first, second])
                    .args(["--", "-max_len=16384", "-rss_limit_mb=2048", "-verbosity=0"])
                    .args(how)
                    .current_dir(&folder),
            )
        };
        fuzz(&found, &kept, &[format!("-max_total_time={}", options.seconds), "-print_final_stats=1".to_owned()])?;
        // New code counts, another number of rounds through the same code does not: thousands of files would say no more.
        fuzz(&kept, &found, &["-merge=1".to_owned(), "-use_counters=0".to_owned()])?;
    }
    println!("every target ran for its time and found nothing");
    Ok(())
}

fn cargo_fuzz(workspace: &Path) -> anyhow::Result<String> {
    if answers("cargo-fuzz", &["--version"]) {
        return Ok("cargo-fuzz".to_owned());
    }
    let tools: PathBuf = lab::target(workspace).join("tools");
    let installed = tools.join("bin/cargo-fuzz");
    if !installed.exists() {
        execute(command("cargo", ["install", "--quiet", "--locked", "--debug", "cargo-fuzz", "--root"]).arg(&tools))?;
    }
    Ok(installed.to_string_lossy().into_owned())
}
