// Asks the API like any other program, with a key of a few minutes that only this page knows.
// What a model says is only ever text: nothing here becomes HTML.

const BOOKED_AFTER_MS = 700; // what was stopped is booked a moment later
const form = document.getElementById("playground");
const list = document.getElementById("conversation");
const field = (name) => form.elements[name];
let key = null;
let messages = [];
let running = null; // the AbortController of the answer that is on its way

async function makeKey() {
  const headers = { "X-CSRFToken": field("csrfmiddlewaretoken").value };
  const response = await fetch(form.action, { method: "POST", headers });
  if (response.redirected || response.status === 403) throw new Error("You are signed out. Load this page again.");
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message);
  key = answer.key;
}

async function api(path, options = {}, again = true) {
  if (!key) await makeKey();
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
  const response = await fetch(path, { ...options, headers, credentials: "omit" });
  if (response.status !== 401 || !again) return response;
  key = null; // its minutes are over
  return api(path, options, false);
}

function add(role, text) {
  const item = list.appendChild(document.createElement("li"));
  item.className = role;
  for (const [name, content] of [["who", role === "user" ? "You" : field("model").value], ["words", text], ["figures", ""]]) {
    const part = item.appendChild(document.createElement(name === "who" ? "span" : "div"));
    Object.assign(part, { className: name, textContent: content });
  }
  item.scrollIntoView({ block: "nearest" });
  return { item, words: item.querySelector(".words"), figures: item.querySelector(".figures") };
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "";;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data: {")) yield JSON.parse(line.slice(6));
  }
}

const seconds = (ms) => (ms === null ? "–" : ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(2)} s`);
const dollars = (usd) => `$${usd.toFixed(9).replace(/(\.\d\d\d*?)0+$/, "$1")}`;

// What the books say: the same receipt that the page of the request shows.
async function showReceipt(name, figures) {
  const response = await api(`/v1/requests/${name}`);
  if (!response.ok) return;
  const one = await response.json();
  const by = one.server ? `${one.server}${one.hoster ? ` of ${one.hoster}` : ""}` : "nobody";
  figures.textContent = `${dollars(one.cost_usd)} · ${one.input.billed_tokens} tokens in, ${one.output.billed_tokens} out`
    + ` · first token ${seconds(one.ttft_ms)}, whole ${seconds(one.latency_ms)} · ${one.model || one.model_asked} by ${by}. `;
  const link = figures.appendChild(document.createElement("a"));
  link.href = `/account/requests/${one.id}`;
  link.textContent = "Receipt";
}

async function ask() {
  const system = field("system").value.trim();
  const body = {
    model: field("model").value, tier: field("tier").value, stream: true,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...messages],
  };
  for (const name of ["temperature", "max_tokens"]) if (field(name).value) body[name] = Number(field(name).value);
  const { item, words, figures } = add("assistant", "");
  let name = null;
  let isWhole = true;
  try {
    const response = await api("/v1/chat/completions", { method: "POST", body: JSON.stringify(body), signal: running.signal });
    if (!response.ok) throw new Error((await response.json()).error.message); // nothing was served, nothing is paid
    name = response.headers.get("x-request-id");
    for await (const event of events(response.body)) {
      if (event.error) throw new Error(event.error.message);
      words.append(event.choices[0]?.delta?.content ?? "");
    }
  } catch (error) {
    isWhole = false;
    if (error.name === "AbortError") {
      figures.before(Object.assign(document.createElement("p"), { className: "stopped", textContent: "You stopped it." }));
      await new Promise((resolve) => { setTimeout(resolve, BOOKED_AFTER_MS); });
    } else {
      item.classList.add("failed");
      words.append(`${words.textContent ? "\n" : ""}${error.message}`);
    }
  }
  if (isWhole) messages.push({ role: "assistant", content: words.textContent });
  else messages.pop(); // the question can be asked again
  if (name) await showReceipt(name, figures);
}

async function submit(event) {
  event.preventDefault();
  const text = field("message").value.trim();
  if (running || !text) return;
  running = new AbortController();
  show(true);
  messages.push({ role: "user", content: text });
  add("user", text);
  field("message").value = "";
  try { await ask(); } finally { running = null; show(false); }
}

function show(isWorking) {
  list.setAttribute("aria-busy", String(isWorking));
  document.getElementById("send").disabled = isWorking;
  document.getElementById("stop").hidden = !isWorking;
}

form.hidden = false;
document.querySelector("[data-without-script]").hidden = true;
form.addEventListener("submit", submit);
field("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
});
document.getElementById("stop").addEventListener("click", () => running?.abort());
document.getElementById("anew").addEventListener("click", () => { running?.abort(); messages = []; list.replaceChildren(); });
