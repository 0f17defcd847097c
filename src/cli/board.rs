//! The board: a whole migration at a glance, as travellers read a board of departures. First where it stands and what it waits for,
//! then its phases, stages, what was found and what is kept. Pure, from the resource and (where it was read) the plan.

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::bars::{bar, counted, cut, unknown, wrapped};
use super::standing::{self, Standing, elapsed};
use super::terminal::Style;
use crate::api::conditions::{ConditionStatus, find};
use crate::api::status::{GateState, Phase, PhaseStatus, SchemaMigrationStatus, StageState};
use crate::api::{Reason, SchemaMigration};
use crate::controller::project::phase_of;
use crate::plan::Plan;
use crate::plan::render::{duration, grouped};

/// Before what finishes an entry of `status.rollback.remaining` by hand.
const BY_HAND: &str = " By hand: ";
/// Longest line of running text.
const TEXT_WIDTH: usize = 100;
/// Lines of the validation report that are shown.
const LISTED: usize = 10;
/// Operations of a rehearsal that are shown.
const SLOWEST: usize = 3;
/// Before the text of a line with a name in front.
const INDENT: usize = 14;
/// Characters of a row of the table before its remark.
const ROW: usize = 70;

/// What the board is drawn from.
#[derive(Clone, Copy)]
pub struct Board<'a> {
    /// The resource.
    pub migration: &'a SchemaMigration,
    /// Its plan; without it the shares and estimates of single phases are not known.
    pub plan: Option<&'a Plan>,
    /// The moment.
    pub now: Timestamp,
    /// Colours.
    pub style: Style,
    /// Columns, where the board must fit some.
    pub width: Option<usize>,
}

impl Board<'_> {
    /// The lines of the board.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let status = standing::status(self.migration);
        let mut lines = self.heading(&status);
        lines.extend(self.phases(&status));
        let parts = [
            self.not_taken_back(&status),
            self.stages(&status),
            self.rehearsed(&status),
            self.watched(&status),
            self.found(&status),
            self.kept(&status),
            self.gates(&status),
            self.answers(&status),
        ];
        for part in parts {
            if !part.is_empty() {
                lines.push(String::new());
                lines.extend(part);
            }
        }
        lines
    }

    fn heading(&self, status: &SchemaMigrationStatus) -> Vec<String> {
        let (migration, style) = (self.migration, self.style);
        let Standing { word, tone, now, waits_for, next } = standing::standing(migration);
        let name = format!("{} in {}", migration.name_any(), migration.namespace().unwrap_or_default());
        let database = &migration.spec.database;
        let mut about = format!("schema {} on {}", database.name, database.host);
        if let Some(contact) = &migration.spec.contact {
            about.push_str(&format!(", contact {contact}"));
        }
        if status.attempt > 1 {
            about.push_str(&format!(", attempt {}", status.attempt));
        }
        if let Some(plan) = &status.plan {
            about.push_str(&format!(", plan {}", plan.digest.chars().take(19).collect::<String>()));
        }
        let mut lines =
            vec![format!("{}  {}", style.strong(&name), tone.paint(style, word)), style.faint(&about), String::new()];
        lines.extend(self.named("Now", &now));
        if let Some(current) = status
            .current
            .as_ref()
            .filter(|current| !now.contains(current.as_str()) && !current.starts_with("waiting: "))
        {
            lines.extend(self.named("At", current));
        }
        if let Some(who) = waits_for {
            lines.extend(self.named("Waits for", &who));
        }
        if let Some(retrying) = &status.retrying {
            let since = duration(elapsed(retrying.since.0, self.now));
            let left = duration(elapsed(self.now, retrying.until.0));
            lines.extend(
                self.named("Tries again", &format!("for {since} already ({}), gives up in {left}", retrying.reason)),
            );
        }
        for (number, command) in next.iter().enumerate() {
            lines.push(format!("  {:<width$}{command}", if number == 0 { "Next" } else { "or" }, width = INDENT - 2));
        }
        lines.push(String::new());
        lines
    }

    /// What a rollback left, each with what finishes it by hand. Statements are not broken, so that they can be copied.
    fn not_taken_back(&self, status: &SchemaMigrationStatus) -> Vec<String> {
        let left = status.rollback.as_ref().map(|rollback| rollback.remaining.as_slice()).unwrap_or_default();
        if left.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![self.style.faint("    Not taken back (docs/runbook.md, \"Finish or take back by hand\")")];
        for entry in left {
            let (what, by_hand) =
                entry.split_once(BY_HAND).map_or((entry.as_str(), None), |(what, how)| (what, Some(how)));
            for (at, line) in self.broken(what, 4).into_iter().enumerate() {
                lines.push(self.style.bad(&format!("  {} {line}", if at == 0 { State::Failed.mark() } else { " " })));
            }
            lines.extend(by_hand.map(|how| format!("      {how}")));
        }
        lines
    }

    /// A line with a name in front, broken where it is long.
    fn named(&self, name: &str, text: &str) -> Vec<String> {
        let broken = self.broken(text, INDENT).into_iter().enumerate();
        broken
            .map(|(at, line)| format!("  {:<width$}{line}", if at == 0 { name } else { "" }, width = INDENT - 2))
            .collect()
    }

    /// Running text in lines that leave room for what stands before them.
    fn broken(&self, text: &str, before: usize) -> Vec<String> {
        wrapped(text, self.width.unwrap_or(usize::MAX).clamp(before + 20, before + TEXT_WIDTH) - before)
    }

    fn phases(&self, status: &SchemaMigrationStatus) -> Vec<String> {
        let header = format!("    {:<15}{:<22}{:>9}{:>10}{:>10}", "Phase", "Progress", "", "Took", "About");
        let mut lines = vec![self.style.faint(header.trim_end())];
        let mut phases: Vec<Phase> = Phase::STEPS.into_iter().map(|(phase, _)| phase).collect();
        phases.push(Phase::Prove);
        if status.phases.iter().any(|entry| entry.name == Phase::RollBack) {
            phases.push(Phase::RollBack);
        }
        lines.extend(phases.into_iter().map(|phase| self.phase(status, phase)));
        if let Some(steps) = status.steps.as_ref().filter(|steps| steps.total > 0) {
            let (done, total) = (u(steps.done), u(steps.total));
            let took = status
                .started_at
                .as_ref()
                .map(|began| duration(elapsed(began.0, status.finished_at.as_ref().map_or(self.now, |ended| ended.0))));
            let about = status.plan.as_ref().map(|plan| &plan.estimates);
            let about = about.map(|known| known.rehearsed_seconds.unwrap_or(known.duration_seconds));
            let about = about.map(|seconds| duration(u(seconds) * 1_000));
            let count = format!("{done}/{total}");
            lines.push(self.style.strong(&row(" ", "Operations", &bar(done, total), &count, took, about)));
        }
        lines
    }

    fn phase(&self, status: &SchemaMigrationStatus, phase: Phase) -> String {
        let entry = status.phases.iter().find(|entry| entry.name == phase);
        let state = State::of(status, phase, entry);
        let (done, total) = self.share(status, phase);
        let soak = soak::share(status, self.now).filter(|_| phase == Phase::Soak);
        let took = entry
            .map(|entry| duration(elapsed(entry.started.0, entry.finished.as_ref().map_or(self.now, |ended| ended.0))));
        let bar = match state {
            State::Skipped => String::new(),
            State::Done => bar(1, 1),
            State::Working | State::Waiting if total == 0 => {
                soak.map_or_else(unknown, |(over, in_all)| bar(over, in_all))
            }
            State::TakenBack => bar(0, 1),
            _ => bar(done, total),
        };
        let count = if total > 0 && !matches!(state, State::Skipped | State::TakenBack) {
            format!("{done}/{total}")
        } else {
            String::new()
        };
        let took = took.filter(|_| state != State::Skipped);
        let text = row(
            state.mark(),
            phase.as_str(),
            &bar,
            &count,
            took,
            soak.map(|(_, in_all)| duration(in_all))
                .or_else(|| self.estimate(status, phase))
                .filter(|_| state != State::Skipped),
        );
        let length = text.chars().count();
        let text = match state {
            State::Done => self.style.good(&text),
            State::Working => self.style.working(&text),
            State::Waiting | State::TakenBack => self.style.waiting(&text),
            State::Failed => self.style.bad(&text),
            State::Pending | State::Skipped => self.style.faint(&text),
        };
        let mut remark = remark(status, phase, state);
        if entry.is_some_and(|entry| !entry.background) {
            let verb = if entry.is_some_and(|entry| entry.finished.is_some()) { "waited" } else { "wait" };
            remark.push_str(&format!("{}writers of a copied table {verb}", if remark.is_empty() { "" } else { "; " }));
        }
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(ROW + 2));
        let gap = ROW.saturating_sub(length) + 2;
        if remark.is_empty() || room < 8 { text } else { format!("{text}{:gap$}{}", "", cut(&remark, room)) }
    }

    /// Operations of a phase that are done, and in all: the plan's are done in its order.
    fn share(&self, status: &SchemaMigrationStatus, phase: Phase) -> (u64, u64) {
        let Some(plan) = self.plan else { return (0, 0) };
        let done = status.steps.as_ref().map_or(0, |steps| u(steps.done));
        let before = plan.operations.iter().take_while(|operation| phase_of(operation.section) != phase).count() as u64;
        let total = plan.operations.iter().filter(|operation| phase_of(operation.section) == phase).count() as u64;
        (done.saturating_sub(before).min(total), total)
    }

    /// What a phase took when the plan was rehearsed, or what the statistics let expect.
    fn estimate(&self, status: &SchemaMigrationStatus, phase: Phase) -> Option<String> {
        if let Some(rehearsal) = standing::rehearsal(status) {
            let measured = rehearsal.phases.iter().find(|measured| measured.name == phase);
            return measured.map(|measured| duration(u(measured.milliseconds)));
        }
        let operations = self.plan?.operations.iter().filter(|operation| phase_of(operation.section) == phase);
        let milliseconds: Vec<u64> = operations.map(|operation| operation.estimate.milliseconds).collect();
        (!milliseconds.is_empty()).then(|| duration(milliseconds.iter().sum()))
    }

    fn stages(&self, status: &SchemaMigrationStatus) -> Vec<String> {
        if status.stages.is_empty() {
            return Vec::new();
        }
        let longest = status.stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0).max(12);
        let mut lines = vec![self.style.faint(&format!("    {:<longest$}   Keys proven", "Stage"))];
        for stage in &status.stages {
            let (mark, tone): (_, fn(Style, &str) -> String) = match stage.state {
                StageState::Pending => (State::Pending.mark(), Style::faint),
                StageState::Running => (State::Working.mark(), Style::working),
                StageState::Complete => (State::Done.mark(), Style::good),
                StageState::Failed => (State::Failed.mark(), Style::bad),
            };
            let took = stage.started.as_ref().map(|began| {
                let until = stage.finished.as_ref().map_or(self.now, |ended| ended.0);
                format!("  {}", duration(elapsed(began.0, until)))
            });
            let text = format!(
                "  {mark} {:<longest$}   {}  {} of {}{}",
                stage.name,
                bar(u(stage.verified), u(stage.foreign_keys)),
                stage.verified,
                stage.foreign_keys,
                took.unwrap_or_default()
            );
            lines.push(tone(self.style, &text));
        }
        lines
    }

    fn rehearsed(&self, status: &SchemaMigrationStatus) -> Vec<String> {
        let Some(rehearsal) = standing::rehearsal(status) else { return Vec::new() };
        let heading = self.style.faint("    Rehearsed on the restored copy");
        let text = standing::rehearsed(rehearsal);
        let told = self.broken(&text, 4).into_iter().map(|line| format!("    {line}"));
        let slowest = rehearsal.slowest.iter().take(SLOWEST).map(|slow| {
            let text = format!("  {:>11}  {}", duration(u(slow.milliseconds)), slow.described());
            self.width.map_or(text.clone(), |width| fitted(&text, width))
        });
        std::iter::once(heading).chain(told).chain(slowest).collect()
    }

    fn found(&self, status: &SchemaMigrationStatus) -> Vec<String> {
        if status.validation.is_empty() {
            return Vec::new();
        }
        let mut there: Vec<_> = status.validation.iter().filter(|line| line.count > 0).collect();
        there.sort_by_key(|line| std::cmp::Reverse(line.count));
        let none = status.validation.len() - there.len();
        let mut lines = vec![self.style.faint("    Found by validation")];
        for line in there.iter().take(LISTED) {
            let text = format!("  {:>11}  {}", grouped(u(line.count)), line.issue_type);
            lines.push(self.width.map_or(text.clone(), |width| fitted(&text, width)));
        }
        if there.len() > LISTED {
            let more = there.iter().skip(LISTED).map(|line| u(line.count)).sum();
            lines.push(format!("  {:>11}  in {}", grouped(more), counted((there.len() - LISTED) as u64, "other line")));
        }
        if none > 0 {
            let noun = if there.is_empty() { "line" } else { "other line" };
            lines.push(format!("  {:>11}  in {}", 0, counted(none as u64, noun)));
        }
        lines
    }

    fn kept(&self, status: &SchemaMigrationStatus) -> Vec<String> {
        let Some(kept) = &status.quarantine else { return Vec::new() };
        let purged =
            kept.purged_at.as_ref().map(|at| format!("purged {} ago; had been ", duration(elapsed(at.0, self.now))));
        vec![
            self.style.faint("    In quarantine"),
            format!(
                "    {}{}, {}, {} taken along by cascades, {}",
                purged.unwrap_or_default(),
                counted(u(kept.orphans), "orphan"),
                counted(u(kept.duplicates), "duplicate"),
                counted(u(kept.cascaded), "row"),
                counted(u(kept.values), "value")
            ),
        ]
    }

    fn gates(&self, status: &SchemaMigrationStatus) -> Vec<String> {
        if status.gates.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![self.style.faint("    Gates")];
        for gate in &status.gates {
            let (mark, paint): (_, fn(Style, &str) -> String) = match gate.state {
                GateState::Open => (State::Done.mark(), Style::good),
                GateState::Closed => (State::Waiting.mark(), Style::waiting),
            };
            let said = match gate.message.as_deref() {
                _ if gate.reason == Reason::ApprovalPending.as_str() => "waits for an approval",
                None | Some("") => &gate.reason,
                Some(message) => message,
            };
            for (at, line) in self.broken(said, 19).into_iter().enumerate() {
                let (mark, name) = if at == 0 { (mark, standing::before(gate)) } else { (" ", String::new()) };
                lines.push(paint(self.style, &format!("  {mark} {name:<15}{line}")));
            }
        }
        lines
    }

    fn answers(&self, status: &SchemaMigrationStatus) -> Vec<String> {
        if status.steering.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![self.style.faint("    Asked for")];
        for answer in &status.steering {
            let ago = duration(elapsed(answer.at.0, self.now));
            let (word, paint): (_, fn(Style, &str) -> String) =
                if answer.accepted { ("accepted", Style::good) } else { ("refused", Style::bad) };
            let text = format!("{word} {ago} ago: {}", answer.message);
            for (at, line) in self.broken(&text, INDENT).into_iter().enumerate() {
                let name = if at == 0 { answer.action.to_string() } else { String::new() };
                lines.push(paint(self.style, &format!("    {name:<10}{line}")));
            }
        }
        lines
    }
}

/// How far a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum State {
    /// Its turn has not come.
    Pending,
    /// It is worked on.
    Working,
    /// It waits.
    Waiting,
    /// It is done.
    Done,
    /// There was nothing to do.
    Skipped,
    /// It failed.
    Failed,
    /// What it did is taken back, or is being so.
    TakenBack,
}

impl State {
    /// How far a phase is, by its condition and its times.
    #[must_use]
    pub fn of(status: &SchemaMigrationStatus, phase: Phase, entry: Option<&PhaseStatus>) -> Self {
        let condition = phase.condition().and_then(|condition| find(&status.conditions, condition));
        if let Some(condition) = condition {
            if condition.status == ConditionStatus::True.as_str() {
                return if condition.reason == Reason::Skipped.as_str() { Self::Skipped } else { Self::Done };
            }
            // What a step did is taken back, or is being so.
            let back = [Reason::RollbackSucceeded, Reason::RollingBack].map(Reason::as_str);
            if phase != Phase::RollBack && back.contains(&condition.reason.as_str()) {
                return Self::TakenBack;
            }
            if condition.status == ConditionStatus::False.as_str()
                || condition.reason == Reason::RollbackFailed.as_str()
            {
                return Self::Failed;
            }
        }
        let Some(entry) = entry else { return Self::Pending };
        if standing::has_ended(status) {
            let good = standing::reason(status) == Some(Reason::Complete);
            return if good { Self::Done } else { Self::Failed };
        }
        if entry.finished.is_some() && condition.is_none() {
            return Self::Done;
        }
        let waits = match standing::reason(status) {
            Some(Reason::Progressing | Reason::RollingBack) | None => false,
            Some(_) => status.phase == Some(phase),
        };
        if waits { Self::Waiting } else { Self::Working }
    }

    /// A character that stands for it where there are no colours.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Pending => "·",
            Self::Working => "▸",
            Self::Waiting => "‖",
            Self::Done => "✓",
            Self::Skipped => "-",
            Self::Failed => "✗",
            Self::TakenBack => "↶",
        }
    }
}

/// How a phase ended, as its condition says. What it does just now stands above.
#[must_use]
pub fn remark(status: &SchemaMigrationStatus, phase: Phase, state: State) -> String {
    let said =
        || phase.condition().and_then(|condition| find(&status.conditions, condition)).map(|each| each.message.clone());
    match state {
        // What failed and what became of it stands above, in the same words.
        State::Done if phase == Phase::RollBack => {
            let back = status.rollback.as_ref().map(|back| (back.undone, back.tables_identical)).unwrap_or_default();
            format!("{} taken back, {} as before", counted(back.0, "operation"), counted(back.1, "table"))
        }
        State::Failed if phase == Phase::RollBack => "did not finish; what is left is said above".to_owned(),
        State::Done | State::Failed | State::TakenBack => said().unwrap_or_default(),
        State::Skipped => format!("skipped: {}", said().unwrap_or_default()),
        State::Waiting => "waits".to_owned(),
        State::Working | State::Pending => String::new(),
    }
}

fn row(mark: &str, name: &str, bar: &str, count: &str, took: Option<String>, about: Option<String>) -> String {
    let (took, about) = (took.unwrap_or_default(), about.unwrap_or_default());
    format!("  {mark} {name:<15}{bar:<20}  {count:>9}{took:>10}{about:>10}").trim_end().to_owned()
}

fn fitted(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        Some(_) => format!("{}…", text.chars().take(width.saturating_sub(1)).collect::<String>()),
        None => text.to_owned(),
    }
}

fn u(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

mod soak;
pub(crate) use soak::shown;
#[cfg(test)]
mod tests;
