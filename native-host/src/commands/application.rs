//! What proves to Microsoft that a tenant's application is itself, on the command line: the certificate to be uploaded,
//! `latchkey tenant credential show` and `rotate`.
//!
//! Only the public half of a certificate is ever written here; its key stays in the key store.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use latchkey_engine::{
    ApplicationCredential, CERTIFICATE_DAYS, Certificate, CheckState, CredentialKept, Engine, Inspection, NewTenant,
    Rotation, Validation,
};
use latchkey_protocol::{ErrorBody, ErrorCode};
use serde_json::json;
use uuid::Uuid;

use super::{CALLER, tenant_named};
use crate::cli::{CredentialCommand, CredentialRotate};
use crate::failure;
use crate::machine;
use crate::output::{Mark, Output};

/// A day, in milliseconds.
const DAY: i64 = 86_400_000;

/// Looks at a tenant with the certificate that was made for it, making one first if there is none. While Microsoft does
/// not know the certificate, the person is asked to upload it.
pub(super) async fn inspect_with_certificate(
    engine: &Engine,
    new: &NewTenant,
    output: Output,
) -> Result<Inspection, ErrorBody> {
    loop {
        let spinner = output.progress("looking at the tenant");
        let inspected = engine.inspect_tenant(new).await;
        drop(spinner);
        let error = match inspected {
            Ok(inspection) => return Ok(inspection),
            Err(error) => error,
        };
        if !matches!(error.code(), ErrorCode::SecretMissing | ErrorCode::CertificateRefused) {
            return Err(error.into());
        }
        let spinner = output.progress("making a key and a certificate");
        let certificate = engine.make_certificate(new.tenant_id, new.client_id, CERTIFICATE_DAYS).await?;
        drop(spinner);
        let file = save(&certificate, new.tenant_id)?;
        if !output.can_ask() {
            return Err(to_upload(&certificate, &file, "", output));
        }
        output.line(format_args!("The certificate is in {}.", file.display()));
        output.line("Upload it in the Entra admin center: App registrations > your app > Certificates & secrets >");
        output.line("Certificates > Upload certificate.");
        output
            .ask("Press Enter when that is done (it may take a minute until Microsoft knows it everywhere)", None)
            .map_err(|error| failure::usage(format!("No answer: {error}."), "Run the same command again."))?;
    }
}

pub(super) async fn credential(engine: &Engine, command: CredentialCommand, output: Output) -> Result<(), ErrorBody> {
    match command {
        CredentialCommand::Show { tenant } => show(engine, &tenant, output).await,
        CredentialCommand::Rotate(rotate) => replace(engine, &rotate, output).await,
    }
}

pub(super) async fn validate(engine: &Engine, said: Option<&str>, output: Output) -> Result<ExitCode, ErrorBody> {
    let tenants = match said {
        Some(said) => vec![tenant_named(engine, said).await?],
        None => engine.tenants().await?,
    };
    let mut found = Vec::new();
    for tenant in &tenants {
        let spinner = output.progress(&format!("looking at {}", tenant.name));
        let validation = engine.validate_tenant(tenant.tenant_id).await?;
        drop(spinner);
        show_validation(&validation, output);
        found.push(validation);
    }
    output.document(&found);
    if found.is_empty() {
        output.line("No tenant is connected.");
    }
    Ok(if found.iter().all(Validation::is_sound) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn show_validation(validation: &Validation, output: Output) {
    let health = &validation.health;
    output.line(format_args!("{} ({})", health.name, health.user_name));
    let width = validation.checks.iter().map(|check| check.subject.len()).max().unwrap_or(0);
    for check in &validation.checks {
        let mark = match check.state {
            CheckState::Good => Mark::Good,
            CheckState::Warning => Mark::Warning,
            CheckState::Broken => Mark::Bad,
            CheckState::Unseen => Mark::Plain,
        };
        let subject = check.subject.replace('_', " ");
        output.marked(mark, format_args!("{subject:<width$}  {}", check.found));
        if let Some(step) = &check.next_step {
            output.line(format_args!("    {:<width$}  {}", "", step.replace('`', "'")));
        }
    }
    for problem in &health.problems {
        output.problem(Mark::Bad, problem);
    }
    let unseen = validation.checks.iter().filter(|check| check.state == CheckState::Unseen).count();
    if unseen > 0 {
        output.line(format_args!("    {unseen} of {} could not be looked at.", validation.checks.len()));
    }
}

async fn show(engine: &Engine, said: &str, output: Output) -> Result<(), ErrorBody> {
    let tenant = tenant_named(engine, said).await?;
    let kept = engine.application_credential(tenant.tenant_id).await?;
    output.document(&kept);
    let CredentialKept { credential, expires_at, next, to_be_removed, .. } = kept;
    output.line(format_args!("{} ({})", tenant.name, tenant.tenant_id));
    let certificate = match &credential {
        Some(ApplicationCredential::Certificate { certificate }) => {
            output.marked(Mark::Good, "the application signs in with a certificate");
            certificate.as_ref()
        }
        Some(ApplicationCredential::ClientSecret) | None => {
            output.marked(Mark::Good, "the application signs in with a client secret");
            None
        }
    };
    match expires_at {
        Some(end) => output.marked(end_mark(end), format_args!("ends {}", end_words(end))),
        None => output.marked(
            Mark::Warning,
            "when it ends is not known: enter it with 'latchkey tenant add --secret-expires', or use a certificate",
        ),
    }
    if to_be_removed {
        output.marked(Mark::Warning, "what it replaced is still registered: run 'latchkey tenant credential rotate'");
    }
    if next.is_some() {
        output.marked(
            Mark::Warning,
            "the certificate below is not in use yet: upload it, then run 'latchkey tenant credential rotate'",
        );
    }
    if let Some(certificate) = next.as_ref().or(certificate) {
        output.line(format_args!("    SHA-256 {}", certificate.thumbprint));
        output.line(certificate.pem.trim_end());
    }
    Ok(())
}

async fn replace(engine: &Engine, rotate: &CredentialRotate, output: Output) -> Result<(), ErrorBody> {
    let tenant = tenant_named(engine, &rotate.tenant).await?;
    if let Some(object_id) = rotate.application_object_id {
        engine.remember_registration(tenant.tenant_id, object_id).await?;
    }
    let spinner = output.progress("making, adding and trying a new certificate");
    let rotation = engine.rotate_credential(tenant.tenant_id, rotate.days, &CALLER).await?;
    drop(spinner);
    match &rotation {
        Rotation::Done { certificate, left } => {
            output.document(&rotation);
            output.marked(
                Mark::Good,
                format_args!(
                    "{}: the new certificate is in use and ends {}",
                    tenant.name,
                    end_words(certificate.expires_at)
                ),
            );
            match left {
                Some(left) => output.marked(Mark::Warning, left),
                None => output.marked(Mark::Good, "what it replaced is removed"),
            }
            Ok(())
        }
        Rotation::ToUpload { certificate, why } => {
            let file = save(certificate, tenant.tenant_id)?;
            let mut error = to_upload(certificate, &file, why, output);
            error.tenant = Some(tenant.name);
            Err(error)
        }
    }
}

/// What ends a command that a person must go on with in the Entra admin center.
fn to_upload(certificate: &Certificate, file: &Path, why: &str, output: Output) -> ErrorBody {
    output.document(&json!({ "certificate": certificate, "file": file }));
    let because = if why.is_empty() { String::new() } else { format!(": {why}") };
    ErrorBody::new(
        ErrorCode::CertificateRefused,
        format!("The new certificate must be uploaded by hand{because}."),
        format!(
            "Upload {} in the Entra admin center (App registrations > your app > Certificates & secrets > \
             Certificates), then run the same command again.",
            file.display()
        ),
    )
}

/// Writes the public half where the person is, under a name that says what it is.
fn save(certificate: &Certificate, tenant_id: Uuid) -> Result<PathBuf, ErrorBody> {
    let file = PathBuf::from(format!("latchkey-{tenant_id}.cer"));
    std::fs::write(&file, &certificate.pem)
        .map_err(|error| failure::disk(&error, &format!("{} cannot be written", file.display())))?;
    Ok(std::path::absolute(&file).unwrap_or(file))
}

/// `2027-11-22, in 364 days`.
pub(super) fn end_words(end: i64) -> String {
    let date = jiff::Timestamp::from_millisecond(end).map_or_else(
        |_| end.to_string(),
        |time| time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d").to_string(),
    );
    match (end - machine::now()).div_euclid(DAY) {
        ..0 => format!("{date}: it is over"),
        0 => format!("{date}, in less than a day"),
        1 => format!("{date}, in 1 day"),
        days => format!("{date}, in {days} days"),
    }
}

fn end_mark(end: i64) -> Mark {
    match end - machine::now() {
        ..0 => Mark::Bad,
        left if left < 30 * DAY => Mark::Warning,
        _ => Mark::Good,
    }
}

/// The end of the day that a person read in the portal, Unix time in milliseconds.
pub(super) fn end_of_day(day: jiff::civil::Date) -> Result<i64, ErrorBody> {
    day.to_zoned(jiff::tz::TimeZone::UTC)
        .map(|start| start.timestamp().as_millisecond() + DAY - 1)
        .map_err(|error| failure::usage(format!("{day} cannot be used: {error}."), "Say it as YYYY-MM-DD."))
}
