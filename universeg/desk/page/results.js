// The box in which results are asked for.

import * as api from "./api.js";

const AGAIN = 700; // milliseconds
const $ = (id) => document.getElementById(id);

export class ResultsBox {
  #isWatching = false;

  constructor(toast) {
    this.toast = toast;
    $("results-write").addEventListener("click", () => this.#write());
  }

  async open(saving) {
    await saving.idle();
    try {
      this.#show(await api.results());
      $("results-box").showModal();
    } catch (trouble) { this.toast(trouble.message); }
  }

  async #write() {
    try {
      this.#show(await api.writeResults($("results-unseen").checked, $("results-patients").checked));
      this.#watch();
    } catch (trouble) { $("results-said").textContent = trouble.message; }
  }

  async #watch() {
    if (this.#isWatching) return;
    this.#isWatching = true;
    try {
      for (let told = { running: true }; told.running;) {
        await new Promise((done) => setTimeout(done, AGAIN));
        told = await api.results();
        this.#show(told);
      }
    } catch (trouble) { $("results-said").textContent = trouble.message; }
    this.#isWatching = false;
  }

  #show(told) {
    $("results-folder").textContent = told.folder;
    $("results-write").disabled = told.running;
    const failed = told.failures.map(([name, reason]) => `${name}: ${reason}`);
    $("results-said").textContent = told.running
      ? `${told.done} of ${told.of} scans…`
      : told.problem || [told.written.length ? `Written: ${told.written.join(", ")}` : "", ...failed].filter(Boolean).join(". ");
  }
}
