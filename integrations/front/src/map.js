// The scene on its own pixel grid: Leaflet's plane with y down, one unit a pixel, zoom 0 at full resolution.

import L from "leaflet";
import { Tiles } from "./tiles.js";

const DEEPEST = 5; // one pixel of the scene on 32 of the screen
const SMALL = 40; // screen pixels below which an object is too small to be judged
const SNAP = 0.5;
const SHARP_FROM = 2; // zoom from which pixels are shown as squares

const GRID = L.extend({}, L.CRS.Simple, { transformation: new L.Transformation(1, 0, 1, 0) });

/** The map of a scene, with panes for what lies over the picture. */
export class SceneMap {
  constructor(element, hello, ask) {
    const { width, height } = hello.scene;
    this.hello = hello;
    this.size = [width, height];
    this.leaflet = L.map(element, {
      crs: GRID,
      attributionControl: false,
      zoomControl: false,
      boxZoom: false,
      doubleClickZoom: false,
      keyboard: false,
      zoomSnap: SNAP,
      wheelPxPerZoomLevel: 90,
      minZoom: Math.min(0, -hello.tile.levels - 1),
      maxZoom: DEEPEST,
      maxBoundsViscosity: 0.5,
    });
    L.control.zoom({ position: "topleft", zoomInTitle: "Closer (+)", zoomOutTitle: "Farther (−)" }).addTo(this.leaflet);
    this.addPanes();
    this.layers = hello.scene.pictures.map((picture, index) =>
      new Tiles(ask, hello, { picture }, { pane: `picture-${index}` }).addTo(this.leaflet),
    );
    this.restore();
    const room = [height, width].map((side) => Math.max(side, 256));
    this.leaflet.setMaxBounds([
      [-room[0], -room[1]],
      [height + room[0], width + room[1]],
    ]);
    this.leaflet.on("zoomend", () => this.sharpen());
    this.sharpen();
  }

  addPanes() {
    const order = { "picture-0": 200, "picture-1": 201, frame: 300, objects: 410, under: 405, found: 420, hand: 430, handles: 440 };
    for (const [name, index] of Object.entries(order)) {
      const pane = this.leaflet.createPane(name);
      pane.style.zIndex = index;
      pane.setAttribute("aria-hidden", "true"); // told in words, by the status line
      if (!name.startsWith("picture")) pane.style.pointerEvents = "none";
    }
    const [width, height] = this.size;
    L.rectangle([[0, 0], [height, width]], { pane: "frame", interactive: false, fill: false, weight: 1, className: "gs-frame" }).addTo(
      this.leaflet,
    );
  }

  sharpen() {
    this.leaflet.getContainer().classList.toggle("gs-sharp", this.leaflet.getZoom() >= SHARP_FROM);
  }

  /** The view that the session was left with, or the whole scene. */
  restore() {
    const { look } = this.hello;
    if (look) this.leaflet.setView([look.at[1], look.at[0]], look.zoom, { animate: false });
    else this.fit();
  }

  fit() {
    const [width, height] = this.size;
    const { options } = this.leaflet;
    options.zoomSnap = 0; // as large as there is room
    this.leaflet.fitBounds([[0, 0], [height, width]], { animate: false, padding: [8, 8] });
    options.zoomSnap = SNAP;
  }

  setLook(look) {
    for (const layer of this.layers) layer.setLook(look);
  }

  /** The pixel under a mouse event. */
  pixelAt(event) {
    return this.pixelOf(this.leaflet.mouseEventToContainerPoint(event));
  }

  /** The pixel at a point of the screen. */
  pixelOf(point) {
    const { lat, lng } = this.leaflet.containerPointToLatLng(point);
    return [lng, lat];
  }

  /** The point of the screen where a pixel is. */
  pointOf([x, y]) {
    return this.leaflet.latLngToContainerPoint([y, x]);
  }

  /** How long so many pixels of the screen are in pixels of the scene. */
  reach(screen) {
    return screen / 2 ** this.leaflet.getZoom();
  }

  holds([x, y]) {
    return x >= 0 && y >= 0 && x < this.size[0] && y < this.size[1];
  }

  /** What is seen of the scene: [x0, y0, x1, y1]. */
  view() {
    const bounds = this.leaflet.getBounds();
    const [width, height] = this.size;
    return [
      Math.max(0, Math.floor(bounds.getWest())),
      Math.max(0, Math.floor(bounds.getSouth())), // Leaflet's south is the least y
      Math.min(width, Math.ceil(bounds.getEast())),
      Math.min(height, Math.ceil(bounds.getNorth())),
    ];
  }

  centre() {
    const { lat, lng } = this.leaflet.getCenter();
    return [lng, lat];
  }

  /** Brings a box into view, large enough to be judged, without changing more than must be. */
  show([x0, y0, x1, y1]) {
    const { leaflet } = this;
    const bounds = [[y0, x0], [y1, x1]];
    const small = Math.max(x1 - x0, y1 - y0) < this.reach(SMALL);
    const zoom = leaflet.getBoundsZoom(bounds, false, leaflet.getSize().multiplyBy(0.75));
    if (small || zoom < leaflet.getZoom()) leaflet.setView([(y0 + y1) / 2, (x0 + x1) / 2], Math.min(zoom, SHARP_FROM), { animate: false });
    else if (!leaflet.getBounds().pad(-0.1).contains(bounds)) leaflet.panTo([(y0 + y1) / 2, (x0 + x1) / 2], { animate: false });
  }

  remove() {
    this.leaflet.remove();
  }
}
