//! The host as people install it on Linux: an archive with an install script, and a Debian package. Both hold the same
//! tree; what `latchkey` says about itself (manual pages, completions) is asked of the program that is packed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{
    command::{answers, command, execute, output},
    extension::without_paths,
    lab,
    lab::Build,
    other_systems::left_out,
    package::files,
    setup,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The host's package in this workspace.
const HOST: &str = "latchkey-native-host";

/// The time that every file in a package has: 2000-01-01, in Unix time.
const TIME: &str = "946684800";

/// What Debian packages are made with, and the Debian package that has it.
const DEBIAN: (&str, &[&str]) = ("dpkg-shlibdeps", &["dpkg-dev"]);

/// Completions: the shell, and the file in an archive and in a Debian package.
const COMPLETIONS: [(&str, &str, &str); 3] = [
    ("bash", "share/bash-completion/completions/latchkey", "share/bash-completion/completions/latchkey"),
    ("zsh", "share/zsh/site-functions/_latchkey", "share/zsh/vendor-completions/_latchkey"),
    ("fish", "share/fish/vendor_completions.d/latchkey.fish", "share/fish/vendor_completions.d/latchkey.fish"),
];

const MANUAL: &str = "share/man/man1";
const DOCUMENTATION: &str = "share/doc/latchkey";

/// Builds the host for people, without paths of this machine in it. In a folder of its own: other flags would have
/// everything else built again.
pub fn build(workspace: &Path) -> anyhow::Result<PathBuf> {
    let folder = lab::target(workspace).join("package");
    execute(
        command("cargo", ["build", "--quiet", "--release", "--locked", "--package", HOST, "--target-dir"])
            .arg(&folder)
            .env("CARGO_ENCODED_RUSTFLAGS", without_paths(workspace)),
    )?;
    Ok(folder.join("release/latchkey"))
}

/// The archive, the install script and the Debian package.
pub fn make(workspace: &Path, program: &Path, into: &Path, build: Build) -> anyhow::Result<()> {
    let work = into.with_extension("work");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    let machine = output(&mut command("uname", ["-m"]))?.trim().to_owned();
    let name = format!("latchkey-{VERSION}-{machine}-linux");
    let tree = work.join(&name);
    lay_out(workspace, program, &tree)?;
    archive(&work, &name, &into.join(format!("{name}.tar.gz")))?;
    fs::copy(workspace.join("manifests/host/install.sh"), into.join("install.sh"))?;
    let (tool, packages) = DEBIAN;
    let prepared = if answers(tool, &["--version"]) { Ok(()) } else { setup::install_debian_packages(packages) };
    match prepared {
        Ok(()) => debian_package(workspace, &tree, &work, into, build)?,
        Err(error) => left_out("No Debian package is made here", &error),
    }
    fs::remove_dir_all(work)?;
    Ok(())
}

/// The tree as it is below `/usr/local` or `~/.local`.
fn lay_out(workspace: &Path, program: &Path, tree: &Path) -> anyhow::Result<()> {
    let installed = tree.join("bin/latchkey");
    write(&installed, &fs::read(program).with_context(|| program.display().to_string())?)?;
    set_mode(&installed, 0o755)?;
    // What is built for people has been stripped already.
    execute(command("strip", ["--strip-all"]).arg(&installed))?;
    let manual = tree.join(MANUAL);
    execute(command(&installed.to_string_lossy(), ["manual", "--into"]).arg(&manual))?;
    for (shell, file, _) in COMPLETIONS {
        let text = output(&mut command(&installed.to_string_lossy(), ["completions", shell]))?;
        write(&tree.join(file), text.as_bytes())?;
    }
    let documentation = tree.join(DOCUMENTATION);
    for file in ["README.md", "CHANGELOG.md", "SECURITY.md", "manifests/host/copyright"] {
        let file = workspace.join(file);
        write(&documentation.join(file.file_name().context("a file has a name")?), &fs::read(&file)?)?;
    }
    for file in files(&workspace.join("docs"))?.iter().filter(|file| file.extension() == Some("md".as_ref())) {
        write(&documentation.join("docs").join(file.strip_prefix(workspace.join("docs"))?), &fs::read(file)?)?;
    }
    write(&documentation.join("third-party-licences.txt"), third_party_licences(workspace)?.as_bytes())
}

/// The tree as an archive.
fn archive(work: &Path, name: &str, file: &Path) -> anyhow::Result<()> {
    let tar = work.join("archive.tar");
    let time = format!("--mtime=@{TIME}");
    execute(
        command("tar", ["--sort=name", "--format=ustar", "--owner=0", "--group=0", "--numeric-owner", time.as_str()])
            .args(["--mode=u=rwX,go=rX", "-C"])
            .arg(work)
            .arg("-cf")
            .arg(&tar)
            .arg(name),
    )?;
    execute(command("gzip", ["-9", "--no-name"]).arg(&tar))?;
    fs::rename(work.join("archive.tar.gz"), file)?;
    Ok(())
}

/// The tree as a Debian package, which tells every browser of the host and has systemd end leases.
fn debian_package(workspace: &Path, tree: &Path, work: &Path, into: &Path, build: Build) -> anyhow::Result<()> {
    let root = work.join("debian");
    let debian = workspace.join("manifests/host/debian");
    for file in files(tree)? {
        let inside = file.strip_prefix(tree)?.to_string_lossy().into_owned();
        let inside =
            COMPLETIONS.iter().find(|(_, here, _)| *here == inside).map_or(inside.as_str(), |(.., there)| there);
        let target = root.join("usr").join(inside);
        write(&target, &fs::read(&file)?)?;
        if inside == "bin/latchkey" {
            set_mode(&target, 0o755)?;
        }
        // As Debian's policy wants it.
        if inside.starts_with(MANUAL) {
            compress(&target)?;
        }
    }
    let changes = root.join("usr").join(DOCUMENTATION).join("changelog");
    write(&changes, fs::read_to_string(debian.join("changelog"))?.replace("{{version}}", VERSION).as_bytes())?;
    compress(&changes)?;
    let control = root.join("DEBIAN");
    for script in ["postinst", "prerm"] {
        let target = control.join(script);
        write(&target, &fs::read(debian.join(script))?)?;
        set_mode(&target, 0o755)?;
    }
    let mut size = 0;
    let mut sums = String::new();
    for file in files(&root.join("usr"))? {
        size += fs::metadata(&file)?.len().div_ceil(1024);
        let inside = file.strip_prefix(&root)?;
        sums += &output(command("md5sum", ["--"]).arg(inside).current_dir(&root))?;
    }
    write(&control.join("md5sums"), sums.as_bytes())?;
    let architecture = output(&mut command("dpkg", ["--print-architecture"]))?.trim().to_owned();
    let text = fs::read_to_string(debian.join("control"))?
        .replace("{{version}}", VERSION)
        .replace("{{architecture}}", &architecture)
        .replace("{{size}}", &size.to_string())
        .replace("{{libraries}}", &libraries(work, &root)?);
    ensure!(!text.contains("{{"), "the control file has a place that nothing fills:\n{text}");
    write(&control.join("control"), text.as_bytes())?;
    // Times as old as this are left alone, all others are set to it.
    let mut build_package = command("dpkg-deb", ["--root-owner-group"]);
    if matches!(build, Build::Quick) {
        build_package.args(["-Zgzip", "-z1"]);
    }
    let file = into.join(format!("latchkey_{VERSION}_{architecture}.deb"));
    execute(build_package.arg("--build").arg(&root).arg(&file).env("SOURCE_DATE_EPOCH", TIME))
}

/// The libraries that the program needs, as Debian calls them.
fn libraries(work: &Path, root: &Path) -> anyhow::Result<String> {
    // dpkg-shlibdeps wants to stand in a source package.
    write(&work.join("debian/control"), b"Source: latchkey\n\nPackage: latchkey\nArchitecture: any\n")?;
    let program = root.join("usr/bin/latchkey");
    let printed = output(command("dpkg-shlibdeps", ["-O"]).arg(program).current_dir(work));
    fs::remove_file(work.join("debian/control"))?;
    let printed = printed?;
    let (_, list) = printed.split_once("shlibs:Depends=").context("dpkg-shlibdeps named no library")?;
    Ok(list.trim().to_owned())
}

/// Which libraries are in the program, and the licences that they came with.
fn third_party_licences(workspace: &Path) -> anyhow::Result<String> {
    let inside = output(
        command("cargo", ["tree", "--locked", "--package", HOST, "--edges", "normal", "--prefix", "none"])
            .args(["--format", "{p}"])
            .current_dir(workspace),
    )?;
    let inside: BTreeSet<(&str, &str)> = inside
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect();
    let metadata: Value =
        serde_json::from_str(&output(&mut command("cargo", ["metadata", "--locked", "--format-version", "1"]))?)?;
    let mut list = String::new();
    // The same text is written once, with all that it came with.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let (Some(name), Some(version)) = (package["name"].as_str(), package["version"].as_str()) else { continue };
        if package["source"].is_null() || !inside.contains(&(name, version)) {
            continue;
        }
        list += &format!("{name} {version}: {}\n", package["license"].as_str().unwrap_or("see below"));
        let folder = Path::new(package["manifest_path"].as_str().unwrap_or_default()).parent();
        for file in fs::read_dir(folder.context("a package has a folder")?)? {
            let file = file?;
            let title = file.file_name().to_string_lossy().to_uppercase();
            let is_licence =
                ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"].iter().any(|word| title.starts_with(word));
            if is_licence && file.file_type()?.is_file() {
                let text = String::from_utf8_lossy(&fs::read(file.path())?).replace('\r', "");
                texts.entry(text.trim().to_owned()).or_default().push(format!("{name} {version}"));
            }
        }
    }
    ensure!(!texts.is_empty(), "no licence of a library was found");
    let mut whole = format!("Latchkey {VERSION} contains these libraries:\n\n{list}");
    let mut texts: Vec<_> = texts.into_iter().collect();
    for (_, packages) in &mut texts {
        packages.sort();
        packages.dedup();
    }
    texts.sort_by(|one, other| one.1.cmp(&other.1).then_with(|| one.0.cmp(&other.0)));
    for (text, packages) in texts {
        whole += &format!("\n{}\n{}:\n\n{text}\n", "-".repeat(80), packages.join(", "));
    }
    Ok(whole)
}

/// Installs the archive for a person who has nothing yet, and takes it away again; an archive that was changed is refused.
pub fn try_out(folder: &Path, packages: &Path) -> anyhow::Result<()> {
    let home = folder.join("home");
    fs::create_dir_all(&home)?;
    let run = |script: &Path, arguments: &[&str]| -> anyhow::Result<(bool, String)> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut sh = Command::new("sh");
        let output = sh.arg(script).args(arguments).env_clear().env("PATH", path).env("HOME", &home).output()?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Ok((output.status.success(), said))
    };
    let script = packages.join("install.sh");
    let program = home.join(".local/bin/latchkey");

    let changed = folder.join("changed");
    fs::create_dir_all(&changed)?;
    for file in files(packages)? {
        fs::copy(&file, changed.join(file.file_name().context("a file has a name")?))?;
    }
    let archive = files(&changed)?.into_iter().find(|file| file.to_string_lossy().ends_with("-linux.tar.gz"));
    let archive = archive.context("there is no archive")?;
    fs::write(&archive, [fs::read(&archive)?.as_slice(), b"more"].concat())?;
    let (succeeded, said) = run(&changed.join("install.sh"), &[])?;
    ensure!(!succeeded && said.contains("damaged or exchanged"), "a changed archive was taken: {said}");
    ensure!(files(&home)?.is_empty(), "a changed archive left something behind");

    // Twice is as good as once.
    for _ in 0..2 {
        let (succeeded, said) = run(&script, &["--no-browsers"])?;
        ensure!(succeeded && said.contains("Add "), "not installed: {said}");
    }
    let version = output(&mut command(&program.to_string_lossy(), ["version"]))?;
    ensure!(version.contains(VERSION), "another version was installed: {version}");
    ensure!(home.join(".local").join(MANUAL).join("latchkey-tenant-add.1").is_file(), "there is no manual");
    let (succeeded, said) = run(&script, &["--uninstall"])?;
    ensure!(succeeded, "not removed: {said}");
    // The log is the program's, as tenants and settings are.
    let left: Vec<_> = files(&home)?.into_iter().filter(|file| !file.starts_with(home.join(".local/state"))).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    println!("packages: the same twice, installed and removed, refused when changed");
    Ok(())
}

/// Puts the file's compressed form in its place.
fn compress(file: &Path) -> anyhow::Result<()> {
    output(command("gzip", ["-9", "--no-name"]).arg(file)).map(drop)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)).with_context(|| path.display().to_string())?;
    set_mode(path, 0o644)
}

fn set_mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    #[cfg(not(unix))]
    let _ = (path, mode);
    Ok(())
}
