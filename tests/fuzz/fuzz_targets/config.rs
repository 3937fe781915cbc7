//! What the content script takes from `$Config` and the page's own words, on a page that is otherwise ready to be filled
//! after the click: no text of the page makes the brain fill a page that belongs to somebody else or that says an error
//! which must not be answered.
#![no_main]

use latchkey_protocol::CredentialKind;
use latchkey_wasm::brain::Effect;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports)]
#[path = "../../../wasm/tests/support/mod.rs"]
mod support;

use support::{SECRET, UPN, World, deeds, password, tenant, with_identity};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines().map(ToOwned::to_owned);
    let mut page = password();
    page.error_code = lines.next();
    page.post_url = lines.next();
    let identity = lines.next().unwrap_or_else(|| UPN.to_owned());
    page.page_id = lines.next().or(page.page_id);
    page.views.extend(lines.take(8));
    let refused = matches!(page.error_code.as_deref(), Some("50126" | "50053" | "50055"));
    let foreign = !identity.is_empty() && !identity.trim().eq_ignore_ascii_case(UPN);
    let page = with_identity(page, &identity);

    let mut world = World::new();
    world.see("document", page);
    world.open_popup(&[tenant(CredentialKind::Password)]);
    let mut effects = world.click();
    effects.extend(world.grant(CredentialKind::Password));
    let deeds = deeds(&effects);
    let asks = deeds.iter().any(|deed| deed.starts_with("ask") || deed.starts_with("fill password"));
    assert!(!(asks && (refused || foreign)), "{deeds:?} for {text:?}");
    let told = serde_json::to_string(&effects.iter().filter(|effect| !matches!(effect, Effect::Fill { .. })).collect::<Vec<_>>());
    assert!(!told.expect("effects can be written").contains(SECRET));
});
