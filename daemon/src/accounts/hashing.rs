//! Whose password is hashed next: one bounded queue, fair to every source network.
//!
//! bcrypt is the dearest thing that a stranger can ask for. So half of the cores hash and no more,
//! on threads of their own whose priority is low: devices and people who are logged in go first.
//! Networks take turns, and each has a bounded number of places, so that a flood from one of them
//! costs another at most the hash that is being made. Who asks from where the account has logged in
//! before stands in a line of its own, which goes first: a crowd of networks does not crowd the
//! owner out.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::passwords::{Asker, PasswordError};
use crate::network::SourceNetwork;

/// Places of one network in a line.
pub(super) const OF_ONE_NETWORK: usize = 16;
/// Places of all together in a line.
pub(super) const IN_LINE: usize = 64;
/// How much lower than everything else's the hashers' priority is. Of a core that both want they
/// get a tenth.
const NICE: i32 = 10;
/// bcrypt keeps 4 KiB.
const STACK: usize = 256 * 1024;

type Job = Box<dyn FnOnce() + Send>;

/// The queue's handle. The hashers end with the last one.
#[derive(Clone)]
pub(super) struct Hashers(Arc<Ending>);

struct Ending(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    home: Line,
    strangers: Line,
    closed: bool,
}

/// Who waits, by network; networks take turns, and the room itself is one.
#[derive(Default)]
struct Line {
    waiting: HashMap<Option<SourceNetwork>, VecDeque<Job>>,
    turns: VecDeque<Option<SourceNetwork>>,
    length: usize,
}

impl Hashers {
    /// Starts as many as half the cores.
    pub(super) fn start() -> Result<Self, PasswordError> {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with((cores / 2).max(1))
    }

    fn with(threads: usize) -> Result<Self, PasswordError> {
        let hashers = Self(Arc::new(Ending(Arc::default())));
        for _ in 0..threads {
            let shared = Arc::clone(&hashers.0.0);
            let thread = thread::Builder::new().name("hasher".to_owned()).stack_size(STACK);
            let started = thread.spawn(move || {
                // Of this thread alone. Where it is refused, hashing is as important as the rest.
                rustix::process::setpriority_process(None, NICE).ok();
                while let Some(job) = shared.next() {
                    job();
                }
            });
            // Its end comes with the last handle's.
            drop(started.map_err(|_| PasswordError::NoThread)?);
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
        self.0.0.queue(asker, job)?;
        outcome.await.map_err(|_| PasswordError::Busy)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self, asker: Asker, job: Job) -> Result<(), PasswordError> {
        let mut state = self.lock();
        let line = if asker.at_home { &mut state.home } else { &mut state.strangers };
        line.add(asker.network, job)?;
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Waits for work; none once the last handle is gone.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.home.next().or_else(|| state.strangers.next()) {
                return Some(job);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Line {
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

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn stranger(third: u8) -> Asker {
        Asker { network: Some(SourceNetwork::V4([10, 0, third])), at_home: false }
    }

    /// One hasher that is busy until told, and what is done after that, in order.
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
            hashers.0.0.queue(stranger(255), busy).unwrap();
            begins.recv().unwrap();
            Self { hashers, done: Arc::default(), release }
        }

        fn ask(&self, asker: Asker, mark: u8) -> Result<(), PasswordError> {
            let done = Arc::clone(&self.done);
            self.hashers.0.0.queue(asker, Box::new(move || done.lock().unwrap().push(mark)))
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
    async fn l3_networks_take_turns_and_who_is_at_home_goes_first() {
        let bench = Bench::new();
        for _ in 0..4 {
            bench.ask(stranger(1), 1).unwrap();
        }
        bench.ask(stranger(2), 2).unwrap();
        bench.ask(Asker { at_home: true, ..stranger(3) }, 3).unwrap();
        let order = bench.done().await;
        assert_eq!(order[..3], [3, 1, 2]);
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
