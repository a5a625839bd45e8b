// A plain client of the HTTP API, as application code writes it, for tests that
// need a hand on every section. Defines window.Client.

window.Client = class {
  constructor({ apiBaseUrl, appId, appSecret }, config = {}) {
    this.base = `${apiBaseUrl}/apps/${appId}`;
    this.headers = { Authorization: `Bearer ${appSecret}` };
    this.pc = new RTCPeerConnection({ bundlePolicy: "max-bundle", ...config });
    this.states = [];
    this.pc.onconnectionstatechange = () => this.states.push(this.pc.connectionState);
    this.videos = {};
    this.pc.ontrack = ({ track, transceiver }) => {
      this.onreceiver?.(transceiver.receiver);
      const video = document.createElement("video");
      Object.assign(video, { autoplay: true, muted: true, srcObject: new MediaStream([track]) });
      this.videos[transceiver.mid] = document.body.appendChild(video);
    };
  }

  async call(method, path, body) {
    const response = await fetch(this.base + path, { method, headers: this.headers, body: body && JSON.stringify(body) });
    const answer = await response.json();
    if (answer.errorCode) throw new Error(`${method} ${path}: HTTP ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  }

  async open() {
    this.session = (await this.call("POST", "/sessions/new")).sessionId;
    return this.session;
  }

  on(path) {
    return `/sessions/${this.session}/${path}`;
  }

  async offer() {
    await this.pc.setLocalDescription(await this.pc.createOffer());
    return { type: "offer", sdp: this.pc.localDescription.sdp };
  }

  /** Pushes tracks, [{track, name, transceiver?, encodings?, codec?}], and returns their mids. */
  async push(list) {
    const transceivers = list.map(({ track, transceiver, encodings, codec }) => {
      const t = transceiver ?? this.pc.addTransceiver(track, { direction: "sendonly", sendEncodings: encodings });
      if (codec) t.setCodecPreferences(RTCRtpSender.getCapabilities("video").codecs.filter((c) => c.mimeType === codec));
      this.onsender?.(t.sender);
      return t;
    });
    const sessionDescription = await this.offer();
    const tracks = transceivers.map((t, i) => ({ location: "local", mid: t.mid, trackName: list[i].name }));
    const answer = await this.call("POST", this.on("tracks/new"), { sessionDescription, tracks });
    await this.pc.setRemoteDescription(answer.sessionDescription);
    for (const item of answer.tracks) if (item.errorCode) throw new Error(JSON.stringify(item));
    return transceivers.map((t) => t.mid);
  }

  /** Pulls [{sessionId, trackName, ...}] and returns the results. */
  async pull(list) {
    const offer = await this.call("POST", this.on("tracks/new"), { tracks: list.map((item) => ({ location: "remote", ...item })) });
    if (offer.requiresImmediateRenegotiation) {
      await this.pc.setRemoteDescription(offer.sessionDescription);
      await this.pc.setLocalDescription(await this.pc.createAnswer());
      await this.call("PUT", this.on("renegotiate"), { sessionDescription: { type: "answer", sdp: this.pc.localDescription.sdp } });
    }
    return offer.tracks;
  }

  /** Pulls into a section of our own offer that takes only one codec. */
  async pullWithOffer(item, codec) {
    const t = this.pc.addTransceiver("video", { direction: "recvonly" });
    t.setCodecPreferences(RTCRtpReceiver.getCapabilities("video").codecs.filter((c) => c.mimeType === codec));
    const sessionDescription = await this.offer();
    const answer = await this.call("POST", this.on("tracks/new"), { sessionDescription, tracks: [{ location: "remote", ...item }] });
    await this.pc.setRemoteDescription(answer.sessionDescription);
    return answer.tracks;
  }

  /** Stops sections and closes their tracks. */
  async close(mids) {
    for (const t of this.pc.getTransceivers()) if (mids.includes(t.mid)) t.stop();
    const sessionDescription = await this.offer();
    const answer = await this.call("PUT", this.on("tracks/close"), { tracks: mids.map((mid) => ({ mid })), sessionDescription, force: false });
    await this.pc.setRemoteDescription(answer.sessionDescription);
    return answer.tracks;
  }

  closeByForce(mids) {
    return this.call("PUT", this.on("tracks/close"), { tracks: mids.map((mid) => ({ mid })), force: true });
  }

  transceiver(mid) {
    return this.pc.getTransceivers().find((t) => t.mid === mid);
  }

  /** What has come in on a section. */
  async inbound(mid) {
    const report = [...(await this.pc.getStats(this.transceiver(mid).receiver.track)).values()];
    const { framesDecoded = 0, packetsReceived = 0, frameWidth = 0 } = report.find((s) => s.type === "inbound-rtp") ?? {};
    return { framesDecoded, packetsReceived, frameWidth };
  }

  /** The DTLS transports the connection has had so far, by their ids. */
  async transport() {
    return [...(await this.pc.getStats()).values()].filter((s) => s.type === "transport").map((s) => `${s.id} ${s.dtlsState}`);
  }

  lines() {
    return this.pc.localDescription.sdp.split("\r\nm=").length - 1;
  }
};

/** A moving picture of that size. */
window.picture = (width, height) => {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  let n = 0;
  setInterval(() => {
    context.fillStyle = `hsl(${n++ % 360} 80% 50%)`;
    context.fillRect(0, 0, width, height);
    context.fillStyle = "white";
    context.fillRect((n * 7) % width, (n * 5) % height, width / 6, height / 6);
  }, 33);
  return canvas.captureStream(30).getVideoTracks()[0];
};

/** A tone. */
window.tone = () => {
  const context = new AudioContext();
  const oscillator = context.createOscillator();
  const out = context.createMediaStreamDestination();
  oscillator.connect(out);
  oscillator.start();
  return out.stream.getAudioTracks()[0];
};
