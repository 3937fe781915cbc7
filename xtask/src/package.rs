//! `cargo xtask package`: everything that people are given, in `dist/packages`: a zip for each store, the host as an archive,
//! as a Debian package and with an install script, and the checksums of all of it. The bytes of a package depend on nothing
//! but the files in it: names in order, one fixed time, fixed modes, no owner.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use crate::{
    command::{command, output},
    host_package, lab,
    lab::Build,
    store,
};

/// The packages that stores take: the folder in `dist/`, and what the file is called. Safari's extension comes in an app.
const STORES: [(&str, &str); 3] = [("chrome", "chrome.zip"), ("edge", "edge.zip"), ("firefox", "firefox.xpi")];

#[derive(Args)]
pub struct Options {
    /// Make everything twice in `target/packages`, with the host as tests are built, and try it out
    #[arg(long)]
    check: bool,
}

pub fn run(workspace: &Path, options: &Options) -> anyhow::Result<()> {
    crate::setup::wasm_target()?;
    if options.check {
        lab::build_latchkey(Build::Quick)?;
        crate::build_extensions(workspace)?;
        return check(workspace);
    }
    store::check(workspace)?;
    crate::build_extensions(workspace)?;
    let program = host_package::build(workspace)?;
    let into = workspace.join("dist/packages");
    if into.exists() {
        fs::remove_dir_all(&into)?;
    }
    make(workspace, &program, &into, Build::Shipped)?;
    print!("{}", fs::read_to_string(into.join(SUMS))?);
    println!("{}", into.display());
    Ok(())
}

/// Part of the test run: the same files make the same packages, and the host's can be installed and removed.
pub fn check(workspace: &Path) -> anyhow::Result<()> {
    if !cfg!(target_os = "linux") {
        eprintln!("note: the host's packages are for Linux and are made there; none was made here");
        return Ok(());
    }
    let folder = lab::fresh_folder(workspace, "packages")?;
    let program = Build::Quick.latchkey(workspace);
    let both = [folder.join("first"), folder.join("second")];
    for into in &both {
        make(workspace, &program, into, Build::Quick)?;
    }
    let [first, second] = both.each_ref().map(|folder| fs::read_to_string(folder.join(SUMS)));
    ensure!(first? == second?, "made twice, the packages in {} differ", folder.display());
    host_package::try_out(&folder, &both[0])
}

/// The name of the list of checksums.
const SUMS: &str = "SHA256SUMS";

/// Everything for people, into a folder that is made.
fn make(workspace: &Path, program: &Path, into: &Path, build: Build) -> anyhow::Result<()> {
    fs::create_dir_all(into)?;
    for (folder, name) in STORES {
        let file = into.join(format!("latchkey-{}-{name}", env!("CARGO_PKG_VERSION")));
        fs::write(&file, zip(&workspace.join("dist").join(folder))?)?;
    }
    host_package::make(workspace, program, into, build)?;
    let mut names: Vec<_> = fs::read_dir(into)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<anyhow::Result<_>>()?;
    names.sort();
    let sums = output(command("sha256sum", ["--"]).args(&names).current_dir(into))?;
    fs::write(into.join(SUMS), sums)?;
    Ok(())
}

/// The folder as a zip: sorted names, one fixed time, one fixed mode.
fn zip(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for file in files(folder)? {
        let name = file.strip_prefix(folder)?.to_string_lossy().replace('\\', "/");
        let mut bytes = fs::read(&file)?;
        if name == "manifest.json" {
            bytes = without_key(&bytes)?;
        }
        writer.start_file(name, options)?;
        writer.write_all(&bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

/// The manifest as a store wants it: the `key` that fixes the id of an unpacked extension is refused on upload.
fn without_key(manifest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut manifest: serde_json::Value = serde_json::from_slice(manifest)?;
    if let Some(members) = manifest.as_object_mut() {
        members.remove("key");
    }
    Ok(serde_json::to_vec_pretty(&manifest)?)
}

/// Every file below a folder, in order.
pub fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let make = |name: &str, reverse: bool| {
            let folder = std::env::temp_dir().join(format!("latchkey-package-{}-{name}", std::process::id()));
            fs::create_dir_all(folder.join("icons")).unwrap();
            let mut files = [("manifest.json", r#"{"key":"k","name":"n"}"#), ("icons/a.png", "a"), ("b.js", "b")];
            if reverse {
                files.reverse();
            }
            for (file, text) in files {
                fs::write(folder.join(file), text).unwrap();
            }
            let bytes = zip(&folder).unwrap();
            fs::remove_dir_all(folder).unwrap();
            bytes
        };
        let first = make("first", false);
        assert_eq!(first, make("second", true));
        assert!(!first.is_empty());
    }

    #[test]
    fn a_store_gets_no_key() {
        assert_eq!(without_key(br#"{"key":"k","name":"n"}"#).unwrap(), b"{\n  \"name\": \"n\"\n}");
    }
}
