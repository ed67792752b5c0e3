//! The picture that the keeper shows of its listeners.

use std::net::SocketAddr;

use super::keeper::Keeper;
use super::{Listening, Picture, PortSettings, Shown, Standing, Waiting};

/// Why plain HTTP is closed though it is wanted.
const OWN_CERTIFICATE: &str = "closed, since the appliance has a certificate of your own";

impl Keeper {
    pub(super) fn pictured(&self) -> Picture {
        let applied = &self.kept.settings;
        let wanted = self.pending.as_ref().map(|pending| &pending.wanted);
        let names = |settings: &PortSettings, address: SocketAddr| {
            [&settings.http, &settings.https, &settings.inform]
                .iter()
                .any(|list| list.contains(&address))
        };
        let mut listeners: Vec<Shown> = Vec::new();
        for open in &self.open {
            let now = names(applied, open.address);
            let then = wanted.is_none_or(|wanted| names(wanted, open.address));
            let standing = match (now, then) {
                (true, true) => Standing::Open,
                (false, true) if wanted.is_some() => Standing::New,
                _ => Standing::Leaving,
            };
            let listening = open.listening;
            listeners.push(Shown { listening, address: open.address, standing });
        }
        if self.plain_closed() {
            listeners.extend(applied.http.iter().map(|address| Shown {
                listening: Listening::Http,
                address: *address,
                standing: Standing::Closed(OWN_CERTIFICATE),
            }));
        }
        listeners.sort_by_key(|shown| (shown.listening, shown.address));
        let waiting = self
            .pending
            .as_ref()
            .map(|pending| Waiting { wanted: pending.wanted.clone(), until: pending.until });
        Picture {
            applied: applied.clone(),
            boot_file: self.boot_file.clone(),
            changed: self.changed,
            listeners,
            waiting,
        }
    }
}
