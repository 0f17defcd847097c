//! Which tables stand in which column, and in what order.

use std::collections::{BTreeMap, BTreeSet};

use super::{Item, LONGEST_COLUMN, Line, SWEEPS};

/// The column of each table.
pub(super) fn columns(connected: &BTreeSet<usize>, lines: &[Line]) -> BTreeMap<usize, usize> {
    let mut parents: BTreeMap<usize, BTreeSet<usize>> =
        connected.iter().map(|table| (*table, BTreeSet::new())).collect();
    let mut children: BTreeMap<usize, BTreeSet<usize>> = parents.clone();
    for line in lines.iter().filter(|line| line.child != line.parent) {
        parents.entry(line.child).or_default().insert(line.parent);
        children.entry(line.parent).or_default().insert(line.child);
    }
    let of = |related: &BTreeMap<usize, BTreeSet<usize>>, table: usize| related.get(&table).map_or(0, BTreeSet::len);
    let mut column_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut column = 0;
    while column_of.len() < connected.len() {
        let open = || connected.iter().copied().filter(|table| !column_of.contains_key(table));
        let is_ready = |table: &usize| {
            parents.get(table).is_none_or(|own| own.iter().all(|parent| column_of.contains_key(parent)))
        };
        let mut ready: Vec<usize> = open().filter(is_ready).collect();
        if ready.is_empty() {
            // Keys go round in a circle: the table that most others refer to stands before them.
            ready.extend(open().max_by_key(|table| (of(&children, *table), std::cmp::Reverse(*table))));
        }
        let first_parent = |table: usize| parents.get(&table).and_then(|own| own.first().copied());
        ready.sort_by_key(|table| (of(&children, *table) == 0, first_parent(*table), *table));
        for part in ready.chunks(LONGEST_COLUMN) {
            column_of.extend(part.iter().map(|table| (*table, column)));
            column += 1;
        }
    }
    // A table that refers to none stands just before the first one that refers to it.
    let beginnings: Vec<usize> = connected.iter().copied().filter(|table| of(&parents, *table) == 0).collect();
    for table in beginnings {
        let nearest = children.get(&table).into_iter().flatten().filter_map(|child| column_of.get(child)).min();
        let room = |column: usize| column_of.values().filter(|other| **other == column).count() < LONGEST_COLUMN;
        if let Some(column) = nearest.copied().and_then(|nearest| nearest.checked_sub(1)).filter(|column| room(*column))
        {
            column_of.insert(table, column);
        }
    }
    column_of
}

/// What stands in each column.
pub(super) fn filled(column_of: &BTreeMap<usize, usize>, lines: &[Line]) -> Vec<Vec<Item>> {
    let count = column_of.values().max().map_or(0, |last| last + 1);
    let mut columns: Vec<BTreeSet<Item>> = vec![BTreeSet::new(); count];
    for (table, column) in column_of {
        columns[*column].insert(Item::Table(*table));
    }
    for line in lines {
        for column in crossed(column_of, line.child, line.parent) {
            columns[column].insert(Item::Strand(line.strand));
        }
    }
    columns.into_iter().map(|column| column.into_iter().collect()).collect()
}

/// The columns between a parent and its child.
pub(super) fn crossed(column_of: &BTreeMap<usize, usize>, child: usize, parent: usize) -> std::ops::Range<usize> {
    match (column_of.get(&parent), column_of.get(&child)) {
        (Some(parent), Some(child)) => parent + 1..(*child).max(parent + 1),
        _ => 0..0,
    }
}

/// Who stands beside whom: pairs of an item with its column, from the parent's side to the child's.
pub(super) type Pairs = BTreeSet<((usize, Item), (usize, Item))>;

pub(super) fn neighbours(column_of: &BTreeMap<usize, usize>, lines: &[Line]) -> Pairs {
    let mut pairs = BTreeSet::new();
    for line in lines {
        let (Some(from), Some(to)) = (column_of.get(&line.parent), column_of.get(&line.child)) else { continue };
        let mut last = (*from, Item::Table(line.parent));
        for column in crossed(column_of, line.child, line.parent) {
            let next = (column, Item::Strand(line.strand));
            pairs.insert((last, next));
            last = next;
        }
        if to > from {
            pairs.insert((last, (*to, Item::Table(line.child))));
        }
    }
    pairs
}

/// For each item its neighbours in the column before and in the one after.
pub(super) type Beside = BTreeMap<(usize, Item), (Vec<Item>, Vec<Item>)>;

pub(super) fn beside(pairs: &Pairs) -> Beside {
    let mut beside: Beside = BTreeMap::new();
    for (one, other) in pairs {
        beside.entry(*one).or_default().1.push(other.1);
        beside.entry(*other).or_default().0.push(one.1);
    }
    beside
}

/// Orders each column by the middle of its neighbours, from both sides in turn, so that few lines cross.
pub(super) fn order(columns: &mut [Vec<Item>], pairs: &Pairs) {
    let beside = beside(pairs);
    for sweep in 0..SWEEPS {
        let rightwards = sweep % 2 == 0;
        let all: Vec<usize> =
            if rightwards { (0..columns.len()).collect() } else { (0..columns.len()).rev().collect() };
        for column in all {
            let other = if rightwards { column.checked_sub(1) } else { Some(column + 1) };
            let Some(other) = other.and_then(|other| columns.get(other)) else { continue };
            let places: BTreeMap<Item, usize> = other.iter().enumerate().map(|(place, item)| (*item, place)).collect();
            let length = other.len().max(1);
            let own = columns[column].len().max(1);
            let middle = |(place, item): (usize, Item)| -> (usize, usize, Item) {
                let sides = beside.get(&(column, item));
                let near = sides.map(|(before, after)| if rightwards { before } else { after });
                let near: Vec<usize> =
                    near.into_iter().flatten().filter_map(|item| places.get(item).copied()).collect();
                // In thousandths of the column, so that what has no neighbour there keeps its height.
                let middle = match near.len() {
                    0 => place * 1_000 / own,
                    some => near.iter().sum::<usize>() * 1_000 / (some * length),
                };
                (middle, place, item)
            };
            let mut sorted: Vec<(usize, usize, Item)> =
                columns[column].iter().copied().enumerate().map(middle).collect();
            sorted.sort();
            columns[column] = sorted.into_iter().map(|(_, _, item)| item).collect();
        }
    }
}
