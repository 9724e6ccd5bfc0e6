// For phones: a table's row becomes a card whose cells are named by their columns, and the current tab is in sight.
// Without this script both are reached by scrolling sideways.

function label(table) {
  const names = [...table.querySelectorAll("thead th")].map((head) => head.dataset.name ?? head.textContent.trim());
  const plain = [...table.rows].every((row) => row.closest("tfoot") || row.cells.length === names.length);
  if (!names.length || !plain) return; // spanning cells have no one column
  for (const row of table.tBodies[0]?.rows ?? []) {
    [...row.cells].forEach((cell, index) => {
      if (cell.scope !== "row") cell.dataset.name = names[index];
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
