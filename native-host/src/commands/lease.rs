//! `latchkey start`, `list`, `end` and `sweep`.

use std::process::ExitCode;

use latchkey_engine::{Engine, StartLease};
use latchkey_protocol::{CredentialKind, ErrorBody, ErrorCode, LeaseState, LeaseSummary, Secret};
use serde_json::json;

use super::attention::Attention;
use super::{CALLER, duration, follow, moment, table, tenant_among, tenant_named};
use crate::cli::{Code, End, Extend, List, Start};
use crate::key_store::Prompting;
use crate::output::{Mark, Output};
use crate::{failure, machine, settings::Folders};

/// How long a sweep goes on telling the webhook's receiver; the next one takes up the rest.
const DELIVERING_AT_SWEEP: std::time::Duration = std::time::Duration::from_secs(20);

pub(super) async fn start(engine: &Engine, start: Start, output: Output) -> Result<(), ErrorBody> {
    let settings = machine::settings()?;
    let technician = crate::directory::to_give(&settings, Prompting::Allowed).await?;
    let engine = &engine.with_policy(settings.policy, technician.groups);
    let tenant = tenant_named(engine, &start.tenant).await?;
    let request = StartLease {
        minutes: start.minutes,
        reason: start.reason,
        profile: start.profile,
        ticket: start.ticket,
        ..StartLease::new(tenant.tenant_id, CALLER)
    };
    let spinner = output.progress("activating the account");
    let lease = engine.start_lease(request, &follow(&spinner)).await?;
    drop(spinner);
    let secret = match start.show_credential {
        true => Some(engine.reveal_credential(lease.lease_id, &CALLER).await?),
        false => None,
    };
    let code = match &secret {
        Some(Secret { credential: CredentialKind::PasswordTotp, .. }) => {
            Some(engine.reveal_code(lease.lease_id, &CALLER).await?)
        }
        _ => None,
    };
    let mut document = json!({"lease": lease});
    if let Some(secret) = &secret {
        document["credential"] = json!({"kind": secret.credential, "value": secret.value});
    }
    if let Some(code) = &code {
        document["credential"]["code"] = code.value.as_str().into();
    }
    output.document(&document);
    output.marked(
        Mark::Good,
        format_args!("{} is active in {} until {}", lease.user_name, lease.tenant_name, moment(lease.until)),
    );
    output.line(format_args!("    {}: {}", lease.profile.as_deref().unwrap_or("Roles"), lease.roles.join(", ")));
    match &secret {
        Some(secret) => output.line(format_args!("    {}: {}", credential_name(secret.credential), secret.value)),
        None => output
            .line("    Click Latchkey in the browser's toolbar on the sign-in page, or say --show-credential here."),
    }
    if let Some(code) = &code {
        output.line(format_args!("    One-time code: {} (for half a minute)", code.value));
    }
    output.line(format_args!("    End it with: latchkey end {}", quoted(&lease.tenant_name)));
    Ok(())
}

/// A name as a shell takes it for one word.
pub(super) fn quoted(name: &str) -> String {
    if !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || "-_.".contains(letter)) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', r"'\''"))
}

const fn credential_name(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::TemporaryAccessPass => "Temporary Access Pass",
        CredentialKind::Passkey => "Passkey",
        CredentialKind::PasswordTotp | CredentialKind::Password => "Password",
    }
}

pub(super) async fn list(engine: &Engine, list: &List, output: Output) -> Result<(), ErrorBody> {
    if list.credentials {
        return credentials(engine, output).await;
    }
    let mut leases = engine.leases(list.all).await?;
    // What needs somebody stands first.
    leases.sort_by_key(|lease| lease.problem.is_none());
    let mut groups = engine.groups_of_leases(list.all).await?;
    let with_groups =
        |lease: LeaseSummary| ListedLease { groups: groups.remove(&lease.lease_id).unwrap_or_default(), lease };
    let listed =
        Listed { leases: leases.into_iter().map(with_groups).collect(), attention: Attention::gather(engine).await? };
    output.document(&listed);
    listed.attention.show_first(output);
    if listed.leases.is_empty() {
        output.line("No lease is open.");
    }
    show(&listed.leases, output);
    listed.attention.show(output);
    Ok(())
}

/// The passkeys and OATH tokens that this machine keeps.
async fn credentials(engine: &Engine, output: Output) -> Result<(), ErrorBody> {
    let credentials = engine.credentials().await?;
    output.document(&json!({ "credentials": credentials }));
    if credentials.is_empty() {
        output.line("This machine keeps no passkeys and no OATH tokens.");
        return Ok(());
    }
    let mut rows = vec![["NAME", "KIND", "TENANT", "ACCOUNT", "FOR", "MADE", "STATE"].map(str::to_owned).to_vec()];
    for credential in &credentials {
        let state = match (credential.registered, credential.held) {
            (true, true) => "ready",
            (false, true) => "not registered",
            (_, false) => "key is lost",
        };
        rows.push(vec![
            credential.display_name.clone(),
            if credential.kind == CredentialKind::Passkey { "passkey" } else { "OATH token" }.to_owned(),
            credential.tenant_name.clone(),
            credential.user_name.clone(),
            credential.relying_party.clone().unwrap_or_else(|| "-".to_owned()),
            moment(credential.made_at),
            state.to_owned(),
        ]);
    }
    for line in table(&rows) {
        output.line(line);
    }
    Ok(())
}

/// What `latchkey list --json` prints.
#[derive(serde::Serialize)]
struct Listed {
    leases: Vec<ListedLease>,
    #[serde(flatten)]
    attention: Attention,
}

/// A lease, and the groups that it makes its account a member of.
#[derive(serde::Serialize)]
struct ListedLease {
    #[serde(flatten)]
    lease: LeaseSummary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
}

impl ListedLease {
    /// What it gives, as one line.
    fn gives(&self) -> String {
        let groups = self.groups.iter().map(|group| format!("group {group}"));
        self.lease.roles.iter().cloned().chain(groups).collect::<Vec<_>>().join(", ")
    }
}

fn show(leases: &[ListedLease], output: Output) {
    if leases.is_empty() {
        return;
    }
    let mut rows =
        vec![["LEASE", "TENANT", "ACCOUNT", "PROFILE", "STATE", "TIME", "GIVES"].map(str::to_owned).to_vec()];
    for listed in leases {
        let lease = &listed.lease;
        rows.push(vec![
            lease.lease_id.to_string().chars().take(13).collect(),
            lease.tenant_name.clone(),
            lease.user_name.clone(),
            lease.profile.clone().unwrap_or_else(|| "-".to_owned()),
            state_of(lease),
            when(lease),
            listed.gives(),
        ]);
    }
    let lines = table(&rows);
    output.line(&lines[0]);
    for (line, listed) in lines[1..].iter().zip(leases) {
        output.line(line);
        if let Some(problem) = &listed.lease.problem {
            output.problem(Mark::Bad, problem);
        }
    }
}

/// A state in words, louder when the access could not be taken back yet.
fn state_of(lease: &LeaseSummary) -> String {
    match lease.state {
        LeaseState::Ending if lease.problem.is_some() => "ENDING FAILS".to_owned(),
        state => state_name(state).to_owned(),
    }
}

/// Lets one open lease last longer.
/// Shows the one-time code that goes with the password of a lease.
pub(super) async fn code(engine: &Engine, code: &Code, output: Output) -> Result<(), ErrorBody> {
    let lease = one_of_open(engine, code.what.as_deref()).await?;
    let code = engine.reveal_code(lease.lease_id, &CALLER).await?;
    output.document(&json!({ "lease_id": code.lease_id, "user_name": code.user_name, "code": code.value }));
    output.line(format_args!("{} (for half a minute, for {})", code.value, code.user_name));
    Ok(())
}

/// The open lease that is meant.
async fn one_of_open(engine: &Engine, what: Option<&str>) -> Result<LeaseSummary, ErrorBody> {
    let open = engine.leases(false).await?;
    let chosen = match what {
        None => only(open, "Say which one: a tenant, or a lease from 'latchkey list'.")?,
        Some(said) => only(meant(engine, open, said).await?, "Say which one: a lease from 'latchkey list'.")?,
    };
    chosen
        .into_iter()
        .next()
        .ok_or_else(|| ErrorBody::new(ErrorCode::LeaseUnknown, "No lease is open.", "Start one with 'latchkey start'."))
}

pub(super) async fn extend(engine: &Engine, extend: &Extend, output: Output) -> Result<(), ErrorBody> {
    crate::directory::to_give(&machine::settings()?, Prompting::Allowed).await?;
    let lease = one_of_open(engine, extend.what.as_deref()).await?;
    let lease = engine.extend_lease(lease.lease_id, extend.minutes, extend.reason.as_deref(), &CALLER).await?;
    output.document(&json!({"lease": lease}));
    output.marked(
        Mark::Good,
        format_args!("{} stays active in {} until {}", lease.user_name, lease.tenant_name, moment(lease.until)),
    );
    if let Some(ends) = lease.credential_until {
        output.marked(
            Mark::Warning,
            format_args!(
                "The Temporary Access Pass still ends at {}: whoever signs in after that starts again and gets a new one.",
                moment(ends)
            ),
        );
    }
    Ok(())
}

fn when(lease: &LeaseSummary) -> String {
    let left = lease.until - machine::now();
    match lease.state {
        _ if lease.state.is_closed() => format!("began {}", moment(lease.from)),
        _ if left > 0 => format!("{} left", duration(left)),
        _ => format!("over since {}", moment(lease.until)),
    }
}

/// A state in words.
const fn state_name(state: LeaseState) -> &'static str {
    match state {
        LeaseState::Requested => "requested",
        LeaseState::Activating => "activating",
        LeaseState::Active => "active",
        LeaseState::Usable => "in use",
        LeaseState::Ending => "ending",
        LeaseState::Ended => "ended",
        LeaseState::Failed => "failed",
        LeaseState::Stuck => "STUCK",
        LeaseState::ExternallyModified => "changed by somebody else",
    }
}

pub(super) async fn end(engine: &Engine, end: &End, output: Output) -> Result<ExitCode, ErrorBody> {
    if end.all {
        return end_all(engine, output).await;
    }
    let open = engine.leases(false).await?;
    let chosen = match &end.what {
        None => only(open, "Say which one (a tenant or a lease from 'latchkey list'), or --all.")?,
        Some(said) => meant(engine, open, said).await?,
    };
    let spinner = output.progress("ending");
    let on_progress = follow(&spinner);
    // Each account on its own: one that is slow or fails must not keep the others active.
    let work = chosen.iter().map(|lease| engine.end_lease(lease.lease_id, &CALLER, &on_progress));
    let results = all(work).await;
    drop(on_progress);
    drop(spinner);

    let mut ended = Vec::new();
    let mut failed: Vec<ErrorBody> = Vec::new();
    for (lease, result) in chosen.iter().zip(results) {
        match result {
            Ok(lease) => ended.push(lease),
            Err(error) => {
                let mut error = error.to_body();
                error.tenant.get_or_insert_with(|| lease.tenant_name.clone());
                failed.push(error);
            }
        }
    }
    Ok(report_ends(&ended, &failed, output))
}

/// Every open lease, in all tenants side by side.
pub(super) async fn end_all(engine: &Engine, output: Output) -> Result<ExitCode, ErrorBody> {
    let spinner = output.progress("ending");
    let on_ended = |done: usize, all: usize| spinner.say(format!("ending: {done} of {all} done"));
    let report = engine.end_all(&CALLER, &on_ended).await?;
    drop(spinner);
    Ok(report_ends(&report.ended, &report.failed, output))
}

fn report_ends(ended: &[LeaseSummary], failed: &[ErrorBody], output: Output) -> ExitCode {
    output.document(&json!({"ended": ended, "failed": failed}));
    for lease in ended {
        output.marked(
            Mark::Good,
            format_args!("{} in {}: {}", lease.user_name, lease.tenant_name, state_name(lease.state)),
        );
    }
    if ended.is_empty() && failed.is_empty() {
        output.line("No lease is open.");
    }
    match failed.first() {
        None => ExitCode::SUCCESS,
        Some(first) => {
            failed.iter().for_each(|error| output.error(error));
            output.note(format_args!(
                "{} of {} could not be verified; each is tried again until it is, see 'latchkey list'.",
                failed.len(),
                ended.len() + failed.len()
            ));
            ExitCode::from(failure::exit_code(first))
        }
    }
}

/// Drives all futures together and keeps their order.
async fn all<T>(work: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    use std::pin::Pin;
    use std::task::Poll;

    let mut open: Vec<Pin<Box<_>>> = work.map(Box::pin).collect();
    let mut results: Vec<Option<T>> = open.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        let mut waiting = false;
        for (future, result) in open.iter_mut().zip(&mut results) {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *result = Some(value),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(results.iter_mut().filter_map(Option::take).collect()) }
    })
    .await
}

/// The one lease there is; `hint` says what to do when there are several.
fn only(open: Vec<LeaseSummary>, hint: &str) -> Result<Vec<LeaseSummary>, ErrorBody> {
    if open.len() > 1 {
        return Err(failure::usage(format!("{} leases are open.", open.len()), hint));
    }
    Ok(open)
}

async fn meant(engine: &Engine, open: Vec<LeaseSummary>, said: &str) -> Result<Vec<LeaseSummary>, ErrorBody> {
    let said_lower = said.to_lowercase();
    let by_lease: Vec<_> = open
        .iter()
        .filter(|lease| said.len() >= 4 && lease.lease_id.to_string().starts_with(&said_lower))
        .cloned()
        .collect();
    if by_lease.len() == 1 {
        return Ok(by_lease);
    }
    let tenant = match tenant_among(&engine.tenants().await?, said) {
        Ok(tenant) => tenant.clone(),
        Err(unknown) => {
            // The whole id of a lease that is over already: say that instead of "no such tenant".
            let Ok(id) = said.parse::<uuid::Uuid>() else { return Err(unknown) };
            let closed = engine.leases(true).await?.into_iter().find(|lease| lease.lease_id == id);
            return closed.map(|lease| vec![lease]).ok_or_else(|| {
                ErrorBody::new(ErrorCode::LeaseUnknown, format!("There is no lease {said}."), "See 'latchkey list'.")
            });
        }
    };
    Ok(open.into_iter().filter(|lease| lease.tenant_id == tenant.tenant_id).collect())
}

/// An error while leases are open, for what would take away that which ends them.
pub(super) async fn refuse_while_open() -> Result<(), ErrorBody> {
    if !Folders::of_this_person()?.database().exists() {
        return Ok(());
    }
    let (engine, _) = machine::open_engine_to_end(Prompting::Never).await?;
    let open = engine.leases(false).await?;
    if open.is_empty() {
        return Ok(());
    }
    Err(ErrorBody::new(
        ErrorCode::Busy,
        format!("{} leases are open, and nothing would end them.", open.len()),
        "End them first with 'latchkey end --all', or say --force.",
    ))
}

pub(super) async fn sweep(output: Output) -> Result<ExitCode, ErrorBody> {
    let (engine, mistake) = machine::open_engine_to_end(Prompting::Never).await?;
    if let Some(mistake) = mistake {
        output.note(format_args!("note: the configuration has errors. {} {}", mistake.message, mistake.next_step));
    }
    // What is due first: whatever the directory says must not keep it waiting.
    let mut report = engine.sweep().await?;
    if let Some(refusal) = crate::directory::end_if_refused(&engine, &machine::settings_in_any_case()?).await {
        report.problems.push(refusal);
    }
    note_sweep();
    if let Err(error) = crate::tenant_list::update(&engine).await {
        tracing::warn!(code = error.name, "the list of tenants could not be brought up to date: {}", error.message);
    }
    crate::webhook::deliver(&engine, Prompting::Never, DELIVERING_AT_SWEEP).await;
    output.document(&report);
    for (mark, leases) in [(Mark::Good, &report.ended), (Mark::Bad, &report.failing), (Mark::Warning, &report.changed)]
    {
        for lease in leases {
            output.marked(
                mark,
                format_args!("{} in {}: {}", lease.user_name, lease.tenant_name, state_name(lease.state)),
            );
            if let Some(problem) = &lease.problem {
                output.problem(Mark::Plain, problem);
            }
        }
    }
    for user_name in &report.repaired {
        output.marked(Mark::Warning, format_args!("{user_name}: was active without a lease, is dormant again"));
    }
    for user_name in &report.rotations.rotated {
        output.marked(Mark::Good, format_args!("{user_name}: password replaced and read back"));
    }
    for problem in report.problems.iter().chain(&report.rotations.problems) {
        output.problem(Mark::Bad, problem);
    }
    if report.ended.is_empty() && report.failing.is_empty() && report.repaired.is_empty() {
        output.line("Nothing was due.");
    }
    // A schedule that shows failures shows this one; the lease stays due and is tried again.
    Ok(if report.failing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Leaves the time of this sweep where `doctor` looks for it.
fn note_sweep() {
    let noted = Folders::of_this_person().map(|folders| {
        crate::settings::create_private_folder(&folders.state)
            .and_then(|()| std::fs::write(folders.last_sweep(), machine::now().to_string()))
    });
    if let Ok(Err(error)) = noted {
        tracing::warn!(%error, "the time of the sweep could not be noted");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_failing_end_is_loud() {
        let lease = |state: &str, problem: serde_json::Value| -> LeaseSummary {
            serde_json::from_value(json!({
                "lease_id": "11111111-1111-4111-8111-111111111111", "tenant_id": "11111111-1111-4111-8111-111111111111",
                "tenant_name": "Contoso", "user_name": "jit-alex@x", "roles": [], "state": state, "from": 0, "until": 0,
                "problem": problem,
            }))
            .unwrap()
        };
        let problem = serde_json::to_value(ErrorBody::new(ErrorCode::EndingUnverified, "It is not.", "Look.")).unwrap();
        assert_eq!(state_of(&lease("ending", problem)), "ENDING FAILS");
        assert_eq!(state_of(&lease("ending", serde_json::Value::Null)), "ending");
        assert_eq!(state_of(&lease("stuck", serde_json::Value::Null)), "STUCK");
    }

    #[test]
    fn names_are_one_word_for_a_shell() {
        assert_eq!(quoted("Contoso"), "Contoso");
        assert_eq!(quoted("Alex & Co"), "'Alex & Co'");
        assert_eq!(quoted("O'Neil"), r"'O'\''Neil'");
    }
}
