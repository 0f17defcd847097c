//! How well a column's name fits a key of a table. Each rule is a convention that people follow, with how far it can be trusted when
//! nothing but the names is known.

use super::vocabulary::{Own, SchemaWords, TableWords};
use super::words::{Reference, holds, joined, same_noun};

/// How well a name fits, from 0 to 1, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    pub(super) likelihood: f64,
    pub(super) why: String,
}

/// A column that may refer to something.
#[derive(Debug)]
pub(super) struct ChildColumn<'a> {
    pub(super) table: &'a TableWords<'a>,
    /// As the catalogue spells it, for messages.
    pub(super) name: &'a str,
    pub(super) words: Vec<String>,
    pub(super) reference: Reference,
}

/// A key of one column that may be referred to.
#[derive(Debug)]
pub(super) struct ParentKey<'a> {
    pub(super) table: &'a TableWords<'a>,
    pub(super) name: &'a str,
    pub(super) words: Vec<String>,
    pub(super) reference: Reference,
    pub(super) primary: bool,
    pub(super) own: Own,
}

/// What a row calls the row of the same table that stands above or beside it; the second word is only read together with the first.
const SELF: [&str; 20] = [
    "parent",
    "root",
    "superior",
    "previous",
    "prev",
    "next",
    "successor",
    "predecessor",
    "ancestor",
    "replyto",
    "inreplyto",
    "reportsto",
    "reportto",
    "manager",
    "supervisor",
    "boss",
    "replaces",
    "replacedby",
    "duplicateof",
    "forkedfrom",
];
/// The same, but as often something else.
const PERHAPS_SELF: [&str; 6] = ["template", "master", "original", "source", "base", "copiedfrom"];
/// What people are to a row.
const PEOPLE: [&str; 16] = [
    "owner",
    "author",
    "creator",
    "editor",
    "assignee",
    "assignedto",
    "approver",
    "reviewer",
    "sender",
    "recipient",
    "modifier",
    "updater",
    "submitter",
    "reporter",
    "uploader",
    "requester",
];

impl ParentKey<'_> {
    /// A key whose name says nothing but that it is one: `id`, `code`.
    fn is_generic(&self) -> bool {
        self.reference.stem.is_empty()
    }

    /// Whether a column that names the table means this key.
    fn is_meant_by(&self, suffix: Option<&str>) -> bool {
        let names_table = self.is_generic() || self.own == Own::NamesTable;
        names_table && (self.primary || (suffix.is_some() && self.reference.suffix.as_deref() == suffix))
    }

    fn place(&self) -> String {
        format!("{}.{}", self.table.name(), self.name)
    }
}

/// The best rule that holds for a column and a key.
pub(super) fn fit(schema: &SchemaWords<'_>, child: &ChildColumn<'_>, key: &ParentKey<'_>) -> Option<Fit> {
    let same_table = std::ptr::eq(child.table, key.table);
    if same_table && child.words == key.words {
        return None;
    }
    [
        by_key_name(child, key),
        by_table(schema, child, key),
        by_abbreviation(child, key),
        by_self(child, key),
        by_people(schema, child, key),
    ]
    .into_iter()
    .flatten()
    .max_by(|one, other| one.likelihood.total_cmp(&other.likelihood))
}

fn fit_of(likelihood: f64, why: String) -> Option<Fit> {
    Some(Fit { likelihood, why })
}

/// The column is named as the key is: `hosts.hostid` and `items.hostid`, `proxy_hostid`, `hostid_up`.
fn by_key_name(child: &ChildColumn<'_>, key: &ParentKey<'_>) -> Option<Fit> {
    let wanted = joined(&key.words);
    let count = child.words.len();
    let place = key.place();
    if key.reference.suffix.is_none() {
        // A word such as state or name: only where the table is named after it, too.
        let table_says = key.table.words.iter().any(|word| key.words.iter().any(|own| same_noun(word, own)));
        let exact = joined(&child.words) == wanted && !std::ptr::eq(child.table, key.table);
        return match (exact, key.primary, table_says) {
            (true, true, true) => fit_of(0.72, format!("{} is named as the key {place}", child.name)),
            (true, true, false) => {
                fit_of(0.5, format!("{} is named as the primary key {place}, a common word", child.name))
            }
            _ => None,
        };
    }
    if key.is_generic() {
        return None;
    }
    let exact = joined(&child.words) == wanted;
    // `problem_tag.eventid` may mean the key eventid of problem, though events are named by it.
    let holds_table = exact && holds(&child.table.words, &key.table.words);
    let (trust, doubt) = match key.own {
        _ if holds_table => (1.0, ""),
        Own::NamesTable | Own::OnlyOne => (1.0, ""),
        Own::Shortest => (0.95, ", which other tables use as their key too"),
        Own::OneOfSeveral if shares_lead(child, key) => (0.95, ", which other tables use as their key too"),
        Own::OneOfSeveral | Own::OfAnother => (0.6, ", which other tables use as their key too"),
    };
    let trust = match (key.primary, key.reference.suffix.as_deref().is_some_and(numbers)) {
        (true, _) => trust,
        (false, true) => trust * 0.9,
        // A unique code or key describes the row more often than that it is referred to.
        (false, false) => trust * 0.65,
    };
    if exact {
        return fit_of(0.9 * trust, format!("{} is named as the key {place}{doubt}", child.name));
    }
    if (1..count).any(|from| joined(&child.words[from..]) == wanted) {
        return fit_of(0.82 * trust, format!("{} ends as the key {place} is named{doubt}", child.name));
    }
    if (1..count).any(|to| joined(&child.words[..to]) == wanted) {
        return fit_of(0.76 * trust, format!("{} begins as the key {place} is named{doubt}", child.name));
    }
    None
}

/// The column is named after the table: `user_id`, `billing_address_id`, or after the end of its name: `folder_id` of `bookmark_folders`.
fn by_table(schema: &SchemaWords<'_>, child: &ChildColumn<'_>, key: &ParentKey<'_>) -> Option<Fit> {
    let Reference { stem, suffix } = &child.reference;
    let suffix = suffix.as_deref();
    if stem.is_empty() || !key.is_meant_by(suffix) {
        return None;
    }
    let own_suffix = key.reference.suffix.as_deref();
    let trust = match suffix {
        None if stem.len() > 1 => 0.72,
        None => 0.65,
        Some(suffix) if own_suffix == Some(suffix) || (numbers(suffix) && own_suffix.is_some_and(numbers)) => 1.0,
        Some(_) => 0.65,
    };
    let place = key.place();
    // Without a role before it, a name of the table itself is the row's own.
    let first = usize::from(std::ptr::eq(child.table, key.table));
    for from in first..stem.len() {
        let noun = joined(&stem[from..]);
        if same_noun(&noun, &key.table.joined) {
            let (likelihood, how) =
                if from == 0 { (0.93, "names the table of") } else { (0.84, "ends with the table of") };
            return fit_of(likelihood * trust, format!("{} {how} {place}", child.name));
        }
    }
    let words = &key.table.words;
    for from in first..stem.len() {
        let noun = joined(&stem[from..]);
        if !(1..words.len()).any(|lead| same_noun(&noun, &joined(&words[lead..]))) {
            continue;
        }
        let role = if from == 0 { 1.0 } else { 0.85 };
        let shared = shares_lead(child, key);
        let rivals = schema.ending_in(&noun);
        let (likelihood, how) = match (shared, rivals) {
            (true, _) => (0.8, "names the end of the table of"),
            (false, 1) => (0.7, "names the end of the only such table,"),
            (false, _) => (0.4, "names the end of one of several such tables,"),
        };
        return fit_of(likelihood * role * trust, format!("{} {how} {place}", child.name));
    }
    None
}

/// Whether the names of both tables begin with the same word.
fn shares_lead(child: &ChildColumn<'_>, key: &ParentKey<'_>) -> bool {
    child.table.words.first().zip(key.table.words.first()).is_some_and(|(one, other)| same_noun(one, other))
}

/// Suffixes that mean the same number.
fn numbers(suffix: &str) -> bool {
    matches!(suffix, "id" | "ids" | "uid" | "oid" | "fk" | "ref")
}

/// `cat_id` of `feed_categories`.
fn by_abbreviation(child: &ChildColumn<'_>, key: &ParentKey<'_>) -> Option<Fit> {
    const SHORTEST: usize = 3;
    let Reference { stem, suffix } = &child.reference;
    let short = joined(stem);
    if suffix.is_none() || short.len() < SHORTEST || !key.is_meant_by(suffix.as_deref()) {
        return None;
    }
    let last = key.table.words.last()?;
    let shortens = (key.table.joined.starts_with(&short) || last.starts_with(&short)) && !same_noun(&short, last);
    if shortens { fit_of(0.45, format!("{} may shorten the table of {}", child.name, key.place())) } else { None }
}

/// `parent_id`, `reports_to`: another row of the same table.
fn by_self(child: &ChildColumn<'_>, key: &ParentKey<'_>) -> Option<Fit> {
    if !std::ptr::eq(child.table, key.table) || !key.primary {
        return None;
    }
    let stem = joined(&child.reference.stem);
    // `parent_feed` of `feeds` is both.
    let without_table = || {
        let (last, rest) = child.reference.stem.split_last()?;
        same_noun(last, key.table.words.last()?).then(|| joined(rest))
    };
    let says = |list: &[&str]| {
        list.contains(&stem.as_str()) || without_table().is_some_and(|rest| list.contains(&rest.as_str()))
    };
    let likelihood = match (says(&SELF), says(&PERHAPS_SELF), child.reference.suffix.is_some()) {
        (true, _, true) => 0.82,
        (true, _, false) => 0.7,
        (_, true, true) => 0.6,
        _ => return None,
    };
    fit_of(likelihood, format!("{} names another row of the same table, by {}", child.name, key.place()))
}

/// `created_by`, `owner_id`: the table of people.
fn by_people(schema: &SchemaWords<'_>, child: &ChildColumn<'_>, key: &ParentKey<'_>) -> Option<Fit> {
    if !key.primary || !schema.people().is_some_and(|people| std::ptr::eq(people, key.table)) {
        return None;
    }
    let stem = &child.reference.stem;
    let by = stem.len() > 1 && stem.last().is_some_and(|last| last == "by");
    if by || PEOPLE.contains(&joined(stem).as_str()) {
        return fit_of(0.72, format!("{} names a person, and {} holds people", child.name, key.place()));
    }
    None
}
