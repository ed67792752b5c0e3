//! Owns every long-running task.
//!
//! An essential task that ends, for whatever reason, ends the process with that reason, and
//! systemd starts it again: an appliance is never half alive.
//!
//! An essential task also has to show that it lives. Every few seconds the watchdog calls the roll,
//! and each answers by its [`Heartbeat`] while it waits for its next work. One that has not answered
//! within its own deadline is late: its work hangs, or the thread that should run it does. Time is
//! counted in calls, so that a process that was stopped as a whole, or had no processor, finds nobody
//! late when it goes on.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cut;

/// The deadline of a task whose work is at hand: in memory, and in the store.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Spawns tasks and knows when one that must not end has ended, or hangs.
#[derive(Clone, Debug)]
pub struct Supervisor {
    tracker: TaskTracker,
    token: CancellationToken,
    ended: mpsc::Sender<String>,
    roll: Arc<Roll>,
}

/// Hears of essential tasks that ended.
#[derive(Debug)]
pub struct Ended(mpsc::Receiver<String>);

/// Who has to answer, and how often was called.
#[derive(Debug, Default)]
struct Roll {
    calls: watch::Sender<u64>,
    essential: Mutex<Vec<Arc<Place>>>,
}

/// An essential task's place in the roll.
#[derive(Debug)]
struct Place {
    name: &'static str,
    deadline: Duration,
    /// The call that was answered last.
    answered: AtomicU64,
}

/// An essential task that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// Its name.
    pub name: &'static str,
    /// For how long.
    pub silent: Duration,
}

/// How an essential task shows that it lives.
#[derive(Debug)]
pub struct Heartbeat {
    place: Arc<Place>,
    calls: watch::Receiver<u64>,
}

impl Heartbeat {
    /// Waits for something, however long that takes, and answers every call meanwhile. What a task
    /// does outside has its deadline.
    pub async fn during<T>(&mut self, waiting: impl Future<Output = T>) -> T {
        let mut waiting = pin!(waiting);
        loop {
            self.beat();
            tokio::select! {
                biased;
                done = &mut waiting => {
                    self.beat();
                    return done;
                }
                called = self.calls.changed() => if called.is_err() {
                    // Nobody calls any more: the supervisor is gone.
                    return waiting.await;
                }
            }
        }
    }

    /// Answers in the middle of work that is long for a reason.
    pub fn beat(&mut self) {
        cut::hang(self.place.name);
        self.place.answered.store(*self.calls.borrow_and_update(), Ordering::Release);
    }
}

impl Supervisor {
    /// A supervisor whose ended tasks nobody waits for: for tests.
    pub fn new() -> Self {
        Self::watched().0
    }

    /// A supervisor, and the way to hear of essential tasks that ended.
    pub fn watched() -> (Self, Ended) {
        let (ended, receiver) = mpsc::channel(1);
        let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
        (Self { tracker, token, ended, roll: Arc::default() }, Ended(receiver))
    }

    /// Runs a task that may end. A panic ends the task alone in a debug build; a release build ends
    /// the process.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        self.tracker.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() && !token.is_cancelled() {
                tracing::error!(task = name, "a task panicked");
            }
        });
    }

    /// Runs a task whose end is the daemon's end, and which has to show within `deadline`, time and
    /// again, that it lives.
    pub fn spawn_essential<F>(
        &self,
        name: &'static str,
        deadline: Duration,
        task: impl FnOnce(Heartbeat) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let calls = self.roll.calls.subscribe();
        let answered = AtomicU64::new(*calls.borrow());
        let place = Arc::new(Place { name, deadline, answered });
        self.places().push(Arc::clone(&place));
        let task = task(Heartbeat { place, calls });
        let (token, ended) = (self.token.clone(), self.ended.clone());
        self.tracker.spawn(async move {
            let outcome = AssertUnwindSafe(task).catch_unwind().await;
            if token.is_cancelled() {
                return;
            }
            let how = if outcome.is_ok() { "ended" } else { "panicked" };
            // Full: another one ended first, and one reason is enough.
            ended.try_send(format!("the essential task \"{name}\" {how}")).ok();
        });
    }

    /// Asks every essential task whether it lives.
    pub fn call_the_roll(&self) {
        self.roll.calls.send_modify(|calls| *calls += 1);
    }

    /// The essential task that is silent for longest beyond its deadline, where the roll is called
    /// `every` so often.
    pub fn late(&self, every: Duration) -> Option<Late> {
        let calls = *self.roll.calls.borrow();
        let silent = |place: &Place| {
            let missed = calls.saturating_sub(place.answered.load(Ordering::Acquire));
            every.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX))
        };
        let places = self.places();
        let silent = places.iter().map(|place| (place, silent(place)));
        let late = silent.filter(|(place, silent)| *silent > place.deadline);
        late.max_by_key(|(_, silent)| *silent)
            .map(|(place, silent)| Late { name: place.name, silent })
    }

    fn places(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Place>>> {
        self.roll.essential.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancelled when the daemon stops.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Tells all tasks to stop and waits for them, at most `grace`. `false` when some did not.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Ended {
    /// The reason for which the daemon has to end.
    pub async fn reason(&mut self) -> String {
        match self.0.recv().await {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);
    /// Between two calls.
    const EVERY: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn the_end_of_an_essential_task_is_told_with_its_name() {
        let (supervisor, mut ended) = Supervisor::watched();
        supervisor.spawn_essential("first listener", GRACE, async |_| {});
        assert!(ended.reason().await.contains("\"first listener\" ended"));
        supervisor.spawn_essential("second listener", GRACE, async |_| panic!("by design"));
        assert!(ended.reason().await.contains("\"second listener\" panicked"));
    }

    #[tokio::test(start_paused = true)]
    async fn other_tasks_may_end_or_panic() {
        let (supervisor, mut ended) = Supervisor::watched();
        supervisor.spawn("one", async {});
        supervisor.spawn("two", async { panic!("by design") });
        assert!(tokio::time::timeout(GRACE, ended.reason()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_the_tasks_and_tells_no_end() {
        let (supervisor, mut ended) = Supervisor::watched();
        let (token, last) = (supervisor.token(), supervisor.token());
        supervisor.spawn_essential("listener", GRACE, async move |_| {
            token.cancelled().await;
            tokio::time::sleep(GRACE / 2).await;
        });
        assert!(supervisor.shutdown(GRACE).await);
        assert!(last.is_cancelled());
        assert!(tokio::time::timeout(GRACE, ended.reason()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_does_not_wait_for_ever() {
        let supervisor = Supervisor::new();
        supervisor.spawn("stubborn", std::future::pending());
        assert!(!supervisor.shutdown(GRACE).await);
    }

    /// Calls the roll so often, with time for answers.
    async fn call(supervisor: &Supervisor, times: u32) {
        for _ in 0..times {
            supervisor.call_the_roll();
            tokio::time::sleep(EVERY).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_waits_for_work_answers_for_ever() {
        let supervisor = Supervisor::new();
        supervisor.spawn_essential("listener", GRACE, async move |mut heartbeat| {
            heartbeat.during(std::future::pending::<()>()).await;
        });
        call(&supervisor, 1000).await;
        assert_eq!(supervisor.late(EVERY), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_in_its_work_is_late_after_its_deadline_and_no_more_once_it_is_back() {
        let supervisor = Supervisor::new();
        let (work, mut done) = mpsc::channel::<()>(1);
        supervisor.spawn_essential("patient", GRACE * 10, async move |mut heartbeat| {
            heartbeat.during(std::future::pending::<()>()).await;
        });
        supervisor.spawn_essential("writer", GRACE, async move |mut heartbeat| {
            heartbeat.during(tokio::time::sleep(EVERY)).await;
            done.recv().await;
            heartbeat.during(std::future::pending::<()>()).await;
        });
        call(&supervisor, 3).await;
        assert_eq!(supervisor.late(EVERY), None);
        call(&supervisor, 3).await;
        let late = supervisor.late(EVERY).unwrap();
        assert_eq!(late.name, "writer");
        assert!(late.silent > GRACE, "{late:?}");
        work.send(()).await.unwrap();
        call(&supervisor, 1).await;
        assert_eq!(supervisor.late(EVERY), None);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_late_while_nobody_calls() {
        let supervisor = Supervisor::new();
        supervisor.spawn_essential("listener", GRACE, async |_| std::future::pending().await);
        call(&supervisor, 2).await;
        // The process was stopped for a day.
        tokio::time::sleep(GRACE * 8640).await;
        assert_eq!(supervisor.late(EVERY), None);
        call(&supervisor, 1).await;
        assert!(supervisor.late(EVERY).is_some());
    }
}
