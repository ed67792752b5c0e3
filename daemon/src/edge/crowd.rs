//! How many connections that are no device sessions may be open, and which one leaves for a newcomer.
//!
//! A flood of connections that never speak, that stop in the middle of a handshake or that take
//! their answer byte by byte would otherwise lock the owner out. Nobody who is busy is sent away for
//! a newcomer: the connection that has been idle for longest leaves, and while nobody is idle,
//! newcomers wait in the kernel's queue. So a storm of honest connections is slowed to what the
//! machine can greet, and one of silent connections is washed away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

/// Who has done nothing for so long may be sent away for a newcomer.
const IDLE: Duration = Duration::from_secs(1);
/// A request or an answer that has not moved for so long counts as idle.
const STALLED: Duration = Duration::from_secs(30);
/// So many leave at once, so that a flood does not cost a search for each of its connections.
const LEAVE_TOGETHER: usize = 32;
/// Until a newcomer looks again whether somebody has become idle.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The connections between `accept` and their end, or until they have become device sessions.
pub(super) struct Crowd {
    bound: usize,
    since: Instant,
    inside: Mutex<Inside>,
    left: Notify,
}

#[derive(Default)]
struct Inside {
    members: HashMap<u64, Arc<Member>>,
    next: u64,
}

struct Member {
    /// Milliseconds after the crowd's beginning.
    moved: AtomicU64,
    /// Requests being answered.
    busy: AtomicU32,
    asked: AtomicBool,
    task: OnceLock<AbortHandle>,
}

impl Crowd {
    pub(super) fn new(bound: usize) -> Arc<Self> {
        let inside = Mutex::default();
        Arc::new(Self { bound, since: Instant::now(), inside, left: Notify::new() })
    }

    /// Waits for a place, and makes one where somebody is idle.
    pub(super) async fn enter(self: &Arc<Self>) -> Place {
        loop {
            if let Some(place) = self.try_enter() {
                return place;
            }
            self.send_idle_away();
            timeout(LOOK_AGAIN, self.left.notified()).await.ok();
        }
    }

    fn try_enter(self: &Arc<Self>) -> Option<Place> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.members.len() >= self.bound {
            return None;
        }
        let id = inside.next;
        inside.next += 1;
        let member = Arc::new(Member {
            moved: AtomicU64::new(self.now()),
            busy: AtomicU32::new(0),
            asked: AtomicBool::new(false),
            task: OnceLock::new(),
        });
        inside.members.insert(id, Arc::clone(&member));
        Some(Place { crowd: Arc::clone(self), id, member })
    }

    fn send_idle_away(&self) {
        let now = self.now();
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let mut idle: Vec<(u64, &Arc<Member>)> = inside
            .members
            .values()
            .filter(|member| member.task.get().is_some() && member.is_idle(now))
            .map(|member| (member.moved.load(Relaxed), member))
            .collect();
        idle.sort_unstable_by_key(|(moved, _)| *moved);
        for (_, member) in idle.into_iter().take(LEAVE_TOGETHER) {
            if let Some(task) = member.task.get() {
                task.abort();
            }
        }
    }

    fn now(&self) -> u64 {
        milliseconds(self.since.elapsed())
    }
}

impl Member {
    fn is_idle(&self, now: u64) -> bool {
        let allowed = if self.busy.load(Relaxed) == 0 { IDLE } else { STALLED };
        now.saturating_sub(self.moved.load(Relaxed)) >= milliseconds(allowed)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One connection's place in the crowd, given back when dropped.
pub(super) struct Place {
    crowd: Arc<Crowd>,
    id: u64,
    member: Arc<Member>,
}

impl Place {
    /// For the task that is going to own this place, and does not exist yet.
    pub(super) fn claim(&self) -> Claim {
        Claim(Arc::clone(&self.member))
    }

    /// Something has moved on this connection.
    pub(super) fn moved(&self) {
        self.member.moved.store(self.crowd.now(), Relaxed);
    }

    /// A request is being answered, until the guard is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.member.busy.fetch_add(1, Relaxed);
        self.member.asked.store(true, Relaxed);
        self.moved();
        Busy(Arc::clone(self))
    }

    /// Whether there has ever been a request.
    pub(super) fn has_asked(&self) -> bool {
        self.member.asked.load(Relaxed)
    }

    /// Returns once nothing has moved and nothing has been asked for so long.
    pub(super) async fn idle_for(&self, limit: Duration) {
        loop {
            let still = self.crowd.now().saturating_sub(self.member.moved.load(Relaxed));
            let still = Duration::from_millis(still);
            let busy = self.member.busy.load(Relaxed) > 0;
            if still >= limit && !busy {
                return;
            }
            sleep(if busy { limit } else { limit.saturating_sub(still) }).await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.crowd.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.members.remove(&self.id);
        if inside.members.is_empty() {
            inside.members = HashMap::new();
        }
        drop(inside);
        self.crowd.left.notify_one();
    }
}

/// See [`Place::claim`].
pub(super) struct Claim(Arc<Member>);

impl Claim {
    /// From now on this task may be ended for a newcomer when it is idle.
    pub(super) fn by(self, task: AbortHandle) {
        self.0.task.set(task).ok();
    }
}

/// See [`Place::busy`].
pub(super) struct Busy(Arc<Place>);

impl Busy {
    /// A part of the request or of the answer has moved.
    pub(super) fn moved(&self) {
        self.0.moved();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.moved();
        self.0.member.busy.fetch_sub(1, Relaxed);
    }
}

/// The open connections of all kinds, against the limit of file descriptors.
#[derive(Clone)]
pub(super) struct Seats {
    taken: Arc<AtomicUsize>,
    bound: usize,
}

impl Seats {
    pub(super) fn new(bound: usize) -> Self {
        Self { taken: Arc::default(), bound }
    }

    /// A seat, or `None` when all are taken.
    pub(super) fn take(&self) -> Option<Seat> {
        let taken = Seat(Arc::clone(&self.taken));
        (self.taken.fetch_add(1, Relaxed) < self.bound).then_some(taken)
    }
}

/// One open connection; it lives as long as the socket, through every upgrade.
#[derive(Debug)]
pub(super) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::{JoinHandle, JoinSet};

    use super::*;

    /// A connection that does nothing but stand there.
    fn stand(tasks: &mut JoinSet<()>, place: Place) {
        let claim = place.claim();
        claim.by(tasks.spawn(async move {
            let _place = place;
            pending::<()>().await;
        }));
    }

    #[expect(clippy::disallowed_methods, reason = "a test owns its task by the handle")]
    fn background<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        tokio::spawn(future)
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_takes_the_place_of_the_one_that_is_idle_for_longest() {
        let crowd = Crowd::new(2);
        let mut tasks = JoinSet::new();
        stand(&mut tasks, crowd.enter().await);
        tokio::time::advance(Duration::from_millis(10)).await;
        let second = Arc::new(crowd.enter().await);
        let busy = second.busy();
        let begun = Instant::now();
        let third = crowd.enter().await;
        assert!(begun.elapsed() >= Duration::from_millis(900), "nobody was idle before");
        assert!(begun.elapsed() < Duration::from_secs(2));
        tasks.join_next().await.unwrap().unwrap_err();
        drop((busy, third));
    }

    #[tokio::test(start_paused = true)]
    async fn while_all_are_busy_a_newcomer_waits_until_one_leaves() {
        let crowd = Crowd::new(1);
        let only = Arc::new(crowd.enter().await);
        let busy = only.busy();
        let waiting = background({
            let crowd = Arc::clone(&crowd);
            async move { crowd.enter().await }
        });
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!waiting.is_finished());
        drop(busy);
        drop(only);
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_counts_as_idle_in_the_end() {
        let crowd = Crowd::new(1);
        let mut tasks: JoinSet<()> = JoinSet::new();
        let place = crowd.enter().await;
        let claim = place.claim();
        claim.by(tasks.spawn(async move {
            let _busy = Arc::new(place).busy();
            pending::<()>().await;
        }));
        let begun = Instant::now();
        drop(crowd.enter().await);
        assert!(begun.elapsed() >= STALLED);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_counts_from_the_last_request() {
        let crowd = Crowd::new(1);
        let place = Arc::new(crowd.enter().await);
        let begun = Instant::now();
        let limit = Duration::from_secs(10);
        let busy = place.busy();
        let release = async {
            sleep(Duration::from_secs(7)).await;
            drop(busy);
        };
        tokio::join!(place.idle_for(limit), release);
        assert!(begun.elapsed() >= Duration::from_secs(17), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_seat_is_given_back_when_its_socket_goes() {
        let seats = Seats::new(2);
        let first = seats.take().unwrap();
        let _second = seats.take().unwrap();
        assert!(seats.take().is_none());
        assert!(seats.take().is_none());
        drop(first);
        seats.take().unwrap();
    }
}
