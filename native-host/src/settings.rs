//! Folders and `config.toml`: what a person may set, with no secret in it.
//!
//! Folders are the platform's ordinary ones (on Linux the XDG base directories). A file that cannot be read is an
//! error that names the line, never a silent default.

use std::path::{Path, PathBuf};

use latchkey_protocol::{ErrorBody, ErrorCode};
use serde::Deserialize;
use url::Url;

/// Where things are kept.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    /// `config.toml`.
    pub(crate) configuration: PathBuf,
    /// The database, and the record of what `install` wrote.
    pub(crate) data: PathBuf,
    /// Logs.
    pub(crate) state: PathBuf,
}

impl Folders {
    /// The folders of the person who runs this process.
    pub(crate) fn of_this_person() -> Result<Self, ErrorBody> {
        let folders = directories::ProjectDirs::from("", "", "Latchkey").ok_or_else(|| {
            ErrorBody::new(
                ErrorCode::ConfigurationInvalid,
                "This account has no home folder.",
                "Set HOME to a folder that Latchkey may write to.",
            )
        })?;
        Ok(Self {
            configuration: folders.config_dir().to_owned(),
            data: folders.data_local_dir().to_owned(),
            state: folders.state_dir().unwrap_or_else(|| folders.data_local_dir()).to_owned(),
        })
    }

    /// The configuration file.
    pub(crate) fn configuration_file(&self) -> PathBuf {
        self.configuration.join("config.toml")
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.data.join("latchkey.sqlite")
    }

    /// When the last sweep was, Unix time in milliseconds as text.
    pub(crate) fn last_sweep(&self) -> PathBuf {
        self.state.join("last-sweep")
    }

    /// The log.
    pub(crate) fn log(&self) -> PathBuf {
        self.state.join("latchkey.log")
    }
}

/// What `config.toml` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The technician: a user principal name at the MSP, whose local part names the JIT accounts.
    pub(crate) technician: Option<String>,
    /// What the names of JIT accounts begin with; `jit-` unless set.
    pub(crate) account_prefix: Option<String>,
    /// Ids of further builds of the extension that may talk to the host.
    pub(crate) extension_ids: Vec<String>,
    /// How to reach Microsoft.
    pub(crate) network: Network,
}

/// Settings for the network. Without any, the proxy variables of the environment and the system's certificates hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    /// Proxy for every request.
    pub(crate) proxy: Option<Url>,
    /// PEM file with a certificate authority to trust beside the system's.
    pub(crate) extra_root_certificate: Option<PathBuf>,
}

impl Settings {
    /// Reads the file; all defaults when there is none.
    pub(crate) fn load(file: &Path) -> Result<Self, ErrorBody> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text).map_err(|reason| {
                invalid(
                    format!("{} cannot be used: {}", file.display(), reason.trim_end()),
                    "Correct the line that is named.".to_owned(),
                )
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(invalid(
                format!("{} cannot be read: {error}.", file.display()),
                "Check the owner and the mode of the file.".to_owned(),
            )),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }
}

/// Puts `key = value` at the top of the file, before any table, and leaves the rest as the person wrote it.
/// Refuses when the key is set already: changing what a person wrote is theirs.
pub(crate) fn add_setting(file: &Path, key: &str, value: &toml::Value) -> Result<(), ErrorBody> {
    let failed = |error: std::io::Error| crate::failure::disk(&error, &format!("{} cannot be written", file.display()));
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let already = text.parse::<toml::Table>().is_ok_and(|table| table.contains_key(key));
    if already {
        return Err(invalid(format!("{} sets {key} already.", file.display()), format!("Change it there to {value}.")));
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let fresh = file.with_extension("toml.new");
    std::fs::write(&fresh, format!("{key} = {value}\n{text}")).map_err(failed)?;
    std::fs::rename(&fresh, file).map_err(failed)
}

fn invalid(message: String, next_step: String) -> ErrorBody {
    ErrorBody::new(ErrorCode::ConfigurationInvalid, message, next_step)
}

/// Makes a folder that only its owner may enter.
pub(crate) fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }
    #[cfg(not(unix))]
    {
        std::fs::create_dir_all(folder)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_unknown_setting_is_refused_with_its_line() {
        let reason = Settings::parse("technician = \"a@b\"\ntechnicain = 1\n").unwrap_err();
        assert!(reason.contains("line 2") && reason.contains("technicain"), "{reason}");
    }

    #[test]
    fn adding_a_setting_keeps_what_a_person_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deeper/config.toml");
        add_setting(&file, "technician", &"alex@msp.example".into()).unwrap();
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + "# mine\n[network]\nproxy = \"http://p:1\"\n")
            .unwrap();
        add_setting(&file, "extension_ids", &vec!["x"].into()).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("# mine"), "{text}");
        let settings = Settings::load(&file).unwrap();
        assert_eq!(settings.technician.as_deref(), Some("alex@msp.example"));
        assert_eq!(settings.extension_ids, ["x"]);
        assert_eq!(settings.network.proxy.unwrap().as_str(), "http://p:1/");
        let again = add_setting(&file, "technician", &"b".into()).unwrap_err();
        assert_eq!(again.code, ErrorCode::ConfigurationInvalid);
    }
}
