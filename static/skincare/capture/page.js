/* What every module uses of the page: its texts, its elements, its templates and its icons. */
export const configuration = JSON.parse(document.getElementById("configuration").textContent);

/** A text of the page's language; {name} in it is replaced. */
export function t(key, values = {}) {
  const text = configuration.texts[key];
  if (text === undefined) throw new Error(`no text ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => apart(values[name] ?? ""));
}

/** In a text from right to left a name or a date in other letters stands apart, or its signs change places. */
export const apart = (value) => (document.documentElement.dir === "rtl" && typeof value === "string" ? `\u2068${value}\u2069` : value);

/** Things of one line beside one another, each in its own direction. */
export const beside = (...things) => things.filter(Boolean).map(apart).join(" · ");

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
export const stamp = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

export function icon(svg, name) {
  $("use", svg).setAttribute("href", `#i-${name}`);
}

/** An element with attributes (or listeners, as onclick) and children, which are never read as markup. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Said by screen readers, shown nowhere. */
export function announce(text) {
  const place = $("#announcer");
  place.textContent = "";
  setTimeout(() => { place.textContent = text; }, 50);
}

/** The month in letters, so that nobody takes it for the day. */
const DAY = { day: "numeric", month: "short", year: "numeric" };
const times = new Intl.DateTimeFormat(configuration.language, { ...DAY, hour: "numeric", minute: "2-digit" });
const days = new Intl.DateTimeFormat(configuration.language, DAY);
const shares = new Intl.NumberFormat(configuration.language, { style: "percent", maximumFractionDigits: 0 });
export const when = (iso) => times.format(new Date(iso));
export const day = (iso) => days.format(new Date(iso));

/** A share of 0..1 in words that claim neither certainty nor impossibility. */
export function share(value) {
  if (value < 0.01) return t("less_than_1");
  if (value > 0.99) return t("more_than_99");
  return shares.format(value);
}

const lists = new Intl.ListFormat(configuration.language, { type: "unit", style: "short" });
export const listed = (words) => lists.format(words);

export const siteName = (site) => t(`site ${site}`);

/** The CSRF cookie that the server set; it changes when somebody signs in. */
export function cookie(name) {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}
