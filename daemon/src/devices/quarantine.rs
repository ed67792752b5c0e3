//! Who waits to be let in, within bounds that a flood cannot break.
//!
//! Anyone who holds the generic device key can knock with as many identities as he likes. So the
//! quarantine is bounded in all and per source network, and a newcomer always finds a place: the
//! oldest silent entry goes first, of the network that fills it.
//!
//! Pure bookkeeping: no clock, no sessions, nothing on disk.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::network::SourceNetwork;

/// How many may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// In all.
    pub(super) total: usize,
    /// From one source network.
    pub(super) per_source: usize,
}

struct Entry {
    source: SourceNetwork,
    silent: bool,
    order: u64,
}

/// The waiting room.
pub(super) struct Quarantine {
    bounds: Bounds,
    entries: HashMap<Uuid, Entry>,
    /// Arrival order for each source, silent ones apart, so that the oldest is found at once.
    queues: HashMap<SourceNetwork, Queue>,
    next: u64,
}

#[derive(Default)]
struct Queue {
    silent: BTreeMap<u64, Uuid>,
    talking: BTreeMap<u64, Uuid>,
}

impl Queue {
    fn len(&self) -> usize {
        self.silent.len() + self.talking.len()
    }

    fn side(&mut self, silent: bool) -> &mut BTreeMap<u64, Uuid> {
        if silent { &mut self.silent } else { &mut self.talking }
    }

    fn oldest(&self) -> Option<Uuid> {
        self.silent.values().next().or_else(|| self.talking.values().next()).copied()
    }
}

impl Quarantine {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, entries: HashMap::new(), queues: HashMap::new(), next: 0 }
    }

    /// Lets one in. Returns who has to leave for it.
    pub(super) fn enter(&mut self, id: Uuid, source: SourceNetwork) -> Vec<Uuid> {
        self.leave(id);
        let mut evicted = Vec::new();
        if self.queues.get(&source).is_some_and(|queue| queue.len() >= self.bounds.per_source) {
            evicted.extend(self.queues.get(&source).and_then(Queue::oldest));
        } else if self.entries.len() >= self.bounds.total {
            evicted.extend(self.fullest().and_then(Queue::oldest));
        }
        for gone in &evicted {
            self.leave(*gone);
        }
        let order = self.next;
        self.next += 1;
        self.entries.insert(id, Entry { source, silent: false, order });
        self.queues.entry(source).or_default().talking.insert(order, id);
        evicted
    }

    /// Notes that an entry's session has ended or begun.
    pub(super) fn set_silent(&mut self, id: Uuid, silent: bool) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(queue) = self.queues.get_mut(&entry.source) else { return };
        queue.side(entry.silent).remove(&entry.order);
        entry.silent = silent;
        queue.side(silent).insert(entry.order, id);
    }

    /// Takes one out: authorised, deleted or evicted.
    pub(super) fn leave(&mut self, id: Uuid) {
        let Some(entry) = self.entries.remove(&id) else { return };
        if let Some(queue) = self.queues.get_mut(&entry.source) {
            queue.side(entry.silent).remove(&entry.order);
            if queue.len() == 0 {
                self.queues.remove(&entry.source);
            }
        }
    }

    fn fullest(&self) -> Option<&Queue> {
        self.queues.values().max_by_key(|queue| queue.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOD: SourceNetwork = SourceNetwork::V4([198, 51, 100]);
    const HONEST: SourceNetwork = SourceNetwork::V4([203, 0, 113]);

    fn quarantine(total: usize, per_source: usize) -> Quarantine {
        Quarantine::new(Bounds { total, per_source })
    }

    #[test]
    fn a_flood_from_one_network_pushes_out_only_its_own() {
        let mut quarantine = quarantine(100, 10);
        let honest = Uuid::now_v7();
        assert!(quarantine.enter(honest, HONEST).is_empty());
        for _ in 0..5_000 {
            let evicted = quarantine.enter(Uuid::now_v7(), FLOOD);
            assert!(!evicted.contains(&honest));
        }
        assert_eq!(quarantine.entries.len(), 11);
    }

    #[test]
    fn a_flood_from_many_networks_still_leaves_a_place_for_a_newcomer() {
        let mut quarantine = quarantine(50, 10);
        for network in 0..200 {
            for _ in 0..10 {
                quarantine.enter(Uuid::now_v7(), SourceNetwork::V4([10, 0, network]));
            }
        }
        let honest = Uuid::now_v7();
        quarantine.enter(honest, HONEST);
        assert!(quarantine.entries.contains_key(&honest));
        assert_eq!(quarantine.entries.len(), 50);
    }

    #[test]
    fn the_oldest_silent_one_goes_before_one_that_still_talks() {
        let mut quarantine = quarantine(100, 3);
        let ids: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
        for id in &ids {
            quarantine.enter(*id, FLOOD);
        }
        quarantine.set_silent(ids[1], true);
        assert_eq!(quarantine.enter(Uuid::now_v7(), FLOOD), vec![ids[1]]);
        assert_eq!(quarantine.enter(Uuid::now_v7(), FLOOD), vec![ids[0]]);
    }

    #[test]
    fn leaving_gives_the_place_back() {
        let mut quarantine = quarantine(100, 2);
        let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
        quarantine.enter(first, FLOOD);
        quarantine.enter(second, FLOOD);
        quarantine.leave(first);
        assert!(quarantine.enter(Uuid::now_v7(), FLOOD).is_empty());
        quarantine.set_silent(first, true);
        assert!(quarantine.queues[&FLOOD].silent.is_empty());
    }
}
