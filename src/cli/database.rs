//! The database that a command reads without a cluster: where it is, as whom, and the password from a file, the environment or a
//! prompt; never from an argument, which every process list shows.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use percent_encoding::percent_decode_str;
use url::Url;

use super::failure::Failure;
use crate::mysql::{Cause, Error, Target, TlsMode};
use crate::plan::Identifier;

/// Where `mysql` and its like look for a password, too.
const PASSWORD: &str = "MYSQL_PWD";
const DEFAULT_PORT: u16 = 3306;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Flags that name a database.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Database")]
pub struct Flags {
    /// The database as mysql://USER@HOST:PORT/SCHEMA, without a password.
    #[arg(long, value_name = "URL", conflicts_with_all = ["host", "port", "user", "schema"])]
    url: Option<String>,
    /// Host name or address of the server. A replica serves as well.
    #[arg(long)]
    host: Option<String>,
    /// TCP port. Left out: 3306.
    #[arg(long)]
    port: Option<u16>,
    /// User. SELECT on the schema is enough.
    #[arg(long)]
    user: Option<String>,
    /// The schema (in MySQL's words also: database).
    #[arg(long)]
    schema: Option<String>,
    /// File that holds the password. Left out: the environment variable MYSQL_PWD, else it is asked for.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// How the connection is protected: verify-identity checks the certificate and the host in it, verify-ca the certificate only,
    /// required encrypts without checking, disabled sends everything in the clear.
    #[arg(long, value_enum, default_value_t = Tls::VerifyIdentity)]
    tls_mode: Tls,
    /// File with the certificate authority in PEM. Left out: those of the system.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

/// Protection of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Tls {
    VerifyIdentity,
    VerifyCa,
    Required,
    Disabled,
}

/// A database to read.
#[derive(Debug, Clone)]
pub struct Database {
    /// The server and the login.
    pub target: Target,
    /// The schema.
    pub schema: Identifier,
}

/// What the flags say, before the password is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
    user: String,
    schema: Identifier,
}

impl Flags {
    /// Whether a server is named.
    #[must_use]
    pub fn names_a_server(&self) -> bool {
        self.url.is_some() || self.host.is_some()
    }

    /// The schema that --schema names.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The same with another database, and with another file for its password where it has one.
    #[must_use]
    pub fn at(&self, url: &str, password_file: Option<&Path>) -> Self {
        let password_file = password_file.map(Path::to_path_buf).or_else(|| self.password_file.clone());
        Self {
            url: Some(url.to_owned()),
            host: None,
            port: None,
            user: None,
            schema: None,
            password_file,
            ..self.clone()
        }
    }

    /// Finds the database and the password.
    ///
    /// # Errors
    /// When something is missing or cannot be read.
    pub fn database(&self) -> Result<Database, Failure> {
        let place = self.place()?;
        let authority = match &self.tls_ca {
            Some(file) => {
                Some(fs::read(file).map_err(|error| unreadable(file, &error, "name the PEM file of the authority"))?)
            }
            None => None,
        };
        let tls = match self.tls_mode {
            Tls::VerifyIdentity => TlsMode::VerifyIdentity,
            Tls::VerifyCa => TlsMode::VerifyCa,
            Tls::Required => TlsMode::Required,
            Tls::Disabled => TlsMode::Disabled,
        };
        let password = self.password(&place)?;
        let target = Target {
            host: place.host,
            port: place.port,
            socket: None,
            username: place.user,
            password,
            tls,
            certificate_authority: authority,
            connect_timeout: CONNECT_TIMEOUT,
        };
        Ok(Database { target, schema: place.schema })
    }

    fn place(&self) -> Result<Place, Failure> {
        let (host, port, user, schema) = match &self.url {
            Some(url) => read_url(url)?,
            None => {
                let missing = |flag: &str| {
                    Failure::usage(format!(
                        "no database is named: give --{flag}, or --url mysql://USER@HOST:PORT/SCHEMA"
                    ))
                };
                (
                    self.host.clone().ok_or_else(|| missing("host"))?,
                    self.port.unwrap_or(DEFAULT_PORT),
                    self.user.clone().ok_or_else(|| missing("user"))?,
                    self.schema.clone().ok_or_else(|| missing("schema"))?,
                )
            }
        };
        let schema = Identifier::new(schema).map_err(|error| {
            Failure::usage(format!("no schema can have that name: {error}; correct it in --url or --schema"))
        })?;
        Ok(Place { host, port, user, schema })
    }

    fn password(&self, place: &Place) -> Result<String, Failure> {
        if let Some(file) = &self.password_file {
            let text = fs::read_to_string(file)
                .map_err(|error| unreadable(file, &error, "name a file that holds the password alone"))?;
            // Editors end a file with a line break; a password does not.
            return Ok(text
                .strip_suffix('\n')
                .map(|text| text.strip_suffix('\r').unwrap_or(text))
                .unwrap_or(&text)
                .to_owned());
        }
        if let Some(password) = env::var_os(PASSWORD) {
            return password
                .into_string()
                .map_err(|_| Failure::usage(format!("the environment variable {PASSWORD} holds no UTF-8 text")));
        }
        let question = format!("Password of {} on {}:{}: ", place.user, place.host, place.port);
        rpassword::prompt_password(question).map_err(|error| {
            Failure::usage(format!(
                "no password is given and it cannot be asked for here ({error}): name a file with --password-file, or set {PASSWORD}"
            ))
        })
    }
}

fn unreadable(file: &Path, error: &std::io::Error, next: &str) -> Failure {
    Failure::unavailable(format!("{} cannot be read: {error}; {next}", file.display()))
}

/// Host, port, user and schema of a URL. Its text is in no message: it may hold a password after all.
fn read_url(text: &str) -> Result<(String, u16, String, String), Failure> {
    const FORM: &str = "write mysql://USER@HOST:PORT/SCHEMA";
    let url = Url::parse(text).map_err(|error| Failure::usage(format!("--url is no URL ({error}): {FORM}")))?;
    if url.scheme() != "mysql" {
        return Err(Failure::usage(format!("--url begins with {}: {FORM}", url.scheme())));
    }
    if url.password().is_some() {
        return Err(Failure::usage(format!(
            "--url holds a password, which every process list shows: leave it out, and name a file with --password-file or set {PASSWORD}"
        )));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Failure::usage(format!(
            "--url has options behind ? or #, which are not read: use --tls-mode and --tls-ca; {FORM}"
        )));
    }
    let decoded = |part: &str, what: &str| {
        let text = percent_decode_str(part).decode_utf8();
        text.map(|text| text.into_owned())
            .map_err(|_| Failure::usage(format!("the {what} in --url is no UTF-8 text: {FORM}")))
    };
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| Failure::usage(format!("--url names no host: {FORM}")))?;
    let user = decoded(url.username(), "user")?;
    let schema = decoded(url.path().trim_start_matches('/'), "schema")?;
    if user.is_empty() || schema.is_empty() {
        let missing = if user.is_empty() { "user" } else { "schema" };
        return Err(Failure::usage(format!("--url names no {missing}: {FORM}")));
    }
    // An IPv6 address stands in brackets there.
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((decoded(&host, "host")?, url.port().unwrap_or(DEFAULT_PORT), user, schema))
}

/// An error of the database with the next step.
#[must_use]
pub fn failed(error: &Error) -> Failure {
    let next = match error.cause {
        Cause::AccessDenied | Cause::PrivilegeMissing => {
            "; SELECT on the schema is needed: see user, password and grants"
        }
        Cause::InvalidSpec => "; name another schema",
        _ => "",
    };
    Failure::unavailable(format!("{error}{next}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_url_is_read_with_its_escapes() {
        let read = |text| read_url(text).unwrap();
        assert_eq!(read("mysql://root@127.0.0.1:3307/shop"), ("127.0.0.1".into(), 3307, "root".into(), "shop".into()));
        assert_eq!(read("mysql://a%40b@db/sh%20op"), ("db".into(), 3306, "a@b".into(), "sh op".into()));
        assert_eq!(read("mysql://root@[::1]/shop").0, "::1");
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        for text in [
            "mysql://root:secret@db/shop",
            "mysql://root:secret@/shop",
            "mysql:root:secret@db",
            "http://root:secret@db/shop",
        ] {
            let failure = read_url(text).unwrap_err();
            assert!(!failure.message.contains("secret"), "{}", failure.message);
        }
        assert!(read_url("mysql://root:secret@db/shop").unwrap_err().message.contains("--password-file"));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, part) in
            [("mysql://db/shop", "user"), ("mysql://root@db", "schema"), ("mysql://root@db/shop?ssl=1", "--tls-mode")]
        {
            assert!(read_url(text).unwrap_err().message.contains(part), "{text}");
        }
    }
}
