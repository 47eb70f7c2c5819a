// Objects that geosam finds: suggestions, more like this, a word, and the segments that cover the view.

import { Found } from "./found.js";
import { boundsOf } from "./geometry.js";

const AGAIN_MS = 400; // where an answer that is not done names no time

export class Search {
  constructor(app) {
    this.app = app;
    this.found = null;
  }

  /** The most doubtful object that was not seen yet. */
  async suggest(after = this.app.hand.suggested) {
    const turn = (this.turn = {}); // a newer wish ends this one
    const request = { verb: "suggest", ...(after ? { after } : {}) };
    let { answer } = await this.app.ask(request, "looking for the next");
    while (answer.ok && !answer.key && answer.again_ms) {
      if (answer.why) this.app.say(`${answer.why[0].toUpperCase()}${answer.why.slice(1)} …`);
      await new Promise((resolve) => setTimeout(resolve, answer.again_ms));
      if (this.turn !== turn || !this.app.hand.isEmpty) return;
      ({ answer } = await this.app.ask(request, "looking for the next"));
    }
    if (!answer.ok || this.turn !== turn) return;
    if (!answer.key) return this.app.say(answer.why || "Nothing is left to suggest.");
    this.app.useTool("click");
    this.app.map.show(boundsOf(answer.shape));
    const shown = { key: answer.key, shape: answer.shape, exact: true };
    this.app.hand.take({ answer: shown, suggested: answer.key, classCode: answer.class ?? undefined });
    this.app.say("A suggestion: Enter saves it, Esc rejects it, N shows another.");
  }

  async reject(key) {
    const { answer } = await this.app.ask({ verb: "reject", key });
    if (answer.ok) await this.suggest(key);
  }

  similar() {
    const ids = this.app.saved.meant();
    if (ids) this.find("similar", { verb: "similar", ids, limit: 50 });
  }

  word(text) {
    if (text.trim()) this.find("word", { verb: "word", text: text.trim(), bounds: this.app.map.view() });
  }

  coverage() {
    if (this.found?.isCoverage) return this.leave();
    return this.cover();
  }

  /** The segments of what is in view; those that are picked stay. */
  cover() {
    return this.find("coverage", { verb: "coverage", bounds: this.app.map.view() });
  }

  /** Asks for shapes until the server has all of them. */
  async find(kind, request) {
    const kept = kind === "coverage" && this.found?.isCoverage ? this.found : null;
    const found = kept ?? new Found(kind, request);
    found.request = request;
    this.app.useTool("click");
    if (!kept) {
      this.app.hand.clear();
      this.found = found;
      this.app.state.emit("found");
    }
    for (let done = false; !done; ) {
      const { answer } = await this.app.ask(request, kind === "coverage" ? "dividing the view" : "searching");
      if (this.found !== found || found.request !== request) return;
      if (!answer.ok) return found.items.size ? undefined : this.leave(answer.error);
      found.take(answer);
      done = found.done;
      this.app.foundLayer.draw(found);
      this.app.state.emit("found");
      this.sayFound();
      if (!done) await new Promise((resolve) => setTimeout(resolve, answer.again_ms ?? AGAIN_MS));
    }
  }

  sayFound() {
    const { found } = this;
    const many = found.shown().length;
    const progress = found.done ? "" : " so far";
    const note = found.note ? ` (${found.note})` : "";
    if (!many && !found.done) this.app.say(found.isCoverage ? "The view is being divided into segments …" : "Searching …");
    else if (found.isCoverage) this.app.say(`${many} segments${progress}: click those that belong together, Enter saves.`);
    else if (many) this.app.say(`${many} found${progress}${note}: Enter saves all, or click those you want first.`);
    else if (found.done) this.app.say(`Nothing like that was found${note}.`);
  }

  pick(at) {
    const item = this.found.at(at);
    if (!item) return this.app.say(this.found.isCoverage ? "No segment here." : "No candidate here; Esc leaves the search.");
    this.found.toggle(item);
    this.app.foundLayer.restyle(this.found, item);
    this.app.state.emit("found");
    return this.app.say(`${this.found.picked.size} picked: Enter saves.`);
  }

  /** Hides candidates below a score. */
  setLeast(least) {
    this.found.least = least;
    this.app.foundLayer.draw(this.found);
    this.app.state.emit("found");
    this.sayFound();
  }

  async accept() {
    const { found } = this;
    const keys = found.chosen();
    if (!keys.length) return this.app.say("Pick some first: click on them.");
    const code = this.app.state.current;
    const answer = await this.app.edit({ verb: "accept", keys, class: code, object: null, each: !found.isCoverage });
    if (!answer.ok) return;
    for (const key of keys) found.drop(key);
    if (this.found !== found) return;
    if (found.isCoverage) this.cover();
    else if (found.items.size) {
      this.app.foundLayer.draw(found);
      this.app.state.emit("found");
    } else this.leave(null);
  }

  leave(text = "") {
    this.found = null;
    this.app.foundLayer.clear();
    this.app.state.emit("found");
    if (text !== null) this.app.say(text, text ? "error" : "");
  }
}
