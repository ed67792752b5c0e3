//! What waits for its second step: a login for a second factor, a passkey's challenge for its
//! answer.
//!
//! In memory alone, and for five minutes. An id is as good as a password there, so it has 256 bits,
//! and only the network that began may go on. Bounded for each network and in all: a flood pushes
//! out its own.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::logins::new_token;
use crate::network::SourceNetwork;
use crate::seal::{SealError, Secret};

/// How long anything waits.
pub(super) const LASTS: Duration = Duration::from_mins(5);
/// Things that wait, for one network.
const PER_NETWORK: usize = 50;
/// Things that wait, for all.
const ALL: usize = 1_000;

struct Kept<T> {
    what: T,
    network: SourceNetwork,
    until: Instant,
}

/// Things that wait, each under the SHA-256 of its id.
pub(super) struct Pending<T>(Mutex<HashMap<[u8; 32], Kept<T>>>);

fn hashed(id: &str) -> [u8; 32] {
    Sha256::digest(id.as_bytes()).into()
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Pending<T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Kept<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets something wait; its id, handed out once.
    pub(super) fn put(&self, what: T, network: SourceNetwork) -> Result<Secret<String>, SealError> {
        let id = new_token()?;
        let now = Instant::now();
        let mut kept = self.lock();
        kept.retain(|_, kept| now < kept.until);
        make_room(&mut kept, network);
        let until = now + LASTS;
        kept.insert(hashed(id.expose()), Kept { what, network, until });
        Ok(id)
    }

    /// Looks at what waits, or changes it.
    pub(super) fn with<R>(
        &self,
        id: &str,
        network: SourceNetwork,
        act: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        let now = Instant::now();
        let mut kept = self.lock();
        let kept = kept.get_mut(&hashed(id));
        let kept = kept.filter(|kept| now < kept.until && kept.network == network)?;
        Some(act(&mut kept.what))
    }

    /// Takes what waits: it waits no more.
    pub(super) fn take(&self, id: &str, network: SourceNetwork) -> Option<T> {
        self.with(id, network, |_| ())?;
        self.lock().remove(&hashed(id)).map(|kept| kept.what)
    }

    /// Drops what is not worth waiting for any more.
    pub(super) fn retain(&self, worth: impl Fn(&T) -> bool) {
        self.lock().retain(|_, kept| worth(&kept.what));
    }
}

/// The oldest of a network that has too many goes, or else the oldest of whichever has most.
fn make_room<T>(kept: &mut HashMap<[u8; 32], Kept<T>>, network: SourceNetwork) {
    let mut counts: HashMap<SourceNetwork, usize> = HashMap::new();
    for kept in kept.values() {
        *counts.entry(kept.network).or_default() += 1;
    }
    let crowded = if counts.get(&network).is_some_and(|count| *count >= PER_NETWORK) {
        Some(network)
    } else if kept.len() >= ALL {
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(network, _)| network)
    } else {
        None
    };
    let of_crowd = kept.iter().filter(|(_, kept)| Some(kept.network) == crowded);
    let oldest = of_crowd.min_by_key(|(_, kept)| kept.until).map(|(id, _)| *id);
    if let Some(oldest) = oldest {
        kept.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SourceNetwork = SourceNetwork::V4([198, 51, 100]);
    const THERE: SourceNetwork = SourceNetwork::V4([203, 0, 113]);

    #[tokio::test(start_paused = true)]
    async fn l5_what_waits_is_for_its_own_network_five_minutes_and_one_taker() {
        let pending = Pending::default();
        let id = pending.put("it", HERE).unwrap();
        assert_eq!(pending.with(id.expose(), THERE, |_| ()), None);
        assert_eq!(pending.take(id.expose(), THERE), None);
        assert_eq!(pending.with("another", HERE, |_| ()), None);
        tokio::time::advance(LASTS.checked_sub(Duration::from_secs(1)).unwrap()).await;
        assert_eq!(pending.with(id.expose(), HERE, |what| *what), Some("it"));
        assert_eq!(pending.take(id.expose(), HERE), Some("it"));
        assert_eq!(pending.take(id.expose(), HERE), None);
        let id = pending.put("it", HERE).unwrap();
        tokio::time::advance(LASTS).await;
        assert_eq!(pending.take(id.expose(), HERE), None);
    }

    #[tokio::test(start_paused = true)]
    async fn l5_a_flood_pushes_out_its_own_and_stays_bounded() {
        let pending = Pending::default();
        let mine = pending.put("mine", HERE).unwrap();
        for _ in 0..200 {
            pending.put("flood", THERE).unwrap();
        }
        assert_eq!(pending.lock().len(), PER_NETWORK + 1);
        for number in 0..2_000_u16 {
            let [_, high] = (number % 250).to_be_bytes();
            pending.put("wide flood", SourceNetwork::V4([10, 0, high])).unwrap();
        }
        assert_eq!(pending.lock().len(), ALL);
        assert_eq!(pending.take(mine.expose(), HERE), Some("mine"));
    }
}
