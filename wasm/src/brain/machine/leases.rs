//! What is known about leases: what they grant a sign-in, what is new about them, and the alarms that outlive the
//! worker.

use latchkey_protocol::{LeaseState, LeaseSummary, Request, TenantSummary};
use uuid::Uuid;

use super::{ALARM_BADGE, ALARM_WATCH, Activation, Asked, Brain, LOOK_UP_MS, MINUTE_MS};
use crate::{
    brain::{
        decide::Grant,
        effect::Effect,
        flow::Over,
        present::{WARNING_MS, badge},
    },
    popup::{action::Wish, list::needs_somebody},
    words::{Text, Word},
};

/// How much longer a lease lasts when it is extended, if it may.
const EXTENSION_MINUTES: u32 = 60;

impl Brain {
    pub(super) fn lease_changed(&mut self, lease: LeaseSummary) {
        self.lease_seen(&lease);
        self.state.leases.retain(|known| known.lease_id != lease.lease_id && known.tenant_id != lease.tenant_id);
        if !lease.state.is_closed() {
            self.state.leases.push(lease);
        }
    }

    pub(super) fn sync_leases(&mut self, leases: Vec<LeaseSummary>) {
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
    pub(super) fn lease_seen(&mut self, lease: &LeaseSummary) {
        let before = self.state.leases.iter().find(|known| known.lease_id == lease.lease_id);
        let word = match lease.state {
            LeaseState::Ended if before.is_some_and(|before| before.state != LeaseState::Ended) => {
                Some(Word::EndedNotice)
            }
            LeaseState::Ending | LeaseState::Stuck
                if needs_somebody(lease) && before.is_some_and(|before| !needs_somebody(before)) =>
            {
                Some(Word::StuckNotice)
            }
            _ => None,
        };
        if let Some(word) = word {
            let text = Text::with(word, &lease.tenant_name);
            self.out.push(Effect::Notify { lease_id: lease.lease_id, text, button: None });
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

    pub(super) fn grant(&self, tenant_id: Uuid) -> Grant {
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

    pub(super) fn activation_mut(&mut self, tenant_id: Uuid) -> &mut Activation {
        let activations = &mut self.state.activations;
        let place = activations.iter().position(|activation| activation.tenant_id == tenant_id).unwrap_or_else(|| {
            activations.push(Activation {
                tenant_id,
                wish: Wish::default(),
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

    pub(in crate::brain) fn tenant(&self, tenant_id: Uuid) -> Option<&TenantSummary> {
        self.state.tenants.as_ref()?.iter().find(|tenant| tenant.tenant_id == tenant_id)
    }

    /// Tells the host which leases were signed in with. It is kept until the host has said that it knows, because the worker
    /// may be stopped before that, and told again by the next one, on the next line, and with the alarm of the badge.
    pub(super) fn confirm(&mut self) {
        for place in 0..self.state.unconfirmed.len() {
            let lease_id = self.state.unconfirmed[place];
            let asked = Asked::Confirm(lease_id);
            if !self.pending.iter().any(|pending| pending.asked == asked) {
                self.ask(asked, Request::ConfirmSignIn { lease_id }, LOOK_UP_MS);
            }
        }
    }

    /// Alarms outlive the worker: one moves the badge on, and a sign-in whose page has nothing to tell; one looks whether
    /// what should end has ended.
    pub(super) fn watch_leases(&mut self) {
        let now = self.now;
        let is_live =
            |lease: &LeaseSummary| matches!(lease.state, LeaseState::Active | LeaseState::Usable) && lease.until > now;
        let live = self.state.leases.iter().any(is_live);
        let unsettled = self
            .state
            .leases
            .iter()
            .any(|lease| !is_live(lease) && !matches!(lease.state, LeaseState::Requested | LeaseState::Activating));
        self.warn_of_ends();
        self.keep_alarm(ALARM_BADGE, live || self.is_signing_in());
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

    /// Says some minutes before that a lease will end. The alarm of the badge comes every minute, so this comes in time.
    fn warn_of_ends(&mut self) {
        let Self { state, out, now, .. } = self;
        let warned = std::mem::take(&mut state.warned);
        for lease in &state.leases {
            let left = lease.until.saturating_sub(*now);
            let soon = WARNING_MS.min(lease.until.saturating_sub(lease.from) / 2);
            if !matches!(lease.state, LeaseState::Active | LeaseState::Usable) || left <= 0 || left > soon {
                continue;
            }
            state.warned.push(lease.lease_id);
            if !warned.contains(&lease.lease_id) {
                let text = left_of(Word::EndsNotice, lease, *now);
                let button = Some(Text::of(Word::Extend));
                out.push(Effect::Notify { lease_id: lease.lease_id, text, button });
            }
        }
    }

    /// Asks the host for more time: an hour, or what the profile still allows.
    pub(super) fn extend(&mut self, lease_id: Uuid, reason: Option<String>) {
        let Some(lease) = self.state.leases.iter().find(|lease| lease.lease_id == lease_id) else {
            return;
        };
        let tenant_id = lease.tenant_id;
        let lasting = lease.until.saturating_sub(lease.from).saturating_add(MINUTE_MS - 1) / MINUTE_MS;
        let maximum = self.tenant(tenant_id).map_or(0, |tenant| {
            let profile = tenant.profiles.iter().find(|profile| Some(&profile.name) == lease.profile.as_ref());
            profile.map_or(tenant.maximum_minutes, |profile| profile.maximum_minutes)
        });
        // Where nothing is left, the host says so in words.
        let left = u32::try_from(i64::from(maximum).saturating_sub(lasting)).unwrap_or_default();
        let minutes = if left == 0 { EXTENSION_MINUTES } else { left.min(EXTENSION_MINUTES) };
        // What it was started for is what it goes on for.
        let started_for = || {
            let activation = self.state.activations.iter().find(|activation| activation.tenant_id == tenant_id);
            activation.and_then(|activation| activation.wish.reason.clone())
        };
        let reason = reason.or_else(started_for);
        self.ask(Asked::Extend(lease_id), Request::ExtendLease { lease_id, minutes, reason }, LOOK_UP_MS);
    }

    pub(super) fn extended(&mut self, lease: LeaseSummary) {
        if self.popup.is_none() {
            let text = left_of(Word::ExtendedNotice, &lease, self.now);
            self.out.push(Effect::Notify { lease_id: lease.lease_id, text, button: None });
        }
        self.lease_changed(lease);
    }

    pub(super) fn keep_alarm(&mut self, name: &str, wanted: bool) {
        let is_set = self.wakes.get(name).is_some_and(|at| *at > self.now);
        if wanted && !is_set {
            let at = self.now + MINUTE_MS;
            self.wakes.insert(name.to_owned(), at);
            self.out.push(Effect::SetAlarm { name: name.to_owned(), at });
        } else if !wanted && self.wakes.remove(name).is_some() {
            self.out.push(Effect::ClearAlarm { name: name.to_owned() });
        }
    }
}

fn left_of(word: Word, lease: &LeaseSummary, now: i64) -> Text {
    let left = badge(lease.until.saturating_sub(now));
    Text { key: word.key().to_owned(), args: vec![lease.tenant_name.clone(), left] }
}
