"use strict";
// The answers about photographs as CSV, with the columns of `faceemo predict --format csv`.

import { byId } from "./dom.js";

const NONE = { label: null, leaning: null, probability: null, probabilities: {}, box: null, region: null };

// The records of a photograph, which `faceemo predict` would write as well.
function listRecords({ name, response, problem }, index) {
  const about = { index, name, problem: "" };
  if (!response) {
    const reason = `${problem.found}. Fix: ${problem.fix}`;
    return [{ ...NONE, ...about, status: "unreadable", problem: reason, reason }];
  }
  if (!response.faces.length) return [{ ...NONE, ...about, status: "no_face", reason: "no face was found" }];
  return response.faces.map((face) => ({ ...face, ...about }));
}

function format(value, isProbability) {
  if (value === null || value === undefined) return "";
  const text = String(isProbability ? Number(value.toPrecision(6)) : value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// `items` are photographs that have a response or a problem.
export function makeTable(items) {
  const columns = JSON.parse(byId("demo").dataset.columns); // [name, field, key of the field or null]
  const lines = [columns.map(([name]) => format(name))];
  for (const record of items.flatMap(listRecords)) {
    lines.push(columns.map(([, field, key]) =>
      format(key === null ? record[field] : record[field]?.[key], field.startsWith("probabilit"))));
  }
  return lines.map((line) => `${line.join(",")}\n`).join("");
}
