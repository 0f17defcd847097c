//! `make faults`: real faults on the local cluster. The operator is installed from its charts, an application is at work on the
//! database, and in the middle of a migration a process is killed, a connection cut, a Secret deleted. After each, the migration comes to
//! one of its ends by itself, and a judge that shares no code with the operator finds nothing lost. `make test-faults` tries a few.
//!
//! Needs root on the machine of the local cluster: it signals the cluster's processes and sets rules in the operator's own network
//! namespace. Every fault is taken away again, also where the campaign ends early.

mod cases;
mod faults;
#[path = "../harness/mod.rs"]
mod harness;
mod judge;
#[allow(dead_code)]
#[path = "../e2e/library.rs"]
mod library;
mod processes;
mod report;
mod rollout;
mod server;
mod traffic;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use serde_json::json;

use harness::database::Database;
use harness::kubectl::run;
use harness::shop::Shop;
use harness::{Outcome, operator};
use rollout::Place;
use server::Server;

const NAMESPACE: &str = "holdfast-faults";
const OPERATOR_IMAGE: &str = "holdfast.test/operator:dev";

/// Saves a bookmark before its user, which the keys forbid.
const EARLY_BOOKMARK: &str = "
MYSQL_PWD=$(cat /var/run/holdfast/credentials/password) exec mysql --no-defaults --host=\"$MYSQL_HOST\" --port=\"$MYSQL_TCP_PORT\" \
  --user=\"$(cat /var/run/holdfast/credentials/username)\" --ssl-mode=VERIFY_IDENTITY --ssl-ca=/var/run/holdfast/tls/ca.crt \
  --execute='START TRANSACTION; INSERT INTO bookmarks (user_id, protocol_id) VALUES (4000000, 1); ROLLBACK' \"$MYSQL_DATABASE\"
";

/// Tries faults in the middle of migrations.
#[derive(Debug, Parser)]
struct Arguments {
    /// Try only the few cases of every `make test`.
    #[arg(long)]
    spread: bool,
    /// Try only cases whose fault or moment holds this text.
    #[arg(long)]
    only: Option<String>,
    /// Write docs/faults.md, from what was measured last of every case. Where all are tried, only what holds now counts.
    #[arg(long)]
    write: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match campaign(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::FAILURE
        }
    }
}

fn campaign(arguments: &Arguments) -> Outcome<bool> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| format!("starting the runtime: {error}"))?;
    end_on_signals(&runtime)?;
    let begun = Instant::now();
    let place = prepare(runtime)?;
    println!("prepared in {} s\n{}", begun.elapsed().as_secs(), report::head());
    let wanted = |case: &cases::Case| {
        let text = format!("{} {}", case.fault.name(), case.when.name());
        (!arguments.spread || case.spread) && arguments.only.as_ref().is_none_or(|only| text.contains(only.as_str()))
    };
    if arguments.only.is_none() && !arguments.spread {
        report::forget()?;
    }
    let (mut held, mut failed) = (0, 0);
    for (number, case) in cases::CASES.iter().enumerate().filter(|(_, case)| wanted(case)) {
        let result = place.run(number, *case);
        println!("{}", report::line(*case, &result));
        faults::lift_all()?;
        match result {
            Ok(judged) => {
                held += 1;
                report::keep(*case, &judged)?;
            }
            Err(_) => {
                failed += 1;
                println!("{}", operator::log(15).unwrap_or_else(|error| error));
            }
        }
        faults::recover(&place.kubectl)?;
    }
    println!("{held} cases held, {failed} did not, in {} s", begun.elapsed().as_secs());
    if arguments.write {
        report::write()?;
    }
    Ok(failed == 0 && held > 0)
}

/// On Ctrl-C or an end from outside no fault stays behind.
fn end_on_signals(runtime: &tokio::runtime::Runtime) -> Outcome<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let _inside = runtime.enter();
    let listen = |kind| signal(kind).map_err(|error| format!("listening for signals: {error}"));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    runtime.spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if let Err(error) = faults::lift_all() {
            eprintln!("faults: not everything could be taken away: {error}");
        }
        std::process::exit(130);
    });
    Ok(())
}

/// The operator, a database and what migrations refer to; also where an earlier campaign has left its own.
fn prepare(runtime: tokio::runtime::Runtime) -> Outcome<Place> {
    let shop = Shop::new(NAMESPACE);
    std::thread::scope(|scope| {
        let database = scope.spawn(|| shop.start_database());
        let sum = run("sha256sum", &[env!("CARGO_BIN_EXE_holdfast")], None)?;
        let annotation = format!("podAnnotations.program={}", sum.get(..16).unwrap_or_default());
        operator::install(OPERATOR_IMAGE, &[&annotation])?;
        database.join().map_err(|_| "starting the database panicked".to_owned())?
    })?;
    let kubectl = shop.kubectl;
    let leftovers = "schemamigration,migrationapproval,job";
    kubectl.run(&["delete", leftovers, "--all", "--wait", "--timeout=120s"])?;
    let server = Database { kubectl: kubectl.clone(), name: "mysql".to_owned() };
    server.sql(
        "DROP DATABASE IF EXISTS holdfast; \
         GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES \
         ON `fault\\_%`.* TO 'migrator'@'%'; GRANT SELECT, INSERT, UPDATE, DELETE ON `fault\\_%`.* TO 'application'@'%'",
    )?;
    let template = json!({
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "early-bookmark"},
        "template": {"spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
            "containers": [{"name": "test", "image": "holdfast.test/mysql:9.7", "command": ["bash", "-euc", EARLY_BOOKMARK]}]
        }}
    });
    kubectl.apply(&template.to_string())?;
    let (root, application) = (Server::of(&kubectl, "mysql-root")?, Server::of(&kubectl, "shop-application")?);
    faults::recover(&kubectl)?;
    Ok(Place { kubectl, root, application, runtime })
}
