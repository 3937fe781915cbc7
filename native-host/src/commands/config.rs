//! `latchkey config …`: the configuration file.

use std::path::PathBuf;
use std::process::ExitCode;

use latchkey_engine::{LoginMode, PasswordLength, Rules};
use latchkey_protocol::ErrorBody;
use serde_json::{Value, json};

use super::table;
use crate::configuration::diagnostic::{Severity, Source, position, shown};
use crate::configuration::edit::{Edit, identity};
use crate::configuration::schema::Schema;
use crate::configuration::{ENVIRONMENT, Reading};
use crate::key_store::Prompting;
use crate::machine;
use crate::output::{Mark, Output};
use crate::settings::Folders;

pub(super) fn schema(output: Output) -> Result<ExitCode, ErrorBody> {
    let text = serde_json::to_string_pretty(Schema::of_the_file().document()).map_err(crate::failure::internal)?;
    output.raw(&format!("{text}\n"));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn path(output: Output) -> Result<ExitCode, ErrorBody> {
    let file = Folders::of_this_person()?.configuration_file();
    output.document(&json!({"path": file, "exists": file.exists()}));
    output.line(file.display());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn set(key: &str, value: &str, output: Output) -> Result<ExitCode, ErrorBody> {
    let file = Folders::of_this_person()?.configuration_file();
    let mut edit = Edit::begin(&file)?;
    edit.set(key, value)?;
    edit.write()?;
    output.document(&json!({"path": file, "set": key}));
    output.marked(Mark::Good, format_args!("{key} is set in {}", file.display()));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn unset(key: &str, output: Output) -> Result<ExitCode, ErrorBody> {
    let file = Folders::of_this_person()?.configuration_file();
    let mut edit = Edit::begin(&file)?;
    let was_set = edit.unset(key)?;
    if was_set {
        edit.write()?;
    }
    output.document(&json!({"path": file, "unset": key, "was_set": was_set}));
    match was_set {
        true => output.marked(Mark::Good, format_args!("{key} is not set any more in {}", file.display())),
        false => output.line(format_args!("{key} was not set in {}.", file.display())),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn check(file: Option<PathBuf>, output: Output) -> Result<ExitCode, ErrorBody> {
    let folders = Folders::of_this_person()?;
    let is_ours = file.is_none();
    let file = match file {
        Some(file) if file.exists() => file,
        Some(file) => {
            return Err(crate::failure::usage(format!("There is no file {}.", file.display()), "Check the name."));
        }
        None => folders.configuration_file(),
    };
    let mut reading = Reading::of(&file)?;
    // A company's file is checked where nobody works with it: there is nobody to compare it with.
    if is_ours {
        compare(&mut reading, &folders).await;
    }
    let errors = reading.errors().count();
    let warnings = reading.diagnostics.len() - errors;
    let found: Vec<Value> = reading.diagnostics.iter().map(|found| found.document(&reading.sources)).collect();
    let files: Vec<_> = reading.sources.iter().map(|source| &source.path).collect();
    output.document(&json!({"valid": errors == 0, "files": files, "findings": found}));
    for found in &reading.diagnostics {
        output.line(format_args!("{}\n", found.picture(&reading.sources, output.colors())));
    }
    let files: Vec<_> = files.into_iter().map(|path| shown(path)).collect();
    let (mark, summary) = match (errors, warnings) {
        (0, 0) => (Mark::Good, "nothing is wrong".to_owned()),
        (0, warnings) => (Mark::Warning, format!("usable; warnings: {warnings}")),
        (errors, warnings) => (Mark::Bad, format!("not usable; errors: {errors}, warnings: {warnings}")),
    };
    output.marked(mark, format_args!("{}: {summary}", files.join(" with ")));
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Looks at the file beside what this machine knows: its tenants and its technician.
pub(super) async fn compare(reading: &mut Reading, folders: &Folders) {
    let settings = reading.settings_in_any_case();
    if let Ok(technician) = machine::technician(&settings) {
        reading.compare_with_technician(&technician);
    }
    if !folders.database().exists() {
        return;
    }
    if let Ok(engine) = machine::open_engine_with(folders, &settings, Prompting::Never).await
        && let Ok(tenants) = engine.tenants().await
    {
        reading.compare_with_tenants(&tenants);
    }
}

/// One setting that holds.
struct Setting {
    key: String,
    value: String,
    from: String,
}

pub(super) fn show(output: Output) -> Result<ExitCode, ErrorBody> {
    let folders = Folders::of_this_person()?;
    let reading = Reading::of(&folders.configuration_file())?;
    let settings = reading.settings()?;
    let mut all = written(&reading.sources);
    let usual = usual(&settings.policy.everywhere);
    for (key, value, from) in usual {
        if !all.iter().any(|setting| setting.key == key || setting.key.starts_with(&format!("{key}."))) {
            all.push(Setting { key: key.to_owned(), value, from: from.to_owned() });
        }
    }
    let rows: Vec<_> =
        all.iter().map(|setting| vec![setting.key.clone(), setting.value.clone(), setting.from.clone()]).collect();
    let document: Vec<Value> =
        all.iter().map(|setting| json!({"key": setting.key, "value": setting.value, "from": setting.from})).collect();
    let warnings = reading.diagnostics.iter().filter(|found| found.severity == Severity::Warning).count();
    output.document(&json!({"settings": document, "warnings": warnings}));
    for line in table(&rows) {
        output.line(line);
    }
    if warnings > 0 {
        output.note("note: 'latchkey config check' has warnings");
    }
    Ok(ExitCode::SUCCESS)
}

/// What holds unless it is set, and from where.
fn usual(rules: &Rules) -> Vec<(&'static str, String, &'static str)> {
    const BUILT_IN: &str = "built in";
    const GIVEN: &str = "tenant add";
    let proxy = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .into_iter()
        .find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let mut usual = vec![
        ("technician", machine::signed_in_person(), "signed in to this machine"),
        ("account_prefix", "jit-".to_owned(), BUILT_IN),
        ("access.minutes", "each tenant's own".to_owned(), GIVEN),
        ("access.maximum_minutes", "each tenant's own".to_owned(), GIVEN),
        ("access.leases_at_once", "no limit".to_owned(), BUILT_IN),
        ("access.reason", "false".to_owned(), BUILT_IN),
        ("access.ticket", "none is asked for".to_owned(), BUILT_IN),
        ("access.password_length", PasswordLength::default().characters().to_string(), BUILT_IN),
        ("access.timed_roles", "true".to_owned(), BUILT_IN),
        ("access.timed_roles", "true".to_owned(), BUILT_IN),
        ("entitlements", "each tenant's own roles and groups".to_owned(), GIVEN),
    ];
    if rules.login.as_ref().is_none_or(|login| *login == LoginMode::Individual) {
        usual.push(("access.login", "individual".to_owned(), BUILT_IN));
    }
    if let Some(name) = proxy {
        usual.push(("network.proxy", "the environment's".to_owned(), name));
    }
    if std::env::var_os(ENVIRONMENT).is_some_and(|value| !value.is_empty()) {
        usual.push(("(this file)", ENVIRONMENT.to_owned(), "environment"));
    }
    usual
}

/// Every value that stands in the files, with its place.
fn written(sources: &[Source]) -> Vec<Setting> {
    let mut all = Vec::new();
    for source in sources {
        let Ok(table) = toml::de::DeTable::parse(&source.text) else { continue };
        let mut found = Vec::new();
        for (key, value) in table.get_ref() {
            flatten(key.get_ref().to_string(), value, &mut found);
        }
        found.sort_by_key(|(_, _, start)| *start);
        all.extend(found.into_iter().map(|(key, value, start)| {
            let (line, _) = position(&source.text, start);
            let value = without_password(&key, value);
            Setting { key, value, from: format!("{}:{line}", source.path.display()) }
        }));
    }
    all
}

fn flatten(key: String, value: &toml::Spanned<toml::de::DeValue<'_>>, found: &mut Vec<(String, String, usize)>) {
    use toml::de::DeValue;
    match value.get_ref() {
        DeValue::Table(table) => {
            for (name, value) in table {
                flatten(format!("{key}.{}", name.get_ref()), value, found);
            }
        }
        DeValue::Array(array) if array.iter().any(|element| element.get_ref().is_table()) => {
            for (number, element) in array.iter().enumerate() {
                let name = identity(&key).and_then(|key| element.get_ref().get(key)?.get_ref().as_str());
                let name = name.map_or_else(|| (number + 1).to_string(), |name| format!("{name:?}"));
                flatten(format!("{key}.{name}"), element, found);
            }
        }
        DeValue::Array(array) => {
            let texts: Vec<String> = array.iter().map(|element| plain(element.get_ref())).collect();
            found.push((key, texts.join(", "), value.span().start));
        }
        other => found.push((key, plain(other), value.span().start)),
    }
}

fn plain(value: &toml::de::DeValue<'_>) -> String {
    use toml::de::DeValue;
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => "…".to_owned(),
    }
}

/// An address without the password that may stand in it.
fn without_password(key: &str, value: String) -> String {
    match value.parse::<url::Url>() {
        Ok(mut address) if address.password().is_some() && key == "network.proxy" => {
            let _ = address.set_password(Some("…"));
            address.to_string().replace("%E2%80%A6", "…")
        }
        _ => value,
    }
}
