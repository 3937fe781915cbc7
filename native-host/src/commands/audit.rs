//! `latchkey audit`: reads the log, or proves that nothing was taken out of it.

use std::process::ExitCode;

use latchkey_engine::{AuditEntry, AuditQuery, Caller, Engine};
use latchkey_protocol::ErrorBody;

use super::{moment, table, tenant_named};
use crate::cli::Audit;
use crate::output::{Mark, Output};

pub(super) async fn show(engine: &Engine, audit: &Audit, output: Output) -> Result<ExitCode, ErrorBody> {
    if audit.verify {
        return verify(engine, output).await;
    }
    let tenant_id = match &audit.tenant {
        Some(said) => Some(tenant_named(engine, said).await?.tenant_id),
        None => None,
    };
    let query = AuditQuery { tenant_id, limit: Some(audit.limit), ..AuditQuery::default() };
    let entries = engine.audit(&query).await?;
    output.document(&entries);
    let rows: Vec<_> = entries.iter().map(row).collect();
    for line in table(&rows) {
        output.line(line);
    }
    if entries.is_empty() {
        output.line("Nothing has been written yet.");
    }
    Ok(ExitCode::SUCCESS)
}

fn row(entry: &AuditEntry) -> Vec<String> {
    let event = serde_json::to_value(entry.event).ok().and_then(|name| name.as_str().map(str::to_owned));
    let through = match &entry.caller {
        Caller::CommandLine => "command line".to_owned(),
        Caller::Extension(id) => format!("extension {id}"),
        Caller::Sweep => "sweep".to_owned(),
    };
    vec![
        moment(entry.at),
        event.unwrap_or_default(),
        entry.user_name.clone().unwrap_or_default(),
        entry.technician.clone(),
        through,
    ]
}

async fn verify(engine: &Engine, output: Output) -> Result<ExitCode, ErrorBody> {
    let report = engine.verify_audit().await?;
    output.document(&report);
    if report.is_whole() {
        output.marked(Mark::Good, format_args!("{} entries, none changed, removed or reordered", report.entries));
        return Ok(ExitCode::SUCCESS);
    }
    for fault in &report.faults {
        output.marked(Mark::Bad, format_args!("tenant {}, entry {}: {}", fault.tenant_id, fault.sequence, fault.what));
    }
    output.line("Keep the database as it is and find out who could write to it.");
    Ok(ExitCode::FAILURE)
}
