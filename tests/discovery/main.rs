//! Measures `kubectl holdfast discover`: public schemas are loaded, their foreign keys and the indexes that came with them are taken
//! away, and what is proposed is compared with what was there. `tests/discovery/run.sh` fetches the schemas and prints the figures of
//! docs/discover.md.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod schemas;

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast::cli::database::Database;
use holdfast::cli::discover::search;
use holdfast::draft::discover::{Confidence, Discovered, Discovery};
use holdfast::mysql::inclusion::Bounds;
use holdfast::mysql::{Connection, SessionLimits, Target, TlsMode};
use holdfast::plan::Identifier;
use holdfast::plan::catalogue::{Catalogue, ForeignKey};

use schemas::{SCHEMAS, Source};

/// What came of one schema.
struct Figures {
    proposed: usize,
    right: usize,
    right_or_uncertain: usize,
    actions: usize,
    high: usize,
    high_right: usize,
    truth: usize,
}

fn relation(key: &ForeignKey) -> (String, Vec<String>, String, Vec<String>) {
    let mut pairs: Vec<(String, String)> = key
        .columns
        .iter()
        .zip(&key.parent_columns)
        .map(|(own, other)| (own.as_str().to_lowercase(), other.as_str().to_lowercase()))
        .collect();
    pairs.sort();
    let (own, other) = pairs.into_iter().unzip();
    (key.child.table.to_string(), own, key.parent.table.to_string(), other)
}

fn compare(truth: &[ForeignKey], discovery: &Discovery) -> Figures {
    let wanted: BTreeSet<_> = truth.iter().map(relation).collect();
    let is_right = |found: &&Discovered| wanted.contains(&relation(&found.key));
    let right: Vec<&Discovered> = discovery.proposed.iter().filter(is_right).collect();
    let distinct =
        |found: &[&Discovered]| found.iter().map(|found| relation(&found.key)).collect::<BTreeSet<_>>().len();
    let uncertain: Vec<&Discovered> = discovery.uncertain.iter().filter(is_right).collect();
    let action = |found: &&&Discovered| {
        truth.iter().any(|key| relation(key) == relation(&found.key) && key.on_delete.means(found.key.on_delete))
    };
    let high: Vec<&Discovered> =
        discovery.proposed.iter().filter(|found| found.confidence == Confidence::High).collect();
    Figures {
        proposed: discovery.proposed.len(),
        right: distinct(&right),
        right_or_uncertain: distinct(&right) + distinct(&uncertain),
        actions: right.iter().filter(action).count(),
        high_right: high.iter().filter(|found| is_right(found)).count(),
        high: high.len(),
        truth: wanted.len(),
    }
}

fn share(part: usize, whole: usize) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.2}", part as f64 / whole as f64) }
}

fn row(name: &str, how: &str, figures: &Figures) -> String {
    format!(
        "| {name} | {how} | {} | {} | {} | {} | {} | {} | {} |",
        figures.truth,
        figures.proposed,
        share(figures.right, figures.proposed),
        share(figures.right, figures.truth),
        share(figures.high_right, figures.high),
        share(figures.right_or_uncertain, figures.truth),
        share(figures.actions, figures.right),
    )
}

fn target() -> Target {
    let url = std::env::var("HOLDFAST_TEST_MYSQL")
        .expect("HOLDFAST_TEST_MYSQL: run tests/discovery/run.sh, which starts a server");
    let rest = url.strip_prefix("mysql://").unwrap();
    let (login, place) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (place, options) = place.split_once('?').unwrap_or((place, ""));
    let (host, port) = place.rsplit_once(':').unwrap();
    Target {
        host: host.to_owned(),
        port: port.parse().unwrap(),
        socket: None,
        username: user.to_owned(),
        password: password.to_owned(),
        tls: if options.is_empty() { TlsMode::Required } else { TlsMode::Disabled },
        certificate_authority: None,
        connect_timeout: Duration::from_secs(10),
    }
}

async fn load(connection: &mut Connection, schema: &Identifier, source: &Source) {
    connection.run(&format!("DROP SCHEMA IF EXISTS {}", schema.quoted())).await.unwrap();
    connection.run(&format!("CREATE SCHEMA {}", schema.quoted())).await.unwrap();
    connection.run(&format!("USE {}", schema.quoted())).await.unwrap();
    connection
        .run("SET SESSION sql_mode = '', foreign_key_checks = 0, unique_checks = 0, autocommit = 0")
        .await
        .unwrap();
    for statement in source.statements() {
        let shown: String = statement.chars().take(300).collect();
        connection.run(&statement).await.unwrap_or_else(|error| panic!("{}: {shown}: {error}", source.name));
    }
    connection.run("COMMIT").await.unwrap();
    connection.run("SET SESSION autocommit = 1").await.unwrap();
}

/// Takes the keys away, and the indexes that the server made for them: their names would tell.
async fn strip(connection: &mut Connection, catalogue: &Catalogue) {
    for key in &catalogue.foreign_keys {
        let alter = format!("ALTER TABLE {}", key.child.quoted());
        connection.run(&format!("{alter} DROP FOREIGN KEY {}", key.name.quoted())).await.unwrap();
    }
    for key in &catalogue.foreign_keys {
        let table = catalogue.table(&key.child).unwrap();
        if table.indexes.iter().any(|index| index.name == key.name && !index.unique) {
            connection
                .run(&format!("ALTER TABLE {} DROP INDEX {}", key.child.quoted(), key.name.quoted()))
                .await
                .unwrap();
        }
    }
    for table in catalogue.tables.values() {
        connection.run(&format!("ANALYZE TABLE {}", table.name.quoted())).await.unwrap();
    }
}

/// Every false and every missed key, for whoever works on the rules.
fn explain(truth: &[ForeignKey], discovery: &Discovery) {
    let wanted: BTreeSet<_> = truth.iter().map(relation).collect();
    for found in discovery.proposed.iter().filter(|found| !wanted.contains(&relation(&found.key))) {
        println!("    false {:?} {:.2} {}", relation(&found.key), found.likelihood, found.reasons.join("; "));
    }
    let proposed: BTreeSet<_> = discovery.proposed.iter().map(|found| relation(&found.key)).collect();
    for key in wanted.difference(&proposed) {
        let uncertain = discovery.uncertain.iter().find(|found| relation(&found.key) == *key);
        println!("    missed {key:?} {:?}", uncertain.map(|found| found.likelihood));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_were_taken_away_are_found_again() {
    let target = target();
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    for source in SCHEMAS {
        let mut connection = target.connect(SessionLimits::default()).await.unwrap();
        let schema = Identifier::new(format!("holdfast_discovery_{}", source.name)).unwrap();
        load(&mut connection, &schema, source).await;
        let database = Database { target: target.clone(), schema: schema.clone() };
        let bounds = Bounds { time: Duration::from_secs(60), exact_rows: 100_000 };
        let (before, ..) = search(&database, bounds, Confidence::Medium, true).await.unwrap();
        strip(&mut connection, &before).await;
        for no_data in [true, false] {
            if !no_data && !source.has_data {
                continue;
            }
            let (after, discovery, seconds) = search(&database, bounds, Confidence::Medium, no_data).await.unwrap();
            assert!(after.foreign_keys.is_empty());
            let figures = compare(&before.foreign_keys, &discovery);
            let how = if no_data { "names, types".to_owned() } else { format!("and data, {seconds:.1} s") };
            rows.push(row(source.name, &how, &figures));
            if std::env::var_os("HOLDFAST_DISCOVERY_EXPLAIN").is_some() {
                println!("{} {how}", source.name);
                explain(&before.foreign_keys, &discovery);
            }
            let (precision, recall) = if no_data { source.least_by_names } else { source.least };
            let reached = |part: usize, whole: usize, least: f64| part as f64 >= least * whole as f64;
            if !reached(figures.right, figures.proposed, precision) || !reached(figures.right, figures.truth, recall) {
                failures.push(format!("{} ({how}): wanted precision {precision} and recall {recall}", source.name));
            }
        }
        connection.run(&format!("DROP SCHEMA {}", schema.quoted())).await.unwrap();
        connection.close().await.unwrap();
    }
    println!(
        "| schema | by | real keys | proposed | precision | recall | precision of high | recall with comments | onDelete as real |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    rows.iter().for_each(|row| println!("{row}"));
    assert!(failures.is_empty(), "{failures:#?}");
}
