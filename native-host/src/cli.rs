//! The command line: what can be said, checked as it is parsed. Words here are for people; keep them short.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use latchkey_engine::AuditEvent;
use latchkey_protocol::cloud::Cloud;
use uuid::Uuid;

use crate::configuration::values::event_named;
use crate::install::browsers::Browser;
use crate::{machine, when};

/// Just-in-time admin accounts in Microsoft Entra tenants.
#[derive(Debug, Parser)]
#[command(
    name = "latchkey",
    version,
    about = "Just-in-time admin accounts in your customers' Microsoft Entra tenants",
    long_about = "Just-in-time admin accounts in your customers' Microsoft Entra tenants.\n\n\
        An account is dormant (disabled, no roles, password unknown to anyone) until you click, \
        and again when the lease ends. The browser starts this program by itself; on the command line \
        you connect tenants, see and end leases, and find out what is wrong.",
    after_help = "Examples:\n  \
        latchkey tenant add              connect a customer's tenant; asks for what it needs\n  \
        latchkey install                 let your browsers and the schedule start Latchkey\n  \
        latchkey doctor                  check every link of the chain\n  \
        latchkey list                    every open lease\n  \
        latchkey end --all               end all of them now\n\n\
        Exit codes: 0 done, 1 doctor found something, 2 wrong command line,\n\
        10 program, 20 this machine, 30 app credential, 40 Microsoft Graph, 50 lease.",
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct CommandLine {
    /// Print one JSON document; errors as JSON on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing but errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Read this configuration file instead of the usual one (or set LATCHKEY_CONFIG)
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Connect, list, check and disconnect customers' tenants
    #[command(subcommand, visible_alias = "tenants")]
    Tenant(TenantCommand),
    /// Make dormant accounts ahead, in tenants where they are missing
    #[command(
        after_help = "Examples:\n  latchkey prepare                     yours, in every tenant\n  latchkey prepare \
            Contoso\n  latchkey prepare --all-technicians   everybody's, wherever each may get something\n\n\
            Can be interrupted and run again: what is there is skipped."
    )]
    Prepare(Prepare),
    /// Activate your account in a tenant
    #[command(after_help = "Examples:\n  latchkey start Contoso --reason 'INC-1042: mailbox rights'\n  \
            latchkey start contoso.onmicrosoft.com --minutes 30 --show-credential\n  \
            latchkey start Contoso --profile Exchange --ticket INC-1042 --reason 'mailbox rights'")]
    Start(Start),
    /// Let an open lease last longer, within the tenant's maximum
    #[command(after_help = "Examples:\n  latchkey extend --minutes 30                the only open lease\n  \
            latchkey extend Contoso --minutes 30 --reason 'the restore still runs'")]
    Extend(Extend),
    /// Show the one-time code of an open lease that signs in with a password and a code (beta)
    #[command(
        after_help = "Examples:\n  latchkey code            the only open lease\n  latchkey code Contoso    your \
            lease in that tenant"
    )]
    Code(Code),
    /// Show leases and their states
    #[command(visible_alias = "leases")]
    List(List),
    /// End a lease now
    #[command(
        after_help = "Examples:\n  latchkey end               the only open lease\n  latchkey end Contoso       \
            your lease in that tenant\n  latchkey end --all         every lease"
    )]
    End(End),
    /// The kill switch: end everything everywhere, and grant nothing until it is lifted
    #[command(after_help = "Examples:\n  latchkey lockdown --reason 'INC-7: laptop stolen'\n  \
            latchkey lockdown --lift --reason 'INC-7 closed'")]
    Lockdown(LockDown),
    /// Show who you are to Latchkey where the operating system cannot: a PIN, asked for before a passkey is used
    #[command(subcommand, after_help = "Examples:\n  latchkey pin set\n  latchkey pin change\n  latchkey pin remove")]
    Pin(PinCommand),
    /// Permanent emergency administrators, whose passwords are replaced on a schedule
    #[command(subcommand)]
    BreakGlass(BreakGlassCommand),
    /// Compare every account of ours, in every tenant, with what Latchkey knows, and repair what is ours to repair
    #[command(after_help = "Examples:\n  latchkey drift                 every tenant\n  latchkey drift Contoso\n  \
            latchkey drift --repair        also accounts that another machine decides about\n\nExit code 1 when \
            something is left to be done.")]
    Drift(DriftCommand),
    /// After the database was lost or restored: connect the tenants again, end what cannot be explained
    #[command(after_help = "Example:\n  latchkey recover\n\nExit code 1 when something is left to be done.")]
    Recover,
    /// End the leases that are due and repair what drifted (the schedule runs this)
    Sweep,
    /// Sign in to your own company's tenant, which says what groups you are in
    #[command(
        after_help = "Examples:\n  latchkey sign-in                 in your browser\n  latchkey sign-in --no-browser    \
            shows the address instead\n  latchkey sign-in --device-code   with a code, on another device"
    )]
    SignIn(SignIn),
    /// End every lease and forget who you are
    SignOut,
    /// Show who you are, the groups you are in, and whether you may start leases
    Whoami,
    /// Let browsers and the system's schedule start Latchkey
    #[command(after_help = "Examples:\n  latchkey install                        every browser that is found\n  \
            latchkey install --browser edge         one browser\n  sudo latchkey install --system          \
            for everybody on this machine")]
    Install(Install),
    /// Take back everything that install did
    Uninstall(Uninstall),
    /// Check every link of the chain and say what to do about each that is broken
    Doctor(Doctor),
    /// Show the audit log, export it, or check that nothing was taken out of it
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  latchkey audit --tenant Contoso --limit 20\n  \
            latchkey audit --technician alex@msp.example --since 7d --event credential_revealed\n  \
            latchkey audit verify\n  latchkey audit export --format ocsf --since 2026-11-01 --out november.jsonl"
    )]
    Audit(Audit),
    /// Tell a SIEM or PSA of every grant and end
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Show, check and change the configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Say who works with Latchkey, and in which groups they are
    #[command(subcommand, visible_alias = "technicians")]
    Technician(TechnicianCommand),
    /// Say which group may get what, and where
    #[command(subcommand, visible_alias = "entitlements")]
    Entitlement(EntitlementCommand),
    /// Print completions for a shell
    #[command(
        after_help = "Examples:\n  latchkey completions bash > ~/.local/share/bash-completion/completions/latchkey\n  \
            latchkey completions fish > ~/.config/fish/completions/latchkey.fish"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write the pages of all commands
    #[command(after_help = "Examples:\n  latchkey manual | man -l -\n  latchkey manual --into ~/.local/share/man/man1")]
    Manual {
        /// A folder for the pages of all commands; made if it is missing
        #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
        into: Option<PathBuf>,
    },
    /// Print the version
    Version,
}

/// Commands about tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Connect a customer's tenant: check it, save it, make your dormant account there
    #[command(
        after_help = "Asks for what is missing when run in a terminal. The client secret is asked for without echo, or \
            read from standard input with --secret-stdin; it is kept in the key store of the operating system and \
            nowhere else.\n\nExamples:\n  latchkey tenant add\n  latchkey tenant add --tenant-id \
            11111111-2222-3333-4444-555555555555 \\\n      --client-id 66666666-7777-8888-9999-000000000000 \\\n      \
            --role 'User Administrator' --role 'Helpdesk Administrator' --hours 2\n  \
            pass msp/contoso | latchkey tenant add --secret-stdin --tenant-id … --client-id … --role …"
    )]
    Add(Box<TenantAdd>),
    /// List connected tenants
    List,
    /// Disconnect a tenant: end its lease, delete your account there, forget its secret
    Remove(TenantRemove),
    /// Connect a tenant whose administrator consents to your company's own application
    #[command(after_help = "Needs client_id under [application] in config.toml: a multi-tenant application of your \
            company with the redirect address http://localhost and the permissions that you want. Its certificate is \
            made on the first run.\n\nExamples:\n  latchkey tenant authorize --role 'User Administrator'\n  \
            latchkey tenant authorize --tenant-id 11111111-2222-3333-4444-555555555555 --no-browser --role …")]
    Authorize(Box<TenantAuthorize>),
    /// Connect a tenant by its administrator's sign-in alone: registers, certifies and grants everything itself
    #[command(after_help = "Signs the customer's administrator in (Privileged Role Administrator or Global \
            Administrator), registers an application, adds a certificate whose key stays on this machine, and grants \
            exactly what the chosen features need. May be interrupted and run again.\n\nExamples:\n  \
            latchkey tenant onboard --dry-run --role 'User Administrator'\n  \
            latchkey tenant onboard --with passes,groups --role 'User Administrator'")]
    Onboard(Box<TenantOnboard>),
    /// Take back what onboard did: leases, accounts, the application, the key
    Offboard(TenantOffboard),
    /// What proves to Microsoft that the application is itself: show it, replace it
    #[command(subcommand)]
    Credential(CredentialCommand),
    /// Check everything that decides what a tenant can do, and say what to do about what is missing
    #[command(visible_alias = "check")]
    Validate {
        /// The tenant: name, domain or directory id; all of them when absent
        tenant: Option<String>,
    },
}

/// What leases in a tenant are like.
#[derive(Debug, Args)]
pub(crate) struct Access {
    /// Directory role that a lease grants; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    pub(crate) roles: Vec<String>,
    /// Object id of a group that a lease makes the account a member of; may be repeated
    #[arg(long = "group", value_name = "GUID")]
    pub(crate) groups: Vec<Uuid>,
    /// How long the account stays enabled, in minutes
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(crate) minutes: u32,
    /// The longest that may be asked for, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 480, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(crate) max_minutes: u32,
    /// Verified domain for the account [default: the tenant's initial .onmicrosoft.com domain]
    #[arg(long)]
    pub(crate) domain: Option<String>,
    /// What to call the customer [default: the organization's own name]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The Microsoft cloud that the tenant lives in
    #[arg(long, value_enum, default_value_t)]
    pub(crate) cloud: CloudName,
}

/// How an administrator signs in.
#[derive(Debug, Args)]
pub(crate) struct SignInArguments {
    /// Client id of a public client application to sign in to [default: sign_in_client_id under [application]]
    #[arg(long, value_name = "GUID")]
    pub(crate) sign_in_client_id: Option<Uuid>,
    /// Only print the address; do not open the default browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Sign in with a code on another device
    #[arg(long, conflicts_with = "no_browser")]
    pub(crate) device_code: bool,
}

/// `tenant authorize`.
#[derive(Debug, Args)]
pub(crate) struct TenantAuthorize {
    /// Directory (tenant) id, if it is known: any other is refused
    #[arg(long, value_name = "GUID")]
    pub(crate) tenant_id: Option<Uuid>,
    /// Only print the address; do not open the default browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    #[command(flatten)]
    pub(crate) access: Access,
}

/// `tenant onboard`.
#[derive(Debug, Args)]
pub(crate) struct TenantOnboard {
    /// Directory (tenant) id, if it is known: administrators of any other are refused
    #[arg(long, value_name = "GUID")]
    pub(crate) tenant_id: Option<Uuid>,
    /// What the application is to be able to do beyond roles, with commas between
    #[arg(long = "with", value_name = "FEATURES", value_delimiter = ',', default_value = "passes")]
    pub(crate) features: Vec<FeatureName>,
    /// Grant the 12 documented permissions instead of the least that the features need
    #[arg(long, conflicts_with = "features")]
    pub(crate) documented_permissions: bool,
    /// Also give the application the directory role Privileged Authentication Administrator: break-glass accounts need it
    #[arg(long)]
    pub(crate) privileged_authentication_administrator: bool,
    /// What the application is called
    #[arg(long, default_value = "Latchkey")]
    pub(crate) application_name: String,
    /// Print every change and send none
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) sign_in: SignInArguments,
    #[command(flatten)]
    pub(crate) access: Access,
}

/// A feature, as it is said on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FeatureName {
    /// Leases sign in with a Temporary Access Pass
    Passes,
    /// Leases sign in with a passkey that this machine keeps
    Passkeys,
    /// Beta: leases sign in with a password and a one-time code ('one_time_codes_beta' in config.toml)
    OneTimeCodesBeta,
    /// Leases make accounts members of groups
    Groups,
    /// Roles that end by themselves where there is Entra ID P2
    Pim,
    /// Break-glass accounts
    BreakGlass,
    /// Security defaults and Conditional Access are looked at by 'tenant validate'
    Policies,
}

/// `tenant offboard`.
#[derive(Debug, Args)]
pub(crate) struct TenantOffboard {
    /// The tenant: name, domain or directory id
    pub(crate) tenant: String,
    /// Delete the application although `onboard` did not make it
    #[arg(long)]
    pub(crate) any_application: bool,
    /// Print every change and send none
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) sign_in: SignInArguments,
}

/// Commands about what proves that an application is itself.
#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Show what is in use, when it ends, and a certificate's public half
    Show {
        /// The tenant: name, domain or directory id
        tenant: String,
    },
    /// Replace it by a new certificate; also from a client secret to a certificate
    #[command(
        after_help = "The new certificate is added to the application, proved by a token that it fetched, taken into \
            use, and only then the old one is removed. Where the application may not do that itself, the certificate is \
            saved to a file for you to upload; run the same command again afterwards."
    )]
    Rotate(CredentialRotate),
}

/// `tenant credential rotate`.
#[derive(Debug, Args)]
pub(crate) struct CredentialRotate {
    /// The tenant: name, domain or directory id
    pub(crate) tenant: String,
    /// How many days the new certificate is good for
    #[arg(long, default_value_t = latchkey_engine::CERTIFICATE_DAYS, value_parser = clap::value_parser!(u32).range(1..=730))]
    pub(crate) days: u32,
    /// Object id of the app registration (not the client id), where the application may not look it up; kept
    #[arg(long, value_name = "GUID")]
    pub(crate) application_object_id: Option<Uuid>,
}

/// Commands about break-glass accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum BreakGlassCommand {
    /// Show them: how old their passwords are, when they are replaced, what is wrong
    List {
        /// Of one tenant: name, domain or directory id
        tenant: Option<String>,
    },
    /// Make those that the configuration names and that are missing
    #[command(after_help = "Examples:\n  latchkey break-glass prepare              in every tenant\n  \
            latchkey break-glass prepare Contoso --take-over")]
    Prepare(PrepareBreakGlass),
    /// Replace passwords now: of a tenant, or all that are due
    Rotate(Rotate),
    /// Show a password, once; goes to the audit log, and the password is replaced soon afterwards
    #[command(
        after_help = "Examples:\n  latchkey break-glass reveal Contoso --reason 'INC-1042: Conditional Access locks \
            everybody out'"
    )]
    Reveal(Reveal),
    /// Stop managing an account
    #[command(after_help = "Examples:\n  latchkey break-glass remove Contoso --reason 'contract ended'   shows the \
            password a last time\n  latchkey break-glass remove Contoso breakglass-2 --delete")]
    Remove(Release),
    /// Give Latchkey's application in a tenant the role Privileged Authentication Administrator
    #[command(long_about = "Give Latchkey's application in a tenant the role Privileged Authentication \
            Administrator.\n\nMicrosoft lets an application reset the password of somebody who holds a role only if it \
            holds that role. With it, it can reset the password of every administrator of the tenant.")]
    GrantAppRole(AppRole),
    /// Take that role back
    RevokeAppRole(AppRole),
}

/// `break-glass prepare`.
#[derive(Debug, Args)]
pub(crate) struct PrepareBreakGlass {
    /// Tenants: names, domains or directory ids; all of them when absent
    pub(crate) tenants: Vec<String>,
    /// Also take over accounts of those names that are there and not Latchkey's; their passwords are replaced
    #[arg(long, requires = "tenants")]
    pub(crate) take_over: bool,
}

/// `break-glass rotate`.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// The tenant: name, domain or directory id; all that are due when absent
    pub(crate) tenant: Option<String>,
    /// The account, by what stands before the @; all of the tenant's when absent
    pub(crate) name: Option<String>,
}

/// `break-glass reveal`.
#[derive(Debug, Args)]
pub(crate) struct Reveal {
    /// The tenant: name, domain or directory id
    pub(crate) tenant: String,
    /// The account, by what stands before the @; needed when the tenant has two
    pub(crate) name: Option<String>,
    /// Why; goes to the audit log
    #[arg(long)]
    pub(crate) reason: String,
}

/// `break-glass remove`.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// The tenant: name, domain or directory id
    pub(crate) tenant: String,
    /// The account, by what stands before the @; needed when the tenant has two
    pub(crate) name: Option<String>,
    /// Why it is shown a last time
    #[arg(long, conflicts_with_all = ["disable", "delete", "forget_password"])]
    pub(crate) reason: Option<String>,
    /// Leave the account as it is without showing its password
    #[arg(long, conflicts_with_all = ["disable", "delete"])]
    pub(crate) forget_password: bool,
    /// Take its roles and disable it
    #[arg(long, conflicts_with = "delete")]
    pub(crate) disable: bool,
    /// Take its roles and delete it
    #[arg(long)]
    pub(crate) delete: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// `break-glass grant-app-role` and `revoke-app-role`.
#[derive(Debug, Args)]
pub(crate) struct AppRole {
    /// The tenant: name, domain or directory id
    pub(crate) tenant: String,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// `tenant add`.
#[derive(Debug, Args)]
pub(crate) struct TenantAdd {
    /// Directory (tenant) id
    #[arg(long, value_name = "GUID")]
    pub(crate) tenant_id: Option<Uuid>,
    /// Application (client) id of the app registration
    #[arg(long, value_name = "GUID")]
    pub(crate) client_id: Option<Uuid>,
    /// Read the client secret from standard input
    #[arg(long)]
    pub(crate) secret_stdin: bool,
    /// When the client secret ends, as the portal shows it: you are warned 30 days ahead
    #[arg(long = "secret-expires", value_name = "YYYY-MM-DD", conflicts_with = "certificate")]
    pub(crate) expires: Option<jiff::civil::Date>,
    /// Use a certificate instead of a secret: its key is made here and stays here, you upload the public half
    #[arg(long, conflicts_with = "secret_stdin")]
    pub(crate) certificate: bool,
    /// Verified domain for the account [default: the tenant's initial .onmicrosoft.com domain]
    #[arg(long)]
    pub(crate) domain: Option<String>,
    /// Directory role that a lease grants; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    pub(crate) roles: Vec<String>,
    /// Object id of a group that a lease makes the account a member of; may be repeated
    #[arg(long = "group", value_name = "GUID")]
    pub(crate) groups: Vec<Uuid>,
    /// How long the account stays enabled, in hours [default: 4]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=24))]
    pub(crate) hours: Option<u32>,
    /// The same in minutes
    #[arg(long, conflicts_with = "hours", value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(crate) minutes: Option<u32>,
    /// The longest that may be asked for, in hours [default: 8, or the usual time if that is longer]
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=24))]
    pub(crate) max_hours: Option<u32>,
    /// The same in minutes
    #[arg(long, value_name = "MINUTES", conflicts_with = "max_hours", value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(crate) max_minutes: Option<u32>,
    /// What to call the customer [default: the organization's own name]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The Microsoft cloud that the tenant lives in
    #[arg(long, value_enum, default_value_t)]
    pub(crate) cloud: CloudName,
    /// What account names begin with, the same in every tenant [default: jit-]
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// You, e.g. alex@msp.example; asked for once
    #[arg(long, value_name = "NAME")]
    pub(crate) technician: Option<String>,
}

/// A cloud, as it is said on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum CloudName {
    /// The global cloud, with Microsoft 365 GCC
    #[default]
    Global,
    /// US Government L4 (GCC High)
    UsGovernment,
    /// US Government L5 (DoD)
    UsGovernmentDod,
    /// China, operated by 21Vianet
    China,
}

impl From<CloudName> for Cloud {
    fn from(name: CloudName) -> Self {
        match name {
            CloudName::Global => Self::Global,
            CloudName::UsGovernment => Self::UsGovernment,
            CloudName::UsGovernmentDod => Self::UsGovernmentDod,
            CloudName::China => Self::China,
        }
    }
}

/// `tenant remove`.
#[derive(Debug, Args)]
pub(crate) struct TenantRemove {
    /// The tenant: name, domain or directory id
    pub(crate) tenant: String,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// `prepare`.
#[derive(Debug, Args)]
pub(crate) struct Prepare {
    /// Tenants: names, domains or directory ids; all of them when absent
    pub(crate) tenants: Vec<String>,
    /// The accounts of everybody in the configuration, in the tenants where each may get something
    #[arg(long, conflicts_with = "technicians")]
    pub(crate) all_technicians: bool,
    /// The account of this technician instead of yours; may be repeated
    #[arg(long = "technician", value_name = "NAME")]
    pub(crate) technicians: Vec<String>,
    /// Look after accounts too that are known to be there and dormant
    #[arg(long)]
    pub(crate) again: bool,
}

/// `start`.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The tenant: name, domain or directory id
    pub(crate) tenant: String,
    /// How long, in minutes
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(crate) minutes: Option<u32>,
    /// Which of your profiles there [default: the least powerful; 'latchkey tenant list' shows them]
    #[arg(long)]
    pub(crate) profile: Option<String>,
    /// Why
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// The number of the ticket it is for
    #[arg(long)]
    pub(crate) ticket: Option<String>,
    /// Print the credential; goes to the audit log
    #[arg(long)]
    pub(crate) show_credential: bool,
}

/// `extend`.
#[derive(Debug, Args)]
pub(crate) struct Extend {
    /// A lease's id (or its first characters), or a tenant's name, domain or directory id
    pub(crate) what: Option<String>,
    /// How much longer, in minutes
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=43200))]
    pub(crate) minutes: u32,
    /// Why
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// `list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Closed leases too
    #[arg(long, short)]
    pub(crate) all: bool,
    /// The passkeys that this machine keeps, instead of leases
    #[arg(long, conflicts_with = "all")]
    pub(crate) credentials: bool,
}

/// `pin …`.
#[derive(Debug, Subcommand)]
pub(crate) enum PinCommand {
    /// Say whether one is set
    Show,
    /// Set the first one; asks for it without echo
    Set,
    /// Replace it; asks for the old one too
    Change,
    /// Remove it; asks for it
    Remove,
}

/// `code`.
#[derive(Debug, Args)]
pub(crate) struct Code {
    /// A lease's id (or its first characters), or a tenant's name, domain or directory id
    pub(crate) what: Option<String>,
}

/// `end`.
#[derive(Debug, Args)]
pub(crate) struct End {
    /// A lease's id (or its first characters), or a tenant's name, domain or directory id
    pub(crate) what: Option<String>,
    /// Every open lease
    #[arg(long, short, conflicts_with = "what")]
    pub(crate) all: bool,
}

/// `drift`.
#[derive(Debug, Args)]
pub(crate) struct DriftCommand {
    /// The tenant: name, domain or directory id; all of them when absent
    pub(crate) tenant: Option<String>,
    /// Also make accounts dormant that another machine decides about: whoever works with one loses access
    #[arg(long)]
    pub(crate) repair: bool,
}

/// `sign-in`.
#[derive(Debug, Args)]
pub(crate) struct SignIn {
    /// Show the address instead of opening a browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Show a code to be entered on another device; only when there is no browser on this machine
    #[arg(long, conflicts_with = "no_browser")]
    pub(crate) device_code: bool,
}

/// `lockdown`.
#[derive(Debug, Args)]
pub(crate) struct LockDown {
    /// Let leases start again; needs a reason
    #[arg(long, requires = "reason")]
    pub(crate) lift: bool,
    /// Why; goes to the audit log and to everybody who asks for access meanwhile
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// `install`.
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// For everybody on this machine; needs administrator rights
    #[arg(long)]
    pub(crate) system: bool,
    /// Only this browser, found or not; may be repeated
    #[arg(long = "browser", value_enum)]
    pub(crate) browsers: Vec<Browser>,
    /// Also let an extension with this id in; may be repeated
    #[arg(long = "extension-id", value_name = "ID")]
    pub(crate) extension_ids: Vec<String>,
    /// Also for Chromium-type browsers that are started with their own --user-data-dir; may be repeated
    #[arg(long = "user-data-dir", value_name = "FOLDER", conflicts_with = "system")]
    pub(crate) user_data_folders: Vec<PathBuf>,
    /// Do not set up the schedule that ends leases
    #[arg(long)]
    pub(crate) no_schedule: bool,
}

/// `uninstall`.
#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    /// What was installed for everybody; needs administrator rights
    #[arg(long)]
    pub(crate) system: bool,
    /// Even while leases are open, which nothing will end then
    #[arg(long)]
    pub(crate) force: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Only this machine: do not talk to Microsoft
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Commands about the configuration file.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the file; every line that is wrong, with what to do
    #[command(
        after_help = "Exit code 1 when there is an error; warnings alone are none.\n\nExamples:\n  latchkey config check\n  \
            latchkey config check shared.toml    another file, say in a pipeline"
    )]
    Check {
        /// The file [default: the one that is used]
        #[arg(value_hint = clap::ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Show the settings that hold, and where each comes from
    Show,
    /// Print where the file is
    Path,
    /// Print the JSON Schema of the file, for editors
    #[command(after_help = "Example:\n  latchkey config schema > latchkey.schema.json\n\n\
            With the line '#:schema ./latchkey.schema.json' at the top of config.toml, editors with Taplo\n\
            (Even Better TOML) complete and check it as you type.")]
    Schema,
    /// Set a key; comments and order stay
    #[command(after_help = "Examples:\n  latchkey config set technician alex@msp.example\n  \
            latchkey config set access.minutes 120\n  latchkey config set access.ticket 'INC-[0-9]+'\n  \
            latchkey config set access.login '{ shared = \"helpdesk\" }'\n  \
            latchkey config set 'tenants.\"Contoso Ltd\".minutes' 60")]
    Set {
        /// The key, e.g. access.minutes
        key: String,
        /// What to set it to
        value: String,
    },
    /// Take a key away, so that what is usual holds
    #[command(after_help = "Examples:\n  latchkey config unset access.ticket\n  latchkey config unset tenants.Contoso")]
    Unset {
        /// The key, e.g. access.minutes
        key: String,
    },
}

/// Commands about technicians.
#[derive(Debug, Subcommand)]
pub(crate) enum TechnicianCommand {
    /// Name a technician and the groups that she or he is in
    #[command(after_help = "Example:\n  latchkey technician add alex@msp.example --group 'Level 1'\n\n\
            To change groups later: latchkey config set 'technicians.\"alex@msp.example\".groups' '[\"Level 2\"]'")]
    Add {
        /// User name at your own company
        name: String,
        /// A group that entitlements name; may be repeated
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// List technicians
    List,
    /// End a technician's leases, delete the accounts in every tenant, and take the name out of the configuration
    #[command(after_help = "What could not be done is listed; run it again then.")]
    Remove {
        /// User name at your own company
        name: String,
        /// Only take the name out of the configuration
        #[arg(long)]
        keep_accounts: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Commands about entitlements.
#[derive(Debug, Subcommand)]
pub(crate) enum EntitlementCommand {
    /// Let a group of technicians get roles and groups
    #[command(
        after_help = "Examples:\n  latchkey entitlement add 'Level 1' --profile Helpdesk --role 'Helpdesk Administrator' \\\n      \
            --member-of SG-Support --tenant Contoso --max-minutes 60\n  \
            latchkey entitlement add 'All admins' --role 'Global Reader'"
    )]
    Add(EntitlementAdd),
    /// List entitlements, with their numbers
    List,
    /// Take an entitlement away
    Remove {
        /// Its number in 'latchkey entitlement list'
        number: usize,
    },
}

/// `entitlement add`.
#[derive(Debug, Args)]
pub(crate) struct EntitlementAdd {
    /// The technicians' group; 'All admins' is everybody
    pub(crate) group: String,
    /// What the technician chooses by [default: the group's name]
    #[arg(long)]
    pub(crate) profile: Option<String>,
    /// Directory role, built-in or custom; may be repeated
    #[arg(long = "role", value_name = "ROLE", required_unless_present = "member_of")]
    pub(crate) roles: Vec<String>,
    /// Group of the customer's tenant; may be repeated
    #[arg(long, value_name = "GROUP")]
    pub(crate) member_of: Vec<String>,
    /// Only in this tenant: name, domain or directory id; may be repeated
    #[arg(long = "tenant", value_name = "TENANT")]
    pub(crate) tenants: Vec<String>,
    /// The longest a lease may last, if shorter than the tenant's maximum
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(crate) max_minutes: Option<u32>,
}

/// `audit`.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) command: Option<AuditCommand>,
    #[command(flatten)]
    pub(crate) filter: AuditFilter,
    /// Check that no entry was changed, removed or reordered; the same as 'audit verify'
    #[arg(long, hide = true)]
    pub(crate) verify: bool,
    /// The newest so many
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
}

/// Which entries.
#[derive(Debug, Args)]
pub(crate) struct AuditFilter {
    /// Of one tenant: name, domain or directory id
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Of one technician, e.g. alex@msp.example
    #[arg(long, value_name = "NAME")]
    pub(crate) technician: Option<String>,
    /// Of one kind, e.g. lease_granted
    #[arg(long, value_parser = audit_event)]
    pub(crate) event: Option<AuditEvent>,
    /// Of one lease
    #[arg(long, value_name = "ID")]
    pub(crate) lease: Option<Uuid>,
    /// From then on: 30m, 12h, 7d, 2w (ago), a date, or a date and a time
    #[arg(long, value_name = "WHEN", value_parser = |said: &str| when::since(said, machine::now()))]
    pub(crate) since: Option<i64>,
    /// Up to then, likewise; a date is meant to its end
    #[arg(long, value_name = "WHEN", value_parser = |said: &str| when::until(said, machine::now()))]
    pub(crate) until: Option<i64>,
}

fn audit_event(said: &str) -> Result<AuditEvent, String> {
    event_named(&said.to_lowercase().replace('-', "_"))
}

/// Commands about the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no entry was changed, removed or reordered
    #[command(after_help = "Examples:\n  latchkey audit verify\n  latchkey audit verify --file export.jsonl   \
        an export, without the database\n  latchkey audit verify --continues last-month.jsonl")]
    Verify {
        /// Check this export (JSON Lines) instead of the log of this machine
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Check also that the log still holds everything that this earlier export ended with
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        continues: Option<PathBuf>,
    },
    /// Write entries to standard output or a file
    Export {
        /// In which form
        #[arg(long, value_enum, default_value_t)]
        format: ExportFormat,
        /// To this file instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        filter: AuditFilter,
    },
}

/// Commands about the webhook, whose receiver stands under `[webhook]` in `config.toml`.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Make the secret that signs messages, and show it this once
    Secret {
        /// Although there is one already, which goes on signing beside it
        #[arg(long)]
        replace: bool,
    },
    /// Send a test message now
    Test,
    /// Show what waits and whether the receiver takes it
    Status,
    /// Try at once what waits or had been given up on
    Retry,
}

/// In which form entries are exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// JSON Lines with every hash; 'audit verify --file' checks it
    #[default]
    Jsonl,
    /// Open Cybersecurity Schema Framework, one event a line
    Ocsf,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_are_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn no_option_takes_a_secret() {
        let mut open = vec![CommandLine::command()];
        while let Some(command) = open.pop() {
            for argument in command.get_arguments() {
                let takes_value = argument.get_action().takes_values();
                let name = argument.get_id().as_str();
                assert!(!(takes_value && (name.contains("secret") || name.contains("password"))), "{name}");
                assert!(argument.get_env().is_none(), "{name} is read from the environment");
            }
            open.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn lengths_are_checked_as_they_are_parsed() {
        let parse = |words: &[&str]| CommandLine::try_parse_from([&["latchkey"], words].concat());
        assert!(parse(&["tenant", "add", "--hours", "2"]).is_ok());
        assert!(parse(&["tenant", "add", "--hours", "25"]).is_err());
        assert!(parse(&["tenant", "add", "--hours", "2", "--minutes", "30"]).is_err());
        assert!(parse(&["tenant", "add", "--tenant-id", "contoso"]).is_err());
        assert!(parse(&["end", "--all", "Contoso"]).is_err());
    }
}
