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
        if file.ends_with("package-lock.json") && text.contains("\"resolved\"") {
            broken.push(format!("{file}: names the host it was fetched from"));
        }
    }
    if !broken.is_empty() {
        bail!("house rules broken:\n  {}", broken.join("\n  "));
    }
    Ok(())
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
    fn a_dependency_without_a_reason_is_found() {
        let manifest = "[workspace.dependencies]\nown = { path = \"own\" }\n# why\na = \"1\"\n\nb = \"1\"\n\n[profile.dev]\nx = 1\n";
        assert_eq!(unexplained_dependencies(manifest).collect::<Vec<_>>(), ["b = \"1\""]);
    }
}
