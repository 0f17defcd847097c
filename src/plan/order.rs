//! The graph of foreign keys: which tables come before which, and how far a deletion reaches.

use std::collections::{BTreeMap, BTreeSet};

use super::build::Planner;
use super::catalogue::{ForeignKey, ReferentialAction};
use super::identifier::TableName;
use super::input::WantedKey;

/// Deeper cascades are an error of the server (3008).
const MAX_DEPTH: usize = 15;
/// Paths to one table that a warning lists.
const LISTED_PATHS: usize = 4;
/// Steps after which the search for paths ends; graphs that need more are warned of as a whole.
const MAX_STEPS: usize = 20_000;

/// Orders keys so that those of children come before those of their parents; among equals, and within cycles, by the order of
/// the specification.
pub(crate) fn children_first<'a>(keys: &[&'a WantedKey]) -> Vec<&'a WantedKey> {
    let mut waiting: Vec<&WantedKey> = keys.to_vec();
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        // A key can go once no other key's child refers to this key's child.
        let free = waiting.iter().position(|candidate| {
            !waiting
                .iter()
                .any(|other| other.key.parent == candidate.key.child && other.key.child != candidate.key.child)
        });
        ordered.push(waiting.remove(free.unwrap_or(0)));
    }
    ordered
}

impl Planner<'_> {
    /// Warns of cycles and of several cascade paths between two tables, where a wanted key takes part.
    pub(crate) fn warn_of_cascades(&mut self) {
        let mut graph: BTreeMap<&TableName, Vec<&ForeignKey>> = BTreeMap::new();
        for key in &self.now.foreign_keys {
            if matches!(key.on_delete, ReferentialAction::Cascade | ReferentialAction::SetNull) {
                graph.entry(&key.parent).or_default().push(key);
            }
        }
        let wanted: BTreeSet<String> =
            self.input.stages.iter().flat_map(|stage| &stage.keys).map(|wanted| wanted.key.name.to_string()).collect();
        let concerns = |path: &[&ForeignKey]| path.iter().any(|key| wanted.contains(key.name.as_str()));
        let mut warnings = Vec::new();
        let mut cycles: BTreeSet<BTreeSet<&TableName>> = BTreeSet::new();
        for root in graph.keys() {
            let mut search = Search { graph: &graph, paths: BTreeMap::new(), cycle: None, steps: 0 };
            search.walk(root, root, &mut Vec::new());
            if let Some(cycle) = search.cycle.filter(|cycle| concerns(cycle)) {
                let tables: BTreeSet<&TableName> = cycle.iter().map(|key| &key.child).collect();
                if cycles.insert(tables) {
                    warnings.push(if cycle.len() == 1 {
                        format!("{root} refers to itself by {}: deleting a row deletes everything below it, at most {MAX_DEPTH} levels deep.", cycle[0].name)
                    } else {
                        format!("Deletions can go round in a circle: {}.", written(root, &cycle))
                    });
                }
            }
            for (table, paths) in &search.paths {
                if paths.len() > 1 && paths.iter().any(|path| concerns(path)) {
                    let shown: Vec<_> = paths.iter().take(LISTED_PATHS).map(|path| written(root, path)).collect();
                    let more = if paths.len() > LISTED_PATHS { "; and more" } else { "" };
                    warnings.push(format!(
                        "Deleting a row of {root} reaches {table} over several paths: {}{more}.",
                        shown.join("; ")
                    ));
                }
                if paths.iter().any(|path| path.len() > MAX_DEPTH && concerns(path)) {
                    warnings.push(format!("Deleting a row of {root} reaches {table} over more than {MAX_DEPTH} keys, which the server refuses (error 3008)."));
                }
            }
            if search.steps >= MAX_STEPS {
                warnings.push(format!("The cascades from {root} have too many paths to list them all."));
            }
        }
        for warning in warnings {
            self.warn(warning);
        }
    }
}

struct Search<'a> {
    graph: &'a BTreeMap<&'a TableName, Vec<&'a ForeignKey>>,
    paths: BTreeMap<&'a TableName, Vec<Vec<&'a ForeignKey>>>,
    cycle: Option<Vec<&'a ForeignKey>>,
    steps: usize,
}

impl<'a> Search<'a> {
    fn walk(&mut self, root: &'a TableName, from: &'a TableName, path: &mut Vec<&'a ForeignKey>) {
        let Some(keys) = self.graph.get(from) else { return };
        for key in keys {
            self.steps += 1;
            if self.steps >= MAX_STEPS {
                return;
            }
            let cascades = key.on_delete == ReferentialAction::Cascade;
            if key.child == *root {
                path.push(key);
                if cascades && self.cycle.is_none() {
                    self.cycle = Some(path.clone());
                }
                path.pop();
                continue;
            }
            if path.iter().any(|each| each.child == key.child) {
                continue;
            }
            path.push(key);
            self.paths.entry(&key.child).or_default().push(path.clone());
            // Setting to NULL goes no further.
            if cascades {
                self.walk(root, &key.child, path);
            }
            path.pop();
        }
    }
}

fn written(root: &TableName, path: &[&ForeignKey]) -> String {
    let mut text = root.table.to_string();
    for key in path {
        let action = if key.on_delete == ReferentialAction::SetNull { " (set to NULL)" } else { "" };
        text.push_str(&format!(" -> {}{action}", key.child.table));
    }
    text
}
