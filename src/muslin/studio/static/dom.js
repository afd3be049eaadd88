// Announcements for screen readers, and functions that are called less often than they are asked.

const live = Object.assign(document.createElement("p"), { className: "visuallyhidden", role: "status", ariaLive: "polite" });
document.body.append(live);
let waiting = 0;

/** Read out by a screen reader, after a short pause without other announcements. */
export function announce(text) {
  clearTimeout(waiting);
  waiting = setTimeout(() => { live.textContent = text; }, 150);
}

/** `act` after `wait` ms without another call. */
export function debounce(act, wait) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...values), wait);
  };
}

/** Run an async function one call at a time; of the calls in the meantime only the last is run. */
export function latest(act) {
  let busy = false, next = null;
  async function run(values) {
    busy = true;
    try { await act(...values); } finally {
      busy = false;
      if (next) { const values = next; next = null; run(values); }
    }
  }
  return (...values) => { if (busy) next = values; else run(values); };
}
