// Registration and a server's page: prices in words while they are typed, as many models as are needed,
// and a button that says that it works while a check runs.

const NANOS_PER_USD = 1e9;

function inWords(value) {
  if (!/^[0-9]+$/.test(value)) return "Nanodollars per token: 100 is $0.10 per 1M tokens.";
  const usd = Number(value) * 1e6 / NANOS_PER_USD;
  return `$${usd.toFixed(Number.isInteger(usd * 100) ? 2 : 3)} per 1M tokens`;
}

document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-price]")) return;
  const help = document.getElementById(`${event.target.id}_helptext`);
  if (help) help.textContent = inWords(event.target.value);
});

const more = document.querySelector("[data-more]");
if (more) {
  const rows = document.getElementById("models");
  const blank = document.getElementById("blank-model");
  const total = document.getElementById("id_models-TOTAL_FORMS");
  const isEmpty = (row) => !row.querySelector("[name$=model_id]").value && !row.querySelector(".errorlist");
  [...rows.children].slice(1).filter(isEmpty).forEach((row) => row.remove());
  renumber();
  more.hidden = false;
  more.addEventListener("click", () => {
    const holder = document.createElement("div");
    holder.innerHTML = blank.innerHTML.replaceAll("__prefix__", rows.children.length);
    const row = rows.appendChild(holder.firstElementChild);
    renumber();
    row.querySelector("input").focus();
  });

  // Django reads the rows models-0 … models-(TOTAL_FORMS - 1).
  function renumber() {
    [...rows.children].forEach((row, index) => {
      row.querySelector("legend").textContent = `Model ${index + 1}`;
      for (const element of row.querySelectorAll("[id], [name], [for], [aria-describedby]")) {
        for (const attribute of ["id", "name", "for", "aria-describedby"]) {
          const value = element.getAttribute(attribute);
          if (value) element.setAttribute(attribute, value.replace(/models-\d+/g, `models-${index}`));
        }
      }
    });
    total.value = rows.children.length;
  }
}

for (const form of document.querySelectorAll("form[data-busy]")) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button:not([type=button])");
    button.textContent = form.dataset.busy;
    setTimeout(() => { button.disabled = true; });
  });
}
