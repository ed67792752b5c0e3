//! An appliance as its owner runs it, with a name and a certificate that clients trust, for scanners to judge.

use aerie_tests::{Appliance, ApplianceOptions, Authority, Listen, Owner, PUBLIC, Stage};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Its name.
pub(crate) const NAME: &str = "aerie.example";

/// What a scanner needs.
pub(crate) struct Scanned {
    pub(crate) appliance: Appliance,
    /// The certificate of who vouches for the appliance's.
    pub(crate) root: PathBuf,
    _owner: Owner,
}

impl Scanned {
    /// On ports that the kernel chose.
    pub(crate) async fn new() -> Self {
        let options = ApplianceOptions { separate_inform: true, ..ApplianceOptions::default() };
        Self::with(Appliance::start_with(options).await).await
    }

    /// On the real ports of a stage, where everybody knows its name.
    pub(crate) async fn on(stage: &Stage) -> Self {
        let everywhere = |port| vec![SocketAddr::from(([0, 0, 0, 0], port))];
        let listen = Listen { http: everywhere(80), https: everywhere(443), inform: Vec::new() };
        let options = ApplianceOptions { listen: Some(listen), ..ApplianceOptions::default() };
        stage.name(NAME, PUBLIC).await;
        Self::with(Appliance::start_with(options).await).await
    }

    async fn with(appliance: Appliance) -> Self {
        let owner = appliance.set_up_as(NAME).await;
        let authority = Authority::new();
        appliance.use_certificate(&owner, &authority.issue(&[NAME], 90)).await;
        let root = authority.root_file(appliance.folder());
        Self { appliance, root, _owner: owner }
    }
}
