//! After every event: each running sign-in is carried on by what [`decide`] says, and what nothing needs any more is
//! let go.

use latchkey_protocol::{Document, ErrorBody, ErrorCode, FillField, LeaseState, Request};

use super::{ACT_MS, Asked, Brain, CODE_MS, FILL_MS, IDLE_MS, LOOK_UP_MS, Link, MAXIMUM_STARTS, name_of, running};
use crate::{
    brain::{
        Unprinted,
        decide::{self, Decision, Grant, Page},
        effect::Effect,
        flow::{Act, Acting, Asking, DocumentRecord, Over, Pressed, Purpose, Reason, Step, key_of},
        page::View,
        preferred::preferred,
    },
    elements::ElementKey,
    popup::view::StepProgress,
    words::{Text, Word},
};

impl Brain {
    pub(super) fn settle(&mut self) {
        self.carry_passkeys();
        for tab_id in self.running_tabs() {
            self.doubt(tab_id);
            self.renew(tab_id);
            self.advance(tab_id);
        }
        self.mind_door();
        self.keep_unsaved();
        self.watch_leases();
        self.present();
        self.rest();
        let state = self.state_but_tenants();
        if state != self.saved || self.tenants_unsaved {
            self.saved = state;
            let tenants = std::mem::take(&mut self.tenants_unsaved);
            // Before anything of it is done: the worker may be stopped at any moment.
            self.out.insert(0, Effect::SaveState { tenants });
        }
    }

    /// What an earlier worker did with a credential and never heard about: its page gets as long as an act may take to show
    /// it, and then what does not show is done again. A page that still asks for the passkey has not got it.
    fn doubt(&mut self, tab_id: i32) {
        let (Some(flow), Some(page)) = (running(&mut self.state.flows, tab_id), self.pages.get(&tab_id)) else {
            return;
        };
        let is_passkey = page.view == View::Passkey;
        let limit = if is_passkey { decide::UNKNOWN_AFTER_MS } else { ACT_MS };
        if flow.acting.is_some() || flow.pressed.is_some() || self.now < page.since + limit {
            return;
        }
        let in_doubt = |one: &&mut DocumentRecord| one.unanswered && one.id == page.document_id;
        let Some(document) = flow.documents.iter_mut().find(in_doubt) else {
            return;
        };
        if is_passkey {
            document.unanswered = false;
            flow.passkey_answered = false;
            return;
        }
        let field = document.secret_filled.and_then(|field| page.snapshot.visible(key_of(field)));
        let Some(element) = field else {
            return;
        };
        document.unanswered = false;
        if document.submitted {
            document.submitted = false;
        } else if element.empty {
            document.secret_asked = None;
            document.secret_filled = None;
            self.state.filled.retain(|filled| *filled != page.document_id);
        }
    }

    /// Sees to it that a running sign-in has a lease coming: after a death of the worker or the host the open one is
    /// answered again. One that is over is never replaced without a click.
    pub(super) fn renew(&mut self, tab_id: i32) {
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
        if self.grant(tenant_id) != Grant::None || failed || self.state.host_problem.is_some() || self.may_be_in(tab_id)
        {
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

    /// Whether a sign-in may have got in with what it was given, as long as its page does not wait for more. A credential is
    /// not issued anew meanwhile: the earlier one ends with that, and so do the sessions that it has begun.
    fn may_be_in(&self, tab_id: i32) -> bool {
        let Some(flow) = self.state.flows.iter().find(|flow| flow.tab_id == tab_id) else {
            return false;
        };
        let is_used = flow.submitted || flow.documents.iter().any(|document| document.secret_filled.is_some());
        let page = self.pages.get(&tab_id);
        is_used && page.is_none_or(|page| !decide::waits_for_credential(flow, page, self.now))
    }

    pub(super) fn advance(&mut self, tab_id: i32) {
        // A wait that begins leads to a second decision; more than two in a row cannot happen.
        for _ in 0..3 {
            let now = self.now;
            let Some(page) = self.pages.get(&tab_id) else {
                if let Some(flow) = running(&mut self.state.flows, tab_id)
                    && flow.away
                {
                    let is_opening = flow.opened && flow.documents.is_empty();
                    flow.status = Text::of(if is_opening { Word::StatusOpening } else { Word::PageElsewhere });
                    flow.needs_person = !is_opening;
                    let failed = self.state.activations.iter().find(|one| one.tenant_id == flow.tenant_id);
                    if let Some(error) = failed.and_then(|activation| activation.failure.as_ref()) {
                        flow.activation_failed(error);
                    }
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
                flow.activation_failed(error);
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
            let decision = preferred(decide::decide(flow, grant, page, now), flow, page, &self.preferences);
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
                        View::Loading | View::Unknown | View::Passkey => decide::UNKNOWN_AFTER_MS,
                        _ if flow.document(&page.document_id).is_some_and(|document| document.unanswered) => ACT_MS,
                        View::Password | View::AccessPass if page.snapshot.identity.is_none() => {
                            decide::UNKNOWN_AFTER_MS
                        }
                        _ => decide::STALLED_AFTER_MS,
                    };
                    let limits = [limit, decide::STALLED_AFTER_MS];
                    if let Some(at) = limits.iter().map(|limit| page.since + limit).find(|at| *at > now) {
                        self.wake_at(name_of("page", tab_id), at);
                    }
                }
                Decision::Tell(text, can_retry) => {
                    let is_unknown = text.key == Word::PageUnknown.key();
                    flow.status = text;
                    flow.needs_person = true;
                    flow.can_retry = can_retry;
                    let document = flow.document_mut(&page.document_id);
                    if is_unknown && !std::mem::replace(&mut document.noted, true) {
                        self.ask(Asked::Note, Request::NoteUnknownPage {}, LOOK_UP_MS);
                    }
                }
                Decision::Replace(text) => {
                    if self.replace(tab_id) {
                        continue;
                    }
                    if let Some(flow) = running(&mut self.state.flows, tab_id) {
                        flow.status = text;
                        flow.needs_person = true;
                    }
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
                    let deadline = if field == FillField::OneTimeCode { CODE_MS } else { FILL_MS };
                    let request = self.ask(Asked::Fill(tab_id), request, deadline);
                    if let Some(flow) = running(&mut self.state.flows, tab_id) {
                        flow.asking = Some(Asking { request, document_id, field });
                    }
                }
                Decision::Press(key, tile, purpose) => self.press(tab_id, key, tile, purpose),
            }
            return;
        }
    }

    pub(super) fn fill_user_name(&mut self, tab_id: i32) {
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

    pub(super) fn press(&mut self, tab_id: i32, key: ElementKey, tile: Option<String>, purpose: Purpose) {
        let (Some(flow), Some(page)) = (running(&mut self.state.flows, tab_id), self.pages.get_mut(&tab_id)) else {
            return;
        };
        page.since = self.now;
        flow.presses += 1;
        flow.pressed = Some(Pressed { document_id: page.document_id.clone(), view: page.view, purpose });
        flow.status = Text::of(match purpose {
            Purpose::Next | Purpose::Submit | Purpose::DoNotStay | Purpose::Stay => Word::StatusSubmitted,
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
            Purpose::ToCredentials => {
                flow.detours += 1;
                // It is asked for anew there, with another challenge.
                flow.passkey_answered = false;
            }
            Purpose::AccountTile => flow.submitted = true,
            Purpose::DoNotStay | Purpose::Stay => flow.step(Step::Stay, StepProgress::Running),
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

    pub(super) fn act(&mut self, tab_id: i32, what: Act, effect: impl FnOnce(u32, &Page) -> Effect) {
        let (Some(flow), Some(page)) = (running(&mut self.state.flows, tab_id), self.pages.get(&tab_id)) else {
            return;
        };
        self.state.next_act = self.state.next_act.wrapping_add(1);
        let act = self.state.next_act;
        let document = flow.document_mut(&page.document_id);
        document.user_name_filled |= what == Act::FillUserName;
        document.unanswered = true;
        flow.acting = Some(Acting { act, document_id: page.document_id.clone(), what });
        self.out.push(effect(act, page));
        self.wake_at(name_of("act", tab_id), self.now + ACT_MS);
    }

    /// Lets go of the host when nothing needs it.
    pub(super) fn rest(&mut self) {
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
}
