//! The purposes of sealed secrets. `app` and `auth` seal with them, `worker` and
//! `auth` open with them: a text sealed for one does not open for another. Errors name them.

/// Signs callbacks: of an executor, of a project.
pub const SIGNING: &str = "webhook secret";
/// The password of basic authentication at an `http` target.
pub const PASSWORD: &str = "password";
/// The token of bearer authentication at an `http` target.
pub const TOKEN: &str = "token";
/// The value of a header of an `http` target.
pub const HEADER: &str = "secret header";
/// The key to a certificate that a target is shown.
pub const CLIENT_KEY: &str = "client key";
/// The label of a backup, which shows whether a key is the one that its secrets are sealed under.
pub const BACKUP: &str = "label of the backup";
/// A session of the web UI, which is a cookie of a browser.
pub const SESSION: &str = "session of the web ui";
/// A link that signs a browser in, for a minute.
pub const SIGN_IN_LINK: &str = "link into the web ui";
/// Kept for the published clients.
pub const CLOUD_API_KEY: &str = "cloud api key";
/// Kept for the published clients.
pub const CLOUD_API_SECRET: &str = "cloud api secret";
