//! The boards that people read, as golden texts.

#![allow(clippy::unwrap_used)]

use serde_json::Value;

use super::*;
use crate::cli::example::{
    assert_golden, complete, held, migration, now, plan, rehearsed, rolled_back, soaking, waiting, working,
};

fn board(migration: &SchemaMigration, plan: Option<&Plan>, width: Option<usize>) -> String {
    Board { migration, plan, now: now(), style: Style::PLAIN, width }.lines().join("\n") + "\n"
}

#[test]
fn boards_read_as_the_golden_ones() {
    let plan = plan();
    assert_golden("waiting.txt", &board(&waiting(), Some(&plan), None));
    assert_golden("rehearsed.txt", &board(&rehearsed(), Some(&plan), None));
    assert_golden("working.txt", &board(&working(), Some(&plan), None));
    assert_golden("soaking.txt", &board(&soaking(), Some(&plan), None));
    assert_golden("complete.txt", &board(&complete(), Some(&plan), None));
    assert_golden("rolled-back.txt", &board(&rolled_back(), Some(&plan), None));
    assert_golden("held.txt", &board(&held(), Some(&plan), None));
    assert_golden("not-seen.txt", &board(&migration(Value::Null), None, None));
}

#[test]
fn without_the_plan_the_board_has_no_shares() {
    assert_golden("working-without-plan.txt", &board(&working(), None, None));
}

#[test]
fn a_narrow_board_fits_its_columns() {
    let text = board(&working(), Some(&plan()), Some(90));
    for line in text.lines() {
        assert!(line.chars().count() <= 90, "{line}");
    }
    assert_golden("narrow.txt", &text);
}

#[test]
fn colours_change_nothing_but_colours() {
    let (migration, plan) = (working(), plan());
    let board = Board { migration: &migration, plan: Some(&plan), now: now(), style: Style::COLOUR, width: None };
    let mut text = board.lines().join("\n");
    for code in ["0", "1", "2", "31", "32", "33", "36"] {
        text = text.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(text, Board { style: Style::PLAIN, ..board }.lines().join("\n"));
}

#[test]
fn what_a_rollback_left_is_shown_with_statements_that_can_be_copied() {
    let mut migration = rolled_back();
    let statement = format!("ALTER TABLE `shop`.`bookmarks` DROP FOREIGN KEY `{}`;", "long_name".repeat(6));
    let rollback = serde_json::json!({
        "reason": "TestsFailed", "message": "a test failed", "failedPhase": "Test", "strategy": "Undo", "startedAt": now().to_string(),
        "remaining": [
            format!("017-add-key: a session holds the table. By hand: {statement}"),
            "table `shop`.`users` differs from its before-image",
        ],
    });
    migration.status.as_mut().unwrap().rollback = Some(serde_json::from_value(rollback).unwrap());
    let text = board(&migration, None, Some(60));
    let lines = [
        "  ✗ 017-add-key: a session holds the table.".to_owned(),
        format!("      {statement}"),
        "  ✗ table `shop`.`users` differs from its before-image".to_owned(),
    ];
    assert!(text.contains(&lines.join("\n")), "{text}");
}
