// The picture, in tiles of its own pixel grid. Few are asked at a time, so that a click never waits for pictures.

import L from "leaflet";

const AT_ONCE = 4; // a browser opens six connections to one host: two are left for clicks

/** A Leaflet layer of one picture; level k of the server is zoom -k. */
export const Tiles = L.GridLayer.extend({
  initialize(ask, hello, look, options) {
    const { width, height } = hello.scene;
    this.ask = ask;
    this.look = look; // {picture, bands, stretch}
    this.queue = [];
    this.flying = 0;
    L.GridLayer.prototype.initialize.call(this, {
      tileSize: hello.tile.size,
      minNativeZoom: 1 - hello.tile.levels,
      maxNativeZoom: 0,
      minZoom: -20,
      maxZoom: 20,
      bounds: [
        [0, 0],
        [height, width],
      ],
      keepBuffer: 1,
      updateWhenZooming: false,
      ...options,
    });
    this.on("tileunload", ({ tile }) => {
      tile.dropped = true;
      this.queue = this.queue.filter((job) => job.tile !== tile);
      if (tile.src.startsWith("blob:")) URL.revokeObjectURL(tile.src);
    });
  },

  /** Shows other bands or another stretch. */
  setLook(look) {
    this.look = { ...this.look, ...look };
    this.redraw();
  },

  createTile(coords, done) {
    const tile = document.createElement("img");
    tile.alt = "";
    tile.draggable = false;
    this.queue.push({ tile, done, request: { verb: "tile", level: -coords.z, col: coords.x, row: coords.y, ...this.look } });
    this.pump();
    return tile;
  },

  /** Asks for the tile that was wanted last: that is where the user looks now. */
  async pump() {
    if (this.flying >= AT_ONCE || !this.queue.length) return;
    const { tile, done, request } = this.queue.pop();
    this.flying += 1;
    const { answer, buffer } = await this.ask(request);
    this.flying -= 1;
    if (!tile.dropped) {
      if (answer.ok && answer.again_ms && !buffer) {
        setTimeout(() => tile.dropped || (this.queue.push({ tile, done, request }), this.pump()), answer.again_ms);
      } else if (answer.ok && buffer) {
        tile.src = URL.createObjectURL(new Blob([buffer]));
        done(null, tile);
      } else {
        done(new Error(answer.error), tile);
      }
    }
    this.pump();
  },
});
