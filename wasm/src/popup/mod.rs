//! The popup: what it shows ([`view`]) and, in the browser, how that becomes elements of the extension's own page.
//!
//! The page's script does no more than this:
//! 1. `const popup = new PopupHandle(document.getElementById('app'))`;
//! 2. `popup.set_preferences(<JSON of the preferences and what is pinned>, <private windows allowed>)`;
//! 3. for the list of tenants that the worker sends: `popup.list(<JSON>)`; for each effect: `popup.receive(<JSON>)`;
//! 4. once a second: `popup.tick(Date.now())`; on `blur` and `pagehide`: `popup.hide_secret()`.
//!
//! It imports from `./shell.js` (module of the extension, next to the generated JavaScript):
//! - `words(key: string, args: string[]) -> string`: `chrome.i18n.getMessage`, empty when there is no such key;
//! - `act(action_json: string)`: hands an [`action::Action`] to the worker as `PopupAction`;
//! - `remember(preferences_json: string)`: keeps pinned tenants' ids, and the portal and the place as preferences;
//! - `index(tenants: object[]) -> string`: what the list is sorted and searched by, see `Directory`;
//! - `copy(text: string, secret: boolean)`: writes to the clipboard; with `secret`, clears it after 30 s;
//! - `close()`: `window.close()`;
//! - `options()`: opens the options page.
//!
//! No `innerHTML`, no style attributes: classes only, named in `screens.rs` (`screen`, `screen-confirm`, …).

pub mod action;
pub mod list;
pub mod view;

#[cfg(feature = "popup")]
mod directory;
#[cfg(feature = "popup")]
mod options;
#[cfg(feature = "popup")]
mod render;
#[cfg(feature = "popup")]
mod screens;
#[cfg(feature = "popup")]
mod tree;

#[cfg(feature = "popup")]
pub use options::OptionsHandle;
#[cfg(feature = "popup")]
pub use render::PopupHandle;
