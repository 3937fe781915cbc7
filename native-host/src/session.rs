//! One browser's connection after the handshake: requests in, replies and events out.
//!
//! Requests run beside each other, each with a deadline; replies and events leave through one writer. While the
//! connection is open, leases that are due are ended at their second, and changes made by other processes are told.
//! When the browser goes away, what grants or takes back is finished first; whatever a kill leaves half-done is taken
//! up by the next sweep. Nothing is decided here about tenants, accounts or leases: that is the engine's.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use latchkey_engine::{Caller, Engine, StartLease};
use latchkey_protocol::{
    ErrorBody, ErrorCode, FillField, HostFrame, LeaseState, LeaseSummary, Progress, Reply, Request, RequestFrame,
    RequestId,
};
use tokio::sync::{Notify, OnceCell, mpsc};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::configuration::Settings;
use crate::connection::{ConnectionError, Incoming, Outgoing};
use crate::key_store::Prompting;
use crate::settings::Folders;
use crate::{failure, host, long_list, machine, request, unknown_pages, verification, webhook};

/// So many requests may run at once on one connection; more than any extension of ours sends.
const MOST_REQUESTS: usize = 32;
/// How often the leases are looked at while nothing is due: the machine may have slept, another process may have
/// changed them.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often the webhook's receiver is told of what other processes did.
const TELL_EVERY: Duration = Duration::from_secs(15);
/// How long work that no lease waits for (looking again at accounts) is left to the schedule, in milliseconds, so that
/// it does not come between the technician and the click.
const LEFT_TO_SCHEDULE: i64 = 90_000;
/// How long the key store, which may be asking the person, is waited for when the process ends.
const LAST_WAIT: Duration = Duration::from_millis(200);

/// Serves the connection until the browser closes it.
pub(crate) fn run<R, W>(incoming: Incoming<R>, outgoing: Outgoing<W>, caller: Caller) -> ExitCode
where
    R: Read + Send + 'static,
    W: Write + Send + 'static,
{
    machine::start_log();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let mut outgoing = outgoing;
            let _ = outgoing.send(HostFrame::Error { id: None, error: failure::internal(error) });
            return ExitCode::FAILURE;
        }
    };
    let (to_session, from_browser) = mpsc::channel(MOST_REQUESTS);
    let (to_browser, from_session) = mpsc::channel(MOST_REQUESTS);
    std::thread::spawn(move || read(incoming, &to_session));
    let writer = std::thread::spawn(move || write(outgoing, from_session));
    let clean = runtime.block_on(Session::new(caller, to_browser).serve(from_browser));
    runtime.shutdown_timeout(LAST_WAIT);
    // Every sender is gone now, so the writer ends once the last frame has left.
    let _ = writer.join();
    if clean { ExitCode::SUCCESS } else { ExitCode::from(10) }
}

/// Answers one message of a browser that keeps no connection open, with everything that was said on the way to the
/// answer. What is over is ended before anything is listed, because nobody watches between two messages.
pub(crate) fn answer_one(frame: RequestFrame, caller: Caller) -> Vec<HostFrame> {
    let RequestFrame { id, request } = frame;
    if let Request::Hello(_) = request {
        return vec![host::welcome(id)];
    }
    let process = match BetweenMessages::of_this_process() {
        Ok(process) => process,
        Err(error) => return vec![HostFrame::Error { id: Some(id), error }],
    };
    process.runtime.block_on(async {
        let (to_browser, mut from_session) = mpsc::channel(MOST_REQUESTS);
        let shared = Session::new(caller, to_browser).shared;
        if let Some(engine) = process.engine.get() {
            let _ = shared.engine.set(engine.clone());
        }
        if matches!(request, Request::ListLeases {} | Request::ListTenants { .. }) {
            shared.end_what_is_over().await;
        }
        let mut frames = Vec::new();
        let mut answering = std::pin::pin!(Arc::clone(&shared).answer(id, request));
        loop {
            tokio::select! {
                biased;
                Some(frame) = from_session.recv() => frames.push(frame),
                () = &mut answering => break,
            }
        }
        while let Ok(frame) = from_session.try_recv() {
            frames.push(frame);
        }
        if let Some(engine) = shared.engine.get() {
            let _ = process.engine.set(engine.clone());
        }
        frames
    })
}

/// What a process keeps between two messages if the system lets it live: the open database, connections, and the
/// credential of a lease that was just started, which is in memory only. Nothing depends on it: a process that was
/// stopped meanwhile finds none of it, and the extension asks for the lease again and gets a new credential.
struct BetweenMessages {
    /// Works only while a message is being answered.
    runtime: tokio::runtime::Runtime,
    engine: OnceCell<Engine>,
}

impl BetweenMessages {
    fn of_this_process() -> Result<&'static Self, ErrorBody> {
        static THIS: std::sync::OnceLock<BetweenMessages> = std::sync::OnceLock::new();
        if let Some(this) = THIS.get() {
            return Ok(this);
        }
        machine::start_log();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failure::internal)?;
        Ok(THIS.get_or_init(|| Self { runtime, engine: OnceCell::new() }))
    }
}

/// What the reading thread has seen.
enum FromBrowser {
    Message(Vec<u8>),
    Broken(ConnectionError),
}

fn read<R: Read>(mut incoming: Incoming<R>, session: &mpsc::Sender<FromBrowser>) {
    loop {
        let seen = match incoming.receive() {
            Ok(Some(message)) => FromBrowser::Message(message),
            Ok(None) => return,
            Err(error) => {
                let _ = session.blocking_send(FromBrowser::Broken(error));
                return;
            }
        };
        if session.blocking_send(seen).is_err() {
            return;
        }
    }
}

fn write<W: Write>(mut outgoing: Outgoing<W>, mut from_session: mpsc::Receiver<HostFrame>) {
    while let Some(message) = from_session.blocking_recv() {
        let answered = match &message {
            HostFrame::Reply { id, .. } | HostFrame::Error { id: Some(id), .. } => Some(*id),
            _ => None,
        };
        match outgoing.send(message) {
            Ok(()) => {}
            Err(ConnectionError::Pipe(error)) => {
                tracing::info!(%error, "the browser does not read any more");
                return;
            }
            Err(error) => {
                tracing::error!(%error, "a message could not be sent");
                if let Some(id) = answered {
                    // Whoever asked hears that at least.
                    let error = failure::internal("the answer is too long for a browser");
                    let _ = outgoing.send(HostFrame::Error { id: Some(id), error });
                }
            }
        }
    }
}

/// The state of one connection.
struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    caller: Caller,
    to_browser: mpsc::Sender<HostFrame>,
    engine: OnceCell<Engine>,
    /// What the browser was last told about each open lease.
    told: Mutex<HashMap<Uuid, Told>>,
    /// Rings when something may be due earlier than before.
    look_again: Notify,
    /// Rings when something was done that others may want to know.
    something_done: Notify,
}

/// The parts of a lease whose change is worth an event.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    state: LeaseState,
    until: i64,
    problem: Option<ErrorCode>,
}

impl From<&LeaseSummary> for Told {
    fn from(lease: &LeaseSummary) -> Self {
        Self { state: lease.state, until: lease.until, problem: lease.problem.as_ref().map(|problem| problem.code) }
    }
}

impl Session {
    fn new(caller: Caller, to_browser: mpsc::Sender<HostFrame>) -> Self {
        Self {
            shared: Arc::new(Shared {
                caller,
                to_browser,
                engine: OnceCell::new(),
                told: Mutex::default(),
                look_again: Notify::new(),
                something_done: Notify::new(),
            }),
        }
    }

    /// Answers until the browser closes the connection; `false` if it broke the protocol.
    async fn serve(self, mut from_browser: mpsc::Receiver<FromBrowser>) -> bool {
        let watch = tokio::spawn(Arc::clone(&self.shared).watch_leases());
        let telling = tokio::spawn(Arc::clone(&self.shared).tell_receiver());
        let mut asking = JoinSet::new();
        let mut changing = JoinSet::new();
        let mut terminated = std::pin::pin!(machine::asked_to_stop());
        let clean = loop {
            tokio::select! {
                seen = from_browser.recv() => match seen {
                    None => break true,
                    Some(FromBrowser::Message(message)) => {
                        self.accept(&message, &mut asking, &mut changing).await;
                    }
                    Some(FromBrowser::Broken(error)) => {
                        tracing::warn!(%error, "the connection broke");
                        let error = host::connection_failure(&error);
                        self.shared.send(HostFrame::Error { id: None, error }).await;
                        break false;
                    }
                },
                Some(_) = asking.join_next() => {}
                Some(_) = changing.join_next() => {}
                () = &mut terminated => break true,
            }
        };
        // Each has its deadline, so this ends.
        while changing.join_next().await.is_some() {}
        watch.abort();
        telling.abort();
        asking.shutdown().await;
        clean
    }

    async fn accept(&self, message: &[u8], asking: &mut JoinSet<()>, changing: &mut JoinSet<()>) {
        let RequestFrame { id, request } = match request::parse(message) {
            Ok(frame) => frame,
            Err(unreadable) => {
                tracing::warn!(code = unreadable.error.name, "a message could not be read");
                self.shared.send(HostFrame::Error { id: unreadable.id, error: unreadable.error }).await;
                return;
            }
        };
        if let Request::Hello(_) = request {
            self.shared.send(host::welcome(id)).await;
            return;
        }
        if asking.len() + changing.len() >= MOST_REQUESTS {
            let error = ErrorBody::new(
                ErrorCode::Busy,
                "Too many requests are under way on this connection.",
                "Wait until one of them is answered.",
            );
            self.shared.send(HostFrame::Error { id: Some(id), error }).await;
            return;
        }
        let tasks = if matches!(
            request,
            Request::StartLease { .. }
                | Request::ReplaceCredential { .. }
                | Request::ExtendLease { .. }
                | Request::EndLease { .. }
        ) {
            changing
        } else {
            asking
        };
        tasks.spawn(Arc::clone(&self.shared).answer(id, request));
    }
}

impl Shared {
    async fn send(&self, message: HostFrame) {
        // The writer is gone only when the browser is; then nobody waits for this.
        let _ = self.to_browser.send(message).await;
    }

    /// Carries a request out and answers it, in time and even if it panics.
    async fn answer(self: Arc<Self>, id: RequestId, request: Request) {
        let limit = deadline(&request);
        let work = tokio::spawn(tokio::time::timeout(limit, Arc::clone(&self).carry_out(id, request)));
        let _stop_with_the_connection = AbortWhenDropped(work.abort_handle());
        let result = match work.await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ErrorBody::new(
                ErrorCode::DeadlineExceeded,
                format!("This took longer than {} seconds.", limit.as_secs()),
                "Try again; what had begun is completed or taken back by the next sweep.",
            )),
            Err(panic) => {
                Err(failure::internal(if panic.is_panic() { "a request failed unexpectedly" } else { "stopped" }))
            }
        };
        self.look_again.notify_one();
        self.something_done.notify_one();
        let messages = match result {
            Ok(reply) => {
                // Whatever the browser is shown, it is also told the end of, however soon that comes.
                for lease in shown(&reply) {
                    self.remember(lease);
                }
                long_list::in_messages(id, reply)
            }
            Err(error) => {
                tracing::warn!(code = error.name, request_id = error.graph_request_id, "{}", error.message);
                vec![HostFrame::Error { id: Some(id), error: failure::in_sentences(error) }]
            }
        };
        for message in messages {
            self.send(message).await;
        }
    }

    async fn carry_out(self: Arc<Self>, id: RequestId, request: Request) -> Result<Reply, ErrorBody> {
        if matches!(request, Request::NoteUnknownPage {}) {
            unknown_pages::note();
            return Ok(Reply::Noted {});
        }
        if matches!(request, Request::Examine {}) {
            // Before anything is opened: it looks also where nothing can be.
            return Ok(Reply::Findings { findings: crate::commands::connection().await? });
        }
        let said = Said::now()?;
        if matches!(
            request,
            Request::StartLease { .. } | Request::ExtendLease { .. } | Request::ReplaceCredential { .. }
        ) {
            // Nothing is given while nobody can tell what may be given, or to whom.
            crate::directory::to_give(said.without_mistakes()?, Prompting::Allowed).await?;
        }
        let engine = self.engine(&said).await?;
        let caller = &self.caller;
        let to_browser = self.to_browser.clone();
        // A step that does not fit into the queue is not worth holding up the work for.
        let on_progress = move |progress: Progress| drop(to_browser.try_send(HostFrame::Progress { id, progress }));
        Ok(match request {
            Request::Hello(_) | Request::NoteUnknownPage {} | Request::Examine {} => {
                return Err(failure::internal("a message came to the wrong place"));
            }
            Request::ListTenants { hint } => {
                let mut tenants = engine.tenants().await?;
                // Where nothing entitles the technician there is nothing to click; an open lease is shown until it ends.
                tenants.retain(|tenant| !tenant.profiles.is_empty() || tenant.lease.is_some());
                let recognized = match &hint {
                    Some(hint) => engine
                        .recognize(hint)
                        .await?
                        .filter(|recognized| tenants.iter().any(|tenant| tenant.tenant_id == *recognized)),
                    None => None,
                };
                if let Some(tenant_id) = recognized {
                    let engine = engine.clone();
                    tokio::spawn(async move {
                        if let Err(error) = engine.warm(tenant_id).await {
                            tracing::info!(%error, "the tenant could not be warmed");
                        }
                    });
                }
                Reply::Tenants { tenants, recognized }
            }
            Request::StartLease { tenant_id, minutes, reason, profile, ticket, passkey } => {
                let start = StartLease {
                    minutes,
                    reason,
                    profile,
                    ticket,
                    passkey,
                    ..StartLease::new(tenant_id, caller.clone())
                };
                Reply::Lease { lease: engine.start_lease(start, &on_progress).await? }
            }
            Request::ExtendLease { lease_id, minutes, reason } => {
                Reply::Lease { lease: engine.extend_lease(lease_id, minutes, reason.as_deref(), caller).await? }
            }
            Request::FillCredential { lease_id, field, document } => {
                Reply::Secret(engine.fill_credential(lease_id, field, &document, caller).await?)
            }
            Request::ConfirmSignIn { lease_id } => {
                Reply::Lease { lease: engine.confirm_sign_in(lease_id, caller).await? }
            }
            Request::RevealCredential { lease_id } => Reply::Secret(engine.reveal_credential(lease_id, caller).await?),
            Request::ReplaceCredential { lease_id, refused } => {
                Reply::Lease { lease: engine.replace_credential(lease_id, refused, caller, &on_progress).await? }
            }
            Request::AssertPasskey { lease_id, request } => {
                Reply::Passkey(engine.assert_passkey(lease_id, &request, caller).await?)
            }
            Request::VerifyPerson { pin, tenant_id } => {
                let occasion = async || verification::sign_in(&engine, tenant_id).await;
                Reply::Person(verification::verify(&engine, pin, occasion, caller).await?)
            }
            Request::EndLease { lease_id } => {
                Reply::Lease { lease: engine.end_lease(lease_id, caller, &on_progress).await? }
            }
            Request::ListLeases {} => Reply::Leases { leases: engine.leases(false).await? },
        })
    }

    /// The engine; opened at the first need and, if that fails, again at the next.
    ///
    /// A browser keeps this process for days, and what a person took out of the configuration must be gone: so the
    /// policy is the one that stands there now. A mistake in it does not keep leases from ending; what the engine was
    /// opened with holds until it is corrected.
    async fn engine(&self, said: &Said) -> Result<Engine, ErrorBody> {
        let open = || {
            if let Some(mistake) = &said.mistake {
                tracing::warn!(%mistake.message, "the configuration has errors; ending goes on with what could be read");
            }
            async {
                let engine = machine::open_engine_with(&said.folders, &said.settings, Prompting::Allowed).await?;
                verification::watch_screen(&engine);
                Ok::<_, ErrorBody>(engine)
            }
        };
        let engine = self.engine.get_or_try_init(open).await?;
        let now = said.without_mistakes().and_then(|settings| Ok((machine::acting(settings)?, settings)));
        Ok(match now {
            Ok((technician, settings)) => engine.with_policy(settings.policy.clone(), technician.groups),
            Err(_) => engine.clone(),
        })
    }

    /// Ends leases that are due and tells the browser what changed without its asking.
    async fn watch_leases(self: Arc<Self>) {
        let mut due = None;
        loop {
            let wait = match self.look(&mut due).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(code = error.name, "leases could not be looked at: {}", error.message);
                    LOOK_EVERY
                }
            };
            let _ = tokio::time::timeout(wait, self.look_again.notified()).await;
        }
    }

    /// Tells the webhook's receiver, beside everything else: nothing ever waits for it.
    async fn tell_receiver(self: Arc<Self>) {
        loop {
            let _ = tokio::time::timeout(TELL_EVERY, self.something_done.notified()).await;
            // Not the one who opens the engine: that is for whoever needs it.
            if let Some(engine) = self.engine.get() {
                webhook::deliver(engine, Prompting::Never, TELL_EVERY).await;
            }
        }
    }

    /// Does what is due, and says how long to wait before the next look. `due` is when the engine first asked for a
    /// sweep that it has not had since: it moves what is overdue to the next second.
    async fn look(&self, due: &mut Option<i64>) -> Result<Duration, ErrorBody> {
        let engine = self.engine(&Said::now()?).await?;
        let mut open = engine.leases(false).await?;
        let now = machine::now();
        let over = open.iter().any(|lease| lease.until <= now || lease.state == LeaseState::Ending);
        if due.is_some_and(|due| due <= now && (over || now - due >= LEFT_TO_SCHEDULE)) {
            *due = None;
            let report = engine.sweep().await?;
            let (ended, failing) = (report.ended.len(), report.failing.len());
            tracing::info!(ended, failing, repaired = report.repaired.len(), "did what was due");
            self.something_done.notify_one();
            open = engine.leases(false).await?;
        }
        self.tell_changes(&engine, &open).await?;
        *due = (*due).into_iter().chain(engine.next_due().await?).min();
        let now = machine::now();
        let ahead = open.iter().map(|lease| lease.until).chain(*due).filter(|at| *at > now).min();
        Ok(ahead.map_or(LOOK_EVERY, |at| Duration::from_millis((at - now).unsigned_abs()).min(LOOK_EVERY)))
    }

    /// Ends leases whose time is over, as far as that takes no longer than a person waits; the schedule does the rest.
    async fn end_what_is_over(&self) {
        let work = async {
            let engine = self.engine(&Said::now()?).await?;
            let now = machine::now();
            if engine.leases(false).await?.iter().any(|lease| lease.until <= now || lease.state == LeaseState::Ending) {
                engine.sweep().await?;
            }
            Ok::<_, ErrorBody>(())
        };
        match tokio::time::timeout(LOOK_EVERY, work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(code = error.name, "leases could not be looked at: {}", error.message),
            Err(_) => tracing::info!("ending what is over takes longer; the schedule goes on with it"),
        }
    }

    async fn tell_changes(&self, engine: &Engine, open: &[LeaseSummary]) -> Result<(), ErrorBody> {
        let mut changed: Vec<LeaseSummary> = open.iter().filter(|lease| self.is_news(lease)).cloned().collect();
        let closed: Vec<Uuid> = {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.keys().filter(|id| !open.iter().any(|lease| lease.lease_id == **id)).copied().collect()
        };
        if !closed.is_empty() {
            let all = engine.leases(true).await?;
            changed.extend(all.into_iter().filter(|lease| closed.contains(&lease.lease_id)));
        }
        for mut lease in changed {
            let first_sight = self.remember(&lease);
            lease.problem = lease.problem.map(failure::in_sentences);
            // What was there before the browser came is in the list that it asks for.
            if !first_sight {
                self.send(HostFrame::LeaseChanged { lease }).await;
            }
        }
        Ok(())
    }

    fn is_news(&self, lease: &LeaseSummary) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(&lease.lease_id) != Some(&Told::from(lease))
    }

    /// Notes what the browser knows now; `true` if the lease is new to it.
    fn remember(&self, lease: &LeaseSummary) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if lease.state.is_closed() {
            told.remove(&lease.lease_id).is_none()
        } else {
            told.insert(lease.lease_id, Told::from(lease)).is_none()
        }
    }
}

/// The leases in a reply.
fn shown(reply: &Reply) -> Vec<&LeaseSummary> {
    match reply {
        Reply::Lease { lease } => vec![lease],
        Reply::Leases { leases } => leases.iter().collect(),
        Reply::Tenants { tenants, .. } => tenants.iter().filter_map(|tenant| tenant.lease.as_ref()).collect(),
        _ => Vec::new(),
    }
}

/// What the configuration says, read once for each request: all of a request goes by the same words.
struct Said {
    folders: Folders,
    settings: Settings,
    mistake: Option<ErrorBody>,
}

impl Said {
    fn now() -> Result<Self, ErrorBody> {
        let folders = Folders::of_this_person()?;
        let (settings, mistake) = machine::read_in_any_case(&folders);
        Ok(Self { folders, settings, mistake })
    }

    /// The settings, for what must not go by half of them.
    fn without_mistakes(&self) -> Result<&Settings, ErrorBody> {
        match &self.mistake {
            None => Ok(&self.settings),
            Some(mistake) => Err(mistake.clone()),
        }
    }
}

/// Stops a task when whoever waits for it is stopped.
struct AbortWhenDropped(tokio::task::AbortHandle);

impl Drop for AbortWhenDropped {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long a request may take.
const fn deadline(request: &Request) -> Duration {
    Duration::from_secs(match request {
        // Long enough for a new account to arrive everywhere in the directory.
        Request::StartLease { .. } | Request::ReplaceCredential { .. } => 240,
        // The operating system may ask the person, who looks for her glasses.
        Request::VerifyPerson { .. } => 120,
        Request::EndLease { .. } => 90,
        Request::ExtendLease { .. } => 15,
        // The key store may ask the person for a password, and the next code may be half a minute away.
        Request::FillCredential { field: FillField::OneTimeCode, .. } => 60,
        // The key store may ask the person for a password.
        Request::FillCredential { .. } | Request::RevealCredential { .. } | Request::AssertPasskey { .. } => 30,
        // Every cloud that customers live in is reached, one after the other.
        Request::Examine {} => 60,
        Request::Hello(_)
        | Request::ListTenants { .. }
        | Request::ConfirmSignIn { .. }
        | Request::ListLeases {}
        | Request::NoteUnknownPage {} => 15,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_answer_that_is_too_long_for_a_browser_is_an_error_and_the_next_one_is_not() {
        let long = "n".repeat(latchkey_protocol::MAX_MESSAGE_BYTES);
        let secret = latchkey_protocol::Secret {
            lease_id: Uuid::nil(),
            credential: latchkey_protocol::CredentialKind::Password,
            user_name: long.clone(),
            value: "not-to-be-told".to_owned(),
        };
        let refusal = ErrorBody::new(ErrorCode::Busy, long, "Wait.");
        let (session, from_session) = mpsc::channel(4);
        session.try_send(HostFrame::Reply { id: RequestId(7), reply: Reply::Secret(secret) }).unwrap();
        session.try_send(HostFrame::Error { id: Some(RequestId(8)), error: refusal.clone() }).unwrap();
        // Nobody waits for this one.
        session.try_send(HostFrame::Error { id: None, error: refusal }).unwrap();
        session.try_send(HostFrame::Reply { id: RequestId(9), reply: Reply::Noted {} }).unwrap();
        drop(session);
        let mut pipe = Vec::new();
        write(Outgoing::new(&mut pipe), from_session);

        let mut incoming = Incoming::new(pipe.as_slice());
        for id in [7, 8] {
            let message = incoming.receive().unwrap().unwrap();
            let HostFrame::Error { id: Some(RequestId(told)), error } = serde_json::from_slice(&message).unwrap()
            else {
                panic!("an error was expected");
            };
            assert_eq!((told, error.code), (id, ErrorCode::Internal));
            assert_eq!(error.message, "Latchkey failed: the answer is too long for a browser.");
        }
        let message = incoming.receive().unwrap().unwrap();
        let noted = HostFrame::Reply { id: RequestId(9), reply: Reply::Noted {} };
        assert_eq!(serde_json::from_slice::<HostFrame>(&message).unwrap(), noted);
        assert!(incoming.receive().unwrap().is_none());
    }
}
