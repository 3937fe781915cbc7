//! The text of native messaging manifests. Plain functions from inputs to text; nothing here reads or writes files.
//!
//! Facts: Chrome's "Native messaging" documentation (`allowed_origins`, without wildcards and with the final slash) and
//! MDN's "Native manifests" (`allowed_extensions`). One wrong entry makes a browser reject the whole file.

use std::path::Path;

use latchkey_protocol::HOST_NAME;
use serde::{Deserialize, Serialize};

use super::browsers::{Browser, Family};
use crate::caller::ExtensionIds;

/// A native messaging manifest, as browsers read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The name that extensions call.
    pub(crate) name: String,
    /// For people who find the file.
    pub(crate) description: String,
    /// The program; absolute.
    pub(crate) path: String,
    /// Always `stdio`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Chromium and its relatives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) allowed_origins: Option<Vec<String>>,
    /// Firefox and its relatives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) allowed_extensions: Option<Vec<String>>,
}

impl Manifest {
    /// The manifest that lets `extensions` start `program` in browsers of this family.
    pub(crate) fn new(program: &Path, family: Family, extensions: &[String]) -> Self {
        let (allowed_origins, allowed_extensions) = match family {
            Family::Chromium => (Some(extensions.iter().map(|id| format!("chrome-extension://{id}/")).collect()), None),
            Family::Firefox => (None, Some(extensions.to_vec())),
        };
        Self {
            name: HOST_NAME.to_owned(),
            description: "Latchkey: just-in-time admin accounts".to_owned(),
            path: program.to_string_lossy().into_owned(),
            kind: "stdio".to_owned(),
            allowed_origins,
            allowed_extensions,
        }
    }

    /// The file.
    pub(crate) fn text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Whether `extension` may start the host.
    pub(crate) fn allows(&self, extension: &str) -> bool {
        self.allowed_origins.iter().flatten().any(|origin| *origin == format!("chrome-extension://{extension}/"))
            || self.allowed_extensions.iter().flatten().any(|id| id == extension)
    }
}

/// The ids of our extension that this browser may have, with those the person added.
pub(crate) fn extensions_for(browser: Browser, ids: &ExtensionIds, added: &[String]) -> Vec<String> {
    let published = match browser {
        Browser::Edge => [&ids.edge, &ids.chrome],
        Browser::Firefox | Browser::Librewolf => [&ids.firefox, &None],
        _ => [&ids.chrome, &None],
    };
    let mut extensions: Vec<String> = Vec::new();
    for id in published.into_iter().flatten().chain(added.iter().filter(|id| is_id_of(browser.family(), id))) {
        if !extensions.contains(id) {
            extensions.push(id.clone());
        }
    }
    extensions
}

/// Whether the text has the form of an extension's id in this family.
fn is_id_of(family: Family, id: &str) -> bool {
    let chromium = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_lowercase() && byte <= b'p');
    match family {
        Family::Chromium => chromium,
        Family::Firefox => !chromium && (id.contains('@') || id.starts_with('{')),
    }
}

/// Whether the text has the form of an extension's id in any browser.
pub(crate) fn is_extension_id(id: &str) -> bool {
    is_id_of(Family::Chromium, id) || is_id_of(Family::Firefox, id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const CHROMIUM_ID: &str = "abcdefghijklmnopabcdefghijklmnop";

    #[test]
    fn the_files_are_what_browsers_read() {
        let chromium = Manifest::new(Path::new("/opt/latchkey/latchkey"), Family::Chromium, &[CHROMIUM_ID.to_owned()]);
        assert_eq!(chromium.text().unwrap(), include_str!("golden/manifest-chromium.json"));
        let firefox =
            Manifest::new(Path::new(r"C:\Apps\latchkey.exe"), Family::Firefox, &["latchkey@msp.example".to_owned()]);
        assert_eq!(firefox.text().unwrap(), include_str!("golden/manifest-firefox.json"));
    }

    #[test]
    fn each_browser_gets_the_ids_of_its_family_and_each_once() {
        let ids = ExtensionIds { chrome: Some(CHROMIUM_ID.into()), edge: Some(CHROMIUM_ID.into()), firefox: None };
        let added = ["latchkey@msp.example".to_owned(), CHROMIUM_ID.replace('a', "b")];
        assert_eq!(extensions_for(Browser::Edge, &ids, &added), [CHROMIUM_ID.to_owned(), added[1].clone()]);
        assert_eq!(extensions_for(Browser::Firefox, &ids, &added), [added[0].clone()]);
        assert!(extensions_for(Browser::Firefox, &ids, &[]).is_empty());
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in ["", "*", "chrome-extension://abc/", "abcdefghijklmnopabcdefghijklmnoq", "latchkey"] {
            assert!(!is_extension_id(text), "{text}");
        }
    }
}
