// The list of scans.

import { thumbnail } from "./api.js";
import { Thumbnails } from "./thumbnails.js";

export const STATES = {
  waiting: "waiting", predicted: "predicted", begun: "begun", accepted: "accepted", corrected: "corrected",
};
export const isDone = (scan) => scan.state === "accepted" || scan.state === "corrected";

const rank = (scan) => (scan.state === "begun" ? 0 : scan.state === "predicted" ? 1 : scan.state === "waiting" ? 2 : 3);
const byName = (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true });
const byNeed = (a, b) =>
  rank(a) - rank(b) || (isDone(a) ? 0 : (a.expected ?? 2) - (b.expected ?? 2)) || byName(a, b);

export const percent = (value) => `${Math.round(value * 100)} %`;

export class List {
  #items = new Map();
  #thumbnails;

  constructor(box, onChoose) {
    this.box = box;
    this.#thumbnails = new Thumbnails(box);
    this.onChoose = onChoose;
    this.order = "certain";
    this.spoilt = new Set(); // what cannot be shown, which nobody is led to
    this.scans = [];
  }

  // The scan that teaches most, of those that nobody has looked at.
  nextAfter(id) {
    return this.scans.find((each) => each.id !== id && !isDone(each) && !this.spoilt.has(each.id))?.id;
  }

  neighbour(id, by) {
    const at = this.scans.findIndex((each) => each.id === id);
    return this.scans[Math.min(this.scans.length - 1, Math.max(0, at + by))]?.id;
  }

  show(scans, current) {
    this.scans = [...scans].sort(this.order === "name" ? byName : byNeed);
    this.scans.forEach((scan, at) => {
      const item = this.#itemOf(scan);
      const isSpoilt = this.spoilt.has(scan.id);
      item.about.textContent = isSpoilt ? "cannot be shown" : STATES[scan.state];
      item.about.className = `state ${scan.state}`;
      const dice = isDone(scan) ? scan.agreed : scan.expected;
      const isTold = !scan.reason && dice !== null && scan.state !== "begun";
      item.dice.textContent = scan.reason || isSpoilt ? "!" : isTold ? percent(dice) : "";
      item.dice.title = scan.reason || (!isTold ? "" : isDone(scan) ? "Dice of the prediction with what you made of it" : "Expected Dice, as labelled scans tell that were left out");
      item.sure.textContent = isTold && !isDone(scan) ? `sure ${percent(scan.confidence)}` : "";
      item.sure.title = item.sure.textContent && "What the network makes of it by itself";
      const said = isTold ? `${isDone(scan) ? "Dice of the prediction" : "expected Dice"} ${percent(dice)}` : scan.reason;
      item.button.setAttribute("aria-label", [scan.name, item.about.textContent, said].filter(Boolean).join(", "));
      item.button.setAttribute("aria-current", String(scan.id === current));
      if (this.box.children[at] !== item.row) this.box.insertBefore(item.row, this.box.children[at] || null);
    });
  }

  // The small picture of a scan, if it is there already.
  pictureOf(id) {
    const picture = this.#items.get(id)?.picture;
    return picture?.naturalWidth ? picture : null;
  }

  // The one that is shown from now on.
  mark(id) {
    for (const [own, { button }] of this.#items) button.setAttribute("aria-current", String(own === id));
  }

  reveal(id) { this.#items.get(id)?.row.scrollIntoView({ block: "nearest" }); }

  #itemOf(scan) {
    if (this.#items.has(scan.id)) return this.#items.get(scan.id);
    const make = (tag, className) => Object.assign(document.createElement(tag), { className });
    const row = make("li", ""), button = make("button", ""), picture = make("img", "");
    const name = make("span", "name"), line = make("span", "about"), about = make("span", "state"), dice = make("span", "dice"), sure = make("span", "sure");
    picture.alt = "";
    this.#thumbnails.show(picture, thumbnail(scan.id));
    name.textContent = scan.name;
    button.title = scan.name;
    line.append(about, sure);
    button.append(picture, name, dice, line);
    button.addEventListener("click", () => this.onChoose(scan.id));
    row.append(button);
    const item = { row, button, picture, about, dice, sure };
    this.#items.set(scan.id, item);
    return item;
  }
}
