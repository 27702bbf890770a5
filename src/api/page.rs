//! Pages of lists: `limit`, `offset`, `orderBy`, `orderByDirection`, and the shape of the answer's
//! head. Every list's handler uses it.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::ask::Ask;
use super::error::Error;
use crate::store::Page;

/// The longest page; who asks for more gets this. Lists say so in `limit`.
pub(super) const MAX_LIMIT: u64 = 1_000;
const DEFAULT_LIMIT: u64 = 50;

/// Names that a list can be ordered by; the first one is the default.
pub(super) type Orders<O> = [(&'static str, O)];

impl Ask {
    /// The page that a query asks for.
    pub(super) fn page<O: Copy>(&self, orders: &Orders<O>) -> Result<Page<O>, Error> {
        let limit = self.number("limit")?.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
        let offset = self.number("offset")?.unwrap_or(0);
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
        Ok(Page { limit, offset, order_by: *order_by, descending })
    }

    /// Whether the query says which way round: lists of what happened begin with the newest unless
    /// it does.
    pub(super) fn has_direction(&self) -> bool {
        self.text("orderByDirection").or_else(|| self.text("orderDirection")).is_some()
    }
}

/// A list's answer: `total`, `offset`, `limit` (always all three) and the list under its name.
#[derive(Debug)]
pub(super) struct List<T> {
    name: &'static str,
    total: u64,
    offset: u64,
    limit: u64,
    items: Vec<T>,
    next: Option<String>,
    estimated: bool,
}

impl<T> List<T> {
    /// A page of `total` items.
    pub(super) fn new<O>(name: &'static str, page: &Page<O>, total: u64, items: Vec<T>) -> Self {
        Self {
            name,
            total,
            offset: page.offset,
            limit: page.limit,
            items,
            next: None,
            estimated: false,
        }
    }

    /// Where the list goes on, for lists that page by key: the `after` of the next request.
    pub(super) fn next(mut self, next: Option<String>) -> Self {
        self.next = next;
        self
    }

    /// Whether the total was estimated, which is said then.
    pub(super) fn estimated(mut self, estimated: bool) -> Self {
        self.estimated = estimated;
        self
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("total", &self.total)?;
        if self.estimated {
            map.serialize_entry("totalIsEstimate", &true)?;
        }
        map.serialize_entry("offset", &self.offset)?;
        map.serialize_entry("limit", &self.limit)?;
        map.serialize_entry(self.name, &self.items)?;
        if let Some(next) = &self.next {
            map.serialize_entry("next", next)?;
        }
        map.end()
    }
}
