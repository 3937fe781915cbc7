//! Store packages: the unpacked extension as a zip whose bytes depend on nothing but its files.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

pub fn run(workspace: &Path) -> anyhow::Result<()> {
    crate::setup::wasm_target()?;
    for folder in crate::build_extensions(workspace)? {
        let package = folder.with_extension("zip");
        fs::write(&package, zip(&folder)?)?;
        println!("{}", package.display());
    }
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

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
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
