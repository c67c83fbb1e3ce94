// What was done to each scan, to go back and forth in.

const MOST = 200;

export class History {
  #scans = new Map();

  push(id, change) {
    const { done, undone } = this.#of(id);
    done.push(change);
    undone.length = 0;
    if (done.length > MOST) done.shift();
  }

  back(id) { return this.#move(this.#of(id).done, this.#of(id).undone); }

  forth(id) { return this.#move(this.#of(id).undone, this.#of(id).done); }

  canGoBack(id) { return this.#of(id).done.length > 0; }

  canGoForth(id) { return this.#of(id).undone.length > 0; }

  forget(id) { this.#scans.delete(id); }

  clear() { this.#scans.clear(); }

  #of(id) {
    if (!this.#scans.has(id)) this.#scans.set(id, { done: [], undone: [] });
    return this.#scans.get(id);
  }

  #move(from, to) {
    const change = from.pop();
    if (change) to.push(change);
    return change;
  }
}
