// Registration and a server's page: prices in words while they are typed, and a button that says that it works while a
// check runs.

const NANOS_PER_USD = 1e9;

function dollars(usd) {
  return `$${usd.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 5 })}`;
}

function perMillion(nanos) {
  return nanos * 1e6 / NANOS_PER_USD;
}

function inWords(input) {
  if (!/^[0-9]+$/.test(input.value)) return "Nanodollars per token: 100 is $0.10 per 1M tokens.";
  const nanos = Number(input.value);
  if (nanos === 0) return "free: nobody pays for these tokens";
  const max = Number(input.max);
  if (max && nanos > max) return `At most ${max.toLocaleString("en")}: that is ${dollars(perMillion(max))} per 1M tokens.`;
  const usd = perMillion(nanos);
  const fee = input.form.dataset.feeBps;
  const kept = fee ? `; you keep ${dollars(usd * (1 - Number(fee) / 1e4))}` : "";
  return `${dollars(usd)} per 1M tokens${kept}`;
}

function tell(input) {
  const help = document.getElementById(`${input.id}_helptext`);
  if (help) help.textContent = inWords(input);
}

document.addEventListener("input", (event) => {
  if (event.target.matches("[data-price]")) tell(event.target);
});
for (const input of document.querySelectorAll("[data-price]")) if (input.value) tell(input);

for (const form of document.querySelectorAll("form[data-busy]")) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button:not([type=button])");
    button.textContent = form.dataset.busy;
    setTimeout(() => { button.disabled = true; });
  });
}
