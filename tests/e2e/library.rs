//! A small application schema without a foreign key, with known defects, and the migration that adds the keys.

use serde_json::{Value, json};

/// Bookmarks whose user is missing.
pub(crate) const BOOKMARKS_WITHOUT_USER: u64 = 30;
/// Feedback whose user is missing.
pub(crate) const FEEDBACK_WITHOUT_USER: u64 = 10;
/// Rows that repeat the user and provider of another one.
pub(crate) const DUPLICATE_PROVIDERS: u64 = 15;

/// Creates and fills the tables, some thousand rows, in the schema that is in use.
pub(crate) const TABLES: &str = "
SET SESSION cte_max_recursion_depth = 10000;
CREATE TABLE users (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, email VARCHAR(190) NOT NULL);
CREATE TABLE agencies (id INT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL);
CREATE TABLE protocols (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, agency_id INT UNSIGNED NOT NULL, title VARCHAR(200) NOT NULL);
CREATE TABLE bookmarks (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, user_id BIGINT UNSIGNED NOT NULL,
  protocol_id BIGINT UNSIGNED NOT NULL, note VARCHAR(200) NOT NULL DEFAULT '', KEY idx_bookmarks_user (user_id));
CREATE TABLE feedback (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, user_id BIGINT UNSIGNED NULL, body VARCHAR(200) NOT NULL);
CREATE TABLE auth_providers (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, user_id BIGINT UNSIGNED NOT NULL,
  provider VARCHAR(30) NOT NULL);
INSERT INTO users (id, email) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
  SELECT i, CONCAT('user', i, '@example.test') FROM n;
INSERT INTO agencies (id, name) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
  SELECT i, CONCAT('agency ', i) FROM n;
INSERT INTO protocols (id, agency_id, title) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
  SELECT i, 1 + i % 20, CONCAT('protocol ', i) FROM n;
INSERT INTO bookmarks (id, user_id, protocol_id, note) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
  SELECT i, IF(i % 100 = 7, 500000 + i, 1 + i % 1000), 1 + i % 300, REPEAT('note ', i % 20) FROM n;
INSERT INTO feedback (id, user_id, body) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
  SELECT i, CASE WHEN i % 100 = 3 THEN 600000 + i WHEN i % 10 = 0 THEN NULL ELSE 1 + i % 1000 END, CONCAT('feedback ', i) FROM n;
INSERT INTO auth_providers (id, user_id, provider) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
  SELECT i, i, 'password' FROM n;
INSERT INTO auth_providers (id, user_id, provider) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 15)
  SELECT 1000 + i, i, 'password' FROM n;
";

/// The migration of a schema with these tables: a unique constraint and four keys in two stages, without a gate.
pub(crate) fn migration(name: &str, schema: &str) -> Value {
    let key = |name: &str, table: &str, column: &str, parent: &str, on_delete: &str, orphans: &str| {
        json!({"name": name, "table": table, "columns": [column], "references": {"table": parent, "columns": ["id"]},
            "onDelete": on_delete, "orphans": orphans})
    };
    json!({
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "SchemaMigration",
        "metadata": {"name": name},
        "spec": {
            "database": {
                "host": "mysql",
                "name": schema,
                "credentialsSecretRef": {"name": "shop-migrator"},
                "tls": {"mode": "VerifyIdentity", "caSecretRef": {"name": "mysql-ca", "key": "ca.crt"}}
            },
            "jobs": {"credentialsSecretRef": {"name": "shop-application"}},
            "backup": {
                "type": "Job",
                "job": {
                    "tool": "Mysqldump",
                    "image": "holdfast.test/mysql:9.7",
                    "destination": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "backups"}}
                },
                "verification": "Inspect"
            },
            "rehearsal": {"enabled": false},
            "uniqueConstraints": [
                {"name": "uq_auth_providers", "table": "auth_providers", "columns": ["user_id", "provider"],
                 "duplicates": {"policy": "KeepNewest", "orderBy": "id"}}
            ],
            "stages": [
                {"name": "users", "foreignKeys": [
                    key("fk_bookmarks_user", "bookmarks", "user_id", "users", "Cascade", "Delete"),
                    key("fk_feedback_user", "feedback", "user_id", "users", "SetNull", "SetNull"),
                    key("fk_auth_providers_user", "auth_providers", "user_id", "users", "Cascade", "Fail")
                ]},
                {"name": "remaining", "foreignKeys": [
                    key("fk_bookmarks_protocol", "bookmarks", "protocol_id", "protocols", "Restrict", "Fail")
                ]}
            ],
            "gates": []
        }
    })
}
