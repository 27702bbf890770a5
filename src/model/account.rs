//! Accounts: tenants of the cluster, each with its features, its limits, and what it has of each.
//! `command::apply` counts and judges, so that a limit holds exactly, whoever writes at once and at
//! which node. Pure.

use chrono::{DateTime, Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use super::AccountId;
use super::feature::Features;
use super::time::Millis;

/// The longest name of an account, in bytes.
pub const LONGEST_NAME: usize = 255;
/// The executions that are shown as left where there is no limit, as published clients know it.
pub const UNLIMITED: u64 = 2_147_483_647;
/// The largest number that a limit may be: `JavaScript` loses no digit of it.
pub const MAX_LIMIT: u64 = (1 << 53) - 1;

/// The most that an account may have or do; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Limits {
    /// Projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projects: Option<u64>,
    /// Jobs, completed ones included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u64>,
    /// Executors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executors: Option<u64>,
    /// Credentials, archived ones included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<u64>,
    /// Executions of a month in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executions_per_month: Option<u64>,
    /// Requests of its keys a second, at each node by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u64>,
    /// Jobs that one request creates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs_per_request: Option<u64>,
}

/// A kind of record that accounts have, and that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Projects.
    Projects,
    /// Jobs.
    Jobs,
    /// Executors.
    Executors,
    /// Credentials.
    Credentials,
}

impl Counted {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Projects, Self::Jobs, Self::Executors, Self::Credentials];

    /// The name of its limit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Projects => "projects",
            Self::Jobs => "jobs",
            Self::Executors => "executors",
            Self::Credentials => "credentials",
        }
    }
}

impl Limits {
    /// The most that the account may have of a kind.
    pub fn of(&self, kind: Counted) -> Option<u64> {
        match kind {
            Counted::Projects => self.projects,
            Counted::Jobs => self.jobs,
            Counted::Executors => self.executors,
            Counted::Credentials => self.credentials,
        }
    }
}

/// The records that an account has, counted by `command::apply` with each that comes or goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Projects.
    pub projects: u64,
    /// Jobs.
    pub jobs: u64,
    /// Executors.
    pub executors: u64,
    /// Credentials.
    pub credentials: u64,
}

impl Held {
    /// The number of a kind.
    pub fn of(&self, kind: Counted) -> u64 {
        match kind {
            Counted::Projects => self.projects,
            Counted::Jobs => self.jobs,
            Counted::Executors => self.executors,
            Counted::Credentials => self.credentials,
        }
    }

    /// Adds to the number of a kind, or takes away from it when `by` is negative.
    pub fn add(&mut self, kind: Counted, by: i64) {
        let number = match kind {
            Counted::Projects => &mut self.projects,
            Counted::Jobs => &mut self.jobs,
            Counted::Executors => &mut self.executors,
            Counted::Credentials => &mut self.credentials,
        };
        *number = number.saturating_add_signed(by);
    }

    /// True where it has no record at all. Jobs are in projects.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// The executions of a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonthlyUse {
    /// The month in UTC, see [`month_of`].
    pub month: i64,
    /// The executions that were recorded in it.
    pub used: u64,
    /// The executions that were granted for it beside the limit.
    pub granted: u64,
}

impl MonthlyUse {
    /// The use in a month: its own, or nothing in another month.
    #[must_use]
    pub fn at(self, month: i64) -> Self {
        if self.month == month { self } else { Self { month, used: 0, granted: 0 } }
    }
}

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Its name, unique in the cluster.
    pub name: String,
    /// The features that its jobs may use.
    pub features: Features,
    /// Its limits.
    pub limits: Limits,
    /// What it has.
    pub held: Held,
    /// The executions of the month in which it last had any.
    pub monthly: MonthlyUse,
    /// The instant of its creation; `None` for the account that came with the cluster.
    pub created: Option<Millis>,
    /// The instant of the last change of its name, features or limits.
    pub modified: Option<Millis>,
    /// The name that whoever made it gave itself.
    pub created_by: Option<String>,
    /// The name that whoever changed it last gave itself.
    pub modified_by: Option<String>,
    /// The number of changes of name, features and limits, from 1.
    pub version: u64,
}

impl Account {
    /// The most executions in a month, with what was granted for it; `None` without a limit.
    pub fn executions_allowed(&self, month: i64) -> Option<u64> {
        let granted = self.monthly.at(month).granted;
        self.limits.executions_per_month.map(|limit| limit.saturating_add(granted))
    }

    /// The executions that are left in a month; `None` without a limit.
    pub fn executions_left(&self, month: i64) -> Option<u64> {
        let used = self.monthly.at(month).used;
        self.executions_allowed(month).map(|allowed| allowed.saturating_sub(used))
    }

    /// True where its projects fire nothing in a month, because its executions are used up.
    pub fn is_used_up(&self, month: i64) -> bool {
        self.executions_left(month) == Some(0)
    }
}

/// A new account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// Its features.
    pub features: Features,
    /// Its limits.
    pub limits: Limits,
    /// The name of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// An account after a change: what is not to change is given as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountEdit {
    /// Its name.
    pub name: String,
    /// Its features.
    pub features: Features,
    /// Its limits.
    pub limits: Limits,
    /// The name of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The instant in the calendar of UTC. What chrono cannot hold counts as 1970.
fn date_of(instant: Millis) -> NaiveDate {
    DateTime::from_timestamp_millis(instant).unwrap_or_default().date_naive()
}

/// The month of an instant in UTC, counted from January 1970, which is 0.
pub fn month_of(instant: Millis) -> i64 {
    let date = date_of(instant);
    i64::from(date.year() - 1970) * 12 + i64::from(date.month0())
}

/// The first instant of the month after that of an instant, in UTC.
pub fn next_month(instant: Millis) -> Millis {
    let next = month_of(instant) + 1;
    let year = i32::try_from(1970 + next.div_euclid(12)).unwrap_or(i32::MAX);
    // Within 1 to 12.
    let month = next.rem_euclid(12) as u32 + 1;
    let first = NaiveDate::from_ymd_opt(year, month, 1).and_then(|date| date.and_hms_opt(0, 0, 0));
    first.map_or(Millis::MAX, |first| first.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::{parse_rfc3339, rfc3339};

    #[test]
    fn months_are_those_of_utc() {
        for (instant, month, next) in [
            ("1970-01-01T00:00:00Z", 0, "1970-02-01T00:00:00Z"),
            ("1969-12-31T23:59:59Z", -1, "1970-01-01T00:00:00Z"),
            ("2026-11-30T23:59:59.999Z", 682, "2026-12-01T00:00:00Z"),
            ("2026-12-01T00:00:00Z", 683, "2027-01-01T00:00:00Z"),
            ("2028-02-29T12:00:00+14:00", 697, "2028-03-01T00:00:00Z"),
        ] {
            let at = parse_rfc3339(instant).unwrap();
            assert_eq!((month_of(at), rfc3339(next_month(at))), (month, next.to_owned()));
        }
        assert!(next_month(Millis::MAX) > 0);
    }

    #[test]
    fn a_month_begins_with_the_limit_and_nothing_else() {
        let limits = Limits { executions_per_month: Some(10), ..Limits::default() };
        let monthly = MonthlyUse { month: 5, used: 12, granted: 3 };
        let account = Account { limits, monthly, ..Account::default() };
        assert_eq!(
            (account.executions_allowed(5), account.executions_left(5)),
            (Some(13), Some(1))
        );
        assert!(!account.is_used_up(5));
        assert_eq!(
            (account.executions_allowed(6), account.executions_left(6)),
            (Some(10), Some(10))
        );
        let open = Account { limits: Limits::default(), ..account };
        assert_eq!((open.executions_left(5), open.is_used_up(5)), (None, false));
    }

    #[test]
    fn each_kind_has_its_number_and_its_limit() {
        let mut held = Held::default();
        for (number, kind) in (1..).zip(Counted::ALL) {
            held.add(kind, number);
            held.add(kind, 1);
            held.add(kind, -1);
            assert_eq!(held.of(kind), number as u64);
        }
        assert!(!held.is_nothing());
        assert_eq!(Limits { jobs: Some(4), ..Limits::default() }.of(Counted::Jobs), Some(4));
        assert_eq!(Limits::default().of(Counted::Projects), None);
    }
}
