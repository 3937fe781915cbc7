//! The line to the native host: the handshake first, a number and a deadline for every question, one place through
//! which a secret passes, and a sentence for every way in which a host can fail.

use latchkey_protocol::{
    ErrorBody, ErrorCode, Hello, HostFrame, LeaseSummary, PROTOCOL_VERSION, PersonState, Progress, Reply, Request,
    RequestFrame, RequestId, Secret, Step as HostStep, TenantHint,
};
use uuid::Uuid;

use super::{
    Asked, Brain, HELLO_MS, HostProblem, LOOK_UP_MS, Link, MAXIMUM_FILLED, MAXIMUM_STARTS, Pending, START_MS,
    host_timer, running,
};
use crate::{
    brain::{
        Unprinted, decide,
        effect::Effect,
        event::Door,
        flow::{Act, Flow, Step, key_of},
        table::view_of,
    },
    popup::{action::Wish, view::StepProgress},
    trouble::why_gone,
    words::{Text, Word},
};

impl Brain {
    pub(super) fn ask(&mut self, asked: Asked, request: Request, deadline: u32) -> u32 {
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

    pub(super) fn frame(&mut self, asked: Asked, request: Request, deadline: u32) -> RequestFrame {
        // Timers carry the number as an i32.
        self.state.next_request = self.state.next_request % 1_000_000_000 + 1;
        let id = self.state.next_request;
        self.pending.push(Pending { id, asked, tenants: Vec::new() });
        self.out.push(Effect::SetTimer { name: host_timer(id), after: deadline });
        RequestFrame { id: RequestId(id), request }
    }

    pub(super) fn ask_tenants(&mut self, hint: Option<TenantHint>) {
        let asked = Asked::Tenants(hint.clone());
        if !self.pending.iter().any(|pending| pending.asked == asked) {
            self.ask(asked, Request::ListTenants { hint }, LOOK_UP_MS);
        }
    }

    pub(super) fn ask_leases(&mut self) {
        if !self.pending.iter().any(|pending| pending.asked == Asked::Leases) {
            self.ask(Asked::Leases, Request::ListLeases {}, LOOK_UP_MS);
        }
    }

    pub(super) fn ask_start(&mut self, tenant_id: Uuid) {
        let activation = self.activation_mut(tenant_id);
        if activation.request.is_some() {
            return;
        }
        let Wish { minutes, profile, reason, ticket } = activation.wish.clone();
        let request =
            Request::StartLease { tenant_id, minutes, reason, profile, ticket, passkey: self.door != Door::Missing };
        let id = self.ask(Asked::Start(tenant_id), request, START_MS);
        self.activation_mut(tenant_id).request = Some(id);
        for flow in self.state.flows.iter_mut().filter(|flow| flow.tenant_id == tenant_id && flow.is_running()) {
            flow.starts += 1;
        }
    }

    pub(super) fn host_message(&mut self, frame: Option<HostFrame>) {
        let Some(frame) = frame else {
            self.host_failed(Word::HostGarbled, Word::HostGarbledAdvice, None);
            return;
        };
        match frame {
            HostFrame::Reply { id: RequestId(id), mut reply } => {
                if let Some(Pending { asked, mut tenants, .. }) = self.answered(id) {
                    if let Reply::Tenants { tenants: rest, .. } = &mut reply {
                        tenants.append(rest);
                        *rest = tenants;
                    }
                    self.replied(id, asked, reply);
                }
            }
            HostFrame::Tenants { id: RequestId(id), tenants } => {
                if let Some(pending) = self.pending.iter_mut().find(|pending| pending.id == id) {
                    pending.tenants.extend(tenants);
                }
            }
            HostFrame::Error { id: Some(RequestId(id)), error } => {
                if let Some(Pending { asked, .. }) = self.answered(id) {
                    self.refused(asked, error);
                }
            }
            HostFrame::Error { id: None, .. } => self.host_failed(Word::HostGarbled, Word::HostGarbledAdvice, None),
            HostFrame::Progress { id: RequestId(id), progress } => self.progressed(id, &progress),
            HostFrame::LeaseChanged { lease } => self.lease_changed(lease),
        }
    }

    pub(super) fn answered(&mut self, id: u32) -> Option<Pending> {
        let place = self.pending.iter().position(|pending| pending.id == id)?;
        self.out.push(Effect::ClearTimer { name: host_timer(id) });
        let pending = self.pending.swap_remove(place);
        if let Asked::Confirm(lease_id) = pending.asked {
            self.state.unconfirmed.retain(|id| *id != lease_id);
        }
        Some(pending)
    }

    pub(super) fn replied(&mut self, id: u32, asked: Asked, reply: Reply) {
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
                self.confirm();
            }
            (Asked::Tenants(_), Reply::Tenants { tenants, recognized }) => {
                self.sync_leases(tenants.iter().filter_map(|tenant| tenant.lease.clone()).collect());
                self.keep_tenants(tenants);
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
            (Asked::Confirm(_) | Asked::End, Reply::Lease { lease }) => self.lease_changed(lease),
            (Asked::Extend(_), Reply::Lease { lease }) => self.extended(lease),
            (Asked::Leases, Reply::Leases { leases }) => self.sync_leases(leases),
            (Asked::Note, Reply::Noted {}) => {}
            (Asked::Passkey(request_id), Reply::Passkey(answer)) => self.answer_passkey(request_id, answer),
            (Asked::Person, Reply::Person(person)) => self.person_known(person),
            _ => self.host_failed(Word::HostGarbled, Word::HostGarbledAdvice, None),
        }
    }

    pub(super) fn started(&mut self, tenant_id: Uuid, lease: LeaseSummary) {
        let lease_id = lease.lease_id;
        let is_usable = lease.credential_held && lease.credential.is_some();
        let activation = self.activation_mut(tenant_id);
        activation.request = None;
        activation.wanted = false;
        let reveal = std::mem::take(&mut activation.reveal);
        for flow in self.state.flows.iter_mut().filter(|flow| flow.tenant_id == tenant_id && flow.is_running()) {
            flow.lease_id = Some(lease_id);
            flow.credential = lease.credential.unwrap_or(flow.credential);
            flow.step(Step::Activate, StepProgress::Done);
        }
        self.lease_changed(lease);
        self.open_waiting(tenant_id);
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
    pub(super) fn fill_secret(&mut self, tab_id: i32, request: u32, secret: Secret) {
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
            && asking.field.takes(secret.credential)
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

    pub(super) fn refused(&mut self, asked: Asked, error: ErrorBody) {
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
                let can_be_put_right = is_about_the_wish(&error);
                activation.failure = Some(error);
                self.state.openings.retain(|opening| opening.tenant_id != tenant_id || opening.act.is_some());
                if can_be_put_right {
                    // There is a form for that.
                    self.state.flows.retain(|flow| flow.tenant_id != tenant_id || !flow.is_running());
                    self.choose(Some(tenant_id));
                }
            }
            Asked::Extend(lease_id) if self.popup.is_none() => {
                self.out.push(Effect::Notify { lease_id, text: Text::error(&error), button: None });
            }
            Asked::Fill(tab_id) => self.fill_refused(tab_id, error),
            Asked::Passkey(request_id) => self.passkey_refused(request_id, &error),
            // Whoever cannot be asked signs in with the next credential in line.
            Asked::Person => self.person = Some(PersonState::default()),
            Asked::Reveal { lease_id, again: false } if error.code == ErrorCode::CredentialGone => {
                if let Some(lease) = self.state.leases.iter_mut().find(|lease| lease.lease_id == lease_id) {
                    lease.credential_held = false;
                    let tenant_id = lease.tenant_id;
                    self.renew_and_reveal(tenant_id);
                }
            }
            Asked::Tenants(_) | Asked::Reveal { .. } | Asked::End | Asked::Extend(_) => {
                if let Some(popup) = &mut self.popup {
                    popup.failure = Some(error);
                }
                if asked == Asked::End {
                    self.ask_leases();
                }
            }
            Asked::Confirm(_) | Asked::Leases => self.log("the host refused a question about leases"),
            // An older one does not count them.
            Asked::Note => {}
        }
    }

    pub(super) fn fill_refused(&mut self, tab_id: i32, error: ErrorBody) {
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

    pub(super) fn progressed(&mut self, id: u32, progress: &Progress) {
        if let Some(activation) = self.state.activations.iter_mut().find(|activation| activation.request == Some(id))
            && progress.step == HostStep::CreateAccount
        {
            activation.created = true;
        }
    }

    pub(super) fn host_timed_out(&mut self, id: u32) {
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

    pub(super) fn host_gone(&mut self, reason: Option<&str>) {
        let was_ready = self.link == Link::Ready;
        let was_in_use = self.needs_host();
        let (title, advice) = why_gone(reason);
        self.link_lost();
        // A host that died while it worked is started again by the sign-in that needs it, some times; one that cannot
        // be started is not, and one that nobody needs may stop.
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
    pub(super) fn host_failed(&mut self, title: Word, advice: Word, detail: Option<String>) {
        self.out.push(Effect::DisconnectHost {});
        self.link_lost();
        self.state.host_problem = Some(HostProblem { title: Text::of(title), advice: Text::of(advice), detail });
    }

    pub(super) fn link_lost(&mut self) {
        self.link = Link::Closed;
        self.verified_until = 0;
        self.person = None;
        for request in &mut self.passkey_requests {
            request.forget();
        }
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

    pub(super) fn needs_host(&self) -> bool {
        self.verified_until > self.now
            || !self.pending.is_empty()
            || self.popup.is_some()
            || self.state.flows.iter().any(Flow::is_running)
    }
}

/// Whether the technician can put it right by asking for something else.
pub(in crate::brain) const fn is_about_the_wish(error: &ErrorBody) -> bool {
    matches!(
        error.code,
        ErrorCode::DurationNotAllowed
            | ErrorCode::ProfileUnknown
            | ErrorCode::ReasonMissing
            | ErrorCode::TicketNotFitting
    )
}
