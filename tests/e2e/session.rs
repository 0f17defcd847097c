//! A session of somebody else's on the database, which holds something as long as a case wants it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use super::harness::Outcome;
use super::rollout::Rollout;

/// What the answer to the last statement begins with.
const MARK: &str = "connection ";

/// The session. Dropped, it goes away.
pub(crate) struct Session {
    client: Child,
    connection: String,
}

impl Session {
    /// One that has run statements, and stays.
    pub(crate) fn holding(case: &Rollout, statements: &str) -> Outcome<Self> {
        let kubectl = &case.migration.kubectl;
        let client = "MYSQL_PWD=$(cat /etc/mysql-root/password) exec mysql --user=root --batch --skip-column-names --unbuffered \"$0\"";
        let mut client = Command::new("kubectl")
            .args(["--namespace", &kubectl.namespace, "exec", "--stdin", "mysql-0", "--container", "mysql", "--"])
            .args(["sh", "-c", client, &case.database.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("kubectl exec: {error}"))?;
        let statements = format!("{statements}; SELECT CONCAT('{MARK}', CONNECTION_ID());\n");
        let (Some(stdin), Some(stdout)) = (&mut client.stdin, client.stdout.take()) else {
            return Err("kubectl exec has no input or output".to_owned());
        };
        stdin.write_all(statements.as_bytes()).map_err(|error| format!("running {statements:?}: {error}"))?;
        let mut answers = BufReader::new(stdout).lines().map_while(Result::ok);
        match answers.find_map(|line| line.strip_prefix(MARK).map(str::to_owned)) {
            Some(connection) => Ok(Self { client, connection }),
            None => Err(format!("{statements:?} ended the session")),
        }
    }

    /// How the operator names it.
    pub(crate) fn name(&self) -> String {
        format!("connection {} (root@localhost)", self.connection)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its server ends the session's transaction and gives its locks back.
        drop(self.client.stdin.take());
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}
