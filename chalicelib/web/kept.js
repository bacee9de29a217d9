// What this browser keeps of whoever is signed in: another token finds nothing of it.

import { reader } from "./api.js";

/** What was kept under a name; `otherwise` where nothing was. */
export function kept(name, otherwise, store = localStorage) {
  try {
    return JSON.parse(store.getItem(keyOf(name))) ?? otherwise;
  } catch {
    return otherwise; // not ours, or cut off
  }
}

/** Keep a value; false where the browser has no room for it. */
export function keep(name, value, store = localStorage) {
  try {
    store.setItem(keyOf(name), JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

function keyOf(name) {
  return `lake-${name}-${reader()}`;
}
