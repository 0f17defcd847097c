//! How high each item of a column stands.

use std::collections::BTreeMap;

use super::order::{Pairs, beside};
use super::{Item, MARGIN, SWEEPS};

/// The upper edge of each item: as near to the middle of its neighbours as the others leave room.
pub(super) fn tops(columns: &[Vec<Item>], pairs: &Pairs) -> BTreeMap<(usize, Item), i32> {
    let beside = beside(pairs);
    let mut tops: BTreeMap<(usize, Item), i32> = BTreeMap::new();
    for (column, items) in columns.iter().enumerate() {
        let mut top = 0;
        for item in items {
            tops.insert((column, *item), top);
            top += item.height() + item.gap();
        }
    }
    for sweep in 0..SWEEPS {
        let all: Vec<usize> =
            if sweep % 2 == 0 { (0..columns.len()).collect() } else { (0..columns.len()).rev().collect() };
        for column in all {
            let items = &columns[column];
            let wanted: Vec<i32> = items
                .iter()
                .map(|item| {
                    let middle =
                        |column: usize, item: &Item| tops.get(&(column, *item)).map(|top| top + item.height() / 2);
                    let (before, after) = beside.get(&(column, *item)).cloned().unwrap_or_default();
                    let before = before.iter().filter_map(|item| middle(column.checked_sub(1)?, item));
                    let near: Vec<i32> =
                        before.chain(after.iter().filter_map(|item| middle(column + 1, item))).collect();
                    match i32::try_from(near.len()) {
                        Ok(some) if some > 0 => near.iter().sum::<i32>() / some - item.height() / 2,
                        _ => tops.get(&(column, *item)).copied().unwrap_or(0),
                    }
                })
                .collect();
            for (item, top) in items.iter().zip(spread(items, &wanted)) {
                tops.insert((column, *item), top);
            }
        }
    }
    // No higher than the tallest column must be.
    let tall = |items: &Vec<Item>| {
        let gaps = items.iter().zip(items.iter().skip(1)).map(|(above, below)| gap(*above, *below)).sum::<i32>();
        items.iter().map(|item| item.height()).sum::<i32>() + gaps
    };
    let height = columns.iter().map(tall).max().unwrap_or(0);
    for (column, items) in columns.iter().enumerate() {
        let wanted: Vec<i32> = items.iter().map(|item| tops.get(&(column, *item)).copied().unwrap_or(0)).collect();
        for (item, top) in items.iter().zip(within(items, &wanted, height)) {
            tops.insert((column, *item), top + MARGIN);
        }
    }
    tops
}

/// The same heights, moved only as far as they must be to lie between nothing and a height that has room for them.
fn within(items: &[Item], wanted: &[i32], height: i32) -> Vec<i32> {
    let mut tops: Vec<i32> = Vec::with_capacity(items.len());
    let mut free = 0;
    for (place, (item, wanted)) in items.iter().zip(wanted).enumerate() {
        let top = free.max(*wanted);
        tops.push(top);
        free = top + item.height() + items.get(place + 1).map_or(0, |below| gap(*item, *below));
    }
    let mut most = height;
    for (place, item) in items.iter().enumerate().rev() {
        tops[place] = tops[place].min(most - item.height());
        most = tops[place] - place.checked_sub(1).map_or(0, |above| gap(items[above], *item));
    }
    tops
}

/// Heights near to the wanted ones, in order and apart: the mean of pushing all downwards and all upwards, which both are.
fn spread(items: &[Item], wanted: &[i32]) -> Vec<i32> {
    let mut down: Vec<i32> = Vec::with_capacity(items.len());
    for (place, (item, wanted)) in items.iter().zip(wanted).enumerate() {
        let least = place.checked_sub(1).map(|above| down[above] + items[above].height() + gap(items[above], *item));
        down.push(least.map_or(*wanted, |least| least.max(*wanted)));
    }
    let mut up: Vec<i32> = Vec::with_capacity(items.len());
    for (place, (item, wanted)) in items.iter().zip(wanted).enumerate().rev() {
        let below = items.get(place + 1);
        let most = below.zip(up.last()).map(|(below, top)| top - item.height() - gap(*item, *below));
        up.push(most.map_or(*wanted, |most| most.min(*wanted)));
    }
    up.reverse();
    // The sums are at least twice a distance apart, so their halves are still a whole one.
    down.iter().zip(&up).map(|(down, up)| (down + up).div_euclid(2)).collect()
}

fn gap(above: Item, below: Item) -> i32 {
    above.gap().max(below.gap())
}
