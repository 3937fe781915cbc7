//! `latchkey install` and `latchkey uninstall`: what lets browsers and the system's schedule start this program.
//!
//! Every file, folder and registry key that is written goes into a record first, and `uninstall` removes what is in the
//! record and nothing else. Both can be run again. Nothing here touches a browser's own settings.

pub(crate) mod browsers;
pub(crate) mod manifest;
pub(crate) mod schedule;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use latchkey_protocol::{ErrorBody, HOST_NAME};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::caller::ExtensionIds;
use crate::cli::{Install, Uninstall};
use crate::configuration::Settings;
use crate::configuration::edit::{Edit, texts};
use crate::failure;
use crate::output::{Mark, Output};
use crate::settings::{Folders, create_private_folder};
use browsers::{Browser, Family, Home, Place, Platform, Scope};
use manifest::Manifest;
use schedule::{Invocation, Schedule};

/// What `install` has written, so that `uninstall` knows.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Files, whole paths.
    pub(crate) files: BTreeSet<PathBuf>,
    /// Folders that were made for them.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// Registry keys (Windows).
    pub(crate) registry_keys: BTreeSet<String>,
    /// Whether the schedule was set up.
    pub(crate) schedule: bool,
}

impl Record {
    /// Reads the record; empty when nothing was installed.
    pub(crate) fn load(path: &Path) -> Self {
        std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn save(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            create_private_folder(folder)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(self)?)
    }

    /// Writes a file whose place the record knows before the file is there.
    fn write(&mut self, record: &Path, file: &Path, bytes: &[u8]) -> Result<(), ErrorBody> {
        let failed = |error: &std::io::Error| failure::disk(error, &format!("{} cannot be written", file.display()));
        let missing: Vec<_> =
            file.ancestors().skip(1).take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
        self.files.insert(file.to_owned());
        self.folders.extend(missing);
        self.save(record).map_err(|error| failed(&error))?;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        }
        // Beside it first: a browser must never read half a manifest.
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, bytes).and_then(|()| std::fs::rename(&fresh, file)).map_err(|error| {
            let _ = std::fs::remove_file(&fresh);
            failed(&error)
        })
    }
}

/// Where the record of a scope is.
pub(crate) fn record_path(scope: Scope, folders: &Folders) -> PathBuf {
    match (scope, Platform::THIS) {
        (Scope::User, _) => folders.data.join("installed.json"),
        (Scope::System, Platform::Linux) => "/etc/latchkey/installed.json".into(),
        (Scope::System, Platform::MacOs) => "/Library/Application Support/Latchkey/installed.json".into(),
        (Scope::System, Platform::Windows) => r"C:\ProgramData\Latchkey\installed.json".into(),
    }
}

/// The schedule of this machine for a scope.
pub(crate) fn schedule_here(scope: Scope, program: &Path, home: &Home, folders: &Folders) -> Schedule {
    let data = match scope {
        Scope::User => folders.data.clone(),
        Scope::System => record_path(scope, folders).parent().map(Path::to_owned).unwrap_or_default(),
    };
    #[cfg(unix)]
    let user_id = rustix::process::getuid().as_raw();
    #[cfg(not(unix))]
    let user_id = 0;
    schedule::schedule(Platform::THIS, scope, program, home, &data, user_id)
}

/// The path of this program as browsers and schedules must name it.
pub(crate) fn program() -> Result<PathBuf, ErrorBody> {
    let failed = |error: std::io::Error| failure::disk(&error, "This program cannot find itself");
    let path = std::env::current_exe().and_then(std::fs::canonicalize).map_err(failed)?;
    // Windows' canonical form begins with \\?\, which browsers do not take.
    match path.to_str().and_then(|text| text.strip_prefix(r"\\?\")) {
        Some(plain) => Ok(PathBuf::from(plain)),
        None => Ok(path),
    }
}

/// The folders in which programs are looked for.
pub(crate) fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

/// Runs a command and tells whether it succeeded; its own words are not the person's business.
pub(crate) fn succeeds(invocation: &Invocation) -> bool {
    Command::new(invocation.program)
        .args(&invocation.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Stops the schedule; that it does not run is as good.
fn stop(schedule: &Schedule) {
    for command in &schedule.stop {
        succeeds(command);
    }
}

/// `latchkey install`.
pub(crate) fn install(install: &Install, output: Output) -> Result<(), ErrorBody> {
    let (folders, home) = folders()?;
    let scope = scope(install.system)?;
    let program = program()?;
    let added = added_extensions(install, &folders)?;
    let ids = ExtensionIds::compiled_in();
    let record_path = record_path(scope, &folders);
    let mut record = Record::load(&record_path);
    let mut report = Report::default();
    if scope == Scope::System
        && let Some(folder) = record_path.parent()
    {
        // Not private: everybody's `doctor` reads there what is installed for everybody.
        std::fs::create_dir_all(folder).map_err(|error| failure::disk(&error, "The record cannot be written"))?;
    }

    let chosen = chosen_browsers(install, &home);
    for browser in &chosen {
        let extensions = manifest::extensions_for(*browser, &ids, &added);
        if extensions.is_empty() {
            report.skipped.push((
                *browser,
                "the extension is not published for it yet; build your own and name it with --extension-id",
            ));
            continue;
        }
        let Some(place) = browser.manifest_place(Platform::THIS, scope, &home) else {
            report
                .skipped
                .push((*browser, "it reads no manifest for a whole machine; run 'latchkey install' as each person"));
            continue;
        };
        let text = manifest_text(&program, browser.family(), &extensions)?;
        let file = match &place {
            Place::Folder(folder) => folder.join(format!("{HOST_NAME}.json")),
            Place::Registry(_) => manifest_beside_record(&record_path, *browser),
        };
        record.write(&record_path, &file, text.as_bytes())?;
        if let Place::Registry(key) = place {
            let key = format!(r"{key}\{HOST_NAME}");
            record.registry_keys.insert(key.clone());
            record.save(&record_path).map_err(|error| failure::disk(&error, "The record cannot be written"))?;
            set_registry_default(&key, &file)?;
        }
        report.browsers.push((*browser, file));
    }
    for folder in &install.user_data_folders {
        let extensions = manifest::extensions_for(Browser::Chromium, &ids, &added);
        let text = manifest_text(&program, Family::Chromium, &extensions)?;
        let folder = std::path::absolute(folder).map_err(|error| failure::disk(&error, "The folder cannot be used"))?;
        let file = folder.join("NativeMessagingHosts").join(format!("{HOST_NAME}.json"));
        record.write(&record_path, &file, text.as_bytes())?;
        report.profiles.push(file);
    }
    if !install.no_schedule {
        let schedule = schedule_here(scope, &program, &home, &folders);
        for (file, bytes) in &schedule.files {
            record.write(&record_path, file, bytes)?;
        }
        record.schedule = true;
        record.save(&record_path).map_err(|error| failure::disk(&error, "The record cannot be written"))?;
        if Platform::THIS == Platform::MacOs {
            // launchd keeps the old definition until it is told to forget it.
            stop(&schedule);
        }
        report.schedule_runs = Some(schedule.start.iter().all(succeeds));
        report.otherwise = schedule.otherwise;
    }
    report.show(&program, chosen.is_empty() && install.user_data_folders.is_empty(), output);
    Ok(())
}

/// The scope that was asked for, if this person may change it.
fn scope(system: bool) -> Result<Scope, ErrorBody> {
    #[cfg(unix)]
    if system && !rustix::process::geteuid().is_root() {
        return Err(failure::usage("Only root may change what everybody uses.", "Run the command with sudo."));
    }
    Ok(if system { Scope::System } else { Scope::User })
}

fn folders() -> Result<(Folders, Home), ErrorBody> {
    let home = Home::of_this_person().ok_or_else(|| {
        failure::usage("This account has no home folder.", "Set HOME to a folder that may be written to.")
    })?;
    Ok((Folders::of_this_person()?, home))
}

fn chosen_browsers(install: &Install, home: &Home) -> Vec<Browser> {
    if !install.browsers.is_empty() {
        return Browser::ALL.into_iter().filter(|browser| install.browsers.contains(browser)).collect();
    }
    let search_path = search_path();
    Browser::ALL.into_iter().filter(|browser| browser.is_installed(Platform::THIS, home, &search_path)).collect()
}

/// The ids from the configuration, with those said now, which are written there: the host asks there too.
fn added_extensions(install: &Install, folders: &Folders) -> Result<Vec<String>, ErrorBody> {
    if let Some(id) = install.extension_ids.iter().find(|id| !manifest::is_extension_id(id)) {
        return Err(failure::usage(
            format!("\"{id}\" is not the id of an extension."),
            "Copy it from the browser's page of extensions: 32 letters from a to p, or name@company in Firefox.",
        ));
    }
    let file = folders.configuration_file();
    let mut known = Settings::load(&file)?.extension_ids;
    let new: Vec<_> = install.extension_ids.iter().filter(|id| !known.contains(id)).cloned().collect();
    if !new.is_empty() {
        known.extend(new);
        let mut edit = Edit::begin(&file)?;
        edit.set_at_top("extension_ids", texts(&known));
        edit.write()?;
    }
    Ok(known)
}

fn manifest_text(program: &Path, family: Family, extensions: &[String]) -> Result<String, ErrorBody> {
    Manifest::new(program, family, extensions).text().map_err(failure::internal)
}

fn manifest_beside_record(record: &Path, browser: Browser) -> PathBuf {
    let folder = record.parent().unwrap_or(record).join("native-messaging").join(browser.name());
    folder.join(format!("{HOST_NAME}.json"))
}

fn set_registry_default(key: &str, file: &Path) -> Result<(), ErrorBody> {
    let arguments = ["add", key, "/ve", "/t", "REG_SZ", "/d", &file.to_string_lossy(), "/f"].map(str::to_owned);
    if succeeds(&Invocation { program: "reg", arguments: arguments.into() }) {
        return Ok(());
    }
    Err(failure::usage(
        format!("The registry key {key} cannot be written."),
        "Run the command again with the rights that it needs (for --system: as administrator).",
    ))
}

/// What `install` did, for people and for `--json`.
#[derive(Debug, Default)]
struct Report {
    browsers: Vec<(Browser, PathBuf)>,
    profiles: Vec<PathBuf>,
    skipped: Vec<(Browser, &'static str)>,
    schedule_runs: Option<bool>,
    otherwise: String,
}

impl Report {
    fn show(&self, program: &Path, no_browser: bool, output: Output) {
        let browsers: Vec<_> =
            self.browsers.iter().map(|(browser, file)| json!({"browser": browser, "manifest": file})).collect();
        let skipped: Vec<_> =
            self.skipped.iter().map(|(browser, why)| json!({"browser": browser, "because": why})).collect();
        output.document(&json!({
            "program": program,
            "browsers": browsers,
            "profiles": self.profiles,
            "skipped": skipped,
            "schedule_runs": self.schedule_runs,
        }));
        for (browser, file) in &self.browsers {
            output.marked(Mark::Good, format_args!("{}: {}", browser.name(), file.display()));
        }
        for file in &self.profiles {
            output.marked(Mark::Good, file.display());
        }
        for (browser, why) in &self.skipped {
            output.marked(Mark::Warning, format_args!("{}: {why}", browser.name()));
        }
        if no_browser {
            output.marked(Mark::Warning, "no browser was found; name one with --browser");
        }
        match self.schedule_runs {
            Some(true) => output.marked(Mark::Good, "leases are ended on schedule, every minute"),
            Some(false) => {
                output.marked(Mark::Warning, "the schedule is written but could not be started");
                output.line(format_args!("    {}", self.otherwise));
            }
            None => {}
        }
        if !self.browsers.is_empty() {
            output.line("    Restart a browser that is running if it does not find Latchkey.");
        }
    }
}

/// `latchkey uninstall`.
pub(crate) fn uninstall(uninstall: &Uninstall, output: Output) -> Result<(), ErrorBody> {
    let (folders, home) = folders()?;
    let scope = scope(uninstall.system)?;
    let record_path = record_path(scope, &folders);
    let record = Record::load(&record_path);
    if record.schedule {
        let schedule = schedule_here(scope, &program()?, &home, &folders);
        stop(&schedule);
    }
    for key in &record.registry_keys {
        let arguments = ["delete", key, "/f"].map(str::to_owned);
        succeeds(&Invocation { program: "reg", arguments: arguments.into() });
    }
    let mut removed = Vec::new();
    for file in &record.files {
        match std::fs::remove_file(file) {
            Ok(()) => removed.push(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failure::disk(&error, &format!("{} cannot be removed", file.display()))),
        }
    }
    // Deepest first; one that holds something else by now stays.
    for folder in record.folders.iter().rev() {
        let _ = std::fs::remove_dir(folder);
    }
    if record_path.exists() {
        std::fs::remove_file(&record_path)
            .map_err(|error| failure::disk(&error, &format!("{} cannot be removed", record_path.display())))?;
        if let (Scope::System, Some(folder)) = (scope, record_path.parent()) {
            // Was made for the record; stays if it holds something else by now.
            let _ = std::fs::remove_dir(folder);
        }
    }
    output.document(&json!({"removed": removed}));
    for file in &removed {
        output.marked(Mark::Good, format_args!("removed {}", file.display()));
    }
    if removed.is_empty() {
        output.line("Nothing was installed.");
    } else {
        output.line("    Tenants, leases and settings are still there; 'latchkey tenant remove' disconnects a tenant.");
    }
    Ok(())
}
