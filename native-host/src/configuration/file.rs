//! `config.toml` as it is written: every section and key.
//!
//! These types read the file and make its JSON Schema, so that neither knows a key that the other does not. The
//! comments on the fields are what editors show; write them for technicians. **A new section** is one more field of
//! [`File`] and one more struct with the derives and attributes of the others; give the values that a later check may
//! complain about as [`Written`], and take them over in [`super::settings`].

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{
    AccountPrefix, BestCredential, ClientId, CloudName, Days, EmergencyName, EventName, ExtensionId, Guid, HoldHours,
    Hours, LeaseCount, Minutes, Name, PasskeyLifeName, PasswordCharacters, ProxyAddress, ReceiverAddress,
    RememberedMinutes, SharedAccount, TechnicianName, Ticket, Written,
};

/// Latchkey's configuration. Secrets are never in it: they are in the operating system's key store.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Latchkey config.toml")]
pub(crate) struct File {
    /// A file that this one continues, relative to this one's folder; say, the one that your company shares. That one
    /// must not name a technician or include a third one.
    pub(crate) include: Option<Written<PathBuf>>,
    /// You: your user name at your own company. What stands before the @ names your accounts. The person who is signed
    /// in to this machine unless set.
    pub(crate) technician: Option<Written<TechnicianName>>,
    /// What the names of JIT accounts begin with, the same in every tenant; jit- unless set.
    pub(crate) account_prefix: Option<Written<AccountPrefix>>,
    /// Ids of further builds of the extension that may talk to this program.
    pub(crate) extension_ids: Vec<Written<ExtensionId>>,
    /// How Microsoft is reached. Unless set, the environment's proxy variables and the system's certificates hold.
    pub(crate) network: NetworkSection,
    /// Applications of your own company that work in your customers' tenants.
    pub(crate) application: ApplicationSection,
    /// What holds in every tenant.
    pub(crate) access: RulesSection,
    /// What holds in one tenant; a key that is set here takes the place of the one in [access].
    pub(crate) tenants: Vec<Written<TenantSection>>,
    /// Everybody who works with Latchkey, and the groups that they are in.
    pub(crate) technicians: Vec<Written<TechnicianSection>>,
    /// Who may get what. In a tenant that no entitlement applies to, everybody may get what was named at
    /// 'latchkey tenant add'.
    pub(crate) entitlements: Vec<Written<EntitlementSection>>,
    /// Your company's own Entra tenant, which says who works with Latchkey and in which groups they are, instead of
    /// [[technicians]].
    pub(crate) directory: Option<Written<DirectorySection>>,
    /// Permanent emergency administrators that tenants are to have, two at most in each. 'latchkey break-glass prepare'
    /// makes them.
    pub(crate) break_glass: Vec<Written<BreakGlassSection>>,
    /// The audit log.
    pub(crate) audit: AuditSection,
    /// How it is found out that it is you.
    pub(crate) verification: VerificationSection,
    /// Who is told of what the audit log says: a SIEM, a PSA. The secret that signs is made by 'latchkey webhook secret'.
    pub(crate) webhook: WebhookSection,
}

/// `[audit]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a section [audit]")]
#[schemars(inline)]
pub(crate) struct AuditSection {
    /// For how many days entries are kept; for ever unless set. What is removed stays provable.
    pub(crate) keep_days: Option<Written<Days>>,
}

/// `[verification]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a section [verification]")]
#[schemars(inline)]
pub(crate) struct VerificationSection {
    /// For how many minutes it is remembered, unless the screen is locked before; 480 (8 hours) unless set.
    pub(crate) minutes: Option<Written<RememberedMinutes>>,
}

/// `[webhook]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a section [webhook]")]
#[schemars(inline)]
pub(crate) struct WebhookSection {
    /// Where messages go: an https address (http only on this machine). Nobody is told unless set.
    pub(crate) url: Option<Written<ReceiverAddress>>,
    /// Of which events, e.g. lease_granted and end_verified. Of all when absent.
    pub(crate) events: Vec<Written<EventName>>,
    /// Of which tenants: names, domains or directory ids. Of all when absent.
    pub(crate) tenants: Vec<Written<Name>>,
}

/// `[network]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a section [network]")]
#[schemars(inline)]
pub(crate) struct NetworkSection {
    /// A proxy for every request, instead of the environment's.
    pub(crate) proxy: Option<Written<ProxyAddress>>,
    /// A PEM file with a certificate authority to trust beside the system's.
    pub(crate) extra_root_certificate: Option<Written<PathBuf>>,
}

/// `[application]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a section [application]")]
#[schemars(inline)]
pub(crate) struct ApplicationSection {
    /// Client id of the one application of your company that customers consent to ('latchkey tenant authorize').
    pub(crate) client_id: Option<Written<ClientId>>,
    /// Client id of a public client application of your company, with the redirect address http://localhost, that
    /// people sign in to ('latchkey tenant onboard').
    pub(crate) sign_in_client_id: Option<Written<ClientId>>,
}

/// `[directory]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section [directory]")]
#[schemars(inline)]
pub(crate) struct DirectorySection {
    /// The directory id of your company's own tenant.
    pub(crate) tenant_id: Written<Guid>,
    /// The client id of a public client application there, with the redirect address http://localhost.
    pub(crate) client_id: Written<Guid>,
    /// The cloud that your tenant is in: global (unless set), us_government, us_government_dod or china.
    pub(crate) cloud: Option<Written<CloudName>>,
    /// The group that a technician must be in, by its name or id. Any account of your tenant will do unless set.
    pub(crate) required_group: Option<Written<Name>>,
    /// For how many hours the last answer holds while your tenant cannot be reached; 8 unless set.
    pub(crate) hold_hours: Option<Written<HoldHours>>,
}

/// `[access]`, and the same keys in `[[tenants]]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a section [access]")]
#[schemars(inline)]
pub(crate) struct RulesSection {
    /// How long a lease lasts unless asked otherwise, in minutes. As said at 'latchkey tenant add' unless set.
    pub(crate) minutes: Option<Written<Minutes>>,
    /// The longest a lease may last, extensions included, in minutes. As said at 'latchkey tenant add' unless set.
    pub(crate) maximum_minutes: Option<Written<Minutes>>,
    /// How many leases one technician may have open at once, in all tenants together. No limit unless set.
    pub(crate) leases_at_once: Option<Written<LeaseCount>>,
    /// Whether a reason must be given.
    pub(crate) reason: Option<Written<bool>>,
    /// What a ticket number must look like, as a regular expression that the whole of it must fit. When it is set, a
    /// ticket number must be given.
    pub(crate) ticket: Option<Written<Ticket>>,
    /// Whose account a lease activates: the technician's own, or one that everybody shares.
    pub(crate) login: Option<Written<Login>>,
    /// How many characters passwords have; 32 unless set.
    pub(crate) password_length: Option<Written<PasswordCharacters>>,
    /// Whether Microsoft is to end a lease's roles by itself, where the tenant has Entra ID P2; true unless set.
    pub(crate) timed_roles: Option<Written<bool>>,
    /// What leases sign in with at best; the best that the tenant allows unless set.
    pub(crate) credential: Option<Written<BestCredential>>,
    /// How long passkeys live: kept on the dormant account, or made per lease and deleted at its end; kept unless set.
    pub(crate) passkeys: Option<Written<PasskeyLifeName>>,
    /// Beta: whether accounts are given OATH tokens, so that a password comes with a one-time code. Microsoft has them in
    /// the beta version of Graph only, which it may change at any time; false unless set.
    pub(crate) one_time_codes_beta: Option<Written<bool>>,
}

/// One of `[[tenants]]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section [[tenants]]")]
#[schemars(inline)]
pub(crate) struct TenantSection {
    /// Which tenant: its name, one of its domains, or its directory id.
    pub(crate) tenant: Written<Name>,
    /// How long a lease lasts here unless asked otherwise, in minutes.
    pub(crate) minutes: Option<Written<Minutes>>,
    /// The longest a lease may last here, extensions included, in minutes.
    pub(crate) maximum_minutes: Option<Written<Minutes>>,
    /// How many leases one technician may have open at once, in all tenants together, to start one here.
    pub(crate) leases_at_once: Option<Written<LeaseCount>>,
    /// Whether a reason must be given here.
    pub(crate) reason: Option<Written<bool>>,
    /// What a ticket number must look like here, as a regular expression that the whole of it must fit.
    pub(crate) ticket: Option<Written<Ticket>>,
    /// Whose account a lease activates here: the technician's own, or one that everybody shares.
    pub(crate) login: Option<Written<Login>>,
    /// How many characters passwords have here.
    pub(crate) password_length: Option<Written<PasswordCharacters>>,
    /// Whether Microsoft is to end a lease's roles by itself here, where the tenant has Entra ID P2.
    pub(crate) timed_roles: Option<Written<bool>>,
    /// What leases sign in with at best here.
    pub(crate) credential: Option<Written<BestCredential>>,
    /// How long passkeys live here.
    pub(crate) passkeys: Option<Written<PasskeyLifeName>>,
    /// Beta: whether accounts here are given OATH tokens.
    pub(crate) one_time_codes_beta: Option<Written<bool>>,
}

impl TenantSection {
    /// The keys that it has in common with `[access]`.
    pub(crate) fn rules(&self) -> RulesSection {
        RulesSection {
            minutes: self.minutes.clone(),
            maximum_minutes: self.maximum_minutes.clone(),
            leases_at_once: self.leases_at_once.clone(),
            reason: self.reason.clone(),
            ticket: self.ticket.clone(),
            login: self.login.clone(),
            password_length: self.password_length.clone(),
            timed_roles: self.timed_roles.clone(),
            credential: self.credential.clone(),
            passkeys: self.passkeys.clone(),
            one_time_codes_beta: self.one_time_codes_beta.clone(),
        }
    }
}

/// Whose account a lease activates.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum Login {
    /// The technician's own.
    Individual,
    /// One that everybody shares, with this in its name after the prefix. It stays active until the last of its leases
    /// ends.
    Shared(SharedAccount),
}

/// One of `[[technicians]]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section [[technicians]]")]
#[schemars(inline)]
pub(crate) struct TechnicianSection {
    /// User name at your own company.
    pub(crate) name: Written<TechnicianName>,
    /// Groups that entitlements name. Everybody is in 'All admins' without being named.
    #[serde(default)]
    pub(crate) groups: Vec<Written<Name>>,
}

/// One of `[[entitlements]]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section [[entitlements]]")]
#[schemars(inline)]
pub(crate) struct EntitlementSection {
    /// The technicians' group; 'All admins' is everybody.
    pub(crate) group: Written<Name>,
    /// In which tenants: names, domains or directory ids. In all of them when absent.
    pub(crate) tenants: Option<Written<Vec<Written<Name>>>>,
    /// What the technician chooses by. Entitlements of one technician in one tenant that have the same profile are one.
    /// The group's name when absent.
    pub(crate) profile: Option<Written<Name>>,
    /// Directory roles, built-in or custom: display names or ids.
    #[serde(default)]
    pub(crate) roles: Vec<Written<Name>>,
    /// Groups of the customer's tenant: display names or ids.
    #[serde(default)]
    pub(crate) groups: Vec<Written<Name>>,
    /// The longest a lease with this profile may last, in minutes, if shorter than the tenant's maximum.
    pub(crate) maximum_minutes: Option<Written<Minutes>>,
}

/// One of `[[break_glass]]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section [[break_glass]]")]
#[schemars(inline)]
pub(crate) struct BreakGlassSection {
    /// Which tenant: its name, one of its domains, or its directory id. Every tenant when absent; one that names the
    /// tenant takes the place of one of the same name for all.
    pub(crate) tenant: Option<Written<Name>>,
    /// What stands before the @ of its name, e.g. breakglass-1.
    pub(crate) name: Written<EmergencyName>,
    /// The directory roles that it always holds: display names or ids. Global Administrator unless set.
    pub(crate) roles: Option<Vec<Written<Name>>>,
    /// Whether an account of that name that is there already may be taken over. Its password is replaced then.
    pub(crate) take_over: Option<Written<bool>>,
    /// The technicians' groups whose members may see the password; 'All admins' is everybody. Nobody when absent.
    #[serde(default)]
    pub(crate) reveal: Vec<Written<Name>>,
    /// How often the password is replaced, in hours; 24 unless set.
    pub(crate) rotate_hours: Option<Written<Hours>>,
    /// How long after it was shown the password is replaced, in minutes; 60 unless set.
    pub(crate) rotate_after_reveal_minutes: Option<Written<Minutes>>,
}
