// Groups of duplicates as a table for other programs (RFC 4180). Nothing is deleted here or anywhere in this page.

const COLUMNS = ["group", "images", "exact", "distance", "id", "folder", "name", "label", "width", "height", "size", "modified"];

export function groupsAsCsv(groups) {
  const rows = groups.flatMap(({ exact, distance, size: images, items }, group) => items.map((item) => ({ ...item, group: group + 1, images, exact, distance })));
  return [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => row[name]))].map((cells) => cells.map(cell).join(",")).join("\r\n") + "\r\n";
}

function cell(value) {
  if (typeof value !== "string") return value === null || value === undefined ? "" : String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value; // or a spreadsheet would take a file's name for a formula
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Let the browser save a text as a file. */
export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
