//! `cargo xtask bench scale`: the engine with many tenants, under virtual time and with Graph's limits on.

use std::{fs, path::Path, process::Command};

use anyhow::Context;
use serde_json::Value;

use crate::{
    command::{command, execute, output},
    lab,
};

/// Runs it, writes `target/bench/scale.json` and prints tables.
pub fn run(workspace: &Path, tenants: u32, technicians: u32) -> anyhow::Result<()> {
    // Time is virtual: what optimizing would save is shorter than compiling it takes.
    execute(&mut command("cargo", ["build", "--quiet", "-p", "latchkey-scale"]))?;
    let program = lab::target(workspace).join("debug/latchkey-scale");
    let (tenants, technicians) = (tenants.to_string(), technicians.to_string());
    let arguments = ["--tenants", tenants.as_str(), "--technicians", technicians.as_str()];
    let text = output(Command::new(program).args(arguments))?;
    let report: Value = serde_json::from_str(text.trim()).context("not a report")?;
    let folder = lab::target(workspace).join("bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join("scale.json");
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    print_tables(&report);
    println!("\n{}", path.display());
    Ok(())
}

fn print_tables(report: &Value) {
    println!(
        "| part | calls | of them writes | of authentication methods | 429 | took, s | the limits allow, s | ratio |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (name, part) in report["parts"].as_object().into_iter().flatten() {
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            part["calls"],
            part["writes"],
            part["authentication_method_calls"],
            part["refused_429"],
            part["seconds"],
            part["bound_seconds"],
            part["over_bound"].as_f64().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}")),
        );
    }
    println!("\nmost memory, with the simulation: {} MiB\n", report["peak_mib_with_the_simulation"]);
    let steps: Vec<&Value> = report["store_ms"].as_array().into_iter().flatten().collect();
    let Some(first) = steps.first().and_then(|step| step.as_object()) else { return };
    let leases: Vec<_> = steps.iter().map(|step| step["leases"].to_string()).collect();
    println!("| milliseconds with so many leases | {} |\n|---|{}", leases.join(" | "), "---:|".repeat(steps.len()));
    for name in first.keys().filter(|name| *name != "leases") {
        let row: Vec<_> = steps.iter().map(|step| step[name].to_string()).collect();
        println!("| {name} | {} |", row.join(" | "));
    }
}
