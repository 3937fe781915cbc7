//! Where each browser looks for native messaging hosts, as one table.
//!
//! Facts: Chrome's and Edge's "Native messaging" documentation, MDN's "Native manifests", and the installers of
//! KeePassXC and Bitwarden for the browsers that document nothing. Nothing here writes.

use std::path::{Path, PathBuf};

/// An operating system as far as the table knows it. All three can be asked for on any of them, so that every row is
/// tested everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    /// Linux and the BSDs.
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

impl Platform {
    /// The one this was built for.
    pub(crate) const THIS: Self = if cfg!(target_os = "windows") {
        Self::Windows
    } else if cfg!(target_os = "macos") {
        Self::MacOs
    } else {
        Self::Linux
    };
}

/// A browser that can start the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Browser {
    /// Google Chrome
    Chrome,
    /// Chromium
    Chromium,
    /// Microsoft Edge
    Edge,
    /// Brave
    Brave,
    /// Vivaldi
    Vivaldi,
    /// Mozilla Firefox
    Firefox,
    /// LibreWolf
    Librewolf,
}

/// Which keys the browser reads in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// `allowed_origins`.
    Chromium,
    /// `allowed_extensions`.
    Firefox,
}

/// For whom something is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// The person who runs the command.
    User,
    /// Everybody on the machine.
    System,
}

/// How a browser finds a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file named after the host in this folder.
    Folder(PathBuf),
    /// A registry key whose default value is the path of the manifest.
    Registry(String),
}

/// The folders of one person that the table starts from.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    /// The home folder.
    pub(crate) home: PathBuf,
    /// `$XDG_CONFIG_HOME` or what stands for it; Chromium-type browsers keep their profiles there on Linux.
    pub(crate) configuration: PathBuf,
    /// `%LOCALAPPDATA%` on Windows.
    pub(crate) local_data: PathBuf,
}

impl Browser {
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Chrome, Self::Chromium, Self::Edge, Self::Brave, Self::Vivaldi, Self::Firefox, Self::Librewolf];

    /// The name people know.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Chrome => "Google Chrome",
            Self::Chromium => "Chromium",
            Self::Edge => "Microsoft Edge",
            Self::Brave => "Brave",
            Self::Vivaldi => "Vivaldi",
            Self::Firefox => "Firefox",
            Self::Librewolf => "LibreWolf",
        }
    }

    /// Which manifest it reads.
    pub(crate) const fn family(self) -> Family {
        match self {
            Self::Firefox | Self::Librewolf => Family::Firefox,
            _ => Family::Chromium,
        }
    }

    /// Where it looks for manifests; nothing where it has no such place.
    pub(crate) fn manifest_place(self, platform: Platform, scope: Scope, home: &Home) -> Option<Place> {
        match platform {
            Platform::Linux => self.linux_folder(scope, home).map(Place::Folder),
            Platform::MacOs => self.macos_folder(scope, home).map(Place::Folder),
            Platform::Windows => self.windows_key(scope).map(Place::Registry),
        }
    }

    fn linux_folder(self, scope: Scope, home: &Home) -> Option<PathBuf> {
        Some(match scope {
            Scope::User => match self.profile_folder(Platform::Linux, home) {
                profile if self.family() == Family::Firefox => profile.join("native-messaging-hosts"),
                profile => profile.join("NativeMessagingHosts"),
            },
            Scope::System => match self {
                // Brave reads what is installed for Chrome as a whole machine.
                Self::Chrome | Self::Brave => "/etc/opt/chrome/native-messaging-hosts",
                Self::Chromium => "/etc/chromium/native-messaging-hosts",
                Self::Edge => "/etc/opt/edge/native-messaging-hosts",
                Self::Firefox => "/usr/lib/mozilla/native-messaging-hosts",
                Self::Vivaldi | Self::Librewolf => return None,
            }
            .into(),
        })
    }

    fn macos_folder(self, scope: Scope, home: &Home) -> Option<PathBuf> {
        Some(match scope {
            Scope::User => match self {
                Self::Firefox => home.home.join("Library/Application Support/Mozilla/NativeMessagingHosts"),
                _ => self.profile_folder(Platform::MacOs, home).join("NativeMessagingHosts"),
            },
            Scope::System => match self {
                Self::Chrome | Self::Brave => "/Library/Google/Chrome/NativeMessagingHosts",
                Self::Chromium => "/Library/Application Support/Chromium/NativeMessagingHosts",
                Self::Edge => "/Library/Microsoft/Edge/NativeMessagingHosts",
                Self::Firefox => "/Library/Application Support/Mozilla/NativeMessagingHosts",
                Self::Vivaldi | Self::Librewolf => return None,
            }
            .into(),
        })
    }

    fn windows_key(self, scope: Scope) -> Option<String> {
        let vendor = match self {
            Self::Chrome => r"Google\Chrome",
            Self::Chromium => "Chromium",
            Self::Edge => r"Microsoft\Edge",
            Self::Brave => r"BraveSoftware\Brave-Browser",
            Self::Vivaldi => "Vivaldi",
            // LibreWolf reads Firefox's key.
            Self::Firefox | Self::Librewolf => "Mozilla",
        };
        let hive = match scope {
            Scope::User => "HKCU",
            Scope::System => "HKLM",
        };
        Some(format!(r"{hive}\SOFTWARE\{vendor}\NativeMessagingHosts"))
    }

    /// The folder that exists once the browser has been started.
    fn profile_folder(self, platform: Platform, home: &Home) -> PathBuf {
        match platform {
            Platform::Linux => match self {
                Self::Chrome => home.configuration.join("google-chrome"),
                Self::Chromium => home.configuration.join("chromium"),
                Self::Edge => home.configuration.join("microsoft-edge"),
                Self::Brave => home.configuration.join("BraveSoftware/Brave-Browser"),
                Self::Vivaldi => home.configuration.join("vivaldi"),
                Self::Firefox => home.home.join(".mozilla"),
                Self::Librewolf => home.home.join(".librewolf"),
            },
            Platform::MacOs => home.home.join("Library/Application Support").join(match self {
                Self::Chrome => "Google/Chrome",
                Self::Chromium => "Chromium",
                Self::Edge => "Microsoft Edge",
                Self::Brave => "BraveSoftware/Brave-Browser",
                Self::Vivaldi => "Vivaldi",
                Self::Firefox => "Firefox",
                Self::Librewolf => "LibreWolf",
            }),
            Platform::Windows => home.local_data.join(match self {
                Self::Chrome => r"Google\Chrome",
                Self::Chromium => "Chromium",
                Self::Edge => r"Microsoft\Edge",
                Self::Brave => r"BraveSoftware\Brave-Browser",
                Self::Vivaldi => "Vivaldi",
                Self::Firefox => "Mozilla",
                Self::Librewolf => "LibreWolf",
            }),
        }
    }

    /// Programs and folders that show that it is installed.
    fn traces(self, platform: Platform) -> &'static [&'static str] {
        match (platform, self) {
            (Platform::Linux, Self::Chrome) => &["google-chrome", "google-chrome-stable"],
            (Platform::Linux, Self::Chromium) => &["chromium", "chromium-browser"],
            (Platform::Linux, Self::Edge) => &["microsoft-edge", "microsoft-edge-stable"],
            (Platform::Linux, Self::Brave) => &["brave-browser", "brave"],
            (Platform::Linux, Self::Vivaldi) => &["vivaldi", "vivaldi-stable"],
            (Platform::Linux, Self::Firefox) => &["firefox", "firefox-esr"],
            (Platform::Linux, Self::Librewolf) => &["librewolf"],
            (Platform::MacOs, Self::Chrome) => &["/Applications/Google Chrome.app"],
            (Platform::MacOs, Self::Chromium) => &["/Applications/Chromium.app"],
            (Platform::MacOs, Self::Edge) => &["/Applications/Microsoft Edge.app"],
            (Platform::MacOs, Self::Brave) => &["/Applications/Brave Browser.app"],
            (Platform::MacOs, Self::Vivaldi) => &["/Applications/Vivaldi.app"],
            (Platform::MacOs, Self::Firefox) => &["/Applications/Firefox.app"],
            (Platform::MacOs, Self::Librewolf) => &["/Applications/LibreWolf.app"],
            (Platform::Windows, Self::Chrome) => &[r"C:\Program Files\Google\Chrome"],
            (Platform::Windows, Self::Chromium) => &[r"C:\Program Files\Chromium"],
            (Platform::Windows, Self::Edge) => &[r"C:\Program Files (x86)\Microsoft\Edge"],
            (Platform::Windows, Self::Brave) => &[r"C:\Program Files\BraveSoftware\Brave-Browser"],
            (Platform::Windows, Self::Vivaldi) => &[r"C:\Program Files\Vivaldi"],
            (Platform::Windows, Self::Firefox) => &[r"C:\Program Files\Mozilla Firefox"],
            (Platform::Windows, Self::Librewolf) => &[r"C:\Program Files\LibreWolf"],
        }
    }

    /// Whether it is on this machine: it has been started once, or its program is there.
    pub(crate) fn is_installed(self, platform: Platform, home: &Home, search_path: &[PathBuf]) -> bool {
        self.profile_folder(platform, home).is_dir()
            || self.traces(platform).iter().any(|trace| {
                Path::new(trace).is_absolute() && Path::new(trace).exists()
                    || search_path.iter().any(|folder| folder.join(trace).is_file())
            })
    }

    /// Folders of sandboxed editions that cannot start a host, where they exist.
    pub(crate) fn sandboxed_editions(self, home: &Home) -> Vec<(&'static str, PathBuf)> {
        let (flatpak, snap) = match self {
            Self::Chrome => (Some("com.google.Chrome"), None),
            Self::Chromium => (Some("org.chromium.Chromium"), Some("chromium")),
            Self::Edge => (Some("com.microsoft.Edge"), None),
            Self::Brave => (Some("com.brave.Browser"), Some("brave")),
            Self::Vivaldi => (Some("com.vivaldi.Vivaldi"), Some("vivaldi")),
            Self::Firefox => (Some("org.mozilla.firefox"), Some("firefox")),
            Self::Librewolf => (Some("io.gitlab.librewolf-community"), None),
        };
        let flatpak = flatpak.map(|id| ("Flatpak", home.home.join(".var/app").join(id)));
        let snap = snap.map(|name| ("Snap", home.home.join("snap").join(name)));
        flatpak.into_iter().chain(snap).filter(|(_, folder)| folder.is_dir()).collect()
    }
}

impl Home {
    /// The folders of the person who runs this process.
    pub(crate) fn of_this_person() -> Option<Self> {
        let folders = directories::BaseDirs::new()?;
        Some(Self {
            home: folders.home_dir().to_owned(),
            configuration: folders.config_dir().to_owned(),
            local_data: folders.data_local_dir().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::fmt::Write as _;

    /// Every row of the table, for a person called alex.
    fn whole_table(platform: Platform, home: &Home) -> String {
        let mut table = String::new();
        for browser in Browser::ALL {
            for scope in [Scope::User, Scope::System] {
                let place = match browser.manifest_place(platform, scope, home) {
                    Some(Place::Folder(folder)) => folder.to_str().unwrap().to_owned(),
                    Some(Place::Registry(key)) => key,
                    None => "-".to_owned(),
                };
                writeln!(table, "{} | {scope:?} | {place}", browser.name()).unwrap();
            }
        }
        table
    }

    fn home(home: &str, configuration: &str) -> Home {
        Home { home: home.into(), configuration: configuration.into(), local_data: configuration.into() }
    }

    #[test]
    fn the_table_is_the_documented_one() {
        let linux = whole_table(Platform::Linux, &home("/home/alex", "/home/alex/.config"));
        assert_eq!(linux, include_str!("golden/browsers-linux.txt"));
        let macos = whole_table(Platform::MacOs, &home("/Users/alex", ""));
        assert_eq!(macos, include_str!("golden/browsers-macos.txt"));
        let windows = whole_table(Platform::Windows, &home("", ""));
        assert_eq!(windows, include_str!("golden/browsers-windows.txt"));
    }

    #[test]
    fn a_browser_is_found_by_its_profile_or_its_program() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path().to_str().unwrap(), folder.path().join(".config").to_str().unwrap());
        let programs = folder.path().join("bin");
        let found = |browser: Browser| browser.is_installed(Platform::Linux, &home, std::slice::from_ref(&programs));
        assert!(!found(Browser::Chromium) && !found(Browser::Firefox));
        std::fs::create_dir_all(&programs).unwrap();
        std::fs::write(programs.join("chromium"), "").unwrap();
        std::fs::create_dir_all(home.home.join(".mozilla")).unwrap();
        assert!(found(Browser::Chromium) && found(Browser::Firefox));
        assert!(!found(Browser::Librewolf));
    }
}
