//! Who may read the dashboard: whoever knows its address, which holds a token, and asks for it under a name of this machine. Another web
//! page knows neither: a name that it makes resolve to this machine is not taken, and without the token nothing is told.

use axum::http::{Method, Uri};

use crate::cli::lint::is_object_name;

/// Bytes of the token.
const TOKEN: usize = 24;

/// What lets in.
#[derive(Debug)]
pub(super) struct Door {
    port: u16,
    token: String,
    /// The one migration that is served; none: all of the namespace.
    only: Option<String>,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The migration; none: the list of all.
    pub(super) name: Option<String>,
    /// The version that is known already.
    pub(super) after: Option<u64>,
}

/// Why nothing is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It would change something.
    Method,
    /// It was asked under another name.
    Host,
    /// Nothing is there.
    Address,
}

impl Door {
    /// A door with a new token.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub(super) fn new(port: u16, only: Option<String>) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; TOKEN];
        getrandom::fill(&mut bytes)?;
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { port, token, only })
    }

    /// The address to go to.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/{}/{}", self.port, self.token, self.only.as_deref().unwrap_or_default())
    }

    /// Looks at a request.
    pub(super) fn ask(&self, method: &Method, host: Option<&str>, uri: &Uri) -> Result<Asked, Refused> {
        let names = [format!("127.0.0.1:{}", self.port), format!("localhost:{}", self.port)];
        // A name that is absent, or stands in the address and differs, is none of them.
        let named = |name: &str| names.iter().any(|own| own.eq_ignore_ascii_case(name));
        if !host.is_some_and(named) || uri.authority().is_some_and(|authority| !named(authority.as_str())) {
            return Err(Refused::Host);
        }
        if *method != Method::GET && *method != Method::HEAD {
            return Err(Refused::Method);
        }
        let path = uri.path().strip_prefix('/').and_then(|path| path.split_once('/'));
        let (token, name) = path.ok_or(Refused::Address)?;
        let name = match (&self.only, name) {
            _ if !same(token, &self.token) => return Err(Refused::Address),
            (Some(only), name) if name == only => Some(only.clone()),
            (None, "") => None,
            // Nothing else gets into a request to the API server.
            (None, name) if is_object_name(name) => Some(name.to_owned()),
            _ => return Err(Refused::Address),
        };
        let after = uri.query().and_then(|query| query.strip_prefix("after=")).and_then(|after| after.parse().ok());
        Ok(Asked { name, after })
    }
}

/// Whether two texts are equal, in a time that does not tell where they differ.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one.bytes().zip(other.bytes()).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask(door: &Door, method: &Method, host: &str, path: &str) -> Result<Asked, Refused> {
        door.ask(method, Some(host), &path.parse().unwrap())
    }

    #[test]
    fn only_who_knows_the_address_reads_and_nobody_changes() {
        let door = Door::new(8080, Some("m".to_owned())).unwrap();
        let (token, host) = (door.token.clone(), "127.0.0.1:8080");
        assert_eq!(token.len(), 2 * TOKEN);
        assert_ne!(Door::new(8080, None).unwrap().token, token);
        let page = format!("/{token}/m");
        let asked = |after| Ok(Asked { name: Some("m".to_owned()), after });
        assert_eq!(ask(&door, &Method::GET, host, &page), asked(None));
        assert_eq!(ask(&door, &Method::HEAD, "localhost:8080", &format!("{page}?after=17")), asked(Some(17)));
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(ask(&door, &method, host, &page), Err(Refused::Method));
        }
        for host in ["evil.example:8080", "127.0.0.1", "127.0.0.1:81", "127.0.0.1:8080.evil.example", ""] {
            assert_eq!(ask(&door, &Method::GET, host, &page), Err(Refused::Host), "{host}");
        }
        assert_eq!(door.ask(&Method::GET, None, &page.parse().unwrap()), Err(Refused::Host));
        assert_eq!(ask(&door, &Method::GET, host, &format!("http://evil.example{page}")), Err(Refused::Host));
        let wrong = format!("/{}/m", "0".repeat(2 * TOKEN));
        for path in [
            "/",
            "/m",
            &format!("/{token}"),
            &format!("/{token}/"),
            &format!("/{token}/other"),
            &format!("{page}/x"),
            &wrong,
        ] {
            assert_eq!(ask(&door, &Method::GET, host, path), Err(Refused::Address), "{path}");
        }
    }

    #[test]
    fn without_a_name_there_is_the_list_and_a_page_for_each() {
        let door = Door::new(8080, None).unwrap();
        let token = &door.token;
        let ask = |name: &str| {
            ask(&door, &Method::GET, "127.0.0.1:8080", &format!("/{token}/{name}")).map(|asked| asked.name)
        };
        assert_eq!(ask(""), Ok(None));
        assert_eq!(ask("a-1.b"), Ok(Some("a-1.b".to_owned())));
        for name in ["a/b", "..", "A", "a%2fb", "a/../b"] {
            assert_eq!(ask(name), Err(Refused::Address), "{name}");
        }
    }
}
