// The line to the native host, in browsers that start a process for it and keep it as long as the line is open.
// Safari has no such line: manifests/safari/host.js takes the place of this file there.
const HOST = 'com.latchkey.host';

// Opens the line, or throws. `received` is called with each frame, `lost` once with the browser's reason.
export function openLine(received, lost) {
  const port = chrome.runtime.connectNative(HOST);
  port.onMessage.addListener(received);
  // Firefox gives the reason to the port, Chrome and Edge to everybody.
  port.onDisconnect.addListener(({ error }) => lost((error ?? chrome.runtime.lastError)?.message));
  return { send: (frame) => port.postMessage(frame), close: () => port.disconnect() };
}
