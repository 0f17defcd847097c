//! Where backups are measured: a folder beside the report, MySQL's own programs, and a way to run a command and learn how long it took, what
//! it said when, and how much memory it had at most.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use holdfast::backup::Outcome;
use holdfast::backup::option_file::{self, Login};
use holdfast::mysql::{Target, TlsMode};

use crate::figure::Failure;
use crate::programs::programs;
use crate::report::folder;

/// Between two looks at the memory of a process, which the kernel sums up.
const LOOK: Duration = Duration::from_millis(5);

/// The folder, and what is in it.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) mysqld: PathBuf,
    pub(crate) mysql: PathBuf,
    pub(crate) mysqldump: PathBuf,
    /// How the bare tools log in.
    pub(crate) option_file: PathBuf,
    ssl_mode: &'static str,
    host: String,
    port: u16,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A command that has ended well.
pub(crate) struct Ran {
    pub(crate) seconds: f64,
    pub(crate) peak_mib: f64,
    /// Its lines, and after how many seconds each came.
    lines: Vec<(f64, String)>,
}

impl Ran {
    /// Seconds from the line that begins so to the next one that begins otherwise.
    pub(crate) fn between(&self, from: &str, to: &str) -> Result<f64, Failure> {
        let at = |beginning: &str| {
            let mut lines = self.lines.iter();
            let found = lines.find_map(|(seconds, line)| line.starts_with(beginning).then_some(*seconds));
            found.ok_or_else(|| format!("no line begins with {beginning:?}: {:?}", self.lines))
        };
        Ok(at(to)? - at(from)?)
    }
}

impl Place {
    /// An empty one.
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        let place = folder()?.join("backup");
        let _ = fs::remove_dir_all(&place);
        for each in ["programs", "credentials", "private"] {
            fs::create_dir_all(place.join(each))?;
        }
        fs::write(place.join("credentials/username"), &target.username)?;
        fs::write(place.join("credentials/password"), &target.password)?;
        let [mysqld, mysql, mysqldump] = programs(&place.join("programs"));
        // What Holdfast calls them with is what the bare tools are called with.
        for program in [&mysqld, &mysqldump] {
            let script = fs::read_to_string(program)?;
            fs::write(program, script.replacen("exec ", "printf '%s\\n' \"$@\" >\"$0.arguments\"\nexec ", 1))?;
        }
        let ssl_mode = if target.tls == TlsMode::Disabled { "DISABLED" } else { "REQUIRED" };
        let option_file = place.join("private/bare.cnf");
        let login = Login {
            host: &target.host,
            port: target.port,
            username: &target.username,
            password: &target.password,
            ssl_mode,
            certificate_authority: None,
        };
        option_file::write(&option_file, &login)?;
        let (host, port) = (target.host.clone(), target.port);
        Ok(Self { folder: place, mysqld, mysql, mysqldump, option_file, ssl_mode, host, port })
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// An empty folder.
    pub(crate) fn empty(&self, name: &str) -> Result<String, Failure> {
        let path = self.folder.join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path)?;
        Ok(path.display().to_string())
    }

    /// What a program was last called with by Holdfast.
    pub(crate) fn arguments_of(&self, program: &Path) -> Result<Vec<String>, Failure> {
        let text = fs::read_to_string(format!("{}.arguments", program.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// A Job's program, optimized as the bench is.
    pub(crate) fn holdfast(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.arg(subcommand).arg(format!("--termination-message={}", self.path("message")));
        command.arg(format!("--private={}", self.path("private")));
        command
    }

    /// The arguments that say where the database is.
    pub(crate) fn server(&self) -> [String; 4] {
        [
            format!("--host={}", self.host),
            format!("--port={}", self.port),
            format!("--credentials={}", self.path("credentials")),
            format!("--ssl-mode={}", self.ssl_mode),
        ]
    }

    /// What the last one of Holdfast's left.
    pub(crate) fn outcome(&self) -> Result<Outcome, Failure> {
        Ok(serde_json::from_slice(&fs::read(self.path("message"))?)?)
    }

    /// Runs a command of the shell, whose `$1` and so on are these, as a person would.
    pub(crate) fn shell(&self, script: &str, arguments: &[String]) -> Result<Ran, Failure> {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", script, "bash"]).args(arguments);
        self.run(command)
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, mut command: Command) -> Result<Ran, Failure> {
        let said = self.path("said");
        let began = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(&said)?);
        let mut child = command.spawn()?;
        let Some(stdout) = child.stdout.take() else { return Err("a command without output".into()) };
        let reads = std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.map(|line| (began.elapsed().as_secs_f64(), line)).collect::<Vec<_>>()
        });
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0.0_f64;
        let ended = loop {
            if let Some(ended) = child.try_wait()? {
                break ended;
            }
            // One that has just ended has no memory any more.
            peak = peak.max(fs::read_to_string(&status).ok().and_then(|text| most_memory(&text)).unwrap_or(0.0));
            std::thread::sleep(LOOK);
        };
        let seconds = began.elapsed().as_secs_f64();
        let lines = reads.join().map_err(|_| "reading a command's output panicked")?;
        if !ended.success() {
            return Err(format!("{command:?} ended with {ended}: {}", fs::read_to_string(&said)?).into());
        }
        Ok(Ran { seconds, peak_mib: peak, lines })
    }
}

/// In MiB, by the kernel's account of a process.
fn most_memory(status: &str) -> Option<f64> {
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"))?;
    kibibytes.trim().parse::<f64>().ok().map(|kibibytes| kibibytes / 1024.0)
}
