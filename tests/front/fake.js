// A geosam of roofs in rows, for tests of the page: it answers every verb from this page, without a server.
// Roofs stand every 100 px: 60 × 40 px from (20, 30) of each cell. Right of x = 1000 answers are coarse until
// `warmUp()`; right of x = 1200 there is no data.

const SIZE = [1300, 800];
const COLD_FROM = 1000;
const DATA_TO = 1200;
const KEPT = 8; // previews that can be accepted

const ring = (x0, y0, x1, y1) => [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]];
const rectangle = (...box) => ({ type: "Polygon", coordinates: [ring(...box)] });
const same = (a, b) => a[0] === b[0] && a[1] === b[1];
const mapRings = (shape, change) => ({
  type: shape.type,
  coordinates: shape.type === "Polygon" ? shape.coordinates.map(change) : shape.coordinates.map((p) => p.map(change)),
});

function roofAt(x, y) {
  const [col, row] = [Math.floor(x / 100), Math.floor(y / 100)];
  const [left, top] = [col * 100 + 20, row * 100 + 30];
  if (x < left || x > left + 60 || y < top || y > top + 40) return rectangle(x - 5, y - 5, x + 5, y + 5);
  return rectangle(left, top, left + 60, top + 40);
}

async function picture(text, hue) {
  const canvas = new OffscreenCanvas(256, 256);
  const pen = canvas.getContext("2d");
  pen.fillStyle = `hsl(${hue} 30% 55%)`;
  pen.fillRect(0, 0, 256, 256);
  pen.strokeStyle = "rgb(255 255 255 / 40%)";
  pen.strokeRect(0, 0, 256, 256);
  pen.fillStyle = "#000";
  pen.fillText(text, 8, 16);
  return (await canvas.convertToBlob()).arrayBuffer();
}

/** A transport, and what was asked of it: `asked` is the list of requests; `hold(which)` lets answers to some wait, what it gives lets them go. */
export function fakeTransport({ mode = "edit", pair = false, delay = 5 } = {}) {
  let objects = new Map();
  let past = [];
  let future = [];
  let revision = 0;
  let lastId = 0;
  let lastKey = 0;
  let warm = false;
  const keys = new Map();
  const previews = [];
  const asked = [];
  const rejected = new Set();
  const classes = [
    { code: 1, name: "building", color: "#e6553a" },
    { code: 2, name: "water", color: "#2b7de9" },
    { code: 3, name: "field", color: "#7cb342" },
  ];

  const keep = (shape, kind = "k") => {
    const key = `${kind}${++lastKey}`;
    keys.set(key, shape);
    if (key.startsWith("p") && (previews.push(key), previews.length > KEPT)) keys.delete(previews.shift());
    return key;
  };
  const counts = () => {
    const sums = {};
    for (const object of objects.values()) sums[object.class ?? ""] = (sums[object.class ?? ""] ?? 0) + 1;
    return sums;
  };
  const state = () => ({ ok: true, counts: counts(), revision, can_undo: past.length > 0, can_redo: future.length > 0 });
  const differences = (before) => {
    const found = compare(before);
    revision += found.changed.length + found.removed.length;
    return found;
  };
  const compare = (before) => ({
    changed: [...objects.values()].filter((object) => before.get(object.id) !== object),
    removed: [...before.keys()].filter((id) => !objects.has(id)),
  });

  function edit(did, change) {
    const before = objects;
    past.push(before);
    future = [];
    objects = new Map(objects);
    change(objects);
    return { ...differences(before), ...state(), did };
  }

  function travel(from, to, did) {
    if (!from.length) return { ok: false, kind: "nothing", error: `Nothing to ${did}.` };
    const before = objects;
    to.push(before);
    objects = from.pop();
    return { ...differences(before), ...state(), did };
  }

  const put = (all, object) => all.set(object.id, { score: 0.9, origin: "click", ...object });
  const reshapeAll = (all, change) => {
    for (const object of [...all.values()]) {
      const shape = change(object.shape);
      if (JSON.stringify(shape) !== JSON.stringify(object.shape)) all.set(object.id, { ...object, shape });
    }
  };

  const verbs = {
    hello: () => ({
      ok: true, protocol: 1, version: "0", mode,
      scene: { name: "roofs.tif", width: SIZE[0], height: SIZE[1], crs: "EPSG:32633", pixel_size_m: 0.5, bands: [1, 2, 3, 4].map((index) => ({ index, name: ["red", "green", "blue", "nir"][index - 1] })), shown: [1, 2, 3], pictures: pair ? ["before", "after"] : ["scene"] },
      tile: { size: 256, levels: 3 }, classes, legend_open: true, words: ["building", "solar panel"],
      can: { text: true, similar: true, coverage: true, suggest: true, export: ["gpkg", "geojson"], schemas: ["plain", "ems"] },
      counts: counts(), revision, can_undo: false, can_redo: false, session: "roofs.geosam.gpkg",
    }),
    tile: async ({ picture: name, level, col, row, bands }) => ({ ok: true, buffer: await picture(`${name} ${level}/${col}/${row} ${bands ?? ""}`, name === "after" ? 20 : 110) }),
    warm: () => ({ ok: true, state: "warm" }),
    status: () => ({ ok: true, busy: "", warm: 1 }),
    preview: ({ points, box, outline, seq, hover }) => {
      const at = points.find((point) => point[2])?.slice(0, 2) ?? (box ? [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] : outline?.[0]);
      if (!at) return { ok: false, kind: "input", error: "Given no prompt." };
      if (at[0] < 0 || at[1] < 0 || at[0] > DATA_TO || at[1] > SIZE[1]) return { ok: false, kind: "outside", error: "There is no data at this place: click inside the picture." };
      const exact = (at[0] < COLD_FROM || warm) && hover !== "moves";
      let shape = box ? rectangle(...box) : outline ? { type: "Polygon", coordinates: [[...outline, outline[0]]] } : roofAt(...at);
      for (const [x, , positive] of points) if (!positive) shape = rectangle(shape.coordinates[0][0][0], shape.coordinates[0][0][1], Math.round(x), shape.coordinates[0][2][1]);
      return { ok: true, seq, key: keep(shape, "p"), shape, score: 0.87, exact, ...(exact ? {} : { again_ms: 100 }) };
    },
    accept: ({ keys: wanted, class: code, object, each, prompts }) => {
      if (wanted.some((key) => !keys.has(key))) return { ok: false, kind: "gone", error: "This outline is no longer kept: click again." };
      const shapes = wanted.map((key) => keys.get(key));
      const united = each || shapes.length === 1 ? shapes : [{ type: "MultiPolygon", coordinates: shapes.flatMap((s) => (s.type === "Polygon" ? [s.coordinates] : s.coordinates)) }];
      return edit(`accepted ${united.length}`, (all) => united.forEach((shape) => put(all, { id: object ?? ++lastId, class: code, shape, prompts })));
    },
    objects: ({ since }) => ({ ok: true, changed: since === revision && since > 0 ? [] : [...objects.values()], removed: [], revision, more: false }),
    delete: ({ ids }) => edit(`deleted ${ids.length}`, (all) => ids.forEach((id) => all.delete(id))),
    classify: ({ ids, class: code }) => edit(`classified ${ids.length}`, (all) => ids.forEach((id) => put(all, { ...all.get(id), class: code }))),
    merge: ({ ids }) =>
      edit("merged 2", (all) => {
        const parts = ids.flatMap((id) => (all.get(id).shape.type === "Polygon" ? [all.get(id).shape.coordinates] : all.get(id).shape.coordinates));
        ids.forEach((id) => all.delete(id));
        put(all, { id: ++lastId, class: null, shape: { type: "MultiPolygon", coordinates: parts } });
      }),
    split: ({ id, line }) =>
      edit("cut 1", (all) => {
        const [[[x0, y0], , [x1, y1]]] = all.get(id).shape.coordinates;
        const middle = Math.round(line[0][0]);
        put(all, { ...all.get(id), shape: rectangle(x0, y0, middle, y1) });
        put(all, { id: ++lastId, class: all.get(id).class, shape: rectangle(middle, y0, x1, y1) });
      }),
    move_vertex: ({ from, to }) => edit("moved a vertex", (all) => reshapeAll(all, (shape) => mapRings(shape, (r) => r.map((v) => (same(v, from) ? to : v))))),
    add_vertex: ({ at, between: [a, b] }) =>
      edit("added a vertex", (all) =>
        reshapeAll(all, (shape) => mapRings(shape, (r) => r.flatMap((v, i) => (r[i + 1] && ((same(v, a) && same(r[i + 1], b)) || (same(v, b) && same(r[i + 1], a))) ? [v, at] : [v])))),
      ),
    remove_vertex: ({ at }) => edit("removed a vertex", (all) => reshapeAll(all, (shape) => mapRings(shape, (r) => r.filter((v) => !same(v, at))))),
    undo: () => travel(past, future, "undo"),
    redo: () => travel(future, past, "redo"),
    reopen: ({ id }) => ({ ok: true, prompts: objects.get(id).prompts ?? null, shape: objects.get(id).shape }),
    classes: ({ classes: list }) => ({ ...edit("changed the classes", () => classes.splice(0, classes.length, ...list)), classes: [...classes] }),
    look: () => ({ ok: true }),
    suggest: ({ after }) => {
      const next = [0, 1, 2].map((i) => 1 + i).find((col) => !rejected.has(col) && (!after || keys.get(after).coordinates[0][0][0] < col * 100));
      if (!next) return { ok: true, key: null, why: "Every object was seen." };
      const shape = roofAt(next * 100 + 50, 550);
      return { ok: true, key: keep(shape), shape, doubt: 0.5, at: [next * 100 + 50, 550], class: 1 };
    },
    reject: ({ key }) => (rejected.add(Math.floor(keys.get(key).coordinates[0][0][0] / 100)), { ok: true }),
    similar: () => ({ ok: true, done: true, candidates: [0, 1, 2].map((i) => [roofAt(i * 100 + 50, 650), 0.9 - 0.2 * i]).map(([shape, score]) => ({ key: keep(shape), shape, score, label: "like it" })) }),
    word: (request) => ({ ...verbs.similar(), note: request.text === "carpet" ? "Unknown word: carpet." : undefined }),
    coverage: ({ bounds: [x0, y0, x1, y1] }) => {
      const segments = [];
      for (let x = Math.max(0, Math.floor(x0 / 50) * 50); x < x1; x += 50) for (let y = Math.max(0, Math.floor(y0 / 50) * 50); y < y1; y += 50) segments.push(rectangle(x, y, x + 50, y + 50));
      return { ok: true, done: true, segments: segments.map((shape) => ({ key: keep(shape), shape })) };
    },
    export: ({ format }) => ({ ok: true, name: `roofs.${format}`, size: 3, buffer: new Uint8Array([1, 2, 3]).buffer }),
  };

  let held = null;
  const hold = (which) => {
    let release;
    held = { which, released: new Promise((resolve) => (release = resolve)) };
    return () => (release(), (held = null));
  };

  async function ask(request) {
    asked.push(structuredClone(request));
    await new Promise((resolve) => setTimeout(resolve, delay));
    if (held?.which(request)) await held.released;
    const verb = verbs[request.verb];
    const { buffer, ...answer } = verb ? await verb(request) : { ok: false, kind: "input", error: `No verb ${request.verb}.` };
    return { answer: structuredClone(answer), buffer };
  }
  return { ask, asked, hold, warmUp: () => (warm = true), objects: () => [...objects.values()] };
}
