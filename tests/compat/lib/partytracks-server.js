// An application server as partytracks asks for: it serves a page with the
// bundled client and passes the client's calls on through the package's own
// server helper, which adds the App's secret.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { routePartyTracksRequest } from "partytracks/server";
import { dist } from "./switchboard.js";

const pages = fileURLToPath(new URL("../pages", import.meta.url));

// Headers of one hop, which a server's runtime takes off before a handler sees
// the request.
const hopByHop = new Set(["connection", "host", "keep-alive", "transfer-encoding", "upgrade"]);

/** Serves the page and the proxy on a free loopback port. */
export async function serve(system) {
  await build({ entryPoints: [`${pages}/partytracks.js`], bundle: true, format: "esm", outdir: dist, logLevel: "error" });
  const files = {
    "/": ["text/html", await readFile(`${pages}/partytracks.html`)],
    "/partytracks.js": ["text/javascript", await readFile(`${dist}/partytracks.js`)],
  };
  const server = createServer((request, response) => {
    const file = files[new URL(request.url, "http://localhost").pathname];
    if (file) {
      response.writeHead(200, { "Content-Type": file[0] }).end(file[1]);
      return;
    }
    proxy(system, request, response).catch((error) => response.writeHead(502).end(JSON.stringify({ errorCode: "proxy", errorDescription: String(error) })));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

async function proxy(system, request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const headers = new Headers(Object.entries(request.headers).filter(([name]) => !hopByHop.has(name)));
  const answer = await routePartyTracksRequest({
    appId: system.appId,
    token: system.appSecret,
    realtimeApiBaseUrl: system.apiBaseUrl,
    // A plain object and not a Request: outside of Workers, fetch takes the
    // stream of a Request's body only together with an option that the helper
    // does not set.
    request: { headers, body: Buffer.concat(chunks), url: `http://${request.headers.host}${request.url}`, method: request.method },
  });
  const body = Buffer.from(await answer.arrayBuffer());
  const kept = [...answer.headers].filter(([name]) => !hopByHop.has(name) && name !== "content-encoding" && name !== "content-length");
  response.writeHead(answer.status, Object.fromEntries(kept)).end(body);
}
