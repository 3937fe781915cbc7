//! The native part of the Safari extension without a Mac: each line of standard input is a message of the extension,
//! each line of standard output its answer. `one_message FOLDER` keeps everything in FOLDER.

use std::io::{BufRead as _, Write as _};

use latchkey_safari::{latchkey_answer, latchkey_forget};

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_default();
    let through = "one message at a time";
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        // SAFETY: three texts that live longer than the call.
        let answer = unsafe {
            latchkey_answer(folder.as_ptr(), folder.len(), through.as_ptr(), through.len(), line.as_ptr(), line.len())
        };
        // SAFETY: the answer says how many bytes there are, and is given back below.
        output.write_all(unsafe { std::slice::from_raw_parts(answer.bytes, answer.length) })?;
        output.write_all(b"\n")?;
        output.flush()?;
        // SAFETY: it came from `latchkey_answer` and is not used any more.
        unsafe { latchkey_forget(answer) };
    }
    Ok(())
}
