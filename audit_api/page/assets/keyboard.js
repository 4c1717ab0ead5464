// Single keys that do things. They can be switched off (WCAG 2.1.4), and never act while typing.

const STORED = "podwarden-activity-log-keys";

/** Listen for keys; `actions` maps a key to what it does. The box switches all of them but Escape. */
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

// Storage can be forbidden; then the choice lasts as long as the page.
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
