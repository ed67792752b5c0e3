//! Whose password is hashed next: a bounded line, fair to every source network, and another for who
//! is at home.
//!
//! bcrypt is the dearest thing that a stranger can ask for. So half of the cores hash for strangers
//! and no more, on threads that get what nobody else wants: devices and people who are logged in are
//! not even slower by it. Networks take turns, and each has a bounded number of places, so that a
//! flood from one of them costs another at most the hash that is being made. Who asks from where the
//! account has logged in before stands in a line of its own with hashers of its own, which are low in
//! priority and not the lowest: neither a crowd of networks nor a busy appliance keeps the owner out.
//!
//! Under systemd the daemon's sandbox refuses it to lower its threads; `systemd/lower-hashers` does it
//! there, by their names.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

use super::passwords::{Asker, PasswordError};
use crate::network::SourceNetwork;

/// Places of one network in a line.
pub(super) const OF_ONE_NETWORK: usize = 16;
/// Places of all together in a line.
pub(super) const IN_LINE: usize = 64;
/// How much lower than everything else's the priority of the hashers at home is. Of a core that both
/// want they get a tenth.
const NICE: i32 = 10;
/// bcrypt keeps 4 KiB.
const STACK: usize = 256 * 1024;

type Job = Box<dyn FnOnce() + Send>;

/// The handle of both lines. The hashers end with the last one.
#[derive(Clone)]
pub(super) struct Hashers(Arc<Lines>);

#[derive(Default)]
struct Lines {
    home: Arc<Line>,
    strangers: Arc<Line>,
}

/// Who waits, and what wakes the hashers that take them.
#[derive(Default)]
struct Line {
    state: Mutex<State>,
    work: Condvar,
}

/// Who waits, by network; networks take turns, and the room itself is one.
#[derive(Default)]
struct State {
    waiting: HashMap<Option<SourceNetwork>, VecDeque<Job>>,
    turns: VecDeque<Option<SourceNetwork>>,
    length: usize,
    closed: bool,
}

impl Hashers {
    /// Starts as many as half the cores, for each line.
    pub(super) fn start() -> Result<Self, PasswordError> {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with((cores / 2).max(1))
    }

    fn with(threads: usize) -> Result<Self, PasswordError> {
        let hashers = Self(Arc::default());
        for _ in 0..threads {
            hashers.0.home.employ("hash-home", low)?;
            hashers.0.strangers.employ("hash-strangers", lowest)?;
        }
        Ok(hashers)
    }

    /// Does `work` when its turn comes, or says at once that there is no place.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let (reply, outcome) = tokio::sync::oneshot::channel();
        let job = Box::new(move || {
            // Who asked may have left: then nobody needs it.
            if !reply.is_closed() {
                drop(reply.send(work()));
            }
        });
        self.queue(asker, job)?;
        outcome.await.map_err(|_| PasswordError::Busy)
    }

    fn queue(&self, asker: Asker, job: Job) -> Result<(), PasswordError> {
        let line = if asker.at_home { &self.0.home } else { &self.0.strangers };
        line.lock().add(asker.network, job)?;
        line.work.notify_one();
        Ok(())
    }
}

/// Lowers this thread's priority. Where it is refused, hashing is as important as the rest.
fn low() {
    rustix::process::setpriority_process(None, NICE).ok();
}

/// Leaves this thread what nobody else wants: it makes way at once, while one that is merely less
/// important keeps its core to the end of its slice, some milliseconds.
fn lowest() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle).ok();
}

impl Line {
    fn employ(self: &Arc<Self>, name: &str, lower: fn()) -> Result<(), PasswordError> {
        let line = Arc::clone(self);
        let hasher = thread::Builder::new().name(name.to_owned()).stack_size(STACK);
        let started = hasher.spawn(move || {
            lower();
            while let Some(job) = line.next() {
                job();
            }
        });
        // Its end comes with the last handle's.
        started.map(drop).map_err(|_| PasswordError::NoThread)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work; none once the last handle is gone.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.next() {
                return Some(job);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    fn add(&mut self, network: Option<SourceNetwork>, job: Job) -> Result<(), PasswordError> {
        let here = self.waiting.get(&network).map_or(0, VecDeque::len);
        if here >= OF_ONE_NETWORK || self.length >= IN_LINE {
            return Err(PasswordError::Busy);
        }
        if here == 0 {
            self.turns.push_back(network);
        }
        self.waiting.entry(network).or_default().push_back(job);
        self.length += 1;
        Ok(())
    }

    fn next(&mut self) -> Option<Job> {
        let network = self.turns.pop_front()?;
        let here = self.waiting.get_mut(&network)?;
        let job = here.pop_front()?;
        if here.is_empty() {
            self.waiting.remove(&network);
        } else {
            self.turns.push_back(network);
        }
        self.length -= 1;
        Some(job)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        for line in [&self.home, &self.strangers] {
            line.lock().closed = true;
            line.work.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn stranger(third: u8) -> Asker {
        Asker { network: Some(SourceNetwork::V4([10, 0, third])), at_home: false }
    }

    /// A stranger's hash that takes until told, and what is done meanwhile and after that, in order.
    struct Bench {
        hashers: Hashers,
        done: Arc<Mutex<Vec<u8>>>,
        release: mpsc::Sender<()>,
    }

    impl Bench {
        fn new() -> Self {
            let hashers = Hashers::with(1).unwrap();
            let (release, held) = mpsc::channel::<()>();
            let (begun, begins) = mpsc::channel();
            let busy = Box::new(move || {
                begun.send(()).unwrap();
                held.recv().unwrap();
            });
            hashers.queue(stranger(255), busy).unwrap();
            begins.recv().unwrap();
            Self { hashers, done: Arc::default(), release }
        }

        fn ask(&self, asker: Asker, mark: u8) -> Result<(), PasswordError> {
            let done = Arc::clone(&self.done);
            self.hashers.queue(asker, Box::new(move || done.lock().unwrap().push(mark)))
        }

        async fn done(self) -> Vec<u8> {
            let last = Asker { network: Some(SourceNetwork::V4([10, 1, 0])), at_home: false };
            let end = self.hashers.run(last, || ());
            self.release.send(()).unwrap();
            end.await.unwrap();
            self.done.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn l3_networks_take_turns_and_who_is_at_home_waits_for_none_of_them() {
        let bench = Bench::new();
        for _ in 0..4 {
            bench.ask(stranger(1), 1).unwrap();
        }
        bench.ask(stranger(2), 2).unwrap();
        let done = Arc::clone(&bench.done);
        let home = Asker { at_home: true, ..stranger(3) };
        bench.hashers.run(home, move || done.lock().unwrap().push(3)).await.unwrap();
        let order = bench.done().await;
        assert_eq!(order[..3], [3, 1, 2]);
    }

    #[tokio::test]
    async fn l3_for_strangers_a_thread_hashes_that_gets_what_nobody_else_wants() {
        let hashers = Hashers::with(1).unwrap();
        let policy = || thread_priority::thread_schedule_policy().unwrap();
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        assert_eq!(hashers.run(stranger(1), policy).await.unwrap(), idle);
        let home = Asker { at_home: true, ..stranger(1) };
        assert_ne!(hashers.run(home, policy).await.unwrap(), idle);
    }

    #[tokio::test]
    async fn l3_more_than_can_wait_is_refused_at_once_and_others_still_have_places() {
        let bench = Bench::new();
        let passed = (0..100).filter(|_| bench.ask(stranger(1), 1).is_ok()).count();
        assert_eq!(passed, OF_ONE_NETWORK);
        bench.ask(stranger(2), 2).unwrap();
        let passed = (3..200).filter(|third| bench.ask(stranger(*third), 9).is_ok()).count();
        assert_eq!(passed, IN_LINE - OF_ONE_NETWORK - 1);
        bench.ask(Asker { at_home: true, ..stranger(1) }, 3).unwrap();
        bench.release.send(()).unwrap();
    }

    #[tokio::test]
    async fn a_hash_that_nobody_waits_for_any_more_is_not_made() {
        let bench = Bench::new();
        let done = Arc::clone(&bench.done);
        let left = bench.hashers.run(stranger(1), move || done.lock().unwrap().push(1));
        tokio::select! {
            biased;
            _ = left => panic!("the hasher is busy"),
            () = std::future::ready(()) => {}
        }
        bench.ask(stranger(2), 2).unwrap();
        assert_eq!(bench.done().await, [2]);
    }
}
