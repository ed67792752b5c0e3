//! The room with a kind of its own: an item does what the test says.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::*;
use crate::audit::Query;

/// What items come to, by their device; those that are not named are done at once.
#[derive(Default)]
struct Chores {
    store: Mutex<Option<Store>>,
    outcomes: Mutex<HashMap<Uuid, Outcome>>,
    away: Mutex<HashSet<Uuid>>,
    /// Each step takes one of these and gives it back.
    gate: Option<Semaphore>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    steps: AtomicUsize,
    released: Mutex<Vec<Uuid>>,
}

struct Chore(Arc<Chores>);

impl Kind for Chore {
    fn name(&self) -> &'static str {
        "chore"
    }

    fn is_there(&self, device: Uuid) -> bool {
        !self.0.away.lock().unwrap().contains(&device)
    }

    fn step(&self, mut task: Task) -> BoxFuture<'static, Outcome> {
        let chores = Arc::clone(&self.0);
        Box::pin(async move {
            let now = chores.at_once.fetch_add(1, Ordering::AcqRel) + 1;
            chores.most_at_once.fetch_max(now, Ordering::AcqRel);
            chores.steps.fetch_add(1, Ordering::AcqRel);
            if let Some(gate) = &chores.gate {
                drop(gate.acquire().await.unwrap());
            }
            chores.at_once.fetch_sub(1, Ordering::AcqRel);
            let device = task.item.device.unwrap();
            let wanted = chores.outcomes.lock().unwrap().get(&device).cloned();
            if let Some(outcome) = wanted {
                return outcome;
            }
            let store = chores.store.lock().unwrap().clone().unwrap();
            task.begin(Timestamp::UNIX_EPOCH);
            let (key, done) = (task.key(), task.done("as wanted", Timestamp::UNIX_EPOCH));
            store.write(move |writer| writer.put(JOB_ITEMS, &key, &done)).await.unwrap();
            Outcome::Done
        })
    }

    fn release(&self, job: Uuid) -> BoxFuture<'static, ()> {
        self.0.released.lock().unwrap().push(job);
        Box::pin(async {})
    }

    fn tell_end(&self, _: &JobPicture) {}
}

struct Room {
    store: Store,
    jobs: Jobs,
    chores: Arc<Chores>,
    kind: Arc<dyn Kind>,
    supervisor: Supervisor,
    hand: crate::clock::ClockHand,
}

impl Room {
    async fn on(store: Store, chores: Chores) -> Self {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let supervisor = Supervisor::new();
        let jobs = Jobs::new(store.clone(), clock, &supervisor);
        *chores.store.lock().unwrap() = Some(store.clone());
        let chores = Arc::new(chores);
        let kind: Arc<dyn Kind> = Arc::new(Chore(Arc::clone(&chores)));
        jobs.resume(&kind).await.unwrap();
        Self { store, jobs, chores, kind, supervisor, hand }
    }

    async fn with(chores: Chores) -> Self {
        Self::on(Store::memory().unwrap(), chores).await
    }

    async fn start(&self, devices: &[Uuid], record: JobRecord) -> Uuid {
        let id = Jobs::new_id();
        let items = devices.iter().map(|device| (*device, String::new(), String::new()));
        let new = NewJob { id, record, items: items.collect() };
        self.jobs.start(&self.kind, new, |_| Ok(())).await.unwrap();
        id
    }

    /// Waits until a job is as wanted.
    async fn until(&self, id: Uuid, wanted: impl Fn(&JobPicture) -> bool) -> JobPicture {
        let mut changes = self.jobs.changes();
        let waiting = async {
            loop {
                let picture = self.jobs.get(id).await.unwrap();
                if wanted(&picture) {
                    return picture;
                }
                // Falling behind is no fault: it is looked at again.
                changes.recv().await.ok();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("in time")
    }
}

fn some(count: usize) -> Vec<Uuid> {
    (0..count).map(|_| Uuid::new_v4()).collect()
}

fn record(parallel: u32, stop_after: u32) -> JobRecord {
    JobRecord { parallel, stop_after, title: "Chores".to_owned(), ..JobRecord::default() }
}

fn all(devices: &[Uuid], outcome: &Outcome) -> Mutex<HashMap<Uuid, Outcome>> {
    Mutex::new(devices.iter().map(|device| (*device, outcome.clone())).collect())
}

#[tokio::test]
async fn a_job_does_all_its_items_so_many_at_once_and_ends() {
    let room = Room::with(Chores { gate: Some(Semaphore::new(0)), ..Chores::default() }).await;
    let id = room.start(&some(40), record(7, 1)).await;
    room.until(id, |job| job.counts.running == 7 && job.state == JobState::Running).await;
    room.chores.gate.as_ref().unwrap().add_permits(1);
    let job = room.until(id, |job| job.state == JobState::Done).await;
    assert_eq!((job.counts.done, job.counts.total, job.record.ended), (40, 40, Some(0)));
    assert!(room.chores.most_at_once.load(Ordering::Acquire) <= 7);
    let page = room.jobs.items(id, vec![ItemState::Done], 15, 3).await.unwrap();
    assert_eq!((page.total, page.items.len(), page.items[0].number), (40, 10, 30));
    assert_eq!(page.items[0].record.message, "as wanted");
    room.until(id, |job| room.chores.released.lock().unwrap().contains(&job.id)).await;
    let query = Query { who: Some("jobs".to_owned()), what: Vec::new(), count: 9, page: 1 };
    let told = room.store.read(move |reader| crate::audit::page(reader, &query)).await.unwrap();
    let (_, entry) = &told.entries[0];
    assert_eq!((entry.what.as_str(), told.total), ("chore-ended", 1));
    assert_eq!(entry.about, "Chores: 40 done, 0 failed, 0 cancelled");
}

#[tokio::test]
async fn a_device_that_is_away_is_not_asked_until_it_is_back() {
    let devices = some(3);
    let away = Mutex::new(HashSet::from([devices[1]]));
    let room = Room::with(Chores { away, ..Chores::default() }).await;
    let id = room.start(&devices, record(8, 1)).await;
    let job = room.until(id, |job| job.state == JobState::Paused(WaitsFor::Devices)).await;
    assert_eq!((job.counts.done, job.counts.offline), (2, 1));
    let page = room.jobs.items(id, vec![ItemState::Offline], 9, 1).await.unwrap();
    assert_eq!((page.total, page.items[0].number), (1, 1));
    assert_eq!(room.chores.steps.load(Ordering::Acquire), 2);
    room.chores.away.lock().unwrap().clear();
    room.jobs.wake(devices[1]);
    room.until(id, |job| job.state == JobState::Done).await;
}

#[tokio::test]
async fn it_stops_by_itself_after_failures_in_a_row_and_goes_on_when_told() {
    let devices = some(20);
    let outcomes = all(&devices, &Outcome::Failed("It burns.".to_owned()));
    let room = Room::with(Chores { outcomes, ..Chores::default() }).await;
    let id = room.start(&devices, record(1, 3)).await;
    let job = room.until(id, |job| job.state == JobState::Stopped).await;
    assert_eq!((job.counts.failed, job.counts.waiting), (3, 17));
    assert!(job.record.stopped.contains("3 failed in a row, the last one so: It burns."));
    let kept = room.store.read(move |reader| reader.get(JOBS, &id)).await.unwrap().unwrap();
    assert_eq!(kept.stopped, job.record.stopped);
    room.chores.outcomes.lock().unwrap().clear();
    room.jobs.retry(&room.kind, id).await.unwrap();
    let job = room.until(id, |job| job.state == JobState::Done).await;
    assert_eq!((job.counts.done, job.counts.failed), (20, 0));
    let refused = room.jobs.retry(&room.kind, id).await.unwrap_err();
    assert!(matches!(refused, JobsError::NothingFailed), "{refused}");
}

#[tokio::test]
async fn what_failed_in_a_job_that_is_done_can_be_tried_again() {
    let devices = some(3);
    let outcomes = all(&devices[1..2], &Outcome::Failed("It burns.".to_owned()));
    let room = Room::with(Chores { outcomes, ..Chores::default() }).await;
    let id = room.start(&devices, record(1, 3)).await;
    let job = room.until(id, |job| job.state == JobState::Done).await;
    assert_eq!((job.counts.done, job.counts.failed), (2, 1));
    room.chores.outcomes.lock().unwrap().clear();
    room.jobs.retry(&room.kind, id).await.unwrap();
    let job = room.until(id, |job| job.state == JobState::Done).await;
    assert_eq!(job.counts.done, 3);
    assert_eq!(room.chores.steps.load(Ordering::Acquire), 4, "nothing was done twice");
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let store = Store::memory().unwrap();
    let devices = some(10);
    let away: HashSet<Uuid> = devices[4..].iter().copied().collect();
    let room =
        Room::on(store.clone(), Chores { away: Mutex::new(away), ..Chores::default() }).await;
    let id = room.start(&devices, record(3, 1)).await;
    room.until(id, |job| job.counts.done == 4 && job.counts.offline == 6).await;
    assert!(room.supervisor.shutdown(Duration::from_secs(5)).await);
    let room = Room::on(store, Chores::default()).await;
    let job = room.until(id, |job| job.state == JobState::Done).await;
    assert_eq!((job.counts.done, room.chores.steps.load(Ordering::Acquire)), (10, 6));
}

#[tokio::test]
async fn cancelling_gives_up_what_has_not_begun_and_stays_so_after_a_restart() {
    let devices = some(5);
    let store = Store::memory().unwrap();
    let gate = Some(Semaphore::new(0));
    let room = Room::on(store.clone(), Chores { gate, ..Chores::default() }).await;
    let id = room.start(&devices, record(2, 1)).await;
    room.until(id, |job| job.counts.running == 2).await;
    let job = room.jobs.cancel(id).await.unwrap();
    assert_eq!((job.state, job.counts.cancelled), (JobState::Cancelled, 3));
    room.chores.gate.as_ref().unwrap().add_permits(1);
    let job = room.until(id, |job| job.record.ended.is_some()).await;
    assert_eq!((job.counts.done, job.counts.cancelled), (2, 3));
    let refused = room.jobs.cancel(id).await.unwrap_err();
    assert!(matches!(refused, JobsError::Ended), "{refused}");
    let refused = room.jobs.retry(&room.kind, id).await.unwrap_err();
    assert!(matches!(refused, JobsError::Cancelled), "{refused}");
    room.supervisor.shutdown(Duration::from_secs(5)).await;
    let room = Room::on(store, Chores::default()).await;
    let page = room.jobs.items(id, vec![ItemState::Cancelled], 9, 1).await.unwrap();
    assert_eq!((page.total, room.chores.steps.load(Ordering::Acquire)), (3, 0));
}

#[tokio::test]
async fn the_vault_is_waited_for_and_a_reason_to_stop_fails_nobody() {
    let devices = some(2);
    let outcomes = all(&devices, &Outcome::Vault);
    let room = Room::with(Chores { outcomes, ..Chores::default() }).await;
    let id = room.start(&devices, record(2, 1)).await;
    room.until(id, |job| job.state == JobState::Paused(WaitsFor::Vault)).await;
    let stop = Outcome::Stop("No grant.".to_owned());
    *room.chores.outcomes.lock().unwrap() = all(&devices, &stop).into_inner().unwrap();
    room.jobs.wake_vault();
    let job = room.until(id, |job| job.state == JobState::Stopped && job.counts.running == 0).await;
    assert_eq!((job.record.stopped.as_str(), job.counts.failed), ("No grant.", 0));
    room.chores.outcomes.lock().unwrap().clear();
    room.jobs.retry(&room.kind, id).await.unwrap();
    room.until(id, |job| job.state == JobState::Done).await;
}

#[tokio::test]
async fn nothing_begins_before_its_time() {
    let room = Room::with(Chores::default()).await;
    let not_before = Some(60_000);
    let id = room.start(&some(2), JobRecord { not_before, ..record(2, 1) }).await;
    let job = room.jobs.get(id).await.unwrap();
    assert_eq!((job.state.name(), job.state.waits_for()), ("waiting", "window"));
    assert_eq!(room.chores.steps.load(Ordering::Acquire), 0);
    room.hand.advance(Duration::from_mins(1));
    // Whatever stirs the job makes it look at the clock.
    let living = room.jobs.inner.living(id).unwrap();
    living.changed.notify_one();
    room.until(id, |job| job.state == JobState::Done).await;
}

#[tokio::test]
async fn there_is_room_for_so_many_jobs_and_items_and_no_more() {
    let devices = some(1);
    let room =
        Room::with(Chores { away: Mutex::new(HashSet::from([devices[0]])), ..Chores::default() })
            .await;
    for _ in 0..ALIVE {
        room.start(&devices, record(1, 1)).await;
    }
    let new = |items| NewJob { id: Jobs::new_id(), record: record(1, 1), items };
    let one = vec![(devices[0], String::new(), String::new())];
    let refused = room.jobs.start(&room.kind, new(one.clone()), |_| Ok(())).await.unwrap_err();
    assert!(matches!(refused, JobsError::TooMany), "{refused}");
    let first = room.jobs.list().await.unwrap().last().unwrap().id;
    room.jobs.cancel(first).await.unwrap();
    room.until(first, |job| job.record.ended.is_some()).await;
    let refused = room.jobs.start(&room.kind, new(Vec::new()), |_| Ok(())).await.unwrap_err();
    assert!(matches!(refused, JobsError::Nothing), "{refused}");
    let many = vec![one[0].clone(); ITEMS + 1];
    let refused = room.jobs.start(&room.kind, new(many), |_| Ok(())).await.unwrap_err();
    assert!(matches!(refused, JobsError::TooLarge), "{refused}");
}
