//! What the pages say and how they are made, by facts: nobody reads a golden file of a megabyte.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use serde_json::json;

use super::example::{Example, MARKUP, hostile, large, shop, waiting};
use super::model::KeyState;
use super::{Kind, Read, Report, Sources, list, page, text};
use crate::api::{MigrationApproval, SchemaMigration};
use crate::mysql::JournalEntry;
use crate::plan::Plan;
use crate::plan::digest::plan_digest;

/// The objects of an example, whose plan has its digest.
struct Objects {
    migration: SchemaMigration,
    plan: Plan,
}

fn objects(example: Example) -> Objects {
    let mut plan: Plan = serde_json::from_value(example.plan).unwrap();
    plan.digest = plan_digest(&plan).unwrap();
    let migration = example.migration.to_string().replace("\"PLAN\"", &format!("{:?}", plan.digest));
    Objects { migration: serde_json::from_str(&migration).unwrap(), plan }
}

fn now() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

fn report(objects: &Objects, plan: Option<Read<&Plan>>) -> Report {
    Report::new(&Sources {
        migration: &objects.migration,
        plan,
        approvals: Ok(&[]),
        events: Ok(&[]),
        evidence: Some(Err("the ConfigMap is gone".to_owned())),
        journal: None,
        now: now(),
    })
}

fn whole(example: Example) -> (Report, String) {
    let objects = objects(example);
    let report = report(&objects, Some(Ok(&objects.plan)));
    let html = page(&report, Kind::File).0;
    (report, html)
}

/// The names of the elements, in their order; every one of them is closed where it must be.
fn elements(html: &str) -> Vec<String> {
    const WITHOUT_END: [&str; 2] = ["meta", "input"];
    let (mut open, mut seen, mut rest) = (Vec::new(), Vec::new(), html.split_once("<!doctype html>").unwrap().1);
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, next) = after.split_once('>').unwrap();
        rest = next;
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap().to_owned();
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_ref(), Some(&name), "…{tag} before {:.200}", next);
            continue;
        }
        seen.push(name.clone());
        if name == "style" || name == "script" {
            rest = rest.split_once(&format!("</{name}>")).unwrap().1;
        } else if !tag.ends_with('/') && !WITHOUT_END.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<String>::new());
    seen
}

fn count(html: &str, what: &str) -> usize {
    html.matches(what).count()
}

#[test]
fn a_complete_migration_is_told_from_the_plan_to_the_proof() {
    let (report, html) = whole(shop());
    elements(&html);
    let figures: Vec<String> =
        report.heading.figures.iter().map(|fact| format!("{}: {}", fact.name, fact.value)).collect();
    assert_eq!(
        figures,
        [
            "Foreign keys proven: 24 of 24",
            "Operations done: 69 of 69",
            "Rows that broke a rule: 1,254",
            "Rows and values in quarantine: 1,271",
            "Since the first change: 31 min 9 s",
            "Rows that one deletion may take along: 20,816",
        ]
    );
    for fact in [
        "<title>referential-integrity in shop: COMPLETE, plan sha256:",
        "✓ COMPLETE",
        "schema shop on mysql",
        "9.7.4 MySQL Community Server",
        "waited 15 h 37 min for the approval of CleanUp",
        "<td>alice@example.com</td>",
        "counted the orphans with the data team; cleanup may take 1,300 rows",
        "; window: Tue, Wed from 02:00 for 8h, UTC",
        "writers of a copied table waited",
        "<td>orphans: bookmarks.user_id -&gt; users.id</td><td class=\"n\">1,040</td><td class=\"n good\">0</td>",
        "users → notifications",
        "20,816 rows deleted",
        "about 3,120 rows deleted (sampled)",
        "4,212,118 rows and 4 other objects compared in 1 min 18 s with server 9.7.4",
        "24 min 40 s",
        "by the key sha256:0d7e",
        "The evidence&#39;s content is left out: the ConfigMap is gone",
    ] {
        assert!(html.contains(fact), "{fact}");
    }
}

#[test]
fn the_picture_has_the_keys_of_the_before_images_and_those_of_the_plan() {
    let (report, html) = whole(shop());
    let keys = &report.schema.keys;
    let of = |state: KeyState| keys.iter().filter(|key| key.state == state).count();
    assert_eq!((keys.len(), of(KeyState::There), of(KeyState::Adopted), of(KeyState::Proven)), (27, 2, 1, 24));
    let agencies = keys.iter().find(|key| key.name == "fk_agencies_county").unwrap();
    assert_eq!((agencies.stage, report.schema.tables[agencies.parent].name.as_str()), (None, "counties"));
    // One line for each, and the table that everything refers to left of all others.
    assert_eq!(
        (count(&html, "<g class=\"e "), count(&html, " old\""), count(&html, " data-s=\"before\"")),
        (27, 3 + 2, 3 + 2 * 3)
    );
    assert_eq!(count(&html, "class=\"node\""), 23);
    assert!(html.contains("<text x=\"25\"") && count(&html, "class=\"e cascade new hot\"") > 0);
    assert!(html.contains("fk_comments_parent: comments (parent_id) refers to comments (id), ON DELETE CASCADE; stage remaining: there and proven"));
    assert!(
        report
            .schema
            .tables
            .iter()
            .any(|table| table.changes.contains(&"column owner_id changed from int to bigint unsigned".to_owned()))
    );
}

#[test]
fn one_that_waits_says_for_whom_and_promises_nothing() {
    let (report, html) = whole(waiting());
    elements(&html);
    assert_eq!((report.heading.word, report.timeline.entries.len()), ("WAITS FOR APPROVAL", 6));
    assert!(html.contains("Waits for a person who may approve: #db-oncall."), "{html}");
    assert!(html.contains("kubectl holdfast approve referential-integrity --namespace shop --before CleanUp"));
    assert!(html.contains("waited 16 h 35 min for ApprovalPending before CleanUp"), "{:?}", report.timeline.entries[5]);
    assert!(report.validation.iter().all(|line| line.after.is_none()) && html.contains("not proven yet"));
    assert!(report.schema.keys.iter().all(|key| key.stage.is_none() || key.state == KeyState::Planned));
    assert!(report.operations.iter().all(|operation| !operation.done));
}

#[test]
fn whatever_a_cluster_holds_stays_text() {
    let objects = objects(hostile());
    let mut event: Event = serde_json::from_value(
        json!({"metadata": {}, "involvedObject": {}, "reason": MARKUP, "message": MARKUP, "action": MARKUP}),
    )
    .unwrap();
    event.type_ = Some("Warning".to_owned());
    let approval: MigrationApproval = serde_json::from_value(json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "MigrationApproval", "metadata": {"name": "late"},
        "spec": {"migrationRef": {"name": "referential-integrity"}, "before": {"stage": MARKUP}, "decision": "Deny", "planDigest": MARKUP, "approvedBy": MARKUP, "reason": MARKUP},
    }))
    .unwrap();
    let report = Report::new(&Sources {
        migration: &objects.migration,
        plan: Some(Ok(&objects.plan)),
        approvals: Ok(&[approval]),
        events: Ok(&[event]),
        evidence: Some(Err(MARKUP.to_owned())),
        journal: None,
        now: now(),
    });
    let live = Kind::Live { version: MARKUP };
    for (html, scripts) in [
        (page(&report, Kind::File).0, 1),
        (page(&report, live).0, 2),
        (list(MARKUP, std::slice::from_ref(&objects.migration), live).0, 2),
    ] {
        let seen = elements(&html);
        let of = |name: &str| seen.iter().filter(|element| *element == name).count();
        assert_eq!((of("script"), of("img"), of("style")), (scripts, 0, 1));
        assert!(!html.contains("<script>document.title"));
        assert!(count(&html, "&lt;script&gt;document.title=&#39;broken&#39;&lt;/script&gt;") > 1);
        assert!(!html.contains("onerror=\""), "an attribute came in");
    }
    // All of these places hold it.
    let html = page(&report, Kind::File).0;
    assert!(count(&html, "&lt;img src=x") >= 25, "{}", count(&html, "&lt;img src=x"));
    assert!(text(&report).chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn three_hundred_tables_fit_into_a_page_that_can_be_sent() {
    let (report, html) = whole(large(300));
    elements(&html);
    assert_eq!((report.schema.tables.len(), count(&html, "<details id=\"t")), (300, 300));
    assert_eq!(count(&html, "<g class=\"e "), report.schema.keys.len());
    assert!(
        report.schema.keys.len() > 500 && report.operations.len() > 900,
        "{} {}",
        report.schema.keys.len(),
        report.operations.len()
    );
    assert!(html.len() < 1_400_000, "{} bytes", html.len());
    let (again, _) = whole(large(300));
    assert_eq!(page(&again, Kind::File).0, html, "the same objects give the same page");
}

#[test]
fn what_was_not_read_is_named_and_not_shown_as_nothing() {
    let objects = objects(shop());
    let report = Report::new(&Sources {
        migration: &objects.migration,
        plan: Some(Err("configmaps is forbidden".to_owned())),
        approvals: Err("approvals are forbidden".to_owned()),
        events: Err("events are forbidden".to_owned()),
        evidence: None,
        journal: None,
        now: now(),
    });
    let html = page(&report, Kind::File).0;
    elements(&html);
    for why in ["configmaps is forbidden", "approvals are forbidden", "events are forbidden"] {
        assert!(html.contains(why) && text(&report).contains(why), "{why}");
    }
    // What the spec asks for is drawn, what there was before is not known.
    assert_eq!((report.schema.keys.len(), report.operations.len()), (24, 0));
    assert!(html.contains("without the plan it is not known which keys there were before"));
}

#[test]
fn a_page_fetches_nothing_and_says_so_to_the_browser() {
    let (_, html) = whole(shop());
    assert!(html.contains(
        "http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;none&#39;; style-src &#39;sha256-"
    ));
    for forbidden in ["src=", " style=", "@import", "url(h", "onclick", "javascript:", "<link", "href=\"http"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    let addresses = html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    for address in addresses {
        let id = address.strip_prefix('#').unwrap_or_else(|| panic!("{address} leaves the page"));
        assert!(html.contains(&format!("id=\"{id}\"")), "{address} leads nowhere");
    }
}

#[test]
fn the_journal_tells_what_each_operation_took_and_what_it_locked() {
    let objects = objects(shop());
    let entry = |operation: &str, milliseconds: u64, tries: u32, locks: u64| {
        JournalEntry {
        operation: operation.to_owned(),
        stands: true,
        intended_at: "2026-11-24T09:02:11Z".parse().unwrap(),
        completed_at: Some("2026-11-24T09:03:11Z".parse().unwrap()),
        undone_at: None,
        report: serde_json::from_value(json!({"operation": operation, "milliseconds": milliseconds, "tries": tries, "longest_try_milliseconds": locks,
            "rows": {"rows_removed": 1_040, "values_changed": 0, "rounds": 2, "total": null, "mapped": null, "unmapped": null, "ambiguous": null}, "found_done": false}))
        .unwrap(),
    }
    };
    let id = |place: usize| objects.plan.operations[place].id.as_str();
    let mut announced = entry(id(2), 0, 0, 0);
    (announced.stands, announced.completed_at, announced.report) = (false, None, None);
    let entries = [entry(id(0), 38_114, 1, 12), entry("999-found-later", 5, 3, 480), announced];
    let report = Report::new(&Sources {
        migration: &objects.migration,
        plan: Some(Ok(&objects.plan)),
        approvals: Ok(&[]),
        events: Ok(&[]),
        evidence: None,
        journal: Some(&entries),
        now: now(),
    });
    let html = page(&report, Kind::File).0;
    elements(&html);
    for fact in [
        "480 ms in 999-found-later",
        "1 operation; statements were sent 4 times in all",
        "<td class=\"t\">2026-11-24 09:02:11</td><td class=\"n\">38,114 ms</td><td class=\"n\">1</td><td class=\"n\">12 ms</td><td class=\"n\">1,040</td>",
        "Found to be needed while at work",
        "announced, no outcome yet",
        "not begun",
    ] {
        assert!(html.contains(fact), "{fact}");
    }
    assert!(!html.contains("no database was named"));
    assert_eq!(report.operations.iter().filter(|operation| operation.journal.is_some()).count(), 3);
    assert_eq!(report.operations.len(), 70);
    // The journal is what counts, not the number in the status.
    assert!(report.operations[0].done && !report.operations[2].done);
}

#[test]
fn the_text_tells_the_same_in_short() {
    let (report, _) = whole(shop());
    let text = text(&report);
    for line in [
        "referential-integrity in shop: COMPLETE\n",
        "  Foreign keys proven       24 of 24\n",
        "      3 keys there before\n",
        "     14 keys of stage remaining\n",
        "20,816 rows deleted      users -> notifications\n",
        "waited 15 h 37 min for the approval of CleanUp\n",
        "  Approve CleanUp           alice@example.com at 2026-11-24 09:02:09: counted the orphans with the\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 140), "{text}");
}

#[test]
fn what_a_backup_that_is_in_place_has_cost_is_told() {
    let at = "2026-11-24T10:00:00Z";
    let told = |in_place: bool| {
        let status = json!({"rollback": {"reason": "TestsFailed", "message": "m", "failedPhase": "Test", "strategy": "RestoreBackup",
            "startedAt": at, "undone": 2, "tablesIdentical": 3, "putBack": {"inPlace": in_place, "keptSchema": "holdfast_kept_1",
                "keptTables": 6, "loss": {"countedAt": at, "rows": 4500, "tables": 2}}}});
        let facts = super::facts::steering(&serde_json::from_value(status).unwrap());
        facts.into_iter().map(|fact| format!("{}: {}", fact.name, fact.value)).collect::<Vec<_>>().join("\n")
    };
    for text in [
        "Lost: at most 4,500 rows in 2 tables",
        "Kept: 6 tables of before, in the schema holdfast_kept_1 until a purge",
    ] {
        assert!(told(true).contains(text), "{text:?} is not in {}", told(true));
        assert!(!told(false).contains(text), "{}", told(false));
    }
}

#[test]
fn what_the_soak_measured_stands_beside_what_it_allows() {
    let mut example = shop();
    let status = crate::cli::example::soaking().status.unwrap();
    example.migration["status"]["soak"] = serde_json::to_value(status.soak).unwrap();
    let (report, html) = whole(example);
    let page = text(&report);
    for part in [
        "The soak watched",
        "5 samples",
        "Soak: latency of SELECT",
        "beyond it: 2.6 ms on the average of 812 statements, 2.0 ms before; allowed are 0.0 ms more",
        "within it: 0 in 60 s; allowed are 5 a minute",
        "not watched: no such statement was measured before the first change",
    ] {
        assert!(
            html.contains(part) && page.split_whitespace().collect::<Vec<_>>().join(" ").contains(part),
            "{part}: {page}"
        );
    }
}
