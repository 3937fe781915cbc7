//! The tenant's break-glass accounts: which there are to be, whether the application may replace their passwords, and
//! whether it did.

use crate::{Belief, BreakGlassSummary, Engine, EngineError, Failure, Inspection, store::TenantRow};

use super::{Check, CheckState};

const SUBJECT: &str = "break_glass";
/// What the application must hold to replace the password of an administrator: one of these.
const ENOUGH: [&str; 2] = ["Privileged Authentication Administrator", "Global Administrator"];
const HOUR: i64 = 3_600_000;

/// One line for each account, or one that says that there is none.
pub(super) async fn look(engine: &Engine, tenant: &TenantRow, inspection: &Inspection) -> Vec<Check> {
    let accounts = match engine.break_glass_accounts().await {
        Ok(accounts) => accounts,
        Err(error) => {
            let body = error.to_body();
            return vec![Check::new(SUBJECT, CheckState::Broken, body.message, Some(&body.next_step))];
        }
    };
    let now = engine.shared().now();
    let checks: Vec<_> = accounts
        .iter()
        .filter(|account| account.tenant_id == tenant.tenant_id)
        .map(|account| of(account, inspection, now))
        .collect();
    if checks.is_empty() { vec![Check::good(SUBJECT, "none is configured for this tenant")] } else { checks }
}

/// Whether the application holds what it needs for them, and no more.
pub(super) fn is_enough(held: &[String]) -> bool {
    matches!(held, [one] if one == ENOUGH[0])
}

fn may_rotate(inspection: &Inspection) -> bool {
    inspection.application_roles.iter().any(|held| ENOUGH.contains(&held.as_str()))
}

fn of(account: &BreakGlassSummary, inspection: &Inspection, now: i64) -> Check {
    let name = &account.user_name;
    let failed = |state, failure: Failure| {
        let body = EngineError::from(failure).to_body();
        Check::new(SUBJECT, state, format!("{name}: {}", body.message), Some(&body.next_step))
    };
    if account.configured && !account.ready {
        return failed(CheckState::Broken, Failure::BreakGlassNotReady(name.clone()));
    }
    if account.configured && !account.roles.is_empty() && !may_rotate(inspection) {
        let (user_name, tenant) = (name.clone(), account.tenant_name.clone());
        return failed(CheckState::Broken, Failure::AppRoleMissing { user_name, tenant });
    }
    if let Some(problem) = &account.problem {
        let found = format!("{name}: {}", problem.message);
        return Check::new(SUBJECT, CheckState::Warning, found, Some(&problem.next_step));
    }
    if !account.configured {
        let found = format!("{name} is managed and not in the configuration any more");
        let step = "Name it in config.toml again, or hand it over with `latchkey break-glass remove`.";
        return Check::new(SUBJECT, CheckState::Warning, found, Some(step));
    }
    let overdue = account.next_rotation.map_or(0, |due| now - due);
    if overdue > HOUR {
        let found = format!("{name}: its password should have been replaced {} hours ago", overdue / HOUR);
        let step = "See with `latchkey doctor` whether the sweep runs; `latchkey break-glass rotate` does it now.";
        return Check::new(SUBJECT, CheckState::Warning, found, Some(step));
    }
    match (account.password, account.proven_since) {
        (Belief::Proven, Some(since)) => {
            let next = account.next_rotation.map_or(0, |due| (due - now).max(0)) / HOUR;
            let age = (now - since).max(0) / HOUR;
            Check::good(SUBJECT, format!("{name}: password proven {age} hours ago, replaced in {next} hours"))
        }
        _ => {
            let found = format!("{name}: it is not certain which password is valid");
            let step = "`latchkey break-glass rotate` sets a new one; until then `reveal` shows every one that may be.";
            Check::new(SUBJECT, CheckState::Warning, found, Some(step))
        }
    }
}
