//! `latchkey technician …`: who works with Latchkey.

use std::process::ExitCode;

use latchkey_engine::{BulkStep, Engine, RemovedTechnician, Technician};
use latchkey_protocol::{ErrorBody, ErrorCode};
use serde_json::json;

use super::{CALLER, table};
use crate::cli::TechnicianCommand;
use crate::configuration::edit::{Edit, texts};
use crate::configuration::values::TechnicianName;
use crate::configuration::{Reading, Settings};
use crate::output::{Mark, Output};
use crate::settings::Folders;
use crate::{failure, machine};

pub(super) fn carry_out(command: TechnicianCommand, output: Output) -> Result<ExitCode, ErrorBody> {
    match command {
        TechnicianCommand::Add { name, groups } => add(&name, &groups, output),
        TechnicianCommand::List => list(output),
        TechnicianCommand::Remove { .. } => Err(failure::internal("a command came to the wrong place")),
    }
    .map(|()| ExitCode::SUCCESS)
}

fn add(said: &str, groups: &[String], output: Output) -> Result<(), ErrorBody> {
    let file = Folders::of_this_person()?.configuration_file();
    let name = parse(said)?;
    if let Some(known) = Settings::load(&file)?.policy.technicians.iter().find(|known| is(&known.name, said)) {
        return Err(failure::usage(
            format!("{} is a technician already.", known.name),
            format!("To change the groups: latchkey config set 'technicians.\"{}\".groups' '[\"…\"]'", known.name),
        ));
    }
    let mut entries = vec![("name", name.as_str().into())];
    if !groups.is_empty() {
        entries.push(("groups", texts(groups)));
    }
    let mut edit = Edit::begin(&file)?;
    edit.append("technicians", entries)?;
    edit.write()?;
    output.document(&json!({"added": name.as_str(), "groups": groups, "path": file}));
    let groups = if groups.is_empty() { "no group but 'All admins'".to_owned() } else { groups.join(", ") };
    output.marked(Mark::Good, format_args!("{} is a technician, in {groups}", name.as_str()));
    // Whoever connected the first tenants needed no list; with one, nobody works who is not on it.
    let settings = Settings::load(&file)?;
    let acting = machine::technician(&settings)?;
    if !settings.policy.technicians.iter().any(|known| is(&known.name, acting.as_str())) {
        output.note(format_args!(
            "{0} works here, is not on the list and can start nothing now; to put them on it: latchkey technician add {0}",
            acting.as_str()
        ));
    }
    Ok(())
}

fn list(output: Output) -> Result<(), ErrorBody> {
    let settings = Settings::load(&Folders::of_this_person()?.configuration_file())?;
    let acting = machine::technician(&settings)?;
    let prefix = settings.account_prefix.as_deref().unwrap_or("jit-");
    let mut technicians = settings.policy.technicians.clone();
    if !technicians.iter().any(|known| is(&known.name, acting.as_str())) {
        technicians.insert(0, settings.technician(&acting));
    }
    let document: Vec<_> = technicians
        .iter()
        .map(|known| {
            json!({
                "name": known.name,
                "account": format!("{prefix}{}", known.local_part),
                "groups": known.groups,
                "works_here": is(&known.name, acting.as_str()),
            })
        })
        .collect();
    output.document(&document);
    let rows: Vec<_> = technicians
        .iter()
        .map(|known| {
            let here = if is(&known.name, acting.as_str()) { "works here" } else { "" };
            vec![
                known.name.clone(),
                format!("{prefix}{}", known.local_part),
                here.to_owned(),
                if known.groups.is_empty() { "-".to_owned() } else { known.groups.join(", ") },
            ]
        })
        .collect();
    table(&rows).into_iter().for_each(|line| output.line(line));
    Ok(())
}

/// Ends what a technician has, everywhere, and forgets her or him. Can be run again while something is left.
pub(super) async fn remove(
    engine: &Engine,
    said: &str,
    keep_accounts: bool,
    yes: bool,
    output: Output,
) -> Result<ExitCode, ErrorBody> {
    let name = parse(said)?;
    let tenants = if keep_accounts { Vec::new() } else { engine.tenants().await? };
    let settings = Settings::load(&Folders::of_this_person()?.configuration_file())?;
    let another = |known: &&Technician| known.local_part == name.local_part() && !is(&known.name, said);
    if let Some(other) = settings.policy.technicians.iter().find(another).filter(|_| !tenants.is_empty()) {
        return Err(failure::usage(
            format!("The accounts of {} have the same names as those of {}.", name.as_str(), other.name),
            "Say --keep-accounts to take the name out of the configuration alone.",
        ));
    }
    let question = format!("Delete the accounts of {} in {} tenants? (yes/no)", name.as_str(), tenants.len());
    if !tenants.is_empty() && !super::agreed(&question, yes, output)? {
        output.line("Nothing was changed.");
        return Ok(ExitCode::SUCCESS);
    }
    // First of all: nothing new begins. Whoever is not in the file may have accounts all the same.
    let in_configuration = settings.policy.technicians.iter().any(|known| is(&known.name, said));
    if in_configuration || tenants.is_empty() {
        remove_from_configuration(said)?;
    }
    let mut report = RemovedTechnician::default();
    if !tenants.is_empty() {
        let spinner = output.progress("taking accounts back");
        let on_step = |step: BulkStep| {
            spinner.say(format!("taking accounts back: {} of {} tenants, {}", step.done, step.total, step.tenant_name));
        };
        let technician = settings.technician(&name);
        report = engine.remove_technician(&technician, &CALLER, &on_step).await?;
    }
    output.document(&json!({"removed": name.as_str(), "accounts": report.removed, "left": report.left}));
    report.removed.iter().for_each(|account| output.marked(Mark::Good, format_args!("{account} is deleted")));
    if report.left.is_empty() {
        output.marked(Mark::Good, format_args!("{} is no technician any more", name.as_str()));
        return Ok(ExitCode::SUCCESS);
    }
    report.left.iter().for_each(|error| output.error(error));
    output.note(format_args!("something is left in {} tenants: run this again", report.left.len()));
    Ok(ExitCode::from(failure::exit_code(&report.left[0])))
}

/// Takes a technician out of the configuration file. What she or he has in tenants is not touched.
pub(super) fn remove_from_configuration(said: &str) -> Result<(), ErrorBody> {
    let file = Folders::of_this_person()?.configuration_file();
    let reading = Reading::of(&file)?;
    reading.settings()?;
    let place_in = |number: usize| {
        let file = reading.files.get(number)?;
        file.technicians.iter().position(|section| is(section.value().name.value().as_str(), said))
    };
    let Some(place) = place_in(0) else {
        return Err(match (place_in(1), reading.sources.get(1)) {
            (Some(_), Some(shared)) => failure::usage(
                format!("{said} is named in {}, which your file includes.", shared.path.display()),
                format!("Say: latchkey --config '{}' technician remove {said}", shared.path.display()),
            ),
            _ => ErrorBody::new(
                ErrorCode::ConfigurationInvalid,
                format!("{said} is not among the technicians of {}.", file.display()),
                "See 'latchkey technician list'.",
            ),
        });
    };
    let mut edit = Edit::begin(&file)?;
    edit.remove("technicians", place);
    edit.write()
}

fn parse(said: &str) -> Result<TechnicianName, ErrorBody> {
    TechnicianName::try_from(said.to_owned()).map_err(|_| {
        failure::usage(format!("\"{said}\" cannot name an account."), "Say a user name such as alex@msp.example.")
    })
}

fn is(known: &str, said: &str) -> bool {
    known.to_lowercase() == said.trim().to_lowercase()
}
