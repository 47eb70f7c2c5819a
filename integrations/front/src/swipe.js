// Before and after, side by side under one handle.

import { el } from "./dom.js";

export class Swipe {
  /** Clips the second picture's pane left of the handle. */
  constructor(map, host) {
    this.map = map;
    this.pane = map.leaflet.getPane("picture-1");
    this.range = el("input", { type: "range", min: 0, max: 1000, value: 500, class: "gs-swipe gs-over", "aria-label": "Before and after" });
    this.line = el("div", { class: "gs-swipe-line", "aria-hidden": "true" });
    const label = (name, text) => el("span", { class: `gs-swipe-name gs-${name}`, "aria-hidden": "true" }, text);
    host.append(this.line, label("before", "before"), label("after", "after"), this.range);
    this.range.addEventListener("input", () => this.clip());
    this.range.addEventListener("keydown", (event) => event.stopPropagation());
    map.leaflet.on("move zoomend resize", () => this.clip());
    this.clip();
  }

  clip() {
    const size = this.map.leaflet.getSize();
    const x = (size.x * Number(this.range.value)) / 1000;
    const from = this.map.leaflet.containerPointToLayerPoint([x, 0]);
    const to = this.map.leaflet.containerPointToLayerPoint(size);
    this.pane.style.clip = `rect(${from.y}px, ${to.x}px, ${to.y}px, ${from.x}px)`;
    this.line.style.left = `${x}px`;
  }
}
