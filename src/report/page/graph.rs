//! The schema as a picture: tables as boxes, keys as lines from child to parent. The picture before is the one after without what the
//! migration adds, so that nothing moves between the two; which one is seen is chosen without JavaScript.

use super::super::layout::{BOX, Line, layout};
use super::super::markup::Markup;
use super::super::model::{Key, KeyState, Report};
use super::tables;
use crate::plan::catalogue::ReferentialAction;
use crate::plan::render::grouped;

/// Characters of a table's name that are written into its box.
const LONGEST_NAME: usize = 30;
/// Tables of a schema whose picture is shown whole at once.
const FITS: usize = 40;

/// The section: picture, legend and the list of tables.
pub(super) fn section(html: &mut Markup, report: &Report) {
    let schema = &report.schema;
    let added = schema.keys.iter().filter(|key| key.stage.is_some()).count();
    let before = schema.keys.len() - added;
    html.constant("<section id=\"schema\"><h2>Schema before and after</h2>");
    let count = |number: usize, noun: &str| crate::cli::bars::counted(number as u64, noun);
    html.element(
        "p",
        &[("class", "lead")],
        &format!(
            "{}: {} there before, {} added. Source: {}.",
            count(schema.tables.len(), "table"),
            count(before, "key"),
            added,
            schema.source
        ),
    );
    if !schema.keys.is_empty() {
        html.constant("<div class=\"picture\">");
        html.constant(
            "<input type=\"radio\" name=\"view\" id=\"view-before\"><label for=\"view-before\">Before</label>",
        );
        html.constant(
            "<input type=\"radio\" name=\"view\" id=\"view-after\" checked><label for=\"view-after\">After</label>",
        );
        legend(html);
        picture(html, report);
        html.constant("</div>");
        let without = schema.tables.len() - connected(&schema.keys);
        if without > 0 {
            html.element(
                "p",
                &[("class", "note")],
                &format!("Not in the picture: {} without a key.", count(without, "table")),
            );
        }
    }
    tables::list(html, report);
    html.constant("</section>");
}

fn connected(keys: &[Key]) -> usize {
    keys.iter().flat_map(|key| [key.child, key.parent]).collect::<std::collections::BTreeSet<_>>().len()
}

fn legend(html: &mut Markup) {
    html.constant("<ul class=\"legend\" aria-label=\"Legend\">");
    for (class, text) in [
        ("e cascade", "Cascade"),
        ("e set-null", "Set NULL"),
        ("e refuse", "Restrict"),
        ("e cascade hot", "on a far-reaching deletion"),
        ("e refuse old", "there before"),
    ] {
        html.constant("<li><svg viewBox=\"0 0 40 12\" width=\"40\" height=\"12\" aria-hidden=\"true\">");
        html.empty("path", &[("class", class), ("d", "M4 6H40")]);
        html.empty("circle", &[("class", class), ("cx", "4"), ("cy", "6"), ("r", "3")]);
        html.constant("</svg>").text(text).constant("</li>");
    }
    html.constant("<li>A line begins with a dot at the child and ends at the table that it refers to.</li></ul>");
}

fn picture(html: &mut Markup, report: &Report) {
    let schema = &report.schema;
    let shown: Vec<String> = schema.tables.iter().map(|table| cut(&table.name)).collect();
    let lengths: Vec<usize> = schema
        .tables
        .iter()
        .map(|table| cut(&table.name).chars().count() + badge(table.takes_along).map_or(0, |badge| badge.len() + 2))
        .collect();
    let kind = |key: &Key| match key.on_delete {
        ReferentialAction::Cascade => 0,
        ReferentialAction::SetNull => 1,
        ReferentialAction::Restrict | ReferentialAction::NoAction => 2,
    };
    let line = |key: &Key| Line { child: key.child, parent: key.parent, strand: key.parent * 3 + kind(key) };
    let lines: Vec<Line> = schema.keys.iter().map(line).collect();
    let drawn = layout(&lengths, &lines);
    let (width, height) = (drawn.width.to_string(), drawn.height.to_string());
    let class = if schema.tables.len() > FITS { "canvas large" } else { "canvas" };
    html.open(
        "div",
        &[("class", class), ("tabindex", "0"), ("role", "region"), ("aria-label", "Picture of the schema")],
    );
    let view = format!("0 0 {width} {height}");
    html.open(
        "svg",
        &[
            ("class", "graph"),
            ("viewBox", &view),
            ("width", &width),
            ("height", &height),
            ("role", "img"),
            ("aria-label", "Tables and foreign keys"),
        ],
    );
    // What stands out is drawn last, over the rest.
    let mut order: Vec<usize> = (0..schema.keys.len()).collect();
    order.sort_by_key(|place| (schema.keys[*place].hot, schema.keys[*place].stage.is_some()));
    for place in order {
        let (key, line, (x, y)) = (&schema.keys[place], &drawn.lines[place], drawn.ends[place]);
        let class = class_of(key);
        let (child, parent, stage) = (key.child.to_string(), key.parent.to_string(), stage_of(key));
        html.open(
            "g",
            &[
                ("class", class.as_str()),
                ("data-k", &key.name),
                ("data-c", &child),
                ("data-p", &parent),
                ("data-s", &stage),
                ("data-a", action(key.on_delete)),
            ],
        );
        html.element("title", &[], &told(report, key));
        html.empty("path", &[("d", line)]);
        html.empty("circle", &[("cx", &x.to_string()), ("cy", &y.to_string()), ("r", "3")]);
        html.close("g");
    }
    for (place, table) in schema.tables.iter().enumerate() {
        let Some(at) = drawn.places.get(place).copied().flatten() else { continue };
        let (address, number) = (format!("#t{place}"), place.to_string());
        html.open("a", &[("href", &address), ("class", "node"), ("data-t", &number)]);
        html.element("title", &[], &table.name);
        let (x, y, width) = (at.x.to_string(), at.y.to_string(), at.width.to_string());
        html.empty("rect", &[("x", &x), ("y", &y), ("width", &width), ("height", &BOX.to_string()), ("rx", "5")]);
        let base = (at.y + 17).to_string();
        html.element("text", &[("x", &(at.x + 11).to_string()), ("y", &base)], &shown[place]);
        if let Some(badge) = badge(table.takes_along) {
            let right = (at.x + at.width - 10).to_string();
            html.element("text", &[("x", &right), ("y", &base), ("class", "reach"), ("text-anchor", "end")], &badge);
        }
        html.close("a");
    }
    html.constant("</svg></div>");
}

/// What the worst deletion takes along, in a few characters.
fn badge(rows: Option<u64>) -> Option<String> {
    match rows? {
        0 => None,
        rows @ 1..1_000_000 => Some(grouped(rows)),
        rows => Some(format!("{}M", grouped(rows / 1_000_000))),
    }
}

fn cut(name: &str) -> String {
    crate::cli::bars::cut(name, LONGEST_NAME)
}

fn class_of(key: &Key) -> String {
    let hot = if key.hot { " hot" } else { "" };
    let age = if key.stage.is_some() { "new" } else { "old" };
    let state = match key.state {
        KeyState::Planned | KeyState::InWork => " planned",
        KeyState::TakenBack | KeyState::Failed => " absent",
        KeyState::There | KeyState::Adopted | KeyState::Proven => "",
    };
    format!("e {} {age}{hot}{state}", action(key.on_delete))
}

/// The name of an action in classes and filters. RESTRICT and NO ACTION do the same.
pub(super) const fn action(action: ReferentialAction) -> &'static str {
    match action {
        ReferentialAction::Cascade => "cascade",
        ReferentialAction::SetNull => "set-null",
        ReferentialAction::Restrict | ReferentialAction::NoAction => "refuse",
    }
}

/// The stage of a key as the filter names it.
pub(super) fn stage_of(key: &Key) -> String {
    key.stage.map_or_else(|| "before".to_owned(), |stage| stage.to_string())
}

/// A key in a line.
fn told(report: &Report, key: &Key) -> String {
    let table = |place: usize| report.schema.tables.get(place).map(|table| table.name.as_str()).unwrap_or_default();
    format!(
        "{}: {} ({}) refers to {} ({}), ON DELETE {}; {}",
        key.name,
        table(key.child),
        key.columns.join(", "),
        table(key.parent),
        key.parent_columns.join(", "),
        key.on_delete.sql(),
        tables::standing(report, key)
    )
}
