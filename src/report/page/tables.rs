//! The tables as a list: each with what it refers to and what refers to it, folded up. For schemas whose picture is too large to be read,
//! and for everybody who looks for one table.

use super::super::markup::Markup;
use super::super::model::{Key, KeyState, Report};
use super::graph::{action, stage_of};
use crate::plan::render::grouped;

/// The list.
pub(super) fn list(html: &mut Markup, report: &Report) {
    let schema = &report.schema;
    let mut order: Vec<usize> = (0..schema.tables.len()).collect();
    order.sort_by(|one, other| schema.tables[*one].name.cmp(&schema.tables[*other].name));
    html.constant("<h3>Tables</h3><div class=\"tables\">");
    for place in order {
        let table = &schema.tables[place];
        let refers: Vec<&Key> = schema.keys.iter().filter(|key| key.child == place).collect();
        let referred: Vec<&Key> = schema.keys.iter().filter(|key| key.parent == place).collect();
        let (id, number) = (format!("t{place}"), place.to_string());
        html.open("details", &[("id", &id), ("data-t", &number)]);
        html.constant("<summary>").element("code", &[], &table.name).constant("<span class=\"sums\">");
        html.element("span", &[], &format!("→ {}", refers.len()));
        html.element("span", &[], &format!("← {}", referred.len()));
        if let Some(rows) = table.takes_along.filter(|rows| *rows > 0) {
            html.element("span", &[("class", "reach")], &format!("takes {}", grouped(rows)));
        }
        html.constant("</span></summary>");
        if !table.changes.is_empty() {
            html.element("p", &[("class", "note")], &format!("Also: {}.", table.changes.join("; ")));
        }
        keys(html, report, "Refers to", &refers, |key| key.parent);
        keys(html, report, "Referred to by", &referred, |key| key.child);
        html.constant("</details>");
    }
    html.constant("</div>");
}

fn keys(html: &mut Markup, report: &Report, heading: &'static str, keys: &[&Key], other: fn(&Key) -> usize) {
    if keys.is_empty() {
        return;
    }
    html.element("h4", &[], heading).constant("<ul class=\"keys\">");
    for key in keys {
        let place = other(key);
        let name = report.schema.tables.get(place).map(|table| table.name.as_str()).unwrap_or_default();
        html.open("li", &[("data-k", &key.name), ("data-s", &stage_of(key)), ("data-a", action(key.on_delete))]);
        html.element("a", &[("href", &format!("#t{place}"))], name);
        html.constant(" ").element(
            "code",
            &[],
            &format!("{} → {}", key.columns.join(", "), key.parent_columns.join(", ")),
        );
        html.constant(" ").element(
            "span",
            &[("class", &format!("chip {}", action(key.on_delete)))],
            key.on_delete.sql(),
        );
        html.constant(" ").element("span", &[("class", "by")], &format!("{}, {}", key.name, standing(report, key)));
        html.constant("</li>");
    }
    html.constant("</ul>");
}

/// How a key came and how it stands.
pub(super) fn standing(report: &Report, key: &Key) -> String {
    let stage = key.stage.and_then(|stage| report.schema.stages.get(stage)).map(|stage| format!("stage {stage}: "));
    let state = match key.state {
        KeyState::There => "there before",
        KeyState::Adopted => "there before, and proven",
        KeyState::Planned => "planned",
        KeyState::InWork => "its stage is at work",
        KeyState::Proven => "there and proven",
        KeyState::Failed => "its stage failed",
        KeyState::TakenBack => "taken back",
    };
    format!("{}{state}", stage.unwrap_or_default())
}
