// What the application relies on now that the database holds the relations: through its own HTTP interface, on a live database, as it runs
// beside the application's traffic. Each test removes what it made; what a run that was killed has left goes before the first one.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, test } from "node:test";

import mysql from "mysql2/promise";

import { settings } from "../src/connection.js";
import { serve } from "../src/service.js";

/** Rows of tests are told by it. Names begin with it, so that an index or a small table finds them. */
const MARK = "npm-test-";
/** How long a row is left to the run that made it. */
const LEFT_AFTER = "1 HOUR";

// Of a failure Holdfast shows the last lines of the log: the reason has to be among them.
Error.stackTraceLimit = 2;

let service;
/** What the test that runs has created, as paths. */
let made = [];

before(async () => {
  await removeLeftovers();
  service = await serve(0, "127.0.0.1");
});
after(() => service?.close());
afterEach(async () => {
  // The newest first: children before their parents.
  const paths = made.reverse();
  made = [];
  for (const path of paths) {
    const { status, body } = await call("DELETE", path);
    assert.ok([204, 404].includes(status), `removing ${path}: ${status} ${JSON.stringify(body)}`);
  }
});

test("a user is created", async () => {
  const email = address();
  const user = await create("/users", { email, displayName: "Robin" });
  assert.deepEqual(await get(`/users/${user}`), { id: user, email, displayName: "Robin", bookmarks: [], agencies: [] });
});

test("deleting a user removes what is the user's own, and nobody else's", async () => {
  const protocol = await createProtocol();
  const [leaver, stayer] = [await create("/users", { email: address() }), await create("/users", { email: address() })];
  const gone = await create(`/users/${leaver}/bookmarks`, { protocolId: protocol });
  const kept = await create(`/users/${stayer}/bookmarks`, { protocolId: protocol });
  await expect(204, "DELETE", `/users/${leaver}`);
  await expect(404, "DELETE", `/bookmarks/${gone}`);
  assert.deepEqual((await get(`/users/${stayer}`)).bookmarks, [{ id: kept, protocolId: protocol }]);
});

test("a bookmark is created", async () => {
  const protocol = await createProtocol();
  const user = await create("/users", { email: address() });
  const bookmark = await create(`/users/${user}/bookmarks`, { protocolId: protocol });
  assert.deepEqual((await get(`/users/${user}`)).bookmarks, [{ id: bookmark, protocolId: protocol }]);
});

test("a bookmark of a user who does not exist is refused", async () => {
  const protocol = await createProtocol();
  const { error } = await expect(422, "POST", "/users/999999999/bookmarks", { protocolId: protocol });
  assert.match(error, /fk_bookmarks_user/);
});

test("a county without protocols can be deleted", async () => {
  const county = await create("/counties", { name: `${MARK}county` });
  await expect(204, "DELETE", `/counties/${county}`);
});

test("a county with protocols cannot be deleted", async () => {
  const county = await create("/counties", { name: `${MARK}county` });
  const protocol = await createProtocol(county);
  const { error } = await expect(409, "DELETE", `/counties/${county}`);
  assert.match(error, /fk_protocols_county/);
  await expect(204, "DELETE", `/protocols/${protocol}`);
  await expect(204, "DELETE", `/counties/${county}`);
});

test("a user joins an agency and leaves it", async () => {
  const agency = await create("/agencies", { name: `${MARK}${randomUUID()}` });
  const user = await create("/users", { email: address() });
  await expect(201, "PUT", `/agencies/${agency}/members/${user}`);
  assert.deepEqual((await get(`/users/${user}`)).agencies, [agency]);
  await expect(204, "DELETE", `/agencies/${agency}/members/${user}`);
  assert.deepEqual((await get(`/users/${user}`)).agencies, []);
  await expect(404, "DELETE", `/agencies/${agency}/members/${user}`);
});

test("an agency's membership ends with the agency", async () => {
  const agency = await create("/agencies", { name: `${MARK}${randomUUID()}` });
  const user = await create("/users", { email: address() });
  await expect(201, "PUT", `/agencies/${agency}/members/${user}`);
  await expect(204, "DELETE", `/agencies/${agency}`);
  assert.deepEqual((await get(`/users/${user}`)).agencies, []);
});

test("signing up with imported bookmarks saves the user and the bookmarks", async () => {
  const protocol = await createProtocol();
  const user = await create("/sign-ups", { email: address(), protocolIds: [protocol] });
  const { bookmarks } = await get(`/users/${user}`);
  made.push(...bookmarks.map(({ id }) => `/bookmarks/${id}`));
  assert.deepEqual(bookmarks.map(({ protocolId }) => protocolId), [protocol]);
});

function address() {
  return `${MARK}${randomUUID()}@test.example`;
}

async function createProtocol(county) {
  const countyId = county ?? (await create("/counties", { name: `${MARK}county` }));
  return create("/protocols", { countyId, code: "T-1", title: `${MARK}airway` });
}

async function create(path, values) {
  return (await expect(201, "POST", path, values)).id;
}

function get(path) {
  return expect(200, "GET", path);
}

async function expect(wanted, method, path, values) {
  const { status, body } = await call(method, path, values);
  assert.equal(status, wanted, `${method} ${path}: ${JSON.stringify(body)}`);
  return body;
}

/** Asks the service. What it created is removed after the test, whether the test had expected it or not. */
async function call(method, path, values) {
  const response = await fetch(`http://127.0.0.1:${service.port}${path}`, { method, body: values && JSON.stringify(values) });
  const text = await response.text();
  const body = text === "" ? undefined : JSON.parse(text);
  if (response.status === 201) {
    const kind = path === "/sign-ups" ? "/users" : path.replace(/^.*(?=\/bookmarks$)/, "");
    made.push(method === "PUT" ? path : `${kind}/${body.id}`);
  }
  return { status: response.status, body };
}

/** Children before their parents. */
async function removeLeftovers() {
  const connection = await mysql.createConnection(settings());
  try {
    for (const [table, column] of [["users", "email"], ["agencies", "name"], ["counties", "name"]]) {
      const [rows] = await connection.query(
        `SELECT id FROM ${table} WHERE ${column} LIKE '${MARK}%' AND created_at < NOW() - INTERVAL ${LEFT_AFTER}`,
      );
      for (const { id } of rows) {
        if (table === "counties") await connection.query("DELETE FROM protocols WHERE county_id = ?", [id]);
        await connection.query(`DELETE FROM ${table} WHERE id = ?`, [id]);
      }
    }
  } finally {
    await connection.end();
  }
}
