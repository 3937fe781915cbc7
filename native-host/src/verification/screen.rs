//! The screen's lock, as logind and the desktop's screen saver tell of it.
//!
//! Whichever speaks first counts. Nothing is asked: a lock that nobody tells of (a desktop without either) is not seen,
//! and then what is remembered ends with its time. Both threads end with the process.
//!
//! Facts: systemd, `org.freedesktop.login1.Session`: signal `Lock`, property `LockedHint`; freedesktop.org and GNOME,
//! `ScreenSaver`: signal `ActiveChanged`.

use latchkey_engine::Engine;
use zbus::{
    MatchRule, Message,
    blocking::{Connection, MessageIterator},
    message,
    zvariant::Value,
};

const SESSION: &str = "org.freedesktop.login1.Session";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const SCREEN_SAVERS: [&str; 2] = ["org.freedesktop.ScreenSaver", "org.gnome.ScreenSaver"];

pub(super) fn watch(engine: &Engine) {
    for on_bus in [logind, screen_savers] {
        let engine = engine.clone();
        std::thread::spawn(move || {
            if let Err(error) = on_bus(&engine) {
                tracing::info!(%error, "the screen's lock is not told of on one bus");
            }
        });
    }
}

fn logind(engine: &Engine) -> zbus::Result<()> {
    let bus = Connection::system()?;
    let rule = MatchRule::builder().msg_type(message::Type::Signal).sender("org.freedesktop.login1")?.build();
    listen(&bus, rule, engine)
}

fn screen_savers(engine: &Engine) -> zbus::Result<()> {
    let bus = Connection::session()?;
    let rule = MatchRule::builder().msg_type(message::Type::Signal).member("ActiveChanged")?.build();
    listen(&bus, rule, engine)
}

fn listen(bus: &Connection, rule: MatchRule<'_>, engine: &Engine) -> zbus::Result<()> {
    for signal in MessageIterator::for_match_rule(rule, bus, None)? {
        if is_lock(&signal?) {
            tracing::info!("the screen was locked");
            engine.forget_person();
        }
    }
    Ok(())
}

/// Whether a signal says that the screen is locked now.
fn is_lock(signal: &Message) -> bool {
    let header = signal.header();
    let (Some(interface), Some(member)) = (header.interface(), header.member()) else { return false };
    match (interface.as_str(), member.as_str()) {
        (SESSION, "Lock") => true,
        (PROPERTIES, "PropertiesChanged") => {
            let body = signal.body();
            let changed = body.deserialize::<(String, std::collections::HashMap<String, Value<'_>>, Vec<String>)>();
            changed.is_ok_and(|(of, values, _)| of == SESSION && values.get("LockedHint") == Some(&Value::Bool(true)))
        }
        (saver, "ActiveChanged") if SCREEN_SAVERS.contains(&saver) => {
            signal.body().deserialize::<bool>().unwrap_or(false)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashMap;

    use super::*;

    fn signal<B: serde::Serialize + zbus::zvariant::DynamicType>(interface: &str, member: &str, body: &B) -> Message {
        Message::signal("/a", interface, member).unwrap().build(body).unwrap()
    }

    fn changed(of: &str, name: &str, value: bool) -> Message {
        let values = HashMap::from([(name, Value::Bool(value))]);
        signal(PROPERTIES, "PropertiesChanged", &(of, values, Vec::<String>::new()))
    }

    #[test]
    fn a_lock_is_told_from_everything_else() {
        assert!(is_lock(&signal(SESSION, "Lock", &())));
        assert!(is_lock(&changed(SESSION, "LockedHint", true)));
        for saver in SCREEN_SAVERS {
            assert!(is_lock(&signal(saver, "ActiveChanged", &(true))));
            assert!(!is_lock(&signal(saver, "ActiveChanged", &(false))));
        }
        assert!(!is_lock(&signal(SESSION, "Unlock", &())));
        assert!(!is_lock(&changed(SESSION, "LockedHint", false)));
        assert!(!is_lock(&changed(SESSION, "IdleHint", true)));
        assert!(!is_lock(&changed("org.freedesktop.login1.User", "LockedHint", true)));
        assert!(!is_lock(&signal("org.example.Door", "ActiveChanged", &(true))));
    }
}
