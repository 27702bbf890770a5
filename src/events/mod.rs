//! The event stream of a node: the newest facts of the applied log in a bounded ring, and cursors
//! that readers move over it.
//!
//! ```text
//!   change feed ── one task ──> Ring <── read ── a cursor for each reader
//! ```
//!
//! `node` starts the task, `app` opens subscriptions. A reader has no queue: it reads the ring when
//! it can, and whoever falls behind further than the ring reaches is told so (*never silent*). So
//! the memory is that of the ring, whatever readers do. All nodes put the same facts at the same
//! positions, so that a reader goes on at any node. Beside the ring, a table has the results of the
//! last hours by the minute, for charts. Nothing here changes the store.
//!
//! | file | what is in it |
//! |---|---|
//! | `position` | places in the log, and the ids that clients have for them |
//! | `ring` | the facts and the cursor, as plain data |
//! | `feed` | the task, and subscriptions to it |
//! | `places` | how many readers there may be |
//! | `rates` | results by the minute, as plain data |
//! | `rate_feed` | the task that keeps them: reads the store, follows the change feed |

mod feed;
mod places;
mod position;
mod rate_feed;
mod rates;
#[cfg(test)]
mod rates_tests;
mod ring;
#[cfg(test)]
mod ring_tests;

pub use feed::{EventFeed, Subscription};
pub use places::{Crowded, MAX_STREAMS, MAX_STREAMS_OF_ONE};
pub use position::{EventId, Position};
pub use rate_feed::{RateAnswer, RateFeed};
pub use rates::{KindCounts, MAX_RATE_PROJECTS, RATE_MINUTES, Rates};
pub use ring::{Cursor, LostReason, Read};
