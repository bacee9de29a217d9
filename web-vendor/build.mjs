// Bundles the two libraries into ../chalicelib/web/vendor, with their licences and what they were made from.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const OUT = "../chalicelib/web/vendor";
const bundles = { chart: "chart.js", editor: "editor.js" };

mkdirSync(OUT, { recursive: true });
const packages = new Map();
const files = {};
for (const [name, entry] of Object.entries(bundles)) {
  const result = await build({
    entryPoints: [entry], bundle: true, minify: true, format: "esm", target: "es2022", legalComments: "none",
    outfile: `${OUT}/${name}.js`, metafile: true, charset: "utf8",
  });
  for (const input of Object.keys(result.metafile.inputs)) {
    const found = input.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    if (found) packages.set(found[1], JSON.parse(readFileSync(`node_modules/${found[1]}/package.json`)));
  }
  files[`${name}.js`] = createHash("sha256").update(readFileSync(`${OUT}/${name}.js`)).digest("hex");
}

const sorted = [...packages].sort(([a], [b]) => (a < b ? -1 : 1));
const licences = sorted.map(([name, { version, license }]) => {
  const text = ["LICENSE", "LICENSE.md", "LICENSE.txt", "license"].map(read(name)).find(Boolean) ?? license;
  return `${name} ${version} (${license})\n\n${text.trim()}\n`;
});
writeFileSync(`${OUT}/LICENSES.txt`, licences.join(`\n${"-".repeat(78)}\n\n`));
const versions = Object.fromEntries(sorted.map(([name, { version, license }]) => [name, `${version} ${license}`]));
writeFileSync(`${OUT}/versions.json`, JSON.stringify({ packages: versions, sha256: files }, null, 2) + "\n");

function read(name) {
  return (file) => {
    try {
      return readFileSync(`node_modules/${name}/${file}`, "utf8");
    } catch {
      return null;
    }
  };
}
