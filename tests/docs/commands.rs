//! Every command in the pages is one that the program, the charts and the repository know.

use clap::error::ErrorKind;
use clap::{Args as _, Command};
use serde_json::Value;

use crate::pages::{Block, Page, pages, root};
use crate::shell::{Words, commands};

/// What blocks of other languages are called; their content is no shell.
const OTHERS: [&str; 6] = ["", "yaml", "sql", "text", "json", "mermaid"];
/// Before the reason why a block is not looked at.
const UNCHECKED: &str = "unchecked: ";
/// Programs whose arguments are their own affair.
const FOREIGN: [&str; 15] = [
    "bash", "base64", "brew", "chmod", "date", "export", "grep", "kill", "kind", "mysql", "printf", "read", "rm", "sh",
    "source",
];
/// Verbs of kubectl itself.
const KUBECTL: [&str; 21] = [
    "annotate",
    "api-resources",
    "apply",
    "auth",
    "config",
    "create",
    "delete",
    "describe",
    "diff",
    "edit",
    "events",
    "exec",
    "explain",
    "get",
    "label",
    "logs",
    "patch",
    "rollout",
    "scale",
    "version",
    "wait",
];
/// Options of kubectl and docker that name a file.
const FILES: [&str; 6] = ["--filename", "--patch-file", "--file", "--kustomize", "-f", "-k"];

#[test]
fn every_block_has_a_language_and_shell_blocks_hold_known_commands() {
    let mut wrong = Vec::new();
    for page in pages() {
        for block in page.blocks() {
            match block.language.as_str() {
                "sh" if block.note.is_empty() => wrong.extend(wrong_in(&block)),
                "sh" if block.note.starts_with(UNCHECKED) && block.note.len() > UNCHECKED.len() => {}
                "sh" => wrong.push(format!("{}: {:?} must be `{UNCHECKED}WHY`", block.place(), block.note)),
                other if OTHERS.contains(&other) => {}
                other => wrong.push(format!(
                    "{}: {other:?} is no language of a block: use sh, or one of {OTHERS:?}",
                    block.place()
                )),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn commands_of_the_plugin_in_running_text_are_known() {
    let mut wrong = Vec::new();
    for page in pages() {
        for (line, code) in spans(&page) {
            let words: Vec<&str> = code.split_whitespace().collect();
            if let ["kubectl", "holdfast", rest @ ..] = words.as_slice()
                && let Err(error) = plugin(rest, true)
            {
                wrong.push(format!("{}:{line}: `{code}`: {error}", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What stands between backticks in running text.
pub(crate) fn spans(page: &Page) -> Vec<(usize, String)> {
    let lines = page.prose().into_iter();
    lines
        .flat_map(|(number, line)| line.split('`').skip(1).step_by(2).map(move |code| (number, code.to_owned())))
        .collect()
}

fn wrong_in(block: &Block) -> Vec<String> {
    let found = match commands(&block.text) {
        Ok(found) => found,
        Err(error) => {
            return vec![format!("{}: cannot be read: {error}; mark it as `sh {UNCHECKED}WHY`", block.place())];
        }
    };
    let wrong = found.iter().filter_map(|words| wrong_with(words).err().map(|error| (words, error)));
    wrong.map(|(words, error)| format!("{}: {}: {error}", block.place(), words.join(" "))).collect()
}

fn wrong_with(words: &Words) -> Result<(), String> {
    let all: Vec<&str> = words.iter().map(String::as_str).collect();
    paths(&all)?;
    match all.as_slice() {
        ["kubectl", "holdfast", rest @ ..] | ["kubectl-holdfast", rest @ ..] => plugin(rest, false),
        ["kubectl", verb, ..] if KUBECTL.contains(verb) => Ok(()),
        ["kubectl", ..] => Err(format!("kubectl has no such verb, or it comes after an option: {KUBECTL:?}")),
        ["holdfast", rest @ ..] => parsed(operator(), rest, false),
        ["helm", rest @ ..] => helm(rest),
        ["make", rest @ ..] => rest.iter().filter(|word| !word.contains('=')).try_for_each(|target| make(target)),
        ["cargo", rest @ ..] => cargo(rest),
        ["docker", "build" | "push", ..] => Ok(()),
        [program, ..] if FOREIGN.contains(program) || root().join(program).is_file() => Ok(()),
        _ => Err("is no program that this test knows".to_owned()),
    }
}

/// The plugin's own reader of its command line; in running text what is required may be left out.
fn plugin(rest: &[&str], in_text: bool) -> Result<(), String> {
    parsed(holdfast::cli::command(), rest, in_text)
}

fn parsed(command: Command, rest: &[&str], in_text: bool) -> Result<(), String> {
    let placed: Vec<&str> = rest
        .iter()
        .map(|word| match *word {
            "STEP" | "PHASE" => "CleanUp",
            "N" => "1",
            "TIME" => "2026-11-20T02:00:00Z",
            other => other,
        })
        .collect();
    match command.try_get_matches_from(std::iter::once("holdfast").chain(placed)) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(()),
            ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if in_text => {
                Ok(())
            }
            _ => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
        },
    }
}

/// What of the operator's program people run themselves.
fn operator() -> Command {
    Command::new("holdfast")
        .subcommand(holdfast::cli::wait::Arguments::augment_args(Command::new("wait")))
        .subcommand(holdfast::definitions::Arguments::augment_args(Command::new("crds")))
}

fn helm(rest: &[&str]) -> Result<(), String> {
    let chart = match rest {
        ["upgrade", "--install", _, chart, ..] => Some(*chart),
        ["uninstall" | "list" | "status" | "history" | "rollback", ..] => None,
        _ => return Err("write helm upgrade --install NAME CHART".to_owned()),
    };
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        if matches!(*word, "--set" | "--set-string") {
            let chart = chart.ok_or("--set without a chart")?;
            for pair in split_pairs(words.next().ok_or("--set without a value")?) {
                value_of(chart, pair.split('=').next().unwrap_or_default())?;
            }
        }
    }
    Ok(())
}

/// The pairs of `--set`, at the commas that no brace encloses.
fn split_pairs(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    })
    .collect()
}

/// Whether the schema of a chart's values knows one.
fn value_of(chart: &str, path: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(root().join(chart).join("values.schema.json"))
        .map_err(|_| format!("{chart} has no values.schema.json, so it takes no values"))?;
    let schema: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut here = &schema;
    for name in path.split('.') {
        let name = name.split('[').next().unwrap_or_default();
        here = &here["properties"][name];
        if here.is_null() {
            return Err(format!("the chart has no value {path}"));
        }
        if !here["properties"].is_object() {
            break;
        }
    }
    Ok(())
}

fn make(target: &str) -> Result<(), String> {
    let makefile = std::fs::read_to_string(root().join("Makefile")).map_err(|error| error.to_string())?;
    let there = makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
    if there { Ok(()) } else { Err(format!("the Makefile has no target {target}")) }
}

fn cargo(rest: &[&str]) -> Result<(), String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).map_err(|error| error.to_string())?;
    for pair in rest.windows(2) {
        let own = match pair {
            ["--bin", name] => {
                root().join("src/bin").join(name).with_extension("rs").is_file()
                    || manifest.contains(&format!("name = \"{name}\""))
            }
            ["--example", name] => manifest.contains(&format!("[[example]]\nname = \"{name}\"")),
            ["--test", name] => {
                root().join("tests").join(name).exists()
                    || root().join("tests").join(name).with_extension("rs").exists()
            }
            _ => true,
        };
        if !own {
            return Err(format!("there is no {}", pair.join(" ")));
        }
    }
    Ok(())
}

/// Files and folders of the repository that a command names are there.
fn paths(words: &[&str]) -> Result<(), String> {
    let named = words.windows(2).filter(|pair| FILES.contains(&pair[0])).map(|pair| pair[1]);
    let missing = named.chain(words.iter().copied()).find(|word| {
        let own = word
            .split('/')
            .next()
            .is_some_and(|first| ["charts", "crds", "deploy", "docs", "src", "tests"].contains(&first));
        own && word.contains('/') && !root().join(word).exists()
    });
    missing.map_or(Ok(()), |path| Err(format!("{path} is not there")))
}
