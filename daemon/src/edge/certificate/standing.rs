//! How the certificates stand, for Settings and for the rest of the house.

use super::live::Shown;
use super::{AcmeSettings, AcmeStatus, CertificateInfo, Certificates, OwnFiles, Wanted};

/// Where the certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The appliance makes it.
    SelfSigned,
    /// A CA gives it by ACME.
    Acme,
    /// The owner brings it.
    Own,
}

/// What the rest of the house has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Where the certificate comes from.
    pub mode: Mode,
    /// No public authority vouches for what is shown, or not for the host of the set-up: device
    /// keys have to allow that.
    pub untrusted: bool,
    /// What is shown is of the appliance's own making.
    pub self_made: bool,
    /// The owner brings the certificate: plain HTTP is not to be listened on.
    pub port_80_closed: bool,
}

/// What Settings show.
#[derive(Clone, Debug)]
pub struct CertificateStatus {
    /// Where the certificate comes from.
    pub mode: Mode,
    /// Nobody public vouches for it.
    pub untrusted: bool,
    /// What is shown: one, and an RSA one beside it where the owner gave one.
    pub shown: Vec<CertificateInfo>,
    /// With ACME: what is wanted, how it stands, and whether there is such a certificate.
    pub acme: Option<(AcmeSettings, AcmeStatus, bool)>,
    /// With an own certificate.
    pub own: Option<OwnStatus>,
}

/// How an own certificate stands.
#[derive(Clone, Debug)]
pub struct OwnStatus {
    /// The files that are watched; none for an upload.
    pub files: Option<OwnFiles>,
    /// Days until it ends, when those are few.
    pub days_left: Option<i64>,
    /// Why the files as they are now are not used.
    pub file_error: Option<String>,
}

impl Certificates {
    /// What Settings show.
    pub async fn status(&self) -> CertificateStatus {
        let state = self.shared.state.lock().await;
        let Shown { main, rsa } = state.shown();
        let acme = match &state.wanted {
            Wanted::Acme(settings) => {
                let valid = state.issued.as_ref().is_some_and(|issued| issued.fits(settings));
                Some((settings.clone(), state.status.clone(), valid))
            }
            _ => None,
        };
        let now = self.shared.ground.clock.now();
        let own = (state.mode() == Mode::Own).then(|| OwnStatus {
            files: match &state.wanted {
                Wanted::Files(files) => Some(files.clone()),
                _ => None,
            },
            days_left: state.own.as_ref().and_then(|own| own.warning(now)),
            file_error: state.file_error.clone(),
        });
        let Serving { mode, untrusted, .. } = *self.shared.serving.borrow();
        let shown = std::iter::once(main).chain(rsa).map(|chain| chain.info).collect();
        CertificateStatus { mode, untrusted, shown, acme, own }
    }
}
