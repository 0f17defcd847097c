// Foreign keys as the catalogue has them and as a schema file says them, and what the two differ in.
import { is } from "drizzle-orm";
import { MySqlTable, getTableConfig } from "drizzle-orm/mysql-core";

/** A row for each column, in the key's order. A parent in another schema is named with it. */
const QUERY = `
  SELECT r.CONSTRAINT_NAME AS name, r.TABLE_NAME AS child,
         IF(k.REFERENCED_TABLE_SCHEMA = DATABASE(), r.REFERENCED_TABLE_NAME, CONCAT(k.REFERENCED_TABLE_SCHEMA, '.', r.REFERENCED_TABLE_NAME)) AS parent,
         r.DELETE_RULE AS onDelete, r.UPDATE_RULE AS onUpdate,
         k.COLUMN_NAME AS childColumn, k.REFERENCED_COLUMN_NAME AS parentColumn
  FROM information_schema.REFERENTIAL_CONSTRAINTS AS r
  JOIN information_schema.KEY_COLUMN_USAGE AS k
    ON k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME AND k.TABLE_NAME = r.TABLE_NAME
  WHERE r.CONSTRAINT_SCHEMA = DATABASE() AND k.REFERENCED_TABLE_NAME IS NOT NULL
  ORDER BY r.TABLE_NAME, r.CONSTRAINT_NAME, k.ORDINAL_POSITION`;

/** The keys of the schema that a connection is in. */
export async function keysOfCatalogue(connection) {
  const [rows] = await connection.query(QUERY);
  const keys = new Map();
  for (const row of rows) {
    const id = JSON.stringify([row.child, row.name]);
    if (!keys.has(id)) {
      const { name, child, parent } = row;
      keys.set(id, { name, child, columns: [], parent, parentColumns: [], onDelete: action(row.onDelete), onUpdate: action(row.onUpdate) });
    }
    keys.get(id).columns.push(row.childColumn);
    keys.get(id).parentColumns.push(row.parentColumn);
  }
  return [...keys.values()];
}

/** The keys that a loaded schema file says: `.references()` of a column, or `foreignKey()` of several. */
export function keysOfFile(file) {
  return Object.values(file)
    .filter((value) => is(value, MySqlTable))
    .flatMap((table) => {
      const { name, foreignKeys } = getTableConfig(table);
      return foreignKeys.map((key) => {
        const said = key.reference();
        return {
          name: said.name,
          child: name,
          columns: said.columns.map((column) => column.name),
          parent: getTableConfig(said.foreignTable).name,
          parentColumns: said.foreignColumns.map((column) => column.name),
          onDelete: action(key.onDelete),
          onUpdate: action(key.onUpdate),
        };
      });
    });
}

function action(rule) {
  return (rule ?? "no action").toLowerCase();
}

/** One key in words; `.references()` carries no name. */
export function described({ child, columns, parent, parentColumns, onDelete, onUpdate }) {
  return `${child} (${columns.join(", ")}) -> ${parent} (${parentColumns.join(", ")}) on delete ${onDelete} on update ${onUpdate}`;
}

/** What the file says otherwise than the catalogue, a sentence for each key; empty when they agree. */
export function differences(catalogue, file) {
  const counts = new Map();
  for (const key of catalogue) counts.set(described(key), (counts.get(described(key)) ?? 0) + 1);
  const sentences = [];
  for (const key of file) {
    const left = counts.get(described(key)) ?? 0;
    if (left === 0) sentences.push(`the file says and the database lacks: ${described(key)}`);
    counts.set(described(key), left - 1);
  }
  for (const [key, left] of counts) {
    for (let missing = left; missing > 0; missing -= 1) sentences.push(`the database has and the file lacks: ${key}`);
  }
  return sentences;
}
