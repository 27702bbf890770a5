//! Explanations of a job at an instant. `store` finds the facts, and `explain_words` puts them into
//! sentences.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::history::explain_words;
use crate::app::jobs::missing_job;
use crate::app::state::App;
use crate::model::{JobId, Millis};
use crate::store::explain::{Account, Explained, explain};

/// The facts about a job at an instant, and their reasons.
#[derive(Debug)]
pub struct Explanation {
    /// The facts.
    pub facts: Explained,
    /// The instant.
    pub at: Millis,
}

impl Explanation {
    /// The name of the state at the instant: that of the occurrence; without one `not_due`,
    /// `not_created`, `deleted` or `forgotten`.
    pub fn state(&self) -> &'static str {
        explain_words::state(&self.facts, self.at)
    }

    /// The explanation in one sentence.
    pub fn summary(&self) -> String {
        explain_words::summary(&self.facts, self.at)
    }

    /// Notes on circumstances that may surprise a reader, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        explain_words::notes(&self.facts, self.at)
    }

    /// The sentence of one of its occurrences or manual runs.
    pub fn told(&self, account: &Account) -> String {
        explain_words::told(&self.facts, account)
    }
}

impl App {
    /// Explains a job at an instant.
    ///
    /// # Errors
    ///
    /// `NotFound` where nothing is known of the job; `TooSlow` or `Busy` when it cannot be read in
    /// time.
    pub async fn explain_job(
        &self,
        actor: &Actor,
        id: JobId,
        at: Millis,
    ) -> Result<Explanation, Error> {
        authorize(actor, Action::HistoryRead, Resource::Any)?;
        let now = self.now();
        let facts = self.read(actor, move |conn| explain(conn, id, at, now)).await?;
        Ok(Explanation { facts: facts.ok_or_else(missing_job)?, at })
    }
}
