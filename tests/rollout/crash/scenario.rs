//! The rollout that is interrupted: small tables, and every kind of operation that a plan can hold, in 2 stages.

use holdfast::api::SchemaMigrationSpec;
use serde_json::{Value, json};

use crate::migration;
use crate::sql::Dialect;
use crate::values::{KeyKind, Payload};
use crate::world::{Act, Code, Column, Kind, Orphans, Relation, Table, Unique, Via, World};

const ROWS: u64 = 24;
const USERS: usize = 0;
const AGENCIES: usize = 1;
const FOLDERS: usize = 2;
const BOOKMARKS: usize = 3;
const LOGS: usize = 4;
const NOTES: usize = 5;

/// Every table begins with these: id, slot, tag.
const ID: usize = 0;
const SLOT: usize = 1;
const OWN: usize = 3;

fn table(name: &str, id: KeyKind, auto_increment: bool, further: &[(&str, Kind)]) -> Table {
    let column = |(name, kind): (&str, Kind), nullable| Column { name: name.to_owned(), kind, nullable };
    let mut columns = vec![
        column(("id", Kind::Key(id)), false),
        column(("slot", Kind::Slot), false),
        column(("tag", Kind::Tag), false),
    ];
    columns.extend(further.iter().map(|&further| column(further, true)));
    let place = |wanted: Kind| columns.iter().position(|column| column.kind == wanted);
    Table {
        name: name.to_owned(),
        primary: vec![ID],
        auto_increment,
        tag: 2,
        slot: SLOT,
        code: (name == "users").then_some(Code::Wanted(OWN)),
        label: place(Kind::Label),
        rows: ROWS,
        indexes: Vec::new(),
        columns,
    }
}

fn relation(name: &str, (child, columns): (usize, &[usize]), parent: usize, stage: usize) -> Relation {
    Relation {
        name: name.to_owned(),
        child,
        columns: columns.to_vec(),
        parent,
        parent_columns: vec![ID],
        via: Via::Column,
        orphans: Orphans::Delete,
        on_delete: Act::Cascade,
        on_update: Act::NoAction,
        exists: false,
        wanted: true,
        stage,
        dirty: true,
    }
}

/// The tables, their rows' relations, and what they should become.
pub(crate) fn world() -> World {
    let tables = vec![
        table(
            "users",
            KeyKind::UnsignedBig,
            true,
            &[("email", Kind::Key(KeyKind::Text)), ("settings", Kind::Payload(Payload::Json))],
        ),
        table("agencies", KeyKind::UnsignedInt, false, &[("name", Kind::Label)]),
        table(
            "folders",
            KeyKind::Int,
            true,
            &[("owner_id", Kind::Key(KeyKind::UnsignedInt)), ("parent_id", Kind::Key(KeyKind::Int))],
        ),
        table(
            "bookmarks",
            KeyKind::Big,
            true,
            &[
                ("user_id", Kind::Key(KeyKind::UnsignedBig)),
                ("folder_id", Kind::Key(KeyKind::Int)),
                ("weight", Kind::Payload(Payload::Decimal)),
                ("rank", Kind::Payload(Payload::Stored)),
            ],
        ),
        table(
            "logs",
            KeyKind::ExactText,
            false,
            &[
                ("agency_name", Kind::Matcher),
                ("user_id", Kind::Key(KeyKind::UnsignedBig)),
                ("touched_at", Kind::Payload(Payload::Touched)),
                ("flags", Kind::Payload(Payload::Set)),
            ],
        ),
        table(
            "notes",
            KeyKind::Int,
            false,
            &[("bookmark_id", Kind::Key(KeyKind::Big)), ("log_id", Kind::Key(KeyKind::ExactText))],
        ),
    ];
    let set_null = |relation: Relation| Relation { orphans: Orphans::SetNull, on_delete: Act::SetNull, ..relation };
    let relations = vec![
        // Goes with its bookmark while the bookmarks are cleaned up.
        Relation {
            exists: true,
            wanted: false,
            dirty: false,
            orphans: Orphans::Fail,
            ..relation("fk_notes_bookmark", (NOTES, &[OWN]), BOOKMARKS, 0)
        },
        Relation {
            via: Via::Widened(KeyKind::UnsignedBig),
            ..relation("fk_folders_owner", (FOLDERS, &[OWN]), USERS, 0)
        },
        relation("fk_bookmarks_user", (BOOKMARKS, &[OWN]), USERS, 0),
        set_null(relation("fk_logs_user", (LOGS, &[OWN + 1]), USERS, 0)),
        set_null(relation("fk_folders_parent", (FOLDERS, &[OWN + 1]), FOLDERS, 1)),
        set_null(relation("fk_bookmarks_folder", (BOOKMARKS, &[OWN + 1]), FOLDERS, 1)),
        Relation { on_delete: Act::Restrict, ..relation("fk_notes_log", (NOTES, &[OWN + 1]), LOGS, 1) },
        set_null(Relation {
            via: Via::Added { column: "agency_id".to_owned(), matcher: OWN },
            ..relation("fk_logs_agency", (LOGS, &[]), AGENCIES, 1)
        }),
    ];
    let unique = |name: &str, table, columns: &[usize], policy, order_by| Unique {
        name: name.to_owned(),
        table,
        columns: columns.to_vec(),
        policy,
        order_by,
    };
    let uniques = vec![
        unique("uq_users_email", USERS, &[OWN], "KeepOldest", ID),
        unique("uq_bookmarks_user_slot", BOOKMARKS, &[OWN, SLOT], "KeepNewest", ID),
    ];
    // The server is MySQL of the latest version: only there are engine and server killed.
    let dialect = Dialect { mariadb: false, invisible_columns: true };
    World { dialect, tables, relations, uniques, stages: 2 }
}

/// What is asked for; beside what random rollouts have, a SET that grows and statements of the user's own.
pub(crate) fn specification(world: &World, schema: &str, journal: &str) -> SchemaMigrationSpec {
    let mut spec = serde_json::to_value(migration::specification(world, schema, journal)).unwrap();
    let own: Value = json!([
        {"name": "grow-flags", "table": "logs", "modifyColumn": {"name": "flags", "type": "SET('x','y','z','more')"}},
        {"name": "note-length", "sql": {
            "up": "ALTER TABLE notes ADD COLUMN length INT NULL, ALGORITHM=INSTANT;\n\
                   UPDATE notes SET length = slot + 1 WHERE length IS NULL LIMIT 10;\n\
                   CREATE INDEX by_length ON notes (length) ALGORITHM=INPLACE LOCK=NONE;",
            "down": "DROP INDEX by_length ON notes ALGORITHM=INPLACE LOCK=NONE;\n\
                     ALTER TABLE notes DROP COLUMN length, ALGORITHM=INSTANT",
            "verify": "SELECT id FROM notes WHERE length < slot",
        }},
    ]);
    let fixes = spec["typeFixes"].as_array_mut().unwrap();
    fixes.extend(own.as_array().unwrap().iter().cloned());
    // The SET grows at once and shrinks by a copy.
    spec["acknowledge"] = json!([{"hazard": "OfflineInverse", "table": "logs"}]);
    serde_json::from_value(spec).unwrap()
}
