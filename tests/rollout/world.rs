//! A random schema with the relations that its rows mean to keep: what exists before the migration, and what the migration is asked for.

use fastrand::Rng;

use crate::names::Names;
use crate::sql::{Dialect, list, quoted};
use crate::values::{KeyKind, Payload, shown_key};

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Part of a key, or of a reference to one.
    Key(KeyKind),
    /// Who wrote the row last.
    Tag,
    /// A number without meaning, which some unique constraints include.
    Slot,
    /// A name by which rows of another table know this one.
    Label,
    /// Such a name.
    Matcher,
    /// Freight.
    Payload(Payload),
}

#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
}

impl Column {
    /// Whether the server computes its values.
    pub(crate) fn generated(&self) -> bool {
        matches!(self.kind, Kind::Payload(payload) if payload.generated())
    }

    /// An expression that shows the whole value as text.
    pub(crate) fn shown(&self) -> String {
        match self.kind {
            Kind::Key(kind) => shown_key(kind, &self.name),
            Kind::Tag | Kind::Label | Kind::Matcher => format!("HEX({})", quoted(&self.name)),
            Kind::Slot => format!("CAST({} AS CHAR)", quoted(&self.name)),
            Kind::Payload(payload) => payload.shown(&self.name),
        }
    }
}

/// Whether rows of a table are told apart by a second column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Its values are unique, and a constraint says so.
    Unique(usize),
    /// They should be, and the migration is asked for the constraint.
    Wanted(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// Places of the primary key's columns; none: no primary key.
    pub(crate) primary: Vec<usize>,
    pub(crate) auto_increment: bool,
    pub(crate) tag: usize,
    pub(crate) slot: usize,
    pub(crate) code: Option<Code>,
    pub(crate) label: Option<usize>,
    /// Rows before the migration, numbered from 1.
    pub(crate) rows: u64,
    /// Further parts of CREATE TABLE.
    pub(crate) indexes: Vec<String>,
}

/// How a reference comes to have its column.
#[derive(Debug, Clone)]
pub(crate) enum Via {
    /// It is there.
    Column,
    /// It is there with a type that the migration changes.
    Widened(KeyKind),
    /// The migration adds it and fills it by a name (its own column, the parent's).
    Added { column: String, matcher: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orphans {
    Fail,
    Delete,
    SetNull,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Restrict,
    NoAction,
    Cascade,
    SetNull,
}

impl Act {
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::Restrict => "RESTRICT",
            Self::NoAction => "NO ACTION",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
        }
    }
}

/// A relation between two tables.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub(crate) name: String,
    pub(crate) child: usize,
    /// Empty for [`Via::Added`].
    pub(crate) columns: Vec<usize>,
    pub(crate) parent: usize,
    pub(crate) parent_columns: Vec<usize>,
    pub(crate) via: Via,
    pub(crate) orphans: Orphans,
    pub(crate) on_delete: Act,
    pub(crate) on_update: Act,
    /// A foreign key holds it before the migration.
    pub(crate) exists: bool,
    /// The migration names it.
    pub(crate) wanted: bool,
    pub(crate) stage: usize,
    /// Whether there may be children without a parent.
    pub(crate) dirty: bool,
}

/// A unique constraint that the migration is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Unique {
    pub(crate) name: String,
    pub(crate) table: usize,
    pub(crate) columns: Vec<usize>,
    pub(crate) policy: &'static str,
    pub(crate) order_by: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) dialect: Dialect,
    pub(crate) tables: Vec<Table>,
    pub(crate) relations: Vec<Relation>,
    pub(crate) uniques: Vec<Unique>,
    pub(crate) stages: usize,
}

impl World {
    /// Names of some columns of a table.
    pub(crate) fn column_names(&self, table: usize, columns: &[usize]) -> Vec<&str> {
        columns.iter().map(|&place| self.tables[table].columns[place].name.as_str()).collect()
    }

    /// Names of a relation's own columns, those that the migration adds included.
    pub(crate) fn child_columns<'a>(&'a self, relation: &'a Relation) -> Vec<&'a str> {
        match &relation.via {
            Via::Added { column, .. } => vec![column],
            _ => self.column_names(relation.child, &relation.columns),
        }
    }

    pub(crate) fn parent_columns(&self, relation: &Relation) -> Vec<&str> {
        self.column_names(relation.parent, &relation.parent_columns)
    }

    /// A random one with at most `most` tables.
    pub(crate) fn random(random: &mut Rng, most: usize, dialect: Dialect) -> Self {
        let mut names = Names::new();
        // Small ones are quick, and most defects need only a few tables.
        let count = if random.u32(0..12) > 0 { random.usize(1..=most.min(6)) } else { random.usize(1..=most) };
        let mut world = Self {
            dialect,
            tables: Vec::new(),
            relations: Vec::new(),
            uniques: Vec::new(),
            stages: random.usize(1..=3),
        };
        for _ in 0..count {
            let table = world.random_table(random, &mut names);
            world.tables.push(table);
        }
        for _ in 0..random.usize(count.div_ceil(2)..=3 * count / 2 + 1) {
            world.relate(random, &mut names);
        }
        for table in 0..count {
            world.want_uniques(random, &mut names, table);
        }
        for relation in &world.relations {
            let table = &mut world.tables[relation.child];
            if matches!(relation.via, Via::Added { .. }) {
                continue;
            }
            let columns = relation.columns.iter().map(|&place| table.columns[place].name.clone()).collect::<Vec<_>>();
            let columns = list(columns.iter().map(String::as_str));
            let name = names.next(random, "ix");
            match random.u32(0..8) {
                0..=3 => table.indexes.push(format!("KEY {} ({columns})", quoted(&name))),
                4 => table.indexes.push(format!(
                    "KEY {} ({columns}, {})",
                    quoted(&name),
                    quoted(&table.columns[table.slot].name)
                )),
                // One that cannot carry a foreign key.
                5 => {
                    let unseen = if dialect.mariadb { "IGNORED" } else { "INVISIBLE" };
                    table.indexes.push(format!("KEY {} ({columns}) {unseen}", quoted(&name)));
                }
                _ => {}
            }
        }
        world
    }

    fn random_table(&self, random: &mut Rng, names: &mut Names) -> Table {
        let mut columns = Vec::new();
        let mut add = |names: &mut Names, random: &mut Rng, stem: &str, kind: Kind, nullable: bool| {
            columns.push(Column { name: names.next(random, stem), kind, nullable });
            columns.len() - 1
        };
        let parts = match random.u32(0..20) {
            0 if random.bool() => 0,
            1..=3 => 2,
            4 => 3,
            _ => 1,
        };
        let primary: Vec<usize> = (0..parts)
            .map(|_| {
                let kind = Kind::Key(KeyKind::random(random));
                add(names, random, "id", kind, false)
            })
            .collect();
        let slot = add(names, random, "slot", Kind::Slot, false);
        let tag = add(names, random, "tag", Kind::Tag, false);
        let code = (parts > 0 && random.u32(0..10) < 4).then(|| {
            let nullable = random.bool();
            let kind = Kind::Key(KeyKind::random(random));
            let place = add(names, random, "code", kind, nullable);
            if random.bool() { Code::Unique(place) } else { Code::Wanted(place) }
        });
        let label = (random.u32(0..10) < 3).then(|| add(names, random, "label", Kind::Label, true));
        for _ in 0..random.u32(0..5) {
            let payload = Payload::ALL[random.usize(..Payload::ALL.len())];
            add(names, random, "c", Kind::Payload(payload), true);
        }
        let auto_increment = matches!(primary[..], [only] if matches!(columns[only].kind, Kind::Key(kind) if kind.is_integer()))
            && random.bool();
        let mut indexes = Vec::new();
        if let Some(Code::Unique(place)) = code {
            indexes.push(format!(
                "UNIQUE KEY {} ({})",
                quoted(&names.next(random, "uq")),
                quoted(&columns[place].name)
            ));
        }
        let rows = if self.tables.len() > 8 { random.u64(3..=12) } else { random.u64(3..=40) };
        Table { name: names.next(random, "t"), columns, primary, auto_increment, tag, slot, code, label, rows, indexes }
    }

    fn relate(&mut self, random: &mut Rng, names: &mut Names) {
        let (child, parent) = (random.usize(..self.tables.len()), random.usize(..self.tables.len()));
        let to = &self.tables[parent];
        let parent_columns = match to.code {
            Some(Code::Unique(place) | Code::Wanted(place)) if random.bool() => vec![place],
            _ if to.primary.is_empty() => return,
            _ => to.primary.clone(),
        };
        let kinds: Vec<KeyKind> = parent_columns
            .iter()
            .map(|&place| match to.columns[place].kind {
                Kind::Key(kind) => kind,
                other => unreachable!("{other:?} is no key"),
            })
            .collect();
        // MySQL 9.7 takes a row for its own parent as soon as the first column of a composite reference equals the row's own: such a
        // key does not hold (measured on 9.7.4), which the probes say.
        if child == parent && kinds.len() > 1 {
            return;
        }
        let label = to.label;
        let mut exists =
            random.u32(0..100) < 12 && !matches!(to.code, Some(Code::Wanted(place)) if parent_columns == [place]);
        let own = &mut self.tables[child];
        let mut via = Via::Column;
        let mut columns = Vec::new();
        let fits = |columns: &[Column], places: &[usize]| {
            places.len() == kinds.len()
                && places.iter().zip(&kinds).all(|(&place, &kind)| columns[place].kind == Kind::Key(kind))
        };
        let nullable = random.u32(0..10) < 7;
        let shared = self.relations.iter().find(|other| {
            other.child == child
                && !other.columns.is_empty()
                && other.parent_columns != parent_columns
                && fits(&own.columns, &other.columns)
                && matches!(other.via, Via::Column)
                && !other.exists
        });
        match random.u32(0..20) {
            // A column that two relations share.
            0..=1 if shared.is_some() => {
                columns = shared.map(|other| other.columns.clone()).unwrap_or_default();
                exists = false;
            }
            // A table that extends another: its primary key is the reference.
            2..=3 if child != parent && fits(&own.columns, &own.primary) => {
                columns = own.primary.clone();
                exists = false;
            }
            4..=5 if kinds.len() == 1 && label.is_some() && !own.primary.is_empty() => {
                own.columns.push(Column { name: names.next(random, "by"), kind: Kind::Matcher, nullable: true });
                via = Via::Added { column: names.next(random, "added"), matcher: own.columns.len() - 1 };
                exists = false;
            }
            6..=7 if kinds.len() == 1 && kinds[0].narrower().is_some() => {
                let narrow = kinds[0].narrower().unwrap_or(kinds[0]);
                own.columns.push(Column { name: names.next(random, "ref"), kind: Kind::Key(narrow), nullable });
                columns = vec![own.columns.len() - 1];
                via = Via::Widened(kinds[0]);
                exists = false;
            }
            _ => {
                for &kind in &kinds {
                    own.columns.push(Column { name: names.next(random, "ref"), kind: Kind::Key(kind), nullable });
                    columns.push(own.columns.len() - 1);
                }
            }
        }
        let nullable = matches!(via, Via::Added { .. }) || columns.iter().all(|&place| own.columns[place].nullable);
        let again = |other: &Relation| {
            other.child == child && other.parent == parent && other.columns == columns && !columns.is_empty()
        };
        if self.relations.iter().any(again) {
            return;
        }
        let orphans = match random.u32(0..10) {
            _ if exists || own.primary.is_empty() => Orphans::Fail,
            0 if random.u32(0..5) == 0 => Orphans::Fail,
            1..=3 if nullable => Orphans::SetNull,
            _ => Orphans::Delete,
        };
        let act = |random: &mut Rng, rare: bool| match random.u32(0..if rare { 30 } else { 10 }) {
            0..=2 => Act::Cascade,
            3..=4 if nullable => Act::SetNull,
            5..=6 => Act::NoAction,
            _ => Act::Restrict,
        };
        let dirty = !exists && (orphans != Orphans::Fail || random.u32(0..8) == 0);
        self.relations.push(Relation {
            name: names.next(random, "fk"),
            child,
            columns,
            parent,
            parent_columns,
            via,
            orphans,
            on_delete: act(random, false),
            on_update: act(random, true),
            exists,
            wanted: !exists || random.u32(0..10) < 4,
            stage: random.usize(..self.stages),
            dirty,
        });
    }

    fn want_uniques(&mut self, random: &mut Rng, names: &mut Names, place: usize) {
        let table = &self.tables[place];
        let Some(&first) = table.primary.first() else { return };
        let order_by = if random.bool() { first } else { table.slot };
        let policy = |random: &mut Rng| if random.bool() { "KeepNewest" } else { "KeepOldest" };
        if let Some(Code::Wanted(column)) = table.code {
            let unique = Unique {
                name: names.next(random, "uq"),
                table: place,
                columns: vec![column],
                policy: policy(random),
                order_by,
            };
            self.uniques.push(unique);
        }
        // As `user and provider` are unique together: the reference of one relation, and something else.
        let own = self.relations.iter().find(|relation| {
            relation.child == place
                && !relation.columns.is_empty()
                && relation.columns != table.primary
                && !relation.exists
        });
        if let Some(relation) = own
            && random.u32(0..4) == 0
        {
            let mut columns = relation.columns.clone();
            columns.push(table.slot);
            self.uniques.push(Unique {
                name: names.next(random, "uq"),
                table: place,
                columns,
                policy: policy(random),
                order_by: first,
            });
        }
    }

    /// CREATE TABLE without the keys that exist.
    pub(crate) fn create_table(&self, table: usize) -> String {
        let table = &self.tables[table];
        let mut parts = Vec::new();
        for (place, column) in table.columns.iter().enumerate() {
            let null = if column.nullable { "NULL" } else { "NOT NULL" };
            let definition = match column.kind {
                Kind::Key(kind) => format!("{} {null}", kind.sql(self.dialect)),
                Kind::Tag => "VARCHAR(60) CHARACTER SET utf8mb4 NOT NULL DEFAULT ''".to_owned(),
                Kind::Slot => "INT NOT NULL DEFAULT 0".to_owned(),
                Kind::Label | Kind::Matcher => "VARCHAR(24) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL".to_owned(),
                Kind::Payload(payload) => payload.sql(&table.columns[table.slot].name, self.dialect),
            };
            let counts = if table.auto_increment && table.primary == [place] { " AUTO_INCREMENT" } else { "" };
            parts.push(format!("{} {definition}{counts}", quoted(&column.name)));
        }
        if !table.primary.is_empty() {
            parts.push(format!(
                "PRIMARY KEY ({})",
                list(table.primary.iter().map(|&place| table.columns[place].name.as_str()))
            ));
        }
        parts.extend(table.indexes.iter().cloned());
        format!("CREATE TABLE {} ({})", quoted(&table.name), parts.join(", "))
    }

    /// The statement that adds a key which exists before the migration.
    pub(crate) fn add_key(&self, relation: &Relation) -> String {
        format!(
            "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {} ON UPDATE {}",
            quoted(&self.tables[relation.child].name),
            quoted(&relation.name),
            list(self.child_columns(relation)),
            quoted(&self.tables[relation.parent].name),
            list(self.parent_columns(relation)),
            relation.on_delete.sql(),
            relation.on_update.sql()
        )
    }
}
