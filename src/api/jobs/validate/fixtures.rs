//! Jobs and rules that the tests of this module share.

use std::sync::Arc;
use std::time::Duration;

use crate::api::http::error::Error;
use crate::api::jobs::input::parse;
use crate::api::jobs::validate::batch::Batch;
use crate::api::jobs::validate::rules::Rules;
use crate::command::NewJob;
use crate::executor::guard::TargetGuard;
use crate::model::Millis;
use crate::model::job::{Casing, JobDefinition};
use crate::secret::Keys;

/// 2026-11-20T20:00:00Z.
pub(crate) const NOW: Millis = 1_795_204_800_000;

/// The rules of a node with small limits.
pub(crate) fn rules() -> Rules {
    Rules {
        payload_max: 2_000_000,
        guard: TargetGuard::default(),
        casing: Casing::Snake,
        keys: Arc::new(Keys::new(&"5e".repeat(32), "node", "pass").unwrap()),
        now: NOW,
        grace: 60_000,
        max_timeout: Duration::from_mins(5),
    }
}

/// The definitions and rows that a body makes.
pub(crate) fn read(body: &str, rules: Rules) -> Result<(Vec<JobDefinition>, Vec<NewJob>), Error> {
    let mut batch = Batch::new(rules);
    parse::each(body.as_bytes(), &mut |_, job| batch.add(job))?;
    Ok((batch.definitions, batch.jobs))
}

/// A valid job with one field replaced or added.
pub(crate) fn with(field: &str, value: &str) -> String {
    let mut fields = vec![
        ("project_id", "7"),
        ("spec", "\"@every 1m\""),
        ("timezone", "\"America/New_York\""),
        ("callback_url", "\"http://localhost:3000/callback\""),
        ("data", "\"{}\""),
    ];
    fields.retain(|(name, _)| *name != field);
    fields.push((field, value));
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// A job without the fields of [`with`].
pub(crate) fn bare(rest: &str) -> String {
    format!("{{\"projectId\":7,{rest}}}")
}

pub(crate) const URL: &str = "\"callbackUrl\":\"http://localhost/\"";
pub(crate) const SPEC: &str = "\"spec\":\"@daily\",\"timezone\":\"UTC\"";
