//! What the tests of the brain share: a small world of one tab, pages as `content.js` would report them, and a host
//! that answers.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use latchkey_protocol::{
    CredentialKind, CredentialPlan, HostFrame, LeaseState, LeaseSummary, Reply, Request, RequestFrame, RequestId,
    Secret, TenantSummary, Welcome, cloud::Cloud,
};
#[cfg(feature = "popup")]
use latchkey_wasm::popup::list::Directory;
use latchkey_wasm::{
    brain::{Action, Brain, Effect, Element, Event, EventFrame, Outcome, PageSeen, Ready, Snapshot},
    elements::ElementKey,
    popup::{action::Wish, view::PopupView},
};
use uuid::Uuid;

pub const UPN: &str = "jit-alex@contoso.onmicrosoft.com";
pub const TENANT: Uuid = Uuid::from_u128(0x0b6d_d2b3_5a3c_4c7e_9f43_1f6b_9f3f_0a11);
pub const OTHER_TENANT: Uuid = Uuid::from_u128(0x0b6d_d2b3_5a3c_4c7e_9f43_1f6b_9f3f_0a12);
pub const LEASE: Uuid = Uuid::from_u128(0x0193_a6f0_8a10_7c3e_b0a4_5d1f_6f0c_2b77);
pub const SECRET: &str = "S3cret-Zq9!never-anywhere";
pub const START: i64 = 1_795_341_600_000;
pub const AUTHORIZE: &str = "https://login.microsoftonline.com/organizations/oauth2/v2.0/authorize?client_id=x";
pub const LOGIN: &str = "https://login.microsoftonline.com/common/login";

pub fn tenant(credential: CredentialKind) -> TenantSummary {
    TenantSummary {
        tenant_id: TENANT,
        name: "Contoso".to_owned(),
        domains: vec!["contoso.onmicrosoft.com".to_owned(), "contoso.com".to_owned()],
        cloud: Cloud::Global,
        user_name: UPN.to_owned(),
        roles: vec!["User Administrator".to_owned()],
        minutes: 240,
        maximum_minutes: 480,
        credential: CredentialPlan {
            kind: credential,
            because: None,
            unavailable: Vec::new(),
            otherwise: None,
            passkey_kept: false,
        },
        credential_expires: None,
        lease: None,
        last_used: None,
        profiles: Vec::new(),
        reason_required: false,
        ticket_pattern: None,
    }
}

pub fn other_tenant() -> TenantSummary {
    TenantSummary {
        tenant_id: OTHER_TENANT,
        name: "Fabrikam".to_owned(),
        domains: vec!["fabrikam.com".to_owned()],
        user_name: "jit-alex@fabrikam.com".to_owned(),
        ..tenant(CredentialKind::Password)
    }
}

pub fn lease(credential: CredentialKind) -> LeaseSummary {
    LeaseSummary {
        lease_id: LEASE,
        tenant_id: TENANT,
        tenant_name: "Contoso".to_owned(),
        user_name: UPN.to_owned(),
        roles: vec!["User Administrator".to_owned()],
        state: LeaseState::Active,
        credential: Some(credential),
        credential_held: true,
        from: START,
        until: START + 240 * 60_000,
        problem: None,
        profile: None,
        technician: None,
        ticket: None,
        credential_until: None,
    }
}

/// An element that a person can see and use.
pub fn seen(key: ElementKey) -> Element {
    Element {
        key,
        count: 1,
        visible: 1,
        enabled: true,
        read_only: false,
        clear: true,
        input_type: None,
        empty: !matches!(key, ElementKey::UserNameError | ElementKey::PasswordError),
        value: None,
    }
}

/// One that is there and cannot be seen.
pub fn decoy(key: ElementKey) -> Element {
    Element { visible: 0, clear: false, input_type: Some("password".to_owned()), ..seen(key) }
}

pub fn masked(key: ElementKey) -> Element {
    Element { input_type: Some("password".to_owned()), ..seen(key) }
}

pub fn page(page_id: &str, views: &[&str], elements: Vec<Element>) -> Snapshot {
    let mut snapshot = Snapshot {
        page_id: Some(page_id.to_owned()),
        views: views.iter().map(|view| (*view).to_owned()).collect(),
        elements,
        form_origin: Some("https://login.microsoftonline.com".to_owned()),
        top: true,
        ready: Ready::Complete,
        on_screen: true,
        ..Snapshot::default()
    };
    snapshot.fingerprint = fingerprint(&snapshot);
    snapshot
}

pub fn fingerprint(snapshot: &Snapshot) -> String {
    let elements: Vec<_> = snapshot.elements.iter().map(|one| (one.key, one.count, one.visible, one.enabled)).collect();
    format!("{:?} {:?} {elements:?} {:?} {:?}", snapshot.page_id, snapshot.views, snapshot.identity, snapshot.tiles)
}

pub fn with_identity(mut snapshot: Snapshot, identity: &str) -> Snapshot {
    snapshot.identity = Some(identity.to_owned());
    snapshot.fingerprint = fingerprint(&snapshot);
    snapshot
}

pub fn with_error(mut snapshot: Snapshot, code: &str) -> Snapshot {
    snapshot.error_code = Some(code.to_owned());
    snapshot
}

pub fn raw() -> Snapshot {
    Snapshot { ready: Ready::Interactive, ..page("ConvergedSignIn", &[], vec![]) }
}

pub fn user_name(value: &str) -> Snapshot {
    let mut field = seen(ElementKey::UserName);
    field.value = Some(value.to_owned());
    field.empty = value.is_empty();
    page("ConvergedSignIn", &["1"], vec![field, decoy(ElementKey::Password), seen(ElementKey::Primary)])
}

pub fn password() -> Snapshot {
    let mut name = decoy(ElementKey::UserName);
    name.value = Some(UPN.to_owned());
    let elements = vec![
        name,
        masked(ElementKey::Password),
        seen(ElementKey::Primary),
        seen(ElementKey::Back),
        seen(ElementKey::Identity),
    ];
    with_identity(page("ConvergedSignIn", &["2"], elements), UPN)
}

pub fn access_pass() -> Snapshot {
    let elements = vec![
        masked(ElementKey::AccessPass),
        seen(ElementKey::Primary),
        seen(ElementKey::Back),
        seen(ElementKey::Identity),
        seen(ElementKey::ToPassword),
    ];
    with_identity(page("ConvergedSignIn", &["56"], elements), UPN)
}

pub fn filled(mut snapshot: Snapshot, key: ElementKey) -> Snapshot {
    for element in &mut snapshot.elements {
        if element.key == key {
            element.empty = false;
        }
    }
    snapshot
}

pub fn add(mut snapshot: Snapshot, element: Element) -> Snapshot {
    snapshot.elements.push(element);
    snapshot.fingerprint = fingerprint(&snapshot);
    snapshot
}

pub fn busy(snapshot: Snapshot) -> Snapshot {
    add(snapshot, seen(ElementKey::Busy))
}

pub fn stay_signed_in() -> Snapshot {
    let elements = vec![
        seen(ElementKey::StaySignedInText),
        seen(ElementKey::StaySignedInBox),
        seen(ElementKey::Primary),
        seen(ElementKey::Back),
        seen(ElementKey::Identity),
    ];
    with_identity(page("KmsiInterrupt", &["20"], elements), UPN)
}

/// A brain with its surroundings: what it asked the host and the content script, and nothing that answers by itself.
pub struct World {
    pub brain: Brain,
    pub now: i64,
    pub effects: Vec<Effect>,
    pub url: String,
}

pub const TAB: i32 = 7;

impl World {
    pub fn new() -> Self {
        let mut world =
            Self { brain: Brain::new(None, "0.1.0"), now: START, effects: Vec::new(), url: AUTHORIZE.to_owned() };
        world.send(Event::WorkerStarted {});
        world
    }

    /// The worker dies and is started again with what was saved.
    pub fn restart(&mut self) {
        let state = self.brain.state();
        self.brain = Brain::new(Some(&state), "0.1.0");
        self.send(Event::WorkerStarted {});
    }

    pub fn send(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.brain.on_event(EventFrame { now: self.now, event });
        self.effects.extend(effects.iter().cloned());
        effects
    }

    pub fn pass(&mut self, milliseconds: i64) {
        self.now += milliseconds;
    }

    pub fn see(&mut self, document: &str, snapshot: Snapshot) -> Vec<Effect> {
        let url = self.url.clone();
        self.see_at(TAB, document, &url, snapshot)
    }

    pub fn see_at(&mut self, tab_id: i32, document: &str, url: &str, snapshot: Snapshot) -> Vec<Effect> {
        self.send(Event::PageSeen(PageSeen {
            tab_id,
            frame_id: 0,
            document_id: document.to_owned(),
            url: url.to_owned(),
            origin: None,
            snapshot,
        }))
    }

    pub fn reply(&mut self, id: u32, reply: Reply) -> Vec<Effect> {
        self.frame(HostFrame::Reply { id: RequestId(id), reply })
    }

    pub fn frame(&mut self, frame: HostFrame) -> Vec<Effect> {
        self.send(Event::HostMessage { frame: Some(frame) })
    }

    /// Answers the handshake and the list of tenants, wherever they are open.
    pub fn greet(&mut self, tenants: &[TenantSummary]) -> Vec<Effect> {
        let mut all = Vec::new();
        for frame in self.open_requests() {
            if matches!(frame.request, Request::Hello(_)) {
                let welcome =
                    Welcome { protocol: latchkey_protocol::PROTOCOL_VERSION, host_version: "0.1.0".to_owned() };
                all.extend(self.reply(frame.id.0, Reply::Welcome(welcome)));
            }
        }
        for frame in self.open_requests() {
            if matches!(frame.request, Request::ListTenants { .. }) {
                let reply = Reply::Tenants { tenants: tenants.to_vec(), recognized: None };
                all.extend(self.reply(frame.id.0, reply));
            }
        }
        all
    }

    pub fn open_requests(&self) -> Vec<RequestFrame> {
        asked(&self.effects)
    }

    /// The last request of a kind.
    pub fn request(&self, wanted: impl Fn(&Request) -> bool) -> RequestFrame {
        asked(&self.effects).into_iter().rev().find(|frame| wanted(&frame.request)).expect("the host was asked")
    }

    pub fn open_popup(&mut self, tenants: &[TenantSummary]) {
        let url = Some(self.url.clone());
        self.send(Event::PopupOpened { tab_id: Some(TAB), url });
        self.greet(tenants);
    }

    pub fn click(&mut self) -> Vec<Effect> {
        self.send(Event::PopupAction { action: Action::Start { tenant_id: TENANT, wish: Wish::default() } })
    }

    pub fn grant(&mut self, credential: CredentialKind) -> Vec<Effect> {
        let id = self.request(|request| matches!(request, Request::StartLease { .. })).id.0;
        self.reply(id, Reply::Lease { lease: lease(credential) })
    }

    pub fn hand_out(&mut self, credential: CredentialKind) -> Vec<Effect> {
        let id = self.request(|request| matches!(request, Request::FillCredential { .. })).id.0;
        self.reply(id, Reply::Secret(secret(credential)))
    }

    /// Answers the last fill or click.
    pub fn acted(&mut self, outcome: Outcome, snapshot: Option<Snapshot>) -> Vec<Effect> {
        let (tab_id, document_id, act) = acts(&self.effects).last().cloned().expect("there was an act");
        self.send(Event::Acted { tab_id, document_id, act, outcome, snapshot })
    }

    pub fn done(&mut self, snapshot: Snapshot) -> Vec<Effect> {
        self.acted(Outcome::Done, Some(snapshot))
    }

    pub fn view(&self) -> PopupView {
        self.brain.view()
    }

    pub fn status(&self) -> String {
        match self.view() {
            PopupView::Progress(progress) => progress.status.key,
            other => panic!("no sign-in is shown but {other:?}"),
        }
    }

    /// A sign-in on a page, with the account active.
    pub fn granted(credential: CredentialKind, document: &str, snapshot: Snapshot) -> (Self, Vec<Effect>) {
        let mut world = Self::new();
        world.see(document, snapshot);
        world.open_popup(&[tenant(credential)]);
        let mut effects = world.click();
        effects.extend(world.grant(credential));
        (world, effects)
    }
}

/// The list as the popup has it.
#[cfg(feature = "popup")]
pub fn directory(tenants: &[TenantSummary]) -> Directory {
    let lines = tenants.iter().map(|tenant| {
        let last_used = tenant.last_used.map(|moment| moment.to_string()).unwrap_or_default();
        format!("{}\t{last_used}\t{}\t{}\n", tenant.tenant_id, tenant.name, tenant.domains.join("\t"))
    });
    let json: Vec<_> = tenants.iter().map(|tenant| serde_json::to_string(tenant).unwrap()).collect();
    Directory::new(&lines.collect::<String>(), Box::new(move |place| json.get(place as usize).cloned()))
}

/// What the popup has: the list of tenants and the leases, as the worker sent them last.
#[cfg(feature = "popup")]
pub fn shown(world: &World) -> (Directory, Vec<LeaseSummary>) {
    let is_given = world.effects.iter().any(|effect| matches!(effect, Effect::UpdateTenants {}));
    let tenants =
        is_given.then(|| serde_json::from_str::<Vec<_>>(world.brain.tenants()).expect("the list can be read"));
    let leases = world.effects.iter().rev().find_map(|effect| match effect {
        Effect::UpdatePopup { leases, .. } => Some(leases.clone()),
        _ => None,
    });
    (directory(&tenants.expect("the popup has the list")), leases.expect("the popup has the leases"))
}

pub fn secret(credential: CredentialKind) -> Secret {
    Secret { lease_id: LEASE, credential, user_name: UPN.to_owned(), value: SECRET.to_owned() }
}

pub fn asked(effects: &[Effect]) -> Vec<RequestFrame> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::AskHost { frame } => Some(frame.clone()),
            _ => None,
        })
        .collect()
}

pub fn acts(effects: &[Effect]) -> Vec<(i32, String, u32)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Fill { tab_id, document_id, act, .. } | Effect::Click { tab_id, document_id, act, .. } => {
                Some((*tab_id, document_id.clone(), *act))
            }
            _ => None,
        })
        .collect()
}

/// What was written and clicked: `fill user_name`, `click primary`, …, and what secret was asked for: `ask password`.
pub fn deeds(effects: &[Effect]) -> Vec<String> {
    let key = |key: &ElementKey| serde_json::to_value(key).unwrap().as_str().unwrap().to_owned();
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Fill { key: field, .. } => Some(format!("fill {}", key(field))),
            Effect::Click { key: target, tile, .. } => Some(format!(
                "click {}{}",
                key(target),
                tile.as_deref().map(|tile| format!(" {tile}")).unwrap_or_default()
            )),
            Effect::AskHost { frame: RequestFrame { request: Request::FillCredential { field, .. }, .. } } => {
                Some(format!("ask {}", serde_json::to_value(field).unwrap().as_str().unwrap()))
            }
            _ => None,
        })
        .collect()
}
