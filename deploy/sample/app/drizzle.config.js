// How `drizzle-kit pull` reads the database: as the application does. The password comes from the mounted file. By URL, because of the
// settings for TLS drizzle-kit passes on only some, and the check of the host's name is not among them.
import { settings, url } from "./src/connection.js";

export default {
  dialect: "mysql",
  dbCredentials: { url: url(settings()) },
  out: process.env.PULL_FOLDER,
  introspect: { casing: "camel" },
};
