//! How often a sign-in met a page that the extension does not know: a number and a moment, for `latchkey doctor`.
//!
//! Never anything of the page itself: no address, no tenant, no account.

use std::path::Path;

use crate::machine;
use crate::settings::{Folders, create_private_folder};

/// What has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownPages {
    /// How many.
    pub(crate) count: u64,
    /// When the last one was, Unix time in milliseconds.
    pub(crate) last: i64,
}

impl UnknownPages {
    /// What stands in the file; nothing when there is none or it cannot be read.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(file).ok()?;
        let (count, last) = text.trim().split_once(' ')?;
        Some(Self { count: count.parse().ok()?, last: last.parse().ok()? })
    }

    fn add(file: &Path, now: i64) -> std::io::Result<()> {
        let count = Self::read(file).map_or(0, |met| met.count).saturating_add(1);
        // Written whole or not at all: two browsers may count at once.
        let fresh = file.with_extension(std::process::id().to_string());
        std::fs::write(&fresh, format!("{count} {now}\n")).and_then(|()| std::fs::rename(&fresh, file))
    }
}

/// Counts one more. A count that cannot be kept is no reason to trouble the technician.
pub(crate) fn note() {
    let noted = Folders::of_this_person().map(|folders| {
        create_private_folder(&folders.state).and_then(|()| UnknownPages::add(&folders.unknown_pages(), machine::now()))
    });
    if let Ok(Err(error)) = noted {
        tracing::warn!(%error, "an unknown sign-in page could not be counted");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn pages_are_counted_and_a_damaged_count_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("unknown-pages");
        assert_eq!(UnknownPages::read(&file), None);
        UnknownPages::add(&file, 5).unwrap();
        UnknownPages::add(&file, 7).unwrap();
        assert_eq!(UnknownPages::read(&file), Some(UnknownPages { count: 2, last: 7 }));
        std::fs::write(&file, "many").unwrap();
        UnknownPages::add(&file, 9).unwrap();
        assert_eq!(UnknownPages::read(&file), Some(UnknownPages { count: 1, last: 9 }));
    }
}
