// The panel beside the map: tools, classes with counts, finding, the picture's bands, export.

import { el, grouped } from "./dom.js";

const STRETCHES = [
  ["", "as the model sees it"],
  ["0,100", "all values"],
  ["1,99", "1 – 99 %"],
  ["2,98", "2 – 98 %"],
  ["5,95", "5 – 95 %"],
];
const TOOLS = [
  ["click", "Click", null, "Click: left adds, right takes away (Esc comes back to it)"],
  ["box", "Box", "B", "A box around an object (B)"],
  ["outline", "Outline", "O", "An outline around an object (O)"],
  ["select", "Select", "V", "Select saved objects (V)"],
  ["vertices", "Vertices", "D", "Edit vertices (D)"],
  ["split", "Cut", "K", "Cut an object in two (K)"],
];
const SCHEMA_NAMES = { plain: "plain", ems: "Copernicus EMS", unosat: "UNOSAT", osm: "OpenStreetMap" };
const FORMAT_NAMES = { gpkg: "GeoPackage", geojson: "GeoJSON" };

/** A button with its key. */
export function button(text, key, title, act) {
  const label = title ?? text;
  return el("button", { type: "button", title: label, "aria-label": label, onclick: act }, text, key ? el("kbd", { "aria-hidden": "true" }, key) : null);
}

function part(title, open, ...children) {
  return el("details", { class: "gs-part", open }, el("summary", {}, title), ...children);
}

export class Panel {
  constructor(ui) {
    this.ui = ui;
    const { app } = ui;
    const { hello, editing } = app.state;
    this.toolButtons = new Map();
    this.element = el("aside", { class: "gs-panel", "aria-label": "Tools and classes" });
    this.element.append(
      this.header(hello),
      ...(editing ? [this.tools(), this.editing(hello.can ?? {})] : []),
      this.classes(),
      ...(editing ? [this.finding(hello.can ?? {})] : []),
      this.picture(hello.scene),
      ...(editing ? [this.exporting(hello.can ?? {})] : []),
    );
    app.state.on("tool", () => this.showTool()).on("objects", () => this.showClasses()).on("classes", () => this.showClasses());
    app.state.on("objects", () => this.showUndo()).on("found", () => this.showFound()).on("selection", () => this.showSelection());
    this.showTool();
    this.showClasses();
    this.showUndo();
    this.showFound();
    this.showSelection();
  }

  header({ scene, mode, session }) {
    const size = `${grouped(scene.width)} × ${grouped(scene.height)} px`;
    const where = [size, scene.crs].filter(Boolean).join(" · ");
    return el(
      "header",
      { class: "gs-head" },
      el("h2", { title: scene.name }, scene.name),
      el("p", {}, where),
      mode === "edit" && session ? el("p", { title: "Every accepted object is in this file at once" }, `saved in ${session}`) : null,
      el("div", { class: "gs-row" }, button("Keys", "?", "Show the keys (?)", () => this.ui.help.toggle()), button("Whole scene", "F", "Show the whole scene (F)", () => this.ui.app.map.fit())),
    );
  }

  tools() {
    const group = el("div", { class: "gs-tools", role: "toolbar", "aria-label": "Tools" });
    for (const [name, text, key, title] of TOOLS) {
      const start = () => (name === "vertices" ? this.ui.app.saved.startVertices() : this.ui.switchTool(name));
      const made = button(text, key, title, start);
      made.setAttribute("aria-pressed", "false");
      this.toolButtons.set(name, made);
      group.append(made);
    }
    return group;
  }

  showTool() {
    for (const [name, made] of this.toolButtons) made.setAttribute("aria-pressed", String(name === this.ui.app.state.tool));
  }

  editing(can) {
    const { saved } = this.ui.app;
    this.undoButton = button("Undo", "Ctrl Z", "Undo what was saved (Ctrl+Z)", () => saved.undo());
    this.redoButton = button("Redo", "Ctrl Y", "Redo (Ctrl+Y)", () => saved.redo());
    this.forSelection = el(
      "div",
      { class: "gs-row gs-selection" },
      button("Open", "E", "Open again for correction (E)", () => saved.reopen()),
      button("Join", "J", "Join the selected objects (J)", () => saved.merge()),
      can.similar ? button("More like this", "M", "Find more like this (M)", () => this.ui.app.search.similar()) : "",
      button("Delete", "Del", "Delete (Del)", () => saved.remove()),
    );
    return el("div", {}, el("div", { class: "gs-row" }, this.undoButton, this.redoButton), this.forSelection);
  }

  showUndo() {
    if (!this.undoButton) return;
    this.undoButton.disabled = !this.ui.app.state.canUndo;
    this.redoButton.disabled = !this.ui.app.state.canRedo;
  }

  showSelection() {
    if (this.forSelection) this.forSelection.hidden = this.ui.app.state.selection.size === 0;
  }

  classes() {
    this.classList = el("ul", { class: "gs-classes" });
    const children = [this.classList];
    if (this.ui.app.state.editing && this.ui.app.state.hello.legend_open) children.push(this.newClass());
    return part("Classes", true, ...children);
  }

  showClasses() {
    const { state, saved } = this.ui.app;
    const unclassed = state.editing || state.counts[""];
    const rows = [...state.classes.map((entry, i) => ({ ...entry, digit: i < 9 ? String(i + 1) : "" })), ...(unclassed ? [{ code: null, name: "no class", color: state.colourOf(null), digit: "0" }] : [])];
    const focused = this.classList.contains(document.activeElement) ? document.activeElement.dataset.code : null;
    this.classList.replaceChildren(
      ...rows.map(({ code, name, color, digit }) => {
        const swatch = el("span", { class: "gs-swatch", "aria-hidden": "true" });
        swatch.style.background = color;
        const count = grouped(state.counts[code === null ? "" : code]);
        const inner = [el("kbd", { "aria-hidden": "true" }, digit), swatch, el("span", { class: "gs-name" }, name), el("span", { class: "gs-count" }, count)];
        const chosen = String(state.current) === String(code);
        if (!state.editing) return el("li", {}, el("span", { class: "gs-class" }, inner.slice(1)));
        const title = `${name}, ${count} objects${digit ? ` (${digit})` : ""}`;
        const pick = { type: "button", class: "gs-class", title, "aria-label": title, "aria-pressed": String(chosen), "data-code": String(code) };
        return el("li", {}, el("button", { ...pick, onclick: () => saved.classify(code) }, inner));
      }),
    );
    if (focused !== null) this.classList.querySelector(`[data-code="${CSS.escape(focused)}"]`)?.focus();
  }

  newClass() {
    const name = el("input", { type: "text", placeholder: "new class", "aria-label": "Name of a new class", maxlength: 60, required: true });
    const colour = el("input", { type: "color", value: "#e6553a", "aria-label": "Colour of the new class" });
    const add = async (event) => {
      event.preventDefault();
      const { state, saved } = this.ui.app;
      const code = Math.max(0, ...state.classes.map((entry) => Number(entry.code) || 0)) + 1;
      if (await saved.setClasses([...state.classes.map(({ code: known, name: called, color }) => ({ code: known, name: called, color })), { code, name: name.value.trim(), color: colour.value }])) {
        name.value = "";
        saved.classify(code);
      }
    };
    return el("form", { class: "gs-row", onsubmit: add }, colour, name, el("button", { type: "submit", title: "Add the class" }, "Add"));
  }

  finding(can) {
    if (!can.text && !can.coverage && !can.suggest) return el("div", { hidden: true });
    const { search } = this.ui.app;
    this.word = el("input", { type: "search", placeholder: "a word: solar panel", "aria-label": "Find by a word", list: "gs-words", maxlength: 120 });
    const words = el("datalist", { id: "gs-words" }, (this.ui.app.state.hello.words ?? []).map((word) => el("option", { value: word })));
    const submit = (event) => {
      event.preventDefault();
      search.word(this.word.value);
      this.ui.root.focus({ preventScroll: true });
    };
    const form = el("form", { class: "gs-row", role: "search", onsubmit: submit }, this.word, words, el("button", { type: "submit" }, "Find", el("kbd", { "aria-hidden": "true" }, "/")));
    const buttons = [
      !can.suggest ? null : button("Next suggestion", "N", "The most doubtful object not seen yet (N)", () => search.suggest()),
      !can.coverage ? null : button("Segments", "C", "Segments of the whole view, to click together (C)", () => search.coverage()),
    ];
    this.least = el("input", { type: "range", min: 0, max: 100, value: 0, "aria-label": "Least score shown" });
    this.least.addEventListener("input", () => search.setLeast(Number(this.least.value) / 100));
    this.foundText = el("span", {});
    this.foundScores = el("label", { class: "gs-row" }, "least score", this.least);
    this.foundRow = el(
      "div",
      { class: "gs-found", hidden: true },
      this.foundText,
      this.foundScores,
      el("div", { class: "gs-row" }, button("Save", "Enter", "Save what is picked, or all (Enter)", () => this.ui.app.accept()), button("Leave", "Esc", "Leave the search (Esc)", () => search.leave())),
    );
    return part("Find", true, !can.text ? null : form, el("div", { class: "gs-row" }, buttons), this.foundRow);
  }

  showFound() {
    if (!this.foundRow) return;
    const { found } = this.ui.app.search;
    this.foundRow.hidden = !found;
    if (!found) return;
    this.foundScores.hidden = found.isCoverage;
    this.least.value = String(found.least * 100);
    const many = found.shown().length;
    const picked = found.picked.size ? `${found.picked.size} of ` : "";
    this.foundText.textContent = `${picked}${many} ${found.isCoverage ? "segments" : "candidates"}${found.done ? "" : " so far"}`;
  }

  picture(scene) {
    const shown = [...(scene.shown ?? [1, 2, 3])];
    const stretch = el("select", { "aria-label": "Stretch" }, STRETCHES.map(([value, text]) => el("option", { value }, text)));
    const selects = ["red", "green", "blue"].map((channel, i) =>
      el(
        "select",
        { "aria-label": `Band shown as ${channel}` },
        (scene.bands ?? []).map((band) => el("option", { value: band.index, selected: band.index === shown[i] }, band.name || `band ${band.index}`)),
      ),
    );
    const change = () => {
      const look = { bands: selects.map((select) => Number(select.value)) };
      look.stretch = stretch.value ? stretch.value.split(",").map(Number) : undefined;
      this.ui.app.map.setLook(look);
    };
    for (const select of [stretch, ...selects]) select.addEventListener("change", change);
    const bands = ["red", "green", "blue"].map((channel, i) => el("label", { class: "gs-field" }, channel, selects[i]));
    return part("Picture", false, (scene.bands ?? []).length > 1 ? bands : null, el("label", { class: "gs-field" }, "stretch", stretch));
  }

  exporting(can) {
    const choice = (label, values, names) => el("select", { "aria-label": label }, (values ?? []).map((value) => el("option", { value }, names[value] ?? value)));
    const format = choice("Format", can.export ?? ["gpkg"], FORMAT_NAMES);
    const schema = choice("Schema", can.schemas ?? ["plain"], SCHEMA_NAMES);
    return part(
      "Export",
      false,
      el("label", { class: "gs-field" }, "format", format),
      el("label", { class: "gs-field" }, "schema", schema),
      button("Export", null, "Export all objects, styled", () => this.ui.app.saved.export(format.value, schema.value)),
    );
  }
}
