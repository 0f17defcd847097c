//! A MySQL server that lives as long as one Job: its data on the Job's own volume, reached by a socket in the container and by nothing else,
//! ended with the Job whatever happens.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::Client;
use super::option_file;
use super::programs::Program;
use crate::mysql::scratch_statements;

/// What to look at when a program is not there.
const NO_PROGRAM: &str = "does the image of spec.backup.scratch.image hold mysqld, mysql and mysqldump?";
/// An empty server is ready after seconds; on a crowded node after a minute or two.
const START_DEADLINE: Duration = Duration::from_secs(600);
/// Between two looks at whether something has happened.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two looks at how much space the data take.
const MEASURE: Duration = Duration::from_millis(500);
/// Errors of the server's log that a message tells.
const KEPT_ERRORS: usize = 5;
/// Without a limit of the container's memory.
const BUFFER_POOL: u64 = 128 << 20;
pub(super) const LEAST_BUFFER_POOL: u64 = 16 << 20;

/// Where the server and its clients are, and what they may take.
pub(super) struct Place<'a> {
    /// Folder for data, socket and temporary files.
    pub(super) folder: &'a Path,
    /// Folder in memory for the password.
    pub(super) private: &'a Path,
    /// The programs mysqld, mysql and mysqldump.
    pub(super) programs: [&'a Path; 3],
    /// Bytes that the data may take; `None`: whatever there is.
    pub(super) storage: Option<u64>,
    /// Bytes of memory that the container may take.
    pub(super) memory: Option<u64>,
    /// More options of the server; of two of the same name the later one counts.
    pub(super) options: Vec<String>,
}

/// The server.
pub(super) struct Scratch {
    folder: PathBuf,
    option_file: PathBuf,
    mysql: PathBuf,
    mysqldump: PathBuf,
    storage: Option<u64>,
    password: OnceLock<String>,
    shared: Arc<Shared>,
}

/// What the thread that measures, the one that reads the log and the one that works have in common.
#[derive(Default)]
struct Shared {
    process: Mutex<Option<Child>>,
    errors: Mutex<Vec<String>>,
    /// Who reads its log.
    log: Mutex<Option<JoinHandle<()>>>,
    /// What the data took when that was too much; 0: it was not.
    too_much: AtomicU64,
    over: AtomicBool,
}

impl Shared {
    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill(&self) {
        if let Some(process) = self.process().as_mut() {
            // It may have ended by itself already; then there is nothing to kill.
            let _ = process.kill();
        }
    }

    /// The last errors that it told: all of them, once it has ended.
    fn told(&self) -> String {
        if let Ok(Some(_)) = self.ended()
            && let Some(log) = self.log.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            // One that panicked has kept nothing.
            let _ = log.join();
        }
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).join("; ")
    }

    /// How it ended, once it has.
    fn ended(&self) -> Result<Option<ExitStatus>, String> {
        match self.process().as_mut() {
            Some(process) => process.try_wait().map_err(|error| format!("waiting for mysqld: {error}")),
            None => Ok(None),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.kill();
        if let Some(mut process) = self.shared.process().take() {
            let _ = process.wait();
        }
    }
}

impl Scratch {
    /// Begins to make an empty server; [`Self::start`] goes on.
    pub(super) fn prepare(place: &Place<'_>) -> Result<Self, String> {
        let [mysqld, mysql, mysqldump] = place.programs;
        for folder in ["data", "tmp"] {
            let path = place.folder.join(folder);
            fs::create_dir_all(&path).map_err(|error| format!("making the folder {}: {error}", path.display()))?;
        }
        let scratch = Self {
            folder: place.folder.to_owned(),
            option_file: place.private.join("scratch.cnf"),
            mysql: mysql.to_owned(),
            mysqldump: mysqldump.to_owned(),
            storage: place.storage,
            password: OnceLock::new(),
            shared: Arc::default(),
        };
        if let Some(limit) = place.storage {
            let (shared, folder) = (scratch.shared.clone(), scratch.folder.clone());
            std::thread::spawn(move || measure(&shared, &folder, limit));
        }
        scratch.spawn(mysqld, place, "--initialize-insecure".to_owned())?;
        Ok(scratch)
    }

    /// Waits until the server is made, starts it, and waits until it answers.
    pub(super) fn start(&self, place: &Place<'_>) -> Result<(), String> {
        let until = Instant::now() + START_DEADLINE;
        let made = loop {
            match self.shared.ended()? {
                Some(status) => break status,
                None if Instant::now() >= until => {
                    return Err(format!("the scratch server was not made within {} s", START_DEADLINE.as_secs()));
                }
                None => std::thread::sleep(PAUSE),
            }
        };
        if !made.success() {
            return Err(format!("the scratch server could not be made: {}", self.death(made)));
        }
        let random = random().map_err(|error| format!("making a password: {error}"))?;
        let (password, statement) = scratch_statements::password(&random);
        let accounts = place.private.join("accounts.sql");
        let socket = self.socket();
        let private = |path: &Path, text: &str| {
            option_file::write_private(path, text).map_err(|error| format!("writing {}: {error}", path.display()))
        };
        private(&accounts, &statement)?;
        let options = option_file::local_text(&socket.to_string_lossy(), scratch_statements::ADMINISTRATOR, &password);
        private(&self.option_file, &options.map_err(|error| error.to_string())?)?;
        // Started once; what a second start would set is not needed any more.
        let _ = self.password.set(password);
        self.spawn(place.programs[0], place, format!("--init-file={}", accounts.display()))?;
        while let Err(error) = UnixStream::connect(&socket) {
            if let Some(status) = self.shared.ended()? {
                return Err(format!("the scratch server does not start: {}", self.death(status)));
            }
            if Instant::now() >= until {
                return Err(format!(
                    "the scratch server does not answer within {} s: {error}",
                    START_DEADLINE.as_secs()
                ));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn spawn(&self, mysqld: &Path, place: &Place<'_>, purpose: String) -> Result<(), String> {
        let pool = place.memory.map_or(BUFFER_POOL, |limit| (limit / 2).max(LEAST_BUFFER_POOL));
        let mut process = Command::new(mysqld)
            // Must come first: what the image's own files say is for another server.
            .arg("--no-defaults")
            .arg(format!("--datadir={}", self.folder.join("data").display()))
            .arg(format!("--tmpdir={}", self.folder.join("tmp").display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.folder.join("mysqld.pid").display()))
            .arg(format!("--innodb-buffer-pool-size={pool}"))
            .args([
                "--skip-networking",
                "--skip-log-bin",
                "--secure-file-priv=NULL",
                "--max-allowed-packet=1G",
                // An event that fired here would change what is compared.
                "--event-scheduler=OFF",
                // Nothing here outlives the Job.
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-doublewrite=OFF",
                // Not needed; names that not every version knows.
                "--loose-mysqlx=OFF",
                "--loose-performance-schema=OFF",
                "--loose-auto-generate-certs=OFF",
                "--loose-sha256-password-auto-generate-rsa-keys=OFF",
                "--loose-caching-sha2-password-auto-generate-rsa-keys=OFF",
            ])
            .args(&place.options)
            .arg(purpose)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("starting {}: {error}: {NO_PROGRAM}", mysqld.display()))?;
        if let Some(log) = process.stderr.take() {
            let shared = self.shared.clone();
            let reads = std::thread::spawn(move || read_log(log, &shared));
            *self.shared.log.lock().unwrap_or_else(PoisonError::into_inner) = Some(reads);
        }
        *self.shared.process() = Some(process);
        Ok(())
    }

    /// How the server ended, with the last errors that it told.
    fn death(&self, status: ExitStatus) -> String {
        let told = self.shared.told();
        let told = if told.is_empty() { "it told no error" } else { &told };
        format!("mysqld ended with {status}: {told}")
    }

    /// What an error comes from, where that is the server's own end or its volume.
    pub(super) fn explain(&self, error: String) -> String {
        let too_much = self.shared.too_much.load(Ordering::SeqCst);
        if let (Some(limit), true) = (self.storage, too_much > 0) {
            return format!(
                "the scratch volume is too small: the restored server's data took {too_much} bytes, and spec.backup.scratch.storage allows \
                 {limit}: allow more"
            );
        }
        let told = self.shared.told();
        if [&error, &told].iter().any(|text| text.contains("No space left") || text.contains(" is full")) {
            return format!(
                "the scratch volume is full: raise spec.backup.scratch.storage, or see that the node has more space ({error})"
            );
        }
        match self.shared.ended() {
            Ok(Some(status)) if !error.contains("mysqld ended") => format!(
                "{error}; {}; a server that is killed often lacks memory: see spec.backup.scratch.resources",
                self.death(status)
            ),
            _ => error,
        }
    }

    /// Runs statements and returns their rows.
    pub(super) fn query(&self, statements: &str) -> Result<String, String> {
        self.client(None).query(statements)
    }

    /// Restores a dump. `from` is where it lies.
    pub(super) fn restore(&self, dump: &mut dyn io::Read, from: &str, schema: &str) -> Result<(), String> {
        self.client(Some(schema)).restore(dump, from, |piece, hand| hand(piece))
    }

    /// Begins a dump of a schema.
    pub(super) fn dump(&self, schema: &str) -> Result<Program, String> {
        Program::mysqldump(&self.mysqldump, &self.option_file, schema, NO_PROGRAM)
    }

    fn client<'a>(&'a self, schema: Option<&'a str>) -> Client<'a> {
        Client { path: &self.mysql, option_file: &self.option_file, schema, hint: NO_PROGRAM }
    }

    /// Whether the server runs.
    pub(super) fn is_there(&self) -> bool {
        // What cannot be asked is not known to be gone.
        !matches!(self.shared.ended(), Ok(Some(_)))
    }

    /// Where the server listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("mysqld.sock")
    }

    /// The administrator's password; empty before the server is started.
    pub(super) fn password(&self) -> &str {
        self.password.get().map(String::as_str).unwrap_or_default()
    }

    /// Bytes that the server's data take now.
    pub(super) fn size(&self) -> Result<u64, String> {
        size(&self.folder).map_err(|error| format!("measuring {}: {error}", self.folder.display()))
    }
}

/// Ends the server once its data take too much: the kubelet would end the whole pod, and later.
fn measure(shared: &Shared, folder: &Path, limit: u64) {
    while !shared.over.load(Ordering::SeqCst) {
        // Files come and go while they are counted: what one look does not see, the next one does.
        if let Ok(taken) = size(folder)
            && taken > limit
        {
            shared.too_much.store(taken, Ordering::SeqCst);
            shared.kill();
        }
        std::thread::sleep(MEASURE);
    }
}

fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = match entry.metadata() {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        bytes += if about.is_dir() { size(&entry.path())? } else { about.blocks() * 512 };
    }
    Ok(bytes)
}

/// Passes the server's log on, and keeps its errors.
fn read_log(log: impl io::Read, shared: &Shared) {
    for line in BufReader::new(log).split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        eprintln!("mysqld: {line}");
        if line.contains("[ERROR]") || line.contains("No space left") {
            let mut errors = shared.errors.lock().unwrap_or_else(PoisonError::into_inner);
            if errors.len() >= KEPT_ERRORS {
                errors.remove(0);
            }
            errors.push(line);
        }
    }
}

fn random() -> io::Result<[u8; 24]> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
