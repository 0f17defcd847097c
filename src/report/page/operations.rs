//! Every operation of the plan, folded up by the part of the rollout, with what the journal has of it where that was read.

use super::super::markup::Markup;
use super::super::model::{OperationLine, Report};
use super::super::words::{moment, took};
use crate::plan::model::LockClass;
use crate::plan::render::grouped;

/// The section.
pub(super) fn section(html: &mut Markup, report: &Report) {
    html.constant("<section id=\"operations\"><h2>Operations</h2>");
    if report.operations.is_empty() {
        html.constant("<p class=\"none\">The plan has none, or was not read.</p></section>");
        return;
    }
    html.element(
        "p",
        &[("class", "lead")],
        if report.has_journal {
            "In their order. Locks: the longest time that a statement waited for or held them in one try."
        } else {
            "In their order. Rows and times are what was expected: what each one took is in the journal, which was not read."
        },
    );
    let mut rest = report.operations.as_slice();
    while let Some(first) = rest.first() {
        let count = rest.iter().take_while(|operation| operation.part == first.part).count();
        let (part, after) = rest.split_at(count);
        rest = after;
        let done = part.iter().filter(|operation| operation.done).count();
        html.constant("<details class=\"fold\" data-fold><summary>")
            .text(&first.part)
            .constant("<span class=\"sums\">");
        html.element("span", &[], &format!("{done} of {} done", part.len()));
        let spent: u64 = part.iter().filter_map(|operation| operation.journal.as_ref()?.milliseconds).sum();
        let expected = part.iter().map(|operation| operation.estimated).sum();
        let time = if report.has_journal { took(spent) } else { format!("about {}", took(expected)) };
        html.element("span", &[], &time).constant("</span></summary><div class=\"wide\"><table><thead><tr>");
        html.constant("<th></th><th>Operation</th><th>Lock</th><th class=\"n\">Rows</th><th class=\"n\">Expected</th>");
        if report.has_journal {
            html.constant("<th>Began</th><th class=\"n\">Took</th><th class=\"n\">Tries</th><th class=\"n\">Locks</th><th class=\"n\">To quarantine</th>");
        }
        html.constant("</tr></thead><tbody>");
        for operation in part {
            row(html, operation, report.has_journal);
        }
        html.constant("</tbody></table></div></details>");
    }
    html.constant("</section>");
}

fn row(html: &mut Markup, operation: &OperationLine, has_journal: bool) {
    let stage = operation.stage.map(|stage| stage.to_string()).unwrap_or_default();
    html.open("tr", &[("data-row", ""), ("data-s", &stage)]);
    let (class, mark) = if operation.done { ("good", "✓") } else { ("faint", "·") };
    let number = operation.id.split('-').next().unwrap_or_default();
    html.element("td", &[("class", class)], &format!("{mark} {number}"));
    html.element("td", &[("title", &operation.id)], &operation.what);
    let lock = match operation.lock {
        LockClass::Metadata => "Metadata",
        LockClass::OnlineBuild => "Online",
        LockClass::Batched => "Batched",
        LockClass::Copy => "COPY",
    };
    html.element("td", &[("class", if operation.lock == LockClass::Copy { "bad" } else { "" })], lock);
    html.element("td", &[("class", "n")], &grouped(operation.rows));
    let expected = match operation.rehearsed {
        Some(milliseconds) => format!("{} rehearsed", took(milliseconds)),
        None => took(operation.estimated),
    };
    html.element("td", &[("class", "n")], &expected);
    if has_journal {
        taken(html, operation);
    }
    html.constant("</tr>");
}

/// What the journal has of an operation.
fn taken(html: &mut Markup, operation: &OperationLine) {
    let Some(taken) = &operation.journal else {
        html.constant("<td colspan=\"5\">not begun</td>");
        return;
    };
    html.element("td", &[("class", "t")], &moment(taken.began));
    let spent = match (taken.undone, taken.milliseconds) {
        (Some(at), _) => format!("taken back at {}", moment(at)),
        (None, Some(milliseconds)) => format!("{} ms", grouped(milliseconds)),
        (None, None) => "announced, no outcome yet".to_owned(),
    };
    html.element("td", &[("class", "n")], &spent);
    html.element("td", &[("class", "n")], &grouped(u64::from(taken.tries)));
    html.element("td", &[("class", "n")], &format!("{} ms", grouped(taken.locks)));
    html.element("td", &[("class", "n")], &grouped(taken.quarantined));
}
