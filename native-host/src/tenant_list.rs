//! The list of tenants beside the configuration: what `latchkey recover` connects again when the database is lost. No
//! secret is in it; it may be kept wherever the configuration is kept.

use std::path::{Path, PathBuf};

use latchkey_engine::{Engine, TenantList};
use latchkey_protocol::ErrorBody;

use crate::failure;
use crate::settings::{Folders, create_private_folder};

/// Where it is.
pub(crate) fn file(folders: &Folders) -> PathBuf {
    folders.configuration.join("tenants.json")
}

/// Reads it; empty when there is none.
pub(crate) fn read(file: &Path) -> Result<TenantList, ErrorBody> {
    match std::fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| {
            failure::usage(
                format!("{} cannot be read: {error}.", file.display()),
                "Put a good copy in its place, or move it aside and connect the tenants with 'latchkey tenant add'.",
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(TenantList::default()),
        Err(error) => Err(failure::disk(&error, &format!("{} cannot be read", file.display()))),
    }
}

/// Brings it up to date with what the engine knows. Writes only what has changed, and never half of it.
pub(crate) async fn update(engine: &Engine) -> Result<(), ErrorBody> {
    let folders = Folders::of_this_person()?;
    let file = file(&folders);
    let before = read(&file)?;
    let now = engine.update_tenant_list(&before).await?;
    if now == before {
        return Ok(());
    }
    let text = serde_json::to_string_pretty(&now).map_err(failure::internal)?;
    let written = create_private_folder(&folders.configuration).and_then(|()| {
        // Two processes may do this at once; each renames a whole file of its own.
        let fresh = file.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&fresh, format!("{text}\n")).and_then(|()| std::fs::rename(&fresh, &file))
    });
    written.map_err(|error| failure::disk(&error, &format!("{} cannot be written", file.display())))
}
