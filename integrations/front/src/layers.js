// What lies over the picture: saved objects, the object in hand, the hover, prompts, what was found, handles.

import L from "leaflet";
import { ringsOf, toLatLngs } from "./geometry.js";

const HANDLES_AT_MOST = 800;

/** Saved objects on a canvas, coloured by class. */
export class ObjectLayer {
  constructor(map, state) {
    Object.assign(this, { map, state });
    this.renderer = L.canvas({ pane: "objects", padding: 0.3 });
    this.drawn = new Map();
    state.on("objects", ({ changed, removed }) => {
      for (const id of removed) this.erase(id);
      for (const id of changed) this.draw(state.objects.get(id));
    });
    this.chosen = new Set();
    state.on("selection", () => this.choose());
    state.on("classes", () => this.restyle(this.drawn.keys()));
  }

  draw(object) {
    this.erase(object.id);
    const options = { renderer: this.renderer, interactive: false, smoothFactor: 0.5, ...this.styleOf(object) };
    this.drawn.set(object.id, L.polygon(toLatLngs(object.shape), options).addTo(this.map.leaflet));
  }

  erase(id) {
    this.drawn.get(id)?.remove();
    this.drawn.delete(id);
  }

  /** Draws another shape in place of an object's own, while a vertex is being dragged. */
  pretend(id, shape) {
    this.drawn.get(id)?.setLatLngs(toLatLngs(shape));
  }

  styleOf(object) {
    const chosen = this.state.selection.has(object.id);
    return {
      color: chosen ? "#ffffff" : this.state.colourOf(object.class),
      weight: chosen ? 3 : 2.5,
      fillColor: this.state.colourOf(object.class),
      fillOpacity: chosen ? 0.4 : 0.25,
    };
  }

  /** Of thousands of objects only those are styled anew that were, or are, selected. */
  choose() {
    const before = this.chosen;
    this.chosen = new Set(this.state.selection);
    this.restyle(new Set([...before, ...this.chosen]));
  }

  restyle(ids) {
    for (const id of ids) {
      if (this.drawn.has(id)) this.drawn.get(id).setStyle(this.styleOf(this.state.objects.get(id)));
    }
  }
}

/** One outline: a dark casing below a bright line, so that it is seen on any ground. */
export class Outline {
  constructor(map, name, pane = "hand") {
    const renderer = L.svg({ pane, padding: 0.5 });
    const line = (part) =>
      L.polygon([], { renderer, interactive: false, smoothFactor: 0, className: `gs-${part} gs-${name}` }).addTo(map.leaflet);
    this.lines = [line("casing"), line("line")];
    this.shape = null;
  }

  draw(shape, { coarse = false, colour } = {}) {
    this.shape = shape;
    for (const line of this.lines) {
      line.setLatLngs(shape ? toLatLngs(shape) : []);
      const path = line.getElement();
      path.classList.toggle("gs-coarse", coarse);
      if (colour) path.style.setProperty("--colour", colour);
      path.toggleAttribute("data-drawn", Boolean(shape));
    }
  }
}

/** Points, box and outline of the object in hand. */
export class PromptLayer {
  constructor(map) {
    this.renderer = L.svg({ pane: "handles", padding: 0.5 });
    this.group = L.layerGroup().addTo(map.leaflet);
  }

  draw({ points, box, outline }) {
    this.group.clearLayers();
    const options = (name) => ({ renderer: this.renderer, interactive: false, className: `gs-prompt ${name}` });
    if (box) this.group.addLayer(L.rectangle([[box[1], box[0]], [box[3], box[2]]], options("gs-drag")));
    if (outline) this.group.addLayer(L.polygon(outline.map(([x, y]) => [y, x]), options("gs-drag")));
    for (const [x, y, positive] of points) {
      this.group.addLayer(L.circleMarker([y, x], { radius: 6, ...options(positive ? "gs-adds" : "gs-takes") }));
    }
  }
}

/** What is being dragged: a box, a line, an outline. */
export class Sketch {
  constructor(map) {
    const renderer = L.svg({ pane: "handles", padding: 0.5 });
    const options = { renderer, interactive: false, className: "gs-sketch" };
    this.box = L.rectangle([[0, 0], [0, 0]], options);
    this.path = L.polyline([], options);
    this.leaflet = map.leaflet;
  }

  drawBox([x0, y0, x1, y1]) {
    this.box.setBounds([[y0, x0], [y1, x1]]).addTo(this.leaflet);
  }

  drawPath(places) {
    this.path.setLatLngs(places.map(([x, y]) => [y, x])).addTo(this.leaflet);
  }

  clear() {
    this.box.remove();
    this.path.remove();
  }
}

/** Shapes to choose from: candidates of a search, or segments of the full coverage. */
export class FoundLayer {
  constructor(map) {
    this.map = map;
    this.renderer = L.canvas({ pane: "found", padding: 0.3 });
    this.drawn = new Map();
  }

  draw(found) {
    this.clear();
    if (!found) return;
    for (const item of found.shown()) {
      const options = { renderer: this.renderer, interactive: false, smoothFactor: 0.5, ...found.style(item) };
      this.drawn.set(item.key, L.polygon(toLatLngs(item.shape), options).addTo(this.map.leaflet));
    }
  }

  restyle(found, item) {
    this.drawn.get(item.key)?.setStyle(found.style(item));
  }

  clear() {
    for (const polygon of this.drawn.values()) polygon.remove();
    this.drawn.clear();
  }
}

/** Handles on the vertices of some shapes that are in view. */
export class Handles {
  constructor(map) {
    this.map = map;
    this.renderer = L.canvas({ pane: "handles", padding: 0.3 });
    this.group = L.layerGroup().addTo(map.leaflet);
  }

  draw(shapes) {
    this.group.clearLayers();
    const bounds = this.map.leaflet.getBounds().pad(0.1);
    const seen = new Set();
    for (const shape of shapes) {
      for (const ring of ringsOf(shape)) {
        for (const [x, y] of ring) {
          const name = `${x},${y}`;
          if (seen.has(name) || seen.size >= HANDLES_AT_MOST || !bounds.contains([y, x])) continue;
          seen.add(name);
          const options = { renderer: this.renderer, interactive: false, radius: 4, weight: 1.5 };
          this.group.addLayer(L.circleMarker([y, x], { ...options, color: "#111", fillColor: "#fff", fillOpacity: 1 }));
        }
      }
    }
  }

  clear() {
    this.group.clearLayers();
  }
}

/** The crosshair that the arrow keys move. */
export class Crosshair {
  constructor(map) {
    const icon = L.divIcon({ className: "gs-crosshair", iconSize: [33, 33] });
    this.marker = L.marker([0, 0], { icon, interactive: false, keyboard: false, pane: "handles" });
    this.map = map;
    this.at = null;
  }

  move(at) {
    this.at = at;
    this.marker.setLatLng([at[1], at[0]]).addTo(this.map.leaflet);
  }

  hide() {
    this.at = null;
    this.marker.remove();
  }
}
