//! Pages of lists: which part is asked for, and where its records go. A use case of a list calls
//! the writer of the caller with each record, on the thread that reads them, so that no page is in
//! memory twice.

pub use crate::store::{After, Page};

/// Takes the records of a page.
pub trait PageWriter<R>: Send + 'static {
    /// The page when it is written.
    type Written: Send + 'static;

    /// Begins the page. `total` counts the records of the whole list.
    fn begin(&mut self, total: Total);

    /// Takes a record; `after` is its place in the list. Returns whether there is room for more.
    fn push(&mut self, record: R, after: After) -> bool;

    /// Ends the page.
    fn end(self) -> Self::Written;
}

/// The number of the records of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The number.
    pub count: u64,
    /// It is an estimate, since counting would take too long.
    pub estimated: bool,
}

impl From<u64> for Total {
    fn from(count: u64) -> Self {
        Self { count, estimated: false }
    }
}
