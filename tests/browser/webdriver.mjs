// A small client of the W3C WebDriver protocol: what the tests in Firefox and WebKit need of it and no more. A driver
// chooses its own port, each session has a driver, and nothing here waits for a time.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { until } from './lab.mjs';

const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';
// A browser that starts on a busy machine takes its time.
const PATIENCE = 120_000;

export class Session {
  // Starts `program` (it is given the port to listen on) and a session with these capabilities.
  static async start(program, args, { env, capabilities }) {
    const port = await freePort();
    const driver = spawn(program, [...args, `--port=${port}`], { env, stdio: ['ignore', 'ignore', 'inherit'] });
    const abandon = () => driver.kill();
    process.once('exit', abandon);
    driver.once('exit', () => process.off('exit', abandon));
    const session = new Session(driver, port);
    try {
      await until(`${program} answers`, () => session.request('GET', '/status').then(({ ready }) => ready), PATIENCE);
      const { sessionId } = await session.request('POST', '/session', { capabilities: { alwaysMatch: capabilities } });
      session.path = `/session/${sessionId}`;
      return session;
    } catch (error) {
      driver.kill();
      throw error;
    }
  }

  constructor(driver, port) {
    this.driver = driver;
    this.port = port;
  }

  // Neither driver closes its connections as fetch expects it, so this asks in the plainest way.
  async request(method, path, body) {
    const text = await new Promise((resolve, reject) => {
      const payload = body === undefined ? undefined : JSON.stringify(body);
      const headers = { connection: 'close', ...payload && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) } };
      const request = http.request({ host: '127.0.0.1', port: this.port, method, path, headers, agent: false }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks).toString())).on('error', reject);
      });
      request.on('error', reject).end(payload);
    });
    const { value } = JSON.parse(text);
    if (value?.error) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  }

  post(path, body = {}) {
    return this.request('POST', this.path + path, body);
  }

  get(path) {
    return this.request('GET', this.path + path);
  }

  go(url) {
    return this.post('/url', { url });
  }

  url() {
    return this.get('/url');
  }

  // Runs the function in the page; what it returns or promises comes back.
  evaluate(body, ...args) {
    return this.post('/execute/sync', { script: `return (${body}).apply(null, arguments)`, args });
  }

  async evaluateAsync(body, ...args) {
    const script = `const done = arguments[arguments.length - 1];
      Promise.resolve((${body}).apply(null, [...arguments].slice(0, -1))).then((value) => done({ value }), (error) => done({ error: String(error) }));`;
    const { value, error } = await this.post('/execute/async', { script, args });
    if (error) throw new Error(error);
    return value;
  }

  find(selector) {
    return this.post('/element', { using: 'css selector', value: selector }).then((found) => found[ELEMENT]);
  }

  async click(selector) {
    return this.post(`/element/${await this.find(selector)}/click`);
  }

  async type(selector, text) {
    return this.post(`/element/${await this.find(selector)}/value`, { text });
  }

  async stop() {
    await this.request('DELETE', this.path).catch(() => {});
    this.driver.kill();
    if (this.driver.exitCode === null && this.driver.signalCode === null) await once(this.driver, 'exit');
  }
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
