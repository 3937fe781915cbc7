//! `latchkey tenant authorize`, `onboard` and `offboard`: tenants that are connected by an administrator's word.
//!
//! What a redirect says about a tenant is never believed: the tenant proves itself by the token that it issues. An
//! administrator's token is handed to the engine for one piece of work and kept nowhere.

use std::collections::BTreeSet;
use std::time::Duration;

use latchkey_engine::{
    Administrator, Deletable, Engine, Feature, NetworkSettings, NewCredential, NewTenant, Onboarding, TenantWish,
    documented_permissions, least_permissions,
};
use latchkey_protocol::cloud::Cloud;
use latchkey_protocol::{ErrorBody, ErrorCode, TenantSummary};
use serde_json::json;
use uuid::Uuid;

use super::{CALLER, application, follow, tenant_named};
use crate::cli::{Access, FeatureName, SignInArguments, TenantAuthorize, TenantOffboard, TenantOnboard};
use crate::configuration::Settings;
use crate::failure;
use crate::key_store::Prompting;
use crate::machine;
use crate::output::{Mark, Output};
use crate::settings::Folders;
use crate::sign_in::{SignIn, SignInRequest, Way};

/// What an administrator lets the command line do for the time of an onboarding.
const SCOPES: &[&str] = &[
    "User.Read",
    "Application.ReadWrite.All",
    "AppRoleAssignment.ReadWrite.All",
    "RoleManagement.ReadWrite.Directory",
];
/// How often a consent that was just given is looked for, and how long between.
const LOOKS: u32 = 30;
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// The settings, the network in them, and an engine.
async fn here() -> Result<(Settings, NetworkSettings, Engine), ErrorBody> {
    let folders = Folders::of_this_person()?;
    let settings = Settings::load(&folders.configuration_file())?;
    let network = NetworkSettings {
        proxy: settings.network.proxy.clone(),
        extra_root_certificates: settings.network.extra_root_certificate.clone(),
    };
    let engine = machine::open_engine_with(&folders, &settings, Prompting::Allowed).await?;
    Ok((settings, network, engine))
}

pub(super) async fn authorize(authorize: TenantAuthorize, output: Output) -> Result<(), ErrorBody> {
    let (settings, _, engine) = here().await?;
    let client_id = settings.application.ok_or_else(|| {
        failure::usage(
            "The configuration names no application of your company.",
            "Set client_id under [application] in config.toml, or connect the tenant with 'latchkey tenant onboard'.",
        )
    })?;
    roles_named(&authorize.access)?;
    let way = if authorize.no_browser { Way::Address } else { Way::Browser };
    let cloud: Cloud = authorize.access.cloud.into();
    let consented = SignIn::admin_consent(cloud, authorize.tenant_id, client_id, way, output).await?;
    let tenant_id = consented.claimed_tenant_id;
    if authorize.tenant_id.is_some_and(|expected| expected != tenant_id) {
        return Err(ErrorBody::new(
            ErrorCode::SignInRefused,
            format!("The consent was given in the tenant {tenant_id}, which is not the one that was asked for."),
            "Run it again and sign in as an administrator of the customer's own tenant.",
        ));
    }
    let wish = wish(authorize.access);
    let new = NewTenant {
        tenant_id,
        client_id,
        credential: NewCredential::Certificate,
        cloud,
        name: wish.name,
        domain: wish.domain,
        roles: wish.roles,
        groups: wish.groups,
        minutes: wish.minutes,
        maximum_minutes: wish.maximum_minutes,
    };
    // Only a token of that tenant proves that it consented; it may take some seconds until there is one.
    let mut looks = 0;
    let inspection = loop {
        match application::inspect_with_certificate(&engine, &new, output).await {
            Err(error) if error.code == ErrorCode::ApplicationNotFound && looks < LOOKS => {
                looks += 1;
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            other => break other?,
        }
    };
    if let Some(first) = inspection.problems.first() {
        return Err(first.clone());
    }
    let spinner = output.progress("saving, and preparing the account");
    let (tenant, account) = engine.add_tenant(new, &CALLER, &follow(&spinner)).await?;
    drop(spinner);
    let validation = engine.validate_tenant(tenant_id).await?;
    output.document(&json!({ "tenant": tenant, "account": account, "validation": validation }));
    connected(&tenant, output);
    application::show_validation(&validation, output);
    Ok(())
}

pub(super) async fn onboard(onboard: TenantOnboard, output: Output) -> Result<(), ErrorBody> {
    let (settings, network, engine) = here().await?;
    roles_named(&onboard.access)?;
    let cloud = onboard.access.cloud.into();
    let wish = Onboarding {
        application_name: onboard.application_name.clone(),
        permissions: if onboard.documented_permissions {
            documented_permissions()
        } else {
            least_permissions(&features(&onboard))
        },
        privileged_authentication_administrator: onboard.privileged_authentication_administrator,
        tenant: self::wish(onboard.access),
    };
    let administrator = sign_in(&settings, network, &onboard.sign_in, cloud, onboard.tenant_id, output).await?;
    if onboard.dry_run {
        let changes = engine.plan_onboarding(&administrator, &wish).await?;
        output.document(&json!({ "tenant_id": administrator.tenant_id, "changes": changes }));
        output.line(format_args!("In the tenant {} Latchkey would:", administrator.tenant_id));
        for change in &changes {
            output.line(format_args!("  - {change}"));
        }
        if changes.is_empty() {
            output.line("  change nothing at the application");
        }
        output.line("  - make your dormant account");
        return Ok(());
    }
    let spinner = output.progress("registering the application, and waiting until it works");
    let onboarded = engine.onboard_tenant(&administrator, &wish, &CALLER, &follow(&spinner)).await?;
    drop(spinner);
    let validation = engine.validate_tenant(administrator.tenant_id).await?;
    output.document(&json!({ "onboarded": onboarded, "validation": validation }));
    for change in &onboarded.changes {
        output.marked(Mark::Good, change);
    }
    connected(&onboarded.tenant, output);
    application::show_validation(&validation, output);
    Ok(())
}

pub(super) async fn offboard(offboard: &TenantOffboard, output: Output) -> Result<(), ErrorBody> {
    let (settings, network, engine) = here().await?;
    let tenant = tenant_named(&engine, &offboard.tenant).await?;
    if !offboard.yes && !offboard.dry_run {
        let question =
            format!("Delete the accounts and the application in {} and disconnect it? (yes/no)", tenant.name);
        let answer = if output.can_ask() {
            output
                .ask(&question, Some("no"))
                .map_err(|error| failure::usage(format!("No answer: {error}."), "Use --yes."))?
        } else {
            return Err(failure::usage("Your word that everything may be deleted is missing.", "Say it with --yes."));
        };
        if !matches!(answer.as_str(), "yes" | "y") {
            output.line("Nothing was changed.");
            return Ok(());
        }
    }
    let administrator =
        sign_in(&settings, network, &offboard.sign_in, tenant.cloud, Some(tenant.tenant_id), output).await?;
    let which = if offboard.any_application { Deletable::Any } else { Deletable::Ours };
    if offboard.dry_run {
        let changes = engine.plan_offboarding(tenant.tenant_id, Some(&administrator), which).await?;
        output.document(&json!({ "tenant_id": tenant.tenant_id, "changes": changes }));
        output.line(format_args!("In {} Latchkey would:", tenant.name));
        output.line("  - end every lease and delete every account of ours");
        for change in &changes {
            output.line(format_args!("  - {change}"));
        }
        output.line("  - forget the key and disconnect the tenant");
        return Ok(());
    }
    let spinner = output.progress("ending leases, deleting accounts and the application");
    engine.offboard_tenant(tenant.tenant_id, Some(&administrator), which, &CALLER, &follow(&spinner)).await?;
    drop(spinner);
    output.document(&json!({ "offboarded": tenant.tenant_id, "name": tenant.name }));
    output.marked(Mark::Good, format_args!("{} is as it was before: no account, no application, no key", tenant.name));
    Ok(())
}

async fn sign_in(
    settings: &Settings,
    network: NetworkSettings,
    arguments: &SignInArguments,
    cloud: Cloud,
    tenant_id: Option<Uuid>,
    output: Output,
) -> Result<Administrator, ErrorBody> {
    let client_id = arguments.sign_in_client_id.or(settings.sign_in_application).ok_or_else(|| {
        failure::usage(
            "There is no application that an administrator could sign in to.",
            "Register a public client application of your company with the redirect address http://localhost, and set \
             sign_in_client_id under [application] in config.toml.",
        )
    })?;
    let way = match (arguments.device_code, arguments.no_browser) {
        (true, _) => Way::DeviceCode,
        (false, true) => Way::Address,
        (false, false) => Way::Browser,
    };
    let request = SignInRequest { cloud, tenant_id, client_id, scopes: SCOPES, stays: false, login_hint: None, way };
    let signed_in = SignIn::new(network).sign_in(&request, output).await?;
    Ok(Administrator {
        tenant_id: signed_in.tenant_id,
        cloud,
        user_name: signed_in.user_name,
        access_token: signed_in.access_token,
    })
}

fn features(onboard: &TenantOnboard) -> BTreeSet<Feature> {
    let mut features: BTreeSet<Feature> = onboard
        .features
        .iter()
        .map(|feature| match feature {
            FeatureName::Passes => Feature::Passes,
            FeatureName::Passkeys => Feature::Passkeys,
            FeatureName::OneTimeCodesBeta => Feature::OneTimeCodesBeta,
            FeatureName::Groups => Feature::Groups,
            FeatureName::Pim => Feature::Pim,
            FeatureName::BreakGlass => Feature::BreakGlass,
            FeatureName::Policies => Feature::Policies,
        })
        .collect();
    // Groups that are named are a feature that is chosen.
    if !onboard.access.groups.is_empty() {
        features.insert(Feature::Groups);
    }
    features
}

fn roles_named(access: &Access) -> Result<(), ErrorBody> {
    if access.roles.is_empty() && access.groups.is_empty() {
        return Err(failure::usage("A role that a lease grants is missing.", "Say it with --role."));
    }
    if access.max_minutes < access.minutes {
        return Err(failure::usage("The longest lease is shorter than the usual one.", "Raise --max-minutes."));
    }
    Ok(())
}

fn wish(access: Access) -> TenantWish {
    TenantWish {
        name: access.name,
        domain: access.domain,
        roles: access.roles,
        groups: access.groups,
        minutes: access.minutes,
        maximum_minutes: access.max_minutes,
    }
}

fn connected(tenant: &TenantSummary, output: Output) {
    output.marked(Mark::Good, format_args!("{} is connected; {} is dormant", tenant.name, tenant.user_name));
}
