// Single-key shortcuts. They can be switched off (WCAG 2.1.4) and are ignored in text fields.

const STORED = "podwarden-activity-log-keys";

/** Handle keys; `actions` maps a key to its function. The checkbox switches all but Escape. */
export function listenForKeys(box, actions) {
  box.checked = readStored() !== "off";
  box.addEventListener("change", () => store(box.checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => {
    const action = actions[event.key];
    if (action === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key !== "Escape" && (!box.checked || takesText(event.target))) return;
    if (action() !== false) event.preventDefault();
  });
}

function takesText(target) {
  return target.closest("input:not([type=checkbox]), select, textarea, [contenteditable]") !== null;
}

// The browser may forbid storage; the choice is then lost when the page is closed.
function readStored() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

function store(choice) {
  try {
    localStorage.setItem(STORED, choice);
  } catch {
    return;
  }
}
