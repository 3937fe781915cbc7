//! Signing in: what the sign-in pages ask the directory, and what it answers.
//!
//! The pages decide how things look; whether a user name and a credential open a session is decided here only.
//! Error numbers are those of the AADSTS reference; texts are our own.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::tenant::DomainKind;
use super::{Directory, Tenant, User, new_id};
use crate::clock::Clock;
use crate::knobs::Knobs;

/// Wrong passwords in a row that lock an account.
const LOCKOUT_THRESHOLD: u32 = 10;
/// How long the first lockout lasts.
const LOCKOUT: Duration = Duration::from_secs(60);

/// What the first page learns about a user name before it asks for a credential.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CredentialType {
    /// The user exists, or its domain is federated (then nobody here knows).
    pub exists: bool,
    /// The tenant of the user name's domain.
    pub tenant_id: Option<String>,
    /// What to ask for first.
    pub preferred: Preferred,
    /// A usable Temporary Access Pass is there.
    pub has_access_pass: bool,
    /// Ids of the passkeys that can be used.
    pub passkeys: Vec<Vec<u8>>,
    /// A password was set.
    pub has_password: bool,
}

/// What to ask a user for first.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preferred {
    /// The password view.
    Password,
    /// The access pass view (`PrefCredential` 13).
    AccessPass,
    /// The passkey view (`PrefCredential` 7).
    Passkey,
    /// Another identity provider, at this address.
    Federation(String),
}

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// Password.
    Password,
    /// Temporary Access Pass.
    AccessPass,
    /// Passkey, as first or second factor.
    Passkey,
    /// Code of a hardware token, always as second factor.
    Code,
}

/// A session, as long as it lives.
#[derive(Clone, Debug, Serialize)]
pub struct SignedIn {
    /// Directory id.
    pub tenant_id: String,
    /// The tenant's display name.
    pub tenant_name: String,
    /// Object id of the user.
    pub user_id: String,
    /// User principal name.
    pub user_name: String,
    /// Name shown to people.
    pub display_name: String,
    /// Names of the roles held at this moment.
    pub roles: Vec<String>,
    /// What was used.
    pub credential: CredentialKind,
    /// `amr` values.
    pub methods: Vec<&'static str>,
    /// What was proved, in the words of authentication strengths.
    pub combinations: Vec<&'static str>,
    /// The portals ask for MFA registration (ConvergedProofUpRedirect) before they open.
    pub mfa_required: bool,
    /// Key of the session, for the cookie.
    pub session_id: String,
    /// End of the session: of the pass, when one was used.
    pub expires: Timestamp,
}

/// A stored session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Key.
    pub id: String,
    /// Directory id.
    pub tenant_id: String,
    /// Object id of the user.
    pub user_id: String,
    /// What was used.
    pub credential: CredentialKind,
    /// What was added to it.
    pub second: Option<CredentialKind>,
    /// The pass that was used.
    pub access_pass_id: Option<String>,
    /// That pass is for one sign-in only.
    pub access_pass_once: bool,
    /// Start, simulated time.
    pub issued: Timestamp,
    /// End, simulated time.
    pub expires: Timestamp,
}

impl Session {
    /// One that was opened with a password: it lives for a day unless it is ended.
    pub(super) fn of_password(tenant_id: String, user: &User, now: Timestamp) -> Self {
        Self {
            id: new_id(),
            tenant_id,
            user_id: user.id.clone(),
            credential: CredentialKind::Password,
            second: None,
            access_pass_id: None,
            access_pass_once: false,
            issued: now,
            expires: now.checked_add(Duration::from_secs(24 * 3600)).unwrap_or(Timestamp::MAX),
        }
    }
}

/// One attempt to sign in.
#[derive(Clone, Debug, Serialize)]
pub struct SignInRecord {
    /// Id of the record.
    pub id: String,
    /// Milliseconds since the simulation started.
    pub at_ms: u64,
    /// Simulated time, RFC 3339.
    pub time: String,
    /// Directory id, when the user's domain is known.
    pub tenant_id: Option<String>,
    /// As typed.
    pub user_name: String,
    /// What was tried.
    pub credential: CredentialKind,
    /// AADSTS number; 0 means success.
    pub error: u32,
    /// The refusal in words; empty on success.
    pub reason: &'static str,
    /// Roles held at that moment.
    pub roles: Vec<String>,
}

/// Why a sign-in was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignInError {
    /// No such user in this tenant.
    UserNotFound,
    /// Wrong user name or password.
    WrongPassword,
    /// Too many wrong passwords.
    Locked,
    /// The account is disabled, or its enabling has not arrived everywhere.
    Disabled,
    /// The password must be changed first.
    PasswordExpired,
    /// Policy does not let this user sign in with a pass.
    AccessPassBlocked,
    /// Not the pass of this user, or not valid yet.
    AccessPassInvalid,
    /// The pass has ended.
    AccessPassExpired,
    /// A single-use pass was used before.
    AccessPassUsed,
    /// The domain is federated: credentials are not for this page.
    Federated,
    /// Nobody has this passkey, or it has not arrived everywhere.
    PasskeyUnknown,
    /// Policy does not let this passkey be used.
    PasskeyBlocked,
    /// The passkey's answer is not what was asked for.
    PasskeyRefused,
    /// Not a code that a token of this user shows now, or it was used before.
    WrongCode,
}

impl SignInError {
    /// The AADSTS number.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::UserNotFound => 50034,
            Self::WrongPassword => 50126,
            Self::Locked => 50053,
            Self::Disabled => 50057,
            Self::PasswordExpired => 50055,
            Self::AccessPassBlocked => 130_502,
            Self::AccessPassInvalid => 130_503,
            Self::AccessPassExpired => 130_504,
            Self::AccessPassUsed => 130_505,
            Self::Federated => 51004,
            Self::PasskeyUnknown => 135_010,
            Self::PasskeyBlocked => 135_016,
            Self::PasskeyRefused | Self::WrongCode => 500_121,
        }
    }

    /// A sentence for the page.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::UserNotFound => "We couldn't find an account with that username.",
            Self::WrongPassword => "Your account or password is incorrect.",
            Self::Locked => "Your account is temporarily locked to prevent unauthorized use. Try again later.",
            Self::Disabled => "Your account has been locked. Contact your support person to unlock it, then try again.",
            Self::PasswordExpired => "Your password has expired and must be changed.",
            Self::AccessPassBlocked => "Temporary Access Pass sign in was blocked due to User Credential Policy.",
            Self::AccessPassInvalid => "Your Temporary Access Pass is incorrect.",
            Self::AccessPassExpired => "Your Temporary Access Pass has expired.",
            Self::AccessPassUsed => "Your Temporary Access Pass has already been used.",
            Self::Federated => "This account signs in at its own organisation's page.",
            Self::PasskeyUnknown => "The user has no passkey with this id.",
            Self::PasskeyBlocked => "Passkey sign in was blocked due to User Credential Policy.",
            Self::PasskeyRefused => "Authentication failed during strong authentication request.",
            Self::WrongCode => "The verification code is wrong or was used before.",
        }
    }
}

impl Directory {
    /// What to ask this user for. Never says more than a real sign-in page would.
    #[must_use]
    pub fn credential_type(&self, user_name: &str, clock: &Clock, knobs: &Knobs) -> CredentialType {
        let now = clock.now();
        let Some(tenant) = self.tenant_of_user_name(user_name) else {
            return CredentialType {
                exists: false,
                tenant_id: None,
                preferred: Preferred::Password,
                has_access_pass: false,
                passkeys: Vec::new(),
                has_password: false,
            };
        };
        let user = tenant.user(user_name.trim());
        let has_access_pass = user.is_some_and(|user| has_usable_pass(tenant, user, now));
        let has_password = user.is_some_and(|user| user.password.is_some());
        let federation = tenant.domain_of(user_name.trim()).and_then(|domain| match &domain.kind {
            DomainKind::Managed => None,
            DomainKind::Federated { sign_in_url } => Some(sign_in_url.clone()),
        });
        let passkeys = self.passkeys_of(user_name, clock, knobs);
        let exists = user.is_some() || federation.is_some();
        let preferred = match federation {
            // A pass comes before federation.
            _ if has_access_pass => Preferred::AccessPass,
            _ if !passkeys.is_empty() => Preferred::Passkey,
            Some(url) => Preferred::Federation(url),
            None => Preferred::Password,
        };
        CredentialType {
            exists,
            tenant_id: Some(tenant.id.clone()),
            preferred,
            has_access_pass,
            passkeys,
            has_password,
        }
    }

    /// Signs in with a password. `tenant_hint` is what the URL named: a tenant id or domain, or `common` /
    /// `organizations`, or nothing.
    ///
    /// # Errors
    /// The reason, which is also in the sign-in log.
    pub fn sign_in_with_password(
        &mut self,
        tenant_hint: Option<&str>,
        user_name: &str,
        password: &str,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<SignedIn, SignInError> {
        let result = self.check_password(tenant_hint, user_name, password, clock, knobs);
        self.conclude(user_name, CredentialKind::Password, result, clock)
    }

    /// Signs in with a Temporary Access Pass; see [`Self::sign_in_with_password`].
    ///
    /// # Errors
    /// The reason, which is also in the sign-in log.
    pub fn sign_in_with_access_pass(
        &mut self,
        tenant_hint: Option<&str>,
        user_name: &str,
        access_pass: &str,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<SignedIn, SignInError> {
        let result = self.check_access_pass(tenant_hint, user_name, access_pass, clock, knobs);
        self.conclude(user_name, CredentialKind::AccessPass, result, clock)
    }

    /// Opens a session for somebody whose credential nobody here knows: what a test's stand-in for a browser does. The
    /// account must be one that could sign in.
    ///
    /// # Errors
    /// The reason, which is also in the sign-in log.
    pub fn sign_in_as(&mut self, user_name: &str, clock: &Clock, knobs: &Knobs) -> Result<SignedIn, SignInError> {
        let now = clock.now();
        let result = self.find_anywhere(user_name).and_then(|(tenant_id, user)| {
            if !usable(user, clock, knobs) {
                return Err(SignInError::Disabled);
            }
            Ok(Session::of_password(tenant_id, user, now))
        });
        self.conclude(user_name, CredentialKind::Password, result, clock)
    }

    /// The session, while it lives: until it expires, or the account is disabled or deleted, its sessions are
    /// revoked, its password is replaced, or the pass it was opened with ends or is deleted.
    #[must_use]
    pub fn session(&self, session_id: &str, clock: &Clock, knobs: &Knobs) -> Option<SignedIn> {
        let session = self.sessions.get(session_id)?;
        let tenant = self.tenant(&session.tenant_id)?;
        let user = tenant.users.get(&session.user_id)?;
        let now = clock.now();
        let revocation_arrived = user.sessions_revoked_moment.is_none_or(|revoked| {
            clock.elapsed() >= revoked.saturating_add(Duration::from_millis(knobs.revocation_lag_ms))
        });
        let revoked = session.issued < user.sessions_valid_from && revocation_arrived;
        if !user.account_enabled || revoked || now >= session.expires {
            return None;
        }
        match session.credential {
            CredentialKind::Password if session.issued < user.password_set => return None,
            CredentialKind::Password | CredentialKind::Passkey | CredentialKind::Code => {}
            CredentialKind::AccessPass => {
                let pass = user.access_pass.as_ref()?;
                if session.access_pass_id.as_deref() != Some(pass.id.as_str()) || now >= pass.end() {
                    return None;
                }
            }
        }
        Some(describe(tenant, user, session, now))
    }

    fn check_password(
        &mut self,
        tenant_hint: Option<&str>,
        user_name: &str,
        password: &str,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<Session, SignInError> {
        let now = clock.now();
        let (tenant_id, user) = self.find(tenant_hint, user_name)?;
        if user.locked_until.is_some_and(|until| now < until) {
            return Err(SignInError::Locked);
        }
        if !usable(user, clock, knobs) {
            return Err(SignInError::Disabled);
        }
        let arrived = clock.elapsed() >= user.password_moment + Duration::from_millis(knobs.password_lag_ms);
        if user.password.as_deref() != Some(password) || !arrived {
            user.wrong_passwords += 1;
            if user.wrong_passwords < LOCKOUT_THRESHOLD {
                return Err(SignInError::WrongPassword);
            }
            user.locked_until = now.checked_add(LOCKOUT).ok();
            user.wrong_passwords = 0;
            return Err(SignInError::Locked);
        }
        user.wrong_passwords = 0;
        if user.must_change_password {
            return Err(SignInError::PasswordExpired);
        }
        Ok(Session::of_password(tenant_id, user, now))
    }

    fn check_access_pass(
        &mut self,
        tenant_hint: Option<&str>,
        user_name: &str,
        access_pass: &str,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<Session, SignInError> {
        let now = clock.now();
        let allowed = self.user_by_name(user_name).map(|(tenant, user)| tenant.pass_allowed(&user.id));
        // A pass also serves people of a federated domain.
        let (tenant_id, user) = match self.find(tenant_hint, user_name) {
            Err(SignInError::Federated) => self.find_anywhere(user_name)?,
            found => found?,
        };
        if !usable(user, clock, knobs) {
            return Err(SignInError::Disabled);
        }
        if allowed != Some(true) {
            return Err(SignInError::AccessPassBlocked);
        }
        let pass = user.access_pass.as_mut().ok_or(SignInError::AccessPassInvalid)?;
        let arrived = clock.elapsed() >= pass.created_moment + Duration::from_millis(knobs.pass_sign_in_lag_ms);
        if pass.code != access_pass.trim() || now < pass.start || !arrived {
            return Err(SignInError::AccessPassInvalid);
        }
        if now >= pass.end() {
            return Err(SignInError::AccessPassExpired);
        }
        if pass.once && pass.used {
            return Err(SignInError::AccessPassUsed);
        }
        pass.used = true;
        Ok(Session {
            id: new_id(),
            tenant_id,
            second: None,
            access_pass_id: Some(pass.id.clone()),
            access_pass_once: pass.once,
            expires: pass.end(),
            user_id: user.id.clone(),
            credential: CredentialKind::AccessPass,
            issued: now,
        })
    }

    pub(super) fn find(
        &mut self,
        tenant_hint: Option<&str>,
        user_name: &str,
    ) -> Result<(String, &mut User), SignInError> {
        let user_name = user_name.trim();
        let tenant = self.tenant_of_user_name(user_name).ok_or(SignInError::UserNotFound)?;
        let anywhere = tenant_hint.is_none_or(|hint| matches!(hint, "common" | "organizations"));
        if !anywhere && !tenant_hint.is_some_and(|hint| tenant.answers_to(hint)) {
            return Err(SignInError::UserNotFound);
        }
        if tenant.domain_of(user_name).is_some_and(|domain| domain.kind != DomainKind::Managed) {
            return Err(SignInError::Federated);
        }
        self.find_anywhere(user_name)
    }

    pub(super) fn find_anywhere(&mut self, user_name: &str) -> Result<(String, &mut User), SignInError> {
        let user_name = user_name.trim();
        self.tenants
            .iter_mut()
            .find_map(|tenant| {
                let id = tenant.id.clone();
                Some((id, tenant.user_mut(user_name)?))
            })
            .ok_or(SignInError::UserNotFound)
    }

    pub(super) fn conclude(
        &mut self,
        user_name: &str,
        credential: CredentialKind,
        result: Result<Session, SignInError>,
        clock: &Clock,
    ) -> Result<SignedIn, SignInError> {
        let now = clock.now();
        let signed_in = result.and_then(|session| {
            let tenant = self.tenant(&session.tenant_id).ok_or(SignInError::UserNotFound)?;
            let user = tenant.users.get(&session.user_id).ok_or(SignInError::UserNotFound)?;
            let signed_in = describe(tenant, user, &session, now);
            self.sessions.insert(session.id.clone(), session);
            Ok(signed_in)
        });
        let record = SignInRecord {
            id: new_id(),
            reason: signed_in.as_ref().err().map_or("", |error| error.message()),
            at_ms: u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
            time: now.to_string(),
            tenant_id: self.tenant_of_user_name(user_name).map(|tenant| tenant.id.clone()),
            user_name: user_name.trim().to_owned(),
            credential,
            error: signed_in.as_ref().err().map_or(0, |error| error.number()),
            roles: signed_in.as_ref().map(|signed_in| signed_in.roles.clone()).unwrap_or_default(),
        };
        self.sign_ins.push(record);
        signed_in
    }
}

fn has_usable_pass(tenant: &Tenant, user: &User, now: Timestamp) -> bool {
    user.access_pass.as_ref().is_some_and(|pass| pass.usability(now, tenant.pass_allowed(&user.id)).0)
}

pub(super) fn usable(user: &User, clock: &Clock, knobs: &Knobs) -> bool {
    user.account_enabled && clock.elapsed() >= user.enabled_moment + Duration::from_millis(knobs.sign_in_lag_ms)
}

/// `amr`, and what that is in the words of authentication strengths.
fn proved(session: &Session) -> (Vec<&'static str>, Vec<&'static str>) {
    let (mut methods, mut combinations) = match session.credential {
        CredentialKind::Password => (vec!["pwd"], vec!["password"]),
        CredentialKind::AccessPass if session.access_pass_once => {
            (vec!["tap", "mfa"], vec!["temporaryAccessPassOneTime"])
        }
        CredentialKind::AccessPass => (vec!["tap", "mfa"], vec!["temporaryAccessPassMultiUse"]),
        CredentialKind::Passkey => (vec!["fido", "mfa"], vec!["fido2"]),
        CredentialKind::Code => (vec!["otp"], Vec::new()),
    };
    match (session.second, session.credential) {
        (Some(CredentialKind::Code), CredentialKind::Password) => {
            methods.extend(["otp", "mfa"]);
            combinations.push("password,hardwareOath");
        }
        (Some(CredentialKind::Passkey), _) => {
            methods.push("fido");
            if !methods.contains(&"mfa") {
                methods.push("mfa");
            }
            combinations.push("fido2");
        }
        _ => {}
    }
    (methods, combinations)
}

fn describe(tenant: &Tenant, user: &User, session: &Session, now: Timestamp) -> SignedIn {
    let (methods, combinations) = proved(session);
    SignedIn {
        tenant_id: tenant.id.clone(),
        tenant_name: tenant.display_name.clone(),
        user_id: user.id.clone(),
        user_name: user.user_principal_name.clone(),
        display_name: user.display_name.clone(),
        roles: tenant.role_names_of(&user.id, now),
        credential: session.credential,
        mfa_required: !methods.contains(&"mfa"),
        methods,
        combinations,
        session_id: session.id.clone(),
        expires: session.expires,
    }
}
