//! The live instances of some templates, for pages that show many templates at once.

use std::collections::HashMap;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::jobs::{JobRecord, Records};
use crate::app::state::App;
use crate::store::{jobs, template_jobs};

/// The number up to which live instances are counted.
pub const MOST_LIVE: u64 = 100;

/// The live instances of a template.
#[derive(Clone, Debug)]
pub struct LiveInstances {
    /// Their number; one more than [`MOST_LIVE`] stands for every larger one.
    pub count: u64,
    /// The first of them.
    pub first: Option<JobRecord>,
}

impl App {
    /// Reads the live instances of some templates. One that does not exist has none.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when they cannot be read in time.
    pub async fn live_instances(
        &self,
        actor: &Actor,
        of: Vec<u64>,
    ) -> Result<HashMap<u64, LiveInstances>, Error> {
        authorize(actor, Action::TemplatesRead, Resource::Any)?;
        let (now, retry_max) = (self.now(), self.config.job_execution_retry_max);
        let found = self.read(actor, move |conn| {
            let mut records = Records::new(conn, now, retry_max)?;
            let mut found = HashMap::with_capacity(of.len());
            for template in of {
                let live = template_jobs::live(conn, template, MOST_LIVE as u32 + 1)?;
                let first = match live.first() {
                    Some(job) => jobs::get(conn, *job)?,
                    None => None,
                };
                let first = first.map(|job| records.record(job)).transpose()?;
                found.insert(template, LiveInstances { count: live.len() as u64, first });
            }
            Ok(found)
        });
        found.await
    }
}
