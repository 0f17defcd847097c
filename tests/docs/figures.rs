//! What docs/production.md quotes of docs/figures.md is there, and its shares are those of the numbers there.

use crate::pages::page;

const QUOTING: &str = "docs/production.md";
const FIGURES: &str = "docs/figures.md";
/// The table whose shares are quoted, and the row that the way back is in.
const STEPS: &str = "### What a rollout takes, 1,000,000 rows";
const UNDO: &str = "| undo, all rows back, 1,000,000 rows |";

/// The first two numbers of a row.
fn range(row: &str) -> (f64, f64) {
    let cells = row.split('|').skip(2).collect::<Vec<_>>().join(" ");
    let mut numbers = cells.split_whitespace().filter_map(|word| word.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn quoted_figures_are_among_the_measured_ones() {
    let (quoting, figures) = (page(QUOTING).text, page(FIGURES).text);
    let number = regex::Regex::new(r"[0-9]+(\.[0-9]+ (x|s|MiB)| x)\b").unwrap();
    let quoted: Vec<&str> = number.find_iter(&quoting).map(|found| found.as_str()).collect();
    assert!(quoted.len() > 5, "{quoted:?}");
    let known = |quote: &&str| figures.contains(*quote);
    let unknown: Vec<&&str> = quoted.iter().filter(|quote| !known(quote)).collect();
    assert!(unknown.is_empty(), "{QUOTING} quotes what {FIGURES} has not: {unknown:?}");
}

#[test]
fn quoted_shares_are_those_of_the_measured_steps() {
    let (quoting, figures) = (page(QUOTING).text, page(FIGURES).text);
    let table = figures.split(STEPS).nth(1).unwrap().split("\n###").next().unwrap();
    let row = |name: &str| range(table.lines().find(|line| line.starts_with(&format!("| {name} (s) |"))).unwrap());
    let total = row("total");
    let steps =
        ["plan", "counting orphans", "cleanup", "indexes, keys, barrier, proof of each", "proof of all, probes"];
    let undo = range(figures.lines().find(|line| line.starts_with(UNDO)).unwrap());
    for took in steps.into_iter().map(row).chain([undo]) {
        let shares = [took.0 / total.0, took.1 / total.1].map(|share| (100.0 * share).round());
        let (least, most) = (shares[0].min(shares[1]), shares[0].max(shares[1]));
        let text = if least < most { format!("{least} % to {most} %") } else { format!("{least} %") };
        assert!(quoting.contains(&text), "{QUOTING} lacks the share {text} ({took:?} of {total:?})");
    }
}
