//! The class that Safari gives each message of the extension to (`NSExtensionPrincipalClass`).
//!
//! The extension sends text (a request of the protocol as JSON) and gets text. The work goes on a thread of its own,
//! because a new account can take minutes; the request is completed from there.

use std::thread;

use latchkey_native_host::one_message;
use objc2::rc::Retained;
use objc2::runtime::{NSObject, NSObjectProtocol};
use objc2::{ClassType as _, Message as _, define_class, msg_send};
use objc2_foundation::{
    NSArray, NSDictionary, NSExtensionContext, NSExtensionItem, NSExtensionRequestHandling, NSFileManager, NSString,
    ns_string,
};
use objc2_safari_services::SFExtensionMessageKey;

/// What the audit says of who asked.
const THROUGH: &str = "com.latchkey.app.extension in Safari";

define_class!(
    // SAFETY: `NSObject` asks nothing of its subclasses, and this one has no fields and no destructor.
    #[unsafe(super(NSObject))]
    #[name = "LatchkeyMessageHandler"]
    /// The principal class of the extension.
    pub struct Handler;

    unsafe impl NSObjectProtocol for Handler {}

    unsafe impl NSExtensionRequestHandling for Handler {
        #[unsafe(method(beginRequestWithExtensionContext:))]
        fn begin_request(&self, context: &NSExtensionContext) {
            let message = message_of(context).map(|text| text.to_string());
            let request = Request(context.retain());
            let begun = thread::Builder::new().spawn(move || {
                // The whole of it, not the field alone: that is what may go to another thread.
                let request = request;
                request.complete(&answer(message.as_deref()));
            });
            // Without a thread there is still an answer: the one to no message at all.
            if begun.is_err() {
                Request(context.retain()).complete(&answer(None));
            }
        }
    }
);

/// Registers the class when the extension is loaded: Safari looks it up by name, and `objc2` would register it at its
/// first use.
#[used]
#[unsafe(link_section = "__DATA,__mod_init_func")]
static REGISTER: extern "C" fn() = register;

extern "C" fn register() {
    let _ = Handler::class();
}

/// A request that waits for its answer.
struct Request(Retained<NSExtensionContext>);

// SAFETY: the context of an extension's request may be completed from any thread; it is retained, and nothing but
// `complete` uses it there.
unsafe impl Send for Request {}

impl Request {
    fn complete(&self, answer: &str) {
        // SAFETY: a constant of the system, there as long as the process.
        let key: &NSString = unsafe { SFExtensionMessageKey };
        let answer = NSString::from_str(answer);
        let info: Retained<NSDictionary<NSString, NSString>> = NSDictionary::from_slices(&[key], &[&*answer]);
        let response = NSExtensionItem::new();
        // SAFETY: `userInfo` is a dictionary with that key and a value that a property list can hold.
        let _: () = unsafe { msg_send![&*response, setUserInfo: &*info] };
        let items = NSArray::from_retained_slice(&[response]);
        // SAFETY: an array of extension items, and no block.
        let _: () = unsafe {
            msg_send![&*self.0, completeRequestReturningItems: &*items, completionHandler: std::ptr::null::<NSObject>()]
        };
    }
}

/// The text that the extension sent, if it is one.
fn message_of(context: &NSExtensionContext) -> Option<Retained<NSString>> {
    let item = context.inputItems().firstObject()?.downcast::<NSExtensionItem>().ok()?;
    // SAFETY: a constant of the system, there as long as the process.
    let key: &NSString = unsafe { SFExtensionMessageKey };
    item.userInfo()?.objectForKey(key)?.downcast::<NSString>().ok()
}

fn answer(message: Option<&str>) -> String {
    keep_in_shared_folder();
    let answer = one_message::answer(message.unwrap_or_default().as_bytes(), THROUGH);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Keeps everything in the folder that the app and the extension share, from the first call on.
pub(crate) fn keep_in_shared_folder() {
    if let Some(folder) = shared_folder() {
        one_message::keep_in(folder.into());
    }
}

/// The folder that the app and the extension share: the one of their app group, which the `Info.plist` of each names.
fn shared_folder() -> Option<String> {
    let group = objc2_foundation::NSBundle::mainBundle()
        .objectForInfoDictionaryKey(ns_string!("LatchkeyAppGroup"))?
        .downcast::<NSString>()
        .ok()?;
    let folder = NSFileManager::defaultManager().containerURLForSecurityApplicationGroupIdentifier(&group)?;
    Some(folder.path()?.to_string())
}
