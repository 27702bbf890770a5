//! Accounts as they are: one, or a page of those that an actor sees.

use rusqlite::Connection;

use crate::app::accounts::rights::{missing_account, only_account, sees};
use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::page::{After, Page, PageWriter};
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::app::write::Versioned;
use crate::model::account::{Account, month_of};
use crate::model::{AccountId, Millis};
use crate::store::accounts::{self, Order};
use crate::store::meta;

/// An account, as of an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// The account.
    pub account: Account,
    /// The instant of its creation.
    pub created: Millis,
    /// The executions of the present month.
    pub executions: u64,
    /// The instant from which its projects fire again, while its executions are used up.
    pub paused_until: Option<Millis>,
}

impl Versioned for AccountRecord {
    fn version(&self) -> u64 {
        self.account.version
    }
}

impl AccountRecord {
    pub(super) fn of(conn: &Connection, account: Account, now: Millis) -> rusqlite::Result<Self> {
        let created = match account.created {
            Some(created) => created,
            None => meta::born(conn)?.unwrap_or_default(),
        };
        let pause = accounts::quota_pause(conn, account.id, now)?;
        let paused_until = pause.map(|(_, until)| until.saturating_add(1));
        let executions = account.monthly.at(month_of(now)).used;
        Ok(Self { account, created, executions, paused_until })
    }
}

impl App {
    /// Reads an account.
    ///
    /// # Errors
    ///
    /// `NotFound` where the actor sees no such account.
    pub async fn get_account(&self, actor: &Actor, id: AccountId) -> Result<AccountRecord, Error> {
        authorize(actor, Action::AccountsRead, Resource::Any)?;
        sees(actor, id)?;
        self.load_account(actor, id, ReadPhase::BeforeWrite).await
    }

    /// Writes a page of the accounts that the actor sees.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn list_accounts<W: PageWriter<AccountRecord>>(
        &self,
        actor: &Actor,
        page: Page<Order>,
        mut writer: W,
    ) -> Result<W::Written, Error> {
        authorize(actor, Action::AccountsRead, Resource::Any)?;
        let (only, now) = (only_account(actor), self.now());
        let written = self.read(actor, move |conn| {
            let push = |writer: &mut W, account: Account| {
                let after = After { key: None, id: account.id };
                Ok(writer.push(AccountRecord::of(conn, account, now)?, after))
            };
            if let Some(id) = only {
                let found = accounts::get(conn, id)?;
                writer.begin(u64::from(found.is_some()).into());
                if let Some(account) = found.filter(|_| page.offset == 0 && page.after.is_none()) {
                    push(&mut writer, account)?;
                }
                return Ok(writer.end());
            }
            writer.begin(accounts::count(conn)?.into());
            accounts::each(conn, &page, |account| push(&mut writer, account))?;
            Ok(writer.end())
        });
        written.await
    }

    /// Reads an account in this phase of a use case.
    pub(super) async fn load_account(
        &self,
        actor: &Actor,
        id: AccountId,
        phase: ReadPhase,
    ) -> Result<AccountRecord, Error> {
        let now = self.now();
        let found = self.read_at(actor, phase, move |conn| {
            let found = accounts::get(conn, id)?;
            found.map(|account| AccountRecord::of(conn, account, now)).transpose()
        });
        found.await?.ok_or_else(missing_account)
    }
}

/// Reads the version of an account.
pub(super) fn version_of(
    id: AccountId,
) -> impl Fn(&Connection) -> rusqlite::Result<Option<u64>> + Clone {
    move |conn| Ok(accounts::get(conn, id)?.map(|account| account.version))
}
