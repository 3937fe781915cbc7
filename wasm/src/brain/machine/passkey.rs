//! Passkeys: the browser's door for what pages ask of them, whose request is answered, and who has to be there for it.
//!
//! The door is open from the click to the answer and not longer: it hands over the requests of every page. One that does
//! not come from the page of a sign-in in progress is refused at once, and its page can try again. Which page a request
//! comes from is told by the origin that the browser vouches for and by the challenge that only that page has. The host
//! checks all of it again, and it alone has the key.

use latchkey_protocol::{
    CredentialKind, ErrorBody, ErrorCode, PasskeyResponse, PersonState, Pin, Request, cloud::SignInOrigin,
};
use serde_json::Value;
use uuid::Uuid;

use super::{Asked, Brain, FILL_MS, START_MS, running};
use crate::{
    brain::{
        Unprinted,
        decide::{Grant, is_same_account},
        effect::Effect,
        event::Door,
        flow::{Flow, Passkey, Pressed, Purpose, Step},
        page::View,
    },
    popup::view::StepProgress,
};

/// How long after the click the door may stand open.
pub(super) const DOOR_MS: i64 = 300_000;
/// How long a page on a sign-in host may take to be seen after it has asked.
const UNSEEN_MS: i64 = 3_000;
/// The operating system may ask the person, who looks for her glasses.
const PERSON_MS: u32 = 125_000;

/// What a page asks of a passkey.
#[derive(Debug)]
pub(super) struct PasskeyRequest {
    id: i32,
    origin: SignInOrigin,
    challenge: String,
    details: String,
    until: i64,
    /// The host is to answer it, for the sign-in of this tab.
    asked: Option<i32>,
}

impl PasskeyRequest {
    /// The host that was to answer is gone; another one may.
    pub(super) const fn forget(&mut self) {
        self.asked = None;
    }
}

impl Brain {
    pub(super) fn passkey_door(&mut self, door: Door) {
        let is_first = self.door == Door::Missing && door == Door::Shut;
        if is_first {
            // A worker that is gone may have left it open.
            self.out.push(Effect::PasskeyDoor { open: false });
        }
        self.door = door;
        self.door_asked = is_first;
    }

    pub(super) fn passkey_asked(&mut self, request_id: i32, details: String) {
        match read_request(request_id, details, self.now + UNSEEN_MS) {
            Some(request) => {
                // The page that has just been drawn may not have been looked at.
                let tabs =
                    self.state.flows.iter().filter(|flow| may_ask(flow, self.now) && flow.at == Some(request.origin));
                self.out.extend(tabs.map(|flow| Effect::Look { tab_id: flow.tab_id }));
                self.wake_at("passkey".to_owned(), request.until);
                self.passkey_requests.push(request);
            }
            None => self.refuse_passkey(request_id),
        }
    }

    pub(super) fn passkey_canceled(&mut self, request_id: i32) {
        self.passkey_requests.retain(|request| request.id != request_id);
    }

    fn refuse_passkey(&mut self, request_id: i32) {
        self.out.push(Effect::AnswerPasskey { request_id, response: None });
    }

    /// What the click needs of the person is found out while the account is activated. The operating system's window
    /// names the tenant.
    pub(super) fn ask_person(&mut self, pin: Option<Pin>, tenant_id: Option<Uuid>) {
        if pin.is_some() || !self.pending.iter().any(|pending| pending.asked == Asked::Person) {
            self.ask(Asked::Person, Request::VerifyPerson { pin, tenant_id }, PERSON_MS);
        }
    }

    pub(super) fn person_known(&mut self, person: PersonState) {
        // The host remembers it as long as it runs.
        self.verified_until = person.until.filter(|_| person.verified).unwrap_or_default();
        self.person = (!person.verified).then_some(person);
        // Without a PIN nobody can be asked.
        if person.pin_set && self.person.is_some() && self.popup.is_none() {
            let waits = self.state.flows.iter().find(|flow| flow.is_running() && self.wants_passkey(flow));
            let tab_id = waits.map(|flow| flow.tab_id);
            self.out.push(Effect::ShowPopup { tab_id });
        }
    }

    /// Says where each sign-in with a passkey stands, and carries its page's request on.
    pub(super) fn carry_passkeys(&mut self) {
        for mut request in std::mem::take(&mut self.passkey_requests) {
            if request.asked.is_none() {
                match self.asker(&request) {
                    Asker::Nobody => {
                        self.refuse_passkey(request.id);
                        continue;
                    }
                    Asker::Unseen => {}
                    Asker::Tab(tab_id, lease_id) if self.person.is_none() => {
                        request.asked = Some(tab_id);
                        let asked = Request::AssertPasskey { lease_id, request: request.details.clone() };
                        self.ask(Asked::Passkey(request.id), asked, FILL_MS);
                    }
                    Asker::Tab(..) => {}
                }
            }
            self.passkey_requests.push(request);
        }
        let now = self.now;
        let has_no_pin = self.person.is_some_and(|person| !person.pin_set);
        for flow in self.state.flows.iter_mut().filter(|flow| flow.is_running()) {
            flow.passkey = match self.door {
                _ if flow.passkey_failed || has_no_pin || now >= flow.passkey_until => Passkey::Unusable,
                Door::Missing => Passkey::Unusable,
                Door::Shut => Passkey::Shut,
                Door::Open if self.person.is_some() => Passkey::Person,
                Door::Open if self.passkey_requests.iter().any(|one| one.asked == Some(flow.tab_id)) => Passkey::Asked,
                Door::Open => Passkey::Ready,
            };
        }
    }

    /// Opens the door when a sign-in needs it, and shuts it as soon as none does.
    pub(super) fn mind_door(&mut self) {
        let is_needed = self.state.flows.iter().any(|flow| {
            if self.wants_passkey(flow) {
                may_ask(flow, self.now) && flow.passkey != Passkey::Unusable
            } else {
                is_kept_from(flow, self.now)
            }
        });
        let is_open = match self.door {
            Door::Missing => return,
            Door::Shut => false,
            Door::Open => true,
        };
        if is_open && !is_needed {
            for request in std::mem::take(&mut self.passkey_requests) {
                self.refuse_passkey(request.id);
            }
        }
        if is_open != is_needed && !self.door_asked {
            self.door_asked = true;
            self.out.push(Effect::PasskeyDoor { open: is_needed });
        }
    }

    /// Whether a sign-in has a passkey, as far as is known.
    fn wants_passkey(&self, flow: &Flow) -> bool {
        let credential = match self.grant(flow.tenant_id) {
            Grant::Held { credential, .. } => credential,
            Grant::Pending | Grant::None => flow.credential,
        };
        credential == CredentialKind::Passkey
    }

    /// The sign-in whose page asks.
    fn asker(&self, request: &PasskeyRequest) -> Asker {
        let mut asker = Asker::Nobody;
        let at_its_host =
            |flow: &&Flow| self.wants_passkey(flow) && may_ask(flow, self.now) && flow.at == Some(request.origin);
        for flow in self.state.flows.iter().filter(at_its_host) {
            let page = self.pages.get(&flow.tab_id).filter(|page| page.origin == request.origin);
            let seen = page.filter(|page| page.view == View::Passkey);
            let challenge = seen.and_then(|page| page.snapshot.challenge.as_deref());
            match (challenge, self.grant(flow.tenant_id)) {
                (Some(challenge), grant) if is_for(challenge, &request.challenge) => {
                    let identity = seen.and_then(|page| page.snapshot.identity.as_deref());
                    let is_ours = identity.is_none_or(|name| name.is_empty() || is_same_account(name, &flow.user_name));
                    return match grant {
                        Grant::Held { lease_id, credential: CredentialKind::Passkey, .. }
                            if is_ours && flow.cloud.signs_in_at(&request.origin) =>
                        {
                            Asker::Tab(flow.tab_id, lease_id)
                        }
                        Grant::Pending if is_ours => Asker::Unseen,
                        _ => Asker::Nobody,
                    };
                }
                (Some(_), _) => {}
                (None, _) if self.now < request.until => asker = Asker::Unseen,
                (None, _) => {}
            }
        }
        asker
    }

    /// The one place where an answer passes: from the host into one effect, or dropped.
    pub(super) fn answer_passkey(&mut self, request_id: i32, answer: PasskeyResponse) {
        let Some(place) = self.passkey_requests.iter().position(|request| request.id == request_id) else {
            return;
        };
        let mut request = self.passkey_requests.swap_remove(place);
        let tab_id = request.asked.take();
        let document_id = match self.asker(&request) {
            Asker::Tab(tab, lease_id) if Some(tab) == tab_id && lease_id == answer.lease_id => {
                self.pages.get(&tab).map(|page| page.document_id.clone())
            }
            _ => None,
        };
        let flow = tab_id.and_then(|tab_id| running(&mut self.state.flows, tab_id));
        let (Some(document_id), Some(flow)) = (document_id, flow) else {
            self.refuse_passkey(request_id);
            return;
        };
        flow.passkey_answered = true;
        flow.submitted = true;
        flow.step(Step::Credential, StepProgress::Done);
        // A worker that is stopped before the page has it leaves the next one in doubt.
        flow.document_mut(&document_id).unanswered = true;
        flow.pressed = Some(Pressed { document_id, view: View::Passkey, purpose: Purpose::Submit });
        if let Some(page) = self.pages.get_mut(&flow.tab_id) {
            page.since = self.now;
        }
        self.out.push(Effect::AnswerPasskey { request_id, response: Some(Unprinted(answer.response)) });
    }

    pub(super) fn passkey_refused(&mut self, request_id: i32, error: &ErrorBody) {
        let Some(place) = self.passkey_requests.iter().position(|request| request.id == request_id) else {
            return;
        };
        if matches!(error.code, ErrorCode::VerificationNeeded | ErrorCode::PinNotSet) {
            let asked = self.passkey_requests[place].asked.take();
            // Nothing is asked again before somebody has shown who is there.
            self.person = Some(PersonState { pin_set: true, ..PersonState::default() });
            let tenant_id = asked.and_then(|tab_id| running(&mut self.state.flows, tab_id)).map(|flow| flow.tenant_id);
            self.ask_person(None, tenant_id);
            return;
        }
        let tab_id = self.passkey_requests.swap_remove(place).asked;
        if let Some(flow) = tab_id.and_then(|tab_id| running(&mut self.state.flows, tab_id)) {
            flow.passkey_failed = true;
        }
        self.refuse_passkey(request_id);
    }

    /// Has the next credential in line issued, once for each sign-in; `false` when that has been done.
    pub(super) fn replace(&mut self, tab_id: i32) -> bool {
        let Some(flow) = running(&mut self.state.flows, tab_id) else {
            return false;
        };
        let (tenant_id, is_first) = (flow.tenant_id, flow.replaced.is_none());
        let Grant::Held { lease_id, credential: refused, .. } = self.grant(tenant_id) else {
            return false;
        };
        if !is_first || refused == CredentialKind::Password {
            return false;
        }
        self.replace_held(tenant_id, lease_id, refused);
        true
    }

    fn replace_held(&mut self, tenant_id: Uuid, lease_id: Uuid, refused: CredentialKind) {
        for flow in self.state.flows.iter_mut().filter(|flow| flow.lease_id == Some(lease_id) && flow.is_running()) {
            flow.replaced = Some(refused);
            flow.detours = 0;
        }
        if let Some(lease) = self.state.leases.iter_mut().find(|lease| lease.lease_id == lease_id) {
            lease.credential_held = false;
        }
        let request = Request::ReplaceCredential { lease_id, refused };
        let id = self.ask(Asked::Start(tenant_id), request, START_MS);
        self.activation_mut(tenant_id).request = Some(id);
    }
}

enum Asker {
    /// No sign-in of ours: the page gets a refusal.
    Nobody,
    /// It may be one of ours, and cannot be told yet.
    Unseen,
    /// The sign-in of this tab, with this lease.
    Tab(i32, Uuid),
}

/// Whether a sign-in is at a point at which its page may ask for the passkey.
const fn may_ask(flow: &Flow, now: i64) -> bool {
    flow.is_running() && !flow.away && !flow.passkey_answered && !flow.passkey_failed && now < flow.passkey_until
}

/// Whether the browser would ask the person for a passkey that this sign-in does not use: what its page asks is taken
/// through the door and refused, so that the page offers the other ways.
const fn is_kept_from(flow: &Flow, now: i64) -> bool {
    flow.passkey_kept && flow.is_running() && !flow.away && now < flow.passkey_until
}

/// Whether a page asks for what its server wrote: the same text, or the bytes of that text.
fn is_for(written: &str, asked: &str) -> bool {
    written == asked || base64url(written.as_bytes()) == asked
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let at = |place| u32::from(chunk.get(place).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]));
        }
    }
    text
}

/// A request of a page on a sign-in host, for that host's own passkeys; nothing else is ever looked at.
fn read_request(id: i32, details: String, until: i64) -> Option<PasskeyRequest> {
    let json: Value = serde_json::from_str(&details).ok()?;
    let page = &json["extensions"]["remoteDesktopClientOverride"];
    let said = page["origin"].as_str()?;
    // An origin has no path: what merely begins like one is something else.
    let origin = SignInOrigin::of_address(said).filter(|origin| origin.to_string() == said)?;
    let is_own = page["sameOriginWithAncestors"] == true && json["rpId"] == *origin.host();
    let challenge = json["challenge"].as_str()?.to_owned();
    is_own.then_some(PasskeyRequest { id, origin, challenge, details, until, asked: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_recognised_in_both_forms() {
        for (text, encoded) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("O.ey~", "Ty5leX4")] {
            assert_eq!(base64url(text.as_bytes()), encoded);
            assert!(is_for(text, encoded) && is_for(encoded, encoded));
        }
        assert!(!is_for("foo", "Zm8") && !is_for("foo", ""));
    }
}
