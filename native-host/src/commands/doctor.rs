//! `latchkey doctor`: every link of the chain from the browser to Microsoft, each with what is to be done about it.
//!
//! Only looks. A check that cannot be made is a finding, not a reason to stop: the later links are checked all the same.

mod links;
mod network;

use std::process::ExitCode;

use latchkey_engine::Engine;
use latchkey_protocol::{ErrorBody, FindingState, cloud::Cloud};
use serde::Serialize;
use serde_json::json;

use super::attention::{EndingCredential, credentials_that_end};
use crate::cli::Doctor;
use crate::configuration::diagnostic::Severity;
use crate::configuration::{Reading, Settings};
use crate::failure::sentence;
use crate::key_store::{KeyStore, Prompting};
use crate::machine;
use crate::output::{Mark, Output};
use crate::settings::Folders;
use crate::verification;

/// A rotation that is so late, in milliseconds, was not done by any schedule.
const OVERDUE: i64 = 3_600_000;

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// As it should be.
    Good,
    /// Works, but somebody should look.
    Warning,
    /// Broken.
    Broken,
}

/// What was found about one link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The link: `program`, `configuration`, `browser`, `schedule`, `key_store`, `store`, `disk`, `network`, `clock`,
    /// `tenant`, `lockdown`, `lease`, `account`, `sign_in_page`, `person`.
    pub(crate) link: &'static str,
    /// How it is.
    pub(crate) state: State,
    /// What was found, one sentence or name.
    pub(crate) found: String,
    /// What to do about it; empty when nothing is.
    pub(crate) next_step: String,
}

impl Finding {
    fn good(link: &'static str, found: impl Into<String>) -> Self {
        Self { link, state: State::Good, found: found.into(), next_step: String::new() }
    }

    fn warning(link: &'static str, found: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { link, state: State::Warning, found: found.into(), next_step: next_step.into() }
    }

    fn broken(link: &'static str, found: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { link, state: State::Broken, found: found.into(), next_step: next_step.into() }
    }

    /// As it is told to the extension.
    fn told(self) -> latchkey_protocol::Finding {
        let state = match self.state {
            State::Good => FindingState::Good,
            State::Warning => FindingState::Warning,
            State::Broken => FindingState::Broken,
        };
        latchkey_protocol::Finding { link: self.link.to_owned(), state, found: self.found, next_step: self.next_step }
    }

    fn of_error(link: &'static str, error: &ErrorBody) -> Self {
        let tenant = error.tenant.as_ref().map(|tenant| format!("{tenant}: ")).unwrap_or_default();
        Self::broken(link, format!("{tenant}{}", sentence(&error.message)), sentence(&error.next_step))
    }
}

/// How far a look goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// What can be seen without the network.
    Machine,
    /// Microsoft as well, but no customer: with sixty of them that takes longer than somebody waits at a page.
    Microsoft,
    /// Everything.
    Tenants,
}

/// What a browser may ask for: every link from here to Microsoft, without the customers' tenants.
pub(crate) async fn connection() -> Result<Vec<latchkey_protocol::Finding>, ErrorBody> {
    let folders = Folders::of_this_person()?;
    let findings = look_over(&folders, Reach::Microsoft, || ()).await;
    Ok(findings.into_iter().map(Finding::told).collect())
}

pub(super) async fn examine(doctor: &Doctor, output: Output) -> Result<ExitCode, ErrorBody> {
    let folders = Folders::of_this_person()?;
    let reach = if doctor.offline { Reach::Machine } else { Reach::Tenants };
    let findings = look_over(&folders, reach, || output.progress("reaching Microsoft")).await;
    show(&findings, &folders, output);
    let broken = findings.iter().any(|finding| finding.state == State::Broken);
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Looks at every link. `waiting` is called before the network is waited for, and what it gives is dropped afterwards.
async fn look_over<Waiting>(folders: &Folders, reach: Reach, waiting: impl FnOnce() -> Waiting) -> Vec<Finding> {
    let mut findings = vec![links::program()];
    let settings = configuration(folders, &mut findings).await;
    findings.extend(links::browsers(&settings));
    findings.push(links::schedule(folders, machine::now()));
    findings.extend(links::proxy_for_the_schedule(&settings));
    findings.push(key_store().await);
    findings.extend(links::disk(folders));
    findings.extend(links::sign_in_pages(folders, machine::now()));

    let engine = machine::open_engine_with(folders, &settings, Prompting::Never).await;
    let engine = match engine {
        Ok(engine) => Some(engine),
        Err(error) => {
            findings.push(Finding::of_error("store", &error));
            None
        }
    };
    let mut clouds = Vec::new();
    if let Some(engine) = &engine {
        findings.push(store(engine, folders).await);
        findings.extend(lockdown(engine).await);
        findings.extend(leases(engine).await);
        findings.extend(break_glass(engine).await);
        findings.extend(receiver(engine).await);
        findings.extend(person(engine).await);
        if let Ok(tenants) = engine.tenants().await {
            clouds.extend(tenants.iter().map(|tenant| tenant.cloud));
        }
    }
    let mut asked_tenants = false;
    if reach != Reach::Machine {
        let spinner = waiting();
        clouds.dedup();
        if clouds.is_empty() {
            clouds.push(Cloud::Global);
        }
        let mut reachable = true;
        for cloud in clouds {
            let (found, answered) = network::reach(cloud, &settings.network, machine::now()).await;
            findings.extend(found);
            reachable &= answered;
        }
        // Without a network every tenant would only say the same again.
        if let Some(engine) = engine.as_ref().filter(|_| reachable && reach == Reach::Tenants) {
            findings.extend(tenants(engine).await);
            asked_tenants = true;
        }
        drop(spinner);
    }
    if let Some(engine) = engine.as_ref().filter(|_| !asked_tenants) {
        findings.extend(credentials(engine).await);
    }
    findings
}

fn show(findings: &[Finding], folders: &Folders, output: Output) {
    output.document(&json!({
        "healthy": findings.iter().all(|finding| finding.state != State::Broken),
        "findings": findings,
        "log": folders.log(),
        "database": folders.database(),
        "configuration": folders.configuration_file(),
    }));
    for finding in findings {
        let mark = match finding.state {
            State::Good => Mark::Good,
            State::Warning => Mark::Warning,
            State::Broken => Mark::Bad,
        };
        output.marked(mark, format_args!("{}: {}", finding.link.replace('_', " "), finding.found));
        if !finding.next_step.is_empty() {
            output.line(format_args!("      {}", finding.next_step));
        }
    }
    output.line(format_args!("    log: {}", folders.log().display()));
}

/// What the check of the configuration says, and the settings as far as they can be read: the later links are looked
/// at in any case.
async fn configuration(folders: &Folders, findings: &mut Vec<Finding>) -> Settings {
    const LINK: &str = "configuration";
    let file = folders.configuration_file();
    if crate::configuration::said().is_some() {
        findings.push(Finding::warning(
            LINK,
            format!("{} is read by this command; browsers and the schedule read their own.", file.display()),
            "Use the key include in the usual config.toml to share a file with others.",
        ));
    }
    let mut reading = match Reading::of(&file) {
        Ok(reading) => reading,
        Err(error) => {
            findings.push(Finding::of_error(LINK, &error));
            return Settings::default();
        }
    };
    super::config::compare(&mut reading, folders).await;
    for source in &reading.sources {
        findings.extend(open_to_others(&source.path));
    }
    for found in &reading.diagnostics {
        let said = format!("{}: {}", found.at(&reading.sources), found.message);
        findings.push(match found.severity {
            Severity::Error => Finding::broken(LINK, said, found.next_step.clone()),
            Severity::Warning => Finding::warning(LINK, said, found.next_step.clone()),
        });
    }
    if reading.diagnostics.is_empty() && file.exists() {
        let files: Vec<_> = reading.sources.iter().map(|source| source.path.display().to_string()).collect();
        findings.push(Finding::good(LINK, format!("{}, nothing is wrong", files.join(" with "))));
    }
    reading.settings_in_any_case()
}

/// Whoever can write to the file decides who may get what.
#[cfg(unix)]
fn open_to_others(file: &std::path::Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    (mode & 0o022 != 0).then(|| {
        Finding::warning(
            "configuration",
            format!("{} can be changed by others on this machine.", file.display()),
            format!("Run: chmod go-w '{}'", file.display()),
        )
    })
}

/// Elsewhere the folder of the person keeps others out.
#[cfg(not(unix))]
fn open_to_others(_: &std::path::Path) -> Option<Finding> {
    None
}

async fn key_store() -> Finding {
    const LINK: &str = "key_store";
    let state = tokio::task::spawn_blocking(|| KeyStore::new(Prompting::Never).state()).await;
    match state {
        Ok(Ok(kind)) if kind.survives_reboot() => Finding::good(LINK, format!("{}, unlocked", kind.name())),
        Ok(Ok(kind)) => Finding::warning(
            LINK,
            format!("{}: client secrets are gone after a reboot.", kind.name()),
            "Install and unlock a Secret Service (gnome-keyring, KWallet, KeePassXC), then run 'latchkey tenant add' again.",
        ),
        Ok(Err(latchkey_engine::SecretStoreError::Locked)) => Finding::broken(
            LINK,
            "It is locked.",
            "Unlock it: sign in to the desktop with your password, or open your password manager.",
        ),
        Ok(Err(error)) => Finding::broken(
            LINK,
            sentence(&error.to_string()),
            "Start a Secret Service in your session (gnome-keyring, KWallet, KeePassXC) and try again.",
        ),
        Err(_) => Finding::broken(LINK, "It could not be looked at.", "Look into the log."),
    }
}

async fn store(engine: &Engine, folders: &Folders) -> Finding {
    const LINK: &str = "store";
    if let Err(error) = engine.check_store().await {
        return Finding::of_error(LINK, &error.to_body());
    }
    match engine.verify_audit().await {
        Ok(report) if report.is_whole() => Finding::good(
            LINK,
            format!("{}, sound; {} audit entries, none missing", folders.database().display(), report.entries),
        ),
        Ok(report) => Finding::broken(
            LINK,
            format!("The audit log was changed in {} places.", report.faults.len()),
            "Run 'latchkey audit --verify', keep the database as it is, and find out who could write to it.",
        ),
        Err(error) => Finding::of_error(LINK, &error.to_body()),
    }
}

async fn lockdown(engine: &Engine) -> Option<Finding> {
    let lockdown = engine.lockdown().await.ok().flatten()?;
    let reason = if lockdown.reason.is_empty() { String::new() } else { format!(": {}", lockdown.reason) };
    Some(Finding::broken(
        "lockdown",
        format!(
            "{} locked everything down at {}{reason}. Nobody gets access.",
            lockdown.technician,
            super::moment(lockdown.since)
        ),
        "Lift it once it is over: latchkey lockdown --lift --reason '…'",
    ))
}

/// How a passkey's user is found to be the one. Nothing where nobody is and none would be made.
async fn person(engine: &Engine) -> Option<Finding> {
    const LINK: &str = "person";
    let lack = match verification::available().await {
        Ok(how) => return Some(Finding::good(LINK, format!("verified by {how}"))),
        Err(lack) => lack,
    };
    if engine.person().await.ok()?.pin_set {
        return Some(Finding::good(LINK, format!("verified by Latchkey's PIN; not by the operating system: {lack}")));
    }
    let kept = engine.tenants().await.ok()?.iter().any(|tenant| tenant.credential.passkey_kept);
    (kept || engine.lacks_passkeys().await.ok()?).then(|| {
        Finding::warning(
            LINK,
            format!("Nobody can be verified, so no passkey is made or used. The operating system cannot: {lack}."),
            "Set a PIN with 'latchkey pin set'.",
        )
    })
}

async fn break_glass(engine: &Engine) -> Vec<Finding> {
    const LINK: &str = "break_glass";
    let accounts = match engine.break_glass_accounts().await {
        Ok(accounts) => accounts,
        Err(error) => return vec![Finding::of_error(LINK, &error.to_body())],
    };
    let mut findings = Vec::new();
    let mut well = 0;
    for account in accounts {
        if let Some(problem) = &account.problem {
            findings.push(Finding::of_error(LINK, problem));
        } else if account.configured && !account.ready {
            findings.push(Finding::warning(
                LINK,
                format!("{} in {} is not made yet.", account.user_name, account.tenant_name),
                "Make it with 'latchkey break-glass prepare'.",
            ));
        } else if account.next_rotation.is_some_and(|due| due + OVERDUE < machine::now()) {
            findings.push(Finding::broken(
                LINK,
                format!("The password of {} in {} should have been replaced.", account.user_name, account.tenant_name),
                "Run 'latchkey sweep', and see what is wrong with the schedule.",
            ));
        } else {
            well += 1;
        }
    }
    if well > 0 {
        findings.push(Finding::good(LINK, format!("{well} accounts, each with a proven password")));
    }
    findings
}

async fn leases(engine: &Engine) -> Vec<Finding> {
    let Ok(open) = engine.leases(false).await else { return Vec::new() };
    let mut findings = Vec::new();
    // Accounts that no lease speaks for.
    for problem in engine.account_problems().await.unwrap_or_default() {
        findings.push(Finding::of_error("account", &problem));
    }
    for lease in &open {
        if let Some(problem) = &lease.problem {
            let mut problem = problem.clone();
            problem.tenant.get_or_insert_with(|| lease.tenant_name.clone());
            findings.push(Finding::of_error("lease", &problem));
        } else if lease.until + 120_000 < machine::now() {
            findings.push(Finding::broken(
                "lease",
                format!("{} in {} should have ended.", lease.user_name, lease.tenant_name),
                "Run 'latchkey sweep', and see what is wrong with the schedule.",
            ));
        }
    }
    findings
}

/// Whether the webhook's receiver is being told.
async fn receiver(engine: &Engine) -> Vec<Finding> {
    const LINK: &str = "webhook";
    /// A receiver may be away for so long, in milliseconds, without anybody having to look.
    const MAY_BE_AWAY: i64 = 15 * 60_000;
    if !engine.has_webhook() {
        return Vec::new();
    }
    if !matches!(crate::webhook::secret(Prompting::Never).await, Ok(Some(_))) {
        let next_step = "Run 'latchkey webhook secret' and give the receiver what it shows.";
        return vec![Finding::broken(LINK, "It has no secret to sign with, so that nothing is sent.", next_step)];
    }
    let status = match engine.webhook_status().await {
        Ok(status) => status,
        Err(error) => return vec![Finding::of_error(LINK, &error.to_body())],
    };
    let mut findings = Vec::new();
    if status.gave_up > 0 {
        findings.push(Finding::broken(
            LINK,
            format!("{} messages were given up on after a week.", status.gave_up),
            "See to the receiver and run 'latchkey webhook retry'.",
        ));
    }
    let late = status.oldest.is_some_and(|oldest| oldest + MAY_BE_AWAY < machine::now());
    findings.push(match status.problem {
        Some(problem) if late => Finding::broken(
            LINK,
            format!("{} messages wait for the receiver: {problem}.", status.waiting),
            "See to the receiver; 'latchkey webhook test' tells whether it answers.",
        ),
        Some(problem) => Finding::warning(LINK, format!("The last message was not taken: {problem}."), ""),
        None if late => Finding::warning(
            LINK,
            format!("{} messages wait and nobody delivers them.", status.waiting),
            "See what is wrong with the schedule, or run 'latchkey webhook retry'.",
        ),
        None => Finding::good(LINK, format!("{} delivered, {} waiting", status.delivered, status.waiting)),
    });
    findings
}

/// Credentials of applications that end soon, as far as the store knows: what a look at the tenants says, too.
async fn credentials(engine: &Engine) -> Vec<Finding> {
    let ending = credentials_that_end(&engine.tenants().await.unwrap_or_default(), machine::now());
    let finding = |credential: EndingCredential| {
        let say = if credential.over { Finding::broken } else { Finding::warning };
        say("tenant", credential.found(), credential.next_step)
    };
    ending.into_iter().map(finding).collect()
}

async fn tenants(engine: &Engine) -> Vec<Finding> {
    const LINK: &str = "tenant";
    let tenants = match engine.tenants().await {
        Ok(tenants) => tenants,
        Err(error) => return vec![Finding::of_error(LINK, &error.to_body())],
    };
    if tenants.is_empty() {
        return vec![Finding::warning(LINK, "None is connected.", "Connect one with 'latchkey tenant add'.")];
    }
    let mut findings = Vec::new();
    for tenant in tenants {
        let health = match engine.check_tenant(tenant.tenant_id).await {
            Ok(health) => health,
            Err(error) => {
                findings.push(Finding::of_error(LINK, &error.to_body()));
                continue;
            }
        };
        for problem in &health.problems {
            let mut problem = problem.clone();
            problem.tenant = Some(health.name.clone());
            findings.push(Finding::of_error(LINK, &problem));
        }
        for remark in &health.remarks {
            findings.push(Finding::warning(LINK, format!("{}: {remark}", health.name), ""));
        }
        if health.problems.is_empty() && !health.account_as_expected {
            findings.push(Finding::broken(
                LINK,
                format!("{}: {} is not as the store says it should be.", health.name, health.user_name),
                "Run 'latchkey sweep': it makes the account dormant and reads it back.",
            ));
        } else if health.problems.is_empty() {
            let state = if tenant.lease.is_some() { "active, as its lease says" } else { "dormant" };
            findings.push(Finding::good(LINK, format!("{}: {} is {state}", health.name, health.user_name)));
        }
    }
    findings
}
