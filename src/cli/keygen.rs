//! `evidence keygen`: the key pair of an environment. The private key goes to a pipe or into a file that nobody else may read, and never
//! to a terminal, whose history and screen others see; the public key goes into a file to commit.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::failure::Failure;
use super::terminal::{is_terminal, print};
use crate::evidence::PrivateKey;
use crate::evidence::key::{PRIVATE_KEY_NAME, PUBLIC_KEY_NAME};

/// Only the user may read it.
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// Arguments of `keygen`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For dev: kubectl holdfast evidence keygen dev --public-key dev.yaml | kubectl apply --namespace SHOP-DEV --filename -\n\
The public key's Secret holdfast-evidence-dev goes where evidence of dev is asked for: into spec.promotion.requires of staging."
)]
pub struct Arguments {
    /// The environment, as in spec.promotion.environment.
    #[arg(value_parser = environment)]
    environment: String,
    /// File to write the public key's Secret to, to be committed where this environment's evidence is asked for.
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    /// File to write the private key's Secret to. Left out: standard output, which must not be a terminal.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Name of the private key's Secret.
    #[arg(long, value_name = "NAME", default_value = "holdfast-evidence-key")]
    name: String,
}

fn environment(text: &str) -> Result<String, String> {
    let fits = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    let good = !text.is_empty()
        && text.len() <= 63
        && text.chars().all(fits)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if good {
        return Ok(text.to_owned());
    }
    Err("it becomes a part of a Secret's name: write lower case letters, digits and dashes, at most 63".to_owned())
}

/// Makes the pair.
///
/// # Errors
/// When the private key would be shown, or a file is in the way.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.output.is_none() && is_terminal() {
        return Err(Failure::usage(
            "a private key is not written to a terminal: pipe it into kubectl apply --filename -, or name a file with --output; nothing was made",
        ));
    }
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Failure::unavailable(format!("the system gives no random numbers: {error}")))?;
    let key = PrivateKey::from_seed(&seed);
    let unwritable = |error: &dyn std::fmt::Display| Failure::unavailable(format!("writing the key: {error}"));
    let private = key.to_pem().map_err(|error| unwritable(&error))?;
    let public = key.public().to_pem().map_err(|error| unwritable(&error))?;
    let environment = &arguments.environment;
    let public_name = format!("holdfast-evidence-{environment}");
    let for_others = format!(
        "# The public key of the environment {environment}, for those that ask for its evidence:\n\
         # publicKeySecretRef: {{name: {public_name}, key: {PUBLIC_KEY_NAME}}}\n{}",
        secret(&public_name, json!({PUBLIC_KEY_NAME: public}))?
    );
    let for_itself = format!(
        "# The private key of the environment {environment}. Whoever can read it can sign in its name: do not commit it.\n\
         # signingKeySecretRef: {{name: {}, key: {PRIVATE_KEY_NAME}}}\n{}",
        arguments.name,
        secret(&arguments.name, json!({PRIVATE_KEY_NAME: private, PUBLIC_KEY_NAME: public}))?
    );
    write_new(&arguments.public_key, &for_others, PUBLIC)?;
    match &arguments.output {
        Some(file) => write_new(file, &for_itself, SECRET)?,
        None => print(&for_itself)?,
    }
    eprintln!(
        "kubectl holdfast: made the key pair {} of {environment}; {} holds the public key, which may be committed",
        key.public().id(),
        arguments.public_key.display()
    );
    Ok(())
}

fn secret(name: &str, data: Value) -> Result<String, Failure> {
    let manifest =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque", "stringData": data});
    serde_yaml::to_string(&manifest).map_err(|error| Failure::unavailable(format!("writing a Secret: {error}")))
}

/// Writes a file that is not there: a key that is lost cannot be had back.
fn write_new(file: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let place = file.display();
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::usage(format!(
            "{place} is there already, and a key that is written over is lost: name another file, or remove it"
        )),
        _ => Failure::unavailable(format!("{place} cannot be written: {error}; name another file")),
    })
}
