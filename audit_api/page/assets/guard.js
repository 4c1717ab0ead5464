// The last resort: a page that fails says so, whatever fails. A classic script, so that it runs
// even when no module can be loaded.
"use strict";

(() => {
  const tell = () => {
    const failure = document.getElementById("failure");
    if (failure === null) return;
    failure.textContent = "Something went wrong in this page; what it shows may be out of date. Reload it to go on.";
    failure.hidden = false;
  };
  addEventListener("error", () => document.readyState === "loading"
    ? addEventListener("DOMContentLoaded", tell, { once: true })
    : tell(), true);
  addEventListener("unhandledrejection", tell);
})();
