//! The parts that are read by people who decide: how it stands, what a deletion takes along, what was found, locks, backup, evidence.

use super::super::markup::Markup;
use super::super::model::{Fact, Report};
use super::super::words::took;
use super::pill;
use crate::plan::render::grouped;

/// Lines of a list that are seen at once; the others are folded up.
const SEEN: usize = 15;

/// A list of names and values. A digest or a path may be broken anywhere.
pub(super) fn facts(html: &mut Markup, facts: &[Fact]) {
    if facts.is_empty() {
        return;
    }
    html.constant("<dl>");
    for fact in facts {
        html.constant("<div>").element("dt", &[], &fact.name).element("dd", &[], &fact.value).constant("</div>");
    }
    html.constant("</dl>");
}

/// A part of a section, or what is said in its place.
fn part(html: &mut Markup, heading: &'static str, found: &[Fact], otherwise: &str) {
    html.element("h3", &[], heading);
    if found.is_empty() {
        html.element("p", &[("class", "none")], otherwise);
    }
    facts(html, found);
}

/// How it stands.
pub(super) fn outcome(html: &mut Markup, report: &Report) {
    let heading = &report.heading;
    html.constant("<section id=\"outcome\"><p class=\"where\">")
        .text(&format!("SchemaMigration in {}", heading.namespace))
        .constant("</p>");
    html.constant("<h1>").text(&heading.name).constant(" ");
    pill(html, heading.word, heading.tone);
    html.constant("</h1>").element("p", &[("class", "sentence")], &heading.outcome);
    if let Some(who) = &heading.waits_for {
        html.element("p", &[("class", "waits")], &format!("Waits for {who}."));
    }
    if !heading.next.is_empty() {
        html.constant("<ul class=\"next\">");
        for command in &heading.next {
            html.constant("<li>").element("code", &[], command).constant("</li>");
        }
        html.constant("</ul>");
    }
    html.constant("<ul class=\"figures\">");
    for figure in &heading.figures {
        html.constant("<li><strong>")
            .text(&figure.value)
            .constant("</strong><span>")
            .text(&figure.name)
            .constant("</span></li>");
    }
    html.constant("</ul>");
    if !report.missing.is_empty() {
        html.constant("<div class=\"missing\"><h3>Not on this page</h3><ul>");
        for what in &report.missing {
            html.element("li", &[], what);
        }
        html.constant("</ul></div>");
    }
    if !report.warnings.is_empty() {
        html.constant("<details class=\"fold\"><summary>")
            .text(&crate::cli::bars::counted(report.warnings.len() as u64, "warning"))
            .constant(" of the plan</summary><ul>");
        for warning in &report.warnings {
            html.element("li", &[], warning);
        }
        html.constant("</ul></details>");
    }
    facts(html, &heading.about);
    if !report.steering.is_empty() {
        html.constant("<h3>Rollback and requests</h3>");
        facts(html, &report.steering);
    }
    html.constant("</section>");
}

/// What a deletion takes along.
pub(super) fn cascades(html: &mut Markup, report: &Report) {
    html.constant("<section id=\"deletions\"><h2>What the deletion of one row takes along at worst</h2>");
    if report.cascades.is_empty() {
        html.constant("<p class=\"none\">No key of the plan deletes rows or sets them to NULL, or there is no plan yet.</p></section>");
        return;
    }
    let most = report.cascades.iter().filter_map(|cascade| cascade.rows).max().unwrap_or(0).max(1);
    let rest = report.cascades.len().saturating_sub(SEEN);
    html.constant("<ol class=\"cascades\">");
    for (place, cascade) in report.cascades.iter().enumerate() {
        if place == SEEN {
            html.constant("</ol><details class=\"fold\"><summary>")
                .text(&crate::cli::bars::counted(rest as u64, "path"))
                .constant(" more</summary><ol class=\"cascades\">");
        }
        html.constant("<li data-row><span class=\"path\">").text(&cascade.tables.join(" → ")).constant("</span>");
        let width = (cascade.rows.unwrap_or(0) * 1_000 / most).to_string();
        html.constant("<svg viewBox=\"0 0 1000 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" x=\"0\" y=\"3\" width=\"1000\" height=\"2\"/>");
        html.empty(
            "rect",
            &[
                ("class", if cascade.sets_null { "reach set-null" } else { "reach cascade" }),
                ("x", "0"),
                ("y", "0"),
                ("width", &width),
                ("height", "8"),
            ],
        );
        let what = if cascade.sets_null { "set to NULL" } else { "deleted" };
        let text = match (cascade.rows, cascade.exact) {
            (Some(rows), true) => format!("{} rows {what}", grouped(rows)),
            (Some(rows), false) => format!("about {} rows {what} (sampled)", grouped(rows)),
            (None, _) => format!("rows {what}, not measured"),
        };
        html.constant("</svg>").element("span", &[("class", "n")], &text).constant("</li>");
    }
    html.constant("</ol>");
    if rest > 0 {
        html.constant("</details>");
    }
    html.constant("</section>");
}

/// What was found before, and how that stands now.
pub(super) fn validation(html: &mut Markup, report: &Report) {
    html.constant("<section id=\"validation\"><h2>Validation before and after, cleanup</h2>");
    let (found, clean): (Vec<_>, Vec<_>) = report.validation.iter().partition(|line| line.before > 0);
    if report.validation.is_empty() {
        html.constant("<p class=\"none\">Nothing was counted yet.</p>");
    } else {
        html.element(
            "p",
            &[("class", "lead")],
            &format!(
                "{} found something, {} found nothing. The rows themselves stay in the database: the plan's forward.sql has a query for each line.",
                crate::cli::bars::counted(found.len() as u64, "check"),
                clean.len()
            ),
        );
        counted(html, &found);
        if !clean.is_empty() {
            html.constant("<details class=\"fold\"><summary>")
                .text(&crate::cli::bars::counted(clean.len() as u64, "check"))
                .constant(" that found nothing</summary>");
            counted(html, &clean);
            html.constant("</details>");
        }
    }
    part(html, "In quarantine", &report.quarantine, "Nothing was cleaned up yet.");
    html.constant("</section>");
}

fn counted(html: &mut Markup, lines: &[&super::super::model::Counted]) {
    if lines.is_empty() {
        return;
    }
    html.constant("<div class=\"wide\"><table><thead><tr><th>Check</th><th class=\"n\">Before</th><th class=\"n\">After</th></tr></thead><tbody>");
    for line in lines {
        html.constant("<tr data-row>").element("td", &[], &line.what).element(
            "td",
            &[("class", "n")],
            &grouped(line.before),
        );
        match line.after {
            Some(after) => html.element("td", &[("class", "n good")], &grouped(after)),
            None => html.constant("<td class=\"n\">not proven yet</td>"),
        };
        html.constant("</tr>");
    }
    html.constant("</tbody></table></div>");
}

/// Limits and locks.
pub(super) fn pressure(html: &mut Markup, report: &Report) {
    html.constant("<section id=\"pressure\"><h2>Locks and what the application felt</h2>");
    facts(html, &report.pressure);
    if !report.has_journal {
        html.constant("<p class=\"note\">What each statement waited for and held is in the journal, which lies in the database beside the data; no database was named when this page was made.</p>");
    }
    html.constant("</section>");
}

/// The backup, the run on its copy, and the tests.
pub(super) fn backup(html: &mut Markup, report: &Report) {
    html.constant("<section id=\"backup\"><h2>Backup, rehearsal and tests</h2>");
    part(html, "Backup", &report.backup, "No backup was begun.");
    part(html, "Rehearsal on the restored copy", &report.rehearsal, "The plan was not rehearsed.");
    if !report.slowest.is_empty() {
        html.constant("<div class=\"wide\"><table><thead><tr><th>Slowest operations of the rehearsal</th><th>Table</th><th>Lock</th><th class=\"n\">Took</th></tr></thead><tbody>");
        for slow in &report.slowest {
            html.constant("<tr data-row>").element("td", &[], &slow.operation).element("td", &[], &slow.table);
            html.element("td", &[], slow.lock.as_deref().unwrap_or_default());
            html.element("td", &[("class", "n")], &took(slow.milliseconds)).constant("</tr>");
        }
        html.constant("</tbody></table></div>");
    }
    part(html, "Tests and Jobs", &report.tests, "No test was run.");
    html.constant("</section>");
}

/// What was proven.
pub(super) fn evidence(html: &mut Markup, report: &Report) {
    html.constant("<section id=\"evidence\"><h2>Evidence</h2>");
    if report.evidence.is_empty() {
        html.constant("<p class=\"none\">No evidence was written: it is written on Complete, with spec.promotion.</p>");
    }
    facts(html, &report.evidence);
    html.constant("</section>");
}
