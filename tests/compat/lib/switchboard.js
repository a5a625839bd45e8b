// Starts the real binaries and reads the line that they print when ready.

import { execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Where built binaries, bundles and screenshots go. Not under version control. */
export const dist = fileURLToPath(new URL("../dist", import.meta.url));

/** Builds every binary into dist, where `switchboard cluster` finds them beside itself. */
export function build() {
  const packages = [
    "./deployments/switchboard",
    "./controlplane/cmd/controlplane",
    "./mediaworker/cmd/mediaworker",
    "github.com/nats-io/nats-server/v2",
  ];
  for (const name of packages) {
    const binary = name.replace(/\/v2$/, "").split("/").at(-1);
    execFileSync("go", ["build", "-o", `${dist}/${binary}`, name], { cwd: root, stdio: "inherit" });
  }
}

/**
 * Runs `switchboard <args> --output json` and returns what it printed, with
 * stop() and the log so far as log().
 */
export async function start(...args) {
  const child = spawn(`${dist}/switchboard`, [...args, "--output", "json"], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stderr.on("data", (data) => (log += data));
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const line = await Promise.race([
    new Promise((resolve) => createInterface({ input: child.stdout }).once("line", resolve)),
    exited.then((code) => {
      throw new Error(`switchboard ${args.join(" ")} ended with ${code} before it was ready:\n${log}`);
    }),
  ]);
  return {
    ...JSON.parse(line),
    log: () => log,
    /** Interrupts the process and returns its exit code. */
    stop: () => {
      child.kill("SIGINT");
      return exited;
    },
  };
}
