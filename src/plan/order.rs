//! Which of several keys come first, where rows are removed along them.

use std::collections::{BTreeMap, BTreeSet};

use super::identifier::TableName;
use super::input::WantedKey;

/// Orders keys so that those of children come before those of their parents; among equals, and within cycles, by the order of
/// the specification.
pub(crate) fn children_first<'a>(keys: &[&'a WantedKey]) -> Vec<&'a WantedKey> {
    // A key can go once no other table's key that still waits refers to this key's child.
    let refers = |wanted: &WantedKey| wanted.key.parent != wanted.key.child;
    let mut referring: BTreeMap<&TableName, usize> = BTreeMap::new();
    let mut places: BTreeMap<&TableName, Vec<usize>> = BTreeMap::new();
    for (place, wanted) in keys.iter().enumerate() {
        *referring.entry(&wanted.key.parent).or_default() += usize::from(refers(wanted));
        places.entry(&wanted.key.child).or_default().push(place);
    }
    let mut waiting: BTreeSet<usize> = (0..keys.len()).collect();
    let is_free = |place: &usize| referring.get(&keys[*place].key.child).is_none_or(|count| *count == 0);
    let mut free: BTreeSet<usize> = waiting.iter().copied().filter(is_free).collect();
    let mut ordered = Vec::new();
    while let Some(place) = free.pop_first().or_else(|| waiting.first().copied()) {
        waiting.remove(&place);
        let wanted = keys[place];
        ordered.push(wanted);
        if refers(wanted)
            && let Some(count) = referring.get_mut(&wanted.key.parent)
        {
            *count -= 1;
            if *count == 0 {
                let freed = places.get(&wanted.key.parent).into_iter().flatten();
                free.extend(freed.filter(|place| waiting.contains(place)));
            }
        }
    }
    ordered
}
