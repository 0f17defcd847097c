//! The runbook has every reason of a condition and of an event, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use holdfast::api::Reason;
use holdfast::controller::events::EventReason;

use crate::pages::{page, root};

const PATH: &str = "docs/runbook.md";
/// Titles of the parts that have the entries.
const CONDITIONS: &str = "Reasons of conditions";
const UNWRITTEN: &str = "Reasons of conditions that nothing writes yet";
const EVENTS: &str = "Reasons of events";

/// The entries by the title of their part and their name, each with its text.
fn entries() -> BTreeMap<(String, String), String> {
    let page = page(PATH);
    let mut entries = BTreeMap::new();
    let (mut part, mut entry) = (String::new(), None);
    for (_, line) in page.prose() {
        if let Some(title) = line.strip_prefix("## ") {
            (part, entry) = (title.to_owned(), None);
        } else if let Some(name) = line.strip_prefix("### ") {
            let name = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
            entry = name.map(|name| (part.clone(), name.to_owned()));
            if let Some(key) = &entry {
                assert!(entries.insert(key.clone(), String::new()).is_none(), "{PATH}: {key:?} is there twice");
            }
        } else if let Some(key) = &entry {
            let text: &mut String = entries.get_mut(key).unwrap();
            text.push_str(line);
            text.push('\n');
        }
    }
    entries
}

/// The names in the parts whose titles begin so.
fn names_in(title: impl Fn(&str) -> bool) -> BTreeSet<String> {
    entries().into_keys().filter(|(part, _)| title(part)).map(|(_, name)| name).collect()
}

fn assert_same(what: &str, written: &BTreeSet<String>, known: &BTreeSet<String>) {
    let (missing, more): (Vec<_>, Vec<_>) = (known.difference(written).collect(), written.difference(known).collect());
    assert!(missing.is_empty(), "{PATH} lacks these {what}: {missing:?}");
    assert!(more.is_empty(), "{PATH} has {what} that there are not: {more:?}");
}

#[test]
fn every_reason_of_a_condition_is_in_the_runbook_and_no_other() {
    let known = Reason::ALL.iter().map(|reason| reason.to_string()).collect();
    assert_same("reasons of conditions", &names_in(|part| part.starts_with(CONDITIONS)), &known);
}

#[test]
fn every_reason_of_an_event_is_in_the_runbook_and_no_other() {
    let known = EventReason::ALL.iter().map(|reason| reason.to_string()).collect();
    assert_same("reasons of events", &names_in(|part| part.starts_with(EVENTS)), &known);
}

#[test]
fn every_entry_says_what_it_means_what_to_look_at_and_what_to_do() {
    for ((part, name), text) in entries() {
        if part == UNWRITTEN {
            continue;
        }
        let parts: Vec<&str> = ["- Look: ", "- Do: "].into_iter().filter(|part| !text.contains(part)).collect();
        assert!(parts.is_empty(), "{PATH}: {name} lacks {parts:?}");
        assert!(text.split("- Look: ").next().unwrap().trim().len() > 10, "{PATH}: {name} does not say what it means");
    }
}

#[test]
fn what_the_runbook_says_nothing_writes_is_what_no_code_names() {
    let mut named = BTreeSet::new();
    names_of_reasons(&root().join("src"), &mut named);
    let unwritten = Reason::ALL.iter().map(|reason| reason.to_string()).filter(|name| !named.contains(name)).collect();
    assert_same("reasons that nothing writes", &names_in(|part| part == UNWRITTEN), &unwritten);
}

/// Every `Reason::NAME` in the code, apart from where the names are declared.
fn names_of_reasons(folder: &Path, named: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            names_of_reasons(&path, named);
        } else if !path.ends_with("api/conditions.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("Reason::").skip(1);
            named.extend(names.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric()).collect::<String>()));
        }
    }
}
