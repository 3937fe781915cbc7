//! `latchkey break-glass`: permanent emergency administrators, whose passwords the sweep replaces.

use std::process::ExitCode;

use latchkey_engine::{
    Belief, BreakGlassSummary, Engine, Leave, Likelihood, MFA_NOTE, PreparedBreakGlass, RevealedBreakGlass,
};
use latchkey_protocol::{ErrorBody, ErrorCode, TenantSummary};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{CALLER, duration, follow, moment, table, tenant_named};
use crate::cli::{AppRole, BreakGlassCommand, PrepareBreakGlass, Release, Reveal, Rotate};
use crate::output::{Mark, Output};
use crate::{failure, machine};

pub(super) async fn run(engine: &Engine, command: BreakGlassCommand, output: Output) -> Result<ExitCode, ErrorBody> {
    match command {
        BreakGlassCommand::List { tenant } => list(engine, tenant.as_deref(), output).await,
        BreakGlassCommand::Prepare(prepare) => self::prepare(engine, &prepare, output).await,
        BreakGlassCommand::Rotate(rotate) => self::rotate(engine, &rotate, output).await,
        BreakGlassCommand::Reveal(reveal) => self::reveal(engine, &reveal, output).await.map(|()| ExitCode::SUCCESS),
        BreakGlassCommand::Remove(release) => remove(engine, &release, output).await.map(|()| ExitCode::SUCCESS),
        BreakGlassCommand::GrantAppRole(role) => app_role(engine, &role, true, output).await,
        BreakGlassCommand::RevokeAppRole(role) => app_role(engine, &role, false, output).await,
    }
}

async fn list(engine: &Engine, tenant: Option<&str>, output: Output) -> Result<ExitCode, ErrorBody> {
    let mut accounts = engine.break_glass_accounts().await?;
    if let Some(said) = tenant {
        let tenant = tenant_named(engine, said).await?;
        accounts.retain(|account| account.tenant_id == tenant.tenant_id);
    }
    output.document(&accounts);
    if accounts.is_empty() {
        output
            .line("There are no break-glass accounts. Say which there should be under [[break_glass]] in config.toml.");
    }
    let rows: Vec<_> = accounts.iter().map(row).collect();
    for (line, account) in table(&rows).iter().zip(&accounts) {
        output.line(line);
        warn(account, output);
    }
    Ok(ExitCode::SUCCESS)
}

fn row(account: &BreakGlassSummary) -> Vec<String> {
    let rotation = account.next_rotation.map(|at| at - machine::now());
    vec![
        account.tenant_name.clone(),
        account.user_name.clone(),
        state(account).to_owned(),
        account.proven_since.map(|at| format!("since {}", moment(at))).unwrap_or_default(),
        match rotation {
            Some(left) if left > 0 => format!("next in {}", duration(left)),
            Some(_) => "rotation due".to_owned(),
            None => String::new(),
        },
        if account.may_reveal { "you may reveal" } else { "" }.to_owned(),
    ]
}

/// The state of an account in words.
fn state(account: &BreakGlassSummary) -> &'static str {
    match account.password {
        _ if !account.ready && account.password == Belief::None => "not made yet",
        Belief::None => "password not ours yet",
        Belief::Proven if !account.ready => "not finished",
        Belief::Proven if account.problem.is_some() => "ROTATION FAILING",
        Belief::Proven => "password proven",
        Belief::Uncertain => "PASSWORD UNCERTAIN",
        Belief::ChangedElsewhere => "CHANGED BY SOMEBODY ELSE",
    }
}

fn warn(account: &BreakGlassSummary, output: Output) {
    if let Some(problem) = &account.problem {
        output.problem(Mark::Bad, problem);
    }
    if !account.configured {
        output.marked(
            Mark::Warning,
            "It is not in the configuration any more: it is still rotated, and nobody may see its password.",
        );
    } else if account.reveal.is_empty() {
        output.marked(Mark::Warning, "Nobody may see its password: name groups under [[break_glass]] reveal.");
    }
    if account.configured && !account.ready {
        output.marked(Mark::Warning, "Make it with: latchkey break-glass prepare");
    }
}

/// The accounts whose rotation fails.
pub(super) async fn failing(engine: &Engine) -> Result<Vec<BreakGlassSummary>, ErrorBody> {
    let mut accounts = engine.break_glass_accounts().await?;
    accounts.retain(|account| account.problem.is_some());
    Ok(accounts)
}

/// What every list says about rotations that fail.
pub(super) fn show_failing(accounts: &[BreakGlassSummary], output: Output) {
    for account in accounts {
        output.marked(Mark::Bad, format_args!("{}: {}", account.user_name, state(account)));
        warn(account, output);
    }
}

async fn prepare(engine: &Engine, prepare: &PrepareBreakGlass, output: Output) -> Result<ExitCode, ErrorBody> {
    let mut tenants = Vec::new();
    for said in &prepare.tenants {
        tenants.push(tenant_named(engine, said).await?);
    }
    if prepare.tenants.is_empty() {
        tenants = engine.tenants().await?;
    }
    let (mut prepared, mut failed): (Vec<PreparedBreakGlass>, Vec<ErrorBody>) = (Vec::new(), Vec::new());
    for tenant in &tenants {
        let spinner = output.progress(&format!("preparing {}", tenant.name));
        let made =
            engine.prepare_break_glass(tenant.tenant_id, None, prepare.take_over, &CALLER, &follow(&spinner)).await;
        drop(spinner);
        match made {
            Ok(accounts) => {
                accounts.iter().for_each(|account| show_prepared(account, output));
                prepared.extend(accounts);
            }
            Err(error) => failed.push(error.to_body()),
        }
    }
    output.document(&json!({"prepared": prepared, "failed": failed}));
    if prepared.is_empty() && failed.is_empty() {
        output.line("Nothing to prepare: say which accounts there should be under [[break_glass]] in config.toml.");
    } else if !prepared.is_empty() {
        output.line(format_args!("    {MFA_NOTE}"));
    }
    failed.iter().for_each(|error| output.error(error));
    Ok(failed.first().map_or(ExitCode::SUCCESS, |error| ExitCode::from(failure::exit_code(error))))
}

fn show_prepared(account: &PreparedBreakGlass, output: Output) {
    let what = match (account.created, account.taken_over) {
        (true, _) => "created",
        (_, true) => "taken over",
        _ => "checked",
    };
    output.marked(Mark::Good, format_args!("{}: {what}, enabled, with its roles", account.user_name));
    for problem in &account.problems {
        output.problem(Mark::Warning, problem);
    }
    for remark in &account.remarks {
        output.marked(Mark::Warning, remark);
    }
}

async fn rotate(engine: &Engine, rotate: &Rotate, output: Output) -> Result<ExitCode, ErrorBody> {
    let Some(said) = &rotate.tenant else {
        let report = engine.rotate_due().await?;
        output.document(&report);
        for user_name in &report.rotated {
            output.marked(Mark::Good, format_args!("{user_name}: password replaced and read back"));
        }
        report.problems.iter().for_each(|problem| output.problem(Mark::Bad, problem));
        if report.rotated.is_empty() && report.problems.is_empty() {
            output.line("Nothing was due. Name a tenant to rotate its accounts now.");
        }
        return Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    };
    let (tenant, names) = accounts_meant(engine, said, rotate.name.as_deref()).await?;
    let (mut rotated, mut failed): (Vec<BreakGlassSummary>, Vec<ErrorBody>) = (Vec::new(), Vec::new());
    for name in names {
        let spinner = output.progress(&format!("replacing the password of {name}"));
        let outcome = engine.rotate_break_glass(tenant.tenant_id, &name, &CALLER, &follow(&spinner)).await;
        drop(spinner);
        match outcome {
            Ok(account) => {
                output.marked(Mark::Good, format_args!("{}: password replaced and read back", account.user_name));
                rotated.push(account);
            }
            Err(error) => failed.push(error.to_body()),
        }
    }
    output.document(&json!({"rotated": rotated, "failed": failed}));
    failed.iter().for_each(|error| output.error(error));
    Ok(failed.first().map_or(ExitCode::SUCCESS, |error| ExitCode::from(failure::exit_code(error))))
}

async fn reveal(engine: &Engine, reveal: &Reveal, output: Output) -> Result<(), ErrorBody> {
    let (tenant, name) = account_meant(engine, &reveal.tenant, reveal.name.as_deref()).await?;
    let revealed = engine.reveal_break_glass(tenant.tenant_id, &name, &reveal.reason, &CALLER).await?;
    output.document(&document(&revealed));
    show_revealed(&revealed, output);
    output.line(format_args!("    It is replaced by {} because of this.", moment(revealed.rotated_by)));
    output.line(format_args!("    {MFA_NOTE}"));
    Ok(())
}

/// With the passwords: this is what was asked for.
fn document(revealed: &RevealedBreakGlass) -> serde_json::Value {
    let passwords: Vec<_> = revealed
        .passwords
        .iter()
        .map(|one| json!({"value": one.value.expose_secret(), "likelihood": one.likelihood, "since": one.since}))
        .collect();
    json!({
        "tenant": revealed.tenant_name, "user_name": revealed.user_name, "passwords": passwords,
        "warning": revealed.warning, "rotated_by": revealed.rotated_by, "note": MFA_NOTE,
    })
}

fn show_revealed(revealed: &RevealedBreakGlass, output: Output) {
    output.line(format_args!("{} in {}", revealed.user_name, revealed.tenant_name));
    for one in &revealed.passwords {
        let likelihood = match one.likelihood {
            Likelihood::Proven => String::new(),
            Likelihood::Likely => format!("   (likely; sent {})", moment(one.since)),
            Likelihood::Possible => format!("   (possible; sent {})", moment(one.since)),
        };
        output.line(format_args!("    {}{likelihood}", one.value.expose_secret()));
    }
    if let Some(warning) = &revealed.warning {
        output.marked(Mark::Warning, warning);
    }
}

async fn remove(engine: &Engine, release: &Release, output: Output) -> Result<(), ErrorBody> {
    let (tenant, name) = account_meant(engine, &release.tenant, release.name.as_deref()).await?;
    let leave = match (release.delete, release.disable) {
        (true, _) => Leave::Deleted,
        (_, true) => Leave::Disabled,
        _ => Leave::AsItIs,
    };
    let (what, done) = match leave {
        Leave::AsItIs => ("Stop managing", "is no longer managed; it stays enabled, with its roles"),
        Leave::Disabled => ("Take the roles of and disable", "has lost its roles and is disabled"),
        Leave::Deleted => ("Take the roles of and delete", "has lost its roles and is deleted"),
    };
    let hands_over = leave == Leave::AsItIs && !release.forget_password;
    if hands_over && release.reason.is_none() {
        return Err(failure::usage(
            "Its password stays valid and would be known to nobody.",
            "Say --reason '…' to be shown it a last time, --forget-password to do without, or --disable or --delete.",
        ));
    }
    let question = format!("{what} {name} in {}?", tenant.name);
    if !super::confirmed(&question, release.yes, output)? {
        output.line("Nothing was changed.");
        return Ok(());
    }
    let mut result = json!({"tenant": tenant.name, "name": name, "left": leave});
    if let (true, Some(reason)) = (hands_over, &release.reason) {
        // Shown before it is forgotten here: whatever happens in between, somebody has it.
        let revealed = engine.reveal_break_glass(tenant.tenant_id, &name, reason, &CALLER).await?;
        show_revealed(&revealed, output);
        result["revealed"] = document(&revealed);
    }
    let spinner = output.progress("leaving the account");
    let outcome = engine.release_break_glass(tenant.tenant_id, &name, leave, &CALLER, &follow(&spinner)).await;
    drop(spinner);
    if outcome.is_ok() || hands_over {
        output.document(&result);
    }
    outcome?;
    output.marked(Mark::Good, format_args!("{name} in {} {done}", tenant.name));
    Ok(())
}

async fn app_role(engine: &Engine, role: &AppRole, grant: bool, output: Output) -> Result<ExitCode, ErrorBody> {
    let tenant = tenant_named(engine, &role.tenant).await?;
    let question = if grant {
        format!(
            "Give Latchkey's application in {} the directory role Privileged Authentication Administrator? With it the \
             application can reset the password of every administrator there.",
            tenant.name
        )
    } else {
        format!("Take that role from Latchkey's application in {}? Rotations fail without it.", tenant.name)
    };
    if !super::confirmed(&question, role.yes, output)? {
        output.line("Nothing was changed.");
        return Ok(ExitCode::SUCCESS);
    }
    let changed = if grant {
        engine.grant_app_role(tenant.tenant_id, &CALLER).await?
    } else {
        engine.revoke_app_role(tenant.tenant_id, &CALLER).await?
    };
    output.document(&json!({"tenant": tenant.name, "role": "Privileged Authentication Administrator", "holds": grant, "changed": changed}));
    let text = match (grant, changed) {
        (true, true) => "The application holds Privileged Authentication Administrator now.",
        (true, false) => "The application holds Privileged Authentication Administrator already.",
        (false, true) => "The application does not hold Privileged Authentication Administrator any more.",
        (false, false) => "The application does not hold Privileged Authentication Administrator.",
    };
    output.marked(Mark::Good, text);
    Ok(ExitCode::SUCCESS)
}

/// The accounts of a tenant that a person means: the one that is named, or all of them.
async fn accounts_meant(
    engine: &Engine,
    said: &str,
    name: Option<&str>,
) -> Result<(TenantSummary, Vec<String>), ErrorBody> {
    let tenant = tenant_named(engine, said).await?;
    let mut names: Vec<_> = engine
        .break_glass_accounts()
        .await?
        .into_iter()
        .filter(|account| account.tenant_id == tenant.tenant_id)
        .map(|account| account.name)
        .collect();
    if let Some(name) = name {
        names.retain(|known| known.eq_ignore_ascii_case(name.trim()));
    }
    if names.is_empty() {
        let what = name.map(|name| format!(" named \"{name}\"")).unwrap_or_default();
        return Err(ErrorBody::new(
            ErrorCode::ConfigurationInvalid,
            format!("{} has no break-glass account{what}.", tenant.name),
            "See 'latchkey break-glass list'.",
        ));
    }
    Ok((tenant, names))
}

async fn account_meant(engine: &Engine, said: &str, name: Option<&str>) -> Result<(TenantSummary, String), ErrorBody> {
    let (tenant, names) = accounts_meant(engine, said, name).await?;
    match names.as_slice() {
        [name] => Ok((tenant, name.clone())),
        several => Err(failure::usage(
            format!("{} has {} break-glass accounts: {}.", tenant.name, several.len(), several.join(", ")),
            "Say which one.",
        )),
    }
}
