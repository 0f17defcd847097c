//! The parts that are looked things up in: gates and approvals, conditions and events.

use super::super::markup::Markup;
use super::super::model::Report;
use super::super::words::moment;
use crate::plan::render::grouped;

/// Gates and approvals.
pub(super) fn approvals(html: &mut Markup, report: &Report) {
    html.constant("<section id=\"approvals\"><h2>Gates and approvals</h2>");
    if report.gates.is_empty() {
        html.constant("<p class=\"none\">No gate came up yet.</p>");
    } else {
        html.constant("<div class=\"wide\"><table><thead><tr><th>Before</th><th>State</th><th>Since</th><th>Why</th></tr></thead><tbody>");
        for gate in &report.gates {
            html.constant("<tr>").element("td", &[], &gate.before);
            let (class, word) = if gate.open { ("good", "✓ open") } else { ("waiting", "‖ closed") };
            html.element("td", &[("class", class)], word).element(
                "td",
                &[("class", "t")],
                &gate.since.map(moment).unwrap_or_default(),
            );
            let window = gate.window.as_ref().map(|window| format!("; window: {window}")).unwrap_or_default();
            html.element("td", &[], &format!("{}: {}{window}", gate.reason, gate.message)).constant("</tr>");
        }
        html.constant("</tbody></table></div>");
    }
    html.constant("<h3>Decisions</h3>");
    if report.approvals.is_empty() {
        html.constant("<p class=\"none\">Nobody has decided anything.</p></section>");
        return;
    }
    html.constant("<div class=\"wide\"><table><thead><tr><th>Before</th><th>Decision</th><th>Who</th><th>When</th><th>Why</th></tr></thead><tbody>");
    for approval in &report.approvals {
        html.constant("<tr>").element("td", &[], &approval.before);
        let class = if approval.decision == "Deny" { "bad" } else { "good" };
        html.element("td", &[("class", class)], approval.decision).element("td", &[], &approval.who);
        html.element("td", &[("class", "t")], &approval.at.map(moment).unwrap_or_default());
        let mut why: Vec<String> = approval.why.iter().cloned().collect();
        why.extend(approval.max_rows.map(|rows| format!("cleanup may take {} rows", grouped(rows))));
        if !approval.of_this_plan {
            why.push("of another plan".to_owned());
        }
        if !approval.counted {
            why.push("decides nothing now".to_owned());
        }
        html.element("td", &[], &why.join("; ")).constant("</tr>");
    }
    html.constant("</tbody></table></div></section>");
}

/// Conditions, events, and where the rest is.
pub(super) fn record(html: &mut Markup, report: &Report) {
    html.constant("<section id=\"record\"><h2>Record</h2><details class=\"fold\" id=\"conditions\"><summary>");
    html.text(&crate::cli::bars::counted(report.conditions.len() as u64, "condition")).constant("</summary><div class=\"wide\"><table><thead><tr><th>Condition</th><th>Status</th><th>Reason</th><th>Since</th><th>Message</th></tr></thead><tbody>");
    for condition in &report.conditions {
        let class = match condition.status.as_str() {
            "True" => "good",
            "False" => "bad",
            _ => "waiting",
        };
        html.constant("<tr data-row>").element("td", &[], &condition.name).element(
            "td",
            &[("class", class)],
            &condition.status,
        );
        html.element("td", &[], &condition.reason).element("td", &[("class", "t")], &moment(condition.since));
        html.element("td", &[], &condition.message).constant("</tr>");
    }
    html.constant("</tbody></table></div></details><h3>Events</h3>");
    if report.events.is_empty() {
        html.constant("<p class=\"none\">None: a cluster forgets events after a while, usually an hour.</p>");
    } else {
        html.constant("<div class=\"wide\"><table><thead><tr><th>When</th><th>Reason</th><th>About</th><th>Note</th></tr></thead><tbody>");
        for event in &report.events {
            html.constant("<tr data-row>").element("td", &[("class", "t")], &event.at.map(moment).unwrap_or_default());
            html.element("td", &[("class", if event.warning { "waiting" } else { "" })], &event.reason).element(
                "td",
                &[],
                &event.about,
            );
            let times = if event.times > 1 { format!(" ({} times)", grouped(event.times)) } else { String::new() };
            html.element("td", &[], &format!("{}{times}", event.note)).constant("</tr>");
        }
        html.constant("</tbody></table></div>");
    }
    html.constant("<h3>Journal</h3><p class=\"note\">");
    html.text(if report.has_journal {
        "What it has of each operation is under Operations. "
    } else {
        "It lies in the database beside the data, and no database was named when this page was made. "
    });
    html.constant("It has each statement with its inverse, and the definition of its table before; the runbook says in which tables.</p></section>");
}
