//! Reading an account back: what it is, has and may, as the directory says now. Never sends anything that changes it.
//!
//! Facts: Microsoft Graph, user, directory role and authentication method resources; lists lag behind what was changed.

use std::collections::BTreeSet;

use latchkey_protocol::{Step, StepState};
use uuid::Uuid;

use super::{BATCH_LIMIT, Drive};
use crate::{
    graph::{self, Answer, FoundAccount, Trouble},
    oath,
    plan::{Observed, Password},
};

/// How long a new account may be missing from some replicas.
const REPLICATION: i64 = 180_000;

impl Drive<'_> {
    /// Reads the account, its roles, groups and passes.
    pub(crate) async fn observe(&mut self) -> Result<(), Trouble> {
        self.report(Step::ReadBack, StepState::Started);
        let observed = self.read().await;
        let state = if observed.is_ok() { StepState::Done } else { StepState::Retrying };
        self.report(Step::ReadBack, state);
        observed
    }

    async fn read(&mut self) -> Result<(), Trouble> {
        self.not_ours = false;
        let capabilities = self.session.capabilities().await?;
        let of_passkeys = self.listed_passkeys.is_some();
        let of_keys = of_passkeys || self.listed_tokens.is_some();
        let passes = !of_keys && capabilities.passes() && self.tenant.cloud.hosts().has_temporary_access_pass;
        let object_id = match self.account.object_id {
            Some(object_id) => object_id,
            None => match self.find().await? {
                Some(object_id) => object_id,
                None => {
                    self.account.known = Observed::absent();
                    self.account.certain = true;
                    return Ok(());
                }
            },
        };
        let ours: BTreeSet<Uuid> = match self.shared.store.groups_ever_granted(self.account.account_id).await {
            Ok(groups) => groups.into_iter().chain(self.tenant.groups.iter().copied()).collect(),
            Err(error) => return Err(Trouble::before_sending(error.failure().clone(), None)),
        };
        let schedules = self.tenant.timed_roles == Some(true) || !self.account.known.ends.is_empty();
        let mut requests = graph::members_of_account(object_id, passes, schedules);
        let (lists, mut single) = (of_passkeys && capabilities.list_passkeys(), 0);
        if lists {
            requests.push(graph::list_passkeys(object_id));
        } else if of_passkeys {
            let rows = match self.shared.store.passkeys_of(self.account.account_id).await {
                Ok(rows) => rows,
                Err(error) => return Err(Trouble::before_sending(error.failure().clone(), None)),
            };
            let known = rows.into_iter().filter(|row| row.object_id == object_id).filter_map(|row| row.method_id);
            for passkey in known.take(BATCH_LIMIT - requests.len()) {
                requests.push(graph::read_passkey(object_id, &passkey));
                single += 1;
            }
        }
        let mut answers = self.session.batch(&requests, false, self.priority).await?.into_iter();
        let mut next = || answers.next().ok_or_else(|| Trouble::silence("an answer is missing".to_owned(), true));
        let (user, roles, groups) = (next()?, next()?, next()?);
        if user.status == 401 {
            self.session.forget_token().await;
        }
        if user.status == 404 && !self.is_young() {
            // Deleted by somebody. What is deleted cannot sign in; a new one is found by its name.
            self.account.object_id = None;
            self.account.created_at = None;
            self.account.known = Observed::absent();
            self.account.certain = true;
            return Ok(());
        }
        for answer in [&user, &roles, &groups] {
            if !answer.is_success() {
                return Err(Trouble::of_answer(answer));
            }
        }
        // Both lists may have more pages than fit the batch.
        let roles = self.session.rest_of(roles, self.priority).await?;
        let groups = self.session.rest_of(groups, self.priority).await?;
        for answer in [&roles, &groups] {
            if !answer.is_success() {
                return Err(Trouble::of_answer(answer));
            }
        }
        let unreadable = || Trouble { status: 502, ..Trouble::silence("an answer cannot be read".to_owned(), true) };
        let found: FoundAccount = serde_json::from_value(user.body).map_err(|_| unreadable())?;
        let mut known = self.account.known.clone();
        known.exists = true;
        // An answer without the member says nothing; the worse is assumed.
        known.enabled = found.account_enabled.unwrap_or(true);
        let passes_answer = if passes { Some(next()?) } else { None };
        let schedules = if schedules { Some(next()?) } else { None };
        (known.roles, known.ends) = graph::timed(roles, schedules).ok_or_else(unreadable)?;
        known.groups = graph::memberships(groups, &ours).ok_or_else(unreadable)?;
        if self.listed_passkeys.is_some() {
            let mut listed = Vec::new();
            if lists {
                let answer = next()?;
                if !answer.is_success() {
                    return Err(Trouble::of_answer(&answer));
                }
                listed = graph::found_passkeys(answer).ok_or_else(unreadable)?;
            }
            for _ in 0..single {
                let answer = next()?;
                if !answer.is_success() && answer.status != 404 {
                    return Err(Trouble::of_answer(&answer));
                }
                listed.extend(graph::found_passkey(answer).ok_or_else(unreadable)?);
            }
            known.passkeys = listed.iter().map(|passkey| passkey.id.clone()).collect();
            // Lists lag behind: what this drive was given exists, and what it deleted does not.
            known.passkeys.extend(known.fresh_passkey.clone());
            known.passkeys.retain(|passkey| !self.deleted_passkeys.contains(passkey));
            self.listed_passkeys = Some(listed);
        }
        if self.listed_tokens.is_some() {
            self.listed_tokens = Some(oath::observe(self, object_id).await?);
        }
        if !of_keys {
            known.passes = passes_answer.map(|answer| self.read_passes(answer)).transpose()?.unwrap_or_default();
        }
        if let Some(fresh) = &known.fresh_pass {
            // Lists lag behind; what this drive was given exists.
            known.passes.insert(fresh.clone());
        }
        if known.enabled {
            known.sessions = true;
            if known.password == Password::Forgotten {
                known.password = Password::Suspect;
            }
        }
        self.account.known = known;
        self.account.certain = true;
        Ok(())
    }

    fn read_passes(&self, answer: Answer) -> Result<BTreeSet<String>, Trouble> {
        if answer.is_success() {
            return graph::passes(answer).ok_or_else(|| Trouble::silence("an answer cannot be read".to_owned(), true));
        }
        let trouble = Trouble::of_answer(&answer);
        if trouble.status == 403 {
            // The tenant does not let anybody have passes: there is none of ours.
            return Ok(BTreeSet::new());
        }
        Err(trouble)
    }

    /// The account of our name, if it is there and ours.
    async fn find(&mut self) -> Result<Option<Uuid>, Trouble> {
        let answer = self.session.send(&graph::find_account(&self.account.user_name), self.priority).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        if !answer.is_success() {
            return Err(Trouble::of_answer(&answer));
        }
        let found: FoundAccount = serde_json::from_value(answer.body)
            .map_err(|_| Trouble { status: 502, ..Trouble::silence("an answer cannot be read".to_owned(), true) })?;
        if found.mark() != Some(self.account.owner.mark().as_str()) {
            self.not_ours = true;
            return Ok(None);
        }
        self.account.object_id = Some(found.id);
        // Whoever had it before us may have issued anything.
        self.account.known.password = Password::Issued;
        self.account.known.sessions = true;
        Ok(Some(found.id))
    }

    /// Whether the account was made so lately that a 404 means nothing.
    pub(super) fn is_young(&self) -> bool {
        let now = self.shared.clock.now();
        self.account.created_at.is_some_and(|created| (0..REPLICATION).contains(&(now - created)))
    }
}
