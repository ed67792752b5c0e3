//! What follows from what devices say, on a store in memory.

use uuid::Uuid;

use super::held::{Heard, Held, Said};
use super::looking::{Deed, News, Word, act, deeds, generated};
use crate::store::records::{CredentialRecord, SecretRecord};
use crate::store::tables::CREDENTIALS;
use crate::store::{Store, Writer};
use crate::vault::candidates::{self, Moment, OLDER_PASSWORD};

const NOW: i64 = 1_000;

/// A device with two proven passwords of one account, and a candidate that it may have.
struct Room {
    store: Store,
    device: Uuid,
    credential: Uuid,
}

impl Room {
    async fn new() -> Self {
        let room = Self {
            store: Store::memory().unwrap(),
            device: Uuid::new_v4(),
            credential: Uuid::new_v4(),
        };
        let mut record = generated(room.device, "admin", NOW);
        for version in 1..=3 {
            let sealed = vec![u8::try_from(version).unwrap()];
            assert!(candidates::add(
                &mut record,
                SecretRecord { version, sealed, ..SecretRecord::default() }
            ));
            if version < 3 {
                candidates::holds(&mut record, version, Moment::Underway, NOW);
            }
        }
        room.put(room.credential, record).await;
        room
    }

    async fn put(&self, id: Uuid, record: CredentialRecord) {
        self.store
            .write(move |writer: &Writer<'_>| writer.put(CREDENTIALS, &id, &record))
            .await
            .unwrap();
    }

    async fn record(&self) -> CredentialRecord {
        let id = self.credential;
        self.store.read(move |reader| reader.get(CREDENTIALS, &id)).await.unwrap().unwrap()
    }

    /// What follows from one word, and what people are told once it is done.
    async fn hears(
        &self,
        device: Uuid,
        account: &str,
        holds: Option<(Uuid, u64)>,
    ) -> (Option<Deed>, News) {
        let held = Held { account: account.to_owned(), holds, ..Held::default() };
        let word = Word { device, number: 1, held, moment: Moment::Settled };
        let words = vec![word.clone()];
        let deed = self.store.read(move |reader| deeds(reader, &words)).await.unwrap().remove(0);
        let doing = deed.clone();
        let news =
            self.store.write(move |writer: &Writer<'_>| act(writer, &word, doing.as_ref(), NOW));
        (deed, news.await.unwrap())
    }
}

#[tokio::test]
async fn a_device_that_has_a_candidate_has_it_committed() {
    let room = Room::new().await;
    let (deed, news) = room.hears(room.device, "admin", Some((room.credential, 3))).await;
    assert_eq!((deed, news), (Some(Deed::Note(room.credential, 3)), News::None));
    assert_eq!(room.record().await.current.unwrap().version, 3);
    let (deed, _) = room.hears(room.device, "admin", Some((room.credential, 3))).await;
    assert_eq!(deed, None, "said twice, nothing is written");
}

#[tokio::test]
async fn a_device_that_has_an_older_password_is_told_of() {
    let room = Room::new().await;
    let (_, news) = room.hears(room.device, "admin", Some((room.credential, 1))).await;
    let record = room.record().await;
    assert_eq!((news, record.trouble.as_str()), (News::Older, OLDER_PASSWORD));
    assert!([2, 3].iter().all(|version| candidates::find(&record, *version).is_some()));
}

#[tokio::test]
async fn a_change_on_the_device_itself_is_told_once() {
    let room = Room::new().await;
    let (deed, news) = room.hears(room.device, "admin", None).await;
    assert_eq!((deed, news), (Some(Deed::Changed(room.credential)), News::Changed));
    assert_eq!(room.hears(room.device, "admin", None).await, (None, News::None));
    assert_eq!(room.hears(room.device, "root", None).await, (None, News::None), "no credential");
}

#[tokio::test]
async fn what_the_store_does_not_know_is_asked_for_and_what_is_anothers_is_left_alone() {
    let room = Room::new().await;
    let (device, credential) = (room.device, room.credential);
    assert_eq!(room.hears(device, "admin", Some((credential, 9))).await.0, Some(Deed::Ask));
    assert_eq!(room.hears(device, "admin", Some((Uuid::new_v4(), 1))).await.0, Some(Deed::Ask));
    let before = room.record().await;
    for (device, account) in [(Uuid::new_v4(), "admin"), (device, "root")] {
        assert_eq!(room.hears(device, account, Some((credential, 1))).await, (None, News::None));
    }
    assert_eq!(room.record().await, before);
}

#[test]
fn names_that_no_account_can_have_are_not_heard() {
    let said = |account: &str| aerie_protocol::inform::HeldPassword {
        account: account.to_owned(),
        credential_id: vec![7; 16],
        version: 4,
        newest: 2,
        sealed: Vec::new(),
    };
    for name in ["", "two\nlines", "right\u{202e}left"] {
        assert_eq!(Held::from_message(said(name)), None, "{name:?}");
    }
    let held = Held::from_message(said("admin")).unwrap();
    assert_eq!((held.newest, held.version_of(Uuid::from_bytes([7; 16]))), (4, Some(4)));
    let untouched =
        Held::from_message(aerie_protocol::inform::HeldPassword { version: 0, ..said("admin") });
    assert_eq!(untouched.unwrap().holds, None);
}

#[test]
fn work_goes_on_only_once_the_hello_of_this_session_was_looked_at() {
    let mut said = Said { number: 2, ..Said::default() };
    said.mark(1);
    assert!(!said.looked_at, "that was the session before");
    said.mark(2);
    assert!(said.looked_at);
    let mut said = Said { number: 4, moment: Moment::Underway, ..Said::default() };
    said.mark(3);
    assert!(said.looked_at && said.moment == Moment::Underway, "the rest is looked at beside");
}

#[tokio::test]
async fn devices_that_say_something_are_looked_at_once_and_some_at_a_time() {
    let heard = Heard::default();
    let devices: Vec<Uuid> = (0..5).map(|_| Uuid::new_v4()).collect();
    for device in devices.iter().chain(&devices) {
        heard.tell(*device);
    }
    let mut seen = heard.some(3).await;
    assert_eq!(seen.len(), 3);
    seen.extend(heard.some(3).await);
    seen.sort_unstable();
    let mut all = devices;
    all.sort_unstable();
    assert_eq!(seen, all);
}
