//! The watch over the application on the board: how far it is, and what each thing that is watched showed.

use jiff::Timestamp;

use super::{Board, State, Style, elapsed};
use crate::api::status::{SchemaMigrationStatus, SoakWatch};
use crate::controller::soak::described;

/// Characters of the name of something that is watched.
const NAME: usize = 39;

/// Milliseconds that are over and those in all, while or after the application is watched.
pub(super) fn share(status: &SchemaMigrationStatus, now: Timestamp) -> Option<(u64, u64)> {
    let soak = status.soak.as_ref()?;
    let (began, until) = (soak.started_at.as_ref()?.0, soak.until.as_ref()?.0);
    let in_all = elapsed(began, until);
    Some((elapsed(began, now).min(in_all), in_all))
}

impl Board<'_> {
    /// One part for everything that is watched.
    pub(super) fn watched(&self, status: &SchemaMigrationStatus) -> Vec<String> {
        let watches: Vec<&SoakWatch> = status.soak.iter().flat_map(|soak| &soak.watches).collect();
        if watches.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![self.style.faint("    Watched in the soak")];
        for watch in watches {
            let (mark, paint): (_, fn(Style, &str) -> String) = match (watch.beyond, &watch.measured) {
                (1.., _) => (State::Failed.mark(), Style::bad),
                (_, Some(_)) => (State::Done.mark(), Style::good),
                (_, None) => (State::Pending.mark(), Style::faint),
            };
            for (at, line) in self.broken(&shown(watch), NAME + 4).into_iter().enumerate() {
                let (mark, name) = if at == 0 { (mark, described(watch.name)) } else { (" ", "") };
                lines.push(paint(self.style, &format!("  {mark} {name:<NAME$}{line}")));
            }
        }
        lines
    }
}

/// What a watch showed last, and what of it was not watched.
pub(crate) fn shown(watch: &SoakWatch) -> String {
    let unseen = watch.not_watched.as_ref().map(|why| format!("not watched: {why}"));
    let parts: Vec<String> = watch.measured.iter().cloned().chain(unseen).collect();
    if parts.is_empty() { "nothing to judge yet".to_owned() } else { parts.join("; ") }
}
