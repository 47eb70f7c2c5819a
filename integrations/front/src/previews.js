// Previews, asked one at a time: the object in hand before the hover, the newest hover instead of all before it. The
// server gives up the exact outline of a hover as soon as something else is asked, so nothing waits for that.

const REMEMBERED = 16; // exact answers; the server keeps the shapes of the last 64 keys
const BUSY_AFTER_MS = 150;

export class Previews {
  /**
   * `answered(place, answer)` is called with place "hand" or "hover" for each answer that is still wanted.
   * `busy(text)` says what is being waited for, or "" when nothing is.
   */
  constructor(ask, answered, busy) {
    Object.assign(this, { ask, answered, busy });
    this.wanted = { hand: null, hover: null };
    this.timers = { hand: null, hover: null };
    this.flying = null; // the request that is on its way
    this.remembered = new Map();
    this.count = 0;
  }

  /** Asks for a shape at a place; what was wanted there before no longer is. */
  want(place, request) {
    this.drop(place);
    const known = this.remembered.get(nameOf(request));
    this.wanted[place] = request;
    if (known) this.settle(place, request, known);
    else this.next();
  }

  drop(place) {
    clearTimeout(this.timers[place]);
    this.wanted[place] = null;
  }

  /** Answers that were kept are no longer true of the session: a key was used up, an object changed. */
  forget() {
    this.remembered.clear();
  }

  /** An exact answer that is known already, or null. */
  known(request) {
    return this.remembered.get(nameOf(request)) ?? null;
  }

  /** Whether what is wanted next is asked at once. */
  get isFree() {
    return !this.flying || this.flying.hover === "rests";
  }

  async next() {
    if (!this.isFree) return;
    const place = this.wanted.hand ? "hand" : this.wanted.hover ? "hover" : null;
    if (!place || this.wanted[place] === this.flying) return;
    const request = this.wanted[place];
    this.flying = request;
    const sign = setTimeout(() => this.busy("looking"), BUSY_AFTER_MS);
    const { answer } = await this.ask({ ...request, seq: ++this.count });
    clearTimeout(sign);
    if (this.flying === request) this.flying = null;
    if (answer.ok && answer.exact) this.remember(nameOf(request), answer);
    if (this.wanted[place] === request) this.settle(place, request, answer);
    this.next();
  }

  settle(place, request, answer) {
    this.wanted[place] = null;
    const again = answer.ok ? answer.again_ms : answer.kind === "busy" ? (answer.again_ms ?? 250) : null;
    const waits = again && place === "hand"; // a hover says nothing: its outline is dotted
    this.busy(waits ? (answer.ok ? "first a coarse view, soon the exact one" : "busy") : "");
    this.answered(place, answer, request);
    const rests = request.hover ? { ...request, hover: "rests" } : request;
    if (again) this.timers[place] = setTimeout(() => this.wanted[place] || this.want(place, rests), again);
  }

  remember(name, answer) {
    this.remembered.set(name, answer);
    if (this.remembered.size > REMEMBERED) this.remembered.delete(this.remembered.keys().next().value);
  }
}

const nameOf = ({ points, box, outline, object }) => JSON.stringify([points, box, outline, object]);
