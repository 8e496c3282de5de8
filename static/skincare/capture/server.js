/* Asking the REST API within the browser's session. */
import { configuration, cookie, t } from "./page.js";

/** What a person reads in their own language; the server's sentence is English. */
const inWords = (code) => configuration.texts[`problem ${code}`];

/** The server answered with a problem document. */
export class Problem extends Error {
  constructor(status, document) {
    super(inWords(document.code) || document.detail || t("server_problem", { status }));
    this.status = status;
    this.code = document.code || "";
    this.errors = document.errors || [];
  }

  /** Whether sending the same again later can help. */
  get passing() {
    return this.status >= 500 || this.status === 429 || this.status === 408 || this.code === "body_incomplete";
  }
}

/** Nobody is signed in any more. */
export class SignedOut extends Error {}

/** The server was not reached. */
export class NoNetwork extends Error {
  constructor() { super(t("no_network")); }
}

const API = "/api/v1/";
/** How long an upload may stand still; and how long its answer may take, with what the phone's own buffers still hold then. */
const STANDS_STILL_MS = 60_000;
const ANSWER_MS = 120_000;

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path.startsWith("/") || path.startsWith("http") ? path : API + path, {
      credentials: "same-origin", cache: "no-store", ...options,
      headers: { Accept: "application/json", ...options.headers },
    });
  } catch {
    throw new NoNetwork();
  }
  if (response.status === 401) throw new SignedOut();
  if (response.status === 304 || response.ok) return response;
  const document = await response.json().catch(() => ({}));
  // DRF answers 403 where a session has ended but its cookie is still sent with a change.
  if (response.status === 403 && ["not_authenticated", "permission_denied"].includes(document.code)
      && /CSRF|credentials/i.test(document.detail || "")) throw new SignedOut();
  throw new Problem(response.status, document);
}

export const get = async (path) => (await ask(path)).json();
/** Post; resolves with the document that comes back, null where there is none. */
export async function send(path, body) {
  const response = await ask(path, {
    method: "POST", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", "X-CSRFToken": cookie("csrftoken") },
  });
  return response.status === 204 ? null : response.json();
}
/** The same with files. */
export const sendForm = async (path, form) =>
  (await ask(path, { method: "POST", body: form, headers: { "X-CSRFToken": cookie("csrftoken") } })).json();
export const picture = async (path) => (await ask(path, { headers: { Accept: "image/*" } })).blob();

/** Fetch a document and hand it to the phone's downloads. */
export async function save(path, name) {
  const content = await (await ask(path, { headers: { Accept: "application/pdf, application/problem+json" } })).blob();
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Ask with an ETag: the document and its new ETag, or null where nothing changed. */
export async function getChanged(path, etag) {
  const response = await ask(path, { headers: etag ? { "If-None-Match": etag } : {} });
  if (response.status === 304) return null;
  return { document: await response.json(), etag: response.headers.get("ETag") };
}

/** The rows of a list, page by page until there are `most`, and the address of what follows them, null at its end. */
export async function pages(path, most) {
  const rows = [];
  let next = path;
  do {
    const page = await get(next);
    rows.push(...page.results);
    next = page.next;
  } while (next && rows.length < most);
  return { rows, next };
}

/** The rows alone. */
export const list = async (path, most = 100) => (await pages(path, most)).rows;

/** Send an envelope with progress; resolves with the receipt. It may take as long as it moves: a slow line is no reason to begin again. */
export function deliver(envelope, id, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let timer;
    const giveUpAfter = (pause) => { clearTimeout(timer); timer = setTimeout(() => request.abort(), pause); };
    request.open("POST", `${API}sealed-cases/`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("Idempotency-Key", id);
    request.setRequestHeader("X-CSRFToken", cookie("csrftoken"));
    request.upload.onprogress = (event) => { giveUpAfter(STANDS_STILL_MS); onProgress(event.loaded / event.total); };
    request.upload.onload = () => giveUpAfter(ANSWER_MS);
    request.onerror = request.onabort = () => reject(new NoNetwork());
    request.onloadend = () => clearTimeout(timer);
    request.onload = () => {
      let document = {};
      try { document = JSON.parse(request.responseText); } catch { /* not from our server */ }
      if (request.status === 201) resolve(document);
      else if (request.status === 401 || (request.status === 403 && /CSRF|credentials/i.test(document.detail || ""))) reject(new SignedOut());
      else reject(new Problem(request.status, document));
    };
    giveUpAfter(STANDS_STILL_MS);
    request.send(envelope);
  });
}

/** Post a form of the site, outside the API. */
export async function post(path, fields) {
  try {
    return await fetch(path, { method: "POST", credentials: "same-origin", redirect: "manual",
      headers: { "X-CSRFToken": cookie("csrftoken") }, body: new URLSearchParams(fields) });
  } catch {
    throw new NoNetwork();
  }
}
