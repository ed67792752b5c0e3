//! What is made of what devices say in their hellos: a lost reply is made good, an older password is
//! told, and what the appliance does not know is taken back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aerie_protocol::inform::{HeldPasswords, reply, request};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::ActionError;
use super::super::events::{Event, Level};
use super::Inner;
use super::held::Held;
use crate::cut::cut;
use crate::store::records::CredentialRecord;
use crate::store::tables::CREDENTIALS;
use crate::store::{Reader, StoreError, Writer};
use crate::supervisor::Heartbeat;
use crate::vault::candidates::{self, Finding, Moment};

/// Devices that are looked at together.
const TOGETHER: usize = 512;
/// Between two looks. When everybody comes back at once, one look at the store serves a crowd, and
/// not each device of it; whoever comes alone is looked at at once.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
/// Devices that are asked at the same time for what they keep.
const ASKED_AT_ONCE: usize = 32;
/// How long a device may take to say what its accounts have.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(15);
/// How long to wait after the store could not be read or written.
const RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// What a device said of one account.
#[derive(Clone)]
pub(super) struct Word {
    pub(super) device: Uuid,
    /// Of what the device said.
    pub(super) number: u64,
    pub(super) held: Held,
    pub(super) moment: Moment,
}

/// A device, and the number of what it said.
type Who = (Uuid, u64);

impl Word {
    fn who(&self) -> Who {
        (self.device, self.number)
    }
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// The credential's record takes note of the version.
    Note(Uuid, u64),
    /// Somebody set another password on the device itself.
    Changed(Uuid),
    /// The device knows more than the store.
    Ask,
}

impl Inner {
    /// Looks at what devices say until the daemon stops.
    pub(super) async fn look(self: Arc<Self>, stop: CancellationToken, mut heartbeat: Heartbeat) {
        let slots = Arc::new(Semaphore::new(ASKED_AT_ONCE));
        let mut asking = JoinSet::new();
        loop {
            let devices = tokio::select! {
                () = stop.cancelled() => return,
                devices = heartbeat.during(self.devices.inner.heard.some(TOGETHER)) => devices,
                Some(_) = asking.join_next() => continue,
            };
            let (words, at_once) = self.words(&devices);
            self.wake_all(at_once);
            match self.note(words).await {
                Ok((looked_at, to_be_asked)) => {
                    for said in looked_at {
                        self.looked_at(said);
                    }
                    for said in to_be_asked {
                        let (inner, slots) = (Arc::clone(&self), Arc::clone(&slots));
                        asking.spawn(async move {
                            let _slot = slots.acquire().await;
                            inner.take_back(said).await;
                        });
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "what devices say of passwords could not be stored");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = heartbeat.during(tokio::time::sleep(RETRY)) => {}
                    }
                    self.tell_again(devices);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn tell_again(&self, devices: Vec<Uuid>) {
        for device in devices {
            self.devices.inner.heard.tell(device);
        }
    }

    fn wake_all(&self, devices: Vec<Uuid>) {
        for device in devices {
            self.jobs.wake(device);
        }
    }

    /// What these devices said, and those of them that have said nothing to look at.
    fn words(&self, devices: &[Uuid]) -> (Vec<Word>, Vec<Uuid>) {
        let (mut words, mut at_once) = (Vec::new(), Vec::new());
        for device in devices {
            let Some(cell) = self.devices.registry().by_id(*device) else { continue };
            let said = cell.lock().passwords.clone();
            if said.looked_at && said.moment == Moment::Settled || said.held.is_empty() {
                cell.lock().passwords.mark(said.number);
                at_once.push(*device);
                continue;
            }
            let (device, number, moment) = (*device, said.number, said.moment);
            words.extend(said.held.into_iter().map(|held| Word { device, number, held, moment }));
        }
        (words, at_once)
    }

    /// Stores what follows from it. Answers whose words were looked at, and who has to be asked.
    async fn note(&self, words: Vec<Word>) -> Result<(Vec<Who>, Vec<Who>), StoreError> {
        let mut devices: Vec<Who> = words.iter().map(Word::who).collect();
        devices.dedup();
        if words.is_empty() {
            return Ok((devices, Vec::new()));
        }
        let words: Arc<[Word]> = words.into();
        let reading = Arc::clone(&words);
        let deeds = self.store.read(move |reader| deeds(reader, &reading)).await?;
        cut("hello-heard");
        let mut to_be_asked: Vec<Who> = Vec::new();
        for (word, deed) in words.iter().zip(&deeds) {
            if matches!(deed, Some(Deed::Ask)) && !to_be_asked.contains(&word.who()) {
                to_be_asked.push(word.who());
            }
        }
        if deeds.iter().flatten().any(|deed| *deed != Deed::Ask) {
            let now = self.clock.now().as_millisecond();
            let (writing, deeds) = (Arc::clone(&words), Arc::<[_]>::from(deeds));
            let write = move |writer: &Writer<'_>| {
                writing
                    .iter()
                    .zip(&*deeds)
                    .map(|(word, deed)| act(writer, word, deed.as_ref(), now))
                    .collect()
            };
            let news: Vec<News> = self.store.write(write).await?;
            cut("hello-stored");
            for (word, news) in words.iter().zip(news) {
                self.tell(word.device, &word.held.account, news);
            }
        }
        devices.retain(|device| !to_be_asked.contains(device));
        Ok((devices, to_be_asked))
    }

    fn looked_at(&self, (device, number): Who) {
        if let Some(cell) = self.devices.registry().by_id(device) {
            cell.lock().passwords.mark(number);
        }
        self.jobs.wake(device);
    }

    /// Asks a device that knows more than the store for what it keeps.
    async fn take_back(&self, who: Who) {
        let (device, _) = who;
        match self.ask_held(device).await {
            Ok(held) => {
                for held in held {
                    if let Err(error) = self.adopt(device, held).await {
                        tracing::error!(%error, %device, "what a device gave back was not stored");
                        self.devices.inner.heard.tell(device);
                        return;
                    }
                }
            }
            // It says so again when it is back.
            Err(ActionError::Offline) => return,
            Err(error) => tracing::warn!(%error, %device, "a device does not say what it keeps"),
        }
        self.looked_at(who);
    }

    /// Asks a device what its accounts have, and what it keeps of it for the vault.
    pub(super) async fn ask_held(&self, device: Uuid) -> Result<Vec<Held>, ActionError> {
        let verb = request::Verb::HeldPasswords(HeldPasswords {});
        match self.devices.request(device, verb, ANSWER).await?.1 {
            reply::Outcome::Passwords(passwords) => {
                Ok(passwords.held.into_iter().filter_map(Held::from_message).collect())
            }
            reply::Outcome::Refusal(refusal) => {
                let what = "The device does not say which passwords it has";
                Err(ActionError::Refused(super::super::snapshot::refusal_text(what, &refusal)))
            }
            reply::Outcome::Done(_) => Err(ActionError::NoReply),
        }
    }

    /// Takes note of what a device has, and takes back what the store does not know.
    pub(super) async fn adopt(&self, device: Uuid, held: Held) -> Result<(), StoreError> {
        let Some((credential, version)) = held.holds else { return Ok(()) };
        let now = self.clock.now().as_millisecond();
        let account = held.account.clone();
        let write = move |writer: &Writer<'_>| {
            let stored = writer.get(CREDENTIALS, &credential)?;
            if stored.is_some_and(|record| !is_of(&record, device, &held.account)) {
                return Ok(News::None);
            }
            let fresh = || generated(device, &held.account, now);
            candidates::change(writer, credential, fresh, |record| {
                match candidates::holds(record, version, Moment::Settled, now) {
                    Finding::Unknown => {
                        if candidates::adopt(record, version, held.sealed.clone(), now) {
                            News::TakenBack
                        } else {
                            News::NothingGivenBack
                        }
                    }
                    Finding::Older => News::Older,
                    Finding::Current | Finding::Committed | Finding::Unopened => News::None,
                }
            })
        };
        let news = self.store.write(write).await?;
        self.tell(device, &account, news);
        Ok(())
    }

    fn tell(&self, device: Uuid, account: &str, news: News) {
        let Some(cell) = self.devices.registry().by_id(device) else { return };
        let name = cell.name();
        let message = match news {
            News::None => return,
            News::Older => format!(
                "{name} came back with an older password of {account}: it was restored, or \
                 somebody set it back. The vault shows the one that it has now and keeps the newer \
                 ones; rotate it."
            ),
            News::Changed => format!(
                "The password of {account} was changed on {name} itself, and the vault does not \
                 know it. Rotate it, or type it in."
            ),
            News::TakenBack => format!(
                "{name} has a newer password of {account} than the vault knew: the appliance's data \
                 are older than the device. What the device kept for the vault was taken back; \
                 rotate it to be sure."
            ),
            News::NothingGivenBack => format!(
                "{name} has a password of {account} that the vault does not know, and kept nothing \
                 of it. Rotate it."
            ),
        };
        self.devices
            .events()
            .record(Event::quiet(Level::Warning, "device", message).about(device, &name));
    }

    /// The credential that a device names for an account.
    pub(super) fn named(&self, device: Uuid, account: &str) -> Option<Uuid> {
        let cell = self.devices.registry().by_id(device)?;
        let state = cell.lock();
        let held = state.passwords.held.iter().find(|held| held.account == account)?;
        held.holds.map(|(credential, _)| credential)
    }
}

/// What people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    None,
    Older,
    Changed,
    TakenBack,
    NothingGivenBack,
}

/// Whether a credential is that of an account on a device. What a device says counts for its own
/// alone.
pub(super) fn is_of(record: &CredentialRecord, device: Uuid, account: &str) -> bool {
    record.device == Some(device) && record.username == account
}

/// A credential whose secrets the vault makes.
pub(super) fn generated(device: Uuid, account: &str, now: i64) -> CredentialRecord {
    CredentialRecord {
        device: Some(device),
        username: account.to_owned(),
        source: "generated".to_owned(),
        created: now,
        ..CredentialRecord::default()
    }
}

/// What follows from each word, as far as something does.
pub(super) fn deeds(reader: &Reader, words: &[Word]) -> Result<Vec<Option<Deed>>, StoreError> {
    let mut unnamed = HashMap::new();
    if words.iter().any(|word| word.held.holds.is_none()) {
        let wanted: HashSet<(Uuid, &str)> = words
            .iter()
            .filter(|word| word.held.holds.is_none())
            .map(|word| (word.device, word.held.account.as_str()))
            .collect();
        reader.each(CREDENTIALS, |id, record| {
            let Some(device) = record.device else { return };
            if wanted.contains(&(device, record.username.as_str())) {
                unnamed.insert((device, record.username.clone()), (id, record));
            }
        })?;
    }
    words.iter().map(|word| deed(reader, word, &unnamed)).collect()
}

fn deed(
    reader: &Reader,
    word: &Word,
    unnamed: &HashMap<(Uuid, String), (Uuid, CredentialRecord)>,
) -> Result<Option<Deed>, StoreError> {
    let Some((credential, version)) = word.held.holds else {
        let found = unnamed.get(&(word.device, word.held.account.clone()));
        let news = found.filter(|(_, record)| candidates::changed_on_device(&mut record.clone()));
        return Ok(news.map(|(id, _)| Deed::Changed(*id)));
    };
    let Some(record) = reader.get(CREDENTIALS, &credential)? else { return Ok(Some(Deed::Ask)) };
    if !is_of(&record, word.device, &word.held.account) {
        // Another's, or one that the device had before it was deleted here: it gets a new one.
        return Ok(None);
    }
    let mut after = record.clone();
    Ok(match candidates::holds(&mut after, version, word.moment, 0) {
        Finding::Unknown => Some(Deed::Ask),
        _ if after == record => None,
        _ => Some(Deed::Note(credential, version)),
    })
}

pub(super) fn act(
    writer: &Writer<'_>,
    word: &Word,
    deed: Option<&Deed>,
    now: i64,
) -> Result<News, StoreError> {
    let fresh = || generated(word.device, &word.held.account, now);
    match deed {
        None | Some(Deed::Ask) => Ok(News::None),
        Some(Deed::Changed(credential)) => {
            candidates::change(writer, *credential, fresh, |record| {
                if candidates::changed_on_device(record) { News::Changed } else { News::None }
            })
        }
        Some(Deed::Note(credential, version)) => {
            candidates::change(writer, *credential, fresh, |record| {
                match candidates::holds(record, *version, word.moment, now) {
                    Finding::Older => News::Older,
                    _ => News::None,
                }
            })
        }
    }
}
