//! What has changed since a client asked last: users, and groups with their members.
//!
//! A link carries a token, and the token stands for what the client was shown by then. Facts: Microsoft Graph, delta query:
//! no `$expand`, `$top`, `$orderby` or `$search`, `$filter` by ids only; `$deltatoken=latest` starts now; a token that is
//! not known any more is 410 `syncStateNotFound`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::query::{Query, Shape};
use super::{Context, GraphError, Handled, Reply};
use crate::directory::{Tenant, new_id};

/// Most objects in one answer.
const PAGE: usize = 100;
/// A client that comes back later than so many others starts anew.
const REMEMBERED: usize = 1_000;

/// What clients were shown, by the tokens that they hold.
#[derive(Debug, Default)]
pub struct Deltas {
    shown: Mutex<HashMap<String, Shown>>,
}

/// What one client was shown.
#[derive(Clone, Debug, Default)]
struct Shown {
    tenant: String,
    resource: &'static str,
    /// The options of its first request, which hold for all that follow.
    options: Vec<(String, String)>,
    objects: BTreeMap<String, Seen>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    print: u64,
    members: BTreeSet<String>,
}

impl Deltas {
    fn remember(&self, shown: Shown) -> String {
        let mut all = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.clear();
        }
        let token = new_id();
        all.insert(token.clone(), shown);
        token
    }

    fn recall(&self, token: &str) -> Option<Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Forgets every token.
    pub fn clear(&self) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// An object as it is now.
struct Current {
    id: String,
    object: Value,
    members: BTreeSet<String>,
}

pub(super) fn users(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let current = tenant
        .users
        .values()
        .filter(|user| context.arrived(user.created_moment))
        .map(|user| Current { id: user.id.clone(), object: super::users::json_of(user), members: BTreeSet::new() })
        .collect();
    let soft = |id: &str| tenant.deleted_users.contains_key(id);
    answer(&tenant.id, context, "users", super::users::SHAPE, current, soft)
}

pub(super) fn groups(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let current = tenant
        .groups
        .values()
        .filter(|group| context.arrived(group.created_moment))
        .map(|group| Current {
            id: group.id.clone(),
            object: super::groups::json_of(group),
            members: group.members.clone(),
        })
        .collect();
    answer(&tenant.id, context, "groups", super::groups::SHAPE, current, |_| false)
}

fn answer(
    tenant: &str,
    context: &Context<'_>,
    resource: &'static str,
    shape: Shape,
    current: Vec<Current>,
    soft: impl Fn(&str) -> bool,
) -> Handled {
    let call = context.call;
    let token = call.query.iter().find(|(name, _)| matches!(name.as_str(), "$deltatoken" | "$skiptoken"));
    let shown = match token {
        Some((name, value)) if !(name == "$deltatoken" && value == "latest") => context
            .sim
            .deltas
            .recall(value)
            .filter(|shown| shown.tenant == tenant && shown.resource == resource)
            .ok_or_else(|| {
                GraphError::new(
                    410,
                    "syncStateNotFound",
                    "The sync state generation is not found; a full sync is needed.",
                )
            })?,
        _ => Shown { tenant: tenant.to_owned(), resource, options: first_options(call)?, objects: BTreeMap::new() },
    };
    let latest = token.is_some_and(|(_, value)| value == "latest");
    let mut asked = call.clone();
    asked.query.clone_from(&shown.options);
    let query = Query::parse(&asked, shape)?;
    let with_members = shown.options.iter().all(|(name, value)| name != "$select" || value.contains("members"));

    let mut next = shown.clone();
    let mut changes = Vec::new();
    for one in current.iter().filter(|one| query.wants(&one.object)) {
        let before = shown.objects.get(&one.id);
        let now = Seen { print: print(&one.object), members: one.members.clone() };
        if before == Some(&now) {
            continue;
        }
        if !latest {
            let mut object = query.shaped(shape, one.object.clone());
            object["id"] = json!(one.id);
            if with_members {
                add_members(&mut object, before, &one.members);
            }
            changes.push((one.id.clone(), object, Some(now)));
        } else {
            next.objects.insert(one.id.clone(), now);
        }
    }
    for id in shown.objects.keys().filter(|id| !current.iter().any(|one| one.id == **id)) {
        let reason = if soft(id) { "changed" } else { "deleted" };
        changes.push((id.clone(), json!({"id": id, "@removed": {"reason": reason}}), None));
    }
    let more = changes.len() > PAGE;
    changes.truncate(PAGE);
    let mut value = Vec::new();
    for (id, object, now) in changes {
        match now {
            Some(now) => next.objects.insert(id, now),
            None => next.objects.remove(&id),
        };
        value.push(object);
    }
    let token = context.sim.deltas.remember(next);
    let (link, option) = if more { ("@odata.nextLink", "$skiptoken") } else { ("@odata.deltaLink", "$deltatoken") };
    Ok(Reply::ok(json!({
        "@odata.context": format!("{}/$metadata#{resource}", call.base),
        link: format!("{}/{resource}/delta?{option}={token}", call.base),
        "value": value,
    })))
}

/// The options of a first request, if a delta query can have them.
fn first_options(call: &super::Call) -> Result<Vec<(String, String)>, GraphError> {
    for (name, value) in &call.query {
        let possible = match name.as_str() {
            "$select" | "$deltatoken" => true,
            "$filter" => value.split(" or ").all(|part| part.trim().starts_with("id eq '")),
            other => !other.starts_with('$'),
        };
        if !possible {
            return Err(GraphError::unsupported_query(format!("{name} is not supported on delta queries.")));
        }
    }
    Ok(call.query.iter().filter(|(name, _)| matches!(name.as_str(), "$select" | "$filter")).cloned().collect())
}

fn add_members(object: &mut Value, before: Option<&Seen>, members: &BTreeSet<String>) {
    let none = BTreeSet::new();
    let before = before.map_or(&none, |seen| &seen.members);
    let came = members.difference(before).map(|id| json!({"@odata.type": "#microsoft.graph.user", "id": id}));
    let went = before
        .difference(members)
        .map(|id| json!({"@odata.type": "#microsoft.graph.user", "id": id, "@removed": {"reason": "deleted"}}));
    let all: Vec<Value> = came.chain(went).collect();
    if !all.is_empty() {
        object["members@delta"] = Value::Array(all);
    }
}

fn print(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    object.to_string().hash(&mut hasher);
    hasher.finish()
}
