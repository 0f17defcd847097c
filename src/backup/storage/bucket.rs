//! Dumps as objects of a bucket, through any service that speaks S3. Requests are signed with the credentials of mounted files and with nothing
//! else: neither the environment nor the machine's own role is asked.

use std::fs;
use std::io::{self, Read};
use std::path::Path as File;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use hyper::{Method, Request, StatusCode};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequestBody, HttpService as _};
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig,
};
use serde::Deserialize;
use tokio::runtime::Runtime;

use super::bucket_error::{About, explain, unreachable};
use super::bucket_http::Http;
use super::bucket_upload::Parts;
use super::{Arguments, Storage, Upload};

/// A service that sends nothing of an object for so long sends nothing more.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// Signatures hold for 15 minutes, and a repeated request keeps its own.
const MAX_PATIENCE: u64 = 600;

/// A bucket.
pub(super) struct Bucket {
    pub(super) runtime: Runtime,
    pub(super) store: AmazonS3,
    http: Http,
    credential: AwsCredential,
    bucket: String,
    prefix: String,
    region: String,
    endpoint: String,
    patience: u64,
}

impl Bucket {
    pub(super) fn open(bucket: &str, arguments: &Arguments) -> Result<Self, String> {
        let region = arguments.region.clone().ok_or("--region is missing")?;
        let folder = arguments.bucket_credentials.as_deref().ok_or("--bucket-credentials is missing")?;
        let endpoint = arguments.endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let encrypted = endpoint.starts_with("https://");
        let patience = arguments.patience.min(MAX_PATIENCE);
        let http =
            Http::new(encrypted, arguments.bucket_certificate_authority.as_deref(), Duration::from_secs(patience))?;
        let credential = credential(folder)?;
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(200),
                max_backoff: Duration::from_secs(10),
                base: 2.0,
            },
            max_retries: 100,
            retry_timeout: Duration::from_secs(patience),
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&region)
            .with_endpoint(&endpoint)
            .with_access_key_id(&credential.key_id)
            .with_secret_access_key(&credential.secret_key)
            .with_client_options(ClientOptions::new().with_allow_http(!encrypted))
            .with_http_connector(http.clone())
            .with_retry(retry);
        if let Some(token) = &credential.token {
            builder = builder.with_token(token);
        }
        let store = builder.build().map_err(|error| format!("the bucket {bucket:?}: {error}"))?;
        // One thread beside this one: a part is sent while the next one is filled.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let prefix = arguments.prefix.as_deref().unwrap_or_default().trim_matches('/');
        Ok(Self {
            runtime: runtime.map_err(|error| format!("starting the asynchronous runtime: {error}"))?,
            store,
            http,
            credential,
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            region,
            endpoint,
            patience,
        })
    }

    pub(super) fn path(&self, name: &str) -> Result<Path, String> {
        let key = format!("{}{name}", self.prefix);
        Path::parse(&key).map_err(|error| {
            format!("{key:?} can be no object's key ({error}): correct spec.backup.job.destination.s3.prefix")
        })
    }

    /// What went wrong, in words.
    pub(super) fn error(&self, doing: &str, error: &dyn std::error::Error) -> String {
        let about = About { bucket: &self.bucket, region: &self.region, endpoint: &self.endpoint };
        match self.http.take_refusal() {
            Some(refusal) => explain(doing, &about, &refusal),
            None => unreachable(doing, &about, self.patience, &innermost(error)),
        }
    }

    /// Whether there is an object of this name. Its beginning is asked for, and not only its head: the answer to that would not tell an object
    /// that is missing from a bucket that is.
    fn exists(&self, name: &str) -> Result<bool, String> {
        self.read(name).map(|object| object.is_some())
    }

    /// Refuses to go on where there is one.
    pub(super) fn free(&self, name: &str) -> Result<Path, String> {
        if self.exists(name)? {
            return Err(format!("{} exists already, and nothing is overwritten", self.place(name)));
        }
        self.path(name)
    }

    /// Uploads that were begun under keys with this beginning and not finished: the first thousand.
    async fn unfinished(&self, beginning: &str) -> Result<Vec<Unfinished>, String> {
        let doing = format!("looking for unfinished uploads in the bucket {:?}", self.bucket);
        let uri = format!("{}/{}?prefix={}&uploads=", self.endpoint, self.bucket, self.path(beginning)?);
        let request = Request::builder().method(Method::GET).uri(&uri).body(HttpRequestBody::empty());
        let mut request = request.map_err(|error| format!("{doing}: {error}"))?;
        AwsAuthorizer::new(&self.credential, "s3", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| format!("{doing}: signing the request: {error}"))?;
        let answer = self.http.call(request).await.map_err(|error| self.error(&doing, &error))?;
        if [StatusCode::NOT_IMPLEMENTED, StatusCode::METHOD_NOT_ALLOWED].contains(&answer.status()) {
            println!("{} does not tell of unfinished uploads, so none is looked for", self.endpoint);
            return Ok(Vec::new());
        }
        if !answer.status().is_success() {
            return Err(self.error(&doing, &io::Error::other(answer.status().to_string())));
        }
        let text = answer.into_body().bytes().await.map_err(|error| self.error(&doing, &error))?;
        let listing: Listing = quick_xml::de::from_reader(text.as_ref())
            .map_err(|error| format!("{doing}: the answer of {} is not understood: {error}", self.endpoint))?;
        Ok(listing.uploads)
    }
}

/// The answer to a question for unfinished uploads.
#[derive(Debug, Deserialize)]
struct Listing {
    #[serde(rename = "Upload", default)]
    uploads: Vec<Unfinished>,
}

#[derive(Debug, Deserialize)]
struct Unfinished {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "UploadId")]
    id: String,
}

impl Storage for Bucket {
    fn place(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket, self.prefix)
    }

    fn begin(&self, name: &str) -> Result<Box<dyn Upload + '_>, String> {
        let path = self.free(name)?;
        let doing = format!("beginning {}", self.place(name));
        let id =
            self.runtime.block_on(self.store.create_multipart(&path)).map_err(|error| self.error(&doing, &error))?;
        Ok(Box::new(Parts::new(self, name, path, id)))
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), String> {
        let path = self.free(name)?;
        let doing = format!("writing {}", self.place(name));
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let written =
            self.runtime.block_on(self.store.put_opts(&path, Bytes::copy_from_slice(content).into(), options));
        let error = match written {
            Ok(_) => return Ok(()),
            Err(error) => self.error(&doing, &error),
        };
        // Its answer may have been lost on the way.
        match super::read_whole(self, name) {
            Ok(Some(found)) if found == content => Ok(()),
            _ => Err(error),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>, String> {
        let path = self.path(name)?;
        let doing = format!("reading {}", self.place(name));
        match self.runtime.block_on(self.store.get(&path)) {
            Ok(object) => {
                Ok(Some(Box::new(Reader { bucket: self, doing, rest: Bytes::new(), stream: object.into_stream() })))
            }
            Err(error @ Error::NotFound { .. }) => match self.http.take_refusal() {
                // Where the bucket itself is missing, nothing is known of the object.
                Some(refusal) if refusal.code == "NoSuchBucket" => {
                    let about = About { bucket: &self.bucket, region: &self.region, endpoint: &self.endpoint };
                    Err(explain(&doing, &about, &refusal))
                }
                Some(_) => Ok(None),
                None => Err(self.error(&doing, &error)),
            },
            Err(error) => Err(self.error(&doing, &error)),
        }
    }

    fn remove(&self, name: &str) -> Result<bool, String> {
        if !self.exists(name)? {
            return Ok(false);
        }
        let path = self.path(name)?;
        let doing = format!("removing {}", self.place(name));
        self.runtime.block_on(self.store.delete(&path)).map_err(|error| self.error(&doing, &error))?;
        Ok(true)
    }

    fn sweep(&self, beginning: &str) -> Result<(), String> {
        let found = self.runtime.block_on(self.unfinished(beginning))?;
        let beginning = format!("{}{beginning}", self.prefix);
        // A service that does not know the question's prefix answers with everything.
        for upload in found.iter().filter(|upload| upload.key.starts_with(&beginning)) {
            let doing = format!("aborting an unfinished upload of s3://{}/{}", self.bucket, upload.key);
            let path = Path::parse(&upload.key).map_err(|error| format!("{doing}: {error}"))?;
            let aborted = self.runtime.block_on(self.store.abort_multipart(&path, &upload.id));
            aborted.map_err(|error| self.error(&doing, &error))?;
            println!("aborted an unfinished upload of s3://{}/{}", self.bucket, upload.key);
        }
        Ok(())
    }
}

/// An object that is read as it comes.
struct Reader<'a> {
    bucket: &'a Bucket,
    doing: String,
    rest: Bytes,
    stream: BoxStream<'static, object_store::Result<Bytes>>,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let next =
                self.bucket.runtime.block_on(async { tokio::time::timeout(READ_LIMIT, self.stream.next()).await });
            self.rest = match next {
                Ok(Some(Ok(bytes))) => bytes,
                Ok(Some(Err(error))) => return Err(io::Error::other(self.bucket.error(&self.doing, &error))),
                Ok(None) => return Ok(0),
                Err(_) => {
                    let text = format!("the service sent nothing for {} s", READ_LIMIT.as_secs());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
            };
        }
        let length = buffer.len().min(self.rest.len());
        let piece = self.rest.split_to(length);
        buffer.iter_mut().zip(&piece).for_each(|(to, from)| *to = *from);
        Ok(length)
    }
}

fn credential(folder: &File) -> Result<AwsCredential, String> {
    let read = |name: &str| match fs::read_to_string(folder.join(name)) {
        // A line end comes from whoever made the Secret from a file; no key holds one.
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("reading the key {name:?} of the bucket's Secret: {error}")),
    };
    let needed = |name: &str| {
        read(name)?.filter(|text| !text.is_empty()).ok_or_else(|| {
            format!("the Secret of spec.backup.job.destination.s3.credentialsSecretRef has no key {name:?}: add it")
        })
    };
    Ok(AwsCredential {
        key_id: needed("accessKeyId")?,
        secret_key: needed("secretAccessKey")?,
        token: read("sessionToken")?.filter(|text| !text.is_empty()),
    })
}

/// What an error comes from in the end; the errors around it repeat the request.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
