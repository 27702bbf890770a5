//! The target of a job in a word, as lists show it and as dead letters are asked for. `app` shows
//! it, `store` compares it. It holds no rule of what a job may call.

use super::job::JobDefinition;

/// The target of a job in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetText<'d> {
    /// The URL that is called, or the kind of a target of the job's own.
    Text(&'d str),
    /// The name of the executor of this number.
    Executor(u64),
}

impl JobDefinition {
    /// Its target in a word.
    pub fn target_text(&self) -> TargetText<'_> {
        match (&self.http, &self.target, self.executor) {
            (Some(http), ..) => TargetText::Text(&http.url),
            (None, Some(own), _) => TargetText::Text(&own.kind),
            (None, None, Some(id)) => TargetText::Executor(id),
            (None, None, None) => TargetText::Text(&self.callback_url),
        }
    }
}
