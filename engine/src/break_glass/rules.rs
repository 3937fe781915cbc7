//! What is known about an account's passwords, and when somebody must do something about it.
//!
//! Pure: no clock, no randomness, no input or output. The one readable evidence is the moment of the last change of the
//! password, in whole seconds; a sign-in with the password alone proves nothing, because Microsoft asks everybody for
//! more than a password. Facts: Microsoft Graph user resource, lastPasswordChangeDateTime.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The directory says whole seconds, and clocks are compared by a header that does as well.
const NOISE: i64 = 4_000;
/// A request that was not answered may take effect until so long after its send.
const LATEST: i64 = 900_000;
/// After so long without an effect it is believed to have none.
const SETTLED: i64 = 600_000;
/// When an account is looked at again after a send whose outcome is not known.
const LOOKS: [i64; 3] = [35_000, 120_000, SETTLED];
/// A rotation that failed is tried again after so long at first, then after twice that, and at least so often.
const FIRST_RETRY: i64 = 60_000;
const LONGEST_RETRY: i64 = 3_600_000;
/// A moment further in the future than this was written under another clock.
const FUTURE: i64 = 120_000;

/// The passwords of one account that may be the one. What they are stands in the key store alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passwords {
    /// The one that was proven last.
    pub(crate) proven: Option<Proven>,
    /// Others that were sent, oldest first: nobody knows yet whether they took effect, or still will.
    pub(crate) candidates: Vec<Candidate>,
    /// Every generation that may have an entry in the key store.
    pub(crate) entries: BTreeSet<i64>,
    /// The newest generation that was ever used.
    pub(crate) newest: i64,
}

/// A password that the directory took, and that was read back as the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proven {
    pub(crate) generation: i64,
    /// The moment of the change as the directory says it, Microsoft's time.
    pub(crate) changed_at: i64,
    /// When that was read back, by this machine's clock.
    pub(crate) since: i64,
}

/// A password that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Candidate {
    pub(crate) generation: i64,
    /// When, by Microsoft's clock.
    pub(crate) sent_at: i64,
    /// The directory said that it took it; only reading it back is missing.
    pub(crate) accepted: bool,
}

/// The moment of the last change of the password, as the directory said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastChange {
    pub(crate) at: i64,
    /// When it said so, by Microsoft's clock.
    pub(crate) read_at: i64,
}

/// How likely a password is the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Likelihood {
    /// It was accepted and read back, and nothing has changed since.
    Proven,
    /// What can be read speaks for it.
    Likely,
    /// It cannot be ruled out.
    Possible,
}

/// What is known of the account's passwords together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Belief {
    /// No password of ours has reached the account yet.
    None,
    /// One is proven.
    Proven,
    /// A new one was sent and it is not known whether it took effect.
    Uncertain,
    /// The directory shows a change that is none of ours.
    ChangedElsewhere,
}

impl Passwords {
    /// The generation for the next password. The same one is never used twice: a process that stalled writes to an
    /// entry that nobody else uses.
    pub(crate) fn next_generation(&self) -> i64 {
        self.newest + 1
    }

    /// Notes that an entry is about to be written.
    pub(crate) fn reserve(&mut self, generation: i64) {
        self.newest = self.newest.max(generation);
        self.entries.insert(generation);
    }

    /// Notes that a password is about to be sent.
    pub(crate) fn sending(&mut self, generation: i64, sent_at: i64) {
        self.candidates.retain(|candidate| candidate.generation != generation);
        self.candidates.push(Candidate { generation, sent_at, accepted: false });
    }

    /// The directory took it.
    pub(crate) fn accepted(&mut self, generation: i64) {
        for candidate in self.candidates.iter_mut().filter(|candidate| candidate.generation == generation) {
            candidate.accepted = true;
        }
    }

    /// The directory refused it: it never was the password.
    pub(crate) fn refused(&mut self, generation: i64) {
        self.candidates.retain(|candidate| candidate.generation != generation);
    }

    /// It was accepted and read back. What was sent lately without an answer may still take effect and is kept; the
    /// password before is not needed any more.
    pub(crate) fn prove(&mut self, generation: i64, changed_at: i64, now: i64, microsoft_now: i64) {
        self.proven = Some(Proven { generation, changed_at, since: now });
        self.candidates.retain(|candidate| {
            candidate.generation != generation && !candidate.accepted && !settled(candidate, microsoft_now)
        });
    }

    /// Forgets what was sent so long ago without an effect that it will have none.
    pub(crate) fn settle(&mut self, change: LastChange) {
        if self.proven.is_some_and(|proven| proven.changed_at == change.at) {
            self.candidates.retain(|candidate| candidate.accepted || !settled(candidate, change.read_at));
        }
    }

    /// Entries of the key store that nobody needs.
    pub(crate) fn spare(&self) -> Vec<i64> {
        let kept = |generation: &i64| {
            self.proven.is_some_and(|proven| proven.generation == *generation)
                || self.candidates.iter().any(|candidate| candidate.generation == *generation)
        };
        self.entries.iter().copied().filter(|generation| !kept(generation)).collect()
    }

    /// Every password that may be the one, the likeliest first.
    pub(crate) fn weigh(&self, change: Option<LastChange>) -> (Belief, Vec<(i64, Likelihood)>) {
        let unchanged = |proven: &Proven| change.is_none_or(|change| change.at == proven.changed_at);
        if let (Some(proven), true) = (&self.proven, self.candidates.is_empty()) {
            return if unchanged(proven) {
                (Belief::Proven, vec![(proven.generation, Likelihood::Proven)])
            } else {
                (Belief::ChangedElsewhere, vec![(proven.generation, Likelihood::Possible)])
            };
        }
        let mut weighed = Vec::new();
        // A change that is the proven one's own speaks for no other.
        let explained = self.proven.is_some_and(|proven| change.is_some_and(|change| change.at == proven.changed_at));
        let mut fitting: Vec<_> = self
            .candidates
            .iter()
            .filter(|candidate| candidate.accepted || !explained && fits(candidate, change))
            .collect();
        fitting.sort_by_key(|candidate| (!candidate.accepted, distance(candidate, change), -candidate.generation));
        // What was said before the newest send says nothing about it.
        let newest = self.candidates.iter().map(|candidate| candidate.sent_at).max();
        let asked_since = change.filter(|change| newest.is_some_and(|sent| change.read_at >= sent));
        if let Some(proven) = &self.proven {
            let speaks = fitting.is_empty() && asked_since.is_some_and(|change| change.at == proven.changed_at);
            let moved = change.is_some_and(|change| change.at != proven.changed_at);
            let likelihood = if speaks { Likelihood::Likely } else { Likelihood::Possible };
            weighed.push((likelihood, i64::from(moved || !fitting.is_empty()), proven.generation));
        }
        for (place, candidate) in fitting.iter().enumerate() {
            let likelihood = if place == 0 { Likelihood::Likely } else { Likelihood::Possible };
            weighed.push((likelihood, 0, candidate.generation));
        }
        for candidate in
            self.candidates.iter().filter(|one| !fitting.iter().any(|fit| fit.generation == one.generation))
        {
            weighed.push((Likelihood::Possible, 1, candidate.generation));
        }
        // Equal ones: the one that was sent last.
        weighed.sort_by_key(|(likelihood, rank, generation)| (*likelihood, *rank, -*generation));
        let elsewhere = fitting.is_empty()
            && self.proven.is_some_and(|proven| asked_since.is_some_and(|change| change.at != proven.changed_at));
        let belief = match (weighed.is_empty(), elsewhere) {
            (true, _) => Belief::None,
            (false, true) => Belief::ChangedElsewhere,
            (false, false) => Belief::Uncertain,
        };
        (belief, weighed.into_iter().map(|(likelihood, _, generation)| (generation, likelihood)).collect())
    }

    /// When the account is to be looked at because of sends without an answer: three times, and then, as long as they
    /// could not be settled, again and again.
    fn next_look(&self, looked_at: Option<i64>, ahead: i64) -> Option<i64> {
        // Sends are noted in Microsoft's time, looks in ours.
        let looks = self.candidates.iter().flat_map(|candidate| LOOKS.map(|after| candidate.sent_at - ahead + after));
        let next = looks.filter(|at| looked_at.is_none_or(|looked| *at > looked)).min();
        next.or_else(|| looked_at.filter(|_| !self.candidates.is_empty()).map(|looked| looked + SETTLED))
    }
}

fn settled(candidate: &Candidate, microsoft_now: i64) -> bool {
    candidate.sent_at + SETTLED <= microsoft_now
}

/// Whether the change that the directory shows can be what this send did.
fn fits(candidate: &Candidate, change: Option<LastChange>) -> bool {
    change.is_some_and(|change| (candidate.sent_at - NOISE..=candidate.sent_at + LATEST).contains(&change.at))
}

fn distance(candidate: &Candidate, change: Option<LastChange>) -> i64 {
    change.map_or(i64::MAX, |change| (change.at - candidate.sent_at).abs())
}

/// Whether the change that is read back after a send that was accepted is that of the send.
pub(crate) fn proves(before: Option<i64>, change: i64, sent_at: i64) -> bool {
    // Two changes within one second look like one: then the answer to the send must do, and it was a success.
    change >= sent_at - NOISE && before.is_none_or(|before| change >= before)
}

/// What is to be done about an account, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) at: i64,
    pub(crate) what: Task,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Replace the password.
    Rotate,
    /// See whether something that was sent without an answer has taken effect.
    Look,
}

/// What decides when something is due.
#[derive(Clone, Debug)]
pub(crate) struct Timing<'a> {
    pub(crate) tenant_id: Uuid,
    pub(crate) name: &'a str,
    pub(crate) passwords: &'a Passwords,
    pub(crate) rotate_by: Option<i64>,
    pub(crate) attempts: u32,
    pub(crate) retry_at: Option<i64>,
    pub(crate) looked_at: Option<i64>,
    /// How often, in milliseconds.
    pub(crate) interval: i64,
    /// Microsoft's time minus this machine's.
    pub(crate) ahead: i64,
}

impl Timing<'_> {
    /// What is due next.
    pub(crate) fn due(&self, now: i64) -> Due {
        let regular = match self.passwords.proven {
            // Under a clock that was set back nothing waits for the future to come again.
            Some(proven) if proven.since <= now + FUTURE => slot_after(proven.since, self.interval, self.phase()),
            _ => now,
        };
        let wanted = self.rotate_by.map_or(regular, |by| by.min(regular));
        let rotate = match self.retry_at {
            Some(retry) if self.attempts > 0 => retry.min(now + LONGEST_RETRY),
            _ => wanted,
        };
        // A rotation that is due looks, too.
        let look = self.passwords.next_look(self.looked_at, self.ahead).filter(|look| *look < rotate && rotate > now);
        look.map_or(Due { at: rotate, what: Task::Rotate }, |at| Due { at, what: Task::Look })
    }

    /// Where in the interval this account's turn is: the same in every process, and another for every account, so that
    /// those of a thousand tenants do not come at once.
    fn phase(&self) -> i64 {
        let digest = Sha256::new().chain_update(self.tenant_id.as_bytes()).chain_update(self.name).finalize();
        let number = digest.iter().take(7).fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
        number % self.interval.max(1)
    }
}

/// The first turn after `since`: never later than one interval.
fn slot_after(since: i64, interval: i64, phase: i64) -> i64 {
    let interval = interval.max(1);
    since + interval - (since - phase).rem_euclid(interval)
}

/// When a rotation that has failed so often in a row is tried again.
pub(crate) fn retry_at(now: i64, attempts: u32, asked: Option<i64>) -> i64 {
    let wait = FIRST_RETRY.saturating_mul(1 << attempts.saturating_sub(1).min(6));
    now + asked.unwrap_or(0).max(wait).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn proven(generation: i64) -> Passwords {
        let mut passwords = Passwords::default();
        passwords.reserve(generation);
        passwords.sending(generation, 1_000_000);
        passwords.prove(generation, 1_000_000, 1_000_500, 1_000_500);
        passwords
    }

    fn change(at: i64, read_at: i64) -> Option<LastChange> {
        Some(LastChange { at, read_at })
    }

    #[test]
    fn a_proven_password_is_the_one_until_something_changes() {
        let passwords = proven(1);
        assert_eq!(passwords.weigh(None), (Belief::Proven, vec![(1, Likelihood::Proven)]));
        assert_eq!(passwords.weigh(change(1_000_000, 9_000_000)).0, Belief::Proven);
        let (belief, weighed) = passwords.weigh(change(5_000_000, 9_000_000));
        assert_eq!((belief, weighed), (Belief::ChangedElsewhere, vec![(1, Likelihood::Possible)]));
    }

    #[test]
    fn without_an_answer_both_are_kept_and_the_evidence_says_which_is_likelier() {
        let mut passwords = proven(1);
        passwords.reserve(2);
        passwords.sending(2, 2_000_500);
        // Nothing was read since: neither is likelier than the other.
        let (belief, weighed) = passwords.weigh(change(1_000_000, 1_999_000));
        assert_eq!(belief, Belief::Uncertain);
        assert!(weighed.iter().all(|(_, likelihood)| *likelihood == Likelihood::Possible), "{weighed:?}");
        // The directory shows no change: the old one.
        let (_, weighed) = passwords.weigh(change(1_000_000, 2_020_000));
        assert_eq!(weighed, [(1, Likelihood::Likely), (2, Likelihood::Possible)]);
        // It shows one that fits: the new one.
        let (belief, weighed) = passwords.weigh(change(2_000_000, 2_020_000));
        assert_eq!((belief, weighed), (Belief::Uncertain, vec![(2, Likelihood::Likely), (1, Likelihood::Possible)]));
        // It shows one that fits nothing of ours.
        assert_eq!(passwords.weigh(change(1_500_000, 2_020_000)).0, Belief::ChangedElsewhere);
        assert!(passwords.spare().is_empty(), "both stay in the key store");
    }

    #[test]
    fn what_was_sent_without_an_answer_outlives_the_next_rotation_until_it_can_have_no_effect() {
        let mut passwords = proven(1);
        passwords.reserve(2);
        passwords.sending(2, 2_000_000);
        passwords.reserve(3);
        passwords.sending(3, 2_060_000);
        passwords.prove(3, 2_060_000, 2_061_000, 2_061_000);
        assert_eq!(passwords.spare(), [1], "the one before is not needed any more");
        let (_, weighed) = passwords.weigh(change(2_060_000, 2_065_000));
        assert_eq!(weighed, [(3, Likelihood::Likely), (2, Likelihood::Possible)]);
        // The late one takes effect after all.
        let (_, weighed) = passwords.weigh(change(2_070_000, 2_100_000));
        assert_eq!(weighed.first().unwrap().0, 2, "{weighed:?}");
        // Or it does not.
        passwords.settle(LastChange { at: 2_060_000, read_at: 2_000_000 + SETTLED });
        assert_eq!(passwords.weigh(change(2_060_000, 2_700_000)).0, Belief::Proven);
        assert_eq!(passwords.spare(), [1, 2]);
    }

    #[test]
    fn a_password_that_was_taken_but_not_read_back_yet_is_the_likely_one() {
        let mut passwords = proven(1);
        passwords.reserve(2);
        passwords.sending(2, 2_000_000);
        passwords.accepted(2);
        let (_, weighed) = passwords.weigh(change(1_000_000, 2_001_000));
        assert_eq!(weighed, [(2, Likelihood::Likely), (1, Likelihood::Possible)]);
        // A replica that lags must not make us forget it.
        passwords.settle(LastChange { at: 1_000_000, read_at: 9_000_000 });
        assert_eq!(passwords.candidates.len(), 1);
    }

    #[test]
    fn nothing_is_proven_by_a_change_from_before_the_send() {
        assert!(proves(Some(1_000), 60_000, 61_500), "whole seconds");
        assert!(!proves(Some(1_000), 1_000, 61_500));
        assert!(!proves(None, 50_000, 61_500));
    }

    fn timing(passwords: &Passwords) -> Timing<'_> {
        Timing {
            tenant_id: Uuid::from_u128(7),
            name: "breakglass-1",
            passwords,
            rotate_by: None,
            attempts: 0,
            retry_at: None,
            looked_at: None,
            interval: 24 * HOUR,
            ahead: 0,
        }
    }

    #[test]
    fn a_reveal_brings_the_rotation_forward_and_a_failure_puts_it_off() {
        let passwords = proven(1);
        let regular = timing(&passwords).due(2_000_000);
        assert_eq!(regular.what, Task::Rotate);
        let by = Timing { rotate_by: Some(1_100_000), ..timing(&passwords) };
        assert_eq!(by.due(2_000_000).at, 1_100_000);
        let failed = Timing { attempts: 3, retry_at: Some(2_300_000), ..by };
        assert_eq!(failed.due(2_000_000).at, 2_300_000);
        assert_eq!(retry_at(0, 1, None), FIRST_RETRY);
        assert_eq!(retry_at(0, 90, None), LONGEST_RETRY);
        assert_eq!(retry_at(0, 1, Some(120_000)), 120_000, "Microsoft asks to wait");
    }

    #[test]
    fn a_send_without_an_answer_is_looked_after_until_it_is_settled() {
        let mut passwords = proven(1);
        passwords.sending(2, 2_000_000);
        let mut at = 2_000_000;
        let mut looked = None;
        for after in LOOKS {
            let due = Timing { looked_at: looked, ..timing(&passwords) }.due(at);
            assert_eq!(due, Due { at: 2_000_000 + after, what: Task::Look });
            at = due.at;
            looked = Some(at);
        }
        let again = Timing { looked_at: looked, ..timing(&passwords) }.due(at);
        assert_eq!(again, Due { at: at + SETTLED, what: Task::Look }, "it could not be asked");
        passwords.candidates.clear();
        assert_eq!(Timing { looked_at: looked, ..timing(&passwords) }.due(at).what, Task::Rotate);
    }

    #[test]
    fn a_thousand_tenants_have_a_thousand_turns() {
        let passwords = proven(1);
        let turns: BTreeSet<i64> = (0..1000)
            .map(|number| {
                Timing { tenant_id: Uuid::from_u128(number), ..timing(&passwords) }.due(2_000_000).at / 60_000
            })
            .collect();
        // By the minute: a day has 1,440 of them.
        assert!(turns.len() > 600, "{}", turns.len());
    }

    proptest! {
        #[test]
        fn no_turn_is_later_than_one_interval(since in 0_i64..4_000_000_000_000, hours in 1_i64..=720, number in any::<u128>()) {
            let passwords = Passwords::default();
            let timing = Timing { tenant_id: Uuid::from_u128(number), interval: hours * HOUR, ..timing(&passwords) };
            let turn = slot_after(since, timing.interval, timing.phase());
            prop_assert!(turn > since && turn <= since + timing.interval);
        }

        /// Whatever is sent, answered and read in whatever order: the entry of the password that is the account's is
        /// never spare.
        #[test]
        fn the_password_in_force_is_never_thrown_away(steps in proptest::collection::vec((0_u8..5, 1_i64..200_000), 1..40)) {
            let mut passwords = proven(1);
            let (mut actual, mut changed_at, mut now) = (1, 1_000_000, 1_000_500);
            let mut late: Vec<(i64, i64)> = Vec::new();
            for (kind, passes) in steps {
                now += passes;
                // A request without an answer takes effect within ten seconds or never.
                late.retain(|(generation, sent)| {
                    if sent + 10_000 <= now && generation % 2 == 0 {
                        actual = *generation;
                        changed_at = sent + 10_000;
                    }
                    sent + 10_000 > now
                });
                let generation = passwords.next_generation();
                match kind {
                    0 | 1 => {
                        passwords.reserve(generation);
                        passwords.sending(generation, now);
                        actual = generation;
                        changed_at = now;
                        passwords.prove(generation, now, now, now);
                    }
                    2 => {
                        passwords.reserve(generation);
                        passwords.sending(generation, now);
                        late.push((generation, now));
                    }
                    3 => {
                        passwords.reserve(generation);
                        passwords.sending(generation, now);
                        passwords.refused(generation);
                    }
                    _ => passwords.settle(LastChange { at: changed_at, read_at: now }),
                }
                prop_assert!(!passwords.spare().contains(&actual), "{passwords:?}: {actual}");
                for spare in passwords.spare() {
                    passwords.entries.remove(&spare);
                }
                let (_, weighed) = passwords.weigh(Some(LastChange { at: changed_at, read_at: now }));
                prop_assert!(weighed.iter().any(|(generation, _)| *generation == actual));
            }
        }
    }
}
