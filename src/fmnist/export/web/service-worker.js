// Keeps the page on the device: these files, byte for byte, and no others. A new export is a new list, kept beside the
// old one until no page uses that any more.

const FILES = {}; // name: SHA-256 in base64; filled in by the export
const VERSION = "";

const NAME = `${registration.scope} ${VERSION}`; // other folders of the host have caches of their own

addEventListener("install", (event) => {
  event.waitUntil(caches.open(NAME).then((cache) => Promise.all(
    Object.entries(FILES).map(async ([name, hash]) => {
      const answer = await fetch(name, { cache: "no-cache", integrity: `sha256-${hash}` });
      if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
      await cache.put(name, answer);
    }),
  )));
});

addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith(`${registration.scope} `) && name !== NAME);
    await Promise.all(old.map((name) => caches.delete(name)));
    await clients.claim();
  })());
});

addEventListener("fetch", (event) => {
  const { request } = event, wanted = request.mode === "navigate" ? registration.scope : request;
  if (request.method === "GET" && request.url.startsWith(registration.scope))
    event.respondWith(caches.open(NAME)
      .then((cache) => cache.match(wanted, { ignoreSearch: true, ignoreVary: true }))
      .then((kept) => kept ?? fetch(request)));
});
