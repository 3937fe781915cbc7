//! What the process takes from the machine it runs on: limits, log file, clock, and an engine with this person's
//! settings. Logs go to a file; standard output is never theirs, and no secret is ever written to them.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::{Arc, Mutex};

use latchkey_engine::{Clock as _, Engine, EngineSettings, NetworkSettings, SystemClock, Technician};
use latchkey_protocol::ErrorBody;

use crate::configuration::values::TechnicianName;
use crate::configuration::{Reading, Settings};
use crate::key_store::{KeyStore, Prompting};
use crate::settings::{Folders, create_private_folder};

/// A log larger than this is put aside when a process starts; one old log is kept.
const LARGEST_LOG: u64 = 4 * 1024 * 1024;

/// Keeps credentials out of core dumps and out of reach of a debugger of the same user. First thing in the process.
pub(crate) fn protect_memory() {
    #[cfg(unix)]
    {
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    }
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
}

/// Unix time in milliseconds.
pub(crate) fn now() -> i64 {
    SystemClock.now()
}

/// Resolves when the system asks the process to stop.
pub(crate) async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            return;
        }
    }
    #[cfg(windows)]
    if tokio::signal::ctrl_c().await.is_ok() {
        return;
    }
    std::future::pending().await
}

/// Starts writing the log. Without a place for it there is none: work goes on.
pub(crate) fn start_log() {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;

    let Some(file) = Folders::of_this_person().ok().and_then(|folders| open_log(&folders.log()).ok()) else { return };
    let wanted = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("latchkey", LevelFilter::INFO)
        .with_target("latchkey_engine", LevelFilter::INFO);
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Mutex::new(file));
    let _ = tracing_subscriber::registry().with(wanted).with(layer).try_init();
    std::panic::set_hook(Box::new(|panic| {
        // The place only: a panic's text could quote what was being worked on.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "unexpected failure");
    }));
}

fn open_log(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        create_private_folder(folder)?;
    }
    if std::fs::metadata(path).is_ok_and(|found| found.len() > LARGEST_LOG) {
        std::fs::rename(path, path.with_extension("log.old"))?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// What the configuration says now.
pub(crate) fn settings() -> Result<Settings, ErrorBody> {
    Settings::load(&Folders::of_this_person()?.configuration_file())
}

/// The engine of the person who runs this process.
pub(crate) async fn open_engine(prompting: Prompting) -> Result<Engine, ErrorBody> {
    let folders = Folders::of_this_person()?;
    let settings = settings()?;
    open_engine_with(&folders, &settings, prompting).await
}

/// The engine for what takes access away: it must go on although the configuration has errors, with what could be read
/// of it. The error is handed back beside the engine, to be shown.
pub(crate) async fn open_engine_to_end(prompting: Prompting) -> Result<(Engine, Option<ErrorBody>), ErrorBody> {
    let folders = Folders::of_this_person()?;
    let (settings, error) = read_in_any_case(&folders);
    if let Some(error) = &error {
        tracing::warn!(%error.message, "the configuration has errors; ending goes on with what could be read");
    }
    Ok((open_engine_with(&folders, &settings, prompting).await?, error))
}

/// What the configuration says, as far as it can be read, and what is wrong with it.
pub(crate) fn read_in_any_case(folders: &Folders) -> (Settings, Option<ErrorBody>) {
    match Reading::of(&folders.configuration_file()) {
        Ok(reading) => (reading.settings_in_any_case(), reading.refusal()),
        Err(error) => (Settings::default(), Some(error)),
    }
}

/// The engine with settings that are at hand.
pub(crate) async fn open_engine_with(
    folders: &Folders,
    settings: &Settings,
    prompting: Prompting,
) -> Result<Engine, ErrorBody> {
    // Fails only when it was done before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let technician = acting(settings)?;
    let mut engine = EngineSettings::new(folders.database(), technician);
    engine.policy = settings.policy.clone();
    engine.application = settings.application;
    engine.break_glass.clone_from(&settings.break_glass);
    engine.audit_keep_days = settings.audit_keep_days;
    engine.webhook.clone_from(&settings.webhook);
    if let Some(prefix) = &settings.account_prefix {
        engine.account_prefix.clone_from(prefix);
    }
    engine.network = NetworkSettings {
        proxy: settings.network.proxy.clone(),
        extra_root_certificates: settings.network.extra_root_certificate.clone(),
    };
    Ok(Engine::open(engine, Arc::new(KeyStore::new(prompting)), Arc::new(SystemClock)).await?)
}

/// What the configuration says, as far as it can be read: for what must go on in any case.
pub(crate) fn settings_in_any_case() -> Result<Settings, ErrorBody> {
    Ok(read_in_any_case(&Folders::of_this_person()?).0)
}

/// The technician whose accounts these are: as her company's directory named her last, or as the configuration does.
pub(crate) fn acting(settings: &Settings) -> Result<Technician, ErrorBody> {
    match crate::directory::last_known(settings) {
        Some(technician) => Ok(technician),
        None => Ok(settings.technician(&technician(settings)?)),
    }
}

/// The technician that the configuration names, or else the person who is signed in to this machine.
pub(crate) fn technician(settings: &Settings) -> Result<TechnicianName, ErrorBody> {
    match &settings.technician {
        Some(name) => Ok(name.clone()),
        None => TechnicianName::try_from(signed_in_person()).map_err(|_| {
            crate::failure::usage(
                format!("\"{}\" cannot name an account.", signed_in_person()),
                "Say who you are: latchkey config set technician alex@msp.example",
            )
        }),
    }
}

/// The name under which a person is signed in to this machine.
pub(crate) fn signed_in_person() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| "technician".to_owned())
}
