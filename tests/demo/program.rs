//! `make demo`: Holdfast takes the sample application's database, dirty and busy, through a whole rollout on a real cluster; then the
//! same rollout meets an application that is not ready for it and puts everything back. A person watches; the last two lines are
//! for machines, and the exit status is 0 only if all that they say holds.

mod acts;
mod board;
#[path = "../harness/mod.rs"]
mod harness;
mod report;

use std::process::ExitCode;

use clap::Parser;

use board::Board;
use harness::shop::{Images, Shop};
use harness::{Outcome, operator};

/// Shows a rollout and an automatic rollback.
#[derive(Debug, Parser)]
struct Arguments {
    /// Namespace of the sample application. It is made, and deleted first and last; one that was not made by the demo is left alone.
    #[arg(long, default_value = "holdfast-demo")]
    namespace: String,
    /// About how many rows the sample's tables get.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Seed of the sample's data.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The operator's image, where the demo installs the operator.
    #[arg(long, env = "OPERATOR_IMAGE", default_value = "holdfast.test/operator:dev")]
    operator_image: String,
    /// The image of what fills the sample's database and keeps it busy.
    #[arg(long, env = "SAMPLE_IMAGE", default_value = "holdfast.test/sample:dev")]
    sample_image: String,
    /// The sample application's image.
    #[arg(long, env = "APPLICATION_IMAGE", default_value = "holdfast.test/application:dev")]
    application_image: String,
    /// The database's image: the official one, 8.0 or later, or one with its interface.
    #[arg(long, env = "MYSQL_IMAGE", default_value = "holdfast.test/mysql:9.7")]
    mysql_image: String,
    /// Leave the namespace and the operator where they are. Set where the whole cluster goes after the demo.
    #[arg(long, env = "HOLDFAST_CLUSTER_ENDS")]
    keep: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut board = Board::new();
    let shop = Shop {
        images: Images {
            sample: arguments.sample_image.clone(),
            application: arguments.application_image.clone(),
            mysql: arguments.mysql_image.clone(),
        },
        ..Shop::new(&arguments.namespace)
    };
    let mut installed = false;
    let result = demo(&arguments, &mut board, &shop, &mut installed);
    if let Err(error) = &result {
        board.line(&format!("✗ {error}"));
        match operator::log(15) {
            Ok(log) => board.block(&log),
            Err(error) => board.line(&format!("the operator's log could not be read: {error}")),
        }
    }
    let left = if arguments.keep { Ok(()) } else { take_down(&shop, installed) };
    if let Err(error) = &left {
        eprintln!("demo: not everything could be removed: {error}");
    }
    let Ok(lines) = result else { return ExitCode::FAILURE };
    println!();
    for (line, _) in &lines {
        println!("{line}");
    }
    if left.is_ok() && lines.iter().all(|(_, holds)| *holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn demo(arguments: &Arguments, board: &mut Board, shop: &Shop, installed: &mut bool) -> Outcome<Vec<(String, bool)>> {
    board.heading("Setting the scene");
    shop.kubectl.delete_namespace()?;
    let there = operator::is_installed()?;
    *installed = !there;
    let data = acts::Data { rows: arguments.rows, seed: arguments.seed };
    // The database starts and is filled while the operator starts.
    let (operator, filled) = std::thread::scope(|scope| {
        let database = scope.spawn(|| {
            shop.start_database()?;
            let truth = shop.generate(data.rows, data.seed)?;
            Ok((truth, shop.database().snapshot()?))
        });
        let operator = if there { Ok(()) } else { operator::install(&arguments.operator_image, &[]) };
        (operator, acts::joined(database.join(), "starting the database"))
    });
    operator?;
    board.line(if there {
        "✓ the operator that is installed already is used as it is"
    } else {
        "✓ the operator runs, installed from its charts"
    });
    let (truth, fresh) = filled?;
    board.line("✓ MySQL runs, with TLS, and holds the sample application's data");
    Ok(vec![acts::first(&truth, &fresh, board, shop)?, acts::second(data, &fresh, board, shop)?])
}

/// Removes what was made, the operator only where it was installed here.
fn take_down(shop: &Shop, installed: bool) -> Outcome<()> {
    shop.kubectl.delete_namespace()?;
    if installed { operator::uninstall() } else { Ok(()) }
}
