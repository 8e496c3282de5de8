/* Keeps the app's page and files, so that it opens without a network. Keeps no answer of the API, so nothing of patients.
   The server puts KEPT = {version, page, files} before this. */
const CACHE = `skincare-capture-${KEPT.version}`;
const PATIENCE_MS = 3000;

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(KEPT.files.map((file) => new Request(file, { cache: "reload" })));
    await keepPage(await fetch(KEPT.page, { redirect: "follow" }));
    await self.skipWaiting();
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith("skincare-capture-") && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  })());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate" && url.pathname === KEPT.page) event.respondWith(page(request));
  else if (KEPT.files.includes(url.pathname)) event.respondWith(file(request));
});

async function keepPage(response) {
  // Where nobody is signed in the server leads elsewhere, and that is not the app.
  if (response.ok && !response.redirected) await (await caches.open(CACHE)).put(KEPT.page, response.clone());
}

async function page(request) {
  const kept = await (await caches.open(CACHE)).match(KEPT.page);
  const fresh = fetch(request).then(async (response) => {
    if (response.ok) await keepPage(response);
    if (response.status >= 500 && kept) return kept;
    return response;
  });
  if (!kept) return fresh;
  const late = new Promise((resolve) => setTimeout(() => resolve(kept), PATIENCE_MS));
  return Promise.race([fresh.catch(() => kept), late]);
}

async function file(request) {
  return (await (await caches.open(CACHE)).match(request, { ignoreSearch: true })) || fetch(request);
}
