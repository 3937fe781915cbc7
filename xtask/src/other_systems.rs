//! The host for the systems that a test run is not on. Rust code is type-checked; C code (SQLite, ring) is compiled, by
//! compilers that have the other system's headers: zig's for Macs, MinGW's for Windows. What cannot be had here is left out
//! with a sentence, and only that: a mistake that a compiler finds ends the run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    command::{answers, command, execute},
    lab, setup,
};

/// The host.
const HOST: &str = "latchkey-native-host";

/// What Safari's extension and its app link.
pub const SAFARI: &str = "latchkey-safari";

/// The kinds of Mac.
pub const MACS: [&str; 2] = ["aarch64-apple-darwin", "x86_64-apple-darwin"];

/// The oldest macOS: the first with the Safari that the extension needs.
pub const OLDEST_MACOS: &str = "15.4";

/// Windows, as MinGW builds for it.
pub const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// MinGW's C compiler, and the Debian package that it comes from.
pub const MINGW: (&str, &str) = ("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64-win32");

/// The package of PyPI that carries zig, which carries a C compiler and Apple's headers.
const ZIG: &str = "ziglang==0.17.1";

/// The Debian package without which Python makes no folder for such packages.
const PYTHON: &[&str] = &["python3-venv"];

/// Part of the test run: every system whose compilers are here or can be had.
pub fn check(workspace: &Path) -> anyhow::Result<()> {
    match Compilers::prepare(workspace) {
        Ok(compilers) => compilers.check()?,
        Err(error) => left_out("The host and Safari's message handler are not checked for macOS here", &error),
    }
    match prepare_windows() {
        Ok(()) => check_windows(),
        Err(error) => {
            left_out("The host is not checked for Windows here", &error);
            Ok(())
        }
    }
}

/// Says what a run does without, and why.
pub fn left_out(what: &str, error: &anyhow::Error) {
    eprintln!("\nNOTE: {what}: {error:#}\n");
}

/// The host, Safari's message handler and its app, for both kinds of Mac.
pub fn check_macs(workspace: &Path) -> anyhow::Result<()> {
    Compilers::prepare(workspace).context("no C compiler for Macs can be had")?.check()
}

/// Everything that a build for Windows needs.
pub fn prepare_windows() -> anyhow::Result<()> {
    let (compiler, package) = MINGW;
    if !answers(compiler, &["--version"]) {
        setup::install_debian_packages(&[package])?;
    }
    setup::rust_target(WINDOWS)
}

fn check_windows() -> anyhow::Result<()> {
    execute(&mut command("cargo", ["check", "--quiet", "--package", HOST, "--target", WINDOWS]))
}

/// Builds the host for Windows; answers where it is.
pub fn build_windows(workspace: &Path) -> anyhow::Result<PathBuf> {
    execute(&mut command("cargo", ["build", "--quiet", "--package", HOST, "--target", WINDOWS]))?;
    Ok(lab::target(workspace).join(WINDOWS).join("debug/latchkey.exe"))
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
            let make = || execute(command("python3", ["-m", "venv"]).arg(&folder));
            make().or_else(|_| setup::install_debian_packages(PYTHON).and_then(|()| make()))?;
            execute(&mut command(&python.to_string_lossy(), ["-m", "pip", "install", "--quiet", ZIG]))?;
        }
        let compilers = Self { folder };
        for target in MACS {
            setup::rust_target(target)?;
            compilers.write(&compilers.compiler(target), &script(&python, target))?;
        }
        compilers
            .write(&compilers.archiver(), &format!("#!/bin/sh\nexec '{}' -m ziglang ar \"$@\"\n", python.display()))?;
        Ok(compilers)
    }

    /// Both kinds at once: what one waits for, the other uses.
    fn check(&self) -> anyhow::Result<()> {
        let mut check = command("cargo", ["check", "--quiet", "--package", HOST, "--package", SAFARI]);
        check.env("MACOSX_DEPLOYMENT_TARGET", OLDEST_MACOS);
        // Asked of Xcode otherwise. The compiler below has its headers with it and is not told.
        check.env("SDKROOT", "/");
        for target in MACS {
            check.args(["--target", target]);
            let underlined = target.replace('-', "_");
            check.env(format!("CC_{underlined}"), self.compiler(target));
            check.env(format!("AR_{underlined}"), self.archiver());
        }
        execute(&mut check)
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
