//! The options of a journal: the sizes of its files and of its memory. `node` takes the defaults;
//! tests take small ones.

/// The options of a journal: sizes in bytes.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most bytes that are not forgotten yet. Beyond that there is no room, and the node stops
    /// firing.
    pub max_bytes: u64,
    /// The least free space on the disk. Below that there is no room.
    pub min_free: u64,
    /// The step in which disk space is reserved ahead of need.
    pub reserve: u64,
    /// The size of a file at which the next one begins.
    pub rotate: u64,
    /// The size above which a file whose entries are all forgotten is replaced.
    pub tidy: u64,
    /// The bytes of entries that are kept in memory for reads.
    pub window: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            min_free: 64 << 20,
            reserve: 4 << 20,
            rotate: 8 << 20,
            tidy: 1 << 20,
            window: 4 << 20,
        }
    }
}
