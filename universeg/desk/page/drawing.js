// Pixels under brushes, in polygons, and in closed areas. `aspect` is the height of a pixel, its width being 1.

// Every pixel whose middle is within `radius` of the line from a to b; always the one under b.
export function* alongLine(a, b, radius, aspect, height, width) {
  const left = Math.max(0, Math.floor(Math.min(a.x, b.x) - radius));
  const right = Math.min(width - 1, Math.ceil(Math.max(a.x, b.x) + radius));
  const reach = radius / aspect;
  const top = Math.max(0, Math.floor(Math.min(a.y, b.y) - reach));
  const bottom = Math.min(height - 1, Math.ceil(Math.max(a.y, b.y) + reach));
  const dx = b.x - a.x, dy = (b.y - a.y) * aspect;
  const long = dx * dx + dy * dy || 1;
  const under = { x: Math.floor(b.x), y: Math.floor(b.y) };
  for (let y = top; y <= bottom; y += 1) {
    for (let x = left; x <= right; x += 1) {
      const px = x + 0.5 - a.x, py = (y + 0.5 - a.y) * aspect;
      const t = Math.min(1, Math.max(0, (px * dx + py * dy) / long));
      const ex = px - t * dx, ey = py - t * dy;
      if (ex * ex + ey * ey <= radius * radius || (x === under.x && y === under.y)) yield y * width + x;
    }
  }
}

// Every pixel whose middle lies in a polygon.
export function* inPolygon(points, height, width) {
  for (let y = 0; y < height; y += 1) {
    const crossings = [];
    points.forEach((a, n) => {
      const b = points[(n + 1) % points.length];
      const middle = y + 0.5;
      if ((a.y <= middle) !== (b.y <= middle)) crossings.push(a.x + ((middle - a.y) / (b.y - a.y)) * (b.x - a.x));
    });
    crossings.sort((one, other) => one - other);
    for (let n = 0; n + 1 < crossings.length; n += 2) {
      const first = Math.max(0, Math.ceil(crossings[n] - 0.5));
      const end = Math.min(width, Math.ceil(crossings[n + 1] - 0.5));
      for (let x = first; x < end; x += 1) yield y * width + x;
    }
  }
}

// The pixels that hang together with one and are alike; null if they reach the border and may not.
export function connected(start, isAlike, height, width, mayReachBorder) {
  const seen = new Uint8Array(height * width);
  const found = [start];
  seen[start] = 1;
  for (let n = 0; n < found.length; n += 1) {
    const i = found[n], x = i % width, y = (i - x) / width;
    if (!mayReachBorder && (x === 0 || y === 0 || x === width - 1 || y === height - 1)) return null;
    for (const next of [x > 0 ? i - 1 : -1, x < width - 1 ? i + 1 : -1, i - width, i + width]) {
      if (next < 0 || next >= seen.length || seen[next] || !isAlike(next)) continue;
      seen[next] = 1;
      found.push(next);
    }
  }
  return found;
}

// The inside as boxes, one a run of pixels; they overlap a little, so that no seam shows between rows.
export function inside(layer, height, width) {
  const path = new Path2D();
  for (let y = 0, i = 0; y < height; y += 1) {
    for (let x = 0, from = -1; x <= width; x += 1) {
      const isInside = x < width && layer[i + x];
      if (isInside && from < 0) from = x;
      else if (!isInside && from >= 0) { path.rect(from, y, x - from, 1.05); from = -1; }
    }
    i += width;
  }
  return path;
}

// The border between inside and outside as lines along the edges of pixels.
export function border(layer, height, width) {
  const path = new Path2D();
  for (let y = 0; y <= height; y += 1) {
    let from = -1;
    for (let x = 0; x <= width; x += 1) {
      const above = x < width && y > 0 ? layer[(y - 1) * width + x] : 0;
      const below = x < width && y < height ? layer[y * width + x] : 0;
      if (above !== below && from < 0) from = x;
      else if (above === below && from >= 0) { path.moveTo(from, y); path.lineTo(x, y); from = -1; }
    }
  }
  for (let x = 0; x <= width; x += 1) {
    let from = -1;
    for (let y = 0; y <= height; y += 1) {
      const before = y < height && x > 0 ? layer[y * width + x - 1] : 0;
      const after = y < height && x < width ? layer[y * width + x] : 0;
      if (before !== after && from < 0) from = y;
      else if (before === after && from >= 0) { path.moveTo(x, from); path.lineTo(x, y); from = -1; }
    }
  }
  return path;
}
