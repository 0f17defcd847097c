// How the application reaches its database: by what Holdfast offers every Job of a migration, the files with the account and the
// certificate authority, and the standard environment without the password. Its own Deployment mounts the same files.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const CREDENTIALS = "/var/run/holdfast/credentials";
const AUTHORITY = "/var/run/holdfast/tls/ca.crt";
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * What mysql2 connects with. The server's certificate must be signed by the authority and carry the host's name; without TLS only where
 * DATABASE_TLS says Disabled, for a server on the same machine.
 */
export function settings(env = process.env) {
  const folder = env.DATABASE_CREDENTIALS ?? CREDENTIALS;
  const tls = env.DATABASE_TLS ?? "VerifyIdentity";
  if (!["VerifyIdentity", "Disabled"].includes(tls)) {
    throw new Error(`DATABASE_TLS is ${JSON.stringify(tls)}: VerifyIdentity or Disabled`);
  }
  const port = Number(env.MYSQL_TCP_PORT ?? 3306);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new Error(`MYSQL_TCP_PORT is ${JSON.stringify(env.MYSQL_TCP_PORT)}: a port from 1 to 65535`);
  }
  const ssl = { ca: tls === "Disabled" ? undefined : text(env.DATABASE_CA ?? AUTHORITY), rejectUnauthorized: true, verifyIdentity: true };
  return {
    host: needed(env, "MYSQL_HOST"),
    port,
    database: needed(env, "MYSQL_DATABASE"),
    user: text(join(folder, "username")),
    password: text(join(folder, "password")),
    ...(ssl.ca && { ssl }),
    connectTimeout: CONNECT_TIMEOUT_MS,
  };
}

/** The same as a URL, for a tool whose own settings cannot ask for the host's name in the certificate. */
export function url({ user, password, host, port, database, ssl }) {
  const [name, secret, schema] = [user, password, database].map(encodeURIComponent);
  const query = ssl ? `?ssl=${encodeURIComponent(JSON.stringify(ssl))}` : "";
  return `mysql://${name}:${secret}@${host}:${port}/${schema}${query}`;
}

function needed(env, name) {
  if (!env[name]) throw new Error(`${name} is not set: name the database's ${name === "MYSQL_HOST" ? "server" : "schema"} in it`);
  return env[name];
}

function text(file) {
  return readFileSync(file, "utf8").replace(/[\r\n]+$/, "");
}
