//! What a living job knows of its items: a few bytes for each, and who may begin next.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::store::records::JobItemRecord;

/// How long the vault is waited for without a word: it may have come while nobody listened.
const VAULT: Duration = Duration::from_secs(30);

/// How an item stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemState {
    /// Its turn comes.
    Waiting,
    /// Its device is not connected.
    Offline,
    /// It is being done.
    Running,
    /// Done.
    Done,
    /// Tried, and not possible.
    Failed,
    /// Given up before it was done.
    Cancelled,
}

impl ItemState {
    /// The API's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Offline => "offline",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The inverse of [`ItemState::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        use ItemState::{Cancelled, Done, Failed, Offline, Running, Waiting};
        [Waiting, Offline, Running, Done, Failed, Cancelled]
            .into_iter()
            .find(|state| state.name() == name)
    }

    /// Of a record: what is stored knows of no device that is away, and nothing of it runs.
    pub(super) fn stored(record: &JobItemRecord) -> Self {
        match record.state.as_str() {
            super::DONE => Self::Done,
            super::FAILED => Self::Failed,
            super::CANCELLED => Self::Cancelled,
            _ => Self::Waiting,
        }
    }
}

/// How many items are how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub total: u32,
    /// Those whose turn or device comes.
    pub waiting: u32,
    /// Of these, those whose device is away.
    pub offline: u32,
    /// Those that are being done.
    pub running: u32,
    /// Done.
    pub done: u32,
    /// Failed.
    pub failed: u32,
    /// Cancelled.
    pub cancelled: u32,
}

/// What came of one try of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and stored as done.
    Done,
    /// It is not possible, for this reason.
    Failed(String),
    /// Its device is not connected.
    Offline,
    /// The vault does not answer, or is sealed and would have to open something.
    Vault,
    /// It may work after this time.
    Later(Duration),
    /// The whole job can do nothing, for this reason.
    Stop(String),
}

struct Slot {
    device: Option<Uuid>,
    state: ItemState,
}

/// All items of a job.
#[derive(Default)]
pub(super) struct Board {
    slots: Vec<Slot>,
    ready: VecDeque<u32>,
    offline: HashMap<Uuid, Vec<u32>>,
    /// What waits for the vault, and when it is tried without being told.
    vault: HashMap<u32, Instant>,
    later: BTreeSet<(Instant, u32)>,
    counts: Counts,
    failures_in_a_row: u32,
}

impl Board {
    /// From what is stored, in the order of the items' numbers from 0.
    pub(super) fn new<'a>(items: impl Iterator<Item = &'a JobItemRecord>) -> Self {
        let mut board = Self::default();
        for (number, record) in (0..).zip(items) {
            let state = ItemState::stored(record);
            board.slots.push(Slot { device: record.device, state });
            board.counts.total += 1;
            *board.counts.of(state) += 1;
            if state == ItemState::Waiting {
                board.ready.push_back(number);
            }
        }
        board
    }

    pub(super) fn counts(&self) -> Counts {
        let offline = self.offline.values().map(Vec::len).sum::<usize>();
        Counts { offline: u32::try_from(offline).unwrap_or(u32::MAX), ..self.counts }
    }

    pub(super) fn state(&self, number: u32) -> Option<ItemState> {
        self.slots.get(place(number)).map(|slot| slot.state)
    }

    pub(super) fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row
    }

    /// Nothing is left to be done.
    pub(super) fn is_finished(&self) -> bool {
        self.counts.waiting == 0 && self.counts.running == 0
    }

    /// Nothing could begin now, were it allowed to.
    pub(super) fn waits_for(&self) -> Option<WaitsFor> {
        let busy = !self.ready.is_empty() || self.later.len() > self.vault.len();
        let idle = self.counts.running == 0 && !busy;
        match (idle, self.vault.is_empty(), self.offline.is_empty()) {
            (true, false, _) => Some(WaitsFor::Vault),
            (true, true, false) => Some(WaitsFor::Devices),
            _ => None,
        }
    }

    /// When something becomes ready by itself.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    /// The next item to begin, which runs from now on. Those whose device is away are put aside.
    pub(super) fn take(&mut self, now: Instant, is_there: impl Fn(Uuid) -> bool) -> Option<u32> {
        while let Some((at, number)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, number));
            self.vault.remove(&number);
            self.ready.push_back(number);
        }
        while let Some(number) = self.ready.pop_front() {
            match self.slots.get(place(number)).map(|slot| slot.device) {
                Some(Some(device)) if !is_there(device) => self.put_aside(number, device),
                Some(_) => {
                    self.set(number, ItemState::Running);
                    return Some(number);
                }
                None => {}
            }
        }
        None
    }

    /// An item that ran does so no more.
    pub(super) fn ended(&mut self, number: u32, outcome: &Outcome, now: Instant) {
        match outcome {
            Outcome::Done => {
                self.failures_in_a_row = 0;
                self.set(number, ItemState::Done);
            }
            Outcome::Failed(_) => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                self.set(number, ItemState::Failed);
            }
            Outcome::Offline => {
                let device = self.slots.get(place(number)).and_then(|slot| slot.device);
                match device {
                    Some(device) => self.put_aside(number, device),
                    None => self.set(number, ItemState::Failed),
                }
            }
            Outcome::Vault => {
                self.set(number, ItemState::Waiting);
                self.vault.insert(number, now + VAULT);
                self.later.insert((now + VAULT, number));
            }
            Outcome::Later(wait) => {
                self.set(number, ItemState::Waiting);
                self.later.insert((now + *wait, number));
            }
            Outcome::Stop(_) => {
                self.set(number, ItemState::Waiting);
                self.ready.push_front(number);
            }
        }
    }

    /// A device is there.
    pub(super) fn wake(&mut self, device: Uuid) -> bool {
        let Some(numbers) = self.offline.remove(&device) else { return false };
        for number in numbers {
            self.set(number, ItemState::Waiting);
            self.ready.push_back(number);
        }
        true
    }

    /// An item's device may have come back between the item's end and its being put aside.
    pub(super) fn look_again(&mut self, number: u32, is_there: impl Fn(Uuid) -> bool) {
        let device = self.slots.get(place(number)).and_then(|slot| slot.device);
        if let Some(device) = device.filter(|device| is_there(*device)) {
            self.wake(device);
        }
    }

    /// What has failed has its turn again.
    pub(super) fn retry(&mut self) {
        self.failures_in_a_row = 0;
        for number in (0..).take(self.slots.len()) {
            if self.state(number) == Some(ItemState::Failed) {
                self.set(number, ItemState::Waiting);
                self.ready.push_back(number);
            }
        }
    }

    /// The vault is there, or open.
    pub(super) fn wake_vault(&mut self) -> bool {
        let any = !self.vault.is_empty();
        for (number, at) in self.vault.drain() {
            self.later.remove(&(at, number));
            self.ready.push_back(number);
        }
        any
    }

    /// Gives up all that does not run.
    pub(super) fn cancel(&mut self) {
        self.ready.clear();
        self.offline.clear();
        self.vault.clear();
        self.later.clear();
        for number in (0..).take(self.slots.len()) {
            let waits = matches!(self.state(number), Some(ItemState::Waiting | ItemState::Offline));
            if waits {
                self.set(number, ItemState::Cancelled);
            }
        }
    }

    fn put_aside(&mut self, number: u32, device: Uuid) {
        self.set(number, ItemState::Offline);
        self.offline.entry(device).or_default().push(number);
    }

    fn set(&mut self, number: u32, state: ItemState) {
        let Some(slot) = self.slots.get_mut(place(number)) else { return };
        let before = std::mem::replace(&mut slot.state, state);
        *self.counts.of(before) -= 1;
        *self.counts.of(state) += 1;
    }
}

/// What a job that does nothing waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Its time.
    Window,
    /// The vault.
    Vault,
    /// Devices that are away.
    Devices,
}

impl WaitsFor {
    /// The API's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Vault => "vault",
            Self::Devices => "devices",
        }
    }
}

impl Counts {
    fn of(&mut self, state: ItemState) -> &mut u32 {
        match state {
            ItemState::Waiting | ItemState::Offline => &mut self.waiting,
            ItemState::Running => &mut self.running,
            ItemState::Done => &mut self.done,
            ItemState::Failed => &mut self.failed,
            ItemState::Cancelled => &mut self.cancelled,
        }
    }
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(states: &[&str]) -> (Board, Vec<Uuid>) {
        let devices: Vec<Uuid> = states.iter().map(|_| Uuid::new_v4()).collect();
        let records: Vec<_> = devices
            .iter()
            .zip(states)
            .map(|(device, state)| JobItemRecord {
                device: Some(*device),
                state: (*state).to_owned(),
                ..JobItemRecord::default()
            })
            .collect();
        (Board::new(records.iter()), devices)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_before_a_crash_has_its_turn_again() {
        let (mut board, _) = board(&["done", "begun", "failed", "waiting", "cancelled"]);
        let now = Instant::now();
        assert_eq!(board.take(now, |_| true), Some(1));
        assert_eq!(board.take(now, |_| true), Some(3));
        assert_eq!(board.take(now, |_| true), None);
        let counts = Counts {
            total: 5,
            running: 2,
            done: 1,
            failed: 1,
            cancelled: 1,
            waiting: 0,
            offline: 0,
        };
        assert_eq!(board.counts(), counts);
        assert!(!board.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_is_away_waits_without_being_asked_again_until_it_is_back() {
        let (mut board, devices) = board(&["waiting", "waiting"]);
        let now = Instant::now();
        assert_eq!(board.take(now, |device| device == devices[1]), Some(1));
        assert_eq!(board.state(0), Some(ItemState::Offline));
        assert_eq!(board.waits_for(), None, "one runs");
        board.ended(1, &Outcome::Offline, now);
        assert_eq!(board.waits_for(), Some(WaitsFor::Devices));
        assert_eq!((board.counts().offline, board.next_due()), (2, None));
        assert!(board.wake(devices[0]) && !board.wake(devices[0]));
        assert_eq!(board.take(now, |_| true), Some(0));
        board.ended(0, &Outcome::Done, now);
        board.wake(devices[1]);
        assert_eq!(board.take(now, |_| true), Some(1));
        board.ended(1, &Outcome::Done, now);
        assert!(board.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_work_later_comes_when_it_is_due_and_what_needs_the_vault_when_it_is_open() {
        let (mut board, _) = board(&["waiting", "waiting"]);
        let now = Instant::now();
        assert_eq!((board.take(now, |_| true), board.take(now, |_| true)), (Some(0), Some(1)));
        let wait = Duration::from_secs(10);
        board.ended(0, &Outcome::Later(wait), now);
        board.ended(1, &Outcome::Vault, now);
        assert_eq!((board.take(now, |_| true), board.next_due()), (None, Some(now + wait)));
        assert_eq!(board.take(now + wait, |_| true), Some(0));
        board.ended(0, &Outcome::Done, now);
        assert_eq!(board.waits_for(), Some(WaitsFor::Vault));
        assert!(board.wake_vault() && !board.wake_vault());
        assert_eq!(board.take(now, |_| true), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_count_while_they_come_in_a_row() {
        let (mut board, _) = board(&["waiting"; 6]);
        let now = Instant::now();
        let failed = Outcome::Failed("no".to_owned());
        for (outcome, row) in
            [(&failed, 1), (&failed, 2), (&Outcome::Done, 0), (&failed, 1), (&Outcome::Offline, 1)]
        {
            let number = board.take(now, |_| true).unwrap();
            board.ended(number, outcome, now);
            assert_eq!(board.failures_in_a_row(), row);
        }
        board.retry();
        assert_eq!((board.failures_in_a_row(), board.counts().failed), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_gives_up_all_but_what_runs() {
        use ItemState::{Cancelled, Done, Running};
        let (mut board, devices) = board(&["waiting", "waiting", "waiting", "done"]);
        let now = Instant::now();
        assert_eq!(board.take(now, |device| device != devices[0]), Some(1));
        board.cancel();
        let states = [0, 1, 2, 3].map(|number| board.state(number).unwrap());
        assert_eq!(states, [Cancelled, Running, Cancelled, Done]);
        assert!(!board.wake(devices[0]) && board.take(now, |_| true).is_none());
        board.ended(1, &Outcome::Done, now);
        assert!(board.is_finished());
    }

    #[test]
    fn a_hundred_thousand_items_take_a_few_megabytes() {
        assert!(size_of::<Slot>() <= 20, "{} bytes", size_of::<Slot>());
    }
}
