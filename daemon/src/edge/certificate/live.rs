//! What every handshake asks: which certificate to show, swapped while connections live.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rustls::CipherSuite;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::chain::Chain;

/// The protocol name of a TLS-ALPN-01 challenge (RFC 8737).
pub(in crate::edge) const CHALLENGE: &[u8] = b"acme-tls/1";

/// What is shown now, and the challenges that are pending.
pub(super) struct Live {
    shown: RwLock<Shown>,
    challenges: Mutex<Pending>,
}

/// The certificates that are shown to everybody.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) main: Chain,
    /// For clients that know RSA only.
    pub(super) rsa: Option<Chain>,
}

/// Challenges that a CA is about to look at.
#[derive(Default)]
struct Pending {
    /// HTTP-01: key authorisations by token.
    http: HashMap<String, String>,
    /// TLS-ALPN-01: certificates by name.
    tls: HashMap<String, Arc<CertifiedKey>>,
}

impl Live {
    pub(super) fn new(shown: Shown) -> Self {
        Self { shown: RwLock::new(shown), challenges: Mutex::default() }
    }

    pub(super) fn show(&self, shown: Shown) {
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    pub(super) fn shown(&self) -> Shown {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What port 80 answers to a challenge.
    pub(super) fn http(&self, token: &str) -> Option<String> {
        self.pending().http.get(token).cloned()
    }

    pub(super) fn answer_http(&self, token: String, authorisation: String) {
        self.pending().http.insert(token, authorisation);
    }

    pub(super) fn forget_http(&self, token: &str) {
        self.pending().http.remove(token);
    }

    pub(super) fn answer_tls(&self, name: String, certificate: CertifiedKey) {
        self.pending().tls.insert(name, Arc::new(certificate));
    }

    pub(super) fn awaits_tls(&self) -> bool {
        !self.pending().tls.is_empty()
    }

    pub(super) fn forget_challenges(&self) {
        *self.pending() = Pending::default();
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.challenges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Live {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.alpn().is_some_and(|names| names.eq([CHALLENGE])) {
            let name = hello.server_name()?;
            return self.pending().tls.get(name).cloned();
        }
        // Whatever name was asked for: a stranger's name gets the certificate that there is.
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        let chain = match &shown.rsa {
            Some(rsa) if !takes(&hello, &shown.main) && takes(&hello, rsa) => rsa,
            _ => &shown.main,
        };
        Some(Arc::clone(&chain.certified))
    }
}

/// Whether a client can check signatures of this chain's key, and has a cipher suite for them.
fn takes(hello: &ClientHello<'_>, chain: &Chain) -> bool {
    let suite = |suite: &CipherSuite| {
        let name = suite.as_str().unwrap_or_default();
        name.starts_with("TLS13_") || name.contains(if chain.is_rsa { "_RSA_" } else { "_ECDSA_" })
    };
    chain.certified.key.choose_scheme(hello.signature_schemes()).is_some()
        && hello.cipher_suites().iter().any(suite)
}

impl fmt::Debug for Live {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Live").finish_non_exhaustive()
    }
}
