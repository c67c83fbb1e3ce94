// Small pictures of scans, few at a time: a browser has six connections to a server, and what a person
// does must find a free one.

const AT_ONCE = 2;
const NEAR = "300px"; // from where it can be seen

export class Thumbnails {
  #running = 0;
  #wanted = new Set();
  #watch;

  // Of images within a box that is scrolled.
  constructor(box) {
    this.#watch = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) this.#wanted[isIntersecting ? "add" : "delete"](target);
      this.#next();
    }, { root: box, rootMargin: NEAR });
  }

  // Have an image show what is at an address, as soon as somebody may see it.
  show(image, address) {
    image.dataset.at = address;
    this.#watch.observe(image);
  }

  #next() {
    for (const image of this.#wanted) {
      if (this.#running >= AT_ONCE) return;
      this.#wanted.delete(image);
      this.#watch.unobserve(image);
      this.#running += 1;
      const ended = () => { this.#running -= 1; this.#next(); };
      image.addEventListener("load", ended, { once: true });
      image.addEventListener("error", () => { image.removeAttribute("src"); ended(); }, { once: true });
      image.src = image.dataset.at;
    }
  }
}
