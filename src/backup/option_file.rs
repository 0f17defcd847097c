//! The option file through which MySQL's programs learn user and password: a file of mode 0600 in a memory-backed volume, so that the
//! password stands in no argument list, no environment and on no disk.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What mysqldump needs to connect.
pub struct Login<'a> {
    /// Host name or address.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// User name.
    pub username: &'a str,
    /// Password.
    pub password: &'a str,
    /// `ssl-mode` as MySQL's clients spell it (`VERIFY_IDENTITY`, ...).
    pub ssl_mode: &'a str,
    /// File of the certificate authority.
    pub certificate_authority: Option<&'a str>,
}

/// The text of the option file.
///
/// # Errors
/// When a value holds a NUL character, which no option file can carry.
pub fn text(login: &Login<'_>) -> io::Result<String> {
    let port = login.port.to_string();
    let mut options = vec![
        ("host", login.host),
        ("port", port.as_str()),
        ("user", login.username),
        ("password", login.password),
        ("ssl-mode", login.ssl_mode),
        ("protocol", "TCP"),
    ];
    options.extend(login.certificate_authority.map(|path| ("ssl-ca", path)));
    render(&options)
}

/// The text for a server that listens on a socket of this machine only.
///
/// # Errors
/// When a value holds a NUL character.
pub fn local_text(socket: &str, username: &str, password: &str) -> io::Result<String> {
    render(&[("socket", socket), ("user", username), ("password", password), ("protocol", "SOCKET")])
}

fn render(options: &[(&str, &str)]) -> io::Result<String> {
    let mut text = String::from("[client]\n");
    for (name, value) in options {
        if value.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the value of {name:?} holds a NUL character, which an option file cannot carry"),
            ));
        }
        text.push_str(name);
        text.push_str("=\"");
        text.push_str(&escaped(value));
        text.push_str("\"\n");
    }
    Ok(text)
}

/// Writes the option file.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, login: &Login<'_>) -> io::Result<()> {
    write_private(path, &text(login)?)
}

/// Writes a file: new, and readable by its owner only from its first moment on. A container that is started again finds the file of its
/// predecessor, which goes.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// The escapes that MySQL's option files know (<https://dev.mysql.com/doc/refman/8.4/en/option-files.html>); a quoted value keeps
/// `#` and spaces.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn login(password: &str) -> Login<'_> {
        Login {
            host: "mysql.shop.svc",
            port: 3306,
            username: "migrator",
            password,
            ssl_mode: "VERIFY_IDENTITY",
            certificate_authority: Some("/var/run/holdfast/tls/ca.crt"),
        }
    }

    #[test]
    fn quotes_backslashes_and_comment_signs_survive() {
        let text = text(&login("a\"b\\c#d 'e")).unwrap();
        assert!(text.contains("password=\"a\\\"b\\\\c#d 'e\"\n"), "{text}");
        assert!(text.contains("ssl-ca=\"/var/run/holdfast/tls/ca.crt\"\n"));
    }

    #[test]
    fn a_nul_character_is_refused() {
        assert!(text(&login("a\0b")).unwrap_err().to_string().contains("\"password\""));
    }

    #[test]
    fn the_file_is_new_and_readable_by_its_owner_only() {
        let path = std::env::temp_dir().join(format!("holdfast-option-file-{}", std::process::id()));
        std::fs::write(&path, "of somebody else").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, &login("secret")).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(&path).unwrap().contains("secret"));
        std::fs::remove_file(path).unwrap();
    }
}
