//! The broker of the documents: a real one, in a virtual host of its own for each page, and a
//! Python that speaks to it. Called by `docs`.

use std::process::Command;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::session::Session;
use crate::harness::rabbitmq::{self, PASSWORD, USER};

/// The documented address.
const DOCUMENTED: &str = "amqp://guest:guest@127.0.0.1:5672/";
/// Programs that may have `pika`: the usual one, and that of the system.
const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];

/// The code with the address of the test's broker; `None` where the block cannot be run.
pub(super) fn with_broker(session: &mut Session, code: &str) -> Option<String> {
    let has_pika = |python: &&&str| {
        let found = Command::new(python).args(["-c", "import pika"]).output();
        found.is_ok_and(|said| said.status.success())
    };
    let Some(python) = PYTHONS.iter().find(has_pika) else {
        let missing = "no package pika of Python: install python3-pika";
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("SKIPPED: {missing}");
        return None;
    };
    let rabbit = rabbitmq::shared()?;
    session.use_python(python);
    let vhost = session.vhost.get_or_insert_with(|| rabbit.vhost());
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (password, vhost, port) = (encoded(PASSWORD), encoded(vhost), rabbit.port());
    let address = format!("amqp://{USER}:{password}@127.0.0.1:{port}/{vhost}");
    Some(code.replace(DOCUMENTED, &address))
}
