// The message handler is Rust (handler/src/handler.rs) and is linked as a whole library, which registers its class when it
// is loaded. The system's NSExtensionMain is the extension's entry. Xcode wants a source file all the same.
extern const int latchkey_extension_is_rust;
const int latchkey_extension_is_rust = 1;
