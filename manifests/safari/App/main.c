// The app is Rust (handler/src/app.rs); Xcode wants a source file to link it to.
int latchkey_app_main(void);

int main(void) { return latchkey_app_main(); }
