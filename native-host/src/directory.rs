//! Who works here, as the MSP's own Entra tenant says: the technician who signed in, her groups, and whether she still
//! may.
//!
//! The refresh token is in the key store and nowhere else. What Entra answered last is kept in a file of this person's:
//! it names people and groups, no secret. Every sweep asks Graph; Entra is asked for a new access token only when the one
//! that is kept nears its end, or when Graph's answer leaves a doubt. Three rules: a plain no (disabled, deleted, sessions reset, out of the required
//! group) counts at once and until she signs in again; while Entra cannot be reached the last good answer holds for a
//! limited time; whatever ends access never waits for any of this. Facts: Microsoft identity platform, refresh tokens;
//! Microsoft Graph, list memberships.

mod access;

use std::path::{Path, PathBuf};

use latchkey_engine::{
    Engine, HttpRequest, NetworkSettings, SecretStore as _, SecretStoreError, SystemTransport, Technician,
    Transport as _,
};
use latchkey_protocol::{ErrorBody, ErrorCode};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::access::Marks;
use crate::configuration::values::TechnicianName;
use crate::configuration::{DirectorySettings, Settings};
use crate::key_store::{KeyStore, Prompting};
use crate::output::Output;
use crate::settings::{Folders, create_private_folder};
use crate::sign_in::{RefreshRefused, SignIn, SignInRequest, SignedIn, Way};
use crate::{failure, machine};

/// Under which id the key store keeps the refresh token: the words `latchkey sign-in`.
const KEY_STORE_ID: Uuid = Uuid::from_u128(u128::from_be_bytes(*b"latchkey sign-in"));
/// What Graph is asked for: who she is, and the names of her groups.
const SCOPES: &[&str] = &["User.Read", "GroupMember.Read.All"];
/// An answer so young is not asked for again before a start, milliseconds. The sweep asks every time.
const FRESH: i64 = 120_000;
/// More pages of groups than anybody is in.
const MOST_PAGES: usize = 50;
/// Why leases end when the technician may not have them any more, for the audit log.
const WHY_ENDED: &str = "the technician may not work here any more";

/// What the directory said last.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Answer {
    tenant_id: Uuid,
    client_id: Uuid,
    user_id: Uuid,
    /// User principal name at the MSP.
    pub(crate) user_name: String,
    /// Name shown to people.
    pub(crate) display_name: String,
    /// Names of the groups she is in, through other groups too.
    pub(crate) groups: Vec<String>,
    /// When Entra was asked, Unix time in milliseconds.
    pub(crate) asked_at: i64,
    /// Why she may not, if it said no.
    pub(crate) refusal: Option<String>,
}

/// Whether the technician may work here now.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// Entra says so, now or a moment ago.
    Welcome(Answer),
    /// Entra cannot be asked; it said so not too long ago.
    Held(Answer, ErrorBody),
    /// Entra cannot be asked, and its last answer is too old to give access. Nothing ends because of it.
    Unknown(ErrorBody),
    /// Entra says no, or nobody is signed in: nothing may be given, and what was given ends.
    Refused(ErrorBody),
}

/// Lets a technician sign in and keeps what is needed to ask again.
pub(crate) async fn sign_in(settings: &Settings, way: Way, output: Output) -> Result<Answer, ErrorBody> {
    let directory = configured(settings)?;
    let network = network(settings);
    let known = settings.technician.as_ref().map(|name| name.as_str().to_owned());
    let request = request(directory, known.as_deref(), way);
    let signed_in = SignIn::new(network.clone()).sign_in(&request, output).await?;
    let token = signed_in.refresh_token.clone();
    let asked = ask_graph(directory, network, &Person::of(&signed_in)).await;
    let (answer, marks) = asked.map_err(|unanswered| *unanswered.error)?;
    if let Some(refusal) = &answer.refusal {
        return Err(refused(refusal));
    }
    let token = token.ok_or_else(|| failure::internal("Microsoft gave no refresh token"))?;
    blocking(move || KeyStore::new(Prompting::Allowed).set(KEY_STORE_ID, &token)).await?;
    access::keep(directory, &signed_in, marks, Prompting::Allowed).await;
    keep(&answer)?;
    Ok(answer)
}

/// Forgets the technician.
pub(crate) async fn sign_out() -> Result<(), ErrorBody> {
    blocking(|| KeyStore::new(Prompting::Allowed).delete(KEY_STORE_ID)).await?;
    access::forget().await?;
    let file = file()?;
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failure::disk(&error, &format!("{} cannot be removed", file.display())))
        }
        _ => Ok(()),
    }
}

/// How the technician stands. Nothing when technicians do not come from a directory.
pub(crate) async fn standing(settings: &Settings, prompting: Prompting, fresh_enough: bool) -> Option<Standing> {
    let directory = settings.directory.as_ref()?;
    let kept = kept(settings);
    let Some(kept) = kept else { return Some(Standing::Refused(not_signed_in())) };
    if let Some(refusal) = &kept.refusal {
        return Some(Standing::Refused(refused(refusal)));
    }
    let age = machine::now() - kept.asked_at;
    if fresh_enough && (0..FRESH).contains(&age) {
        return Some(Standing::Welcome(kept));
    }
    let asked = ask(directory, network(settings), &kept, prompting).await;
    Some(match asked {
        Ok(Some(answer)) => {
            if let Err(error) = keep(&answer) {
                tracing::warn!("what the directory said cannot be kept: {}", error.message);
            }
            match &answer.refusal {
                Some(refusal) => Standing::Refused(refused(refusal)),
                None => Standing::Welcome(answer),
            }
        }
        Ok(None) => Standing::Refused(not_signed_in()),
        Err(error) if (0..directory.hold_milliseconds()).contains(&age) => Standing::Held(kept, error),
        Err(error) => Standing::Unknown(ErrorBody::new(
            error.code,
            format!("Your company's directory could not be asked for too long: {}", error.message),
            "Nothing is given until it can be reached again; ending goes on. 'latchkey doctor' looks at the network.",
        )),
    })
}

/// The technician who may be given access now, with her groups.
///
/// # Errors
/// She may not, or nobody can tell any more.
pub(crate) async fn to_give(settings: &Settings, prompting: Prompting) -> Result<Technician, ErrorBody> {
    match standing(settings, prompting, true).await {
        None => machine::acting(settings),
        Some(Standing::Welcome(answer) | Standing::Held(answer, _)) => technician_of(&answer),
        Some(Standing::Unknown(error) | Standing::Refused(error)) => Err(error),
    }
}

/// The technician that the last answer names, whatever it says of her; nothing without one.
pub(crate) fn last_known(settings: &Settings) -> Option<Technician> {
    settings.directory.as_ref()?;
    technician_of(&kept(settings)?).ok()
}

/// Ends every lease of a technician who may not have them any more. What was not verified stays due.
pub(crate) async fn end_if_refused(engine: &Engine, settings: &Settings) -> Option<ErrorBody> {
    let Some(Standing::Refused(error)) = standing(settings, Prompting::Never, false).await else { return None };
    match engine.end_all_because(WHY_ENDED, &latchkey_engine::Caller::Sweep, &|_, _| {}).await {
        Ok(report) if report.ended.is_empty() && report.failed.is_empty() => None,
        Ok(_) => Some(error),
        Err(failure) => Some(failure.to_body()),
    }
}

fn configured(settings: &Settings) -> Result<&DirectorySettings, ErrorBody> {
    settings.directory.as_ref().ok_or_else(|| {
        failure::usage(
            "The configuration names no tenant to sign in to.",
            "Write [directory] with tenant_id and client_id into config.toml; docs/technicians.md shows how.",
        )
    })
}

fn network(settings: &Settings) -> NetworkSettings {
    NetworkSettings {
        proxy: settings.network.proxy.clone(),
        extra_root_certificates: settings.network.extra_root_certificate.clone(),
    }
}

fn request<'a>(directory: &DirectorySettings, login_hint: Option<&'a str>, way: Way) -> SignInRequest<'a> {
    SignInRequest {
        cloud: directory.cloud,
        tenant_id: Some(directory.tenant_id),
        client_id: directory.client_id,
        scopes: SCOPES,
        stays: true,
        login_hint,
        way,
    }
}

/// Asks Entra again. Nothing when there is no refresh token.
async fn ask(
    directory: &DirectorySettings,
    network: NetworkSettings,
    kept: &Answer,
    prompting: Prompting,
) -> Result<Option<Answer>, ErrorBody> {
    let Some(token) = blocking(move || KeyStore::new(prompting).get(KEY_STORE_ID)).await? else { return Ok(None) };
    if let Some(access) = access::kept(directory, kept, prompting).await {
        match ask_graph(directory, network.clone(), &Person::of_before(kept, &access.token)).await {
            Ok((answer, marks)) if marks == access.marks => return Ok(Some(answer)),
            // Her sessions or her password were reset, or the token is not taken: what she still may is Entra's to say.
            Ok(_) => {}
            Err(unanswered) if unanswered.refused => {}
            Err(unanswered) => return Err(*unanswered.error),
        }
    }
    let request = request(directory, None, Way::Address);
    match SignIn::new(network.clone()).refresh(&request, &token).await {
        Err(RefreshRefused::Unknown(error)) => Err(error),
        Err(RefreshRefused::Refused(error)) => {
            Ok(Some(Answer { asked_at: machine::now(), refusal: Some(error.message), ..kept.clone() }))
        }
        Ok(signed_in) => {
            let renewed = signed_in.refresh_token.clone();
            let asked = ask_graph(directory, network, &Person::of(&signed_in)).await;
            let (answer, marks) = asked.map_err(|unanswered| *unanswered.error)?;
            // The one before goes on working for a while: not keeping the new one is no reason to refuse.
            if let Some(renewed) = renewed.filter(|renewed| renewed.expose_secret() != token.expose_secret()) {
                let kept = blocking(move || KeyStore::new(prompting).set(KEY_STORE_ID, &renewed)).await;
                if let Err(error) = kept {
                    tracing::warn!("the new refresh token cannot be kept: {}", error.message);
                }
            }
            access::keep(directory, &signed_in, marks, prompting).await;
            Ok(Some(answer))
        }
    }
}

/// Who Graph is asked about, and with what.
struct Person<'a> {
    tenant_id: Uuid,
    user_id: Uuid,
    user_name: &'a str,
    display_name: &'a str,
    access_token: &'a SecretString,
}

impl<'a> Person<'a> {
    fn of(signed_in: &'a SignedIn) -> Self {
        Self {
            tenant_id: signed_in.tenant_id,
            user_id: signed_in.user_id,
            user_name: &signed_in.user_name,
            display_name: &signed_in.display_name,
            access_token: &signed_in.access_token,
        }
    }

    /// The one of whom the directory spoke last.
    fn of_before(answer: &'a Answer, access_token: &'a SecretString) -> Self {
        Self {
            tenant_id: answer.tenant_id,
            user_id: answer.user_id,
            user_name: &answer.user_name,
            display_name: &answer.display_name,
            access_token,
        }
    }
}

/// Why Graph said nothing about her.
struct Unanswered {
    error: Box<ErrorBody>,
    /// Whether it does not take the token, or does not know her: something that Entra can tell more about.
    refused: bool,
}

impl From<ErrorBody> for Unanswered {
    fn from(error: ErrorBody) -> Self {
        Self { error: Box::new(error), refused: false }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Me {
    account_enabled: Option<bool>,
    sign_in_sessions_valid_from_date_time: Option<String>,
    last_password_change_date_time: Option<String>,
}

impl Me {
    /// What changes when a token that was given before may not be good any more.
    fn marks(&self) -> Marks {
        Marks {
            sessions: self.sign_in_sessions_valid_from_date_time.clone(),
            password: self.last_password_change_date_time.clone(),
        }
    }
}

#[derive(Deserialize)]
struct Page {
    value: Vec<Group>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Group {
    id: Uuid,
    #[serde(rename = "displayName")]
    display_name: Option<String>,
    /// Which kind of object it is: she is in directory roles and administrative units too.
    #[serde(rename = "@odata.type")]
    kind: Option<String>,
}

/// Asks Graph whether her account is enabled and which groups she is in. An error means that nobody knows.
async fn ask_graph(
    directory: &DirectorySettings,
    network: NetworkSettings,
    person: &Person<'_>,
) -> Result<(Answer, Marks), Unanswered> {
    const SELECT: &str = "accountEnabled,signInSessionsValidFromDateTime,lastPasswordChangeDateTime";
    let transport = SystemTransport::new(network);
    let graph = directory.cloud.hosts().graph;
    let me: Me = get(&transport, &format!("{graph}/v1.0/me?$select={SELECT}"), person.access_token).await?;
    let mut found = Vec::new();
    // Of everything she is in, because Graph answers the question for groups alone only from an index that lags behind.
    let mut next = Some(format!("{graph}/v1.0/me/transitiveMemberOf?$select=id,displayName&$top=999"));
    for _ in 0..MOST_PAGES {
        let Some(address) = next.take().filter(|address| address.starts_with(graph)) else { break };
        let page: Page = get(&transport, &address, person.access_token).await?;
        found.extend(page.value.into_iter().filter(|one| one.kind.as_deref() == Some("#microsoft.graph.group")));
        next = page.next;
    }
    let required = directory.required_group.as_deref();
    let is_required = |group: &Group| {
        required.is_some_and(|required| {
            group.id.to_string().eq_ignore_ascii_case(required)
                || group.display_name.as_ref().is_some_and(|name| name.to_lowercase() == required.to_lowercase())
        })
    };
    let refusal = if me.account_enabled == Some(false) {
        Some(format!("{} is disabled.", person.user_name))
    } else {
        required
            .filter(|_| !found.iter().any(is_required))
            .map(|required| format!("{} is not in the group {required}.", person.user_name))
    };
    let mut groups: Vec<String> = found.into_iter().filter_map(|group| group.display_name).collect();
    groups.sort();
    let answer = Answer {
        tenant_id: person.tenant_id,
        client_id: directory.client_id,
        user_id: person.user_id,
        user_name: person.user_name.to_owned(),
        display_name: person.display_name.to_owned(),
        groups,
        asked_at: machine::now(),
        refusal,
    };
    Ok((answer, me.marks()))
}

async fn get<T: serde::de::DeserializeOwned>(
    transport: &SystemTransport,
    address: &str,
    token: &SecretString,
) -> Result<T, Unanswered> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
        .map_err(|_| failure::internal("the access token cannot be sent"))?;
    bearer.set_sensitive(true);
    let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
    let request = HttpRequest { method: "GET", url: address.to_owned(), headers, body: Vec::new() };
    let answer = transport.exchange(request).await.map_err(crate::sign_in::silence)?;
    if answer.status != 200 {
        let next_step = match answer.status {
            401 | 403 => {
                "An administrator of your company must consent to User.Read and GroupMember.Read.All for the application \
                 that [directory] names."
            }
            _ => "Try again in a few minutes.",
        };
        let message = format!("Microsoft Graph did not say who you are (HTTP {}).", answer.status);
        let error = Box::new(ErrorBody::new(ErrorCode::GraphRefused, message, next_step));
        return Err(Unanswered { error, refused: matches!(answer.status, 401 | 403 | 404) });
    }
    let parsed = serde_json::from_slice(&answer.body);
    parsed.map_err(|_| failure::internal("Microsoft Graph's answer cannot be read").into())
}

fn technician_of(answer: &Answer) -> Result<Technician, ErrorBody> {
    let name = TechnicianName::try_from(answer.user_name.clone())
        .map_err(|reason| failure::usage(format!("{} cannot name accounts: {reason}.", answer.user_name), ""))?;
    Ok(Technician {
        name: name.as_str().to_owned(),
        local_part: name.local_part().to_owned(),
        groups: answer.groups.clone(),
    })
}

fn not_signed_in() -> ErrorBody {
    ErrorBody::new(
        ErrorCode::SignInRequired,
        "You are not signed in to your company.",
        "Sign in with: latchkey sign-in",
    )
}

fn refused(why: &str) -> ErrorBody {
    ErrorBody::new(
        ErrorCode::TechnicianRefused,
        format!("Your company's directory does not let you work with Latchkey: {why}"),
        "Ask your administrator; then sign in again with: latchkey sign-in",
    )
}

fn file() -> Result<PathBuf, ErrorBody> {
    Ok(Folders::of_this_person()?.data.join("technician.json"))
}

/// What was said last about somebody of the tenant that the configuration names.
pub(crate) fn kept(settings: &Settings) -> Option<Answer> {
    let directory = settings.directory.as_ref()?;
    let text = std::fs::read(file().ok()?).ok()?;
    let answer: Answer = serde_json::from_slice(&text).ok()?;
    (answer.tenant_id == directory.tenant_id && answer.client_id == directory.client_id).then_some(answer)
}

fn keep(answer: &Answer) -> Result<(), ErrorBody> {
    let file = file()?;
    write(&file, answer).map_err(|error| failure::disk(&error, &format!("{} cannot be written", file.display())))
}

fn write(file: &Path, answer: &Answer) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        create_private_folder(folder)?;
    }
    let fresh = file.with_extension(format!("{}.new", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    serde_json::to_writer(options.open(&fresh)?, answer)?;
    std::fs::rename(&fresh, file)
}

async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, SecretStoreError> + Send + 'static,
) -> Result<T, ErrorBody> {
    let answer = tokio::task::spawn_blocking(ask).await.map_err(failure::internal)?;
    answer.map_err(|error| {
        let failure = match error {
            SecretStoreError::Locked => latchkey_engine::Failure::KeyStoreLocked,
            other => latchkey_engine::Failure::KeyStoreUnavailable(other.to_string()),
        };
        latchkey_engine::EngineError::from(failure).to_body()
    })
}
