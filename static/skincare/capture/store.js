/* What this phone keeps, in IndexedDB. Nothing of a patient lies here unless it is sealed:
   device: the PIN's salt and proof, the consent texts, who signed in last, a sign-out that the server does not know of; drafts and photographs: sealed under the PIN's key;
   outbox: envelopes that only the server can open. */
const NAME = "skincare-capture";
const STORES = ["device", "drafts", "photographs", "outbox"];
let opened;

function database() {
  opened ||= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => STORES.forEach((store) => request.result.createObjectStore(store, { keyPath: "id" }));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

/** Run one transaction; `work` gets the stores and may return a request, whose result is the answer. */
async function transact(stores, mode, work) {
  const handle = await database();
  return new Promise((resolve, reject) => {
    const transaction = handle.transaction(stores, mode, { durability: "strict" });
    const request = work(...stores.map((store) => transaction.objectStore(store)));
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

export const read = (store, id) => transact([store], "readonly", (rows) => rows.get(id));
export const readAll = (store) => transact([store], "readonly", (rows) => rows.getAll());
export const write = (store, row) => transact([store], "readwrite", (rows) => rows.put(row));
/** Write one row into each of several stores: all of them, or none. */
export const writeTogether = (rows) => transact(Object.keys(rows), "readwrite", (...stores) => { stores.forEach((store) => store.put(rows[store.name])); });
export const remove = (store, id) => transact([store], "readwrite", (rows) => rows.delete(id));

/** Remove everything of one case at once: its draft, its photographs, and its envelope too unless told otherwise. */
export async function forget(id, { envelope = true } = {}) {
  const photographs = (await readAll("photographs")).filter((row) => row.draft === id);
  await transact(["drafts", "photographs", "outbox"], "readwrite", (drafts, shots, outbox) => {
    drafts.delete(id);
    photographs.forEach((row) => shots.delete(row.id));
    if (envelope) outbox.delete(id);
  });
}

/** How many cases are nowhere but here: begun, or finished and still to be sent. That much is told without a key. */
export async function onlyHere() {
  const begun = (await readAll("drafts")).filter((row) => row.state === "editing");
  return begun.length + (await readAll("outbox")).length;
}

/** Empty the phone: after signing out nothing is left but the app itself, and one row of `device` where one is given. */
export async function wipe(left) {
  await transact(STORES, "readwrite", (device, ...others) => {
    [device, ...others].forEach((store) => store.clear());
    if (left) device.put(left);
  });
  localStorage.clear();
  sessionStorage.clear();
}

/** Ask the browser not to clear this away when space is short. */
export async function persist() {
  return Boolean(await navigator.storage?.persist?.().catch(() => false));
}

export const isFull = (error) => error?.name === "QuotaExceededError";
