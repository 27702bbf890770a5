//! Pages of lists: the parameters `limit`, `offset`, `after`, `orderBy` and `orderByDirection`, and
//! the answer. All lists use it. A page ends after `limit` records or [`MOST_BYTES`], whichever
//! comes first, and its `next` says where the list goes on.

use serde::Serialize;

use crate::api::http::casing;
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::app::page::{After, Page, PageWriter, Total};
use crate::model::job::Casing;

/// The longest page. A larger `limit` becomes this, and the answer says so in `limit`.
pub(crate) const MAX_LIMIT: u64 = 1_000;
const DEFAULT_LIMIT: u64 = 50;
/// The largest `offset`: the store passes over the records before it one by one.
const MAX_OFFSET: u64 = 100_000;
/// The size at which a page ends, however few records it has. The record that crosses it is the
/// last.
const MOST_BYTES: usize = 8 << 20;

/// The names that a list can be ordered by. The first one is the default.
pub(crate) type Orders<O> = [(&'static str, O)];

impl RequestContext {
    /// The page that a query asks for by offset.
    pub(crate) fn page<O: Copy>(&self, orders: &Orders<O>) -> Result<Page<O>, Error> {
        let limit = self.number("limit")?.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
        let offset = self.number("offset")?.unwrap_or(0);
        if offset > MAX_OFFSET {
            let message = format!(
                "offset must be at most {MAX_OFFSET}: go on from the page before by key, with its \
                 next as after and without offset"
            );
            return Err(Error::invalid("offset", message));
        }
        let by = self.text("orderBy").unwrap_or(orders[0].0);
        let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
        let found = orders.iter().find(|(name, _)| plain(name) == plain(by));
        let Some((_, order_by)) = found else {
            let names: Vec<_> = orders.iter().map(|(name, _)| *name).collect();
            let message = format!("orderBy must be one of {}", names.join(", "));
            return Err(Error::invalid("orderBy", message));
        };
        let way = self.text("orderByDirection").or_else(|| self.text("orderDirection"));
        let descending = match way.map(str::to_ascii_lowercase).as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => {
                let message = "orderByDirection must be asc or desc";
                return Err(Error::invalid("orderByDirection", message));
            }
        };
        Ok(Page { limit, offset, order_by: *order_by, descending, after: None })
    }

    /// The page that a query asks for by offset or by key: `after` is the `next` of the page
    /// before. A list in an order of `by_text` cannot go on by key.
    pub(crate) fn page_after<O: Copy + PartialEq>(
        &self,
        orders: &Orders<O>,
        by_text: &[O],
    ) -> Result<Page<O>, Error> {
        let page = self.page(orders)?;
        let after = match self.text("after") {
            None => None,
            Some(_) if by_text.contains(&page.order_by) => {
                let message = "after goes with an order by number or time only: leave out \
                               orderBy=name";
                return Err(Error::invalid("after", message));
            }
            Some(text) => Some(read_cursor(text, place(orders, &page.order_by))?),
        };
        Ok(Page { after, ..page })
    }

    /// Says whether the query names a direction. Lists of history begin with the newest record
    /// unless it does.
    pub(crate) fn has_direction(&self) -> bool {
        self.text("orderByDirection").or_else(|| self.text("orderDirection")).is_some()
    }
}

/// The index of an order. A cursor is valid in its own order alone.
fn place<O: PartialEq>(orders: &Orders<O>, order: &O) -> usize {
    orders.iter().position(|(_, one)| one == order).unwrap_or(0)
}

/// The end of a page as text: index of the order, key (empty where there is none), id.
pub(crate) fn cursor<O: PartialEq>(orders: &Orders<O>, order: &O, after: After) -> String {
    let key = after.key.map_or_else(String::new, |key| format!("{key:x}"));
    format!("{:x}-{key}-{:x}", place(orders, order), after.id)
}

fn read_cursor(text: &str, place: usize) -> Result<After, Error> {
    let read = || {
        let mut parts = text.splitn(3, '-');
        let (order, key, id) = (parts.next()?, parts.next()?, parts.next()?);
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let key = if key.is_empty() { None } else { Some(number(key)?.cast_signed()) };
        let id = number(id).filter(|id| i64::try_from(*id).is_ok())?;
        (number(order)? == place as u64).then_some(After { key, id })
    };
    read().ok_or_else(|| {
        let message = "after must be the next of an earlier page of the same list, in the same \
                       order (orderBy)";
        Error::invalid("after", message)
    })
}

/// The form of the cursors of a list.
enum CursorForm<O: 'static> {
    /// That of [`cursor`].
    Common {
        orders: &'static Orders<O>,
        /// The orders in which a list cannot go on by key.
        by_text: &'static [O],
    },
    /// The list's own; `None` where it cannot go on by key.
    Own(fn(O, After) -> Option<String>),
}

/// A page of a list as JSON, which a use case writes.
pub(crate) struct ListPage<O: 'static, F> {
    name: &'static str,
    cursors: CursorForm<O>,
    page: Page<O>,
    casing: Casing,
    view: F,
    list: Option<ListWriter>,
}

impl<O: Copy, F> ListPage<O, F> {
    /// A page of the list of this name, whose records are shown by `view`.
    pub(crate) fn new(
        name: &'static str,
        orders: &'static Orders<O>,
        by_text: &'static [O],
        page: Page<O>,
        casing: Casing,
        view: F,
    ) -> Self {
        let cursors = CursorForm::Common { orders, by_text };
        Self { name, cursors, page, casing, view, list: None }
    }

    /// A page of a list with cursors of its own form.
    pub(crate) fn with_cursor(
        name: &'static str,
        page: Page<O>,
        casing: Casing,
        cursor: fn(O, After) -> Option<String>,
        view: F,
    ) -> Self {
        Self { name, cursors: CursorForm::Own(cursor), page, casing, view, list: None }
    }
}

impl<R, V, O, F> PageWriter<R> for ListPage<O, F>
where
    V: Serialize,
    O: Copy + PartialEq + Send + Sync + 'static,
    F: FnMut(R) -> V + Send + 'static,
{
    type Written = Vec<u8>;

    fn begin(&mut self, total: Total) {
        let total = (total.count, total.estimated);
        self.list = Some(ListWriter::new(self.name, &self.page, total, self.casing));
    }

    fn push(&mut self, record: R, after: After) -> bool {
        let Some(list) = &mut self.list else { return false };
        let order = &self.page.order_by;
        list.push(&(self.view)(record), || match self.cursors {
            CursorForm::Common { by_text, .. } if by_text.contains(order) => None,
            CursorForm::Common { orders, .. } => Some(cursor(orders, order, after)),
            CursorForm::Own(cursor) => cursor(*order, after),
        })
    }

    fn end(self) -> Vec<u8> {
        self.list.map(ListWriter::end).unwrap_or_default()
    }
}

/// The answer of a list, written record by record: `total`, `offset`, `limit` (always all three),
/// the list under its name, and `next` where it can go on.
#[derive(Debug)]
pub(crate) struct ListWriter {
    out: Vec<u8>,
    casing: Casing,
    /// The position of the value of `limit`, and the limit that was asked for.
    limit_at: usize,
    limit: u64,
    records: u64,
    next: Option<String>,
}

impl ListWriter {
    /// Begins an answer. `estimated` says that the total is an estimate.
    pub(crate) fn new<O>(
        name: &str,
        page: &Page<O>,
        (total, estimated): (u64, bool),
        casing: Casing,
    ) -> Self {
        let estimate = match casing::name("totalIsEstimate", casing) {
            name if estimated => format!(",\"{name}\":true"),
            _ => String::new(),
        };
        let (offset, limit, name) = (page.offset, page.limit, casing::name(name, casing));
        let head =
            format!("{{\"data\":{{\"total\":{total}{estimate},\"offset\":{offset},\"limit\":");
        let limit_at = head.len();
        let out = format!("{head}{limit},\"{name}\":[").into_bytes();
        Self { out, casing, limit_at, limit, records: 0, next: None }
    }

    /// Adds a record; `next` is the cursor behind it, if the list can go on by key. Returns whether
    /// there is room for more.
    pub(crate) fn push<T: Serialize>(
        &mut self,
        record: &T,
        next: impl FnOnce() -> Option<String>,
    ) -> bool {
        if self.records > 0 {
            self.out.push(b',');
        }
        casing::write_json(&mut self.out, record, self.casing);
        self.records += 1;
        let ends = self.records >= self.limit || self.out.len() >= MOST_BYTES;
        if ends {
            self.next = next();
        }
        !ends
    }

    /// Ends the answer. A page that ended by its bytes puts its number of records into `limit`, so
    /// that a client that goes on by offset misses none.
    pub(crate) fn end(mut self) -> Vec<u8> {
        if self.records < self.limit && self.out.len() >= MOST_BYTES {
            let width = self.limit.to_string().len();
            let shown = format!("{:<width$}", self.records);
            self.out[self.limit_at..self.limit_at + width].copy_from_slice(shown.as_bytes());
        }
        self.out.push(b']');
        if let Some(next) = &self.next {
            // A cursor has letters, digits and dashes only.
            self.out.extend_from_slice(format!(",\"next\":\"{next}\"").as_bytes());
        }
        self.out.extend_from_slice(b"},\"success\":true}");
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: &Orders<u8> = &[("id", 0), ("dateCreated", 0), ("dateModified", 1)];

    fn page(limit: u64) -> Page<u8> {
        Page { limit, ..Page::default() }
    }

    fn json(list: ListWriter) -> serde_json::Value {
        serde_json::from_slice(&list.end()).unwrap()
    }

    #[test]
    fn a_cursor_goes_with_the_order_that_it_is_of() {
        for after in [
            After { key: None, id: 0x1f },
            After { key: Some(-1), id: 1 },
            After { key: Some(i64::MAX), id: i64::MAX as u64 },
        ] {
            for order in [0, 1] {
                let text = cursor(ORDERS, &order, after);
                assert_eq!(read_cursor(&text, place(ORDERS, &order)).unwrap(), after, "{text}");
                assert!(read_cursor(&text, place(ORDERS, &(1 - order))).is_err(), "{text}");
            }
        }
        for bad in ["", "0", "0-", "0--", "0--x", "0-g-1", "0--ffffffffffffffff", "0--1-1", "7"] {
            assert_eq!(read_cursor(bad, 0).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn a_page_ends_by_its_records() {
        let mut list = ListWriter::new("deadLetters", &page(2), (9, true), Casing::Snake);
        assert!(list.push(&1, || Some("a".into())));
        assert!(!list.push(&2, || Some("b".into())));
        let data = serde_json::json!({
            "total": 9, "total_is_estimate": true, "offset": 0, "limit": 2,
            "dead_letters": [1, 2], "next": "b"
        });
        assert_eq!(json(list), serde_json::json!({"data": data, "success": true}));
        let mut short = ListWriter::new("jobs", &page(2), (1, false), Casing::Camel);
        assert!(short.push(&1, || Some("a".into())));
        let data = serde_json::json!({"total": 1, "offset": 0, "limit": 2, "jobs": [1]});
        assert_eq!(json(short)["data"], data, "a page that is not full is the last one");
        assert_eq!(
            json(ListWriter::new("jobs", &page(0), (1, false), Casing::Camel))["data"]["jobs"],
            serde_json::json!([])
        );
    }

    #[test]
    fn a_page_ends_by_its_bytes_and_says_how_many_it_has() {
        let mut list = ListWriter::new("jobs", &page(1_000), (1_000, false), Casing::Camel);
        let record = "x".repeat(1 << 20);
        let mut records = 1;
        while list.push(&record, || Some("c".into())) {
            records += 1;
        }
        assert_eq!(records, 8);
        let shown = json(list);
        assert_eq!(shown["data"]["limit"], 8);
        assert_eq!(shown["data"]["next"], "c");
        assert_eq!(shown["data"]["jobs"].as_array().unwrap().len(), 8);
    }
}
