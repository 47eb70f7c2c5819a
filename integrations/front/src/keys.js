// The keys, as one table: what `?` shows is what is done. Keys pressed in a field, or while a dialog is open, are its own.

import { isField } from "./dom.js";

const NEEDS = { n: "suggest", m: "similar", "/": "text", c: "coverage" }; // what a session must be able to do
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MAC = /Mac|iP(hone|ad)/.test(globalThis.navigator?.platform ?? "");

/** Each row: group, keys as they are shown, what they do, names that they match, action, whether viewers have it. */
export function keyTable(ui) {
  const { app } = ui;
  const row = (group, shown, text, match, act, views = false) => ({ group, shown, text, match, act, views });
  return [
    row("Click", ["Left click", "Space"], "adds to the object", [" "], () => app.pointer.press(false)),
    row("Click", ["Right click", "Alt-click", "X"], "takes away from it", ["x"], () => app.pointer.press(true)),
    row("Click", ["Enter", "S"], "saves what is in hand, or what the hover shows", ["enter", "s"], () => app.accept()),
    row("Click", ["Esc"], "leaves: the drag, the object in hand, the search, the selection, the tool", ["escape"], () => app.escape()),
    row("Click", ["Z", "Backspace"], "takes the last click back", ["z", "backspace"], () => app.undoPrompt()),
    row("Click", ["Ctrl+Z"], "undoes what was saved, anything, back to the beginning", ["ctrl+z"], () => app.saved.undo()),
    row("Click", ["Ctrl+Y", "Ctrl+Shift+Z"], "does it again", ["ctrl+y", "ctrl+shift+z"], () => app.saved.redo()),
    row("Click", ["P"], "hover preview on or off", ["p"], () => ui.toggle("hovers")),
    row("Click", ["Q"], "quick: every click saves at once", ["q"], () => ui.toggle("savesOnClick")),

    row("Draw", ["B", "Shift-drag"], "a box around the object", ["b"], () => ui.switchTool("box")),
    row("Draw", ["O"], "an outline around it, by clicks or in one drag", ["o"], () => ui.switchTool("outline")),

    row("Classes", ["1 … 9"], "class of the object in hand, of the selection, of what comes next", [..."123456789"], (event) => ui.digit(event.key)),
    row("Classes", ["0"], "without a class", ["0"], () => app.saved.classify(null)),

    row("Saved objects", ["V"], "selects; with Shift more than one, or by a box", ["v"], () => ui.switchTool("select")),
    row("Saved objects", ["E"], "opens one again, with its clicks", ["e"], () => app.saved.reopen()),
    row("Saved objects", ["D"], "vertices: drag, add, remove; shared borders stay shared", ["d"], () => app.saved.startVertices()),
    row("Saved objects", ["K"], "cuts one in two along a line", ["k"], () => ui.switchTool("split")),
    row("Saved objects", ["J"], "joins the selected ones", ["j"], () => app.saved.merge()),
    row("Saved objects", ["Delete"], "deletes", ["delete", "ctrl+backspace"], () => app.saved.remove()),

    row("Find", ["N"], "the next suggestion, the most doubtful first", ["n"], () => app.search.suggest()),
    row("Find", ["M"], "more like this", ["m"], () => app.search.similar()),
    row("Find", ["/"], "a word", ["/"], () => ui.focusWord()),
    row("Find", ["C"], "segments of the whole view, to click together", ["c"], () => app.search.coverage()),

    row("Look", ["Arrow keys"], "move a crosshair (Shift: far, Ctrl: one pixel)", Object.keys(ARROWS).map((k) => k.toLowerCase()), null, true),
    row("Look", ["+", "−"], "closer, farther", ["+", "=", "-"], (event) => ui.zoom(event.key === "-" ? -1 : 1), true),
    row("Look", ["F"], "the whole scene", ["f"], () => app.map.fit(), true),
    row("Look", ["H"], "hides the saved objects while it is held", ["h"], () => ui.hideObjects(), true),
    row("Look", ["?"], "this list", ["?"], () => ui.help.toggle(), true),
  ];
}

/** How a pressed key is written in the table: "ctrl+shift+z", "x", "?". */
export function nameOfKey(event) {
  const letter = event.key.length === 1 && /[a-z]/i.test(event.key);
  const shift = event.shiftKey && (letter || event.key.length > 1) && (event.ctrlKey || event.metaKey);
  const control = MAC ? event.metaKey || event.ctrlKey : event.ctrlKey;
  const foreign = event.key.length === 1 && event.key > "~" && event.code.startsWith("Key"); // Cyrillic, Greek …
  const key = foreign ? event.code.slice(3) : event.key;
  return `${control ? "ctrl+" : ""}${shift ? "shift+" : ""}${key.toLowerCase()}`;
}

/** Listens to keys: everywhere on a page, in a notebook only while the widget has the focus. */
export class Keys {
  constructor(ui, everywhere) {
    this.ui = ui;
    const { editing, hello } = ui.app.state;
    const can = hello.can ?? {};
    const lacks = new Set(["n", "m", "/", "c"].filter((name) => !can[NEEDS[name]]));
    this.table = keyTable(ui).filter((row) => (row.views || editing) && !lacks.has(row.match[0]));
    this.acts = new Map(this.table.flatMap((row) => row.match.map((name) => [name, row])));
    this.target = everywhere ? document : ui.root;
    this.listener = (event) => this.pressed(event);
    this.target.addEventListener("keydown", this.listener);
    this.lifted = (event) => event.key.toLowerCase() === "h" && ui.showObjects();
    this.target.addEventListener("keyup", this.lifted);
  }

  pressed(event) {
    if (event.isComposing || this.ui.help.isOpen) return;
    if (isField(event.target)) {
      if (event.key === "Escape") this.ui.root.focus();
      return;
    }
    const onButton = event.target.closest?.("button, a, summary") && [" ", "Enter"].includes(event.key);
    if (onButton) return; // the button's own
    const name = nameOfKey(event);
    const arrow = ARROWS[event.key];
    const act = arrow ? null : this.acts.get(name);
    if (!arrow && !act) return;
    if ((event.metaKey && !name.startsWith("ctrl+")) || (event.altKey && !arrow)) return; // the browser's own
    event.preventDefault();
    event.stopPropagation();
    if (arrow) this.ui.app.pointer.step(arrow[0], arrow[1], event);
    else act.act(event);
  }

  close() {
    this.target.removeEventListener("keydown", this.listener);
    this.target.removeEventListener("keyup", this.lifted);
  }
}
