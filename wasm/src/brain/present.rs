//! What a person sees of the brain's state: icon, badge, title and the popup's view. Nothing is decided here.

use latchkey_protocol::{CredentialKind, ErrorBody, LeaseState, LeaseSummary, TenantSummary, cloud::SignInOrigin};
use uuid::Uuid;

use super::{
    address,
    decide::is_same_account,
    effect::{Effect, Icon, Tone},
    flow::{Flow, Over, STEPS},
    machine::{Brain, is_about_the_wish},
};
use crate::{
    popup::{
        list::needs_somebody,
        view::{ActiveView, Confirm, PopupView, ProgressView, StepProgress, StepRow},
    },
    words::{Text, Word},
};

const MINUTE_MS: i64 = 60_000;
pub(super) const WARNING_MS: i64 = 5 * MINUTE_MS;
impl Brain {
    /// Sets what has changed since the last time.
    pub(super) fn present(&mut self) {
        self.present_everywhere();
        let tabs: Vec<_> = self.pages.keys().copied().chain(self.state.flows.iter().map(|flow| flow.tab_id)).collect();
        for tab_id in tabs {
            self.present_tab(tab_id);
        }
        if self.popup.is_some() {
            if self.state.tenants.is_some() && !self.tenants_shown {
                self.tenants_shown = true;
                self.push(Effect::UpdateTenants {});
            }
            let update = Effect::UpdatePopup { view: Box::new(self.view()), leases: self.state.leases.clone() };
            let shown = serde_json::to_string(&update).ok();
            if self.shown != shown {
                self.shown = shown;
                self.push(update);
            }
        }
    }

    fn present_everywhere(&mut self) {
        let is_live = |lease: &&LeaseSummary| matches!(lease.state, LeaseState::Active | LeaseState::Usable);
        let next = self.state.leases.iter().filter(is_live).min_by_key(|lease| lease.until);
        let troubled = self.state.leases.iter().any(needs_somebody);
        let (icon, text, tone, title) = match next {
            _ if troubled => (Icon::Problem, String::from("!"), Tone::Warning, Text::of(Word::TitleProblem)),
            Some(lease) => {
                let left = lease.until.saturating_sub(self.now);
                let text = badge(left);
                let tone = if left <= WARNING_MS { Tone::Warning } else { Tone::Calm };
                let title = Text {
                    key: Word::TitleActive.key().to_owned(),
                    args: vec![lease.tenant_name.clone(), text.clone()],
                };
                (Icon::Active, text, tone, title)
            }
            None => (Icon::Idle, String::new(), Tone::Calm, Text::of(Word::TitleIdle)),
        };
        let now = Some((icon, text.clone()));
        if self.everywhere != now {
            self.everywhere = now;
            self.push(Effect::SetIcon { tab_id: None, icon });
            self.push(Effect::SetBadge { tab_id: None, text, tone });
            self.push(Effect::SetTitle { tab_id: None, title });
        }
    }

    fn present_tab(&mut self, tab_id: i32) {
        let flow = self.state.flows.iter().find(|flow| flow.tab_id == tab_id);
        let (icon, title) = match flow {
            Some(flow) if flow.is_running() && flow.needs_person => (Icon::Problem, Word::TitleProblem),
            Some(flow) if flow.is_running() => (Icon::Busy, Word::TitleBusy),
            Some(flow) if flow.over == Some(Over::GivenUp) => (Icon::Problem, Word::TitleProblem),
            _ if self.pages.get(&tab_id).is_some_and(|page| page.view.is_step()) => (Icon::Known, Word::TitleKnown),
            Some(_) | None => {
                // Back to what the icon says everywhere, if it said something of its own.
                let Some((everywhere, _)) = self.everywhere.clone() else {
                    return;
                };
                if self.icons.remove(&tab_id).is_some_and(|icon| icon != everywhere) {
                    self.push(Effect::SetIcon { tab_id: Some(tab_id), icon: everywhere });
                    self.push(Effect::SetTitle { tab_id: Some(tab_id), title: Text::of(Word::TitleIdle) });
                }
                return;
            }
        };
        if self.icons.insert(tab_id, icon) != Some(icon) {
            self.push(Effect::SetIcon { tab_id: Some(tab_id), icon });
            self.push(Effect::SetTitle { tab_id: Some(tab_id), title: Text::of(title) });
        }
    }

    /// What the popup shows, over the tab that it was opened over.
    #[must_use]
    pub fn view(&self) -> PopupView {
        let Some(popup) = &self.popup else {
            return PopupView::Connecting {};
        };
        if let Some(error) = &popup.failure {
            return PopupView::Problem { problem: error.clone() };
        }
        let flow = self.state.flows.iter().find(|flow| Some(flow.tab_id) == popup.tab_id);
        if let Some(flow) = flow
            && !popup.listing
            && (flow.is_running() || flow.over == Some(Over::GivenUp))
            && self.host_is_there(flow)
        {
            return self.progress(flow);
        }
        if let Some(problem) = &self.state.host_problem {
            return PopupView::HostMissing {
                title: problem.title.clone(),
                advice: problem.advice.clone(),
                detail: problem.detail.clone(),
            };
        }
        let Some(tenants) = &self.state.tenants else {
            return PopupView::Connecting {};
        };
        let tenant_id = if popup.listing { None } else { popup.chosen.or_else(|| self.recognize(tenants)) };
        match tenant_id.and_then(|tenant_id| self.tenant(tenant_id)) {
            Some(tenant) => self.tenant_view(tenant, flow),
            None => PopupView::ChooseTenant { on_sign_in_page: self.popup_origin().is_some() },
        }
    }

    /// A sign-in whose host cannot be reached and that cannot go on without it shows what to do about the host.
    fn host_is_there(&self, flow: &Flow) -> bool {
        self.state.host_problem.is_none() || flow.submitted
    }

    /// The tenant that the tab's page is about; else the only one; else, away from sign-in pages, the one with an
    /// open lease.
    fn recognize(&self, tenants: &[TenantSummary]) -> Option<Uuid> {
        let popup = self.popup.as_ref()?;
        let url = popup.url.as_deref().filter(|url| SignInOrigin::of_address(url).is_some());
        if let Some(url) = url {
            let post_url = popup
                .tab_id
                .and_then(|tab_id| self.pages.get(&tab_id))
                .and_then(|page| page.snapshot.post_url.as_deref());
            let hint = address::hint(url, post_url);
            let by_name = |name: &str| {
                let domain = name.rsplit_once('@').map_or(name, |(_, domain)| domain).to_ascii_lowercase();
                let id = Uuid::try_parse(&domain).ok();
                tenants.iter().find(|tenant| {
                    Some(tenant.tenant_id) == id || tenant.domains.iter().any(|one| one.eq_ignore_ascii_case(&domain))
                })
            };
            let named = match (&hint.tenant, &hint.user_name) {
                // A path that names a tenant which is not connected is not overruled by an account from elsewhere.
                (Some(tenant), _) => by_name(tenant),
                (None, Some(user_name)) => by_name(user_name),
                (None, None) => None,
            };
            if let Some(tenant) = named {
                return Some(tenant.tenant_id);
            }
            if popup.recognized.is_some() {
                return popup.recognized;
            }
            if hint.tenant.is_some() {
                return None;
            }
        } else {
            // A portal that was signed in to here; else the only tenant that is active.
            let here = self.state.flows.iter().find(|flow| Some(flow.tab_id) == popup.tab_id);
            let leases = &self.state.leases;
            if let Some(lease) = here.and_then(|flow| leases.iter().find(|one| one.tenant_id == flow.tenant_id)) {
                return Some(lease.tenant_id);
            }
            if let [lease] = leases.as_slice() {
                return Some(lease.tenant_id);
            }
        }
        match tenants {
            [only] => Some(only.tenant_id),
            _ => None,
        }
    }

    fn tenant_view(&self, tenant: &TenantSummary, flow: Option<&Flow>) -> PopupView {
        let activation = self.state.activations.iter().find(|activation| activation.tenant_id == tenant.tenant_id);
        let lease = self.state.leases.iter().find(|lease| lease.tenant_id == tenant.tenant_id);
        let failure = activation.and_then(|activation| activation.failure.as_ref());
        if let Some(error) = failure.filter(|error| !is_about_the_wish(error)) {
            let tenant = error.tenant.clone().or_else(|| Some(tenant.name.clone()));
            return PopupView::Problem { problem: ErrorBody { tenant, ..error.clone() } };
        }
        let is_starting = activation.is_some_and(|activation| activation.request.is_some());
        match lease {
            Some(lease) if matches!(lease.state, LeaseState::Active | LeaseState::Usable) => {
                self.active(tenant, lease, flow)
            }
            _ if is_starting => PopupView::Progress(ProgressView {
                tenant_name: tenant.name.clone(),
                user_name: tenant.user_name.clone(),
                steps: vec![StepRow { label: Text::of(Word::StepActivate), state: StepProgress::Running }],
                credential: tenant.credential.kind,
                replaced: None,
                person: None,
                status: Text::of(Word::StatusActivating),
                needs_person: false,
                lease_id: None,
                can_retry: false,
            }),
            Some(lease)
                if matches!(lease.state, LeaseState::Ending | LeaseState::Stuck | LeaseState::ExternallyModified) =>
            {
                PopupView::Ending { lease_id: lease.lease_id }
            }
            _ => PopupView::Confirm(Confirm {
                tenant_id: tenant.tenant_id,
                on_sign_in_page: self.on_sign_in_page(tenant),
                page: self.page_note(tenant),
                problem: failure.cloned(),
            }),
        }
    }

    fn active(&self, tenant: &TenantSummary, lease: &LeaseSummary, flow: Option<&Flow>) -> PopupView {
        let outcome = flow
            .filter(|flow| flow.over.is_some_and(|over| over != Over::GivenUp) && flow.tenant_id == tenant.tenant_id)
            .map(|flow| flow.status.clone());
        PopupView::Active(ActiveView {
            lease_id: lease.lease_id,
            on_sign_in_page: self.on_sign_in_page(tenant),
            page: outcome.or_else(|| self.page_note(tenant)),
        })
    }

    fn progress(&self, flow: &Flow) -> PopupView {
        let steps = STEPS.iter().zip(flow.steps).map(|(label, state)| StepRow { label: Text::of(*label), state });
        PopupView::Progress(ProgressView {
            tenant_name: flow.tenant_name.clone(),
            user_name: flow.user_name.clone(),
            steps: steps.collect(),
            credential: flow.credential,
            replaced: flow.replaced,
            person: self.person.filter(|_| flow.credential == CredentialKind::Passkey && flow.is_running()),
            status: flow.status.clone(),
            needs_person: flow.needs_person,
            lease_id: flow.lease_id,
            can_retry: flow.can_retry,
        })
    }

    fn popup_origin(&self) -> Option<SignInOrigin> {
        SignInOrigin::of_address(self.popup.as_ref()?.url.as_deref()?)
    }

    fn on_sign_in_page(&self, tenant: &TenantSummary) -> bool {
        self.popup_origin().is_some_and(|origin| tenant.cloud.signs_in_at(&origin))
    }

    /// What to know about the tab's page before the click.
    fn page_note(&self, tenant: &TenantSummary) -> Option<Text> {
        let origin = self.popup_origin()?;
        if !tenant.cloud.signs_in_at(&origin) {
            return Some(Text::with(Word::PageWrongCloud, &tenant.name));
        }
        let page = self.pages.get(&self.popup.as_ref()?.tab_id?)?;
        let identity = page.snapshot.identity.as_deref().filter(|identity| !identity.is_empty());
        match identity {
            _ if page.view.is_step() || page.view.is_passing() => None,
            Some(identity) if !is_same_account(identity, &tenant.user_name) => None,
            _ => Some(Text::of(super::decide::what_to_do(page.view))),
        }
    }
}

/// Time left in at most three characters: hours from an hour on, then minutes.
pub(super) fn badge(left_ms: i64) -> String {
    if left_ms < MINUTE_MS {
        return String::from("<1m");
    }
    // Rounded up, so that a lease of four hours begins as "4h" and one of an hour never reads "0h".
    let minutes = left_ms.saturating_add(MINUTE_MS - 1) / MINUTE_MS;
    let (number, unit) = if minutes >= 60 { (minutes.saturating_add(30) / 60, 'h') } else { (minutes, 'm') };
    let mut text = number.to_string();
    text.push(unit);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_badge_is_short_and_true() {
        for (left, text) in [
            (240 * MINUTE_MS, "4h"),
            (240 * MINUTE_MS - 1, "4h"),
            (200 * MINUTE_MS, "3h"),
            (60 * MINUTE_MS, "1h"),
            (59 * MINUTE_MS, "59m"),
            (MINUTE_MS, "1m"),
            (MINUTE_MS - 1, "<1m"),
            (0, "<1m"),
            (-5, "<1m"),
        ] {
            assert_eq!(badge(left), text);
        }
    }
}
