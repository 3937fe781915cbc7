//! What the technician does in the popup: the only beginning of anything that writes, clicks, grants or shows.

use latchkey_protocol::{LeaseState, Request, cloud::SignInOrigin};
use uuid::Uuid;

use super::{Asked, Brain, END_MS, LOOK_UP_MS, Link, MAXIMUM_FLOWS, Popup, SILENT_PAGE_MS, name_of, running};
use crate::{
    brain::{
        address,
        effect::Effect,
        event::Action,
        flow::{Flow, Over, Step},
    },
    popup::view::StepProgress,
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
        self.ask_tenants(hint);
    }

    pub(super) fn popup_action(&mut self, action: Action) {
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

    pub(super) fn choose(&mut self, tenant_id: Option<Uuid>) {
        if let Some(popup) = &mut self.popup {
            popup.chosen = tenant_id;
            popup.listing = tenant_id.is_none();
        }
    }

    pub(super) fn start(&mut self, tenant_id: Uuid, minutes: Option<u32>) {
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
}
