// What the application does with its database. That a bookmark has its user and a county keeps its protocols is for the database to
// say: nothing here looks before it leaps.
import { randomInt } from "node:crypto";

import { and, eq } from "drizzle-orm";

const KINDS = { 1451: "has-children", 1452: "missing-parent", 1062: "duplicate" };
const WORDS = { "has-children": "other rows refer to it", "missing-parent": "refers to a row that does not exist", duplicate: "is there already" };

/** A rule of the database forbids what was asked for. */
export class Refused extends Error {
  /** `kind` is missing-parent, has-children or duplicate. */
  constructor(kind, rule) {
    super(`${WORDS[kind]} (${rule})`);
    this.kind = kind;
  }
}

/** The database's refusal as one of ours, with the name of the rule; other errors as they are. */
function translated(error) {
  const cause = error.cause ?? error;
  const kind = KINDS[cause.errno];
  if (!kind) return error;
  const [, rule] = cause.sqlMessage.match(/CONSTRAINT `([^`]+)`/) ?? cause.sqlMessage.match(/for key '([^']+)'/) ?? [, "no name"];
  return new Refused(kind, rule);
}

const DEADLOCK = 1213;
const ATTEMPTS = 3;

/** Does again what the database has rolled back whole because of a deadlock, as it asks its clients to. */
async function again(work) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if ((error.cause ?? error).errno !== DEADLOCK || attempt === ATTEMPTS) throw translated(error);
    }
  }
}

export class Library {
  #db;
  #tables;
  #signUp;

  /** `signUp` is user-first, or bookmarks-first as in the release before 1.0. */
  constructor(db, tables, signUp = "user-first") {
    if (!["user-first", "bookmarks-first"].includes(signUp)) {
      throw new Error(`SIGN_UP is ${JSON.stringify(signUp)}: user-first or bookmarks-first`);
    }
    this.#db = db;
    this.#tables = tables;
    this.#signUp = signUp;
  }

  /** Without another connection it is a transaction of its own. */
  async #insert(table, values, db) {
    const insert = () => (db ?? this.#db).insert(table).values(values);
    const [{ insertId }] = await (db ? insert() : again(insert));
    return values.id ?? insertId;
  }

  async #delete(table, condition) {
    const [{ affectedRows }] = await again(() => this.#db.delete(table).where(condition));
    return affectedRows > 0;
  }

  createUser({ email, displayName = "" }) {
    return this.#insert(this.#tables.users, { email, displayName });
  }

  /** A user with what is the user's own, or nothing. */
  async user(id) {
    const { users, bookmarks, agencyMembers } = this.#tables;
    const { id: own, email, displayName } = users;
    const [user] = await this.#db.select({ id: own, email, displayName }).from(users).where(eq(own, id));
    if (!user) return undefined;
    const saved = await this.#db.select({ id: bookmarks.id, protocolId: bookmarks.protocolId }).from(bookmarks).where(eq(bookmarks.userId, id));
    const memberships = await this.#db.select({ agencyId: agencyMembers.agencyId }).from(agencyMembers).where(eq(agencyMembers.userId, id));
    return { ...user, bookmarks: saved, agencies: memberships.map(({ agencyId }) => agencyId) };
  }

  deleteUser(id) {
    return this.#delete(this.#tables.users, eq(this.#tables.users.id, id));
  }

  createBookmark({ userId, protocolId, note = null }) {
    return this.#insert(this.#tables.bookmarks, { userId, protocolId, note });
  }

  deleteBookmark(id) {
    return this.#delete(this.#tables.bookmarks, eq(this.#tables.bookmarks.id, id));
  }

  /** Signs a user up with bookmarks that were imported: all of it or nothing. */
  signUp({ email, protocolIds }) {
    const { users, bookmarks } = this.#tables;
    const whole = async (transaction) => {
      const save = async (userId) => {
        for (const protocolId of protocolIds) await this.#insert(bookmarks, { userId, protocolId }, transaction);
      };
      if (this.#signUp === "user-first") {
        const id = await this.#insert(users, { email }, transaction);
        await save(id);
        return id;
      }
      // The older release numbered its users itself, below the database's own numbers. It worked as long as no key forbade it.
      const id = randomInt(900_000_000, 999_000_000);
      await save(id);
      return this.#insert(users, { id, email }, transaction);
    };
    return again(() => this.#db.transaction(whole));
  }

  createCounty({ name }) {
    return this.#insert(this.#tables.counties, { name });
  }

  deleteCounty(id) {
    return this.#delete(this.#tables.counties, eq(this.#tables.counties.id, id));
  }

  createProtocol({ countyId, code, title }) {
    return this.#insert(this.#tables.protocols, { countyId, code, title });
  }

  deleteProtocol(id) {
    return this.#delete(this.#tables.protocols, eq(this.#tables.protocols.id, id));
  }

  createAgency({ name, countyId = null }) {
    return this.#insert(this.#tables.agencies, { name, countyId });
  }

  deleteAgency(id) {
    return this.#delete(this.#tables.agencies, eq(this.#tables.agencies.id, id));
  }

  joinAgency(agencyId, userId) {
    return this.#insert(this.#tables.agencyMembers, { agencyId, userId, joinedOn: new Date().toISOString().slice(0, 10) });
  }

  leaveAgency(agencyId, userId) {
    const { agencyMembers } = this.#tables;
    return this.#delete(agencyMembers, and(eq(agencyMembers.agencyId, agencyId), eq(agencyMembers.userId, userId)));
  }
}
