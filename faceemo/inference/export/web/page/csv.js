// Results as CSV, with the columns of `faceemo predict --format csv`.

const EDGES = ["left", "top", "right", "bottom"];

const NOTHING_FOUND = "no face was found";

const quote = (cell) => {
  const text = cell === null || cell === undefined ? "" : String(cell);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
const round = (share) => (share === undefined || share === null ? null : Number(share.toPrecision(6)));

// `results` are { name, faces } or { name, problem }, in order.
export function writeCsv(results, classes) {
  const columns = ["index", "name", "status", "label", ...classes, ...EDGES, "face_confidence", "leaning"];
  columns.push(...EDGES.map((edge) => `region_${edge}`), "time", "problem", "probability", "track", "reason");
  const lines = [columns];
  results.forEach(({ name, faces = [], problem }, index) => {
    const none = problem ? { status: "unreadable" } : { status: "no_face", reason: NOTHING_FOUND };
    const rows = faces.length ? faces : [none];
    for (const face of rows) {
      const edges = (box) => EDGES.map((_, edge) => box?.[edge]);
      lines.push([
        index, name, face.status, face.label,
        ...classes.map((one) => round(face.probabilities?.[one])),
        ...edges(face.box), face.face_confidence, face.leaning, ...edges(face.region),
        null, problem, round(face.probability), null, face.reason ?? problem,
      ]);
    }
  });
  return lines.map((cells) => cells.map(quote).join(",") + "\n").join("");
}
