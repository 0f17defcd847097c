//! The walk as a list of steps, made of the pages and of what `table.rs` says about them. Whatever of the pages is in no step, or in two, is an
//! error, and so is what the table says of nothing.

use crate::pages::{Page, page};
use crate::table::{BEFORE, Before, GUIDE, LEFT, MANNERS, Manner, Place, README, ROUTE, START, USES, Use};

/// Before the reason why a block cannot be run, behind its fence.
const UNCHECKED: &str = "unchecked: ";

/// A line of shell, or a block of another language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) page: &'static str,
    pub(crate) line: usize,
    /// Line of the fence: lines of one block share a shell's variables.
    pub(crate) block: usize,
    section: String,
    pub(crate) text: String,
    shell: bool,
    /// Why it cannot be run, as the page says.
    unchecked: Option<String>,
}

/// What is done at an item.
pub(crate) enum Deed {
    Type(Option<&'static Manner>),
    Use(&'static Use),
    Leave(String),
}

/// A step of the walk.
pub(crate) struct Step {
    pub(crate) item: Item,
    pub(crate) before: Option<&'static Before>,
    pub(crate) deed: Deed,
}

impl Item {
    /// Page and line, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }

    fn is_at(&self, (page, section, part): Place) -> bool {
        self.page == page && self.section.starts_with(section) && self.text.contains(part)
    }
}

/// The walk through the pages of the repository.
///
/// # Errors
/// Everything that the pages and the table do not agree about.
pub(crate) fn steps() -> Result<Vec<Step>, Vec<String>> {
    let items: Vec<Item> = [START, GUIDE, README].into_iter().flat_map(|path| items(path, &page(path))).collect();
    let mut wrong = stale(&items);
    let mut order: Vec<usize> = Vec::new();
    for place in ROUTE {
        let here = items.iter().enumerate().filter(|(_, item)| item.is_at(*place) && left(item).is_none());
        order.extend(here.map(|(index, _)| index));
    }
    for (index, item) in items.iter().enumerate() {
        match (order.iter().filter(|at| **at == index).count(), left(item)) {
            (1, None) => {}
            // After the walk it is told what was left.
            (_, Some(_)) => order.push(index),
            (0, None) => wrong.push(format!(
                "{}: the walk does not know it: say in tests/walkthrough/table.rs when a newcomer comes to it, or why it is left\n{}",
                item.place(),
                item.text
            )),
            (times, _) => wrong.push(format!("{}: the walk comes to it {times} times: {}", item.place(), item.text)),
        }
    }
    let mut steps = Vec::new();
    for item in order.into_iter().map(|index| items[index].clone()) {
        let deed = match (left(&item), at(USES, &item)) {
            (Some(why), _) => Deed::Leave(why.to_owned()),
            (None, _) if item.shell => Deed::Type(at(MANNERS, &item)),
            (None, Some(known)) => Deed::Use(known),
            (None, None) => {
                wrong.push(format!(
                    "{}: the walk does not know what a newcomer does with this block: say it in tests/walkthrough/table.rs\n{}",
                    item.place(),
                    item.text
                ));
                continue;
            }
        };
        steps.push(Step { before: at(BEFORE, &item).filter(|_| item.shell), deed, item });
    }
    if wrong.is_empty() { Ok(steps) } else { Err(wrong) }
}

/// Why an item is not walked.
fn left(item: &Item) -> Option<&str> {
    let known = LEFT.iter().find(|(place, _)| item.is_at(*place)).map(|(_, why)| *why);
    item.unchecked.as_deref().or(known)
}

fn at<T>(rows: &'static [(Place, T)], item: &Item) -> Option<&'static T> {
    rows.iter().find(|(place, _)| item.is_at(*place)).map(|(_, row)| row)
}

/// Rows of the table that speak of nothing, or, where one thing is meant, of several.
fn stale(items: &[Item]) -> Vec<String> {
    let number = |place: Place, shell: Option<bool>| {
        items.iter().filter(|item| item.is_at(place) && shell.is_none_or(|shell| item.shell == shell)).count()
    };
    let several = ROUTE.iter().chain(LEFT.iter().map(|(place, _)| place)).filter(|place| number(**place, None) == 0);
    let uses = USES.iter().map(|(place, _)| (place, Some(false)));
    let manners = MANNERS.iter().map(|(place, _)| (place, Some(true)));
    let befores = BEFORE.iter().map(|(place, _)| (place, Some(true)));
    let single = uses.chain(manners).chain(befores).filter(|(place, shell)| number(**place, *shell) != 1);
    several
        .map(|place| format!("tests/walkthrough/table.rs: {place:?} is nowhere in the pages"))
        .chain(single.map(|(place, shell)| {
            format!("tests/walkthrough/table.rs: {place:?} is {} times in the pages", number(*place, shell))
        }))
        .collect()
}

/// What a page has, in its order.
fn items(path: &'static str, page: &Page) -> Vec<Item> {
    let headings: Vec<(usize, String)> = page
        .prose()
        .into_iter()
        .filter_map(|(line, text)| {
            Some((line, text.strip_prefix("## ").or_else(|| text.strip_prefix("# "))?.to_owned()))
        })
        .collect();
    let section = |line: usize| {
        headings.iter().rev().find(|(heading, _)| *heading < line).map(|(_, text)| text.clone()).unwrap_or_default()
    };
    let mut items = Vec::new();
    for block in page.blocks() {
        let item = |line: usize, text: String| Item {
            page: path,
            line,
            block: block.line,
            section: section(block.line),
            text,
            shell: block.language == "sh",
            unchecked: block.note.strip_prefix(UNCHECKED).map(str::to_owned),
        };
        if block.language == "sh" && block.note.is_empty() {
            items.extend(lines(&block.text).into_iter().map(|(at, text)| item(block.line + at, text)));
        } else {
            items.push(item(block.line, block.text.clone()));
        }
    }
    items
}

/// The commands of a block as they are typed: a line each, with those that a backslash joins to it.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut joined = false;
    for (number, line) in text.lines().enumerate() {
        match found.last_mut().filter(|_| joined) {
            Some((_, command)) => {
                *command = format!("{} {}", command.trim_end_matches('\\').trim_end(), line.trim_start())
            }
            None => found.push((number + 1, line.to_owned())),
        }
        joined = line.ends_with('\\');
    }
    found.retain(|(_, command)| !command.trim().is_empty() && !command.trim_start().starts_with('#'));
    found
}

#[test]
fn the_walk_knows_every_block_of_its_pages() {
    let steps = steps().unwrap_or_else(|wrong| panic!("{}", wrong.join("\n")));
    assert!(steps.len() > 60, "only {} steps were found", steps.len());
}

#[test]
fn commands_are_joined_as_a_shell_does() {
    let text = "# why\na --b \\\n  --c 'd'  # e\n\nf\n";
    assert_eq!(lines(text), [(2, "a --b --c 'd'  # e".to_owned()), (5, "f".to_owned())]);
}

#[test]
fn a_block_that_nobody_knows_is_named_with_page_and_line() {
    let text = "# Holdfast\n\n## News\n\n```sh\nkubectl frobnicate\n```\n".to_owned();
    let items = items(README, &Page { path: README.to_owned(), text });
    assert_eq!((items[0].place().as_str(), items[0].section.as_str()), ("README.md:6", "News"));
    assert!(ROUTE.iter().chain(LEFT.iter().map(|(place, _)| place)).all(|place| !items[0].is_at(*place)));
}
