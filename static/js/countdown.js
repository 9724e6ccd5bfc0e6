// Counts down to the next release, from the seconds that the page says; without this script the page says them once.

const started = performance.now();

function words(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function tick() {
  for (const place of document.querySelectorAll("[data-countdown]")) {
    const left = Number(place.dataset.countdown) - Math.floor((performance.now() - started) / 1000);
    place.textContent = left > 0 ? words(left) : "a moment";
  }
}

tick();
setInterval(tick, 1000);
