//! Columns as the model has them: how ids, 128-bit numbers and JSON texts are stored. Every file of
//! queries uses these functions; they read no table themselves.

use rusqlite::Row;
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::result_code::ResultCode;

/// A 128-bit number: 16 bytes, most significant first, so that SQLite keeps the order.
pub(in crate::store) fn u128_at(row: &Row<'_>, column: usize) -> rusqlite::Result<u128> {
    Ok(u128::from_be_bytes(row.get::<_, [u8; 16]>(column)?))
}

/// An id. Ids are given from 1 up, so the cast loses nothing. An id from outside that is too large
/// becomes negative, and no row has it.
pub(in crate::store) fn id_at(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)? as u64)
}

/// The code of a result, by its number. The columns are called `http_code`, and hold an HTTP status
/// as it is.
pub(in crate::store) fn result_at(row: &Row<'_>, column: usize) -> rusqlite::Result<ResultCode> {
    let number = row.get(column)?;
    ResultCode::from_number(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// The JSON text of a value that a column holds.
pub(in crate::store) fn to_json<T: Serialize + ?Sized>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))
}

/// The value of a JSON text that was read from a column.
pub(in crate::store) fn from_json<T: DeserializeOwned>(
    text: &str,
    column: usize,
) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, e.into()))
}

/// An unsigned bound as SQLite compares it: what is beyond the largest integer means that one.
pub(in crate::store) fn clamped(number: u64) -> i64 {
    number.min(i64::MAX as u64) as i64
}
