// The scan on the screen: where it lies, how bright it is, and what is drawn on it.

import { border, inside } from "./drawing.js";

const CLEAREST = 40; // screen pixels of one pixel of the scan, at most
const LINE = 2;
const FITTED = 0.94; // of the screen that a scan takes to begin with

export class View {
  #canvas; #pen;
  #picture = document.createElement("canvas");
  #paint = document.createElement("canvas");
  #paths = new Map();
  #isAsked = false;
  #grey = null;
  #soon = null;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#pen = canvas.getContext("2d");
    this.size = [1, 1];
    this.mm = [1, 1];
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.window = [0, 1];
    this.range = [0, 1];
    this.layers = null;
    this.labels = [];
    this.hidden = new Set();
    this.show = "outline";
    this.opacity = 0.45;
    this.painting = null; // a label that is being drawn is shown filled
    this.over = null; // draws what a tool shows above all
    new ResizeObserver(() => this.#resized()).observe(canvas.parentElement);
  }

  // The height of a pixel, its width being 1.
  get aspect() { return this.mm[0] / this.mm[1]; }

  setSlice(size, mm, image, layers) {
    const isOther = size[0] !== this.size[0] || size[1] !== this.size[1];
    this.size = size;
    this.mm = mm;
    this.layers = layers;
    if (isOther || this.#picture.width !== size[1]) {
      for (const each of [this.#picture, this.#paint]) { [each.height, each.width] = size; }
    }
    if (image instanceof ImageBitmap) {
      this.#grey = null;
      this.#picture.getContext("2d").drawImage(image, 0, 0);
    } else {
      this.#grey = image;
      this.#develop();
    }
    this.repaint();
    return isOther;
  }

  // Until a scan is there: its small picture, if there is one, and nothing to draw on.
  preview(picture) {
    this.layers = null;
    this.#soon = picture;
    this.refresh();
  }

  // Black and white, in the unit of the scan.
  setWindow(low, high) {
    this.window = [low, Math.max(high, low + (this.range[1] - this.range[0]) / 65535)];
    if (this.#grey) this.#develop();
    this.refresh();
  }

  fit() {
    const { width, height } = this.#canvas;
    const [rows, columns] = this.size;
    this.scale = FITTED * Math.min(width / columns, height / (rows * this.aspect));
    this.x = (width - columns * this.scale) / 2;
    this.y = (height - rows * this.aspect * this.scale) / 2;
    this.refresh();
  }

  zoom(factor, at = { x: this.#canvas.width / 2, y: this.#canvas.height / 2 }) {
    const least = 0.2 * Math.min(this.#canvas.width / this.size[1], this.#canvas.height / (this.size[0] * this.aspect));
    const scale = Math.min(CLEAREST * devicePixelRatio, Math.max(Math.min(least, 1), this.scale * factor));
    const by = scale / this.scale;
    this.x = at.x - (at.x - this.x) * by;
    this.y = at.y - (at.y - this.y) * by;
    this.scale = scale;
    this.refresh();
  }

  move(dx, dy) { this.x += dx; this.y += dy; this.refresh(); }

  // A place on the screen as a place in the slice, in its pixels.
  place(event) {
    const box = this.#canvas.getBoundingClientRect();
    const onCanvas = { x: (event.clientX - box.left) * devicePixelRatio, y: (event.clientY - box.top) * devicePixelRatio };
    return { ...this.inSlice(onCanvas), screen: onCanvas };
  }

  inSlice({ x, y }) {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / (this.scale * this.aspect) };
  }

  onScreen({ x, y }) { return { x: this.x + x * this.scale, y: this.y + y * this.scale * this.aspect }; }

  // The layers have changed: paint them anew, all or a box of them.
  repaint(box = null) {
    this.#paths.clear();
    if (this.layers) this.#fill(box || [0, this.size[0], 0, this.size[1]]);
    this.refresh();
  }

  refresh() {
    if (this.#isAsked) return;
    this.#isAsked = true;
    requestAnimationFrame(() => { this.#isAsked = false; this.#draw(); });
  }

  #resized() {
    const { clientWidth, clientHeight } = this.#canvas.parentElement;
    const width = Math.round(clientWidth * devicePixelRatio), height = Math.round(clientHeight * devicePixelRatio);
    if (width === this.#canvas.width && height === this.#canvas.height) return;
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.fit();
  }

  #develop() {
    const [low, high] = this.window, [darkest, brightest] = this.range;
    const step = (brightest - darkest) / 65535;
    const shades = new Uint8Array(65536);
    for (let n = 0; n < 65536; n += 1) {
      shades[n] = Math.min(255, Math.max(0, ((darkest + n * step - low) / (high - low)) * 255));
    }
    const pen = this.#picture.getContext("2d");
    const pixels = pen.createImageData(this.size[1], this.size[0]);
    const words = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < words.length; i += 1) {
      const shade = shades[this.#grey[i]];
      words[i] = 0xff000000 | (shade << 16) | (shade << 8) | shade;
    }
    pen.putImageData(pixels, 0, 0);
  }

  #isShown(label) { return !this.hidden.has(label.value); }

  #fill([top, bottom, left, right]) {
    const width = this.size[1];
    const pen = this.#paint.getContext("2d");
    const pixels = pen.createImageData(right - left, bottom - top);
    const words = new Uint32Array(pixels.data.buffer);
    for (const label of this.labels) {
      const layer = this.layers.layers.get(label.value);
      if (!layer || !this.#isShown(label)) continue;
      const [red, green, blue] = rgb(label.colour);
      const word = (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
      for (let y = top, i = 0; y < bottom; y += 1) {
        for (let x = left, at = y * width + left; x < right; x += 1, at += 1, i += 1) if (layer[at]) words[i] = word;
      }
    }
    pen.putImageData(pixels, left, top);
  }

  #draw() {
    const pen = this.#pen;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (!this.layers) { this.#drawSoon(pen); return; }
    const [rows, columns] = this.size;
    pen.setTransform(this.scale, 0, 0, this.scale * this.aspect, this.x, this.y);
    pen.imageSmoothingEnabled = this.scale < 8 * devicePixelRatio;
    pen.drawImage(this.#picture, 0, 0, columns, rows);
    if (this.show !== "hidden" || this.painting !== null) {
      const alpha = this.show === "filled" ? this.opacity : this.painting === null ? 0 : 0.3;
      if (alpha) {
        pen.imageSmoothingEnabled = false;
        pen.globalAlpha = alpha;
        pen.drawImage(this.#paint, 0, 0, columns, rows);
        pen.globalAlpha = 1;
      }
      if (this.painting === null) this.#outline(pen);
    }
    pen.setTransform(1, 0, 0, 1, 0, 0);
    if (this.over) this.over(pen);
  }

  #drawSoon(pen) {
    if (!this.#soon) return;
    const { width, height } = this.#canvas, { naturalWidth, naturalHeight } = this.#soon;
    const scale = FITTED * Math.min(width / naturalWidth, height / naturalHeight);
    const size = [naturalWidth * scale, naturalHeight * scale];
    pen.drawImage(this.#soon, (width - size[0]) / 2, (height - size[1]) / 2, ...size);
  }

  #outline(pen) {
    const shape = new DOMMatrix([this.scale, 0, 0, this.scale * this.aspect, this.x, this.y]);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.lineJoin = "round";
    for (const label of this.labels) {
      const layer = this.layers.layers.get(label.value);
      if (!layer || !this.#isShown(label)) continue;
      if (!this.#paths.has(label.value)) {
        this.#paths.set(label.value, [border(layer, ...this.size), inside(layer, ...this.size)]);
      }
      const [path, own] = this.#paths.get(label.value).map((each) => {
        const placed = new Path2D();
        placed.addPath(each, shape);
        return placed;
      });
      pen.save();
      pen.clip(own); // so that the lines of labels that touch lie beside each other
      pen.strokeStyle = "rgb(0 0 0 / 55%)";
      pen.lineWidth = (2 * LINE + 1.5) * devicePixelRatio;
      pen.stroke(path);
      pen.strokeStyle = label.colour;
      pen.lineWidth = 2 * LINE * devicePixelRatio;
      pen.stroke(path);
      pen.restore();
    }
  }
}

export const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
