//! Who started this process: a person, or a browser on behalf of an extension.
//!
//! A browser names the extension on the command line. That is a filter for mistakes and not a proof (any local
//! program can start the host with the same words), so nothing here grants anything; the parent process is noted for
//! the audit. Source: Chrome's "Native messaging" documentation (`chrome-extension://ID/`, `--parent-window` on
//! Windows) and MDN's "Native messaging" (path of the manifest, then the id of the add-on).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use latchkey_protocol::HOST_NAME;
use serde::Deserialize;

/// What the command line of the process says about who started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StartedBy {
    /// A person, a script or the schedule.
    Person,
    /// A browser. Nothing about the extension has been checked yet.
    Browser(Claim),
}

/// The extension that a browser says it speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The id, as the browser wrote it.
    pub(crate) extension_id: String,
    /// Whether the rest of the command line is what browsers send.
    pub(crate) well_formed: bool,
}

/// Reads the arguments after the name of the program.
pub(crate) fn started_by(arguments: &[OsString]) -> StartedBy {
    let Some(first) = arguments.first().and_then(|argument| argument.to_str()) else {
        return StartedBy::Person;
    };
    if let Some(rest) = first.strip_prefix("chrome-extension://") {
        let (extension_id, well_formed) = match rest.strip_suffix('/') {
            Some(id) => (id, arguments[1..].iter().all(is_parent_window)),
            None => (rest, false),
        };
        return StartedBy::Browser(Claim { extension_id: extension_id.to_owned(), well_formed });
    }
    let manifest = Path::new(first);
    if manifest.file_stem().is_some_and(|stem| stem == HOST_NAME) && first.ends_with(".json") {
        let id = arguments.get(1).and_then(|argument| argument.to_str()).unwrap_or_default();
        return StartedBy::Browser(Claim {
            extension_id: id.to_owned(),
            well_formed: manifest.is_absolute() && arguments.len() == 2,
        });
    }
    StartedBy::Person
}

fn is_parent_window(argument: &OsString) -> bool {
    argument
        .to_str()
        .and_then(|text| text.strip_prefix("--parent-window="))
        .is_some_and(|handle| handle.parse::<u64>().is_ok())
}

impl Claim {
    /// Whether the extension is one that this host serves: from the compiled-in list, or from `more`, which is asked
    /// for only when the list does not have it.
    pub(crate) fn is_served(&self, more: impl FnOnce() -> Vec<String>) -> bool {
        self.well_formed
            && !self.extension_id.is_empty()
            && (ExtensionIds::compiled_in().all().any(|id| id == self.extension_id)
                || more().contains(&self.extension_id))
    }
}

/// The ids of our own extension, per browser; `None` where it is not published yet.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ExtensionIds {
    /// Chrome, Chromium, Brave, Vivaldi.
    pub(crate) chrome: Option<String>,
    /// Microsoft Edge.
    pub(crate) edge: Option<String>,
    /// Firefox and LibreWolf.
    pub(crate) firefox: Option<String>,
}

impl ExtensionIds {
    /// The list that the build carries.
    pub(crate) fn compiled_in() -> Self {
        serde_json::from_str(include_str!("../../manifests/extension-ids.json")).unwrap_or_default()
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        [&self.chrome, &self.edge, &self.firefox].into_iter().flatten().map(String::as_str)
    }
}

/// The program that started this one, for the audit: a signal, not a proof.
pub(crate) fn parent_program() -> Option<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        let parent = rustix::process::getppid()?;
        std::fs::read_link(format!("/proc/{}/exe", parent.as_raw_nonzero())).ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn by(arguments: &[&str]) -> StartedBy {
        started_by(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn claim(arguments: &[&str]) -> Claim {
        match by(arguments) {
            StartedBy::Browser(claim) => claim,
            StartedBy::Person => panic!("{arguments:?} is not a browser's"),
        }
    }

    fn ours() -> String {
        ExtensionIds::compiled_in().chrome.unwrap()
    }

    #[test]
    fn people_start_it_with_commands() {
        for arguments in [&[][..], &["list"], &["tenant", "add"], &["--help"], &["/tmp/other.json", "x@y"]] {
            assert_eq!(by(arguments), StartedBy::Person, "{arguments:?}");
        }
    }

    #[test]
    fn our_extension_is_served_in_chromium() {
        assert!(claim(&[&format!("chrome-extension://{}/", ours())]).is_served(Vec::new));
        assert!(claim(&[&format!("chrome-extension://{}/", ours()), "--parent-window=0"]).is_served(Vec::new));
    }

    #[test]
    fn our_extension_is_served_in_firefox() {
        let ours = ExtensionIds::compiled_in().firefox.unwrap();
        assert!(claim(&["/home/a/.mozilla/native-messaging-hosts/com.latchkey.host.json", &ours]).is_served(Vec::new));
    }

    #[test]
    fn any_other_claim_is_refused() {
        let ours = ours();
        for arguments in [
            &["chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/"][..],
            &["chrome-extension://"],
            &[&format!("chrome-extension://{ours}")],
            &[&format!("chrome-extension://{ours}/x")],
            &[&format!("chrome-extension://{ours}//")],
            &[&format!("chrome-extension://{}/", ours.to_uppercase())],
            &[&format!("chrome-extension://{ours}/"), "--parent-window=x"],
            &[&format!("chrome-extension://{ours}/"), "tenant"],
            &["/home/a/.mozilla/native-messaging-hosts/com.latchkey.host.json"],
            &["com.latchkey.host.json", &ours],
            &["/etc/com.latchkey.host.json", &ours, "more"],
        ] {
            assert!(!claim(arguments).is_served(Vec::new), "{arguments:?}");
        }
    }

    #[test]
    fn an_id_from_the_configuration_is_served() {
        let claim = claim(&["/home/a/.mozilla/native-messaging-hosts/com.latchkey.host.json", "latchkey@msp.example"]);
        assert!(!claim.is_served(Vec::new));
        assert!(claim.is_served(|| vec!["latchkey@msp.example".to_owned()]));
    }
}
