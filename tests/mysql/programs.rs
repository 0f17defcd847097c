//! MySQL's own programs for whoever makes or restores a dump, out of the root filesystem that the test's server runs from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// mysqld, mysql and mysqldump as scripts in a folder, which start them by the loader of their own root: no other libraries are needed.
pub(crate) fn programs(folder: &Path) -> [PathBuf; 3] {
    let root = PathBuf::from(std::env::var("HOLDFAST_TEST_ROOT").expect("mysqld.sh sets HOLDFAST_TEST_ROOT"));
    let below = |path: &str| root.join(path).display().to_string();
    let libraries = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib/mysql/private"].map(below).join(":");
    let program = |name: &str, path: &str, more: &str| {
        let script = format!(
            "#!/bin/sh\nexec '{}' --library-path '{libraries}' '{}' \"$@\" {more}\n",
            below("lib64/ld-linux-x86-64.so.2"),
            below(path)
        );
        let place = folder.join(name);
        fs::write(&place, script).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
        place
    };
    let server = format!("--user=root --basedir='{}' --plugin-dir='{}'", below("usr"), below("usr/lib/mysql/plugin"));
    [
        program("mysqld", "usr/sbin/mysqld", &server),
        program("mysql", "usr/bin/mysql", ""),
        program("mysqldump", "usr/bin/mysqldump", ""),
    ]
}
