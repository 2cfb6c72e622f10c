// A phone that is a page in a real Chromium: JsSIP over a WebSocket, sound by WebRTC, driven over JSON lines like phone.py.
// What it plays is an oscillator, what it hears goes to an analyser. It may show a field of one lightness with a spot that moves, and
// tells the lightness of what it sees.
import { createRequire } from 'node:module';
import { readFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import path from 'node:path';

const home = process.argv[2];
const require = createRequire(path.join(home, 'package.json'));
const { chromium } = require('playwright-core');

/** All modules that a package needs, wrapped into one script that leaves it in `window[name]`. */
function bundle(name, entry) {
  const ids = new Map();
  const bodies = [];
  const find = (from, wanted) => {
    const inside = wanted.startsWith('.');
    const base = inside ? path.resolve(path.dirname(from), wanted) : path.join(home, 'node_modules', wanted);
    if (!inside) {
      const about = JSON.parse(readFileSync(path.join(base, 'package.json')));
      const main = typeof about.browser === 'string' ? about.browser : about.main ?? 'index.js';
      return file(path.resolve(base, main));
    }
    return file(base);
  };
  const file = (base) => [base, `${base}.js`, `${base}.json`, path.join(base, 'index.js')]
    .find((at) => existsSync(at) && /\.js(on)?$/.test(at));
  const add = (at) => {
    if (ids.has(at)) return ids.get(at);
    const id = ids.size;
    ids.set(at, id);
    const text = readFileSync(at, 'utf8');
    const links = {};
    for (const [, wanted] of text.matchAll(/require\(['"]([^'"]+)['"]\)/g)) {
      const found = find(at, wanted);
      if (found) links[wanted] = add(found);
    }
    const body = at.endsWith('.json') ? `module.exports = ${text}` : text;
    bodies[id] = `[${JSON.stringify(links)}, function (module, exports, require) {${body}\n}]`;
    return id;
  };
  const first = add(find(path.join(home, 'x'), entry));
  return `(() => { const all = [${bodies.join(',\n')}]; const made = {};
    const process = { env: {} }; const global = window;
    const load = (id) => { if (!made[id]) { const module = made[id] = { exports: {} };
      all[id][1](module, module.exports, (name) => load(all[id][0][name])); } return made[id].exports; };
    window[${JSON.stringify(name)}] = load(${first}); })();`;
}

/** What runs in the page. */
function phone() {
  const sound = new AudioContext();
  const oscillator = new OscillatorNode(sound, { frequency: 440 });
  const level = new GainNode(sound, { gain: 0.25 });
  const microphone = new MediaStreamAudioDestinationNode(sound);
  oscillator.connect(level).connect(microphone);
  oscillator.start();
  const analyser = new AnalyserNode(sound, { fftSize: 8192, smoothingTimeConstant: 0 });
  analyser.connect(sound.destination);
  let agent, session, source, seen = 0, light = 0, picture;
  const eye = Object.assign(document.createElement('video'), { muted: true, autoplay: true });
  const look = Object.assign(document.createElement('canvas'), { width: 32, height: 32 }).getContext('2d', { willReadFrequently: true });
  const draw = () => {
    const field = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
    const pen = field.getContext('2d');
    let at = 0;
    setInterval(() => {
      pen.fillStyle = `rgb(${light}, ${light}, ${light})`;
      pen.fillRect(0, 0, 320, 240);
      pen.fillStyle = 'black';
      pen.fillRect(at = (at + 8) % 304, 180, 16, 16);
    }, 66);
    return field.captureStream(15).getVideoTracks()[0];
  };
  const options = () => ({
    mediaStream: new MediaStream([...microphone.stream.getTracks(), ...(picture ? [picture] : [])]),
    pcConfig: { iceServers: [] },
    rtcOfferConstraints: { offerToReceiveAudio: true, offerToReceiveVideo: Boolean(picture) },
  });
  const listen = (connection) => connection.addEventListener('track', (event) => {
    if (event.track.kind === 'video') {
      eye.srcObject = new MediaStream([event.track]);
      eye.play();
      return;
    }
    // Chromium decodes a remote stream only where an element plays it.
    const player = new Audio();
    player.srcObject = new MediaStream([event.track]);
    player.muted = true;
    player.play();
    source?.disconnect();
    source = new MediaStreamAudioSourceNode(sound, { mediaStream: player.srcObject });
    source.connect(analyser);
  });
  const take = (next, number) => {
    session = next;
    const tell = (state, more = {}) => report({ event: 'call', call: number, state, ...more });
    if (next.connection) listen(next.connection);
    next.on('peerconnection', ({ peerconnection }) => listen(peerconnection));
    next.on('confirmed', () => tell('confirmed'));
    next.on('ended', ({ cause }) => tell('disconnected', { cause }));
    next.on('failed', ({ cause, message }) => tell('disconnected', { cause, code: message?.status_code, reason: message?.reason_phrase }));
    next.on('hold', ({ originator }) => tell('hold', { originator }));
    next.on('unhold', ({ originator }) => tell('unhold', { originator }));
  };
  window.commands = {
    register({ url, uri, password, user }) {
      agent = new JsSIP.UA({ sockets: [new JsSIP.WebSocketInterface(url)], uri, password, register_expires: 600, session_timers: false, authorization_user: user });
      agent.on('registered', () => report({ event: 'registered', code: 200 }));
      agent.on('registrationFailed', ({ cause, response }) => report({ event: 'unregistered', code: response?.status_code ?? 0, cause }));
      agent.on('newRTCSession', ({ originator, session: next, request }) => {
        take(next, ++seen);
        if (originator === 'remote') report({ event: 'incoming', call: seen, sdp: request.body });
      });
      agent.start();
      sound.resume();
    },
    call({ uri }) {
      agent.call(uri, options());
      return { call: seen };
    },
    answer() { session.answer(options()); },
    hangup() { session.terminate(); },
    hold() { session.hold(); },
    unhold() { session.unhold(); },
    reinvite() { session.renegotiate({ useUpdate: false, rtcOfferConstraints: { iceRestart: true } }, () => report({ event: 'call', call: seen, state: 'renegotiated' })); },
    dtmf({ digits }) { session.sendDTMF(digits, { transportType: 'RFC2833' }); },
    tone({ hz }) { oscillator.frequency.value = hz; },
    draw(how) {
      light = how.light;
      picture ??= draw();
    },
    see() {
      look.drawImage(eye, 0, 0, 32, 32);
      const top = look.getImageData(0, 0, 32, 8).data;
      return { light: top.reduce((sum, one, at) => at % 4 === 1 ? sum + one : sum, 0) / (32 * 8), frames: eye.getVideoPlaybackQuality().totalVideoFrames };
    },
    async hear() {
      const bins = new Float32Array(analyser.frequencyBinCount);
      analyser.getFloatFrequencyData(bins);
      const power = Array.from(bins, (db) => 10 ** (db / 10));
      const all = power.reduce((sum, one) => sum + one, 0);
      const at = power.indexOf(Math.max(...power));
      const near = power.slice(Math.max(0, at - 4), at + 5).reduce((sum, one) => sum + one, 0);
      return { hz: at * sound.sampleRate / analyser.fftSize, purity: all > 0 ? near / all : 0, db: 10 * Math.log10(all + 1e-20) };
    },
    async facts() {
      const connection = session.connection;
      const facts = { ice: connection.iceConnectionState, dtls: connection.connectionState, sdp: connection.remoteDescription?.sdp };
      for (const [, one] of await connection.getStats()) {
        if (one.type === 'transport') Object.assign(facts, { srtp: one.srtpCipher, tls: one.tlsVersion, role: one.dtlsRole });
        if (one.type === 'inbound-rtp') Object.assign(facts, { received: one.packetsReceived, codec: one.codecId });
        if (one.type === 'remote-inbound-rtp') Object.assign(facts, { roundTrip: one.roundTripTime, lost: one.packetsLost });
      }
      return facts;
    },
  };
}

const room = mkdtempSync(path.join(tmpdir(), 'browser-phone-'));
const script = bundle('JsSIP', 'jssip') + `(${phone})();`;
const server = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end('<!doctype html><title>phone</title>'));
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const browser = await chromium.launchPersistentContext(room, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
    '--autoplay-policy=no-user-gesture-required', '--allow-loopback-in-peer-connection'],
});
const page = await browser.newPage();
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
page.on('console', (message) => process.stderr.write(`${message.text()}\n`));
page.on('pageerror', (error) => process.stderr.write(`${error.stack}\n`));
await page.exposeFunction('report', say);
await page.goto(`http://127.0.0.1:${server.address().port}/`);
await page.addScriptTag({ content: script });
say({ event: 'ready' });
for await (const line of createInterface({ input: process.stdin })) {
  const { id, do: name, ...rest } = JSON.parse(line);
  try {
    const answer = await page.evaluate(([name, rest]) => window.commands[name](rest), [name, rest]);
    say({ ...(answer ?? {}), id });
  } catch (error) {
    say({ id, error: String(error) });
  }
}
await browser.close();
server.close();
rmSync(room, { recursive: true, force: true });
