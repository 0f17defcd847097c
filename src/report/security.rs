//! What a page may do: run its own two scripts, use its own style, and nothing else. The browser is told by the hashes of their
//! content, so that markup which got into a page could not run even if it was not escaped.

use sha2::{Digest as _, Sha256};

use super::page::Kind;

/// The style of all pages.
pub(super) const STYLE: &str = include_str!("assets/report.css");
/// Search and filters.
pub(super) const SCRIPT: &str = include_str!("assets/report.js");
/// What replaces a served page by a later one.
pub(super) const LIVE: &str = include_str!("assets/live.js");

/// The Content-Security-Policy of a page.
#[must_use]
pub fn policy(kind: Kind<'_>) -> String {
    let (scripts, asked) = match kind {
        Kind::File => (hash(SCRIPT), "'none'"),
        Kind::Live { .. } => (format!("{} {}", hash(SCRIPT), hash(LIVE)), "'self'"),
    };
    format!(
        "default-src 'none'; style-src {}; script-src {scripts}; connect-src {asked}; base-uri 'none'; form-action 'none'",
        hash(STYLE)
    )
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", base64(&Sha256::digest(text.as_bytes())))
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let six = (bits >> (18 - 6 * place)) & 63;
            let character = if place <= group.len() { char::from(ALPHABET[six as usize]) } else { '=' };
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in vectors {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn no_page_may_ask_for_anything_and_a_live_one_only_for_itself() {
        let (file, live) = (policy(Kind::File), policy(Kind::Live { version: "1" }));
        assert!(
            file.starts_with("default-src 'none'; style-src 'sha256-") && file.contains("connect-src 'none'"),
            "{file}"
        );
        assert!(live.contains("connect-src 'self'"), "{live}");
        for policy in [file, live] {
            assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        }
        for asset in [STYLE, SCRIPT, LIVE] {
            assert!(
                !asset.contains("http") && !asset.contains("</") && !asset.contains("@import"),
                "an asset fetches or ends its element"
            );
        }
    }
}
