//! Single values of the configuration file, each of a type that only holds what it may be.
//!
//! What is refused is said in a sentence that never repeats the value: a person may have pasted a secret there.

use latchkey_engine::{
    AuditEvent, BreakGlassName, LONGEST_VERIFICATION_MINUTES, PasskeyLife, PasswordLength, RotationInterval,
    TicketPattern, WebhookSettings,
};
use latchkey_protocol::{CredentialKind, cloud::Cloud};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use super::read::closest;

/// A value and where it stands in its file.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Written<T>(toml::Spanned<T>);

impl<T> Written<T> {
    /// The value.
    pub(crate) fn value(&self) -> &T {
        self.0.get_ref()
    }

    /// Where it stands, in bytes.
    pub(crate) fn span(&self) -> std::ops::Range<usize> {
        self.0.span()
    }
}

impl<T: JsonSchema> JsonSchema for Written<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// The schema of a value that is made from text or a number.
macro_rules! described {
    ($value:ident, $schema:tt) => {
        impl JsonSchema for $value {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($value).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

/// A name of anything: text with something in it, without space around it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Name(String);

impl Name {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

described!(Name, { "type": "string", "minLength": 1 });

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.trim() {
            "" => Err("a name must not be empty"),
            name => Ok(Self(name.to_owned())),
        }
    }
}

/// The client id of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ClientId(Uuid);

impl ClientId {
    /// The id.
    pub(crate) const fn get(self) -> Uuid {
        self.0
    }
}

described!(ClientId, { "type": "string", "format": "uuid" });

impl TryFrom<String> for ClientId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self).map_err(|_| "an application's client id is like 11111111-2222-3333-4444-555555555555")
    }
}

/// A technician's name, from which the names of her or his accounts are made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TechnicianName {
    name: String,
    local_part: String,
}

impl TechnicianName {
    /// The name as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }

    /// What stands in account names after the prefix.
    pub(crate) fn local_part(&self) -> &str {
        &self.local_part
    }

    /// Whether both are the same person: names are compared without regard to case.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.name.to_lowercase() == other.name.to_lowercase()
    }
}

described!(TechnicianName, { "type": "string", "minLength": 1, "examples": ["alex@msp.example"] });

impl TryFrom<String> for TechnicianName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = text.trim().to_owned();
        let local_part = local_part(name.split('@').next().unwrap_or_default());
        if local_part.is_empty() {
            return Err("this cannot name an account: write a user name at your own company, e.g. alex@msp.example");
        }
        Ok(Self { name, local_part })
    }
}

/// The text reduced to what Entra takes in a user principal name before the `@`.
fn local_part(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_'))
        .take(48)
        .collect();
    kept.trim_matches('.').to_owned()
}

/// What stands in the name of a shared account after the prefix.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SharedAccount(String);

impl SharedAccount {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

described!(SharedAccount, { "type": "string", "pattern": "^[A-Za-z0-9_-]([A-Za-z0-9._-]{0,46}[A-Za-z0-9_-])?$" });

impl TryFrom<String> for SharedAccount {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = text.to_lowercase();
        if name.is_empty() || local_part(&name) != name {
            return Err(
                "the name of a shared account is made of 1 to 48 letters, digits, dots, dashes and underscores",
            );
        }
        Ok(Self(name))
    }
}

/// What the names of JIT accounts begin with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AccountPrefix(String);

impl AccountPrefix {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

described!(AccountPrefix, { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,16}$" });

impl TryFrom<String> for AccountPrefix {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if text.is_empty() || text.len() > 16 || !letters {
            return Err("a prefix is made of 1 to 16 letters, digits, dots, dashes or underscores, e.g. jit-");
        }
        Ok(Self(text))
    }
}

/// A length of time in whole minutes, a day at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Minutes(u32);

impl Minutes {
    /// How many.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

described!(Minutes, { "type": "integer", "minimum": 1, "maximum": 1440 });

impl TryFrom<i64> for Minutes {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        in_range(number, 1, 1440).map(Self).ok_or("minutes are a whole number from 1 to 1440 (a day)")
    }
}

/// A directory or client id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Guid(Uuid);

impl Guid {
    /// The id.
    pub(crate) const fn get(self) -> Uuid {
        self.0
    }
}

described!(Guid, {
    "type": "string",
    "pattern": "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
});

impl TryFrom<String> for Guid {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // Hyphens and all, as the Entra admin center shows it.
        let id = Some(text.trim()).filter(|text| text.len() == 36).and_then(|text| text.parse().ok());
        id.map(Self).ok_or("an id looks like 00000000-0000-0000-0000-000000000000; the Entra admin center shows it")
    }
}

/// A Microsoft cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct CloudName(Cloud);

impl CloudName {
    /// The cloud.
    pub(crate) const fn get(self) -> Cloud {
        self.0
    }
}

described!(CloudName, { "type": "string", "enum": ["global", "us_government", "us_government_dod", "china"] });

impl TryFrom<String> for CloudName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "global" => Ok(Self(Cloud::Global)),
            "us_government" => Ok(Self(Cloud::UsGovernment)),
            "us_government_dod" => Ok(Self(Cloud::UsGovernmentDod)),
            "china" => Ok(Self(Cloud::China)),
            _ => Err("a cloud is one of global, us_government, us_government_dod and china"),
        }
    }
}

/// How long an answer holds, in whole hours, three days at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct HoldHours(u32);

impl HoldHours {
    /// How many.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

described!(HoldHours, { "type": "integer", "minimum": 1, "maximum": 72 });

impl TryFrom<i64> for HoldHours {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        in_range(number, 1, 72).map(Self).ok_or("an answer may hold for 1 to 72 whole hours")
    }
}

/// How often something is done, in whole hours, a month at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Hours(RotationInterval);

impl Hours {
    /// How often.
    pub(crate) const fn get(self) -> RotationInterval {
        self.0
    }
}

described!(Hours, { "type": "integer", "minimum": 1, "maximum": 720 });

impl TryFrom<i64> for Hours {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        let hours = u32::try_from(number).ok().and_then(RotationInterval::hours);
        hours.map(Self).ok_or("hours are a whole number from 1 to 720 (30 days)")
    }
}

/// What stands before the `@` of a break-glass account's name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct EmergencyName(BreakGlassName);

impl EmergencyName {
    /// The name.
    pub(crate) const fn get(&self) -> &BreakGlassName {
        &self.0
    }
}

described!(EmergencyName, { "type": "string", "pattern": "^[A-Za-z0-9'._!#^~-]{0,63}[A-Za-z0-9'_!#^~-]$" });

impl TryFrom<String> for EmergencyName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        BreakGlassName::parse(&text)
            .map(Self)
            .map_err(|_| "this cannot be the name of an account: letters, digits and '.-_!#^~ only, 64 at most")
    }
}

/// How many leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct LeaseCount(u32);

impl LeaseCount {
    /// How many.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

described!(LeaseCount, { "type": "integer", "minimum": 1, "maximum": 1000 });

impl TryFrom<i64> for LeaseCount {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        in_range(number, 1, 1000).map(Self).ok_or("the number of leases is from 1 to 1000")
    }
}

/// How many characters a password has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct PasswordCharacters(PasswordLength);

impl PasswordCharacters {
    /// The length.
    pub(crate) const fn get(self) -> PasswordLength {
        self.0
    }
}

described!(PasswordCharacters, { "type": "integer", "minimum": 12, "maximum": 128 });

impl TryFrom<i64> for PasswordCharacters {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        let length = usize::try_from(number).ok().and_then(PasswordLength::new);
        length.map(Self).ok_or("passwords have 12 to 128 characters")
    }
}

/// What a ticket number must look like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Ticket(TicketPattern);

impl Ticket {
    /// The pattern.
    pub(crate) const fn pattern(&self) -> &TicketPattern {
        &self.0
    }
}

described!(Ticket, { "type": "string", "format": "regex", "minLength": 1, "examples": ["INC-[0-9]+"] });

impl TryFrom<String> for Ticket {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() {
            return Err("the pattern of ticket numbers must not be empty: take the key away to ask for none".to_owned());
        }
        TicketPattern::parse(&text).map(Self).map_err(|reason| {
            let reason = reason.lines().last().unwrap_or_default().trim().to_owned();
            format!("this is no regular expression ({reason}); an example is 'INC-[0-9]+'")
        })
    }
}

/// The address of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ProxyAddress(Url);

impl ProxyAddress {
    /// The address.
    pub(crate) const fn url(&self) -> &Url {
        &self.0
    }

    /// Whether a password stands in it.
    pub(crate) fn has_password(&self) -> bool {
        self.0.password().is_some()
    }
}

described!(ProxyAddress, { "type": "string", "format": "uri", "examples": ["http://proxy.msp.example:3128"] });

impl TryFrom<String> for ProxyAddress {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let usable = |url: &Url| url.has_host() && matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
        text.parse().ok().filter(usable).map(Self).ok_or("a proxy is an address such as http://proxy.msp.example:3128")
    }
}

/// The id of an extension that may talk to the host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ExtensionId(String);

impl ExtensionId {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

described!(ExtensionId, { "type": "string", "minLength": 1 });

impl TryFrom<String> for ExtensionId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if !crate::install::manifest::is_extension_id(&text) {
            return Err("this is not the id of an extension: 32 letters from a to p, or name@company in Firefox");
        }
        Ok(Self(text))
    }
}

fn in_range(number: i64, least: u32, most: u32) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| (least..=most).contains(number))
}

/// For how many days something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Days(u32);

impl Days {
    /// So many.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

described!(Days, { "type": "integer", "minimum": 1, "maximum": 36500 });

impl TryFrom<i64> for Days {
    type Error = &'static str;

    fn try_from(days: i64) -> Result<Self, Self::Error> {
        let days = u32::try_from(days).ok().filter(|days| (1..=36_500).contains(days));
        days.map(Self).ok_or("days are a whole number from 1 to 36500 (a hundred years)")
    }
}

/// For how many minutes it is remembered who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct RememberedMinutes(u32);

impl RememberedMinutes {
    /// So many.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

described!(RememberedMinutes, { "type": "integer", "minimum": 0, "maximum": 1440 });

impl TryFrom<i64> for RememberedMinutes {
    type Error = &'static str;

    fn try_from(minutes: i64) -> Result<Self, Self::Error> {
        let minutes = u32::try_from(minutes).ok().filter(|minutes| *minutes <= LONGEST_VERIFICATION_MINUTES);
        minutes.map(Self).ok_or("minutes are a whole number from 0 (asked every time) to 1440 (a day)")
    }
}

/// What leases sign in with at best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct BestCredential(CredentialKind);

impl BestCredential {
    /// As the engine knows it.
    pub(crate) const fn get(self) -> CredentialKind {
        self.0
    }
}

described!(BestCredential, {
    "type": "string", "enum": ["passkey", "temporary_access_pass", "password_totp", "password"]
});

impl TryFrom<String> for BestCredential {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(Self(match text.as_str() {
            "passkey" => CredentialKind::Passkey,
            "temporary_access_pass" => CredentialKind::TemporaryAccessPass,
            "password_totp" => CredentialKind::PasswordTotp,
            "password" => CredentialKind::Password,
            _ => return Err("a credential is passkey, temporary_access_pass, password_totp or password"),
        }))
    }
}

/// How long passkeys live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PasskeyLifeName(PasskeyLife);

impl PasskeyLifeName {
    /// As the engine knows it.
    pub(crate) const fn get(self) -> PasskeyLife {
        self.0
    }
}

described!(PasskeyLifeName, { "type": "string", "enum": ["kept", "per_lease"] });

impl TryFrom<String> for PasskeyLifeName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(Self(match text.as_str() {
            "kept" => PasskeyLife::Kept,
            "per_lease" => PasskeyLife::PerLease,
            _ => return Err("passkeys are kept or per_lease"),
        }))
    }
}

/// Where a webhook's messages go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ReceiverAddress(WebhookSettings);

impl ReceiverAddress {
    /// As the engine knows it.
    pub(crate) const fn settings(&self) -> &WebhookSettings {
        &self.0
    }
}

described!(ReceiverAddress, { "type": "string", "format": "uri", "examples": ["https://siem.msp.example/latchkey"] });

impl TryFrom<String> for ReceiverAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let address =
            text.parse::<Url>().map_err(|_| "a receiver is an address such as https://siem.msp.example/latchkey")?;
        WebhookSettings::new(address).map(Self)
    }
}

/// The event of that name, or the sentence about a name that is none.
pub(crate) fn event_named(said: &str) -> Result<AuditEvent, String> {
    AuditEvent::named(said).ok_or_else(|| match closest(said, AuditEvent::names()) {
        Some(meant) => format!("there is no such event; did you mean \"{meant}\"?"),
        None => "there is no such event; docs/audit.md lists them".to_owned(),
    })
}

/// The name of an event of the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct EventName(AuditEvent);

impl EventName {
    /// The event.
    pub(crate) const fn event(self) -> AuditEvent {
        self.0
    }
}

described!(EventName, { "type": "string", "minLength": 1, "examples": ["lease_granted", "end_verified"] });

impl TryFrom<String> for EventName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        event_named(&text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_local_part_is_what_entra_takes() {
        let local_part =
            |name: &str| TechnicianName::try_from(name.to_owned()).map(|name| name.local_part().to_owned());
        assert_eq!(local_part("Alex@msp.example").unwrap(), "alex");
        assert_eq!(local_part("alex.o'neil").unwrap(), "alex.oneil");
        assert_eq!(local_part("..alex.").unwrap(), "alex");
        assert_eq!(local_part("ünal").unwrap(), "nal");
        for none in ["", "@msp.example", "...", "ü"] {
            assert!(local_part(none).is_err(), "{none}");
        }
    }

    #[test]
    fn shared_accounts_and_prefixes_are_names_that_entra_takes() {
        for (text, good) in
            [("helpdesk", true), ("Help-Desk.1", true), ("", false), ("help desk", false), (".x", false)]
        {
            assert_eq!(SharedAccount::try_from(text.to_owned()).is_ok(), good, "{text}");
        }
        for (text, good) in [("jit-", true), ("", false), ("a-prefix-too-long", false), ("jit@", false)] {
            assert_eq!(AccountPrefix::try_from(text.to_owned()).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn numbers_end_where_their_range_does() {
        for (number, minutes, leases, characters) in [
            (0, false, false, false),
            (1, true, true, false),
            (12, true, true, true),
            (128, true, true, true),
            (129, true, true, false),
            (1440, true, false, false),
            (1441, false, false, false),
            (-5, false, false, false),
            (i64::MAX, false, false, false),
        ] {
            assert_eq!(Minutes::try_from(number).is_ok(), minutes, "{number}");
            assert_eq!(LeaseCount::try_from(number).is_ok(), leases, "{number}");
            assert_eq!(PasswordCharacters::try_from(number).is_ok(), characters, "{number}");
        }
    }

    #[test]
    fn an_unusable_proxy_is_not_repeated() {
        for text in ["proxy:3128", "hunter2", "http://user:hunter2@", "file:///hunter2", ""] {
            assert!(!ProxyAddress::try_from(text.to_owned()).unwrap_err().contains("hunter2"));
        }
        assert!(ProxyAddress::try_from("http://user:hunter2@proxy:1".to_owned()).unwrap().has_password());
        assert!(!ProxyAddress::try_from("http://proxy:1".to_owned()).unwrap().has_password());
    }
}
