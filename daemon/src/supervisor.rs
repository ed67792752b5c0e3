//! Owns every long-running task.
//!
//! An essential task that ends, for whatever reason, ends the process with that reason, and
//! systemd starts it again: an appliance is never half alive.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Whether the daemon can go on without a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Essential {
    /// Its end is the daemon's end.
    Yes,
    /// It may end.
    No,
}

/// Spawns tasks and knows when one that must not end has ended.
#[derive(Clone, Debug)]
pub struct Supervisor {
    tracker: TaskTracker,
    token: CancellationToken,
    ended: mpsc::Sender<String>,
}

/// Hears of essential tasks that ended.
#[derive(Debug)]
pub struct Ended(mpsc::Receiver<String>);

impl Supervisor {
    /// A supervisor whose ended tasks nobody waits for: for tests.
    pub fn new() -> Self {
        Self::watched().0
    }

    /// A supervisor, and the way to hear of essential tasks that ended.
    pub fn watched() -> (Self, Ended) {
        let (ended, receiver) = mpsc::channel(1);
        let supervisor =
            Self { tracker: TaskTracker::new(), token: CancellationToken::new(), ended };
        (supervisor, Ended(receiver))
    }

    /// Runs a task until it ends. A panic ends the task alone in a debug build; a release build ends
    /// the process.
    pub fn spawn<F>(&self, name: &'static str, essential: Essential, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (token, ended) = (self.token.clone(), self.ended.clone());
        self.tracker.spawn(async move {
            let outcome = AssertUnwindSafe(task).catch_unwind().await;
            if token.is_cancelled() {
                return;
            }
            let how = if outcome.is_ok() { "ended" } else { "panicked" };
            match essential {
                Essential::No if outcome.is_ok() => {}
                Essential::No => tracing::error!(task = name, "a task panicked"),
                Essential::Yes => {
                    // Full: another one ended first, and one reason is enough.
                    ended.try_send(format!("the essential task \"{name}\" {how}")).ok();
                }
            }
        });
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

    #[tokio::test]
    async fn the_end_of_an_essential_task_is_told_with_its_name() {
        let (supervisor, mut ended) = Supervisor::watched();
        supervisor.spawn("first listener", Essential::Yes, async {});
        assert!(ended.reason().await.contains("\"first listener\" ended"));
        supervisor.spawn("second listener", Essential::Yes, async { panic!("by design") });
        assert!(ended.reason().await.contains("\"second listener\" panicked"));
    }

    #[tokio::test(start_paused = true)]
    async fn other_tasks_may_end_or_panic() {
        let (supervisor, mut ended) = Supervisor::watched();
        supervisor.spawn("one", Essential::No, async {});
        supervisor.spawn("two", Essential::No, async { panic!("by design") });
        assert!(tokio::time::timeout(GRACE, ended.reason()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_the_tasks_and_tells_no_end() {
        let (supervisor, mut ended) = Supervisor::watched();
        let (token, last) = (supervisor.token(), supervisor.token());
        supervisor.spawn("listener", Essential::Yes, async move {
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
        supervisor.spawn("stubborn", Essential::No, std::future::pending());
        assert!(!supervisor.shutdown(GRACE).await);
    }
}
