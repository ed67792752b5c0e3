//! The appliance moves: the address that is announced to devices, and who has come by it.
//!
//! A device counts as moved once it says that it came by the new address, which it does only after
//! it has written that address down. So an old listener that is closed when nobody is left to wait
//! for strands no enrolled device, whatever is restarted or loses its power meanwhile.
//!
//! Lock order: the list here before a device's cell, so that a count always rests on what the cell
//! holds at that moment.

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aerie_protocol::address::Address;
use aerie_protocol::inform::{self, FromAppliance, Hello, from_appliance};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use super::cell::Cell;
use super::events::{Event, Level};
use super::mailbox::Letter;
use super::{Devices, DevicesError, records};
use crate::store::{Store, StoreError, tables};

/// The setting that holds the move under way.
const MOVE: &str = "inform-move";
/// Devices that are named among those that are waited for.
const NAMED: usize = 100;
/// Before a write that failed is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// Where devices find the appliance: a host name or address (IPv6 without brackets), and a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Name or IP address.
    pub host: String,
    /// Inform port.
    pub port: u16,
}

impl From<&Address> for Announcement {
    fn from(address: &Address) -> Self {
        Self { host: address.host().to_owned(), port: address.port() }
    }
}

/// How far a move has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Authorised devices that last came by the new address.
    pub confirmed: usize,
    /// Authorised devices.
    pub total: usize,
    /// The others, by name; the first hundred.
    pub waiting: Vec<WaitingDevice>,
    /// When it was announced.
    pub since: Timestamp,
    /// Where devices found the appliance before, if that is known.
    pub from: Option<Announcement>,
    /// Where they find it from now on.
    pub to: Announcement,
}

/// A device that has not come by the new address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingDevice {
    /// Its id.
    pub id: Uuid,
    /// The name to show.
    pub name: String,
    /// Its last message of any kind.
    pub last_seen: Timestamp,
}

/// The move under way, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct MoveRecord {
    from: Option<Announcement>,
    to: Announcement,
    /// Milliseconds since 1970.
    since: i64,
}

#[derive(Clone)]
struct Move {
    record: MoveRecord,
    to: Address,
}

/// What is announced, and who is waited for.
pub(super) struct Moves {
    inside: Mutex<Inside>,
    /// How many are waited for; `None` while nothing is announced.
    left: watch::Sender<Option<usize>>,
}

#[derive(Default)]
struct Inside {
    announced: Option<Move>,
    /// Authorised devices that last came by another address. Empty while nothing is announced.
    waiting: HashSet<Uuid>,
    /// Devices whose record does not say yet by which address they came.
    unsaved: HashSet<Uuid>,
}

impl Moves {
    /// Reads back what was announced. Who is waited for is counted anew.
    pub(super) async fn load(store: &Store) -> Result<Self, StoreError> {
        let text = store.read(|reader| reader.get(tables::SETTINGS, MOVE)).await?;
        let announced = text.and_then(|text| {
            let record: MoveRecord = serde_json::from_str(&text).ok()?;
            let to = Address::new(&record.to.host, record.to.port.into()).ok()?;
            Some(Move { record, to })
        });
        let inside = Mutex::new(Inside { announced, ..Inside::default() });
        Ok(Self { inside, left: watch::Sender::new(None) })
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device is no more.
    pub(super) fn forget(&self, id: Uuid) {
        let mut inside = self.lock();
        inside.unsaved.remove(&id);
        inside.waiting.remove(&id);
        self.tell(&inside);
    }

    fn tell(&self, inside: &Inside) {
        let left = inside.announced.is_some().then_some(inside.waiting.len());
        self.left.send_if_modified(|told| std::mem::replace(told, left) != left);
    }
}

/// By which address a device says that it came.
pub(super) fn came_by(hello: &Hello) -> Option<Address> {
    hello.dialled.as_ref().and_then(|address| Address::try_from(address).ok())
}

impl Devices {
    /// Tells every enrolled device, now or when it comes, that the appliance is found at this
    /// address too. It must be served there already, and at the old one until
    /// [`Devices::everyone_moved`] or the owner says so. Durable when it returns. What was announced
    /// before no longer is; to take a move back, announce the address that it came from.
    pub async fn announce(&self, announcement: Announcement) -> Result<(), DevicesError> {
        let to = Address::new(&announcement.host, announcement.port.into())?;
        let deciding = self.inner.deciding.lock().await;
        let before = self.inner.moves.lock().announced.clone();
        if before.as_ref().is_none_or(|before| before.to != to) {
            let record = MoveRecord {
                from: self.former(before.map(|before| before.record), &to),
                to: Announcement::from(&to),
                since: self.now().as_millisecond(),
            };
            // Three fields of plain text: this cannot fail.
            let text = serde_json::to_string(&record).unwrap_or_default();
            let written =
                move |writer: &crate::store::Writer<'_>| writer.put(tables::SETTINGS, MOVE, &text);
            self.inner.store.write(written).await?;
            self.inner.moves.lock().announced = Some(Move { record, to: to.clone() });
            self.log_move(format!("Devices are told that the appliance is at {to} from now on."));
        }
        self.count_all();
        drop(deciding);
        self.announce_again();
        Ok(())
    }

    /// Announces nothing any more. Devices keep the address by which they came last, and the one
    /// before. Durable when it returns.
    pub async fn withdraw(&self) -> Result<(), DevicesError> {
        let _deciding = self.inner.deciding.lock().await;
        self.inner.store.write(|writer| writer.delete(tables::SETTINGS, MOVE)).await?;
        let gone = {
            let mut inside = self.inner.moves.lock();
            inside.waiting = HashSet::new();
            let gone = inside.announced.take();
            self.inner.moves.tell(&inside);
            gone
        };
        if let Some(gone) = gone {
            self.log_move(format!("Devices are no longer told to come to {}.", gone.to));
        }
        Ok(())
    }

    /// How far the move under way has come; `None` when there is none.
    pub fn move_progress(&self) -> Option<Progress> {
        let (record, ids) = {
            let inside = self.inner.moves.lock();
            let record = inside.announced.as_ref()?.record.clone();
            (record, inside.waiting.iter().copied().collect::<Vec<_>>())
        };
        let total = self.registry().all().iter().filter(|cell| cell.is_authorized()).count();
        let confirmed = total.saturating_sub(ids.len());
        let mut waiting: Vec<_> =
            ids.into_iter().filter_map(|id| Some(named(&self.registry().by_id(id)?))).collect();
        waiting.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
        waiting.truncate(NAMED);
        let since = Timestamp::from_millisecond(record.since).unwrap_or(Timestamp::UNIX_EPOCH);
        Some(Progress { confirmed, total, waiting, since, from: record.from, to: record.to })
    }

    /// How many devices the move under way still waits for, and every change of it; `None` while
    /// there is no move.
    pub fn moves(&self) -> watch::Receiver<Option<usize>> {
        self.inner.moves.left.subscribe()
    }

    /// Returns once every authorised device has come by the announced address, and that is durable:
    /// the old listener may be closed, and the announcement withdrawn. Waits for ever while nothing
    /// is announced.
    pub async fn everyone_moved(&self) -> Announcement {
        let mut left = self.moves();
        loop {
            if left.wait_for(|left| *left == Some(0)).await.is_err() {
                // The sender is as old as this room.
                return pending().await;
            }
            if let Err(error) = self.save_addresses().await {
                tracing::error!(%error, "who has moved could not be written");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let inside = self.inner.moves.lock();
            if let Some(done) = inside.announced.as_ref().filter(|_| inside.waiting.is_empty()) {
                return done.record.to.clone();
            }
        }
    }

    // ------------------------------------------------------------ within the room

    /// Says it again to those who have not come: the address may be reachable for them only now.
    pub(super) fn announce_again(&self) {
        let (to, waiting) = {
            let inside = self.inner.moves.lock();
            let Some(announced) = &inside.announced else { return };
            (announced.to.clone(), inside.waiting.iter().copied().collect::<Vec<_>>())
        };
        let cells = waiting.into_iter().filter_map(|id| self.registry().by_id(id));
        for mailbox in cells.filter_map(|cell| cell.mailbox()) {
            let message = FromAppliance { body: Some(address(&to)) };
            // A session that takes nothing is about to end, and hears it when it comes back.
            mailbox.put(Letter::Send(Box::new(message))).ok();
        }
    }

    /// What a device that came by another address is told among the first words.
    pub(super) fn announcement_for(&self, cell: &Cell) -> Option<from_appliance::Body> {
        let inside = self.inner.moves.lock();
        let to = &inside.announced.as_ref()?.to;
        (cell.lock().facts.came_by.as_ref() != Some(to)).then(|| address(to))
    }

    /// An authorised device has come by another address than before; its record follows with those
    /// of others.
    pub(super) fn came_by_another(&self, cell: &Arc<Cell>) {
        self.inner.moves.lock().unsaved.insert(cell.id);
        self.count(cell);
    }

    /// Looks anew whether a device is still waited for.
    pub(super) fn count(&self, cell: &Arc<Cell>) {
        let mut inside = self.inner.moves.lock();
        let Inside { announced: Some(announced), waiting, .. } = &mut *inside else { return };
        // Deleted meanwhile: nobody would ever take it off the list again.
        let known = cell.is_authorized() && self.registry().by_id(cell.id).is_some();
        if known && cell.lock().facts.came_by.as_ref() != Some(&announced.to) {
            waiting.insert(cell.id);
        } else {
            waiting.remove(&cell.id);
        }
        self.inner.moves.tell(&inside);
    }

    pub(super) fn count_all(&self) {
        let mut inside = self.inner.moves.lock();
        let Some(announced) = &inside.announced else { return };
        let waits = |cell: &Arc<Cell>| {
            cell.is_authorized() && cell.lock().facts.came_by.as_ref() != Some(&announced.to)
        };
        let waiting = self.registry().all().into_iter().filter(waits).map(|cell| cell.id).collect();
        inside.waiting = waiting;
        self.inner.moves.tell(&inside);
    }

    /// Writes by which addresses devices came, all in one transaction. Whoever stops waiting loses
    /// nothing: what is not known to be written is written again.
    pub(super) async fn save_addresses(&self) -> Result<(), StoreError> {
        let _deciding = self.inner.deciding.lock().await;
        let ids: Vec<Uuid> = self.inner.moves.lock().unsaved.iter().copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let cells = ids.iter().filter_map(|id| self.registry().by_id(*id));
        let cells: Vec<_> = cells.filter(|cell| cell.is_authorized()).collect();
        let writes: Vec<_> =
            cells.iter().map(|cell| (cell.id, cell.lock().facts.clone())).collect();
        let written: HashMap<_, _> =
            writes.iter().map(|(id, facts)| (*id, facts.came_by.clone())).collect();
        records::save(&self.inner.store, writes).await?;
        let mut inside = self.inner.moves.lock();
        for id in &ids {
            // It may have come by yet another one meanwhile.
            let newer = self.registry().by_id(*id).is_some_and(|cell| {
                written.get(id).is_some_and(|came_by| *came_by != cell.lock().facts.came_by)
            });
            if !newer {
                inside.unsaved.remove(id);
            }
        }
        Ok(())
    }

    /// Where devices find the appliance until they move to `to`: the address by which most of them
    /// came; before any has said so, the device key's, unless that is the new one already.
    fn former(&self, before: Option<MoveRecord>, to: &Address) -> Option<Announcement> {
        let target = Announcement::from(to);
        match before {
            // Taken back.
            Some(before) if before.from.as_ref() == Some(&target) => return Some(before.to),
            Some(MoveRecord { from: Some(from), .. }) => return Some(from),
            Some(MoveRecord { from: None, .. }) | None => {}
        }
        let mut crowds: HashMap<Address, usize> = HashMap::new();
        for cell in self.registry().all().iter().filter(|cell| cell.is_authorized()) {
            if let Some(came_by) = cell.lock().facts.came_by.as_ref().filter(|by| *by != to) {
                *crowds.entry(came_by.clone()).or_default() += 1;
            }
        }
        let most =
            crowds.into_iter().max_by(|one, other| (one.1, &one.0).cmp(&(other.1, &other.0)));
        let of_key = || self.keys().address().filter(|of_key| of_key != to);
        most.map(|(address, _)| address).or_else(of_key).as_ref().map(Announcement::from)
    }

    fn log_move(&self, message: String) {
        self.events().record(Event::quiet(Level::Info, "device", message));
    }
}

fn address(to: &Address) -> from_appliance::Body {
    from_appliance::Body::Address(inform::Address::from(to))
}

fn named(cell: &Arc<Cell>) -> WaitingDevice {
    let device = cell.snapshot();
    let name = device.display_name().to_owned();
    WaitingDevice { id: cell.id, name, last_seen: device.last_seen }
}
