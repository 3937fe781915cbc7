//! The lab that demo, tests and figures share: the simulated Entra as a process of its own, and a session with a real
//! Secret Service and a home folder that nobody uses.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context;
use serde_json::Value;

use crate::command::{command, execute};

/// Which build of `latchkey` is meant.
#[derive(Clone, Copy)]
pub enum Build {
    /// Compiled as the tests are: soon there.
    Quick,
    /// What people get.
    Shipped,
}

impl Build {
    fn profile(self) -> (&'static str, &'static str) {
        match self {
            Self::Quick => ("dev", "debug"),
            Self::Shipped => ("release", "release"),
        }
    }

    /// The product's binary.
    pub fn latchkey(self, workspace: &Path) -> PathBuf {
        target(workspace).join(self.profile().1).join("latchkey")
    }
}

/// Builds the programs that the lab runs: the product's `latchkey` and the simulated Entra.
pub fn build_programs(build: Build) -> anyhow::Result<()> {
    build_latchkey(build)?;
    execute(&mut command("cargo", ["build", "--quiet", "-p", "entra-sim"]))
}

/// Builds the product's `latchkey` alone.
pub fn build_latchkey(build: Build) -> anyhow::Result<()> {
    execute(&mut command("cargo", ["build", "--quiet", "--profile", build.profile().0, "-p", "latchkey-native-host"]))
}

/// The simulated Entra's binary.
pub fn entra_sim(workspace: &Path) -> PathBuf {
    target(workspace).join("debug/entra-sim")
}

pub fn target(workspace: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}

/// A simulated Entra that is running, until this is dropped.
pub struct Entra {
    process: Child,
    /// What it printed about itself: ports, certificate authority, tenants.
    pub details: Value,
}

impl Entra {
    pub fn start(workspace: &Path, options: &[&str]) -> anyhow::Result<Self> {
        let mut process = Command::new(entra_sim(workspace))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the simulated Entra could not be started")?;
        let stdout = process.stdout.take().context("the simulated Entra has no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let details = serde_json::from_str(&line).context("the simulated Entra did not say where it is")?;
        Ok(Self { process, details })
    }
}

impl Drop for Entra {
    fn drop(&mut self) {
        // It may be gone already; either way it is gone afterwards.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `cargo xtask sim`: the simulated Entra in the foreground.
pub fn serve(workspace: &Path, options: &[String]) -> anyhow::Result<()> {
    execute(&mut command("cargo", ["build", "--quiet", "-p", "entra-sim"]))?;
    let status = Command::new(entra_sim(workspace)).args(options).status()?;
    std::process::exit(status.code().unwrap_or(1));
}

/// How the session bus of a lab is.
const BUS: &str = include_str!("../../tests/session-bus.conf");

/// A command that runs in a session of its own: a session bus with an unlocked Secret Service, and `home` as home
/// folder. The session ends with the command.
pub fn in_session(home: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<Command> {
    // gnome-keyring refuses an empty password; this one guards nothing, the session is thrown away.
    const SCRIPT: &str = r#"printf lab | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
for _ in $(seq 50); do
    dbus-send --session --print-reply --dest=org.freedesktop.DBus /org/freedesktop/DBus \
        org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets | grep -q true && exec "$0" "$@"
    sleep 0.1
done
echo 'gnome-keyring did not come up' >&2
exit 1"#;
    let runtime = home.join(".runtime");
    std::fs::create_dir_all(&runtime)?;
    #[cfg(unix)]
    std::fs::set_permissions(&runtime, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let bus = home.join(".session-bus.conf");
    std::fs::write(&bus, BUS)?;
    let mut session = command("dbus-run-session", ["--config-file".as_ref(), bus.as_os_str()]);
    session
        .args(["--", "bash", "-c", SCRIPT, program])
        .args(arguments)
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", runtime)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_STATE_HOME");
    Ok(session)
}

/// A fresh, empty folder below `target/`.
pub fn fresh_folder(workspace: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = target(workspace).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("{} could not be emptied", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
