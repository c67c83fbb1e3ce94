// Edits on their way to the disk, in their order. What cannot be saved stays here, and is tried again.

import * as api from "./api.js";

const AGAIN = 1000; // milliseconds

export class Saving {
  #waiting = [];
  #running = null;

  // `onSaved(scan, answer)`, `onConflict(scan)`, `onTrouble(trouble or null)`
  constructor({ onSaved, onConflict, onTrouble }) {
    this.onSaved = onSaved;
    this.onConflict = onConflict;
    this.onTrouble = onTrouble;
  }

  get isIdle() { return this.#waiting.length === 0; }

  push(scan, cut, patches) {
    this.#waiting.push({ scan, cut, patches });
    this.#running ||= this.#run();
  }

  // Wait until all is on the disk.
  async idle() { await this.#running; }

  async #run() {
    while (this.#waiting.length) {
      const { scan, cut, patches } = this.#waiting[0];
      try {
        const body = { revision: scan.revision, plane: cut.plane, index: cut.index, patches };
        const answer = await api.edit(scan.id, body);
        this.#waiting.shift();
        scan.revision = answer.revision;
        scan.version = answer.version;
        this.onTrouble(null);
        this.onSaved(scan, answer);
      } catch (trouble) {
        if (trouble.status === 409) {
          this.#waiting = this.#waiting.filter((each) => each.scan !== scan);
          this.onConflict(scan, trouble);
        } else if ([400, 404, 422].includes(trouble.status)) {
          this.#waiting.shift();
          this.onConflict(scan, trouble);
        } else {
          this.onTrouble(trouble);
          await new Promise((done) => setTimeout(done, AGAIN));
        }
      }
    }
    this.#running = null;
  }
}
