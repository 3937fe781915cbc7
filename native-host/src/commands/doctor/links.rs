//! The links of the chain that lie on this machine.

use std::path::{Path, PathBuf};

use latchkey_protocol::HOST_NAME;

use super::Finding;
use crate::caller::ExtensionIds;
use crate::configuration::Settings;
use crate::install::browsers::{Browser, Home, Place, Platform, Scope};
use crate::install::manifest::{Manifest, extensions_for};
use crate::install::schedule::Invocation;
use crate::install::{self, Record, record_path, schedule_here, search_path, succeeds};
use crate::settings::Folders;
use crate::unknown_pages::UnknownPages;

/// A sweep older than this, in milliseconds, means that the schedule does not run.
const SWEEP_TOO_OLD: i64 = 3 * 60 * 1000;
/// An unknown sign-in page that was met longer ago than this, in milliseconds, is no news.
const PAGES_OF_LATE: i64 = 14 * 24 * 60 * 60 * 1000;
/// Below this the database may not be able to write what an ending needs, in bytes.
const SPACE_NEEDED: u64 = 16 * 1024 * 1024;

/// The program itself: others must not be able to exchange it.
pub(super) fn program() -> Finding {
    const LINK: &str = "program";
    let path = match install::program() {
        Ok(path) => path,
        Err(error) => return Finding::of_error(LINK, &error),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        for place in path.ancestors().take(2) {
            let Ok(found) = std::fs::metadata(place) else { continue };
            let others_may_write = found.mode() & 0o002 != 0 && found.mode() & 0o1000 == 0;
            let owner = found.uid();
            if others_may_write || (owner != 0 && owner != rustix::process::getuid().as_raw()) {
                return Finding::warning(
                    LINK,
                    format!("{} can be changed by other people.", place.display()),
                    "Install Latchkey in a folder that belongs to you or to root.",
                );
            }
        }
    }
    Finding::good(LINK, format!("{} {}", path.display(), env!("CARGO_PKG_VERSION")))
}

/// Every browser that is installed, and whether it can start this program.
pub(super) fn browsers(settings: &Settings) -> Vec<Finding> {
    const LINK: &str = "browser";
    let (Some(home), Ok(program)) = (Home::of_this_person(), install::program()) else { return Vec::new() };
    let (ids, path) = (ExtensionIds::compiled_in(), search_path());
    let mut findings = Vec::new();
    for browser in Browser::ALL {
        for (edition, folder) in browser.sandboxed_editions(&home) {
            findings.push(Finding::warning(
                LINK,
                format!("{} as a {edition} ({}) cannot start programs outside its sandbox.", browser.name(), folder.display()),
                "Use the edition that your distribution or the vendor packages, or the popup's 'show and copy' elsewhere.",
            ));
        }
        if !browser.is_installed(Platform::THIS, &home, &path) {
            continue;
        }
        let extensions = extensions_for(browser, &ids, &settings.extension_ids);
        if extensions.is_empty() {
            findings.push(Finding::warning(
                LINK,
                format!("{}: the extension is not published for it yet.", browser.name()),
                "Use Chrome or Edge, or name your own build with 'latchkey install --extension-id ID'.",
            ));
            continue;
        }
        let manifests = [Scope::User, Scope::System]
            .into_iter()
            .filter_map(|scope| Some((scope, manifest_file(browser.manifest_place(Platform::THIS, scope, &home)?)?)))
            .filter(|(_, file)| file.exists())
            .collect::<Vec<_>>();
        findings.push(manifest(browser, &manifests, &program, &extensions));
    }
    if findings.is_empty() {
        findings.push(Finding::warning(LINK, "None was found.", "Name yours with 'latchkey install --browser'."));
    }
    findings
}

/// The manifests that a browser may read, the one that it does read first.
fn manifest(browser: Browser, manifests: &[(Scope, PathBuf)], program: &Path, extensions: &[String]) -> Finding {
    const LINK: &str = "browser";
    let again = format!(
        "Run 'latchkey install --browser {}'.",
        clap::ValueEnum::to_possible_value(&browser).map(|value| value.get_name().to_owned()).unwrap_or_default()
    );
    let name = browser.name();
    let Some((_, file)) = manifests.first() else {
        return Finding::broken(LINK, format!("{name} does not know Latchkey."), again);
    };
    let at = file.display();
    let manifest: Manifest = match std::fs::read(file).map(|bytes| serde_json::from_slice(&bytes)) {
        Ok(Ok(manifest)) => manifest,
        Ok(Err(error)) => return Finding::broken(LINK, format!("{name}: {at} is not a manifest ({error})."), again),
        Err(error) => return Finding::broken(LINK, format!("{name}: {at} cannot be read ({error})."), again),
    };
    if manifest.name != HOST_NAME || manifest.kind != "stdio" {
        return Finding::broken(LINK, format!("{name}: {at} is not a manifest of Latchkey."), again);
    }
    let named = Path::new(&manifest.path);
    if !named.is_absolute() || !named.exists() {
        return Finding::broken(
            LINK,
            format!("{name}: {at} names a program that is not there, {}.", manifest.path),
            again,
        );
    }
    if std::fs::canonicalize(named).ok().as_deref() != Some(program) {
        return Finding::broken(LINK, format!("{name}: {at} starts another program, {}.", manifest.path), again);
    }
    if !extensions.iter().any(|id| manifest.allows(id)) {
        return Finding::broken(LINK, format!("{name}: {at} does not let Latchkey's extension in."), again);
    }
    match manifests {
        [(Scope::User, own), (Scope::System, shared)] if std::fs::read(own).ok() != std::fs::read(shared).ok() => {
            Finding::warning(
                LINK,
                format!("{name}: {} hides {}, which says something else.", own.display(), shared.display()),
                "Run 'latchkey uninstall' if the one for the whole machine is meant.",
            )
        }
        _ => Finding::good(LINK, format!("{name}, {at}")),
    }
}

fn manifest_file(place: Place) -> Option<PathBuf> {
    match place {
        Place::Folder(folder) => Some(folder.join(format!("{HOST_NAME}.json"))),
        Place::Registry(key) => registry_default(&format!(r"{key}\{HOST_NAME}")),
    }
}

/// The default value of a registry key, as `reg query KEY /ve` prints it.
fn registry_default(key: &str) -> Option<PathBuf> {
    let printed = std::process::Command::new("reg").args(["query", key, "/ve"]).output().ok()?;
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    let (_, value) = text.split_once("REG_SZ")?;
    Some(PathBuf::from(value.lines().next()?.trim()))
}

/// Sign-in pages that the extension did not know. Nothing was filled on them; more than a few mean that Microsoft has
/// changed the sign-in.
pub(super) fn sign_in_pages(folders: &Folders, now: i64) -> Option<Finding> {
    const LINK: &str = "sign_in_page";
    let met = UnknownPages::read(&folders.unknown_pages())?;
    let last = jiff::Timestamp::from_millisecond(met.last).ok()?;
    let day = last.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M");
    let found = format!("unknown pages met so far: {}, the last one on {day}", met.count);
    Some(if now.saturating_sub(met.last) < PAGES_OF_LATE {
        Finding::warning(
            LINK,
            format!("{found}; nothing was filled there"),
            "Update Latchkey and the extension. Until then use 'Show credential' in the popup.",
        )
    } else {
        Finding::good(LINK, found)
    })
}

/// Whether the system runs the sweep.
pub(super) fn schedule(folders: &Folders, now: i64) -> Finding {
    const LINK: &str = "schedule";
    let last: Option<i64> =
        std::fs::read_to_string(folders.last_sweep()).ok().and_then(|text| text.trim().parse().ok());
    let recent = last.is_some_and(|last| now - last < SWEEP_TOO_OLD);
    let installed = [Scope::User, Scope::System]
        .into_iter()
        .filter(|scope| Record::load(&record_path(*scope, folders)).schedule)
        .collect::<Vec<_>>();
    let running = match (Home::of_this_person(), install::program()) {
        (Some(home), Ok(program)) => {
            installed.iter().any(|scope| succeeds(&schedule_here(*scope, &program, &home, folders).check))
        }
        _ => false,
    };
    match (recent, running, installed.first()) {
        (true, ..) => Finding::good(LINK, "leases are ended on schedule; the last sweep was just now"),
        (false, true, _) if last.is_none() => {
            Finding::warning(LINK, "It is active and has not run yet.", "Look again in two minutes.")
        }
        (false, true, _) => Finding::broken(
            LINK,
            "It is active, but no sweep came to its end lately.",
            "Run 'latchkey sweep' and see what it says.",
        ),
        (false, false, Some(scope)) => Finding::broken(
            LINK,
            "It is installed, but the system does not run it.",
            match (Home::of_this_person(), install::program()) {
                (Some(home), Ok(program)) => schedule_here(*scope, &program, &home, folders).otherwise,
                _ => "Run 'latchkey install'.".to_owned(),
            },
        ),
        (false, false, None) => {
            Finding::broken(LINK, "Nothing ends leases while no browser runs.", "Run 'latchkey install'.")
        }
    }
}

/// A proxy that only this shell knows does not help the sweep.
pub(super) fn proxy_for_the_schedule(settings: &Settings) -> Option<Finding> {
    if settings.network.proxy.is_some() {
        return None;
    }
    let name = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .into_iter()
        .find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))?;
    // systemd tells what it would hand on; the other platforms hand on nothing that a shell has set.
    let known = Platform::THIS == Platform::Linux
        && succeeds(&Invocation {
            program: "sh",
            arguments: vec!["-c".to_owned(), format!("systemctl --user show-environment | grep -q '^{name}='")],
        });
    (!known).then(|| {
        Finding::warning(
            "network",
            format!("{name} is set here, but the schedule and browsers started elsewhere do not see it."),
            "Put the proxy into config.toml as well: [network], proxy = \"http://…\".",
        )
    })
}

/// Room for the database.
pub(super) fn disk(folders: &Folders) -> Option<Finding> {
    #[cfg(unix)]
    {
        const LINK: &str = "disk";
        let folder = folders.data.ancestors().find(|folder| folder.exists())?;
        let space = rustix::fs::statvfs(folder).ok()?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < SPACE_NEEDED {
            return Some(Finding::broken(
                LINK,
                format!("{} has only {} MiB left.", folder.display(), free / 1024 / 1024),
                "Free some space: what ends a lease must be written down first.",
            ));
        }
        Some(Finding::good(LINK, format!("{} MiB free for the database", free / 1024 / 1024)))
    }
    #[cfg(not(unix))]
    {
        let _ = (folders, SPACE_NEEDED);
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::State;
    use super::*;
    use crate::install::browsers::Family;

    fn folders(root: &Path) -> Folders {
        Folders { configuration: root.join("c"), data: root.join("d"), state: root.join("s") }
    }

    #[test]
    fn each_broken_manifest_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("latchkey");
        std::fs::write(&program, "").unwrap();
        let program = std::fs::canonicalize(&program).unwrap();
        let ids = vec!["abcdefghijklmnopabcdefghijklmnop".to_owned()];
        let user = folder.path().join("user.json");
        let system = folder.path().join("system.json");
        let both = [(Scope::User, user.clone()), (Scope::System, system.clone())];
        let look = |manifests: &[(Scope, PathBuf)]| manifest(Browser::Chrome, manifests, &program, &ids);
        let good = Manifest::new(&program, Family::Chromium, &ids).text().unwrap();

        assert_eq!(look(&[]).state, State::Broken);
        std::fs::write(&user, "{").unwrap();
        assert!(look(&both[..1]).found.contains("not a manifest"));
        std::fs::write(&user, good.replace("com.latchkey.host", "com.other.host")).unwrap();
        assert!(look(&both[..1]).found.contains("not a manifest of Latchkey"));
        std::fs::write(&user, good.replace("latchkey\",", "gone\",")).unwrap();
        assert!(look(&both[..1]).found.contains("not there"));
        let other = folder.path().join("other");
        std::fs::write(&other, "").unwrap();
        std::fs::write(&user, Manifest::new(&other, Family::Chromium, &ids).text().unwrap()).unwrap();
        assert!(look(&both[..1]).found.contains("starts another program"));
        std::fs::write(&user, good.replace("abcd", "bbcd")).unwrap();
        assert!(look(&both[..1]).found.contains("does not let"));
        std::fs::write(&user, &good).unwrap();
        assert_eq!(look(&both[..1]).state, State::Good);
        std::fs::write(&system, good.replace("abcd", "bbcd")).unwrap();
        assert!(look(&both).found.contains("hides"));
        std::fs::write(&system, &good).unwrap();
        assert_eq!(look(&both).state, State::Good);
    }

    #[test]
    fn a_schedule_is_judged_by_its_last_sweep() {
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        let now = 1_800_000_000_000;
        assert_eq!(schedule(&folders, now).state, State::Broken);
        std::fs::create_dir_all(&folders.state).unwrap();
        std::fs::write(folders.last_sweep(), (now - 30_000).to_string()).unwrap();
        assert_eq!(schedule(&folders, now).state, State::Good);
        std::fs::write(folders.last_sweep(), (now - 600_000).to_string()).unwrap();
        assert_eq!(schedule(&folders, now).state, State::Broken);
    }
}
