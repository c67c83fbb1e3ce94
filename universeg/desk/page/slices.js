// Images of slices, of which the last ones are kept, and the next ones are fetched ahead.

import * as api from "./api.js";

const MOST = 48;
const AHEAD = 2;

export class SliceStore {
  #kept = new Map();

  clear() { this.#kept.clear(); }

  image(scan, cut) {
    const key = `${scan.id} ${cut.plane} ${cut.index}`;
    const found = this.#kept.get(key);
    if (found) return found;
    const image = api.image(scan.id, cut, scan.colour);
    image.catch(() => this.#kept.delete(key));
    this.#kept.set(key, image);
    if (this.#kept.size > MOST) this.#kept.delete(this.#kept.keys().next().value);
    return image;
  }

  ahead(scan, cut) {
    const { count } = scan.planes[cut.plane];
    for (let by = -AHEAD; by <= AHEAD; by += 1) {
      const index = cut.index + by;
      if (by && index >= 0 && index < count) this.image(scan, { plane: cut.plane, index }).catch(() => {});
    }
  }
}
