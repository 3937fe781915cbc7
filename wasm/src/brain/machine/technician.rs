//! What the technician does in the popup: the only beginning of anything that writes, clicks, grants or shows.

use latchkey_protocol::{CredentialKind, LeaseState, Request, TenantSummary, cloud::SignInOrigin};
use uuid::Uuid;

use super::{
    AWAY_MS, Asked, Brain, END_MS, LOOK_UP_MS, Link, MAXIMUM_FLOWS, Opening, Popup, SILENT_PAGE_MS, State, name_of,
    passkey::DOOR_MS, running,
};
use crate::{
    brain::{
        address,
        decide::Grant,
        effect::Effect,
        event::{Action, Door},
        flow::{Flow, Over, Step},
    },
    popup::{
        action::{Place, Wish},
        view::StepProgress,
    },
    words::{Text, Word},
};

impl Brain {
    pub(super) fn popup_opened(&mut self, tab_id: Option<i32>, url: Option<String>) {
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
        self.forget_reveals();
        self.shown = None;
        self.tenants_shown = false;
        self.ask_tenants(hint);
    }

    pub(super) fn popup_action(&mut self, action: Action) {
        let tab_id = self.popup.as_ref().and_then(|popup| popup.tab_id);
        if let Some(popup) = &mut self.popup {
            popup.failure = None;
        }
        match action {
            Action::Choose { tenant_id } => {
                // A failure that nothing waits for any more is not shown a second time.
                if !self.state.flows.iter().any(|flow| flow.tenant_id == tenant_id && flow.is_running()) {
                    self.activation_mut(tenant_id).failure = None;
                }
                self.choose(Some(tenant_id));
            }
            Action::List {} => {
                self.state.flows.retain(|flow| Some(flow.tab_id) != tab_id || flow.is_running());
                self.choose(None);
            }
            Action::Start { tenant_id, wish } => self.start(tenant_id, wish),
            Action::SignIn { tenant_id } => {
                let wish = self.wish_of(tenant_id);
                self.start(tenant_id, wish);
            }
            Action::EndNow { lease_id } => self.end_now(lease_id),
            Action::Reveal { lease_id } => self.reveal(lease_id),
            Action::StopSignIn {} => {
                self.state.flows.retain(|flow| Some(flow.tab_id) != tab_id);
            }
            Action::OpenPortal { tenant_id, url, place, wish } => self.open_portal(tenant_id, url, place, wish),
            Action::Extend { lease_id, reason } => self.extend(lease_id, reason),
            Action::EndAll {} => {
                let all: Vec<_> = self.state.leases.iter().map(|lease| lease.lease_id).collect();
                for lease_id in all {
                    self.end_now(lease_id);
                }
            }
            Action::VerifyPerson { pin } => self.ask_person(Some(pin), None),
            Action::Retry {} => self.retry(),
        }
    }

    /// What was asked for last in a tenant: asking again for a lease that is open asks for the same.
    fn wish_of(&self, tenant_id: Uuid) -> Wish {
        let activation = self.state.activations.iter().find(|activation| activation.tenant_id == tenant_id);
        activation.map(|activation| activation.wish.clone()).unwrap_or_default()
    }

    /// One click from anywhere: the portal opens while the account is activated. Where the technician had to give a
    /// reason or a ticket the host is heard first, because a wrong one is put right in the popup, which a new tab closes.
    fn open_portal(&mut self, tenant_id: Uuid, url: String, place: Place, wish: Wish) {
        let is_opening = self.state.openings.iter().any(|one| one.tenant_id == tenant_id && self.now < one.until);
        if is_opening || self.tenant(tenant_id).is_none() || !url.starts_with("https://") {
            return;
        }
        let tab_id = self.popup.as_ref().and_then(|popup| popup.tab_id);
        let is_held = matches!(self.grant(tenant_id), Grant::Held { .. });
        // A lease that is open is asked for again as it was.
        let is_open = self.state.leases.iter().any(|lease| lease.tenant_id == tenant_id);
        let wish = if is_open { self.wish_of(tenant_id) } else { wish };
        let waits = !is_held && (wish.reason.is_some() || wish.ticket.is_some());
        self.state.openings.retain(|opening| opening.tenant_id != tenant_id);
        self.state.openings.push(Opening { act: None, tenant_id, url, place, tab_id, until: 0 });
        self.choose(Some(tenant_id));
        if !is_held {
            self.activate(tenant_id, wish);
        }
        if !waits {
            self.open_waiting(tenant_id);
        }
    }

    fn activate(&mut self, tenant_id: Uuid, wish: Wish) {
        let activation = self.activation_mut(tenant_id);
        activation.wish = wish;
        activation.failure = None;
        activation.wanted = true;
        self.ask_start(tenant_id);
        let is_planned = self.tenant(tenant_id).is_some_and(|one| one.credential.kind == CredentialKind::Passkey);
        if is_planned && self.door != Door::Missing {
            self.person = None;
            self.ask_person(None, Some(tenant_id));
        }
    }

    /// Opens the portals that waited for the host's word about a tenant.
    pub(super) fn open_waiting(&mut self, tenant_id: Uuid) {
        let State { openings, next_act, .. } = &mut self.state;
        for opening in openings.iter_mut().filter(|opening| opening.tenant_id == tenant_id && opening.act.is_none()) {
            *next_act = next_act.wrapping_add(1);
            opening.act = Some(*next_act);
            opening.until = self.now + AWAY_MS;
            self.out.push(open(opening));
        }
    }

    /// What an earlier worker was to open and has not heard the tab of is opened again, as long as the click is fresh. A tab
    /// may stand there already: nobody can say that it is the one, and any page can open another that looks like it.
    pub(super) fn open_again(&mut self) {
        for opening in &self.state.openings {
            if self.now < opening.until {
                self.out.push(open(opening));
            }
        }
    }

    /// The tab that was opened is followed into the sign-in page: this tab, for this tenant, for a short time.
    pub(super) fn tab_opened(&mut self, act: u32, tab_id: Option<i32>) {
        let Some(place) = self.state.openings.iter().position(|opening| opening.act == Some(act)) else {
            return;
        };
        let tenant_id = self.state.openings.swap_remove(place).tenant_id;
        let (Some(tab_id), Some(tenant)) = (tab_id, self.tenant(tenant_id).cloned()) else {
            return;
        };
        self.pages.remove(&tab_id);
        let flow = self.begin(tab_id, &tenant);
        flow.opened = true;
        flow.away = true;
        flow.status = Text::of(Word::StatusOpening);
        let at = self.now + AWAY_MS;
        if let Some(flow) = running(&mut self.state.flows, tab_id) {
            flow.away_until = at;
        }
        self.wake_at(name_of("gone", tab_id), at);
        self.wake_at(name_of("door", tab_id), self.now + DOOR_MS);
        // It may be there already.
        self.out.push(Effect::Look { tab_id });
    }

    /// A new sign-in in a tab; an earlier one there is over.
    fn begin(&mut self, tab_id: i32, tenant: &TenantSummary) -> &mut Flow {
        let flows = &mut self.state.flows;
        flows.retain(|flow| flow.tab_id != tab_id);
        if flows.len() >= MAXIMUM_FLOWS {
            flows.retain(Flow::is_running);
        }
        let mut flow = Flow::new(tab_id, tenant);
        if flow.credential == CredentialKind::Passkey && self.door == Door::Missing {
            flow.credential = tenant.credential.otherwise.unwrap_or(CredentialKind::Password);
        }
        flow.passkey_until = self.now + DOOR_MS;
        flow.step(Step::Activate, StepProgress::Running);
        flows.push(flow);
        let last = flows.len() - 1;
        &mut flows[last]
    }

    pub(super) fn choose(&mut self, tenant_id: Option<Uuid>) {
        if let Some(popup) = &mut self.popup {
            popup.chosen = tenant_id;
            popup.listing = tenant_id.is_none();
        }
    }

    pub(super) fn start(&mut self, tenant_id: Uuid, wish: Wish) {
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
            self.begin(tab_id, &tenant);
            self.wake_at(name_of("door", tab_id), self.now + DOOR_MS);
            if let (Some(page), Some(flow)) = (self.pages.get_mut(&tab_id), running(&mut self.state.flows, tab_id)) {
                let document = flow.document_mut(&page.document_id);
                document.page_id = page.snapshot.page_id.clone().unwrap_or_default();
                page.since = self.now;
            }
            self.out.push(Effect::Look { tab_id });
            if !self.pages.contains_key(&tab_id) {
                self.wake_at(name_of("silent", tab_id), self.now + SILENT_PAGE_MS);
            }
        }
        self.activate(tenant_id, wish);
    }

    pub(super) fn end_now(&mut self, lease_id: Uuid) {
        self.state.flows.retain(|flow| flow.lease_id != Some(lease_id));
        if let Some(lease) = self.state.leases.iter_mut().find(|lease| lease.lease_id == lease_id) {
            lease.state = LeaseState::Ending;
            let tenant_id = lease.tenant_id;
            self.state.activations.retain(|activation| activation.tenant_id != tenant_id);
        }
        self.ask(Asked::End, Request::EndLease { lease_id }, END_MS);
    }

    pub(super) fn reveal(&mut self, lease_id: Uuid) {
        let Some(lease) = self.state.leases.iter().find(|lease| lease.lease_id == lease_id) else {
            return;
        };
        if lease.credential_held && self.link == Link::Ready {
            self.ask(Asked::Reveal { lease_id, again: false }, Request::RevealCredential { lease_id }, LOOK_UP_MS);
        } else {
            self.renew_and_reveal(lease.tenant_id);
        }
    }

    /// A credential is shown in the popup that asked for it, and in no later one.
    pub(super) fn forget_reveals(&mut self) {
        self.pending.retain(|pending| !matches!(pending.asked, Asked::Reveal { .. }));
        for activation in &mut self.state.activations {
            activation.reveal = false;
        }
    }

    pub(super) fn renew_and_reveal(&mut self, tenant_id: Uuid) {
        let activation = self.activation_mut(tenant_id);
        activation.reveal = true;
        activation.failure = None;
        activation.wanted = true;
        self.ask_start(tenant_id);
    }

    pub(super) fn retry(&mut self) {
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
                let wish = self.wish_of(tenant_id);
                self.start(tenant_id, wish);
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
}

fn open(opening: &Opening) -> Effect {
    let act = opening.act.unwrap_or_default();
    Effect::OpenTab { act, url: opening.url.clone(), place: opening.place, tab_id: opening.tab_id }
}
