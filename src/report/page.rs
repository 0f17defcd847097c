//! The report as one HTML file: everything is in it and nothing is fetched. Complete without JavaScript, which only searches and filters.

mod graph;
mod operations;
mod parts;
mod record;
mod tables;
mod times;

use kube::ResourceExt as _;

use super::build::title_of;
use super::markup::Markup;
use super::model::Report;
use super::security::{LIVE, SCRIPT, STYLE, policy};
use super::words::moment;
use crate::api::SchemaMigration;
use crate::cli::standing::{self, Tone};

/// What becomes of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// It is kept as a file.
    File,
    /// It is served and replaces itself by later ones.
    Live {
        /// What is known of the objects by now: a later page has another one.
        version: &'a str,
    },
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page(pub String);

/// The sections, by the fragments of their addresses.
const SECTIONS: [(&str, &str); 10] = [
    ("#schema", "Schema"),
    ("#deletions", "Deletions"),
    ("#timeline", "Timeline"),
    ("#validation", "Validation"),
    ("#pressure", "Locks"),
    ("#approvals", "Approvals"),
    ("#backup", "Backup"),
    ("#evidence", "Evidence"),
    ("#operations", "Operations"),
    ("#record", "Record"),
];

/// The page of a report.
#[must_use]
pub fn page(report: &Report, kind: Kind<'_>) -> Page {
    let mut html = Markup::default();
    begin(&mut html, &title_of(&report.heading), kind);
    html.constant("<header class=\"top\"><div class=\"bar\"><a class=\"brand\" href=\"#outcome\">Holdfast</a><nav aria-label=\"Sections\">");
    for (address, name) in SECTIONS {
        html.element("a", &[("href", address)], name);
    }
    html.constant("</nav></div>");
    tools(&mut html, report);
    html.constant("</header>");
    open_main(&mut html, kind);
    parts::outcome(&mut html, report);
    graph::section(&mut html, report);
    parts::cascades(&mut html, report);
    times::section(&mut html, report);
    parts::validation(&mut html, report);
    parts::pressure(&mut html, report);
    record::approvals(&mut html, report);
    parts::backup(&mut html, report);
    parts::evidence(&mut html, report);
    operations::section(&mut html, report);
    record::record(&mut html, report);
    html.constant("<footer>");
    html.text(&format!(
        "Made by kubectl holdfast {} at {} UTC. All times are in UTC. Nothing on this page is fetched from elsewhere.",
        env!("CARGO_PKG_VERSION"),
        moment(report.heading.made_at)
    ));
    html.constant("</footer></main>");
    end(html, kind)
}

/// A page with a line for each migration, whose names lead to their pages.
#[must_use]
pub fn list(namespace: &str, migrations: &[SchemaMigration], kind: Kind<'_>) -> Page {
    let mut html = Markup::default();
    begin(&mut html, &format!("Migrations in {namespace}"), kind);
    html.constant("<header class=\"top\"><div class=\"bar\"><span class=\"brand\">Holdfast</span></div></header>");
    open_main(&mut html, kind);
    html.constant("<section id=\"outcome\">").element("h1", &[], &format!("Migrations in {namespace}"));
    if migrations.is_empty() {
        html.element("p", &[], "There is no SchemaMigration in this namespace.");
    } else {
        html.constant("<div class=\"wide\"><table><thead><tr><th>Name</th><th>Stands</th><th>Phase</th><th class=\"n\">Steps</th><th>Now</th></tr></thead><tbody>");
        for migration in migrations {
            let (status, standing) = (standing::status(migration), standing::standing(migration));
            let name = migration.name_any();
            html.constant("<tr data-row><td>").element("a", &[("href", &name)], &name).constant("</td><td>");
            pill(&mut html, standing.word, standing.tone);
            html.constant("</td>").element("td", &[], status.phase.map_or("", crate::api::Phase::as_str));
            html.element("td", &[("class", "n")], &status.steps.map(|steps| steps.progress).unwrap_or_default());
            html.element("td", &[], &standing.now).constant("</tr>");
        }
        html.constant("</tbody></table></div>");
    }
    html.constant("</section></main>");
    end(html, kind)
}

fn begin(html: &mut Markup, title: &str, kind: Kind<'_>) {
    html.constant("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.constant("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    html.constant(
        "<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">",
    );
    html.empty("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy(kind))]);
    if kind != Kind::File {
        html.constant("<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>");
    }
    html.element("title", &[], title);
    html.constant("<style>").constant(STYLE).constant("</style></head><body>");
}

fn open_main(html: &mut Markup, kind: Kind<'_>) {
    match kind {
        Kind::File => html.constant("<main>"),
        Kind::Live { version } => html.open("main", &[("data-version", version)]),
    };
}

fn end(mut html: Markup, kind: Kind<'_>) -> Page {
    if kind != Kind::File {
        html.constant("<p id=\"live\" role=\"status\">Live, read-only</p>");
    }
    html.constant("<script>").constant(SCRIPT).constant("</script>");
    if kind != Kind::File {
        html.constant("<script>").constant(LIVE).constant("</script>");
    }
    html.constant("</body></html>\n");
    Page(html.into_text())
}

/// Search and filters. Hidden until the script that does them runs.
fn tools(html: &mut Markup, report: &Report) {
    html.constant("<div id=\"tools\" hidden><label>Search <input id=\"search\" type=\"search\" placeholder=\"table, key, operation\" autocomplete=\"off\"></label>");
    html.constant("<label>Stage <select id=\"stage\"><option value=\"\">all</option><option value=\"before\">there before</option>");
    for (place, stage) in report.schema.stages.iter().enumerate() {
        html.element("option", &[("value", &place.to_string())], stage);
    }
    html.constant("</select></label><label>On delete <select id=\"action\"><option value=\"\">all</option>");
    html.constant("<option value=\"cascade\">Cascade</option><option value=\"set-null\">Set NULL</option><option value=\"refuse\">Restrict</option>");
    html.constant("</select></label><output id=\"count\"></output></div>");
}

/// Where a migration stands, in its colour and with a mark that needs none.
fn pill(html: &mut Markup, word: &str, tone: Tone) {
    let (class, mark) = match tone {
        Tone::Good => ("pill good", "✓"),
        Tone::Working => ("pill working", "▸"),
        Tone::Waiting => ("pill waiting", "‖"),
        Tone::Bad => ("pill bad", "✗"),
    };
    html.element("span", &[("class", class)], &format!("{mark} {word}"));
}
