//! `cargo xtask bench light`: what Latchkey takes of a machine on which nobody needs it just now, beside KeePassXC and
//! browserpass as Debian packages them. Memory after many fills and after an hour of nothing; bytes and time in pages; how
//! soon a host answers. No figure is asserted: the report is for people.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{
    bench::{browserpass_program, extension_id, first_reply, machine, median, prepare},
    command::{command, execute, output},
    lab::{self, Build},
    setup,
};

/// How often each host is started.
const STARTS: usize = 21;

pub fn run(workspace: &Path, fills: u32, idle_minutes: u32) -> anyhow::Result<()> {
    let (chrome, folder) = prepare(workspace)?;
    let keepassxc_browser = keepassxc_browser(workspace)
        .inspect_err(|error| eprintln!("\nNOTE: KeePassXC-Browser is left out: {error:#}\n"))
        .ok();

    let report = json!({
        "machine": machine()?,
        "load": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "fills": fills,
        "idle_minutes": idle_minutes,
        "hosts": hosts(workspace)?,
        "pages": in_browser(workspace, &chrome, "beside.mjs", |run| {
            if let Some(folder) = &keepassxc_browser {
                run.env("KEEPASSXC_BROWSER", folder);
            }
        })?,
        "memory": in_browser(workspace, &chrome, "light.mjs", |run| {
            run.env("FILLS", fills.to_string()).env("IDLE_MINUTES", idle_minutes.to_string());
        })?,
        "growth": in_browser(workspace, &chrome, "growth.mjs", |run| {
            run.env("FILLS", fills.to_string());
        })?,
    });
    let path = folder.join("light.json");
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    print_tables(&report);
    println!("\n{}", path.display());
    Ok(())
}

/// What one script of `tests/browser/bench` finds out.
fn in_browser(
    workspace: &Path,
    extension: &Path,
    script: &str,
    set: impl FnOnce(&mut Command),
) -> anyhow::Result<Value> {
    let home = lab::fresh_folder(workspace, "bench/light-home")?;
    let mut run = lab::in_session(&home, "node", &[&format!("bench/{script}")])?;
    run.current_dir(workspace.join("tests/browser"))
        .env("ENTRA_SIM", lab::entra_sim(workspace))
        .env("LATCHKEY", Build::Shipped.latchkey(workspace))
        .env("LATCHKEY_EXTENSION", extension);
    set(&mut run);
    let line = output(&mut run)?;
    serde_json::from_str(line.lines().last().unwrap_or_default())
        .with_context(|| format!("{script}: not a report: {line}"))
}

/// The extension, unpacked and not installed: Debian's Chromium would load what is installed into every test.
fn keepassxc_browser(workspace: &Path) -> anyhow::Result<PathBuf> {
    let folder = lab::fresh_folder(workspace, "bench/keepassxc-browser")?;
    execute(command("apt-get", ["-qq", "download", "webext-keepassxc-browser"]).current_dir(&folder))?;
    let package = fs::read_dir(&folder)?.next().context("apt-get brought no package")??.path();
    execute(command("dpkg-deb", ["-x"]).arg(package).arg(&folder))?;
    Ok(folder.join("usr/share/webext/keepassxc-browser"))
}

/// From the start of each host to its first reply, in turn, and its memory then.
fn hosts(workspace: &Path) -> anyhow::Result<Value> {
    let origin = format!("chrome-extension://{}/", extension_id(workspace)?);
    let home = lab::fresh_folder(workspace, "bench/light-host-home")?;
    let keepassxc =
        KeePassXc::start().inspect_err(|error| eprintln!("\nNOTE: KeePassXC's host is left out: {error:#}\n")).ok();
    let browserpass = browserpass_program();
    let mut found: [(Vec<f64>, Vec<f64>); 3] = Default::default();
    for _ in 0..STARTS {
        let hello = br#"{"id":1,"request":{"verb":"hello","protocol":1,"extension_version":"bench"}}"#;
        let ours =
            first_reply(Command::new(Build::Shipped.latchkey(workspace)).arg(&origin).env("HOME", &home), hello)?;
        keep(&mut found[0], ours);
        if let Some(program) = browserpass {
            keep(
                &mut found[1],
                first_reply(&mut Command::new(program), br#"{"action":"echo","echoResponse":{"x":1}}"#)?,
            );
        }
        if let Some(keepassxc) = &keepassxc {
            keep(&mut found[2], first_reply(&mut keepassxc.proxy(), KEYS.as_bytes())?);
        }
    }
    let [ours, browserpass, keepassxc] = found.map(|(mut times, mut memory)| {
        (!times.is_empty())
            .then(|| json!({ "start_to_reply_ms": median(&mut times), "resident_mib": median(&mut memory) }))
    });
    Ok(json!({ "latchkey": ours, "browserpass": browserpass, "keepassxc_proxy": keepassxc }))
}

fn keep((times, memory): &mut (Vec<f64>, Vec<f64>), (time, resident): (f64, f64)) {
    times.push(time);
    // A host that serves one request is gone by then.
    memory.extend(Some(resident).filter(|resident| resident.is_finite()));
}

/// What KeePassXC-Browser says first: the exchange of public keys. Any 32 bytes are a key, and nothing follows.
const KEYS: &str = r#"{"action":"change-public-keys","publicKey":"CQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","nonce":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","clientID":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;

/// KeePassXC without a screen and without a database, for its proxy to talk to.
struct KeePassXc {
    process: Child,
    folder: PathBuf,
}

impl KeePassXc {
    fn start() -> anyhow::Result<Self> {
        setup::install_debian_packages(&["keepassxc"])?;
        // The name of its socket must be short.
        let folder = std::env::temp_dir().join(format!("keepassxc-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        #[cfg(unix)]
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        fs::write(folder.join("keepassxc.ini"), "[Browser]\nEnabled=true\n")?;
        let process = Self::in_folder(&folder, "keepassxc")
            .arg("--config")
            .arg(folder.join("keepassxc.ini"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let keepassxc = Self { process, folder };
        let socket = keepassxc.folder.join("app/org.keepassxc.KeePassXC/org.keepassxc.KeePassXC.BrowserServer");
        for _ in 0..300 {
            if socket.exists() {
                return Ok(keepassxc);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        ensure!(socket.exists(), "KeePassXC does not listen");
        Ok(keepassxc)
    }

    fn in_folder(folder: &Path, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("HOME", folder)
            .env("XDG_RUNTIME_DIR", folder)
            .env("QT_QPA_PLATFORM", "offscreen")
            .env_remove("DBUS_SESSION_BUS_ADDRESS");
        command
    }

    /// The host that a browser starts.
    fn proxy(&self) -> Command {
        Self::in_folder(&self.folder, "keepassxc-proxy")
    }
}

impl Drop for KeePassXc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn print_tables(report: &Value) {
    println!("\nmachine: {}; load {}\n", text(&report["machine"]), text(&report["load"]));
    println!("| host | start → first reply, ms | resident, MiB |\n|---|---|---|");
    for (name, host) in report["hosts"].as_object().into_iter().flatten() {
        println!("| {name} | {} | {} |", host["start_to_reply_ms"], host["resident_mib"]);
    }
    println!(
        "\n| extension | bytes in a page | sign-in page, ms | its heap, KiB | plain page, ms | its heap, KiB | process of the worker, MiB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, page) in report["pages"].as_object().into_iter().flatten() {
        let (sign_in, plain) = (&page["sign_in_page"], &page["plain_page"]);
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} |",
            page["bytes"],
            sign_in["ms"],
            sign_in["heap_kib"],
            plain["ms"],
            plain["heap_kib"],
            page["worker"]["private_mib"],
        );
    }
    println!(
        "\n| after | worker's heap, MiB | its process, MiB | without the garbage of closed popups, MiB | host, MiB |\n|---|---|---|---|---|"
    );
    for sample in report["memory"]["after_fills"].as_array().into_iter().flatten() {
        println!(
            "| {} fills | {} | {} | {} | {} |",
            sample["fills"],
            sample["worker_heap_mib"],
            sample["worker"]["private_mib"],
            sample["worker_collected"]["private_mib"],
            sample["host"]["private_mib"],
        );
    }
    println!("\n| after, with nobody looking into the worker | its process, MiB |\n|---|---|");
    let samples = report["growth"]["samples"].as_array().into_iter().flatten();
    for sample in samples.filter(|sample| sample["fills"].as_u64().is_some_and(|fills| fills < 3 || fills % 100 == 0)) {
        println!("| {} fills | {} |", sample["fills"], sample["private_mib"]);
    }
    println!(
        "\n| idle minutes | open leases | the worker's process, MiB | host, MiB | a host whose connection stays open, MiB |"
    );
    println!("|---|---|---|---|---|");
    for sample in report["memory"]["while_idle"].as_array().into_iter().flatten() {
        println!(
            "| {} | {} | {} | {} | {} |",
            sample["minute"],
            sample["open_leases"],
            sample["worker"]["private_mib"],
            sample["host"]["private_mib"],
            sample["host_alone"]["private_mib"],
        );
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
