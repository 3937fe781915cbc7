//! `latchkey audit`: reads the log, exports it, or proves that nothing was taken out of it.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use latchkey_engine::{AuditEntry, AuditFormat, AuditQuery, AuditReport, Caller, Engine, verify_export};
use latchkey_protocol::ErrorBody;
use serde_json::json;

use super::{engine, moment, table, tenant_named};
use crate::cli::{Audit, AuditCommand, AuditFilter, ExportFormat};
use crate::failure;
use crate::output::{Mark, Output};

/// Standard output is written to in pieces of this size.
const PIECE: usize = 64 * 1024;

pub(super) async fn run(audit: Audit, output: Output) -> Result<ExitCode, ErrorBody> {
    match audit.command {
        Some(AuditCommand::Verify { file: Some(file), .. }) => verify_file(&file, output),
        Some(AuditCommand::Verify { file: None, continues }) => {
            verify(&engine().await?, continues.as_deref(), output).await
        }
        Some(AuditCommand::Export { format, out, filter }) => {
            export(&engine().await?, format, out.as_deref(), &filter, output).await
        }
        None if audit.verify => verify(&engine().await?, None, output).await,
        None => show(&engine().await?, &audit.filter, audit.limit, output).await,
    }
}

async fn show(engine: &Engine, filter: &AuditFilter, limit: u32, output: Output) -> Result<ExitCode, ErrorBody> {
    let query = AuditQuery { limit: Some(limit), ..query(engine, filter).await? };
    let entries = engine.audit(&query).await?;
    output.document(&entries);
    let rows: Vec<_> = entries.iter().map(row).collect();
    for line in table(&rows) {
        output.line(line);
    }
    if entries.is_empty() {
        output.line(if query == (AuditQuery { limit: Some(limit), ..AuditQuery::default() }) {
            "Nothing has been written yet."
        } else {
            "Nothing fits."
        });
    }
    Ok(ExitCode::SUCCESS)
}

async fn query(engine: &Engine, filter: &AuditFilter) -> Result<AuditQuery, ErrorBody> {
    let tenant_id = match &filter.tenant {
        // A directory id is taken as it is: the log outlives the tenant.
        Some(said) => Some(match said.parse() {
            Ok(tenant_id) => tenant_id,
            Err(_) => tenant_named(engine, said).await?.tenant_id,
        }),
        None => None,
    };
    Ok(AuditQuery {
        tenant_id,
        lease_id: filter.lease,
        technician: filter.technician.clone(),
        event: filter.event,
        since: filter.since,
        until: filter.until,
        limit: None,
    })
}

fn row(entry: &AuditEntry) -> Vec<String> {
    let through = match &entry.caller {
        Caller::CommandLine => "command line".to_owned(),
        Caller::Extension(id) => format!("extension {id}"),
        Caller::Sweep => "sweep".to_owned(),
    };
    vec![
        moment(entry.at),
        entry.event.name(),
        entry.user_name.clone().unwrap_or_default(),
        entry.technician.clone(),
        through,
    ]
}

async fn export(
    engine: &Engine,
    format: ExportFormat,
    out: Option<&Path>,
    filter: &AuditFilter,
    output: Output,
) -> Result<ExitCode, ErrorBody> {
    let query = query(engine, filter).await?;
    let format = match format {
        ExportFormat::Jsonl => AuditFormat::JsonLines,
        ExportFormat::Ocsf => AuditFormat::Ocsf,
    };
    let Some(path) = out else {
        let mut piece = String::with_capacity(PIECE);
        let mut line = |text: &str| {
            piece.push_str(text);
            piece.push('\n');
            if piece.len() >= PIECE {
                output.raw(&piece);
                piece.clear();
            }
            ControlFlow::Continue(())
        };
        engine.export_audit(&query, format, &mut line).await?;
        output.raw(&piece);
        return Ok(ExitCode::SUCCESS);
    };
    let failed = |error: std::io::Error| failure::disk(&error, &format!("{} cannot be written", path.display()));
    // Under its name only when it is whole.
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut file = BufWriter::new(create_private(Path::new(&part)).map_err(failed)?);
    let mut trouble = None;
    let mut line = |text: &str| match file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            trouble = Some(error);
            ControlFlow::Break(())
        }
    };
    let spinner = output.progress("exporting");
    let entries = engine.export_audit(&query, format, &mut line).await?;
    drop(spinner);
    if let Some(error) = trouble {
        return Err(failed(error));
    }
    file.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    std::fs::rename(&part, path).map_err(failed)?;
    output.document(&json!({ "entries": entries, "file": path }));
    output.marked(Mark::Good, format_args!("{entries} entries in {}", path.display()));
    Ok(ExitCode::SUCCESS)
}

fn create_private(path: &Path) -> std::io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

async fn verify(engine: &Engine, continues: Option<&Path>, output: Output) -> Result<ExitCode, ErrorBody> {
    let mut report = engine.verify_audit().await?;
    if let Some(path) = continues {
        let earlier = read_export(path)?;
        if !earlier.is_whole() || earlier.extract {
            return Err(failure::usage(
                format!("{} is not a whole export.", path.display()),
                "Use one that was made with 'latchkey audit export' without filters and that 'latchkey audit verify --file' accepts.",
            ));
        }
        report.faults.extend(engine.audit_continues(&earlier.chains).await?);
    }
    Ok(tell(&report, "Keep the database as it is and find out who could write to it.", output))
}

fn verify_file(path: &Path, output: Output) -> Result<ExitCode, ErrorBody> {
    let report = read_export(path)?;
    Ok(tell(&report, "Do not rely on this file; export again and compare.", output))
}

fn read_export(path: &Path) -> Result<AuditReport, ErrorBody> {
    let unreadable = |error: std::io::Error| failure::disk(&error, &format!("{} cannot be read", path.display()));
    verify_export(BufReader::new(File::open(path).map_err(unreadable)?)).map_err(unreadable)
}

fn tell(report: &AuditReport, next_step: &str, output: Output) -> ExitCode {
    output.document(report);
    if report.is_whole() {
        let entries = report.entries;
        if report.extract {
            output.marked(
                Mark::Good,
                format_args!("{entries} entries of an extract, none changed (what was left out was not checked)"),
            );
        } else {
            output.marked(Mark::Good, format_args!("{entries} entries, none changed, removed or reordered"));
        }
        for chain in report.chains.iter().filter(|chain| chain.from > 1 && !report.extract) {
            output.line(format_args!(
                "    {}: from entry {} on; older ones were removed as configured",
                chain.tenant_id, chain.from
            ));
        }
        return ExitCode::SUCCESS;
    }
    for fault in &report.faults {
        let mut place = Vec::new();
        place.extend(fault.line.map(|line| format!("line {line}")));
        place.extend(fault.tenant_id.map(|tenant_id| format!("tenant {tenant_id}")));
        place.extend(fault.sequence.map(|sequence| format!("entry {sequence}")));
        output.marked(Mark::Bad, format_args!("{}: {}", place.join(", "), fault.what));
    }
    output.line(next_step);
    ExitCode::FAILURE
}
