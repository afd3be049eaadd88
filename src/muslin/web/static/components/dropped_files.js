// The files of a drop, with those in its folders, under the paths that they have there.

/** [{path, file}], in the order of the paths. */
export async function droppedFiles(transfer) {
  const entries = Array.from(transfer.items || [], (item) => item.webkitGetAsEntry?.()).filter(Boolean); // before any await
  if (!entries.length) return Array.from(transfer.files, (file) => ({ path: file.name, file }));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

async function walk(entry, above, found) {
  const path = above + entry.name;
  if (entry.isFile) {
    found.push({ path, file: await new Promise((resolve, reject) => { entry.file(resolve, reject); }) });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); }); // 100 at a time
    if (!some.length) return;
    for (const one of some) await walk(one, `${path}/`, found);
  }
}
