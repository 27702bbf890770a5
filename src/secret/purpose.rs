//! What a sealed secret is for. `api` seals with these, `worker` opens with them: text sealed for
//! one does not open for another. Errors say them to people.

/// Signs callbacks: of an executor, of a project.
pub const SIGNING: &str = "webhook secret";
/// Of basic authentication at an `http` target.
pub const PASSWORD: &str = "password";
/// Of bearer authentication at an `http` target.
pub const TOKEN: &str = "token";
/// The value of a header of an `http` target.
pub const HEADER: &str = "secret header";
/// The key to a certificate that a target is shown.
pub const CLIENT_KEY: &str = "client key";
/// In the label of a backup: tells whether a key is the one that its secrets are sealed under.
pub const BACKUP: &str = "label of the backup";
/// Kept for the published clients.
pub const CLOUD_API_KEY: &str = "cloud api key";
/// Kept for the published clients.
pub const CLOUD_API_SECRET: &str = "cloud api secret";
