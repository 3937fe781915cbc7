//! polkit, which asks the person for the password (or the finger) of her or his own account.
//!
//! It counts only when polkit really asked: where a rule of the machine says yes without asking, nobody was verified,
//! and the PIN is used. Without polkit, without our action (docs/passkeys.md says how it gets there) or without
//! somebody's agent to ask through, the same.
//!
//! Facts: polkit reference, `org.freedesktop.PolicyKit1.Authority`, `CheckAuthorization`.

use std::collections::HashMap;

use zbus::zvariant::Value;

/// Our action.
const ACTION: &str = "com.latchkey.verify";
/// Nobody is asked.
const QUIETLY: u32 = 0;
/// The person may be asked.
const ASKING: u32 = 1;

/// Whether it is so, and whether asking would help.
type Answer = (bool, bool, HashMap<String, String>);

/// Whether polkit verified the person, just now.
pub(super) async fn verify() -> bool {
    ask().await.unwrap_or_else(|error| {
        tracing::info!(%error, "polkit verifies nobody here");
        false
    })
}

async fn ask() -> zbus::Result<bool> {
    let bus = zbus::Connection::system().await?;
    let name = bus.unique_name().map(ToString::to_string).unwrap_or_default();
    let check = async |flags: u32| -> zbus::Result<Answer> {
        let subject = ("system-bus-name", HashMap::from([("name", Value::from(name.as_str()))]));
        let details: HashMap<&str, &str> = HashMap::new();
        let answer = bus
            .call_method(
                Some("org.freedesktop.PolicyKit1"),
                "/org/freedesktop/PolicyKit1/Authority",
                Some("org.freedesktop.PolicyKit1.Authority"),
                "CheckAuthorization",
                &(subject, ACTION, details, flags, ""),
            )
            .await?;
        let (answer,): (Answer,) = answer.body().deserialize()?;
        Ok(answer)
    };
    let (authorized, would_ask, _) = check(QUIETLY).await?;
    if authorized || !would_ask {
        return Ok(false);
    }
    let (authorized, ..) = check(ASKING).await?;
    Ok(authorized)
}
