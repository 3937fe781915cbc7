//! `latchkey doctor`.
use crate::{cli::Doctor, output::Output};
use latchkey_protocol::ErrorBody;
use std::process::ExitCode;
pub(super) async fn examine(doctor: &Doctor, output: Output) -> Result<ExitCode, ErrorBody> {
    let _ = (doctor.offline, output);
    Ok(ExitCode::SUCCESS)
}
