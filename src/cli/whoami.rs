//! `whoami`: who a node takes this command line for, and by which credentials.

use super::client::Client;
use super::output::{Output, say};

/// Carries out `whoami`: asks the node, and prints its answer.
pub(super) async fn run(client: &Client, output: Output) -> anyhow::Result<()> {
    let told = client.get("/whoami", &[]).await?;
    say(&format!("by {}", client.login_words()));
    output.record(&told)
}
