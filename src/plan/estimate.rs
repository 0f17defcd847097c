//! What operations are expected to cost, from the server's statistics and measured rates. For people who choose a quiet hour;
//! never part of the digest, and nothing is decided by it.

use super::catalogue::Table;
use super::model::Estimate;

/// Rows a millisecond, measured on two cores with rows of about 80 bytes in memory.
const SCAN: u64 = 3_000;
const INDEX_BUILD: u64 = 500;
const TABLE_COPY: u64 = 50;
const BATCHED_UPDATE: u64 = 20;
/// A change of metadata, its lock included.
const METADATA_MILLISECONDS: u64 = 50;

fn at(table: &Table, rows_a_millisecond: u64, bytes: u64) -> Estimate {
    Estimate {
        rows: table.estimated_rows,
        bytes,
        milliseconds: METADATA_MILLISECONDS + table.estimated_rows / rows_a_millisecond,
    }
}

/// Reads the whole table once; the rows that are then changed are known after validation only.
pub(crate) fn scan(table: &Table) -> Estimate {
    at(table, SCAN, table.data_bytes)
}

/// Builds an index over the whole table.
pub(crate) fn index(table: &Table) -> Estimate {
    at(table, INDEX_BUILD, table.data_bytes)
}

/// Copies the table.
pub(crate) fn copy(table: &Table) -> Estimate {
    at(table, TABLE_COPY, table.data_bytes)
}

/// Changes every row in batches.
pub(crate) fn batches(table: &Table) -> Estimate {
    at(table, BATCHED_UPDATE, table.data_bytes)
}

/// Touches metadata only.
pub(crate) fn metadata() -> Estimate {
    Estimate { rows: 0, bytes: 0, milliseconds: METADATA_MILLISECONDS }
}
