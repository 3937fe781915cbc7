//! The options page: looks over the chain to Microsoft, keeps what the technician prefers, and says what is stored.
//!
//! The page's script passes in what the browser knows ([`OptionsHandle::show`], [`OptionsHandle::host_said`],
//! [`OptionsHandle::host_gone`]) and carries out what comes back, one JSON object per act, named by `do`:
//! `save` (`preferences`: the whole object), `ask` (`frames` for a connection to the host of the page's own, `deadline`
//! in milliseconds), `hang_up`, `shortcuts`, `clear`.
//!
//! The host's findings are its own sentences, in English, and are marked as such. Nothing here can start, end, fill or
//! show anything: the only verbs are the handshake and the look.

use std::{cell::RefCell, rc::Rc};

use latchkey_protocol::{
    ErrorBody, Finding, FindingState, Hello, PROTOCOL_VERSION, Request, RequestFrame, RequestId, portal::Portal,
};
use serde_json::{Map, Value, json};
use wasm_bindgen::{JsCast, prelude::*};
use web_sys::{Document, Element, Event, HtmlInputElement, HtmlSelectElement};

use super::{
    action::Place,
    screens::say,
    tree::{Tree, lay},
};
use crate::{
    json::{Read, member},
    preferences::{LANGUAGES, MAXIMUM_MINUTES},
    trouble::why_gone,
    words::{Keyed, OptionsWord, Text, Word},
};

/// The host's own deadline is 60 s.
const DEADLINE_MS: u32 = 65_000;
const HELLO: u32 = 1;
const EXAMINE: u32 = 2;

/// One choice among words.
struct Choice {
    key: &'static str,
    label: String,
    note: Option<OptionsWord>,
    /// Value and what it is called; the first one stands for 'not set'.
    options: Vec<(String, String, Option<&'static str>)>,
}

/// The options page.
#[wasm_bindgen]
pub struct OptionsHandle {
    page: Rc<RefCell<Page>>,
    act: js_sys::Function,
}

struct Page {
    document: Document,
    root: Element,
    own: Map<String, Value>,
    managed: Map<String, Value>,
    version: String,
    shortcut: String,
    test: Test,
    program: Option<String>,
    status: Option<Text>,
}

enum Test {
    NotYet,
    Running,
    Found(Vec<Finding>),
    Failed { title: String, advice: String, detail: Option<String> },
}

#[wasm_bindgen]
impl OptionsHandle {
    /// Draws inside `root`; `act` takes what the browser has to do, as JSON.
    ///
    /// # Panics
    /// Outside a page.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(root: Element, act: js_sys::Function) -> Self {
        let page = Rc::new(RefCell::new(Page {
            document: root.owner_document().unwrap_throw(),
            root: root.clone(),
            own: Map::new(),
            managed: Map::new(),
            version: String::new(),
            shortcut: String::new(),
            test: Test::NotYet,
            program: None,
            status: None,
        }));
        listen(&root, "click", &page, &act, Page::clicked);
        listen(&root, "change", &page, &act, Page::changed);
        Self { page, act }
    }

    /// Takes what the browser knows: `own` and `managed` preferences, the extension's `version`, and the `shortcut`
    /// that opens the popup.
    pub fn show(&mut self, known_json: &str) {
        let Ok(Value::Object(mut known)) = serde_json::from_str(known_json) else {
            return;
        };
        let mut page = self.page.borrow_mut();
        let mut object = |name| match known.remove(name) {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        };
        (page.own, page.managed) = (object("own"), object("managed"));
        let text = |name| known.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        (page.version, page.shortcut) = (text("version"), text("shortcut"));
        page.draw();
    }

    /// A message of the host.
    pub fn host_said(&mut self, frame_json: &str) {
        let frame = serde_json::from_str::<Value>(frame_json).unwrap_or_default();
        if self.page.borrow_mut().answered(&frame) {
            hand_over(&self.act, &json!({"do": "hang_up"}));
        }
    }

    /// The connection to the host broke, could not be made, or (without a reason) stayed silent.
    pub fn host_gone(&mut self, reason: Option<String>) {
        self.page.borrow_mut().lost(reason);
    }

    /// Says that what was stored is gone.
    pub fn cleared(&mut self) {
        self.page.borrow_mut().say(OptionsWord::StoredCleared);
    }
}

fn listen(
    target: &Element,
    name: &str,
    page: &Rc<RefCell<Page>>,
    act: &js_sys::Function,
    handle: fn(&mut Page, &Event) -> Option<Value>,
) {
    let (page, act) = (Rc::clone(page), act.clone());
    let closure = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
        // The script may call back: the borrow ends before it is called.
        let deed = page.try_borrow_mut().ok().and_then(|mut page| handle(&mut page, &event));
        if let Some(deed) = deed {
            hand_over(&act, &deed);
        }
    });
    let _ = target.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    // It lives as long as its page.
    closure.forget();
}

fn hand_over(act: &js_sys::Function, deed: &Value) {
    let _ = act.call1(&JsValue::NULL, &deed.to_string().into());
}

impl Page {
    // ---- a person does something ----

    fn clicked(&mut self, event: &Event) -> Option<Value> {
        let target = event.target()?.dyn_into::<Element>().ok()?;
        let button = target.closest("[data-do]").ok()??;
        match button.get_attribute("data-do")?.as_str() {
            "examine" if !matches!(self.test, Test::Running) => {
                self.test = Test::Running;
                self.say(OptionsWord::TestRunning);
                let hello = Hello { protocol: PROTOCOL_VERSION, extension_version: self.version.clone() };
                let frames = [
                    RequestFrame { id: RequestId(HELLO), request: Request::Hello(hello) },
                    RequestFrame { id: RequestId(EXAMINE), request: Request::Examine {} },
                ];
                Some(json!({"do": "ask", "frames": frames, "deadline": DEADLINE_MS}))
            }
            "shortcuts" => Some(json!({"do": "shortcuts"})),
            "clear" => Some(json!({"do": "clear"})),
            _ => None,
        }
    }

    fn changed(&mut self, event: &Event) -> Option<Value> {
        let target = event.target()?;
        let (key, value) = if let Some(list) = target.dyn_ref::<HtmlSelectElement>() {
            let is_default = list.selected_index() == 0;
            (list.id(), (!is_default).then(|| Value::from(list.value())))
        } else {
            let input = target.dyn_into::<HtmlInputElement>().ok()?;
            let value = if input.type_() == "checkbox" {
                (!input.checked()).then_some(Value::Bool(false))
            } else {
                input.value().trim().parse::<u32>().ok().map(|minutes| minutes.clamp(1, MAXIMUM_MINUTES).into())
            };
            (input.id(), value)
        };
        match value {
            Some(value) => self.own.insert(key, value),
            None => self.own.remove(&key),
        };
        self.say(OptionsWord::Saved);
        Some(json!({"do": "save", "preferences": self.own}))
    }

    // ---- the host ----

    /// Whether that was the last word.
    fn answered(&mut self, frame: &Value) -> bool {
        let of = |name: &str| frame.get(name).and_then(Value::as_str).unwrap_or_default();
        let reply = frame.get("reply").and_then(Value::as_object);
        let is_to = |id: u32| frame.get("id").and_then(Value::as_u64) == Some(id.into());
        match (of("kind"), reply) {
            _ if !matches!(self.test, Test::Running) => return false,
            // Some other window's lease, or a step of it.
            ("lease_changed" | "progress", _) => return false,
            ("reply", Some(welcome)) if is_to(HELLO) => {
                self.program = member(welcome, "host_version");
                self.draw();
                return false;
            }
            ("reply", Some(reply)) if is_to(EXAMINE) => match member::<Vec<Finding>>(reply, "findings") {
                Some(findings) => self.found(findings),
                None => self.garbled(),
            },
            ("error", _) => match frame.get("error").and_then(ErrorBody::read) {
                Some(error) => self.fail(say(&Text::error(&error)), error.next_step, Some(error.message)),
                None => self.garbled(),
            },
            _ => self.garbled(),
        }
        self.draw();
        true
    }

    fn found(&mut self, findings: Vec<Finding>) {
        let wanting = findings.iter().filter(|finding| finding.state != FindingState::Good).count();
        self.status = Some(match wanting {
            0 => Text::of(OptionsWord::TestGood),
            _ => Text::with(OptionsWord::TestFound, wanting.to_string()),
        });
        self.test = Test::Found(findings);
    }

    fn garbled(&mut self) {
        self.fail(word(Word::HostGarbled), word(Word::HostGarbledAdvice), None);
    }

    fn lost(&mut self, reason: Option<String>) {
        if !matches!(self.test, Test::Running) {
            return;
        }
        let (title, advice) = match &reason {
            Some(reason) => why_gone(Some(reason)),
            None => (Word::HostSilent, Word::HostSilentAdvice),
        };
        self.fail(word(title), word(advice), reason);
        self.draw();
    }

    fn fail(&mut self, title: String, advice: String, detail: Option<String>) {
        self.status = Some(Text::with(OptionsWord::TestFound, "1"));
        self.test = Test::Failed { title, advice, detail };
    }

    fn say(&mut self, status: OptionsWord) {
        self.status = Some(Text::of(status));
        self.draw();
    }

    // ---- drawing ----

    fn draw(&self) {
        // The live region stays the same node for ever, or it would not be announced.
        let status = self.status.as_ref().map(say).unwrap_or_default();
        let trees = [
            Tree::new("header").child(Tree::new("h1").text(&word(OptionsWord::OptionsTitle))),
            Tree::new("p").class("status").attribute("role", "status").text(&status),
            self.connection(),
            self.preferences(),
            self.shortcuts(),
            stored(),
            self.about(),
        ];
        lay(&self.document, &self.root, &trees);
        self.set_values();
    }

    fn connection(&self) -> Tree {
        let is_running = matches!(self.test, Test::Running);
        let mut content = vec![
            note(OptionsWord::TestNote),
            Tree::new("p").class("buttons").child(
                button(if is_running { OptionsWord::TestRunning } else { OptionsWord::TestStart }, "examine")
                    .class("primary")
                    .attribute("aria-disabled", if is_running { "true" } else { "false" }),
            ),
        ];
        match &self.test {
            Test::NotYet | Test::Running => {}
            Test::Found(findings) => {
                content.push(Tree::new("ul").class("findings").children(findings.iter().map(finding).collect()));
                content.push(note(OptionsWord::TestTenants).key("tenants"));
            }
            Test::Failed { title, advice, detail } => {
                let mut failed = Tree::new("div")
                    .class("warning")
                    .child(Tree::new("p").class("finding-what").text(title))
                    .child(Tree::new("p").text(advice));
                if let Some(detail) = detail {
                    failed = failed.child(Tree::new("p").class("note").attribute("lang", "en").text(detail));
                }
                content.push(failed);
            }
        }
        section("connection", OptionsWord::TestTitle, content)
    }

    fn preferences(&self) -> Tree {
        let named = |options: &[(&str, String)]| {
            options.iter().map(|(value, name)| ((*value).to_owned(), name.clone(), None)).collect::<Vec<_>>()
        };
        let portals = Portal::ALL.iter().map(|portal| (portal.key().to_owned(), portal.name().to_owned(), Some("en")));
        let places = Place::ALL.map(|place| (place.key(), word(place.word())));
        let mut languages = named(&[("browser", word(OptionsWord::LanguageBrowser))]);
        languages.extend(LANGUAGES.iter().map(|(tag, name)| ((*tag).to_owned(), (*name).to_owned(), Some(*tag))));
        let stay = [("no", OptionsWord::StayNo), ("yes", OptionsWord::StayYes), ("ask", OptionsWord::StayAsk)];
        let themes = [
            ("system", OptionsWord::ThemeSystem),
            ("light", OptionsWord::ThemeLight),
            ("dark", OptionsWord::ThemeDark),
        ];
        let choices = [
            Choice {
                key: "stay_signed_in",
                label: word(OptionsWord::PreferStay),
                note: Some(OptionsWord::PreferStayNote),
                options: named(&stay.map(|(value, name)| (value, word(name)))),
            },
            Choice {
                key: "portal",
                label: word(Word::PortalLabel),
                note: Some(OptionsWord::PreferPortalNote),
                options: portals.collect(),
            },
            Choice { key: "place", label: word(Word::PlaceLabel), note: None, options: named(&places) },
            Choice {
                key: "theme",
                label: word(OptionsWord::PreferTheme),
                note: None,
                options: named(&themes.map(|(value, name)| (value, word(name)))),
            },
            Choice { key: "language", label: word(OptionsWord::PreferLanguage), note: None, options: languages },
        ];
        let mut content = vec![self.submit(), self.minutes()];
        content.extend(choices.iter().map(|choice| self.choice(choice)));
        section("preferences", OptionsWord::PreferencesTitle, content)
    }

    fn submit(&self) -> Tree {
        let input = Tree::new("input").attribute("type", "checkbox");
        self.field("auto_submit", &word(OptionsWord::PreferSubmit), Some(OptionsWord::PreferSubmitNote), input, true)
    }

    fn minutes(&self) -> Tree {
        let input = Tree::new("input")
            .attribute("type", "number")
            .attribute("min", "1")
            .attribute("max", &MAXIMUM_MINUTES.to_string());
        self.field("minutes", &word(OptionsWord::PreferMinutes), Some(OptionsWord::PreferMinutesNote), input, false)
    }

    fn choice(&self, choice: &Choice) -> Tree {
        let options = choice.options.iter().map(|(value, name, language)| {
            let option = Tree::new("option").attribute("value", value).text(name);
            match language {
                Some(language) => option.attribute("lang", language),
                None => option,
            }
        });
        let list = Tree::new("select").children(options.collect());
        self.field(choice.key, &choice.label, choice.note, list, false)
    }

    /// A control with its label and what is to be known about it, in the order in which it is read aloud.
    fn field(&self, key: &'static str, label: &str, note: Option<OptionsWord>, control: Tree, before: bool) -> Tree {
        let is_managed = self.managed.contains_key(key);
        let mut notes: Vec<_> = note.map(word).into_iter().collect();
        if is_managed {
            notes.insert(0, word(OptionsWord::ByOrganization));
        }
        let mut control = control.attribute("id", key);
        let note_id = [key, "_note"].concat();
        if !notes.is_empty() {
            control = control.attribute("aria-describedby", &note_id);
        }
        if is_managed {
            control = control.attribute("disabled", "");
        }
        let label = Tree::new("label").attribute("for", key).text(label);
        let mut children = if before { vec![control, label] } else { vec![label, control] };
        if !notes.is_empty() {
            children.push(Tree::new("p").class("note").attribute("id", &note_id).text(&notes.join(" ")));
        }
        let class = match (before, is_managed) {
            (true, false) => "field switch",
            (true, true) => "field switch managed",
            (false, false) => "field",
            (false, true) => "field managed",
        };
        Tree::new("div").key(key).class(class).children(children)
    }

    fn shortcuts(&self) -> Tree {
        let now = if self.shortcut.is_empty() {
            word(OptionsWord::ShortcutNone)
        } else {
            say(&Text::with(OptionsWord::ShortcutNow, &self.shortcut))
        };
        let change = button(OptionsWord::ShortcutChange, "shortcuts");
        let content = vec![Tree::new("p").text(&now), Tree::new("p").class("buttons").child(change)];
        section("shortcuts", OptionsWord::ShortcutsTitle, content)
    }

    fn about(&self) -> Tree {
        let mut content = vec![Tree::new("p").text(&say(&Text::with(OptionsWord::AboutExtension, &self.version)))];
        if let Some(program) = &self.program {
            content.push(Tree::new("p").key("program").text(&say(&Text::with(OptionsWord::AboutProgram, program))));
        }
        content.push(note(OptionsWord::AboutPrivacy).key("privacy"));
        section("about", OptionsWord::AboutTitle, content)
    }

    /// What the controls hold. Attributes say only how they begin, so this goes through their properties; what a person
    /// is typing stays.
    fn set_values(&self) {
        let focused = self.document.active_element().map(|element| element.id());
        for key in ["auto_submit", "minutes", "stay_signed_in", "portal", "place", "theme", "language"] {
            let Some(control) = self.document.get_element_by_id(key) else {
                continue;
            };
            let value = self.managed.get(key).or_else(|| self.own.get(key));
            if let Some(list) = control.dyn_ref::<HtmlSelectElement>() {
                match value.and_then(Value::as_str) {
                    Some(value) => list.set_value(value),
                    None => list.set_selected_index(0),
                }
                if list.selected_index() < 0 {
                    list.set_selected_index(0);
                }
            } else if let Some(input) = control.dyn_ref::<HtmlInputElement>() {
                if key == "auto_submit" {
                    input.set_checked(value.and_then(Value::as_bool).unwrap_or(true));
                } else if focused.as_deref() != Some(key) {
                    input
                        .set_value(&value.and_then(Value::as_u64).map(|number| number.to_string()).unwrap_or_default());
                }
            }
        }
    }
}

fn stored() -> Tree {
    let what = [OptionsWord::StoredPreferences, OptionsWord::StoredSession];
    let content = vec![
        note(OptionsWord::StoredNote),
        Tree::new("ul").class("stored").children(what.map(|what| Tree::new("li").text(&word(what))).into()),
        Tree::new("p").class("buttons").child(button(OptionsWord::StoredClear, "clear")),
    ];
    section("stored", OptionsWord::StoredTitle, content)
}

fn word(word: impl Keyed) -> String {
    say(&Text::of(word))
}

fn section(id: &'static str, title: OptionsWord, content: Vec<Tree>) -> Tree {
    let heading = [id, "_title"].concat();
    let mut children = vec![Tree::new("h2").attribute("id", &heading).text(&word(title))];
    children.extend(content);
    Tree::new("section").key(id).attribute("aria-labelledby", &heading).children(children)
}

fn note(what: OptionsWord) -> Tree {
    Tree::new("p").class("note").text(&word(what))
}

fn button(label: OptionsWord, what: &str) -> Tree {
    Tree::new("button").key(what).attribute("type", "button").attribute("data-do", what).text(&word(label))
}

fn finding(finding: &Finding) -> Tree {
    let (class, state) = match finding.state {
        FindingState::Good => ("finding finding-good", OptionsWord::FindingGood),
        FindingState::Warning => ("finding finding-warning", OptionsWord::FindingWarning),
        FindingState::Broken => ("finding finding-broken", OptionsWord::FindingBroken),
    };
    let link = finding.link.replace('_', " ");
    let mut what = Tree::new("div")
        .class("finding-what")
        .attribute("lang", "en")
        .child(Tree::new("p").class("finding-found").text(&[&link, ": ", &finding.found].concat()));
    if !finding.next_step.is_empty() {
        what = what.child(Tree::new("p").class("note").text(&finding.next_step));
    }
    Tree::new("li").class(class).child(Tree::new("span").class("finding-state").text(&word(state))).child(what)
}
