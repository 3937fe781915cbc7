//! Whatever happens, in whatever order: nothing is written or clicked but on a genuine page, after a click, in the
//! document that was seen, once, and with the right kind of secret; and a secret is nowhere else.
#![cfg(feature = "brain")]
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use latchkey_protocol::{
    CredentialKind, ErrorBody, ErrorCode, HostFrame, LeaseState, LeaseSummary, PROTOCOL_VERSION, PasskeyResponse,
    PersonState, Reply, Request, Secret, Welcome, cloud::SignInOrigin,
};
use latchkey_wasm::{
    brain::{Action, Effect, Event, Outcome, PageSeen, Snapshot},
    elements::ElementKey as Key,
    popup::action::{Place, Wish},
};
use proptest::prelude::*;
use support::*;

const PASSWORD_SECRET: &str = "Pw-7f3c9e!only-for-passwords";
const PASS_SECRET: &str = "Tap-41d8b2!only-for-passes";

#[derive(Clone, Debug)]
enum Move {
    See { tab: i32, document: u8, url: usize, frame: i32, top: bool, page: usize },
    Navigate { tab: i32, url: usize },
    CloseTab { tab: i32 },
    OpenPopup { tab: i32, url: usize },
    ClosePopup,
    Act(usize),
    Answer { place: usize, how: u8 },
    Unasked(u8),
    HostGone,
    Opened { act: u32, tab: Option<i32> },
    Acted { outcome: usize, page: Option<usize> },
    Ring(usize),
    Pass(i64),
    Die,
}

const URLS: [&str; 9] = [
    AUTHORIZE,
    LOGIN,
    "https://login.microsoftonline.com/contoso.com/login",
    "https://login.microsoft.com/common/login",
    "https://login.microsoftonline.us/common/login",
    "https://login.microsoftonline.com.evil.test/common/login",
    "https://login.live.com/login.srf",
    "https://portal.azure.com/",
    "http://login.microsoftonline.com/common/login",
];

fn pages() -> Vec<Snapshot> {
    let mut foreign = password();
    foreign.form_origin = Some("https://evil.test".to_owned());
    let mut twice = password();
    twice.elements[1].visible = 2;
    let mut covered = access_pass();
    covered.elements.iter_mut().for_each(|element| element.clear = false);
    let mut picker = page("ConvergedSignIn", &["12"], vec![seen(Key::Tiles), seen(Key::OtherTile)]);
    picker.tiles = vec![UPN.to_owned()];
    vec![
        raw(),
        user_name(""),
        user_name("kim@contoso.com"),
        user_name(UPN),
        add(user_name(UPN), seen(Key::UserNameError)),
        busy(user_name(UPN)),
        password(),
        filled(password(), Key::Password),
        with_error(password(), "50057"),
        with_error(password(), "50126"),
        with_error(password(), "50053"),
        with_identity(password(), "kim@contoso.com"),
        Snapshot { on_screen: false, ..password() },
        foreign,
        twice,
        add(password(), seen(Key::ToAccessPass)),
        add(password(), seen(Key::ToCredentials)),
        access_pass(),
        filled(access_pass(), Key::AccessPass),
        with_error(access_pass(), "130503"),
        covered,
        page("ConvergedSignIn", &["24"], vec![seen(Key::Credentials), seen(Key::AccessPassTile), seen(Key::Back)]),
        picker,
        page("ConvergedSignIn", &["7"], vec![seen(Key::WorkTile), seen(Key::PersonalTile)]),
        stay_signed_in(),
        page("ConvergedTFA", &["1"], vec![seen(Key::Code), seen(Key::Primary)]),
        page("ConvergedTFA", &["1"], vec![seen(Key::Methods), seen(Key::AccessPassTile)]),
        page("ConvergedConsent", &["25"], vec![seen(Key::Primary), seen(Key::Back)]),
        page("ConvergedSignIn", &["14"], vec![seen(Key::DeviceCode), seen(Key::Primary)]),
        page("ConvergedChangePassword", &["22"], vec![masked(Key::ChangePassword), seen(Key::Primary)]),
        page("SomethingNew", &["2"], vec![masked(Key::Password), seen(Key::Primary)]),
        Snapshot { top: false, ..password() },
    ]
}

fn actions() -> Vec<Action> {
    vec![
        Action::Start { tenant_id: TENANT, wish: Wish::default() },
        Action::Start { tenant_id: TENANT, wish: Wish { minutes: Some(60), ..Wish::default() } },
        Action::SignIn { tenant_id: TENANT },
        Action::EndNow { lease_id: LEASE },
        Action::Reveal { lease_id: LEASE },
        Action::StopSignIn {},
        Action::Retry {},
        Action::List {},
        Action::Choose { tenant_id: TENANT },
        Action::OpenPortal {
            tenant_id: TENANT,
            url: "https://portal.azure.com/".to_owned(),
            place: Place::NewTab,
            wish: Wish::default(),
        },
        Action::OpenPortal {
            tenant_id: TENANT,
            url: "https://portal.azure.com/".to_owned(),
            place: Place::PrivateWindow,
            wish: Wish { reason: Some("because".to_owned()), ..Wish::default() },
        },
        Action::Extend { lease_id: LEASE, reason: None },
        Action::EndAll {},
    ]
}

const OUTCOMES: [Outcome; 6] = [
    Outcome::Done,
    Outcome::DocumentGone,
    Outcome::PageChanged,
    Outcome::NotThere,
    Outcome::Covered,
    Outcome::ValueLost,
];

fn moves() -> impl Strategy<Value = Move> {
    let tab = 1..3_i32;
    let pages = pages().len();
    prop_oneof![
        8 => (tab.clone(), 0..4_u8, prop_oneof![4 => 0..3_usize, 1 => 3..URLS.len()], prop_oneof![9 => Just(0), 1 => 1..3_i32], 0..pages)
            .prop_map(|(tab, document, url, frame, page)| Move::See { tab, document, url, frame, top: frame == 0, page }),
        1 => (tab.clone(), 0..URLS.len()).prop_map(|(tab, url)| Move::Navigate { tab, url }),
        1 => tab.clone().prop_map(|tab| Move::CloseTab { tab }),
        2 => (tab, prop_oneof![4 => 0..3_usize, 1 => 3..URLS.len()]).prop_map(|(tab, url)| Move::OpenPopup { tab, url }),
        1 => Just(Move::ClosePopup),
        4 => prop_oneof![3 => Just(0), 1 => 0..actions().len()].prop_map(Move::Act),
        10 => (0..3_usize, 0..12_u8).prop_map(|(place, how)| Move::Answer { place, how }),
        1 => (0..9_u8).prop_map(Move::Unasked),
        1 => Just(Move::HostGone),
        2 => (0..3_u32, prop::option::weighted(0.8, 1..3_i32)).prop_map(|(act, tab)| Move::Opened { act, tab }),
        8 => (prop_oneof![4 => Just(0), 1 => 0..OUTCOMES.len()], prop::option::of(0..pages))
            .prop_map(|(outcome, page)| Move::Acted { outcome, page }),
        3 => (0..6_usize).prop_map(Move::Ring),
        2 => (0..30_000_i64).prop_map(Move::Pass),
        1 => Just(Move::Die),
    ]
}

/// Watches over what comes out.
struct Guard {
    world: World,
    kind: CredentialKind,
    /// What was last seen in each tab, if it may count: document, origin, look.
    seen: BTreeMap<i32, (String, SignInOrigin, Snapshot)>,
    clicked: BTreeSet<i32>,
    clicked_once: bool,
    popup: Option<(i32, usize)>,
    filled: BTreeSet<(String, Key)>,
    open: Vec<(u32, Request)>,
    acts: Vec<(i32, String, u32)>,
    /// Portals that the brain asked to open.
    openings: Vec<u32>,
}

impl Guard {
    fn send(&mut self, event: Event) {
        let effects = self.world.send(event);
        self.world.effects.clear();
        for effect in &effects {
            self.check(effect);
        }
        let state = self.world.brain.state();
        assert!(!state.contains(PASSWORD_SECRET) && !state.contains(PASS_SECRET), "a secret in the state");
    }

    fn check(&mut self, effect: &Effect) {
        let json = serde_json::to_string(effect).unwrap();
        let has_secret = json.contains(PASSWORD_SECRET) || json.contains(PASS_SECRET);
        match effect {
            Effect::Fill { tab_id, document_id, act, origin, fingerprint, key, value } => {
                let snapshot = self.place(*tab_id, document_id, origin, fingerprint);
                let element = snapshot.visible(*key).expect("the field was seen");
                assert_eq!(element.visible, 1);
                assert!(element.enabled && !element.read_only);
                match key {
                    Key::UserName => assert_eq!(value.0, UPN),
                    Key::Password | Key::AccessPass => {
                        let (secret, kind) = if *key == Key::Password {
                            (PASSWORD_SECRET, CredentialKind::Password)
                        } else {
                            (PASS_SECRET, CredentialKind::TemporaryAccessPass)
                        };
                        assert_eq!(value.0, secret, "the wrong kind of secret");
                        assert_eq!(self.kind, kind);
                        assert!(element.clear && snapshot.on_screen);
                        assert_eq!(snapshot.identity.as_deref(), Some(UPN));
                        assert_eq!(snapshot.form_origin.as_deref(), Some("https://login.microsoftonline.com"));
                        assert!(self.filled.insert((document_id.clone(), *key)), "a document was filled twice");
                    }
                    other => panic!("{other:?} was filled"),
                }
                self.acts.push((*tab_id, document_id.clone(), *act));
            }
            Effect::Click { tab_id, document_id, act, origin, fingerprint, key, .. } => {
                assert!(!has_secret);
                let snapshot = self.place(*tab_id, document_id, origin, fingerprint);
                assert!(snapshot.visible(*key).is_some_and(|element| element.visible == 1), "{key:?} was not seen");
                assert_ne!(*key, Key::PersonalTile);
                if *key == Key::Primary {
                    let fields = [Key::UserName, Key::Password, Key::AccessPass];
                    assert!(fields.iter().any(|field| snapshot.visible(*field).is_some_and(|field| !field.empty)));
                }
                self.acts.push((*tab_id, document_id.clone(), *act));
            }
            Effect::OpenTab { act, .. } => {
                assert!(self.clicked_once && !has_secret, "a tab without a click");
                self.openings.push(*act);
            }
            Effect::ShowSecret { .. } => assert!(self.popup.is_some(), "shown to nobody"),
            Effect::AskHost { frame } => {
                assert!(!has_secret);
                if let Request::FillCredential { document, .. } = &frame.request {
                    let (id, origin, _) = self.seen.get(&document.tab_id).expect("the page was seen");
                    assert_eq!((id, origin.to_string()), (&document.document_id, document.origin.clone()));
                    assert!(self.clicked.contains(&document.tab_id));
                }
                if matches!(frame.request, Request::StartLease { .. }) {
                    assert!(self.clicked_once, "a lease without a click");
                }
                self.open.push((frame.id.0, frame.request.clone()));
            }
            Effect::DisconnectHost {} => {
                assert!(!has_secret);
                self.open.clear();
            }
            _ => assert!(!has_secret, "a secret in {effect:?}"),
        }
    }

    fn place(&self, tab_id: i32, document_id: &str, origin: &str, fingerprint: &str) -> Snapshot {
        assert!(self.clicked.contains(&tab_id), "before a click");
        let (document, seen, snapshot) = self.seen.get(&tab_id).expect("a genuine page was seen in this tab");
        assert_eq!(document, document_id);
        assert_eq!(seen.to_string(), origin);
        assert_eq!(snapshot.fingerprint, fingerprint);
        assert!(matches!(snapshot.page_id.as_deref(), Some("ConvergedSignIn" | "KmsiInterrupt" | "ConvergedTFA")));
        assert!(!snapshot.has(Key::Busy) && !snapshot.has(Key::DeviceCode) && !snapshot.has(Key::ChangePassword));
        snapshot.clone()
    }

    fn secret(&self) -> Secret {
        let value = match self.kind {
            CredentialKind::Password => PASSWORD_SECRET,
            CredentialKind::TemporaryAccessPass => PASS_SECRET,
            CredentialKind::Passkey | CredentialKind::PasswordTotp => panic!("not in these worlds"),
        };
        Secret { value: value.to_owned(), ..secret(self.kind) }
    }

    fn lease(&self) -> LeaseSummary {
        let until = self.world.now + 3_600_000;
        LeaseSummary { from: self.world.now, until, ..lease(self.kind) }
    }

    fn right_reply(&self, request: &Request) -> Reply {
        match request {
            Request::Hello(_) => Reply::Welcome(Welcome { protocol: PROTOCOL_VERSION, host_version: "1".to_owned() }),
            Request::ListTenants { .. } => Reply::Tenants { tenants: vec![tenant(self.kind)], recognized: None },
            Request::StartLease { .. } | Request::ExtendLease { .. } | Request::ConfirmSignIn { .. } => {
                Reply::Lease { lease: self.lease() }
            }
            Request::FillCredential { .. } | Request::RevealCredential { .. } => Reply::Secret(self.secret()),
            Request::EndLease { .. } => {
                Reply::Lease { lease: LeaseSummary { state: LeaseState::Ended, ..self.lease() } }
            }
            Request::ListLeases {} => Reply::Leases { leases: vec![self.lease()] },
            Request::NoteUnknownPage {} => Reply::Noted {},
            Request::ReplaceCredential { .. } => Reply::Lease { lease: self.lease() },
            Request::AssertPasskey { lease_id, .. } => {
                Reply::Passkey(PasskeyResponse { lease_id: *lease_id, response: "{}".to_owned() })
            }
            Request::VerifyPerson { .. } => Reply::Person(PersonState::default()),
            // The options page alone asks this.
            Request::Examine {} => Reply::Findings { findings: Vec::new() },
        }
    }

    fn reply(&mut self, id: u32, reply: Reply) {
        let frame = HostFrame::Reply { id: latchkey_protocol::RequestId(id), reply };
        self.send(Event::HostMessage { frame: Some(frame) });
    }

    fn play(&mut self, step: Move) {
        match step {
            Move::See { tab, document, url, frame, top, page } => {
                let snapshot = Snapshot { top: top && pages()[page].top, ..pages()[page].clone() };
                let document_id = format!("{tab}-{document}");
                let is_top = frame == 0 && snapshot.top;
                match SignInOrigin::of_address(URLS[url]) {
                    Some(origin) if is_top => {
                        self.seen.insert(tab, (document_id.clone(), origin, snapshot.clone()));
                    }
                    None if is_top => {
                        self.seen.remove(&tab);
                    }
                    _ => {}
                }
                self.send(Event::PageSeen(PageSeen {
                    tab_id: tab,
                    frame_id: frame,
                    document_id,
                    url: URLS[url].to_owned(),
                    origin: None,
                    snapshot,
                }));
            }
            Move::Navigate { tab, url } => {
                self.send(Event::TabNavigated { tab_id: tab, url: Some(URLS[url].to_owned()) });
                if SignInOrigin::of_address(URLS[url]).is_none() {
                    self.seen.remove(&tab);
                }
            }
            Move::CloseTab { tab } => {
                self.send(Event::TabClosed { tab_id: tab });
                self.seen.remove(&tab);
                self.clicked.remove(&tab);
            }
            Move::OpenPopup { tab, url } => {
                self.popup = Some((tab, url));
                self.send(Event::PopupOpened { tab_id: Some(tab), url: Some(URLS[url].to_owned()) });
            }
            Move::ClosePopup => {
                self.popup = None;
                self.send(Event::PopupClosed {});
            }
            Move::Act(place) => {
                // Only an open popup can send an action.
                let Some((tab, _)) = self.popup else { return };
                let action = actions()[place].clone();
                self.clicked_once = true;
                if matches!(action, Action::Start { .. } | Action::SignIn { .. } | Action::Retry {}) {
                    self.clicked.insert(tab);
                }
                self.send(Event::PopupAction { action });
            }
            Move::Answer { place, how } => {
                if self.open.is_empty() {
                    return;
                }
                let (id, request) = self.open.remove(place.min(self.open.len() - 1));
                let code = |code| ErrorBody::new(code, "m", "n");
                match how {
                    0 => {
                        let other = self.secret();
                        self.reply(id, Reply::Secret(Secret { user_name: "kim@contoso.com".to_owned(), ..other }));
                    }
                    1 => {
                        let id = Some(latchkey_protocol::RequestId(id));
                        let error = code(ErrorCode::CredentialGone);
                        self.send(Event::HostMessage { frame: Some(HostFrame::Error { id, error }) });
                    }
                    2 => {
                        let id = Some(latchkey_protocol::RequestId(id));
                        let error = code(ErrorCode::GraphUnavailable);
                        self.send(Event::HostMessage { frame: Some(HostFrame::Error { id, error }) });
                    }
                    3 => self.send(Event::TimerRang { name: format!("host:{id}") }),
                    _ => {
                        let reply = self.right_reply(&request);
                        self.reply(id, reply);
                    }
                }
            }
            Move::Unasked(id) => {
                let secret = self.secret();
                self.reply(1_000_000 + u32::from(id), Reply::Secret(secret));
            }
            Move::Opened { act, tab } => {
                // Sometimes the answer to what was asked, sometimes to nothing.
                let known = (act == 0).then(|| self.openings.pop()).flatten();
                if let (Some(_), Some(tab)) = (known, tab) {
                    self.clicked.insert(tab);
                    self.seen.remove(&tab);
                }
                self.send(Event::TabOpened { act: known.unwrap_or(1_000_000 + act), tab_id: tab });
            }
            Move::HostGone => {
                self.open.clear();
                self.send(Event::HostGone { reason: None });
            }
            Move::Acted { outcome, page } => {
                let Some((tab_id, document_id, act)) = self.acts.pop() else { return };
                let snapshot = page.map(|page| pages()[page].clone());
                if let (Some(snapshot), Some((document, _, last))) = (&snapshot, self.seen.get_mut(&tab_id))
                    && *document == document_id
                    && snapshot.top
                {
                    // The brain takes it only for the act that it waits for; then it counts as seen. What it does not
                    // take, it acts on the older look: both are genuine, so the older one is kept for comparison when
                    // it is not used.
                    let before = last.clone();
                    *last = snapshot.clone();
                    let event = Event::Acted {
                        tab_id,
                        document_id,
                        act,
                        outcome: OUTCOMES[outcome],
                        snapshot: Some(snapshot.clone()),
                    };
                    let state = self.world.brain.state();
                    let brain = latchkey_wasm::brain::Brain::new(Some(&state), "0.1.0");
                    drop(brain);
                    let effects = self.world.send(event);
                    self.world.effects.clear();
                    let taken = effects.iter().any(|effect| match effect {
                        Effect::ClearTimer { name } => *name == format!("act:{tab_id}"),
                        _ => false,
                    });
                    if !taken && let Some((_, _, last)) = self.seen.get_mut(&tab_id) {
                        *last = before;
                    }
                    for effect in &effects {
                        self.check(effect);
                    }
                } else {
                    self.send(Event::Acted { tab_id, document_id, act, outcome: OUTCOMES[outcome], snapshot });
                }
            }
            Move::Ring(place) => {
                let names = ["page:1", "page:2", "act:1", "gone:1", "silent:2", "badge"];
                self.send(Event::TimerRang { name: names[place].to_owned() });
            }
            Move::Pass(milliseconds) => self.world.pass(milliseconds),
            Move::Die => {
                self.world.restart();
                let effects = std::mem::take(&mut self.world.effects);
                self.open.clear();
                self.acts.clear();
                self.seen.clear();
                self.popup = None;
                for effect in &effects {
                    self.check(effect);
                }
            }
        }
    }
}

fn guard(kind: CredentialKind) -> Guard {
    let mut guard = Guard {
        world: World::new(),
        kind,
        seen: BTreeMap::new(),
        clicked: BTreeSet::new(),
        clicked_once: false,
        popup: None,
        filled: BTreeSet::new(),
        open: Vec::new(),
        acts: Vec::new(),
        openings: Vec::new(),
    };
    // The tenants are known, or nothing could ever be started.
    guard.play(Move::OpenPopup { tab: 1, url: 0 });
    while !guard.open.is_empty() {
        guard.play(Move::Answer { place: 0, how: 9 });
    }
    guard
}

fn kind() -> impl Strategy<Value = CredentialKind> {
    prop_oneof![Just(CredentialKind::Password), Just(CredentialKind::TemporaryAccessPass)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_goes_where_it_must_not(kind in kind(), steps in prop::collection::vec(moves(), 1..120)) {
        let mut guard = guard(kind);
        for step in steps {
            guard.play(step);
        }
    }

    #[test]
    fn no_text_makes_it_fall(text in ".{0,200}") {
        let mut handle = latchkey_wasm::brain::BrainHandle::new(Some(text.clone()), Some(text.clone()), text.clone());
        let effects = handle.on_event(&text);
        prop_assert!(serde_json::from_str::<Vec<Effect>>(&effects).is_ok());
    }

    #[test]
    fn addresses_of_any_kind_are_read(address in ".{0,100}", query in "[a-z_=&%0-9@.+#?/]{0,80}") {
        use latchkey_wasm::brain::address;
        let _ = address::hint(&address, Some(&address));
        let long = format!("https://login.microsoftonline.com/{query}?{query}");
        let hint = address::hint(&long, Some(&query));
        prop_assert!(hint.tenant.is_none_or(|tenant| !tenant.contains(['/', '?', '#'])));
    }
}

/// The generator does reach what it is meant to guard: some of its runs fill a secret.
#[test]
fn random_runs_do_fill_sometimes() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(moves(), 60..160);
    let mut filled = BTreeSet::new();
    for round in 0..600 {
        let kind = if round % 2 == 0 { CredentialKind::Password } else { CredentialKind::TemporaryAccessPass };
        let steps = strategy.new_tree(&mut runner).unwrap().current();
        let mut guard = guard(kind);
        for step in steps {
            guard.play(step);
        }
        filled.extend(guard.filled.iter().map(|(_, key)| *key));
        if filled.len() == 2 {
            break;
        }
    }
    assert_eq!(filled, BTreeSet::from([Key::Password, Key::AccessPass]));
}
