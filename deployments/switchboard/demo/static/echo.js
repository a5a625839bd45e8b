// Push on one session, pull on another, and say what happens at each step.
// Tests read window.__echo; its fields are set in run and watch below.

import { closeTracks, createSession, getSession, newTracks, renegotiate } from "./api.js";
import { openSource } from "./source.js";
import { Steps } from "./steps.js";

const patience = 10_000; // ms until a step counts as failed
const $ = (id) => document.getElementById(id);

/** The run on the page, or null. */
let current = null;

function say(state, text) {
  Object.assign(window.__echo, { state, verdict: text });
  $("verdict").dataset.state = state;
  $("verdict").textContent = text;
}

/** Keeps what stop has to close; closes it at once when the run was stopped meanwhile. */
async function keep(run, close) {
  if (run === current) {
    run.closers.push(close);
    return;
  }
  await close();
  throw new Error("Stopped.");
}

async function start() {
  await stop();
  const run = { closers: [], timer: 0 };
  current = run;
  const steps = { push: new Steps("push", $("push-steps")), pull: new Steps("pull", $("pull-steps")) };
  window.__echo = {
    state: "running", verdict: "", source: "", failure: null, stats: null,
    push: { steps: steps.push.state }, pull: { steps: steps.pull.state },
  };
  $("start").disabled = true;
  $("stop").disabled = false;
  say("running", "Waiting for the camera…");
  try {
    await echo(run, steps);
  } catch (error) {
    if (run === current) await fail(error);
  }
  if (run === current) $("start").disabled = false;
}

async function echo(run, steps) {
  const source = await openSource($("generated").checked);
  await keep(run, source.stop);
  window.__echo.source = source.kind;
  $("local").srcObject = source.stream;
  say("running", `${source.note} Connecting…`.trim());

  const now = performance.now();
  steps.push.begin(now);
  steps.pull.begin(now);
  const [publisher, subscriber] = await Promise.all([open(run, "push", steps.push), open(run, "pull", steps.pull)]);
  const tracks = await push(publisher, source.stream, steps.push);
  await pull(subscriber, tracks, steps.pull);
  const took = Math.round(window.__echo.pull.steps.frame.ms);
  say("playing", `${source.note} It works: the first frame came back after ${took} ms.`.trim());
  $("hear").disabled = false;
  run.timer = setInterval(() => watch(publisher.pc, subscriber.pc).catch(() => {}), 500);
}

/** Makes one leg: a session and its RTCPeerConnection. */
async function open(run, leg, steps) {
  const session = await steps.run("session", createSession);
  const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  await keep(run, async () => {
    const mids = pc.getTransceivers().map((t) => t.mid).filter((mid) => mid !== null);
    pc.close();
    if (mids.length > 0) await closeTracks(session, mids).catch(() => {}); // the server may be gone
  });
  window.__echo[leg].session = session;
  $(`${leg}-session`).textContent = session;
  return { session, pc };
}

async function push({ session, pc }, stream, steps) {
  const tracks = await steps.run("offer", async () => {
    const transceivers = stream.getTracks().map((track) => pc.addTransceiver(track, { direction: "sendonly" }));
    await pc.setLocalDescription(await pc.createOffer());
    return transceivers.map((t) => ({ location: "local", mid: t.mid, trackName: t.sender.track.kind }));
  });
  await steps.run("answer", async () => {
    const answer = await newTracks(session, { sessionDescription: pc.localDescription, tracks });
    await pc.setRemoteDescription(answer.sessionDescription);
  });
  await connect(pc, steps);
  await steps.run("rtp", () => counted(pc, "outbound-rtp", "packetsSent", "The browser sent no RTP packet in 10 s."));
  return tracks.map(({ trackName }) => ({ location: "remote", sessionId: session, trackName }));
}

async function pull({ session, pc }, tracks, steps) {
  const stream = new MediaStream();
  pc.ontrack = ({ track }) => stream.addTrack(track);
  const answer = await steps.run("offer", async () => {
    const { sessionDescription } = await newTracks(session, { tracks });
    await pc.setRemoteDescription(sessionDescription);
    return pc.createAnswer();
  });
  $("remote").srcObject = stream;
  const frame = firstFrame($("remote"));
  await steps.run("answer", async () => {
    await pc.setLocalDescription(answer);
    await renegotiate(session, pc.localDescription);
  });
  await connect(pc, steps);
  await steps.run("rtp", () => counted(pc, "inbound-rtp", "packetsReceived", "The session is connected, but no RTP packet came back in 10 s."));
  await steps.run("frame", () => within(frame, "Packets come back, but no frame could be decoded in 10 s: no keyframe arrived."));
}

async function connect(pc, steps) {
  const ice = () => ["connected", "completed"].includes(pc.iceConnectionState);
  await steps.run("ice", () => reached(pc, "iceconnectionstatechange", ice, "No connectivity check was answered in 10 s."));
  const dtls = () => pc.connectionState === "connected";
  await steps.run("dtls", () => reached(pc, "connectionstatechange", dtls, "ICE connected, but the DTLS handshake did not finish in 10 s."));
}

/** Resolves once test holds; it is tried at each event. */
function reached(target, event, test, sentence) {
  return within(new Promise((resolve, reject) => {
    const check = () => {
      if (test()) resolve();
      else if (target.connectionState === "failed") reject(new Error("The browser gave the connection up."));
    };
    target.addEventListener(event, check);
    check();
  }), sentence);
}

/** Resolves once the sum of a counter over all stats of a type is above 0. */
async function counted(pc, type, counter, sentence) {
  const deadline = performance.now() + patience;
  while (total(await pc.getStats(), type, counter) === 0) {
    if (performance.now() > deadline) throw new Error(sentence);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function total(report, type, counter) {
  return [...report.values()].filter((s) => s.type === type).reduce((sum, s) => sum + (s[counter] ?? 0), 0);
}

function firstFrame(video) {
  return new Promise((resolve) => {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(() => resolve());
    else video.addEventListener("timeupdate", () => resolve(), { once: true });
  });
}

/** Fails with the sentence when work takes longer than the page's patience. */
function within(work, sentence) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(sentence)), patience);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Shows a failure, with the server's own explanation where it has one. */
async function fail(error) {
  const session = window.__echo[error.leg]?.session;
  const server = session ? await getSession(session).catch(() => null) : null;
  const text = [error.message, server?.connectionVerdict].filter(Boolean).join(" ");
  window.__echo.failure = { leg: error.leg, step: error.step, message: text };
  say("failed", text);
}

/** Refreshes the figures under the videos. */
async function watch(publisher, subscriber) {
  const [sent, got] = await Promise.all([publisher.getStats(), subscriber.getStats()]);
  const video = [...got.values()].find((s) => s.type === "inbound-rtp" && s.kind === "video") ?? {};
  const audio = [...got.values()].find((s) => s.type === "inbound-rtp" && s.kind === "audio") ?? {};
  const pair = [...got.values()].find((s) => s.type === "candidate-pair" && s.nominated) ?? {};
  const before = window.__echo.stats;
  const stats = {
    at: performance.now(),
    packetsSent: total(sent, "outbound-rtp", "packetsSent"),
    bytesSent: total(sent, "outbound-rtp", "bytesSent"),
    bytesReceived: total(got, "inbound-rtp", "bytesReceived"),
    packetsLost: total(got, "inbound-rtp", "packetsLost"),
    framesDecoded: video.framesDecoded ?? 0,
    audioPackets: audio.packetsReceived ?? 0,
    audioSamples: audio.totalSamplesReceived ?? 0,
  };
  window.__echo.stats = stats;
  const { videoWidth: width, videoHeight: height } = $("remote");
  const facts = [`${width}×${height}`, `${video.framesPerSecond ?? 0} fps`, rate(before, stats, "bytesReceived"), `${stats.packetsLost} lost`];
  if (pair.currentRoundTripTime !== undefined) facts.push(`${Math.round(pair.currentRoundTripTime * 1000)} ms RTT`);
  $("remote-facts").textContent = facts.filter(Boolean).join(" · ");
  $("local-facts").textContent = rate(before, stats, "bytesSent");
}

function rate(before, after, counter) {
  if (!before) return "";
  return `${Math.round(((after[counter] - before[counter]) * 8) / (after.at - before.at))} kbit/s`;
}

/** Closes both sessions' tracks and the source. */
async function stop() {
  const run = current;
  current = null;
  if (!run) return;
  clearInterval(run.timer);
  $("stop").disabled = $("hear").disabled = true;
  hear(false);
  await Promise.all(run.closers.map((close) => close()));
  for (const id of ["local", "remote"]) $(id).srcObject = null;
  for (const id of ["local-facts", "remote-facts"]) $(id).textContent = "";
  say("stopped", "Stopped: the tracks of both sessions are closed.");
  $("start").disabled = false;
}

/** Plays or mutes what comes back: muted at first, so that nothing howls. */
function hear(on) {
  $("remote").muted = !on;
  $("hear").setAttribute("aria-pressed", String(on));
}

$("start").addEventListener("click", start);
$("stop").addEventListener("click", stop);
$("hear").addEventListener("click", () => hear($("remote").muted));
$("generated").checked = new URLSearchParams(location.search).get("source") === "generated";
$("generated").addEventListener("change", start);
start();
