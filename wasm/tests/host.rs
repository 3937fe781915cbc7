//! The line to the native host, the popup's views, leases over time, and the worker's death.
#![cfg(all(feature = "brain", feature = "popup"))]
#![allow(clippy::unwrap_used)]

mod support;

use latchkey_protocol::{
    CredentialKind::{Password, TemporaryAccessPass},
    ErrorBody, ErrorCode, HostFrame, LeaseState, LeaseSummary, PROTOCOL_VERSION, Reply, Request, RequestId, Secret,
    TenantSummary, Welcome,
};
use latchkey_wasm::{
    brain::{Action, Effect, Event, Icon, Snapshot},
    elements::ElementKey as Key,
    popup::{
        action::{Place, Wish},
        list::{self, Standing},
        view::{PopupView, StepProgress},
    },
};
use support::*;
use uuid::Uuid;

fn kinds(effects: &[Effect]) -> Vec<&'static str> {
    asked(effects)
        .iter()
        .map(|frame| match frame.request {
            Request::Hello(_) => "hello",
            Request::ListTenants { .. } => "tenants",
            Request::StartLease { .. } => "start",
            Request::ReplaceCredential { .. } => "replace",
            Request::AssertPasskey { .. } => "assert",
            Request::VerifyPerson { .. } => "verify",
            Request::FillCredential { .. } => "fill",
            Request::ConfirmSignIn { .. } => "confirm",
            Request::RevealCredential { .. } => "reveal",
            Request::EndLease { .. } => "end",
            Request::ExtendLease { .. } => "extend",
            Request::ListLeases {} => "leases",
            Request::NoteUnknownPage {} => "note",
            Request::Examine {} => "examine",
        })
        .collect()
}

fn count(effects: &[Effect], wanted: impl Fn(&Effect) -> bool) -> usize {
    effects.iter().filter(|effect| wanted(effect)).count()
}

fn error(code: ErrorCode) -> ErrorBody {
    ErrorBody::new(code, "It did not work.", "Do something.")
}

#[test]
fn the_handshake_is_first_and_everything_else_waits_for_it() {
    let mut world = World::new();
    let effects = world.send(Event::PopupOpened { tab_id: Some(TAB), url: None });
    assert_eq!(count(&effects, |effect| matches!(effect, Effect::ConnectHost {})), 1);
    assert_eq!(kinds(&effects), ["hello"]);
    assert!(matches!(world.view(), PopupView::Connecting {}));
    let id = asked(&effects)[0].id;
    let welcome = Welcome { protocol: PROTOCOL_VERSION, host_version: "9".to_owned() };
    assert_eq!(kinds(&world.reply(id.0, Reply::Welcome(welcome))), ["tenants"]);
}

#[test]
fn another_version_is_said_and_left() {
    for answer in ["welcome", "error"] {
        let mut world = World::new();
        let effects = world.send(Event::PopupOpened { tab_id: None, url: None });
        let id = asked(&effects)[0].id;
        let effects = if answer == "welcome" {
            world.reply(id.0, Reply::Welcome(Welcome { protocol: PROTOCOL_VERSION + 1, host_version: "9".to_owned() }))
        } else {
            world.frame(HostFrame::Error { id: Some(id), error: error(ErrorCode::UnsupportedProtocol) })
        };
        assert_eq!(count(&effects, |effect| matches!(effect, Effect::DisconnectHost {})), 1);
        let PopupView::HostMissing { title, .. } = world.view() else { panic!() };
        assert_eq!(title.key, "host_version");
    }
}

#[test]
fn each_failure_of_the_host_has_its_own_words() {
    for (reason, key) in [
        (Some("Specified native messaging host not found."), "host_missing"),
        (Some("No such native application com.latchkey.host"), "host_missing"),
        (Some("Access to the specified native messaging host is forbidden."), "host_forbidden"),
        (Some("Access to the native messaging host was disabled by the system administrator."), "host_blocked"),
        (Some("Native host has exited."), "host_exited"),
        (Some("An unexpected error occurred"), "host_exited"),
        (None, "host_exited"),
        (Some("Error when communicating with the native messaging host."), "host_garbled"),
        (
            Some(
                "Native application tried to send a message of 1969382756 bytes, which exceeds the limit of 1048576 bytes.",
            ),
            "host_garbled",
        ),
    ] {
        let mut world = World::new();
        world.send(Event::PopupOpened { tab_id: None, url: None });
        world.send(Event::HostGone { reason: reason.map(str::to_owned) });
        let PopupView::HostMissing { title, advice, detail } = world.view() else { panic!() };
        assert_eq!(title.key, key, "{reason:?}");
        assert_eq!(advice.key, format!("{key}_advice"));
        assert_eq!(detail.as_deref(), reason);
        // Trying again starts from the beginning.
        let effects = world.send(Event::PopupAction { action: Action::Retry {} });
        assert_eq!(kinds(&effects), ["hello"]);
    }
}

#[test]
fn a_silent_host_is_given_up_and_said() {
    let mut world = World::new();
    let effects = world.send(Event::PopupOpened { tab_id: None, url: None });
    let id = asked(&effects)[0].id.0;
    assert_eq!(
        count(&effects, |effect| matches!(effect, Effect::SetTimer { name, .. } if *name == format!("host:{id}"))),
        1
    );
    let effects = world.send(Event::TimerRang { name: format!("host:{id}") });
    assert_eq!(count(&effects, |effect| matches!(effect, Effect::DisconnectHost {})), 1);
    let PopupView::HostMissing { title, .. } = world.view() else { panic!() };
    assert_eq!(title.key, "host_silent");
}

#[test]
fn what_is_not_a_message_of_the_protocol_ends_the_connection() {
    let (mut world, _) = World::granted(Password, "d1", password());
    let effects = world.send(Event::HostMessage { frame: None });
    assert_eq!(count(&effects, |effect| matches!(effect, Effect::DisconnectHost {})), 1);
}

#[test]
fn the_wrong_kind_of_answer_is_no_answer() {
    let mut world = World::new();
    let effects = world.send(Event::PopupOpened { tab_id: None, url: None });
    let id = asked(&effects)[0].id.0;
    world.reply(id, Reply::Secret(secret(Password)));
    let PopupView::HostMissing { title, .. } = world.view() else { panic!() };
    assert_eq!(title.key, "host_garbled");
}

#[test]
fn a_host_that_dies_during_a_sign_in_is_started_again_some_times() {
    let (mut world, _) = World::granted(Password, "d1", user_name(""));
    let mut starts = 1;
    for _ in 0..10 {
        let effects = world.send(Event::HostGone { reason: Some("Native host has exited.".to_owned()) });
        if kinds(&effects).is_empty() {
            break;
        }
        let effects = world.greet(&[tenant(Password)]);
        assert_eq!(kinds(&effects), ["start"], "the open lease is answered again");
        starts += 1;
    }
    assert_eq!(starts, 4);
    let PopupView::Progress(progress) = world.view() else { panic!("{:?}", world.view()) };
    assert!(progress.can_retry && progress.needs_person);
}

#[test]
fn the_port_is_closed_when_nothing_needs_it() {
    let mut world = World::new();
    world.url = "https://portal.azure.com/".to_owned();
    world.open_popup(&[tenant(Password)]);
    let effects = world.send(Event::PopupClosed {});
    assert_eq!(count(&effects, |effect| matches!(effect, Effect::SetTimer { name, .. } if name == "idle")), 1);
    world.pass(5000);
    let effects = world.send(Event::TimerRang { name: "idle".to_owned() });
    assert_eq!(count(&effects, |effect| matches!(effect, Effect::DisconnectHost {})), 1);
    // During a sign-in it stays open.
    let (mut world, _) = World::granted(Password, "d1", user_name(""));
    world.send(Event::PopupClosed {});
    world.pass(600_000);
    let effects = world.send(Event::TimerRang { name: "idle".to_owned() });
    assert_eq!(count(&effects, |effect| matches!(effect, Effect::DisconnectHost {})), 0);
}

#[test]
fn a_sign_in_page_warms_the_host_and_asks_for_nothing_secret() {
    let mut world = World::new();
    world.url =
        "https://login.microsoftonline.com/contoso.com/oauth2/authorize?login_hint=alex%40contoso.com".to_owned();
    world.see("d1", user_name(""));
    let effects = world.greet(&[tenant(Password)]);
    assert_eq!(kinds(&effects), ["tenants"]);
    let Request::ListTenants { hint: Some(hint) } = &asked(&effects)[0].request else { panic!() };
    assert_eq!((hint.tenant.as_deref(), hint.user_name.as_deref()), (Some("contoso.com"), Some("alex@contoso.com")));
    assert!(kinds(&world.see("d1", user_name("x"))).is_empty(), "once per document");
    assert!(
        world.effects.iter().any(|effect| matches!(effect, Effect::SetIcon { tab_id: Some(TAB), icon: Icon::Known }))
    );
    // A page in the background is nobody's wish.
    let mut world = World::new();
    assert!(kinds(&world.see("d1", Snapshot { on_screen: false, ..user_name("") })).is_empty());
}

#[test]
fn the_tenant_is_recognised_by_the_address() {
    let tenants = [tenant(Password), other_tenant()];
    for (url, name) in [
        (format!("https://login.microsoftonline.com/{OTHER_TENANT}/oauth2/authorize"), Some("Fabrikam")),
        ("https://login.microsoftonline.com/CONTOSO.com/login".to_owned(), Some("Contoso")),
        ("https://login.microsoftonline.com/common/login?login_hint=kim@fabrikam.com".to_owned(), Some("Fabrikam")),
        ("https://login.microsoftonline.com/common/login?whr=fabrikam.com".to_owned(), Some("Fabrikam")),
        ("https://login.microsoftonline.com/unknown.example/login?login_hint=kim@fabrikam.com".to_owned(), None),
        ("https://login.microsoftonline.com/common/login".to_owned(), None),
        // The address of a page that is not a sign-in page says nothing.
        ("https://evil.test/contoso.com/login".to_owned(), None),
    ] {
        let mut world = World::new();
        world.url = url.clone();
        world.open_popup(&tenants);
        match (world.view(), name) {
            (PopupView::Confirm(confirm), Some(name)) => {
                assert_eq!(confirm.tenant_id, if name == "Fabrikam" { OTHER_TENANT } else { TENANT }, "{url}");
                assert!(confirm.on_sign_in_page);
            }
            (PopupView::ChooseTenant { on_sign_in_page }, None) => {
                assert_eq!(on_sign_in_page, !url.contains("evil"), "{url}");
            }
            (view, _) => panic!("{url}: {view:?}"),
        }
    }
    // What the page's own configuration says counts where the address says nothing.
    let mut world = World::new();
    world.see("d1", Snapshot { post_url: Some(format!("/{OTHER_TENANT}/login")), ..user_name("") });
    world.open_popup(&tenants);
    let PopupView::Confirm(confirm) = world.view() else { panic!() };
    assert_eq!(confirm.tenant_id, OTHER_TENANT);
    // A page of a tenant that is not connected does not offer the only one that is.
    let mut world = World::new();
    world.url = "https://login.microsoftonline.com/unknown.example/login".to_owned();
    world.open_popup(&tenants[..1]);
    assert!(matches!(world.view(), PopupView::ChooseTenant { .. }));
}

#[test]
fn the_list_can_be_left_and_returned_to() {
    let mut world = World::new();
    world.open_popup(&[tenant(Password), other_tenant()]);
    world.send(Event::PopupAction { action: Action::Choose { tenant_id: OTHER_TENANT } });
    let PopupView::Confirm(confirm) = world.view() else { panic!() };
    assert_eq!(confirm.tenant_id, OTHER_TENANT);
    world.send(Event::PopupAction { action: Action::List {} });
    assert!(matches!(world.view(), PopupView::ChooseTenant { .. }));
}

#[test]
fn away_from_a_sign_in_page_the_click_activates_only() {
    let mut world = World::new();
    world.url = "https://portal.azure.com/".to_owned();
    world.open_popup(&[tenant(Password)]);
    let PopupView::Confirm(confirm) = world.view() else { panic!() };
    assert!(!confirm.on_sign_in_page);
    let effects = world.send(Event::PopupAction {
        action: Action::Start { tenant_id: TENANT, wish: Wish { minutes: Some(30), ..Wish::default() } },
    });
    let Request::StartLease { minutes, .. } = asked(&effects)[0].request else { panic!() };
    assert_eq!(minutes, Some(30));
    let PopupView::Progress(progress) = world.view() else { panic!() };
    assert_eq!(progress.steps.len(), 1);
    world.grant(Password);
    let PopupView::Active(active) = world.view() else { panic!() };
    assert_eq!(active.lease_id, LEASE);
}

#[test]
fn a_double_click_starts_one_lease() {
    let mut world = World::new();
    world.see("d1", user_name(""));
    world.open_popup(&[tenant(Password)]);
    let mut effects = world.click();
    effects.extend(world.click());
    effects.extend(world.click());
    assert_eq!(kinds(&effects), ["start"]);
    assert_eq!(deeds(&effects), ["fill user_name"]);
}

#[test]
fn a_failed_activation_says_why_and_stops_the_filling() {
    let mut world = World::new();
    world.see("d1", raw());
    world.open_popup(&[tenant(Password)]);
    world.click();
    let id = world.request(|request| matches!(request, Request::StartLease { .. })).id;
    world.frame(HostFrame::Error { id: Some(id), error: error(ErrorCode::ClientSecretExpired) });
    assert!(deeds(&world.see("d1", password())).is_empty());
    assert_eq!(world.status(), "error_client_secret_expired");
    let PopupView::Progress(progress) = world.view() else { panic!() };
    assert!(progress.can_retry);
    assert_eq!(progress.steps[0].state, StepProgress::Failed);
    let effects = world.send(Event::PopupAction { action: Action::Retry {} });
    assert_eq!(kinds(&effects), ["start"]);
    assert_eq!(deeds(&world.grant(Password)), ["ask password"]);
}

#[test]
fn a_credential_that_the_host_lost_is_renewed_and_filled() {
    let (mut world, _) = World::granted(Password, "d1", password());
    let id = world.request(|request| matches!(request, Request::FillCredential { .. })).id;
    let effects = world.frame(HostFrame::Error { id: Some(id), error: error(ErrorCode::CredentialGone) });
    assert_eq!(kinds(&effects), ["start"]);
    let effects = world.grant(Password);
    assert_eq!(kinds(&effects), ["fill"], "nothing had been handed out for this document");
    assert_eq!(deeds(&world.hand_out(Password)), ["fill password"]);
}

#[test]
fn showing_the_credential_is_an_act_of_its_own() {
    let (mut world, _) = World::granted(Password, "d1", user_name(""));
    let effects = world.send(Event::PopupAction { action: Action::Reveal { lease_id: LEASE } });
    assert_eq!(kinds(&effects), ["reveal"]);
    let id = asked(&effects)[0].id;
    let effects = world.reply(id.0, Reply::Secret(secret(Password)));
    assert_eq!(count(&effects, |effect| matches!(effect, Effect::ShowSecret { value, .. } if value.0 == SECRET)), 1);
    assert!(deeds(&effects).is_empty());
    // The popup was closed before the answer came: it is dropped.
    let effects = world.send(Event::PopupAction { action: Action::Reveal { lease_id: LEASE } });
    let id = asked(&effects)[0].id;
    world.send(Event::PopupClosed {});
    let effects = world.reply(id.0, Reply::Secret(secret(Password)));
    assert!(!serde_json::to_string(&effects).unwrap().contains(SECRET));
    // Another popup, which did not ask for it, has taken its place: it is dropped, too.
    for closes in [true, false] {
        world.open_popup(&[latchkey_protocol::TenantSummary { lease: Some(lease(Password)), ..tenant(Password) }]);
        let effects = world.send(Event::PopupAction { action: Action::Reveal { lease_id: LEASE } });
        let id = asked(&effects)[0].id;
        if closes {
            world.send(Event::PopupClosed {});
        }
        world.send(Event::PopupOpened { tab_id: None, url: None });
        let effects = world.reply(id.0, Reply::Secret(secret(Password)));
        assert!(!serde_json::to_string(&effects).unwrap().contains(SECRET), "{closes}");
    }
}

#[test]
fn a_credential_to_show_is_renewed_when_the_host_does_not_hold_it() {
    let mut world = World::new();
    world.url = "https://portal.azure.com/".to_owned();
    let held_by_nobody = LeaseSummary { credential_held: false, ..lease(Password) };
    let mut with_lease = tenant(Password);
    with_lease.lease = Some(held_by_nobody);
    world.open_popup(&[with_lease]);
    let effects = world.send(Event::PopupAction { action: Action::Reveal { lease_id: LEASE } });
    assert_eq!(kinds(&effects), ["start"]);
    assert_eq!(kinds(&world.grant(Password)), ["reveal"]);
}

#[test]
fn end_now_stops_the_sign_in_and_shows_the_ending() {
    let (mut world, _) = World::granted(Password, "d1", user_name(""));
    let effects = world.send(Event::PopupAction { action: Action::EndNow { lease_id: LEASE } });
    assert_eq!(kinds(&effects), ["end"]);
    assert!(matches!(world.view(), PopupView::Ending { lease_id: LEASE }), "{:?}", world.view());
    assert!(deeds(&world.see("d2", password())).is_empty());
    let ended = LeaseSummary { state: LeaseState::Ended, credential: None, credential_held: false, ..lease(Password) };
    let effects = world.reply(asked(&effects)[0].id.0, Reply::Lease { lease: ended });
    assert_eq!(count(&effects, |effect| matches!(effect, Effect::Notify { .. })), 1);
    assert!(matches!(world.view(), PopupView::Confirm(_)));
    assert!(kinds(&world.see("d3", password())).iter().all(|kind| *kind != "start"), "no new lease without a click");
}

#[test]
fn the_badge_counts_down_and_goes() {
    let (mut world, _) = World::granted(Password, "d1", raw());
    let badges = |world: &World| -> Vec<String> {
        world
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::SetBadge { tab_id: None, text, .. } => Some(text.clone()),
                _ => None,
            })
            .collect()
    };
    assert_eq!(badges(&world).last().unwrap(), "4h");
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::SetAlarm { name, .. } if name == "badge")));
    world.now = lease(Password).until - 59 * 60_000;
    world.send(Event::TimerRang { name: "badge".to_owned() });
    assert_eq!(badges(&world).last().unwrap(), "59m");
    world.now = lease(Password).until - 30_000;
    world.send(Event::TimerRang { name: "badge".to_owned() });
    assert_eq!(badges(&world).last().unwrap(), "<1m");
    world.now = lease(Password).until;
    let effects = world.send(Event::TimerRang { name: "badge".to_owned() });
    assert_eq!(badges(&world).last().unwrap(), "");
    assert!(kinds(&effects).contains(&"leases"), "whether it has ended is asked, not assumed");
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::SetAlarm { name, .. } if name == "watch")));
    assert!(kinds(&effects).iter().all(|kind| *kind != "start"), "a lease that is over is not started again");
    let id = world.request(|request| matches!(request, Request::ListLeases {})).id;
    let effects = world.reply(id.0, Reply::Leases { leases: vec![] });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Notify { text, .. } if text.key == "ended_notice")));
}

#[test]
fn an_ending_in_trouble_is_an_alarm() {
    let (mut world, _) = World::granted(Password, "d1", raw());
    let stuck =
        LeaseSummary { state: LeaseState::Stuck, problem: Some(error(ErrorCode::EndingUnverified)), ..lease(Password) };
    let effects = world.frame(HostFrame::LeaseChanged { lease: stuck });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Notify { text, .. } if text.key == "stuck_notice")));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::SetIcon { tab_id: None, icon: Icon::Problem })));
    world.send(Event::PopupAction { action: Action::Choose { tenant_id: TENANT } });
    world.send(Event::PopupAction { action: Action::StopSignIn {} });
    assert!(matches!(world.view(), PopupView::Ending { lease_id: LEASE }), "{:?}", world.view());
}

#[test]
fn an_ending_that_fails_is_seen_whatever_the_popup_is_about() {
    let mut world = World::new();
    world.url = "https://example.com/".to_owned();
    world.open_popup(&[tenant(Password), other_tenant()]);
    let ending =
        LeaseSummary { state: LeaseState::Ending, credential: None, credential_held: false, ..lease(Password) };
    world.frame(HostFrame::LeaseChanged { lease: ending.clone() });
    world.send(Event::PopupAction { action: Action::List {} });
    assert!(matches!(world.view(), PopupView::ChooseTenant { on_sign_in_page: false }));
    let (directory, leases) = shown(&world);
    assert!(directory.notices(None, &leases, START).is_empty(), "an ending that goes well is no notice");
    assert_eq!(list::standing(TENANT, &leases, START), Standing::Ending);

    let problem = Some(error(ErrorCode::EndingUnverified));
    let effects = world.frame(HostFrame::LeaseChanged { lease: LeaseSummary { problem, ..ending } });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::SetIcon { tab_id: None, icon: Icon::Problem })));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Notify { text, .. } if text.key == "stuck_notice")));
    let (directory, leases) = shown(&world);
    assert_eq!(list::standing(TENANT, &leases, START), Standing::Problem);
    for tenant in [None, Some(OTHER_TENANT)] {
        let notices = directory.notices(tenant, &leases, START);
        assert_eq!(notices.iter().map(|text| text.key.as_str()).collect::<Vec<_>>(), ["stuck_notice"]);
    }
    // The tenant's own screen says it in full, and not a second time.
    assert!(directory.notices(Some(TENANT), &leases, START).is_empty());
    world.send(Event::PopupAction { action: Action::Choose { tenant_id: TENANT } });
    assert!(matches!(world.view(), PopupView::Ending { lease_id: LEASE }), "{:?}", world.view());
}

#[test]
fn a_sign_in_window_that_closes_itself_is_signed_in() {
    let (mut world, _) = World::granted(Password, "d1", password());
    world.hand_out(Password);
    world.done(filled(password(), Key::Password));
    world.see("d2", stay_signed_in());
    world.done(stay_signed_in());
    assert_eq!(kinds(&world.send(Event::TabClosed { tab_id: TAB })), ["confirm"]);
}

#[test]
fn a_detour_to_register_a_second_factor_is_said() {
    let (mut world, _) = World::granted(TemporaryAccessPass, "d1", access_pass());
    world.hand_out(TemporaryAccessPass);
    world.done(filled(access_pass(), Key::AccessPass));
    let effects = world.send(Event::TabNavigated {
        tab_id: TAB,
        url: Some("https://mysignins.microsoft.com/security-info".to_owned()),
    });
    assert_eq!(kinds(&effects), ["confirm"]);
    let PopupView::Active(active) = world.view() else { panic!() };
    assert_eq!(active.page.unwrap().key, "page_registration");
}

// ---- the worker's death ----

/// A browser, a page and a host that carry out what the brain says, and a worker that can die after any effect.
///
/// What was on its way to the worker dies with it, and so does the host with the credential that it held. A credential
/// that is issued anew ends the one before, and the session that was begun with it.
struct Stage {
    world: World,
    /// The click, and over which page the popup is open.
    click: Event,
    popup_at: String,
    /// The tab that is to be signed in.
    tab: i32,
    document: &'static str,
    snapshot: Snapshot,
    written: Option<String>,
    events: std::collections::VecDeque<Event>,
    timers: std::collections::BTreeMap<String, i64>,
    /// What `storage.session` has.
    saved: Option<String>,
    issued: u32,
    is_held: bool,
    /// Tabs that were opened.
    opened: i32,
    /// How often the host heard of the sign-in.
    confirmed: u32,
    secret_fills: Vec<String>,
    carried_out: usize,
}

impl Stage {
    /// On a sign-in page.
    fn here() -> Self {
        Self::new(LOGIN, Action::Start { tenant_id: TENANT, wish: Wish::default() })
    }

    /// From anywhere: the sign-in page is that of the portal which the click opens.
    fn from_anywhere() -> Self {
        let url = "https://portal.azure.com/".to_owned();
        let wish = Wish::default();
        Self::new("https://example.com/", Action::OpenPortal { tenant_id: TENANT, url, place: Place::NewTab, wish })
    }

    fn new(popup_at: &str, action: Action) -> Self {
        let mut world = World::new();
        world.url = popup_at.to_owned();
        if popup_at == LOGIN {
            world.see("d1", user_name(""));
        }
        world.open_popup(&[tenant(Password)]);
        let saved = Some(world.brain.state());
        let click = Event::PopupAction { action };
        Self {
            world,
            click: click.clone(),
            popup_at: popup_at.to_owned(),
            tab: TAB,
            document: "d1",
            snapshot: user_name(""),
            written: None,
            events: [click].into(),
            timers: std::collections::BTreeMap::new(),
            saved,
            issued: 0,
            is_held: false,
            opened: 0,
            confirmed: 0,
            secret_fills: Vec::new(),
            carried_out: 0,
        }
    }

    fn page_seen(&self) -> Event {
        Event::PageSeen(latchkey_wasm::brain::PageSeen {
            tab_id: self.tab,
            frame_id: 0,
            document_id: self.document.to_owned(),
            url: LOGIN.to_owned(),
            origin: None,
            snapshot: self.snapshot.clone(),
        })
    }

    /// Lets everything happen that is under way, and time pass when nothing is. The worker dies after so many effects.
    fn play(&mut self, death: usize) {
        for _ in 0..500 {
            let state = self.world.brain.state();
            if state.contains("\"over\":\"SignedIn\"") && state.contains("\"unconfirmed\":[]") {
                return;
            }
            let event = self.events.pop_front().unwrap_or_else(|| {
                let first = self
                    .timers
                    .iter()
                    .min_by_key(|(_, at)| **at)
                    .unwrap_or_else(|| panic!("nothing is waited for: {:?}", self.world.view()));
                let (name, at) = (first.0.clone(), *first.1);
                self.timers.remove(&name);
                self.world.now = self.world.now.max(at);
                Event::TimerRang { name }
            });
            for effect in self.world.send(event.clone()) {
                if self.carried_out == death {
                    self.carried_out += 1;
                    self.die(&event);
                    break;
                }
                self.carried_out += 1;
                self.carry_out(effect);
            }
        }
        panic!("it goes round in circles after a death at effect {death}");
    }

    fn die(&mut self, during: &Event) {
        self.events.clear();
        self.timers.clear();
        self.is_held = false;
        assert!(!self.saved.as_ref().unwrap().contains(SECRET));
        self.world.brain = latchkey_wasm::brain::Brain::new(self.saved.as_deref(), "0.1.0");
        self.events.push_back(Event::WorkerStarted {});
        if self.opened > 0 && self.document != "portal" {
            // The next worker sees the tab, and cannot know that it is the one.
            self.events.push_back(self.page_seen());
        }
        if *during == self.click {
            // The popup tells the next worker what this one did not hear.
            self.events.push_back(Event::PopupOpened { tab_id: Some(TAB), url: Some(self.popup_at.clone()) });
            self.events.push_back(during.clone());
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::SaveState { .. } => self.saved = Some(self.world.brain.state()),
            Effect::SetTimer { name, after } => {
                self.timers.insert(name, self.world.now + i64::from(after));
            }
            Effect::ClearTimer { name } => {
                self.timers.remove(&name);
            }
            Effect::AskHost { frame } => {
                let reply = self.reply(&frame.request);
                self.events.push_back(Event::HostMessage { frame: Some(HostFrame::Reply { id: frame.id, reply }) });
            }
            Effect::OpenTab { act, .. } => {
                self.opened += 1;
                self.tab = TAB + self.opened;
                self.events.push_back(Event::TabOpened { act, tab_id: Some(self.tab) });
                self.events.push_back(Event::TabNavigated { tab_id: self.tab, url: Some(LOGIN.to_owned()) });
                self.events.push_back(self.page_seen());
            }
            Effect::Look { .. } if self.document == "portal" => {
                self.events.push_back(Event::TabNavigated { tab_id: self.tab, url: None });
            }
            Effect::Look { tab_id } if tab_id == self.tab => self.events.push_back(self.page_seen()),
            Effect::Fill { tab_id, document_id, act, key, value, .. } => {
                assert_eq!((tab_id, document_id.as_str()), (self.tab, self.document));
                if key == Key::Password {
                    self.secret_fills.push(document_id.clone());
                    self.written = Some(value.0);
                    self.snapshot = filled(password(), Key::Password);
                } else {
                    self.snapshot = user_name(&value.0);
                }
                self.answer(document_id, act);
            }
            Effect::Click { tab_id, document_id, act, key, .. } => {
                assert_eq!((tab_id, document_id.as_str()), (self.tab, self.document));
                match (self.document, key, self.snapshot.views[0].as_str()) {
                    ("d1", Key::Primary, "1") => {
                        self.answer(document_id, act);
                        self.snapshot = password();
                        self.events.push_back(self.page_seen());
                    }
                    ("d1", Key::Primary, "2") => {
                        assert_eq!(self.written, Some(format!("{SECRET}{}", self.issued)), "what is in force is sent");
                        self.document = "d2";
                        self.snapshot = stay_signed_in();
                        self.events.push_back(self.page_seen());
                    }
                    ("d2", Key::Back, _) => {
                        self.document = "portal";
                        let url = Some("https://portal.azure.com/".to_owned());
                        self.events.push_back(Event::TabNavigated { tab_id: self.tab, url });
                    }
                    other => panic!("{other:?}"),
                }
            }
            _ => {}
        }
    }

    fn reply(&mut self, request: &Request) -> Reply {
        let state = if self.confirmed > 0 { LeaseState::Usable } else { LeaseState::Active };
        let held = LeaseSummary { credential_held: self.is_held, state, ..lease(Password) };
        match request {
            Request::ConfirmSignIn { .. } => {
                self.confirmed += 1;
                Reply::Lease { lease: LeaseSummary { state: LeaseState::Usable, ..held } }
            }
            Request::Hello(_) => Reply::Welcome(Welcome { protocol: PROTOCOL_VERSION, host_version: "1".to_owned() }),
            Request::ListTenants { .. } => {
                let lease = (self.issued > 0).then_some(held);
                Reply::Tenants { tenants: vec![TenantSummary { lease, ..tenant(Password) }], recognized: None }
            }
            Request::StartLease { .. } => {
                if !self.is_held {
                    assert_eq!(self.document, "d1", "the session is ended that has begun");
                    self.issued += 1;
                    self.is_held = true;
                }
                Reply::Lease { lease: lease(Password) }
            }
            Request::FillCredential { .. } => {
                assert!(self.is_held, "what nobody holds is asked for");
                Reply::Secret(Secret { value: format!("{SECRET}{}", self.issued), ..secret(Password) })
            }
            Request::ListLeases {} => Reply::Leases { leases: vec![held] },
            Request::NoteUnknownPage {} => Reply::Noted {},
            _ => Reply::Lease { lease: held },
        }
    }

    fn answer(&mut self, document_id: String, act: u32) {
        let snapshot = Some(self.snapshot.clone());
        self.events.push_back(Event::Acted {
            tab_id: self.tab,
            document_id,
            act,
            outcome: latchkey_wasm::brain::Outcome::Done,
            snapshot,
        });
    }
}

#[test]
fn a_sign_in_goes_on_after_the_workers_death_at_any_effect() {
    for (begin, tabs) in [(Stage::here as fn() -> Stage, 0), (Stage::from_anywhere, 1)] {
        let mut stage = begin();
        stage.play(usize::MAX);
        let effects = stage.carried_out;
        assert_eq!((stage.issued, stage.secret_fills.len(), stage.confirmed), (1, 1, 1), "once, if nobody dies");
        assert_eq!(stage.opened, tabs);
        for death in 0..effects {
            let mut stage = begin();
            stage.play(death);
            // A second time only if the first was for nothing.
            assert!((1..=2).contains(&stage.issued), "issued {} times after {death} effects", stage.issued);
            assert!((1..=2).contains(&stage.secret_fills.len()), "filled {:?}", stage.secret_fills);
            // Or if nobody could know of it.
            assert!((tabs..=tabs * 2).contains(&stage.opened), "opened {} times after {death} effects", stage.opened);
            assert!((1..=2).contains(&stage.confirmed), "confirmed {} times after {death} effects", stage.confirmed);
        }
    }
}

#[test]
fn what_was_written_and_sent_before_the_workers_death_is_left_a_while_and_then_done_again() {
    let dead = |sent: bool| {
        let (mut world, _) = World::granted(Password, "d1", password());
        world.hand_out(Password);
        if sent {
            world.done(filled(password(), Key::Password));
        }
        world.restart();
        world.greet(&[tenant(Password)]);
        world
    };
    let is_start = |frame: &latchkey_protocol::RequestFrame| matches!(frame.request, Request::StartLease { .. });
    let starts = |world: &World| world.open_requests().iter().filter(|frame| is_start(frame)).count();
    let ring = |world: &mut World| {
        world.pass(5_000);
        world.send(Event::TimerRang { name: format!("page:{TAB}") })
    };
    // It was written: the button is pressed.
    let mut world = dead(false);
    let effects = world.see("d1", filled(password(), Key::Password));
    assert_eq!(deeds(&effects), ["click primary"]);
    assert_eq!(starts(&world), 1, "the click's alone");
    // It never arrived: it is issued anew, because nobody holds it any more.
    let mut world = dead(false);
    let effects = world.see("d1", password());
    assert!(acts(&effects).is_empty());
    assert_eq!(starts(&world), 1);
    ring(&mut world);
    assert_eq!(starts(&world), 2);
    world.grant(Password);
    assert_eq!(deeds(&world.hand_out(Password)), ["fill password"]);
    // The button was not pressed after all.
    let mut world = dead(true);
    let effects = world.see("d1", filled(password(), Key::Password));
    assert!(acts(&effects).is_empty());
    assert_eq!(deeds(&ring(&mut world)), ["click primary"]);
    // It was: the page goes on, and nothing is issued anew.
    let mut world = dead(true);
    world.see("d1", busy(filled(password(), Key::Password)));
    let effects = world.see("d2", stay_signed_in());
    assert_eq!((acts(&effects).len(), starts(&world)), (1, 1));
    // It was, and Microsoft refuses the account, which is not enabled everywhere yet: that takes the credential again.
    let mut world = dead(true);
    world.see("d2", with_error(password(), "50057"));
    assert_eq!(starts(&world), 1);
    world.pass(2_000);
    world.send(Event::TimerRang { name: format!("page:{TAB}") });
    assert_eq!(starts(&world), 2);
}

#[test]
fn an_end_that_was_asked_for_is_asked_for_again_by_the_next_worker() {
    let (mut world, _) = World::granted(Password, "d1", user_name(""));
    world.send(Event::PopupAction { action: Action::EndNow { lease_id: LEASE } });
    world.effects.clear();
    world.restart();
    world.greet(&[tenant(Password)]);
    assert_eq!(kinds(&world.effects), ["hello", "leases", "end"]);
}

/// How often the host was told in all, and of the sign-in on [`LEASE`] in what the last event did.
fn told(world: &World, effects: &[Effect]) -> (usize, bool) {
    let all = kinds(&world.effects).iter().filter(|kind| **kind == "confirm").count();
    (all, kinds(effects).contains(&"confirm"))
}

fn signed_in() -> World {
    let (mut world, _) = World::granted(Password, "d1", password());
    world.hand_out(Password);
    world.done(filled(password(), Key::Password));
    world.send(Event::TabNavigated { tab_id: TAB, url: Some("https://portal.azure.com/".to_owned()) });
    world
}

#[test]
fn the_host_is_told_of_a_sign_in_until_it_has_said_that_it_knows() {
    let mut world = signed_in();
    assert_eq!(told(&world, &[]).0, 1);
    // The worker dies: the next one says it, and so does one that finds the host gone meanwhile.
    world.restart();
    let effects = world.greet(&[tenant(Password)]);
    assert_eq!(told(&world, &effects), (2, true));
    // No answer, and no line: the alarm of the badge, which outlives the worker, says it on a new line; once.
    let id = world.request(|request| matches!(request, Request::ConfirmSignIn { .. })).id.0;
    world.send(Event::TimerRang { name: format!("host:{id}") });
    let effects = world.send(Event::TimerRang { name: "badge".to_owned() });
    assert_eq!(told(&world, &effects), (3, true));
    let effects = world.send(Event::TimerRang { name: "badge".to_owned() });
    assert_eq!(told(&world, &effects), (3, false), "it is on its way");
    // The answer ends it, for every later worker.
    let id = world.request(|request| matches!(request, Request::ConfirmSignIn { .. })).id.0;
    let usable = LeaseSummary { state: LeaseState::Usable, ..lease(Password) };
    world.reply(id, Reply::Lease { lease: usable });
    world.send(Event::TimerRang { name: "badge".to_owned() });
    world.restart();
    world.greet(&[tenant(Password)]);
    assert_eq!(told(&world, &[]).0, 3);
}

#[test]
fn the_host_is_not_told_again_of_a_sign_in_that_it_refused() {
    let mut world = signed_in();
    let id = world.request(|request| matches!(request, Request::ConfirmSignIn { .. })).id;
    world.frame(HostFrame::Error { id: Some(id), error: error(ErrorCode::LeaseOver) });
    world.restart();
    world.greet(&[tenant(Password)]);
    assert_eq!(told(&world, &[]).0, 1);
}

#[test]
fn a_host_that_dies_when_it_is_told_of_a_sign_in_is_told_again_by_the_next_line() {
    let mut world = signed_in();
    let effects = world.send(Event::HostGone { reason: Some("Native host has exited.".to_owned()) });
    assert_eq!(told(&world, &effects), (1, false), "not at once, and over and over");
    world.send(Event::TimerRang { name: "badge".to_owned() });
    assert!(kinds(&world.send(Event::TimerRang { name: "badge".to_owned() })).is_empty());
    world.send(Event::PopupOpened { tab_id: Some(TAB), url: None });
    let effects = world.greet(&[tenant(Password)]);
    assert_eq!(told(&world, &effects), (2, true));
}

#[test]
fn an_unreadable_state_is_no_state() {
    for state in ["", "null", "[]", "{\"next_request\":\"x\"}", "{", "\u{0}"] {
        let brain = latchkey_wasm::brain::Brain::new(Some(state), "0.1.0");
        assert!(matches!(brain.view(), PopupView::Connecting {}));
    }
}

#[test]
fn request_numbers_are_not_used_twice_across_a_death() {
    let (mut world, _) = World::granted(Password, "d1", password());
    world.restart();
    world.greet(&[tenant(Password)]);
    let mut ids: Vec<RequestId> = asked(&world.effects).iter().map(|frame| frame.id).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

/// A list that is too long for one message comes in parts, and two lists may come at once.
#[test]
fn the_parts_of_two_long_lists_are_put_together() {
    let mut world = World::new();
    world.open_popup(&[]);
    world.send(Event::PopupOpened { tab_id: None, url: None });
    world.see("d1", password());
    let customer = |number: u128| TenantSummary {
        tenant_id: Uuid::from_u128(number),
        name: format!("Customer {number}"),
        ..tenant(Password)
    };
    let open = world.open_requests();
    let lists: Vec<_> = open.iter().filter(|frame| matches!(frame.request, Request::ListTenants { .. })).collect();
    let [.., first, last] = lists.as_slice() else { panic!("two lists are asked for: {open:?}") };
    for number in [1, 2] {
        world.frame(HostFrame::Tenants { id: first.id, tenants: vec![customer(number)] });
        world.frame(HostFrame::Tenants { id: last.id, tenants: vec![customer(number + 10)] });
    }
    let names = |world: &World| -> Vec<String> {
        let tenants: Vec<TenantSummary> = serde_json::from_str(world.brain.tenants()).unwrap();
        tenants.into_iter().map(|tenant| tenant.name).collect()
    };
    assert_eq!(names(&world), Vec::<String>::new(), "nothing is shown before all is there");
    world.reply(first.id.0, Reply::Tenants { tenants: vec![customer(3)], recognized: None });
    assert_eq!(names(&world), ["Customer 1", "Customer 2", "Customer 3"]);
    world.reply(last.id.0, Reply::Tenants { tenants: Vec::new(), recognized: None });
    assert_eq!(names(&world), ["Customer 11", "Customer 12"]);
    // What nobody asked for is nobody's.
    world.frame(HostFrame::Tenants { id: RequestId(999), tenants: vec![customer(5)] });
    assert_eq!(names(&world), ["Customer 11", "Customer 12"]);
}
