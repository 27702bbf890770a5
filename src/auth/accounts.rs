//! The accounts as requests need them: which there are, and which features they lack. `check` holds
//! them beside the key pairs, read again with each change, so that no request has to ask the store.

use std::collections::BTreeMap;

use axum::http::HeaderValue;

use crate::model::account::Account;
use crate::model::feature::Features;
use crate::model::{AccountId, FIRST_ACCOUNT};

/// The accounts of the cluster.
#[derive(Debug, Default)]
pub struct KnownAccounts {
    all: BTreeMap<AccountId, KnownAccount>,
    /// There is another account than the first, or there was one.
    had_others: bool,
    /// A project says where its jobs may call.
    has_lists: bool,
}

/// What is known of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownAccount {
    /// The features that its jobs may use.
    pub features: Features,
    /// The requests of its keys a second, at each node; `None` for no limit of its own.
    pub requests_per_second: Option<u64>,
}

/// The account that a request has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChosenAccount(pub AccountId);

/// The reason why the choice of an account is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// It is no number.
    #[error("X-Account-ID must be the number of an account")]
    NotANumber,
    /// There is no such account.
    #[error("X-Account-ID names account {0}, which does not exist")]
    Unknown(AccountId),
    /// The account is not that of the key.
    #[error("X-Account-ID names another account than that of the api key: leave it out")]
    Mismatch,
}

impl KnownAccounts {
    /// The accounts of these rows.
    pub(super) fn of(rows: Vec<Account>, had_others: bool, has_lists: bool) -> Self {
        let known = |row: Account| {
            let requests_per_second = row.limits.requests_per_second;
            (row.id, KnownAccount { features: row.features, requests_per_second })
        };
        let all = rows.into_iter().map(known).collect();
        Self { all, had_others, has_lists }
    }

    /// What is known of an account.
    pub fn get(&self, id: AccountId) -> Option<KnownAccount> {
        self.all.get(&id).copied()
    }

    /// Says whether any project has a list of where its jobs may call.
    pub fn has_lists(&self) -> bool {
        self.has_lists
    }

    /// Says whether every account has every feature.
    pub fn have_all_features(&self) -> bool {
        self.all.values().all(|account| account.features == Features::ALL)
    }

    /// The account that a header chooses. `own` is that of the key or token that was shown; `None`
    /// for operators, who may choose any. While there was never another account than the first, the
    /// header is ignored: clients send all sorts of numbers.
    pub fn choice(
        &self,
        header: &HeaderValue,
        own: Option<AccountId>,
    ) -> Result<Option<ChosenAccount>, ChoiceError> {
        if !self.had_others && self.all.keys().all(|id| *id == FIRST_ACCOUNT) {
            return Ok(None);
        }
        let text = header.to_str().unwrap_or_default().trim();
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(ChoiceError::NotANumber);
        }
        // A number that no account can have is that of none.
        let id: AccountId = text.parse().unwrap_or(AccountId::MAX);
        match own {
            Some(own) if own != id => Err(ChoiceError::Mismatch),
            None if !self.all.contains_key(&id) => Err(ChoiceError::Unknown(id)),
            _ => Ok(Some(ChosenAccount(id))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(ids: &[AccountId]) -> KnownAccounts {
        let features = Features::ALL;
        let row = |id: &AccountId| Account { id: *id, features, ..Account::default() };
        KnownAccounts::of(ids.iter().map(row).collect(), false, false)
    }

    fn choice(
        ids: &[AccountId],
        header: &'static str,
        own: Option<AccountId>,
    ) -> Result<Option<AccountId>, ChoiceError> {
        let header = HeaderValue::from_static(header);
        accounts(ids).choice(&header, own).map(|chosen| chosen.map(|one| one.0))
    }

    #[test]
    fn the_header_is_ignored_while_there_is_one_account() {
        for header in ["7", "x", "", "1"] {
            assert_eq!(choice(&[1], header, None), Ok(None));
            assert_eq!(choice(&[1], header, Some(1)), Ok(None));
        }
    }

    #[test]
    fn the_header_counts_on_when_the_other_accounts_are_gone() {
        let row = Account { id: FIRST_ACCOUNT, ..Account::default() };
        let known = KnownAccounts::of(vec![row], true, false);
        let header = HeaderValue::from_static("2");
        assert_eq!(known.choice(&header, None), Err(ChoiceError::Unknown(2)));
        assert_eq!(known.choice(&header, Some(1)), Err(ChoiceError::Mismatch));
    }

    #[test]
    fn a_key_names_its_own_account_and_an_operator_any_that_exists() {
        assert_eq!(choice(&[1, 3], "3", Some(3)), Ok(Some(3)));
        assert_eq!(choice(&[1, 3], "1", Some(3)), Err(ChoiceError::Mismatch));
        assert_eq!(choice(&[1, 3], "9", Some(3)), Err(ChoiceError::Mismatch));
        assert_eq!(choice(&[1, 3], "3", None), Ok(Some(3)));
        assert_eq!(choice(&[1, 3], " 1 ", None), Ok(Some(1)));
        assert_eq!(choice(&[1, 3], "9", None), Err(ChoiceError::Unknown(9)));
        for wrong in ["", "x", "-1", "1.0", "0x3"] {
            assert_eq!(choice(&[1, 3], wrong, None), Err(ChoiceError::NotANumber), "{wrong}");
            assert_eq!(choice(&[1, 3], wrong, Some(3)), Err(ChoiceError::NotANumber), "{wrong}");
        }
        let huge = "99999999999999999999999999";
        assert!(matches!(choice(&[1, 3], huge, None), Err(ChoiceError::Unknown(_))));
    }

    #[test]
    fn one_account_without_a_feature_is_enough_to_look_closer() {
        assert!(accounts(&[1, 2]).have_all_features());
        let lacks = Account { id: 2, ..Account::default() };
        assert!(!KnownAccounts::of(vec![lacks], false, false).have_all_features());
    }
}
