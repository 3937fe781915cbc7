//! polkit, which asks the person for the password (or the finger) of her or his own account.
//!
//! It counts only when polkit really asked: where a rule of the machine says yes without asking, nobody was verified,
//! and the PIN is used. Without polkit, without our action (docs/passkeys.md says how it gets there) or without
//! somebody's agent to ask through, the same. What an answer means is in `answer`; what is being asked for cannot be
//! shown, because polkit takes words for its window from administrators alone.
//!
//! Facts: polkit reference, `org.freedesktop.PolicyKit1.Authority`, `CheckAuthorization`.

use std::{collections::HashMap, time::Duration};

use serde::Serialize;
use zbus::{
    Connection,
    zvariant::{DynamicType, Value},
};

use super::answer::{self, Answer, Lack, Occasion, Refusal};

/// What the audit log says of it.
pub(super) const NAME: &str = "polkit";

/// Our action.
const ACTION: &str = "com.latchkey.verify";
/// Nobody is asked.
const QUIETLY: u32 = 0;
/// The person may be asked.
const ASKING: u32 = 1;
/// By which a question is taken back; names are each connection's own.
const QUESTION: &str = "verify";
/// What polkit adds when the person closed its window.
const DISMISSED: &str = "polkit.dismissed";
/// To say whether it can ask takes polkit no person, and no longer than this.
const LOOK_TAKES: Duration = Duration::from_secs(10);

/// Whether it is so, and whether asking would help.
type Authorization = (bool, bool, HashMap<String, String>);

/// By what the person would be verified.
pub(super) async fn available() -> Result<&'static str, Lack> {
    connected().await.map(|_| "polkit, by the password or the finger of your account")
}

/// Has the person verified, if she or he answers before the deadline.
pub(super) async fn ask(_: &Occasion, deadline: Duration) -> Answer {
    let bus = match connected().await {
        Ok(bus) => bus,
        Err(lack) => return Answer::Unavailable(lack),
    };
    match tokio::time::timeout(deadline, check(&bus, ASKING)).await {
        Ok(Ok((authorized, would_ask, details))) => {
            answer::of_polkit(authorized, would_ask, details.contains_key(DISMISSED))
        }
        Ok(Err(error)) => Answer::Unavailable(lack(&error)),
        Err(_) => {
            if let Err(error) = call(&bus, "CancelCheckAuthorization", &QUESTION).await {
                tracing::info!(%error, "polkit's window could not be closed");
            }
            Answer::Refused(Refusal::TimedOut)
        }
    }
}

/// The bus on which polkit is ready to ask.
async fn connected() -> Result<Connection, Lack> {
    let look = async {
        let bus = Connection::system().await?;
        let (authorized, would_ask, _) = check(&bus, QUIETLY).await?;
        Ok((bus, answer::lack_of_polkit(authorized, would_ask)))
    };
    match tokio::time::timeout(LOOK_TAKES, look).await {
        Ok(Ok((bus, None))) => Ok(bus),
        Ok(Ok((_, Some(lack)))) => Err(lack),
        Ok(Err(error)) => Err(lack(&error)),
        Err(_) => Err(Lack::Busy),
    }
}

async fn check(bus: &Connection, flags: u32) -> zbus::Result<Authorization> {
    let name = bus.unique_name().map(ToString::to_string).unwrap_or_default();
    let subject = ("system-bus-name", HashMap::from([("name", Value::from(name.as_str()))]));
    let details: HashMap<&str, &str> = HashMap::new();
    let answer = call(bus, "CheckAuthorization", &(subject, ACTION, details, flags, QUESTION)).await?;
    let (authorization,): (Authorization,) = answer.body().deserialize()?;
    Ok(authorization)
}

async fn call(bus: &Connection, method: &str, body: &(impl Serialize + DynamicType)) -> zbus::Result<zbus::Message> {
    const AUTHORITY: &str = "org.freedesktop.PolicyKit1.Authority";
    bus.call_method(
        Some("org.freedesktop.PolicyKit1"),
        "/org/freedesktop/PolicyKit1/Authority",
        Some(AUTHORITY),
        method,
        body,
    )
    .await
}

fn lack(error: &zbus::Error) -> Lack {
    tracing::info!(%error, "polkit cannot be asked");
    Lack::Other("polkit is not there, or does not know Latchkey (docs/passkeys.md)".to_owned())
}
