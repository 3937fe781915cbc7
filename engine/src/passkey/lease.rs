//! Passkeys that are made for one lease and deleted at its end, where the configuration wants no standing key.
//!
//! What that costs is paid on the click: somebody has to be verified first, and then Microsoft takes half a minute to
//! know the new passkey everywhere. Whatever is in the way of it, the next credential in line is used. At the end the key
//! is destroyed at once; the rows stay until Microsoft has deleted its half, and every look at the account tries again.

use std::time::Duration;

use latchkey_protocol::{Step, StepState};

use super::{Obstacle, PROPAGATION};
use crate::{
    EngineError, PasskeyLife,
    clock::milliseconds,
    drive::{Drive, Goal},
    engine::Shared,
    graph::Capabilities,
    person::{self, Question},
    sealed,
    store::TenantRow,
};

/// For so long the person may type a PIN, or answer the operating system.
const PERSON_TAKES: Duration = Duration::from_secs(60);
/// The same where there is no PIN and the operating system is not seen to ask.
const SYSTEM_TAKES: Duration = Duration::from_secs(20);
/// The operating system may have been answered so long before the activation gets here. Each click asks it anew, so an
/// answer to an earlier one is taken for this one's only if nobody has asked since.
const BEFORE: Duration = Duration::from_secs(30);
/// How often it is looked whether she or he has.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Whether the tenant's passkeys are made for one lease only.
pub(super) fn is_per_lease(shared: &Shared, tenant: &TenantRow) -> bool {
    shared.policy().rules(tenant.identity()).passkeys == Some(PasskeyLife::PerLease)
}

/// What is in the way of signing in with a passkey; where each lease has its own, one is made. The account is on loan.
///
/// # Errors
/// When the loan is lost, or the database or the key store cannot be used.
pub(crate) async fn for_lease(
    drive: &mut Drive<'_>,
    capabilities: &Capabilities,
) -> Result<Option<Obstacle>, EngineError> {
    let shared = drive.shared;
    let found = shared.passkey_obstacle(&drive.tenant, capabilities, &drive.account).await?;
    if found != Some(Obstacle::NotMade) || !is_per_lease(shared, &drive.tenant) {
        return Ok(found);
    }
    // The directory may refuse it while the account is an administrator for another lease.
    if has_live_lease(drive).await? {
        return Ok(found);
    }
    if !wait_for_person(drive).await? {
        return Ok(Some(Obstacle::NobodyVerified));
    }
    let made = drive.drive(&mut Goal::Keys { wanted: true }).await;
    drive.listed_passkeys = None;
    if let Err(error) = made {
        tracing::warn!(account = %drive.account.user_name, %error, "no passkey could be made for the lease");
        return Ok(Some(Obstacle::NotMade));
    }
    drive.report(Step::RegisterPasskey, StepState::Started);
    let began = shared.clock.elapsed();
    loop {
        let found = shared.passkey_obstacle(&drive.tenant, capabilities, &drive.account).await?;
        if found != Some(Obstacle::NotArrived) || shared.clock.elapsed() - began > 2 * PROPAGATION {
            drive.report(Step::RegisterPasskey, StepState::Done);
            return Ok(found);
        }
        drive.hold().await?;
        shared.clock.sleep(LOOK_EVERY).await;
    }
}

/// Whether a lease of the account is open.
async fn has_live_lease(drive: &Drive<'_>) -> Result<bool, EngineError> {
    let leases = drive.shared.store.open_leases_of(drive.account.account_id).await?;
    Ok(leases.iter().any(|lease| lease.is_live()))
}

/// The browser asks for the person while the account is activated.
async fn wait_for_person(drive: &mut Drive<'_>) -> Result<bool, EngineError> {
    let shared = drive.shared;
    let has_pin = person::has_pin(shared).await?;
    let began = shared.clock.elapsed();
    while !shared.is_verified() {
        let patience = patience(shared.person.question(), has_pin, began);
        if shared.clock.elapsed() - began >= milliseconds(patience) {
            return Ok(false);
        }
        drive.hold().await?;
        shared.clock.sleep(LOOK_EVERY).await;
    }
    Ok(true)
}

/// How long a click that began to wait at this moment waits for the person.
fn patience(question: Question, has_pin: bool, began: i64) -> Duration {
    match question {
        Question::Refused(at) if began - at <= milliseconds(BEFORE) => Duration::ZERO,
        Question::Open => PERSON_TAKES,
        Question::None | Question::Refused(_) if has_pin => PERSON_TAKES,
        Question::None | Question::Refused(_) => SYSTEM_TAKES,
    }
}

/// Deletes what was made for leases that have ended. The account is on loan and has no lease.
pub(crate) async fn clear(drive: &mut Drive<'_>) {
    let shared = drive.shared;
    if !is_per_lease(shared, &drive.tenant) {
        return;
    }
    let cleared = async {
        let rows = shared.store.passkeys_of(drive.account.account_id).await?;
        if rows.is_empty() || has_live_lease(drive).await? {
            return Ok::<_, EngineError>(());
        }
        // From here on it opens nothing, whatever Microsoft says.
        for row in &rows {
            sealed::discard(&shared.secrets, row.entry()).await?;
        }
        let outcome = drive.drive(&mut Goal::Keys { wanted: false }).await;
        drive.listed_passkeys = None;
        shared.store.save_known(&drive.claim, &drive.account).await?;
        outcome
    };
    if let Err(error) = cleared.await {
        tracing::warn!(account = %drive.account.user_name, %error, "a lease's passkey stays registered, without its key");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_waits_for_whoever_may_still_answer() {
        const BEGAN: i64 = 1_000_000;
        for has_pin in [true, false] {
            assert_eq!(patience(Question::Open, has_pin, BEGAN), PERSON_TAKES);
            // While the activation was on its way, or meanwhile.
            for at in [BEGAN - 2_000, BEGAN, BEGAN + 7_000] {
                assert_eq!(patience(Question::Refused(at), has_pin, BEGAN), Duration::ZERO);
            }
            let earlier = Question::Refused(BEGAN - 3_600_000);
            assert_eq!(patience(earlier, has_pin, BEGAN), patience(Question::None, has_pin, BEGAN));
        }
        assert_eq!(patience(Question::None, true, BEGAN), PERSON_TAKES);
        assert_eq!(patience(Question::None, false, BEGAN), SYSTEM_TAKES);
    }
}
