// For phones: a table's row becomes a card whose cells are named by their columns, and the current tab is in sight.
// Without this script both are reached by scrolling sideways.

function label(table) {
  const names = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim());
  const rows = [...table.rows].filter((row) => row.parentElement.tagName !== "THEAD");
  const whole = (row) => row.cells.length === names.length; // a spanning cell has no one column
  if (!names.length || !rows.every((row) => whole(row) || row.parentElement.tagName === "TFOOT")) return;
  for (const row of rows.filter(whole)) {
    row.classList.add("cells");
    [...row.cells].forEach((cell, index) => {
      if (cell.scope !== "row") cell.dataset.name = names[index];
      if (!cell.textContent.trim() && !cell.children.length) cell.classList.add("blank");
    });
  }
  table.classList.add("named");
}

function labelAll() {
  document.querySelectorAll(".scroll > table:not(.named)").forEach(label);
}

labelAll();
document.addEventListener("htmx:load", labelAll); // of what htmx put into the page, too

for (const tabs of document.querySelectorAll(".tabs")) {
  const current = tabs.querySelector("[aria-current]");
  if (current) tabs.scrollLeft = current.offsetLeft - (tabs.clientWidth - current.offsetWidth) / 2;
}
