// The frame: token, theme, navigation, and which page is shown.

import "./reports.js"; // first: what it asks for is on its way while the charts' code is read
import { Unreachable, scope, setToken, signOut, signedIn, staySignedIn, staysSignedIn, token, whenUnauthorized } from "./api.js";
import { redrawCharts } from "./charts.js";
import { command } from "./command.js";
import { announce, button, h, icon, replace } from "./dom.js";
import { leftOutLine } from "./exclusions.js";
import { faultBox, loading } from "./panel.js";
import { searchBox } from "./search.js";
import { change, href, route, selection } from "./state.js";

const PAGES = {
  overview: { title: "Overview", load: () => import("./overview.js"), nav: true },
  year: { title: "Year in review", short: "Year", load: () => import("./year.js"), nav: true },
  listens: { title: "Listens", load: () => import("./listens.js"), nav: true },
  library: { title: "Library", load: () => import("./library.js"), nav: true },
  reports: { title: "Reports", load: () => import("./report_pages.js"), nav: true },
  sql: { title: "SQL", load: () => import("./workbench.js"), nav: true, owners: true },
  pipeline: { title: "Pipeline", load: () => import("./pipeline.js"), nav: true, owners: true },
  tables: { title: "Tables", load: () => import("./tables.js"), under: "sql", owners: true },
  table: { title: "Table", load: () => import("./tables.js"), under: "sql", owners: true },
  artist: { title: "Artist", load: () => import("./items.js"), under: "overview" },
  album: { title: "Album", load: () => import("./items.js"), under: "overview" },
  track: { title: "Track", load: () => import("./items.js"), under: "overview" },
  show: { title: "Podcast", load: () => import("./items.js"), under: "listens" },
  playlist: { title: "Playlist", load: () => import("./playlist.js"), under: "library" },
  "left-out": { title: "Left out", load: () => import("./left_out.js"), under: "listens" },
  genre: { title: "Genre", load: () => import("./genre.js"), under: "reports" },
};

const COUNTED = ["heard", "heard_names", "play_details"]; // tables that go by what is left out

const main = document.getElementById("main");
const dark = matchMedia("(prefers-color-scheme: dark)");
let leaving = new AbortController();
let shownPage = null;

/** Show the page that the address names. */
async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const here = route();
  const page = PAGES[here.page];
  markNavigation(page?.under ?? here.page);
  const refused = await signedIn;
  if (signal.aborted) return;
  if (!token()) return askForToken(refused ?? "Paste a token of this lake, or open the address that the lake prints.");
  const ofOne = markScope();
  if (page?.owners && (await ofOne)) return showWhoseItIs(page);
  if (signal.aborted) return;
  const sameAgain = shownPage === location.hash.split("?")[0];
  shownPage = location.hash.split("?")[0];
  if (!page) return replace(main, h("h1", null, "Page not found"), h("p", null, h("a", { href: href("overview") }, "Go to the overview")));
  document.title = `${page.title} · Listening lake`;
  if (!sameAgain) replace(main, h("h1.visually-hidden", null, page.title), loading(300));
  try {
    const { render } = await page.load().catch(() => {
      throw new Unreachable();
    });
    if (signal.aborted) return;
    const held = sameAgain ? document.activeElement?.id : null;
    const shown = render(main, { ...here, signal });
    holdFocus(held);
    await shown;
    if (signal.aborted) return;
    const numbers = numbersOf(here);
    if (numbers) main.querySelector(".page-head")?.after(leftOutLine(numbers));
    holdFocus(held);
    if (!sameAgain) {
      announce(`${document.title.split(" · ")[0]}, page loaded`);
      scrollTo(0, 0);
    }
  } catch (fault) {
    if (fault.name === "AbortError" || fault.status === 401) return;
    replace(main, h("h1", null, page.title), faultBox(fault, show));
  }
}

/** Which numbers of a page go by what is left out, in words; null for none. */
function numbersOf({ page, args: [name] }) {
  if (["pipeline", "tables", "left-out"].includes(page) || (page === "table" && !COUNTED.includes(name))) return null;
  return page === "sql" ? `the tables ${COUNTED.slice(0, -1).join(", ")} and ${COUNTED.at(-1)}` : "these numbers";
}

/** Note for the style sheet whether the token is of one listener: links to what it may not see are not shown then. */
async function markScope() {
  const told = await scope();
  document.documentElement.dataset.scope = told ?? "";
  return told === "listener";
}

/** What stands in place of a page that is not for a token of one listener. */
function showWhoseItIs({ title }) {
  shownPage = null;
  document.title = `${title} · Listening lake`;
  replace(main, h("h1", null, title),
    h("p", null, `You see one listener’s pages. ${title} shows everybody’s, so it is for the owner of this lake.`),
    h("p", null, h("a", { href: href("overview") }, "Go to the overview")));
}

/** A page drawn anew keeps the keyboard where it was, unless it has gone elsewhere. */
function holdFocus(id) {
  if (id && document.activeElement === document.body) document.getElementById(id)?.focus();
}

function markNavigation(current) {
  const links = Object.entries(PAGES).filter(([, page]) => page.nav).map(([name, page]) =>
    h("a", { href: href(name), "aria-current": name === current ? "page" : null }, icon(name), h("span", null, page.short ?? page.title)));
  replace(document.getElementById("nav"), links);
}

/** Ask for the token once; it is kept for this tab, or for this browser if the reader says so. */
function askForToken(why) {
  if (document.querySelector("dialog.token")) return;
  const input = h("input", { type: "password", name: "token", autocomplete: "off", required: true, spellcheck: "false" });
  const stay = h("input", { type: "checkbox", name: "stay" });
  const dialog = h("dialog.token", { "aria-labelledby": "token-title" },
    h("form", { onsubmit: (event) => {
      event.preventDefault();
      setToken(input.value.trim(), { stay: stay.checked });
      showFoot();
      dialog.close();
      dialog.remove();
      shownPage = null;
      show();
    } },
      h("h2", { id: "token-title" }, "Sign in"),
      h("p", null, why),
      h("label.field", null, "API token", input),
      h("p.muted.small", null, "On your own computer ", command("open"), " opens this page signed in, and ", command("token show"), " prints a token."),
      h("label.row.small", null, stay, "Stay signed in on this computer"),
      h("div.row.end", null, button("Open the lake", { primary: true, icon: "key", type: "submit" }))));
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  if (!main.firstChild || main.querySelector(".skeleton")) replace(main, h("h1", null, "Listening lake"));
  document.body.append(dialog);
  dialog.showModal();
}

whenUnauthorized(() => {
  setToken(null);
  showFoot();
  leaving.abort();
  askForToken("The token is not accepted (any more): it was wrong, has expired or was taken back. Paste another one.");
});

// --- theme: the system's until the reader chooses ---

const THEMES = ["auto", "light", "dark"];

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  if (theme === "auto") localStorage.removeItem("lake-theme");
  else localStorage.setItem("lake-theme", theme);
  showFoot(theme);
  redrawCharts();
}

function showFoot(theme = localStorage.getItem("lake-theme") ?? "auto") {
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  const icons = { auto: "auto", light: "sun", dark: "moon" };
  replace(document.getElementById("side-foot"),
    h("div.row", null,
      button(`Colours: ${theme}. Change to ${next}`, { icon: icons[theme], quiet: true, bare: true, onclick: () => {
        setTheme(next);
        document.querySelector("#side-foot button").focus();
      } }),
      signingButton(),
      token() && h("a.version", { href: href("left-out") }, "Left out"),
      h("a.version", { href: "openapi.json", target: "_blank", rel: "noopener" }, "REST API")));
}

/** Stay signed in, or sign out: what who is signed in can do next. */
function signingButton() {
  if (!token()) return null;
  if (staysSignedIn()) {
    return button("Sign out", { quiet: true, onclick: async () => {
      await signOut();
      history.replaceState(null, "", location.pathname); // what the address asks for is not the next reader's
      location.reload();
    } });
  }
  return button("Stay signed in", { quiet: true, title: "On this computer, in every tab, for 90 days", onclick: async () => {
    await staySignedIn();
    announce("You stay signed in on this computer");
    showFoot();
  } });
}

signedIn.then(() => showFoot());
document.getElementById("nav").before(searchBox());
dark.addEventListener("change", redrawCharts);
setTheme(localStorage.getItem("lake-theme") ?? "auto");

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part after "#" is the page's address
  main.focus();
});
addEventListener("hashchange", show);
// A shared link must show the same elsewhere: the selection is written into the address at once.
change(selection(), { step: false });
show();
