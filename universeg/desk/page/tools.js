// What a pointer does on the scan: mouse, pen and fingers.

import { alongLine, connected, inPolygon } from "./drawing.js";

const CLOSE = 12; // screen pixels from the first point at which a polygon is closed

export class Tools {
  #pointers = new Map();
  #stroke = null;
  #pinch = null;
  #points = [];
  #at = null;
  #penSeen = false;

  // `desk` gives: label() or null, overlap(), begin(), changed(change), say(text), step(by), window(dx, dy)
  constructor(canvas, view, desk) {
    this.canvas = canvas;
    this.view = view;
    this.desk = desk;
    this.tool = "brush";
    this.radius = 6;
    this.isPanning = false;
    view.over = (pen) => this.#over(pen);
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#up(event));
    canvas.addEventListener("pointerleave", () => { this.#at = null; view.refresh(); });
    canvas.addEventListener("dblclick", () => this.closePolygon());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  get isBusy() { return this.#stroke !== null; }

  choose(tool) {
    this.tool = tool;
    this.#points = [];
    this.view.refresh();
  }

  // End the polygon that is being drawn, and fill it.
  closePolygon() {
    if (this.#points.length < 3) return false;
    const points = this.#points;
    this.#points = [];
    this.#once((layers, label) => {
      for (const pixel of inPolygon(points, layers.height, layers.width)) layers.set(label, pixel, this.desk.overlap());
    });
    return true;
  }

  // Take the last point back, or the whole polygon; says whether there was one.
  giveUp(whole) {
    if (!this.#points.length) return false;
    if (whole) this.#points = [];
    else this.#points.pop();
    this.view.refresh();
    return true;
  }

  #kind(event) {
    if (this.isPanning || event.button === 1) return "hand";
    if (event.button === 2) return "window";
    return this.tool;
  }

  #down(event) {
    this.canvas.focus({ preventScroll: true });
    this.#penSeen ||= event.pointerType === "pen";
    this.canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, event);
    const fingers = [...this.#pointers.values()].filter((each) => each.pointerType === "touch");
    if (fingers.length === 2) { this.#abort(); this.#pinch = pinchOf(fingers); return; }
    if (event.pointerType === "touch" && this.#penSeen) { this.#stroke = { kind: "hand", last: event }; return; }
    const kind = this.#kind(event), at = this.view.place(event);
    this.#at = at;
    if (kind === "hand" || kind === "window") { this.#stroke = { kind, last: event }; return; }
    if (!this.view.layers) return;
    if (kind === "polygon") this.#point(at);
    else if (kind === "fill") this.#fill(at);
    else this.#begin(kind, at);
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (before) this.#pointers.set(event.pointerId, event);
    this.#at = this.view.place(event);
    if (this.#pinch) {
      const now = pinchOf([...this.#pointers.values()]);
      if (now) {
        const by = devicePixelRatio;
        this.view.move((now.x - this.#pinch.x) * by, (now.y - this.#pinch.y) * by);
        this.view.zoom(now.apart / this.#pinch.apart, this.view.place({ clientX: now.x, clientY: now.y }).screen);
        this.#pinch = now;
      }
      return;
    }
    if (this.#stroke && before) {
      const { kind, last } = this.#stroke;
      if (kind === "hand" || kind === "window") {
        const dx = event.clientX - last.clientX, dy = event.clientY - last.clientY;
        if (kind === "hand") this.view.move(dx * devicePixelRatio, dy * devicePixelRatio);
        else this.desk.window(dx, dy);
        this.#stroke.last = event;
      } else {
        const events = event.getCoalescedEvents?.() || [];
        for (const each of events.length ? events : [event]) this.#draw(this.view.place(each));
      }
    }
    this.view.refresh();
  }

  #up(event) {
    this.#pointers.delete(event.pointerId);
    if (this.#pinch) { if (this.#pointers.size < 2) this.#pinch = null; this.#stroke = null; return; }
    const stroke = this.#stroke;
    this.#stroke = null;
    if (stroke?.before) this.#end(stroke);
  }

  #wheel(event) {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey || !this.desk.step(Math.sign(event.deltaY))) {
      this.view.zoom(Math.exp(-event.deltaY / 400), this.view.place(event).screen);
    }
  }

  #begin(kind, at) {
    const label = this.desk.label();
    if (label === null) return;
    this.desk.begin();
    this.#stroke = { kind, label, before: this.view.layers.copied(), last: at };
    this.view.painting = label;
    this.#draw(at);
  }

  #draw(at) {
    const { kind, label, last } = this.#stroke;
    const { layers } = this.view;
    const { height, width } = layers;
    const layer = layers.of(label);
    for (const pixel of alongLine(last, at, this.radius, this.view.aspect, height, width)) {
      if (kind === "eraser") layer[pixel] = 0;
      else layers.set(label, pixel, this.desk.overlap());
    }
    const reach = this.radius / this.view.aspect;
    const box = [
      Math.max(0, Math.floor(Math.min(last.y, at.y) - reach - 1)), Math.min(height, Math.ceil(Math.max(last.y, at.y) + reach + 2)),
      Math.max(0, Math.floor(Math.min(last.x, at.x) - this.radius - 1)), Math.min(width, Math.ceil(Math.max(last.x, at.x) + this.radius + 2)),
    ];
    this.#stroke.last = at;
    if (box[0] < box[1] && box[2] < box[3]) this.view.repaint(box);
  }

  #end(stroke) {
    this.view.painting = null;
    this.view.repaint();
    this.desk.changed(this.view.layers.changes(stroke.before));
  }

  #abort() {
    if (!this.#stroke?.before) return;
    this.view.layers.layers = this.#stroke.before;
    this.#stroke = null;
    this.view.painting = null;
    this.view.repaint();
  }

  #once(draw) {
    const label = this.desk.label();
    if (label === null) return;
    this.desk.begin();
    const before = this.view.layers.copied();
    draw(this.view.layers, label);
    this.#end({ before });
  }

  #point(at) {
    const [first] = this.#points;
    if (first && this.#points.length > 2) {
      const from = this.view.onScreen(first);
      if (Math.hypot(from.x - at.screen.x, from.y - at.screen.y) < CLOSE * devicePixelRatio) { this.closePolygon(); return; }
    }
    const last = this.#points[this.#points.length - 1];
    if (!last || Math.hypot(last.x - at.x, last.y - at.y) > 0.2) this.#points.push({ x: at.x, y: at.y });
    this.view.refresh();
  }

  #fill(at) {
    const { layers } = this.view;
    const x = Math.floor(at.x), y = Math.floor(at.y);
    if (x < 0 || y < 0 || x >= layers.width || y >= layers.height) return;
    const start = y * layers.width + x;
    this.#once((all, label) => {
      const own = all.of(label);
      if (own[start]) return;
      const other = [...all.layers].find(([value, layer]) => value !== label && layer[start]);
      const alike = other ? (i) => other[1][i] : (i) => !own[i];
      const found = connected(start, alike, all.height, all.width, Boolean(other));
      if (!found) { this.desk.say("This area is open: close its outline first, then fill it"); return; }
      for (const pixel of found) all.set(label, pixel, this.desk.overlap());
    });
  }

  #over(pen) {
    const colour = this.desk.colour();
    const by = devicePixelRatio;
    if (this.#points.length) {
      const points = this.#points.map((each) => this.view.onScreen(each));
      pen.beginPath();
      points.forEach(({ x, y }, n) => (n ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      if (this.#at) pen.lineTo(this.#at.screen.x, this.#at.screen.y);
      pen.strokeStyle = "rgb(0 0 0 / 60%)"; pen.lineWidth = 4 * by; pen.stroke();
      pen.strokeStyle = colour; pen.lineWidth = 2 * by; pen.stroke();
      for (const { x, y } of points) {
        pen.beginPath(); pen.arc(x, y, 4 * by, 0, 7); pen.fillStyle = colour; pen.fill();
        pen.strokeStyle = "#000"; pen.lineWidth = by; pen.stroke();
      }
    }
    if (!this.#at) return;
    const { x, y } = this.#at.screen;
    const kind = this.isPanning ? "hand" : this.tool;
    pen.beginPath();
    if (kind === "brush" || kind === "eraser") {
      pen.arc(x, y, Math.max(this.radius * this.view.scale, 1.5 * by), 0, 7);
    } else {
      const r = 8 * by;
      pen.moveTo(x - r, y); pen.lineTo(x + r, y); pen.moveTo(x, y - r); pen.lineTo(x, y + r);
    }
    pen.strokeStyle = "rgb(0 0 0 / 70%)"; pen.lineWidth = 3 * by; pen.stroke();
    pen.strokeStyle = kind === "eraser" ? "#ffffff" : colour; pen.lineWidth = 1.5 * by; pen.stroke();
  }
}

function pinchOf(pointers) {
  const [a, b] = pointers.filter((each) => each.pointerType === "touch");
  if (!a || !b) return null;
  return {
    x: (a.clientX + b.clientX) / 2,
    y: (a.clientY + b.clientY) / 2,
    apart: Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)),
  };
}
