//! A question on the terminal whose answer is not shown.
//!
//! Echo is off before the question is there: whoever answers it at once (a program that pastes, a person who types
//! ahead) must not leave the answer on the screen. The terminal is put back as it was in any case.

use zeroize::Zeroizing;

/// Asks, and reads one line from the terminal.
///
/// # Errors
/// There is no terminal, or nobody answers.
pub(super) fn ask(question: &str) -> std::io::Result<Zeroizing<String>> {
    #[cfg(unix)]
    let _silence = Silence::begin()?;
    rpassword::prompt_password(question).map(Zeroizing::new)
}

/// The terminal without echo, until this is dropped.
#[cfg(unix)]
struct Silence {
    terminal: std::fs::File,
    before: rustix::termios::Termios,
}

#[cfg(unix)]
impl Silence {
    fn begin() -> std::io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

        let terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Now, &silent)?;
        Ok(Self { terminal, before })
    }
}

#[cfg(unix)]
impl Drop for Silence {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(&self.terminal, rustix::termios::OptionalActions::Now, &self.before);
    }
}
