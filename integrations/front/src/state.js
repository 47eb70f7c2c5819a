// What the client knows. Everything on the screen follows from it; who changes it says so by an event.

import { boundsOf, boxHolds, shapeHolds, areaOf } from "./geometry.js";

/** Colours for objects without a class, and for classes whose legend names none. */
export const NO_CLASS = "#ffd23f";

/** What the session holds and what the user is doing. Events: objects, classes, selection, tool, hand, found, undo. */
export class State extends EventTarget {
  constructor(hello) {
    super();
    this.hello = hello;
    this.editing = hello.mode === "edit";
    this.objects = new Map();
    this.boxes = new Map();
    this.classes = hello.classes ?? [];
    this.counts = hello.counts ?? {};
    this.revision = 0;
    this.canUndo = Boolean(hello.can_undo);
    this.canRedo = Boolean(hello.can_redo);
    this.selection = new Set();
    this.current = null; // code of the class that the next object gets
    this.tool = "click";
    this.pointer = null; // where the mouse or the crosshair is, in pixels
  }

  on(name, listener) {
    this.addEventListener(name, (event) => listener(event.detail));
    return this;
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Takes over what an editing verb, or `objects`, answered. */
  apply(change) {
    for (const object of change.changed ?? []) {
      this.objects.set(object.id, object);
      this.boxes.set(object.id, boundsOf(object.shape));
    }
    for (const id of change.removed ?? []) {
      this.objects.delete(id);
      this.boxes.delete(id);
      this.selection.delete(id);
    }
    if (change.counts) this.counts = change.counts;
    if (change.revision !== undefined) this.revision = change.revision;
    if (change.can_undo !== undefined) this.canUndo = change.can_undo;
    if (change.can_redo !== undefined) this.canRedo = change.can_redo;
    if (change.classes) {
      this.classes = change.classes;
      if (this.current !== null && !this.classOf(this.current)) this.current = null;
      this.emit("classes");
    }
    this.emit("objects", { changed: (change.changed ?? []).map((object) => object.id), removed: change.removed ?? [] });
    this.emit("selection");
  }

  select(ids) {
    this.selection = new Set(ids);
    this.emit("selection");
  }

  /** The smallest object at a place, so that what lies inside another can be reached; or null. */
  objectAt(at) {
    let best = null;
    let least = Infinity;
    for (const [id, box] of this.boxes) {
      if (!boxHolds(box, at)) continue;
      const { shape } = this.objects.get(id);
      if (!shapeHolds(shape, at)) continue;
      const area = areaOf(shape);
      if (area < least) [best, least] = [id, area];
    }
    return best;
  }

  /** The selected objects, or the one under the pointer. */
  meant() {
    if (this.selection.size) return [...this.selection];
    const id = this.pointer ? this.objectAt(this.pointer) : null;
    return id === null ? [] : [id];
  }

  classOf(code) {
    return this.classes.find((entry) => String(entry.code) === String(code)) ?? null;
  }

  colourOf(code) {
    return this.classOf(code)?.color || NO_CLASS;
  }

  nameOf(code) {
    return this.classOf(code)?.name ?? "object";
  }
}
