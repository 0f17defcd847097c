//! Reads queries of Prometheus as far as it takes to find the metrics and labels that they name, and the text that metrics are exposed in.

use std::collections::{BTreeMap, BTreeSet};

/// What metrics and labels there are: of each name the labels that some sample has.
pub(crate) type Exposed = BTreeMap<String, BTreeSet<String>>;

/// Reads OpenMetrics text.
pub(crate) fn exposed(text: &str) -> Exposed {
    let mut all = Exposed::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        let labels = all.entry(line[..end].to_owned()).or_default();
        labels.extend(selector(&line[end..]).into_iter().map(|matcher| matcher.label));
    }
    all
}

/// One `label="value"`, `label=~"a|b"` and so on.
#[derive(Debug, PartialEq)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) operator: String,
    pub(crate) value: String,
}

/// What a query names.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Names {
    /// Metrics, each with the labels that it is selected by.
    pub(crate) selected: Vec<(String, Vec<Matcher>)>,
    /// Labels by which results are grouped or joined.
    pub(crate) grouped: BTreeSet<String>,
}

/// The matchers of a selector that begins here, if one does.
fn selector(text: &str) -> Vec<Matcher> {
    let Some(mut rest) = text.strip_prefix('{') else { return Vec::new() };
    let mut all = Vec::new();
    while !rest.starts_with('}') {
        let start = rest.find(['=', '!']).unwrap_or_else(|| panic!("no matcher in {rest:?}"));
        let quote = rest.find('"').unwrap_or_else(|| panic!("no value in {rest:?}"));
        let (label, operator) = (rest[..start].trim(), &rest[start..quote]);
        let mut value = String::new();
        let mut end = quote + 1;
        let mut characters = rest[end..].chars();
        while let Some(character) = characters.next() {
            end += character.len_utf8();
            match character {
                '"' => break,
                '\\' => {
                    let escaped = characters.next().unwrap_or_default();
                    end += escaped.len_utf8();
                    value.push(escaped);
                }
                other => value.push(other),
            }
        }
        all.push(Matcher { label: label.to_owned(), operator: operator.to_owned(), value });
        rest = rest[end..].trim_start_matches([',', ' ']);
    }
    all
}

/// Reads a query.
pub(crate) fn names(query: &str) -> Names {
    let mut found = Names::default();
    let word = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ':';
    let mut rest = query;
    while let Some(start) = rest.find(word) {
        let after = &rest[start..];
        let end = after.find(|character| !word(character)).unwrap_or(after.len());
        let (token, following) = after.split_at(end);
        rest = following;
        if token.starts_with("holdfast_") {
            found.selected.push((token.to_owned(), selector(following)));
            if following.starts_with('{') {
                rest = &following[closing(following)..];
            }
        } else if ["by", "on", "without", "ignoring", "group_left", "group_right"].contains(&token) {
            let list = following.trim_start().strip_prefix('(').and_then(|list| list.split(')').next());
            let labels = list.unwrap_or_default().split(',').map(str::trim).filter(|label| !label.is_empty());
            found.grouped.extend(labels.map(str::to_owned));
        }
    }
    found
}

/// Where a selector that begins here ends: braces in values do not count.
fn closing(text: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (place, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return place + 1,
            _ => {}
        }
    }
    panic!("a selector that does not end: {text}")
}

#[test]
fn a_query_names_its_metrics_and_labels() {
    let found = names("max by (a, b) (rate(holdfast_x{c=\"}\",d=~\"e|f\"}[5m])) > 1 and on (a) holdfast_y == 1");
    let matcher = |label: &str, operator: &str, value: &str| Matcher {
        label: label.to_owned(),
        operator: operator.to_owned(),
        value: value.to_owned(),
    };
    let x = ("holdfast_x".to_owned(), vec![matcher("c", "=", "}"), matcher("d", "=~", "e|f")]);
    assert_eq!(found.selected, [x, ("holdfast_y".to_owned(), vec![])]);
    assert_eq!(found.grouped, ["a", "b"].map(str::to_owned).into());
    let text = "# TYPE holdfast_x gauge\nholdfast_x{a=\"1\",b=\"2 \\\" }\"} 3\nholdfast_y 4\n";
    let labels = ["a", "b"].map(str::to_owned).into();
    assert_eq!(exposed(text), [("holdfast_x".to_owned(), labels), ("holdfast_y".to_owned(), BTreeSet::new())].into());
}
