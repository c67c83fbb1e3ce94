// The labels of one slice as pixels, and the patches that tell what was changed.

export class Layers {
  constructor(height, width, layers = new Map()) {
    this.height = height;
    this.width = width;
    this.layers = layers;
  }

  of(label) {
    if (!this.layers.has(label)) this.layers.set(label, new Uint8Array(this.height * this.width));
    return this.layers.get(label);
  }

  has(label, x, y) {
    const layer = this.layers.get(label);
    return Boolean(layer && layer[y * this.width + x]);
  }

  copied() {
    return new Map([...this.layers].map(([label, layer]) => [label, layer.slice()]));
  }

  // Set the pixels of a label; where labels may not overlap, the others give way.
  set(label, index, overlap) {
    this.of(label)[index] = 1;
    if (overlap) return;
    for (const [other, layer] of this.layers) if (other !== label) layer[index] = 0;
  }

  // What differs from before, of each label, in the smallest box: the way back, and the way there.
  changes(before) {
    const back = [], there = [];
    for (const [label, layer] of this.layers) {
      const old = before.get(label) || new Uint8Array(layer.length);
      const box = this.#boxOf(old, layer);
      if (!box) continue;
      back.push({ label, box, runs: runs(old, this.width, box) });
      there.push({ label, box, runs: runs(layer, this.width, box) });
    }
    return { back, there };
  }

  apply(patches) {
    for (const { label, box: [top, bottom, left, right], runs: lengths } of patches) {
      const layer = this.of(label);
      let row = top, column = left, inside = 0;
      for (const length of lengths) {
        for (let n = 0; n < length; n += 1) {
          layer[row * this.width + column] = inside;
          column += 1;
          if (column === right) { column = left; row += 1; }
        }
        inside = 1 - inside;
      }
      if (row !== bottom) throw new Error("a patch does not fill its box");
    }
  }

  #boxOf(old, now) {
    let top = Infinity, bottom = -1, left = Infinity, right = -1;
    for (let y = 0, i = 0; y < this.height; y += 1) {
      for (let x = 0; x < this.width; x += 1, i += 1) {
        if (old[i] === now[i]) continue;
        if (y < top) top = y;
        bottom = y;
        if (x < left) left = x;
        if (x > right) right = x;
      }
    }
    return bottom < 0 ? null : [top, bottom + 1, left, right + 1];
  }
}

function runs(layer, width, [top, bottom, left, right]) {
  const lengths = [];
  let inside = 0, length = 0;
  for (let y = top; y < bottom; y += 1) {
    for (let i = y * width + left, end = y * width + right; i < end; i += 1) {
      if (layer[i] === inside) { length += 1; continue; }
      lengths.push(length);
      inside = layer[i];
      length = 1;
    }
  }
  lengths.push(length);
  return lengths;
}
