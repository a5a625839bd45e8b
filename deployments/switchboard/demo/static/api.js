// The HTTP API as this page needs it. Every failure is an Error whose message
// is a sentence for people.

const base = document.body.dataset.api;
const secret = document.body.dataset.secret;

async function call(method, path, body) {
  let answer;
  try {
    const response = await fetch(base + path, {
      method,
      headers: { Authorization: `Bearer ${secret}` },
      body: body && JSON.stringify(body),
    });
    answer = await response.json();
  } catch {
    throw new Error(`The server did not answer ${method} ${path} with JSON. Is it still running?`);
  }
  if (answer.errorCode) throw new Error(`${answer.errorDescription} (${answer.errorCode})`);
  return answer;
}

/** Makes a session and returns its id. */
export async function createSession() {
  return (await call("POST", "/sessions/new")).sessionId;
}

/** Asks for tracks, and fails if any of them failed. */
export async function newTracks(session, request) {
  const answer = await call("POST", `/sessions/${session}/tracks/new`, request);
  const failed = answer.tracks.find((track) => track.errorCode);
  if (failed) throw new Error(`${failed.errorDescription} (${failed.errorCode})`);
  return answer;
}

/** Delivers the answer to the server's offer. */
export function renegotiate(session, description) {
  return call("PUT", `/sessions/${session}/renegotiate`, { sessionDescription: description });
}

/** Ends tracks at once, without negotiation. */
export function closeTracks(session, mids) {
  return call("PUT", `/sessions/${session}/tracks/close`, { force: true, tracks: mids.map((mid) => ({ mid })) });
}

/** Returns the server's view of a session. */
export function getSession(session) {
  return call("GET", `/sessions/${session}`);
}
