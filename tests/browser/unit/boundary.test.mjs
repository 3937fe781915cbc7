// The brain as the worker loads it, fed with the golden messages: it opens with the golden handshake, asks only what
// the protocol knows, and answers only with effects that the worker can carry out.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { brainModule, fixture, read, root } from './built.mjs';

const { BrainHandle } = await brainModule();
const carried = [...read('extension/background.js').matchAll(/^ {2}(\w+)(?:\(|: (?:act|tell))/gm)].map(([, name]) => name);
const hello = fixture('request-hello');
const verbs = fs.readdirSync(path.join(root, 'protocol/fixtures'))
  .filter((name) => name.startsWith('request-'))
  .map((name) => fixture(name.replace('.json', '')).request.verb);

function started(state, tenants) {
  const brain = new BrainHandle(state, tenants, hello.request.extension_version);
  let now = 1_795_341_600_000;
  const feed = (event) => {
    const effects = JSON.parse(brain.on_event(JSON.stringify({ now: ++now, event })));
    for (const effect of effects) {
      assert.ok(carried.includes(effect.type), `the worker cannot carry out ${effect.type}`);
      if (effect.type === 'ask_host') assert.ok(verbs.includes(effect.frame.request.verb), effect.frame.request.verb);
    }
    return effects;
  };
  feed({ type: 'worker_started' });
  return { brain, feed };
}

const asked = (effects) => effects.filter(({ type }) => type === 'ask_host').map(({ frame }) => frame);
const view = (effects) => effects.findLast(({ type }) => type === 'update_popup')?.view;

function greeted() {
  const { brain, feed } = started();
  const [greeting] = asked(feed({ type: 'popup_opened' }));
  const effects = feed({ type: 'host_message', frame: { ...fixture('reply-welcome'), id: greeting.id } });
  return { brain, feed, greeting, effects };
}

test('the first message to the host is the golden handshake', () => {
  const { greeting } = greeted();
  assert.deepEqual(greeting.request, hello.request);
});

test('the golden list of tenants becomes a view without anything secret', () => {
  const { brain, feed, effects } = greeted();
  const list = asked(effects).find(({ request }) => request.verb === 'list_tenants');
  assert.ok(list, 'the brain asks for the tenants after the handshake');
  const answered = feed({ type: 'host_message', frame: { ...fixture('reply-tenants'), id: list.id } });
  const shown = view(answered);
  assert.ok(shown && shown.screen !== 'connecting', JSON.stringify(shown));
  assert.ok(answered.some(({ type }) => type === 'update_tenants'), 'the popup is given the list');
  assert.match(brain.tenants(), /jit-alex@contoso\.onmicrosoft\.com/);
});

test('a secret that nobody asked for goes nowhere and is kept nowhere', () => {
  const { brain, feed } = greeted();
  const secret = fixture('reply-secret');
  const effects = feed({ type: 'host_message', frame: { ...secret, id: 4711 } });
  assert.ok(!JSON.stringify(effects).includes(secret.reply.value), 'not in an effect');
  assert.ok(!brain.state().includes(secret.reply.value), 'not in the state');
});

for (const name of fs.readdirSync(path.join(root, 'protocol/fixtures')).filter((name) => /^(reply|error-[mu]|progress|lease|tenants)/.test(name))) {
  test(`${name} out of turn does no harm`, () => {
    const { feed } = greeted();
    feed({ type: 'host_message', frame: fixture(name.replace('.json', '')) });
  });
}

test('what is no message gets an answer, not trust', () => {
  const { feed } = greeted();
  for (const frame of [null, 7, 'reply', [], {}, { kind: 'reply' }, { kind: 'secret', value: 'x' }, { kind: 'reply', id: -1, reply: {} }]) {
    feed({ type: 'host_message', frame });
  }
});

test('the state survives the worker, and a state that cannot be read counts as none', () => {
  const { brain, feed, effects } = greeted();
  const list = asked(effects).find(({ request }) => request.verb === 'list_tenants');
  feed({ type: 'host_message', frame: { ...fixture('reply-tenants'), id: list.id } });
  const [state, tenants] = [brain.state(), brain.tenants()];
  assert.match(tenants, /Contoso/);
  assert.doesNotMatch(state, /"domains"/, 'the list is kept once');
  assert.equal(started(state, tenants).brain.tenants(), tenants);
  assert.equal(started(state).brain.tenants(), 'null');
  for (const unreadable of [['{"half', tenants], [state, '{"half'], [undefined, tenants]]) {
    assert.doesNotMatch(started(...unreadable).brain.tenants(), /Contoso/);
  }
});
