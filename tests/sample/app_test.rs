//! The application's own tests: what its code relies on once the database holds the relations. Each runs in a transaction that is
//! rolled back. `--sign-up bookmarks-first` is the sign-up of an older release, which saves imported bookmarks before the user
//! they belong to: it works as long as no key forbids it.

use clap::ValueEnum;
use sqlx::Connection;
use sqlx::mysql::MySqlConnection;

use super::connection::{Server, sql};
use super::failure::{Result, WhileDoing, server_error};
use super::schema::execute;

/// How a user with imported bookmarks is signed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SignUp {
    /// The user, then the bookmarks.
    UserFirst,
    /// The bookmarks, then the user: an older release.
    BookmarksFirst,
}

/// One statement of a test, and the error that it must meet, 0 for none.
type Step = (&'static str, u16);

/// Ids of 999998xxx: above every generated row and below every counter.
const TESTS: &[(&str, &[Step])] = &[
    (
        "closing an account removes what is the user's own and keeps the questions",
        &[
            (
                "INSERT INTO users (id, email) VALUES (999998001, 'leaver@test.example'), (999998002, 'stayer@test.example')",
                0,
            ),
            (
                "INSERT INTO user_sessions (id, user_id, token_hash, expires_at) VALUES (999998001, 999998001, '', '2031-01-01')",
                0,
            ),
            ("INSERT INTO queries (id, user_id, question) VALUES (999998001, 999998001, 'dose of adrenaline')", 0),
            ("DELETE FROM users WHERE id = 999998001", 0),
            // The session's id is free again; the question's is not.
            (
                "INSERT INTO user_sessions (id, user_id, token_hash, expires_at) VALUES (999998001, 999998002, '', '2031-01-01')",
                0,
            ),
            ("INSERT INTO queries (id, user_id, question) VALUES (999998001, 999998002, 'another question')", 1062),
        ],
    ),
    (
        "a county can be removed until it has a protocol",
        &[
            ("INSERT INTO counties (id, name) VALUES (999998001, 'Test County')", 0),
            ("DELETE FROM counties WHERE id = 999998001", 0),
            ("INSERT INTO counties (id, name) VALUES (999998001, 'Test County')", 0),
            ("INSERT INTO protocols (id, county_id, code, title) VALUES (999998001, 999998001, 'T-1', 'Airway')", 0),
            ("DELETE FROM counties WHERE id = 999998001", 1451),
        ],
    ),
    (
        "a plan with subscriptions cannot be withdrawn, nor its subscriber's account be closed",
        &[
            ("INSERT INTO plans (id, name) VALUES (999998001, 'Test plan')", 0),
            ("INSERT INTO users (id, email) VALUES (999998003, 'subscriber@test.example')", 0),
            (
                "INSERT INTO subscriptions (id, user_id, plan_id, starts_on) VALUES (999998001, 999998003, 999998001, '2026-01-01')",
                0,
            ),
            ("DELETE FROM plans WHERE id = 999998001", 1451),
            ("DELETE FROM users WHERE id = 999998003", 1451),
        ],
    ),
    (
        "withdrawing a version of a protocol removes its chunks and those of no other version",
        &[
            ("INSERT INTO counties (id, name) VALUES (999998001, 'Test County')", 0),
            ("INSERT INTO protocols (id, county_id, code, title) VALUES (999998001, 999998001, 'T-1', 'Airway')", 0),
            ("INSERT INTO protocol_versions (protocol_id, version) VALUES (999998001, 1), (999998001, 2)", 0),
            (
                "INSERT INTO protocol_chunks (id, protocol_id, version, content) \
                 VALUES (999998001, 999998001, 1, 'one'), (999998002, 999998001, 2, 'two')",
                0,
            ),
            ("DELETE FROM protocol_versions WHERE protocol_id = 999998001 AND version = 1", 0),
            (
                "INSERT INTO protocol_chunks (id, protocol_id, version, content) VALUES (999998001, 999998001, 2, 'again')",
                0,
            ),
            (
                "INSERT INTO protocol_chunks (id, protocol_id, version, content) VALUES (999998002, 999998001, 2, 'again')",
                1062,
            ),
        ],
    ),
    (
        "an account of a provider can be linked to a user once",
        &[
            ("INSERT INTO users (id, email) VALUES (999998004, 'linker@test.example')", 0),
            (
                "INSERT INTO user_auth_providers (id, user_id, provider, subject) VALUES (999998001, 999998004, 'google', 'a')",
                0,
            ),
            (
                "INSERT INTO user_auth_providers (id, user_id, provider, subject) VALUES (999998002, 999998004, 'google', 'b')",
                1062,
            ),
        ],
    ),
];

const SIGN_UP: &str = "signing up with imported bookmarks saves the user and the bookmarks";
const SIGN_UP_USER_FIRST: &[Step] = &[
    ("INSERT INTO users (id, email) VALUES (999998005, 'importer@test.example')", 0),
    ("INSERT INTO bookmarks (id, user_id, protocol_id) SELECT 999998001, 999998005, MIN(id) FROM protocols", 0),
];
/// The number was reserved for the user beforehand.
const SIGN_UP_BOOKMARKS_FIRST: &[Step] = &[
    ("INSERT INTO bookmarks (id, user_id, protocol_id) SELECT 999998001, 999998005, MIN(id) FROM protocols", 0),
    ("INSERT INTO users (id, email) VALUES (999998005, 'importer@test.example')", 0),
];

/// Attempts of a test that meets a deadlock with the running application.
const ATTEMPTS: usize = 3;

/// Runs all tests and prints each result; returns how many failed.
pub(crate) async fn run(server: &Server, sign_up: SignUp) -> Result<usize> {
    let mut connection = server.connect().await?;
    execute(&mut connection, "SET SESSION innodb_lock_wait_timeout = 10").await?;
    let sign_up = match sign_up {
        SignUp::UserFirst => SIGN_UP_USER_FIRST,
        SignUp::BookmarksFirst => SIGN_UP_BOOKMARKS_FIRST,
    };
    let mut failed = 0;
    for (name, steps) in TESTS.iter().copied().chain([(SIGN_UP, sign_up)]) {
        match try_steps(&mut connection, steps).await? {
            None => println!("ok      {name}"),
            Some(difference) => {
                failed += 1;
                println!("FAILED  {name}\n        {difference}");
            }
        }
    }
    connection.close().await.while_doing("closing the connection")?;
    println!("{} passed, {failed} failed", TESTS.len() + 1 - failed);
    Ok(failed)
}

/// Runs the steps in a transaction that is rolled back; returns the first that went otherwise than it must.
async fn try_steps(connection: &mut MySqlConnection, steps: &[Step]) -> Result<Option<String>> {
    let mut difference = None;
    for _ in 0..ATTEMPTS {
        execute(connection, "START TRANSACTION").await?;
        let mut deadlock = false;
        difference = None;
        for (statement, wanted) in steps {
            let result = sqlx::raw_sql(sql(*statement)).execute(&mut *connection).await;
            let (met, message) = match &result {
                Ok(_) => (0, "it succeeded".to_owned()),
                Err(error) => match server_error(error) {
                    Some(code) => (code, error.to_string()),
                    None => return result.map(|_| None).while_doing(*statement),
                },
            };
            if met != *wanted {
                deadlock = met == 1213;
                let wanted = if *wanted == 0 { "succeed".to_owned() } else { format!("meet error {wanted}") };
                difference = Some(format!("{statement}: must {wanted}, but {message}"));
                break;
            }
        }
        execute(connection, "ROLLBACK").await?;
        if !deadlock {
            break;
        }
    }
    Ok(difference)
}
