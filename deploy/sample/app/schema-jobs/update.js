// The schema-update Job: has drizzle-kit read the migrated database, holds the keys of the file that it writes against the catalogue, and
// puts the file in the place of the one in use, which is kept. Nothing is replaced where a key differs.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import mysql from "mysql2/promise";

import { settings } from "../src/connection.js";
import { CURRENT, FOLDER, load } from "../src/schema.js";
import { keep, replace } from "./files.js";
import { differences, keysOfCatalogue, keysOfFile } from "./keys.js";

const PULL_LIMIT_MS = 240_000;

let folder;
try {
  keep();
  // On the volume, so that putting it in place is a rename.
  folder = mkdtempSync(join(FOLDER, ".pull-"));
  const made = pull(folder);
  const file = keysOfFile(await load(made));
  const catalogue = await read(keysOfCatalogue);
  const found = differences(catalogue, file);
  if (found.length > 0) {
    throw new Error(`the new schema file and the catalogue differ, so the one in use stays:\n  ${found.join("\n  ")}`);
  }
  replace(made);
  console.log(`${catalogue.length} foreign keys in the catalogue and in the schema file, with the same columns, parents and actions`);
  console.log(`${CURRENT} is in use from now on`);
} catch (error) {
  console.error(`schema:update: ${error.message}`);
  process.exitCode = 1;
} finally {
  if (folder) rmSync(folder, { recursive: true, force: true });
}

/** Runs drizzle-kit. It ends with 0 also where it could not read the keys, which the catalogue then says. */
function pull(out) {
  const program = fileURLToPath(new URL("../node_modules/drizzle-kit/bin.cjs", import.meta.url));
  const { status, signal, error, stdout, stderr } = spawnSync(process.execPath, [program, "pull", "--config", "drizzle.config.js"], {
    cwd: new URL("..", import.meta.url),
    env: { ...process.env, PULL_FOLDER: out },
    encoding: "utf8",
    timeout: PULL_LIMIT_MS,
  });
  if (status !== 0) {
    throw new Error(`drizzle-kit pull failed (${error?.message ?? signal ?? `exit status ${status}`}):\n${stdout}${stderr}`);
  }
  const made = join(out, "schema.ts");
  writeFileSync(made, corrected(readFileSync(made, "utf8")));
  return made;
}

/** Two mistakes of drizzle-kit 0.31: a type that is imported as a value, which Node would look for; and the default '' with one quote. */
function corrected(text) {
  return text.replace(/^(import \{.*?)\bAnyMySqlColumn\b/, "$1type AnyMySqlColumn").replaceAll(".default(')", ".default('')");
}

async function read(query) {
  const connection = await mysql.createConnection(settings());
  try {
    return await query(connection);
  } finally {
    await connection.end();
  }
}
