//! What the store promises: durable, grouped, never overwritten.

use std::path::Path;

use tokio::task::JoinSet;

use super::crash::{Chance, Disk, Unsynced};
use super::tables::{META, SCHEMA_VERSION, SETTINGS};
use super::*;

/// Writes of one caller: two records that belong together.
async fn put_pair(store: &Store, name: String, value: String) -> Result<(), StoreError> {
    store
        .write(move |writer| {
            writer.put(SETTINGS, name.as_str(), &value)?;
            writer.put(SETTINGS, format!("{name} again").as_str(), &value)
        })
        .await
}

async fn settings(store: &Store) -> Vec<(String, String)> {
    store.read(|reader| reader.all(SETTINGS)).await.unwrap()
}

/// Holds the writing thread, so that writes queue up.
struct Gate {
    release: std::sync::mpsc::Sender<()>,
    held: JoinSet<()>,
}

impl Gate {
    async fn shut(store: &Store) -> Self {
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let blocked = std::sync::Mutex::new(blocked);
        let (entering, mut entered) = tokio::sync::mpsc::unbounded_channel();
        let store = store.clone();
        let mut held = JoinSet::new();
        held.spawn(async move {
            let write = move |_: &Writer<'_>| {
                entering.send(()).ok();
                // Ends when the sender is dropped; run again it does not wait.
                blocked.lock().unwrap().recv().ok();
                Ok(())
            };
            store.write(write).await.unwrap();
        });
        entered.recv().await.unwrap();
        Self { release, held }
    }

    async fn open(self) {
        drop(self.release);
        self.held.join_all().await;
    }
}

#[tokio::test]
async fn what_is_written_can_be_read_and_deleted() {
    let store = Store::memory().unwrap();
    put_pair(&store, "a".to_owned(), "1".to_owned()).await.unwrap();
    assert_eq!(settings(&store).await.len(), 2);
    let gone = store.write(|writer| writer.delete(SETTINGS, "a")).await.unwrap();
    let again = store.write(|writer| writer.delete(SETTINGS, "a")).await.unwrap();
    assert!(gone && !again);
    assert_eq!(settings(&store).await, [("a again".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn writes_that_wait_together_share_one_sync() {
    let disk = Disk::default();
    let store = Store::on_backend(disk.clone()).unwrap();
    let before = disk.syncs();
    let gate = Gate::shut(&store).await;
    let mut writes = JoinSet::new();
    let (queued, mut all_queued) = tokio::sync::mpsc::channel(100);
    for number in 0..100 {
        let (store, queued) = (store.clone(), queued.clone());
        writes.spawn(async move {
            let mut write = Box::pin(put_pair(&store, format!("{number}"), String::new()));
            // Polled once, it stands in the queue.
            assert!(futures_util::poll!(&mut write).is_pending());
            queued.send(()).await.unwrap();
            write.await.unwrap();
        });
    }
    for _ in 0..100 {
        all_queued.recv().await.unwrap();
    }
    gate.open().await;
    writes.join_all().await;
    assert_eq!(settings(&store).await.len(), 200);
    let syncs = disk.syncs() - before;
    assert!(syncs <= 4, "101 writes took {syncs} syncs");
}

#[tokio::test]
async fn a_write_that_fails_takes_no_neighbour_with_it() {
    let store = Store::memory().unwrap();
    let mut writes = JoinSet::new();
    for number in 0..60 {
        let store = store.clone();
        writes.spawn(async move {
            let outcome = store
                .write(move |writer| {
                    writer.put(SETTINGS, format!("{number}").as_str(), &String::new())?;
                    if number % 3 == 0 {
                        return Err(StoreError::Refused("every third"));
                    }
                    Ok(number)
                })
                .await;
            (number, outcome)
        });
    }
    for (number, outcome) in writes.join_all().await {
        match outcome {
            Ok(returned) => assert!(returned == number && number % 3 != 0),
            Err(error) => assert!(matches!(error, StoreError::Refused(_)) && number % 3 == 0),
        }
    }
    let kept = settings(&store).await;
    assert_eq!(kept.len(), 40);
    assert!(kept.iter().all(|(name, _)| name.parse::<u32>().unwrap() % 3 != 0));
}

#[tokio::test]
async fn who_stops_waiting_does_not_undo_the_write() {
    let store = Store::memory().unwrap();
    let gate = Gate::shut(&store).await;
    let mut write = Box::pin(put_pair(&store, "a".to_owned(), "1".to_owned()));
    assert!(futures_util::poll!(&mut write).is_pending());
    drop(write);
    gate.open().await;
    // Comes after it in the queue.
    store.probe().await.unwrap();
    assert_eq!(settings(&store).await.len(), 2);
}

/// The property that everything stands on. 24 writes, some of them at once; then the power goes at
/// many points, and each time the disk has kept less or more of what was not synced.
#[tokio::test]
async fn every_acknowledged_write_is_there_after_a_power_cut_at_any_point() {
    let disk = Disk::default();
    let store = Store::on_backend(disk.clone()).unwrap();
    let first = disk.deeds();
    let mut acknowledged: Vec<(usize, String)> = Vec::new();
    for round in 0..8 {
        let names: Vec<String> = (0..3).map(|number| format!("{round}.{number}")).collect();
        let writes = names.iter().map(|name| put_pair(&store, name.clone(), name.repeat(200)));
        for (name, outcome) in names.iter().zip(futures_util::future::join_all(writes).await) {
            outcome.unwrap();
            acknowledged.push((disk.deeds(), name.clone()));
        }
    }
    let last = disk.deeds();
    drop(store);
    let mut chance = Chance(0x00C0_FFEE);
    for cut in first..=last {
        let torn = [Unsynced::Torn(chance.next()), Unsynced::Torn(chance.next())];
        for unsynced in [Unsynced::Lost, Unsynced::Kept].into_iter().chain(torn) {
            check_after_cut(&disk, cut, unsynced, &acknowledged).await;
        }
    }
}

async fn check_after_cut(
    disk: &Disk,
    cut: usize,
    unsynced: Unsynced,
    acknowledged: &[(usize, String)],
) {
    let left = Disk::with(disk.after_power_cut(cut, unsynced));
    let store = Store::on_backend(left)
        .unwrap_or_else(|error| panic!("cut at {cut}, {unsynced:?}: {error}"));
    let found = settings(&store).await;
    let has = |name: &str| found.iter().any(|(other, _)| other == name);
    for (at, name) in acknowledged.iter().filter(|(at, _)| *at <= cut) {
        assert!(has(name), "cut at {cut}, {unsynced:?}: {name}, acknowledged at {at}, is gone");
    }
    for (name, value) in &found {
        let name = name.trim_end_matches(" again");
        assert!(has(name) && has(&format!("{name} again")), "half of {name} is there");
        assert_eq!(value, &name.repeat(200));
    }
    // And it goes on from there.
    put_pair(&store, "after".to_owned(), "after".to_owned()).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_fails_the_write_and_keeps_what_was_there() {
    let disk = Disk::default();
    let store = Store::on_backend(disk.clone()).unwrap();
    put_pair(&store, "a".to_owned(), "1".to_owned()).await.unwrap();
    disk.fill_up();
    let refused = put_pair(&store, "b".to_owned(), "2".to_owned()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Database(_)), "{refused}");
    store.probe().await.unwrap_err();
    store.file().broken().await;
    drop(store);
    let left = Disk::with(disk.after_power_cut(disk.deeds(), Unsynced::Kept));
    let store = Store::on_backend(left).unwrap();
    assert_eq!(settings(&store).await.len(), 2);
}

fn open_error(path: &Path) -> StoreError {
    let before = fs::read(path).unwrap();
    let Err(error) = Store::open(path) else { panic!("it opened") };
    assert!(fs::read(path).unwrap() == before, "it was written to");
    error
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    for content in [vec![], b"hello".to_vec(), vec![0; 4096], vec![0x5a; 100_000]] {
        fs::write(&path, content).unwrap();
        let error = open_error(&path);
        assert!(error.to_string().contains("restore"), "{error}");
        assert!(error.to_string().contains("store.redb"), "{error}");
    }
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (name, types) in [("other.redb", false), ("meta.redb", true)] {
        let path = folder.path().join(name);
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        if types {
            let meta = redb::TableDefinition::<u64, u64>::new("meta");
            transaction.open_table(meta).unwrap().insert(1, 1).unwrap();
        }
        transaction.commit().unwrap();
        drop(database);
        let Err(error) = Store::open(&path) else { panic!("it opened") };
        assert!(matches!(error, StoreError::Foreign(_)), "{error}");
    }
}

async fn close(store: Store) {
    let file = store.file();
    drop(store);
    file.closed().await;
}

#[tokio::test]
async fn a_damaged_store_is_refused_or_whole_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Store::open(&path).unwrap();
    for number in 0..50 {
        put_pair(&store, format!("{number}"), "value".repeat(40)).await.unwrap();
    }
    close(store).await;
    let whole = fs::read(&path).unwrap();
    let mut chance = Chance(0x0BAD_D15C);
    for round in 0..60 {
        let mut damaged = whole.clone();
        let place = usize::try_from(chance.next()).unwrap() % damaged.len();
        let end = damaged.len().min(place + 1 + round * 8);
        damaged[place..end].iter_mut().for_each(|byte| *byte ^= 0xA5);
        let path = folder.path().join(format!("damaged-{round}.redb"));
        fs::write(&path, &damaged).unwrap();
        match Store::open(&path) {
            // Bytes that nobody uses, or that redb could mend.
            Ok(store) => assert_eq!(settings(&store).await.len(), 100),
            Err(error) => assert!(error.to_string().contains("restore"), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_store_is_private_durable_and_of_one_daemon() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    // What a power cut during the first start leaves.
    fs::write(path.with_extension("new"), b"half").unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!path.with_extension("new").exists());
    put_pair(&store, "a".to_owned(), "1".to_owned()).await.unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse(_))));
    assert!(store.bytes() > 0);
    close(store).await;
    let store = Store::open(&path).unwrap();
    assert_eq!(settings(&store).await.len(), 2);
    let schema = store.read(|reader| reader.get(META, SCHEMA_VERSION)).await.unwrap();
    assert_eq!(schema, Some(SCHEMA));
}
