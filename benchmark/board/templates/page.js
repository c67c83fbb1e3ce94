"use strict";

const OTHER = { ascending: "descending", descending: "ascending" };

/** The value that a row is sorted by in a column; empty where there is none. */
function valueOf(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value ?? cell.textContent.trim();
}

/** Sort a table by the column of a header; what has no value stays last. */
function sort(header) {
  const body = header.closest("table").tBodies[0];
  const column = header.cellIndex;
  const first = header.dataset.first ?? "ascending";
  const order = header.getAttribute("aria-sort") === first ? OTHER[first] : first;
  const sign = order === "ascending" ? 1 : -1;
  const isNumber = header.classList.contains("number");
  const compare = (one, other) => {
    const [a, b] = [valueOf(one, column), valueOf(other, column)];
    if (a === "" || b === "") return (a === "") - (b === "");
    return sign * (isNumber ? a - b : a.localeCompare(b));
  };
  for (const each of header.parentElement.cells) each.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
  body.append(...[...body.rows].sort(compare));
}

/** Show the cases of a cell. */
function show(opener) {
  const dialog = document.querySelector("dialog");
  const cases = document.getElementById(opener.dataset.cases);
  dialog.querySelector(".cases").replaceChildren(cases.content.cloneNode(true));
  dialog.showModal();
  dialog.scrollTop = 0;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.cases) show(button);
  else if (button?.closest("thead")) sort(button.closest("th"));
  else if (event.target.matches("dialog")) event.target.close();
});

let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const each of closed) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of closed) each.open = false;
});
