// Makes elements. Text from outside becomes text nodes and nothing else: nothing here, nor
// anywhere on this page, parses HTML.

/** Return a new element. Properties named `on…` listen; null, undefined and false are left out. */
export function element(name, properties = {}, ...children) {
  return furnish(document.createElement(name), properties, children);
}

/** Return a new SVG element, made likewise. */
export function drawing(name, properties = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", name), properties, children);
}

/** Return the element of the document that has this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Set the text of an element if it is another one: screen readers notice each change. */
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
