// Makes elements. Untrusted text becomes text nodes only; no code of this page parses HTML.

/** Return a new element. Properties named `on…` are event handlers; null, undefined and false are omitted. */
export function element(name, properties = {}, ...children) {
  return furnish(document.createElement(name), properties, children);
}

/** Return a new SVG element, with properties as in `element`. */
export function drawing(name, properties = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", name), properties, children);
}

/** Return the element of the document that has this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Set the text of an element only if it differs: screen readers announce each assignment. */
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

function furnish(made, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
