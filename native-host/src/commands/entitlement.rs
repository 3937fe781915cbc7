//! `latchkey entitlement …`: which group of technicians may get what.

use std::process::ExitCode;

use latchkey_protocol::ErrorBody;
use serde_json::{Value, json};

use super::{duration, table};
use crate::cli::{EntitlementAdd, EntitlementCommand};
use crate::configuration::Reading;
use crate::configuration::diagnostic::position;
use crate::configuration::edit::{Edit, texts};
use crate::failure;
use crate::output::{Mark, Output};
use crate::settings::Folders;

pub(super) fn carry_out(command: EntitlementCommand, output: Output) -> Result<ExitCode, ErrorBody> {
    match command {
        EntitlementCommand::Add(add) => self::add(&add, output),
        EntitlementCommand::List => list(output),
        EntitlementCommand::Remove { number } => remove(number, output),
    }
    .map(|()| ExitCode::SUCCESS)
}

fn add(add: &EntitlementAdd, output: Output) -> Result<(), ErrorBody> {
    let file = Folders::of_this_person()?.configuration_file();
    let mut entries = vec![("group", add.group.as_str().into())];
    if !add.tenants.is_empty() {
        entries.push(("tenants", texts(&add.tenants)));
    }
    if let Some(profile) = &add.profile {
        entries.push(("profile", profile.as_str().into()));
    }
    if !add.roles.is_empty() {
        entries.push(("roles", texts(&add.roles)));
    }
    if !add.member_of.is_empty() {
        entries.push(("groups", texts(&add.member_of)));
    }
    if let Some(minutes) = add.max_minutes {
        entries.push(("maximum_minutes", i64::from(minutes).into()));
    }
    let mut edit = Edit::begin(&file)?;
    edit.append("entitlements", entries)?;
    edit.write()?;
    output.document(&json!({"added": add.group, "path": file}));
    let given: Vec<_> = add.roles.iter().chain(&add.member_of).map(String::as_str).collect();
    let tenants = if add.tenants.is_empty() { "all tenants".to_owned() } else { add.tenants.join(", ") };
    output.marked(Mark::Good, format_args!("{} may get {} in {tenants}", add.group, given.join(", ")));
    Ok(())
}

fn list(output: Output) -> Result<(), ErrorBody> {
    let reading = Reading::of(&Folders::of_this_person()?.configuration_file())?;
    let settings = reading.settings()?;
    let places: Vec<_> = reading
        .files
        .iter()
        .zip(&reading.sources)
        .flat_map(|(file, source)| {
            let line = |start| position(&source.text, start).0;
            file.entitlements.iter().map(move |section| (source.path.display().to_string(), line(section.span().start)))
        })
        .collect();
    let entitlements = &settings.policy.entitlements;
    let document: Vec<Value> = entitlements
        .iter()
        .zip(&places)
        .enumerate()
        .map(|(number, (entitlement, (file, line)))| {
            json!({
                "number": number + 1,
                "group": entitlement.group,
                "profile": entitlement.profile,
                "tenants": entitlement.tenants.iter().map(|tenant| &tenant.0).collect::<Vec<_>>(),
                "roles": entitlement.roles,
                "groups": entitlement.groups,
                "maximum_minutes": entitlement.maximum_minutes,
                "file": file,
                "line": line,
            })
        })
        .collect();
    output.document(&document);
    if entitlements.is_empty() {
        output.line("There is none: everybody may get what was named at 'latchkey tenant add'.");
        return Ok(());
    }
    let rows: Vec<_> = entitlements
        .iter()
        .enumerate()
        .map(|(number, entitlement)| {
            let tenants: Vec<_> = entitlement.tenants.iter().map(|tenant| tenant.0.as_str()).collect();
            let given: Vec<_> = entitlement.roles.iter().chain(&entitlement.groups).map(String::as_str).collect();
            vec![
                format!("{}", number + 1),
                entitlement.group.clone(),
                entitlement.profile.clone(),
                if tenants.is_empty() { "all tenants".to_owned() } else { tenants.join(", ") },
                entitlement.maximum_minutes.map_or_else(
                    || "-".to_owned(),
                    |minutes| format!("at most {}", duration(i64::from(minutes) * 60_000)),
                ),
                given.join(", "),
            ]
        })
        .collect();
    table(&rows).into_iter().for_each(|line| output.line(line));
    Ok(())
}

fn remove(number: usize, output: Output) -> Result<(), ErrorBody> {
    let file = Folders::of_this_person()?.configuration_file();
    let reading = Reading::of(&file)?;
    reading.settings()?;
    let all: Vec<_> = reading
        .files
        .iter()
        .zip(&reading.sources)
        .flat_map(|(file, source)| file.entitlements.iter().enumerate().map(move |(place, one)| (source, place, one)))
        .collect();
    let Some((source, place, removed)) = number.checked_sub(1).and_then(|number| all.get(number)) else {
        return Err(failure::usage(format!("There is no entitlement {number}."), "See 'latchkey entitlement list'."));
    };
    if source.path != file {
        return Err(failure::usage(
            format!("That entitlement stands in {}, which your file includes.", source.path.display()),
            format!("Say: latchkey --config '{}' entitlement remove {}", source.path.display(), place + 1),
        ));
    }
    let mut edit = Edit::begin(&file)?;
    edit.remove("entitlements", *place);
    edit.write()?;
    let section = removed.value();
    output.document(&json!({"removed": number, "group": section.group.value().as_str(), "profile": section.profile()}));
    output.marked(Mark::Good, format_args!("{}: {} is taken away", section.group.value().as_str(), section.profile()));
    Ok(())
}
