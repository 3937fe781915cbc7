//! Draws a [`super::view::PopupView`] inside the extension's own page.
//!
//! A view becomes a small tree of nodes; the tree is laid over what is there, and only what differs is touched, so
//! that focus, a half-typed search and a screen reader's place survive. Everything is text and attributes: no markup
//! is ever parsed.
//!
//! Class names for the style sheet: on `#app` `screen-<name>`; inside `card`, `facts`, `steps` with `step-<state>`,
//! `rows` with `row`, `row-name`, `row-domain`, `row-state`, `buttons`, `primary`, `quiet`, `danger`, `note`,
//! `warning`, `status`, `needs-person`, `countdown`, `until`, `secret`, `secret-value`, `details`, `minutes`, `search`.

use std::{cell::RefCell, rc::Rc};

use latchkey_protocol::CredentialKind;
use serde_json::Value;
use uuid::Uuid;
use wasm_bindgen::{JsCast, prelude::*};
use web_sys::{Document, Element, Event, HtmlElement, HtmlInputElement, KeyboardEvent, Node};

use super::{
    action::Action,
    tree::{Tree, lay},
    view::{ActiveView, Confirm, PopupView, ProblemView, ProgressView, StepProgress, TenantRow},
};
use crate::{
    json::{member, read_text},
    words::{Text, Word},
};

/// How long a secret stays on the page.
const SECRET_MS: f64 = 30_000.0;
/// Rows that are drawn of a long list; the search narrows it.
const MAXIMUM_ROWS: usize = 60;

#[wasm_bindgen(raw_module = "./shell.js")]
extern "C" {
    #[wasm_bindgen(js_name = words)]
    fn look_up(key: &str, args: Vec<String>) -> String;
    #[wasm_bindgen(js_name = act)]
    fn hand_over(action_json: &str);
    fn copy(text: &str, secret: bool);
    #[wasm_bindgen(js_name = close)]
    fn close_popup();
}

/// The popup's page.
#[wasm_bindgen]
pub struct PopupHandle {
    popup: Rc<RefCell<Popup>>,
}

struct Popup {
    document: Document,
    root: Element,
    view: PopupView,
    search: String,
    minutes: Option<u32>,
    secret: Option<Shown>,
    /// A secret has just been copied.
    copied: bool,
    now: f64,
    drawn: Option<&'static str>,
}

/// A secret on the page. Dropped, and taken off the page, by a button, on blur, and by time.
struct Shown {
    value: String,
    user_name: String,
    credential: CredentialKind,
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
            search: String::new(),
            minutes: None,
            secret: None,
            copied: false,
            now: 0.0,
            drawn: None,
        }));
        listen(&root, "click", &popup, Popup::clicked);
        listen(&root, "input", &popup, Popup::typed);
        listen(document.as_ref(), "keydown", &popup, Popup::pressed);
        popup.borrow_mut().draw();
        Self { popup }
    }

    /// Draws a view (JSON of `PopupView`). Nodes that did not change stay, and so does the focus.
    pub fn render(&mut self, view_json: &str) {
        let Some(view) = read_text::<PopupView>(view_json) else {
            return;
        };
        let mut popup = self.popup.borrow_mut();
        if subject(&popup.view) != subject(&view) {
            popup.secret = None;
            popup.copied = false;
            popup.minutes = None;
        }
        popup.view = view;
        popup.draw();
    }

    /// Shows a secret (JSON of `Effect::ShowSecret`) for 30 s at most.
    pub fn show_secret(&mut self, secret_json: &str) {
        let Some(Value::Object(object)) = serde_json::from_str(secret_json).ok() else {
            return;
        };
        let (Some(value), Some(user_name), Some(credential)) =
            (member(&object, "value"), member(&object, "user_name"), member(&object, "credential"))
        else {
            return;
        };
        let mut popup = self.popup.borrow_mut();
        let until = if popup.now > 0.0 { popup.now + SECRET_MS } else { 0.0 };
        popup.secret = Some(Shown { value, user_name, credential, until });
        popup.draw();
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
            Some(Deed::Close) => close_popup(),
            None => {}
        }
    });
    let _ = target.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    // The popup lives as long as its page.
    closure.forget();
}

/// What a person's act comes to, done after the popup's state is free again.
enum Deed {
    Act(Action),
    Copy(String, bool),
    Close,
}

impl Popup {
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
                Action::List {}
            }
            "start" => Action::Start { tenant_id: id()?, minutes: self.minutes_typed() },
            "sign-in" => Action::SignIn { tenant_id: id()? },
            "end" => Action::EndNow { lease_id: id()? },
            "reveal" => Action::Reveal { lease_id: id()? },
            "stop" => Action::StopSignIn {},
            "retry" => Action::Retry {},
            "portal" => {
                let PopupView::Active(active) = &self.view else {
                    return None;
                };
                Action::OpenPortal { tenant_id: active.tenant_id, portal: argument.parse().ok()? }
            }
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
            "copy-account" => return Some(Deed::Copy(argument, false)),
            _ => return None,
        }))
    }

    fn typed(&mut self, event: &Event) -> Option<Deed> {
        let input = event.target()?.dyn_into::<HtmlInputElement>().ok()?;
        match input.id().as_str() {
            "search" => {
                self.search = input.value();
                self.draw();
            }
            "minutes" => self.minutes = input.value().parse().ok(),
            _ => {}
        }
        None
    }

    fn pressed(&mut self, event: &Event) -> Option<Deed> {
        let key = event.dyn_ref::<KeyboardEvent>()?;
        let focused = self.document.active_element();
        let is_button =
            focused.as_ref().is_some_and(|element| element.tag_name() == "BUTTON" || element.tag_name() == "SUMMARY");
        match key.key().as_str() {
            "Escape" => {
                event.prevent_default();
                Some(Deed::Close)
            }
            "Enter" if !is_button && !key.is_composing() => {
                let button = self.root.query_selector("[data-default]").ok()??;
                event.prevent_default();
                self.chosen(&button)
            }
            "ArrowDown" => self.move_focus(event, true),
            "ArrowUp" => self.move_focus(event, false),
            _ => None,
        }
    }

    /// Up and down between the search box and the rows.
    fn move_focus(&self, event: &Event, down: bool) -> Option<Deed> {
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
        None
    }

    fn minutes_typed(&self) -> Option<u32> {
        let PopupView::Confirm(confirm) = &self.view else {
            return None;
        };
        self.minutes.map(|minutes| minutes.clamp(1, confirm.maximum_minutes))
    }

    fn hide_secret(&mut self) {
        self.copied = false;
        if self.secret.take().is_some() {
            self.draw();
        }
    }

    // ---- drawing ----

    fn draw(&mut self) {
        let name = screen_name(&self.view);
        let (content, mut status, needs_person) = self.screen();
        if self.copied {
            status = Some(Text::of(Word::Copied));
        }
        let status_class = if needs_person { "status needs-person" } else { "status" };
        // The live region stays the same node for ever, or it would not be announced.
        let trees = [
            Tree::new("section").class("card").attribute("aria-labelledby", "title").children(content),
            Tree::new("p")
                .class(status_class)
                .attribute("role", "status")
                .attribute("aria-live", "polite")
                .attribute("aria-label", &say(&Text::of(Word::StatusRegion)))
                .text(&status.map(|text| say(&text)).unwrap_or_default()),
        ];
        let _ = self.root.set_attribute("class", &["screen screen-", name].concat());
        let _ = self.root.set_attribute("aria-busy", if name == "connecting" { "true" } else { "false" });
        lay(&self.document, &self.root, &trees);
        if self.drawn != Some(name) {
            self.drawn = Some(name);
            self.focus_first();
        }
    }

    /// A new screen begins at what Enter does, or at the search box.
    fn focus_first(&self) {
        let first = self.root.query_selector("[data-focus]").ok().flatten();
        if let Some(element) = first.and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
            let _ = element.focus();
        }
    }

    fn screen(&self) -> (Vec<Tree>, Option<Text>, bool) {
        match &self.view {
            PopupView::Connecting {} => (vec![heading("Latchkey")], Some(Text::of(Word::Connecting)), false),
            PopupView::HostMissing { title, advice, detail } => {
                let mut content = vec![heading(&say(title)), note(&say(advice))];
                content.extend(detail.as_deref().map(details));
                content.push(buttons(vec![button(Word::Retry, "retry", "").class("primary").default()]));
                (content, Some(title.clone()), true)
            }
            PopupView::ChooseTenant { tenants, page, notices } => {
                let mut content = self.choose(tenants, page.as_ref());
                content.splice(1..1, warnings(notices));
                (content, self.count(tenants), !notices.is_empty())
            }
            PopupView::Confirm(confirm) => (self.confirm(confirm), None, false),
            PopupView::Progress(progress) => {
                (self.progress(progress), Some(progress.status.clone()), progress.needs_person)
            }
            PopupView::Active(active) => (self.active(active), active.page.clone(), false),
            PopupView::Ending { title, note: words, alarming, problem: trouble } => {
                let mut content = vec![heading(&say(title)), note(&say(words))];
                content.extend(trouble.as_ref().map(problem).unwrap_or_default());
                content.push(buttons(vec![button(Word::AnotherTenant, "list", "").class("quiet").focus()]));
                (content, Some(title.clone()), *alarming)
            }
            PopupView::Problem { problem: trouble, tenant_name } => {
                let mut content = vec![heading(&say(&Text::of(Word::ProblemTitle)))];
                content.extend(tenant_name.as_deref().map(|name| Tree::new("p").class("row-domain").text(name)));
                content.extend(problem(trouble));
                content.push(buttons(vec![
                    button(Word::Retry, "retry", "").class("primary").default(),
                    button(Word::AnotherTenant, "list", "").class("quiet"),
                ]));
                (content, None, true)
            }
        }
    }

    fn found<'a>(&self, tenants: &'a [TenantRow]) -> Vec<&'a TenantRow> {
        let wanted = self.search.trim().to_lowercase();
        tenants.iter().filter(|tenant| tenant.search.to_lowercase().contains(&wanted)).collect()
    }

    fn count(&self, tenants: &[TenantRow]) -> Option<Text> {
        if tenants.is_empty() {
            return Some(Text::of(Word::NoTenants));
        }
        let found = self.found(tenants);
        if found.is_empty() {
            return Some(Text::of(Word::ChooseNothing));
        }
        Some(Text::with(Word::ChooseCount, found.len().to_string()))
    }

    fn choose(&self, tenants: &[TenantRow], page: Option<&Text>) -> Vec<Tree> {
        let mut content = vec![heading(&word(Word::ChooseTitle))];
        content.extend(page.map(|text| note(&say(text))));
        if tenants.is_empty() {
            content.push(buttons(vec![button(Word::Retry, "retry", "").class("primary").default()]));
            return content;
        }
        content.push(
            Tree::new("input")
                .class("search")
                .attribute("id", "search")
                .attribute("type", "search")
                .attribute("autocomplete", "off")
                .attribute("spellcheck", "false")
                .attribute("placeholder", &word(Word::ChooseSearch))
                .attribute("aria-label", &word(Word::ChooseSearch))
                .focus(),
        );
        let rows = self.found(tenants).into_iter().take(MAXIMUM_ROWS).enumerate().map(|(place, tenant)| {
            let id = tenant.tenant_id.to_string();
            let mut row = Tree::new("button")
                .class("row")
                .attribute("type", "button")
                .attribute("data-do", "choose")
                .attribute("data-for", &id)
                .child(Tree::new("span").class("row-name").text(&tenant.name))
                .child(Tree::new("span").class("row-domain").text(&tenant.domain));
            if let Some(state) = &tenant.state {
                row = row.child(Tree::new("span").class("row-state").text(&say(state)));
            }
            if place == 0 {
                row = row.attribute("data-default", "");
            }
            Tree::new("li").key(&id).child(row)
        });
        content.push(Tree::new("ul").class("rows").children(rows.collect()));
        content
    }

    fn confirm(&self, confirm: &Confirm) -> Vec<Tree> {
        let roles = if confirm.roles.is_empty() { word(Word::ConfirmNoRoles) } else { confirm.roles.join(", ") };
        let mut content = vec![
            heading(&say(&Text::with(Word::ConfirmTitle, &confirm.name))),
            Tree::new("p").class("row-domain").text(&confirm.domain),
            Tree::new("dl").class("facts").children(facts(&[
                (word(Word::ConfirmAccount), confirm.user_name.clone()),
                (word(Word::ConfirmRoles), roles),
                (word(Word::ConfirmCredential), word(name_of(confirm.credential))),
            ])),
        ];
        content.extend(confirm.credential_note.as_ref().map(|text| note(&say(text))));
        content.extend(confirm.because.as_deref().map(note));
        content.extend(confirm.page.as_ref().map(|text| note(&say(text)).class("warning")));
        content.extend(warnings(&confirm.notices));
        content.push(
            Tree::new("p")
                .class("minutes")
                .child(Tree::new("label").attribute("for", "minutes").text(&word(Word::ConfirmMinutes)))
                .child(
                    Tree::new("input")
                        .attribute("id", "minutes")
                        .attribute("type", "number")
                        .attribute("min", "1")
                        .attribute("max", &confirm.maximum_minutes.to_string())
                        .attribute("value", &confirm.minutes.to_string())
                        .attribute("aria-describedby", "minutes-range"),
                )
                .child(
                    Tree::new("span")
                        .attribute("id", "minutes-range")
                        .text(&say(&Text::with(Word::ConfirmMinutesRange, confirm.maximum_minutes.to_string()))),
                ),
        );
        let start = if confirm.on_sign_in_page { Word::Start } else { Word::StartWithoutPage };
        let mut choices =
            vec![button(start, "start", &confirm.tenant_id.to_string()).class("primary").default().focus()];
        if confirm.others {
            choices.push(button(Word::AnotherTenant, "list", "").class("quiet"));
        }
        content.push(buttons(choices));
        content
    }

    fn progress(&self, progress: &ProgressView) -> Vec<Tree> {
        let steps = progress.steps.iter().map(|step| {
            let (class, state) = match step.state {
                StepProgress::Waiting => ("step step-waiting", Word::StateWaiting),
                StepProgress::Running => ("step step-running", Word::StateRunning),
                StepProgress::Done => ("step step-done", Word::StateDone),
                StepProgress::Retrying => ("step step-retrying", Word::StateRetrying),
                StepProgress::Failed => ("step step-failed", Word::StateFailed),
                StepProgress::Skipped => ("step step-skipped", Word::StateSkipped),
            };
            let mut row = Tree::new("li").class(class);
            if step.state == StepProgress::Running {
                row = row.attribute("aria-current", "step");
            }
            row.child(Tree::new("span").class("step-label").text(&say(&step.label)))
                .child(Tree::new("span").class("step-state").text(&word(state)))
        });
        let mut content = vec![
            heading(&say(&Text::with(Word::ProgressTitle, &progress.tenant_name))),
            Tree::new("p").class("row-domain").text(&progress.user_name),
            Tree::new("ol").class("steps").children(steps.collect()),
        ];
        content.extend(self.secret_box());
        let mut choices = Vec::new();
        if progress.can_retry {
            choices.push(button(Word::Retry, "retry", "").class("primary").default());
        }
        if let Some(lease_id) = progress.lease_id {
            if self.secret.is_none() {
                choices.push(button(Word::ShowCredential, "reveal", &lease_id.to_string()).class("quiet"));
            }
            choices.push(button(Word::EndNow, "end", &lease_id.to_string()).class("danger"));
        }
        choices.push(button(Word::StopSignIn, "stop", "").class("quiet").focus());
        content.push(buttons(choices));
        content
    }

    fn active(&self, active: &ActiveView) -> Vec<Tree> {
        let left = self.left(active.until);
        let mut content = vec![
            heading(&say(&Text::with(Word::ActiveTitle, &active.tenant_name))),
            Tree::new("p")
                .class("countdown")
                .attribute("role", "timer")
                .attribute("aria-live", "off")
                .text(&left.map(|left| say(&Text::with(Word::ActiveLeft, left))).unwrap_or_default()),
            Tree::new("p")
                .key("until")
                .class("row-domain until")
                .text(&say(&Text::with(Word::ActiveUntil, self.time_of(active.until)))),
            Tree::new("dl").class("facts").children(facts(&[
                (word(Word::ConfirmAccount), active.user_name.clone()),
                (word(Word::ConfirmRoles), active.roles.join(", ")),
            ])),
        ];
        content.extend(active.problem.as_ref().map(problem).unwrap_or_default());
        content.extend(warnings(&active.notices));
        content.extend(self.secret_box());
        let lease = active.lease_id.to_string();
        let mut choices = Vec::new();
        if active.on_sign_in_page {
            let tenant = active.tenant_id.to_string();
            choices.push(button(Word::SignInHere, "sign-in", &tenant).class("primary").default().focus());
        }
        if self.secret.is_none() {
            choices.push(button(Word::ShowCredential, "reveal", &lease).class("quiet"));
        }
        choices.push(button(Word::EndNow, "end", &lease).class("danger"));
        choices.push(button(Word::AnotherTenant, "list", "").class("quiet"));
        content.push(buttons(choices));
        if !active.portals.is_empty() {
            let portals = active.portals.iter().enumerate().map(|(place, name)| {
                Tree::new("li").child(
                    Tree::new("button")
                        .class("quiet")
                        .attribute("type", "button")
                        .attribute("data-do", "portal")
                        .attribute("data-for", &place.to_string())
                        .text(name),
                )
            });
            content.push(
                Tree::new("details")
                    .class("portals")
                    .child(Tree::new("summary").text(&word(Word::OpenPortal)))
                    .child(Tree::new("ul").children(portals.collect())),
            );
        }
        content
    }

    fn secret_box(&self) -> Option<Tree> {
        let shown = self.secret.as_ref()?;
        let label = [word(Word::SecretLabel), word(name_of(shown.credential))].join(": ");
        Some(
            Tree::new("div")
                .class("secret")
                .attribute("role", "group")
                .attribute("aria-label", &label)
                .child(Tree::new("p").class("row-domain").text(&shown.user_name))
                .child(Tree::new("code").class("secret-value").text(&shown.value))
                .child(buttons(vec![
                    button(Word::Copy, "copy-secret", "").class("primary"),
                    button(Word::CopyUserName, "copy-account", &shown.user_name).class("quiet"),
                    button(Word::HideCredential, "hide", "").class("quiet"),
                ])),
        )
    }

    /// A moment as the person's clock shows it, hours and minutes.
    fn time_of(&self, moment: i64) -> String {
        let options = js_sys::Object::new();
        for (name, value) in [("hour", "numeric"), ("minute", "2-digit")] {
            let _ = js_sys::Reflect::set(&options, &name.into(), &value.into());
        }
        let language = self.document.document_element().and_then(|page| page.get_attribute("lang"));
        #[allow(clippy::cast_precision_loss)]
        let date = js_sys::Date::new(&JsValue::from_f64(moment as f64));
        date.to_locale_string(language.as_deref().filter(|tag| !tag.is_empty()).unwrap_or("en"), &options).into()
    }

    fn left(&self, until: i64) -> Option<String> {
        if self.now <= 0.0 {
            return None;
        }
        #[allow(clippy::cast_possible_truncation)]
        let seconds = until.saturating_sub(self.now as i64).max(0) / 1000;
        let (hours, minutes, seconds) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
        let (word, parts) =
            if hours > 0 { (Word::TimeHours, [hours, minutes]) } else { (Word::TimeMinutes, [minutes, seconds]) };
        Some(look_up(word.key(), parts.iter().map(ToString::to_string).collect()))
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

const fn screen_name(view: &PopupView) -> &'static str {
    match view {
        PopupView::Connecting {} => "connecting",
        PopupView::HostMissing { .. } => "host-missing",
        PopupView::ChooseTenant { .. } => "choose",
        PopupView::Confirm(_) => "confirm",
        PopupView::Progress(_) => "progress",
        PopupView::Active(_) => "active",
        PopupView::Ending { .. } => "ending",
        PopupView::Problem { .. } => "problem",
    }
}

const fn name_of(credential: CredentialKind) -> Word {
    match credential {
        CredentialKind::TemporaryAccessPass => Word::CredentialPass,
        CredentialKind::Password => Word::CredentialPassword,
    }
}

/// The words of a text; its key where the browser's language has none, so that nothing is silently empty.
fn say(text: &Text) -> String {
    let words = look_up(&text.key, text.args.clone());
    if words.is_empty() { text.key.clone() } else { words }
}

fn word(word: Word) -> String {
    say(&Text::of(word))
}

fn heading(text: &str) -> Tree {
    Tree::new("h1").attribute("id", "title").text(text)
}

fn note(text: &str) -> Tree {
    Tree::new("p").class("note").text(text)
}

fn warnings(notices: &[Text]) -> Vec<Tree> {
    notices.iter().map(|text| note(&say(text)).class("warning")).collect()
}

fn details(text: &str) -> Tree {
    Tree::new("details")
        .class("details")
        .child(Tree::new("summary").text(&word(Word::Details)))
        .child(Tree::new("p").text(text))
}

fn buttons(children: Vec<Tree>) -> Tree {
    Tree::new("div").class("buttons").children(children)
}

fn button(label: Word, what: &str, argument: &str) -> Tree {
    Tree::new("button")
        .key(what)
        .attribute("type", "button")
        .attribute("data-do", what)
        .attribute("data-for", argument)
        .text(&word(label))
}

fn facts(facts: &[(String, String)]) -> Vec<Tree> {
    facts.iter().flat_map(|(name, value)| [Tree::new("dt").text(name), Tree::new("dd").text(value)]).collect()
}

fn problem(problem: &ProblemView) -> Vec<Tree> {
    let words = look_up(&problem.title.key, problem.title.args.clone());
    let title = if words.is_empty() { problem.message.clone().unwrap_or_default() } else { words };
    let mut content = vec![Tree::new("p").class("warning").attribute("role", "alert").text(&title)];
    content.extend(problem.next_step.as_deref().map(note));
    let more: Vec<_> = [
        problem.message.clone().filter(|message| *message != title),
        problem.request_id.as_ref().map(|id| say(&Text::with(Word::RequestNumber, id))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !more.is_empty() {
        content.push(details(&more.join(" ")));
    }
    content
}
