//! The storage suite of openraft over our log and state machine.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use scheduler0::raft::log::LogStore;
use scheduler0::raft::machine::Machine;
use scheduler0::raft::snapshot::Snapshots;
use scheduler0::raft::types::TypeConfig;
use scheduler0::store::Store;
use tempfile::TempDir;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let log = LogStore::open(&dir.path().join("raft")).unwrap();
        let (store, writer) = Store::open(dir.path()).unwrap();
        let snapshots = Arc::new(Snapshots::open(dir.path()).unwrap());
        let machine = Machine::start(store, writer, snapshots).unwrap();
        Ok((dir, log, machine))
    }
}

#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn log_and_machine_pass_openrafts_suite() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(Suite::test_all(Builder)).unwrap();
}
