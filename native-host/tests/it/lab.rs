//! A home folder of its own, a session bus with an unlocked Secret Service, the lab's Entra in this process, and
//! the binary as people and browsers start it.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use entra_sim::directory::seed::TenantRecipe;
use entra_sim::exchanges::Exchange;
use entra_sim::faults::{Fault, Kind, Match};
use entra_sim::{Entra, Running, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything here takes; only a hang comes this far.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(120);

/// The id of the extension that the binary serves.
pub(crate) fn extension_id() -> String {
    let ids: Value = serde_json::from_str(include_str!("../../../manifests/extension-ids.json")).unwrap();
    ids["chrome"].as_str().unwrap().to_owned()
}

/// One person's machine.
pub(crate) struct Machine {
    pub(crate) folder: TempDir,
    session: Option<Session>,
}

/// How the session bus of a lab is.
const BUS: &str = include_str!("../../../tests/session-bus.conf");

/// A session bus and a Secret Service on it.
struct Session {
    bus: Child,
    keyring: Child,
    address: String,
}

impl Drop for Session {
    fn drop(&mut self) {
        for process in [&mut self.keyring, &mut self.bus] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Machine {
    /// A machine without a session bus: the kernel's key store at best.
    pub(crate) fn bare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("runtime")).unwrap();
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(folder.path().join("runtime"), mode).unwrap();
        }
        Self { folder, session: None }
    }

    /// A machine with an unlocked Secret Service.
    pub(crate) fn with_key_store() -> Self {
        let mut machine = Self::bare();
        machine.start_session(Some("lab"));
        machine.wait_for_key_store("Secret Service, unlocked");
        machine
    }

    /// The same home in a session in which nobody has unlocked the key store.
    pub(crate) fn lock_key_store(&mut self) {
        self.session = None;
        self.start_session(None);
        self.wait_for_key_store("It is locked.");
    }

    /// Waits until the daemon has taken its name on the bus and `doctor` finds the key store like this: whoever comes
    /// earlier finds no Secret Service at all.
    fn wait_for_key_store(&self, expected: &str) {
        let began = Instant::now();
        loop {
            let doctor = self.latchkey(&["--json", "doctor", "--offline"]).run().document;
            let findings = doctor["findings"].as_array().cloned().unwrap_or_default();
            let found = findings.into_iter().find(|one| one["link"] == "key_store").unwrap_or_default();
            if found["found"] == expected {
                return;
            }
            assert!(began.elapsed() < FOR_EVER, "the Secret Service did not come up: {found}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn start_session(&mut self, password: Option<&str>) {
        let configuration = self.home().join("runtime/bus.conf");
        std::fs::write(&configuration, BUS).unwrap();
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--nofork", "--print-address=1", "--config-file"]).arg(&configuration);
        let mut bus = self.environment(&mut bus).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        let mut keyring = Command::new("gnome-keyring-daemon");
        keyring.args(["--foreground", "--components=secrets"]);
        if password.is_some() {
            keyring.arg("--unlock");
        }
        let mut keyring = self
            .environment(&mut keyring)
            .env("DBUS_SESSION_BUS_ADDRESS", &address)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = keyring.stdin.take().unwrap();
        stdin.write_all(password.unwrap_or_default().as_bytes()).unwrap();
        drop(stdin);
        self.session = Some(Session { bus, keyring, address });
    }

    pub(crate) fn home(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.home().join(".local/share/latchkey/latchkey.sqlite")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.home().join(".local/state/latchkey/latchkey.log")).unwrap_or_default()
    }

    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("USER", "alex")
            .env("XDG_RUNTIME_DIR", self.home().join("runtime"))
    }

    /// The binary with this person's environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.environment(&mut command);
        if let Some(session) = &self.session {
            command.env("DBUS_SESSION_BUS_ADDRESS", &session.address);
        }
        command
    }

    /// The binary as a person starts it.
    pub(crate) fn latchkey(&self, arguments: &[&str]) -> Start {
        let mut command = self.command(env!("CARGO_BIN_EXE_latchkey"));
        command.args(arguments);
        Start { command, stdin: String::new() }
    }

    /// The binary as a browser starts it.
    pub(crate) fn host(&self) -> Host {
        let mut command = self.command(env!("CARGO_BIN_EXE_latchkey"));
        command.arg(format!("chrome-extension://{}/", extension_id()));
        Host::spawn(command)
    }
}

/// A command line about to run.
pub(crate) struct Start {
    pub(crate) command: Command,
    stdin: String,
}

/// What came of it.
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
    /// Standard output, if it is JSON.
    pub(crate) document: Value,
    /// The first line of standard error, if it is JSON.
    pub(crate) error: Value,
}

impl Start {
    /// One more argument, for one that cannot stand in a list of constants.
    pub(crate) fn command_with(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.to_owned();
        self
    }

    pub(crate) fn spawn(mut self) -> Child {
        let mut child =
            self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(self.stdin.as_bytes());
        child
    }

    pub(crate) fn run(self) -> Ran {
        let output = self.spawn().wait_with_output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        Ran {
            status: output.status,
            document: serde_json::from_str(&out).unwrap_or_default(),
            error: err.lines().next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default(),
            out,
            err,
        }
    }

    pub(crate) fn succeeds(self) -> Ran {
        let shown = format!("{:?}", self.command);
        let ran = self.run();
        assert!(ran.status.success(), "{shown}\n{}\n{}", ran.out, ran.err);
        ran
    }
}

/// The binary with a browser's pipes.
pub(crate) struct Host {
    pub(crate) child: Child,
    frames: Receiver<Value>,
    next_id: u32,
}

impl Host {
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (sender, frames) = mpsc::channel();
        std::thread::spawn(move || {
            let mut length = [0; 4];
            while stdout.read_exact(&mut length).is_ok() {
                let mut message = vec![0; u32::from_ne_bytes(length) as usize];
                stdout.read_exact(&mut message).unwrap();
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { child, frames, next_id: 1 }
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    pub(crate) fn send_message(&mut self, message: &[u8]) {
        let mut frame = u32::try_from(message.len()).unwrap().to_ne_bytes().to_vec();
        frame.extend_from_slice(message);
        self.send_bytes(&frame);
    }

    /// Sends a request and tells its id.
    pub(crate) fn send(&mut self, request: &Value) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        self.send_message(json!({"id": id, "request": request}).to_string().as_bytes());
        id
    }

    /// The next frame; `None` once the host has closed its side.
    pub(crate) fn receive(&mut self) -> Option<Value> {
        match self.frames.recv_timeout(FOR_EVER) {
            Ok(frame) => Some(frame),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the host neither answers nor goes"),
        }
    }

    /// Frames until the reply or error to `id`; that one last.
    pub(crate) fn until_answer(&mut self, id: u32) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let frame = self.receive().unwrap_or_else(|| panic!("no answer to {id}, only {seen:?}"));
            let answer = frame["id"] == id && (frame["kind"] == "reply" || frame["kind"] == "error");
            seen.push(frame);
            if answer {
                return seen;
            }
        }
    }

    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        let id = self.send(request);
        self.until_answer(id).pop().unwrap()
    }

    pub(crate) fn hello(&mut self) {
        let answer = self.ask(&json!({"verb": "hello", "protocol": 1, "extension_version": "0.1.0"}));
        assert_eq!(answer["reply"]["reply"], "welcome", "{answer}");
    }

    /// Closes the pipe as a browser does, and waits for the end.
    pub(crate) fn close(mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.child.wait().unwrap()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// When in a call a process is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// Before its effect, which never comes.
    Before,
    /// Before its effect, which comes after the process is dead.
    BeforeAndYet,
    /// After its effect.
    After,
}

impl Moment {
    pub(crate) const ALL: [Self; 3] = [Self::Before, Self::BeforeAndYet, Self::After];

    fn kind(self) -> Kind {
        match self {
            Self::Before => Kind::HoldBefore { survives_client: false },
            Self::BeforeAndYet => Kind::HoldBefore { survives_client: true },
            Self::After => Kind::HoldAfter {},
        }
    }
}

/// A machine and the lab's Entra.
pub(crate) struct Lab {
    pub(crate) machine: Machine,
    pub(crate) entra: Running,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::on(Machine::with_key_store())
    }

    pub(crate) fn on(machine: Machine) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let entra = runtime.block_on(Entra::start(Settings::default())).unwrap();
        std::fs::write(machine.home().join("ca.pem"), entra.sim.authority.pem()).unwrap();
        Self { machine, entra, runtime }
    }

    /// Hands a command the way to the lab's Entra: an ordinary proxy and an ordinary certificate file.
    pub(crate) fn reach(&self, command: &mut Command) {
        command
            .env("HTTPS_PROXY", format!("http://127.0.0.1:{}", self.entra.proxy_port))
            .env("SSL_CERT_FILE", self.machine.home().join("ca.pem"));
    }

    pub(crate) fn latchkey(&self, arguments: &[&str]) -> Start {
        let mut start = self.machine.latchkey(arguments);
        self.reach(&mut start.command);
        start
    }

    pub(crate) fn host(&self) -> Host {
        let mut command = self.machine.command(env!("CARGO_BIN_EXE_latchkey"));
        command.arg(format!("chrome-extension://{}/", extension_id()));
        self.reach(&mut command);
        Host::spawn(command)
    }

    /// A tenant as the lab's Entra describes it.
    pub(crate) fn tenant(&self, name: &str) -> Tenant {
        let description = self.entra.description(Path::new("ca.pem"));
        let found = description["tenants"].as_array().unwrap().iter().find(|tenant| tenant["name"] == name);
        Tenant::from_description(found.unwrap())
    }

    /// One more customer.
    pub(crate) fn new_tenant(&self, name: &str) -> Tenant {
        let recipe = TenantRecipe {
            name: name.to_owned(),
            additional_permissions: vec![
                "UserAuthMethod-TAP.ReadWrite.All".to_owned(),
                "Policy.Read.AuthenticationMethod".to_owned(),
            ],
            ..TenantRecipe::default()
        };
        self.entra.sim.add_tenant(recipe);
        self.tenant(name)
    }

    /// `latchkey tenant add` with what every tenant here has.
    pub(crate) fn add(&self, tenant: &Tenant, more: &[&str]) -> Start {
        let mut arguments = vec![
            "--json",
            "tenant",
            "add",
            "--tenant-id",
            &tenant.id,
            "--client-id",
            &tenant.client_id,
            "--secret-stdin",
            "--technician",
            "alex@msp.example",
        ];
        if !more.contains(&"--role") {
            arguments.extend(["--role", "User Administrator"]);
        }
        arguments.extend(more);
        self.latchkey(&arguments).stdin(&tenant.client_secret)
    }

    /// The open leases, as `latchkey list` says.
    pub(crate) fn leases(&self) -> Vec<Value> {
        let listed = self.latchkey(&["--json", "list"]).succeeds().document;
        listed["leases"].as_array().unwrap_or_else(|| panic!("no list: {listed}")).clone()
    }

    /// Kills a command at its call number `call` to the tenant. `false`: it was over before that.
    pub(crate) fn kill_at(&self, tenant: &Tenant, command: Start, moment: Moment, call: u64) -> bool {
        let faults = &self.entra.sim.faults;
        let tenant_id = Some(tenant.id.clone());
        let matches = Match { tenant: tenant_id, nth: Some(call), in_batch: Some(false), ..Match::default() };
        faults.replace(vec![Fault { matches, kind: moment.kind(), times: Some(1) }]);
        let shown = format!("{:?}", command.command);
        let mut process = command.spawn();
        let began = Instant::now();
        let held = loop {
            if faults.held() > 0 {
                break true;
            }
            if process.try_wait().unwrap().is_some() {
                break false;
            }
            assert!(began.elapsed() < FOR_EVER, "neither held nor over: {shown} {moment:?} {call}");
            std::thread::sleep(Duration::from_millis(5));
        };
        // SIGKILL: nothing of the process runs after this.
        let _ = process.kill();
        process.wait().unwrap();
        faults.release();
        faults.replace(Vec::new());
        held
    }

    /// How many calls were made to a tenant.
    pub(crate) fn calls_to(&self, tenant: &Tenant) -> u64 {
        let mine = |one: &Exchange| one.tenant.as_ref() == Some(&tenant.id) && !one.in_batch;
        self.entra.sim.exchanges.entries().iter().filter(|one| mine(one)).map(|_| 1).sum()
    }

    /// How far Microsoft's clock is ahead of this machine's, from now on. Leases end by the one that is ahead.
    pub(crate) fn microsoft_is_ahead(&self, seconds: i64) {
        self.entra.sim.turn(&json!({"clock_offset_seconds": seconds})).unwrap();
    }

    /// The technician's account in the directory itself.
    pub(crate) fn account(&self, tenant: &Tenant) -> Account {
        let state = self.runtime.block_on(entra_sim::control::state_of(&self.entra.sim));
        let found = state["tenants"].as_array().unwrap().iter().find(|one| one["id"] == tenant.id.as_str()).unwrap();
        let users = found["users"].as_array().unwrap();
        let user = users.iter().find(|user| user["upn"].as_str().unwrap().starts_with("jit-alex@"));
        Account(user.cloned().unwrap_or_default())
    }

    /// The invariant after every bad day: nobody is enabled or holds a role unless a lease says so, and Graph was
    /// spoken to as its schema demands.
    pub(crate) fn assert_nobody_is_active_without_a_lease(&self) {
        self.assert_dormant_without_a_lease();
        self.assert_conformance();
    }

    /// The first half of it, for tests in which requests are refused before anybody has read them.
    pub(crate) fn assert_dormant_without_a_lease(&self) {
        let leases = self.leases();
        let state = self.runtime.block_on(entra_sim::control::state_of(&self.entra.sim));
        for tenant in state["tenants"].as_array().unwrap() {
            for user in tenant["users"].as_array().unwrap() {
                if !user["upn"].as_str().unwrap().starts_with("jit-alex@") {
                    continue;
                }
                let leased = leases.iter().any(|lease| {
                    lease["tenant_id"] == tenant["id"]
                        && matches!(lease["state"].as_str(), Some("active" | "usable" | "activating"))
                });
                if !leased {
                    let account = Account(user.clone());
                    assert!(account.is_dormant(), "{}: {user}\nlog:\n{}", tenant["name"], self.machine.log());
                }
            }
        }
    }

    /// Every exchange so far fits Microsoft's schema.
    pub(crate) fn assert_conformance(&self) {
        let state = self.runtime.block_on(entra_sim::control::state_of(&self.entra.sim));
        let violations = &state["conformance"]["violations"];
        assert!(violations.as_array().is_none_or(Vec::is_empty), "{violations:#}");
    }
}

/// What a customer's admin hands over.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
}

impl Tenant {
    fn from_description(tenant: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            id: text(&tenant["id"]),
            name: text(&tenant["name"]),
            client_id: text(&tenant["app"]["client_id"]),
            client_secret: text(&tenant["app"]["client_secret"]),
        }
    }
}

/// A JIT account as the directory has it.
#[derive(Debug)]
pub(crate) struct Account(pub(crate) Value);

impl Account {
    pub(crate) fn is_dormant(&self) -> bool {
        self.0["accountEnabled"] == false
            && self.0["roles"].as_array().is_some_and(Vec::is_empty)
            && self.0["groups"].as_array().is_some_and(Vec::is_empty)
            && self.0["passes"].as_array().is_some_and(Vec::is_empty)
            && self.0["sessions"].as_array().is_some_and(|all| all.iter().all(|session| session["live"] == false))
    }

    pub(crate) fn is_active_as(&self, role: &str) -> bool {
        self.0["accountEnabled"] == true
            && self.0["roles"].as_array().is_some_and(|roles| roles.iter().any(|one| one == role))
    }
}
