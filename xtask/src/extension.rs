//! Puts the extension of one browser together in `dist/<browser>`: the files of `extension/`, the browser's manifest
//! with the workspace's version and the sign-in hosts filled in, and the WASM with its JavaScript glue.
//!
//! What is built depends on the sources alone: no time, no path of the machine, files in a fixed order. A file whose
//! content has not changed is not written again, so that a browser that watches the folder is left in peace.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use latchkey_protocol::cloud::SignInOrigin;
use serde_json::Value;
use wasm_bindgen_cli_support::Bindgen;

use crate::setup;

/// The browsers that a manifest exists for.
pub const BROWSERS: [&str; 4] = ["chrome", "edge", "firefox", "safari"];

/// What is not the same in every browser: which browsers, the file in the extension, and the file in `manifests/shell`
/// that takes its place (none: these browsers have no use for it).
const DIFFERENCES: [(&[&str], &str, Option<&str>); 4] = [
    (&["firefox", "safari"], "clipboard.js", Some("clipboard-in-page.js")),
    (&["firefox", "safari"], "offscreen.html", None),
    (&["firefox", "safari"], "offscreen.js", None),
    (&["safari"], "host.js", Some("host-by-message.js")),
];

/// The WASM modules: the feature of `latchkey-wasm` that builds one, and the name the extension loads it by.
const MODULES: [(&str, &str); 2] = [("brain", "brain"), ("popup", "popup_view")];

/// The script that runs in sign-in pages, where every byte is paid for on every load.
const IN_EVERY_PAGE: &str = "content.js";

/// What the popup loads, with what it imports made one file: a browser takes milliseconds for each file of an extension,
/// and the popup is to be usable within a tenth of a second. Not shortened, so that the stores' reviewers can read it.
const IN_ONE_FILE: [&str; 2] = ["popup.css", "popup.js"];

/// Files in `extension/` that explain it to people and are not shipped.
const NOT_SHIPPED: [&str; 1] = ["README.md"];

/// Builds the unpacked extension of `browser` and answers its folder, `dist/<browser>` in the workspace.
///
/// # Errors
/// There is no manifest of that browser, the WASM does not compile (for example because the target
/// `wasm32-unknown-unknown` is not installed), or the folder cannot be written.
pub fn build_extension(workspace: &Path, browser: &str) -> Result<PathBuf> {
    ensure!(
        BROWSERS.contains(&browser),
        "there is no extension for '{browser}'; there is one for {}",
        BROWSERS.join(", ")
    );
    let mut files = BTreeMap::new();
    collect(&workspace.join("extension"), Path::new(""), &mut files)?;
    for (_, file, instead) in DIFFERENCES.iter().filter(|(browsers, ..)| browsers.contains(&browser)) {
        let was = files.remove(Path::new(file));
        ensure!(was.is_some(), "extension/{file} is not there, but {browser} is to have it in another form");
        if let Some(instead) = instead {
            let source = workspace.join("manifests/shell").join(instead);
            files.insert(PathBuf::from(file), fs::read(&source).with_context(|| source.display().to_string())?);
        }
    }
    files.insert(PathBuf::from("manifest.json"), manifest(workspace, browser)?);
    if let Some(script) = files.get_mut(Path::new(IN_EVERY_PAGE)) {
        *script = lean(workspace, script)?;
    }
    for (feature, name) in MODULES {
        let compiled = compile(workspace, feature)?;
        files.extend(with_glue(workspace, &compiled, name)?);
    }
    bundle(workspace, browser, &mut files)?;
    let target = workspace.join("dist").join(browser);
    write_exactly(&target, &files).with_context(|| format!("cannot write {}", target.display()))?;
    Ok(target)
}

/// Every shipped file below `folder`, by its path in the extension.
fn collect(folder: &Path, inside: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = inside.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &path, files)?;
        } else if !NOT_SHIPPED.iter().any(|name| path == Path::new(name)) {
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// Without comments and spaces, and with short names: what runs inside every sign-in page is counted in bytes.
fn lean(workspace: &Path, script: &[u8]) -> Result<Vec<u8>> {
    let mut esbuild = Command::new(setup::bundler(workspace)?)
        .args(["--minify", "--format=iife", "--charset=utf8", "--log-level=warning"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start esbuild")?;
    esbuild.stdin.take().context("esbuild reads nothing")?.write_all(script)?;
    let output = esbuild.wait_with_output()?;
    ensure!(output.status.success(), "esbuild cannot read {IN_EVERY_PAGE} ({})", output.status);
    Ok(output.stdout)
}

/// The browser's manifest with the version and the sign-in hosts filled in.
fn manifest(workspace: &Path, browser: &str) -> Result<Vec<u8>> {
    // Safari's stands beside the app that it is shipped in.
    let name = if browser == "safari" { "safari/manifest.json".to_owned() } else { format!("{browser}.json") };
    let path = workspace.join("manifests").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut manifest: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let matches: Vec<Value> =
        SignInOrigin::all_hosts().into_iter().map(|host| Value::from(format!("https://{host}/*"))).collect();
    fill_in(&mut manifest, &matches);
    let mut text = serde_json::to_string_pretty(&manifest)?;
    text.push('\n');
    if let Some(at) = text.find("{{") {
        bail!("{} has a place that nothing fills: {:.40}", path.display(), &text[at..]);
    }
    Ok(text.into_bytes())
}

/// Replaces `{{version}}`, and a list that holds only `{{sign_in_matches}}` by the patterns.
fn fill_in(value: &mut Value, matches: &[Value]) {
    match value {
        Value::String(text) if text == "{{version}}" => *text = env!("CARGO_PKG_VERSION").to_owned(),
        Value::Array(list) if list.len() == 1 && list[0] == "{{sign_in_matches}}" => *list = matches.to_vec(),
        Value::Array(list) => list.iter_mut().for_each(|entry| fill_in(entry, matches)),
        Value::Object(members) => members.values_mut().for_each(|member| fill_in(member, matches)),
        _ => {}
    }
}

/// Compiles `latchkey-wasm` with one feature. Each feature has a target folder of its own: both artefacts have the
/// same name, and Cargo would take one for the other.
fn compile(workspace: &Path, feature: &str) -> Result<PathBuf> {
    let folder = workspace.join("target").join("wasm").join(feature);
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(workspace)
        .args(["build", "--quiet", "--package", "latchkey-wasm", "--lib"])
        .args(["--profile", "small", "--target", "wasm32-unknown-unknown", "--features", feature])
        .arg("--target-dir")
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", without_paths(workspace))
        // wasm-bindgen reads a section that stripping removes; it takes the names out itself.
        .env("CARGO_PROFILE_SMALL_STRIP", "none")
        .status()
        .context("cannot start cargo")?;
    ensure!(
        status.success(),
        "latchkey-wasm does not compile with the feature '{feature}'; if the target is missing: \
         rustup target add wasm32-unknown-unknown"
    );
    Ok(folder.join("wasm32-unknown-unknown/small/latchkey_wasm.wasm"))
}

/// Compiler flags that keep this machine's paths out of the artefact.
pub fn without_paths(workspace: &Path) -> String {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let mut flags = vec![format!("--remap-path-prefix={}=.", workspace.display())];
    flags.extend(home.map(|home| format!("--remap-path-prefix={}=cargo", home.display())));
    flags.join("\u{1f}")
}

/// The module and its JavaScript, for a browser that loads modules itself.
fn with_glue(workspace: &Path, compiled: &Path, name: &str) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let folder = workspace.join("target").join("wasm").join("glue").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    Bindgen::new()
        .input_path(compiled)
        .out_name(name)
        .web(true)?
        .typescript(false)
        .omit_default_module_path(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&folder)
        .with_context(|| format!("cannot make the JavaScript for {}", compiled.display()))?;
    let mut files = BTreeMap::new();
    collect(&folder, Path::new(""), &mut files)?;
    Ok(files)
}

/// Puts what [`IN_ONE_FILE`] imports into it, by esbuild.
fn bundle(workspace: &Path, browser: &str, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let esbuild = setup::bundler(workspace)?;
    let folder = workspace.join("target/bundle").join(browser);
    let (apart, bundled) = (folder.join("apart"), folder.join("bundled"));
    write_exactly(&apart, files)?;
    let status = Command::new(esbuild)
        .current_dir(&apart)
        .args(IN_ONE_FILE)
        .args(["--bundle", "--format=esm", "--charset=utf8", "--log-level=warning"])
        // wasm-bindgen names a module that it imports from once per import; each time it is the same.
        .arg("--log-override:duplicate-object-key=silent")
        .arg(format!("--outdir={}", bundled.display()))
        .status()
        .context("cannot start esbuild")?;
    ensure!(status.success(), "esbuild cannot bundle the popup ({status})");
    for name in IN_ONE_FILE {
        files.insert(PathBuf::from(name), fs::read(bundled.join(name))?);
    }
    Ok(())
}

/// Makes `target` hold exactly `files`.
fn write_exactly(target: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let mut present = BTreeMap::new();
    if target.exists() {
        collect(target, Path::new(""), &mut present)?;
    }
    for path in present.keys().filter(|path| !files.contains_key(*path)) {
        fs::remove_file(target.join(path))?;
    }
    for (path, content) in files {
        if present.get(path) == Some(content) {
            continue;
        }
        let path = target.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn workspace() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    #[test]
    fn every_manifest_names_the_sign_in_hosts_and_nothing_else() {
        for browser in BROWSERS {
            let manifest: Value = serde_json::from_slice(&manifest(&workspace(), browser).unwrap()).unwrap();
            let expected: Vec<String> =
                SignInOrigin::all_hosts().iter().map(|host| format!("https://{host}/*")).collect();
            assert_eq!(manifest["host_permissions"], json!(expected));
            assert_eq!(manifest["content_scripts"][0]["matches"], json!(expected));
            assert_eq!(manifest["content_scripts"][0]["all_frames"], json!(false));
            assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
            for absent in ["web_accessible_resources", "externally_connectable", "optional_permissions"] {
                assert!(manifest.get(absent).is_none(), "{browser} declares {absent}");
            }
        }
    }

    #[test]
    fn a_browser_without_a_manifest_is_refused() {
        let error = build_extension(&workspace(), "netscape").unwrap_err().to_string();
        assert!(error.contains("chrome, edge"), "{error}");
    }
}
