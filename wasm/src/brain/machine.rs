//! The machine: takes events, keeps what is known about the host, the tenants, the tabs and the sign-ins, and lets
//! [`super::decide`] say what to do on a page.
//!
//! Trust is decided here and only here: a page counts when the browser's sender record puts it in the top frame of a tab at an exact
//! sign-in origin. Everything that writes or clicks is bound to that document.

use latchkey_protocol::{
    Document, ErrorBody, ErrorCode, Hello, HostFrame, LeaseState, LeaseSummary, PROTOCOL_VERSION, Progress, Reply,
    Request, RequestFrame, RequestId, Secret, Step as HostStep, TenantHint, TenantSummary, cloud::SignInOrigin,
};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Unprinted, address,
    decide::{self, Decision, Grant, Page},
    effect::{Effect, Icon},
    event::{Action, Event, EventFrame, Outcome, PageSeen},
    few::Few,
    flow::{Act, Acting, Asking, Flow, Over, Pressed, Purpose, Reason, Step, key_of},
    page::View,
    snapshot::Snapshot,
};
use crate::{
    elements::ElementKey,
    json::{Read, fields, member, read_text},
    popup::view::StepProgress,
    words::{Text, Word},
};

const HELLO_MS: u32 = 5_000;
const LOOK_UP_MS: u32 = 10_000;
const FILL_MS: u32 = 10_000;
// Creating an account can wait for replication.
const START_MS: u32 = 180_000;
const END_MS: u32 = 60_000;
const ACT_MS: i64 = 5_000;
const SILENT_PAGE_MS: i64 = 5_000;
const AWAY_MS: i64 = 60_000;
const IDLE_MS: i64 = 5_000;
/// How long the host stays started, and so warm, after a sign-in page appeared.
const WARM_MS: i64 = 60_000;
const MINUTE_MS: i64 = 60_000;
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

/// The alarm that moves the badge on.
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
    /// The view that the popup has, as JSON.
    pub(super) shown: Option<String>,
    pub(super) icons: Few<i32, Icon>,
    pub(super) everywhere: Option<(Icon, String)>,
    wakes: Few<String, i64>,
    warm_until: i64,
    saved: String,
    pub(super) now: i64,
    out: Vec<Effect>,
}

/// What outlives the worker. Nothing secret.
#[derive(Default, Serialize)]
pub(super) struct State {
    next_request: u32,
    next_act: u32,
    pub(super) tenants: Option<Vec<TenantSummary>>,
    pub(super) leases: Vec<LeaseSummary>,
    pub(super) flows: Vec<Flow>,
    pub(super) activations: Vec<Activation>,
    pub(super) host_problem: Option<HostProblem>,
    /// Documents that were given a secret, by any sign-in: none is given a second one.
    filled: Vec<String>,
}

/// An activation that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Activation {
    pub(super) tenant_id: Uuid,
    minutes: Option<u32>,
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
}

#[derive(Clone, Debug, PartialEq)]
enum Asked {
    Hello,
    Tenants(Option<TenantHint>),
    Start(Uuid),
    Fill(i32),
    Reveal { lease_id: Uuid, again: bool },
    Confirm,
    End,
    Leases,
}

impl Brain {
    /// A brain, from an earlier [`Self::state`] or fresh. A state that cannot be read counts as none.
    #[must_use]
    pub fn new(state: Option<&str>, extension_version: &str) -> Self {
        let mut state: State = state.and_then(read_text).unwrap_or_default();
        for lease in &mut state.leases {
            // The host that held it was started by a worker that is gone.
            lease.credential_held = false;
        }
        for document in state.flows.iter_mut().flat_map(|flow| &mut flow.documents) {
            // Asked for and never filled: the answer died with the worker.
            if document.secret_filled.is_none() {
                document.secret_asked = None;
            }
        }
        Self {
            state,
            extension_version: extension_version.to_owned(),
            link: Link::Closed,
            queue: Vec::new(),
            pending: Vec::new(),
            pages: Few::new(),
            popup: None,
            shown: None,
            icons: Few::new(),
            everywhere: None,
            wakes: Few::new(),
            warm_until: 0,
            saved: String::new(),
            now: 0,
            out: Vec::new(),
        }
    }

    /// What must outlive the worker, as JSON. Nothing secret.
    #[must_use]
    pub fn state(&self) -> String {
        serde_json::to_string(&self.state).unwrap_or_default()
    }

    /// Takes one event.
    pub fn on_event(&mut self, frame: EventFrame) -> Vec<Effect> {
        // A clock that is out of all bounds must not make sums overflow.
        self.now = frame.now.clamp(0, LAST_MOMENT);
        match frame.event {
            Event::WorkerStarted {} => self.worker_started(),
            Event::PageSeen(seen) => self.page_seen(seen),
            Event::TabNavigated { tab_id, url } => self.tab_navigated(tab_id, url.as_deref()),
            Event::TabClosed { tab_id } => self.tab_closed(tab_id),
            Event::PopupOpened { tab_id, url } => self.popup_opened(tab_id, url),
            Event::PopupClosed {} => {
                self.popup = None;
                self.shown = None;
            }
            Event::PopupAction { action } => self.popup_action(action),
            Event::HostMessage { frame } => self.host_message(frame),
            Event::HostGone { reason } => self.host_gone(reason.as_deref()),
            Event::TimerRang { name } => self.timer_rang(&name),
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
        if !self.state.leases.is_empty() {
            self.ask_leases();
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
        if let Some(flow) = running(&mut self.state.flows, tab_id) {
            flow.away = false;
            let page_id = snapshot.page_id.clone().unwrap_or_default();
            if flow.documents.len() >= MAXIMUM_DOCUMENTS {
                flow.finish(Over::GivenUp, Text::of(Word::PageLoop));
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
        if url.and_then(SignInOrigin::of_address).is_some() {
            if let Some(flow) = running(&mut self.state.flows, tab_id) {
                flow.away = false;
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
            flow.away = true;
            flow.acting = None;
            flow.asking = None;
            flow.pressed = None;
            self.wake_at(name_of("gone", tab_id), self.now + AWAY_MS);
        }
    }

    fn signed_in(&mut self, tab_id: i32, over: Over) {
        let Some(flow) = running(&mut self.state.flows, tab_id) else {
            return;
        };
        let word = if over == Over::Registration { Word::PageRegistration } else { Word::SignedIn };
        flow.finish(over, Text::of(word));
        if let Some(lease_id) = flow.lease_id {
            self.ask(Asked::Confirm, Request::ConfirmSignIn { lease_id }, LOOK_UP_MS);
        }
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
        let arrived = outcome == Outcome::Done;
        match acting.what {
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
                        Purpose::DoNotStay => Some(Step::Stay),
                        _ => None,
                    };
                    if let Some(step) = step {
                        flow.step(step, StepProgress::Done);
                    }
                } else {
                    flow.pressed = None;
                    let document = flow.document_mut(document_id);
                    document.attempts += 1;
                    if purpose == Purpose::Submit {
                        document.submitted = false;
                    }
                }
            }
        }
        self.forget_wake(&name_of("act", tab_id));
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
                    flow.document_mut(&acting.document_id).attempts += 1;
                    if matches!(acting.what, Act::Press(_)) {
                        flow.pressed = None;
                    }
                    self.out.push(Effect::Look { tab_id });
                }
            }
            ("gone", Ok(tab_id)) => {
                if let Some(flow) = running(&mut self.state.flows, tab_id)
                    && flow.away
                {
                    flow.finish(Over::GivenUp, Text::of(Word::PageElsewhere));
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
            (ALARM_WATCH, _) => self.ask_leases(),
            // `page` and `badge` only wake the machine: settling does the rest.
            _ => {}
        }
    }

    // ---- what the technician did ----

    fn popup_opened(&mut self, tab_id: Option<i32>, url: Option<String>) {
        self.state.host_problem = None;
        let on_sign_in = url.as_deref().and_then(SignInOrigin::of_address).is_some();
        let known = tab_id.and_then(|tab_id| self.pages.get(&tab_id));
        if let Some(tab_id) = tab_id
            && on_sign_in
            && known.is_none()
        {
            self.out.push(Effect::Look { tab_id });
        }
        let hint = if on_sign_in {
            let post_url = known.and_then(|page| page.snapshot.post_url.as_deref());
            url.as_deref().map(|url| address::hint(url, post_url))
        } else {
            None
        };
        self.popup = Some(Popup { tab_id, url, ..Popup::default() });
        self.shown = None;
        self.ask_tenants(hint);
    }

    fn popup_action(&mut self, action: Action) {
        let tab_id = self.popup.as_ref().and_then(|popup| popup.tab_id);
        if let Some(popup) = &mut self.popup {
            popup.failure = None;
        }
        match action {
            Action::Choose { tenant_id } => self.choose(Some(tenant_id)),
            Action::List {} => {
                self.state.flows.retain(|flow| Some(flow.tab_id) != tab_id || flow.is_running());
                self.choose(None);
            }
            Action::Start { tenant_id, minutes } => self.start(tenant_id, minutes),
            Action::SignIn { tenant_id } => self.start(tenant_id, None),
            Action::EndNow { lease_id } => self.end_now(lease_id),
            Action::Reveal { lease_id } => self.reveal(lease_id),
            Action::StopSignIn {} => {
                self.state.flows.retain(|flow| Some(flow.tab_id) != tab_id);
            }
            Action::OpenPortal { tenant_id, portal } => {
                let url = self.tenant(tenant_id).and_then(|tenant| {
                    tenant.cloud.hosts().portals.get(usize::try_from(portal).ok()?).map(|(_, url)| (*url).to_owned())
                });
                if let Some(url) = url {
                    self.out.push(Effect::OpenTab { url });
                }
            }
            Action::Retry {} => self.retry(),
        }
    }

    fn choose(&mut self, tenant_id: Option<Uuid>) {
        if let Some(popup) = &mut self.popup {
            popup.chosen = tenant_id;
            popup.listing = tenant_id.is_none();
        }
    }

    fn start(&mut self, tenant_id: Uuid, minutes: Option<u32>) {
        let Some(tenant) = self.tenant(tenant_id).cloned() else {
            return;
        };
        self.choose(Some(tenant_id));
        let tab = self.popup.as_ref().and_then(|popup| {
            let on_sign_in = popup.url.as_deref().and_then(SignInOrigin::of_address).is_some();
            popup.tab_id.filter(|tab_id| on_sign_in || self.pages.contains_key(tab_id))
        });
        if let Some(tab_id) = tab {
            let is_under_way =
                running(&mut self.state.flows, tab_id).is_some_and(|flow| flow.tenant_id == tenant_id && !flow.away);
            if is_under_way {
                return;
            }
            self.state.flows.retain(|flow| flow.tab_id != tab_id);
            if self.state.flows.len() >= MAXIMUM_FLOWS {
                self.state.flows.retain(Flow::is_running);
            }
            let mut flow = Flow::new(tab_id, &tenant);
            flow.step(Step::Activate, StepProgress::Running);
            if let Some(page) = self.pages.get_mut(&tab_id) {
                let document = flow.document_mut(&page.document_id);
                document.page_id = page.snapshot.page_id.clone().unwrap_or_default();
                page.since = self.now;
            }
            self.state.flows.push(flow);
            self.out.push(Effect::Look { tab_id });
            if !self.pages.contains_key(&tab_id) {
                self.wake_at(name_of("silent", tab_id), self.now + SILENT_PAGE_MS);
            }
        }
        let activation = self.activation_mut(tenant_id);
        activation.minutes = minutes;
        activation.failure = None;
        activation.wanted = true;
        self.ask_start(tenant_id);
    }

    fn end_now(&mut self, lease_id: Uuid) {
        self.state.flows.retain(|flow| flow.lease_id != Some(lease_id));
        if let Some(lease) = self.state.leases.iter_mut().find(|lease| lease.lease_id == lease_id) {
            lease.state = LeaseState::Ending;
            let tenant_id = lease.tenant_id;
            self.state.activations.retain(|activation| activation.tenant_id != tenant_id);
        }
        self.ask(Asked::End, Request::EndLease { lease_id }, END_MS);
    }

    fn reveal(&mut self, lease_id: Uuid) {
        let Some(lease) = self.state.leases.iter().find(|lease| lease.lease_id == lease_id) else {
            return;
        };
        if lease.credential_held && self.link == Link::Ready {
            self.ask(Asked::Reveal { lease_id, again: false }, Request::RevealCredential { lease_id }, LOOK_UP_MS);
        } else {
            self.renew_and_reveal(lease.tenant_id);
        }
    }

    fn renew_and_reveal(&mut self, tenant_id: Uuid) {
        let activation = self.activation_mut(tenant_id);
        activation.reveal = true;
        activation.failure = None;
        activation.wanted = true;
        self.ask_start(tenant_id);
    }

    fn retry(&mut self) {
        self.state.host_problem = None;
        let Some(popup) = &self.popup else {
            return;
        };
        let (tab_id, chosen) = (popup.tab_id, popup.chosen);
        let document_id = tab_id.and_then(|tab_id| self.pages.get(&tab_id)).map(|page| page.document_id.clone());
        let mut tenant_id = chosen;
        if let Some(flow) = tab_id.and_then(|tab_id| self.state.flows.iter_mut().find(|flow| flow.tab_id == tab_id)) {
            tenant_id = Some(flow.tenant_id);
            if flow.over == Some(Over::GivenUp) {
                let tenant_id = flow.tenant_id;
                self.start(tenant_id, None);
                return;
            }
            if flow.can_retry && !flow.allowed_once {
                flow.allowed = document_id;
                flow.allowed_once = true;
                flow.pressed = None;
                flow.waits = Default::default();
                flow.needs_person = false;
            }
            flow.starts = 0;
        }
        match tenant_id {
            Some(tenant_id)
                if self
                    .state
                    .activations
                    .iter()
                    .any(|one| one.tenant_id == tenant_id && (one.failure.is_some() || one.wanted)) =>
            {
                let activation = self.activation_mut(tenant_id);
                activation.failure = None;
                activation.wanted = true;
                self.ask_start(tenant_id);
            }
            _ => self.ask_tenants(None),
        }
    }

    // ---- the host ----

    fn ask(&mut self, asked: Asked, request: Request, deadline: u32) -> u32 {
        if self.link == Link::Closed {
            self.link = Link::Greeting;
            self.out.push(Effect::ConnectHost {});
            let hello = Hello { protocol: PROTOCOL_VERSION, extension_version: self.extension_version.clone() };
            let frame = self.frame(Asked::Hello, Request::Hello(hello), HELLO_MS);
            self.out.push(Effect::AskHost { frame });
        }
        let frame = self.frame(asked, request, deadline);
        let id = frame.id.0;
        if self.link == Link::Ready {
            self.out.push(Effect::AskHost { frame });
        } else {
            self.queue.push(frame);
        }
        id
    }

    fn frame(&mut self, asked: Asked, request: Request, deadline: u32) -> RequestFrame {
        // Timers carry the number as an i32.
        self.state.next_request = self.state.next_request % 1_000_000_000 + 1;
        let id = self.state.next_request;
        self.pending.push(Pending { id, asked });
        self.out.push(Effect::SetTimer { name: host_timer(id), after: deadline });
        RequestFrame { id: RequestId(id), request }
    }

    fn ask_tenants(&mut self, hint: Option<TenantHint>) {
        let asked = Asked::Tenants(hint.clone());
        if !self.pending.iter().any(|pending| pending.asked == asked) {
            self.ask(asked, Request::ListTenants { hint }, LOOK_UP_MS);
        }
    }

    fn ask_leases(&mut self) {
        if !self.pending.iter().any(|pending| pending.asked == Asked::Leases) {
            self.ask(Asked::Leases, Request::ListLeases {}, LOOK_UP_MS);
        }
    }

    fn ask_start(&mut self, tenant_id: Uuid) {
        let activation = self.activation_mut(tenant_id);
        if activation.request.is_some() {
            return;
        }
        let minutes = activation.minutes;
        let request = Request::StartLease { tenant_id, minutes, reason: None };
        let id = self.ask(Asked::Start(tenant_id), request, START_MS);
        self.activation_mut(tenant_id).request = Some(id);
        for flow in self.state.flows.iter_mut().filter(|flow| flow.tenant_id == tenant_id && flow.is_running()) {
            flow.starts += 1;
        }
    }

    fn host_message(&mut self, frame: Option<HostFrame>) {
        let Some(frame) = frame else {
            self.host_failed(Word::HostGarbled, Word::HostGarbledAdvice, None);
            return;
        };
        match frame {
            HostFrame::Reply { id: RequestId(id), reply } => {
                if let Some(asked) = self.answered(id) {
                    self.replied(id, asked, reply);
                }
            }
            HostFrame::Error { id: Some(RequestId(id)), error } => {
                if let Some(asked) = self.answered(id) {
                    self.refused(asked, error);
                }
            }
            HostFrame::Error { id: None, .. } => self.host_failed(Word::HostGarbled, Word::HostGarbledAdvice, None),
            HostFrame::Progress { id: RequestId(id), progress } => self.progressed(id, &progress),
            HostFrame::LeaseChanged { lease } => self.lease_changed(lease),
        }
    }

    fn answered(&mut self, id: u32) -> Option<Asked> {
        let place = self.pending.iter().position(|pending| pending.id == id)?;
        self.out.push(Effect::ClearTimer { name: host_timer(id) });
        Some(self.pending.swap_remove(place).asked)
    }

    fn replied(&mut self, id: u32, asked: Asked, reply: Reply) {
        match (asked, reply) {
            (Asked::Hello, Reply::Welcome(welcome)) => {
                if welcome.protocol != PROTOCOL_VERSION {
                    self.host_failed(Word::HostVersion, Word::HostVersionAdvice, None);
                    return;
                }
                self.link = Link::Ready;
                self.state.host_problem = None;
                for frame in std::mem::take(&mut self.queue) {
                    self.out.push(Effect::AskHost { frame });
                }
            }
            (Asked::Tenants(_), Reply::Tenants { tenants, recognized }) => {
                self.sync_leases(tenants.iter().filter_map(|tenant| tenant.lease.clone()).collect());
                self.state.tenants = Some(tenants);
                if let Some(popup) = &mut self.popup
                    && recognized.is_some()
                {
                    popup.recognized = recognized;
                }
            }
            (Asked::Start(tenant_id), Reply::Lease { lease }) => self.started(tenant_id, lease),
            (Asked::Fill(tab_id), Reply::Secret(secret)) => self.fill_secret(tab_id, id, secret),
            (Asked::Reveal { lease_id, .. }, Reply::Secret(secret)) => {
                if self.popup.is_some() && secret.lease_id == lease_id {
                    self.out.push(Effect::ShowSecret {
                        credential: secret.credential,
                        user_name: secret.user_name,
                        value: Unprinted(secret.value),
                    });
                }
            }
            (Asked::Confirm | Asked::End, Reply::Lease { lease }) => self.lease_changed(lease),
            (Asked::Leases, Reply::Leases { leases }) => self.sync_leases(leases),
            _ => self.host_failed(Word::HostGarbled, Word::HostGarbledAdvice, None),
        }
    }

    fn started(&mut self, tenant_id: Uuid, lease: LeaseSummary) {
        let lease_id = lease.lease_id;
        let is_usable = lease.credential_held && lease.credential.is_some();
        let activation = self.activation_mut(tenant_id);
        activation.request = None;
        activation.wanted = false;
        let reveal = std::mem::take(&mut activation.reveal);
        for flow in self.state.flows.iter_mut().filter(|flow| flow.tenant_id == tenant_id && flow.is_running()) {
            flow.lease_id = Some(lease_id);
            flow.step(Step::Activate, StepProgress::Done);
        }
        self.lease_changed(lease);
        if !is_usable {
            // A lease without a credential in hand would be asked for over and over.
            self.activation_mut(tenant_id).failure = Some(ErrorBody::new(
                ErrorCode::CredentialGone,
                "The host holds no credential for this lease.",
                "Try again.",
            ));
        } else if reveal {
            self.ask(Asked::Reveal { lease_id, again: true }, Request::RevealCredential { lease_id }, LOOK_UP_MS);
        }
    }

    /// The one place where a secret passes: from the host's answer into one effect, or dropped.
    fn fill_secret(&mut self, tab_id: i32, request: u32, secret: Secret) {
        let Some(flow) = running(&mut self.state.flows, tab_id) else {
            return;
        };
        let Some(asking) = flow.asking.take_if(|asking| asking.request == request) else {
            return;
        };
        let Some(page) = self.pages.get(&tab_id) else {
            return;
        };
        let is_wanted = page.document_id == asking.document_id
            && Some(secret.lease_id) == flow.lease_id
            && secret.credential == asking.field.takes()
            && decide::is_same_account(&secret.user_name, &flow.user_name)
            && page.view == view_of(asking.field)
            && flow.cloud.signs_in_at(&page.origin)
            && flow.acting.is_none()
            && decide::field_for_secret(flow, page, asking.field).is_ok();
        if !is_wanted {
            return;
        }
        let document = flow.document_mut(&asking.document_id);
        if document.secret_filled.is_some() {
            return;
        }
        document.secret_filled = Some(asking.field);
        if self.state.filled.len() >= MAXIMUM_FILLED {
            self.state.filled.remove(0);
        }
        self.state.filled.push(asking.document_id.clone());
        let value = Unprinted(secret.value);
        self.act(tab_id, Act::FillSecret(asking.field), |act, page| Effect::Fill {
            tab_id,
            document_id: page.document_id.clone(),
            act,
            origin: page.origin.to_string(),
            fingerprint: page.snapshot.fingerprint.clone(),
            key: key_of(asking.field),
            value,
        });
    }

    fn refused(&mut self, asked: Asked, error: ErrorBody) {
        match asked {
            Asked::Hello => {
                let (title, advice) = match error.code {
                    ErrorCode::UnsupportedProtocol => (Word::HostVersion, Word::HostVersionAdvice),
                    ErrorCode::CallerNotAllowed => (Word::HostForbidden, Word::HostForbiddenAdvice),
                    _ => (Word::HostExited, Word::HostExitedAdvice),
                };
                self.host_failed(title, advice, Some(error.message));
            }
            Asked::Start(tenant_id) => {
                let activation = self.activation_mut(tenant_id);
                activation.request = None;
                activation.wanted = false;
                activation.reveal = false;
                activation.failure = Some(error);
            }
            Asked::Fill(tab_id) => self.fill_refused(tab_id, error),
            Asked::Reveal { lease_id, again: false } if error.code == ErrorCode::CredentialGone => {
                if let Some(lease) = self.state.leases.iter_mut().find(|lease| lease.lease_id == lease_id) {
                    lease.credential_held = false;
                    let tenant_id = lease.tenant_id;
                    self.renew_and_reveal(tenant_id);
                }
            }
            Asked::Tenants(_) | Asked::Reveal { .. } | Asked::End => {
                if let Some(popup) = &mut self.popup {
                    popup.failure = Some(error);
                }
                if asked == Asked::End {
                    self.ask_leases();
                }
            }
            Asked::Confirm | Asked::Leases => self.log("the host refused a question about leases"),
        }
    }

    fn fill_refused(&mut self, tab_id: i32, error: ErrorBody) {
        let Some(flow) = running(&mut self.state.flows, tab_id) else {
            return;
        };
        let Some(asking) = flow.asking.take() else {
            return;
        };
        if matches!(error.code, ErrorCode::CredentialGone | ErrorCode::LeaseNotUsable) && flow.starts < MAXIMUM_STARTS {
            // Nothing was handed out, so asking again for this document is no second fill.
            flow.document_mut(&asking.document_id).secret_asked = None;
            let lease_id = flow.lease_id;
            if let Some(lease) = self.state.leases.iter_mut().find(|lease| Some(lease.lease_id) == lease_id) {
                lease.credential_held = false;
            }
            return;
        }
        let tenant_id = flow.tenant_id;
        self.activation_mut(tenant_id).failure = Some(error);
    }

    fn progressed(&mut self, id: u32, progress: &Progress) {
        if let Some(activation) = self.state.activations.iter_mut().find(|activation| activation.request == Some(id))
            && progress.step == HostStep::CreateAccount
        {
            activation.created = true;
        }
    }

    fn host_timed_out(&mut self, id: u32) {
        let Some(place) = self.pending.iter().position(|pending| pending.id == id) else {
            return;
        };
        let pending = self.pending.swap_remove(place);
        if pending.asked == Asked::Hello {
            self.host_failed(Word::HostSilent, Word::HostSilentAdvice, None);
            return;
        }
        let error = ErrorBody::new(
            ErrorCode::DeadlineExceeded,
            "The Latchkey program did not answer in time.",
            "Try again; if it stays silent, run “latchkey doctor”.",
        );
        self.refused(pending.asked, error);
    }

    fn host_gone(&mut self, reason: Option<&str>) {
        let was_ready = self.link == Link::Ready;
        let was_in_use = self.needs_host();
        let (title, advice) = why_gone(reason);
        self.link_lost();
        // A host that died while it worked is started again by the sign-in that needs it, some times; one that cannot be
        // started is not, and one that nobody needs may stop.
        let is_revived = self.state.flows.iter().any(Flow::is_running);
        if !was_ready || (was_in_use && !is_revived) {
            self.state.host_problem = Some(HostProblem {
                title: Text::of(title),
                advice: Text::of(advice),
                detail: reason.map(str::to_owned),
            });
        }
    }

    /// The host says something that makes no sense: it is left.
    fn host_failed(&mut self, title: Word, advice: Word, detail: Option<String>) {
        self.out.push(Effect::DisconnectHost {});
        self.link_lost();
        self.state.host_problem = Some(HostProblem { title: Text::of(title), advice: Text::of(advice), detail });
    }

    fn link_lost(&mut self) {
        self.link = Link::Closed;
        self.queue.clear();
        for pending in std::mem::take(&mut self.pending) {
            self.out.push(Effect::ClearTimer { name: host_timer(pending.id) });
        }
        for lease in &mut self.state.leases {
            lease.credential_held = false;
        }
        for activation in &mut self.state.activations {
            activation.request = None;
        }
        for flow in self.state.flows.iter_mut().filter(|flow| flow.is_running()) {
            if let Some(asking) = flow.asking.take() {
                flow.document_mut(&asking.document_id).secret_asked = None;
            }
        }
    }

    fn needs_host(&self) -> bool {
        !self.pending.is_empty() || self.popup.is_some() || self.state.flows.iter().any(Flow::is_running)
    }

    // ---- leases ----

    fn lease_changed(&mut self, lease: LeaseSummary) {
        self.lease_seen(&lease);
        self.state.leases.retain(|known| known.lease_id != lease.lease_id && known.tenant_id != lease.tenant_id);
        if !lease.state.is_closed() {
            self.state.leases.push(lease);
        }
    }

    fn sync_leases(&mut self, leases: Vec<LeaseSummary>) {
        let gone: Vec<_> = self
            .state
            .leases
            .iter()
            .filter(|known| !leases.iter().any(|lease| lease.lease_id == known.lease_id))
            .cloned()
            .collect();
        for mut lease in gone {
            lease.state = LeaseState::Ended;
            self.lease_seen(&lease);
        }
        for lease in &leases {
            self.lease_seen(lease);
        }
        self.state.leases = leases.into_iter().filter(|lease| !lease.state.is_closed()).collect();
    }

    /// Tells what is new about a lease, and ends the sign-ins that lived on one that is over.
    fn lease_seen(&mut self, lease: &LeaseSummary) {
        let before = self.state.leases.iter().find(|known| known.lease_id == lease.lease_id).map(|known| known.state);
        let notice = match lease.state {
            LeaseState::Ended => Some(Word::EndedNotice),
            LeaseState::Stuck => Some(Word::StuckNotice),
            _ => None,
        };
        if let Some(word) = notice
            && before.is_some_and(|before| before != lease.state)
        {
            self.out.push(Effect::Notify { text: Text::with(word, &lease.tenant_name) });
        }
        if !matches!(
            lease.state,
            LeaseState::Active | LeaseState::Usable | LeaseState::Requested | LeaseState::Activating
        ) {
            let over =
                self.state.flows.iter_mut().filter(|flow| flow.lease_id == Some(lease.lease_id) && flow.is_running());
            for flow in over {
                flow.finish(Over::GivenUp, Text::with(Word::EndedNotice, &lease.tenant_name));
            }
        }
    }

    fn grant(&self, tenant_id: Uuid) -> Grant {
        let activation = self.state.activations.iter().find(|activation| activation.tenant_id == tenant_id);
        let held = self.state.leases.iter().find(|lease| {
            lease.tenant_id == tenant_id
                && matches!(lease.state, LeaseState::Active | LeaseState::Usable)
                && lease.credential_held
                && lease.until > self.now
        });
        if let Some(lease) = held
            && let Some(credential) = lease.credential
        {
            let created = activation.is_some_and(|activation| activation.created);
            return Grant::Held { lease_id: lease.lease_id, credential, created };
        }
        if activation.is_some_and(|activation| activation.request.is_some()) { Grant::Pending } else { Grant::None }
    }

    fn activation_mut(&mut self, tenant_id: Uuid) -> &mut Activation {
        let activations = &mut self.state.activations;
        let place = activations.iter().position(|activation| activation.tenant_id == tenant_id).unwrap_or_else(|| {
            activations.push(Activation {
                tenant_id,
                minutes: None,
                created: false,
                request: None,
                wanted: false,
                reveal: false,
                failure: None,
            });
            activations.len() - 1
        });
        &mut activations[place]
    }

    pub(super) fn tenant(&self, tenant_id: Uuid) -> Option<&TenantSummary> {
        self.state.tenants.as_ref()?.iter().find(|tenant| tenant.tenant_id == tenant_id)
    }

    // ---- after every event ----

    fn settle(&mut self) {
        for tab_id in self.running_tabs() {
            self.renew(tab_id);
            self.advance(tab_id);
        }
        self.watch_leases();
        self.present();
        self.rest();
        let state = self.state();
        if state != self.saved {
            self.saved = state;
            self.out.push(Effect::SaveState {});
        }
    }

    /// Sees to it that a running sign-in has a lease coming: after a death of the worker or the host the open one is answered
    /// again. One that is over is never replaced without a click.
    fn renew(&mut self, tab_id: i32) {
        let Some(flow) = running(&mut self.state.flows, tab_id) else {
            return;
        };
        let (tenant_id, starts) = (flow.tenant_id, flow.starts);
        if let Some(lease_id) = flow.lease_id {
            let is_live = self.state.leases.iter().any(|lease| {
                lease.lease_id == lease_id
                    && lease.until > self.now
                    && matches!(lease.state, LeaseState::Active | LeaseState::Usable)
            });
            if !is_live {
                let text = Text::with(Word::EndedNotice, &flow.tenant_name);
                flow.finish(Over::GivenUp, text);
                return;
            }
        }
        let failed = self.state.activations.iter().any(|one| one.tenant_id == tenant_id && one.failure.is_some());
        if self.grant(tenant_id) != Grant::None || failed || self.state.host_problem.is_some() {
            return;
        }
        if starts < MAXIMUM_STARTS {
            self.ask_start(tenant_id);
        } else {
            self.activation_mut(tenant_id).failure = Some(ErrorBody::new(
                ErrorCode::CredentialGone,
                "The Latchkey program stopped again and again.",
                "Run “latchkey doctor”, then try again.",
            ));
        }
    }

    fn advance(&mut self, tab_id: i32) {
        // A wait that begins leads to a second decision; more than two in a row cannot happen.
        for _ in 0..3 {
            let now = self.now;
            let Some(page) = self.pages.get(&tab_id) else {
                if let Some(flow) = running(&mut self.state.flows, tab_id)
                    && flow.away
                {
                    flow.status = Text::of(Word::PageElsewhere);
                    flow.needs_person = true;
                }
                return;
            };
            let Some(tenant_id) = running(&mut self.state.flows, tab_id).map(|flow| flow.tenant_id) else {
                return;
            };
            let grant = self.grant(tenant_id);
            let failure = self
                .state
                .activations
                .iter()
                .find(|activation| activation.tenant_id == tenant_id)
                .and_then(|activation| activation.failure.as_ref());
            let Some(flow) = self.state.flows.iter_mut().find(|flow| flow.tab_id == tab_id) else {
                return;
            };
            if let Some(error) = failure {
                flow.status = Text::error(error);
                flow.needs_person = true;
                flow.can_retry = true;
                flow.step(Step::Activate, StepProgress::Failed);
                return;
            }
            if let Some(problem) = &self.state.host_problem
                && grant == Grant::None
                && !flow.submitted
            {
                flow.status = problem.title.clone();
                flow.needs_person = true;
                flow.can_retry = true;
                return;
            }
            if let Grant::Held { lease_id, .. } = grant {
                flow.lease_id = Some(lease_id);
                flow.step(Step::Activate, StepProgress::Done);
            }
            let decision = decide::decide(flow, grant, page, now);
            flow.needs_person = false;
            flow.can_retry = false;
            match decision {
                Decision::Again(reason, about, text) => {
                    if flow.wait_again(reason, about, now) {
                        continue;
                    }
                    flow.status = text;
                    flow.needs_person = true;
                    flow.can_retry = !flow.allowed_once;
                    flow.step(Step::Credential, StepProgress::Failed);
                }
                Decision::WaitUntil(until, reason) => {
                    let tries = flow.wait(reason).tries;
                    let seconds = (until - now + 999) / 1000;
                    flow.status = match reason {
                        Reason::PassNotOffered => Text::of(Word::StatusSwitching),
                        _ => Text {
                            key: Word::StatusNotYet.key().to_owned(),
                            args: vec![seconds.to_string(), (tries + 1).to_string()],
                        },
                    };
                    let step = if reason == Reason::UnknownUser { Step::Next } else { Step::Credential };
                    flow.step(step, StepProgress::Retrying);
                    // Once a second, so that the seconds that the popup shows are true.
                    self.wake_at(name_of("page", tab_id), until.min(now + 1000));
                }
                Decision::Wait(text) => {
                    flow.status = text;
                    let limit = match page.view {
                        View::Loading | View::Unknown => decide::UNKNOWN_AFTER_MS,
                        View::Password | View::AccessPass if page.snapshot.identity.is_none() => {
                            decide::UNKNOWN_AFTER_MS
                        }
                        _ => decide::STALLED_AFTER_MS,
                    };
                    let at = page.since + limit;
                    if at > now {
                        self.wake_at(name_of("page", tab_id), at);
                    }
                }
                Decision::Tell(text, can_retry) => {
                    flow.status = text;
                    flow.needs_person = true;
                    flow.can_retry = can_retry;
                }
                Decision::FillUserName => self.fill_user_name(tab_id),
                Decision::AskSecret(..) if self.state.filled.contains(&page.document_id) => {
                    flow.status = Text::of(Word::PageChanging);
                    flow.needs_person = true;
                }
                Decision::AskSecret(lease_id, field) => {
                    flow.status = Text::of(Word::StatusFilling);
                    flow.step(Step::Credential, StepProgress::Running);
                    let document_id = page.document_id.clone();
                    let document =
                        Document { tab_id, document_id: document_id.clone(), origin: page.origin.to_string() };
                    flow.document_mut(&document_id).secret_asked = Some(field);
                    let request = Request::FillCredential { lease_id, field, document };
                    let request = self.ask(Asked::Fill(tab_id), request, FILL_MS);
                    if let Some(flow) = running(&mut self.state.flows, tab_id) {
                        flow.asking = Some(Asking { request, document_id, field });
                    }
                }
                Decision::Press(key, tile, purpose) => self.press(tab_id, key, tile, purpose),
            }
            return;
        }
    }

    fn fill_user_name(&mut self, tab_id: i32) {
        let Some(flow) = running(&mut self.state.flows, tab_id) else {
            return;
        };
        flow.status = Text::of(Word::StatusFilling);
        flow.step(Step::UserName, StepProgress::Running);
        let value = Unprinted(flow.user_name.clone());
        self.act(tab_id, Act::FillUserName, |act, page| Effect::Fill {
            tab_id,
            document_id: page.document_id.clone(),
            act,
            origin: page.origin.to_string(),
            fingerprint: page.snapshot.fingerprint.clone(),
            key: ElementKey::UserName,
            value,
        });
    }

    fn press(&mut self, tab_id: i32, key: ElementKey, tile: Option<String>, purpose: Purpose) {
        let (Some(flow), Some(page)) = (running(&mut self.state.flows, tab_id), self.pages.get_mut(&tab_id)) else {
            return;
        };
        page.since = self.now;
        flow.presses += 1;
        flow.pressed = Some(Pressed { document_id: page.document_id.clone(), view: page.view, purpose });
        flow.status = Text::of(match purpose {
            Purpose::Next | Purpose::Submit | Purpose::DoNotStay => Word::StatusSubmitted,
            _ => Word::StatusSwitching,
        });
        let document = flow.document_mut(&page.document_id);
        match purpose {
            Purpose::Next => {
                document.nexts += 1;
                flow.allowed = None;
                if flow.steps[Step::UserName as usize] == StepProgress::Waiting {
                    // It stood there already.
                    flow.step(Step::UserName, StepProgress::Done);
                }
                flow.step(Step::Next, StepProgress::Running);
            }
            Purpose::Submit => {
                document.submitted = true;
                flow.submitted = true;
            }
            Purpose::BackForPass | Purpose::BackForAccount => {
                document.backs += 1;
                flow.detours += 1;
            }
            Purpose::ToCredentials => flow.detours += 1,
            Purpose::AccountTile => flow.submitted = true,
            Purpose::DoNotStay => flow.step(Step::Stay, StepProgress::Running),
            _ => {}
        }
        self.act(tab_id, Act::Press(purpose), |act, page| Effect::Click {
            tab_id,
            document_id: page.document_id.clone(),
            act,
            origin: page.origin.to_string(),
            fingerprint: page.snapshot.fingerprint.clone(),
            key,
            tile,
        });
    }

    fn act(&mut self, tab_id: i32, what: Act, effect: impl FnOnce(u32, &Page) -> Effect) {
        let (Some(flow), Some(page)) = (running(&mut self.state.flows, tab_id), self.pages.get(&tab_id)) else {
            return;
        };
        self.state.next_act = self.state.next_act.wrapping_add(1);
        let act = self.state.next_act;
        if what == Act::FillUserName {
            flow.document_mut(&page.document_id).user_name_filled = true;
        }
        flow.acting = Some(Acting { act, document_id: page.document_id.clone(), what });
        self.out.push(effect(act, page));
        self.wake_at(name_of("act", tab_id), self.now + ACT_MS);
    }

    /// Alarms outlive the worker: one moves the badge on, one looks whether what should end has ended.
    fn watch_leases(&mut self) {
        let now = self.now;
        let is_live =
            |lease: &LeaseSummary| matches!(lease.state, LeaseState::Active | LeaseState::Usable) && lease.until > now;
        let live = self.state.leases.iter().any(is_live);
        let unsettled = self
            .state
            .leases
            .iter()
            .any(|lease| !is_live(lease) && !matches!(lease.state, LeaseState::Requested | LeaseState::Activating));
        self.keep_alarm(ALARM_BADGE, live);
        self.keep_alarm(ALARM_WATCH, unsettled);
        let has_run_out = self
            .state
            .leases
            .iter_mut()
            .filter(|lease| matches!(lease.state, LeaseState::Active | LeaseState::Usable) && lease.until <= now);
        let mut look = false;
        for lease in has_run_out {
            lease.state = LeaseState::Ending;
            look = true;
        }
        if look && self.state.host_problem.is_none() {
            self.ask_leases();
        }
    }

    fn keep_alarm(&mut self, name: &str, wanted: bool) {
        let is_set = self.wakes.get(name).is_some_and(|at| *at > self.now);
        if wanted && !is_set {
            let at = self.now + MINUTE_MS;
            self.wakes.insert(name.to_owned(), at);
            self.out.push(Effect::SetAlarm { name: name.to_owned(), at });
        } else if !wanted && self.wakes.remove(name).is_some() {
            self.out.push(Effect::ClearAlarm { name: name.to_owned() });
        }
    }

    /// Lets go of the host when nothing needs it.
    fn rest(&mut self) {
        if self.link == Link::Closed {
            return;
        }
        if self.needs_host() {
            self.forget_wake("idle");
        } else if !self.wakes.contains_key("idle") {
            let at = (self.now + IDLE_MS).max(self.warm_until);
            self.wake_at("idle".to_owned(), at);
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

fn view_of(field: latchkey_protocol::FillField) -> View {
    match field {
        latchkey_protocol::FillField::Password => View::Password,
        latchkey_protocol::FillField::AccessPass => View::AccessPass,
    }
}

/// Where Microsoft sends an account that must register a second factor.
fn is_registration(url: &str) -> bool {
    ["https://mysignins.microsoft.com", "https://account.activedirectory.windowsazure.com"]
        .iter()
        .any(|origin| url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#'])))
}

/// What the browser's words for a lost host mean. Chromium and Firefox, from measurements; anything else counts as a host that stopped.
fn why_gone(reason: Option<&str>) -> (Word, Word) {
    let reason = reason.unwrap_or_default().as_bytes();
    // Searching bytes: the standard library's search in text is many times larger as WASM.
    let says = |words: &str| reason.windows(words.len()).any(|part| part.eq_ignore_ascii_case(words.as_bytes()));
    if says("host not found") || says("no such native application") {
        (Word::HostMissing, Word::HostMissingAdvice)
    } else if says("forbidden") {
        (Word::HostForbidden, Word::HostForbiddenAdvice)
    } else if says("disabled by the system administrator") {
        (Word::HostBlocked, Word::HostBlockedAdvice)
    } else if says("error when communicating") || says("exceeds the limit") {
        (Word::HostGarbled, Word::HostGarbledAdvice)
    } else {
        (Word::HostExited, Word::HostExitedAdvice)
    }
}

fields!(State { next_request, next_act, tenants, leases, flows, activations, host_problem, filled });
fields!(HostProblem { title, advice, detail });

impl Read for Activation {
    fn read(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        Some(Self {
            tenant_id: member(object, "tenant_id")?,
            minutes: member(object, "minutes")?,
            created: member(object, "created")?,
            request: None,
            wanted: member(object, "wanted")?,
            reveal: false,
            failure: member(object, "failure")?,
        })
    }
}
