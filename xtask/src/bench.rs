//! `cargo xtask bench`: the budgets, measured side by side in one run and written to `target/bench/report.json`. Every
//! figure is a median; a time is never asserted.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    command::{command, output},
    lab::{self, Build, Entra},
    setup,
};

/// A section that runs alone.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Section {
    /// Many tenants and technicians against Graph's limits; see `docs/scale.md`
    Scale,
    /// Memory after many fills and after an hour of nothing, beside KeePassXC and browserpass; see `docs/browsers.md`
    Light,
}

#[derive(Args)]
pub struct Options {
    /// Only this section
    section: Option<Section>,
    /// How many tenants `scale` has
    #[arg(long, default_value_t = 1_000)]
    tenants: u32,
    /// How many technicians `scale` has
    #[arg(long, default_value_t = 10)]
    technicians: u32,
    /// How many fields `light` fills
    #[arg(long, default_value_t = 1_000)]
    fills: u32,
    /// How many minutes `light` waits without touching anything
    #[arg(long, default_value_t = 60)]
    idle_minutes: u32,
    /// How often each figure is taken
    #[arg(long, default_value_t = 7)]
    runs: u32,
    /// The round trip that the simulated Graph adds, in milliseconds
    #[arg(long, default_value_t = 100)]
    round_trip: u32,
}

pub fn run(workspace: &Path, options: &Options) -> anyhow::Result<()> {
    match options.section {
        Some(Section::Scale) => return crate::scale::run(workspace, options.tenants, options.technicians),
        Some(Section::Light) => return crate::light::run(workspace, options.fills, options.idle_minutes),
        None => {}
    }
    let (chrome, folder) = prepare(workspace)?;

    let round_trips = round_trips(workspace, options)?;
    let host = host(workspace)?;
    let bytes = sizes(&chrome)?;
    let browser = browser(workspace, &chrome, options.round_trip)?;

    let report = json!({
        "machine": machine()?,
        "runs": options.runs,
        "round_trip_ms": options.round_trip,
        "round_trips": round_trips,
        "host": host,
        "bytes": bytes,
        "popup_usable_ms": browser["popup_usable_ms"],
        "content_script_ratio": browser["content_script_ratio"],
        "browser": browser,
    });
    let path = folder.join("report.json");
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    print_table(&report);
    println!("\n{}", path.display());
    Ok(())
}

/// Builds what people are given; answers where Chrome's extension is, and the folder for reports.
pub fn prepare(workspace: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    setup::everything(workspace)?;
    lab::build_programs(Build::Shipped)?;
    let chrome = crate::build_extensions(workspace)?.into_iter().next().context("no extension was built")?;
    let folder = lab::target(workspace).join("bench");
    fs::create_dir_all(&folder)?;
    Ok((chrome, folder))
}

/// Our activation and ending, and CIPP's call sequences, as ratios to one round trip.
fn round_trips(workspace: &Path, options: &Options) -> anyhow::Result<Value> {
    let entra = Entra::start(workspace, &[])?;
    let home = lab::fresh_folder(workspace, "bench/home")?;
    let script = workspace.join("tests/bench/round-trips.mjs");
    let line = output(
        lab::in_session(&home, "node", &[&script.to_string_lossy()])?
            .env("LATCHKEY", Build::Shipped.latchkey(workspace))
            .env("LATCHKEY_ENTRA", entra.details.to_string())
            .env("EXTENSION_ID", extension_id(workspace)?)
            .env("RUNS", options.runs.to_string())
            .env("ROUND_TRIP_MS", options.round_trip.to_string()),
    )?;
    serde_json::from_str(&line).with_context(|| format!("not a report: {line}"))
}

pub fn extension_id(workspace: &Path) -> anyhow::Result<String> {
    let ids: Value = serde_json::from_str(&fs::read_to_string(workspace.join("manifests/extension-ids.json"))?)?;
    Ok(ids["chrome"].as_str().context("manifests/extension-ids.json names no id for chrome")?.to_owned())
}

/// Start of the process to its first reply, and memory once it has answered.
fn host(workspace: &Path) -> anyhow::Result<Value> {
    const RUNS: usize = 41;
    let origin = format!("chrome-extension://{}/", extension_id(workspace)?);
    let hello = br#"{"id":1,"request":{"verb":"hello","protocol":1,"extension_version":"bench"}}"#;
    let home = lab::fresh_folder(workspace, "bench/host-home")?;
    let mut latchkey = Vec::new();
    let mut browserpass = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..RUNS {
        let (elapsed, resident) =
            first_reply(Command::new(Build::Shipped.latchkey(workspace)).arg(&origin).env("HOME", &home), hello)?;
        latchkey.push(elapsed);
        memory.push(resident);
        // In turn with ours, so that a machine that slows down slows down both.
        if let Some(program) = browserpass_program() {
            browserpass
                .push(first_reply(&mut Command::new(program), br#"{"action":"echo","echoResponse":{"x":1}}"#)?.0);
        }
    }
    Ok(json!({
        "start_to_reply_ms": median(&mut latchkey),
        "resident_mib": median(&mut memory),
        "browserpass_start_to_reply_ms": (!browserpass.is_empty()).then(|| median(&mut browserpass)),
    }))
}

/// Debian's `webext-browserpass` brings it; the comparison is left out where it is not installed.
pub fn browserpass_program() -> Option<&'static str> {
    ["/usr/lib/browserpass/browserpass-native", "/usr/bin/browserpass-linux64", "/usr/bin/browserpass"]
        .into_iter()
        .find(|program| Path::new(program).exists())
}

/// Milliseconds from before the process is spawned to its first whole reply, and its resident memory in MiB then.
pub fn first_reply(host: &mut Command, message: &[u8]) -> anyhow::Result<(f64, f64)> {
    let start = Instant::now();
    let mut process = host.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut stdin = process.stdin.take().context("no standard input")?;
    let mut stdout = process.stdout.take().context("no standard output")?;
    stdin.write_all(&u32::try_from(message.len())?.to_ne_bytes())?;
    stdin.write_all(message)?;
    stdin.flush()?;
    let mut length = [0; 4];
    stdout.read_exact(&mut length).context("the host gave no reply")?;
    let mut reply = vec![0; u32::from_ne_bytes(length).try_into()?];
    stdout.read_exact(&mut reply)?;
    let elapsed = start.elapsed();
    if reply.windows(9).any(|word| word == b"\"error\": " || word == b"\"error\":{") {
        bail!("the host refused: {}", String::from_utf8_lossy(&reply));
    }
    std::thread::sleep(Duration::from_millis(50));
    // A host that serves one request is gone by now.
    let resident = resident_mib(process.id()).unwrap_or(f64::NAN);
    drop(stdin);
    process.kill()?;
    process.wait()?;
    Ok((elapsed.as_secs_f64() * 1e3, resident))
}

fn resident_mib(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kibibytes: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kibibytes / 1024.0)
}

fn sizes(extension: &Path) -> anyhow::Result<Value> {
    let bytes = |name: &str| -> anyhow::Result<u64> {
        Ok(fs::metadata(extension.join(name)).with_context(|| name.to_owned())?.len())
    };
    Ok(json!({
        "content_script": bytes("content.js")?,
        "brain_wasm": bytes("brain_bg.wasm")?,
        "popup_wasm": bytes("popup_view_bg.wasm")?,
    }))
}

/// What only a browser can tell: the content script's share of the page's time, how soon the popup can be used, and the
/// whole way from the click to the portal.
fn browser(workspace: &Path, extension: &Path, round_trip: u32) -> anyhow::Result<Value> {
    let home = lab::fresh_folder(workspace, "bench/browser-home")?;
    let mut figures = json!({});
    for script in ["content-script.mjs", "popup.mjs", "sign-in.mjs"] {
        let line = output(
            lab::in_session(&home, "node", &[&format!("bench/{script}")])?
                .current_dir(workspace.join("tests/browser"))
                .env("ENTRA_SIM", lab::entra_sim(workspace))
                .env("LATCHKEY", Build::Shipped.latchkey(workspace))
                .env("LATCHKEY_EXTENSION", extension)
                .env("ROUND_TRIP_MS", round_trip.to_string()),
        )?;
        let found: Value = serde_json::from_str(line.lines().last().unwrap_or_default())
            .with_context(|| format!("{script}: not a report: {line}"))?;
        for (name, value) in found.as_object().into_iter().flatten() {
            figures[name] = value.clone();
        }
    }
    Ok(figures)
}

pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    (middle * 100.0).round() / 100.0
}

pub fn machine() -> anyhow::Result<String> {
    let processors = std::thread::available_parallelism()?;
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let system = output(&mut command("uname", ["-sr"]))?;
    Ok(format!("{} × {}, {}", processors, model.trim_start_matches(['\t', ' ', ':']), system.trim()))
}

fn print_table(report: &Value) {
    let round_trips = &report["round_trips"];
    let rows = [
        ("click → credential ready, warm", &round_trips["warm"], "≤ 1.2 round trips"),
        ("the same, cold process and token", &round_trips["cold"], "≤ 2.2 round trips"),
        ("the same, account to be created", &round_trips["new_account"], "≤ 4.2 round trips"),
        ("end of lease → verified dormant", &round_trips["end"], "≤ 3 round trips"),
        ("CIPP's calls, new user, one role, pass", &round_trips["cipp_new_user"], "(beside)"),
        ("CIPP's calls, existing user, one role, pass", &round_trips["cipp_existing_user"], "(beside)"),
        ("host start → first reply, ms", &report["host"]["start_to_reply_ms"], "ahead of browserpass"),
        ("browserpass start → first reply, ms", &report["host"]["browserpass_start_to_reply_ms"], "(beside)"),
        ("host resident memory, MiB", &report["host"]["resident_mib"], ""),
        ("content script, bytes", &report["bytes"]["content_script"], "≤ 8192"),
        ("brain WASM, bytes", &report["bytes"]["brain_wasm"], "≤ 204800"),
        ("popup WASM, bytes", &report["bytes"]["popup_wasm"], "≤ 307200"),
        ("popup open → usable, ms", &report["popup_usable_ms"], "≤ 100"),
        ("the same, 10 tenants", &report["browser"]["popup_usable_10_tenants_ms"], "≤ 100"),
        ("the same, 100 tenants", &report["browser"]["popup_usable_100_tenants_ms"], "≤ 100"),
        ("the same, 1,000 tenants", &report["browser"]["popup_usable_1000_tenants_ms"], "≤ 100"),
        ("content script's time over a 207-byte script's", &report["content_script_ratio"], "≤ 2"),
    ];
    println!("\nmachine: {}; {} runs, medians\n", report["machine"].as_str().unwrap_or_default(), report["runs"]);
    println!("| what | measured | budget |\n|---|---|---|");
    for (what, value, budget) in rows {
        println!("| {what} | {value} | {budget} |");
    }
    println!("\n| click → portal, signed in | Graph round trips | pages of the sign-in | ms |\n|---|---:|---:|---:|");
    for (credential, figures) in report["browser"]["sign_in"].as_object().into_iter().flatten() {
        let [graph, pages, time] = ["graph_round_trips", "page_steps", "click_to_portal_ms"].map(|name| &figures[name]);
        println!("| {} | {graph} | {pages} | {time} |", credential.replace('_', " "));
    }
}
