// Vertices of saved objects. A vertex belongs to every object that has it, so that shared borders stay shared.

import { boxHolds, distance, mapCoordinates, nearestOnSegment, ringsOf, rounded, same } from "./geometry.js";

const GRAB = 10; // screen pixels around a vertex, or an edge, that count as it

export class VertexTool {
  constructor(app) {
    this.app = app;
    this.held = null; // {from, to, between, ids}: what is being dragged
  }

  /** The objects that may be edited: those selected. */
  shapes() {
    const { selection, objects } = this.app.state;
    return [...selection].map((id) => objects.get(id)).filter(Boolean);
  }

  redraw() {
    if (this.app.state.tool === "vertices") this.app.handles.draw(this.shapes().map((object) => object.shape));
    else this.app.handles.clear();
  }

  hover(at) {
    const spot = this.spotAt(at);
    this.app.setCursor(spot ? "grab" : "");
  }

  /** The vertex at a place, else the place on an edge, else null. */
  spotAt(at) {
    const reach = this.app.map.reach(GRAB);
    let best = null;
    let least = reach;
    for (const object of this.shapes()) {
      if (!boxHolds(this.app.state.boxes.get(object.id), at, reach)) continue;
      for (const ring of ringsOf(object.shape)) {
        for (const vertex of ring) {
          const far = distance(vertex, at);
          if (far < least) [best, least] = [{ vertex }, far];
        }
      }
    }
    return best ?? this.edgeAt(at, reach);
  }

  edgeAt(at, reach) {
    let best = null;
    let least = reach;
    for (const object of this.shapes()) {
      for (const ring of ringsOf(object.shape)) {
        for (let i = 1; i < ring.length; i++) {
          const far = distance(nearestOnSegment(at, ring[i - 1], ring[i]), at);
          if (far < least) [best, least] = [{ between: [ring[i - 1], ring[i]] }, far];
        }
      }
    }
    return best;
  }

  down(at, how) {
    const spot = this.spotAt(at);
    if (!spot || how.away) return false;
    this.held = { from: spot.vertex ?? null, between: spot.between ?? null, start: at, to: null };
    return true;
  }

  move(at) {
    if (!this.held) return;
    if (!this.held.to && distance(at, this.held.start) < this.app.map.reach(2)) return;
    this.held.to = rounded(at);
    this.pretend(this.held);
  }

  /** Draws every object that has the vertex, or the edge, as it would become. */
  pretend({ from, between, to }) {
    for (const object of this.app.state.objects.values()) {
      const shape = from
        ? ringsOf(object.shape).some((ring) => ring.some((vertex) => same(vertex, from))) &&
          mapCoordinates(object.shape, (vertex) => (same(vertex, from) ? to : vertex))
        : withVertex(object.shape, between, to);
      if (shape) this.app.objectLayer.pretend(object.id, shape);
    }
  }

  async up() {
    const held = this.held;
    this.held = null;
    if (!held?.to) return;
    const request = held.from
      ? { verb: "move_vertex", from: held.from, to: held.to }
      : { verb: "add_vertex", at: held.to, between: held.between };
    const answer = await this.app.edit(request);
    if (!answer.ok) this.restore();
  }

  /** Right click: the vertex goes. */
  click(at, how) {
    const spot = this.spotAt(at);
    if (how.away && spot?.vertex) return this.app.edit({ verb: "remove_vertex", at: spot.vertex });
    if (!spot) {
      const id = this.app.state.objectAt(at);
      if (id !== null) return this.app.state.select(how.extend ? [...this.app.state.selection, id] : [id]);
    }
    return this.app.say("Drag a vertex, or drag an edge to add one; a right click (or X) removes a vertex.");
  }

  restore() {
    for (const object of this.app.state.objects.values()) this.app.objectLayer.pretend(object.id, object.shape);
  }

  cancel() {
    const had = this.held !== null;
    this.held = null;
    if (had) this.restore();
    return had;
  }
}

/** The shape with one more vertex on an edge; null if it lacks that edge. */
function withVertex(shape, [a, b], at) {
  let has = false;
  const change = (ring) =>
    ring.flatMap((vertex, i) => {
      const next = ring[i + 1];
      if (!next || !((same(vertex, a) && same(next, b)) || (same(vertex, b) && same(next, a)))) return [vertex];
      has = true;
      return [vertex, at];
    });
  const rings = (polygon) => polygon.map(change);
  const coordinates = shape.type === "Polygon" ? rings(shape.coordinates) : shape.coordinates.map(rings);
  return has ? { type: shape.type, coordinates } : null;
}
