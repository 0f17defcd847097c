//! Reading that production is not held up for: rows from many places of a table instead of all, and queries that end after a time.

use sqlx::Row;

use super::connection::{Connection, sql};
use super::error::Error;
use crate::plan::catalogue::Table;
use crate::plan::identifier::{Identifier, quoted_list};

/// The server's answers to a query that took too long: MySQL's, MariaDB's.
const TOO_LONG: [u16; 2] = [3024, 1969];
/// Places of a table that a sample reads, and rows at each.
const PLACES: i128 = 40;
const ROWS_AT_A_PLACE: u32 = 100;
/// Most rows that a sample reads.
pub const SAMPLED_ROWS: u64 = 4_000;

/// A query for rows from many places of a table; `None` if the places cannot be found in time.
pub(crate) async fn places(
    connection: &mut Connection,
    table: &Table,
    columns: &[Identifier],
) -> Result<Option<String>, Error> {
    let select = format!("SELECT {} FROM {}", quoted_list(columns), table.name.quoted());
    let primary = table.primary_key();
    let is_integer = |name: &Identifier| table.column(name).is_some_and(|column| column.data_type.ends_with("int"));
    let pieces: Vec<String> = match primary.as_slice() {
        [number] if is_integer(number) => {
            let number = number.quoted();
            let statement =
                format!("SELECT CAST(MIN({number}) AS CHAR), CAST(MAX({number}) AS CHAR) FROM {}", table.name.quoted());
            let answer = sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await;
            let Some(row) = in_time(answer)? else { return Ok(None) };
            let (least, greatest): (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            let read = |text: Option<String>| text.and_then(|text| text.parse::<i128>().ok());
            let (Some(least), Some(greatest)) = (read(least), read(greatest)) else { return Ok(None) };
            (0..PLACES)
                .map(|place| {
                    let from = least + (greatest - least) * place / PLACES;
                    let to = least + (greatest - least) * (place + 1) / PLACES;
                    // No row is read twice: the last place ends with the last row.
                    let end = if place + 1 == PLACES { "<=" } else { "<" };
                    format!("({select} WHERE {number} >= {from} AND {number} {end} {to} ORDER BY {number} LIMIT {ROWS_AT_A_PLACE})")
                })
                .collect()
        }
        // Where places cannot be computed, the beginning stands for the whole.
        _ => vec![format!("({select} LIMIT {})", PLACES * i128::from(ROWS_AT_A_PLACE))],
    };
    Ok(Some(pieces.join(" UNION ALL ")))
}

/// The answer, or `None` if the server ended the query because it took too long.
pub(crate) fn in_time<T>(answer: Result<T, sqlx::Error>) -> Result<Option<T>, Error> {
    match answer.map_err(Error::from) {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code.is_some_and(|code| TOO_LONG.contains(&code)) => Ok(None),
        Err(error) => Err(error),
    }
}
