//! `cargo xtask wine`: the host as it is built for Windows, run by Wine. What is shown: `install` writes the manifests and
//! the registry keys that browsers look for, a browser's first message is answered by the program that they name, and
//! `uninstall` leaves nothing behind.
//!
//! Wine is not Windows: there is no browser in it and nobody who signs in, and whether a scheduled task is really run is
//! not waited for.

use std::{
    ffi::OsString,
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{
    command::{answers, command, execute},
    lab, other_systems, setup,
};

/// The Debian packages of Wine.
const WINE: &[&str] = &["wine", "wine64"];

/// What stands in for a file that older Wines lack.
const RANDOM: (&str, &str) = ("bcryptprimitives.dll", "tests/wine/bcryptprimitives.c");

/// The browsers that manifests are written for: how the command line calls each, and the key below `HKCU\SOFTWARE`.
const BROWSERS: [(&str, &str); 3] = [("chrome", r"Google\Chrome"), ("edge", r"Microsoft\Edge"), ("firefox", "Mozilla")];

/// Where the Task Scheduler keeps the task that runs the sweep. Wine's `schtasks` cannot be asked for it.
const TASK: &str = r"C:\windows\system32\tasks\Latchkey\Sweep";

/// How the host is called.
const HOST_NAME: &str = latchkey_protocol::HOST_NAME;

/// The whole check, with everything that it needs.
pub fn run(workspace: &Path) -> anyhow::Result<()> {
    prepare()?;
    check(workspace)
}

/// Everything that the check needs.
pub fn prepare() -> anyhow::Result<()> {
    other_systems::prepare_windows()?;
    if !answers("wine", &["--version"]) {
        setup::install_debian_packages(WINE)?;
    }
    Ok(())
}

/// Builds the host for Windows and looks at what it does.
pub fn check(workspace: &Path) -> anyhow::Result<()> {
    let program = other_systems::build_windows(workspace)?;
    let windows = Windows::start(workspace, &program)?;
    windows.installs_and_uninstalls()?;
    windows.answers_a_browser()?;
    windows.leaves_the_person_to_the_pin()?;
    windows.keeps_things()?;
    println!("the host for Windows installs, answers and uninstalls, as far as Wine can tell");
    Ok(())
}

/// A Windows that nobody has used, with the host on its disk. Its processes end with this.
struct Windows {
    prefix: PathBuf,
    /// The host, as this system finds it.
    program: PathBuf,
}

impl Windows {
    /// Where the host lies on that Windows.
    const FOLDER: &str = r"C:\Program Files\Latchkey";

    fn start(workspace: &Path, program: &Path) -> anyhow::Result<Self> {
        let prefix = lab::fresh_folder(workspace, "wine")?.join("prefix");
        let mut windows = Self { prefix, program: PathBuf::new() };
        eprintln!("$ wineboot --init");
        windows.succeeds("wineboot", ["--init"])?;
        windows.program = windows.place(&format!(r"{}\latchkey.exe", Self::FOLDER))?;
        let folder = windows.program.parent().context("a program lies in a folder")?;
        fs::create_dir_all(folder)?;
        fs::copy(program, &windows.program)?;
        let (random, source) = RANDOM;
        if !windows.place(&format!(r"C:\windows\system32\{random}"))?.exists() {
            let mut compile = command(other_systems::MINGW.0, ["-shared", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
            execute(compile.arg(folder.join(random)).arg(workspace.join(source)).arg("-ladvapi32"))?;
        }
        Ok(windows)
    }

    /// A program on that Windows, not started.
    fn wine(&self, program: &str, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Command {
        let mut wine = command("wine", [program]);
        wine.args(arguments.into_iter().map(Into::into))
            .env("WINEPREFIX", &self.prefix)
            .env("WINEARCH", "win64")
            .env("WINEDEBUG", "-all")
            // Nothing here has a window or runs .NET; without these Wine asks to fetch what would.
            .env("WINEDLLOVERRIDES", "mscoree,mshtml,winemenubuilder.exe=")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null());
        wine
    }

    /// What a program prints, and whether it succeeded.
    fn runs(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> anyhow::Result<(bool, String)> {
        let mut wine = self.wine(program, arguments);
        let output = wine.stderr(Stdio::inherit()).output().with_context(|| format!("{program} was not started"))?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    fn succeeds(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> anyhow::Result<String> {
        let (succeeded, printed) = self.runs(program, arguments)?;
        ensure!(succeeded, "{program} failed on Windows; it printed: {printed}");
        Ok(printed)
    }

    /// Where this system finds a file of that Windows.
    fn place(&self, path: &str) -> anyhow::Result<PathBuf> {
        let inside = path.strip_prefix(r"C:\").with_context(|| format!("{path} is not on drive C"))?;
        Ok(self.prefix.join("drive_c").join(inside.replace('\\', "/")))
    }

    /// The default value of a key, if the key is there.
    fn registry(&self, key: &str) -> anyhow::Result<Option<String>> {
        let (found, printed) = self.runs("reg", ["query", key, "/ve"])?;
        if !found {
            return Ok(None);
        }
        let (_, value) = printed.split_once("REG_SZ").with_context(|| format!("{key} holds no text: {printed}"))?;
        Ok(Some(value.trim().to_owned()))
    }

    /// The host, as people start it: whether it succeeded, and the JSON that it prints.
    fn latchkey(&self, arguments: &[&str]) -> anyhow::Result<(bool, Value)> {
        eprintln!("$ wine latchkey.exe {}", arguments.join(" "));
        let program = format!(r"{}\latchkey.exe", Self::FOLDER);
        let (succeeded, printed) = self.runs(&program, ["--json"].iter().chain(arguments))?;
        let printed = serde_json::from_str(&printed)
            .with_context(|| format!("latchkey.exe did not print JSON but: {printed}"))?;
        Ok((succeeded, printed))
    }

    /// The key of a browser in which the host is named.
    fn key(browser: &str) -> String {
        format!(r"HKCU\SOFTWARE\{browser}\NativeMessagingHosts\{HOST_NAME}")
    }

    fn installs_and_uninstalls(&self) -> anyhow::Result<()> {
        let mut install = vec!["install"];
        for (name, key) in BROWSERS {
            ensure!(self.registry(&Self::key(key))?.is_none(), "{key} knew the host before it was installed");
            install.extend(["--browser", name]);
        }
        // Twice is as good as once.
        for _ in 0..2 {
            let (succeeded, report) = self.latchkey(&install)?;
            ensure!(succeeded, "not installed: {report}");
            ensure!(report["browsers"].as_array().map(Vec::len) == Some(BROWSERS.len()), "not every browser: {report}");
            ensure!(report["schedule_runs"] == true, "the sweep was not scheduled: {report}");
        }
        ensure!(self.place(TASK)?.exists(), "the task of the sweep is not there");
        let mut manifests = Vec::new();
        for (_, key) in BROWSERS {
            let file = self.registry(&Self::key(key))?.with_context(|| format!("{key} does not know the host"))?;
            let file = self.place(&file)?;
            let manifest: Value =
                serde_json::from_slice(&fs::read(&file).with_context(|| file.display().to_string())?)?;
            let names = manifest["path"].as_str().unwrap_or_default();
            ensure!(self.place(names)? == self.program, "{key} starts another program: {manifest}");
            ensure!(manifest["name"] == HOST_NAME && manifest["type"] == "stdio", "not a manifest: {manifest}");
            let allowed = if key == "Mozilla" { "allowed_extensions" } else { "allowed_origins" };
            ensure!(manifest[allowed].as_array().is_some_and(|list| !list.is_empty()), "nobody may call: {manifest}");
            manifests.push(file);
        }
        let (succeeded, report) = self.latchkey(&["uninstall"])?;
        ensure!(succeeded, "not uninstalled: {report}");
        for (_, key) in BROWSERS {
            ensure!(self.registry(&Self::key(key))?.is_none(), "{key} knows the host after it was uninstalled");
        }
        for file in manifests {
            ensure!(!file.exists(), "{} is left", file.display());
        }
        ensure!(!self.place(TASK)?.exists(), "the task of the sweep is left");
        println!(
            "manifests and registry keys of {} browsers and the task of the sweep: written, removed",
            BROWSERS.len()
        );
        Ok(())
    }

    /// Starts the host as Chrome does, and closes the pipe as Chrome does.
    fn answers_a_browser(&self) -> anyhow::Result<()> {
        let ids: Value = serde_json::from_str(include_str!("../../manifests/extension-ids.json"))?;
        let origin = format!("chrome-extension://{}/", ids["chrome"].as_str().context("no id for Chrome")?);
        for (caller, expected) in [
            (origin.as_str(), "welcome"),
            ("chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/", "caller_not_allowed"),
        ] {
            let answers = self.converse(caller, &[hello()])?;
            let answer = answers.first().context("the host answered nothing")?;
            let given = answer["reply"]["reply"].as_str().or_else(|| answer["error"]["name"].as_str());
            ensure!(given == Some(expected), "the host answered {caller} with {answer}");
            println!("a message from {caller} was answered with '{expected}'");
        }
        Ok(())
    }

    /// The key store and the database, as the host itself finds them.
    fn keeps_things(&self) -> anyhow::Result<()> {
        // It fails, because nothing is installed any more.
        let (_, report) = self.latchkey(&["doctor", "--offline"])?;
        for link in ["key_store", "store"] {
            let found = report["findings"].as_array().into_iter().flatten().find(|finding| finding["link"] == link);
            let found = found.with_context(|| format!("doctor says nothing about {link}: {report}"))?;
            ensure!(found["state"] == "good", "{found}");
            println!("{}", found["found"].as_str().unwrap_or_default());
        }
        Ok(())
    }

    /// Windows Hello, which Wine has not: the host hears it, and leaves it to the PIN. Nobody counts as verified.
    fn leaves_the_person_to_the_pin(&self) -> anyhow::Result<()> {
        let ids: Value = serde_json::from_str(include_str!("../../manifests/extension-ids.json"))?;
        let origin = format!("chrome-extension://{}/", ids["chrome"].as_str().context("no id for Chrome")?);
        let answers = self.converse(&origin, &[hello(), json!({"id": 2, "request": {"verb": "verify_person"}})])?;
        let person = &answers.last().context("no answer")?["reply"];
        ensure!(
            person["reply"] == "person" && person["verified"] == false,
            "who is there was answered with {answers:?}"
        );
        let (_, report) = self.latchkey(&["doctor", "--offline"])?;
        let log = self.place(report["log"].as_str().context("doctor names no log")?)?;
        let log = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        let said = log.lines().find_map(|line| line.split_once("verifies nobody here"));
        let (_, why) = said.with_context(|| format!("Windows Hello was not asked: {log}"))?;
        println!("Windows Hello verifies nobody here, so the PIN is asked for:{why}");
        Ok(())
    }

    /// What the host answers a browser, request by request; fewer when it closes the pipe.
    fn converse(&self, caller: &str, requests: &[Value]) -> anyhow::Result<Vec<Value>> {
        let program = format!(r"{}\latchkey.exe", Self::FOLDER);
        let mut host = self
            .wine(&program, [caller, "--parent-window=0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the host was not started")?;
        let mut stdin = host.stdin.take().context("the host has no standard input")?;
        let mut stdout = host.stdout.take().context("the host has no standard output")?;
        let mut answers: Vec<Value> = Vec::new();
        for request in requests {
            let frame = serde_json::to_vec(request)?;
            // Refused callers find the pipe closed; what they are told comes below.
            let _ = stdin.write_all(&u32::try_from(frame.len())?.to_ne_bytes()).and_then(|()| stdin.write_all(&frame));
            while let Some(answer) = read_frame(&mut stdout)? {
                // What the host tells by itself has no number.
                let is_answer = answer["id"] == request["id"] || answer["kind"] == "error";
                answers.push(answer);
                if is_answer {
                    break;
                }
            }
        }
        drop(stdin);
        host.wait()?;
        Ok(answers)
    }
}

/// A browser's first message.
fn hello() -> Value {
    json!({"id": 1, "request": {"verb": "hello", "protocol": 1, "extension_version": "0.1.0"}})
}

/// The next message, unless the pipe is closed.
fn read_frame(stdout: &mut impl Read) -> anyhow::Result<Option<Value>> {
    let mut length = [0; 4];
    match stdout.read_exact(&mut length) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut message = vec![0; usize::try_from(u32::from_ne_bytes(length))?];
    stdout.read_exact(&mut message).context("half a frame")?;
    Ok(Some(serde_json::from_slice(&message)?))
}

impl Drop for Windows {
    fn drop(&mut self) {
        // Its own processes alone: those of this prefix.
        let _ = execute(command("wineserver", ["-k"]).env("WINEPREFIX", &self.prefix));
    }
}
