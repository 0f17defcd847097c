//! Where the tables of the picture stand and how its lines run: in columns, a table always to the right of those that it refers to. The
//! same schema gives the same picture. Lines that cross a column go through a place of their own there, which all lines of one
//! kind to the same table share; so a table that everything refers to has a few lines across a column, not fifty.

mod heights;
mod order;

use std::collections::{BTreeMap, BTreeSet};

use heights::tops;
use order::{columns, crossed, filled, neighbours, order};

/// Height of a table's box.
pub(super) const BOX: i32 = 26;
/// Tables of one column; more go on in the next one.
const LONGEST_COLUMN: usize = 26;
const BOX_GAP: i32 = 12;
const STRAND: i32 = 4;
const STRAND_GAP: i32 = 6;
const COLUMN_GAP: i32 = 76;
const MARGIN: i32 = 14;
/// Width of a character of a name, and what stands around it.
const CHARACTER: i32 = 7;
const PADDING: i32 = 22;
/// How often columns are ordered by their neighbours.
const SWEEPS: usize = 8;
/// How far a line swings out that ends in the column where it begins.
const SWING: i32 = 34;

/// A box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
}

/// The picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) width: i32,
    pub(super) height: i32,
    /// The boxes; none for a table without keys.
    pub(super) places: Vec<Option<Place>>,
    /// The lines as SVG paths, which begin at the child.
    pub(super) lines: Vec<String>,
    /// Where each of them begins.
    pub(super) ends: Vec<(i32, i32)>,
}

/// A line from a child to its parent. Lines of one strand run together where they cross a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) child: usize,
    pub(super) parent: usize,
    /// Lines to one parent that look alike have the same number, others another one.
    pub(super) strand: usize,
}

/// What stands in a column: a table, or a strand of lines that cross it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Table(usize),
    Strand(usize),
}

impl Item {
    const fn height(self) -> i32 {
        match self {
            Self::Table(_) => BOX,
            Self::Strand(_) => STRAND,
        }
    }

    const fn gap(self) -> i32 {
        match self {
            Self::Table(_) => BOX_GAP,
            Self::Strand(_) => STRAND_GAP,
        }
    }
}

/// Lays out tables, by the lengths of their names in characters, and lines from child to parent.
pub(super) fn layout(names: &[usize], lines: &[Line]) -> Layout {
    let connected: BTreeSet<usize> = lines.iter().flat_map(|line| [line.child, line.parent]).collect();
    let column_of = columns(&connected, lines);
    let mut columns = filled(&column_of, lines);
    let next = neighbours(&column_of, lines);
    order(&mut columns, &next);
    let tops = tops(&columns, &next);
    drawn(names, lines, &columns, &column_of, &tops)
}

/// The boxes and the lines.
fn drawn(
    names: &[usize],
    lines: &[Line],
    columns: &[Vec<Item>],
    column_of: &BTreeMap<usize, usize>,
    tops: &BTreeMap<(usize, Item), i32>,
) -> Layout {
    let width_of = |table: usize| {
        let letters = names.get(table).copied().unwrap_or(0);
        i32::try_from(letters).unwrap_or(i32::MAX / CHARACTER).saturating_mul(CHARACTER).saturating_add(PADDING)
    };
    let mut edges: Vec<(i32, i32)> = Vec::new();
    let mut x = MARGIN;
    for items in columns {
        let widest = items.iter().map(|item| match item {
            Item::Table(table) => width_of(*table),
            Item::Strand(_) => 0,
        });
        let width = widest.max().unwrap_or(0);
        edges.push((x, x + width));
        x += width + COLUMN_GAP;
    }
    let mut places = vec![None; names.len()];
    for (column, items) in columns.iter().enumerate() {
        for item in items {
            if let (Item::Table(table), Some(y)) = (item, tops.get(&(column, *item)))
                && let Some(place) = places.get_mut(*table)
            {
                *place = Some(Place { x: edges[column].0, y: *y, width: edges[column].1 - edges[column].0 });
            }
        }
    }
    let pen = Pen { lines, edges: &edges, column_of, tops, places: &places };
    let (drawn, ends) = (0..lines.len()).map(|line| pen.line(line)).unzip();
    let bottom = tops.iter().map(|((_, item), top)| top + item.height()).max().unwrap_or(0);
    Layout { width: x - COLUMN_GAP + MARGIN + SWING, height: bottom + MARGIN, places, lines: drawn, ends }
}

/// What lines are drawn with.
struct Pen<'a> {
    lines: &'a [Line],
    edges: &'a [(i32, i32)],
    column_of: &'a BTreeMap<usize, usize>,
    tops: &'a BTreeMap<(usize, Item), i32>,
    places: &'a [Option<Place>],
}

impl Pen<'_> {
    fn line(&self, line: usize) -> (String, (i32, i32)) {
        let Line { child, parent, strand } = self.lines[line];
        let place = |table: usize| self.places.get(table).copied().flatten();
        let (Some(from), Some(to)) = (place(child), place(parent)) else { return (String::new(), (0, 0)) };
        let (start, end) = (from.y + self.port(line), to.y + BOX / 2);
        let (before, after) = (from.x, to.x + to.width);
        if child == parent || from.x == to.x {
            // Out at the right side and back into it.
            let (right, lower) = (from.x + from.width, if child == parent { end + 6 } else { end });
            let start = if child == parent { end - 6 } else { start };
            let out = right + SWING;
            return (format!("M{right} {start}C{out} {start} {out} {lower} {right} {lower}"), (right, start));
        }
        if from.x < to.x {
            // Against the order of the columns, which a circle of keys makes.
            let (begin, middle) = (from.x + from.width, (from.x + from.width + to.x) / 2);
            return (format!("M{begin} {start}C{middle} {start} {middle} {end} {} {end}", to.x), (begin, start));
        }
        let mut path = format!("M{before} {start}");
        let (mut x, mut y) = (before, start);
        for column in crossed(self.column_of, child, parent).rev() {
            let (left, right) = self.edges[column];
            let height = self.tops.get(&(column, Item::Strand(strand))).map_or(y, |top| top + STRAND / 2);
            path.push_str(&curve(x, y, right, height));
            path.push_str(&format!("H{left}"));
            (x, y) = (left, height);
        }
        path.push_str(&curve(x, y, after, end));
        (path, (before, start))
    }

    /// How far below the upper edge of the child's box a line begins: its lines share the edge.
    fn port(&self, line: usize) -> i32 {
        let child = self.lines[line].child;
        let own: Vec<usize> = (0..self.lines.len()).filter(|other| self.lines[*other].child == child).collect();
        let place = own.iter().position(|other| *other == line).unwrap_or(0);
        let (place, count) = (i32::try_from(place).unwrap_or(0), i32::try_from(own.len()).unwrap_or(1));
        (place + 1) * BOX / (count + 1)
    }
}

fn curve(x: i32, y: i32, to_x: i32, to_y: i32) -> String {
    let middle = (x + to_x) / 2;
    format!("C{middle} {y} {middle} {to_y} {to_x} {to_y}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(layout: &Layout) -> Vec<Place> {
        layout.places.iter().flatten().copied().collect()
    }

    fn line((child, parent): (usize, usize)) -> Line {
        Line { child, parent, strand: parent }
    }

    #[test]
    fn a_table_stands_right_of_those_that_it_refers_to_and_none_covers_another() {
        // 0 is referred to by everything, 2 by 3, and 3 and 4 refer to each other.
        let lines: Vec<Line> =
            (1..60).map(|child| (child, 0)).chain([(3, 2), (4, 3), (3, 4), (5, 5)]).map(line).collect();
        let names: Vec<usize> = (0..61).map(|table| 4 + table % 20).collect();
        let layout = layout(&names, &lines);
        assert!(layout.places[60].is_none(), "a table without keys is not in the picture");
        let x = |table: usize| layout.places[table].map(|place| place.x);
        assert!((1..60).all(|child| x(child) > x(0)));
        assert!(x(3) > x(2));
        let boxes = boxes(&layout);
        for (place, one) in boxes.iter().enumerate() {
            assert!(one.x >= 0 && one.y >= 0 && one.x + one.width <= layout.width && one.y + BOX <= layout.height);
            for other in &boxes[place + 1..] {
                let apart =
                    (one.y - other.y).abs() >= BOX || one.x + one.width <= other.x || other.x + other.width <= one.x;
                assert!(apart, "{one:?} {other:?}");
            }
        }
        assert!(layout.lines.iter().all(|line| line.starts_with('M')), "{:?}", layout.lines);
        let columns: BTreeSet<i32> = boxes.iter().map(|place| place.x).collect();
        let tallest = columns.iter().map(|x| boxes.iter().filter(|place| place.x == *x).count()).max();
        assert!(tallest <= Some(LONGEST_COLUMN), "{tallest:?}");
    }

    #[test]
    fn the_same_schema_gives_the_same_picture_and_nothing_gives_an_empty_one() {
        let lines = [(1, 0), (2, 1), (2, 0), (3, 0)].map(line);
        assert_eq!(layout(&[5, 5, 5, 5], &lines), layout(&[5, 5, 5, 5], &lines));
        assert_eq!(layout(&[5], &[]).lines, Vec::<String>::new());
    }
}
