//! What many runs came to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// At most so many failing schedules are told one by one.
const TOLD: usize = 20;

/// Runs with the same guards.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Tally {
    /// Schedules that were run.
    pub(crate) schedules: u64,
    /// Faults that came up in them.
    pub(crate) faults: u64,
    /// Processes that died in them.
    pub(crate) crashes: u64,
    /// Schedules after which an invariant did not hold.
    pub(crate) violated: u64,
    /// The same by invariant.
    pub(crate) by_invariant: BTreeMap<String, u64>,
    /// The longest time for which an account was active without a lease, in milliseconds.
    pub(crate) worst_lateness_ms: i64,
    /// The schedule that had it.
    pub(crate) worst_schedule: u64,
    /// How many schedules had how long a lateness: up to 1 s, 10 s, 60 s, 5 min, 15 min, more.
    pub(crate) lateness: [u64; 6],
    /// Failing schedules, with what failed.
    pub(crate) failing: Vec<(u64, Vec<String>)>,
    /// Seconds of real time, added up over the workers.
    pub(crate) seconds: f64,
}

const LATENESS: [i64; 5] = [1_000, 10_000, 60_000, 300_000, 900_000];

impl Tally {
    pub(crate) fn note(&mut self, number: u64, outcome: &crate::run::Outcome) {
        let finding = &outcome.finding;
        self.schedules += 1;
        self.faults += outcome.faults;
        self.crashes += outcome.crashes;
        if finding.lateness > self.worst_lateness_ms {
            (self.worst_lateness_ms, self.worst_schedule) = (finding.lateness, number);
        }
        let bucket = LATENESS.iter().position(|limit| finding.lateness <= *limit).unwrap_or(LATENESS.len());
        self.lateness[bucket] += 1;
        if finding.violations.is_empty() {
            return;
        }
        self.violated += 1;
        let mut invariants: Vec<_> =
            finding.violations.iter().map(|violation| violation.split(':').next().unwrap_or("?")).collect();
        invariants.sort_unstable();
        invariants.dedup();
        for invariant in invariants {
            *self.by_invariant.entry(invariant.to_owned()).or_default() += 1;
        }
        if self.failing.len() < TOLD {
            self.failing.push((number, finding.violations.clone()));
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.faults += other.faults;
        self.crashes += other.crashes;
        self.violated += other.violated;
        for (invariant, count) in other.by_invariant {
            *self.by_invariant.entry(invariant).or_default() += count;
        }
        if other.worst_lateness_ms > self.worst_lateness_ms {
            (self.worst_lateness_ms, self.worst_schedule) = (other.worst_lateness_ms, other.worst_schedule);
        }
        for (sum, count) in self.lateness.iter_mut().zip(other.lateness) {
            *sum += count;
        }
        self.failing.extend(other.failing);
        self.failing.truncate(TOLD);
        self.seconds += other.seconds;
    }
}

/// Everything that was found.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Report {
    /// Faults at every call, one by one: how many schedules these are.
    pub(crate) singles: u64,
    /// Schedules that are kept because something went wrong with them once.
    pub(crate) kept: u64,
    /// What is wrong with those, or with running one again.
    pub(crate) troubles: Vec<String>,
    /// With all guards.
    pub(crate) all_guards: Tally,
    /// With one guard taken out, by its name.
    pub(crate) without: BTreeMap<String, Tally>,
    /// Real time from beginning to end, in seconds.
    pub(crate) seconds: f64,
}

impl Report {
    /// As a table for people.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from(
            "| guards | schedules | faults | crashes | violations | active without a lease, at most | by invariant |\n\
             |---|---:|---:|---:|---:|---:|---|\n",
        );
        let rows = std::iter::once(("all five".to_owned(), &self.all_guards))
            .chain(self.without.iter().map(|(guard, tally)| (format!("without {guard}"), tally)));
        for (guards, tally) in rows {
            let by: Vec<_> =
                tally.by_invariant.iter().map(|(invariant, count)| format!("{invariant}: {count}")).collect();
            text.push_str(&format!(
                "| {guards} | {} | {} | {} | {} | {:.1} s | {} |\n",
                tally.schedules,
                tally.faults,
                tally.crashes,
                tally.violated,
                precise(tally.worst_lateness_ms),
                by.join("; "),
            ));
        }
        text
    }

    /// Whether it shows what it is to show: nothing with all guards, something without each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = self.troubles.clone();
        for (number, violations) in &self.all_guards.failing {
            problems.push(format!("schedule {number}: {}", violations.join("; ")));
        }
        for (guard, tally) in &self.without {
            if tally.violated == 0 {
                problems.push(format!(
                    "without {guard} nothing went wrong in {} schedules: either the guard does nothing or the matrix \
                     does not see it",
                    tally.schedules
                ));
            }
        }
        problems
    }
}

/// Milliseconds as seconds, for people.
#[allow(clippy::cast_precision_loss, reason = "a day in milliseconds is far below 2^52")]
fn precise(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}
