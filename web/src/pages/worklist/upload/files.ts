/** Return every file of a drop, those inside folders too. */
export async function dropped(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry() ?? item.getAsFile())
    .filter((entry) => entry !== null);
  const files = await Promise.all(entries.map((entry) => (entry instanceof File ? [entry] : inside(entry))));
  return files.flat();
}

async function inside(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile)
    return [await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))];
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  for (;;) {
    // A browser gives at most a hundred names at a time.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return files;
    for (const one of some) if (!one.name.startsWith(".")) files.push(...(await inside(one)));
  }
}

/** Return whether a file is a picture, which says nothing of its patient. */
export function isPicture(file: File): boolean {
  return /\.(jpe?g|png|tiff?|webp)$/i.test(file.name) || /^image\/(jpeg|png|tiff|webp)$/.test(file.type);
}
