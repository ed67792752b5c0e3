//! The owner's log: what happened to devices, sites, logins and the appliance itself.
//!
//! A ring of bounded length, kept in memory for looking and in the store for keeps. What is new is
//! written in batches, once a second at most, so that a storm of events is one write; what concerns
//! security is written at once. [`restraint`] bounds what strangers can put in.

mod entry;
mod query;
mod restraint;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, broadcast};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::query::Search;
use self::restraint::Restraint;
use crate::clock::Clock;
use crate::store::{Store, StoreError, Writer, tables};
use crate::supervisor::{DEADLINE, Heartbeat, Supervisor};

pub use self::entry::{Entry, Event, Level, TAGS};
pub use self::query::{LevelCounts, Page, Query};

/// Entries that are kept.
const KEPT: usize = 20_000;
/// Entries that may wait for a store that cannot write. The oldest are given up.
const WAITING: usize = 2_000;
/// Entries that are not made to wait for more.
const BATCH: usize = 64;
/// How long an entry waits for others to be written with.
const DELAY: Duration = Duration::from_secs(1);
/// How long to wait after the store could not write.
const RETRY: Duration = Duration::from_secs(10);
/// When the daemon stops: how often it is seen whether there is more to write, at most.
const LAST_WORDS: usize = 20;
/// And how long nothing has to be said for that to be the end.
const PAUSE: Duration = Duration::from_millis(200);
/// Entries that a slow listener may be behind.
const LISTENER: usize = 256;
/// The owner's log. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    clock: Clock,
    log: Mutex<Log>,
    /// One writes at a time, so that who waits for it knows that his entry is durable.
    writing: tokio::sync::Mutex<()>,
    /// Something waits.
    work: Notify,
    /// It waits no longer.
    hurry: Notify,
    listeners: broadcast::Sender<Arc<Entry>>,
}

#[derive(Default)]
struct Log {
    entries: VecDeque<Arc<Entry>>,
    unwritten: VecDeque<Arc<Entry>>,
    restraint: Restraint,
    /// Milliseconds and counter of the newest id.
    newest: (u64, u16),
}

impl Events {
    /// Reads the log from the store and starts to write it behind.
    pub async fn load(
        store: Store,
        clock: Clock,
        supervisor: &Supervisor,
    ) -> Result<Self, StoreError> {
        let rows = store.read(|reader| reader.all(tables::EVENTS)).await?;
        let entries: VecDeque<_> =
            rows.into_iter().map(|(id, row)| Arc::new(Entry::from_record(id, row))).collect();
        // Continued from the newest, so that ids sort even after the clock was set back.
        let newest = (entries.back().map_or(0, |entry| milliseconds_of(entry.id)), COUNTER_END);
        let log = Mutex::new(Log { entries, newest, ..Log::default() });
        let (listeners, _) = broadcast::channel(LISTENER);
        let shared = Shared {
            store,
            clock,
            log,
            writing: tokio::sync::Mutex::default(),
            work: Notify::new(),
            hurry: Notify::new(),
            listeners,
        };
        let events = Self { shared: Arc::new(shared) };
        let (writing, stop) = (events.clone(), supervisor.token());
        supervisor.spawn_essential("event log", DEADLINE, |heartbeat| {
            writing.write_behind(stop, heartbeat)
        });
        Ok(events)
    }

    /// Records an event, unless its kind makes too much noise.
    pub fn record(&self, event: Event) {
        let now = self.shared.clock.now();
        let at_once = event.at_once;
        let mut log = self.log();
        if log.restraint.allows(&event, now) {
            self.push(&mut log, now, event);
        }
        let many = log.unwritten.len() >= BATCH;
        drop(log);
        self.shared.work.notify_one();
        if at_once || many {
            self.shared.hurry.notify_one();
        }
    }

    /// Records an event and returns once it is durable, with all that were recorded before.
    pub async fn record_durably(&self, event: Event) -> Result<(), StoreError> {
        self.record(event);
        self.flush().await
    }

    /// Writes what is not written yet. To be called when the daemon stops, after all others have
    /// said their last words.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let _writing = self.shared.writing.lock().await;
        let batch: Vec<Arc<Entry>> = self.log().unwritten.drain(..).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let entries: Vec<_> = batch.iter().map(|entry| (entry.id, entry.to_record())).collect();
        let written = self.shared.store.write(move |writer| {
            for (id, record) in &entries {
                writer.put(tables::EVENTS, id, record)?;
            }
            let kept = u64::try_from(KEPT).unwrap_or(u64::MAX);
            let excess = writer.len(tables::EVENTS)?.saturating_sub(kept);
            writer.delete_first(tables::EVENTS, excess)
        });
        let written = written.await;
        if written.is_err() {
            let mut log = self.log();
            for entry in batch.into_iter().rev() {
                log.unwritten.push_front(entry);
            }
            let excess = log.unwritten.len().saturating_sub(WAITING);
            log.unwritten.drain(..excess);
        }
        written
    }

    /// Puts an event into a log that nobody has loaded yet, in the transaction of what it tells
    /// about.
    pub fn put(writer: &Writer<'_>, now: Timestamp, event: Event) -> Result<(), StoreError> {
        let newest = writer.last_key(tables::EVENTS)?.map_or(0, milliseconds_of);
        let id = Log { newest: (newest, COUNTER_END), ..Log::default() }.next_id(now);
        writer.put(tables::EVENTS, &id, &Entry::new(id, now, event).to_record())
    }

    /// Looks into the log.
    pub fn query(&self, query: &Query) -> Page {
        // Listed first, so that nobody who records has to wait for a long search.
        let entries: Vec<_> = self.log().entries.iter().rev().cloned().collect();
        Search::new(query).run(entries.iter())
    }

    /// What is recorded from now on. A listener that falls behind is told so and asks anew.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.shared.listeners.subscribe()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, log: &mut Log, now: Timestamp, event: Event) {
        let entry = Arc::new(Entry::new(log.next_id(now), now, event));
        log.entries.push_back(Arc::clone(&entry));
        if log.entries.len() > KEPT {
            log.entries.pop_front();
        }
        log.unwritten.push_back(Arc::clone(&entry));
        // Nobody listens: then nobody has to know.
        self.shared.listeners.send(entry).ok();
    }

    async fn write_behind(self, stop: CancellationToken, mut heartbeat: Heartbeat) {
        let work = &self.shared.work;
        while stop.run_until_cancelled(heartbeat.during(work.notified())).await.is_some() {
            let mut delay = DELAY;
            while self.has_work() {
                tokio::select! {
                    () = heartbeat.during(sleep(delay)) => {}
                    () = self.shared.hurry.notified() => {}
                    () = stop.cancelled() => break,
                }
                self.tell_what_was_left_out();
                delay = if self.flush_or_say().await { DELAY } else { RETRY };
            }
        }
        // Others say their last words now: devices that are told goodbye, for one.
        for _ in 0..LAST_WORDS {
            let written = self.flush_or_say().await;
            sleep(PAUSE).await;
            if !written || self.log().unwritten.is_empty() {
                break;
            }
        }
    }

    fn has_work(&self) -> bool {
        let log = self.log();
        !log.unwritten.is_empty() || log.restraint.owes()
    }

    fn tell_what_was_left_out(&self) {
        let now = self.shared.clock.now();
        let mut log = self.log();
        for event in log.restraint.tell(now) {
            self.push(&mut log, now, event);
        }
    }

    /// `false` when the store cannot write; the entries are kept and tried again.
    async fn flush_or_say(&self) -> bool {
        let written = self.flush().await;
        if let Err(error) = &written {
            tracing::error!(%error, "the owner's log could not be written; trying again");
        }
        written.is_ok()
    }
}

/// Ids of one millisecond.
const COUNTER_END: u16 = 0x0fff;

impl Log {
    /// An id that sorts behind all others.
    fn next_id(&mut self, now: Timestamp) -> Uuid {
        let now = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let (newest, counter) = self.newest;
        self.newest = match (now > newest, counter < COUNTER_END) {
            (true, _) => (now, 0),
            (false, true) => (newest, counter + 1),
            (false, false) => (newest + 1, 0),
        };
        let (milliseconds, counter) = self.newest;
        let [_, _, _, _, _, _, _, _, random @ ..] = Uuid::new_v4().into_bytes();
        let mut rest = [0; 10];
        let (head, tail) = rest.split_at_mut(2);
        head.copy_from_slice(&counter.to_be_bytes());
        tail.copy_from_slice(&random);
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &rest).into_uuid()
    }
}

fn milliseconds_of(id: Uuid) -> u64 {
    let (seconds, nanoseconds) = id.get_timestamp().map_or((0, 0), |time| time.to_unix());
    seconds.saturating_mul(1_000).saturating_add(u64::from(nanoseconds / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClockHand;

    const NOW: &str = "2027-01-15T08:00:00Z";

    async fn log_on(store: &Store) -> (Events, ClockHand, Supervisor) {
        let (clock, hand) = Clock::manual(NOW.parse().unwrap());
        let supervisor = Supervisor::new();
        let events = Events::load(store.clone(), clock, &supervisor).await.unwrap();
        (events, hand, supervisor)
    }

    fn event(number: usize) -> Event {
        Event::quiet(Level::Info, "device", format!("event {number}"))
    }

    fn messages(page: &Page) -> Vec<&str> {
        page.items.iter().map(|entry| &*entry.message).collect()
    }

    fn ask(count: usize, page: usize) -> Query {
        Query { count, page, ..Query::default() }
    }

    #[tokio::test]
    async fn the_log_is_looked_at_newest_first_and_in_pages() {
        let (events, _hand, _supervisor) = log_on(&Store::memory().unwrap()).await;
        (0..25).for_each(|number| events.record(event(number)));
        let page = events.query(&ask(10, 3));
        assert_eq!(messages(&page), ["event 4", "event 3", "event 2", "event 1", "event 0"]);
        assert_eq!((page.total, page.pages), (25, 3));
        assert!(events.query(&ask(10, usize::MAX)).items.is_empty());
        assert_eq!(events.query(&ask(0, 0)).items.len(), 1);
    }

    #[tokio::test]
    async fn what_is_looked_for_is_found_and_levels_are_counted_beside_it() {
        let (events, hand, _supervisor) = log_on(&Store::memory().unwrap()).await;
        let (device, site) = (Uuid::now_v7(), Uuid::now_v7());
        events.record(Event::quiet(Level::Error, "site", "Mast down".to_owned()).at_site(site));
        hand.advance(Duration::from_mins(1));
        let late = Event::quiet(Level::Warning, "device", "cut off".to_owned());
        events.record(late.about(device, "Dach \u{202e}Nord"));
        events.record(event(1));

        let find = |query: Query| {
            let page = events.query(&Query { count: 10, page: 1, ..query });
            let found: Vec<String> = page.items.iter().map(|it| it.message.to_string()).collect();
            (found, page.counts)
        };
        let text = |text: &str| Query { text: text.to_owned(), ..Query::default() };
        assert_eq!(find(text("MAST")).0, ["Mast down"]);
        assert_eq!(find(text("dach nord")).0, ["cut off"]);
        assert_eq!(find(Query { devices: vec![device], ..Query::default() }).0, ["cut off"]);
        assert_eq!(find(Query { sites: vec![site], ..Query::default() }).0, ["Mast down"]);
        let tags = Query { tags: vec!["site".to_owned()], ..Query::default() };
        assert_eq!(find(tags).0, ["Mast down"]);
        let until: Timestamp = "2027-01-15T08:00:30Z".parse().unwrap();
        assert_eq!(find(Query { until: Some(until), ..Query::default() }).0, ["Mast down"]);
        let (found, counts) = find(Query { levels: vec![Level::Warning], ..Query::default() });
        assert_eq!(found, ["cut off"]);
        assert_eq!(counts, LevelCounts { info: 1, warning: 1, error: 1 });
        assert_eq!(counts.all(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_recorded_is_there_after_a_restart_and_sorts_on() {
        let store = Store::memory().unwrap();
        let (events, _hand, supervisor) = log_on(&store).await;
        (0..5_000).for_each(|number| events.record(event(number).about(Uuid::nil(), "mast-1")));
        supervisor.token().cancel();
        events.flush().await.unwrap();
        let before = events.query(&ask(1_000, 1));

        let (again, _hand, _supervisor) = log_on(&store).await;
        assert_eq!(again.query(&ask(1_000, 1)), before);
        again.record(event(9_999));
        again.flush().await.unwrap();
        let (third, _hand, _supervisor) = log_on(&store).await;
        assert_eq!(messages(&third.query(&ask(1, 1))), ["event 9999"]);
    }

    #[tokio::test]
    async fn the_log_is_a_ring() {
        let store = Store::memory().unwrap();
        let (events, hand, _supervisor) = log_on(&store).await;
        for number in 0..KEPT + 500 {
            hand.advance(Duration::from_secs(1));
            events.record(event(number));
        }
        events.flush().await.unwrap();
        assert_eq!(events.query(&ask(1, 1)).total, KEPT);
        let (again, _hand, _supervisor) = log_on(&store).await;
        let last = again.query(&ask(1, KEPT));
        assert_eq!((last.total, messages(&last)), (KEPT, vec!["event 500"]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_recorded_is_written_within_a_second_and_told_to_listeners() {
        let store = Store::memory().unwrap();
        let (events, _hand, _supervisor) = log_on(&store).await;
        let mut listener = events.subscribe();
        events.record(event(1));
        assert_eq!(&*listener.recv().await.unwrap().message, "event 1");
        let stored = async || store.read(|reader| reader.all(tables::EVENTS)).await.unwrap().len();
        assert_eq!(stored().await, 0);
        sleep(DELAY + Duration::from_millis(1)).await;
        drop(events.shared.writing.lock().await);
        assert_eq!(stored().await, 1);
        events.record_durably(event(2).by(Uuid::nil()).at_once()).await.unwrap();
        assert_eq!(stored().await, 2);
    }

    #[tokio::test]
    async fn what_is_said_while_the_daemon_stops_is_written_too() {
        let store = Store::memory().unwrap();
        let (events, _hand, supervisor) = log_on(&store).await;
        let last_words = async {
            for number in 0..5 {
                tokio::task::yield_now().await;
                events.record(event(number));
            }
        };
        let (ended, ()) = tokio::join!(supervisor.shutdown(DELAY * 30), last_words);
        assert!(ended);
        let rows = store.read(|reader| reader.all(tables::EVENTS)).await.unwrap();
        assert_eq!(rows.len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_flood_left_out_is_told_in_one_line() {
        let (events, hand, _supervisor) = log_on(&Store::memory().unwrap()).await;
        for number in 0..1_000 {
            events.record(Event::noisy(Level::Info, "device", format!("{number} knocked")));
        }
        assert_eq!(events.query(&ask(1, 1)).total, 60);
        let mut listener = events.subscribe();
        hand.advance(Duration::from_secs(61));
        let told = listener.recv().await.unwrap();
        assert!(told.message.starts_with("940 more like this"), "{}", told.message);
        assert!(told.message.ends_with("999 knocked"), "{}", told.message);
        assert_eq!(told.level, Level::Warning);
    }

    #[test]
    fn ids_sort_by_time_even_when_the_clock_goes_back() {
        let mut log = Log::default();
        let now: Timestamp = NOW.parse().unwrap();
        let mut ids: Vec<Uuid> = (0..10_000).map(|_| log.next_id(now)).collect();
        ids.push(log.next_id(now - jiff::SignedDuration::from_hours(1)));
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }
}
