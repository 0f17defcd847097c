//! The pages as a newcomer reads them: getting started, the guide and the README's commands are typed one by one on a real cluster, with a real
//! MySQL, until the guide's migration is complete and its quarantine purged. Where text and program differ, the walk ends there and names
//! page, line, command and what came of it.
//!
//! `table.rs` has all that is not simply typed; without a cluster the tests of this program hold it against the pages.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../harness/mod.rs"]
mod harness;
#[allow(dead_code)]
#[path = "../docs/pages.rs"]
mod pages;
mod script;
mod shown;
mod surroundings;
mod table;
mod typing;
mod walk;

use harness::Outcome;
use harness::database::Database;
use harness::kubectl::Kubectl;
use harness::migration::{Migration, status_of, summary};

#[test]
#[ignore = "make test-walkthrough"]
fn a_newcomer_gets_from_nothing_to_an_empty_quarantine() {
    surroundings::expect_nothing().unwrap();
    let walked = walk();
    if walked.is_err() {
        eprintln!("the operator's last lines:\n{}", harness::operator::log(20).unwrap_or_else(|error| error));
    }
    let left = surroundings::leave_nothing();
    walked.unwrap_or_else(|error| panic!("{error}"));
    left.unwrap();
}

fn walk() -> Outcome<()> {
    let steps = script::steps().map_err(|wrong| wrong.join("\n"))?;
    let mut walk = walk::Walk::new()?;
    steps.iter().try_for_each(|step| walk.step(step))?;
    let left = steps.iter().filter(|step| matches!(step.deed, script::Deed::Leave(_))).count();
    println!("walked {} steps and left {left}, for the reasons above", steps.len() - left);
    let database = walk.database.as_ref().ok_or("the walk has met no database")?;
    judge(database)
}

/// What must be so in the end, whatever the pages say.
fn judge(database: &Database) -> Outcome<()> {
    let migration = Migration::new(&Kubectl::new(table::SHOP), table::MIGRATION).read()?;
    let quarantine = &migration["status"]["quarantine"];
    if status_of(&migration, "Succeeded") != Some("True") || quarantine["purgedAt"].is_null() {
        return Err(format!("the guide's migration is not complete and purged: {}; {quarantine}", summary(&migration)));
    }
    let keys = database.foreign_keys()?;
    if keys.len() != 3 {
        return Err(format!("the guide's migration has left {keys:?}"));
    }
    if let Some((key, orphans)) = database.orphans()?.into_iter().find(|(_, orphans)| *orphans > 0) {
        return Err(format!("{key} has {orphans} orphans"));
    }
    let kept =
        database.sql("SELECT CONCAT('SELECT COUNT(*) FROM holdfast.`', name, '`;') FROM holdfast.quarantine_tables")?;
    let counts = database.sql(&kept)?;
    if kept.lines().count() < 3 || counts.lines().any(|count| count != "0") {
        return Err(format!("the quarantine's tables still hold rows: {}", counts.replace('\n', " ")));
    }
    Ok(())
}
