// geosam on the screen: `mount(element, transport)` for pages, `default { render }` for anywidget.

import "leaflet/dist/leaflet.css";
import "./style.css";
import { el } from "./dom.js";
import { App } from "./app.js";
import { HandBar } from "./handbar.js";
import { Help } from "./help.js";
import { Keys } from "./keys.js";
import { Panel } from "./panel.js";
import { Pointer } from "./pointer.js";
import { Status } from "./status.js";
import { Swipe } from "./swipe.js";
import { commTransport, pageTransport } from "./transport.js";

const TOOL_WORDS = {
  click: "Click on an object; right click takes away.",
  box: "Drag a box around an object.",
  outline: "Click around an object, or drag along its outline.",
  select: "Click on saved objects; Shift adds to the selection.",
  split: "Click a line across a saved object.",
};

/** What belongs to the screen rather than to the session. */
class Screen {
  constructor(root, mapElement, hello, transport) {
    this.root = root;
    this.status = new Status();
    this.help = new Help(root);
    this.app = new App(root, mapElement, hello, transport, this.status);
    this.app.pointer = new Pointer(this.app);
  }

  switchTool(name) {
    const next = this.app.state.tool === name ? "click" : name;
    this.app.useTool(next);
    this.app.say(TOOL_WORDS[next]);
  }

  toggle(name) {
    const words = {
      hovers: ["Hover preview on.", "Hover preview off."],
      savesOnClick: ["Quick: every click saves.", "Enter saves."],
      takesAway: ["Clicks take away.", "Clicks add."],
    };
    this.app[name] = !this.app[name];
    if (name === "hovers") this.app.hoverNowhere();
    this.app.state.emit("hand");
    this.app.say(words[name][this.app[name] ? 0 : 1]);
  }

  digit(key) {
    const entry = this.app.state.classes[Number(key) - 1];
    if (entry) this.app.saved.classify(entry.code);
    else this.app.say(`There is no class ${key}.`);
  }

  zoom(steps) {
    const { crosshair, map } = this.app;
    if (crosshair.at) map.leaflet.setZoomAround([crosshair.at[1], crosshair.at[0]], map.leaflet.getZoom() + steps);
    else map.leaflet.zoomIn(steps);
  }

  hideObjects() {
    this.app.map.leaflet.getPane("objects").style.visibility = "hidden";
  }

  showObjects() {
    this.app.map.leaflet.getPane("objects").style.visibility = "";
  }

  focusWord() {
    const { word } = this.panel;
    if (word?.isConnected) {
      this.root.dataset.panel = "open";
      word.focus();
      word.select();
    } else this.app.say("This installation knows no words.");
  }
}

/**
 * Builds everything inside an element and returns a function that takes it away again.
 * `start` is the answer to `hello`, where it is known already.
 */
export async function mount(element, transport, { start = null, everywhere = true, height = null } = {}) {
  const root = el("div", { class: "geosam", tabindex: 0, role: "application", "aria-label": "geosam: click on the scene", "data-lm-suppress-shortcuts": "true" });
  if (height) root.style.height = typeof height === "number" ? `${height}px` : height;
  element.replaceChildren(root);
  const hello = start ?? (await transport.ask({ verb: "hello" })).answer;
  if (hello.ok === false) {
    root.append(el("p", { class: "gs-refused", role: "alert" }, hello.error));
    return () => root.remove();
  }
  const stage = el("div", { class: "gs-stage" });
  const mapElement = el("div", { class: "gs-map" });
  stage.append(mapElement);
  const fold = el("button", { type: "button", class: "gs-fold", "aria-label": "Show or hide the panel" }, el("span", { "aria-hidden": "true" }));
  root.append(stage, fold);
  const screen = new Screen(root, mapElement, hello, transport);
  screen.panel = new Panel(screen);
  root.append(screen.panel.element, screen.status.element);
  if (hello.mode === "edit") stage.append(new HandBar(screen).element);
  if (hello.scene.pictures.length > 1) screen.swipe = new Swipe(screen.app.map, stage);
  fold.addEventListener("click", () => (root.dataset.panel = root.dataset.panel === "open" ? "" : "open"));
  root.addEventListener("click", (event) => {
    // a button that was clicked by mouse or finger does not keep the keys: Enter is "save" again
    if (event.detail > 0 && event.target.closest("button") && !event.target.closest("dialog")) root.focus({ preventScroll: true });
  });
  if (!everywhere) wheelWithFocus(root, screen.app.map.leaflet);
  const keys = new Keys(screen, everywhere);
  screen.help.fill(keys.table);
  const resized = new ResizeObserver(() => screen.app.map.leaflet.invalidateSize({ pan: false }));
  resized.observe(mapElement);
  const back = () => document.visibilityState === "visible" && screen.app.refresh();
  document.addEventListener("visibilitychange", back); // perhaps others have changed objects meanwhile
  addEventListener("focus", back);
  root.geosam = screen.app; // for scripts that drive the page
  screen.app.map.leaflet.invalidateSize({ pan: false });
  screen.app.map.restore();
  await screen.app.refresh();
  screen.app.say(hello.mode === "edit" ? "Point at an object: the outline is what a click takes. ? shows the keys." : "");
  root.dataset.ready = "true";
  return () => {
    document.removeEventListener("visibilitychange", back);
    removeEventListener("focus", back);
    resized.disconnect();
    keys.close();
    transport.close?.();
    screen.app.close();
    root.remove();
  };
}

/** In a notebook the wheel scrolls the notebook, unless the widget was clicked. */
function wheelWithFocus(root, leaflet) {
  leaflet.scrollWheelZoom.disable();
  root.addEventListener("focusin", () => leaflet.scrollWheelZoom.enable());
  root.addEventListener("focusout", () => leaflet.scrollWheelZoom.disable());
}

/** anywidget's entry. */
function render({ model, el: element }) {
  const transport = commTransport(model);
  const options = { start: model.get("start"), everywhere: false, height: model.get("height") ?? 600 };
  const gone = mount(element, transport, options);
  return () => gone.then((close) => close());
}

export default { render };

const place = globalThis.document?.querySelector("[data-geosam-page]");
if (place) mount(place, pageTransport(import.meta.url));
