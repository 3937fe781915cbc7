//! The machine: takes events, keeps what is known about the host, the tenants, the tabs and the sign-ins, and lets
//! [`super::decide`] say what to do on a page.
//!
//! Trust is decided here and only here: a page counts when the browser's sender record puts it in the top frame of a
//! tab at an exact sign-in origin. Everything that writes or clicks is bound to that document.

mod hands;
mod host;
mod leases;
mod passkey;
mod technician;

pub(super) use host::is_about_the_wish;

use latchkey_protocol::{
    ErrorBody, LeaseState, LeaseSummary, PersonState, Request, RequestFrame, TenantHint, TenantSummary,
    cloud::SignInOrigin,
};
use serde::Serialize;
use uuid::Uuid;

use super::{
    address,
    decide::Page,
    effect::{Effect, Icon},
    event::{Door, Event, EventFrame, Outcome, PageSeen},
    few::Few,
    flow::{Act, Flow, Over, Purpose, Step},
    page::View,
    snapshot::Snapshot,
};
use crate::{
    json::{fields, read_text},
    popup::{
        action::{Place, Wish},
        view::StepProgress,
    },
    preferences::Preferences,
    words::{Text, Word},
};

const HELLO_MS: u32 = 5_000;
const LOOK_UP_MS: u32 = 10_000;
const FILL_MS: u32 = 10_000;
// A code that was given out already has to be over first.
const CODE_MS: u32 = 45_000;
// Creating an account can wait for replication.
const START_MS: u32 = 180_000;
const END_MS: u32 = 60_000;
const ACT_MS: i64 = 5_000;
/// How long a click waits for what covers its place.
const COVERED_MS: i64 = 500;
const SILENT_PAGE_MS: i64 = 5_000;
const AWAY_MS: i64 = 60_000;
const IDLE_MS: i64 = 5_000;
/// How long the host stays started, and so warm, after a sign-in page appeared.
const WARM_MS: i64 = 60_000;
const MINUTE_MS: i64 = 60_000;
/// How long after a sign-in the browser is kept from offering to save a password: it asks once the next page is there.
const OFFER_MS: i64 = 10_000;
/// The largest whole number of JavaScript.
const LAST_MOMENT: i64 = (1 << 53) - 1;
/// How often one sign-in asks for its lease by itself (the host may have died).
const MAXIMUM_STARTS: u32 = 4;
/// Finished sign-ins that are remembered for the popup.
const MAXIMUM_FLOWS: usize = 50;
/// Documents that one sign-in may load at all.
const MAXIMUM_DOCUMENTS: usize = 60;
/// Documents that are remembered as filled.
const MAXIMUM_FILLED: usize = 500;

/// The alarm that moves the badge on, and a sign-in whose worker was stopped.
pub const ALARM_BADGE: &str = "badge";
/// The alarm that looks whether a lease has ended.
pub const ALARM_WATCH: &str = "watch";

/// The brain.
pub struct Brain {
    pub(super) state: State,
    extension_version: String,
    link: Link,
    queue: Vec<RequestFrame>,
    pending: Vec<Pending>,
    pub(super) pages: Few<i32, Page>,
    pub(super) popup: Option<Popup>,
    pub(super) preferences: Preferences,
    /// The view that the popup has, as JSON.
    pub(super) shown: Option<String>,
    pub(super) icons: Few<i32, Icon>,
    pub(super) everywhere: Option<(Icon, String)>,
    wakes: Few<String, i64>,
    door: Door,
    /// The door has been told to open or to shut.
    door_asked: bool,
    passkey_requests: Vec<passkey::PasskeyRequest>,
    /// What is known of the person, who has to show who is there.
    pub(super) person: Option<PersonState>,
    /// The host knows the person, and forgets when it stops.
    verified_until: i64,
    warm_until: i64,
    saved: String,
    pub(super) now: i64,
    out: Vec<Effect>,
    /// The list of tenants as JSON, made once: it can be long, and the state is looked at after every event.
    tenants_json: String,
    /// The popup has the list.
    pub(super) tenants_shown: bool,
    /// The list has changed since the state was saved.
    tenants_unsaved: bool,
}

/// What outlives the worker. Nothing secret.
#[derive(Default, Serialize)]
pub(super) struct State {
    next_request: u32,
    next_act: u32,
    #[serde(skip)]
    pub(super) tenants: Option<Vec<TenantSummary>>,
    pub(super) leases: Vec<LeaseSummary>,
    pub(super) flows: Vec<Flow>,
    pub(super) activations: Vec<Activation>,
    pub(super) host_problem: Option<HostProblem>,
    /// Portals that are to be opened.
    openings: Vec<Opening>,
    /// Leases that were signed in with, which the host has not said yet that it knows.
    unconfirmed: Vec<Uuid>,
    /// Leases whose near end has been told.
    warned: Vec<Uuid>,
    /// Documents that were given a secret, by any sign-in: none is given a second one.
    filled: Vec<String>,
    /// The browser has been told not to offer to keep passwords.
    saving_off: bool,
}

/// An activation that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Activation {
    pub(super) tenant_id: Uuid,
    wish: Wish,
    /// The account was created for it.
    created: bool,
    /// The request that is under way.
    #[serde(skip)]
    pub(super) request: Option<u32>,
    /// It is wanted, also after the worker's death.
    pub(super) wanted: bool,
    /// The technician wants to see the credential as soon as there is one.
    #[serde(skip)]
    reveal: bool,
    pub(super) failure: Option<ErrorBody>,
}

/// A portal that is to be opened, and whose tab is to be followed into the sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Opening {
    /// The number of the effect; none while the host has not agreed to the lease yet.
    act: Option<u32>,
    tenant_id: Uuid,
    url: String,
    place: Place,
    tab_id: Option<i32>,
    /// Until when it is opened again if the worker dies before it knows the tab.
    until: i64,
}

/// Why the host cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct HostProblem {
    pub(super) title: Text,
    pub(super) advice: Text,
    pub(super) detail: Option<String>,
}

/// The popup while it is open.
#[derive(Debug, Default)]
pub(super) struct Popup {
    pub(super) tab_id: Option<i32>,
    pub(super) url: Option<String>,
    pub(super) chosen: Option<Uuid>,
    pub(super) listing: bool,
    /// The tenant that the host recognised.
    pub(super) recognized: Option<Uuid>,
    /// What the last explicit act in the popup ran into.
    pub(super) failure: Option<ErrorBody>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Closed,
    Greeting,
    Ready,
}

#[derive(Clone, Debug)]
struct Pending {
    id: u32,
    asked: Asked,
    /// The parts of a long list that have come.
    tenants: Vec<TenantSummary>,
}

#[derive(Clone, Debug, PartialEq)]
enum Asked {
    Hello,
    Tenants(Option<TenantHint>),
    Start(Uuid),
    Fill(i32),
    Reveal { lease_id: Uuid, again: bool },
    Confirm(Uuid),
    End,
    Extend(Uuid),
    Leases,
    Note,
    Passkey(i32),
    Person,
}

impl Brain {
    /// A brain, from an earlier [`Self::state`] or fresh. A state that cannot be read counts as none.
    #[must_use]
    pub fn new(state: Option<&str>, extension_version: &str) -> Self {
        let mut state: State = state.and_then(read_text).unwrap_or_default();
        let tenants_json = serde_json::to_string(&state.tenants).unwrap_or_default();
        for lease in &mut state.leases {
            // The host that held it was started by a worker that is gone.
            lease.credential_held = false;
        }
        for document in state.flows.iter_mut().flat_map(|flow| &mut flow.documents) {
            // Asked for and never filled: the answer died with the worker.
            if document.secret_filled.is_none() {
                document.secret_asked = None;
            }
            // Whether it was written shows.
            document.user_name_filled &= !document.unanswered;
        }
        Self {
            state,
            extension_version: extension_version.to_owned(),
            link: Link::Closed,
            queue: Vec::new(),
            pending: Vec::new(),
            pages: Few::new(),
            popup: None,
            preferences: Preferences::default(),
            shown: None,
            icons: Few::new(),
            everywhere: None,
            wakes: Few::new(),
            door: Door::Missing,
            door_asked: false,
            passkey_requests: Vec::new(),
            person: None,
            verified_until: 0,
            warm_until: 0,
            saved: String::new(),
            now: 0,
            out: Vec::new(),
            tenants_json,
            tenants_shown: false,
            tenants_unsaved: false,
        }
    }

    /// What must outlive the worker, as JSON. Nothing secret.
    #[must_use]
    pub fn state(&self) -> String {
        let rest = self.state_but_tenants();
        let rest = rest.strip_prefix('{').unwrap_or_default();
        ["{\"tenants\":", &self.tenants_json, ",", rest].concat()
    }

    /// The list of tenants as JSON, `null` before there is one. It is made once, however often a popup opens: with a
    /// thousand tenants it has half a million characters.
    #[must_use]
    pub fn tenants(&self) -> &str {
        &self.tenants_json
    }

    /// [`Self::state`] without the list of tenants, which seldom changes.
    #[must_use]
    pub fn state_but_tenants(&self) -> String {
        serde_json::to_string(&self.state).unwrap_or_default()
    }

    /// Takes a list from the host, if it is another one.
    fn keep_tenants(&mut self, tenants: Vec<TenantSummary>) {
        let tenants = Some(tenants);
        let json = serde_json::to_string(&tenants).unwrap_or_default();
        if json != self.tenants_json {
            self.tenants_json = json;
            self.tenants_shown = false;
            self.tenants_unsaved = true;
            self.state.tenants = tenants;
        }
    }

    /// Takes one event.
    pub fn on_event(&mut self, frame: EventFrame) -> Vec<Effect> {
        // A clock that is out of all bounds must not make sums overflow.
        self.now = frame.now.clamp(0, LAST_MOMENT);
        match frame.event {
            Event::WorkerStarted {} => self.worker_started(),
            Event::PasskeyDoor { door } => self.passkey_door(door),
            Event::PasskeyAsked { request_id, details } => self.passkey_asked(request_id, details),
            Event::PasskeyCanceled { request_id } => self.passkey_canceled(request_id),
            Event::PageSeen(seen) => self.page_seen(seen),
            Event::TabNavigated { tab_id, url } => self.tab_navigated(tab_id, url.as_deref()),
            Event::PreferencesRead { preferences } => self.preferences = preferences,
            Event::TabClosed { tab_id } => self.tab_closed(tab_id),
            Event::PopupOpened { tab_id, url } => self.popup_opened(tab_id, url),
            Event::PopupClosed {} => {
                self.popup = None;
                self.shown = None;
                self.forget_reveals();
            }
            Event::PopupAction { action } => self.popup_action(action),
            Event::HostMessage { frame } => self.host_message(frame),
            Event::HostGone { reason } => self.host_gone(reason.as_deref()),
            Event::TimerRang { name } => self.timer_rang(&name),
            Event::TabOpened { act, tab_id } => self.tab_opened(act, tab_id),
            Event::NotificationPressed { lease_id } => self.extend(lease_id, None),
            Event::Acted { tab_id, document_id, act, outcome, snapshot } => {
                self.acted(tab_id, &document_id, act, outcome, snapshot);
            }
        }
        self.settle();
        std::mem::take(&mut self.out)
    }

    // ---- what happened in the browser ----

    fn worker_started(&mut self) {
        let tabs: Vec<_> = self.running_tabs();
        for tab_id in tabs {
            self.out.push(Effect::Look { tab_id });
            self.wake_at(name_of("silent", tab_id), self.now + SILENT_PAGE_MS);
        }
        if !self.is_signing_in() {
            // A browser that crashed during a sign-in has kept the setting and forgotten who set it.
            self.state.saving_off = false;
            self.out.push(Effect::SavePasswords { allowed: true });
        }
        if !self.state.leases.is_empty() {
            self.ask_leases();
        }
        // What was on its way to the host may not have arrived there.
        for place in 0..self.state.leases.len() {
            let LeaseSummary { lease_id, state, until, .. } = self.state.leases[place];
            if state == LeaseState::Ending && until > self.now {
                self.ask(Asked::End, Request::EndLease { lease_id }, END_MS);
            }
        }
        self.confirm();
        self.open_again();
        if self.state.host_problem.is_none()
            && let Some(opening) = self.state.openings.iter().find(|opening| opening.act.is_none())
        {
            self.ask_start(opening.tenant_id);
        }
    }

    fn page_seen(&mut self, seen: PageSeen) {
        if seen.frame_id != 0 || !seen.snapshot.top {
            return;
        }
        let Some(origin) = SignInOrigin::of_address(&seen.url) else {
            self.pages.remove(&seen.tab_id);
            return;
        };
        if seen.origin.is_some_and(|claimed| SignInOrigin::of_address(&claimed) != Some(origin)) {
            return;
        }
        self.observe(seen.tab_id, seen.document_id, origin, seen.url, seen.snapshot);
    }

    fn observe(&mut self, tab_id: i32, document_id: String, origin: SignInOrigin, url: String, snapshot: Snapshot) {
        let view = View::of(&snapshot, address::path(&url));
        let before = self.pages.get(&tab_id);
        let is_new = before.is_none_or(|page| page.document_id != document_id);
        let since = match before {
            Some(page) if !is_new && is_same_kind(page.view, view) => page.since,
            _ => self.now,
        };
        if is_new && view.is_step() && snapshot.on_screen && running(&mut self.state.flows, tab_id).is_none() {
            self.warm(&url, snapshot.post_url.as_deref());
        }
        let other_tenant = self.leads_astray(tab_id, &url, snapshot.post_url.as_deref());
        if let Some(flow) = running(&mut self.state.flows, tab_id) {
            if flow.away && self.now > flow.away_until {
                flow.finish(Over::GivenUp, Text::of(Word::PageElsewhere));
            } else if other_tenant {
                let text = Text::with(Word::PageOtherTenant, &flow.tenant_name);
                flow.finish(Over::GivenUp, text);
            }
            flow.away = false;
            flow.at = Some(origin);
            let page_id = snapshot.page_id.clone().unwrap_or_default();
            if flow.documents.len() >= MAXIMUM_DOCUMENTS {
                flow.finish(Over::GivenUp, Text::of(Word::PageLoop));
            }
            for left in flow.documents.iter_mut().filter(|document| document.id != document_id) {
                left.unanswered = false;
            }
            let document = flow.document_mut(&document_id);
            if !page_id.is_empty() {
                document.page_id = page_id;
            }
            let answered = flow.pressed.as_ref().is_some_and(|pressed| {
                pressed.document_id != document_id || (pressed.view != view && !view.is_passing())
            });
            if answered {
                flow.pressed = None;
            }
            if flow.acting.as_ref().is_some_and(|acting| acting.document_id != document_id) {
                flow.acting = None;
            }
            if flow.asking.as_ref().is_some_and(|asking| asking.document_id != document_id) {
                flow.asking = None;
            }
            if flow.allowed.as_ref().is_some_and(|allowed| *allowed != document_id) {
                flow.allowed = None;
            }
        }
        self.pages.insert(tab_id, Page { document_id, origin, view, snapshot, url, since });
        self.forget_wake(&name_of("silent", tab_id));
    }

    /// Whether a tab that Latchkey opened for one tenant shows the sign-in page of another.
    fn leads_astray(&self, tab_id: i32, url: &str, post_url: Option<&str>) -> bool {
        let flow = self.state.flows.iter().find(|flow| flow.tab_id == tab_id && flow.opened);
        let Some(tenant) = flow.and_then(|flow| self.tenant(flow.tenant_id)) else {
            return false;
        };
        address::hint(url, post_url).tenant.is_some_and(|named| {
            named != tenant.tenant_id.to_string()
                && !tenant.domains.iter().any(|domain| domain.eq_ignore_ascii_case(&named))
        })
    }

    /// A sign-in page appeared: the host starts, and warms the token and the connection of the tenant it is about.
    fn warm(&mut self, url: &str, post_url: Option<&str>) {
        if self.state.host_problem.is_some() && self.popup.is_none() {
            return;
        }
        self.warm_until = self.now + WARM_MS;
        self.ask_tenants(Some(address::hint(url, post_url)));
    }

    fn tab_navigated(&mut self, tab_id: i32, url: Option<&str>) {
        // The browser drops what was set for the tab.
        self.icons.remove(&tab_id);
        if let Some(popup) = self.popup.as_mut().filter(|popup| popup.tab_id == Some(tab_id)) {
            popup.url = url.map(str::to_owned);
        }
        if let Some(origin) = url.and_then(SignInOrigin::of_address) {
            // Whether it may still come there is decided when the page is seen.
            if let Some(flow) = running(&mut self.state.flows, tab_id) {
                flow.at = Some(origin);
                self.out.push(Effect::Look { tab_id });
            }
            return;
        }
        self.pages.remove(&tab_id);
        let Some(flow) = running(&mut self.state.flows, tab_id) else {
            return;
        };
        let is_web = url.is_none_or(|url| url.starts_with("https://") || url.starts_with("http://"));
        if flow.submitted && is_web {
            let over = if url.is_some_and(is_registration) { Over::Registration } else { Over::SignedIn };
            self.signed_in(tab_id, over);
        } else {
            flow.acting = None;
            flow.asking = None;
            flow.pressed = None;
            if !flow.away {
                flow.away = true;
                flow.away_until = self.now + AWAY_MS;
                let at = flow.away_until;
                self.wake_at(name_of("gone", tab_id), at);
            }
        }
    }

    fn signed_in(&mut self, tab_id: i32, over: Over) {
        let Some(flow) = running(&mut self.state.flows, tab_id) else {
            return;
        };
        let word = if over == Over::Registration { Word::PageRegistration } else { Word::SignedIn };
        flow.finish(over, Text::of(word));
        if let Some(lease_id) = flow.lease_id
            && !self.state.unconfirmed.contains(&lease_id)
        {
            self.state.unconfirmed.push(lease_id);
        }
        self.confirm();
    }

    fn tab_closed(&mut self, tab_id: i32) {
        // A sign-in window closes by itself when it is done.
        let answered = running(&mut self.state.flows, tab_id)
            .is_some_and(|flow| flow.submitted && flow.steps[Step::Stay as usize] == StepProgress::Done);
        if answered {
            self.signed_in(tab_id, Over::SignedIn);
        }
        self.pages.remove(&tab_id);
        self.icons.remove(&tab_id);
        self.state.flows.retain(|flow| flow.tab_id != tab_id);
    }

    fn acted(&mut self, tab_id: i32, document_id: &str, act: u32, outcome: Outcome, snapshot: Option<Snapshot>) {
        let Some(flow) = running(&mut self.state.flows, tab_id) else {
            return;
        };
        let is_expected =
            flow.acting.as_ref().is_some_and(|acting| acting.act == act && acting.document_id == document_id);
        if !is_expected {
            return;
        }
        let Some(acting) = flow.acting.take() else {
            return;
        };
        flow.document_mut(document_id).unanswered = false;
        let arrived = outcome == Outcome::Done;
        // Its place may be sliding in: it counts as not answered yet, for a moment.
        let is_early = outcome == Outcome::Covered && matches!(acting.what, Act::Press(_));
        match acting.what {
            _ if is_early => flow.acting = Some(acting),
            Act::FillUserName => {
                let document = flow.document_mut(document_id);
                if !arrived && outcome != Outcome::ValueLost {
                    document.user_name_filled = false;
                    document.attempts += 1;
                }
                flow.step(Step::UserName, if arrived { StepProgress::Done } else { StepProgress::Retrying });
            }
            Act::FillSecret(_) => {
                if !arrived && outcome != Outcome::ValueLost {
                    // Not written; and not asked for again, because once per document is once.
                    flow.document_mut(document_id).secret_filled = None;
                }
            }
            Act::Press(purpose) => {
                // A document that is gone was most often left by this very click.
                if arrived || outcome == Outcome::DocumentGone {
                    let step = match purpose {
                        Purpose::Next => Some(Step::Next),
                        Purpose::Submit => Some(Step::Credential),
                        Purpose::DoNotStay | Purpose::Stay => Some(Step::Stay),
                        _ => None,
                    };
                    if let Some(step) = step {
                        flow.step(step, StepProgress::Done);
                    }
                } else {
                    flow.not_pressed(purpose);
                    let document = flow.document_mut(document_id);
                    document.attempts += 1;
                    if purpose == Purpose::Submit {
                        document.submitted = false;
                    }
                }
            }
        }
        self.forget_wake(&name_of("act", tab_id));
        if is_early {
            self.wake_at(name_of("act", tab_id), self.now + COVERED_MS);
        }
        let here = self.pages.get(&tab_id).filter(|page| page.document_id == document_id);
        match (here.map(|page| (page.origin, page.url.clone())), snapshot) {
            (Some((origin, url)), Some(snapshot)) if snapshot.top => {
                self.observe(tab_id, document_id.to_owned(), origin, url, snapshot);
            }
            _ => self.out.push(Effect::Look { tab_id }),
        }
    }

    fn timer_rang(&mut self, name: &str) {
        self.wakes.remove(name);
        let (kind, number) = name.split_once(':').unwrap_or((name, ""));
        match (kind, number.parse::<i32>()) {
            ("host", Ok(id)) => self.host_timed_out(id.unsigned_abs()),
            ("act", Ok(tab_id)) => {
                if let Some(flow) = running(&mut self.state.flows, tab_id)
                    && let Some(acting) = flow.acting.take()
                {
                    let document = flow.document_mut(&acting.document_id);
                    document.attempts += 1;
                    document.unanswered = false;
                    if let Act::Press(purpose) = acting.what {
                        flow.not_pressed(purpose);
                    }
                    self.out.push(Effect::Look { tab_id });
                }
            }
            ("gone", Ok(tab_id)) => {
                if let Some(flow) = running(&mut self.state.flows, tab_id)
                    && flow.away
                {
                    flow.finish(Over::GivenUp, Text::of(Word::PageElsewhere));
                    // A portal that never asked for a sign-in is no failure.
                    self.state.flows.retain(|flow| flow.tab_id != tab_id || !flow.opened || !flow.documents.is_empty());
                }
            }
            ("silent", Ok(tab_id)) => {
                let is_silent = !self.pages.contains_key(&tab_id);
                if let Some(flow) = running(&mut self.state.flows, tab_id)
                    && is_silent
                {
                    flow.status = Text::of(Word::PageSilent);
                    flow.needs_person = true;
                }
            }
            ("idle", _) if !self.needs_host() && self.link != Link::Closed && self.now >= self.warm_until => {
                self.out.push(Effect::DisconnectHost {});
                self.link_lost();
            }
            ("offer", _) if self.state.saving_off && !self.is_signing_in() => {
                self.state.saving_off = false;
                self.out.push(Effect::SavePasswords { allowed: true });
            }
            (ALARM_WATCH, _) => self.ask_leases(),
            (ALARM_BADGE, _) if self.state.host_problem.is_none() => self.confirm(),
            // `page` only wakes the machine: settling does the rest.
            _ => {}
        }
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.out.push(effect);
    }

    fn log(&mut self, message: &str) {
        self.out.push(Effect::Log { message: message.to_owned() });
    }

    fn running_tabs(&self) -> Vec<i32> {
        self.state.flows.iter().filter(|flow| flow.is_running()).map(|flow| flow.tab_id).collect()
    }

    fn is_signing_in(&self) -> bool {
        self.state.flows.iter().any(Flow::is_running)
    }

    /// Keeps the browser from offering to save what is filled, from the click until a while after the sign-in.
    fn keep_unsaved(&mut self) {
        const OFFER: &str = "offer";
        if self.is_signing_in() {
            self.forget_wake(OFFER);
            if !self.state.saving_off {
                self.state.saving_off = true;
                self.out.push(Effect::SavePasswords { allowed: false });
            }
        } else if self.state.saving_off && !self.wakes.contains_key(&OFFER.to_owned()) {
            self.wake_at(OFFER.to_owned(), self.now + OFFER_MS);
        }
    }

    fn wake_at(&mut self, name: String, at: i64) {
        if self.wakes.get(&name) == Some(&at) {
            return;
        }
        let after = u32::try_from((at - self.now).max(0)).unwrap_or(u32::MAX);
        self.out.push(Effect::SetTimer { name: name.clone(), after });
        self.wakes.insert(name, at);
    }

    fn forget_wake(&mut self, name: &str) {
        if self.wakes.remove(name).is_some() {
            self.out.push(Effect::ClearTimer { name: name.to_owned() });
        }
    }
}

fn running(flows: &mut [Flow], tab_id: i32) -> Option<&mut Flow> {
    flows.iter_mut().find(|flow| flow.tab_id == tab_id && flow.is_running())
}

fn name_of(kind: &str, tab_id: i32) -> String {
    let mut name = String::from(kind);
    name.push(':');
    name.push_str(&tab_id.to_string());
    name
}

fn host_timer(id: u32) -> String {
    let mut name = String::from("host:");
    name.push_str(&id.to_string());
    name
}

/// Whether a page still shows the same kind of thing, as far as waiting for it is concerned.
fn is_same_kind(before: View, after: View) -> bool {
    let is_empty = |view| matches!(view, View::Loading | View::Unknown);
    let is_moving = |view| matches!(view, View::Busy | View::Sliding);
    before == after || (is_empty(before) && is_empty(after)) || (is_moving(before) && is_moving(after))
}

/// Where Microsoft sends an account that must register a second factor.
fn is_registration(url: &str) -> bool {
    ["https://mysignins.microsoft.com", "https://account.activedirectory.windowsazure.com"]
        .iter()
        .any(|origin| url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#'])))
}

fields!(State {
    next_request,
    next_act,
    tenants,
    leases,
    flows,
    activations,
    host_problem,
    openings,
    unconfirmed,
    warned,
    filled,
    saving_off
});
fields!(Opening { act, tenant_id, url, place, tab_id, until });
fields!(HostProblem { title, advice, detail });

fields!(Activation { tenant_id, wish, created, wanted, failure; ; request, reveal });
