//! `latchkey manual`: manual pages from the same definitions as the command line and its help.

use std::path::Path;

use clap::CommandFactory as _;
use latchkey_protocol::ErrorBody;

use crate::cli::CommandLine;
use crate::failure;
use crate::output::Output;

/// Prints the page of the whole program, or writes the pages of all commands into a folder.
pub(super) fn show(into: Option<&Path>, output: Output) -> Result<(), ErrorBody> {
    let Some(folder) = into else {
        let mut page = Vec::new();
        clap_mangen::Man::new(CommandLine::command()).render(&mut page).map_err(failure::internal)?;
        output.raw(&String::from_utf8_lossy(&page));
        return Ok(());
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(CommandLine::command(), folder))
        .map_err(|error| failure::disk(&error, &format!("{} cannot be written", folder.display())))
}
