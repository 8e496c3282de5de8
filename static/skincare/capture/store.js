/* What this phone keeps, in IndexedDB. Nothing of a patient lies here unless it is sealed:
   device: each person's PIN (its salt and proof), the consent texts, who signed in last, a sign-out that the server does not know of;
   drafts and photographs: sealed under the key of the PIN of their author; outbox: envelopes that only the server can open. */
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

/** Where a person's PIN lies. */
export const vaultOf = (user) => `vault ${user}`;
const ofAnother = (user) => (row) => (row.author ?? row.user ?? user) !== user;

/** The one PIN that a phone had, and what was begun under it, are this person's. */
export async function becomesOneOfMany(vault, user) {
  const begun = (await readAll("drafts")).filter((row) => row.author === undefined);
  await transact(["device", "drafts"], "readwrite", (device, drafts) => {
    device.put({ ...vault, id: vaultOf(user), user });
    device.delete(vault.id);
    for (const row of begun) drafts.put({ ...row, author: user });
  });
}

/** How many of a person's cases are nowhere but here: begun, or finished and still to be sent. That much is told without a key. */
export async function onlyHere(user) {
  const rows = [...(await readAll("drafts")).filter((row) => row.state === "editing"), ...await readAll("outbox")];
  return rows.length - rows.filter(ofAnother(user)).length;
}

/** Empty the phone of one person: after signing out nothing of theirs is left but the app itself, and one row of `device` where
    one is given. What others began or finished here waits, sealed, for them. */
export async function wipe(user, left) {
  const theirs = ofAnother(user);
  const drafts = new Set((await readAll("drafts")).filter(theirs).map((row) => row.id));
  const stays = { device: theirs, drafts: theirs, photographs: (row) => drafts.has(row.draft), outbox: theirs };
  await transact(STORES, "readwrite", (...stores) => {
    for (const rows of stores) {
      rows.openCursor().onsuccess = ({ target: { result: cursor } }) => {
        if (!cursor) { if (left && rows.name === "device") rows.put(left); return; }
        if (!stays[rows.name](cursor.value)) cursor.delete();
        cursor.continue();
      };
    }
  });
  localStorage.clear();
  sessionStorage.clear();
}

/** Ask the browser not to clear this away when space is short. */
export async function persist() {
  return Boolean(await navigator.storage?.persist?.().catch(() => false));
}

export const isFull = (error) => error?.name === "QuotaExceededError";
