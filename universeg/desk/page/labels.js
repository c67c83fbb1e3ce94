// The panel of labels: colour, name, whether it is seen, and which one is drawn.

import { percent } from "./list.js";

const EYE = "M2 10s3-5.500 8-5.500 8 5.500 8 5.500-3 5.500-8 5.500S2 10 2 10zM10 12.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z";
const SHUT = "M3 3l14 14M8.500 4.700c4.800-.7 8.500 4 9.500 5.300-.5.7-1.400 1.800-2.600 2.900M12.500 14.900C6.800 17 3 11.300 2 10c.6-.8 1.700-2.200 3.300-3.400";
const CROSS = "M5 5l10 10M15 5 5 15";

function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export class LabelPanel {
  #shown = "";

  // `on` has: choose(value), hide(value), change(label), remove(label)
  constructor(box, on) {
    this.box = box;
    this.on = on;
  }

  // `judged` has, by the value of a label, how well it is found in scans that were left out.
  show(labels, active, hidden, judged) {
    const now = JSON.stringify([labels, active, [...hidden], judged]);
    if (now === this.#shown || this.#isRenaming()) return;
    this.#shown = now;
    this.box.replaceChildren(...labels.map((label, n) => this.#row(label, n, label.value === active, hidden.has(label.value), judged[label.value])));
  }

  #isRenaming() {
    const { activeElement } = document;
    return this.box.contains(activeElement) && activeElement.classList.contains("named") && !activeElement.readOnly;
  }

  #row(label, number, isActive, isHidden, judged) {
    const row = document.createElement("li");
    row.classList.toggle("active", isActive);
    row.classList.toggle("hidden", isHidden);
    row.dataset.value = label.value;
    const colour = Object.assign(document.createElement("input"), { type: "color", value: label.colour, title: "Colour" });
    colour.setAttribute("aria-label", `Colour of ${label.name}`);
    colour.addEventListener("change", () => this.on.change({ ...label, colour: colour.value }));
    const name = Object.assign(document.createElement("input"), { className: "named", value: label.name, maxLength: 80 });
    name.setAttribute("aria-label", `Label ${number + 1}`);
    name.readOnly = true; // keys are the page's own until it is being renamed
    name.title = `${number < 9 ? `${number + 1} chooses it; ` : ""}a second click renames it`;
    const rename = () => { name.readOnly = false; name.focus(); name.select(); };
    name.addEventListener("click", () => { if (isActive) rename(); else this.on.choose(label.value); });
    name.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && name.readOnly) { event.stopPropagation(); rename(); return; }
      if (event.key === "Escape") name.value = label.name;
      if (event.key === "Enter" || event.key === "Escape") name.blur();
    });
    name.addEventListener("blur", () => {
      if (name.readOnly) return;
      name.readOnly = true;
      if (name.value.trim() && name.value !== label.name) this.on.change({ ...label, name: name.value });
      else name.value = label.name;
    });
    const see = document.createElement("button");
    see.append(icon(isHidden ? SHUT : EYE));
    see.setAttribute("aria-label", `Show ${label.name}`);
    see.setAttribute("aria-pressed", String(!isHidden));
    see.title = isHidden ? "Show" : "Hide";
    see.addEventListener("click", () => this.on.hide(label.value));
    const remove = document.createElement("button");
    remove.append(icon(CROSS));
    remove.setAttribute("aria-label", `Take ${label.name} away`);
    remove.title = "Take away";
    remove.addEventListener("click", () => this.on.remove(label));
    row.append(colour, name, see, remove);
    if (judged) row.append(leftOut(judged));
    row.addEventListener("click", (event) => { if (event.target === row) this.on.choose(label.value); });
    return row;
  }
}

function leftOut({ dice, low, high, scans, warning }) {
  const said = Object.assign(document.createElement("span"), { className: "left-out" });
  said.classList.toggle("low", Boolean(warning));
  said.textContent = `left out: Dice ${percent(dice)} (${Math.round(low * 100)}–${percent(high)})`;
  said.title = [`${scans} labelled scans, each found from the others`, warning].filter(Boolean).join("; ");
  return said;
}
