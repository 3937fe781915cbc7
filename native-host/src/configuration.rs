//! `config.toml`: what a person may set, with no secret in it.
//!
//! [`file`] is the format, [`read`] finds what is wrong with a file, [`check`] what does not fit together, and
//! [`Settings`] is what the rest of the program works with. Everything that is wrong is reported at once, each with its
//! line and column; a file with an error is refused as a whole, never half believed. One exception: what ends leases
//! goes on with what could be read, because a slip of the pen must not keep anybody's access alive.

mod check;
pub(crate) mod diagnostic;
pub(crate) mod edit;
pub(crate) mod file;
mod read;
pub(crate) mod schema;
mod settings;
pub(crate) mod values;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use latchkey_protocol::{ErrorBody, ErrorCode, TenantSummary};

use diagnostic::{Diagnostic, Place, Severity, Source, shown};
use file::File;
pub(crate) use settings::{DirectorySettings, Network, Settings};
use values::TechnicianName;

/// The environment's word for which file to read, for one that is not where it usually is.
pub(crate) const ENVIRONMENT: &str = "LATCHKEY_CONFIG";

/// What `--config` said.
static SAID: OnceLock<PathBuf> = OnceLock::new();

/// Takes note of `--config`, before anything is read.
pub(crate) fn say(file: PathBuf) {
    // Said once per process, by the command line.
    let _ = SAID.set(file);
}

/// The file that `--config` or the environment names instead of the usual one.
pub(crate) fn said() -> Option<PathBuf> {
    let environment = || std::env::var_os(ENVIRONMENT).filter(|value| !value.is_empty()).map(PathBuf::from);
    SAID.get().cloned().or_else(environment)
}

/// A configuration file that was read, with the one that it includes, and what is wrong with them.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The files: the one that was asked for, and the one that it includes.
    pub(crate) sources: Vec<Source>,
    /// What they say, without what is wrong.
    pub(crate) files: Vec<File>,
    /// What is wrong, by place.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Reading {
    /// Reads the file. One that is not there says nothing, unless it was named by a person.
    pub(crate) fn of(file: &Path) -> Result<Self, ErrorBody> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && said().as_deref() != Some(file) => {
                String::new()
            }
            Err(error) => {
                return Err(ErrorBody::new(
                    ErrorCode::ConfigurationInvalid,
                    format!("{} cannot be read: {error}.", shown(file)),
                    "Check the name, the owner and the mode of the file.",
                ));
            }
        };
        Ok(Self::of_text(file, text))
    }

    /// What there would be if this stood in the file.
    pub(crate) fn of_text(file: &Path, text: String) -> Self {
        let (personal, mut diagnostics) = read::read(&text, 0);
        let mut sources = vec![Source { path: file.to_owned(), text }];
        let mut files = vec![personal];
        if let Some(include) = &files[0].include {
            let path = file.parent().unwrap_or_else(|| Path::new("")).join(include.value());
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let (shared, found) = read::read(&text, 1);
                    diagnostics.extend(found);
                    sources.push(Source { path, text });
                    files.push(shared);
                }
                Err(error) => diagnostics.push(Diagnostic::error(
                    Place { file: 0, span: include.span() },
                    format!("{} cannot be read: {error}", shown(&path)),
                    "write where it is, relative to the folder of this file",
                )),
            }
        }
        diagnostics.extend(check::check(&files, &sources));
        let mut reading = Self { sources, files, diagnostics };
        reading.put_in_order();
        reading
    }

    /// Notices names of tenants that fit none of these.
    pub(crate) fn compare_with_tenants(&mut self, connected: &[TenantSummary]) {
        self.diagnostics.extend(check::unknown_tenants(&self.files, connected));
        self.put_in_order();
    }

    /// Notices when technicians are listed and the one who works here is not.
    pub(crate) fn compare_with_technician(&mut self, acting: &TechnicianName) {
        self.diagnostics.extend(check::stranger(&self.files, acting));
        self.put_in_order();
    }

    /// What makes the file unusable.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The settings, unless something is wrong.
    pub(crate) fn settings(&self) -> Result<Settings, ErrorBody> {
        match self.refusal() {
            Some(error) => Err(error),
            None => Ok(Settings::of(&self.files)),
        }
    }

    /// The settings as far as they could be read, for what must go on in any case.
    pub(crate) fn settings_in_any_case(&self) -> Settings {
        Settings::of(&self.files)
    }

    /// The first error, and how many more there are.
    pub(crate) fn refusal(&self) -> Option<ErrorBody> {
        let first = self.errors().next()?;
        let more = match self.errors().count() - 1 {
            0 => String::new(),
            more => format!(" ({more} more)"),
        };
        let message = first.message.trim_end_matches('.');
        Some(ErrorBody::new(
            ErrorCode::ConfigurationInvalid,
            format!("{}: {message}{more}.", first.at(&self.sources)),
            format!("{} 'latchkey config check' shows every line that is wrong.", first.next_step).trim().to_owned(),
        ))
    }

    fn put_in_order(&mut self) {
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.place.file, diagnostic.place.span.start));
    }
}

impl Settings {
    /// Reads the file; all defaults when there is none.
    pub(crate) fn load(file: &Path) -> Result<Self, ErrorBody> {
        Reading::of(file)?.settings()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use latchkey_engine::{LoginMode, PasswordLength, TenantName};

    use super::*;

    fn reading(texts: &[(&str, &str)]) -> (tempfile::TempDir, Reading) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in texts {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let reading = Reading::of(&folder.path().join(texts[0].0)).unwrap();
        (folder, reading)
    }

    #[test]
    fn the_file_becomes_a_policy() {
        let (_folder, reading) = reading(&[(
            "config.toml",
            r#"technician = "Alex@msp.example"
account_prefix = "adm-"
extension_ids = ["latchkey@msp.example"]
[network]
proxy = "http://p:1"
[access]
minutes = 240
maximum_minutes = 480
leases_at_once = 5
reason = true
ticket = "INC-[0-9]+"
login = "individual"
password_length = 40
[[tenants]]
tenant = "Contoso"
minutes = 60
login = { shared = "helpdesk" }
[[technicians]]
name = "alex@msp.example"
groups = ["Level 1"]
[[entitlements]]
group = "Level 1"
tenants = ["Contoso"]
roles = ["Helpdesk Administrator"]
groups = ["SG-Support"]
maximum_minutes = 60
"#,
        )]);
        assert_eq!(reading.diagnostics, []);
        let settings = reading.settings().unwrap();
        let policy = &settings.policy;
        assert_eq!(settings.account_prefix.as_deref(), Some("adm-"));
        assert_eq!(settings.extension_ids, ["latchkey@msp.example"]);
        assert_eq!(settings.network.proxy.as_ref().unwrap().as_str(), "http://p:1/");
        assert_eq!(policy.everywhere.minutes, Some(240));
        assert_eq!(policy.everywhere.maximum_minutes, Some(480));
        assert_eq!(policy.everywhere.leases_at_once, Some(5));
        assert_eq!(policy.everywhere.reason_required, Some(true));
        assert!(policy.everywhere.ticket.as_ref().unwrap().fits("INC-1"));
        assert_eq!(policy.everywhere.login, Some(LoginMode::Individual));
        assert_eq!(policy.everywhere.password_length, PasswordLength::new(40));
        assert_eq!(policy.tenants[0].tenant, TenantName("Contoso".to_owned()));
        assert_eq!(policy.tenants[0].rules.minutes, Some(60));
        assert_eq!(policy.tenants[0].rules.login, Some(LoginMode::Shared { local_part: "helpdesk".to_owned() }));
        assert_eq!(policy.entitlements[0].profile, "Level 1");
        assert_eq!(policy.entitlements[0].tenants, [TenantName("Contoso".to_owned())]);
        assert_eq!(policy.entitlements[0].maximum_minutes, Some(60));
        // She is found among the technicians however her name is written.
        let acting = settings.technician(settings.technician.as_ref().unwrap());
        assert_eq!((acting.local_part.as_str(), acting.groups.as_slice()), ("alex", ["Level 1".to_owned()].as_slice()));
    }

    #[test]
    fn a_company_shares_one_file() {
        let (folder, reading) = reading(&[
            ("config.toml", "technician = \"alex\"\ninclude = \"shared.toml\"\nextension_ids = [\"a@b.c\"]\n"),
            (
                "shared.toml",
                "extension_ids = [\"a@b.c\", \"d@e.f\"]\n[access]\nminutes = 60\n[[technicians]]\nname = \"alex\"\n",
            ),
        ]);
        let settings = reading.settings().unwrap();
        assert_eq!(settings.policy.everywhere.minutes, Some(60));
        assert_eq!(settings.policy.technicians.len(), 1);
        assert_eq!(settings.extension_ids, ["a@b.c", "d@e.f"]);
        // The place of an error is in the file that it is in.
        std::fs::write(folder.path().join("shared.toml"), "\n[access]\nminuets = 60\n").unwrap();
        let error = Settings::load(&folder.path().join("config.toml")).unwrap_err();
        assert!(error.message.contains("shared.toml:3:1: There is no key \"minuets\""), "{error:?}");
        std::fs::remove_file(folder.path().join("shared.toml")).unwrap();
        let error = Settings::load(&folder.path().join("config.toml")).unwrap_err();
        assert!(error.message.contains("config.toml:2:11") && error.message.contains("cannot be read"), "{error:?}");
    }

    #[test]
    fn a_file_with_errors_is_refused_and_still_good_for_ending() {
        let (_folder, reading) =
            reading(&[("config.toml", "technician = \"alex\"\n[access]\nminutes = 0\nreason = 1\n")]);
        let error = reading.settings().unwrap_err();
        assert!(
            error.message.ends_with("config.toml:3:11: Minutes are a whole number from 1 to 1440 (a day) (1 more)."),
            "{error:?}"
        );
        assert!(error.next_step.contains("latchkey config check"));
        assert_eq!(reading.settings_in_any_case().technician.unwrap().local_part(), "alex");
    }

    #[test]
    fn no_file_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Settings::load(&folder.path().join("config.toml")).unwrap(), Settings::default());
        assert!(Settings::load(folder.path()).is_err());
    }
}
