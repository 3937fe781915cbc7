//! Expiry on its own schedule: what makes the system run `latchkey sweep` every minute, whether a browser runs or not.
//!
//! Plain functions from inputs to files and commands, for all three platforms; carrying them out is the caller's.
//! Facts: systemd.timer(5), systemd.service(5) (quoting, `%`), launchd.plist(5), Microsoft's "Task Scheduler schema"
//! and `schtasks`.

use std::path::{Path, PathBuf};

use super::browsers::{Home, Platform, Scope};

/// The name that the schedule has everywhere.
const UNIT: &str = "latchkey-sweep";
/// The same on macOS.
const LABEL: &str = "com.latchkey.sweep";
/// The same on Windows.
const TASK: &str = r"\Latchkey\Sweep";

/// A program to run, with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// Looked up in the search path.
    pub(crate) program: &'static str,
    /// One by one, never through a shell.
    pub(crate) arguments: Vec<String>,
}

/// Everything that makes up the schedule on one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Files to write, with their bytes.
    pub(crate) files: Vec<(PathBuf, Vec<u8>)>,
    /// Commands that start it, in order; each may be repeated.
    pub(crate) start: Vec<Invocation>,
    /// Commands that stop it, before the files go.
    pub(crate) stop: Vec<Invocation>,
    /// The command that succeeds when it is running.
    pub(crate) check: Invocation,
    /// What to do where the system's scheduler cannot be reached.
    pub(crate) otherwise: String,
}

/// The schedule that runs `program` for one person or for everybody who signs in on the machine.
///
/// The program is always run as the person: their leases, their key store. `data` is where files go that have no
/// place of their own (Windows); `user_id` is the numeric one of the person (macOS).
pub(crate) fn schedule(
    platform: Platform,
    scope: Scope,
    program: &Path,
    home: &Home,
    data: &Path,
    user_id: u32,
) -> Schedule {
    let program = program.to_string_lossy();
    match platform {
        Platform::Linux => systemd(scope, &program, home),
        Platform::MacOs => launchd(scope, &program, home, user_id),
        Platform::Windows => task_scheduler(scope, &program, data),
    }
}

fn run(program: &'static str, arguments: &[&str]) -> Invocation {
    Invocation { program, arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect() }
}

fn systemd(scope: Scope, program: &str, home: &Home) -> Schedule {
    let folder = match scope {
        Scope::User => home.configuration.join("systemd/user"),
        Scope::System => PathBuf::from("/etc/systemd/user"),
    };
    let manager = match scope {
        Scope::User => "--user",
        Scope::System => "--global",
    };
    let timer = format!("{UNIT}.timer");
    let mut start = Vec::new();
    let stop = match scope {
        Scope::User => {
            start.push(run("systemctl", &["--user", "daemon-reload"]));
            start.push(run("systemctl", &["--user", "enable", "--now", &timer]));
            vec![run("systemctl", &["--user", "disable", "--now", &timer])]
        }
        Scope::System => {
            start.push(run("systemctl", &["--global", "enable", &timer]));
            vec![run("systemctl", &["--global", "disable", &timer])]
        }
    };
    Schedule {
        files: vec![
            (folder.join(format!("{UNIT}.service")), systemd_service(program).into_bytes()),
            (folder.join(&timer), systemd_timer().into_bytes()),
        ],
        start,
        stop,
        check: match scope {
            Scope::User => run("systemctl", &[manager, "--quiet", "is-active", &timer]),
            Scope::System => run("systemctl", &[manager, "--quiet", "is-enabled", &timer]),
        },
        otherwise: format!(
            "Without systemd, have another scheduler run it every minute, for example with 'crontab -e': * * * * * '{}' sweep --quiet",
            program.replace('%', "\\%")
        ),
    }
}

fn systemd_service(program: &str) -> String {
    let program = program.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!(
        "# Written by 'latchkey install'; 'latchkey uninstall' removes it.\n\
         [Unit]\n\
         Description=Latchkey: end the leases that are due\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=\"{program}\" sweep --quiet\n\
         TimeoutStartSec=15min\n\
         NoNewPrivileges=yes\n\
         LimitCORE=0\n"
    )
}

fn systemd_timer() -> String {
    "# Written by 'latchkey install'; 'latchkey uninstall' removes it.\n\
     [Unit]\n\
     Description=Latchkey: end the leases that are due, every minute\n\
     \n\
     [Timer]\n\
     OnCalendar=*-*-* *:*:00\n\
     AccuracySec=1s\n\
     Persistent=true\n\
     \n\
     [Install]\n\
     WantedBy=timers.target\n"
        .to_owned()
}

fn launchd(scope: Scope, program: &str, home: &Home, user_id: u32) -> Schedule {
    let folder = match scope {
        Scope::User => home.home.join("Library/LaunchAgents"),
        Scope::System => PathBuf::from("/Library/LaunchAgents"),
    };
    let file = folder.join(format!("{LABEL}.plist"));
    let domain = format!("gui/{user_id}");
    let agent = format!("{domain}/{LABEL}");
    Schedule {
        start: vec![run("launchctl", &["bootstrap", &domain, &file.to_string_lossy()])],
        stop: vec![run("launchctl", &["bootout", &agent])],
        check: run("launchctl", &["print", &agent]),
        otherwise: format!("Sign out and in again, or run: launchctl bootstrap {domain} '{}'", file.display()),
        files: vec![(file, launchd_agent(program).into_bytes())],
    }
}

fn launchd_agent(program: &str) -> String {
    let program = escape_xml(program);
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Written by 'latchkey install'; 'latchkey uninstall' removes it. -->
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>{LABEL}</string>
  <key>ProgramArguments</key>
  <array>
    <string>{program}</string>
    <string>sweep</string>
    <string>--quiet</string>
  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>StartInterval</key>
  <integer>60</integer>
  <key>ProcessType</key>
  <string>Background</string>
  <key>HardResourceLimits</key>
  <dict>
    <key>Core</key>
    <integer>0</integer>
  </dict>
</dict>
</plist>
"#
    )
}

fn task_scheduler(scope: Scope, program: &str, data: &Path) -> Schedule {
    let file = data.join("sweep-task.xml");
    let path = file.to_string_lossy().into_owned();
    Schedule {
        start: vec![run("schtasks", &["/Create", "/TN", TASK, "/XML", &path, "/F"])],
        stop: vec![run("schtasks", &["/Delete", "/TN", TASK, "/F"])],
        check: run("schtasks", &["/Query", "/TN", TASK]),
        otherwise: format!("Import '{path}' in the Task Scheduler."),
        // schtasks reads UTF-16 with a byte order mark.
        files: vec![(
            file,
            std::iter::once(0xFEFF_u16)
                .chain(task_definition(scope, program).encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect(),
        )],
    }
}

fn task_definition(scope: Scope, program: &str) -> String {
    let program = escape_xml(program);
    let principal = match scope {
        Scope::User => "      <LogonType>InteractiveToken</LogonType>",
        // The built-in group of all users, by its well-known identifier.
        Scope::System => "      <GroupId>S-1-5-32-545</GroupId>",
    };
    // A console program would flash a window every minute; conhost runs it without one.
    format!(
        r#"<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.3" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Latchkey: end the leases that are due. Written by 'latchkey install'; 'latchkey uninstall' removes it.</Description>
  </RegistrationInfo>
  <Triggers>
    <TimeTrigger>
      <Repetition>
        <Interval>PT1M</Interval>
      </Repetition>
      <StartBoundary>2025-01-01T00:00:00</StartBoundary>
      <Enabled>true</Enabled>
    </TimeTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
{principal}
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT15M</ExecutionTimeLimit>
    <Hidden>true</Hidden>
    <Enabled>true</Enabled>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>conhost.exe</Command>
      <Arguments>--headless "{program}" sweep --quiet</Arguments>
    </Exec>
  </Actions>
</Task>
"#
    )
}

fn escape_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::fmt::Write as _;

    /// The whole schedule as text: files, then commands.
    fn shown(platform: Platform, scope: Scope, program: &str) -> String {
        let home =
            Home { home: "/home/alex".into(), configuration: "/home/alex/.config".into(), local_data: "/data".into() };
        let schedule = schedule(platform, scope, Path::new(program), &home, Path::new("/data"), 501);
        let mut text = String::new();
        for (path, bytes) in &schedule.files {
            let content = match bytes.strip_prefix(&[0xFF, 0xFE]) {
                Some(utf_16) => {
                    let units: Vec<u16> = utf_16.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
                    String::from_utf16(&units).unwrap()
                }
                None => String::from_utf8(bytes.clone()).unwrap(),
            };
            write!(text, "== {}\n{content}", path.display()).unwrap();
        }
        for (title, commands) in
            [("start", &schedule.start), ("stop", &schedule.stop), ("check", &vec![schedule.check.clone()])]
        {
            for command in commands {
                writeln!(text, "{title}: {} {}", command.program, command.arguments.join(" ")).unwrap();
            }
        }
        writeln!(text, "otherwise: {}", schedule.otherwise).unwrap();
        text
    }

    #[test]
    fn a_systemd_timer_for_one_person() {
        let text = shown(Platform::Linux, Scope::User, "/home/alex/my tools/100%/latchkey");
        assert_eq!(text, include_str!("golden/schedule-linux-user.txt"));
    }

    #[test]
    fn a_systemd_timer_for_everybody() {
        let text = shown(Platform::Linux, Scope::System, "/usr/bin/latchkey");
        assert_eq!(text, include_str!("golden/schedule-linux-system.txt"));
    }

    #[test]
    fn a_launchd_agent() {
        let text = shown(Platform::MacOs, Scope::User, "/Applications/R&D <1>/latchkey");
        assert_eq!(text, include_str!("golden/schedule-macos-user.txt"));
    }

    #[test]
    fn a_scheduled_task() {
        let text = shown(Platform::Windows, Scope::User, r"C:\Program Files\R&D\latchkey.exe");
        assert_eq!(text, include_str!("golden/schedule-windows-user.txt"));
    }

    #[test]
    fn a_scheduled_task_for_everybody() {
        let text = shown(Platform::Windows, Scope::System, r"C:\Program Files\Latchkey\latchkey.exe");
        assert_eq!(text, include_str!("golden/schedule-windows-system.txt"));
    }
}
