//! The JSON Schema of the configuration file, for editors, and for saying which keys there are.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::File;

/// The schema (draft 2020-12), made from the types that read the file.
#[derive(Debug)]
pub(crate) struct Schema(Value);

impl Schema {
    /// The one that there is, made when it is first asked for.
    pub(crate) fn of_the_file() -> &'static Self {
        static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::make);
        &SCHEMA
    }

    fn make() -> Self {
        let generator = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        Self(generator.into_generator().into_root_schema_for::<File>().into())
    }

    /// The document.
    pub(crate) const fn document(&self) -> &Value {
        &self.0
    }

    /// The keys that may stand in the section to which these keys lead.
    pub(crate) fn keys_in(&self, path: &[String]) -> Vec<String> {
        let mut keys: Vec<String> = at(&self.0, path)
            .iter()
            .filter_map(|schema| schema["properties"].as_object())
            .flat_map(|properties| properties.keys().cloned())
            .collect();
        keys.dedup();
        keys
    }

    /// Whether this key at the top of the file is a list of sections.
    pub(crate) fn is_list_of_sections(&self, key: &str) -> bool {
        let list = &self.0["properties"][key];
        list["type"] == "array" && list["items"]["type"] == "object"
    }

    /// Whether what stands under this key is text and can be nothing else; `None` when there is no such key.
    pub(crate) fn is_text(&self, path: &[String]) -> Option<bool> {
        let found = at(&self.0, path);
        let text = |schema: &&Value| match &schema["type"] {
            Value::String(kind) => kind == "string",
            Value::Array(kinds) => kinds.iter().all(|kind| kind == "string" || kind == "null"),
            // A choice that is not taken further apart, or an enumeration of words.
            _ => schema["const"].is_string() || schema["anyOf"].is_array() || schema["oneOf"].is_array(),
        };
        let real: Vec<_> = found.into_iter().filter(|schema| schema["type"] != "null").collect();
        (!real.is_empty()).then(|| real.iter().all(text))
    }
}

/// What may stand where these keys lead: more than one schema where there is a choice.
fn at<'a>(schema: &'a Value, path: &[String]) -> Vec<&'a Value> {
    let mut found = choices(schema);
    for key in path {
        found = found.iter().flat_map(|schema| choices(&schema["properties"][key])).collect();
    }
    found
}

/// The schema, what it gives a choice of, and the elements of a list.
fn choices(schema: &Value) -> Vec<&Value> {
    if schema.is_null() {
        return Vec::new();
    }
    let mut all = vec![schema];
    for choice in ["anyOf", "oneOf"] {
        all.extend(schema[choice].as_array().into_iter().flatten().flat_map(choices));
    }
    all.extend(schema.get("items").into_iter().flat_map(choices));
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::read;
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn keys_are_known_by_their_section() {
        let schema = Schema::of_the_file();
        assert!(schema.keys_in(&[]).contains(&"technicians".to_owned()));
        assert!(schema.keys_in(&path("access")).contains(&"login".to_owned()));
        assert!(schema.keys_in(&path("entitlements")).contains(&"roles".to_owned()));
        assert_eq!(schema.keys_in(&path("access.login")), ["shared"]);
        assert!(schema.keys_in(&path("nowhere")).is_empty());
        assert_eq!(schema.is_text(&path("technician")), Some(true));
        assert_eq!(schema.is_text(&path("access.ticket")), Some(true));
        assert_eq!(schema.is_text(&path("access.minutes")), Some(false));
        assert_eq!(schema.is_text(&path("access.login")), Some(false));
        assert_eq!(schema.is_text(&path("extension_ids")), Some(false));
        assert_eq!(schema.is_text(&path("nowhere")), None);
        for (key, is_list) in [("tenants", true), ("entitlements", true), ("extension_ids", false), ("access", false)] {
            assert_eq!(schema.is_list_of_sections(key), is_list, "{key}");
        }
    }

    #[test]
    fn editors_and_the_program_agree_on_single_values() {
        let schema = Schema::of_the_file();
        let validator = jsonschema::validator_for(schema.document()).unwrap();
        let long = format!("account_prefix = \"{}\"", "x".repeat(17));
        for (text, good) in [
            ("", true),
            ("technician = \"alex@msp.example\"", true),
            ("technician = \"\"", false),
            ("technicain = \"alex\"", false),
            ("include = \"shared.toml\"", true),
            ("account_prefix = \"jit-\"", true),
            (long.as_str(), false),
            ("[network]\nproxy = \"http://p:1\"\nextra_root_certificate = \"/x.pem\"", true),
            (
                "[directory]\ntenant_id = \"77777777-7777-4777-8777-777777777777\"\nclient_id = \"77777777-bbbb-4bbb-8bbb-777777777777\"\ncloud = \"china\"\nhold_hours = 72",
                true,
            ),
            ("[directory]\ntenant_id = \"77777777-7777-4777-8777-777777777777\"", false),
            ("[directory]\ntenant_id = \"7\"\nclient_id = \"77777777-bbbb-4bbb-8bbb-777777777777\"", false),
            ("[access]\nminutes = 1440", true),
            ("[access]\nminutes = 1441", false),
            ("[access]\nminutes = 0", false),
            ("[access]\nminutes = 1.5", false),
            ("[access]\nreason = \"yes\"", false),
            ("[access]\npassword_length = 11", false),
            ("[access]\npassword_length = 128", true),
            ("[access]\nlogin = \"individual\"", true),
            ("[access]\nlogin = \"shared\"", false),
            ("[access]\nlogin = { shared = \"helpdesk\" }", true),
            ("[access]\nlogin = { shared = \"help desk\" }", false),
            ("[access]\nleases_at_once = 0", false),
            ("[access]\ntenant = \"Contoso\"", false),
            ("[[tenants]]\ntenant = \"Contoso\"\nticket = \"INC-[0-9]+\"", true),
            ("[[tenants]]\nminutes = 5", false),
            ("[[technicians]]\nname = \"alex\"\ngroups = [\"Level 1\"]", true),
            ("[[technicians]]\ngroups = [\"Level 1\"]", false),
            ("[[entitlements]]\ngroup = \"All admins\"\nroles = [\"User Administrator\"]", true),
            ("[[entitlements]]\ngroup = \"All admins\"\nroles = \"User Administrator\"", false),
            ("[[entitlements]]\nroles = [\"User Administrator\"]", false),
            ("[[break_glass]]\nname = \"breakglass-1\"\nreveal = [\"Level 3\"]\nrotate_hours = 12", true),
            ("[[break_glass]]\nname = \"break glass\"", false),
            ("[[break_glass]]\nreveal = [\"Level 3\"]", false),
            ("[[break_glass]]\nname = \"a\"\nrotate_hours = 721", false),
            ("[[break_glass]]\nname = \"a\"\ntake_over = true\nrotate_after_reveal_minutes = 15", true),
            ("[access]\ncredential = \"passkey\"", true),
            ("[access]\ncredential = \"totp\"", false),
            ("[access]\ncredential = \"password_totp\"\none_time_codes_beta = true", true),
            ("[access]\none_time_codes_beta = \"yes\"", false),
            ("[[tenants]]\ntenant = \"Contoso\"\npasskeys = \"per_lease\"", true),
            ("[access]\npasskeys = \"never\"", false),
            ("[verification]\nminutes = 0", true),
            ("[verification]\nminutes = 1441", false),
            ("[audit]\nkeep_days = 365", true),
            ("[audit]\nkeep_days = 0", false),
            (
                "[webhook]\nurl = \"https://siem.example/in\"\nevents = [\"lease_granted\"]\ntenants = [\"Contoso\"]",
                true,
            ),
            ("[webhook]\nurl = 1", false),
            ("[webhook]\nevents = \"lease_granted\"", false),
        ] {
            let value: toml::Value = toml::from_str(text).unwrap();
            assert_eq!(validator.is_valid(&serde_json::to_value(value).unwrap()), good, "the schema on {text}");
            assert_eq!(read::read(text, 0).1.is_empty(), good, "the program on {text}");
        }
    }

    #[test]
    fn every_key_is_explained() {
        let mut open = vec![Schema::of_the_file().document().clone()];
        while let Some(schema) = open.pop() {
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                let explained = property["description"].is_string() || schema["description"].is_string();
                assert!(explained, "{key}");
                open.extend(choices(property).into_iter().skip(1).cloned());
            }
        }
    }
}
