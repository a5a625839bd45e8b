// The two lists of steps: what is done, how long it took, what failed.

const marks = { waiting: "·", running: "○", done: "✓", failed: "✗" };
const spoken = { waiting: "waiting", running: "running", done: "done", failed: "failed" };

/** The steps in the order in which they happen, per leg. */
export const plan = {
  push: [
    ["session", "Session created"],
    ["offer", "Offer made"],
    ["answer", "Answer received"],
    ["ice", "ICE connected"],
    ["dtls", "DTLS connected"],
    ["rtp", "First RTP sent"],
  ],
  pull: [
    ["session", "Session created"],
    ["offer", "Offer received"],
    ["answer", "Answer delivered"],
    ["ice", "ICE connected"],
    ["dtls", "DTLS connected"],
    ["rtp", "First RTP received"],
    ["frame", "First frame shown"],
  ],
};

/** Shows one leg's steps and keeps their state in `state[name] = {status, ms}`. */
export class Steps {
  #rows = {};
  #began = 0;

  constructor(leg, list) {
    this.leg = leg;
    this.state = {};
    list.replaceChildren();
    for (const [name, title] of plan[leg]) {
      const row = document.createElement("li");
      const mark = Object.assign(document.createElement("span"), { className: "mark" });
      mark.setAttribute("role", "img");
      row.append(mark, title, document.createElement("time"));
      list.append(row);
      this.#rows[name] = row;
      this.#set(name, "waiting");
    }
  }

  /** Starts the clock. */
  begin(now) {
    this.#began = now;
  }

  /** Runs work as the step name: ticked when it resolves, failed when it throws. */
  async run(name, work) {
    this.#set(name, "running");
    try {
      const result = await work();
      this.#set(name, "done", performance.now() - this.#began);
      return result;
    } catch (error) {
      this.#set(name, "failed", performance.now() - this.#began);
      throw Object.assign(error, { leg: error.leg ?? this.leg, step: error.step ?? name });
    }
  }

  #set(name, status, ms) {
    this.state[name] = { status, ms };
    const row = this.#rows[name];
    row.dataset.status = status;
    row.firstChild.textContent = marks[status];
    row.firstChild.setAttribute("aria-label", spoken[status]);
    row.lastChild.textContent = ms === undefined ? "" : `${Math.round(ms)} ms`;
  }
}
