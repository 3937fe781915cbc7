//! What each screen of the popup looks like, as elements.
//!
//! A view becomes a small tree of nodes; the tree is laid over what is there, and only what differs is touched, so
//! that focus, a half-typed search and a screen reader's place survive. Everything is text and attributes: no markup
//! is ever parsed.
//!
//! Class names for the style sheet: on `#app` `screen-<name>`; inside `card`, `facts`, `steps` with `step-<state>`,
//! `rows` with `row`, `row-name`, `row-domain`, `row-state` with `state-<standing>`, `row-pin`, `row-options`, `where-to`
//! with `choice`, `profiles` with `profile`, `text-box`, `buttons`, `primary`, `quiet`, `danger`, `note`, `warning`,
//! `status`, `needs-person`, `countdown`, `until`, `secret`, `secret-value`, `details`, `minutes`, `search`, `foot`.

use latchkey_protocol::{
    CredentialKind, CredentialPlan, ErrorBody, LeaseState, PersonState, ProfileSummary, TenantSummary, portal::Portal,
};
use uuid::Uuid;
use wasm_bindgen::{JsCast, prelude::*};
use web_sys::{HtmlElement, HtmlInputElement};

use super::{
    action::Place,
    list::{self, Standing},
    render::{Popup, Preferences, look_up},
    tree::{Tree, lay},
    view::{ActiveView, Confirm, PopupView, ProgressView, StepProgress},
};
use crate::{
    preferences::minutes_within,
    words::{Text, Word},
};

impl Popup {
    pub(super) fn draw(&mut self) {
        let name = screen_name(&self.view);
        let (mut content, mut status, needs_person) = self.screen();
        if self.copied {
            status = Some(Text::of(Word::Copied));
        }
        let status_class = if needs_person { "status needs-person" } else { "status" };
        // The live region stays the same node for ever, or it would not be announced. It stands before the buttons, so
        // that what happened is read before what can be done about it.
        let live = Tree::new("p")
            .key("status")
            .class(status_class)
            .attribute("role", "status")
            .attribute("aria-live", "polite")
            .attribute("aria-label", &say(&Text::of(Word::StatusRegion)))
            .text(&status.map(|text| say(&text)).unwrap_or_default());
        let place = content.iter().position(Tree::is_buttons).unwrap_or(content.len());
        content.insert(place, live);
        let trees = [
            Tree::new("section").class("card").attribute("aria-labelledby", "title").children(content),
            Tree::new("p").class("foot").child(button(Word::OptionsOpen, "options", "")),
        ];
        let _ = self.root.set_attribute("class", &["screen screen-", name].concat());
        let _ = self.root.set_attribute("aria-busy", if name == "connecting" { "true" } else { "false" });
        lay(&self.document, &self.root, &trees);
        // The question who is there comes up in the middle of a sign-in, and is begun at as a screen is.
        let is_asking = matches!(&self.view, PopupView::Progress(progress) if progress.person.is_some());
        let name = if is_asking { "person" } else { name };
        if self.drawn != Some(name) {
            self.drawn = Some(name);
            if !self.is_focus_elsewhere() {
                self.focus_first();
            }
        }
    }

    /// Whether the person is at something outside this view, such as the browser's question about sign-in pages. Enter
    /// there must not become the Enter of a screen that arrives a moment later.
    fn is_focus_elsewhere(&self) -> bool {
        let Some(focused) = self.document.active_element() else { return false };
        focused.tag_name() != "BODY" && !self.root.contains(Some(&focused))
    }

    /// A new screen begins at what Enter does, or at the search box.
    pub(super) fn focus_first(&self) {
        let first = self.root.query_selector("[data-focus]").ok().flatten();
        if let Some(element) = first.and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
            let _ = element.focus();
            // What was typed already goes on at its end.
            if let Some(input) = element.dyn_ref::<HtmlInputElement>().filter(|input| input.id() == "search") {
                let end = u32::try_from(input.value().encode_utf16().count()).unwrap_or_default();
                let _ = input.set_selection_range(end, end);
            }
        }
    }

    fn screen(&self) -> (Vec<Tree>, Option<Text>, bool) {
        match &self.view {
            PopupView::Connecting {} => (vec![heading("Latchkey")], Some(Text::of(Word::Connecting)), false),
            PopupView::HostMissing { title, advice, detail } => {
                let mut content = vec![heading(&say(title)), note(&say(advice))];
                content.extend(detail.as_deref().map(details));
                content.push(buttons(vec![button(Word::Retry, "retry", "").class("primary").default()]));
                (content, Some(title.clone()), true)
            }
            PopupView::ChooseTenant { on_sign_in_page } => {
                let needs_person = self.leases.iter().any(list::needs_somebody);
                (self.choose(*on_sign_in_page), self.count(), needs_person)
            }
            PopupView::Confirm(confirm) => (self.confirm(confirm), None, false),
            PopupView::Progress(progress) => {
                (self.progress(progress), Some(progress.status.clone()), progress.needs_person)
            }
            PopupView::Active(active) => (self.active(active), active.page.clone(), false),
            PopupView::Ending { lease_id } => self.ending(*lease_id),
            PopupView::Problem { problem: trouble } => {
                let mut content = vec![heading(&say(&Text::of(Word::ProblemTitle)))];
                content.extend(trouble.tenant.as_deref().map(|name| Tree::new("p").class("row-domain").text(name)));
                content.extend(problem(trouble));
                content.push(buttons(vec![
                    button(Word::Retry, "retry", "").class("primary").default(),
                    button(Word::AnotherTenant, "list", "").class("quiet"),
                ]));
                (content, None, true)
            }
        }
    }

    /// How many tenants the search finds, and so many of them as are drawn.
    fn found(&self, rows: usize) -> (usize, Vec<&TenantSummary>) {
        self.directory.find_first(rows, &self.search, &self.preferences.pinned, &self.leases)
    }

    fn count(&self) -> Option<Text> {
        if self.directory.is_empty() {
            return Some(Text::of(Word::NoTenants));
        }
        let (found, _) = self.found(0);
        Some(if found == 0 { Text::of(Word::ChooseNothing) } else { Text::with(Word::ChooseCount, found.to_string()) })
    }

    fn choose(&self, on_sign_in_page: bool) -> Vec<Tree> {
        let mut content = vec![heading(&word(Word::ChooseTitle))];
        content.extend(warnings(&self.directory.notices(None, &self.leases, self.moment())));
        if self.directory.is_empty() {
            content.push(note(&word(Word::NoTenantsAdvice)));
            content.push(buttons(vec![button(Word::Retry, "retry", "").class("primary").default()]));
            return content;
        }
        content.push(
            Tree::new("input")
                .class("search")
                .attribute("id", "search")
                .attribute("type", "search")
                .attribute("autocomplete", "off")
                .attribute("spellcheck", "false")
                .attribute("placeholder", &word(Word::ChooseSearch))
                .attribute("aria-label", &word(Word::ChooseSearch))
                .attribute("aria-describedby", "help")
                .attribute("value", &self.search)
                .focus(),
        );
        let help = if on_sign_in_page {
            Text::of(Word::ChooseHelpHere)
        } else {
            Text::with(Word::ChooseHelp, self.preferences.portal.name())
        };
        content.push(note(&say(&help)).key("help").attribute("id", "help"));
        if !on_sign_in_page {
            content.extend(self.where_to(Portal::ALL));
        }
        let (total, found) = self.found(self.rows);
        let total = total.to_string();
        let rows = (1..).zip(found).map(|(place, tenant): (usize, _)| {
            let row = self.row(tenant, on_sign_in_page, place == 1);
            row.attribute("aria-setsize", &total).attribute("aria-posinset", &place.to_string())
        });
        content.push(Tree::new("ul").class("rows").children(rows.collect()));
        if self.leases.iter().any(|lease| !lease.state.is_closed()) {
            content.push(buttons(vec![button(Word::EndAll, "end-all", "").class("danger")]));
        }
        content
    }

    fn row(&self, tenant: &TenantSummary, on_sign_in_page: bool, is_first: bool) -> Tree {
        let id = tenant.tenant_id.to_string();
        let (class, state) = self.standing(tenant);
        let mut main = Tree::new("button")
            .class("row")
            .attribute("type", "button")
            .attribute("data-do", if on_sign_in_page { "choose" } else { "open" })
            .attribute("data-for", &id)
            .child(Tree::new("span").class("row-name").text(&tenant.name))
            .child(Tree::new("span").class("row-domain").text(tenant.domains.first().map_or("", String::as_str)))
            .child(Tree::new("span").class(class).text(&say(&state)));
        if is_first {
            main = main.attribute("data-default", "");
        }
        let is_pinned = self.preferences.pinned.contains(&tenant.tenant_id);
        let small = |what: &str, label: Word, sign: &str| {
            Tree::new("button")
                .class(["row-", what].concat().as_str())
                .attribute("type", "button")
                // By keyboard there are Alt+P and Shift+Enter: thirty rows are enough to tab through.
                .attribute("tabindex", "-1")
                .attribute("data-for", &id)
                .attribute("aria-label", &say(&Text::with(label, &tenant.name)))
                .text(sign)
        };
        let pin = small("pin", Word::PinTenant, if is_pinned { "★" } else { "☆" })
            .attribute("data-do", "pin")
            .attribute("aria-pressed", if is_pinned { "true" } else { "false" });
        let mut item = Tree::new("li").key(&id).child(main).child(pin);
        if !on_sign_in_page {
            item = item.child(small("options", Word::OptionsFor, "…").attribute("data-do", "choose"));
        }
        item
    }

    fn standing(&self, tenant: &TenantSummary) -> (&'static str, Text) {
        match list::standing(tenant.tenant_id, &self.leases, self.moment()) {
            Standing::Starting => ("row-state state-starting", Text::of(Word::TenantStarting)),
            Standing::Active(left) => {
                ("row-state state-active", Text::with(Word::TenantActive, time_left(left, false)))
            }
            Standing::Ending => ("row-state state-ending", Text::of(Word::TenantEnding)),
            Standing::Problem => ("row-state state-problem", Text::of(Word::TenantProblem)),
            Standing::Dormant => match list::days_of_credential(tenant, self.moment()) {
                Some(days) => {
                    ("row-state state-expiring", Text::with(Word::TenantCredentialEnds, days.max(0).to_string()))
                }
                None => ("row-state state-dormant", Text::of(Word::TenantDormant)),
            },
        }
    }

    /// Which portal, and where.
    fn where_to(&self, portals: &[Portal]) -> Vec<Tree> {
        let option = |value: &str, label: &str, is_chosen: bool| {
            let option = Tree::new("option").key(value).attribute("value", value).text(label);
            if is_chosen { option.attribute("selected", "") } else { option }
        };
        let choice = |id: &'static str, label: Word, options: Vec<Tree>| {
            Tree::new("label")
                .class(["choice choice-", id].concat().as_str())
                .child(Tree::new("span").text(&word(label)))
                .child(Tree::new("select").attribute("id", id).children(options))
        };
        let Preferences { portal: preferred, place: usual, .. } = self.preferences;
        let names = portals.iter().map(|portal| option(portal.key(), portal.name(), *portal == preferred)).collect();
        let places = Place::ALL.iter().map(|place| option(place.key(), &word(place.word()), *place == usual));
        let mut content =
            vec![Tree::new("div").class("where-to").child(choice("portal", Word::PortalLabel, names)).child(choice(
                "place",
                Word::PlaceLabel,
                places.collect(),
            ))];
        if usual == Place::PrivateWindow && !self.private_allowed {
            content.push(note(&word(Word::PrivateNotAllowed)).class("warning").attribute("role", "alert"));
        }
        content
    }

    /// The portal that Enter opens; none where the place is not allowed.
    fn open_button(&self, tenant: &TenantSummary) -> Option<Tree> {
        let (portal, _) = list::preferred(tenant, self.preferences.portal)?;
        if self.preferences.place == Place::PrivateWindow && !self.private_allowed {
            return None;
        }
        let label = say(&Text::with(Word::OpenNamed, portal.name()));
        Some(
            Tree::new("button")
                .key("portal")
                .attribute("type", "button")
                .attribute("data-do", "portal")
                .attribute("data-for", portal.key())
                .text(&label),
        )
    }

    fn confirm(&self, confirm: &Confirm) -> Vec<Tree> {
        let Some(tenant) = self.directory.tenant(confirm.tenant_id) else {
            return vec![heading("Latchkey")];
        };
        let profile = list::profile(tenant, self.wish.profile.as_deref());
        let roles = profile.map_or(&tenant.roles, |profile| &profile.roles);
        let groups = profile.map_or(&[][..], |profile| &profile.groups);
        let power: Vec<_> = roles.iter().chain(groups).map(String::as_str).collect();
        let roles = if power.is_empty() { word(Word::ConfirmNoRoles) } else { power.join(", ") };
        let mut content = vec![
            heading(&say(&Text::with(Word::ConfirmTitle, &tenant.name))),
            Tree::new("p").class("row-domain").text(tenant.domains.first().map_or("", String::as_str)),
        ];
        content.extend(confirm.problem.as_ref().map(problem).unwrap_or_default());
        content.push(Tree::new("dl").class("facts").children(facts(&[
            (word(Word::ConfirmAccount), tenant.user_name.clone()),
            (word(Word::ConfirmRoles), roles),
            (word(Word::ConfirmCredential), word(name_of(self.usable(&tenant.credential)))),
        ])));
        content.extend(self.why_not_better(&tenant.credential));
        if self.usable(&tenant.credential) == CredentialKind::Password {
            content.push(note(&word(Word::PasswordNote)));
        }
        content.extend(tenant.credential.because.as_deref().filter(|because| !because.is_empty()).map(note));
        content.extend(confirm.page.as_ref().map(|text| note(&say(text)).class("warning")));
        content.extend(warnings(&self.directory.notices(Some(tenant.tenant_id), &self.leases, self.moment())));
        content.extend(profiles(tenant, profile));
        if tenant.reason_required {
            content.push(text_box("reason", Word::ConfirmReason, self.wish.reason.as_deref(), true));
        }
        if let Some(pattern) = &tenant.ticket_pattern {
            let told = Tree::new("span")
                .attribute("id", "ticket-pattern")
                .text(&say(&Text::with(Word::ConfirmTicketPattern, pattern)));
            content.push(text_box("ticket", Word::ConfirmTicket, self.wish.ticket.as_deref(), true).child(told));
        }
        let (usual, maximum) = profile
            .map_or((tenant.minutes, tenant.maximum_minutes), |profile| (profile.minutes, profile.maximum_minutes));
        content.push(
            Tree::new("p")
                .class("minutes")
                .key(profile.map_or("", |profile| profile.name.as_str()))
                .child(Tree::new("label").attribute("for", "minutes").text(&word(Word::ConfirmMinutes)))
                .child(
                    Tree::new("input")
                        .attribute("id", "minutes")
                        .attribute("type", "number")
                        .attribute("min", "1")
                        .attribute("max", &maximum.to_string())
                        .attribute("value", &self.minutes_proposed(usual, maximum).to_string())
                        .attribute("aria-describedby", "minutes-range"),
                )
                .child(
                    Tree::new("span")
                        .attribute("id", "minutes-range")
                        .text(&say(&Text::with(Word::ConfirmMinutesRange, maximum.to_string()))),
                ),
        );
        let id = tenant.tenant_id.to_string();
        let mut choices = Vec::new();
        if confirm.on_sign_in_page {
            choices.push(button(Word::Start, "start", &id).class("primary").default());
            choices.extend(self.open_button(tenant).map(|open| open.class("quiet")));
        } else {
            content.extend(self.where_to(&portals_of(tenant)));
            choices.extend(self.open_button(tenant).map(|open| open.class("primary").default()));
            choices.push(button(Word::StartWithoutPage, "start", &id).class("quiet"));
        }
        if self.directory.len() > 1 {
            choices.push(button(Word::AnotherTenant, "list", "").class("quiet"));
        }
        content.push(buttons(choices));
        content
    }

    /// What signs in here: not every browser can answer a page with a passkey.
    fn usable(&self, plan: &CredentialPlan) -> CredentialKind {
        match plan.kind {
            CredentialKind::Passkey if !self.has_passkeys => plan.otherwise.unwrap_or(CredentialKind::Password),
            kind => kind,
        }
    }

    /// Why the better credentials are not available, for whoever asks.
    fn why_not_better(&self, plan: &CredentialPlan) -> Option<Tree> {
        let mut reasons: Vec<_> = plan
            .unavailable
            .iter()
            .map(|one| {
                let reason = [word(name_of(one.kind)).as_str(), ": ", &one.because, " ", &one.remedy].concat();
                Tree::new("p").text(&reason)
            })
            .collect();
        if self.usable(plan) != plan.kind {
            reasons.insert(0, Tree::new("p").text(&word(Word::CredentialNotHere)));
        }
        let summary = Tree::new("summary").text(&word(Word::CredentialWhy));
        (!reasons.is_empty()).then(|| {
            Tree::new("details").key("why").class("details").child(summary).children_after(reasons.into_iter())
        })
    }

    /// Asks who is there. What is typed is in its box only.
    fn pin_box(&self, person: &PersonState) -> Vec<Tree> {
        let mut content = vec![note(&word(Word::PinNote)).key("pin-note")];
        let left = person.wait_until.map_or(0, |until| until.saturating_sub(self.moment()));
        if left > 0 {
            let text = Text::with(Word::PinWait, time_left(left, true));
            content.push(note(&say(&text)).key("pin-wait").class("warning"));
            return content;
        }
        if person.wrong {
            let tries = person.tries_left.unwrap_or_default().to_string();
            let text = say(&Text::with(Word::PinWrong, tries));
            content.push(note(&text).key("pin-wrong").class("warning").attribute("role", "alert"));
        }
        let input = Tree::new("input")
            .attribute("id", "pin")
            .attribute("type", "password")
            .attribute("autocomplete", "off")
            .focus();
        let label = Tree::new("label").attribute("for", "pin").text(&word(Word::PinLabel));
        content.push(Tree::new("p").class("text-box").key("pin").child(label).child(input));
        content
    }

    fn minutes_proposed(&self, usual: u32, maximum: u32) -> u32 {
        self.wish.minutes.or_else(|| minutes_within(None, self.preferences.minutes, maximum)).unwrap_or(usual)
    }

    fn progress(&self, progress: &ProgressView) -> Vec<Tree> {
        let steps = progress.steps.iter().map(|step| {
            let (class, state) = match step.state {
                StepProgress::Waiting => ("step step-waiting", Word::StateWaiting),
                StepProgress::Running => ("step step-running", Word::StateRunning),
                StepProgress::Done => ("step step-done", Word::StateDone),
                StepProgress::Retrying => ("step step-retrying", Word::StateRetrying),
                StepProgress::Failed => ("step step-failed", Word::StateFailed),
                StepProgress::Skipped => ("step step-skipped", Word::StateSkipped),
            };
            let mut row = Tree::new("li").class(class);
            if step.state == StepProgress::Running {
                row = row.attribute("aria-current", "step");
            }
            row.child(Tree::new("span").class("step-label").text(&say(&step.label)))
                .child(Tree::new("span").class("step-state").text(&word(state)))
        });
        let mut content = vec![
            heading(&say(&Text::with(Word::ProgressTitle, &progress.tenant_name))),
            Tree::new("p").class("row-domain").text(&progress.user_name),
            Tree::new("ol").class("steps").children(steps.collect()),
        ];
        let credential = word(name_of(progress.credential));
        content.push(match progress.replaced {
            Some(refused) => {
                let args = vec![word(name_of(refused)), credential];
                note(&look_up(Word::CredentialReplaced.key(), args)).key("replaced").class("warning")
            }
            None => note(&[&word(Word::ConfirmCredential), ": ", &credential].concat()).key("credential"),
        });
        let mut choices = Vec::new();
        if let Some(person) = progress.person.as_ref().filter(|person| person.pin_set) {
            content.extend(self.pin_box(person));
            choices.push(button(Word::PinEnter, "verify", "").class("primary").default());
        }
        content.extend(self.secret_box());
        if progress.can_retry {
            choices.push(button(Word::Retry, "retry", "").class("primary").default());
        }
        if let Some(lease_id) = progress.lease_id {
            if self.secret.is_none() && progress.credential != CredentialKind::Passkey {
                choices.push(button(Word::ShowCredential, "reveal", &lease_id.to_string()).class("quiet"));
            }
            choices.push(button(Word::EndNow, "end", &lease_id.to_string()).class("danger"));
        }
        // It has no focus by itself: the Enter that began it, pressed twice, must not stop it.
        choices.push(button(Word::StopSignIn, "stop", "").class("quiet"));
        content.push(buttons(choices));
        content
    }

    fn active(&self, active: &ActiveView) -> Vec<Tree> {
        let Some(lease) = self.lease(active.lease_id) else {
            return vec![heading("Latchkey")];
        };
        let left = (self.now > 0.0).then(|| lease.until.saturating_sub(self.moment()));
        let mut content =
            vec![
                heading(&say(&Text::with(Word::ActiveTitle, &lease.tenant_name))),
                Tree::new("p").class("countdown").attribute("role", "timer").attribute("aria-live", "off").text(
                    &left.map(|left| say(&Text::with(Word::ActiveLeft, time_left(left, true)))).unwrap_or_default(),
                ),
                Tree::new("p")
                    .key("until")
                    .class("row-domain until")
                    .text(&say(&Text::with(Word::ActiveUntil, self.time_of(lease.until)))),
            ];
        let mut known = vec![
            (word(Word::ConfirmAccount), lease.user_name.clone()),
            (word(Word::ConfirmRoles), lease.roles.join(", ")),
        ];
        known.extend(lease.credential.map(|kind| (word(Word::ConfirmCredential), word(name_of(kind)))));
        content.push(Tree::new("dl").class("facts").children(facts(&known)));
        content.extend(lease.problem.as_ref().map(problem).unwrap_or_default());
        content.extend(warnings(&self.directory.notices(Some(lease.tenant_id), &self.leases, self.moment())));
        content.extend(self.secret_box());
        let (id, tenant_id) = (lease.lease_id.to_string(), lease.tenant_id.to_string());
        let tenant = self.directory.tenant(lease.tenant_id);
        let mut choices = Vec::new();
        if active.on_sign_in_page {
            choices.push(button(Word::SignInHere, "sign-in", &tenant_id).class("primary").default());
        } else if let Some(tenant) = tenant {
            content.extend(self.where_to(&portals_of(tenant)));
            choices.extend(self.open_button(tenant).map(|open| open.class("primary").default()));
        }
        if tenant.is_some_and(|tenant| tenant.reason_required) {
            content.push(text_box("reason", Word::ConfirmReason, self.wish.reason.as_deref(), false));
        }
        choices.push(button(Word::Extend, "extend", &id).class("quiet"));
        if self.secret.is_none() && lease.credential != Some(CredentialKind::Passkey) {
            choices.push(button(Word::ShowCredential, "reveal", &id).class("quiet"));
        }
        choices.push(button(Word::EndNow, "end", &id).class("danger"));
        if self.directory.len() > 1 {
            choices.push(button(Word::AnotherTenant, "list", "").class("quiet"));
        }
        content.push(buttons(choices));
        content
    }

    fn ending(&self, lease_id: Uuid) -> (Vec<Tree>, Option<Text>, bool) {
        let Some(lease) = self.lease(lease_id) else {
            return (vec![heading("Latchkey")], None, false);
        };
        let (title, words) = match lease.state {
            LeaseState::Stuck => (Word::StuckTitle, Word::StuckNote),
            LeaseState::ExternallyModified => (Word::ChangedTitle, Word::ChangedNote),
            _ => (Word::EndingTitle, Word::EndingNote),
        };
        let title = Text::with(title, &lease.tenant_name);
        let mut content = vec![heading(&say(&title)), note(&word(words))];
        content.extend(lease.problem.as_ref().map(problem).unwrap_or_default());
        content.push(buttons(vec![button(Word::AnotherTenant, "list", "").class("quiet").focus()]));
        (content, Some(title), list::needs_somebody(lease))
    }

    fn secret_box(&self) -> Option<Tree> {
        let shown = self.secret.as_ref()?;
        let label = [word(Word::SecretLabel), word(name_of(shown.credential))].join(": ");
        Some(
            Tree::new("div")
                .class("secret")
                .attribute("role", "group")
                .attribute("aria-label", &label)
                .child(Tree::new("p").class("row-domain").text(&shown.user_name))
                .child(Tree::new("code").class("secret-value").text(&shown.value))
                .child(buttons(vec![
                    button(Word::Copy, "copy-secret", "").class("primary"),
                    button(Word::CopyUserName, "copy-account", &shown.user_name).class("quiet"),
                    button(Word::HideCredential, "hide", "").class("quiet"),
                ])),
        )
    }

    /// A moment as the person's clock shows it, hours and minutes.
    fn time_of(&self, moment: i64) -> String {
        let options = js_sys::Object::new();
        for (name, value) in [("hour", "numeric"), ("minute", "2-digit")] {
            let _ = js_sys::Reflect::set(&options, &name.into(), &value.into());
        }
        let language = self.document.document_element().and_then(|page| page.get_attribute("lang"));
        #[allow(clippy::cast_precision_loss)]
        let date = js_sys::Date::new(&JsValue::from_f64(moment as f64));
        date.to_locale_string(language.as_deref().filter(|tag| !tag.is_empty()).unwrap_or("en"), &options).into()
    }

    /// Now, in the popup's clock.
    #[allow(clippy::cast_possible_truncation)]
    const fn moment(&self) -> i64 {
        self.now as i64
    }
}

/// Hours and minutes, or minutes and seconds; without seconds where many of them would tick.
fn time_left(left_ms: i64, with_seconds: bool) -> String {
    let seconds = left_ms.max(0) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    let (word, parts) = match (hours, with_seconds) {
        (1.., _) => (Word::TimeHours, vec![hours, minutes]),
        (_, true) => (Word::TimeMinutes, vec![minutes, seconds]),
        (_, false) => (Word::TimeMinutesOnly, vec![minutes]),
    };
    look_up(word.key(), parts.iter().map(ToString::to_string).collect())
}

fn portals_of(tenant: &TenantSummary) -> Vec<Portal> {
    list::portals(tenant).into_iter().map(|(portal, _)| portal).collect()
}

/// The profiles to choose from, the least powerful first; nothing where there is no choice.
fn profiles(tenant: &TenantSummary, chosen: Option<&ProfileSummary>) -> Option<Tree> {
    if tenant.profiles.len() < 2 {
        return None;
    }
    let radios = tenant.profiles.iter().map(|profile| {
        let mut radio = Tree::new("input")
            .attribute("type", "radio")
            .attribute("name", "profile")
            .attribute("value", &profile.name);
        if chosen.is_some_and(|chosen| chosen.name == profile.name) {
            radio = radio.attribute("checked", "");
        }
        Tree::new("label").key(&profile.name).class("profile").child(radio).child(Tree::new("span").text(&profile.name))
    });
    let legend = Tree::new("legend").text(&word(Word::ConfirmProfile));
    Some(Tree::new("fieldset").class("profiles").child(legend).children_after(radios))
}

/// A line to type in, with its label.
fn text_box(id: &'static str, label: Word, value: Option<&str>, is_needed: bool) -> Tree {
    let input = Tree::new("input")
        .attribute("id", id)
        .attribute("type", "text")
        .attribute("autocomplete", "off")
        .attribute("value", value.unwrap_or_default());
    // Where something has to be typed the screen begins.
    let input = if is_needed { input.attribute("required", "").focus() } else { input };
    let label = Tree::new("label").attribute("for", id).text(&word(label));
    Tree::new("p").class("text-box").key(id).child(label).child(input)
}

const fn screen_name(view: &PopupView) -> &'static str {
    match view {
        PopupView::Connecting {} => "connecting",
        PopupView::HostMissing { .. } => "host-missing",
        PopupView::ChooseTenant { .. } => "choose",
        PopupView::Confirm(_) => "confirm",
        PopupView::Progress(_) => "progress",
        PopupView::Active(_) => "active",
        PopupView::Ending { .. } => "ending",
        PopupView::Problem { .. } => "problem",
    }
}

const fn name_of(credential: CredentialKind) -> Word {
    match credential {
        CredentialKind::Passkey => Word::CredentialPasskey,
        CredentialKind::TemporaryAccessPass => Word::CredentialPass,
        CredentialKind::PasswordTotp => Word::CredentialCode,
        CredentialKind::Password => Word::CredentialPassword,
    }
}

/// The words of a text; its key where the browser's language has none, so that nothing is silently empty.
pub(super) fn say(text: &Text) -> String {
    let words = look_up(&text.key, text.args.clone());
    if words.is_empty() { text.key.clone() } else { words }
}

fn word(word: Word) -> String {
    say(&Text::of(word))
}

fn heading(text: &str) -> Tree {
    Tree::new("h1").attribute("id", "title").text(text)
}

fn note(text: &str) -> Tree {
    Tree::new("p").class("note").text(text)
}

fn warnings(notices: &[Text]) -> Vec<Tree> {
    notices.iter().map(|text| note(&say(text)).class("warning")).collect()
}

fn details(text: &str) -> Tree {
    Tree::new("details")
        .class("details")
        .child(Tree::new("summary").text(&word(Word::Details)))
        .child(Tree::new("p").text(text))
}

fn buttons(children: Vec<Tree>) -> Tree {
    Tree::new("div").class("buttons").children(children)
}

fn button(label: Word, what: &str, argument: &str) -> Tree {
    Tree::new("button")
        .key(what)
        .attribute("type", "button")
        .attribute("data-do", what)
        .attribute("data-for", argument)
        .text(&word(label))
}

fn facts(facts: &[(String, String)]) -> Vec<Tree> {
    facts.iter().flat_map(|(name, value)| [Tree::new("dt").text(name), fact(value)]).collect()
}

/// A user name is broken after its `@` and nowhere else if that can be, and reads from left to right in any language.
fn fact(value: &str) -> Tree {
    let fact = Tree::new("dd");
    let Some(at) = value.find('@') else { return fact.text(value) };
    let (local, domain) = value.split_at(at + 1);
    let part = |text| Tree::new("span").class("part").text(text);
    fact.child(Tree::new("bdi").attribute("dir", "ltr").children(vec![part(local), part(domain)]))
}

fn problem(error: &ErrorBody) -> Vec<Tree> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let words = Text::error(error);
    let title = Some(look_up(&words.key, words.args)).filter(|words| !words.is_empty());
    let title = title.unwrap_or_else(|| error.message.clone());
    let mut content = vec![Tree::new("p").class("warning").attribute("role", "alert").text(&title)];
    content.extend(some(&error.next_step).as_deref().map(note));
    let more: Vec<_> = [
        some(&error.message).filter(|message| *message != title),
        error.graph_request_id.as_ref().map(|id| say(&Text::with(Word::RequestNumber, id))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !more.is_empty() {
        content.push(details(&more.join(" ")));
    }
    content
}
