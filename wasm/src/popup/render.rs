//! The popup in the extension's own page: what a person does there, and what the worker says.
//!
//! Keys: typing searches, also from a screen about one tenant; Enter takes the first row or does what the screen is for;
//! Shift+Enter shows a row's options; Alt+P pins; up and down go through the rows; Escape closes. What is drawn is in
//! [`super::screens`].

use std::{cell::RefCell, rc::Rc};

use js_sys::{Array, JSON, JsString};
use latchkey_protocol::{CredentialKind, LeaseSummary, Pin, portal::Portal};
use serde_json::{Map, Value};
use uuid::Uuid;
use wasm_bindgen::{JsCast, prelude::*};
use web_sys::{Document, Element, Event, HtmlElement, HtmlInputElement, HtmlSelectElement, KeyboardEvent, Node};

use super::{
    action::{Action, Place, Wish},
    list::{self, Directory},
    view::PopupView,
};
use crate::{json::member, preferences::minutes_within};

/// How long a secret stays on the page.
const SECRET_MS: f64 = 30_000.0;
/// Rows that are drawn at first: more than the list has room for.
const ROWS: usize = 12;
/// How many more whenever the last one comes near.
const MORE_ROWS: usize = 30;

#[wasm_bindgen(raw_module = "./shell.js")]
extern "C" {
    #[wasm_bindgen(js_name = words)]
    pub(super) fn look_up(key: &str, args: Vec<String>) -> String;
    #[wasm_bindgen(js_name = act)]
    fn hand_over(action_json: &str);
    fn remember(preferences_json: &str);
    fn copy(text: &str, secret: bool);
    fn index(tenants: &Array) -> String;
    #[wasm_bindgen(js_name = close)]
    fn close_popup();
    #[wasm_bindgen(js_name = options)]
    fn open_options();
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = JSON, catch)]
    fn parse(json: &JsString) -> Result<Array, JsValue>;
}

/// The popup's page.
#[wasm_bindgen]
pub struct PopupHandle {
    popup: Rc<RefCell<Popup>>,
}

pub(super) struct Popup {
    pub(super) document: Document,
    pub(super) root: Element,
    pub(super) view: PopupView,
    pub(super) directory: Directory,
    pub(super) leases: Vec<LeaseSummary>,
    pub(super) preferences: Preferences,
    /// Whether this browser can answer a page with a passkey.
    pub(super) has_passkeys: bool,
    /// Whether the browser lets the extension work in private windows.
    pub(super) private_allowed: bool,
    pub(super) search: String,
    /// Rows that may be drawn.
    pub(super) rows: usize,
    pub(super) wish: Wish,
    /// The tenant that the form is about.
    wish_for: Option<Uuid>,
    /// The list has been asked for by typing.
    typed_ahead: bool,
    pub(super) secret: Option<Shown>,
    /// A secret has just been copied.
    pub(super) copied: bool,
    pub(super) now: f64,
    pub(super) drawn: Option<&'static str>,
}

/// What is remembered between openings; ids and names of choices, nothing secret.
#[derive(Clone, Debug, Default)]
pub(super) struct Preferences {
    /// Tenants that stand first.
    pub(super) pinned: Vec<Uuid>,
    pub(super) portal: Portal,
    pub(super) place: Place,
    /// How long an access is asked for, within the profile's limit.
    pub(super) minutes: Option<u32>,
}

impl Preferences {
    fn json(&self) -> String {
        serde_json::json!({ "pinned": self.pinned, "portal": self.portal.key(), "place": self.place.key() }).to_string()
    }
}

/// A secret on the page. Dropped, and taken off the page, by a button, on blur, and by time.
pub(super) struct Shown {
    pub(super) value: String,
    pub(super) user_name: String,
    pub(super) credential: CredentialKind,
    until: f64,
}

#[wasm_bindgen]
impl PopupHandle {
    /// Draws inside `root` (`#app`).
    ///
    /// # Panics
    /// Outside a page.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(root: Element) -> Self {
        let document = root.owner_document().unwrap_throw();
        let popup = Rc::new(RefCell::new(Popup {
            document: document.clone(),
            root: root.clone(),
            view: PopupView::Connecting {},
            directory: Directory::default(),
            leases: Vec::new(),
            preferences: Preferences::default(),
            has_passkeys: false,
            private_allowed: false,
            search: String::new(),
            rows: ROWS,
            wish: Wish::default(),
            wish_for: None,
            typed_ahead: false,
            secret: None,
            copied: false,
            now: 0.0,
            drawn: None,
        }));
        listen(&root, "click", &popup, Popup::clicked);
        listen(&root, "input", &popup, Popup::typed);
        listen(document.as_ref(), "keydown", &popup, Popup::pressed);
        listen(&root, "scroll", &popup, Popup::scrolled);
        popup.borrow_mut().draw();
        Self { popup }
    }

    /// What is remembered (JSON: `pinned`, and the preferences `portal`, `place` and `minutes`), and whether private windows are
    /// allowed. What cannot be read counts as not set.
    pub fn set_preferences(&mut self, preferences_json: &str, private_allowed: bool) {
        let Some(Value::Object(object)) = serde_json::from_str(preferences_json).ok() else {
            return;
        };
        let key = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let mut popup = self.popup.borrow_mut();
        popup.preferences = Preferences {
            pinned: member(&object, "pinned").unwrap_or_default(),
            portal: Portal::from_key(key("portal")).unwrap_or_default(),
            place: Place::from_key(key("place")).unwrap_or_default(),
            minutes: member(&object, "minutes").unwrap_or_default(),
        };
        popup.has_passkeys = member(&object, "passkeys").unwrap_or_default();
        popup.private_allowed = private_allowed;
    }

    /// Takes the list of tenants, as the worker has it. It is drawn with the view that follows.
    pub fn list(&mut self, tenants_json: &JsString) {
        // The browser is many times faster at taking half a million characters apart, and one text comes over from there
        // many times faster than a thousand.
        if let Ok(tenants) = parse(tenants_json) {
            let index = index(&tenants);
            let read = move |place| JSON::stringify(&tenants.get(place)).ok().map(Into::into);
            self.popup.borrow_mut().directory = Directory::new(&index, Box::new(read));
        }
    }

    /// Takes an effect of the worker (JSON of `UpdatePopup` or `ShowSecret`). Nodes that did not change stay, and so does
    /// the focus.
    pub fn receive(&mut self, effect_json: &str) {
        let Some(Value::Object(effect)) = serde_json::from_str(effect_json).ok() else {
            return;
        };
        let mut popup = self.popup.borrow_mut();
        let done = match effect.get("type").and_then(Value::as_str) {
            Some("update_popup") => popup.view_changed(&effect),
            Some("show_secret") => popup.secret_came(&effect),
            _ => None,
        };
        if done.is_some() {
            popup.draw();
        }
    }

    /// Takes the secret off the page.
    pub fn hide_secret(&mut self) {
        self.popup.borrow_mut().hide_secret();
    }

    /// Moves the countdown on and takes an old secret off the page.
    pub fn tick(&mut self, now: f64) {
        let mut popup = self.popup.borrow_mut();
        popup.now = now;
        match &mut popup.secret {
            // Shown before the first tick.
            Some(shown) if shown.until == 0.0 => shown.until = now + SECRET_MS,
            Some(shown) if shown.until <= now => {
                popup.secret = None;
                popup.copied = false;
            }
            _ => {}
        }
        popup.draw();
    }
}

fn listen(
    target: &web_sys::EventTarget,
    name: &str,
    popup: &Rc<RefCell<Popup>>,
    handle: fn(&mut Popup, &Event) -> Option<Deed>,
) {
    let popup = Rc::clone(popup);
    let closure = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
        // The shell may call back into the popup: the borrow ends before it is called.
        let deed = popup.try_borrow_mut().ok().and_then(|mut popup| handle(&mut popup, &event));
        match deed {
            Some(Deed::Act(action)) => {
                if let Ok(json) = serde_json::to_string(&action) {
                    hand_over(&json);
                }
            }
            Some(Deed::Copy(text, secret)) => copy(&text, secret),
            Some(Deed::Remember(preferences)) => remember(&preferences),
            Some(Deed::Close) => close_popup(),
            Some(Deed::Options) => open_options(),
            None => {}
        }
    });
    // On the way down: scrolling does not come up.
    let _ = target.add_event_listener_with_callback_and_bool(name, closure.as_ref().unchecked_ref(), true);
    // The popup lives as long as its page.
    closure.forget();
}

/// What a person's act comes to, done after the popup's state is free again.
enum Deed {
    Act(Action),
    Copy(String, bool),
    Remember(String),
    Close,
    Options,
}

impl Popup {
    // ---- the worker says something ----

    fn view_changed(&mut self, effect: &Map<String, Value>) -> Option<()> {
        let view = member::<PopupView>(effect, "view")?;
        self.leases = member(effect, "leases")?;
        if subject(&self.view) != subject(&view) {
            self.secret = None;
            self.copied = false;
        }
        self.view = view;
        self.typed_ahead = false;
        // What was typed for a tenant stays, also when the host refuses it.
        let shown = self.tenant_shown();
        if shown.is_some() && shown != self.wish_for {
            self.wish = Wish::default();
            self.wish_for = shown;
        }
        Some(())
    }

    fn secret_came(&mut self, effect: &Map<String, Value>) -> Option<()> {
        let until = if self.now > 0.0 { self.now + SECRET_MS } else { 0.0 };
        self.secret = Some(Shown {
            value: member(effect, "value")?,
            user_name: member(effect, "user_name")?,
            credential: member(effect, "credential")?,
            until,
        });
        Some(())
    }

    // ---- a person does something ----

    fn clicked(&mut self, event: &Event) -> Option<Deed> {
        let target = event.target()?.dyn_into::<Element>().ok()?;
        self.chosen(&target.closest("[data-do]").ok()??)
    }

    fn chosen(&mut self, button: &Element) -> Option<Deed> {
        let what = button.get_attribute("data-do")?;
        let argument = button.get_attribute("data-for").unwrap_or_default();
        let id = || Uuid::try_parse(&argument).ok();
        Some(Deed::Act(match what.as_str() {
            "choose" => Action::Choose { tenant_id: id()? },
            "list" => {
                self.search.clear();
                self.rows = ROWS;
                Action::List {}
            }
            "open" => self.open(id()?, self.preferences.portal)?,
            "pin" => return self.pin(id()?),
            "portal" if self.something_is_missing() => return None,
            "portal" => self.open(self.tenant_shown()?, Portal::from_key(&argument)?)?,
            "start" if self.something_is_missing() => return None,
            "start" => Action::Start { tenant_id: id()?, wish: self.wished(id()?) },
            "sign-in" => Action::SignIn { tenant_id: id()? },
            "extend" => Action::Extend { lease_id: id()?, reason: self.wish.reason.clone() },
            "end" => Action::EndNow { lease_id: id()? },
            "end-all" => Action::EndAll {},
            "reveal" => Action::Reveal { lease_id: id()? },
            "stop" => Action::StopSignIn {},
            "verify" => Action::VerifyPerson { pin: self.pin_typed()? },
            "retry" => Action::Retry {},
            "hide" => {
                self.hide_secret();
                return None;
            }
            "copy-secret" => {
                let value = self.secret.as_ref()?.value.clone();
                self.copied = true;
                self.draw();
                return Some(Deed::Copy(value, true));
            }
            "options" => return Some(Deed::Options),
            "copy-account" => return Some(Deed::Copy(argument, false)),
            _ => return None,
        }))
    }

    /// From anywhere to a portal. Where the tenant asks for words, or the place is not allowed, its screen comes first.
    fn open(&self, tenant_id: Uuid, portal: Portal) -> Option<Action> {
        let tenant = self.directory.tenant(tenant_id)?;
        let is_listed = matches!(self.view, PopupView::ChooseTenant { .. });
        let is_dormant = list::standing(tenant_id, &self.leases, 0) == list::Standing::Dormant;
        let place = self.preferences.place;
        let is_barred = place == Place::PrivateWindow && !self.private_allowed;
        if is_listed && (is_barred || (is_dormant && list::asks_for_words(tenant))) {
            return Some(Action::Choose { tenant_id });
        }
        let (_, url) = list::preferred(tenant, portal).filter(|_| !is_barred)?;
        Some(Action::OpenPortal { tenant_id, url, place, wish: self.wished(tenant_id) })
    }

    /// The browser says which box must be filled in, and goes there.
    fn something_is_missing(&self) -> bool {
        if !matches!(self.view, PopupView::Confirm(_)) {
            return false;
        }
        let Ok(boxes) = self.root.query_selector_all("input[required]") else {
            return false;
        };
        (0..boxes.length())
            .filter_map(|place| boxes.get(place)?.dyn_into::<HtmlInputElement>().ok())
            .any(|input| !input.report_validity())
    }

    /// The tenant that the screen is about.
    pub(super) fn tenant_shown(&self) -> Option<Uuid> {
        let lease = |lease_id| self.lease(lease_id).map(|lease| lease.tenant_id);
        match &self.view {
            PopupView::Confirm(confirm) => Some(confirm.tenant_id),
            PopupView::Active(active) => lease(active.lease_id),
            PopupView::Ending { lease_id } => lease(*lease_id),
            _ => None,
        }
    }

    pub(super) fn lease(&self, lease_id: Uuid) -> Option<&LeaseSummary> {
        self.leases.iter().find(|lease| lease.lease_id == lease_id)
    }

    /// What stands in the box for the PIN, which is empty afterwards. It is kept nowhere.
    fn pin_typed(&self) -> Option<Pin> {
        let input = self.root.query_selector("#pin").ok()??.dyn_into::<HtmlInputElement>().ok()?;
        let typed = input.value();
        input.set_value("");
        let _ = input.focus();
        (!typed.is_empty()).then_some(Pin(typed))
    }

    fn pin(&mut self, tenant_id: Uuid) -> Option<Deed> {
        let pinned = &mut self.preferences.pinned;
        match pinned.iter().position(|one| *one == tenant_id) {
            Some(place) => {
                pinned.remove(place);
            }
            None => pinned.push(tenant_id),
        }
        self.draw();
        Some(Deed::Remember(self.preferences.json()))
    }

    fn typed(&mut self, event: &Event) -> Option<Deed> {
        let target = event.target()?;
        if let Some(select) = target.dyn_ref::<HtmlSelectElement>() {
            let value = select.value();
            match select.id().as_str() {
                "portal" => self.preferences.portal = Portal::from_key(&value)?,
                "place" => self.preferences.place = Place::from_key(&value)?,
                _ => return None,
            }
            self.draw();
            return Some(Deed::Remember(self.preferences.json()));
        }
        let input = target.dyn_ref::<HtmlInputElement>()?;
        let text = || Some(input.value()).filter(|text| !text.trim().is_empty());
        match input.id().as_str() {
            "search" => {
                self.search = input.value();
                self.rows = ROWS;
                self.draw();
            }
            "minutes" => self.wish.minutes = input.value().parse().ok(),
            "reason" => self.wish.reason = text(),
            "ticket" => self.wish.ticket = text(),
            _ if input.name() == "profile" => {
                self.wish.profile = Some(input.value());
                // Another profile has another length.
                self.wish.minutes = None;
                self.draw();
            }
            _ => {}
        }
        None
    }

    fn pressed(&mut self, event: &Event) -> Option<Deed> {
        let key = event.dyn_ref::<KeyboardEvent>()?;
        let focused = self.document.active_element();
        let tag = focused.as_ref().map(Element::tag_name).unwrap_or_default();
        let row = focused
            .as_ref()
            .filter(|element| element.class_name() == "row")
            .cloned()
            .or_else(|| self.root.query_selector(".row[data-default]").ok().flatten());
        let tenant_id = || Uuid::try_parse(&row.as_ref()?.get_attribute("data-for")?).ok();
        match key.key().as_str() {
            "Escape" => {
                event.prevent_default();
                Some(Deed::Close)
            }
            "Enter" if key.shift_key() && row.is_some() => {
                event.prevent_default();
                Some(Deed::Act(Action::Choose { tenant_id: tenant_id()? }))
            }
            "Enter" if !matches!(tag.as_str(), "BUTTON" | "SUMMARY" | "SELECT") && !key.is_composing() => {
                let button = self.root.query_selector("[data-default]").ok()??;
                event.prevent_default();
                self.chosen(&button)
            }
            // The place of the key: with Alt, some keyboards make another letter of it.
            _ if key.alt_key() && key.code() == "KeyP" && row.is_some() => {
                event.prevent_default();
                self.pin(tenant_id()?)
            }
            "ArrowDown" if tag != "SELECT" => self.move_focus(event, true),
            "ArrowUp" if tag != "SELECT" => self.move_focus(event, false),
            text if !key.alt_key() && !key.ctrl_key() && !key.meta_key() => {
                self.search_from_anywhere(event, text, &tag)
            }
            _ => None,
        }
    }

    /// Up and down between the search box and the rows.
    fn move_focus(&mut self, event: &Event, down: bool) -> Option<Deed> {
        if !matches!(self.view, PopupView::ChooseTenant { .. }) {
            return None;
        }
        let places = self.root.query_selector_all("#search,.row").ok()?;
        let focused: Option<Node> = self.document.active_element().map(Into::into);
        let here = (0..places.length()).find(|place| places.get(*place) == focused);
        let next = match (here, down) {
            (None, _) => 0,
            (Some(place), true) => (place + 1).min(places.length().saturating_sub(1)),
            (Some(place), false) => place.saturating_sub(1),
        };
        event.prevent_default();
        let _ = places.get(next)?.dyn_into::<HtmlElement>().ok()?.focus();
        if next + 5 >= places.length() {
            self.more_rows();
        }
        None
    }

    /// A letter typed anywhere but in a box goes on in the search, also from a screen about one tenant.
    fn search_from_anywhere(&mut self, event: &Event, text: &str, tag: &str) -> Option<Deed> {
        let is_letter = text.chars().count() == 1 && !text.starts_with(' ');
        if !is_letter || matches!(tag, "INPUT" | "SELECT") || self.directory.len() < 2 {
            return None;
        }
        match self.view {
            PopupView::ChooseTenant { .. } => {
                // The letter itself follows the focus.
                self.focus_first();
                None
            }
            PopupView::Confirm(_) | PopupView::Active(_) | PopupView::Ending { .. } => {
                event.prevent_default();
                if self.typed_ahead {
                    self.search.push_str(text);
                    return None;
                }
                text.clone_into(&mut self.search);
                self.typed_ahead = true;
                self.rows = ROWS;
                Some(Deed::Act(Action::List {}))
            }
            _ => None,
        }
    }

    fn scrolled(&mut self, event: &Event) -> Option<Deed> {
        // The list scrolls inside itself.
        let list = event.target()?.dyn_into::<Element>().ok()?;
        if list.scroll_top() + 2 * list.client_height() > list.scroll_height() {
            self.more_rows();
        }
        None
    }

    fn more_rows(&mut self) {
        if matches!(self.view, PopupView::ChooseTenant { .. }) && self.rows < self.directory.len() {
            self.rows += MORE_ROWS;
            self.draw();
        }
    }

    /// What the form says; only what the tenant asks for.
    fn wished(&self, tenant_id: Uuid) -> Wish {
        let Some(tenant) = self.directory.tenant(tenant_id) else {
            return Wish::default();
        };
        let wish = if self.wish_for == Some(tenant_id) { self.wish.clone() } else { Wish::default() };
        let profile = list::profile(tenant, wish.profile.as_deref());
        let maximum = profile.map_or(tenant.maximum_minutes, |profile| profile.maximum_minutes);
        Wish {
            minutes: minutes_within(wish.minutes, self.preferences.minutes, maximum),
            profile: wish.profile,
            reason: wish.reason.filter(|_| tenant.reason_required),
            ticket: wish.ticket.filter(|_| tenant.ticket_pattern.is_some()),
        }
    }

    fn hide_secret(&mut self) {
        self.copied = false;
        if self.secret.take().is_some() {
            self.draw();
        }
    }
}

/// What a view is about: a secret shown for one thing must not stand under another.
fn subject(view: &PopupView) -> Option<Uuid> {
    match view {
        PopupView::Confirm(confirm) => Some(confirm.tenant_id),
        PopupView::Progress(progress) => progress.lease_id,
        PopupView::Active(active) => Some(active.lease_id),
        _ => None,
    }
}
