//! The HTTP side of the S3 client: hyper and rustls, as the operator has them anyway; certificate authorities of the image or the one that is
//! named; a deadline for every request; and what the server refused, kept for the message.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use hyper::header::{DATE, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::{Method, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::TokioExecutor;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The slowest network that an upload is made through, in bytes a second.
const SLOWEST: usize = 64 << 10;
/// Longer explanations of a refusal are of no use.
const MAX_REFUSAL: usize = 64 << 10;

/// What a server answered instead of doing what it was asked to.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// The service's own word for it, such as `NoSuchBucket`; empty where it says none.
    pub(super) code: String,
    pub(super) message: String,
    /// Where the bucket is, if the server says that.
    pub(super) region: Option<String>,
    /// The server's clock.
    pub(super) date: Option<String>,
}

/// The client.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client<HttpsConnector<TcpConnector>, HttpRequestBody>,
    patience: Duration,
    refusal: Arc<Mutex<Option<Refusal>>>,
}

impl Http {
    /// A client that trusts this authority only, or those of the image. An answer must begin within `patience` after the request was sent.
    pub(super) fn new(encrypted: bool, authority: Option<&Path>, patience: Duration) -> Result<Self, String> {
        let roots = if encrypted { roots(authority)? } else { RootCertStore::empty() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("setting up TLS: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_LIMIT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new()).build(connector.wrap_connector(tcp));
        Ok(Self { client, patience, refusal: Arc::default() })
    }

    /// What was refused last.
    pub(super) fn take_refusal(&self) -> Option<Refusal> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The authorities that a server's certificate must come from.
fn roots(authority: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = authority else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(
                "the image holds no certificate authorities, so the S3 service's certificate cannot be checked: use an image with them \
                 (the package ca-certificates), or name the authority with spec.backup.job.destination.s3.caSecretRef"
                    .to_owned(),
            );
        }
        return Ok(roots);
    };
    let explain = |error: &dyn std::fmt::Display| {
        format!(
            "the certificate authority of spec.backup.job.destination.s3.caSecretRef is no certificate in PEM: {error}"
        )
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| explain(&error))? {
        roots.add(certificate.map_err(|error| explain(&error))?).map_err(|error| explain(&error))?;
    }
    if roots.is_empty() { Err(explain(&"it holds none")) } else { Ok(roots) }
}

impl HttpConnector for Http {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Http {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if completes_an_upload(&request) {
            // A server that knows it refuses to overwrite what somebody has put there meanwhile; the others do not look at it.
            request.headers_mut().insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let sending = u64::try_from(request.body().content_length() / SLOWEST).unwrap_or(u64::MAX);
        let limit = self.patience.saturating_add(Duration::from_secs(sending));
        let late = |_| HttpError::new(HttpErrorKind::Timeout, NoAnswer(limit.as_secs()));
        let answer = tokio::time::timeout(limit, self.client.request(request)).await.map_err(late)?;
        let (parts, body) = answer.map_err(|error| failed(error.is_connect(), error))?.into_parts();
        let body = HttpResponseBody::new(body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error)));
        if parts.status.is_success() {
            return Ok(HttpResponse::from_parts(parts, body));
        }
        let text = if body.size_hint().lower() > MAX_REFUSAL as u64 {
            Default::default()
        } else {
            tokio::time::timeout(limit, body.bytes()).await.map_err(late)??
        };
        let refusal = refusal(parts.status, &parts.headers, &String::from_utf8_lossy(&text));
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        Ok(HttpResponse::from_parts(parts, text.into()))
    }
}

/// No answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0} s")]
struct NoAnswer(u64);

fn failed(connecting: bool, error: impl std::error::Error + Send + Sync + 'static) -> HttpError {
    // Whether a request that was sent was carried out is not known.
    let kind = if connecting { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
    HttpError::new(kind, error)
}

fn completes_an_upload(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    *request.method() == Method::POST && query.split('&').any(|part| part.starts_with("uploadId="))
}

fn refusal(status: StatusCode, headers: &HeaderMap, body: &str) -> Refusal {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Refusal {
        status: status.as_u16(),
        code: element(body, "Code").unwrap_or_default().to_owned(),
        message: element(body, "Message").unwrap_or_default().to_owned(),
        region: header("x-amz-bucket-region").or_else(|| element(body, "Region").map(str::to_owned)),
        date: header(DATE.as_str()),
    }
}

/// The text of an element without children.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refusal_is_read_from_body_and_headers() {
        let body = "<?xml version=\"1.0\"?><Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>";
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-bucket-region", HeaderValue::from_static("eu-west-1"));
        let read = refusal(StatusCode::MOVED_PERMANENTLY, &headers, body);
        assert_eq!((read.status, read.code.as_str(), read.message.as_str()), (301, "PermanentRedirect", "elsewhere"));
        assert_eq!(read.region.as_deref(), Some("eu-west-1"));
        let malformed = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-north-1</Region></Error>";
        let read = refusal(StatusCode::BAD_REQUEST, &HeaderMap::new(), malformed);
        assert_eq!(read.region.as_deref(), Some("eu-north-1"));
    }

    #[test]
    fn only_the_request_that_completes_an_upload_is_made_conditional() {
        let request = |method: Method, uri: &str| {
            hyper::Request::builder().method(method).uri(uri).body(HttpRequestBody::empty()).unwrap()
        };
        assert!(completes_an_upload(&request(Method::POST, "http://s3/b/k?uploadId=7")));
        assert!(!completes_an_upload(&request(Method::POST, "http://s3/b/k?uploads=")));
        assert!(!completes_an_upload(&request(Method::PUT, "http://s3/b/k?partNumber=1&uploadId=7")));
    }

    #[test]
    fn an_authority_that_is_no_certificate_is_named_by_its_field() {
        let path = std::env::temp_dir().join(format!("holdfast-authority-{}", std::process::id()));
        std::fs::write(&path, "not PEM").unwrap();
        let error = Http::new(true, Some(&path), Duration::from_secs(1)).unwrap_err();
        assert!(error.contains("caSecretRef"), "{error}");
        std::fs::remove_file(path).unwrap();
    }
}
