// The keys of the page, and the page that tells them.

export const KEYS = [
  ["Enter", "Accept, or done; then the next scan"], ["P", "Predict anew; of a volume, its other slices"],
  ["B", "Brush"], ["E", "Eraser"],
  ["G", "Polygon; Enter closes it, Esc gives it up"], ["F", "Fill a closed area"],
  ["H or Space", "Move the picture"], ["W or right button", "Brightness and contrast"],
  ["[ and ]", "Smaller, larger brush"], ["1 to 9", "Choose a label"],
  ["Ctrl Z", "Undo"], ["Ctrl Shift Z", "Redo"],
  ["O", "Outlines or filled"], ["M", "Hide and show labels"],
  ["↑ and ↓", "Scan before, scan after"], ["← and →, wheel", "Slice before, slice after"],
  ["X", "Next plane of a volume"], ["C", "This slice is right as it is"],
  ["+ and −, Ctrl wheel", "Larger, smaller"], ["0", "The whole scan"],
  ["R", "Results"], ["?", "These keys"],
];

export function showKeys(box) {
  if (box.childElementCount) return;
  for (const [keys, said] of KEYS) {
    const key = document.createElement("kbd"), about = document.createElement("span");
    key.textContent = keys;
    about.textContent = said;
    box.append(key, about);
  }
}

// Call what a key means, unless somebody is typing or a dialog is open.
export function listen(meanings) {
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const isTyping = target.matches?.("input:not([type=range]):not([type=checkbox]):not([readonly]), select, textarea");
    if (isTyping || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && target.matches?.("button, summary, a")) return;
    if (target.matches?.("input[type=range]") && event.key.startsWith("Arrow")) return;
    const held = event.ctrlKey || event.metaKey;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const name = `${held ? "Ctrl " : ""}${held && event.shiftKey ? "Shift " : ""}${key}`;
    const meaning = meanings[name];
    if (!meaning || (event.altKey && !held)) return;
    if (meaning(event) !== false) event.preventDefault();
  });
}
