// What the server is asked. Every trouble comes back as a Trouble, with a sentence to show.

export class Trouble extends Error {
  constructor(status, problem, remedy = "") {
    super(remedy ? `${problem}. ${remedy}` : problem);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Trouble(0, "The desk does not answer", "Was it closed where it was started?");
  }
  if (answer.ok) return answer;
  if (answer.status === 401) {
    throw new Trouble(401, "The desk was started anew", "Open the address that it printed.");
  }
  let said = {};
  try { said = await answer.json(); } catch { /* it said nothing that can be read */ }
  throw new Trouble(answer.status, said.problem || `The desk answered ${answer.status}`, said.remedy);
}

const json = async (path) => (await ask(path)).json();
const send = async (method, path, body) =>
  (await ask(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) })).json();

const at = (id, cut) => `${id}/${cut.plane}/${cut.index}`;
export const thumbnail = (id) => `/api/scans/${id}/thumbnail`;

export const overview = (since, opened) => json(`/api/desk?since=${since}&opened=${encodeURIComponent(opened)}`);
export const scan = (id) => json(`/api/scans/${id}`);
export const edit = (id, body) => send("POST", `/api/scans/${id}/edits`, body);
export const finish = (id, revision) => send("POST", `/api/scans/${id}/finish`, { revision });
export const predict = (id) => send("POST", `/api/scans/${id}/predict`, {});
export const setLabels = (labels, overlap) => send("PUT", "/api/labels", { labels, overlap });
export const addLabel = (name) => send("POST", "/api/labels", { name });
export const tune = (seconds) => send("POST", "/api/tuning", { seconds });
export const stopTuning = () => send("POST", "/api/tuning/stop", {});
export const untune = () => send("POST", "/api/tuning/back", {});
export const results = () => json("/api/results");
export const writeResults = (unseen, patients) => send("POST", "/api/results", { unseen, patients });

export async function image(id, cut, isColour) {
  const answer = await ask(`/api/scans/${at(id, cut).replace("/", "/image/")}`);
  if (isColour) return createImageBitmap(await answer.blob());
  return new Uint16Array(await answer.arrayBuffer());
}

// The layers of a slice: a map from a label to its pixels, one byte each.
export async function masks(id, cut, [height, width], found = false) {
  const answer = await ask(`/api/scans/${at(id, cut).replace("/", "/masks/")}${found ? "?found=true" : ""}`);
  const bits = new Uint8Array(await answer.arrayBuffer());
  const labels = (answer.headers.get("x-labels") || "").split(",").filter(Boolean).map(Number);
  const size = height * width;
  const bytes = Math.ceil(size / 8);
  const layers = new Map();
  labels.forEach((label, number) => {
    const layer = new Uint8Array(size);
    const start = number * bytes;
    for (let byte = 0, pixel = 0; byte < bytes; byte += 1) {
      const eight = bits[start + byte];
      if (eight === 0) { pixel += 8; continue; }
      for (let bit = 7; bit >= 0 && pixel < size; bit -= 1, pixel += 1) layer[pixel] = (eight >> bit) & 1;
    }
    layers.set(label, layer);
  });
  return {
    layers,
    revision: Number(answer.headers.get("x-revision")),
    version: Number(answer.headers.get("x-version")),
  };
}
