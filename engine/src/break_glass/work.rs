//! Work on one break-glass account under a loan: making it, replacing its password, looking at it.
//!
//! Nobody is ever locked out. A new password stands in the key store, and the row says that it may be the one, before
//! it is sent; the last proven one is thrown away only when another has been accepted **and** read back. Whatever
//! happens between two steps, the account's password is among those that the row names. A sign-in to try it is not
//! possible: Microsoft asks everybody for a second factor, and a flow without one is none.
//!
//! An application may not do sensitive things to an account that holds a role unless it holds a role itself; so a new
//! account gets its password first and its roles last, and a refusal later says which role is missing.
//! Facts: Microsoft Graph user resource, "Who can perform sensitive actions".

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use latchkey_protocol::{ErrorBody, Progress, Step, StepState};
use serde_json::json;
use uuid::Uuid;

use super::{
    BreakGlassSettings, Leave,
    rules::{self, Belief, LastChange},
};
use crate::{
    AccountOwner, AuditEvent, Caller, EXCHANGE_TIMEOUT, EngineError, Failure, OnProgress, PasswordLength, Role,
    clock::milliseconds,
    engine::Shared,
    graph::{self, Answer, FoundBreakGlass, Priority, Request, Session, Trouble},
    password::random_password,
    sealed,
    store::{self, BreakGlassRow, LOAN, Loan, TenantRow, Write, break_glass as rows},
};

/// The directory role without which an application may not touch an administrator.
pub(crate) const PRIVILEGED_AUTHENTICATION_ADMINISTRATOR: Uuid =
    Uuid::from_u128(0x7be44c8a_adaf_4e2a_84d6_ab2649e08a13);
/// Global Administrator covers it.
pub(crate) const GLOBAL_ADMINISTRATOR: Uuid = Uuid::from_u128(0x62e90394_69f5_4237_9190_012177145e10);

/// The loan is renewed when less of it is left: an exchange, the wait before it and a margin.
const RENEW_BELOW: i64 = 15_000;
/// While waiting, the loan is renewed so often.
const HOLD_EVERY: Duration = Duration::from_secs(5);
/// How long a new account may be missing from some replicas.
const REPLICATION: i64 = 180_000;
/// The adopting of an account that a request of ours may have made: clocks are compared by whole seconds.
const CLOCK_NOISE: i64 = 5_000;
/// Another password is sent only when one that was not answered can have no effect any more.
const SILENCE_LASTS: i64 = 11_000;
/// How many passwords are tried before a refusal is believed to be about something else.
const PASSWORD_TRIES: u32 = 4;
/// How often making an account begins again.
const ROUNDS: u32 = 8;

/// Work on one account.
pub(crate) struct Work<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) tenant: TenantRow,
    session: Arc<Session>,
    pub(crate) account: BreakGlassRow,
    loan: Loan,
    priority: Priority,
    patience: Duration,
    replication: Duration,
    caller: Caller,
    on_progress: OnProgress<'a>,
    length: PasswordLength,
    started: i64,
    delay: Duration,
}

/// How an account was made ready.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) created: bool,
    pub(crate) taken_over: bool,
    pub(crate) problems: Vec<ErrorBody>,
    pub(crate) remarks: Vec<String>,
}

impl<'a> Work<'a> {
    /// Work on an account that is on loan. `None`: it is no longer managed.
    pub(crate) async fn new(
        shared: &'a Shared,
        loan: Loan,
        caller: &Caller,
        priority: Priority,
        patience: (Duration, Duration),
        on_progress: OnProgress<'a>,
    ) -> Result<Option<Self>, EngineError> {
        // Read after the loan was given: what was true before may not be any more.
        let Some(account) = shared.store.break_glass_account(loan.account_id).await? else { return Ok(None) };
        let tenant = shared.store.tenant(account.tenant_id).await?;
        let rules = shared.policy().rules(tenant.identity());
        Ok(Some(Self {
            shared,
            session: shared.session(&tenant),
            tenant,
            account,
            loan,
            priority,
            patience: patience.0,
            replication: patience.1,
            caller: caller.clone(),
            on_progress,
            length: rules.password_length.unwrap_or_default(),
            started: shared.clock.elapsed(),
            delay: Duration::from_millis(400),
        }))
    }

    pub(crate) const fn loan(&self) -> &Loan {
        &self.loan
    }

    /// Replaces the password, and writes down how that went.
    pub(crate) async fn rotate(&mut self) -> Result<(), EngineError> {
        let outcome = self.replace_password().await;
        if let Err(error) = &outcome {
            self.record_failure(error).await?;
        }
        outcome
    }

    /// Looks whether something that was sent without an answer has taken effect; if it has, the password is replaced.
    pub(crate) async fn look(&mut self) -> Result<(), EngineError> {
        let found = match self.read().await {
            Ok(found) => found,
            Err(error) => {
                // Not now, but at the next of the three looks.
                self.account.looked_at = Some(self.shared.clock.now());
                self.save().await?;
                return Err(error);
            }
        };
        self.account.looked_at = Some(self.shared.clock.now());
        if found.is_none() {
            let error = Failure::BreakGlassGone(self.account.user_name.clone()).into();
            self.record_failure(&error).await?;
            return Err(error);
        }
        if let Some(change) = self.account.last_change {
            self.account.passwords.settle(change);
        }
        if self.account.passwords.weigh(self.account.last_change).0 == Belief::Uncertain
            && self
                .account
                .passwords
                .proven
                .is_some_and(|proven| self.account.last_change.is_some_and(|change| change.at != proven.changed_at))
        {
            return self.rotate().await;
        }
        self.save().await?;
        self.tidy().await
    }

    async fn replace_password(&mut self) -> Result<(), EngineError> {
        let Some(object_id) = self.account.object_id else {
            return Err(Failure::BreakGlassNotReady(self.account.user_name.clone()).into());
        };
        let Some(found) = self.read().await? else {
            return Err(Failure::BreakGlassGone(self.account.user_name.clone()).into());
        };
        let before = found.changed_at();
        self.note_foreign_change().await?;
        let mut refused = 0;
        loop {
            self.wait_for_silence().await?;
            let password = random_password(self.length)?;
            let generation = self.seal(&password).await?;
            self.report(Step::SetPassword, StepState::Started);
            let sent_at = self.announce(generation, AuditEvent::BreakGlassRotating, json!({})).await?;
            let trouble = match self.session.send(&graph::set_password(object_id, password), self.priority).await {
                Ok(answer) if answer.is_success() => {
                    self.account.passwords.accepted(generation);
                    return self.prove(generation, sent_at, before).await;
                }
                Ok(answer) => Trouble::of_answer(&answer),
                Err(trouble) => trouble,
            };
            self.report(Step::SetPassword, StepState::Retrying);
            if !trouble.may_have_happened {
                self.account.passwords.refused(generation);
            }
            match trouble.status {
                400 if refused + 1 < PASSWORD_TRIES => refused += 1,
                403 => return Err(self.refusal(&trouble, "set the account's password").await),
                404 => {
                    return Err(EngineError::from(Failure::BreakGlassGone(self.account.user_name.clone()))
                        .with_request_id(trouble.request_id));
                }
                _ if trouble.passes() => {
                    if trouble.may_have_happened {
                        // What can be read now tells which of the two is likelier.
                        let _ = self.read_once().await;
                    }
                    self.pause(&trouble, "set the account's password", self.patience)
                        .await
                        .map_err(|error| if trouble.may_have_happened { self.uncertain(&error) } else { error })?;
                }
                _ => return Err(trouble.to_error("set the account's password")),
            }
        }
    }

    /// Reads back until the directory shows the change, and writes down that the new password is the one.
    async fn prove(&mut self, generation: i64, sent_at: i64, before: Option<i64>) -> Result<(), EngineError> {
        self.report(Step::ReadBack, StepState::Started);
        let changed_at = loop {
            let trouble = match self.read_once().await {
                Ok(Some(found)) => match found.changed_at() {
                    Some(changed_at) if rules::proves(before, changed_at, sent_at) => break changed_at,
                    // A replica that lags behind.
                    _ => Trouble::silence("the change does not show yet".to_owned(), true),
                },
                Ok(None) => Trouble::silence("the account does not show yet".to_owned(), true),
                Err(trouble) => trouble,
            };
            let patience = if self.is_young() { self.replication } else { self.patience };
            self.pause(&trouble, "read the account back", patience).await.map_err(|error| self.uncertain(&error))?;
        };
        let shared = self.shared;
        let now = shared.clock.now();
        self.account.passwords.prove(generation, changed_at, now, self.microsoft_now());
        self.account.attempts = 0;
        self.account.retry_at = None;
        self.account.problem = None;
        self.account.looked_at = Some(now);
        let mut write = shared.store.write().await?;
        self.save_in(&mut write).await?;
        rows::rotated(&mut write, &self.loan, self.account.revealed_at).await?;
        let detail = json!({ "password": generation, "changed_at": changed_at });
        self.append(&mut write, AuditEvent::BreakGlassRotated, detail).await?;
        store::commit(write).await?;
        self.report(Step::ReadBack, StepState::Done);
        self.tidy().await
    }

    /// Deletes the entries of the key store that nobody needs. What cannot be deleted now is deleted another time.
    async fn tidy(&mut self) -> Result<(), EngineError> {
        let spare = self.account.passwords.spare();
        if spare.is_empty() {
            return Ok(());
        }
        for generation in spare {
            self.hold().await?;
            match sealed::discard(&self.shared.secrets, self.account.entry(generation)).await {
                Ok(()) => {
                    self.account.passwords.entries.remove(&generation);
                }
                Err(error) => {
                    tracing::warn!(account = %self.account.user_name, %error, "an old password stays in the key store")
                }
            }
        }
        self.save().await
    }

    /// Writes a password to an entry of the key store that nobody else uses.
    async fn seal(&mut self, password: &secrecy::SecretString) -> Result<i64, EngineError> {
        let generation = self.account.passwords.next_generation();
        self.account.passwords.reserve(generation);
        self.hold().await?;
        self.save().await?;
        sealed::seal(&self.shared.secrets, self.account.entry(generation), password.clone()).await?;
        Ok(generation)
    }

    /// Commits that a password is about to be sent, and that it may be the one from now on. Returns Microsoft's time.
    async fn announce(
        &mut self,
        generation: i64,
        event: AuditEvent,
        detail: serde_json::Value,
    ) -> Result<i64, EngineError> {
        // The token first: fetching one takes as long as an exchange, and the loan must outlast the send.
        self.session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
        self.hold().await?;
        let sent_at = self.microsoft_now();
        self.account.passwords.sending(generation, sent_at);
        if event == AuditEvent::BreakGlassCreating {
            self.account.creating_since.get_or_insert(sent_at);
        }
        let mut detail = detail;
        detail["password"] = generation.into();
        let mut write = self.shared.store.write().await?;
        self.save_in(&mut write).await?;
        self.append(&mut write, event, detail).await?;
        store::commit(write).await?;
        self.hold().await?;
        if self.shared.clock.now() + milliseconds(EXCHANGE_TIMEOUT) >= self.loan.until {
            return Err(Failure::Busy(self.account.user_name.clone()).into());
        }
        Ok(sent_at)
    }

    /// Waits until what was sent without an answer lately can have no effect any more: two changes within one second
    /// could not be told apart.
    async fn wait_for_silence(&mut self) -> Result<(), EngineError> {
        let newest = self.account.passwords.candidates.iter().filter(|one| !one.accepted).map(|one| one.sent_at).max();
        let Some(newest) = newest else { return Ok(()) };
        let wait = (newest + SILENCE_LASTS - self.microsoft_now()).clamp(0, SILENCE_LASTS);
        if wait == 0 {
            return Ok(());
        }
        let wait = Duration::from_millis(wait.unsigned_abs());
        if self.passed() + wait > self.patience {
            let waiting = Failure::NetworkUnreachable("an earlier request was not answered".to_owned());
            return Err(self.uncertain(&waiting.into()));
        }
        self.sleep(wait).await
    }

    /// Makes the account as the configuration wants it. `take_over` is the explicit word for one that is not ours.
    pub(crate) async fn make(
        &mut self,
        settings: &BreakGlassSettings,
        roles: &[Role],
        take_over: bool,
    ) -> Result<Made, EngineError> {
        let mut made = Made::default();
        let object_id = self.be_there(settings, take_over, &mut made).await?;
        if self.account.passwords.proven.is_none() {
            self.first_password(&mut made).await?;
        }
        self.enable(object_id).await?;
        let added = self.assign(object_id, roles, &mut made).await?;
        if !added.is_empty() || !self.account.ready {
            let first = !self.account.ready;
            self.account.ready = true;
            let mut write = self.shared.store.write().await?;
            self.save_in(&mut write).await?;
            if first {
                let names: Vec<_> = roles.iter().map(|role| &role.name).collect();
                let detail = json!({ "roles": names, "taken_over": self.account.taken_over });
                self.append(&mut write, AuditEvent::BreakGlassCreated, detail).await?;
            }
            store::commit(write).await?;
        }
        if !roles.is_empty() && !self.may_touch_administrators().await? {
            made.problems.push(self.app_role_missing().to_body());
        }
        Ok(made)
    }

    /// Finds the account or creates it. Returns its object id.
    async fn be_there(
        &mut self,
        settings: &BreakGlassSettings,
        take_over: bool,
        made: &mut Made,
    ) -> Result<Uuid, EngineError> {
        let mark = settings.name.mark();
        for _ in 0..ROUNDS {
            let Some(found) = self.read().await? else {
                if self.account.object_id.is_some() {
                    // Somebody deleted it. What was its password is nobody's now.
                    self.account.object_id = None;
                    self.account.creating_since = None;
                    self.account.ready = false;
                    self.account.taken_over = false;
                    self.account.last_change = None;
                    self.account.passwords.proven = None;
                    self.account.passwords.candidates.clear();
                }
                self.create(settings).await?;
                made.created |= self.account.object_id.is_some();
                continue;
            };
            if found.is_synchronised() {
                let what = format!(
                    "{} is synchronised from an on-premises directory, which is the master of its password",
                    self.account.user_name
                );
                return Err(Failure::ConfigurationInvalid(what).into());
            }
            let known = self.account.object_id == Some(found.id);
            let ours = found.mark() == Some(mark.as_str())
                && self
                    .account
                    .creating_since
                    .is_some_and(|since| found.created_at().is_some_and(|created| created >= since - CLOCK_NOISE));
            if !known && !ours {
                if found.mark().and_then(AccountOwner::of_mark).is_some() {
                    return Err(Failure::AccountNotOurs(self.account.user_name.clone()).into());
                }
                if !take_over {
                    let marked = found.mark().is_some_and(|mark| mark.starts_with(super::BREAK_GLASS_MARK));
                    let user_name = self.account.user_name.clone();
                    return Err(Failure::TakeOverNeeded { user_name, marked }.into());
                }
                self.account.taken_over = true;
                made.taken_over = true;
                self.audit(AuditEvent::BreakGlassTakingOver, json!({ "object_id": found.id })).await?;
            }
            made.created |= ours && !known;
            if found.mark() != Some(mark.as_str()) {
                if known {
                    self.audit(AuditEvent::BreakGlassChanging, json!({ "mark": "put on again" })).await?;
                }
                let answer = self.ask(|| graph::mark_break_glass(found.id, Some(&mark)), "mark the account").await?;
                if !answer.is_success() {
                    return Err(Trouble::of_answer(&answer).to_error("mark the account"));
                }
            }
            if !known {
                self.account.object_id = Some(found.id);
                self.save().await?;
            }
            return Ok(found.id);
        }
        Err(Failure::AccountNotReplicated(self.account.user_name.clone()).into())
    }

    /// Creates the account, enabled and with its password. `Ok` without an object id: reading tells what came of it.
    async fn create(&mut self, settings: &BreakGlassSettings) -> Result<(), EngineError> {
        let mark = settings.name.mark();
        for _ in 0..PASSWORD_TRIES {
            let password = random_password(self.length)?;
            let generation = self.seal(&password).await?;
            self.report(Step::CreateAccount, StepState::Started);
            self.announce(generation, AuditEvent::BreakGlassCreating, json!({ "roles": settings.roles })).await?;
            let request = graph::create_break_glass(&self.account.user_name, settings.name.as_str(), &mark, password);
            let trouble = match self.session.send(&request, self.priority).await {
                Ok(answer) if answer.is_success() => {
                    let created: FoundBreakGlass = serde_json::from_value(answer.body)
                        .map_err(|_| Failure::Internal("Graph created an account without an id".to_owned()))?;
                    self.account.object_id = Some(created.id);
                    self.account.passwords.accepted(generation);
                    self.save().await?;
                    self.report(Step::CreateAccount, StepState::Done);
                    return Ok(());
                }
                Ok(answer) => Trouble::of_answer(&answer),
                Err(trouble) => trouble,
            };
            self.report(Step::CreateAccount, StepState::Retrying);
            if !trouble.may_have_happened {
                self.account.passwords.refused(generation);
            }
            let taken = trouble.details.iter().any(|detail| detail == "ObjectConflict");
            match trouble.status {
                // By what a request without an answer made, and this replica does not show it yet; or by somebody's.
                400 if taken => {
                    let later = Trouble { status: 503, ..trouble };
                    return self.pause(&later, "create the account", self.replication).await;
                }
                400 => {}
                403 => return Err(self.refusal(&trouble, "create the account").await),
                _ if trouble.passes() => {
                    self.pause(&trouble, "create the account", self.patience).await?;
                    return Ok(());
                }
                _ => return Err(trouble.to_error("create the account")),
            }
        }
        Err(Failure::GraphRefused { action: "create the account", status: 400, code: "Request_BadRequest".to_owned() }
            .into())
    }

    /// The first proven password: the one that it was created with, or a new one.
    async fn first_password(&mut self, made: &mut Made) -> Result<(), EngineError> {
        let change = self.account.last_change;
        let created_with = match self.account.passwords.candidates.as_slice() {
            // It was made with one password, and with one alone: a request that creates an account sets its password.
            [only] if !self.account.taken_over => Some(*only),
            // The change that is read back is that of the newest, if it is anybody's of ours: it proves no other.
            several => several.last().filter(|newest| newest.accepted).copied(),
        };
        let shows = |sent_at: i64| change.is_none_or(|change| rules::proves(None, change.at, sent_at));
        if let Some(candidate) = created_with.filter(|candidate| candidate.accepted || shows(candidate.sent_at)) {
            return self.prove(candidate.generation, candidate.sent_at, None).await;
        }
        match self.rotate().await {
            // An account that was taken over keeps the password that its owner knows: nobody is locked out.
            Err(error) if self.account.taken_over => {
                made.problems.push(error.in_tenant(&self.tenant.name).to_body());
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn enable(&mut self, object_id: Uuid) -> Result<(), EngineError> {
        let Some(found) = self.read().await? else { return Ok(()) };
        if found.account_enabled == Some(true) {
            return Ok(());
        }
        self.audit(AuditEvent::BreakGlassChanging, json!({ "enabled": true })).await?;
        self.report(Step::Enable, StepState::Started);
        let answer = self.ask(|| graph::set_enabled(object_id, true), "enable the account").await?;
        let trouble = Trouble::of_answer(&answer);
        match answer.status {
            403 => Err(self.refusal(&trouble, "enable the account").await),
            _ if answer.is_success() => Ok(()),
            _ => Err(trouble.to_error("enable the account")),
        }
    }

    /// Assigns the roles that it lacks. Roles that it has besides are reported and left alone: taking one from an
    /// emergency administrator is nothing to be done in passing.
    async fn assign(&mut self, object_id: Uuid, roles: &[Role], made: &mut Made) -> Result<Vec<Uuid>, EngineError> {
        let mut added = Vec::new();
        for round in 0..ROUNDS {
            let held = self.roles_of(object_id).await?;
            let missing: Vec<_> = roles.iter().filter(|role| !held.values().any(|id| *id == role.id)).collect();
            let more = held.values().filter(|id| !roles.iter().any(|role| role.id == **id)).count();
            if missing.is_empty() {
                if more > 0 {
                    made.remarks.push(format!(
                        "{} holds {more} directory roles that the configuration does not name.",
                        self.account.user_name
                    ));
                }
                return Ok(added);
            }
            let names: Vec<_> = missing.iter().map(|role| &role.name).collect();
            self.audit(AuditEvent::BreakGlassChanging, json!({ "roles_added": names })).await?;
            self.report(Step::AssignRoles, StepState::Started);
            let mut unclear = None;
            for role in &missing {
                let answer = self.ask(|| graph::assign_role(object_id, role.id), "assign a role").await?;
                let trouble = Trouble::of_answer(&answer);
                match answer.status {
                    _ if answer.is_success() => added.push(role.id),
                    // It has not arrived everywhere, or it holds the role already: reading tells.
                    400 | 404 => unclear = Some(trouble),
                    403 => return Err(self.refusal(&trouble, "assign a role").await),
                    _ => return Err(trouble.to_error("assign a role")),
                }
            }
            if let Some(trouble) = unclear.filter(|_| round > 0) {
                let later = Trouble { status: 503, retry_after: None, ..trouble };
                let young = self.is_young();
                self.pause(&later, "assign a role", self.replication).await.map_err(|error| {
                    if young { Failure::AccountNotReplicated(self.account.user_name.clone()).into() } else { error }
                })?;
            }
        }
        Err(Failure::AccountNotReplicated(self.account.user_name.clone()).into())
    }

    /// Takes the mark off the account, or takes its roles and disables or deletes it. The roles go first: without them
    /// the application needs none of its own.
    pub(crate) async fn leave(&mut self, leave: Leave) -> Result<(), EngineError> {
        let Some(object_id) = self.account.object_id else { return Ok(()) };
        if self.read().await?.is_none() {
            return Ok(());
        }
        if leave == Leave::AsItIs {
            let answer = self.ask(|| graph::mark_break_glass(object_id, None), "take the mark off").await?;
            return if answer.is_success() || answer.status == 404 {
                Ok(())
            } else {
                Err(Trouble::of_answer(&answer).to_error("take the mark off"))
            };
        }
        for assignment in self.roles_of(object_id).await?.into_keys() {
            let answer = self.ask(|| graph::remove_role_assignment(&assignment), "remove a role").await?;
            if !answer.is_success() && answer.status != 404 {
                return Err(Trouble::of_answer(&answer).to_error("remove a role"));
            }
        }
        let action = if leave == Leave::Deleted { "delete the account" } else { "disable the account" };
        let request = || match leave {
            Leave::Deleted => graph::delete_account(object_id),
            _ => graph::set_enabled(object_id, false),
        };
        loop {
            let answer = self.ask(request, action).await?;
            let trouble = Trouble::of_answer(&answer);
            match answer.status {
                404 => return Ok(()),
                // The directory may not have noticed everywhere that the roles are gone.
                403 => {
                    let refusal = self.refusal(&trouble, action).await;
                    let later = Trouble { status: 503, ..trouble };
                    self.pause(&later, action, self.patience).await.map_err(|_| refusal)?;
                }
                _ if answer.is_success() => return Ok(()),
                _ => return Err(trouble.to_error(action)),
            }
        }
    }

    /// The account is no longer managed: its row is closed, then its entries of the key store are deleted.
    pub(crate) async fn close(&mut self, detail: serde_json::Value) -> Result<(), EngineError> {
        self.hold().await?;
        let mut write = self.shared.store.write().await?;
        self.append(&mut write, AuditEvent::BreakGlassReleased, detail).await?;
        rows::release(&mut write, &self.loan, self.shared.clock.now()).await?;
        store::commit(write).await?;
        for generation in std::mem::take(&mut self.account.passwords.entries) {
            sealed::discard(&self.shared.secrets, self.account.entry(generation)).await?;
        }
        Ok(())
    }

    /// Whether the application may do sensitive things to whoever holds a role.
    async fn may_touch_administrators(&mut self) -> Result<bool, EngineError> {
        let capabilities = self.session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
        let Some(application) = capabilities.object_id else { return Ok(true) };
        let held = self.roles_of(application).await?;
        Ok(held.values().any(|role| [PRIVILEGED_AUTHENTICATION_ADMINISTRATOR, GLOBAL_ADMINISTRATOR].contains(role)))
    }

    async fn roles_of(&mut self, principal: Uuid) -> Result<BTreeMap<String, Uuid>, EngineError> {
        let action = "read the role assignments";
        let answer = self.ask(|| graph::read_role_assignments(principal), action).await?;
        if !answer.is_success() {
            return Err(Trouble::of_answer(&answer).to_error(action));
        }
        graph::assignments(answer).ok_or_else(|| Failure::Internal("role assignments cannot be read".to_owned()).into())
    }

    /// The account as the directory has it, trying for as long as a person would wait. `None`: it is not there.
    async fn read(&mut self) -> Result<Option<FoundBreakGlass>, EngineError> {
        self.started = self.shared.clock.elapsed();
        loop {
            self.hold().await?;
            let (trouble, patience) = match self.read_once().await {
                Ok(None) if self.account.object_id.is_some() && self.is_young() => {
                    (Trouble::silence("the account does not show yet".to_owned(), false), self.replication)
                }
                Ok(found) => return Ok(found),
                Err(trouble) => (trouble, self.patience),
            };
            self.pause(&trouble, "read the account", patience).await?;
        }
    }

    /// The same, once. What it says about the password's last change is kept.
    async fn read_once(&mut self) -> Result<Option<FoundBreakGlass>, Trouble> {
        let by_id = self.account.object_id.map(|id| id.to_string());
        let request = graph::read_break_glass(by_id.as_deref().unwrap_or(&self.account.user_name));
        let answer = self.session.send(&request, self.priority).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        if !answer.is_success() {
            return Err(Trouble::of_answer(&answer));
        }
        let found: FoundBreakGlass = serde_json::from_value(answer.body)
            .map_err(|_| Trouble { status: 502, ..Trouble::silence("an answer cannot be read".to_owned(), true) })?;
        if let Some(at) = found.changed_at() {
            self.account.last_change = Some(LastChange { at, read_at: self.microsoft_now() });
        }
        Ok(Some(found))
    }

    /// Sends what may be sent twice, trying for as long as a person would wait.
    async fn ask(
        &mut self,
        request: impl Fn() -> Request + Send + Sync,
        action: &'static str,
    ) -> Result<Answer, EngineError> {
        self.started = self.shared.clock.elapsed();
        loop {
            self.hold().await?;
            let trouble = match self.session.send(&request(), self.priority).await {
                Ok(answer) if answer.is_success() => return Ok(answer),
                Ok(answer) => {
                    let trouble = Trouble::of_answer(&answer);
                    if !trouble.passes() {
                        return Ok(answer);
                    }
                    trouble
                }
                Err(trouble) => trouble,
            };
            self.pause(&trouble, action, self.patience).await?;
        }
    }

    /// Waits before the next try; for as long as Microsoft says if it does. Gives up when a person would.
    async fn pause(&mut self, trouble: &Trouble, action: &'static str, patience: Duration) -> Result<(), EngineError> {
        tracing::warn!(
            account = %self.account.user_name, action, status = trouble.status, code = %trouble.code,
            request_id = trouble.request_id.as_deref(), message = %trouble.message, "a step did not succeed"
        );
        let wait = trouble.retry_after.unwrap_or(self.delay);
        self.delay = (self.delay * 2).min(Duration::from_secs(30));
        if !trouble.passes() || self.passed() + wait > patience {
            return Err(trouble.to_error(action));
        }
        self.sleep(wait).await
    }

    async fn sleep(&mut self, wait: Duration) -> Result<(), EngineError> {
        let until = self.shared.clock.elapsed() + milliseconds(wait);
        loop {
            let left = until - self.shared.clock.elapsed();
            if left <= 0 {
                return Ok(());
            }
            let shared = self.shared;
            shared.clock.sleep(Duration::from_millis(left.unsigned_abs()).min(HOLD_EVERY)).await;
            self.hold().await?;
        }
    }

    fn passed(&self) -> Duration {
        Duration::from_millis((self.shared.clock.elapsed() - self.started).max(0).unsigned_abs())
    }

    /// Renews the loan when an exchange might outlast it. Whoever has lost it stops at once.
    async fn hold(&mut self) -> Result<(), EngineError> {
        let left = self.loan.until - self.shared.clock.now();
        if (RENEW_BELOW..=LOAN).contains(&left) {
            return Ok(());
        }
        if self.shared.store.renew_break_glass(&mut self.loan, self.shared.clock.now()).await? {
            Ok(())
        } else {
            Err(Failure::Busy(self.account.user_name.clone()).into())
        }
    }

    /// Whether the account was made so lately that a 404 means nothing.
    fn is_young(&self) -> bool {
        // What is known of Microsoft's clock changes a little with every answer: an account that seems to be made in a
        // moment is as young as can be. Taken for old it would be taken for deleted, and its password thrown away.
        let now = self.microsoft_now();
        self.account.creating_since.is_some_and(|since| (-CLOCK_NOISE..REPLICATION).contains(&(now - since)))
    }

    /// Microsoft's clock, as far as it is known.
    fn microsoft_now(&self) -> i64 {
        self.shared.clock.now() + self.shared.http.offset().unwrap_or(0)
    }

    /// Somebody else has changed the password since it was proven: that is on record before it is replaced.
    async fn note_foreign_change(&self) -> Result<(), EngineError> {
        if self.account.passwords.weigh(self.account.last_change).0 != Belief::ChangedElsewhere {
            return Ok(());
        }
        let detail = json!({ "password_changed_at": self.account.last_change.map(|change| change.at) });
        self.audit(AuditEvent::ExternallyModified, detail).await
    }

    async fn record_failure(&mut self, error: &EngineError) -> Result<(), EngineError> {
        let shared = self.shared;
        let asked = match error.failure() {
            Failure::Throttled(seconds) => i64::try_from(*seconds).ok().map(|seconds| seconds.saturating_mul(1000)),
            _ => None,
        };
        let now = shared.clock.now();
        let problem = error.clone().in_tenant(&self.tenant.name).to_body();
        self.account.attempts = self.account.attempts.saturating_add(1);
        self.account.retry_at = Some(rules::retry_at(now, self.account.attempts, asked));
        self.account.looked_at = Some(now);
        let mut write = shared.store.write().await?;
        let code = problem.code.number();
        let detail = json!({
            "code": code, "message": problem.message, "request_id": problem.graph_request_id,
            "attempts": self.account.attempts,
        });
        self.account.problem = Some(problem);
        if !rows::save(&mut write, &self.loan, &self.account).await? {
            // Somebody else has the account now, and says how it is.
            return Ok(());
        }
        // The first failure is on record, and then every tenfold: a week of retries must not bury the log.
        if matches!(self.account.attempts, 1 | 10 | 100 | 1_000 | 10_000) {
            self.append(&mut write, AuditEvent::BreakGlassRotationFailed, detail).await?;
        }
        store::commit(write).await?;
        self.tidy().await
    }

    /// A refusal as a person can act on it.
    async fn refusal(&self, trouble: &Trouble, action: &'static str) -> EngineError {
        let needed: &[&str] = match action {
            "set the account's password" => &["User-PasswordProfile.ReadWrite.All"],
            "assign a role" => &["RoleManagement.ReadWrite.Directory"],
            "enable the account" | "disable the account" => &["User.EnableDisableAccount.All", "User.ReadWrite.All"],
            _ => &["User.ReadWrite.All"],
        };
        let capabilities = self.session.capabilities().await.unwrap_or_default();
        let error: EngineError = if !needed.iter().any(|permission| capabilities.has(permission)) {
            Failure::PermissionMissing(vec![needed[0].to_owned()]).into()
        } else if matches!(action, "create the account" | "assign a role") {
            trouble.to_error(action)
        } else {
            self.app_role_missing()
        };
        error.with_request_id(trouble.request_id.clone())
    }

    fn app_role_missing(&self) -> EngineError {
        let (user_name, tenant) = (self.account.user_name.clone(), self.tenant.name.clone());
        EngineError::from(Failure::AppRoleMissing { user_name, tenant }).in_tenant(&self.tenant.name)
    }

    fn uncertain(&self, cause: &EngineError) -> EngineError {
        let body = cause.to_body();
        EngineError::from(Failure::PasswordUncertain { user_name: self.account.user_name.clone(), cause: body.message })
            .with_request_id(body.graph_request_id)
    }

    async fn save(&self) -> Result<(), EngineError> {
        let mut write = self.shared.store.write().await?;
        self.save_in(&mut write).await?;
        store::commit(write).await
    }

    async fn save_in(&self, write: &mut Write) -> Result<(), EngineError> {
        if rows::save(write, &self.loan, &self.account).await? {
            Ok(())
        } else {
            Err(Failure::Busy(self.account.user_name.clone()).into())
        }
    }

    async fn audit(&self, event: AuditEvent, detail: serde_json::Value) -> Result<(), EngineError> {
        let user_name = Some(self.account.user_name.as_str());
        self.shared.audit(self.tenant.tenant_id, event, &self.caller, None, user_name, detail).await
    }

    async fn append(&self, write: &mut Write, event: AuditEvent, detail: serde_json::Value) -> Result<(), EngineError> {
        let user_name = Some(self.account.user_name.as_str());
        let entry = self.shared.entry(self.tenant.tenant_id, event, &self.caller, None, user_name, detail);
        store::append(write, &entry).await
    }

    fn report(&self, step: Step, state: StepState) {
        (self.on_progress)(Progress { step, state });
    }
}
