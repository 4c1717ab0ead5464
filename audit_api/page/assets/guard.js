// Shows a message when any script of the page fails. A classic script, so that it runs even if no
// module can be loaded.
"use strict";

(() => {
  const tell = () => {
    const failure = document.getElementById("failure");
    if (failure === null) return;
    failure.textContent = "Something went wrong in this page, and what it shows may be out of date. Reload it to continue.";
    failure.hidden = false;
  };
  addEventListener("error", () => document.readyState === "loading"
    ? addEventListener("DOMContentLoaded", tell, { once: true })
    : tell(), true);
  addEventListener("unhandledrejection", tell);
})();
