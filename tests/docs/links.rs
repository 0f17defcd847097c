//! Links lead somewhere, and the files and fields that running text names are there.

use std::fs;

use holdfast::api::crd;
use serde_json::Value;

use crate::commands::spans;
use crate::pages::{Page, page, pages, root};

/// Folders whose files the pages name.
const FOLDERS: [&str; 7] = ["charts/", "crds/", "deploy/", "docs/", "src/", "tests/", ".ci/"];

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let mut wrong = Vec::new();
    let link = regex::Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    for from in pages() {
        for (number, line) in from.prose() {
            // What is between backticks is no link, however it looks.
            let text: String = line.split('`').step_by(2).collect();
            for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
                if let Err(error) = follow(&from, &target) {
                    wrong.push(format!("{}:{number}: {target}: {error}", from.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn follow(from: &Page, target: &str) -> Result<(), String> {
    if target.starts_with("https://") {
        return Ok(());
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => from.path.clone(),
        file => {
            let folder = root().join(&from.path);
            let path = folder.parent().unwrap().join(file);
            let path = fs::canonicalize(&path).map_err(|_| "is not there".to_owned())?;
            let inside = path.strip_prefix(fs::canonicalize(root()).unwrap());
            inside.map_err(|_| "is outside of the repository".to_owned())?.to_string_lossy().into_owned()
        }
    };
    if heading.is_empty() || headings(&page(&path)).iter().any(|known| known == heading) {
        return Ok(());
    }
    Err(format!("{path} has no such heading"))
}

/// The anchors that GitHub gives to headings.
fn headings(page: &Page) -> Vec<String> {
    let titles = page.prose().into_iter().filter(|(_, line)| line.starts_with('#'));
    titles
        .map(|(_, line)| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn files_and_folders_in_running_text_are_there() {
    let mut wrong = Vec::new();
    for page in pages() {
        for (line, code) in spans(&page) {
            let path = code.split([' ', ':', '*', '{']).next().unwrap_or_default();
            if FOLDERS.iter().any(|folder| path.starts_with(folder))
                && !path.contains("...")
                && !root().join(path).exists()
            {
                wrong.push(format!("{}:{line}: {path} is not there", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn fields_in_running_text_are_fields_of_the_resources() {
    let schemas: Vec<Value> = crd::definitions()
        .unwrap()
        .iter()
        .map(|definition| {
            let schema =
                definition.spec.versions[0].schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
            serde_json::to_value(schema).unwrap()
        })
        .collect();
    let field = regex::Regex::new(r"^(spec|status)(\.[A-Za-z0-9]+|\[[0-9]*\])*$").unwrap();
    let mut wrong = Vec::new();
    for page in pages() {
        for (line, code) in spans(&page) {
            // `spec.suspend: true` names the field as well.
            let path = code.split([':', ' ', '=']).next().unwrap_or_default();
            if field.is_match(path) && !schemas.iter().any(|schema| has(schema, path)) {
                wrong.push(format!("{}:{line}: {path} is no field", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn has(schema: &Value, path: &str) -> bool {
    let mut here = schema;
    for name in path.split(['.', '[', ']']).filter(|name| !name.is_empty() && !name.chars().all(|c| c.is_ascii_digit()))
    {
        while here["items"].is_object() {
            here = &here["items"];
        }
        if here["additionalProperties"].is_object() {
            here = &here["additionalProperties"];
        } else {
            here = &here["properties"][name];
        }
        if here.is_null() {
            return false;
        }
    }
    true
}
