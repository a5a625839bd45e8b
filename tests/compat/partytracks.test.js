// The unmodified npm package partytracks, through its own server helper.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, open, rises, until } from "./lib/browser.js";
import { serve } from "./lib/partytracks-server.js";
import { build, start } from "./lib/switchboard.js";

const stats = (page) => page.evaluate(() => window.app.stats());
const field = (page, name) => async () => (await stats(page))[name];

/** Pushes on one page and pulls on another, as two users of an application. */
async function meet(browser, url) {
  const publisher = await open(browser, url);
  const viewer = await open(browser, url);
  await publisher.evaluate(() => window.app.push());
  await share(publisher, viewer, null);
  return { publisher, viewer };
}

/** Tells the viewer what the publisher pushed in a session other than before. */
async function share(publisher, viewer, before, limit) {
  const pushed = await until(
    "the publisher has pushed audio and video",
    () => publisher.evaluate(() => window.app.pushed),
    ({ audio, video }) => audio && video && audio.sessionId !== before && video.sessionId === audio.sessionId,
    limit,
  );
  for (const kind of ["audio", "video"]) {
    await viewer.evaluate(([k, metadata]) => window.app.pull(k, metadata), [kind, pushed[kind]]);
  }
  return pushed;
}

async function plays(viewer, limit) {
  await rises("decoded frames", field(viewer, "framesDecoded"), 20, limit);
  await rises("audio packets", field(viewer, "audioPackets"), 50, limit);
  await rises("audio samples", field(viewer, "audioSamples"), 48_000, limit);
  await rises("audio energy", field(viewer, "audioEnergy"), 1e-6, limit);
}

describe("partytracks", () => {
  let system, application, browser;
  before(async () => {
    build();
    system = await start("dev", "--listen", "127.0.0.1:0", "--log-level", "warn");
    application = await serve(system);
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    application?.close();
    if (system) assert.equal(await system.stop(), 0, system.log());
  });

  test("camera and microphone reach a second page", async () => {
    const { publisher, viewer } = await meet(browser, application.url);
    await plays(viewer);
    assert.deepEqual(await viewer.evaluate(() => window.app.errors), []);
    await publisher.close();
    await viewer.close();
  });

  test("a closed pull ends alone and can be pulled again", async () => {
    const { publisher, viewer } = await meet(browser, application.url);
    await plays(viewer);
    await viewer.evaluate(() => window.app.end("pull audio"));
    const still = await until("audio packets stand still", audioGrowth(viewer), (growth) => growth === 0);
    assert.equal(still, 0);
    await rises("decoded frames after the close", field(viewer, "framesDecoded"), 20);
    await viewer.evaluate((metadata) => window.app.pull("audio", metadata), (await publisher.evaluate(() => window.app.pushed)).audio);
    await plays(viewer);
    await publisher.close();
    await viewer.close();
  });

  test("a closed push ends alone, whichever it is", async () => {
    for (const [closed, left] of [
      ["audio", "framesDecoded"],
      ["video", "audioPackets"],
    ]) {
      const { publisher, viewer } = await meet(browser, application.url);
      await plays(viewer);
      await publisher.evaluate((kind) => window.app.end(`push ${kind}`), closed);
      await rises(`${left} after the push of ${closed} was closed`, field(viewer, left), 60);
      await publisher.close();
      await viewer.close();
    }
  });
});

/** Returns a reader of how many audio packets arrive within half a second. */
function audioGrowth(page) {
  return async () => {
    const before = (await stats(page)).audioPackets;
    await page.waitForTimeout(500);
    return (await stats(page)).audioPackets - before;
  };
}

describe("partytracks on a cluster", () => {
  test("reconnects after its session's worker was killed", async () => {
    build();
    const system = await start("cluster", "--log-level", "warn");
    const application = await serve(system);
    const browser = await launch();
    try {
      const { publisher, viewer } = await meet(browser, application.url);
      await plays(viewer);
      const first = (await publisher.evaluate(() => window.app.pushed)).video.sessionId;
      const port = (await stats(publisher)).serverPort;
      const worker = system.workers.find((w) => w.udpPort === port);
      assert.ok(worker, `no worker of ${JSON.stringify(system.workers)} has UDP port ${port}`);

      process.kill(worker.pid, "SIGKILL");
      const killed = Date.now();
      const pushed = await share(publisher, viewer, first, 60_000);
      assert.notEqual(pushed.video.sessionId, first);
      await until("the viewer has a new connection", field(viewer, "serverPort"), (p) => p !== undefined && p !== port, 60_000);
      await plays(viewer, 60_000);
      console.log("# played again", Date.now() - killed, "ms after the kill");
    } finally {
      await browser.close();
      application.close();
      assert.equal(await system.stop(), 0, system.log());
    }
  });
});
