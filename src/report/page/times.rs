//! The timeline: a bar for each phase and stage on one scale, with what it waited for. A wait of a night would leave nothing to be seen of
//! the work, so long waits are drawn shorter, and that is said.

use jiff::Timestamp;

use super::super::markup::Markup;
use super::super::model::{Entry, Report};
use super::super::words::{moment, took};
use crate::cli::board::State;
use crate::cli::standing::elapsed;

/// Length of the scale.
const SCALE: u64 = 1_000;
/// Of all the work, a wait is drawn no longer than one part in so many.
const LONGEST_WAIT: u64 = 6;

/// The section.
pub(super) fn section(html: &mut Markup, report: &Report) {
    html.constant("<section id=\"timeline\"><h2>Timeline</h2>");
    let entries = &report.timeline.entries;
    if entries.is_empty() {
        html.element("p", &[("class", "lead")], "No phase has begun.").constant("</section>");
        return;
    }
    let scale = Scale::of(entries);
    let (from, to) = (entries.iter().map(|entry| entry.started).min(), entries.iter().map(|entry| entry.until).max());
    if let (Some(from), Some(to)) = (from, to) {
        let shortened = if scale.shortened { ", long waits drawn shorter" } else { "" };
        html.element(
            "p",
            &[("class", "lead")],
            &format!(
                "{} to {} UTC, {} in all. Waits are hatched{shortened}.",
                moment(from),
                moment(to),
                took(elapsed(from, to))
            ),
        );
    }
    html.constant("<svg class=\"defs\" aria-hidden=\"true\"><defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">");
    html.constant("<rect class=\"hatch\" width=\"3\" height=\"6\"/></pattern></defs></svg>");
    html.constant(
        "<div class=\"times\" role=\"table\" aria-label=\"Phases and stages\"><div class=\"time head\" role=\"row\">",
    );
    for heading in ["Phase", "When", "Took", "Expected"] {
        html.element("span", &[("role", "columnheader")], heading);
    }
    html.constant("</div>");
    for entry in entries {
        row(html, entry, &scale);
    }
    html.constant("</div></section>");
}

fn row(html: &mut Markup, entry: &Entry, scale: &Scale) {
    let class = match (entry.is_stage, entry.state) {
        (true, _) => "time stage",
        (false, State::Skipped) => "time skipped",
        (false, _) => "time",
    };
    html.open("div", &[("class", class), ("role", "row")]);
    let (mark, tone) = mark(entry.state);
    html.open("span", &[("class", "what"), ("role", "cell")]);
    html.element("span", &[("class", tone), ("aria-hidden", "true")], mark)
        .constant(" ")
        .text(&entry.name)
        .constant("</span>");
    html.open("span", &[("class", "when"), ("role", "cell")]);
    let said = format!("{} to {} UTC", moment(entry.started), moment(entry.until));
    html.open(
        "svg",
        &[("viewBox", "0 0 1000 14"), ("preserveAspectRatio", "none"), ("role", "img"), ("aria-label", &said)],
    );
    html.element("title", &[], &said);
    html.constant("<rect class=\"track\" x=\"0\" y=\"6\" width=\"1000\" height=\"2\"/>");
    bar(html, &format!("bar {tone}"), scale.at(entry.started), scale.at(entry.until));
    for wait in &entry.waits {
        bar(html, "bar wait", scale.at(wait.from), scale.at(wait.to));
    }
    html.constant("</svg></span>");
    let skipped = entry.state == State::Skipped;
    let spent = if skipped { "skipped".to_owned() } else { took(elapsed(entry.started, entry.until)) };
    html.element(
        "span",
        &[("class", "n"), ("role", "cell")],
        &if entry.ended { spent } else { format!("{spent} so far") },
    );
    let expected = match (entry.rehearsed, entry.estimated) {
        (Some(milliseconds), _) => format!("{} rehearsed", took(milliseconds)),
        (None, Some(milliseconds)) => format!("about {}", took(milliseconds)),
        (None, None) => String::new(),
    };
    html.element("span", &[("class", "n"), ("role", "cell")], &expected);
    let remarks: Vec<&str> = entry
        .writers_waited
        .then_some("writers of a copied table waited")
        .into_iter()
        .chain((!entry.remark.is_empty()).then_some(entry.remark.as_str()))
        .collect();
    if !remarks.is_empty() || !entry.waits.is_empty() {
        html.open("span", &[("class", "remark"), ("role", "cell")]);
        for wait in &entry.waits {
            let text = format!("waited {} for {}", took(elapsed(wait.from, wait.to)), wait.what);
            html.element("span", &[("class", "waits")], &text);
            if !remarks.is_empty() {
                html.constant("; ");
            }
        }
        html.text(&remarks.join("; ")).constant("</span>");
    }
    html.constant("</div>");
}

fn bar(html: &mut Markup, class: &str, from: u64, to: u64) {
    // What took no time is still seen.
    let from = from.min(SCALE - 3);
    let (x, width) = (from.to_string(), to.saturating_sub(from).max(3).to_string());
    html.empty("rect", &[("class", class), ("x", &x), ("y", "1"), ("width", &width), ("height", "12")]);
}

const fn mark(state: State) -> (&'static str, &'static str) {
    let tone = match state {
        State::Done => "good",
        State::Working => "working",
        State::Waiting | State::TakenBack => "waiting",
        State::Failed => "bad",
        State::Pending | State::Skipped => "faint",
    };
    (state.mark(), tone)
}

/// Moments on the line.
struct Scale {
    /// Beginnings of stretches with the length drawn before each, in milliseconds, and how much of a stretch is drawn, in thousandths.
    stretches: Vec<(Timestamp, u64, u64)>,
    whole: u64,
    shortened: bool,
}

impl Scale {
    fn of(entries: &[Entry]) -> Self {
        let mut moments: Vec<Timestamp> = entries.iter().flat_map(|entry| [entry.started, entry.until]).collect();
        moments.extend(entries.iter().flat_map(|entry| &entry.waits).flat_map(|wait| [wait.from, wait.to]));
        moments.sort();
        moments.dedup();
        // Between two moments everything either waits or works; where nothing is known to go on, it waits.
        let waits = |from: Timestamp, to: Timestamp| {
            let waited = entries.iter().flat_map(|entry| &entry.waits).any(|wait| wait.from <= from && to <= wait.to);
            waited || !entries.iter().any(|entry| entry.started <= from && to <= entry.until)
        };
        let pairs = || moments.iter().copied().zip(moments.iter().copied().skip(1));
        let worked: u64 = pairs().filter(|(from, to)| !waits(*from, *to)).map(|(from, to)| elapsed(from, to)).sum();
        let longest = (worked / LONGEST_WAIT).max(1);
        let (mut stretches, mut drawn, mut shortened) = (Vec::new(), 0, false);
        for (from, to) in pairs() {
            let long = elapsed(from, to);
            let shown = if waits(from, to) && worked > 0 { long.min(longest) } else { long };
            shortened |= shown < long;
            stretches.push((from, drawn, shown * SCALE / long.max(1)));
            drawn += shown;
        }
        Self { stretches, whole: drawn.max(1), shortened }
    }

    fn at(&self, moment: Timestamp) -> u64 {
        let Some((from, before, share)) = self.stretches.iter().rev().find(|(from, _, _)| *from <= moment) else {
            return 0;
        };
        let drawn = before + elapsed(*from, moment) * share / SCALE;
        (drawn * SCALE / self.whole).min(SCALE)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::super::model::Wait;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn entry(from: i64, to: i64, waits: Vec<Wait>) -> Entry {
        Entry {
            name: "Plan".to_owned(),
            is_stage: false,
            state: State::Done,
            started: at(from),
            until: at(to),
            ended: true,
            rehearsed: None,
            estimated: None,
            waits,
            writers_waited: false,
            remark: String::new(),
        }
    }

    #[test]
    fn work_is_drawn_to_scale_and_a_night_of_waiting_takes_a_sixth_of_it() {
        let wait = Wait { from: at(60), to: at(36_060), what: "an approval".to_owned() };
        let scale = Scale::of(&[entry(0, 60, Vec::new()), entry(60, 36_120, vec![wait])]);
        // 60 s, a wait drawn as 20 s, and 60 s.
        assert!(scale.shortened);
        assert_eq!([0, 30, 60, 36_060, 36_120].map(|second| scale.at(at(second))), [0, 214, 428, 571, 1_000]);
        let plain = Scale::of(&[entry(0, 10, Vec::new()), entry(10, 40, Vec::new())]);
        assert!(!plain.shortened);
        assert_eq!([0, 10, 25, 40].map(|second| plain.at(at(second))), [0, 250, 625, 1_000]);
    }
}
