//! The certificate authorities of the system, for servers whose authority nobody names. They are read once: a hundred files and more, which
//! would cost each connection longer than everything else that it needs.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Characters to a line of PEM (RFC 7468, section 2).
const LINE: usize = 64;

static SYSTEM: OnceLock<Vec<u8>> = OnceLock::new();

/// The system's authorities in PEM form; nothing where it has none.
pub(super) fn of_the_system() -> &'static [u8] {
    SYSTEM.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a certificate authority of the system cannot be read");
        }
        found.certs.iter().map(|certificate| pem(certificate)).collect::<String>().into_bytes()
    })
}

fn pem(der: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let encoded = BASE64_STANDARD.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn what_was_a_certificate_is_one_again() {
        for length in [1, 47, 48, 49, 1000] {
            let der: Vec<u8> = (0..length).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
            let text = pem(&der) + &pem(&der);
            assert!(text.lines().all(|line| line.len() <= LINE), "{text}");
            let back: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().unwrap();
            assert_eq!(back, [CertificateDer::from(der.clone()), CertificateDer::from(der)]);
        }
    }
}
