// The browser's door for what pages ask of passkeys, where it has one (Chrome and Edge): hands over what comes,
// completes what was answered, and decides nothing. An answer signs in once; it passes and is kept nowhere.
const proxy = chrome.webAuthenticationProxy;
const refused = { name: 'NotAllowedError', message: 'The operation was not allowed.' };

export const hasDoor = !!proxy;

// One call after the other: a detach that overtakes an answer takes it back.
let last = Promise.resolve();
const inTurn = (call) => (last = last.then(call).catch((error) => error));

// Every listener is registered before the first await.
export function listenAtDoor(happened) {
  proxy?.onGetRequest.addListener(({ requestId, requestDetailsJson }) => {
    happened({ type: 'passkey_asked', request_id: requestId, details: requestDetailsJson });
  });
  proxy?.onRequestCanceled.addListener((request_id) => happened({ type: 'passkey_canceled', request_id }));
  // No page makes a passkey with Latchkey, and none learns that it is there.
  proxy?.onCreateRequest.addListener(({ requestId }) => {
    inTurn(() => proxy.completeCreateRequest({ requestId, error: refused }));
  });
  proxy?.onIsUvpaaRequest.addListener(({ requestId }) => {
    inTurn(() => proxy.completeIsUvpaaRequest({ requestId, isUvpaa: true }));
  });
}

// Answers what the door is like then. Attaching fails while another extension holds it.
export async function moveDoor(open) {
  const error = await inTurn(() => (open ? proxy.attach() : proxy.detach()));
  return open ? (error ? 'missing' : 'open') : 'shut';
}

export function answer(requestId, responseJson) {
  inTurn(() => proxy.completeGetRequest(responseJson ? { requestId, responseJson } : { requestId, error: refused }));
}
