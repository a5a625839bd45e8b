// Serves an empty page with one script of pages/, on an origin of its own: its
// calls to the API cross origins, as an application's do.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

/** Serves the script on a free loopback port. */
export async function serveScript(name) {
  const script = await readFile(new URL(`../pages/${name}`, import.meta.url));
  const server = createServer((request, response) => {
    if (request.url === "/script.js") response.writeHead(200, { "Content-Type": "text/javascript" }).end(script);
    else response.writeHead(200, { "Content-Type": "text/html" }).end('<!doctype html><link rel="icon" href="data:,"><body><script src="/script.js"></script>');
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}
