//! The application that goes on writing: each writer changes rows that no other writer changes, and notes what the server has
//! committed, so that what should be there in the end is known exactly.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tokio_util::sync::CancellationToken;

use crate::data::{self, Refers, SOUND};
use crate::records::{self, Change, Records, Row, different_columns};
use crate::sql::{Refused, Sql, quoted, text};
use crate::values::Payload;
use crate::world::{Act, Code, Kind, Orphans, Relation, Via, World};

/// How many there are.
const WRITERS: u64 = 3;
/// Duplicates that the application makes of each value that should be unique: more would be more than a constraint is tried for.
const DUPLICATES: usize = 2;
/// The server's answers that an application must expect: a duplicate, a lock, a deadlock, a table that changed, a foreign key, a
/// cascade that is too deep or too broad for the server.
const EXPECTED: [u16; 8] = [1062, 1205, 1213, 1412, 1451, 1452, 3008, 6575];
/// Rows of one writer: enough for relations among them.
const MOST_OWN: usize = 60;

/// One session of the application.
struct Writer {
    number: u64,
    random: Rng,
    sql: Sql,
    world: Arc<World>,
    own: Vec<(usize, u64)>,
    next: u64,
    duplicates: BTreeMap<usize, usize>,
}

impl Writer {
    async fn new(number: u64, seed: u64, schema: &str, world: Arc<World>) -> Self {
        let random = Rng::with_seed(seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let sql = Sql::open(schema).await;
        Self { number, random, sql, world, own: Vec::new(), next: 200 + number * 4000, duplicates: BTreeMap::new() }
    }

    /// Writes until told to stop.
    async fn run(&mut self, records: &Mutex<Records>, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match self.transaction().await {
                Ok(changes) => {
                    records.lock().unwrap().apply(&self.world, changes);
                }
                Err(refused) => {
                    let expected = refused.number.is_some_and(|number| EXPECTED.contains(&number));
                    assert!(expected, "the application got an answer that it could not expect: {}", refused.message);
                    self.sql.must("ROLLBACK").await;
                }
            }
            tokio::time::sleep(Duration::from_millis(self.random.u64(0..6))).await;
        }
    }

    async fn transaction(&mut self) -> Result<Vec<Change>, Refused> {
        self.sql.run("START TRANSACTION").await?;
        let changes = match self.random.u32(0..10) {
            0..=3 => self.insert().await?,
            4..=6 => self.tag().await?,
            7 => self.refer_elsewhere().await?,
            _ => self.delete().await?,
        };
        self.sql.run("COMMIT").await?;
        for change in &changes {
            if let Change::Put(table, _) = change {
                self.own.push((*table, self.next));
                self.next += 1;
            }
        }
        Ok(changes)
    }

    /// A table whose rows can be told apart.
    fn table(&mut self) -> Option<usize> {
        let table = self.random.usize(..self.world.tables.len());
        (!self.world.tables[table].primary.is_empty()).then_some(table)
    }

    async fn read(&mut self, table: usize, number: u64) -> Result<Option<(String, Row)>, Refused> {
        let condition = format!("WHERE {}", data::found_by(&self.world, table, number, &mut self.random));
        Ok(records::rows(&self.world, &mut self.sql, table, &condition).await?.pop_first())
    }

    async fn insert(&mut self) -> Result<Vec<Change>, Refused> {
        let Some(table) = self.table() else { return Ok(vec![]) };
        if self.own.len() >= MOST_OWN {
            return Ok(vec![]);
        }
        let (world, number, own) = (self.world.clone(), self.next, self.own.clone());
        let tag = format!("writer {} made {number}", self.number);
        let mut row = data::row(&world, table, number, &tag, &mut self.random, |random, relation| {
            refers(&own, number, random, relation)
        });
        if let Some(Code::Wanted(column)) = world.tables[table].code
            && self.number == 0
            && self.random.u32(0..3) == 0
        {
            let made = self.duplicates.entry(table).or_default();
            let twin = own.iter().rfind(|(place, _)| *place == table);
            if let (Some((_, twin)), Kind::Key(kind)) = (twin, world.tables[table].columns[column].kind)
                && *made < DUPLICATES
            {
                *made += 1;
                row[column] = kind.literal(*twin, &mut self.random);
            }
        }
        self.sql.run(&data::insert(&world, table, &[row])).await?;
        let (_, row) = self.read(table, number).await?.unwrap_or_else(|| panic!("the row just inserted is not there"));
        Ok(vec![Change::Put(table, row)])
    }

    /// `, changed_at = changed_at`: the time is the application's own affair.
    fn keep_times(&self, table: usize) -> String {
        let touched = |kind: &Kind| *kind == Kind::Payload(Payload::Touched);
        let columns = self.world.tables[table].columns.iter().filter(|column| touched(&column.kind));
        columns.map(|column| format!(", {0} = {0}", quoted(&column.name))).collect()
    }

    async fn tag(&mut self) -> Result<Vec<Change>, Refused> {
        let Some(table) = self.table() else { return Ok(vec![]) };
        let own: Vec<u64> = self.own.iter().filter(|(place, _)| *place == table).map(|(_, number)| *number).collect();
        let number = if own.is_empty() || self.random.bool() {
            let number = self.random.u64(1..=self.world.tables[table].rows);
            if number % WRITERS != self.number {
                return Ok(vec![]);
            }
            number
        } else {
            own[self.random.usize(..own.len())]
        };
        let place = self.world.tables[table].tag;
        let value = format!("writer {} was here {}", self.number, self.random.u32(..));
        let statement = format!(
            "UPDATE {} SET {} = {}{} WHERE {}",
            quoted(&self.world.tables[table].name),
            quoted(&self.world.tables[table].columns[place].name),
            text(&value),
            self.keep_times(table),
            data::found_by(&self.world, table, number, &mut self.random)
        );
        if self.sql.run(&statement).await? == 0 {
            return Ok(vec![]);
        }
        let (key, row) = self.read(table, number).await?.unwrap_or_else(|| panic!("the row just written is not there"));
        Ok(vec![Change::Set(table, key, place, row[place].clone())])
    }

    /// Relations whose columns nobody else may change meanwhile.
    fn movable(&self, table: usize) -> Vec<usize> {
        let relations = &self.world.relations;
        let alone = |place: &usize| {
            let relation = &relations[*place];
            let primary = &self.world.tables[table].primary;
            let overlaps = |other: &Relation| other.columns.iter().any(|column| relation.columns.contains(column));
            relation.child == table
                && !matches!(relation.via, Via::Added { .. })
                && relation.orphans != Orphans::SetNull
                && relation.on_delete != Act::SetNull
                && relation.on_update != Act::SetNull
                && !relation.columns.iter().any(|column| primary.contains(column))
                && !self.world.uniques.iter().any(|unique| unique.table == relation.parent)
                && !relations
                    .iter()
                    .enumerate()
                    .any(|(other, each)| other != *place && each.child == table && overlaps(each))
        };
        (0..relations.len()).filter(alone).collect()
    }

    async fn refer_elsewhere(&mut self) -> Result<Vec<Change>, Refused> {
        if self.own.is_empty() {
            return Ok(vec![]);
        }
        let (table, number) = self.own[self.random.usize(..self.own.len())];
        let movable = self.movable(table);
        if movable.is_empty() {
            return Ok(vec![]);
        }
        let world = self.world.clone();
        let relation = &world.relations[movable[self.random.usize(..movable.len())]];
        let to = refers(&self.own, number, &mut self.random, relation);
        let literals = data::reference(&world, relation, to, &mut self.random);
        let set: Vec<String> = world
            .child_columns(relation)
            .iter()
            .zip(&literals)
            .map(|(name, literal)| format!("{} = {literal}", quoted(name)))
            .collect();
        let statement = format!(
            "UPDATE {} SET {}{} WHERE {}",
            quoted(&world.tables[table].name),
            set.join(", "),
            self.keep_times(table),
            data::found_by(&world, table, number, &mut self.random)
        );
        if self.sql.run(&statement).await? == 0 {
            return Ok(vec![]);
        }
        let (key, row) = self.read(table, number).await?.unwrap_or_else(|| panic!("the row just written is not there"));
        Ok(relation
            .columns
            .iter()
            .map(|&column| Change::Set(table, key.clone(), column, row[column].clone()))
            .collect())
    }

    /// All rows of this writer, locked.
    async fn all_own(&mut self) -> Result<BTreeMap<usize, BTreeMap<String, Row>>, Refused> {
        let mut found = BTreeMap::new();
        let mut numbers: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (table, number) in &self.own {
            numbers.entry(*table).or_default().push(*number);
        }
        for (table, numbers) in numbers {
            let conditions: Vec<String> = numbers
                .iter()
                .map(|number| format!("({})", data::found_by(&self.world, table, *number, &mut self.random)))
                .collect();
            let condition = format!("WHERE {} FOR UPDATE", conditions.join(" OR "));
            found.insert(table, records::rows(&self.world, &mut self.sql, table, &condition).await?);
        }
        Ok(found)
    }

    /// Deletes a row, with what live keys take along.
    async fn delete(&mut self) -> Result<Vec<Change>, Refused> {
        if self.own.len() < 4 {
            return Ok(vec![]);
        }
        let (table, number) = self.own[self.random.usize(..self.own.len())];
        // While a child of an existing key is in quarantine its parent could go, and then the child could not return.
        if self.world.relations.iter().any(|relation| relation.exists && relation.parent == table) {
            return Ok(vec![]);
        }
        let before = self.all_own().await?;
        let condition = data::found_by(&self.world, table, number, &mut self.random);
        if self.sql.run(&format!("DELETE FROM {} WHERE {condition}", quoted(&self.world.tables[table].name))).await?
            == 0
        {
            return Ok(vec![]);
        }
        let after = self.all_own().await?;
        let mut changes = Vec::new();
        for (table, rows) in before {
            for (key, row) in rows {
                match after.get(&table).and_then(|rows| rows.get(&key)) {
                    None => changes.push(Change::Remove(table, key)),
                    Some(now) => changes.extend(
                        different_columns(&row, now)
                            .into_iter()
                            .map(|column| Change::Set(table, key.clone(), column, now[column].clone())),
                    ),
                }
            }
        }
        Ok(changes)
    }
}

/// The whole application.
pub(crate) struct Application {
    writers: Vec<Writer>,
    records: Arc<Mutex<Records>>,
}

impl Application {
    /// One that will write to a schema that holds these records.
    pub(crate) async fn new(seed: u64, schema: &str, world: &Arc<World>, records: Records) -> Self {
        let mut writers = Vec::new();
        for number in 0..WRITERS {
            writers.push(Writer::new(number, seed, schema, world.clone()).await);
        }
        Self { writers, records: Arc::new(Mutex::new(records)) }
    }

    /// Lets it write while `work` runs.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let stop = CancellationToken::new();
        let records = self.records.clone();
        let writing = futures::future::join_all(self.writers.iter_mut().map(|writer| writer.run(&records, &stop)));
        let working = async {
            let done = work.await;
            stop.cancel();
            done
        };
        futures::future::join(working, writing).await.0
    }

    /// What should be there, quarantine included.
    pub(crate) fn expected(&self) -> Records {
        self.records.lock().unwrap().clone()
    }
}

/// What a row of a writer refers to: only to rows that no other writer, and no cleanup of old rows, takes away.
fn refers(own: &[(usize, u64)], number: u64, random: &mut Rng, relation: &Relation) -> Refers {
    let sound = Refers::To(random.u64(1..=SOUND));
    let parents: Vec<u64> =
        own.iter().filter(|(table, _)| *table == relation.parent).map(|(_, number)| *number).collect();
    let bad = relation.dirty && relation.orphans != Orphans::Fail;
    match random.u32(0..20) {
        0..=1 if bad => Refers::To(data::absent(random)),
        2..=3 => Refers::Nowhere,
        4..=10 if !parents.is_empty() && (bad || relation.exists) => Refers::To(parents[random.usize(..parents.len())]),
        11 if relation.child == relation.parent && bad => Refers::To(number),
        _ => sound,
    }
}
