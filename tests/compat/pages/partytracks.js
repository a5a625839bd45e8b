// A small application on the partytracks client, steered by the tests through
// window.app.

import { getCamera, getMic, PartyTracks } from "partytracks/client";
import { BehaviorSubject } from "rxjs";

const client = new PartyTracks({ iceServers: [] });
const app = { sessions: [], pushed: {}, pulled: {}, errors: [], pc: null };
const running = {};

client.session$.subscribe({
  next: ({ peerConnection, sessionId }) => {
    app.pc = peerConnection;
    app.sessions.push(sessionId);
  },
  error: (error) => app.errors.push(String(error)),
});

/** Pushes the microphone and the camera; app.pushed holds their newest metadata. */
app.push = () => {
  const sources = {
    audio: getMic({ broadcasting: true }),
    video: getCamera({ broadcasting: true }),
  };
  for (const [kind, source] of Object.entries(sources)) {
    running[`push ${kind}`] = client.push(source.broadcastTrack$).subscribe({
      next: (metadata) => (app.pushed[kind] = metadata),
      error: (error) => app.errors.push(String(error)),
    });
  }
};

/** Pulls a track, or pulls it from elsewhere when called again. */
app.pull = (kind, metadata) => {
  if (running[`pull ${kind}`]) {
    running[`pull ${kind}`].metadata$.next(metadata);
    return;
  }
  const metadata$ = new BehaviorSubject(metadata);
  const subscription = client.pull(metadata$).subscribe({
    next: (track) => {
      app.pulled[kind] = (app.pulled[kind] ?? 0) + 1;
      document.getElementById(kind).srcObject = new MediaStream([track]);
    },
    error: (error) => app.errors.push(String(error)),
  });
  running[`pull ${kind}`] = { metadata$, unsubscribe: () => subscription.unsubscribe() };
};

/** Ends a push or a pull, as "push audio" or "pull video". */
app.end = (what) => {
  running[what].unsubscribe();
  delete running[what];
};

/** What the present PeerConnection has received and sent, and over which port of the server. */
app.stats = async () => {
  const report = [...(await app.pc.getStats()).values()];
  const inbound = (kind) => report.filter((s) => s.type === "inbound-rtp" && s.kind === kind);
  const sum = (list, field) => list.reduce((total, s) => total + (s[field] ?? 0), 0);
  const pair = report.find((s) => s.type === "candidate-pair" && s.nominated && s.state === "succeeded");
  return {
    state: app.pc.connectionState,
    framesDecoded: sum(inbound("video"), "framesDecoded"),
    keyFramesDecoded: sum(inbound("video"), "keyFramesDecoded"),
    audioPackets: sum(inbound("audio"), "packetsReceived"),
    audioSamples: sum(inbound("audio"), "totalSamplesReceived"),
    audioEnergy: sum(inbound("audio"), "totalAudioEnergy"),
    serverPort: report.find((s) => s.id === pair?.remoteCandidateId)?.port,
  };
};

window.app = app;
