//! Starts the devices one after the other, counts what happens to them, and makes trouble on request.

use crate::cut::{Cut, CutDialer};
use crate::machine::Machine;
use crate::passwords::PasswordPlan;
use aerie_agent::Agent;
use aerie_agent::connect::TlsDialer;
use aerie_agent::state::{Known, State};
use aerie_agent::trust::Trust;
use aerie_protocol::key::DeviceKey;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Devices that share one source network, as behind one customer's router.
const DEVICES_PER_NETWORK: u32 = 40;

/// What the crowd is to do.
pub(crate) struct Plan {
    pub(crate) key: DeviceKey,
    pub(crate) devices: u32,
    pub(crate) between: Duration,
    pub(crate) state: Option<PathBuf>,
    pub(crate) spread: bool,
    pub(crate) drop_half_every: Option<Duration>,
    pub(crate) passwords: PasswordPlan,
}

/// What has happened so far, over all devices.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) connected: AtomicI64,
    pub(crate) enrolled: AtomicI64,
    pub(crate) connects: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) reports: AtomicU64,
    pub(crate) forgotten: AtomicU64,
    /// Times that a device found its appliance at a new address, and keeps it.
    pub(crate) settled: AtomicU64,
    pub(crate) slowest_connect_ms: AtomicU64,
    /// Times that a password was set and proven, whether or not anybody heard of it.
    pub(crate) passwords_set: AtomicU64,
    pub(crate) passwords_tried: AtomicU64,
}

pub(crate) struct Crowd {
    plan: Plan,
    trust: Trust,
    counters: Arc<Counters>,
    started: Instant,
    before: Mutex<(u64, u64)>,
}

impl Crowd {
    pub(crate) fn new(plan: Plan) -> Result<Self, String> {
        let trust = Trust::system().map_err(|error| error.to_string())?;
        let counters = Arc::new(Counters::default());
        Ok(Self { plan, trust, counters, started: Instant::now(), before: Mutex::default() })
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(&self) {
        let mut devices = JoinSet::new();
        let mut breaks: Vec<CancellationToken> = Vec::new();
        let mut start = interval(self.plan.between);
        let mut print = interval(Duration::from_secs(1));
        print.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = interval(self.plan.drop_half_every.unwrap_or(Duration::from_hours(24)));
        trouble.tick().await;
        let mut number = 0;
        loop {
            tokio::select! {
                _ = start.tick(), if number < self.plan.devices => {
                    match self.agent(number).await {
                        Ok(agent) => {
                            let stop = CancellationToken::new();
                            breaks.push(stop.clone());
                            devices.spawn(live(agent, stop));
                        }
                        Err(error) => eprintln!("device {number}: {error}"),
                    }
                    number += 1;
                }
                // A device that was cut off comes back at once, as the same one.
                Some(Ok(agent)) = devices.join_next(), if !devices.is_empty() => {
                    let stop = CancellationToken::new();
                    breaks.push(stop.clone());
                    devices.spawn(live(agent, stop));
                }
                _ = trouble.tick(), if self.plan.drop_half_every.is_some() => {
                    let half = breaks.len() / 2;
                    breaks.drain(..half).for_each(|stop| stop.cancel());
                }
                _ = print.tick() => self.print_line(),
            }
        }
    }

    async fn agent(&self, number: u32) -> Result<Box<Agent<Machine, CutDialer>>, String> {
        let mut dialer = TlsDialer::new(self.trust.clone());
        if self.plan.spread {
            dialer = dialer.from_address(loopback_of(number));
        }
        let state = match &self.plan.state {
            None => {
                let fresh = Known::fresh().map_err(|error| error.to_string())?;
                State::in_memory(Known { key: Some(self.plan.key.clone()), ..fresh })
            }
            Some(folder) => {
                let folder = folder.join(format!("{number:06}"));
                let mut state = State::open(folder).map_err(|error| error.to_string())?;
                state.offer(self.plan.key.clone()).await.map_err(|error| error.to_string())?;
                state
            }
        };
        let cut = Cut::default();
        let dialer = CutDialer { dialer, cut: cut.clone() };
        let passwords = self.plan.passwords.clone();
        let machine = Machine::new(number, passwords, cut, Arc::clone(&self.counters));
        Ok(Box::new(Agent::new(machine, dialer, state)))
    }

    /// One JSON line.
    pub(crate) fn print_line(&self) {
        let count = &self.counters;
        let (connects, reports) =
            (count.connects.load(Ordering::Relaxed), count.reports.load(Ordering::Relaxed));
        let mut before = self.before.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let line = json!({
            "seconds": self.started.elapsed().as_secs(),
            "connected": count.connected.load(Ordering::Relaxed),
            "enrolled": count.enrolled.load(Ordering::Relaxed),
            "failed": count.failed.load(Ordering::Relaxed),
            "forgotten": count.forgotten.load(Ordering::Relaxed),
            "settled": count.settled.load(Ordering::Relaxed),
            "connects": connects,
            "connectsPerSecond": connects - before.0,
            "reports": reports,
            "reportsPerSecond": reports - before.1,
            "slowestConnectMs": count.slowest_connect_ms.load(Ordering::Relaxed),
            "passwordsSet": count.passwords_set.load(Ordering::Relaxed),
            "passwordsTried": count.passwords_tried.load(Ordering::Relaxed),
        });
        *before = (connects, reports);
        println!("{line}");
    }
}

async fn live(
    mut agent: Box<Agent<Machine, CutDialer>>,
    stop: CancellationToken,
) -> Box<Agent<Machine, CutDialer>> {
    agent.run(&stop).await;
    agent.host().leave();
    agent
}

fn loopback_of(number: u32) -> IpAddr {
    let network = number / DEVICES_PER_NETWORK;
    let byte = |value: u32| u8::try_from(value % 250).unwrap_or(0);
    Ipv4Addr::new(
        127,
        1 + byte(network / 250),
        byte(network),
        1 + byte(number % DEVICES_PER_NETWORK),
    )
    .into()
}
