//! The reach of a principal: the account and the projects whose records exist for it. A record that
//! is out of reach is treated as one that never was. `auth` makes reaches from keys and tokens, the
//! store filters reads by them (`store::db::reach_views`), and `command::apply` judges writes.
//!
//! Nothing here decides what may be *done* within a reach: that is `app::authz`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AccountId, FIRST_ACCOUNT, ProjectId};

/// The most projects that a key may be bound to.
pub const MOST_PROJECTS: usize = 64;

/// The account that there is not: accounts are numbered from 1.
const NO_ACCOUNT: AccountId = 0;

/// The account and the projects that a principal reaches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reach {
    /// The account; `None` for all accounts, as operators and the node itself reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    /// The projects of it.
    #[serde(default)]
    projects: Projects,
}

/// The projects within a reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Projects {
    /// All projects of the account, also those that are still to come.
    #[default]
    All,
    /// These projects, ascending and each once. One that was deleted stays named: its number is
    /// never given again.
    Set(Vec<ProjectId>),
}

impl Reach {
    /// The reach of operators and of a node's own work: everything.
    pub const fn all() -> Self {
        Self { account: None, projects: Projects::All }
    }

    /// The reach over all projects of an account.
    pub const fn of_account(account: AccountId) -> Self {
        Self { account: Some(account), projects: Projects::All }
    }

    /// The reach over some projects of an account; over all of them for `None`.
    pub fn of_projects(account: AccountId, projects: Option<&[ProjectId]>) -> Self {
        let projects = projects.map_or(Projects::All, |ids| Projects::Set(sorted(ids.to_vec())));
        Self { account: Some(account), projects }
    }

    /// The account; `None` for all.
    pub fn account(&self) -> Option<AccountId> {
        self.account
    }

    /// The account that new records belong to: an operator who names none makes them in the first.
    pub fn account_of_new(&self) -> AccountId {
        self.account.unwrap_or(FIRST_ACCOUNT)
    }

    /// The projects that it is limited to, ascending; `None` where it reaches all of the account.
    pub fn projects(&self) -> Option<&[ProjectId]> {
        match &self.projects {
            Projects::All => None,
            Projects::Set(ids) => Some(ids),
        }
    }

    /// True where nothing is out of reach, in whatever account.
    pub fn is_all(&self) -> bool {
        self.account.is_none() && self.reaches_all_projects()
    }

    /// True where all projects of its account are in reach, also those that are still to come.
    pub fn reaches_all_projects(&self) -> bool {
        self.projects == Projects::All
    }

    /// True where records of an account that belong to no project are in reach.
    pub fn has_account(&self, account: AccountId) -> bool {
        self.account.is_none_or(|own| own == account)
    }

    /// True where a project is in reach, as far as its id says. The account of the project decides,
    /// too: see [`Reach::has_project`].
    pub fn names_project(&self, id: ProjectId) -> bool {
        self.projects().is_none_or(|ids| ids.binary_search(&id).is_ok())
    }

    /// True where a project of an account is in reach.
    pub fn has_project(&self, account: AccountId, id: ProjectId) -> bool {
        self.has_account(account) && self.names_project(id)
    }

    /// True where all that it reaches is within another reach.
    pub fn is_within(&self, other: &Self) -> bool {
        if self.account == Some(NO_ACCOUNT) {
            return true;
        }
        let accounts = other.account.is_none() || self.account == other.account;
        let projects = match (self.projects(), other.projects()) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(ids), Some(_)) => ids.iter().all(|id| other.names_project(*id)),
        };
        accounts && projects
    }

    /// The reach over what both reach. Two accounts have nothing in common: it is of no account
    /// then.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let apart = matches!((self.account, other.account), (Some(a), Some(b)) if a != b);
        let account = if apart { Some(NO_ACCOUNT) } else { self.account.or(other.account) };
        let projects = match (self.projects(), other.projects()) {
            _ if apart => Projects::Set(Vec::new()),
            (None, None) => Projects::All,
            (Some(ids), None) | (None, Some(ids)) => Projects::Set(ids.to_vec()),
            (Some(ids), Some(_)) => {
                Projects::Set(ids.iter().copied().filter(|id| other.names_project(*id)).collect())
            }
        };
        Self { account, projects }
    }
}

/// Names the projects, for errors and logs.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.projects, self.account) {
            (Projects::Set(ids), _) if ids.is_empty() => f.write_str("no project"),
            (Projects::Set(ids), _) => write!(f, "{}", Listed(ids)),
            (Projects::All, Some(account)) => write!(f, "all projects of account {account}"),
            (Projects::All, None) => f.write_str("everything"),
        }
    }
}

/// Projects as errors name them: "project 1", "projects 1, 2".
pub struct Listed<'a>(pub &'a [ProjectId]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.len() == 1 { "project " } else { "projects " })?;
        for (n, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Ids in ascending order, each once.
pub fn sorted(mut ids: Vec<ProjectId>) -> Vec<ProjectId> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(account: AccountId, ids: &[ProjectId]) -> Reach {
        Reach::of_projects(account, Some(ids))
    }

    #[test]
    fn a_reach_has_its_account_and_the_projects_that_it_names() {
        let all = Reach::all();
        assert!(all.is_all() && all.has_project(7, 9) && all.has_account(7));
        let account = Reach::of_account(1);
        assert!(account.has_project(1, 9) && !account.has_project(2, 9) && !account.is_all());
        let two = of(1, &[5, 3, 5]);
        assert_eq!(two.projects(), Some(&[3, 5][..]));
        assert!(two.has_project(1, 3) && !two.has_project(1, 4) && !two.has_project(2, 3));
        assert!(!two.reaches_all_projects() && two.has_account(1) && !two.has_account(2));
        assert_eq!((all.account_of_new(), of(2, &[1]).account_of_new()), (1, 2));
    }

    #[test]
    fn what_is_within_another_reach_and_what_both_have() {
        let (all, one, other) = (Reach::all(), Reach::of_account(1), Reach::of_account(2));
        // The first, the second, whether it is within, and what both have.
        let table = [
            (all.clone(), all.clone(), true, all.clone()),
            (one.clone(), all.clone(), true, one.clone()),
            (all.clone(), one.clone(), false, one.clone()),
            (one.clone(), other.clone(), false, of(NO_ACCOUNT, &[])),
            (of(1, &[2, 3]), one.clone(), true, of(1, &[2, 3])),
            (one.clone(), of(1, &[2, 3]), false, of(1, &[2, 3])),
            (of(1, &[2]), of(1, &[2, 3]), true, of(1, &[2])),
            (of(1, &[2, 4]), of(1, &[2, 3]), false, of(1, &[2])),
            (of(1, &[2]), of(2, &[2]), false, of(NO_ACCOUNT, &[])),
            (of(1, &[2]), all, true, of(1, &[2])),
        ];
        for (first, second, within, both) in table {
            assert_eq!(first.is_within(&second), within, "{first:?} {second:?}");
            assert_eq!(first.intersect(&second), both, "{first:?} {second:?}");
            assert!(both.is_within(&first) && both.is_within(&second), "{both:?}");
        }
    }

    #[test]
    fn errors_name_the_projects() {
        let shown = [of(1, &[7]), of(1, &[7, 2]), Reach::of_account(3), Reach::all(), of(1, &[])];
        let wanted =
            ["project 7", "projects 2, 7", "all projects of account 3", "everything", "no project"];
        assert_eq!(shown.map(|reach| reach.to_string()), wanted);
    }

    #[test]
    fn a_reach_is_read_as_it_was_written() {
        for reach in [Reach::all(), Reach::of_account(2), of(1, &[3, 4])] {
            let text = serde_json::to_string(&reach).unwrap();
            assert_eq!(serde_json::from_str::<Reach>(&text).unwrap(), reach, "{text}");
        }
        assert_eq!(serde_json::from_str::<Reach>("{}").unwrap(), Reach::all());
    }
}
