//! An S3 service of a test's own, on a folder: `s3-server`, which `tests/cluster/s3-server.sh run` builds and puts on the PATH. A bucket is a
//! folder and an object a file, so that a test can look at them and spoil them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The account that may do everything: access key, secret key.
pub const OWNER: (&str, &str) = ("holdfast-owner", "the secret key of the owner");
/// One that owns no bucket.
pub const GUEST: (&str, &str) = ("holdfast-guest", "the secret key of the guest");
const READY_LIMIT: Duration = Duration::from_secs(30);

/// The service. It ends with its value, and its folder goes.
#[derive(Debug)]
pub struct S3Server {
    folder: PathBuf,
    address: SocketAddr,
    encrypted: bool,
    process: Option<Child>,
}

impl S3Server {
    /// Starts one on a free port of an address, with TLS or without, over a new folder.
    pub fn start(address: &str, name: &str, encrypted: bool) -> Self {
        let folder = std::env::temp_dir().join(format!("holdfast-s3-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for each in ["buckets", "metadata", "users"] {
            fs::create_dir_all(folder.join(each)).unwrap();
        }
        let (access, secret) = GUEST;
        let users =
            serde_json::json!({"accessAccounts": {access: {"access": access, "secret": secret, "role": "user"}}});
        fs::write(folder.join("users/users.json"), users.to_string()).unwrap();
        if encrypted {
            make_certificate(&folder, address);
        }
        let listener = TcpListener::bind((address, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut server = Self { folder, address, encrypted, process: None };
        server.run();
        server
    }

    /// Starts it again, over the same folder and at the same address.
    pub fn run(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut command = Command::new("s3-server");
        command
            .args(["-listen", &self.address.to_string()])
            .args([
                "-folder",
                &self.path("buckets"),
                "-metadata",
                &self.path("metadata"),
                "-users",
                &self.path("users"),
            ])
            .env("ROOT_ACCESS_KEY", OWNER.0)
            .env("ROOT_SECRET_KEY", OWNER.1)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        if self.encrypted {
            command.args(["-certificate", &self.path("server.crt"), "-key", &self.path("server.key")]);
        }
        let process = command.spawn();
        let process =
            process.expect("s3-server is not on the PATH: run the tests by tests/cluster/s3-server.sh run -- ...");
        self.process = Some(process);
        let until = Instant::now() + READY_LIMIT;
        while TcpStream::connect(self.address).is_err() {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "s3-server does not answer on {}: {log}", self.address);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http{}://{}", if self.encrypted { "s" } else { "" }, self.address)
    }

    /// Its certificate, which is its own authority.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    /// The folder of a bucket, which is made.
    pub fn bucket(&self, name: &str) -> PathBuf {
        let path = self.folder.join("buckets").join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Ends it at once, in the middle of whatever it does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "s3-server said: {log}");
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Files under a folder, relative to it.
pub fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        for entry in fs::read_dir(&path).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

fn make_certificate(folder: &Path, address: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=s3-server", "-addext", &format!("subjectAltName=IP:{address}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(folder.join("server.key"))
        .arg("-out")
        .arg(folder.join("server.crt"))
        .output()
        .unwrap();
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
}
