//! Live updates for a browser, as small JSON frames.
//!
//! Changes of a device are gathered and told once a second at most; a browser that is too slow, or
//! a storm of changes, ends in one word: fetch the lists again. Nothing is queued without bound.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use utoipa::ToSchema;
use uuid::Uuid;

use super::device_view::DeviceView;
use super::error::ErrorBody;
use super::job_view::JobView;
use super::logs::LogView;
use super::nms::SummaryExtra;
use super::site_view::{Atlas, SiteView};
use super::socket::{Hold, Knock, Newcomer, Opening, Why, json};
use super::status_view::{Rates, StatusView};
use super::tickets::Route;
use super::views::Time;
use super::{Web, jobs};
use crate::devices::events::Entry;
use crate::devices::{Change, WatchGuard};
use crate::vault::protocol::Status;

/// How often changes of devices are told.
const FLUSH: Duration = Duration::from_secs(1);
/// How often the counters are told.
const SUMMARY: Duration = Duration::from_secs(5);
/// How often a browser has to show that it is there.
const PING: Duration = Duration::from_secs(20);
/// Devices told in one flush.
const PER_FLUSH: usize = 500;
/// Devices that may wait to be told before the browser is sent to fetch the lists.
const BEHIND: usize = 4 * PER_FLUSH;
/// How often a browser may be sent to fetch the lists: they cost more than what they save.
const RESYNC: Duration = Duration::from_secs(10);
/// Devices that a browser may watch.
const WATCHED: usize = 8;

/// The first frame of the live socket.
#[derive(Deserialize)]
struct Hello {
    ticket: String,
}

impl Opening for Hello {
    fn ticket(&self) -> &str {
        &self.ticket
    }
}

/// What the appliance tells a browser.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
#[schema(as = LiveFrame)]
pub(super) enum Frame {
    /// The first frame.
    Hello {
        /// Counts frames that carry one; a gap means that something was missed.
        sequence: u64,
        #[serde(rename = "serverTime")]
        server_time: Time,
    },
    /// A device is new, or something about it changed.
    Device { sequence: u64, device: Box<DeviceView> },
    /// A device is gone.
    DeviceRemoved { sequence: u64, id: Uuid },
    /// A site is new, or something about it changed.
    Site { site: Box<SiteView> },
    /// A site is gone.
    SiteRemoved { id: Uuid },
    /// Something was written to the log.
    Log { log: LogView },
    /// A watched device has reported.
    Status { id: Uuid, status: StatusView },
    /// Counters, every five seconds.
    Summary { summary: SummaryExtra },
    /// The vault was made, sealed or unsealed, or its process came or went.
    Vault { made: bool, sealed: bool, reachable: bool },
    /// A job has begun, gone on or ended: once a second at most.
    Job {
        #[serde(flatten)]
        job: Box<JobView>,
    },
    /// Something was missed: fetch the lists again.
    Resync,
}

/// What a browser tells the appliance.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
#[schema(as = LiveWish)]
pub(super) enum Wish {
    /// Report these devices every two seconds, at most eight; an empty list ends it.
    Watch { ids: Vec<Uuid> },
}

/// Opens the live socket: a WebSocket whose first frame is `{"ticket": …}`.
///
/// Text frames: `LiveFrame` from the appliance, `LiveWish` from the browser. Close codes: 4401 the
/// login has ended, 4403 the ticket is not good for this, 4408 no ticket came in time.
#[utoipa::path(
    get, path = "/nms/ws", tag = "live",
    responses(
        (status = 101, description = "The socket is open"),
        (status = 403, description = "The page is not of this appliance", body = ErrorBody),
        (status = 426, description = "This is a WebSocket", body = ErrorBody),
    )
)]
pub(super) async fn open(State(web): State<Web>, knock: Knock) -> Response {
    knock.accept(move |newcomer| serve(web, newcomer))
}

async fn serve(web: Web, newcomer: Newcomer) -> (WebSocket, Why) {
    let (mut socket, hello) = match newcomer.opening::<Hello>().await {
        Ok(opened) => opened,
        Err(refused) => return refused,
    };
    let Some(ticket) = web.tickets.redeem(hello.ticket(), Route::Live) else {
        return (socket, Why::NotAllowed);
    };
    let hold = match Hold::on(ticket.login, &web.rooms, &web.sockets) {
        Ok(hold) => hold,
        Err(why) => return (socket, why),
    };
    let why = Live::new(web).run(&mut socket, hold).await;
    (socket, why)
}

/// One browser's live updates.
struct Live {
    web: Web,
    changes: broadcast::Receiver<Change>,
    log: broadcast::Receiver<Arc<Entry>>,
    jobs: broadcast::Receiver<Uuid>,
    vault: watch::Receiver<Option<Status>>,
    sequence: u64,
    pending: Pending,
    watched: HashMap<Uuid, Rates>,
    /// While it lives, the watched devices report every two seconds.
    watching: Option<WatchGuard>,
    heard: bool,
}

/// What is still to be told.
#[derive(Default)]
struct Pending {
    order: VecDeque<Uuid>,
    devices: HashSet<Uuid>,
    removed: Vec<Uuid>,
    sites: HashSet<Uuid>,
    jobs: HashSet<Uuid>,
    removed_sites: Vec<Uuid>,
    missed: bool,
    resynced: Option<Instant>,
}

impl Pending {
    fn device(&mut self, id: Uuid) {
        if self.devices.insert(id) {
            self.order.push_back(id);
        }
    }

    fn device_removed(&mut self, id: Uuid) {
        if self.devices.remove(&id) {
            self.order.retain(|other| *other != id);
        }
        self.removed.push(id);
    }

    /// Whether the browser has to fetch the lists; then nothing is left to be told.
    fn gives_up(&mut self, now: Instant) -> bool {
        let waiting = self.order.len() + self.removed.len() + self.removed_sites.len();
        let lately = self.resynced.is_some_and(|at| now.duration_since(at) < RESYNC);
        if !(self.missed || waiting > BEHIND) || lately {
            return false;
        }
        *self = Self { resynced: Some(now), ..Self::default() };
        true
    }

    /// The devices to tell now, those that have waited longest first.
    fn next_devices(&mut self) -> Vec<Uuid> {
        let count = self.order.len().min(PER_FLUSH);
        let next: Vec<Uuid> = self.order.drain(..count).collect();
        for id in &next {
            self.devices.remove(id);
        }
        next
    }
}

/// What is due from time to time.
struct Clocks {
    flush: Interval,
    summary: Interval,
    ping: Interval,
}

/// What is due now.
enum Tick {
    Flush,
    Summary,
    Ping,
}

impl Clocks {
    fn start() -> Self {
        let every = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        Self { flush: every(FLUSH), summary: every(SUMMARY), ping: every(PING) }
    }

    /// Safe to cancel.
    async fn next(&mut self) -> Tick {
        tokio::select! {
            _ = self.flush.tick() => Tick::Flush,
            _ = self.summary.tick() => Tick::Summary,
            _ = self.ping.tick() => Tick::Ping,
        }
    }
}

/// How the vault is, once that has changed. Safe to cancel.
async fn next(vault: &mut watch::Receiver<Option<Status>>) -> Option<Status> {
    if vault.changed().await.is_err() {
        // Nobody will tell any more: the daemon stops.
        std::future::pending::<()>().await;
    }
    vault.borrow_and_update().clone()
}

fn vault_frame(status: Option<Status>) -> Frame {
    let reachable = status.is_some();
    let Status { made, sealed, .. } = status.unwrap_or_default();
    Frame::Vault { made, sealed: made && sealed, reachable }
}

impl Live {
    fn new(web: Web) -> Self {
        Self {
            changes: web.rooms.devices.changes(),
            log: web.rooms.devices.events().subscribe(),
            jobs: web.rooms.rotation.jobs().changes(),
            vault: web.rooms.credentials.vault().watch(),
            web,
            sequence: 0,
            pending: Pending::default(),
            watched: HashMap::new(),
            watching: None,
            heard: true,
        }
    }

    async fn run(mut self, socket: &mut WebSocket, mut hold: Hold) -> Why {
        let server_time = Time(self.web.rooms.clock.now());
        let hello = json(&Frame::Hello { sequence: self.sequence, server_time });
        let mut told = hold.send(socket, hello).await;
        let mut clocks = Clocks::start();
        while told.is_ok() {
            let next = tokio::select! {
                why = hold.ends() => Err(why),
                frame = socket.recv() => self.hear(frame).map(|()| Vec::new()),
                change = self.changes.recv() => Ok(self.note(change)),
                entry = self.log.recv() => Ok(self.note_log(entry)),
                job = self.jobs.recv() => Ok(self.note_job(&job)),
                status = next(&mut self.vault) => Ok(json(&vault_frame(status)).into_iter().collect()),
                tick = clocks.next() => self.at(tick).await,
            };
            told = match next {
                Ok(frames) => hold.send(socket, frames).await,
                Err(why) => Err(why),
            };
        }
        told.err().unwrap_or(Why::Done)
    }

    /// What is due at this time.
    async fn at(&mut self, tick: Tick) -> Result<Vec<Message>, Why> {
        match tick {
            Tick::Flush => Ok(self.flush().await),
            Tick::Summary => Ok(self.summary().await.into_iter().collect()),
            Tick::Ping if std::mem::take(&mut self.heard) => {
                Ok(vec![Message::Ping(bytes::Bytes::new())])
            }
            Tick::Ping => Err(Why::Gone),
        }
    }

    fn hear(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), Why> {
        self.heard = true;
        match frame {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(Wish::Watch { ids }) if ids.len() <= WATCHED => {
                    self.watch(&ids);
                    Ok(())
                }
                Ok(Wish::Watch { .. }) | Err(_) => Err(Why::Misfit),
            },
            Some(Ok(Message::Binary(_))) => Err(Why::Misfit),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Why::Gone),
        }
    }

    fn watch(&mut self, ids: &[Uuid]) {
        let mut before = std::mem::take(&mut self.watched);
        for id in ids {
            self.watched.insert(*id, before.remove(id).unwrap_or_default());
        }
        // The new guard first, so that a device that stays watched is not told to rest.
        let guard = (!ids.is_empty()).then(|| self.web.rooms.devices.watch(ids));
        self.watching = guard;
    }

    /// Remembers a change for the next flush; reports of watched devices go out at once.
    fn note(&mut self, change: Result<Change, RecvError>) -> Vec<Message> {
        match change {
            Ok(Change::Device(id)) => self.pending.device(id),
            Ok(Change::DeviceRemoved(id)) => self.pending.device_removed(id),
            Ok(Change::Site(id)) => {
                self.pending.sites.insert(id);
            }
            Ok(Change::SiteRemoved(id)) => {
                self.pending.sites.remove(&id);
                self.pending.removed_sites.push(id);
            }
            Ok(Change::Status(id, status)) => {
                let rates = self.watched.get_mut(&id);
                let view = rates.map(|rates| rates.view(&status));
                return view
                    .and_then(|status| json(&Frame::Status { id, status }))
                    .into_iter()
                    .collect();
            }
            Err(RecvError::Lagged(_) | RecvError::Closed) => self.pending.missed = true,
        }
        Vec::new()
    }

    fn note_log(&mut self, entry: Result<Arc<Entry>, RecvError>) -> Vec<Message> {
        let Ok(entry) = entry else {
            self.pending.missed = true;
            return Vec::new();
        };
        json(&Frame::Log { log: LogView::new(&entry) }).into_iter().collect()
    }

    fn note_job(&mut self, job: &Result<Uuid, RecvError>) -> Vec<Message> {
        match job {
            Ok(id) => {
                self.pending.jobs.insert(*id);
            }
            Err(RecvError::Lagged(_) | RecvError::Closed) => self.pending.missed = true,
        }
        Vec::new()
    }

    async fn flush(&mut self) -> Vec<Message> {
        if self.pending.gives_up(Instant::now()) {
            return json(&Frame::Resync).into_iter().collect();
        }
        let mut frames = Vec::new();
        for id in std::mem::take(&mut self.pending.removed) {
            self.sequence += 1;
            frames.extend(json(&Frame::DeviceRemoved { sequence: self.sequence, id }));
        }
        let ids = self.pending.next_devices();
        if !ids.is_empty() {
            self.flush_devices(&ids, &mut frames).await;
        }
        for id in std::mem::take(&mut self.pending.removed_sites) {
            frames.extend(json(&Frame::SiteRemoved { id }));
        }
        let sites = std::mem::take(&mut self.pending.sites);
        if !sites.is_empty() {
            self.flush_sites(&sites, &mut frames).await;
        }
        for id in std::mem::take(&mut self.pending.jobs) {
            // One that is not kept any more is no news.
            let Ok(job) = self.web.rooms.rotation.jobs().get(id).await else { continue };
            let job = Box::new(jobs::view(&self.web.rooms.accounts, job).await);
            frames.extend(json(&Frame::Job { job }));
        }
        frames
    }

    async fn flush_devices(&mut self, ids: &[Uuid], frames: &mut Vec<Message>) {
        let Ok(sites) = self.web.tallies.sites(&self.web.rooms.devices).await else {
            self.pending.missed = true;
            return;
        };
        let now = self.web.rooms.clock.now();
        for id in ids {
            let Some(device) = self.web.rooms.devices.device(*id) else { continue };
            let site = device.site.and_then(|site| sites.get(&site).cloned());
            self.sequence += 1;
            let device = Box::new(DeviceView::new(&device, site, false, now));
            frames.extend(json(&Frame::Device { sequence: self.sequence, device }));
        }
    }

    async fn flush_sites(&mut self, ids: &HashSet<Uuid>, frames: &mut Vec<Message>) {
        let Ok(atlas) = Atlas::complete(&self.web.rooms.devices).await else {
            self.pending.missed = true;
            return;
        };
        let sites = ids.iter().filter_map(|id| atlas.find(*id));
        frames.extend(sites.filter_map(|site| json(&Frame::Site { site: Box::new(site) })));
    }

    async fn summary(&self) -> Option<Message> {
        let summary = SummaryExtra::now(&self.web.rooms, &self.web.meter).await.ok()?;
        json(&Frame::Summary { summary })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_device_that_changes_often_is_told_once_a_flush() {
        let mut pending = Pending::default();
        let id = Uuid::new_v4();
        for _ in 0..100 {
            pending.device(id);
        }
        assert_eq!(pending.next_devices(), [id]);
        assert!(pending.next_devices().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_is_bounded_and_the_rest_goes_next() {
        let mut pending = Pending::default();
        let ids: Vec<Uuid> = (0..PER_FLUSH + 7).map(|_| Uuid::new_v4()).collect();
        for id in &ids {
            pending.device(*id);
        }
        assert!(!pending.gives_up(Instant::now()));
        assert_eq!(pending.next_devices(), ids[..PER_FLUSH]);
        assert_eq!(pending.next_devices(), ids[PER_FLUSH..]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_ends_in_one_resync_and_not_in_one_a_second() {
        let mut pending = Pending::default();
        let storm = |pending: &mut Pending| {
            for _ in 0..=BEHIND {
                pending.device(Uuid::new_v4());
            }
        };
        storm(&mut pending);
        assert!(pending.gives_up(Instant::now()));
        assert!(pending.next_devices().is_empty());
        storm(&mut pending);
        assert!(!pending.gives_up(Instant::now()));
        assert_eq!(pending.next_devices().len(), PER_FLUSH);
        tokio::time::advance(RESYNC).await;
        storm(&mut pending);
        assert!(pending.gives_up(Instant::now()));
    }

    #[test]
    fn a_removed_device_is_not_told_as_changed() {
        let mut pending = Pending::default();
        let id = Uuid::new_v4();
        pending.device(id);
        pending.device_removed(id);
        assert!(pending.next_devices().is_empty());
        assert_eq!(pending.removed, [id]);
    }

    #[test]
    fn frames_are_tagged_as_the_contract_says() {
        let id = Uuid::nil();
        let text = |frame: &Frame| serde_json::to_value(frame).unwrap();
        let removed = text(&Frame::DeviceRemoved { sequence: 3, id });
        assert_eq!(removed["type"], "deviceRemoved");
        assert_eq!(removed["sequence"], 3);
        assert_eq!(text(&Frame::Resync), serde_json::json!({"type": "resync"}));
        let hello = Frame::Hello { sequence: 0, server_time: Time(jiff::Timestamp::UNIX_EPOCH) };
        assert_eq!(text(&hello)["serverTime"], "1970-01-01T00:00:00.000Z");
        let wish: Wish = serde_json::from_str(r#"{"type":"watch","ids":[]}"#).unwrap();
        assert!(matches!(wish, Wish::Watch { ids } if ids.is_empty()));
    }
}
