// The undo Job: puts the schema file back that the migration found. It needs no database, whose keys are taken back after it.
import { load } from "../src/schema.js";
import { restore } from "./files.js";
import { keysOfFile } from "./keys.js";

try {
  console.log(restore());
  console.log(`${keysOfFile(await load()).length} foreign keys in the schema file that is in use`);
} catch (error) {
  console.error(`schema:restore: ${error.message}`);
  process.exitCode = 1;
}
