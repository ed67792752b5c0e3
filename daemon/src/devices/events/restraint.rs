//! What keeps one who makes noise from filling the log.
//!
//! Messages carry names that strangers choose, so counting equal ones is not enough: each kind of
//! event has a budget too. What is left out is counted, and told once a minute.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use jiff::{SignedDuration, Timestamp};

use super::entry::{Event, Level, Noise};

/// Equal messages within this time are one.
const SAME: SignedDuration = SignedDuration::from_mins(10);
/// Messages whose repetition is remembered.
const REMEMBERED: usize = 1_024;
/// How often is told what was left out.
const TELLING: SignedDuration = SignedDuration::from_mins(1);
/// How often is looked for messages that need not be remembered any more. While a whole network comes
/// back there are none, and each line would pay for looking.
const SWEEP: SignedDuration = SignedDuration::from_secs(1);

/// How much of a kind of event is let into the log.
struct Allowance {
    /// Equal messages in ten minutes.
    equal: u32,
    /// Different ones at once.
    burst: f64,
    /// And then so many a second.
    rate: f64,
}

impl Noise {
    fn allowance(self) -> Allowance {
        match self {
            // At one a minute, a flood takes two weeks to push out everything else.
            Self::Strangers => Allowance { equal: 1, burst: 60.0, rate: 1.0 / 60.0 },
            // A whole network that comes back at once is worth its lines.
            Self::Ours => Allowance { equal: 5, burst: 2_000.0, rate: 2.0 },
        }
    }
}

/// What was let in lately.
#[derive(Default)]
pub(super) struct Restraint {
    equal: HashMap<u64, Equal>,
    swept: Timestamp,
    kinds: HashMap<(Noise, &'static str), Kind>,
}

struct Equal {
    since: Timestamp,
    count: u32,
}

struct Kind {
    budget: f64,
    at: Timestamp,
    left_out: u32,
    /// When the first one was left out that has not been told.
    since: Timestamp,
    last: String,
}

impl Restraint {
    /// Whether this one comes into the log.
    pub(super) fn allows(&mut self, event: &Event, now: Timestamp) -> bool {
        let allowance = event.noise.allowance();
        let fresh = self.is_fresh(event, now, allowance.equal);
        let kind = self.kinds.entry((event.noise, event.tag)).or_insert_with(|| Kind {
            budget: allowance.burst,
            at: now,
            left_out: 0,
            since: now,
            last: String::new(),
        });
        // Before 1970 of a clock that was set back, nothing is earned.
        let earned = now.duration_since(kind.at).as_secs_f64().max(0.0) * allowance.rate;
        kind.budget = (kind.budget + earned).min(allowance.burst);
        kind.at = now;
        if fresh && kind.budget >= 1.0 {
            kind.budget -= 1.0;
            return true;
        }
        if kind.left_out == 0 {
            kind.since = now;
        }
        kind.left_out = kind.left_out.saturating_add(1);
        kind.last.clone_from(&event.message);
        false
    }

    /// Whether something was left out that has not been told.
    pub(super) fn owes(&self) -> bool {
        self.kinds.values().any(|kind| kind.left_out > 0)
    }

    /// What was left out and is now due to be told, past the budgets.
    pub(super) fn tell(&mut self, now: Timestamp) -> Vec<Event> {
        let due = |kind: &Kind| kind.left_out > 0 && now.duration_since(kind.since) >= TELLING;
        let mut told = Vec::new();
        for ((noise, tag), kind) in self.kinds.iter_mut().filter(|(_, kind)| due(kind)) {
            let message = format!(
                "{} more like this are not listed one by one. The last one: {}",
                kind.left_out, kind.last
            );
            told.push(Event::new(*noise, Level::Warning, tag, message));
            kind.left_out = 0;
            kind.last = String::new();
        }
        told
    }

    fn is_fresh(&mut self, event: &Event, now: Timestamp, allowed: u32) -> bool {
        let mut hasher = DefaultHasher::new();
        (event.noise, event.level, event.tag, &event.message).hash(&mut hasher);
        let hash = hasher.finish();
        let old = |equal: &Equal| now.duration_since(equal.since).abs() >= SAME;
        if self.equal.len() >= REMEMBERED && !self.equal.contains_key(&hash) {
            if now.duration_since(self.swept).abs() >= SWEEP {
                self.swept = now;
                self.equal.retain(|_, equal| !old(equal));
            }
            // All young: a flood of different messages, which the budgets hold.
            if self.equal.len() >= REMEMBERED {
                return true;
            }
        }
        let equal = self.equal.entry(hash).or_insert(Equal { since: now, count: 0 });
        if old(equal) {
            *equal = Equal { since: now, count: 0 };
        }
        equal.count = equal.count.saturating_add(1);
        equal.count <= allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn knock(number: usize) -> Event {
        Event::noisy(Level::Info, "device", format!("device {number} knocked"))
    }

    #[test]
    fn an_equal_message_is_listed_once_in_ten_minutes_and_the_rest_is_counted() {
        let mut restraint = Restraint::default();
        let listed = (0..600).filter(|second| restraint.allows(&knock(1), at(*second))).count();
        assert_eq!(listed, 1);
        let told = restraint.tell(at(600));
        assert_eq!(told.len(), 1);
        assert!(told[0].message.starts_with("599 more like this"), "{}", told[0].message);
        assert!(!restraint.owes());
        assert!(restraint.allows(&knock(1), at(601)));
    }

    #[test]
    fn a_stranger_with_ever_new_names_gets_no_more_than_his_budget() {
        let mut restraint = Restraint::default();
        let listed = |restraint: &mut Restraint, from: usize, second| {
            (from..from + 10_000).filter(|name| restraint.allows(&knock(*name), at(second))).count()
        };
        assert_eq!(listed(&mut restraint, 0, 0), 60);
        assert_eq!(listed(&mut restraint, 10_000, 600), 10);
        assert!(restraint.equal.len() <= REMEMBERED);
    }

    #[test]
    fn noise_of_strangers_takes_nothing_from_what_our_devices_do() {
        let mut restraint = Restraint::default();
        let listed = (0..5_000).filter(|number| restraint.allows(&knock(*number), at(0))).count();
        assert_eq!(listed, 60);
        let ours = Event::quiet(Level::Info, "device", "mast-1 was deleted".to_owned());
        assert!(restraint.allows(&ours, at(0)));
    }

    #[test]
    fn a_thousand_devices_that_come_back_at_once_are_all_listed() {
        let mut restraint = Restraint::default();
        let back = |number| {
            Event::quiet(Level::Info, "device-state", format!("device {number} connected"))
        };
        assert!((0..1_000).all(|number| restraint.allows(&back(number), at(0))));
    }
}
