// The page: what is on it, and who knows of whom.

import * as api from "./api.js";
import { History } from "./history.js";
import { listen, showKeys } from "./keys.js";
import { LabelPanel } from "./labels.js";
import { Layers } from "./layers.js";
import { List, STATES, isDone, percent } from "./list.js";
import { ResultsBox } from "./results.js";
import { Saving } from "./saving.js";
import { SliceStore } from "./slices.js";
import { Tools } from "./tools.js";
import { TunePanel } from "./tune.js";
import { View } from "./view.js";
import { dragged, presetsOf } from "./windows.js";

const LOOK = 800; // milliseconds between two looks at what has changed
const LOOK_SOON = 150; // while the scan on the screen waits for its prediction
const $ = (id) => document.getElementById(id);

const state = {
  desk: null, // what the server said last
  wanted: "", // the one that was asked for last
  scan: null, // the one that is shown; none while it is on its way
  cut: null,
  active: null,
  hidden: new Set(),
  change: -1,
  hasSize: false, // the brush has a size that fits the scans
  orders: 0, // how often a scan was asked for
};
let wake = () => {}; // looks at once
const view = new View($("canvas"));
const history = new History();
const slices = new SliceStore();
const list = new List($("list"), (id) => {
  open(id);
  closeList();
  $("canvas").focus({ preventScroll: true }); // so that Enter is about the scan, not about the list
});
const results = new ResultsBox(toast);
const tune = new TunePanel((desk) => take(desk), toast);

const saving = new Saving({
  onSaved: () => { showNext(); },
  onConflict: (scan, trouble) => {
    toast(trouble.message);
    history.forget(scan.id);
    if (scan === state.scan) open(scan.id, state.cut);
  },
  onTrouble: (trouble) => {
    banner(trouble && `${trouble.message} What you drew is kept in this page, and is sent again until it is saved.`);
  },
});

const tools = new Tools($("canvas"), view, {
  label: () => {
    if (state.active === null) { toast("Add a label first: what do you look for?"); $("new-label").focus(); return null; }
    if (view.show === "hidden") show("outline");
    if (state.hidden.delete(state.active)) showLabels();
    return state.active;
  },
  overlap: () => Boolean(state.desk?.overlap),
  colour: () => labelOf(state.active)?.colour || "#ffffff",
  begin: () => { $("hint").hidden = true; },
  changed: ({ back, there }) => {
    if (!there.length) return;
    history.push(state.scan.id, { cut: state.cut, back, there });
    save(state.cut, there);
  },
  say: toast,
  step: (by) => { if (!isVolume()) return false; toSlice(state.cut?.index + by); return true; },
  window: (dx, dy) => { if (!state.scan?.colour) view.setWindow(...dragged(view.window, dx, dy, view.range)); },
});

const isVolume = () => state.desk?.kind === "volumes";
const labelOf = (value) => state.desk?.labels.find((each) => each.value === value);
const nameOf = (id) => state.desk.scans.find((each) => each.id === id)?.name || "Desk";
const planeOf = () => state.scan.planes[state.cut.plane];

function save(cut, patches) {
  const { scan } = state;
  scan.state = "begun";
  if (!scan.drawn.some(([plane, index]) => plane === cut.plane && index === cut.index)) scan.drawn.push([cut.plane, cut.index]);
  saving.push(scan, cut, patches);
  showBelow();
  showNext();
}

// Scans

async function open(id, cut = null) {
  if (!id || tools.isBusy) return;
  const order = ++state.orders; // whoever clicks again meanwhile sees the last one
  const isOther = id !== state.scan?.id;
  state.wanted = id;
  await saving.idle();
  if (order !== state.orders) return;
  if (isOther) announce(id);
  try {
    const scan = await api.scan(id);
    if (order !== state.orders) return;
    state.scan = scan;
    const plane = isVolume() ? (cut?.plane || state.cut?.plane && scan.planes[state.cut.plane] && state.cut.plane || state.desk.plane) : "2d";
    const { count } = scan.planes[plane];
    state.cut = { plane, index: Math.min(count - 1, cut?.index ?? Math.floor(count / 2)) };
    if (isOther) {
      slices.clear();
      view.range = [scan.low, scan.high];
      view.window = scan.window;
      showPresets();
      if (!state.hasSize) { state.hasSize = true; size(Math.max(1, Math.min(...scan.planes[plane].size) / 30)); }
    }
    $("note").hidden = true;
    await showSlice(isOther);
  } catch (trouble) {
    if (order !== state.orders) return;
    state.scan = null;
    view.preview(null);
    const isSpoilt = trouble.status === 422;
    note(isSpoilt ? `${nameOf(id)} cannot be shown: it ${trouble.message}` : trouble.message);
    if (isSpoilt) list.spoilt.add(id);
  }
  if (order !== state.orders) return;
  $("canvas").ariaBusy = "false";
  location.hash = id;
  showAll();
  list.reveal(id);
  if (isWaiting()) wake();
}

// What is known of a scan is seen at once: its name, and its small picture in place of the large one.
function announce(id) {
  state.scan = null;
  $("canvas").ariaBusy = "true";
  list.mark(id);
  $("scan-name").textContent = nameOf(id);
  $("note").hidden = true;
  view.preview(isVolume() ? null : list.pictureOf(id));
  showNext();
}

async function showSlice(fit = false) {
  const { scan, cut } = state;
  const { size, mm } = scan.planes[cut.plane];
  await saving.idle();
  const [image, masks] = await Promise.all([slices.image(scan, cut), api.masks(scan.id, cut, size)]);
  if (scan !== state.scan || cut !== state.cut) return; // somebody went on
  scan.revision = masks.revision;
  scan.version = masks.version;
  const isOther = view.setSlice(size, mm, image, new Layers(...size, masks.layers));
  if (fit || isOther) view.fit();
  showBelow();
  if (isVolume()) slices.ahead(scan, cut);
}

function toSlice(index) {
  if (!state.scan || !state.cut) return;
  const { count } = planeOf();
  const own = Math.min(count - 1, Math.max(0, index));
  if (own === state.cut.index || tools.isBusy) return;
  state.cut = { ...state.cut, index: own };
  showBelow();
  guard(showSlice());
}

function toPlane(plane) {
  if (!state.scan) return;
  const { count } = state.scan.planes[plane];
  state.cut = { plane, index: Math.floor(count / 2) };
  guard(showSlice(true));
}

// Whether the scan on the screen is about to have its first prediction.
const isWaiting = () => state.scan?.state === "waiting" && !state.scan.reason && state.desk?.ready && state.desk.labelled > 0;

// Whether the scan that was asked for cannot be shown.
const isSpoilt = () => !state.scan && list.spoilt.has(state.wanted);

const guard = (work) => work.catch((trouble) => toast(trouble.message));

async function look() {
  try {
    const desk = await api.overview(state.change, state.wanted);
    if (desk.scans) take(desk);
    else if (desk.tuning) tune.show(desk.tuning, state.desk);
    if (!saving.isIdle) return;
    banner(desk.scans ? desk.problem : state.desk.problem);
  } catch (trouble) {
    banner(trouble.message);
  }
}

function take(desk) {
  state.change = desk.change;
  state.desk = desk;
  if (!labelOf(state.active)) state.active = desk.labels[0]?.value ?? null;
  const now = desk.scans.find((each) => each.id === state.scan?.id);
  if (now && saving.isIdle && !tools.isBusy) {
    const isOther = now.version !== state.scan.version;
    const isTheirs = now.revision !== state.scan.revision;
    Object.assign(state.scan, now);
    if (isTheirs) { history.forget(now.id); toast("This scan was changed in another window"); }
    if (isOther) guard(showSlice());
  }
  showAll();
}

async function finish() {
  if (tools.closePolygon()) return;
  const { scan } = state;
  if (isSpoilt()) { open(list.nextAfter(state.wanted)); return; }
  if (!scan || tools.isBusy) return;
  await saving.idle();
  if (scan.state === "waiting" && !(await confirmed("Nothing is drawn", "Is there nothing to be found in this scan? It becomes an example without any label.", "There is nothing"))) return;
  try {
    const wasDone = isDone(scan);
    if (!wasDone) {
      const desk = await api.finish(scan.id, scan.revision);
      Object.assign(scan, desk.scans.find((each) => each.id === scan.id));
      take(desk);
    }
    const next = list.nextAfter(scan.id);
    if (next) await open(next);
    else if (!wasDone) toast("All scans are looked at. Results writes what you have.");
  } catch (trouble) {
    toast(trouble.message);
    if (trouble.status === 409) open(scan.id, state.cut);
  }
}

async function predict() {
  if (!state.scan) return;
  await saving.idle();
  try { take(await api.predict(state.scan.id)); } catch (trouble) { toast(trouble.message); }
}

// Put the prediction back, as a change that can be undone.
async function restore() {
  const { scan, cut } = state;
  try {
    const { layers } = await api.masks(scan.id, cut, planeOf().size, true);
    const before = view.layers.copied();
    for (const label of new Set([...before.keys(), ...layers.keys()])) view.layers.layers.set(label, layers.get(label) || new Uint8Array(view.layers.height * view.layers.width));
    view.repaint();
    const change = view.layers.changes(before);
    if (!change.there.length) return;
    history.push(scan.id, { cut, ...change });
    save(cut, change.there);
  } catch (trouble) { toast(trouble.message); }
}

async function travel(back) {
  if (!state.scan || tools.isBusy) return;
  if (back && tools.giveUp(false)) return;
  const change = back ? history.back(state.scan.id) : history.forth(state.scan.id);
  if (!change) return;
  const { cut } = change;
  if (cut.plane !== state.cut.plane || cut.index !== state.cut.index) {
    state.cut = { ...cut };
    await showSlice(cut.plane !== state.cut.plane);
  }
  const patches = back ? change.back : change.there;
  view.layers.apply(patches);
  view.repaint();
  save(cut, patches);
}

function confirmSlice() {
  if (!isVolume() || !state.scan) return;
  save(state.cut, []);
  toast("This slice is kept as it is");
}

// Labels

async function setLabels(labels, overlap = state.desk.overlap) {
  try { take(await api.setLabels(labels, overlap)); } catch (trouble) { toast(trouble.message); showLabels(); }
}

const panel = new LabelPanel($("labels"), {
  choose: (value) => { state.active = value; showLabels(); view.refresh(); },
  hide: (value) => { if (!state.hidden.delete(value)) state.hidden.add(value); showLabels(); view.repaint(); },
  change: (label) => setLabels(state.desk.labels.map((each) => (each.value === label.value ? label : each))),
  remove: async (label) => {
    if (!(await confirmed(`Take ${label.name} away?`, "All that is drawn and found of it goes, in every scan, and cannot be brought back.", "Take away"))) return;
    await saving.idle();
    history.clear();
    await setLabels(state.desk.labels.filter((each) => each.value !== label.value));
  },
});

// What is shown

function showAll() {
  if (!state.desk) return;
  const { desk, scan } = state;
  list.show(desk.scans, state.wanted);
  const done = desk.scans.filter(isDone).length;
  $("count").textContent = `${done} of ${desk.scans.length} looked at`;
  $("scan-name").textContent = nameOf(state.wanted);
  $("canvas").ariaLabel = `${nameOf(state.wanted)} with what is drawn on it`;
  document.title = scan ? `${scan.name} – Desk` : "Desk";
  $("overlap").checked = desk.overlap;
  $("status").textContent = statusOf(desk);
  const { working } = desk;
  $("progress").classList.toggle("on", Boolean(working));
  $("progress").firstElementChild.style.width = `${(working?.share || 0) * 100}%`;
  showLabels();
  tune.show(desk.tuning, desk);
  showNext();
}

function statusOf(desk) {
  if (desk.problem && !desk.ready) return "";
  if (!desk.ready) return "The network is being loaded…";
  if (desk.working) return desk.left > 1 ? `Predicting, ${desk.left} to go` : "Predicting…";
  if (desk.judging) return "Checking how well it does…";
  const agreed = desk.scans.filter((each) => isDone(each) && each.agreed !== null).map((each) => each.agreed);
  if (agreed.length) return `Predictions so far: Dice ${percent(agreed.reduce((a, b) => a + b) / agreed.length)}`;
  return "";
}

function showLabels() {
  view.labels = state.desk.labels;
  view.hidden = state.hidden;
  panel.show(state.desk.labels, state.active, state.hidden, state.desk.judged);
  view.repaint();
}

function showNext() {
  const { desk, scan } = state;
  if (!desk) return;
  $("undo").disabled = !scan || !history.canGoBack(scan.id);
  $("redo").disabled = !scan || !history.canGoForth(scan.id);
  const word = scan ? STATES[scan.state] : "";
  $("scan-state").textContent = word;
  $("scan-state").className = `state ${word}`;
  const [accept] = $("finish").children, [again] = $("predict").children;
  const isBegun = scan?.state === "begun", isLookedAt = scan && isDone(scan);
  accept.textContent = isLookedAt || isSpoilt() ? "Next" : isBegun ? "Done" : scan?.state === "waiting" ? "Nothing is there" : "Accept";
  again.textContent = isVolume() && scan?.drawn.length ? "Predict the other slices" : "Predict anew";
  $("finish").disabled = !scan && !isSpoilt();
  $("predict").disabled = !scan || isLookedAt || desk.working?.scans.includes(scan.id) || (isBegun && !isVolume());
  $("restore").hidden = !(isBegun && scan.expected !== null);
  $("said").textContent = saidOf(scan);
  const isEmptyDesk = !desk.examples && !desk.scans.some(isDone);
  const hint = isEmptyDesk && scan?.state === "waiting"
    ? isVolume() ? "Draw on a few slices, then press P: the other slices are found from them." : "Draw what you look for, then press Enter. After two or three scans, the others are found for you."
    : "";
  $("hint").textContent = hint;
  $("hint").hidden = !hint;
}

function saidOf(scan) {
  if (!scan) return "";
  if (scan.reason) return `No prediction: ${scan.reason}`;
  if (isDone(scan)) return scan.agreed === null ? "" : `The prediction had a Dice of ${percent(scan.agreed)}. Draw to change it again.`;
  if (scan.state === "begun") return isVolume() ? `${scan.drawn.length} slices drawn` : "";
  if (scan.expected !== null) return `Expected Dice ${percent(scan.expected)}; the network itself is ${percent(scan.confidence)} sure. Correct it if it is not right.`;
  return "";
}

function showBelow() {
  $("below").hidden = !isVolume() && Boolean(state.scan?.colour);
  for (const id of ["planes", "slice", "slice-said"]) $(id).hidden = !isVolume();
  $("window-tool").hidden = Boolean(state.scan?.colour);
  if (!isVolume()) return;
  const { count } = planeOf();
  $("slice").max = count - 1;
  $("slice").value = state.cut.index;
  const isDrawn = state.scan.drawn.some(([plane, index]) => plane === state.cut.plane && index === state.cut.index);
  $("slice-said").textContent = `${state.cut.index + 1} of ${count}${isDrawn ? " · drawn" : ""}`;
  const names = Object.keys(state.scan.planes);
  if ($("planes").childElementCount !== names.length) {
    $("planes").replaceChildren(...names.map((plane) => {
      const button = document.createElement("button");
      button.textContent = plane[0].toUpperCase() + plane.slice(1);
      button.dataset.plane = plane;
      button.addEventListener("click", () => toPlane(plane));
      return button;
    }));
  }
  for (const each of $("planes").children) each.setAttribute("aria-pressed", String(each.dataset.plane === state.cut.plane));
}

function showPresets() {
  $("preset").replaceChildren(...presetsOf(state.scan).map(([name, low, high]) => {
    const option = document.createElement("option");
    option.textContent = name;
    option.value = `${low},${high}`;
    return option;
  }));
}

function show(how) {
  view.show = how;
  for (const each of document.querySelectorAll("[data-show]")) each.setAttribute("aria-pressed", String(each.dataset.show === how));
  view.refresh();
}

function choose(tool) {
  tools.choose(tool);
  for (const each of document.querySelectorAll("[data-tool]")) each.setAttribute("aria-pressed", String(each.dataset.tool === tool));
}

function size(radius) {
  tools.radius = Math.min(200, Math.max(0.5, radius));
  $("size").value = Math.round(tools.radius * 2);
  $("size-said").textContent = Math.round(tools.radius * 2);
  view.refresh();
}

function toast(said) {
  const line = document.createElement("p");
  line.textContent = said;
  $("toasts").replaceChildren(line);
  setTimeout(() => line.remove(), 5000);
}

function banner(said) {
  $("banner").textContent = said || "";
  $("banner").hidden = !said;
}

function note(said) {
  $("note").textContent = said;
  $("note").hidden = false;
}

function confirmed(title, said, yes) {
  const box = $("ask");
  $("ask-title").textContent = title;
  $("ask-said").textContent = said;
  box.querySelector("[value=yes]").textContent = yes;
  box.returnValue = "no";
  box.showModal();
  return new Promise((answer) => box.addEventListener("close", () => answer(box.returnValue === "yes"), { once: true }));
}

function closeList() {
  $("scans").classList.remove("shown");
  $("show-list").setAttribute("aria-expanded", "false");
}

// What a person does

$("finish").addEventListener("click", finish);
$("predict").addEventListener("click", predict);
$("restore").addEventListener("click", restore);
$("undo").addEventListener("click", () => guard(travel(true)));
$("redo").addEventListener("click", () => guard(travel(false)));
$("slice").addEventListener("input", () => toSlice(Number($("slice").value)));
$("preset").addEventListener("change", () => view.setWindow(...$("preset").value.split(",").map(Number)));
$("size").addEventListener("input", () => size(Number($("size").value) / 2));
$("opacity").addEventListener("input", () => { view.opacity = Number($("opacity").value) / 100; view.refresh(); });
$("overlap").addEventListener("change", () => setLabels(state.desk.labels, $("overlap").checked));
$("order").addEventListener("change", () => { list.order = $("order").value; showAll(); });
$("results").addEventListener("click", () => results.open(saving));
$("help").addEventListener("click", help);
$("show-list").addEventListener("click", () => {
  const isShown = $("scans").classList.toggle("shown");
  $("show-list").setAttribute("aria-expanded", String(isShown));
});
for (const each of document.querySelectorAll("[data-tool]")) each.addEventListener("click", () => choose(each.dataset.tool));
for (const each of document.querySelectorAll("[data-show]")) each.addEventListener("click", () => show(each.dataset.show));
$("add-label").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = $("new-label").value.trim();
  if (!name) return;
  try {
    take(await api.addLabel(name));
    $("new-label").value = "";
    $("new-label").blur();
    state.active = state.desk.labels.at(-1).value;
    showLabels();
  } catch (trouble) { toast(trouble.message); }
});

function help() {
  showKeys($("keys-list"));
  $("keys").showModal();
}

listen({
  Enter: () => { finish(); },
  Escape: () => tools.giveUp(true) || closeList(),
  Backspace: () => tools.giveUp(false),
  p: () => { predict(); },
  b: () => choose("brush"), e: () => choose("eraser"), g: () => choose("polygon"), f: () => choose("fill"),
  h: () => choose("hand"), w: () => { if (!state.scan?.colour) choose("window"); },
  "[": () => size(tools.radius / 1.25), "]": () => size(tools.radius * 1.25 + 0.25),
  "Ctrl z": () => { guard(travel(true)); }, "Ctrl Shift z": () => { guard(travel(false)); }, "Ctrl y": () => { guard(travel(false)); },
  o: () => show(view.show === "outline" ? "filled" : "outline"),
  m: () => show(view.show === "hidden" ? "outline" : "hidden"),
  ArrowUp: () => { open(list.neighbour(state.wanted, -1)); }, ArrowDown: () => { open(list.neighbour(state.wanted, 1)); },
  ArrowLeft: () => { if (isVolume()) toSlice(state.cut?.index - 1); }, ArrowRight: () => { if (isVolume()) toSlice(state.cut?.index + 1); },
  x: () => { if (isVolume() && state.scan) { const names = Object.keys(state.scan.planes); toPlane(names[(names.indexOf(state.cut.plane) + 1) % names.length]); } },
  c: confirmSlice,
  "+": () => view.zoom(1.25), "=": () => view.zoom(1.25), "-": () => view.zoom(0.8), 0: () => view.fit(),
  r: () => { results.open(saving); },
  "?": help,
  " ": () => { tools.isPanning = true; },
  ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => [n, () => {
    const label = state.desk?.labels[n - 1];
    if (label) { state.active = label.value; showLabels(); }
  }])),
});
document.addEventListener("keyup", (event) => { if (event.key === " ") tools.isPanning = false; });
addEventListener("blur", () => { tools.isPanning = false; });
addEventListener("beforeunload", (event) => { if (!saving.isIdle) event.preventDefault(); });

await look();
if (state.desk) {
  const asked = location.hash.slice(1);
  const isThere = state.desk.scans.some((each) => each.id === asked);
  await open(isThere ? asked : list.scans[0]?.id);
  while (!isThere && isSpoilt() && list.nextAfter(state.wanted)) await open(list.nextAfter(state.wanted));
  if (list.spoilt.size && state.scan) toast(`${list.spoilt.size === 1 ? nameOf([...list.spoilt][0]) : `${list.spoilt.size} scans`} cannot be shown`);
}
(async function watch() {
  for (;;) {
    await new Promise((done) => {
      wake = done;
      setTimeout(done, document.hidden ? 3 * LOOK : isWaiting() ? LOOK_SOON : LOOK);
    });
    await look();
  }
})();
