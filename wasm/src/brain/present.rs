//! What a person sees of the brain's state: icon, badge, title and the popup's view. Nothing is decided here.

use latchkey_protocol::{CredentialKind, ErrorBody, LeaseState, LeaseSummary, TenantSummary, cloud::SignInOrigin};
use uuid::Uuid;

use super::{
    address,
    decide::is_same_account,
    effect::{Effect, Icon, Tone},
    flow::{Flow, Over, STEPS},
    machine::Brain,
};
use crate::{
    popup::view::{ActiveView, Confirm, PopupView, ProblemView, ProgressView, StepProgress, StepRow, TenantRow},
    words::{Text, Word},
};

const MINUTE_MS: i64 = 60_000;
const WARNING_MS: i64 = 5 * MINUTE_MS;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// An application's credential is worth a word for so long before it ends.
const CREDENTIAL_WARNING_MS: i64 = 30 * DAY_MS;

impl Brain {
    /// Sets what has changed since the last time.
    pub(super) fn present(&mut self) {
        self.present_everywhere();
        let tabs: Vec<_> = self.pages.keys().copied().chain(self.state.flows.iter().map(|flow| flow.tab_id)).collect();
        for tab_id in tabs {
            self.present_tab(tab_id);
        }
        if self.popup.is_some() {
            let view = self.view();
            let shown = serde_json::to_string(&view).ok();
            if self.shown != shown {
                self.shown = shown;
                self.push(Effect::UpdatePopup { view: Box::new(view) });
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
            return PopupView::Problem { problem: problem(error), tenant_name: error.tenant.clone() };
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
            None => self.choose_tenant(tenants),
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
        } else if let [lease] = self.state.leases.as_slice() {
            return Some(lease.tenant_id);
        }
        match tenants {
            [only] => Some(only.tenant_id),
            _ => None,
        }
    }

    fn tenant_view(&self, tenant: &TenantSummary, flow: Option<&Flow>) -> PopupView {
        let activation = self.state.activations.iter().find(|activation| activation.tenant_id == tenant.tenant_id);
        let lease = self.state.leases.iter().find(|lease| lease.tenant_id == tenant.tenant_id);
        if let Some(error) = activation.and_then(|activation| activation.failure.as_ref()) {
            return PopupView::Problem { problem: problem(error), tenant_name: Some(tenant.name.clone()) };
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
                status: Text::of(Word::StatusActivating),
                needs_person: false,
                lease_id: None,
                can_retry: false,
            }),
            Some(lease)
                if matches!(lease.state, LeaseState::Ending | LeaseState::Stuck | LeaseState::ExternallyModified) =>
            {
                let (title, note) = match lease.state {
                    LeaseState::Stuck => (Word::StuckTitle, Word::StuckNote),
                    LeaseState::ExternallyModified => (Word::ChangedTitle, Word::ChangedNote),
                    _ => (Word::EndingTitle, Word::EndingNote),
                };
                PopupView::Ending {
                    title: Text::with(title, &lease.tenant_name),
                    note: Text::of(note),
                    alarming: needs_somebody(lease),
                    problem: lease.problem.as_ref().map(problem),
                }
            }
            _ => self.confirm(tenant),
        }
    }

    fn confirm(&self, tenant: &TenantSummary) -> PopupView {
        let others = self.state.tenants.as_ref().is_some_and(|tenants| tenants.len() > 1);
        PopupView::Confirm(Confirm {
            tenant_id: tenant.tenant_id,
            name: tenant.name.clone(),
            domain: tenant.domains.first().cloned().unwrap_or_default(),
            user_name: tenant.user_name.clone(),
            roles: tenant.roles.clone(),
            minutes: tenant.minutes,
            maximum_minutes: tenant.maximum_minutes,
            credential: tenant.credential.kind,
            credential_note: (tenant.credential.kind == CredentialKind::Password).then(|| Text::of(Word::PasswordNote)),
            because: tenant.credential.because.clone().filter(|because| !because.is_empty()),
            on_sign_in_page: self.on_sign_in_page(tenant),
            page: self.page_note(tenant),
            others,
            notices: self.notices(tenant),
        })
    }

    fn active(&self, tenant: &TenantSummary, lease: &LeaseSummary, flow: Option<&Flow>) -> PopupView {
        let outcome = flow
            .filter(|flow| flow.over.is_some_and(|over| over != Over::GivenUp) && flow.tenant_id == tenant.tenant_id)
            .map(|flow| flow.status.clone());
        PopupView::Active(ActiveView {
            lease_id: lease.lease_id,
            tenant_id: tenant.tenant_id,
            tenant_name: lease.tenant_name.clone(),
            user_name: lease.user_name.clone(),
            roles: lease.roles.clone(),
            until: lease.until,
            credential: lease.credential,
            on_sign_in_page: self.on_sign_in_page(tenant),
            page: outcome.or_else(|| self.page_note(tenant)),
            portals: tenant.cloud.hosts().portals.iter().map(|(name, _)| (*name).to_owned()).collect(),
            problem: lease.problem.as_ref().map(problem),
            notices: self.notices(tenant),
        })
    }

    /// What needs somebody while this tenant is shown: ends that fail elsewhere, and its application's credential.
    fn notices(&self, tenant: &TenantSummary) -> Vec<Text> {
        let mut notices = self.failing_ends(Some(tenant.tenant_id));
        if let Some(days) = self.days_of_credential(tenant) {
            notices.push(match days {
                ..0 => Text::with(Word::CredentialEnded, &tenant.name),
                _ => Text {
                    key: Word::CredentialEnds.key().to_owned(),
                    args: vec![tenant.name.clone(), days.to_string()],
                },
            });
        }
        notices
    }

    /// Ends that fail, but for one tenant's, whose own screen says so.
    fn failing_ends(&self, but: Option<Uuid>) -> Vec<Text> {
        let elsewhere = self.state.leases.iter().filter(|lease| needs_somebody(lease) && Some(lease.tenant_id) != but);
        elsewhere.map(|lease| Text::with(Word::StuckNotice, &lease.tenant_name)).collect()
    }

    /// How many whole days the application's credential is still good for, when that is worth a word.
    fn days_of_credential(&self, tenant: &TenantSummary) -> Option<i64> {
        let left = tenant.credential_expires?.saturating_sub(self.now);
        (left <= CREDENTIAL_WARNING_MS).then(|| left.div_euclid(DAY_MS))
    }

    fn choose_tenant(&self, tenants: &[TenantSummary]) -> PopupView {
        let rows = tenants.iter().map(|tenant| {
            let domain = tenant.domains.first().cloned().unwrap_or_default();
            let mut search = tenant.name.clone();
            for domain in &tenant.domains {
                search.push(' ');
                search.push_str(domain);
            }
            let state = self.state.leases.iter().find(|lease| lease.tenant_id == tenant.tenant_id).map(|lease| {
                Text::of(match lease.state {
                    LeaseState::Active | LeaseState::Usable | LeaseState::Requested | LeaseState::Activating => {
                        Word::TenantActive
                    }
                    _ if needs_somebody(lease) => Word::TenantProblem,
                    _ => Word::TenantEnding,
                })
            });
            let credential = || {
                let days = self.days_of_credential(tenant)?.max(0);
                Some(Text::with(Word::TenantCredentialEnds, days.to_string()))
            };
            let state = state.or_else(credential);
            TenantRow { tenant_id: tenant.tenant_id, name: tenant.name.clone(), domain, search, state }
        });
        let page = tenants.is_empty().then(|| Text::of(Word::NoTenantsAdvice));
        PopupView::ChooseTenant { tenants: rows.collect(), page, notices: self.failing_ends(None) }
    }

    fn progress(&self, flow: &Flow) -> PopupView {
        let steps = STEPS.iter().zip(flow.steps).map(|(label, state)| StepRow { label: Text::of(*label), state });
        PopupView::Progress(ProgressView {
            tenant_name: flow.tenant_name.clone(),
            user_name: flow.user_name.clone(),
            steps: steps.collect(),
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

/// Whether access could not be taken back yet, or somebody else changed the account.
fn needs_somebody(lease: &LeaseSummary) -> bool {
    match lease.state {
        LeaseState::Stuck | LeaseState::ExternallyModified => true,
        LeaseState::Ending => lease.problem.is_some(),
        _ => false,
    }
}

fn problem(error: &ErrorBody) -> ProblemView {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ProblemView {
        title: Text::error(error),
        message: some(&error.message),
        next_step: some(&error.next_step),
        request_id: error.graph_request_id.clone(),
    }
}

/// Time left in at most three characters: hours from an hour on, then minutes.
fn badge(left_ms: i64) -> String {
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
