// Shapes to choose from: what "more like this" or a word found, or the segments that cover the view.

import { areaOf, boundsOf, boxHolds, shapeHolds } from "./geometry.js";

const CANDIDATE = "#ff4fd8";
const SEGMENT = "#ffffff";

export class Found {
  /** `kind` is "similar", "word" or "coverage"; `request` is asked again while the server is not done. */
  constructor(kind, request) {
    Object.assign(this, { kind, request });
    this.items = new Map();
    this.picked = new Set();
    this.least = 0; // candidates below this score are hidden
    this.done = false;
    this.note = "";
  }

  get isCoverage() {
    return this.kind === "coverage";
  }

  take(answer) {
    const items = answer.segments ?? answer.candidates ?? [];
    const kept = this.isCoverage ? [...this.items.values()].filter((item) => this.picked.has(item.key)) : [];
    this.items = new Map([...kept, ...items].map((item) => [item.key, { ...item, box: boundsOf(item.shape) }]));
    this.picked = new Set([...this.picked].filter((key) => this.items.has(key)));
    this.done = answer.done !== false;
    this.note = answer.note ?? "";
  }

  shown() {
    return [...this.items.values()].filter((item) => this.isCoverage || item.score >= this.least);
  }

  /** The smallest shape at a place, or null. */
  at(place) {
    const here = this.shown().filter((item) => boxHolds(item.box, place) && shapeHolds(item.shape, place));
    return here.sort((a, b) => areaOf(a.shape) - areaOf(b.shape))[0] ?? null;
  }

  toggle(item) {
    if (!this.picked.delete(item.key)) this.picked.add(item.key);
  }

  drop(key) {
    this.items.delete(key);
    this.picked.delete(key);
  }

  /** The keys that accepting would save: the picked ones, or, of candidates, all that are shown. */
  chosen() {
    if (this.picked.size) return [...this.picked];
    return this.isCoverage ? [] : this.shown().map((item) => item.key);
  }

  style(item) {
    const colour = this.isCoverage ? SEGMENT : CANDIDATE;
    const picked = this.picked.has(item.key);
    return {
      color: colour,
      weight: picked ? 3 : this.isCoverage ? 1 : 2,
      opacity: picked ? 1 : 0.8,
      dashArray: this.isCoverage || picked ? null : "5 4",
      fillColor: colour,
      fillOpacity: picked ? 0.45 : 0.05,
    };
  }
}
