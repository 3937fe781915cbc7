//! `cargo xtask safari`, on a Mac: builds, signs and installs the app that contains Safari's extension. Elsewhere the same
//! library is type-checked for both kinds of Mac, with a C compiler that has Apple's headers (`zig cc`).

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::{
    command::{answers, command, execute, output},
    extension, lab,
};

/// What the app and the extension link.
const PACKAGE: &str = "latchkey-safari";

/// The kinds of Mac.
const TARGETS: [&str; 2] = ["aarch64-apple-darwin", "x86_64-apple-darwin"];

/// The oldest macOS: the first with the Safari that the extension needs.
const OLDEST_MACOS: &str = "15.4";

/// The package of PyPI that carries zig, which carries a C compiler and Apple's headers.
const ZIG: &str = "ziglang==0.17.1";

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
        return check(workspace);
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
    for target in TARGETS {
        execute(&mut command("rustup", ["target", "add", target]))?;
        execute(
            command("cargo", ["build", "--release", "--quiet", "--package", PACKAGE, "--target", target])
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

/// Type-checks the host, the message handler and the app for both kinds of Mac.
fn check(workspace: &Path) -> anyhow::Result<()> {
    let compilers = Compilers::prepare(workspace).context("no C compiler for Macs can be had")?;
    for target in TARGETS {
        let mut check = command("cargo", ["check", "--quiet", "--package", PACKAGE, "--target", target]);
        check.env("MACOSX_DEPLOYMENT_TARGET", OLDEST_MACOS);
        // Asked of Xcode otherwise. The compiler below has its headers with it and is not told.
        check.env("SDKROOT", "/");
        let underlined = target.replace('-', "_");
        check.env(format!("CC_{underlined}"), compilers.compiler(target));
        check.env(format!("AR_{underlined}"), compilers.archiver());
        execute(&mut check)?;
    }
    Ok(())
}

/// C compilers for Macs: scripts around one zig.
struct Compilers {
    folder: PathBuf,
}

impl Compilers {
    fn prepare(workspace: &Path) -> anyhow::Result<Self> {
        let folder = lab::target(workspace).join("tools/zig");
        let python = folder.join("bin/python3");
        if !answers(&python.to_string_lossy(), &["-m", "ziglang", "version"]) {
            execute(command("python3", ["-m", "venv"]).arg(&folder))?;
            execute(&mut command(&folder.join("bin/pip").to_string_lossy(), ["install", "--quiet", ZIG]))?;
        }
        let compilers = Self { folder };
        let installed = output(&mut command("rustup", ["target", "list", "--installed"]))?;
        for target in TARGETS {
            if !installed.lines().any(|line| line == target) {
                execute(&mut command("rustup", ["target", "add", target]))?;
            }
            compilers.write(&compilers.compiler(target), &script(&python, target))?;
        }
        compilers
            .write(&compilers.archiver(), &format!("#!/bin/sh\nexec '{}' -m ziglang ar \"$@\"\n", python.display()))?;
        Ok(compilers)
    }

    fn compiler(&self, target: &str) -> PathBuf {
        self.folder.join(format!("cc-{target}"))
    }

    fn archiver(&self) -> PathBuf {
        self.folder.join("ar")
    }

    fn write(&self, path: &Path, script: &str) -> anyhow::Result<()> {
        fs::write(path, script).with_context(|| path.display().to_string())?;
        #[cfg(unix)]
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(())
    }
}

/// A compiler that takes Apple's way of naming a machine and tells zig in zig's way.
fn script(python: &Path, target: &str) -> String {
    let machine = target.split('-').next().unwrap_or(target);
    format!(
        r#"#!/bin/sh
skip=
for argument; do
  shift
  if [ -n "$skip" ]; then skip=; continue; fi
  case "$argument" in
    --target=*|-mmacosx-version-min=*|-mmacos-version-min=*) ;;
    -arch|-isysroot) skip=1 ;;
    *) set -- "$@" "$argument" ;;
  esac
done
exec '{}' -m ziglang cc -target {machine}-macos "$@"
"#,
        python.display()
    )
}
