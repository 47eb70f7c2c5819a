// One line that says what happens: read aloud by screen readers, with a sign while something is awaited.

import { el } from "./dom.js";

export class Status {
  constructor() {
    this.text = el("span", { class: "gs-say", role: "status", "aria-live": "polite" });
    this.sign = el("span", { class: "gs-busy", hidden: true }, el("span", { class: "gs-spinner", "aria-hidden": "true" }), el("span", {}));
    this.where = el("span", { class: "gs-where", "aria-hidden": "true" });
    this.element = el("footer", { class: "gs-status" }, this.text, this.sign, this.where);
    this.waits = new Map();
  }

  /** Says a sentence; kind is "", "done" or "error". */
  say(text, kind = "") {
    this.text.textContent = text;
    this.text.dataset.kind = kind;
  }

  /** What is being waited for, by who waits; "" ends it. */
  busy(who, text) {
    if (text) this.waits.set(who, text);
    else this.waits.delete(who);
    const first = [...this.waits.values()][0];
    this.sign.hidden = !first;
    this.sign.lastChild.textContent = first ? `${first} …` : "";
  }

  place(at) {
    this.where.textContent = at ? `${Math.floor(at[0])}, ${Math.floor(at[1])}` : "";
  }
}
