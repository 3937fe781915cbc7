//! What the caller decides before the engine opens.

use std::{path::PathBuf, time::Duration};

use url::Url;
use uuid::Uuid;

use crate::{BreakGlassSettings, Policy, WebhookSettings};

/// Everything that [`crate::Engine::open`] needs to know.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The database file; made (with its folder, for this user only) when it is not there.
    pub database_path: PathBuf,
    /// Who works here.
    pub technician: Technician,
    /// What the names of JIT accounts begin with, before the technician's local part; `jit-` unless told otherwise.
    pub account_prefix: String,
    /// Who may get what. Empty: everybody may get the roles and groups that were named when the tenant was connected.
    pub policy: Policy,
    /// Permanent emergency administrators that tenants are to have.
    pub break_glass: Vec<BreakGlassSettings>,
    /// The client id of the MSP's own application that serves every tenant which consented to it, if there is one.
    /// Other tenants have an application of their own.
    pub application: Option<Uuid>,
    /// How Microsoft is reached.
    pub network: NetworkSettings,
    /// How long a person is kept waiting.
    pub patience: Patience,
    /// How many days audit entries are kept; for ever when absent.
    pub audit_keep_days: Option<u32>,
    /// Who else is told of what the audit log says.
    pub webhook: Option<WebhookSettings>,
}

impl EngineSettings {
    /// Settings with the usual prefix, the system's network and the usual patience.
    #[must_use]
    pub fn new(database_path: PathBuf, technician: Technician) -> Self {
        Self {
            database_path,
            technician,
            account_prefix: "jit-".to_owned(),
            policy: Policy::default(),
            break_glass: Vec::new(),
            application: None,
            network: NetworkSettings::default(),
            patience: Patience::default(),
            audit_keep_days: None,
            webhook: None,
        }
    }
}

/// The MSP's employee whose JIT accounts these are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Technician {
    /// As people call her or him, e.g. `Alex`.
    pub name: String,
    /// What stands in account names after the prefix, e.g. `alex`.
    pub local_part: String,
    /// Names of the groups that she or he is in, beside the one that everybody is in.
    pub groups: Vec<String>,
}

impl Technician {
    /// Whether the local part is hers or his.
    #[must_use]
    pub fn is(&self, local_part: &str) -> bool {
        self.local_part.trim().eq_ignore_ascii_case(local_part.trim())
    }
}

/// How Microsoft is reached. The proxy of the environment (`HTTPS_PROXY`, `NO_PROXY`) and the system's certificate
/// store are used in any case; corporate networks sometimes need more.
#[derive(Clone, Debug, Default)]
pub struct NetworkSettings {
    /// A proxy for every address, instead of the environment's.
    pub proxy: Option<Url>,
    /// A PEM file with further root certificates to trust.
    pub extra_root_certificates: Option<PathBuf>,
}

/// How long work that a person waits for is tried before it is reported as a problem. (What must be taken back is
/// tried for ever in the background, whatever stands here.)
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// While Microsoft answers with faults, asks to wait, or does not answer.
    pub fault: Duration,
    /// While a new account has not arrived everywhere in the directory.
    pub replication: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { fault: Duration::from_secs(30), replication: Duration::from_secs(150) }
    }
}
