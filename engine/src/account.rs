//! The technician's own account in a tenant: its name, its mark.

use latchkey_protocol::ErrorBody;
use serde::Serialize;
use uuid::Uuid;

/// What [`crate::Engine::prepare_account`] leaves behind.
#[derive(Clone, Debug, Serialize)]
pub struct PreparedAccount {
    /// User principal name.
    pub user_name: String,
    /// Object id in the directory.
    pub object_id: Uuid,
    /// Whether it had to be made.
    pub created: bool,
    /// What a later lease will stumble over, e.g. that the app may not set passwords.
    pub problems: Vec<ErrorBody>,
}
