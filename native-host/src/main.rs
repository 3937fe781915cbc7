//! The binary `latchkey`. What it is and does is in the library of the same name.

fn main() -> std::process::ExitCode {
    latchkey_native_host::run()
}
