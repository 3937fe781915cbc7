//! The technician's access token for Microsoft Graph, kept from one process to the next.
//!
//! Every sweep asks Graph about her, and each is a process of its own. A program that redeems its refresh token every
//! minute looks to Entra like one that runs in circles, and is refused (AADSTS50196). So the access token is kept until
//! shortly before its end: in the key store, like the refresh token, and nowhere else. Without it nothing is lost but
//! one request. Facts: Microsoft identity platform, access token lifetime, AADSTS error reference.

use latchkey_engine::SecretStore as _;
use latchkey_protocol::ErrorBody;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Answer, blocking};
use crate::configuration::DirectorySettings;
use crate::key_store::{KeyStore, Prompting};
use crate::machine;
use crate::sign_in::SignedIn;

/// Under which id the key store keeps the first piece: the words `latchkey a-token`. The others have the ids after it.
const KEY_STORE_ID: u128 = u128::from_be_bytes(*b"latchkey a-token");
/// An entry of the Windows Credential Manager holds 2560 bytes, and a token may be longer.
const PIECE: usize = 2_000;
/// More than any token needs.
const MOST_PIECES: u128 = 16;
/// So long before its end a token is not used any more, in milliseconds: it must last for what it is asked for.
const MARGIN: i64 = 5 * 60_000;

/// What Graph says that changes when tokens given before may not be good any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Marks {
    pub(super) sessions: Option<String>,
    pub(super) password: Option<String>,
}

/// A token that can be used now.
pub(super) struct Access {
    pub(super) token: SecretString,
    /// As they were when the token was given.
    pub(super) marks: Marks,
}

/// As it stands in the key store.
#[derive(Deserialize, Serialize)]
struct Kept<'a> {
    client_id: Uuid,
    user_id: Uuid,
    /// Unix time in milliseconds.
    from: i64,
    until: i64,
    marks: Marks,
    token: std::borrow::Cow<'a, str>,
}

/// The token of the technician of whom the directory spoke last, if it is good for a while.
pub(super) async fn kept(directory: &DirectorySettings, of: &Answer, prompting: Prompting) -> Option<Access> {
    let text = blocking(move || read(&KeyStore::new(prompting))).await.ok()??;
    let kept: Kept<'_> = serde_json::from_str(&text).ok()?;
    let hers = kept.client_id == directory.client_id && kept.user_id == of.user_id;
    (hers && is_good(kept.from, kept.until, machine::now()))
        .then(|| Access { token: SecretString::from(&*kept.token), marks: kept.marks })
}

/// Keeps the token that she was just given.
pub(super) async fn keep(directory: &DirectorySettings, signed_in: &SignedIn, marks: Marks, prompting: Prompting) {
    let now = machine::now();
    let lifetime = i64::try_from(signed_in.access_for.as_millis()).unwrap_or_default();
    let kept = Kept {
        client_id: directory.client_id,
        user_id: signed_in.user_id,
        from: now,
        until: now.saturating_add(lifetime),
        marks,
        token: signed_in.access_token.expose_secret().into(),
    };
    let Ok(text) = serde_json::to_string(&kept).map(Zeroizing::new) else { return };
    if let Err(error) = blocking(move || write(&KeyStore::new(prompting), &text)).await {
        tracing::warn!("the access token cannot be kept: {}", error.message);
    }
}

/// Forgets it.
pub(super) async fn forget() -> Result<(), ErrorBody> {
    blocking(|| {
        let store = KeyStore::new(Prompting::Allowed);
        (0..MOST_PIECES).try_for_each(|piece| store.delete(id(piece)))
    })
    .await
}

/// Whether a token can be used at `now`. One from the future was written under another clock.
const fn is_good(from: i64, until: i64, now: i64) -> bool {
    from <= now && now < until.saturating_sub(MARGIN)
}

fn id(piece: u128) -> Uuid {
    Uuid::from_u128(KEY_STORE_ID + piece)
}

type Read<T> = Result<T, latchkey_engine::SecretStoreError>;

/// What was written last; the piece that is shorter than the others ends it.
fn read(store: &KeyStore) -> Read<Option<Zeroizing<String>>> {
    let mut text = Zeroizing::new(String::new());
    for piece in 0..MOST_PIECES {
        let Some(found) = store.get(id(piece))? else { return Ok(None) };
        text.push_str(found.expose_secret());
        if found.expose_secret().len() < PIECE {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn write(store: &KeyStore, text: &str) -> Read<()> {
    let mut text = Zeroizing::new(text.to_owned());
    if text.len().is_multiple_of(PIECE) {
        // So that the last piece is shorter than the others, and none is empty.
        text.push(' ');
    }
    // Tokens and what stands beside them are ASCII; anything else is not kept.
    if !text.is_ascii() || text.len() > PIECE * MOST_PIECES as usize {
        return Ok(());
    }
    for (number, start) in (0..).zip((0..text.len()).step_by(PIECE)) {
        let piece = &text[start..text.len().min(start + PIECE)];
        store.set(id(number), &SecretString::from(piece))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_until_shortly_before_its_end() {
        let (from, until) = (1_000_000, 1_000_000 + 3_600_000);
        assert!(is_good(from, until, from) && is_good(from, until, until - MARGIN - 1));
        for now in [from - 1, until - MARGIN, until, until + 1] {
            assert!(!is_good(from, until, now), "{now}");
        }
        assert!(!is_good(from, from + 60_000, from), "too short to be kept");
    }
}
