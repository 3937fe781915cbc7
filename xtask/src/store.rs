//! What the stores ask for besides the package: reasons for permissions, what is done with data, descriptions, pictures. The
//! texts are in `manifests/store`; here they are held against the manifests and against the limits of the stores.
//!
//! Facts: Chrome Web Store, "Supply images" and "Fill out the privacy fields"; Add-ons for Edge, "Publish an extension";
//! Extension Workshop, "Firefox built-in consent for data collection and transmission".

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::extension::BROWSERS;

/// The most letters in a reason that Chrome's store takes.
const LONGEST_REASON: usize = 1000;

/// The most letters in the short description, which is the manifest's.
const LONGEST_SUMMARY: usize = 132;

/// The most letters in the long one, in the store that takes least (Edge).
const LONGEST_DESCRIPTION: usize = 10_000;

/// The least letters in it there.
const SHORTEST_DESCRIPTION: usize = 250;

/// The pictures: how their names begin, their size, and how many there may be.
const PICTURES: [(&str, (u32, u32), std::ops::RangeInclusive<usize>); 3] =
    [("screenshot-", (1280, 800), 1..=5), ("tile-", (440, 280), 1..=1), ("logo-", (300, 300), 1..=1)];

/// Fails with everything that a store would ask for and not find.
pub fn check(workspace: &Path) -> anyhow::Result<()> {
    let store = workspace.join("manifests/store");
    let declarations = json(&store.join("declarations.json"))?;
    let mut missing = Vec::new();
    let mut asked_for = BTreeSet::new();
    for browser in BROWSERS {
        let name = if browser == "safari" { "safari/manifest.json".to_owned() } else { format!("{browser}.json") };
        let manifest = json(&workspace.join("manifests").join(name))?;
        asked_for.extend(permissions(&manifest).map(str::to_owned));
        missing.extend(unexplained(&manifest, &declarations).map(|what| format!("{browser}: no reason for {what}")));
    }
    for permission in declarations["permissions"].as_object().into_iter().flatten().map(|(name, _)| name) {
        if !asked_for.contains(permission) {
            missing.push(format!("a reason is given for {permission}, which no manifest asks for"));
        }
    }
    let policy = fs::read_to_string(store.join("privacy.md"))?;
    let kinds = declarations["data"].as_object().context("no data is declared")?;
    missing.extend(
        kinds
            .keys()
            .filter(|kind| !policy.contains(&format!("`{kind}`")))
            .map(|kind| format!("the privacy policy does not say what is done with {kind}")),
    );
    for (what, text) in texts(&declarations) {
        if !(20..=LONGEST_REASON).contains(&text.chars().count()) {
            missing.push(format!("the text for {what} has {} letters", text.chars().count()));
        }
    }
    missing.extend(words(workspace)?);
    missing.extend(pictures(&store.join("pictures"))?);
    if !missing.is_empty() {
        bail!("the stores would ask for this:\n  {}", missing.join("\n  "));
    }
    Ok(())
}

fn json(file: &Path) -> anyhow::Result<Value> {
    serde_json::from_slice(&fs::read(file).with_context(|| file.display().to_string())?)
        .with_context(|| format!("{} is not JSON", file.display()))
}

/// Every permission that a manifest asks for, now or later, except hosts.
fn permissions(manifest: &Value) -> impl Iterator<Item = &str> {
    ["permissions", "optional_permissions"]
        .into_iter()
        .flat_map(|list| manifest[list].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
}

/// What a manifest asks for or declares without a reason in the declarations, and what is declared and not asked for.
fn unexplained<'a>(manifest: &'a Value, declarations: &'a Value) -> impl Iterator<Item = String> + 'a {
    let permissions = permissions(manifest)
        .filter(|name| declarations["permissions"][*name].as_str().is_none())
        .map(|name| format!("the permission {name}"));
    let hosts = ["host_permissions", "optional_host_permissions", "content_scripts"]
        .into_iter()
        .filter(|list| manifest.get(list).is_some() && declarations["host_permissions"].as_str().is_none())
        .map(|list| format!("the hosts in {list}"));
    // Only Firefox's manifest says it; the other stores ask on a form.
    let declared = &manifest["browser_specific_settings"]["gecko"]["data_collection_permissions"];
    let declared: Vec<&str> = ["required", "optional"]
        .into_iter()
        .flat_map(|list| declared[list].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    let explained: Vec<&str> =
        declarations["data"].as_object().into_iter().flatten().map(|(kind, _)| kind.as_str()).collect();
    let kinds: Vec<String> = if manifest["browser_specific_settings"]["gecko"].is_null() {
        Vec::new()
    } else {
        let differ = |one: &[&str], other: &[&str]| -> Vec<String> {
            one.iter().filter(|kind| !other.contains(kind)).map(|kind| format!("the data {kind}")).collect()
        };
        [differ(&declared, &explained), differ(&explained, &declared)].concat()
    };
    permissions.chain(hosts).chain(kinds)
}

/// Every text that goes into a field of a store's form.
fn texts(declarations: &Value) -> Vec<(&str, &str)> {
    declarations
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(name, value)| match value {
            Value::Object(members) => members.iter().map(|(name, text)| (name.as_str(), text)).collect(),
            text => vec![(name.as_str(), text)],
        })
        .map(|(name, text)| (name, text.as_str().unwrap_or_default()))
        .collect()
}

/// Descriptions: one for each language that the extension speaks.
fn words(workspace: &Path) -> anyhow::Result<Vec<String>> {
    let mut missing = Vec::new();
    for entry in fs::read_dir(workspace.join("extension/_locales"))? {
        let language = entry?.file_name().to_string_lossy().into_owned();
        let messages = json(&workspace.join("extension/_locales").join(&language).join("messages.json"))?;
        let summary = messages["extension_description"]["message"].as_str().unwrap_or_default().chars().count();
        if !(1..=LONGEST_SUMMARY).contains(&summary) {
            missing.push(format!("the short description has {summary} letters in {language}"));
        }
        let file = workspace.join(format!("manifests/store/description/{language}.txt"));
        match fs::read_to_string(&file).map(|text| text.trim().chars().count()) {
            Ok(SHORTEST_DESCRIPTION..=LONGEST_DESCRIPTION) => {}
            Ok(letters) => missing.push(format!("the description has {letters} letters in {language}")),
            Err(_) => missing.push(format!("there is no description in {language}")),
        }
    }
    Ok(missing)
}

/// Pictures of another size are refused by the stores.
fn pictures(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut missing = Vec::new();
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        names.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
    }
    for (name, size, count) in PICTURES {
        let found: Vec<_> = names.iter().filter(|(file, _)| file.starts_with(name)).collect();
        if !count.contains(&found.len()) {
            missing.push(format!("there are {} pictures {name}*.png", found.len()));
        }
        for (file, bytes) in found {
            if png_size(bytes) != Some(size) {
                missing.push(format!("{file} is not a PNG of {} × {}", size.0, size.1));
            }
        }
    }
    Ok(missing)
}

/// Width and height, from the header that every PNG begins with.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")?;
    let (width, rest) = rest.split_first_chunk()?;
    let (height, _) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_stores_find_what_they_ask_for() {
        check(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap();
    }

    #[test]
    fn a_permission_without_a_reason_is_found() {
        let declarations = json!({"permissions": {"alarms": "…"}, "data": {"authenticationInfo": "…"}});
        let look = |manifest: Value| unexplained(&manifest, &declarations).collect::<Vec<_>>();
        assert!(look(json!({"permissions": ["alarms"]})).is_empty());
        assert_eq!(look(json!({"permissions": ["alarms", "tabs"]})), ["the permission tabs"]);
        assert_eq!(look(json!({"optional_permissions": ["history"]})), ["the permission history"]);
        assert_eq!(look(json!({"host_permissions": []})), ["the hosts in host_permissions"]);
        let firefox = |kinds: Value| json!({"browser_specific_settings": {"gecko": {"data_collection_permissions": {"required": kinds}}}});
        assert!(look(firefox(json!(["authenticationInfo"]))).is_empty());
        assert_eq!(look(firefox(json!(["authenticationInfo", "locationInfo"]))), ["the data locationInfo"]);
        assert_eq!(look(firefox(json!([]))), ["the data authenticationInfo"]);
    }

    #[test]
    fn the_size_of_a_picture_is_read_from_its_header() {
        let header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x05\0\0\0\x03\x20\x08\x02";
        assert_eq!(png_size(header), Some((1280, 800)));
        assert_eq!(png_size(b"GIF89a"), None);
    }
}
