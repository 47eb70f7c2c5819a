// Bundles the front end into the package: one ES module, one style sheet, the licences of what is in them.
//
//   npm ci && npm run build

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const OUT = new URL("../../geosam/serve/static/", import.meta.url).pathname;
const BUNDLED = ["leaflet"];

/** What the bundle was made of: the sources and the pinned packages. A test of the package compares it. */
function digestOfSources() {
  const names = readdirSync(new URL("src/", import.meta.url)).sort().map((name) => `src/${name}`);
  const hash = createHash("sha256");
  for (const name of [...names, "package-lock.json"]) hash.update(name).update(readFileSync(new URL(name, import.meta.url)));
  return hash.digest("hex");
}

const digest = digestOfSources();
await build({
  entryPoints: [{ in: new URL("src/main.js", import.meta.url).pathname, out: "geosam" }],
  bundle: true,
  format: "esm",
  target: ["es2022", "chrome105", "firefox110", "safari16"],
  loader: { ".png": "dataurl" },
  minify: true,
  legalComments: "none",
  outdir: OUT,
  banner: { js: `// geosam's front end, built from integrations/front (${digest}); licences in LICENSES.txt` },
});

const licences = BUNDLED.map((name) => {
  const folder = new URL(`node_modules/${name}/`, import.meta.url);
  const { version, license } = JSON.parse(readFileSync(new URL("package.json", folder)));
  return `${name} ${version} (${license})\n\n${readFileSync(new URL("LICENSE", folder), "utf8").trim()}\n`;
});
writeFileSync(`${OUT}LICENSES.txt`, `geosam.js and geosam.css contain, besides geosam's own code (Apache-2.0):\n\n${licences.join("\n")}`);
