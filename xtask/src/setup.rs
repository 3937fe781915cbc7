//! What a fresh Debian or Ubuntu with git, rustup's Rust and Node lacks for the other commands. Each step looks first
//! and does nothing when its work is done.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::command::{answers, command, execute, output};
use crate::lab;

/// Debian packages: a browser, a real Secret Service and a session bus for it.
const PACKAGES: &[&str] = &["chromium", "dbus", "gnome-keyring", "libsecret-1-0"];

/// Debian packages of the browser whose suite is left out where these cannot be had.
const FIREFOX: &[&str] = &["firefox-esr", "python3"];

/// Debian packages of Safari's engine: a bare browser with its driver, and a screen that nobody sees.
const WEBKIT: &[&str] = &["webkit2gtk-driver", "xvfb"];

/// What drives Firefox. A crate, because Debian has no package of it.
const GECKODRIVER: (&str, &str) = ("geckodriver", "0.37.1");

/// The folders with a `package.json`, besides [`BUNDLER`].
const NPM_FOLDERS: &[&str] = &["tests/browser", "tests/conformance"];

/// The folder whose `package.json` names the bundler.
const BUNDLER: &str = "xtask";

pub fn everything(workspace: &Path) -> anyhow::Result<()> {
    wasm_target()?;
    debian_packages()?;
    npm_packages(workspace)?;
    for browser in OTHER_BROWSERS {
        browser.is_there(workspace);
    }
    Ok(())
}

/// The target that the extension's logic compiles to.
pub fn wasm_target() -> anyhow::Result<()> {
    rust_target("wasm32-unknown-unknown")
}

/// Rust's library for another kind of machine.
pub fn rust_target(target: &str) -> anyhow::Result<()> {
    if !answers("rustup", &["--version"]) {
        bail!("rustup is not there: install Rust from https://rustup.rs, or add the target {target} yourself");
    }
    let installed = output(&mut command("rustup", ["target", "list", "--installed"]))?;
    if installed.lines().any(|line| line == target) {
        return Ok(());
    }
    execute(&mut command("rustup", ["target", "add", target]))
}

/// What the browser tests and the demo run on.
pub fn debian_packages() -> anyhow::Result<()> {
    install_debian_packages(PACKAGES)
}

pub fn install_debian_packages(packages: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<_> = packages.iter().filter(|package| !is_installed(package)).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !answers("apt-get", &["--version"]) {
        bail!("please install these with your system's package manager, then run this again: {}", missing.join(" "));
    }
    let as_root = output(&mut command("id", ["-u"]))?.trim() == "0";
    if !as_root && !answers("sudo", &["-V"]) {
        bail!("run this once as root, or install these: {}", missing.join(" "));
    }
    let apt = |arguments: &[&str]| {
        let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
        words.extend(arguments);
        if as_root { execute(&mut command(words[0], &words[1..])) } else { execute(&mut command("sudo", &words)) }
    };
    apt(&["update"])?;
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(missing);
    apt(&install)
}

/// A browser beside Chromium that tests can be run in.
pub struct OtherBrowser {
    /// What people call it.
    pub name: &'static str,
    packages: &'static [&'static str],
}

pub const OTHER_BROWSERS: [OtherBrowser; 2] =
    [OtherBrowser { name: "Firefox", packages: FIREFOX }, OtherBrowser { name: "WebKit", packages: WEBKIT }];

impl OtherBrowser {
    /// Whether everything is there that its suite runs on; installs what is missing if it can be had.
    pub fn is_there(&self, workspace: &Path) -> bool {
        let there = install_debian_packages(self.packages).and_then(|()| match self.name {
            "Firefox" => geckodriver(workspace).map(drop),
            _ => Ok(()),
        });
        if let Err(error) = &there {
            eprintln!("\nNOTE: nothing is tested in {} here: {error:#}\n", self.name);
        }
        there.is_ok()
    }
}

/// The program that drives Firefox.
pub fn geckodriver(workspace: &Path) -> anyhow::Result<PathBuf> {
    let (name, version) = GECKODRIVER;
    if answers(name, &["--version"]) {
        return Ok(PathBuf::from(name));
    }
    let tools = lab::target(workspace).join("tools");
    let program = tools.join("bin").join(name);
    if !program.exists() {
        execute(
            command("cargo", ["install", "--quiet", "--locked", "--debug", name, "--version", version, "--root"])
                .arg(&tools),
        )?;
    }
    Ok(program)
}

fn is_installed(package: &str) -> bool {
    output(&mut command("dpkg-query", ["-W", "-f=${db:Status-Status}", package]))
        .is_ok_and(|status| status == "installed")
}

/// The test tools and the independent Microsoft clients.
pub fn npm_packages(workspace: &Path) -> anyhow::Result<()> {
    NPM_FOLDERS.iter().try_for_each(|folder| npm_install(&workspace.join(folder)))
}

/// esbuild, installed where it is missing: the program that makes one file of a script and what it imports.
pub fn bundler(workspace: &Path) -> anyhow::Result<PathBuf> {
    let folder = workspace.join(BUNDLER);
    npm_install(&folder)?;
    Ok(folder.join("node_modules/.bin/esbuild"))
}

/// Installs exactly what the folder's `package-lock.json` says, unless it is there.
fn npm_install(folder: &Path) -> anyhow::Result<()> {
    let lock = std::fs::read(folder.join("package-lock.json"))?;
    let stamp = folder.join("node_modules/.installed-lock");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let version = output(&mut command("node", ["--version"]))
        .context("Node 20 or later is needed: https://nodejs.org, or your system's package manager")?;
    let major: u32 =
        version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < 20 {
        bail!("Node {} is too old: 20 or later is needed", version.trim());
    }
    execute(
        command("npm", ["ci", "--no-audit", "--no-fund"])
            .current_dir(folder)
            .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"),
    )?;
    std::fs::write(stamp, lock)?;
    Ok(())
}
