// Test code: what the pages of the extension need of Safari's extension API, in a WebKit that has none. The worker's page
// and the popup's page talk to each other over a channel; what goes to a tab or to the native part lies in `outbox` until
// the test has carried it there. Only what Safari has is here, so that a use of anything else shows.
(() => {
  const listeners = () => {
    const all = [];
    return { all, addListener: (listener) => all.push(listener), fire: (...args) => all.map((listener) => listener(...args)) };
  };
  const ID = 'com.latchkey.app.extension';
  const url = (path) => new URL(path, location.origin).href;
  const lab = window.lab = { outbox: [], waiting: new Map(), count: 0, badge: {}, title: {}, alarms: {}, session: {} };
  // Both pages see the same tab.
  Object.defineProperty(lab, 'tab', {
    get: () => JSON.parse(localStorage.getItem('tab')),
    set: (tab) => localStorage.setItem('tab', JSON.stringify(tab)),
  });
  const ask = (kind, content) => new Promise((resolve, reject) => {
    const id = ++lab.count;
    lab.waiting.set(id, { resolve, reject });
    lab.outbox.push({ id, kind, ...content });
  });
  lab.answer = (id, value, error) => {
    const { resolve, reject } = lab.waiting.get(id);
    lab.waiting.delete(id);
    if (error === null) resolve(value); else reject(new Error(error));
  };

  // Ports between popup and worker.
  const channel = new BroadcastChannel('ports');
  const ports = new Map();
  function port(id, sender) {
    const made = { sender, onMessage: listeners(), onDisconnect: listeners(),
      postMessage: (message) => channel.postMessage({ id, message: JSON.parse(JSON.stringify(message)), to: sender ? 'popup' : 'worker' }),
      disconnect: () => channel.postMessage({ id, gone: true, to: sender ? 'popup' : 'worker' }) };
    ports.set(id, made);
    return made;
  }
  const own = location.pathname.includes('popup') ? 'popup' : 'worker';
  channel.onmessage = ({ data }) => {
    if (data.to !== own) return;
    if (data.connect) return onConnect.fire(port(data.id, { id: ID, url: data.url }));
    const known = ports.get(data.id);
    if (data.gone) known?.onDisconnect.fire(known); else known?.onMessage.fire(data.message);
  };
  const onConnect = listeners();
  // A popup that is closed takes its line with it.
  if (own === 'popup') addEventListener('pagehide', () => ports.forEach((each) => each.disconnect()));
  const stored = () => JSON.parse(localStorage.getItem('stored') ?? '{}');
  const words = fetch('/_locales/en/messages.json').then((response) => response.json()).then((all) => { lab.words = all; });

  window.chrome = {
    runtime: {
      id: ID,
      getURL: url,
      getManifest: () => lab.manifest,
      onMessage: lab.onMessage = listeners(),
      onConnect,
      onStartup: listeners(),
      onInstalled: listeners(),
      connect() {
        const id = Math.random();
        const made = port(id, undefined);
        channel.postMessage({ id, connect: true, url: location.href, to: 'worker' });
        return made;
      },
      sendNativeMessage: (host, message) => ask('native', { host, message }),
    },
    i18n: {
      getMessage: (key, args = []) => [].concat(args).reduce((text, arg, at) => text.replaceAll(`$${at + 1}`, arg), lab.words[key]?.message ?? ''),
    },
    storage: {
      session: {
        get: async (key) => (key in lab.session ? { [key]: lab.session[key] } : {}),
        set: async (values) => Object.assign(lab.session, values),
      },
      // The same for both pages.
      local: {
        get: async (key) => {
          const all = stored();
          return key in all ? { [key]: all[key] } : {};
        },
        set: async (values) => localStorage.setItem('stored', JSON.stringify({ ...stored(), ...values })),
      },
      onChanged: listeners(),
    },
    extension: { isAllowedIncognitoAccess: async () => false },
    tabs: {
      query: async () => (lab.tab ? [lab.tab] : []),
      sendMessage: (tab, message, options) => ask('tab', { message, options }),
      create: ({ url }) => ask('open', { url }),
      reload: () => ask('reload', {}),
      onUpdated: lab.onUpdated = listeners(),
      onRemoved: listeners(),
    },
    action: {
      setIcon: async () => {},
      setBadgeText: async ({ text }) => { lab.badge.text = text; },
      setBadgeBackgroundColor: async () => {},
      setTitle: async ({ title }) => { lab.title.text = title; },
    },
    alarms: {
      create: (name, { when }) => { lab.alarms[name] = when; },
      clear: (name) => { delete lab.alarms[name]; },
      onAlarm: lab.onAlarm = listeners(),
    },
    permissions: { contains: async () => true, request: async () => true, onAdded: listeners() },
  };
  lab.ready = Promise.all([words, fetch('/manifest.json').then((response) => response.json()).then((manifest) => { lab.manifest = manifest; })]);
})();
