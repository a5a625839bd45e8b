// What a browser does with its sections, by hand: the calls are those of a plain
// application, and every claim is settled by what is decoded.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, open, rises, until } from "./lib/browser.js";
import { serveScript } from "./lib/page-server.js";
import { build, start } from "./lib/switchboard.js";

describe("a browser's sections", () => {
  let system, pages, browser;
  before(async () => {
    build();
    system = await start("dev", "--listen", "127.0.0.1:0", "--log-level", "warn");
    pages = await serveScript("client.js");
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    pages?.close();
    if (system) assert.equal(await system.stop(), 0, system.log());
  });

  /** A page with one client of a new session. */
  async function join(config) {
    const { apiBaseUrl, appId, appSecret } = system;
    const page = await open(browser, pages.url);
    page.session = await page.evaluate(
      ([s, c]) => {
        window.client = new window.Client(s, c);
        return window.client.open();
      },
      [{ apiBaseUrl, appId, appSecret }, config],
    );
    return page;
  }

  const push = (page, kinds) =>
    page.evaluate(
      (list) => window.client.push(list.map(([kind, name]) => ({ name, track: kind === "audio" ? window.tone() : window.picture(640, 360) }))),
      kinds,
    );
  const pull = async (page, ...items) => {
    const results = await page.evaluate((list) => window.client.pull(list), items);
    return results.map((result) => {
      assert.ok(!result.errorCode, JSON.stringify(result));
      return result.mid;
    });
  };
  const inbound = (page, mid, field) => async () => (await page.evaluate((m) => window.client.inbound(m), mid))[field];
  const decodes = (page, mid) => rises(`frames decoded in section ${mid}`, inbound(page, mid, "framesDecoded"), 20);
  const hears = (page, mid) => rises(`packets in section ${mid}`, inbound(page, mid, "packetsReceived"), 50);
  const connected = (page) => until("connected", () => page.evaluate(() => window.client.pc.connectionState), (s) => s === "connected");

  test("ending the first of several pushed sections leaves the others", async () => {
    for (const [first, second] of [["audio", "video"], ["video", "audio"]]) {
      const plays = { audio: hears, video: decodes };
      const publisher = await join();
      const viewer = await join();
      const [ended] = await push(publisher, [[first, first], [second, second]]);
      await connected(publisher);
      const track = { sessionId: publisher.session, trackName: second };
      const [seen] = await pull(viewer, track);
      const [back] = await pull(publisher, track); // it receives on the same connection
      await plays[second](viewer, seen);
      await plays[second](publisher, back);
      const before = await publisher.evaluate(() => window.client.transport());

      const closed = await publisher.evaluate((mid) => window.client.close([mid]), ended);
      assert.deepEqual(closed, [{ mid: ended }]);
      await connected(publisher);
      // Chromium has started another transport: without a fresh answer to it
      // the session would be dead.
      assert.notDeepEqual(await publisher.evaluate(() => window.client.transport()), before);
      await plays[second](viewer, seen);
      await plays[second](publisher, back);

      // The next push takes the place of the ended section, and with it the
      // first place of the bundle once more.
      const [again] = await push(publisher, [[first, "again"]]);
      assert.notEqual(again, ended);
      await connected(publisher);
      const [more] = await pull(viewer, { sessionId: publisher.session, trackName: "again" });
      await plays[first](viewer, more);
      await plays[second](viewer, seen);
      await plays[second](publisher, back);
      assert.deepEqual(publisher.errors.concat(viewer.errors), []);
      await publisher.close();
      await viewer.close();
    }
  });

  test("a session of pulls outlives its only section", async () => {
    const publisher = await join();
    const viewer = await join();
    await push(publisher, [["audio", "mic"], ["video", "camera"]]);
    const camera = { sessionId: publisher.session, trackName: "camera" };
    const [first] = await pull(viewer, camera);
    assert.equal(first, "0");
    await decodes(viewer, first);
    const before = await viewer.evaluate(() => window.client.transport());
    let lines;
    for (let round = 0; round < 4; round++) {
      const [mid] = round === 0 ? [first] : await pull(viewer, camera);
      await decodes(viewer, mid);
      await viewer.evaluate((m) => window.client.close([m]), mid);
      lines ??= await viewer.evaluate(() => window.client.lines());
    }
    const [mic] = await pull(viewer, { sessionId: publisher.session, trackName: "mic" });
    await hears(viewer, mic);
    assert.deepEqual(await viewer.evaluate(() => window.client.transport()), before, "the transport was replaced");
    assert.deepEqual(await viewer.evaluate(() => window.client.states), ["connecting", "connected"]);
    assert.ok((await viewer.evaluate(() => window.client.lines())) <= lines + 1, "sections are not used again");
    await publisher.close();
    await viewer.close();
  });

  test("pulls that are closed by force use their sections again", async () => {
    const publisher = await join();
    const viewer = await join();
    await push(publisher, [["video", "camera"]]);
    for (let round = 0; round < 6; round++) {
      const [mid] = await pull(viewer, { sessionId: publisher.session, trackName: "camera" });
      await decodes(viewer, mid);
      await viewer.evaluate((m) => window.client.closeByForce([m]), mid);
    }
    const lines = await viewer.evaluate(() => window.client.lines());
    assert.ok(lines <= 3, `${lines} sections after six rounds`);
    await publisher.close();
    await viewer.close();
  });

  test("pushes that come and go use their sections again", async () => {
    const publisher = await join();
    const viewer = await join();
    await push(publisher, [["audio", "mic"]]);
    for (let round = 0; round < 6; round++) {
      const [mid] = await push(publisher, [["video", `camera ${round}`]]);
      const [seen] = await pull(viewer, { sessionId: publisher.session, trackName: `camera ${round}` });
      await decodes(viewer, seen);
      await publisher.evaluate((m) => window.client.close([m]), mid);
      await viewer.evaluate((m) => window.client.close([m]), seen);
    }
    for (const page of [publisher, viewer]) {
      const lines = await page.evaluate(() => window.client.lines());
      assert.ok(lines <= 3, `${lines} sections after six rounds`);
    }
    await publisher.close();
    await viewer.close();
  });

  test("a section that was closed by force carries the next track", async () => {
    const publisher = await join();
    const viewer = await join();
    const [, camera] = await push(publisher, [["audio", "mic"], ["video", "camera"]]);
    const [seen] = await pull(viewer, { sessionId: publisher.session, trackName: "camera" });
    await decodes(viewer, seen);
    await publisher.evaluate((mid) => window.client.closeByForce([mid]), camera);
    const [again] = await publisher.evaluate((mid) => window.client.push([{ name: "screen", transceiver: window.client.transceiver(mid) }]), camera);
    assert.equal(again, camera);
    const [next] = await pull(viewer, { sessionId: publisher.session, trackName: "screen" });
    await decodes(viewer, next);
    await publisher.close();
    await viewer.close();
  });

  test("every codec of the browser is forwarded, to clients that have it", async () => {
    for (const codec of ["video/VP8", "video/VP9", "video/H264", "video/AV1"]) {
      const publisher = await join();
      const viewer = await join();
      const supported = await publisher.evaluate((c) => RTCRtpSender.getCapabilities("video").codecs.some((s) => s.mimeType === c), codec);
      assert.ok(supported, `this browser cannot send ${codec}`);
      await publisher.evaluate((c) => window.client.push([{ name: "camera", track: window.picture(640, 360), codec: c }]), codec);
      const camera = { sessionId: publisher.session, trackName: "camera" };
      const [mid] = await pull(viewer, camera);
      await decodes(viewer, mid);

      const only = await join();
      const [result] = await only.evaluate(([item]) => window.client.pullWithOffer(item, "video/VP8"), [camera]);
      if (codec === "video/VP8") {
        await decodes(only, result.mid);
      } else {
        assert.equal(result.errorCode, "invalid_params");
        assert.match(result.errorDescription, new RegExp(codec, "i"));
        assert.ok(!("mid" in result));
      }
      for (const page of [publisher, viewer, only]) await page.close();
    }
  });

  test("encrypted frames pass through", async () => {
    const crypt = { encodedInsertableStreams: true };
    const publisher = await join(crypt);
    const viewer = await join(crypt);
    for (const page of [publisher, viewer]) {
      await page.evaluate(() => {
        // Everything but the first bytes of VP8's header is changed, both ways.
        const transform = ({ readable, writable }) =>
          readable
            .pipeThrough(
              new TransformStream({
                transform(frame, controller) {
                  const bytes = new Uint8Array(frame.data);
                  for (let i = frame.type === "key" ? 10 : 1; i < bytes.length; i++) bytes[i] ^= 0xa5;
                  controller.enqueue(frame);
                },
              }),
            )
            .pipeTo(writable);
        window.client.onsender = (sender) => transform(sender.createEncodedStreams());
        window.client.onreceiver = (receiver) => transform(receiver.createEncodedStreams());
      });
    }
    await push(publisher, [["video", "camera"]]);
    const [mid] = await pull(viewer, { sessionId: publisher.session, trackName: "camera" });
    await decodes(viewer, mid);
    await publisher.close();
    await viewer.close();
  });

  test("a pull gets the layer that it prefers, or the next one where that never sends", async () => {
    const encodings = [
      { rid: "f", scaleResolutionDownBy: 1 },
      { rid: "h", scaleResolutionDownBy: 2 },
      { rid: "q", scaleResolutionDownBy: 4 },
    ].reverse(); // the browser wants the smallest first
    const publisher = await join();
    await publisher.evaluate(
      (e) => window.client.push([{ name: "camera", track: window.picture(1280, 720), encodings: e, codec: "video/VP8" }]),
      encodings,
    );
    // A small picture leaves the browser's largest layers unsent, and another is switched off.
    const small = await join();
    await small.evaluate(
      (e) => window.client.push([{ name: "camera", track: window.picture(320, 180), encodings: e, codec: "video/VP8" }]),
      encodings.map((e) => ({ ...e, active: e.rid !== "f" })),
    );
    const viewer = await join();
    const wishes = [
      [publisher, { preferredRid: "f" }, 1280],
      [publisher, { preferredRid: "h", ridNotAvailable: "none" }, 640],
      [publisher, { preferredRid: "q" }, 320],
      [publisher, undefined, 1280],
      [small, { preferredRid: "f" }, undefined],
      [small, { preferredRid: "", ridNotAvailable: "asciibetical" }, undefined],
    ];
    for (const [of, simulcast, width] of wishes) {
      const [mid] = await pull(viewer, { sessionId: of.session, trackName: "camera", simulcast });
      await decodes(viewer, mid);
      if (width) await until(`width of ${JSON.stringify(simulcast)}`, inbound(viewer, mid, "frameWidth"), (w) => w === width, 20_000);
    }
    for (const page of [publisher, small, viewer]) await page.close();
  });

  test("layers outlive the section before them", async () => {
    const publisher = await join();
    const viewer = await join();
    const [mic] = await publisher.evaluate(() =>
      window.client.push([
        { name: "mic", track: window.tone() },
        {
          name: "camera",
          track: window.picture(1280, 720),
          encodings: [{ rid: "q", scaleResolutionDownBy: 4 }, { rid: "h", scaleResolutionDownBy: 2 }, { rid: "f" }],
          codec: "video/VP8",
        },
      ]),
    );
    const layer = (preferredRid) => ({ sessionId: publisher.session, trackName: "camera", simulcast: { preferredRid } });
    const [best, least] = await pull(viewer, layer("f"), layer("q"));
    const both = async () => {
      for (const [mid, width] of [[best, 1280], [least, 320]]) {
        await decodes(viewer, mid);
        await until(`width in section ${mid}`, inbound(viewer, mid, "frameWidth"), (w) => w === width, 20_000);
      }
    };
    await both();
    // The browser changes its transport, and does not name its layers again.
    await publisher.evaluate((mid) => window.client.close([mid]), mic);
    await connected(publisher);
    await both();
    await publisher.close();
    await viewer.close();
  });
});
