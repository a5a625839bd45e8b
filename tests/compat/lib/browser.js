// Headless Chromium with a fake camera and microphone.

import { accessSync, constants } from "node:fs";
import { chromium } from "playwright-core";

const usual = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Starts the browser. A machine without one fails the tests, and says why. */
export function launch({ camera = true, paths = usual } = {}) {
  const executablePath = paths.find((path) => path && executable(path));
  if (!executablePath) {
    throw new Error("No Chromium was found. Install it (Debian: apt-get install chromium) or name its path in CHROMIUM.");
  }
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox", // it cannot run as root otherwise
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-quic",
      "--autoplay-policy=no-user-gesture-required",
      "--use-fake-ui-for-media-stream",
      ...(camera ? ["--use-fake-device-for-media-stream"] : []),
    ],
  });
}

/** Opens a page whose errors are kept in page.errors. */
export async function open(browser, url) {
  const page = await browser.newPage({ viewport: { width: 1200, height: 1000 } });
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") page.errors.push(message.text());
  });
  await page.goto(url);
  return page;
}

/** Polls read until test(value) holds and returns the value; fails after limit ms. */
export async function until(what, read, test, limit = 15_000) {
  const deadline = Date.now() + limit;
  let value;
  for (;;) {
    value = await read();
    if (test(value)) return value;
    if (Date.now() > deadline) throw new Error(`${what}: not so after ${limit / 1000} s, last seen: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Waits until the number that read returns has grown by at least least. */
export async function rises(what, read, least, limit) {
  const from = await read();
  return until(`${what} rises by ${least} from ${from}`, read, (value) => value >= from + least, limit);
}
