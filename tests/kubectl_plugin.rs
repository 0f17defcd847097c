//! What the kubectl plugin does without a cluster: lint and its exit codes, completion, and errors that name the next step and no secret.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

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
    for (words, expected) in
        [("appr", "approve\n:4\n"), ("status --w", "--watch\n:4\n"), ("approve NAME --max", "--max-rows\n:4\n")]
    {
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
