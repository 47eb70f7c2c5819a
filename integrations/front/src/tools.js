// What the pointer does, one tool at a time. The mouse, a finger and the crosshair of the arrow keys are all the
// same to a tool: hover, click, and down, move, up for what it drags.

import { distance, rounded } from "./geometry.js";

const SMALLEST_BOX = 3; // screen pixels; a shorter drag is a click that shook
const STEP = 4; // screen pixels between places of an outline that is drawn freely

/** Left adds, right takes away; what is found is picked. */
class ClickTool {
  constructor(app) {
    this.app = app;
  }

  hover(at, how) {
    this.app.hoverAt(at, how);
  }

  click(at, how) {
    if (this.app.search.found) this.app.search.pick(at);
    else this.app.addPoint(at, !how.away);
  }
}

/** A box around an object. */
class BoxTool {
  constructor(app) {
    this.app = app;
    this.start = null;
  }

  down(at) {
    this.start = at;
    return true;
  }

  move(at) {
    if (this.start) this.app.sketch.drawBox(boxOf(this.start, at));
  }

  up(at) {
    const box = boxOf(this.start, at);
    this.cancel();
    if (Math.max(box[2] - box[0], box[3] - box[1]) < this.app.map.reach(SMALLEST_BOX)) {
      this.app.say("Drag from one corner of the object to the other.");
    } else {
      this.use(box);
    }
  }

  use(box) {
    this.app.setPrompt({ box: [...rounded(box.slice(0, 2)), ...rounded(box.slice(2))] });
  }

  cancel() {
    const had = this.start !== null;
    this.start = null;
    this.app.sketch.clear();
    return had;
  }
}

/** A box that selects what lies in it. */
class SelectBoxTool extends BoxTool {
  use([x0, y0, x1, y1]) {
    const { state } = this.app;
    const inside = [...state.boxes].filter(([, b]) => b[0] >= x0 && b[1] >= y0 && b[2] <= x1 && b[3] <= y1);
    state.select(inside.map(([id]) => id));
    this.app.say(`${inside.length} selected.`);
  }
}

/** A line of places: clicked one by one, or drawn in one go. Enter, a double click or the first place ends it. */
class PathTool {
  constructor(app, { least, closes, ready, use }) {
    Object.assign(this, { app, least, closes, ready, use });
    this.byClicks = true; // the crosshair of the arrow keys sets place after place
    this.places = [];
    this.drawing = false;
  }

  down(at) {
    if (this.places.length) return false; // begun by clicks: the map can still be moved
    this.drawing = true;
    this.places = [rounded(at)];
    return true;
  }

  move(at) {
    if (!this.drawing || distance(at, this.places.at(-1)) < this.app.map.reach(STEP)) return;
    this.places.push(rounded(at));
    this.app.sketch.drawPath(this.places);
  }

  up() {
    this.drawing = false;
    if (this.places.length > 2) this.finish();
    else this.places = this.places.slice(0, 1);
    if (this.places.length) this.app.say(this.ready);
  }

  hover(at) {
    if (this.places.length) this.app.sketch.drawPath([...this.places, at]);
  }

  click(at) {
    const place = rounded(at);
    const near = this.app.map.reach(8);
    if (this.closes && this.places.length >= this.least && distance(place, this.places[0]) < near) return this.finish();
    if (!this.places.length || distance(place, this.places.at(-1)) > 0) this.places.push(place);
    this.app.sketch.drawPath(this.places);
    return this.app.say(this.ready);
  }

  /** Ends the line; false if there is none. */
  finish() {
    if (!this.places.length) return false;
    const places = this.places;
    this.cancel();
    if (places.length < this.least) this.app.say(`At least ${this.least} places are needed.`);
    else this.use(places);
    return true;
  }

  undo() {
    if (!this.places.length) return false;
    this.places.pop();
    this.app.sketch.drawPath(this.places);
    return true;
  }

  cancel() {
    const had = this.places.length > 0;
    this.places = [];
    this.drawing = false;
    this.app.sketch.clear();
    return had;
  }
}

/** Clicks select; with Shift more than one. */
class SelectTool {
  constructor(app) {
    this.app = app;
  }

  hover(at) {
    const id = this.app.state.objectAt(at);
    this.app.hoverOutline.draw(id === null ? null : this.app.state.objects.get(id).shape);
    if (id !== null) this.app.saved.describe(id);
  }

  click(at, how) {
    const { state } = this.app;
    const id = state.objectAt(at);
    const chosen = new Set(how.extend ? state.selection : []);
    if (id === null) {
      if (!how.extend) state.select([]);
      return this.app.say("No saved object here.");
    }
    if (!chosen.delete(id)) chosen.add(id);
    state.select(chosen);
    return this.app.saved.describe(id);
  }
}

/** Corners of a box in order. */
export const boxOf = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];

/** All tools; who only views can select, to read what an object is. */
export function makeTools(app, vertices) {
  if (!app.state.editing) return { click: new SelectTool(app) };
  return {
    click: new ClickTool(app),
    box: new BoxTool(app),
    outline: new PathTool(app, {
      least: 3,
      closes: true,
      ready: "Click on around the object; Enter or the first place closes the outline.",
      use: (outline) => app.setPrompt({ outline }),
    }),
    select: new SelectTool(app),
    selectBox: new SelectBoxTool(app),
    split: new PathTool(app, {
      least: 2,
      closes: false,
      ready: "Click on across the object; Enter or a double click cuts it.",
      use: (line) => app.saved.split(line),
    }),
    vertices,
  };
}
