//! The death of a broker: it is killed with SIGKILL, and starts again. `messages` and `chaos` use
//! it.

use std::time::{Duration, Instant};

use super::rabbitmq::RabbitMq;

/// Lets the broker kill itself with SIGKILL, once `rabbitmqctl` has its answer.
const KILL: &str =
    r#"os:cmd("(: >$HOME/killed; sleep 0.1; kill -9 " ++ os:getpid() ++ ") >/dev/null 2>&1 &")."#;
/// The longest time until it is dead.
const DEAD: Duration = Duration::from_mins(1);

/// Kills the broker, and waits until it answers again.
pub(crate) fn kill(rabbit: &RabbitMq) {
    rabbit.control(&["eval", KILL]);
    let until = Instant::now() + DEAD;
    while std::net::TcpStream::connect(("127.0.0.1", rabbit.port())).is_ok() {
        assert!(Instant::now() < until, "the broker is not killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    rabbit.wait();
}
