//! A real broker: `RabbitMQ` with a folder, ports and a node name of its own, on the loopback. The
//! unit tests of `executor::amqp` and `bus` include this file, too, and so does `chaos`. A broker
//! takes five seconds to start, so the tests of a process share one ([`shared`]), each with a
//! virtual host of its own; a test that raises alarms or kills the broker starts its own.
//!
//! Where no broker is installed a test says that it was skipped, and fails with `CI` set.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use lapin::options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};

use super::ports::free_port;

/// The folder of the broker's programs: those on the path of Debian change the user.
const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";
/// The virtual hosts that a broker starts with.
const VHOSTS: usize = 32;
/// The longest time for the start of a broker.
const START: Duration = Duration::from_mins(3);
/// The user of tests, who may do everything.
pub(crate) const USER: &str = "tester";
/// The password of all users: with signs that URLs and base64 write otherwise.
pub(crate) const PASSWORD: &str = "p%40ss/wörd?&+=never-shown";
/// A user who may declare and read, and not publish.
pub(crate) const READER: &str = "reader";

/// A broker, which ends with this value, or with the process of the tests.
pub(crate) struct RabbitMq {
    home: PathBuf,
    port: u16,
    tls_port: u16,
    epmd_port: u16,
    node: String,
    vhosts: AtomicUsize,
    guard: Mutex<Child>,
}

/// The broker that the tests of this process share; `None` without an installed one.
pub(crate) fn shared() -> Option<&'static RabbitMq> {
    static SHARED: OnceLock<Option<RabbitMq>> = OnceLock::new();
    SHARED.get_or_init(RabbitMq::start).as_ref()
}

impl RabbitMq {
    /// Starts a broker, and waits until it answers.
    pub(crate) fn start() -> Option<Self> {
        if !Path::new(PROGRAMS).join("rabbitmq-server").exists() {
            let missing = "no RabbitMQ: install the package rabbitmq-server; see tests/README.md";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("SKIPPED: {missing}");
            return None;
        }
        let home = tempfile::tempdir().expect("a folder").keep();
        let [port, tls_port, epmd_port] = [free_port(), free_port(), free_port()];
        let node = format!("s0-{}-{port}@localhost", std::process::id());
        std::fs::write(home.join("rabbitmq.conf"), configuration(&home, port, tls_port)).unwrap();
        std::fs::write(home.join("definitions.json"), definitions()).unwrap();
        std::fs::write(home.join("enabled_plugins"), "[].\n").unwrap();
        // The shell ends the broker when its input is closed: by `drop`, or by the end of the
        // tests. It starts a broker again that a test has killed (the file `killed`). What deletes
        // the folder is in a session of its own, so it outlives the others. A broker that finds no
        // `epmd` would start one of its own, which nobody ends.
        let script = format!(
            "epmd -address 127.0.0.1 -port {epmd_port} >/dev/null 2>&1 &\n\
             for n in $(seq 100); do\n\
             epmd -port {epmd_port} -names >/dev/null 2>&1 && break; sleep 0.05; done\n\
             while :; do rm -f killed\n\
             {PROGRAMS}/rabbitmq-server >>out 2>&1 </dev/null\n\
             [ -e killed ] || break; done &\n\
             cat >/dev/null\n\
             setsid --fork sh -c 'sleep 1; rm -rf \"$HOME\"' >/dev/null 2>&1\n\
             sleep 0.2\n\
             kill -9 -$$\n"
        );
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).stdin(Stdio::piped()).stdout(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut broker = Self {
            home,
            port,
            tls_port,
            epmd_port,
            node,
            vhosts: AtomicUsize::new(0),
            guard: Mutex::new(Command::new("true").stdin(Stdio::piped()).spawn().unwrap()),
        };
        broker.environment(&mut command);
        broker.guard = Mutex::new(command.spawn().expect("a shell"));
        broker.wait();
        Some(broker)
    }

    /// Waits until the broker takes connections.
    pub(crate) fn wait(&self) {
        let until = std::time::Instant::now() + START;
        let greeted = || {
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
            stream.write_all(b"AMQP\0\0\x09\x01").ok()?;
            std::io::Read::read_exact(&mut stream, &mut [0; 8]).ok()
        };
        while greeted().is_none() {
            let log = std::fs::read_to_string(self.home.join("out")).unwrap_or_default();
            assert!(std::time::Instant::now() < until, "the broker does not start:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn environment(&self, command: &mut Command) {
        let home = self.home.to_str().expect("a path in UTF-8");
        let dist = free_port();
        for (name, value) in [
            ("HOME", home),
            ("RABBITMQ_NODENAME", &self.node),
            ("RABBITMQ_MNESIA_BASE", home),
            ("RABBITMQ_LOG_BASE", home),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", &format!("{home}/enabled_plugins")),
            ("RABBITMQ_CONFIG_FILE", &format!("{home}/rabbitmq.conf")),
            ("RABBITMQ_CONF_ENV_FILE", &format!("{home}/none")),
            ("RABBITMQ_DIST_PORT", &dist.to_string()),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", DIST_ON_LOOPBACK),
            ("ERL_EPMD_PORT", &self.epmd_port.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1"),
            // Two schedulers are enough, and start faster.
            ("RABBITMQ_SCHEDULER_BIND_TYPE", "u"),
        ] {
            command.env(name, value);
        }
        // What Erlang dumps goes there, too.
        command.current_dir(&self.home).env_remove("NOTIFY_SOCKET");
    }

    /// Runs `rabbitmqctl`.
    #[track_caller]
    pub(crate) fn control(&self, arguments: &[&str]) {
        let mut command = Command::new(Path::new(PROGRAMS).join("rabbitmqctl"));
        command.args(["--node", &self.node, "--quiet"]).args(arguments).stdin(Stdio::null());
        self.environment(&mut command);
        let Output { status, stdout, stderr } = command.output().expect("rabbitmqctl");
        let said = [stdout, stderr].concat();
        assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    }

    /// Raises the alarm of memory, or ends it.
    #[track_caller]
    pub(crate) fn alarm(&self, on: bool) {
        let share = if on { "0" } else { "0.9" };
        self.control(&["set_vm_memory_high_watermark", share]);
    }

    /// The port of AMQP.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The port of AMQP over TLS, with the certificate of tests/fixtures/tls.
    pub(crate) fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// A virtual host that no other caller was given.
    pub(crate) fn vhost(&self) -> String {
        let n = self.vhosts.fetch_add(1, Ordering::SeqCst);
        assert!(n < VHOSTS, "more virtual hosts are needed");
        format!("test/{n}")
    }

    /// A channel of a client of the test in a virtual host, on a connection of its own.
    pub(crate) async fn channel(&self, vhost: &str) -> Channel {
        // The channel keeps the connection open.
        self.connection(vhost).await.create_channel().await.expect("a channel")
    }

    /// A connection of a client of the test in a virtual host.
    pub(crate) async fn connection(&self, vhost: &str) -> Connection {
        self.connect(vhost).await.expect("a connection")
    }

    /// The same, of a broker that may be down.
    pub(crate) async fn connect(&self, vhost: &str) -> lapin::Result<Connection> {
        let uri = lapin::uri::AMQPUri {
            authority: lapin::uri::AMQPAuthority {
                userinfo: lapin::uri::AMQPUserInfo {
                    username: USER.to_owned(),
                    password: PASSWORD.to_owned(),
                },
                host: "127.0.0.1".to_owned(),
                port: self.port,
            },
            vhost: vhost.to_owned(),
            ..lapin::uri::AMQPUri::default()
        };
        Connection::connect_uri(uri, ConnectionProperties::default()).await
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        let guard = self.guard.get_mut().unwrap();
        drop(guard.stdin.take());
        let _ = guard.wait();
    }
}

/// Declares a queue, and binds it to an exchange unless that is the default one.
pub(crate) async fn queue(channel: &Channel, name: &str, exchange: &str, key: &str) {
    let (options, none) = (QueueDeclareOptions::default(), FieldTable::default());
    channel.queue_declare(name.into(), options, none.clone()).await.expect("a queue");
    if !exchange.is_empty() {
        let options = QueueBindOptions::default();
        let bound = channel.queue_bind(name.into(), exchange.into(), key.into(), options, none);
        bound.await.expect("a binding");
    }
}

/// The messages that are in a queue now.
pub(crate) async fn messages(channel: &Channel, queue: &str) -> Vec<lapin::message::Delivery> {
    let mut found = Vec::new();
    let options = BasicGetOptions { no_ack: true };
    while let Some(got) = channel.basic_get(queue.into(), options).await.expect("an answer") {
        found.push(got.delivery);
    }
    found
}

/// The Erlang distribution on the loopback.
const DIST_ON_LOOPBACK: &str = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none";

fn configuration(home: &Path, port: u16, tls_port: u16) -> String {
    let (home, tls) = (home.display(), concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls"));
    format!(
        "listeners.tcp.local = 127.0.0.1:{port}\n\
         listeners.ssl.local = 127.0.0.1:{tls_port}\n\
         ssl_options.cacertfile = {tls}/ca.pem\n\
         ssl_options.certfile = {tls}/server.pem\n\
         ssl_options.keyfile = {tls}/server.key\n\
         loopback_users = none\n\
         log.console.level = warning\n\
         disk_free_limit.absolute = 1MB\n\
         vm_memory_high_watermark.relative = 0.9\n\
         load_definitions = {home}/definitions.json\n"
    )
}

/// The users and virtual hosts that a broker begins with.
fn definitions() -> String {
    let user = |name: &str| serde_json::json!({ "name": name, "password": PASSWORD, "tags": "" });
    let may = |user: &str, vhost: &str, write: &str| {
        let all = ".*";
        serde_json::json!({
            "user": user, "vhost": vhost, "configure": all, "write": write, "read": all
        })
    };
    let vhosts: Vec<String> = (0..VHOSTS).map(|n| format!("test/{n}")).collect();
    let rights = vhosts.iter().flat_map(|vhost| [may(USER, vhost, ".*"), may(READER, vhost, "")]);
    serde_json::json!({
        "users": [user(USER), user(READER)],
        "vhosts": vhosts.iter().map(|name| serde_json::json!({ "name": name })).collect::<Vec<_>>(),
        "permissions": rights.collect::<Vec<_>>(),
    })
    .to_string()
}
