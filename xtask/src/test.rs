//! `cargo xtask test`: every check there is, in the order in which a mistake shows soonest. `.ci/run` calls just this.

use std::path::Path;

use clap::Args;

use crate::{
    command::{answers, command, execute},
    faults, house_rules,
    lab::{self, Build},
    other_systems, package, setup, store,
};

#[derive(Args)]
pub struct Options {
    /// Leave out what needs a browser
    #[arg(long)]
    no_browser: bool,
}

pub fn run(workspace: &Path, options: &Options) -> anyhow::Result<()> {
    setup::everything(workspace)?;
    house_rules::check(workspace)?;
    store::check(workspace)?;
    lints()?;
    dependencies(workspace)?;
    rust_tests(workspace)?;
    faults::in_short(workspace)?;
    other_systems::check(workspace)?;
    lab::build_programs(Build::Quick)?;
    let browsers = crate::build_extensions(workspace)?;
    package::check(workspace)?;
    conformance(workspace)?;
    javascript_tests(workspace)?;
    if !options.no_browser {
        browser_tests(workspace, &browsers[0])?;
        for browser in setup::OTHER_BROWSERS {
            if browser.is_there(workspace) {
                other_browser_tests(workspace, &browser.name.to_lowercase())?;
            }
        }
    }
    println!("all checks passed");
    Ok(())
}

fn lints() -> anyhow::Result<()> {
    execute(&mut command("cargo", ["fmt", "--all", "--check"]))?;
    execute(&mut command("cargo", ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    faults::lint()?;
    for feature in ["brain", "popup"] {
        execute(&mut command(
            "cargo",
            [
                "clippy",
                "--quiet",
                "-p",
                "latchkey-wasm",
                "--target",
                "wasm32-unknown-unknown",
                "--features",
                feature,
                "--",
                "-D",
                "warnings",
            ],
        ))?;
    }
    Ok(())
}

/// Licences, sources and duplicates of dependencies; advisories where their database can be reached.
fn dependencies(workspace: &Path) -> anyhow::Result<()> {
    let tools = lab::target(workspace).join("tools");
    let installed = tools.join("bin/cargo-deny");
    let program = if answers("cargo-deny", &["--version"]) {
        "cargo-deny".to_owned()
    } else {
        if !installed.exists() {
            execute(
                command("cargo", ["install", "--quiet", "--locked", "--debug", "cargo-deny", "--root"]).arg(&tools),
            )?;
        }
        installed.to_string_lossy().into_owned()
    };
    execute(&mut command(&program, ["check", "bans", "licenses", "sources"]))?;
    if execute(&mut command(&program, ["fetch", "db"])).is_ok() {
        execute(&mut command(&program, ["--offline", "check", "advisories"]))
    } else {
        eprintln!("note: the advisory database cannot be reached from here; known vulnerabilities were not checked");
        Ok(())
    }
}

fn rust_tests(workspace: &Path) -> anyhow::Result<()> {
    let home = lab::fresh_folder(workspace, "test-home")?;
    let mut arguments =
        if answers("cargo", &["nextest", "--version"]) { vec!["nextest", "run"] } else { vec!["test", "--quiet"] };
    if arguments.contains(&"nextest") && std::env::var_os("CI").is_some() {
        arguments.extend(["--profile", "ci"]);
    }
    arguments.extend(["--workspace", "--features", "latchkey-wasm/brain,latchkey-wasm/popup"]);
    // The home folder of the tests is not where rustup and cargo keep their things.
    let mut tests = lab::in_session(&home, "cargo", &arguments)?;
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        if let (None, Some(home)) = (std::env::var_os(name), std::env::var_os("HOME")) {
            tests.env(name, Path::new(&home).join(folder));
        }
    }
    execute(&mut tests)
}

/// Microsoft's own clients, unmodified, against the simulated Entra.
fn conformance(workspace: &Path) -> anyhow::Result<()> {
    execute(
        command("node", ["--test", "--test-reporter=spec"])
            .current_dir(workspace.join("tests/conformance"))
            .env("ENTRA_SIM", lab::entra_sim(workspace)),
    )
}

fn javascript_tests(workspace: &Path) -> anyhow::Result<()> {
    // The simulated pages in a real browser, without the product: a lab that is wrong proves nothing.
    execute(
        command("node", ["--test", "--test-reporter=dot", "tests/entra-sim/tests/pages.test.mjs"])
            .env("ENTRA_SIM", lab::entra_sim(workspace)),
    )?;
    execute(command("npm", ["run", "--silent", "unit"]).current_dir(workspace.join("tests/browser")))?;
    // As Mozilla's store looks at it.
    let firefox = workspace.join("dist/firefox");
    execute(
        command("npx", ["web-ext", "lint", "--warnings-as-errors", "--no-config-discovery", "--source-dir"])
            .arg(firefox)
            .current_dir(workspace.join("tests/browser"))
            .env("NO_UPDATE_NOTIFIER", "1"),
    )
}

fn browser_tests(workspace: &Path, extension: &Path) -> anyhow::Result<()> {
    let home = lab::fresh_folder(workspace, "browser-home")?;
    execute(
        lab::in_session(&home, "npx", &["playwright", "test"])?
            .current_dir(workspace.join("tests/browser"))
            .env("ENTRA_SIM", lab::entra_sim(workspace))
            .env("LATCHKEY", Build::Quick.latchkey(workspace))
            .env("LATCHKEY_EXTENSION", extension),
    )
}

/// The suite of a browser that Playwright cannot load the extension into.
fn other_browser_tests(workspace: &Path, browser: &str) -> anyhow::Result<()> {
    if browser == "webkit" {
        // The native part that Safari's app has.
        execute(&mut command("cargo", ["build", "--quiet", "-p", "latchkey-safari", "--example", "one_message"]))?;
    }
    let home = lab::fresh_folder(workspace, &format!("{browser}-home"))?;
    let configuration = format!("{browser}/playwright.config.mjs");
    execute(
        lab::in_session(&home, "npx", &["playwright", "test", "--config", &configuration])?
            .current_dir(workspace.join("tests/browser"))
            .env("ENTRA_SIM", lab::entra_sim(workspace))
            .env("LATCHKEY", Build::Quick.latchkey(workspace))
            .envs(
                (browser == "firefox")
                    .then(|| setup::geckodriver(workspace))
                    .transpose()?
                    .map(|driver| ("GECKODRIVER", driver)),
            ),
    )
}
