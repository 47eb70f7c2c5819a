// From mouse, pen, finger and arrow keys to the tool in use.

const STEPS = { plain: 10, shift: 60, fine: 1 }; // screen pixels that an arrow key moves the crosshair
const MARGIN = 40; // screen pixels from the border where the map follows the crosshair

export class Pointer {
  constructor(app) {
    this.app = app;
    this.map = app.map;
    this.dragger = null; // the tool that has hold of the pointer
    this.pressed = false; // Space holds: the crosshair drags
    const element = this.map.leaflet.getContainer();
    element.addEventListener("pointerdown", (event) => this.down(event), true);
    element.addEventListener("pointermove", (event) => this.move(event), true);
    element.addEventListener("pointerrawupdate", (event) => this.early(event), true);
    element.addEventListener("pointerup", (event) => this.up(event), true);
    element.addEventListener("pointercancel", () => this.letGo());
    element.addEventListener("pointerleave", () => this.leave());
    this.map.leaflet.on("click", ({ originalEvent }) => this.click(originalEvent));
    this.map.leaflet.on("dblclick", () => this.app.tool.finish?.());
    this.map.leaflet.on("contextmenu", ({ originalEvent }) => this.click(originalEvent, true));
    this.map.leaflet.on("moveend", () => this.mapMoved());
    this.mouse = null; // the last event of a mouse over the map
    this.swallow = false; // the click that a browser makes of a drag's end
  }

  how(event, away = false) {
    return { away: away || event.altKey || this.app.takesAway, extend: event.shiftKey };
  }

  /** With Shift a drag is a box, whatever the tool. */
  toolFor(event) {
    const { tools, tool, state } = this.app;
    if (!event.shiftKey || event.altKey) return tool;
    if (state.tool === "click" && state.editing && !this.app.search.found) return tools.box;
    return state.tool === "select" ? tools.selectBox : tool;
  }

  down(event) {
    this.swallow = false;
    if (event.button !== 0 || !event.isPrimary || onControl(event)) return;
    const tool = this.toolFor(event);
    const shifted = tool !== this.app.tool;
    this.start = [event.clientX, event.clientY];
    if (!tool.down || !tool.down(this.map.pixelAt(event), this.how(event))) return;
    this.dragger = tool;
    this.shifted = shifted;
    this.map.leaflet.dragging.disable();
    event.target.setPointerCapture?.(event.pointerId);
  }

  /** A move before the frame that it is shown in: a preview that nothing is in the way of is asked for that much earlier. */
  early(event) {
    if (!this.dragger && this.app.previewsNext) this.move(event);
  }

  move(event) {
    if (this.mouse?.clientX === event.clientX && this.mouse.clientY === event.clientY) return; // the map moved, not the mouse
    this.mouse = event.pointerType === "touch" || onControl(event) ? null : event;
    const at = this.map.pixelAt(event);
    this.app.pointTo(at);
    this.app.crosshair.hide();
    if (this.dragger) this.dragger.move(at);
    else if (event.pointerType !== "touch" && !event.buttons && !onControl(event)) {
      this.app.tool.hover?.(at, this.how(event));
    }
  }

  up(event) {
    if (!this.dragger) return;
    const tool = this.dragger;
    this.letGo();
    const shook = Math.hypot(event.clientX - this.start[0], event.clientY - this.start[1]) < 3;
    if (shook && this.shifted) tool.cancel?.(); // Leaflet's click follows
    else {
      if (!shook || !tool.click) this.swallow = true;
      tool.up(this.map.pixelAt(event));
    }
  }

  letGo() {
    this.dragger = null;
    this.map.leaflet.dragging.enable();
  }

  /** The map moved below the mouse: it points at another place. */
  mapMoved() {
    if (!this.mouse || this.dragger || this.app.crosshair.at) return;
    const at = this.map.pixelAt(this.mouse);
    this.app.pointTo(at);
    this.app.tool.hover?.(at, this.how(this.mouse));
  }

  leave() {
    this.mouse = null;
    if (!this.app.crosshair.at) {
      this.app.pointTo(null);
      this.app.hoverNowhere();
    }
  }

  click(event, away = false) {
    if (onControl(event)) return;
    event.preventDefault();
    if (this.swallow && !away) return;
    const at = this.map.pixelAt(event);
    this.app.focus();
    this.app.pointTo(at);
    this.app.tool.click?.(at, this.how(event, away));
  }

  /** Moves the crosshair by an arrow key, and the map with it. */
  step(dx, dy, event) {
    const { crosshair, map } = this.app;
    const length = event.shiftKey ? STEPS.shift : event.ctrlKey || event.altKey ? STEPS.fine : STEPS.plain;
    const size = map.leaflet.getSize();
    const from = crosshair.at ? map.pointOf(crosshair.at) : size.divideBy(2);
    const to = crosshair.at ? [from.x + dx * length, from.y + dy * length] : [from.x, from.y];
    const over = [overshoot(to[0], size.x), overshoot(to[1], size.y)];
    if (over[0] || over[1]) map.leaflet.panBy(over, { animate: false });
    const at = map.pixelOf([to[0] - over[0], to[1] - over[1]]);
    crosshair.move(at);
    this.app.pointTo(at);
    if (this.pressed) this.app.tool.move?.(at);
    else this.app.tool.hover?.(at, this.how({ altKey: false, shiftKey: false }));
  }

  /** A click at the crosshair. Tools that drag take hold at the first press and let go at the second. */
  press(away) {
    const { crosshair, tool, map } = this.app;
    if (!crosshair.at) this.step(0, 0, {});
    const at = crosshair.at ?? map.centre();
    const how = { away: away || this.app.takesAway, extend: false };
    if (this.pressed) {
      this.pressed = false;
      tool.up(at);
    } else if (!away && !tool.byClicks && tool.down?.(at, how)) {
      this.pressed = true;
      this.app.say("Held: move with the arrow keys, Space lets go, Esc leaves it.");
    } else {
      tool.click?.(at, how);
    }
  }

  cancel() {
    this.pressed = false;
    this.letGo();
  }
}

const overshoot = (value, size) => (value < MARGIN ? value - MARGIN : value > size - MARGIN ? value - size + MARGIN : 0);

const onControl = (event) => Boolean(event.target.closest?.(".leaflet-control, .gs-over"));
