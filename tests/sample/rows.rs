//! Writes rows as SQL: each from its table and id alone.

use std::ops::RangeInclusive;

use fastrand::Rng;

use super::layout::{Kind, Layout};
use super::literals::{self, append};
use super::relations::{self, Relation};
use super::tables::{Contents, PROTOCOL_WITHOUT_COUNTY, Plant, TABLES, Table, UNMAPPED_BLOCKS, Value, contents_of};

const PROVIDERS: &[&str] = &["'google'", "'apple'", "'microsoft'", "'okta'", "'password'"];
/// A version that no protocol has.
const NO_SUCH_VERSION: u64 = 91;

/// Counts of what was written to one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Rows.
    pub(crate) rows: u64,
    /// Rows with each of the table's defects.
    pub(crate) planted: Vec<u64>,
}

impl Written {
    /// Nothing yet.
    pub(crate) fn none(contents: &Contents) -> Self {
        Self { rows: 0, planted: vec![0; contents.plants.len()] }
    }

    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        for (sum, count) in self.planted.iter_mut().zip(&other.planted) {
            *sum += count;
        }
    }
}

/// How many versions a protocol has.
pub(crate) fn versions_of(protocol: u64) -> u64 {
    2 + protocol % 2
}

/// The beginning of an INSERT into the table.
pub(crate) fn insert_prefix(contents: &Contents) -> String {
    let keys: &[&str] = if contents.table == Table::ProtocolVersions { &["protocol_id", "version"] } else { &[] };
    let columns: Vec<&str> = keys.iter().copied().chain(contents.columns.iter().map(|(name, _)| *name)).collect();
    format!("INSERT INTO {} ({}) VALUES ", contents.name, columns.join(", "))
}

/// Appends the rows of these ids as `(...),(...)` and counts them; `out` then ends without a comma.
pub(crate) fn write_rows(layout: &Layout, contents: &Contents, ids: RangeInclusive<u64>, out: &mut String) -> Written {
    let mut written = Written::none(contents);
    let own = layout.of(contents.table);
    for id in ids {
        match contents.table {
            Table::ProtocolVersions => {
                let even_block = own.block_of(id).is_multiple_of(2);
                let (versions, plant) = match own.kind(id) {
                    Kind::Missing if even_block => (1, Some(1)),
                    Kind::Missing => (0, None),
                    Kind::Planted(PROTOCOL_WITHOUT_COUNTY) => (versions_of(id), Some(2)),
                    Kind::Planted(_) | Kind::Sound => (versions_of(id), None),
                };
                for version in 1..=versions {
                    let plant = if own.place_of(id) == 2 && version == 1 { Some(0) } else { plant };
                    write_row(layout, contents, id, Some(version), plant, out, &mut written);
                }
            }
            Table::UserPreferences => match own.kind(id) {
                Kind::Missing if own.block_of(id).is_multiple_of(2) => {
                    write_row(layout, contents, id, None, Some(0), out, &mut written)
                }
                Kind::Sound if own.place_of(id) == 3 => {
                    write_row(layout, contents, id, None, Some(1), out, &mut written)
                }
                Kind::Sound if id % 2 == 1 => write_row(layout, contents, id, None, None, out, &mut written),
                Kind::Missing | Kind::Planted(_) | Kind::Sound => {}
            },
            _ => match own.kind(id) {
                Kind::Missing => {}
                Kind::Planted(number)
                    if contents.plants[number] == Plant::Unmapped && own.block_of(id) >= UNMAPPED_BLOCKS =>
                {
                    write_row(layout, contents, id, None, None, out, &mut written);
                }
                Kind::Planted(number) => write_row(layout, contents, id, None, Some(number), out, &mut written),
                Kind::Sound => write_row(layout, contents, id, None, None, out, &mut written),
            },
        }
    }
    out.pop();
    written
}

fn write_row(
    layout: &Layout,
    contents: &Contents,
    id: u64,
    version: Option<u64>,
    plant: Option<usize>,
    out: &mut String,
    written: &mut Written,
) {
    written.rows += 1;
    if let Some(number) = plant {
        written.planted[number] += 1;
    }
    let mut row = Row {
        layout,
        contents,
        id,
        plant: plant.map(|number| contents.plants[number]),
        rng: layout.rng(contents.table, id.wrapping_add(version.unwrap_or(0) << 40)),
        last_parent: 0,
    };
    out.push('(');
    if let Some(version) = version {
        append(out, format_args!("{id},{version},"));
    }
    for (name, value) in contents.columns {
        if !row.write_planted(name, out) {
            row.write_value(*value, row.id_for(name), out);
        }
        out.push(',');
    }
    out.pop();
    out.push_str("),");
}

struct Row<'a> {
    layout: &'a Layout,
    contents: &'a Contents,
    id: u64,
    plant: Option<Plant>,
    rng: Rng,
    last_parent: u64,
}

impl Row<'_> {
    /// The id whose value this column has: the row's own, or that of the row it duplicates.
    fn id_for(&self, column: &str) -> u64 {
        match self.plant {
            Some(Plant::DuplicateOf(unique, distance)) => {
                let in_unique =
                    relations::UNIQUES.iter().any(|wanted| wanted.name == unique && wanted.columns.contains(&column));
                if in_unique { self.id - distance } else { self.id }
            }
            _ => self.id,
        }
    }

    fn relation(name: &str) -> &'static Relation {
        relations::all().find(|relation| relation.name == name).unwrap_or_else(|| panic!("no relation {name}"))
    }

    /// Writes the value that the row's defect gives to this column, if it gives one.
    fn write_planted(&mut self, column: &str, out: &mut String) -> bool {
        let block = self.layout.of(self.contents.table).block_of(self.id);
        match self.plant {
            Some(Plant::Orphan(names)) => {
                // The second relation's parent moves on when the first one's have all been used: pairs stay distinct.
                let mut number = block;
                for name in names {
                    let relation = Self::relation(name);
                    let parents = self.layout.of(contents_of(relation.parent).table);
                    if relation.parent == "protocol_versions" {
                        return self.write_orphan_version(column, block, out);
                    }
                    if relation.columns == [column] {
                        let nobody = relation.orphans == relations::Orphans::SetNull && block.is_multiple_of(4);
                        let parent = if nobody { 0 } else { parents.missing(number) };
                        append(out, format_args!("{parent}"));
                        return true;
                    }
                    number = block / parents.missing_count();
                }
                false
            }
            Some(Plant::LostWith(name, plant)) => {
                let relation = Self::relation(name);
                if relation.child == "protocol_versions" || !relation.columns.contains(&column) {
                    return false;
                }
                if column == "version" {
                    out.push('1');
                } else {
                    let parents = self.layout.of(contents_of(relation.parent).table);
                    append(out, format_args!("{}", parents.planted(plant, block)));
                }
                true
            }
            Some(Plant::HalfNull) => match column {
                "protocol_id" => {
                    append(out, format_args!("{}", self.layout.of(Table::Protocols).missing(block)));
                    true
                }
                "version" => {
                    out.push_str("NULL");
                    true
                }
                _ => false,
            },
            Some(Plant::Unmapped) if column == "agency_name" => {
                append(out, format_args!("'Unknown Ambulance Company {block}'"));
                true
            }
            Some(Plant::Unmapped | Plant::DuplicateOf(..)) | None => false,
        }
    }

    /// A chunk of a version that does not exist, of a protocol that does or does not.
    fn write_orphan_version(&mut self, column: &str, block: u64, out: &mut String) -> bool {
        match column {
            "protocol_id" if block.is_multiple_of(2) => {
                append(out, format_args!("{}", self.layout.of(Table::Protocols).missing(block)));
                true
            }
            "version" => {
                append(out, format_args!("{NO_SUCH_VERSION}"));
                true
            }
            _ => false,
        }
    }

    fn parent(&mut self, table: Table, out: &mut String) {
        self.last_parent = self.layout.of(table).any_sound(&mut self.rng);
        append(out, format_args!("{}", self.last_parent));
    }

    fn is_null(&mut self, percent: u32, out: &mut String) -> bool {
        let null = self.rng.u32(0..100) < percent;
        if null {
            out.push_str("NULL");
        }
        null
    }

    fn write_value(&mut self, value: Value, id: u64, out: &mut String) {
        match value {
            Value::Id => append(out, format_args!("{id}")),
            Value::Parent(table) => self.parent(table, out),
            Value::MaybeParent(table, percent) => {
                if !self.is_null(percent, out) {
                    self.parent(table, out);
                }
            }
            Value::Numbered(pattern) => {
                let (before, after) = pattern.split_once('%').unwrap_or((pattern, ""));
                append(out, format_args!("{before}{id}{after}"));
            }
            Value::Words(most) => literals::words(&mut self.rng, most, out),
            Value::MaybeWords(most, percent) => {
                if !self.is_null(percent, out) {
                    literals::words(&mut self.rng, most, out);
                }
            }
            Value::OneOf(literals) => out.push_str(literals[self.rng.usize(0..literals.len())]),
            Value::Number(bound) => append(out, format_args!("{}", self.rng.u64(0..=bound))),
            Value::MaybeNumber(bound, percent) => {
                if !self.is_null(percent, out) {
                    append(out, format_args!("{}", self.rng.u64(0..=bound)));
                }
            }
            Value::Decimal(bound, scale) => {
                let (units, one) = (self.rng.u64(0..=bound), 10_u64.pow(scale));
                append(out, format_args!("{}.{:0width$}", units / one, units % one, width = scale as usize));
            }
            Value::Date => literals::date(&mut self.rng, out, "'"),
            Value::Moment(digits) => literals::moment(&mut self.rng, digits, out),
            Value::MaybeMoment(digits, percent) => {
                if !self.is_null(percent, out) {
                    literals::moment(&mut self.rng, digits, out);
                }
            }
            Value::Json(percent) => {
                if !self.is_null(percent, out) {
                    let (number, word) = (self.rng.u32(0..1000), self.rng.u32(0..100));
                    append(
                        out,
                        format_args!("'{{\"n\": {number}, \"tags\": [\"t{word}\", \"ems\"], \"score\": {number}.5}}'"),
                    );
                }
            }
            Value::Bytes(count) => {
                out.push_str("0x");
                literals::hex(&mut self.rng, count * 2, out);
            }
            Value::Hex(digits) => {
                out.push('\'');
                literals::hex(&mut self.rng, digits, out);
                out.push('\'');
            }
            Value::PairUser | Value::PairProvider | Value::PairProtocol => self.pair(value, id, out),
            Value::Thread => {
                let place = self.layout.of(self.contents.table).place_of(id) % 4;
                if place == 2 || place == 3 {
                    append(out, format_args!("{}", id - 1));
                } else {
                    out.push_str("NULL");
                }
            }
            Value::Version(percent) => {
                if !self.is_null(percent, out) {
                    let version = self.rng.u64(1..=versions_of(self.last_parent));
                    append(out, format_args!("{version}"));
                }
            }
            Value::AgencyName => {
                let agency = self.layout.of(Table::Agencies).any_sound(&mut self.rng);
                if agency.is_multiple_of(10) {
                    append(out, format_args!("'AGENCY {agency} FIRE PROTECTION DISTRICT'"));
                } else {
                    append(out, format_args!("'Agency {agency} Fire Protection District'"));
                }
            }
        }
    }

    /// Half of a pair that no other id has: the id counts through the users, and each further round takes another partner.
    fn pair(&mut self, half: Value, id: u64, out: &mut String) {
        let users = self.layout.of(Table::Users);
        let block = self.layout.of(self.contents.table).block_of(id);
        let user_is_missing = matches!(self.plant, Some(Plant::Orphan(names)) if names[0].ends_with("_user"));
        // Orphans count through their missing parents instead, as write_planted does.
        let (round, number) = if user_is_missing {
            (block / users.missing_count(), block)
        } else {
            (id / users.sound_count(), id % users.sound_count())
        };
        match half {
            Value::PairProvider => {
                let provider = usize::try_from(round).unwrap_or(usize::MAX) % PROVIDERS.len();
                out.push_str(PROVIDERS[provider]);
            }
            Value::PairProtocol => {
                let protocols = self.layout.of(Table::Protocols);
                let start = number.wrapping_mul(2_654_435_761);
                append(
                    out,
                    format_args!(
                        "{}",
                        protocols.sound((start % protocols.sound_count() + round) % protocols.sound_count())
                    ),
                );
            }
            _ => append(out, format_args!("{}", users.sound(number))),
        }
    }
}

/// All tables that are filled, in order.
pub(crate) fn all_tables() -> impl Iterator<Item = &'static Contents> {
    TABLES.iter()
}
