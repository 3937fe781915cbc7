//! `cargo xtask safari`, on a Mac: builds, signs and installs the app that contains Safari's extension. Elsewhere
//! `--check` type-checks the same library for both kinds of Mac (`other_systems`).

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::{
    command::{answers, command, execute},
    extension, lab,
    other_systems::{self, MACS, OLDEST_MACOS, SAFARI},
    setup,
};

#[derive(Args)]
pub struct Options {
    /// The team whose certificate signs the app: ten letters and digits, from Apple's developer site
    #[arg(long, required_unless_present = "check")]
    team: Option<String>,
    /// Only type-check what the app links, for both kinds of Mac; works on Linux, too
    #[arg(long)]
    check: bool,
    /// Where the app goes
    #[arg(long, default_value = "/Applications")]
    into: PathBuf,
}

/// Builds, signs and installs the app.
pub fn run(workspace: &Path, options: &Options) -> anyhow::Result<()> {
    if options.check {
        return other_systems::check_macs(workspace);
    }
    if !cfg!(target_os = "macos") {
        bail!(
            "Xcode builds and signs the app, on a Mac alone; 'cargo xtask safari --check' checks what can be checked here"
        );
    }
    let team = options.team.as_deref().context("the team is missing")?;
    for (program, from) in [("xcodebuild", "install Xcode"), ("xcodegen", "brew install xcodegen")] {
        ensure!(
            answers(program, &[if program == "xcodebuild" { "-version" } else { "--version" }]),
            "{program} is missing: {from}"
        );
    }
    extension::build_extension(workspace, "safari")?;
    let library = lab::target(workspace).join("safari");
    fs::create_dir_all(&library)?;
    let mut slices = Vec::new();
    for target in MACS {
        setup::rust_target(target)?;
        execute(
            command("cargo", ["build", "--release", "--quiet", "--package", SAFARI, "--target", target])
                .env("MACOSX_DEPLOYMENT_TARGET", OLDEST_MACOS),
        )?;
        slices.push(lab::target(workspace).join(target).join("release/liblatchkey_safari.a"));
    }
    let whole = library.join("liblatchkey_safari.a");
    execute(command("lipo", ["-create", "-output"]).arg(&whole).args(&slices))?;
    let folder = workspace.join("manifests/safari");
    execute(
        command("xcodegen", ["generate", "--quiet", "--project"])
            .arg(&library)
            .args(["--project-root"])
            .arg(&folder)
            .arg("--spec")
            .arg(folder.join("project.yml"))
            .env("LATCHKEY_VERSION", env!("CARGO_PKG_VERSION"))
            .env("LATCHKEY_TEAM", team)
            .env("LATCHKEY_LIBRARY", &library),
    )?;
    let products = library.join("products");
    execute(
        command(
            "xcodebuild",
            ["-quiet", "-allowProvisioningUpdates", "-configuration", "Release", "-scheme", "Latchkey"],
        )
        .arg("-project")
        .arg(library.join("Latchkey.xcodeproj"))
        .arg(format!("SYMROOT={}", products.display()))
        .arg("build"),
    )?;
    let app = products.join("Release/Latchkey.app");
    execute(command("codesign", ["--verify", "--deep", "--strict"]).arg(&app))?;
    let installed = options.into.join("Latchkey.app");
    execute(&mut command("ditto", [&app, &installed]))?;
    println!("{}", installed.display());
    execute(&mut command("open", [&installed]))
}
