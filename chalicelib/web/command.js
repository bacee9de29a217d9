// The lake's command as a person types it at this lake: beside `make run` it is another than at their own.

import { get } from "./api.js";
import { h } from "./dom.js";

const OWN = ".venv/bin/lake";
let known = null;

/** The command, to put words behind. Where nothing answers, it is that of a person's own lake. */
export async function lakeCommand() {
  known ??= (await get("health").catch(() => null))?.command ?? null;
  return known ?? OWN;
}

/** A command to read or copy: `words` behind the lake's own. */
export function command(words) {
  const shown = h("code", null, `${known ?? OWN} ${words}`);
  if (!known) lakeCommand().then((own) => shown.replaceChildren(`${own} ${words}`));
  return shown;
}
