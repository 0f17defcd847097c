// The schema file in use, and the one that a migration found there, on the volume that its Jobs share. Each change is one rename, so that
// whoever reads a file reads all of it, and a Job that was killed may be run again.
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { CURRENT, FOLDER } from "../src/schema.js";

const FOUND = /^found-by-.*\.ts$/;

/** Where the file is kept that this migration found. Its uid tells another try of the same one from another one of the same name. */
function found(env = process.env) {
  const uid = env.HOLDFAST_MIGRATION_UID;
  if (!/^[\w-]{1,64}$/.test(uid ?? "")) {
    throw new Error("HOLDFAST_MIGRATION_UID is not set: Holdfast sets it; by hand, take any word that is the same for update and restore");
  }
  return `found-by-${uid}.ts`;
}

/** Keeps the file in use, at the first try only; empty where there is none. What earlier migrations found is of no more use. */
export function keep() {
  const own = found();
  for (const name of readdirSync(FOLDER)) {
    if (FOUND.test(name) && name !== own) rmSync(join(FOLDER, name));
  }
  if (!existsSync(join(FOLDER, own))) put(existsSync(CURRENT) ? readFileSync(CURRENT) : "", join(FOLDER, own));
}

/** Puts a new file in the place of the one in use. */
export function replace(made) {
  put(readFileSync(made), CURRENT);
}

/** Puts back what this migration found, and says what that was. */
export function restore() {
  const kept = join(FOLDER, found());
  if (!existsSync(kept)) return "the update had not begun, or its file was put back before: nothing is to be done";
  if (readFileSync(kept).length > 0) {
    renameSync(kept, CURRENT);
    return `${CURRENT} is what it was before the update`;
  }
  rmSync(CURRENT, { force: true });
  rmSync(kept);
  return `${CURRENT} is gone again, as before the update: the schema file of the release is the one in use`;
}

function put(content, to) {
  writeFileSync(`${to}.new`, content);
  renameSync(`${to}.new`, to);
}
