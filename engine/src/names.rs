//! What the roles and groups that the configuration names are in a tenant, asked live.
//!
//! There is no list of our own: the directory is asked, once for every name, and its answer is written down, so that a
//! warm start asks nothing. Answers are asked for again when they are old and somebody is not waiting (preparing,
//! checking, warming), and at once when a name is not known or a grant is refused.
//! Facts: Microsoft Graph, unifiedRoleDefinition and group; which groups cannot be changed by an application: dynamic
//! ones, those synchronised from an on-premises directory, mail-enabled security groups and distribution lists; and
//! role-assignable ones without `RoleManagement.ReadWrite.Directory`.

use uuid::Uuid;

use crate::{
    EngineError, Failure, Role, Unmanageable,
    engine::Shared,
    graph::{self, Answer, Capabilities, FoundGroup, Page, Priority, RoleDefinition, Session, Trouble},
    preflight::{resolve_roles, similar},
    store::{NameKind, NameRow, TenantRow},
};

/// An answer is asked for again after so long, in milliseconds.
const OLD: i64 = 86_400_000;
/// So many questions fit one exchange.
const AT_ONCE: usize = 20;

/// What was found out about names.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) found: Vec<NameRow>,
    /// Names that mean nothing, or nothing that a lease can grant.
    pub(crate) refused: Vec<(NameKind, String, Failure)>,
}

impl Resolved {
    pub(crate) fn role(&self, said: &str) -> Option<Role> {
        self.row(NameKind::Role, said).map(|row| Role { id: row.id, name: row.name.clone() })
    }

    pub(crate) fn group(&self, said: &str) -> Option<Uuid> {
        self.row(NameKind::Group, said).map(|row| row.id)
    }

    /// Why a name that means nothing does not.
    pub(crate) fn refusal(&self, kind: NameKind, said: &str) -> Failure {
        let said = said.trim().to_lowercase();
        let refused = self.refused.iter().find(|(refused, name, _)| *refused == kind && *name == said);
        refused.map_or_else(|| Failure::Internal(format!("{said} was not looked up")), |(_, _, why)| why.clone())
    }

    fn row(&self, kind: NameKind, said: &str) -> Option<&NameRow> {
        let said = said.trim().to_lowercase();
        self.found.iter().find(|row| row.kind == kind && row.said == said)
    }
}

impl Shared {
    /// What the names mean; the directory is asked for those that are not known.
    pub(crate) async fn resolve(
        &self,
        tenant: &TenantRow,
        roles: &[String],
        groups: &[String],
    ) -> Result<Resolved, EngineError> {
        let mut known = Resolved { found: self.store.names(tenant.tenant_id).await?, refused: Vec::new() };
        let unknown = |names: &[String], kind| -> Vec<String> {
            names.iter().filter(|said| known.row(kind, said).is_none()).cloned().collect()
        };
        let (roles, groups) = (unknown(roles, NameKind::Role), unknown(groups, NameKind::Group));
        if !roles.is_empty() || !groups.is_empty() {
            let asked = self.ask(tenant, &roles, &groups, Priority::High).await?;
            known.found.extend(asked.found);
            known.refused.extend(asked.refused);
        }
        Ok(known)
    }

    /// Asks again for what the configuration names in the tenant, if any of it is not known or old; `anyway`: whether
    /// it is or not. Answers with what a lease would be refused for.
    pub(crate) async fn refresh_names(&self, tenant: &TenantRow, anyway: bool) -> Result<Vec<Failure>, EngineError> {
        let (roles, groups) = self.policy().names_for(tenant.identity());
        let known = Resolved { found: self.store.names(tenant.tenant_id).await?, refused: Vec::new() };
        let now = self.clock.now();
        let old =
            |kind, said: &String| known.row(kind, said).is_none_or(|row| !(0..OLD).contains(&(now - row.read_at)));
        let due =
            roles.iter().any(|said| old(NameKind::Role, said)) || groups.iter().any(|said| old(NameKind::Group, said));
        if !due && !(anyway && (!roles.is_empty() || !groups.is_empty())) {
            return Ok(Vec::new());
        }
        let asked = self.ask(tenant, &roles, &groups, Priority::Normal).await?;
        Ok(asked.refused.into_iter().map(|(_, _, failure)| failure).collect())
    }

    async fn ask(
        &self,
        tenant: &TenantRow,
        roles: &[String],
        groups: &[String],
        priority: Priority,
    ) -> Result<Resolved, EngineError> {
        let asked = ask(&self.session(tenant), roles, groups, self.clock.now(), priority).await?;
        let gone: Vec<_> = asked.refused.iter().map(|(kind, said, _)| (*kind, said.clone())).collect();
        self.store.remember_names(tenant.tenant_id, &asked.found, &gone).await?;
        Ok(asked)
    }
}

/// Asks the directory what the names mean. Changes nothing.
pub(crate) async fn ask(
    session: &Session,
    roles: &[String],
    groups: &[String],
    now: i64,
    priority: Priority,
) -> Result<Resolved, EngineError> {
    let mut resolved = Resolved::default();
    if !roles.is_empty() {
        ask_roles(session, roles, now, priority, &mut resolved).await?;
    }
    if !groups.is_empty() {
        ask_groups(session, groups, now, priority, &mut resolved).await?;
    }
    Ok(resolved)
}

async fn ask_roles(
    session: &Session,
    roles: &[String],
    now: i64,
    priority: Priority,
    resolved: &mut Resolved,
) -> Result<(), EngineError> {
    let action = "list the directory roles";
    let answer =
        session.collect(graph::read_role_definitions(), priority).await.map_err(|trouble| trouble.to_error(action))?;
    if !answer.is_success() {
        return Err(Trouble::of_answer(&answer).to_error(action));
    }
    let definitions: Vec<RoleDefinition> = Page::of(answer).unwrap_or_default();
    for said in roles {
        let mut failures = Vec::new();
        let found = resolve_roles(std::slice::from_ref(said), &definitions, &mut failures);
        let said = said.trim().to_lowercase();
        resolved.refused.extend(failures.into_iter().map(|failure| (NameKind::Role, said.clone(), failure)));
        resolved.found.extend(found.into_iter().map(|Role { id, name }| NameRow {
            kind: NameKind::Role,
            said: said.clone(),
            id,
            name,
            read_at: now,
        }));
    }
    Ok(())
}

async fn ask_groups(
    session: &Session,
    groups: &[String],
    now: i64,
    priority: Priority,
    resolved: &mut Resolved,
) -> Result<(), EngineError> {
    let action = "look for the groups";
    let capabilities = session.capabilities().await.map_err(|trouble| trouble.to_error("issue a token"))?;
    for some in groups.chunks(AT_ONCE) {
        let requests: Vec<_> = some
            .iter()
            .map(|said| match said.trim().parse::<Uuid>() {
                Ok(id) => graph::read_group(id),
                Err(_) => graph::find_groups(said.trim()),
            })
            .collect();
        let answers = session.batch(&requests, false, priority).await.map_err(|trouble| trouble.to_error(action))?;
        for (said, answer) in some.iter().zip(answers) {
            let candidates = candidates(said, answer).map_err(|trouble| trouble.to_error(action))?;
            let judged = match candidates.as_slice() {
                [] => Err(Failure::GroupUnknown {
                    name: said.trim().to_owned(),
                    similar: nearest(session, said.trim(), priority).await,
                }),
                [group] => manageable(group, &capabilities).map(|()| NameRow {
                    kind: NameKind::Group,
                    said: said.trim().to_lowercase(),
                    id: group.id,
                    name: group.display_name.clone(),
                    read_at: now,
                }),
                several => Err(Failure::GroupAmbiguous {
                    name: said.trim().to_owned(),
                    ids: several.iter().map(|group| group.id).collect(),
                }),
            };
            match judged {
                Ok(row) => resolved.found.push(row),
                Err(failure) => resolved.refused.push((NameKind::Group, said.trim().to_lowercase(), failure)),
            }
        }
    }
    Ok(())
}

/// The groups that a name or an id may mean.
fn candidates(said: &str, answer: Answer) -> Result<Vec<FoundGroup>, Trouble> {
    if answer.status == 404 {
        return Ok(Vec::new());
    }
    if !answer.is_success() {
        return Err(Trouble::of_answer(&answer));
    }
    let unreadable = || Trouble { status: 502, ..Trouble::silence("an answer cannot be read".to_owned(), false) };
    if said.trim().parse::<Uuid>().is_ok() {
        return serde_json::from_value(answer.body).map(|group| vec![group]).map_err(|_| unreadable());
    }
    let found = Page::<FoundGroup>::of(answer).ok_or_else(unreadable)?;
    // What the directory takes for equal is its own affair; a name is meant as it is written.
    Ok(found.into_iter().filter(|group| group.display_name.to_lowercase() == said.trim().to_lowercase()).collect())
}

/// Names of groups that look like it, for a person who mistyped one. That this cannot be asked is not worth an error.
async fn nearest(session: &Session, said: &str, priority: Priority) -> Vec<String> {
    let beginning: String = said.chars().take(3).collect();
    if beginning.is_empty() || said.parse::<Uuid>().is_ok() {
        return Vec::new();
    }
    let answer = session.send(&graph::find_groups_beginning(&beginning), priority).await;
    let found: Vec<FoundGroup> = answer.ok().and_then(Page::of).unwrap_or_default();
    similar(said, found.iter().map(|group| group.display_name.as_str()))
}

/// Whether an application may change who is in the group.
fn manageable(group: &FoundGroup, capabilities: &Capabilities) -> Result<(), Failure> {
    let is = |kind: &str| group.group_types.iter().any(|known| known.eq_ignore_ascii_case(kind));
    let why = if is("DynamicMembership") {
        Unmanageable::Dynamic
    } else if group.on_premises_sync_enabled == Some(true) {
        Unmanageable::Synchronised
    } else if group.mail_enabled == Some(true) && !is("Unified") {
        if group.security_enabled == Some(true) { Unmanageable::MailEnabled } else { Unmanageable::Distribution }
    } else if group.is_assignable_to_role == Some(true) && !capabilities.has("RoleManagement.ReadWrite.Directory") {
        Unmanageable::RoleAssignable
    } else {
        return Ok(());
    };
    Err(Failure::GroupNotManageable { name: group.display_name.clone(), why })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn judged(members: serde_json::Value, permissions: &[&str]) -> Option<Unmanageable> {
        let mut group = json!({ "id": Uuid::from_u128(1), "displayName": "G" });
        group.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let capabilities =
            Capabilities { object_id: None, permissions: permissions.iter().map(|name| (*name).to_owned()).collect() };
        match manageable(&serde_json::from_value(group).unwrap(), &capabilities) {
            Ok(()) => None,
            Err(Failure::GroupNotManageable { why, .. }) => Some(why),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_nobody_but_its_owner_can_change_is_told_apart() {
        let secure = json!({ "securityEnabled": true, "mailEnabled": false, "groupTypes": [] });
        assert_eq!(judged(secure, &[]), None);
        let team = json!({ "securityEnabled": false, "mailEnabled": true, "groupTypes": ["Unified"] });
        assert_eq!(judged(team, &[]), None);
        let dynamic = json!({ "groupTypes": ["Unified", "DynamicMembership"], "mailEnabled": true });
        assert_eq!(judged(dynamic, &[]), Some(Unmanageable::Dynamic));
        assert_eq!(judged(json!({ "onPremisesSyncEnabled": true }), &[]), Some(Unmanageable::Synchronised));
        let mail = json!({ "securityEnabled": true, "mailEnabled": true });
        assert_eq!(judged(mail, &[]), Some(Unmanageable::MailEnabled));
        let list = json!({ "securityEnabled": false, "mailEnabled": true });
        assert_eq!(judged(list, &[]), Some(Unmanageable::Distribution));
        let tier = json!({ "isAssignableToRole": true, "securityEnabled": true, "mailEnabled": false });
        assert_eq!(judged(tier.clone(), &["GroupMember.ReadWrite.All"]), Some(Unmanageable::RoleAssignable));
        assert_eq!(judged(tier, &["RoleManagement.ReadWrite.Directory"]), None);
    }
}
