//! The handle over a store: which certificate is shown, and what stays when something is refused.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use zeroize::Zeroizing;

use super::*;
use crate::clock::ClockHand;
use crate::devices::events::{Events, Query};
use crate::store::tables::SealedBytes;
use crate::supervisor::Supervisor;

const NOW: &str = "2027-01-15T08:00:00Z";

struct Appliance {
    store: Store,
    seal: Seal,
    data: tempfile::TempDir,
}

impl Appliance {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let seal = Seal::open(data.path()).unwrap();
        Self { store: Store::memory().unwrap(), seal, data }
    }

    async fn certificates(&self, now: &str, host: Option<&str>) -> Certificates {
        self.start(now, host, None).await.0
    }

    async fn start(
        &self,
        now: &str,
        host: Option<&str>,
        files: Option<OwnFiles>,
    ) -> (Certificates, ClockHand) {
        let (clock, hand) = Clock::manual(now.parse().unwrap());
        let outbound = Outbound::load(&self.store).await.unwrap();
        let (store, seal) = (self.store.clone(), self.seal.clone());
        let ground = Foundation { store, seal, clock, outbound };
        (Certificates::load(&ground, host, files).await.unwrap(), hand)
    }

    async fn events(&self) -> Events {
        let clock = Clock::system();
        Events::load(self.store.clone(), clock, &Supervisor::new()).await.unwrap()
    }
}

impl Certificates {
    /// What is shown now.
    pub(in crate::edge) fn shown(&self) -> CertificateDer<'static> {
        self.shared.live.shown().main.certified.cert[0].clone()
    }

    /// What happens by itself, now.
    async fn refresh(&self, host: Option<&str>, events: &Events) {
        self.look(host.map(str::to_owned), events).await;
    }
}

/// What a client says that was told to trust this certificate.
fn check(certificates: &Certificates, name: &str, now: &str) -> Result<(), rustls::Error> {
    let certificate = certificates.shown();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(crate::edge::tls::provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
    let now: Timestamp = now.parse().unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().cast_unsigned()));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let verifier = verifier.build().unwrap();
    verifier.verify_server_cert(&certificate, &[], &name, &[], now).map(drop)
}

#[tokio::test]
async fn the_certificate_is_good_for_every_name_of_the_appliance() {
    let appliance = Appliance::new();
    let certificates = appliance.certificates(NOW, Some("Aerie.example")).await;
    for name in ["aerie.example", "localhost", "127.0.0.1", "::1"] {
        check(&certificates, name, NOW).unwrap();
    }
    check(&certificates, "other.example", NOW).unwrap_err();
    check(&certificates, "localhost", "2029-06-01T00:00:00Z").unwrap_err();
}

#[tokio::test]
async fn it_stays_over_a_restart_and_is_made_anew_for_a_new_host_name() {
    let appliance = Appliance::new();
    let first = appliance.certificates(NOW, None).await.shown();
    let again = appliance.certificates(NOW, Some("localhost")).await;
    assert_eq!(again.shown(), first);
    let events = appliance.events().await;
    again.refresh(Some("192.0.2.7"), &events).await;
    assert_ne!(again.shown(), first, "it is shown at once");
    check(&again, "192.0.2.7", NOW).unwrap();
    let after = appliance.certificates(NOW, Some("192.0.2.7")).await;
    assert_eq!(after.shown(), again.shown());
    again.refresh(Some("192.0.2.7"), &events).await;
    assert_eq!(after.shown(), again.shown());
}

#[tokio::test]
async fn it_is_made_anew_before_it_ends_and_when_the_clock_had_been_wrong() {
    let appliance = Appliance::new();
    let wrong = appliance.certificates("2036-01-05T00:00:00Z", Some("aerie.example")).await;
    let right = appliance.certificates(NOW, None).await;
    assert_ne!(wrong.shown(), right.shown());
    check(&right, "aerie.example", NOW).unwrap();
    let later = "2029-04-01T00:00:00Z";
    let renewed = appliance.certificates(later, None).await;
    assert_ne!(renewed.shown(), right.shown());
    check(&renewed, "aerie.example", later).unwrap();
}

#[tokio::test]
async fn a2_a_certificate_made_at_1970_is_good_for_those_who_know_the_time_and_stays() {
    let appliance = Appliance::new();
    let first = appliance.certificates("1970-01-01T00:00:10Z", Some("aerie.example")).await;
    check(&first, "aerie.example", NOW).unwrap();
    for later in ["1970-01-05T00:00:00Z", NOW] {
        assert_eq!(appliance.certificates(later, None).await.shown(), first.shown());
    }
}

#[tokio::test]
async fn the_private_key_is_stored_sealed() {
    let appliance = Appliance::new();
    let _certificates = appliance.certificates(NOW, None).await;
    let rows = appliance.store.read(|reader| reader.all(tables::SECRETS)).await.unwrap();
    let (name, SealedBytes(sealed)) = &rows[0];
    let opened = appliance.seal.open_secret(name, sealed).unwrap();
    // The beginning of a PKCS #8 document.
    assert_eq!(opened[..2], [0x30, 0x81]);
    assert_ne!(sealed[..2], opened[..2]);
}

/// An authority with one between it and the certificates that it gives.
struct Authority {
    root: String,
    between: String,
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let authority = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params
        };
        let (root, root_key) = (authority("Root"), KeyPair::generate().unwrap());
        let (params, key) = (authority("Between"), KeyPair::generate().unwrap());
        let issuer = Issuer::from_params(&root, &root_key);
        let between = params.signed_by(&key, &issuer).unwrap().pem();
        Self { root: root.self_signed(&root_key).unwrap().pem(), between, params, key }
    }

    fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, Zeroizing<String>) {
        let mut params = CertificateParams::new(vec!["box.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.not_before = date_time_ymd(2026, 12, 1);
        params.not_after = date_time_ymd(2027, 3, 1);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let leaf = params.signed_by(&key, &issuer).unwrap();
        (leaf.pem(), Zeroizing::new(key.serialize_pem()))
    }

    fn own(&self) -> OwnPem {
        let (leaf, key) = self.leaf(|_| {});
        OwnPem { chain: leaf + &self.between, key, rsa: None }
    }
}

fn own_mode(certificates: &Certificates) -> (Mode, bool, bool) {
    let serving = *certificates.changes().borrow();
    (serving.mode, serving.untrusted, serving.port_80_closed)
}

#[tokio::test]
async fn p3_an_own_certificate_is_shown_at_once_told_to_the_house_and_kept_over_a_restart() {
    let appliance = Appliance::new();
    let certificates = appliance.certificates(NOW, Some("box.example")).await;
    let first = certificates.shown();
    assert_eq!(own_mode(&certificates), (Mode::SelfSigned, true, false));
    let mut changes = certificates.changes();
    let own = Authority::new().own();
    certificates.use_own(&own, Uuid::nil()).await.unwrap();
    assert!(changes.has_changed().unwrap());
    changes.borrow_and_update();
    assert_ne!(certificates.shown(), first);
    // No public authority knows this one.
    assert_eq!(own_mode(&certificates), (Mode::Own, true, true));
    let again = appliance.certificates(NOW, Some("box.example")).await;
    assert_eq!(again.shown(), certificates.shown());
    assert_eq!(own_mode(&again), (Mode::Own, true, true));
    let rows = appliance.store.read(|reader| reader.all(tables::SECRETS)).await.unwrap();
    for (_, SealedBytes(sealed)) in rows {
        assert!(!String::from_utf8_lossy(&sealed).contains("PRIVATE"));
    }
    again.use_self_signed(Uuid::nil()).await.unwrap();
    assert_eq!(again.shown(), first);
    assert_eq!(own_mode(&again), (Mode::SelfSigned, true, false));
}

#[tokio::test]
async fn p3_a_chain_out_of_order_and_with_its_root_is_put_right_and_said() {
    let appliance = Appliance::new();
    let certificates = appliance.certificates(NOW, Some("box.example")).await;
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (leaf, key) = authority.leaf(|_| {});
    let mixed = [&authority.root, &stranger.root, &authority.between, &leaf].map(String::as_str);
    let own = OwnPem { chain: mixed.concat(), key, rsa: None };
    let (shown, notes) = certificates.judge(&own).await.unwrap();
    assert_eq!((shown.len(), &*shown[0].names), (1, &["box.example".to_owned()][..]));
    assert_eq!((&*shown[0].key, shown[0].self_signed), ("ECDSA P-256", false));
    for word in ["out of order", "root certificate", "do not belong", "No public authority"] {
        assert!(notes.iter().any(|note| note.contains(word)), "{word}: {notes:?}");
    }
    certificates.use_own(&own, Uuid::nil()).await.unwrap();
    let chain = certificates.shared.live.shown().main.certified.cert.len();
    assert_eq!(chain, 2, "the certificate and the one between");
    let other = appliance.certificates(NOW, Some("192.0.2.7")).await;
    let notes = other.judge(&own).await.unwrap().1;
    assert!(notes.iter().any(|note| note.contains("192.0.2.7")), "{notes:?}");
}

#[tokio::test]
async fn p3_what_no_browser_would_take_is_refused_with_the_reason_and_changes_nothing() {
    let appliance = Appliance::new();
    let certificates = appliance.certificates(NOW, None).await;
    let authority = Authority::new();
    let good = authority.own();
    certificates.use_own(&good, Uuid::nil()).await.unwrap();
    let before = certificates.shown();
    let leaf = |change: fn(&mut CertificateParams)| authority.leaf(change);
    let expired = leaf(|params| params.not_after = date_time_ymd(2027, 1, 1));
    let early = leaf(|params| params.not_before = date_time_ymd(2027, 2, 1));
    let nameless = leaf(|params| params.subject_alt_names.clear());
    let client =
        leaf(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let text = |text: &str| Zeroizing::new(text.to_owned());
    let locked = text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n");
    let old = text("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n");
    let broken = text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let chain = good.chain.clone();
    let cut = chain.replace('M', "");
    for (chain, key, reason) in [
        (expired.0, expired.1, "expired on 2027-01-01"),
        (early.0, early.1, "only from 2027-02-01"),
        (nameless.0, nameless.1, "names no host name"),
        (client.0, client.1, "not meant for servers"),
        (chain.clone(), authority.own().key, "none of the certificates"),
        (chain.clone(), locked, "openssl pkey"),
        (chain.clone(), old, "openssl pkey"),
        (chain.clone(), broken, "damaged"),
        (chain.clone(), text("no key"), "no private key"),
        (chain.repeat(6), good.key.clone(), "more than ten"),
        (" ".repeat(70_000), good.key.clone(), "64 KiB"),
        (cut, good.key.clone(), "damaged"),
        (String::new(), good.key.clone(), "no certificate"),
        (authority.between.clone(), text(&authority.key.serialize_pem()), "names no host name"),
    ] {
        let own = OwnPem { chain, key, rsa: None };
        let told = certificates.judge(&own).await.unwrap_err().to_string();
        assert!(told.contains(reason), "{reason}: {told}");
        certificates.use_own(&own, Uuid::nil()).await.unwrap_err();
        assert_eq!(certificates.shown(), before, "{reason}");
    }
    let two = OwnPem { rsa: Some((authority.own().chain, authority.own().key)), ..authority.own() };
    certificates.use_own(&two, Uuid::nil()).await.unwrap_err();
    assert_eq!(certificates.shown(), before);
}

#[tokio::test]
async fn p3_files_are_read_again_when_they_change_and_a_bad_one_changes_nothing() {
    let appliance = Appliance::new();
    let authority = Authority::new();
    let at = |name: &str| appliance.data.path().join(name);
    let files = OwnFiles { chain_file: at("chain.pem"), key_file: at("key.pem") };
    let write = |own: &OwnPem| {
        std::fs::write(&files.chain_file, &own.chain).unwrap();
        std::fs::write(&files.key_file, own.key.as_bytes()).unwrap();
    };
    let events = appliance.events().await;
    let said = |text: &str| {
        let query = Query { count: 100, page: 1, text: text.to_owned(), ..Query::default() };
        events.query(&query).total
    };
    // At install, before the files are there: our own, and the reason.
    let (certificates, _) = appliance.start(NOW, Some("box.example"), Some(files.clone())).await;
    let self_signed = certificates.shown();
    assert_eq!(own_mode(&certificates), (Mode::Own, true, true));
    let own = certificates.status().await.own.unwrap();
    assert!(own.file_error.unwrap().contains("chain.pem"));

    write(&authority.own());
    certificates.refresh(Some("box.example"), &events).await;
    let first = certificates.shown();
    assert_ne!(first, self_signed);
    assert_eq!(said("have changed"), 1);
    // Half of a pair, as while somebody copies.
    std::fs::write(&files.key_file, authority.own().key.as_bytes()).unwrap();
    certificates.refresh(Some("box.example"), &events).await;
    certificates.refresh(Some("box.example"), &events).await;
    assert_eq!(certificates.shown(), first);
    assert_eq!(said("cannot be used"), 1, "it is said once");
    let (again, _) = appliance.start(NOW, Some("box.example"), Some(files.clone())).await;
    assert_eq!(again.shown(), first, "after a restart, too");
    write(&authority.own());
    certificates.refresh(Some("box.example"), &events).await;
    assert_ne!(certificates.shown(), first);
    assert_eq!(certificates.status().await.own.unwrap().file_error, None);
    let relative = OwnFiles { chain_file: "chain.pem".into(), ..files };
    certificates.use_own_files(relative, Uuid::nil()).await.unwrap_err();
}

#[tokio::test]
async fn p3_the_owner_is_warned_30_14_7_and_1_days_before_the_end_each_once() {
    let appliance = Appliance::new();
    let (certificates, hand) = appliance.start(NOW, Some("box.example"), None).await;
    certificates.use_own(&Authority::new().own(), Uuid::nil()).await.unwrap();
    let events = appliance.events().await;
    // It ends on March the first, 44.7 days from now.
    for day in 0..50 {
        certificates.refresh(Some("box.example"), &events).await;
        let restarted = appliance.start(NOW, Some("box.example"), None).await;
        restarted.1.advance(Duration::from_hours(24 * day));
        restarted.0.refresh(Some("box.example"), &events).await;
        hand.advance(Duration::from_hours(24));
    }
    let page = events.query(&Query { count: 100, page: 1, ..Query::default() });
    let told: Vec<&str> = page.items.iter().map(|entry| &*entry.message).rev().collect();
    let expected = ["30 days", "14 days", "7 days", "within a day", "expired on 2027-03-01"];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[tokio::test]
async fn p2_what_no_ca_would_take_is_refused_before_it_is_asked() {
    let appliance = Appliance::new();
    let certificates = appliance.certificates(NOW, None).await;
    let settings = |names: &[&str], email: &str, directory: &str| AcmeSettings {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        email: Some(email.to_owned()),
        directory: directory.to_owned(),
        challenge: Challenge::Http01,
        extra_root: None,
    };
    let there = "https://198.51.100.1/dir";
    let many: Vec<String> = (0..21).map(|number| format!("a{number}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (names, email, directory) in [
        (&["192.0.2.1"][..], "", there),
        (&["localhost"], "", there),
        (&["*.box.example"], "", there),
        (&["a_b.example"], "", there),
        (&[], "", there),
        (&many, "", there),
        (&["box.example"], "nobody", there),
        (&["box.example"], "a b@c.example", there),
        (&["box.example"], "", "http://198.51.100.1/dir"),
        (&["box.example"], "", "https://127.0.0.1/dir"),
        (&["box.example"], "", "https://10.0.0.1/dir"),
    ] {
        let settings = settings(names, email, directory);
        certificates.use_acme(settings, Uuid::nil()).await.unwrap_err();
        assert_eq!(own_mode(&certificates).0, Mode::SelfSigned);
    }
    assert!(matches!(certificates.retry().await, Err(CertificateError::NotAcme)));
    let before = certificates.shown();
    let wanted = settings(&["Box.Example.", "box.example"], "me@box.example", there);
    certificates.use_acme(wanted, Uuid::nil()).await.unwrap();
    assert_eq!(own_mode(&certificates), (Mode::Acme, true, false));
    assert_eq!(certificates.shown(), before, "until there is one");
    let (settings, status, valid) = certificates.status().await.acme.unwrap();
    assert_eq!((settings.names, valid), (vec!["box.example".to_owned()], false));
    assert_eq!(status.last_error, None);
}
