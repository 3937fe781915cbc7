//! The commands. Each module turns what was said into calls of the engine and what came back into words.

mod application;
mod attention;
mod audit;
mod break_glass;
mod config;
mod doctor;
mod drift;
mod entitlement;
mod lease;
mod lockdown;
mod manual;
mod onboard;
mod person;
mod pin;
mod technician;
mod tenant;
mod webhook;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use latchkey_engine::{Caller, Engine};
use latchkey_protocol::{ErrorBody, ErrorCode, Progress, Step, TenantSummary};
use serde_json::json;
use uuid::Uuid;

use crate::cli::{Command, CommandLine, ConfigCommand, TechnicianCommand, TenantCommand};
use crate::key_store::Prompting;
use crate::output::{Output, Spinner};
use crate::{failure, install, machine};

pub(crate) use doctor::connection;

/// Runs what the command line says.
pub(crate) fn run() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Help and version go to standard output and are no errors; a closed pipe is none either.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new(line.json, line.quiet);
    if let Some(file) = line.config {
        crate::configuration::say(file);
    }
    match carry_out(line.command, output) {
        Ok(code) => code,
        Err(error) => {
            output.error(&error);
            ExitCode::from(failure::exit_code(&error))
        }
    }
}

fn carry_out(command: Command, output: Output) -> Result<ExitCode, ErrorBody> {
    match command {
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut CommandLine::command(), "latchkey", &mut text);
            output.raw(&String::from_utf8_lossy(&text));
            return Ok(ExitCode::SUCCESS);
        }
        Command::Manual { into } => return manual::show(into.as_deref(), output).map(|()| ExitCode::SUCCESS),
        Command::Version => {
            let version = env!("CARGO_PKG_VERSION");
            output.line(format_args!("latchkey {version} (protocol {})", latchkey_protocol::PROTOCOL_VERSION));
            output.document(&json!({"version": version, "protocol": latchkey_protocol::PROTOCOL_VERSION}));
            return Ok(ExitCode::SUCCESS);
        }
        // What the file says about itself must be told on a machine where nothing else works.
        Command::Config(ConfigCommand::Schema) => return config::schema(output),
        Command::Config(ConfigCommand::Path) => return config::path(output),
        Command::Config(ConfigCommand::Set { key, value }) => return config::set(&key, &value, output),
        Command::Config(ConfigCommand::Unset { key }) => return config::unset(&key, output),
        Command::Config(ConfigCommand::Show) => return config::show(output),
        Command::Technician(command) if !matches!(command, TechnicianCommand::Remove { .. }) => {
            return technician::carry_out(command, output);
        }
        Command::Entitlement(command) => return entitlement::carry_out(command, output),
        Command::Install(install) => return install::install(&install, output).map(|()| ExitCode::SUCCESS),
        _ => {}
    }
    machine::start_log();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failure::internal)?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = with_engine(command, output) => result,
            () = machine::asked_to_stop() => Err(ErrorBody::new(
                ErrorCode::DeadlineExceeded,
                "Interrupted.",
                "What had begun is completed or taken back by the next sweep; see 'latchkey list'.",
            )),
        }
    });
    // The key store may still be asking the person; nobody waits for the answer any more.
    runtime.shutdown_background();
    result
}

async fn with_engine(command: Command, output: Output) -> Result<ExitCode, ErrorBody> {
    let done = |()| ExitCode::SUCCESS;
    match command {
        Command::Tenant(TenantCommand::Add(add)) => tenant::add(*add, output).await.map(done),
        Command::Tenant(TenantCommand::List) => tenant::list(&engine().await?, output).await.map(done),
        Command::Tenant(TenantCommand::Remove(remove)) => {
            tenant::remove(&engine().await?, &remove, output).await.map(done)
        }
        Command::Tenant(TenantCommand::Authorize(authorize)) => onboard::authorize(*authorize, output).await.map(done),
        Command::Tenant(TenantCommand::Onboard(onboard)) => onboard::onboard(*onboard, output).await.map(done),
        Command::Tenant(TenantCommand::Offboard(offboard)) => onboard::offboard(&offboard, output).await.map(done),
        Command::Tenant(TenantCommand::Credential(command)) => {
            application::credential(&engine().await?, command, output).await.map(done)
        }
        Command::Tenant(TenantCommand::Validate { tenant }) => {
            application::validate(&engine().await?, tenant.as_deref(), output).await
        }
        Command::Prepare(prepare) => tenant::prepare(&engine().await?, &prepare, output).await,
        Command::Start(start) => {
            let engine = engine().await?;
            and_tell(&engine, lease::start(&engine, start, output)).await.map(done)
        }
        Command::Extend(extend) => {
            let engine = engine().await?;
            and_tell(&engine, lease::extend(&engine, &extend, output)).await.map(done)
        }
        Command::Code(code) => {
            let engine = engine().await?;
            and_tell(&engine, lease::code(&engine, &code, output)).await.map(done)
        }
        // What needs somebody must be seen, whatever is wrong with the configuration.
        Command::List(list) => lease::list(&engine_to_end(output).await?, &list, output).await.map(done),
        Command::Pin(command) => pin::run(&engine().await?, &command, output).await.map(done),
        Command::End(end) => {
            let engine = engine_to_end(output).await?;
            and_tell(&engine, lease::end(&engine, &end, output)).await
        }
        Command::Lockdown(lock_down) => {
            let engine = engine_to_end(output).await?;
            and_tell(&engine, lockdown::run(&engine, &lock_down, output)).await
        }
        Command::BreakGlass(command) => {
            let engine = engine().await?;
            and_tell(&engine, break_glass::run(&engine, command, output)).await
        }
        Command::Drift(command) => drift::run(&engine().await?, &command, output).await,
        Command::Recover => drift::recover(&engine().await?, output).await,
        Command::Sweep => lease::sweep(output).await,
        Command::SignIn(sign_in) => person::sign_in(&sign_in, output).await.map(done),
        Command::SignOut => person::sign_out(output).await,
        Command::Whoami => person::whoami(output).await.map(done),
        Command::Doctor(doctor) => doctor::examine(&doctor, output).await,
        Command::Audit(audit) => audit::run(audit, output).await,
        Command::Webhook(command) => webhook::run(&engine().await?, &command, output).await,
        Command::Uninstall(uninstall) => {
            if !uninstall.force {
                lease::refuse_while_open().await?;
            }
            install::uninstall(&uninstall, output).map(done)
        }
        Command::Config(ConfigCommand::Check { file }) => config::check(file, output).await,
        Command::Technician(TechnicianCommand::Remove { name, keep_accounts, yes }) => {
            technician::remove(&engine().await?, &name, keep_accounts, yes, output).await
        }
        Command::Config(_)
        | Command::Technician(_)
        | Command::Entitlement(_)
        | Command::Install(_)
        | Command::Completions { .. }
        | Command::Manual { .. }
        | Command::Version => Err(failure::internal("a command came to the wrong place")),
    }
}

async fn engine() -> Result<Engine, ErrorBody> {
    machine::open_engine(Prompting::Allowed).await
}

/// The engine for what takes access away, which no mistake in the configuration may keep from working.
async fn engine_to_end(output: Output) -> Result<Engine, ErrorBody> {
    let (engine, mistake) = machine::open_engine_to_end(Prompting::Allowed).await?;
    if let Some(mistake) = mistake {
        output.note(format_args!("note: the configuration has errors. {} {}", mistake.message, mistake.next_step));
    }
    Ok(engine)
}

/// Carries something out; whatever became of it, the webhook's receiver hears of it at once.
async fn and_tell<T>(engine: &Engine, work: impl Future<Output = Result<T, ErrorBody>>) -> Result<T, ErrorBody> {
    let result = work.await;
    crate::webhook::after(engine).await;
    result
}

/// Who asks, for the audit.
const CALLER: Caller = Caller::CommandLine;

/// Whether the person says yes: asked in a terminal, or said beforehand with `--yes`.
fn agreed(question: &str, yes: bool, output: Output) -> Result<bool, ErrorBody> {
    if yes {
        return Ok(true);
    }
    if !output.can_ask() {
        return Err(failure::usage("Your word for that is missing.", "Say it with --yes, or run this in a terminal."));
    }
    let answer = output
        .ask(question, Some("no"))
        .map_err(|error| failure::usage(format!("No answer: {error}."), "Say --yes instead."))?;
    Ok(matches!(answer.as_str(), "yes" | "y"))
}

/// The tenant that a person means: directory id, name, domain, or the beginning of a name that fits only one.
async fn tenant_named(engine: &Engine, said: &str) -> Result<TenantSummary, ErrorBody> {
    let tenants = engine.tenants().await?;
    tenant_among(&tenants, said).cloned()
}

fn tenant_among<'a>(tenants: &'a [TenantSummary], said: &str) -> Result<&'a TenantSummary, ErrorBody> {
    let id = said.parse::<Uuid>().ok();
    let exact = tenants.iter().find(|tenant| {
        id == Some(tenant.tenant_id)
            || tenant.name.eq_ignore_ascii_case(said)
            || tenant.domains.iter().any(|domain| domain.eq_ignore_ascii_case(said))
    });
    if let Some(tenant) = exact {
        return Ok(tenant);
    }
    let begins: Vec<_> =
        tenants.iter().filter(|tenant| tenant.name.to_lowercase().starts_with(&said.to_lowercase())).collect();
    match begins.as_slice() {
        [tenant] => Ok(tenant),
        [] => Err(ErrorBody::new(
            ErrorCode::TenantUnknown,
            format!("No connected tenant is called \"{said}\"."),
            "See 'latchkey tenant list', or connect it with 'latchkey tenant add'.",
        )),
        several => {
            let names: Vec<_> = several.iter().map(|tenant| tenant.name.as_str()).collect();
            Err(ErrorBody::new(
                ErrorCode::TenantUnknown,
                format!("\"{said}\" fits several tenants: {}.", names.join(", ")),
                "Say the whole name, a domain or the directory id.",
            ))
        }
    }
}

/// Whether the person agrees. Who cannot be asked must have said so.
fn confirmed(question: &str, said_yes: bool, output: Output) -> Result<bool, ErrorBody> {
    if said_yes {
        return Ok(true);
    }
    if !output.can_ask() {
        return Err(failure::usage(question.to_owned(), "Say --yes, or run this in a terminal to be asked."));
    }
    let answer = output
        .ask(&format!("{question} (yes/no)"), Some("no"))
        .map_err(|error| failure::usage(format!("No answer: {error}."), "Say --yes."))?;
    Ok(matches!(answer.as_str(), "yes" | "y"))
}

/// Shows each step of the engine's work.
fn follow(spinner: &Spinner) -> impl Fn(Progress) + Send + Sync + '_ {
    |progress| spinner.say(step_name(progress.step))
}

/// A step in words.
const fn step_name(step: Step) -> &'static str {
    match step {
        Step::Token => "asking for a token",
        Step::CreateAccount => "creating the account",
        Step::SetPassword => "setting a random password",
        Step::Enable => "enabling the account",
        Step::IssuePass => "issuing a Temporary Access Pass",
        Step::AddGroups => "adding to groups",
        Step::AssignRoles => "assigning roles",
        Step::RemoveRoles => "removing roles",
        Step::RemoveGroups => "removing from groups",
        Step::Disable => "disabling the account",
        Step::RevokeSessions => "revoking sessions",
        Step::DeletePass => "deleting passes",
        Step::ReadBack => "reading everything back",
        Step::RegisterPasskey => "making a passkey",
        Step::DeletePasskey => "deleting passkeys",
        Step::AddOathToken => "adding an OATH token",
        Step::DeleteOathToken => "deleting OATH tokens",
    }
}

/// A moment in the person's own time zone.
fn moment(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(
        |_| at.to_string(),
        |time| time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

/// A length of time in words: `2 h 05 min`.
fn duration(milliseconds: i64) -> String {
    let minutes = (milliseconds.max(0) + 59_999) / 60_000;
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes:02} min"),
    }
}

/// Columns with two spaces between them.
fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn tenants() -> Vec<TenantSummary> {
        ["Contoso", "Contoso Pharma", "Fabrikam"]
            .iter()
            .enumerate()
            .map(|(number, name)| {
                serde_json::from_value(json!({
                    "tenant_id": Uuid::from_u128(number as u128 + 1),
                    "name": name,
                    "domains": [format!("{}.onmicrosoft.com", name.to_lowercase().replace(' ', ""))],
                    "cloud": "global",
                    "user_name": "jit-alex@x",
                    "roles": [],
                    "minutes": 240,
                    "maximum_minutes": 480,
                    "credential": {"kind": "password"},
                }))
                .unwrap()
            })
            .collect()
    }

    #[test]
    fn a_tenant_is_found_by_what_a_person_says() {
        let tenants = tenants();
        let found = |said: &str| tenant_among(&tenants, said).map(|tenant| tenant.name.as_str()).ok();
        assert_eq!(found("contoso"), Some("Contoso"));
        assert_eq!(found("contosopharma.onmicrosoft.com"), Some("Contoso Pharma"));
        assert_eq!(found("00000000-0000-0000-0000-000000000003"), Some("Fabrikam"));
        assert_eq!(found("fab"), Some("Fabrikam"));
        assert_eq!(found("cont"), None);
        assert_eq!(found("x"), None);
    }

    #[test]
    fn times_read_as_people_say_them() {
        assert_eq!(duration(1), "1 min");
        assert_eq!(duration(4 * 3_600_000), "4 h");
        assert_eq!(duration(3_600_000 + 5 * 60_000), "1 h 05 min");
        assert_eq!(duration(-5), "0 min");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let rows = table(&[vec!["a".into(), "b".into()], vec!["long".into(), String::new()]]);
        assert_eq!(rows, ["a     b", "long"]);
    }
}
