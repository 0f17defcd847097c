//! What a page may do: run its own two scripts, use its own style, and nothing else. The browser is told by the hashes of their
//! content, so that markup which got into a page could not run even if it was not escaped.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
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
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

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
