//! What a rollback that could not finish left, as the status says it: one entry for each thing, with the statement or the page that
//! finishes it by hand. A status is read and copied everywhere, so the entries are few, short, and without the values of rows.

use kube::ResourceExt as _;

use super::super::decision::{Decision, End, Fact, Verdict};
use super::case::Case;
use super::put_back;
use crate::api::Reason;
use crate::api::conditions::shortened;
use crate::api::status::Phase;
use crate::api::steering::SteeringAction;
use crate::mysql::Left;

/// Entries that the status takes, the one that counts the rest not among them.
const MAX_ENTRIES: usize = 20;
/// Longest description of one, in bytes.
const MAX_WHAT: usize = 300;
/// Longest statement that is told in an entry; longer ones are cut nowhere, but looked up.
const MAX_STATEMENT: usize = 500;
/// The section on finishing by hand.
const PAGE: &str = "docs/runbook.md, \"Finish or take back by hand\"";

impl Case<'_> {
    /// The end of a rollback that could not finish.
    pub(super) fn not_taken_back(&self, message: &str, left: Vec<String>) -> Decision {
        let message = format!("{message}. {}", self.command("Go on with the rollback", SteeringAction::Retry));
        Decision::new(Verdict::Ended(End::Failed(Phase::RollBack, Reason::RollbackFailed, message)))
            .fact(Fact::Left(left))
            .at_once()
    }

    /// The entries for what the engine left.
    pub(super) fn left(&self, left: &[Left]) -> Vec<String> {
        let mut entries: Vec<String> = left.iter().take(MAX_ENTRIES).map(|each| self.entry(each)).collect();
        let more = left.len().saturating_sub(MAX_ENTRIES);
        if more > 0 {
            entries.push(format!("and {more} more: {} has every statement, newest first", self.script()));
        }
        entries
    }

    /// The entry where the rollback ended before it had learnt what is left, as with a server that does not answer; none where a backup
    /// was to be put back, for which the message says it all.
    pub(super) fn left_unknown(&self) -> Option<String> {
        (!put_back::is_chosen(self)).then(|| {
            format!(
                "what stands was not learnt: {} has every statement of the way back, newest first, and the journal says which of them are to be run ({PAGE})",
                self.script()
            )
        })
    }

    fn entry(&self, left: &Left) -> String {
        let what = shortened(left.what.clone(), MAX_WHAT);
        match (&left.operation, &left.inverse) {
            (Some(operation), Some(inverse)) if inverse.len() <= MAX_STATEMENT => {
                format!("{operation}: {what}. By hand: {inverse};")
            }
            (Some(operation), Some(_)) => {
                format!("{operation}: {what}. By hand: its statement in {}", self.script())
            }
            (Some(operation), None) => {
                format!("{operation}: {what}. By hand: put back what is in quarantine ({PAGE}, step 4)")
            }
            (None, _) => what,
        }
    }

    fn script(&self) -> String {
        let namespace = self.migration.namespace().unwrap_or_default();
        format!("kubectl holdfast plan {} --namespace {namespace} --output rollback-sql", self.migration.name_any())
    }
}
