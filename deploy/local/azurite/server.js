// Azurite's server of blobs alone: its own start also loads what it keeps in SQL databases and what it reports, which are not
// installed here. Arguments: the port, and a directory that is only named, since all data are in memory.
"use strict";
const Configuration = require("azurite/dist/src/blob/BlobConfiguration.js").default;
const Server = require("azurite/dist/src/blob/BlobServer.js").default;

const [port, directory] = process.argv.slice(2);
const keepAliveSeconds = 5;
const extents = [{ locationId: "Default", locationPath: directory, maxConcurrency: 10 }];
const accessLog = false, debugLog = false, loose = false, anyApiVersion = true, byPath = true, inMemory = true;
const server = new Server(
  new Configuration(
    "127.0.0.1", Number(port), keepAliveSeconds, "", "", extents, accessLog, undefined, debugLog, undefined,
    loose, anyApiVersion, "", "", "", undefined, byPath, inMemory,
  ),
);
server.start().catch((error) => {
  console.error(error);
  process.exit(1);
});
