//! Rules about the tree that no compiler checks.

use std::{fs, path::Path};

use anyhow::bail;

use crate::command::{command, output};

/// Where the product lives; nothing in it may know that it is being tried out.
const PRODUCT: &[&str] = &["protocol/", "wasm/", "engine/", "native-host/", "extension/", "manifests/"];

pub fn check(workspace: &Path) -> anyhow::Result<()> {
    let tracked = output(&mut command("git", ["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let mut broken = Vec::new();
    for file in tracked.lines() {
        let path = workspace.join(file);
        let Ok(bytes) = fs::read(&path) else { continue };
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        if PRODUCT.iter().any(|folder| file.starts_with(folder)) && text.to_lowercase().contains("simul") {
            broken.push(format!("{file}: the product has no code path that knows the simulated Entra"));
        }
        if file == "Cargo.toml" {
            broken.extend(unexplained_dependencies(text).map(|line| format!("{file}: no reason given for `{line}`")));
        }
        if file.ends_with("Cargo.toml") && !may_switch_guards(file, text) {
            broken.push(format!("{file}: only the fault matrix may switch guards off, and only when built on its own"));
        }
        if file.ends_with("package-lock.json") && text.contains("\"resolved\"") {
            broken.push(format!("{file}: names the host it was fetched from"));
        }
    }
    if !broken.is_empty() {
        bail!("house rules broken:\n  {}", broken.join("\n  "));
    }
    Ok(())
}

/// Whether a manifest leaves the guards of the engine alone: the feature is defined there, and turned on by a feature of
/// the fault matrix that is off unless it is asked for. Nothing else names it, so that no other build can have it.
fn may_switch_guards(file: &str, manifest: &str) -> bool {
    let naming: Vec<&str> = manifest
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#') && line.contains("switchable-guards"))
        .collect();
    match file {
        "engine/Cargo.toml" => naming == ["switchable-guards = []"] && !manifest.contains("default = "),
        "tests/faults/Cargo.toml" => {
            naming == ["guards = [\"latchkey-engine/switchable-guards\"]"] && !manifest.contains("default = ")
        }
        _ => naming.is_empty() && !manifest.contains("latchkey-faults ="),
    }
}

/// Workspace dependencies without a comment on the line above, or above the group they stand in.
fn unexplained_dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let section = manifest.split("[workspace.dependencies]").nth(1).unwrap_or("");
    let section = section.split("\n[").next().unwrap_or("");
    let mut explained = false;
    section.lines().filter(move |line| {
        let line = line.trim();
        if line.starts_with('#') {
            explained = true;
        } else if line.is_empty() {
            explained = false;
        }
        !line.is_empty() && !line.starts_with('#') && !line.contains("path =") && !explained
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_build_but_the_fault_matrix_can_switch_guards() {
        let own = "[features]\nguards = [\"latchkey-engine/switchable-guards\"]\n";
        assert!(may_switch_guards("tests/faults/Cargo.toml", own));
        assert!(!may_switch_guards("tests/faults/Cargo.toml", &format!("{own}default = [\"guards\"]\n")));
        assert!(!may_switch_guards("native-host/Cargo.toml", own));
        assert!(may_switch_guards("engine/Cargo.toml", "[features]\nswitchable-guards = []\n"));
        assert!(!may_switch_guards("engine/Cargo.toml", "default = [\"switchable-guards\"]\nswitchable-guards = []\n"));
        assert!(!may_switch_guards("native-host/Cargo.toml", "latchkey-faults = { path = \"../tests/faults\" }"));
    }

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let manifest = "[workspace.dependencies]\nown = { path = \"own\" }\n# why\na = \"1\"\n\nb = \"1\"\n\n[profile.dev]\nx = 1\n";
        assert_eq!(unexplained_dependencies(manifest).collect::<Vec<_>>(), ["b = \"1\""]);
    }
}
