//! The app that contains the extension. Opened, it shows Safari's settings of the extension, where a person turns it on,
//! and ends. Started with words, it is the command line `latchkey`: only what the app's own entitlements name may read the
//! folder and the keys that the extension uses, so the command line is the app. It has no window of its own.

use block2::RcBlock;
use objc2::MainThreadMarker;
use objc2_app_kit::{NSAlert, NSApplication};
use objc2_foundation::{NSError, NSString, ns_string};
use objc2_safari_services::SFSafariApplication;

/// The extension inside the app.
const EXTENSION: &str = "com.latchkey.app.extension";

/// The app's `main`.
#[unsafe(no_mangle)]
pub extern "C" fn latchkey_app_main() -> i32 {
    crate::handler::keep_in_shared_folder();
    // The system may add words of its own when a person opens the app; none of ours begins like these.
    if std::env::args().nth(1).is_some_and(|word| !word.starts_with("-psn") && !word.starts_with("-NS")) {
        return if latchkey_native_host::run() == std::process::ExitCode::SUCCESS { 0 } else { 1 };
    }
    let Some(main_thread) = MainThreadMarker::new() else { return 1 };
    let app = NSApplication::sharedApplication(main_thread);
    let shown = RcBlock::new(|error: *mut NSError| {
        // SAFETY: null or the error of this call, which lives as long as the call.
        let error = unsafe { error.as_ref() }.map(|error| error.localizedDescription());
        // Safari answers on a thread of its own; alerts and endings belong to the main one.
        dispatch_to_main(error.map(|text| text.to_string()));
    });
    let extension = NSString::from_str(EXTENSION);
    // SAFETY: a bundle identifier, and a block with the signature that is asked for.
    unsafe {
        SFSafariApplication::showPreferencesForExtensionWithIdentifier_completionHandler(&extension, Some(&shown));
    }
    app.run();
    0
}

/// Ends the app, after a word about what went wrong if something did.
fn dispatch_to_main(error: Option<String>) {
    use objc2_foundation::NSOperationQueue;
    let end = RcBlock::new(move || {
        let Some(main_thread) = MainThreadMarker::new() else { return };
        if let Some(error) = &error {
            let alert = NSAlert::new(main_thread);
            alert.setMessageText(ns_string!("Safari could not show the settings of Latchkey."));
            alert.setInformativeText(&NSString::from_str(&format!(
                "Open Safari, choose Settings, then Extensions, and turn Latchkey on. ({error})"
            )));
            alert.runModal();
        }
        NSApplication::sharedApplication(main_thread).terminate(None);
    });
    // SAFETY: the block owns what it uses, and a text may go to another thread.
    unsafe { NSOperationQueue::mainQueue().addOperationWithBlock(&end) };
}
