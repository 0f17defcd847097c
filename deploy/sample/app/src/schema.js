// The application's schema file: the one that the schema-update Job made of the migrated database, where there is one, and otherwise the one
// that came with this release. Both are what `drizzle-kit pull` writes.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** Where the Jobs leave a file; a volume is mounted there. Below the application's folder, so that the file's own imports are found. */
export const FOLDER = process.env.SCHEMA_FOLDER ?? fileURLToPath(new URL("../schema/", import.meta.url));
/** The file that they leave. */
export const CURRENT = join(FOLDER, "schema.ts");
const RELEASED = fileURLToPath(new URL("../release/schema.ts", import.meta.url));

/** Loads a schema file: its tables by name. */
export function load(file = existsSync(CURRENT) ? CURRENT : RELEASED) {
  return import(pathToFileURL(file));
}
