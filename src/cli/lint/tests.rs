//! Lint against the manifests that the tests of the API server use: what is good there has no finding, what is bad has the findings
//! that the API server has, in the words of lint.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;

use super::*;

fn manifests(folder: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/api/manifests").join(folder);
    let mut found: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    found.sort();
    found
}

fn now() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

fn findings(text: &str) -> Vec<String> {
    let report = look(text, now());
    report
        .findings
        .iter()
        .map(|(line, subject, finding)| told("m.yaml", *line, subject, finding, Style::PLAIN))
        .collect()
}

#[test]
fn good_manifests_have_no_finding_but_what_this_version_does_not_do() {
    let manifests = manifests("good");
    assert!(manifests.len() >= 15);
    for (name, text) in manifests {
        let report = look(&text, now());
        assert_eq!(report.objects, 1, "{name}");
        for (_, _, finding) in &report.findings {
            assert!(finding.problem.contains("in this version"), "{name}: {finding}");
        }
        let paths: std::collections::BTreeSet<_> = report.findings.iter().map(|(_, _, each)| &each.path).collect();
        assert_eq!(paths.len(), report.findings.len(), "{name}: something is told twice");
    }
}

#[test]
fn bad_manifests_have_each_finding_of_the_api_server_with_its_field() {
    let mut wrong = Vec::new();
    let manifests = manifests("bad");
    assert!(manifests.len() >= 40);
    for (name, text) in manifests {
        let expected: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# expect: ")).collect();
        let report = look(&text, now());
        let found: Vec<_> =
            report.findings.iter().filter(|(_, _, each)| !each.problem.contains("in this version")).collect();
        for text in &expected {
            // The API server's `spec.gates: Required value` names the field; a rule has its own message, which lint repeats.
            let (field, is_field) =
                text.split_once(": ").map_or((*text, false), |(field, _)| (field, field.starts_with("spec")));
            let hit = found.iter().any(|(line, _, each)| {
                line.is_some() && if is_field { each.path == field } else { each.problem.contains(text) }
            });
            if !hit {
                wrong.push(format!("{name}: expected {text:?}, found {found:#?}"));
            }
        }
        let unknown = found.iter().filter(|(_, _, each)| each.problem == super::structure::UNKNOWN).count();
        if found.len() != expected.len() + unknown {
            wrong.push(format!("{name}: expected {expected:#?} and no more, found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_samples_manifests_have_no_finding() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let mut objects = 0;
    for file in ["sample/migration.yaml", "sample/job-templates.yaml", "sample/mysql.yaml", "sample/traffic.yaml"] {
        let report = look(&fs::read_to_string(folder.join(file)).unwrap(), now());
        assert!(report.findings.is_empty(), "{file}: {:?}", report.findings);
        objects += report.objects;
    }
    assert_eq!(objects, 1);
}

const MINIMAL: &str = include_str!("../../../tests/api/manifests/good/minimal.yaml");

#[test]
fn a_finding_reads_well() {
    let text =
        MINIMAL.replace("gates: []", "gates:\n  - {before: {phase: CleanUp}, window: {start: '25:00', duration: 2h}}");
    assert_eq!(
        findings(&text),
        [
            "m.yaml:28: SchemaMigration minimal: spec.gates[0].window.start: \"25:00\": must match ^([01][0-9]|2[0-3]):[0-5][0-9]$\n    Time of day at \
which the window opens, as `02:00`. Where the clocks are put forward over it, it opens as much later; where they are put back over it, at the \
first of the two times.\n"
        ]
    );
}

#[test]
fn what_the_operator_would_refuse_is_found_with_line_and_value() {
    let window = "gates:\n  - {before: {phase: CleanUp}, window: {start: '02:00', duration: 2h, timeZone: Mars/Base}}";
    let found = findings(&MINIMAL.replace("gates: []", window));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("timeZone \"Mars/Base\" is no name of the IANA time zone database"), "{found:?}");
    let found = findings(&MINIMAL.replace("    verification: ", "    scratch: {image: mysql:9.7}\n    verification: "));
    assert!(found[0].contains("spec.backup.scratch: ") && found[0].contains("or remove scratch"), "{found:?}");
    let pattern = "rehearsal: {enabled: false}\n  soak: {duration: 15m, logs: {selector: {app: shop}, pattern: '('}}";
    let found = findings(&MINIMAL.replace("rehearsal: {enabled: false}", pattern));
    assert!(found[0].contains("spec.soak.logs.pattern") && found[0].contains("no regular expression"), "{found:?}");
    let found = findings(&MINIMAL.replace("table: bookmarks", "table: 'book\u{0}marks'"));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_key_that_is_there_twice_is_found_and_merge_keys_are_followed() {
    let found = findings(&MINIMAL.replace("  gates: []", "  gates: []\n  gates: []"));
    assert!(
        found[0].contains("cannot be read as YAML") && found[0].contains("duplicate entry with key \"gates\""),
        "{found:?}"
    );
    let merged = MINIMAL.replace("    verification: Inspect", "    <<: {verification: Inspect}");
    assert_eq!(findings(&merged), Vec::<String>::new());
}

#[test]
fn documents_lists_and_other_kinds_are_told_apart() {
    let item = MINIMAL.replace("gates: []", "gate: []").replace('\n', "\n  ");
    let text = format!("apiVersion: v1\nkind: ConfigMap\n---\napiVersion: v1\nkind: List\nitems:\n- {item}");
    let report = look(&text, now());
    assert_eq!(report.objects, 1);
    let lines: Vec<_> = report.findings.iter().map(|(line, _, finding)| (line.unwrap(), finding.to_string())).collect();
    let at = text.lines().position(|line| line.contains("gate: []")).unwrap() + 1;
    assert!(lines.contains(&(at, "spec.gate: is no field of this resource".to_owned())), "{lines:?}");
    assert!(lines.iter().any(|(_, text)| text == "spec.gates: is required and missing"), "{lines:?}");
}

#[test]
fn what_is_no_yaml_or_of_another_version_is_a_finding() {
    let found = findings("kind: [");
    assert!(
        found[0].starts_with("m.yaml:1: cannot be read as YAML") || found[0].contains("cannot be read as YAML"),
        "{found:?}"
    );
    let found = findings("apiVersion: holdfast.dev/v1\nkind: SchemaMigration\n");
    assert!(found[0].contains("apiVersion: \"holdfast.dev/v1\": is not served by Holdfast"), "{found:?}");
    let found = findings("apiVersion: holdfast.dev/v1alpha1\nkind: SchemaMigratoin\n");
    assert!(found[0].contains("kind: \"SchemaMigratoin\": is no kind of Holdfast"), "{found:?}");
}
