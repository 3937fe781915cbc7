//! `latchkey tenant …` and `latchkey prepare`.
//!
//! A client secret is asked for without echo or read from standard input; it is never an argument and never in the
//! environment, where other processes could read it.

use std::io::Read as _;
use std::process::ExitCode;

use latchkey_engine::{
    AccountFound, BulkStep, Engine, Inspection, Need, NewCredential, NewTenant, PrepareAll, PreparedAccount,
    PreparedAll, Technician,
};
use latchkey_protocol::{CredentialKind, ErrorBody, ErrorCode, TenantSummary};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{CALLER, duration, follow, table, tenant_named};
use crate::cli::{Prepare, TenantAdd, TenantRemove};
use crate::configuration::Settings;
use crate::configuration::edit::Edit;
use crate::configuration::values::{AccountPrefix, TechnicianName};
use crate::failure;
use crate::key_store::{KeyStore, Prompting};
use crate::machine;
use crate::output::{Mark, Output};
use crate::settings::Folders;
use crate::verification;

/// How long an account stays enabled unless the person says otherwise, in minutes.
const USUAL_MINUTES: u32 = 4 * 60;
/// The longest that may be asked for unless the person says otherwise, in minutes.
const USUAL_MAXIMUM: u32 = 8 * 60;

pub(super) async fn add(add: TenantAdd, output: Output) -> Result<(), ErrorBody> {
    let folders = Folders::of_this_person()?;
    let settings = who_works_here(&folders, &add, output)?;
    let new = complete(add, output)?;
    warn_if_forgetful(output).await;
    let engine = machine::open_engine_with(&folders, &settings, Prompting::Allowed).await?;

    let inspection = if matches!(new.credential, NewCredential::Certificate) {
        super::application::inspect_with_certificate(&engine, &new, output).await?
    } else {
        let _spinner = output.progress("looking at the tenant");
        engine.inspect_tenant(&new).await?
    };
    show_inspection(&inspection, output);
    if let Some(first) = inspection.problems.first() {
        // With --json the error alone would hide what else was found.
        output.document(&json!({"inspection": inspection}));
        for problem in inspection.problems.iter().skip(1) {
            output.problem(Mark::Bad, problem);
        }
        return Err(first.clone());
    }

    let spinner = output.progress("saving, and preparing the account");
    let (tenant, account) = engine.add_tenant(new, &CALLER, &follow(&spinner)).await?;
    crate::tenant_list::update(&engine).await?;
    drop(spinner);
    output.document(&json!({"tenant": tenant, "account": account, "inspection": inspection}));
    output.line("");
    output.marked(Mark::Good, format_args!("{} is connected", tenant.name));
    show_prepared(&account, output);
    output.line(format_args!(
        "    A lease grants {} for {}.",
        tenant.roles.join(", "),
        duration(i64::from(tenant.minutes) * 60_000)
    ));
    Ok(())
}

/// The settings, with the technician and the prefix in them that were said or asked for now.
fn who_works_here(folders: &Folders, add: &TenantAdd, output: Output) -> Result<Settings, ErrorBody> {
    let file = folders.configuration_file();
    let mut settings = Settings::load(&file)?;
    let said = match (&add.technician, &settings.technician) {
        (Some(said), _) => Some(said.clone()),
        (None, Some(_)) => None,
        (None, None) => {
            let here = machine::signed_in_person();
            Some(if output.can_ask() { ask(output, "You, e.g. alex@msp.example", Some(&here))? } else { here })
        }
    };
    // Checked before anything is written down.
    let said = said.map(|said| {
        TechnicianName::try_from(said.clone()).map_err(|_| {
            failure::usage(format!("\"{said}\" cannot name an account."), "Say who you are, e.g. alex@msp.example.")
        })
    });
    let technician = said.transpose()?.filter(|said| settings.technician.as_ref() != Some(said));
    let prefix = add.prefix.clone().map(|prefix| {
        AccountPrefix::try_from(prefix.clone()).map_err(|_| {
            failure::usage(
                format!("\"{prefix}\" cannot begin the name of an account."),
                "Use 1 to 16 letters, digits, dots, dashes or underscores, e.g. jit-.",
            )
        })
    });
    let prefix = prefix.transpose()?.filter(|prefix| settings.account_prefix.as_deref() != Some(prefix.as_str()));
    if technician.is_some() || prefix.is_some() {
        let mut edit = Edit::begin(&file)?;
        if let Some(technician) = technician {
            edit.set_at_top("technician", technician.as_str());
            settings.technician = Some(technician);
        }
        if let Some(prefix) = prefix {
            edit.set_at_top("account_prefix", prefix.as_str());
            settings.account_prefix = Some(prefix.as_str().to_owned());
        }
        edit.write()?;
    }
    Ok(settings)
}

/// Asks for what is missing.
fn complete(add: TenantAdd, output: Output) -> Result<NewTenant, ErrorBody> {
    let tenant_id = id(add.tenant_id, "Directory (tenant) id", "--tenant-id", output)?;
    let client_id = id(add.client_id, "Application (client) id", "--client-id", output)?;
    let roles = if !add.roles.is_empty() {
        add.roles
    } else if output.can_ask() {
        let said = ask(output, "Roles that a lease grants, with commas between", Some("User Administrator"))?;
        said.split(',').map(|role| role.trim().to_owned()).filter(|role| !role.is_empty()).collect()
    } else {
        return Err(missing("a role that a lease grants", "--role"));
    };
    let domain = match add.domain {
        None if output.can_ask() => {
            let said = ask(output, "Domain for the account", Some("the initial one"))?;
            (said != "the initial one").then_some(said)
        }
        domain => domain,
    };
    let minutes = match (add.minutes, add.hours) {
        (Some(minutes), _) => minutes,
        (None, Some(hours)) => hours * 60,
        (None, None) if output.can_ask() => {
            let hours = ask(output, "Hours that it stays enabled", Some("4"))?;
            let hours: Option<u32> = hours.parse().ok().filter(|hours| (1..=24).contains(hours));
            hours.ok_or_else(|| failure::usage("That is not a number of hours from 1 to 24.", "Try again."))? * 60
        }
        (None, None) => USUAL_MINUTES,
    };
    let maximum_minutes = match (add.max_minutes, add.max_hours) {
        (Some(minutes), _) => minutes,
        (None, Some(hours)) => hours * 60,
        (None, None) => USUAL_MAXIMUM.max(minutes),
    };
    if maximum_minutes < minutes {
        return Err(failure::usage(
            format!("The longest lease ({maximum_minutes} min) is shorter than the usual one ({minutes} min)."),
            "Raise --max-hours or --max-minutes, or shorten the usual time.",
        ));
    }
    Ok(NewTenant {
        tenant_id,
        client_id,
        credential: if add.certificate {
            NewCredential::Certificate
        } else {
            NewCredential::ClientSecret {
                value: client_secret(add.secret_stdin, output)?,
                expires_at: add.expires.map(super::application::end_of_day).transpose()?,
            }
        },
        cloud: add.cloud.into(),
        name: add.name,
        domain,
        roles,
        groups: add.groups,
        minutes,
        maximum_minutes,
    })
}

fn id(said: Option<Uuid>, question: &str, option: &str, output: Output) -> Result<Uuid, ErrorBody> {
    match said {
        Some(id) => Ok(id),
        None if output.can_ask() => ask(output, question, None)?.parse().map_err(|_| {
            failure::usage(
                format!("{question}: that is not an id."),
                "Copy it from the overview of the app registration; it has the form 11111111-2222-3333-4444-555555555555.",
            )
        }),
        None => Err(missing(question, option)),
    }
}

fn client_secret(from_stdin: bool, output: Output) -> Result<SecretString, ErrorBody> {
    let text = if from_stdin {
        let mut text = Zeroizing::new(String::with_capacity(1024));
        std::io::stdin()
            .take(4096)
            .read_to_string(&mut text)
            .map_err(|error| failure::usage(format!("The secret could not be read: {error}."), "Try again."))?;
        text
    } else if output.can_ask() {
        output
            .ask_hidden("Client secret (its value; not shown)")
            .map_err(|error| failure::usage(format!("The secret could not be read: {error}."), "Use --secret-stdin."))?
    } else {
        return Err(missing("the client secret", "--secret-stdin"));
    };
    let secret = text.trim();
    if secret.is_empty() {
        return Err(failure::usage("The client secret is empty.", "Paste the secret's value, not its id."));
    }
    Ok(SecretString::from(secret))
}

fn ask(output: Output, question: &str, default: Option<&str>) -> Result<String, ErrorBody> {
    output
        .ask(question, default)
        .map_err(|error| failure::usage(format!("No answer: {error}."), "Say everything with options instead."))
}

fn missing(what: &str, option: &str) -> ErrorBody {
    failure::usage(
        format!("{what} is missing."),
        format!("Say it with {option}, or run this in a terminal to be asked."),
    )
}

/// Says beforehand when the secret will be gone after a reboot.
async fn warn_if_forgetful(output: Output) {
    let state = tokio::task::spawn_blocking(|| KeyStore::new(Prompting::Allowed).state()).await;
    if let Ok(Ok(kind)) = state
        && !kind.survives_reboot()
    {
        output.note(format_args!(
            "note: this machine has no Secret Service, so the client secret goes to the {} and is gone after a reboot; \
             install and unlock gnome-keyring or another Secret Service to keep it",
            kind.name()
        ));
    }
}

fn show_inspection(inspection: &Inspection, output: Output) {
    output.line(format_args!("{} ({})", inspection.organization, inspection.tenant_id));
    output.line("Permissions of the application:");
    for check in &inspection.permissions {
        let permission = check.permission;
        let (mark, note) = match (check.granted, &check.covered_by, permission.need) {
            (true, ..) => (Mark::Good, String::new()),
            (false, Some(other), _) => (Mark::Good, format!(" (covered by {other})")),
            (false, None, Need::Required) => (Mark::Bad, " (missing)".to_owned()),
            (false, None, Need::Documented) => (Mark::Plain, " (not granted, not needed)".to_owned()),
            (false, None, Need::Optional) => (Mark::Warning, " (not granted, optional)".to_owned()),
        };
        output.marked(mark, format_args!("{}{note}: {}", permission.name, permission.purpose));
    }
    let domain = inspection.domains.iter().find(|domain| domain.name.eq_ignore_ascii_case(&inspection.domain));
    match domain {
        Some(domain) if domain.verified && domain.managed => {
            output.marked(Mark::Good, format_args!("{}: verified and managed", domain.name));
        }
        Some(domain) if domain.verified => output.marked(Mark::Bad, format_args!("{}: federated", domain.name)),
        // The list could not be read; the problems below say why.
        _ if inspection.domains.is_empty() => {}
        _ => output.marked(Mark::Bad, format_args!("{}: not a verified domain of the tenant", inspection.domain)),
    }
    for role in &inspection.roles {
        output.marked(Mark::Good, format_args!("role {}", role.name));
    }
    match inspection.account {
        AccountFound::Absent if inspection.domain.is_empty() => {}
        AccountFound::Absent => {
            output.marked(Mark::Good, format_args!("{}: will be created, dormant", inspection.user_name));
        }
        AccountFound::Ours(_) => output.marked(Mark::Good, format_args!("{}: is there and ours", inspection.user_name)),
        AccountFound::NotOurs => {
            output.marked(Mark::Bad, format_args!("{}: is there and not ours", inspection.user_name));
        }
    }
    show_credential_plan(inspection.credential.kind, inspection.credential.because.as_deref(), output);
    for remark in &inspection.remarks {
        output.marked(Mark::Warning, remark);
    }
}

fn show_credential_plan(kind: CredentialKind, because: Option<&str>, output: Output) {
    match kind {
        CredentialKind::Passkey => output.marked(Mark::Good, "signs in with a passkey"),
        CredentialKind::TemporaryAccessPass => {
            output.marked(Mark::Good, "signs in with a Temporary Access Pass");
        }
        CredentialKind::PasswordTotp => {
            output.marked(Mark::Good, "signs in with a password and a one-time code (beta)")
        }
        CredentialKind::Password => {
            let because = because.unwrap_or("the tenant allows nothing better");
            output.marked(Mark::Warning, format_args!("signs in with a password: {because}"));
        }
    }
}

fn show_prepared(account: &PreparedAccount, output: Output) {
    let what = if account.created { "created" } else { "checked" };
    output.marked(Mark::Good, format_args!("{}: {what}, dormant", account.user_name));
    for problem in &account.problems {
        if problem.code == ErrorCode::VerificationNeeded {
            // Nothing went wrong: there is one more thing to do, and the account works without it.
            let todo = "its passkey is not made yet: set a PIN, once, with latchkey pin set, and run latchkey prepare";
            output.marked(Mark::Plain, format_args!("{todo}. Until then the next credential in line is used."));
        } else {
            output.problem(Mark::Warning, problem);
        }
    }
}

pub(super) async fn list(engine: &Engine, output: Output) -> Result<(), ErrorBody> {
    let tenants = engine.tenants().await?;
    output.document(&tenants);
    if tenants.is_empty() {
        output.line("No tenant is connected. Connect one with: latchkey tenant add");
    }
    let rows: Vec<_> = tenants.iter().map(row).collect();
    for line in table(&rows) {
        output.line(line);
    }
    Ok(())
}

fn row(tenant: &TenantSummary) -> Vec<String> {
    let granted = match tenant.profiles.as_slice() {
        [] => "nothing: you are not entitled".to_owned(),
        [only] => only.roles.join(", "),
        several => several.iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>().join(", "),
    };
    vec![
        tenant.name.clone(),
        tenant.user_name.clone(),
        if tenant.lease.is_some() { "lease open" } else { "dormant" }.to_owned(),
        duration(i64::from(tenant.minutes) * 60_000),
        granted,
        tenant.tenant_id.to_string(),
    ]
}

pub(super) async fn remove(engine: &Engine, remove: &TenantRemove, output: Output) -> Result<(), ErrorBody> {
    let tenant = tenant_named(engine, &remove.tenant).await?;
    if !remove.yes {
        if !output.can_ask() {
            return Err(missing("your word that the account there may be deleted", "--yes"));
        }
        let question = format!("Disconnect {} and delete {} there? (yes/no)", tenant.name, tenant.user_name);
        if !matches!(ask(output, &question, Some("no"))?.as_str(), "yes" | "y") {
            output.line("Nothing was changed.");
            return Ok(());
        }
    }
    let spinner = output.progress("ending its lease and deleting the account");
    engine.remove_tenant(tenant.tenant_id, true, &CALLER, &follow(&spinner)).await?;
    crate::tenant_list::update(engine).await?;
    drop(spinner);
    output.document(&json!({"removed": tenant.tenant_id, "name": tenant.name}));
    output.marked(Mark::Good, format_args!("{} is disconnected; {} is deleted", tenant.name, tenant.user_name));
    Ok(())
}

pub(super) async fn prepare(engine: &Engine, prepare: &Prepare, output: Output) -> Result<ExitCode, ErrorBody> {
    let mut tenants = Vec::new();
    for said in &prepare.tenants {
        tenants.push(tenant_named(engine, said).await?.tenant_id);
    }
    let known = engine.technicians();
    let bulk = prepare.all_technicians || !prepare.technicians.is_empty();
    let technicians = match (prepare.all_technicians, prepare.technicians.as_slice()) {
        (true, _) => known,
        (false, []) => vec![engine.acting_technician()],
        (false, said) => said.iter().map(|said| technician_among(&known, said)).collect::<Result<_, _>>()?,
    };
    // A person who asks for single accounts wants them looked after; of many, those that are there are skipped.
    let wish = PrepareAll { technicians, tenants, again: prepare.again || !bulk };
    if engine.lacks_passkeys().await? {
        verification::on_terminal(engine, &CALLER, output).await?;
    }
    let spinner = output.progress("preparing accounts");
    let on_step = |step: BulkStep| {
        spinner.say(format!("preparing accounts: {} of {}, {}", step.done, step.total, step.tenant_name));
    };
    let report = engine.prepare_all(&wish, &CALLER, &on_step).await?;
    drop(spinner);
    output.document(&report);
    let PreparedAll { prepared, skipped, failed, not_tried } = report;
    if prepared.len() <= LISTED {
        prepared.iter().for_each(|account| show_prepared(account, output));
    } else {
        let created = prepared.iter().filter(|account| account.created).count();
        output.marked(
            Mark::Good,
            format_args!("{} accounts are there and dormant, {created} of them new", prepared.len()),
        );
        for account in prepared.iter().filter(|account| !account.problems.is_empty()) {
            show_prepared(account, output);
        }
    }
    if skipped > 0 {
        output.marked(Mark::Good, format_args!("{skipped} were there already"));
    }
    if prepared.is_empty() && skipped == 0 && failed.is_empty() {
        output.line("No tenant is connected in which anybody of them may get something.");
    }
    failed.iter().for_each(|error| output.error(error));
    if not_tried > 0 {
        output.note(format_args!("{not_tried} more were not tried in those tenants; run it again afterwards"));
    }
    Ok(failed.first().map_or(ExitCode::SUCCESS, |error| ExitCode::from(failure::exit_code(error))))
}

/// More accounts than this are counted and not listed.
const LISTED: usize = 20;

fn technician_among(known: &[Technician], said: &str) -> Result<Technician, ErrorBody> {
    let said = said.trim().to_lowercase();
    let found = known.iter().find(|one| one.name.to_lowercase() == said).cloned();
    found.ok_or_else(|| {
        failure::usage(
            format!("{said} is not among the technicians."),
            "See 'latchkey technician list'; add one with 'latchkey technician add'.",
        )
    })
}
