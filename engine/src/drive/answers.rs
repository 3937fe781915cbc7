//! What follows from an answer that is no success: another way, a wait, another look, or the end of the attempt.
//!
//! An ending goes on where an activation gives up, and what was refused is remembered in the tenant's row where the next
//! account would stumble over it, too.

use latchkey_protocol::CredentialKind;

use super::{
    Drive, Goal, PASSWORD_TRIES, ROLE_REMOVAL_LAG, expect_grant,
    pace::{Pace, Setback},
};
use crate::{
    EngineError, Failure, credential,
    graph::{PassLifetime, Trouble, Verdict},
    plan::{Action, Issue, Observed, Password, Purpose},
};

impl Drive<'_> {
    /// What follows from an answer that is no success. `None`: go on at once.
    pub(super) async fn take_in(
        &mut self,
        action: &Action,
        verdict: Verdict,
        goal: &mut Goal,
        pace: &mut Pace,
    ) -> Result<Option<Setback>, EngineError> {
        let name = describe(action);
        let later = |trouble| Ok(Some(Setback { trouble, action: name, replication: false }));
        match verdict {
            Verdict::Done | Verdict::Skipped => Ok(None),
            Verdict::Later(trouble) => {
                if trouble.may_have_happened {
                    expect_grant(&mut self.account, std::slice::from_ref(action));
                }
                later(trouble)
            }
            Verdict::TokenRejected(trouble) => {
                self.session.forget_token().await;
                pace.tokens_rejected += 1;
                if pace.tokens_rejected <= 1 { Ok(None) } else { later(trouble) }
            }
            Verdict::NotFound(trouble) => {
                if self.is_young() {
                    return Ok(Some(Setback { trouble, action: name, replication: true }));
                }
                if matches!(goal, Goal::Activate(_)) && action.is_sensitive() {
                    // Deleted by somebody, so that it is made anew. Should it be there after all, its name is taken,
                    // and then it is looked for by that.
                    self.account.object_id = None;
                    self.account.created_at = None;
                    self.account.known = Observed::absent();
                    return Ok(None);
                }
                // It was there when we last looked: reading tells whether it still is.
                self.account.certain = false;
                pace.unclear += 1;
                if pace.unclear <= 2 { Ok(None) } else { later(trouble) }
            }
            Verdict::Unclear(trouble) => {
                self.account.certain = false;
                pace.unclear += 1;
                if pace.unclear <= 1 {
                    return Ok(None);
                }
                if let (Goal::Activate(activation), Action::AssignRole { ends: Some(_), .. }) = (&mut *goal, action) {
                    // It is said to be there and is not: what is left of an earlier one.
                    activation.fences = None;
                    return Ok(None);
                }
                if matches!(goal, Goal::Activate(_)) && pace.unclear > 6 {
                    return Err(trouble.to_error(name));
                }
                let replication = self.is_young();
                Ok(Some(Setback { trouble, action: name, replication }))
            }
            Verdict::PasswordRejected(trouble) => {
                pace.passwords_refused += 1;
                if pace.passwords_refused < PASSWORD_TRIES {
                    return Ok(None);
                }
                if matches!(goal, Goal::Activate(_)) { Err(trouble.to_error(name)) } else { later(trouble) }
            }
            Verdict::OtherWay(trouble) => {
                // The other way needs the assignment's own id, which reading shows.
                self.account.certain = false;
                let again = std::mem::replace(&mut pace.plain_removals, true);
                if again { later(trouble) } else { Ok(None) }
            }
            Verdict::Refused(trouble) => self.take_in_refusal(action, trouble, goal, pace).await,
        }
    }

    async fn take_in_refusal(
        &mut self,
        action: &Action,
        trouble: Trouble,
        goal: &mut Goal,
        pace: &mut Pace,
    ) -> Result<Option<Setback>, EngineError> {
        let name = describe(action);
        let denied = trouble.status == 403 && action.is_sensitive();
        if denied && matches!(goal, Goal::Settle) {
            pace.chain = false;
            if self.may_keep_password(action, pace) {
                // Nobody was ever told this password; the application is not allowed to replace it.
                tracing::warn!(account = %self.account.user_name, "the password cannot be replaced");
                self.account.known.password = Password::Forgotten;
                self.password_refused = true;
                return Ok(None);
            }
            if matches!(action, Action::SetPassword(_))
                && self.account.known.password == Password::Issued
                && self.is_about_us(pace)
                && (!self.tenant.passwords_allowed || self.has_been_ending_for_long().await?)
            {
                // Somebody was told it. What is not in the directory cannot sign in; the next lease makes it anew.
                tracing::warn!(account = %self.account.user_name, "the password cannot be replaced: the account goes");
                self.has_to_go = true;
                self.shared.store.remember_passwords_allowed(self.tenant.tenant_id, false).await?;
                return Ok(None);
            }
        }
        // Somebody may have made the account an administrator: then its roles must go first, and reading shows them.
        if denied {
            pace.denied += 1;
            if pace.denied == 1 {
                self.account.certain = false;
                return Ok(None);
            }
            if pace.was_administrator(self.shared.clock.elapsed()) && self.account.known.roles.is_empty() {
                return Ok(Some(Setback { trouble, action: name, replication: false }));
            }
        }
        match goal {
            Goal::Activate(activation) => {
                if matches!(action, Action::ExtendRole { .. }) {
                    // It ends when it was to end at first.
                    activation.fences = None;
                    return Ok(None);
                }
                if matches!(action, Action::AssignRole { ends: Some(_), .. }) {
                    activation.fences = None;
                    let now = self.shared.clock.now();
                    self.shared.store.remember_timed_roles(self.tenant.tenant_id, false, now).await?;
                    return Ok(None);
                }
                if matches!(action, Action::IssuePass) {
                    let policy_known = self.tenant.pass_policy.is_some();
                    if trouble.status == 400 && !policy_known && activation.lifetime != PassLifetime::AsThePolicySays {
                        activation.lifetime = PassLifetime::AsThePolicySays;
                        return Ok(None);
                    }
                    activation.issue = credential::issue(CredentialKind::Password, self.tenant.passwords_allowed);
                    activation.because = Some(credential::because(
                        "The tenant refused a Temporary Access Pass (switch the method on for all users under \
                         Authentication methods)",
                        activation.with_codes,
                    ));
                    self.shared
                        .store
                        .remember_pass_refusal(self.tenant.tenant_id, Some(self.shared.clock.now()))
                        .await?;
                    pace.denied = 0;
                    return Ok(None);
                }
                if denied && matches!(action, Action::SetPassword(_)) && self.is_about_us(pace) {
                    activation.issue = Issue::NewAccount;
                    self.shared.store.remember_passwords_allowed(self.tenant.tenant_id, false).await?;
                    pace.denied = 0;
                    return Ok(None);
                }
                Err(self.refused(action, &trouble).await)
            }
            Goal::Extend { .. } | Goal::Keys { .. } | Goal::Tokens { .. } => Err(self.refused(action, &trouble).await),
            Goal::Settle => {
                self.account.certain = false;
                Ok(Some(Setback { trouble, action: name, replication: false }))
            }
        }
    }

    /// Whether an ending may do without a new password: nobody was told the old one, and the refusal is about us and
    /// not about roles that the account holds or held a moment ago.
    fn may_keep_password(&self, action: &Action, pace: &Pace) -> bool {
        matches!(action, Action::SetPassword(Purpose::Forget))
            && self.account.known.password == Password::Suspect
            && self.is_about_us(pace)
    }

    /// Whether a refusal of a password is about what we may do, and not about an administrator: nothing makes the
    /// account one, nor did a moment ago.
    fn is_about_us(&self, pace: &Pace) -> bool {
        let known = &self.account.known;
        known.roles.is_empty()
            && !known.groups.values().any(|assignable| *assignable)
            && (!self.tenant.passwords_allowed
                || pace.denied > 0
                    && !pace.was_administrator(self.shared.clock.elapsed())
                    && self.ended_at.is_none_or(|at| self.is_long_ago(at)))
    }

    /// Whether an earlier drive may not just have removed the roles that the directory still takes it to hold.
    async fn has_been_ending_for_long(&self) -> Result<bool, EngineError> {
        let leases = self.shared.store.open_leases_of(self.account.account_id).await?;
        Ok(leases.iter().filter_map(|lease| lease.ending_since).all(|since| self.is_long_ago(since)))
    }

    /// Whether every replica must have heard of roles that were removed then.
    fn is_long_ago(&self, at: i64) -> bool {
        !(0..ROLE_REMOVAL_LAG).contains(&(self.shared.clock.now() - at))
    }

    /// A refusal as a person can act on it.
    pub(crate) async fn refused(&self, action: &Action, trouble: &Trouble) -> EngineError {
        let needed: &[&str] = match action {
            Action::SetPassword(_) => &["User-PasswordProfile.ReadWrite.All"],
            Action::Enable | Action::Disable => &["User.EnableDisableAccount.All", "User.ReadWrite.All"],
            Action::AssignRole { .. } | Action::ExtendRole { .. } | Action::RemoveRole { .. } => {
                &["RoleManagement.ReadWrite.Directory"]
            }
            Action::AddGroup(_) | Action::RemoveGroup(_) => {
                &["Directory.ReadWrite.All", "GroupMember.ReadWrite.All", "Group.ReadWrite.All"]
            }
            Action::Create(_) | Action::RevokeSessions => &["User.ReadWrite.All"],
            Action::Delete => &["User.ReadWrite.All", "User.DeleteRestore.All"],
            Action::IssuePass | Action::DeletePass(_) => &["UserAuthMethod-TAP.ReadWrite.All"],
            Action::RegisterPasskey | Action::DeletePasskey(_) => {
                &["UserAuthMethod-Passkey.ReadWrite.All", "UserAuthenticationMethod.ReadWrite.All"]
            }
            // Which of the two is missing was looked at before anything was sent.
            Action::AddOathToken | Action::DeleteOathToken(_) => &["Policy.ReadWrite.AuthenticationMethod"],
        };
        let capabilities = self.session.capabilities().await.unwrap_or_default();
        let missing = trouble.status == 403 && !needed.iter().any(|permission| capabilities.has(permission));
        let error: EngineError = if missing {
            Failure::PermissionMissing(vec![needed[0].to_owned()]).into()
        } else if trouble.status == 403 && matches!(action, Action::SetPassword(_)) {
            Failure::PasswordNotAllowed(self.account.user_name.clone()).into()
        } else {
            trouble.to_error(describe(action))
        };
        error.with_request_id(trouble.request_id.clone())
    }
}

/// What a step does, for "Graph refused to …".
pub(super) const fn describe(action: &Action) -> &'static str {
    match action {
        Action::Create(_) => "create the account",
        Action::Delete => "delete the account",
        Action::SetPassword(_) => "set the account's password",
        Action::Enable => "enable the account",
        Action::IssuePass => "issue a Temporary Access Pass",
        Action::AddGroup(_) => "add the account to a group",
        Action::AssignRole { .. } => "assign a role",
        Action::ExtendRole { .. } => "let a role last longer",
        Action::RemoveRole { .. } => "remove a role",
        Action::RemoveGroup(_) => "remove the account from a group",
        Action::Disable => "disable the account",
        Action::RevokeSessions => "revoke the account's sessions",
        Action::DeletePass(_) => "delete a Temporary Access Pass",
        Action::RegisterPasskey => "register a passkey",
        Action::DeletePasskey(_) => "delete a passkey",
        Action::AddOathToken => "add an OATH token",
        Action::DeleteOathToken(_) => "delete an OATH token",
    }
}
