// The line to the native host in Safari, which keeps no process and no line: each frame is a message of its own to the
// native part of the app, and what comes back is everything that was said about it. Takes the place of
// extension/host.js. Text both ways, so that nothing is lost between the worlds.
const HOST = 'com.latchkey.host';

// `received` is called with each frame, `lost` once with the browser's reason.
export function openLine(received, lost) {
  let open = true;
  const close = () => { open = false; };
  const send = async (frame) => {
    try {
      const { frames } = JSON.parse(await chrome.runtime.sendNativeMessage(HOST, JSON.stringify(frame)));
      frames.forEach((each) => open && received(each));
    } catch (error) {
      if (!open) return;
      close();
      lost(error.message);
    }
  };
  return { send, close };
}
