//! Changes of the configuration file by commands.
//!
//! What a person wrote stays: comments, order, spaces. The new text is checked as if it stood in the file, and written
//! only when nothing is wrong with it, to a file beside it that then takes its place at once.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use latchkey_protocol::{ErrorBody, ErrorCode};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Key, Table, TableLike, Value};

use super::Reading;
use super::diagnostic::shown;
use super::read::closest;
use super::schema::Schema;
use crate::failure;

/// A configuration file that is being changed.
#[derive(Debug)]
pub(crate) struct Edit {
    /// As it was named.
    path: PathBuf,
    /// Where it really is: a link (people keep such files elsewhere) is followed, so that it stays one.
    target: PathBuf,
    document: DocumentMut,
}

impl Edit {
    /// Begins with what stands in the file; with nothing when there is none.
    pub(crate) fn begin(file: &Path) -> Result<Self, ErrorBody> {
        let (path, target) = (file.to_owned(), std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned()));
        let text = match std::fs::read_to_string(&target) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failure::disk(&error, &format!("{} cannot be read", shown(&path)))),
        };
        match text.parse() {
            Ok(document) => Ok(Self { path, target, document }),
            Err(_) => Err(Reading::of_text(&path, text)
                .refusal()
                .unwrap_or_else(|| refused(format!("{} is not TOML", shown(&path)), "Correct it first."))),
        }
    }

    /// Sets a key, e.g. `access.minutes` or `tenants.Contoso.minutes`, to what a person said.
    pub(crate) fn set(&mut self, key: &str, said: &str) -> Result<(), ErrorBody> {
        let keys = parse_key(key)?;
        let schema = Schema::of_the_file();
        let path = schema_path(&keys);
        let text = schema.is_text(&path).ok_or_else(|| no_such_key(key, &path, schema))?;
        let value = match said.parse::<Value>() {
            // What is said for a text is that text, whatever else it could be; in quotes, what is in them.
            Ok(value) if !text || value.is_str() => value,
            _ => Value::from(said),
        };
        self.set_value(&keys, value)
    }

    /// Sets a key at the top of the file.
    pub(crate) fn set_at_top(&mut self, key: &str, value: impl Into<Value>) {
        put(self.document.as_table_mut(), key, value.into());
    }

    fn set_value(&mut self, keys: &[String], value: Value) -> Result<(), ErrorBody> {
        let Some((last, sections)) = keys.split_last() else { return Ok(()) };
        let mut section: &mut dyn TableLike = self.document.as_table_mut();
        let mut rest = sections.iter();
        while let Some(name) = rest.next() {
            let found = section.entry(name).or_insert_with(|| new_section(name));
            section = if is_list(name) {
                let element = rest.next().ok_or_else(|| {
                    refused(
                        format!("{name} is a list."),
                        format!("Say which one, e.g. {name}.{}.{last}.", identity(name).map_or("1", |_| "NAME")),
                    )
                })?;
                element_of(found, name, element, true)?
            } else {
                found
                    .as_table_like_mut()
                    .ok_or_else(|| refused(format!("{name} is no section."), "Correct it first."))?
            };
        }
        put(section, last, value);
        Ok(())
    }

    /// Takes a key away, or a whole section; `false` when it is not set.
    pub(crate) fn unset(&mut self, key: &str) -> Result<bool, ErrorBody> {
        let keys = parse_key(key)?;
        let Some((last, sections)) = keys.split_last() else { return Ok(false) };
        let mut section: &mut dyn TableLike = self.document.as_table_mut();
        let mut rest = sections.iter();
        while let Some(name) = rest.next() {
            let Some(found) = section.get_mut(name) else { return Ok(false) };
            section = match (is_list(name), rest.next()) {
                (true, Some(element)) => match element_of(found, name, element, false) {
                    Ok(element) => element,
                    Err(_) => return Ok(false),
                },
                (true, None) => {
                    let Some(place) = place_of(found, name, last) else { return Ok(false) };
                    remove_element(found, place);
                    return Ok(true);
                }
                (false, Some(_)) => return Ok(false),
                (false, None) => match found.as_table_like_mut() {
                    Some(section) => section,
                    None => return Ok(false),
                },
            };
        }
        Ok(section.remove(last).is_some())
    }

    /// Appends a section `[[name]]`.
    pub(crate) fn append(&mut self, name: &str, entries: Vec<(&str, Value)>) -> Result<(), ErrorBody> {
        let list = self.document.entry(name).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        match list {
            Item::ArrayOfTables(list) => {
                let mut table = Table::new();
                table.decor_mut().set_prefix("\n");
                for (key, value) in entries {
                    table.insert(key, Item::Value(value));
                }
                list.push(table);
                Ok(())
            }
            Item::Value(Value::Array(list)) => {
                list.push(Value::InlineTable(entries.into_iter().map(|(key, value)| (Key::new(key), value)).collect()));
                Ok(())
            }
            _ => Err(refused(format!("{name} is no list of sections."), "Correct it first.")),
        }
    }

    /// Takes away the element of a list of sections; counted from 0. `false` when there is none.
    pub(crate) fn remove(&mut self, name: &str, place: usize) -> bool {
        self.document.get_mut(name).is_some_and(|list| remove_element(list, place))
    }

    /// Checks the new text and puts it in the file's place.
    pub(crate) fn write(self) -> Result<(), ErrorBody> {
        let text = self.document.to_string();
        let reading = Reading::of_text(&self.path, text.clone());
        if let Some(error) = reading.errors().next() {
            let at = error.at(&reading.sources);
            return Err(refused(
                format!("Nothing was changed, because the file would not be right at {at}: {}", error.message),
                error.next_step.clone(),
            ));
        }
        replace(&self.target, &text)
    }
}

/// Puts the text in the file's place at once: whoever reads sees the old or the new one, whole.
fn replace(path: &Path, text: &str) -> Result<(), ErrorBody> {
    let failed = |error: std::io::Error| failure::disk(&error, &format!("{} cannot be written", shown(path)));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        crate::settings::create_private_folder(folder).map_err(failed)?;
    }
    let fresh = path.with_extension(format!("toml.{}", std::process::id()));
    let written = (|| {
        let mut file = std::fs::File::create(&fresh)?;
        if let Ok(old) = std::fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    })();
    written.map_err(|error| {
        let _ = std::fs::remove_file(&fresh);
        failed(error)
    })
}

/// The key, and what a list's element is known by: `tenants.Contoso.minutes`, `technicians."alex@msp.example".groups`.
fn parse_key(key: &str) -> Result<Vec<String>, ErrorBody> {
    let parsed = Key::parse(key).ok().filter(|keys| !keys.is_empty());
    let keys = parsed.ok_or_else(|| {
        refused(
            format!("\"{key}\" is not a key."),
            "Write it like access.minutes; a name with dots or spaces goes in quotes: 'tenants.\"Contoso Ltd\".minutes'.",
        )
    })?;
    Ok(keys.iter().map(|key| key.get().to_owned()).collect())
}

/// The keys without what names an element of a list.
fn schema_path(keys: &[String]) -> Vec<String> {
    let mut path = Vec::new();
    let mut rest = keys.iter();
    while let Some(key) = rest.next() {
        path.push(key.clone());
        if is_list(key) && path.len() == 1 {
            rest.next();
        }
    }
    path
}

fn no_such_key(key: &str, path: &[String], schema: &Schema) -> ErrorBody {
    let (last, section) = path.split_last().map_or(("", &[][..]), |(last, section)| (last.as_str(), section));
    let known = schema.keys_in(section);
    if super::diagnostic::is_named_like_a_secret(last) {
        return refused(
            format!("\"{key}\" looks like a secret, and secrets are never in this file."),
            "They live in the key store of the operating system alone, where 'latchkey tenant add' puts them.",
        );
    }
    let next_step = match closest(last, &known) {
        Some(meant) => format!("Did you mean \"{meant}\"?"),
        None if known.is_empty() => "'latchkey config schema' knows every key.".to_owned(),
        None => format!("Known there: {}.", known.join(", ")),
    };
    refused(format!("There is no key \"{key}\"."), next_step)
}

/// Whether this is a list of sections.
fn is_list(name: &str) -> bool {
    Schema::of_the_file().is_list_of_sections(name)
}

/// The key by which people name an element of a list; by its number where there is none.
pub(crate) fn identity(list: &str) -> Option<&'static str> {
    match list {
        "tenants" => Some("tenant"),
        "technicians" => Some("name"),
        _ => None,
    }
}

fn new_section(name: &str) -> Item {
    if is_list(name) {
        return Item::ArrayOfTables(ArrayOfTables::new());
    }
    let mut table = Table::new();
    table.decor_mut().set_prefix("\n");
    Item::Table(table)
}

/// Where in a list the element is that a person means; counted from 0.
fn place_of(list: &Item, name: &str, said: &str) -> Option<usize> {
    let is_meant = |table: &dyn TableLike| {
        let key = identity(name)?;
        let own = table.get(key)?.as_str()?;
        Some(own.to_lowercase() == said.to_lowercase())
    };
    let tables: Vec<&dyn TableLike> = match list {
        Item::ArrayOfTables(list) => list.iter().map(|table| table as &dyn TableLike).collect(),
        Item::Value(Value::Array(list)) => {
            list.iter().filter_map(|value| Some(value.as_inline_table()? as &dyn TableLike)).collect()
        }
        _ => Vec::new(),
    };
    match identity(name) {
        Some(_) => tables.into_iter().position(|table| is_meant(table) == Some(true)),
        None => said.parse::<usize>().ok()?.checked_sub(1).filter(|place| *place < tables.len()),
    }
}

/// The element of a list that a person means; made when it is not there and may be.
fn element_of<'a>(
    list: &'a mut Item,
    name: &str,
    said: &str,
    may_make: bool,
) -> Result<&'a mut dyn TableLike, ErrorBody> {
    let absent = || refused(format!("{name} has no element {said}."), "See 'latchkey config show'.");
    let place = match (place_of(list, name, said), identity(name)) {
        (Some(place), _) => place,
        (None, Some(key)) if may_make => {
            let Item::ArrayOfTables(tables) = &mut *list else { return Err(absent()) };
            let mut table = Table::new();
            table.decor_mut().set_prefix("\n");
            table.insert(key, Item::Value(Value::from(said)));
            tables.push(table);
            tables.len() - 1
        }
        (None, _) => return Err(absent()),
    };
    let found = match list {
        Item::ArrayOfTables(list) => list.get_mut(place).map(|table| table as &mut dyn TableLike),
        Item::Value(Value::Array(list)) => {
            list.get_mut(place).and_then(|value| Some(value.as_inline_table_mut()? as &mut dyn TableLike))
        }
        _ => None,
    };
    found.ok_or_else(absent)
}

/// Sets the key and leaves the spaces and the comment that stand around its value.
fn put(section: &mut dyn TableLike, key: &str, mut value: Value) {
    match section.get_mut(key) {
        Some(Item::Value(old)) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        _ => {
            section.insert(key, Item::Value(value));
        }
    }
}

/// Takes an element of a list away. A comment that an empty line sets off from it stays.
fn remove_element(list: &mut Item, place: usize) -> bool {
    match list {
        Item::ArrayOfTables(list) if place < list.len() => {
            let prefix = list.get(place).and_then(|table| table.decor().prefix()?.as_str().map(str::to_owned));
            list.remove(place);
            let kept = prefix.as_deref().and_then(|prefix| prefix.rfind("\n\n").map(|end| &prefix[..end]));
            if let (Some(kept), Some(next)) = (kept.filter(|kept| kept.contains('#')), list.get_mut(place)) {
                let own = next.decor().prefix().and_then(|own| own.as_str()).unwrap_or_default();
                let both = format!("{kept}\n\n{}", own.trim_start_matches('\n'));
                next.decor_mut().set_prefix(both);
            }
            true
        }
        Item::Value(Value::Array(list)) if place < list.len() => {
            list.remove(place);
            true
        }
        _ => false,
    }
}

/// A list of texts as a value.
pub(crate) fn texts(values: &[String]) -> Value {
    Value::Array(values.iter().map(String::as_str).collect::<Array>())
}

fn refused(message: String, next_step: impl Into<String>) -> ErrorBody {
    ErrorBody::new(ErrorCode::ConfigurationInvalid, message, next_step)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const WRITTEN: &str = "# ours\ntechnician = \"alex@msp.example\"  # me\n\n[access]   # for all\nminutes = 240 # four \
                           hours\n\n# the customers\n\n# Contoso pays\n[[tenants]]\ntenant = \"Contoso\"\nminutes = 60\n\n\
                           [[tenants]]\ntenant = \"Fabrikam Ltd\"\n";

    /// The text after a change.
    fn changed(text: &str, change: impl FnOnce(&mut Edit) -> Result<(), ErrorBody>) -> Result<String, ErrorBody> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        let mut edit = Edit::begin(&file).unwrap();
        let result = change(&mut edit).and_then(|()| edit.write());
        let now = std::fs::read_to_string(&file).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the file");
        if result.is_err() {
            assert_eq!(now, text, "a refused change leaves the file as it was");
        }
        result.map(|()| now)
    }

    #[test]
    fn what_a_person_wrote_stays() {
        let set = |key: &str, value: &str| changed(WRITTEN, |edit| edit.set(key, value)).unwrap();
        assert_eq!(set("access.minutes", "120"), WRITTEN.replace("minutes = 240 #", "minutes = 120 #"));
        assert_eq!(set("technician", "kim@msp.example"), WRITTEN.replace("alex@msp", "kim@msp"));
        assert_eq!(
            set("access.maximum_minutes", "480"),
            WRITTEN.replace("four hours\n", "four hours\nmaximum_minutes = 480\n")
        );
        assert_eq!(
            set("tenants.contoso.minutes", "30"),
            WRITTEN.replace("\"Contoso\"\nminutes = 60", "\"Contoso\"\nminutes = 30")
        );
        assert_eq!(set("tenants.\"Fabrikam Ltd\".reason", "true"), format!("{WRITTEN}reason = true\n"));
        assert_eq!(
            set("tenants.Northwind.minutes", "5"),
            format!("{WRITTEN}\n[[tenants]]\ntenant = \"Northwind\"\nminutes = 5\n")
        );
        assert!(
            set("account_prefix", "adm-")
                .starts_with("# ours\ntechnician = \"alex@msp.example\"  # me\naccount_prefix = \"adm-\"\n\n[access]")
        );
        assert!(set("access.login", "individual").contains("login = \"individual\"\n"));
        assert!(set("access.login", "{ shared = \"helpdesk\" }").contains("login = { shared = \"helpdesk\" }\n"));
        assert!(set("access.ticket", "INC-[0-9]+").contains("ticket = \"INC-[0-9]+\"\n"));
        assert!(set("access.ticket", "[0-9]").contains("ticket = \"[0-9]\"\n"));
        assert!(set("network.proxy", "http://p:1").ends_with("\n[network]\nproxy = \"http://p:1\"\n"));
        assert!(set("extension_ids", "[\"a@b.c\"]").contains("extension_ids = [\"a@b.c\"]\n"));
    }

    #[test]
    fn what_would_not_be_right_is_refused() {
        let set = |key: &str, value: &str| changed(WRITTEN, |edit| edit.set(key, value)).unwrap_err();
        for (key, value, message, next_step) in [
            ("access.minutes", "0", "minutes are a whole number", ""),
            ("access.minutes", "four", "this must be a whole number", ""),
            ("access.maximum_minutes", "60", "longer than the longest allowed", "lower"),
            ("access.minuets", "60", "no key \"access.minuets\"", "\"minutes\""),
            ("nowhere.minutes", "60", "no key", "schema"),
            ("client_secret", "hunter2", "never in this file", "key store"),
            ("access.password", "hunter2", "never in this file", "key store"),
            ("tenants.minutes", "60", "tenants is a list", "tenants.name.minutes"),
            ("entitlements.4.profile", "x", "no element 4", "config show"),
            ("", "x", "not a key", "quotes"),
            ("technician", "@", "cannot name an account", ""),
        ] {
            let error = set(key, value);
            assert!(error.message.to_lowercase().contains(message), "{key}: {error:?}");
            assert!(error.next_step.to_lowercase().contains(next_step), "{key}: {error:?}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn what_is_taken_away_takes_nothing_with_it() {
        let unset = |key: &'static str| {
            changed(WRITTEN, move |edit| {
                assert!(edit.unset(key)?, "{key}");
                Ok(())
            })
            .unwrap()
        };
        assert_eq!(unset("tenants.Contoso.minutes"), WRITTEN.replace("minutes = 60\n", ""));
        let without = unset("tenants.contoso");
        assert!(without.contains("# the customers") && !without.contains("Contoso"), "{without}");
        assert!(!unset("access").contains("minutes = 240"));
        for key in ["access.reason", "nowhere", "tenants.Nobody", "tenants.Nobody.minutes", "technician.x"] {
            changed(WRITTEN, |edit| {
                assert!(!edit.unset(key)?, "{key}");
                Ok(())
            })
            .unwrap();
        }
    }

    #[test]
    fn sections_are_appended_and_removed() {
        let added = changed(WRITTEN, |edit| {
            edit.append("technicians", vec![("name", "alex".into()), ("groups", texts(&["Level 1".to_owned()]))])
        })
        .unwrap();
        assert_eq!(added, format!("{WRITTEN}\n[[technicians]]\nname = \"alex\"\ngroups = [\"Level 1\"]\n"));
        let back = changed(&added, |edit| {
            assert!(edit.remove("technicians", 0) && !edit.remove("technicians", 0));
            Ok(())
        })
        .unwrap();
        assert_eq!(back, WRITTEN);
        let inline = "tenants = [{ tenant = \"Contoso\" }]\n";
        let more = changed(inline, |edit| edit.append("tenants", vec![("tenant", "Fabrikam".into())])).unwrap();
        assert_eq!(more, "tenants = [{ tenant = \"Contoso\" }, { tenant = \"Fabrikam\" }]\n");
        let set = changed(inline, |edit| edit.set("tenants.Contoso.minutes", "5")).unwrap();
        assert_eq!(set, "tenants = [{ tenant = \"Contoso\" , minutes = 5 }]\n");
    }

    #[cfg(unix)]
    #[test]
    fn the_mode_and_a_link_to_the_file_stay() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.toml"), folder.path().join("config.toml"));
        std::fs::write(&real, "").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut edit = Edit::begin(&link).unwrap();
        edit.set("technician", "alex").unwrap();
        edit.write().unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "technician = \"alex\"\n");
        assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_file_that_is_not_toml_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "technician = alex\n").unwrap();
        let error = Edit::begin(&file).unwrap_err();
        assert!(error.message.contains("config.toml:1:14"), "{error:?}");
        // One that is not there is made, with its folder.
        let file = folder.path().join("deeper/config.toml");
        let mut edit = Edit::begin(&file).unwrap();
        edit.set_at_top("technician", "alex");
        edit.write().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "technician = \"alex\"\n");
    }
}
