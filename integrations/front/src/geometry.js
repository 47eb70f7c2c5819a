// Plane geometry on the scene's pixel grid: x to the right, y down, (0, 0) the corner of the top-left pixel.

/** The polygons of a Polygon or MultiPolygon: arrays of rings. */
export const polygonsOf = (shape) => (shape.type === "Polygon" ? [shape.coordinates] : shape.coordinates);

/** All rings of a shape. */
export const ringsOf = (shape) => polygonsOf(shape).flat();

/** [x0, y0, x1, y1] around a shape. */
export function boundsOf(shape) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const ring of ringsOf(shape)) {
    for (const [x, y] of ring) {
      if (x < box[0]) box[0] = x;
      if (y < box[1]) box[1] = y;
      if (x > box[2]) box[2] = x;
      if (y > box[3]) box[3] = y;
    }
  }
  return box;
}

/** Whether a place lies in a box that was grown by a margin. */
export function boxHolds([x0, y0, x1, y1], [x, y], margin = 0) {
  return x >= x0 - margin && x <= x1 + margin && y >= y0 - margin && y <= y1 + margin;
}

/** Whether a place lies in a shape: crossings of a ray are counted over all rings, so holes are outside. */
export function shapeHolds(shape, [x, y]) {
  return polygonsOf(shape).some((rings) => {
    let inside = false;
    for (const ring of rings) {
      for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
        const [xi, yi] = ring[i];
        const [xj, yj] = ring[j];
        if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
      }
    }
    return inside;
  });
}

/** The area of a shape in square pixels. */
export function areaOf(shape) {
  const ringArea = (ring) => {
    let sum = 0;
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      sum += ring[j][0] * ring[i][1] - ring[i][0] * ring[j][1];
    }
    return Math.abs(sum) / 2;
  };
  return polygonsOf(shape).reduce(
    (sum, [outer, ...holes]) => sum + ringArea(outer) - holes.reduce((all, hole) => all + ringArea(hole), 0),
    0,
  );
}

/** The place on the segment from a to b that is nearest to p. */
export function nearestOnSegment(p, a, b) {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const length = dx * dx + dy * dy;
  const t = length ? Math.min(1, Math.max(0, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / length)) : 0;
  return [a[0] + t * dx, a[1] + t * dy];
}

export const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

export const same = (a, b) => a[0] === b[0] && a[1] === b[1];

/** Hundredths of a pixel: what a pointer can mean. */
export const rounded = ([x, y]) => [Math.round(x * 100) / 100, Math.round(y * 100) / 100];

/** The same shape with every coordinate passed through a function. */
export function mapCoordinates(shape, change) {
  const rings = (polygon) => polygon.map((ring) => ring.map(change));
  const coordinates = shape.type === "Polygon" ? rings(shape.coordinates) : shape.coordinates.map(rings);
  return { type: shape.type, coordinates };
}

/** Leaflet's nested [lat, lng] = [y, x] of a shape. */
export const toLatLngs = (shape) =>
  polygonsOf(shape).map((rings) => rings.map((ring) => ring.map(([x, y]) => [y, x])));
