//! This machine under another name: real values, real terminal, a MAC of its own.

use aerie_agent::host::{CommandError, Host, LinuxHost};
use aerie_agent::passwords::{Memory, PasswordError, Passwords};
use aerie_agent::terminal::{Terminal, WindowSize};
use aerie_protocol::inform::{DeviceRole, HeldPassword, Hello, SetPassword, Status, TryPassword};
use aerie_tests::Book;
use std::time::Duration;

/// Who stands in the sample network.
#[derive(Clone, Copy)]
pub(crate) struct Who {
    pub(crate) name: &'static str,
    pub(crate) model: &'static str,
    pub(crate) site: &'static str,
    role: DeviceRole,
    number: u8,
}

pub(crate) const NEIGHBOURS: [Who; 5] = [
    Who {
        name: "hilltop-router",
        model: "Edge router",
        site: "Hilltop",
        role: DeviceRole::Router,
        number: 1,
    },
    Who {
        name: "hilltop-sector-north",
        model: "Sector antenna",
        site: "Hilltop",
        role: DeviceRole::AccessPoint,
        number: 2,
    },
    Who {
        name: "harbour-switch",
        model: "24-port switch",
        site: "Harbour",
        role: DeviceRole::Switch,
        number: 3,
    },
    Who {
        name: "harbour-cafe",
        model: "Client antenna",
        site: "Harbour",
        role: DeviceRole::Station,
        number: 4,
    },
    Who {
        name: "office-server",
        model: "Small server",
        site: "Office",
        role: DeviceRole::Server,
        number: 5,
    },
];

pub(crate) struct Neighbour {
    who: Who,
    machine: LinuxHost,
    /// An account of its own: nobody's on your machine.
    passwords: Passwords<Book>,
}

impl Neighbour {
    pub(crate) fn new(who: Who, machine: LinuxHost) -> Self {
        let book = Book::from_the_factory(&["admin".to_owned()], who.name);
        Self { who, machine, passwords: book.kept(Memory::default()) }
    }
}

impl Host for Neighbour {
    async fn identity(&mut self) -> Hello {
        let mut hello = self.machine.identity().await;
        self.who.name.clone_into(&mut hello.hostname);
        self.who.model.clone_into(&mut hello.model);
        hello.mac = vec![0x02, 0xae, 0x41, 0x1e, 0x00, self.who.number];
        hello.role = self.who.role.into();
        hello
    }

    async fn status(&mut self) -> Status {
        self.machine.status().await
    }

    fn may_restart(&self) -> Result<(), CommandError> {
        Ok(())
    }

    // Restarting your machine would be a poor demonstration: the device is away for a moment.
    async fn restart(&mut self) -> Result<Duration, CommandError> {
        Ok(Duration::from_secs(8))
    }

    async fn locate(&mut self, duration: Option<Duration>) -> Result<(), CommandError> {
        self.machine.locate(duration).await
    }

    async fn open_terminal(&mut self, size: WindowSize) -> Result<Terminal, CommandError> {
        self.machine.open_terminal(size).await
    }

    async fn passwords(&mut self) -> Result<Vec<HeldPassword>, PasswordError> {
        self.passwords.held()
    }

    async fn set_password(&mut self, set: SetPassword) -> Result<HeldPassword, PasswordError> {
        self.passwords.set(&set).await
    }

    async fn try_password(&mut self, tried: TryPassword) -> Result<(), PasswordError> {
        self.passwords.try_password(&tried).await
    }
}
