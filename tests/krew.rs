//! The manifest by which krew installs the plugin (`deploy/krew`): rendered from archives, it is what krew's format asks for, and krew itself,
//! where it is built (`make test-krew`), installs the plugin with it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const PLATFORMS: [(&str, &str); 4] = [("linux", "amd64"), ("linux", "arm64"), ("darwin", "amd64"), ("darwin", "arm64")];
/// This machine's, as krew calls it.
const ARCH: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
const RELEASES: &str = "https://releases.holdfast.test/v1";

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.output().unwrap_or_else(|error| panic!("{program} cannot be run: {error}"))
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("krew-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A folder with an archive for every platform, and the manifest for them. Only that of this machine holds the program itself, where it is asked
/// for: it is large, and nothing runs the others.
fn release(name: &str, for_real: bool) -> (PathBuf, String) {
    let dist = folder(name);
    let stand_in = dist.join("stand-in");
    for (os, arch) in PLATFORMS {
        fs::write(&stand_in, format!("built for {os} {arch}\n")).unwrap();
        let real = for_real && (os, arch) == ("linux", ARCH);
        let program = if real { env!("CARGO_BIN_EXE_kubectl-holdfast") } else { stand_in.to_str().unwrap() };
        text(&run("deploy/krew/pack.sh", &[program, os, arch, dist.to_str().unwrap()]));
    }
    let manifest = text(&run("deploy/krew/render.sh", &[RELEASES, dist.to_str().unwrap()]));
    (dist, manifest)
}

#[test]
fn the_rendered_manifest_is_what_krew_asks_for() {
    let (dist, manifest) = release("format", false);
    assert!(!manifest.contains("{{"), "{manifest}");
    let plugin: Value = serde_yaml::from_str(&manifest).unwrap();
    assert_eq!(plugin["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!((&plugin["kind"], &plugin["metadata"]["name"]), (&"Plugin".into(), &"holdfast".into()));
    let spec = &plugin["spec"];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(spec["version"], format!("v{version}"));
    // What the index of krew asks for: one line without a stop, and a homepage.
    let short = spec["shortDescription"].as_str().unwrap();
    assert!(!short.is_empty() && short.len() <= 50 && !short.ends_with('.'), "{short}");
    assert!(!spec["description"].as_str().unwrap().is_empty());
    assert!(spec["homepage"].as_str().unwrap().starts_with("https://"));
    let known = BTreeSet::from(["version", "homepage", "shortDescription", "description", "caveats", "platforms"]);
    let fields: BTreeSet<&str> = spec.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(fields.is_subset(&known), "{fields:?}");
    let platforms = spec["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), PLATFORMS.len());
    for (platform, (os, arch)) in platforms.iter().zip(PLATFORMS) {
        assert_eq!(platform["selector"]["matchLabels"], serde_json::json!({"os": os, "arch": arch}));
        let archive = format!("kubectl-holdfast-{version}-{os}-{arch}.tar.gz");
        assert_eq!(platform["uri"], format!("{RELEASES}/{archive}"));
        let path = dist.join(&archive);
        let sum = text(&run("sha256sum", &[path.to_str().unwrap()]));
        assert_eq!(platform["sha256"], sum.split_whitespace().next().unwrap());
        let held = text(&run("tar", &["--list", "--file", path.to_str().unwrap()]));
        let held: BTreeSet<&str> = held.lines().collect();
        let bin = platform["bin"].as_str().unwrap();
        assert!(held.contains(bin), "{held:?}");
        for file in platform["files"].as_array().unwrap() {
            assert_eq!(file["to"], ".");
            assert!(held.contains(file["from"].as_str().unwrap()), "{file}: {held:?}");
        }
    }
}

#[test]
fn an_archive_that_is_missing_is_named_and_the_same_program_gives_the_same_archive() {
    let (dist, manifest) = release("again", false);
    assert_eq!(release("anew", false).1, manifest);
    let missing = dist.join(format!("kubectl-holdfast-{}-darwin-arm64.tar.gz", env!("CARGO_PKG_VERSION")));
    fs::remove_file(&missing).unwrap();
    let refused = run("deploy/krew/render.sh", &[RELEASES, dist.to_str().unwrap()]);
    assert!(!refused.status.success() && refused.stdout.is_empty());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("darwin-arm64.tar.gz is missing"));
}

#[test]
#[ignore = "needs krew: make test-krew"]
fn krew_installs_the_plugin_from_a_local_archive() {
    let (dist, manifest) = release("installed", true);
    let file = dist.join("holdfast.yaml");
    fs::write(&file, manifest).unwrap();
    let archive = dist.join(format!("kubectl-holdfast-{}-linux-{ARCH}.tar.gz", env!("CARGO_PKG_VERSION")));
    let root = folder("root");
    let output = Command::new("krew")
        .arg("install")
        .arg(format!("--manifest={}", file.display()))
        .arg(format!("--archive={}", archive.display()))
        .env("KREW_ROOT", &root)
        .env("KREW_NO_UPGRADE_CHECK", "1")
        .output()
        .expect("krew on the PATH: make test-krew builds it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Installed plugin: holdfast") && said.contains("plan --filename need neither"), "{said}");
    let installed = root.join("bin/kubectl-holdfast");
    let version = text(&run(installed.to_str().unwrap(), &["--version"]));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}
