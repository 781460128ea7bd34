// SPDX-License-Identifier: GPL-3.0-or-later
// Building the page from data. Text only ever becomes a text node or an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element; a function among the attributes listens to the event of that name. */
export const h = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);

/** The same for SVG. */
export const s = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

const count = new Intl.NumberFormat("en");
const dayAndTime = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const dayOnly = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];

export const number = (value) => count.format(value);
export const percent = (rate) => (rate === null ? "–" : `${(Math.floor(rate * 1000) / 10).toFixed(1)} %`);
export const plural = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
export const day = (date) => dayOnly.format(new Date(`${date}T00:00:00Z`));

/** "3 hours ago", with the exact moment as its tooltip. */
export function ago(moment) {
  const date = new Date(moment);
  const seconds = Math.round((date - Date.now()) / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  const words = unit === "second" ? "just now" : relative.format(Math.trunc(seconds / size), unit);
  return h("time", { datetime: moment, title: dayAndTime.format(date) }, words);
}

/** "1 m 05 s" between two moments, or for a number of milliseconds. */
export function duration(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, "0")} s`;
}

export const chip = (status) => h("span", { class: `chip ${status}` }, status);
