//! What a test may turn about the pages: timing, looks, security headers and forced steps.
//!
//! They are set with `POST /sim/pages` or as `pages` among the simulation's knobs; under `tenants` the same members
//! apply to one tenant only, by its id or domain. Never part of a URL: a URL must be as the real one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The knobs of the pages; durations in milliseconds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageKnobs {
    /// From `load` until the form is built.
    pub delay_ms: u64,
    /// Before GetCredentialType answers.
    pub gct_ms: u64,
    /// Before a view that is fetched when it is needed arrives.
    pub chunk_ms: u64,
    /// How long the outgoing and the incoming view stand side by side.
    pub overlap_ms: u64,
    /// Which content security policy is sent.
    pub csp: Policy,
    /// Tenant branding; absent: when the tenant has any and the URL names it.
    pub branding: Option<bool>,
    /// Where the box stands.
    pub layout: Layout,
    /// Language; empty: `mkt` or `ui_locales` of the URL, else English.
    pub language: String,
    /// Light or dark.
    pub theme: Theme,
    /// No animations, so no animation events either.
    pub reduced_motion: bool,
    /// "Stay signed in?"; absent: unless the tenant's branding has switched it off.
    pub kmsi: Option<bool>,
    /// The first view of the sign-in page.
    pub force_view: Option<View>,
    /// Every credential is answered with this AADSTS number.
    pub force_error: Option<u32>,
    /// A page between the credential and "stay signed in?".
    pub interrupt: Option<Interrupt>,
    /// The page reloads itself once with `sso_reload=true` before anything else.
    pub sso_reload: bool,
    /// Do not send `X-Frame-Options` (to test framing).
    pub xfo_off: bool,
    /// The page nobody knows yet, in place of the classic one.
    pub future: bool,
    /// The pass box is bound with `value` (needs `change`) in place of `textInput`.
    pub strict_bindings: bool,
    /// `IfExistsResult` in place of what the directory says.
    pub if_exists: Option<i32>,
    /// `PrefCredential` in place of what the directory says.
    pub pref_credential: Option<u8>,
    /// More ways to sign in: `RemoteNGC`, `Fido`, `CertAuth`.
    pub extra_credentials: Vec<String>,
    /// Tiles of the account picker, besides those of the browser's own sessions.
    pub picker: Vec<PickerAccount>,
    /// What `login_hint` does.
    pub hint: Hint,
    /// "More information required" after a sign-in that was not multi-factor.
    pub proof_up: ProofUp,
    /// The code that the MFA page takes.
    pub otp: String,
    /// What becomes of a notification.
    pub push: Push,
    /// Knobs of single tenants, by id or domain.
    pub tenants: BTreeMap<String, Map<String, Value>>,
}

impl Default for PageKnobs {
    fn default() -> Self {
        Self {
            delay_ms: 150,
            gct_ms: 80,
            chunk_ms: 50,
            overlap_ms: 250,
            csp: Policy::default(),
            branding: None,
            layout: Layout::default(),
            language: String::new(),
            theme: Theme::default(),
            reduced_motion: false,
            kmsi: None,
            force_view: None,
            force_error: None,
            interrupt: None,
            sso_reload: false,
            xfo_off: false,
            future: false,
            strict_bindings: true,
            if_exists: None,
            pref_credential: None,
            extra_credentials: Vec::new(),
            picker: Vec::new(),
            hint: Hint::default(),
            proof_up: ProofUp::default(),
            otp: "123456".to_owned(),
            push: Push::default(),
            tenants: BTreeMap::new(),
        }
    }
}

impl PageKnobs {
    /// Reads knobs as they were set.
    ///
    /// # Errors
    /// A member is not known or has a value of the wrong type; also among those of a tenant.
    pub fn read(set: &Map<String, Value>) -> Result<Self, serde_json::Error> {
        let knobs: Self = serde_json::from_value(Value::Object(set.clone()))?;
        for name in knobs.tenants.keys() {
            knobs.clone().for_tenant(|known| known == name)?;
        }
        Ok(knobs)
    }

    /// These knobs with those of the tenant laid over them; `is_it` says whether a name means that tenant.
    ///
    /// # Errors
    /// The tenant's knobs cannot be read.
    pub fn for_tenant(self, is_it: impl Fn(&str) -> bool) -> Result<Self, serde_json::Error> {
        let Some(own) = self.tenants.iter().find(|(name, _)| is_it(name)).map(|(_, own)| own.clone()) else {
            return Ok(self);
        };
        let mut whole = serde_json::to_value(self)?;
        if let Value::Object(members) = &mut whole {
            members.extend(own);
        }
        serde_json::from_value(whole)
    }
}

/// Which content security policy the sign-in pages send.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Enforced, with a nonce, without `'unsafe-inline'` and `'unsafe-eval'`.
    #[default]
    Enforced,
    /// Enforced, with `'unsafe-eval'`.
    EnforcedEval,
    /// As it was until the autumn of 2026: reported only.
    ReportOnly,
    /// None at all.
    Off,
}

/// Where the box stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// In the middle.
    #[default]
    Centred,
    /// At the side, full height.
    Vertical,
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// Light.
    #[default]
    Light,
    /// Dark.
    Dark,
}

/// A view of the sign-in page that can come first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// User name.
    Username,
    /// Account picker.
    Picker,
    /// Work or personal account.
    Disambiguation,
    /// Password.
    Password,
    /// Temporary Access Pass.
    AccessPass,
    /// Ways to sign in.
    CredentialPicker,
    /// Passkey.
    Fido,
    /// Phone sign-in.
    RemoteNgc,
    /// Characters to read.
    Captcha,
}

impl View {
    /// The template's name.
    #[must_use]
    pub fn template(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Picker => "picker",
            Self::Disambiguation => "disambiguation",
            Self::Password => "password",
            Self::AccessPass => "access-pass",
            Self::CredentialPicker => "credential-picker",
            Self::Fido => "fido",
            Self::RemoteNgc => "remote-ngc",
            Self::Captcha => "captcha",
        }
    }
}

/// A page between the credential and "stay signed in?".
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Interrupt {
    /// MFA: enter a code.
    TfaCode,
    /// MFA: choose how.
    TfaMethods,
    /// MFA: approve with a number.
    TfaPush,
    /// More information required.
    ProofUp,
    /// Update your password.
    ChangePassword,
    /// Permissions requested.
    Consent,
    /// Blocked, 53003.
    ConditionalAccess,
    /// Any other error, AADSTS 50020.
    Error,
    /// "Are you trying to sign in to …?"
    Cmsi,
}

/// What `login_hint` does.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// The page begins with the credential.
    #[default]
    Jump,
    /// The user name stands in its box.
    Prefill,
}

/// "More information required" after a password.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofUp {
    /// Asked for, may be put off.
    #[default]
    Skippable,
    /// Asked for, may not be put off.
    Required,
    /// Not asked for.
    Off,
}

/// What becomes of a notification.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    /// Nothing, yet.
    #[default]
    Waits,
    /// Approved.
    Approved,
    /// Denied.
    Denied,
    /// Nobody answered in time.
    Unanswered,
}

/// A tile of the account picker.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PickerAccount {
    /// User principal name.
    pub name: String,
    /// Shown as signed in.
    #[serde(default)]
    pub signed_in: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<PageKnobs, serde_json::Error> {
        PageKnobs::read(value.as_object().unwrap())
    }

    #[test]
    fn a_tenant_may_differ_in_one_thing() {
        let knobs = read(json!({"delay_ms": 5, "tenants": {"a.test": {"language": "de"}}})).unwrap();
        let own = knobs.clone().for_tenant(|name| name == "a.test").unwrap();
        assert_eq!((own.delay_ms, own.language.as_str()), (5, "de"));
        assert_eq!(knobs.for_tenant(|name| name == "b.test").unwrap().language, "");
    }

    #[test]
    fn a_setting_that_does_not_exist_is_refused_everywhere() {
        assert!(read(json!({"delay": 5})).is_err());
        assert!(read(json!({"tenants": {"a.test": {"delay": 5}}})).is_err());
        assert!(read(json!({"csp": "loose"})).is_err());
    }
}
