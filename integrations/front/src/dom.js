// Elements, built in one expression. No HTML from strings: nothing that a file says can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes, listeners (names that begin with "on") and children. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same in SVG's namespace. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Whether keys that are pressed there are meant for a field. */
export function isField(element) {
  if (!element || !element.closest) return false;
  return element.isContentEditable || element.closest("input, select, textarea") !== null;
}

/** A number for people: 1,234. */
export const grouped = (number) => Number(number ?? 0).toLocaleString("en");
