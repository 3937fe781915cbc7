//! The control surface: plain HTTP on a port of its own, for tests and for people who look at a simulation.
//!
//! | request | what |
//! |---|---|
//! | `GET /sim/state` | the whole directory, sign-ins, exchange counts, schema check; no passwords, no pass codes |
//! | `GET /sim/exchanges` | the log of token and Graph exchanges |
//! | `GET /sim/knobs`, `POST /sim/knobs` | read, turn |
//! | `POST /sim/clock` | `{"advance_seconds": n}` |
//! | `POST /sim/faults` | a list of faults in place of the ones before |
//! | `POST /sim/block` | `{"exchange": n}` or `{"next": n}` (1 is the next), `"when": "before"` or `"after"`, `"survives_client"` |
//! | `POST /sim/release` | let held exchanges go on |
//! | `GET /sim/wait?exchanges=n` or `?held=1` | answers when so many exchanges have arrived, or one is held |
//! | `POST /sim/tenants` | add a tenant (a recipe) |
//! | `POST /sim/users` | change a user behind everybody's back: `{"user": …, "enabled"?, "delete"?, "password"?, "add_roles"?, "remove_roles"?}` |
//! | `POST /sim/apps` | change an application: `{"tenant", "client_id"?, "permissions"?, "enabled"?, "secret_expires_in_seconds"?, "app_roles"?, "add_certificates"?, "remove_certificates"?}`; the tenant's first one unless `client_id` names another |
//! | `POST /sim/policies` | change a tenant's policies: `{"tenant", "pass_enabled"?, "pass_minimum"?, "pass_maximum"?, "pass_once"?, "passkeys"?, "hardware_oath"?, "licence"?, "security_defaults"?, "conditional_access"?}`; `passkeys` and `hardware_oath` are what a PATCH of `…/fido2` and `…/HardwareOath` takes, the last one as Graph is to show it |
//! | `POST /sim/sign-in` | `{"authorize_url"?, "user_code"?, "user", "decline"?, "stay"?}`: play a person with a browser |
//! | `POST /sim/reset` | back to the start |

pub mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::assertion::read_certificate_text;
use crate::clock::graph_time;
use crate::directory::seed::{TenantRecipe, assignment_id};
use crate::directory::{ApplicationKey, DomainKind, Licence, RoleAssignment, Tenant, User, roles};
use crate::exchanges::Endpoint;
use crate::faults::{Fault, Kind, Match};
use crate::graph::{oath, passkeys};
use crate::simulation::Simulation;

/// Longest a waiting request is kept.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

type Sim = State<Arc<Simulation>>;

/// A refusal: 400 and a sentence.
struct Refused(String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({"error": self.0}))).into_response()
    }
}

/// The control surface of `sim`.
pub fn router(sim: Arc<Simulation>) -> Router {
    Router::new()
        .route("/sim/state", get(state))
        .route("/sim/exchanges", get(exchanges))
        .route("/sim/knobs", get(knobs).post(turn))
        .route("/sim/clock", post(advance))
        .route("/sim/faults", post(faults))
        .route("/sim/block", post(block))
        .route("/sim/release", post(release))
        .route("/sim/wait", get(wait))
        .route("/sim/tenants", post(add_tenant))
        .route("/sim/users", post(change_user))
        .route("/sim/apps", post(change_application))
        .route("/sim/policies", post(change_policies))
        .route("/sim/sign-in", post(sign_in_somebody))
        .route("/sim/reset", post(reset))
        // Whatever a client calls it, it is JSON: `curl -d` says that it is a form.
        .layer(map_request(|mut request: Request| async {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            request
        }))
        .with_state(sim)
}

/// What the command prints about a tenant.
#[must_use]
pub fn tenant_summary(tenant: &Tenant) -> Value {
    let application = tenant.applications.first();
    let domains: Vec<Value> = tenant
        .domains
        .iter()
        .map(|domain| {
            json!({
                "name": domain.name,
                "managed": domain.kind == DomainKind::Managed,
                "verified": domain.verified,
                "default": domain.default,
            })
        })
        .collect();
    json!({
        "id": tenant.id,
        "name": tenant.display_name,
        "cloud": tenant.cloud,
        "domains": domains,
        "app": application.map(|application| json!({
            "client_id": application.client_id,
            "client_secret": application.secrets.last().map(|secret| &secret.value),
            "service_principal_id": application.service_principal_id,
            "permissions": application.permissions,
            "certificates": application.keys.iter().map(thumbprint).collect::<Vec<_>>(),
        })),
    })
}

/// The whole state, for tests in this process too.
pub async fn state_of(sim: &Simulation) -> Value {
    let conformance = sim.schema.settled().await;
    let log = sim.exchanges.entries();
    let count = |endpoint: Endpoint| log.iter().filter(|entry| entry.endpoint == endpoint && !entry.in_batch).count();
    let now = sim.clock.now();
    let directory = sim.directory();
    json!({
        "now": graph_time(now),
        "elapsed_ms": u64::try_from(sim.clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        "tenants": directory.tenants.iter().map(|tenant| tenant_state(sim, &directory, tenant, now)).collect::<Vec<_>>(),
        "sign_ins": directory.sign_ins,
        "exchanges": {
            "arrived": sim.exchanges.arrived(),
            "token": count(Endpoint::Token),
            "graph": count(Endpoint::Graph),
            "in_batches": log.iter().filter(|entry| entry.in_batch).count(),
            "held": sim.faults.held(),
        },
        "conformance": conformance,
        "knobs": sim.knobs(),
    })
}

fn tenant_state(sim: &Simulation, directory: &crate::directory::Directory, tenant: &Tenant, now: Timestamp) -> Value {
    let knobs = sim.knobs();
    let user_state = |user: &User| {
        let sessions: Vec<Value> = directory
            .sessions
            .values()
            .filter(|session| session.user_id == user.id && session.tenant_id == tenant.id)
            .map(|session| {
                json!({
                    "credential": session.credential,
                    "issued": session.issued.to_string(),
                    "live": directory.session(&session.id, &sim.clock, &knobs).is_some(),
                })
            })
            .collect();
        let passes: Vec<Value> = user
            .access_pass
            .iter()
            .map(|pass| {
                json!({
                    "id": pass.id,
                    "start": graph_time(pass.start),
                    "end": graph_time(pass.end()),
                    "lifetime_minutes": pass.lifetime_minutes,
                    "once": pass.once,
                    "used": pass.used,
                    "usable": pass.usability(now, tenant.pass_allowed(&user.id)).0,
                })
            })
            .collect();
        json!({
            "id": user.id,
            "upn": user.user_principal_name,
            "display_name": user.display_name,
            "accountEnabled": user.account_enabled,
            "roles": tenant.role_names_of(&user.id, now),
            "groups": tenant.groups_of(&user.id).iter().map(|group| &group.display_name).collect::<Vec<_>>(),
            "passes": passes,
            "passkeys": user.passkeys.iter().map(|passkey| json!({
                "id": passkey.id,
                "credential_id": URL_SAFE_NO_PAD.encode(&passkey.credential.cred_id),
                "display_name": passkey.display_name,
                "aaguid": passkey.aaguid,
                "relying_party": passkey.relying_party,
                "synced": passkey.synced(),
                "counter": passkey.credential.counter,
                "created": graph_time(passkey.created),
            })).collect::<Vec<_>>(),
            "has_password": user.password.is_some(),
            "must_change_password": user.must_change_password,
            "password_set": user.password_set.to_string(),
            "sessions": sessions,
            "sessions_valid_from": user.sessions_valid_from.to_string(),
            "extension_attributes": user.attributes.get("onPremisesExtensionAttributes"),
            "extensions": user.extensions,
            "created": graph_time(user.created),
            "deleted": user.deleted.map(graph_time),
            "revision": user.revision,
        })
    };
    let mut summary = tenant_summary(tenant);
    if let Some(application) = summary.get_mut("app").and_then(Value::as_object_mut) {
        application.remove("client_secret");
    }
    summary["users"] = tenant.users.values().map(user_state).collect();
    summary["deleted_users"] = tenant.deleted_users.values().map(user_state).collect();
    summary["groups"] = tenant
        .groups
        .values()
        .map(|group| {
            json!({
                "id": group.id, "name": group.display_name, "members": group.members,
                "role_assignable": group.role_assignable, "dynamic": group.is_dynamic(),
                "synchronised": group.synchronised, "mail_enabled": group.mail_enabled,
            })
        })
        .collect();
    summary["role_assignments"] = tenant
        .assignments
        .iter()
        .map(|assignment| {
            json!({
                "id": assignment.id,
                "role": roles::by_id(&assignment.role).map_or(assignment.role.as_str(), |role| role.name),
                "role_id": assignment.role,
                "principal": assignment.principal,
                "scope": assignment.scope,
                "active": assignment.active(now),
                "end": assignment.schedule.as_ref().and_then(|schedule| schedule.end).map(graph_time),
            })
        })
        .collect();
    summary["pass_policy"] = json!({
        "enabled": tenant.pass_policy.enabled,
        "once": tenant.pass_policy.once,
        "minimum_minutes": tenant.pass_policy.minimum_minutes,
        "maximum_minutes": tenant.pass_policy.maximum_minutes,
    });
    summary
}

async fn state(State(sim): Sim) -> Json<Value> {
    Json(state_of(&sim).await)
}

async fn exchanges(State(sim): Sim) -> Json<Value> {
    Json(json!({"arrived": sim.exchanges.arrived(), "exchanges": sim.exchanges.entries()}))
}

async fn knobs(State(sim): Sim) -> Json<Value> {
    Json(json!(sim.knobs()))
}

async fn turn(State(sim): Sim, Json(change): Json<Value>) -> Result<Json<Value>, Refused> {
    sim.turn(&change).map(|knobs| Json(json!(knobs))).map_err(|error| Refused(format!("No knob was turned: {error}.")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

async fn advance(State(sim): Sim, Json(advance): Json<Advance>) -> Json<Value> {
    sim.clock.advance_seconds(advance.advance_seconds);
    let offset = sim.clock.offset_seconds();
    // The knob shows what the clock does.
    let _ = sim.turn(&json!({"clock_offset_seconds": offset}));
    Json(json!({"now": graph_time(sim.clock.now()), "clock_offset_seconds": offset}))
}

async fn faults(State(sim): Sim, Json(faults): Json<Vec<Fault>>) -> Json<Value> {
    let count = faults.len();
    sim.faults.replace(faults);
    Json(json!({"faults": count}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    exchange: Option<u64>,
    next: Option<u64>,
    #[serde(default)]
    when: When,
    #[serde(default)]
    survives_client: bool,
    #[serde(default, rename = "match")]
    matches: Match,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    #[default]
    Before,
    After,
}

async fn block(State(sim): Sim, Json(block): Json<Block>) -> Result<Json<Value>, Refused> {
    let arrived = sim.exchanges.arrived();
    let nth = match (block.exchange, block.next) {
        (Some(number), None) if number > arrived => number - arrived,
        (Some(number), None) => return Err(Refused(format!("Exchange {number} is over; {arrived} have arrived."))),
        (None, Some(next)) if next > 0 => next,
        _ => return Err(Refused("Name one of exchange and next (from 1).".to_owned())),
    };
    sim.faults.add(Fault {
        matches: Match {
            nth: Some(nth),
            // By default whole exchanges are counted, so that numbers agree with the log.
            in_batch: block.matches.in_batch.or(Some(false)),
            ..block.matches
        },
        kind: match block.when {
            When::Before => Kind::HoldBefore { survives_client: block.survives_client },
            When::After => Kind::HoldAfter {},
        },
        times: Some(1),
    });
    Ok(Json(json!({"holds_in": nth})))
}

async fn release(State(sim): Sim) -> Json<Value> {
    let held = sim.faults.held();
    sim.faults.release();
    Json(json!({"released": held}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    exchanges: Option<u64>,
    held: Option<u64>,
}

async fn wait(State(sim): Sim, Query(wait): Query<Wait>) -> Result<Json<Value>, Refused> {
    let waiting = async {
        if let Some(count) = wait.exchanges {
            sim.exchanges.wait_for(count).await;
        }
        if wait.held.is_some() {
            sim.faults.wait_for_held().await;
        }
    };
    if tokio::time::timeout(LONGEST_WAIT, waiting).await.is_err() {
        return Err(Refused(format!(
            "Waited in vain: {} exchanges have arrived, {} are held.",
            sim.exchanges.arrived(),
            sim.faults.held()
        )));
    }
    Ok(Json(json!({"arrived": sim.exchanges.arrived(), "held": sim.faults.held()})))
}

async fn add_tenant(State(sim): Sim, Json(recipe): Json<TenantRecipe>) -> Json<Value> {
    Json(tenant_summary(&sim.add_tenant(recipe)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserChange {
    user: String,
    enabled: Option<bool>,
    #[serde(default)]
    delete: bool,
    password: Option<String>,
    #[serde(default)]
    add_roles: Vec<String>,
    #[serde(default)]
    remove_roles: Vec<String>,
}

async fn change_user(State(sim): Sim, Json(change): Json<UserChange>) -> Result<Json<Value>, Refused> {
    let (now, moment) = (sim.clock.now(), sim.clock.elapsed());
    let mut directory = sim.directory();
    let tenant_id = directory
        .tenants
        .iter()
        .find(|tenant| tenant.user(&change.user).is_some())
        .map(|tenant| tenant.id.clone())
        .ok_or_else(|| Refused(format!("There is no user '{}'.", change.user)))?;
    let role = |name: &String| {
        roles::by_id(name)
            .or_else(|| roles::by_name(name))
            .map(|role| role.id.to_owned())
            .ok_or_else(|| Refused(format!("There is no role '{name}'.")))
    };
    let added = change.add_roles.iter().map(role).collect::<Result<Vec<_>, _>>()?;
    let removed = change.remove_roles.iter().map(role).collect::<Result<Vec<_>, _>>()?;
    let Some(tenant) = directory.tenant_mut(&tenant_id) else {
        return Err(Refused("The tenant is gone.".to_owned()));
    };
    let Some(user) = tenant.user_mut(&change.user) else {
        return Err(Refused("The user is gone.".to_owned()));
    };
    if let Some(enabled) = change.enabled {
        user.account_enabled = enabled;
        user.enabled_moment = moment;
    }
    if let Some(password) = change.password {
        user.password = Some(password);
        user.password_set = now;
        user.password_moment = moment;
        user.must_change_password = false;
    }
    user.changed();
    let id = user.id.clone();
    for role in added {
        tenant.assignments.push(RoleAssignment {
            id: assignment_id(&role, &id, "/"),
            role,
            principal: id.clone(),
            scope: "/".to_owned(),
            schedule: None,
        });
    }
    tenant.assignments.retain(|assignment| assignment.principal != id || !removed.contains(&assignment.role));
    if change.delete
        && let Some(mut user) = tenant.users.remove(&id)
    {
        user.deleted = Some(now);
        tenant.deleted_users.insert(id.clone(), user);
    }
    Ok(Json(json!({"id": id})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplicationChange {
    tenant: String,
    client_id: Option<String>,
    permissions: Option<Vec<String>>,
    enabled: Option<bool>,
    secret_expires_in_seconds: Option<i64>,
    app_roles: Option<Vec<String>>,
    #[serde(default)]
    add_certificates: Vec<String>,
    #[serde(default)]
    remove_certificates: bool,
}

async fn change_application(State(sim): Sim, Json(change): Json<ApplicationChange>) -> Result<Json<Value>, Refused> {
    let now = sim.clock.now();
    let added = change
        .add_certificates
        .iter()
        .map(|text| read_certificate_text(text, None))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Refused(format!("A certificate was refused ({error:?}); give PEM or Base64 of DER.")))?;
    let mut directory = sim.directory();
    let Some(tenant) = directory.tenant_mut(&change.tenant) else {
        return Err(Refused(format!("There is no tenant '{}'.", change.tenant)));
    };
    let wanted = change.client_id.as_deref();
    let application = tenant
        .applications
        .iter_mut()
        .find(|known| wanted.is_none_or(|client_id| known.client_id.eq_ignore_ascii_case(client_id)));
    let Some(application) = application else {
        return Err(Refused("The tenant has no such application.".to_owned()));
    };
    if change.remove_certificates {
        application.keys.clear();
    }
    let thumbprints: Vec<String> = added.iter().map(thumbprint).collect();
    application.keys.extend(added);
    if let Some(permissions) = change.permissions {
        application.permissions = permissions.into_iter().collect();
    }
    if let Some(enabled) = change.enabled {
        application.enabled = enabled;
    }
    if let Some(seconds) = change.secret_expires_in_seconds {
        let expires = Timestamp::from_second(now.as_second().saturating_add(seconds)).unwrap_or(now);
        for secret in &mut application.secrets {
            secret.expires = expires;
        }
    }
    let principal = application.service_principal_id.clone();
    if let Some(wanted) = change.app_roles {
        tenant.assignments.retain(|assignment| assignment.principal != principal);
        for role in wanted.iter().filter_map(|role| roles::by_id(role).or_else(|| roles::by_name(role))) {
            tenant.assignments.push(RoleAssignment {
                id: assignment_id(role.id, &principal, "/"),
                role: role.id.to_owned(),
                principal: principal.clone(),
                scope: "/".to_owned(),
                schedule: None,
            });
        }
    }
    Ok(Json(json!({"service_principal_id": principal, "added_certificates": thumbprints})))
}

/// SHA-256 of a certificate in hexadecimal, as portals show it.
fn thumbprint(key: &ApplicationKey) -> String {
    key.sha256.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyChange {
    tenant: String,
    pass_enabled: Option<bool>,
    pass_minimum: Option<u32>,
    pass_maximum: Option<u32>,
    pass_once: Option<bool>,
    passkeys: Option<Map<String, Value>>,
    hardware_oath: Option<Map<String, Value>>,
    licence: Option<Licence>,
    security_defaults: Option<bool>,
    conditional_access: Option<Vec<Value>>,
}

async fn change_policies(State(sim): Sim, Json(change): Json<PolicyChange>) -> Result<Json<Value>, Refused> {
    let mut directory = sim.directory();
    let Some(tenant) = directory.tenant_mut(&change.tenant) else {
        return Err(Refused(format!("There is no tenant '{}'.", change.tenant)));
    };
    let policy = &mut tenant.pass_policy;
    policy.enabled = change.pass_enabled.unwrap_or(policy.enabled);
    policy.minimum_minutes = change.pass_minimum.unwrap_or(policy.minimum_minutes);
    policy.maximum_minutes = change.pass_maximum.unwrap_or(policy.maximum_minutes);
    policy.once = change.pass_once.unwrap_or(policy.once);
    if let Some(change) = &change.passkeys {
        tenant.passkey_policy =
            passkeys::changed_policy(&tenant.passkey_policy, change).map_err(|error| Refused(error.message))?;
    }
    if let Some(change) = &change.hardware_oath {
        tenant.oath_policy =
            oath::changed_policy(&tenant.oath_policy, change).map_err(|error| Refused(error.message))?;
    }
    tenant.licence = change.licence.unwrap_or(tenant.licence);
    tenant.security_defaults = change.security_defaults.unwrap_or(tenant.security_defaults);
    if let Some(policies) = change.conditional_access {
        tenant.conditional_access = policies;
    }
    Ok(Json(json!({"tenant": tenant.id})))
}

async fn sign_in_somebody(State(sim): Sim, Json(visit): Json<sign_in::Visit>) -> Result<Json<Value>, Refused> {
    sign_in::visit(&sim, visit).await.map(Json).map_err(Refused)
}

async fn reset(State(sim): Sim) -> Json<Value> {
    sim.reset();
    Json(json!({"reset": true}))
}
