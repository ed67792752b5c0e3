//! An invented device: a small router with two interfaces whose counters run.

use crate::crowd::Counters;
use crate::cut::Cut;
use crate::passwords::{Kept, PasswordPlan};
use aerie_agent::host::{AgentEvent, CommandError, Host};
use aerie_agent::passwords::PasswordError;
use aerie_agent::terminal::{Terminal, WindowSize};
use aerie_protocol::inform::{
    DeviceRole, HeldPassword, Hello, Interface, SetPassword, Status, TryPassword,
};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

const MODELS: [(&str, DeviceRole); 4] = [
    ("Simulated router", DeviceRole::Router),
    ("Simulated access point", DeviceRole::AccessPoint),
    ("Simulated station", DeviceRole::Station),
    ("Simulated switch", DeviceRole::Switch),
];

pub(crate) struct Machine {
    number: u32,
    started: Instant,
    locating: bool,
    connected: Cell<bool>,
    enrolled: bool,
    passwords: Kept,
    counters: Arc<Counters>,
}

impl Machine {
    pub(crate) fn new(
        number: u32,
        passwords: PasswordPlan,
        cut: Cut,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            number,
            passwords: Kept::new(number, &mac(number, 0), passwords, cut),
            started: Instant::now(),
            locating: false,
            connected: Cell::new(false),
            enrolled: false,
            counters,
        }
    }

    fn interface(&self, index: u8) -> Interface {
        // A rate of its own for each device, from kilobits to hundreds of megabits.
        let bytes_per_second = 1_000 * u64::from(1 + self.number % 997) * u64::from(index);
        let bytes = bytes_per_second * (3_600 + self.started.elapsed().as_secs());
        Interface {
            name: format!("eth{}", index - 1),
            index: u32::from(index),
            kind: "ethernet".to_owned(),
            mac: mac(self.number, index),
            addresses: vec![format!(
                "10.{}.{}.{index}/24",
                self.number / 250 % 250,
                self.number % 250
            )],
            mtu: 1500,
            enabled: true,
            plugged: true,
            speed_mbps: Some(1000),
            rx_bytes: bytes,
            tx_bytes: bytes / 8,
            ..Interface::default()
        }
    }

    /// No longer connected, if it was.
    pub(crate) fn leave(&self) {
        if self.connected.take() {
            self.counters.connected.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn mac(number: u32, interface: u8) -> Vec<u8> {
    let [a, b, c, d] = number.to_be_bytes();
    vec![0x02 | (interface << 2), a, b, c, d, 0x5e]
}

impl Host for Machine {
    async fn identity(&mut self) -> Hello {
        let (model, role) = MODELS[self.number as usize % MODELS.len()];
        Hello {
            mac: mac(self.number, 0),
            hostname: format!("sim-{:05}", self.number),
            model: model.to_owned(),
            vendor: "Aerie simulator".to_owned(),
            firmware_version: "simulated 1.0".to_owned(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            serial_number: format!("SIM{:08}", self.number),
            architecture: std::env::consts::ARCH.to_owned(),
            addresses: vec![format!("10.{}.{}.1/24", self.number / 250 % 250, self.number % 250)],
            role: role.into(),
            ..Hello::default()
        }
    }

    async fn status(&mut self) -> Status {
        let seconds = self.started.elapsed().as_secs();
        // A slow wave, out of step from device to device.
        let phase = u32::try_from((seconds + u64::from(self.number) * 7) % 600).unwrap_or(0);
        Status {
            cpu_permille: 50 + phase,
            ram_total_bytes: 256 << 20,
            ram_used_bytes: (64 << 20) + (u64::from(phase) << 10),
            uptime_seconds: 3_600 + seconds,
            load1_centi: phase / 4,
            load5_centi: phase / 5,
            load15_centi: phase / 6,
            temperature_milli_celsius: Some(40_000),
            interfaces: vec![self.interface(1), self.interface(2)],
            locating: self.locating,
        }
    }

    fn may_restart(&self) -> Result<(), CommandError> {
        Ok(())
    }

    async fn restart(&mut self) -> Result<Duration, CommandError> {
        self.started = Instant::now();
        Ok(Duration::from_secs(5))
    }

    async fn locate(&mut self, duration: Option<Duration>) -> Result<(), CommandError> {
        self.locating = duration.is_some();
        Ok(())
    }

    async fn open_terminal(&mut self, _: WindowSize) -> Result<Terminal, CommandError> {
        Err(CommandError::NotAllowed("a simulated device has no terminal"))
    }

    async fn passwords(&mut self) -> Result<Vec<HeldPassword>, PasswordError> {
        self.passwords.held()
    }

    async fn set_password(&mut self, set: SetPassword) -> Result<HeldPassword, PasswordError> {
        let outcome = self.passwords.set(&set).await;
        if outcome.is_ok() {
            self.counters.passwords_set.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    async fn try_password(&mut self, tried: TryPassword) -> Result<(), PasswordError> {
        self.counters.passwords_tried.fetch_add(1, Ordering::Relaxed);
        self.passwords.try_password(&tried).await
    }

    fn notice(&mut self, event: AgentEvent<'_>) {
        let count = &self.counters;
        match event {
            AgentEvent::Connected { took, enrolled, .. } => {
                count.connects.fetch_add(1, Ordering::Relaxed);
                if !self.connected.replace(true) {
                    count.connected.fetch_add(1, Ordering::Relaxed);
                }
                let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                count.slowest_connect_ms.fetch_max(took, Ordering::Relaxed);
                if enrolled && !self.enrolled {
                    self.enrolled = true;
                    count.enrolled.fetch_add(1, Ordering::Relaxed);
                }
            }
            AgentEvent::Enrolled if !self.enrolled => {
                self.enrolled = true;
                count.enrolled.fetch_add(1, Ordering::Relaxed);
            }
            AgentEvent::Forgotten => {
                count.forgotten.fetch_add(1, Ordering::Relaxed);
                if std::mem::take(&mut self.enrolled) {
                    count.enrolled.fetch_sub(1, Ordering::Relaxed);
                }
            }
            AgentEvent::Reported { .. } => {
                count.reports.fetch_add(1, Ordering::Relaxed);
            }
            AgentEvent::Settled { .. } => {
                count.settled.fetch_add(1, Ordering::Relaxed);
            }
            AgentEvent::Failed { .. } | AgentEvent::NotMoved { .. } => {
                count.failed.fetch_add(1, Ordering::Relaxed);
            }
            AgentEvent::Left { .. } => self.leave(),
            AgentEvent::Enrolled | AgentEvent::Waiting => {}
        }
    }
}
