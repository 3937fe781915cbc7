//! The one loop: drives an account from what is observed to what is desired.
//!
//! Activation, deactivation, repair after a crash, drift and orphans differ in the desired state alone. The loop works
//! under a loan on the account's row, writes down what it is about to allow before it sends it, sends nothing that
//! grants unless it can arrive in time, and believes that an account is dormant only after reading it back.

mod answers;
mod observe;
mod pace;

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use latchkey_protocol::{CredentialKind, ErrorBody, Progress, Step, StepState};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::{
    AuditEvent, Caller, EXCHANGE_TIMEOUT, EngineError, Failure, OnProgress,
    clock::milliseconds,
    engine::Shared,
    fence,
    graph::{
        self, Answer, Deadline, FoundAccount, FoundPasskey, PassLifetime, Priority, Session, Trouble, Verdict, judge,
    },
    guards::{Guard, holds},
    oath, passkey,
    password::{PasswordLength, random_password},
    plan::{Action, Desired, Ends, Issue, Observed, Password, Purpose, Share, plan},
    store::{AccountRow, Claim, LOAN, LeaseRow, OathRow, TenantRow},
};
use answers::describe;
pub(crate) use pace::Setback;
use pace::{Pace, worse};

/// How long the directory may still take an account for an administrator after its roles were removed.
const ROLE_REMOVAL_LAG: i64 = 60_000;
/// While waiting, the loan is renewed so often.
const HOLD_EVERY: Duration = Duration::from_secs(5);
/// The loan is renewed when less of it is left: an exchange, the wait before it and a margin.
const RENEW_BELOW: i64 = 15_000;
const BATCH_LIMIT: usize = 20;
/// A turn under Graph's limits is waited for so long, whoever waits: its longest window.
const TURN_PATIENCE: Duration = Duration::from_secs(150);
/// How many passwords are tried before a refusal is believed to be about something else.
const PASSWORD_TRIES: u32 = 4;

/// What a drive is for.
pub(crate) enum Goal {
    /// Make the account active for one lease, and issue a credential.
    Activate(Activation),
    /// Have the roles that end by themselves last as long as the live leases, of which one was made longer.
    Extend { lease_id: Uuid, until: i64 },
    /// Leave the account no more than the live leases need: dormant when there are none. Read back.
    Settle,
    /// Have it one passkey whose key is here, if it is to have one; none of ours if not.
    Keys { wanted: bool },
    /// The same of OATH tokens.
    Tokens { wanted: bool },
}

impl Goal {
    /// When the lease for which something is granted is over; `None`: nothing is granted.
    const fn until(&self) -> Option<i64> {
        match self {
            Self::Activate(activation) => Some(activation.until),
            Self::Extend { until, .. } => Some(*until),
            Self::Settle | Self::Keys { .. } | Self::Tokens { .. } => None,
        }
    }

    /// Whether it is about what accounts sign in with from one lease to the next.
    const fn is_about_keys(&self) -> bool {
        matches!(self, Self::Keys { .. } | Self::Tokens { .. })
    }
}

/// An activation under way.
pub(crate) struct Activation {
    pub(crate) lease_id: Uuid,
    /// When the lease ends: nothing that grants is sent unless it can arrive before.
    pub(crate) until: i64,
    pub(crate) issue: Issue,
    pub(crate) lifetime: PassLifetime,
    /// What is issued after all when nothing was to be and the account turns out not to be there any more.
    pub(crate) otherwise: Issue,
    /// What the lease grants.
    pub(crate) share: Share,
    /// Why a better credential was not issued.
    pub(crate) because: Option<String>,
    /// With a password the account signs in by a one-time code, too.
    pub(crate) with_codes: bool,
    /// Roles are to end by themselves, each when the last lease that needs it is over: then that is here.
    pub(crate) fences: Option<Ends>,
    /// What was issued. Only ever in memory.
    pub(crate) issued: Option<Issued>,
}

/// A credential that was issued just now.
pub(crate) struct Issued {
    pub(crate) kind: CredentialKind,
    pub(crate) value: SecretString,
    /// How long it lives, in minutes, if it ends by itself.
    pub(crate) minutes: Option<u32>,
    /// Whether it signs in only once.
    pub(crate) once: bool,
}

impl Issued {
    const fn password(value: SecretString) -> Self {
        Self { kind: CredentialKind::Password, value, minutes: None, once: false }
    }
}

/// A drive of one account under a loan.
pub(crate) struct Drive<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) tenant: TenantRow,
    pub(crate) session: Arc<Session>,
    pub(crate) account: AccountRow,
    pub(crate) claim: Claim,
    pub(crate) priority: Priority,
    pub(crate) patience: Duration,
    /// The same while a new account has not arrived everywhere.
    pub(crate) replication_patience: Duration,
    pub(crate) caller: Caller,
    pub(crate) on_progress: OnProgress<'a>,
    /// The directory did not let us replace a password that nobody was told.
    pub(crate) password_refused: bool,
    /// It did not let us replace one that somebody was told: then the account has to go.
    pub(crate) has_to_go: bool,
    /// When an ending of the account was verified last, as it was before this drive began.
    pub(crate) ended_at: Option<i64>,
    /// An account of our name that is somebody else's was found.
    pub(crate) not_ours: bool,
    /// The store says already that something may have been granted.
    pub(crate) intent_written: bool,
    /// The account's passkeys as the directory last listed them, where they matter; none: they do not.
    pub(crate) listed_passkeys: Option<Vec<FoundPasskey>>,
    /// Passkeys that were deleted in this drive, whatever lists say.
    pub(crate) deleted_passkeys: BTreeSet<String>,
    /// The same of its OATH tokens.
    pub(crate) listed_tokens: Option<oath::ListedTokens>,
    /// Tokens that were deleted in this drive.
    pub(crate) deleted_tokens: BTreeSet<String>,
    /// A token that the tenant has and the account is still to be given.
    pub(crate) waiting_token: Option<OathRow>,
}

impl Drive<'_> {
    /// Drives until the goal is reached, or for as long as a person would wait.
    ///
    /// On an error whatever was granted is still on record as possibly granted; the caller ends the lease and the
    /// sweep goes on.
    pub(crate) async fn drive(&mut self, goal: &mut Goal) -> Result<(), EngineError> {
        let mut pace = self.pace();
        let mut read_back = false;
        if goal.is_about_keys() {
            let of_passkeys = matches!(goal, Goal::Keys { .. });
            self.listed_passkeys = of_passkeys.then(Vec::new);
            self.listed_tokens = (!of_passkeys).then(oath::ListedTokens::default);
            self.account.certain = false;
        }
        loop {
            self.hold().await?;
            if !self.account.certain {
                match self.observe().await {
                    Ok(()) => read_back = true,
                    Err(trouble) => {
                        let replication = trouble.status == 404;
                        let setback = Setback { trouble, action: "read the account back", replication };
                        self.pause(&mut pace, setback).await?;
                        continue;
                    }
                }
            }
            if let Goal::Activate(activation) = goal
                && activation.issue == Issue::Keep
                && !self.account.known.exists
            {
                activation.issue = activation.otherwise;
            }
            let desired = self.desired(goal).await?;
            let mut actions = if pace.plain_removals {
                plan(&desired, &Observed { ends: BTreeMap::new(), ..self.account.known.clone() })
            } else {
                plan(&desired, &self.account.known)
            };
            actions.truncate(BATCH_LIMIT);
            let put_off = pace.puts_passes_off && self.put_off_passes(&mut actions);
            if let Some(place) = actions.iter().position(Action::stands_alone) {
                actions.truncate(place.max(1));
            }
            if actions.is_empty() {
                // A passkey whose registration was answered is there; lists lag behind, and calls about them are few.
                if read_back || goal.until().is_some() || goal.is_about_keys() {
                    return Ok(());
                }
                self.account.certain = false;
                continue;
            }
            read_back = false;
            if let Some(until) = goal.until() {
                self.check_deadline(until)?;
            }
            let round = if let Some(Action::Create(purpose)) = actions.first() {
                self.create(*purpose, goal, &mut pace).await?
            } else if actions.first() == Some(&Action::RegisterPasskey) {
                passkey::register(self).await?
            } else if actions.first() == Some(&Action::AddOathToken) {
                oath::add(self).await?
            } else if let Some(Action::DeleteOathToken(token)) = actions.first() {
                oath::delete(self, token).await?
            } else {
                self.write_intent(&actions).await?;
                self.carry_out(&actions, goal, &mut pace).await?
            };
            if let Some(setback) = round {
                if matches!(goal, Goal::Settle) {
                    pace.chain = false;
                }
                if put_off {
                    // Whether or not this step ever succeeds: what was put off for it must happen.
                    pace.puts_passes_off = false;
                    continue;
                }
                self.pause(&mut pace, setback).await?;
            }
        }
    }

    /// Deletes passes in a round of their own when Graph's small budget for them is used up: that it is must not keep an
    /// account enabled. Returns whether it did.
    fn put_off_passes(&self, actions: &mut Vec<Action>) -> bool {
        let is_pass = |action: &Action| matches!(action, Action::DeletePass(_));
        let passes = actions.iter().filter(|action| is_pass(action)).count();
        let put_off = (1..actions.len()).contains(&passes) && !self.session.has_room_for_methods(passes);
        if put_off {
            actions.retain(|action| !is_pass(action));
        }
        put_off
    }

    /// Makes the account if it is not there. Returns whether it had to be made.
    pub(crate) async fn ensure_exists(&mut self) -> Result<bool, EngineError> {
        let mut pace = self.pace();
        loop {
            self.hold().await?;
            if !self.account.certain {
                if let Err(trouble) = self.observe().await {
                    let replication = trouble.status == 404;
                    self.pause(&mut pace, Setback { trouble, action: "read the account", replication }).await?;
                    continue;
                }
            } else if self.account.known.exists {
                return Ok(false);
            }
            if self.account.known.exists {
                return Ok(false);
            }
            match self.create(Purpose::Forget, &mut Goal::Settle, &mut pace).await? {
                Some(setback) => self.pause(&mut pace, setback).await?,
                None if self.account.known.exists => return Ok(true),
                None => {}
            }
        }
    }

    /// Accounts that stumble over the same fault at once must not come back at once: whose and which drive it is sets
    /// them apart.
    fn pace(&self) -> Pace {
        let mut jitter = DefaultHasher::new();
        (&self.account.user_name, self.claim.generation, self.shared.clock.now()).hash(&mut jitter);
        Pace::new(self.shared.clock.elapsed(), jitter.finish())
    }

    /// Renews the loan when an exchange might outlast it. Whoever has lost it stops at once. (A loan that has not lapsed
    /// cannot have been lost, so there is nothing to ask the database before.)
    pub(crate) async fn hold(&mut self) -> Result<(), EngineError> {
        let left = self.claim.until - self.shared.clock.now();
        if (RENEW_BELOW..=LOAN).contains(&left) {
            return Ok(());
        }
        if self.shared.store.renew(&mut self.claim, self.shared.clock.now()).await? {
            Ok(())
        } else {
            Err(Failure::Busy(self.account.user_name.clone()).into())
        }
    }

    /// What the leases in the store call for now: their union, counted and not flagged.
    async fn desired(&mut self, goal: &mut Goal) -> Result<Desired, EngineError> {
        let now = self.shared.now();
        let leases = self.shared.store.open_leases_of(self.account.account_id).await?;
        let live: Vec<_> = leases.iter().filter(|lease| lease.is_live() && lease.until > now).collect();
        let mut shares: Vec<_> = live
            .iter()
            .map(|lease| Share {
                roles: lease.roles.iter().map(|role| role.id).collect(),
                groups: lease.groups.iter().copied().collect(),
            })
            .collect();
        match goal {
            Goal::Activate(activation) => {
                if !live.iter().any(|lease| lease.lease_id == activation.lease_id) {
                    if holds(Guard::IntentFirst) {
                        return Err(Failure::LeaseOver.into());
                    }
                    shares.push(activation.share.clone());
                }
                if let Some(fences) = &mut activation.fences {
                    *fences = fence::ends(&live);
                }
                let ends = activation.fences.as_ref().map(|fences| self.by_microsofts_clock(fences));
                Ok(Desired::active(activation.issue, &shares, ends))
            }
            Goal::Extend { lease_id, .. } => {
                if !live.iter().any(|lease| lease.lease_id == *lease_id) {
                    return Err(Failure::LeaseOver.into());
                }
                Ok(Desired::Extended { ends: self.by_microsofts_clock(&fence::ends(&live)) })
            }
            Goal::Settle if !holds(Guard::CountNotFlag) && leases.iter().any(LeaseRow::is_ending) => {
                Ok(Desired::Dormant)
            }
            Goal::Settle if shares.is_empty() && self.has_to_go && self.account.known.password == Password::Issued => {
                Ok(Desired::Gone)
            }
            Goal::Keys { wanted } => passkey::desired(self, *wanted).await,
            Goal::Tokens { wanted } => oath::desired(self, *wanted).await,
            Goal::Settle => Ok(Desired::settled(&shares)),
        }
    }

    /// The same ends by Microsoft's clock. One that is behind keeps nothing for longer: leases end by the later of the two.
    fn by_microsofts_clock(&self, ends: &Ends) -> Ends {
        let behind = self.shared.http.offset().unwrap_or(0).min(0);
        ends.iter().map(|(role, end)| (*role, end + behind)).collect()
    }

    /// Nothing that grants is sent when the lease would be over, or the loan lost, by the time it could arrive.
    fn check_deadline(&self, until: i64) -> Result<(), EngineError> {
        if !holds(Guard::DeadlineBeforeTheSend) {
            return Ok(());
        }
        let arrives = i64::try_from(EXCHANGE_TIMEOUT.as_millis()).unwrap_or(i64::MAX);
        if self.shared.now() + arrives >= until || self.shared.clock.now() + arrives >= self.claim.until {
            return Err(Failure::LeaseOver.into());
        }
        Ok(())
    }

    /// Before the first step that grants goes out, the store says that it may have.
    async fn write_intent(&mut self, actions: &[Action]) -> Result<(), EngineError> {
        if self.intent_written || !actions.iter().any(Action::grants) {
            return Ok(());
        }
        let mut intent = self.account.clone();
        expect_grant(&mut intent, actions);
        if !self.shared.store.save_known(&self.claim, &intent).await? {
            return Err(Failure::Busy(self.account.user_name.clone()).into());
        }
        self.intent_written = true;
        Ok(())
    }

    /// Sends the steps in one exchange and takes in what was answered.
    async fn carry_out(
        &mut self,
        actions: &[Action],
        goal: &mut Goal,
        pace: &mut Pace,
    ) -> Result<Option<Setback>, EngineError> {
        let Some(object_id) = self.account.object_id else {
            return Err(Failure::Internal("steps are planned for an account without an id".to_owned()).into());
        };
        let lifetime = match goal {
            Goal::Activate(activation) => activation.lifetime,
            Goal::Extend { .. } | Goal::Settle | Goal::Keys { .. } | Goal::Tokens { .. } => {
                PassLifetime::AsThePolicySays
            }
        };
        if actions.contains(&Action::Delete) {
            let detail = json!({ "why": "its password cannot be replaced" });
            let (tenant_id, user_name) = (self.tenant.tenant_id, Some(self.account.user_name.as_str()));
            self.shared.audit(tenant_id, AuditEvent::AccountDeleting, &self.caller, None, user_name, detail).await?;
        }
        for action in actions {
            if let Action::DeletePasskey(passkey) = action {
                let (tenant_id, user_name) = (self.tenant.tenant_id, Some(self.account.user_name.as_str()));
                let (event, detail) = (AuditEvent::PasskeyDeleting, json!({ "passkey": passkey }));
                self.shared.audit(tenant_id, event, &self.caller, None, user_name, detail).await?;
            }
        }
        let now = self.shared.clock.now() + self.shared.http.offset().unwrap_or(0);
        let mut credential = None;
        let mut requests = Vec::with_capacity(actions.len());
        for action in actions {
            let password = match action {
                Action::SetPassword(purpose) => {
                    let password = random_password(self.password_length())?;
                    if *purpose == Purpose::Credential {
                        credential = Some(password.clone());
                    }
                    Some(password)
                }
                _ => None,
            };
            requests.push(graph::action_request(action, object_id, self.session.cloud(), password, lifetime, now));
        }
        // What grants is always a chain: roles must not be there before the credential and the enabling are.
        let chain = pace.chain || goal.until().is_some();
        self.report_all(actions, StepState::Started);
        let deadline = goal
            .until()
            .filter(|_| holds(Guard::DeadlineBeforeTheSend))
            .map(|lease| Deadline { lease, loan: self.claim.until });
        let answers = match self.session.batch_in_time(&requests, chain, self.priority, deadline).await {
            Ok(answers) => answers,
            Err(trouble) => {
                if trouble.may_have_happened {
                    expect_grant(&mut self.account, actions);
                }
                self.report_all(actions, StepState::Retrying);
                let action = actions.first().map_or("change the account", describe);
                return Ok(Some(Setback { trouble, action, replication: false }));
            }
        };
        // Revoked sessions may come back until the account is disabled and its password replaced: without a chain
        // there is no telling which was first.
        let revocation_counts = chain
            || !actions.iter().any(|action| matches!(action, Action::Disable | Action::SetPassword(Purpose::Forget)));
        let mut setback = None;
        for (action, answer) in actions.iter().zip(answers) {
            let verdict = judge(action, &answer);
            if matches!(verdict, Verdict::Done) {
                if matches!(action, Action::RemoveRole { .. } | Action::RemoveGroup(_)) {
                    pace.administrator_until = Some(self.shared.clock.elapsed() + ROLE_REMOVAL_LAG);
                }
                if matches!(action, Action::RevokeSessions) && !revocation_counts {
                    continue;
                }
                let id = take_result(action, answer, &mut credential, goal);
                self.account.known.apply(action, id);
                if matches!(action, Action::Delete) {
                    self.account.object_id = None;
                    self.account.created_at = None;
                }
                if let Action::DeletePasskey(passkey) = action {
                    self.deleted_passkeys.insert(passkey.clone());
                }
                self.report(action.step(), StepState::Done);
                continue;
            }
            if matches!(verdict, Verdict::Skipped) {
                continue;
            }
            self.report(action.step(), StepState::Retrying);
            let found = self.take_in(action, verdict, goal, pace).await?;
            setback = worse(setback, found);
        }
        Ok(setback)
    }

    /// How long passwords are in this tenant.
    fn password_length(&self) -> PasswordLength {
        self.shared.policy().rules(self.tenant.identity()).password_length.unwrap_or_default()
    }

    /// Makes the account: disabled, marked as ours, its password random, and forgotten unless it is the credential.
    async fn create(
        &mut self,
        purpose: Purpose,
        goal: &mut Goal,
        pace: &mut Pace,
    ) -> Result<Option<Setback>, EngineError> {
        if self.not_ours {
            return Err(Failure::AccountNotOurs(self.account.user_name.clone()).into());
        }
        let name = self.shared.account_name(&self.tenant, &self.account.owner)?;
        if name.user_name != self.account.user_name {
            return Err(Failure::Internal("an account of an earlier name cannot be made again".to_owned()).into());
        }
        self.report(Step::CreateAccount, StepState::Started);
        self.shared
            .audit(
                self.tenant.tenant_id,
                AuditEvent::AccountCreating,
                &self.caller,
                None,
                Some(&name.user_name),
                json!({}),
            )
            .await?;
        let password = random_password(self.password_length())?;
        let request = graph::create_account(&name, password.clone());
        let answer = match self.session.send(&request, self.priority).await {
            Ok(answer) => answer,
            Err(trouble) => {
                self.account.certain &= !trouble.may_have_happened;
                self.report(Step::CreateAccount, StepState::Retrying);
                return Ok(Some(Setback { trouble, action: "create the account", replication: false }));
            }
        };
        let trouble = Trouble::of_answer(&answer);
        if answer.is_success() {
            let created: FoundAccount = serde_json::from_value(answer.body)
                .map_err(|_| Failure::Internal("Graph created an account without an id".to_owned()))?;
            self.account.object_id = Some(created.id);
            self.account.created_at = Some(self.shared.clock.now());
            self.account.known.apply(&Action::Create(purpose), None);
            if let (Goal::Activate(activation), Purpose::Credential) = (goal, purpose) {
                activation.issued = Some(Issued::password(password));
            }
            self.account.certain = true;
            let mut written = self.account.clone();
            written.certain = !self.intent_written;
            if !self.shared.store.save_known(&self.claim, &written).await? {
                return Err(Failure::Busy(self.account.user_name.clone()).into());
            }
            self.report(Step::CreateAccount, StepState::Done);
            return Ok(None);
        }
        self.report(Step::CreateAccount, StepState::Retrying);
        if trouble.passes() {
            self.account.certain &= !trouble.may_have_happened;
            return Ok(Some(Setback { trouble, action: "create the account", replication: false }));
        }
        if trouble.status == 400 {
            pace.passwords_refused += 1;
            // The name is taken (by ours, that another process made or a crash left, or by somebody else's), or the
            // password was not good enough. Looking for the name tells.
            self.account.certain = false;
            let taken = trouble.details.iter().any(|detail| detail == "ObjectConflict");
            if taken && pace.passwords_refused > 1 {
                return Ok(Some(Setback { trouble, action: "create the account", replication: true }));
            }
            if pace.passwords_refused < PASSWORD_TRIES {
                return Ok(None);
            }
        }
        Err(self.refused(&Action::Create(purpose), &trouble).await)
    }

    /// Waits before the next round; for as long as Microsoft says if it does. Gives up when a person would.
    async fn pause(&mut self, pace: &mut Pace, setback: Setback) -> Result<(), EngineError> {
        let Setback { trouble, action, replication } = setback;
        let error = || {
            if replication {
                EngineError::from(Failure::AccountNotReplicated(self.account.user_name.clone()))
                    .with_request_id(trouble.request_id.clone())
            } else {
                trouble.to_error(action)
            }
        };
        if trouble.queued {
            tracing::debug!(account = %self.account.user_name, action, wait = ?trouble.retry_after, "it is not its turn");
        } else {
            tracing::warn!(
                account = %self.account.user_name, action, status = trouble.status, code = %trouble.code,
                request_id = trouble.request_id.as_deref(), message = %trouble.message, "a step did not succeed"
            );
        }
        let waits = replication || trouble.passes() || matches!(trouble.status, 400 | 401 | 403 | 404);
        if !waits || trouble.before.as_ref().is_some_and(|_| !trouble.passes()) {
            return Err(error());
        }
        let patience = match (replication, trouble.queued) {
            (true, _) => self.replication_patience,
            (false, true) => self.patience.max(TURN_PATIENCE),
            (false, false) => self.patience,
        };
        let wait = trouble.retry_after.unwrap_or_else(|| pace.next());
        let clock = &self.shared.clock;
        let until = clock.elapsed().saturating_add(milliseconds(wait));
        if until - pace.started > milliseconds(patience) {
            return Err(error());
        }
        loop {
            let left = u64::try_from(until - clock.elapsed()).map_or(Duration::ZERO, Duration::from_millis);
            if left.is_zero() {
                return Ok(());
            }
            clock.sleep(left.min(HOLD_EVERY)).await;
            self.hold().await?;
        }
    }

    fn report_all(&self, actions: &[Action], state: StepState) {
        let mut last = None;
        for action in actions {
            if last != Some(action.step()) {
                self.report(action.step(), state);
                last = Some(action.step());
            }
        }
    }

    pub(crate) fn report(&self, step: Step, state: StepState) {
        (self.on_progress)(Progress { step, state });
    }
}

/// What must be believed once steps that grant may have been sent.
pub(crate) fn expect_grant(account: &mut AccountRow, actions: &[Action]) {
    account.certain = false;
    for action in actions {
        match action {
            Action::SetPassword(Purpose::Credential) | Action::Create(Purpose::Credential) => {
                account.known.password = Password::Issued;
            }
            Action::Enable => {
                account.known.sessions = true;
                if account.known.password == Password::Forgotten {
                    account.known.password = Password::Suspect;
                }
            }
            _ => {}
        }
    }
}

/// The id that was answered; what was issued goes to the activation.
fn take_result(
    action: &Action,
    mut answer: Answer,
    credential: &mut Option<SecretString>,
    goal: &mut Goal,
) -> Option<String> {
    let id = answer.body["id"].as_str().map(ToOwned::to_owned);
    if let Goal::Activate(activation) = goal {
        match action {
            Action::SetPassword(Purpose::Credential) => {
                activation.issued = credential.take().map(Issued::password);
            }
            Action::IssuePass => {
                if let serde_json::Value::String(code) = answer.body["temporaryAccessPass"].take() {
                    let asked = match activation.lifetime {
                        PassLifetime::Minutes { minutes, once } => (Some(minutes), once),
                        PassLifetime::AsThePolicySays => (None, false),
                    };
                    // What was answered counts: the policy may have made it shorter.
                    let minutes = answer.body["lifetimeInMinutes"].as_u64().and_then(|said| u32::try_from(said).ok());
                    activation.issued = Some(Issued {
                        kind: CredentialKind::TemporaryAccessPass,
                        value: SecretString::from(code),
                        minutes: minutes.or(asked.0),
                        once: answer.body["isUsableOnce"].as_bool().unwrap_or(asked.1),
                    });
                }
            }
            _ => {}
        }
    }
    id
}

/// The problem that an ending lease shows.
pub(crate) fn ending_problem(error: &EngineError, tenant: &str) -> ErrorBody {
    let cause = error.to_body();
    let mut body = EngineError::from(Failure::EndingUnverified(cause.message)).in_tenant(tenant).to_body();
    body.graph_request_id = cause.graph_request_id;
    if cause.code.number() < 400 {
        // Key store, store and token: the cause says better what to do.
        body.next_step = cause.next_step;
    }
    body
}
