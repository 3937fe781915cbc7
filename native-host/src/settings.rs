//! Where things are kept: the platform's ordinary folders (on Linux the XDG base directories).

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use latchkey_protocol::{ErrorBody, ErrorCode};

/// Where everything is kept instead, once somebody said so.
static KEPT_IN: OnceLock<PathBuf> = OnceLock::new();

/// Keeps everything below `folder` for the rest of the process. The first call counts.
pub(crate) fn keep_in(folder: PathBuf) {
    KEPT_IN.get_or_init(|| folder);
}

/// Whether this process keeps everything where an app and its extension share it.
#[cfg(target_os = "macos")]
pub(crate) fn are_shared_in_app() -> bool {
    KEPT_IN.get().is_some()
}

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
        if let Some(folder) = KEPT_IN.get() {
            return Ok(Self { configuration: folder.clone(), data: folder.clone(), state: folder.clone() });
        }
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

    /// The configuration file: the one that `--config` or the environment names, or else the usual one.
    pub(crate) fn configuration_file(&self) -> PathBuf {
        crate::configuration::said().unwrap_or_else(|| self.configuration.join("config.toml"))
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.data.join("latchkey.sqlite")
    }

    /// When the last sweep was, Unix time in milliseconds as text.
    pub(crate) fn last_sweep(&self) -> PathBuf {
        self.state.join("last-sweep")
    }

    /// How many unknown sign-in pages were met and when the last one was.
    pub(crate) fn unknown_pages(&self) -> PathBuf {
        self.state.join("unknown-pages")
    }

    /// The log.
    pub(crate) fn log(&self) -> PathBuf {
        self.state.join("latchkey.log")
    }
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
