//! An appliance as its owner runs it, with a name and a certificate that its clients trust, for scanners to judge.

use aerie_tests::{Appliance, ApplianceOptions, Authority, Listen, PUBLIC, Stage};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Its name.
pub(crate) const NAME: &str = "aerie.example";

/// What a scanner needs.
pub(crate) struct Scanned {
    pub(crate) appliance: Appliance,
    /// What the scanner is told to trust, in PEM.
    pub(crate) trusted: PathBuf,
}

impl Scanned {
    /// On ports that the kernel chose, with a certificate that an authority vouches for.
    pub(crate) async fn vouched_for() -> Self {
        let options = ApplianceOptions { separate_inform: true, ..ApplianceOptions::default() };
        let appliance = Appliance::start_with(options).await;
        let owner = appliance.set_up_as(NAME).await;
        let authority = Authority::new();
        appliance.use_certificate(&owner, &authority.issue(&[NAME], 90)).await;
        let trusted = authority.root_file(appliance.folder());
        Self { appliance, trusted }
    }

    /// On the real ports of a stage, where everybody knows its name and trusts its own certificate. An owner's
    /// certificate would close port 80, which is to be judged as well.
    pub(crate) async fn on(stage: &Stage) -> Self {
        let everywhere = |port| vec![SocketAddr::from(([0, 0, 0, 0], port))];
        let listen = Listen { http: everywhere(80), https: everywhere(443), inform: Vec::new() };
        let options = ApplianceOptions { listen: Some(listen), ..ApplianceOptions::default() };
        stage.name(NAME, PUBLIC).await;
        let appliance = Appliance::start_with(options).await;
        appliance.set_up_as(NAME).await;
        let trusted = appliance.folder().join("shown.pem");
        let shown = appliance.shows_certificate_for(NAME).await;
        std::fs::write(&trusted, shown).expect("a file");
        Self { appliance, trusted }
    }
}
