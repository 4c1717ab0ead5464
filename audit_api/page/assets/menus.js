// Menus that unfold over the page: one at a time, until Escape or a click elsewhere.

/** Let the `<details>` in a part of the page behave as menus. */
export function joinMenus(part) {
  const menus = [...part.querySelectorAll("details")];
  const closeBut = (kept) => menus.forEach((menu) => { if (menu !== kept) menu.open = false; });
  for (const menu of menus) menu.addEventListener("toggle", () => menu.open && closeBut(menu));
  document.addEventListener("click", (event) => event.target.isConnected && closeBut(event.target.closest("details")));
  part.addEventListener("keydown", (event) => {
    const menu = event.target.closest("details[open]");
    if (event.key !== "Escape" || menu === null) return;
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
