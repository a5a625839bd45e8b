// The echo demo in a real browser.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, open, rises, until } from "./lib/browser.js";
import { build, dist, start } from "./lib/switchboard.js";

const steps = {
  push: ["session", "offer", "answer", "ice", "dtls", "rtp"],
  pull: ["session", "offer", "answer", "ice", "dtls", "rtp", "frame"],
};

const echo = (page) => page.evaluate(() => window.__echo);
const stats = async (page, field) => (await echo(page)).stats?.[field] ?? 0;

/** Waits for the end of a run and fails with the page's own words. */
async function played(page) {
  const state = await until("the echo plays or fails", () => echo(page), (e) => e && ["playing", "failed"].includes(e.state), 40_000);
  assert.equal(state.state, "playing", JSON.stringify(state, null, 1));
  return state;
}

describe("/demo/echo", () => {
  let system, browser;
  before(async () => {
    build();
    system = await start("dev", "--listen", "127.0.0.1:0", "--log-level", "warn");
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    if (system) assert.equal(await system.stop(), 0, system.log());
  });

  test("the camera comes back, with every step ticked", async () => {
    const page = await open(browser, system.demoUrl);
    const state = await played(page);
    assert.equal(state.source, "camera");
    for (const [leg, names] of Object.entries(steps)) {
      for (const name of names) {
        const { status, ms } = state[leg].steps[name];
        assert.equal(status, "done", `${leg} ${name}`);
        assert.ok(ms >= 0 && ms < 20_000, `${leg} ${name} took ${ms} ms`);
      }
    }
    await rises("decoded frames", () => stats(page, "framesDecoded"), 20);
    await rises("audio packets", () => stats(page, "audioPackets"), 50);
    await rises("audio samples", () => stats(page, "audioSamples"), 48_000);
    const { width, height } = await page.evaluate(() => {
      const video = document.getElementById("remote");
      return { width: video.videoWidth, height: video.videoHeight };
    });
    assert.ok(width > 0 && height > 0, `${width}×${height}`);
    await page.screenshot({ path: `${dist}/echo.png`, fullPage: true });
    console.log("# first frame after", Math.round(state.pull.steps.frame.ms), "ms");
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test("stop closes the tracks on the server, and start begins anew", async () => {
    const page = await open(browser, system.demoUrl);
    const first = await played(page);
    await page.getByRole("button", { name: "Stop" }).click();
    await until("stopped", () => echo(page), (e) => e.state === "stopped");
    const session = await (
      await fetch(`${system.apiBaseUrl}/apps/${system.appId}/sessions/${first.push.session}`, {
        headers: { Authorization: `Bearer ${system.appSecret}` },
      })
    ).json();
    assert.deepEqual((session.tracks ?? []).filter((track) => track.status === "active"), []);
    await page.getByRole("button", { name: "Start again" }).click();
    const second = await played(page);
    assert.notEqual(second.push.session, first.push.session);
    await page.close();
  });

  test("a test picture stands in for the camera", async () => {
    const page = await open(browser, `${system.demoUrl}?source=generated`);
    const state = await played(page);
    assert.equal(state.source, "generated");
    await rises("decoded frames", () => stats(page, "framesDecoded"), 20);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.screenshot({ path: `${dist}/echo-generated-dark.png`, fullPage: true });
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test("a server that is gone is a plain sentence", async () => {
    const page = await open(browser, system.demoUrl);
    await played(page);
    await page.route("**/sessions/new", (route) => route.abort());
    await page.getByRole("button", { name: "Stop" }).click();
    await until("stopped", () => echo(page), (e) => e.state === "stopped");
    await page.getByRole("button", { name: "Start again" }).click();
    const failed = await until("failed", () => echo(page), (e) => e.state === "failed");
    assert.equal(failed.failure.step, "session");
    assert.match(failed.failure.message, /did not answer POST .*Is it still running\?/);
    assert.equal(await page.getByRole("status").textContent(), failed.failure.message);
    await page.screenshot({ path: `${dist}/echo-failed.png`, fullPage: true });
    await page.close();
  });

  test("the landing page leads to the demo", async () => {
    const page = await open(browser, new URL("/", system.demoUrl).href);
    assert.match(await page.textContent("body"), new RegExp(system.appId));
    await page.screenshot({ path: `${dist}/index.png`, fullPage: true });
    await page.getByRole("link", { name: "Open the echo demo" }).click();
    await played(page);
    assert.deepEqual(page.errors, []);
    await page.close();
  });
});

describe("/demo/echo without a camera", () => {
  test("says so and sends a test picture", async () => {
    const system = await start("dev", "--listen", "127.0.0.1:0", "--log-level", "warn");
    const browser = await launch({ camera: false });
    try {
      const page = await open(browser, system.demoUrl);
      const state = await played(page);
      assert.equal(state.source, "generated");
      assert.match(state.verdict, /No camera was found: a test picture is sent instead\./);
    } finally {
      await browser.close();
      await system.stop();
    }
  });
});

test("a machine without Chromium fails the tests and says what to install", () => {
  assert.throws(() => launch({ paths: [undefined, "/does/not/exist"] }), /apt-get install chromium/);
});
