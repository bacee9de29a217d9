// The SQL editor: CodeMirror, in a shadow root, where its styles are constructed sheets that the page's
// Content-Security-Policy allows.

import {
  Compartment, EditorState, EditorView, HighlightStyle, Prec, SQLDialect, autocompletion, bracketMatching, closeBrackets,
  closeBracketsKeymap, closeCompletion, completionKeymap, defaultKeymap, drawSelection, highlightActiveLine, highlightSelectionMatches,
  history, historyKeymap, keymap, lineNumbers, placeholder, search, searchKeymap, setDiagnostics, sql, syntaxHighlighting, tags,
} from "./vendor/editor.js";
import { h } from "./dom.js";

const KEYWORDS = `all and any array as asc at between by case cast cross current_date current_timestamp desc describe distinct
else end escape except exists explain extract false fetch filter first following for from full group grouping having if in
inner intersect interval into is join last lateral left like limit natural not null nulls offset on or order ordinality outer
over partition preceding range right row rows select show sets table then time timestamp true try try_cast unbounded union
unnest using values when where window with zone year month day hour minute second`;
const FUNCTIONS = `abs approx_distinct approx_percentile arbitrary array_agg array_join array_sort at_timezone avg cardinality
ceil chr coalesce concat contains count count_if date_add date_diff date_format date_parse date_trunc day_of_month
day_of_week day_of_year dense_rank element_at first_value floor format format_datetime from_unixtime greatest hour
histogram json_extract json_extract_scalar lag last_value lead least length lower lpad map_agg max max_by min min_by month
nullif parse_datetime percent_rank position power quarter rank regexp_extract regexp_like regexp_replace replace reverse
round row_number rpad sequence slice split split_part sqrt strpos substr sum to_unixtime transform trim truncate upper week
with_timezone year year_of_week`;
const TYPES = "array bigint boolean char date decimal double integer map real row smallint timestamp tinyint varbinary varchar";

const trino = SQLDialect.define({
  keywords: `${KEYWORDS} ${FUNCTIONS}`, types: TYPES, operatorChars: "*+-%<>!=|/", doubleQuotedStrings: false, identifierQuotes: '"',
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "light-dark(#98470e, #f19c5b)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--series-3)" },
  { tag: [tags.comment, tags.lineComment, tags.blockComment], color: "var(--muted)", fontStyle: "italic" },
  { tag: tags.typeName, color: "var(--series-6)" },
]);

const look = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "var(--surface)", fontSize: "13.5px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6", maxHeight: "44vh" },
  ".cm-content, .cm-gutter": { minHeight: "156px" },
  ".cm-content": { caretColor: "var(--ink)", padding: "10px 0" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "var(--raised)", color: "var(--muted)", border: "0", paddingRight: "4px" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--accent) 7%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "color-mix(in srgb, var(--accent) 26%, transparent)" },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "var(--accent-soft)", outline: "1px solid var(--accent)" },
  ".cm-tooltip": { backgroundColor: "var(--surface)", color: "var(--ink)", border: "1px solid var(--strong-line)", borderRadius: "8px", overflow: "hidden" },
  ".cm-tooltip-autocomplete > ul > li": { padding: "2px 8px !important" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent) !important", color: "var(--on-accent) !important" },
  ".cm-completionDetail": { color: "var(--muted)", fontStyle: "normal" },
  "li[aria-selected] .cm-completionDetail": { color: "inherit" },
  ".cm-completionInfo": { maxWidth: "320px", fontFamily: "var(--sans)" },
  ".cm-panels": { backgroundColor: "var(--raised)", color: "var(--ink)" },
  ".cm-placeholder": { color: "var(--muted)" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad)", textUnderlineOffset: "3px", backgroundColor: "color-mix(in srgb, var(--bad) 14%, transparent)" },
});

/**
 * Text that replaces a selection. Left to itself the browser would keep the look of what it replaces in a style
 * attribute, which the page's policy forbids (and reports).
 */
function replaceSelected(event, view) {
  const { from, to, empty } = view.state.selection.main;
  if (event.inputType !== "insertText" || event.data === null || empty || event.isComposing) return false;
  event.preventDefault();
  const insert = () => view.state.update(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
  const handled = view.state.facet(EditorView.inputHandler).some((handler) => handler(view, from, to, event.data, insert));
  if (!handled) view.dispatch(insert());
  return true;
}

/**
 * An editor: {element, text(), setText(), insert(), setTables(), markFault(), focus()}. Ctrl+Enter calls `onRun`,
 * every change `onChange`.
 */
export function makeEditor({ text, onRun, onChange }) {
  const completion = new Compartment();
  const element = h("div.editor-host");
  const root = element.attachShadow({ mode: "open" });
  const language = (schema) => sql({ dialect: trino, schema, upperCaseKeywords: true });
  const run = (view) => {
    closeCompletion(view);
    onRun();
    return true;
  };
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(keymap.of([{ key: "Mod-Enter", run }, { key: "Shift-Enter", run }])),
        lineNumbers(), history(), drawSelection(), bracketMatching(), closeBrackets(), highlightActiveLine(), highlightSelectionMatches(),
        search({ top: true }), autocompletion({ icons: false, maxRenderedOptions: 60 }), completion.of(language({})),
        EditorView.domEventHandlers({ beforeinput: replaceSelected }),
        syntaxHighlighting(colours), look, EditorState.tabSize.of(4), placeholder("SELECT …"),
        EditorView.contentAttributes.of({ "aria-label": "SQL editor. Escape, then Tab leaves it", spellcheck: "false", tabindex: "0" }),
        EditorView.updateListener.of((update) => update.docChanged && onChange(update.state.doc.toString())),
        keymap.of([...closeBracketsKeymap, ...completionKeymap, ...searchKeymap, ...historyKeymap, ...defaultKeymap]),
      ],
    }),
  });
  const set = (content) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: content }, selection: { anchor: content.length } });
  return {
    element,
    text: () => view.state.doc.toString(),
    selected: () => view.state.sliceDoc(view.state.selection.main.from, view.state.selection.main.to),
    setText: set,
    insert: (content) => {
      view.dispatch(view.state.replaceSelection(content));
      view.focus();
    },
    setTables: (tables) => view.dispatch({ effects: completion.reconfigure(language(schemaOf(tables))) }),
    markFault: (fault) => view.dispatch(setDiagnostics(view.state, fault ? [diagnosticOf(view.state.doc, fault)] : [])),
    focus: () => view.focus(),
  };
}

function schemaOf(tables) {
  const described = tables.map((table) => [
    table.name,
    {
      self: { label: table.name, type: "type", detail: "table", info: table.description, boost: 3 },
      children: table.columns.map(({ name, type, description }) => ({ label: name, type: "property", detail: type, info: description, boost: 2 })),
    },
  ]);
  return Object.fromEntries(described);
}

/** A fault at a 1-based line and column; without one it marks the whole text. */
function diagnosticOf(doc, { message, position }) {
  if (!position?.line) return { from: 0, to: doc.length, severity: "error", message };
  const line = doc.line(Math.min(position.line, doc.lines));
  const from = Math.min(line.from + Math.max(0, (position.column ?? 1) - 1), line.to);
  const word = /^[\w$"]+|^\S/.exec(doc.sliceString(from, line.to));
  return { from: word ? from : Math.max(line.from, from - 1), to: word ? from + word[0].length : from, severity: "error", message };
}
