//! The audit log in a file: JSON Lines with every hash, which can be verified without us, or OCSF for a SIEM.
//!
//! JSON Lines: first `begin`, before each tenant's entries its `chain` (where it begins and ends), then each `entry` with
//! its sequence number, the hash before it, its own, and the words that were hashed, exactly as they were written; last
//! `end`, so that a file that was cut off shows. An export with filters is an extract: each entry is verified, but not
//! that none is missing.

use std::{
    collections::BTreeMap,
    io::{BufRead, Error},
    ops::ControlFlow,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::chain::{Check, Link, chained, from_hexadecimal, hexadecimal};
use crate::{
    AuditChain, AuditFault, AuditQuery, AuditReport, Engine, EngineError, Failure,
    store::{self, LeaseFacts, WrittenEntry},
};

/// In which form entries are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditFormat {
    /// Our own, with the hashes: can be verified.
    JsonLines,
    /// Open Cybersecurity Schema Framework: for a SIEM. One entry may be several events.
    Ocsf,
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Begin {
        version: u32,
        at: i64,
        whole: bool,
    },
    Chain {
        tenant_id: Uuid,
        #[serde(borrow)]
        tenant: std::borrow::Cow<'a, str>,
        after: Place,
        head: Place,
    },
    End {
        chains: u64,
        entries: u64,
    },
    #[serde(other)]
    Other,
}

/// Not a variant of [`Line`]: words to be kept exactly as they are cannot stand in a tagged enum.
#[derive(Deserialize, Serialize)]
struct EntryLine<'a> {
    kind: &'a str,
    tenant_id: Uuid,
    sequence: i64,
    previous: &'a str,
    hash: &'a str,
    #[serde(borrow)]
    entry: &'a RawValue,
}

#[derive(Deserialize, Serialize)]
struct Place {
    sequence: i64,
    hash: String,
}

impl From<&Link> for Place {
    fn from(link: &Link) -> Self {
        Self { sequence: link.sequence, hash: hexadecimal(&link.hash) }
    }
}

impl Place {
    fn link(&self) -> Option<Link> {
        Some(Link { sequence: self.sequence, hash: from_hexadecimal(&self.hash)? })
    }
}

const VERSION: u32 = 1;

impl Engine {
    /// Exports entries in the order of their chains, line by line, all as of one moment. Stops when `line` says so.
    /// Returns how many entries there were. The query's limit is not looked at.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn export_audit(
        &self,
        query: &AuditQuery,
        format: AuditFormat,
        line: &mut (dyn FnMut(&str) -> ControlFlow<()> + Send),
    ) -> Result<u64, EngineError> {
        match format {
            AuditFormat::JsonLines => self.export_lines(query, line).await,
            AuditFormat::Ocsf => self.export_ocsf(query, line).await,
        }
    }

    async fn export_lines(
        &self,
        query: &AuditQuery,
        line: &mut (dyn FnMut(&str) -> ControlFlow<()> + Send),
    ) -> Result<u64, EngineError> {
        let shared = self.shared();
        let whole = query.is_whole_chains();
        let mut reader = shared.store.read_chains(query).await?;
        let ends: BTreeMap<Uuid, _> = reader.ends.drain(..).map(|ends| (ends.tenant_id, ends)).collect();
        let (mut chains, mut entries) = (0, 0);
        let mut newest: Option<(Uuid, Link)> = None;
        if line(&text(&Line::Begin { version: VERSION, at: shared.clock.now(), whole })?).is_break() {
            return Ok(entries);
        }
        loop {
            let page = reader.next().await?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                let WrittenEntry { tenant_id, sequence, body, hash } = entry;
                if newest.as_ref().is_none_or(|(tenant, _)| *tenant != tenant_id) {
                    chains += 1;
                    if let Some(ends) = ends.get(&tenant_id) {
                        newest = Some((tenant_id, ends.anchor.clone()));
                        let tenant = shared.store.tenant_name(tenant_id).await.unwrap_or_default().into();
                        let (after, head) = (Place::from(&ends.anchor), Place::from(&ends.head));
                        if line(&text(&Line::Chain { tenant_id, tenant, after, head })?).is_break() {
                            return Ok(entries);
                        }
                    }
                }
                let previous = match &newest {
                    Some((_, link)) if link.sequence + 1 == sequence => link.hash.clone(),
                    _ => shared.store.audit_hash(tenant_id, sequence - 1).await?.unwrap_or_default(),
                };
                let raw: &RawValue = serde_json::from_str(&body)
                    .map_err(|_| Failure::StoreDamaged("an audit entry cannot be read".to_owned()))?;
                let (previous, shown) = (hexadecimal(&previous), hexadecimal(&hash));
                let out =
                    EntryLine { kind: "entry", tenant_id, sequence, previous: &previous, hash: &shown, entry: raw };
                entries += 1;
                if line(&text(&out)?).is_break() {
                    return Ok(entries);
                }
                newest = Some((tenant_id, Link { sequence, hash }));
            }
        }
        let _ = line(&text(&Line::End { chains, entries })?);
        Ok(entries)
    }

    async fn export_ocsf(
        &self,
        query: &AuditQuery,
        line: &mut (dyn FnMut(&str) -> ControlFlow<()> + Send),
    ) -> Result<u64, EngineError> {
        let shared = self.shared();
        let mut reader = shared.store.read_chains(query).await?;
        let mut named: Option<(Uuid, String)> = None;
        let mut leases: BTreeMap<Uuid, Option<LeaseFacts>> = BTreeMap::new();
        let mut entries = 0;
        loop {
            let page = reader.next().await?;
            if page.is_empty() {
                return Ok(entries);
            }
            for written in page {
                let WrittenEntry { tenant_id, sequence, body, hash } = written;
                let entry = store::audit_entry(tenant_id, sequence, &body, &hash)?;
                if named.as_ref().is_none_or(|(tenant, _)| *tenant != tenant_id) {
                    named = Some((tenant_id, shared.store.tenant_name(tenant_id).await.unwrap_or_default()));
                    // Leases do not cross tenants, and chains come one after the other.
                    leases.clear();
                }
                if let Some(lease_id) = entry.lease_id
                    && !leases.contains_key(&lease_id)
                {
                    leases.insert(lease_id, shared.store.lease_facts(lease_id).await?);
                }
                let facts = entry.lease_id.and_then(|lease_id| leases.get(&lease_id)).and_then(Option::as_ref);
                entries += 1;
                let name = named.as_ref().map(|(_, name)| name.as_str()).unwrap_or_default();
                for event in super::ocsf::events(&entry, name, facts) {
                    if line(&event.to_string()).is_break() {
                        return Ok(entries);
                    }
                }
            }
        }
    }

    /// Whether the log still holds what an earlier export ended with: so nothing up to there was rewritten or cut off
    /// since. Takes the chains of [`verify_export`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn audit_continues(&self, chains: &[AuditChain]) -> Result<Vec<AuditFault>, EngineError> {
        let mut faults = Vec::new();
        let mut reader = self.shared().store.read_chains(&AuditQuery::default()).await?;
        let anchors: BTreeMap<Uuid, i64> =
            reader.ends.drain(..).map(|ends| (ends.tenant_id, ends.anchor.sequence)).collect();
        drop(reader);
        for chain in chains {
            if anchors.get(&chain.tenant_id).is_some_and(|gone| *gone > chain.to) {
                // Removed as configured since; verifying the log shows that this is so.
                continue;
            }
            let here = self.shared().store.audit_hash(chain.tenant_id, chain.to).await?;
            let what = match here {
                Some(hash) if hexadecimal(&hash) == chain.hash => continue,
                Some(_) => "it is not the one that was exported",
                None => "it was exported and is not there any more",
            };
            faults.push(AuditFault {
                tenant_id: Some(chain.tenant_id),
                sequence: Some(chain.to),
                line: None,
                what: what.to_owned(),
            });
        }
        Ok(faults)
    }
}

/// Verifies an export in JSON Lines, without a database.
///
/// # Errors
/// When it cannot be read at all; what is wrong with it is in the report.
pub fn verify_export(file: impl BufRead) -> Result<AuditReport, Error> {
    let mut verifier = Verifier::default();
    for text in file.lines() {
        verifier.line += 1;
        let text = text?;
        if !text.trim().is_empty() {
            verifier.take(&text);
        }
    }
    Ok(verifier.finish())
}

#[derive(Default)]
struct Verifier {
    report: AuditReport,
    line: u64,
    begun: bool,
    ended: bool,
    current: Option<(Uuid, Check, Link)>,
}

impl Verifier {
    fn take(&mut self, text: &str) {
        if self.ended {
            return self.fault(None, None, "there is something after the end");
        }
        if let Ok(entry) = serde_json::from_str::<EntryLine<'_>>(text)
            && entry.kind == "entry"
        {
            return self.entry(&entry);
        }
        match serde_json::from_str(text) {
            Ok(Line::Begin { version, whole, .. }) => {
                self.begun = true;
                self.report.extract = !whole;
                if version != VERSION {
                    self.fault(None, None, "it was written by a newer version of Latchkey");
                }
            }
            Ok(Line::Chain { tenant_id, after, head, .. }) => {
                self.close_chain();
                match (after.link(), head.link()) {
                    (Some(after), Some(head)) => self.current = Some((tenant_id, Check::new(after), head)),
                    _ => self.fault(Some(tenant_id), None, "where the chain begins and ends cannot be read"),
                }
            }
            Ok(Line::End { chains, entries }) => {
                self.close_chain();
                self.ended = true;
                if entries != self.report.entries || (chains != self.report.chains.len() as u64) {
                    self.fault(None, None, "it does not hold as many entries as it says");
                }
            }
            Ok(Line::Other) | Err(_) => self.fault(None, None, "this line is not one of an export"),
        }
    }

    fn entry(&mut self, line: &EntryLine<'_>) {
        self.report.entries += 1;
        let (tenant_id, sequence) = (Some(line.tenant_id), Some(line.sequence));
        let (Some(hash), Some(previous)) = (from_hexadecimal(line.hash), from_hexadecimal(line.previous)) else {
            return self.fault(tenant_id, sequence, "its hash cannot be read");
        };
        let Some((_, check, _)) = self.current.as_mut().filter(|(current, ..)| *current == line.tenant_id) else {
            return self.fault(tenant_id, sequence, "it does not stand where it belongs");
        };
        let verdict = if self.report.extract {
            let right = chained(&previous, line.sequence, line.entry.get()) == hash;
            let verdict = if right { Ok(()) } else { Err("it or the entry before it was changed") };
            if line.sequence <= check.newest().sequence { Err("it does not stand where it belongs") } else { verdict }
        } else {
            Ok(())
        };
        let in_chain = check.take(line.sequence, line.entry.get(), hash);
        let verdict = if self.report.extract { verdict } else { in_chain };
        if let Err(what) = verdict {
            self.fault(tenant_id, sequence, what);
        }
    }

    fn close_chain(&mut self) {
        let Some((tenant_id, check, head)) = self.current.take() else { return };
        if !self.report.extract
            && let Some(what) = check.finish(Some(&head))
        {
            self.fault(Some(tenant_id), Some(check.newest().sequence), &what);
        }
        self.report.chains.push(AuditChain {
            tenant_id,
            from: check.first(),
            to: check.newest().sequence,
            hash: hexadecimal(&check.newest().hash),
        });
    }

    fn fault(&mut self, tenant_id: Option<Uuid>, sequence: Option<i64>, what: &str) {
        let line = Some(self.line);
        self.report.faults.push(AuditFault { tenant_id, sequence, line, what: what.to_owned() });
    }

    fn finish(mut self) -> AuditReport {
        if !self.begun {
            self.line = 1;
            self.fault(None, None, "this is not an export of the audit log");
        } else if !self.ended {
            self.close_chain();
            self.fault(None, None, "its end is missing");
        }
        self.report
    }
}

fn text(line: &impl Serialize) -> Result<String, EngineError> {
    serde_json::to_string(line).map_err(|error| Failure::Internal(format!("cannot be written: {error}")).into())
}
