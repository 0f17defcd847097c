//! What the kubectl plugin does without a cluster: lint and its exit codes, completion, and errors that name the next step and no secret.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use holdfast::evidence::{Document, PrivateKey, Signed};
use serde_json::json;

fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-holdfast"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("KUBECONFIG")
        .env("HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn lint_has_no_finding_in_good_manifests_and_the_sample() {
    let good = ["minimal", "suspended", "plan-only", "everything-implemented", "approval"];
    let files: Vec<String> = good.iter().map(|name| format!("tests/api/manifests/good/{name}.yaml")).collect();
    let mut arguments = vec!["lint", "deploy/sample/migration.yaml", "deploy/sample/job-templates.yaml"];
    arguments.extend(files.iter().map(String::as_str));
    assert_eq!(run(&arguments, ""), (0, "6 objects in 7 files: nothing found\n".to_owned(), String::new()));
}

#[test]
fn lint_ends_with_1_where_it_finds_something_and_reads_standard_input() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/manifests/bad/gates-misspelt.yaml"))
            .unwrap();
    let (code, out, err) = run(&["lint", "-"], &text);
    assert_eq!(code, 1);
    let place = text.lines().position(|line| line.contains("gate:")).map(|line| format!("-:{}: ", line + 1));
    assert!(out.contains("spec.gates: is required and missing"), "{out}");
    assert!(place.is_none_or(|place| out.contains(&place)), "{out}");
    assert!(err.contains("findings in 1 object of 1 file"), "{err}");
}

#[test]
fn lint_of_nothing_is_no_success() {
    let (code, _, err) = run(&["lint", "-"], "apiVersion: v1\nkind: ConfigMap\n");
    assert_eq!(code, 1);
    assert!(err.contains("nothing was checked"), "{err}");
    let (code, _, err) = run(&["lint", "no-such-file.yaml"], "");
    assert_eq!(code, 3);
    assert!(err.contains("no-such-file.yaml cannot be read"), "{err}");
}

#[test]
fn completion_and_help_need_no_cluster() {
    let (code, out, _) = run(&["completion", "bash"], "");
    assert_eq!(code, 0);
    // As the script kubectl_complete-holdfast of the README does it.
    assert!(out.trim_end().ends_with("kubectl-holdfast\nfi"), "{out}");
    for (words, expected) in [
        ("appr", "approve\n:4\n"),
        ("status --w", "--watch\n:4\n"),
        ("plan --file", "--filename\n:4\n"),
        ("approve NAME --max", "--max-rows\n:4\n"),
    ] {
        let script = format!(
            "{out}\nset -- {words}\nCOMP_WORDS=(kubectl-holdfast \"$@\") COMP_CWORD=$#\n_kubectl_holdfast kubectl-holdfast \
             \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"\nprintf '%s\\n' \"${{COMPREPLY[@]}}\" :4"
        );
        let completed = Command::new("bash").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&completed.stderr);
        assert_eq!(String::from_utf8_lossy(&completed.stdout), expected, "{words}: {said}");
    }
    let (_, out, _) = run(&["--help"], "");
    assert!(out.contains("Exit codes:") && out.contains("4  no answer came before the deadline"), "{out}");
}

#[test]
fn a_plan_is_asked_for_by_name_or_of_a_file_and_never_of_both_worlds() {
    let (code, _, err) = run(&["plan"], "");
    assert_eq!(code, 2, "{err}");
    let (code, _, err) = run(&["plan", "x", "--url", "mysql://root@127.0.0.1/shop"], "");
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--filename"), "{err}");
    let (code, _, err) = run(&["plan", "--filename", "no-such-file.yaml"], "");
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("no database is named"), "{err}");
}

/// A kubeconfig of that text.
fn kubeconfig(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn errors_name_the_next_step_and_no_credential() {
    let status = |path: &Path| run(&["--kubeconfig", path.to_str().unwrap(), "status", "x"], "");
    let broken = kubeconfig("broken", "apiVersion: v1\nkind: Config\nusers:\n- name: me\n  user: {token: [hunter2}\n");
    let mistyped = kubeconfig("mistyped", "apiVersion: v1\nkind: Config\nusers: hunter2\n");
    let command = "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, 'echo token: hunter2; echo no luck >&2; exit 7']}}";
    let exec = kubeconfig(
        "exec",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- {{name: c, context: {{cluster: k, user: u}}}}\nclusters:\n- {{name: k, cluster: \
             {{server: 'http://127.0.0.1:1'}}}}\nusers:\n- name: u\n  user: {command}\n"
        ),
    );
    for path in [&broken, &mistyped, &exec] {
        let (code, out, err) = status(path);
        assert_eq!((code, out.as_str()), (3, ""), "{err}");
        assert!(err.contains("see that `kubectl config view --minify`") && !err.contains("hunter2"), "{err}");
    }
    assert!(status(&exec).2.contains("no luck"), "{}", status(&exec).2);
    let (code, _, err) = run(&["--context", "nowhere", "status"], "");
    assert_eq!(code, 3, "{err}");
    let (code, _, err) = run(&["--as-group", "dba", "--kubeconfig", exec.to_str().unwrap(), "status"], "");
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("name the user to act as"), "{err}");
}

/// A new folder of its own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn signed_by(key: &PrivateKey) -> String {
    let document: Document = serde_json::from_value(json!({
        "type": "holdfast.dev/evidence", "format": 1, "result": "Complete", "environment": "dev", "contentDigest": "sha256:content",
        "planDigest": "sha256:p", "migration": {"namespace": "shop", "name": "m", "uid": "u"}, "serverUuid": "s",
        "versions": {"holdfast": "0.1.0", "server": "9.7.4"}, "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T01:00:00Z", "phases": [], "found": {"orphans": 0, "duplicates": 0},
        "quarantined": {"orphans": 0, "duplicates": 0, "cascaded": 0, "values": 0},
        "proof": {"provenAt": "", "foreignKeys": 2, "uniqueConstraints": 1, "expectations": 0, "replicas": 0, "checksOffGlobally": false, "keys": []},
        "tests": {"probes": 2, "unprobed": 0, "scenarios": 0, "jobs": 0},
    }))
    .unwrap();
    Signed::new(&document, Some(key)).unwrap().text().unwrap()
}

#[test]
fn a_key_pair_is_made_for_a_pipe_or_a_file_that_nobody_else_reads_and_never_written_over() {
    let folder = folder("keygen");
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (public, private) = (file("public.yaml"), file("private.yaml"));
    let (code, out, err) = run(&["evidence", "keygen", "dev", "--public-key", &public], "");
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("name: holdfast-evidence-key") && out.contains("-----BEGIN PRIVATE KEY-----"), "{err}");
    assert!(!err.contains("PRIVATE KEY"), "{err}");
    let told = fs::read_to_string(&public).unwrap();
    assert!(told.contains("name: holdfast-evidence-dev") && !told.contains("PRIVATE KEY-----"), "{told}");
    let (code, out, err) = run(&["evidence", "keygen", "dev", "--public-key", &public], "");
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("public.yaml is there already") && fs::read_to_string(&public).unwrap() == told, "{err}");
    let (code, out, err) = run(
        &["evidence", "keygen", "dev", "--public-key", &file("other.yaml"), "--output", &private, "--name", "mine"],
        "",
    );
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&private).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(fs::read_to_string(&private).unwrap().contains("name: mine\n"));
    let (code, _, err) = run(&["evidence", "keygen", "Dev 1", "--public-key", &file("third.yaml")], "");
    assert_eq!(code, 2);
    assert!(err.contains("lower case letters, digits and dashes"), "{err}");
}

#[test]
fn a_private_key_is_not_shown_on_a_terminal() {
    let folder = folder("terminal");
    let public = folder.join("public.yaml");
    // `script` gives a program a terminal.
    let command =
        format!("{} evidence keygen dev --public-key {}", env!("CARGO_BIN_EXE_kubectl-holdfast"), public.display());
    let output =
        Command::new("script").args(["--quiet", "--return", "--command", &command, "/dev/null"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("a private key is not written to a terminal") && !said.contains("BEGIN"), "{said}");
    assert!(!public.exists(), "nothing was made");
}

#[test]
fn evidence_is_verified_without_a_cluster_and_told_by_the_exit_code() {
    let folder = folder("verify");
    let file = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    let made = folder.join("manifest.yaml").to_str().unwrap().to_owned();
    let (_, private, _) = run(&["evidence", "keygen", "dev", "--public-key", &made], "");
    let pem = private.lines().skip_while(|line| !line.contains("BEGIN PRIVATE")).take(3).map(str::trim);
    let key = PrivateKey::from_pem(pem.collect::<Vec<_>>().join("\n").as_bytes()).unwrap();
    let public = file("public.pem", &key.public().to_pem().unwrap());
    let evidence = file("dev.json", &signed_by(&key));
    let verify = |more: &[&str], input: &str| run(&[&["evidence", "verify"], more].concat(), input);
    for key in [&public, &made] {
        let (code, out, err) = verify(&[&evidence, "--public-key", key, "--environment", "dev"], "");
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("Proven       2 foreign keys, 1 unique constraints") && out.contains("shop/m"), "{out}");
    }
    assert_eq!(verify(&["-", "--public-key", &public], &signed_by(&key)).0, 0, "from standard input");
    let edited = signed_by(&key).replace("sha256:content", "sha256:d");
    let others = signed_by(&PrivateKey::from_seed(&[3; 32]));
    let refused: [(&[&str], &str, &str); 6] = [
        (&["-", "--public-key", &public], &edited, "it was edited after it was signed"),
        (&["-", "--public-key", &public], &others, "it is signed with another key"),
        (&["-", "--public-key", &public], "", "it is malformed"),
        (&[&evidence, "--public-key", &public, "--max-age", "1h"], "", "older than maxAge 1h"),
        (
            &[&evidence, "--public-key", &public, "--environment", "staging"],
            "",
            "from the environment \"dev\", not \"staging\"",
        ),
        (
            &[&evidence, "--public-key", &public, "--content-digest", "sha256:d"],
            "",
            "other content (sha256:content; this is sha256:d)",
        ),
    ];
    for (arguments, input, expected) in refused {
        let (code, out, err) = verify(arguments, input);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains("does not count: ") && err.contains(expected), "{err}");
    }
    assert_eq!(verify(&[&evidence], "").0, 2, "a key must be named");
    assert_eq!(verify(&["nowhere.json", "--public-key", &public], "").0, 3);
    let private = file("private.pem", &key.to_pem().unwrap());
    let (code, _, err) = verify(&[&evidence, "--public-key", &private], "");
    assert_eq!(code, 3);
    assert!(err.contains("private.pem is a private key, which has no business there"), "{err}");
}

#[test]
fn import_writes_a_manifest_that_passes_lint_and_tells_by_its_exit_code_whether_it_holds_everything() {
    let whole = "ALTER TABLE posts ADD CONSTRAINT fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;\n\
                 ALTER TABLE posts ADD COLUMN n INT NOT NULL DEFAULT 1;\nALTER TABLE users ADD UNIQUE uq (email);\nCOMMIT;\n";
    let (code, out, err) = run(&["import", "-", "--schema", "shop", "--namespace", "web"], whole);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("namespace: web") && out.contains("# - -:4: COMMIT:"), "{out}");
    let (code, said, _) = run(&["lint", "-"], &out);
    assert_eq!((code, said.as_str()), (0, "1 object in 1 file: nothing found\n"), "{out}");

    let (code, out, err) =
        run(&["import", "-", "-o", "json"], &format!("{whole}DELETE FROM users;\nALTER TABLE x FROB;\n"));
    assert_eq!(code, 1);
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["migration"]["spec"]["stages"][0]["foreignKeys"][0]["name"], "fk");
    let places: Vec<&str> =
        found["left"].as_array().unwrap().iter().filter_map(|left| left["place"].as_str()).collect();
    assert_eq!(places, ["-:4", "-:5", "-:6"]);
    assert!(err.contains("-:5: DELETE FROM users") && err.contains("-:6: ALTER TABLE x FROB"), "{err}");

    let (code, out, err) = run(&["import", "-"], "SELECT 1;");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("there is no manifest"), "{err}");
    let (code, _, err) = run(&["import", "no-such-folder"], "");
    assert_eq!(code, 3);
    assert!(err.contains("no-such-folder cannot be read"), "{err}");
}

#[test]
fn import_reads_the_files_of_a_folder_in_order_and_not_the_way_back() {
    let (code, out, err) = run(&["import", "tests/mysql/imported", "--schema", "shop"], "");
    assert_eq!(code, 1, "{err}");
    let place = |text: &str| out.find(text).unwrap_or_else(|| panic!("no {text} in {out}"));
    assert!(place("V2__keys.sql:1") < place("V10__more.sql:3"), "{out}");
    assert!(!out.contains("down.sql"), "{out}");
}

#[test]
fn discover_takes_no_password_from_an_argument_and_tells_what_is_missing() {
    let (code, out, err) = run(&["discover", "--url", "mysql://root:hunter2@127.0.0.1:1/shop"], "");
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("--password-file") && !err.contains("hunter2"), "{err}");
    let (code, _, err) = run(&["discover"], "");
    assert_eq!(code, 2);
    assert!(err.contains("--host") && err.contains("--url mysql://USER@HOST:PORT/SCHEMA"), "{err}");
    let file = kubeconfig("password", "hunter2\n");
    let arguments = ["discover", "--url", "mysql://root@127.0.0.1:1/shop", "--password-file", file.to_str().unwrap()];
    let (code, _, err) = run(&arguments, "");
    assert_eq!(code, 3);
    assert!(err.contains("127.0.0.1:1") && err.contains("check host and port") && !err.contains("hunter2"), "{err}");
}
