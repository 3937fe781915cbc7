//! What needs somebody beside the leases. Gathered once and then shown, so that a list says the same to people and to
//! programs.

use latchkey_engine::{BreakGlassSummary, Engine, Lockdown};
use latchkey_protocol::{ErrorBody, TenantSummary};
use serde::Serialize;
use uuid::Uuid;

use super::{application, break_glass, lease, lockdown};
use crate::machine;
use crate::output::{Mark, Output};

/// How long before its end an application's credential is worth a line, in milliseconds.
const SOON: i64 = 30 * 86_400_000;

/// What needs somebody.
#[derive(Debug, Serialize)]
pub(super) struct Attention {
    /// Nothing is granted while there is one.
    lockdown: Option<Lockdown>,
    /// Accounts that no lease speaks for, and what could not be looked at.
    problems: Vec<ErrorBody>,
    /// Credentials of applications that end soon, the first to end first.
    credentials: Vec<EndingCredential>,
    /// Break-glass accounts whose password cannot be replaced.
    break_glass: Vec<BreakGlassSummary>,
}

/// A client secret or certificate that is to be replaced.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct EndingCredential {
    tenant_id: Uuid,
    tenant: String,
    /// Unix time in milliseconds.
    ends: i64,
    /// Whether that is over.
    pub(super) over: bool,
    pub(super) next_step: String,
}

impl Attention {
    pub(super) async fn gather(engine: &Engine) -> Result<Self, ErrorBody> {
        let mut problems = engine.account_problems().await?;
        // A list of leases must not fail for a mistake about something else.
        let break_glass = break_glass::failing(engine).await.unwrap_or_else(|error| {
            problems.push(error);
            Vec::new()
        });
        let credentials = credentials_that_end(&engine.tenants().await?, machine::now());
        Ok(Self { lockdown: engine.lockdown().await?, problems, credentials, break_glass })
    }

    /// What stands above everything else.
    pub(super) fn show_first(&self, output: Output) {
        if let Some(in_force) = &self.lockdown {
            lockdown::show(in_force, output);
        }
    }

    /// The rest.
    pub(super) fn show(&self, output: Output) {
        for problem in &self.problems {
            output.problem(Mark::Bad, problem);
        }
        for credential in &self.credentials {
            let mark = if credential.over { Mark::Bad } else { Mark::Warning };
            output.marked(mark, format_args!("{} {}", credential.found(), credential.next_step));
        }
        break_glass::show_failing(&self.break_glass, output);
    }
}

impl EndingCredential {
    /// One sentence.
    pub(super) fn found(&self) -> String {
        format!("{}: the application's credential ends on {}.", self.tenant, application::end_words(self.ends))
    }
}

/// What is to be replaced soon, the first to end first.
pub(super) fn credentials_that_end(tenants: &[TenantSummary], now: i64) -> Vec<EndingCredential> {
    let ending = |tenant: &TenantSummary| {
        let ends = tenant.credential_expires.filter(|ends| ends.saturating_sub(now) <= SOON)?;
        Some(EndingCredential {
            tenant_id: tenant.tenant_id,
            tenant: tenant.name.clone(),
            ends,
            over: ends <= now,
            next_step: format!("Replace it with: latchkey tenant credential rotate {}", lease::quoted(&tenant.name)),
        })
    };
    let mut found: Vec<_> = tenants.iter().filter_map(ending).collect();
    found.sort_by_key(|credential| credential.ends);
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_to_be_replaced_soon_is_listed_the_first_to_end_first() {
        let day = 86_400_000;
        let tenant = |name: &str, expires: Option<i64>| -> TenantSummary {
            serde_json::from_value(json!({
                "tenant_id": "11111111-1111-4111-8111-111111111111", "name": name, "domains": [], "cloud": "global",
                "user_name": "jit-alex@x", "roles": [], "minutes": 240, "maximum_minutes": 480,
                "credential": {"kind": "password"}, "credential_expires": expires,
            }))
            .unwrap()
        };
        let tenants = [
            tenant("Later", Some(30 * day + 1)),
            tenant("Soon Ltd", Some(30 * day)),
            tenant("Over", Some(-day)),
            tenant("Unknown", None),
        ];
        let found = credentials_that_end(&tenants, 0);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].over && found[0].found().starts_with("Over: the application's credential ends on "));
        assert!(found[0].next_step.ends_with("rotate Over"), "{found:?}");
        assert!(!found[1].over && found[1].next_step.ends_with("rotate 'Soon Ltd'"), "{found:?}");
    }
}
