//! What must be done to an account: a pure function of what is desired and what is observed.
//!
//! Order is a safety property. An application without a directory role of its own may not touch (enable, disable, set
//! a password, issue a pass for) an account that holds one; so what grants goes credential, enable, pass, groups and
//! roles **last**, and what takes back begins with the roles. Nothing here has a clock, a network or randomness.
//! Facts: Microsoft Graph, "Who can perform sensitive actions" on the user resource.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_protocol::Step;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an account should be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Desired {
    /// Disabled, no roles, no groups of ours, password known to nobody, no sessions, no passes.
    Dormant,
    /// No more than these roles and groups. Grants nothing: what a lease needs is left, the rest is taken.
    AtMost { roles: BTreeSet<Uuid>, groups: BTreeSet<Uuid> },
    /// Enabled, with a credential issued now and exactly these roles and groups.
    /// `ends`: the roles are to end by themselves, whatever becomes of us: each then.
    Active { credential: Issue, roles: BTreeSet<Uuid>, groups: BTreeSet<Uuid>, ends: Option<Ends> },
    /// As it is; roles that end by themselves do so no earlier than these. What is not held is not given.
    Extended { ends: Ends },
    /// As it is, with one passkey whose key is here, or (when none is `wanted`) without any of ours.
    Keyed { wanted: bool, ours: BTreeSet<String>, kept: Option<String> },
    /// The same of OATH tokens.
    Tokened { wanted: bool, ours: BTreeSet<String>, kept: Option<String> },
    /// Not in the directory: what becomes of an account whose password somebody was told and we may not replace.
    Gone,
}

/// When roles end by themselves: role definition → Unix time in milliseconds by Microsoft's clock.
pub(crate) type Ends = BTreeMap<Uuid, i64>;

/// A role that ends so little too early, in milliseconds, is left: the service counts in minutes, and how far two clocks
/// differ is not known more exactly.
const CLOSE_ENOUGH: i64 = 30_000;

/// What one live lease needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) roles: BTreeSet<Uuid>,
    pub(crate) groups: BTreeSet<Uuid>,
}

impl Share {
    /// What all of them need together: leases are counted, so that the first to end takes only what no other needs.
    fn union(shares: &[Self]) -> Self {
        Self {
            roles: shares.iter().flat_map(|share| &share.roles).copied().collect(),
            groups: shares.iter().flat_map(|share| &share.groups).copied().collect(),
        }
    }
}

impl Desired {
    /// While an activation is under way; `shares` are the live leases, the one that is being activated among them.
    pub(crate) fn active(credential: Issue, shares: &[Share], ends: Option<Ends>) -> Self {
        let Share { roles, groups } = Share::union(shares);
        Self::Active { credential, roles, groups, ends }
    }

    /// At any other time: what the live leases leave, and dormant when there are none.
    pub(crate) fn settled(shares: &[Share]) -> Self {
        if shares.is_empty() {
            return Self::Dormant;
        }
        let Share { roles, groups } = Share::union(shares);
        Self::AtMost { roles, groups }
    }
}

/// The credential that an activation issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Issue {
    Password,
    /// A password that the account is made with: the directory does not let us replace that of an account that is there.
    NewAccount,
    Pass,
    /// None: the one that another lease of the account was given is good for this one too.
    Keep,
}

/// What an account is like, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Observed {
    /// Whether it is in the directory.
    pub(crate) exists: bool,
    /// Whether it may sign in.
    pub(crate) enabled: bool,
    /// Who may know the password. Cannot be read from the directory: it is what we remember having sent.
    #[serde(serialize_with = "as_stored")]
    pub(crate) password: Password,
    /// Whether sessions or refresh tokens may exist. Remembered, like the password.
    pub(crate) sessions: bool,
    /// Role assignments: id of the assignment → role definition.
    pub(crate) roles: BTreeMap<String, Uuid>,
    /// Those among them that end by themselves, and when (Unix time in milliseconds by Microsoft's clock): they are taken
    /// back through the service that made them.
    #[serde(default)]
    pub(crate) ends: BTreeMap<String, i64>,
    /// Memberships that are ours to take away: group → whether roles can be assigned to it.
    pub(crate) groups: BTreeMap<Uuid, bool>,
    /// Ids of Temporary Access Passes.
    pub(crate) passes: BTreeSet<String>,
    /// Ids of passkeys, whoever made them. Read only where they matter.
    #[serde(default)]
    pub(crate) passkeys: BTreeSet<String>,
    /// Ids of OATH tokens that we made. Known only where they matter.
    #[serde(skip)]
    pub(crate) tokens: BTreeSet<String>,
    /// The pass that was issued in this drive, whose code this process holds.
    #[serde(skip)]
    pub(crate) fresh_pass: Option<String>,
    /// The passkey that was registered in this drive.
    #[serde(skip)]
    pub(crate) fresh_passkey: Option<String>,
    /// The OATH token that was added in this drive.
    #[serde(skip)]
    pub(crate) fresh_token: Option<String>,
}

impl Observed {
    /// An account that is not there.
    pub(crate) const fn absent() -> Self {
        Self {
            exists: false,
            enabled: false,
            password: Password::Forgotten,
            sessions: false,
            roles: BTreeMap::new(),
            ends: BTreeMap::new(),
            groups: BTreeMap::new(),
            passes: BTreeSet::new(),
            passkeys: BTreeSet::new(),
            tokens: BTreeSet::new(),
            fresh_pass: None,
            fresh_passkey: None,
            fresh_token: None,
        }
    }

    /// A new account: disabled, nothing granted, its password forgotten.
    pub(crate) const fn created() -> Self {
        let mut created = Self::absent();
        created.exists = true;
        created
    }

    /// What is true once `action` has been done. `id` is what the directory answered: of the assignment or pass.
    pub(crate) fn apply(&mut self, action: &Action, id: Option<String>) {
        match action {
            Action::Create(Purpose::Forget) => *self = Self::created(),
            Action::Create(Purpose::Credential) => {
                *self = Self::created();
                self.password = Password::Fresh;
            }
            Action::Delete => *self = Self::absent(),
            Action::SetPassword(Purpose::Credential) => self.password = Password::Fresh,
            Action::SetPassword(Purpose::Forget) => self.password = Password::Forgotten,
            Action::Enable => {
                self.enabled = true;
                self.sessions = true;
                if self.password == Password::Forgotten {
                    self.password = Password::Suspect;
                }
            }
            Action::IssuePass => {
                // One pass per account: a new one replaces what was there.
                self.passes.clear();
                if let Some(id) = id {
                    self.passes.insert(id.clone());
                    self.fresh_pass = Some(id);
                }
            }
            Action::AddGroup(group) => {
                self.groups.insert(*group, false);
            }
            Action::AssignRole { role, ends } => {
                if let Some(id) = id {
                    if let Some(end) = ends {
                        self.ends.insert(id.clone(), *end);
                    }
                    self.roles.insert(id, *role);
                }
            }
            Action::ExtendRole { assignment, ends, .. } => {
                self.ends.insert(assignment.clone(), *ends);
            }
            Action::RemoveRole { assignment, .. } => {
                self.roles.remove(assignment);
                self.ends.remove(assignment);
            }
            Action::RemoveGroup(group) => {
                self.groups.remove(group);
            }
            Action::Disable => self.enabled = false,
            Action::RevokeSessions => self.sessions = false,
            Action::DeletePass(pass) => {
                self.passes.remove(pass);
                if self.fresh_pass.as_ref() == Some(pass) {
                    self.fresh_pass = None;
                }
            }
            Action::RegisterPasskey => {
                self.passkeys.extend(id.clone());
                self.fresh_passkey = id;
            }
            Action::DeletePasskey(passkey) => {
                self.passkeys.remove(passkey);
            }
            Action::AddOathToken => {
                self.tokens.extend(id.clone());
                self.fresh_token = id;
            }
            Action::DeleteOathToken(token) => {
                self.tokens.remove(token);
            }
        }
    }
}

/// Who may know an account's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Password {
    /// Nobody.
    Forgotten,
    /// Nobody was told, but whoever was signed in may have changed it.
    Suspect,
    /// Somebody was, or may have been, told.
    Issued,
    /// It was set in this drive and this process holds it. Stored as issued.
    #[serde(skip)]
    Fresh,
}

fn as_stored<S: serde::Serializer>(password: &Password, serializer: S) -> Result<S::Ok, S::Error> {
    let stored = if *password == Password::Fresh { &Password::Issued } else { password };
    stored.serialize(serializer)
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Made with a password that is forgotten, or that is the credential.
    Create(Purpose),
    SetPassword(Purpose),
    Enable,
    IssuePass,
    AddGroup(Uuid),
    /// `ends`: so that the directory ends it by itself, then.
    AssignRole {
        role: Uuid,
        ends: Option<i64>,
    },
    /// One that ends by itself does so only then.
    ExtendRole {
        assignment: String,
        role: Uuid,
        ends: i64,
    },
    /// `timed`: by asking the service that ends it by itself.
    RemoveRole {
        assignment: String,
        role: Uuid,
        timed: bool,
    },
    RemoveGroup(Uuid),
    Disable,
    RevokeSessions,
    DeletePass(String),
    /// Made here and registered: an exchange of its own, because what is sent depends on what is answered.
    RegisterPasskey,
    DeletePasskey(String),
    /// Added to the tenant and given to the account; that and its end are exchanges of their own, because the beta of
    /// Graph is no part of a batch.
    AddOathToken,
    DeleteOathToken(String),
    Delete,
}

/// Why a password is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To sign in with it.
    Credential,
    /// So that nobody knows it any more.
    Forget,
}

impl Action {
    /// The step that a person follows.
    pub(crate) const fn step(&self) -> Step {
        match self {
            Self::Create(_) => Step::CreateAccount,
            Self::SetPassword(_) => Step::SetPassword,
            Self::Enable => Step::Enable,
            Self::IssuePass => Step::IssuePass,
            Self::AddGroup(_) => Step::AddGroups,
            Self::AssignRole { .. } | Self::ExtendRole { .. } => Step::AssignRoles,
            Self::RemoveRole { .. } => Step::RemoveRoles,
            Self::RemoveGroup(_) => Step::RemoveGroups,
            Self::Disable | Self::Delete => Step::Disable,
            Self::RevokeSessions => Step::RevokeSessions,
            Self::DeletePass(_) => Step::DeletePass,
            Self::RegisterPasskey => Step::RegisterPasskey,
            Self::DeletePasskey(_) => Step::DeletePasskey,
            Self::AddOathToken => Step::AddOathToken,
            Self::DeleteOathToken(_) => Step::DeleteOathToken,
        }
    }

    /// Whether it gives something that must be taken back.
    pub(crate) const fn grants(&self) -> bool {
        matches!(
            self,
            Self::SetPassword(Purpose::Credential)
                | Self::Create(Purpose::Credential)
                | Self::Enable
                | Self::IssuePass
                | Self::AddGroup(_)
                | Self::AssignRole { .. }
                | Self::ExtendRole { .. }
        )
    }

    /// Whether the directory may refuse it while the account holds a role.
    pub(crate) const fn is_sensitive(&self) -> bool {
        matches!(
            self,
            Self::SetPassword(_)
                | Self::Enable
                | Self::Disable
                | Self::IssuePass
                | Self::DeletePass(_)
                | Self::RegisterPasskey
                | Self::DeletePasskey(_)
                | Self::AddOathToken
                | Self::DeleteOathToken(_)
                | Self::Delete
        )
    }

    /// Whether it goes out by itself: before it the others must have arrived, or after it nothing is as it was.
    pub(crate) const fn stands_alone(&self) -> bool {
        matches!(
            self,
            Self::Create(_) | Self::RegisterPasskey | Self::AddOathToken | Self::DeleteOathToken(_) | Self::Delete
        )
    }
}

/// The steps from what is observed to what is desired, in the order in which they must happen. Empty exactly when
/// nothing is left to do.
pub(crate) fn plan(desired: &Desired, observed: &Observed) -> Vec<Action> {
    match desired {
        Desired::Dormant => to_dormant(observed),
        Desired::AtMost { roles, groups } => {
            let mut actions = remove_roles(observed, |role| !roles.contains(&role));
            actions.extend(remove_groups(observed, |group, _| !groups.contains(&group)));
            actions
        }
        Desired::Active { credential, roles, groups, ends } => {
            to_active(*credential, roles, groups, ends.as_ref(), observed)
        }
        Desired::Extended { ends } => extend_roles(observed, ends),
        Desired::Keyed { wanted, ours, kept } => {
            let fresh = observed.fresh_passkey.as_deref();
            let keep = [kept.as_deref(), fresh].into_iter().flatten().find(|one| observed.passkeys.contains(*one));
            let (there, delete) = (&observed.passkeys, Action::DeletePasskey);
            to_provided(
                keep.filter(|_| *wanted),
                ours,
                there,
                delete,
                wanted.then_some(Action::RegisterPasskey),
                observed,
            )
        }
        Desired::Tokened { wanted, ours, kept } => {
            let fresh = observed.fresh_token.as_deref();
            let keep = [kept.as_deref(), fresh].into_iter().flatten().find(|one| observed.tokens.contains(*one));
            let (there, delete) = (&observed.tokens, Action::DeleteOathToken);
            to_provided(keep.filter(|_| *wanted), ours, there, delete, wanted.then_some(Action::AddOathToken), observed)
        }
        Desired::Gone => to_gone(observed),
    }
}

fn to_dormant(observed: &Observed) -> Vec<Action> {
    if !observed.exists {
        return Vec::new();
    }
    let mut actions = remove_roles(observed, |_| true);
    actions.extend(remove_groups(observed, |_, _| true));
    if observed.enabled {
        actions.push(Action::Disable);
    }
    if observed.password != Password::Forgotten {
        actions.push(Action::SetPassword(Purpose::Forget));
    }
    if observed.sessions {
        actions.push(Action::RevokeSessions);
    }
    actions.extend(observed.passes.iter().cloned().map(Action::DeletePass));
    actions
}

/// It cannot be deleted while it holds a role. Disabling it first would keep it disabled should somebody restore it, and
/// is what was tried before this is wanted.
fn to_gone(observed: &Observed) -> Vec<Action> {
    if !observed.exists {
        return Vec::new();
    }
    let mut actions = remove_roles(observed, |_| true);
    actions.extend(remove_groups(observed, |_, _| true));
    actions.push(Action::Delete);
    actions
}

/// What nobody here can use goes first: an account may have only so many. Passkeys and tokens that others made are not
/// ours to delete.
fn to_provided(
    kept: Option<&str>,
    ours: &BTreeSet<String>,
    there: &BTreeSet<String>,
    delete: impl Fn(String) -> Action,
    make: Option<Action>,
    observed: &Observed,
) -> Vec<Action> {
    // The directory may refuse both while the account is an administrator: that is for when it is dormant again.
    let administrator = !observed.roles.is_empty() || observed.groups.values().any(|assignable| *assignable);
    if !observed.exists || administrator {
        return Vec::new();
    }
    let unwanted = ours.intersection(there).filter(|one| Some(one.as_str()) != kept).cloned();
    unwanted.map(delete).chain(make.filter(|_| kept.is_none())).collect()
}

fn to_active(
    credential: Issue,
    roles: &BTreeSet<Uuid>,
    groups: &BTreeSet<Uuid>,
    ends: Option<&Ends>,
    observed: &Observed,
) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut held = observed.clone();
    if credential == Issue::NewAccount && held.password != Password::Fresh {
        actions.extend(to_gone(&held));
        held = Observed::absent();
    }
    if !held.exists {
        let with = if credential == Issue::NewAccount { Purpose::Credential } else { Purpose::Forget };
        let create = Action::Create(with);
        held.apply(&create, None);
        actions.push(create);
    }
    let issue = match credential {
        Issue::Password => held.password != Password::Fresh,
        Issue::Pass => held.fresh_pass.is_none(),
        Issue::NewAccount | Issue::Keep => false,
    };
    // While a sensitive step is ahead, everything that makes the account an administrator goes first and comes back
    // last; otherwise only what nobody asked for goes.
    let sensitive = issue || !held.enabled;
    let mut removals = remove_roles(&held, |role| sensitive || !roles.contains(&role));
    removals.extend(remove_groups(&held, |group, role_assignable| {
        (sensitive && role_assignable) || !groups.contains(&group)
    }));
    for action in &removals {
        held.apply(action, None);
    }
    actions.extend(removals);

    if issue && credential == Issue::Password {
        actions.push(Action::SetPassword(Purpose::Credential));
    }
    if !held.enabled {
        actions.push(Action::Enable);
    }
    if issue && credential == Issue::Pass {
        actions.push(Action::IssuePass);
    }
    actions.extend(groups.iter().filter(|group| !held.groups.contains_key(group)).copied().map(Action::AddGroup));
    actions.extend(ends.map(|ends| extend_roles(&held, ends)).unwrap_or_default());
    let assigned: BTreeSet<_> = held.roles.values().copied().collect();
    actions.extend(roles.difference(&assigned).map(|role| Action::AssignRole {
        role: *role,
        ends: ends.map(|ends| ends.get(role).copied().unwrap_or_default()),
    }));
    actions
}

/// Roles that end by themselves too early. One that somebody gave without an end needs none.
fn extend_roles(observed: &Observed, wanted: &Ends) -> Vec<Action> {
    let too_early = observed.roles.iter().filter_map(|(assignment, role)| {
        let (end, wanted) = (*observed.ends.get(assignment)?, *wanted.get(role)?);
        (end.saturating_add(CLOSE_ENOUGH) < wanted).then(|| Action::ExtendRole {
            assignment: assignment.clone(),
            role: *role,
            ends: wanted,
        })
    });
    too_early.collect()
}

fn remove_roles(observed: &Observed, unwanted: impl Fn(Uuid) -> bool) -> Vec<Action> {
    observed
        .roles
        .iter()
        .filter(|(_, role)| unwanted(**role))
        .map(|(assignment, role)| Action::RemoveRole {
            assignment: assignment.clone(),
            role: *role,
            timed: observed.ends.contains_key(assignment),
        })
        .collect()
}

/// Role-assignable groups first: they make the account an administrator, as a role does.
fn remove_groups(observed: &Observed, unwanted: impl Fn(Uuid, bool) -> bool) -> Vec<Action> {
    let mut groups: Vec<_> =
        observed.groups.iter().filter(|(group, assignable)| unwanted(**group, **assignable)).collect();
    groups.sort_by_key(|(_, assignable)| !**assignable);
    groups.into_iter().map(|(group, _)| Action::RemoveGroup(*group)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::{collection, prelude::*};

    use super::*;

    fn id() -> impl Strategy<Value = Uuid> + Clone {
        (1_u128..7).prop_map(Uuid::from_u128)
    }

    fn observed() -> impl Strategy<Value = Observed> {
        (
            any::<bool>(),
            any::<bool>(),
            prop_oneof![
                Just(Password::Forgotten),
                Just(Password::Suspect),
                Just(Password::Issued),
                Just(Password::Fresh)
            ],
            any::<bool>(),
            collection::btree_map("[a-e]", id(), 0..4),
            collection::btree_map(id(), any::<bool>(), 0..4),
            collection::btree_set("p[0-9]", 0..2),
            any::<bool>(),
            (any::<bool>(), passkeys(), passkeys()),
        )
            .prop_map(
                |(exists, enabled, password, sessions, roles, groups, passes, fresh, (timed, passkeys, tokens))| {
                    if !exists {
                        return Observed::absent();
                    }
                    let fresh_pass = passes.first().cloned().filter(|_| fresh);
                    let ends = roles.keys().take(usize::from(timed)).map(|id| (id.clone(), 3_600_000)).collect();
                    Observed {
                        exists,
                        enabled,
                        password,
                        sessions,
                        roles,
                        ends,
                        groups,
                        passes,
                        passkeys,
                        tokens,
                        fresh_pass,
                        fresh_passkey: None,
                        fresh_token: None,
                    }
                },
            )
    }

    fn desired() -> impl Strategy<Value = Desired> {
        let roles = collection::btree_set(id(), 0..4);
        let groups = collection::btree_set(id(), 0..4);
        let issue = prop_oneof![Just(Issue::Password), Just(Issue::NewAccount), Just(Issue::Pass), Just(Issue::Keep)];
        prop_oneof![
            Just(Desired::Dormant),
            Just(Desired::Gone),
            (roles.clone(), groups.clone()).prop_map(|(roles, groups)| Desired::AtMost { roles, groups }),
            ends().prop_map(|ends| Desired::Extended { ends }),
            (any::<bool>(), passkeys(), proptest::option::of("k[0-5]"))
                .prop_map(|(wanted, ours, kept)| Desired::Keyed { wanted, ours, kept }),
            (any::<bool>(), passkeys(), proptest::option::of("k[0-5]"))
                .prop_map(|(wanted, ours, kept)| Desired::Tokened { wanted, ours, kept }),
            (issue, roles, groups, proptest::option::of(ends()))
                .prop_map(|(credential, roles, groups, ends)| Desired::Active { credential, roles, groups, ends }),
        ]
    }

    fn passkeys() -> impl Strategy<Value = BTreeSet<String>> {
        collection::btree_set("k[0-5]", 0..4)
    }

    /// When each role that there is is to end.
    fn ends() -> impl Strategy<Value = Ends> {
        (0_i64..7_200_000).prop_map(|end| (1_u128..7).map(|role| (Uuid::from_u128(role), end)).collect())
    }

    /// Carries a plan out on a model of the directory; the number is that of sensitive steps taken on an administrator.
    fn carry_out(actions: &[Action], observed: &mut Observed) -> usize {
        let mut on_administrator = 0;
        for (number, action) in actions.iter().enumerate() {
            let administrator = !observed.roles.is_empty() || observed.groups.values().any(|assignable| *assignable);
            if action.is_sensitive() && administrator {
                on_administrator += 1;
            }
            let answer = match action {
                Action::AssignRole { .. } | Action::IssuePass | Action::RegisterPasskey | Action::AddOathToken => {
                    Some(format!("new-{number}"))
                }
                _ => None,
            };
            observed.apply(action, answer);
        }
        on_administrator
    }

    fn roles_of(observed: &Observed) -> BTreeSet<Uuid> {
        observed.roles.values().copied().collect()
    }

    proptest! {
        #[test]
        fn a_plan_that_was_carried_out_leaves_nothing_to_do(desired in desired(), start in observed()) {
            let mut account = start;
            carry_out(&plan(&desired, &account), &mut account);
            prop_assert_eq!(plan(&desired, &account), Vec::new());
        }

        #[test]
        fn a_plan_reaches_what_is_desired(desired in desired(), start in observed()) {
            let mut account = start.clone();
            carry_out(&plan(&desired, &account), &mut account);
            match desired {
                Desired::Dormant => {
                    prop_assert!(!account.enabled && !account.sessions);
                    prop_assert_eq!(account.password, Password::Forgotten);
                    prop_assert!(account.roles.is_empty() && account.groups.is_empty() && account.passes.is_empty());
                }
                Desired::AtMost { roles, groups } => {
                    prop_assert!(roles_of(&account).is_subset(&roles));
                    prop_assert!(account.groups.keys().all(|group| groups.contains(group)));
                    prop_assert_eq!(account.enabled, start.enabled);
                }
                Desired::Active { credential, roles, groups, .. } => {
                    prop_assert!(account.exists && account.enabled);
                    prop_assert_eq!(roles_of(&account), roles);
                    prop_assert_eq!(account.groups.keys().copied().collect::<BTreeSet<_>>(), groups);
                    match credential {
                        Issue::Password | Issue::NewAccount => prop_assert_eq!(account.password, Password::Fresh),
                        Issue::Pass => prop_assert!(account.fresh_pass.is_some()),
                        Issue::Keep if start.exists => {
                            prop_assert_eq!(account.passes, start.passes);
                            prop_assert!(account.password != Password::Fresh || start.password == Password::Fresh);
                        }
                        Issue::Keep => {}
                    }
                }
                Desired::Gone => prop_assert!(!account.exists),
                Desired::Keyed { wanted, ref ours, .. } | Desired::Tokened { wanted, ref ours, .. } => {
                    let is_about_passkeys = matches!(desired, Desired::Keyed { .. });
                    let of = |account: &Observed| {
                        if is_about_passkeys { account.passkeys.clone() } else { account.tokens.clone() }
                    };
                    let others = |all: &BTreeSet<String>| all.difference(ours).cloned().collect::<BTreeSet<_>>();
                    prop_assert!(others(&of(&account)).is_superset(&others(&of(&start))), "not ours: left");
                    let administrator = !start.roles.is_empty() || start.groups.values().any(|assignable| *assignable);
                    let left = of(&account).intersection(ours).count();
                    prop_assert!(administrator || left <= usize::from(wanted));
                    prop_assert!(administrator || !wanted || !start.exists || !of(&account).is_empty());
                    prop_assert_eq!((account.enabled, &account.roles), (start.enabled, &start.roles));
                }
                Desired::Extended { ends } => {
                    prop_assert_eq!(&account.roles, &start.roles);
                    for (assignment, end) in &account.ends {
                        let (wanted, before) = (ends[&account.roles[assignment]], start.ends[assignment]);
                        prop_assert!(*end + CLOSE_ENOUGH >= wanted && *end >= before);
                    }
                    prop_assert!(account.ends.len() == start.ends.len() && account.enabled == start.enabled);
                }
            }
        }

        #[test]
        fn nothing_sensitive_is_done_to_an_administrator(desired in desired(), start in observed()) {
            let mut account = start;
            prop_assert_eq!(carry_out(&plan(&desired, &account.clone()), &mut account), 0);
        }

        #[test]
        fn roles_come_last_and_go_first(desired in desired(), start in observed()) {
            let actions = plan(&desired, &start);
            let first_assignment = actions.iter().position(|action| matches!(action, Action::AssignRole { .. }));
            if let Some(first) = first_assignment {
                let assigns = |action: &Action| matches!(action, Action::AssignRole { .. });
                prop_assert!(actions[first..].iter().all(assigns));
            }
            let last_removal = actions.iter().rposition(|action| matches!(action, Action::RemoveRole { .. }));
            if let Some(last) = last_removal {
                let before = |action: &Action| matches!(action, Action::RemoveRole { .. } | Action::Create(_));
                prop_assert!(actions[..last].iter().all(before));
            }
        }

        #[test]
        fn a_role_is_taken_back_the_way_it_was_given(start in observed(), desired in desired()) {
            let asked = matches!(desired, Desired::Active { ends: Some(_), .. });
            for action in plan(&desired, &start) {
                match action {
                    Action::AssignRole { ends, .. } => prop_assert_eq!(ends.is_some(), asked),
                    Action::RemoveRole { assignment, timed, .. } => {
                        prop_assert_eq!(timed, start.ends.contains_key(&assignment));
                    }
                    Action::ExtendRole { assignment, .. } => {
                        prop_assert!(start.ends.contains_key(&assignment), "only what ends by itself is extended");
                    }
                    _ => {}
                }
            }
            // What is on record of assignments that end by themselves never outlives them.
            let mut account = start.clone();
            carry_out(&plan(&desired, &start), &mut account);
            prop_assert!(account.ends.keys().all(|id| account.roles.contains_key(id)));
            carry_out(&plan(&Desired::Dormant, &account.clone()), &mut account);
            prop_assert!(account.ends.is_empty());
        }

        #[test]
        fn only_an_activation_or_an_extension_grants(start in observed(), desired in desired()) {
            let actions = plan(&desired, &start);
            let extends = |action: &Action| matches!(action, Action::ExtendRole { .. });
            match desired {
                Desired::Active { .. } => {}
                Desired::Extended { .. } => prop_assert!(actions.iter().all(extends)),
                _ => prop_assert!(!actions.iter().any(Action::grants)),
            }
        }

        #[test]
        fn an_account_is_deleted_only_to_be_gone_or_made_anew(start in observed(), desired in desired()) {
            let deletes = plan(&desired, &start).contains(&Action::Delete);
            let anew = matches!(desired, Desired::Gone | Desired::Active { credential: Issue::NewAccount, .. });
            prop_assert!(anew || !deletes);
        }

        #[test]
        fn the_first_lease_to_end_takes_only_what_no_other_needs(
            sets in collection::vec((collection::btree_set(id(), 0..4), collection::btree_set(id(), 0..4)), 1..4),
            ends in any::<proptest::sample::Index>(),
        ) {
            let mut shares: Vec<Share> = sets.into_iter().map(|(roles, groups)| Share { roles, groups }).collect();
            let mut account = Observed::created();
            carry_out(&plan(&Desired::active(Issue::Password, &shares, None), &account.clone()), &mut account);
            shares.swap_remove(ends.index(shares.len()));
            carry_out(&plan(&Desired::settled(&shares), &account.clone()), &mut account);
            let rest = Share::union(&shares);
            prop_assert_eq!(roles_of(&account), rest.roles);
            prop_assert_eq!(account.groups.keys().copied().collect::<BTreeSet<_>>(), rest.groups);
            prop_assert_eq!(account.enabled, !shares.is_empty());
        }

        #[test]
        fn stopping_anywhere_leaves_a_plan_that_finishes(desired in desired(), start in observed(), stop in 0_usize..12) {
            let mut account = start;
            let actions = plan(&desired, &account);
            carry_out(&actions[..stop.min(actions.len())], &mut account);
            carry_out(&plan(&Desired::Dormant, &account), &mut account);
            prop_assert!(!account.enabled && account.roles.is_empty() && account.passes.is_empty());
        }
    }

    #[test]
    fn sessions_are_revoked_after_the_account_is_disabled_and_its_password_replaced() {
        let mut account = Observed::created();
        let active = Desired::Active {
            credential: Issue::Password,
            roles: BTreeSet::from([Uuid::from_u128(1)]),
            groups: BTreeSet::new(),
            ends: None,
        };
        carry_out(&plan(&active, &account.clone()), &mut account);
        let steps: Vec<_> = plan(&Desired::Dormant, &account).iter().map(Action::step).collect();
        assert_eq!(steps, [Step::RemoveRoles, Step::Disable, Step::SetPassword, Step::RevokeSessions]);
    }

    #[test]
    fn what_this_process_holds_is_only_issued_to_the_next_one() {
        let mut account = Observed::created();
        account.password = Password::Fresh;
        account.fresh_pass = Some("p".to_owned());
        let stored = serde_json::to_string(&account).unwrap();
        let read: Observed = serde_json::from_str(&stored).unwrap();
        assert_eq!(read.password, Password::Issued);
        assert_eq!(read.fresh_pass, None);
    }
}
