//! How far a deletion reaches: every path of Cascade and SetNull keys that a wanted key takes part in, and what a person should
//! know about them before approving: circles, several ways to one table, depth, and triggers that do not fire.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::build::Planner;
use super::catalogue::{ForeignKey, ReferentialAction};
use super::circles;
use super::identifier::TableName;

/// Deeper cascades are an error of the server (3008).
const MAX_DEPTH: usize = 15;
/// Paths to one table that a warning lists.
const LISTED_PATHS: usize = 4;
/// Paths that are looked at. Shorter ones come first, so that a schema with more loses only the long ones, and is told so.
const MAX_PATHS: usize = 20_000;
/// Paths that the plan lists.
const MAX_LISTED: usize = 2_000;

/// One way that a deletion takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CascadePath {
    /// The table whose row is deleted.
    pub from: TableName,
    /// The keys that it follows, in order. All but the last one are Cascade; the last one is Cascade or SetNull.
    pub keys: Vec<ForeignKey>,
    /// How many rows of the last table go, or get NULL, when the worst row of `from` is deleted.
    pub reach: Reach,
}

/// Rows that one deletion takes along at worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// Counted over all rows.
    Exact(u64),
    /// Concluded from a sample of the rows and the server's statistics: counting all would have taken too long.
    Sampled(u64),
    /// Not known, because a column of the path is added or changed by the migration.
    NotMeasured,
}

impl Reach {
    /// The number of rows, where one is known.
    #[must_use]
    pub fn rows(self) -> Option<u64> {
        match self {
            Self::Exact(rows) | Self::Sampled(rows) => Some(rows),
            Self::NotMeasured => None,
        }
    }
}

impl CascadePath {
    /// Whether the rows at its end stay and only lose their reference.
    #[must_use]
    pub fn sets_null(&self) -> bool {
        self.keys.last().is_some_and(|key| key.on_delete == ReferentialAction::SetNull)
    }
}

impl Planner<'_> {
    /// Finds the paths and warns of what is dangerous in them.
    pub(crate) fn plan_cascades(&mut self) -> Vec<CascadePath> {
        let wanted: BTreeSet<&str> =
            self.input.stages.iter().flat_map(|stage| &stage.keys).map(|wanted| wanted.key.name.as_str()).collect();
        let search = Search::run(&self.now.foreign_keys, &wanted);
        let circles: Vec<Vec<&ForeignKey>> = search.circles.iter().map(|circle| circle.0.clone()).collect();
        let native = self.now.server.native_foreign_keys;
        let rounds = if native { Vec::new() } else { circles::rounds(&self.now.foreign_keys, &circles, &wanted) };
        let mut warnings = search.circles(&wanted);
        warnings.extend(search.several_ways(&wanted));
        let concerned: Vec<&Path> = search.paths.iter().filter(|path| path.concerns(&wanted)).collect();
        for path in &concerned {
            let (Some(root), Some(end)) = (path.root(), path.end()) else { continue };
            if path.0.len() == MAX_DEPTH + 1 {
                warnings.push(format!("Deleting a row of {root} reaches {end} over more than {MAX_DEPTH} keys, which the server refuses (error 3008)."));
            }
            if let Some(table) = self.now.table(end)
                && !table.triggers.is_empty()
            {
                warnings.push(format!(
                    "{end} has triggers ({}), which do not fire for what foreign keys do to its rows ({}).",
                    table.triggers.join(", "),
                    path.0.last().map(|key| key.name.as_str()).unwrap_or_default()
                ));
            }
        }
        if search.incomplete || concerned.len() > MAX_LISTED {
            warnings.push(format!(
                "There are more cascade paths than can be listed: the plan has the {} shortest ones.",
                concerned.len().min(MAX_LISTED)
            ));
        }
        let paths = concerned
            .iter()
            .take(MAX_LISTED)
            .filter_map(|path| {
                Some(CascadePath {
                    from: path.root()?.clone(),
                    keys: path.0.iter().map(|key| (*key).clone()).collect(),
                    reach: Reach::NotMeasured,
                })
            })
            .collect();
        for warning in warnings {
            self.warn(warning);
        }
        self.plan_rounds(rounds);
        paths
    }
}

/// Keys in the order in which a deletion follows them; never empty.
#[derive(Clone)]
struct Path<'a>(Vec<&'a ForeignKey>);

impl<'a> Path<'a> {
    fn root(&self) -> Option<&'a TableName> {
        self.0.first().map(|key| &key.parent)
    }

    fn end(&self) -> Option<&'a TableName> {
        self.0.last().map(|key| &key.child)
    }

    fn concerns(&self, wanted: &BTreeSet<&str>) -> bool {
        self.0.iter().any(|key| wanted.contains(key.name.as_str()))
    }

    fn written(&self) -> String {
        let mut text = self.root().map(|root| root.table.to_string()).unwrap_or_default();
        for key in &self.0 {
            let action = if key.on_delete == ReferentialAction::SetNull { " (set to NULL)" } else { "" };
            text.push_str(&format!(" -> {}{action}", key.child.table));
        }
        text
    }
}

/// Everything found, shortest first.
struct Search<'a> {
    /// Paths that meet no table twice.
    paths: Vec<Path<'a>>,
    /// Paths that end where they began.
    circles: Vec<Path<'a>>,
    /// Whether there are more.
    incomplete: bool,
}

impl<'a> Search<'a> {
    fn run(keys: &'a [ForeignKey], wanted: &BTreeSet<&str>) -> Self {
        let mut children: BTreeMap<&TableName, Vec<&ForeignKey>> = BTreeMap::new();
        for key in keys.iter().filter(|key| circles::follows(key)) {
            children.entry(&key.parent).or_default().push(key);
        }
        let mut found = Self { paths: Vec::new(), circles: Vec::new(), incomplete: false };
        let mut open: VecDeque<Path> = VecDeque::new();
        for root in roots(keys, wanted) {
            open.extend(children.get(root).into_iter().flatten().map(|key| Path(vec![key])));
        }
        while let Some(path) = open.pop_front() {
            if found.paths.len() + found.circles.len() >= MAX_PATHS {
                found.incomplete = true;
                break;
            }
            let (Some(last), Some(root)) = (path.0.last().copied(), path.root()) else { continue };
            let cascades = last.on_delete == ReferentialAction::Cascade;
            if last.child == *root {
                // To a row of its own table, setting to NULL is no more than that.
                if cascades || path.0.len() > 1 {
                    found.circles.push(path);
                }
                continue;
            }
            // Setting to NULL goes no further.
            if cascades {
                for key in children.get(&last.child).into_iter().flatten() {
                    if !path.0.iter().any(|each| each.child == key.child) {
                        let mut longer = path.clone();
                        longer.0.push(key);
                        open.push_back(longer);
                    }
                }
            }
            found.paths.push(path);
        }
        found
    }

    /// Each circle once, however many of its tables it was found from.
    fn circles(&self, wanted: &BTreeSet<&str>) -> Vec<String> {
        let mut seen: BTreeSet<BTreeSet<&TableName>> = BTreeSet::new();
        let mut warnings = Vec::new();
        for circle in self.circles.iter().filter(|circle| circle.concerns(wanted)) {
            let (Some(root), Some(key)) = (circle.root(), circle.0.first()) else { continue };
            if seen.insert(circle.0.iter().map(|key| &key.child).collect()) {
                warnings.push(if circle.0.len() == 1 {
                    format!("{root} refers to itself by {}: deleting a row deletes everything below it, at most {MAX_DEPTH} levels deep.", key.name)
                } else {
                    format!("Deletions can go round in a circle: {}.", circle.written())
                });
            }
        }
        warnings
    }

    fn several_ways(&self, wanted: &BTreeSet<&str>) -> Vec<String> {
        let mut ways: BTreeMap<(&TableName, &TableName), Vec<&Path>> = BTreeMap::new();
        for path in &self.paths {
            if let (Some(root), Some(end)) = (path.root(), path.end()) {
                ways.entry((root, end)).or_default().push(path);
            }
        }
        ways.into_iter()
            .filter(|(_, paths)| paths.len() > 1 && paths.iter().any(|path| path.concerns(wanted)))
            .map(|((root, end), paths)| {
                let shown: Vec<_> = paths.iter().take(LISTED_PATHS).map(|path| path.written()).collect();
                let more = if paths.len() > LISTED_PATHS { "; and more" } else { "" };
                format!("Deleting a row of {root} reaches {end} over several paths: {}{more}.", shown.join("; "))
            })
            .collect()
    }
}

/// The tables from which a deletion can reach a wanted key: its parent, and all that cascade into that.
fn roots<'a>(keys: &'a [ForeignKey], wanted: &BTreeSet<&str>) -> BTreeSet<&'a TableName> {
    let mut parents: BTreeMap<&TableName, Vec<&TableName>> = BTreeMap::new();
    for key in keys.iter().filter(|key| key.on_delete == ReferentialAction::Cascade) {
        parents.entry(&key.child).or_default().push(&key.parent);
    }
    let mut open: Vec<&TableName> =
        keys.iter().filter(|key| wanted.contains(key.name.as_str())).map(|key| &key.parent).collect();
    let mut found = BTreeSet::new();
    while let Some(table) = open.pop() {
        if found.insert(table) {
            open.extend(parents.get(table).into_iter().flatten());
        }
    }
    found
}
