// One session on the screen: the parts, and what the user can do with them.

import { rounded } from "./geometry.js";
import { Hand, hasPrompts } from "./hand.js";
import { Crosshair, FoundLayer, Handles, ObjectLayer, Outline, PromptLayer, Sketch } from "./layers.js";
import { SceneMap } from "./map.js";
import { Previews } from "./previews.js";
import { Saved } from "./saved.js";
import { Search } from "./search.js";
import { State } from "./state.js";
import { makeTools } from "./tools.js";
import { VertexTool } from "./vertices.js";

const BUSY_AFTER_MS = 150;
const SETTLED_MS = 300;

export class App {
  constructor(root, mapElement, hello, transport, status) {
    Object.assign(this, { root, transport, status });
    this.state = new State(hello);
    this.map = new SceneMap(mapElement, hello, (request) => transport.ask(request));
    this.objectLayer = new ObjectLayer(this.map, this.state);
    this.hoverOutline = new Outline(this.map, "hover");
    this.handOutline = new Outline(this.map, "held");
    this.promptLayer = new PromptLayer(this.map);
    this.sketch = new Sketch(this.map);
    this.foundLayer = new FoundLayer(this.map);
    this.handles = new Handles(this.map);
    this.crosshair = new Crosshair(this.map);
    this.vertices = new VertexTool(this);
    this.tools = makeTools(this, this.vertices);
    this.hand = new Hand(this.state);
    this.saved = new Saved(this);
    this.search = new Search(this);
    this.hovers = true;
    this.savesOnClick = false;
    this.takesAway = false; // for fingers: taps take away
    this.wish = false; // accept as soon as the exact outline is there
    this.line = Promise.resolve(); // editing verbs, one after another
    this.previews = new Previews(
      (request) => transport.ask(request),
      (place, answer, request) => this.previewed(place, answer, request),
      (text) => status.busy("preview", text),
    );
    this.state.on("hand", () => this.drawHand());
    this.state.on("selection", () => this.vertices.redraw());
    this.map.leaflet.on("moveend", () => this.moved());
  }

  get tool() {
    return this.tools[this.state.tool];
  }

  say(text, kind = "") {
    this.status.say(text, kind);
  }

  focus() {
    if (!this.root.contains(document.activeElement)) this.root.focus({ preventScroll: true });
  }

  setCursor(name) {
    this.map.leaflet.getContainer().style.cursor = name;
  }

  // ---- asking ---------------------------------------------------------------------------------------------------

  /** Asks one verb after those that were asked before; says what was refused. */
  ask(request, why = "working") {
    const turn = this.line.then(async () => {
      const sign = setTimeout(() => this.status.busy("verb", why), BUSY_AFTER_MS);
      const result = await this.transport.ask(request);
      clearTimeout(sign);
      this.status.busy("verb", "");
      if (!result.answer.ok) this.say(result.answer.error, "error");
      return result;
    });
    this.line = turn.catch(() => {});
    return turn;
  }

  /** Asks an editing verb and takes over what changed. */
  async edit(request) {
    const { answer } = await this.ask(request, "saving");
    if (!answer.ok) {
      this.refresh(); // perhaps another browser has changed what was meant
      return answer;
    }
    this.previews.forget();
    const before = this.state.revision;
    this.state.apply(answer);
    if (answer.revision > before + answer.changed.length + answer.removed.length) {
      this.state.revision = before; // there were changes from elsewhere in between
      this.refresh();
    }
    this.say(answer.did ? `${answer.did[0].toUpperCase()}${answer.did.slice(1)}.` : "Saved.", "done");
    return answer;
  }

  /** All objects that changed since the client last knew. */
  async refresh() {
    for (let more = true; more; ) {
      const { answer } = await this.ask({ verb: "objects", since: this.state.revision }, "reading objects");
      if (!answer.ok) return;
      const before = this.state.revision;
      this.state.apply(answer);
      more = Boolean(answer.more) && answer.revision !== before;
    }
  }

  // ---- the object in hand ---------------------------------------------------------------------------------------

  pointTo(at) {
    this.state.pointer = at;
    this.status.place(at);
  }

  /** Asks what a click here would give. */
  hoverAt(at, how = {}) {
    if (!this.state.editing || !this.hovers || this.search.found || this.hand.suggested) return;
    if (!this.map.holds(at)) return this.hoverNowhere();
    const negative = how.away && !this.hand.isEmpty;
    if (how.away && this.hand.isEmpty) return this.hoverNowhere();
    this.previews.want("hover", { ...this.hand.request([...rounded(at), negative ? 0 : 1]), hover: "moves" });
  }

  /** Whether the pointer's next move is asked about at once. */
  get previewsNext() {
    return this.hovers && this.tool === this.tools.click && this.previews.isFree;
  }

  hoverNowhere() {
    this.previews.drop("hover");
    this.hovered = null;
    this.hoverOutline.draw(null);
  }

  addPoint(at, positive) {
    if (!this.map.holds(at)) return this.say("Outside the scene: there is nothing to click on.", "error");
    if (!positive && this.hand.isEmpty) {
      return this.say("Nothing in hand to take away from: first click on an object.", "error");
    }
    this.hand.addPoint(rounded(at), positive);
    this.askHand();
    if (this.savesOnClick) this.accept();
  }

  setPrompt(prompt) {
    this.useTool("click");
    this.hand.change(prompt);
    this.askHand();
  }

  askHand() {
    this.hoverNowhere();
    this.previews.want("hand", this.hand.request());
  }

  previewed(place, answer, request) {
    if (answer.kind === "busy") return; // it is asked again
    if (!answer.ok) {
      this.say(answer.error, place === "hover" && answer.kind === "outside" ? "" : "error");
      if (place === "hover") this.hoverOutline.draw(null);
      else this.wish = false;
      return;
    }
    if (place === "hover") {
      this.hovered = { answer, request };
      this.hoverOutline.draw(answer.shape, { coarse: !answer.exact, colour: this.state.colourOf(this.hand.code) });
      return;
    }
    this.hand.answered(answer);
    if (!answer.shape && answer.exact) {
      this.wish = false;
      this.say("No object is seen here: click elsewhere, or draw a box around it (B).");
    } else if (answer.exact) {
      if (!this.wish) this.say(`Enter saves, Esc leaves it${answer.score ? ` · score ${Number(answer.score).toFixed(2)}` : ""}.`);
      if (this.wish) this.accept();
    }
  }

  drawHand() {
    const answer = this.hand?.answer;
    this.promptLayer.draw(this.hand.prompts);
    const keep = !answer && !this.hand.isEmpty; // the last outline stays until the next is there
    if (!keep) {
      this.handOutline.draw(answer?.shape ?? null, { coarse: answer?.exact === false, colour: this.state.colourOf(this.hand.code) });
    }
  }

  /** Saves what is in hand, or what is picked, or, with empty hands, what the hover shows. */
  accept() {
    if (this.tool.finish?.()) return;
    if (this.search.found) return this.search.accept();
    if (this.hand.isEmpty) {
      if (!this.hovered?.answer.shape) return this.say("Nothing in hand: click on an object first.");
      this.hand.take({ prompts: this.hovered.request, answer: this.hovered.answer });
    }
    if (this.hand.object !== null && !hasPrompts(this.hand.prompts)) return this.acceptClass();
    const { answer } = this.hand;
    if (!answer || !answer.exact) {
      this.wish ||= true;
      this.say("Saved as soon as the exact outline is there.");
      if (!answer || !this.previews.wanted.hand) this.askHand();
      return;
    }
    if (!answer.shape) return this.say("There is no outline to save: click elsewhere, or take the click back (Z).");
    const again = this.wish === "again";
    this.wish = false;
    this.send(answer, again);
  }

  /** A saved object that was opened again and got no click: only its class may have changed. */
  acceptClass() {
    const { object, code } = this.hand;
    this.hand.clear();
    if (this.state.objects.get(object)?.class === code) return this.say("Unchanged.");
    return this.edit({ verb: "classify", ids: [object], class: code });
  }

  /** Saves the outline in hand; `again` says that its name was forgotten before. */
  async send({ key }, again) {
    const { points, box, outline } = this.hand.prompts;
    const request = { verb: "accept", keys: [key], class: this.hand.code, object: this.hand.object, prompts: { points, box, outline } };
    const { suggested } = this.hand;
    const held = { ...this.hand };
    this.hoverNowhere();
    this.hand.clear();
    const answer = await this.edit(request);
    if (answer.ok && suggested) this.search.suggest(suggested);
    if (answer.ok || !this.hand.isEmpty) return;
    Object.assign(this.hand, held); // not saved: it is in hand again
    this.state.emit("hand");
    if (answer.kind !== "gone" || again || !hasPrompts(this.hand.prompts)) return;
    this.previews.forget(); // its name was forgotten after many hovers: the same prompts give the same outline again
    this.wish = "again";
    this.askHand();
  }

  /** Takes back the last prompt. */
  undoPrompt() {
    if (this.tool.undo?.()) return;
    if (!this.hand.undo()) return this.say("No click to take back. Ctrl+Z undoes what is saved.");
    this.wish = false;
    if (this.hand.isEmpty || this.hand.answer) this.previews.drop("hand");
    else this.askHand();
  }

  /** Leaves one thing at a time: the drag, the hand, what was found, the selection, the tool. */
  escape() {
    this.search.turn = null; // no suggestion any more that is still being looked for
    if (this.tool.cancel?.()) return this.say("");
    if (!this.hand.isEmpty) {
      const { suggested } = this.hand;
      this.previews.drop("hand");
      this.wish = false;
      this.hand.clear();
      if (suggested) return this.search.reject(suggested);
      return this.say("Left.");
    }
    if (this.search.found) return this.search.leave();
    if (this.state.selection.size) return this.state.select([]);
    if (this.state.tool !== "click") return this.useTool("click");
    return this.say("");
  }

  useTool(name) {
    if (this.state.tool !== name) this.tool.cancel?.();
    this.state.tool = name;
    this.hoverNowhere();
    this.setCursor("");
    this.vertices.redraw();
    this.state.emit("tool", name);
  }

  // ---- the rest --------------------------------------------------------------------------------------------------

  /** After the map moved: handles, the coverage of the new view, and windows encoded ahead. */
  moved() {
    this.vertices.redraw();
    if (!this.state.editing) return;
    if (this.search.found?.isCoverage) this.search.cover();
    clearTimeout(this.warming);
    this.warming = setTimeout(() => this.settled(), SETTLED_MS);
  }

  /** The view rests: it is where the session opens next time, and its windows are encoded ahead. */
  settled() {
    this.transport.ask({ verb: "look", at: rounded(this.map.centre()), zoom: this.map.leaflet.getZoom() });
    this.warm();
  }

  warm() {
    const at = this.state.pointer ?? this.map.centre();
    if (this.map.holds(at)) this.transport.ask({ verb: "warm", x: at[0], y: at[1] });
  }

  close() {
    this.map.remove();
  }
}
