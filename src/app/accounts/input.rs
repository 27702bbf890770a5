//! The fields of an account that requests give, and their rules.

use crate::app::error::Error;
use crate::app::patch::Patch;
use crate::model::account::{LONGEST_NAME, Limits, MAX_LIMIT};
use crate::model::feature::Features;

/// The longest name of a caller, in bytes.
pub const LONGEST_BY: usize = 256;

/// The fields of an account that a request gives. A field that it does not name stays as it is, or
/// is not there in a new account.
#[derive(Clone, Debug, Default)]
pub struct AccountInput {
    /// Its name.
    pub name: Option<String>,
    /// Its features, all of them.
    pub features: Option<Features>,
    /// The changes of its limits.
    pub limits: LimitsPatch,
    /// The name that the caller gives itself.
    pub by: Option<String>,
}

/// Changes of limits; [`Patch::Clear`] takes a limit away.
#[derive(Clone, Debug, Default)]
pub struct LimitsPatch {
    /// Projects.
    pub projects: Patch<u64>,
    /// Jobs.
    pub jobs: Patch<u64>,
    /// Executors.
    pub executors: Patch<u64>,
    /// Credentials.
    pub credentials: Patch<u64>,
    /// Executions of a month.
    pub executions_per_month: Patch<u64>,
    /// Requests a second.
    pub requests_per_second: Patch<u64>,
    /// Jobs of a request.
    pub jobs_per_request: Patch<u64>,
}

impl LimitsPatch {
    /// The changes that take all limits away.
    pub fn clear() -> Self {
        Self {
            projects: Patch::Clear,
            jobs: Patch::Clear,
            executors: Patch::Clear,
            credentials: Patch::Clear,
            executions_per_month: Patch::Clear,
            requests_per_second: Patch::Clear,
            jobs_per_request: Patch::Clear,
        }
    }

    /// The limits after the changes.
    pub(super) fn apply_to(self, old: Limits) -> Result<Limits, Error> {
        let most = |field: &'static str, patch: Patch<u64>, old: Option<u64>| {
            let new = patch.apply_to(old);
            let least = u64::from(matches!(field, "requestsPerSecond" | "jobsPerRequest"));
            match new {
                Some(limit) if !(least..=MAX_LIMIT).contains(&limit) => {
                    let message = format!(
                        "limits.{field} must be a whole number from {least} to {MAX_LIMIT}, or null \
                         for no limit"
                    );
                    Err(Error::invalid(field, message))
                }
                new => Ok(new),
            }
        };
        Ok(Limits {
            projects: most("projects", self.projects, old.projects)?,
            jobs: most("jobs", self.jobs, old.jobs)?,
            executors: most("executors", self.executors, old.executors)?,
            credentials: most("credentials", self.credentials, old.credentials)?,
            executions_per_month: most(
                "executionsPerMonth",
                self.executions_per_month,
                old.executions_per_month,
            )?,
            requests_per_second: most(
                "requestsPerSecond",
                self.requests_per_second,
                old.requests_per_second,
            )?,
            jobs_per_request: most("jobsPerRequest", self.jobs_per_request, old.jobs_per_request)?,
        })
    }

    /// Says whether nothing changes.
    pub(super) fn is_empty(&self) -> bool {
        let all = [
            &self.projects,
            &self.jobs,
            &self.executors,
            &self.credentials,
            &self.executions_per_month,
            &self.requests_per_second,
            &self.jobs_per_request,
        ];
        all.into_iter().all(|patch| *patch == Patch::Keep)
    }
}

/// Checks the name of an account.
pub(super) fn checked_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    if name.is_empty() {
        return Err(Error::invalid("name", "name field is required"));
    }
    if name.len() > LONGEST_NAME {
        let message = format!("name must have at most {LONGEST_NAME} bytes");
        return Err(Error::invalid("name", message));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_change_one_by_one_within_their_range() {
        let old = Limits { jobs: Some(5), projects: Some(1), ..Limits::default() };
        let patch =
            LimitsPatch { jobs: Patch::Clear, executors: Patch::Set(0), ..LimitsPatch::default() };
        assert!(!patch.is_empty() && LimitsPatch::default().is_empty());
        let new = patch.apply_to(old).unwrap();
        assert_eq!((new.jobs, new.projects, new.executors), (None, Some(1), Some(0)));
        assert_eq!(LimitsPatch::clear().apply_to(new).unwrap(), Limits::default());
        let wrong = [
            LimitsPatch { requests_per_second: Patch::Set(0), ..LimitsPatch::default() },
            LimitsPatch { jobs_per_request: Patch::Set(0), ..LimitsPatch::default() },
            LimitsPatch { jobs: Patch::Set(MAX_LIMIT + 1), ..LimitsPatch::default() },
        ];
        for patch in wrong {
            assert!(patch.apply_to(old).unwrap_err().detail().contains("or null"));
        }
    }

    #[test]
    fn a_name_is_there_and_not_too_long() {
        assert_eq!(checked_name(" a b ").unwrap(), "a b");
        assert!(checked_name(" \n").is_err());
        assert!(checked_name(&"x".repeat(LONGEST_NAME + 1)).is_err());
    }
}
