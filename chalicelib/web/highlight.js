// SQL coloured for reading (the editor has its own).

import { h } from "./dom.js";

const PIECE = /(--[^\n]*|\/\*[\s\S]*?\*\/)|('(?:[^']|'')*')|\b(\d+(?:\.\d+)?)\b|\b([A-Za-z_]\w*)\b/g;
const KEYWORDS = new Set(
  `ALL AND ANY ARRAY AS ASC AT BETWEEN BY CASE CAST CROSS CURRENT_DATE CURRENT_TIMESTAMP DATE DAY DESC DESCRIBE
   DISTINCT ELSE END ESCAPE EXCEPT EXISTS EXPLAIN EXTRACT FALSE FETCH FILTER FIRST FOLLOWING FROM FULL GROUP GROUPING
   HAVING HOUR IF IN INNER INTERSECT INTERVAL IS JOIN LAST LATERAL LEFT LIKE LIMIT MINUTE MONTH NATURAL NOT NULL NULLS
   OFFSET ON OR ORDER ORDINALITY OUTER OVER PARTITION PRECEDING RANGE RIGHT ROW ROWS SECOND SELECT SHOW SETS TABLE THEN
   TIME TIMESTAMP TRUE TRY TRY_CAST UNBOUNDED UNION UNNEST USING VALUES WHEN WHERE WINDOW WITH YEAR ZONE`.split(/\s+/),
);

export function highlighted(sql) {
  const nodes = [];
  let end = 0;
  for (const match of sql.matchAll(PIECE)) {
    const [text, comment, string, digits, word] = match;
    const kind = comment ? "com" : string ? "str" : digits ? "num" : KEYWORDS.has(word.toUpperCase()) ? "kw" : null;
    if (!kind) continue;
    nodes.push(sql.slice(end, match.index), h(`span.${kind}`, null, text));
    end = match.index + text.length;
  }
  nodes.push(sql.slice(end));
  return nodes;
}

/** A report's SQL with its :parameters written out as literals, to go on from in the editor. */
export function withValues(sql, values) {
  const times = new Set(["from", "to", "previous_from"]);
  const piece = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|(?<![:\w]):([a-z_]\w*)/g;
  return sql.replace(piece, (text, name) => {
    if (name === undefined || !(name in values)) return text;
    const value = values[name];
    if (typeof value === "number") return String(value);
    const quoted = `'${String(value).replaceAll("'", "''")}'`;
    return times.has(name) ? `TIMESTAMP ${quoted}` : quoted;
  });
}
