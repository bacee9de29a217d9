// Bringing a privacy export in: announce it, put the file, follow what becomes of its rows.

import { ApiError, ROOT, get, pause, send, token } from "./api.js";
import { announce, h, replace } from "./dom.js";
import { bytes, count, words } from "./format.js";
import { faultBox } from "./panel.js";
import { askWhose, asksWhose, people } from "./people.js";

const ENDED = new Set(["succeeded", "partial", "failed", "refused"]);

/** A place to choose or drop files: {element, take(files)}. `onImported` is called after each. */
export function importDrop({ signal, onImported }) {
  const list = h("div.stack", { role: "status" });
  const input = h("input.visually-hidden", { type: "file", multiple: true, accept: ".zip,.json,.jsonl,.csv,.tsv", id: "import-files", onchange: () => {
    take(input.files);
    input.value = "";
  } });
  const element = h("div.stack", null,
    h("div.drop", null,
      h("strong", null, "Drop your Spotify privacy export here"),
      h("p.muted.small", null, "The zip as Spotify sends it (account data or extended streaming history), or single JSON files. Import as often as you like: nothing is counted twice."),
      h("label.button", { for: "import-files", tabindex: "0", role: "button", onkeydown: (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        input.click();
      } }, "Choose files"), input),
    list);

  async function take(files) {
    for (const file of files) {
      const row = h("div.stack", null);
      list.prepend(row);
      await importOne(file, row, signal).catch((fault) => {
        if (fault.name !== "AbortError") replace(row, h("strong", null, file.name), faultBox(fault));
      });
      onImported?.();
    }
  }
  return { element, take };
}

/** Import a file. Whose listening it is, is asked where several are known, or where nobody can tell. */
async function importOne(file, row, signal, whose = {}) {
  try {
    await bring(file, row, signal, whose);
  } catch (fault) {
    if (!asksWhose(fault) || Object.keys(whose).length) throw fault;
    await importOne(file, row, signal, await askWhose(row, file.name, signal));
  }
}

async function bring(file, row, signal, whose) {
  const meter = h("progress", { max: "1", value: 0, "aria-label": `Import of ${file.name}` });
  const words_ = h("span.muted.small", null, "announcing");
  replace(row, h("div.row.spread", null, h("strong", null, file.name), words_), meter);
  const record = await send("POST", "imports", { filename: file.name, bytes: file.size || undefined, ...whose }, signal);
  await put(record.upload, file, signal, (part) => {
    meter.value = part;
    words_.textContent = part < 1 ? `sending ${bytes(part * file.size)} of ${bytes(file.size)}` : "importing";
  });
  meter.removeAttribute("value");
  const done = await follow(record.import_id, signal, (now) => {
    words_.textContent = now.progress ? `importing: ${progressWords(now.progress)}` : words(now.state).toLowerCase();
  });
  if (done.state === "failed" || done.state === "refused") throw new ApiError(422, done.error ?? { code: "import_refused", message: "The file could not be imported." });
  const owner = (await people(signal)).find((person) => person.user_id === done.summary?.user_id);
  replace(row,
    h("div.row.spread", null, h("strong", null, file.name), owner && h("span.small", null, `for ${owner.name}`), h("span.badge.good", null, "imported")),
    summary(done.summary ?? done));
  announce(`${file.name} imported`);
}

function progressWords(progress) {
  return typeof progress === "string" ? progress : Object.entries(progress).map(([name, value]) => `${count(value)} ${words(name).toLowerCase()}`).join(", ");
}

/** Send the file; XMLHttpRequest, because it tells how far it is. */
function put({ url, method }, file, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const address = new URL(url, ROOT);
    const sending = new XMLHttpRequest();
    sending.open(method ?? "PUT", address);
    if (address.origin === ROOT.origin) sending.setRequestHeader("Authorization", `Bearer ${token() ?? ""}`);
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    sending.onerror = () => reject(new ApiError(0, { code: "upload_failed", message: "The file could not be sent." }));
    sending.onload = () => {
      if (sending.status < 300) return resolve();
      let error = null;
      try {
        ({ error } = JSON.parse(sending.responseText));
      } catch {
        // not JSON: the status alone is told
      }
      return reject(new ApiError(sending.status, error));
    };
    signal?.addEventListener("abort", () => sending.abort());
    sending.send(file);
  });
}

async function follow(id, signal, onState) {
  for (;;) {
    const record = await get(`imports/${id}`, {}, signal);
    onState(record);
    if (ENDED.has(record.state)) return record;
    await pause(700, signal);
  }
}

function summary(told) {
  const names = ["read", "new", "known", "merged", "rejected"];
  const totals = told.totals ?? told;
  const found = names.filter((name) => Number.isFinite(totals[name]));
  if (!found.length) return null;
  const counts = found.map((name, index) => [index ? " · " : "", h("strong.number", null, count(totals[name])), ` ${name}`]);
  return [h("p.small", null, counts), (told.snapshots ?? []).map(({ words }) => h("p.small", null, words))];
}
