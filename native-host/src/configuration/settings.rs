//! What the files say, taken together: the settings that the rest of the program works with.

use std::path::PathBuf;

use latchkey_engine::{
    BreakGlassSettings, Entitlement, LoginMode, Policy, RevealInterval, Rules, Technician, TenantName, TenantRules,
    WebhookSettings,
};
use latchkey_protocol::cloud::Cloud;
use url::Url;
use uuid::Uuid;

use super::file::{BreakGlassSection, DirectorySection, EntitlementSection, File, Login, RulesSection, WebhookSection};
use super::values::{Name, TechnicianName, Written};

/// What the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The technician who works at this machine.
    pub(crate) technician: Option<TechnicianName>,
    /// What the names of JIT accounts begin with; `jit-` unless set.
    pub(crate) account_prefix: Option<String>,
    /// Ids of further builds of the extension that may talk to the host.
    pub(crate) extension_ids: Vec<String>,
    /// How to reach Microsoft.
    pub(crate) network: Network,
    /// The company's own application that customers consent to.
    pub(crate) application: Option<Uuid>,
    /// The company's own public client application that people sign in to.
    pub(crate) sign_in_application: Option<Uuid>,
    /// Who may get what.
    pub(crate) policy: Policy,
    /// The tenant that says who works here, if there is one.
    pub(crate) directory: Option<DirectorySettings>,
    /// Permanent emergency administrators.
    pub(crate) break_glass: Vec<BreakGlassSettings>,
    /// For how many days audit entries are kept; for ever when absent.
    pub(crate) audit_keep_days: Option<u32>,
    /// Who is told of what the audit log says.
    pub(crate) webhook: Option<WebhookSettings>,
}

/// The MSP's own tenant, from which technicians and their groups come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectorySettings {
    /// Its directory id.
    pub(crate) tenant_id: Uuid,
    /// A public client application in it.
    pub(crate) client_id: Uuid,
    /// The cloud that it is in.
    pub(crate) cloud: Cloud,
    /// The group, by name or id, that every technician must be in.
    pub(crate) required_group: Option<String>,
    /// For how many hours the last answer holds while the tenant cannot be reached.
    pub(crate) hold_hours: u32,
}

impl DirectorySettings {
    /// The same in milliseconds.
    pub(crate) fn hold_milliseconds(&self) -> i64 {
        i64::from(self.hold_hours) * 3_600_000
    }
}

/// Settings for the network. Without any, the proxy variables of the environment and the system's certificates hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Network {
    /// Proxy for every request.
    pub(crate) proxy: Option<Url>,
    /// PEM file with a certificate authority to trust beside the system's.
    pub(crate) extra_root_certificate: Option<PathBuf>,
}

impl Settings {
    /// The technician of this name, with the groups that the configuration gives her or him.
    pub(crate) fn technician(&self, name: &TechnicianName) -> Technician {
        let known =
            self.policy.technicians.iter().find(|known| known.name.to_lowercase() == name.as_str().to_lowercase());
        Technician {
            name: name.as_str().to_owned(),
            local_part: name.local_part().to_owned(),
            groups: known.map(|known| known.groups.clone()).unwrap_or_default(),
        }
    }

    /// Takes the files together: the personal one first, then the one that it includes. Of a key that both set (which
    /// is an error that was reported) the first counts.
    pub(super) fn of(files: &[File]) -> Self {
        let mut settings = Self::default();
        for file in files {
            settings.technician = settings.technician.or_else(|| Some(file.technician.as_ref()?.value().clone()));
            settings.account_prefix =
                settings.account_prefix.or_else(|| Some(file.account_prefix.as_ref()?.value().as_str().to_owned()));
            for id in file.extension_ids.iter().map(|id| id.value().as_str()) {
                if !settings.extension_ids.iter().any(|known| known == id) {
                    settings.extension_ids.push(id.to_owned());
                }
            }
            let network = &file.network;
            settings.network = Network {
                proxy: settings.network.proxy.or_else(|| Some(network.proxy.as_ref()?.value().url().clone())),
                extra_root_certificate: settings
                    .network
                    .extra_root_certificate
                    .or_else(|| Some(network.extra_root_certificate.as_ref()?.value().clone())),
            };
            let applications = &file.application;
            settings.application =
                settings.application.or_else(|| Some(applications.client_id.as_ref()?.value().get()));
            settings.sign_in_application =
                settings.sign_in_application.or_else(|| Some(applications.sign_in_client_id.as_ref()?.value().get()));
            settings.audit_keep_days =
                settings.audit_keep_days.or_else(|| Some(file.audit.keep_days.as_ref()?.value().get()));
            settings.webhook = settings.webhook.or_else(|| file.webhook.settings());
            let policy = &mut settings.policy;
            policy.verification_minutes =
                policy.verification_minutes.or_else(|| Some(file.verification.minutes.as_ref()?.value().get()));
            policy.everywhere = policy.everywhere.within(&file.access.rules());
            policy.tenants.extend(file.tenants.iter().map(|section| TenantRules {
                tenant: TenantName(section.value().tenant.value().as_str().to_owned()),
                rules: section.value().rules().rules(),
            }));
            policy.technicians.extend(file.technicians.iter().map(|section| Technician {
                name: section.value().name.value().as_str().to_owned(),
                local_part: section.value().name.value().local_part().to_owned(),
                groups: texts(&section.value().groups),
            }));
            policy.entitlements.extend(file.entitlements.iter().map(|section| section.value().entitlement()));
            settings.directory =
                settings.directory.or_else(|| file.directory.as_ref().map(|section| section.value().settings()));
            settings.break_glass.extend(file.break_glass.iter().map(|section| section.value().settings()));
        }
        settings
    }
}

impl DirectorySection {
    fn settings(&self) -> DirectorySettings {
        DirectorySettings {
            tenant_id: self.tenant_id.value().get(),
            client_id: self.client_id.value().get(),
            cloud: self.cloud.as_ref().map(|cloud| cloud.value().get()).unwrap_or_default(),
            required_group: self.required_group.as_ref().map(|name| name.value().as_str().to_owned()),
            hold_hours: self.hold_hours.as_ref().map_or(8, |hours| hours.value().get()),
        }
    }
}

impl RulesSection {
    /// As the engine knows them.
    pub(super) fn rules(&self) -> Rules {
        Rules {
            minutes: self.minutes.as_ref().map(|minutes| minutes.value().get()),
            maximum_minutes: self.maximum_minutes.as_ref().map(|minutes| minutes.value().get()),
            leases_at_once: self.leases_at_once.as_ref().map(|count| count.value().get()),
            reason_required: self.reason.as_ref().map(|reason| *reason.value()),
            ticket: self.ticket.as_ref().map(|ticket| ticket.value().pattern().clone()),
            login: self.login.as_ref().map(|login| login.value().mode()),
            password_length: self.password_length.as_ref().map(|length| length.value().get()),
            timed_roles: self.timed_roles.as_ref().map(|timed| *timed.value()),
            credential: self.credential.as_ref().map(|credential| credential.value().get()),
            passkeys: self.passkeys.as_ref().map(|life| life.value().get()),
            one_time_codes_beta: self.one_time_codes_beta.as_ref().map(|chosen| *chosen.value()),
        }
    }
}

impl WebhookSection {
    fn settings(&self) -> Option<WebhookSettings> {
        let mut settings = self.url.as_ref()?.value().settings().clone();
        settings.events = self.events.iter().map(|event| event.value().event()).collect();
        settings.tenants = texts(&self.tenants).into_iter().map(TenantName).collect();
        Some(settings)
    }
}

impl Login {
    fn mode(&self) -> LoginMode {
        match self {
            Self::Individual => LoginMode::Individual,
            Self::Shared(account) => LoginMode::Shared { local_part: account.as_str().to_owned() },
        }
    }
}

impl EntitlementSection {
    /// What the technician chooses by.
    pub(crate) fn profile(&self) -> &str {
        self.profile.as_ref().unwrap_or(&self.group).value().as_str()
    }

    fn entitlement(&self) -> Entitlement {
        let tenants = self.tenants.as_ref().map(|tenants| texts(tenants.value())).unwrap_or_default();
        Entitlement {
            group: self.group.value().as_str().to_owned(),
            tenants: tenants.into_iter().map(TenantName).collect(),
            profile: self.profile().to_owned(),
            roles: texts(&self.roles),
            groups: texts(&self.groups),
            maximum_minutes: self.maximum_minutes.as_ref().map(|minutes| minutes.value().get()),
        }
    }
}

impl BreakGlassSection {
    fn settings(&self) -> BreakGlassSettings {
        let mut settings = BreakGlassSettings::new(self.name.value().get().clone());
        settings.tenant = self.tenant.as_ref().map(|tenant| TenantName(tenant.value().as_str().to_owned()));
        if let Some(roles) = &self.roles {
            settings.roles = texts(roles);
        }
        settings.take_over = self.take_over.as_ref().is_some_and(|word| *word.value());
        settings.reveal = texts(&self.reveal);
        settings.rotate_every = self.rotate_hours.as_ref().map(|hours| hours.value().get()).unwrap_or_default();
        let minutes = self.rotate_after_reveal_minutes.as_ref().map(|minutes| minutes.value().get());
        settings.rotate_after_reveal = minutes.and_then(RevealInterval::minutes).unwrap_or_default();
        settings
    }
}

fn texts(names: &[Written<Name>]) -> Vec<String> {
    names.iter().map(|name| name.value().as_str().to_owned()).collect()
}
