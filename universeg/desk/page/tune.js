// The panel in which the network is let go on learning from what was looked at.

import * as api from "./api.js";
import { percent } from "./list.js";

const $ = (id) => document.getElementById(id);
const FEW = 2; // labelled scans that leave something to judge by

export class TunePanel {
  // `take(desk)` shows what the server says, `toast(said)` a trouble.
  constructor(take, toast) {
    const ask = (work) => async () => {
      try { take(await work()); } catch (trouble) { toast(trouble.message); }
    };
    $("tune-begin").addEventListener("click", ask(() => api.tune(Number($("tune-minutes").value))));
    $("tune-stop").addEventListener("click", ask(api.stopTuning));
    $("tune-back").addEventListener("click", ask(api.untune));
  }

  show(tuning, desk) {
    const { running, kept } = tuning;
    $("tune").hidden = !desk.ready || (desk.labelled < FEW && !running && !kept);
    $("tune-said").textContent = said(tuning, desk.labelled);
    $("tune-bar").hidden = !running;
    $("tune-bar").setAttribute("aria-valuenow", Math.round(tuning.share * 100));
    $("tune-bar").firstElementChild.style.width = `${tuning.share * 100}%`;
    $("tune-begin").hidden = $("tune-minutes").hidden = running;
    $("tune-begin").textContent = kept ? "Tune again" : "Tune";
    $("tune-stop").hidden = !running;
    $("tune-back").hidden = running || !kept;
  }
}

function said({ running, left, problem, last, kept, knows }, labelled) {
  if (running) return left ? `Learning from ${labelled} scans, ${clock(left)} left. Go on drawing.` : "Nearly done…";
  if (problem) return problem;
  if (kept && !knows) return "A label came since, which it has not learnt. Tune again.";
  if (kept) return `It has learnt. The expected Dice was ${change(kept, "and is")}, as found on scans that were left out.`;
  if (last) return `No better, so nothing has changed. The expected Dice is ${change(last, "and would have been")}, as found on scans that were left out. More scans or more time may help.`;
  return `Lets the network go on learning from your ${labelled} scans. You can go on drawing.`;
}

function change({ before, after }, then) {
  if (before === null || after === null) return "unknown";
  const isSmall = percent(before) === percent(after);
  const told = (value) => (isSmall ? `${(100 * value).toFixed(1)} %` : percent(value));
  return `${told(before)} ${then} ${told(after)}`;
}
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
