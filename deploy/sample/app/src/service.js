// The library over HTTP, with JSON in both directions.
import { createServer } from "node:http";

import { drizzle } from "drizzle-orm/mysql2";
import mysql from "mysql2/promise";

import { settings } from "./connection.js";
import { Library, Refused } from "./library.js";
import { load } from "./schema.js";

const LARGEST_BODY = 64 * 1024;
const STATUS = { "missing-parent": 422, "has-children": 409, duplicate: 409 };

/** Method, path and what answers: a number or an object is an answer with a body, true one without, false means not found. */
const ROUTES = [
  ["POST", "/users", (library, _, body) => library.createUser(body)],
  ["GET", "/users/:user", (library, { user }) => library.user(user)],
  ["DELETE", "/users/:user", (library, { user }) => library.deleteUser(user)],
  ["POST", "/users/:user/bookmarks", (library, { user }, body) => library.createBookmark({ ...body, userId: user })],
  ["DELETE", "/bookmarks/:bookmark", (library, { bookmark }) => library.deleteBookmark(bookmark)],
  ["POST", "/sign-ups", (library, _, body) => library.signUp(body)],
  ["POST", "/counties", (library, _, body) => library.createCounty(body)],
  ["DELETE", "/counties/:county", (library, { county }) => library.deleteCounty(county)],
  ["POST", "/protocols", (library, _, body) => library.createProtocol(body)],
  ["DELETE", "/protocols/:protocol", (library, { protocol }) => library.deleteProtocol(protocol)],
  ["POST", "/agencies", (library, _, body) => library.createAgency(body)],
  ["DELETE", "/agencies/:agency", (library, { agency }) => library.deleteAgency(agency)],
  ["PUT", "/agencies/:agency/members/:user", (library, { agency, user }) => library.joinAgency(agency, user)],
  ["DELETE", "/agencies/:agency/members/:user", (library, { agency, user }) => library.leaveAgency(agency, user)],
].map(([method, path, answer]) => ({ method, pattern: new RegExp(`^${path.replace(/:(\w+)/g, "(?<$1>\\d{1,15})")}$`), answer }));

/** Serves on a port, 0 for a free one. Returns the port, and a function that ends it all. */
export async function serve(port, host, env = process.env) {
  const pool = mysql.createPool({ ...settings(env), connectionLimit: 4 });
  const library = new Library(drizzle(pool), await load(), env.SIGN_UP);
  const server = createServer((request, response) => {
    handle(pool, library, request).then(
      ([status, body]) => answer(response, status, body),
      (error) => {
        if (error instanceof Refused) return answer(response, STATUS[error.kind], { error: error.message });
        if (error instanceof BadRequest) return answer(response, 400, { error: error.message });
        console.error(`${request.method} ${request.url}: ${(error.cause ?? error).message}`);
        return answer(response, 500, { error: "the request failed; the log says why" });
      },
    );
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
  const close = async () => {
    await new Promise((resolve) => server.close(resolve).closeAllConnections());
    await pool.end();
  };
  return { port: server.address().port, close };
}

class BadRequest extends Error {}

async function handle(pool, library, request) {
  const path = new URL(request.url, "http://service").pathname;
  if (path === "/healthz") {
    await pool.query("SELECT 1");
    return [200, { ready: true }];
  }
  for (const route of ROUTES) {
    const found = route.method === request.method && route.pattern.exec(path);
    if (!found) continue;
    const ids = Object.fromEntries(Object.entries(found.groups ?? {}).map(([name, id]) => [name, Number(id)]));
    const result = await route.answer(library, ids, request.method === "POST" ? await body(request) : {});
    if (typeof result === "number") return [201, { id: result }];
    if (result === true) return [204];
    return result ? [200, result] : [404, { error: `${path} does not exist` }];
  }
  return [404, { error: `${request.method} ${path} is not known` }];
}

async function body(request) {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += chunk;
    if (text.length > LARGEST_BODY) throw new BadRequest(`the body is larger than ${LARGEST_BODY} bytes`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new BadRequest(`the body is not JSON: ${error.message}`);
  }
}

function answer(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" }).end(value === undefined ? undefined : JSON.stringify(value));
}
